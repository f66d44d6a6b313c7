# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Slot registers: what happens sets bits, bits that are enabled interrupt, writes clear them."""

import pytest

from pci.slots import (
    BLINK,
    BUTTON,
    BUTTON_ENABLE,
    COMPLETED,
    COMPLETED_ENABLE,
    EVENTS,
    FAULT,
    FAULT_ENABLE,
    FULL,
    INDICATOR,
    INTERRUPT_ENABLE,
    LATCH,
    LATCH_ENABLE,
    LATCH_OPEN,
    LINK_CHANGED,
    LINK_CONTROL,
    LINK_ENABLE,
    LINK_STATUS,
    OFF,
    ON,
    PLAIN,
    POWER_OFF,
    PRESENCE_CHANGED,
    PRESENCE_ENABLE,
    PRESENT,
    SLOT_CONTROL,
    SLOT_STATUS,
    Endpoint,
    machine_with_slot,
)
from vmmkit.errors import PciSnapshotError, TopologyError
from vmmkit.pci.assignment import assign_below
from vmmkit.pci.capabilities import PciExpress, Slot
from vmmkit.pci.config import ResetKind
from vmmkit.pci.function import FunctionSnapshot
from vmmkit.pci.ports import PciBridge, RootPort, switch

LATCHED = Slot(hot_plug=True, mrl_sensor=True, power_controller=True)
LINK_ACTIVE = 0x2000


def status(found):
    return found.machine.express(found.port, SLOT_STATUS)


def control(found, value=None):
    return found.machine.express(found.port, SLOT_CONTROL, value)


def clear(found, bits=EVENTS):
    found.machine.express(found.port, SLOT_STATUS, bits)


def link_active(found):
    return bool(found.machine.express(found.port, LINK_STATUS) & LINK_ACTIVE)


def power_on(found):
    control(found, control(found) & ~(POWER_OFF | INDICATOR) | ON)


def plugged(slot=FULL, **options):
    """Return a machine with a device in its slot, powered, enumerated, and no event waiting."""
    found = machine_with_slot(slot, **options)
    found.device = Endpoint()
    found.slot.plug(found.device)
    power_on(found)
    assign_below(found.port)
    clear(found)
    found.device.told.clear()
    found.machine.taken()
    return found


# -- presence and power --------------------------------------------------------------------------


def test_an_empty_slot_is_off():
    found = machine_with_slot()
    assert control(found) == POWER_OFF | OFF | 0xC0
    assert status(found) == 0
    assert not link_active(found)
    assert (found.slot.power_indicator, found.slot.attention_indicator) == ("off", "off")


def test_a_device_in_a_slot_without_power_is_present_and_silent():
    found = machine_with_slot()
    device = Endpoint()
    found.slot.plug(device)
    assert status(found) == PRESENT | PRESENCE_CHANGED
    assert not link_active(found)
    assert found.machine.read(device, 0, 4) == 0xFFFF_FFFF
    power_on(found)
    assert status(found) == PRESENT | PRESENCE_CHANGED | COMPLETED | LINK_CHANGED
    assert link_active(found)
    assert found.machine.read(device, 0, 4) == 0x5678_1234
    assert found.machine.read(device, 4, 2) == 0
    found.machine.settle()


def test_without_a_power_controller_the_link_comes_up_at_once():
    found = machine_with_slot(PLAIN)
    assert control(found) == 0
    device = Endpoint()
    found.slot.plug(device)
    assert status(found) == PRESENT | PRESENCE_CHANGED | LINK_CHANGED
    assert found.machine.read(device, 0, 4) == 0x5678_1234


def test_a_device_appears_with_decode_off_whatever_it_did_before():
    found = machine_with_slot(PLAIN)
    device = Endpoint()
    device.config.write(4, 2, 7)
    device.config.write(0x10, 4, 0xC000_0000)
    found.slot.plug(device)
    assert found.machine.read(device, 4, 2) == 0
    assert not device.bar(0).live
    assert ("reset", "power") in device.told


def test_what_is_attached_before_the_guest_runs_was_there_at_power_on():
    found = machine_with_slot()
    device = Endpoint()
    found.port.secondary.attach(device, 0)
    assert status(found) == PRESENT
    assert control(found) & (POWER_OFF | INDICATOR) == ON
    assert link_active(found)
    assert found.machine.taken() == 0
    found.machine.settle()


