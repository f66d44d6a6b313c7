# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables whose sub-structures refer to each other by offset: the PPTT and the VIOT.

An author refers to another sub-structure by the object, and the table, which alone knows where
each one lies, writes the offsets. Reading makes the objects again. Such sub-structures are compared
by identity, as two caches of the same size are still two caches; tables, by their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, TypeVar, dataclass_transform

import attrs

from vmmkit.acpi.structure import KEY, Codec, Layout, raw, text, u8, u16, u32, u64
from vmmkit.acpi.tables.entry import Entry, RawEntry, parse_entries
from vmmkit.acpi.tables.table import EntryTable
from vmmkit.errors import TableValueError

__all__ = [
    "NONE",
    "Reference",
    "ReferringEntry",
    "ReferringTable",
    "Target",
    "brief",
    "node",
    "packed_target",
    "reference",
]

NONE = 0  #: refers to nothing; there is a header at that offset

#: What is referred to: a sub-structure of the same table, or its offset from the table's start.
Target: TypeAlias = Entry | RawEntry | int
_Class = TypeVar("_Class", bound=type[Any])


class Reference(NamedTuple):
    """A place in a sub-structure where the offset of another belongs.

    Attributes:
        field: name, for errors.
        offset: bytes from the start of the sub-structure.
        size: bytes.
        target: what is referred to.
    """

    field: str
    offset: int
    size: int
    target: Target


class _ReferenceCodec(Codec):
    """Marks the fields that `reference` declares."""


