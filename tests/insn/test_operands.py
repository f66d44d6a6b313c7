# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where operands are, and whether a faulting address can be theirs."""

import random

import pytest

from insn.machine import CODE, DATA, STACK, WIDTH, Machine
from vmmkit.errors import DecodeError
from vmmkit.insn import (
    CpuState,
    MemoryAccess,
    OperandAccess,
    PortIn,
    PortOut,
    Segment,
    decode,
    operand_accesses,
    verify_gla,
)

R, W, RW = MemoryAccess.READ, MemoryAccess.WRITE, MemoryAccess.READ | MemoryAccess.WRITE


def operands(machine):
    """Operands of the instruction a machine is about to execute."""
    insn = decode(machine.code, machine.state.mode)
    return operand_accesses(insn, machine.state)


# mode, code, registers, operands
CASES = [
    ("long", "8b4310", {"rbx": DATA}, [(DATA + 0x10, 4, R)]),
    ("long", "890c8b", {"rbx": DATA, "rcx": 4}, [(DATA + 0x10, 4, W)]),
    ("long", "4801 03".replace(" ", ""), {"rbx": DATA}, [(DATA, 8, RW)]),
    ("long", "8b0510000000", {}, [(CODE + 6 + 0x10, 4, R)]),
    ("long", "678b03", {"rbx": 0x1_0000_0000 | DATA}, [(DATA, 4, R)]),
    ("long", "648b03", {"rbx": DATA, "fs": (0, 0x100, 0, 0)}, [(DATA + 0x100, 4, R)]),
    ("long", "368b03", {"rbx": DATA, "ss": (0, 0x100, 0, 0)}, [(DATA, 4, R)]),
    ("pm32", "8b03", {"rbx": DATA, "ds": (8, 0x100, 0xFFFF, 0xC093)}, [(DATA + 0x100, 4, R)]),
    ("pm32", "8b4500", {"rbp": DATA, "ss": (8, 0x200, 0xFFFF, 0xC093)}, [(DATA + 0x200, 4, R)]),
    ("real", "8b4201", {"rbp": 0xFFFF, "rsi": 2}, [(2, 2, R)]),
    ("real", "a13412", {}, [(0x1234, 2, R)]),
    ("long", "8d03", {"rbx": DATA}, []),
    ("long", "01d8", {}, []),
    ("long", "0fa30b", {"rbx": DATA, "rcx": 33}, [(DATA + 4, 4, R)]),
    ("long", "0fab0b", {"rbx": DATA, "rcx": 0xFFFF_FFFF}, [(DATA - 4, 4, RW)]),
    ("long", "0fba2b45", {"rbx": DATA}, [(DATA, 4, RW)]),
    ("long", "a5", {"rsi": DATA, "rdi": DATA + 8}, [(DATA, 4, R), (DATA + 8, 4, W)]),
    ("long", "66a7", {"rsi": DATA, "rdi": DATA + 8}, [(DATA, 2, R), (DATA + 8, 2, R)]),
    ("long", "48ab", {"rdi": DATA}, [(DATA, 8, W)]),
    ("long", "6c", {"rdi": DATA}, [(DATA, 1, W)]),
    ("long", "646e", {"rsi": DATA, "fs": (0, 1, 0, 0)}, [(DATA + 1, 1, R)]),
    ("long", "50", {}, [(STACK - 8, 8, W)]),
    ("long", "58", {}, [(STACK, 8, R)]),
    ("long", "8f442408", {}, [(STACK + 16, 8, W), (STACK, 8, R)]),
    ("long", "ff33", {"rbx": DATA}, [(DATA, 8, R), (STACK - 8, 8, W)]),
    ("pm32", "60", {}, [(STACK - 32, 32, W)]),
    ("real", "61", {}, [(STACK, 16, R)]),
    ("real", "60", {"rsp": 4}, [(0xFFF4, 12, W), (0, 4, W)]),
    ("real", "61", {"rsp": 0xFFFE}, [(0xFFFE, 2, R), (0, 14, R)]),
    ("long", "c8000100", {}, [(STACK - 8, 8, W), (STACK - 0x108, 8, W)]),
    (
        *("long", "c8100003", {"rbp": DATA + 0x40}),
        [(STACK - 32, 32, W), (DATA + 0x30, 16, R), (STACK - 0x30, 8, W)],
    ),
    ("long", "0fae3b", {"rbx": DATA}, [(DATA, 1, R)]),
    ("long", "660fae33", {"rbx": DATA}, [(DATA, 1, R)]),
    ("long", "0f180b", {"rbx": DATA}, []),
    ("long", "e800000000", {}, [(STACK - 8, 8, W)]),
    ("long", "c3", {}, [(STACK, 8, R)]),
    ("long", "c9", {"rbp": DATA}, [(DATA, 8, R)]),
    ("long", "d7", {"rbx": DATA, "rax": 0x1FF}, [(DATA + 0xFF, 1, R)]),
    ("real", "2ed7", {"rbx": DATA, "rax": 1, "cs": (0, 0x10, 0xFFFF, 0x9B)}, [(0x2011, 1, R)]),
]


