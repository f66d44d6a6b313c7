# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The MC146818A rule by rule; sections are named as in the MC146818A data sheet."""

import pickle
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from vmmkit.devices.rtc_mc146818 import Mc146818, RtcSnapshot
from vmmkit.errors import DeviceError

SECONDS, MINUTES, HOURS, WEEKDAY, DATE, MONTH, YEAR = 0, 2, 4, 6, 7, 8, 9
ALARMS = (1, 3, 5)
A, B, C, D, CENTURY = 0x0A, 0x0B, 0x0C, 0x0D, 0x32
SET, PIE, AIE, UIE, SQWE, DM, H24 = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02
UIP, IRQF, PF, AF, UF = 0x80, 0x80, 0x40, 0x20, 0x10
SECOND = 1_000_000_000
US = 1000
START = datetime.fromisoformat("2026-11-22 13:14:15")


class Wired:
    """A clock whose time the test sets."""

    def __init__(self, start=START, **config):
        self.now = 0
        self.levels, self.masks = [], []
        self.rtc = Mc146818(
            lambda: self.now, start, self.levels.append, mask_nmi=self.masks.append, **config
        )

    def get(self, index):
        self.rtc.write(None, 0, 1, index)
        return self.rtc.read(None, 1, 1)

    def put(self, index, value):
        self.rtc.write(None, 0, 2, index | value << 8)

    def wait(self, seconds=0.0, ns=0):
        self.now += round(seconds * SECOND) + ns
        self.rtc.advance()

    def time(self):
        return [self.get(index) for index in (HOURS, MINUTES, SECONDS)]

    def date(self):
        return [self.get(index) for index in (CENTURY, YEAR, MONTH, DATE, WEEKDAY)]


# -- Address Map; the ports --------------------------------------------------------------------


@pytest.mark.parametrize("index", [0x0E, 0x31, 0x33, 0x3F, 0x40, 0x7F])
def test_ram_keeps_bytes(index):
    wired = Wired()
    wired.put(index, 0xA5)
    assert wired.get(index) == 0xA5
    assert wired.rtc.ram[index] == 0xA5


def test_the_index_port_is_write_only():
    assert Wired().rtc.read(None, 0, 1) == 0xFF


def test_bit_7_of_the_index_port_masks_nmis():
    wired = Wired()
    wired.put(0x8F, 0x12)
    assert (wired.masks, wired.rtc.nmi_masked) == ([True], True)
    wired.put(0x8E, 0x34)
    assert wired.get(0x0F) == 0x12
    assert (wired.masks, wired.rtc.nmi_masked) == ([True, False], False)


def test_firmware_fills_the_ram():
    wired = Wired()
    wired.rtc.load_ram(0x15, b"\x80\x02")
    assert [wired.get(0x15), wired.get(0x16)] == [0x80, 0x02]


def test_ram_shows_the_registers_without_reading_them():
    wired = Wired()
    wired.put(B, UIE | H24)
    wired.wait(1)
    assert wired.rtc.ram[A : D + 1] == bytes([0x26, UIE | H24, IRQF | UF | PF, 0x80])
    assert wired.get(C) == IRQF | UF | PF


# -- Time, Calendar, and Alarm Locations -------------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "hour", "shown"),
    [
        pytest.param(H24, 0, 0x00, id="BCD, 24 hours, midnight"),
        pytest.param(H24, 23, 0x23, id="BCD, 24 hours"),
        pytest.param(H24 | DM, 23, 23, id="binary, 24 hours"),
        pytest.param(0, 0, 0x12, id="BCD, 12 hours, midnight"),
        pytest.param(0, 11, 0x11, id="BCD, 12 hours, morning"),
        pytest.param(0, 12, 0x92, id="BCD, 12 hours, noon"),
        pytest.param(0, 23, 0x91, id="BCD, 12 hours, evening"),
        pytest.param(DM, 0, 12, id="binary, 12 hours, midnight"),
        pytest.param(DM, 12, 0x80 | 12, id="binary, 12 hours, noon"),
        pytest.param(DM, 22, 0x80 | 10, id="binary, 12 hours, evening"),
    ],
)
def test_formats(formats, hour, shown):
    wired = Wired()
    wired.put(B, formats)
    wired.rtc.set_date_time(START.replace(hour=hour))
    assert wired.get(HOURS) == shown
    assert wired.get(MINUTES) == (14 if formats & DM else 0x14)
    assert wired.rtc.date_time == START.replace(hour=hour)
    wired.wait(3600 * 24)
    assert wired.get(HOURS) == shown
    assert wired.rtc.date_time == START.replace(hour=hour, day=23)


