# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Runs of REP MOVS and REP STOS in RAM: done at once, and as if done one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import CODE, DATA, DF, GP, HIGH_BASE, PAGE_FAULT, SS_FAULT, Machine
from vmmkit.insn import BudgetSpent, Cpu, Done, Fault, Segment

NARROW = ("f3a4", "f366a5", "f3a5", "f3aa", "f366ab", "f3ab")
CODES = (*NARROW, "f348a5", "f348ab")
PATTERN = bytes((7 + 31 * place) & 0xFF for place in range(0x2000))
EDGES = (DATA, DATA + 1, DATA + 7, 0x2FF0, 0x2FFD, 0x2FFF, 0x3000, 0x3001, 0x3009, 0x3800)


def filled(engine, mode, code, registers):
    machine = Machine(engine, mode, code, registers)
    machine.poke(DATA, PATTERN)
    return machine


def by_elements(machine):
    """Run to the end with a budget of one: nothing can be done at once."""
    outcome = machine.cpu.run(1)
    while isinstance(outcome, BudgetSpent) and outcome.rip == CODE:
        outcome = machine.cpu.run(1)
    return outcome


def agree(one, other):
    """Both machines have come to the same end."""
    assert one.registers() == other.registers()
    assert one.state.retired == other.state.retired
    assert (one.low, one.high) == (other.low, other.high)


@given(
    code=st.sampled_from(CODES),
    mode=st.sampled_from(("long", "pm32", "real")),
    count=st.integers(0, 60) | st.integers(0, 400),  # from below DATA, that misses the code
    rsi=st.sampled_from(EDGES) | st.integers(DATA, DATA + 0x1000),
    rdi=st.sampled_from(EDGES) | st.integers(DATA, DATA + 0x1000),
    down=st.booleans(),
)
def test_a_run_is_its_elements(two_engines, code, mode, count, rsi, rdi, down):
    """Whatever overlaps, crosses pages, or goes down."""
    if mode != "long":
        code = code.replace("48", "")
    registers = {"rcx": count, "rsi": rsi, "rdi": rdi, "rax": 0x8877_6655_4433_2211}
    registers["rflags"] = 2 | DF if down else 2
    done = filled("native", mode, code, registers)
    assert by_elements(done).rip == CODE + len(done.code)
    for engine in two_engines:
        machine = filled(engine, mode, code, registers)
        assert machine.step() == Done(CODE + len(machine.code), 0)
        agree(machine, done)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("code", NARROW)
@pytest.mark.parametrize(
    ("name", "segment", "vector"),
    [
        ("ds", Segment(16, 0, 0x2FF7, 0xC093), GP),
        ("es", Segment(16, 0, 0x33F5, 0x8093), GP),
        ("es", Segment(16, 0, 0x2C3F, 0xC097), GP),  # expand-down: what is above the limit
        ("ss", Segment(16, 0x10, 0x2FF3, 0xC093), SS_FAULT),
    ],
    ids=["source", "target", "expand-down", "overridden"],
)
def test_segments_end_a_run_at_the_element(engine, code, down, name, segment, vector):
    """The element that leaves the segment faults; those before it are done."""
    if name == "ss":
        code = "36" + code
    registers = {"rcx": 0x400, "rsi": 0x2E10, "rdi": 0x3010, "rflags": 2 | DF if down else 2}
    runs, elements = (filled(engine, "pm32", code, registers) for _ in range(2))
    for machine in (runs, elements):
        setattr(machine.state, name, segment)
    outcome = by_elements(elements)
    again = runs.step()
    moves = code.removeprefix("36") in NARROW[:3]
    upwards = segment.attributes != 0xC097
    if (moves or name == "es") and down != upwards:
        assert again == outcome == Fault(vector, 0, 0)
        assert 0 < runs.state.rcx < 0x400
    else:
        assert again.rip == outcome.rip == CODE + len(runs.code)
    agree(runs, elements)


@pytest.mark.parametrize("code", CODES)
def test_page_fault_in_a_run(engine, code):
    """The next page is missing, on either side; an element that crosses into it is not begun."""
    cases = [(0x5000, DATA, 0x4FDD)]
    if code[-2:] in {"a4", "a5"}:
        cases.append((0x3000, 0x2FDD, 0x4000))
    for missing, rsi, rdi in cases:
        registers = {"rcx": 100, "rsi": rsi, "rdi": rdi}
        runs, elements = (filled(engine, "long", code, registers) for _ in range(2))
        for machine in (runs, elements):
            machine.pte(missing, 0)
        expected = Fault(PAGE_FAULT, 2 * (missing == 0x5000), missing)
        assert by_elements(elements) == runs.step() == expected
        assert runs.state.rcx < 100
        agree(runs, elements)


def test_two_pieces_of_one_memory_overlap(engine):
    """A copy from a page to another name of the same page, one byte further."""
    ram = bytearray(0x2000)
    ram[0:2] = bytes.fromhex("f3a4")
    ram[0x800:0x802] = b"ab"
    cpu = Cpu([(0, ram), (0x10000, ram)], engine=engine)
    cpu.state.enter_protected_mode(0)
    cpu.state.rsi, cpu.state.rdi, cpu.state.rcx = 0x800, 0x10801, 6
    assert cpu.step() == Done(2, 0)
    assert ram[0x800:0x808] == b"aaaaaaa\0"


def test_a_budget_ends_a_run(engine):
    machine = Machine(engine, "long", "f3ab", {"rcx": 100, "rdi": HIGH_BASE + 4, "rax": 7})
    assert machine.cpu.run(33) == BudgetSpent(CODE)
    assert (machine.state.rcx, machine.state.retired) == (67, 33)
    assert machine.peek(HIGH_BASE + 4 * 33, 8) == 7
