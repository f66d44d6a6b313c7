# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MOVZX, MOVSX and MOVSXD (SDM vol. 2B)."""

import pytest

from insn.machine import DATA, MMIO, check_case
from vmmkit.insn import Read

ONES = (1 << 64) - 1

CASES = [
    ("long", "0fb6c3", {"rax": ONES, "rbx": 0xFF80}, {"rax": 0x80}),
    ("long", "660fb6c3", {"rax": ONES, "rbx": 0x80}, {"rax": ONES & ~0xFFFF | 0x80}),
    ("long", "480fb6c3", {"rax": ONES, "rbx": 0x80}, {"rax": 0x80}),
    ("long", "0fb6c7", {"rbx": 0x1280}, {"rax": 0x12}),  # bh
    ("long", "400fb6c7", {"rdi": 0x1280}, {"rax": 0x80}),  # dil
    ("long", "0fb7c3", {"rax": ONES, "rbx": 0x1_8000}, {"rax": 0x8000}),
    ("long", "480fb7c3", {"rbx": ONES}, {"rax": 0xFFFF}),
    ("long", "0fbec3", {"rax": ONES, "rbx": 0x80}, {"rax": 0xFFFF_FF80}),
    ("long", "660fbec3", {"rax": 0, "rbx": 0x80}, {"rax": 0xFF80}),
    ("long", "480fbec3", {"rbx": 0x80}, {"rax": ONES & ~0x7F}),
    ("long", "480fbec3", {"rbx": 0x7F}, {"rax": 0x7F}),
    ("long", "0fbfc3", {"rbx": 0x8000}, {"rax": 0xFFFF_8000}),
    ("long", "480fbfc3", {"rbx": 0x8000}, {"rax": ONES & ~0x7FFF}),
    ("long", "4c63fb", {"rbx": 0x8000_0000}, {"r15": 0xFFFF_FFFF_8000_0000}),
    ("long", "4863c3", {"rbx": 0x7FFF_FFFF}, {"rax": 0x7FFF_FFFF}),
    ("long", "63c3", {"rax": ONES, "rbx": 0x8000_0000}, {"rax": 0x8000_0000}),  # no REX.W
    ("long", "6663c3", {"rax": ONES, "rbx": 0x8001}, {"rax": ONES & ~0xFFFF | 0x8001}),
    ("pm32", "0fb6c3", {"rax": 1, "rbx": 0xFF}, {"rax": 0xFF}),
    ("real", "0fb6c3", {"rax": 0x1_FFFF, "rbx": 0xFF}, {"rax": 0x1_00FF}),
    ("real", "660fbfc3", {"rbx": 0xFFFE}, {"rax": 0xFFFF_FFFE}),
    ("long", "480fbe03", {"rbx": DATA, (DATA, 8): 0x80}, {"rax": ONES & ~0x7F}),
    ("long", "0fb703", {"rbx": DATA, (DATA, 8): ONES}, {"rax": 0xFFFF}),
    ("long", "486303", {"rbx": DATA, (DATA, 8): 0xFFFF_FFFE}, {"rax": ONES - 1}),
]


@pytest.mark.parametrize(("mode", "code", "before", "after"), CASES)
def test_extensions(engine, mode, code, before, after):
    check_case(engine, mode, code, {"rflags": 0xAD7, **before}, after)


@pytest.mark.parametrize(
    ("code", "size", "answer", "rax"),
    [
        ("0fb603", 1, 0xFF, 0xFF),
        ("480fbe03", 1, 0xFF, ONES),
        ("480fb703", 2, 0xFFFF, 0xFFFF),
        ("0fbf03", 2, 0x8000, 0xFFFF_8000),
        ("486303", 4, 0x8000_0000, 0xFFFF_FFFF_8000_0000),
        ("666303", 2, 0x1234, 0x1234),
    ],
)
def test_device_source_has_the_narrow_size(engine, code, size, answer, rax):
    check_case(
        engine, "long", code, {"rbx": MMIO}, {"rax": rax}, None, [answer], [Read(MMIO, size)]
    )
