# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`Cpu.translate`: what it tells, and that nothing can tell it was there."""

import pytest

from insn.machine import (
    AC,
    CODE,
    CR0_WP,
    CR4_LA57,
    CR4_PSE,
    CR4_SMAP,
    CR4_SMEP,
    DATA,
    EFER_NXE,
    GP,
    MARKED,
    MMIO,
    PAGE_FAULT,
    PAGED,
    PD,
    PD32,
    PDPT,
    PDPT_PAE,
    PML4,
    PML5,
    PS,
    PT,
    PT32,
    RW,
    US,
    XD,
    Machine,
    P,
)
from vmmkit.errors import StepError
from vmmkit.insn import (
    Done,
    Fault,
    MemoryAccess,
    PageAccess,
    PageEntry,
    Read,
    Translation,
    Write,
)

READ, WRITE, FETCH = PageAccess.READ, PageAccess.WRITE, PageAccess.FETCH
PRESENT, W, USER, RSVD, I_D = 1, 2, 4, 8, 16
ALL = P | RW | US | MARKED

PATHS = {
    "pg32": [(PD32, 4, PT32 | ALL), (PT32 + 8, 4, DATA | ALL)],
    "pae": [(PDPT_PAE, 8, PD | P), (PD, 8, PT | ALL), (PT + 16, 8, DATA | ALL)],
    "long": [
        *((PML4, 8, PDPT | ALL), (PDPT, 8, PD | ALL), (PD, 8, PT | ALL)),
        (PT + 16, 8, DATA | ALL),
    ],
}
PATHS["compat"] = PATHS["long"]


@pytest.mark.parametrize("mode", PAGED)
def test_a_translation_and_its_entries(engine, mode):
    path = tuple(PageEntry(*entry) for entry in PATHS[mode])
    found = Machine(engine, mode).cpu.translate(DATA + 0x123)
    assert found == Translation(DATA + 0x123, 4096, True, True, True, path)


@pytest.mark.parametrize("mode", ["real", "pm16", "pm32"])
def test_without_paging_linear_is_physical(engine, mode):
    cpu = Machine(engine, mode).cpu
    assert cpu.translate(0x1234) == Translation(0x1234, 4096, True, True, True, ())
    assert cpu.translate(0x1_0000_0004, WRITE, user=True).gpa == 4


@pytest.mark.parametrize(
    ("mode", "place", "entry", "linear", "gpa", "size"),
    [
        ("pg32", (PD32 + 4, 4), 0x80C0_0000, 0x7F_FFFF, 0x80FF_FFFF, 4 << 20),
        ("pae", (PD + 8, 8), 0x8000_0000, 0x3F_FFFF, 0x801F_FFFF, 2 << 20),
        ("long", (PD + 8, 8), 0x8000_0000, 0x3F_FFFF, 0x801F_FFFF, 2 << 20),
        ("long", (PDPT + 8, 8), 1 << 40, 0x7FFF_FFFF, 1 << 40 | 0x3FFF_FFFF, 1 << 30),
    ],
)
def test_large_pages(engine, mode, place, entry, linear, gpa, size):
    machine = Machine(engine, mode)
    machine.poke(place[0], entry | P | PS, place[1])
    found = machine.cpu.translate(linear)
    assert (found.gpa, found.page_size) == (gpa, size)
    assert (found.writable, found.user, found.executable) == (False, False, True)


def test_five_levels(engine):
    machine = Machine(engine, "long")
    machine.state.cr4 |= CR4_LA57
    machine.state.cr3 = PML5
    found = machine.cpu.translate(DATA)
    assert (found.gpa, len(found.entries)) == (DATA, 5)
    assert machine.cpu.translate(1 << 55) == Fault(PAGE_FAULT, 0, 1 << 55)
    assert machine.cpu.translate(1 << 57) == Fault(GP, 0, 0)


def test_addresses_that_are_not_canonical(engine):
    cpu = Machine(engine, "long").cpu
    assert cpu.translate(1 << 47) == Fault(GP, 0, 0)
    assert cpu.translate(1 << 47, None) == Fault(GP, 0, 0)
    assert cpu.translate(-1) == Fault(PAGE_FAULT, 0, (1 << 64) - 1)
    assert cpu.translate(1 << 64 | DATA).gpa == DATA


# rights of the page, access, user, control bits, error code (None: allowed)
RIGHTS = [
    (0, READ, False, 0, 0),
    (0, WRITE, True, 0, W | USER),
    (P, READ, False, 0, None),
    (P, READ, True, 0, PRESENT | USER),
    (P | US, WRITE, True, 0, PRESENT | W | USER),
    (P | US, WRITE, False, 0, None),
    (P | US, WRITE, False, CR0_WP, PRESENT | W),
    (P | RW | US, WRITE, True, 0, None),
    (P | US | XD, FETCH, True, 0, PRESENT | USER | I_D),
    (P | US, FETCH, True, 0, None),
]


@pytest.mark.parametrize(("entry", "access", "user", "cr0", "error"), RIGHTS)
def test_rights(engine, entry, access, user, cr0, error):
    machine = Machine(engine, "long")
    machine.state.efer |= EFER_NXE
    machine.state.cr0 |= cr0
    machine.pte(DATA, DATA | entry)
    found = machine.cpu.translate(DATA + 5, access, user=user)
    if error is None:
        assert found.gpa == DATA + 5
    else:
        assert found == Fault(PAGE_FAULT, error, DATA + 5)


