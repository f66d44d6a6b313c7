# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The serial port on PCI, through ports and config space as a driver uses it."""

import pickle
import sys
import threading

import pytest

from vmmkit.devices.pci_uart import PciUart
from vmmkit.errors import DeviceError
from vmmkit.memregion import RegionMap
from vmmkit.pci.config import ResetKind
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting

BDF, BASE, GSI = 3 << 3, 0xC000, 19
IER, IIR, LCR, MCR, LSR, SCR = 1, 2, 3, 4, 5, 7
RX_INTERRUPT, TX_INTERRUPT = 1, 2


class Driver:
    """What a driver of 16550s does: find the port by its class, place it, use it."""

    def __init__(self, **options):
        self.sent, self.line = [], []
        self.pio = RegionMap(address_bits=16, access_sizes=(1, 2, 4))
        self.host = HostBridge(
            RegionMap(address_bits=52),
            self.pio,
            routing=IntxRouting.swizzled(),
            set_gsi=lambda gsi, level: self.line.append((gsi, level)),
        )
        self.pio.add(0xCF8, 8, self.host.config_ports, name="pci config")
        self.device = PciUart(self.sent.append, **options)
        self.host.bus.attach(self.device, 3)
        self.port = self.pio.port("vcpu0")

    def config(self, offset, size, value=None):
        self.port.write(0xCF8, 4, 1 << 31 | BDF << 8 | offset & 0xFC)
        if value is None:
            return self.port.read(0xCFC + (offset & 3), size)
        return self.port.write(0xCFC + (offset & 3), size, value)

    def start(self, base=BASE):
        self.config(0x10, 4, base)
        self.config(0x04, 2, 1)
        self.out(LCR, 3)
        return self

    def out(self, register, value, size=1):
        self.port.write(BASE + register, size, value)

    def inp(self, register, size=1):
        return self.port.read(BASE + register, size)


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [(0x00, 4, 0x0002_1B36), (0x08, 4, 0x0700_0201), (0x3D, 1, 1), (0x10, 4, 1), (0x0E, 1, 0)],
)
def test_what_a_guest_finds(offset, size, value):
    assert Driver().config(offset, size) == value


def test_sizing():
    driver = Driver()
    driver.config(0x10, 4, 0xFFFF_FFFF)
    assert driver.config(0x10, 4) & 0xFFFF == 0xFFF9
    driver.config(0x14, 4, 0xFFFF_FFFF)
    assert driver.config(0x14, 4) == 0


def test_characters_go_out_and_come_in():
    driver = Driver().start()
    for character in b"ok":
        driver.out(0, character)
    assert bytes(driver.sent) == b"ok"
    assert driver.device.receive(b"x") == 1
    assert (driver.inp(LSR) & 1, driver.inp(0), driver.inp(LSR) & 1) == (1, ord("x"), 0)


def test_wide_accesses_reach_neighbours():
    driver = Driver().start()
    driver.out(MCR, 0x0B)
    driver.out(6, 0x5A00, size=2)
    assert (driver.inp(SCR), driver.inp(4, size=4) >> 24) == (0x5A, 0x5A)


def test_interrupt_line():
    driver = Driver().start()
    driver.out(2, 1)  # FIFOs on
    driver.out(IER, RX_INTERRUPT)
    driver.device.receive(b"ab")
    assert driver.line == [(GSI, True)]
    assert driver.config(0x06, 2) & 8
    driver.inp(0)
    assert driver.line == [(GSI, True)]
    driver.inp(0)
    assert driver.line == [(GSI, True), (GSI, False)]
    assert driver.config(0x06, 2) & 8 == 0


def test_interrupt_disable_in_the_command_register():
    driver = Driver().start()
    driver.out(IER, RX_INTERRUPT)
    driver.config(0x04, 2, 0x401)
    driver.device.receive(b"a")
    assert (driver.line, driver.config(0x06, 2) & 8) == ([], 8)
    driver.config(0x04, 2, 0x001)
    assert driver.line == [(GSI, True)]


def test_nothing_answers_while_decoding_is_off():
    driver = Driver().start()
    driver.config(0x04, 2, 0)
    assert len(driver.pio) == 1
    driver.config(0x04, 2, 1)
    driver.config(0x10, 4, 0xD000)
    assert driver.port.read(0xD000 + LCR, 1) == 3


@pytest.mark.parametrize("kind", ResetKind)
def test_reset(kind):
    driver = Driver().start()
    driver.out(IER, RX_INTERRUPT)
    driver.device.receive(b"a")
    driver.device.reset(kind)
    assert driver.line == [(GSI, True), (GSI, False)]
    driver.start()
    assert (driver.inp(IER), driver.inp(LSR)) == (0, 0x60)


def test_snapshot_with_characters_and_interrupt():
    driver = Driver().start()
    driver.out(IER, RX_INTERRUPT)
    driver.out(SCR, 0xA5)
    driver.device.receive(b"z")
    other = Driver()
    other.device.restore(pickle.loads(pickle.dumps(driver.device.snapshot())))
    assert other.line == [(GSI, True)]
    assert (other.inp(SCR), other.inp(0)) == (0xA5, ord("z"))
    assert other.line == [(GSI, True), (GSI, False)]
    other.device.restore(Driver().device.snapshot())
    other.start()
    assert other.inp(SCR) == 0


def test_snapshot_of_the_whole_host():
    driver = Driver().start()
    driver.out(SCR, 0x77)
    other = Driver()
    other.host.restore(driver.host.snapshot())
    assert other.inp(SCR) == 0x77


def test_an_echoing_peer():
    driver = Driver().start()
    echo = PciUart(lambda character: echo.receive(bytes([character])))
    driver.host.bus.attach(echo, 4)
    driver.host.config_write(4 << 3, 0x10, 4, 0xC100)
    driver.host.config_write(4 << 3, 0x04, 2, 1)
    driver.port.write(0xC100 + LCR, 1, 3)
    driver.port.write(0xC100, 1, ord("e"))
    assert driver.port.read(0xC100, 1) == ord("e")


def test_mistakes_of_the_owner():
    with pytest.raises(DeviceError):
        PciUart().receive("text")


@pytest.mark.stress
def test_threads_at_one_port():
    driver = Driver().start()
    driver.out(2, 1)  # FIFOs on
    driver.out(IER, RX_INTERRUPT | TX_INTERRUPT)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    received, failures = [], []
    rounds = 1500

    def guarded(body):
        try:
            body()
        except BaseException as error:
            failures.append(error)
            raise

    def feed():
        sent = 0
        while sent < rounds:
            sent += driver.device.receive(bytes([sent & 0xFF]))

    def take():
        while len(received) < rounds:
            if driver.inp(LSR) & 1:
                received.append(driver.inp(0))

    def write():
        for count in range(rounds):
            driver.out(0, count & 0xFF)

    try:
        threads = [threading.Thread(target=guarded, args=(body,)) for body in (feed, take, write)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert received == driver.sent == [count & 0xFF for count in range(rounds)]
    driver.out(IER, 0)
    assert driver.line[-1:] == [(GSI, False)] or driver.line == []
    assert [level for _, level in driver.line] == [n % 2 == 0 for n in range(len(driver.line))]
