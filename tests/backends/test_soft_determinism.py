# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The same guest takes the same way: again, in slices, step by step, on either engine."""

import hashlib
import random
from typing import NamedTuple

import pytest

from engine_parameters import quick_engines
from guests.board import Board
from vmmkit.insn import Feature
from vmmkit.insn.cpuid import DEFAULT_FEATURES

EVERY = 1000  # instructions between two looks at the registers


class Trace(NamedTuple):
    """What a run has left behind."""

    registers: tuple[str, ...]
    ram: str
    accesses: tuple[object, ...]
    console: bytes
    instructions: int


def digest(data):
    return hashlib.sha256(data).hexdigest()


def trace(board, budgets, every=EVERY):
    """Run to the end, each time with the next budget, and look at every multiple of `every`."""
    registers, due = [], every
    while not board.finished:
        board.advance(min(next(budgets), due - board.now))
        while board.now >= due:
            registers.append(digest(board.registers()))
            due += every
    ram, accesses = digest(board.ram), tuple(board.accesses)
    return Trace(tuple(registers), ram, accesses, bytes(board.console), board.now)


def constant(budget):
    while True:
        yield budget


def drawn(seed, most):
    rng = random.Random(seed)
    while True:
        yield rng.randrange(1, most)


@pytest.fixture(scope="module", params=["boot", "code"])
def expected(request, guest_images):
    """The images of a guest, and its trace by the preferred engine in one go."""
    images = guest_images(request.param)
    return images, trace(Board(images, None), constant(100_000))


def test_the_trace_says_something(expected):
    _, found = expected
    assert len(set(found.registers)) == len(found.registers) > 50
    assert len(found.accesses) > 200
    assert found.console.endswith(b" 0 failed\n")


@pytest.mark.parametrize("engine", quick_engines())
def test_a_second_run(expected, engine):
    images, found = expected
    assert trace(Board(images, engine), constant(100_000)) == found


@pytest.mark.parametrize("seed", range(3))
def test_slices_of_random_budgets(expected, seed):
    images, found = expected
    assert trace(Board(images, None), drawn(seed, 10 ** (seed + 1))) == found


@pytest.mark.parametrize("engine", quick_engines())
def test_step_by_step(expected, engine):
    images, found = expected
    assert trace(Board(images, engine), constant(1)) == found


def test_another_processor_takes_another_way(expected):
    """So that equal traces mean something: this one has other page tables."""
    images, found = expected
    board = Board(images, None, features=DEFAULT_FEATURES ^ Feature.LA57)
    assert trace(board, constant(100_000)).registers != found.registers
