# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest that boots through every mode and checks the processor itself (`tests/guests/boot`)."""

import pytest

from engine_parameters import quick_engines
from guests.board import LATCH_PORT, Board
from vmmkit.insn import Feature
from vmmkit.insn.cpuid import DEFAULT_FEATURES

BEFORE = (
    *("real-address mode", "16-bit protected mode", "32-bit protected mode"),
    *("ring 3 and virtual-8086 mode", "32-bit paging", "PAE paging"),
)
AFTER = (
    *("faults", "page faults", "breakpoints", "interrupts", "processor", "privileges"),
    *("descriptors", "system calls", "tasks"),
)
EVERYTHING = Feature((1 << len(Feature)) - 1)
SUPERVISOR = Feature.SMEP | Feature.SMAP | Feature.UMIP | Feature.PKU | Feature.FSGSBASE
FEATURES = {
    "4 levels": DEFAULT_FEATURES & ~Feature.LA57,
    "5 levels": DEFAULT_FEATURES | Feature.LA57 | SUPERVISOR,
    "no AVX, no supervisor protection": DEFAULT_FEATURES
    & ~(SUPERVISOR | Feature.LA57 | Feature.AVX | Feature.AVX2 | Feature.AVX512F),
    "everything": EVERYTHING,
}
CHECKS = 380  # at least; features add some


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize("engine", quick_engines())
def test_it_finds_nothing_wrong(guest_images, engine, features):
    board = Board(guest_images("boot"), engine, features=features)
    console = board.run()
    assert "FAILED" not in console
    *lines, verdict = console.splitlines()
    levels = 5 if features & Feature.LA57 else 4
    assert tuple(lines) == (*BEFORE, f"64-bit mode, {levels} levels", *AFTER)
    checks, failed = (int(word) for word in verdict.split() if word.isdecimal())
    assert checks > CHECKS
    assert failed == 0


class Forgetful(Board):
    """The latch keeps nothing."""

    def _out(self, port, value):
        super()._out(port, 0 if port == LATCH_PORT else value)


def test_a_check_that_fails_names_itself(guest_images):
    console = Forgetful(guest_images("boot"), None).run()
    failed = [line for line in console.splitlines() if line.startswith("FAILED")]
    assert set(failed) == {"FAILED ports by the map", "FAILED the latch"}
    assert console.splitlines()[-1].endswith(f", {len(failed)} failed")
