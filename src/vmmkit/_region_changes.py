# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The half of a `RegionMap` that changes what it holds, by handle.

Each method checks the handle and the rules under the writers' lock and then states a wish to
the ledger, which fulfils it at once or at the end of the open transaction.
"""

from __future__ import annotations

from vmmkit._region import IMMUTABLE, Region
from vmmkit._region_commit import Ledger, Transaction
from vmmkit._region_port import quiesce
from vmmkit.errors import (
    ImmutableRegionError,
    RegionConfigError,
    RegionRangeError,
    TransactionError,
    UnknownRegionError,
)
from vmmkit.protocols import MapListener

__all__ = ["Changeable"]


class Changeable:
    """Base of `RegionMap`: moving, removing, enabling, grouping changes, telling of them."""

    name: str
    address_bits: int
    _ledger: Ledger

    def remove(self, region: Region, /) -> None:
        """Take a region out; accesses that have begun may still run, see `Region.close`.

        Raises:
            UnknownRegionError: no region of this map, or not any more, or a fallback.
            ImmutableRegionError: it is IMMUTABLE.
        """
        self._remove(region, fallback=False)

    def remove_fallback(self, fallback: Region, /) -> None:
        """Take a fallback out.

        Raises:
            UnknownRegionError: no fallback of this map, or not any more.
            ImmutableRegionError: it is IMMUTABLE.
        """
        self._remove(fallback, fallback=True)

    def _remove(self, region: Region, *, fallback: bool) -> None:
        with self._ledger.writers:
            self._known(region)
            if (region.kind == "fallback") is not fallback:
                raise UnknownRegionError(f"{region.describe()} is of kind {region.kind!r}")
            _refuse_immutable(region, "remove")
            self._ledger.wish(region, None)

    def move(self, region: Region, base: int, /) -> None:
        """Place a region or fallback elsewhere; its handle stays the same.

        A disabled one may be moved anywhere in the address space.

        Raises:
            RegionRangeError: the range would leave the address space.
            OverlapError: another region is there (see `add`).
            UnknownRegionError, ImmutableRegionError: as `remove`.
        """
        with self._ledger.writers:
            _, enabled = self._known(region)
            _refuse_immutable(region, "move")
            self._check_range(base, region.size, region.name)
            self._ledger.wish(region, (base, enabled))

    def enable(self, region: Region, /) -> None:
        """Let a disabled region or fallback answer again.

        Raises:
            OverlapError: another region has taken one of its addresses.
            UnknownRegionError: as `remove`.
        """
        with self._ledger.writers:
            base, _ = self._known(region)
            self._ledger.wish(region, (base, True))

    def disable(self, region: Region, /) -> None:
        """Let a region or fallback claim no address, as a PCI BAR whose decoding is off.

        Raises:
            UnknownRegionError, ImmutableRegionError: as `remove`.
        """
        with self._ledger.writers:
            base, _ = self._known(region)
            _refuse_immutable(region, "disable")
            self._ledger.wish(region, (base, False))

    def _close(self, region: Region, wait: bool, timeout: float | None) -> bool:
        if timeout is not None and not (isinstance(timeout, int | float) and timeout >= 0):
            raise RegionConfigError(f"timeout is seconds or None, not {timeout!r}")
        with self._ledger.writers:
            wishes = self._ledger.wishes
            if wait and wishes is not None:
                raise TransactionError(f"close(wait=True) of {region.describe()} in a transaction")
            if wait and self._ledger.announcer.telling:
                raise TransactionError(f"close(wait=True) of {region.describe()} in a listener")
            leaving = wishes is not None and region in wishes and wishes[region] is None
            placed = region._held or (wishes is not None and region in wishes)
            if placed and not leaving:
                self._remove(region, fallback=region.kind == "fallback")
        return wait and quiesce(region, timeout)

    def _known(self, region: Region) -> tuple[int, bool]:
        """Return what is wanted of a region so far, or refuse a handle this map does not hold."""
        if not isinstance(region, Region) or region._map is not self:
            raise UnknownRegionError(f"{region!r} is no region of map {self.name!r}")
        return self._ledger.wish_of(region)

    def transaction(self) -> Transaction:
        """Group changes into one commit, as the body of a `with` statement.

        Until the body ends, every thread sees the map as it was. Then overlap is judged on the
        final state alone, and all of it happens, or none. An exception from the body, too,
        leaves the map as it was. Changes of other threads wait meanwhile; their accesses do
        not. A transaction inside another is a part of it: an exception that ends the inner one
        undoes the inner one's changes, and the outer one's end is the commit.

        Raises:
            OverlapError: at the end of the body; nothing has changed.
        """
        return Transaction(self._ledger)

    def subscribe(self, listener: MapListener, /, *, replay: bool = False) -> None:
        """Let `listener` hear of every commit from now on, in the order of commits.

        It is called after the commit, by the thread that made the change and before the change
        returns, while other changes wait; it may read and write through ports, and change the
        map itself, which is told when this news has been. Where a listener raises, the change
        stands, the others are told all the same, and then the exception goes to whoever made
        the change; of several, an `ExceptionGroup`.

        A commit is told as its net difference: removed, then moved, then added regions, each in
        address order, such that followed one by one no two of them ever overlap. A region that
        moves to where another one leaves in the same commit is told as removed and added.

        Args:
            listener: keep slots by the region's identity; `region.base` is already the new one.
            replay: first tell of all regions there are, as added.
        """
        for name in ("region_added", "region_removed", "region_moved"):
            if not callable(getattr(listener, name, None)):
                raise RegionConfigError(f"a listener has a method {name}, {listener!r} has not")
        with self._ledger.writers:
            for region in self._ledger.regions if replay else ():
                listener.region_added(region)
            self._ledger.announcer.listeners.append(listener)

    def unsubscribe(self, listener: MapListener, /) -> None:
        """Let `listener` hear no more; one that does not listen is ignored."""
        with self._ledger.writers:
            if listener in self._ledger.announcer.listeners:
                self._ledger.announcer.listeners.remove(listener)

    def _place(self, region: Region, enabled: bool) -> Region:
        self._ledger.wish(region, (region.base, enabled))
        return region

    def _check_range(self, base: int, size: int, name: str) -> None:
        if not (isinstance(base, int) and isinstance(size, int)):
            raise RegionRangeError(f"{name!r}: no range of {size!r} bytes at {base!r}")
        if size <= 0 or base < 0 or base + size > 1 << self.address_bits:
            raise RegionRangeError(
                f"{name!r}: {size:#x} bytes at {base:#x} are no range in {self.address_bits} bits"
            )


def _refuse_immutable(region: Region, what: str) -> None:
    if region.flags & IMMUTABLE:
        raise ImmutableRegionError(f"cannot {what} {region.describe()}: it is IMMUTABLE")
