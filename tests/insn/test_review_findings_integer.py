# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes that a review of the integer instructions found, each kept as its failing test."""

import threading

import pytest

from insn.machine import (
    CODE,
    CR0_PE,
    CR0_PG,
    CR4_PSE,
    GP,
    MARKED,
    PAGE_FAULT,
    PS,
    RW,
    UD,
    VM,
    Machine,
    P,
    check_fault,
)
from vmmkit.insn import BudgetSpent, Cpu, Done, ExitKind, Feature, Unsupported


@pytest.mark.parametrize("code", ["9f", "9e"], ids=["lahf", "sahf"])
def test_lahf64_hides_lahf_and_sahf_in_64_bit_mode_only(engine, code):
    """SDM vol. 2A, LAHF: #UD in 64-bit mode if CPUID.80000001H:ECX.LAHF-SAHF[bit 0] = 0."""
    for mode in ("real", "pm32", "compat", "long"):
        machine = Machine(engine, mode, code)
        machine.state.features &= ~Feature.LAHF64
        if mode == "long":
            check_fault(machine, UD)
        else:
            assert machine.step() == Done(CODE + 1, 0)
    assert Machine(engine, "long", code).step() == Done(CODE + 1, 0)


# Not in the opcode table: VEX and EVEX maps, opcodes; after prefixes too.
NO_VECTOR = [
    "c4e3f9ffc0",
    "c5f9ffc0",
    "c4e0f9ffc0",
    "62f17c48ffc0",
    "62ffffffffff",
    "2e67c4c1c4c4c4",
]


@pytest.mark.parametrize("code", NO_VECTOR)
@pytest.mark.parametrize("virtual", [False, True])
def test_there_is_no_vex_or_evex_in_real_mode_known_or_not(engine, code, virtual):
    """SDM vol. 2A, LES and BOUND: #UD if the source operand is not a memory location."""
    machine = Machine(engine, "real", code)
    if virtual:
        machine.state.cr0 |= CR0_PE
        machine.state.rflags |= VM
    check_fault(machine, UD)
    assert isinstance(Machine(engine, "pm16", code).step(), Unsupported)


@pytest.mark.parametrize("mode", ["compat", "long"])
def test_a_descriptor_must_be_canonical_to_its_last_byte(engine, mode):
    """SDM vol. 1, "Canonical Addressing": the first bytes were, and the walk took the rest."""
    machine = Machine(engine, mode, "8ed8", {"rax": 8})  # mov ds, ax
    machine.state.gdtr_base, machine.state.gdtr_limit = (1 << 47) - 12, 0xFF
    check_fault(machine, GP)


def test_a_kick_leaves_steps_alone_and_waits_for_the_next_run(engine):
    """The step said that it was done, and no instruction had been executed."""
    machine = Machine(engine, "pm32", "40 40 40 ebfe")
    machine.cpu.kick()
    assert machine.step() == Done(CODE + 1, 0)
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.cpu.run(100) == BudgetSpent(CODE + 2)
    assert machine.cpu.run(1) == BudgetSpent(CODE + 3)
    assert (machine.state.rax, machine.state.retired) == (3, 3)


UNDEFINED_MEMBERS = ["ffbb", "ff3c", "8fbb000000", "c7bb00000000", "c6c8", "feb8", "0fba83000000"]


@pytest.mark.parametrize("code", UNDEFINED_MEMBERS)
def test_an_undefined_member_of_a_group_is_fetched_whole_before_it_is_ud(engine, code):
    """As observed: the page fault for its address or immediate comes before #UD."""
    machine = Machine(engine, "long")
    raw = bytes.fromhex(code)
    start = CODE + 0x1000 - len(raw)
    machine.poke(start, raw)
    machine.pte(CODE + 0x1000, 0, 0)
    machine.state.rip = start
    check_fault(machine, PAGE_FAULT, 0, CODE + 0x1000)
    machine.pte(CODE + 0x1000, CODE + 0x1000 | P)
    check_fault(machine, UD)


def test_an_undefined_member_of_a_group_may_be_too_long(engine):
    """As observed: #GP for the sixteenth byte comes before #UD."""
    machine = Machine(engine, "long", "66" * 10 + "ffbb00000000")
    check_fault(machine, GP)


def test_a_kick_ends_a_run_within_a_long_repeated_instruction(engine):
    """A guest that repeated LODS 2**32 - 1 times could not be stopped: that took hours."""
    ram = bytearray(4 << 20)
    ram[0x1000:0x2000] = (P | PS | RW | MARKED).to_bytes(4, "little") * 1024  # 4 MiB everywhere
    ram[:2] = b"\xf3\xac"
    cpu = Cpu([(0, ram)], engine=engine)
    state = cpu.state
    state.enter_protected_mode(0)
    state.cr3, state.cr4, state.cr0 = 0x1000, CR4_PSE, state.cr0 | CR0_PG
    state.rcx, kinds = 0xFFFF_FFFF, []
    runner = threading.Thread(target=lambda: kinds.append(cpu.enter(1 << 62, 0)), daemon=True)
    runner.start()
    while state.rcx == 0xFFFF_FFFF:
        pass
    cpu.kick()
    runner.join(timeout=20)
    assert kinds == [ExitKind.BUDGET]
    assert (state.rip, state.rcx, state.retired) == (0, 0xFFFF_FFFF - state.rsi, state.rsi)
