# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is executed is what is in memory now, however often it was something else before."""

import threading

import pytest

from insn.absolute_code import (
    EBX,
    HLT,
    STORES,
    absolute,
    add,
    jump,
    store,
    turns,
    word,
)
from insn.kernel import CODE0, Kernel
from insn.machine import CODE, CODE16, DATA, HIGH_BASE, LOW, PAGED, PT, Machine, enter
from vmmkit.insn import BudgetSpent, Cpu, CpuState, Fault, Halt, Segment

MODES = ("pm32", *PAGED)
IMMEDIATE = 2  # of ADD


def machine_in(engine, mode):
    machine = Machine(engine, mode).vectors()
    machine.state.rbx = 0
    return machine


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", STORES)
def test_a_store_to_an_instruction_of_the_loop(engine, mode, how):
    machine = machine_in(engine, mode)
    assert isinstance(turns(machine, add(EBX, 1) + STORES[how](CODE + IMMEDIATE, 16), 4), Halt)
    assert machine.state.rbx == 1 + 3 * 16


@pytest.mark.parametrize("mode", MODES)
def test_a_store_to_the_very_next_instruction(engine, mode):
    machine = machine_in(engine, mode)
    increment = absolute("ff", 0, CODE + 7 + IMMEDIATE)
    assert isinstance(turns(machine, increment + add(EBX, 1), 4), Halt)
    assert machine.state.rbx == 2 + 3 + 4 + 5


def test_bytes_become_a_longer_instruction(engine):
    """ADD EBX, 1 and NOPs become one ADD."""
    machine = machine_in(engine, "long")
    body = bytes.fromhex("83c301 909090") + store(CODE, 0x0010_C381)
    assert isinstance(turns(machine, body, 3), Halt)
    assert machine.state.rbx == (1 + 2 * 0x9090_0010) & 0xFFFF_FFFF


def test_repeated_stores_to_the_instruction_itself(engine):
    """What comes behind it is another instruction when it is through."""
    machine = machine_in(engine, "pm32")
    for _ in range(2):
        machine.poke(CODE, b"\xf3\xaa\x40\x40\xf4")
        state = machine.state
        state.rip, state.rdi, state.rcx, state.rax = CODE, CODE, 4, 0x43  # INC EBX
        assert isinstance(machine.cpu.run(1000), Halt)
    assert (machine.state.rbx, machine.state.rax) == (4, 0x43)


@pytest.mark.parametrize("mode", MODES)
def test_the_owner_stores_between_runs(engine, mode):
    machine = machine_in(engine, mode)
    machine.poke(CODE, add(EBX, 1) + jump(-11))
    assert isinstance(machine.cpu.run(20), BudgetSpent)
    machine.poke(CODE + IMMEDIATE, 0x100, 4)
    assert isinstance(machine.cpu.run(20), BudgetSpent)
    assert machine.state.rbx == 10 + 10 * 0x100


def test_another_vcpu_stores_while_this_one_runs(engine):
    """Guest A goes round until B has changed its jump into a HLT."""
    machine = machine_in(engine, "long")
    machine.poke(CODE, b"\xeb\xfe")
    other = CpuState()
    enter(other, "long")
    other.rip = CODE + 0x100
    machine.poke(other.rip, store(CODE, 0xF4F4F4F4) + HLT)
    second = Cpu([(0, machine.low), (HIGH_BASE, machine.high)], engine=engine, state=other)
    thread = threading.Thread(target=lambda: second.run(10))
    outcome = machine.cpu.run(5)
    thread.start()
    while isinstance(outcome, BudgetSpent):
        outcome = machine.cpu.run(1 << 22 if engine == "native" else 1000)
    thread.join()
    assert outcome == Halt(CODE + 1)


def test_a_delivery_pushes_onto_code(engine):
    """EIP becomes the immediate of the handler's first instruction, CS and flags what follows.

    As code the latter are OR [EAX], AL; ADD [EAX], AL; ADD AL, [EAX]; ADD [EAX], AL, all of zeros.
    """
    machine = Kernel(engine, "pg32")
    state, handler = machine.state, CODE + 0x100
    machine.gate(3, offset=handler)
    machine.poke(handler, add(EBX, 1) + word(CODE0) + word(2) + HLT)
    state.rip, state.rax, state.rbx = handler, DATA, 0
    assert isinstance(machine.cpu.run(10), Halt)
    machine.poke(CODE, b"\xbc" + word(handler + IMMEDIATE + 12) + b"\xcc")  # MOV ESP, INT3
    state.rip, state.rflags = CODE, 2
    assert isinstance(machine.cpu.run(10), Halt)
    assert state.rbx == 1 + CODE + 6


