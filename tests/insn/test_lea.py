# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""LEA (SDM vol. 2A): an address that nothing checks, cut to address size, then operand size."""

import pytest

from insn.machine import CODE, UD, Machine, check_case, check_fault

BIG = 0x1234_5678_9ABC_DEF0

CASES = [
    ("long", "488d03", {"rbx": BIG}, {"rax": BIG}),  # not canonical, and no fault
    ("long", "8d03", {"rbx": BIG}, {"rax": 0x9ABC_DEF0}),
    ("long", "668d03", {"rbx": BIG, "rax": 0xF_0000}, {"rax": 0xF_DEF0}),
    ("long", "67488d03", {"rbx": BIG}, {"rax": 0x9ABC_DEF0}),
    ("long", "488d44cb10", {"rbx": 0x100, "rcx": 3}, {"rax": 0x128}),
    ("long", "488d44cbff", {"rbx": 0, "rcx": 0}, {"rax": (1 << 64) - 1}),
    ("long", "67488d44cbff", {"rbx": 0, "rcx": 0}, {"rax": 0xFFFF_FFFF}),
    ("long", "488d0500000000", {}, {"rax": CODE + 7}),
    ("long", "4a8d04a500000000", {"r12": 5}, {"rax": 20}),  # index R12 is legal
    ("long", "488d0424", {"rsp": 0x7000}, {"rax": 0x7000}),
    ("long", "648d03", {"rbx": 5, "fs": (0, 0x1000, 0, 0xC093)}, {"rax": 5}),  # no base added
    ("pm32", "8d44cb10", {"rbx": 0x100, "rcx": 3}, {"rax": 0x128}),
    ("pm32", "668d03", {"rbx": 0x1_2345}, {"rax": 0x2345}),
    ("pm32", "678d00", {"rbx": 0xFFFF, "rsi": 2}, {"rax": 1}),  # 16-bit wrap, zero-extended
    ("real", "8d00", {"rbx": 0xFFFF, "rsi": 2}, {"rax": 1}),
    ("real", "668d00", {"rax": 0xFFFF_FFFF, "rbx": 1, "rsi": 2}, {"rax": 3}),
    ("real", "8d46fe", {"rbp": 0}, {"rax": 0xFFFE}),
]


@pytest.mark.parametrize(("mode", "code", "before", "after"), CASES)
def test_addresses(engine, mode, code, before, after):
    check_case(engine, mode, code, {"rflags": 0xAD7, **before}, after)


@pytest.mark.parametrize("mode", ["real", "pm32", "long"])
def test_register_source_is_undefined(engine, mode):
    check_fault(Machine(engine, mode, "8dc0"), UD)
