# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The guests of the debugger's tests do what they say when nobody debugs them."""

import pytest

from gdb.guest_machine import VERSION, GuestMachine
from vmmkit.insn import available_engines

ENGINES = pytest.mark.parametrize("engine", available_engines())


@ENGINES
def test_the_kernel_ends(program, engine):
    guest = GuestMachine(program("kernel"), engine=engine)
    assert guest.run_alone()
    assert guest.console == "begin\nend\n"
    assert (guest.word("counter"), guest.word("version")) == (sum(range(100)), VERSION)
    assert guest.registers.accesses == [("read", 0, 4), ("write", 4, 4, 7)]
    assert guest.machine.vcpus[0].state.rax == 6 + 120 + 60 + 8


@ENGINES
def test_each_processor_has_a_page_of_its_own(program, engine):
    guest = GuestMachine(program("address_spaces"), vcpus=3, engine=engine)
    assert not guest.run_alone(20_000)
    assert [guest.word(f"private_{number}", 8) for number in range(3)] == [0x1000, 0x1001, 0x1002]


@ENGINES
def test_the_spinning_guest_is_interrupted(program, engine):
    guest = GuestMachine(program("spin"), engine=engine)
    assert not guest.run_alone(20_000)
    assert guest.word("ticks", 8) > 20
    assert guest.word("turns", 8) > 100


@ENGINES
def test_the_vector_guest_computes(program, engine):
    guest = GuestMachine(program("sse"), engine=engine)
    assert guest.run_alone()
    assert guest.console == "done\n"


@ENGINES
def test_the_guest_with_breakpoints_of_its_own_takes_them(program, engine):
    guest = GuestMachine(program("traps"), engine=engine)
    assert guest.run_alone()
    assert guest.console == "trapped\n"
    assert (guest.word("breakpoints"), guest.word("debug_traps")) == (1, 2)
    assert guest.word("dr6", 8) & 0x4001 == 0x4001


@ENGINES
def test_three_stages_follow_each_other(program, engine):
    stages = [program(name) for name in ("real", "protected", "long")]
    guest = GuestMachine(*stages, engine=engine)
    assert guest.run_alone()
    assert guest.console == "RPLC"


@ENGINES
def test_the_32_bit_stage_ends_alone(program, engine):
    guest = GuestMachine(program("protected"), engine=engine)
    assert guest.run_alone()
    assert guest.console == "P"
    assert guest.word("results") == 1
