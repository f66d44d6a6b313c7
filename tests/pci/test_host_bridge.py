# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a config write leads to: resets, notifications and their order, wiring, snapshots."""

from __future__ import annotations

import attrs
import pytest

from pci.machine import Machine, Told, label
from vmmkit.errors import PciSnapshotError, TopologyError
from vmmkit.memregion import RegionMap
from vmmkit.pci._notices import Notices
from vmmkit.pci.bars import IoBar, MemBar
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting
from vmmkit.pci.spec import PortType

BASE = 0xC000_0000


@pytest.mark.parametrize("buses", [(-1, 3), (4, 3), (0, 256)])
def test_bus_numbers_that_are_none(buses):
    with pytest.raises(TopologyError, match="no range of buses"):
        HostBridge(first_bus=buses[0], last_bus=buses[1])


def test_the_roots_windows_hold():
    machine = Machine(windows={"mem": [(BASE, 0x10_0000)], "io": [(0x2000, 0x100)]})
    dev = machine.plug(1, MemBar(0, 0x1000), IoBar(1, 16))
    machine.write(dev, 4, 2, 3)
    for base, port, live in ((BASE, 0x20F0, True), (BASE + 0x10_0000, 0x2100, False)):
        machine.write(dev, 0x10, 4, base)
        machine.write(dev, 0x14, 4, port)
        assert [bar.live for bar in dev.bars] == [live, live]
    machine.check()


def test_zero_by_policy():
    machine = Machine(decode_zero=True)
    dev = machine.plug(1, MemBar(0, 0x1000, read=label(4)))
    machine.write(dev, 4, 2, 2)
    assert machine.memory.read(0, 1) == 4


def test_physical_width_by_policy():
    machine = Machine(physical_bits=36)
    dev = machine.plug(1, MemBar(0, 0x1000, width=64))
    machine.write(dev, 4, 2, 2)
    for high, live in ((0xF, True), (0x10, False), (0xFFFF_FFFF, False)):
        machine.write(dev, 0x10, 8, high << 32 | BASE)
        assert dev.bar(0).live is live
        machine.check()


def enabled(*bars, capabilities=()):
    machine = Machine()
    dev = machine.plug(1, *bars, capabilities=capabilities, name="dev")
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 7)
    return machine, dev


def test_function_level_reset():
    machine, dev = enabled(
        MemBar(0, 0x1000), capabilities=[Msi(), PciExpress(port_type=PortType.ENDPOINT, flr=True)]
    )
    at = dev.config.offset_of(Msi)
    machine.write(dev, at + 2, 2, 1)
    machine.told.clear()
    control = dev.config.offset_of(PciExpress) + 8
    machine.write(dev, control, 2, 0x8000)
    assert machine.told == [("unmapped", "dev", 0), ("reset", "dev", "function")]
    assert (machine.read(dev, 4, 2), machine.read(dev, at + 2, 2) & 1) == (0, 0)
    assert dev.interrupts.mode == "none"
    assert machine.read(dev, control, 2) & 0x8000 == 0
    machine.check()


@pytest.mark.parametrize("keeps", [True, False])
def test_the_way_from_d3hot_to_d0(keeps):
    machine, dev = enabled(
        MemBar(0, 0x1000), capabilities=[PowerManagement(no_soft_reset=keeps, d1=True)]
    )
    control = dev.config.offset_of(PowerManagement) + 4
    machine.told.clear()
    for state in (1, 3):
        machine.write(dev, control, 2, state)
        assert not dev.bar(0).live
    machine.write(dev, control, 2, 0)
    back = ("mapped", "dev", 0, BASE) if keeps else ("reset", "dev", "d3")
    assert machine.told == [("unmapped", "dev", 0), back]
    assert dev.bar(0).live is keeps
    machine.check()


def test_d1_to_d0_resets_nothing():
    machine, dev = enabled(
        MemBar(0, 0x1000), capabilities=[PowerManagement(no_soft_reset=False, d1=True)]
    )
    control = dev.config.offset_of(PowerManagement) + 4
    machine.write(dev, control, 2, 1)
    machine.write(dev, control, 2, 0)
    assert dev.bar(0).live


@pytest.mark.parametrize("kind", ResetKind)
def test_the_owner_resets(kind):
    machine, dev = enabled(MemBar(0, 0x1000))
    machine.told.clear()
    dev.reset(kind)
    assert machine.told == [("unmapped", "dev", 0), ("reset", "dev", kind.value)]
    machine.write(dev, 4, 2, 7)
    machine.host.reset(kind)
    assert machine.read(dev, 4, 2) == 0
    machine.check()


