# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PPTT: packages, cores and threads, and the caches they have.

ACPI Specification 6.5, Processor Properties Topology Table (PPTT).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Self

import attrs

from vmmkit.acpi.structure import KEY, Codec, u8, u16, u32, u64
from vmmkit.acpi.tables.entry import Entry, Family, RawEntry
from vmmkit.acpi.tables.reference import (
    NONE,
    Reference,
    ReferringEntry,
    ReferringTable,
    Target,
    brief,
    node,
    packed_target,
    reference,
)
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "AllocationType",
    "CacheFlags",
    "CacheType",
    "CacheTypeStructure",
    "IdStructure",
    "Pptt",
    "PpttEntry",
    "ProcessorFlags",
    "ProcessorHierarchyNode",
    "WritePolicy",
    "cache_attributes",
]


class ProcessorFlags(IntFlag):
    """Of a processor hierarchy node."""

    PHYSICAL_PACKAGE = 1
    ACPI_PROCESSOR_ID_VALID = 2
    PROCESSOR_IS_A_THREAD = 4
    NODE_IS_A_LEAF = 8
    IDENTICAL_IMPLEMENTATION = 16


class CacheFlags(IntFlag):
    """Which fields of a cache are given; the rest is to be found out from the processor."""

    SIZE_PROPERTY_VALID = 1
    NUMBER_OF_SETS_VALID = 2
    ASSOCIATIVITY_VALID = 4
    ALLOCATION_TYPE_VALID = 8
    CACHE_TYPE_VALID = 16
    WRITE_POLICY_VALID = 32
    LINE_SIZE_VALID = 64
    CACHE_ID_VALID = 128  #: from revision 3 of the table on


class AllocationType(IntEnum):
    """Bits 1:0 of the attributes of a cache."""

    READ_ALLOCATE = 0
    WRITE_ALLOCATE = 1
    READ_AND_WRITE_ALLOCATE = 2


class CacheType(IntEnum):
    """Bits 3:2 of the attributes of a cache."""

    DATA = 0
    INSTRUCTION = 1
    UNIFIED = 2


class WritePolicy(IntEnum):
    """Bit 4 of the attributes of a cache."""

    WRITE_BACK = 0
    WRITE_THROUGH = 1


def cache_attributes(
    cache_type: CacheType,
    *,
    allocation_type: AllocationType = AllocationType.READ_AND_WRITE_ALLOCATE,
    write_policy: WritePolicy = WritePolicy.WRITE_BACK,
) -> int:
    """Return the attributes of a `CacheTypeStructure`."""
    return allocation_type | cache_type << 2 | write_policy << 4


class PpttEntry(ReferringEntry):
    """A processor topology structure."""

    FAMILY = Family("PPTT", "<BB")


_PROCESSOR, _CACHE, _ID = 0, 1, 2


def _valid_fields(cache: Any) -> CacheFlags:
    """Return the default flags."""
    return CacheFlags(0xFF if cache.cache_id else 0x7F)


