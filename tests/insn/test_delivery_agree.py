# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Both engines on random gates, descriptors, task states and stacks: outcome, record and RAM."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.kernel import Kernel
from insn.random_kernels import kernel
from vmmkit.insn import (
    BudgetSpent,
    Cpuid,
    Done,
    Halt,
    InterruptWindow,
    PortIn,
    PortOut,
    Random,
    Read,
    ReadMsr,
    ReadPmc,
    Write,
    WriteMsr,
)

GOES_ON = (
    *(Done, Read, Write, PortIn, PortOut, Halt, InterruptWindow, BudgetSpent),
    *(ReadMsr, WriteMsr, ReadPmc, Cpuid, Random),
)
ANSWERS = (0, 1, 0x8E00_0008_4000, 0x00CF_9B00_0000_FFFF, (1 << 512) // 255)


def twin(machine, engine, **switches):
    """The same guest on another engine."""
    other = Kernel.__new__(Kernel)
    other.engine, other.mode = engine, machine.mode
    other.low, other.high = bytearray(machine.low), bytearray(machine.high)
    other.state = type(machine.state)()
    other.state.record[:] = machine.state.record
    other.cpu = other.cpu_on(engine, **switches)
    return other


def owner_acts(rng, machines):
    """Let something happen to both, now and then."""
    choice, vector = rng.randrange(12), rng.randrange(40)
    for machine in machines:
        cpu = machine.cpu
        if choice == 0:
            cpu.request_interrupt(vector)
        elif choice == 1:
            cpu.nmi()
        elif choice == 2:
            cpu.request_interrupt_window()
        elif choice == 3 and not cpu.awaits_answer and not cpu.event_pending:
            cpu.inject(vector, 0x18 if vector & 1 else None)


def answer_to(rng, outcome, machines):
    """What the owner says, the same to both; now and then it refuses."""
    if isinstance(outcome, ReadMsr | WriteMsr | ReadPmc | Random) and rng.random() < 0.3:
        for machine in machines:
            machine.cpu.refuse()
        return None
    if isinstance(outcome, Cpuid):
        return tuple(rng.getrandbits(32) for _ in range(4))
    if isinstance(outcome, Read | PortIn | ReadMsr | ReadPmc | Random):
        return rng.choice((*ANSWERS, rng.getrandbits(64)))
    return None


def compare(rng, engines):
    start, deliver = kernel(rng), rng.random() < 0.8
    switches = {"deliver": deliver, "wide": rng.random() < 0.5}
    first, second = (twin(start, engine, **switches) for engine in engines)
    answer, budget = None, rng.choice((0, 0, 3, 40))
    seen = []
    for _ in range(14):
        calls = [
            machine.cpu.run(budget, answer) if budget else machine.cpu.step(answer)
            for machine in (first, second)
        ]
        assert calls[0] == calls[1]
        assert first.state.record == second.state.record
        seen.append(type(calls[0]).__name__)
        if not isinstance(calls[0], GOES_ON):
            break
        answer = answer_to(rng, calls[0], (first, second))
        if deliver and not first.cpu.awaits_answer:
            owner_acts(rng, (first, second))
    assert first.low == second.low
    assert first.high == second.high
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_many_guests(two_engines, seed):
    for number in range(150):
        label = f"{seed}/{number}"
        try:
            compare(random.Random(label), two_engines)
        except Exception as error:
            raise AssertionError(f"guest {label}: {error}") from error


@given(rng=st.randoms(use_true_random=False))
def test_guests_that_shrink(two_engines, rng):
    compare(rng, two_engines)


def test_guests_get_somewhere(two_engines):
    """The generator is worth something only if every outcome comes up."""
    seen = set()
    for number in range(400):
        seen.update(compare(random.Random(number), two_engines))
    assert {"Done", "Fault", "Read", "Write", "TripleFault", "Unsupported", "Halt"} <= seen
