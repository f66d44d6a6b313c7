# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The local APIC's timer in virtual time; sections are named as in SDM volume 3A."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from devices.apics import (
    APIC_BASE,
    CURRENT,
    DIVIDE,
    EOI,
    INITIAL,
    IRR,
    LVT_TIMER,
    MASKED,
    SVR,
    TSC_DEADLINE,
    Cpu,
    enabled_cpu,
)
from vmmkit.errors import DeviceError

ONE_SHOT, PERIODIC, DEADLINE, RESERVED = 0, 1 << 17, 2 << 17, 3 << 17
BY_1 = 0x0B
VECTOR = 0x40


def armed(mode, count, divide=BY_1, **config):
    cpu = enabled_cpu(**config)
    cpu.set(LVT_TIMER, mode | VECTOR)
    cpu.set(DIVIDE, divide)
    cpu.set(INITIAL, count)
    return cpu


def expirations(cpu, until):
    """The times at which an owner that sleeps to each deadline takes the interrupt."""
    times = []
    while (deadline := cpu.lapic.deadline()) is not None and deadline <= until:
        assert cpu.lapic.pending() is None
        cpu.now = max(deadline - 1, cpu.now)
        cpu.lapic.advance()
        assert cpu.lapic.pending() is None
        cpu.now = deadline
        cpu.lapic.advance()
        assert cpu.take() == VECTOR
        cpu.set(EOI, 0)
        times.append(deadline)
    return times


@pytest.mark.parametrize(
    ("divide", "divisor"),
    [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)],
)
def test_divide_configuration(divide, divisor):
    cpu = armed(ONE_SHOT, 1000, divide)
    cpu.now = 10 * divisor - 1
    assert cpu.get(CURRENT) == 991
    cpu.now = 10 * divisor
    assert cpu.get(CURRENT) == 990
    assert cpu.lapic.deadline() == 1000 * divisor


def test_one_shot():
    cpu = armed(ONE_SHOT, 50)
    assert expirations(cpu, 1000) == [50]
    assert (cpu.get(CURRENT), cpu.get(INITIAL), cpu.lapic.deadline()) == (0, 50, None)
    cpu.set(INITIAL, 30)
    assert expirations(cpu, 1000) == [80]


def test_periodic():
    cpu = armed(PERIODIC, 50)
    assert expirations(cpu, 220) == [50, 100, 150, 200]
    cpu.now = 249
    assert cpu.get(CURRENT) == 1
    cpu.now = 250
    assert cpu.get(CURRENT) == 50


@pytest.mark.parametrize("mode", [ONE_SHOT, PERIODIC])
def test_a_count_of_zero_stops(mode):
    cpu = armed(mode, 50)
    cpu.set(INITIAL, 0)
    cpu.now = 1000
    assert (cpu.lapic.advance(), cpu.get(CURRENT), cpu.get(IRR + 0x20)) == (None, 0, 0)


def test_a_write_of_the_count_starts_anew():
    cpu = armed(PERIODIC, 50)
    cpu.now = 30
    cpu.set(INITIAL, 100)
    assert expirations(cpu, 300) == [130, 230]


def test_another_divisor_goes_on_from_the_current_count():
    cpu = armed(PERIODIC, 100)
    cpu.now = 40
    cpu.set(DIVIDE, 0)
    assert cpu.lapic.deadline() == 160
    assert cpu.get(CURRENT) == 60
    assert expirations(cpu, 600) == [160, 360, 560]


def test_another_divisor_does_not_bring_an_expired_count_back():
    cpu = armed(ONE_SHOT, 100)
    cpu.now = 200
    cpu.set(DIVIDE, 0)
    assert (cpu.get(CURRENT), cpu.lapic.deadline(), cpu.take()) == (0, None, VECTOR)


def test_missed_periods_come_as_one_interrupt_and_keep_their_times():
    cpu = armed(PERIODIC, 100)
    cpu.now = 1234
    assert cpu.lapic.advance() == 1300
    assert (cpu.take(), cpu.lapic.pending()) == (VECTOR, None)


def test_an_access_brings_the_timer_up_to_date():
    cpu = armed(ONE_SHOT, 100)
    cpu.now = 100
    assert cpu.get(IRR + 0x20) == 1
    assert cpu.level


