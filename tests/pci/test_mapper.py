# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Address maps of other kinds, maps that refuse, and owners who change their minds."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from pci.machine import Machine, Told, label
from vmmkit.errors import HandlerError, OverlapError, TopologyError
from vmmkit.memregion import RegionMap
from vmmkit.pci.bars import IoBar, MemBar
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.spec import PortType

BASE = 0xC000_0000


class Window:
    def __init__(self, base, size, handler, name):
        self.base, self.size, self.handler, self.name = base, size, handler, name


class PlainSpace:
    """An address space with no more than the four methods of `AddressSpace`, without roll-back.

    `refused` are addresses it does not take; the error names no region where `names` is false.
    """

    def __init__(self, refused=(), *, names=True):
        self.windows, self.refused, self.names = [], set(refused), names
        self.saved = None

    def add(self, base, size, handler, /, *, name=""):
        window = Window(base, size, handler, name)
        self.windows.append(window)
        return window

    def remove(self, window, /):
        self.windows.remove(window)

    def move(self, window, base, /):
        window.base = base

    def commit(self):
        for window in self.windows:
            if window.base in self.refused:
                raise OverlapError("taken", *((window, None) if self.names else (None, None)))

    @contextmanager
    def transaction(self):
        saved = [(window, window.base) for window in self.windows]
        try:
            yield
            self.commit()
        except OverlapError:
            self.windows = [window for window, _ in saved]
            for window, base in saved:
                window.base = base
            raise


def host_with(space, count=2):
    host = HostBridge(space)
    functions = []
    for at in range(count):
        config = ConfigSpace.type0(vendor_id=1, device_id=at, class_code=0)
        functions.append(Told([], config, [MemBar(0, 0x1000, ram=True), MemBar(1, 0x1000)]))
        host.bus.attach(functions[at], at)
    return host, functions


def write(host, function, offset, value):
    host.config_write(function.bdf, offset, 4, value)


def test_a_space_with_four_methods_serves():
    space = PlainSpace()
    host, (one, two) = host_with(space)
    for function, base in ((one, BASE), (two, BASE + 0x1000)):
        write(host, function, 0x10, base)
        write(host, function, 4, 2)
    assert [window.base for window in space.windows] == [BASE, BASE + 0x1000]
    write(host, two, 0x10, BASE)  # BARs do not overlap even there
    assert [window.base for window in space.windows] == [BASE]
    assert two.bar(0).conflict == str(one.bar(0))
    window = space.windows[0]
    window.handler.write(None, 8, 4, 5)  # RAM that can never be more than trapped
    assert window.handler.read(None, 8, 4) == 5
    host._check()


@pytest.mark.parametrize("names", [True, False])
def test_what_a_map_refuses_is_not_live_until_something_changes(names):
    space = PlainSpace({BASE}, names=names)
    host, (one, two) = host_with(space)
    write(host, one, 0x10, BASE)
    write(host, two, 0x10, BASE)
    for function in (one, two):
        write(host, function, 4, 2)
    assert not one.bar(0).live
    assert one.bar(0).conflict == "refused by the address map"
    assert not two.bar(0).live
    host._check()
    space.refused.clear()
    write(host, two, 0x14, BASE + 0x10_0000)  # anything
    assert one.bar(0).live
    assert not two.bar(0).live
    host._check()


def test_a_refused_bar_does_not_take_others_with_it():
    space = PlainSpace({BASE})
    host, (one, _) = host_with(space)
    write(host, one, 0x10, BASE)
    write(host, one, 0x14, BASE + 0x1000)
    write(host, one, 4, 2)
    assert [bar.live for bar in one.bars] == [False, True]
    host._check()


def test_no_map_at_all():
    host, (one, two) = host_with(None)
    for function in (one, two):
        write(host, function, 0x10, BASE)
        write(host, function, 4, 2)
    assert (one.bar(0).live, two.bar(0).live) == (True, False)
    host._check()


def test_a_map_narrower_than_the_guests_addresses():
    space = RegionMap(address_bits=32)
    host, (one, _) = host_with(space)
    write(host, one, 0x10, 0xFFFF_E000)
    write(host, one, 4, 2)
    assert one.bar(0).live
    host._check()


class Raises:
    """A listener that cannot follow."""

    def region_added(self, region):
        raise OSError("no slot")

    region_removed = region_moved = region_added


