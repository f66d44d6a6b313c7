# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Accessed and dirty bits: which entries get them, when, and with what else at work on the entry.

SDM vol. 3A, "Accessed and Dirty Flags".
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from insn.machine import (
    CODE,
    CR0_WP,
    CR4_LA57,
    DATA,
    EFER_NXE,
    HIGH_BASE,
    LOW,
    MMIO,
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
    A,
    D,
    Machine,
    P,
)
from vmmkit.insn import BudgetSpent, Cpu, Done, ExitKind, Fault, Read, Write

LOAD, STORE, RMW = "8b03", "8903", "0103"
LEVELS = {
    "pg32": ((PD32, 4), (PT32 + 4 * (DATA >> 12), 4)),
    "pae": ((PD, 8), (PT + 8 * (DATA >> 12), 8)),
    "compat": ((PML4, 8), (PDPT, 8), (PD, 8), (PT + 8 * (DATA >> 12), 8)),
    "long": ((PML4, 8), (PDPT, 8), (PD, 8), (PT + 8 * (DATA >> 12), 8)),
}


def unmark(machine):
    """Clear A and D on the way to `DATA`."""
    places = LEVELS[machine.mode]
    for gpa, size in places:
        machine.poke(gpa, machine.peek(gpa, size) & ~(A | D), size)
    return places


def marks(machine, places):
    return [machine.peek(gpa, size) & (A | D) for gpa, size in places]


@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize(("code", "last"), [(LOAD, A), (STORE, A | D), (RMW, A | D)])
def test_accessed_at_every_level_dirty_at_the_last(engine, mode, code, last):
    machine = Machine(engine, mode, code, {"rbx": DATA})
    places = unmark(machine)
    before = [machine.peek(gpa, size) for gpa, size in places]
    assert isinstance(machine.step(), Done)
    assert marks(machine, places) == [A] * (len(places) - 1) + [last]
    assert [machine.peek(gpa, size) & ~(A | D) for gpa, size in places] == before


@pytest.mark.parametrize("mode", PAGED)
def test_fetching_is_an_access(engine, mode):
    machine = Machine(engine, mode, "90")
    machine.pte(CODE, CODE | P | RW | US, marks=0)
    machine.step()
    gpa, size = machine.pte_place(CODE)
    assert machine.peek(gpa, size) == CODE | P | RW | US | A


def test_five_levels(engine):
    machine = Machine(engine, "long", STORE, {"rbx": DATA, "cr3": PML5})
    machine.state.cr4 |= CR4_LA57
    places = ((PML5, 8), *LEVELS["long"])
    machine.poke(PML5, PML4 | P | RW, 8)
    assert isinstance(machine.step(), Done)
    assert machine.peek(PML5, 8) == PML4 | P | RW | A
    assert marks(machine, places)[-1] == A | D


@pytest.mark.parametrize(
    ("mode", "place", "entry"),
    [
        ("pg32", (PD32 + 4 * 2, 4), 0x80_0000),
        ("pae", (PD + 8 * 4, 8), 0x80_0000),
        ("long", (PD + 8 * 4, 8), 0x80_0000),
    ],
)
@pytest.mark.parametrize(("code", "expected"), [(LOAD, A), (STORE, A | D)])
def test_large_pages_are_marked_where_they_are_mapped(engine, mode, place, entry, code, expected):
    machine = Machine(engine, mode, code, {"rbx": 0x80_0000})
    machine.poke(place[0], entry | P | RW | PS, place[1])
    machine.finish([0] if code == LOAD else [])
    assert machine.peek(*place) == entry | P | RW | PS | expected


def test_pae_pdptes_are_never_marked(engine):
    machine = Machine(engine, "pae", STORE, {"rbx": DATA})
    unmark(machine)
    machine.step()
    assert machine.peek(PDPT_PAE, 8) == PD | P


# what the entry of the data page is, code, ring
DENIED = [(0, LOAD, 0), (P, LOAD, 3), (P | US, STORE, 3), (P | XD, LOAD, 0), (P, STORE, 0)]


