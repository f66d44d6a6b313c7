# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Decoding as pure functions: windows of bridges, policy, and who wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.decode import (
    CLOSED,
    OPEN,
    Claim,
    Claims,
    DecodePolicy,
    Forwarding,
    bar_offset,
    forwarding,
    io_window,
    memory_window,
    passes,
    prefetchable_window,
    root_forwarding,
)

GIB = 1 << 30
GIB4 = 1 << 32
HIGH_WINDOW = [(0x24, 4, 1 << 20), (0x28, 8, 1 << 32 | 1)]


def bridge(registers, **options):
    config = ConfigSpace.type1(vendor_id=1, device_id=1, **options)
    for offset, size, value in registers:
        config.write(offset, size, value)
    return config


@pytest.mark.parametrize(
    ("window", "options", "registers", "expected"),
    [
        (io_window, {}, [(0x1C, 2, 0x3020)], (0x2000, 0x3FFF)),
        (io_window, {}, [(0x1C, 2, 0x2020)], (0x2000, 0x2FFF)),
        (io_window, {}, [(0x1C, 2, 0x1020)], None),
        (io_window, {"io_bits": 32}, [(0x1C, 2, 0x3020), (0x32, 2, 2)], (0x2000, 0x2_3FFF)),
        (memory_window, {}, [(0x20, 4, 0xC010_C000)], (0xC000_0000, 0xC01F_FFFF)),
        (memory_window, {}, [(0x20, 4, 0xC000_C010)], None),
        (memory_window, {}, [(0x20, 4, 0xFFFF_FFFF)], (0xFFF0_0000, 0xFFFF_FFFF)),
        (prefetchable_window, {}, [(0x24, 4, 1 << 20), (0x28, 8, 1)], None),
        (prefetchable_window, {}, HIGH_WINDOW, (GIB4, GIB4 | 0x1F_FFFF)),
        (prefetchable_window, {}, [(0x24, 4, 0x0010_0000), (0x28, 4, 1)], None),
        (prefetchable_window, {"prefetchable_bits": 32}, [(0x24, 4, 0x0010_0000)], (0, 0x1F_FFFF)),
    ],
)  # fmt: skip
def test_windows(window, options, registers, expected):
    assert window(bridge(registers, **options)) == expected


CONTROL, COMMAND = 0x3E, 4


@pytest.mark.parametrize(
    ("command", "control", "base", "size", "is_io", "expected"),
    [
        (3, 0, 0x2000, 16, True, True),
        (2, 0, 0x2000, 16, True, False),
        (3, 0, 0x2FF0, 16, True, True),
        (3, 0, 0x3000, 16, True, False),
        (3, 4, 0x2000, 256, True, True),  # ISA: the first quarter of each KiB
        (3, 4, 0x2100, 16, True, False),
        (3, 4, 0x2400, 16, True, True),
        (3, 4, 0x2700, 16, True, False),
        (3, 8, 0x3C0, 16, True, True),  # VGA, and its aliases
        (3, 8, 0x7C0, 16, True, True),
        (3, 0x18, 0x7C0, 16, True, False),
        (3, 0x18, 0x3C0, 16, True, True),
        (3, 0xC, 0x27C0, 16, True, True),  # VGA goes before ISA
        (3, 0, 0x3C0, 16, True, False),
        (2, 8, 0x3C0, 16, True, False),
        (3, 0, 0xC000_0000, 0x10_0000, False, True),
        (3, 0, 0xC000_0000, 0x20_0000, False, False),
        (1, 0, 0xC000_0000, 0x1000, False, False),
        (3, 0, 0x1_0000_0000, 0x1000, False, True),
        (3, 0, 0xA_0000, 0x1_0000, False, False),
        (3, 8, 0xA_0000, 0x1_0000, False, True),
        (1, 8, 0xA_0000, 0x1_0000, False, False),
    ],
)
def test_what_passes_a_bridge(command, control, base, size, is_io, expected):
    config = bridge(
        [
            (0x1C, 2, 0x2020),
            (0x20, 4, 0xC000_C000),
            (0x24, 4, 0x0000_0000),
            (0x28, 4, 1),
            (0x2C, 4, 1),
            (COMMAND, 2, command),
            (CONTROL, 2, control),
        ]
    )
    windows = io_window(config), memory_window(config), prefetchable_window(config)
    assert passes([OPEN, forwarding(config, *windows)], is_io, base, size) is expected


def test_windows_that_are_not_there_forward_nothing():
    config = bridge([(COMMAND, 2, 3)])
    assert forwarding(config, None, None, None)[:2] == CLOSED[:2]
    assert not passes([CLOSED], is_io=False, base=GIB, size=16)
    assert passes([], is_io=True, base=0, size=4)


def test_the_roots_windows():
    assert root_forwarding(None) == OPEN
    assert root_forwarding({"mem": [(GIB, 0x1000)]}) == Forwarding(OPEN.io, ((GIB, GIB + 0xFFF),))
    assert root_forwarding({"io": []}) == Forwarding((), OPEN.memory)


