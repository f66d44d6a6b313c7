# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest that writes, moves and remaps the code it executes (`tests/guests/boot/code.c`)."""

import pytest

from engine_parameters import quick_engines
from guests.board import Board
from vmmkit.insn import Feature
from vmmkit.insn.cpuid import DEFAULT_FEATURES

SUBJECTS = ["code that writes code", "code across pages", "code whose pages change"]
SUPERVISOR = Feature.SMEP | Feature.SMAP


@pytest.mark.parametrize("engine", quick_engines())
@pytest.mark.parametrize("levels", [4, 5])
def test_it_finds_nothing_wrong(guest_images, engine, levels):
    features = DEFAULT_FEATURES & ~Feature.LA57 | SUPERVISOR
    board = Board(
        guest_images("code"), engine, features=features | (Feature.LA57 if levels == 5 else 0)
    )
    *lines, verdict = board.run().splitlines()
    assert lines[-len(SUBJECTS) :] == SUBJECTS
    assert not [line for line in lines if line.startswith("FAILED")]
    assert verdict.endswith(" checks, 0 failed")
    assert bool(board.vcpu.state.cr4 & 1 << 12) == (levels == 5)
