# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The 8254 rule by rule; sections are named as in the 8254 data sheet.

Waveforms are strings, one character a CLK pulse: "-" is a high OUT behind that pulse.
"""

import pickle
from fractions import Fraction

import pytest

from vmmkit.devices.pit8254 import (
    CounterSnapshot,
    Pit8254,
    PitSnapshot,
    Port61,
    Port61Snapshot,
)
from vmmkit.errors import DeviceError

CONTROL = 3
LSB, MSB, BOTH = 0x10, 0x20, 0x30
SECOND = 1_000_000_000


def time_of(pulse):
    """Return the first nanosecond at which `pulse` has passed."""
    return -(-pulse * 17600 // 21)


class Wired:
    """A timer whose clock the test sets, in pulses; `levels` are OUT0's."""

    def __init__(self, **config):
        self.pulse, self.offset = 0, 0
        self.levels = []
        self.pit = Pit8254(self.clock, self.levels.append, **config)

    def clock(self):
        return time_of(self.pulse) + self.offset

    def program(self, mode, *count, access=LSB, counter=0, bcd=False):
        self.pit.write(None, CONTROL, 1, counter << 6 | access | mode << 1 | bcd)
        for byte in count:
            self.write(byte, counter)

    def write(self, byte, counter=0):
        self.pit.write(None, counter, 1, byte)

    def read(self, counter=0, count=1):
        values = [self.pit.read(None, counter, 1) for _ in range(count)]
        return values if count > 1 else values[0]

    def command(self, value):
        self.pit.write(None, CONTROL, 1, value)

    def wave(self, pulses, counter=0):
        shown = ""
        for _ in range(pulses):
            self.pulse += 1
            shown += "-" if self.pit.out(counter) else "_"
        return shown

    def counts(self, pulses, counter=0):
        values = []
        for _ in range(pulses):
            self.pulse += 1
            values.append(self.pit.read(None, counter, 1))
        return values


# -- Mode Definitions: OUT ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "count", "wave"),
    [
        pytest.param(0, 4, "____------------", id="0: high N+1 pulses after the count"),
        pytest.param(0, 1, "_---------------", id="0: shortest"),
        pytest.param(1, 4, "----------------", id="1: waits for a trigger"),
        pytest.param(2, 4, "---_---_---_---_", id="2: low one pulse of N"),
        pytest.param(2, 2, "-_-_-_-_-_-_-_-_", id="2: shortest"),
        pytest.param(3, 4, "--__--__--__--__", id="3: even"),
        pytest.param(3, 5, "---__---__---__-", id="3: odd, high for (N+1)/2"),
        pytest.param(3, 3, "--_--_--_--_--_-", id="3: shortest odd"),
        pytest.param(3, 2, "-_-_-_-_-_-_-_-_", id="3: shortest"),
        pytest.param(4, 4, "----_-----------", id="4: strobes N+1 pulses after the count"),
        pytest.param(5, 4, "----------------", id="5: waits for a trigger"),
        pytest.param(6, 4, "---_---_---_---_", id="6 is 2"),
        pytest.param(7, 4, "--__--__--__--__", id="7 is 3"),
        pytest.param(2, 1, "----------------", id="2: a count of 1 is not allowed; stays high"),
        pytest.param(3, 1, "----------------", id="3: a count of 1 is not allowed; stays high"),
    ],
)
def test_out_after_a_count(mode, count, wave):
    wired = Wired()
    wired.program(mode, count)
    assert wired.wave(16) == wave  # the first pulse loads CE


@pytest.mark.parametrize(
    ("mode", "count", "wave"),
    [
        pytest.param(1, 3, "___-----", id="1: low for N pulses"),
        pytest.param(2, 3, "--_--_--", id="2: begins anew"),
        pytest.param(3, 4, "--__--__", id="3: begins anew"),
        pytest.param(5, 3, "---_----", id="5: strobes N+1 pulses later"),
    ],
)
def test_out_after_a_trigger(mode, count, wave):
    wired = Wired()
    wired.pit.set_gate(0, False)
    wired.program(mode, count)
    assert wired.wave(5) == "-----"
    wired.pit.set_gate(0, True)
    assert wired.wave(8) == wave
    wired.pulse += 1
    wired.pit.set_gate(0, False)
    wired.pit.set_gate(0, True)  # between two pulses: still a trigger
    assert wired.wave(8) == wave


