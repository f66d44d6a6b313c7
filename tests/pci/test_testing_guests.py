# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a guest may do and what happens: the table of `docs/pci.md`, a test for each row or more.

Everything is done through the test host, by the accesses a guest has.
"""

import pytest

from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities import Msi, Msix, PciExpress, PowerManagement
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg
from vmmkit.pci.spec import BridgeControl, Command, Header, Status
from vmmkit.pci.testing import Host

ECAM = 0xE000_0000
ONES = 0xFFFF_FFFF


class Device(PciDevice):
    """Registers that know whose they are, and a way to interrupt and to reach memory."""

    vendor_id, device_id = 0x1234, 0x0001
    intx = "A"
    power = PowerManagement(no_soft_reset=False)
    express = PciExpress()
    msi = Msi(vectors=4)
    msix = Msix(vectors=4)
    regs = MemBar(0, 4096)
    wide = MemBar(2, 1 << 20, width=64)
    ram = MemBar(4, 1 << 16, ram=True)
    rom = Rom(b"\x55\xaa")

    value = Reg(0x00, reset=7)
    ring = Reg(0x04, "wo")
    fetch = Reg(0x08, "wo")
    mark = Reg(0x00, bar=wide, reset=0x99)

    @ring.on_write
    def _ring(self, old, new):
        self.irq(new).pulse()

    @fetch.on_write
    def _fetch(self, old, new):
        self.value = int.from_bytes(self.dma.read(new, 4), "little")


class Conventional(PciDevice):
    """256 bytes of configuration registers, and ports."""

    vendor_id, device_id = 0x1234, 0x0002
    ports = IoBar(0, 16)
    value = Reg(0x00, reset=8)


def bridge(name):
    config = ConfigSpace.type1(vendor_id=0x1B36, device_id=0x0001, class_code=0x060400)
    return Bridge(config, name=name)


@pytest.fixture
def host():
    host = Host()
    yield host
    host.check()


@pytest.fixture
def device(host):
    return host.plug(Device())


# -- configuration registers ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_no_function(host, device, size):
    address = ECAM + (7 << 15)
    host.port.write(address, size, 0)
    assert host.port.read(address, size) == (1 << 8 * size) - 1


def test_beyond_a_conventional_space(host):
    driver = host.plug(Conventional())
    driver.config.write32(0x100, 0)
    assert driver.config.read32(0x100) == ONES
    assert driver.config.read32(0xFC) == 0


def test_a_byte_beside_bits_that_are_cleared_by_ones(device):
    device.bar(0).write32(0x08, 0xF000_0000)
    status = Status.RECEIVED_MASTER_ABORT
    assert device.config.read16(Header.STATUS) & status
    device.config.write8(Header.STATUS, 0xFF)
    assert device.config.read16(Header.STATUS) & status
    device.config.write8(Header.STATUS + 1, status >> 8)
    assert not device.config.read16(Header.STATUS) & status


def test_any_alignment(host, device):
    start = ECAM + (device.bdf << 12)
    whole = host.port.read(start, 8)
    for offset in range(5):
        assert host.port.read(start + offset, 4) == whole >> 8 * offset & ONES


def test_over_the_end_of_a_page(host, device):
    host.plug(Conventional(), slot=1, function=1)
    assert host.port.read(ECAM + (device.bdf << 12) + 0xFFE, 4) == 0x1234_0000


@pytest.mark.parametrize(("port", "size"), [(0xCF8, 1), (0xCF8, 2), (0xCF9, 1), (0xCFA, 2)])
def test_no_dword_at_cf8(host, device, port, size):
    host.io_port.write(0xCF8, 4, 0x8000_0000 | device.bdf << 8)
    host.io_port.write(port, size, 0)
    assert host.io_port.read(0xCFC, 4) == 0x0001_1234
    assert host.io_port.read(port, size) == (1 << 8 * size) - 1


def test_cfc_without_enable(host, device):
    host.io_port.write(0xCF8, 4, device.bdf << 8 | 0x3C)
    host.io_port.write(0xCFC, 1, 5)
    assert host.io_port.read(0xCFC, 4) == ONES
    assert device.config.read8(Header.INTERRUPT_LINE) == 0


# -- BARs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [0xFFFF_FFFF, 0xFFFF_FFF0, 0xFFFF_F000])
@pytest.mark.parametrize("decoding", [False, True])
def test_sizing_patterns(device, pattern, decoding):
    device.enable(memory=decoding)
    before = device.bar(0).address
    device.config.write32(Header.BAR0, pattern)
    assert device.config.read32(Header.BAR0) == 0xFFFF_F000
    device.config.write32(Header.BAR0, before)
    device.enable()
    assert device.bar(0).read32(0) == 7


def test_halves_of_a_64_bit_bar(host, device):
    bar = device.bar(2)
    low = bar.address
    device.config.write32(bar.register.offset + 4, 0x30)
    assert host.port.read(0x30 << 32 | low, 4) == 0x99
    assert host.port.read(low, 4) == ONES
    device.config.write32(bar.register.offset, 0x1000_0000)
    assert host.port.read(0x30_1000_0000, 4) == 0x99


def test_a_bar_over_ram(host, device):
    device.bar(0).write_address(0x1000)
    host.port.write(0x1000, 4, 0x5A)
    assert host.memory.read_int(0x1000, 4) == 0x5A
    assert device.function.regs.conflict == "RAM"
    device.bar(0).write_address(0xD000_0000)
    assert device.bar(0).read32(0) == 7


def test_a_bar_over_a_bar(host, device):
    other = host.plug(Device(name="other"))
    other.function.value = 42
    place = device.bar(0).address
    other.bar(0).write_address(place)
    assert host.port.read(place, 4) == 7
    assert not other.function.regs.live
    device.bar(0).write_address(0xD000_0000)
    assert host.port.read(place, 4) == 42


def test_a_swap(host, device):
    other = host.plug(Device(name="other"))
    other.function.value = 42
    places = device.bar(0).address, other.bar(0).address
    device.bar(0).write_address(places[1])
    other.bar(0).write_address(places[0])
    assert [host.port.read(place, 4) for place in places] == [42, 7]


@pytest.mark.parametrize("address", [0, 1 << 52, 0xFFFF_FFFF_FFF0_0000, 0xFFF0_0000])
def test_addresses_that_are_not_decoded(device, address):
    device.bar(2).write_address(address)
    assert device.function.wide.address is None


def test_ports_have_16_bits(host):
    driver = host.plug(Conventional())
    driver.bar(0).write_address(0x1_2000)
    assert driver.function.ports.address is None
    driver.bar(0).write_address(0xFFF0)
    assert driver.bar(0).read32(0) == 8


def test_a_rom_has_two_enable_bits(device):
    offset = Header.ROM_BAR
    address = device.config.read32(offset)
    assert device.function.rom.address is None
    device.config.write32(offset, address | 1)
    assert device.function.rom.address == address
    device.enable(memory=False)
    assert device.function.rom.address is None


def test_bridge_windows(host):
    above = host.plug(bridge("bridge"))
    below = host.plug(Device(), behind=above)
    place = below.bar(0).address
    below.bar(0).write_address(0xD800_0000)
    assert below.function.regs.address is None
    below.bar(0).write_address(place)
    assert below.bar(0).read32(0) == 7
    above.enable(memory=False)
    assert host.port.read(place, 4) == ONES


def test_sizing_makes_no_ram(host, device):
    added = []

    class Slots:
        """A backend that counts the RAM it would have to map."""

        def region_added(self, region):
            added.extend([region.name] * (region.kind == "ram"))

        def region_removed(self, region):
            pass

        def region_moved(self, region, old_base):
            pass

    host.mmio.subscribe(Slots())
    for _ in range(7):
        device.bars()
    assert added == []
    device.bar(4).write32(0, 1)
    assert added == ["Device ram"]


# -- bridges --------------------------------------------------------------------------------------


def two_bridges(host):
    ports = [host.plug(bridge(name)) for name in ("left", "right")]
    return ports, [host.plug(Device(name=port.function.name), behind=port) for port in ports]


def test_one_bus_number_for_two_bridges(host):
    (_, right), _ = two_bridges(host)
    right.config.write16(Header.SECONDARY_BUS, 0x0101)
    assert host.bridge.function_at(0x100).name == "left"
    assert host.config.read(0x200, 0, 4) == ONES


def test_other_bus_numbers(host):
    _, (device, _) = two_bridges(host)
    host.config.write(1 << 3, Header.SECONDARY_BUS, 2, 0x4040)
    assert host.config.read(0x100, 0, 4) == ONES
    assert device.bdf == 0x4000
    device.enable_msi()
    device.bar(0).write32(4, 0)
    assert [one.requester for one in host.interrupts.take()] == [0x4000]


def test_secondary_bus_reset(host):
    (left, _), (device, other) = two_bridges(host)
    device.bar(0).write32(0, 1)
    other.bar(0).write32(0, 1)
    left.config.update(Header.BRIDGE_CONTROL, 2, ones=BridgeControl.SECONDARY_RESET)
    assert device.config.read32(0) == ONES
    left.config.update(Header.BRIDGE_CONTROL, 2, clear=BridgeControl.SECONDARY_RESET)
    assert device.config.read32(0) == 0x0001_1234
    assert device.config.read16(Header.COMMAND) == 0
    assert (device.function.value, other.function.value) == (7, 1)


# -- power, interrupts, DMA -----------------------------------------------------------------------


@pytest.mark.parametrize("state", [1, 2, 3])
def test_sleep(host, state):
    device = host.plug(Sleeper())
    device.enable_msi()
    device.power_state = state
    assert device.power_state == state
    assert device.function.regs.address is None
    device.function.irq().pulse()
    assert device.take_interrupts() == []
    assert device.function.dma.read(0x1000, 1) == b"\xff"


class Sleeper(Device):
    """All D-states."""

    device_id = 0x0003
    power = PowerManagement(d1=True, d2=True)


def test_waking_resets(device):
    device.bar(0).write32(0, 1)
    device.power_state = 3
    device.power_state = 0
    assert device.function.value == 7
    assert device.config.read16(Header.COMMAND) == 0


def test_msix_goes_before_msi(device):
    device.enable_msi()
    device.enable_msix()
    assert device.function.interrupts.mode == "msix"
    device.bar(0).write32(4, 2)
    assert device.take_interrupts() == [2]


def test_fewer_vectors(device):
    device.enable_msi(2)
    for vector in range(4):
        device.bar(0).write32(4, vector)
    assert device.take_interrupts() == [0, 1, 0, 1]


def test_what_pends_is_sent_once(device):
    msix = device.enable_msix()
    msix.mask(1)
    msix.mask_function()
    device.enable(bus_master=False)
    for _ in range(3):
        device.bar(0).write32(4, 1)
    gates = (lambda: msix.unmask(1), msix.unmask_function, device.enable)
    sent = []
    for gate in gates:
        gate()
        sent.append(device.take_interrupts())
    assert sent == [[], [], [1]]


def test_interrupt_disable(device):
    device.function.irq().set_level(True)
    assert device.intx_level
    device.config.update(Header.COMMAND, 2, ones=Command.INTERRUPT_DISABLE)
    assert not device.intx_level
    assert device.interrupt_status


def test_dma_needs_bus_master(host, device):
    host.memory.write_int(0x2000, 4, 0x1234)
    device.bar(0).write32(8, 0x2000)
    assert device.bar(0).read32(0) == 0x1234
    device.enable(bus_master=False)
    device.bar(0).write32(8, 0x2000)
    assert device.bar(0).read32(0) == ONES
    assert not device.config.read16(Header.STATUS) & Status.RECEIVED_MASTER_ABORT


def test_dma_to_nowhere(device):
    device.bar(0).write32(8, 0xF000_0000)
    assert device.bar(0).read32(0) == ONES
    assert device.config.read16(Header.STATUS) & Status.RECEIVED_MASTER_ABORT
