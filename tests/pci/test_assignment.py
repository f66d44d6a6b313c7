# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Assignment as firmware does it: numbers, BARs and windows, all of it or nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pci.slots import FULL, MIB, PLAIN, Endpoint, Machine
from vmmkit.errors import AllocationError, TopologyError
from vmmkit.memregion import RegionMap
from vmmkit.pci.assignment import HotplugReserve, assign, assign_below
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.ports import PciBridge, RootPort, switch

GIB = 1 << 30
MEM = 0xC000_0000


def spots(assignment):
    return {one.name: (one.space, one.base, one.size) for one in assignment.placements}


def on_root(*functions):
    machine = Machine()
    for device, function in enumerate(functions, 1):
        machine.host.bus.attach(function, device)
    return machine


def registers(host):
    """Return every register of every function, for comparisons."""
    return {function.name: function.config.snapshot() for function in host.bus.below()}


# -- BARs ----------------------------------------------------------------------------------------


def test_largest_first_leaves_no_holes():
    sizes = [0x1000, 0x10_0000, 0x100, 0x4000]
    machine = on_root(Endpoint("dev", *(MemBar(at, size) for at, size in enumerate(sizes))))
    found = spots(machine.assign())
    assert found == {
        "dev BAR1": ("mem", MEM, 0x10_0000),
        "dev BAR3": ("mem", MEM + 0x10_0000, 0x4000),
        "dev BAR0": ("mem", MEM + 0x10_4000, 0x1000),
        "dev BAR2": ("mem", MEM + 0x10_5000, 0x100),
    }


@pytest.mark.parametrize(
    ("bar", "small_64bit", "space", "high"),
    [
        (MemBar(0, 128 * MIB, width=64), None, "mem", False),
        (MemBar(0, 256 * MIB, width=64), None, "prefetchable", True),
        (MemBar(0, 256 * MIB, width=64, prefetchable=True), None, "prefetchable", True),
        (MemBar(0, 0x1000, width=64), 0, "prefetchable", True),
        (MemBar(0, 256 * MIB), 0, "mem", False),
        (MemBar(0, 0x1000, prefetchable=True), 0, "mem", False),
    ],
)
def test_where_memory_bars_of_the_root_bus_go(bar, small_64bit, space, high):
    machine = on_root(Endpoint("dev", bar))
    options = {} if small_64bit is None else {"small_64bit": small_64bit}
    (found,) = machine.assign(**options).placements
    assert (found.space, found.base >= 4 * GIB) == (space, high)
    assert found.function.bar(0).live
    machine.settle()


@pytest.mark.parametrize(
    ("bar", "window", "high"),
    [
        (MemBar(0, 256 * MIB, width=64, prefetchable=True), "prefetchable", True),
        (MemBar(0, 256 * MIB, width=64), "mem", False),
        (MemBar(0, 64 * MIB, width=64, prefetchable=True), "mem", False),
        (MemBar(0, 0x1000, prefetchable=True), "mem", False),
    ],
)
def test_where_memory_bars_behind_a_bridge_go(bar, window, high):
    port = RootPort(name="port")
    port.secondary.attach(Endpoint("dev", bar), 0)
    machine = on_root(port)
    found = spots(machine.assign())
    space, base, size = found[f"port {window} window"]
    assert (space, base >= 4 * GIB) == (window, high)
    assert base <= found["dev BAR0"][1] <= base + size - bar.size
    machine.settle()


def test_prefetchable_without_room_above_4_gib_goes_below():
    machine = on_root(Endpoint("dev", MemBar(0, 256 * MIB, width=64, prefetchable=True)))
    (found,) = assign(machine.host, mem=[(MEM, 512 * MIB)]).placements
    assert found.base == MEM
    assert found.function.bar(0).live


def test_a_rom_is_placed_and_stays_disabled():
    machine = on_root(Endpoint("dev", Rom(b"\x55\xaa", 0x1_0000)))
    (found,) = machine.assign().placements
    assert found.name == "dev ROM"
    assert machine.read(found.function, 0x30, 4) == found.base
    assert not found.function.bar(6).live


def test_address_zero_is_never_given_out():
    machine = on_root(Endpoint("dev", MemBar(0, 0x1000), IoBar(1, 16)))
    found = assign(machine.host, io=[(0, 0x1000)], mem=[(0, MIB)]).placements
    assert all(one.base > 0 for one in found)


# -- bridges -------------------------------------------------------------------------------------


