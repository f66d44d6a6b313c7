# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What answers where, after the same configuration writes, in QEMU and in vmmkit.

Each BAR has addresses of its own, so that no two are in each other's place: who wins then is
undefined, and the two differ.
"""

from __future__ import annotations

import random

import pytest

from qemu.machines import BDF, SLOT, OwnMachine
from vmmkit.devices.edu import Edu
from vmmkit.devices.pci_uart import PciUart
from vmmkit.pci.bars import MemBar, Rom
from vmmkit.pci.device import PciDevice
from vmmkit.pci.ports import PciBridge, RootPort

pytestmark = pytest.mark.qemu

STEPS = 1200
MIB = 1 << 20
EDU, SHARED, UART, PORT = BDF, BDF + 8, BDF + 16, BDF + 24
IDENTIFICATION = 0x0100_00ED
MARK = 0x5AA5_1234
SCRATCH = 7
ROM_IMAGE = bytes.fromhex("55aa0400cb") + bytes(2043)
ROM_MARK = int.from_bytes(ROM_IMAGE[:4], "little")
ONES = 0xFFFF_FFFF


class EduWithRom(Edu):
    rom = Rom(ROM_IMAGE)


class Shared(PciDevice):
    """What QEMU's ivshmem-plain shows: a few registers, and RAM."""

    vendor_id, device_id, revision, class_code = 0x1AF4, 0x1110, 1, 0x050000
    subsystem_vendor_id, subsystem_id = 0x1AF4, 0x1100
    regs = MemBar(0, 256)
    ram = MemBar(2, MIB, width=64, prefetchable=True, ram=True)


@pytest.fixture
def machines(start_qemu, tmp_path):
    rom = tmp_path / "rom.bin"
    rom.write_bytes(ROM_IMAGE)
    other = start_qemu(
        *("-device", f"edu,addr=4,romfile={rom}"),
        *("-object", f"memory-backend-ram,id=a,size={MIB}"),
        *("-device", "ivshmem-plain,memdev=a,addr=5", "-device", "pci-serial,addr=6"),
        *("-device", "pcie-root-port,id=root,addr=7,chassis=1,slot=1"),
        *("-object", f"memory-backend-ram,id=b,size={MIB}"),
        *("-device", "ivshmem-plain,memdev=b,bus=root"),
    )
    own = OwnMachine()
    bus, port = own.host.bridge.bus, RootPort()
    for at, function in enumerate((EduWithRom(), Shared(), PciUart(), port)):
        bus.attach(function, SLOT + at)
    port.secondary.attach(Shared(), 0)
    for machine in (other, own):
        config = machine.registers(PORT)
        config.write32(0x18, 0x0001_0100)
        config.write32(0x20, 0x0000_FFF0)  # both memory windows closed
        config.write32(0x24, 0x0001_FFF1)
        mark_ram(machine)
    return other, own


def mark_ram(machine):
    """Write to the RAM of the shared memories, so that they can be told from nothing."""
    for bdf, address in ((SHARED, 0xD000_0000), (0x100, 0xD100_0000)):
        config = machine.registers(bdf)
        config.write32(0x18, address)
        config.write16(0x04, 2)
        if bdf == 0x100:
            machine.registers(PORT).write32(0x20, 0xD100_D100)
            machine.registers(PORT).write16(0x04, 2)
        machine.memory.write(address, 4, MARK)
        machine.memory.write(address + MIB - 4, 4, MARK)
        config.write16(0x04, 0)
    machine.registers(PORT).write32(0x20, 0x0000_FFF0)
    machine.registers(PORT).write16(0x04, 0)


def bar_of(config, offset, *, wide=False):
    low = config.read32(offset)
    low &= ~0xF if offset != 0x30 else ~0x7FF
    return low | config.read32(offset + 4) << 32 if wide else low


# -- what answers: one function for each kind of BAR -----------------------------------------------


def edu_answers(machine, address):
    return machine.memory.read(address, 4) == IDENTIFICATION


def rom_answers(machine, address):
    return machine.memory.read(address, 4) == ROM_MARK


def ram_answers(machine, address):
    memory = machine.memory
    return memory.read(address, 4) == memory.read(address + MIB - 4, 4) == MARK


def uart_answers(machine, address):
    """Whether the scratch register keeps a byte."""
    port = (address & 0xFFFF) + SCRATCH
    machine.io.write(port, 1, 0x5A)
    kept = machine.io.read(port, 1) == 0x5A
    machine.io.write(port, 1, 0xA5)
    return kept and machine.io.read(port, 1) == 0xA5


