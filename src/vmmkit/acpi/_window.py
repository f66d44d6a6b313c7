# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Free guest-physical memory, and what the guest is told about the part that was used."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vmmkit.acpi.placement import BIOS_FIRST, BIOS_LAST, E820Entry, E820Type
from vmmkit.errors import PlacementError

ADDRESS_LIMIT = 1 << 64


class Taken(NamedTuple):
    """A range that nothing may be put over."""

    first: int
    last: int
    name: str


def span(address: int, size: int) -> str:
    """Return how errors write a range."""
    return f"{address:#x}-{address + max(size, 1) - 1:#x}"


def align_up(address: int, alignment: int) -> int:
    """Return the first multiple of a power of two that is not below `address`."""
    return (address + alignment - 1) & -alignment


def taken(address: int, size: int, name: str) -> Taken:
    """Return a range of addresses.

    Raises:
        PlacementError: it is empty, negative, or leads beyond the address space.
    """
    if address < 0 or size < 1 or address + size > ADDRESS_LIMIT:
        raise PlacementError(
            f"{name} of {size} bytes at {address:#x} is no range of addresses", name
        )
    return Taken(address, address + size - 1, name)


class Window:
    """Free memory from an address up; what is asked for is given in rising order.

    Args:
        base: first address.
        limit: first address beyond, `None`: the end of the address space.
        avoid: `(base, size)` ranges that others have; they may overlap.
        fixed: ranges of those whose addresses were given; they may lie outside, but not over each
            other or what is to be avoided.

    Raises:
        PlacementError: no addresses at all, no range, or an overlap of a fixed one.
    """

    def __init__(
        self,
        base: int,
        limit: int | None,
        avoid: Iterable[tuple[int, int]],
        fixed: Iterable[Taken],
    ) -> None:
        """Sort what is taken."""
        self.base = base
        self.limit = ADDRESS_LIMIT if limit is None else limit
        if not 0 <= base < self.limit <= ADDRESS_LIMIT:
            raise PlacementError(f"no addresses from {base:#x} up to below {self.limit:#x}")
        self._next = base
        avoided = _merged(taken(start, size, "a range to avoid") for start, size in avoid)
        fixed = list(fixed)
        _check_disjoint(sorted([*avoided, *fixed]))
        self._taken = _merged([*avoided, *fixed])
        self._number = 0  # of the first that is not wholly below what comes next

    def align(self, alignment: int) -> None:
        """Go on at a multiple of `alignment`."""
        self._next = align_up(self._next, alignment)

    def take(self, size: int, alignment: int, name: str) -> int:
        """Return the next free address for so many bytes.

        Raises:
            PlacementError: there is none below the limit.
        """
        address = align_up(self._next, alignment)
        while self._number < len(self._taken):
            first, last, _name = self._taken[self._number]
            if last >= address:
                if first >= address + max(size, 1):
                    break
                address = align_up(last + 1, alignment)
            self._number += 1
        if address + size > self.limit:
            raise PlacementError(
                f"{name} of {size} bytes does not fit below {self.limit:#x}: from {self.base:#x} "
                f"on, the next free place for it is {span(address, size)}",
                name,
            )
        self._next = address + size
        return address

    def taken_after(self, address: int) -> int:
        """Return where the next range begins that was taken from the start."""
        number = bisect.bisect_right(self._taken, address, key=lambda one: one.first)
        return self._taken[number].first if number < len(self._taken) else ADDRESS_LIMIT


def _merged(ranges: Iterable[Taken]) -> list[Taken]:
    found: list[Taken] = []
    for one in sorted(ranges):
        if found and one.first <= found[-1].last:
            last = max(one.last, found[-1].last)
            found[-1] = found[-1]._replace(last=last)
        else:
            found.append(one)
    return found


def _check_disjoint(ranges: list[Taken]) -> None:
    for before, after in itertools.pairwise(ranges):
        if after.first <= before.last:
            raise PlacementError(
                f"{after.name} at {after.first:#x}-{after.last:#x} lies over {before.name} at "
                f"{before.first:#x}-{before.last:#x}",
                after.name,
            )


def memory_map(
    ranges: Iterable[tuple[int, int, E820Type]], window: Window, granule: int
) -> tuple[E820Entry, ...]:
    """Return E820 entries for `(base, size, type)` ranges in use.

    Neighbours of one type in one granule, or in two that touch, become one entry, and entries
    end where their last granule ends; but none swallows what the window avoids or another entry,
    or leads beyond the window's limit.
    """
    found: list[E820Entry] = []
    outside = (part for one in ranges for part in _outside_bios(*one))
    for base, size, kind in sorted(outside):
        before = found[-1] if found else None
        if before is not None and _joins(before, base, kind, window, granule):
            found[-1] = E820Entry(before.base, base + size - before.base, kind)
        else:
            found.append(E820Entry(base, size, kind))
    following = [*(entry.base for entry in found[1:]), ADDRESS_LIMIT]
    return tuple(
        _widened(entry, min(after, _taken_after(window, entry.last)), window.limit, granule)
        for entry, after in zip(found, following, strict=False)
    )


def _outside_bios(base: int, size: int, kind: E820Type) -> Iterator[tuple[int, int, E820Type]]:
    """Yield what of a range is below and above the area of the firmware."""
    for first, past in (
        (base, min(base + size, BIOS_FIRST)),
        (max(base, BIOS_LAST + 1), base + size),
    ):
        if first < past:
            yield first, past - first, kind


def _taken_after(window: Window, address: int) -> int:
    taken = window.taken_after(address)
    return min(taken, BIOS_FIRST) if address < BIOS_FIRST else taken


def _joins(before: E820Entry, base: int, kind: E820Type, window: Window, granule: int) -> bool:
    return (
        before.type == kind
        and base <= align_up(before.last + 1, granule)
        and _taken_after(window, before.last) >= base
    )


def _widened(entry: E820Entry, after: int, limit: int, granule: int) -> E820Entry:
    """Let an entry end with its granule, before `after`, and below the limit if it is below it."""
    past = entry.last + 1
    ends = [align_up(past, granule), after]
    if past <= limit:
        ends.append(limit)
    return entry._replace(size=min(ends) - entry.base)
