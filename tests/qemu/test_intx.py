# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The INTx lines against q35's, as its IOAPIC sees them: routing, swizzle, gates, wired-OR."""

from __future__ import annotations

import random

import pytest

from qemu.machines import MEMORY_BASE, OwnMachine
from vmmkit.devices.edu import Edu
from vmmkit.pci.intx import IntxRouting
from vmmkit.pci.ports import PciBridge, RootPort

pytestmark = pytest.mark.qemu

FIRST_GSI, LINKS = 20, 4  # q35 has slots 0-24 on PIRQE-PIRQH
ROOT_SLOTS = (1, 2, 3, 4, 5, 6, 7, 8, 20)
BRIDGE_SLOT, PORT_SLOT = 9, 10
BEHIND_BRIDGE = (1, 2, 3, 4, 13)
RAISE, ACK = 0x60, 0x64
MSI = 0x40
DISABLE = 0x400

#: bdf of each edu device, by its number.
PLACES = (
    *(slot << 3 for slot in ROOT_SLOTS),
    *(0x100 | slot << 3 for slot in BEHIND_BRIDGE),
    0x200,
)


class Line:
    """All edu devices of one machine, each with its BAR."""

    def __init__(self, machine):
        self.machine = machine
        self.configs = [machine.registers(bdf) for bdf in PLACES]
        for at, slot in ((1, BRIDGE_SLOT), (2, PORT_SLOT)):
            config = machine.registers(slot << 3)
            config.write32(0x18, at << 8 | at << 16)
            window = MEMORY_BASE + (at << 24) >> 16
            config.write32(0x20, window | window + 0xF0 << 16)
            config.write32(0x24, 0x0001_FFF1)
            config.write16(0x04, 6)
        self.bars = []
        for number, (bdf, config) in enumerate(zip(PLACES, self.configs, strict=True)):
            self.bars.append(MEMORY_BASE + ((bdf >> 8) << 24) + (number % 16 << 20))
            config.write32(0x10, self.bars[-1])
            config.write32(MSI + 4, 0x8000)
            config.write16(0x04, 6)

    def write(self, number, offset, value):
        self.machine.memory.write(self.bars[number] + offset, 4, value)


class QemuLine(Line):
    @property
    def levels(self):
        self.machine.qtest.ask("inb", "0x80")  # what changed comes before the answer
        irqs = self.machine.qtest.irqs
        return {gsi for gsi, level in irqs.items() if level and gsi >= FIRST_GSI}


class OwnLine(Line):
    @property
    def levels(self):
        return {gsi for gsi, level in self.machine.host.interrupts.levels.items() if level}


@pytest.fixture
def lines(start_qemu):
    options = [f"edu,addr={slot:#x}" for slot in ROOT_SLOTS]
    options += [
        f"pci-bridge,id=bridge,addr={BRIDGE_SLOT},chassis_nr=1",
        f"pcie-root-port,id=root,addr={PORT_SLOT:#x},chassis=2,slot=2",
        *(f"edu,bus=bridge,addr={slot:#x}" for slot in BEHIND_BRIDGE),
        "edu,bus=root",
    ]
    other = start_qemu(*(word for option in options for word in ("-device", option)))
    other.qtest.intercept("ioapic")
    for register in (0x60, 0x68):  # PIRQA-PIRQH go to the IOAPIC alone
        other.registers(0x1F << 3).write32(register, 0x8080_8080)
    own = OwnMachine(IntxRouting.swizzled(first_gsi=FIRST_GSI, links=LINKS))
    bus, bridge, port = own.host.bridge.bus, PciBridge(), RootPort()
    bus.attach(bridge, BRIDGE_SLOT)
    bus.attach(port, PORT_SLOT)
    behind = {0: bus, 1: bridge.secondary, 2: port.secondary}
    for bdf in PLACES:
        behind[bdf >> 8].attach(Edu(), bdf >> 3 & 31)
    return QemuLine(other), OwnLine(own)


def test_routing_and_swizzle(lines):
    """Which GSI the pin of each device gets to, behind bridges too."""
    seen = set()
    for number in range(len(PLACES)):
        found = []
        for line in lines:
            line.write(number, RAISE, 1)
            found.append(line.levels)
            line.write(number, ACK, 1)
            assert line.levels == set()
        assert found[0] == found[1]
        assert len(found[0]) == 1
        seen |= found[0]
    assert seen == set(range(FIRST_GSI, FIRST_GSI + LINKS))


def test_random_levels(lines):
    """Lines that are shared, Interrupt Disable, and MSI instead of the pin."""
    pick = random.Random(9)
    for step in range(1500):
        number, kind = pick.randrange(len(PLACES)), pick.random()
        for line in lines:
            config = line.configs[number]
            if kind < 0.4:
                line.write(number, RAISE, 1)
            elif kind < 0.75:
                line.write(number, ACK, 1)
            elif kind < 0.9:
                config.write16(0x04, config.read16(0x04) ^ DISABLE)
            else:
                line.write(number, ACK, 1)
                config.write16(MSI + 2, config.read16(MSI + 2) ^ 1)
        status = [[config.read16(0x06) & 8 for config in line.configs] for line in lines]
        assert status[0] == status[1], step
        assert lines[0].levels == lines[1].levels, step
