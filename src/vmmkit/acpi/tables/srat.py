# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""SRAT: which processors, memory and devices belong to which proximity domain (NUMA node).

ACPI Specification 6.5, System Resource Affinity Table (SRAT).
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any, ClassVar, Self, TypeAlias

import attrs

from vmmkit.acpi.relocation import octets
from vmmkit.acpi.structure import KEY, Codec, Structure, raw, structure, text, u8, u16, u32, u64
from vmmkit.acpi.tables.entry import Entry, Family
from vmmkit.acpi.tables.table import EntryTable
from vmmkit.errors import TableValueError

__all__ = [
    "AcpiDeviceHandle",
    "AffinityFlags",
    "DeviceHandle",
    "GenericFlags",
    "GenericInitiatorAffinity",
    "GenericPortAffinity",
    "GicItsAffinity",
    "GiccAffinity",
    "MemoryAffinity",
    "MemoryAffinityFlags",
    "PciDeviceHandle",
    "ProcessorLocalApicAffinity",
    "ProcessorLocalX2ApicAffinity",
    "RawDeviceHandle",
    "RintcAffinity",
    "Srat",
    "SratEntry",
]


class AffinityFlags(IntFlag):
    """Of a processor."""

    ENABLED = 1  #: without it the structure is ignored


class MemoryAffinityFlags(IntFlag):
    """Of a range of memory."""

    ENABLED = 1  #: without it the structure is ignored
    HOT_PLUGGABLE = 2
    NON_VOLATILE = 4
    SPECIFIC_PURPOSE = 8  #: reserved in ACPI 6.5


class GenericFlags(IntFlag):
    """Of a generic initiator or generic port."""

    ENABLED = 1  #: without it the structure is ignored
    ARCHITECTURAL_TRANSACTIONS = 2


class SratEntry(Entry):
    """A static resource allocation structure."""

    FAMILY = Family("SRAT", "<BB")


_DOMAIN_HIGH = slice(9, 12)  # bits 31:8 of the proximity domain; bits 7:0 are at offset 2


@structure
class ProcessorLocalApicAffinity(SratEntry):
    """A processor with an 8-bit APIC id (type 0).

    ACPI Specification 6.5, Processor Local APIC/SAPIC Affinity Structure, which holds the
    proximity domain in two parts; here it is one value.

    Args:
        proximity_domain: 32 bits.
        apic_id: as in the MADT.
        flags: see `AffinityFlags`.
        local_sapic_eid: of Itanium processors; 0 on others.
        clock_domain: 32 bits.
    """

    TYPE = 0

    proximity_domain: int = attrs.field(metadata={KEY: Codec("B", pack=lambda value: value & 0xFF)})
    apic_id: int = u8()
    flags: AffinityFlags = u32(default=AffinityFlags.ENABLED, enum=AffinityFlags)
    # Room for bits 31:8 of the proximity domain follows.
    local_sapic_eid: int = attrs.field(default=0, kw_only=True, metadata={KEY: Codec("B3x")})
    clock_domain: int = u32(default=0, kw_only=True)

    def _encode(self) -> bytes:
        content = bytearray(super()._encode())
        if not 0 <= self.proximity_domain < 1 << 32:
            raise TableValueError(
                "ProcessorLocalApicAffinity.proximity_domain at offset 2 has 4 bytes and cannot "
                f"hold {self.proximity_domain}",
                "SRAT",
                2,
            )
        content[_DOMAIN_HIGH] = (self.proximity_domain >> 8).to_bytes(3, "little")
        return bytes(content)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        fields = cls._layout.unpack(body)
        whole = bytes(cls.FAMILY.header.size) + body
        fields["proximity_domain"] |= int.from_bytes(whole[_DOMAIN_HIGH], "little") << 8
        fields["trailing"] = body[cls._layout.size :]
        return cls(**fields)


@structure
class MemoryAffinity(SratEntry):
    """A range of memory (type 1).

    ACPI Specification 6.5, Memory Affinity Structure.

    Args:
        proximity_domain: 32 bits.
        base_address: guest-physical.
        length: bytes.
        flags: see `MemoryAffinityFlags`.
    """

    TYPE = 1

    proximity_domain: int = u32()
    reserved_6: int = u16(default=0, kw_only=True)
    base_address: int = u64()
    length: int = u64()
    reserved_24: int = u32(default=0, kw_only=True)
    flags: MemoryAffinityFlags = u32(default=MemoryAffinityFlags.ENABLED, enum=MemoryAffinityFlags)
    reserved_32: int = u64(default=0, kw_only=True)


@structure
class ProcessorLocalX2ApicAffinity(SratEntry):
    """A processor with a 32-bit APIC id (type 2).

    ACPI Specification 6.5, Processor Local x2APIC Affinity Structure.

    Args:
        proximity_domain: 32 bits.
        x2apic_id: as in the MADT.
        flags: see `AffinityFlags`.
        clock_domain: 32 bits.
    """

    TYPE = 2

    reserved_2: int = u16(default=0, kw_only=True)
    proximity_domain: int = u32()
    x2apic_id: int = u32()
    flags: AffinityFlags = u32(default=AffinityFlags.ENABLED, enum=AffinityFlags)
    clock_domain: int = u32(default=0, kw_only=True)
    reserved_20: int = u32(default=0, kw_only=True)


@structure
class GiccAffinity(SratEntry):
    """An Arm processor (type 3).

    ACPI Specification 6.5, GICC Affinity Structure.
    """

    TYPE = 3

    proximity_domain: int = u32()
    acpi_processor_uid: int = u32()
    flags: AffinityFlags = u32(default=AffinityFlags.ENABLED, enum=AffinityFlags)
    clock_domain: int = u32(default=0, kw_only=True)


