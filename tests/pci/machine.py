# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A machine with PCI, as a guest's programs see it: two address maps and a port into each."""

from __future__ import annotations

from vmmkit.memregion import IMMUTABLE, RegionMap
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge

ECAM = 0xE000_0000


class Machine:
    """Maps, a host bridge, and what the guest does.

    Attributes:
        told: notifications of all functions made here, in order.
        slots: events of memory slots: additions, removals and moves of RAM and ROM.
    """

    def __init__(self, **options):
        self.mmio = RegionMap(address_bits=48, name="memory", straddle="split")
        self.pio = RegionMap(
            address_bits=16, name="ports", access_sizes=(1, 2, 4), straddle="split"
        )
        self.mmio.add_fallback(0, 1 << 48)
        self.pio.add_fallback(0, 1 << 16)
        self.host = HostBridge(self.mmio, self.pio, **options)
        self.mmio.add(ECAM, self.host.ecam.size, self.host.ecam, name="ecam", flags=IMMUTABLE)
        self.pio.add(0xCF8, 8, self.host.config_ports, name="config ports")
        self.memory, self.ports = self.mmio.port("cpu0"), self.pio.port("cpu0")
        self.told = []
        self.slots = []
        self.mmio.subscribe(self)

    # As a listener, what a hypervisor would do for memory slots.

    def region_added(self, region):
        if region.buffer is not None:
            self.slots.append(("added", region.name))

    def region_removed(self, region):
        if region.buffer is not None:
            self.slots.append(("removed", region.name))

    def region_moved(self, region, _old_base):
        if region.buffer is not None:
            self.slots.append(("moved", region.name))

    def plug(self, device, *bars, bus=None, function=0, capabilities=(), **options):
        """Attach a function that tells of everything."""
        config = ConfigSpace.type0(vendor_id=0x1234, device_id=device, class_code=0xFF0000)
        for capability in capabilities:
            config.add(capability)
        made = Told(self.told, config, bars, **options)
        (bus or self.host.bus).attach(made, device, function)
        return made

    def plug_bridge(self, device, *bars, bus=None, capabilities=(), config=None, **options):
        """Attach a bridge."""
        config = config or ConfigSpace.type1(vendor_id=0x1234, device_id=0x100 + device)
        for capability in capabilities:
            config.add(capability)
        made = Bridge(config, bars, **options)
        (bus or self.host.bus).attach(made, device)
        return made

    def read(self, function, offset, size=4):
        """Read a config space through ECAM."""
        return self.memory.read(ECAM + (function.bdf << 12) + offset, size)

    def write(self, function, offset, size, value):
        """Write a config space through ECAM."""
        self.memory.write(ECAM + (function.bdf << 12) + offset, size, value)

    def number(self, bridge, secondary, subordinate=None):
        """Give a bridge its bus numbers."""
        self.write(bridge, 0x19, 1, secondary)
        self.write(bridge, 0x1A, 1, secondary if subordinate is None else subordinate)

    def open(self, bridge, first, last):
        """Set a bridge's memory window to whole MiB, and enable it."""
        self.write(bridge, 0x20, 4, (last >> 20 << 4) << 16 | first >> 20 << 4)
        self.write(bridge, 4, 2, 7)

    def check(self):
        self.host._check()
        self.mmio._check()
        self.pio._check()


class Told(Function):
    """A function that keeps what it is told."""

    def __init__(self, told, *arguments, **options):
        super().__init__(*arguments, **options)
        self.told = told

    def on_mapped(self, bar):
        self.told.append(("mapped", self.name, bar.index, bar.address))

    def on_unmapped(self, bar):
        self.told.append(("unmapped", self.name, bar.index))

    def on_moved(self, bar, old_base):
        self.told.append(("moved", self.name, bar.index, old_base, bar.address))

    def on_reset(self, kind):
        self.told.append(("reset", self.name, kind.value))


def label(value):
    """Return a `read` that answers with the same value everywhere."""
    return lambda _vcpu, _offset, _size: value
