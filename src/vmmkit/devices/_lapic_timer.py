# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The local APIC's timer, as arithmetic on virtual time.

Nothing here ticks. What is kept is when counting began (`origin`), with how many counts, and how
many expirations were reported; the current count and the next expiration are computed from that
in integers. The n-th expiration of a periodic timer is n periods after its start, rounded once, so
rounding does not add up.

Source: SDM volume 3A, "APIC Timer" and "TSC-Deadline Mode".
"""

from __future__ import annotations

from typing import Final

import attrs

from vmmkit.devices._apic_spec import DIVIDE_SHIFTS, NANOSECONDS, TimerMode

__all__ = ["ApicTimer"]

_ONE_SHOT: Final = int(TimerMode.ONE_SHOT)
_PERIODIC: Final = int(TimerMode.PERIODIC)
_TSC_DEADLINE: Final = int(TimerMode.TSC_DEADLINE)
_COUNTING: Final = (_ONE_SHOT, _PERIODIC)


@attrs.define(eq=False)
class ApicTimer:
    """One timer; times are nanoseconds of the owner's clock.

    Attributes:
        timer_hz: counts per second at divisor 1.
        tsc_hz: TSC ticks per second.
        tsc_offset: TSC at time zero.
        mode: a `TimerMode`.
        divide: the divide configuration register.
        initial: the initial count register.
        running: armed by a write of the initial count, and not yet expired for good.
        origin: when counting began, or went on with another divisor.
        first: counts from `origin` to the next expiration after it.
        reported: expirations since `origin` that `expire` reported.
        tsc_deadline: IA32_TSC_DEADLINE; 0 is disarmed.
    """

    timer_hz: int
    tsc_hz: int
    tsc_offset: int = 0
    mode: int = _ONE_SHOT
    divide: int = 0
    initial: int = 0
    running: bool = False
    origin: int = 0
    first: int = 0
    reported: int = 0
    tsc_deadline: int = 0

    @property
    def _unit(self) -> int:
        """Nanoseconds of `timer_hz` counts at the present divisor."""
        return NANOSECONDS << DIVIDE_SHIFTS[self.divide >> 1 & 4 | self.divide & 3]

    def _counts(self, now: int) -> int:
        """Return the whole counts since `origin`."""
        return max(now - self.origin, 0) * self.timer_hz // self._unit

    def _expirations(self, now: int) -> int:
        """Return how often the count reached zero since `origin`."""
        beyond = self._counts(now) - self.first
        if beyond < 0:
            return 0
        return 1 + beyond // self.initial if self.mode == _PERIODIC else 1

    def current(self, now: int) -> int:
        """Return the current count register."""
        if not self.running:
            return 0
        left = self.first - self._counts(now)
        if left > 0 or self.mode != _PERIODIC:
            return max(left, 0)
        return self.initial - -left % self.initial

    def tsc(self, now: int) -> int:
        """Return the TSC, of 64 bits."""
        return (now * self.tsc_hz // NANOSECONDS + self.tsc_offset) % 2**64

    def set_mode(self, mode: int) -> None:
        """Take LVT timer bits 17-18; a change disarms ("TSC-Deadline Mode")."""
        if mode != self.mode:
            self.mode, self.running, self.tsc_deadline = mode, False, 0

    def start(self, now: int, count: int) -> None:
        """Take a write of the initial count; zero stops. Ignored in TSC-deadline mode."""
        if self.mode in _COUNTING:
            self.initial = count
            self.running = count != 0
            self.origin, self.first, self.reported = now, count, 0

    def set_divide(self, now: int, divide: int) -> None:
        """Go on counting from the current count, at another rate."""
        if self.running:
            self.first, self.origin, self.reported = self.current(now), now, 0
        self.divide = divide

    def set_tsc_deadline(self, value: int) -> None:
        """Take a write of IA32_TSC_DEADLINE; zero disarms. Ignored in the other modes."""
        if self.mode == _TSC_DEADLINE:
            self.tsc_deadline = value

    def expire(self, now: int) -> bool:
        """Return whether the timer expired since the last call; forget that it did."""
        if self.tsc_deadline and self.tsc(now) >= self.tsc_deadline:
            self.tsc_deadline = 0
            return True
        if not self.running:
            return False
        expirations = self._expirations(now)
        expired = expirations > self.reported
        self.reported = expirations
        self.running = self.mode == _PERIODIC or not expired
        return expired

    def deadline(self, now: int) -> int | None:
        """Return the first time at which `expire` would return true, or `None` for never."""
        if self.tsc_deadline:
            missing = self.tsc_deadline - self.tsc(now)
            return now if missing <= 0 else self._when_tsc(now, missing)
        if not self.running:
            return None
        counts = self.first + self.reported * self.initial
        return self.origin - -counts * self._unit // self.timer_hz

    def _when_tsc(self, now: int, missing: int) -> int:
        """Return when the TSC will have gone `missing` ticks further than it stands at `now`."""
        ticks = now * self.tsc_hz // NANOSECONDS + missing
        return -(-ticks * NANOSECONDS // self.tsc_hz)
