# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""WAET: which faults of real hardware a guest need not work around.

Microsoft, Windows ACPI Emulated Devices Table.
"""

from __future__ import annotations

from enum import IntFlag

from vmmkit.acpi.structure import structure, u32
from vmmkit.acpi.tables.table import Table

__all__ = ["EmulatedDeviceFlags", "Waet"]


class EmulatedDeviceFlags(IntFlag):
    """Devices that behave."""

    RTC_GOOD = 1  #: after an interrupt of the RTC, status register C need not be read
    PM_TIMER_GOOD = 2  #: one read of the PM timer is enough


@structure
class Waet(Table):
    """The Windows ACPI Emulated Devices Table.

    Args:
        emulated_device_flags: `EmulatedDeviceFlags`.
    """

    SIGNATURE = "WAET"

    emulated_device_flags: int = u32(
        default=EmulatedDeviceFlags.PM_TIMER_GOOD, enum=EmulatedDeviceFlags
    )
