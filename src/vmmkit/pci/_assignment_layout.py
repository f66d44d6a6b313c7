# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where things of given sizes lie: inside a bridge window, and windows inside the root's ranges.

Values only: nothing here knows functions or config spaces, so nothing can be half done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Final

import attrs

from vmmkit.errors import AllocationError
from vmmkit.pci.allocation import RangeAllocator

__all__ = ["Item", "Space", "Spot", "pack", "place"]

# Past the largest sum of BARs: the room in which the contents of a window are laid out.
_ANYWHERE: Final = 1 << 80


class Space(Enum):
    """Where a BAR or bridge window has to be."""

    IO = "io"
    MEM = "mem"  #: memory below 4 GiB
    PREFETCHABLE = "prefetchable"  #: preferably the 64-bit ranges; memory below 4 GiB does too


@attrs.frozen
class Item:
    """Something that needs addresses: a BAR, or a bridge window with what is inside it.

    Attributes:
        name: for errors.
        size: addresses.
        align: a power of two.
        space: where it has to be.
        target: whoever is told the base.
        contents: what is inside, each with its offset.
    """

    name: str
    size: int
    align: int
    space: Space
    target: Any = None
    contents: tuple[tuple[int, Item], ...] = ()

    def spots(self, base: int) -> Iterator[Spot]:
        """Yield this item and all inside it, outermost first, for the base it was given."""
        yield Spot(self, base)
        for offset, item in self.contents:
            yield from item.spots(base + offset)

    def named(self) -> Iterator[tuple[str, int]]:
        """Yield name and size of what is inside, or of the item itself when nothing is."""
        if not self.contents:
            yield self.name, self.size
        for _, item in self.contents:
            yield from item.named()


@attrs.frozen
class Spot:
    """An item and the address it was given."""

    item: Item
    base: int


def _largest_first(item: Item) -> tuple[int, int]:
    return -item.align, -item.size


def pack(
    name: str,
    items: Iterable[Item],
    space: Space,
    *,
    granularity: int,
    reserve: int = 0,
    target: Any = None,
) -> Item | None:
    """Lay items out side by side, as a bridge window.

    Args:
        name: of the window.
        items: what goes inside.
        space: of the window.
        granularity: a power of two that divides the window's base and size.
        reserve: bytes that the window has at least, aligned as one BAR of that size would be.
        target: of the window.

    Returns:
        The window, or `None` when it would be empty.
    """
    room = RangeAllocator([(0, _ANYWHERE)])
    contents, end, align = [], reserve, max(granularity, _floor_power(reserve))
    for item in sorted(items, key=_largest_first):
        offset = room.allocate(item.size, item.align)
        contents.append((offset, item))
        end, align = max(end, offset + item.size), max(align, item.align)
    size = end + granularity - 1 & -granularity
    return Item(name, size, align, space, target, tuple(contents)) if size else None


def _floor_power(size: int) -> int:
    """Return the largest power of two that `size` holds, 0 for 0."""
    return 1 << size.bit_length() - 1 if size else 0


def place(
    items: Iterable[Item],
    ranges: dict[Space, RangeAllocator],
    extra: Iterable[tuple[str, int]] = (),
) -> list[Spot]:
    """Give every item an address, largest first.

    Args:
        items: what is to be placed.
        ranges: where; prefetchable ones that find no room go among memory below 4 GiB.
        extra: names and sizes of what is known to find no room.

    Returns:
        A spot for every item and everything inside it, outermost first.

    Raises:
        AllocationError: some found none; the error names all of those.
    """
    spots: list[Spot] = []
    unplaced = list(extra)
    for item in sorted(items, key=_largest_first):
        base = _try_spaces(item, ranges)
        if base is None:
            unplaced += item.named()
        else:
            spots += item.spots(base)
    if unplaced:
        raise unplaced_error(unplaced)
    return spots


def unplaced_error(unplaced: Iterable[tuple[str, int]]) -> AllocationError:
    """Return the error that names all of `unplaced`, largest first."""
    found = tuple(sorted(unplaced, key=lambda one: (-one[1], one[0])))
    shown = ", ".join(f"{name} ({size:#x})" for name, size in found)
    return AllocationError(f"no room for {shown}; nothing was assigned", found)


def _try_spaces(item: Item, ranges: dict[Space, RangeAllocator]) -> int | None:
    spaces = (item.space, Space.MEM) if item.space is Space.PREFETCHABLE else (item.space,)
    for space in spaces:
        try:
            return ranges[space].allocate(item.size, item.align)
        except AllocationError:
            continue
    return None
