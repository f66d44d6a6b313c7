# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PVH: ELF files that say in a note where they start, and are handed a start_info.

Xen, "x86/HVM direct boot ABI" (docs/misc/pvh) and public/arch-x86/hvm/start_info.h.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final

from attrs import frozen

from vmmkit.errors import ImageFormatError
from vmmkit.loader._elf import ElfFile, place_elf
from vmmkit.loader._image import Handover, Image, checked_entry, file_list
from vmmkit.loader._plan import Plan
from vmmkit.loader._startup import Startup, protected_mode

__all__ = ["PvhImage", "pvh_entry"]

ENTRY_NOTE: Final = (b"Xen", 18)  # XEN_ELFNOTE_PHYS32_ENTRY
START_INFO: Final = struct.Struct("<4I4Q2I")
MAGIC: Final = 0x336E_C578
VERSION: Final = 1  # the first with a memory map
MODULE: Final = struct.Struct("<4Q")
MEMORY: Final = struct.Struct("<2Q2I")


def pvh_entry(file: ElfFile) -> int | None:
    """Return the entry point that a note names, or None.

    Raises:
        ImageFormatError: a note that is no 32-bit address of what is loaded.
    """
    for note in file.notes:
        if (note.name, note.kind) == ENTRY_NOTE:
            entry = int.from_bytes(note.content, "little")
            if len(note.content) not in {4, 8} or entry > 0xFFFF_FFFF:
                raise ImageFormatError(f"PVH entry {note.content.hex()} is no 32-bit address")
            return checked_entry(entry, file.segments)
    return None


@frozen
class PvhImage(Image):
    """An ELF file with a PVH entry point: started in 32-bit mode with EBX at its start_info."""

    kind: ClassVar[str] = "pvh"
    file: ElfFile
    entry: int
    """Physical address of the first instruction, where the file is not moved."""

    def _place(self, plan: Plan, handover: Handover) -> Startup:
        shift = place_elf(plan, self.file, handover)
        where = place_start_info(plan, handover)
        return protected_mode(plan, self.entry + shift, rbx=where)


def place_start_info(plan: Plan, handover: Handover) -> int:
    """Place the structure and all it points to; return its address."""
    files = file_list(handover)
    rows = []
    for number, (data, text) in enumerate(files):
        gpa = plan.place_high(f"module {number}", data, 0xFFFF_FFFF) if data else 0
        string = plan.place(f"string of module {number}", text + b"\0", 1) if text else 0
        rows.append(MODULE.pack(gpa, len(data), string, 0))
    modules = plan.place("modules", b"".join(rows), 8) if rows else 0
    cmdline = plan.place("command line", handover.cmdline + b"\0", 1)
    ranges = b"".join(MEMORY.pack(*one, 0) for one in plan.memory)
    memory = plan.place("memory map", ranges, 8)
    head = (MAGIC, VERSION, 0, len(rows), modules, cmdline, handover.rsdp, memory)
    return plan.place("start_info", START_INFO.pack(*head, len(plan.memory), 0), 8)
