# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BOUND and ARPL (SDM vol. 2A)."""

import pytest

from insn.machine import (
    CR0_WP,
    DATA,
    GP,
    LOW,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    UD,
    US,
    VM,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.insn import Read, Segment, Write

BR = 5
WITHIN = [
    ("pm32", "6203", 4, 5, 1, 9),
    ("pm32", "6203", 4, 1, 1, 1),
    ("pm32", "6203", 4, -5, -6, 3),
    ("pm32", "6203", 4, 1 << 31, -(1 << 31), 0),
    ("pm32", "666203", 2, 0xFFFF, -1, 0),
    ("compat", "6203", 4, 7, -(1 << 31), (1 << 31) - 1),
    ("real", "6207", 2, 5, 1, 9),
    ("real", "666207", 4, -5, -6, 3),
]


def bounds(size, index, lower, upper):
    mask = (1 << 8 * size) - 1
    return {
        "rax": index & mask | 0xABCD << 48,
        "rbx": DATA,
        (DATA, size): lower & mask,
        (DATA + size, size): upper & mask,
    }


@pytest.mark.parametrize(("mode", "code", "size", "index", "lower", "upper"), WITHIN)
def test_within(engine, mode, code, size, index, lower, upper):
    check_case(engine, mode, code, {"rflags": 0xAD7, **bounds(size, index, lower, upper)}, {})


@pytest.mark.parametrize(("mode", "code", "size", "index", "lower", "upper"), WITHIN)
def test_outside(engine, mode, code, size, index, lower, upper):
    """Either bound is inclusive."""
    if upper < (1 << 8 * size - 1) - 1:
        check_fault(Machine(engine, mode, code, bounds(size, upper + 1, lower, upper)), BR)
    if lower > -(1 << 8 * size - 1):
        check_fault(Machine(engine, mode, code, bounds(size, lower - 1, lower, upper)), BR)


def test_bounds_at_a_device_are_two_reads(engine):
    reads = [Read(MMIO, 4), Read(MMIO + 4, 4)]
    check_case(engine, "pm32", "6203", {"rax": 5, "rbx": MMIO}, {}, None, [1, 9], reads)


def test_the_upper_bound_wraps(engine):
    before = {"rax": 5, "rbx": 0xFFFE, (0, 2): 9}
    check_case(engine, "real", "6207", before, {}, None, [1], [Read(0xFFFE, 2)])


BOUND_FAULTS = [
    ("pm32", "6203", {"rbx": 0x1000, "ds": Segment(16, 0, 0xFFF, 0xC093)}, (GP,)),
    ("pm32", "620424", {"rsp": 0xFFC, "ss": Segment(16, 0, 0xFFF, 0xC093)}, (SS_FAULT,)),
    ("compat", "6203", {"rbx": 0x4000_0000}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("compat", "6203", {"rbx": 0x3FFF_FFFC}, (PAGE_FAULT, 0, 0x4000_0000)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), BOUND_FAULTS)
def test_bound_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)


@pytest.mark.parametrize("old", range(4))
@pytest.mark.parametrize("new", range(4))
def test_arpl(engine, old, new):
    """The higher RPL prevails, and ZF tells whether it was the source's."""
    raised, result = old < new, max(old, new)
    before = {"rflags": 0xA97 | 0x40 * (not raised), "rcx": 0xAAA8 | new}
    flags = "CPAZSO" if raised else "CPASO"
    after = {"rbx": 0x1111_2220 | result}
    registers = before | {"rbx": 0x1111_2220 | old}
    for mode in ("pm16", "pm32", "compat"):
        check_case(engine, mode, "63cb", registers | {"rflags": 0xAD7}, after, flags)
    memory = before | {"rbx": DATA, (DATA, 2): 0x20 | old, "rflags": 0xAD7}
    check_case(engine, "pm32", "630b", memory, {(DATA, 2): 0x20 | result}, flags)


def test_arpl_at_a_device(engine):
    """It is written only when the RPL is raised."""
    before = {"rbx": MMIO, "rcx": 2, "rflags": 0x42}
    accesses = [Read(MMIO, 2), Write(MMIO, 2, 0x22)]
    check_case(engine, "pm32", "630b", before, {}, "Z", [0x21], accesses)
    check_case(engine, "pm32", "630b", before, {}, "", [0x23], accesses[:1])


def test_arpl_needs_a_writable_destination(engine):
    registers = {"rbx": DATA, "rcx": 0, (DATA, 2): 3}
    machine = Machine(engine, "compat", "630b", registers)
    machine.state.cr0 |= CR0_WP
    machine.pte(DATA, DATA | P | US)
    check_fault(machine, PAGE_FAULT, 3, DATA)
    read_only = {"ds": Segment(16, 0, 0xFFFF_FFFF, 0xC091)}
    check_fault(Machine(engine, "pm32", "630b", registers | read_only), GP)


@pytest.mark.parametrize("code", ["63cb", "630f"])
def test_arpl_without_protection(engine, code):
    """No such instruction in real-address and virtual-8086 mode, wherever its operand is."""
    check_fault(Machine(engine, "real", code, {"rbx": LOW}), UD)
    machine = Machine(engine, "pm16", code, {"rbx": LOW})
    machine.state.rflags |= VM
    check_fault(machine, UD)


@pytest.mark.parametrize("code", ["f0630b", "f0620b"])
def test_neither_takes_lock(engine, code):
    check_fault(Machine(engine, "pm32", code, {"rbx": DATA}), UD)