@pytest.mark.parametrize("mode", PAGED)
def test_through_another_linear_address(engine, mode):
    machine = machine_in(engine, mode)
    machine.pte(0x6000, CODE | 7)
    body = add(EBX, 1) + store(0x6000 + IMMEDIATE, 5)
    assert isinstance(turns(machine, body, 3), Halt)
    assert machine.state.rbx == 1 + 5 + 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("before", range(1, 7))
def test_an_instruction_across_two_pages(engine, mode, before):
    """Its parts change in turn; in the modes with paging, the second page moves as well."""
    machine = machine_in(engine, mode)
    start = 0x2000 - before
    machine.state.rip = start
    machine.poke(start, add(EBX, 0x01010101) + jump(-11))
    for byte in range(4):
        assert isinstance(machine.cpu.run(4), BudgetSpent)
        machine.poke(start + IMMEDIATE + byte, 2, 1)
    if mode in PAGED:
        machine.poke(0x3000, bytes(machine.low[0x2000:0x2100]))
        machine.poke(0x3000, machine.peek(0x3000, 1) ^ (0x40 if before == 5 else 0), 1)
        machine.pte(0x2000, 0x3007)
    total = 2 * (0x01010101 + 0x01010102 + 0x01010202 + 0x01020202)
    assert machine.state.rbx == total
    assert isinstance(machine.cpu.run(4), BudgetSpent)
    changed = 0x40 << 24 if mode in PAGED and before == 5 else 0
    assert machine.state.rbx == (total + 2 * (0x02020202 ^ changed)) & 0xFFFF_FFFF


def test_the_last_bytes_of_ram(engine):
    """The window of the last instructions ends where RAM does."""
    machine = machine_in(engine, "pm32")
    machine.state.rip = LOW - 9
    machine.poke(LOW - 9, add(EBX, 3) + b"\x90\xeb\xf7")
    assert isinstance(machine.cpu.run(30), BudgetSpent)
    assert machine.state.rbx == 30


def test_the_last_bytes_of_a_segment(engine):
    machine = Machine(engine, "pm16")
    machine.state.cs = Segment(8, 0, CODE + 4, CODE16)
    machine.poke(CODE, bytes.fromhex("83c301 ebfb"))
    machine.state.rbx = 0
    assert isinstance(machine.cpu.run(40), BudgetSpent)
    assert machine.state.rbx == 20
    machine.state.cs = Segment(8, 0, CODE + 3, CODE16)
    assert machine.cpu.run(40).vector == 13


@pytest.mark.parametrize("last", [0x30, 0x31, 0x33, 0xFFE])
def test_code_runs_off_the_end_of_its_segment(engine, last):
    """Also where an instruction is in part beyond it."""
    machine = Machine(engine, "pm16")
    machine.state.cs = Segment(8, 0, CODE + last, CODE16)
    machine.poke(CODE, b"\x90" * 0x2F + b"\x81\xc3\x05\x05" + b"\x90" * 0x1000)
    outcome = machine.cpu.run(5000)
    assert outcome == Fault(13, 0, 0)
    assert machine.state.rip == CODE + (0x2F if last < 0x32 else last + 1)


def test_the_same_bytes_in_another_mode(engine):
    """48h is DEC outside of 64-bit mode, and a prefix in it."""
    machine = machine_in(engine, "long")
    machine.poke(CODE, bytes.fromhex("48ffc0 ebfb"))
    state = machine.state
    for attributes, rax in 2 * ((0xA09B, 1), (0xC09B, 0xFFFF_FFFF), (0x809B, 0xFFFF)):
        state.cs = state.cs._replace(attributes=attributes)
        state.rip, state.rax = CODE, 0
        assert isinstance(machine.cpu.run(1), BudgetSpent)
        assert machine.state.rax == rax


def test_pages_of_code_trade_places(engine):
    """One linear page, two physical ones with other code."""
    machine = machine_in(engine, "long")
    machine.poke(0x3000, add(EBX, 1) + b"\xc3")
    machine.poke(0x6000, add(EBX, 0x10) + b"\xc3")
    call = b"\xe8" + (0x3000 - CODE - 5).to_bytes(4, "little")
    entry = PT + 8 * 3
    body = call + absolute("81", 6, entry) + (0x5000).to_bytes(4, "little")  # XOR 3000h, 6000h
    assert isinstance(turns(machine, body, 4), Halt)
    assert machine.state.rbx == 2 * 0x11
    assert machine.peek(DATA, 4) == 0


def test_a_jump_into_the_middle(engine):
    """The same bytes are part of two instructions."""
    machine = machine_in(engine, "long")
    machine.state.rax = 0
    machine.poke(CODE, bytes.fromhex("eb01 b8 83c301 ebf8"))
    assert isinstance(machine.cpu.run(9), BudgetSpent)
    assert (machine.state.rbx, machine.state.rax) == (3, 0)
