# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ENQCMD and ENQCMDS: one write of 64 bytes that a device takes or refuses (SDM vol. 2A)."""

import pytest

from insn.machine import DATA, GP, MMIO, STATUS, UD, ZF, Machine, check_fault
from vmmkit.errors import StepError
from vmmkit.insn import Done, Feature, Write

USER, SUPERVISOR = "f20f38f803", "f30f38f803"  # enqcmd rax, [rbx]
COMMAND = bytes(range(1, 65))
PASID, VALID = 0x12345, 1 << 31
PASID_MSR = 0xD93


def machine(engine, code, destination=MMIO, mode="long", command=COMMAND):
    registers = {"rax": destination, "rbx": DATA, "rflags": STATUS | 2, "pasid": VALID | PASID}
    one = Machine(engine, mode, code, registers)
    one.poke(DATA, command)
    return one


def written(head):
    return int.from_bytes(head.to_bytes(4, "little") + COMMAND[4:], "little")


@pytest.mark.parametrize("mode", ["pm32", "compat", "long"])
@pytest.mark.parametrize("refused", [False, True])
def test_command(engine, mode, refused):
    one = machine(engine, USER, mode=mode)
    assert one.step() == Write(MMIO, 64, written(PASID))
    if refused:
        one.cpu.refuse()
    assert isinstance(one.step(), Done)
    assert one.state.rflags & STATUS == (ZF if refused else 0)


def test_supervisor_names_whose_command_it_is(engine):
    head = 0x8000_0007
    command = head.to_bytes(4, "little") + COMMAND[4:]
    one = machine(engine, SUPERVISOR, command=command)
    one.state.pasid = 0
    assert one.step() == Write(MMIO, 64, written(head))
    assert isinstance(one.step(), Done)


def test_memory_takes_no_command(engine):
    one = machine(engine, USER, DATA + 64)
    assert isinstance(one.step(), Done)
    assert one.state.rflags & STATUS == ZF
    assert one.peek(DATA + 64, 64) == 0


def test_faults(engine):
    one = machine(engine, USER)
    one.state.pasid = PASID
    check_fault(one, GP)
    check_fault(machine(engine, USER, MMIO + 8), GP)
    check_fault(machine(engine, SUPERVISOR, command=b"\xff" * 64), GP)
    check_fault(machine(engine, SUPERVISOR).ring3(), GP)
    one = machine(engine, USER)
    one.state.features &= ~Feature.ENQCMD
    check_fault(one, UD)


def test_other_writes_are_not_refused(engine):
    one = machine(engine, "8818")  # mov [rax], bl
    assert isinstance(one.step(), Write)
    with pytest.raises(StepError):
        one.cpu.refuse()


def test_msr(engine):
    one = Machine(engine, "long", "0f300f32", {"rcx": PASID_MSR, "rax": VALID | PASID})
    assert isinstance(one.step(), Done)
    assert one.state.pasid == VALID | PASID
    one.state.rax = 0
    assert isinstance(one.step(), Done)
    assert one.state.rax == VALID | PASID
    for bad in (1 << 20, 1 << 30):
        check_fault(Machine(engine, "long", "0f30", {"rcx": PASID_MSR, "rax": bad}), GP)
    check_fault(Machine(engine, "long", "0f30", {"rcx": PASID_MSR, "rdx": 1}), GP)
