# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The vector files: both engines give every line, and every row of the opcode table is in them."""

import pytest

from insn.vectors import DECODE, EXECUTE, decode_line, execute_line, lines, settings
from vmmkit.errors import DecodeError
from vmmkit.insn import decode
from vmmkit.insn._pure import EXECUTE as HANDLERS
from vmmkit.insn.optable import OPS, ROWS

WIDTH = {"real": 16, "pm32": 32, "long": 64}


def executed():
    """Machine, bytes, setting and the whole line of every vector of `execute.txt`."""
    for line in lines(EXECUTE):
        if not line.startswith("setting "):
            yield *line.split("|")[0].split(), line


def test_decode_vectors(engine):
    for line in lines(DECODE):
        mode, code, _ = line.split(maxsplit=2)
        assert decode_line(int(mode), code, engine) == line


def test_execution_vectors(engine):
    named = settings(EXECUTE)
    for machine, code, setting, line in executed():
        assert execute_line(machine, code, setting, named, engine) == line


@pytest.mark.parametrize("mode", [16, 32, 64])
def test_both_files_cover_the_modes(mode):
    assert any(line.startswith(f"{mode} ") for line in lines(DECODE))
    assert any(WIDTH[machine] == mode for machine, *_ in executed())


def executable_rows():
    return {number for number in range(len(ROWS)) if HANDLERS[number] is not None}


def test_every_executable_row_is_executed():
    """A row without a line means that `record_vectors.py` was not run after adding it."""
    seen = set()
    for machine, code, *_ in executed():
        try:
            seen.add(decode(bytes.fromhex(code), WIDTH[machine], engine="pure").row)
        except DecodeError:
            continue
    assert {ROWS[number].text for number in executable_rows() - seen} == set()


def test_every_row_has_a_decode_vector():
    """By mnemonic for what is not executed; the sweep against iced-x86 goes over every row."""
    seen = {line.split(":")[1].split()[0] for line in lines(DECODE)}
    assert set(OPS) - seen - {"INVALID"} == set()
    assert "INVALID" in seen