@node
class ProcessorHierarchyNode(PpttEntry):
    """A package, a cluster, a core or a thread (type 0).

    ACPI Specification 6.5, Processor hierarchy node structure (Type 0).

    Args:
        parent: the node it is part of; `NONE` at the top.
        private_resources: caches that belong to it and what is below; only those nearest to the
            processor, as each refers to its next level.
        acpi_processor_id: as in the MADT (and of the device with that _UID), where the flags say
            that it is valid.
        flags: see `ProcessorFlags`.
    """

    TYPE = _PROCESSOR
    REFERS: ClassVar = {
        "parent": frozenset({_PROCESSOR}),
        "private_resources": frozenset({_CACHE, _ID}),
    }

    reserved_2: int = u16(default=0, kw_only=True)
    flags: ProcessorFlags = u32(default=ProcessorFlags(0), kw_only=True, enum=ProcessorFlags)
    parent: Target = reference(4, default=NONE)
    private_resources: Sequence[Target] = attrs.field(
        default=(),
        converter=tuple_of("PPTT", "private_resources", object),
        repr=lambda resources: f"({', '.join(map(brief, resources))})",
    )
    acpi_processor_id: int = u32(default=0, kw_only=True)
    number_of_private_resources: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda entry: len(entry.private_resources), takes_self=True),
        metadata={KEY: Codec("I")},
    )

    def _tail(self) -> bytes:
        try:
            offsets = [packed_target(target) for target in self.private_resources]
            return struct.pack(f"<{len(offsets)}I", *offsets)
        except (TypeError, struct.error):
            raise TableValueError(
                "ProcessorHierarchyNode.private_resources holds what is neither a structure nor "
                f"an offset of 4 bytes: {self.private_resources!r}",
                "PPTT",
            ) from None

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        fields = cls._layout.unpack(body)
        count = fields.pop("number_of_private_resources")
        size = cls._layout.size
        last = size + 4 * count
        if last > len(body):
            raise TableParseError(f"PPTT: {count} private resources in {len(body)} bytes", "PPTT")
        resources = struct.unpack_from(f"<{count}I", body, size)
        fields.update(private_resources=resources, trailing=body[last:])
        return cls(**fields)

    def references(self) -> tuple[Reference, ...]:
        """Return all references, those to nothing among them."""
        base = self.fields_base() + self._layout.size
        return super().references() + tuple(
            Reference("private_resources", base + 4 * number, 4, target)
            for number, target in enumerate(self.private_resources)
        )

    def referring(self, targets: Mapping[int, Entry | RawEntry]) -> Self:
        """Return it with objects in the place of offsets."""
        parent, *resources = [
            targets.get(place.target, place.target)
            if isinstance(place.target, int)
            else place.target
            for place in self.references()
        ]
        return attrs.evolve(self, parent=parent, private_resources=resources)


@node
class CacheTypeStructure(PpttEntry):
    """A cache (type 1).

    ACPI Specification 6.5, Cache Type Structure - Type 1.

    Args:
        next_level_of_cache: the cache behind this one; `NONE` for the last.
        size: bytes.
        number_of_sets: in the cache.
        associativity: ways.
        attributes: see the function `cache_attributes`.
        line_size: bytes.
        cache_id: unique among caches; 0: it has none; `None`: the structure ends before it, as in
            tables of revision 1 and 2.
        flags: see `CacheFlags`; by default all fields are valid, `cache_id` if it is given.
    """

    TYPE = _CACHE
    REFERS: ClassVar = {"next_level_of_cache": frozenset({_CACHE})}

    reserved_2: int = u16(default=0, kw_only=True)
    # The last in memory, but before the flags here, whose default follows from it.
    cache_id: int | None = attrs.field(default=0, kw_only=True)
    flags: CacheFlags = u32(
        default=attrs.Factory(_valid_fields, takes_self=True), kw_only=True, enum=CacheFlags
    )
    next_level_of_cache: Target = reference(4, default=NONE, kw_only=True)
    size: int = u32(default=0, kw_only=True)
    number_of_sets: int = u32(default=0, kw_only=True)
    associativity: int = u8(default=0, kw_only=True)
    attributes: int = u8(default=0, kw_only=True)
    line_size: int = u16(default=0, kw_only=True)

    def _tail(self) -> bytes:
        if self.cache_id is None:
            return b""
        try:
            return struct.pack("<I", self.cache_id)
        except struct.error:
            raise TableValueError(
                f"CacheTypeStructure.cache_id at offset 24 has 4 bytes and cannot hold "
                f"{self.cache_id!r}",
                "PPTT",
                24,
            ) from None

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header; see `Entry.from_body`."""
        size = cls._layout.size
        fields = cls._layout.unpack(body)
        fields["cache_id"] = None
        if len(body) >= size + 4:
            (fields["cache_id"],) = struct.unpack_from("<I", body, size)
            size += 4
        fields["trailing"] = body[size:]
        return cls(**fields)


@node
class IdStructure(PpttEntry):
    """Who made a processor (type 2), which later revisions of the table no longer have.

    ACPI Specification 6.2, ID Structure - Type 2.
    """

    TYPE = _ID

    reserved_2: int = u16(default=0, kw_only=True)
    vendor_id: int = u32()
    level_1_id: int = u64(default=0)
    level_2_id: int = u64(default=0)
    major_rev: int = u16(default=0)
    minor_rev: int = u16(default=0)
    spin_rev: int = u16(default=0)


@node
class Pptt(ReferringTable):
    """The Processor Properties Topology Table, ACPI Specification 6.5, section of that title.

    Args:
        entries: see `PpttEntry`; all that refer to each other, each listed once.
    """

    SIGNATURE = "PPTT"
    FAMILY = PpttEntry.FAMILY
    REVISION = 3
