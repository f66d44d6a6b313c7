# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory maps: sorted, without overlaps, and with room looked for in their RAM."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from vmmkit.errors import ImagePlacementError

__all__ = ["RAM", "FreeMemory", "MemoryRange", "sanitized"]

RAM: Final = 1  # ACPI Specification, table "Address Range Types": AddressRangeMemory
SPACE: Final = 1 << 52  # bytes that page tables can name: SDM vol. 3A, "Paging"
IDENTITY_SPACE: Final = 1 << 47  # bytes that 4-level paging maps one to one: the lower half
PAGE: Final = 4096


class MemoryRange(NamedTuple):
    """A range of guest-physical memory and its type as in an E820 map."""

    base: int
    size: int
    kind: int
    """1 RAM, 2 reserved, 3 ACPI tables, 4 NVS...: ACPI Specification, "Address Range Types"."""

    @property
    def last(self) -> int:
        """The address of its last byte."""
        return self.base + self.size - 1


def _checked(base: int, size: int, kind: int) -> MemoryRange:
    if size <= 0 or base < 0 or base + size > SPACE:
        raise ImagePlacementError("a range is empty or beyond 2**52", base, size, "memory map")
    if not 0 <= kind <= 0xFFFF_FFFF:
        raise ImagePlacementError(f"{kind} is no type of memory", base, size, "memory map")
    return MemoryRange(base, size, int(kind))


def sanitized(memory: Iterable[tuple[int, int, int]]) -> tuple[MemoryRange, ...]:
    """Return a map sorted by address, without overlaps, neighbours of one type joined.

    Where ranges overlap, the higher type wins, so that nothing reserved is taken for RAM.

    Raises:
        ImagePlacementError: a range that is empty, negative or ends beyond 2**52, or a type that
            does not fit into 32 bits.
    """
    given = [_checked(*one) for one in memory]
    edges = sorted(
        [(one.base, True, one.kind) for one in given]
        + [(one.last + 1, False, one.kind) for one in given]
    )
    found: list[MemoryRange] = []
    active: list[int] = []  # the types of the ranges that this stretch lies in, sorted
    start = 0
    for address, begins, kind in edges:
        if active and address > start:
            _append(found, MemoryRange(start, address - start, active[-1]))
        start = address
        if begins:
            insort(active, kind)
        else:
            active.remove(kind)
    return tuple(found)


def _append(found: list[MemoryRange], new: MemoryRange) -> None:
    """Add a range, or lengthen the one before it."""
    if found and found[-1].kind == new.kind and found[-1].last + 1 == new.base:
        new = MemoryRange(found[-1].base, found[-1].size + new.size, new.kind)
        found.pop()
    found.append(new)


class FreeMemory:
    """The RAM of a map that nobody has claimed yet."""

    __slots__ = ("_bases", "_lasts")

    def __init__(self, memory: Iterable[MemoryRange]) -> None:
        """Take the RAM of a sanitised map, as far as an identity map of 4 levels goes."""
        ram = [one for one in memory if one.kind == RAM and one.base < IDENTITY_SPACE]
        self._bases = [one.base for one in ram]
        self._lasts = [min(one.last, IDENTITY_SPACE - 1) for one in ram]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give `(base, last)` of each free range, by address."""
        return zip(self._bases, self._lasts, strict=True)

    def claim(self, gpa: int, size: int) -> bool:
        """Take a range; return False, and take nothing, if not all of it is free."""
        number = bisect_right(self._bases, gpa) - 1
        last = gpa + size - 1
        if number < 0 or last > self._lasts[number]:
            return False
        rest = [(self._bases[number], gpa - 1), (last + 1, self._lasts[number])]
        kept = [one for one in rest if one[0] <= one[1]]
        self._bases[number : number + 1] = [base for base, _ in kept]
        self._lasts[number : number + 1] = [last for _, last in kept]
        return True

    def highest(self, size: int, alignment: int, least: int, last: int) -> int | None:
        """Return the highest aligned address of `size` free bytes between `least` and `last`."""
        for base, end in reversed(list(self)):
            gpa = (min(end, last) + 1 - size) // alignment * alignment
            if gpa >= max(base, least):
                return gpa
        return None

    def lowest(self, size: int, alignment: int, least: int, last: int) -> int | None:
        """Return the lowest aligned address of `size` free bytes between `least` and `last`."""
        for base, end in self:
            gpa = -(-max(base, least) // alignment) * alignment
            if gpa + size - 1 <= min(end, last):
                return gpa
        return None
