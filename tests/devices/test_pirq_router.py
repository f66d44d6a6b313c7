# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PIRQ routing: PCI pins to ISA IRQs and to the I/O APIC."""

import sys
import threading
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmmkit.devices.ioapic import IoApic
from vmmkit.devices.pci_uart import PciUart
from vmmkit.devices.pic8259 import PicPair
from vmmkit.devices.pirq_router import ALLOWED_IRQS, REGISTERS, PirqRouter
from vmmkit.errors import DeviceError
from vmmkit.memregion import RegionMap
from vmmkit.pci.config import ResetKind
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting

BDF = 0x1F << 3
DISABLED = 0x80


class Board:
    """A host bridge whose pins go through a router; what leaves it is written down."""

    def __init__(self, first_gsi=16):
        self.irqs, self.gsis = [], []
        self.router = PirqRouter(
            lambda irq, level: self.irqs.append((irq, level)),
            lambda gsi, level: self.gsis.append((gsi, level)),
            first_gsi=first_gsi,
        )
        self.host = HostBridge(
            RegionMap(address_bits=52),
            RegionMap(address_bits=16, access_sizes=(1, 2, 4)),
            routing=IntxRouting.swizzled(first_gsi),
            set_gsi=self.router.drive_gsi,
        )
        self.host.bus.attach(self.router, 0x1F)

    def route(self, link, value):
        self.host.config_write(BDF, REGISTERS[link], 1, value)

    def registers(self):
        return [self.host.config_read(BDF, offset, 1) for offset in REGISTERS]

    def take(self):
        irqs, self.irqs[:] = list(self.irqs), []
        return irqs


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [(0x00, 4, 0x3A18_8086), (0x08, 4, 0x0601_0000), (0x3D, 1, 0), (0x10, 4, 0)],
)
def test_what_a_guest_finds(offset, size, value):
    assert Board().host.config_read(BDF, offset, size) == value


def test_first_values_and_bits_that_are_kept():
    board = Board()
    assert board.registers() == [DISABLED] * 8
    for link in range(8):
        board.route(link, 0xFF)
    assert board.registers() == [0x8F] * 8
    assert board.host.config_read(BDF, 0x64, 4) == 0
    assert [board.router.irq_of(link) for link in range(8)] == [None] * 8


@pytest.mark.parametrize("irq", range(16))
@pytest.mark.parametrize("link", [0, 3, 4, 7])
def test_each_irq(link, irq):
    board = Board()
    board.route(link, irq)
    board.router.drive_link(link, True)
    board.router.drive_link(link, False)
    allowed = irq in (3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15)
    assert board.take() == ([(irq, True), (irq, False)] if allowed else [])
    assert board.router.irq_of(link) == (irq if allowed else None)
    board.route(link, DISABLED | irq)
    board.router.drive_link(link, True)
    assert board.take() == []


def test_lines_that_share_an_irq():
    board = Board()
    for link in (0, 5):
        board.route(link, 11)
    board.router.drive_link(0, True)
    board.router.drive_link(5, True)
    board.router.drive_link(0, False)
    assert board.take() == [(11, True)]
    board.router.drive_link(5, False)
    assert board.take() == [(11, False)]


def test_routes_change_while_the_line_is_high():
    board = Board()
    board.router.drive_link(2, True)
    board.route(2, 10)
    assert board.take() == [(10, True)]
    board.route(2, 10)
    board.route(2, 11)
    assert board.take() == [(10, False), (11, True)]
    board.route(2, DISABLED | 11)
    assert board.take() == [(11, False)]
    board.route(2, 2)
    assert board.take() == []


@pytest.mark.parametrize(
    ("offset", "size", "value", "routed"),
    [
        (0x60, 4, 0x0C0B0A09, [9, 10, 11, 12, None, None, None, None]),
        (0x68, 4, 0x0C0B0A09, [None, None, None, None, 9, 10, 11, 12]),
        (0x62, 2, 0x0405, [None, None, 5, 4, None, None, None, None]),
        (0x63, 1, 0x07, [None, None, None, 7, None, None, None, None]),
        (0x5F, 2, 0x0700, [7, None, None, None, None, None, None, None]),
        (0x6B, 4, 0x07, [None, None, None, None, None, None, None, 7]),
        (0x5C, 4, 0x07070707, [None] * 8),
        (0x64, 4, 0x07070707, [None] * 8),
        (0x60, 8, 0x0C0B0A09, [9, 10, 11, 12, None, None, None, None]),
    ],
)
def test_registers_written_in_any_width(offset, size, value, routed):
    board = Board()
    for link in range(8):
        board.router.drive_link(link, True)
    board.host.config_write(BDF, offset, size, value)
    assert [board.router.irq_of(link) for link in range(8)] == routed
    assert sorted(board.take()) == sorted((irq, True) for irq in routed if irq is not None)


