# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Sub-structures with a type and a length, of which many tables are lists.

Each family of them (those of the MADT, of the SRAT, of the DMAR, ...) is a subclass of `Entry` that
says how type and length are written. Its members say their `TYPE`::

    class MadtEntry(Entry):
        FAMILY = Family("MADT", "<BB")

    @structure
    class IoApic(MadtEntry):
        TYPE = 1
        ...

Types that no member has, and members whose length is not theirs, are read as a `RawEntry`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import attrs

from vmmkit.acpi.relocation import Relocation, octets, shown_bytes
from vmmkit.acpi.structure import Structure
from vmmkit.errors import TableParseError, TableValueError

__all__ = ["Entry", "Family", "RawEntry", "joined_relocations", "parse_entries"]


class Family:
    """How the sub-structures of one table begin, and which types there are.

    Args:
        table: signature, for errors.
        header: of `struct`: the type, then perhaps pad bytes (`x`), then the length, in bytes and
            with the header.
    """

    def __init__(self, table: str, header: str) -> None:
        """Begin without members."""
        self.table = table
        self.header = struct.Struct(header)
        self.members: dict[int, type[Entry]] = {}
        self._path = ""

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn of which class it is an attribute; copies are to be the same."""
        self.__module__ = owner.__module__
        self._path = f"{owner.__qualname__}.{name}"

    def __reduce__(self) -> str:
        """Refer to it by its place, so that copies and pickles of entries belong to it still."""
        return self._path

    def __repr__(self) -> str:
        """Name the table."""
        return f"<Family {self.table}>"

    def wrap(self, kind: int, body: bytes) -> bytes:
        """Return a whole sub-structure.

        Raises:
            TableValueError: it is longer than its length field can say, or no such type.
        """
        length = self.header.size + len(body)
        try:
            return self.header.pack(kind, length) + body
        except struct.error:
            raise TableValueError(
                f"{self.table}: no sub-structure of type {kind!r} and {length} bytes", self.table
            ) from None


@attrs.frozen(eq=False, repr=False)
class Entry(Structure):
    """A sub-structure; `trailing` are bytes beyond its last known field, kept as they are."""

    trailing: bytes = attrs.field(default=b"", kw_only=True, converter=octets)

    FAMILY: ClassVar[Family]
    TYPE: ClassVar[int]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Enter the class into its family; the last definition counts (attrs makes two)."""
        super().__init_subclass__(**arguments)
        if "TYPE" in cls.__dict__:
            cls.FAMILY.members[cls.TYPE] = cls

    def _encode(self) -> bytes:
        return self.FAMILY.wrap(self.TYPE, self._layout.pack(self) + self._tail() + self.trailing)

    @property
    def family(self) -> Family:
        """Of which table it is."""
        return self.FAMILY

    def _tail(self) -> bytes:
        """Return what follows the fixed fields, in classes that have such."""
        return b""

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make an entry of the bytes after its header, at least as many as its fixed fields.

        Raises:
            TableParseError: it cannot be one; the caller keeps the bytes as a `RawEntry`.
        """
        size = cls._layout.size
        return cls(**cls._layout.unpack(body), trailing=body[size:])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make an entry of exactly its bytes, the header among them.

        Raises:
            TableParseError: another type or length than these bytes have, or they cannot be one.
        """
        family = cls.FAMILY
        made = parse_entry(family, data) if len(data) >= family.header.size else None
        if not isinstance(made, cls):
            raise TableParseError(
                f"{family.table}: {len(data)} bytes that are no {cls.__name__}", family.table, 0
            )
        return made

    @classmethod
    def fields_base(cls) -> int:
        """Return the size of the header."""
        return cls.FAMILY.header.size


@attrs.frozen
class RawEntry:
    """A sub-structure of a type or length that no class here is for.

    Args:
        family: of which table.
        type: number.
        body: bytes after the header.
    """

    family: Family
    type: int
    body: bytes = attrs.field(converter=octets, repr=shown_bytes)

    def __attrs_post_init__(self) -> None:
        """Check family, type and length."""
        if not isinstance(self.family, Family):
            raise TableValueError(f"RawEntry.family is none: {self.family!r}")
        self.to_bytes()

    def to_bytes(self) -> bytes:
        """Return header and body."""
        return self.family.wrap(self.type, self.body)

    def relocations(self) -> tuple[Relocation, ...]:
        """Return nothing."""
        return ()


def parse_entries(
    family: Family, data: bytes, offset: int
) -> tuple[tuple[Entry | RawEntry, ...], bytes]:
    """Return the sub-structures of a table from `offset` on, and bytes too few to be one.

    Raises:
        TableParseError: a length that is less than its header, or leads beyond the table.
    """
    found: list[Entry | RawEntry] = []
    header = family.header
    while len(data) - offset >= header.size:
        kind, length = header.unpack_from(data, offset)
        if not header.size <= length <= len(data) - offset:
            raise TableParseError(
                f"{family.table}: sub-structure of type {kind} at offset {offset} has length "
                f"{length}, of {len(data) - offset} bytes that are left",
                family.table,
                offset,
            )
        found.append(_parse_entry(family, kind, data[offset + header.size : offset + length]))
        offset += length
    return tuple(found), data[offset:]


def parse_entry(family: Family, data: bytes) -> Entry | RawEntry | None:
    """Return the one sub-structure that `data` holds; `None`: its length is another."""
    kind, length = family.header.unpack_from(data)
    return _parse_entry(family, kind, data[family.header.size :]) if length == len(data) else None


def _parse_entry(family: Family, kind: int, body: bytes) -> Entry | RawEntry:
    member = family.members.get(kind)
    if member is not None and len(body) >= member.layout().size:
        try:
            entry = member.from_body(body)
        except (TableParseError, TableValueError):
            return RawEntry(family, kind, body)
        if entry.to_bytes()[family.header.size :] == body:
            return entry
    return RawEntry(family, kind, body)


def joined_relocations(entries: Iterable[Entry | RawEntry], offset: int) -> tuple[Relocation, ...]:
    """Return the relocations of sub-structures that lie one after the other from `offset` on."""
    found: list[Relocation] = []
    for entry in entries:
        if places := entry.relocations():
            found.extend(place._replace(offset=offset + place.offset) for place in places)
        offset += len(entry.to_bytes())
    return tuple(found)
