# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The 8254 against a model that goes from CLK pulse to CLK pulse, under random accesses.

The device subtracts and predicts; the model has one function per mode, called for each pulse.
"""

import pickle

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vmmkit.devices.pit8254 import Pit8254


def time_of(pulse):
    """Return the first nanosecond at which `pulse` has passed."""
    return (pulse * 17600 + 20) // 21


class NaiveCounter:
    """A counter told as what happens at one pulse."""

    def __init__(self):
        self.gate, self.rose = True, False
        self.program(access=3, mode=0, bcd=False)
        self.ce = 0

    def program(self, access, mode, bcd):
        self.access, self.mode, self.bcd = access, mode, bcd
        self.out = mode > 0
        self.written = None  # a count waiting to be loaded by its due event
        self.cr = None
        self.low = None
        self.stopped = True
        self.expired = False
        self.n = None
        self.null = True
        self.rose = False
        self.latch, self.latched_status, self.high_next = [], None, False
        if bcd:
            self.ce = getattr(self, "ce", 0) % 10000

    def wrap(self, value):
        return value % (10000 if self.bcd else 65536)

    # -- writes

    def write(self, byte):
        if self.access == 3 and self.low is None:
            self.low = byte
            if self.mode == 0:
                self.out, self.stopped, self.written = False, True, None
            return
        if self.access == 3:
            count = self.low + 256 * byte
            self.low = None
        else:
            count = byte if self.access == 1 else 256 * byte
        if self.bcd:
            digits = [count // 16**place % 16 for place in range(4)]
            count = sum(digit * 10**place for place, digit in enumerate(digits))
        first, self.cr = self.cr is None, self.wrap(count)
        self.null = True
        if self.mode in (0, 4) or (self.mode in (2, 3) and first):
            self.written = self.cr
        if self.mode == 0:
            self.out, self.stopped = False, True

    def set_gate(self, level):
        if level and not self.gate:
            self.rose = True
        if not level and self.mode in (2, 3):
            self.out = True
        self.gate = level

    # -- one pulse

    def pulse(self):
        rose, self.rose = self.rose and self.cr is not None, False
        (self.to_zero, self.one_shot, self.rate, self.square, self.strobe, self.hard_strobe)[
            self.mode
        ](rose)

    def start(self, count):
        self.ce = self.n = count
        self.written, self.stopped, self.expired, self.null = None, False, False, False

    def to_zero(self, rose):
        if self.written is not None:
            self.start(self.written)
        elif self.gate and not self.stopped:
            self.ce = self.wrap(self.ce - 1)
            if self.ce == 0:
                self.out = True

    def one_shot(self, rose):
        if rose:
            self.start(self.cr)
            self.out = False
        elif not self.stopped:
            self.ce = self.wrap(self.ce - 1)
            if self.ce == 0:
                self.out = True

    def rate(self, rose):
        if self.written is not None or rose:
            self.start(self.cr)
            self.out = True
        elif self.gate and not self.stopped:
            if self.ce == 1:
                self.start(self.cr)
                self.out = True
            else:
                self.ce = self.wrap(self.ce - 1)
                if self.ce == 1:
                    self.out = False

    def begin_half(self):
        self.start(self.cr)
        whole = self.n or self.wrap(-1) + 1
        self.ce = self.n - self.n % 2
        # How many pulses each half lasts: (N + 1) / 2 and (N - 1) / 2.
        self.half = (whole + 1) // 2 if self.out else max(whole // 2, 1)

    def square(self, rose):
        if self.written is not None or rose:
            self.out = True
            self.begin_half()
        elif self.gate and not self.stopped:
            self.half -= 1
            if self.half:
                self.ce = self.wrap(self.ce - 2)
            else:
                self.out = self.n == 1 or not self.out
                self.begin_half()

    def strobe(self, rose):
        self.out = True
        if self.written is not None:
            self.start(self.written)
        elif self.gate and not self.stopped:
            self.strobe_count()

    def hard_strobe(self, rose):
        self.out = True
        if rose:
            self.start(self.cr)
        elif not self.stopped:
            self.strobe_count()

    def strobe_count(self):
        self.ce = self.wrap(self.ce - 1)
        if self.ce == 0 and not self.expired:
            self.expired, self.out = True, False

    # -- reads

    def bytes_now(self):
        low, high = bytes.fromhex(f"{self.ce:04d}" if self.bcd else f"{self.ce:04x}")[::-1]
        return {1: [low], 2: [high], 3: [low, high]}[self.access]

    def latch_count(self):
        self.latch = self.latch or self.bytes_now()

    def latch_status(self, mode_bits):
        if self.latched_status is None:
            self.latched_status = (
                128 * self.out + 64 * self.null + 16 * self.access + 2 * mode_bits + self.bcd
            )

    def read(self):
        if self.latched_status is not None:
            value, self.latched_status = self.latched_status, None
            return value
        if self.latch:
            return self.latch.pop(0)
        value = self.bytes_now()[self.high_next if self.access == 3 else 0]
        self.high_next = self.access == 3 and not self.high_next
        return value


COUNTERS = st.integers(0, 2)
# Short counts, so that much happens; all of them have a short low byte.
BYTES = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 9, 0x10, 0x15]) | st.integers(0, 255)


class PitMachine(RuleBasedStateMachine):
    @initialize(fraction=st.integers(0, 10**9))
    def plug_in(self, fraction):
        self.zero = fraction
        self.pulse = 0
        self.now = self.zero
        self.naive = [NaiveCounter() for _ in range(3)]
        self.mode_bits = [0, 0, 0]
        self.new_device()

    def new_device(self):
        self.heard = [[] for _ in range(3)]
        self.pit = Pit8254(lambda: self.now, self.listener(0))
        for index in (1, 2):
            self.pit.connect(index, self.listener(index))

    def listener(self, index):
        return lambda level: self.heard[index].append((self.now, level))

    def control(self, value):
        self.pit.write("cpu", 3, 1, value)

    @rule(
        index=COUNTERS,
        access=st.sampled_from([1, 1, 2, 3]),
        mode_bits=st.integers(0, 7),
        bcd=st.booleans(),
        count=st.none() | BYTES,
    )
    def guest_programs(self, index, access, mode_bits, bcd, count):
        self.control(64 * index + 16 * access + 2 * mode_bits + bcd)
        self.mode_bits[index] = mode_bits
        mode = mode_bits if mode_bits < 6 else mode_bits - 4
        self.naive[index].program(access, mode, bcd)
        if count is not None:
            self.guest_writes(index, count)
            if access == 3:
                self.guest_writes(index, 0)

    @rule(index=COUNTERS, byte=BYTES)
    def guest_writes(self, index, byte):
        self.pit.write("cpu", index, 1, byte)
        self.naive[index].write(byte)

    @rule(index=COUNTERS)
    def guest_reads(self, index):
        assert self.pit.read("cpu", index, 1) == self.naive[index].read()

    @rule(index=COUNTERS)
    def guest_latches(self, index):
        self.control(64 * index)
        self.naive[index].latch_count()

    @rule(which=st.integers(0, 7), count=st.booleans(), status=st.booleans())
    def guest_reads_back(self, which, count, status):
        self.control(0xC0 + 0x20 * (not count) + 0x10 * (not status) + 2 * which)
        for index, naive in enumerate(self.naive):
            if which & 2**index and count:
                naive.latch_count()
            if which & 2**index and status:
                naive.latch_status(self.mode_bits[index])

    @rule(index=COUNTERS, level=st.booleans())
    def gate_changes(self, index, level):
        self.pit.set_gate(index, level)
        self.naive[index].set_gate(level)

    @rule(index=COUNTERS)
    def gate_pulses(self, index):
        self.gate_changes(index, False)
        self.gate_changes(index, True)

    def naive_pulses(self, count):
        """Let `count` pulses pass in the model; return each counter's (pulse, level) changes."""
        changes = [[] for _ in range(3)]
        for pulse in range(self.pulse + 1, self.pulse + count + 1):
            for index, naive in enumerate(self.naive):
                before = naive.out
                naive.pulse()
                if naive.out != before:
                    changes[index].append((self.zero + time_of(pulse), naive.out))
        self.pulse += count
        return changes

    @rule(count=st.integers(1, 40) | st.integers(1, 400))
    def time_passes(self, count):
        """An owner that keeps to the deadlines hears of each change at its time."""
        changes = self.naive_pulses(count)
        target = self.zero + time_of(self.pulse)
        self.heard = [[] for _ in range(3)]
        for index in range(3):
            self.pit.connect(index, self.listener(index))
        while (deadline := self.pit.deadline()) is not None and deadline <= target:
            assert deadline > self.now
            self.now = deadline
            self.pit.advance()
        self.now = target
        self.pit.advance()
        assert self.heard == changes

    @rule(count=st.integers(1, 40) | st.integers(1, 3000))
    def time_passes_unnoticed(self, count):
        """An owner that comes late hears of the newest changes, and the state is the same."""
        before = [naive.out for naive in self.naive]
        changes = self.naive_pulses(count)
        self.heard = [[] for _ in range(3)]
        for index in range(3):
            self.pit.connect(index, self.listener(index))
        self.now = self.zero + time_of(self.pulse)
        self.pit.advance()
        for index in range(3):
            told = [level for _, level in self.heard[index]]
            levels = [level for _, level in changes[index]]
            assert told == levels[len(levels) - len(told) :]
            assert bool(told) == bool(levels)
            assert not told or told[0] is not before[index]

    @rule()
    def move_to_another_device(self):
        saved = pickle.loads(pickle.dumps(self.pit.snapshot()))
        self.now += 12345
        self.zero += 12345
        self.new_device()
        self.pit.restore(saved)
        assert self.pit.snapshot() == saved

    @invariant()
    def agrees(self):
        assert [self.pit.out(index) for index in range(3)] == [c.out for c in self.naive]
        for counter, naive in zip(self.pit.snapshot().counters, self.naive, strict=True):
            assert (counter.ce, counter.null_count) == (naive.ce, naive.null)


TestPit = PitMachine.TestCase
TestPit.settings = settings(stateful_step_count=40)
