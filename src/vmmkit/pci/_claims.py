# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Claims on an address space, and which of them are live; see `vmmkit.pci.decode`.

Theory of operation
-------------------
All claims are powers of two at multiples of their size, so two of them nest or are disjoint: the
claims around one are found by one probe for each size in use, those within it are neighbours in
address order. Claims are judged in order of priority, so each is
judged once, after all that could be in its way, and only neighbours of what changed are judged.
Those that are live are kept apart as well: however many BARs a guest heaps up in one place, few of
them are live, and only these are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

from sortedcontainers import SortedDict

__all__ = ["Claim", "Claims", "Foreign", "Key"]

Key = tuple[tuple[int, ...], int, int]
"""Priority of a BAR, the least first: devfns of the bridges above, own devfn, BAR index."""

Owner = TypeVar("Owner")


class Claim(Generic[Owner]):
    """A BAR's wish for a range.

    Attributes:
        key: priority; the least goes first.
        base: first address, a multiple of `size`.
        size: bytes, a power of two.
        owner: whose claim it is.
        live: whether it gets the range.
        blocker: what is in the way, where it does not: a name, else `""`.
        refused: the address map would not take it; holds until something changes.
    """

    __slots__ = ("base", "blocker", "key", "live", "owner", "refused", "size")

    def __init__(self, key: Key, base: int, size: int, owner: Owner) -> None:
        """Wish for a range; nothing is live before it was judged."""
        self.key, self.base, self.size, self.owner = key, base, size, owner
        self.live = False
        self.blocker = ""
        self.refused = False


Foreign = Callable[[int, int], str | None]
"""From base and size to the name of what else is there, or `None`."""


class _Ranges(Generic[Owner]):
    """Claims by place."""

    def __init__(self) -> None:
        self._rows: SortedDict[int, list[Claim[Owner]]] = SortedDict()
        self._sizes: dict[int, int] = {}

    def __iter__(self) -> Iterator[Claim[Owner]]:
        return (claim for row in list(self._rows.values()) for claim in row)

    def add(self, claim: Claim[Owner]) -> None:
        self._rows.setdefault(claim.base, []).append(claim)
        self._sizes[claim.size] = self._sizes.get(claim.size, 0) + 1

    def remove(self, claim: Claim[Owner]) -> None:
        row = self._rows[claim.base]
        row.remove(claim)
        if not row:
            del self._rows[claim.base]
        self._sizes[claim.size] -= 1
        if not self._sizes[claim.size]:
            del self._sizes[claim.size]

    def touching(self, base: int, size: int) -> Sequence[Claim[Owner]]:
        """List who shares an address with a range, those first that begin before it."""
        found = []
        for wider in self._sizes:
            at = base & -wider
            if at != base:
                found += [claim for claim in self._rows.get(at, ()) if claim.size == wider]
        least = min(self._sizes, default=size)
        if (base & least - 1) + size <= least:  # as most are: nobody begins inside of it
            found += self._rows.get(base, ())
            return found
        for at in self._rows.irange(base, base + size - 1):
            found += self._rows[at]
        return found


class _Judge(Generic[Owner]):
    """Finds what is in the way, as long as claims are judged in order of priority.

    A guest may put any number of BARs into one place. So what was found for a range is kept: it
    is in the way of all that come later, as it goes before them and was judged before.
    """

    def __init__(self, live: _Ranges[Owner], foreign: Foreign) -> None:
        self._live = live
        self._foreign = foreign
        self._names: dict[tuple[int, int], str | None] = {}
        self._found: dict[tuple[int, int], Claim[Owner]] = {}

    def blocker(self, claim: Claim[Owner]) -> str:
        """Name what is in a claim's way: what is not a BAR first, then BARs that go before it."""
        if claim.refused:
            return claim.blocker
        place = claim.base, claim.size
        if place not in self._names:
            self._names[place] = self._foreign(*place)
        name = self._names[place]
        if name is not None:
            return name or "unnamed"
        other = self._found.get(place) or self._first(claim)
        if other is None:
            return ""
        self._found[place] = other
        return str(other.owner)

    def _first(self, claim: Claim[Owner]) -> Claim[Owner] | None:
        for other in self._live.touching(claim.base, claim.size):
            if other.key < claim.key:
                return other
        return None