def test_first_values():
    wired = Wired()
    assert wired.time() == [0x13, 0x14, 0x15]
    assert wired.date() == [0x20, 0x26, 0x11, 0x22, 1]  # a Sunday
    assert [wired.get(index) for index in (A, B, C, D)] == [0x26, H24, 0, 0x80]


@pytest.mark.parametrize(
    ("before", "after", "century"),
    [
        ("2026-11-22 13:14:15", "2026-11-22 13:14:16", 0x32),
        ("2026-11-22 13:14:59", "2026-11-22 13:15:00", 0x32),
        ("2026-11-22 13:59:59", "2026-11-22 14:00:00", 0x32),
        ("2026-11-28 23:59:59", "2026-11-29 00:00:00", 0x32),
        ("2026-11-30 23:59:59", "2026-12-01 00:00:00", 0x32),
        ("2026-01-31 23:59:59", "2026-02-01 00:00:00", 0x32),
        ("2026-02-28 23:59:59", "2026-03-01 00:00:00", 0x32),
        ("2024-02-28 23:59:59", "2024-02-29 00:00:00", 0x32),
        ("2024-02-29 23:59:59", "2024-03-01 00:00:00", 0x32),
        ("2000-02-28 23:59:59", "2000-02-29 00:00:00", 0x32),
        ("2100-02-28 23:59:59", "2100-03-01 00:00:00", 0x32),
        ("1999-12-31 23:59:59", "2000-01-01 00:00:00", 0x32),
        ("1999-12-31 23:59:59", "2000-01-01 00:00:00", None),
        ("2079-12-31 23:59:59", "1980-01-01 00:00:00", None),
        ("2000-02-28 23:59:59", "2000-02-29 00:00:00", None),
    ],
)
@pytest.mark.parametrize("formats", [0, DM, H24, H24 | DM])
def test_one_update(before, after, century, formats):
    wired = Wired(century=century)
    wired.put(B, formats)
    wired.rtc.set_date_time(datetime.fromisoformat(before))
    weekday = wired.get(WEEKDAY)
    wired.wait(1)
    assert wired.rtc.date_time == datetime.fromisoformat(after)
    new_day = before[:10] != after[:10]
    assert wired.get(WEEKDAY) == (weekday % 7 + 1 if new_day else weekday)


def test_two_digits_take_2100_for_a_leap_year():
    wired = Wired(century=None)
    for index, value in ((YEAR, 0x00), (MONTH, 0x02), (DATE, 0x28), (HOURS, 0x23)):
        wired.put(index, value)
    wired.wait(3600)
    assert wired.get(DATE) == 0x29


@pytest.mark.parametrize("days", [1, 59, 366, 1461, 36525, 146097])
def test_many_updates_at_once(days):
    start = datetime.fromisoformat("2023-12-31 23:59:58")
    wired = Wired(start)
    wired.wait(days * 86400 + 3)
    expected = start + timedelta(days=days, seconds=3)
    assert wired.rtc.date_time == expected
    assert wired.get(WEEKDAY) == expected.isoweekday() % 7 + 1


