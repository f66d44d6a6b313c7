# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""LDS, LES, LFS, LGS and LSS (SDM vol. 2A): the pointer first, then the descriptor, then both."""

import pytest

from insn.machine import (
    DATA,
    GDT,
    GP,
    MMIO,
    NP,
    PAGE_FAULT,
    SS_FAULT,
    UD,
    UNUSABLE,
    VM,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Read, Segment

ONES = (1 << 64) - 1
DATA_RW, CODE_RX = 0xC093, 0xC09B
OPCODES = {"es": "c4", "ds": "c5", "ss": "0fb2", "fs": "0fb4", "gs": "0fb5"}
LONG = ("ss", "fs", "gs")


def loading(engine, mode, name, selector=0x18, attributes=DATA_RW, prefix="", offset=0x1234_5678):
    """The form rAX, [rBX], with a pointer of the mode's operand size in memory."""
    modrm = "07" if mode in {"real", "pm16"} else "03"
    size = 2 if mode in {"real", "pm16"} else 4
    if prefix:
        size = {"66": 6 - size, "48": 8}[prefix]
    machine = Machine(engine, mode, prefix + OPCODES[name] + modrm, {"rbx": DATA, "rax": ONES})
    machine.poke(DATA, offset & (1 << 8 * size) - 1, size)
    machine.poke(DATA + size, selector, 2)
    machine.descriptor(selector >> 3 & 15, 0x1234_5000, 0xFFFFF, attributes)
    return machine, size


@pytest.mark.parametrize("prefix", ["", "66"])
@pytest.mark.parametrize("mode", ["pm16", "pm32", "compat", "long"])
@pytest.mark.parametrize("name", OPCODES)
def test_protected(engine, mode, name, prefix):
    """LSS leaves no interrupt shadow (SDM vol. 3A, on switching stacks: MOV and POP do)."""
    if mode == "long" and name not in LONG:
        return
    machine, size = loading(engine, mode, name, prefix=prefix)
    assert machine.step() == Done(0x1000 + len(machine.code), 0)
    assert getattr(machine.state, name) == Segment(0x18, 0x1234_5000, 0xFFFF_FFFF, DATA_RW)
    expected = 0x1234_5678 if size == 4 else ONES & ~0xFFFF | 0x5678
    assert machine.state.rax == expected


@pytest.mark.parametrize("name", LONG)
def test_64_bit_offsets(engine, name):
    machine, _ = loading(engine, "long", name, prefix="48", offset=0x8877_6655_4433_2211)
    assert isinstance(machine.step(), Done)
    assert machine.state.rax == 0x8877_6655_4433_2211
    assert getattr(machine.state, name).selector == 0x18


@pytest.mark.parametrize("virtual", [0, VM])
@pytest.mark.parametrize("name", OPCODES)
def test_without_protection(engine, name, virtual):
    machine, _ = loading(engine, "pm16" if virtual else "real", name, selector=0xABCD)
    machine.state.rflags |= virtual
    before = getattr(machine.state, name)
    assert isinstance(machine.step(), Done)
    assert machine.state.rax == ONES & ~0xFFFF | 0x5678
    assert getattr(machine.state, name) == before._replace(selector=0xABCD, base=0xABCD0)


@pytest.mark.parametrize("mode", ["pm32", "compat"])
@pytest.mark.parametrize("name", OPCODES)
def test_null(engine, mode, name):
    """A null selector makes a segment unusable; LSS refuses it outside of 64-bit mode."""
    machine, _ = loading(engine, mode, name, selector=3)
    if name == "ss":
        check_fault(machine, GP)
        return
    assert isinstance(machine.step(), Done)
    assert getattr(machine.state, name) == Segment(3, 0, 0, UNUSABLE)


REFUSED = [
    ("ds", 0x18, DATA_RW & ~0x80, NP, 0x18),
    ("es", 0x18, 0x0082, GP, 0x18),
    ("fs", 0x80, DATA_RW, GP, 0x80),
    ("gs", 0x1B, DATA_RW, GP, 0x18),
    ("ss", 0x18, DATA_RW & ~0x80, SS_FAULT, 0x18),
    ("ss", 0x1B, DATA_RW, GP, 0x18),
    ("ss", 0x18, CODE_RX, GP, 0x18),
]


@pytest.mark.parametrize(("name", "selector", "attributes", "vector", "error"), REFUSED)
def test_refused(engine, name, selector, attributes, vector, error):
    """The register is not written either."""
    machine, _ = loading(engine, "pm32", name, selector & 0x7F, attributes)
    machine.poke(DATA + 4, selector, 2)
    check_fault(machine, vector, error)


def test_the_accessed_bit_is_set(engine):
    machine, _ = loading(engine, "pm32", "es", attributes=DATA_RW & ~1)
    machine.step()
    assert machine.peek(GDT + 0x18 + 5, 1) == DATA_RW & 0xFF


def test_the_whole_pointer_is_read_first(engine):
    """From a device in two reads; the descriptor is looked at afterwards."""
    machine = Machine(engine, "pm32", "c403", {"rbx": MMIO})
    machine.descriptor(3, 0, 0xFFFFF, DATA_RW)
    accesses, outcome = machine.finish([0x55, 0x18])
    assert accesses == [Read(MMIO, 4), Read(MMIO + 4, 2)]
    assert isinstance(outcome, Done)
    assert (machine.state.rax, machine.state.es.selector) == (0x55, 0x18)


def test_the_selector_behind_the_end_of_the_offset_space(engine):
    registers = {"rbx": 0xFFFE, (0, 2): 0x120}
    after = {"rax": 7, "es": Segment(0x120, 0x1200, 0xFFFF, 0x93)}
    check_case(engine, "real", "c407", registers, after, None, [7], [Read(0xFFFE, 2)])


FAULTS = [
    ("pm32", "c403", {"rbx": 0xFFE, "ds": Segment(16, 0, 0xFFF, 0xC093)}, (GP,)),
    ("pm32", "c403", {"rbx": 0xFFC, "ds": Segment(16, 0, 0xFFF, 0xC093)}, (GP,)),
    ("pm32", "c40424", {"rsp": 0xFFC, "ss": Segment(16, 0, 0xFFF, 0xC093)}, (SS_FAULT,)),
    ("long", "0fb203", {"rbx": 0x3FFF_FFFC}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("long", "0fb403", {"rbx": 1 << 63}, (GP,)),
    ("long", "0fb2c3", {}, (UD,)),
    ("long", "0fb4c3", {}, (UD,)),
    ("pm32", "f0c403", {"rbx": DATA}, (UD,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)
