# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The test host itself: what a device author gets from it, as a device author would use it."""

import pytest

from vmmkit.errors import AllocationError, PciError, TopologyError
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities import Dsn, Msi, Msix, PciExpress, PowerManagement
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg
from vmmkit.pci.spec import CapabilityId, Command, ExtendedCapabilityId, Header
from vmmkit.pci.testing import Driver, Host, HostMemory

pytest_plugins = ["vmmkit.pci.testing.fixtures"]


class Probe(PciDevice):
    """One of everything."""

    vendor_id, device_id, class_code = 0x1234, 0x0001, 0xFF0000
    intx = "A"
    power = PowerManagement()
    express = PciExpress()
    msi = Msi(vectors=4)
    msix = Msix(vectors=40)
    dsn = Dsn(0x1122334455667788)

    regs = MemBar(0, 4096)
    ports = IoBar(1, 32)
    vram = MemBar(2, 1 << 16, width=64, prefetchable=True, ram=True)
    rom = Rom(b"\x55\xaa")

    value = Reg(0x00, reset=7)
    wide = Reg(0x08, size=8)
    ring = Reg(0x10, "wo")
    source = Reg(0x18)
    copy = Reg(0x1C, "wo")
    command = Reg(0x00, bar=ports)

    @ring.on_write
    def _ring(self, old, new):
        self.irq(new).pulse()

    @copy.on_write
    def _copy(self, old, new):
        self.dma.write(new, self.dma.read(self.source, 4))


class Line(PciDevice):
    """A device with nothing but a pin."""

    vendor_id, device_id = 0x1234, 0x0002
    intx = "A"
    regs = MemBar(0, 4096)
    level = Reg(0x00)

    @level.on_write
    def _drive(self, old, new):
        self.irq().set_level(bool(new))


def bridge(name="bridge"):
    config = ConfigSpace.type1(vendor_id=0x1B36, device_id=0x000C, class_code=0x060400)
    return Bridge(config, name=name)


@pytest.fixture(params=["ecam", "cf8"])
def host(request):
    host = Host(config=request.param)
    yield host
    host.check()


# -- plugging -------------------------------------------------------------------------------------


def test_plug_gives_a_device_that_answers(host):
    probe = host.plug(Probe())
    assert isinstance(probe, Driver)
    assert probe.bdf == 1 << 3
    assert probe.config.read32(Header.VENDOR_ID) == 0x0001_1234
    assert probe.bar(0).read32(0) == 7
    assert all(bar.live for bar in probe.function.bars if bar.index != 6)


def test_bars_are_sized_as_declared(host):
    found = {bar.index: bar for bar in host.plug(Probe()).bars()}
    declared = {0: ("mem32", 4096), 1: ("io", 32), 2: ("mem64", 1 << 16), 6: ("rom", 2048)}
    assert {index: (found[index].kind, found[index].size) for index in declared} == declared
    assert found[2].prefetchable
    assert not found[0].prefetchable


def test_sizing_changes_nothing(host):
    probe = host.plug(Probe())
    before = probe.config.bytes(64)
    probe.bars()
    assert probe.config.bytes(64) == before


@pytest.mark.parametrize(("size", "value"), [(1, 0x12), (2, 0x1234), (4, 0x12345678), (8, 1 << 63)])
def test_bar_accesses(host, size, value):
    window = host.plug(Probe()).bar(0)
    getattr(window, f"write{8 * size}")(8, value)
    assert getattr(window, f"read{8 * size}")(8) == value
    assert window.size == 4096


def test_io_ram_and_rom_bars(host):
    probe = host.plug(Probe())
    probe.bar(1).write32(0, 0xABCD)
    assert probe.function.command == 0xABCD
    probe.bar(2).write64(8, 0x1122334455667788)
    assert bytes(probe.function.vram.buffer[8:12]) == b"\x88\x77\x66\x55"
    assert probe.bar(6).read16(0) == 0xAA55


def test_a_bar_that_does_not_decode_reads_ones(host):
    probe = host.plug(Probe(), enable=False)
    assert probe.bar(0).read32(0) == 0xFFFF_FFFF
    probe.enable(io=False, bus_master=False)
    assert probe.bar(0).read32(0) == 7
    assert probe.bar(1).read32(0) == 0xFFFF_FFFF
    assert probe.config.read16(Header.COMMAND) == Command.MEMORY
    probe.disable()
    assert probe.bar(0).read32(0) == 0xFFFF_FFFF


