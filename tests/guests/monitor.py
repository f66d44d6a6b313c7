# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Runs a compiled guest: RAM, a serial port, and a software vCPU in the mode it was compiled for.

The image is at 1000h and its result at E000h, both below 64 KiB so that 16-bit guests reach them;
page tables, where a mode has some, begin at 10000h.
"""

import struct
from typing import NamedTuple

from vmmkit.backends import SoftVcpu
from vmmkit.devices.uart16550 import Uart16550
from vmmkit.insn import Feature, Halt, Unsupported
from vmmkit.memregion import RegionMap

IMAGE, RESULT, RESULT_SIZE, TABLES, RAM = 0x1000, 0xE000, 1024, 0x1_0000, 0x2_0000
CR0_PG, CR4_PSE, CR4_PAE = 1 << 31, 1 << 4, 1 << 5
PRESENT, WRITABLE, LARGE = 1, 2, 0x80

# What guests are compiled for beyond what a vCPU shows by itself.
NEWER = Feature.SSE42 | Feature.SSSE3 | Feature.SSE41 | Feature.AVX | Feature.AVX2
NEWER |= Feature.AVX512F | Feature.AVX512BW | Feature.AVX512DQ | Feature.AVX512VL


class Finished(NamedTuple):
    """What a program left behind."""

    console: str
    result: bytes


class NotExecutedError(Exception):
    """The guest was compiled to an instruction that the engines do not execute."""


class Guest:
    """A machine with one image loaded."""

    def __init__(self, image, bits, engine, *, paging=None):
        self.ram, self.console = bytearray(RAM), bytearray()
        self.ram[IMAGE : IMAGE + len(image)] = image
        self.vcpu = SoftVcpu([(0, self.ram)], engine=engine)
        self.vcpu.state.features |= NEWER
        self.mmio, self.pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
        self.pio.add(0x3F8, 8, Uart16550(transmit=self.console.append), name="com1")
        state = self.vcpu.state
        if bits == 16:
            state.enter_real_mode(IMAGE)
        elif bits == 32:
            state.enter_protected_mode(IMAGE)
            {None: lambda: None, "32-bit": self._page_32, "PAE": self._page_pae}[paging]()
        else:
            self._chain(8, LARGE, levels=3)
            state.enter_long_mode(IMAGE, TABLES)

    def _chain(self, size, last, levels):
        """One table per level, each with its first entry; the last maps a large page at 0."""
        for level in range(levels):
            table = TABLES + 0x1000 * level
            below = 0 if level == levels - 1 else table + 0x1000
            rights = PRESENT | WRITABLE | (last if level == levels - 1 else 0)
            self.ram[table : table + size] = (below | rights).to_bytes(size, "little")

    def _page_32(self):
        self._chain(4, LARGE, levels=1)
        self._turn_on(CR4_PSE)

    def _page_pae(self):
        self._chain(8, LARGE, levels=2)
        self.ram[TABLES] &= ~WRITABLE  # a reserved bit in the entries of the first level
        self._turn_on(CR4_PAE)

    def _turn_on(self, cr4):
        state = self.vcpu.state
        state.cr3, state.cr4, state.cr0 = TABLES, cr4, state.cr0 | CR0_PG

    def run(self, scale, budget):
        """Run to the HLT at the end."""
        struct.pack_into("<I", self.ram, RESULT, scale)
        mmio, pio = self.mmio.port(self.vcpu), self.pio.port(self.vcpu)
        outcome = self.vcpu.run_through(mmio, pio, budget)
        if isinstance(outcome, Unsupported):
            raise NotExecutedError(outcome)
        assert isinstance(outcome, Halt), f"{outcome} at {self.vcpu.state.rip:#x}"
        result = bytes(self.ram[RESULT : RESULT + RESULT_SIZE])
        return Finished(self.console.decode(), result)
