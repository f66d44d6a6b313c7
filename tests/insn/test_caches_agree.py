# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Both engines on guests that run in a loop and change their page tables and their code meanwhile.

The pure engine walks and decodes every time. What the native one remembers must not show: every
outcome, all of the record and all of RAM are compared after each `run`.
"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.absolute_code import absolute, word
from insn.kernel import HANDLERS, Kernel
from insn.machine import (
    CODE,
    DATA,
    EFER_NXE,
    HIGH_BASE,
    LOW,
    PAGED,
    PD,
    PD32,
    PDPT,
    PDPT_PAE,
    PML4,
    PT,
    PT32,
    Machine,
)
from vmmkit.insn import BudgetSpent, Done, Fault, PortIn, PortOut, Read, Write

PAGES = (1, 2, 3, 4, 6, 7, 0x10, 0x11, 0x12, 0x42, 0x43, 0x49)  # what PTEs are changed of
FRAMES = (1, 1, 2, 2, 3, 4, 6, 7, 8, 0x11, 0x12, 0x43, 0x50, 0x60)
RIGHTS = (*(0x67, 7, 0x63, 0x27) * 3, 0x65, 5, 1, 0, 6, 0x47, 0x21)
LINEAR_ENTRIES = {"pg32": (PT32, 4), "pae": (PT, 8), "compat": (PT, 8), "long": (PT, 8)}
UPPER = {"pg32": (PD32,), "pae": (PD, PDPT_PAE)}
TURNS = 24


def entry_place(rng, mode):
    """Where a page-table entry is, mostly of the last level."""
    if rng.randrange(8) == 0:
        return rng.choice(UPPER.get(mode, (PML4, PDPT, PD))) + rng.choice((0, 1, 8))
    table, size = LINEAR_ENTRIES[mode]
    return table + size * rng.choice(PAGES) + rng.choice((0, 0, 0, 0, 1))


def data_place(rng):
    page = rng.choice(PAGES[1:9]) << 12
    return page + rng.choice((0x10, 0x10, 0x800, 0xFFE, 0xFFF, 8 * rng.randrange(500)))


def code_place(rng):
    """Somewhere in the loop, or in the subroutine."""
    return rng.choice((CODE, 0x1_1000)) + rng.randrange(0x60)


def place(rng, mode):
    return rng.choice((entry_place(rng, mode), data_place(rng), data_place(rng), code_place(rng)))


def new_entry(rng):
    return rng.choice(FRAMES) << 12 | rng.choice(RIGHTS)


def change_entry(rng, mode):
    """Write an entry, in one of the ways that there are to store."""
    at, entry = entry_place(rng, mode), new_entry(rng)
    bit = bytes((rng.choice((0, 1, 2, 5, 6, 12, 13)),))
    forms = (
        lambda: absolute("c7", 0, at & ~3) + word(entry),
        lambda: absolute("0fba", rng.choice((5, 6, 7)), at & ~3) + bit,  # BTS, BTR, BTC
        lambda: absolute("f00fba", rng.choice((5, 6, 7)), at & ~3) + bit,
        lambda: b"\xb8" + word(entry) + absolute("87", 0, at & ~3),  # XCHG
        lambda: absolute("80", 4, at) + bytes((rng.choice((0xFE, 0xFB, 0x9F, 0xDF)),)),
        lambda: absolute("80", 1, at) + bytes((rng.choice((1, 2, 4, 0x60)),)),
        lambda: absolute("0f11", rng.randrange(2), at & ~15),  # MOVUPS
        lambda: b"\xbf" + word(at) + b"\xb9" + word(rng.randrange(6)) + b"\xf3\xaa",
        lambda: b"\xbe" + word(at) + b"\xbf" + word(at ^ 8) + b"\xb9" + word(9) + b"\xf3\xa4",
        lambda: absolute("0fc1", 0, at & ~3),  # XADD
    )
    return rng.choice(forms)()


def system(rng):
    """Instructions that change what a walk looks at, or drop translations."""
    toggled = rng.choice(((0, 16), (4, 20), (4, 21), (4, 7), (4, 16)))  # WP, SMEP, SMAP, PGE
    number, bit = toggled
    ac = rng.choice(("0f01cb", "0f01ca"))
    return rng.choice(
        (
            bytes.fromhex("0f20d80f22d8"),
            bytes((0x0F, 0x20, 0xC0 | number << 3, 0x0F, 0xBA, 0xF8, bit, 0x0F, 0x22))
            + bytes((0xC0 | number << 3,)),
            bytes.fromhex(ac),
            b"\x9c\x9d",
            absolute("0f01", 7, data_place(rng)),
            absolute("0f01", 7, CODE),
            b"\xb9\0\0\0\0\xba\0\0\0\0\xb8" + word(rng.getrandbits(8)) + b"\x0f\x01\xef",
        )
    )


def use(rng, mode):
    """Loads, stores, branches."""
    at = place(rng, mode)
    return rng.choice(
        (
            absolute("8b", rng.randrange(3), at),
            absolute("01", rng.randrange(3), at),
            absolute("88", 1, at),
            absolute("89", rng.randrange(3), data_place(rng)),
            absolute("0f10", rng.randrange(2), data_place(rng)),
            absolute("f00fb1", 3, data_place(rng)),
            b"\x50\x5a",
            bytes((0x70 | rng.randrange(16), 0)),
            b"\xe8\0\0\0\0\x58",
            b"\x41\x90",  # INC ECX, or a NOP with a prefix
            b"\xa4\xaa",
        )
    )