@structure
class GicItsAffinity(SratEntry):
    """An interrupt translation service of an Arm machine (type 4).

    ACPI Specification 6.5, GIC Interrupt Translation Service (ITS) Affinity Structure.
    """

    TYPE = 4

    proximity_domain: int = u32()
    reserved_6: int = u16(default=0, kw_only=True)
    its_id: int = u32()


@structure
class AcpiDeviceHandle(Structure):
    """A device of the ACPI namespace.

    ACPI Specification 6.5, Generic Initiator Affinity Structure, Device Handle - ACPI.

    Args:
        hid: value of its _HID as 8 characters; a shorter one is filled up with NUL.
        uid: value of its _UID.
    """

    TYPE: ClassVar[int] = 0

    hid: str = text(8, pad="\0")
    uid: int = u32(default=0)
    reserved_12: int = u32(default=0, kw_only=True)


@structure
class PciDeviceHandle(Structure):
    """A PCI function.

    ACPI Specification 6.5, Generic Initiator Affinity Structure, Device Handle - PCI.

    Args:
        segment: PCI segment group.
        bus: number.
        device_function: device number in bits 7:3, function number in bits 2:0.
    """

    TYPE: ClassVar[int] = 1

    segment: int = u16()
    bus: int = u8()
    device_function: int = u8()
    reserved_4: bytes = raw(12, default=bytes(12), kw_only=True)


@attrs.frozen
class RawDeviceHandle:
    """A device handle of a type that is reserved.

    Args:
        TYPE: number, 2 to 255.
        content: 16 bytes.
    """

    TYPE: int = attrs.field(alias="type")
    content: bytes = attrs.field(converter=octets)

    def to_bytes(self) -> bytes:
        """Return its bytes."""
        return self.content


DeviceHandle: TypeAlias = AcpiDeviceHandle | PciDeviceHandle | RawDeviceHandle

_HANDLES: dict[int, type[AcpiDeviceHandle | PciDeviceHandle]] = {
    0: AcpiDeviceHandle,
    1: PciDeviceHandle,
}
_HANDLE_TYPE_OFFSET = 3


def _handle_bytes(handle: Any) -> Any:
    if not isinstance(handle, DeviceHandle):
        raise TypeError
    return handle.to_bytes()


@structure
class _GenericAffinity(SratEntry):
    """What generic initiators and generic ports have in common."""

    # Room for the device handle type, which follows from the device handle.
    reserved_2: int = attrs.field(default=0, kw_only=True, metadata={KEY: Codec("Bx")})
    proximity_domain: int = u32()
    device_handle: DeviceHandle = attrs.field(metadata={KEY: Codec("16s", _handle_bytes)})
    flags: GenericFlags = u32(default=GenericFlags.ENABLED, enum=GenericFlags)
    reserved_28: int = u32(default=0, kw_only=True)

    def _encode(self) -> bytes:
        content = bytearray(super()._encode())
        if not hasattr(self.device_handle, "TYPE"):
            raise TableValueError(f"device_handle is no handle: {self.device_handle!r:.80}", "SRAT")
        kind = self.device_handle.TYPE
        if not 0 <= kind <= 0xFF or len(self.device_handle.to_bytes()) != 16:
            raise TableValueError(
                f"{type(self).__name__}.device_handle has no type of 8 bits and 16 bytes: "
                f"{self.device_handle!r}",
                "SRAT",
                8,
            )
        content[_HANDLE_TYPE_OFFSET] = kind
        return bytes(content)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        fields = cls._layout.unpack(body)
        kind = body[_HANDLE_TYPE_OFFSET - cls.FAMILY.header.size]
        content = fields["device_handle"]
        known = _HANDLES.get(kind)
        fields["device_handle"] = known.parse(content) if known else RawDeviceHandle(kind, content)
        fields["trailing"] = body[cls._layout.size :]
        return cls(**fields)


@structure
class GenericInitiatorAffinity(_GenericAffinity):
    """A device that makes memory accesses of its own, such as an accelerator (type 5).

    ACPI Specification 6.5, Generic Initiator Affinity Structure.

    Args:
        proximity_domain: 32 bits.
        device_handle: `AcpiDeviceHandle` or `PciDeviceHandle`; its type follows from it.
        flags: see `GenericFlags`.
    """

    TYPE = 5


@structure
class GenericPortAffinity(_GenericAffinity):
    """A port behind which initiators and memory may appear, such as a CXL host bridge (type 6).

    ACPI Specification 6.5, Generic Port Affinity Structure.

    Args: those of `GenericInitiatorAffinity`.
    """

    TYPE = 6


@structure
class RintcAffinity(SratEntry):
    """A RISC-V processor (type 7), from ACPI 6.6 on: RINTC Affinity Structure."""

    TYPE = 7

    reserved_2: int = u16(default=0, kw_only=True)
    proximity_domain: int = u32()
    acpi_processor_uid: int = u32()
    flags: AffinityFlags = u32(default=AffinityFlags.ENABLED, enum=AffinityFlags)
    clock_domain: int = u32(default=0, kw_only=True)


@structure
class Srat(EntryTable):
    """The System Resource Affinity Table, ACPI Specification 6.5, section of that title.

    Args:
        entries: see `SratEntry`.
        reserved_36: 1, for systems that know only the first revision.
    """

    SIGNATURE = "SRAT"
    FAMILY = SratEntry.FAMILY
    REVISION = 3

    reserved_36: int = u32(default=1, kw_only=True)
    reserved_40: int = u64(default=0, kw_only=True)
