# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Multiboot2: header and information are lists of tags.

Multiboot2 Specification version 2.0, "OS image format", "Boot information".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from attrs import frozen

from vmmkit.errors import ImageFormatError
from vmmkit.loader._elf import is_elf, parse
from vmmkit.loader._image import Handover, Image, Segment, checked_entry, place_segments, unpack
from vmmkit.loader._multiboot import LOADER_NAME, LoadAddresses, kibibytes, place_modules
from vmmkit.loader._plan import Plan
from vmmkit.loader._startup import Startup, protected_mode

__all__ = ["Multiboot2Image", "find_header", "read_image"]

SEARCHED: Final = 32768
MAGIC: Final = 0xE852_50D6
BOOTED: Final = 0x36D7_6289  # in EAX
I386: Final = 0  # 32-bit protected mode
HEADER: Final = struct.Struct("<4I")
TAG: Final = struct.Struct("<2HI")
OPTIONAL: Final = 1
# Tags of the header.
END: Final = 0
REQUEST: Final = 1
ADDRESSES: Final = 2
ENTRY: Final = 3
CONSOLE: Final = 4
# Framebuffer, module alignment (always given), EFI boot services and entries, relocatable:
# understood, and nothing to be done for a machine without EFI.
NOTED: Final = frozenset({5, 6, 7, 8, 9, 10})
ADDRESS_FIELDS: Final = struct.Struct("<4I")
FROM_THE_BEGINNING: Final = 0xFFFF_FFFF  # load_addr: the whole file is loaded
WORD: Final = struct.Struct("<I")
CONSOLE_REQUIRED: Final = 1
# Tags of the information.
COMMAND_LINE: Final = 1
LOADER: Final = 2
MODULE: Final = 3
MEMORY_SIZES: Final = 4
MEMORY_MAP: Final = 6
LOAD_BASE: Final = 21
GIVEN: Final = frozenset({COMMAND_LINE, LOADER, MODULE, MEMORY_SIZES, MEMORY_MAP, LOAD_BASE})
MEMORY: Final = struct.Struct("<2Q2I")


class Tag(NamedTuple):
    """A tag of the header."""

    kind: int
    flags: int
    size: int
    offset: int
    """Where its content starts in the file."""


def find_header(data: bytes) -> int | None:
    """Return the offset of the header, or None if the file has none."""
    for offset in range(0, min(len(data), SEARCHED) - HEADER.size + 1, 8):
        words = HEADER.unpack_from(data, offset)
        if words[0] == MAGIC and not sum(words) & 0xFFFF_FFFF:
            return offset
    return None


def read_image(data: bytes) -> Multiboot2Image:
    """Read a file with a Multiboot2 header.

    Raises:
        ImageFormatError: no header, demands that are not understood, neither addresses nor ELF.
    """
    offset = find_header(data)
    if offset is None:
        raise ImageFormatError(f"no Multiboot2 header in the first {SEARCHED} bytes")
    _, architecture, length, _ = HEADER.unpack_from(data, offset)
    if architecture != I386:
        raise ImageFormatError(f"a Multiboot2 image for architecture {architecture}", offset)
    found = list(_tags(data, offset, length))
    for tag in found:
        _check(data, tag)
    tags = {tag.kind: tag for tag in found}
    segments, entry = _loaded(data, offset, tags.get(ADDRESSES))
    if ADDRESSES in tags and ENTRY not in tags:
        raise ImageFormatError("a Multiboot2 address tag without an entry address tag", offset)
    if ENTRY in tags:
        (entry,) = unpack(WORD, data, tags[ENTRY].offset, "entry address tag")
    return Multiboot2Image(segments, checked_entry(entry, segments))


