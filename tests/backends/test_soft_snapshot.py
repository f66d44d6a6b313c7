# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest that is put away and goes on elsewhere: between instructions, with an access in flight,
in the middle of a delivery."""

import copy
import random

import pytest

from engine_parameters import quick_engines
from guests.board import Board
from vmmkit.insn import WORD, Read, Write, available_engines

EVENT = WORD["event"]


class Places:
    """What a board was doing whenever it was put away."""

    def __init__(self):
        self.between = self.access = self.delivery = self.requested = 0

    def note(self, board):
        delivering = board.vcpu.state.words[EVENT] != 0
        self.between += board.exit is None
        self.access += board.exit is not None and not delivering
        self.delivery += delivering and isinstance(board.exit, Read | Write)
        self.requested += board.vcpu.state.words[WORD["interrupt_request"]] != 0


def run_moving(board, engines, rng):
    """Run to the end; move to a random engine at random exits, and in every delivery."""
    places = Places()
    while not board.finished:
        board.advance(rng.choice((1, 7, 100, 2000)))
        delivering = board.exit is not None and board.vcpu.state.words[EVENT]
        if delivering or rng.randrange(8) == 0:
            places.note(board)
            board = board.moved_to(rng.choice(engines))
    return board, places


def end_of(board):
    return board.registers(), bytes(board.ram), bytes(board.device), bytes(board.console)


@pytest.fixture(scope="module", params=["boot", "code"])
def images(request, guest_images):
    return guest_images(request.param)


@pytest.fixture(scope="module")
def expected(images):
    board = Board(images, None)
    board.run()
    return end_of(board), tuple(board.accesses)


@pytest.mark.parametrize("seed", range(3))
def test_moving_from_engine_to_engine(images, expected, seed):
    board, places = run_moving(Board(images, None), available_engines(), random.Random(seed))
    assert (end_of(board), tuple(board.accesses)) == expected
    assert places.between > 10
    assert places.access > 10
    if b"interrupts" in board.console:  # the guest that has stacks in a device
        assert places.delivery > 2
        assert places.requested > 0


@pytest.mark.parametrize("engine", quick_engines())
@pytest.mark.parametrize("seed", range(3))
def test_going_on_from_a_copy(images, expected, engine, seed):
    """The copy goes to its end, and then the original does: neither touches the other."""
    rng, board = random.Random(seed), Board(images, None)
    while board.now < 60_000:
        board.advance(rng.randrange(1, 5000))
    for _ in range(rng.randrange(100)):
        board.advance(rng.randrange(1, 300))
    assert not board.finished
    twin = board.moved_to(engine)
    for one in (twin, board):
        one.run()
        assert (end_of(one), tuple(one.accesses)) == expected


def test_copies_of_the_state_are_equal(images):
    board = Board(images, None)
    while board.exit is None:
        board.advance(100)
    state = board.vcpu.state
    assert board.vcpu.awaits_answer
    for twin in (state.copy(), copy.deepcopy(state), board.moved_to(None).vcpu.state):
        assert twin.record == state.record
        assert twin is not state
