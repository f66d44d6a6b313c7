# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What keeps the supervisor out of user pages, and protection keys, which keep everybody out.

SDM vol. 3A, "Access Rights" and "Protection Keys".
"""

import pytest

from insn.machine import (
    AC,
    CODE,
    CR0_WP,
    CR4_PKE,
    CR4_SMAP,
    CR4_SMEP,
    DATA,
    EFER_NXE,
    GDT,
    MARKED,
    PAGE_FAULT,
    PAGED,
    PD,
    PDPT,
    PML4,
    PS,
    RW,
    STACK,
    TSS,
    US,
    XD,
    Machine,
    P,
    check_fault,
)
from vmmkit.insn import Done, Segment

LOAD, STORE, NOP = "8b03", "8903", "90"
PRESENT, WRITE, USER, RSVD, FETCH, KEY = 1, 2, 4, 8, 16, 32


def supervisor_code(machine):
    """Make the code page a supervisor page, as SMEP wants it."""
    machine.pte(CODE, CODE | P | RW)


def data_machine(engine, mode, code, *, cr4=0, rflags=2, entry=P | RW | US, ring=0):
    machine = Machine(engine, mode, code, {"rbx": DATA, "rflags": rflags})
    machine.state.cr4 |= cr4
    machine.pte(DATA, DATA | entry)
    if ring:
        machine.ring3()
    else:
        supervisor_code(machine)
    return machine


def check(machine, error, address=DATA):
    if error is None:
        assert isinstance(machine.step(), Done)
    else:
        check_fault(machine, PAGE_FAULT, error, address)


# control bits, code, RFLAGS, rights of the page, ring, error code (None: allowed)
SMAP_CASES = [
    (0, LOAD, 2, US, 0, None),
    (CR4_SMAP, LOAD, 2, US, 0, PRESENT),
    (CR4_SMAP, STORE, 2, US | RW, 0, PRESENT | WRITE),
    (CR4_SMAP, LOAD, 2 | AC, US, 0, None),
    (CR4_SMAP, STORE, 2 | AC, US | RW, 0, None),
    (CR4_SMAP, STORE, 2 | AC, US, 0, None),  # WP is off
    (CR4_SMAP, LOAD, 2, 0, 0, None),  # a supervisor page
    (CR4_SMAP, LOAD, 2, US, 3, None),  # user code on a user page
    (CR4_SMAP, LOAD, 2, 0, 3, PRESENT | USER),
    (CR4_SMEP, LOAD, 2, US, 0, None),  # SMEP is about fetching
]


@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize(("cr4", "code", "rflags", "rights", "ring", "error"), SMAP_CASES)
def test_smap(engine, mode, cr4, code, rflags, rights, ring, error):
    check(
        data_machine(engine, mode, code, cr4=cr4, rflags=rflags, entry=P | rights, ring=ring), error
    )


@pytest.mark.parametrize("rights", [US, RW])
def test_a_user_page_is_one_at_every_level(engine, rights):
    """A supervisor entry anywhere above makes it a supervisor page, which SMAP leaves alone."""
    machine = data_machine(engine, "long", LOAD, cr4=CR4_SMAP)
    machine.poke(PD, machine.peek(PD, 8) & ~rights, 8)
    check(machine, None if rights == US else PRESENT)


@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize("nxe", [False, True])
def test_smep(engine, mode, nxe):
    machine = Machine(engine, mode, NOP)
    machine.state.efer |= EFER_NXE if nxe else 0
    machine.state.cr4 |= CR4_SMEP
    check_fault(machine, PAGE_FAULT, PRESENT | FETCH, CODE)
    supervisor_code(machine)
    check(machine, None)


@pytest.mark.parametrize("mode", PAGED)
def test_smep_lets_user_code_run(engine, mode):
    machine = Machine(engine, mode, NOP).ring3()
    machine.state.cr4 |= CR4_SMEP
    check(machine, None)


@pytest.mark.parametrize("mode", PAGED)
def test_smap_does_not_stop_fetching_nor_does_ac_help_against_smep(engine, mode):
    machine = Machine(engine, mode, NOP)
    machine.state.cr4 |= CR4_SMAP
    check(machine, None)
    machine = Machine(engine, mode, NOP)
    machine.state.cr4 |= CR4_SMEP
    machine.state.rflags |= AC
    check_fault(machine, PAGE_FAULT, PRESENT | FETCH, CODE)


@pytest.mark.parametrize(
    ("mode", "cr4", "nxe", "error"),
    [
        ("pg32", 0, False, 0),
        ("pg32", 0, True, 0),  # no XD in entries of 4 bytes
        ("pg32", CR4_SMEP, False, FETCH),
        ("pae", 0, False, 0),
        ("pae", 0, True, FETCH),
        ("pae", CR4_SMEP, False, FETCH),
        ("long", 0, False, 0),
        ("long", 0, True, FETCH),
        ("long", CR4_SMEP, False, FETCH),
    ],
)
def test_the_error_code_tells_a_fetch_where_fetches_can_be_refused(engine, mode, cr4, nxe, error):
    machine = Machine(engine, mode, NOP)
    machine.state.cr4 |= cr4
    machine.state.efer |= EFER_NXE if nxe else 0
    machine.pte(CODE, 0)
    check_fault(machine, PAGE_FAULT, error, CODE)
    machine.ring3()
    check_fault(machine, PAGE_FAULT, error | USER, CODE)


def load_segment_machine(engine, *, ring, rflags):
    """MOV DS, AX with the GDT on a user page."""
    machine = Machine(engine, "long", "8ed8", {"rax": 8 | ring, "rflags": rflags})
    machine.state.cr4 |= CR4_SMAP
    machine.descriptor(1, 0, 0xFFFFF, 0xC0F3)
    if ring:
        machine.ring3()
    return machine


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("rflags", [2, 2 | AC])
def test_implicit_accesses_are_never_excused(engine, ring, rflags):
    """Descriptor tables are read with supervisor rights at any CPL, and AC does not matter."""
    machine = load_segment_machine(engine, ring=ring, rflags=rflags)
    check_fault(machine, PAGE_FAULT, PRESENT, GDT + 8)
    machine.pte(GDT, GDT | P | RW)
    check(machine, None)


def test_the_io_bitmap_is_an_implicit_access(engine):
    machine = Machine(engine, "long", "ec", {"rdx": 0x60, "rflags": 2 | AC}).ring3()
    machine.state.cr4 |= CR4_SMAP
    machine.state.tr = Segment(0x28, TSS, 0xFF, 0x8B)
    machine.poke(TSS + 102, 0x68, 2)
    check_fault(machine, PAGE_FAULT, PRESENT, TSS + 102)


# Protection keys. PKRU bits, access, ring, WP, U/S and R/W of the page, error code.
AD, WD = 1, 2
KEY_CASES = [
    (0, LOAD, 3, False, US, None),
    (AD, LOAD, 3, False, US, PRESENT | USER | KEY),
    (AD, STORE, 3, False, US | RW, PRESENT | USER | WRITE | KEY),
    (WD, LOAD, 3, False, US, None),
    (WD, STORE, 3, False, US | RW, PRESENT | USER | WRITE | KEY),
    (AD, LOAD, 0, False, US, PRESENT | KEY),  # user pages are guarded from the supervisor too
    (WD, STORE, 0, False, US | RW, None),  # without WP it writes anywhere
    (WD, STORE, 0, True, US | RW, PRESENT | WRITE | KEY),
    (AD | WD, STORE, 0, True, RW, None),  # supervisor pages have no PKRU key
    (AD | WD, LOAD, 3, False, 0, PRESENT | USER),
    (WD, STORE, 3, False, US, PRESENT | USER | WRITE | KEY),  # denied twice: the bit is set
    (0, STORE, 3, False, US, PRESENT | USER | WRITE),
]


@pytest.mark.parametrize("mode", ["compat", "long"])
@pytest.mark.parametrize("key", [0, 1, 15])
@pytest.mark.parametrize(("rights", "code", "ring", "wp", "page", "error"), KEY_CASES)
def test_protection_keys(engine, mode, key, rights, code, ring, wp, page, error):
    machine = data_machine(engine, mode, code, cr4=CR4_PKE, entry=P | page | key << 59, ring=ring)
    machine.state.cr0 |= CR0_WP if wp else 0
    machine.state.pkru = rights << 2 * key
    check(machine, error)


@pytest.mark.parametrize("code", [LOAD, STORE])
@pytest.mark.parametrize("key", range(16))
def test_the_rights_of_other_keys_do_not_matter(engine, code, key):
    entry = P | RW | US | key << 59
    machine = data_machine(engine, "long", code, cr4=CR4_PKE, entry=entry, ring=3)
    machine.pte(CODE, CODE | P | US)
    machine.state.pkru = 0xFFFF_FFFF ^ 3 << 2 * key
    check(machine, None)


@pytest.mark.parametrize("mode", ["pg32", "pae"])
def test_protection_keys_are_for_4_and_5_levels(engine, mode):
    machine = data_machine(engine, mode, LOAD, cr4=CR4_PKE, ring=3)
    machine.state.pkru = 0xFFFF_FFFF
    check(machine, None)


def test_protection_keys_need_pke(engine):
    machine = data_machine(engine, "long", LOAD, ring=3, entry=P | US | 1 << 59)
    machine.state.pkru = 0xFFFF_FFFF
    check(machine, None)


def test_protection_keys_do_not_stop_fetching(engine):
    machine = Machine(engine, "long", NOP).ring3()
    machine.state.cr4 |= CR4_PKE
    machine.state.pkru = 0xFFFF_FFFF
    check(machine, None)


def test_the_key_is_that_of_the_entry_that_maps_the_page(engine):
    machine = data_machine(engine, "long", LOAD, cr4=CR4_PKE, ring=3)
    for table in (PML4, PDPT, PD):
        machine.poke(table, machine.peek(table, 8) | 7 << 59, 8)
    machine.state.pkru = AD << 14
    check(machine, None)
    machine = data_machine(engine, "long", "8b4304", cr4=CR4_PKE, ring=3)
    machine.state.rbx = 0x20_0000
    machine.poke(PD + 8, P | US | PS | MARKED | 7 << 59, 8)
    machine.state.pkru = AD << 14
    check(machine, PRESENT | USER | KEY, 0x20_0004)


def test_reserved_bits_come_before_keys_and_rights(engine):
    machine = data_machine(engine, "long", LOAD, cr4=CR4_PKE, ring=3, entry=P | US | XD)
    machine.state.pkru = AD
    check(machine, PRESENT | USER | RSVD)


def test_keys_guard_the_stack(engine):
    machine = data_machine(engine, "long", "50", cr4=CR4_PKE, ring=3)
    machine.state.pkru = WD
    check(machine, PRESENT | USER | WRITE | KEY, STACK - 8)
