# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The MC146818A against a naive model, under random accesses and random waits.

The model has Python's calendar, does one update after the other, and looks at each moment at
which something may happen; the device computes how many such moments there were.
"""

import math
import pickle
from datetime import datetime, timedelta
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vmmkit.devices.rtc_mc146818 import Mc146818

SECOND = 1_000_000_000
TIME_BYTES = {"second": 0, "minute": 2, "hour": 4, "day": 7, "month": 8}
ALARM_BYTES = {"second": 1, "minute": 3, "hour": 5}


class NaiveRtc:
    """A running MC146818A told as moments; `uip` is the time of the next rise of UIP."""

    def __init__(self, when):
        self.when = when
        self.a, self.b, self.flags = 0x26, 0x02, set()
        self.alarm = {"second": 0, "minute": 0, "hour": 0}
        self.time = Fraction(0)
        self.rise = Fraction(SECOND - 2_228_000)
        self.aborted = False
        # An edge of the slowest rate, and so of every rate, lies half its period beside UIP.
        self.running = True

    def period(self):
        rate = self.a % 16
        hertz = {0: None, 1: 256, 2: 128}.get(rate, 2 ** (16 - rate))
        return None if hertz is None else Fraction(SECOND, hertz)

    def show(self, field, value):
        pm = 0
        if field == "hour" and not self.b & 2:
            pm = 128 if value > 11 else 0
            value = {0: 12, 12: 12}.get(value, value % 12)
        return pm + (value if self.b & 4 else int(str(value), 16))

    def moments(self, until):
        """Yield (time, what) of all that happens behind `self.time` and not behind `until`."""
        found = []
        period = self.period()
        if period is not None:
            edge = self.rise - period / 2
            edge -= (edge - self.time) // period * period
            while edge <= until:
                found += [(edge, "edge")] if edge > self.time else []
                edge += period
                if len(found) > 1:  # one sets the flag
                    break
        begin, end = self.rise + 244_000, self.rise + 2_228_000
        while begin <= until:
            found += [(begin, "begin")] if begin > self.time else []
            found += [(end, "end")] if self.time < end <= until else []
            begin += SECOND
            end += SECOND
        return sorted(found)

    def run(self, until):
        for _, what in self.moments(until) if self.running else []:
            if what == "edge":
                self.flags.add(0x40)
            if what == "begin":
                self.aborted = bool(self.b & 0x80)
            if what == "end":
                self.rise += SECOND
                if not self.aborted and not self.b & 0x80:
                    self.update()
                self.aborted = False
        self.time = Fraction(until)

    def update(self):
        self.when += timedelta(seconds=1)
        self.flags.add(0x10)
        if all(
            alarm >= 0xC0 or alarm == self.show(field, getattr(self.when, field))
            for field, alarm in self.alarm.items()
        ):
            self.flags.add(0x20)

    def write_a(self, value):
        self.a = value & 0x7F
        runs = self.a & 0x70 == 0x20
        if runs and not self.running:
            self.rise = self.time + SECOND // 2 - 244_000
            self.aborted = False
        self.running = runs

    def write_b(self, value):
        if value & 0x80 and not self.b & 0x80:
            value &= ~0x10
            self.aborted = self.aborted or self.in_update()
        self.b = value

    def in_update(self):
        return self.rise + 244_000 <= self.time < self.rise + 2_228_000

    def uip(self):
        near = self.rise <= self.time < self.rise + 2_228_000
        return near and self.running and not self.aborted and not self.b & 0x80

    def raised(self):
        return any(flag & self.b for flag in self.flags)


def wait_strategy():
    near_a_second = st.builds(
        lambda seconds, beside: max(seconds * SECOND + beside * 1000, 1),
        st.integers(0, 3),
        st.sampled_from([-2300, -2228, -2000, -1984, -1000, -1, 1, 500]),
    )
    return near_a_second | st.integers(1, 3 * SECOND) | st.integers(1, 300).map(SECOND.__mul__)


class RtcMachine(RuleBasedStateMachine):
    @initialize(
        when=st.datetimes(
            datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2250-01-01")
        )
        | st.sampled_from(
            ["1999-12-31 23:59:50", "2024-02-28 23:59:30", "2100-02-28 23:58:00"]
        ).map(datetime.fromisoformat)
    )
    def plug_in(self, when):
        when = when.replace(microsecond=0)
        self.now, self.shift = 0, 0
        self.naive = NaiveRtc(when)
        self.level, self.rises = False, []
        self.rtc = Mc146818(lambda: self.now, when, self.on_interrupt)

    def on_interrupt(self, level):
        assert level is not self.level
        self.level = level

    def put(self, index, value):
        self.rtc.write("cpu", 0, 2, index | value << 8)

    def get(self, index):
        self.rtc.write("cpu", 0, 1, index)
        return self.rtc.read("cpu", 1, 1)

    @rule(span=wait_strategy())
    def time_passes(self, span):
        target = self.now + span
        while (deadline := self.rtc.deadline()) is not None and deadline <= target:
            assert deadline > self.now
            assert not self.level
            before = deadline - 1 - self.shift
            if before > self.naive.time:
                self.naive.run(before)
                assert not self.naive.raised()
            self.now = deadline
            self.rtc.advance()
            self.naive.run(self.now - self.shift)
            assert self.level
            assert self.naive.raised()
        self.now = target
        self.rtc.advance()
        self.naive.run(self.now - self.shift)

    @rule(span=wait_strategy())
    def time_passes_unnoticed(self, span):
        self.now += span
        self.naive.run(self.now - self.shift)
        self.rtc.advance()

    @rule()
    def guest_reads_c(self):
        expected = sum(self.naive.flags) + 128 * self.naive.raised()
        self.naive.flags = set()
        assert self.get(0x0C) == expected

    @rule(rate=st.sampled_from([0, 1, 2, 3, 6, 13, 14, 15]), dv=st.sampled_from([2, 2, 2, 6]))
    def guest_writes_a(self, rate, dv):
        self.put(0x0A, 16 * dv + rate)
        self.naive.write_a(16 * dv + rate)

    @rule(enables=st.sampled_from([0, 0x10, 0x20, 0x30, 0x40, 0x70]), hold=st.booleans())
    def guest_writes_b(self, enables, hold):
        value = 0x80 * hold + enables + (self.naive.b & 6)
        self.put(0x0B, value)
        self.naive.write_b(value)

    @rule(formats=st.sampled_from([0, 2, 4, 6]))
    def guest_changes_formats(self, formats):
        """Which it does with SET, and writes all bytes again."""
        enables = self.naive.b & 0x70
        for value in (0x82, 0x80 + formats):
            self.put(0x0B, value)
            self.naive.write_b(value)
        self.guest_writes_time()
        for field in ALARM_BYTES:
            self.guest_writes_alarm(field, 0xFF)
        self.put(0x0B, enables + formats)
        self.naive.write_b(enables + formats)

    def guest_writes_time(self):
        for field, index in TIME_BYTES.items():
            self.put(index, self.naive.show(field, getattr(self.naive.when, field)))
        self.put(0x06, self.naive.when.isoweekday() % 7 + 1)
        self.put(0x09, self.naive.show("year", self.naive.when.year % 100))
        self.put(0x32, self.naive.show("year", self.naive.when.year // 100))

    @rule(ahead=st.integers(1, 400), wild=st.sampled_from([(), ("hour",), ("hour", "minute")]))
    def guest_sets_alarm(self, ahead, wild):
        due = self.naive.when + timedelta(seconds=ahead)
        for field in ALARM_BYTES:
            shown = self.naive.show(field, getattr(due, field))
            self.guest_writes_alarm(field, 0xC5 if field in wild else shown)

    def guest_writes_alarm(self, field, value):
        self.put(ALARM_BYTES[field], value)
        self.naive.alarm[field] = value

    @rule()
    def move_to_another_device(self):
        saved = pickle.loads(pickle.dumps(self.rtc.snapshot()))
        self.now += 987_654_321
        self.shift += 987_654_321
        self.level = False
        self.rtc = Mc146818(
            lambda: self.now, datetime.fromisoformat("1980-01-01"), self.on_interrupt
        )
        self.rtc.restore(saved)
        assert self.rtc.snapshot() == saved

    @invariant()
    def agrees(self):
        naive, shown = self.naive, self.rtc.ram
        assert self.rtc.date_time == naive.when
        for field, index in TIME_BYTES.items():
            assert shown[index] == naive.show(field, getattr(naive.when, field))
        assert shown[6] == naive.when.isoweekday() % 7 + 1
        assert shown[10] == naive.a + 128 * naive.uip()
        assert shown[11] == naive.b
        assert shown[12] & 0x70 == sum(naive.flags)
        assert self.level is naive.raised()
        assert math.floor(naive.time) == self.now - self.shift


TestRtc = RtcMachine.TestCase
TestRtc.settings = settings(stateful_step_count=30)
