# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Vector moves: what reaches registers, RAM and devices, and what is checked before.

What the forms compute is compared with the processor in `test_against_processor`; here is what
it cannot show: devices, control registers, and records.
"""

import pytest

from insn.machine import (
    AC,
    CR0_AM,
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    UD,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Cpu, Done, Feature, Read, Write

NM, MF = 7, 16
BYTES = int.from_bytes(bytes(range(1, 65)), "little")
ONES = (1 << 512) - 1


def low(value, size):
    return value & (1 << 8 * size) - 1


# code, registers before, vector registers after; zmm0 is all ones and zmm1 BYTES before
REGISTER_CASES = [
    ("0f10c1", {"zmm0": ONES & ~low(ONES, 16) | low(BYTES, 16)}),  # movups xmm0, xmm1
    ("f30f10c1", {"zmm0": ONES & ~low(ONES, 4) | low(BYTES, 4)}),  # movss xmm0, xmm1
    ("f30f7ec1", {"zmm0": ONES & ~low(ONES, 16) | low(BYTES, 8)}),  # movq xmm0, xmm1
    ("c5f810c1", {"zmm0": low(BYTES, 16)}),  # vmovups xmm0, xmm1
    ("c5fc28c1", {"zmm0": low(BYTES, 32)}),  # vmovaps ymm0, ymm1
    ("62f17c4828c1", {"zmm0": BYTES}),  # vmovaps zmm0, zmm1
    ("0f12c1", {"zmm0": ONES & ~low(ONES, 8) | low(BYTES >> 64, 8)}),  # movhlps xmm0, xmm1
    ("660fefc0", {"zmm0": ONES & ~low(ONES, 16)}),  # pxor xmm0, xmm0
    ("c5f857c0", {"zmm0": 0}),  # vxorps xmm0, xmm0, xmm0
    ("660fd7c1", {"rax": 0}),  # pmovmskb eax, xmm1
    ("660fd7c0", {"rax": 0xFFFF}),  # pmovmskb eax, xmm0
    ("660f7ec8", {"rax": 0x04030201}),  # movd eax, xmm1
    ("66480f7ec8", {"rax": 0x0807060504030201}),  # movq rax, xmm1
    ("660f70c11b", {"zmm0": ONES & ~low(ONES, 16) | 0x04030201_08070605_0C0B0A09_100F0E0D}),
    ("c5fd6fc1", {"zmm0": low(BYTES, 32)}),  # vmovdqa ymm0, ymm1
    ("c4e27d78c1", {"zmm0": int.from_bytes(b"\1" * 32, "little")}),  # vpbroadcastb ymm0, xmm1
    ("62f17cc910c1", {"zmm0": 0x04030201 | 0x0C0B0A09 << 64}),  # vmovups zmm0{k1}{z}, zmm1
    ("62f17c4910c1", {"zmm0": ONES & ~0xFFFFFFFF & ~(0xFFFFFFFF << 64)
                      | 0x04030201 | 0x0C0B0A09 << 64}),  # vmovups zmm0{k1}, zmm1
    ("c5f877", {"zmm0": low(ONES, 16), "zmm1": low(BYTES, 16)}),  # vzeroupper
]  # fmt: skip


@pytest.mark.parametrize(("code", "after"), REGISTER_CASES)
def test_registers(engine, code, after):
    check_case(engine, "long", code, {"zmm0": ONES, "zmm1": BYTES, "k1": 5, "rax": 1}, after)


STORES = [
    ("0f1103", 16),  # movups [rbx], xmm0
    ("660f7f03", 16),  # movdqa
    ("0f2b03", 16),  # movntps
    ("f30f1103", 4),  # movss
    ("f20f1103", 8),  # movsd
    ("660fd603", 8),  # movq
    ("0f1303", 8),  # movlps
    ("c5fc1103", 32),  # vmovups ymm
    ("62f17c481103", 64),  # vmovups zmm
]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("code", "size"), STORES)
def test_store_to_a_device(engine, code, size, wide):
    """In pieces of 8, the lowest first; or at once where devices take that."""
    machine = Machine(engine, "long", code, {"zmm0": BYTES, "rbx": MMIO})
    machine.cpu = Cpu([(0, machine.low)], engine=engine, state=machine.state, wide=wide)
    machine.state.cr0 &= ~(1 << 31)
    machine.state.efer = 0
    machine.state.enter_protected_mode(machine.state.rip)
    accesses, outcome = machine.finish()
    piece = size if wide else min(8, size)
    expected = [
        Write(MMIO + at, piece, low(BYTES >> 8 * at, piece)) for at in range(0, size, piece)
    ]
    assert accesses == expected
    assert isinstance(outcome, Done)


@pytest.mark.parametrize(("code", "size"), [("0f1003", 16), ("c5fc1003", 32), ("62f17c481003", 64)])
def test_load_from_a_device(engine, code, size):
    pieces = [low(BYTES >> 64 * number, 8) for number in range(size // 8)]
    accesses = [Read(MMIO + 8 * number, 8) for number in range(size // 8)]
    zmm = low(BYTES, size)
    check_case(engine, "long", code, {"rbx": MMIO}, {"zmm0": zmm}, None, pieces, accesses)


@pytest.mark.parametrize(("code", "size"), [("0f1003", 16), ("c5fc1003", 32), ("62f17c481003", 64)])
def test_load_at_once(engine, code, size):
    machine = Machine(engine, "long", code, {"rbx": MMIO})
    machine.cpu = Cpu(
        [(0, machine.low), (0x10000, machine.high)], engine=engine, state=machine.state, wide=True
    )
    assert machine.step() == Read(MMIO, size)
    assert isinstance(machine.step(BYTES), Done)
    assert machine.state.zmm[0] == low(BYTES, size)


def test_masked_store_touches_enabled_lanes_only(engine):
    """vmovups [rbx]{k1}, zmm0: lanes 0, 1 and 3; two that are neighbours go together."""
    accesses = [Write(MMIO, 8, 0x0807060504030201), Write(MMIO + 12, 4, 0x100F0E0D)]
    before = {"zmm0": BYTES, "rbx": MMIO, "k1": 0b1011}
    check_case(engine, "long", "62f17c491103", before, {}, None, (), accesses)


@pytest.mark.parametrize("opmask", [0, 1, 0xF])
def test_lanes_that_are_off_do_not_fault(engine, opmask):
    """vmovups zmm0{k1}{z}, [rbx] with all but four lanes on a page that is not there."""
    page = 0x6000
    machine = Machine(engine, "long", "62f17cc91003", {"rbx": page - 16, "k1": opmask})
    machine.pte(page, 0, 0)
    assert isinstance(machine.step(), Done)


def test_first_enabled_lane_faults(engine):
    page = 0x6000
    machine = Machine(engine, "long", "62f17cc91003", {"rbx": page - 16, "k1": 0x21})
    machine.pte(page, 0, 0)
    check_fault(machine, PAGE_FAULT, 0, page + 4)


def test_store_across_pages_checks_both_first(engine):
    page = 0x6000
    machine = Machine(engine, "long", "c5fe7f03", {"zmm0": BYTES, "rbx": page - 5})
    machine.pte(page, 0, 0)
    check_fault(machine, PAGE_FAULT, 2, page)


@pytest.mark.parametrize("code", ["0f2803", "660f6f03", "0f2b03", "660fef03", "c5fc2803"])
def test_alignment(engine, code):
    check_fault(Machine(engine, "long", code, {"rbx": DATA + 8}), GP)


@pytest.mark.parametrize("code", ["0f1003", "f30f6f03", "f20ff003", "c5f9ef03", "c5fc1003"])
def test_no_alignment(engine, code):
    assert isinstance(Machine(engine, "long", code, {"rbx": DATA + 8}).step(), Done)


@pytest.mark.parametrize(("code", "vector"), [("0f1003", 17), ("0f2803", GP), ("c5fc1003", None)])
def test_alignment_check(engine, code, vector):
    """#AC for 16 bytes, never for the forms that must be aligned, nor for wider ones."""
    machine = Machine(engine, "long", code, {"rbx": DATA + 8}).ring3()
    machine.state.cr0 |= CR0_AM
    machine.state.rflags |= AC
    if vector is None:
        assert isinstance(machine.step(), Done)
    else:
        check_fault(machine, vector)


