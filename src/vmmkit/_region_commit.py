# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Commits: from what is wanted of some regions to a changed map, and the news of it.

A *wish* is the state a region is to have. A commit compares wishes with what is, which gives
*changes*; exchanges ranges in the two trees, or fails with both as they were; writes the new
state into the regions; and leaves *news* for the listeners.

The news of one commit is its net difference, in an order a listener can follow literally, one
memory slot per region: first what is gone, then what moved, then what came, each group in
address order. At no point of that sequence do two slots overlap. A move into addresses that
another region leaves in the same commit cannot be told that way (two regions that trade places
have no order at all), so it is told as gone and come.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import RLock, get_ident
from types import TracebackType
from typing import NamedTuple, Self

from vmmkit._region import Region
from vmmkit._region_tree import RangeTree
from vmmkit.errors import OverlapError, TransactionError, UnknownRegionError
from vmmkit.protocols import MapListener

__all__ = ["Announcer", "Ledger", "Transaction", "Wish"]

#: What is wanted of a region: its base and whether it is to answer; `None`: to leave the map.
Wish = tuple[int, bool] | None

#: One call to one listener.
News = Callable[[MapListener], None]


class Change(NamedTuple):
    """A region with the base at which it answered and will answer; `None`: not at all."""

    region: Region
    before: int | None
    after: int | None
    wish: Wish


def change_of(region: Region, wish: Wish) -> Change:
    """Compare a wish with the committed state."""
    before = region._base if region._held and region._enabled else None
    after = wish[0] if wish is not None and wish[1] else None
    return Change(region, before, after, wish)


def apply_changes(changes: Sequence[Change], regions: RangeTree, fallbacks: RangeTree) -> None:
    """Bring both trees and the regions themselves to their new state.

    Raises:
        OverlapError: two ranges of one tree would overlap; nothing has changed.
    """
    front = [change for change in changes if change.region.kind != "fallback"]
    back = [change for change in changes if change.region.kind == "fallback"]
    leaving, coming = _placements(front)
    regions.exchange(leaving, coming)
    try:
        fallbacks.exchange(*_placements(back))
    except OverlapError:
        regions.exchange(coming, leaving)
        raise
    for region, _, _, wish in changes:
        region._held = wish is not None
        if wish is not None:
            region._base, region._enabled = wish


def _placements(
    changes: Iterable[Change],
) -> tuple[list[tuple[int, Region]], list[tuple[int, Region]]]:
    """Split changes into what leaves a tree and what comes into it."""
    moving = [change for change in changes if change.before != change.after]
    leaving = [(change.before, change.region) for change in moving if change.before is not None]
    coming = [(change.after, change.region) for change in moving if change.after is not None]
    return leaving, coming


def news_of(changes: Iterable[Change]) -> list[News]:
    """List what listeners are to hear of a commit."""
    told = [c for c in changes if c.region.kind != "fallback" and c.before != c.after]
    leaving, _ = _placements(told)
    leaving.sort(key=_base_of)
    vacated = [base for base, _ in leaving]
    gone: list[tuple[int, News]] = []
    moved: list[tuple[int, News]] = []
    come: list[tuple[int, News]] = []
    for region, before, after, _ in told:
        if (
            before is not None
            and after is not None
            and not _enters(leaving, vacated, region, after)
        ):
            moved.append((after, _moved(region, before)))
            continue
        if before is not None:
            gone.append((before, _removed(region)))
        if after is not None:
            come.append((after, _added(region)))
    return [news for group in (gone, moved, come) for _, news in sorted(group, key=_base_of)]


def _enters(
    leaving: Sequence[tuple[int, Region]], vacated: Sequence[int], region: Region, base: int
) -> bool:
    """Tell whether `region` at `base` covers an address that another region leaves.

    The ranges left are disjoint and in order: those that touch the new range stand just before
    the first that starts behind it, and one of them may be the region's own.
    """
    stop = bisect_right(vacated, base + region._size - 1)
    while stop:
        stop -= 1
        old_base, other = leaving[stop]
        if old_base + other._size <= base:
            return False
        if other is not region:
            return True
    return False


def _base_of(item: tuple[int, object]) -> int:
    return item[0]


def _added(region: Region) -> News:
    return lambda listener: listener.region_added(region)


def _removed(region: Region) -> News:
    return lambda listener: listener.region_removed(region)


def _moved(region: Region, old_base: int) -> News:
    return lambda listener: listener.region_moved(region, old_base)


class Announcer:
    """The listeners of one map and the news they have not heard yet.

    Used under the lock of the writers only. News made while news is being told, by a listener
    that changes the map, is told after it, so that every listener hears commits in their order.
    """

    __slots__ = ("_news", "listeners", "telling")

    def __init__(self) -> None:
        """Start with nobody listening."""
        self.listeners: list[MapListener] = []
        self._news: deque[News] = deque()
        self.telling = False

    def tell(self, news: Iterable[News]) -> None:
        """Tell every listener everything, then raise what listeners raised.

        Raises:
            Exception: the listener's own, when one of them raised; the change stands, and all
                other listeners have heard of it.
            ExceptionGroup: when several were raised.
        """
        self._news.extend(news)
        if self.telling:
            return
        errors: list[Exception] = []
        self.telling = True
        try:
            while self._news:
                self._tell_all(self._news.popleft(), errors)
        finally:
            self.telling = False
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("listeners of an address map raised; the change stands", errors)

    def _tell_all(self, news: News, errors: list[Exception]) -> None:
        for listener in tuple(self.listeners):
            try:
                news(listener)
            except Exception as error:  # noqa: BLE001 - collected, and raised when all know
                error.add_note("raised by a listener of an address map; the change stands")
                errors.append(error)


