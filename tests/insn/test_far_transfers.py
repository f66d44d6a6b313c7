# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Far JMP, CALL and RET (SDM vol. 2A and 2B), call gates included."""

import pytest

from insn.kernel import (
    CODE,
    CODE0,
    CODE3,
    CONFORMING,
    DATA0,
    DATA3,
    LOWER,
    RING0_STACK,
    SPARE,
    STACK,
    TSS,
    Kernel,
)
from insn.machine import (
    CODE16,
    CODE32,
    CODE64,
    DATA,
    GDT,
    MMIO,
    UNUSABLE,
    check_fault,
)
from vmmkit.insn import Done, Read, Segment, Unsupported, UnsupportedReason, Write

TS, NP, SS, GP = 10, 11, 12, 13
TARGET, GATE = 0x1800, 0x58
GATE32, GATE16, TASK, TSS_AVAILABLE = 0x8C, 0x84, 0x85, 0x89


def pointer(size, offset, selector):
    """Bytes of a far pointer."""
    return (offset.to_bytes(size, "little") + selector.to_bytes(2, "little")).hex()


def direct(mode, opcode, offset, selector):
    """A far jump or call with the pointer in the instruction, or in memory at rBX."""
    size = {"real": 2, "pm16": 2}.get(mode, 4)
    if mode != "long":
        return opcode + pointer(size, offset, selector), {}
    code = {"ea": "ff2b", "9a": "ff1b"}[opcode]
    return code, {"rbx": DATA, (DATA, 4): offset, (DATA + 4, 2): selector}


def machine(engine, mode, opcode, selector, offset=TARGET):
    code, registers = direct(mode, opcode, offset, selector)
    return Kernel(engine, mode, code, registers, deliver=False)


def call_gate(guest, kind=GATE32, *, selector=CODE0, offset=TARGET, dpl=3, parameters=0, p=1):
    """Write a call gate at `GATE`; 16 bytes of it in long mode."""
    attributes = kind & 0x1F | dpl << 5 | p << 7
    raw = offset & 0xFFFF | selector << 16 | parameters << 32 | attributes << 40
    raw |= (offset >> 16 & 0xFFFF) << 48 | (offset >> 32) << 64
    guest.poke(GDT + GATE, raw, 16 if guest.long_mode else 8)


@pytest.mark.parametrize("mode", ["real", "pm16", "pm32", "long"])
def test_jump(engine, mode):
    selector = 0x12 if mode == "real" else CODE0
    guest = machine(engine, mode, "ea", selector)
    assert guest.step() == Done(TARGET, 0)
    assert guest.state.cs.selector == selector
    assert guest.state.cs.base == (0x120 if mode == "real" else 0)
    assert guest.state.rsp == STACK


@pytest.mark.parametrize(("mode", "size"), [("real", 2), ("pm16", 2), ("pm32", 4), ("long", 4)])
def test_call_and_return(engine, mode, size):
    selector = 0x12 if mode == "real" else CODE0
    guest = machine(engine, mode, "9a", selector)
    old, length = guest.state.cs.selector, len(guest.code)
    assert guest.step() == Done(TARGET, 0)
    assert guest.frame(2, size) == [CODE + length, old]
    base = guest.state.cs.base
    guest.poke(base + TARGET, bytes.fromhex("ca0800"))
    assert guest.step() == Done(CODE + length, 0)
    assert guest.state.cs.selector == old
    assert guest.state.rsp == STACK + 8


