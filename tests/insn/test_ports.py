# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""IN and OUT: widths, IOPL, and the permission bit map (SDM vol. 1, "I/O Port Addressing")."""

import pytest

from insn.machine import GP, PAGE_FAULT, TSS, VM, Machine, check_case, check_fault
from vmmkit.insn import Fault, PortIn, PortOut, Read, Segment

ONES = (1 << 64) - 1

INPUTS = [
    ("long", "e442", PortIn(0x42, 1), 0x1FF, ONES & ~0xFF | 0xFF),
    ("long", "e580", PortIn(0x80, 4), 0x1234_5678, 0x1234_5678),
    ("long", "66e580", PortIn(0x80, 2), 0xF1234, ONES & ~0xFFFF | 0x1234),
    ("long", "48e580", PortIn(0x80, 4), 7, 7),  # REX.W does not widen a port
    ("long", "ec", PortIn(0x3F8, 1), 0, ONES & ~0xFF),
    ("long", "ed", PortIn(0x3F8, 4), 0, 0),
    ("long", "66ed", PortIn(0x3F8, 2), 5, ONES & ~0xFFFF | 5),
    ("pm32", "ed", PortIn(0x3F8, 4), 5, 5),
    ("real", "ed", PortIn(0x3F8, 2), 5, ONES & ~0xFFFF | 5),
    ("real", "66ed", PortIn(0x3F8, 4), 5, 5),
    ("real", "e4ff", PortIn(0xFF, 1), 5, ONES & ~0xFF | 5),  # the port is unsigned
]


@pytest.mark.parametrize(("mode", "code", "access", "answer", "rax"), INPUTS)
def test_in(engine, mode, code, access, answer, rax):
    before = {"rax": ONES, "rdx": 0xFFFF_03F8}
    check_case(engine, mode, code, before, {"rax": rax}, None, [answer], [access])


OUTPUTS = [
    ("long", "e642", PortOut(0x42, 1, 0x11)),
    ("long", "e742", PortOut(0x42, 4, 0x4433_2211)),
    ("long", "66e742", PortOut(0x42, 2, 0x2211)),
    ("long", "48e742", PortOut(0x42, 4, 0x4433_2211)),
    ("long", "ee", PortOut(0x3F8, 1, 0x11)),
    ("long", "ef", PortOut(0x3F8, 4, 0x4433_2211)),
    ("real", "ef", PortOut(0x3F8, 2, 0x2211)),
    ("real", "66ef", PortOut(0x3F8, 4, 0x4433_2211)),
    ("real", "e6ff", PortOut(0xFF, 1, 0x11)),
]


@pytest.mark.parametrize(("mode", "code", "access"), OUTPUTS)
def test_out(engine, mode, code, access):
    before = {"rax": 0x8877_6655_4433_2211, "rdx": 0xFFFF_03F8}
    check_case(engine, mode, code, before, {}, None, [], [access])


def with_bitmap(engine, code, port, bits, registers=None, mode="pm32"):
    """Ring 3 under IOPL 0 and a TSS whose map has `bits` at the byte of `port`."""
    machine = Machine(engine, mode, code, {"rdx": port, **(registers or {})}).ring3()
    machine.state.tr = Segment(0x28, TSS, 0x67 + 0x2000 + 1, 0x8B)
    machine.poke(TSS + 102, 0x68, 2)
    # the map from 0x68 on is beyond the RAM for high ports; low ports are enough here
    machine.poke(TSS + 0x68 + port // 8, bits, 2)
    return machine


BITMAP = [
    ("ec", 0x10, 0x0000, True),
    ("ec", 0x10, 0x0001, False),
    ("ec", 0x10, 0xFFFE, True),
    ("ec", 0x17, 0x0080, False),
    ("ec", 0x17, 0xFF7F, True),
    ("66ed", 0x17, 0x0100, False),  # the second port stands in the next byte
    ("66ed", 0x17, 0x0080, False),
    ("66ed", 0x17, 0xFE7F, True),
    ("ed", 0x10, 0x0008, False),
    ("ed", 0x10, 0xFFF0, True),
    ("ed", 0x15, 0x0100, False),
    ("ed", 0x15, 0xFE1F, True),
    ("ee", 0x10, 0x0001, False),
    ("ef", 0x10, 0x0004, False),
]


@pytest.mark.parametrize(("code", "port", "bits", "allowed"), BITMAP)
@pytest.mark.parametrize("mode", ["pm32", "long"])
def test_bitmap(engine, mode, code, port, bits, allowed):
    machine = with_bitmap(engine, code, port, bits, mode=mode)
    if allowed:
        assert isinstance(machine.step(), PortIn | PortOut)
    else:
        check_fault(machine, GP)


def test_iopl_makes_the_bitmap_irrelevant(engine):
    machine = with_bitmap(engine, "ec", 0x10, 1, {"rflags": 0x3002})
    assert machine.step() == PortIn(0x10, 1)


def test_virtual_8086_mode_asks_the_bitmap_whatever_iopl_is(engine):
    machine = with_bitmap(engine, "ec", 0x10, 1, {"rflags": 0x3002 | VM}, "pm16")
    check_fault(machine, GP)
    machine = with_bitmap(engine, "ec", 0x10, 0, {"rflags": 0x3002 | VM}, "pm16")
    assert machine.step() == PortIn(0x10, 1)


@pytest.mark.parametrize(
    ("limit", "attributes", "allowed"),
    [
        (0x66, 0x8B, False),  # no room for the I/O map base
        (0x6B, 0x8B, True),  # the map's two bytes for port 10 end here
        (0x6A, 0x8B, False),  # the second byte is beyond the limit, and is always read
        (0x2068, 0x83, False),  # a 16-bit TSS has no map
        (0x2068, 0x89, True),
    ],
)
def test_where_the_tss_ends(engine, limit, attributes, allowed):
    machine = with_bitmap(engine, "ec", 0x10, 0)
    machine.state.tr = Segment(0x28, TSS, limit, attributes)
    assert machine.step() == (PortIn(0x10, 1) if allowed else Fault(GP, 0, 0))


def test_tss_reads_are_supervisor_reads(engine):
    machine = with_bitmap(engine, "ec", 0x10, 0, mode="long")
    machine.pte(TSS, TSS & ~0xFFF | 3)
    assert machine.step() == PortIn(0x10, 1)
    machine = with_bitmap(engine, "ec", 0x10, 0, mode="long")
    machine.pte(TSS, 0)
    check_fault(machine, PAGE_FAULT, 0, TSS + 102)


def test_tss_at_the_top_of_the_address_space_wraps(engine):
    """A base that a bad monitor left behind is no reason to raise."""
    machine = with_bitmap(engine, "ec", 0x10, 0)
    machine.state.tr = Segment(0x28, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF, 0x8B)
    machine.poke(101, 0x70, 2)
    machine.poke(0x70 + 1, 0, 2)
    assert machine.step() == PortIn(0x10, 1)


def test_tss_in_a_device(engine):
    machine = with_bitmap(engine, "ec", 0x10, 0)
    machine.state.tr = Segment(0x28, 0x9000, 0xFFFF, 0x8B)
    accesses, _ = machine.finish([0x68, 0, 0x55])
    assert accesses == [Read(0x9066, 2), Read(0x906A, 2), PortIn(0x10, 1)]
    assert machine.state.rax == 0x55