@pytest.mark.parametrize(
    ("policy", "is_io", "base", "size", "expected"),
    [
        ({}, False, 0, 16, False),
        ({"decode_zero": True}, False, 0, 16, True),
        ({}, True, 0, 16, False),
        ({"decode_zero": True}, True, 0, 16, True),
        ({}, True, 0xFFF0, 16, True),
        ({}, True, 0x1_0000, 16, False),
        ({}, False, 0xFFFF_F000, 0x1000, False),  # what sizing leaves
        ({}, False, 0x8000_0000, 1 << 31, False),
        ({}, False, 0xFFFF_E000, 0x1000, True),
        ({}, False, (1 << 52) - 0x1000, 0x1000, True),
        ({}, False, 1 << 52, 0x1000, False),
        ({"physical_bits": 36}, False, 1 << 36, 0x1000, False),
        ({"physical_bits": 36}, False, (1 << 36) - 16, 16, True),
    ],
)
def test_policy(policy, is_io, base, size, expected):
    assert DecodePolicy(**policy).allows(is_io, base, size) is expected


def test_where_bar_registers_are():
    type0 = ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0)
    type1 = ConfigSpace.type1(vendor_id=1, device_id=1)
    assert [bar_offset(type0, index) for index in (0, 5, 6)] == [0x10, 0x24, 0x30]
    assert [bar_offset(type1, index) for index in (0, 1, 6)] == [0x10, 0x14, 0x38]


# -- who wins ------------------------------------------------------------------------------------


def key(number):
    return (), number, 0


def nobody(_base, _size):
    return None


def test_the_lower_key_wins_and_the_loser_comes_back():
    claims = Claims()
    low, high = Claim(key(1), 0x1000, 0x1000, "low"), Claim(key(2), 0x1800, 0x100, "high")
    for claim in (high, low):
        claims.add(claim)
        claims.settle(nobody)
    assert (low.live, high.live, high.blocker) == (True, False, "low")
    claims.remove(low)
    assert claims.settle(nobody) == [high]
    claims.check(nobody)


def test_a_loser_that_is_blocked_blocks_nobody():
    claims = Claims()
    first, second, third = (
        Claim(key(1), 0x1000, 0x100, "first"),
        Claim(key(2), 0x1000, 0x1000, "second"),
        Claim(key(3), 0x1800, 0x100, "third"),
    )
    for claim in (first, second, third):
        claims.add(claim)
    claims.settle(nobody)
    assert [claim.live for claim in (first, second, third)] == [True, False, True]
    claims.remove(first)
    assert set(claims.settle(nobody)) == {second, third}
    assert [claim.live for claim in (second, third)] == [True, False]


@pytest.mark.parametrize("count", [10, 300])
def test_any_number_of_claims_in_one_place_are_judged_by_one_look(count):
    """What a guest heaps up in one place must not cost it, and us, the square of that."""
    looks = []

    def look(base, size):
        looks.append((base, size))

    claims = Claims()
    held = [Claim(key(at), GIB, 0x1000, f"claim {at}") for at in range(count)]
    for claim in held:
        claims.add(claim)
    assert claims.settle(look) == [held[0]]
    assert looks == [(GIB, 0x1000)]
    claims.remove(held.pop(0))
    assert claims.settle(look) == [held[0]]
    assert looks == [(GIB, 0x1000)] * 2
    claims.check(nobody)
    assert {claim.blocker for claim in held[1:]} == {"claim 1"}


@pytest.mark.parametrize("least", [0x1000, 0x4000])
def test_a_range_that_others_leave_need_not_be_aligned(least):
    claims, taken = Claims(), ["ram"]
    held = [Claim(key(0), GIB, 0x4000, "first"), Claim(key(1), GIB + 0x8000, least, "other")]
    for claim in held:
        claims.add(claim)
    claims.settle(lambda base, _size: taken[0] if base == GIB and taken else None)
    assert [claim.live for claim in held] == [False, True]
    taken.clear()
    claims.touch(GIB - 0x1000, 0x2000)
    assert claims.settle(nobody) == [held[0]]


def test_others_go_before_all_claims():
    claims = Claims()
    claim = Claim(key(1), 0x1000, 0x1000, "claim")
    claims.add(claim)
    claims.settle(lambda _base, _size: "")
    assert (claim.live, claim.blocker) == (False, "unnamed")
    claims.touch(0x1F00, 0x3000)
    assert claims.settle(nobody) == [claim]


SLOTS = st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 63))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), SLOTS),
        st.tuples(st.just("drop"), st.integers(0, 7)),
        st.tuples(st.just("foreign"), st.tuples(st.integers(0, 63), st.integers(1, 9))),
    ),
    max_size=40,
)


@given(STEPS)
def test_increments_come_to_what_judging_anew_does(steps):
    """Claims of 8 owners and ranges of others, in any order, with each step settled."""
    claims, held, others = Claims(), {}, []

    def foreign(base, size):
        hits = (1 for first, length in others if base < first + length and first < base + size)
        return "other" if any(hits) else None

    for what, detail in steps:
        if what == "foreign":
            # Others may come only where nothing is live, but may leave at any time.
            if detail in others:
                others.remove(detail)
                claims.touch(*detail)
            elif not any(
                one.live and one.base < sum(detail) and detail[0] < one.base + one.size
                for one in claims
            ):
                others.append(detail)
        else:
            number = detail if what == "drop" else detail[0]
            if number in held:
                claims.remove(held.pop(number))
            if what == "claim":
                size = 1 << detail[1]
                held[number] = Claim(key(number), detail[2] & -size, size, number)
                claims.add(held[number])
        claims.settle(foreign)
        claims.check(foreign)
        assert set(claims) == set(held.values())