def test_windows_have_their_granularity_and_hold_what_is_below():
    below = Endpoint("dev", MemBar(0, 0x1000), IoBar(1, 16))
    bridge = PciBridge(name="bridge")
    bridge.secondary.attach(below, 5)
    machine = on_root(bridge, Endpoint("beside"))
    machine.assign()
    assert bridge.io_window == (0x1000, 0x1FFF)
    assert bridge.memory_window == (MEM, MEM + MIB - 1)
    assert bridge.prefetchable_window is None
    assert below.bar(0).live
    assert below.bar(1).live
    machine.settle()


@pytest.mark.parametrize(
    ("io_bits", "prefetchable_bits", "window"),
    [(16, 64, "prefetchable"), (32, 32, "low prefetchable"), (16, 0, "mem")],
)
def test_bridges_that_lack_windows(io_bits, prefetchable_bits, window):
    bar = MemBar(0, 256 * MIB, width=64, prefetchable=True)
    bridge = PciBridge(name="bridge", io_bits=io_bits, prefetchable_bits=prefetchable_bits)
    bridge.secondary.attach(Endpoint("dev", bar), 0)
    machine = on_root(bridge)
    machine.assign()
    base = bridge.secondary[0].bar(0).address
    where = {
        "prefetchable": bridge.prefetchable_window == (base, base + 256 * MIB - 1) and base > GIB,
        "low prefetchable": bridge.prefetchable_window == (base, base + 256 * MIB - 1),
        "mem": bridge.memory_window == (base, base + 256 * MIB - 1),
    }
    assert where[window]
    assert (base < 4 * GIB) == (window != "prefetchable")
    machine.settle()


def test_a_bridge_without_an_io_window_cannot_have_io_below():
    bridge = PciBridge(name="bridge", io_bits=0)
    bridge.secondary.attach(Endpoint("dev", IoBar(0, 64)), 0)
    machine = on_root(bridge)
    with pytest.raises(AllocationError) as caught:
        machine.assign()
    assert caught.value.unplaced == (("dev BAR0", 64),)


def test_a_32_bit_io_window():
    bridge = PciBridge(name="bridge", io_bits=32)
    bridge.secondary.attach(Endpoint("dev", IoBar(0, 64)), 0)
    machine = on_root(bridge)
    assign(machine.host, io=[(0x8000, 0x8000)])
    assert bridge.io_window == (0x8000, 0x8FFF)
    machine.settle()


def test_a_bridges_own_bars_are_placed_beside_its_windows():
    port = RootPort(name="port", bars=(MemBar(0, 0x1000),))
    machine = on_root(port)
    assert spots(machine.assign()) == {"port BAR0": ("mem", MEM, 0x1000)}
    assert port.bar(0).live


def test_bus_numbers_go_depth_first():
    first, second, third = RootPort(name="a"), PciBridge(name="b"), RootPort(name="c", slot=PLAIN)
    tree = switch([None, None], name="s")
    first.secondary.attach(tree, 0)
    second.secondary.attach(PciBridge(name="d"), 3)
    machine = on_root(first, second, third)
    found = machine.assign(reserve=HotplugReserve(buses=2))
    assert {bridge.name: (secondary, last) for bridge, secondary, last in found.buses} == {
        "a": (1, 4),
        "s": (2, 4),
        "s.0": (3, 3),
        "s.1": (4, 4),
        "b": (5, 6),
        "d": (6, 6),
        "c": (7, 9),
    }
    for bridge, secondary, last in found.buses:
        numbers = (bridge.secondary_number, bridge.subordinate_number)
        assert numbers == (secondary, last)
        assert bridge.config.get(0x18, 1) == bridge.bus.number
    machine.settle()


def test_the_root_bus_may_have_another_number():
    host = HostBridge(RegionMap(), RegionMap(), first_bus=0x40, last_bus=0x4F)
    port = RootPort()
    host.bus.attach(port, 0)
    assign(host, mem=[(MEM, MIB)])
    assert (port.config.get(0x18, 1), port.secondary_number) == (0x40, 0x41)


# -- hotplug reserve -----------------------------------------------------------------------------


def test_an_empty_slot_gets_windows():
    port = RootPort(slot=FULL, name="port")
    machine = on_root(port)
    machine.assign()
    assert port.io_window == (0x1000, 0x1FFF)
    assert port.memory_window == (MEM, MEM + 2 * MIB - 1)
    first, last = port.prefetchable_window
    assert (first >= 4 * GIB, last - first + 1) == (True, 2 * MIB)
    assert port.subordinate_number == port.secondary_number


