# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MADT: the interrupt controllers, and through them the processors.

ACPI Specification, Multiple APIC Description Table (MADT). Structures of other architectures
(GIC, SAPIC, RINTC, ...) are read as `RawEntry`.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Self

import attrs

from vmmkit.acpi.relocation import Pointer
from vmmkit.acpi.structure import pointer, raw, structure, u8, u16, u32, u64
from vmmkit.acpi.tables.entry import Entry, Family
from vmmkit.acpi.tables.table import EntryTable
from vmmkit.errors import TableValueError

__all__ = [
    "InterruptSourceOverride",
    "IoApic",
    "LapicFlags",
    "LocalApic",
    "LocalApicAddressOverride",
    "LocalApicNmi",
    "LocalX2Apic",
    "LocalX2ApicNmi",
    "Madt",
    "MadtEntry",
    "MadtFlags",
    "MpsIntiFlags",
    "MultiprocessorWakeup",
    "NmiSource",
    "Polarity",
    "TriggerMode",
]


class MadtFlags(IntFlag):
    """Of the table."""

    PCAT_COMPAT = 1  #: there are two 8259s, which must be masked when the APICs are used


class LapicFlags(IntFlag):
    """Of a processor."""

    ENABLED = 1
    ONLINE_CAPABLE = 2  #: not enabled, but it can be while the system runs


class Polarity(IntEnum):
    """Which level of an interrupt line means that it is asserted."""

    CONFORMS = 0  #: as the bus has it
    ACTIVE_HIGH = 1
    ACTIVE_LOW = 3


class TriggerMode(IntEnum):
    """What of an interrupt line makes an interrupt."""

    CONFORMS = 0  #: as the bus has it
    EDGE = 1
    LEVEL = 3


class MpsIntiFlags(int):
    """How an interrupt input is wired: two bits of polarity, two of trigger mode.

    ACPI Specification, MPS INTI Flags.
    """

    __slots__ = ()

    @classmethod
    def of(
        cls, polarity: int = Polarity.CONFORMS, trigger_mode: int = TriggerMode.CONFORMS
    ) -> Self:
        """Put flags together.

        Raises:
            TableValueError: a value beyond two bits.
        """
        if polarity not in range(4) or trigger_mode not in range(4):
            raise TableValueError(
                f"MpsIntiFlags: polarity {polarity!r} or trigger mode {trigger_mode!r} is not 0 "
                "to 3"
            )
        return cls(trigger_mode << 2 | polarity)

    @property
    def polarity(self) -> int:
        """A `Polarity`, or 2, which is reserved."""
        bits = self & 3
        return bits if bits == 2 else Polarity(bits)

    @property
    def trigger_mode(self) -> int:
        """A `TriggerMode`, or 2, which is reserved."""
        bits = self >> 2 & 3
        return bits if bits == 2 else TriggerMode(bits)

    def __repr__(self) -> str:
        """Name both parts."""
        return f"<MpsIntiFlags {self:#x}: {self.polarity!r}, {self.trigger_mode!r}>"


class MadtEntry(Entry):
    """An interrupt controller structure."""

    FAMILY = Family("APIC", "<BB")


@structure
class LocalApic(MadtEntry):
    """A processor with an APIC id below 255 (type 0).

    Args:
        acpi_processor_uid: `_UID` of its device in the namespace, 0 to 254.
        apic_id: 0 to 254.
        flags: `LapicFlags`.
    """

    TYPE = 0

    acpi_processor_uid: int = u8()
    apic_id: int = u8()
    flags: int = u32(default=LapicFlags.ENABLED, enum=LapicFlags)


@structure
class IoApic(MadtEntry):
    """An I/O APIC (type 1).

    Args:
        io_apic_id: 0 to 255.
        io_apic_address: of its registers, 32 bits.
        global_system_interrupt_base: number of its first input.
    """

    TYPE = 1

    io_apic_id: int = u8()
    reserved: int = u8(default=0, kw_only=True)
    io_apic_address: int = u32(default=0xFEC0_0000)
    global_system_interrupt_base: int = u32(default=0)


@structure
class InterruptSourceOverride(MadtEntry):
    """An ISA interrupt that is wired to another input, or in another way, than usual (type 2).

    Args:
        source: ISA interrupt, 0 to 15.
        global_system_interrupt: the input it is wired to.
        flags: `MpsIntiFlags`.
        bus: 0, ISA.
    """

    TYPE = 2

    bus: int = u8(default=0, kw_only=True)
    source: int = u8()
    global_system_interrupt: int = u32()
    flags: int = u16(default=MpsIntiFlags(0), enum=MpsIntiFlags)


