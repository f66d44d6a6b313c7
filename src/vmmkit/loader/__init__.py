# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guest images: read, placed in a guest's memory, and the state their boot protocol starts in.

Bytes in, a plan out; nothing here opens a file or owns memory:

>>> from vmmkit import loader
>>> image = loader.flat(bytes.fromhex("f4"), base=0x1000, mode=64)
>>> boot = image.boot(memory=[(0, 1 << 20, 1)])
>>> [(name, hex(gpa)) for name, gpa, size in boot.layout]
[('segment 0', '0x1000'), ('page tables', '0x99000'), ('GDT', '0x9ffe0')]

`boot.write(ram)` puts it into the guest's RAM, `boot.start(vcpu.state)` sets the registers.
"""

from vmmkit.loader._bzimage import BzImage, SetupHeader
from vmmkit.loader._elf import ElfFile, ElfImage, Note
from vmmkit.loader._flat import FlatImage
from vmmkit.loader._image import Image, Module, Segment
from vmmkit.loader._memory import MemoryRange
from vmmkit.loader._multiboot import MultibootImage
from vmmkit.loader._multiboot2 import Multiboot2Image
from vmmkit.loader._plan import Boot, Placed
from vmmkit.loader._pvh import PvhImage
from vmmkit.loader._read import (
    flat,
    read,
    read_bzimage,
    read_elf,
    read_multiboot,
    read_multiboot2,
    read_pvh,
)
from vmmkit.loader._startup import StartableState, Startup

__all__ = [
    "read",
    "flat",
    "read_elf",
    "read_pvh",
    "read_multiboot",
    "read_multiboot2",
    "read_bzimage",
    "Image",
    "Module",
    "Boot",
    "Placed",
    "MemoryRange",
    "Startup",
    "StartableState",
    "FlatImage",
    "ElfImage",
    "ElfFile",
    "Segment",
    "Note",
    "PvhImage",
    "MultibootImage",
    "Multiboot2Image",
    "BzImage",
    "SetupHeader",
]
