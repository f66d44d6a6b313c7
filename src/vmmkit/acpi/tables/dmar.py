# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""DMAR: the DMA and interrupt remapping units of Intel machines, and what is behind them.

Intel Virtualization Technology for Directed I/O Architecture Specification, BIOS Considerations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum, IntFlag
from typing import Self

import attrs

from vmmkit.acpi.structure import KEY, Codec, Structure, raw, structure, u8, u16, u32, u64
from vmmkit.acpi.tables.entry import Entry, Family
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import EntryTable
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "Andd",
    "Atsr",
    "AtsrFlags",
    "DeviceScope",
    "DeviceScopeType",
    "Dmar",
    "DmarEntry",
    "DmarFlags",
    "Drhd",
    "DrhdFlags",
    "Rhsa",
    "Rmrr",
    "Satc",
    "SatcFlags",
    "Sidp",
]


class DmarFlags(IntFlag):
    """Of the table."""

    INTR_REMAP = 1
    X2APIC_OPT_OUT = 2
    DMA_CTRL_PLATFORM_OPT_IN_FLAG = 4


class DrhdFlags(IntFlag):
    """Of a remapping unit."""

    #: All devices of the segment that no other unit has; the last unit of its segment.
    INCLUDE_PCI_ALL = 1


class AtsrFlags(IntFlag):
    """Of root ports."""

    ALL_PORTS = 1


class SatcFlags(IntFlag):
    """Of devices integrated into the SoC."""

    ATC_REQUIRED = 1


class DeviceScopeType(IntEnum):
    """What a device scope is."""

    PCI_ENDPOINT_DEVICE = 1
    PCI_SUB_HIERARCHY = 2
    IOAPIC = 3
    MSI_CAPABLE_HPET = 4
    ACPI_NAMESPACE_DEVICE = 5


class DmarEntry(Entry):
    """A remapping structure."""

    FAMILY = Family("DMAR", "<HH")


_DEVICES = range(32)
_FUNCTIONS = range(8)


