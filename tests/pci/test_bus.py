# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Slots, numbers, and who answers config accesses."""

from __future__ import annotations

import pytest

from pci.machine import ECAM, Machine
from vmmkit.errors import TopologyError
from vmmkit.pci.bars import MemBar
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.bus import Bus
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge


def function(name="f"):
    return Function(ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0), name=name)


def bridge(name="b", **options):
    return Bridge(ConfigSpace.type1(vendor_id=1, device_id=2), name=name, **options)


@pytest.mark.parametrize(
    ("slot", "words"),
    [
        ((32, 0), "no slot 32.0"),
        ((-1, 0), "no slot -1.0"),
        ((0, 8), "no slot 0.8"),
        (("1", 0), "no slot '1'.0"),
        ((3, 1), "03.1 is taken by 'first', for 'f'"),
    ],
)
def test_slots_that_cannot_be_had(slot, words):
    host = HostBridge()
    host.bus.attach(function("first"), 3, 1)
    with pytest.raises(TopologyError, match=words):
        host.bus.attach(function(), *slot)
    host._check()


def test_a_function_gets_the_next_free_device():
    host, behind = HostBridge(), bridge()
    host.bus.attach(function(), 2, 3)
    for one in (function(), behind, function()):
        host.bus.attach(one)
    assert [one.bdf for one in host.bus.functions()] == [0x08, 0x13, 0x18, 0x20]
    behind.secondary.attach(function())
    behind.secondary.attach(function("second"), function_number=1)
    assert [one.devfn for one in behind.secondary.functions()] == [0x00, 0x09]


def test_a_full_bus_has_no_free_device():
    host, port = HostBridge(), bridge(link=True)
    host.bus.attach(port)
    for _ in range(30):
        host.bus.attach(function())
    port.secondary.attach(function())
    for bus in (host.bus, port.secondary):
        before = bus.functions()
        with pytest.raises(TopologyError, match="no free slot"):
            bus.attach(function())
        assert bus.functions() == before
    host.bus.attach(function(), 0)
    host._check()


def test_a_function_is_in_one_place():
    host, one = HostBridge(), function()
    host.bus.attach(one, 1)
    with pytest.raises(TopologyError, match="attached already"):
        host.bus.attach(one, 2)
    host.bus.detach(one)
    with pytest.raises(TopologyError, match="is not on"):
        host.bus.detach(one)
    host.bus.attach(one, 2)
    assert (one.bdf, host.function_at(0x10), host.function_at(0x08)) == (0x10, one, None)


def test_a_link_has_device_0_only():
    port = bridge(link=True)
    with pytest.raises(TopologyError, match="is a link"):
        port.secondary.attach(function(), 1)
    port.secondary.ari = True
    port.secondary.attach(function(), 1)


def test_nothing_is_behind_itself():
    one, two = bridge("one"), bridge("two")
    one.secondary.attach(two, 0)
    with pytest.raises(TopologyError, match="behind itself"):
        two.secondary.attach(one, 0)
    with pytest.raises(TopologyError, match="behind itself"):
        one.secondary.attach(one, 1)


def test_a_slot_that_is_empty():
    bus = Bus()
    bus.attach(function(), 1)
    assert bus[8].name == "f"
    with pytest.raises(TopologyError, match=r"no function at 02\.3"):
        bus[0x13]


def test_the_multifunction_bit_is_computed():
    machine = Machine()
    one = machine.plug(1)
    assert machine.read(one, 0x0E, 1) == 0
    two = machine.plug(1, function=5)
    assert [machine.read(each, 0x0E, 1) for each in (one, two)] == [0x80, 0x80]
    machine.host.reset()
    assert machine.read(one, 0x0E, 1) == 0x80
    machine.host.bus.detach(two)
    assert machine.read(one, 0x0E, 1) == 0
    machine.host.bus.detach(one)
    assert two.config.read(0x0E, 1) == 0
    machine.host.bus.attach(two, 1, 5)  # alone, but not function 0
    assert machine.read(two, 0x0E, 1) == 0x80


def test_with_ari_all_of_a_link_is_one_device():
    port = bridge(link=True)
    port.secondary.ari = True
    one, two = function(), function()
    port.secondary.attach(one, 0)
    port.secondary.attach(two, 1)
    assert [each.config.read(0x0E, 1) for each in (one, two)] == [0x80, 0x80]


def chain():
    """Root - outer - inner - leaf, and a second bridge on the root."""
    machine = Machine()
    outer = machine.plug_bridge(2, name="outer")
    inner = machine.plug_bridge(0, bus=outer.secondary, name="inner")
    leaf = machine.plug(0, MemBar(0, 0x1000), bus=inner.secondary, name="leaf")
    other = machine.plug_bridge(3, name="other")
    return machine, outer, inner, leaf, other


