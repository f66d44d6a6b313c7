# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""LODS, CMPS and SCAS, with and without REP (SDM vol. 2A, CMPS, LODS; vol. 2B, SCAS, REP)."""

import pytest

from insn.machine import (
    CODE,
    DATA,
    DF,
    GP,
    LOW,
    MMIO,
    PAGE_FAULT,
    STATUS,
    ZF,
    Machine,
    check_case,
    check_fault,
    flags_of,
)
from vmmkit.insn import STEP_BATCH, Done, Fault, Read, Segment

ONES = (1 << 64) - 1
VALUE = 0x8877_6655_4433_2211
FROM, TO = DATA, DATA + 0x800

# mode, operand- and address-size prefixes, opcode bit 0, operand bytes
SIZES = [
    ("long", "", 0, 1),
    ("long", "66", 1, 2),
    ("long", "", 1, 4),
    ("long", "48", 1, 8),
    ("compat", "", 1, 4),
    ("pm32", "", 1, 4),
    ("pm32", "66", 1, 2),
    ("pm16", "", 1, 2),
    ("real", "", 1, 2),
    ("real", "66", 1, 4),
]


def low(value, size):
    return value & (1 << 8 * size) - 1


def code_of(prefix, opcode, wide):
    return f"{prefix}{opcode | wide:02x}"


@pytest.mark.parametrize("direction", [0, DF], ids=["up", "down"])
@pytest.mark.parametrize(("mode", "prefix", "wide", "size"), SIZES)
def test_lods(engine, mode, prefix, wide, size, direction):
    before = {"rax": ONES, "rsi": FROM, "rdi": TO, "rflags": 2 | direction, (FROM, 8): VALUE}
    loaded = low(VALUE, size)
    rax = loaded if size >= 4 else ONES - low(ONES, size) + loaded
    after = {"rax": rax, "rsi": FROM - size if direction else FROM + size}
    check_case(engine, mode, code_of(prefix, 0xAC, wide), before, after)


# left (DS:rSI or rAX), right (ES:rDI), flags of the difference of bytes
DIFFERENCES = [
    (0x11, 0x11, "ZP"),
    (0x11, 0x12, "CASP"),
    (0x80, 0x01, "AO"),
    (0x7F, 0xFF, "COS"),
    (0x10, 0x01, "AP"),
]


@pytest.mark.parametrize(("left", "right", "flags"), DIFFERENCES)
def test_flags(engine, left, right, flags):
    pointers = {"rsi": FROM, "rdi": TO, (TO, 1): right}
    after = {"rsi": FROM + 1, "rdi": TO + 1}
    check_case(engine, "long", "a6", {**pointers, (FROM, 1): left}, after, flags)
    before = {"rdi": TO, "rax": ONES - 0xFF + left, (TO, 1): right}
    check_case(engine, "long", "ae", before, {"rdi": TO + 1}, flags)


@pytest.mark.parametrize("direction", [0, DF], ids=["up", "down"])
@pytest.mark.parametrize(("mode", "prefix", "wide", "size"), SIZES)
def test_whole_operands_are_compared(engine, mode, prefix, wide, size, direction):
    """They differ in the highest byte alone: the left one is greater by its lowest bit."""
    change = -size if direction else size
    top = 8 * (size - 1)
    left, right = VALUE & ~(0xFF << top) | 0x21 << top, VALUE & ~(0xFF << top) | 0x20 << top
    flags = "" if size == 1 else "P"
    common = {"rdi": TO, "rflags": 2 | direction | STATUS, (TO, 8): right}
    after = {"rsi": FROM + change, "rdi": TO + change}
    before = {"rsi": FROM, (FROM, 8): left, **common}
    check_case(engine, mode, code_of(prefix, 0xA6, wide), before, after, flags)
    before = {"rax": left, **common}
    check_case(engine, mode, code_of(prefix, 0xAE, wide), before, {"rdi": TO + change}, flags)


def scanned(prefix, text, byte, count):
    """Elements that a repeated scan of `text` for `byte` does, and whether the last was equal."""
    done, equal = 0, False
    for one in text[:count]:
        done, equal = done + 1, one == byte
        if equal == (prefix == "f2"):
            break
    return done, equal


