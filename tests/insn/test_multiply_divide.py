# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MUL IMUL DIV IDIV, CBW CWD and their wider forms: results, flags, #DE, and memory operands.

SF, ZF, AF and PF of a product are undefined in the SDM; SF and PF follow the low half here, ZF and
AF are clear. Division leaves all flags undefined; here it changes none.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import DATA, GP, MMIO, PAGE_FAULT, STATUS, Machine, check_case, check_fault
from vmmkit.insn import Done, Fault, Read

DE = 0
ONES = (1 << 64) - 1
PREFIX = {1: "", 2: "66", 4: "", 8: "48"}


@pytest.mark.parametrize(
    ("mode", "code", "before", "after", "flags"),
    [
        # F6 and F7 /4: MUL
        ("long", "f6e3", {"rax": 0x5510, "rbx": 0x10}, {"rax": 0x0100}, "CPO"),
        ("long", "f6e3", {"rax": 0x5503, "rbx": 0x05}, {"rax": 0x000F}, "P"),
        ("long", "f6e4", {"rax": 0x0203}, {"rax": 0x0006}, "P"),
        (
            "long",
            "66f7e3",
            {"rax": 0x1_8000, "rbx": 4, "rdx": 0x7_7777},
            {"rax": 0x1_0000, "rdx": 0x7_0002},
            "CPO",
        ),
        (
            "long",
            "f7e3",
            {"rax": ONES, "rbx": 0xFFFF_FFFF, "rdx": ONES},
            {"rax": 1, "rdx": 0xFFFF_FFFE},
            "CO",
        ),
        ("long", "48f7e3", {"rax": ONES, "rbx": ONES}, {"rax": 1, "rdx": ONES - 1}, "CO"),
        ("long", "48f7e3", {"rax": 3, "rbx": 2, "rdx": 9}, {"rax": 6, "rdx": 0}, "P"),
        ("real", "f7e3", {"rax": 0x100, "rbx": 0x100}, {"rax": 0, "rdx": 1}, "CPO"),
        ("pm32", "f727", {"rdi": DATA, (DATA, 4): 7, "rax": 6}, {"rax": 42, "rdx": 0}, ""),
        # /5: IMUL
        ("long", "f6eb", {"rax": 0xFF, "rbx": 0x02}, {"rax": 0xFFFE}, "S"),
        ("long", "f6eb", {"rax": 0x40, "rbx": 0x02}, {"rax": 0x0080}, "CSO"),
        (
            "long",
            "48f7eb",
            {"rax": 1 << 63, "rbx": ONES},
            {"rax": 1 << 63, "rdx": 0},
            "CPSO",
        ),
        ("long", "48f7eb", {"rax": ONES, "rbx": ONES}, {"rax": 1, "rdx": 0}, ""),
        (
            "long",
            "f7eb",
            {"rax": 5, "rbx": 0xFFFF_FFFF},
            {"rax": 0xFFFF_FFFB, "rdx": ONES >> 32},
            "S",
        ),
        # two and three operands
        ("long", "0fafc3", {"rax": 0xF_0000_0003, "rbx": 4}, {"rax": 12}, "P"),
        ("long", "480fafc3", {"rax": 1 << 62, "rbx": 2}, {"rax": 1 << 63}, "CPSO"),
        ("long", "660faf07", {"rdi": DATA, (DATA, 2): 3, "rax": 0x1_FFFF}, {"rax": 0x1_FFFD}, "S"),
        ("long", "6bc3fe", {"rbx": 3}, {"rax": 0xFFFF_FFFA}, "PS"),
        ("long", "4869c300000080", {"rbx": 2}, {"rax": ONES << 32 & ONES}, "PS"),
        ("long", "6669c30080", {"rbx": 1, "rax": 0x1_0000}, {"rax": 0x1_8000}, "PS"),
        ("long", "69c300000001", {"rbx": 0x100}, {"rax": 0}, "CPO"),
        ("real", "69c30301", {"rbx": 2}, {"rax": 0x206}, "P"),
    ],
)
def test_products(engine, mode, code, before, after, flags):
    check_case(engine, mode, code, before, after, flags)