class Choice:
    """Writes to one BAR: whole addresses, sizing patterns, and single bytes or words."""

    def __init__(self, bdf, offset, top, answers, *, wide=False, enable=0):
        self.bdf, self.offset, self.top, self.answers = bdf, offset, top, answers
        self.wide, self.enable = wide, enable

    def write(self, pick):
        """Return (offset, size, value)."""
        kind = pick.random()
        if self.wide and kind < 0.25:
            return self.offset + 4, 4, pick.choice((0, 0, 0, 1, 0x10, ONES))
        if kind < 0.5:
            value = pick.choice(self.top) << 24 | pick.randrange(0, 16) << 20
            return self.offset, 4, value | (pick.random() < 0.7) * self.enable
        if kind < 0.6:
            return self.offset, 4, pick.choice((0, ONES, 0xFFFF_FFF0, 0xFFFF_F800))
        if kind < 0.8:
            return self.offset + 3, 1, pick.choice(self.top)
        if kind < 0.9:
            return self.offset + 2, 2, pick.choice(self.top) << 8 | pick.randrange(0, 256, 16)
        return self.offset, 1, self.enable * pick.randrange(2)

    def addresses(self, config, pick):
        """Return where it should be, and where it might be by mistake."""
        now = bar_of(config, self.offset, wide=self.wide)
        return {now, now & ONES, pick.choice(self.top) << 24 | 0x10_0000}


class IoChoice(Choice):
    def write(self, pick):
        if pick.random() < 0.2:
            return self.offset + 1, 1, pick.choice((0x10, 0x20, 0x30))
        return self.offset, 4, pick.choice((0x1000, 0x2008, 0x3FF0, ONES, 0xC001))

    def addresses(self, config, pick):
        return {config.read32(self.offset) & 0xFFFC, 0x1000, 0x2008}


CHOICES = (
    Choice(EDU, 0x10, (0xC0, 0xC1, 0x80), edu_answers),
    Choice(EDU, 0x30, (0xC4, 0xC5, 0x84), rom_answers, enable=1),
    Choice(SHARED, 0x18, (0xC8, 0xC9, 0x88), ram_answers, wide=True),
    IoChoice(UART, 0x10, (), uart_answers),
)


def is_policy(address, choice):
    """Whether policies differ: address 0, and what the chipset has below 4 GiB or 64 KiB.

    QEMU has no BAR that ends at the top of its space, since that is how it tells sizing.
    """
    if choice.bdf == UART:
        return address < 0x1000 or address >= 0xFFF0
    return address < MIB or address >> 56 or 0xFE00_0000 <= address < 1 << 32


@pytest.mark.parametrize("choice", CHOICES, ids=["memory", "rom", "ram64", "io"])
def test_random_moves(machines, choice):
    pick = random.Random(choice.offset + choice.bdf)
    other, own = machines
    configs = [machine.registers(choice.bdf) for machine in machines]
    answered = 0
    for step in range(STEPS):
        offset, size, value = choice.write(pick)
        if pick.random() < 0.3:
            offset, size, value = 0x04, 2, pick.choice((0, 1, 2, 3, 3, 7, 0x402, 0x403))
        for config in configs:
            config.write(offset, size, value)
        registers = [config.bytes(0x40)[0x10:0x34] for config in configs]
        assert registers[0] == registers[1]
        for address in choice.addresses(configs[1], pick):
            if is_policy(address, choice):
                continue
            expected = choice.answers(other, address)
            assert choice.answers(own, address) == expected, (step, hex(address), expected)
            answered += expected
    assert answered > STEPS / 8
    own.host.bridge._check()


# -- behind a bridge -------------------------------------------------------------------------------

WINDOWS = (0xC800, 0xC810, 0xC820, 0xC900, 0x8800, 0xFFF0, 0x0000)


def a_bridge_write(pick):
    kind = pick.random()
    if kind < 0.15:
        return 0x04, 2, pick.choice((0, 2, 3, 6, 7))
    if kind < 0.55:
        return pick.choice((0x20, 0x22)), 2, pick.choice(WINDOWS)
    if kind < 0.95:
        return pick.choice((0x24, 0x26)), 2, pick.choice(WINDOWS)
    return pick.choice((0x28, 0x2C)), 4, pick.choice((0, 0, 1))