def test_a_function_that_is_attached_nowhere_is_reset_all_the_same():
    told = []
    dev = Told(told, ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0), name="dev")
    dev.config.write(4, 2, 7)
    dev.reset()
    assert (told, dev.config.command) == ([("reset", "dev", "function")], 0)


# -- notifications -------------------------------------------------------------------------------


def test_notifications_come_in_order_and_with_no_lock_held():
    order = []

    class Nosy(Function):
        def on_mapped(self, bar):
            order.append(("mapped", self.name, machine.host.lock._is_owned()))
            if self.name == "first":
                machine.write(self, 0x10, 4, 0xD000_0000)  # heard of after all that is waiting

        def on_moved(self, bar, old_base):
            order.append(("moved", self.name, old_base))

        def on_config_write(self, offset, size, value):
            order.append(("written", self.name, offset, size, value))

    machine = Machine()
    config = ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0)
    dev = Nosy(config, [MemBar(0, 0x1000), IoBar(1, 16)], name="first")
    machine.host.bus.attach(dev, 1)
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 0x14, 4, 0x2000)
    order.clear()
    machine.write(dev, 4, 2, 3)
    assert order[:3] == [
        ("mapped", "first", False),
        ("mapped", "first", False),
        ("written", "first", 4, 2, 3),
    ]
    assert order[3:] == [
        ("moved", "first", BASE),
        ("written", "first", 0x10, 4, 0xD000_0000),
        ("written", "first", 0x10, 4, 0xD000_0000),
    ]
    machine.check()


def test_a_notification_that_raises_stops_no_other():
    class Broken(Told):
        def on_mapped(self, bar):
            super().on_mapped(bar)
            raise RuntimeError(self.name)

    machine = Machine()
    dev = Broken(
        machine.told,
        ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0),
        [MemBar(0, 0x1000), IoBar(1, 16)],
    )
    machine.host.bus.attach(dev, 1)
    for offset, value in ((0x10, BASE), (0x14, 0x2000)):
        machine.write(dev, offset, 4, value)
    with pytest.raises(ExceptionGroup, match="notifications"):
        machine.host.config_write(dev.bdf, 4, 2, 3)
    machine.write(dev, 4, 2, 1)
    with pytest.raises(RuntimeError):
        machine.host.config_write(dev.bdf, 4, 2, 3)
    assert [event[0] for event in machine.told] == ["mapped", "mapped", "unmapped", "mapped"]
    machine.check()


class LateLock:
    """A lock that is free; as it is released, another thread posts and finds it taken still."""

    def __init__(self, late):
        self.late = [late]

    def acquire(self, *, blocking):
        return True

    def release(self):
        while self.late:
            self.late.pop()()


def test_what_is_posted_at_the_last_moment_is_told():
    notices, told = Notices(), []
    notices._telling = LateLock(lambda: notices.post(lambda: told.append("late")))
    notices.post(lambda: told.append("first"))
    notices.tell()
    assert told == ["first", "late"]


def test_several_changes_are_told_of_at_the_end():
    machine, dev = enabled(MemBar(0, 0x1000))
    machine.told.clear()
    with machine.host.changing():
        machine.write(dev, 4, 2, 0)
        machine.write(dev, 4, 2, 2)
        assert machine.told == []
    assert [event[0] for event in machine.told] == ["unmapped", "mapped"]


def test_a_swap_is_told_as_moves():
    machine = Machine()
    one = machine.plug(1, MemBar(0, 0x1000), name="one")
    two = machine.plug(2, MemBar(0, 0x1000), name="two")
    for dev, base in ((one, BASE), (two, BASE + 0x1000)):
        machine.write(dev, 0x10, 4, base)
        machine.write(dev, 4, 2, 2)
    machine.told.clear()
    machine.write(one, 0x10, 4, BASE + 0x1000)
    machine.write(two, 0x10, 4, BASE)
    assert machine.told == [
        ("moved", "one", 0, BASE, BASE + 0x1000),
        ("unmapped", "two", 0),
        ("mapped", "two", 0, BASE),
    ]


# -- wiring --------------------------------------------------------------------------------------