SSE, AVX, AVX512, MMX, MASK = "0f10c1", "c5f810c1", "62f17c4828c1", "0fefc1", "c5f890c9"
OSFXSR, OSXSAVE = 1 << 9, 1 << 18

# code, CR0 bits set, CR4 bits cleared, XCR0, exception
CHECKS = [
    (SSE, 0, OSFXSR, 0xE7, UD),
    (SSE, 4, 0, 0xE7, UD),
    (SSE, 8, 0, 0xE7, NM),
    (SSE, 12, 0, 0xE7, UD),
    (SSE, 0, OSXSAVE, 1, None),
    (AVX, 0, OSXSAVE, 0xE7, UD),
    (AVX, 0, 0, 3, UD),
    (AVX, 0, 0, 7, None),
    (AVX, 4, OSFXSR, 7, None),
    (AVX, 8, 0, 7, NM),
    (AVX512, 0, 0, 7, UD),
    (AVX512, 0, 0, 0x67, UD),
    (AVX512, 0, 0, 0xE7, None),
    (MASK, 0, 0, 7, UD),
    (MASK, 0, 0, 0xE7, None),
    (MMX, 0, OSFXSR, 1, None),
    (MMX, 4, 0, 1, UD),
    (MMX, 8, 0, 1, NM),
]


