# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Listeners of an address map that raise, or that lead back to the buses; who hears what, when."""

from __future__ import annotations

import threading

import pytest

from pci.machine import Machine, Told
from vmmkit.errors import OverlapError, TopologyError
from vmmkit.pci.bars import IoBar, MemBar
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting
from vmmkit.pci.spec import Header, PortType

BASE = 0xC000_0000
COMMAND, BAR0, BAR1 = 0x04, 0x10, 0x14


class Listener:
    """Does with every piece of news what the test says; at first, nothing."""

    def __init__(self, space):
        self.do = lambda: None
        space.subscribe(self)

    def fail_with(self, error):
        def fail():
            raise error

        self.do = fail

    def region_added(self, _region):
        self.do()

    region_removed = region_added

    def region_moved(self, _region, _old_base):
        self.do()


class Setting:
    """A machine with one live function, whose pin is high, and a listener."""

    def __init__(self):
        self.machine = Machine()
        self.pin = []
        self.device = self.machine.plug(
            1,
            MemBar(0, 0x1000),
            IoBar(1, 16),
            capabilities=[PciExpress(port_type=PortType.ENDPOINT, flr=True)],
            intx="A",
        )
        self.write(BAR0, 4, BASE)
        self.write(BAR1, 4, 0x1000)
        self.write(COMMAND, 2, 2)
        self.device.interrupts.set_pin = self.pin.append
        self.device.interrupts.vector(0).set_level(True)
        self.machine.told.clear()
        self.listener = Listener(self.machine.mmio)

    def write(self, offset, size, value):
        self.machine.host.config_write(self.device.bdf, offset, size, value)

    def fails(self, action, error=None):
        """Make a change of which the listener raises, then see that all is in step."""
        error = error or RuntimeError("no memory slot left")
        self.listener.fail_with(error)
        with pytest.raises(type(error)):
            action()
        self.listener.do = lambda: None
        assert not self.machine.host.notices.waiting
        self.machine.check()


def test_ports_follow_where_a_listener_of_memory_raises():
    setting = Setting()
    setting.fails(lambda: setting.write(COMMAND, 2, 1))
    assert [bar.live for bar in setting.device.bars] == [False, True]
    assert setting.machine.told == [("unmapped", "Told", 0), ("mapped", "Told", 1, 0x1000)]


def test_interrupts_follow_where_a_listener_raises():
    setting = Setting()
    setting.fails(lambda: setting.write(COMMAND, 2, 0x400))
    assert setting.pin == [True, False]


@pytest.mark.parametrize("how", ["function level", "host", "owner"])
def test_a_reset_is_whole_where_a_listener_raises(how):
    setting = Setting()
    control = setting.device.config.offset_of(PciExpress) + 8
    reset = {
        "function level": lambda: setting.write(control, 2, 0x8000),
        "host": setting.machine.host.reset,
        "owner": setting.device.reset,
    }[how]
    setting.fails(reset)
    assert setting.pin == [True, False]
    assert [event[0] for event in setting.machine.told] == ["unmapped", "reset"]


def test_a_function_is_detached_wholly_where_a_listener_raises():
    setting = Setting()
    bdf = setting.device.bdf
    setting.fails(lambda: setting.machine.host.bus.detach(setting.device))
    assert setting.machine.host.function_at(bdf) is None
    assert setting.pin == [True, False]
    assert setting.machine.told == [("unmapped", "Told", 0)]


def test_a_port_hears_of_a_device_whose_mapping_makes_a_listener_raise():
    setting = Setting()
    setting.machine.host.bus.detach(setting.device)
    setting.device.config.set(COMMAND, 2, 2)
    setting.fails(lambda: setting.machine.host.bus.attach(setting.device, 1))
    assert setting.device.bars[0].live
    assert setting.machine.host.function_at(setting.device.bdf) is setting.device


def test_a_listeners_overlap_is_no_refusal_of_the_map():
    """A listener that mirrors the map into another one may find that one taken."""
    setting = Setting()
    error = OverlapError("the mirror is taken", None, None)
    setting.fails(lambda: setting.write(BAR0, 4, BASE + 0x1000), error)
    assert setting.device.bars[0].live
    assert setting.machine.mmio.find(BASE) is None
    assert setting.machine.mmio.find(BASE + 0x1000) is not None


def test_functions_are_told_where_a_listener_raises_at_the_end_of_changing():
    setting = Setting()
    machine = setting.machine
    setting.write(COMMAND, 2, 0)
    ram = machine.mmio.add_ram(BASE, bytearray(0x1000), name="ram")
    setting.write(COMMAND, 2, 2)
    machine.told.clear()

    def change():
        with machine.host.changing():
            setting.listener.do = lambda: None
            machine.mmio.remove(ram)
            setting.listener.fail_with(RuntimeError("no memory slot left"))

    setting.fails(change)
    assert machine.told == [("mapped", "Told", 0, BASE)]


# -- from a listener back to the buses -----------------------------------------------------------


class Meddler(Function):
    """Does something when it is mapped."""

    def __init__(self, do):
        config = ConfigSpace.type0(vendor_id=1, device_id=2, class_code=0)
        super().__init__(config, [MemBar(0, 0x1000)])
        self.do = do

    def on_mapped(self, _bar):
        self.do()


@pytest.fixture
def pair():
    """A machine with two live BARs, and a second host bridge on its map."""
    machine = Machine()
    device = machine.plug(1, MemBar(0, 0x1000), MemBar(1, 0x1000))
    machine.write(device, BAR0, 4, BASE)
    machine.write(device, BAR1, 4, BASE + 0x1000)
    machine.write(device, COMMAND, 2, 2)
    machine.told.clear()
    return machine, device, HostBridge(machine.mmio, name="other")


