# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The ECAM window: every width, every alignment, every place."""

from __future__ import annotations

import pytest

from pci.machine import ECAM, Machine
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge


@pytest.fixture
def machine():
    made = Machine()
    made.plug(0)
    made.plug(0, function=1)
    return made


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 5, 7, 0x0E, 0xFD, 0x100, 0xFF9])
def test_reads_are_bytes_put_together(machine, offset, size):
    expected = 0
    for at in range(size):
        place = offset + at
        byte = machine.memory.read(ECAM + place, 1)
        expected |= byte << 8 * at
    assert machine.memory.read(ECAM + offset, size) == expected


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("offset", [0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x35])
def test_writes_change_their_lanes_only(machine, offset, size):
    machine.memory.write(
        ECAM + offset, size, int.from_bytes(b"\x11\x22\x33\x44\x55\x66\x77\x88", "little")
    )
    line = machine.memory.read(ECAM + 0x3C, 1)
    assert line == (0x11 * (0x3D - offset) if offset <= 0x3C < offset + size else 0)
    assert machine.memory.read(ECAM, 4) == 0x0000_1234


def test_an_access_in_two_functions(machine):
    assert machine.memory.read(ECAM + 0xFFE, 4) == 0x1234_0000
    machine.memory.write(ECAM + 0x1038, 8, 0x77 << 32)
    assert machine.memory.read(ECAM + 0x103C, 1) == 0x77
    machine.memory.write(ECAM + 0xFFD, 8, 0x02 << 56 | 0xFF << 24)
    assert machine.memory.read(ECAM + 0x1004, 1) == 2
    machine.memory.write(ECAM + 0xFFC, 8, (1 << 64) - 1)
    assert machine.memory.read(ECAM + 0xFFC, 8) == 0x0000_1234_0000_0000
    machine.check()


def test_nobody_there(machine):
    for size in (1, 2, 4, 8):
        machine.memory.write(ECAM + 0x8000, size, 0)
        assert machine.memory.read(ECAM + 0x8000, size) == (1 << 8 * size) - 1
    assert machine.memory.read(ECAM + 0xFFF_FFF8, 8) == (1 << 64) - 1
    assert machine.memory.read(ECAM + 0x1FFC, 8) == 0xFFFF_FFFF_0000_0000


def test_a_conventional_function_ends_at_256():
    host = HostBridge()
    config = ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0, size=256)
    host.bus.attach(Function(config), 0)
    host.ecam.write(None, 0x100, 4, 0)
    assert host.ecam.read(None, 0x100, 4) == 0xFFFF_FFFF
    assert host.ecam.read(None, 0xFE, 4) == 0xFFFF_0000


def test_some_buses_only():
    host = HostBridge(first_bus=0x80, last_bus=0x8F)
    host.bus.attach(Function(ConfigSpace.type0(vendor_id=7, device_id=8, class_code=0)), 3)
    assert host.ecam.size == 16 << 20
    assert host.ecam.read(None, 3 << 15, 4) == 0x0008_0007
    assert host.config_read(0x8018, 0, 2) == 7
    assert host.config_read(0x0018, 0, 2) == 0xFFFF
