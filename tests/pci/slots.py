# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A host with a hot-plug root port, endpoints to put into it, and a guest's hands."""

from types import SimpleNamespace

from vmmkit.memregion import RegionMap
from vmmkit.pci.assignment import assign
from vmmkit.pci.bars import IoBar, MemBar
from vmmkit.pci.capabilities import Msi, PciExpress, PowerManagement, Slot
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting
from vmmkit.pci.ports import RootPort

MIB = 1 << 20
COMMAND, STATUS, BRIDGE_CONTROL = 0x04, 0x06, 0x3E
LINK_CONTROL, LINK_STATUS, SLOT_CONTROL, SLOT_STATUS = 0x10, 0x12, 0x18, 0x1A
DEVICE_CONTROL, FLR = 0x08, 0x8000

# Slot Control
BUTTON_ENABLE, FAULT_ENABLE, LATCH_ENABLE, PRESENCE_ENABLE = 0x01, 0x02, 0x04, 0x08
COMPLETED_ENABLE, INTERRUPT_ENABLE, LINK_ENABLE = 0x10, 0x20, 0x1000
POWER_OFF, INDICATOR, ON, BLINK, OFF = 0x0400, 0x0300, 0x0100, 0x0200, 0x0300
# Slot Status
BUTTON, FAULT, LATCH, PRESENCE_CHANGED, COMPLETED = 0x01, 0x02, 0x04, 0x08, 0x10
LATCH_OPEN, PRESENT, LINK_CHANGED = 0x20, 0x40, 0x100
EVENTS = 0x11F

FULL = Slot(
    number=7,
    hot_plug=True,
    surprise=True,
    attention_button=True,
    power_controller=True,
    attention_indicator=True,
    power_indicator=True,
)
PLAIN = Slot(number=8, hot_plug=True, surprise=True)
MSI_ADDRESS, MSI_DATA = 0xFEE0_0000, 0x41


class Endpoint(Function):
    """An endpoint that writes down what it is told."""

    def __init__(self, name="dev", *bars, no_soft_reset=False):
        config = ConfigSpace.type0(vendor_id=0x1234, device_id=0x5678, class_code=0xFF0000)
        config.add(PciExpress())
        config.add(PowerManagement(no_soft_reset=no_soft_reset))
        config.add(Msi(maskable=True))
        self.told = []
        self.cells = {}
        super().__init__(config, bars or (MemBar(0, 0x1000), IoBar(1, 16)), name=name, intx="A")

    def read(self, _vcpu, bar, offset, size):
        return self.cells.get((bar, offset), 0) & (1 << 8 * size) - 1

    def write(self, _vcpu, bar, offset, _size, value):
        self.cells[bar, offset] = value

    def on_mapped(self, bar):
        self.told.append(("mapped", bar.index))

    def on_unmapped(self, bar):
        self.told.append(("unmapped", bar.index))

    def on_reset(self, kind):
        self.told.append(("reset", kind.value))


class Machine:
    """Maps, host bridge, and what arrived from the interrupts."""

    def __init__(self):
        self.mmio = RegionMap(address_bits=40, name="memory")
        self.pio = RegionMap(address_bits=16, name="ports", access_sizes=(1, 2, 4))
        self.mmio.add_fallback(0xC000_0000, 512 * MIB, name="pci hole")
        self.messages, self.lines = [], []
        self.host = HostBridge(
            self.mmio,
            self.pio,
            routing=IntxRouting.swizzled(),
            set_gsi=lambda gsi, level: self.lines.append((gsi, level)),
            send_msi=lambda address, data, requester: self.messages.append((requester, data)),
        )

    def assign(self, **options):
        return assign(
            self.host,
            io=[(0x1000, 0xF000)],
            mem=[(0xC000_0000, 512 * MIB)],
            mem64=[(1 << 38, 1 << 36)],
            **options,
        )

    def taken(self):
        """Return how often an interrupt message arrived since the last call."""
        count = len(self.messages)
        self.messages.clear()
        return count

    def write(self, function, offset, size, value):
        self.host.config_write(function.bdf, offset, size, value)

    def read(self, function, offset, size):
        return self.host.config_read(function.bdf, offset, size)

    def express(self, function, register, value=None):
        """Read a word of the PCI Express capability, or write it."""
        at = function.config.find(PciExpress.cap_id) + register
        return self.read(function, at, 2) if value is None else self.write(function, at, 2, value)

    def set_command(self, function, bits):
        self.write(function, COMMAND, 2, self.read(function, COMMAND, 2) | bits)

    def power_state(self, function, state):
        self.write(function, function.config.find(PowerManagement.cap_id) + 4, 1, state)

    def enable_msi(self, function):
        view = function.config.msi
        self.write(function, view.offset + 4, 4, MSI_ADDRESS)
        self.write(function, view.offset + 12, 2, MSI_DATA)
        self.write(function, view.offset + 2, 2, 1)
        self.set_command(function, 4)

    def settle(self):
        """Check that everything is in step."""
        self.host._check()


def machine_with_slot(slot=FULL, *, msi=True, intx=None):
    """Return a machine whose port at 01.0 has a slot, numbered and with windows."""
    machine = Machine()
    port = RootPort(slot=slot, name="port", intx=intx)
    machine.host.bus.attach(port, 1)
    machine.assign()
    if msi:
        machine.enable_msi(port)
    return SimpleNamespace(machine=machine, port=port, slot=port.slot)
