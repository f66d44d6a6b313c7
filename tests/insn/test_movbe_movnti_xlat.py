# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MOVBE, MOVNTI and XLAT (SDM vol. 2B and 2C)."""

import pytest

from insn.machine import (
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    UD,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Read, Segment, Write
from vmmkit.insn.optable import FEATURES

VALUE, SWAPPED = 0x1122_3344_5566_7788, 0x8877_6655_4433_2211
ONES = (1 << 64) - 1
AT = {"rbx": DATA, "rax": ONES, "rflags": 0xAD7}

LOADS = [
    ("long", "0f38f003", {(DATA, 4): 0x1122_3344}, {"rax": 0x4433_2211}),
    ("long", "480f38f003", {(DATA, 8): VALUE}, {"rax": SWAPPED}),
    ("long", "660f38f003", {(DATA, 2): 0x1122}, {"rax": ONES & ~0xFFFF | 0x2211}),
    ("long", "66480f38f003", {(DATA, 8): VALUE}, {"rax": SWAPPED}),
    ("long", "4c0f38f003", {(DATA, 8): VALUE}, {"r8": SWAPPED}),
    ("pm32", "0f38f003", {(DATA, 4): 0x1122_3344}, {"rax": 0x4433_2211}),
    ("real", "0f38f007", {(DATA, 2): 0x1122}, {"rax": ONES & ~0xFFFF | 0x2211}),
    ("real", "660f38f007", {(DATA, 4): 0x1122_3344}, {"rax": 0x4433_2211}),
]
STORES = [
    ("long", "0f38f103", {"rax": VALUE}, {(DATA, 4): 0x8877_6655}),
    ("long", "480f38f103", {"rax": VALUE}, {(DATA, 8): SWAPPED}),
    ("long", "660f38f103", {"rax": VALUE}, {(DATA, 2): 0x8877}),
    ("compat", "0f38f103", {"rax": VALUE}, {(DATA, 4): 0x8877_6655}),
    ("real", "0f38f107", {"rax": VALUE}, {(DATA, 2): 0x8877}),
]
NON_TEMPORAL = [
    ("long", "0fc303", {"rax": VALUE}, {(DATA, 4): 0x5566_7788}),
    ("long", "480fc303", {"rax": VALUE}, {(DATA, 8): VALUE}),
    ("long", "440fc303", {"r8": VALUE}, {(DATA, 4): 0x5566_7788}),
    ("pm32", "0fc303", {"rax": VALUE}, {(DATA, 4): 0x5566_7788}),
    ("real", "0fc307", {"rax": VALUE}, {(DATA, 4): 0x5566_7788}),  # never 2 bytes
]
TABLES = [
    ("long", "d7", {"rax": 0x1_0005, (DATA + 5, 1): 0xAB}, {"rax": 0x1_00AB}),
    ("long", "d7", {"rax": 0xFF, (DATA + 0xFF, 1): 0xAB}, {"rax": 0xAB}),
    ("long", "67d7", {"rax": 5, "rbx": 1 << 32 | DATA, (DATA + 5, 1): 0xAB}, {"rax": 0xAB}),
    ("long", "48d7", {"rax": 5, (DATA + 5, 1): 0xAB}, {"rax": 0xAB}),
    ("long", "64d7", {"rax": 5, "fs": Segment(0, 0x100, 0, 0), (DATA + 0x105, 1): 7}, {"rax": 7}),
    ("pm32", "d7", {"rax": 5, (DATA + 5, 1): 0xAB}, {"rax": 0xAB}),
    ("pm32", "26d7", {"rax": 5, "es": Segment(16, 0x100, 0xFFFF_FFFF, 0xC093),
                      (DATA + 0x105, 1): 7}, {"rax": 7}),
    ("real", "d7", {"rax": 5, "rbx": 0xABCD_0000 | DATA, (DATA + 5, 1): 0xAB}, {"rax": 0xAB}),
    ("real", "d7", {"rax": 5, "rbx": 0xFFFE, (3, 1): 0xAB}, {"rax": 0xAB}),  # 16 bits wrap
]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "code", "before", "after"), LOADS + STORES + NON_TEMPORAL + TABLES
)
def test_values(engine, mode, code, before, after):
    check_case(engine, mode, code, AT | before, after)


def test_devices(engine):
    at = {"rbx": MMIO, "rax": VALUE}
    loaded = {"rax": SWAPPED}
    check_case(engine, "long", "480f38f003", at, loaded, None, [VALUE], [Read(MMIO, 8)])
    check_case(engine, "long", "480f38f103", at, {}, None, [], [Write(MMIO, 8, SWAPPED)])
    check_case(engine, "long", "0fc303", at, {}, None, [], [Write(MMIO, 4, VALUE & 0xFFFF_FFFF)])
    low = {"rbx": MMIO, "rax": 4}
    check_case(engine, "long", "d7", low, {"rax": 9}, None, [9], [Read(MMIO + 4, 1)])


FAULTS = [
    ("long", "0f38f003", {"rbx": 1 << 63}, (GP,)),
    ("long", "0f38f1042424", {"rsp": 1 << 63}, (SS_FAULT,)),
    ("long", "0f38f103", {"rbx": 0x4000_0000}, (PAGE_FAULT, 2, 0x4000_0000)),
    ("long", "0f38f003", {"rbx": 0x4000_0000}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("long", "0fc303", {"rbx": 0x3FFF_FFFE}, (PAGE_FAULT, 2, 0x4000_0000)),
    ("long", "0fc3c3", {}, (UD,)),
    ("long", "660fc303", {"rbx": DATA}, (UD,)),
    ("long", "f00fc303", {"rbx": DATA}, (UD,)),
    ("long", "d7", {"rbx": 1 << 47}, (GP,)),
    ("long", "d7", {"rbx": 0x3FFF_FFFF, "rax": 1}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("pm32", "36d7", {"rbx": 0x1000, "ss": Segment(16, 0, 0xFFF, 0xC093)}, (SS_FAULT,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)


@pytest.mark.parametrize(("feature", "code"), [("MOVBE", "0f38f003"), ("SSE2", "0fc303")])
def test_features(engine, feature, code):
    machine = Machine(engine, "long", code, {"rbx": DATA})
    machine.state.features &= ~(1 << list(FEATURES).index(feature))
    check_fault(machine, UD)
