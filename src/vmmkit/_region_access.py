# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""From (address, size, direction) to what is to be called: the miss path of every port.

An access is *simple* when all its bytes have one owner: a region, a fallback, or nobody. Then
the owner's policy decides. Every other access *straddles*, and the map's one rule for that
decides: refuse it, answer it with ones, or cut it at the borders into naturally aligned parts,
each an access of its own to its own owner. All parts are resolved before the first is made: an
access of which a part must be refused has no effect at all.

Resolving and keeping the result happen under one hold of the lookup lock, the same under which
a commit changes the trees and has every table emptied. A stale entry can therefore not survive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal
from weakref import WeakSet

import attrs

from vmmkit._region import Region
from vmmkit._region_commit import Ledger
from vmmkit._region_handlers import (
    ignore_write,
    read_logged,
    read_ones,
    read_pieces,
    write_logged,
    write_pieces,
)
from vmmkit._region_policy import MASKS, Logged, Piece, Refusal, natural_parts
from vmmkit._region_port import (
    SPARSE_AT,
    TABLE_LIMIT,
    Entry,
    Fill,
    Owner,
    Table,
    bind_read,
    bind_write,
    empty,
    make_room,
)
from vmmkit._region_tree import FlatIndex, flat_index
from vmmkit.errors import (
    AccessAddressError,
    AccessSizeError,
    StraddleError,
    UnmappedError,
)

__all__ = ["Port", "Resolver", "Straddle"]

#: The trees are flattened after (regions / this) misses since the last change: copying a region
#: costs a quarter of what the flat index saves on a miss, so the copy is always earned first, and a
#: map that changes all the time never pays for one.
MISSES_TO_FLATTEN = 4

Straddle = Literal["raise", "ones", "split"]

#: Part of an access with one owner: the owner, the first address, the length in bytes.
Stretch = tuple[Region | None, int, int]


@attrs.frozen
class Direction:
    """What reading and writing do not have in common."""

    word: str
    nobody: Callable[..., Any]
    logged: Callable[[str], Callable[..., Any]]
    compile_pieces: Callable[[list[Piece]], Callable[..., Any]]


READING = Direction("read", read_ones, read_logged, read_pieces)
WRITING = Direction("write", ignore_write, write_logged, write_pieces)