@pytest.mark.parametrize(
    ("mode", "code", "before", "after"),
    [
        ("long", "f6f3", {"rax": 0x1_0107, "rbx": 0x10}, {"rax": 0x1_0710}),
        ("long", "66f7f3", {"rax": 5, "rdx": 1, "rbx": 0x10}, {"rax": 0x1000, "rdx": 5}),
        ("long", "f7f3", {"rax": 7, "rdx": 0, "rbx": 2}, {"rax": 3, "rdx": 1}),
        ("long", "48f7f3", {"rax": 0, "rdx": 1, "rbx": 3}, {"rax": ONES // 3, "rdx": 1}),
        (
            "long",
            "48f7f3",
            {"rax": ONES, "rdx": ONES - 1, "rbx": ONES},
            {"rax": ONES, "rdx": ONES - 1},
        ),
        ("real", "f7f3", {"rax": 100, "rdx": 0, "rbx": 7}, {"rax": 14, "rdx": 2}),
        # IDIV rounds towards zero; the remainder has the dividend's sign
        ("long", "f6fb", {"rax": 0xFFF9, "rbx": 2}, {"rax": 0xFFFD}),
        ("long", "f6fb", {"rax": 0xFF80, "rbx": 1}, {"rax": 0x0080}),
        (
            "long",
            "48f7fb",
            {"rax": ONES - 6, "rdx": ONES, "rbx": 2},
            {"rax": ONES - 2, "rdx": ONES},
        ),
        ("long", "48f7fb", {"rax": 7, "rdx": 0, "rbx": ONES - 1}, {"rax": ONES - 2, "rdx": 1}),
        ("long", "48f7fb", {"rax": 0, "rdx": 1, "rbx": 1 << 63}, {"rax": ONES - 1, "rdx": 0}),
        ("pm32", "f73f", {"rdi": DATA, (DATA, 4): 5, "rax": 17, "rdx": 0}, {"rax": 3, "rdx": 2}),
    ],
)
def test_quotients(engine, mode, code, before, after):
    check_case(engine, mode, code, before | {"rflags": 2 | STATUS}, after)


@pytest.mark.parametrize(
    ("code", "before"),
    [
        ("f6f3", {"rax": 5, "rbx": 0}),
        ("f6f3", {"rax": 0x1000, "rbx": 0x10}),
        ("66f7f3", {"rdx": 2, "rbx": 2}),
        ("f7f3", {"rdx": 5, "rbx": 5}),
        ("48f7f3", {"rdx": 1, "rbx": 1}),
        ("f6fb", {"rax": 5, "rbx": 0}),
        ("f6fb", {"rax": 0x80, "rbx": 1}),
        ("f6fb", {"rax": 0xFF7F, "rbx": 1}),
        ("66f7fb", {"rax": 0x8000, "rdx": 0xFFFF, "rbx": 0xFFFF}),
        ("f7fb", {"rax": 0x8000_0000, "rdx": 0xFFFF_FFFF, "rbx": 0xFFFF_FFFF}),
        ("48f7fb", {"rax": 1 << 63, "rdx": ONES, "rbx": ONES}),
        ("48f7fb", {"rax": 0, "rdx": 1 << 63, "rbx": ONES}),
        ("48f7fb", {"rbx": 0}),
    ],
)
def test_divide_error(engine, code, before):
    check_fault(Machine(engine, "long", code, before), DE)


def test_the_divisor_is_read_before_it_is_judged(engine):
    """A divisor that cannot be read is #PF or #GP; one at a device is read, then is #DE."""
    machine = Machine(engine, "long", "f733", {"rbx": DATA, "rdx": ONES})
    machine.pte(DATA, 0)
    check_fault(machine, PAGE_FAULT, 0, DATA)
    check_fault(Machine(engine, "long", "f733", {"rbx": 1 << 63}), GP)
    machine = Machine(engine, "long", "f733", {"rbx": MMIO})
    assert machine.finish([0]) == ([Read(MMIO, 4)], Fault(DE, 0, 0))
    assert not machine.cpu.awaits_answer


def test_factor_at_a_device(engine):
    read = Read(MMIO, 4)
    before = {"rbx": MMIO, "rax": 6, "rdx": 9}
    check_case(engine, "long", "f723", before, {"rax": 42, "rdx": 0}, "", [7], [read])
    check_case(engine, "long", "0faf03", before, {"rax": 42}, "", [7], [read])
    check_case(engine, "long", "6b0307", before, {"rax": 42}, "", [6], [read])


@pytest.mark.parametrize(
    ("mode", "code", "before", "after"),
    [
        ("long", "6698", {"rax": 0x1_1280}, {"rax": 0x1_FF80}),
        ("long", "98", {"rax": ONES << 16 & ONES | 0x8000}, {"rax": 0xFFFF_8000}),
        ("long", "98", {"rax": ONES << 16 & ONES | 0x7FFF}, {"rax": 0x7FFF}),
        ("long", "4898", {"rax": 0x8000_0000}, {"rax": 0xFFFF_FFFF_8000_0000}),
        ("real", "98", {"rax": 0x80}, {"rax": 0xFF80}),
        ("real", "6698", {"rax": 0x8000}, {"rax": 0xFFFF_8000}),
        ("long", "6699", {"rax": 0x8000, "rdx": 0x1_2345}, {"rdx": 0x1_FFFF}),
        ("long", "99", {"rax": 0x8000, "rdx": ONES}, {"rdx": 0}),
        ("long", "99", {"rax": 0x8000_0000}, {"rdx": 0xFFFF_FFFF}),
        ("long", "4899", {"rax": 1 << 63}, {"rdx": ONES}),
        ("pm32", "99", {"rax": 0x8000_0000}, {"rdx": 0xFFFF_FFFF}),
    ],
)
def test_sign_extension(engine, mode, code, before, after):
    check_case(engine, mode, code, before, after)


def signed(value, size):
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value


@given(data=st.data(), size=st.sampled_from([1, 2, 4, 8]), digit=st.sampled_from([4, 5, 6, 7]))
def test_like_integers(engine, data, size, digit):
    """A product is the product; quotient * divisor + remainder is the dividend."""
    mask = (1 << 8 * size) - 1
    edges = st.sampled_from([0, 1, mask, mask >> 1, (mask >> 1) + 1])
    low, high, factor = (data.draw(st.one_of(st.integers(0, mask), edges)) for _ in range(3))
    start = {"rax": low | high << 8 if size == 1 else low, "rdx": high, "rbx": factor}
    code = f"{PREFIX[size]}{0xF6 + (size > 1):02x}{0xC3 | digit << 3:02x}"
    machine = Machine(engine, "long", code, start)
    outcome = machine.step()
    state = machine.state
    out_low = state.rax & mask
    out_high = state.rax >> 8 & 0xFF if size == 1 else state.rdx & mask
    wide = high << 8 * size | low
    read = signed if digit & 1 else lambda value, _: value
    if digit < 6:
        assert isinstance(outcome, Done)
        product = read(low, size) * read(factor, size)
        assert out_high << 8 * size | out_low == product & (1 << 16 * size) - 1
        assert bool(state.rflags & 0x801) == (product != read(out_low, size))
        return
    dividend, divisor = read(wide, 2 * size), read(factor, size)
    quotient = abs(dividend) // abs(divisor) if divisor else 1 << 128
    quotient = quotient if (dividend < 0) == (divisor < 0) else -quotient
    if quotient != read(quotient & mask, size):
        assert outcome == Fault(DE, 0, 0)
        return
    assert (read(out_low, size), read(out_high, size)) == (quotient, dividend - quotient * divisor)
