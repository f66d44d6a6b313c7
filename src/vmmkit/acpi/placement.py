# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables that have their addresses: bytes to write, and what to tell about that memory.

ACPI Specification, System Address Map Interfaces.
"""

from __future__ import annotations

import bisect
from enum import IntEnum
from typing import NamedTuple

import attrs

from vmmkit.errors import PlacementError

__all__ = [
    "BIOS_FIRST",
    "BIOS_LAST",
    "E820Entry",
    "E820Type",
    "Piece",
    "Placement",
]

#: The read-only area of a PC's firmware, which systems search for the RSDP in 16-byte steps.
#: ACPI Specification, "Finding the RSDP on IA-PC Systems". No memory map lists it as RAM.
BIOS_FIRST = 0xE_0000
BIOS_LAST = 0xF_FFFF


class E820Type(IntEnum):
    """ACPI Specification, System Address Map Interfaces, table "Address Range Types"."""

    RAM = 1
    RESERVED = 2  #: never touched by the guest's memory manager
    ACPI = 3  #: free once the guest has read the tables
    NVS = 4  #: kept as it is, and saved when the guest sleeps in S4


class E820Entry(NamedTuple):
    """A range of guest-physical memory and its kind."""

    base: int
    size: int
    type: E820Type

    @property
    def last(self) -> int:
        """The address of its last byte."""
        return self.base + self.size - 1


class Piece(NamedTuple):
    """Bytes that belong at a guest-physical address, and what they are."""

    gpa: int
    data: bytes
    name: str

    @property
    def last(self) -> int:
        """The address of its last byte."""
        return self.gpa + len(self.data) - 1


@attrs.frozen
class Placement:
    """A table set at its addresses.

    Attributes:
        pieces: what to write where, by rising address.
        rsdp: where the RSDP is, for the boot protocol or `acpi_rsdp=`.
        e820: what to tell the guest about this memory, by rising address. The area
            0xE0000-0xFFFFF is never in it: tables there need a monitor that reports, or leaves
            out, that area as a whole.
    """

    pieces: tuple[Piece, ...]
    rsdp: int
    e820: tuple[E820Entry, ...]

    def piece(self, name: str) -> Piece:
        """Return the piece of this name.

        Raises:
            PlacementError: there is none.
        """
        found = next((piece for piece in self.pieces if piece.name == name), None)
        if found is None:
            names = ", ".join(piece.name for piece in self.pieces)
            raise PlacementError(f"no {name} among {names}", name)
        return found

    def read(self, gpa: int, size: int) -> bytes:
        """Return bytes of one piece: what `TableSet.from_memory` wants.

        Raises:
            PlacementError: they are not all in one piece.
        """
        number = bisect.bisect_right(self.pieces, gpa, key=lambda piece: piece.gpa) - 1
        if number >= 0 and size >= 0:
            start, data, _name = self.pieces[number]
            if gpa + size <= start + len(data):
                return data[gpa - start : gpa - start + size]
        raise PlacementError(f"no table has {size} bytes at {gpa:#x}")

    def image(self, max_size: int = 16 << 20) -> tuple[int, bytes]:
        """Return the address and bytes of one block with everything, zero between the pieces.

        Args:
            max_size: bytes; far more means that pieces are far apart, and are better written
                one by one.

        Raises:
            PlacementError: the block would be larger.
        """
        base = self.pieces[0].gpa
        size = max(piece.last for piece in self.pieces) + 1 - base
        if size > max_size:
            raise PlacementError(
                f"one block from {base:#x} has {size} bytes, more than {max_size}: the pieces "
                "are far apart"
            )
        block = bytearray(size)
        for gpa, data, _name in self.pieces:
            block[gpa - base : gpa - base + len(data)] = data
        return base, bytes(block)
