# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Describe a PC to its guest: the values that wire its PCI bus make its ACPI tables as well."""

from collections.abc import Iterator

from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.aml.resources import Interrupt, Memory32Fixed, Resources
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.values import Ecam
from vmmkit.memregion import RegionMap
from vmmkit.pci import HostBridge, IntxRouting

RAM_SIZE, TABLES_SIZE, RSDP = 64 << 20, 0x1_0000, 0xF_0000
LOW_END, HIGH_START = 0xA_0000, 0x10_0000
ECAM = Ecam(0xE000_0000)
WINDOWS = {"io": [(0x1000, 0xF000)], "mem": [(0xC000_0000, 0x2000_0000)]}
ROUTING = IntxRouting.swizzled(first_gsi=16, links=8)
KINDS = {1: "RAM", 2: "reserved", 3: "ACPI data", 4: "ACPI NVS"}


class Doorbell:
    """A device of our own, which describes itself."""

    base, gsi = 0xFEB0_0000, 12

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        context.claim_memory("the doorbell", self.base, 0x1000)
        context.claim_interrupt("the doorbell", self.gsi, level=True)
        resources = Resources(Memory32Fixed(self.base, 0x1000), Interrupt(self.gsi))
        yield Device("BELL", Name("_HID", "VMMK0002"), Name("_CRS", resources))


class Machine:
    def __init__(self) -> None:
        self.mmio, self.pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
        self.ram = memoryview(bytearray(RAM_SIZE))
        self.mmio.add_ram(0, self.ram, name="RAM")
        self.host = HostBridge(self.mmio, self.pio, windows=WINDOWS, routing=ROUTING)
        self.mmio.add(ECAM.base, self.host.ecam.size, self.host.ecam, name="ECAM")
        self.pio.add(0xCF8, 8, self.host.config_ports, name="configuration ports")
        self.platform = q35_like(
            cpus=4, ecam=ECAM, windows=WINDOWS, routing=ROUTING.entries(), devices=[Doorbell()]
        )
        tables = self.platform.table_set()
        self.placement = tables.place(RAM_SIZE - TABLES_SIZE, limit=RAM_SIZE, rsdp=RSDP)
        for gpa, data, _name in self.placement.pieces:
            self.ram[gpa : gpa + len(data)] = data

    def e820(self) -> list[tuple[int, int, int]]:
        """Return what the boot protocol tells the guest about its memory."""
        top = RAM_SIZE - TABLES_SIZE
        ram = [(0, LOW_END, 1), (HIGH_START, top - HIGH_START, 1)]
        return sorted([*ram, *self.placement.e820, *self.platform.e820()])


def main() -> None:
    machine = Machine()
    for gpa, data, name in machine.placement.pieces:
        print(f"{gpa:#010x} {len(data):5} bytes  {name}")
    print(f"the RSDP is at {machine.placement.rsdp:#x}; the guest's memory:")
    for base, size, kind in machine.e820():
        print(f"{base:#010x}-{base + size - 1:#010x}  {KINDS[kind]}")


if __name__ == "__main__":
    main()
