# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""IVRS: the IOMMUs of AMD machines, and what is behind them.

AMD I/O Virtualization Technology (IOMMU) Specification, I/O Virtualization ACPI Table.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Self, TypeAlias, get_args

import attrs

from vmmkit.acpi.relocation import octets
from vmmkit.acpi.structure import KEY, Codec, Structure, raw, structure, u8, u16, u32, u64
from vmmkit.acpi.tables.ivhd import DeviceEntries, parse_device_entries
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "Ivhd10",
    "Ivhd11",
    "Ivhd40",
    "IvhdFlags",
    "Ivinfo",
    "Ivmd",
    "IvmdFlags",
    "IvmdType",
    "Ivrs",
    "IvrsBlock",
    "RawIvrsBlock",
    "ivinfo",
]


class Ivinfo(IntFlag):
    """Bits of the IVinfo field; see the function `ivinfo` for its sizes."""

    EFR_SUP = 1
    DMA_REMAP_SUP = 2
    HT_ATS_RESV = 1 << 22


def ivinfo(
    *,
    pa_size: int,
    va_size: int,
    gva_size: int = 0,
    flags: Ivinfo = Ivinfo.EFR_SUP,
) -> int:
    """Return an IVinfo field.

    Args:
        pa_size: bits of a physical address, such as 40, 48 or 52.
        va_size: bits of an I/O virtual address, such as 32, 40, 48 or 64.
        gva_size: 2 for guest virtual addresses of 48 bits.
        flags: see `Ivinfo`.

    Raises:
        TableValueError: a size that does not fit; the text names it.
    """
    parts = (
        ("gva_size", gva_size, 5, 3),
        ("pa_size", pa_size, 8, 7),
        ("va_size", va_size, 15, 7),
    )
    for name, value, _shift, width in parts:
        if not 0 <= value < 1 << width:
            raise TableValueError(f"IVinfo.{name} has {width} bits and cannot hold {value}", "IVRS")
    return flags | sum(value << shift for _name, value, shift, _width in parts)


class IvhdFlags(IntFlag):
    """Of an IOMMU."""

    HT_TUN_EN = 1
    PASS_PW = 2
    RES_PASS_PW = 4
    ISOC = 8
    IOTLB_SUP = 16
    COHERENT = 32
    PREF_SUP = 64  #: in type 10h
    PPR_SUP = 128  #: in type 10h


class IvmdFlags(IntFlag):
    """Of a range of memory."""

    UNITY = 1
    IR = 2  #: devices may read
    IW = 4  #: devices may write
    EXCLUSION_RANGE = 8


class IvmdType(IntEnum):
    """Which devices a range of memory is for."""

    ALL = 0x20
    SPECIFIED = 0x21
    RANGE = 0x22


@structure
class IvrsBlock(Structure):
    """An I/O virtualization definition block. `trailing` is kept as it is.

    All blocks begin with type, flags and length, in 4 bytes.
    """

    trailing: bytes = attrs.field(
        default=b"", kw_only=True, converter=lambda value: octets(value, "trailing", "IVRS")
    )

    def _encode(self) -> bytes:
        content = bytearray(super()._encode() + self._tail() + self.trailing)
        length = len(content)
        if length > 0xFFFF:
            raise TableValueError(
                f"{type(self).__name__} has {length} bytes, beyond 64 KiB", "IVRS", 2
            )
        content[2:4] = length.to_bytes(2, "little")
        return bytes(content)

    def _tail(self) -> bytes:
        """Return what follows the fixed fields, in blocks that have such."""
        return b""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make a block of exactly its bytes.

        Raises:
            TableParseError: there are fewer than it has, or its length is another.
        """
        fields = cls._unpacked(data)
        fields["trailing"] = data[cls._layout.size :]
        return cls(**fields)

    @classmethod
    def _unpacked(cls, data: bytes) -> dict[str, Any]:
        if len(data) < cls._layout.size or int.from_bytes(data[2:4], "little") != len(data):
            raise TableParseError(
                f"{cls.__name__} has {cls._layout.size} bytes or more, and its length; here are "
                f"{len(data)}",
                "IVRS",
                2,
            )
        return cls._layout.unpack(data)


@structure
class _Ivhd(IvrsBlock):
    """An IOMMU: what the types of its block have in common."""

    device_entries: Sequence[DeviceEntries] = attrs.field(
        default=(), converter=tuple_of("IVRS", "device_entries", *get_args(DeviceEntries))
    )
    type: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda block: block.TYPE, takes_self=True),
        metadata={KEY: Codec("B")},
    )
    # Room for the length follows.
    flags: IvhdFlags = attrs.field(
        default=IvhdFlags(0), kw_only=True, metadata={KEY: Codec("Bxx", None, IvhdFlags)}
    )
    iommu_device_id: int = u16(kw_only=True)
    capability_offset: int = u16(kw_only=True)
    iommu_base_address: int = u64(kw_only=True)
    pci_segment_group: int = u16(default=0, kw_only=True)
    iommu_info: int = u16(default=0, kw_only=True)

    TYPE: ClassVar[int]

    def _tail(self) -> bytes:
        return b"".join([entry.to_bytes() for entry in self.device_entries])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make a block of exactly its bytes; see `IvrsBlock.parse`."""
        fields = cls._unpacked(data)
        if fields.pop("type") != cls.TYPE:
            raise TableParseError(f"{cls.__name__} has type {cls.TYPE:#x}", "IVRS", 0)
        entries, trailing = parse_device_entries(data[cls._layout.size :])
        fields.update(device_entries=entries, trailing=trailing)
        return cls(**fields)


