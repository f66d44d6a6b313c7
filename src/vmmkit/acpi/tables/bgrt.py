# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BGRT: the image that firmware shows while the machine starts.

ACPI Specification 6.5, Boot Graphics Resource Table (BGRT).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from vmmkit.acpi.relocation import Pointer
from vmmkit.acpi.structure import pointer, structure, u8, u16, u32
from vmmkit.acpi.tables.table import Table

__all__ = ["Bgrt", "BgrtStatus", "ImageType"]


class BgrtStatus(IntFlag):
    """Of the image. Both orientation bits say how far it is turned clockwise."""

    DISPLAYED = 1
    ORIENTATION_90 = 2
    ORIENTATION_180 = 4
    ORIENTATION_270 = 6


class ImageType(IntEnum):
    """How the image is stored."""

    BITMAP = 0  #: a Windows BMP file of 24 bits a pixel


@structure
class Bgrt(Table):
    """The Boot Graphics Resource Table, ACPI Specification 6.5, section of that title.

    Args:
        image_address: an address, or a `Blob` that is the image.
        image_offset_x: pixels from the left edge of the screen to the image.
        image_offset_y: pixels from the top edge.
        status: see `BgrtStatus`.
        image_type: see `ImageType`.
        version: of the table; 1.
    """

    SIGNATURE = "BGRT"

    version: int = u16(default=1, kw_only=True)
    status: BgrtStatus = u8(default=BgrtStatus(0), kw_only=True, enum=BgrtStatus)
    image_type: ImageType = u8(default=ImageType.BITMAP, kw_only=True, enum=ImageType)
    image_address: Pointer = pointer(8)
    image_offset_x: int = u32(default=0)
    image_offset_y: int = u32(default=0)
