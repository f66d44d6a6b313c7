# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The saved state of a local APIC, and the check that one could have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from vmmkit.devices._apic_messages import check_range
from vmmkit.devices._apic_spec import (
    DEFAULT_APIC_BASE,
    ICR_LOW_KEPT,
    LVT_KEPT,
    MASKED,
    REMOTE_IRR,
    SVR_KEPT,
    VECTORS,
    ApicBase,
    ErrorStatus,
    Register,
    Spurious,
    TimerMode,
)
from vmmkit.errors import DeviceError

__all__ = ["LapicSnapshot", "check_lapic_snapshot"]


@attrs.frozen
class LapicSnapshot:
    """The guest-visible state of a `Lapic`; integers, booleans and a tuple, so it pickles.

    Times are those of the APIC's clock: a machine that is restored restores its clock too.
    """

    apic_base: int = DEFAULT_APIC_BASE | int(ApicBase.EN)  #: IA32_APIC_BASE
    tpr: int = 0
    ldr: int = 0  #: as written in xAPIC mode
    dfr: int = 0xF000_0000  #: bits 28-31
    svr: int = 0xFF
    esr: int = 0  #: as the guest reads it
    errors: int = 0  #: logged since ESR was written
    icr: int = 0  #: 64 bits
    lvt: tuple[int, ...] = (MASKED,) * len(LVT_KEPT)  #: CMCI first, error last
    irr: int = 0  #: 256 bits, as TMR and ISR
    isr: int = 0
    tmr: int = 0
    initial_count: int = 0
    divide: int = 0
    timer_running: bool = False
    timer_origin: int = 0  #: ns, when counting began
    timer_first: int = 0  #: counts from then to the first expiration
    timer_reported: int = 0  #: expirations since then that had their interrupt
    tsc_deadline: int = 0  #: IA32_TSC_DEADLINE
    tsc_offset: int = 0  #: TSC at time zero
    lines: int = 0  #: LINT0 in bit 0, LINT1 in bit 1
    extint: bool = False  #: an ExtINT message waits for the processor
    waits_for_sipi: bool = False


_LEGAL_VECTORS: Final = (1 << VECTORS) - (1 << 16)
_ERRORS: Final = int(
    ErrorStatus.SEND_ILLEGAL_VECTOR
    | ErrorStatus.RECEIVE_ILLEGAL_VECTOR
    | ErrorStatus.ILLEGAL_REGISTER
)
_MODES: Final = int(ApicBase.EN | ApicBase.EXTD)

# Bits that each integer of a snapshot may have.
_MASKS: Final = {
    "apic_base": (1 << 52) - 0x1000 | int(ApicBase.BSP) | _MODES,
    "tpr": 0xFF,
    "ldr": 0xFF00_0000,
    "dfr": 0xF000_0000,
    "svr": SVR_KEPT,
    "esr": _ERRORS,
    "errors": _ERRORS,
    "icr": 0xFFFF_FFFF << 32 | ICR_LOW_KEPT,
    "irr": _LEGAL_VECTORS,
    "isr": _LEGAL_VECTORS,
    "tmr": _LEGAL_VECTORS,
    "initial_count": 0xFFFF_FFFF,
    "divide": 0x0B,
    "timer_first": 0xFFFF_FFFF,
    "tsc_deadline": 2**64 - 1,
    "lines": 3,
}
_FLAGS: Final = ("timer_running", "extint", "waits_for_sipi")
_ENTRIES: Final = tuple(LVT_KEPT)
_TIMER: Final = _ENTRIES.index(Register.LVT_TIMER)


def _mode(snapshot: LapicSnapshot) -> int:
    return snapshot.lvt[_TIMER] >> 17 & 3


# Contradictions between fields: what is wrong, and when.
_CONTRADICTIONS: Final[tuple[tuple[str, Callable[[LapicSnapshot], object]], ...]] = (
    ("EXTD without EN", lambda s: s.apic_base & _MODES == ApicBase.EXTD),
    (
        "an unmasked LVT entry while software-disabled",
        lambda s: not s.svr & Spurious.ENABLED and not all(e & MASKED for e in s.lvt),
    ),
    (
        "a TSC deadline in another timer mode",
        lambda s: s.tsc_deadline and _mode(s) != TimerMode.TSC_DEADLINE,
    ),
    (
        "a timer that runs without counting",
        lambda s: s.timer_running and (_mode(s) > TimerMode.PERIODIC or not s.initial_count),
    ),
    (
        "a timer that counts from zero",
        lambda s: s.timer_running and not 0 < s.timer_first <= s.initial_count,
    ),
)


def _check_bits(what: str, value: object, mask: int) -> None:
    if not isinstance(value, int) or value & ~mask:
        raise DeviceError(f"Lapic: {what} is {value!r}; the bits allowed are {mask:#x}")


def _check_fields(snapshot: LapicSnapshot) -> None:
    """Refuse values that their fields cannot have, each field by itself."""
    for field, mask in _MASKS.items():
        _check_bits(field, getattr(snapshot, field), mask)
    for field in _FLAGS:
        if not isinstance(getattr(snapshot, field), bool):
            raise DeviceError(f"Lapic: {field} is {getattr(snapshot, field)!r}, which is no bool")
    for field, first in (("timer_origin", 0), ("timer_reported", 0), ("tsc_offset", -(2**64))):
        check_range(f"Lapic: {field}", getattr(snapshot, field), 2**100, first)
    if not isinstance(snapshot.lvt, tuple) or len(snapshot.lvt) != len(_ENTRIES):
        raise DeviceError(f"Lapic: lvt is {snapshot.lvt!r}; {len(_ENTRIES)} entries are needed")
    for register, entry in zip(_ENTRIES, snapshot.lvt, strict=True):
        _check_bits(
            "lvt", entry, LVT_KEPT[register] | REMOTE_IRR * (register == Register.LVT_LINT0)
        )


def check_lapic_snapshot(snapshot: object, *, x2apic: bool) -> LapicSnapshot:
    """Return `snapshot` if a local APIC could have produced it, or raise `DeviceError`."""
    if not isinstance(snapshot, LapicSnapshot):
        raise DeviceError(f"Lapic: {snapshot!r} is no LapicSnapshot")
    _check_fields(snapshot)
    for wrong, applies in _CONTRADICTIONS:
        if applies(snapshot):
            raise DeviceError(f"Lapic: no local APIC has this state: {wrong}")
    if snapshot.apic_base & ApicBase.EXTD and not x2apic:
        raise DeviceError("Lapic: the snapshot is in x2APIC mode; this processor has none")
    return snapshot
