# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PUSH and POP (SDM vol. 2B): widths, the stack pointer as operand, order of faults."""

import pytest

from insn.machine import (
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    STACK,
    UD,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Read, Segment, Write

ONES = (1 << 64) - 1
VALUE = 0x8877_6655_4433_2211
TOP = STACK  # what rSP holds when a case begins

PUSHES = [
    ("long", "50", {"rax": VALUE}, 8, VALUE),
    ("long", "4157", {"r15": VALUE}, 8, VALUE),
    ("long", "6650", {"rax": VALUE}, 2, 0x2211),
    ("long", "54", {}, 8, TOP),  # PUSH RSP pushes the old value
    ("long", "68ffffffff", {}, 8, ONES),
    ("long", "6aff", {}, 8, ONES),
    ("long", "666aff", {}, 2, 0xFFFF),
    ("long", "66683412", {}, 2, 0x1234),
    ("long", "ff33", {"rbx": DATA, (DATA, 8): VALUE}, 8, VALUE),
    ("long", "66ff33", {"rbx": DATA, (DATA, 8): VALUE}, 2, 0x2211),
    ("long", "fff0", {"rax": VALUE}, 8, VALUE),
    ("long", "ff742408", {(TOP + 8, 8): VALUE}, 8, VALUE),  # [rsp+8] with the old rSP
    ("long", "0fa0", {"fs": (0x23, 0, 0, 0)}, 8, 0x23),
    ("long", "660fa8", {"gs": (0x23, 0, 0, 0)}, 2, 0x23),
    ("pm32", "50", {"rax": VALUE}, 4, 0x4433_2211),
    ("pm32", "6650", {"rax": VALUE}, 2, 0x2211),
    ("pm32", "6aff", {}, 4, 0xFFFF_FFFF),
    ("pm32", "6806000000", {}, 4, 6),
    ("pm32", "ff33", {"rbx": DATA, (DATA, 4): 7}, 4, 7),
    ("real", "50", {"rax": VALUE}, 2, 0x2211),
    ("real", "6650", {"rax": VALUE}, 4, 0x4433_2211),
    ("real", "683412", {}, 2, 0x1234),
    ("real", "0e", {}, 2, 0),
    ("real", "1e", {"ds": (0x123, 0x1230, 0xFFFF, 0x93)}, 2, 0x123),
    ("real", "06", {"es": (0x124, 0x1240, 0xFFFF, 0x93)}, 2, 0x124),
    ("real", "16", {}, 2, 0),
]


@pytest.mark.parametrize(("mode", "code", "before", "size", "value"), PUSHES)
def test_push(engine, mode, code, before, size, value):
    after = {"rsp": TOP - size, (TOP - size, size): value}
    check_case(engine, mode, code, {"rflags": 0xAD7, **before}, after)


def test_push_of_a_segment_with_32_bit_operands_writes_two_bytes(engine):
    """SDM vol. 2B, PUSH: recent processors leave the upper half of the slot as it was."""
    before = {(TOP - 4, 4): 0xAAAA_AAAA, "ds": (0x10, 0, 0xFFFF_FFFF, 0xC093)}
    check_case(engine, "pm32", "1e", before, {"rsp": TOP - 4, (TOP - 4, 4): 0xAAAA_0010})


POPS = [
    ("long", "58", 8, {"rax": VALUE}),
    ("long", "415f", 8, {"r15": VALUE}),
    ("long", "6658", 2, {"rax": 0x2211}),
    ("long", "8fc0", 8, {"rax": VALUE}),
    ("long", "5c", 8, {"rsp": VALUE}),  # POP RSP: the popped value stays
    ("long", "665c", 2, {"rsp": 0x2211}),
    ("pm32", "58", 4, {"rax": 0x4433_2211}),
    ("pm32", "6658", 2, {"rax": 0x2211}),
    ("real", "58", 2, {"rax": 0x2211}),
    ("real", "6658", 4, {"rax": 0x4433_2211}),
]


@pytest.mark.parametrize(("mode", "code", "size", "after"), POPS)
def test_pop(engine, mode, code, size, after):
    check_case(engine, mode, code, {(TOP, 8): VALUE, "rflags": 0xAD7}, {"rsp": TOP + size, **after})


def test_pop_to_memory(engine):
    check_case(
        engine, "long", "8f03", {"rbx": DATA, (TOP, 8): VALUE}, {"rsp": TOP + 8, (DATA, 8): VALUE}
    )
    # a destination that uses rSP sees it already incremented
    after = {"rsp": TOP + 8, (TOP + 0x18, 8): VALUE}
    check_case(engine, "long", "8f442410", {(TOP, 8): VALUE}, after)
    after = {"rsp": TOP + 4, (TOP + 4, 4): 7}
    check_case(engine, "pm32", "8f0424", {(TOP, 4): 7}, after)


def test_a_16_bit_stack_wraps_and_keeps_the_upper_bits(engine):
    machine = Machine(engine, "pm16", "50", {"rsp": 0xABCD_0002, "rax": 0x1234})
    assert isinstance(machine.step(), Done)
    assert machine.state.rsp == 0xABCD_0000
    assert machine.peek(0, 2) == 0x1234
    machine = Machine(engine, "real", "50", {"rsp": 0x1_0000})
    assert machine.step() == Write(0xFFFE, 2, 0)
    machine = Machine(engine, "real", "58", {"rsp": 0xFFFE})
    assert machine.finish([0x55AA])[0] == [Read(0xFFFE, 2)]
    assert (machine.state.rsp, machine.state.rax) == (0, 0x55AA)


def test_the_stack_width_is_that_of_ss_not_of_code(engine):
    machine = Machine(engine, "pm32", "50", {"rsp": 0x1_7000, "rax": 7})
    machine.state.ss = Segment(16, 0, 0xFFFF, 0x8093)
    machine.step()
    assert (machine.state.rsp, machine.peek(0x6FFC, 4)) == (0x1_6FFC, 7)
    machine = Machine(engine, "pm16", "50", {"rsp": 0x1_7000, "rax": 7})
    machine.state.ss = Segment(16, 0, 0xFFFF_FFFF, 0xC093)
    machine.step()
    assert (machine.state.rsp, machine.peek(0x1_6FFE, 2)) == (0x1_6FFE, 7)


FAULTS = [
    ("real", "50", {"rsp": 1}, (SS_FAULT,)),  # two bytes at FFFF
    ("real", "58", {"rsp": 0xFFFF}, (SS_FAULT,)),
    ("long", "50", {"rsp": 0x8000_0000_0001}, (SS_FAULT,)),
    ("long", "58", {"rsp": 0x7FFF_FFFF_FFFF}, (SS_FAULT,)),
    ("long", "50", {"rsp": 0x4000_0000}, (0,)),
    ("long", "58", {"rsp": 0x4000_0000}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("long", "50", {"rsp": 0x4000_0008}, (PAGE_FAULT, 2, 0x4000_0000)),
    # PUSH m: the source first; POP m: the stack first
    ("long", "ff33", {"rbx": 0x4000_0000, "rsp": 0x5000_0000}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("long", "ff33", {"rbx": DATA, "rsp": 0x5000_0008}, (PAGE_FAULT, 2, 0x5000_0000)),
    ("long", "8f03", {"rbx": 0x4000_0000, "rsp": 0x5000_0000}, (PAGE_FAULT, 0, 0x5000_0000)),
    ("long", "8f03", {"rbx": 0x4000_0000}, (PAGE_FAULT, 2, 0x4000_0000)),
    ("long", "8f03", {"rbx": 1 << 63}, (GP,)),
    ("long", "06", {}, (UD,)),
    ("long", "1f", {}, (UD,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    machine = Machine(engine, mode, code, registers)
    if fault[0]:
        check_fault(machine, *fault)
    else:  # the slot lies below, in the page that is mapped, and is a device there
        assert machine.step() == Write(0x3FFF_FFF8, 8, 0)


def test_devices(engine):
    check_case(
        engine,
        "long",
        "ff33",
        {"rbx": MMIO},
        {"rsp": TOP - 8, (TOP - 8, 8): VALUE},
        None,
        [VALUE],
        [Read(MMIO, 8)],
    )
    check_case(
        engine,
        "long",
        "8f03",
        {"rbx": MMIO, (TOP, 8): VALUE},
        {"rsp": TOP + 8},
        None,
        [],
        [Write(MMIO, 8, VALUE)],
    )
    check_case(
        engine,
        "long",
        "8f03",
        {"rbx": MMIO + 8, "rsp": MMIO},
        {"rsp": MMIO + 8},
        None,
        [VALUE],
        [Read(MMIO, 8), Write(MMIO + 8, 8, VALUE)],
    )