@pytest.mark.parametrize(("code", "size"), [("66ff1b", 2), ("ff1b", 4), ("48ff1b", 8)])
def test_operand_sizes_of_an_indirect_call(engine, code, size):
    registers = {"rbx": DATA, (DATA, size): TARGET, (DATA + size, 2): CODE0}
    guest = Kernel(engine, "long", code, registers, deliver=False)
    guest.step()
    assert guest.state.rsp == STACK - 2 * size
    assert guest.frame(2, size) == [CODE + len(code) // 2, CODE0]


def test_between_64_bit_and_compatibility_mode(engine):
    guest = machine(engine, "long", "ea", SPARE)
    guest.descriptor(SPARE // 8, 0, 0xFFFFF, CODE32)
    guest.step()
    assert guest.state.mode == 32
    guest.poke(TARGET, bytes.fromhex("ea" + pointer(4, CODE, CODE0)))
    guest.step()
    assert (guest.state.mode, guest.state.rip) == (64, CODE)


# What the selector leads to, by its descriptor's attributes: fault and code, or `None`.
DIRECT = [
    ("null", 0, None, GP, 0),
    ("null with RPL", 3, None, GP, 0),
    ("beyond the GDT", 0x200, None, GP, 0x200),
    ("data", DATA0, None, GP, DATA0),
    ("an LDT", SPARE, 0x82, GP, SPARE),
    ("a busy TSS", SPARE, 0x8B, GP, SPARE),
    ("an interrupt gate", SPARE, 0x8E, GP, SPARE),
    ("an outer level", LOWER, None, GP, LOWER),
    ("RPL above CPL", CODE0 | 1, None, GP, CODE0),
    ("not present", SPARE, 0x1B, NP, SPARE),
    ("conforming, outer level", SPARE, 0xFF, GP, SPARE),
]


@pytest.mark.parametrize("opcode", ["ea", "9a"])
@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize(("why", "selector", "attributes", "vector", "error"), DIRECT)
def test_direct_faults(engine, mode, opcode, why, selector, attributes, vector, error):
    guest = machine(engine, mode, opcode, selector)
    if attributes is not None:
        wide = (0xA000 if mode == "long" else 0xC000) if attributes & 0x10 else 0
        guest.descriptor(SPARE // 8, 0, 0xFFFFF, attributes | wide)
    check_fault(guest, vector, error)


def test_conforming_code_is_for_outer_levels_too(engine):
    guest = machine(engine, "pm32", "ea", CONFORMING).user()
    guest.step()
    assert guest.state.cs.selector == CONFORMING | 3


def test_limits(engine):
    guest = machine(engine, "pm32", "ea", SPARE, 0x2000)
    guest.descriptor(SPARE // 8, 0, 0x1FFF, 0x409B)
    check_fault(guest, GP)
    check_fault(Kernel(engine, "real", "66ea" + pointer(4, 0x1_0000, 0), deliver=False), GP)
    guest = Kernel(engine, "long", "48ff2b", {"rbx": DATA, (DATA, 8): 1 << 47}, deliver=False)
    guest.poke(DATA + 8, CODE0, 2)
    check_fault(guest, GP)


def test_l_and_d_at_once(engine):
    guest = machine(engine, "long", "ea", SPARE)
    guest.descriptor(SPARE // 8, 0, 0xFFFFF, CODE64 | 1 << 14)
    check_fault(guest, GP, SPARE)


def test_call_checks_its_stack_before_the_offset(engine):
    guest = machine(engine, "pm32", "9a", SPARE, 0x2000)
    guest.descriptor(SPARE // 8, 0, 0x1FFF, 0x409B)
    guest.state.ss = Segment(DATA0, 0, 0x100, 0x4093)
    check_fault(guest, SS)


@pytest.mark.parametrize(("kind", "size"), [(GATE32, 4), (GATE16, 2)])
def test_a_call_gate_to_the_same_level(engine, kind, size):
    guest = machine(engine, "pm32", "9a", GATE, 0xDEAD_BEEF)
    call_gate(guest, kind, dpl=0)
    assert guest.step() == Done(TARGET, 0)
    assert guest.frame(2, size) == [CODE + 7, CODE0]
    guest = machine(engine, "pm32", "ea", GATE)
    call_gate(guest, kind, dpl=0)
    assert guest.step() == Done(TARGET, 0)
    assert guest.state.rsp == STACK


@pytest.mark.parametrize(("kind", "size"), [(GATE32, 4), (GATE16, 2)])
def test_a_call_gate_inwards_copies_parameters(engine, kind, size):
    guest = machine(engine, "pm32", "9a", GATE).user()
    call_gate(guest, kind, parameters=3)
    for number in range(3):
        guest.poke(STACK + size * number, 0x11 * (number + 1), size)
    assert guest.step() == Done(TARGET, 0)
    values = [CODE + 7, CODE3 | 3, 0x11, 0x22, 0x33, STACK, DATA3 | 3]
    assert guest.frame(7, size) == values
    state = guest.state
    assert (state.cs.selector, state.ss.selector) == (CODE0, DATA0)
    assert state.rsp == RING0_STACK - 7 * size
    guest.poke(TARGET, bytes.fromhex(("66" if size == 2 else "") + f"ca{3 * size:02x}00"))
    assert guest.step() == Done(CODE + 7, 0)
    assert (state.rsp, state.ss.selector) == (STACK + 3 * size, DATA3 | 3)
    assert state.cs.selector == CODE3 | 3


def test_a_call_gate_of_long_mode(engine):
    guest = machine(engine, "long", "9a", GATE).user()
    call_gate(guest, offset=0x1_0000_1800)
    assert guest.step() == Done(0x1_0000_1800, 0)
    assert guest.frame(4) == [CODE + 2, CODE3 | 3, STACK, DATA3 | 3]
    assert guest.state.ss == Segment(0, 0, 0, UNUSABLE)
    assert guest.state.rsp == RING0_STACK - 32


def test_a_call_gate_out_of_compatibility_mode(engine):
    guest = machine(engine, "compat", "9a", GATE).user()
    call_gate(guest)
    guest.step()
    assert guest.state.mode == 64
    assert guest.frame(4) == [CODE + 7, SPARE | 3, STACK, DATA3 | 3]


GATES = [
    ("pm32", "DPL below CPL", {"dpl": 0}, GP, GATE),
    ("pm32", "not present", {"p": 0}, NP, GATE),
    ("pm32", "null code", {"selector": 0}, GP, 0),
    ("pm32", "code beyond the GDT", {"selector": 0x203}, GP, 0x200),
    ("pm32", "data", {"selector": DATA0}, GP, DATA0),
    ("long", "a 16-bit gate", {"kind": GATE16}, GP, GATE),
    ("long", "a task gate", {"kind": TASK}, GP, GATE),
    ("long", "code of 32 bits", {"selector": SPARE}, GP, SPARE),
    ("long", "not canonical", {"offset": 1 << 47}, GP, 0),
    ("long", "a type in the upper half", {"offset": 1 << 72 | TARGET}, GP, GATE),
]


@pytest.mark.parametrize(("mode", "why", "changes", "vector", "error"), GATES)
def test_gate_faults(engine, mode, why, changes, vector, error):
    guest = machine(engine, mode, "9a", GATE).user()
    guest.descriptor(SPARE // 8, 0, 0xFFFFF, CODE32)
    call_gate(guest, **changes)
    check_fault(guest, vector, error)


def test_a_jump_through_a_gate_keeps_the_level(engine):
    guest = machine(engine, "pm32", "ea", GATE).user()
    call_gate(guest)
    check_fault(guest, GP, CODE0)


def test_a_long_gate_at_the_end_of_the_table(engine):
    guest = machine(engine, "long", "9a", GATE)
    call_gate(guest)
    guest.state.gdtr_limit = GATE + 14
    check_fault(guest, GP, GATE)


INNER_STACKS = [
    ("no room in the TSS", lambda g: g.set("tr", (0x50, TSS, 8, 0x8B)), TS, 0x50),
    ("null", lambda g: g.poke(TSS + 8, 0, 2), TS, 0),
    ("another DPL", lambda g: g.poke(TSS + 8, DATA3, 2), TS, DATA3),
    ("not present", lambda g: g.descriptor(2, 0, 0xFFFFF, 0xC013), SS, DATA0),
    ("too small", lambda g: g.descriptor(2, 0, 0x5FFF, 0x4093), SS, DATA0),
]


@pytest.mark.parametrize(("why", "spoil", "vector", "error"), INNER_STACKS)
def test_inner_stacks(engine, why, spoil, vector, error):
    guest = machine(engine, "pm32", "9a", GATE).user()
    call_gate(guest)
    spoil(guest)
    check_fault(guest, vector, error)


@pytest.mark.parametrize("opcode", ["ea", "9a"])
@pytest.mark.parametrize("attributes", [TASK | 0x60, TSS_AVAILABLE | 0x60, 0x81])
def test_tasks_are_not_supported(engine, opcode, attributes):
    guest = machine(engine, "pm32", opcode, SPARE)
    guest.descriptor(SPARE // 8, 0, 0xFFFF, attributes)
    outcome = guest.step()
    assert isinstance(outcome, Unsupported)
    assert (outcome.reason, outcome.address) == (UnsupportedReason.TASK_SWITCH, CODE)
    check_fault(machine_with(engine, opcode, attributes & ~0x80), NP, SPARE)


def machine_with(engine, opcode, attributes):
    guest = machine(engine, "pm32", opcode, SPARE)
    guest.descriptor(SPARE // 8, 0, 0xFFFF, attributes)
    return guest


def test_through_the_ldt(engine):
    guest = machine(engine, "pm32", "ea", 4 | 8)
    check_fault(machine(engine, "pm32", "ea", 0x7C), GP, 0x7C)
    guest.state.ldtr = Segment(0x50, GDT, 0x7F, 0x82)
    guest.step()
    assert guest.state.cs.selector == 0xC


# Values popped by RETF, the first on top; from ring 0.
RETURNS = [
    ("null", [TARGET, 0], GP, 0),
    ("beyond the GDT", [TARGET, 0x200], GP, 0x200),
    ("data", [TARGET, DATA0], GP, DATA0),
    ("another level", [TARGET, CODE0 | 3], GP, CODE0),
    ("null stack", [TARGET, CODE3 | 3, 0, 0], GP, 0),
    ("stack of another level", [TARGET, CODE3 | 3, 0, DATA0 | 3], GP, DATA0),
]


@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize(("why", "values", "vector", "error"), RETURNS)
def test_return_faults(engine, mode, why, values, vector, error):
    guest = Kernel(engine, mode, "cb", deliver=False)
    for number, value in enumerate(values):
        guest.poke(STACK + 4 * number, value, 4)
    check_fault(guest, vector, error)


def test_return_outwards_drops_segments(engine):
    guest = Kernel(engine, "pm32", "ca0400", deliver=False)
    for number, value in enumerate([TARGET, CODE3 | 3, 0xAA, 0x6F00, DATA3 | 3]):
        guest.poke(STACK + 4 * number, value, 4)
    guest.step()
    state = guest.state
    assert (state.rip, state.rsp, state.ss.selector) == (TARGET, 0x6F04, DATA3 | 3)
    assert state.ds == Segment(0, 0, 0, UNUSABLE)


def test_no_return_inwards(engine):
    guest = Kernel(engine, "pm32", "cb", deliver=False).user()
    guest.poke(STACK, TARGET, 4)
    guest.poke(STACK + 4, CODE0, 4)
    check_fault(guest, GP, CODE0)


def test_at_devices(engine):
    """The pointer, the descriptor, its accessed bit and the stack."""
    guest = Kernel(engine, "pm32", "ff1b", {"rbx": MMIO, "rsp": MMIO + 0x40}, deliver=False)
    guest.state.gdtr_base = MMIO + 0x80
    accesses, outcome = guest.finish([TARGET, CODE0, 0x00CF_9A00_0000_FFFF])
    assert outcome == Done(TARGET, 0)
    assert accesses == [
        Read(MMIO, 4),
        Read(MMIO + 4, 2),
        Read(MMIO + 0x88, 8),
        Write(MMIO + 0x3C, 4, CODE0),
        Write(MMIO + 0x38, 4, CODE + 2),
        Write(MMIO + 0x8D, 1, 0x9B),
    ]


def test_16_bit_code(engine):
    guest = machine(engine, "pm32", "ea", SPARE)
    guest.descriptor(SPARE // 8, 0, 0xFFFF, CODE16)
    guest.step()
    assert guest.state.mode == 16
