# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest's hot-plug driver, as operating systems write them, against the slot it drives.

The sequences are those that the PCI Express Base Specification asks of software: acknowledge
events until none is left, blink for five seconds after the button, power off before a removal,
power on and wait for the link before a device is looked for.
"""

import random
import threading
from types import SimpleNamespace

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
    LINK_CHANGED,
    LINK_ENABLE,
    LINK_STATUS,
    MIB,
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
    Machine,
    machine_with_slot,
)
from vmmkit.errors import AllocationError
from vmmkit.pci.assignment import HotplugReserve, assign_below
from vmmkit.pci.bars import MemBar
from vmmkit.pci.ports import RootPort, switch

LINK_ACTIVE = 0x2000


class Driver:
    """The guest's driver of one slot: an interrupt handler, and work that it leaves for later."""

    def __init__(self, found):
        self.machine, self.port = found.machine, found.port
        self.state, self.pending, self.log = "off", 0, []
        self.timer = False
        control = self.word(SLOT_CONTROL)
        self.has_button = bool(self.port.slot.features.attention_button)
        self.has_power = bool(self.port.slot.features.power_controller)
        self.clear(EVENTS)
        enables = BUTTON_ENABLE if self.has_button else 0
        enables |= PRESENCE_ENABLE | LINK_ENABLE | FAULT_ENABLE
        self.command(control | enables | INTERRUPT_ENABLE | COMPLETED_ENABLE)
        if self.word(SLOT_STATUS) & PRESENT:
            self.presence_or_link()

    def word(self, register):
        return self.machine.express(self.port, register)

    def clear(self, bits):
        self.machine.express(self.port, SLOT_STATUS, bits)

    def command(self, value):
        self.machine.express(self.port, SLOT_CONTROL, value)
        assert self.word(SLOT_STATUS) & COMPLETED
        self.clear(COMPLETED)

    def change(self, mask, value):
        self.command(self.word(SLOT_CONTROL) & ~mask | value)

    # -- interrupt -------------------------------------------------------------------------------

    def serve(self):
        """Handle the interrupts that arrived; no message means that nobody calls the handler."""
        while self.machine.taken():
            while events := self.word(SLOT_STATUS) & EVENTS:
                self.clear(events)
                self.pending |= events
            self.work()

    def work(self):
        events, self.pending = self.pending, 0
        if events & BUTTON:
            self.button()
        if events & FAULT:
            self.log.append("fault")
        if events & (PRESENCE_CHANGED | LINK_CHANGED):
            self.presence_or_link()

    def button(self):
        if self.state in ("blinking off", "blinking on"):
            self.state = {"blinking off": "on", "blinking on": "off"}[self.state]
            self.timer = False
            self.change(INDICATOR, ON if self.state == "on" else OFF)
            self.log.append("cancelled")
            return
        self.state = "blinking " + {"on": "off", "off": "on"}[self.state]
        self.timer = True
        self.change(INDICATOR, BLINK)

    def five_seconds_later(self):
        if self.timer:
            self.timer = False
            (self.disable if self.state == "blinking off" else self.enable)()

    def presence_or_link(self):
        present = bool(self.word(SLOT_STATUS) & PRESENT)
        active = bool(self.word(LINK_STATUS) & LINK_ACTIVE)
        if self.state in ("on", "blinking off"):
            self.timer = False
            self.log.append("gone")
            self.disable()
        if present or active:
            self.enable()

    # -- the slot --------------------------------------------------------------------------------

    def enable(self):
        if self.has_power:
            self.change(POWER_OFF | INDICATOR, BLINK)
        if not self.word(LINK_STATUS) & LINK_ACTIVE:
            self.change(INDICATOR | POWER_OFF, OFF | POWER_OFF * self.has_power)
            self.state = "off"
            return
        try:
            assign_below(self.port)
        except AllocationError as error:
            self.log.append(("no room", error.unplaced))
        self.clear(PRESENCE_CHANGED | LINK_CHANGED)
        self.change(INDICATOR, ON)
        self.state = "on"
        found = self.machine.host.function_at(self.port.secondary.number << 8)
        self.log.append(("added", None if found is None else found.name))

    def disable(self):
        self.change(POWER_OFF, POWER_OFF if self.has_power else 0)
        if self.has_power:
            # Only what the power took away: by now somebody may have put something else in.
            self.clear(LINK_CHANGED)
        self.change(INDICATOR, OFF)
        self.state = "off"
        self.log.append("removed")


