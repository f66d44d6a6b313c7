# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Free ranges of addresses: what PCI windows, buses and everything placed in them come from.

Theory of operation: free ranges
--------------------------------
`RangeAllocator` keeps the free ranges twice: by base, which finds the neighbours a freed range
grows together with, and by size, which finds the smallest range that is large enough. An
allocation takes the smallest free range that holds it at its alignment, and there the lowest
address, so holes that alignment left behind are used before large ranges are cut. The search
ends at the first range of `size + align - 1` addresses, since that one holds it wherever it lies.

Largest first is the order that leaves the fewest holes; that is the caller's part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sortedcontainers import SortedDict, SortedList

from vmmkit.errors import AllocationError

__all__ = ["RangeAllocator"]


class RangeAllocator:
    """Allocates aligned ranges out of windows.

    Args:
        windows: pairs of base and size to begin with, as for `add`.
        name: what error messages call the space, such as `"mem"`.

    Raises:
        AllocationError: windows that are empty, negative or overlap.

    Not locked: whoever shares one between threads holds a lock of his own.
    """

    __slots__ = ("_by_size", "_free", "_used", "name")

    def __init__(self, windows: Iterable[tuple[int, int]] = (), *, name: str = "range") -> None:
        """Start with all windows free."""
        self.name = name
        self._free: SortedDict[int, int] = SortedDict()
        self._used: SortedDict[int, int] = SortedDict()
        self._by_size: SortedList[tuple[int, int]] = SortedList()
        for base, size in windows:
            self.add(base, size)

    # -- windows ---------------------------------------------------------------------------------

    def add(self, base: int, size: int) -> None:
        """Make `size` addresses from `base` available.

        Raises:
            AllocationError: the range is empty or negative, or some of it is known already.
        """
        self._check_range(base, size)
        for ranges in (self._free, self._used):
            other = _overlapping(ranges, base, size)
            if other is not None:
                raise self._error(f"{_text(base, size)} overlaps {_text(*other)}")
        self._release(base, size)

    @property
    def free_size(self) -> int:
        """How many addresses are free, in however many pieces."""
        return sum(self._free.values())

    def free_ranges(self) -> Iterator[tuple[int, int]]:
        """Yield base and size of every free range, ascending."""
        return iter(tuple(self._free.items()))

    def allocated_ranges(self) -> Iterator[tuple[int, int]]:
        """Yield base and size of every allocation, ascending."""
        return iter(tuple(self._used.items()))

    # -- allocations -----------------------------------------------------------------------------

    def allocate(self, size: int, align: int = 1, *, name: str = "") -> int:
        """Take a free range.

        Args:
            size: addresses, at least 1.
            align: a power of two that divides the base.
            name: of what is placed, for the error.

        Returns:
            The base.

        Raises:
            AllocationError: no free range holds it; or arguments out of their ranges.
        """
        self._check_range(0, size)
        if not isinstance(align, int) or align < 1 or align & align - 1:
            raise self._error(f"an alignment is a power of two, not {align!r}")
        for length, start in self._by_size.irange((size, 0)):
            base = start + align - 1 & -align
            if base + size <= start + length:
                self._take(start, length, base, size)
                return base
        raise AllocationError(
            f"{self.name}: no free range holds {name or 'a range'} of {size:#x} bytes"
            f" aligned to {align:#x}; {self.free_size:#x} bytes are free",
            ((name, size),),
        )

    def allocate_at(self, base: int, size: int, *, name: str = "") -> None:
        """Take exactly the `size` addresses from `base`.

        Raises:
            AllocationError: some of them are taken, or belong to no window.
        """
        self._check_range(base, size)
        at = self._free.bisect_right(base) - 1
        start, length = self._free.peekitem(at) if at >= 0 else (0, 0)
        if base + size > start + length:
            raise AllocationError(
                f"{self.name}: {_text(base, size)} is not free{name and ' for ' + name}",
                ((name, size),),
            )
        self._take(start, length, base, size)

    def free(self, base: int) -> int:
        """Give an allocation back, by its base; it grows together with free neighbours.

        Returns:
            The size it had.

        Raises:
            AllocationError: nothing is allocated there.
        """
        size = self._used.pop(base, None)
        if size is None:
            raise self._error(f"nothing is allocated at {base!r}")
        self._release(base, size)
        return int(size)

    # -- the two orders --------------------------------------------------------------------------

    def _take(self, start: int, length: int, base: int, size: int) -> None:
        """Cut [base, base+size) out of the free range at `start`."""
        self._remove(start, length)
        if base > start:
            self._insert(start, base - start)
        if base + size < start + length:
            self._insert(base + size, start + length - base - size)
        self._used[base] = size

    def _release(self, base: int, size: int) -> None:
        """Add a free range, one with the neighbours it touches."""
        at = self._free.bisect_left(base)
        if at < len(self._free):
            start, length = self._free.peekitem(at)
            if start == base + size:
                self._remove(start, length)
                size += length
        if at:
            start, length = self._free.peekitem(at - 1)
            if start + length == base:
                self._remove(start, length)
                base, size = start, size + length
        self._insert(base, size)

    def _insert(self, base: int, size: int) -> None:
        self._free[base] = size
        self._by_size.add((size, base))

    def _remove(self, base: int, size: int) -> None:
        del self._free[base]
        self._by_size.remove((size, base))

    # -- checks ----------------------------------------------------------------------------------

    def _check_range(self, base: int, size: int) -> None:
        if not isinstance(base, int) or not isinstance(size, int) or base < 0 or size < 1:
            raise self._error(f"no range of {size!r} addresses at {base!r}")

    def _error(self, text: str) -> AllocationError:
        return AllocationError(f"{self.name}: {text}", ())

    def _check(self) -> None:
        """Assert that both orders agree, ranges are disjoint, and free ones do not touch."""
        assert {(size, base) for base, size in self._free.items()} == set(self._by_size)
        assert len(self._free) == len(self._by_size)
        past, was_free = -1, False
        spans = [(base, size, True) for base, size in self._free.items()]
        spans += [(base, size, False) for base, size in self._used.items()]
        for base, size, is_free in sorted(spans):
            assert size > 0
            assert base >= past
            assert not (is_free and was_free and base == past)
            past, was_free = base + size, is_free

    def __repr__(self) -> str:
        """Show the free ranges, for debuggers."""
        free = " ".join(_text(base, size) for base, size in self._free.items())
        return f"<RangeAllocator {self.name}: free {free or 'nothing'}>"


def _overlapping(ranges: SortedDict[int, int], base: int, size: int) -> tuple[int, int] | None:
    """Return the last of the disjoint `ranges` that has addresses in [base, base+size)."""
    at = ranges.bisect_left(base + size) - 1
    if at < 0:
        return None
    start, length = ranges.peekitem(at)
    return (start, length) if start + length > base else None


def _text(base: int, size: int) -> str:
    return f"{base:#x}-{base + size - 1:#x}"
