# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Device classes in a machine: BARs, callbacks, capabilities, interrupts, resets."""

import re
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from pci.devices import COMMAND, MASTER, MEMORY, Machine, make_class, window
from vmmkit.errors import ConfigSpaceError
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.config import ResetKind
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg, RegArray
from vmmkit.pci.state import State

GUIDE = Path(__file__).parents[2] / "docs/pci.md"


# -- the configuration space -----------------------------------------------------------------------


def test_ids():
    made = make_class(
        vendor_id=0x1AF4,
        device_id=0x1041,
        revision=3,
        class_code=0x02_00_01,
        subsystem_vendor_id=0x1234,
        subsystem_id=0x5678,
        intx="C",
    )
    config = made().config
    assert config.read(0, 4) == 0x1041_1AF4
    assert config.read(8, 4) == 0x020001_03
    assert config.read(0x2C, 4) == 0x5678_1234
    assert config.read(0x3D, 1) == 3
    assert config.size == 256


def test_express_functions_have_4096_bytes():
    assert make_class(express=PciExpress())().config.size == 4096


def test_capabilities_in_the_order_of_the_class():
    class Made(PciDevice):
        """Three capabilities, the last in a place of its own."""

        vendor_id, device_id = 1, 2
        power = PowerManagement()
        msi = Msi()
        msix = Msix(vectors=2)
        capability_offsets = {"msix": 0xA0}  # noqa: RUF012 - nobody changes it

    config = Made().config
    assert [type(one).__name__ for _, one in config.capabilities] == [
        "Msix",
        "PowerManagement",
        "Msi",
    ]
    assert config.offset_of(Msix) == 0xA0


def test_subclass_takes_a_capability_out():
    base = make_class("Base", msi=Msi(), msix=Msix())
    device = make_class("Less", (base,), msi=None)()
    assert (device.config.msi, device.config.msix is None) == (None, False)


# -- BARs ----------------------------------------------------------------------------------------


def test_bars_are_live_on_a_device():
    device = make_class(ports=IoBar(2, 16), rom=Rom(b"\x55\xaa"))()
    assert [bar.name for bar in device.bars] == ["regs", "ports", "rom"]
    assert (device.regs.address, device.regs is device.bars[0]) == (None, True)
    machine = Machine(device)
    assert device.regs.address == Machine.base
    machine.config(COMMAND, 2, 0)
    assert device.regs.address is None


def test_bar_of_a_subclass_stands_in_place_of_the_bases():
    base = make_class("Base", status=Reg(0))
    device = make_class("Wide", (base,), regs=MemBar(0, 1 << 20, width=64))()
    assert (device.regs.size, device.regs.declaration.width) == (1 << 20, 64)


class Callbacks(PciDevice):
    """Registers, and methods for what is between them."""

    vendor_id, device_id = 0x1234, 1
    regs = MemBar(0, 4096)
    ports = IoBar(1, 16)
    status = Reg(4, reset=0x1122_3344)

    def __init__(self):
        super().__init__()
        self.calls = []

    def read(self, vcpu, bar, offset, size):
        self.calls.append((vcpu, bar, offset, size))
        return -2

    def write(self, vcpu, bar, offset, size, value):
        self.calls.append((vcpu, bar, offset, size, value))


@pytest.mark.parametrize(
    ("offset", "size", "value", "calls"),
    [
        (0, 4, 0xFFFF_FFFE, [("cpu", 0, 0, 4)]),
        (8, 1, 0xFE, [("cpu", 0, 8, 1)]),
        (4, 4, 0x1122_3344, []),
        (2, 4, 0x3344_FFFE, [("cpu", 0, 2, 2)]),
        (1, 8, 0xFE11_2233_44FF_FFFE, [("cpu", 0, 1, 3), ("cpu", 0, 8, 1)]),
    ],
)
def test_read_gets_what_no_register_claims(offset, size, value, calls):
    device = Callbacks()
    assert window(device)[0](offset, size) == value
    assert device.calls == calls


def test_write_gets_what_no_register_claims():
    device = Callbacks()
    window(device)[1](2, 0x1122_3344_5566_7788, 8)
    assert device.calls == [("cpu", 0, 2, 2, 0x7788), ("cpu", 0, 8, 2, 0x1122)]
    assert device.status == 0x3344_5566


