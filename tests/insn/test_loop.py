# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""LOOP, LOOPE, LOOPNE, JCXZ (SDM vol. 2A): the count has the address size."""

import pytest

from insn.machine import CODE, GP, ZF, Machine, check_case, check_fault

ONES = (1 << 64) - 1

# code, rCX before, ZF, rCX after, taken
CASES = [
    ("long", "e210", 2, 0, 1, True),
    ("long", "e210", 1, 0, 0, False),
    ("long", "e210", 0, 0, ONES, True),
    ("long", "67e210", 1 << 32, 0, 0xFFFF_FFFF, True),  # ECX counts, and zero-extends
    ("long", "67e210", ONES << 32 & ONES | 1, 0, 0, False),
    ("long", "e110", 2, ZF, 1, True),
    ("long", "e110", 2, 0, 1, False),
    ("long", "e110", 1, ZF, 0, False),
    ("long", "e010", 2, 0, 1, True),
    ("long", "e010", 2, ZF, 1, False),
    ("long", "e010", 1, 0, 0, False),
    ("long", "e310", 0, 0, 0, True),
    ("long", "e310", 1, 0, 1, False),
    ("long", "e310", 1 << 32, 0, 1 << 32, False),
    ("long", "67e310", 1 << 32, 0, 1 << 32, True),  # JECXZ reads only
    ("pm32", "e210", 1, 0, 0, False),
    ("pm32", "67e210", 0x1_0001, 0, 0x1_0000, False),  # CX alone counts
    ("pm32", "67e210", 0x1_0000, 0, 0x1_FFFF, True),
    ("pm32", "67e310", 0x1_0000, 0, 0x1_0000, True),
    ("real", "e210", 0x1_0001, 0, 0x1_0000, False),
    ("real", "67e210", 0x1_0001, 0, 0x1_0000, True),
    ("real", "e310", 0x1_0000, 0, 0x1_0000, True),
]


@pytest.mark.parametrize(("mode", "code", "count", "zero", "left", "taken"), CASES)
def test_counts(engine, mode, code, count, zero, left, taken):
    following = CODE + len(code) // 2
    after = {"rcx": left, "rip": following + (0x10 if taken else 0)}
    check_case(engine, mode, code, {"rcx": count, "rflags": 2 | zero}, after)


@pytest.mark.parametrize("code", ["e27f", "e17f", "e37f"])
def test_a_target_beyond_the_limit_does_not_count_down(engine, code):
    registers = {"rcx": 0 if code == "e37f" else 5, "rflags": 2 | ZF}
    machine = Machine(engine, "pm32", code, registers)
    machine.state.cs = machine.state.cs._replace(limit=CODE + 0x10)
    check_fault(machine, GP)
