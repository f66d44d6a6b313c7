# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Events that the owner of a vCPU makes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from vmmkit.errors import StepError
from vmmkit.insn._breakpoints import DR
from vmmkit.insn._events import (
    CR2,
    DB,
    DR6_FIXED,
    ERROR,
    EVENT,
    HAS_ERROR,
    NMI,
    PAGE_FAULT,
    RESUME,
    VALID,
)
from vmmkit.insn._record import EVENT_TYPES

__all__ = ["EventKind", "inject_event"]

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


def inject_event(
    words: memoryview, vector: int, error: int | None, address: int, kind: EventKind | None
) -> None:
    """Fill the event words; as `Cpu.inject`."""
    kind = _kind_of(vector) if kind is None else kind
    exception = kind == EventKind.EXCEPTION
    bits = RESUME if exception and vector not in TRAPS else 0
    code = 0 if error is None else error
    if not isinstance(code, int) or not 0 <= code < 1 << 32:
        message = f"an error code has 32 bits, not {error!r}"
        raise StepError(message)
    if exception and vector == PAGE_FAULT:
        words[CR2] = address
    if exception and vector == DB:
        words[DR + 6] = words[DR + 6] & ~15 | DR6_FIXED | address
    words[ERROR] = code
    words[EVENT] = VALID | kind | bits | vector | (0 if error is None else HAS_ERROR)
