# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The real-time clock and CMOS RAM of a PC: an MC146818A with 128 bytes, on virtual time.

Theory of operation of the clock
--------------------------------
`Mc146818` has no clock of its own. The owner hands in `clock()`, which returns the virtual time
in nanoseconds and never goes back, and the date and time at which the device begins. At each
access, and at each call of `advance`, the device does all updates and sets all flags that came
due since the last one, however many: an update of a year costs what one of a second costs.
`deadline` tells when to call `advance`: the virtual time at which the interrupt will be raised,
or `None` if nobody hears it, if nothing will raise it, or if it is up already.

The divider chain is one number, the time `chain` from which its phase counts:

* UIP rises at each whole second of it. 244 microseconds later the update cycle begins, 1984
  microseconds after that it ends: the bytes change at its end, with UF, and AF if they match.
* The edges of the periodic interrupt lie half a period beside the rises of UIP, so that a read
  begun at such an edge has half a period and 244 microseconds (MC146818A "Update Cycle").
* Holding the divider in reset stops all of it. Released, it begins half a second before an
  update cycle. SET inhibits updates only; the chain runs on.

The edges are those of 32768 Hz, computed in integers from the time, so nothing drifts.

The interrupt is told of changes only, after the state is complete, and may call back. There is
no thread or lock in it: calls must not overlap in time.

Source of every register rule, where nothing else is named: Motorola, "MC146818A Real-Time Clock
Plus RAM (RTC)", named below as "MC146818A" with the title of the section. The ports are those of
Intel, "82371AB PCI-TO-ISA / IDE XCELERATOR (PIIX4)", registers RTCI and NMIEN.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import attrs

from vmmkit.devices._byte_window import ByteWindow
from vmmkit.devices._fields import (
    check_integer,
    integer,
    is_callable,
    is_callable_or_none,
)
from vmmkit.devices._mc146818_calendar import DM, TWENTY_FOUR_HOURS, Calendar
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["Mc146818", "RtcSnapshot"]

_RAM_SIZE: Final = 128
_REGISTER_A: Final = 0x0A
_REGISTER_B: Final = 0x0B
_REGISTER_C: Final = 0x0C
_REGISTER_D: Final = 0x0D
_FIRST_RAM: Final = 0x0E
_NMI_MASK: Final = 0x80  # in port 70h, beside the index

# MC146818A "Register A ($0A)".
_UIP: Final = 0x80
_DIVIDER: Final = 0x70
_32768_HZ: Final = 0x20
_RATE: Final = 0x0F
# MC146818A "Register B ($0B)". SQWE and DSE are kept and do nothing.
_SET: Final = 0x80
_PIE: Final = 0x40
_AIE: Final = 0x20
_UIE: Final = 0x10
_SQWE: Final = 0x08
_FORMATS: Final = DM | TWENTY_FOUR_HOURS
# MC146818A "Register C ($0C)": the flags stand at the bits of their enables.
_IRQF: Final = 0x80
_PF: Final = _PIE
_AF: Final = _AIE
_UF: Final = _UIE
_FLAGS: Final = _PF | _AF | _UF
# MC146818A "Register D ($0D)".
_VRT: Final = 0x80

# As PC firmware leaves them: 32768 Hz, a rate of 1024 Hz, 24 hours, BCD.
_FIRST_A: Final = 0x26
_FIRST_B: Final = TWENTY_FOUR_HOURS

# MC146818A "Update Cycle", in nanoseconds, for a time base of 32768 Hz.
_SECOND: Final = 1_000_000_000
_UIP_AHEAD: Final = 244_000
_UPDATE_ENDS: Final = _UIP_AHEAD + 1_984_000  # behind the rise of UIP
# MC146818A "Divider Control": from the end of a reset to the next update cycle.
_RELEASED: Final = _SECOND // 2
# Half a cycle of 32768 Hz is 1953125/128 ns.
_HALF_CYCLE: Final = 1_953_125
_PER: Final = 128

# MC146818A "Periodic Interrupt Selection": cycles of 32768 Hz by RS3-RS0.
_PERIODS: Final = (0, 128, 256, *(1 << rate - 1 for rate in range(3, 16)))


