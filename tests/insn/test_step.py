# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The protocol of `Cpu.step`: outcomes, answers, replay, and a change of engine on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import CODE, DATA, LOW, MMIO, PAGE_FAULT, STACK, Machine, check_fault
from vmmkit.errors import StepError
from vmmkit.insn import (
    BudgetSpent,
    Done,
    Fault,
    Halt,
    PortIn,
    PortOut,
    Read,
    Unsupported,
    Write,
)

ONES = (1 << 64) - 1
VALUE = 0x8877_6655_4433_2211


# code, registers, device reads' answers, the accesses in order
PROTOCOLS = [
    ("488b03", {"rbx": MMIO}, [7], [Read(MMIO, 8)]),
    ("8803", {"rbx": MMIO, "rax": 0x1FF}, [], [Write(MMIO, 1, 0xFF)]),
    # a read-modify-write on a device is one read and one write
    ("0103", {"rbx": MMIO, "rax": 1}, [41], [Read(MMIO, 4), Write(MMIO, 4, 42)]),
    ("f0480103", {"rbx": MMIO, "rax": 1}, [41], [Read(MMIO, 8), Write(MMIO, 8, 42)]),
    ("8703", {"rbx": MMIO, "rax": 1}, [2], [Read(MMIO, 4), Write(MMIO, 4, 1)]),
    # equal accesses are not folded into one: MOVS from and to the same place
    ("a5", {"rsi": MMIO, "rdi": MMIO}, [5], [Read(MMIO, 4), Write(MMIO, 4, 5)]),
    (
        "f3a5",
        {"rsi": MMIO, "rdi": MMIO + 64, "rcx": 2},
        [5, 6],
        [Read(MMIO, 4), Write(MMIO + 64, 4, 5), Read(MMIO + 4, 4), Write(MMIO + 68, 4, 6)],
    ),
    ("ff33", {"rbx": MMIO}, [5], [Read(MMIO, 8)]),
    ("8f03", {"rbx": MMIO}, [], [Write(MMIO, 8, 0)]),
    ("ff33", {"rbx": MMIO, "rsp": MMIO + 8}, [5], [Read(MMIO, 8), Write(MMIO, 8, 5)]),
    # misaligned within a page: one access, as the guest made it
    ("488b03", {"rbx": MMIO + 3}, [7], [Read(MMIO + 3, 8)]),
    # across a page: each side in naturally aligned pieces of at most 4 bytes, but whole sizes whole
    (
        "488b03",
        {"rbx": 0xAFFD},
        [0x11, 0x3322, 0x7766_5544, 0x88],
        [Read(0xAFFD, 1), Read(0xAFFE, 2), Read(0xB000, 4), Read(0xB004, 1)],
    ),
    ("488b03", {"rbx": 0xAFFC}, [1, 2], [Read(0xAFFC, 4), Read(0xB000, 4)]),
    (
        "488b03",
        {"rbx": 0xAFFF},
        [1, 2, 3, 4],
        [Read(0xAFFF, 1), Read(0xB000, 4), Read(0xB004, 2), Read(0xB006, 1)],
    ),
    ("668b03", {"rbx": 0xAFFF}, [1, 2], [Read(0xAFFF, 1), Read(0xB000, 1)]),
    (
        "488903",
        {"rbx": 0xAFFD, "rax": VALUE},
        [],
        [
            Write(0xAFFD, 1, 0x11),
            Write(0xAFFE, 2, 0x3322),
            Write(0xB000, 4, 0x7766_5544),
            Write(0xB004, 1, 0x88),
        ],
    ),
    (
        "0103",
        {"rbx": 0xAFFE, "rax": 1},
        [0xFFFF, 0],
        [Read(0xAFFE, 2), Read(0xB000, 2), Write(0xAFFE, 2, 0), Write(0xB000, 2, 1)],
    ),
    # half in RAM, half at a device
    ("8b03", {"rbx": LOW - 2}, [0x1234], [Read(LOW, 2)]),
    ("8903", {"rbx": LOW - 2, "rax": VALUE}, [], [Write(LOW, 2, 0x4433)]),
    ("0103", {"rbx": LOW - 2, "rax": 1}, [5], [Read(LOW, 2), Write(LOW, 2, 5)]),
    ("8b03", {"rbx": 0xFFFE}, [0x1234], [Read(0xFFFE, 2)]),
    ("ec", {"rdx": 0x60}, [1], [PortIn(0x60, 1)]),
    ("ef", {"rdx": 0x60, "rax": 1}, [], [PortOut(0x60, 4, 1)]),
]


@pytest.mark.parametrize(("code", "registers", "answers", "accesses"), PROTOCOLS)
def test_accesses_and_their_order(engine, code, registers, answers, accesses):
    machine = Machine(engine, "long", code, registers)
    done, outcome = machine.finish(answers)
    assert done == accesses
    assert outcome == Done(CODE + len(machine.code), 0)