@pytest.mark.parametrize("count", [1, 3, 4, 5, 6, 100])
@pytest.mark.parametrize("text", [b"aaab", b"bbba", b"aaaa", b"baaa"])
@pytest.mark.parametrize("prefix", ["f3", "f2"])
def test_repeat_ends_by_zf(engine, prefix, text, count):
    text = text.ljust(100, text[:1])
    done, equal = scanned(prefix, text, ord("a"), count)
    machine = Machine(engine, "long", f"{prefix}ae", {"rax": ord("a"), "rdi": TO, "rcx": count})
    machine.poke(TO, text)
    assert machine.step() == Done(CODE + 2, 0)
    state = machine.state
    assert (state.rdi, state.rcx, state.retired) == (TO + done, count - done, done)
    assert bool(state.rflags & ZF) == equal
    registers = {"rsi": FROM, "rdi": TO, "rcx": count}
    machine = Machine(engine, "long", f"{prefix}a6", registers)
    machine.poke(FROM, text)
    machine.poke(TO, b"a" * 100)
    assert machine.step() == Done(CODE + 2, 0)
    state = machine.state
    assert (state.rsi, state.rdi, state.rcx) == (FROM + done, TO + done, count - done)
    assert bool(state.rflags & ZF) == equal


@pytest.mark.parametrize("prefix", ["f3", "f2"])
@pytest.mark.parametrize("code", ["ac", "ad"])
def test_rep_lods_keeps_the_last(engine, prefix, code):
    """ZF has no say."""
    size = 4 if code == "ad" else 1
    registers = {"rsi": FROM, "rcx": 3, "rflags": 0x42, (FROM + 2 * size, size): 0x7A}
    after = {"rax": 0x7A, "rsi": FROM + 3 * size, "rcx": 0}
    check_case(engine, "long", prefix + code, registers, after)


@pytest.mark.parametrize("code", ["f3a6", "f2a7", "f348ae", "f2af", "f3ac"])
def test_zero_count_touches_nothing(engine, code):
    registers = {"rcx": 0, "rsi": 1 << 63, "rdi": 1 << 62, "rflags": 0x8D7}
    check_case(engine, "long", code, registers, {})


ADDRESS_SIZES = [
    ("long", "67", {"rcx": 1 << 32 | 2, "rsi": 1 << 40 | FROM}, {"rcx": 0, "rsi": FROM + 2}),
    ("pm32", "67", {"rcx": 0x1_0002, "rsi": 0x5_2000}, {"rcx": 0x1_0000, "rsi": 0x5_2002}),
    ("real", "67", {"rcx": 2, "rsi": FROM}, {"rcx": 0, "rsi": FROM + 2}),
    ("real", "", {"rcx": 0x7_0002, "rsi": 0x7_2000}, {"rcx": 0x7_0000, "rsi": 0x7_2002}),
]


@pytest.mark.parametrize(("mode", "prefix", "before", "after"), ADDRESS_SIZES)
def test_address_size(engine, mode, prefix, before, after):
    check_case(engine, mode, f"{prefix}f3ac", {(FROM, 2): 0x7755, **before}, {"rax": 0x77, **after})


def test_16_bit_indices_wrap(engine):
    """The element at FFFF is a device's, the next one is at 0."""
    registers = {"rax": 0, "rcx": 2, "rdi": 0xFFFF, (0, 1): 0x55}
    machine = Machine(engine, "real", "f3ae", registers)
    accesses, outcome = machine.finish([0])
    assert (accesses, outcome) == ([Read(0xFFFF, 1)], Done(CODE + 2, 0))
    assert (machine.state.rdi, machine.state.rcx) == (1, 0)
    machine = Machine(engine, "real", "acfdac", {"rsi": 0xFFFF, (0, 1): 0x55})
    assert machine.finish([0x44])[0] == [Read(0xFFFF, 1)]
    assert machine.state.rsi == 0
    machine.finish()
    machine.step()
    assert (machine.state.rsi, machine.state.rax) == (0xFFFF, 0x55)


def test_only_the_source_is_overridden(engine):
    registers = {"rsi": 0, "rdi": 0, (FROM, 1): 0x77, (TO, 1): 0x77}
    for code, rsi, rdi in (("64a6", 1, 1), ("64ac", 1, 0), ("64ae", 0, 1)):
        machine = Machine(engine, "pm32", code, {**registers, "rax": 0x77})
        machine.state.ds = Segment(16, 0x100, 0xFFFF, 0xC093)
        machine.state.fs = Segment(16, FROM, 0xFFFF, 0xC093)
        machine.state.es = Segment(16, TO, 0xFFFF, 0xC093)
        assert machine.step() == Done(CODE + 2, 0)
        state = machine.state
        assert (state.rsi, state.rdi, state.rax) == (rsi, rdi, 0x77)
        assert state.rflags & ZF or code == "64ac"