class Ledger:
    """The committed state of one map, and the wishes of its open transaction.

    Args:
        name: the map's name, for errors.
        limit: size of the address space.
        committed: called at the end of every commit, still under the lookup lock.
    """

    __slots__ = (
        "announcer",
        "committed",
        "committing",
        "disabled",
        "fallbacks",
        "lookup",
        "name",
        "regions",
        "waiting",
        "wishes",
        "writers",
    )

    def __init__(self, name: str, limit: int, committed: Callable[[], None]) -> None:
        """Start with nothing placed."""
        self.name = name
        self.committed = committed
        self.regions: RangeTree = RangeTree(limit)
        self.fallbacks: RangeTree = RangeTree(limit)
        self.disabled: dict[Region, None] = {}
        self.announcer = Announcer()
        self.lookup = RLock()
        self.writers = RLock()
        self.wishes: dict[Region, Wish] | None = None
        self.committing = False
        self.waiting: deque[dict[Region, Wish]] = deque()

    def wish_of(self, region: Region) -> tuple[int, bool]:
        """Return what is wanted of a region so far; the writers' lock is held.

        Raises:
            UnknownRegionError: the region is not, or no more, in this map.
        """
        wish = (region._base, region._enabled) if region._held else None
        if self.wishes is not None:
            wish = self.wishes.get(region, wish)
        if wish is None:
            raise UnknownRegionError(f"{region.describe()} is not in map {self.name!r} any more")
        return wish

    def wish(self, region: Region, wish: Wish) -> None:
        """Note a wish of the open transaction, or bring it about at once.

        Raises:
            OverlapError: outside of a transaction: another region is there.
        """
        with self.writers:
            if self.wishes is None:
                self.commit({region: wish})
            else:
                self.wishes[region] = wish

    def commit(self, wishes: dict[Region, Wish]) -> None:
        """Bring all wishes about or none, then tell the listeners; the writers' lock is held.

        A finalizer may run in the middle of this and want a change of its own: that one waits.

        Raises:
            OverlapError: two regions, or two fallbacks, would overlap.
        """
        self.waiting.append(wishes)
        if self.committing:
            return
        while self.waiting:
            changes = self._commit_one(self.waiting.popleft())
            if self.announcer.listeners:
                self.announcer.tell(news_of(changes))

    def _commit_one(self, wishes: dict[Region, Wish]) -> list[Change]:
        changes = [change_of(region, wish) for region, wish in wishes.items()]
        self.committing = True
        try:
            with self.lookup:
                self.committed()  # before, too: who asks without the lock must notice in time
                self._apply(changes)
                for region in wishes:
                    self.disabled.pop(region, None)
                    if region._held and not region._enabled:
                        self.disabled[region] = None
                self.committed()
        finally:
            self.committing = False
        return changes

    def _apply(self, changes: list[Change]) -> None:
        """Apply changes; where anything but an overlap gets in the way (Ctrl-C), undo them."""
        before = [(c.region, c.region._base, c.region._enabled, c.region._held) for c in changes]
        try:
            apply_changes(changes, self.regions, self.fallbacks)
        except OverlapError:
            raise
        except BaseException:
            for region, base, enabled, held in before:
                region._base, region._enabled, region._held = base, enabled, held
            for tree, is_front in ((self.regions, True), (self.fallbacks, False)):
                mine = [c.region for c in changes if (c.region.kind != "fallback") is is_front]
                tree.rebuild(region for region in mine if region.enabled)
            raise

    def check(self) -> None:
        """Assert that trees, regions and the list of disabled ones agree."""
        self.regions.check()
        self.fallbacks.check()
        for region in [*self.regions, *self.fallbacks]:
            assert region.enabled, region
            assert region not in self.disabled, region
        for region in self.disabled:
            assert region._held, region
            assert not region._enabled, region


class Transaction:
    """Changes that become one commit; see `RegionMap.transaction`."""

    __slots__ = ("_ledger", "_outer", "_owner", "_wishes")

    def __init__(self, ledger: Ledger) -> None:
        """Belong to the map that `ledger` is of."""
        self._ledger = ledger
        self._owner: int | None = None

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            TransactionError: this object has been used before.
        """
        if self._owner is not None:
            raise TransactionError("a transaction is good for one `with` statement")
        self._ledger.writers.acquire()
        self._owner = get_ident()
        self._outer = self._ledger.wishes
        self._ledger.wishes = self._wishes = dict(self._outer or {})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End: commit, hand over to the outer transaction, or forget everything.

        Raises:
            OverlapError: the final state has regions that overlap; nothing has changed.
            TransactionError: another thread began it, or one begun inside it is still open.
        """
        if self._owner != get_ident() or self._ledger.wishes is not self._wishes:
            raise TransactionError("a transaction ends in its own thread, the innermost first")
        self._ledger.wishes = self._outer
        try:
            if error is not None:
                return
            if self._outer is None:
                self._ledger.commit(self._wishes)
            else:
                self._outer.update(self._wishes)
        finally:
            self._wishes = {}  # a transaction that is kept must not keep closed regions
            self._ledger.writers.release()
