# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What all images have in common: the question they are asked, and the answer."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from attrs import field, frozen

from vmmkit.errors import ImageFormatError, ImagePlacementError
from vmmkit.loader._plan import Boot, Plan
from vmmkit.loader._startup import Startup

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Handover",
    "Image",
    "Module",
    "Segment",
    "checked_entry",
    "content_of",
    "file_list",
    "place_segments",
    "unpack",
]


class Module(NamedTuple):
    """A file that the guest is given beside its image."""

    data: bytes
    cmdline: str = ""
    """The string that goes with it."""


@frozen
class Segment:
    """A part of an image: bytes of the file, and zeros up to its size."""

    gpa: int
    size: int
    data: bytes = field(repr=False)


class Handover(NamedTuple):
    """What the owner of a guest hands over to it."""

    cmdline: bytes
    modules: tuple[tuple[bytes, bytes], ...]
    """`(data, cmdline)`; an initial RAM disk comes first."""
    initrd: bytes
    rsdp: int
    """Address of the ACPI root pointer, or 0."""
    at: int | None

    def refuse(self, kind: str, *names: str) -> None:
        """Raise if something is given that this kind of image cannot be told of."""
        for name in names:
            if getattr(self, name) not in {None, b"", ()}:
                size = 0 if name == "at" else len(getattr(self, name))
                raise ImagePlacementError(f"{kind} images take no {name}", self.at, size, name)


def unpack(layout: struct.Struct, data: bytes, offset: int, what: str) -> tuple[int, ...]:
    """Return the fields of a structure of the file.

    Raises:
        ImageFormatError: it ends beyond the file.
    """
    if offset < 0 or offset + layout.size > len(data):
        raise ImageFormatError(
            f"{what} of {layout.size} bytes at {offset:#x} is beyond the file's {len(data)}", offset
        )
    return layout.unpack_from(data, offset)


def content_of(data: Buffer) -> bytes:
    """Return the bytes of a buffer.

    Raises:
        TypeError: no buffer; `bytes` would take a number for a count of zeros.
    """
    return data if isinstance(data, bytes) else bytes(memoryview(data))


def _string(text: str, what: str) -> bytes:
    """Return UTF-8; bytes of a host's command line that were none come out as they were."""
    try:
        encoded = text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        message = f"a character that UTF-8 does not have: {error.reason}"
        raise ImagePlacementError(message, None, len(text), what) from error
    if 0 in encoded:
        raise ImagePlacementError("a string with a NUL in it", None, len(encoded), what)
    return encoded


@frozen
class Image(ABC):
    """A guest's image, read and checked, not yet placed in a guest's memory."""

    kind: ClassVar[str]
    """Format and boot protocol: flat, elf, pvh, multiboot, multiboot2 or bzimage."""

    def boot(
        self,
        memory: Iterable[tuple[int, int, int]],
        cmdline: str = "",
        initrd: Buffer = b"",
        modules: Iterable[Module | Buffer] = (),
        rsdp: int | None = None,
        at: int | None = None,
    ) -> Boot:
        """Place the image, and what its boot protocol tells the guest, in a guest's memory.

        Args:
            memory: the memory map, `(base, size, type)` with the types of E820 (1 is RAM), in any
                order; where ranges overlap, the higher type wins.
            cmdline: the command line, without a NUL.
            initrd: an initial RAM disk. Protocols that know modules only get it as the first.
            modules: further files, bytes or `Module`.
            rsdp: address of the ACPI root pointer (RSDP).
            at: address to load a relocatable image at; by default the loader chooses.

        Raises:
            ImagePlacementError: no room for the image or for what belongs to it; something that
                this kind of image cannot be told of.
        """
        files = [one if isinstance(one, Module) else Module(content_of(one)) for one in modules]
        if rsdp is not None and not 0 <= rsdp < 1 << 64:
            raise ImagePlacementError("no address of a root pointer", rsdp, 0, "rsdp")
        handover = Handover(
            _string(cmdline, "command line"),
            tuple((content_of(one.data), _string(one.cmdline, "module's string")) for one in files),
            content_of(initrd),
            rsdp or 0,
            at,
        )
        plan = Plan(memory)
        return plan.boot(self._place(plan, handover))

    @abstractmethod
    def _place(self, plan: Plan, handover: Handover) -> Startup:
        """Claim and fill memory; return how to start."""


def place_segments(plan: Plan, segments: Iterable[Segment], shift: int = 0) -> None:
    """Place the parts of an image, `shift` bytes above where they were made for."""
    for number, segment in enumerate(segments):
        gpa = segment.gpa + shift
        plan.claim(f"segment {number}", gpa, segment.size)
        plan.fill(gpa, segment.data)
        plan.clear(gpa + len(segment.data), segment.size - len(segment.data))


def checked_entry(entry: int, segments: Iterable[Segment]) -> int:
    """Return an entry point that lies in what is loaded.

    Raises:
        ImageFormatError: it does not.
    """
    if not any(one.gpa <= entry < one.gpa + one.size for one in segments):
        raise ImageFormatError(f"the entry {entry:#x} is in no segment")
    return entry


def file_list(handover: Handover) -> tuple[tuple[bytes, bytes], ...]:
    """Return the initial RAM disk, if there is one, and the modules: `(data, cmdline)`."""
    initrd = ((handover.initrd, b""),) if handover.initrd else ()
    return (*initrd, *handover.modules)