@pytest.mark.parametrize("mode", [1, 5])
def test_a_trigger_before_the_count_is_none(mode):
    wired = Wired()
    wired.program(mode)
    wired.pit.set_gate(0, False)
    wired.pit.set_gate(0, True)
    wired.pulse += 1
    wired.write(2)
    assert wired.wave(6) == "------"


def test_mode_1_is_retriggerable():
    wired = Wired()
    wired.program(1, 4)
    for _ in range(3):
        wired.pit.set_gate(0, False)
        wired.pit.set_gate(0, True)
        assert wired.wave(3) == "___"
    assert wired.wave(3) == "_--"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param(0, ("___", "______", "_-----"), id="0: halts"),
        pytest.param(2, ("---", "------", "----_-"), id="2: halts and begins anew"),
        pytest.param(3, ("---", "------", "---__-"), id="3: halts and begins anew"),
        pytest.param(4, ("---", "------", "-_----"), id="4: halts"),
    ],
)
def test_gate_low_stops_counting(mode, expected):
    wired = Wired()
    wired.program(mode, 5 if mode in (2, 3) else 4)
    waves = [wired.wave(3)]
    wired.pit.set_gate(0, False)
    waves.append(wired.wave(6))
    wired.pit.set_gate(0, True)
    waves.append(wired.wave(6))
    assert tuple(waves) == expected


@pytest.mark.parametrize(("mode", "low_after"), [(2, 4), (3, 3)])
def test_gate_low_raises_out_at_once(mode, low_after):
    wired = Wired()
    wired.program(mode, 4)
    wired.pulse = low_after
    assert not wired.pit.out(0)
    wired.pit.set_gate(0, False)
    assert wired.pit.out(0)


@pytest.mark.parametrize("mode", [1, 5])
def test_gate_low_does_not_stop_modes_1_and_5(mode):
    wired = Wired()
    wired.program(mode, 3)
    wired.pit.set_gate(0, False)
    wired.pit.set_gate(0, True)
    wired.pulse += 1
    wired.pit.set_gate(0, False)
    assert wired.wave(5) == {1: "__---", 5: "--_--"}[mode]


@pytest.mark.parametrize("mode", [4, 5])
def test_a_strobe_ends_while_gate_is_low(mode):
    wired = Wired()
    wired.pit.set_gate(0, False)
    wired.program(mode, 1)
    wired.pit.set_gate(0, True)
    assert wired.wave(2) == "-_"
    wired.pit.set_gate(0, False)
    assert wired.wave(3) == "---"


# -- Mode Definitions: counts ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "count", "counts"),
    [
        pytest.param(0, 3, [3, 2, 1, 0, 0xFF, 0xFE], id="0 wraps"),
        pytest.param(2, 3, [3, 2, 1, 3, 2, 1], id="2 reloads"),
        pytest.param(3, 4, [4, 2, 4, 2, 4, 2], id="3 counts by two"),
        pytest.param(3, 5, [4, 2, 0, 4, 2, 4], id="3, odd: begins with one less"),
        pytest.param(4, 3, [3, 2, 1, 0, 0xFF, 0xFE], id="4 wraps"),
    ],
)
def test_count_by_pulse(mode, count, counts):
    wired = Wired()
    wired.program(mode, count)
    assert wired.counts(6) == counts


@pytest.mark.parametrize("mode", [0, 1, 4, 5])
def test_an_expired_counter_wraps_and_stays_silent(mode):
    wired = Wired()
    wired.program(mode, 2)
    wired.pit.set_gate(0, False)
    wired.pit.set_gate(0, True)
    wired.pulse = 4
    wired.pit.advance()
    told = len(wired.levels)
    assert wired.pit.deadline() is None
    wired.pulse += 3 * 65536
    wired.pit.advance()
    assert len(wired.levels) == told
    assert wired.read() == 0xFF


