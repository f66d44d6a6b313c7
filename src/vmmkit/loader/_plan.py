# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is to be written where: images claim their places, the loader's own data finds some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import field, frozen

from vmmkit.errors import ImagePlacementError
from vmmkit.loader._memory import PAGE, FreeMemory, MemoryRange, sanitized
from vmmkit.loader._startup import StartableState, Startup
from vmmkit.loader._write import write

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Boot", "Placed", "Plan"]

LOW_LAST: Final = 0x9_FFFF  # below the display memory and ROMs of a PC
LAST_32: Final = 0xFFFF_FFFF
ZEROS: Final = bytes(1 << 20)
"""Shared by all pieces that clear memory: what an image claims costs no memory here."""


class Placed(NamedTuple):
    """A range of guest-physical memory that the image or the loader's data takes."""

    name: str
    gpa: int
    size: int

    @property
    def last(self) -> int:
        """The address of its last byte."""
        return self.gpa + self.size - 1


@frozen
class Boot:
    """An image placed in the memory of one guest, ready to be written and started."""

    pieces: tuple[tuple[int, bytes], ...] = field(repr=False)
    """All that is to be written: `(gpa, bytes)` by address, none over another."""
    layout: tuple[Placed, ...]
    """The same by name, for people: `(name, gpa, size)` by address."""
    memory: tuple[MemoryRange, ...]
    """The memory map as the guest is told of it: sorted, without overlaps."""
    startup: Startup
    """The state of the processor at the first instruction."""

    def write(self, ram: Iterable[tuple[int, Buffer]]) -> None:
        """Write all pieces into RAM, given as `(gpa, buffer)`; nothing if one does not fit.

        Raises:
            ImagePlacementError: bytes that no buffer takes, or a buffer that cannot be written.
        """
        write(self.pieces, ram, self._name_at)

    def start(self, state: StartableState) -> None:
        """Set the registers of the vCPU that is to start the guest."""
        self.startup.apply(state)

    def _name_at(self, gpa: int) -> str:
        return next((one.name for one in self.layout if one.gpa <= gpa <= one.last), "image")


class Plan:
    """A boot in the making."""

    def __init__(self, memory: Iterable[tuple[int, int, int]]) -> None:
        """Start from a memory map: `(base, size, type)`."""
        self.memory = sanitized(memory)
        self._free = FreeMemory(self.memory)
        self._pieces: list[tuple[int, bytes]] = []
        self.layout: list[Placed] = []

    def boot(self, startup: Startup) -> Boot:
        """Return what came of it."""
        pieces = tuple(sorted(self._pieces, key=lambda piece: piece[0]))
        layout = tuple(sorted(self.layout, key=lambda one: one.gpa))
        return Boot(pieces, layout, self.memory, startup)

    def claim(self, name: str, gpa: int, size: int) -> None:
        """Take the range that an image demands; it must be free RAM."""
        if size and not self._free.claim(gpa, size):
            raise ImagePlacementError(self._why_not(gpa, size), gpa, size, name)
        if size:
            self.layout.append(Placed(name, gpa, size))

    def _why_not(self, gpa: int, size: int) -> str:
        taken = [one for one in self.layout if one.gpa < gpa + size and gpa <= one.last]
        if taken:
            return f"{taken[0].name} is there already"
        return "the memory map has no RAM there, or not enough"

    def fill(self, gpa: int, data: bytes) -> None:
        """Have bytes written into a range claimed before."""
        if data:
            self._pieces.append((gpa, data))

    def clear(self, gpa: int, size: int) -> None:
        """Have zeros written into a range claimed before."""
        self._pieces.extend(_zeros(gpa, size))

    def place(self, name: str, data: bytes, alignment: int = 16, last: int = LAST_32) -> int:
        """Put bytes where RAM is free and return the address; see `reserve`."""
        gpa = self.reserve(name, len(data), alignment, last)
        self.fill(gpa, data)
        return gpa

    def reserve(self, name: str, size: int, alignment: int = 16, last: int = LAST_32) -> int:
        """Take free RAM below 640 KiB, or else below `last`: the highest, never the first page.

        Guests commonly use the lowest addresses (start-up code of other processors) and what
        follows their image, so that both are left free as long as may be.
        """
        for limit in (min(LOW_LAST, last), last):
            gpa = self._free.highest(size, alignment, PAGE, limit)
            if gpa is not None:
                self.claim(name, gpa, size)
                return gpa
        raise ImagePlacementError(f"no free RAM up to {last:#x}", None, size, name)

    def place_high(self, name: str, data: bytes, last: int, least: int = 1 << 20) -> int:
        """Put bytes on the highest free pages from `least` to `last`; return the address."""
        gpa = self._free.highest(len(data), PAGE, least, last)
        if gpa is None:
            raise ImagePlacementError(f"no free RAM up to {last:#x}", None, len(data), name)
        self.claim(name, gpa, len(data))
        self.fill(gpa, data)
        return gpa

    def highest(self, size: int, alignment: int, least: int, last: int) -> int | None:
        """Return the highest free place, claiming nothing."""
        return self._free.highest(size, alignment, least, last)

    def lowest(self, size: int, alignment: int, least: int, last: int) -> int | None:
        """Return the lowest free place, claiming nothing."""
        return self._free.lowest(size, alignment, least, last)


def _zeros(gpa: int, size: int) -> Iterator[tuple[int, bytes]]:
    whole, rest = divmod(size, len(ZEROS))
    for number in range(whole):
        yield gpa + number * len(ZEROS), ZEROS
    if rest:
        yield gpa + whole * len(ZEROS), ZEROS[:rest]