def test_a_window_follows_its_bar(host):
    window = host.plug(Probe()).bar(2)
    window.write32(0, 5)
    window.write_address(0x20_0000_0000)
    assert window.address == 0x20_0000_0000
    assert window.read32(0) == 5
    assert host.port.read(0x20_0000_0000, 4) == 5


def test_a_rom_moves_and_stays_enabled(host):
    rom = host.plug(Probe()).bar(6)
    rom.write_address(0xD000_0000)
    assert host.port.read(0xD000_0000, 2) == 0xAA55


def test_slots(host):
    first, second = host.plug(Line()), host.plug(Line())
    third = host.plug(Line(), slot=3, function=1)
    assert [one.bdf for one in (first, second, third)] == [1 << 3, 2 << 3, 3 << 3 | 1]
    with pytest.raises(TopologyError):
        host.plug(Line(), slot=1)


def test_a_full_bus():
    host = Host()
    for _ in range(31):
        host.plug(Line())
    with pytest.raises(TopologyError, match="no free slot"):
        host.plug(Line())


def test_a_bar_that_finds_no_room():
    class Huge(PciDevice):
        """Half of what is below 4 GiB."""

        vendor_id, device_id = 0x1234, 0x0003
        regs = MemBar(0, 1 << 31)

    with pytest.raises(AllocationError, match=r"BAR 0 of 00:01\.0 \(0x80000000\)"):
        Host().plug(Huge())


def test_unplug(host):
    probe = host.plug(Probe())
    address = probe.bar(0).address
    host.unplug(probe)
    assert host.port.read(address, 4) == 0xFFFF_FFFF
    assert list(host.scan()) == []
    host.unplug(probe)


def test_behind_bridges(host):
    outer = host.plug(bridge("outer"))
    inner = host.plug(bridge("inner"), behind=outer)
    probe = host.plug(Probe(), behind=inner)
    assert probe.bdf == 2 << 8
    assert probe.bar(0).read32(0) == 7
    scanned = [(one.bdf, one.secondary, one.subordinate) for one in host.scan()]
    assert scanned == [(1 << 3, 1, 2), (1 << 8, 2, 2), (2 << 8, 0, 0)]
    assert [one.function.name for one in host.drivers()] == ["outer", "inner", "Probe"]


def test_windows_that_find_no_room():
    host = Host()
    *bridges, last = [host.plug(bridge()) for _ in range(16)]
    for above in bridges:
        host.plug(Probe(), behind=above)
    with pytest.raises(AllocationError, match=r"no io left for BAR 1 of 10:00\.0"):
        host.plug(Probe(), behind=last)


def test_behind_what_is_no_bridge(host):
    probe = host.plug(Probe())
    with pytest.raises(TopologyError, match="is no bridge"):
        host.plug(Line(), behind=probe)


def test_no_bus_number_left():
    host = Host(last_bus=1)
    host.plug(bridge())
    with pytest.raises(AllocationError, match="no bus number"):
        host.plug(bridge())


# -- capabilities ---------------------------------------------------------------------------------


def test_capabilities_are_found_by_walking(host):
    probe = host.plug(Probe())
    assert probe.capability(CapabilityId.MSI) == probe.function.config.msi.offset
    assert probe.capability(CapabilityId.VENDOR_SPECIFIC) is None


def test_extended_capabilities_need_ecam():
    ecam, cf8 = (Host(config=way).plug(Probe()) for way in ("ecam", "cf8"))
    offset = ecam.extended_capability(ExtendedCapabilityId.DSN)
    assert ecam.config.read32(offset + 4) == 0x55667788
    assert cf8.extended_capability(ExtendedCapabilityId.DSN) is None
    cf8.config.write32(0x100, 0)
    assert ecam.extended_capability(ExtendedCapabilityId.AER) is None


class Pinless(Line):
    """The same without a pin."""

    intx = None