def test_a_masked_timer_counts_and_needs_nobody():
    cpu = armed(MASKED | PERIODIC, 100)
    cpu.now = 250
    assert (cpu.lapic.deadline(), cpu.get(CURRENT)) == (None, 50)
    cpu.set(LVT_TIMER, PERIODIC | VECTOR)
    assert cpu.take() is None
    assert cpu.lapic.deadline() == 300


def test_software_disabling_masks_it():
    cpu = armed(PERIODIC, 100)
    cpu.set(SVR, 0xFF)
    assert cpu.lapic.deadline() is None
    cpu.now = 150
    assert (cpu.lapic.advance(), cpu.take()) == (None, None)


def test_init_stops_it():
    cpu = armed(PERIODIC, 100)
    cpu.lapic.init_reset()
    assert (cpu.lapic.deadline(), cpu.get(CURRENT)) == (None, 0)


@pytest.mark.parametrize("before", [ONE_SHOT, PERIODIC])
@pytest.mark.parametrize("after", [ONE_SHOT, PERIODIC, DEADLINE, RESERVED])
def test_a_change_of_mode_disarms(before, after):
    cpu = armed(before, 100)
    cpu.set(LVT_TIMER, after | VECTOR)
    assert (cpu.lapic.deadline() is None) == (before != after)
    assert (cpu.get(CURRENT) == 0) == (before != after)


# -- TSC-Deadline Mode -------------------------------------------------------------------------


def deadline_cpu(**config):
    cpu = enabled_cpu(**config)
    cpu.set(LVT_TIMER, DEADLINE | VECTOR)
    return cpu


def test_tsc_deadline():
    cpu = deadline_cpu(tsc_hz=3_000_000_000)
    cpu.lapic.write_msr(TSC_DEADLINE, 1000)
    assert cpu.lapic.read_msr(TSC_DEADLINE) == 1000
    assert expirations(cpu, 10_000) == [334]
    assert cpu.lapic.tsc == 1002
    assert cpu.lapic.read_msr(TSC_DEADLINE) == 0


def test_a_deadline_that_has_passed_interrupts_at_once():
    cpu = deadline_cpu()
    cpu.now = 500
    cpu.lapic.write_msr(TSC_DEADLINE, 500)
    assert (cpu.take(), cpu.lapic.read_msr(TSC_DEADLINE)) == (VECTOR, 0)


def test_zero_disarms():
    cpu = deadline_cpu()
    cpu.lapic.write_msr(TSC_DEADLINE, 500)
    cpu.lapic.write_msr(TSC_DEADLINE, 0)
    cpu.now = 1000
    assert (cpu.lapic.advance(), cpu.take()) == (None, None)


def test_the_counts_mean_nothing():
    cpu = deadline_cpu()
    cpu.set(INITIAL, 100)
    assert (cpu.get(INITIAL), cpu.get(CURRENT), cpu.lapic.deadline()) == (0, 0, None)


def test_leaving_the_mode_disarms():
    cpu = deadline_cpu()
    cpu.lapic.write_msr(TSC_DEADLINE, 500)
    cpu.set(LVT_TIMER, ONE_SHOT | VECTOR)
    assert cpu.lapic.read_msr(TSC_DEADLINE) == 0
    cpu.set(LVT_TIMER, DEADLINE | VECTOR)
    assert cpu.lapic.deadline() is None


def test_setting_the_tsc_moves_the_deadline():
    cpu = deadline_cpu()
    cpu.now = 1000
    cpu.lapic.write_msr(TSC_DEADLINE, 5000)
    cpu.lapic.set_tsc(100)
    assert (cpu.lapic.tsc, cpu.lapic.deadline()) == (100, 5900)
    cpu.lapic.set_tsc(6000)
    assert cpu.take() == VECTOR
    with pytest.raises(DeviceError):
        cpu.lapic.set_tsc(1 << 64)


def test_the_deadline_works_in_x2apic_mode():
    cpu = deadline_cpu()
    cpu.lapic.write_msr(APIC_BASE, 0xFEE0_0D00)
    cpu.lapic.write_msr(TSC_DEADLINE, 10)
    cpu.now = 10
    cpu.lapic.advance()
    assert cpu.take() == VECTOR


