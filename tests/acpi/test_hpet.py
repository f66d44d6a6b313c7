# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The high precision event timer."""

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits, check_truncation
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.hpet import Hpet, PageProtection, event_timer_block_id
from vmmkit.errors import TableValueError


def test_bytes():
    hpet = Hpet(Gas.mem(0xFED0_1000, 64), hpet_number=2, minimum_clock_tick=0x80)
    assert hpet.to_bytes()[36:] == bytes.fromhex("01a28680 004000040010d0fe00000000 02 8000 00")
    assert Hpet.from_bytes(hpet.to_bytes()) == hpet


def test_iasl_makes_the_same():
    shown = assert_roundtrip(Hpet(page_protection=PageProtection.PROTECTED_4K).to_bytes())
    assert shown.values("Hardware Block ID") == [0x8086_A201]
    assert shown.values("Address") == [0xFED0_0000]


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({}, 0x8086_A201),
        ({"comparators": 1, "counter_64bit": False, "legacy_replacement": False}, 0x8086_0001),
        ({"vendor": 0xFFFF, "comparators": 32, "revision": 0xFF}, 0xFFFF_BFFF),
    ],
)
def test_block_id(fields, number):
    assert event_timer_block_id(**fields) == number


@pytest.mark.parametrize(
    "fields",
    [
        {"vendor": 0x1_0000},
        {"comparators": 0},
        {"comparators": 33},
        {"revision": 0},
        {"revision": 256},
    ],
)
def test_no_such_block_id(fields):
    with pytest.raises(TableValueError, match="event_timer_block_id"):
        event_timer_block_id(**fields)


def test_limits_and_truncation():
    check_limits(Hpet)
    check_truncation(Hpet(trailing=b"abc"))
    with pytest.raises(TableValueError, match=r"Hpet\.base_address"):
        Hpet(0xFED0_0000)
