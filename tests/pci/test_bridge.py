# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bridges: windows hold, whatever is behind them."""

from __future__ import annotations

import pytest

from pci.machine import Machine, label
from vmmkit.errors import ConfigSpaceError, TopologyError
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.config import ConfigSpace

BASE = 0xC000_0000


def test_a_bridge_has_a_config_space_of_its_type_and_two_bars():
    with pytest.raises(TopologyError, match="of type 1"):
        Bridge(ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0), name="wrong")
    with pytest.raises(ConfigSpaceError, match="BAR 2"):
        Bridge(ConfigSpace.type1(vendor_id=1, device_id=1), [MemBar(2, 16)])


def test_a_bridge_decodes_its_own_bars_and_rom():
    machine = Machine()
    bridge = machine.plug_bridge(
        1, MemBar(0, 0x1000, width=64, read=label(5)), Rom(b"\x55\xaa"), name="bridge"
    )
    machine.write(bridge, 0x10, 8, BASE)
    machine.write(bridge, 0x38, 4, BASE + 0x1000 | 1)
    machine.write(bridge, 4, 2, 2)
    assert machine.memory.read(BASE, 1) == 5
    assert machine.memory.read(BASE + 0x1000, 2) == 0xAA55
    machine.check()


def behind(*bars, **options):
    machine = Machine()
    bridge = machine.plug_bridge(1, **options)
    dev = machine.plug(0, *bars, bus=bridge.secondary, name="dev")
    machine.number(bridge, 1)
    machine.write(dev, 4, 2, 3)
    return machine, bridge, dev


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (0xBFFF_F000, False),
        (0xC000_0000, True),
        (0xC01F_F000, True),
        (0xC020_0000, False),
        (0x1_0000_0000, False),
    ],
)
def test_a_bar_decodes_inside_the_window_only(base, expected):
    machine, bridge, dev = behind(MemBar(0, 0x1000, width=64))
    machine.open(bridge, 0xC000_0000, 0xC01F_FFFF)
    machine.write(dev, 0x10, 8, base)
    assert dev.bar(0).live is expected
    machine.check()


def test_a_window_that_holds_a_part_of_a_bar_does_not_hold_it():
    machine, bridge, dev = behind(MemBar(0, 0x20_0000))
    machine.write(dev, 0x10, 4, BASE)
    for last in (0xC00F_FFFF, 0xC01F_FFFF):
        machine.open(bridge, BASE, last)
    assert dev.bar(0).live
    machine.open(bridge, BASE, 0xC00F_FFFF)
    assert (dev.bar(0).live, dev.bar(0).address) == (False, None)
    machine.check()


def test_memory_enable_and_power_of_the_bridge_gate_what_is_behind():
    machine, bridge, dev = behind(MemBar(0, 0x1000), capabilities=[PowerManagement()])
    machine.write(dev, 0x10, 4, BASE)
    machine.open(bridge, BASE, BASE + 0xF_FFFF)
    control = bridge.config.offset_of(PowerManagement) + 4
    for offset, away, back in ((4, 1, 2), (control, 3, 0), (0x20, 0xC010, 0xC000)):
        assert dev.bar(0).live
        machine.write(bridge, offset, 2, away)
        assert not dev.bar(0).live
        machine.write(bridge, offset, 2, back)
    assert dev.bar(0).live
    machine.check()


def test_the_prefetchable_window_holds_any_memory():
    machine, bridge, dev = behind(MemBar(0, 0x1000, width=64, prefetchable=True))
    machine.write(bridge, 0x20, 4, 0x0000_FFF0)  # closed
    machine.write(bridge, 0x24, 4, 0x0011_0001)
    machine.write(bridge, 0x28, 4, 8)
    machine.write(bridge, 0x2C, 4, 8)
    machine.write(bridge, 4, 2, 2)
    machine.write(dev, 0x10, 8, 0x8_0010_0000)
    assert dev.bar(0).live
    assert bridge.prefetchable_window == (0x8_0000_0000, 0x8_001F_FFFF)
    assert bridge.memory_window is None


