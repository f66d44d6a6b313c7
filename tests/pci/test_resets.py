# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Resets across a topology: whom each kind reaches, what it leaves, and what comes after."""

import pytest

from pci.slots import (
    BRIDGE_CONTROL,
    BUTTON_ENABLE,
    COMMAND,
    DEVICE_CONTROL,
    EVENTS,
    FLR,
    FULL,
    INTERRUPT_ENABLE,
    LINK_CHANGED,
    LINK_CONTROL,
    LINK_ENABLE,
    LINK_STATUS,
    PLAIN,
    POWER_OFF,
    PRESENT,
    SLOT_CONTROL,
    SLOT_STATUS,
    STATUS,
    Endpoint,
    Machine,
)
from vmmkit.pci.assignment import assign_below
from vmmkit.pci.bars import MemBar
from vmmkit.pci.capabilities import Aer, Msi, PowerManagement
from vmmkit.pci.config import ResetKind
from vmmkit.pci.ports import PciBridge, RootPort, switch

SECONDARY_RESET = 0x40
INTERRUPT_STATUS = 0x8


class Tree:
    """00:01 port - switch - {left, right}; 00:02 bridge - {far, near}; all assigned and running."""

    def __init__(self, slot=PLAIN, **options):
        self.machine = Machine()
        self.port = RootPort(slot=slot, name="port")
        self.switch = switch([PLAIN, None])
        self.bridge = PciBridge(name="bridge")
        self.left, self.right = Endpoint("left", **options), Endpoint("right", **options)
        self.far, self.near = Endpoint("far", **options), Endpoint("near", **options)
        self.switch.downstream[0].secondary.attach(self.left, 0)
        self.switch.downstream[1].secondary.attach(self.right, 0)
        self.port.secondary.attach(self.switch, 0)
        self.bridge.secondary.attach(self.far, 3)
        self.bridge.secondary.attach(self.near, 4)
        self.machine.host.bus.attach(self.port, 1)
        self.machine.host.bus.attach(self.bridge, 2)
        self.machine.assign(enable=7)
        self.endpoints = (self.left, self.right, self.far, self.near)
        for endpoint in self.endpoints:
            self.machine.enable_msi(endpoint)
        self.forget()

    def forget(self):
        self.machine.taken()
        for endpoint in self.endpoints:
            endpoint.told.clear()

    def resets(self):
        """Return by name which resets the endpoints heard of."""
        return {
            one.name: [what for kind, what in one.told if kind == "reset"]
            for one in self.endpoints
            if any(kind == "reset" for kind, _ in one.told)
        }

    def hold(self, bridge, held=True):
        self.machine.write(bridge, BRIDGE_CONTROL, 2, SECONDARY_RESET * held)


def is_reset(endpoint):
    config = endpoint.config
    return (
        config.get(COMMAND, 2) == 0
        and config.get(0x10, 4) == 0
        and not config.msi.enabled
        and not any(bar.live for bar in endpoint.bars)
    )


def is_running(endpoint):
    return endpoint.config.msi.enabled and all(bar.live for bar in endpoint.bars)


# -- whom a reset reaches ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reset", "reached", "kind"),
    [
        (lambda t: t.machine.host.reset(), {"left", "right", "far", "near"}, "power"),
        (
            lambda t: t.machine.host.reset(ResetKind.BUS),
            {"left", "right", "far", "near"},
            "bus",
        ),
        (lambda t: t.hold(t.port), {"left", "right"}, "bus"),
        (lambda t: t.hold(t.switch), {"left", "right"}, "bus"),
        (lambda t: t.hold(t.switch.downstream[1]), {"right"}, "bus"),
        (lambda t: t.hold(t.bridge), {"far", "near"}, "bus"),
        (lambda t: t.port.reset(ResetKind.BUS), {"left", "right"}, "bus"),
        (lambda t: t.left.reset(ResetKind.FUNCTION), {"left"}, "function"),
        (lambda t: t.machine.express(t.far, DEVICE_CONTROL, FLR), {"far"}, "function"),
        (lambda t: t.machine.express(t.port, LINK_CONTROL, 0x10), {"left", "right"}, "bus"),
    ],
    ids=["power", "bus", "port", "switch", "downstream", "bridge", "owner", "one", "flr", "link"],
)
def test_whom_a_reset_reaches(reset, reached, kind):
    tree = Tree()
    reset(tree)
    assert tree.resets() == {name: [kind] for name in reached}
    for endpoint in tree.endpoints:
        if endpoint.name in reached:
            assert is_reset(endpoint), endpoint
        else:
            assert is_running(endpoint), endpoint
    tree.machine.settle()