@structure
class Ivhd10(_Ivhd):
    """An IOMMU, for software that knows no other type (type 10h).

    AMD IOMMU Specification, I/O Virtualization Hardware Definition (IVHD) Block.

    Args:
        device_entries: what is behind it; see `vmmkit.acpi.tables.ivhd`.
        iommu_device_id: bus, device and function number of the IOMMU, as 16 bits.
        capability_offset: of its capability block in its configuration space.
        iommu_base_address: of its registers.
        pci_segment_group: of the devices.
        iommu_info: bits 12:8 unit id, bits 4:0 MSI number.
        iommu_feature_info: what the extended feature register says, in short.
        flags: see `IvhdFlags`.
    """

    TYPE = 0x10

    iommu_feature_info: int = u32(default=0, kw_only=True)


@structure
class Ivhd11(_Ivhd):
    """An IOMMU with its extended feature registers (type 11h).

    AMD IOMMU Specification, I/O Virtualization Hardware Definition (IVHD) Block.

    Args: those of `Ivhd10`, but for the last but one, and:
        iommu_attributes: bits 27:23 performance counters, bits 22:17 counter banks, and more.
        efr_register_image: the extended feature register.
        efr_register_image_2: the second one; 0 in older versions.
    """

    TYPE = 0x11

    iommu_attributes: int = u32(default=0, kw_only=True)
    efr_register_image: int = u64(default=0, kw_only=True)
    efr_register_image_2: int = u64(default=0, kw_only=True)


@structure
class Ivhd40(Ivhd11):
    """An IOMMU with devices of the ACPI namespace among those behind it (type 40h).

    AMD IOMMU Specification, I/O Virtualization Hardware Definition (IVHD) Block.

    Args: those of `Ivhd11`.
    """

    TYPE = 0x40


@structure
class Ivmd(IvrsBlock):
    """Memory that devices use whatever the system maps (types 20h to 22h).

    AMD IOMMU Specification, I/O Virtualization Memory Definition (IVMD) Block.

    Args:
        type: see `IvmdType`.
        ivmd_start_address: first byte, a multiple of 4 KiB.
        ivmd_memory_block_length: bytes.
        device_id: the device, or the first of the range.
        auxiliary_data: the last device of the range.
        flags: see `IvmdFlags`.

    Raises:
        TableValueError: a type of another block.
    """

    type: IvmdType = u8(enum=IvmdType)
    flags: IvmdFlags = attrs.field(
        default=IvmdFlags.UNITY | IvmdFlags.IR | IvmdFlags.IW,
        kw_only=True,
        metadata={KEY: Codec("Bxx", None, IvmdFlags)},
    )
    device_id: int = u16(default=0, kw_only=True)
    auxiliary_data: int = u16(default=0, kw_only=True)
    reserved_8: bytes = raw(8, default=bytes(8), kw_only=True)
    ivmd_start_address: int = u64()
    ivmd_memory_block_length: int = u64()

    def _tail(self) -> bytes:
        if self.type not in tuple(IvmdType):
            raise TableValueError(f"Ivmd.type {self.type!r} is none of an IVMD", "IVRS", 0)
        return b""


@structure
class RawIvrsBlock(IvrsBlock):
    """A block of a type or content that no class here is for.

    Args:
        type: number.
        trailing: all after the first four bytes.
        flags: as in all blocks.
    """

    type: int = u8()
    flags: int = attrs.field(default=0, kw_only=True, metadata={KEY: Codec("Bxx")})


_IvrsBlocks: TypeAlias = dict[int, type[IvrsBlock]]
_KNOWN: _IvrsBlocks = {
    0x10: Ivhd10,
    0x11: Ivhd11,
    0x40: Ivhd40,
    **dict.fromkeys(IvmdType, Ivmd),
}
_SHORTEST = 4


@structure
class Ivrs(Table):
    """The I/O Virtualization Reporting Structure, AMD IOMMU Specification.

    Args:
        blocks: see `IvrsBlock`.
        iv_info: see the function `ivinfo`.
    """

    SIGNATURE = "IVRS"
    REVISION: ClassVar[int] = 2

    blocks: Sequence[IvrsBlock] = attrs.field(
        default=(), converter=tuple_of("IVRS", "Ivrs.blocks", IvrsBlock)
    )
    iv_info: int = u32(default=0, kw_only=True)
    reserved_40: int = u64(default=0, kw_only=True)

    def _tail(self) -> bytes:
        return b"".join([block.to_bytes() for block in self.blocks])

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, offset = cls._fixed(data)
        blocks = []
        while len(data) - offset >= _SHORTEST:
            length = int.from_bytes(data[offset + 2 : offset + 4], "little")
            if not _SHORTEST <= length <= len(data) - offset:
                raise TableParseError(
                    f"IVRS: block at offset {offset} has length {length}, of "
                    f"{len(data) - offset} bytes that are left",
                    "IVRS",
                    offset,
                )
            blocks.append(_parse_block(data[offset : offset + length]))
            offset += length
        fields["trailing"] = data[offset:]
        return cls(blocks, **fields)


def _parse_block(block: bytes) -> IvrsBlock:
    kind = _KNOWN.get(block[0])
    if kind is not None:
        try:
            made = kind.parse(block)
        except (TableParseError, TableValueError):
            return RawIvrsBlock.parse(block)
        if made.to_bytes() == block:
            return made
    return RawIvrsBlock.parse(block)