@pytest.mark.parametrize(("bcd", "modulus"), [(False, 65536), (True, 10000)])
@pytest.mark.parametrize("mode", [0, 2, 3, 4])
def test_a_count_of_zero_is_the_largest(mode, bcd, modulus):
    wired = Wired()
    wired.program(mode, 0, 0, access=BOTH, bcd=bcd)
    first = {0: modulus + 1, 2: modulus, 3: modulus // 2 + 1, 4: modulus + 1}[mode]
    assert wired.pit.deadline() == time_of(first)


def test_bcd_counts_in_decimal():
    wired = Wired()
    wired.program(2, 0x12, 0x10, access=BOTH, bcd=True)
    wired.pulse = 14
    assert wired.read(count=2) == [0x99, 0x09]
    assert wired.pit.deadline() == time_of(1012)


def test_bcd_digits_beyond_9_count_as_what_they_are():
    wired = Wired()
    wired.program(0, 0x1A, bcd=True)
    wired.pulse = 1
    assert wired.read() == 0x20


# -- Mode Definitions: a new count while counting ----------------------------------------------


@pytest.mark.parametrize(
    ("mode", "wave"),
    [
        pytest.param(0, "_____--------", id="0: counts from it at once"),
        pytest.param(2, "_----_----_--", id="2: after this period"),
        pytest.param(3, "_---__---__--", id="3: after this half"),
        pytest.param(4, "-----_-------", id="4: counts from it at once"),
    ],
)
def test_a_new_count(mode, wave):
    wired = Wired()
    wired.program(mode, 4)
    wired.pulse = 3
    wired.write(5)
    assert wired.wave(13) == wave


def test_a_new_count_in_mode_1_waits_for_the_next_trigger():
    wired = Wired()
    wired.program(1, 3)
    wired.pit.set_gate(0, False)
    wired.pit.set_gate(0, True)
    wired.pulse = 1
    wired.write(5)
    assert wired.wave(4) == "__--"
    wired.pit.set_gate(0, False)
    wired.pit.set_gate(0, True)
    assert wired.wave(7) == "_____--"


def test_the_first_byte_of_two_stops_mode_0_and_no_other():
    wired = Wired()
    wired.program(0, 3, 0, access=BOTH)
    wired.pulse = 5
    assert wired.pit.out(0)
    wired.write(2)
    assert not wired.pit.out(0)
    assert wired.wave(5) == "_____"
    wired.write(0)
    assert wired.wave(4) == "__--"
    wired.program(4, 3, 0, access=BOTH)
    wired.pulse += 2
    wired.write(9)
    assert wired.wave(4) == "-_--"


# -- Write Operations, Read Operations ---------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "written", "count", "read"),
    [
        pytest.param(LSB, [0x12], 0x0012, [0x12, 0x12], id="LSB: the other byte is zero"),
        pytest.param(MSB, [0x12], 0x1200, [0x12, 0x12], id="MSB: the other byte is zero"),
        pytest.param(BOTH, [0x34, 0x12], 0x1234, [0x34, 0x12, 0x34], id="LSB, then MSB"),
    ],
)
def test_access(access, written, count, read):
    wired = Wired()
    wired.program(2, *written, access=access)
    wired.pulse = 1
    assert wired.pit.snapshot().counters[0].ce == count
    assert wired.read(count=len(read)) == read


def test_reads_and_writes_have_flip_flops_of_their_own():
    wired = Wired()
    wired.program(2, 0x34, 0x12, access=BOTH)
    wired.pulse = 1
    assert wired.read() == 0x34
    wired.write(0x78)
    assert wired.read() == 0x12
    wired.write(0x56)
    assert wired.pit.snapshot().counters[0].count == 0x5678


def test_a_control_word_resets_the_flip_flops():
    wired = Wired()
    wired.program(2, 0x34, 0x12, access=BOTH)
    wired.pulse = 1
    wired.read()
    wired.write(0xFF)
    wired.program(2, 0x78, 0x56, access=BOTH)
    wired.pulse += 1
    assert wired.read(count=2) == [0x78, 0x56]


def test_the_control_word_register_reads_nothing():
    assert Wired().read(CONTROL) == 0xFF