def test_each_endpoint_hears_once_that_its_bars_are_gone():
    tree = Tree()
    tree.hold(tree.port)
    assert tree.left.told == [("unmapped", 0), ("unmapped", 1), ("reset", "bus")]


# -- secondary bus reset -------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["port", "bridge"])
def test_nothing_answers_while_a_bus_is_held_and_all_is_reset_when_it_is_let_go(which):
    tree = Tree()
    bridge = getattr(tree, which)
    number = bridge.secondary.number
    inside = next(iter(bridge.secondary.functions()))
    tree.hold(bridge)
    bdf = number << 8 | inside.devfn
    assert tree.machine.host.config_read(bdf, 0, 4) == 0xFFFF_FFFF
    tree.machine.host.config_write(bdf, COMMAND, 2, 7)
    assert inside.config.get(COMMAND, 2) == 0
    tree.machine.settle()
    tree.forget()
    tree.hold(bridge, held=False)
    assert tree.resets() == {}
    assert tree.machine.host.config_read(bdf, 0, 4) == inside.config.get(0, 4)
    assert tree.machine.host.config_read(bdf, COMMAND, 2) == 0
    tree.machine.settle()


def test_the_bridge_keeps_its_own_registers():
    tree = Tree()
    before = tree.port.config.get(0x18, 4), tree.port.memory_window, tree.port.config.get(4, 2)
    tree.hold(tree.port)
    tree.hold(tree.port, held=False)
    after = tree.port.config.get(0x18, 4), tree.port.memory_window, tree.port.config.get(4, 2)
    assert after == before


def test_bridges_below_lose_their_numbers_and_come_back_when_assigned():
    tree = Tree()
    tree.hold(tree.port)
    tree.hold(tree.port, held=False)
    assert (tree.switch.secondary_number, tree.switch.subordinate_number) == (0, 0)
    reachable = set(tree.machine.host.functions())
    assert tree.switch in reachable
    assert not reachable & {*tree.switch.downstream, tree.left, tree.right}
    assign_below(tree.port)
    assert all(bar.live for bar in tree.left.bars + tree.right.bars)
    tree.machine.settle()


def test_holding_an_outer_bus_while_an_inner_one_is_held():
    tree = Tree()
    tree.hold(tree.switch.downstream[0])
    tree.forget()
    tree.hold(tree.port)
    assert tree.resets() == {"left": ["bus"], "right": ["bus"]}
    assert not tree.switch.downstream[0].config.get(BRIDGE_CONTROL, 2) & SECONDARY_RESET
    tree.hold(tree.port, held=False)
    assign_below(tree.port)
    assert all(bar.live for bar in tree.left.bars)
    tree.machine.settle()


def test_a_reset_that_is_held_twice_resets_once():
    tree = Tree()
    tree.hold(tree.bridge)
    tree.hold(tree.bridge)
    assert tree.resets() == {"far": ["bus"], "near": ["bus"]}


# -- function-level reset ------------------------------------------------------------------------


def test_flr_stops_the_function_and_leaves_its_place():
    tree = Tree()
    tree.machine.express(tree.right, DEVICE_CONTROL, FLR)
    assert is_reset(tree.right)
    assert tree.machine.host.function_at(tree.right.bdf) is tree.right
    assert tree.machine.express(tree.right, DEVICE_CONTROL) & FLR == 0
    assert tree.right.told == [("unmapped", 0), ("unmapped", 1), ("reset", "function")]
    tree.machine.write(tree.right, 0x10, 4, tree.switch.downstream[1].memory_window[0])
    tree.machine.set_command(tree.right, 2)
    assert tree.right.bar(0).live
    tree.machine.settle()


