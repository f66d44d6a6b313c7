# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The device entries of the IVRS: which devices are behind an IOMMU.

AMD I/O Virtualization Technology (IOMMU) Specification, IVHD Device Entries. The type of an entry
says how long it is: 4 bytes below 64, 8 below 128, then 16 and 32; from 240 on the entry itself
says it.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import ClassVar, Self, TypeAlias

import attrs

from vmmkit.acpi.relocation import octets
from vmmkit.acpi.structure import KEY, Codec, Structure, structure, text, u8, u16, u32
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "AcpiDeviceEntry",
    "AliasDeviceEntry",
    "DataSetting",
    "DeviceEntries",
    "DeviceEntry",
    "DeviceEntryType",
    "ExtendedDataSetting",
    "ExtendedDeviceEntry",
    "RawDeviceEntry",
    "SpecialDeviceEntry",
    "UidFormat",
    "Variety",
    "parse_device_entries",
]


class DeviceEntryType(IntEnum):
    """What a device entry says."""

    PADDING_4 = 0
    ALL = 1
    SELECT = 2
    START_OF_RANGE = 3
    END_OF_RANGE = 4
    PADDING_8 = 64
    ALIAS_SELECT = 66
    ALIAS_START_OF_RANGE = 67
    EXTENDED_SELECT = 70
    EXTENDED_START_OF_RANGE = 71
    SPECIAL_DEVICE = 72
    ACPI_HID_DEVICE = 240


class DataSetting(IntFlag):
    """Which interrupts and messages of a device pass."""

    INIT_PASS = 1
    EINT_PASS = 2
    NMI_PASS = 4
    SYS_MGT_1 = 16
    SYS_MGT_2 = 32
    LINT0_PASS = 64
    LINT1_PASS = 128


class ExtendedDataSetting(IntFlag):
    """Of an `ExtendedDeviceEntry`."""

    ATS_DISABLED = 1 << 31


class Variety(IntEnum):
    """What a special device is."""

    IOAPIC = 1
    HPET = 2


class UidFormat(IntEnum):
    """What the _UID of an ACPI device is."""

    NONE = 0
    INTEGER = 1
    STRING = 2


@structure
class _DeviceEntry(Structure):
    """What all device entries begin with."""

    type: DeviceEntryType = u8(enum=DeviceEntryType)
    device_id: int = u16(default=0)
    data_setting: DataSetting = u8(default=DataSetting(0), enum=DataSetting)

    TYPES: ClassVar[frozenset[int]]

    def _encode(self) -> bytes:
        content = super()._encode()
        if self.type not in self.TYPES:
            raise TableValueError(
                f"{type(self).__name__}.type {self.type!r} is none of its own", "IVRS", 0
            )
        return content


@structure
class DeviceEntry(_DeviceEntry):
    """All devices, one, or the first or last of a range (types 0 to 4).

    Args:
        type: see `DeviceEntryType`.
        device_id: bus, device and function number, as 16 bits.
        data_setting: see `DataSetting`.
    """

    TYPES = frozenset(range(5))


@structure
class AliasDeviceEntry(_DeviceEntry):
    """Devices whose accesses carry the id of another (types 66 and 67).

    Args:
        type: see `DeviceEntryType`.
        device_id: of the device.
        data_setting: see `DataSetting`.
        source_device_id: what its accesses carry.
    """

    TYPES = frozenset({66, 67})

    reserved_4: int = u8(default=0, kw_only=True)
    source_device_id: int = u16(kw_only=True)
    reserved_7: int = u8(default=0, kw_only=True)


@structure
class ExtendedDeviceEntry(_DeviceEntry):
    """Devices with more settings (types 70 and 71).

    Args:
        type: see `DeviceEntryType`.
        device_id: of the device.
        data_setting: see `DataSetting`.
        extended_data_setting: see `ExtendedDataSetting`.
    """

    TYPES = frozenset({70, 71})

    extended_data_setting: ExtendedDataSetting = u32(
        default=ExtendedDataSetting(0), kw_only=True, enum=ExtendedDataSetting
    )


