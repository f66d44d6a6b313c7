# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`Cpu.latch`: the bytes of an instruction that an exit brought along."""

import pytest

from insn.machine import CODE, DATA, GP, MMIO, MODES, PAGE_FAULT, UD, Machine
from vmmkit.errors import StepError
from vmmkit.insn import Cpu, Done, Fault, Read, Write

MOV_EAX = "b844332211"  # mov eax, 0x11223344


@pytest.mark.parametrize("mode", MODES)
def test_the_bytes_given_are_executed(engine, mode):
    machine = Machine(engine, mode, "f4")
    machine.cpu.latch(bytes.fromhex("b07f"))
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.state.rax & 0xFF == 0x7F


def test_memory_is_read_again_for_the_next_one(engine):
    machine = Machine(engine, "long", "9090")
    machine.cpu.latch(bytes.fromhex("b07f"))
    machine.poke(CODE + 2, bytes.fromhex("b455"))
    assert [machine.step().rip, machine.step().rip] == [CODE + 2, CODE + 4]
    assert machine.state.rax == 0x557F


def test_they_stay_through_device_accesses(engine):
    machine = Machine(engine, "long", "f4", {"rbx": MMIO, "rax": 2})
    machine.cpu.latch(bytes.fromhex("0103"))
    assert machine.step() == Read(MMIO, 4)
    assert machine.step(40) == Write(MMIO, 4, 42)
    assert machine.step() == Done(CODE + 2, 0)


@pytest.mark.parametrize("given", range(1, 6))
def test_what_is_missing_is_fetched(engine, given):
    whole = bytes.fromhex(MOV_EAX)
    machine = Machine(engine, "long", MOV_EAX)
    machine.poke(CODE, bytes(given))  # what was given is not looked at in memory
    machine.cpu.latch(whole[:given])
    assert machine.step() == Done(CODE + 5, 0)
    assert machine.state.rax == 0x11223344


@pytest.mark.parametrize("given", range(1, 6))
def test_what_is_missing_may_lie_on_another_page(engine, given):
    machine = Machine(engine, "long", "")
    machine.poke(CODE + 0xFFD, bytes.fromhex(MOV_EAX))
    machine.state.rip = CODE + 0xFFD
    machine.pte(CODE, 0)  # the page given from needs not be there
    machine.cpu.latch(bytes.fromhex(MOV_EAX)[:given])
    if given < 3:
        assert machine.step() == Fault(PAGE_FAULT, 0, CODE + 0xFFD + given)
        assert machine.step() == Fault(PAGE_FAULT, 0, CODE + 0xFFD)  # they were given once
    else:
        assert machine.step() == Done(CODE + 0x1002, 0)


def test_nothing_is_fetched_when_nothing_is_missing(engine):
    machine = Machine(engine, "long", "", {"rbx": DATA, (DATA, 4): 0x55})
    machine.pte(CODE, 0)
    machine.cpu.latch(bytes.fromhex("8b0390909090909090909090909090"))
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.state.rax == 0x55
    assert machine.step() == Fault(PAGE_FAULT, 0, CODE + 2)


@pytest.mark.parametrize(("code", "vector"), [("f00f0b", UD), ("66" * 15, GP), ("66" * 20, GP)])
def test_bytes_that_are_no_instruction(engine, code, vector):
    machine = Machine(engine, "long", "90")
    machine.cpu.latch(bytes.fromhex(code))
    assert machine.step() == Fault(vector, 0, 0)
    assert machine.step() == Done(CODE + 1, 0)


def test_another_rip_forgets_them(engine):
    machine = Machine(engine, "long", "9090")
    machine.cpu.latch(bytes.fromhex("b07f"))
    machine.state.rip += 1
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.state.rax == 0


def test_another_mode_forgets_them(engine):
    machine = Machine(engine, "pm32", "90")
    machine.cpu.latch(bytes.fromhex("b07f"))
    machine.state.cs = machine.state.cs._replace(attributes=0x809B)
    assert machine.step() == Done(CODE + 1, 0)


@pytest.mark.parametrize("forget", [lambda cpu: cpu.latch(b""), lambda cpu: cpu.abandon()])
def test_taken_back(engine, forget):
    machine = Machine(engine, "long", "90")
    machine.cpu.latch(bytes.fromhex("b07f"))
    forget(machine.cpu)
    assert machine.step() == Done(CODE + 1, 0)


def test_refused_while_one_is_in_flight(engine):
    machine = Machine(engine, "long", "8b03", {"rbx": MMIO})
    assert machine.step() == Read(MMIO, 4)
    with pytest.raises(StepError, match="in flight"):
        machine.cpu.latch(b"\x90")
    assert machine.step(7) == Done(CODE + 2, 0)


def test_only_the_first_instruction_of_a_run(engine):
    machine = Machine(engine, "long", "9090b401")
    machine.cpu.latch(bytes.fromhex("b07f"))
    machine.cpu.run(2)
    assert machine.state.rax == 0x17F


def test_any_buffer(engine):
    machine = Machine(engine, "long", "90")
    machine.cpu.latch(memoryview(bytearray.fromhex("b07f")))
    assert machine.step() == Done(CODE + 2, 0)


def test_without_any_ram(engine):
    """An exit handler that maps nothing: code from the exit, operands as outcomes."""
    cpu = Cpu(engine=engine)
    cpu.state.enter_protected_mode(eip=0x1234)
    cpu.state.rbx = 0xFEE0_0000
    cpu.latch(bytes.fromhex("830b01"))
    assert cpu.step() == Read(0xFEE0_0000, 4)
    assert cpu.step(2) == Write(0xFEE0_0000, 4, 3)
    assert cpu.step() == Done(0x1237, 0)