def test_flr_drops_what_pends_and_lowers_the_pin():
    tree = Tree()
    device = tree.far
    view = device.config.msi
    tree.machine.write(device, view.offset + 16, 4, 1)
    device.interrupts.vector(0).pulse()
    assert view.pending == 1
    tree.machine.express(device, DEVICE_CONTROL, FLR)
    assert view.pending == 0
    tree.machine.enable_msi(device)
    assert tree.machine.taken() == 0
    tree.machine.write(device, view.offset + 2, 2, 0)
    device.interrupts.vector(0).set_level(True)
    assert tree.machine.read(device, STATUS, 2) & INTERRUPT_STATUS
    assert tree.machine.lines[-1][1] is True
    tree.machine.express(device, DEVICE_CONTROL, FLR)
    assert not tree.machine.read(device, STATUS, 2) & INTERRUPT_STATUS
    assert tree.machine.lines[-1][1] is False


# -- power states --------------------------------------------------------------------------------


def test_d3hot_and_back_without_no_soft_reset():
    tree = Tree()
    tree.machine.power_state(tree.left, 3)
    assert not any(bar.live for bar in tree.left.bars)
    assert tree.resets() == {}
    assert tree.machine.read(tree.left, 0, 4) == 0x5678_1234
    tree.machine.power_state(tree.left, 0)
    assert tree.resets() == {"left": ["d3"]}
    assert is_reset(tree.left)
    tree.machine.settle()


def test_d3hot_and_back_with_no_soft_reset():
    tree = Tree(no_soft_reset=True)
    tree.machine.power_state(tree.left, 3)
    assert not any(bar.live for bar in tree.left.bars)
    tree.machine.power_state(tree.left, 0)
    assert tree.resets() == {}
    assert is_running(tree.left)
    assert tree.left.told == [
        ("unmapped", 0),
        ("unmapped", 1),
        ("mapped", 0),
        ("mapped", 1),
    ]
    tree.machine.settle()


def test_an_interrupt_waits_for_d0():
    tree = Tree(no_soft_reset=True)
    tree.machine.power_state(tree.left, 3)
    tree.left.interrupts.vector(0).pulse()
    assert tree.machine.taken() == 0
    tree.machine.power_state(tree.left, 0)
    assert tree.machine.taken() == 1


def test_a_bridge_in_d3hot_hides_what_is_behind_it():
    tree = Tree()
    bdf = tree.far.bdf
    tree.machine.power_state(tree.bridge, 3)
    assert tree.machine.host.config_read(bdf, 0, 4) == 0xFFFF_FFFF
    assert not tree.far.bar(0).live
    assert tree.resets() == {}
    tree.machine.settle()
    tree.machine.power_state(tree.bridge, 0)
    tree.machine.settle()


def test_flr_in_d3hot_ends_in_d0():
    tree = Tree()
    tree.machine.power_state(tree.left, 3)
    tree.machine.express(tree.left, DEVICE_CONTROL, FLR)
    assert tree.left.config.power_state == 0
    assert tree.resets() == {"left": ["function"]}
    tree.machine.settle()


# -- sticky registers ----------------------------------------------------------------------------


def test_sticky_bits_survive_all_but_power():
    machine = Machine()
    port = RootPort(capabilities=(PowerManagement(), Msi(), Aer()), slot=FULL, name="port")
    machine.host.bus.attach(port, 1)
    at = port.config.find(Aer.cap_id, extended=True) + 8  # Uncorrectable Error Mask
    before = machine.read(port, at, 4)
    machine.write(port, at, 4, before ^ 0x1000)
    for kind in (ResetKind.FUNCTION, ResetKind.D3, ResetKind.BUS):
        port.reset(kind)
        assert machine.read(port, at, 4) == before ^ 0x1000, kind
    port.reset(ResetKind.POWER)
    assert machine.read(port, at, 4) == before


# -- slots ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ResetKind.POWER, ResetKind.BUS])
def test_a_reset_of_the_port_keeps_what_is_in_its_slot(kind):
    tree = Tree(slot=FULL)
    slot = tree.port.slot
    tree.machine.express(tree.port, SLOT_CONTROL, POWER_OFF | BUTTON_ENABLE | INTERRUPT_ENABLE)
    slot.press_attention_button()
    tree.port.reset(kind)
    assert slot.status == PRESENT
    assert slot.control & (POWER_OFF | INTERRUPT_ENABLE) == 0
    assert tree.port.link.up
    tree.machine.settle()
    tree.machine.assign()
    assert all(bar.live for bar in tree.left.bars)


