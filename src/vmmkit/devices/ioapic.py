# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""An I/O APIC: interrupt lines in, messages to local APICs out.

Theory of operation: the I/O APIC
---------------------------------
`IoApic` is one state machine. Devices drive its pins through `line(pin)`, the guest its registers
through `read` and `write`, the local APICs tell it of EOIs through `end_of_interrupt`. What it
sends leaves through one callable:

* `send(message)`: deliver an `ApicMessage`; returns how many local APICs accepted it.
  `ApicBus.deliver` fits.

`send` is called when the state is complete, remote IRR included, so a guest's handler that runs
within it may end the interrupt. It has no clock, no thread and no lock; see `ApicBus` for threads.

A pin is served by what its redirection entry says at that moment (82093AA "I/O Redirection Table
Registers"):

* Edge: a rising line sends one message, unless masked: then the edge is lost.
* Level: as long as the line is asserted and the entry not masked, a message is sent whenever
  remote IRR is clear. Remote IRR is set by acceptance and cleared by the EOI, after which an
  asserted line sends again. So no asserted line is ever lost, in whatever order line, mask and
  EOI change.

A message that no local APIC accepts waits as "send pending" in the delivery status bit. It is
tried again at the next write of its entry, at any EOI, and by `retry`, which `ApicBus` calls when
a local APIC begins to accept. Masking the pin, or the fall of a level, withdraws it.

Lines are logical: true means that the device wants service, and the polarity bit is kept but
changes nothing, since a device model does not know how its board is wired. With `electrical=True`
a line is a voltage, and an active-low entry asserts on false.

Source: "82093AA I/O Advanced Programmable Interrupt Controller (IOAPIC)", cited as "82093AA" with
the title of the section. Version 20H adds the EOI register of the I/O Controller Hubs, whose data
sheets describe it as "EOIR".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from vmmkit.devices._apic_messages import (
    ApicMessage,
    check_callable,
    check_flag,
    check_range,
    decode_message,
    in_range,
    unconnected,
)
from vmmkit.devices._apic_spec import DeliveryMode, IoApicRegister, Redirection
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["IoApic", "IoApicSnapshot"]

_SELECT: Final = 0x00
_WINDOW: Final = 0x10
_EOI: Final = 0x40
_SIZE: Final = 0x100
_MAX_PINS: Final = 120  # two registers each, behind an index of eight bits that begins at 10H
_EOI_VERSION: Final = 0x20

# Plain integers: an operation on an IntFlag costs ten times as much, and these run per access.
_STATUS: Final = int(Redirection.DELIVERY_STATUS)
_ACTIVE_LOW: Final = int(Redirection.ACTIVE_LOW)
_REMOTE_IRR: Final = int(Redirection.REMOTE_IRR)
_LEVEL: Final = int(Redirection.LEVEL)
_MASKED: Final = int(Redirection.MASKED)
_READ_ONLY: Final = _STATUS | _REMOTE_IRR
_LOW_KEPT: Final = 0x0001_FFFF & ~_READ_ONLY
_REDIRECTION: Final = int(IoApicRegister.REDIRECTION)
_LEVEL_CAPABLE: Final = (DeliveryMode.FIXED, DeliveryMode.LOWEST_PRIORITY)


@attrs.frozen
class IoApicSnapshot:
    """The guest-visible state of an `IoApic`; integers and a tuple only, so it pickles."""

    entries: tuple[int, ...]  #: redirection entries, 64 bits each
    lines: int = 0  #: bit n: what `line(n)` heard last
    select: int = 0  #: the index register
    apic_id: int = 0  #: 0-15
    arbitration_id: int = 0  #: 0-15


def _senses_level(entry: int) -> bool:
    """Whether an entry is level-triggered; SMI, NMI, INIT and ExtINT are edges always."""
    return bool(entry & _LEVEL) and entry >> 8 & 7 in _LEVEL_CAPABLE


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class IoApic:
    """One I/O APIC, to be plugged into a memory window of `size` bytes.

    Args:
        send: takes each message, returns how many local APICs accepted it.
        pins: 1-120.
        gsi_base: global system interrupt of pin 0.
        apic_id: 0-15; the guest may change it, and nothing depends on it.
        version: 0-255; 11H is the 82093AA, 20H and above have the EOI register.
        electrical: lines are voltages, and the polarity bit counts.
        extended_destinations: bits 49-55 of an entry are bits 8-14 of the destination, as
            hypervisors offer it to guests with more than 255 processors.

    Raises:
        DeviceError: an argument outside of its range.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`. Guest input never raises. The
    configuration is fixed once the I/O APIC exists.
    """

    send: Callable[[ApicMessage], int] = attrs.field(default=unconnected, validator=check_callable)
    pins: int = attrs.field(default=24, validator=in_range(1, _MAX_PINS), kw_only=True)
    gsi_base: int = attrs.field(default=0, validator=in_range(0, 0xFFFF_FF00), kw_only=True)
    apic_id: int = attrs.field(default=0, validator=in_range(0, 15), kw_only=True)
    version: int = attrs.field(default=0x20, validator=in_range(0, 0xFF), kw_only=True)
    electrical: bool = attrs.field(default=False, validator=check_flag, kw_only=True)
    extended_destinations: bool = attrs.field(default=False, validator=check_flag, kw_only=True)

    _entries: list[int] = attrs.field(factory=list, init=False)
    _lines: int = attrs.field(default=0, init=False)
    _select: int = attrs.field(default=0, init=False)
    _id: int = attrs.field(default=0, init=False)
    _arbitration_id: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Go to the state after a reset."""
        self.reset()

    @property
    def size(self) -> int:
        """Bytes of the register window."""
        return _SIZE

    @property
    def gsis(self) -> range:
        """The global system interrupts of the pins."""
        return range(self.gsi_base, self.gsi_base + self.pins)

    # -- pins ----------------------------------------------------------------------------------

    def line(self, pin: int) -> InterruptLine:
        """Return the input of a pin, to be handed to a device.

        Raises:
            DeviceError: there is no such pin.
        """
        return partial(self.set_line, check_range("IoApic: pin", pin, self.pins - 1))

    def set_line(self, pin: int, level: bool) -> None:
        """Drive a pin. An edge is a change: driving the same level again is none.

        Raises:
            DeviceError: there is no such pin.
        """
        check_range("IoApic: pin", pin, self.pins - 1)
        before = self._asserted(pin)
        self._lines = self._lines & ~(1 << pin) | bool(level) << pin
        self._serve(pin, rising=self._asserted(pin) and not before)

    def _asserted(self, pin: int) -> bool:
        """Whether a pin wants service."""
        level = bool(self._lines >> pin & 1)
        return level != (self.electrical and bool(self._entries[pin] & _ACTIVE_LOW))

    def _serve(self, pin: int, *, rising: bool = False) -> None:
        """Send what the pin's entry asks for, if anything."""
        entry = self._entries[pin]
        if _senses_level(entry):
            wanted = self._asserted(pin) and not entry & _REMOTE_IRR
        else:
            wanted = rising or bool(entry & _STATUS)
        if wanted and not entry & _MASKED:
            self._send(pin, entry & ~_STATUS)
        else:
            self._entries[pin] = entry & ~_STATUS

    def _send(self, pin: int, entry: int) -> None:
        """Send the message of an entry; keep it as pending if nobody accepts it.

        Remote IRR is set first: a handler that runs within `send` may clear it by its EOI.
        """
        level = _senses_level(entry)
        self._entries[pin] = entry | (_REMOTE_IRR if level else 0)
        message = decode_message(
            entry & 0x7FF | entry & 0x800, self._destination(entry), level=level
        )
        if message is not None and not self.send(message):
            self._entries[pin] = self._entries[pin] & ~_REMOTE_IRR | _STATUS

    def _destination(self, entry: int) -> int:
        destination = entry >> 56
        if self.extended_destinations:
            destination |= (entry >> 49 & 0x7F) << 8
        return destination

    # -- the bus -------------------------------------------------------------------------------

    def end_of_interrupt(self, vector: int) -> None:
        """Take the EOI of a vector: entries with it that wait for one may send again."""
        for pin, entry in enumerate(self._entries):
            if entry & _REMOTE_IRR and entry & 0xFF == vector:
                self._entries[pin] = entry & ~_REMOTE_IRR
                self._serve(pin)
        self.retry()

    def retry(self) -> None:
        """Send again what nobody accepted."""
        for pin in range(self.pins):
            if self._entries[pin] & _STATUS:
                self._serve(pin)

    # -- registers -----------------------------------------------------------------------------

    def read(self, _vcpu: object, offset: int, size: int, /) -> int:
        """Return the `size` bytes at `offset`, little-endian.

        The index is at 0, the data window at 10H, 32 bits each; everything else reads zero.
        """
        value = self._select | self._read_register(self._select) << 8 * _WINDOW
        return value >> 8 * offset & (1 << 8 * size) - 1

    def write(self, _vcpu: object, offset: int, size: int, value: int, /) -> None:
        """Write the index (any size), the data window or the EOI register (32 bits).

        82093AA "Memory Mapped Registers for Accessing IOAPIC Registers" and "Register
        Description". Other writes are dropped.
        """
        if offset == _SELECT:
            self._select = value & 0xFF
        elif size == 4 and offset == _WINDOW:
            self._write_register(self._select, value)
        elif size == 4 and offset == _EOI and self.version >= _EOI_VERSION:
            self.end_of_interrupt(value & 0xFF)

    def _read_register(self, index: int) -> int:
        """Read behind the index; registers that do not exist read zero."""
        if index == IoApicRegister.ID:
            return self._id << 24
        if index == IoApicRegister.VERSION:
            return self.version | self.pins - 1 << 16
        if index == IoApicRegister.ARBITRATION:
            return self._arbitration_id << 24
        pin, half = divmod(index - _REDIRECTION, 2)
        return self._entries[pin] >> 32 * half & 0xFFFF_FFFF if 0 <= pin < self.pins else 0

    def _write_register(self, index: int, value: int) -> None:
        """Write behind the index; what does not exist or is read only is left alone."""
        if index == IoApicRegister.ID:
            # 82093AA "IOAPIC Arbitration Register": loaded together with the ID.
            self._id = self._arbitration_id = value >> 24 & 0xF
        pin, half = divmod(index - _REDIRECTION, 2)
        if 0 <= pin < self.pins:
            self._write_entry(pin, half, value)

    def _write_entry(self, pin: int, half: int, value: int) -> None:
        """Write half of a redirection entry, and serve its pin by the new one.

        Remote IRR means nothing in edge mode and does not survive it. Drivers use that to end a
        level-triggered interrupt at I/O APICs without an EOI register.
        """
        asserted = self._asserted(pin)
        entry = self._entries[pin]
        if half:
            kept = 0xFFFE_0000 if self.extended_destinations else 0xFF00_0000
            entry = (value & kept) << 32 | entry & 0xFFFF_FFFF
        else:
            entry = entry & ~_LOW_KEPT | value & _LOW_KEPT
            if not _senses_level(entry):
                entry &= ~_REMOTE_IRR
        self._entries[pin] = entry
        self._serve(pin, rising=self._asserted(pin) and not asserted)

    # -- state ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Pulse the RESET pin: all entries are masked. The lines stay as they are driven."""
        self._entries = [_MASKED] * self.pins
        self._select = 0
        self._id = self._arbitration_id = self.apic_id

    def snapshot(self) -> IoApicSnapshot:
        """Return all guest-visible state; the configuration is not part of it."""
        return IoApicSnapshot(
            tuple(self._entries), self._lines, self._select, self._id, self._arbitration_id
        )

    def restore(self, snapshot: IoApicSnapshot) -> None:
        """Take the state of `snapshot`. Nothing is sent: what was sent is in the local APICs.

        Raises:
            DeviceError: no snapshot, or one that this I/O APIC cannot have; nothing changed then.
        """
        self._check(snapshot)
        self._entries = list(snapshot.entries)
        self._lines, self._select = snapshot.lines, snapshot.select
        self._id, self._arbitration_id = snapshot.apic_id, snapshot.arbitration_id

    def _check(self, snapshot: object) -> None:
        if not isinstance(snapshot, IoApicSnapshot):
            raise DeviceError(f"IoApic: {snapshot!r} is no IoApicSnapshot")
        if not isinstance(snapshot.entries, tuple) or len(snapshot.entries) != self.pins:
            raise DeviceError(f"IoApic: the snapshot has other than {self.pins} entries")
        limits = {"lines": (1 << self.pins) - 1, "select": 0xFF, "apic_id": 15}
        for field, last in {**limits, "arbitration_id": 15}.items():
            check_range(f"IoApic: {field}", getattr(snapshot, field), last)
        for entry in snapshot.entries:
            self._check_entry(entry)

    def _check_entry(self, entry: object) -> None:
        """Refuse an entry with bits that none has, or that waits for two things at once."""
        high = 0xFFFE_0000 if self.extended_destinations else 0xFF00_0000
        allowed = high << 32 | _LOW_KEPT | _READ_ONLY
        if not isinstance(entry, int) or entry & ~allowed:
            raise DeviceError(f"IoApic: {entry!r} is no redirection entry")
        if entry & _READ_ONLY == _READ_ONLY:
            raise DeviceError(f"IoApic: entry {entry:#x} is both accepted and pending")
        if entry & _REMOTE_IRR and not _senses_level(entry):
            raise DeviceError(f"IoApic: entry {entry:#x} waits for the EOI of an edge")

    def registers(self) -> dict[str, int]:
        """Return what the guest would read, by register name, without moving the index."""
        entries = {f"IOREDTBL{pin}": entry for pin, entry in enumerate(self._entries)}
        named = {f"IOAPIC{one.name}": self._read_register(one) for one in tuple(IoApicRegister)[:3]}
        return {"IOREGSEL": self._select, **named, **entries}

    def __repr__(self) -> str:
        """Show the entries that are not masked, for debuggers."""
        live = [(pin, entry) for pin, entry in enumerate(self._entries) if not entry & _MASKED]
        shown = " ".join(f"{pin}:{entry:x}" for pin, entry in live)
        return f"<IoApic GSI {self.gsi_base} {shown or 'all masked'}>"
