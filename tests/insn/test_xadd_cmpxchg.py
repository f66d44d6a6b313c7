# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""XADD and CMPXCHG (SDM vol. 2): values, flags, the write of a comparison that fails."""

import pytest

from insn.machine import (
    CR0_WP,
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    ROM,
    SS_FAULT,
    UD,
    US,
    Machine,
    P,
    Segment,
    check_case,
    check_fault,
)
from vmmkit.insn import Read, Write

ONES = (1 << 64) - 1
HIGH = 0xAAAA_AAAA_0000_0000

XADD = [
    ("long", "0fc1d8", {"rax": 1, "rbx": 2}, {"rax": 3, "rbx": 1}, "P"),
    ("long", "480fc1d8", {"rax": ONES, "rbx": 1}, {"rax": 0, "rbx": ONES}, "CPAZ"),
    ("long", "0fc1d8", {"rax": HIGH | 1, "rbx": HIGH}, {"rax": 1, "rbx": 1}, ""),
    ("long", "660fc1d8", {"rax": HIGH | 0x7FFF, "rbx": HIGH | 1},
     {"rax": HIGH | 0x8000, "rbx": HIGH | 0x7FFF}, "PASO"),
    ("long", "0fc0e0", {"rax": 0x1234}, {"rax": 0x3446}, ""),  # al, ah
    ("long", "0fc1c0", {"rax": ONES}, {"rax": 0xFFFF_FFFE}, "CAS"),  # the sum prevails
    ("long", "0fc0c0", {"rax": 0x81}, {"rax": 2}, "CO"),
    ("long", "4d0fc1c8", {"r8": 5, "r9": 6}, {"r8": 11, "r9": 5}, ""),
    ("long", "0fc103", {"rax": HIGH | 2, "rbx": DATA, (DATA, 4): 3},
     {"rax": 3, (DATA, 4): 5}, "P"),
    ("long", "f00fc103", {"rax": 2, "rbx": DATA, (DATA, 4): 3}, {"rax": 3, (DATA, 4): 5}, "P"),
    ("long", "f00fc11b", {"rbx": DATA, (DATA, 4): 3}, {"rbx": 3, (DATA, 4): DATA + 3}, "P"),
    ("long", "f0480fc103", {"rax": 2, "rbx": DATA + 0xFFC, (DATA + 0xFFC, 8): 3},
     {"rax": 3, (DATA + 0xFFC, 8): 5}, "P"),
    ("long", "f0660fc103", {"rax": 2, "rbx": DATA + 3, (DATA + 3, 2): 3},
     {"rax": 3, (DATA + 3, 2): 5}, "P"),
    ("pm32", "0fc003", {"rax": 2, "rbx": DATA, (DATA, 1): 3}, {"rax": 3, (DATA, 1): 5}, "P"),
    ("real", "0fc107", {"rax": 2, "rbx": DATA, (DATA, 2): 3}, {"rax": 3, (DATA, 2): 5}, "P"),
    ("compat", "660fc103", {"rax": 2, "rbx": DATA, (DATA, 2): 3},
     {"rax": 3, (DATA, 2): 5}, "P"),
]  # fmt: skip

