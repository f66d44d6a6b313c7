# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes in vector and x87 state that a review found.

Each is kept as the test that failed before.
"""

import pytest

from insn.kernel import CODE, RF, TF, Kernel, handler
from insn.machine import DATA, GP, PAGE_FAULT, UD, Machine, check_fault
from insn.test_debug_traps import ACCESS, breakpoint_on
from vmmkit.insn import Done, Feature

DB, MF = 1, 16
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
    """SDM vol. 1, "Standard Form of XRSTOR": bytes 23:8 are 0; in the compacted form, 63:16."""
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


GATHER = "c4e26990048b"  # vpgatherdd xmm0, [rbx+4*xmm1], xmm2
FAR = 0x6000_0000  # not mapped
SIGNS = 0x80000000_80000000_80000000_80000000


def gathering(engine, far_lane, registers):
    """Lanes 0 to 3 of memory, one of them from where nothing is."""
    guest = Kernel(engine, "long", GATHER, {"rbx": DATA, "zmm0": 0, "zmm2": SIGNS, **registers})
    indices = [0, 1, 2, 3]
    indices[far_lane] = (FAR - DATA) // 4
    guest.state.xmm[1] = sum(index << 32 * lane for lane, index in enumerate(indices))
    guest.poke(DATA, bytes(range(1, 17)))
    return guest


@pytest.mark.parametrize(
    ("registers", "cause"),
    [
        ({"rflags": 2 | TF}, 1 << 14),
        ({"rflags": 2, "dr0": DATA + 4, "dr7": breakpoint_on(ACCESS, size=4)}, 1),
    ],
    ids=["step", "data"],
)
def test_a_gather_takes_its_traps_before_a_later_lane_faults(engine, registers, cause):
    """SDM vol. 2C, VPGATHERDD: traps that are pending are delivered in lieu of the exception."""
    guest = gathering(engine, 2, registers)
    assert guest.step() == Done(handler(DB), 0)
    assert guest.state.xmm[0] == 0x08070605_04030201
    assert guest.state.xmm[2] == SIGNS >> 64 << 64
    assert guest.frame(3)[0] == CODE
    assert guest.frame(3)[2] & RF
    assert guest.state.dr6 & 0xE00F == cause
    guest.state.rip, guest.state.rflags = CODE, 2 | RF
    assert guest.step() == Done(handler(PAGE_FAULT), 0)
    assert guest.state.cr2 == FAR


@pytest.mark.parametrize(
    ("far_lane", "registers"),
    [
        (0, {"rflags": 2 | TF}),
        (1, {"rflags": 2, "dr0": FAR, "dr7": breakpoint_on(ACCESS, size=4)}),
    ],
    ids=["first lane", "its own breakpoint"],
)
def test_a_gather_whose_lanes_trap_nothing_faults(engine, far_lane, registers):
    assert gathering(engine, far_lane, registers).step() == Done(handler(PAGE_FAULT), 0)


def test_fnop_is_no_control_instruction(engine):
    """SDM vol. 2A, FNOP: it affects nothing but EIP and the x87 instruction pointer."""
    before = {"x87_ip": 5, "x87_dp": 7, "x87_status": 0x4700}
    machine = Machine(engine, "pm32", "d9d0", before)
    assert isinstance(machine.step(), Done)
    state = machine.state
    assert (state.x87_ip, state.x87_cs, state.x87_opcode) == (CODE, state.cs.selector, 0x1D0)
    assert (state.x87_dp, state.x87_status) == (7, 0x4700)
