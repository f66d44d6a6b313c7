# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""VIOT: which devices are behind a paravirtual IOMMU.

ACPI Specification 6.5, Virtual I/O Translation (VIOT) Table.
"""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from vmmkit.acpi.structure import KEY, Codec, raw, u16, u32, u64
from vmmkit.acpi.tables.entry import Family, parse_entries
from vmmkit.acpi.tables.reference import ReferringEntry, ReferringTable, Target, node, reference
from vmmkit.errors import TableParseError

__all__ = [
    "MmioEndpoint",
    "PciRange",
    "Viot",
    "ViotEntry",
    "VirtioIommuMmio",
    "VirtioIommuPci",
]

_NODE_OFFSET = 48
_PCI_RANGE, _MMIO_ENDPOINT, _VIRTIO_PCI, _VIRTIO_MMIO = 1, 2, 3, 4
_IOMMUS = frozenset({_VIRTIO_PCI, _VIRTIO_MMIO})


class ViotEntry(ReferringEntry):
    """A node of the VIOT."""

    FAMILY = Family("VIOT", "<BxH")


@node
class PciRange(ViotEntry):
    """A range of PCI functions behind an IOMMU (type 1).

    ACPI Specification 6.5, Virtual I/O Translation (VIOT) Table.

    Args:
        output_node: the IOMMU, a `VirtioIommuPci` or a `VirtioIommuMmio`.
        endpoint_start: endpoint id of the first function; that of another is more by the
            difference of their segments (times 0x10000) and bus, device and function numbers.
        segment_start: PCI segment group of the first.
        segment_end: of the last.
        bdf_start: bus, device and function number of the first, as 16 bits.
        bdf_end: of the last, which belongs to the range.
    """

    TYPE = _PCI_RANGE
    REFERS: ClassVar = {"output_node": _IOMMUS}

    endpoint_start: int = u32(default=0, kw_only=True)
    segment_start: int = u16(default=0, kw_only=True)
    segment_end: int = u16(default=0, kw_only=True)
    bdf_start: int = u16(default=0, kw_only=True)
    bdf_end: int = u16(default=0xFFFF, kw_only=True)
    output_node: Target = reference(2)
    reserved_18: bytes = raw(6, default=bytes(6), kw_only=True)


@node
class MmioEndpoint(ViotEntry):
    """A device that is no PCI function, behind an IOMMU (type 2).

    ACPI Specification 6.5, Virtual I/O Translation (VIOT) Table.

    Args:
        endpoint: endpoint id.
        base_address: of its registers, by which it is known.
        output_node: the IOMMU, a `VirtioIommuPci` or a `VirtioIommuMmio`.
    """

    TYPE = _MMIO_ENDPOINT
    REFERS: ClassVar = {"output_node": _IOMMUS}

    endpoint: int = u32()
    base_address: int = u64()
    output_node: Target = reference(2)
    reserved_18: bytes = raw(6, default=bytes(6), kw_only=True)


@node
class VirtioIommuPci(ViotEntry):
    """A virtio-iommu that is a PCI function (type 3).

    ACPI Specification 6.5, Virtual I/O Translation (VIOT) Table.

    Args:
        bdf: its bus, device and function number, as 16 bits.
        segment: its PCI segment group.
    """

    TYPE = _VIRTIO_PCI

    segment: int = u16(default=0, kw_only=True)
    bdf: int = u16()
    reserved_8: int = u64(default=0, kw_only=True)


@node
class VirtioIommuMmio(ViotEntry):
    """A virtio-iommu whose registers are in memory (type 4).

    ACPI Specification 6.5, Virtual I/O Translation (VIOT) Table.

    Args:
        base_address: of its registers.
    """

    TYPE = _VIRTIO_MMIO

    reserved_4: int = u32(default=0, kw_only=True)
    base_address: int = u64()


@node
class Viot(ReferringTable):
    """The Virtual I/O Translation Table.

    ACPI Specification 6.5, Virtual I/O Translation (VIOT) Table.

    Args:
        entries: see `ViotEntry`; the IOMMUs among them, each listed once.
    """

    SIGNATURE = "VIOT"
    FAMILY = ViotEntry.FAMILY

    node_count: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda table: len(table.entries), takes_self=True),
        metadata={KEY: Codec("H")},
    )
    node_offset: int = attrs.field(init=False, default=_NODE_OFFSET, metadata={KEY: Codec("H")})
    reserved_40: int = u64(default=0, kw_only=True)

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        count, offset = fields.pop("node_count"), fields.pop("node_offset")
        if offset != rest:
            raise TableParseError(f"VIOT has its nodes at {offset}, not at {rest}", "VIOT", 38)
        last = _last_of(count, data, rest)
        entries, between = parse_entries(cls.FAMILY, data[:last], rest)
        if len(entries) != count:
            raise TableParseError(f"VIOT has {len(entries)} nodes, not {count}", "VIOT", 36)
        linked = cls._linked(entries, rest)
        return cls(linked, **fields, trailing=between + data[last:])


def _last_of(count: int, data: bytes, offset: int) -> int:
    """Return the offset behind so many nodes, or that of the first that cannot be one."""
    header = ViotEntry.FAMILY.header
    for _ in range(count):
        if len(data) - offset < header.size:
            break
        _kind, length = header.unpack_from(data, offset)
        if length < header.size:
            return len(data)
        offset += length
    return min(offset, len(data))
