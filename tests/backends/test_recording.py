# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Going back: a machine is again what it was, and breakpoints are found again."""

import random

import pytest

from backends.debugging import Report, owner, stop
from backends.smp import CODE, COUNTS, ENABLE, Small, apic, dword, store
from backends.test_soft_breakpoints import wake
from vmmkit.backends import ThreadedMachine
from vmmkit.backends.recording_target import RecordingTarget
from vmmkit.errors import MachineError
from vmmkit.gdb.target import CONTINUE, STEP, BreakpointKind, StopKind
from vmmkit.insn import available_engines

ENGINES = pytest.mark.parametrize("engine", available_engines())
VECTOR = 0x40
TIMER = apic(0x320, 0x2_0000 | VECTOR) + apic(0x3E0, 0x0B) + apic(0x380, 300)
OUT, INC, LOOP, HLT, NOP = "e780", "40", "ebfe", "f4", "90"


def state_of(small):
    """What a machine is: its turn left out, which may have been given on or not."""
    machine = small.machine
    snapshot = machine.snapshot()
    return (
        machine.time,
        [vcpu.state.copy() for vcpu in machine.vcpus],
        snapshot.lapics,
        snapshot.pit,
        snapshot.pic,
        bytes(small.ram),
    )


class Debugger:
    """A debugger of a target whose owner is on another thread."""

    def __init__(self, target):
        self.target = target

    def go(self, *actions, counts=lambda _stop: True):
        report = Report(counts)
        self.target.resume(dict(actions), report)
        return report.wait()

    def all_go(self):
        return self.go(*((vcpu, CONTINUE) for vcpu in self.target.vcpus()))

    def step(self, vcpu=0):
        return self.go((vcpu, STEP))

    def back(self, vcpu=0):
        report = Report()
        self.target.reverse_step(vcpu, report)
        return report.wait()

    def back_to_hit(self, counts=lambda _stop: True):
        report = Report(counts)
        self.target.reverse_continue(report)
        return report.wait()


class debugging:  # noqa: N801 - a context
    """An owner, and a debugger that has attached."""

    def __init__(self, target):
        self.target = target
        self.owner = owner(target)

    def __enter__(self):
        self.target.debugger_attached()
        stop(self.target)
        self.owner.__enter__()
        return Debugger(self.target)

    def __exit__(self, *found):
        return self.owner.__exit__(*found)


def busy(engine):
    """Two vCPUs, and a timer that interrupts the first."""
    first = ENABLE + TIMER + "fb" + (INC + OUT) * 30 + LOOP
    small = Small(first, (INC + OUT) * 40 + LOOP, quantum=7, engine=engine)
    wake(small, 1)
    return small


@ENGINES
def test_steps_and_back(engine):
    small = busy(engine)
    with debugging(RecordingTarget(small.machine, interval=20)) as debugger:
        rng = random.Random(1)
        states = []
        for _ in range(120):
            vcpu = rng.randrange(2)
            states.append((vcpu, state_of(small)))
            assert debugger.step(vcpu)[0].kind is StopKind.STEP
        for vcpu, state in reversed(states):
            assert debugger.back(vcpu)[0].kind is StopKind.STEP
            assert state_of(small) == state
        assert debugger.back()[0].kind is StopKind.HISTORY
