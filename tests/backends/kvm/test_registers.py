# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers that go to the kernel and come back, and guests that see them."""

import random

import pytest

from backends.kvm.pairs import CODE, CR4_OSXSAVE, image, kvm_vcpu, outcomes, soft_vcpu, start
from vmmkit.backends.kvm import CpuidEntry, _msrs
from vmmkit.backends.kvm._cpuid import vcpu_table
from vmmkit.backends.kvm._spec import SEGMENT
from vmmkit.backends.kvm._vector_state import XsaveLayout
from vmmkit.errors import KvmError
from vmmkit.insn import WORD, BudgetSpent, CpuState, Feature, Halt, PortOut, Segment

pytestmark = pytest.mark.kvm

HALT = bytes.fromhex("f4")
CANONICAL = 0x7FFF_FFFF_FFFF
PAT = 0x0001_0406_0007_0506
PLAIN = {
    **{name: 0x1000 + 8 * place for place, name in enumerate(("sysenter_esp", "sysenter_eip"))},
    **{name: CANONICAL - place for place, name in enumerate(("lstar", "cstar", "kernel_gs_base"))},
    "star": 0x0023_0010_0000_0000,
    "sfmask": 0x4_7700,
    "sysenter_cs": 0x10,
    "tsc_aux": 0x1234,
    "pat": PAT,
    "dr0": 0x1111,
    "dr1": 0x2222,
    "dr2": 0x3333,
    "dr3": 0x4444,
    "dr6": 0xFFFF_0FF1,
    "dr7": 0x401,
    "cr2": 0x1234_5678_9ABC,
    "cr8": 9,
    "mxcsr": 0x1FA0,
    # An exception is pending: without one AMD's processors neither save nor load the last three.
    "x87_control": 0x27E,
    "x87_status": 0xA981,
    "x87_tag": 0x60,
    "x87_opcode": 0x123,
    "x87_ip": 0x4567,
    "x87_dp": 0x89AB,
    "idtr_base": 0x6000,
    "idtr_limit": 0x123,
    "gdtr_base": 0xB000,
    "gdtr_limit": 0x17,
}


def fill(state, dice):
    """Another value in every register that may have any."""
    start(state, 64)
    state.rip = CODE
    for number in range(16):
        state.gpr[number] = dice.getrandbits(64)
    for name, value in PLAIN.items():
        setattr(state, name, value)
    for number in range(16):
        state.ymm[number] = dice.getrandbits(256)
    for number in range(8):
        state.x87[number] = dice.getrandbits(80)
    state.fs = Segment(0x10, 0x1234_5678, 0xFFFF_FFFF, 0xC093)
    state.ldtr = Segment(0x20, 0x6100, 0xFF, 0x82)


def pulled_again(vcpu):
    """Have the kernel take the registers, and fetch them from it."""
    vcpu.kick()
    assert isinstance(vcpu.run(), BudgetSpent)
    return vcpu.state


@pytest.mark.parametrize("seed", range(4))
def test_every_register_comes_back(seed):
    with kvm_vcpu(image(HALT)) as (vcpu, _, _):
        state = vcpu.state
        fill(state, random.Random(seed))
        if vcpu.cpuid.features & Feature.AVX:
            state.xcr0 = 7
        given = state.copy()
        assert pulled_again(vcpu) is state
        state.tsc_offset = given.tsc_offset  # time goes on
        for name in PLAIN:
            assert (name, getattr(state, name)) == (name, getattr(given, name))
        assert list(state.ymm) == list(given.ymm)
        assert list(state.x87) == list(given.x87)
        state.words[WORD["code_rip"]] = given.words[WORD["code_rip"]]
        assert state == given


SEGMENTS = [
    Segment(0x08, 0, 0xFFFF_FFFF, 0xA09B),
    Segment(0x10, 0x1234_5678_9ABC, 0xFFFF_FFFF, 0xC093),
    Segment(0x33, 0, 0xFFFF_FFFF, 0xA0FB),
    Segment(0xFFFF, 0xFFFF0, 0xFFFF, 0x93),
    Segment(0, 0, 0, 0x1_0000),
    Segment(0x28, 0x1000, 0x67, 0x108B),
]


@pytest.mark.parametrize("segment", SEGMENTS, ids=str)
def test_segments_are_the_kernel_s_fields(segment):
    from vmmkit.backends.kvm._registers import _segment_raw, _segment_words  # noqa: PLC0415

    packed = b"".join(value.to_bytes(8, "little") for value in segment)
    raw = _segment_raw(packed)
    assert _segment_words(raw) == packed
    base, limit, selector, kind, present, dpl, db, s, long, g, avl, unusable = SEGMENT.unpack(raw)
    assert (selector, base, limit) == segment[:3]
    bits = segment.attributes
    assert (kind, s, dpl, present) == (bits & 15, bits >> 4 & 1, bits >> 5 & 3, bits >> 7 & 1)
    assert (avl, long, db, g) == tuple(bits >> place & 1 for place in (12, 13, 14, 15))
    assert unusable == bits >> 16


