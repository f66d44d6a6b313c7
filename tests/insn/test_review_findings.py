# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes that reviews and other judges found, each kept as the test that failed before."""

import pytest

from vmmkit.errors import GuestMemoryError
from vmmkit.insn import BudgetSpent, Cpu, Fault, Segment

MMIO = 0xFEC0_0000


def boot(engine, code, **registers):
    ram = bytearray(0x4000)
    machine_code = bytes.fromhex(code)
    ram[: len(machine_code)] = machine_code
    cpu = Cpu([(0, ram)], engine=engine)
    cpu.state.enter_protected_mode(0)
    for name, value in registers.items():
        setattr(cpu.state, name, value)
    return cpu


def test_call_checks_its_stack_before_it_reads_the_pointer_from_a_device(engine):
    cpu = boot(engine, "ff13", rbx=MMIO, rsp=0x100)  # call [ebx]
    cpu.state.ss = Segment(0x10, 0, 0x10, 0xC093)
    assert cpu.step() == Fault(12, 0, 0)


def test_instruction_count_wraps_like_any_64_bit_counter(engine):
    cpu = boot(engine, "90 ebfd", retired=(1 << 64) - 2)
    assert cpu.run(1) == BudgetSpent(1)
    assert cpu.state.retired == (1 << 64) - 1
    cpu.step()
    assert cpu.state.retired == 0


def test_released_buffer_is_refused_as_ram(engine):
    view = memoryview(bytearray(4096))
    view.release()
    with pytest.raises(GuestMemoryError, match="no contiguous byte buffer"):
        Cpu([(0, view)], engine=engine)
