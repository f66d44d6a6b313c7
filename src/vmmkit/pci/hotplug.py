# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Native PCI Express hotplug: a slot's registers, and the devices that come and go through it.

Theory of operation: slots
--------------------------
A `HotplugSlot` belongs to a root port or switch downstream port. Two sides act on it:

* The owner, who is the user with a device in his hand: `plug`, `press_attention_button`,
  `request_eject`, `unplug`, `fail_power`, `set_latch`.
* The guest, by Slot Control, Link Control and Bridge Control. Every write to Slot Control is one
  command, carried out by the time it returns; Command Completed says so.

The *link* is up while there is a device, the slot's power is on and did not fail, the latch is
closed, and neither Link Disable nor Secondary Bus Reset holds it down. The Data Link Layer Link
Active bit is the only place where that is kept. While the link is down nothing below answers, and
going down resets what is below: by `ResetKind.POWER` where power went, else by `ResetKind.BUS`.

A device that loses power stays in its slot, unless its removal was asked for: then it leaves, and
`on_ejected` tells its owner.

Interrupts. Each event sets its bit in Slot Status, whoever looks. The slot wants an interrupt
while Hot-Plug Interrupt Enable is set and some event's bit and its enable bit are. That is a
level: INTx shows it, MSI and MSI-X send a message when it begins. A second event while the first
is not cleared sends none, so a guest clears what it has seen and looks again (PCI Express Base
Specification, "Software Notification of Hot-Plug Events"). Levels change under the host's lock
and are told in that order when it is free, so no end and new beginning is missed.

Sources: PCI Express Base Specification, "PCI Express Hot-Plug Support", "Slot Control Register",
"Slot Status Register", "Link Status Register".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from vmmkit.errors import PciSnapshotError, TopologyError
from vmmkit.pci._link import LINK_CHANGED, Link
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities import ExpressRegister, Slot
from vmmkit.pci.config import ConfigWrite, Effect, ResetKind
from vmmkit.pci.function import Function
from vmmkit.pci.spec import SlotControl, SlotStatus

if TYPE_CHECKING:
    from vmmkit.pci._registers import RegisterFile
    from vmmkit.pci.ports import DownstreamPort

__all__ = ["HotplugSlot", "SlotSnapshot"]

# Plain integers: an operation on an IntFlag costs ten times as much.
_INDICATORS: Final = ("reserved", "on", "blink", "off")
_MAX_FUNCTIONS: Final = 8
_POWER_OFF: Final = int(SlotControl.POWER_OFF)
_POWER_INDICATOR: Final = int(SlotControl.POWER_INDICATOR)
_ATTENTION_OFF: Final = 0x00C0
_INDICATOR_ON: Final = 0x0100
_INDICATOR_OFF: Final = 0x0300
_INTERRUPT_ENABLE: Final = int(SlotControl.HOT_PLUG_INTERRUPT_ENABLE)
_PRESENCE: Final = int(SlotStatus.PRESENCE)
_LATCH_OPEN: Final = int(SlotStatus.MRL_OPEN)

# What each event's bit in Slot Status is enabled by.
_ENABLED_BY: Final = tuple(
    (int(status), int(control))
    for status, control in (
        (SlotStatus.ATTENTION_BUTTON, SlotControl.ATTENTION_BUTTON_ENABLE),
        (SlotStatus.POWER_FAULT, SlotControl.POWER_FAULT_ENABLE),
        (SlotStatus.MRL_CHANGED, SlotControl.MRL_SENSOR_ENABLE),
        (SlotStatus.PRESENCE_CHANGED, SlotControl.PRESENCE_ENABLE),
        (SlotStatus.COMMAND_COMPLETED, SlotControl.COMMAND_COMPLETED_ENABLE),
        (SlotStatus.LINK_STATE_CHANGED, SlotControl.LINK_STATE_ENABLE),
    )
)


@attrs.frozen
class SlotSnapshot:
    """State of a slot that is not in its registers."""

    occupied: bool
    eject_requested: bool = False
    power_failed: bool = False
    interrupting: bool = False


