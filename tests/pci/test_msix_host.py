# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts and DMA of functions on a bus, reached by config accesses and address maps only."""

import pytest

from vmmkit.devices.apic_bus import ApicBus
from vmmkit.devices.ioapic import IoApic
from vmmkit.devices.lapic import Lapic
from vmmkit.memregion import RegionMap
from vmmkit.pci.bars import MemBar
from vmmkit.pci.capabilities import Msi, Msix
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting

BDF, BASE, TABLE, PBA = 2 << 3, 0xC000_0000, 0x800, 0xC00
MEMORY, BUS_MASTER, DISABLE_INTX = 2, 4, 1 << 10


def make_function(*, intx="A"):
    config = ConfigSpace.type0(vendor_id=0x1234, device_id=1, class_code=0xFF0000)
    config.add(Msi(vectors=4))
    config.add(Msix(vectors=4, table_bar=0, table_offset=TABLE, pba_bar=0, pba_offset=PBA))
    seen = []
    bar = MemBar(
        0,
        0x1000,
        read=lambda vcpu, offset, size: seen.append(("read", offset)) or 0x5A5A5A5A,
        write=lambda vcpu, offset, size, value: seen.append(("write", offset)),
    )
    function = Function(config, [bar], intx=intx)
    function.seen = seen
    return function


class Machine:
    def __init__(self):
        self.messages, self.lines = [], []
        self.mmio = RegionMap(address_bits=52, straddle="split")
        self.ram = bytearray(0x10000)
        self.mmio.add_ram(0, self.ram, name="RAM")
        self.host = HostBridge(
            self.mmio,
            RegionMap(address_bits=16, access_sizes=(1, 2, 4)),
            routing=IntxRouting.swizzled(),
            set_gsi=lambda gsi, level: self.lines.append((gsi, level)),
            send_msi=lambda address, data, requester: self.messages.append(
                (address, data, requester)
            ),
        )
        self.function = make_function()
        self.host.bus.attach(self.function, 2)
        self.port = self.mmio.port("vcpu0")
        self.config(0x10, 4, BASE)
        self.config(0x04, 2, MEMORY | BUS_MASTER)

    def config(self, offset, size, value):
        self.host.config_write(BDF, offset, size, value)

    def msix(self, value):
        self.config(self.function.config.msix.offset + 2, 2, value)

    def entry(self, number, address, data, control=0):
        for at, value in enumerate((address & 0xFFFF_FFFF, address >> 32, data, control)):
            self.port.write(BASE + TABLE + 16 * number + 4 * at, 4, value)


def test_the_table_is_in_the_bar_and_the_device_never_sees_it():
    machine = Machine()
    machine.entry(1, 0x1_FEE0_0000, 0x41)
    assert machine.port.read(BASE + TABLE + 16, 8) == 0x1_FEE0_0000
    assert machine.port.read(BASE + TABLE + 24, 4) == 0x41
    assert machine.port.read(BASE + PBA, 8) == 0
    assert machine.function.seen == []
    assert machine.port.read(BASE + 0x7FC, 4) == 0x5A5A5A5A
    assert machine.function.seen == [("read", 0x7FC)]


def test_mask_pend_unmask_through_the_map():
    machine = Machine()
    machine.entry(1, 0xFEE0_0000, 0x41, control=1)
    machine.msix(0x8000)
    machine.function.interrupts.vector(1).pulse()
    assert (machine.messages, machine.port.read(BASE + PBA, 1)) == ([], 0b10)
    machine.port.write(BASE + TABLE + 28, 4, 0)
    assert machine.messages == [(0xFEE0_0000, 0x41, BDF)]
    assert machine.port.read(BASE + PBA, 8) == 0


@pytest.mark.parametrize("offset", range(0, 0x60, 7))
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_odd_accesses_never_raise(offset, size):
    machine = Machine()
    for at in (BASE + TABLE + offset, BASE + PBA + offset):
        machine.port.write(at, size, (1 << 8 * size) - 1)
        machine.port.read(at, size)
    machine.host._check()


def test_the_table_moves_with_the_bar():
    machine = Machine()
    machine.entry(0, 0xFEE0_0000, 0x40)
    machine.config(0x10, 4, BASE + 0x10_0000)
    assert machine.port.read(BASE + 0x10_0000 + TABLE + 8, 4) == 0x40