@structure
class NmiSource(MadtEntry):
    """An input of an I/O APIC that is an NMI (type 3).

    Args:
        global_system_interrupt: the input.
        flags: `MpsIntiFlags`.
    """

    TYPE = 3

    flags: int = u16(default=MpsIntiFlags(0), enum=MpsIntiFlags, kw_only=True)
    global_system_interrupt: int = u32()


@structure
class LocalApicNmi(MadtEntry):
    """The local interrupt pin of a processor that is an NMI (type 4).

    Args:
        acpi_processor_uid: of which processor; 0xFF: of all.
        local_apic_lint: pin, 0 or 1.
        flags: `MpsIntiFlags`.
    """

    TYPE = 4

    acpi_processor_uid: int = u8(default=0xFF)
    flags: int = u16(default=MpsIntiFlags(0), enum=MpsIntiFlags, kw_only=True)
    local_apic_lint: int = u8(default=1)


@structure
class LocalApicAddressOverride(MadtEntry):
    """The address of the local APICs with 64 bits, in place of the table's 32 (type 5)."""

    TYPE = 5

    reserved: int = u16(default=0, kw_only=True)
    local_apic_address: int = u64()


@structure
class LocalX2Apic(MadtEntry):
    """A processor with an APIC id of any size (type 9).

    Args:
        x2apic_id: 32 bits.
        acpi_processor_uid: `_UID` of its device in the namespace, 32 bits.
        flags: `LapicFlags`.
    """

    TYPE = 9

    reserved: int = u16(default=0, kw_only=True)
    x2apic_id: int = u32()
    flags: int = u32(default=LapicFlags.ENABLED, enum=LapicFlags, kw_only=True)
    acpi_processor_uid: int = u32()


@structure
class LocalX2ApicNmi(MadtEntry):
    """As `LocalApicNmi`, for processors with an x2APIC (type 10).

    Args:
        acpi_processor_uid: of which processor; 0xFFFFFFFF: of all.
        local_x2apic_lint: pin, 0 or 1.
        flags: `MpsIntiFlags`.
    """

    TYPE = 10

    flags: int = u16(default=MpsIntiFlags(0), enum=MpsIntiFlags, kw_only=True)
    acpi_processor_uid: int = u32(default=0xFFFF_FFFF)
    local_x2apic_lint: int = u8(default=1)
    reserved: bytes = raw(3, default=bytes(3), kw_only=True)


@structure
class MultiprocessorWakeup(MadtEntry):
    """A mailbox in memory through which the other processors are started (type 16).

    Args:
        mailbox_address: 4 KiB, 4 KiB-aligned, in memory that systems do not use otherwise.
        reset_vector: where a processor goes to be given back to the firmware; `None`: the
            structure ends before it, as with a mailbox of version 0.
        mailbox_version: by default 1 with a reset vector, else 0.

    Raises:
        TableValueError: a value that its field cannot hold.
    """

    TYPE = 16

    # The last in memory, but before the version here, whose default follows from it.
    reset_vector: int | None = attrs.field(default=None, kw_only=True)
    mailbox_version: int = u16(
        default=attrs.Factory(lambda wakeup: int(wakeup.reset_vector is not None), takes_self=True),
        kw_only=True,
    )
    reserved: int = u32(default=0, kw_only=True)
    mailbox_address: Pointer = pointer(8)

    def _tail(self) -> bytes:
        if self.reset_vector is None:
            return b""
        try:
            return struct.pack("<Q", self.reset_vector)
        except struct.error:
            raise TableValueError(
                "MultiprocessorWakeup.reset_vector at offset 16 has 8 bytes and cannot hold "
                f"{self.reset_vector!r}",
                "APIC",
                16,
            ) from None

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        size = cls._layout.size
        fields = cls._layout.unpack(body)
        if len(body) >= size + 8:
            (fields["reset_vector"],) = struct.unpack_from("<Q", body, size)
            size += 8
        fields["trailing"] = body[size:]
        return cls(**fields)


@structure
class Madt(EntryTable):
    """The Multiple APIC Description Table.

    Args:
        entries: interrupt controller structures, processors in the order to be started.
        local_apic_address: of every processor's local APIC, 32 bits.
        flags: `MadtFlags`.
    """

    SIGNATURE = "APIC"
    FAMILY = MadtEntry.FAMILY
    REVISION = 6

    local_apic_address: int = u32(default=0xFEE0_0000, kw_only=True)
    flags: int = u32(default=MadtFlags.PCAT_COMPAT, enum=MadtFlags, kw_only=True)
