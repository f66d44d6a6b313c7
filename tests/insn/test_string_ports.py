# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""INS and OUTS, with and without REP (SDM vol. 2A, INS; vol. 2B, OUTS)."""

import pytest

from insn.machine import (
    CODE,
    DATA,
    DF,
    GP,
    LOW,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    TSS,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Fault, PortIn, PortOut, Read, Segment, Write

VALUE = 0x8877_6655_4433_2211
PORT = 0x3F8
DX = 0xFFFF_0000 | PORT

SIZES = [
    ("long", "", 0, 1),
    ("long", "66", 1, 2),
    ("long", "", 1, 4),
    ("long", "48", 1, 4),  # REX.W does not widen a port
    ("compat", "", 1, 4),
    ("pm32", "", 1, 4),
    ("pm32", "66", 1, 2),
    ("real", "", 1, 2),
    ("real", "66", 1, 4),
]


@pytest.mark.parametrize("direction", [0, DF], ids=["up", "down"])
@pytest.mark.parametrize(("mode", "prefix", "wide", "size"), SIZES)
def test_ins(engine, mode, prefix, wide, size, direction):
    before = {"rdx": DX, "rdi": DATA, "rsi": 5, "rcx": 9, "rflags": 2 | direction}
    value = VALUE & (1 << 8 * size) - 1
    after = {"rdi": DATA - size if direction else DATA + size, (DATA, size): value}
    code = f"{prefix}{0x6C | wide:02x}"
    check_case(engine, mode, code, before, after, None, [VALUE], [PortIn(PORT, size)])


@pytest.mark.parametrize("direction", [0, DF], ids=["up", "down"])
@pytest.mark.parametrize(("mode", "prefix", "wide", "size"), SIZES)
def test_outs(engine, mode, prefix, wide, size, direction):
    before = {"rdx": DX, "rsi": DATA, "rdi": 5, "rcx": 9, "rflags": 2 | direction}
    value = VALUE & (1 << 8 * size) - 1
    after = {"rsi": DATA - size if direction else DATA + size}
    accesses = [PortOut(PORT, size, value)]
    code = f"{prefix}{0x6E | wide:02x}"
    check_case(engine, mode, code, {**before, (DATA, 8): VALUE}, after, None, [], accesses)


@pytest.mark.parametrize("prefix", ["f3", "f2"])
def test_rep_ins(engine, prefix):
    """Either prefix repeats; every element is at the same port."""
    registers = {"rdx": PORT, "rdi": DATA, "rcx": 3, "rflags": 0x42}
    machine = Machine(engine, "long", f"{prefix}6c", registers)
    state = machine.state
    assert machine.step() == PortIn(PORT, 1)
    for number in range(2):
        assert machine.step(0x31 + number) == PortIn(PORT, 1)
        assert (state.rdi, state.rcx) == (DATA + number + 1, 2 - number)
    assert machine.step(0x33) == Done(CODE + 2, 0)
    assert machine.low[DATA : DATA + 4] == b"123\0"
    assert (state.rdi, state.rcx, state.retired) == (DATA + 3, 0, 3)


@pytest.mark.parametrize("prefix", ["f3", "f2"])
def test_rep_outs(engine, prefix):
    registers = {"rdx": PORT, "rsi": DATA, "rcx": 3, "rflags": 0x42}
    machine = Machine(engine, "long", f"{prefix}6e", registers)
    machine.poke(DATA, b"123")
    accesses, outcome = machine.finish()
    assert accesses == [PortOut(PORT, 1, byte) for byte in b"123"]
    assert outcome == Done(CODE + 2, 0)
    assert (machine.state.rsi, machine.state.rcx) == (DATA + 3, 0)


@pytest.mark.parametrize("code", ["f36c", "f26d", "f36e", "f36f"])
def test_zero_count_touches_nothing(engine, code):
    registers = {"rcx": 0, "rsi": 1 << 63, "rdi": 1 << 62}
    check_case(engine, "long", code, registers, {})


def test_only_the_source_is_overridden(engine):
    machine = Machine(engine, "pm32", "646e", {"rdx": PORT, "rsi": 2, (DATA + 2, 1): 0x77})
    machine.state.fs = Segment(16, DATA, 0xFFFF, 0xC093)
    assert machine.step() == PortOut(PORT, 1, 0x77)
    machine = Machine(engine, "pm32", "646c", {"rdx": PORT, "rdi": 2})
    machine.state.fs = Segment(16, DATA, 0xFFFF, 0xC093)
    machine.state.es = Segment(16, DATA + 0x100, 0xFFFF, 0xC093)
    machine.finish([0x55])
    assert machine.peek(DATA + 0x102, 1) == 0x55


def test_16_bit_indices_wrap(engine):
    machine = Machine(engine, "real", "f36c", {"rdx": PORT, "rdi": 0xFFFF, "rcx": 0x7_0002})
    accesses, _ = machine.finish([1, 2])
    assert accesses == [PortIn(PORT, 1), Write(0xFFFF, 1, 1), PortIn(PORT, 1)]
    assert (machine.low[0], machine.state.rdi, machine.state.rcx) == (2, 1, 0x7_0000)


def test_page_crossing_elements(engine):
    registers = {"rdx": PORT, "rsi": 0x2FFE, "rdi": 0x4FFD, (0x2FFE, 4): 0x4433_2211}
    machine = Machine(engine, "long", "6f6d", registers)
    assert machine.finish()[0] == [PortOut(PORT, 4, 0x4433_2211)]
    machine.finish([VALUE])
    assert machine.peek(0x4FFD, 4) == 0x4433_2211


def test_between_a_port_and_a_device(engine):
    machine = Machine(engine, "long", "6d6f", {"rdx": PORT, "rsi": MMIO, "rdi": MMIO + 4})
    assert machine.finish([7])[0] == [PortIn(PORT, 4), Write(MMIO + 4, 4, 7)]
    assert machine.finish([9])[0] == [Read(MMIO, 4), PortOut(PORT, 4, 9)]


def test_into_rom_is_a_write(engine):
    machine = Machine(engine, "long", "6c", {"rdx": PORT, "rdi": 0x50000})
    assert machine.finish([7])[0] == [PortIn(PORT, 1), Write(0x50000, 1, 7)]


def test_target_is_checked_before_the_port_is_read(engine):
    machine = Machine(engine, "long", "f36c", {"rdx": PORT, "rdi": 0x2FFF, "rcx": 2})
    machine.pte(0x3000, 0x3001)
    machine.state.cr0 |= 1 << 16  # a supervisor's write to a read-only page faults
    accesses, outcome = machine.finish([7])
    assert (accesses, outcome) == ([PortIn(PORT, 1)], Fault(PAGE_FAULT, 3, 0x3000))
    assert (machine.state.rcx, machine.state.rdi, machine.state.rip) == (1, 0x3000, CODE)


def test_source_is_read_before_the_port_is_written(engine):
    machine = Machine(engine, "long", "f36e", {"rdx": PORT, "rsi": 0x2FFF, "rcx": 2})
    machine.pte(0x3000, 0)
    accesses, outcome = machine.finish()
    assert (accesses, outcome) == ([PortOut(PORT, 1, 0)], Fault(PAGE_FAULT, 0, 0x3000))
    assert (machine.state.rcx, machine.state.rsi, machine.state.rip) == (1, 0x3000, CODE)


def ring3(engine, mode, code, bits, registers):
    """Ring 3 under IOPL 0 and a permission map whose first two bytes are `bits`."""
    machine = Machine(engine, mode, code, registers).ring3()
    machine.state.tr = Segment(0x28, TSS, 0x67 + 0x10, 0x8B)
    machine.poke(TSS + 102, 0x68, 2)
    machine.poke(TSS + 0x68, bits, 2)
    return machine


@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize("code", ["6c", "6e", "f36d", "f26f"])
def test_permission_map(engine, mode, code):
    size = 4 if code in {"f36d", "f26f"} else 1
    registers = {"rdx": 4, "rsi": DATA, "rdi": DATA, "rcx": 1}
    machine = ring3(engine, mode, code, 0xFF0F, registers)
    expected = PortIn(4, size) if code in {"6c", "f36d"} else PortOut(4, size, 0)
    assert machine.step() == expected
    machine = ring3(engine, mode, code, 0x80 if size == 4 else 0x10, registers)
    check_fault(machine, GP)


def test_permission_comes_before_memory(engine):
    """As observed: not a page fault, and #GP rather than #SS."""
    registers = {"rdx": 4, "rsi": 1 << 30, "rdi": 1 << 30}
    for code in ("6c", "6e"):
        check_fault(ring3(engine, "long", code, 0xFF, registers), GP)
        check_fault(
            ring3(engine, "long", code, 0, registers), PAGE_FAULT, 6 - 2 * (code == "6e"), 1 << 30
        )
    registers["rsi"] = 0xFFFF_FFFF
    machine = ring3(engine, "pm32", "366f", 0xFF, registers)
    machine.state.ss = machine.state.ss._replace(limit=0xFFFF)
    check_fault(machine, GP)
    machine.poke(TSS + 0x68, 0, 2)
    check_fault(machine, SS_FAULT)


@pytest.mark.parametrize("code", ["f36c", "f26e"])
def test_permission_is_asked_even_for_nothing(engine, code):
    """As observed: a count of 0 does not save a program that may not use the port."""
    registers = {"rdx": 4, "rcx": 0, "rsi": 1 << 63, "rdi": 1 << 63}
    check_fault(ring3(engine, "long", code, 0xFF, registers), GP)
    machine = ring3(engine, "long", code, 0, registers)
    assert machine.step() == Done(CODE + 2, 0)


def test_permission_map_in_a_device_is_read_for_each_element(engine):
    machine = ring3(engine, "long", "f36c", 0, {"rdx": 4, "rcx": 2, "rdi": LOW - 1})
    machine.state.tr = Segment(0x28, MMIO, 0xFFFF, 0x8B)
    tss = [Read(MMIO + 102, 2), Read(MMIO + 0x68, 2)]
    machine.pte(MMIO, MMIO | 7)
    accesses, _ = machine.finish([0x68, 0, 1, 0x68, 0, 2])
    assert accesses == [*tss, PortIn(4, 1), *tss, PortIn(4, 1), Write(LOW, 1, 2)]
    assert machine.low[LOW - 1] == 1
