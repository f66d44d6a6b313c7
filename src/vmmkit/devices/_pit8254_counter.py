# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One counter of an 8254, in CLK pulses; `vmmkit.devices.pit8254` has the theory of operation.

Source: Intel, "8254 Programmable Interval Timer", named below as "8254" with the title of the
section. CR, CE and OL are its names: count register, counting element, output latch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from vmmkit.devices._fields import integer, is_flag
from vmmkit.errors import DeviceError

__all__ = ["Counter", "CounterSnapshot"]

# 8254 "Control Word Format".
_BCD: Final = 0x01
_LSB: Final = 1
_MSB: Final = 2
_BOTH: Final = 3
_CONTROL_KEPT: Final = 0x3F

# 8254 "Read-Back Command", the status byte; its low six bits are the control word's.
_STATUS_OUT: Final = 0x80
_STATUS_NULL: Final = 0x40

_FOREVER: Final = 1 << 62  # more pulses than anybody waits for

# What the modes have in common, by their number.
_LOADED_BY_TRIGGER: Final = frozenset((1, 2, 3, 5))
_LOADED_BY_WRITE: Final = frozenset((0, 4))  # each count; modes 2 and 3 the first one only
_PERIODIC: Final = frozenset((2, 3))
_STOPPED_BY_GATE: Final = frozenset((0, 2, 3, 4))
_STROBES: Final = frozenset((4, 5))


@attrs.frozen
class CounterSnapshot:
    """The state of one counter; the defaults are those of one just powered on."""

    control: int = attrs.field(default=0x30, validator=integer(0, _CONTROL_KEPT))
    out: bool = attrs.field(default=False, validator=is_flag)
    gate: bool = attrs.field(default=True, validator=is_flag)
    count: int = attrs.field(default=0, validator=integer(0, 0xFFFF))  #: CR as written
    first_byte: int | None = None  #: of a count of two bytes, while the second is to come
    ce: int = attrs.field(default=0, validator=integer(0, 0xFFFF))  #: as a number, also in BCD
    loaded: int = attrs.field(default=0, validator=integer(0, 0xFFFF))  #: what CE began with
    programmed: bool = attrs.field(default=False, validator=is_flag)  #: a count was written
    null_count: bool = attrs.field(default=True, validator=is_flag)  #: CE does not have it yet
    running: bool = attrs.field(default=False, validator=is_flag)  #: CE was loaded
    load: bool = attrs.field(default=False, validator=is_flag)  #: the next pulse loads CE
    trigger: bool = attrs.field(default=False, validator=is_flag)  #: GATE rose since the pulse
    live: bool = attrs.field(default=False, validator=is_flag)  #: CE has yet to expire
    latched: tuple[int, ...] = ()  #: bytes of OL that were not read yet
    status: int | None = None  #: the latched status byte
    second_read: bool = attrs.field(default=False, validator=is_flag)  #: read MSB next

    def __attrs_post_init__(self) -> None:
        """Refuse bytes that are none, and a CE that no counter of this kind holds."""
        pending = [byte for byte in (self.first_byte, self.status) if byte is not None]
        if not isinstance(self.latched, tuple) or len(self.latched) > 2:
            raise DeviceError(f"CounterSnapshot: latched is {self.latched!r}")
        for byte in (*pending, *self.latched):
            if not isinstance(byte, int) or not 0 <= byte <= 0xFF:
                raise DeviceError(f"CounterSnapshot: {byte!r} is no byte")
        if self.control & _BCD and max(self.ce, self.loaded) > 9999:
            raise DeviceError("CounterSnapshot: a BCD counter holds no more than 9999")
        if self.running and self.control & 6 == 6 and self.ce & 1:
            raise DeviceError("CounterSnapshot: a counter in mode 3 holds even numbers")
        if not self.control >> 4:
            raise DeviceError("CounterSnapshot: control has neither LSB nor MSB")