def test_bar_without_registers_is_the_methods_alone():
    device = Callbacks()
    get, put = window(device, 1)
    put(3, 0x55, 1)
    get(2, 2)
    assert device.calls == [("cpu", 1, 3, 1, 0x55), ("cpu", 1, 2, 2)]


def test_bar_with_callables_of_its_own():
    written = []

    def read(_vcpu, offset, size):
        return offset * 16 + size

    def write(*args):
        written.append(args)

    device = make_class("Own", (Callbacks,), extra=MemBar(2, 64, read=read, write=write))()
    get, put = window(device, 2)
    put(8, 5, 2)
    assert (get(3, 1), written, device.calls) == (0x31, [("cpu", 8, 2, 5)], [])


def test_whole_bars_may_read_as_zeros():
    device = make_class(unimplemented="zeros")()
    assert window(device)[0](0, 4) == 0


def test_registers_in_the_trapped_page_of_a_ram_bar():
    machine = Machine(
        make_class(
            regs=MemBar(0, 8192, ram=True, traps=((4096, 4096),)), bell=Reg(4096, reset=0x42)
        )()
    )
    machine.write(0, 0x1234)
    assert (machine.read(0), machine.read(4096)) == (0x1234, 0x42)
    assert machine.device.regs.buffer[:2] == b"\x34\x12"


def test_reads_go_through_the_whole_way():
    machine = Machine(Callbacks())
    assert [machine.read(4, size) for size in (1, 2, 4)] == [0x44, 0x3344, 0x1122_3344]
    assert machine.read(2) == 0x3344_FFFE
    machine.write(4, 7)
    assert machine.device.status == 7


# -- interrupts and DMA ----------------------------------------------------------------------------


class Bell(PciDevice):
    """Rings whatever vector is written, and copies memory."""

    vendor_id, device_id = 0x1234, 1
    intx = "A"
    msi = Msi(vectors=2)
    regs = MemBar(0, 4096)
    ring = Reg(0, "wo")
    level = Reg(4)
    copy = Reg(8, "wo")

    @ring.on_write
    def _ring(self, old, new):
        self.irq(new).pulse()

    @level.on_write
    def _level(self, old, new):
        self.irq().set_level(new != 0)

    @copy.on_write
    def _copy(self, old, new):
        self.dma.write(new + 16, self.dma.read(new, 16))


def test_interrupts_by_message():
    machine = Machine(Bell())
    machine.enable_msi(0x40)
    machine.write(4, 1)
    machine.write(0, 0)
    machine.write(4, 0)
    assert machine.sent() == [0x40, 0x40]


def test_interrupts_by_pin():
    machine = Machine(Bell())
    machine.write(4, 1)
    machine.write(4, 0)
    assert (machine.lines, machine.sent()) == ([True, False], [])


def test_no_such_interrupt():
    with pytest.raises(ConfigSpaceError, match="no vector 2"):
        Bell().irq(2)


def test_dma_is_gated_by_bus_master():
    machine = Machine(Bell())
    machine.memory[0x100:0x110] = bytes(range(16))
    machine.config(COMMAND, 2, MEMORY)
    machine.write(8, 0x100)
    assert machine.memory[0x110:0x120] == bytes(16)
    machine.config(COMMAND, 2, MEMORY | MASTER)
    machine.write(8, 0x100)
    assert machine.memory[0x110:0x120] == bytes(range(16))


@pytest.mark.parametrize(
    ("bars", "index", "size"),
    [
        ({"regs": MemBar(0, 64)}, 1, 8192),
        ({"regs": MemBar(1, 64)}, 0, 8192),
        ({"regs": MemBar(0, 64, width=64), "more": MemBar(3, 64)}, 2, 8192),
    ],
)
def test_table_finds_a_bar(bars, index, size):
    device = make_class(**bars, status=Reg(0), msix=Msix(vectors=4))()
    assert (device.config.msix.table_bar, device.bar(index).size) == (index, size)
    assert window(device, bars["regs"].index)[0](0) == 0  # registers stay where they were