def test_a_start_between_two_seconds_keeps_its_fraction():
    wired = Wired(START.replace(microsecond=750_000))
    wired.wait(0.2499999)
    assert wired.rtc.date_time == START
    wired.wait(ns=100)
    assert wired.rtc.date_time == START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("index", "value", "expected"),
    [
        pytest.param(SECONDS, 0x75, "2026-11-22 13:14:16", id="seconds"),
        pytest.param(MINUTES, 0x99, "2026-11-22 13:39:16", id="minutes"),
        pytest.param(HOURS, 0x45, "2026-11-22 21:14:16", id="hours"),
    ],
)
def test_times_out_of_range_count_modulo_their_range(index, value, expected):
    wired = Wired()
    wired.put(index, value)
    assert wired.get(index) == value
    wired.wait(1)
    assert wired.rtc.date_time == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("month", "date", "then"),
    [(0x02, 0x31, (0x03, 0x01)), (0x13, 0x01, (0x01, 0x02)), (0x00, 0x00, (0x12, 0x02))],
)
def test_dates_that_are_none_end_with_their_day(month, date, then):
    wired = Wired(START.replace(hour=23, minute=59, second=59))
    wired.put(MONTH, month)
    wired.put(DATE, date)
    assert wired.rtc.date_time is None
    wired.wait(1)
    assert (wired.get(MONTH), wired.get(DATE)) == then


# -- Update Cycle ------------------------------------------------------------------------------


def test_uip_begins_244_us_before_the_update_and_ends_with_it():
    wired = Wired()
    shown = []
    for at in (
        SECOND - 2228 * US - 1,
        SECOND - 2228 * US,
        SECOND - 1984 * US,
        SECOND - 1,
        SECOND,
    ):
        wired.now = at
        shown.append((bool(wired.get(A) & UIP), wired.get(SECONDS)))
    assert shown == [(False, 0x15), (True, 0x15), (True, 0x15), (True, 0x15), (False, 0x16)]


def test_a_read_begun_without_uip_has_244_us():
    """The loop of drivers: wait for UIP to be clear, read, see that nothing changed."""
    wired = Wired()
    for start in range(0, 3 * SECOND, 977 * US):
        wired.now = start
        if wired.get(A) & UIP:
            continue
        before = wired.time()
        wired.now = start + 243 * US
        assert wired.time() == before


def test_set_inhibits_updates_and_clears_uie():
    wired = Wired()
    wired.put(B, UIE | H24)
    wired.wait(0.5)
    wired.put(B, SET | UIE | H24)
    assert wired.get(B) == SET | H24
    wired.wait(10)
    assert (wired.get(A) & UIP, wired.get(SECONDS), wired.get(C) & UF) == (0, 0x15, 0)
    wired.put(B, H24)
    wired.wait(0.5)
    assert wired.get(SECONDS) == 0x16  # the divider ran on


@pytest.mark.parametrize(
    ("set_at", "clear_at", "updated"),
    [
        pytest.param(-2300, -2250, True, id="before UIP"),
        pytest.param(-2200, -2000, True, id="ended before the update begins"),
        pytest.param(-1000, -500, False, id="aborts the update"),
        pytest.param(-2200, -500, False, id="the update does not begin"),
        pytest.param(-500, 500, False, id="over the end"),
    ],
)
def test_set_near_an_update(set_at, clear_at, updated):
    wired = Wired()
    wired.now = SECOND + set_at * US
    wired.put(B, SET | H24)
    wired.now = SECOND + clear_at * US
    assert not wired.get(A) & UIP
    wired.put(B, H24)
    assert bool(wired.get(A) & UIP) == (updated and clear_at >= -2228)
    wired.now = SECOND + 600 * US
    assert wired.get(SECONDS) == (0x16 if updated else 0x15)
    wired.wait(1)
    assert wired.get(SECONDS) == (0x17 if updated else 0x16)


