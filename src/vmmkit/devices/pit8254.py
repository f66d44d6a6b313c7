# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The timer of a PC: an 8254 on virtual time, and the port that drives its third counter.

Theory of operation of the timer
--------------------------------
`Pit8254` has three counters and no clock of its own. The owner hands in `clock()`, which returns
the virtual time in nanoseconds and never goes back. The time of the last access is all that the
device remembers of it: at each access, and at each call of `advance`, every counter concerned
does what it would have done since. `deadline` tells when to call `advance`: the virtual time of
the next change of an output that somebody hears, or `None`.

The CLK input has 105/88 MHz, the twelfth part of the PC's 14.31818 MHz crystal. The number of
pulses that passed until a time is computed from that time in integers, so there is no drift and
no rounding that adds up: pulse `n` falls at 17600 n / 21 ns. What happens at the nanosecond of a
pulse happens after it.

A counter moves from one eventful pulse to the next (`_pit8254_counter.Counter.run`); between them
CE counts down in one subtraction. `advance` costs a few such steps however much time has passed:
of periods that nobody looked at, all but the last one or two are skipped, and their changes of
OUT are not told. An owner that calls `advance` at each deadline hears of every change.

Outputs are callables with the level, told of changes only, after the state is complete: they may
call back into the device. An exception out of one leaves the device consistent; what was still
to be told is told at the next access or `advance`. Calls must not overlap in time.

Sources of the register rules: Intel, "8254 Programmable Interval Timer", named below as "8254"
with the title of the section, and for port 61h Intel, "82371AB PCI-TO-ISA / IDE XCELERATOR
(PIIX4)", register NMISC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from vmmkit.devices._byte_window import ByteWindow
from vmmkit.devices._fields import (
    check_integer,
    integer,
    is_callable,
    is_callable_or_none,
)
from vmmkit.devices._pit8254_counter import Counter, CounterSnapshot
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["CounterSnapshot", "Pit8254", "PitSnapshot", "Port61", "Port61Snapshot"]

# 105/88 MHz: this many pulses in this many nanoseconds.
_PULSES: Final = 21
_NANOSECONDS: Final = 17600

_CONTROL: Final = 3  # the control word's offset
# 8254 "Read-Back Command": the latches are asked for by zeros.
_READ_BACK: Final = 3
_NO_COUNT: Final = 0x20
_NO_STATUS: Final = 0x10
_ACCESS: Final = 0x30  # 8254 "Counter Latch Command": neither LSB nor MSB

# PIIX4, NMISC.
_GATE2: Final = 0x01
_SPEAKER: Final = 0x02
_PORT61_KEPT: Final = 0x0F  # with the enables of two NMI sources, which are not modelled
_REFRESH: Final = 0x10
_OUT2: Final = 0x20
# PC firmware programs counter 1 so: a memory refresh each 15.09 microseconds.
_REFRESH_PULSES: Final = 18