def test_power_off_and_on_keeps_the_device_and_resets_it():
    found = plugged()
    device = found.device
    assert device.bar(0).live
    control(found, control(found) | POWER_OFF)
    assert status(found) == PRESENT | COMPLETED | LINK_CHANGED
    assert found.machine.read(device, 0, 4) == 0xFFFF_FFFF
    assert not device.bar(0).live
    assert ("unmapped", 0) in device.told
    assert device.told.count(("reset", "power")) == 1
    assert found.port.secondary.functions() == (device,)
    found.machine.settle()
    power_on(found)
    assert found.machine.read(device, 4, 2) == 0
    assert device.config.get(0x10, 4) == 0
    found.machine.settle()


@pytest.mark.parametrize("slot", [FULL, PLAIN], ids=["full", "plain"])
def test_surprise_removal(slot):
    found = plugged(slot)
    device = found.device
    assert device.bar(0).live
    assert found.slot.unplug() == (device,)
    assert status(found) == PRESENCE_CHANGED | LINK_CHANGED
    assert not link_active(found)
    assert device.bus is None
    assert not device.bar(0).live
    assert device.told == [("unmapped", 0), ("unmapped", 1)]
    found.machine.settle()


def test_a_device_detached_from_the_bus_is_a_surprise_too():
    found = plugged()
    found.port.secondary.detach(found.device)
    assert status(found) == PRESENCE_CHANGED | LINK_CHANGED
    found.machine.settle()


def test_a_multifunction_device_comes_and_goes_as_one():
    found = machine_with_slot(PLAIN)
    control(found, INTERRUPT_ENABLE | PRESENCE_ENABLE | LINK_ENABLE)
    clear(found)
    functions = [Endpoint(f"f{number}") for number in range(3)]
    found.slot.plug(*functions)
    assert found.machine.taken() == 1
    assert [one.bdf & 7 for one in functions] == [0, 1, 2]
    assert [found.machine.read(one, 0x0E, 1) for one in functions] == [0x80] * 3
    assert found.slot.unplug() == tuple(functions)
    assert [one.config.get(0x0E, 1) for one in functions] == [0] * 3


def test_a_function_that_joins_a_device_is_no_presence_event():
    found = plugged(PLAIN)
    found.port.secondary.attach(Endpoint("second"), 0, 1)
    assert status(found) == PRESENT
    assert found.machine.read(found.device, 0x0E, 1) == 0x80


def test_a_switch_with_devices_behind_it_goes_as_a_whole_and_comes_again():
    found = machine_with_slot(PLAIN)
    tree, leaf = switch([None, None]), Endpoint("leaf")
    tree.downstream[1].secondary.attach(leaf, 0)
    found.machine.write(found.port, 0x1A, 1, 0x20)
    found.slot.plug(tree)
    assign_below(found.port)
    assert leaf.bar(0).live
    found.machine.settle()
    found.slot.unplug()
    assert not leaf.bar(0).live
    assert leaf.bus is tree.downstream[1].secondary
    assert leaf.host is None
    found.machine.settle()
    found.slot.plug(tree)
    assign_below(found.port)
    assert leaf.bar(0).live
    found.machine.settle()


# -- events and interrupts -----------------------------------------------------------------------

EVENT_CASES = [
    (FULL, BUTTON_ENABLE, BUTTON, lambda slot: slot.press_attention_button()),
    (FULL, FAULT_ENABLE, FAULT, lambda slot: slot.fail_power()),
    (FULL, PRESENCE_ENABLE, PRESENCE_CHANGED, lambda slot: slot.plug(Endpoint())),
    (PLAIN, LINK_ENABLE, LINK_CHANGED, lambda slot: slot.plug(Endpoint())),
    (LATCHED, LATCH_ENABLE, LATCH, lambda slot: slot.set_latch(is_open=True)),
]
EVENT_IDS = ["button", "fault", "presence", "link", "latch"]


@pytest.mark.parametrize(("slot", "enable", "bit", "happen"), EVENT_CASES, ids=EVENT_IDS)
def test_an_event_interrupts_once_when_enabled(slot, enable, bit, happen):
    found = machine_with_slot(slot)
    control(found, control(found) | enable | INTERRUPT_ENABLE)
    clear(found)
    happen(found.slot)
    assert status(found) & bit
    assert found.machine.taken() == 1
    clear(found)
    assert status(found) & EVENTS == 0
    assert found.machine.taken() == 0


