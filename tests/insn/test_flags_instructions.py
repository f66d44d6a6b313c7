# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CLC STC CMC CLD STD CLI STI: one flag each, and the privilege of IF (SDM vol. 2A and 2B)."""

import pytest

from insn.machine import CF, CODE, CODE64, DF, GP, IF, STATUS, VM, Machine, check_case, check_fault
from vmmkit.insn import Done, Fault

REST = 2 | STATUS | DF | IF


@pytest.mark.parametrize("mode", ["real", "pm32", "long"])
@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        ("f8", REST, REST & ~CF),
        ("f8", 2, 2),
        ("f9", 2, 2 | CF),
        ("f9", REST, REST),
        ("f5", REST, REST & ~CF),
        ("f5", 2, 2 | CF),
        ("fc", REST, REST & ~DF),
        ("fd", 2, 2 | DF),
        ("fa", REST, REST & ~IF),
        ("fb", 2, 2 | IF),
        ("fb", REST, REST),
    ],
)
def test_one_flag_changes(engine, mode, code, before, after):
    check_case(engine, mode, code, {"rflags": before}, {"rflags": after})


@pytest.mark.parametrize("code", ["fa", "fb"])
@pytest.mark.parametrize("iopl", range(4))
@pytest.mark.parametrize("ring", [0, 3])
def test_if_needs_cpl_up_to_iopl(engine, code, iopl, ring):
    machine = Machine(engine, "long", code, {"rflags": 2 | iopl << 12})
    if ring:
        machine.ring3()
    if ring <= iopl:
        assert isinstance(machine.step(), Done)
        assert bool(machine.state.rflags & IF) == (code == "fb")
    else:
        check_fault(machine, GP)


@pytest.mark.parametrize(("iopl", "outcome"), [(3, Done(CODE + 1, 0)), (2, Fault(GP, 0, 0))])
def test_virtual_8086_mode_is_ring_3(engine, iopl, outcome):
    machine = Machine(engine, "pm16", "fa", {"rflags": 2 | VM | iopl << 12})
    assert machine.step() == outcome


def test_sti_shadows_one_instruction_and_only_when_it_sets_if(engine):
    machine = Machine(engine, "long", "fbfb90fafb", {"rflags": 2})
    assert machine.state.cs.attributes == CODE64
    shadows = [machine.step().interrupt_shadow for _ in range(5)]
    assert shadows == [1, 0, 0, 0, 1]
    assert machine.state.interrupt_shadow == 1
