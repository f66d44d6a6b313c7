# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Both engines on the same random guests: every outcome, all of the record, all of RAM.

The pure engine is the reference model of the native one; where the two differ, one of them is
wrong. Nothing that a guest does may come out as an exception.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insn.guests import guest
from insn.machine import Machine
from vmmkit.insn import (
    Cpuid,
    Done,
    Hypercall,
    PortIn,
    PortOut,
    Random,
    Read,
    ReadMsr,
    ReadPmc,
    Write,
    WriteMsr,
)

VALUES = 0, 1, 0xFFFF_FFFF_FFFF_FFFF, 0x18, 0x42007
GOES_ON = Done | Write | PortOut | WriteMsr | Hypercall
ASKS = Read | PortIn | ReadMsr | ReadPmc | Random
REFUSABLE = ReadMsr | WriteMsr | ReadPmc | Random

STEPS = 12
IN_CI = settings.get_current_profile_name() == "ci"
SEEDS = 40 if IN_CI else 8
PER_SEED = 250


def twin(machine, engine):
    """The same guest on another engine."""
    other = Machine.__new__(Machine)
    other.engine, other.mode = engine, machine.mode
    other.low, other.high = bytearray(machine.low), bytearray(machine.high)
    other.state = type(machine.state)()
    other.state.record[:] = machine.state.record
    other.cpu = other.cpu_on(engine)
    return other


def answer_to(rng, outcome, cpus):
    """What the owner answers, after refusing at times."""
    if isinstance(outcome, REFUSABLE) and rng.randrange(4) == 0:
        for cpu in cpus:
            cpu.refuse()
        return None
    if isinstance(outcome, Cpuid):
        return tuple(rng.getrandbits(32) for _ in range(4))
    if isinstance(outcome, ASKS):
        return rng.choice((*VALUES, rng.getrandbits(64)))
    return None


def compare(rng, engines):
    """Run one guest on both engines, comparing after every call."""
    start = guest(rng)
    first, second = twin(start, engines[0]), twin(start, engines[1])
    answer = None
    budget = rng.choice((0, 0, 3, 40))
    for _ in range(STEPS):
        calls = [
            machine.cpu.run(budget, answer) if budget else machine.cpu.step(answer)
            for machine in (first, second)
        ]
        assert calls[0] == calls[1]
        assert first.state.record == second.state.record
        if not isinstance(calls[0], GOES_ON | ASKS | Cpuid):
            break
        answer = answer_to(rng, calls[0], (first.cpu, second.cpu))
    assert first.low == second.low
    assert first.high == second.high


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_many_guests(two_engines, seed):
    for number in range(PER_SEED):
        label = f"{seed}/{number}"
        try:
            compare(random.Random(label), two_engines)
        except Exception as error:
            raise AssertionError(f"guest {label}: {error}") from error


@given(rng=st.randoms(use_true_random=False))
def test_guests_that_shrink(two_engines, rng):
    compare(rng, two_engines)


def test_guests_get_somewhere(two_engines):
    """The generator is worth something only if many guests complete instructions."""
    seen = {}
    for number in range(400):
        start = guest(random.Random(number))
        outcome = type(twin(start, two_engines[0]).cpu.step()).__name__
        seen[outcome] = seen.get(outcome, 0) + 1
    assert seen["Done"] > 50
    assert {"Done", "Fault", "Read", "Write"} <= set(seen)
