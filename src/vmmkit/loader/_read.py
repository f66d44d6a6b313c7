# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""From the bytes of a file to an image of the right kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit.errors import ImageFormatError
from vmmkit.loader import _elf
from vmmkit.loader._elf import ElfImage
from vmmkit.loader._flat import FlatImage
from vmmkit.loader._image import Image
from vmmkit.loader._pvh import PvhImage, pvh_entry

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["flat", "read", "read_elf", "read_pvh"]


def read(data: Buffer) -> Image:
    """Read an image of any format that says what it is.

    An ELF file with a PVH note is a "pvh" image, one without it "elf".

    Raises:
        ImageFormatError: none of the formats, or a malformed one.
    """
    content = bytes(data)
    if _elf.is_elf(content):
        file = _elf.parse(content)
        entry = pvh_entry(file)
        return ElfImage(file) if entry is None else PvhImage(file, entry)
    raise ImageFormatError("no ELF file: give `flat` a base and an entry if it is a flat binary")


def read_elf(data: Buffer) -> ElfImage:
    """Read an ELF program to be started at its entry point in the mode of its class.

    Raises:
        ImageFormatError: no ELF program of an x86 processor, or a malformed one.
    """
    return ElfImage(_elf.parse(bytes(data)))


def read_pvh(data: Buffer) -> PvhImage:
    """Read an ELF file with the note of a PVH entry point.

    Raises:
        ImageFormatError: no such note, or no ELF program of an x86 processor.
    """
    file = _elf.parse(bytes(data))
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
    content = bytes(data)
    start = base if entry is None else entry
    reach = {16: 0xF_FFFF, 32: 0xFFFF_FFFF, 64: (1 << 47) - 1}.get(mode, -1)
    if not content or not 0 <= start <= reach:
        raise ImageFormatError(f"{len(content)} bytes entered at {start:#x} in mode {mode}")
    return FlatImage(content, base, start, mode)