def test_what_a_function_does_not_have(host):
    line = host.plug(Line())
    for use in (line.enable_msi, line.enable_msix, line.function_reset, lambda: line.power_state):
        with pytest.raises(PciError, match="has no"):
            use()
    with pytest.raises(PciError, match="Pinless has no interrupt pin"):
        host.plug(Pinless()).enable_intx()
    window = line.bar(min(bar.index for bar in line.bars()))
    for offset, size in ((window.size, 1), (window.size - 3, 4), (-1, 1)):
        with pytest.raises(PciError, match="of BAR"):
            window.read(offset, size)
        with pytest.raises(PciError, match="of BAR"):
            window.write(offset, size, 0)
    with pytest.raises(PciError, match="Line has no BAR 3, only"):
        line.bar(3)


# -- interrupts -----------------------------------------------------------------------------------


def test_msix(host):
    probe = host.plug(Probe())
    msix = probe.enable_msix()
    assert msix.count == 40
    for vector in (0, 39):
        probe.bar(0).write32(0x10, vector)
    assert probe.take_interrupts() == [0, 39]
    assert probe.take_interrupts() == []


@pytest.mark.parametrize("vector", [1, 33])
def test_msix_masks(host, vector):
    probe = host.plug(Probe())
    msix = probe.enable_msix()
    msix.mask(vector)
    probe.bar(0).write32(0x10, vector)
    assert probe.take_interrupts() == []
    assert msix.pending(vector)
    msix.unmask(vector)
    assert probe.take_interrupts() == [vector]
    assert not msix.pending(vector)
    msix.mask_function()
    probe.bar(0).write32(0x10, vector)
    assert probe.take_interrupts() == []
    msix.unmask_function()
    assert probe.take_interrupts() == [vector]


@pytest.mark.parametrize("vectors", [1, 2, 4])
def test_msi(host, vectors):
    probe = host.plug(Probe())
    msi = probe.enable_msi(vectors)
    assert (msi.count, msi.capable) == (vectors, 4)
    probe.bar(0).write32(0x10, vectors - 1)
    assert probe.take_interrupts() == [vectors - 1]


def test_msi_masks(host):
    probe = host.plug(Probe())
    msi = probe.enable_msi()
    assert msi.maskable
    msi.mask(2)
    probe.bar(0).write32(0x10, 2)
    assert msi.pending(2)
    assert not probe.take_interrupts()
    msi.unmask(2)
    assert probe.take_interrupts() == [2]


def test_msi_of_32_bits(host):
    class Narrow(Probe):
        """No upper address, no mask bits."""

        device_id = 0x0005
        msi = Msi(vectors=2, address64=False, maskable=False)

    probe = host.plug(Narrow())
    msi = probe.enable_msi()
    assert not msi.maskable
    probe.bar(0).write32(0x10, 1)
    assert probe.take_interrupts() == [1]


def test_bus_master_gates_messages(host):
    probe = host.plug(Probe())
    probe.enable_msix()
    probe.enable(bus_master=False)
    probe.bar(0).write32(0x10, 3)
    assert len(host.interrupts) == 0
    probe.enable()
    assert probe.take_interrupts() == [3]


def test_disabling_messages_leaves_the_pin(host):
    probe = host.plug(Probe())
    for enable in (probe.enable_msi, probe.enable_msix):
        enable().disable()
        probe.bar(0).write32(0x10, 0)
        assert host.interrupts.edges == [(probe.gsi, True), (probe.gsi, False)]
        host.interrupts.clear()
    assert probe.take_interrupts() == []


def test_intx(host):
    probe = host.plug(Probe())
    probe.enable_msix()
    probe.enable_intx()
    assert probe.function.interrupts.mode == "intx"
    line = host.plug(Line())
    line.bar(0).write32(0, 1)
    assert line.intx_level
    assert line.interrupt_status
    assert not probe.intx_level
    line.bar(0).write32(0, 0)
    assert not line.intx_level
    assert host.interrupts.edges == [(line.gsi, True), (line.gsi, False)]


def test_the_pin_behind_bridges_is_swizzled_as_the_host_does_it(host):
    outer = host.plug(bridge(), slot=5)
    inner = host.plug(bridge(), slot=3, behind=outer)
    line = host.plug(Line(), slot=6, behind=inner)
    line.bar(0).write32(0, 1)
    assert host.interrupts.levels[line.gsi]
    assert line.gsi == host.bridge.wiring.routing.gsi(5, (0 + 6 + 3) % 4)
    assert outer.gsi is None