def test_a_ports_own_reserve_goes_before_the_rule_and_is_told_to_firmware():
    wish = HotplugReserve(io=0, mem=64 * MIB, prefetchable=GIB, buses=3)
    port = RootPort(slot=FULL, name="port", reserve=wish)
    machine = on_root(port)
    machine.assign(reserve=HotplugReserve(mem=MIB))
    assert port.io_window is None
    assert port.memory_window == (MEM, MEM + 64 * MIB - 1)
    assert port.subordinate_number - port.secondary_number == 3
    at = port.config.find(9)
    told = b"".join(port.config.read(at + i, 1).to_bytes(1, "little") for i in range(32))
    assert told[0] == 9
    assert told[2:4] == bytes([32, 1])
    fields = [told[4:8], told[8:16], told[16:20], told[20:24], told[24:32]]
    assert [int.from_bytes(field, "little") for field in fields] == [
        3,
        (1 << 64) - 1,
        64 * MIB,
        (1 << 32) - 1,
        GIB,
    ]


def test_no_spare_buses_are_left_to_firmware():
    config = RootPort(reserve=HotplugReserve()).config
    assert config.read(config.find(9) + 4, 4) == 0xFFFF_FFFF


def test_a_bridge_may_have_a_reserve_without_a_slot():
    bridge = PciBridge(name="bridge", reserve=HotplugReserve(io=0, mem=8 * MIB, prefetchable=0))
    machine = on_root(bridge)
    machine.assign()
    assert bridge.memory_window == (MEM, MEM + 8 * MIB - 1)


@pytest.mark.parametrize("wrong", [{"io": -1}, {"mem": 1 << 33}, {"buses": 256}, {"io": "4K"}])
def test_reserves_that_no_window_has(wrong):
    with pytest.raises(AllocationError, match="HotplugReserve"):
        HotplugReserve(**wrong)


def test_what_comes_later_is_placed_inside():
    port = RootPort(slot=PLAIN, name="port")
    machine = on_root(port, Endpoint("beside"))
    machine.assign()
    before = registers(machine.host)["beside"]
    port.slot.plug(Endpoint("hot", MemBar(0, MIB), MemBar(1, MIB)))
    found = spots(assign_below(port))
    assert found == {"hot BAR0": ("mem", MEM, MIB), "hot BAR1": ("mem", MEM + MIB, MIB)}
    assert registers(machine.host)["beside"] == before
    machine.settle()


def test_what_is_too_large_for_the_window_is_left_alone():
    port = RootPort(slot=PLAIN, name="port")
    machine = on_root(port)
    machine.assign()
    port.slot.plug(Endpoint("hot", MemBar(0, 4 * MIB), MemBar(1, MIB)))
    before = registers(machine.host)
    with pytest.raises(AllocationError) as caught:
        assign_below(port)
    assert caught.value.unplaced == (("hot BAR0", 4 * MIB),)
    assert registers(machine.host) == before


def test_below_a_bridge_of_no_host():
    with pytest.raises(TopologyError, match="no host"):
        assign_below(PciBridge())


def test_what_is_in_a_slot_without_power_is_not_there():
    port = RootPort(slot=FULL, name="port")
    machine = on_root(port)
    port.slot.plug(Endpoint("off"))
    assert "off BAR0" not in spots(machine.assign())


# -- failure -------------------------------------------------------------------------------------


def test_failure_names_everything_and_changes_nothing():
    port = RootPort(name="port", slot=PLAIN)
    port.secondary.attach(Endpoint("inner", MemBar(0, 64 * MIB), MemBar(1, 0x1000)), 0)
    machine = on_root(
        port,
        Endpoint("fits", MemBar(0, MIB)),
        Endpoint("large", MemBar(0, 256 * MIB), IoBar(1, 256)),
    )
    machine.assign()
    before = registers(machine.host)
    with pytest.raises(AllocationError) as caught:
        assign(machine.host, mem=[(MEM, 4 * MIB)])
    assert caught.value.unplaced == (
        ("large BAR0", 256 * MIB),
        ("inner BAR0", 64 * MIB),
        ("inner BAR1", 0x1000),
        ("port io window", 0x1000),
        ("large BAR1", 256),
    )
    assert "large BAR0 (0x10000000), inner BAR0 (0x4000000)" in str(caught.value)
    assert registers(machine.host) == before
    machine.settle()


def test_too_few_bus_numbers():
    host = HostBridge(RegionMap(), RegionMap(), last_bus=2)
    for device in range(4):
        host.bus.attach(RootPort(name=f"port{device}"), device)
    before = registers(host)
    with pytest.raises(AllocationError) as caught:
        assign(host, mem=[(MEM, MIB)])
    assert caught.value.unplaced == (("port2 bus numbers", 1), ("port3 bus numbers", 1))
    assert registers(host) == before


