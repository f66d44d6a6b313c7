# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""#AC: what is checked, when, and what comes first.

SDM vol. 3A, "Interrupt 17 - Alignment Check Exception (#AC)". `test_against_processor.py` has the
processor judge the same; here are the modes and accesses that it cannot run.
"""

import pytest

from insn.machine import (
    AC,
    ALIGNMENT,
    CODE,
    CR0_AM,
    DATA,
    GDT,
    GP,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    STACK,
    TSS,
    VM,
    Machine,
    check_fault,
)
from vmmkit.insn import Done, PortIn, Read, Segment

PROTECTED = ("pm16", "pm32", "pg32", "pae", "compat", "long")


def strict(engine, mode, code, registers):
    """A machine at CPL 3 with both bits that ask for the check."""
    machine = Machine(engine, mode, code, {"rflags": 2 | AC} | registers).ring3()
    machine.state.cr0 |= CR0_AM
    return machine


# code, size of the access
DATA_ACCESSES = [
    ("8a03", 1),
    ("668b03", 2),
    ("8b03", 4),
    ("8903", 4),
    ("0103", 4),
    ("663903", 2),
    ("8e03", 2),  # a selector
    ("8713", 4),
    ("488b03", 8),
    ("488713", 8),
    ("48c70301000000", 8),
]


@pytest.mark.parametrize(("code", "size"), DATA_ACCESSES)
@pytest.mark.parametrize("offset", range(9))
def test_each_size_is_aligned_to_itself(engine, code, size, offset):
    machine = strict(engine, "long", code, {"rbx": DATA + offset})
    if offset % size:
        check_fault(machine, ALIGNMENT)
    else:
        assert isinstance(machine.step(), Done)


@pytest.mark.parametrize("mode", PROTECTED)
def test_every_protected_mode_checks(engine, mode):
    check_fault(strict(engine, mode, "8907", {"rbx": DATA + 1, "rdi": DATA + 1}), ALIGNMENT)


@pytest.mark.parametrize(
    ("ring", "cr0", "rflags", "checked"),
    [(3, CR0_AM, AC, True), (3, 0, AC, False), (3, CR0_AM, 0, False), (0, CR0_AM, AC, False)],
)
@pytest.mark.parametrize("mode", PROTECTED)
def test_cpl_am_and_ac_must_all_ask(engine, mode, ring, cr0, rflags, checked):
    machine = Machine(engine, mode, "8b07", {"rbx": DATA + 1, "rdi": DATA + 1})
    if ring:
        machine.ring3()
    machine.state.cr0 |= cr0
    machine.state.rflags |= rflags
    if checked:
        check_fault(machine, ALIGNMENT)
    else:
        assert isinstance(machine.step(), Done)


@pytest.mark.parametrize("ring", [1, 2])
def test_only_cpl_3_is_checked(engine, ring):
    machine = Machine(engine, "pm32", "8b03", {"rbx": DATA + 1, "rflags": 2 | AC})
    machine.state.cr0 |= CR0_AM
    machine.state.ss = Segment(0x10 | ring, 0, 0xFFFF_FFFF, 0xC093 | ring << 5)
    assert isinstance(machine.step(), Done)


def test_real_mode_is_never_checked_and_virtual_8086_mode_is(engine):
    registers = {"rbx": DATA + 1, "rflags": 2 | AC}
    machine = Machine(engine, "real", "8b07", registers)
    machine.state.cr0 |= CR0_AM
    assert isinstance(machine.step(), Done)
    machine = Machine(engine, "pm16", "8b07", registers)
    machine.state.cr0 |= CR0_AM
    machine.state.rflags |= VM
    check_fault(machine, ALIGNMENT)


def test_the_linear_address_counts(engine):
    machine = strict(engine, "pm32", "8b03", {"rbx": DATA + 1})
    machine.state.ds = Segment(0x13, 3, 0xFFFF_FFFF, 0xC0F3)
    assert isinstance(machine.step(), Done)
    machine = strict(engine, "long", "65488b03", {"rbx": DATA})
    machine.state.gs = Segment(0, 4, 0, 0)
    check_fault(machine, ALIGNMENT)


@pytest.mark.parametrize(
    ("code", "registers"),
    [
        ("50", {"rsp": STACK - 4}),  # push rax
        ("58", {"rsp": STACK - 4}),  # pop rax
        ("e800000000", {"rsp": STACK + 1}),  # call
        ("c3", {"rsp": STACK + 2}),  # ret
        ("ff33", {"rbx": DATA + 4}),  # push qword [rbx]
        ("8f03", {"rbx": DATA + 4}),  # pop qword [rbx]
        ("ff23", {"rbx": DATA + 4}),  # jmp [rbx]
        ("a5", {"rsi": DATA + 2, "rdi": DATA}),  # movsd
        ("a5", {"rsi": DATA, "rdi": DATA + 2}),
        ("66ab", {"rdi": DATA + 1}),  # stosw
        ("48a10420000000000000", {}),  # mov rax, [2004]
    ],
)
def test_implicit_operands(engine, code, registers):
    check_fault(strict(engine, "long", code, registers), ALIGNMENT)


def test_words_on_the_stack_need_2_bytes_only(engine):
    machine = strict(engine, "long", "6650", {"rsp": STACK - 2})
    assert isinstance(machine.step(), Done)


def test_devices_are_checked_like_memory(engine):
    check_fault(strict(engine, "long", "8b03", {"rbx": MMIO + 2}), ALIGNMENT)
    assert strict(engine, "long", "8b03", {"rbx": MMIO + 4}).step() == Read(MMIO + 4, 4)


def test_fetching_is_not_checked(engine):
    machine = strict(engine, "long", "90", {})
    machine.poke(CODE + 1, bytes.fromhex("89d8"))
    machine.state.rip = CODE + 1
    assert machine.step() == Done(CODE + 3, 0)


def test_system_tables_are_not_checked(engine):
    machine = strict(engine, "long", "8ed8", {"rax": 0xB})
    machine.descriptor(1, 0, 0xFFFFF, 0xC0F3)
    machine.poke(GDT + 2, bytes(machine.low[GDT : GDT + 16]))
    machine.state.gdtr_base = GDT + 2
    assert isinstance(machine.step(), Done)
    machine = strict(engine, "long", "ec", {"rdx": 0x60})
    machine.state.tr = Segment(0x28, TSS + 1, 0xFF, 0x8B)
    machine.poke(TSS + 1 + 102, 0x68, 2)
    assert machine.step() == PortIn(0x60, 1)


# code, registers, hole in the page tables, what is raised: vector, error code, CR2
PRIORITIES = [
    ("8b03", {"rbx": (1 << 63) + 1}, None, (GP, 0, 0)),
    ("c3", {"rsp": (1 << 63) + 1}, None, (SS_FAULT, 0, 0)),
    ("8b03", {"rbx": DATA + 1}, DATA, (ALIGNMENT, 0, 0)),  # before the page fault
    ("8b03", {"rbx": DATA + 0xFFE}, DATA + 0x1000, (ALIGNMENT, 0, 0)),
    # Operands are checked one after the other, each against everything.
    ("a5", {"rsi": DATA, "rdi": STACK + 1}, DATA, (PAGE_FAULT, 4, DATA)),
    ("a5", {"rsi": STACK + 1, "rdi": DATA}, DATA, (ALIGNMENT, 0, 0)),
    ("ff33", {"rbx": DATA, "rsp": STACK + 1}, DATA, (PAGE_FAULT, 4, DATA)),
    ("8f03", {"rbx": DATA, "rsp": STACK + 1}, DATA, (ALIGNMENT, 0, 0)),
]


@pytest.mark.parametrize(("code", "registers", "hole", "expected"), PRIORITIES)
def test_what_comes_first(engine, code, registers, hole, expected):
    machine = strict(engine, "long", code, registers)
    if hole is not None:
        machine.pte(hole, 0)
    check_fault(machine, *expected)


def test_the_limit_comes_first(engine):
    machine = strict(engine, "pm32", "8b03", {"rbx": DATA + 1})
    machine.state.ds = Segment(0x13, 0, DATA, 0xC0F3)
    check_fault(machine, GP)


def test_a_repeated_instruction_stops_at_the_element(engine):
    machine = strict(engine, "long", "f3a5", {"rsi": DATA, "rdi": DATA + 0x100, "rcx": 3})
    machine.state.rflags &= ~AC
    assert isinstance(machine.step(), Done)
    machine = strict(engine, "long", "f3a5", {"rsi": DATA, "rdi": DATA + 0x102, "rcx": 3})
    check_fault(machine, ALIGNMENT)