def test_setting_the_time():
    wired = Wired()
    wired.put(B, SET | H24)
    for index, value in (
        (SECONDS, 0x58), (MINUTES, 0x59), (HOURS, 0x23), (WEEKDAY, 3),
        (DATE, 0x29), (MONTH, 0x02), (YEAR, 0x28), (CENTURY, 0x20),
    ):  # fmt: skip
        wired.put(index, value)
    wired.put(B, H24)
    assert wired.rtc.date_time == datetime.fromisoformat("2028-02-29 23:59:58")
    wired.wait(2)
    assert wired.date() == [0x20, 0x28, 0x03, 0x01, 4]
    assert wired.time() == [0, 0, 0]


# -- Divider Control ---------------------------------------------------------------------------


@pytest.mark.parametrize("dv", [0x60, 0x70, 0x00, 0x10, 0x30, 0x40, 0x50])
def test_a_held_divider_stops_everything(dv):
    wired = Wired()
    wired.put(B, PIE | UIE | H24)
    wired.put(A, dv | 0x06)
    assert wired.get(A) == dv | 0x06
    assert wired.rtc.deadline() is None
    wired.wait(10)
    assert (wired.get(SECONDS), wired.get(C), wired.get(A) & UIP) == (0x15, 0, 0)


def test_a_released_divider_updates_half_a_second_later():
    """As Linux sets the time: SET, divider reset, bytes, divider back, SET off."""
    wired = Wired()
    wired.wait(0.3)
    wired.put(B, SET | H24)
    wired.put(A, 0x76)
    wired.put(SECONDS, 0x30)
    wired.wait(0.1)
    wired.put(A, 0x26)
    wired.put(B, H24)
    released = wired.now
    wired.now = released + SECOND // 2 + 1984 * US - 1
    assert (wired.get(SECONDS), wired.get(A) & UIP) == (0x30, UIP)
    wired.now += 1
    assert (wired.get(SECONDS), wired.get(A) & UIP) == (0x31, 0)


def test_writing_a_again_does_not_move_the_phase():
    wired = Wired()
    wired.wait(0.7)
    wired.put(A, 0x2F)
    wired.put(A, 0xA6)
    assert wired.get(A) == 0x26
    wired.wait(0.3)
    assert wired.get(SECONDS) == 0x16


# -- Interrupts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enable", "flags", "after"),
    [
        pytest.param(PIE, PF, 1 / 1024, id="periodic"),
        pytest.param(UIE, PF | UF, 1, id="update ended"),
        pytest.param(AIE, PF | UF | AF, 5, id="alarm"),
    ],
)
def test_each_interrupt(enable, flags, after):
    wired = Wired()
    for index, value in zip(ALARMS, (0x20, 0x14, 0x13), strict=True):
        wired.put(index, value)
    wired.put(B, enable | H24)
    assert 0 < wired.rtc.deadline() <= after * SECOND
    wired.now = wired.rtc.deadline() - 1
    wired.rtc.advance()
    assert wired.levels == []
    wired.wait(ns=1)
    assert wired.levels == [True]
    assert wired.rtc.deadline() is None  # up until register C is read
    assert wired.get(C) == IRQF | flags
    assert wired.levels == [True, False]
    assert wired.get(C) == 0
    assert wired.rtc.deadline() > wired.now


def test_flags_are_set_without_their_enables():
    wired = Wired()
    for index in ALARMS:
        wired.put(index, 0xFF)
    wired.wait(1)
    assert wired.levels == []
    assert wired.get(C) == PF | AF | UF


def test_enabling_a_flag_that_is_set_interrupts_at_once():
    wired = Wired()
    wired.wait(1)
    wired.put(B, UIE | H24)
    assert wired.levels == [True]
    wired.put(B, H24)
    assert wired.levels == [True, False]
    assert wired.get(C) == PF | UF


def test_registers_c_and_d_are_read_only():
    wired = Wired()
    wired.wait(1)
    wired.put(C, 0)
    wired.put(D, 0)
    assert (wired.get(C), wired.get(D)) == (PF | UF, 0x80)