def shadow(other, do):
    """Put a BAR of the other host bridge where one is live."""
    meddler = Meddler(do)
    other.bus.attach(meddler, 0)
    other.config_write(0, BAR0, 4, BASE)
    other.config_write(0, COMMAND, 2, 2)
    assert not meddler.bars[0].live
    return meddler


def test_a_bar_that_heals_in_another_segments_commit_may_write_there(pair):
    machine, device, other = pair
    meddler = shadow(other, lambda: machine.write(device, BAR1, 4, BASE + 0x5000))
    machine.write(device, BAR0, 4, BASE + 0x3000)
    assert meddler.bars[0].live
    machine.check()
    other._check()
    assert machine.told == [
        ("moved", "Told", 0, BASE, BASE + 0x3000),
        ("moved", "Told", 1, BASE + 0x1000, BASE + 0x5000),
    ]


@pytest.mark.parametrize("write", [(COMMAND, 2, 0), (BAR0, 4, BASE), (BAR0, 4, BASE + 0x1000)])
def test_what_it_writes_is_what_counts(pair, write):
    machine, device, other = pair
    shadow(other, lambda: machine.write(device, *write))
    machine.write(device, BAR0, 4, BASE + 0x3000)
    machine.check()
    other._check()
    assert machine.read(device, *write[:2]) == write[2]


def test_it_may_reserve_and_reset_there(pair):
    machine, device, other = pair

    def meddle():
        machine.host.reserve(BASE + 0x1000, 0x1000)
        device.reset()

    shadow(other, meddle)
    machine.write(device, BAR0, 4, BASE + 0x3000)
    machine.check()
    other._check()
    assert not any(bar.live for bar in device.bars)


def test_it_may_not_change_the_topology_there(pair):
    machine, device, other = pair
    shadow(other, lambda: machine.host.bus.detach(device))
    with pytest.raises(TopologyError, match="in the middle of a change"):
        machine.host.config_write(device.bdf, BAR0, 4, BASE + 0x3000)
    machine.check()
    other._check()
    machine.host.bus.detach(device)
    machine.check()


# -- who is told what, and when ------------------------------------------------------------------


def test_a_picture_does_not_keep_a_bar_from_healing():
    """What others leave while the lock is held for a look is looked at after that."""
    setting = Setting()
    machine = setting.machine
    setting.write(COMMAND, 2, 0)
    ram = machine.mmio.add_ram(BASE, bytearray(0x1000), name="ram")
    setting.write(COMMAND, 2, 2)
    assert not setting.device.bars[0].live

    class Slow(Told):
        @property
        def bdf(self):
            if ram in machine.mmio:
                owner = threading.Thread(target=machine.mmio.remove, args=(ram,))
                owner.start()
                owner.join()
            return super().bdf

    config = ConfigSpace.type0(vendor_id=1, device_id=2, class_code=0)
    machine.host.bus.attach(Slow(machine.told, config), 3)
    machine.host.tree()
    assert setting.device.bars[0].live
    machine.check()


def is_free(lock):
    free = lock.acquire(blocking=False)
    if free:
        lock.release()
    return free


def test_lines_hear_of_topology_with_no_lock_held():
    heard = []

    def set_gsi(gsi, level):
        thread = threading.Thread(target=lambda: heard.append((gsi, level, is_free(lock))))
        thread.start()
        thread.join()

    machine = Machine(routing=IntxRouting.swizzled(), set_gsi=set_gsi)
    lock = machine.host.lock
    device = machine.plug(1, intx="A")
    device.interrupts.vector(0).set_level(True)
    machine.host.bus.detach(device)
    machine.host.bus.attach(device, 2)
    assert heard == [(17, True, True), (17, False, True), (18, True, True)]


def test_config_writes_are_noted_in_the_order_of_writing():
    """They are queued before another thread can write, so no thread overtakes another."""
    machine = Machine()
    lock, notices, free = machine.host.lock, machine.host.notices, []

    class Mirror(Told):
        def on_config_write(self, _offset, _size, value):
            self.told.append(value)

    def post(call):
        thread = threading.Thread(target=lambda: free.append(is_free(lock)))
        thread.start()
        thread.join()
        notices.waiting.append(call)

    config = ConfigSpace.type0(vendor_id=1, device_id=2, class_code=0)
    machine.host.bus.attach(Mirror(machine.told, config), 1)
    notices.post = post
    machine.host.config_write(8, COMMAND, 2, 4)
    assert machine.told == [4]
    assert free == [False]


def test_an_access_of_old_does_not_touch_what_has_moved_to_another_host():
    """A vCPU has found the handler of lazy memory, and is slow to call it."""
    one, two = Machine(), Machine()
    device = one.plug(1, MemBar(0, 0x1000, ram=True))
    one.write(device, BAR0, 4, BASE)
    one.write(device, COMMAND, 2, 2)
    found = one.mmio.find(BASE)
    one.host.bus.detach(device)
    two.host.bus.attach(device, 1)
    two.write(device, BAR0, 4, BASE)
    two.write(device, COMMAND, 2, 2)
    assert found._read(None, 0, 4) == 0
    one.check()
    two.check()
    assert two.slots == []


@pytest.mark.parametrize("shown", [False, True])
def test_the_multifunction_bit_is_the_slots_not_the_snapshots(shown):
    machine = Machine()
    functions = [
        Function(ConfigSpace.type0(vendor_id=1, device_id=2, class_code=0)) for _ in range(3)
    ]
    for at, function in enumerate(functions):
        machine.host.bus.attach(function, at // 2, at % 2)
    taker, giver = (functions[0], functions[2]) if shown else (functions[2], functions[0])
    taker.restore(giver.snapshot())
    assert bool(machine.read(taker, Header.HEADER_TYPE, 1) & 0x80) is shown
