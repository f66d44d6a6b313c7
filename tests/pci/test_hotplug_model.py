# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Slots against a naive model: a few booleans, from which the registers follow."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pci.slots import (
    BRIDGE_CONTROL,
    BUTTON,
    COMPLETED,
    EVENTS,
    FAULT,
    FULL,
    LATCH,
    LATCH_OPEN,
    LINK_CHANGED,
    LINK_CONTROL,
    LINK_STATUS,
    PLAIN,
    PRESENCE_CHANGED,
    PRESENT,
    SLOT_CONTROL,
    SLOT_STATUS,
    Endpoint,
    machine_with_slot,
)
from vmmkit.pci.capabilities import Slot

EVERYTHING = Slot(
    hot_plug=True, attention_button=True, power_controller=True, mrl_sensor=True, surprise=True
)
#: Each event's bit, and the bit of Slot Control that enables it.
ENABLES = {0x01: 0x01, 0x02: 0x02, 0x04: 0x04, 0x08: 0x08, 0x10: 0x10, 0x100: 0x1000}


class SlotMachine(RuleBasedStateMachine):
    """The owner and the guest take turns; the model says what the guest must see."""

    @initialize(slot=st.sampled_from([FULL, PLAIN, EVERYTHING]))
    def start(self, slot):
        self.found = machine_with_slot(slot)
        self.machine, self.port, self.slot = self.found.machine, self.found.port, self.found.slot
        self.features = slot
        self.events, self.was_up, self.wanted = 0, False, False
        self.present = self.latch = self.fault = self.disabled = self.held = False
        self.off = slot.power_controller
        self.enabled, self.expected = 0, 0

    @property
    def up(self):
        stopped = self.off or self.fault or self.latch or self.disabled or self.held
        return self.present and not stopped

    def happened(self, events=0):
        """Let the link follow, and count a message where the interrupt begins."""
        self.events |= events | LINK_CHANGED * (self.up != self.was_up)
        self.was_up = self.up
        self.judge()

    def judge(self):
        on = self.enabled & 0x20
        wanted = bool(on and any(self.events & e and self.enabled & c for e, c in ENABLES.items()))
        self.expected += wanted and not self.wanted
        self.wanted = wanted

    # -- the owner -------------------------------------------------------------------------------

    @precondition(lambda self: not self.present)
    @rule(count=st.integers(1, 3))
    def plug(self, count):
        self.slot.plug(*(Endpoint(f"f{number}") for number in range(count)))
        self.present = True
        self.happened(PRESENCE_CHANGED)

    @precondition(lambda self: self.present)
    @rule()
    def unplug(self):
        self.slot.unplug()
        self.present = False
        self.happened(PRESENCE_CHANGED)

    @precondition(lambda self: self.features.attention_button)
    @rule()
    def press(self):
        self.slot.press_attention_button()
        self.happened(BUTTON)

    @precondition(lambda self: self.features.power_controller)
    @rule()
    def fail(self):
        self.slot.fail_power()
        self.fault = True
        self.happened(FAULT)

    @precondition(lambda self: self.features.mrl_sensor)
    @rule(is_open=st.booleans())
    def move_latch(self, is_open):
        self.slot.set_latch(is_open=is_open)
        moved, self.latch = self.latch != is_open, is_open
        self.happened(LATCH * moved)

    # -- the guest -------------------------------------------------------------------------------

    @rule(
        enables=st.sampled_from([0, 0x103F, 0x1F, 0x20, 0x21, 0x28, 0x30, 0x1020, 0x101F]),
        off=st.booleans(),
    )
    def command(self, enables, off):
        self.machine.express(self.port, SLOT_CONTROL, enables | 0x400 * off)
        self.enabled = enables & self.features.masks()[0]
        self.judge()  # an interrupt that the write disables has ended when the command completes
        self.off = off and self.features.power_controller
        self.fault = self.fault and not self.off
        self.happened(COMPLETED)

    @rule(bits=st.sampled_from([EVENTS, BUTTON, PRESENCE_CHANGED, LINK_CHANGED, COMPLETED, 0xFFFF]))
    def clear(self, bits):
        self.machine.express(self.port, SLOT_STATUS, bits)
        self.events &= ~bits
        self.happened()

    @rule(disabled=st.booleans())
    def disable_link(self, disabled):
        self.machine.express(self.port, LINK_CONTROL, 0x10 * disabled)
        self.disabled = disabled
        self.happened()

    @rule(held=st.booleans())
    def hold_reset(self, held):
        self.machine.write(self.port, BRIDGE_CONTROL, 2, 0x40 * held)
        self.held = held
        self.happened()

    @rule()
    def snapshot_and_restore(self):
        kept = self.machine.host.snapshot()
        self.machine.host.restore(kept)

    @rule()
    def reset(self):
        self.machine.host.reset()
        self.events, self.enabled, self.wanted = 0, 0, False
        self.fault = self.disabled = self.held = False
        self.off = self.features.power_controller and not self.present
        self.was_up = self.up
        self.machine.write(self.port, 0x18, 4, 0x0001_0100)
        self.machine.enable_msi(self.port)

    # -- what the guest sees ---------------------------------------------------------------------

    @invariant()
    def registers_follow(self):
        if not hasattr(self, "features"):
            return
        status = self.events | PRESENT * self.present | LATCH_OPEN * self.latch
        assert self.machine.express(self.port, SLOT_STATUS) == status
        assert bool(self.machine.express(self.port, LINK_STATUS) & 0x2000) == self.up
        answers = self.machine.host.config_read(self.port.secondary.number << 8, 0, 2) == 0x1234
        assert answers == self.up
        assert self.port.interrupts.vector(0).level == self.wanted

    @invariant()
    def messages_are_counted(self):
        if hasattr(self, "features"):
            assert len(self.machine.messages) == self.expected
            self.machine.settle()


SlotMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestSlots = pytest.mark.filterwarnings("error")(SlotMachine.TestCase)