def reached(machine):
    return {f"{bdf >> 8}:{one.name}" for bdf, one in machine.host._functions.items()}


def test_buses_are_found_as_they_are_numbered():
    machine, outer, inner, leaf, _ = chain()
    assert reached(machine) == {"0:outer", "0:other"}
    machine.number(outer, 1, 0xFF)
    machine.number(inner, 7)
    assert reached(machine) == {"0:outer", "0:other", "1:inner", "7:leaf"}
    assert (leaf.bdf, leaf.bus.number) == (0x700, 7)
    machine.number(inner, 9)
    assert reached(machine) == {"0:outer", "0:other", "1:inner", "9:leaf"}
    assert machine.memory.read(ECAM + (0x700 << 12), 4) == 0xFFFF_FFFF
    assert [bus.number for bus in machine.host.buses()] == [0, 1, 9]
    machine.check()


@pytest.mark.parametrize(
    ("outer_numbers", "inner_numbers", "other_numbers", "expected"),
    [
        ((1, 1), (2, 2), (3, 3), {"1:inner"}),  # 2 is beyond the subordinate number
        ((1, 5), (2, 2), (1, 5), {"1:inner", "2:leaf"}),  # the lower device takes all
        ((1, 5), (6, 6), (6, 6), {"1:inner"}),  # behind `other` nothing is
        ((3, 2), (1, 1), (1, 1), set()),  # secondary above subordinate: takes nothing
        ((0, 5), (2, 2), (9, 9), {"2:leaf"}),  # its own bus has the root's number
        ((1, 5), (1, 3), (9, 9), {"1:inner"}),  # the inner bus has its parent's number
    ],
)
def test_numbers_that_make_no_sense(outer_numbers, inner_numbers, other_numbers, expected):
    machine, outer, inner, _, other = chain()
    inner.config.write(0x19, 2, inner_numbers[1] << 8 | inner_numbers[0])
    machine.number(other, *other_numbers)
    machine.number(outer, *outer_numbers)
    assert reached(machine) == {"0:outer", "0:other"} | expected
    machine.check()


def test_config_accesses_do_not_pass_a_bridge_below_d0_or_in_reset():
    machine = Machine()
    port = machine.plug_bridge(1, capabilities=[PowerManagement()])
    machine.plug(0, bus=port.secondary, name="leaf")
    machine.number(port, 1)
    control = port.config.offset_of(PowerManagement) + 4
    for offset, away, back in ((control, 3, 0), (0x3E, 0x40, 0)):
        assert "1:leaf" in reached(machine)
        machine.write(port, offset, 2, away)
        assert "1:leaf" not in reached(machine)
        machine.check()
        machine.write(port, offset, 2, back)
    assert "1:leaf" in reached(machine)


def test_a_populated_bridge_comes_and_goes():
    machine, outer, _, leaf, _ = chain()
    machine.number(outer, 1, 2)
    machine.number(outer.secondary.functions()[0], 2)
    machine.open(outer, 0xC000_0000, 0xC00F_FFFF)
    machine.open(outer.secondary[0], 0xC000_0000, 0xC00F_FFFF)
    machine.write(leaf, 0x10, 4, 0xC000_0000)
    machine.write(leaf, 4, 2, 2)
    assert leaf.bar(0).live
    machine.host.bus.detach(outer)
    assert not leaf.bar(0).live
    assert leaf.host is None
    assert machine.told == [("mapped", "leaf", 0, 0xC000_0000), ("unmapped", "leaf", 0)]
    assert reached(machine) == {"0:other"}
    machine.check()
    machine.host.bus.attach(outer, 9)  # nobody has reset it: all as it was
    assert leaf.bar(0).live
    assert "2:leaf" in reached(machine)
    machine.check()


def test_what_a_tree_tells_of_itself():
    machine, outer, inner, leaf, other = chain()
    bus = machine.host.bus
    assert bus.functions() == (outer, other)
    assert bus.children == (outer.secondary, other.secondary)
    assert list(bus.below()) == [outer, other, inner, leaf]
    assert (leaf.bus.path, inner.bus.bridge) == ((0x10, 0), outer)
    assert repr(leaf) == "<Told 'leaf' 00:00.0>"
    assert repr(outer.secondary) == "<Bus 0x00>"
    assert list(machine.host.functions()) == [outer, other]


def test_what_is_no_function_yet():
    class Half(Function):
        def __init__(self):
            """Forget to call that of `Function`."""

    with pytest.raises(TopologyError, match=r"Half is a class; .* Half\(\)"):
        Bus().attach(Half, 0)
    with pytest.raises(TopologyError, match=r"a Half is no function, .* super\(\).__init__\(\)"):
        Bus().attach(Half(), 0)
