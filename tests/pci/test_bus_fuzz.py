# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random traffic on every way in: nothing raises, and map and registers stay in step."""

from __future__ import annotations

from random import Random

import pytest

from pci.machine import ECAM, Machine
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.spec import PortType

STEPS = 3000
BASES = [0, 0x10_0000, 0xC000_0000, 0xC000_1000, 0xC010_0000, ECAM, 0xFFFF_FFFF, 0xFFFF_F000]


def crowded():
    """A machine with bridges, and every kind of BAR and capability."""
    machine = Machine(last_bus=7)
    machine.mmio.add_ram(0, bytearray(0x10_0000), name="ram")
    express = PciExpress(port_type=PortType.ENDPOINT, flr=True)
    msix = Msix(vectors=8, table_bar=2, table_offset=0x1000, pba_bar=2, pba_offset=0x1800)
    bridge = machine.plug_bridge(1, MemBar(0, 0x1000), Rom(), capabilities=[PowerManagement()])
    inner = machine.plug_bridge(3, bus=bridge.secondary)
    for at, bus in enumerate((machine.host.bus, bridge.secondary, inner.secondary)):
        machine.plug(
            at + 8,
            MemBar(0, 0x4000, width=64, ram=True, traps=((0x1000, 0x1000),)),
            MemBar(2, 0x2000, prefetchable=True),
            IoBar(3, 32, max_width=1),
            MemBar(4, 0x1000, min_width=4, max_width=4),
            Rom(b"rom"),
            bus=bus,
            capabilities=[express, msix, Msi(vectors=4), PowerManagement(no_soft_reset=False)],
            intx="A",
        )
    machine.number(bridge, 1, 2)
    machine.number(inner, 2)
    return machine


class Fuzzer:
    def __init__(self, seed):
        self.random = Random(seed)
        self.machine = crowded()
        self.bdfs = sorted({*self.machine.host._functions, 0x118, 0x140, 0x240, 0x250, 0x700})

    def value(self):
        choice = self.random.random()
        if choice < 0.3:
            return self.random.choice(BASES) | self.random.choice([0, 1])
        if choice < 0.6:
            return self.random.choice([0, 7, 3, 0x8000, 0x40, 0xFFFF_FFFF, 0x02_02_01, 0x02_01_00])
        return self.random.getrandbits(64)

    def offset(self):
        common = [4, 0x10, 0x14, 0x18, 0x1A, 0x1C, 0x20, 0x24, 0x28, 0x30, 0x38, 0x3E]
        if self.random.random() < 0.6:
            return self.random.choice(common) + self.random.choice([0, 0, 0, 1, 2, 3])
        return self.random.randrange(0x140)

    def step(self):
        kind, size = self.random.randrange(6), self.random.choice([1, 2, 4, 4, 8])
        memory, ports = self.machine.memory, self.machine.ports
        bdf, offset = self.random.choice(self.bdfs), self.offset()
        if kind == 0:
            memory.read(ECAM + (bdf << 12) + offset, size)
        elif kind <= 2:
            memory.write(ECAM + (bdf << 12) + offset, size, self.value())
        elif kind == 3:
            ports.write(0xCF8, 4, 1 << 31 | bdf << 8 | offset & 0xFF)
            port, width = 0xCF8 + self.random.randrange(8), min(size, 4)
            ports.write(port, width, self.value())
            ports.read(port, width)
        elif kind == 4:
            address = self.random.choice(BASES[2:5]) + self.random.randrange(0x5000)
            memory.write(address, size, self.value())
            memory.read(address, size)
        else:
            port = self.random.randrange(0x10000)
            ports.write(port, min(size, 4), self.value())
            ports.read(port, min(size, 4))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_raises_and_all_stays_in_step(seed):
    fuzzer = Fuzzer(seed)
    alive = 0
    for at in range(STEPS):
        fuzzer.step()
        if at % 25 == 0:
            fuzzer.machine.check()
            alive += any(
                bar.live for function in fuzzer.machine.host.bus.below() for bar in function.bars
            )
    assert alive > STEPS // 25 // 20
    fuzzer.machine.host.reset()
    fuzzer.machine.check()
    assert not [one.name for one in fuzzer.machine.mmio if "BAR" in one.name]


@pytest.mark.parametrize("offset", [-1, -(1 << 40), 0xFFF, 0x1000, 1 << 70])
@pytest.mark.parametrize("size", [1, 3, 16])
def test_callers_numbers_that_no_front_end_makes(offset, size):
    """`config_read` and `config_write` take what a caller's own front end hands them."""
    machine = crowded()
    for bdf in (0x40, -1, 1 << 20):
        machine.host.config_write(bdf, offset, size, -1)
        assert machine.host.config_read(bdf, offset, size) >= 0
    machine.check()