class HotplugSlot(Link):
    """The slot of a downstream port. Without `hot_plug`, nothing can be plugged in or taken out.

    Args:
        port: whose slot it is.
        express: offset of the PCI Express capability.
        slot: what the slot has.

    Attributes:
        features: what the slot has.
        on_ejected: where set, called with the functions that left after the guest had switched
            the slot off as it was asked to. No lock is held.
        eject_requested: whether the device leaves when the guest switches the slot off.
    """

    def __init__(self, port: DownstreamPort, express: int, slot: Slot) -> None:
        """Start empty: power and power indicator are off."""
        super().__init__(port, express)
        self.features = slot
        self.on_ejected: Callable[[tuple[Function, ...]], object] | None = None
        self.eject_requested = False
        self._power_failed = False
        self._interrupting = False
        self._in_hand = False  # the owner is putting something in or taking it out
        self._control_reg = express + ExpressRegister.SLOT_CONTROL
        self._status_reg = express + ExpressRegister.SLOT_STATUS
        self._config.on_write(self._control_reg, 4, self._slot_written)
        self._preset()
        self._config.set(self._control_reg, 2, self._control_after_reset())

    # -- what the registers say ------------------------------------------------------------------

    @property
    def control(self) -> int:
        """The Slot Control register."""
        return self._config.get(self._control_reg, 2)

    @property
    def status(self) -> int:
        """The Slot Status register."""
        return self._config.get(self._status_reg, 2)

    @property
    def occupied(self) -> bool:
        """Whether a device is in the slot: Presence Detect State."""
        return bool(self.status & _PRESENCE)

    @property
    def powered(self) -> bool:
        """Whether the slot has power: what the guest wants, no fault, and the latch closed."""
        return not (self.control & _POWER_OFF or self._power_failed or self.status & _LATCH_OPEN)

    @property
    def attention_indicator(self) -> str:
        """`"on"`, `"blink"` or `"off"`; `"reserved"` where the guest wrote that, or has none."""
        return _INDICATORS[self.control >> 6 & 3]

    @property
    def power_indicator(self) -> str:
        """Likewise."""
        return _INDICATORS[self.control >> 8 & 3]

    @property
    def reset_below(self) -> ResetKind:
        """How what is in the slot is reset when the link goes down."""
        return ResetKind.BUS if self.powered else ResetKind.POWER

    # -- the guest's side; the host's lock is held -----------------------------------------------

    def _slot_written(self, _config: RegisterFile, written: ConfigWrite) -> int:
        effects = int(Effect.SLOT)
        self._update_interrupt()  # what was cleared has ended before the command completes
        if written.lanes & 0xFFFF:
            effects |= self._command(written.old & 0xFFFF)
        self._update_interrupt()
        return effects

    def _command(self, before: int) -> int:
        """Carry out a write to Slot Control, which is a command whatever it changes."""
        if self.features.command_completed:
            self._set_status(SlotStatus.COMMAND_COMPLETED)
        if self.control & _POWER_OFF:
            self._power_failed = False
        power_went = self.control & ~before & _POWER_OFF
        effects = self._update() | (LINK_CHANGED if power_went else 0)
        if self.eject_requested and self._switched_off(before):
            self._post(self._eject)
        return effects

    def _switched_off(self, before: int) -> bool:
        """Tell whether a command was the one by which the guest lets a device go.

        Without a power controller the power indicator is the only sign of it.
        """
        if self.features.power_controller:
            return bool(self.control & _POWER_OFF)
        return (
            self.control & _POWER_INDICATOR == _INDICATOR_OFF
            and before & _POWER_INDICATOR != _INDICATOR_OFF
        )

    def _can_be_up(self) -> bool:
        return super()._can_be_up() and self.powered

    def _went_up_or_down(self) -> None:
        self._set_status(SlotStatus.LINK_STATE_CHANGED)

    def _held_or_let_go(self, config: RegisterFile, written: ConfigWrite) -> int:
        effects = super()._held_or_let_go(config, written)
        self._update_interrupt()
        return effects

    def _set_status(self, bits: int) -> None:
        self._config.set(self._status_reg, 2, self.status | int(bits))

    def _update_interrupt(self) -> None:
        """Drive the interrupt's level, once the lock is free."""
        control, status = self.control, self.status
        wanted = bool(control & _INTERRUPT_ENABLE) and any(
            status & event and control & enable for event, enable in _ENABLED_BY
        )
        if wanted != self._interrupting:
            self._interrupting = wanted
            self._post(partial(self.port.hotplug_irq.set_level, wanted))

    def _post(self, call: Callable[[], object]) -> None:
        host = self.port.host
        if host is None:
            call()
        else:
            host.notices.post(call)

    # -- the owner's side ------------------------------------------------------------------------

    def plug(self, *functions: Function) -> None:
        """Put a device into the slot: its functions, from number 0 up.

        They are as after power-on, decode off. Where the slot's power is off, as it is in a slot
        that was empty, they answer when the guest has switched it on. What is attached to the
        port's bus without `plug` counts as there since power-on: no event, and power is on.

        Raises:
            TopologyError: no `Function`, an occupied slot or one without hotplug, or functions that
                are attached already.
        """
        self._need("hot_plug", "hotplug")
        if not 0 < len(functions) <= _MAX_FUNCTIONS:
            raise TopologyError(f"{self.port.name}: a device has 1 to {_MAX_FUNCTIONS} functions")
        for function in functions:
            if not isinstance(function, Function):
                raise TopologyError(f"{function!r} is no Function")
            if function.bus is not None or functions.count(function) > 1:
                raise TopologyError(f"{function!r} cannot be plugged in: it is attached already")
            within = function.secondary.below() if isinstance(function, Bridge) else ()
            if self.port in (function, *within):
                raise TopologyError(f"{function!r} cannot be behind itself")
        for function in functions:
            function.reset(ResetKind.POWER)
        self._act(partial(self._put_in, functions))

    def _put_in(self, functions: Iterable[Function]) -> None:
        if self._populated:
            raise TopologyError(f"{self.port.name}: the slot is occupied")
        self.eject_requested = False
        for number, function in enumerate(functions):
            self.port.secondary.attach(function, 0, number)

    def unplug(self) -> tuple[Function, ...]:
        """Take the device out of the slot, whatever the guest is doing with it.

        Returns:
            Its functions; those behind a switch or bridge stay attached to that.

        Raises:
            TopologyError: the slot is empty, or has no hotplug.
        """
        self._need("hot_plug", "hotplug")
        functions = self._remove()
        if not functions:
            raise TopologyError(f"{self.port.name}: the slot is empty")
        return functions

    def _remove(self) -> tuple[Function, ...]:
        functions: list[Function] = []
        self._act(partial(self._take_out, functions))
        return tuple(functions)

    def _take_out(self, functions: list[Function]) -> None:
        functions += self.port.secondary.functions()
        self.eject_requested = False
        for function in functions:
            self.port.secondary.detach(function)

    def _eject(self) -> None:
        """Let the device go that the guest has switched off."""
        if not self.eject_requested:
            return
        functions = self._remove()
        if functions and self.on_ejected is not None:
            # After what the removal itself has posted: BARs that are no longer mapped.
            self._post(partial(self.on_ejected, functions))

    def press_attention_button(self) -> None:
        """Press the button. A guest waits some seconds for a second press that takes it back.

        Raises:
            TopologyError: the slot has no button.
        """
        self._need("attention_button", "attention button")
        self._act(partial(self._set_status, SlotStatus.ATTENTION_BUTTON))

    def request_eject(self) -> None:
        """Ask the guest to let the device go: press the button, and remove it once it may leave.

        Where the guest has switched the slot off already, the device leaves at once. To take it
        back, clear `eject_requested` and press the button again.

        Raises:
            TopologyError: the slot has no button, or is empty.
        """
        if not self._populated:
            raise TopologyError(f"{self.port.name}: the slot is empty")
        self._need("attention_button", "attention button")
        self.eject_requested = True
        if self.control & _POWER_OFF:
            self._act(partial(self._post, self._eject))
        else:
            self.press_attention_button()

    def fail_power(self) -> None:
        """Have the slot's power fail, until the guest switches it off.

        Raises:
            TopologyError: the slot has no power controller.
        """
        self._need("power_controller", "power controller")
        self._act(self._lose_power)

    def _lose_power(self) -> None:
        self._power_failed = True
        self._set_status(SlotStatus.POWER_FAULT)

    def set_latch(self, *, is_open: bool) -> None:
        """Open or close the manual retention latch; an open one takes the power away.

        Raises:
            TopologyError: the slot has no sensor for it.
        """
        self._need("mrl_sensor", "sensor of a latch")
        self._act(partial(self._move_latch, is_open))

    def _move_latch(self, is_open: bool) -> None:
        if bool(self.status & _LATCH_OPEN) != is_open:
            self._config.set(self._status_reg, 2, self.status ^ _LATCH_OPEN)
            self._set_status(SlotStatus.MRL_CHANGED)
            self._preset()

    def _need(self, feature: str, name: str) -> None:
        if not getattr(self.features, feature):
            raise TopologyError(f"{self.port.name}: the slot has no {name}")

    def _act(self, action: Callable[[], object]) -> None:
        """Have something happen to the slot, and bring link, interrupt and host in step."""
        host = self.port.host
        if host is None:
            self._acting(action)
        else:
            host.apply(self.port, partial(self._acting, action))

    def _acting(self, action: Callable[[], object]) -> int:
        had_power = self.powered
        self._in_hand = True
        try:
            action()
        finally:
            self._in_hand = False
        effects = self._update() | (LINK_CHANGED if had_power and not self.powered else 0)
        self._update_interrupt()
        return effects | int(Effect.SLOT)

    # -- presence and resets; the host's lock is held --------------------------------------------

    def presence_changed(self) -> int:
        """Show presence; with `plug`, the link follows when all functions are there."""
        populated = self._populated
        if populated == self.occupied:
            return 0
        before = self.status
        self._config.set(self._status_reg, 2, before ^ _PRESENCE)
        self._preset()
        if populated and not self._in_hand:
            return self._was_there()
        self._set_status(SlotStatus.PRESENCE_CHANGED)
        if self._in_hand:
            return 0
        effects = self._update()
        self._update_interrupt()
        return effects

    def _was_there(self) -> int:
        """Count what was attached as there since power-on: it has power, and no event."""
        power = self._control_after_reset() & (_POWER_OFF | _POWER_INDICATOR)
        self._config.set(
            self._control_reg, 2, self.control & ~(_POWER_OFF | _POWER_INDICATOR) | power
        )
        status = self.status
        effects = self._update()
        self._config.set(self._status_reg, 2, status)
        return effects

    def _control_after_reset(self) -> int:
        """Return Slot Control as a reset leaves it: power on for what is in the slot."""
        power = _INDICATOR_ON if self.occupied else _POWER_OFF | _INDICATOR_OFF
        return (_ATTENTION_OFF | power) & self.features.masks()[0]

    def _comes_up_after_reset(self) -> bool:
        return self._populated and not self.status & _LATCH_OPEN

    def _preset(self) -> None:
        super()._preset()
        lasting = self.status & (_PRESENCE | _LATCH_OPEN)
        self._config.preset(self._status_reg, 2, lasting, now=False)
        self._config.preset(self._control_reg, 2, self._control_after_reset(), now=False)

    def was_reset(self) -> None:
        """Forget what the registers do not tell any more; interrupts have been reset."""
        self.eject_requested = self._power_failed = self._interrupting = False
        self._update_interrupt()

    # -- state -----------------------------------------------------------------------------------

    def snapshot(self) -> SlotSnapshot:
        """Return what is not in the port's registers."""
        return SlotSnapshot(
            self.occupied, self.eject_requested, self._power_failed, self._interrupting
        )

    def check(self, snapshot: object) -> None:
        """Refuse a snapshot that this slot cannot take; the same device has to be in it.

        Raises:
            PciSnapshotError: no snapshot of a slot, or of one that is occupied differently.
        """
        if not isinstance(snapshot, SlotSnapshot):
            raise PciSnapshotError(f"{self.port.name}: {snapshot!r} is no SlotSnapshot")
        if snapshot.occupied != self._populated:
            there = "occupied" if snapshot.occupied else "empty"
            raise PciSnapshotError(f"{self.port.name}: the slot is {there} in the snapshot only")

    def restore(self, snapshot: SlotSnapshot) -> None:
        """Take a snapshot; registers have been restored before, and interrupts separately.

        Raises:
            PciSnapshotError: see `check`; nothing has changed then.
        """
        self.check(snapshot)
        self.eject_requested = snapshot.eject_requested
        self._power_failed = snapshot.power_failed
        self._interrupting = snapshot.interrupting
        self._preset()
