# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every input that ever broke something, by name, on both engines; and the inputs' text form."""

from pathlib import Path

import pytest

from fuzz.inputs import Input, Piece, compare, read_inputs, text_of
from vmmkit.insn import available_engines

FINDINGS = sorted((Path(__file__).parent / "findings").glob("*.txt"))
EXAMPLE = """\
# a comment
word gpr 3 9000
word rip 0 1000
word no_such_field 0 1
piece 0 2 1 3
blocks 1
bytes 1000 8b03
step dead
set 5 log_count 0
run 1 3
end
"""


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_engines_survive_and_agree(path):
    engines = available_engines()
    made = list(read_inputs(path.read_text()))
    assert made
    assert [compare(each, (engines[0], engines[-1])) for each in made] == [None] * len(made)


def test_text_form():
    (made,) = read_inputs(EXAMPLE)
    assert made == Input(
        {("gpr", 3): 0x9000, ("rip", 0): 0x1000},
        [Piece(0, 2, 1, 3)],
        [(0x1000, b"\x8b\x03")],
        1,
        [("step", 0xDEAD), ("set", 5, "log_count", 0), ("run", 1, 3)],
    )
    assert list(read_inputs(text_of(made))) == [made]


def test_a_difference_is_told(monkeypatch, two_engines):
    (made,) = read_inputs(EXAMPLE)
    assert compare(made, two_engines) is None
    answers = iter((0, 1, 2, 3))
    monkeypatch.setattr("fuzz.inputs.Bench.call", lambda *_: next(answers))
    assert compare(made, two_engines) == "event 0 ('step', 57005): 0 but 1"