def test_a_stray_message_has_no_vector(host):
    probe = host.plug(Probe())
    msix = probe.enable_msix()
    msix.set_message(0, 0xFEE0_1000, 0x20)
    probe.bar(0).write32(0x10, 0)
    [stray] = host.interrupts
    assert (stray.requester, stray.vector, stray.address) == (probe.bdf, None, 0xFEE0_1000)
    assert host.interrupts.take(probe.bdf + 1) == []
    assert host.interrupts.take() == [stray]


def test_two_devices_do_not_share_messages(host):
    one, other = host.plug(Probe()), host.plug(Probe())
    for driver in (one, other):
        driver.enable_msi()
    one.bar(0).write32(0x10, 1)
    other.bar(0).write32(0x10, 2)
    one.bar(0).write32(0x10, 3)
    assert other.take_interrupts() == [2]
    assert one.take_interrupts() == [1, 3]


# -- memory ---------------------------------------------------------------------------------------


def test_dma(host):
    probe = host.plug(Probe())
    source = host.memory.alloc(64, data=b"data")
    target = host.memory.alloc(4, align=4096)
    probe.bar(0).write32(0x18, source)
    probe.bar(0).write32(0x1C, target)
    assert host.memory.read(target, 4) == b"data"
    assert host.port.read(target, 4) == int.from_bytes(b"data", "little")


def test_host_memory():
    memory = HostMemory(0x4000)
    assert memory.size == 0x4000
    first, second = memory.alloc(5), memory.alloc(0x100, align=0x1000)
    assert first > 0
    assert (first % 16, second % 0x1000) == (0, 0)
    memory.write_int(first, 8, 0x1122334455667788)
    assert memory.read_int(first, 2) == 0x7788
    assert memory.read(0x3FFF, 4) == b"\0"
    with pytest.raises(AllocationError, match="DMA buffer"):
        memory.alloc(0x4000)


# -- resets and state -----------------------------------------------------------------------------


def test_power_states(host):
    probe = host.plug(Probe())
    probe.power_state = 3
    assert probe.power_state == 3
    assert probe.bar(0).read32(0) == 0xFFFF_FFFF
    probe.power_state = 0
    assert probe.power_state == 0


def test_function_reset(host):
    probe = host.plug(Probe())
    probe.bar(0).write32(0, 99)
    probe.function_reset()
    assert probe.bar(0).read32(0) == 7
    assert probe.config.read16(Header.COMMAND) & 7 == 7
    probe.function_reset(restore=False)
    assert probe.config.read16(Header.COMMAND) == 0
    assert probe.bar(0).address == 0


@pytest.mark.parametrize("kind", [ResetKind.POWER, ResetKind.BUS])
def test_host_reset(host, kind):
    probe = host.plug(Probe())
    probe.bar(0).write32(0, 99)
    probe.enable_msix()
    host.reset(kind)
    assert probe.bar(0).read32(0) == 7
    assert probe.function.interrupts.mode == "intx"


def test_round_trip_keeps_everything(host):
    probe = host.plug(Probe())
    msix = probe.enable_msix()
    msix.mask(5)
    probe.bar(0).write32(0x10, 5)
    probe.bar(0).write32(0, 99)
    probe.bar(2).write32(0x100, 42)
    host.round_trip()
    assert probe.bar(0).read32(0) == 99
    assert probe.bar(2).read32(0x100) == 42
    assert msix.pending(5)
    msix.unmask(5)
    assert probe.take_interrupts() == [5]


def test_round_trip_finds_what_is_lost():
    class Forgetful(Line):
        """Counts its snapshots, and has the count in them."""

        device_id = 0x0004

        def snapshot(self):
            self.level += 1
            return super().snapshot()

    host = Host()
    host.plug(Forgetful())
    with pytest.raises(AssertionError, match="saved:"):
        host.round_trip()


# -- pytest ---------------------------------------------------------------------------------------


def test_fixtures(pci_host, pci_plug):
    probe = pci_plug(Probe())
    assert [driver.bdf for driver in pci_host.drivers()] == [probe.bdf]


def test_repr(host):
    assert repr(host.plug(Probe(name="p"))) == "<Driver of <Probe 'p' 00:01.0>>"
