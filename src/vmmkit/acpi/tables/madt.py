# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MADT: the interrupt controllers, and through them the processors.

ACPI Specification, Multiple APIC Description Table (MADT).
"""

from __future__ import annotations

from enum import IntFlag

from vmmkit.acpi.structure import structure, u8, u32
from vmmkit.acpi.tables.entry import Entry, Family
from vmmkit.acpi.tables.table import EntryTable

__all__ = ["LapicFlags", "LocalApic", "Madt", "MadtEntry", "MadtFlags"]


class MadtFlags(IntFlag):
    """Of the table."""

    PCAT_COMPAT = 1  #: there are two 8259s, which must be masked when the APICs are used


class LapicFlags(IntFlag):
    """Of a processor."""

    ENABLED = 1
    ONLINE_CAPABLE = 2


class MadtEntry(Entry):
    """An interrupt controller structure."""

    FAMILY = Family("APIC", "<BB")


@structure
class LocalApic(MadtEntry):
    """A processor with an APIC id below 255 (type 0)."""

    TYPE = 0

    acpi_processor_uid: int = u8()
    apic_id: int = u8()
    flags: LapicFlags = u32(default=LapicFlags.ENABLED, enum=LapicFlags)


@structure
class Madt(EntryTable):
    """The Multiple APIC Description Table."""

    SIGNATURE = "APIC"
    FAMILY = MadtEntry.FAMILY
    REVISION = 5

    local_apic_address: int = u32(default=0xFEE0_0000, kw_only=True)
    flags: MadtFlags = u32(default=MadtFlags.PCAT_COMPAT, enum=MadtFlags, kw_only=True)
