# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Addresses for the members of a table set, and the pointers and checksums that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vmmkit.acpi._window import Taken, Window, memory_map, span, taken
from vmmkit.acpi.placement import E820Type, Piece, Placement
from vmmkit.acpi.relocation import Addressable, Relocation
from vmmkit.acpi.tables.table import checksum
from vmmkit.errors import PlacementError

FOUR_GIB = 1 << 32


class Member(NamedTuple):
    """One of a table set.

    Attributes:
        name: that is its alone there.
        target: the table, or bytes without a header.
        places: where addresses of others belong.
    """

    name: str
    target: Addressable
    places: tuple[Relocation, ...]


def signature_of(target: Addressable) -> str:
    """Return what says what table this is; bytes without a header have none."""
    found: str = getattr(target, "signature", "")
    return found


def memory_type(target: Addressable) -> E820Type:
    """Return how the guest is to treat the memory.

    Systems write into the FACS until they sleep, so it is kept and saved. What is no table is
    used for as long as the guest runs: logs, images, a generation id.
    """
    kind = signature_of(target)
    if kind == "FACS":
        return E820Type.NVS
    return E820Type.ACPI if kind else E820Type.RESERVED


def fixed_ranges(members: Sequence[Member], fixed: Mapping[str, int]) -> dict[int, Taken]:
    """Return the ranges of those whose addresses are given by signature, by their id.

    Raises:
        PlacementError: an address that is not aligned, or no range.
    """
    found = {}
    for name, target, _places in members:
        address = fixed.get(signature_of(target))
        if address is not None:
            size = len(target.to_bytes())
            found[id(target)] = taken(address, size, name)
            if address % target.alignment:
                raise PlacementError(
                    f"{name} of {size} bytes cannot be at {span(address, size)}: it wants a "
                    f"multiple of {target.alignment}",
                    name,
                )
    return found


def assign(
    members: Sequence[Member], fixed: Mapping[int, Taken], window: Window, granule: int
) -> dict[int, int]:
    """Return addresses by the id of whom they are for.

    The first member, the RSDP, comes first; then all others, one kind of memory after the other.
    What a group's members want of alignment, the whole group gets: how they lie to each other
    does not depend on where.

    Raises:
        PlacementError: they do not fit, one is at 0, or the FACS is not below 4 GiB.
    """
    addresses = {key: one.first for key, one in fixed.items()}
    groups = [members[:1]]
    groups += [
        [member for member in members[1:] if memory_type(member.target) == kind]
        for kind in (E820Type.ACPI, E820Type.NVS, E820Type.RESERVED)
    ]
    for number, group in enumerate(groups):
        waiting = [member for member in group if id(member.target) not in fixed]
        if waiting:
            alignment = max(member.target.alignment for member in waiting)
            window.align(max(alignment, granule if number > 1 else 1))
        for name, target, _places in waiting:
            size = len(target.to_bytes())
            addresses[id(target)] = window.take(size, target.alignment, name)
    _check_facs(groups[2], addresses)
    _check_not_zero(members, addresses)
    return addresses


def _check_not_zero(members: Sequence[Member], addresses: Mapping[int, int]) -> None:
    for name, target, _places in members:
        if addresses[id(target)] == 0:
            raise PlacementError(
                f"{name} of {len(target.to_bytes())} bytes cannot be at 0: a pointer of 0 says "
                "that there is nothing",
                name,
            )


def _check_facs(group: Sequence[Member], addresses: Mapping[int, int]) -> None:
    for name, target, _places in group:
        address = addresses[id(target)]
        size = len(target.to_bytes())
        if address + size > FOUR_GIB:
            raise PlacementError(
                f"{name} of {size} bytes at {span(address, size)} must be below 4 GiB; give its "
                "address (facs=)",
                name,
            )


def resolve(member: Member, addresses: Mapping[int, int]) -> bytes:
    """Return a member's bytes with the addresses of others in them, and its checksums right.

    Raises:
        PlacementError: an address that its pointer cannot hold, or a pointer outside the bytes.
    """
    name, target, places = member
    content = bytearray(target.to_bytes())
    for place in places:
        last = place.offset + place.size
        if not 0 <= place.offset < last <= len(content):
            raise PlacementError(
                f"{name} of {len(content)} bytes has no room for a pointer of {place.size} bytes "
                f"at offset {place.offset}",
                name,
                place.offset,
            )
        content[place.offset : last] = _pointer(name, place, addresses[id(place.target)])
    for sum_ in target.checksums():
        content[sum_.offset] = 0
        content[sum_.offset] = checksum(content[sum_.start : sum_.start + sum_.length])
    return bytes(content)


def _pointer(name: str, place: Relocation, address: int) -> bytes:
    value = address + place.addend
    if 0 <= value < 1 << 8 * place.size:
        return value.to_bytes(place.size, "little")
    if place.optional:
        return bytes(place.size)
    raise PlacementError(
        f"{name}: the pointer of {place.size} bytes at offset {place.offset} cannot reach "
        f"{place.target.name} of {len(place.target.to_bytes())} bytes at {value:#x}",
        name,
        place.offset,
    )


def placement(
    members: Sequence[Member], addresses: Mapping[int, int], window: Window, granule: int
) -> Placement:
    """Return bytes and memory map of members that have their addresses; the RSDP is the first."""
    pieces = [
        Piece(addresses[id(member.target)], resolve(member, addresses), member.name)
        for member in members
    ]
    used = [
        (piece.gpa, len(piece.data), memory_type(member.target))
        for piece, member in zip(pieces, members, strict=True)
    ]
    return Placement(tuple(sorted(pieces)), pieces[0].gpa, memory_map(used, window, granule))