@pytest.mark.parametrize("mode", ["pae", "long"])
@pytest.mark.parametrize(("entry", "code", "ring"), DENIED)
def test_a_walk_that_fails_marks_nothing(engine, mode, entry, code, ring):
    """NXE is off, so XD is a reserved bit."""
    machine = Machine(engine, mode, code, {"rbx": DATA})
    machine.state.cr0 |= CR0_WP
    if ring:
        machine.ring3()
    places = unmark(machine)
    machine.pte(DATA, DATA | entry, marks=0)
    fetch = LEVELS[mode][:-1]  # the upper levels are those of the code page too
    assert isinstance(machine.step(), Fault)
    assert marks(machine, places)[-1] == 0
    assert marks(machine, fetch) == [A] * len(fetch)


def test_a_write_makes_dirty_what_was_accessed(engine):
    machine = Machine(engine, "long", STORE, {"rbx": DATA})
    machine.pte(DATA, DATA | P | RW, marks=A)
    machine.step()
    assert machine.peek(PT + 16, 8) == DATA | P | RW | A | D


def test_both_pages_of_a_crossing_write_are_dirty(engine):
    machine = Machine(engine, "long", STORE, {"rbx": DATA + 0xFFE})
    for page in (DATA, DATA + 0x1000):
        machine.pte(page, page | P | RW, marks=0)
    machine.step()
    assert [machine.peek(PT + 8 * page, 8) & (A | D) for page in (2, 3)] == [A | D] * 2


def test_the_rest_of_the_entry_stays(engine):
    machine = Machine(engine, "long", STORE, {"rbx": DATA, (DATA, 1): 1})
    machine.state.efer |= EFER_NXE
    entry = DATA | P | RW | 0xE00 | 0x7FF << 52 | XD
    machine.pte(DATA, entry, marks=0)
    machine.step()
    assert machine.peek(PT + 16, 8) == entry | A | D


def test_a_table_that_maps_itself(engine):
    """One entry is used twice in a walk, as the table and as the page."""
    linear = 511 << 39 | 511 << 30 | 511 << 21 | 511 << 12 | 0xFFFF << 48
    machine = Machine(engine, "long", STORE, {"rbx": linear | 8, "rax": 0x77})
    machine.poke(PML4 + 8 * 511, PML4 | P | RW, 8)
    assert isinstance(machine.step(), Done)
    assert machine.peek(PML4 + 8 * 511, 8) == PML4 | P | RW | A | D
    assert machine.peek(PML4 + 8, 4) == 0x77


def test_system_tables_are_marked_too(engine):
    """Loading a segment reads its descriptor, and writes its accessed bit."""
    machine = Machine(engine, "long", "8ed8", {"rax": 8})
    machine.descriptor(1, 0, 0xFFFFF, 0xC092)
    machine.pte(0x5000, 0x5000 | P | RW, marks=0)
    assert isinstance(machine.step(), Done)
    assert machine.peek(PT + 8 * 5, 8) == 0x5000 | P | RW | A | D
    machine = Machine(engine, "long", "8ed8", {"rax": 8})
    machine.descriptor(1, 0, 0xFFFFF, 0xC093)  # accessed already
    machine.pte(0x5000, 0x5000 | P | RW, marks=0)
    assert isinstance(machine.step(), Done)
    assert machine.peek(PT + 8 * 5, 8) == 0x5000 | P | RW | A


def test_tables_in_rom_are_walked_and_not_marked(engine):
    tables = Machine("pure", "long").high[PML4 - HIGH_BASE :]
    tables[0] &= ~(A | D)
    ram = bytearray(LOW)
    ram[CODE : CODE + 2] = bytes.fromhex(STORE)
    cpu = Cpu([(0, ram), (PML4, bytes(tables))], engine=engine)
    cpu.state.enter_long_mode(CODE, PML4)
    cpu.state.rbx, cpu.state.rax = DATA, 9
    assert cpu.step() == Done(CODE + 2, 0)
    assert ram[DATA] == 9


def test_tables_at_a_device_are_marked_by_writing(engine):
    """Once for the fetch and once for the operand, each in its turn and none twice."""
    machine = Machine(engine, "long", STORE, {"rbx": MMIO + 0x800, "cr3": MMIO, "rax": 6})
    entry = PDPT | P | RW
    accesses, outcome = machine.finish([entry, entry])
    marking = [Read(MMIO, 8), Write(MMIO, 8, entry | A)]
    assert accesses == [*marking, *marking, Write(MMIO + 0x800, 4, 6)]
    assert outcome == Done(CODE + 2, 0)