def test_wide_accesses_are_bytes():
    wired = Wired()
    wired.program(2, 9)
    wired.program(2, 8, counter=1)
    wired.pulse = 1
    assert wired.pit.read(None, 0, 2) == 0x0809
    assert wired.pit.read(None, 3, 2) == 0xFFFF
    assert wired.pit.size == 4


# -- Counter Latch Command, Read-Back Command --------------------------------------------------


def test_a_latched_count_waits_until_it_is_read():
    wired = Wired()
    wired.program(2, 0x00, 0x10, access=BOTH)
    wired.pulse = 2
    wired.command(0x00)
    wired.pulse = 0x801
    wired.command(0x00)  # ignored
    assert wired.read(count=2) == [0xFF, 0x0F]
    assert wired.read(count=2) == [0x00, 0x08]


def test_a_control_word_ends_a_latch():
    wired = Wired()
    wired.program(2, 9)
    wired.pulse = 1
    wired.command(0x00)
    wired.command(0xE2)
    wired.program(2, 7)
    wired.pulse = 2
    assert wired.read() == 7


def test_read_back_latches_several_counters():
    wired = Wired()
    for counter, count in enumerate((10, 20, 30)):
        wired.program(2, count, counter=counter)
    wired.pulse = 4
    wired.command(0xD0 | 0x0A)  # counters 0 and 2, count only
    wired.pulse = 7
    assert [wired.read(counter) for counter in range(3)] == [7, 14, 27]


def test_read_back_shows_status_before_the_count():
    wired = Wired()
    wired.program(7, 10, bcd=False)
    wired.command(0xC2)
    wired.pulse = 1
    wired.command(0xC2)  # ignored: nothing was read yet
    assert wired.read() == 0xC0 | LSB | 0x0E  # OUT, null count, LSB, mode as written
    wired.command(0xE2)
    assert wired.read() == 0x80 | LSB | 0x0E
    wired.read()
    assert wired.read() == 10


def test_null_count_ends_when_the_count_is_loaded():
    wired = Wired()
    wired.program(2, 4, 0, access=BOTH)
    status = []
    for pulse, byte in ((0, None), (1, None), (2, 9), (2, 0), (4, None), (5, None)):
        wired.pulse = pulse
        if byte is not None:
            wired.write(byte)
        wired.command(0xE2)
        status.append(bool(wired.read() & 0x40))
    assert status == [True, False, False, True, True, False]


# -- time --------------------------------------------------------------------------------------


def test_a_pulse_is_88_over_105_microseconds_and_nothing_drifts():
    now = 0
    pit = Pit8254(lambda: now, lambda level: None)
    period = Fraction(88, 105) * 1000 * 65536
    pit.write(None, CONTROL, 1, 0x34)
    pit.write(None, 0, 1, 0)
    pit.write(None, 0, 1, 0)
    for tick in (1, 2, 3, 1000, 10**6, 10**9):
        now = int((tick - 1) * period) + 839  # the pulse that begins this period
        pit.advance()
        deadline = pit.deadline()
        exact = tick * period
        assert exact <= deadline < exact + 1
        now = deadline - 1
        assert pit.out(0)
        now = deadline
        assert not pit.out(0)


def test_deadlines_count_outputs_that_are_heard():
    wired = Wired()
    wired.program(2, 100, counter=2)
    assert wired.pit.deadline() is None
    wired.program(2, 200)
    assert wired.pit.deadline() == time_of(200)
    wired.pit.connect(2, lambda level: None)
    assert wired.pit.deadline() == time_of(100)
    wired.pit.connect(2, None)
    assert wired.pit.deadline() == time_of(200)


@pytest.mark.parametrize("mode", range(6))
def test_no_deadline_without_a_count(mode):
    wired = Wired()
    wired.program(mode)
    wired.pulse = 5
    assert wired.pit.deadline() is None


def test_a_late_owner_hears_of_the_newest_pulse():
    wired = Wired()
    wired.program(2, 2)
    wired.levels.clear()
    wired.pulse = 10**12
    assert wired.pit.deadline() < wired.clock()
    wired.pit.advance()
    assert 0 < len(wired.levels) <= 4
    assert wired.pit.pulses == 10**12