def open_window(pick):
    """Return writes that open a window around the addresses that BARs get here."""
    base, limit = 0xC800, pick.choice((0xC800, 0xC810, 0xC8F0))
    return [(pick.choice((0x20, 0x24)), 4, base | limit << 16), (0x04, 2, 7)]


def test_random_windows(machines):
    pick = random.Random(7)
    other, own = machines
    endpoint = Choice(0x100, 0x18, (0xC8, 0x88), ram_answers, wide=True)
    answered = 0
    for step in range(STEPS):
        kind = pick.random()
        if kind < 0.4:
            writes = [(PORT, *a_bridge_write(pick))]
        elif kind < 0.6:
            writes = [(PORT, *write) for write in open_window(pick)]
        elif kind < 0.85:
            address = pick.choice((0xC800_0000, 0xC810_0000, 0xC820_0000, 0x8800_0000))
            high = pick.choice((0, 0, 0, 1))
            writes = [(0x100, 0x18, 4, address), (0x100, 0x1C, 4, high)]
        else:
            writes = [(0x100, 0x04, 2, pick.choice((0, 2, 2, 6)))]
        for bdf, *write in writes:
            for machine in machines:
                machine.registers(bdf).write(*write)
        for address in {*endpoint.addresses(own.registers(0x100), pick), 0xC800_0000}:
            if is_policy(address, endpoint):
                continue
            expected = ram_answers(other, address)
            assert ram_answers(own, address) == expected, (step, hex(address), expected)
            answered += expected
    assert answered > STEPS / 10
    own.host.bridge._check()


def test_random_io_windows(start_qemu):
    """A port behind a conventional bridge, whose window is of 16 or of 32 bits."""
    pick = random.Random(16)
    other, own = (
        start_qemu(
            *("-device", "pci-bridge,id=bridge,addr=4,chassis_nr=1"),
            *("-device", "pci-serial,bus=bridge,addr=1"),
        ),
        OwnMachine(),
    )
    bridge = PciBridge(bars=[MemBar(0, 256, width=64)])
    own.host.bridge.bus.attach(bridge, SLOT)
    bridge.secondary.attach(PciUart(), 1)
    behind, answered = 0x108, 0
    for machine in (other, own):
        machine.registers().write32(0x18, 0x0001_0100)
    for step in range(STEPS):
        kind = pick.random()
        if kind < 0.3:
            write = BDF, pick.choice((0x1C, 0x1D)), 1, pick.choice((0x10, 0x20, 0x30, 0xF0, 0))
        elif kind < 0.5:
            write = BDF, 0x1C, 2, pick.choice((0x2010, 0x3020, 0x3030, 0x00F0))
        elif kind < 0.6:
            write = BDF, 0x04, 2, pick.choice((0, 1, 1, 1, 7))
        elif kind < 0.7:
            write = behind, 0x04, 2, pick.choice((0, 1, 1, 1, 3))
        else:
            write = behind, 0x10, 4, pick.choice((0x1000, 0x2008, 0x2FF8, 0x3000, 0xF000))
        for machine in (other, own):
            machine.registers(write[0]).write(*write[1:])
        for port in {own.registers(behind).read32(0x10) & 0xFFF8, 0x2008}:
            if port:
                expected = uart_answers(other, port)
                assert uart_answers(own, port) == expected, (step, hex(port), expected)
                answered += expected
    assert answered > STEPS / 10
    own.host.bridge._check()


def test_config_accesses_follow_bus_numbers(machines):
    """Which bus the function behind the port is on, for 300 settings of the numbers.

    With the subordinate number below the secondary one there is no range; QEMU still answers on
    the secondary bus.
    """
    pick = random.Random(1)
    for _ in range(300):
        secondary = pick.randrange(1, 8)
        numbers = pick.randrange(0, 4) | secondary << 8 | pick.randrange(secondary, 9) << 16
        found = []
        for machine in machines:
            machine.registers(PORT).write32(0x18, numbers)
            found.append([machine.registers(bus << 8).read32(0) for bus in range(1, 9)])
        assert found[0] == found[1], hex(numbers)


def test_secondary_bus_reset(machines):
    found = []
    for machine in machines:
        below, port = machine.registers(0x100), machine.registers(PORT)
        below.write32(0x18, 0xC800_0000)
        below.write16(0x04, 0x0406)
        below.write8(0x3C, 11)
        port.write16(0x3E, 0x40)
        port.write16(0x3E, 0)
        found.append(below.bytes(0x40))
    assert found[0] == found[1]
