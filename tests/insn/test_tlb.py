# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A page is where the page tables say it is now, however often it was somewhere else before.

Except for what other processors store to page tables: the guest sees that after INVLPG or the
like, as on hardware.
"""

import threading
from itertools import pairwise

import pytest

from insn.absolute_code import (
    EAX,
    EBX,
    EDX,
    HLT,
    STORES,
    absolute,
    add,
    add_registers,
    jump,
    load,
    loop,
    set_register,
    store,
    turns,
    word,
)
from insn.kernel import IDT, Kernel, handler
from insn.machine import (
    AC,
    ALIGNMENT,
    CODE,
    CR0_AM,
    CR0_WP,
    CR4_PKE,
    CR4_SMAP,
    DATA,
    EFER_NXE,
    HIGH_BASE,
    LOW,
    MARKED,
    MMIO,
    PAGE_FAULT,
    PAGED,
    PD,
    PD32,
    PDPT,
    PDPT_PAE,
    PML4,
    PS,
    PT,
    PT32,
    RW,
    STACK,
    US,
    XD,
    A,
    D,
    Machine,
    P,
)
from vmmkit.insn import BudgetSpent, Cpu, Fault, Halt, Read, Segment, Write

OTHER, THIRD = 0x3000, 0x6000
FULL = P | RW | US | MARKED
ONE, TWO = 0x11, 0x2200
INVLPG = absolute("0f01", 7, DATA)
RELOAD_CR3 = bytes.fromhex("0f20d8 0f22d8")
FLUSHES = {"nothing": b"", "INVLPG": INVLPG, "MOV CR3": RELOAD_CR3}


def machine_in(engine, mode, entry=None):
    """ONE at DATA, TWO at OTHER; EBX counts what was read."""
    machine = Machine(engine, mode).vectors()
    machine.state.rbx = 0
    machine.poke(DATA, ONE, 4)
    machine.poke(OTHER, TWO, 4)
    if entry is not None:
        machine.pte(DATA, entry, 0)
    return machine


def count(address):
    """Load what is there until a translation would be remembered, and add it to EBX."""
    return load(EDX, address) * 3 + add_registers(EBX, EDX)


def low_half(machine, linear):
    """The lower 4 bytes of a page-table entry, in any mode."""
    return machine.pte_place(linear)[0]


@pytest.mark.parametrize("flush", FLUSHES)
@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize("how", STORES)
def test_a_data_page_moves(engine, mode, how, flush):
    machine = machine_in(engine, mode)
    body = count(DATA) + STORES[how](low_half(machine, DATA), OTHER | FULL) + FLUSHES[flush]
    assert isinstance(turns(machine, body, 4), Halt)
    assert machine.state.rbx == ONE + 3 * TWO


@pytest.mark.parametrize("mode", PAGED)
def test_a_data_page_moves_between_two_loads(engine, mode):
    """The page table is stored to by a page that was located before the table was one."""
    machine = machine_in(engine, mode)
    entry = low_half(machine, DATA)
    body = count(DATA) + store(entry, OTHER | FULL) + count(DATA) + store(entry, DATA | FULL)
    assert isinstance(turns(machine, body, 3), Halt)
    assert machine.state.rbx == 3 * (ONE + TWO)


@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize("unit", ["page table", "directory"])
def test_upper_levels_change(engine, mode, unit):
    """Another table, with another page at DATA."""
    machine = machine_in(engine, mode)
    size = 4 if mode == "pg32" else 8
    old, new, directory = (PT32, 0x4C000, PD32) if size == 4 else (PT, 0x45000, PD)
    machine.poke(new, bytes(machine.high[old - HIGH_BASE : old - HIGH_BASE + 0x1000]))
    machine.poke(new + size * (DATA >> 12), OTHER | FULL, 4)
    body = count(DATA) + store(directory, new | FULL) + count(DATA) + store(directory, old | FULL)
    if unit == "directory":  # and a page of it in the place of a table
        body += store(directory, FULL | PS) + count(DATA) + store(directory, old | FULL)
    assert isinstance(turns(machine, body, 3), Halt)
    assert machine.state.rbx == 3 * (ONE + TWO + ONE * (unit == "directory"))


@pytest.mark.parametrize("flush", FLUSHES)
@pytest.mark.parametrize("mode", PAGED)
def test_the_page_of_the_code_moves_under_it(engine, mode, flush):
    """The same code at the same place of two pages, but for what it adds."""
    machine = machine_in(engine, mode)
    entry, flushed = low_half(machine, OTHER), FLUSHES[flush].replace(INVLPG, invlpg(OTHER))
    for page, value in ((OTHER, 1), (THIRD, 0x10)):
        body = (
            b"\x90" * 3 + add(EBX, value) + absolute("81", 6, entry) + word(OTHER ^ THIRD) + flushed
        )
        machine.poke(page, loop(body + add(EBX, 0x100 * value)))
    machine.state.rip, machine.state.rbp = OTHER, 4
    assert isinstance(machine.cpu.run(1000), Halt)
    assert machine.state.rbx == 2 * 0x1111


def invlpg(address):
    return absolute("0f01", 7, address)


def stops_at(machine, outcome, error, address=DATA):
    assert outcome == Fault(PAGE_FAULT, error, address)
    assert machine.state.rbx == ONE


def test_a_table_was_data_before_it_was_used(engine):
    """It is stored to, then read in a walk for the first time, then stored to again."""
    machine, table, large = machine_in(engine, "long"), 0x45000, 1 << 21
    machine.poke(PD + 8, table | FULL, 8)
    body = store(table, DATA | FULL) * 3 + count(large) + store(table, OTHER | FULL) + count(large)
    assert isinstance(turns(machine, body, 1), Halt)
    assert machine.state.rbx == ONE + TWO


@pytest.mark.parametrize("mode", ["pg32", "long"])
def test_an_instruction_changes_a_page_that_it_reads(engine, mode):
    """ENTER stores to the first entry of a page table, and reads page 0 by it."""
    machine = machine_in(engine, mode)
    old, new, directory, size = (PT32, 0x4C000, PD32, 4)
    if mode == "long":
        old, new, directory, size = (PT, 0x45000, PD, 8)
    machine.poke(new, bytes(machine.high[old - HIGH_BASE : old - HIGH_BASE + 0x1000]))
    machine.poke(directory, new | FULL, size)
    machine.poke(new, DATA | FULL, size)
    machine.poke(0, TWO, 4)
    machine.state.rsp, machine.state.rbp = new + size, FULL
    machine.poke(CODE, count(0) + bytes.fromhex("c8000002") + count(0) + HLT)
    assert isinstance(machine.cpu.run(100), Halt)
    assert machine.peek(new, 4) == FULL
    assert machine.state.rbx == ONE + TWO


@pytest.mark.parametrize("mode", PAGED)
def test_a_page_goes_away(engine, mode):
    machine = machine_in(engine, mode)
    body = count(DATA) + store(low_half(machine, DATA), 0)
    stops_at(machine, turns(machine, body, 3), 0)


@pytest.mark.parametrize("mode", PAGED)
def test_a_page_becomes_read_only_and_writable_again(engine, mode):
    machine = machine_in(engine, mode)
    machine.state.cr0 |= CR0_WP
    entry = low_half(machine, DATA)
    body = store(DATA, ONE) * 3 + count(DATA) + absolute("80", 6, entry) + bytes((RW,))
    stops_at(machine, turns(machine, body, 3), 3)
    machine.poke(entry, DATA | FULL, 4)
    assert isinstance(machine.cpu.run(7), BudgetSpent)
    assert machine.state.rbx == 2 * ONE


@pytest.mark.parametrize("mode", PAGED)
def test_write_protection_of_the_supervisor_is_switched_on(engine, mode):
    machine = machine_in(engine, mode, DATA | P | US | MARKED)
    toggle = bytes.fromhex("0f20c0 0fbaf810 0f22c0")  # BTC EAX, 16
    body = store(DATA, ONE) * 3 + count(DATA) + toggle
    stops_at(machine, turns(machine, body, 3), 3)


@pytest.mark.parametrize("mode", ["pae", "compat", "long"])
def test_code_becomes_data(engine, mode):
    machine = machine_in(engine, mode)
    machine.state.efer |= EFER_NXE
    machine.poke(OTHER, absolute("c7", 0, DATA) + word(ONE) + load(EBX, DATA) + b"\xc3")
    calls = b"".join(b"\xe8" + word(OTHER - CODE - 5 * number) for number in (1, 2, 3))
    machine.poke(DATA, 0, 4)
    body = calls + store(low_half(machine, OTHER) + 4, XD >> 32)
    stops_at(machine, turns(machine, body, 3), 0x11, OTHER)


@pytest.mark.parametrize("mode", PAGED)
def test_a_page_is_the_supervisors_from_now_on(engine, mode):
    machine = machine_in(engine, mode).ring3()
    body = count(DATA) + absolute("80", 6, low_half(machine, DATA)) + bytes((US,))
    stops_at(machine, turns(machine, body, 3), 5)


@pytest.mark.parametrize("mode", PAGED)
def test_what_ring_0_may_ring_3_may_not(engine, mode):
    """The pages are in use before IRET to ring 3, and a fault in it comes back to ring 0."""
    machine = Kernel(engine, mode)
    state, user_code, by_ss = machine.state, 0x1_1000, b"\x36"  # IRET empties DS
    machine.pte(DATA, DATA | P | RW)
    machine.poke(DATA, ONE, 4)
    machine.poke(user_code, by_ss + load(EDX, DATA))
    if mode == "compat":
        machine.descriptor(7, 0, 0xFFFFF, 0xC0FB)
    frame = (0x23, STACK, 2, 0x3B if mode == "compat" else 0x1B, user_code)
    pushes = b"".join(b"\x68" + word(value) for value in frame)
    iret = b"\x48\xcf" if mode == "long" else b"\xcf"
    machine.poke(CODE, load(EDX, DATA) * 3 + pushes + iret)
    machine.poke(handler(PAGE_FAULT), by_ss + load(EBX, DATA) + HLT)
    assert isinstance(machine.cpu.run(100), Halt)
    assert (state.rbx, state.cr2, state.cs.selector & 3) == (ONE, DATA, 0)


@pytest.mark.parametrize("mode", ["pae", "compat", "long"])
def test_smap_follows_ac(engine, mode):
    machine = machine_in(engine, mode)
    state = machine.state
    state.cr4 |= CR4_SMAP
    for page in (CODE, STACK - 0x1000):
        machine.pte(page, page | P | RW)
    state.rflags |= AC
    popf = b"\x68" + word(2) + b"\x9d"
    machine.poke(CODE, count(DATA) * 2 + popf + count(DATA))
    assert machine.cpu.run(100) == Fault(PAGE_FAULT, 1, DATA)
    assert state.rbx == 2 * ONE
    state.rflags |= AC
    assert isinstance(machine.cpu.run(4), BudgetSpent)
    assert state.rbx == 3 * ONE


def test_smap_and_the_tables_that_the_processor_reads(engine):
    """AC lets a program read the IDT's page, which is a user's; it does not let a delivery."""
    machine = Kernel(engine, "long")
    state = machine.state
    state.cr4 |= CR4_SMAP
    state.rbx, state.rflags = 0, state.rflags | AC
    for page in range(8):
        machine.pte(page << 12, page << 12 | P | RW | (US if page << 12 == IDT else 0))
    machine.poke(CODE, load(EBX, IDT) * 2 + b"\xcc")
    assert type(machine.cpu.run(100)).__name__ == "TripleFault"
    assert (state.rbx, state.cr2 & ~0xFFF) == (machine.peek(IDT, 4), IDT)


def test_protection_keys_change(engine):
    machine = machine_in(engine, "long", DATA | FULL | 1 << 59)
    machine.state.cr4 |= CR4_PKE
    pkru = set_register(EAX, 4) + set_register(1, 0) + set_register(EDX, 0) + b"\x0f\x01\xef"
    stops_at(machine, turns(machine, count(DATA) + pkru, 3), 0x21)


@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize("access", ["read", "write", "fetch"])
def test_marks_that_the_guest_has_cleared_are_set_again(engine, mode, access):
    """EBX counts how often the entry had marks before they were cleared, by its bits 5 and 6."""
    machine = machine_in(engine, mode)
    machine.poke(OTHER, b"\xc3")
    use, page = {
        "read": (load(EAX, DATA), DATA),
        "write": (store(DATA, 0), DATA),
        "fetch": (b"\xff\xd6", OTHER),  # CALL through ESI
    }[access]
    entry = low_half(machine, page)
    marks = load(EDX, entry) + b"\x83\xe2\x60" + add_registers(EBX, EDX)
    machine.state.rsi = OTHER
    body = use * 3 + marks + absolute("80", 4, entry) + bytes((~(A | D) & 0xFF,))
    assert isinstance(turns(machine, body, 5), Halt)
    first = A | D
    assert machine.state.rbx == first + 4 * (A | (D if access == "write" else 0))


def test_tables_at_a_device_are_read_each_time(engine):
    """The page table of the second 2 MiB lies outside of RAM, and every access shows it."""
    machine = machine_in(engine, "long")
    machine.poke(PD + 8, MMIO | FULL, 8)
    machine.poke(CODE, count(1 << 21) * 2 + HLT)
    answers, outcome = [DATA, OTHER, DATA, DATA, DATA, OTHER], machine.cpu.run(100)
    while isinstance(outcome, Read):
        assert outcome == Read(MMIO, 8)
        outcome = machine.cpu.run(100, answers.pop(0) | FULL)
    assert isinstance(outcome, Halt)
    assert (machine.state.rbx, answers) == (ONE + TWO, [])


def test_code_by_tables_at_a_device(engine):
    machine = machine_in(engine, "long")
    machine.poke(PD + 8, MMIO | FULL, 8)
    machine.poke(DATA, add(EBX, 1) * 3 + HLT)
    machine.state.rip = 1 << 21
    answer = None
    for done in range(4):
        assert machine.cpu.run(100, answer) == Read(MMIO, 8)
        assert machine.state.rbx == done
        answer = DATA | FULL
    assert isinstance(machine.cpu.run(100, answer), Halt)


def test_devices_are_asked_each_time(engine):
    machine = machine_in(engine, "long")
    machine.poke(CODE, count(MMIO) * 2 + store(MMIO, 7) + HLT)
    answer = None
    for value in range(1, 7):
        assert machine.cpu.run(100, answer) == Read(MMIO, 4)
        answer = value
    assert machine.cpu.run(100, answer) == Write(MMIO, 4, 7)
    assert isinstance(machine.cpu.run(100), Halt)
    assert machine.state.rbx == 3 + 6


@pytest.mark.parametrize("pcid", [False, True])
@pytest.mark.parametrize("marks", [0, 1 << 8], ids=["local", "global"])
def test_other_tables_at_the_same_addresses(engine, pcid, marks):
    """No engine keeps what another PCID or a global page would let it keep."""
    machine = machine_in(engine, "long", DATA | FULL | marks)
    state, tables = machine.state, (0x45000, 0x46000, 0x47000, 0x4B000)
    state.cr4 |= (1 << 17 if pcid else 0) | 1 << 7
    for table, old in zip(tables, (PML4, PDPT, PD, PT), strict=True):
        machine.poke(table, bytes(machine.high[old - HIGH_BASE : old - HIGH_BASE + 0x1000]))
    for table, lower in pairwise(tables):
        machine.poke(table, lower | FULL, 8)
    machine.poke(tables[3] + 8 * (DATA >> 12), OTHER | FULL | marks, 8)
    state.rsi, state.rdi = PML4, tables[0] | pcid
    if pcid:
        state.rsi, state.rdi = state.rsi | 1 << 63, state.rdi | 1 << 63
    body = count(DATA) + bytes.fromhex("0f22df") + count(DATA) + bytes.fromhex("0f22de")
    assert isinstance(turns(machine, body, 3), Halt)
    assert state.rbx == 3 * (ONE + TWO)


@pytest.mark.parametrize("mode", PAGED)
def test_a_large_page_moves(engine, mode):
    """INVLPG of an address within it, or nothing; either way all of it has moved."""
    machine = machine_in(engine, mode)
    large, size = (1 << 22, 4) if mode == "pg32" else (1 << 21, 8)
    directory = (PD32 if mode == "pg32" else PD) + size
    for flush in (b"", invlpg(large + 0x5000)):
        machine.state.rip, machine.state.rbx = CODE, 0
        machine.poke(directory, FULL | PS, size)
        machine.poke(0x1_0000 + OTHER, ONE, 4)
        machine.poke(0x1_0000, TWO, 4)
        uses = count(large + OTHER) + count(large + 0x1_0000)
        body = uses + store(directory, large | FULL | PS) + flush
        outcome = turns(machine, body, 2)
        assert outcome == Read(large + OTHER, 4)
        assert machine.state.rbx == 2 * TWO
        machine.cpu.abandon()


def test_a_gigabyte_page_moves(engine):
    machine = machine_in(engine, "long")
    machine.poke(PDPT + 8, FULL | PS, 8)
    body = count((1 << 30) + DATA) + store(PDPT + 8, 1 << 30 | FULL | PS) + invlpg(1 << 30)
    assert turns(machine, body, 3) == Read((1 << 30) + DATA, 4)
    assert machine.state.rbx == ONE


def test_marking_an_entry_spoils_a_pointer_of_pae(engine):
    """One word is a PDPTE and, elsewhere, a page-directory entry: marked, it has a reserved bit."""
    machine = machine_in(engine, "pae")
    pointers = PDPT_PAE & ~0xFFF
    machine.poke(pointers + 0x28, PD | P, 8)  # PDPTE 1
    machine.poke(PD + 8 * 3, pointers | FULL, 8)  # a table for 6 MiB on
    first, second = 0x600000 + 0x5000, (1 << 30) + DATA
    body = count(second) + load(EAX, first) + count(second)
    assert turns(machine, body, 3).vector == PAGE_FAULT
    assert machine.state.rbx == ONE


@pytest.mark.parametrize("mode", ["pg32", "long"])
def test_paging_is_switched_off_and_on(engine, mode):
    """The same linear address, with and without the page tables."""
    machine = machine_in(engine, "pg32", OTHER | FULL)
    state = machine.state
    body = count(DATA) + bytes.fromhex("0f20c0 0fbaf81f 0f22c0")  # BTC EAX, 31
    if mode == "long":  # from compatibility mode, where paging alone ends long mode
        machine = machine_in(engine, "compat", OTHER | FULL)
        state = machine.state
        state.tr = Segment(0x28, 0x5800, 0x67, 0x8B)
        state.efer |= 1 << 8
    assert isinstance(turns(machine, body, 4), Halt)
    assert state.rbx == 2 * (ONE + TWO)


@pytest.mark.parametrize("mode", PAGED)
def test_the_owner_changes_tables_registers_and_ram_between_runs(engine, mode):
    machine = machine_in(engine, mode)
    machine.poke(CODE, count(DATA) + jump(-len(count(DATA)) - 5))
    machine.cpu.run(50)
    assert machine.state.rbx == 10 * ONE
    machine.pte(DATA, OTHER | FULL)
    machine.cpu.run(50)
    assert machine.state.rbx == 10 * (ONE + TWO)
    machine.poke(OTHER, 0, 4)
    machine.cpu.run(50)
    assert machine.state.rbx == 10 * (ONE + TWO)
    machine.state.cr3 = 0x51000
    outcome = machine.cpu.run(50)
    assert isinstance(outcome, Read)
    assert outcome.gpa & ~0xFFF == 0x51000


def test_the_owner_changes_tables_while_an_instruction_is_in_flight(engine):
    """The exit of a load from a device, and a page table changed before the answer."""
    machine = machine_in(engine, "long")
    machine.poke(CODE, count(DATA) + load(EDX, MMIO) + count(DATA) + HLT)
    assert machine.cpu.run(100) == Read(MMIO, 4)
    machine.pte(DATA, OTHER | FULL)
    assert isinstance(machine.cpu.run(100, 0x100), Halt)
    assert machine.state.rbx == ONE + TWO


def test_tables_in_ram_that_has_two_addresses(engine):
    """The same memory at two places: a store at one is a store at the other."""
    machine = machine_in(engine, "pg32")
    pieces = [(0, machine.low), (HIGH_BASE, machine.high), (1 << 20, machine.high)]
    machine.cpu = Cpu(pieces, engine=engine, state=machine.state)
    alias = low_half(machine, DATA) - HIGH_BASE + (1 << 20)
    body = count(DATA) + store(alias, OTHER | FULL)
    assert isinstance(turns(machine, body, 3), Halt)
    assert machine.state.rbx == ONE + 2 * TWO


def test_tables_in_ram_that_overlaps_askew(engine):
    """As before, but no page of the one place is a page of the other."""
    machine = machine_in(engine, "pg32")
    askew = memoryview(machine.high)[0x800:-0x800]
    pieces = [(0, machine.low), (HIGH_BASE, machine.high), (1 << 20, askew)]
    machine.cpu = Cpu(pieces, engine=engine, state=machine.state)
    alias = low_half(machine, DATA) - HIGH_BASE - 0x800 + (1 << 20)
    body = count(DATA) + store(alias, OTHER | FULL)
    assert isinstance(turns(machine, body, 3), Halt)
    assert machine.state.rbx == ONE + 2 * TWO


def test_another_vcpu_changes_tables_and_this_one_invalidates(engine):
    """The loop goes on until it has seen the change, INVLPG each time."""
    machine = machine_in(engine, "long")
    test = load(EDX, DATA) + INVLPG + b"\x81\xfa" + word(TWO)
    machine.poke(CODE, test + b"\x0f\x85" + word(-len(test) - 6) + HLT)
    state = type(machine.state)()
    state.enter_protected_mode(CODE + 0x100)
    machine.poke(CODE + 0x100, store(low_half(machine, DATA), OTHER | FULL) + HLT)
    second = Cpu([(0, machine.low), (HIGH_BASE, machine.high)], engine=engine, state=state)
    outcome = machine.cpu.run(100)
    thread = threading.Thread(target=lambda: second.run(10))
    thread.start()
    while isinstance(outcome, BudgetSpent):
        outcome = machine.cpu.run(1 << 22 if engine == "native" else 1000)
    thread.join()
    assert isinstance(outcome, Halt)


def test_more_tables_than_are_remembered(engine):
    """Every page by a table of its own, one after the other, and then once more."""
    ram, tables, pages = bytearray(12 << 20), 2 << 20, 600

    def poke(gpa, value):
        ram[gpa : gpa + 8] = value.to_bytes(8, "little")

    machine = machine_in(engine, "long")
    state = machine.state
    for number in range(pages):
        poke(0x10_0000 + 8 * number, tables + 0x1000 * number | FULL)
        poke(tables + 0x1000 * number, 0x9000 | FULL)
    poke(0x8000, 0x10_1000 | FULL)
    poke(0x10_1000, 0x10_0000 | FULL)
    poke(0x10_1008, 0x10_0000 + 0x1000 | FULL)
    ram[0x9000:0x9004] = (3).to_bytes(4, "little")
    for number in range(512, pages):  # the second directory
        poke(0x10_1000 + 8 * 1, 0x10_2000 | FULL)
        poke(0x10_2000 + 8 * (number - 512), tables + 0x1000 * number | FULL)
    poke(tables + 8, 0x1000 | FULL)  # the code, in the first table
    code = bytes.fromhex("0316 4881c600002000 83ed01 75f2 f4")  # ADD EDX, [RSI]; ADD RSI, 2 MiB
    ram[0x1000 : 0x1000 + len(code)] = code
    state.cr3 = 0x8000
    cpu = Cpu([(0, ram)], engine=engine, state=state)
    for _ in range(2):
        state.rip, state.rsi, state.rbp, state.rdx = 0x1000, 0, pages, 0
        assert isinstance(cpu.run(10_000), Halt)
        assert state.rdx == 3 * pages


def test_the_end_of_ram_is_an_end(engine):
    """A page that begins in RAM ends in it, and the next one is a device's."""
    machine = machine_in(engine, "long")
    assert turns(machine, load(EAX, LOW - 4) + load(EAX, LOW - 2), 2) == Read(LOW, 2)