def test_the_io_apic_hears_whatever_the_registers_say():
    board = Board()
    board.router.drive_gsi(18, True)
    board.router.drive_gsi(40, True)
    board.route(2, 10)
    board.router.drive_gsi(18, False)
    assert board.gsis == [(18, True), (40, True), (18, False)]
    assert board.take() == [(10, True), (10, False)]


@pytest.mark.parametrize("link", [-1, 8])
def test_no_such_line(link):
    with pytest.raises(DeviceError, match="no line"):
        Board().router.drive_link(link, True)
    with pytest.raises(DeviceError, match="no line"):
        Board().router.irq_of(link)


def test_no_such_gsi():
    with pytest.raises(DeviceError, match="no GSI -1"):
        PirqRouter(first_gsi=-1)


@pytest.mark.parametrize("kind", ResetKind)
def test_reset_takes_lines_off_their_irqs(kind):
    board = Board()
    board.route(1, 9)
    board.router.drive_link(1, True)
    board.router.reset(kind)
    assert (board.take(), board.registers()) == ([(9, True), (9, False)], [DISABLED] * 8)
    board.route(1, 9)
    assert board.take() == [(9, True)]


def test_restore():
    board, other = Board(), Board()
    board.route(1, 9)
    board.route(4, 12)
    other.router.drive_link(4, True)
    other.router.restore(board.router.snapshot())
    assert (other.registers(), other.take()) == (board.registers(), [(12, True)])


def test_a_device_reaches_both_controllers():
    """From a serial port's pin through the router to the 8259As and the I/O APIC."""
    pics, messages = PicPair(), []
    ioapic = IoApic(lambda message: messages.append(message) or 1)
    router = PirqRouter(lambda irq, level: pics.line(irq)(level), ioapic.set_line)
    pio = RegionMap(address_bits=16, access_sizes=(1, 2, 4))
    host = HostBridge(
        RegionMap(address_bits=52),
        pio,
        routing=IntxRouting.swizzled(),
        set_gsi=router.drive_gsi,
    )
    uart = PciUart()
    host.bus.attach(router, 0x1F)
    host.bus.attach(uart, 3)  # INTA of device 3: link 3, GSI 19
    host.config_write(3 << 3, 0x10, 4, 0xC000)
    host.config_write(3 << 3, 0x04, 2, 1)
    host.config_write(BDF, 0x63, 1, 11)
    port = pio.port("vcpu0")
    port.write(0xC003, 1, 3)
    port.write(0xC001, 1, 1)
    uart.receive(b"a")
    assert pics.slave.snapshot().lines == 1 << 3  # IRQ 11
    assert ioapic.snapshot().lines == 1 << 19
    assert port.read(0xC000, 1) == ord("a")
    assert (pics.slave.snapshot().lines, ioapic.snapshot().lines) == (0, 0)


steps = st.one_of(
    st.tuples(st.just("route"), st.integers(0, 7), st.integers(0, 255)),
    st.tuples(st.just("drive"), st.integers(0, 7), st.booleans()),
)


@given(st.lists(steps, max_size=50))
def test_irqs_are_the_or_of_the_lines_routed_to_them(steps):
    board = Board()
    values, levels, lines = [DISABLED] * 8, [False] * 8, [False] * 16
    for what, link, value in steps:
        if what == "route":
            board.route(link, value)
            values[link] = value & 0x8F
        else:
            board.router.drive_link(link, value)
            levels[link] = value
        for irq, level in board.take():
            assert lines[irq] != level
            lines[irq] = level
        expected = [
            irq in ALLOWED_IRQS and any(levels[n] for n in range(8) if values[n] == irq)
            for irq in range(16)
        ]
        assert lines == expected
        assert board.registers() == values


@pytest.mark.stress
def test_lines_change_while_routes_do():
    board = Board()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def drive(link):
        rng = Random(link)
        for _ in range(10_000):
            board.router.drive_link(link, rng.random() < 0.5)
        board.router.drive_link(link, link == 1)

    def reroute():
        rng = Random(9)
        for _ in range(2000):
            board.route(rng.randrange(3), rng.choice([5, 9, 11, DISABLED]))
        for link in range(3):
            board.route(link, 9 + link)

    try:
        threads = [threading.Thread(target=drive, args=(link,)) for link in range(3)]
        threads.append(threading.Thread(target=reroute))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    last = dict(board.irqs)
    assert {irq for irq, level in last.items() if level} == {10}
    for irq in last:
        heard = [level for number, level in board.irqs if number == irq]
        assert heard == [place % 2 == 0 for place in range(len(heard))]