def test_the_reset_pin():
    wired = Wired()
    wired.put(B, PIE | AIE | UIE | SQWE | DM)
    wired.put(0x40, 1)
    wired.wait(1)
    wired.rtc.reset()
    assert (wired.get(B), wired.get(C), wired.get(0x40)) == (DM, 0, 1)
    assert wired.levels == [True, False]
    wired.wait(1)
    assert wired.get(C) == PF | UF


@pytest.mark.parametrize(
    ("rate", "hertz"),
    [(1, 256), (2, 128), *((rate, 65536 >> rate) for rate in range(3, 16))],
)
def test_periodic_interrupt_selection(rate, hertz):
    wired = Wired()
    wired.put(A, 0x20 | rate)
    wired.put(B, PIE | H24)
    edges = []
    for _ in range(5):
        wired.now = wired.rtc.deadline()
        wired.rtc.advance()
        assert wired.get(C) & PF
        edges.append(wired.now)
    spans = [later - earlier for earlier, later in pairwise(edges)]
    assert all(abs(span * hertz - SECOND) <= hertz for span in spans)


def test_rate_zero_is_none():
    wired = Wired()
    wired.put(A, 0x20)
    wired.put(B, PIE | H24)
    assert wired.rtc.deadline() is None
    wired.wait(2)
    assert wired.get(C) == UF


def test_8192_hz_over_a_day_lose_no_edge():
    wired = Wired()
    wired.put(A, 0x23)
    wired.put(B, PIE | H24)
    first = wired.rtc.deadline()
    wired.now = first + 86400 * SECOND - 1
    wired.rtc.advance()
    wired.get(C)
    assert wired.rtc.deadline() == first + 86400 * SECOND


def test_a_periodic_edge_leaves_half_a_period_and_244_us_to_read():
    wired = Wired()
    wired.put(A, 0x2F)  # 500 ms
    wired.put(B, PIE | H24)
    update_begins = SECOND - 1984 * US
    edges = []
    while (deadline := wired.rtc.deadline()) < update_begins:
        edges.append(deadline)
        wired.now = deadline
        wired.get(C)
    assert update_begins - edges[-1] == 250_000_000 + 244 * US