_FIELDS: Final = tuple(field.name for field in attrs.fields(CounterSnapshot))


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class Counter:
    """One counter. `run` moves it ahead; everything else happens between two CLK pulses."""

    control: int = 0x30
    out: bool = False
    gate: bool = True
    count: int = 0
    first_byte: int | None = None
    ce: int = 0
    loaded: int = 0
    programmed: bool = False
    null_count: bool = True
    running: bool = False
    load: bool = False
    trigger: bool = False
    live: bool = False
    latched: tuple[int, ...] = ()
    status: int | None = None
    second_read: bool = False
    # No part of the snapshot: the CLK pulses seen, which are the device's time, and `next_change`.
    pulses: int = 0
    change: int | None = None
    change_known: bool = False

    @property
    def mode(self) -> int:
        """0-5; 8254 "Control Word Format": with bit 1 of the mode, bit 2 does not count."""
        mode = self.control >> 1 & 7
        return mode & 3 if mode & 2 else mode

    @property
    def _modulus(self) -> int:
        return 10000 if self.control & _BCD else 0x10000

    def snapshot(self) -> CounterSnapshot:
        """Return the whole state."""
        return CounterSnapshot(**{name: getattr(self, name) for name in _FIELDS})

    def restore(self, state: CounterSnapshot) -> None:
        """Take the state of `state`."""
        for name in _FIELDS:
            setattr(self, name, getattr(state, name))
        self.change_known = False

    # -- programming -----------------------------------------------------------------------

    def write_control(self, value: int) -> None:
        """8254 "Write Operations": the control logic is reset, OUT gets its first level at once.

        CE stands still until a count was written and loaded.
        """
        self.change_known = False
        self.control = value & _CONTROL_KEPT
        self.out = self.mode != 0
        self.count, self.first_byte = 0, None
        self.ce %= self._modulus
        self.loaded %= self._modulus
        self.programmed = self.running = self.load = self.trigger = self.live = False
        self.null_count = True
        self.latched, self.status, self.second_read = (), None, False

    def write_count(self, value: int) -> None:
        """Take a byte of the count, as the control word's LSB and MSB bits say."""
        self.change_known = False
        access = self.control >> 4
        if access == _BOTH and self.first_byte is None:
            self.first_byte = value
            self._begin_mode_0()
            return
        if access == _BOTH:
            self.count = self.first_byte or 0
            self.first_byte = None
        else:
            self.count = 0
        self.count |= value if access == _LSB else value << 8
        self._take_count()

    def _begin_mode_0(self) -> None:
        """8254 "Mode 0: Interrupt on Terminal Count": the first byte stops counting."""
        if self.mode == 0:
            self.out = False
            self.load = self.running = self.live = False

    def _take_count(self) -> None:
        self._begin_mode_0()
        if self.mode in _LOADED_BY_WRITE or (self.mode in _PERIODIC and not self.programmed):
            self.load = True
        self.programmed = self.null_count = True

    def set_gate(self, level: bool) -> None:
        """Drive GATE: 8254 "Operation Common to All Modes", "Gate"."""
        self.change_known = False
        if level and not self.gate:
            self.trigger = True
        if not level and self.mode in _PERIODIC:
            self.out = True
        self.gate = level

    # -- reading ---------------------------------------------------------------------------

    def latch_count(self) -> None:
        """8254 "Counter Latch Command": ignored while an earlier one was not read wholly."""
        if not self.latched:
            self.latched = self._count_bytes()

    def latch_status(self) -> None:
        """8254 "Read-Back Command": ignored while an earlier one was not read."""
        if self.status is None:
            out = _STATUS_OUT if self.out else 0
            self.status = out | (_STATUS_NULL if self.null_count else 0) | self.control

    def read(self) -> int:
        """Return the next byte: the latched status, a latched count, or CE as it is."""
        if self.status is not None:
            value, self.status = self.status, None
            return value
        if self.latched:
            value, *rest = self.latched
            self.latched = tuple(rest)
            return value
        value = self._count_bytes()[-1 if self.second_read else 0]
        if self.control >> 4 == _BOTH:
            self.second_read = not self.second_read
        return value

    def _count_bytes(self) -> tuple[int, ...]:
        """CE as the bytes that the guest reads."""
        shown = int(str(self.ce), 16) if self.control & _BCD else self.ce
        low, high = shown & 0xFF, shown >> 8
        return {_LSB: (low,), _MSB: (high,), _BOTH: (low, high)}[self.control >> 4]

    # -- counting --------------------------------------------------------------------------

    def run(self, pulses: int) -> int:
        """Let up to `pulses` CLK pulses pass; stop behind one that changed OUT.

        Returns how many passed. Of many periods that nobody looked at, all but the last one or
        two pass at once, with the changes of OUT in them.
        """
        left, level = pulses, self.out
        while left and self.out == level:
            left -= self._skip_periods(left)
            quiet = min(left, self._quiet())
            self.ce = (self.ce - quiet * self._rate()) % self._modulus
            left -= quiet
            if left:
                self._pulse()
                left -= 1
        self.pulses += pulses - left
        return pulses - left

    def next_change(self) -> int | None:
        """Return the pulse at which OUT changes if nobody interferes; `None` for never.

        It stays what it is until then, whatever pulses pass, so it is kept.
        """
        passed = self.change is not None and self.pulses >= self.change
        if not self.change_known or passed:
            self.change, self.change_known = self._find_change(), True
        return self.change

    def _find_change(self) -> int | None:
        """Run a copy: a change is at most three eventful pulses away.

        They are the end of what runs, a load, and the end of what it began.
        """
        ahead = Counter(**{name: getattr(self, name) for name in _FIELDS}, pulses=self.pulses)
        for _ in range(3):
            quiet = ahead._quiet()
            if quiet >= _FOREVER:
                return None
            ahead.run(quiet + 1)
            if ahead.out != self.out:
                return ahead.pulses
        return None

    def _counting(self) -> bool:
        return self.running and (self.gate or self.mode not in _STOPPED_BY_GATE)

    def _rate(self) -> int:
        """How much one pulse takes from CE."""
        if not self._counting():
            return 0
        return 2 if self.mode == 3 else 1

    def _skip_periods(self, pulses: int) -> int:
        """Return how many of `pulses` bring a periodic counter back to the state it has.

        One period is left to be run pulse by pulse, so that its changes of OUT are heard.
        """
        if self.mode not in _PERIODIC or not self._counting():
            return 0
        if self.load or self.trigger or self.null_count:
            return 0
        period = self.loaded or self._modulus
        return max(pulses // period - 1, 0) * period

    def _quiet(self) -> int:
        """Return the pulses before one that does more than count down."""
        if (self.load or self.trigger) or (self.mode in _STROBES and not self.out):
            return 0
        if not self._counting():
            return _FOREVER
        if self.mode == 3:
            return self._half_period() - 1
        left = self.ce or self._modulus
        if self.mode == 2:
            # The pulse that reaches 1 lowers OUT, the one that finds 1 reloads.
            return max(left - 2, 0)
        return left - 1 if self.live else _FOREVER

    def _half_period(self) -> int:
        """Return the pulses until OUT turns in mode 3.

        8254 "Mode 3: Square Wave Mode": odd counts begin with one less, and the high half of
        them lasts one pulse longer.
        """
        extra = self.loaded & 1 if self.out else 0
        if self.ce == 0 and self.loaded & 1:
            return max(extra, 1)
        return (self.ce or self._modulus) // 2 + extra

    def _pulse(self) -> None:
        """Let one CLK pulse pass: GATE is sampled at its rise, CE changes at its fall."""
        triggered, self.trigger = self.trigger, False
        mode = self.mode
        if mode in _STROBES:
            self.out = True
        if self.load or (triggered and self.programmed and mode in _LOADED_BY_TRIGGER):
            self._load()
            self.live = True
            self.out = mode not in {0, 1}
        elif self._counting():
            _COUNT[mode](self)

    def _load(self) -> None:
        """Bring CR into CE: 8254 "Operation Common to All Modes", "Counter"."""
        self.load = self.null_count = False
        self.running = True
        count = self.count
        if self.control & _BCD:
            count = sum((count >> 4 * digit & 0xF) * 10**digit for digit in range(4)) % 10000
        self.loaded = count
        self.ce = count - (count & 1) if self.mode == 3 else count

    def _count_to_zero(self) -> None:
        """Modes 0, 1, 4 and 5: CE wraps around, but expires once only."""
        self.ce = (self.ce - 1) % self._modulus
        if self.ce == 0 and self.live:
            self.live = False
            self.out = self.mode not in _STROBES

    def _count_rate(self) -> None:
        """Mode 2: OUT is low for the pulse that follows the one that reaches 1."""
        if self.ce == 1:
            self._load()
            self.out = True
        else:
            self.ce = (self.ce - 1) % self._modulus
            self.out = self.ce != 1

    def _count_square(self) -> None:
        """Mode 3: a half ends with OUT turning and CE loaded again."""
        if self._half_period() > 1:
            self.ce = (self.ce - 2) % self._modulus
            return
        # A count of 1 has no low half.
        self.out = not self.out or self.loaded == 1
        self._load()


_COUNT: Final[tuple[Callable[[Counter], None], ...]] = (
    Counter._count_to_zero,  # noqa: SLF001 (the class's own table)
    Counter._count_to_zero,  # noqa: SLF001
    Counter._count_rate,  # noqa: SLF001
    Counter._count_square,  # noqa: SLF001
    Counter._count_to_zero,  # noqa: SLF001
    Counter._count_to_zero,  # noqa: SLF001
)
