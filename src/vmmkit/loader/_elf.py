# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ELF files: what of them is loaded where, and their notes.

System V Application Binary Interface, "Object Files" and "Program Loading". Nothing is allocated
by a size that a file claims, and the bytes loaded are never more than the file has.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Final, NamedTuple, Self

from attrs import frozen

from vmmkit.errors import ImageFormatError
from vmmkit.loader._image import Handover, Image, Segment, checked_entry, place_segments, unpack
from vmmkit.loader._memory import SPACE
from vmmkit.loader._plan import Plan
from vmmkit.loader._startup import Startup, long_mode, protected_mode

__all__ = ["ElfFile", "ElfImage", "Note", "is_elf", "parse"]

MAGIC: Final = b"\x7fELF"
LITTLE_ENDIAN: Final = 1
CURRENT: Final = 1
FIXED: Final = 2  # ET_EXEC
POSITION_INDEPENDENT: Final = 3  # ET_DYN
PT_LOAD: Final = 1
PT_NOTE: Final = 4
MANY_HEADERS: Final = 0xFFFF  # PN_XNUM: the count stands elsewhere
NOTE: Final = struct.Struct("<3I")


class ElfClass(NamedTuple):
    """What differs between 32 and 64 bits."""

    bits: int
    space: int
    """Bytes that physical addresses may name."""
    machine: int
    header: struct.Struct
    program_header: struct.Struct
    order: tuple[int, ...]
    """Where type, offset, vaddr, paddr, filesz, memsz and align stand in a program header."""


CLASSES: Final = {
    1: ElfClass(
        32, 1 << 32, 3, struct.Struct("<2H5I6H"), struct.Struct("<8I"), (0, 1, 2, 3, 4, 5, 7)
    ),
    2: ElfClass(
        64, SPACE, 62, struct.Struct("<2HI3QI6H"), struct.Struct("<2I6Q"), (0, 2, 3, 4, 5, 6, 7)
    ),
}
MACHINES: Final = {3: "80386", 62: "x86-64"}


class ProgramHeader(NamedTuple):
    """One row of the table of what is loaded."""

    kind: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


class Note(NamedTuple):
    """A note: who defines it, its number, and what it says."""

    name: bytes
    kind: int
    content: bytes


class ElfFile(NamedTuple):
    """A checked ELF file."""

    bits: int
    movable: bool
    entry: int
    """Physical address of the entry point."""
    segments: tuple[Segment, ...]
    notes: tuple[Note, ...]


def is_elf(data: bytes) -> bool:
    """Tell whether a file starts as ELF files do."""
    return data.startswith(MAGIC)


def parse(data: bytes) -> ElfFile:
    """Read a file.

    Raises:
        ImageFormatError: no ELF file of an x86 processor, a truncated one, or segments that
            overlap each other or do not fit into the file or the address space.
    """
    form = _form(data)
    head = unpack(form.header, data, 16, "ELF header")
    kind, machine, version, entry, first = head[:5]
    if machine != form.machine:
        name = MACHINES.get(machine, f"machine {machine}")
        raise ImageFormatError(f"ELF of {form.bits} bits for {name}", 18)
    if kind not in {FIXED, POSITION_INDEPENDENT} or version != CURRENT:
        raise ImageFormatError(f"ELF of type {kind}, version {version}, is no program", 16)
    headers = _program_headers(form, data, first, *head[8:10])
    segments = _segments(
        form, data, [one for one in headers if one.kind == PT_LOAD and (one.memsz or one.filesz)]
    )
    return ElfFile(
        form.bits,
        kind == POSITION_INDEPENDENT,
        _physical(entry, headers),
        segments,
        tuple(note for one in headers if one.kind == PT_NOTE for note in _notes(data, one)),
    )


def _form(data: bytes) -> ElfClass:
    magic, number, order, version, *_ = struct.unpack("<4s3B", _identification(data))
    if magic != MAGIC or number not in CLASSES or order != LITTLE_ENDIAN or version != CURRENT:
        raise ImageFormatError("no little-endian ELF file of 32 or 64 bits", 0)
    return CLASSES[number]


def _identification(data: bytes) -> bytes:
    if len(data) < 7:
        raise ImageFormatError(f"{len(data)} bytes are no ELF file", 0)
    return data[:7]