def test_a_guest_sees_what_was_set_and_the_owner_what_it_changed():
    code = bytes.fromhex("6683c001 66e720 660f20c3 f4")  # add eax, 1; out; mov ebx, cr0; hlt
    with kvm_vcpu(image(code)) as (vcpu, _, _):
        start(vcpu.state, 16)
        vcpu.state.rax = 0x41
        assert vcpu.run() == PortOut(0x20, 4, 0x42)
        assert vcpu.state.rax == 0x42
        assert isinstance(vcpu.run(), Halt)
        assert vcpu.state.rbx == vcpu.state.cr0


def test_looking_changes_nothing():
    code = bytes.fromhex("40 e620 ebfb")  # inc ax; out; jmp
    with kvm_vcpu(image(code)) as (vcpu, _, _):
        start(vcpu.state, 16)
        for turn in range(1, 20):
            assert vcpu.run() == PortOut(0x20, 1, turn)
            assert vcpu.state.rax == turn
            assert vcpu.state.words[WORD["log_pending"]]


def test_time_goes_on_and_can_be_set():
    with kvm_vcpu(image(HALT)) as (vcpu, _, _):
        start(vcpu.state, 16)
        vcpu.state.tsc = 1 << 40
        first = pulled_again(vcpu).tsc
        assert pulled_again(vcpu).tsc > first >= 1 << 40
        if first >= 1 << 41:
            pytest.skip("this kernel takes a time-stamp counter and keeps its own")


def test_interrupt_shadow_and_blocked_nmis_come_back():
    with kvm_vcpu(image(HALT)) as (vcpu, _, _):
        start(vcpu.state, 16)
        for shadow in (1, 2, 0):
            vcpu.state.interrupt_shadow = shadow
            vcpu.state.nmi_blocked = int(not shadow)
            vcpu.state.words[WORD["nmi_pending"]] = int(not shadow)
            state = pulled_again(vcpu)
            assert state.interrupt_shadow == shadow
            assert state.nmi_blocked == int(not shadow)
            assert state.words[WORD["nmi_pending"]] == int(not shadow)


def test_msrs_that_the_kernel_refuses_are_an_error():
    with kvm_vcpu(image(HALT)) as (vcpu, _, _):
        start(vcpu.state, 16)
        vcpu.state.lstar = 1 << 63  # not canonical
        with pytest.raises(KvmError, match="KVM_SET_MSRS of 0xc0000082"):
            vcpu.run()


def test_registers_that_the_kernel_refuses_are_an_error_and_can_be_mended():
    with kvm_vcpu(image(HALT)) as (vcpu, _, _):
        start(vcpu.state, 16)
        vcpu.state.cr4 |= 1 << 63
        with pytest.raises(KvmError, match="KVM_SET_SREGS"):
            vcpu.run()
        vcpu.state.cr4 &= ~(1 << 63)
        assert vcpu.run() == Halt(CODE + 1)


def test_what_the_kernel_took_before_it_refused_can_be_undone():
    with kvm_vcpu(image(HALT)) as (vcpu, _, _):
        start(vcpu.state, 16)
        state = pulled_again(vcpu)
        mxcsr, xmm, cr4, tpr = state.mxcsr, state.xmm[3], state.cr4, state.tpr
        state.mxcsr, state.xmm[3], state.cr4, state.tpr = 0x1F00, 77, cr4 | 1 << 63, 0xF0
        with pytest.raises(KvmError, match="KVM_SET_SREGS"):
            vcpu.run()
        state.mxcsr, state.xmm[3], state.cr4, state.tpr = mxcsr, xmm, cr4, tpr
        state = pulled_again(vcpu)
        assert (state.mxcsr, state.xmm[3]) == (mxcsr, xmm)
        assert (state.cr4, state.tpr) == (cr4, tpr)


def test_msrs_that_a_vcpu_has_not_do_not_hide_the_others(monkeypatch):
    monkeypatch.delitem(_msrs.HELD, 0xDA0)
    monkeypatch.setitem(_msrs.HELD, 0x1234_5678, WORD["xss"])
    monkeypatch.setitem(_msrs.HELD, 0xC000_0103, _msrs.HELD.pop(0xC000_0103))  # after it
    with kvm_vcpu(image(HALT)) as (vcpu, _, _):
        start(vcpu.state, 16)
        vcpu.state.lstar, vcpu.state.pat = 0x1234, 0x0007_0406_0007_0406
        vcpu.state.tsc_aux = 9
        state = pulled_again(vcpu)
        assert (state.lstar, state.pat, state.tsc_aux) == (0x1234, 0x0007_0406_0007_0406, 9)
        state.xss = 1
        with pytest.raises(KvmError, match="KVM_SET_MSRS of 0x12345678 to 0x1"):
            vcpu.run()


