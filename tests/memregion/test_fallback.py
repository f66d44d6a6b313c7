# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fallback ranges: behind the regions, never kept, removable."""

import pytest

from memregion.recording import Recorder
from vmmkit.errors import (
    ImmutableRegionError,
    OverlapError,
    RegionRangeError,
    UnknownRegionError,
    UnmappedError,
)
from vmmkit.memregion import IMMUTABLE, AllOnes, RegionMap, all_ones


@pytest.fixture
def mmio():
    return RegionMap()


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("handler", [None, all_ones, AllOnes()])
def test_all_ones(mmio, size, handler):
    mmio.add_fallback(0, 0x100, handler)
    port = mmio.port(None)
    assert port.read(1, size) == (1 << 8 * size) - 1
    port.write(1, size, 0)
    assert port.read(1, size) == (1 << 8 * size) - 1


def test_fallbacks_do_not_overlap_each_other(mmio):
    mmio.add_fallback(0, 0x100, name="first")
    with pytest.raises(OverlapError, match=r"'second' .* overlaps 'first'"):
        mmio.add_fallback(0xFF, 2, name="second")
    mmio.add(0xFF, 2, Recorder())
    assert len(mmio.fallbacks) == 1
    assert len(mmio) == 1


def test_regions_go_first(mmio):
    mmio.add_fallback(0, 0x100, Recorder("behind"))
    front = Recorder("front")
    region = mmio.add(0x40, 0x10, front)
    port = mmio.port(None)
    assert port.read(0x3C, 4) == 0x3C
    assert port.read(0x40, 4) == 0
    assert port.read(0x50, 4) == 0x50
    region.disable()
    assert port.read(0x40, 4) == 0x40
    assert len(front.log) == 1


def test_a_fallback_moves_and_rests_like_a_region(mmio):
    hole = mmio.add_fallback(0, 0x100, Recorder(), name="hole")
    port = mmio.port(None)
    hole.move(0x1000)
    assert port.read(0x1004, 4) == 4
    hole.disable()
    assert mmio.disabled == (hole,)
    with pytest.raises(UnmappedError):
        port.read(0x1004, 4)
    hole.enable()
    assert mmio.fallbacks == (hole,)
    assert hole not in mmio
    assert mmio.find(0x1004) is None
    mmio._check()


def test_each_kind_has_its_own_removal(mmio):
    region, hole = mmio.add(0, 16, Recorder()), mmio.add_fallback(0, 16)
    with pytest.raises(UnknownRegionError, match="fallback"):
        mmio.remove(hole)
    with pytest.raises(UnknownRegionError, match="device"):
        mmio.remove_fallback(region)
    mmio.remove_fallback(hole)
    with pytest.raises(UnknownRegionError):
        mmio.remove_fallback(hole)


def test_an_immutable_fallback_stays(mmio):
    hole = mmio.add_fallback(0, 16, flags=IMMUTABLE)
    for attempt in (lambda: mmio.remove_fallback(hole), hole.close, lambda: hole.move(16)):
        with pytest.raises(ImmutableRegionError):
            attempt()


def test_ranges_are_checked(mmio):
    with pytest.raises(RegionRangeError):
        mmio.add_fallback(0, 0)


def test_a_fallback_knows_the_address_on_request(mmio):
    device = Recorder()
    mmio.add_fallback(0x1000, 0x100, device, absolute=True)
    mmio.port("v").write(0x1010, 2, 5)
    assert device.log == [("write", "v", 0x1010, 2, 5)]
