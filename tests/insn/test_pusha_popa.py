# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PUSHA and POPA (SDM vol. 2B): the frame, the slot of rSP, checks before the first write."""

import pytest

from insn.machine import (
    GP,
    PAGE_FAULT,
    RW,
    SS_FAULT,
    STACK,
    UD,
    US,
    VM,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.insn import Read, Segment, Write

NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
VALUES = {name: 0x1111_2222 * (number + 1) for number, name in enumerate(NAMES)} | {"rsp": STACK}
FORMS = [("real", "", 2), ("real", "66", 4), ("pm16", "", 2), ("pm32", "", 4), ("pm32", "66", 2)]
FORMS += [("compat", "", 4)]


@pytest.mark.parametrize(("mode", "prefix", "size"), FORMS)
def test_pusha(engine, mode, prefix, size):
    """rSP's own slot holds its old value."""
    mask = (1 << 8 * size) - 1
    after = {
        (STACK - size * (number + 1), size): VALUES[name] & mask
        for number, name in enumerate(NAMES)
    }
    check_case(engine, mode, prefix + "60", VALUES, {**after, "rsp": STACK - 8 * size})


@pytest.mark.parametrize(("mode", "prefix", "size"), FORMS)
def test_popa(engine, mode, prefix, size):
    mask = (1 << 8 * size) - 1
    before = {(STACK + size * (7 - n), size): 0x8765_4321 + n & mask for n in range(8)}
    after = {name: 0x8765_4321 + n & mask for n, name in enumerate(NAMES)}
    if size == 2:
        high = {name: 0xABCD_0000 | 0x10 for name in NAMES if name != "rsp"}
        after = {name: value | 0xABCD_0000 for name, value in after.items()}
        before |= high
    after["rsp"] = STACK + 8 * size
    check_case(engine, mode, prefix + "61", before, after)


def test_stack_at_a_device(engine):
    """Eight writes, and seven reads: nobody wants what rSP's slot holds."""
    before = {name: number for number, name in enumerate(NAMES)} | {"rsp": 0x9020}
    values = [0, 1, 2, 3, 0x9020, 5, 6, 7]
    writes = [Write(0x901C - 4 * n, 4, value) for n, value in enumerate(values)]
    check_case(engine, "pm32", "60", before, {"rsp": 0x9000}, None, [], writes)
    order = ("rdi", "rsi", "rbp", "rsp", "rbx", "rdx", "rcx", "rax")
    reads = [Read(0x9020 + 4 * n, 4) for n in range(8) if n != 3]
    after = {name: 0x10 + n for n, name in enumerate(order)} | {"rsp": 0x9040}
    answers = [0x10 + n for n in range(8) if n != 3]
    check_case(engine, "pm32", "61", before, after, None, answers, reads)


def test_a_frame_half_at_a_device_goes_there_first(engine):
    """The slots in RAM are stored when the last device write has been answered."""
    machine = Machine(engine, "pm32", "60", VALUES | {"rsp": 0x8008})
    low = bytes(machine.low)
    for number in (0, 1):
        value = VALUES[NAMES[number]]
        assert machine.step() == Write(0x8004 - 4 * number, 4, value)
        assert machine.low == low
    machine.step()
    assert machine.state.rsp == 0x8008 - 32
    assert machine.peek(0x7FFC, 4) == VALUES["rdx"]
    assert machine.peek(0x7FE8, 4) == VALUES["rdi"]


@pytest.mark.parametrize("pointer", [7, 9, 11, 13, 15])
@pytest.mark.parametrize("virtual", [0, VM])
@pytest.mark.parametrize("code", ["60", "6660"])
def test_pusha_over_the_bottom_of_an_odd_stack(engine, pointer, virtual, code):
    """SDM vol. 2B, PUSHA: #GP in real-address and virtual-8086 mode."""
    machine = Machine(engine, "pm16" if virtual else "real", code, {"rsp": pointer})
    machine.state.rflags |= virtual
    check_fault(machine, GP)


FAULTS = [
    ("real", "60", {"rsp": 5}, (SS_FAULT,)),
    ("real", "61", {"rsp": 0xFFF1}, (SS_FAULT,)),
    ("pm32", "60", {"rsp": 0x10, "ss": Segment(16, 0, 0xFFF, 0xC093)}, (SS_FAULT,)),
    ("pm32", "61", {"rsp": 0xFF0, "ss": Segment(16, 0, 0xFFF, 0xC093)}, (SS_FAULT,)),
    ("compat", "60", {"rsp": 0x4000_0010 + 0x1000}, (PAGE_FAULT, 2, 0x4000_0FFC + 0x10)),
    ("long", "60", {}, (UD,)),
    ("long", "61", {}, (UD,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)


@pytest.mark.parametrize(("code", "missing"), [("60", 0x5000), ("61", 0x6000)])
def test_a_missing_page_stops_the_whole_frame(engine, code, missing):
    machine = Machine(engine, "compat", code, {"rsp": 0x6008 if code == "60" else 0x5FF8})
    machine.pte(missing, missing | RW | US)
    error = 2 if code == "60" else 0
    check_fault(machine, PAGE_FAULT, error, 0x5FFC if code == "60" else missing)
    machine.pte(missing, missing | P | RW | US)
    machine.step()