def test_a_listener_that_raises_leaves_all_in_step():
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x1000, read=label(3)))
    machine.write(dev, 0x10, 4, BASE)
    listener = Raises()
    machine.mmio.subscribe(listener)
    with pytest.raises(OSError, match="no slot"):
        machine.host.config_write(dev.bdf, 4, 2, 2)
    machine.mmio.unsubscribe(listener)
    machine.check()
    assert dev.bar(0).live
    assert machine.memory.read(BASE, 1) == 3
    machine.write(dev, 4, 2, 0)
    assert [event[0] for event in machine.told] == ["mapped", "unmapped"]


def test_a_listener_that_raises_while_memory_becomes_ram():
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x1000, ram=True))
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 2)
    listener = Raises()
    machine.mmio.subscribe(listener)
    with pytest.raises(HandlerError):
        machine.memory.read(BASE, 4)
    machine.mmio.unsubscribe(listener)
    machine.check()
    assert machine.memory.read(BASE, 4) == 0
    assert machine.mmio.find(BASE).buffer is not None


def test_a_listener_of_one_map_that_raises_does_not_keep_the_other_back():
    machine = Machine()
    express = PciExpress(port_type=PortType.ENDPOINT, flr=True)
    dev = machine.plug(1, MemBar(0, 0x1000), IoBar(1, 16), capabilities=[express])
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 0x14, 4, 0x2000)
    listener = Raises()
    machine.mmio.subscribe(listener)
    with pytest.raises(OSError, match="no slot"):
        machine.host.config_write(dev.bdf, 4, 2, 3)
    assert [bar.live for bar in dev.bars] == [True, True]
    machine.check()
    with pytest.raises(OSError, match="no slot"):
        machine.host.config_write(dev.bdf, dev.config.offset_of(PciExpress) + 8, 2, 0x8000)
    assert [bar.live for bar in dev.bars] == [False, False]
    assert machine.told[-1] == ("reset", "Told", "function")
    machine.check()


class Interrupted(RegionMap):
    """A map whose next transaction is interrupted as by Control-C."""

    armed = False

    @contextmanager
    def transaction(self):
        with super().transaction():
            yield
            if self.armed:
                self.armed = False
                raise KeyboardInterrupt


def test_an_interruption_is_made_good_by_the_next_write():
    space = Interrupted(address_bits=40)
    host, (one, two) = host_with(space)
    for function, base in ((one, BASE), (two, BASE + 0x1000)):
        write(host, function, 0x10, base)
        write(host, function, 4, 2)
    space.armed = True
    with pytest.raises(KeyboardInterrupt):
        write(host, one, 0x10, BASE + 0x4000)
    assert one.bar(0).mapped_at == BASE
    write(host, two, 0x10, BASE + 0x8000)
    assert one.bar(0).mapped_at == BASE + 0x4000
    space.armed = True
    port = space.port(None)
    with pytest.raises(KeyboardInterrupt):
        port.read(BASE + 0x8000, 4)
    assert space.find(BASE + 0x8000).buffer is None
    host._check()
    space._check()
    assert port.read(BASE + 0x8000, 4) == 0
    assert space.find(BASE + 0x8000).buffer is not None
    host._check()


# -- the owner of the map ------------------------------------------------------------------------


def blocked():
    machine = Machine()
    ram = machine.mmio.add_ram(BASE, bytearray(0x2000), name="ram")
    dev = machine.plug(1, MemBar(0, 0x1000, read=label(9)))
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 2)
    assert (dev.bar(0).live, dev.bar(0).conflict, machine.told) == (False, "ram", [])
    return machine, ram, dev


@pytest.mark.parametrize("how", ["remove", "move", "disable", "close", "transaction"])
def test_a_bar_comes_alive_when_the_owner_leaves(how):
    machine, ram, dev = blocked()
    if how == "transaction":
        with machine.mmio.transaction():
            ram.move(0x1000)
            machine.mmio.add_ram(BASE + 0x1000, bytearray(0x1000), name="other")
    else:
        leave = {
            "remove": lambda: machine.mmio.remove(ram),
            "move": lambda: ram.move(0x1000),
            "disable": ram.disable,
            "close": ram.close,
        }
        leave[how]()
    assert dev.bar(0).live
    assert machine.told == [("mapped", "Told", 0, BASE)]
    assert machine.memory.read(BASE, 1) == 9
    machine.check()