@pytest.mark.parametrize(("code", "registers", "answers", "accesses"), PROTOCOLS)
def test_nothing_is_visible_before_done(engine, code, registers, answers, accesses):
    """Registers, flags and RAM change in the last call only; elements of REP count as done."""
    machine = Machine(engine, "long", code, registers)
    answers, before, ram = list(answers), machine.registers(), bytes(machine.low)
    outcome = machine.step()
    for number, expected in enumerate(accesses):
        assert outcome == expected
        assert machine.cpu.awaits_answer
        if not code.startswith("f3"):
            assert machine.registers() == before
            assert machine.low == ram
        assert isinstance(outcome, Done) == (number == len(accesses))
        outcome = machine.step(answers.pop(0) if isinstance(expected, Read | PortIn) else None)
    assert not machine.cpu.awaits_answer
    assert outcome == Done(CODE + len(machine.code), 0)


@pytest.mark.parametrize(("code", "registers", "answers", "accesses"), PROTOCOLS)
def test_the_other_engine_can_go_on(two_engines, code, registers, answers, accesses):
    """All that is in flight is in the record: here every call is another engine's."""
    for start in (0, 1):
        alone = Machine(two_engines[0], "long", code, registers)
        alone.finish(answers)
        machine = Machine(two_engines[0], "long", code, registers)
        cpus = [machine.cpu_on(name) for name in two_engines]
        turn, left, done = start, list(answers), []
        outcome = cpus[turn].step()
        while not isinstance(outcome, Done):
            turn = 1 - turn
            done.append(outcome)
            outcome = cpus[turn].step(left.pop(0) if isinstance(outcome, Read | PortIn) else None)
        assert done == accesses
        assert (machine.registers(), machine.low) == (alone.registers(), alone.low)


@pytest.mark.parametrize(
    ("code", "size", "answer", "rax"),
    [
        ("488b03", 8, -1, ONES),
        ("488b03", 8, 1 << 64 | 5, 5),
        ("8b03", 4, -1, 0xFFFF_FFFF),
        ("8b03", 4, 1 << 32 | 5, 5),
        ("668b03", 2, 0xF_1234, 0x1234),
        ("8a03", 1, 0x1FF, 0xFF),
        ("8a03", 1, True, 1),
    ],
)
def test_answers_are_cut_to_the_size_asked_for(engine, code, size, answer, rax):
    machine = Machine(engine, "long", code, {"rbx": MMIO})
    assert machine.step() == Read(MMIO, size)
    machine.step(answer)
    assert machine.state.rax == rax


@pytest.mark.parametrize("method", ["step", "run"])
def test_answers_that_do_not_fit_the_question(engine, method):
    machine = Machine(engine, "long", "8b038903e46090", {"rbx": MMIO})
    call = machine.step if method == "step" else lambda answer=None: machine.cpu.run(1, answer)
    with pytest.raises(StepError, match="nothing awaits"):
        call(0)
    assert machine.state.rip == CODE
    assert call() == Read(MMIO, 4)
    for bad in (None, "1", 1.0, b"\1"):
        before = bytes(machine.state.record)
        with pytest.raises(StepError, match="4 bytes at 0x9000"):
            call(bad)
        assert machine.state.record == before
    call(5)
    assert machine.step() == Write(MMIO, 4, 5)
    with pytest.raises(StepError, match="nothing awaits"):
        call(5)
    assert isinstance(machine.step(), Done)
    assert machine.step() == PortIn(0x60, 1)
    with pytest.raises(StepError, match="PORT_IN"):
        call()
    assert isinstance(machine.step(1), Done)
    with pytest.raises(StepError):
        call(1)


@pytest.mark.parametrize("budget", [0, -1, 1 << 63, -(1 << 70)])
def test_budgets(engine, budget):
    machine = Machine(engine, "long", "90")
    with pytest.raises(StepError, match="budget"):
        machine.cpu.run(budget)
    assert machine.state.rip == CODE


def test_run(engine):
    machine = Machine(engine, "long", "90909090f4")
    assert machine.cpu.run(1) == BudgetSpent(CODE + 1)
    assert machine.cpu.run(3) == BudgetSpent(CODE + 4)
    assert machine.cpu.run((1 << 62) - 1) == Halt(CODE + 5)
    assert machine.state.retired == 5


def test_run_goes_on_after_an_access(engine):
    machine = Machine(engine, "long", "908b03890390f4", {"rbx": MMIO})
    assert machine.cpu.run(100) == Read(MMIO, 4)
    assert machine.cpu.run(100, 7) == Write(MMIO, 4, 7)
    assert machine.cpu.run(100) == Halt(CODE + 7)
    assert machine.state.rax == 7


def test_step_finishes_what_run_began(engine):
    machine = Machine(engine, "long", "9003038b0b", {"rbx": MMIO})
    assert machine.cpu.run(100) == Read(MMIO, 4)
    assert machine.step(7) == Done(CODE + 3, 0)
    assert machine.step() == Read(MMIO, 4)
    assert machine.cpu.run(1, 9) == BudgetSpent(CODE + 5)
    assert (machine.state.rax, machine.state.rcx) == (7, 9)