def test_alignment_is_checked_where_the_page_is_known(engine):
    machine = machine_in(engine, "long").ring3()
    machine.state.cr0 |= CR0_AM
    machine.state.rflags |= AC
    machine.poke(CODE, load(EDX, DATA) * 4 + load(EDX, DATA + 2))
    assert machine.cpu.run(100) == Fault(ALIGNMENT, 0, 0)
    machine.state.rflags &= ~AC
    assert isinstance(machine.cpu.run(1), BudgetSpent)


def test_a_breakpoint_is_seen_where_the_page_is_known(engine):
    machine = Kernel(engine, "long")
    machine.state.dr0, machine.state.dr7 = DATA + 8, 0x000F_0403
    machine.poke(CODE, load(EDX, DATA) * 4 + load(EDX, DATA + 8) + load(EDX, DATA))
    machine.poke(handler(1), HLT)
    assert isinstance(machine.cpu.run(100), Halt)
    assert machine.state.dr6 & 1
    assert machine.peek(machine.state.rsp, 8) == CODE + 5 * len(load(EDX, DATA))


def test_a_segment_has_a_base_where_the_page_is_known(engine):
    machine = machine_in(engine, "long")
    machine.state.fs = Segment(0, OTHER - DATA, 0xFFFF_FFFF, 0xC093)
    machine.poke(CODE, count(DATA) + b"\x64" + load(EDX, DATA) + add_registers(EBX, EDX) + HLT)
    assert isinstance(machine.cpu.run(100), Halt)
    assert machine.state.rbx == ONE + TWO


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_operands_across_two_known_pages(engine, step):
    machine, place = machine_in(engine, "long"), OTHER - 2 + step
    machine.pte(OTHER, THIRD | FULL)
    machine.poke(OTHER - 8, bytes(range(8)))
    machine.poke(THIRD, bytes(range(8, 16)))
    machine.poke(CODE, load(EDX, OTHER - 8) * 3 + load(EDX, OTHER) * 3 + load(EBX, place) + HLT)
    assert isinstance(machine.cpu.run(100), Halt)
    first = 8 - 2 + step
    assert machine.state.rbx == int.from_bytes(bytes(range(first, first + 4)), "little")


def test_addresses_that_are_not_canonical(engine):
    """Their low bits are those of a page that is known."""
    machine = machine_in(engine, "long")
    machine.state.rsi = 1 << 47 | DATA
    machine.poke(CODE, load(EDX, DATA) * 4 + bytes.fromhex("8b16"))
    assert machine.cpu.run(100) == Fault(13, 0, 0)
