# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints in the debug registers, and the owner's; `csrc/breakpoints.c` is the same.

SDM vol. 3B, "Debug Registers". Data and I/O breakpoints are traps: what an instruction touches is
noted while it runs and counts once it has completed. Code breakpoints are faults before it begins.

The owner's are slots of the record, which no guest can see; they come out as the exit DEBUG at the
same places.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._memory import EXIT_ADDRESS, EXIT_SIZE, EXIT_VALUE, Context
from vmmkit.insn._record import BREAK_BITS, DEBUG_BITS, DEBUG_SLOTS, EXIT_KINDS, WORD

__all__ = [
    "CONTROL",
    "COUNT",
    "DEBUG",
    "DR",
    "FIRST",
    "HOLD",
    "INT3",
    "KIND",
    "LAST",
    "SKIP",
    "WATCHES_DATA",
    "WATCH_GUEST",
    "begin_watching",
    "code_breakpoints",
    "report_hit",
    "stop_at_int3",
    "stops_at",
    "watch",
    "watch_port",
]

DR: Final = WORD["dr"]
CR4: Final = WORD["cr4"]
CR4_DE: Final = 1 << 3
EXECUTE, WRITE, PORT, ACCESS = range(4)  # R/W fields of DR7
LENGTHS: Final = (1, 2, 8, 4)  # by the LEN fields of DR7

DEBUG: Final = EXIT_KINDS.index("DEBUG")
CONTROL: Final = WORD["debug_control"]
COUNT: Final = WORD["debug_count"]
KIND: Final = WORD["debug_kind"]
FIRST: Final = WORD["debug_first"]
LAST: Final = WORD["debug_last"]
INT3, HOLD, SKIP = (DEBUG_BITS[name] for name in ("INT3", "HOLD", "SKIP"))
ON_EXECUTE, ON_WRITE, ON_READ, ON_PORT = BREAK_BITS.values()
READ_AND_WRITTEN: Final = 3

# Bits of `Context.watched`: what is to be looked for.
WATCH_GUEST, WATCH_DATA, WATCH_PORTS = 1, 2, 4
WATCHES_DATA: Final = WATCH_GUEST | WATCH_DATA


def _matches(context: Context, kinds: tuple[int, ...], address: int, size: int) -> int:
    """Bits of DR6 of the enabled breakpoints of `kinds` that an access touches."""
    words, bits = context.words, 0
    control = words[DR + 7]
    for number in range(4):
        if not control >> 2 * number & 3 or control >> 16 + 4 * number & 3 not in kinds:
            continue
        length = LENGTHS[control >> 18 + 4 * number & 3]
        first = words[DR + number] & ~(length - 1)
        if first < address + size and address < first + length:
            bits |= 1 << number
    return bits


def _slots_in_use(context: Context) -> int:
    return min(context.words[COUNT], DEBUG_SLOTS)


def _note_hit(context: Context, kinds: int, address: int, size: int) -> None:
    """Keep the first slot of `kinds` that an access touches; the lowest of all accesses stays."""
    words = context.words
    for number in range(context.hit - 1 if context.hit else _slots_in_use(context)):
        kind, first = words[KIND + number] & kinds, words[FIRST + number]
        beyond = first - address >= size if first > address else address > words[LAST + number]
        if kind and not beyond:
            context.hit, context.hit_kind = number + 1, kind
            context.hit_address = max(first, address)
            return


def watch(context: Context, linear: int, size: int, *, write: bool) -> None:
    """Note a data access. An operand that is read and written is located for writing alone."""
    watched = context.watched
    if watched & WATCH_GUEST:
        context.debug |= _matches(context, (WRITE, ACCESS) if write else (ACCESS,), linear, size)
    if watched & WATCH_DATA:
        kinds = ON_WRITE if write else ON_READ
        if context.row.access == READ_AND_WRITTEN:
            kinds |= ON_READ
        _note_hit(context, kinds, linear, size)


def watch_port(context: Context, port: int, size: int) -> None:
    """Note a port access; CR4.DE makes the guest's breakpoints of them."""
    if context.watched & WATCH_GUEST and context.words[CR4] & CR4_DE:
        context.debug |= _matches(context, (PORT,), port, size)
    if context.watched & WATCH_PORTS:
        _note_hit(context, ON_PORT, port, size)


def code_breakpoints(context: Context, linear: int) -> int:
    """Bits of DR6 of the breakpoints at the first byte of an instruction."""
    return _matches(context, (EXECUTE,), linear, 1)


def _skips(context: Context) -> bool:
    return bool(context.words[CONTROL] & SKIP)


def stops_at(context: Context, linear: int) -> bool:
    """Whether an EXECUTE slot of the owner stops the instruction at `linear`."""
    context.hit = 0
    if not _skips(context):
        _note_hit(context, ON_EXECUTE, linear, 1)
    return bool(context.hit)


def begin_watching(context: Context, linear: int) -> None:
    """Prepare an instruction for the owner's slots.

    Each element of a repeated instruction is one by itself where a slot may count, so that what
    is hit does not depend on how long a batch is.
    """
    kinds = 0
    for number in range(_slots_in_use(context)):
        kinds |= context.words[KIND + number]
    _note_hit(context, ON_EXECUTE, linear, 1)
    if context.hit or kinds & ~ON_EXECUTE:
        context.batch = 1
    context.hit = 0
    if _skips(context):
        return
    if kinds & (ON_READ | ON_WRITE):
        context.watched |= WATCH_DATA
    if kinds & ON_PORT:
        context.watched |= WATCH_PORTS


def _stop_for(context: Context, kind: int, slot: int, address: int) -> int:
    words = context.words
    words[EXIT_ADDRESS], words[EXIT_SIZE], words[EXIT_VALUE] = address, slot, kind
    return DEBUG


def report_hit(context: Context) -> int:
    """Fill the exit record for the slot that was hit; return DEBUG."""
    return _stop_for(context, context.hit_kind, context.hit - 1, context.hit_address)


def stop_at_int3(context: Context, linear: int) -> int:
    """Return DEBUG, the exit record filled, if INT3 is the owner's; else 0."""
    wanted = context.words[CONTROL] & INT3 and not _skips(context)
    return _stop_for(context, 0, 0, linear) if wanted else 0
