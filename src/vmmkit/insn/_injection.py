# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Events that the owner of a vCPU makes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from vmmkit.errors import StepError
from vmmkit.insn._breakpoints import CONTROL, DR, HOLD
from vmmkit.insn._event_words import (
    CR2,
    DB,
    DR6_FIXED,
    ERROR,
    EVENT,
    HAS_ERROR,
    NMI,
    NMI_PENDING,
    PAGE_FAULT,
    REQUEST,
    RESUME,
    VALID,
    WINDOW,
    may_interrupt,
)
from vmmkit.insn._record import EVENT_TYPES, WORD

__all__ = ["EventKind", "Interruptible"]

RIP: Final = WORD["rip"]
PENDING: Final = WORD["log_pending"]
TRAPS: Final = frozenset({DB, 3, 4, 8, 18})  # traps and aborts; the other exceptions push RF set


class EventKind(IntEnum):
    """Where an event comes from, as in VMX.

    SDM vol. 3C, "VM-Entry Interruption-Information Field".
    """

    INTERRUPT = EVENT_TYPES["INTERRUPT"]  #: external interrupt
    NMI = EVENT_TYPES["NMI"]
    EXCEPTION = EVENT_TYPES["EXCEPTION"]  #: of hardware: only these become double faults
    SOFTWARE_INTERRUPT = EVENT_TYPES["SOFTWARE_INTERRUPT"]  #: INT n
    ICEBP = EVENT_TYPES["ICEBP"]  #: INT1
    SOFTWARE_EXCEPTION = EVENT_TYPES["SOFTWARE_EXCEPTION"]  #: INT3 and INTO


def _kind_of(vector: int) -> EventKind:
    if vector == NMI:
        return EventKind.NMI
    return EventKind.EXCEPTION if vector < 32 else EventKind.INTERRUPT


def _checked(value: int, bits: int, what: str) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << bits:
        message = f"{what} has {bits} bits, not {value!r}"
        raise StepError(message)
    return value


def _inject(
    words: memoryview, vector: int, error: int | None, address: int, kind: EventKind | None
) -> None:
    """Fill the event words."""
    kind = _kind_of(vector) if kind is None else kind
    if not isinstance(kind, EventKind):
        message = f"the kind of an event is an EventKind, not {kind!r}"
        raise StepError(message)
    exception = kind == EventKind.EXCEPTION
    bits = RESUME if exception and vector not in TRAPS else 0
    code = _checked(0 if error is None else error, 32, "an error code")
    address = _checked(address, 64, "the address of an event")
    if exception and vector == PAGE_FAULT:
        words[CR2] = address
    if exception and vector == DB:
        words[DR + 6] = words[DR + 6] & ~15 | DR6_FIXED | address
    words[ERROR] = code
    words[EVENT] = VALID | kind | bits | vector | (0 if error is None else HAS_ERROR)


class Interruptible:
    """What a `Cpu` has for the owner's events."""

    __slots__ = ()

    delivers: bool
    """Whether exceptions and interrupts go to the guest."""
    _words: memoryview

    def inject(
        self,
        vector: int,
        error_code: int | None = None,
        *,
        address: int = 0,
        kind: EventKind | None = None,
    ) -> None:
        """Have an event delivered before anything else, whatever RFLAGS.IF says.

        RIP is pushed as it is.

        Args:
            vector: 0 to 255.
            error_code: pushed, except in real-address mode.
            address: with the exception #PF (14) what goes to CR2, with #DB (1) the bits to set in
                DR6, both at once.
            kind: how its faults combine and whether the gate's DPL counts; without it NMI for 2,
                an exception below 32, and an external interrupt above.

        Raises:
            StepError: delivery is off, an instruction or event is in flight, or an argument is out
                of range.
        """
        _inject(self._deliverable(vector), vector, error_code, address, kind)

    def request_interrupt(self, vector: int) -> None:
        """Have an external interrupt delivered as soon as the guest takes one.

        That is with RFLAGS.IF set and not in an interrupt shadow. One interrupt waits at a time;
        a second request takes the place of the first. Other threads may call this.

        Raises:
            StepError: delivery is off, or no such vector.
        """
        self._check_delivery(vector)
        self._words[REQUEST] = vector + 1

    def request_interrupt_window(self) -> None:
        """Have the run end with `InterruptWindow` as soon as the guest takes an interrupt.

        For an interrupt controller that tells the vector only then. Other threads may call this.

        Raises:
            StepError: delivery is off.
        """
        self._check_delivery()
        self._words[WINDOW] = 1

    @property
    def event_pending(self) -> bool:
        """Whether an event is being delivered, or will be before anything else."""
        return bool(self._words[EVENT])

    @property
    def interrupt_window(self) -> bool:
        """Whether an external interrupt could be delivered now."""
        words = self._words
        free = not (words[PENDING] or words[EVENT] or words[CONTROL] & HOLD)
        return free and may_interrupt(words)

    def nmi(self) -> None:
        """Have an NMI delivered, after the handler of the one before; one waits at a time.

        Other threads may call this.

        Raises:
            StepError: delivery is off.
        """
        self._check_delivery()
        self._words[NMI_PENDING] = 1

    def _check_delivery(self, vector: int = 0) -> None:
        if not self.delivers:
            message = "events are delivered by Cpu(..., deliver=True) only"
            raise StepError(message)
        if not isinstance(vector, int) or not 0 <= vector <= 0xFF:
            message = f"a vector is from 0 to 255, not {vector!r}"
            raise StepError(message)

    def _deliverable(self, vector: int) -> memoryview:
        self._check_delivery(vector)
        words = self._words
        if words[PENDING] or words[EVENT]:
            message = f"an instruction or event is in flight at {words[RIP]:#x}; complete it first"
            raise StepError(message)
        return words