def driven(slot=FULL, device=None):
    found = machine_with_slot(slot)
    if device is not None:
        found.port.secondary.attach(device, 0)
    found.driver = Driver(found)
    found.driver.serve()
    found.ejected = []
    found.slot.on_ejected = found.ejected.extend
    return found


@pytest.mark.parametrize("slot", [FULL, PLAIN], ids=["full", "plain"])
def test_hot_add(slot):
    found = driven(slot)
    device = Endpoint()
    found.slot.plug(device)
    assert not device.bar(0).live
    found.driver.serve()
    assert found.driver.log == [("added", "dev")]
    assert device.bar(0).live
    assert found.slot.power_indicator == ("on" if slot is FULL else "reserved")
    found.machine.settle()


def test_a_device_that_was_there_is_found_when_the_driver_comes():
    found = driven(device=Endpoint())
    assert found.driver.log == [("added", "dev")]


def test_orderly_ejection():
    found = driven(device=Endpoint())
    device = found.port.secondary.functions()[0]
    found.slot.request_eject()
    found.driver.serve()
    assert (found.driver.state, found.slot.power_indicator) == ("blinking off", "blink")
    assert device.bar(0).live
    found.driver.five_seconds_later()
    assert found.ejected == [device]
    assert not device.bar(0).live
    found.driver.serve()
    assert found.driver.state == "off"
    assert found.slot.power_indicator == "off"
    assert found.driver.log[-1] == "removed"
    found.machine.settle()


def test_the_second_press_takes_an_ejection_back():
    found = driven(device=Endpoint())
    found.slot.request_eject()
    found.driver.serve()
    found.slot.eject_requested = False
    found.slot.press_attention_button()
    found.driver.serve()
    found.driver.five_seconds_later()
    assert found.driver.log[-1] == "cancelled"
    assert found.ejected == []
    assert found.slot.occupied
    assert found.port.link.up


@pytest.mark.parametrize("slot", [FULL, PLAIN], ids=["full", "plain"])
def test_surprise_removal_and_another_device(slot):
    found = driven(slot, Endpoint("first"))
    found.slot.unplug()
    found.driver.serve()
    assert found.driver.log == [("added", "first"), "gone", "removed"]
    found.slot.plug(Endpoint("second"))
    found.driver.serve()
    assert found.driver.log[-1] == ("added", "second")
    found.machine.settle()


def test_devices_swapped_before_the_driver_looked():
    found = driven(FULL, Endpoint("first"))
    found.slot.unplug()
    found.slot.plug(Endpoint("second"))
    found.driver.serve()
    assert found.driver.log == [("added", "first"), "gone", "removed", ("added", "second")]
    found.machine.settle()


def test_power_fault():
    found = driven(FULL, Endpoint())
    found.slot.fail_power()
    found.driver.serve()
    assert "fault" in found.driver.log
    assert found.driver.log[-1] == ("added", "dev")
    assert found.port.link.up


def test_removal_between_press_and_power_off():
    found = driven(FULL, Endpoint())
    found.slot.request_eject()
    found.driver.serve()
    found.slot.unplug()
    found.driver.serve()
    found.driver.five_seconds_later()
    assert found.driver.log[-2:] == ["gone", "removed"]
    assert found.ejected == []
    assert found.driver.state == "off"


def test_a_device_too_large_for_the_reserve_is_reported():
    found = driven(FULL)
    found.slot.plug(Endpoint("large", MemBar(0, 64 * MIB)))
    found.driver.serve()
    assert ("no room", (("large BAR0", 64 * MIB),)) in found.driver.log
    found.machine.settle()