@attrs.frozen
class PitSnapshot:
    """The state of a `Pit8254`; the defaults are those of a device just made."""

    #: nanoseconds since the device was made, without the time between snapshots and restores
    time: int = attrs.field(default=0, validator=integer(0, None))
    counters: tuple[CounterSnapshot, CounterSnapshot, CounterSnapshot] = attrs.field(
        factory=lambda: (CounterSnapshot(), CounterSnapshot(), CounterSnapshot())
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what are no three counters."""
        if [type(counter) for counter in self.counters] != 3 * [CounterSnapshot]:
            raise DeviceError(f"PitSnapshot: counters are {self.counters!r}")


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Pit8254(ByteWindow):
    """One 8254, to be plugged into a port window of four bytes; 40h on a PC.

    Args:
        clock: returns the virtual time in nanoseconds.
        interrupt: called with the new level of OUT0: IRQ 0 of a PC. `None` if nobody hears it;
            `connect` does the same for the other outputs.

    Raises:
        DeviceError: an argument that cannot be called, or a time that is no integer.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`; each byte of a wide access is an access
    of its own, lowest address first. Guest input never raises.
    """

    clock: Callable[[], int] = attrs.field(validator=is_callable)
    _interrupt: InterruptLine | None = attrs.field(default=None, validator=is_callable_or_none)
    _counters: tuple[Counter, ...] = attrs.field(init=False)
    _outputs: list[InterruptLine | None] = attrs.field(init=False)
    _told: list[bool] = attrs.field(init=False)  # the levels that the outputs heard last
    _origin: int = attrs.field(init=False)  # what `clock` showed at the device's time zero

    def __attrs_post_init__(self) -> None:
        """Begin the device's time."""
        self._origin = check_integer("8254: the clock's time", self.clock(), 0, None)
        self._counters = (Counter(), Counter(), Counter())
        self._outputs = [self._interrupt, None, None]
        self._told = [False, False, False]

    @property
    def size(self) -> int:
        """Bytes of the register window."""
        return 4

    # -- the owner's side ------------------------------------------------------------------

    def connect(self, counter: int, output: InterruptLine | None) -> None:
        """Let `output` hear the OUT pin of `counter` (0-2) from its next change on.

        Raises:
            DeviceError: no such counter, or an output that cannot be called.
        """
        check_integer("8254: the counter", counter, 0, 2)
        if output is not None and not callable(output):
            raise DeviceError(f"8254: output is {output!r}, which cannot be called")
        self._catch_up(counter)
        self._outputs[counter] = output

    def out(self, counter: int) -> bool:
        """Return the level of OUT of `counter` (0-2) now.

        Raises:
            DeviceError: there is no such counter.
        """
        self._catch_up(check_integer("8254: the counter", counter, 0, 2))
        return self._counters[counter].out

    def set_gate(self, counter: int, level: bool) -> None:
        """Drive GATE of `counter` (0-2); all three are high at first.

        Raises:
            DeviceError: there is no such counter.
        """
        self._catch_up(check_integer("8254: the counter", counter, 0, 2))
        self._counters[counter].set_gate(bool(level))
        self._tell(counter)

    @property
    def pulses(self) -> int:
        """CLK pulses that have passed since the device was made."""
        return (self.clock() - self._origin) * _PULSES // _NANOSECONDS

    def deadline(self) -> int | None:
        """Return the virtual time of the next change of an output that somebody hears.

        In nanoseconds as `clock` shows them; not later than that time if `advance` is overdue;
        `None` if none will change by itself.
        """
        pulses = [
            change
            for counter, output in zip(self._counters, self._outputs, strict=True)
            if output is not None and (change := counter.next_change()) is not None
        ]
        return self._origin - min(pulses) * _NANOSECONDS // -_PULSES if pulses else None

    def advance(self) -> None:
        """Do what happened until now and tell the outputs."""
        for counter in range(3):
            self._catch_up(counter)

    def snapshot(self) -> PitSnapshot:
        """Return the whole state, as of now; the outputs and their levels are not part of it."""
        self.advance()
        zero, one, two = (counter.snapshot() for counter in self._counters)
        return PitSnapshot(self.clock() - self._origin, (zero, one, two))

    def restore(self, snapshot: PitSnapshot) -> None:
        """Take the state of `snapshot` and go on from there, as if no time had passed.

        Outputs are told where they differ.

        Raises:
            DeviceError: this is no snapshot.
        """
        if not isinstance(snapshot, PitSnapshot):
            raise DeviceError(f"8254: {snapshot!r} is no PitSnapshot")
        self._origin = self.clock() - snapshot.time
        pulses = snapshot.time * _PULSES // _NANOSECONDS
        for counter, state in zip(self._counters, snapshot.counters, strict=True):
            counter.pulses = pulses
            counter.restore(state)
        for index in range(3):
            self._tell(index)

    def reset(self) -> None:
        """Return to the state of a device just made; GATE is as it is.

        The chip has no such pin. Its state is undefined when powered on (8254 "Operational
        Description", "General"); here it is mode 0 without a count.
        """
        zero, one, two = (CounterSnapshot(gate=counter.gate) for counter in self._counters)
        self.restore(PitSnapshot(counters=(zero, one, two)))

    def __repr__(self) -> str:
        """Show mode, CE and OUT of each counter as of the last access, for debuggers."""
        shown = (f"{c.mode}:{c.ce:04x}{'+' if c.out else '-'}" for c in self._counters)
        return f"<Pit8254 {' '.join(shown)}>"

    # -- time ------------------------------------------------------------------------------

    def _catch_up(self, index: int) -> None:
        counter, target = self._counters[index], self.pulses
        while counter.pulses < target:
            counter.run(target - counter.pulses)
            self._tell(index)

    def _tell(self, index: int) -> None:
        level = self._counters[index].out
        if level != self._told[index]:
            self._told[index] = level
            output = self._outputs[index]
            if output is not None:
                output(level)

    # -- the guest's side ------------------------------------------------------------------

    def _read_byte(self, offset: int) -> int:
        if offset == _CONTROL:  # 8254 "Read Operations": nothing drives the bus
            return 0xFF
        self._catch_up(offset)
        return self._counters[offset].read()

    def _write_byte(self, offset: int, value: int) -> None:
        if offset == _CONTROL:
            self._write_control(value)
            return
        self._catch_up(offset)
        self._counters[offset].write_count(value)
        self._tell(offset)

    def _write_control(self, value: int) -> None:
        """8254 "Control Word Format", "Counter Latch Command", "Read-Back Command"."""
        index = value >> 6
        if index == _READ_BACK:
            self._read_back(value)
            return
        self._catch_up(index)
        if value & _ACCESS:
            self._counters[index].write_control(value)
            self._tell(index)
        else:
            self._counters[index].latch_count()

    def _read_back(self, value: int) -> None:
        for index, counter in enumerate(self._counters):
            if value >> 1 + index & 1:
                self._catch_up(index)
                if not value & _NO_COUNT:
                    counter.latch_count()
                if not value & _NO_STATUS:
                    counter.latch_status()


@attrs.frozen
class Port61Snapshot:
    """The state of a `Port61`: the four bits that the guest wrote."""

    control: int = attrs.field(default=0, validator=integer(0, _PORT61_KEPT))


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Port61(ByteWindow):
    """Port 61h of a PC: the gate of counter 2, its output, the speaker, the refresh toggle.

    Args:
        pit: the timer; its GATE2 follows bit 0 from now on.
        speaker: called with the new level of the speaker: OUT2 where bit 1 lets it through.
            `None` if nobody hears it.

    Raises:
        DeviceError: an argument of another kind.

    Bits 2 and 3 (enables of NMI sources) keep what is written; bits 6 and 7 (those sources) read
    zero. Bit 4 turns each 18 CLK pulses, the refresh rate that PC firmware programs.
    """

    pit: Pit8254 = attrs.field()
    speaker: InterruptLine | None = attrs.field(default=None, validator=is_callable_or_none)
    _control: int = attrs.field(default=0, init=False)
    _level: bool = attrs.field(default=False, init=False)  # what `speaker` heard last

    @pit.validator
    def _check_pit(self, _attribute: object, value: object) -> None:
        if not isinstance(value, Pit8254):
            raise DeviceError(f"Port61: {value!r} is no Pit8254")

    def __attrs_post_init__(self) -> None:
        """Close the gate, as after a reset."""
        self._apply(0)

    @property
    def size(self) -> int:
        """Bytes of the register window."""
        return 1

    def reset(self) -> None:
        """Clear all that the guest wrote."""
        self._apply(0)

    def snapshot(self) -> Port61Snapshot:
        """Return the state; counter 2 is part of the timer's."""
        return Port61Snapshot(self._control)

    def restore(self, snapshot: Port61Snapshot) -> None:
        """Take the state of `snapshot`; restore the timer first.

        Raises:
            DeviceError: this is no snapshot.
        """
        if not isinstance(snapshot, Port61Snapshot):
            raise DeviceError(f"Port61: {snapshot!r} is no Port61Snapshot")
        self._apply(snapshot.control)

    def __repr__(self) -> str:
        """Show what the guest wrote, for debuggers."""
        return f"<Port61 {self._control:02x}>"

    def _read_byte(self, _offset: int) -> int:
        refresh = self.pit.pulses // _REFRESH_PULSES & 1
        return self._control | (_REFRESH if refresh else 0) | (_OUT2 if self.pit.out(2) else 0)

    def _write_byte(self, _offset: int, value: int) -> None:
        self._apply(value & _PORT61_KEPT)

    def _apply(self, control: int) -> None:
        """Connect the speaker only while it can sound: `Pit8254.deadline` asks who hears.

        It is cut off before the gate moves, so that what the gate does to OUT2 is not heard
        where the same write silences the speaker.
        """
        self._control = control
        sounding = self.speaker is not None and bool(control & _SPEAKER)
        if self.speaker is not None:
            self.pit.connect(2, None)
        self.pit.set_gate(2, bool(control & _GATE2))
        if sounding:
            self.pit.connect(2, self._drive_speaker)
        self._drive_speaker(sounding and self.pit.out(2))

    def _drive_speaker(self, level: bool) -> None:
        if level != self._level and self.speaker is not None:
            self._level = level
            self.speaker(level)