def _loaded(data: bytes, offset: int, tag: Tag | None) -> tuple[tuple[Segment, ...], int]:
    """Return what is loaded, and the entry as far as the file format says (else -1)."""
    if tag is not None:
        where = LoadAddresses(*unpack(ADDRESS_FIELDS, data, tag.offset, "address tag"))
        if where.load_addr == FROM_THE_BEGINNING:
            where = where._replace(load_addr=where.header_addr - offset)
        return (where.segment(data, offset),), -1
    if is_elf(data):
        file = parse(data)
        return file.segments, file.entry
    raise ImageFormatError("a Multiboot2 image that is no ELF file and gives no addresses", offset)


def _tags(data: bytes, header: int, length: int) -> Iterator[Tag]:
    """Give the tags of a header up to the one that ends it."""
    offset, beyond = header + HEADER.size, header + length
    while True:
        kind, flags, size = unpack(TAG, data, offset, "Multiboot2 tag")
        if size < TAG.size or offset + size > beyond:
            raise ImageFormatError(f"tag {kind} of {size} bytes leaves its header", offset)
        if kind == END:
            return
        yield Tag(kind, flags, size - TAG.size, offset + TAG.size)
        offset += -(-size // 8) * 8


def _check(data: bytes, tag: Tag) -> None:
    """Refuse what an image demands and does not get."""
    if tag.flags & OPTIONAL or tag.kind in NOTED:
        return
    words: tuple[int, ...] = ()
    if tag.kind in {REQUEST, CONSOLE}:
        words = unpack(struct.Struct(f"<{tag.size // 4}I"), data, tag.offset, "Multiboot2 tag")
    if tag.kind == REQUEST and not set(words) <= GIVEN:
        missing = sorted(set(words) - GIVEN)
        raise ImageFormatError(f"the image demands information tags {missing}", tag.offset)
    if tag.kind == CONSOLE and words[:1] and words[0] & CONSOLE_REQUIRED:
        raise ImageFormatError("the image demands a console", tag.offset)
    if tag.kind not in {REQUEST, ADDRESSES, ENTRY, CONSOLE}:
        raise ImageFormatError(f"header tag {tag.kind} is unknown and not optional", tag.offset)


@frozen
class Multiboot2Image(Image):
    """A Multiboot2 image: started in 32-bit mode, EAX the magic number, EBX at its information.

    The ACPI tags are not given, as they are copies of a structure that lies in the guest's memory.
    """

    kind: ClassVar[str] = "multiboot2"
    segments: tuple[Segment, ...]
    entry: int
    """Physical address of the first instruction."""

    def _place(self, plan: Plan, handover: Handover) -> Startup:
        handover.refuse("Multiboot2", "at")
        place_segments(plan, self.segments)
        tags = self._information(plan, handover)
        total = 8 + sum(map(len, tags))
        information = struct.pack("<2I", total, 0) + b"".join(tags)
        where = plan.place("Multiboot2 information", information, 8)
        return protected_mode(plan, self.entry, rax=BOOTED, rbx=where)

    def _information(self, plan: Plan, handover: Handover) -> list[bytes]:
        ranges = b"".join(MEMORY.pack(*one, 0) for one in plan.memory)
        return [
            _tag(COMMAND_LINE, handover.cmdline + b"\0"),
            _tag(LOADER, LOADER_NAME),
            *(
                _tag(MODULE, struct.pack("<2I", one.gpa, one.beyond) + one.cmdline + b"\0")
                for one in place_modules(plan, handover)
            ),
            _tag(MEMORY_SIZES, struct.pack("<2I", *kibibytes(plan.memory))),
            _tag(MEMORY_MAP, struct.pack("<2I", MEMORY.size, 0) + ranges),
            _tag(LOAD_BASE, WORD.pack(min(one.gpa for one in self.segments))),
            _tag(END, b""),
        ]


def _tag(kind: int, content: bytes) -> bytes:
    """Return a tag, padded so that the next one is aligned."""
    tag = struct.pack("<2I", kind, 8 + len(content)) + content
    return tag + bytes(-len(tag) % 8)