@pytest.mark.parametrize(("mode", "code", "registers", "expected"), CASES)
def test_operands(engine, mode, code, registers, expected):
    machine = Machine(engine, mode, code, {**registers})
    for name, value in registers.items():
        if isinstance(value, tuple):
            setattr(machine.state, name, Segment(*value))
    assert operands(machine) == tuple(OperandAccess(*one) for one in expected)


def test_every_byte_of_an_operand_is_its_own():
    machine = Machine("pure", "long", "8b4310", {"rbx": DATA})
    insn = decode(machine.code, WIDTH["long"])
    covered = [at for at in range(DATA, DATA + 0x20) if verify_gla(insn, machine.state, at)]
    assert covered == list(range(DATA + 0x10, DATA + 0x14))


def test_an_operand_that_wraps():
    machine = Machine("pure", "pm32", "8b03", {"rbx": 0xFFFF_FFFE})
    insn = decode(machine.code, 32)
    assert verify_gla(insn, machine.state, 0xFFFF_FFFF)
    assert verify_gla(insn, machine.state, 1)
    assert not verify_gla(insn, machine.state, 2)


def test_an_instruction_without_memory_covers_nothing():
    machine = Machine("pure", "long", "01d8")
    insn = decode(machine.code, 64)
    assert not any(verify_gla(insn, machine.state, gla) for gla in (0, DATA, CODE))


@pytest.mark.parametrize(("mode", "code", "registers", "expected"), CASES)
def test_the_engine_goes_where_the_operands_are(engine, mode, code, registers, expected):
    """Without RAM every operand is a device access, at the same address."""
    machine = Machine(engine, mode, code, registers)
    insn = decode(machine.code, machine.state.mode)
    if not insn.executable or machine.state.mode == 64:
        return
    cpu = type(machine.cpu)([], engine=engine, state=machine.state)
    cpu.latch(machine.code)
    outcome, seen = cpu.step(), []
    while cpu.awaits_answer:
        if not isinstance(outcome, PortIn | PortOut):
            seen.append(outcome[0])
        outcome = cpu.step(0 if outcome.__class__.__name__ in {"Read", "PortIn"} else None)
    assert set(seen) >= {one[0] for one in expected}


@pytest.mark.parametrize(
    "code",
    ["d5113b00", "d520033c0b", "d5c0a308"],
    ids=["base", "index", "bit offset"],
)
def test_extended_registers_lead_nowhere(code):
    """R16-R31 decode, but a state does not hold them; so there is no saying where."""
    insn = decode(bytes.fromhex(code), 64)
    assert insn.memory_access
    state = Machine("pure", "long").state
    assert operand_accesses(insn, state) == ()
    assert not verify_gla(insn, state, 0)


def test_any_instruction_in_any_state():
    rng = random.Random(1)
    state = CpuState()
    for number in range(3000):
        state.record[:] = rng.randbytes(len(state.record))
        code = rng.choice((b"", b"\xd5", b"\x62", b"\x0f")) + rng.randbytes(15)
        try:
            insn = decode(code, rng.choice((16, 32, 64)))
        except DecodeError:
            continue
        for operand in operand_accesses(insn, state):
            assert 0 <= operand.linear < 1 << 64, number
            assert operand.size >= 1
        verify_gla(insn, state, rng.getrandbits(64))