@pytest.mark.parametrize("mode", [2, 3])
def test_a_count_of_1_costs_no_more_than_others(mode):
    wired = Wired()
    wired.program(mode, 1)
    wired.pulse = 10**12
    wired.pit.advance()
    wired.write(1)
    wired.pulse *= 2
    wired.pit.advance()
    assert wired.pit.deadline() is None


def test_the_clock_may_begin_anywhere():
    wired = Wired()
    wired.offset = 5 * SECOND + 1
    pit = Pit8254(wired.clock, lambda level: None)
    pit.write(None, CONTROL, 1, 0x14)
    pit.write(None, 0, 1, 9)
    assert pit.deadline() == 5 * SECOND + 1 + time_of(9)


# -- port 61h ----------------------------------------------------------------------------------


class Port:
    """A timer with port 61h; `sound` is what the speaker heard."""

    def __init__(self):
        self.wired = Wired()
        self.sound = []
        self.port61 = Port61(self.wired.pit, self.sound.append)

    def outb(self, value):
        self.port61.write(None, 0, 1, value)

    def inb(self):
        return self.port61.read(None, 0, 1)


def test_port61_keeps_four_bits():
    port = Port()
    port.outb(0xFF)
    assert port.inb() & 0xCF == 0x0F
    assert port.port61.read(None, 0, 2) >> 8 == 0xFF
    port.port61.reset()
    assert port.inb() & 0x0F == 0


def test_the_refresh_bit_turns_each_18_pulses():
    port = Port()
    bits = []
    for _ in range(72):
        bits.append(bool(port.inb() & 0x10))
        port.wired.pulse += 1
    assert bits == 18 * [False] + 18 * [True] + 18 * [False] + 18 * [True]


def test_bit_0_is_the_gate_and_bit_5_the_output():
    port = Port()
    port.wired.program(0, 4, counter=2)
    port.wired.pulse = 20
    assert not port.inb() & 0x20
    port.outb(0x01)
    port.wired.pulse = 23
    assert not port.inb() & 0x20
    port.wired.pulse = 24
    assert port.inb() & 0x20


def test_the_speaker_sounds_where_bit_1_lets_it():
    port = Port()
    pit = port.wired.pit
    port.wired.program(3, 10, counter=2)
    assert (port.sound, pit.deadline()) == ([], None)
    port.outb(0x03)
    assert port.sound == [True]
    assert pit.deadline() == time_of(6)
    port.wired.pulse = 6
    pit.advance()
    assert port.sound == [True, False]
    port.outb(0x00)  # the gate raises OUT2, but the speaker is off
    assert port.sound == [True, False]
    assert pit.deadline() is None
    port.outb(0x02)  # by hand, as music was made on a speaker without a timer
    assert port.sound == [True, False, True]


def test_port61_moves_after_its_timer():
    port = Port()
    port.wired.program(3, 10, counter=2)
    port.outb(0x03)
    port.wired.pulse = 6
    pit, port61 = port.wired.pit.snapshot(), port.port61.snapshot()
    other = Port()
    other.wired.pit.restore(pit)
    other.port61.restore(port61)
    assert other.sound == []
    other.wired.pulse = 5
    other.wired.pit.advance()
    assert other.sound == [True]
    assert other.port61.snapshot() == port61
    assert repr(other.port61) == "<Port61 03>"


# -- drivers -----------------------------------------------------------------------------------


