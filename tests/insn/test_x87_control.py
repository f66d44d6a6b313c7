# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Control of the x87 unit: words, exceptions that are pending, and CR0."""

import pytest

from insn.machine import DATA, UD, Machine, check_case, check_fault
from vmmkit.insn import Done

NM, MF = 7, 16
MP, EM, TS = 2, 4, 8
NE = 1 << 5
PENDING = {"x87_control": 0x37E, "x87_status": 0x8081}

CASES = [
    ("dbe3", {"x87_status": 0x3800, "x87_tag": 7},
     {"x87_control": 0x37F, "x87_status": 0, "x87_tag": 0}),
    ("dbe2", {"x87_status": 0xB8FF}, {"x87_status": 0x3800}),
    ("d93b", {"x87_control": 0x27F}, {(DATA, 2): 0x27F}),
    ("dd3b", {"x87_status": 0x3801}, {(DATA, 2): 0x3801}),
    ("dfe0", {"x87_status": 0x3801, "rax": 0xFFFF_FFFF}, {"rax": 0xFFFF_3801}),
    ("d92b", {(DATA, 2): 0xFFFF}, {"x87_control": 0x1F7F}),
    ("d92b", {(DATA, 2): 0x37E, "x87_status": 1}, {"x87_control": 0x37E, "x87_status": 0x8081}),
    ("0f77", {"x87_tag": 0xFF, "x87_status": 0x3800}, {"x87_tag": 0, "x87_status": 0}),
    ("9b", {}, {}),
    ("d9d0", {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "before", "after"), CASES)
def test_words(engine, code, before, after):
    before = {"rbx": DATA, **before}
    check_case(engine, "long", code, before, after)


@pytest.mark.parametrize("code", ["d92b", "9b", "d9d0", "0f77"])
def test_pending_exceptions(engine, code):
    machine = Machine(engine, "long", code, {"rbx": DATA, **PENDING})
    machine.state.cr0 |= NE
    check_fault(machine, MF)


@pytest.mark.parametrize("code", ["dbe3", "dbe2", "d93b", "dd3b", "dfe0"])
def test_instructions_that_do_not_wait(engine, code):
    machine = Machine(engine, "long", code, {"rbx": DATA, **PENDING})
    assert isinstance(machine.step(), Done)


@pytest.mark.parametrize(
    ("code", "bits", "vector"),
    [
        *((code, bits, NM) for code in ("dbe3", "d92b", "d93b") for bits in (EM, TS, EM | TS)),
        *(("9b", bits, None) for bits in (EM, TS, MP, MP | EM)),
        ("9b", MP | TS, NM),
        ("0f77", EM, UD),
        ("0f77", TS, NM),
    ],
)
def test_control_bits(engine, code, bits, vector):
    machine = Machine(engine, "long", code, {"rbx": DATA})
    machine.state.cr0 |= bits
    if vector is None:
        assert isinstance(machine.step(), Done)
    else:
        check_fault(machine, vector)
