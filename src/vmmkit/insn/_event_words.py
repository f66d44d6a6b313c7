# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where the record keeps events, and what their words say; for the owner and the pure engine."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._flags import IF
from vmmkit.insn._record import EVENT_BITS, WORD

__all__ = [
    "CR2",
    "DB",
    "DR6_FIXED",
    "ERROR",
    "EVENT",
    "HAS_ERROR",
    "NMI",
    "NMI_PENDING",
    "PAGE_FAULT",
    "REQUEST",
    "RESUME",
    "SHADOW",
    "VALID",
    "WINDOW",
    "may_interrupt",
]

DB: Final = 1
NMI: Final = 2
PAGE_FAULT: Final = 14

RFLAGS: Final = WORD["rflags"]
CR2: Final = WORD["cr2"]
SHADOW: Final = WORD["interrupt_shadow"]
NMI_PENDING: Final = WORD["nmi_pending"]
REQUEST: Final = WORD["interrupt_request"]
WINDOW: Final = WORD["window_request"]
EVENT: Final = WORD["event"]
ERROR: Final = WORD["event_error"]

HAS_ERROR, RESUME, VALID = (EVENT_BITS[name] for name in ("ERROR", "RESUME", "VALID"))
DR6_FIXED: Final = 0xFFFF_0FF0  # SDM vol. 3B, "Debug Status Register (DR6)"


def may_interrupt(words: memoryview) -> bool:
    """Whether an external interrupt could be delivered now."""
    return bool(words[RFLAGS] & IF) and not words[SHADOW]