@structure
class SpecialDeviceEntry(_DeviceEntry):
    """An IOAPIC or an HPET (type 72).

    Args:
        device_id: reserved, 0.
        data_setting: see `DataSetting`.
        handle: id of the IOAPIC in the MADT, or number of the HPET.
        source_device_id: what its accesses carry.
        variety: see `Variety`.
    """

    TYPES = frozenset({72})

    type: DeviceEntryType = u8(
        default=DeviceEntryType.SPECIAL_DEVICE, kw_only=True, enum=DeviceEntryType
    )
    device_id: int = u16(default=0, kw_only=True)
    data_setting: DataSetting = u8(default=DataSetting(0), kw_only=True, enum=DataSetting)
    handle: int = u8()
    source_device_id: int = u16()
    variety: Variety = u8(enum=Variety)


@structure
class AcpiDeviceEntry(_DeviceEntry):
    """A device of the ACPI namespace (type 240), in blocks of type 40h only.

    Args:
        device_id: what its accesses carry.
        hardware_id: value of its _HID as 8 characters; a shorter one is filled up with NUL.
        compatible_id: of its _CID, likewise.
        unique_id: value of its _UID: none, 8 bytes for an integer, or characters.
        unique_id_format: see `UidFormat`.
        data_setting: see `DataSetting`.

    Raises:
        TableValueError: a unique id of more than 255 bytes.
    """

    TYPES = frozenset({240})

    type: DeviceEntryType = u8(
        default=DeviceEntryType.ACPI_HID_DEVICE, kw_only=True, enum=DeviceEntryType
    )
    device_id: int = u16()
    data_setting: DataSetting = u8(default=DataSetting(0), kw_only=True, enum=DataSetting)
    hardware_id: str = text(8, pad="\0")
    compatible_id: str = text(8, default="", pad="\0")
    unique_id: bytes = attrs.field(
        default=b"", converter=lambda value: octets(value, "AcpiDeviceEntry.unique_id", "IVRS")
    )
    unique_id_format: UidFormat = u8(default=UidFormat.NONE, kw_only=True, enum=UidFormat)
    unique_id_length: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda entry: len(entry.unique_id), takes_self=True),
        metadata={KEY: Codec("B")},
    )

    def _encode(self) -> bytes:
        return super()._encode() + self.unique_id

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make an entry of exactly its bytes.

        Raises:
            TableParseError: too few or too many.
        """
        size = cls._layout.size
        if len(data) < size or len(data) != size + data[size - 1]:
            raise TableParseError(f"IVRS: no ACPI device entry has {len(data)} bytes", "IVRS")
        fields = cls._layout.unpack(data)
        del fields["unique_id_length"]
        return cls(**fields, unique_id=data[size:])


@attrs.frozen
class RawDeviceEntry:
    """A device entry that no class here is for.

    Args:
        content: all its bytes.
    """

    content: bytes = attrs.field(converter=octets)

    def to_bytes(self) -> bytes:
        """Return its bytes."""
        return self.content


DeviceEntries: TypeAlias = _DeviceEntry | RawDeviceEntry

_KNOWN: dict[int, type[_DeviceEntry]] = {
    number: kind
    for kind in (
        DeviceEntry,
        AliasDeviceEntry,
        ExtendedDeviceEntry,
        SpecialDeviceEntry,
        AcpiDeviceEntry,
    )
    for number in kind.TYPES
}
_VARIABLE = 240
_UID_LENGTH_OFFSET = 21


def parse_device_entries(data: bytes) -> tuple[tuple[DeviceEntries, ...], bytes]:
    """Return device entries, and what is left where one has no end that can be told."""
    found: list[DeviceEntries] = []
    offset = 0
    while offset < len(data):
        length = _length(data, offset)
        if length is None or length > len(data) - offset:
            break
        piece = data[offset : offset + length]
        kind = _KNOWN.get(piece[0])
        found.append(RawDeviceEntry(piece) if kind is None else kind.parse(piece))
        offset += length
    return tuple(found), data[offset:]


def _length(data: bytes, offset: int) -> int | None:
    """Return the bytes of a device entry; `None` where that cannot be told."""
    kind = data[offset]
    if kind < _VARIABLE:
        return 4 << (kind >> 6)
    if kind != DeviceEntryType.ACPI_HID_DEVICE or len(data) - offset <= _UID_LENGTH_OFFSET:
        return None
    return _UID_LENGTH_OFFSET + 1 + data[offset + _UID_LENGTH_OFFSET]
