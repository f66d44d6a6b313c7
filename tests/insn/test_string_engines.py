# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Both engines on random repeated string instructions, with blocks and without, changing places."""

import random

import pytest
from hypothesis import settings

from insn.guests import guest
from insn.machine import CODE, DATA, HIGH_BASE, LOW, MMIO, ROM, Machine
from vmmkit.insn import (
    BlockRead,
    BlockWrite,
    BudgetSpent,
    Cpuid,
    Done,
    PortBlockIn,
    PortBlockOut,
    PortIn,
    Random,
    Read,
    ReadMsr,
    ReadPmc,
)

OPCODES = (0x6C, 0x6D, 0x6E, 0x6F, 0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF)
COUNTS = (2, 3, 5, 17, 900, 5000, 1 << 32 | 4)
PLACES = (DATA, LOW - 9, MMIO, MMIO + 0xFF0, 0x2FF0, HIGH_BASE, ROM, ROM + 0xFF9, 0x7000, 0xFFF0)
PER_SEED = 100
SEEDS = 40 if settings.get_current_profile_name() == "ci" else 6


def instruction(rng, mode):
    """A string instruction, repeated as a rule."""
    prefixes = rng.choices((0x66, 0x67, 0x26, 0x36, 0x64), k=rng.choice((0, 0, 1, 2)))
    prefixes += [rng.choice((0xF2, 0xF3))] * (rng.randrange(10) > 0)
    prefixes += [rng.choice((0x40, 0x48, 0x49))] * (mode == "long" and rng.randrange(2))
    return bytes([*prefixes, rng.choice(OPCODES)])


def string_guest(rng):
    """A random guest about to execute string instructions at places of interest."""
    machine = guest(rng)
    state = machine.state
    mode = "long" if state.mode == 64 else ""
    machine.poke(CODE, b"".join(instruction(rng, mode) for _ in range(4)))
    state.rip = CODE
    state.rcx = rng.choice(COUNTS)
    for name in ("rsi", "rdi"):
        if rng.randrange(4):
            setattr(state, name, rng.choice(PLACES))
    return machine


def bind(machine, record, engine, blocks):
    """Put a record under an engine."""
    machine.state = type(machine.state)()
    machine.state.record[:] = record
    machine.cpu = machine.cpu_on(engine, blocks=blocks)


def answer_to(rng, outcome):
    """Something a device might answer, or `None` where nothing goes on."""
    match outcome:
        case Read() | PortIn():
            return rng.choice((0, 0x42007, 0x43007, rng.getrandbits(64)))
        case BlockRead() | PortBlockIn():
            return rng.randbytes(outcome.size * rng.choice((0, 1, outcome.count)))
        case BlockWrite() | PortBlockOut():
            assert len(outcome.data) == outcome.size * outcome.count
            return rng.choice((None, 0, 1, rng.randint(0, outcome.count)))
        case ReadMsr() | ReadPmc() | Random():
            return rng.getrandbits(64)
        case Cpuid():
            return tuple(rng.getrandbits(32) for _ in range(4))
    return None


def compare(rng, engines):
    """Run one guest on both engines, comparing after every call; at times they change places."""
    start, blocks = string_guest(rng), rng.randrange(5) > 0
    machines = [Machine("pure", "real") for _ in engines]
    for machine, engine in zip(machines, engines, strict=True):
        machine.low[:], machine.high[:] = start.low, start.high
        bind(machine, start.state.record, engine, blocks)
    budget, answer = rng.choice((0, 0, 3, 100, 2000)), None
    for _ in range(20):
        calls = [
            machine.cpu.run(budget, answer) if budget else machine.step(answer)
            for machine in machines
        ]
        assert calls[0] == calls[1]
        assert machines[0].state.record == machines[1].state.record
        if not (machines[0].cpu.awaits_answer or isinstance(calls[0], Done | BudgetSpent)):
            break
        answer = answer_to(rng, calls[0])
        if rng.randrange(10) == 0:
            engines = engines[::-1]
            blocks = rng.randrange(5) > 0
            for machine, engine in zip(machines, engines, strict=True):
                bind(machine, machine.state.record, engine, blocks)
    assert (machines[0].low, machines[0].high) == (machines[1].low, machines[1].high)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_string_guests(two_engines, seed):
    for number in range(PER_SEED):
        label = f"{seed}/{number}"
        try:
            compare(random.Random(label), two_engines)
        except Exception as error:
            raise AssertionError(f"guest {label}: {error}") from error