def test_an_owner_who_needs_the_addresses_reserves_them():
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x1000))
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 2)
    with pytest.raises(OverlapError):
        machine.mmio.add_ram(BASE, bytearray(0x1000))
    machine.host.reserve(BASE, 0x1000)
    assert (dev.bar(0).live, dev.bar(0).conflict) == (False, "reserved")
    ram = machine.mmio.add_ram(BASE, bytearray(0x1000), name="hot-plugged")
    machine.host.unreserve(BASE, 0x1000)
    assert dev.bar(0).conflict == "hot-plugged"
    machine.mmio.remove(ram)
    assert dev.bar(0).live
    machine.check()
    with pytest.raises(TopologyError, match="are not reserved"):
        machine.host.unreserve(BASE, 0x1000)


def test_two_segments_share_a_map():
    """Between segments, whoever is there first stays; the other one follows."""
    space = RegionMap(address_bits=40)
    (first, (one, _)), (second, (two, _)) = host_with(space), host_with(space)
    write(first, one, 0x10, BASE)
    write(second, two, 0x10, BASE)
    write(second, two, 4, 2)
    write(first, one, 4, 2)
    assert (one.bar(0).live, two.bar(0).live) == (False, True)
    write(second, two, 4, 0)
    assert (one.bar(0).live, two.bar(0).live) == (True, False)
    write(second, two, 4, 2)
    assert not two.bar(0).live
    write(first, one, 0x10, BASE + 0x1_0000)
    assert two.bar(0).live
    for host in (first, second):
        host._check()
    space._check()


def test_a_handler_may_move_its_own_bar():
    machine = Machine()

    def move(_vcpu, _offset, _size):
        machine.write(dev, 0x10, 4, 0xD000_0000)
        return 1

    dev = machine.plug(1, MemBar(0, 0x1000, read=move))
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 2)
    assert machine.memory.read(BASE, 1) == 1
    assert dev.bar(0).address == 0xD000_0000
    machine.check()


def test_lazy_ram_is_touched_by_a_listener_of_the_map():
    """In the middle of a commit it cannot become RAM; it answers all the same."""
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x1000, ram=True))
    touched = []

    class Touches:
        def region_added(self, region):
            if region.name == "Told BAR0" and region.buffer is None:
                touched.append(machine.memory.read(region.base, 4))

        def region_moved(self, region, _old_base):
            self.region_added(region)

        def region_removed(self, region):
            """Not asked here."""

    machine.mmio.subscribe(Touches())
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 2)
    machine.write(dev, 0x10, 4, 0xD000_0000)
    assert touched == [0, 0]
    assert machine.slots == []
    machine.check()
    machine.memory.write(0xD000_0000, 1, 1)
    assert machine.slots == [("added", "Told BAR0")]
    machine.check()


def test_a_listener_that_makes_room_in_the_middle_of_a_commit():
    machine, ram, blocked_one = blocked()
    other = machine.plug(2, MemBar(0, 0x1000))
    removed = []

    class MakesRoom:
        def region_added(self, region):
            if not removed:
                removed.append(ram)
                machine.mmio.remove(ram)

        def region_removed(self, region):
            """Not asked here."""

        region_moved = region_removed

    machine.mmio.subscribe(MakesRoom())
    machine.write(other, 0x10, 4, 0xD000_0000)
    machine.write(other, 4, 2, 2)
    assert other.bar(0).live
    assert blocked_one.bar(0).live
    assert [event[0] for event in machine.told] == ["mapped", "mapped"]
    machine.check()


def test_a_listener_that_makes_room_while_memory_becomes_ram():
    """What comes alive there takes the place of the very BAR that became RAM."""
    machine = Machine()
    ram = machine.mmio.add_ram(BASE, bytearray(0x1000), name="ram")
    first = machine.plug(1, MemBar(0, 0x4000))
    second = machine.plug(2, MemBar(0, 0x1000, ram=True))
    for dev, base in ((first, BASE), (second, BASE + 0x1000)):
        machine.write(dev, 0x10, 4, base)
        machine.write(dev, 4, 2, 2)

    class MakesRoom:
        def region_added(self, region):
            if region.buffer is not None and ram.enabled:
                machine.mmio.remove(ram)

        def region_removed(self, region):
            """Not asked here."""

        region_moved = region_removed

    machine.mmio.subscribe(MakesRoom())
    assert machine.memory.read(BASE + 0x1000, 4) == 0
    assert (first.bar(0).live, second.bar(0).live) == (True, False)
    machine.check()
