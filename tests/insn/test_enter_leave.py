# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ENTER and LEAVE (SDM vol. 2A): frames, nesting, the probe of the new stack top."""

import pytest

from insn.machine import (
    CR0_WP,
    DATA,
    MMIO,
    PAGE_FAULT,
    RW,
    SS_FAULT,
    STACK,
    US,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Read, Segment, Write

RBP = 0x1234_5678_9ABC_DEF0
ENTERS = [
    ("long", "c8100000", 8, 0x10),
    ("long", "66c8100000", 2, 0x10),
    ("compat", "c8100000", 4, 0x10),
    ("pm32", "66c8000000", 2, 0),
    ("pm16", "c8000100", 2, 0x100),
    ("real", "c8100000", 2, 0x10),
    ("real", "66c8100000", 4, 0x10),
]


@pytest.mark.parametrize(("mode", "code", "size", "reserved"), ENTERS)
def test_level_0(engine, mode, code, size, reserved):
    mask = (1 << 8 * size) - 1
    top = STACK - size
    base = top if size >= 4 else RBP & ~0xFFFF | top
    after = {"rbp": base, "rsp": top - reserved, (top, size): RBP & mask}
    check_case(engine, mode, code, {"rbp": RBP}, after)


@pytest.mark.parametrize("level", [1, 2, 5, 31, 32 + 2])
@pytest.mark.parametrize(("mode", "size"), [("long", 8), ("pm32", 4), ("real", 2)])
def test_levels(engine, mode, size, level):
    """The display of the enclosing frames is copied, then the new frame pointer; modulo 32."""
    outer, count = DATA + 0x800, level % 32
    before = {(outer - size * n, size): 0x100 + n for n in range(1, 32)}
    top = STACK - size
    after = {(top - size * n, size): 0x100 + n for n in range(1, count)}
    after |= {(top, size): outer, (top - size * count, size): top}
    after |= {"rbp": top, "rsp": top - size * count - 0x20}
    check_case(engine, mode, f"c82000{level:02x}", before | {"rbp": outer}, after)


def test_the_display_may_lie_in_the_new_frame(engine):
    """With rBP at rSP the first entry read is the rBP just pushed."""
    top = STACK - 8
    after = {(top, 8): STACK, (top - 8, 8): STACK, (top - 16, 8): STACK, (top - 24, 8): top}
    registers = {"rbp": STACK, (top - 8, 8): 0xBAD, (top - 16, 8): 0xBAD}
    after |= {"rbp": top, "rsp": top - 24}
    check_case(engine, "long", "c8000003", registers, after)


def test_a_shifted_display_sees_parts_of_pushed_values(engine):
    """rBP three bytes above rSP: each entry straddles two slots."""
    machine = Machine(
        engine, "long", "c8000003", {"rbp": STACK + 3, (STACK, 8): 0x8877665544332211}
    )
    machine.step()
    first = machine.peek(STACK - 8, 8)
    assert first == STACK + 3
    raw = first.to_bytes(8, "little") + bytes.fromhex("1122334455667788")
    second = machine.peek(STACK - 16, 8)
    assert second == int.from_bytes(raw[3:11], "little")
    raw = second.to_bytes(8, "little") + raw
    assert machine.peek(STACK - 24, 8) == int.from_bytes(raw[3:11], "little")


def test_devices(engine):
    """Loads, then stores; the whole is run again after each answer."""
    at = {"rbp": MMIO + 0x100, "rsp": 0xA000}
    accesses = [
        *(Read(MMIO + 0x100 - 8 * n, 8) for n in (1, 2)),
        Write(0x9FF8, 8, MMIO + 0x100),
        Write(0x9FF0, 8, 7),
        Write(0x9FE8, 8, 8),
        Write(0x9FE0, 8, 0x9FF8),
    ]
    after = {"rbp": 0x9FF8, "rsp": 0x9FD0}
    check_case(engine, "long", "c8100003", at, after, None, [7, 8], accesses)


def test_the_display_at_a_device_and_the_frame_in_ram(engine):
    machine = Machine(engine, "long", "c8000002", {"rbp": MMIO + 8})
    low = bytes(machine.low)
    assert machine.step() == Read(MMIO, 8)
    assert machine.low == low
    assert machine.step(5) == Done(machine.state.rip, 0)
    assert machine.peek(STACK - 16, 8) == 5


def test_the_longest_one_keeps_its_pages(engine):
    """Page tables that change while it waits for the display do not divert the frame."""
    machine = Machine(engine, "long", "c800001f", {"rbp": MMIO + 0x200})
    machine.step()
    for page in range(2, 8):
        machine.pte(page << 12, 0)
    for number in range(29):
        machine.step(number)
    assert isinstance(machine.step(29), Done)
    assert machine.peek(STACK - 16, 8) == 0
    assert machine.peek(STACK - 31 * 8, 8) == 29


FAULTS = [
    ("long", "c8000000", {"rsp": 1 << 63}, (SS_FAULT,)),
    ("long", "c8000000", {"rsp": 0x4000_1000}, (PAGE_FAULT, 2, 0x4000_0FF8)),
    ("long", "c8000002", {"rbp": 0x4000_1000}, (PAGE_FAULT, 0, 0x4000_0FF8)),
    ("real", "c8000000", {"rsp": 1}, (SS_FAULT,)),
    ("real", "c8ff7f00", {"rsp": 0x8000}, (SS_FAULT,)),  # the probe wraps over the bottom
    ("pm32", "c8001000", {"ss": Segment(16, 0x6000, 0xFFF, 0xC097), "rsp": 0x2000}, (SS_FAULT,)),
    ("long", "c9", {"rbp": 1 << 63}, (SS_FAULT,)),
    ("long", "c9", {"rbp": 0x4000_0000}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("real", "c9", {"rbp": 0xFFFF}, (SS_FAULT,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)


def test_the_new_top_is_probed_for_writing(engine):
    """Nothing is stored there, but it must be possible; the frame itself is not written either."""
    machine = Machine(engine, "long", "c8001000", {"rbp": RBP})
    machine.state.cr0 |= CR0_WP
    machine.pte(0x5000, 0x5000 | P | US)
    check_fault(machine, PAGE_FAULT, 3, 0x5FF8)
    machine.pte(0x5000, 0x5000 | P | RW | US)
    assert isinstance(machine.step(), Done)
    assert machine.peek(0x5FF8, 8) == 0


LEAVES = [
    ("long", "c9", 8),
    ("long", "66c9", 2),
    ("compat", "c9", 4),
    ("pm32", "66c9", 2),
    ("pm16", "c9", 2),
    ("real", "66c9", 4),
]


@pytest.mark.parametrize(("mode", "code", "size"), LEAVES)
def test_leave(engine, mode, code, size):
    value = 0x8877_6655_4433_2211
    popped = value & (1 << 8 * size) - 1
    after = {"rbp": popped if size >= 4 else DATA & ~0xFFFF | popped, "rsp": DATA + size}
    check_case(engine, mode, code, {"rbp": DATA, (DATA, 8): value}, after)


def test_leave_on_a_16_bit_stack_keeps_the_upper_half(engine):
    registers = {"rsp": 0xABCD_7000, "rbp": 0x1234_2000, (DATA, 2): 0x55}
    check_case(engine, "pm16", "c9", registers, {"rsp": 0xABCD_2002, "rbp": 0x1234_0055})


def test_leave_from_a_device(engine):
    after = {"rbp": 9, "rsp": MMIO + 8}
    check_case(engine, "long", "c9", {"rbp": MMIO}, after, None, [9], [Read(MMIO, 8)])
