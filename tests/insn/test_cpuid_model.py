# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`CpuidModel`: what CPUID says is what the engines do."""

import struct

import pytest

from insn.machine import CODE, CR4_PAE, CR4_PKE, UD, Machine
from vmmkit.insn import CpuState, Fault, Feature
from vmmkit.insn.cpuid import BITS, DEFAULT_FEATURES, CpuidModel

EAX, EBX, ECX, EDX = range(4)
OSXSAVE = 1 << 18
EXTENDED = 0x8000_0000


@pytest.fixture
def state():
    return CpuState()


def text(*words):
    return struct.pack(f"<{len(words)}I", *words).rstrip(b"\0").decode()


def test_vendor_and_highest_leaves(state):
    model = CpuidModel()
    highest, ebx, ecx, edx = model(state, 0, 0)
    assert (highest, text(ebx, edx, ecx)) == (0xD, "GenuineIntel")
    assert model(state, EXTENDED, 0)[EAX] == 0x8000_0008
    _, ebx, ecx, edx = CpuidModel(vendor="Twelve chars")(state, 0, 0)
    assert text(ebx, edx, ecx) == "Twelve chars"


def test_brand(state):
    model = CpuidModel(brand="a brand of forty-seven characters, no more of it")
    words = [word for leaf in range(3) for word in model(state, 0x8000_0002 + leaf, 0)]
    assert text(*words) == "a brand of forty-seven characters, no more of i"


def test_every_feature_has_a_bit_of_its_own():
    in_leaf_0dh = {Feature.XSAVEOPT, Feature.XSAVEC, Feature.XSAVES}
    assert set(BITS) | in_leaf_0dh | {Feature.OTHER} == set(Feature)
    assert len(set(BITS.values())) == len(BITS)


@pytest.mark.parametrize(("feature", "place"), BITS.items(), ids=str)
def test_bits_follow_features(state, feature, place):
    leaf, register, bit = place
    model = CpuidModel()
    assert model(state, leaf, 0)[register] >> bit & 1
    state.features &= ~feature
    assert not model(state, leaf, 0)[register] >> bit & 1


def test_bits_follow_cr4(state):
    model = CpuidModel()
    assert not model(state, 1, 0)[ECX] >> 27 & 1
    assert not model(state, 7, 0)[ECX] >> 4 & 1
    state.cr4 |= OSXSAVE | CR4_PKE
    assert model(state, 1, 0)[ECX] >> 27 & 1
    assert model(state, 7, 0)[ECX] >> 4 & 1


def test_processors(state):
    model = CpuidModel(apic_id=3, processors=5, apic=True)
    _, ebx, _, edx = model(state, 1, 0)
    assert (ebx >> 24, ebx >> 16 & 0xFF, edx >> 9 & 1, edx >> 28 & 1) == (3, 5, 1, 1)
    assert model(state, 0xB, 0) == (0, 1, 0x100, 3)
    assert model(state, 0xB, 1) == (3, 5, 0x201, 3)
    assert model(state, 0xB, 2) == (0, 0, 2, 3)
    alone = CpuidModel()
    assert alone(state, 1, 0)[EDX] & (1 << 9 | 1 << 28) == 0
    assert alone(state, 0xB, 1) == (0, 1, 0x201, 0)


def test_address_widths(state):
    state.maxphyaddr = 39
    assert CpuidModel()(state, 0x8000_0008, 0)[EAX] == 57 << 8 | 39
    state.features &= ~Feature.LA57
    assert CpuidModel()(state, 0x8000_0008, 0)[EAX] == 48 << 8 | 39


def test_xsave_areas(state):
    model = CpuidModel()
    assert model(state, 0xD, 0) == (0x2E7, 576, 2696, 0)
    places = {2: (256, 576), 5: (64, 1088), 6: (512, 1152), 7: (1024, 1664), 9: (8, 2688)}
    for subleaf in range(2, 64):
        assert model(state, 0xD, subleaf) == (*places.get(subleaf, (0, 0)), 0, 0)
    for xcr0, size in ((3, 576), (7, 832), (0xE7, 2688), (0x203, 2696)):
        state.xcr0 = xcr0
        assert model(state, 0xD, 0)[EBX] == size
    state.features &= ~Feature.PKU
    assert model(state, 0xD, 0) == (0xE7, 576, 2688, 0)
    state.features &= ~Feature.AVX512F
    assert model(state, 0xD, 0) == (7, 576, 832, 0)
    state.features &= ~Feature.XSAVE
    assert model(state, 0xD, 0) == model(state, 0xD, 1) == (0, 0, 0, 0)