def packed_target(target: Target) -> int:
    """Return an offset that is given as such; zero in the place of one that the table will write.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(target, int):
        return target
    if isinstance(target, Entry | RawEntry):
        return NONE
    raise TypeError


def brief(target: Target) -> str:
    """Return a text for `repr` that does not lead from one sub-structure to all others."""
    return repr(target) if isinstance(target, int) else f"<{type(target).__name__}>"


def reference(size: int, *, default: Any = attrs.NOTHING, kw_only: bool = False) -> Any:
    """Declare a reference of `size` bytes, 2 or 4: a sub-structure, an offset, or `NONE`."""
    codec = _ReferenceCodec({2: "H", 4: "I"}[size], packed_target)
    return attrs.field(default=default, kw_only=kw_only, repr=brief, metadata={KEY: codec})


@dataclass_transform(
    frozen_default=True,
    eq_default=False,
    field_specifiers=(u8, u16, u32, u64, raw, text, reference, attrs.field),
)
def node(kind: _Class) -> _Class:
    """Make a frozen attrs class with a layout, and without comparison by value (decorator)."""
    made: _Class = attrs.frozen(kind, eq=False)
    made._layout = Layout(made, made.fields_base())  # noqa: SLF001
    return made


class ReferringEntry(Entry):
    """A sub-structure that others refer to, or that refers to others.

    `REFERS` says, by field, the types of what may be referred to.
    """

    REFERS: ClassVar[Mapping[str, frozenset[int]]] = {}

    # Those of `Structure` compare bytes.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def references(self) -> tuple[Reference, ...]:
        """Return all references, those to nothing among them."""
        return tuple(
            Reference(field.name, field.offset, field.size, getattr(self, field.name))
            for field in self._layout.fields
            if isinstance(field.codec, _ReferenceCodec)
        )

    def referring(self, targets: Mapping[int, Entry | RawEntry]) -> Self:
        """Return it with objects in the place of offsets."""
        changed: dict[str, Any] = {
            place.field: targets.get(place.target, place.target)
            for place in self.references()
            if isinstance(place.target, int)
        }
        return attrs.evolve(self, **changed) if changed else self


class ReferringTable(EntryTable):
    """A table whose `entries` refer to each other.

    Raises:
        TableValueError: a reference to what is not among the entries, or is of a type that does
            not belong there, or leads in a circle; an entry that is listed twice.
    """

    def __eq__(self, other: object) -> bool:
        """Compare bytes, which say of everything what it refers to."""
        if type(other) is not type(self):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        """Follow `__eq__`."""
        return hash(self.to_bytes())

    def _tail(self) -> bytes:
        content = bytearray(super()._tail())
        base = self._fixed_size()
        located = _located(self.entries, base)
        offsets = self._offsets(located)
        edges: dict[int, list[int]] = {}
        for start, entry in located.items():
            if not isinstance(entry, ReferringEntry):
                continue
            for place in entry.references():
                found = self._resolved(entry, place, offsets)
                if found != NONE:
                    self._check_type(entry, place, located, found)
                    edges.setdefault(start, []).append(found)
                at = start - base + place.offset
                content[at : at + place.size] = self._packed(place, found)
        _in_order(edges, self.name)
        return bytes(content)

    def _offsets(self, located: Mapping[int, Entry | RawEntry]) -> dict[int, int]:
        """Return offsets of entries by their `id`."""
        offsets: dict[int, int] = {}
        for offset, entry in located.items():
            if id(entry) in offsets:
                raise TableValueError(
                    f"{self.name}: entry {len(offsets)} is listed twice; each must be an object "
                    "of its own",
                    self.name,
                    offset,
                )
            offsets[id(entry)] = offset
        return offsets

    def _resolved(self, entry: ReferringEntry, place: Reference, offsets: Mapping[int, int]) -> int:
        """Return the offset that a reference stands for."""
        if isinstance(place.target, int):
            return place.target
        found = offsets.get(id(place.target))
        if found is None:
            raise TableValueError(
                f"{self.name}: {type(entry).__name__}.{place.field} refers to a "
                f"{type(place.target).__name__} that is not among the entries",
                self.name,
                offsets[id(entry)] + place.offset,
            )
        return found

    def _check_type(
        self,
        entry: ReferringEntry,
        place: Reference,
        located: Mapping[int, Entry | RawEntry],
        offset: int,
    ) -> None:
        """Check that an entry of the right type is at an offset."""
        target = located.get(offset)
        kind = target.type if isinstance(target, RawEntry) else getattr(target, "TYPE", None)
        if kind not in entry.REFERS[place.field]:
            raise TableValueError(
                f"{self.name}: {type(entry).__name__}.{place.field} refers to offset {offset}, "
                f"where no entry of type {sorted(entry.REFERS[place.field])} begins",
                self.name,
                offset,
            )

    def _packed(self, place: Reference, offset: int) -> bytes:
        try:
            return offset.to_bytes(place.size, "little")
        except OverflowError:
            raise TableValueError(
                f"{self.name}: {place.field} has {place.size} bytes and cannot hold offset "
                f"{offset}: too many entries",
                self.name,
                offset,
            ) from None

    @classmethod
    def _linked(
        cls, entries: tuple[Entry | RawEntry, ...], base: int
    ) -> tuple[Entry | RawEntry, ...]:
        """Return entries that were read, with objects in the place of offsets.

        Offsets at which no entry begins are left, for the table to refuse.
        """
        located = _located(entries, base)
        edges = {
            offset: [place.target for place in entry.references() if place.target in located]
            for offset, entry in located.items()
            if isinstance(entry, ReferringEntry)
        }
        for offset in _in_order(edges, cls.SIGNATURE):
            entry = located[offset]
            if isinstance(entry, ReferringEntry):
                located[offset] = entry.referring(located)
        return tuple(located.values())

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        entries, trailing = parse_entries(cls.FAMILY, data, rest)
        return cls(cls._linked(entries, rest), **fields, trailing=trailing)


def _located(entries: Sequence[Entry | RawEntry], base: int) -> dict[int, Entry | RawEntry]:
    """Return entries, the first of which begins at `base`, by their offset."""
    located = {}
    for entry in entries:
        located[base] = entry
        base += len(entry.to_bytes())
    return located


def _in_order(edges: Mapping[int, list[Any]], table: str) -> list[int]:
    """Return offsets such that each follows all that it refers to.

    Raises:
        TableValueError: there is a circle; the error has the offset of an entry in it.
    """
    order: dict[int, None] = {}
    for first in edges:
        waiting = [first]
        entered = set()
        while waiting:
            offset = waiting[-1]
            missing = [target for target in edges.get(offset, ()) if target not in order]
            if not missing:
                order[waiting.pop()] = None
            elif offset in entered:
                raise TableValueError(
                    f"{table}: the entry at offset {offset} refers to itself, perhaps through "
                    "others",
                    table,
                    offset,
                )
            else:
                entered.add(offset)
                waiting.extend(missing)
    return list(order)