@pytest.mark.parametrize(("slot", "enable", "bit", "happen"), EVENT_CASES, ids=EVENT_IDS)
def test_an_event_waits_for_both_its_enables(slot, enable, bit, happen):
    found = machine_with_slot(slot)
    happen(found.slot)
    assert status(found) & bit
    control(found, control(found) | INTERRUPT_ENABLE)
    assert found.machine.taken() == 0
    control(found, control(found) & ~INTERRUPT_ENABLE | enable)
    assert found.machine.taken() == 0
    control(found, control(found) | INTERRUPT_ENABLE)
    assert found.machine.taken() == 1


def test_every_write_to_slot_control_completes():
    found = machine_with_slot()
    clear(found)
    at = found.port.config.find(0x10) + SLOT_CONTROL
    for offset, size, value in [(0, 2, control(found)), (0, 1, 0), (1, 1, 0x07), (0, 4, 0)]:
        found.machine.write(found.port, at + offset, size, value)
        assert status(found) & COMPLETED, (offset, size)
        clear(found)
        assert not status(found) & COMPLETED
    found.machine.write(found.port, at + 2, 2, EVENTS)
    assert not status(found) & COMPLETED


def test_command_completed_interrupts_when_enabled():
    found = machine_with_slot()
    control(found, POWER_OFF | COMPLETED_ENABLE | INTERRUPT_ENABLE)
    assert found.machine.taken() == 1
    clear(found)
    control(found, POWER_OFF | COMPLETED_ENABLE | INTERRUPT_ENABLE)
    assert found.machine.taken() == 1


def test_a_slot_may_go_without_command_completed():
    found = machine_with_slot(Slot(hot_plug=True, command_completed=False))
    control(found, 0x1FFF)
    assert status(found) == 0
    assert control(found) & COMPLETED_ENABLE == 0


def test_a_second_event_sends_nothing_until_the_first_is_cleared():
    found = plugged()
    control(found, control(found) | BUTTON_ENABLE | PRESENCE_ENABLE | INTERRUPT_ENABLE)
    clear(found)
    found.slot.press_attention_button()
    found.slot.unplug()
    assert found.machine.taken() == 1
    clear(found, BUTTON)
    assert found.machine.taken() == 0
    clear(found, PRESENCE_CHANGED)
    found.slot.press_attention_button()
    assert found.machine.taken() == 1


def test_an_event_between_read_and_clear_is_not_lost():
    found = machine_with_slot()
    control(found, POWER_OFF | BUTTON_ENABLE | PRESENCE_ENABLE | INTERRUPT_ENABLE)
    clear(found)
    found.slot.press_attention_button()
    seen = status(found)
    found.slot.plug(Endpoint())
    clear(found, seen & EVENTS)
    assert status(found) & PRESENCE_CHANGED
    clear(found)
    found.slot.press_attention_button()
    assert found.machine.taken() == 2


def test_a_masked_vector_pends_and_leaves_on_unmask():
    found = machine_with_slot()
    control(found, POWER_OFF | BUTTON_ENABLE | INTERRUPT_ENABLE)
    clear(found)
    view = found.port.config.msi
    found.machine.write(found.port, view.offset + 16, 4, 1)
    found.slot.press_attention_button()
    assert (found.machine.taken(), view.pending) == (0, 1)
    found.machine.write(found.port, view.offset + 16, 4, 0)
    assert (found.machine.taken(), view.pending) == (1, 0)
    found.machine.write(found.port, view.offset + 16, 4, 1)
    found.machine.write(found.port, view.offset + 16, 4, 0)
    assert found.machine.taken() == 0


def test_intx_is_high_as_long_as_an_enabled_event_waits():
    found = machine_with_slot(msi=False, intx="A")
    control(found, POWER_OFF | BUTTON_ENABLE | INTERRUPT_ENABLE)
    clear(found)
    found.machine.lines.clear()
    found.slot.press_attention_button()
    (gsi, level), *rest = found.machine.lines
    assert (level, rest) == (True, [])
    found.slot.press_attention_button()
    clear(found)
    assert found.machine.lines == [(gsi, True), (gsi, False)]