def test_calibration_through_port_61_takes_the_time_it_should():
    """Mode 0 on counter 2 for 50 ms, polled: how Linux measures its TSC."""
    port = Port()
    port.outb(port.inb() & ~0x02 | 0x01)
    latch = 1193182 // 20
    port.wired.program(0, latch & 0xFF, latch >> 8, access=BOTH, counter=2)
    begin = port.wired.clock()
    polls = 0
    while not port.inb() & 0x20:
        port.wired.pulse += 10
        polls += 1
    assert abs(port.wired.clock() - begin - 50_000_000) < 10_000
    assert polls == -(-(latch + 1) // 10)


def test_calibration_by_the_high_byte():
    """Linux's quick way: count from FFFFh and wait for each new high byte."""
    port = Port()
    port.outb(0x01)
    port.wired.program(0, 0xFF, 0xFF, access=BOTH, counter=2)
    times = {}
    while len(times) < 4:
        _, high = port.wired.read(2, count=2)
        times.setdefault(high, port.wired.clock())
        port.wired.pulse += 2
    assert list(times) == [0, 0xFF, 0xFE, 0xFD] or list(times) == [0xFF, 0xFE, 0xFD, 0xFC]
    assert abs(times[0xFE] - times[0xFD]) in range(time_of(254), time_of(259))


def test_a_tick_of_1000_hz():
    wired = Wired()
    latch = (1193182 + 500) // 1000
    wired.program(2, latch & 0xFF, latch >> 8, access=BOTH)
    rises = 0
    while (deadline := wired.pit.deadline()) <= SECOND:
        before = len(wired.levels)
        wired.pulse, wired.offset = 0, deadline
        wired.pit.advance()
        assert len(wired.levels) == before + 1
        rises += wired.levels[-1]
    assert rises == 1000


# -- callables ---------------------------------------------------------------------------------


def test_an_output_may_call_back_into_the_timer():
    """One-shots that program the next one from their interrupt."""
    fired = []

    def interrupt(level):
        if level and len(fired) < 3:
            fired.append(wired.pulse)
            wired.write(4)
            wired.pit.snapshot()

    wired = Wired()
    wired.pit = Pit8254(wired.clock, interrupt)
    wired.program(0, 4)
    for _ in range(30):
        wired.pulse += 1
        wired.pit.advance()
    assert fired == [5, 10, 15]


def test_an_exception_out_of_an_output_leaves_the_timer_usable():
    def interrupt(level):
        if level:
            raise RuntimeError

    wired = Wired()
    wired.pit = Pit8254(wired.clock, interrupt)
    wired.program(0, 2)
    wired.pulse = 5
    with pytest.raises(RuntimeError):
        wired.pit.advance()
    assert wired.pit.out(0)
    assert wired.read() == 0xFE


# -- snapshots ---------------------------------------------------------------------------------


def test_no_time_passes_between_snapshot_and_restore():
    wired = Wired()
    wired.program(2, 100)
    wired.pulse = 30
    wired.offset = 100
    saved = pickle.loads(pickle.dumps(wired.pit.snapshot()))
    other = Wired()
    other.pulse = 10**6
    other.pit.restore(saved)
    assert other.levels == [True]
    assert other.pit.snapshot() == saved
    assert other.pit.deadline() == other.clock() + wired.pit.deadline() - wired.clock()


def test_reset_keeps_the_gates():
    wired = Wired()
    wired.pit.set_gate(1, False)
    wired.program(2, 100)
    wired.pulse = 5
    wired.pit.reset()
    gates = [counter.gate for counter in wired.pit.snapshot().counters]
    assert gates == [True, False, True]
    assert wired.levels == [True, False]
    assert repr(wired.pit) == "<Pit8254 0:0000- 0:0000- 0:0000->"


@pytest.mark.parametrize(
    "fields",
    [
        {"control": 0x40},
        {"control": 0x0F},
        {"control": 0x31, "ce": 10000},
        {"control": 0x36, "ce": 3, "running": True},
        {"out": 1},
        {"ce": -1},
        {"first_byte": 256},
        {"latched": (1, 2, 3)},
        {"latched": [1]},
        {"status": "x"},
    ],
)
def test_impossible_snapshots(fields):
    with pytest.raises(DeviceError):
        CounterSnapshot(**fields)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: Pit8254(None),
        lambda: Pit8254(lambda: 0.5),
        lambda: Pit8254(lambda: 0, 7),
        lambda: Wired().pit.connect(3, None),
        lambda: Wired().pit.connect(0, 5),
        lambda: Wired().pit.out(-1),
        lambda: Wired().pit.set_gate(3, True),
        lambda: Wired().pit.restore(None),
        lambda: PitSnapshot(time=-1),
        lambda: PitSnapshot(counters=()),
        lambda: PitSnapshot(counters=(None, None, None)),
        lambda: Port61(None),
        lambda: Port61(Wired().pit, 5),
        lambda: Port61(Wired().pit).restore(None),
        lambda: Port61Snapshot(16),
    ],
)
def test_the_owners_mistakes(mistake):
    with pytest.raises(DeviceError):
        mistake()
