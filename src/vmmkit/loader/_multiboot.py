# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Multiboot, version 1: the header is found in the file, the guest gets an information structure.

Multiboot Specification version 0.6.96, "OS image format", "Machine state", "Boot information
format".
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final, NamedTuple

from attrs import frozen

from vmmkit.errors import ImageFormatError
from vmmkit.loader._elf import is_elf, parse
from vmmkit.loader._image import (
    Handover,
    Image,
    Segment,
    checked_entry,
    file_list,
    place_segments,
    unpack,
)
from vmmkit.loader._memory import RAM, MemoryRange
from vmmkit.loader._plan import Plan
from vmmkit.loader._startup import Startup, protected_mode

__all__ = [
    "LOADER_NAME",
    "LoadAddresses",
    "MultibootImage",
    "PlacedModule",
    "find_header",
    "kibibytes",
    "place_modules",
    "read_image",
]

SEARCHED: Final = 8192
MAGIC: Final = 0x1BAD_B002
BOOTED: Final = 0x2BAD_B002  # in EAX
HEADER: Final = struct.Struct("<3I")
ADDRESSES: Final = struct.Struct("<5I")
# What bits 0 to 15 demand must be done or the image refused: modules on pages and memory sizes
# are always given; of video modes (bit 2) an image is told that none are known.
UNDERSTOOD: Final = 0x7
DEMANDS: Final = 0xFFFF
HAS_ADDRESSES: Final = 1 << 16
LOADER_NAME: Final = b"vmmkit\0"

# Flags: memory sizes, command line, modules, memory map, name of the loader.
GIVEN: Final = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9
# Up to the command line, the modules, the memory map, the loader's name; no drives, APM or video.
INFORMATION: Final = struct.Struct("<7I16x2I12xI48x")
MODULE: Final = struct.Struct("<4I")
MEMORY: Final = struct.Struct("<I2QI")
MIB: Final = 1 << 20
LOW_LIMIT: Final = 0xA_0000
SPACE_32: Final = 1 << 32


class LoadAddresses(NamedTuple):
    """The address fields of a header: where the file is loaded if it is no ELF file."""

    header_addr: int
    load_addr: int
    load_end_addr: int
    """One past the last byte loaded; 0: the whole file."""
    bss_end_addr: int
    """One past the last byte cleared; 0: none."""

    def segment(self, data: bytes, header: int) -> Segment:
        """Return what is loaded of a file whose header is at offset `header`."""
        first = header - (self.header_addr - self.load_addr)
        size = self.load_end_addr - self.load_addr if self.load_end_addr else len(data) - first
        total = max(size, self.bss_end_addr - self.load_addr if self.bss_end_addr else 0)
        fits = 0 <= first <= header and 0 < size <= len(data) - first
        if not fits or not 0 <= self.load_addr <= SPACE_32 - total:
            raise ImageFormatError(f"{self} contradict a file of {len(data)} bytes", header)
        return Segment(self.load_addr, total, data[first : first + size])


class PlacedModule(NamedTuple):
    """A module in the guest's memory."""

    gpa: int
    size: int
    cmdline: bytes

    @property
    def beyond(self) -> int:
        """The address after its last byte, as Multiboot counts."""
        return self.gpa + self.size


def find_header(data: bytes) -> int | None:
    """Return the offset of the header, or None if the file has none."""
    for offset in range(0, min(len(data), SEARCHED) - HEADER.size + 1, 4):
        magic, flags, checksum = HEADER.unpack_from(data, offset)
        if magic == MAGIC and not (magic + flags + checksum) & 0xFFFF_FFFF:
            return offset
    return None


def read_image(data: bytes) -> MultibootImage:
    """Read a file with a Multiboot header.

    Raises:
        ImageFormatError: no header, demands that are not understood, neither addresses nor ELF.
    """
    offset = find_header(data)
    if offset is None:
        raise ImageFormatError(f"no Multiboot header in the first {SEARCHED} bytes")
    _, flags, _ = HEADER.unpack_from(data, offset)
    if flags & DEMANDS & ~UNDERSTOOD:
        raise ImageFormatError(f"Multiboot flags {flags:#x} demand what is unknown", offset)
    if flags & HAS_ADDRESSES:
        *where, entry = unpack(ADDRESSES, data, offset + HEADER.size, "Multiboot addresses")
        segment = LoadAddresses(*where).segment(data, offset)
        return MultibootImage((segment,), checked_entry(entry, (segment,)))
    if is_elf(data):
        file = parse(data)
        return MultibootImage(file.segments, checked_entry(file.entry, file.segments))
    raise ImageFormatError("a Multiboot image that is no ELF file and gives no addresses", offset)


def kibibytes(memory: tuple[MemoryRange, ...]) -> tuple[int, int]:
    """Return KiB of RAM from address 0 (at most 640) and from 1 MiB, each up to the first gap."""
    ram = [one for one in memory if one.kind == RAM]
    low = next((min(one.size, LOW_LIMIT) for one in ram if one.base == 0), 0)
    high = next((one.last + 1 - MIB for one in ram if one.base <= MIB <= one.last), 0)
    return low // 1024, min(high // 1024, 0xFFFF_FFFF)


def place_modules(plan: Plan, handover: Handover) -> list[PlacedModule]:
    """Place initial RAM disk and modules on pages below 4 GiB."""
    return [
        PlacedModule(plan.place_high(f"module {number}", data, 0xFFFF_FFFF), len(data), text)
        if data
        else PlacedModule(0, 0, text)
        for number, (data, text) in enumerate(file_list(handover))
    ]


@frozen
class MultibootImage(Image):
    """A Multiboot image: started in 32-bit mode, EAX the magic number, EBX at its information."""

    kind: ClassVar[str] = "multiboot"
    segments: tuple[Segment, ...]
    entry: int
    """Physical address of the first instruction."""

    def _place(self, plan: Plan, handover: Handover) -> Startup:
        handover.refuse("Multiboot", "at")
        place_segments(plan, self.segments)
        return protected_mode(plan, self.entry, rax=BOOTED, rbx=_place_information(plan, handover))


def _place_information(plan: Plan, handover: Handover) -> int:
    modules = place_modules(plan, handover)
    rows = []
    for number, one in enumerate(modules):
        string = plan.place(f"string of module {number}", one.cmdline + b"\0", 1)
        rows.append(MODULE.pack(one.gpa, one.beyond, string, 0))
    table = plan.place("modules", b"".join(rows), 4) if rows else 0
    cmdline = plan.place("command line", handover.cmdline + b"\0", 1)
    name = plan.place("loader's name", LOADER_NAME, 1)
    # The size that an entry states does not count the field that states it.
    ranges = b"".join(MEMORY.pack(MEMORY.size - 4, *one) for one in plan.memory)
    memory = plan.place("memory map", ranges, 4)
    head = (GIVEN, *kibibytes(plan.memory), 0, cmdline, len(rows), table)
    information = INFORMATION.pack(*head, len(ranges), memory, name)
    return plan.place("Multiboot information", information, 8)
