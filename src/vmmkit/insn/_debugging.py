# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints that belong to the owner of a vCPU: what a debugger needs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import Final, NamedTuple

from vmmkit.errors import StateError
from vmmkit.insn._breakpoints import CONTROL, COUNT, FIRST, HOLD, INT3, KIND, LAST, SKIP
from vmmkit.insn._record import BREAK_BITS, DEBUG_SLOTS

__all__ = ["BREAKPOINT_SLOTS", "BreakKind", "Breakpoint", "Debuggable"]

BREAKPOINT_SLOTS: Final = DEBUG_SLOTS
ALL_ONES: Final = (1 << 64) - 1


class BreakKind(IntFlag):
    """What hits a breakpoint; a breakpoint may have several kinds."""

    EXECUTE = BREAK_BITS["EXECUTE"]  #: an instruction that begins there
    WRITE = BREAK_BITS["WRITE"]  #: a store
    READ = BREAK_BITS["READ"]  #: a load; an operand that is read and written is both
    PORT = BREAK_BITS["PORT"]  #: IN, OUT, INS and OUTS; the addresses are ports
    ACCESS = READ | WRITE


class Breakpoint(NamedTuple):
    """Linear addresses, or ports, from `first` to `last`, both included."""

    kind: BreakKind
    first: int
    last: int


def _checked(breakpoint_: Breakpoint) -> Breakpoint:
    kind, first, last = breakpoint_
    numbers = isinstance(kind, int) and isinstance(first, int) and isinstance(last, int)
    if not numbers or not 0 < kind < 2 * BreakKind.PORT:
        message = f"a breakpoint has one or more BreakKinds, and two addresses: {breakpoint_!r}"
        raise StateError(message)
    if not 0 <= first <= last <= ALL_ONES:
        message = f"a breakpoint goes from first to last, in 64 bits, not {first!r} to {last!r}"
        raise StateError(message)
    return Breakpoint(BreakKind(kind), int(first), int(last))


class Debuggable:
    """What a `Cpu` has for a debugger; the guest's debug registers have no part in it.

    All of it is in the record. Other threads than the vCPU's do not call these while it runs.
    """

    __slots__ = ()

    _words: memoryview

    @property
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """The owner's breakpoints, by slot."""
        words = self._words
        slots = range(min(words[COUNT], DEBUG_SLOTS))
        return tuple(
            Breakpoint(BreakKind(words[KIND + slot]), words[FIRST + slot], words[LAST + slot])
            for slot in slots
        )

    def set_breakpoints(
        self, breakpoints: Iterable[Breakpoint] = (), *, int3: bool = False
    ) -> None:
        """Set all breakpoints of the owner, in place of those before.

        A hit comes out as `DebugExit`: before the instruction for `EXECUTE` and INT3, after it for
        the other kinds, and then after each element of a repeated one. Events that are due at an
        instruction are delivered before its breakpoint counts, and an instruction in flight goes on
        without. What the delivery of an event, a descriptor or a page table makes the processor
        access hits nothing.

        Args:
            breakpoints: up to `BREAKPOINT_SLOTS`; where several are hit the first one is told.
            int3: whether the instruction INT3 (CCH) comes out instead of being executed.

        Raises:
            StateError: too many, without a kind, or an empty range or one out of 64 bits. The
                breakpoints before are still there then.
        """
        given = [_checked(item) for item in breakpoints]
        if len(given) > DEBUG_SLOTS:
            message = f"there are {DEBUG_SLOTS} slots for breakpoints, not {len(given)}"
            raise StateError(message)
        words = self._words
        for slot in range(DEBUG_SLOTS):
            kind, first, last = given[slot] if slot < len(given) else (0, 0, 0)
            words[KIND + slot], words[FIRST + slot], words[LAST + slot] = kind, first, last
        words[COUNT] = len(given)
        words[CONTROL] = words[CONTROL] & ~INT3 | (INT3 if int3 else 0)

    def skip_breakpoint(self) -> None:
        """Have no breakpoint and no INT3 of the owner count at the next instruction.

        That is how to go on from a `DebugExit` before an instruction. It ends when an instruction,
        one element of a repeated one, or the delivery of an event is complete.
        """
        self._words[CONTROL] |= SKIP

    @property
    def interrupts_held(self) -> bool:
        """Whether `hold_interrupts` is in force."""
        return bool(self._words[CONTROL] & HOLD)

    def hold_interrupts(self, held: bool) -> None:
        """Let external interrupts, NMIs and the interrupt window wait, or no more.

        So that a single step leads to the next instruction and not into a handler. Nothing is lost
        meanwhile, and a halted processor goes on sleeping. Exceptions, and what `inject` is given,
        are delivered all the same.
        """
        words = self._words
        words[CONTROL] = words[CONTROL] | HOLD if held else words[CONTROL] & ~HOLD
