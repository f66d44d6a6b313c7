# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""From claims to an address map: what changed, in one transaction.

A `Mapper` serves one address space. `update` takes new claims of some BARs, has `Claims` judge who
is live, and places, moves and removes regions for the difference. The transaction is opened before
the judging, so that no other thread changes the map in between; should a map refuse all the same,
the claim concerned counts as blocked, and nothing is raised.

RAM-backed pieces are first placed as trapped regions that read and write the memory, and become
RAM regions when one of them is first accessed: see `promote`.

The caller holds the host's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from threading import RLock
from typing import Any, NamedTuple

from vmmkit.errors import OverlapError, RegionRangeError
from vmmkit.pci._bar_pieces import Handlers, Piece
from vmmkit.pci.bars import Bar
from vmmkit.pci.decode import Claim, Claims
from vmmkit.protocols import AddressSpace, MmioDevice

__all__ = ["BarChange", "Mapper"]

Region = Any
"""A handle of the address map's."""


class BarChange(NamedTuple):
    """A BAR that answers elsewhere than before; `None`: not at all."""

    bar: Bar
    old: int | None
    new: int | None


class Mapper:
    """Keeps one address space in step with the claims on it.

    Args:
        space: the address map, or `None` to keep the books without one.
        lock: the host's, tried by the first access to lazy RAM.
        freed: called, with any lock of the map's held, when others have left addresses.
        released: called when this has let go of the host's lock.

    Attributes:
        claims: all claims on the space.
        changes: what answers elsewhere than before, in the order of events; for the owner to take.
        committing: whether the map is being changed at this moment.
    """

    def __init__(
        self,
        space: AddressSpace | None,
        lock: RLock,
        freed: Callable[[], object],
        released: Callable[[], object],
    ) -> None:
        """Start without claims, and listen to what others take out of the map."""
        self.claims: Claims[Bar] = Claims()
        self.changes: list[BarChange] = []
        self._space = space
        self._lock = lock
        self._freed = freed
        self._released = released
        self._own: dict[int, Region] = {}
        self._left: list[tuple[int, int]] = []
        self._reserved: list[tuple[int, int]] = []
        self._refused: list[Claim[Bar]] = []
        self._touched: dict[Bar, None] = {}
        self.committing = False
        self._heard = False
        self._add_ram = getattr(space, "add_ram", None)
        self._add_rom = getattr(space, "add_rom", None)
        self._conflicts: Callable[[int, int], Sequence[Any]] = getattr(
            space, "conflicts", _no_conflicts
        )
        subscribe = getattr(space, "subscribe", None)
        if subscribe is not None:
            subscribe(self)

    # -- what the map tells ----------------------------------------------------------------------

    def region_added(self, region: Region, /) -> None:
        """Note that a commit came about; others can be added nowhere where a live BAR is."""
        self._heard |= id(region) in self._own

    def region_removed(self, region: Region, /) -> None:
        """Note addresses that somebody else has left."""
        self._note(region, region.base)

    def region_moved(self, region: Region, old_base: int, /) -> None:
        """Note addresses that somebody else has left."""
        self._note(region, old_base)

    def _note(self, region: Region, base: int) -> None:
        if id(region) in self._own:
            self._heard = True
        else:
            self._left.append((base, region.size))
            self._freed()

    # -- changing --------------------------------------------------------------------------------

    @property
    def stale(self) -> bool:
        """Whether ranges were left, reserved or given back since the last update."""
        return bool(self._left)

    def reserve(self, base: int, size: int) -> None:
        """Let no BAR be live in a range, by the next `update`."""
        self._reserved.append((base, size))
        self._left.append((base, size))

    def unreserve(self, base: int, size: int) -> bool:
        """Give a reserved range back, by the next `update`; return whether it was reserved."""
        if (base, size) not in self._reserved:
            return False
        self._reserved.remove((base, size))
        self._left.append((base, size))
        return True

    def update(self, wishes: Iterable[tuple[Bar, int | None]] = ()) -> None:
        """Let BARs claim other bases, and bring the map in step; `changes` tells the result.

        Args:
            wishes: BARs with the base each is to claim, `None` for none.
        """
        for bar, base in wishes:
            self._claim(bar, base)
            self._touched[bar] = None
        while self._left:
            self.claims.touch(*self._left.pop())
        refused, self._refused = self._refused, []
        for claim in refused:
            claim.refused = False
            if claim.owner.claim is claim:
                self.claims.recheck(claim)
        self.committing = True
        try:
            while not self._commit():
                pass
        finally:
            self.committing = False

    def _claim(self, bar: Bar, base: int | None) -> None:
        if bar.claim is not None:
            self.claims.remove(bar.claim)
        bar.claim = None
        if base is not None:
            bar.claim = Claim(bar.key, base, bar.size, bar)
            self.claims.add(bar.claim)

    def _commit(self) -> bool:
        """Judge and apply; where the map refuses, it is as it was, and a claim less is left."""
        staged: dict[Bar, list[Region]] = {}
        differences: list[BarChange] = []
        self._heard = False
        try:
            with nullcontext() if self._space is None else self._space.transaction():
                changed = self.claims.settle(self._foreign)
                self._touched.update((claim.owner, None) for claim in changed)
                differences = _differences(self._touched)
                if self._space is not None:
                    for change in differences:
                        staged[change.bar] = self._stage(self._space, change)
        except (OverlapError, RegionRangeError) as error:
            if self._heard:  # it is a listener's, of another map maybe: the change stands
                self._committed(differences, staged)
                raise
            self._forget(staged)
            self._refuse(_culprits(error, staged, differences))
            return False
        except Exception:  # a listener of the map's raised: the change stands
            self._committed(differences, staged)
            raise
        except BaseException:  # interrupted, and undone; the next update looks at everything
            self._forget(staged)
            for claim in self.claims:
                self._touched[claim.owner] = None
                self.claims.recheck(claim)
            raise
        self._committed(differences, staged)
        return True

    def _forget(self, staged: dict[Bar, list[Region]]) -> None:
        """Disown regions that did not come to be."""
        for bar, regions in staged.items():
            self._disown(region for region in regions if region not in bar.placed)

    def _refuse(self, claims: Iterable[Claim[Bar]]) -> None:
        for claim in claims:
            claim.refused, claim.blocker = True, "refused by the address map"
            self._refused.append(claim)
            self.claims.recheck(claim)

    def _foreign(self, base: int, size: int) -> str | None:
        """Name what lies in a range and is no live BAR of ours."""
        for first, length in self._reserved:
            if base < first + length and first < base + size:
                return "reserved"
        for region in self._conflicts(base, size):
            if id(region) not in self._own:
                return str(region.name)
        return None

    def _stage(self, space: AddressSpace, change: BarChange) -> list[Region]:
        bar, old, new = change
        if new is None:
            for region in bar.placed:
                space.remove(region)
            return []
        if old is not None:
            for piece, region in zip(bar.pieces, bar.placed, strict=True):
                space.move(region, new + piece.offset)
            return list(bar.placed)
        eager = not getattr(bar.declaration, "lazy", True)
        return [self._place(space, bar, new, piece, eager=eager) for piece in bar.pieces]

    def _place(
        self, space: AddressSpace, bar: Bar, base: int, piece: Piece, *, eager: bool
    ) -> Region:
        at, name = base + piece.offset, str(bar)
        adder = {"ram": self._add_ram, "rom": self._add_rom}.get(piece.kind)
        if adder is None:
            return self._owned(space.add(at, piece.size, piece.handlers, name=name))
        if eager:
            return self._owned(adder(at, piece.memory, name=name))
        handlers = self._first_touch(bar, piece.handlers)
        return self._owned(space.add(at, piece.size, handlers, name=name))

    def _owned(self, region: Region) -> Region:
        self._own[id(region)] = region
        return region

    def _committed(self, differences: list[BarChange], staged: dict[Bar, list[Region]]) -> None:
        """Note in the BARs what the map has done."""
        for bar, old, new in differences:
            before, bar.placed = bar.placed, tuple(staged.get(bar, ()))
            bar.mapped_at = new
            if new is None:
                self._disown(before)
            if old is None:
                bar.promoted = not getattr(bar.declaration, "lazy", True)
        self._touched.clear()
        self.changes += differences

    def _disown(self, regions: Iterable[Region]) -> None:
        for region in regions:
            del self._own[id(region)]

    # -- lazy memory -----------------------------------------------------------------------------

    def _first_touch(self, bar: Bar, handlers: MmioDevice) -> Handlers:
        """Make handlers that have memory mapped when they are called, and answer this once."""

        def read(vcpu: Any, offset: int, size: int) -> int:
            self.promote(bar)
            return handlers.read(vcpu, offset, size)

        def write(vcpu: Any, offset: int, size: int, value: int) -> None:
            self.promote(bar)
            handlers.write(vcpu, offset, size, value)

        return Handlers(read, write)

    def promote(self, bar: Bar) -> None:
        """Put RAM or ROM regions where a BAR's memory is only trapped so far."""
        # A listener of the map's may have come here, which must not wait, and must not change what
        # is being committed; then the next access tries.
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._promote(bar)
        finally:
            self._lock.release()
            self._released()

    def _promote(self, bar: Bar) -> None:
        space, base = self._space, bar.mapped_at
        if space is None or base is None or bar.promoted or self.committing:
            return
        placed = list(bar.placed)
        if any(id(region) not in self._own for region in placed):
            return  # an access of old: meanwhile the function has moved to another host bridge
        self.committing = True
        try:
            with space.transaction():
                for index, piece in enumerate(bar.pieces):
                    if piece.memory is not None:
                        space.remove(placed[index])
                        placed[index] = self._place(space, bar, base, piece, eager=True)
        except Exception:  # as in `_commit`
            self._promoted(bar, placed)
            raise
        except BaseException:
            self._forget({bar: placed})
            raise
        finally:
            self.committing = False
        self._promoted(bar, placed)

    def _promoted(self, bar: Bar, placed: list[Region]) -> None:
        self._disown(region for region in bar.placed if region not in placed)
        bar.placed, bar.promoted = tuple(placed), True

    def check(self) -> None:
        """Assert that claims, BARs and the map agree."""
        self.claims.check(self._foreign)
        assert not self._touched, self._touched
        placed: set[int] = set()
        for claim in self.claims:
            bar = claim.owner
            assert bar.claim is claim, bar
            assert bar.mapped_at == (claim.base if claim.live else None), bar
            placed |= self._check_placed(bar, claim)
        assert placed == set(self._own), "regions of BARs that are not live"

    def _check_placed(self, bar: Bar, claim: Claim[Bar]) -> set[int]:
        """Assert that the pieces of one BAR are where they should be; return their regions."""
        pieces = bar.pieces if claim.live and self._space is not None else ()
        find = getattr(self._space, "find", None)
        for piece, region in zip(pieces, bar.placed, strict=True):
            assert region.base == claim.base + piece.offset, bar
            assert region.size == piece.size, bar
            if find is not None:
                assert find(region.base) is region, bar
                assert (region.buffer is not None) is (bar.promoted and piece.kind != "trap"), bar
        return {id(region) for region in bar.placed}


def _no_conflicts(_base: int, _size: int) -> tuple[()]:
    return ()


def _differences(bars: Iterable[Bar]) -> list[BarChange]:
    """List where BARs answer that is not where they should, in order of priority."""
    found = []
    for bar in sorted(bars, key=_key_of):
        new = bar.claim.base if bar.claim is not None and bar.claim.live else None
        if new != bar.mapped_at:
            found.append(BarChange(bar, bar.mapped_at, new))
    return found


def _key_of(bar: Bar) -> Any:
    return bar.key


def _culprits(
    error: Exception, staged: dict[Bar, list[Region]], differences: Iterable[BarChange]
) -> list[Claim[Bar]]:
    """Find whose claim the map refused: the BAR the error names, else all that come."""
    named = {id(getattr(error, "region", None)), id(getattr(error, "other", None))}
    coming = [change.bar for change in differences if change.new is not None]
    found = [bar for bar in coming if any(id(r) in named for r in staged.get(bar, ()))]
    return [bar.claim for bar in found or coming if bar.claim is not None]
