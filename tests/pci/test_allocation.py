# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The free-range allocator against a bitmap that knows nothing but addresses."""

import pickle

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vmmkit.errors import AllocationError
from vmmkit.pci.allocation import RangeAllocator

SPACE = 96
ALIGNS = st.sampled_from([1, 2, 4, 8, 16, 32, 64])


class AgainstBitmap(RuleBasedStateMachine):
    """`owner[address]` is None outside of windows, 0 if free, else the number of an allocation."""

    def __init__(self):
        super().__init__()
        self.ranges = RangeAllocator(name="space")
        self.owner = [None] * SPACE
        self.live = {}
        self.count = 0

    def fits(self, base, size):
        return base + size <= SPACE and all(one == 0 for one in self.owner[base : base + size])

    def mark(self, base, size):
        self.count += 1
        self.live[base] = size
        self.owner[base : base + size] = [self.count] * size

    @rule(base=st.integers(0, SPACE - 1), size=st.integers(1, 40))
    def add(self, base, size):
        size = min(size, SPACE - base)
        if any(one is not None for one in self.owner[base : base + size]):
            with pytest.raises(AllocationError):
                self.ranges.add(base, size)
        else:
            self.ranges.add(base, size)
            self.owner[base : base + size] = [0] * size

    @rule(size=st.integers(1, 40), align=ALIGNS)
    def allocate(self, size, align):
        places = [base for base in range(0, SPACE, align) if self.fits(base, size)]
        if places:
            base = self.ranges.allocate(size, align)
            assert base in places
            self.mark(base, size)
        else:
            with pytest.raises(AllocationError) as caught:
                self.ranges.allocate(size, align, name="thing")
            assert caught.value.unplaced == (("thing", size),)

    @rule(base=st.integers(0, SPACE - 1), size=st.integers(1, 40))
    def allocate_at(self, base, size):
        if self.fits(base, size):
            self.ranges.allocate_at(base, size)
            self.mark(base, size)
        else:
            with pytest.raises(AllocationError):
                self.ranges.allocate_at(base, size)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def free(self, data):
        base = data.draw(st.sampled_from(sorted(self.live)))
        size = self.live.pop(base)
        assert self.ranges.free(base) == size
        self.owner[base : base + size] = [0] * size

    @rule(base=st.integers(0, SPACE - 1))
    def free_of_nothing(self, base):
        if base not in self.live:
            with pytest.raises(AllocationError):
                self.ranges.free(base)

    @invariant()
    def agrees(self):
        self.ranges._check()
        free = [at for base, size in self.ranges.free_ranges() for at in range(base, base + size)]
        assert free == [at for at, one in enumerate(self.owner) if one == 0]
        assert self.ranges.free_size == len(free)
        assert dict(self.ranges.allocated_ranges()) == self.live


TestAgainstBitmap = AgainstBitmap.TestCase
TestAgainstBitmap.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_smallest_range_that_fits_is_taken():
    ranges = RangeAllocator([(0x0, 0x1000), (0x2000, 0x100), (0x3000, 0x200)])
    assert ranges.allocate(0x100, 0x100) == 0x2000
    assert ranges.allocate(0x100, 0x100) == 0x3000
    assert ranges.allocate(0x100, 0x100) == 0x3100
    assert ranges.allocate(0x100, 0x100) == 0x0


def test_holes_of_alignment_are_used():
    ranges = RangeAllocator([(0x1000, 0x10000)])
    assert ranges.allocate(0x4000, 0x4000) == 0x4000
    assert ranges.allocate(0x2000, 0x2000) == 0x2000
    assert ranges.allocate(0x1000, 0x1000) == 0x1000


def test_free_ranges_grow_together():
    ranges = RangeAllocator([(0, 0x300)])
    for base in (0, 0x100, 0x200):
        ranges.allocate_at(base, 0x100)
    assert list(ranges.free_ranges()) == []
    ranges.free(0)
    ranges.free(0x200)
    assert list(ranges.free_ranges()) == [(0, 0x100), (0x200, 0x100)]
    ranges.free(0x100)
    assert list(ranges.free_ranges()) == [(0, 0x300)]


def test_largest_first_fills_windows_of_powers_of_two_without_a_hole():
    ranges = RangeAllocator([(0x8000, 0x8000)])
    for size in (0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x400):
        ranges.allocate(size, size)
    assert ranges.free_size == 0


@pytest.mark.parametrize(
    ("base", "size"), [(0, 0), (-1, 5), (0, -1), (1.5, 2), (0, 2.0), ("0", 1), (0, None)]
)
def test_ranges_that_are_none(base, size):
    ranges = RangeAllocator([(0, 0x100)])
    for call in (ranges.add, ranges.allocate_at):
        with pytest.raises(AllocationError, match="no range of"):
            call(base, size)


@pytest.mark.parametrize("align", [0, 3, -4, 2.0, None])
def test_alignments_that_are_none(align):
    with pytest.raises(AllocationError, match="power of two"):
        RangeAllocator([(0, 0x100)]).allocate(1, align)


def test_errors_name_space_size_and_thing():
    ranges = RangeAllocator([(0x1000, 0x1000)], name="mem")
    with pytest.raises(AllocationError, match=r"mem: .*gpu BAR 0 of 0x2000.*0x1000 bytes are free"):
        ranges.allocate(0x2000, 0x2000, name="gpu BAR 0")
    with pytest.raises(AllocationError, match=r"mem: 0x1800-0x27ff is not free for rom"):
        ranges.allocate_at(0x1800, 0x1000, name="rom")
    with pytest.raises(AllocationError, match=r"mem: 0x1800-0x18ff overlaps 0x1000-0x1fff"):
        ranges.add(0x1800, 0x100)


def test_an_error_survives_pickling():
    with pytest.raises(AllocationError) as caught:
        RangeAllocator().allocate(16, name="bar")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.unplaced) == (str(caught.value), (("bar", 16),))


def test_repr_shows_what_is_free():
    assert repr(RangeAllocator([(0, 16)], name="io")) == "<RangeAllocator io: free 0x0-0xf>"
    assert repr(RangeAllocator(name="io")) == "<RangeAllocator io: free nothing>"


def test_a_free_range_is_taken_as_a_whole_even_at_zero():
    ranges = RangeAllocator([(0, 0x100)])
    assert ranges.allocate(0x100, 0x100) == 0
    assert list(ranges.free_ranges()) == []
