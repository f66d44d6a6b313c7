# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory maps: sorted, without overlaps; where the loader's own data goes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.images import MIB, elf
from vmmkit import loader
from vmmkit.errors import ImagePlacementError

RANGE = st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(1, 5))


def sanitized(memory):
    """Return the map as a guest would be told of it; the image is at 1 MiB, in RAM of its own."""
    image = loader.flat(b"\xf4", MIB)
    return image.boot(memory=[*memory, (MIB - 0x1_0000, 0x1_1000, 1)]).memory[:-1]


@given(st.lists(RANGE, max_size=8))
def test_each_byte_has_its_highest_type(memory):
    found = sanitized(memory)
    types = {}
    for base, size, kind in memory:
        for at in range(base, base + size):
            types[at] = max(kind, types.get(at, 0))
    assert {at: one.kind for one in found for at in range(one.base, one.last + 1)} == types
    assert sum(one.size for one in found) == len(types)
    neighbours = [(a, b) for a, b in pairwise(found) if a.last + 1 == b.base]
    assert all(a.kind != b.kind for a, b in neighbours)


@pytest.mark.parametrize(
    "memory",
    [
        pytest.param((0, 0, 1), id="empty"),
        pytest.param((-1, 4, 1), id="negative"),
        pytest.param((1 << 52, 1, 1), id="beyond the address space"),
        pytest.param((0, 4096, 1 << 32), id="no type"),
    ],
)
def test_ranges_that_are_none(memory):
    with pytest.raises(ImagePlacementError, match="memory map") as raised:
        sanitized([memory])
    assert (raised.value.gpa, raised.value.size) == memory[:2]


def names(boot):
    return {one.name: one for one in boot.layout}


def test_own_data_keeps_off_what_is_reserved_and_the_first_page():
    memory = [(0, MIB, 1), (0x9_0000, 0x7_0000, 2), (0x8_8000, 0x1000, 4), (MIB, MIB, 1)]
    boot = loader.read(elf()).boot(memory=memory)
    for one in boot.layout:
        assert one.gpa >= 4096
        assert one.last < 0x8_8000 or 0x8_9000 <= one.gpa <= one.last < 0x9_0000 or one.gpa >= MIB


def test_own_data_below_640_kib_if_there_is_room():
    boot = loader.read(elf()).boot(memory=[(0, 4 * MIB, 1)])
    assert names(boot)["page tables"].last < 0xA_0000
    boot = loader.read(elf()).boot(memory=[(MIB, 4 * MIB, 1)])
    assert names(boot)["page tables"].gpa > 4 * MIB


def test_the_same_question_has_the_same_answer():
    image = loader.read(elf())
    assert image.boot(memory=[(0, 4 * MIB, 1)]) == image.boot(memory=[(0, 4 * MIB, 1)])


def test_nothing_over_anything_else():
    boot = loader.read(elf(memsz=8 * MIB)).boot(memory=[(0, 16 * MIB, 1)])
    for first, second in pairwise(boot.layout):
        assert first.last < second.gpa


@pytest.mark.parametrize(
    ("memory", "what"),
    [
        pytest.param([(0, MIB, 1)], "segment 0", id="no RAM there"),
        pytest.param([(0, 2 * MIB, 1), (MIB, 4, 2)], "segment 0", id="reserved"),
        pytest.param([(MIB, 64, 1)], "GDT", id="no room for the loader's data"),
        pytest.param([(MIB, 8192, 1)], "page tables", id="no room for page tables"),
        pytest.param([], "segment 0", id="no memory"),
    ],
)
def test_no_room(memory, what):
    with pytest.raises(ImagePlacementError, match=what) as raised:
        loader.read(elf(b"\xf4" * 64)).boot(memory=memory)
    assert raised.value.what == what
