# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""HMAT: latency, bandwidth and caches of memory, by proximity domain.

ACPI Specification 6.5, Heterogeneous Memory Attribute Table (HMAT).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum, IntFlag
from typing import Self

import attrs

from vmmkit.acpi.structure import KEY, Codec, structure, u8, u16, u32, u64
from vmmkit.acpi.tables.entry import Entry, Family
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import EntryTable
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "CacheAssociativity",
    "CacheWritePolicy",
    "Hmat",
    "HmatEntry",
    "LocalityDataType",
    "LocalityFlags",
    "MemoryHierarchy",
    "MemoryProximityDomainAttributes",
    "MemoryProximityDomainFlags",
    "MemorySideCacheInformation",
    "SystemLocalityLatencyAndBandwidthInformation",
    "cache_attributes",
]


class HmatEntry(Entry):
    """An HMAT structure."""

    FAMILY = Family("HMAT", "<HxxI")


class MemoryProximityDomainFlags(IntFlag):
    """Of `MemoryProximityDomainAttributes`."""

    INITIATOR_VALID = 1  #: the attached initiator is given


class MemoryHierarchy(IntEnum):
    """Bits 3:0 of the flags of a matrix: what it measures the way to."""

    MEMORY = 0
    FIRST_LEVEL_MEMORY_SIDE_CACHE = 1
    SECOND_LEVEL_MEMORY_SIDE_CACHE = 2
    THIRD_LEVEL_MEMORY_SIDE_CACHE = 3


class LocalityFlags(IntFlag):
    """Bits of the flags of a matrix beside `MemoryHierarchy`."""

    MINIMUM_TRANSFER_SIZE = 0x10  #: the values hold from the minimum transfer size on
    NON_SEQUENTIAL_TRANSFERS = 0x20


class LocalityDataType(IntEnum):
    """What a matrix holds: latency, or bandwidth."""

    ACCESS_LATENCY = 0
    READ_LATENCY = 1
    WRITE_LATENCY = 2
    ACCESS_BANDWIDTH = 3
    READ_BANDWIDTH = 4
    WRITE_BANDWIDTH = 5


class CacheAssociativity(IntEnum):
    """Of a memory side cache."""

    NONE = 0
    DIRECT_MAPPED = 1
    COMPLEX = 2


class CacheWritePolicy(IntEnum):
    """Of a memory side cache."""

    NONE = 0
    WRITE_BACK = 1
    WRITE_THROUGH = 2


@structure
class MemoryProximityDomainAttributes(HmatEntry):
    """Which initiator a memory proximity domain is attached to (type 0).

    ACPI Specification 6.5, Memory Proximity Domain Attributes Structure.

    Args:
        proximity_domain_for_the_attached_initiator: of the processors or generic initiators that
            belong to the memory's controller.
        proximity_domain_for_the_memory: as in the SRAT.
        flags: see `MemoryProximityDomainFlags`.
    """

    TYPE = 0

    flags: MemoryProximityDomainFlags = u16(
        default=MemoryProximityDomainFlags.INITIATOR_VALID,
        kw_only=True,
        enum=MemoryProximityDomainFlags,
    )
    reserved_10: int = u16(default=0, kw_only=True)
    proximity_domain_for_the_attached_initiator: int = u32()
    proximity_domain_for_the_memory: int = u32()
    reserved_20: int = u32(default=0, kw_only=True)
    reserved_24: int = u64(default=0, kw_only=True)
    reserved_32: int = u64(default=0, kw_only=True)


def _matrix(rows: Iterable[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    try:
        return tuple(map(tuple, rows))
    except TypeError:
        raise TableValueError(f"entries are no rows of numbers: {rows!r:.80}", "HMAT") from None


def _counted(name: str) -> int:
    """Declare the 4-byte number of elements of another attribute."""
    counted: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda entry: len(getattr(entry, name)), takes_self=True),
        metadata={KEY: Codec("I")},
    )
    return counted


def _packed(letter: str, values: Sequence[int], field: str) -> bytes:
    """Return numbers one after the other.

    Raises:
        TableValueError: one of them does not fit; the text names it.
    """
    try:
        return struct.pack(f"<{len(values)}{letter}", *values)
    except struct.error:
        size = struct.calcsize(f"<{letter}")
        limit = 1 << 8 * size
        wrong = next(
            value for value in values if not isinstance(value, int) or not 0 <= value < limit
        )
        raise TableValueError(
            f"{field} has {size} bytes and cannot hold {wrong!r}", "HMAT"
        ) from None


