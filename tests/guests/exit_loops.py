# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guests that do nothing but exit, for `benchmarks/bench_monitor.py`.

Loops of one instruction, in real mode and in long mode, and loops that hardly exit at all.
"""

import struct
from typing import NamedTuple

from vmmkit.backends.kvm import allocate_ram
from vmmkit.insn import CpuState, Segment

RAM, DEVICE, DEVICE_SIZE, PORT = 0x8000, 0x8000, 0x1000, 0x80
CODE, PML4, PDPT, PD = 0x1000, 0x2000, 0x3000, 0x4000
PRESENT_WRITABLE_USER, ACCESSED_DIRTY, LARGE = 7, 0x60, 0x80
CPL3, DPL3, RFLAGS_IOPL3 = 3, 0x60, 0x3002


class Guest(NamedTuple):
    """One loop."""

    label: str
    mode: str  #: "real", which is CPL 0, or "long", at CPL 3 with I/O privilege
    code: bytes

    def ram(self):
        """Return the RAM: code and page tables, which map the first 2 MiB to themselves."""
        image = allocate_ram(RAM)
        image[CODE : CODE + len(self.code)] = self.code
        flags = PRESENT_WRITABLE_USER | ACCESSED_DIRTY
        for table, entry in ((PML4, PDPT | flags), (PDPT, PD | flags), (PD, flags | LARGE)):
            struct.pack_into("<Q", image, table, entry)
        return image

    def begin(self, state: CpuState) -> None:
        """Point a vCPU at the loop."""
        if self.mode == "real":
            state.enter_real_mode(CODE)
            return
        state.enter_long_mode(CODE, PML4)
        state.rflags = RFLAGS_IOPL3
        for name in ("cs", "ss", "ds", "es", "fs", "gs"):
            flat = getattr(state, name)
            raised = flat.selector | CPL3, flat.base, flat.limit, flat.attributes | DPL3
            setattr(state, name, Segment(*raised))


READ = {"real": bytes.fromhex("a00080 ebfb"), "long": bytes.fromhex("8a042500800000 ebf7")}
WRITE = {"real": bytes.fromhex("a20080 ebfb"), "long": bytes.fromhex("88042500800000 ebf7")}
IN, OUT = bytes.fromhex("e480 ebfc"), bytes.fromhex("e680 ebfc")
POPCNT = bytes.fromhex("f30fb8042500800000 ebf5")  # popcnt eax, [8000h]
SPIN = bytes.fromhex("ebfe")
#: Counts RBX down from RCX and then writes to a port, again and again.
WORK = bytes.fromhex("4889cb 48ffcb 75fb e680 ebf4")

TITLES = {"real": "real mode, CPL 0", "long": "long mode, CPL 3"}
INSTRUCTIONS = (
    ("mov al, [device]", READ),
    ("mov [device], al", WRITE),
    ("in al, 80h", dict.fromkeys(TITLES, IN)),
    ("out 80h, al", dict.fromkeys(TITLES, OUT)),
)
EXITS = [
    Guest(f"{title}: `{text}; jmp`", mode, codes[mode])
    for mode, title in TITLES.items()
    for text, codes in INSTRUCTIONS
]
SECOND_CHANCE = Guest("long mode, CPL 3: `popcnt eax, [device]; jmp`", "long", POPCNT)
SPINNING = Guest("long mode, CPL 3: `jmp $`", "long", SPIN)
WORKING = Guest("long mode, CPL 3: a counting loop", "long", WORK)
