# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Laying out windows: contents inside, aligned, apart from each other, windows no larger."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmmkit.errors import AllocationError
from vmmkit.pci._assignment_layout import Item, Space, pack, place
from vmmkit.pci.allocation import RangeAllocator

MIB = 1 << 20
SIZES = st.integers(4, 26).map(lambda bits: 1 << bits)


def bar(size, space=Space.MEM, name="bar"):
    return Item(name, size, size, space)


def window(items, reserve=0, space=Space.MEM, name="window"):
    return pack(name, items, space, granularity=MIB, reserve=reserve)


def test_nothing_needs_no_window():
    assert window([]) is None


@pytest.mark.parametrize(
    ("sizes", "size", "align"),
    [
        ([16], MIB, MIB),
        ([MIB, 16], 2 * MIB, MIB),
        ([16 * MIB, 4096], 17 * MIB, 16 * MIB),
        ([MIB // 2, MIB // 2], MIB, MIB),
        ([4 * MIB, 8 * MIB, 4 * MIB], 16 * MIB, 8 * MIB),
    ],
)
def test_a_window_is_as_large_as_its_bars(sizes, size, align):
    found = window([bar(one) for one in sizes])
    assert (found.size, found.align) == (size, align)


@pytest.mark.parametrize(
    ("reserve", "sizes", "size", "align"),
    [
        (2 * MIB, [], 2 * MIB, 2 * MIB),
        (3 * MIB, [], 3 * MIB, 2 * MIB),
        (2 * MIB, [4 * MIB], 4 * MIB, 4 * MIB),
        (2 * MIB, [16], 2 * MIB, 2 * MIB),
        (16, [], MIB, MIB),
    ],
)
def test_a_reserve_is_the_least_size(reserve, sizes, size, align):
    found = window([bar(one) for one in sizes], reserve)
    assert (found.size, found.align) == (size, align)


@given(st.lists(st.lists(SIZES, min_size=1, max_size=6), max_size=5), st.lists(SIZES, max_size=5))
def test_every_spot_is_aligned_and_apart(below, beside):
    inner = [window([bar(one) for one in sizes]) for sizes in below]
    outer = window([*inner, *map(bar, beside)])
    items = [outer] if outer else []
    ranges = {Space.MEM: RangeAllocator([(MIB, 1 << 40)])}
    spots = place(items, ranges)
    for spot in spots:
        assert spot.base % spot.item.align == 0
        for offset, child in spot.item.contents:
            assert 0 <= offset <= spot.item.size - child.size
    leaves = sorted((one.base, one.item.size) for one in spots if not one.item.contents)
    assert len(leaves) == sum(map(len, below)) + len(beside)
    for (base, size), (after, _) in pairwise(leaves):
        assert base + size <= after


def test_prefetchable_falls_back_to_low_memory():
    ranges = {Space.MEM: RangeAllocator([(MIB, MIB)]), Space.PREFETCHABLE: RangeAllocator()}
    (spot,) = place([bar(MIB, Space.PREFETCHABLE)], ranges)
    assert spot.base == MIB


def test_failure_names_everything_largest_first():
    ranges = {Space.MEM: RangeAllocator([(MIB, MIB)])}
    items = [
        window([bar(8 * MIB, name="a"), bar(4096, name="b")], name="outer"),
        bar(MIB, name="fits"),
        bar(2 * MIB, name="c"),
        window([], 4 * MIB, name="empty"),
    ]
    with pytest.raises(AllocationError, match=r"no room for bus.*a \(0x800000\), empty") as caught:
        place(items, ranges, [("bus", 1 << 30)])
    assert caught.value.unplaced == (
        ("bus", 1 << 30),
        ("a", 8 * MIB),
        ("empty", 4 * MIB),
        ("c", 2 * MIB),
        ("b", 4096),
    )
