# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""XCHG and the encodings of NOP it lends (SDM vol. 2B, NOP, PAUSE, XCHG)."""

import pytest

from insn.machine import DATA, MMIO, UD, Machine, check_case, check_fault
from vmmkit.insn import Read, Write

ONES = (1 << 64) - 1

CASES = [
    ("long", "93", {"rax": ONES, "rbx": 5}, {"rax": 5, "rbx": 0xFFFF_FFFF}),
    ("long", "4893", {"rax": ONES, "rbx": 5}, {"rax": 5, "rbx": ONES}),
    ("long", "6693", {"rax": 0x1_0001, "rbx": 0x2_0002}, {"rax": 0x1_0002, "rbx": 0x2_0001}),
    ("long", "4990", {"rax": 1, "r8": 2}, {"rax": 2, "r8": 1}),  # REX.B makes 90 an exchange
    ("long", "4190", {"rax": ONES, "r8": 2}, {"rax": 2, "r8": 0xFFFF_FFFF}),
    ("long", "90", {"rax": ONES}, {}),  # ... and without it even EAX is not cut
    ("long", "4890", {"rax": ONES}, {}),
    ("long", "6690", {"rax": ONES}, {}),
    ("long", "f390", {"rax": ONES}, {}),  # PAUSE
    ("long", "f290", {"rax": ONES}, {}),
    ("long", "0f1f4000", {"rax": MMIO}, {}),  # a NOP's operand is not touched
    ("long", "0f1f00", {"rax": 1 << 62}, {}),
    ("long", "0f1fc0", {"rax": ONES}, {}),
    ("long", "87c0", {"rax": ONES}, {"rax": 0xFFFF_FFFF}),  # XCHG EAX,EAX by ModRM does cut
    ("long", "86e0", {"rax": 0x1234}, {"rax": 0x3412}),  # al, ah
    ("long", "4c87c0", {"rax": 1, "r8": 2}, {"rax": 2, "r8": 1}),
    ("real", "93", {"rax": 0x1_0001, "rbx": 2}, {"rax": 0x1_0002, "rbx": 1}),
    ("real", "90", {}, {}),
    ("pm32", "93", {"rax": 1, "rbx": 2}, {"rax": 2, "rbx": 1}),
    ("long", "8703", {"rax": ONES, "rbx": DATA, (DATA, 4): 7}, {"rax": 7, (DATA, 4): 0xFFFF_FFFF}),
    ("long", "8623", {"rax": 0x1234, "rbx": DATA, (DATA, 1): 7}, {"rax": 0x734, (DATA, 1): 0x12}),
    ("long", "f08703", {"rax": 1, "rbx": DATA, (DATA, 4): 7}, {"rax": 7, (DATA, 4): 1}),
    # the register is part of its own address: the address is made first
    ("long", "871b", {"rbx": DATA, (DATA, 4): 7}, {"rbx": 7, (DATA, 4): DATA}),
]


@pytest.mark.parametrize(("mode", "code", "before", "after"), CASES)
def test_exchanges(engine, mode, code, before, after):
    check_case(engine, mode, code, {"rflags": 0xAD7, **before}, after)


def test_device_is_read_then_written(engine):
    accesses = [Read(MMIO, 8), Write(MMIO, 8, 1)]
    registers = {"rbx": MMIO, "rax": 1}
    check_case(engine, "long", "488703", registers, {"rax": 2}, None, [2], accesses)


@pytest.mark.parametrize("code", ["f087c0", "f090", "f0f390", "f093"])
def test_lock_needs_memory(engine, code):
    check_fault(Machine(engine, "long", code), UD)