def test_device_marks_of_a_read_modify_write(engine):
    machine = Machine(engine, "long", RMW, {"rbx": MMIO + 0x800, "cr3": MMIO, "rax": 6})
    entry, marked = PDPT | P | RW, PDPT | P | RW | A
    accesses, outcome = machine.finish([marked, entry, 1])
    table = [Read(MMIO, 8), Read(MMIO, 8), Write(MMIO, 8, marked)]
    assert accesses == [*table, Read(MMIO + 0x800, 4), Write(MMIO + 0x800, 4, 7)]
    assert isinstance(outcome, Done)


def test_32_bit_entries_at_a_device_are_4_bytes(engine):
    machine = Machine(engine, "pg32", "90", {"cr3": MMIO})
    accesses, _ = machine.finish([PT32 | P])
    assert accesses == [Read(MMIO, 4), Write(MMIO, 4, PT32 | P | A)]


def test_an_instruction_in_flight_does_not_mark_again(engine):
    """The translation is logged: what the guest's other processors do to the entry stays."""
    machine = Machine(engine, "long", RMW, {"rbx": DATA})
    machine.pte(DATA, MMIO | P | RW, marks=0)
    assert machine.step() == Read(MMIO, 4)
    assert machine.peek(PT + 16, 8) == MMIO | P | RW | A | D
    machine.pte(DATA, MMIO | P | RW, marks=0)
    assert isinstance(machine.step(1), Write)
    assert isinstance(machine.step(), Done)
    assert machine.peek(PT + 16, 8) == MMIO | P | RW


def test_memory_that_is_not_aligned_in_the_host(engine):
    """A buffer may start anywhere; entries are aligned for the guest only."""
    source = Machine("pure", "long", STORE)
    for shift in (1, 4, 7):
        backing = bytearray(len(source.high) + 8)
        high = memoryview(backing)[shift : shift + len(source.high)]
        high[:] = source.high
        place = PT + 8 * (DATA >> 12) - HIGH_BASE
        high[place : place + 8] = (DATA | P | RW).to_bytes(8, "little")
        cpu = Cpu([(0, bytearray(source.low)), (HIGH_BASE, high)], engine=engine)
        cpu.state.enter_long_mode(CODE, PML4)
        cpu.state.rbx = DATA
        assert isinstance(cpu.step(), Done)
        assert int.from_bytes(high[place : place + 8], "little") == DATA | P | RW | A | D


ENDLESS_STORE = "8903 ebfc"  # mov [rbx], eax; jmp back


@pytest.mark.native
@pytest.mark.stress
@pytest.mark.parametrize("mode", ["pg32", "long"])
def test_nobody_s_change_to_an_entry_is_lost(mode):
    """Marking competes with a thread that clears A and D and changes the bits left to software.

    The thread's stores are of one byte each, so only the engine could bring an old one back.
    """
    machine = Machine("native", mode, ENDLESS_STORE.replace(" ", ""), {"rbx": DATA})
    gpa, size = machine.pte_place(DATA)
    place, high = gpa - HIGH_BASE, machine.high
    started, lost = threading.Event(), []

    def guest():
        started.set()
        return machine.cpu.enter(1 << 40, 0)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(guest)
        started.wait()
        for number in range(200_000):
            byte = (DATA >> 8 & 0xF0) | (number % 7 + 1) << 1
            high[place + 1] = byte
            high[place] = P | RW | US
            if high[place + 1] != byte:
                lost.append(number)
        machine.cpu.kick()
        assert running.result(timeout=60) == ExitKind.BUDGET
    assert not lost
    assert machine.peek(gpa, size) & ~(A | D | 0xE00) == DATA | P | RW | US


@pytest.mark.native
@pytest.mark.stress
def test_two_processors_mark_one_entry():
    """One reads and one writes: D and A are there when both are done, whoever came first."""
    first = Machine("native", "long", LOAD, {"rbx": DATA})
    second = Machine("native", "long", STORE, {"rbx": DATA})
    second.low, second.high = bytearray(second.low), first.high
    second.cpu = second.cpu_on("native")
    barrier = threading.Barrier(2)

    def round_of(machine):
        machine.state.rip = CODE
        barrier.wait()
        return machine.cpu.run(1)

    with ThreadPoolExecutor(2) as pool:
        for number in range(300):
            first.pte(DATA, DATA | P | RW | (number & 7) << 9, marks=0)
            ends = list(pool.map(round_of, (first, second)))
            assert ends == [BudgetSpent(CODE + 2)] * 2
            assert first.peek(PT + 16, 8) == DATA | P | RW | (number & 7) << 9 | A | D