class Claims(Generic[Owner]):
    """All claims on one address space, and which of them are live."""

    def __init__(self) -> None:
        """Start without claims."""
        self._all: _Ranges[Owner] = _Ranges()
        self._live: _Ranges[Owner] = _Ranges()
        self._dirty: dict[Key, Claim[Owner]] = {}

    def __iter__(self) -> Iterator[Claim[Owner]]:
        """Yield the claims by address."""
        return iter(self._all)

    def add(self, claim: Claim[Owner]) -> None:
        """Take a claim up; it is judged by the next `settle`."""
        self._all.add(claim)
        self._dirty[claim.key] = claim

    def remove(self, claim: Claim[Owner]) -> None:
        """Drop a claim; those that it was in the way of are judged by the next `settle`."""
        self._all.remove(claim)
        self._dirty.pop(claim.key, None)
        if claim.live:
            self._live.remove(claim)
            self.touch(claim.base, claim.size)

    def touch(self, base: int, size: int) -> None:
        """Have the claims that share an address with any range judged by the next `settle`."""
        for claim in self._all.touching(base, size):
            self._dirty[claim.key] = claim

    def recheck(self, claim: Claim[Owner]) -> None:
        """Have one claim judged by the next `settle`."""
        self._dirty[claim.key] = claim

    def settle(self, foreign: Foreign) -> list[Claim[Owner]]:
        """Judge what has to be judged again.

        Args:
            foreign: tells what other than claims is in a range.

        Returns:
            The claims that became live, or stopped to be.
        """
        changed = []
        judge = _Judge(self._live, foreign)
        pending, self._dirty = self._dirty, {}
        heap = list(pending)
        heapify(heap)
        while heap:
            claim = pending.pop(heappop(heap))
            claim.blocker = judge.blocker(claim)
            if claim.live is bool(claim.blocker):
                changed.append(claim)
                for other in self._turn(claim):
                    if other.key > claim.key and other.key not in pending:
                        pending[other.key] = other
                        heappush(heap, other.key)
        return changed

    def _turn(self, claim: Claim[Owner]) -> Sequence[Claim[Owner]]:
        """Make a claim live, or no more; return whom that may concern.

        Who comes alive can only stop others that are live; of those that are not, each is judged
        again when the one in its way stops.
        """
        claim.live = not claim.live
        if not claim.live:
            self._live.remove(claim)
            return self._all.touching(claim.base, claim.size)
        stopped = self._live.touching(claim.base, claim.size)
        self._live.add(claim)
        return stopped

    def check(self, foreign: Foreign) -> None:
        """Assert that who is live is what judging everything anew would give."""
        assert not self._dirty, self._dirty
        claims: list[Claim[Owner]] = sorted(self, key=lambda claim: claim.key)
        assert len({claim.key for claim in claims}) == len(claims), "a key twice"
        assert {*self._live} == {claim for claim in claims if claim.live}, "live ones"
        live: list[Claim[Owner]] = []
        for claim in claims:
            around = [other for other in live if _overlap(claim, other)]
            assert claim.live is not bool(blocker_of(claim, around, foreign)), claim.owner
            live += [claim] if claim.live else []


def _overlap(one: Claim[Any], other: Claim[Any]) -> bool:
    return one.base < other.base + other.size and other.base < one.base + one.size


def blocker_of(claim: Claim[Any], around: Iterable[Claim[Any]], foreign: Foreign) -> str:
    """Name what is in a claim's way: what is not a BAR first, then BARs that go before it."""
    if claim.refused:
        return claim.blocker
    name = foreign(claim.base, claim.size)
    if name is not None:
        return name or "unnamed"
    for other in around:
        if other.live and other.key < claim.key:
            return str(other.owner)
    return ""