def test_code_in_flight_is_latched(engine):
    """The guest cannot change an instruction between its access and its completion."""
    machine = Machine(engine, "long", "0303", {"rbx": MMIO, "rax": 1})
    assert machine.step() == Read(MMIO, 4)
    machine.poke(CODE, bytes.fromhex("f4f4"))
    assert machine.step(2) == Done(CODE + 2, 0)
    assert machine.state.rax == 3
    machine.state.rip = CODE
    assert machine.step() == Halt(CODE + 1)


def test_abandon(engine):
    machine = Machine(engine, "long", "0103", {"rbx": MMIO, "rax": 1})
    assert machine.step() == Read(MMIO, 4)
    assert machine.step(5) == Write(MMIO, 4, 6)
    machine.cpu.abandon()
    assert not machine.cpu.awaits_answer
    assert machine.step() == Read(MMIO, 4)  # afresh: the first answer is forgotten
    assert machine.step(9) == Write(MMIO, 4, 10)
    machine.cpu.abandon()
    machine.poke(CODE, bytes.fromhex("f4"))
    assert machine.step() == Halt(CODE + 1)  # ... and so are the latched bytes


def test_abandon_with_nothing_in_flight(engine):
    machine = Machine(engine, "long", "90")
    machine.cpu.abandon()
    assert machine.step() == Done(CODE + 1, 0)


def test_a_fault_after_an_access_leaves_nothing_in_flight(engine):
    """RET through a device to a bad address: the read cannot be taken back, all else can."""
    machine = Machine(engine, "long", "c3", {"rsp": MMIO})
    before = machine.registers()
    assert machine.step() == Read(MMIO, 8)
    assert machine.step(1 << 63) == Fault(13, 0, 0)
    assert machine.registers() == before
    assert not machine.cpu.awaits_answer
    assert machine.step() == Read(MMIO, 8)


@pytest.mark.parametrize(
    ("code", "registers", "fault"),
    [
        ("a5", {"rsi": MMIO, "rdi": 1 << 30}, (PAGE_FAULT, 2, 1 << 30)),
        ("ff33", {"rbx": MMIO, "rsp": 1 << 63}, (12,)),
        ("8f03", {"rbx": 1 << 30, "rsp": MMIO}, (PAGE_FAULT, 2, 1 << 30)),
        ("480103", {"rbx": 0x3FFF_FFFC}, (PAGE_FAULT, 2, 1 << 30)),
    ],
)
def test_every_operand_is_checked_before_the_first_access(engine, code, registers, fault):
    check_fault(Machine(engine, "long", code, registers), *fault)


def test_outcomes_are_tuples_and_tell_apart(engine):
    machine = Machine(engine, "long", "8b03", {"rbx": MMIO})
    gpa, size = machine.step()
    assert (gpa, size) == (MMIO, 4)
    kinds = {Read, Write, PortIn, PortOut, Done, Fault, Halt, Unsupported, BudgetSpent}
    assert all(issubclass(kind, tuple) for kind in kinds)


def test_retired_counts_completed_instructions(engine):
    machine = Machine(engine, "long", "908b039006", {"rbx": MMIO})
    machine.step()
    assert machine.state.retired == 1
    machine.step()
    assert machine.state.retired == 1
    machine.step(0)
    assert machine.state.retired == 2
    machine.step()
    check_fault(machine, 6)
    assert machine.state.retired == 3


def test_two_processors_share_ram(engine):
    """Nothing but the record belongs to a processor."""
    machine = Machine(engine, "long", "01038b0b", {"rbx": DATA, "rax": 1})
    other = Machine(engine, "long", "", {"rbx": DATA, "rax": 2})
    other.low, other.high = machine.low, machine.high
    other.cpu = other.cpu_on(engine)
    machine.step()
    other.step()
    assert machine.peek(DATA, 4) == 3
    machine.step()
    assert machine.state.rcx == 3


@given(
    offset=st.integers(0, 0x6FF8), size=st.sampled_from([1, 2, 4, 8]), value=st.integers(0, ONES)
)
def test_a_device_access_covers_exactly_the_bytes(engine, offset, size, value):
    """Whatever the address, the pieces of a store and of a load make up the operand."""
    code = {1: "8803", 2: "668903", 4: "8903", 8: "488903"}[size]
    load = {1: "8a0b", 2: "668b0b", 4: "8b0b", 8: "488b0b"}[size]
    machine = Machine(engine, "long", code + load, {"rbx": 0x8000 + offset, "rax": value})
    device = bytearray(0x8000)
    for access in machine.finish()[0]:
        place = access.gpa - 0x8000
        assert access.size in {1, 2, 4, 8}
        device[place : place + access.size] = access.value.to_bytes(access.size, "little")
    low = value & ((1 << 8 * size) - 1)
    assert int.from_bytes(device[offset : offset + size], "little") == low
    assert not any(device[:offset])
    assert not any(device[offset + size :])
    outcome = machine.step()
    while isinstance(outcome, Read):
        place = outcome.gpa - 0x8000
        outcome = machine.step(int.from_bytes(device[place : place + outcome.size], "little"))
    assert machine.state.rcx == low
    assert machine.state.rsp == STACK
