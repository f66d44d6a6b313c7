# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random page tables against a small model of the walk that shares nothing with the engines.

The model is written from the SDM's tables of entry formats (vol. 3A, "Paging"), with their bit
ranges as text, one name per kind of entry.
"""

from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import (
    CODE,
    HIGH,
    HIGH_BASE,
    LOW,
    MARKED,
    PD32,
    PDPT_PAE,
    PML4,
    PML5,
    ROM,
    SPARE_TABLES,
    Machine,
)
from vmmkit.insn import (
    Done,
    Fault,
    PageAccess,
    Read,
    Translation,
    Unsupported,
    Write,
)

# Bits that must be 0, by kind of entry; M is MAXPHYADDR and m the lesser of it and 40.
RESERVED = {
    "pg32": {"PDE": "", "PDE large": "21:m-19", "PTE": ""},
    "pae": {"PDPTE": "63:M 8:5 2:1", "PDE": "62:M", "PDE large": "62:M 20:13", "PTE": "62:M"},
    "long": {
        "PML5E": "51:M 7:7", "PML4E": "51:M 7:7", "PDPTE": "51:M", "PDPTE large": "51:M 29:13",
        "PDE": "51:M", "PDE large": "51:M 20:13", "PTE": "51:M",
    },
}  # fmt: skip
# Kinds of entry and the lowest linear-address bit that selects one.
CHAIN = {
    "pg32": (("PDE", 22), ("PTE", 12)),
    "pae": (("PDPTE", 30), ("PDE", 21), ("PTE", 12)),
    "long": (("PML4E", 39), ("PDPTE", 30), ("PDE", 21), ("PTE", 12)),
    "long5": (("PML5E", 48), ("PML4E", 39), ("PDPTE", 30), ("PDE", 21), ("PTE", 12)),
}
ROOT = {"pg32": PD32, "pae": PDPT_PAE, "long": PML4, "long5": PML5}
TABLES = (*SPARE_TABLES, 0x4B000)


class Registers(NamedTuple):
    """The bits of the registers that a walk looks at."""

    wp: bool
    pse: bool
    smep: bool
    smap: bool
    pke: bool
    nxe: bool
    ac: bool
    user: bool
    pkru: int
    maxphyaddr: int


def bit(value, number):
    return bool(value >> number & 1)


def reserved_bits(mode, name, registers):
    ranges = RESERVED["long" if mode == "long5" else mode][name].split()
    for text in ranges:
        high, low = text.replace("m-19", str(min(registers.maxphyaddr, 40) - 19)).split(":")
        yield from range(int(low.replace("M", str(registers.maxphyaddr))), int(high) + 1)
    if not registers.nxe and mode != "pg32" and (mode, name) != ("pae", "PDPTE"):
        yield 63


def page_address(mode, entry, shift):
    if mode == "pg32" and shift == 22:
        return (entry >> 22 & 0x3FF) << 22 | (entry >> 13 & 0xFF) << 32
    return entry >> shift << shift & (1 << 52) - 1


def permitted(registers, path, access):
    """Whether the entries allow the access, and whether a protection key denies it."""
    entries = [entry for name, entry in path if name != "PDPTE of PAE"]
    writable, user = (all(bit(entry, number) for entry in entries) for number in (1, 2))
    execute = not any(bit(entry, 63) for entry in entries)
    may_write = writable or not (registers.wp or registers.user)
    allowed = {"READ": True, "WRITE": may_write, "FETCH": execute}[access]
    if registers.user:
        allowed = allowed and user
    elif user and access == "FETCH":
        allowed = allowed and not registers.smep
    elif user:
        allowed = allowed and (not registers.smap or registers.ac)
    key = entries[-1] >> 59 & 15
    strict = registers.user or registers.wp
    denied_by_key = bit(registers.pkru, 2 * key) or (
        access == "WRITE" and strict and bit(registers.pkru, 2 * key + 1)
    )
    return allowed, registers.pke and user and access != "FETCH" and denied_by_key


def model(mode, registers, linear, access, peek):
    """Error code of the fault, or the address and what the entries become."""
    size = 4 if mode == "pg32" else 8
    nxe_counts = registers.nxe and mode != "pg32"
    instruction = access == "FETCH" and (nxe_counts or registers.smep)
    kind = 2 * (access == "WRITE") + 4 * registers.user + 16 * instruction
    table, path, places = ROOT[mode], [], []
    for name, shift in CHAIN[mode]:
        place = table + size * (linear >> shift & (1023 if size == 4 else 511))
        entry = peek(place, size)
        has_size = name == "PDE" or (name == "PDPTE" and mode != "pae")
        large = has_size and bit(entry, 7) and (registers.pse or mode != "pg32")
        if not bit(entry, 0):
            return kind, None
        full_name = f"{name} large" if large else name
        if any(bit(entry, number) for number in reserved_bits(mode, full_name, registers)):
            return kind | 1 | 8, None
        small = mode == "pae" and name == "PDPTE"
        path.append(("PDPTE of PAE" if small else name, entry))
        if not small:
            places.append((place, entry))
        table = entry >> 12 << 12 & (1 << 52) - 1
        if large or name == "PTE":
            break
    allowed, by_key = permitted(registers, path, access)
    by_key = by_key and mode.startswith("long")
    if by_key or not allowed:
        return kind | 1 | 32 * by_key, None
    marks = [(place, entry | 0x20) for place, entry in places]
    marks[-1] = place, entry | 0x20 | 0x40 * (access == "WRITE")
    return page_address(mode, entry, shift) | linear & (1 << shift) - 1, marks


# Low bits and high bits of an entry, the usual ones more often.
LOW_BITS = (*(7, 0x67, 0x27) * 8, 0, 1, 3, 5, 0x21, 0x61, 0x87, 0xE7, 0xE5, 0x83, 0x187, 0x1007)
HIGH_BITS = (*(0,) * 40, 1 << 63, 3 << 59, 9 << 59 | 1 << 63, 1 << 52, 1 << 62, 1 << 51, 1 << 40)
ADDRESSES = (0, 0, 0x9000, 0x2000, 1 << 30, 3 << 31, 1 << 21, 1 << 22, 1 << 13, 1 << 20)


def random_tables(rng, machine, mode):
    """A chain of tables below the second entry of the root; returns the linear address."""
    size = 4 if mode == "pg32" else 8
    chain = CHAIN[mode]
    place = ROOT[mode] + size
    for number, (name, _) in enumerate(chain):
        low, high = rng.choice(LOW_BITS), rng.choice(HIGH_BITS)
        if (mode, name) == ("pae", "PDPTE") and rng.random() < 0.8:
            low, high = 1, 0
        maps_page = name == "PTE" or low & 0x80
        address = rng.choice(ADDRESSES) if maps_page else TABLES[number]
        machine.poke(place, (address | low | high) & (1 << 8 * size) - 1, size)
        place = address
        if maps_page:
            break
    return 1 << chain[0][1] | rng.choice((0, 4, 0x7F8))


def random_machine(rng, engine, mode):
    machine = Machine(engine, "long" if mode == "long5" else mode)
    machine.low[:] = b"\x90" * LOW
    state = machine.state
    registers = Registers(
        *(rng.random() < chance for chance in (0.5, 0.8, 0.3, 0.3, 0.5, 0.7, 0.5, 0.5)),
        rng.getrandbits(32) & rng.getrandbits(32) & ~3,
        rng.choice((52, 52, 45, 36, 32)),
    )
    if registers.user:
        machine.ring3()
    state.cr0 |= registers.wp << 16
    state.cr4 |= registers.smep << 20 | registers.smap << 21 | registers.pke << 22
    state.cr4 = state.cr4 & ~0x10 | registers.pse << 4
    state.efer |= registers.nxe << 11
    state.rflags |= registers.ac << 18
    state.pkru, state.maxphyaddr = registers.pkru, registers.maxphyaddr
    if mode == "long5":
        state.cr4 |= 1 << 12
        state.cr3 = PML5
    if not registers.user:  # the code's own page: SMEP keeps the supervisor out of user pages
        gpa, size = machine.pte_place(CODE)
        machine.poke(gpa, CODE | 3 | MARKED, size)
    return machine, registers


# What every page-table entry outside of RAM holds. It is not marked, so each one used is written.
OUTSIDE = 0x9007


def in_ram(gpa):
    return gpa < LOW or HIGH_BASE <= gpa < HIGH_BASE + HIGH or ROM <= gpa < ROM + 4096


def peek(machine):
    """Reads entries wherever they are, and keeps a list of those that are not in RAM."""
    outside = []

    def read(gpa, size):
        if in_ram(gpa):
            return machine.peek(gpa, size)
        outside.append(Read(gpa, size))
        return OUTSIDE

    return read, outside


def expected_end(access, linear, gpa):
    """Device accesses of the instruction proper, and the type of its outcome."""
    if in_ram(gpa):
        return [], Done
    if access == "FETCH":
        return [], Unsupported
    value = Write(gpa, 4, linear & 0xFFFF_FFFF)
    return [Read(gpa, 4) if access == "READ" else value], Done


def prepare(machine, access, linear):
    machine.state.rax = machine.state.rbx = linear
    if access == "FETCH":
        machine.state.rip = linear
    else:
        machine.poke(CODE, bytes.fromhex("8903" if access == "WRITE" else "8b03"))


def finish(machine):
    """Run the instruction, answering every device read with `OUTSIDE`."""
    accesses, outcome = [], machine.step()
    while isinstance(outcome, Read | Write):
        accesses.append(outcome)
        outcome = machine.step(OUTSIDE if isinstance(outcome, Read) else None)
    return accesses, outcome


@pytest.mark.parametrize("access", ["READ", "WRITE", "FETCH"])
@pytest.mark.parametrize("mode", CHAIN)
@given(rng=st.randoms(use_true_random=False))
def test_walk(engine, mode, access, rng):
    machine, registers = random_machine(rng, engine, mode)
    linear, size = random_tables(rng, machine, mode), 4 if mode == "pg32" else 8
    prepare(machine, access, linear)
    read, outside = peek(machine)
    found, marks = model(mode, registers, linear, access, read)
    before = bytes(machine.high), bytes(machine.low), bytes(machine.state.record)
    seen = machine.cpu.translate(linear, PageAccess[access], read=lambda *_: OUTSIDE)
    assert (bytes(machine.high), bytes(machine.low), bytes(machine.state.record)) == before
    accesses, outcome = finish(machine)
    if marks is None:
        assert seen == outcome == Fault(14, found, linear)
        assert accesses == outside
        assert (machine.high, machine.low) == before[:2]
        return
    assert isinstance(seen, Translation)
    assert seen.gpa == found
    own, end = expected_end(access, linear, found)
    written = [Write(place, size, value) for place, value in marks if not in_ram(place)]
    assert accesses == outside + written + own
    assert isinstance(outcome, end)
    if not in_ram(found) or access != "WRITE":
        for place, value in marks:
            assert not in_ram(place) or machine.peek(place, size) == value


@pytest.mark.parametrize("mode", CHAIN)
def test_the_generator_reaches_every_kind_of_end(mode):
    """Success and each bit of the error code; else the comparison proves little."""
    rng, errors, successes = Random(mode), 0, 0
    for _ in range(1500):
        machine, registers = random_machine(rng, "pure", mode)
        linear = random_tables(rng, machine, mode)
        access = rng.choice(("READ", "WRITE", "FETCH"))
        found, marks = model(mode, registers, linear, access, peek(machine)[0])
        successes += marks is not None
        errors |= found if marks is None else 0
    assert successes > 60
    assert errors == (63 if mode.startswith("long") else 31)
