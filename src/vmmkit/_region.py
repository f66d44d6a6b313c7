# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A region: the handle by which a range of addresses is known to its map.

Handles are made by the map, compared by identity, and stay the same object through moves. What
may change (base, enabled, held) is changed by the map's commit alone, under its lock.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import Any, Literal, Protocol

import attrs

from vmmkit._region_policy import AccessPolicy
from vmmkit.errors import RegionConfigError
from vmmkit.protocols import ReadHandler, WriteHandler

__all__ = [
    "AS_HANDLED",
    "FLAGS_OF",
    "IMMUTABLE",
    "READ",
    "WRITE",
    "Kind",
    "Region",
    "RegionFlags",
    "permitted",
]

Kind = Literal["device", "ram", "rom", "fallback"]


class RegionFlags(IntFlag):
    """What may be done with a region."""

    READ = 1  #: ports may read it
    WRITE = 2  #: ports may write it
    IMMUTABLE = 4  #: it cannot be removed, moved or disabled


READ = RegionFlags.READ
WRITE = RegionFlags.WRITE
IMMUTABLE = RegionFlags.IMMUTABLE


class _Home(Protocol):
    """The map, as its regions see it."""

    def move(self, region: Region, base: int, /) -> None: ...
    def enable(self, region: Region, /) -> None: ...
    def disable(self, region: Region, /) -> None: ...
    def _close(self, region: Region, wait: bool, timeout: float | None) -> bool: ...


@attrs.define(eq=False, repr=False)
class Region:
    """A range of addresses and who answers there. Made by `RegionMap.add` and its siblings.

    Attributes:
        name: what errors, traces and pictures call it.
        kind: `"device"`, `"ram"`, `"rom"` or `"fallback"`.
        flags: READ, WRITE and IMMUTABLE. A handler without its flag is not kept.
        policy: which accesses it takes.
        buffer: the memory behind RAM and ROM as a flat view of bytes; `None` for the others.
        absolute: whether handlers are told absolute addresses instead of offsets.
        trusted: whether results of its read handler are passed on unmasked and unchecked.
    """

    _map: _Home
    _base: int
    _size: int
    name: str
    kind: Kind
    flags: RegionFlags
    policy: AccessPolicy
    _free_sizes: frozenset[int]  # sizes that neither map nor policy looks at twice
    _read: Callable[..., Any] | None
    _write: Callable[..., Any] | None
    absolute: bool = False
    trusted: bool = False
    buffer: memoryview | None = None
    _held: bool = attrs.field(default=False, init=False)
    _enabled: bool = attrs.field(default=False, init=False)

    @property
    def base(self) -> int:
        """First address."""
        return self._base

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    @property
    def last(self) -> int:
        """Last address, inclusive."""
        return self._base + self._size - 1

    @property
    def enabled(self) -> bool:
        """Whether it answers: it is in its map, committed, and not disabled."""
        return self._held and self._enabled

    def move(self, base: int) -> None:
        """Place it at `base`; see `RegionMap.move`."""
        self._map.move(self, base)

    def enable(self) -> None:
        """Let it answer; see `RegionMap.enable`."""
        self._map.enable(self)

    def disable(self) -> None:
        """Let it claim no address; see `RegionMap.disable`."""
        self._map.disable(self)

    def close(self, *, wait: bool = True, timeout: float | None = None) -> bool:
        """Take it out of the map, and wait until no handler of it runs or can start.

        Closing twice is allowed: the second call only waits, for instance after a timeout. The
        calling thread's own activations are not waited for, so a handler may close its own
        region. Two handlers that close each other's region, or a handler that needs a lock the
        closing thread holds, wait for each other as any two threads would.

        Args:
            wait: whether to wait; without it handlers that have begun may still be running.
            timeout: seconds to wait at most; `None` for as long as it takes.

        Returns:
            Whether the region is known to be quiet: `True` after a wait, `False` when the time
            was up (the region is out of the map all the same) or without `wait`.

        Raises:
            ImmutableRegionError: it is IMMUTABLE.
            TransactionError: `wait` inside a transaction, whose end would be waited for.
        """
        return self._map._close(self, wait, timeout)

    def describe(self, base: int | None = None, /) -> str:
        """Return name and range, as if it lay at `base` where one is given."""
        first = self._base if base is None else base
        return f"{self.name!r} [{first:#x}, {first + self._size - 1:#x}]"

    def __repr__(self) -> str:
        """Show what a debugger's user wants to know."""
        state = "" if self.enabled else " disabled" if self._held else " closed"
        return f"<Region {self.describe()} {self.kind} {self.flags.name or 0}{state}>"


#: No flags given: those for which there are handlers.
AS_HANDLED = RegionFlags(0)

#: What a region with these handlers may do: whether there is one for reads, and for writes.
FLAGS_OF = {
    (reads, writes): (READ if reads else AS_HANDLED) | (WRITE if writes else AS_HANDLED)
    for reads in (False, True)
    for writes in (False, True)
}


def permitted(
    flags: RegionFlags, read: ReadHandler | None, write: WriteHandler | None
) -> tuple[RegionFlags, ReadHandler | None, WriteHandler | None]:
    """Match flags and handlers: what is not permitted needs no handler, what is needs one."""
    if not flags & (READ | WRITE):
        flags |= FLAGS_OF[read is not None, write is not None]
    if (flags & READ and read is None) or (flags & WRITE and write is None):
        raise RegionConfigError(f"{flags.name} without a handler for it")
    return flags, read if flags & READ else None, write if flags & WRITE else None
