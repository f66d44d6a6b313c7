# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Large maps: what is done must not grow with the number of regions."""

import pytest

from vmmkit.errors import OverlapError, UnmappedError
from vmmkit.memregion import RegionMap

COUNT = 1_000_000


def read(vcpu, offset, size):
    return offset


@pytest.fixture(scope="module")
def mmio():
    """A map of a million regions, loaded in one transaction."""
    mmio = RegionMap()
    with mmio.transaction():
        for number in range(COUNT):
            mmio.add(number * 0x2000, 0x1000, read=read)
    return mmio


class CountedInt(int):
    """An integer that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other):
        CountedInt.comparisons += 1
        return int(self) < other

    def __gt__(self, other):
        CountedInt.comparisons += 1
        return int(self) > other


@pytest.mark.slow
def test_a_million_regions(mmio):
    assert len(mmio) == COUNT
    port = mmio.port(None)
    for number in (0, 1, COUNT // 2, COUNT - 1):
        assert port.read(number * 0x2000 + 8, 4) == 8


@pytest.fixture
def comparisons():
    """Count from zero; return the way to ask how many there were."""
    CountedInt.comparisons = 0
    return lambda: CountedInt.comparisons


@pytest.mark.slow
def test_looking_up_takes_logarithmically_many_comparisons(mmio, comparisons):
    """Twenty would be a perfect bisection of a million."""
    for number in range(100):
        assert mmio.conflicts(CountedInt(number * 0x2000 * 7919 + 0x1800), 0x800) == []
    assert 0 < comparisons() <= 100 * 100


@pytest.mark.slow
def test_changing_takes_logarithmically_many_comparisons(mmio, comparisons):
    """A change looks at the neighbours of the range changed, however many others there are."""
    region = mmio.add(CountedInt(0x1000), 0x800, read=read, name="small")
    region.move(CountedInt(0x1800))
    with pytest.raises(OverlapError):
        region.move(CountedInt(0x1801))
    region.close()
    assert len(mmio) == COUNT
    assert 0 < comparisons() <= 500


def test_flat_index_is_dropped_by_every_change():
    """Misses are answered from a flat copy once enough have happened, and never a stale one."""
    space = RegionMap()
    regions = [space.add(number * 0x2000, 0x1000, read=read) for number in range(64)]
    port = space.port(None)
    for region in regions:
        assert port.read(region.base, 1) == 0
    assert space._resolver._index is not None
    moved, old_base = regions[7], regions[7].base
    moved.move(1 << 40)
    assert space._resolver._index is None
    for region in regions:
        assert port.read(region.base + 1, 1) == 1
    assert space._resolver._index is not None
    with pytest.raises(UnmappedError):
        port.read(old_base, 1)
    space._check()