# -- No drift ----------------------------------------------------------------------------------

RATES = st.sampled_from([1, 3, 24_000_000, 66_666_667, 10**9, 3_333_333_333])


@given(
    hz=RATES,
    count=st.integers(1, 2**32 - 1),
    periods=st.integers(1, 10**6),
    start=st.integers(0, 10**15),
    divide=st.sampled_from([(BY_1, 1), (0, 2), (3, 16), (10, 128)]),
)
def test_the_nth_period_ends_at_n_periods(hz, count, periods, start, divide):
    """Rounded once, whatever was waited for before."""
    cpu = Cpu(timer_hz=hz)
    cpu.now = start
    cpu.set(SVR, 0x1FF)
    cpu.set(LVT_TIMER, PERIODIC | VECTOR)
    cpu.set(DIVIDE, divide[0])
    cpu.set(INITIAL, count)

    def end_of(period):
        return start + ceil(Fraction(period * count * divide[1] * 10**9, hz))

    assert cpu.lapic.deadline() == end_of(1)
    cpu.now = end_of(periods)
    assert cpu.lapic.advance() >= end_of(periods + 1) > cpu.now - 1
    assert cpu.take() == VECTOR


@given(hz=RATES, target=st.integers(1, 2**63), start=st.integers(0, 10**15))
def test_the_deadline_is_the_first_time_that_reaches_the_target(hz, target, start):
    cpu = deadline_cpu(tsc_hz=hz)
    cpu.now = start
    cpu.lapic.write_msr(TSC_DEADLINE, target)
    deadline = cpu.lapic.deadline()
    if deadline is None:
        assert cpu.lapic.tsc >= target
        return
    cpu.now = deadline - 1
    assert cpu.lapic.tsc < target
    cpu.now = deadline
    assert cpu.lapic.tsc >= target


class TickingTimer:
    """A timer that is told of every single count."""

    def __init__(self):
        self.count = self.initial = 0
        self.periodic = False
        self.expired = 0

    def tick(self):
        if self.count:
            self.count -= 1
            if not self.count:
                self.expired += 1
                self.count = self.initial if self.periodic else 0


class TimerMachine(RuleBasedStateMachine):
    """The computed timer against one that ticks, with one count a nanosecond."""

    @initialize(periodic=st.booleans())
    def start(self, periodic):
        self.cpu = enabled_cpu()
        self.cpu.set(DIVIDE, BY_1)
        self.ticking = TickingTimer()
        self.choose(periodic)

    def choose(self, periodic):
        self.cpu.set(LVT_TIMER, (PERIODIC if periodic else ONE_SHOT) | VECTOR)
        if periodic != self.ticking.periodic:
            self.ticking.count = 0
        self.ticking.periodic = periodic

    @rule(periodic=st.booleans())
    def change_mode(self, periodic):
        self.choose(periodic)

    @rule(count=st.integers(0, 30))
    def write_count(self, count):
        self.cpu.set(INITIAL, count)
        self.ticking.initial = self.ticking.count = count

    @rule(time=st.integers(0, 70))
    def pass_time(self, time):
        deadline = self.cpu.lapic.deadline()
        self.ticking.expired = 0
        for tick in range(1, time + 1):
            self.ticking.tick()
            first = self.ticking.expired == 1 and deadline is not None
            if first and self.cpu.now + tick < deadline:
                raise AssertionError("expired before the deadline")
        self.cpu.now += time
        self.cpu.lapic.advance()
        assert (self.cpu.take() == VECTOR) == (self.ticking.expired > 0)
        self.cpu.set(EOI, 0)

    @rule()
    def move_to_another_apic(self):
        saved = self.cpu.lapic.snapshot()
        other = Cpu()
        other.now = self.cpu.now
        other.lapic.restore(saved)
        self.cpu = other

    @invariant()
    def same_count(self):
        assert self.cpu.get(CURRENT) == self.ticking.count
        deadline = self.cpu.lapic.deadline()
        assert deadline == (self.cpu.now + self.ticking.count if self.ticking.count else None)


TestTimerMachine = TimerMachine.TestCase