def build(rng, mode, deliver):
    """A loop of a few instructions, and where each begins."""
    machine = Kernel("pure", mode, deliver=deliver) if deliver else Machine("pure", mode)
    starts, code = [], b""
    for _ in range(rng.randrange(4, 12)):
        starts.append(CODE + len(code))
        kind = rng.randrange(8)
        if kind < 3:
            code += change_entry(rng, mode)
        elif kind == 3:
            code += system(rng)
        else:
            code += use(rng, mode)
    if rng.randrange(2):  # by way of another page
        code += b"\xe8" + word(0x1_1000 - CODE - len(code) - 5)
        machine.poke(0x1_1000, use(rng, mode) + b"\xc3")
    starts.append(CODE + len(code))
    machine.poke(CODE, code + b"\xe9" + word(-len(code) - 5))
    machine.poke(DATA, bytes(rng.getrandbits(8) for _ in range(64)))
    machine.state.rsi, machine.state.rdi, machine.state.rcx = DATA, DATA + 0x100, rng.randrange(9)
    for number in range(2):
        machine.state.xmm[number] = new_entry(rng) | new_entry(rng) << 64
    prepare(rng, machine, mode)
    return machine, starts


def prepare(rng, machine, mode):
    """Page tables that are not only the identity."""
    state = machine.state
    state.cr4 |= 1 << 9
    state.rsp = rng.choice((0x7000, 0x4008, 0x1_2008, 0x6FFC))
    if mode in {"compat", "long"}:
        state.efer |= rng.choice((0, EFER_NXE))
        state.cr4 |= rng.choice((0, 1 << 21, 1 << 22))
        state.pkru = rng.choice((0, 0, 4, 8))
    state.cr0 |= rng.choice((0, 1 << 16))
    table, size = LINEAR_ENTRIES[mode]
    for _ in range(rng.randrange(4)):
        machine.poke(table + size * rng.choice(PAGES[1:]), new_entry(rng), size)
    if rng.randrange(3) == 0:  # nothing is marked
        for page in range(0x60):
            at = table + size * page
            machine.poke(at, machine.peek(at, size) & ~0x60, size)
    if isinstance(machine, Kernel) and rng.randrange(2):
        repair(rng, machine, table, size)


def repair(rng, machine, table, size):
    """A page-fault handler that makes the page at CR2 an identity again."""
    code = "50 53 0f20d0 89c3 c1eb0c 81e3ff000000"  # of CR2: its page's number
    code += "25 00f0ffff 0d 67000000"
    code += ("8904dd" if size == 8 else "89049d") + word(table).hex()
    if rng.randrange(2):
        code += "0f20d0 0f0138"  # INVLPG
    code += "5b 58 4883c408 48cf" if machine.long_mode else "5b 58 83c404 cf"
    machine.poke(HANDLERS + 14 * 16, bytes.fromhex(code))


def twin(machine, engine, deliver):
    """The same guest on another engine."""
    other = type(machine).__new__(type(machine))
    other.engine, other.mode = engine, machine.mode
    other.low, other.high = bytearray(machine.low), bytearray(machine.high)
    other.state = type(machine.state)()
    other.state.record[:] = machine.state.record
    other.cpu = other.cpu_on(engine, deliver=deliver)
    return other


def owner_acts(rng, machines, mode):
    """Change an entry, code or a register between two runs."""
    choice, at, value = rng.randrange(6), place(rng, mode), new_entry(rng)
    for machine in machines:
        if choice == 0 and (at < LOW - 4 or HIGH_BASE <= at < HIGH_BASE + 0x3FFF0):
            machine.poke(at, value, 4)
        elif choice == 1:
            machine.state.cr0 ^= 1 << 16
        elif choice == 2 and machine.cpu.delivers:
            machine.cpu.request_interrupt(0x30)


def compare(rng, engines):
    """Run one guest on both engines; return how many instructions it did."""
    mode, deliver = rng.choice(PAGED), rng.random() < 0.5
    start, starts = build(rng, mode, deliver)
    machines = [twin(start, engine, deliver) for engine in engines]
    first, second = machines
    answer, ended = None, 0
    for _ in range(TURNS):
        budget = rng.choice((1, 2, 3, 7, 30, 60))
        calls = [machine.cpu.run(budget, answer) for machine in machines]
        assert calls[0] == calls[1]
        assert first.state.record == second.state.record
        assert first.low == second.low
        assert first.high == second.high
        answer = None
        if isinstance(calls[0], Read | PortIn):
            answer = rng.choice((0, 0x2067, 0x7063, rng.getrandbits(64)))
        elif isinstance(calls[0], Fault) and ended < 8:
            ended += 1
            at = rng.choice(starts)
            for machine in machines:
                machine.state.rip = at
        elif not isinstance(calls[0], Write | PortOut | Done | BudgetSpent):
            break
        if not first.cpu.awaits_answer and rng.randrange(4) == 0:
            owner_acts(rng, machines, mode)
    return first.state.retired


@pytest.mark.parametrize("seed", range(6))
def test_many_guests(two_engines, seed):
    done = 0
    for number in range(60):
        label = f"{seed}/{number}"
        try:
            done += compare(random.Random(label), two_engines)
        except Exception as error:
            raise AssertionError(f"guest {label}: {error}") from error
    assert done > 60 * 30, "most guests should get somewhere"


@given(rng=st.randoms(use_true_random=False))
def test_guests_that_shrink(two_engines, rng):
    compare(rng, two_engines)
