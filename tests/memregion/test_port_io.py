# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The same class as x86 I/O port space: 16 bits of address, accesses of 1, 2 and 4 bytes."""

import pytest

from memregion.recording import Recorder
from vmmkit.errors import AccessAddressError, AccessSizeError, RegionRangeError
from vmmkit.memregion import RegionMap


@pytest.fixture
def pio():
    return RegionMap(address_bits=16, name="pio", access_sizes=(1, 2, 4))


def test_the_last_port(pio):
    device = Recorder()
    pio.add(0xFFFC, 4, device)
    port = pio.port(None)
    assert port.read(0xFFFF, 1) == 3
    assert port.read(0xFFFC, 4) == 0
    for address, size in ((0xFFFF, 2), (0xFFFD, 4), (0x10000, 1)):
        with pytest.raises(AccessAddressError, match="0xffff"):
            port.read(address, size)
        with pytest.raises(AccessAddressError, match="pio"):
            port.write(address, size, 0)
    assert len(device.log) == 2


@pytest.mark.parametrize(("base", "size"), [(0xFFFF, 2), (0x10000, 1), (0, 0x10001)])
def test_ranges_end_with_the_space(pio, base, size):
    with pytest.raises(RegionRangeError, match="16 bits"):
        pio.add(base, size, Recorder())
    region = pio.add(0x3F8, 8, Recorder())
    with pytest.raises(RegionRangeError):
        region.move(0xFFF9)
    region.move(0xFFF8)


def test_all_ports_are_one_region(pio):
    pio.add(0, 0x10000, Recorder())
    assert pio.port(None).read(0xFFFE, 2) == 0xFFFE


def test_ports_are_not_eight_bytes_wide(pio):
    pio.add(0, 0x100, Recorder())
    with pytest.raises(AccessSizeError, match="pio"):
        pio.port(None).read(0, 8)


def test_neighbours_of_one_byte(pio):
    for address in range(0x60, 0x68):
        pio.add(address, 1, read=lambda vcpu, at, size: at, absolute=True)
    port = pio.port(None)
    for _ in range(2):
        assert [port.read(address, 1) for address in range(0x60, 0x68)] == [*range(0x60, 0x68)]
