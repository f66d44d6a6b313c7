# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The board: memory, the machine, the PCI host bridge, and tables that say the same of them."""

from __future__ import annotations

import mmap
from argparse import Namespace
from contextlib import ExitStack
from functools import partial
from typing import Any

from backend import make_machine
from options import UsageError
from tracing import Trace

from vmmkit.acpi.platform import Ecam, pm_registers, q35_like
from vmmkit.devices.hostbridge import PciHostBridge
from vmmkit.memregion import IMMUTABLE, RegionMap, all_ones
from vmmkit.pci import HostBridge, IntxRouting, assign

GIB = 1 << 30
VGA_HOLE, HIGH_RAM, PCI_HOLE, ABOVE = 0xA_0000, 0xC_0000, 0xC000_0000, 4 * GIB
TABLES, TABLES_END = 0xE_0000, 0x10_0000
ECAM = Ecam(0xE000_0000)
WINDOWS = {
    "io": [(0x1000, 0xF000)],
    "mem": [(PCI_HOLE, 0x2000_0000), (0xF000_0000, 0xEC0_0000), (32 * GIB, 32 * GIB)],
}
ROUTING = IntxRouting.swizzled(first_gsi=16, links=8)
GSIS, SCI, PM_BASE = 24, 9, 0x600
RAM, RESERVED = 1, 2


def allocate(size: int) -> list[tuple[int, memoryview]]:
    """Return RAM as (gpa, buffer), page by page: what has no room below the PCI hole is above."""
    low = min(size, PCI_HOLE)
    try:
        memory = memoryview(mmap.mmap(-1, size))
    except OSError as error:
        raise UsageError(f"--memory {size >> 20}M: {error.strerror}") from error
    pieces = [(0, memory[:VGA_HOLE]), (HIGH_RAM, memory[HIGH_RAM:low]), (ABOVE, memory[low:])]
    return [(gpa, buffer) for gpa, buffer in pieces if len(buffer)]


class Board:
    def __init__(self, options: Namespace, trace: Trace, stack: ExitStack) -> None:
        self.ram = allocate(options.memory)
        new_map = partial(RegionMap, straddle="split", instruments=trace.instruments)
        self.mmio = new_map(address_bits=52, name="mmio")
        self.pio = new_map(address_bits=16, name="pio")
        for gpa, buffer in self.ram:
            self.mmio.add_ram(gpa, buffer, name="RAM")
        self.mmio.add_fallback(0, PCI_HOLE, all_ones, name="no RAM")
        self.mmio.add_fallback(PCI_HOLE, ABOVE - PCI_HOLE, all_ones, name="PCI hole")
        self.mmio.add_fallback(ABOVE, (1 << 52) - ABOVE, all_ones, name="no RAM above")
        self.pio.add_fallback(0, 1 << 16, all_ones, name="empty ports")
        self.machine: Any = make_machine(options, stack, self.ram, mmio=self.mmio, pio=self.pio)
        self._lines = [self.machine.line(gsi) for gsi in range(GSIS)]
        self.host = HostBridge(
            self.mmio,
            self.pio,
            windows=WINDOWS,
            routing=ROUTING,
            set_gsi=lambda gsi, level: self._lines[gsi](level),
            send_msi=lambda address, data, _requester: self.machine.msi(address, data),
        )
        self.mmio.add(ECAM.base, ECAM.size, self.host.ecam, name="ECAM", flags=IMMUTABLE)
        self.pio.add(0xCF8, 8, self.host.config_ports, name="configuration ports")
        self.host.bus.attach(PciHostBridge(), 0)
        self.platform = q35_like(
            cpus=options.vcpus,
            ecam=ECAM,
            windows=WINDOWS,
            routing=ROUTING.entries(),
            power_registers=pm_registers(PM_BASE, gpes=0),
            sci=SCI,
            smi=None,
            hpet=False,
            vga=False,
        )
        self.placement = self.platform.table_set().place(TABLES, limit=TABLES_END)

    def firmware(self) -> None:
        """Do what firmware does: give out addresses, and leave tables in memory."""
        assign(self.host)
        below = self.ram[1]
        for gpa, data, _name in self.placement.pieces:
            below[1][gpa - below[0] : gpa - below[0] + len(data)] = data

    def e820(self) -> list[tuple[int, int, int]]:
        """Return the memory map for the boot protocol: base, size, kind."""
        (_, first), (_, low), *above = self.ram
        ram = [
            (0, len(first), RAM),
            (TABLES, TABLES_END - TABLES, RESERVED),
            (TABLES_END, HIGH_RAM + len(low) - TABLES_END, RAM),
            *((gpa, len(buffer), RAM) for gpa, buffer in above),
        ]
        return sorted([*ram, *self.platform.e820()])
