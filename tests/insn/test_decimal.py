# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""AAA AAS DAA DAS AAM AAD SALC: results, flags, #DE, and #UD in 64-bit mode.

What the SDM leaves undefined: OF is clear here, CF and AF of AAM and AAD are clear, and SF, ZF and
PF of AAA and AAS are those of AL.
"""

import pytest

from insn.machine import UD, Machine, check_case, check_fault, flags_of
from vmmkit.insn import Done

DE = 0


@pytest.mark.parametrize(
    ("code", "value", "flags", "result", "after"),
    [
        ("37", 0x0009, "", 0x0009, "P"),  # AAA
        ("37", 0x000A, "", 0x0100, "CPAZ"),
        ("37", 0x01FF, "C", 0x0305, "CPA"),
        ("37", 0x0002, "A", 0x0108, "CA"),
        ("37", 0xFFFA, "", 0x0100, "CPAZ"),
        ("3f", 0x0109, "C", 0x0109, "P"),  # AAS
        ("3f", 0x010A, "", 0x0004, "CA"),
        ("3f", 0x0000, "A", 0xFE0A, "CPA"),
        ("27", 0x1142, "", 0x1142, "P"),  # DAA
        ("27", 0x110A, "", 0x1110, "A"),
        ("27", 0x119A, "", 0x1100, "CPAZ"),
        ("27", 0x11A0, "", 0x1100, "CPZ"),
        ("27", 0x1110, "C", 0x1170, "C"),
        ("27", 0x11FF, "A", 0x1165, "CPA"),
        ("27", 0x1199, "A", 0x119F, "PAS"),
        ("2f", 0x1142, "", 0x1142, "P"),  # DAS
        ("2f", 0x110A, "", 0x1104, "A"),
        ("2f", 0x1102, "A", 0x11FC, "CPAS"),
        ("2f", 0x11A0, "", 0x1140, "C"),
        ("2f", 0x1100, "C", 0x11A0, "CPS"),
        ("d40a", 0x1100 | 73, "CA", 0x0703, "P"),  # AAM
        ("d410", 0x00FF, "", 0x0F0F, "P"),
        ("d401", 0x00FF, "", 0xFF00, "PZ"),
        ("d4ff", 0x0080, "", 0x0080, "S"),
        ("d50a", 0x0703, "CA", 0x0049, ""),  # AAD
        ("d510", 0x0F0F, "", 0x00FF, "PS"),
        ("d500", 0xFF00, "", 0x0000, "PZ"),
        ("d5ff", 0x0201, "", 0x00FF, "PS"),
    ],
)
@pytest.mark.parametrize("mode", ["real", "pm32", "compat"])
def test_result_and_flags(engine, mode, code, value, flags, result, after):
    before = {"rax": 0xABCD_0000 | value, "rflags": 2 | flags_of(flags + "O")}
    check_case(engine, mode, code, before, {"rax": 0xABCD_0000 | result}, after)


def test_salc(engine):
    check_case(engine, "pm32", "d6", {"rax": 0x1234, "rflags": 3}, {"rax": 0x12FF})
    check_case(engine, "real", "d6", {"rax": 0x12FF, "rflags": 0x8D6}, {"rax": 0x1200})


def test_aam_by_zero(engine):
    check_fault(Machine(engine, "pm32", "d400", {"rax": 5}), DE)


@pytest.mark.parametrize("code", ["37", "3f", "27", "2f", "d40a", "d6"])
def test_not_in_64_bit_mode(engine, code):
    check_fault(Machine(engine, "long", code), UD)


@pytest.mark.parametrize("adding", [True, False])
def test_packed_sums_and_differences_of_decimal_numbers(engine, adding):
    """ADD then DAA, SUB then DAS: decimal arithmetic modulo 100, CF for what is lost."""
    for left in range(100):
        for right in (0, 1, 9, 10, 45, 50, 55, 90, 99):
            start = {"rax": int(f"{left}", 16), "rbx": int(f"{right}", 16)}
            machine = Machine(engine, "pm32", "00d827" if adding else "28d82f", start)
            assert all(isinstance(machine.step(), Done) for _ in range(2))
            total = left + right if adding else left - right
            assert machine.state.rax == int(f"{total % 100}", 16)
            assert machine.state.rflags & 1 == (not 0 <= total < 100)
