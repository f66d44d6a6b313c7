# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Any bytes at all as the vCPU record, through the public `Cpu`.

Whatever stands in it, forged instructions in flight included, a call ends with an outcome or with
`StepError`, and both engines do the same.
"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.inputs import Input, Piece, compare, record_of
from insn.guests import guest, instruction
from insn.machine import CODE
from vmmkit.insn._record import CPU_FIELDS, EXIT_KINDS

PLACES = [(name, index) for name, count in CPU_FIELDS for index in range(count)]
EDGES = (0, 1, 2, 3, 8, 15, 16, 63, 64, 65, 0xFFF, 0x1000, 1 << 31, 1 << 32, (1 << 47) - 1)
WORDS = st.one_of(
    st.sampled_from(EDGES),
    st.integers(0, (1 << 64) - 1),
    st.integers(1, 16).map(lambda low: (1 << 64) - low),
)
PAGES = (Piece(0, 3), Piece(0x8000, 1, writable=0, skew=1), Piece((1 << 52) - 4096, 1, skew=3))
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), WORDS),
        st.tuples(st.just("run"), WORDS, st.integers(1, 70)),
        st.tuples(st.just("resume"), WORDS),
        st.tuples(st.just("poke"), WORDS, st.integers(0, 0x2FF8)),
    ),
    min_size=1,
    max_size=6,
)


def drawn_word(rng):
    """An edge, a small number or anything."""
    edge = rng.choice(EDGES)
    return rng.choice((edge, (1 << 64) - 1 - edge, rng.getrandbits(64), rng.getrandbits(8)))


@given(
    words=st.lists(WORDS, min_size=len(PLACES), max_size=len(PLACES)),
    code=st.binary(max_size=15),
    switches=st.tuples(*[st.integers(0, 1)] * 3),
    events=EVENTS,
)
def test_all_words_drawn(two_engines, words, code, switches, events):
    record = dict(zip(PLACES, words, strict=True))
    record["rip", 0] %= 0x3000  # elsewhere there is no code, and so nothing to see
    made = Input(record, list(PAGES), [(record["rip", 0], code)], switches[0], events)
    made.deliver, made.wide = switches[1:]
    assert compare(made, two_engines) is None


@given(rng=st.randoms(use_true_random=False), events=EVENTS)
def test_forged_flight_of_a_plausible_guest(two_engines, rng, events):
    assert compare(forged(rng, events), two_engines) is None


@pytest.mark.slow
def test_many_forged_guests(two_engines):
    for number in range(1500):
        rng = random.Random(f"forged/{number}")
        calls = [("step", drawn_word(rng)) for _ in range(4)] + [("run", drawn_word(rng), 9)]
        assert compare(forged(rng, calls), two_engines) is None, number


def forged(rng, events):
    """A guest that makes sense, with some words of the record that do not."""
    machine = guest(rng)
    state = machine.state
    record = record_of(state)
    record["code_rip", 0], record["code_mode", 0] = state.rip, state.mode
    record["log_pending", 0] = rng.randrange(len(EXIT_KINDS) + 1)
    record["log_count", 0] = rng.choice((0, 1, 63, 64, 65, drawn_word(rng)))
    record["page_count", 0] = rng.choice((0, 1, 2, 15, 16, 17, drawn_word(rng)))
    record["code_length", 0] = rng.choice((0, 1, 15, 16, drawn_word(rng)))
    for _ in range(rng.randrange(20)):
        record[rng.choice(PLACES)] = drawn_word(rng)
    low = [(CODE, instruction(rng, "long")), (0, bytes(machine.low))]
    high = [(0x40000, bytes(machine.high[0x30000:0x35000]))]
    pieces = [Piece(0, 8), Piece(0x40000, 5), Piece(0x50000, 1, writable=0)]
    switches = [rng.randrange(2) for _ in range(3)]
    return Input(record, pieces, low + high, switches[0], events, *switches[1:])