def _check_ram(_snapshot: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no RAM (an attrs validator)."""
    if not isinstance(value, bytes) or len(value) != _RAM_SIZE:
        raise DeviceError(f"RtcSnapshot: ram is {value!r}; {_RAM_SIZE} bytes are possible")


@attrs.frozen
class RtcSnapshot:
    """The state of an `Mc146818`."""

    #: nanoseconds since the device was made, without the time between snapshots and restores
    time: int = attrs.field(validator=integer(0, None))
    ram: bytes = attrs.field(validator=_check_ram)  #: registers A to D are zero in it
    a: int = attrs.field(default=_FIRST_A, validator=integer(0, 0x7F))
    b: int = attrs.field(default=_FIRST_B, validator=integer(0, 0xFF))
    flags: int = attrs.field(default=0, validator=integer(0, _FLAGS))  #: PF, AF and UF
    index: int = attrs.field(default=0, validator=integer(0, 0xFF))  #: port 70h
    #: the time from which the divider's phase counts; without effect while it is held
    chain: int = attrs.field(default=0, validator=integer(-2 * _SECOND, None))
    quiet_until: int = attrs.field(default=0, validator=integer(0, None))  #: no update until

    def __attrs_post_init__(self) -> None:
        """Refuse flags that register C does not have, and a chain of the future."""
        if self.flags & ~_FLAGS:
            raise DeviceError(f"RtcSnapshot: flags are {self.flags:#x}")
        if self.chain > self.time:
            raise DeviceError(f"RtcSnapshot: chain {self.chain} is behind time {self.time}")


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Mc146818(ByteWindow):
    """One real-time clock, to be plugged into a port window of two bytes; 70h on a PC.

    Args:
        clock: returns the virtual time in nanoseconds.
        start: date and time at which the device begins. Monitors mostly take UTC.
        interrupt: called with true when IRQ becomes active and with false when it ends: IRQ 8 of
            a PC. `None` if nobody hears it.
        mask_nmi: called with the new level of bit 7 of port 70h, which masks NMIs.
        century: index (0Eh-7Fh) of the byte that has the century, or `None`. With it the
            calendar is the Gregorian one, without it each fourth year is a leap year.

    Raises:
        DeviceError: an argument of another kind or outside of its range.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`; each byte of a wide access is an access
    of its own, so a word written to 70h selects a byte and writes it. Guest input never raises.
    """

    clock: Callable[[], int] = attrs.field(validator=is_callable)
    start: datetime = attrs.field(validator=lambda _self, _attribute, value: _check_date(value))
    interrupt: InterruptLine | None = attrs.field(default=None, validator=is_callable_or_none)
    mask_nmi: InterruptLine | None = attrs.field(
        default=None, validator=is_callable_or_none, kw_only=True
    )
    century: int | None = attrs.field(default=0x32, kw_only=True)
    _ram: bytearray = attrs.field(init=False, factory=lambda: bytearray(_RAM_SIZE))
    _a: int = attrs.field(default=_FIRST_A, init=False)
    _b: int = attrs.field(default=_FIRST_B, init=False)
    _flags: int = attrs.field(default=0, init=False)
    _index: int = attrs.field(default=0, init=False)
    _chain: int = attrs.field(default=0, init=False)
    _quiet_until: int = attrs.field(default=0, init=False)
    _time: int = attrs.field(default=0, init=False)  # until when everything is done
    _origin: int = attrs.field(init=False)  # what `clock` showed at the device's time zero
    _level: bool = attrs.field(default=False, init=False)  # what `interrupt` heard last
    _nmi_masked: bool = attrs.field(default=False, init=False)  # what `mask_nmi` heard last

    @century.validator
    def _check_century(self, _attribute: object, value: object) -> None:
        if value is not None:
            check_integer("MC146818: century", value, _FIRST_RAM, _RAM_SIZE - 1)

    def __attrs_post_init__(self) -> None:
        """Begin the device's time; the first update ends with the second that `start` is in."""
        self._origin = check_integer("MC146818: the clock's time", self.clock(), 0, None)
        self._chain = -_UPDATE_ENDS - self.start.microsecond * 1000
        self._calendar().set(self.start)

    @property
    def size(self) -> int:
        """Bytes of the register window."""
        return 2

    # -- the owner's side ------------------------------------------------------------------

    @property
    def date_time(self) -> datetime | None:
        """What the clock shows now; `None` if the guest wrote what is no date."""
        self.advance()
        return self._calendar().get()

    def set_date_time(self, when: datetime) -> None:
        """Set the clock; its phase stays, so `when` lasts up to a second.

        Raises:
            DeviceError: `when` is no date and time.
        """
        _check_date(when)
        self.advance()
        self._calendar().set(when)

    def load_ram(self, index: int, data: bytes) -> None:
        """Write `data` into the RAM from `index` (0Eh-7Fh) on, as firmware's setup does.

        Raises:
            DeviceError: bytes outside of the RAM.
        """
        check_integer("MC146818: the index", index, _FIRST_RAM, _RAM_SIZE - 1)
        if not isinstance(data, bytes | bytearray) or index + len(data) > _RAM_SIZE:
            raise DeviceError(f"MC146818: {data!r} does not fit into the RAM at {index:#x}")
        self._ram[index : index + len(data)] = data

    @property
    def ram(self) -> bytes:
        """All 128 bytes as the guest would read them now, without the effects of reading."""
        self.advance()
        registers = bytes((self._read_a(), self._b, self._flags_shown(), _VRT))
        return bytes(self._ram[:_REGISTER_A]) + registers + bytes(self._ram[_FIRST_RAM:])

    @property
    def nmi_masked(self) -> bool:
        """Bit 7 of port 70h."""
        return bool(self._index & _NMI_MASK)

    def deadline(self) -> int | None:
        """Return the virtual time at which the interrupt will be raised, or `None`.

        In nanoseconds as `clock` shows them; not later than that time if `advance` is overdue.
        """
        if self.interrupt is None or self._level:
            return None
        due = []
        if self._b & _PIE and self._ticking():
            due.append(self._edge_time(self._edges_until(self._time)))
        if self._b & (_AIE | _UIE) and self._updating():
            due.extend(self._update_deadlines())
        return self._origin + min(due) if due else None

    def _update_deadlines(self) -> list[int]:
        first = self._updates_until(max(self._time, self._quiet_until)) + 1
        ends = self._chain + first * _SECOND + _UPDATE_ENDS
        due = [ends] if self._b & _UIE else []
        if self._b & _AIE:
            alarm = self._calendar().seconds_to_alarm()
            due.extend([] if alarm is None else [ends + (alarm - 1) * _SECOND])
        return due

    def advance(self) -> None:
        """Do what happened until now and tell the interrupt."""
        now = self.clock() - self._origin
        if now <= self._time:
            return
        before, self._time = self._time, now
        if self._ticking() and self._edges_until(now) > self._edges_until(before):
            self._flags |= _PF
        if self._updating():
            self._update(self._updates_until(now) - self._updates_until(
                max(before, self._quiet_until)
            ))  # fmt: skip
        self._update_interrupt()

    def reset(self) -> None:
        """Pulse the RESET pin: MC146818A "Signal Descriptions".

        Interrupt enables, flags and SQWE are cleared; time, calendar and RAM go on.
        """
        self.advance()
        self._b &= ~(_PIE | _AIE | _UIE | _SQWE)
        self._flags = 0
        self._update_interrupt()

    def snapshot(self) -> RtcSnapshot:
        """Return the whole state, as of now."""
        self.advance()
        return RtcSnapshot(
            time=self._time,
            ram=bytes(self._ram),
            a=self._a,
            b=self._b,
            flags=self._flags,
            index=self._index,
            chain=self._chain,
            quiet_until=self._quiet_until,
        )

    def restore(self, snapshot: RtcSnapshot) -> None:
        """Take the state of `snapshot` and go on from there, as if no time had passed.

        `set_date_time` afterwards is what a machine needs that slept in the meantime.

        Raises:
            DeviceError: this is no snapshot.
        """
        if not isinstance(snapshot, RtcSnapshot):
            raise DeviceError(f"MC146818: {snapshot!r} is no RtcSnapshot")
        self._origin = self.clock() - snapshot.time
        self._time, self._ram[:] = snapshot.time, snapshot.ram
        self._a, self._b, self._flags = snapshot.a, snapshot.b, snapshot.flags
        self._chain, self._quiet_until = snapshot.chain, snapshot.quiet_until
        self._select(snapshot.index)
        self._update_interrupt()

    def __repr__(self) -> str:
        """Show what the clock shows, as of the last access, and its registers, for debuggers."""
        shown = self._calendar().get()
        return f"<Mc146818 {shown} A={self._a:02x} B={self._b:02x} C={self._flags_shown():02x}>"

    # -- time ------------------------------------------------------------------------------

    def _calendar(self) -> Calendar:
        return Calendar(self._ram, self._b & _FORMATS, self.century)

    def _running(self) -> bool:
        """MC146818A "Divider Control". A PC's crystal has 32768 Hz; all else holds the chain."""
        return self._a & _DIVIDER == _32768_HZ

    def _ticking(self) -> bool:
        return self._running() and bool(self._a & _RATE)

    def _updating(self) -> bool:
        return self._running() and not self._b & _SET

    def _edges_until(self, time: int) -> int:
        """Return the number of the chain's periodic edges until `time`."""
        half = _PERIODS[self._a & _RATE] * _HALF_CYCLE
        return ((time - self._chain) * _PER + half) // (2 * half)

    def _edge_time(self, edge: int) -> int:
        """Return the time of periodic edge `edge`, counted from 0."""
        half = _PERIODS[self._a & _RATE] * _HALF_CYCLE
        return self._chain - (2 * edge + 1) * half // -_PER

    def _updates_until(self, time: int) -> int:
        """Return the number of the chain's update cycles that ended until `time`."""
        return (time - self._chain - _UPDATE_ENDS) // _SECOND

    def _update(self, updates: int) -> None:
        if updates > 0:
            calendar = self._calendar()
            alarm = calendar.seconds_to_alarm()
            calendar.advance(updates)
            self._flags |= _UF | (_AF if alarm is not None and alarm <= updates else 0)

    def _update_interrupt(self) -> None:
        level = bool(self._flags & self._b)
        if level != self._level:
            self._level = level
            if self.interrupt is not None:
                self.interrupt(level)

    # -- the guest's side ------------------------------------------------------------------

    def _read_byte(self, offset: int) -> int:
        if offset == 0:  # PIIX4, RTCI and NMIEN: write only
            return 0xFF
        self.advance()
        index = self._index & ~_NMI_MASK
        if index == _REGISTER_C:
            return self._read_c()
        registers = {_REGISTER_A: self._read_a(), _REGISTER_B: self._b, _REGISTER_D: _VRT}
        return registers.get(index, self._ram[index])

    def _read_a(self) -> int:
        """MC146818A "Register A ($0A)": UIP tells that an update is near or under way."""
        phase = (self._time - self._chain) % _SECOND
        near = phase < _UPDATE_ENDS and self._time - phase + _UPDATE_ENDS > self._quiet_until
        return self._a | (_UIP if near and self._updating() else 0)

    def _flags_shown(self) -> int:
        return self._flags | (_IRQF if self._flags & self._b else 0)

    def _read_c(self) -> int:
        """MC146818A "Register C ($0C)": a read clears all flags."""
        value, self._flags = self._flags_shown(), 0
        self._update_interrupt()
        return value

    def _write_byte(self, offset: int, value: int) -> None:
        self.advance()
        index = self._index & ~_NMI_MASK
        if offset == 0:
            self._select(value)
        elif index == _REGISTER_A:
            self._write_a(value)
        elif index == _REGISTER_B:
            self._write_b(value)
        elif index not in {_REGISTER_C, _REGISTER_D}:  # which are read only
            self._ram[index] = value

    def _select(self, value: int) -> None:
        """PIIX4, NMIEN: bit 7 of the index port keeps NMIs from the processor."""
        self._index = value
        if self.nmi_masked != self._nmi_masked:
            self._nmi_masked = self.nmi_masked
            if self.mask_nmi is not None:
                self.mask_nmi(self._nmi_masked)

    def _write_a(self, value: int) -> None:
        held = not self._running()
        self._a = value & ~_UIP
        if held and self._running():
            self._chain = self._time + _RELEASED - _SECOND - _UIP_AHEAD

    def _write_b(self, value: int) -> None:
        """MC146818A "Register B ($0B)": SET aborts an update cycle, and clears UIE as it rises.

        An update cycle whose beginning fell into SET does not take place either.
        """
        set_before = self._b & _SET
        if value & _SET and not set_before:
            value &= ~_UIE
        self._b = value
        phase = (self._time - self._chain) % _SECOND
        if set_before and not value & _SET and _UIP_AHEAD <= phase < _UPDATE_ENDS:
            self._quiet_until = max(self._time - phase + _UPDATE_ENDS, 0)
        self._update_interrupt()


def _check_date(value: object) -> None:
    """Refuse what is no date and time."""
    if not isinstance(value, datetime):
        raise DeviceError(f"MC146818: {value!r} is no datetime")