def test_page_crossing_element(engine):
    registers = {"rsi": 0x2FFD, "rdi": 0x4FFE, (0x2FFD, 8): VALUE, (0x4FFE, 8): VALUE}
    check_case(engine, "long", "48a7", registers, {"rsi": 0x3005, "rdi": 0x5006}, "ZP")


def test_compare_looks_at_its_target_first(engine):
    """As Intel's processors do."""
    machine = Machine(engine, "long", "a7", {"rsi": 1 << 30, "rdi": 2 << 30})
    check_fault(machine, PAGE_FAULT, 0, 2 << 30)
    machine = Machine(engine, "long", "a7", {"rsi": 1 << 30, "rdi": TO})
    check_fault(machine, PAGE_FAULT, 0, 1 << 30)
    machine = Machine(engine, "long", "a7", {"rsi": 1 << 30, "rdi": 1 << 63})
    check_fault(machine, GP)


def test_devices_are_read_in_the_same_order(engine):
    """Two equal addresses are two accesses."""
    machine = Machine(engine, "long", "a7", {"rsi": MMIO, "rdi": MMIO})
    accesses, _ = machine.finish([7, 9])
    assert accesses == [Read(MMIO, 4), Read(MMIO, 4)]
    assert machine.state.rflags & STATUS == 0  # 9 - 7
    machine = Machine(engine, "long", "a6", {"rsi": MMIO, "rdi": MMIO + 8})
    assert machine.finish([7, 7])[0] == [Read(MMIO + 8, 1), Read(MMIO, 1)]


@pytest.mark.parametrize("code", ["f3ae", "f3a6", "f3ac"])
def test_fault_half_way_keeps_what_is_done(engine, code):
    """The flags too are those of the last element done."""
    registers = {"rsi": 0x2FFE, "rdi": 0x2FFE, "rcx": 4, "rax": 0, "rflags": 2}
    machine = Machine(engine, "long", code, registers)
    machine.pte(0x3000, 0)
    assert machine.step() == Fault(PAGE_FAULT, 0, 0x3000)
    state = machine.state
    assert (state.rip, state.rcx, state.retired) == (CODE, 2, 2)
    assert state.rsi == (0x2FFE if code == "f3ae" else 0x3000)
    assert state.rdi == (0x2FFE if code == "f3ac" else 0x3000)
    assert state.rflags == (2 if code == "f3ac" else 2 | flags_of("ZP"))
    machine.pte(0x3000, 0x3003)
    assert machine.step() == Done(CODE + 2, 0)
    assert (state.rcx, state.retired) == (0, 4)


def test_scan_of_a_device(engine):
    """Each element starts a new log; registers and flags move with it."""
    machine = Machine(engine, "long", "f2ae", {"rdi": MMIO, "rcx": 5, "rax": 0x20})
    state = machine.state
    assert machine.step() == Read(MMIO, 1)
    assert machine.step(0x41) == Read(MMIO + 1, 1)
    assert (state.rdi, state.rcx, state.rflags & ZF) == (MMIO + 1, 4, 0)
    assert machine.step(0x20) == Done(CODE + 2, 0)
    assert (state.rdi, state.rcx, state.rflags & ZF) == (MMIO + 2, 3, ZF)


def test_compare_across_ram_and_a_device(engine):
    registers = {"rsi": LOW - 1, "rdi": TO, "rcx": 3, (LOW - 1, 1): 1, (TO, 3): 0x030201}
    machine = Machine(engine, "long", "f3a6", registers)
    accesses, outcome = machine.finish([2, 9])
    assert (accesses, outcome) == ([Read(LOW, 1), Read(LOW + 1, 1)], Done(CODE + 2, 0))
    assert machine.state.rflags & ZF == 0


@pytest.mark.parametrize("code", ["f3ac", "f3ae", "f3a6"])
def test_step_ends_a_batch(engine, code):
    machine = Machine(engine, "long", code, {"rsi": DATA, "rdi": DATA, "rcx": STEP_BATCH + 2})
    assert machine.step() == Done(CODE, 0)
    assert machine.state.rcx == 2
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.state.retired == STEP_BATCH + 2
