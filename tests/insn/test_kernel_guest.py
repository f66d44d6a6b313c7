# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A small kernel in assembly with an interrupt table of its own (`tests/guests/kernel.S`)."""

import platform
import sys

import pytest

from guests.build import assembled
from insn.machine import CODE64, DATA32
from vmmkit.insn import BudgetSpent, Cpu, Halt, PortOut, Segment

pytestmark = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"} or sys.platform != "linux",
    reason="gcc makes ELF programs for x86 on Linux on x86 only",
)

IDT, GDT, TSS, ENTRY = 0x1_0000, 0x1_1000, 0x1_2000, 0x1000
PML4, PDPT, PD, PT, SECOND_PT = (0x2_0000 + 0x1000 * number for number in range(5))
RIGHTS = 0x67  # present, writable, user, accessed, dirty
EXPECTED = "3PGDFTTTTTUHX"


@pytest.fixture(scope="module")
def image(require_tool, tmp_path_factory):
    for tool in ("gcc", "ld", "objcopy"):
        require_tool(tool)
    return assembled(tmp_path_factory.mktemp("kernel"), "kernel", "-T", "guest.ld")


def boot(image, engine):
    ram = bytearray(0x4_0000)

    def poke(gpa, value, size=8):
        ram[gpa : gpa + size] = value.to_bytes(size, "little")

    ram[ENTRY : ENTRY + len(image)] = image
    for table, entry, inner in ((PML4, 0, PDPT), (PDPT, 0, PD), (PD, 0, PT), (PD, 1, SECOND_PT)):
        poke(table + 8 * entry, inner | RIGHTS)
    for page in range(0x40):
        poke(PT + 8 * page, page << 12 | RIGHTS)
    for number, attributes in enumerate((0, CODE64, DATA32, CODE64 | 0x60, DATA32 | 0x60)):
        poke(GDT + 8 * number, 0xFFFF | attributes << 40 | 0xF << 48 if number else 0)
    poke(TSS + 4, 0xE000)
    poke(TSS + 36, 0xD800)
    cpu = Cpu([(0, ram)], engine=engine, deliver=True)
    state = cpu.state
    state.enter_long_mode(ENTRY, PML4)
    state.idtr_base, state.idtr_limit = IDT, 0xFFF
    state.gdtr_base, state.gdtr_limit = GDT, 0x27
    state.tr = Segment(0x50, TSS, 0x67, 0x8B)
    return cpu


def test_it_gets_through(engine, image):
    """The timer ticks every 40 instructions while interrupts are on."""
    cpu, said = boot(image, engine), ""
    for _ in range(200):
        outcome = cpu.run(40)
        while isinstance(outcome, PortOut):
            assert outcome.port == 0xE9
            said += chr(outcome.value)
            outcome = cpu.run(40)
        if isinstance(outcome, Halt):
            break
        assert isinstance(outcome, BudgetSpent), (outcome, said)
        if cpu.interrupt_window:
            cpu.request_interrupt(0x20)
    assert said == EXPECTED
    assert cpu.state.cs.selector == 8


def test_both_engines_go_the_same_way(two_engines, image):
    """Record by record, at every step."""
    first, second = (boot(image, engine) for engine in two_engines)
    for number in range(600):
        outcomes = [cpu.step() for cpu in (first, second)]
        assert outcomes[0] == outcomes[1]
        assert first.state.record == second.state.record
        if isinstance(outcomes[0], Halt):
            break
        if number % 40 == 0 and first.interrupt_window:
            for cpu in (first, second):
                cpu.request_interrupt(0x20)
    assert isinstance(outcomes[0], Halt)