# -- the alarm ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alarm", "seconds"),
    [
        pytest.param((0x13, 0x14, 0x20), 5, id="later"),
        pytest.param((0x13, 0x14, 0x15), 86400, id="tomorrow at the same time"),
        pytest.param((0x13, 0x14, 0x10), 86395, id="tomorrow"),
        pytest.param((0xFF, 0x14, 0x10), 3595, id="each hour"),
        pytest.param((0xC0, 0xC0, 0x10), 55, id="each minute"),
        pytest.param((0xC0, 0xFF, 0xE0), 1, id="each second"),
        pytest.param((0xFF, 0x20, 0xFF), 345, id="each second of one minute"),
        pytest.param((0x14, 0xFF, 0xFF), 2745, id="each second of one hour"),
        pytest.param((0x13, 0x14, 0x6A), None, id="a second that never is"),
        pytest.param((0x24, 0xFF, 0xFF), None, id="an hour that never is"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_alarms(alarm, seconds, late):
    wired = Wired()
    for index, value in zip(ALARMS, reversed(alarm), strict=True):
        wired.put(index, value)
    wired.put(B, AIE | H24)
    assert wired.rtc.deadline() == (None if seconds is None else seconds * SECOND)
    if seconds is None:
        wired.wait(2 * 86400)
        assert not wired.get(C) & AF
        return
    if seconds > 1:
        wired.wait(seconds - 1)
        assert not wired.get(C) & AF
    wired.wait(1000 if late else 1)
    assert wired.get(C) & AF


def test_an_alarm_in_the_evening():
    wired = Wired()
    wired.put(B, SET)
    wired.rtc.set_date_time(START)
    for index, value in zip(ALARMS, (0x00, 0x30, 0x91), strict=True):
        wired.put(index, value)
    wired.put(B, AIE)
    due = START.replace(hour=23, minute=30, second=0) - START
    assert wired.rtc.deadline() == due.total_seconds() * SECOND


# -- time --------------------------------------------------------------------------------------


def test_without_a_listener_there_is_no_deadline():
    rtc = Mc146818(lambda: 0, START)
    rtc.write(None, 0, 2, B | (PIE | UIE) << 8)
    assert rtc.deadline() is None


def test_an_overdue_deadline_is_in_the_past():
    wired = Wired()
    wired.put(B, UIE | H24)
    wired.now = 5 * SECOND
    assert wired.rtc.deadline() == SECOND
    wired.rtc.advance()
    assert wired.levels == [True]


def test_the_interrupt_may_call_back():
    def interrupt(level):
        if level:
            seen.append((rtc.read(None, 1, 1), rtc.snapshot().flags))

    now, seen = 0, []
    rtc = Mc146818(lambda: now, START, interrupt)
    rtc.write(None, 0, 2, B | (UIE | H24) << 8)
    rtc.write(None, 0, 1, C)
    for now in (SECOND, 2 * SECOND):  # noqa: B007 (the clock reads it)
        rtc.advance()
    assert seen == 2 * [(IRQF | PF | UF, 0)]


# -- snapshots ---------------------------------------------------------------------------------


def test_no_time_passes_between_snapshot_and_restore():
    wired = Wired()
    wired.put(B, UIE | H24)
    wired.put(0x8B, UIE | H24)
    wired.wait(10.25)
    saved = pickle.loads(pickle.dumps(wired.rtc.snapshot()))
    other = Wired(datetime.fromisoformat("1990-01-01"))
    other.now = 7_777_777_777
    other.rtc.restore(saved)
    assert other.rtc.snapshot() == saved
    assert (other.levels, other.masks) == ([True], [True])
    assert other.rtc.date_time == START + timedelta(seconds=10)
    other.get(C)
    assert other.rtc.deadline() == 7_777_777_777 + 3 * SECOND // 4
    other.rtc.set_date_time(START)
    assert other.rtc.date_time == START


def test_repr_shows_the_time():
    assert repr(Wired().rtc) == "<Mc146818 2026-11-22 13:14:15 A=26 B=02 C=00>"


RAM = bytes(128)


@pytest.mark.parametrize(
    "fields",
    [
        {"time": -1, "ram": RAM},
        {"time": 0, "ram": RAM[1:]},
        {"time": 0, "ram": bytearray(128)},
        {"time": 0, "ram": RAM, "a": 0x80},
        {"time": 0, "ram": RAM, "b": 0x100},
        {"time": 0, "ram": RAM, "flags": 0x80},
        {"time": 0, "ram": RAM, "flags": 0x08},
        {"time": 0, "ram": RAM, "index": 0x100},
        {"time": 0, "ram": RAM, "chain": 1},
    ],
)
def test_impossible_snapshots(fields):
    with pytest.raises(DeviceError):
        RtcSnapshot(**fields)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: Mc146818(0, START),
        lambda: Mc146818(lambda: None, START),
        lambda: Mc146818(lambda: 0, 1234567890),
        lambda: Mc146818(lambda: 0, START, 8),
        lambda: Mc146818(lambda: 0, START, mask_nmi=8),
        lambda: Mc146818(lambda: 0, START, century=0x0D),
        lambda: Mc146818(lambda: 0, START, century=0x80),
        lambda: Wired().rtc.set_date_time("now"),
        lambda: Wired().rtc.load_ram(0x0D, b"x"),
        lambda: Wired().rtc.load_ram(0x7F, b"xy"),
        lambda: Wired().rtc.load_ram(0x10, 5),
        lambda: Wired().rtc.restore(None),
    ],
)
def test_the_owners_mistakes(mistake):
    with pytest.raises(DeviceError):
        mistake()