class Resolver:
    """Resolves the accesses of one map's ports, and keeps what their tables may keep.

    Args:
        name: the map's name, for errors.
        limit: size of the address space.
        sizes: every size an access can have in it.
        straddle: the map's rule for accesses with several owners.
        ledger: where the regions are.
    """

    def __init__(
        self, name: str, limit: int, sizes: Iterable[int], straddle: Straddle, ledger: Ledger
    ) -> None:
        """Start without ports."""
        self.sizes = frozenset(sizes)
        self.ports: WeakSet[Port] = WeakSet()
        self._name = name
        self._limit = limit
        self._straddle = straddle
        self._span = ledger.regions.span
        self._fallbacks = ledger.fallbacks
        self._lookup = ledger.lookup
        self._ledger = ledger
        self._warm = False  # whether a table may hold anything
        self._index: FlatIndex | None = None
        self._misses = 0  # since the last change
        self._changes = 0

    def new_port(self, vcpu: object) -> Port:
        """Make a port whose tables are emptied with those of the others."""
        port = Port(self, vcpu)
        with self._lookup:
            self.ports.add(port)
        return port

    def filler(self, port: Port, table: Table, way: Direction) -> Fill:
        """Make the function that resolves what one table of a port does not hold.

        It does the common miss itself, by the flat index: an access that its one owner takes as it
        is. All else, and every miss while there is no index, goes through `_resolve_and_keep`. An
        access to a fallback takes no lock: the index is gone before a commit changes anything, so
        one that is still there afterwards was right all the time.
        """
        masks, sparse_at, limit, reading = MASKS, SPARSE_AT, TABLE_LIMIT, way is READING
        # Bound here, since entering a lock by `with` costs half as much again as the whole search.
        acquire, release = self._lookup.acquire, self._lookup.release

        def fill(address: Any, size: Any) -> Entry:
            index = self._index
            if index is None or type(address) is not int or type(size) is not int:
                return self._resolve_and_keep(port, table, way, address, size)
            region, last = index(address)
            if (
                region is None
                or address + size - 1 > last
                or size not in region._free_sizes
                or (handler := region._read if reading else region._write) is None
            ):
                return self._resolve_and_keep(port, table, way, address, size)
            mask = None if region.trusted and reading else masks[size]
            where = address if region.absolute else address - region._base
            entry: Entry = handler, where, mask, region
            if region.kind == "fallback" and self._index is index:
                return entry
            acquire()
            try:
                if self._index is not index:
                    return self._resolve_and_keep(port, table, way, address, size)
                cell = table[size]
                cell[address] = entry
                count = len(cell)
                if count == sparse_at:
                    table[size] = make_room(cell)
                elif count >= limit:
                    cell.clear()
            finally:
                release()
            return entry

        return fill

    def _resolve_and_keep(
        self, _port: Port, table: Table, way: Direction, address: Any, size: Any
    ) -> Entry:
        """Resolve an access under the lock, and keep the result where that is allowed.

        `_port` is here to be kept alive by the port's functions, through which this is called.

        Raises:
            AccessSizeError: no access size of this map, or one that the owner refuses.
            AccessAddressError: not wholly inside the address space.
            UnmappedError, StraddleError, DeniedError: as `resolve`.
        """
        if type(address) is not int or type(size) is not int or size not in self.sizes:
            address, size = self._whole(address, size)
        with self._lookup:
            changes = -1
            while changes != self._changes:  # a finalizer may change the map at any allocation
                changes = self._changes
                entry, keep = self.resolve(address, size, way)
                self._consider_index()
            if keep:
                cell = table[size]
                cell[address] = entry
                if len(cell) == SPARSE_AT:
                    table[size] = make_room(cell)
                elif len(cell) >= TABLE_LIMIT:
                    cell.clear()
                self._warm = True
            return entry

    def _consider_index(self) -> None:
        """Flatten the trees once enough misses since the last change have paid for it."""
        self._misses += 1
        regions, fallbacks = self._ledger.regions, self._ledger.fallbacks
        if self._index is None and self._misses * MISSES_TO_FLATTEN > len(regions) + len(fallbacks):
            self._index = flat_index(regions, fallbacks, self._limit)
            self._warm = True  # from now on tables are filled without further notice

    def forget(self) -> None:
        """Drop what was true of the map before a change; the lookup lock is held."""
        self._index, self._misses = None, 0
        self._changes += 1
        if self._warm:
            for port in self.ports:
                port.forget()
            self._warm = False

    def check(self) -> None:
        """Assert that every table holds what resolving would give now; under the lookup lock."""
        for way, table in [pair for port in self.ports for pair in port.tables()]:
            for size, cell in table.items():
                assert len(cell) <= TABLE_LIMIT, size
                assert self._warm or not cell, size
                for address, (_, where, mask, owner) in cell.items():
                    fresh, keep = self.resolve(address, size, way)
                    assert keep, (address, size)
                    assert fresh[1:] == (where, mask, owner), (address, size)

    def _whole(self, address: Any, size: Any) -> tuple[int, int]:
        """Take numbers that equal integers for these, and refuse all else."""
        first, width = whole_number(address), whole_number(size)
        if first is None:
            raise AccessAddressError(
                f"access in map {self._name!r}: {address!r} is no address", address, size
            ) from None
        if width is None or width not in self.sizes:
            raise AccessSizeError(
                f"access at {first:#x} in map {self._name!r}: {size!r} is no access size here",
                first,
                size,
            ) from None
        return first, width

    def resolve(self, address: int, size: int, way: Direction) -> tuple[Entry, bool]:
        """Find out what an access calls.

        Args:
            address: first byte, inside the address space.
            size: bytes; the last byte is inside the address space too.
            way: `READING` or `WRITING`.

        Returns:
            The port's entry, and whether it may be kept: not where a fallback takes part.

        Raises:
            UnmappedError: nobody owns a byte that is to be accessed.
            StraddleError: the bytes have several owners and the map refuses that.
            AccessSizeError, DeniedError: the owner's policy refuses.
        """
        if not 0 <= address <= self._limit - size:
            raise AccessAddressError(
                f"{describe_access(address, size, way)}: outside of map {self._name!r}, "
                f"whose last address is {self._limit - 1:#x}",
                address,
                size,
            ) from None
        owner, last = self.owner(address)
        if address + size - 1 > last:
            return self._straddling(address, size, way)
        if owner is None:
            raise unmapped(address, size, way)
        pieces = self._pieces((owner, address, size), address, way)
        entry = self._compiled(pieces, size, way, owner)
        return entry, owner.kind != "fallback"

    def owner(self, address: int) -> tuple[Region | None, int]:
        """Find who owns the byte at `address`, and the last address of which this holds."""
        region, last = self._span(address)
        return (region, last) if region is not None else self._behind(address, last)

    def _behind(self, address: int, hole_last: int) -> tuple[Region | None, int]:
        """Find the fallback at an address in a hole that ends at `hole_last`."""
        fallback, last = self._fallbacks.span(address)
        return fallback, min(hole_last, last)

    def _straddling(self, address: int, size: int, way: Direction) -> tuple[Entry, bool]:
        stretches = self._stretches(address, size)
        owners = tuple(owner for owner, _, _ in stretches if owner is not None)
        if not owners:
            raise unmapped(address, size, way)
        keep = all(owner.kind != "fallback" for owner in owners)
        if self._straddle == "raise":
            raise straddling(stretches, size, way)
        if self._straddle == "ones":
            return (way.nobody, address, MASKS[size], owners), keep
        pieces = [
            piece
            for owner, first, length in stretches
            for part, part_size in natural_parts(first, length, size)
            for piece in self._pieces((owner, part, part_size), address, way)
        ]
        return self._compiled(pieces, size, way, owners), keep

    def _stretches(self, address: int, size: int) -> list[Stretch]:
        """Cut an access at the borders of its owners."""
        stretches = []
        stop = address + size
        while address < stop:
            owner, last = self.owner(address)
            following = min(last + 1, stop)
            stretches.append((owner, address, following - address))
            address = following
        return stretches

    def _pieces(self, stretch: Stretch, origin: int, way: Direction) -> list[Piece]:
        """Judge one access to one owner and list what it becomes.

        Args:
            stretch: the owner and the bytes wanted of it.
            origin: address of the whole access's first byte, for the bit positions.
            way: the direction.
        """
        owner, address, size = stretch
        if owner is None:
            raise unmapped(address, size, way)
        offset = address - owner.base
        handler = owner._read if way is READING else owner._write
        verdict = owner.policy.judge(offset, size, handler is not None)
        if isinstance(verdict, Refusal):
            what = describe_access(address, size, way)
            raise verdict.error(what, owner.describe(), owner.name, address, size)
        if isinstance(verdict, Logged):
            _, words = verdict.refusal.value
            text = f"{describe_access(address, size, way)} {words} {owner.describe()}"
            return [(way.logged(text), offset, size, MASKS[size], 8 * (address - origin))]
        if not verdict:
            return [(way.nobody, offset, size, MASKS[size], 8 * (address - origin))]
        assert handler is not None, owner
        shown = owner.base if owner.absolute else 0
        return [
            (handler, shown + at, part, MASKS[part], 8 * (owner.base + at - origin))
            for at, part in verdict
        ]

    def _compiled(self, pieces: list[Piece], size: int, way: Direction, owner: Owner) -> Entry:
        """Make one entry of pieces; a single one needs no loop."""
        if len(pieces) > 1:
            return way.compile_pieces(pieces), 0, MASKS[size], owner
        handler, where, _, mask, _ = pieces[0]
        trusted = way is READING and isinstance(owner, Region) and owner.trusted
        return handler, where, None if trusted else mask, owner