def _program_headers(
    form: ElfClass, data: bytes, first: int, size: int, number: int
) -> list[ProgramHeader]:
    if not number or number == MANY_HEADERS or size != form.program_header.size:
        raise ImageFormatError(f"{number} program headers of {size} bytes each", first)
    rows = (
        unpack(form.program_header, data, first + size * row, f"program header {row}")
        for row in range(number)
    )
    headers = [ProgramHeader(*(row[place] for place in form.order)) for row in rows]
    # Each byte is loaded, and read as a note, once at most: many headers for the same bytes would
    # cost a multiple of the file.
    for kind in (PT_LOAD, PT_NOTE):
        if sum(one.filesz for one in headers if one.kind == kind) > len(data):
            raise ImageFormatError(f"segments claim more than the file's {len(data)} bytes", first)
    return headers


def _segments(form: ElfClass, data: bytes, headers: list[ProgramHeader]) -> tuple[Segment, ...]:
    if not headers:
        raise ImageFormatError("the ELF file has nothing to be loaded")
    found = sorted((_segment(form, data, one) for one in headers), key=lambda segment: segment.gpa)
    for before, after in pairwise(found):
        if before.gpa + before.size > after.gpa:
            raise ImageFormatError(f"segments at {before.gpa:#x} and {after.gpa:#x} overlap")
    return tuple(found)


def _segment(form: ElfClass, data: bytes, header: ProgramHeader) -> Segment:
    if header.offset + header.filesz > len(data):
        raise ImageFormatError(
            f"segment of {header.filesz} bytes ends beyond the file's {len(data)}", header.offset
        )
    if header.filesz > header.memsz or header.paddr + header.memsz > form.space:
        raise ImageFormatError(
            f"segment at {header.paddr:#x} of {header.memsz:#x} bytes, {header.filesz:#x} in file",
            header.offset,
        )
    content = data[header.offset : header.offset + header.filesz]
    return Segment(header.paddr, header.memsz, content)


def _physical(entry: int, headers: list[ProgramHeader]) -> int:
    """Return the physical address of an entry point that files give as a virtual one."""
    loaded = [one for one in headers if one.kind == PT_LOAD]
    for one in loaded:
        if one.vaddr <= entry < one.vaddr + one.memsz:
            return entry - one.vaddr + one.paddr
    return entry


def _notes(data: bytes, header: ProgramHeader) -> Iterator[Note]:
    """Give the notes of a segment; fields are aligned to 4 bytes, or 8 where it says so."""
    alignment = 8 if header.align == 8 else 4
    place, beyond = header.offset, header.offset + header.filesz
    if beyond > len(data):
        raise ImageFormatError(f"notes end beyond the file's {len(data)} bytes", header.offset)
    while place + NOTE.size <= beyond:
        name_size, size, kind = NOTE.unpack_from(data, place)
        name = place + NOTE.size
        content = name + -(-name_size // 4) * 4
        content = header.offset + -(-(content - header.offset) // alignment) * alignment
        if content + size > beyond:
            raise ImageFormatError(f"a note of {size} bytes ends beyond its segment", place)
        yield Note(
            data[name : name + name_size].rstrip(b"\0"), kind, data[content : content + size]
        )
        place = content + -(-size // alignment) * alignment


@frozen
class ElfImage(Image):
    """A plain ELF program: started at its entry point in the mode of its class, told nothing."""

    kind: ClassVar[str] = "elf"
    file: ElfFile

    @classmethod
    def of(cls, file: ElfFile) -> Self:
        """Make an image of a file whose entry point lies in what it loads."""
        checked_entry(file.entry, file.segments)
        return cls(file)

    @property
    def entry(self) -> int:
        """Physical address of the first instruction, where the file is not moved."""
        return self.file.entry

    def _place(self, plan: Plan, handover: Handover) -> Startup:
        handover.refuse("plain ELF", "cmdline", "modules", "initrd")
        shift = place_elf(plan, self.file, handover)
        mode = long_mode if self.file.bits == 64 else protected_mode
        return mode(plan, self.file.entry + shift)


def place_elf(plan: Plan, file: ElfFile, handover: Handover) -> int:
    """Place the segments; return how far above their addresses."""
    if handover.at is None:
        shift = 0
    elif file.movable:
        shift = handover.at - file.segments[0].gpa
    else:
        handover.refuse("ELF (not position-independent)", "at")
    place_segments(plan, file.segments, shift)
    return shift