def test_events_of_the_guests_own_doing_interrupt_too():
    found = plugged()
    control(found, control(found) | LINK_ENABLE | INTERRUPT_ENABLE)
    clear(found)
    found.machine.express(found.port, LINK_CONTROL, 0x10)
    assert found.machine.taken() == 1
    assert not link_active(found)
    assert found.machine.read(found.device, 0, 4) == 0xFFFF_FFFF
    clear(found)
    found.machine.express(found.port, LINK_CONTROL, 0)
    assert found.machine.taken() == 1
    assert found.machine.read(found.device, 0, 4) == 0x5678_1234
    found.machine.settle()


# -- faults and latches --------------------------------------------------------------------------


def test_a_power_fault_lasts_until_the_slot_was_off():
    found = plugged()
    found.slot.fail_power()
    assert status(found) == PRESENT | FAULT | LINK_CHANGED
    assert found.device.told[-1] == ("reset", "power")
    clear(found)
    power_on(found)
    assert not link_active(found)
    control(found, control(found) | POWER_OFF)
    power_on(found)
    assert link_active(found)
    found.machine.settle()


def test_an_open_latch_takes_the_power():
    found = plugged(LATCHED)
    found.slot.set_latch(is_open=True)
    assert status(found) == PRESENT | LATCH | LATCH_OPEN | LINK_CHANGED
    clear(found)
    found.slot.set_latch(is_open=True)
    assert status(found) == PRESENT | LATCH_OPEN
    found.machine.host.reset()
    assert found.slot.status == PRESENT | LATCH_OPEN
    assert not found.port.link.up
    found.slot.set_latch(is_open=False)
    assert found.port.link.up
    found.machine.settle()


# -- ejection ------------------------------------------------------------------------------------


def test_a_device_whose_ejection_was_requested_leaves_when_the_guest_switches_it_off():
    found = plugged()
    ejected = []
    found.slot.on_ejected = lambda functions: ejected.append(
        (functions, found.machine.host.lock._is_owned(), list(found.device.told))
    )
    found.slot.request_eject()
    assert status(found) == PRESENT | BUTTON
    control(found, control(found) & ~INDICATOR | BLINK)
    assert ejected == []
    clear(found)
    control(found, control(found) | POWER_OFF)
    ((functions, locked, told),) = ejected
    assert (functions, locked) == ((found.device,), False)
    assert ("unmapped", 0) in told
    assert status(found) == PRESENCE_CHANGED | LINK_CHANGED | COMPLETED
    assert found.device.bus is None
    assert not found.slot.eject_requested
    found.machine.settle()


def test_a_device_that_is_switched_off_leaves_at_once():
    found = plugged()
    ejected = []
    found.slot.on_ejected = ejected.append
    control(found, control(found) | POWER_OFF)
    assert ejected == []
    clear(found)
    found.slot.request_eject()
    assert ejected == [(found.device,)]
    assert status(found) == PRESENCE_CHANGED
    found.machine.settle()


def test_an_ejection_can_be_taken_back():
    found = plugged()
    found.slot.request_eject()
    found.slot.eject_requested = False
    found.slot.press_attention_button()
    control(found, control(found) | POWER_OFF)
    assert found.port.secondary.functions() == (found.device,)


def test_without_a_power_controller_the_indicator_ends_an_ejection():
    slot = Slot(hot_plug=True, attention_button=True, power_indicator=True)
    found = plugged(slot)
    found.slot.request_eject()
    control(found, BLINK)
    control(found, ON)
    assert found.slot.occupied
    control(found, OFF)
    assert not found.slot.occupied


def test_a_reset_of_the_machine_forgets_a_request():
    found = plugged()
    found.slot.request_eject()
    found.machine.host.reset()
    assert not found.slot.eject_requested
    assert found.slot.status == PRESENT


def test_ejected_and_plugged_in_again_within_the_callback():
    found = plugged()
    found.slot.on_ejected = lambda functions: found.slot.plug(*functions)
    found.slot.request_eject()
    control(found, control(found) | POWER_OFF)
    assert status(found) & (PRESENT | PRESENCE_CHANGED) == PRESENT | PRESENCE_CHANGED
    assert found.device.bus is found.port.secondary
    found.machine.settle()


# -- state ---------------------------------------------------------------------------------------


def test_a_snapshot_holds_the_slot():
    found = plugged()
    control(found, control(found) | BUTTON_ENABLE | INTERRUPT_ENABLE)
    clear(found)
    found.slot.request_eject()
    assert found.machine.taken() == 1
    kept = found.machine.host.snapshot()
    found.machine.host.reset()
    found.machine.host.restore(kept)
    found.machine.settle()
    assert found.slot.eject_requested
    assert found.machine.taken() == 0
    clear(found)
    found.slot.press_attention_button()
    assert found.machine.taken() == 1
    control(found, control(found) | POWER_OFF)
    assert not found.slot.occupied