def test_vector_registers_of_a_guest_without_xsave():
    layout = XsaveLayout((), 0)
    area, state = memoryview(bytearray(4096)).cast("Q"), CpuState()
    state.xmm[2], state.x87[1] = 1 << 100, 1 << 70
    layout.push(state.words, area)
    assert area[512 // 8] == 3  # XSTATE_BV: both are there
    other = CpuState()
    layout.pull(other.words, area)
    assert (other.xmm[2], other.x87[1]) == (1 << 100, 1 << 70)


def test_components_that_the_record_has_not_stay_as_they_are():
    layout = XsaveLayout([(17, 2752), (18, 2816)], 0x6_00E7)
    area = memoryview(bytearray(11008)).cast("Q")
    area[512 // 8] = 1 << 17
    layout.push(CpuState().words, area)
    assert area[512 // 8] == 0x2_00E7


LEAVES = [
    *((leaf, 0) for leaf in (0, 1, 2, 5, 6, 0xA, 0x15, 0x19, 0x20, 0x4000_0000, 0x4000_0001)),
    *((4, subleaf) for subleaf in range(6)),
    *((7, subleaf) for subleaf in range(4)),
    *((leaf, subleaf) for leaf in (0xB, 0x1F) for subleaf in range(5)),
    *((0xD, subleaf) for subleaf in range(12)),
    *((leaf, 0) for leaf in range(0x8000_0000, 0x8000_000B)),
    *((leaf, 0) for leaf in (0x8000_001E, 0x8000_00FF, 0x1234_5678, 0xC000_0000)),
]
ASK = bytes.fromhex("0fa2 e720 89d8 e720 89c8 e720 89d0 e720 f4")


@pytest.mark.parametrize("osxsave", [False, True])
def test_cpuid_is_the_same_for_software(osxsave):
    ram = image(ASK)
    with kvm_vcpu(ram, apic_id=5, processors=6) as (vcpu, _, _):
        soft = soft_vcpu(ram, vcpu.cpuid)
        different = []
        for leaf, subleaf in LEAVES:
            seen = []
            for each in (vcpu, soft):
                start(each.state, 32)
                if osxsave and vcpu.cpuid.features & Feature.XSAVE:
                    each.state.cr4 |= CR4_OSXSAVE
                    each.state.xcr0 = vcpu.cpuid.components & 7
                each.state.rax, each.state.rcx = leaf, subleaf
                seen.append([outcome.value for outcome in outcomes(each)[:4]])
            if seen[0] != seen[1]:
                different.append(
                    (hex(leaf), subleaf, *([hex(value) for value in row] for row in seen))
                )
        assert not different


def test_cpuid_tells_apic_id_and_processors():
    with kvm_vcpu(image(HALT), apic_id=5, processors=6) as (vcpu, _, _):
        _, ebx, _, edx = vcpu.cpuid.row(1)
        assert (ebx >> 24, ebx >> 16 & 0xFF, edx >> 28 & 1) == (5, 6, 1)
        if vcpu.cpuid.row(0)[0] >= 0xB and any(vcpu.cpuid.row(0xB)):
            assert vcpu.cpuid.row(0xB, 1) == (3, 6, 0x201, 5)


def test_cpuid_of_amd_s_processors():
    rows = [
        CpuidEntry(0x8000_0008, 0, 0, 0x3030, 1, 0x7_703F, 2),
        CpuidEntry(0x8000_001D, 0, 1, 0x121, 3, 4, 5),
        CpuidEntry(0x8000_001D, 3, 1, 0x3C163, 3, 4, 5),
        CpuidEntry(0x8000_001D, 4, 1, 0, 0, 0, 0),
    ]
    sizes, first, last, none = vcpu_table(rows, 2, 6)
    assert (sizes.ecx, sizes.eax, sizes.edx) == (0x7_3005, 0x3030, 2)
    assert (first.eax, last.eax, none.eax) == (0x121, 0x14163, 0)
    intel = CpuidEntry(0x8000_0008, 0, 0, 0x3030, 1, 0, 0)
    assert vcpu_table([intel], 2, 6) == (intel,)


def test_an_area_without_x87_and_sse_shows_registers_after_reset():
    layout = XsaveLayout((), 7)
    area, state = memoryview(bytearray(b"\x55" * 4096)).cast("Q"), CpuState()
    area[512 // 8] = 0  # what is not there may be what was there before
    layout.pull(state.words, area)
    assert (state.x87_control, state.x87_status, state.x87_tag) == (0x37F, 0, 0)
    assert not any([*state.x87, *state.xmm])
