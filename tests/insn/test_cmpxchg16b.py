# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CMPXCHG8B and CMPXCHG16B (SDM vol. 2A): halves, ZF alone, alignment, two device accesses."""

import pytest

from insn.machine import (
    CR0_WP,
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    UD,
    US,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.insn import Read, Write
from vmmkit.insn.optable import FEATURES

ALL = 0x8D7  # every status flag
LOW, UP = 0x1111_2222_3333_4444, 0x5555_6666_7777_8888
ONES = (1 << 64) - 1
DESIRED = {"rbx": ONES << 32 & ONES | 1, "rcx": ONES << 32 & ONES | 2}

PAIRS = [
    ("long", "0fc70e", 4),
    ("long", "660fc70e", 4),
    ("compat", "0fc70e", 4),
    ("pm32", "0fc70e", 4),
    ("real", "670fc70e", 4),
    ("long", "480fc70e", 8),
    ("long", "66480fc70e", 8),
]
PAIRS += [(mode, "f0" + code, size) for mode, code, size in PAIRS]


def halves(size):
    mask = (1 << 8 * size) - 1
    return LOW & mask, UP & mask, mask


@pytest.mark.parametrize(("mode", "code", "size"), PAIRS)
def test_equal(engine, mode, code, size):
    """Nothing above the operand counts, and no register changes."""
    low, up, mask = halves(size)
    before = {**DESIRED, "rax": LOW, "rdx": UP, "rsi": DATA, "rflags": ALL & ~0x40}
    before |= {(DATA, size): low, (DATA + size, size): up}
    after = {(DATA, size): DESIRED["rbx"] & mask, (DATA + size, size): DESIRED["rcx"] & mask}
    check_case(engine, mode, code, before, after, "CPAZSO")


@pytest.mark.parametrize("wrong", ["rax", "rdx"])
@pytest.mark.parametrize(("mode", "code", "size"), PAIRS)
def test_unequal(engine, mode, code, size, wrong):
    """What was found goes to rDX:rAX, zero-extended."""
    low, up, _ = halves(size)
    before = {**DESIRED, "rax": LOW, "rdx": UP, "rsi": DATA, "rflags": ALL}
    before |= {wrong: before[wrong] ^ 1, (DATA, size): low, (DATA + size, size): up}
    check_case(engine, mode, code, before, {"rax": low, "rdx": up}, "CPASO")


@pytest.mark.parametrize("prefix", ["", "f0"])
def test_devices(engine, prefix):
    before = {"rax": 3, "rdx": 4, "rbx": 5, "rcx": 6, "rsi": MMIO}
    once = [Read(MMIO, 8), Write(MMIO, 8, 6 << 32 | 5)]
    check_case(engine, "long", prefix + "0fc70e", before, {}, "Z", [4 << 32 | 3], once)
    reads = [Read(MMIO, 8), Read(MMIO + 8, 8)]
    twice = [*reads, Write(MMIO, 8, 5), Write(MMIO + 8, 8, 6)]
    check_case(engine, "long", prefix + "480fc70e", before, {}, "Z", [3, 4], twice)
    back = [*reads, Write(MMIO, 8, 7), Write(MMIO + 8, 8, 8)]
    after = {"rax": 7, "rdx": 8}
    check_case(engine, "long", prefix + "480fc70e", before, after, "", [7, 8], back)


FAULTS = [
    ("long", "480fc70e", {"rsi": DATA + 8}, (GP,)),  # 16 bytes must be aligned
    ("long", "f0480fc70e", {"rsi": DATA + 1}, (GP,)),
    ("long", "480fc70e", {"rsi": MMIO + 4}, (GP,)),
    ("long", "480fc70e", {"rsi": 0x4000_0008}, (GP,)),  # before the page walk
    ("long", "480fc70c24", {"rsp": 1 << 63 | 8}, (SS_FAULT,)),  # after the canonical check
    ("long", "480fc70e", {"rsi": 0x4000_0000}, (PAGE_FAULT, 2, 0x4000_0000)),
    ("long", "0fc70e", {"rsi": 0x3FFF_FFFC}, (PAGE_FAULT, 2, 0x4000_0000)),
    ("long", "0fc7ce", {}, (UD,)),
    ("long", "f00fc7ce", {}, (UD,)),
    ("real", "0fc70c", {"rsi": 0xFFFA}, (GP,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)


@pytest.mark.parametrize("code", ["0fc70e", "480fc70e"])
def test_a_page_must_be_writable_whatever_the_comparison_says(engine, code):
    machine = Machine(engine, "long", code, {"rsi": DATA, "rax": 1})
    machine.state.cr0 |= CR0_WP
    machine.pte(DATA, DATA | P | US)
    check_fault(machine, PAGE_FAULT, 3, DATA)


@pytest.mark.parametrize(("feature", "code"), [("CX16", "480fc70e"), ("CX8", "0fc70e")])
def test_features(engine, feature, code):
    machine = Machine(engine, "long", code, {"rsi": DATA})
    machine.state.features &= ~(1 << list(FEATURES).index(feature))
    check_fault(machine, UD)


def test_8_bytes_do_without_the_feature_of_16(engine):
    machine = Machine(engine, "long", "f00fc70e", {"rsi": DATA, "rbx": 1})
    machine.state.features &= ~(1 << list(FEATURES).index("CX16"))
    machine.step()
    assert machine.peek(DATA, 8) == 1