def test_a_reset_of_the_port_with_an_empty_slot():
    tree = Tree(slot=FULL)
    tree.port.slot.unplug()
    tree.machine.host.reset()
    assert tree.port.slot.status == 0
    assert tree.port.slot.control & POWER_OFF
    assert not tree.port.link.up
    tree.machine.settle()


def test_a_secondary_bus_reset_is_a_link_event_that_software_masks():
    tree = Tree(slot=FULL)
    tree.machine.enable_msi(tree.port)
    enables = LINK_ENABLE | INTERRUPT_ENABLE
    tree.machine.express(tree.port, SLOT_CONTROL, enables)
    tree.machine.express(tree.port, SLOT_STATUS, EVENTS)
    tree.machine.taken()
    tree.hold(tree.port)
    assert tree.machine.express(tree.port, SLOT_STATUS) == PRESENT | LINK_CHANGED
    assert tree.machine.taken() == 1
    tree.machine.express(tree.port, SLOT_STATUS, EVENTS)
    tree.machine.express(tree.port, SLOT_CONTROL, INTERRUPT_ENABLE)
    tree.hold(tree.port, held=False)
    tree.machine.express(tree.port, SLOT_STATUS, EVENTS)
    tree.machine.express(tree.port, SLOT_CONTROL, enables)
    assert tree.machine.taken() == 0


def test_power_goes_while_the_bus_is_held():
    tree = Tree(slot=FULL)
    tree.hold(tree.port)
    tree.forget()
    tree.machine.express(tree.port, SLOT_CONTROL, POWER_OFF)
    assert tree.resets() == {"left": ["power"], "right": ["power"]}
    tree.hold(tree.port, held=False)
    assert not tree.port.link.up
    tree.machine.express(tree.port, SLOT_CONTROL, 0)
    assert tree.port.link.up
    tree.machine.settle()


def test_plugged_in_while_the_bus_is_held():
    tree = Tree(slot=PLAIN)
    tree.port.slot.unplug()
    tree.hold(tree.port)
    device = Endpoint("new")
    tree.port.slot.plug(device)
    assert tree.machine.express(tree.port, LINK_STATUS) >> 13 & 1 == 0
    assert tree.port.slot.occupied
    tree.hold(tree.port, held=False)
    assign_below(tree.port)
    assert device.bar(0).live
    tree.machine.settle()


def test_unplugged_while_the_bus_is_held():
    tree = Tree(slot=PLAIN)
    tree.hold(tree.port)
    tree.port.slot.unplug()
    tree.hold(tree.port, held=False)
    assert not tree.port.link.up
    assert tree.machine.host.config_read(tree.port.secondary.number << 8, 0, 4) == 0xFFFF_FFFF
    tree.machine.settle()


# -- from within ---------------------------------------------------------------------------------


def test_a_device_that_resets_itself_in_its_own_handler():
    class ResetsItself(Endpoint):
        def write(self, _vcpu, bar, offset, size, value):
            self.reset(ResetKind.FUNCTION)
            super().write(_vcpu, bar, offset, size, value)

    machine, device = Machine(), ResetsItself("dev", MemBar(0, 0x1000))
    machine.host.bus.attach(device, 1)
    machine.assign()
    machine.mmio.port(None).write(device.bar(0).address, 4, 1)
    assert not device.bar(0).live
    assert ("reset", "function") in device.told
    machine.settle()


def test_a_device_whose_write_holds_its_own_bus_in_reset():
    tree = Tree()

    class HoldsItsBus(Endpoint):
        def write(self, _vcpu, bar, offset, size, value):
            tree.hold(tree.bridge)

    holder = HoldsItsBus("holder", MemBar(0, 0x1000))
    tree.bridge.secondary.attach(holder, 9)
    tree.machine.assign()
    tree.machine.mmio.port(None).write(holder.bar(0).address, 4, 1)
    assert not holder.bar(0).live
    assert is_reset(tree.far)
    tree.machine.settle()
