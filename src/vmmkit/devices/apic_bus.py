# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What carries interrupt messages between local APICs, I/O APICs and devices with MSI.

Theory of operation: the bus
----------------------------
`ApicBus` has no state but the list of what is attached. A message is delivered while `deliver`
runs: the receivers are found first, in the order of their APIC IDs, and then take it one after the
other. Nothing is queued, so there is nothing to save.

Who receives (SDM "Determining IPI Destination", "Routing of Device Interrupts in x2APIC Mode"):

* Every APIC decides by its own mode and registers (`Lapic.matches`). One that is disabled globally
  hears nothing.
* FFH from an I/O APIC, an MSI or an APIC in xAPIC mode means all, to receivers in x2APIC mode too;
  from an APIC in x2APIC mode it is an ordinary ID, and FFFFFFFFH means all.
* Physical destinations are compared with the whole ID. An APIC whose ID exceeds eight bits can so
  be started while it is still in xAPIC mode.

Lowest priority (SDM "Lowest Priority Delivery Mode"; the choice between equals is the model's).
Of the APICs that would accept, one is taken:

1. the first one that has the vector requested or in service and has focus checking on;
2. else the one with the lowest processor priority;
3. among equals number `vector % n` of n by APIC ID, so that vectors spread over processors, and
   the same machine state always leads to the same processor.

Threads. The bus, its local APICs and its I/O APICs call each other; use one lock around all.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from vmmkit.devices._apic_messages import ApicMessage, check_flag, decode_msi
from vmmkit.devices._apic_spec import APIC_ADDRESSES, DeliveryMode, Shorthand
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["ApicBus", "MessageReceiver", "MessageSource"]

_NEEDS_SOFTWARE_ENABLE = (DeliveryMode.FIXED, DeliveryMode.LOWEST_PRIORITY)


class MessageReceiver(Protocol):
    """A local APIC as the bus sees it; `vmmkit.devices.Lapic` fits. Caller: `ApicBus`."""

    @property
    def apic_id(self) -> int:
        """The x2APIC ID."""
        ...

    @property
    def priority(self) -> int:
        """The processor priority, 0-255; the lowest one receives."""
        ...

    @property
    def software_enabled(self) -> bool:
        """Whether fixed interrupts are accepted."""
        ...

    def is_focus(self, vector: int, /) -> bool:
        """Whether the vector is requested or in service here, and that counts."""
        ...

    def matches(self, message: ApicMessage, /) -> bool:
        """Whether the message is for this APIC."""
        ...

    def accept(self, message: ApicMessage, /) -> bool:
        """Take a message; return whether it was accepted."""
        ...


class MessageSource(Protocol):
    """An I/O APIC as the bus sees it; `vmmkit.devices.IoApic` fits. Caller: `ApicBus`."""

    @property
    def gsis(self) -> range:
        """The global system interrupts of its pins."""
        ...

    def line(self, pin: int, /) -> InterruptLine:
        """Return the input of a pin."""
        ...

    def end_of_interrupt(self, vector: int, /) -> object:
        """Take the EOI of a level-triggered vector."""
        ...

    def retry(self) -> object:
        """Send again what nobody accepted."""
        ...


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class ApicBus:
    """All APICs of one machine.

    Args:
        extended_destinations: MSIs carry 15 bits of destination: bits 5-11 of their address are
            bits 8-14 of it. Hypervisors offer that to guests with more than 255 processors and no
            interrupt remapping.

    Hand `deliver`, `broadcast_eoi` and `retry` to each `Lapic` as `send`, `broadcast_eoi` and
    `reconfigured`, and `deliver` to each `IoApic` as `send`; then attach them.
    """

    extended_destinations: bool = attrs.field(default=False, validator=check_flag, kw_only=True)
    _lapics: dict[int, MessageReceiver] = attrs.field(factory=dict, init=False)  # by rising ID
    _ioapics: list[MessageSource] = attrs.field(factory=list, init=False)

    def attach(self, lapic: MessageReceiver) -> None:
        """Let a local APIC receive.

        Raises:
            DeviceError: another one with the same ID is attached.
        """
        if lapic.apic_id in self._lapics:
            raise DeviceError(f"ApicBus: a local APIC with ID {lapic.apic_id:#x} is attached")
        self._lapics = dict(sorted({**self._lapics, lapic.apic_id: lapic}.items()))

    def detach(self, lapic: MessageReceiver) -> None:
        """Let a local APIC receive no more.

        Raises:
            DeviceError: it is not attached.
        """
        if self._lapics.get(lapic.apic_id) is not lapic:
            raise DeviceError(f"ApicBus: {lapic!r} is not attached")
        del self._lapics[lapic.apic_id]

    def attach_ioapic(self, ioapic: MessageSource) -> None:
        """Let an I/O APIC hear EOIs, and find its pins by GSI.

        Raises:
            DeviceError: another one has some of its GSIs.
        """
        for other in self._ioapics:
            if other.gsis.start < ioapic.gsis.stop and ioapic.gsis.start < other.gsis.stop:
                raise DeviceError(f"ApicBus: {ioapic.gsis} and {other.gsis} overlap")
        self._ioapics.append(ioapic)

    def line(self, gsi: int) -> InterruptLine:
        """Return the interrupt line of a global system interrupt.

        Raises:
            DeviceError: no I/O APIC has it.
        """
        for ioapic in self._ioapics:
            if gsi in ioapic.gsis:
                return ioapic.line(gsi - ioapic.gsis.start)
        raise DeviceError(f"ApicBus: no I/O APIC has GSI {gsi!r}")

    def deliver(self, message: ApicMessage) -> int:
        """Deliver a message; return how many APICs accepted it."""
        receivers = self._receivers(message)
        if message.to_one:
            receivers = self._choose(receivers, message)
        return sum([lapic.accept(message) for lapic in receivers])

    def msi(self, address: int, data: int) -> bool:
        """Deliver a device's memory write; return false if it is no interrupt message.

        Args:
            address: 64 bits; FEE00000-FEEFFFFF are messages, others memory.
            data: the 32 bits that are written.

        A message that nobody accepts, or that asks for nothing, is lost as on hardware, and true
        is returned.
        """
        message = decode_msi(address, data, extended=self.extended_destinations)
        if message is not None:
            self.deliver(message)
        return address >> 20 == APIC_ADDRESSES

    def broadcast_eoi(self, vector: int) -> None:
        """Tell all I/O APICs that a level-triggered vector was ended."""
        for ioapic in tuple(self._ioapics):
            ioapic.end_of_interrupt(vector)

    def retry(self) -> None:
        """Let I/O APICs send again what nobody accepted."""
        for ioapic in tuple(self._ioapics):
            ioapic.retry()

    def _receivers(self, message: ApicMessage) -> list[MessageReceiver]:
        """Return whom a message is for, in the order of IDs."""
        single = not (message.logical or message.broadcast or message.shorthand != Shorthand.NONE)
        if single:
            lapic = self._lapics.get(message.destination)
            return [lapic] if lapic is not None and lapic.matches(message) else []
        return [lapic for lapic in self._lapics.values() if lapic.matches(message)]

    def _choose(
        self, receivers: list[MessageReceiver], message: ApicMessage
    ) -> list[MessageReceiver]:
        """Return the one that wins the arbitration, or nobody."""
        if message.delivery_mode in _NEEDS_SOFTWARE_ENABLE:
            receivers = [lapic for lapic in receivers if lapic.software_enabled]
        focus = [lapic for lapic in receivers if lapic.is_focus(message.vector)]
        if focus or not receivers:
            return focus[:1]
        lowest = min(lapic.priority for lapic in receivers)
        equals = [lapic for lapic in receivers if lapic.priority == lowest]
        return [equals[message.vector % len(equals)]]

    def __repr__(self) -> str:
        """Show what is attached, for debuggers."""
        ids = ", ".join(map(str, self._lapics))
        gsis = ", ".join(f"{one.gsis.start}-{one.gsis.stop - 1}" for one in self._ioapics)
        return f"<ApicBus local APICs {ids or '-'}; GSIs {gsis or '-'}>"