def _path(path: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    try:
        return tuple((device, function) for device, function in path)
    except (TypeError, ValueError):
        raise TableValueError(
            f"DeviceScope.path holds what is no (device, function): {path!r}", "DMAR", 6
        ) from None


@structure
class DeviceScope(Structure):
    """A device, as the way to it.

    VT-d Architecture Specification, Device Scope Structure.

    Args:
        type: see `DeviceScopeType`.
        path: (device, function) pairs: the device on the start bus, then on the bus behind that
            bridge, and so on.
        start_bus_number: where the way begins.
        enumeration_id: of an IOAPIC, its id in the MADT; of an HPET, its number; of an ACPI device,
            that of its ANDD structure.
        flags: of devices in a SIDP structure.

    Raises:
        TableValueError: a device beyond 31 or a function beyond 7.
    """

    type: DeviceScopeType = u8(enum=DeviceScopeType)
    path: Sequence[tuple[int, int]] = attrs.field(converter=_path)
    length: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda scope: 6 + 2 * len(scope.path), takes_self=True),
        metadata={KEY: Codec("B")},
    )
    flags: int = u8(default=0, kw_only=True)
    reserved_3: int = u8(default=0, kw_only=True)
    enumeration_id: int = u8(default=0, kw_only=True)
    start_bus_number: int = u8(default=0, kw_only=True)

    def _encode(self) -> bytes:
        for device, function in self.path:
            if device not in _DEVICES or function not in _FUNCTIONS:
                raise TableValueError(
                    f"DeviceScope.path: no PCI device {device}.{function}", "DMAR", 6
                )
        return super()._encode() + bytes(number for step in self.path for number in step)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make a scope of exactly its bytes.

        Raises:
            TableParseError: a length that is not theirs.
        """
        size = cls._layout.size
        if len(data) < size or data[1] != len(data) or len(data) % 2:
            raise TableParseError(f"DMAR: no device scope has {len(data)} bytes", "DMAR")
        fields = cls._layout.unpack(data)
        del fields["length"]
        path = tuple(zip(data[size::2], data[size + 1 :: 2], strict=True))
        return cls(**fields, path=path)


def _scopes(data: bytes) -> tuple[tuple[DeviceScope, ...], bytes]:
    """Return device scopes, and bytes too few to be one.

    Raises:
        TableParseError: a length that is too small, or leads beyond the structure.
    """
    found = []
    offset = 0
    while len(data) - offset >= DeviceScope.layout().size:
        last = offset + max(data[offset + 1], 1)
        found.append(DeviceScope.parse(data[offset:last]))
        offset = last
    return tuple(found), data[offset:]


@structure
class _ScopedEntry(DmarEntry):
    """A remapping structure that ends with device scopes."""

    device_scopes: Sequence[DeviceScope] = attrs.field(
        default=(), kw_only=True, converter=tuple_of("DMAR", "device_scopes", DeviceScope)
    )

    def _tail(self) -> bytes:
        return b"".join([scope.to_bytes() for scope in self.device_scopes])

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        scopes, trailing = _scopes(body[cls._layout.size :])
        fields = cls._layout.unpack(body)
        fields.update(device_scopes=scopes, trailing=trailing)
        return cls(**fields)


@structure
class Drhd(_ScopedEntry):
    """A remapping unit (type 0).

    VT-d Architecture Specification, DMA Remapping Hardware Unit Definition Structure.

    Args:
        register_base_address: of its registers, a multiple of 4 KiB.
        device_scopes: what is behind it, see `DeviceScope`.
        flags: see `DrhdFlags`.
        segment_number: PCI segment group of the devices.
        size: of its registers, 2 to the power of this in units of 4 KiB; 0 in older versions.
    """

    TYPE = 0

    flags: DrhdFlags = u8(default=DrhdFlags(0), kw_only=True, enum=DrhdFlags)
    size: int = u8(default=0, kw_only=True)
    segment_number: int = u16(default=0, kw_only=True)
    register_base_address: int = u64()


@structure
class Rmrr(_ScopedEntry):
    """Memory that devices use before the system starts and that stays mapped (type 1).

    VT-d Architecture Specification, Reserved Memory Region Reporting Structure.

    Args:
        reserved_memory_region_base_address: first byte, a multiple of 4 KiB.
        reserved_memory_region_limit_address: last byte.
        device_scopes: who uses it, see `DeviceScope`.
        segment_number: PCI segment group of the devices.

    Raises:
        TableValueError: the last byte is before the first.
    """

    TYPE = 1

    reserved_4: int = u16(default=0, kw_only=True)
    segment_number: int = u16(default=0, kw_only=True)
    reserved_memory_region_base_address: int = u64()
    reserved_memory_region_limit_address: int = u64()

    def _tail(self) -> bytes:
        base = self.reserved_memory_region_base_address
        limit = self.reserved_memory_region_limit_address
        if limit < base:
            raise TableValueError(
                f"Rmrr.reserved_memory_region_limit_address {limit:#x} is before the base "
                f"{base:#x}",
                "DMAR",
                16,
            )
        return super()._tail()


@structure
class Atsr(_ScopedEntry):
    """Root ports that support address translation services (type 2).

    VT-d Architecture Specification, Root Port ATS Capability Reporting Structure.

    Args:
        device_scopes: the ports, see `DeviceScope`; none with `ALL_PORTS`.
        flags: see `AtsrFlags`.
        segment_number: PCI segment group of the ports.
    """

    TYPE = 2

    flags: AtsrFlags = u8(default=AtsrFlags(0), kw_only=True, enum=AtsrFlags)
    reserved_5: int = u8(default=0, kw_only=True)
    segment_number: int = u16(default=0, kw_only=True)


@structure
class Rhsa(DmarEntry):
    """Which proximity domain a remapping unit belongs to (type 3).

    VT-d Architecture Specification, Remapping Hardware Static Affinity Structure.

    Args:
        register_base_address: of the unit's registers, as in its `Drhd`.
        proximity_domain: as in the SRAT.
    """

    TYPE = 3

    reserved_4: int = u32(default=0, kw_only=True)
    register_base_address: int = u64()
    proximity_domain: int = u32()


@structure
class Andd(DmarEntry):
    """A device of the ACPI namespace that is behind a remapping unit (type 4).

    VT-d Architecture Specification, ACPI Name-space Device Declaration Structure.

    Args:
        acpi_device_number: what device scopes call it.
        acpi_object_name: its path in the namespace, in ASCII.

    Raises:
        TableValueError: the name has characters that are not ASCII, or a NUL.
    """

    TYPE = 4

    reserved_4: bytes = raw(3, default=bytes(3), kw_only=True)
    acpi_device_number: int = u8()
    acpi_object_name: str

    def _tail(self) -> bytes:
        name = self.acpi_object_name
        if not isinstance(name, str) or not name.isascii() or "\0" in name:
            raise TableValueError(f"Andd.acpi_object_name: {name!r} is not ASCII", "DMAR", 8)
        return name.encode() + b"\0"

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        name, found, trailing = body[cls._layout.size :].partition(b"\0")
        if not found or not name.isascii():
            raise TableParseError("DMAR: an ACPI object name without end, or not in ASCII", "DMAR")
        fields = cls._layout.unpack(body)
        fields.update(acpi_object_name=name.decode(), trailing=trailing)
        return cls(**fields)


@structure
class Satc(_ScopedEntry):
    """Devices integrated into the SoC that support address translation services (type 5).

    VT-d Architecture Specification, SoC Integrated Address Translation Cache Reporting Structure.

    Args:
        device_scopes: the devices, see `DeviceScope`.
        flags: see `SatcFlags`.
        segment_number: PCI segment group of the devices.
    """

    TYPE = 5

    flags: SatcFlags = u8(default=SatcFlags(0), kw_only=True, enum=SatcFlags)
    reserved_5: int = u8(default=0, kw_only=True)
    segment_number: int = u16(default=0, kw_only=True)


@structure
class Sidp(_ScopedEntry):
    """Devices integrated into the SoC with properties of their own (type 6).

    VT-d Architecture Specification, SoC Integrated Device Property Reporting Structure.

    Args:
        device_scopes: the devices, with their `flags`; see `DeviceScope`.
        segment_number: PCI segment group of the devices.
    """

    TYPE = 6

    reserved_4: int = u16(default=0, kw_only=True)
    segment_number: int = u16(default=0, kw_only=True)


@structure
class Dmar(EntryTable):
    """The table itself: VT-d Architecture Specification, DMA Remapping Reporting Structure.

    Args:
        entries: see `DmarEntry`.
        host_address_width: bits of the addresses that devices can reach, 1 to 256; the table holds
            one less.
        flags: see `DmarFlags`.
    """

    SIGNATURE = "DMAR"
    FAMILY = DmarEntry.FAMILY

    host_address_width: int = attrs.field(
        default=48,
        kw_only=True,
        metadata={KEY: Codec("B", lambda bits: bits - 1, lambda value: value + 1)},
    )
    flags: DmarFlags = u8(default=DmarFlags(0), kw_only=True, enum=DmarFlags)
    reserved_38: bytes = raw(10, default=bytes(10), kw_only=True)