@structure
class SystemLocalityLatencyAndBandwidthInformation(HmatEntry):
    """A matrix of latencies or bandwidths (type 1).

    ACPI Specification 6.5, System Locality Latency and Bandwidth Information Structure.

    Args:
        initiator_proximity_domains: of the rows.
        target_proximity_domains: of the columns, with memory.
        entries: a row for each initiator with a value for each target: multiples of the base
            unit, 0 for none given, 0xFFFF for unreachable.
        data_type: see `LocalityDataType`.
        entry_base_unit: of the values: picoseconds for latency, MB/s for bandwidth.
        flags: a `MemoryHierarchy`, with `LocalityFlags`.
        minimum_transfer_size: in bytes, as an exponent of two less five (0 is 32 bytes, 1 is 64),
            where the flags say that it counts; from revision 2 of the table on.

    Raises:
        TableValueError: a matrix of another shape, or values that do not fit.
    """

    TYPE = 1

    initiator_proximity_domains: Sequence[int] = attrs.field(
        converter=tuple_of("HMAT", "initiator_proximity_domains", object)
    )
    target_proximity_domains: Sequence[int] = attrs.field(
        converter=tuple_of("HMAT", "target_proximity_domains", object)
    )
    entries: Sequence[Sequence[int]] = attrs.field(converter=_matrix)
    flags: int = u8(default=MemoryHierarchy.MEMORY, kw_only=True)
    data_type: LocalityDataType = u8(enum=LocalityDataType, kw_only=True)
    minimum_transfer_size: int = u8(default=0, kw_only=True)
    reserved_11: int = u8(default=0, kw_only=True)
    number_of_initiator_proximity_domains: int = _counted("initiator_proximity_domains")
    number_of_target_proximity_domains: int = _counted("target_proximity_domains")
    reserved_20: int = u32(default=0, kw_only=True)
    entry_base_unit: int = u64(kw_only=True)

    def _tail(self) -> bytes:
        initiators, targets = self.initiator_proximity_domains, self.target_proximity_domains
        shape = [len(row) for row in self.entries]
        if shape != [len(targets)] * len(initiators):
            raise TableValueError(
                f"{type(self).__name__}.entries: {len(shape)} rows of {sorted(set(shape))}, not "
                f"{len(initiators)} of {len(targets)}",
                "HMAT",
            )
        name = type(self).__name__
        return b"".join(
            [
                _packed("I", initiators, f"{name}.initiator_proximity_domains"),
                _packed("I", targets, f"{name}.target_proximity_domains"),
                *(_packed("H", row, f"{name}.entries") for row in self.entries),
            ]
        )

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        fields = cls._layout.unpack(body)
        rows = fields.pop("number_of_initiator_proximity_domains")
        columns = fields.pop("number_of_target_proximity_domains")
        size = cls._layout.size
        matrix = size + 4 * (rows + columns)
        last = matrix + 2 * rows * columns
        if last > len(body):
            raise TableParseError(f"HMAT: {rows} x {columns} values in {len(body)} bytes", "HMAT")
        domains = struct.unpack_from(f"<{rows + columns}I", body, size)
        row = struct.Struct(f"<{columns}H")
        entries = [row.unpack_from(body, matrix + row.size * number) for number in range(rows)]
        fields["trailing"] = body[last:]
        return cls(domains[:rows], domains[rows:], entries, **fields)


def cache_attributes(
    *,
    total_cache_levels: int,
    cache_level: int,
    cache_associativity: int = CacheAssociativity.NONE,
    write_policy: int = CacheWritePolicy.NONE,
    cache_line_size: int = 0,
) -> int:
    """Return the cache attributes of a `MemorySideCacheInformation`.

    Args:
        total_cache_levels: 0 to 15, of which the specification defines 0 to 3.
        cache_level: of this cache, likewise.
        cache_associativity: see `CacheAssociativity`.
        write_policy: see `CacheWritePolicy`.
        cache_line_size: bytes.

    Raises:
        TableValueError: a value that does not fit; the text names it.
    """
    parts = (
        ("total_cache_levels", total_cache_levels, 0, 4),
        ("cache_level", cache_level, 4, 4),
        ("cache_associativity", cache_associativity, 8, 4),
        ("write_policy", write_policy, 12, 4),
        ("cache_line_size", cache_line_size, 16, 16),
    )
    for name, value, _shift, width in parts:
        if not 0 <= value < 1 << width:
            raise TableValueError(f"{name} has {width} bits and cannot hold {value}", "HMAT")
    return sum(value << shift for _name, value, shift, _width in parts)


@structure
class MemorySideCacheInformation(HmatEntry):
    """A cache in front of the memory of a proximity domain (type 2).

    ACPI Specification 6.5, Memory Side Cache Information Structure.

    Args:
        memory_proximity_domain: as in the SRAT.
        memory_side_cache_size: bytes.
        cache_attributes: see the function of that name.
        smbios_handles: of the memory devices (SMBIOS type 17) that belong to the cache.
    """

    TYPE = 2

    memory_proximity_domain: int = u32()
    reserved_12: int = u32(default=0, kw_only=True)
    memory_side_cache_size: int = u64()
    cache_attributes: int = u32()
    smbios_handles: Sequence[int] = attrs.field(
        default=(), converter=tuple_of("HMAT", "smbios_handles", object)
    )
    reserved_28: int = u16(default=0, kw_only=True)
    number_of_smbios_handles: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda entry: len(entry.smbios_handles), takes_self=True),
        metadata={KEY: Codec("H")},
    )

    def _tail(self) -> bytes:
        return _packed("H", self.smbios_handles, f"{type(self).__name__}.smbios_handles")

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        fields = cls._layout.unpack(body)
        count = fields.pop("number_of_smbios_handles")
        size = cls._layout.size
        last = size + 2 * count
        if last > len(body):
            raise TableParseError(f"HMAT: {count} SMBIOS handles in {len(body)} bytes", "HMAT")
        handles = struct.unpack_from(f"<{count}H", body, size)
        fields.update(smbios_handles=handles, trailing=body[last:])
        return cls(**fields)


@structure
class Hmat(EntryTable):
    """The Heterogeneous Memory Attribute Table, ACPI Specification 6.5, section of that title.

    Args:
        entries: see `HmatEntry`.
    """

    SIGNATURE = "HMAT"
    FAMILY = HmatEntry.FAMILY
    REVISION = 2

    reserved_36: int = u32(default=0, kw_only=True)
