# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a guest need not work around."""

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits, check_truncation
from vmmkit.acpi.tables.waet import EmulatedDeviceFlags, Waet


def test_bytes():
    waet = Waet(EmulatedDeviceFlags.RTC_GOOD | EmulatedDeviceFlags.PM_TIMER_GOOD)
    assert waet.to_bytes()[:8] == b"WAET\x28\0\0\0"
    assert waet.to_bytes()[36:] == b"\3\0\0\0"
    assert Waet.from_bytes(waet.to_bytes()) == waet
    assert Waet().emulated_device_flags is EmulatedDeviceFlags.PM_TIMER_GOOD


def test_iasl_makes_the_same():
    assert_roundtrip(Waet().to_bytes())


def test_limits_and_truncation():
    check_limits(Waet)
    check_truncation(Waet())
