# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The ten time, calendar and alarm bytes of an MC146818A, and how they move on.

The bytes are the state: they stand in the RAM as the guest wrote them, and the formats that
register B selects say what they mean. Nothing converts them when a format changes.

Source: Motorola, "MC146818A Real-Time Clock Plus RAM (RTC)", named below as "MC146818A" with the
title of the section.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import attrs

__all__ = ["DM", "DO_NOT_CARE", "TWENTY_FOUR_HOURS", "Calendar"]

# MC146818A "Register B ($0B)".
DM: Final = 0x04  # binary, not BCD
TWENTY_FOUR_HOURS: Final = 0x02

# MC146818A "Time, Calendar, and Alarm Locations".
_SECONDS: Final = 0x00
_SECONDS_ALARM: Final = 0x01
_MINUTES: Final = 0x02
_MINUTES_ALARM: Final = 0x03
_HOURS: Final = 0x04
_HOURS_ALARM: Final = 0x05
_DAY_OF_WEEK: Final = 0x06  # 1 is Sunday
_DATE: Final = 0x07
_MONTH: Final = 0x08
_YEAR: Final = 0x09
DO_NOT_CARE: Final = 0xC0  # alarm bytes from here on match everything
_PM: Final = 0x80

_DAY_SECONDS: Final = 24 * 60 * 60
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIRST_YEAR: Final = 1980  # of a clock without a century byte: 1980-2079


@attrs.frozen
class Calendar:
    """A view of the RAM as a clock and calendar.

    Args:
        ram: the bytes.
        formats: the DM and 24/12 bits of register B.
        century: index of the byte with the century, or `None`.
    """

    ram: bytearray
    formats: int
    century: int | None

    # -- bytes and numbers -----------------------------------------------------------------

    def _get(self, index: int) -> int:
        return self._decode(self.ram[index])

    def _decode(self, byte: int) -> int:
        return byte if self.formats & DM else (byte >> 4) * 10 + (byte & 0xF)

    def _put(self, index: int, value: int) -> None:
        self.ram[index] = self._encode(value)

    def _encode(self, value: int) -> int:
        return value if self.formats & DM else value // 10 << 4 | value % 10

    def _encode_hour(self, hour: int) -> int:
        if self.formats & TWENTY_FOUR_HOURS:
            return self._encode(hour)
        return self._encode((hour + 11) % 12 + 1) | (_PM if hour >= 12 else 0)

    def _hour_in(self, byte: int) -> int:
        """Return the hour (0-23) that `byte` means; out of range it counts modulo."""
        if self.formats & TWENTY_FOUR_HOURS:
            return self._decode(byte) % 24
        return self._decode(byte & ~_PM) % 12 + (12 if byte & _PM else 0)

    def _second_of_day(self) -> int:
        """Return the time as seconds; bytes out of range count modulo their range."""
        return (self._hour_in(self.ram[_HOURS]) * 60 + self._get(_MINUTES) % 60) * 60 + self._get(
            _SECONDS
        ) % 60

    # -- the owner's side ------------------------------------------------------------------

    def set(self, when: datetime) -> None:
        """Write date and time, and the century where it has a byte."""
        self._put(_SECONDS, when.second)
        self._put(_MINUTES, when.minute)
        self.ram[_HOURS] = self._encode_hour(when.hour)
        self._put(_DAY_OF_WEEK, when.isoweekday() % 7 + 1)
        self._put(_DATE, when.day)
        self._put(_MONTH, when.month)
        self._put(_YEAR, when.year % 100)
        if self.century is not None:
            self._put(self.century, when.year // 100)

    def get(self) -> datetime | None:
        """Return date and time, or `None` where the bytes are no date."""
        hour, second = divmod(self._second_of_day(), 3600)
        try:
            return datetime(  # noqa: DTZ001 (the chip has no time zone)
                self._whole_year(),
                self._get(_MONTH),
                self._get(_DATE),
                hour,
                *divmod(second, 60),
            )
        except ValueError:
            return None

    def _whole_year(self) -> int:
        year = self._get(_YEAR)
        if self.century is None:
            return (year - _FIRST_YEAR) % 100 + _FIRST_YEAR
        return self._get(self.century) * 100 + year

    # -- updates ---------------------------------------------------------------------------

    def advance(self, seconds: int) -> None:
        """Do as many updates as `seconds`: MC146818A "Update Cycle"."""
        days, second = divmod(self._second_of_day() + seconds, _DAY_SECONDS)
        self._put(_SECONDS, second % 60)
        self._put(_MINUTES, second // 60 % 60)
        self.ram[_HOURS] = self._encode_hour(second // 3600)
        if days:
            self._put(_DAY_OF_WEEK, (self._get(_DAY_OF_WEEK) - 1 + days) % 7 + 1)
            self._advance_date(days)

    def _advance_date(self, days: int) -> None:
        """Move on by whole days; a date behind the end of its month counts as its last day."""
        year, month = self._whole_year(), (self._get(_MONTH) - 1) % 12
        date = min(max(self._get(_DATE), 1), self._length(year, month)) + days
        while date > self._length(year, month):
            date -= self._length(year, month)
            month = (month + 1) % 12
            year += month == 0
        self._put(_DATE, date)
        self._put(_MONTH, month + 1)
        self._put(_YEAR, year % 100)
        if self.century is not None:
            self._put(self.century, year // 100 % 100)

    def _length(self, year: int, month: int) -> int:
        """Days of `month` (0-11). Two digits know every fourth year to be a leap year."""
        if month != 1 or year % 4:
            return _LENGTHS[month]
        gregorian = self.century is not None
        return 28 if gregorian and year % 100 == 0 and year % 400 else 29

    # -- the alarm -------------------------------------------------------------------------

    def seconds_to_alarm(self) -> int | None:
        """Return after how many updates (1-86400) the alarm matches; `None` for never.

        MC146818A "Time, Calendar, and Alarm Locations": bytes from C0h on are "don't care".
        """
        hour, minute, second = (
            self.ram[index] for index in (_HOURS_ALARM, _MINUTES_ALARM, _SECONDS_ALARM)
        )
        hours = _matches(hour, self._hour_in(hour), 24, self._encode_hour)
        minutes = _matches(minute, self._decode(minute), 60, self._encode)
        seconds = _matches(second, self._decode(second), 60, self._encode)
        if not (hours and minutes and seconds):
            return None
        return self._next_match(hours, minutes, seconds)

    def _next_match(self, hours: range, minutes: range, seconds: range) -> int:
        """Leave a wrong hour for the next right one as a whole, then a wrong minute."""
        now = self._second_of_day()
        second = now + 1
        while True:
            if second // 3600 % 24 not in hours:
                second += (hours.start * 3600 - second) % _DAY_SECONDS
            elif second // 60 % 60 not in minutes:
                second += (minutes.start * 60 - second) % 3600
            elif second % 60 not in seconds:
                second += (seconds.start - second) % 60
            else:
                return second - now


def _matches(wanted: int, value: int, limit: int, encode: Callable[[int], int]) -> range:
    """Return the values of a unit that match the alarm byte `wanted`, which means `value`.

    The chip compares bytes: one that no value is encoded as matches nothing.
    """
    if wanted >= DO_NOT_CARE:
        return range(limit)
    return range(value, value + 1) if value < limit and encode(value) == wanted else range(0)
