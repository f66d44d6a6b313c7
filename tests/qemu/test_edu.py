# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The teaching device against its original: registers, interrupts, DMA."""

from __future__ import annotations

import random
import time

import pytest

from qemu.machines import BDF, MEMORY_BASE, SLOT, OwnMachine
from vmmkit.devices.edu import Edu

pytestmark = pytest.mark.qemu

STEPS = 3000
IDENT, LIVENESS, FACTORIAL, STATUS, IRQ_STATUS = 0x00, 0x04, 0x08, 0x20, 0x24
RAISE, ACK, SOURCE, DESTINATION, COUNT, DMA = 0x60, 0x64, 0x80, 0x88, 0x90, 0x98
BUFFER = 0x4_0000
BUFFER_SIZE = 4096
MSI = 0x40
MESSAGE, NO_MESSAGE, DATA = 0x8000, 0xDEAD_BEEF, 0x1234
RAM = 0x10_0000
PATIENCE = 10  # seconds


class Side:
    """The device on one of the machines."""

    def __init__(self, machine):
        self.machine, self.config = machine, machine.registers(BDF)
        self.config.write32(0x10, MEMORY_BASE)
        self.config.write16(0x04, 6)

    def read(self, offset, size=4):
        return self.machine.memory.read(MEMORY_BASE + offset, size)

    def write(self, offset, value, size=4):
        self.machine.memory.write(MEMORY_BASE + offset, size, value)

    def wait(self, offset):
        """Wait for bit 0 of a register to clear: the original works in its own time."""
        end = time.monotonic() + PATIENCE
        while self.read(offset) & 1:
            assert time.monotonic() < end

    def enable_msi(self):
        self.config.write32(MSI + 4, MESSAGE)
        self.config.write32(MSI + 8, 0)
        self.config.write16(MSI + 12, DATA)
        self.config.write16(MSI + 2, 1)
        self.forget_message()

    def forget_message(self):
        self.machine.memory.write(MESSAGE, 4, NO_MESSAGE)

    def message(self):
        """Return what arrived since the last call, or `None`."""
        data = self.machine.memory.read(MESSAGE, 4)
        self.forget_message()
        return None if data == NO_MESSAGE else data

    def pin(self):
        """Return the Interrupt Status bit."""
        return self.config.read16(0x06) >> 3 & 1

    def transfer(self, source, destination, count, command):
        for offset, value in ((SOURCE, source), (DESTINATION, destination), (COUNT, count)):
            self.write(offset, value, 8)
        self.write(DMA, command, 8)
        self.wait(DMA)


@pytest.fixture
def sides(start_qemu):
    other, own = start_qemu("-device", "edu,addr=4"), OwnMachine()
    own.host.bridge.bus.attach(Edu(), SLOT)
    return Side(other), Side(own)


def do(sides, call):
    """Do the same on both, and return what both answer."""
    theirs, ours = (call(side) for side in sides)
    assert ours == theirs
    return ours


def a_register(pick):
    offset = pick.choice((IDENT, LIVENESS, LIVENESS, STATUS, IRQ_STATUS, RAISE, ACK, 0x0C, 0x68))
    return offset, pick.choice((0, 1, 0x80, 0x100, 0xFFFF_FFFF, pick.getrandbits(32)))


def test_random_registers(sides):
    pick = random.Random(0xED)
    for _ in range(STEPS):
        offset, value = a_register(pick)
        for side in sides:
            side.write(offset, value)
        if offset == RAISE and pick.random() < 0.5:
            for side in sides:
                side.write(ACK, value)
        for register in (IDENT, LIVENESS, STATUS, IRQ_STATUS, FACTORIAL):
            do(sides, lambda side, at=register: side.read(at))
        do(sides, Side.pin)


@pytest.mark.parametrize("number", [0, 1, 5, 12, 13, 20, 33, 34, 35, 100, 1000])
@pytest.mark.parametrize("interrupt", [0, 0x80])
def test_factorials(sides, number, interrupt):
    for side in sides:
        side.write(STATUS, interrupt)
        side.write(FACTORIAL, number)
        side.wait(STATUS)
        time.sleep(0)
    sides[0].wait(STATUS)
    do(sides, lambda side: side.read(FACTORIAL))
    if interrupt:
        end = time.monotonic() + PATIENCE
        while not sides[0].read(IRQ_STATUS):
            assert time.monotonic() < end
    do(sides, lambda side: side.read(IRQ_STATUS))
    do(sides, Side.pin)