CMPXCHG = [
    # equal: the source is written, rAX is not touched at all
    ("long", "0fb1cb", {"rax": HIGH | 5, "rbx": HIGH | 5, "rcx": HIGH | 7}, {"rbx": 7}, "PZ"),
    ("long", "480fb1cb", {"rax": 5, "rbx": 5, "rcx": ONES}, {"rbx": ONES}, "PZ"),
    ("long", "0fb0cb", {"rax": 0x105, "rbx": 0x205, "rcx": 0x307}, {"rbx": 0x207}, "PZ"),
    ("long", "0fb0e0", {"rax": 0x1234}, {"rax": 0x1212}, "PZ"),  # al with itself
    ("long", "0fb1d8", {"rax": ONES, "rbx": 9}, {"rax": 9}, "PZ"),
    # unequal: rAX is written, and zero-extended; a register destination is left alone
    ("long", "0fb1cb", {"rax": HIGH | 5, "rbx": HIGH | 6, "rcx": 7}, {"rax": 6}, "CPAS"),
    ("long", "480fb1cb", {"rax": 5, "rbx": 6, "rcx": 7}, {"rax": 6}, "CPAS"),
    ("long", "660fb1cb", {"rax": HIGH | 6, "rbx": 5, "rcx": 7}, {"rax": HIGH | 5}, ""),
    ("long", "0fb0e7", {"rax": 0x1234, "rbx": 0x5634}, {"rax": 0x1256}, "CPAS"),  # bh, ah
    ("long", "0fb10b", {"rax": 5, "rbx": DATA, "rcx": 7, (DATA, 4): 5}, {(DATA, 4): 7}, "PZ"),
    ("long", "0fb10b", {"rax": HIGH, "rbx": DATA, "rcx": 7, (DATA, 4): 3}, {"rax": 3}, "CAS"),
    ("long", "f00fb10b", {"rax": 5, "rbx": DATA, "rcx": 7, (DATA, 4): 5}, {(DATA, 4): 7}, "PZ"),
    ("long", "f00fb10b", {"rax": HIGH, "rbx": DATA, "rcx": 7, (DATA, 4): 3}, {"rax": 3}, "CAS"),
    ("real", "0fb10f", {"rax": 5, "rbx": DATA, "rcx": 7, (DATA, 2): 5}, {(DATA, 2): 7}, "PZ"),
    ("pm32", "f00fb00b", {"rax": 5, "rbx": DATA, "rcx": 7, (DATA, 1): 5}, {(DATA, 1): 7}, "PZ"),
    ("compat", "f00fb10b", {"rax": 1, "rbx": DATA + 0xFFE, "rcx": 7, (DATA + 0xFFE, 4): 1},
     {(DATA + 0xFFE, 4): 7}, "PZ"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "code", "before", "after", "flags"), XADD + CMPXCHG)
def test_values(engine, mode, code, before, after, flags):
    check_case(engine, mode, code, {"rflags": 0xAD7, **before}, after, flags)


@pytest.mark.parametrize("prefix", ["", "f0"])
def test_device_is_read_and_written(engine, prefix):
    """Also by a comparison that fails, which writes back what it found."""
    at = {"rbx": MMIO, "rcx": 7}
    found = [Read(MMIO, 4)]
    code = f"{prefix}0fc10b"
    check_case(engine, "long", code, at, {"rcx": 3}, "P", [3], [*found, Write(MMIO, 4, 10)])
    code = f"{prefix}0fb10b"
    equal = at | {"rax": 3}
    check_case(engine, "long", code, equal, {}, "PZ", [3], [*found, Write(MMIO, 4, 7)])
    check_case(engine, "long", code, at, {"rax": 3}, "CAS", [3], [*found, Write(MMIO, 4, 3)])


def test_rom_is_read_at_once_and_written_as_a_device(engine):
    before = {"rbx": ROM, "rcx": 7, "rax": 0x5A5A_5A5B}
    accesses = [Write(ROM, 4, 0x5A5A_5A5A)]
    check_case(engine, "long", "f00fb10b", before, {"rax": 0x5A5A_5A5A}, "", [], accesses)


@pytest.mark.parametrize("code", ["f00fc103", "0fc103", "f00fb10b", "0fb10b", "8703"])
def test_a_page_must_be_writable_whatever_the_comparison_says(engine, code):
    machine = Machine(engine, "long", code, {"rbx": DATA, "rax": 1, (DATA, 4): 2})
    machine.state.cr0 |= CR0_WP
    machine.pte(DATA, DATA | P | US)
    check_fault(machine, PAGE_FAULT, 3, DATA)


FAULTS = [
    ("long", "f00fc1c0", {}, (UD,)),
    ("long", "f00fb1c8", {}, (UD,)),
    ("long", "0fb10b", {"rbx": 1 << 63}, (GP,)),
    ("long", "0fc10c24", {"rsp": 1 << 63}, (SS_FAULT,)),
    ("long", "0fb10b", {"rbx": 0x4000_0000}, (PAGE_FAULT, 2, 0x4000_0000)),
    ("pm32", "0fb10b", {"rbx": DATA, "ds": Segment(16, 0, 0xFFFF_FFFF, 0xC091)}, (GP,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)