def test_messages_carry_the_senders_number_of_the_moment():
    sent = []
    machine = Machine(send_msi=lambda *message: sent.append(message))
    bridge = machine.plug_bridge(1)
    dev = machine.plug(2, bus=bridge.secondary, capabilities=[Msi()])
    machine.write(bridge, 4, 2, 4)
    for number in (1, 0x42):
        machine.number(bridge, number)
        machine.write(dev, 4, 2, 4)
        machine.write(dev, dev.config.offset_of(Msi) + 2, 2, 1)
        dev.interrupts.vector(0).pulse()
    assert sent == [(0, 0, 0x110), (0, 0, 0x4210)]
    bridge.secondary.detach(dev)
    dev.interrupts.vector(0).pulse()
    assert len(sent) == 2


def test_pins_are_swizzled_up_to_a_gsi():
    levels = []
    machine = Machine(
        routing=IntxRouting.swizzled(16, 8), set_gsi=lambda *level: levels.append(level)
    )
    bridge = machine.plug_bridge(2)
    near = machine.plug(3, intx="A")
    far = machine.plug(3, bus=bridge.secondary, intx="B")
    assert (machine.read(near, 0x3D, 1), far.config.read(0x3D, 1)) == (1, 2)
    near.interrupts.vector(0).set_level(True)
    far.interrupts.vector(0).set_level(True)  # INTB of device 3 is INTA of the bridge: 2 + 0
    assert levels == [(19, True), (18, True)]
    machine.host.bus.detach(bridge)
    assert levels[2:] == [(18, False)]


def test_dma_reaches_the_memory_that_was_given():
    memory = RegionMap(address_bits=40)
    memory.add_ram(0x1000, bytearray(b"elsewhere" + bytes(0xFF7)))
    machine = Machine(memory=memory)
    dev = machine.plug(1)
    machine.write(dev, 4, 2, 4)
    assert dev.dma.read(0x1000, 9) == b"elsewhere"
    machine.host.bus.detach(dev)
    assert dev.dma.read(0x1000, 1) == b"\xff"


def test_functions_reach_each_others_bars():
    machine, dev = enabled(MemBar(0, 0x1000, read=label(0x5A)))
    peer = machine.plug(2)
    machine.write(peer, 4, 2, 4)
    assert peer.dma.read(BASE, 2) == b"\x5a\x00"
    assert dev.bar(0).live


# -- snapshots -----------------------------------------------------------------------------------


def test_snapshot_and_restore():
    machine, dev = enabled(MemBar(0, 0x1000, ram=True), capabilities=[Msi()])
    keepless = machine.plug(2, MemBar(0, 0x1000, ram=True, keep=False))
    machine.memory.write(BASE, 4, 0xAAAA)
    keepless.bar(0).buffer[0] = 7
    machine.ports.write(0xCF8, 4, 0x8000_0800)
    dev.interrupts.vector(0).pulse()
    snapshot = machine.host.snapshot()
    machine.host.reset()
    dev.bar(0).buffer[:] = bytes(0x1000)
    machine.told.clear()
    machine.host.restore(snapshot)
    assert machine.told == [("mapped", "dev", 0, BASE)]
    assert machine.memory.read(BASE, 4) == 0xAAAA
    assert machine.ports.read(0xCF8, 4) == 0x8000_0800
    assert dev.interrupts.vector(0).pending
    assert machine.host.snapshot() == snapshot
    machine.check()


def test_a_function_alone():
    machine, dev = enabled(MemBar(0, 0x1000))
    snapshot = dev.snapshot()
    machine.write(dev, 0x10, 4, 0xD000_0000)
    dev.restore(snapshot)
    assert dev.bar(0).address == BASE
    machine.host.bus.detach(dev)
    dev.reset()
    dev.restore(snapshot)
    assert dev.config.command == 7


def test_snapshots_of_others_are_refused():
    machine, dev = enabled(MemBar(0, 0x1000, ram=True))
    snapshot = machine.host.snapshot()
    other = machine.plug(2, MemBar(0, 0x2000, ram=True))
    with pytest.raises(PciSnapshotError, match="of other functions"):
        machine.host.restore(snapshot)
    with pytest.raises(PciSnapshotError, match="of other functions"):
        machine.host.restore(None)
    with pytest.raises(PciSnapshotError, match="another layout"):
        dev.restore(other.snapshot())
    with pytest.raises(PciSnapshotError, match="memory of BARs"):
        dev.restore(attrs.evolve(dev.snapshot(), memory={0: b"short"}))
    with pytest.raises(PciSnapshotError, match="is no FunctionSnapshot"):
        dev.restore("snapshot")