def test_compacted_areas(state):
    model = CpuidModel()
    for xcr0, size in ((3, 576), (7, 832), (0xE7, 576 + 256 + 64 + 512 + 1024), (0x203, 584)):
        state.xcr0 = xcr0
        assert model(state, 0xD, 1) == (0xF, size, 0, 0)
    state.features &= ~(Feature.XSAVEC | Feature.XSAVES)
    assert model(state, 0xD, 1) == (1, 0, 0, 0)


@pytest.mark.parametrize("leaf", [2, 6, 0xE, 0x4000_0000, 0x8000_0009, 0xFFFF_FFFF])
def test_other_leaves_are_zeros_until_somebody_adds_them(state, leaf):
    model = CpuidModel()
    assert model(state, leaf, 0) == (0, 0, 0, 0)
    model.leaves[leaf, 0] = (1, 2, 3, 4)
    assert model(state, leaf, 0) == (1, 2, 3, 4)
    assert model(state, leaf, 1) == (0, 0, 0, 0)


def test_no_subleaf_of_leaf_7_repeats_it(state):
    assert CpuidModel()(state, 7, 1) == (0, 0, 0, 0)


# An instruction of each feature that has one; a processor without it raises #UD.
INSTRUCTIONS = {
    Feature.CX8: "0fc70b",
    Feature.CX16: "480fc70b",
    Feature.CMOV: "0f40c0",
    Feature.MOVBE: "0f38f003",
    Feature.POPCNT: "f30fb8c0",
    Feature.SSE42: "f20f38f0c0",
    Feature.BMI1: "c4e278f2c0",
    Feature.BMI2: "c4e27bf5c0",
    Feature.ADX: "660f38f6c0",
    Feature.SEP: "0f34",
    Feature.RDTSCP: "0f01f9",
    Feature.INVPCID: "660f388203",
    Feature.SMAP: "0f01cb",
    Feature.RDRAND: "0fc7f0",
    Feature.RDSEED: "0fc7f8",
    Feature.RDPID: "f30fc7f8",
    Feature.MONITOR: "0f01c8",
    Feature.SERIALIZE: "0f01e8",
}


@pytest.mark.parametrize(("feature", "code"), INSTRUCTIONS.items(), ids=str)
def test_what_is_shown_is_executed_and_what_is_hidden_is_not(engine, feature, code):
    registers = {"rbx": 0x2000, "rax": 0x2000, "sysenter_cs": 8, "cr4": CR4_PAE}
    shown = Machine(engine, "long", code, registers)
    assert shown.step() != Fault(UD, 0, 0)
    hidden = Machine(engine, "long", code, registers)
    hidden.state.features &= ~feature
    assert hidden.step() == Fault(UD, 0, 0)
    assert hidden.state.rip == CODE


def test_default_features_are_features():
    assert Feature(DEFAULT_FEATURES) == DEFAULT_FEATURES
    shown = Feature.LM | Feature.SYSCALL | Feature.CX16 | Feature.SSE42 | Feature.AVX2
    for feature in shown:
        assert feature in DEFAULT_FEATURES


def test_a_guest_is_told_that_it_is_one(state):
    """Else an operating system looks for uncore counters and C-states by the model number."""
    assert CpuidModel()(state, 1, 0)[ECX] >> 31 & 1
    assert not CpuidModel(hypervisor=False)(state, 1, 0)[ECX] >> 31 & 1


def test_there_are_architectural_capabilities(state):
    assert CpuidModel()(state, 7, 0)[EDX] >> 29 & 1


def test_leaf_5_comes_with_monitor(state):
    """It tells of the extension that MWAIT takes."""
    assert CpuidModel()(state, 5, 0) == (64, 64, 3, 0)
    state.features &= ~Feature.MONITOR
    assert CpuidModel()(state, 5, 0) == (0, 0, 0, 0)
