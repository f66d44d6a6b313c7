# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Device classes on the fly, and a machine with one device in it."""

from vmmkit.memregion import RegionMap
from vmmkit.pci.bars import MemBar
from vmmkit.pci.device import PciDevice
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting

COMMAND, BAR0 = 0x04, 0x10
MEMORY, MASTER = 0b010, 0b100


def make_class(name="Made", bases=(PciDevice,), /, **body):
    """Create a device class; a BAR of 4 KiB is there unless the body says otherwise."""
    body = {"__doc__": None, "vendor_id": 0x1234, "device_id": 1, "regs": MemBar(0, 4096)} | body
    return type(name, bases, body)


def window(device, index=0):
    """Return the functions that answer in a BAR: what an address map calls."""
    declaration = device.bar(index).declaration
    return (
        lambda offset, size=4: declaration.read("cpu", offset, size),
        lambda offset, value, size=4: declaration.write("cpu", offset, size, value),
    )


class Machine:
    """RAM, a host bridge, and a device at 00:03.0 whose BAR 0 the guest has put somewhere."""

    base = 0xC000_0000

    def __init__(self, device):
        self.device = device
        self.memory = bytearray(0x10000)
        self.mmio = RegionMap(name="mmio")
        self.mmio.add_ram(0, self.memory, name="ram")
        self.messages = []
        self.lines = []
        self.host = HostBridge(
            self.mmio,
            send_msi=lambda address, data, requester: self.messages.append((address, data)),
            routing=IntxRouting.swizzled(),
            set_gsi=lambda gsi, level: self.lines.append(level),
        )
        self.host.bus.attach(device, 3)
        self.config(BAR0, 4, self.base)
        self.config(COMMAND, 2, MEMORY | MASTER)
        self.port = self.mmio.port("cpu")

    def config(self, offset, size, value):
        self.host.config_write(self.device.bdf, offset, size, value)

    def enable_msi(self, data=0x41):
        at = self.device.config.msi.offset
        self.config(at + 4, 4, 0xFEE0_0000)
        self.config(at + 12, 2, data)
        self.config(at + 2, 2, 1)

    def sent(self):
        """Return the data of the messages since the last call."""
        data = [message[1] for message in self.messages]
        self.messages.clear()
        return data

    def read(self, offset, size=4):
        return self.port.read(self.base + offset, size)

    def write(self, offset, value, size=4):
        self.port.write(self.base + offset, size, value)
