# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where instruction bytes come from, and what happens when they cannot be had."""

import pytest

from insn.machine import (
    CODE,
    CODE32,
    GP,
    HIGH_BASE,
    LOW,
    PAGE_FAULT,
    UD,
    Machine,
    check_fault,
)
from vmmkit.insn import Cpu, Done, Fault, Segment, Unsupported, UnsupportedReason

LONG = "48b81122334455667788"  # mov rax, imm64: ten bytes
VALUE = 0x8877_6655_4433_2211


@pytest.mark.parametrize("before_end", range(1, 11))
def test_an_instruction_over_two_pages(engine, before_end):
    machine = Machine(engine, "long", "")
    start = 0x2000 - before_end
    machine.poke(start, bytes.fromhex(LONG))
    machine.pte(0x2000, 0x3000 | 1)  # the second page lies elsewhere
    machine.poke(0x3000, machine.low[0x2000:0x2010])
    machine.poke(0x2000, bytes(16))
    machine.state.rip = start
    assert machine.step() == Done(start + 10, 0)
    assert machine.state.rax == VALUE


@pytest.mark.parametrize("before_end", range(1, 10))
def test_a_missing_second_page_faults_when_it_is_needed(engine, before_end):
    machine = Machine(engine, "long", "")
    start = 0x2000 - before_end
    machine.poke(start, bytes.fromhex(LONG))
    machine.pte(0x2000, 0)
    machine.state.rip = start
    check_fault(machine, PAGE_FAULT, 0, 0x2000)


def test_a_missing_second_page_is_nothing_when_it_is_not_needed(engine):
    machine = Machine(engine, "long", "")
    machine.poke(0x1FF6, bytes.fromhex(LONG))
    machine.pte(0x2000, 0)
    machine.state.rip = 0x1FF6
    assert machine.step() == Done(0x2000, 0)
    check_fault(machine, PAGE_FAULT, 0, 0x2000)


def test_undefined_bytes_do_not_need_the_second_page(engine):
    machine = Machine(engine, "long", "")
    machine.poke(0x1FFF, bytes.fromhex("06"))
    machine.pte(0x2000, 0)
    machine.state.rip = 0x1FFF
    check_fault(machine, UD)


@pytest.mark.parametrize("mode", ["real", "pm32"])
@pytest.mark.parametrize("short", range(1, 5))
def test_the_code_segment_s_limit(engine, mode, short):
    """An instruction whose last byte is beyond the limit is #GP(0)."""
    code = "b83412" if mode == "real" else "b878563412"
    machine = Machine(engine, mode, code)
    length = len(machine.code)
    if short >= length:
        return
    machine.state.cs = machine.state.cs._replace(limit=CODE + length - 1 - short)
    check_fault(machine, GP)
    machine.state.cs = machine.state.cs._replace(limit=CODE + length - 1)
    assert machine.step() == Done(CODE + length, 0)
    check_fault(machine, GP)


def test_ip_does_not_wrap_at_64_kib(engine):
    machine = Machine(engine, "real", "")
    machine.state.cs = Segment(0x1000, HIGH_BASE, 0xFFFF, 0x9B)
    machine.poke(HIGH_BASE + 0xFFFF, bytes.fromhex("90"))
    machine.state.rip = 0xFFFF
    assert machine.step() == Done(0x1_0000, 0)
    check_fault(machine, GP)


def test_linear_addresses_wrap_at_4_gib(engine):
    bottom = bytearray(4096)
    top = bytearray(4096)
    top[-2:], bottom[:3] = bytes.fromhex("b878"), bytes.fromhex("563412")
    cpu = Cpu([(0, bottom), (0xFFFF_F000, top)], engine=engine)
    cpu.state.enter_protected_mode(0x1000)
    cpu.state.cs = Segment(8, 0xFFFF_EFFE, 0xFFFF_FFFF, CODE32)
    assert cpu.step() == Done(0x1005, 0)
    assert cpu.state.rax == 0x1234_5678


@pytest.mark.parametrize("rip", [1 << 47, (1 << 64) - (1 << 47) - 1, 1 << 63])
def test_a_rip_that_is_not_canonical(engine, rip):
    check_fault(Machine(engine, "long", "90", {"rip": rip}), GP)


