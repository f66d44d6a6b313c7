# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""HLT (SDM vol. 2A)."""

import pytest

from insn.machine import CODE, GP, VM, Machine, check_fault
from vmmkit.insn import Done, Halt


@pytest.mark.parametrize("mode", ["real", "pm16", "pm32", "compat", "long"])
def test_halts_past_the_instruction(engine, mode):
    machine = Machine(engine, mode, "f490")
    assert machine.step() == Halt(CODE + 1)
    assert (machine.state.rip, machine.state.retired) == (CODE + 1, 1)
    assert machine.step() == Done(CODE + 2, 0)


@pytest.mark.parametrize("mode", ["pm32", "long"])
def test_needs_ring_0(engine, mode):
    check_fault(Machine(engine, mode, "f4").ring3(), GP)
    check_fault(Machine(engine, mode, "f4", {"rflags": 0x3002}).ring3(), GP)


def test_virtual_8086_mode(engine):
    check_fault(Machine(engine, "pm16", "f4", {"rflags": 0x3002 | VM}), GP)


def test_ends_a_run(engine):
    machine = Machine(engine, "long", "9090f490")
    assert machine.cpu.run(100) == Halt(CODE + 3)
    assert machine.state.retired == 3
