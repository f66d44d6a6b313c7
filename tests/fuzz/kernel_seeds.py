# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Seeds with interrupt tables, descriptors, task states and stacks of their own."""

from fuzz.inputs import Input, Piece, record_of
from insn.kernel import HANDLERS, IDT
from insn.machine import (
    CODE,
    DATA,
    GDT,
    HIGH_BASE,
    LOW,
    PD,
    PD32,
    PDPT,
    PDPT_PAE,
    PML4,
    PT,
    PT32,
    ROM,
    STACK,
    TSS,
)
from insn.random_kernels import kernel
from vmmkit.insn._record import EVENT_BITS, EVENT_TYPES

__all__ = ["PIECES", "kernel_seed"]

TOP = (1 << 52) - 0x1000
PIECES = (Piece(0, 8), Piece(PML4, 8), Piece(PD32, 3), Piece(ROM, 1, writable=0), Piece(TOP, 1))
HANDLER_CODE = ("cf", "48cf", "66cf", "cb", "90", "f4", "0f0b", "cc", "cd30", "0f22d8", "58cf")
LOWEST = ((CODE, 64), (DATA, 64), (GDT, 128), (TSS, 112), (STACK - 32, 64))
WIDE_TABLES = ((PML4, 64), (PDPT, 64), (PD, 64), (PT, 0x50), (PT + 8 * 0x40, 0x88))
NARROW_TABLES = ((PD32, 64), (PT32, 0x28), (PT32 + 4 * 0x40, 0x44))
TABLES = {
    "pg32": NARROW_TABLES,
    "pae": (*WIDE_TABLES[2:], (PDPT_PAE, 32)),
    "compat": WIDE_TABLES,
    "long": WIDE_TABLES,
}
GATE_SIZE = {"real": 4, "compat": 16, "long": 16}


def interrupt_table(mode):
    """Where the gates of exceptions, and of the two software interrupts in use, are."""
    size = GATE_SIZE.get(mode, 8)
    return (IDT, 20 * size), (IDT + size * 0x30, size), (IDT + size * 0x80, size)


def held(machine):
    """What of the machine's RAM an input brings along."""
    ranges = (*LOWEST, *interrupt_table(machine.mode), *TABLES.get(machine.mode, ()))
    for gpa, size in ranges:
        ram, offset = (machine.low, gpa) if gpa < LOW else (machine.high, gpa - HIGH_BASE)
        data = bytes(ram[offset : offset + size])
        if any(data):
            yield gpa, data


def handlers(rng):
    """Something short for each exception to run into."""
    return b"".join(bytes.fromhex(rng.choice(HANDLER_CODE)).ljust(16, b"\x90") for _ in range(20))


def owner_event(rng):
    """One thing that the owner of a vCPU may do between two calls."""
    kind = rng.choice((*EVENT_TYPES.values(), EVENT_TYPES["EXCEPTION"]))
    bits = EVENT_BITS["VALID"] | kind | rng.choice((0, EVENT_BITS["ERROR"]))
    return rng.choice(
        (
            ("set", 1 + rng.choice((0x30, 0x80, 13, 8)), "interrupt_request", 0),
            ("set", 1, "nmi_pending", 0),
            ("set", 1, "window_request", 0),
            ("set", 1, "kick", 0),
            ("set", 1, "refused", 0),
            ("set", rng.choice((1, 0x4000, 0x4001)), "debug_pending", 0),
            ("set", bits | rng.choice((0, 1, 2, 3, 6, 8, 10, 12, 13, 14, 17, 0x30)), "event", 0),
        )
    )


def calls(rng):
    """Steps and runs, with events of the owner between."""
    answers = (0, 0x40067, 0x8E00_0008_4000, 0x00CF_9B00_0000_FFFF, (1 << 64) - 1, 5)
    for _ in range(rng.randrange(3, 6)):
        if rng.random() < 0.4:
            yield owner_event(rng)
        yield rng.choice((("step", rng.choice(answers)), ("run", rng.choice(answers), 20)))
    yield "resume", rng.choice(answers)


def kernel_seed(rng):
    """A random guest as an input."""
    machine = kernel(rng)
    code, *rest = held(machine)
    patches = [code, (HANDLERS, handlers(rng)), *rest]
    switches = (rng.randrange(2) for _ in range(2))
    made = Input(record_of(machine.state), list(PIECES), patches, next(switches), list(calls(rng)))
    made.deliver, made.wide = int(rng.random() < 0.9), next(switches)
    return made