@pytest.mark.parametrize(("code", "set_bits", "clear", "xcr0", "vector"), CHECKS)
def test_state_checks(engine, code, set_bits, clear, xcr0, vector):
    machine = Machine(engine, "long", code)
    machine.state.cr0 |= set_bits
    machine.state.cr4 &= ~clear
    machine.state.xcr0 = xcr0
    if vector is None:
        assert isinstance(machine.step(), Done)
    else:
        check_fault(machine, vector)


def test_pending_x87_exception(engine):
    machine = Machine(engine, "long", MMX, {"x87_status": 0x80})
    machine.state.cr0 |= 1 << 5  # NE
    check_fault(machine, MF)


FEATURES = [
    (SSE, "SSE"),
    ("660fefc1", "SSE2"),
    ("660f3800c1", "SSSE3"),
    ("660f3829c1", "SSE41"),
    ("660f3837c1", "SSE42"),
    ("f20ff003", "SSE3"),
    (MMX, "MMX"),
    (AVX, "AVX"),
    ("c5fdefc1", "AVX2"),
    ("c4e27d78c1", "AVX2"),
    (AVX512, "AVX512F"),
    ("62f17c2828c1", "AVX512VL"),
    ("62f17f486fc1", "AVX512BW"),
]


@pytest.mark.parametrize(("code", "name"), FEATURES)
def test_features(engine, code, name):
    machine = Machine(engine, "long", code, {"rbx": DATA})
    assert isinstance(machine.step(), Done)
    machine = Machine(engine, "long", code, {"rbx": DATA})
    machine.state.features &= ~Feature[name]
    check_fault(machine, UD)


@pytest.mark.parametrize("mode", ["real"])
@pytest.mark.parametrize("code", [AVX, AVX512])
def test_no_vex_in_real_mode(engine, mode, code):
    machine = Machine(engine, mode, code)
    assert machine.step()[0] == UD


def test_mmx_aliases_x87(engine):
    """movq mm1, mm0: the exponent becomes all ones, every register full, the top 0."""
    before = {"mm0": 0x1122334455667788, "x87_status": 0x3800, "x87_tag": 0}
    after = {"st1": 0xFFFF << 64 | 0x1122334455667788, "x87_status": 0, "x87_tag": 0xFF}
    check_case(engine, "long", "0f6fc8", before, after)


def test_movdir64b(engine):
    """One write of 64 bytes, or eight: ES:rAX, aligned."""
    before = {"rax": MMIO, "rbx": DATA, (DATA, 64): BYTES}
    accesses = [Write(MMIO + 8 * at, 8, low(BYTES >> 64 * at, 8)) for at in range(8)]
    check_case(engine, "long", "660f38f803", before, {}, None, (), accesses)
    machine = Machine(engine, "long", "660f38f803", before | {"rax": MMIO + 32})
    check_fault(machine, GP)