def test_table_among_registers_is_the_cores():
    class Queue(PciDevice):
        """A table in the middle of the registers' BAR."""

        vendor_id, device_id = 0x1234, 1
        regs = MemBar(0, 4096)
        msix = Msix(vectors=2, table_bar=0, table_offset=0x800, pba_offset=0xC00)
        bell = Reg(0, "wo")

        @bell.on_write
        def _ring(self, old, new):
            self.irq(new).pulse()

    machine = Machine(Queue())
    machine.config(machine.device.config.msix.offset + 2, 2, 0x8000)
    for offset, value in ((0x810, 0xFEE0_0000), (0x818, 0x77)):
        machine.write(offset, value)
    machine.write(0, 1)
    assert (machine.read(0xC00), machine.sent()) == (2, [])  # masked: pending
    machine.write(0x81C, 0)
    assert (machine.read(0xC00), machine.sent()) == (0, [0x77])


# -- resets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ResetKind)
def test_every_reset_brings_registers_and_states_back(kind):
    class Made(PciDevice):
        """A register, a state, and a method that hears of resets."""

        vendor_id, device_id = 0x1234, 1
        regs = MemBar(0, 4096)
        status = Reg(0, reset=5)
        queue = State([1, 2])
        kinds = ()

        def on_reset(self, kind):
            self.kinds += ((kind, self.status, self.queue),)

    machine = Machine(Made())
    machine.write(0, 7)
    machine.device.queue.append(3)
    machine.device.reset(kind)
    assert machine.device.kinds == ((kind, 5, [1, 2]),)
    machine.device.queue.append(3)
    machine.device.reset(kind)
    assert machine.device.queue == [1, 2]


# -- threads -------------------------------------------------------------------------------------


class Guarded(PciDevice):
    """Hooks that find out whether another thread could get the lock."""

    vendor_id, device_id = 0x1234, 1
    serialize = True
    regs = MemBar(0, 4096)
    ports = IoBar(1, 16)
    status = Reg(0)

    def __init__(self):
        super().__init__()
        self.held = []

    def look(self):
        def try_lock():
            free = self.lock.acquire(blocking=False)
            self.held.append(not free)
            if free:
                self.lock.release()

        thread = Thread(target=try_lock)
        thread.start()
        thread.join()

    @status.on_write
    def _written(self, old, new):
        self.look()

    @status.on_read
    def _asked(self):
        self.look()
        return 5

    def read(self, vcpu, bar, offset, size):
        self.look()
        return 6


@pytest.mark.parametrize("serialize", [True, False])
def test_one_access_at_a_time_if_asked_for(serialize):
    device = make_class("Made", (Guarded,), serialize=serialize)()
    get, put = window(device)
    put(0, 1)
    assert (get(0), get(8), window(device, 1)[0](0)) == (5, 6, 6)
    assert device.held == [serialize] * 4
    device.look()
    assert device.held[-1] is False


class Probe:
    """The first value of a state; it says when a copy is made for a device."""

    made: ClassVar[list] = []

    def __deepcopy__(self, _memo):
        for call in self.made:
            call()
        return self


def test_no_reset_in_the_middle_of_an_access(monkeypatch):
    device = make_class("Made", (Guarded,), serialize=True, probe=State(Probe()))()
    monkeypatch.setattr(Probe, "made", [device.look])
    device.reset()
    assert device.held == [True]


# -- the guide -----------------------------------------------------------------------------------


def test_the_guides_edu_is_short():
    """The complete device of the guide has no more than 35 lines."""
    text = GUIDE.read_text().partition(">>> class Edu(PciDevice):")[2].partition(">>>")[0]
    lines = [line.removeprefix("...").strip() for line in text.splitlines()]
    code = [line for line in lines if line and not re.match(r"#|\"\"\"", line)]
    assert len(code) + 1 <= 35


def test_a_read_hook_without_a_return():
    class Forgetful(PciDevice):
        """Its hooks give nothing."""

        vendor_id, device_id = 0x1234, 1
        regs = MemBar(0, 4096)
        one = Reg(0)
        row = RegArray(0x10, 2)

        @one.on_read
        def _one(self):
            """Forget the value."""

        @row.on_read
        def _row(self, index):
            """Forget it here, too."""

    device = Forgetful()
    read, _ = window(device)
    for offset, size, name in ((0, 4, "_one"), (1, 1, "_one"), (0x14, 4, "_row"), (0, 8, "_one")):
        with pytest.raises(TypeError, match=rf"Forgetful\.{name} returned None"):
            read(offset, size)
    device.trace(lambda _access: None)
    with pytest.raises(TypeError, match="_row returned None"):
        read(0x10, 4)
