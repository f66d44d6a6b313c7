# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""TEST (SDM vol. 2B): AND without a result."""

import pytest

from insn.machine import DATA, MMIO, check_case
from vmmkit.insn import Read

CASES = [
    ("long", "84d8", {"rax": 0xF0, "rbx": 0x0F}, "PZ"),
    ("long", "84e7", {"rax": 0x8000, "rbx": 0x8000}, "S"),  # ah, bh
    ("long", "85c0", {"rax": 1 << 32}, "PZ"),
    ("long", "4885c0", {"rax": 1 << 63}, "PS"),
    ("long", "6685c0", {"rax": 0x8000}, "PS"),
    ("long", "a801", {"rax": 1}, ""),
    ("long", "a900000080", {"rax": 0x8000_0000}, "PS"),
    ("long", "48a900000080", {"rax": 1 << 63}, "PS"),  # imm32 is sign-extended
    ("long", "66a90100", {"rax": 3}, ""),
    ("long", "f6c003", {"rax": 3}, "P"),
    ("long", "f6c803", {"rax": 3}, "P"),  # /1 does the same as /0
    ("long", "f7c0ff000000", {"rax": 0x100}, "PZ"),
    ("long", "48f7c8ffffffff", {"rax": 1 << 63}, "PS"),
    ("long", "f60301", {"rbx": DATA, (DATA, 1): 1}, ""),
    ("long", "8503", {"rbx": DATA, (DATA, 4): 3, "rax": 4}, "PZ"),
    ("real", "a90080", {"rax": 0x1_8000}, "PS"),
    ("pm32", "66f7c00080", {"rax": 0x8000}, "PS"),
]


@pytest.mark.parametrize(("mode", "code", "before", "flags"), CASES)
def test_flags(engine, mode, code, before, flags):
    """CF and OF are cleared; nothing else is written."""
    check_case(engine, mode, code, {"rflags": 0x8D7, **before}, {}, flags)


@pytest.mark.parametrize("code", ["8403", "f60303"])
def test_device_is_only_read(engine, code):
    registers = {"rbx": MMIO, "rax": 3}
    check_case(engine, "long", code, registers, {}, "P", [0xFF], [Read(MMIO, 1)])