def test_a_snapshot_of_a_power_fault():
    found = plugged()
    found.slot.fail_power()
    kept = found.machine.host.snapshot()
    found.machine.host.reset()
    assert found.port.link.up
    found.machine.host.restore(kept)
    assert not found.port.link.up
    found.machine.settle()
    power_on(found)
    assert not found.port.link.up


def test_a_snapshot_of_an_occupied_slot_wants_an_occupied_slot():
    found = plugged()
    kept = found.port.snapshot()
    found.slot.unplug()
    with pytest.raises(PciSnapshotError, match="occupied in the snapshot only"):
        found.port.restore(kept)
    with pytest.raises(PciSnapshotError, match="no PortSnapshot"):
        found.port.restore(FunctionSnapshot(kept.config, kept.interrupts, kept.memory))
    empty = found.port.snapshot()
    found.slot.plug(found.device)
    with pytest.raises(PciSnapshotError, match="empty in the snapshot only"):
        found.port.restore(empty)


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slot", "call", "text"),
    [
        (PLAIN, lambda slot: slot.press_attention_button(), "no attention button"),
        (PLAIN, lambda slot: slot.fail_power(), "no power controller"),
        (PLAIN, lambda slot: slot.set_latch(is_open=True), "no sensor of a latch"),
        (PLAIN, lambda slot: slot.unplug(), "slot is empty"),
        (FULL, lambda slot: slot.request_eject(), "slot is empty"),
        (FULL, lambda slot: slot.plug(), "1 to 8 functions"),
        (FULL, lambda slot: slot.plug(*map(Endpoint, "abcdefghi")), "1 to 8 functions"),
        (FULL, lambda slot: slot.plug(*[Endpoint()] * 2), "attached already"),
        (Slot(), lambda slot: slot.plug(Endpoint()), "no hotplug"),
        (Slot(), lambda slot: slot.unplug(), "no hotplug"),
    ],
)
def test_what_a_slot_cannot_do(slot, call, text):
    found = machine_with_slot(slot)
    with pytest.raises(TopologyError, match=text):
        call(found.slot)
    assert found.slot.status & EVENTS == 0
    found.machine.settle()


def test_a_slot_holds_one_device():
    found = plugged()
    with pytest.raises(TopologyError, match="occupied"):
        found.slot.plug(Endpoint("second"))
    with pytest.raises(TopologyError, match="attached already"):
        found.slot.plug(found.device)
    found.machine.settle()


def test_a_bridge_is_not_plugged_in_behind_itself():
    port = RootPort(slot=PLAIN)
    above = PciBridge()
    above.secondary.attach(port, 0)
    for function in (above, port):
        with pytest.raises(TopologyError, match=r"behind itself|attached already"):
            port.slot.plug(function)


def test_a_port_without_a_host_has_a_slot_all_the_same():
    port = RootPort(slot=FULL)
    device = Endpoint()
    port.slot.plug(device)
    assert port.slot.status == PRESENT | PRESENCE_CHANGED
    port.slot.press_attention_button()
    port.slot.unplug()
    port.reset(ResetKind.POWER)
    assert port.slot.status == 0


def test_a_command_that_clears_the_last_completion_in_one_write_interrupts_again():
    """A dword write ends the event in the upper word before the command in the lower completes."""
    ready = machine_with_slot()
    machine, port = ready.machine, ready.port
    control = POWER_OFF | COMPLETED_ENABLE | INTERRUPT_ENABLE
    machine.express(port, SLOT_CONTROL, control)
    assert (machine.taken(), ready.slot.status & COMPLETED) == (1, COMPLETED)
    at = port.config.find(PciExpress.cap_id) + SLOT_CONTROL
    machine.write(port, at, 4, COMPLETED << 16 | control)
    assert (machine.taken(), ready.slot.status & COMPLETED) == (1, COMPLETED)


@pytest.mark.parametrize("wrong", [None, 5, "device", Endpoint])
def test_what_is_plugged_in_is_a_function(wrong):
    ready = machine_with_slot()
    with pytest.raises(TopologyError, match="is no Function"):
        ready.slot.plug(wrong)
    assert not ready.slot.occupied
