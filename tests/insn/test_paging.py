# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Page walks: 4 and 5 levels, large pages, rights, and every bit of the error code.

SDM vol. 3A, "4-Level Paging and 5-Level Paging" and "Interrupt 14 - Page-Fault Exception (#PF)".
"""

import pytest

from insn.machine import (
    CODE,
    CR0_WP,
    CR4_LA57,
    DATA,
    EFER_NXE,
    MARKED,
    MMIO,
    PAGE_FAULT,
    PD,
    PDPT,
    PML4,
    PML5,
    PS,
    PT,
    RW,
    US,
    XD,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.insn import Cpu, Done, Fault, Read, Write

LOAD, STORE, RMW = "8b03", "8903", "0103"
PRESENT, WRITE, USER, RSVD, FETCH = 1, 2, 4, 8, 16


def machine_with(engine, code, entry, *, ring=0, wp=False, nxe=False):
    """One instruction whose data page has the given page-table entry flags."""
    machine = Machine(engine, "long", code, {"rbx": DATA})
    if ring:
        machine.ring3()
    machine.state.cr0 |= CR0_WP if wp else 0
    machine.state.efer |= EFER_NXE if nxe else 0
    machine.pte(DATA, DATA | entry)
    return machine


# access, entry, ring, WP, error code (None: allowed)
RIGHTS = [
    (LOAD, 0, 0, False, 0),
    (LOAD, 0, 3, False, USER),
    (STORE, 0, 0, False, WRITE),
    (STORE, 0, 3, False, WRITE | USER),
    (RMW, 0, 0, False, WRITE),  # a read-modify-write faults as a write from the start
    (LOAD, P, 0, True, None),
    (LOAD, P, 3, False, PRESENT | USER),
    (LOAD, P | US, 3, False, None),
    (STORE, P, 0, False, None),  # without WP the supervisor writes anywhere
    (STORE, P, 0, True, PRESENT | WRITE),
    (STORE, P | US, 0, True, PRESENT | WRITE),
    (STORE, P | US, 3, False, PRESENT | WRITE | USER),
    (STORE, P | RW, 3, False, PRESENT | WRITE | USER),
    (STORE, P | RW | US, 3, True, None),
    (RMW, P | US, 3, False, PRESENT | WRITE | USER),
    (RMW, P, 0, True, PRESENT | WRITE),
    (STORE, P | RW, 0, True, None),
    (LOAD, P | RW, 0, False, None),
]


@pytest.mark.parametrize(("code", "entry", "ring", "wp", "error"), RIGHTS)
def test_rights(engine, code, entry, ring, wp, error):
    machine = machine_with(engine, code, entry, ring=ring, wp=wp)
    if error is None:
        assert isinstance(machine.step(), Done)
    else:
        check_fault(machine, PAGE_FAULT, error, DATA)


@pytest.mark.parametrize("table", [PML4, PDPT, PD, PT + 8 * (DATA >> 12)])
@pytest.mark.parametrize(
    ("removed", "ring", "code", "error"),
    [
        (P, 0, LOAD, 0),
        (RW, 3, STORE, PRESENT | WRITE | USER),
        (US, 3, LOAD, PRESENT | USER),
    ],
)
def test_rights_are_needed_at_every_level(engine, table, removed, ring, code, error):
    machine = Machine(engine, "long", code, {"rbx": DATA})
    if ring:
        machine.ring3()
    # fetching goes through a page of its own below another PML4 entry, which stays whole
    machine.poke(PML4 + 8 * 256, 0x45000 | 7 | MARKED, 8)
    machine.poke(0x45000, 0x46000 | 7 | MARKED, 8)
    machine.poke(0x46000, 0 | PS | 7 | MARKED, 8)
    machine.state.rip = 0xFFFF_8000_0000_0000 + CODE
    machine.poke(table, machine.peek(table, 8) & ~removed, 8)
    check_fault(machine, PAGE_FAULT, error, DATA)


@pytest.mark.parametrize("level", range(4))
def test_execute_disable_counts_at_any_level(engine, level):
    table = (PML4, PDPT, PD, PT + 8 * (CODE >> 12))[level]
    machine = Machine(engine, "long", "90")
    machine.poke(table, machine.peek(table, 8) | XD, 8)
    machine.state.efer |= EFER_NXE
    check_fault(machine, PAGE_FAULT, PRESENT | FETCH, CODE)
    machine.state.efer &= ~EFER_NXE  # without NXE the bit is reserved
    check_fault(machine, PAGE_FAULT, PRESENT | RSVD, CODE)


def test_execute_disable_does_not_stop_data(engine):
    machine = machine_with(engine, LOAD, P | XD, nxe=True)
    assert isinstance(machine.step(), Done)
    check_fault(machine_with(engine, LOAD, P | XD), PAGE_FAULT, PRESENT | RSVD, DATA)
    check_fault(machine_with(engine, STORE, P | XD), PAGE_FAULT, PRESENT | RSVD | WRITE, DATA)


@pytest.mark.parametrize("nxe", [False, True])
@pytest.mark.parametrize("ring", [0, 3])
def test_fetch_sets_the_instruction_bit_only_with_nxe(engine, nxe, ring):
    machine = Machine(engine, "long", "90")
    if ring:
        machine.ring3()
    machine.state.efer |= EFER_NXE if nxe else 0
    machine.pte(CODE, 0)
    error = (FETCH if nxe else 0) | (USER if ring else 0)
    check_fault(machine, PAGE_FAULT, error, CODE)


def test_user_code_on_a_supervisor_page(engine):
    machine = Machine(engine, "long", "90").ring3()
    machine.state.efer |= EFER_NXE
    machine.pte(CODE, CODE | P | RW)
    check_fault(machine, PAGE_FAULT, PRESENT | USER | FETCH, CODE)


@pytest.mark.parametrize(
    ("table", "bits"),
    [
        (PML4, PS),
        (PDPT, PS | 1 << 13),
        (PDPT, PS | 1 << 29),
        (PD, PS | 1 << 13),
        (PD, PS | 1 << 20),
    ],
)
def test_reserved_bits(engine, table, bits):
    """PS above a PDPTE, and the low address bits of large pages."""
    machine = Machine(engine, "long", "90")
    machine.poke(table, P | RW | US | bits, 8)
    check_fault(machine, PAGE_FAULT, PRESENT | RSVD, CODE)


def test_bit_12_of_a_large_page_is_pat_and_bit_7_of_a_pte_too(engine):
    machine = Machine(engine, "long", LOAD, {"rbx": DATA, (DATA, 4): 5})
    machine.pte(DATA, DATA | P | PS)
    machine.step()
    assert machine.state.rax == 5
    machine = Machine(engine, "long", LOAD, {"rbx": DATA, (DATA, 4): 5})
    machine.poke(PD, P | RW | PS | 1 << 12, 8)
    machine.step()
    assert machine.state.rax == 5


@pytest.mark.parametrize(
    ("linear", "gpa"),
    [
        (0x3FE0_0000 | 0x1F_FFF8, 0x3FFF_FFF8),  # the last 2 MiB page
        (1 << 30 | 0x2345_6780, 1 << 35 | 0x2345_6780),  # a 1 GiB page
        (0xFFFF_8000_0000_1000, MMIO),  # the upper half
    ],
)
def test_page_sizes(engine, linear, gpa):
    machine = Machine(engine, "long", "488b03", {"rbx": linear})
    machine.poke(PDPT + 8, 1 << 35 | PS | P, 8)
    machine.poke(PML4 + 8 * 256, 0x45000 | P, 8)
    machine.poke(0x45000, 0x46000 | P, 8)
    machine.poke(0x46000, 0x47000 | P, 8)
    machine.poke(0x47000 + 8, MMIO | P, 8)
    assert machine.step() == Read(gpa, 8)


@pytest.mark.parametrize("linear", [DATA, 1 << 48 | DATA, 0xFF00_0000_0000_0000 | DATA])
def test_five_levels(engine, linear):
    machine = Machine(engine, "long", LOAD, {"rbx": linear, (DATA, 4): 5})
    machine.state.cr4 |= CR4_LA57
    machine.state.cr3 = PML5
    machine.poke(PML5 + 8 * 1, PML4 | P, 8)
    machine.poke(PML5 + 8 * 256, PML4 | P, 8)
    assert isinstance(machine.step(), Done)
    assert machine.state.rax == 5
    machine.poke(PML5 + 8 * (linear >> 48 & 511), PML4 | P | PS, 8)
    machine.state.rip = CODE
    address = linear if linear != DATA else CODE
    assert machine.step() == Fault(PAGE_FAULT, PRESENT | RSVD, address)


def test_cr3_s_low_bits_are_no_address(engine):
    machine = Machine(engine, "long", "90", {"cr3": PML4 | 0xFFF})
    assert isinstance(machine.step(), Done)


def test_a_crossing_access_checks_both_pages_first(engine):
    """The address reported is the first byte that faults; nothing was written before."""
    address = DATA + 0xFFC
    machine = Machine(engine, "long", "488903", {"rbx": address, "rax": (1 << 64) - 1})
    machine.pte(DATA + 0x1000, 0)
    check_fault(machine, PAGE_FAULT, WRITE, DATA + 0x1000)
    machine.pte(DATA, 0)
    check_fault(machine, PAGE_FAULT, WRITE, address)
    machine = Machine(engine, "long", "480103", {"rbx": address, "rax": 1})
    machine.pte(DATA + 0x1000, DATA + 0x1000 | P)
    machine.state.cr0 |= CR0_WP
    check_fault(machine, PAGE_FAULT, PRESENT | WRITE, DATA + 0x1000)


def test_crossing_pages_may_lie_apart(engine):
    machine = Machine(engine, "long", "488903", {"rbx": DATA + 0xFFD, "rax": 0x8877665544332211})
    machine.pte(DATA + 0x1000, 0x1_5000 | P | RW)
    assert isinstance(machine.step(), Done)
    assert machine.peek(DATA + 0xFFD, 3) == 0x332211
    assert machine.peek(0x1_5000, 5) == 0x8877665544


def test_tables_in_a_device(engine):
    """Each entry is read once; the fetch's reads are not mixed up with the operand's."""
    machine = Machine(engine, "long", LOAD, {"rbx": DATA, (DATA, 4): 0x77, "cr3": MMIO})
    entry = PDPT | P | RW | MARKED
    accesses, outcome = machine.finish([entry, entry])
    assert accesses == [Read(MMIO, 8), Read(MMIO, 8)]
    assert outcome == Done(CODE + 2, 0)
    assert machine.state.rax == 0x77


def test_compatibility_mode_uses_the_same_tables(engine):
    check_case(engine, "compat", LOAD, {"rbx": DATA, (DATA, 4): 5}, {"rax": 5})
    machine = Machine(engine, "compat", STORE, {"rbx": DATA})
    machine.pte(DATA, 0)
    check_fault(machine, PAGE_FAULT, WRITE, DATA)


def test_no_paging_reaches_all_of_4_gib(engine):
    cpu = Cpu([(0, bytes.fromhex("a3f0ffffff") + bytes(4091))], engine=engine)
    cpu.state.enter_protected_mode(0)
    cpu.state.rax = 1
    assert cpu.step() == Write(0xFFFF_FFF0, 4, 1)