def test_ports_pass_by_window_isa_and_vga():
    machine, bridge, dev = behind(IoBar(0, 16, read=label(6)))
    machine.write(bridge, 0x1C, 2, 0x2020)
    machine.write(bridge, 4, 2, 1)
    machine.write(dev, 0x10, 4, 0x2100)
    assert (bridge.io_window, machine.ports.read(0x2100, 1)) == ((0x2000, 0x2FFF), 6)
    machine.write(bridge, 0x3E, 2, 4)  # ISA enable
    assert not dev.bar(0).live
    machine.write(dev, 0x10, 4, 0x3C0)
    machine.write(bridge, 0x3E, 2, 0xC)  # and VGA enable
    assert machine.ports.read(0x3C0, 1) == 6
    machine.check()


def test_windows_that_a_bridge_does_not_have():
    config = ConfigSpace.type1(vendor_id=1, device_id=1, io_bits=0, prefetchable_bits=0)
    machine, bridge, dev = behind(IoBar(0, 16), MemBar(1, 0x1000), config=config)
    machine.write(bridge, 0x20, 4, 0x0000_FFF0)
    machine.write(bridge, 4, 2, 3)
    machine.write(dev, 0x10, 4, 0x100)
    machine.write(dev, 0x14, 4, 0x1000)
    assert (bridge.io_window, bridge.prefetchable_window) == (None, None)
    assert [bar.live for bar in dev.bars] == [False, False]


def test_every_window_on_the_way_counts():
    machine = Machine()
    outer = machine.plug_bridge(1)
    inner = machine.plug_bridge(0, bus=outer.secondary)
    machine.number(outer, 1, 2)
    machine.number(inner, 2)
    dev = machine.plug(0, MemBar(0, 0x1000), bus=inner.secondary)
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 2)
    machine.open(inner, BASE, BASE + 0xF_FFFF)
    assert not dev.bar(0).live
    machine.open(outer, BASE, BASE + 0x1F_FFFF)
    assert dev.bar(0).live
    machine.open(outer, 0xD000_0000, 0xD00F_FFFF)
    assert not dev.bar(0).live
    machine.check()


def test_renumbering_moves_no_bar():
    machine, bridge, dev = behind(MemBar(0, 0x1000))
    machine.open(bridge, BASE, BASE + 0xF_FFFF)
    machine.write(dev, 0x10, 4, BASE)
    machine.told.clear()
    machine.number(bridge, 0x42)
    assert (dev.bdf, dev.bar(0).live, machine.told) == (0x4200, True, [])
    assert machine.read(dev, 0x10) == BASE


def test_secondary_bus_reset():
    machine, bridge, dev = behind(MemBar(0, 0x1000), IoBar(1, 16))
    inner = machine.plug_bridge(1, bus=bridge.secondary)
    machine.number(bridge, 1, 5)
    machine.number(inner, 2)
    machine.open(bridge, BASE, BASE + 0xF_FFFF)
    machine.write(dev, 0x10, 4, BASE)
    machine.told.clear()
    machine.write(bridge, 0x3E, 2, 0x40)
    assert machine.told == [("unmapped", "dev", 0), ("reset", "dev", "bus")]
    assert inner.secondary_number == 0
    assert machine.host.function_at(0x100) is None
    machine.write(dev, 4, 2, 7)  # reaches nobody
    machine.check()
    machine.write(bridge, 0x3E, 2, 0)
    assert (machine.read(dev, 4, 2), machine.read(dev, 0x10)) == (0, 0)
    machine.check()


def test_bus_reset_while_the_bridge_is_below_d0():
    """Nothing was forwarded before, and the bridges behind are reset all the same."""
    machine, bridge, _ = behind(capabilities=[PowerManagement()])
    machine.number(bridge, 1, 5)
    inner = machine.plug_bridge(1, bus=bridge.secondary)
    machine.number(inner, 2)
    machine.open(inner, BASE, BASE + 0xF_FFFF)
    machine.write(bridge, bridge.config.offset_of(PowerManagement) + 4, 2, 3)
    machine.write(bridge, 0x3E, 2, 0x40)
    machine.check()