def test_bus_master_off_then_on():
    machine = Machine()
    machine.entry(0, 0xFEE0_0000, 0x40)
    machine.msix(0x8000)
    machine.config(0x04, 2, MEMORY)
    machine.function.interrupts.vector(0).pulse()
    assert not machine.function.dma.write(0x100, b"data")
    assert machine.messages == []
    machine.config(0x04, 1, MEMORY | BUS_MASTER)
    assert machine.messages == [(0xFEE0_0000, 0x40, BDF)]
    assert machine.function.dma.write(0x100, b"data")
    assert machine.ram[0x100:0x104] == b"data"


def test_pins_follow_command_and_detach():
    machine = Machine()
    irq = machine.function.interrupts.vector(0)
    irq.set_level(True)
    assert machine.lines == [(18, True)]
    machine.config(0x04, 2, DISABLE_INTX)
    machine.config(0x04, 2, 0)
    assert machine.lines == [(18, True), (18, False), (18, True)]
    machine.host.bus.detach(machine.function)
    assert machine.lines[3:] == [(18, False)]
    machine.host.bus.attach(machine.function, 3)
    assert machine.lines[4:] == [(19, True)]
    machine.function.reset(ResetKind.FUNCTION)
    assert machine.lines[5:] == [(19, False)]


def test_functions_that_share_a_line():
    machine = Machine()
    other = make_function(intx="A")
    machine.host.bus.attach(other, 10)  # (10 + 0) % 8 is (2 + 0) % 8
    machine.function.interrupts.vector(0).set_level(True)
    other.interrupts.vector(0).set_level(True)
    machine.function.interrupts.vector(0).set_level(False)
    assert machine.lines == [(18, True)]
    machine.host.bus.detach(other)
    assert machine.lines == [(18, True), (18, False)]


def test_one_function_reads_another_ones_bar():
    machine = Machine()
    other = make_function()
    machine.host.bus.attach(other, 3)
    machine.host.config_write(3 << 3, 0x04, 2, BUS_MASTER)
    assert other.dma.read(BASE + 0x10, 8) == b"\x5a" * 4 + b"\0" * 4
    assert other.dma.write(BASE + TABLE, (0xFEE0_0000).to_bytes(4, "little"))
    assert machine.port.read(BASE + TABLE, 4) == 0xFEE0_0000


def test_dma_sees_a_bar_that_comes_and_goes():
    machine = Machine()
    dma = machine.function.dma
    assert dma.read(BASE, 4) == b"\x5a" * 4
    machine.config(0x04, 2, BUS_MASTER)
    assert dma.read(BASE, 4) == b"\xff" * 4
    assert machine.host.config_read(BDF, 0x06, 2) & 0x2000
    machine.config(0x06, 2, 0x2000)
    assert machine.host.config_read(BDF, 0x06, 2) & 0x2000 == 0


def test_to_the_local_apic():
    """Messages by `ApicBus.msi`, pins by an I/O APIC: what a monitor wires up."""
    bus = ApicBus()
    lapic = Lapic(0, lambda: 0, send=bus.deliver, broadcast_eoi=bus.broadcast_eoi, bsp=True)
    bus.attach(lapic)
    ioapic = IoApic(bus.deliver)
    bus.attach_ioapic(ioapic)
    lapic.write(None, 0xF0, 4, 0x1FF)
    host = HostBridge(
        RegionMap(address_bits=52),
        routing=IntxRouting.swizzled(),
        set_gsi=lambda gsi, level: bus.line(gsi)(level),
        send_msi=lambda address, data, requester: bus.msi(address, data),
    )
    function = make_function()
    host.bus.attach(function, 2)
    ioapic.write(None, 0, 4, 0x10 + 2 * 18)
    ioapic.write(None, 0x10, 4, 0x8031)
    function.interrupts.vector(0).set_level(True)
    assert lapic.acknowledge(lapic.pending()) == 0x31
    function.interrupts.vector(0).set_level(False)
    lapic.write(None, 0xB0, 4, 0)
    host.config_write(BDF, 0x04, 2, BUS_MASTER)
    at = function.config.msi.offset
    for offset, value in ((4, 0xFEE0_0000), (12, 0x50), (0, 1 << 16 | 2 << 20)):
        host.config_write(BDF, at + offset, 4, value)
    function.interrupts.vector(3).pulse()
    assert lapic.acknowledge(lapic.pending()) == 0x53