def test_running_into_the_canonical_hole(engine):
    machine = Machine(engine, "long", "")
    for table, index, value in (
        (0x40000, 255, 0x45007),
        (0x45000, 511, 0x46007),
        (0x46000, 511, 0x47007),
        (0x47000, 511, 0x3007),
    ):
        machine.poke(table + 8 * index, value, 8)
    machine.state.rip = 0x7FFF_FFFF_FFFF
    machine.poke(0x3FFF, bytes.fromhex("90"))
    assert machine.step() == Done(0x8000_0000_0000, 0)
    check_fault(machine, GP)
    machine.state.rip = 0x7FFF_FFFF_FFFF
    machine.poke(0x3FFF, bytes.fromhex("b8"))
    check_fault(machine, GP)


def test_rip_wraps_at_64_bits(engine):
    machine = Machine(engine, "long", "")
    for table, index, value in (
        (0x40000, 511, 0x45007),
        (0x45000, 511, 0x46007),
        (0x46000, 511, 0x47007),
        (0x47000, 511, 0x3007),
    ):
        machine.poke(table + 8 * index, value, 8)
    machine.poke(0x3FFE, bytes.fromhex("b878"))
    machine.poke(0, bytes.fromhex("563412"))
    machine.state.rip = (1 << 64) - 2
    assert machine.step() == Done(3, 0)
    assert machine.state.rax == 0x1234_5678


TOO_LONG = ["66" * 15 + "90", "66" * 14 + "04" + "11" * 4, "f3" * 16, "2e" * 9 + "48c70000000000"]


@pytest.mark.parametrize("code", TOO_LONG)
def test_more_than_15_bytes_is_a_general_protection_fault(engine, code):
    check_fault(Machine(engine, "long", code), GP)


def test_exactly_15_bytes(engine):
    machine = Machine(engine, "long", "66" * 14 + "90")
    assert machine.step() == Done(CODE + 15, 0)
    machine = Machine(engine, "real", "26" * 11 + "c706" + "0020")
    machine.poke(CODE + 15, bytes(2))
    check_fault(machine, GP)


def test_off_the_end_of_ram(engine):
    machine = Machine(engine, "real", "")
    machine.state.rip = LOW
    before = machine.registers()
    assert machine.step() == Unsupported(b"", UnsupportedReason.NO_CODE, LOW)
    assert machine.registers() == before


def test_an_instruction_that_hangs_over_the_end_of_ram(engine):
    """What could be fetched is in the outcome."""
    machine = Machine(engine, "pm32", "")
    machine.poke(LOW - 2, bytes.fromhex("b811"))
    machine.state.rip = LOW - 2
    outcome = machine.step()
    assert outcome == Unsupported(bytes.fromhex("b811"), UnsupportedReason.NO_CODE, LOW)
    assert machine.state.rip == LOW - 2


def test_bytes_that_we_do_not_know(engine):
    machine = Machine(engine, "long", "0faa" + "cc" * 20)
    before = machine.registers()
    expected = bytes.fromhex("0faa" + "cc" * 13)
    assert machine.step() == Unsupported(expected, UnsupportedReason.OPCODE, CODE)
    assert machine.registers() == before
    assert not machine.cpu.awaits_answer


def test_a_run_stops_at_garbage_with_what_came_before_done(engine):
    machine = Machine(engine, "long", "ffc0ffc006")
    assert machine.cpu.run(10) == Fault(UD, 0, 0)
    assert (machine.state.rip, machine.state.rax, machine.state.retired) == (CODE + 4, 2, 2)


def test_ram_pieces_side_by_side_are_one_memory(engine):
    first, second = bytearray(4096), bytearray(4096)
    first[-1:], second[:4] = b"\xb8", bytes.fromhex("78563412")
    cpu = Cpu([(4096, second), (0, first)], engine=engine)
    cpu.state.enter_protected_mode(4095)
    assert cpu.step() == Done(4100, 0)
    assert cpu.state.rax == 0x1234_5678
