# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Ranges that never overlap, in address order.

One `SortedDict` from base address to region. Since no two ranges overlap, the range that holds
an address is the one with the greatest base not above it, and the ranges that touch an interval
are neighbours: every question is one bisection plus the size of its answer.

The tree is changed only by `exchange`, which takes some ranges out and puts others in, or
raises and leaves everything as it was. It remembers the answer it gave last: a range or a hole
with its two ends. Misses come in runs (a guest sweeps a window, or probes an empty bus), and
comparing two integers is much cheaper than a bisection through two levels of lists.

The caller holds the lock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import cast

from sortedcontainers import SortedDict

from vmmkit._region import Region
from vmmkit.errors import OverlapError

__all__ = ["FlatIndex", "RangeTree", "flat_index"]


#: From an address to its owner and the last address of which the same is true.
FlatIndex = Callable[[int], tuple[Region | None, int]]

#: A region and the base it is to have, which need not be the one it has now.
Placed = tuple[int, Region]


class RangeTree:
    """An ordered set of ranges; see the module's text.

    Args:
        limit: size of the address space in bytes.
    """

    __slots__ = ("_bisect", "_hit", "_hit_first", "_hit_last", "_item", "_limit", "_ranges")

    def __init__(self, limit: int) -> None:
        """Start empty."""
        self._ranges: SortedDict[int, Region] = SortedDict()
        self._bisect = self._ranges.bisect_right
        self._item = self._ranges.peekitem
        self._limit = limit
        self._hit: Region | None = None
        self._hit_first, self._hit_last = 0, -1

    def __len__(self) -> int:
        """Count the ranges."""
        return len(self._ranges)

    def __iter__(self) -> Iterator[Region]:
        """Yield the ranges in address order, as they are now."""
        return iter(list(self._ranges.values()))

    def span(self, address: int) -> tuple[Region | None, int]:
        """Find what lies at `address`, and the last address of which the same is true.

        Returns:
            The range that holds `address` and its last address, or `None` and the last address
            of the hole.
        """
        if self._hit_first <= address <= self._hit_last:
            return self._hit, self._hit_last
        after = self._bisect(address)
        first, hole_last = 0, self._limit - 1
        if after:
            base, found = self._item(after - 1)
            last = base + found._size - 1
            if address <= last:
                self._hit, self._hit_first, self._hit_last = found, base, last
                return found, last
            first = last + 1
        if after < len(self._ranges):
            hole_last = self._item(after)[0] - 1
        self._hit, self._hit_first, self._hit_last = None, first, hole_last
        return None, hole_last

    def _forget(self) -> None:
        """Make `span` look for itself next time."""
        self._hit = None
        self._hit_first, self._hit_last = 0, -1

    def touching(self, base: int, size: int) -> list[Region]:
        """List the ranges that share an address with `size` bytes at `base`, in order."""
        found, _ = self.span(base)
        lowest = base if found is None else found.base
        return [self._ranges[key] for key in self._ranges.irange(lowest, base + size - 1)]

    def exchange(self, leaving: Sequence[Placed], coming: Sequence[Placed]) -> None:
        """Take `leaving` out and put `coming` in.

        Raises:
            OverlapError: two ranges would overlap; nothing has changed then.
        """
        for base, _ in leaving:
            del self._ranges[base]
        self._forget()
        try:
            self._refuse_overlap(coming)
        except OverlapError:
            self._ranges.update(leaving)
            raise
        finally:
            self._forget()
        self._ranges.update(coming)

    def rebuild(self, wanted: Iterable[Region]) -> None:
        """After an interruption make the tree anew: what is in it and answers, and `wanted`."""
        placed = cast("dict[int, Region]", self._ranges)  # its own order may be torn
        found = {region for region in dict.values(placed) if region.enabled}
        self._ranges = SortedDict({region._base: region for region in found | {*wanted}})
        self._bisect, self._item = self._ranges.bisect_right, self._ranges.peekitem
        self._forget()

    def _refuse_overlap(self, coming: Sequence[Placed]) -> None:
        """Judge few newcomers by their neighbours, many by one sweep over everything."""
        if len(coming) < len(self._ranges):
            for base, new in coming:
                for old in self.touching(base, new._size):
                    raise overlap(base, new, old.base, old)
            row = sorted(coming, key=_base_of)
        else:
            row = sorted([*self._ranges.items(), *coming], key=_base_of)
        for (base, lower), (next_base, upper) in pairwise(row):
            if base + lower._size <= next_base:
                continue
            if any(upper is new for _, new in coming):
                raise overlap(next_base, upper, base, lower)
            raise overlap(base, lower, next_base, upper)

    def check(self) -> None:
        """Assert that the ranges are ordered, disjoint, inside the space, under their own base."""
        previous_last = -1
        for base, found in self._ranges.items():
            assert base == found.base, (base, found)
            assert previous_last < base <= found.last < self._limit, found
            previous_last = found.last
        if self._hit is not None:
            assert self._ranges.get(self._hit_first) is self._hit, self._hit


def flat_index(regions: RangeTree, fallbacks: RangeTree, limit: int) -> FlatIndex:
    """Make a function that finds the owner of an address by bisecting plain lists.

    It speaks of the map as it is now, takes no lock, and is three times as fast as the trees. It
    costs a copy of the map, so it is made when a map has been left alone for a while.

    Returns:
        From an address to the region there, else the fallback there, else `None`; and the last
        address of which the same is true.
    """
    front, back = list(regions), list(fallbacks)
    bases = [region._base for region in front]
    lasts = [base + region._size - 1 for base, region in zip(bases, front, strict=True)]
    holes = [*(base - 1 for base in bases), limit - 1]  # last address of the hole before a base
    back_bases = [fallback._base for fallback in back]
    back_lasts = [fallback.last for fallback in back]
    back_holes = [*(base - 1 for base in back_bases), limit - 1]

    def owner(address: int) -> tuple[Region | None, int]:
        after = bisect_right(bases, address)
        if after and address <= lasts[after - 1]:
            return front[after - 1], lasts[after - 1]
        hole_last = holes[after]
        after = bisect_right(back_bases, address)
        if after and address <= back_lasts[after - 1]:
            last = back_lasts[after - 1]
            return back[after - 1], last if last < hole_last else hole_last  # noqa: FURB136 - faster
        return None, min(hole_last, back_holes[after])

    return owner


def _base_of(placed: Placed) -> int:
    return placed[0]


def overlap(base: int, new: Region, old_base: int, old: Region) -> OverlapError:
    """Build the error that names both parties and both ranges."""
    return OverlapError(f"{new.describe(base)} overlaps {old.describe(old_base)}", new, old)