def test_the_current_privilege_level_is_the_default(engine):
    machine = Machine(engine, "long")
    machine.pte(DATA, DATA | P)
    assert machine.cpu.translate(DATA).gpa == DATA
    machine.ring3()
    assert machine.cpu.translate(DATA) == Fault(PAGE_FAULT, PRESENT | USER, DATA)
    assert machine.cpu.translate(DATA, user=False).gpa == DATA


def test_smep_and_smap_are_judged(engine):
    machine = Machine(engine, "long")
    machine.state.cr4 |= CR4_SMEP | CR4_SMAP
    assert machine.cpu.translate(DATA) == Fault(PAGE_FAULT, PRESENT, DATA)
    assert machine.cpu.translate(DATA, FETCH) == Fault(PAGE_FAULT, PRESENT | I_D, DATA)
    machine.state.rflags |= AC
    assert machine.cpu.translate(DATA).gpa == DATA


def test_without_an_access_no_rights_are_checked(engine):
    """What a debugger wants: is there a page, whoever may use it."""
    machine = Machine(engine, "long").ring3()
    machine.state.efer |= EFER_NXE
    machine.pte(DATA, DATA | P | XD)
    found = machine.cpu.translate(DATA, None)
    assert (found.gpa, found.writable, found.user, found.executable) == (DATA, False, False, False)
    machine.pte(DATA, DATA)
    assert machine.cpu.translate(DATA, None) == Fault(PAGE_FAULT, USER, DATA)
    machine.state.efer &= ~EFER_NXE
    machine.pte(DATA, DATA | P | XD)
    assert machine.cpu.translate(DATA, None) == Fault(PAGE_FAULT, PRESENT | RSVD | USER, DATA)


@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize("access", [None, *PageAccess])
def test_nothing_is_touched(engine, mode, access):
    machine = Machine(engine, mode)
    for gpa, size, value in PATHS[mode]:
        machine.poke(gpa, value & ~MARKED, size)
    before = bytes(machine.low), bytes(machine.high), bytes(machine.state.record)
    assert machine.cpu.translate(DATA, access).gpa == DATA
    assert isinstance(machine.cpu.translate(0x7000_0000, access), Fault)
    assert (bytes(machine.low), bytes(machine.high), bytes(machine.state.record)) == before


def test_an_instruction_in_flight_does_not_notice(engine):
    machine = Machine(engine, "long", "0103", {"rbx": MMIO, "rax": 1})
    assert machine.step() == Read(MMIO, 4)
    record = bytes(machine.state.record)
    machine.pte(MMIO, 0)
    assert machine.cpu.translate(MMIO) == Fault(PAGE_FAULT, 0, MMIO)
    assert machine.cpu.translate(DATA).gpa == DATA
    assert machine.state.record == record
    assert machine.step(41) == Write(MMIO, 4, 42)
    assert isinstance(machine.step(), Done)


def test_tables_outside_of_ram(engine):
    """Without `read` the answer is which entry it takes; with it the walk goes on."""
    machine = Machine(engine, "long", registers={"cr3": MMIO})
    assert machine.cpu.translate(DATA) == Read(MMIO, 8)
    asked = []

    def read(gpa, size):
        asked.append((gpa, size))
        return 1 << 64 | PDPT | ALL  # what does not fit is cut

    found = machine.cpu.translate(DATA, read=read)
    assert found.gpa == DATA
    assert found.entries[0] == PageEntry(MMIO, 8, PDPT | ALL)
    assert asked == [(MMIO, 8)]


def test_32_bit_tables_outside_of_ram(engine):
    machine = Machine(engine, "pg32", registers={"cr3": MMIO})
    assert machine.cpu.translate(0x40_0000) == Read(MMIO + 4, 4)
    machine.state.cr4 |= CR4_PSE
    found = machine.cpu.translate(0x40_0000, read=lambda *_: 0x80_0000 | P | PS)
    assert found.gpa == 0x80_0000


def test_errors_of_the_reader_come_through(engine):
    machine = Machine(engine, "long", registers={"cr3": MMIO})

    def read(_gpa, _size):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        machine.cpu.translate(DATA, read=read)


def test_a_reader_that_returns_no_integer(engine):
    machine = Machine(engine, "long", registers={"cr3": MMIO})
    with pytest.raises(StepError, match="0x9000"):
        machine.cpu.translate(DATA, read=lambda *_: None)


@pytest.mark.parametrize("access", [MemoryAccess.READ, MemoryAccess.WRITE, 2, "READ"])
def test_an_access_of_another_kind_is_refused(engine, access):
    """Its number would mean something else."""
    with pytest.raises(StepError, match="PageAccess"):
        Machine(engine, "long").cpu.translate(DATA, access)


def test_a_state_that_a_backend_filled_is_enough(engine):
    """No instruction ever ran: registers, RAM, and a question."""
    machine = Machine(engine, "long")
    assert machine.cpu_on(engine).translate(CODE, FETCH).gpa == CODE
