# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A device comes and goes in the slot of a root port: what the guest reads, step by step."""

from __future__ import annotations

import json
import socket

import pytest

from qemu.machines import BDF, SLOT, OwnMachine
from qemu.pairs import HOT_PLUG
from qemu.registers import registers_of
from vmmkit.devices.virtio.rng import VirtioRng
from vmmkit.pci.capabilities import Slot
from vmmkit.pci.ports import RootPort

pytestmark = pytest.mark.qemu

PATIENCE = 10  # seconds
BELOW = 0x100
# Slot Control: enables of button, presence and interrupt, indicators off, and power.
ENABLES, POWER_OFF = 0x29, 0x400
LIT, BLINKING, DARK = 0x100, 0x200, 0x300
ATTENTION_DARK = 0xC0
ATTENTION_BUTTON, PRESENCE_CHANGED, COMMAND_COMPLETED, PRESENT = 1, 8, 0x10, 0x40
SEEN = ATTENTION_BUTTON | PRESENCE_CHANGED | COMMAND_COMPLETED | PRESENT


class Monitor:
    """QEMU's monitor, by its machine protocol over a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile()
        json.loads(self.lines.readline())
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "return" not in (answer := json.loads(self.lines.readline())):
            assert "error" not in answer, answer

    def close(self):
        self.lines.close()
        self.socket.close()


class Port:
    """A root port as its driver sees it."""

    def __init__(self, machine):
        self.machine, self.config = machine, machine.registers(BDF)
        self.config.write32(0x18, 0x0001_0100)
        registers = registers_of(self.config)
        self.control = registers["Slot Control"].offset
        self.status = registers["Slot Status"].offset
        self.link = registers["Link Status"].offset

    def command(self, value):
        self.config.write16(self.control, value)

    def look(self):
        """Return slot status, Interrupt Status, and whether the device answers; acknowledge."""
        status = self.config.read16(self.status) & SEEN
        pin = self.config.read16(0x06) >> 3 & 1
        answers = self.machine.registers(BELOW).read16(0) != 0xFFFF
        for bit in (ATTENTION_BUTTON, PRESENCE_CHANGED, COMMAND_COMPLETED):
            if status & bit:
                self.config.write16(self.status, bit)
        left = self.config.read16(self.status) & SEEN
        return [hex(status), pin, answers, hex(left), self.config.read16(0x06) >> 3 & 1]


class QemuPort(Port):
    def __init__(self, machine, monitor):
        super().__init__(machine)
        self.monitor = monitor

    def plug(self):
        self.monitor.ask("device_add", driver="virtio-rng-pci", id="rng", bus="root")

    def request_eject(self):
        self.monitor.ask("device_del", id="rng")


class OwnPort(Port):
    def __init__(self, machine, slot):
        super().__init__(machine)
        self.slot = slot

    def plug(self):
        """Plug and press the button, as QEMU does."""
        self.slot.plug(VirtioRng())
        self.slot.press_attention_button()

    def request_eject(self):
        self.slot.request_eject()


@pytest.fixture
def ports(start_qemu, tmp_path):
    path = tmp_path / "monitor"
    other = start_qemu(
        *("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"),
        *("-qmp", f"unix:{path},server=on,wait=off"),
        *("-device", "pcie-root-port,id=root,addr=4,chassis=1,slot=1"),
    )
    own, port = OwnMachine(), RootPort(slot=Slot(number=1, **HOT_PLUG), intx="A")
    own.host.bridge.bus.attach(port, SLOT)
    monitor = Monitor(path)
    yield QemuPort(other, monitor), OwnPort(own, port.slot)
    monitor.close()


def test_a_device_comes_and_goes(ports):
    quiet = ENABLES | ATTENTION_DARK
    steps = {
        "empty": lambda port: None,
        "enabled": lambda port: port.command(quiet | DARK | POWER_OFF),
        "plugged": lambda port: port.plug(),
        "blinking": lambda port: port.command(quiet | BLINKING | POWER_OFF),
        "powered": lambda port: port.command(quiet | BLINKING),
        "lit": lambda port: port.command(quiet | LIT),
        "button": lambda port: port.request_eject(),
        "leaving": lambda port: port.command(quiet | BLINKING),
        "gone": lambda port: port.command(quiet | DARK | POWER_OFF),
        "again": lambda port: port.plug(),
        "powered again": lambda port: port.command(quiet | LIT),
    }
    for name, step in steps.items():
        seen = []
        for port in ports:
            step(port)
            seen.append(port.look())
        if name == "gone":
            # Base, "Software Notification of Hot-Plug Events": Presence Detect Changed, enabled,
            # interrupts. QEMU sets the bit and does not.
            pins = seen[0].pop(1), seen[1].pop(1)
            assert pins == (0, 1)
        assert seen[0] == seen[1], name