class Port:
    """One vCPU's way into a map; made by `RegionMap.port`.

    `read` and `write` are functions, not methods: take them once, `read, write = port.read,
    port.write`, and call them for every access. A port may be shared between threads.

    Attributes:
        vcpu: the object handlers are called with.
        read: `read(address, size)` returns the `size` bytes at `address` as an integer, the
            lowest address in its lowest bits.
        write: `write(address, size, value)` writes the low `size` bytes of `value`; negative
            values count as two's complement.

    Both raise:
        AccessSizeError: `size` is no access size of the map, or the region refuses it.
        AccessAddressError: not wholly inside the address space.
        AccessValueError: `value` is no integer.
        UnmappedError: no region and no fallback answers.
        StraddleError: the bytes have several owners, and the map refuses that.
        DeniedError: READ or WRITE is missing, or the access is misaligned.
        BusError: the device's own, unchanged.
        HandlerError: the handler raised something else, or returned no integer.
    """

    __slots__ = ("__weakref__", "_reads", "_writes", "read", "vcpu", "write")

    def __init__(self, resolver: Resolver, vcpu: object) -> None:
        """Start with empty tables."""
        self.vcpu = vcpu
        self._reads: Table = {size: {} for size in resolver.sizes}
        self._writes: Table = {size: {} for size in resolver.sizes}
        # The functions hold the port: a caller may keep them alone.
        self.read = bind_read(self._reads, vcpu, resolver.filler(self, self._reads, READING))
        self.write = bind_write(self._writes, vcpu, resolver.filler(self, self._writes, WRITING))

    def tables(self) -> tuple[tuple[Direction, Table], ...]:
        """Both tables with what they are for; for checks."""
        return (READING, self._reads), (WRITING, self._writes)

    def forget(self) -> None:
        """Empty both tables; the map does this under its lock at every change."""
        for _, table in self.tables():
            for cell in table.values():
                if cell:
                    empty(cell)


def whole_number(number: Any) -> int | None:
    """Return the integer that `number` equals, or `None`.

    A table finds 4.0 where it holds 4, so a miss must take it for 4 as well: whether an access
    is legal may not depend on what a table holds.
    """
    if type(number) is int:
        return number
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if whole == number else None


def describe_access(address: int, size: int, way: Direction) -> str:
    """Word an access for an error's text."""
    return f"{way.word} of {size} bytes at {address:#x}"


def unmapped(address: int, size: int, way: Direction) -> UnmappedError:
    """Build the error for an access that nobody answers."""
    return UnmappedError(f"{describe_access(address, size, way)}: no region there", address, size)


def straddling(stretches: list[Stretch], size: int, way: Direction) -> StraddleError:
    """Build the error that names every owner an access touches."""
    names = [
        f"no region from {first:#x}" if owner is None else owner.describe()
        for owner, first, _ in stretches
    ]
    first_owner, address, _ = stretches[0]
    return StraddleError(
        f"{describe_access(address, size, way)} straddles {', then '.join(names)}",
        address,
        size,
        None if first_owner is None else first_owner.name,
    )
