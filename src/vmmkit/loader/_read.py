# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""From the bytes of a file to an image of the right kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit.errors import ImageFormatError
from vmmkit.loader import _bzimage, _elf, _multiboot, _multiboot2
from vmmkit.loader._bzimage import BzImage
from vmmkit.loader._elf import ElfImage
from vmmkit.loader._flat import FlatImage
from vmmkit.loader._image import Image, content_of
from vmmkit.loader._multiboot import MultibootImage
from vmmkit.loader._multiboot2 import Multiboot2Image
from vmmkit.loader._pvh import PvhImage, pvh_entry
from vmmkit.loader._startup import REACH

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "flat",
    "read",
    "read_bzimage",
    "read_elf",
    "read_multiboot",
    "read_multiboot2",
    "read_pvh",
]


def read(data: Buffer) -> Image:
    """Read an image of any format that says what it is.

    Looked for in this order: the setup header of a Linux kernel, the PVH note of an ELF file, a
    Multiboot header, a Multiboot2 header, a plain ELF program.

    Raises:
        ImageFormatError: none of the formats, or a malformed one.
    """
    content = content_of(data)
    if _bzimage.is_bzimage(content):
        return _bzimage.read_image(content)
    file = _elf.parse(content) if _elf.is_elf(content) else None
    entry = pvh_entry(file) if file is not None else None
    if file and entry is not None:
        return PvhImage(file, entry)
    if _multiboot.find_header(content) is not None:
        return _multiboot.read_image(content)
    if _multiboot2.find_header(content) is not None:
        return _multiboot2.read_image(content)
    if file is not None:
        return ElfImage.of(file)
    raise ImageFormatError("no format with a header: a flat binary wants `flat`, with its base")


def read_bzimage(data: Buffer) -> BzImage:
    """Read a Linux kernel to be started by the 64-bit boot protocol.

    Raises:
        ImageFormatError: no kernel, one without 64-bit entry, or a truncated one.
    """
    return _bzimage.read_image(content_of(data))


def read_multiboot(data: Buffer) -> MultibootImage:
    """Read a Multiboot image of version 1: an ELF file, or one whose header gives addresses.

    Raises:
        ImageFormatError: no header in the first 8 KiB, or one that demands what is unknown.
    """
    return _multiboot.read_image(content_of(data))


def read_multiboot2(data: Buffer) -> Multiboot2Image:
    """Read a Multiboot2 image: an ELF file, or one whose header gives addresses.

    Raises:
        ImageFormatError: no header in the first 32 KiB, or one that demands what is unknown.
    """
    return _multiboot2.read_image(content_of(data))


def read_elf(data: Buffer) -> ElfImage:
    """Read an ELF program to be started at its entry point in the mode of its class.

    Raises:
        ImageFormatError: no ELF program of an x86 processor, or a malformed one.
    """
    return ElfImage.of(_elf.parse(content_of(data)))


def read_pvh(data: Buffer) -> PvhImage:
    """Read an ELF file with the note of a PVH entry point.

    Raises:
        ImageFormatError: no such note, or no ELF program of an x86 processor.
    """
    file = _elf.parse(content_of(data))
    entry = pvh_entry(file)
    if entry is None:
        raise ImageFormatError("this ELF file has no note of a PVH entry point")
    return PvhImage(file, entry)


def flat(data: Buffer, base: int, entry: int | None = None, mode: int = 32) -> FlatImage:
    """Make an image of bytes without a header.

    Args:
        data: the bytes.
        base: gpa of the first byte.
        entry: linear address of the first instruction; `base` if not given.
        mode: 16 (real-address mode, for entries below 1 MiB), 32 (flat, no paging), or 64
            (identity map).

    Raises:
        ImageFormatError: no bytes, no such mode, or an entry outside of what the mode reaches.
    """
    content = content_of(data)
    start = base if entry is None else entry
    if not content or not 0 <= start <= REACH.get(mode, -1):
        raise ImageFormatError(f"{len(content)} bytes entered at {start:#x} in mode {mode}")
    return FlatImage(content, base, start, mode)
