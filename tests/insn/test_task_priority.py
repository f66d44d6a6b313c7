# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CR8 and its threshold, the owner's time-stamp counter, INIT and SIPI."""

import pytest

from insn.kernel import TF, Kernel, handler
from insn.machine import CODE, Machine
from vmmkit.errors import StateError
from vmmkit.insn import BudgetSpent, CpuState, Done, Fault, Segment, TprBelowThreshold, WriteMsr

TO_CR8, FROM_CR8 = "440f22c0", "440f20c1"


@pytest.mark.parametrize(
    ("threshold", "value", "ends"), [(0, 0, False), (5, 5, False), (5, 4, True), (15, 0, True)]
)
def test_lowering_cr8_ends_a_run(engine, threshold, value, ends):
    """SDM vol. 3C, "TPR Below Threshold": less than the threshold, after the instruction."""
    machine = Machine(engine, "long", TO_CR8 + "9090", {"rax": value})
    machine.state.tpr, machine.state.tpr_threshold = 0xFF, threshold
    expected = TprBelowThreshold(CODE + 4) if ends else BudgetSpent(CODE + 6)
    assert machine.cpu.run(3) == expected
    assert (machine.state.cr8, machine.state.tpr) == (value, value << 4)
    assert machine.state.retired == (1 if ends else 3)
    if ends:
        assert machine.cpu.run(2) == BudgetSpent(CODE + 6)


def test_it_is_every_write_below(engine):
    machine = Machine(engine, "long", TO_CR8 * 2, {"rax": 1})
    machine.state.tpr_threshold = 2
    assert machine.step() == TprBelowThreshold(CODE + 4)
    assert machine.step() == TprBelowThreshold(CODE + 8)


def test_a_value_that_faults_ends_nothing(engine):
    machine = Machine(engine, "long", TO_CR8, {"rax": 16})
    machine.state.tpr_threshold = 15
    assert machine.step() == Fault(13, 0, 0)


def test_a_trap_of_the_write_comes_after_it(engine):
    guest = Kernel(engine, "long", TO_CR8 + "90", {"rax": 0, "rflags": 2 | TF})
    guest.state.tpr_threshold = 1
    assert guest.step() == TprBelowThreshold(CODE + 4)
    assert guest.step() == Done(handler(1), 0)


def test_cr8_is_the_class_of_the_task_priority(engine):
    machine = Machine(engine, "long", FROM_CR8, {})
    machine.state.tpr = 0x57
    machine.step()
    assert (machine.state.rcx, machine.state.cr8) == (5, 5)
    machine.state.cr8 = 9
    assert machine.state.tpr == 0x90
    for value in (16, -1, 1.5):
        with pytest.raises(StateError):
            machine.state.cr8 = value


def test_writing_the_time_stamp_counter_is_the_owners(engine):
    machine = Machine(engine, "pm32", "0f30" + "0f31", {"rcx": 0x10, "rdx": 1, "rax": 2})
    machine.state.tsc_write_exits = 1
    assert machine.step() == WriteMsr(0x10, 1 << 32 | 2)
    machine.state.tsc_offset = 100
    assert machine.step() == Done(CODE + 2, 0)
    machine.step()
    assert (machine.state.rdx, machine.state.rax) == (0, 101)


def test_init():
    """SDM vol. 3A, table "... Processor States Following Power-up, Reset, or INIT"."""
    state = CpuState()
    fresh = CpuState()
    for name in ("rax", "r15", "rip", "cr2", "cr3", "cr4", "efer", "dr0", "gdtr_base", "tpr"):
        setattr(state, name, 0x77)
    state.enter_long_mode(0x1000, 0x2000)
    state.ldtr = state.tr = Segment(8, 1, 2, 0x82)
    kept = {
        "mxcsr": 0x1F00,
        "x87_control": 0x37F,
        "xcr0": 7,
        "pkru": 5,
        "tsc_offset": 9,
        "lstar": 4,
        "pat": 1,
        "retired": 44,
        "star": 8,
    }
    for name, value in kept.items():
        setattr(state, name, value)
    state.words[:] = state.words  # as an engine would leave it
    state.cr0, state.nmi_blocked, state.halted = 0x8005_0033, 1, 1
    state.init()
    for name, value in kept.items():
        assert getattr(state, name) == value, name
        setattr(fresh, name, value)
    assert state.cr0 == 0x10  # CD and NW were clear, and stay so
    fresh.cr0 = 0x10
    assert state.record == fresh.record


def test_init_keeps_the_caches_off():
    state = CpuState()
    state.cr0 |= 1
    state.init()
    assert state.cr0 == 0x6000_0010


def test_start_up():
    state = CpuState()
    state.init()
    state.start_up(0x9A)
    assert (state.cs, state.rip) == (Segment(0x9A00, 0x9_A000, 0xFFFF, 0x9B), 0)
