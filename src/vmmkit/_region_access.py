# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""From (address, size, direction) to what is to be called: the miss path of every port.

An access is *simple* when all its bytes have one owner: a region, a fallback, or nobody. Then
the owner's policy decides. Every other access *straddles*, and the map's one rule for that
decides: refuse it, answer it with ones, or cut it at the borders into naturally aligned parts,
each an access of its own to its own owner. All parts are resolved before the first is made: an
access of which a part must be refused has no effect at all.

The caller holds the lookup lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from vmmkit._region import READ, WRITE, Region
from vmmkit._region_policy import (
    MASKS,
    Piece,
    Refusal,
    ignore_write,
    natural_parts,
    read_ones,
    read_pieces,
    write_pieces,
)
from vmmkit._region_port import Entry
from vmmkit._region_tree import RangeTree
from vmmkit.errors import StraddleError, UnmappedError

__all__ = ["Resolver", "Straddle"]

Straddle = Literal["raise", "ones", "split"]

#: Part of an access with one owner: the owner, the first address, the length in bytes.
Stretch = tuple[Region | None, int, int]


@attrs.frozen
class Direction:
    """What reading and writing do not have in common."""

    word: str
    flag: int
    nobody: Callable[..., Any]
    compile_pieces: Callable[[list[Piece]], Callable[..., Any]]


READING = Direction("read", READ, read_ones, read_pieces)
WRITING = Direction("write", WRITE, ignore_write, write_pieces)


@attrs.frozen
class Resolver:
    """Resolves accesses over a tree of regions with one of fallbacks behind it."""

    regions: RangeTree[Region]
    fallbacks: RangeTree[Region]
    straddle: Straddle

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
        owner, last = self.owner(address)
        if address + size - 1 > last:
            return self._straddling(address, size, way)
        if owner is None:
            raise unmapped(address, size, way)
        pieces = self._pieces((owner, address, size), address, way)
        if len(pieces) > 1:
            return self._compiled(pieces, size, way, (owner,)), owner.kind != "fallback"
        handler, where, _, mask, _ = pieces[0]
        trust = owner.trusted and way is READING
        return (handler, where, None if trust else mask, owner), owner.kind != "fallback"

    def owner(self, address: int) -> tuple[Region | None, int]:
        """Find who owns the byte at `address`, and the last address of which this holds."""
        region, last = self.regions.span(address)
        if region is not None or not self.fallbacks:
            return region, last
        fallback, fallback_last = self.fallbacks.span(address)
        return fallback, min(last, fallback_last)

    def _straddling(self, address: int, size: int, way: Direction) -> tuple[Entry, bool]:
        stretches = self._stretches(address, size)
        owners = tuple(owner for owner, _, _ in stretches if owner is not None)
        if not owners:
            raise unmapped(address, size, way)
        keep = all(owner.kind != "fallback" for owner in owners)
        if self.straddle == "raise":
            raise straddling(stretches, size, way)
        if self.straddle == "ones":
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
        verdict = owner.policy.judge(offset, size, bool(owner.flags & way.flag))
        if isinstance(verdict, Refusal):
            what = describe_access(address, size, way)
            raise verdict.error(what, owner.describe(), owner.name, address, size)
        if not verdict:
            return [(way.nobody, offset, size, MASKS[size], 8 * (address - origin))]
        handler = owner._read if way is READING else owner._write  # noqa: SLF001
        assert handler is not None, owner
        shown = owner.base if owner.absolute else 0
        return [
            (handler, shown + at, part, MASKS[part], 8 * (owner.base + at - origin))
            for at, part in verdict
        ]

    def _compiled(
        self, pieces: list[Piece], size: int, way: Direction, owners: tuple[Region, ...]
    ) -> Entry:
        return way.compile_pieces(pieces), 0, MASKS[size], owners


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
