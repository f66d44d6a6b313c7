# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""HPET: the high precision event timer.

IA-PC HPET (High Precision Event Timers) Specification 1.0a, The ACPI 2.0 HPET Description Table.
"""

from __future__ import annotations

from enum import IntEnum

from vmmkit.acpi.structure import nested, structure, u8, u16, u32
from vmmkit.acpi.tables.gas import AccessSize, Gas
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import TableValueError

__all__ = ["Hpet", "PageProtection", "event_timer_block_id"]


class PageProtection(IntEnum):
    """What else a page with the timer's registers may be mapped for (low four bits)."""

    NO_GUARANTEE = 0
    PROTECTED_4K = 1  #: nothing else is in these 4 KiB
    PROTECTED_64K = 2  #: nothing else is in these 64 KiB


def event_timer_block_id(
    *,
    vendor: int = 0x8086,
    comparators: int = 3,
    revision: int = 1,
    counter_64bit: bool = True,
    legacy_replacement: bool = True,
) -> int:
    """Return the low half of the timer's General Capabilities register, which the table repeats.

    Args:
        vendor: PCI vendor id, 16 bits.
        comparators: how many, 1 to 32.
        revision: of the hardware, 1 to 255; 0 is not allowed.
        counter_64bit: whether the main counter has 64 bits.
        legacy_replacement: whether it can take the interrupts of the PIT and the RTC.

    Raises:
        TableValueError: a number out of range.
    """
    if not (0 <= vendor <= 0xFFFF and 1 <= comparators <= 32 and 1 <= revision <= 0xFF):
        raise TableValueError(
            f"Hpet.event_timer_block_id: vendor {vendor:#x}, {comparators} comparators or "
            f"revision {revision} out of range",
            "HPET",
            36,
        )
    bits = legacy_replacement << 15 | counter_64bit << 13 | (comparators - 1) << 8
    return vendor << 16 | bits | revision


@structure
class Hpet(Table):
    """The HPET description table.

    Args:
        base_address: its registers, 1 KiB, in memory.
        event_timer_block_id: see the function of that name.
        hpet_number: 0 for the first.
        minimum_clock_tick: least ticks of the main counter between periodic interrupts so that
            none is lost.
        page_protection: `PageProtection`, and four bits for the OEM above.
    """

    SIGNATURE = "HPET"

    event_timer_block_id: int = u32(default=event_timer_block_id(), kw_only=True)
    base_address: Gas = nested(Gas, default=Gas.mem(0xFED0_0000, 64, AccessSize.UNDEFINED))
    hpet_number: int = u8(default=0, kw_only=True)
    minimum_clock_tick: int = u16(default=0, kw_only=True)
    page_protection: int = u8(
        default=PageProtection.NO_GUARANTEE, enum=PageProtection, kw_only=True
    )
