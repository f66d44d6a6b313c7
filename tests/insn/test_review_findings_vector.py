# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes in vector and x87 state that a review found.

Each is kept as the test that failed before.
"""

import pytest

from insn.machine import DATA, GP, UD, Machine, check_fault
from vmmkit.insn import Done, Feature

MF = 16
NE, ES = 1 << 5, 1 << 7
AREA, COMPACTED = DATA, 1 << 63
XRSTOR = "480fae2b"


@pytest.mark.parametrize("code", ["f30fd6c1", "f20fd6c1"], ids=["MOVQ2DQ", "MOVDQ2Q"])
def test_moves_between_mmx_and_xmm_wait_for_x87_exceptions(engine, code):
    """SDM vol. 2B, MOVQ2DQ and MOVDQ2Q: #MF."""
    machine = Machine(engine, "long", code, {"x87_status": ES})
    machine.state.cr0 |= NE
    check_fault(machine, MF)
    machine = Machine(engine, "long", code, {"x87_status": ES})
    machine.state.cr0 |= NE
    machine.state.cr4 &= ~(1 << 9)
    check_fault(machine, UD)


@pytest.mark.parametrize("place", [24, 32, 40, 48, 56, 63])
def test_the_standard_format_has_a_header_of_24_bytes(engine, place):
    """SDM vol. 1, "Standard Form of XRSTOR": bytes 23:8 must be 0; the compacted form wants 63:16."""
    area = {(AREA + 24, 4): 0x1F80, (AREA + 512 + place, 1): 1}
    registers = {"rbx": AREA, "rax": 7, "rdx": 0, **area}
    assert isinstance(Machine(engine, "long", XRSTOR, registers).step(), Done)
    registers[AREA + 520, 8] = COMPACTED | 7
    check_fault(Machine(engine, "long", XRSTOR, registers), GP)


def test_no_compacted_format_without_its_feature(engine):
    registers = {"rbx": AREA, "rax": 7, "rdx": 0, (AREA + 520, 8): COMPACTED | 7}
    assert isinstance(Machine(engine, "long", XRSTOR, registers).step(), Done)
    machine = Machine(engine, "long", XRSTOR, registers)
    machine.state.features &= ~(Feature.XSAVEC | Feature.XSAVES)
    check_fault(machine, GP)


# Feature, and an instruction that came with it.
BELONG = [
    ("AVX", "c5f8ae17"),  # vldmxcsr [rdi]
    ("AVX", "c5f8ae1f"),  # vstmxcsr [rdi]
    ("AVX2", "c4e27918c1"),  # vbroadcastss xmm0, xmm1
    ("AVX2", "c4e27d19c1"),  # vbroadcastsd ymm0, xmm1
    ("AVX2", "c4e36d42cb11"),  # vmpsadbw ymm1, ymm2, ymm3, 11h
    ("AVX512BW", "62f16d48f5cb"),  # vpmaddwd zmm1, zmm2, zmm3
    ("AVX512BW", "62f16d48f6cb"),  # vpsadbw zmm1, zmm2, zmm3
]


@pytest.mark.parametrize(("feature", "code"), BELONG)
def test_features(engine, feature, code):
    registers = {"rdi": DATA, (DATA, 4): 0x1F80}
    assert isinstance(Machine(engine, "long", code, registers).step(), Done)
    machine = Machine(engine, "long", code, registers)
    machine.state.features &= ~Feature[feature]
    check_fault(machine, UD)


@pytest.mark.parametrize("code", ["c4e2791807", "c4e27d1907"])
def test_broadcasts_from_memory_came_with_avx(engine, code):
    machine = Machine(engine, "long", code, {"rdi": DATA})
    machine.state.features &= ~Feature.AVX2
    assert isinstance(machine.step(), Done)