def test_accesses_of_eight_bytes(sides):
    """QEMU does not hand smaller ones to the device, and splits misaligned ones."""
    for side in sides:
        side.write(LIVENESS, 0x1234_5678)
    for offset in (IDENT, FACTORIAL, STATUS):
        do(sides, lambda side, at=offset: side.read(at, 8))
    for offset in (SOURCE, COUNT):
        for side in sides:
            side.write(offset, 0x1122_3344_5566_7788, 8)
        do(sides, lambda side, at=offset: side.read(at, 8))


@pytest.mark.slow
def test_dma_both_ways(sides):
    """Of the buffer, but for its last byte: a transfer that ends there ends QEMU 7.2."""
    pick = random.Random(4)
    for _ in range(15):  # the original takes a tenth of a second for each transfer
        count = pick.choice((1, 4, 64, 1000, BUFFER_SIZE - 1))
        at, address = BUFFER + pick.randrange(BUFFER_SIZE - count), RAM + pick.randrange(0x8000)
        data = pick.randbytes(count)
        back = RAM + 0x1_0000 + pick.randrange(0x8000)
        interrupt = pick.choice((0, 4))
        for side in sides:
            side.machine.memory.write_bytes(address, data)
            side.transfer(address, at, count, 1 | interrupt)
            side.transfer(at, back, count, 3 | interrupt)
        assert do(sides, lambda side, a=back, n=count: side.machine.memory.read_bytes(a, n)) == data
        do(sides, lambda side: side.read(IRQ_STATUS))
        do(sides, lambda side: side.read(DMA, 8))
        for side in sides:
            side.write(ACK, 0x100)


def test_dma_needs_bus_mastering(sides):
    for side in sides:
        side.machine.memory.write_bytes(RAM, b"before")
        side.transfer(RAM, BUFFER, 6, 1)
        side.config.write16(0x04, 2)
        side.machine.memory.write_bytes(RAM, b"after!")
        side.transfer(BUFFER, RAM, 6, 3)
        side.config.write16(0x04, 6)
    assert do(sides, lambda side: side.machine.memory.read_bytes(RAM, 6)) == b"after!"


# -- interrupts ------------------------------------------------------------------------------------


def test_messages_and_the_pin(sides):
    """Random raising and acknowledging with MSI on and off, and its address moved."""
    pick = random.Random(5)
    for side in sides:
        side.enable_msi()
    arrived = 0
    for _ in range(600):
        kind = pick.random()
        if kind < 0.7:
            offset, value = pick.choice((RAISE, ACK)), pick.choice((1, 2, 0x100, 0xFF, 0xFFFF_FFFF))
            for side in sides:
                side.write(offset, value)
        elif kind < 0.85:
            data = pick.getrandbits(16)
            for side in sides:
                side.config.write16(MSI + 12, data)
        else:
            on = pick.randrange(2)
            for side in sides:
                side.write(ACK, 0xFFFF_FFFF)
                side.config.write16(MSI + 2, on)
        arrived += do(sides, Side.message) is not None
        do(sides, lambda side: side.read(IRQ_STATUS))
    assert arrived > 50


def test_the_pin_and_its_gate(sides):
    for disabled in (0, 0x400):
        for side in sides:
            side.config.write16(0x04, 6 | disabled)
            side.write(RAISE, 1)
        assert do(sides, Side.pin) == 1
        for side in sides:
            side.write(ACK, 1)
        assert do(sides, Side.pin) == 0


def test_message_without_bus_mastering(sides):
    """No message leaves. QEMU forgets it; here it is pending and leaves when it may."""
    for side in sides:
        side.enable_msi()
        side.config.write16(0x04, 2)
        side.write(RAISE, 1)
    assert do(sides, Side.message) is None
    for side in sides:
        side.config.write16(0x04, 6)
    assert [side.message() for side in sides] == [None, DATA]