# -- Command bits and repetition -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("enable", "endpoint", "memory_only", "bridge"),
    [(3, 3, 2, 7), (0, 0, 0, 0), (2, 2, 2, 7), (7, 7, 6, 7), (4, 4, 4, 7)],
)
def test_command_bits(enable, endpoint, memory_only, bridge):
    port = RootPort(name="port")
    port.secondary.attach(Endpoint("dev"), 0)
    machine = on_root(port, Endpoint("mem", MemBar(0, 0x1000)))
    machine.assign(enable=enable)
    commands = {one.name: machine.read(one, 4, 2) for one in machine.host.functions()}
    assert commands == {"port": bridge, "dev": endpoint, "mem": memory_only}


def test_without_assignment_nothing_decodes():
    port = RootPort(name="port")
    dev = Endpoint("dev")
    port.secondary.attach(dev, 0)
    machine = on_root(port)
    assert [one.name for one in machine.host.functions()] == ["port"]
    assert not dev.bar(0).live


def test_assigning_again_after_changes():
    machine = on_root(*[PciBridge(name=f"b{at}") for at in range(3)])
    bridges = machine.host.bus.bridges()
    for at, bridge in enumerate(bridges):
        bridge.secondary.attach(Endpoint(f"dev{at}"), 1)
    machine.assign()
    machine.host.bus.detach(bridges[0])
    bridges[2].secondary.attach(PciBridge(name="inner"), 0)
    bridges[2].secondary[0].secondary.attach(Endpoint("deep", MemBar(0, 8 * MIB)), 0)
    machine.assign()
    machine.settle()
    assert all(bar.live for one in machine.host.functions() for bar in one.bars)
    names = {one.name for one in machine.host.functions()}
    assert names == {"b1", "b2", "dev1", "dev2", "inner", "deep"}


def test_the_hosts_own_windows_serve_by_default():
    windows = {"io": [(0x2000, 0x1000)], "mem": [(0xD000_0000, 16 * MIB), (1 << 36, 1 << 32)]}
    host = HostBridge(RegionMap(), RegionMap(), windows=windows)
    dev = Endpoint("dev", MemBar(0, GIB, width=64), MemBar(2, 0x1000), IoBar(3, 32))
    host.bus.attach(dev, 1)
    assign(host)
    assert [dev.bar(at).address for at in (0, 2, 3)] == [1 << 36, 0xD000_0000, 0x2000]
    assert all(bar.live for bar in dev.bars)


def test_a_host_without_windows_gives_out_nothing():
    machine = on_root(Endpoint("dev"))
    with pytest.raises(AllocationError):
        assign(machine.host)


# -- any tree ------------------------------------------------------------------------------------

BARS = st.one_of(
    st.builds(lambda bits: MemBar(0, 1 << bits), st.integers(4, 22)),
    st.builds(lambda bits: IoBar(0, 1 << bits), st.integers(2, 8)),
    st.builds(
        lambda bits, pref: MemBar(0, 1 << bits, width=64, prefetchable=pref),
        st.integers(4, 26),
        st.booleans(),
    ),
)
TREES = st.recursive(BARS, lambda below: st.lists(below, max_size=4), max_leaves=20)


def build(bus, tree, names):
    """Attach a list as a bridge with its items below, anything else as an endpoint."""
    device = len(bus.functions())
    if isinstance(tree, list):
        bridge = PciBridge(name=f"bridge{len(names)}")
        names.append(bridge.name)
        bus.attach(bridge, device)
        for one in tree:
            build(bridge.secondary, one, names)
    else:
        names.append(f"dev{len(names)}")
        bus.attach(Endpoint(names[-1], tree), device)


@settings(max_examples=80, deadline=None)
@given(st.lists(TREES, min_size=1, max_size=5), st.booleans())
def test_every_bar_of_any_tree_is_reachable_and_answers(trees, small):
    machine, names = Machine(), []
    for tree in trees:
        build(machine.host.bus, tree, names)
    machine.assign(small_64bit=0 if small else 128 * MIB)
    assert sorted(one.name for one in machine.host.functions()) == sorted(names)
    for function in machine.host.functions():
        for bar in function.bars:
            assert bar.live, (bar, bar.conflict)
            assert bar.address % bar.size == 0
    machine.settle()


def test_a_plain_bridge_is_assigned_too():
    bridge = Bridge(ConfigSpace.type1(vendor_id=1, device_id=2), name="bridge")
    bridge.secondary.attach(Endpoint("dev"), 0)
    machine = on_root(bridge)
    machine.assign()
    assert bridge.secondary[0].bar(0).live