def test_a_switch_with_slots_of_its_own():
    machine = Machine()
    room = HotplugReserve(io=0x4000, mem=8 * MIB, prefetchable=8 * MIB, buses=4)
    port = RootPort(slot=PLAIN, name="port", reserve=room)
    machine.host.bus.attach(port, 1)
    machine.assign()
    outer = Driver(SimpleNamespace(machine=machine, port=port))
    machine.enable_msi(port)
    machine.messages.clear()
    tree = switch([PLAIN, FULL])
    port.slot.plug(tree)
    assert machine.taken() == 1
    machine.messages.append(None)
    outer.serve()
    inner = [Driver(SimpleNamespace(machine=machine, port=one)) for one in tree.downstream]
    for one in tree.downstream:
        machine.enable_msi(one)
    machine.messages.clear()
    leaf = Endpoint("leaf")
    tree.downstream[1].slot.plug(leaf)
    assert {requester for requester, _ in machine.messages} == {tree.downstream[1].bdf}
    inner[1].serve()
    assert leaf.bus is tree.downstream[1].secondary
    assert machine.host.function_at(leaf.bdf) is leaf
    port.slot.unplug()
    assert machine.host.function_at(leaf.bdf) is None
    machine.settle()


# -- whatever happens in whatever order ----------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_driver_and_slot_agree_in_the_end(seed):
    rng = random.Random(seed)
    found = driven(rng.choice([FULL, PLAIN]))
    slot, driver = found.slot, found.driver
    for step in range(60):
        if rng.random() < 0.5 and slot.occupied:
            slot.unplug()
        elif not slot.occupied:
            slot.plug(Endpoint(f"dev{step}"))
        elif slot.features.attention_button:
            slot.request_eject()
        if rng.random() < 0.6:
            driver.serve()
        if rng.random() < 0.3:
            driver.five_seconds_later()
        found.machine.settle()
    driver.serve()
    driver.five_seconds_later()
    driver.serve()
    assert found.port.link.up == (driver.state == "on")
    functions = found.port.secondary.functions()
    if driver.state == "on":
        assert all(function.bar(0).live for function in functions)
    found.machine.settle()


# -- removal at the worst moment -----------------------------------------------------------------


def test_a_device_that_pulls_itself_out():
    found = driven(PLAIN)

    class Ejector(Endpoint):
        def write(self, _vcpu, bar, offset, size, value):
            found.slot.unplug()
            super().write(_vcpu, bar, offset, size, value)

    device = Ejector()
    found.slot.plug(device)
    found.driver.serve()
    base = device.bar(0).address
    port = found.machine.mmio.port(None)
    port.write(base + 8, 4, 0x1234)
    assert device.cells == {(0, 8): 0x1234}
    assert device.bus is None
    assert port.read(base + 8, 4) == 0xFFFF_FFFF
    found.machine.settle()


@pytest.mark.stress
def test_removal_while_others_access():
    found = driven(PLAIN)
    machine, stop, errors = found.machine, threading.Event(), []
    assigned = found.port.memory_window[0]

    def vcpu():
        port = machine.mmio.port(None)
        try:
            while not stop.is_set():
                port.write(assigned, 4, 0x55AA)
                assert port.read(assigned, 4) in (0x55AA, 0, 0xFFFF_FFFF)
                machine.host.config_read(found.port.secondary.number << 8, 0, 4)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=vcpu) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(40):
            found.slot.plug(Endpoint(f"dev{number}"))
            found.driver.serve()
            machine.settle()
            found.slot.unplug()
            found.driver.serve()
            machine.settle()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert found.driver.log.count("gone") == 40
    machine.settle()


@pytest.mark.stress
def test_owner_and_guest_at_the_same_time():
    """The guest switches power while the owner plugs and unplugs: no step is lost."""
    found = machine_with_slot(FULL)
    machine, slot, errors = found.machine, found.slot, []

    def guest():
        try:
            for _ in range(300):
                control = machine.express(found.port, SLOT_CONTROL)
                machine.express(found.port, SLOT_CONTROL, control ^ POWER_OFF | INTERRUPT_ENABLE)
                machine.express(found.port, SLOT_STATUS, EVENTS)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    thread = threading.Thread(target=guest)
    thread.start()
    for number in range(150):
        slot.plug(Endpoint(f"dev{number}"))
        machine.settle()
        slot.unplug()
    thread.join()
    assert errors == []
    assert slot.status & PRESENT == 0
    machine.settle()
    machine.express(found.port, SLOT_STATUS, EVENTS)
    assert found.port.interrupts.vector(0).level is False
