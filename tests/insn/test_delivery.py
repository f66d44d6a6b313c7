# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Exceptions delivered to the guest (SDM vol. 3A, "Interrupt and Exception Handling")."""

import pytest

from insn.kernel import (
    AC,
    CODE,
    CODE0,
    CODE3,
    CODE16_0,
    CONFORMING,
    DATA0,
    DATA3,
    IDT,
    IF,
    INTERRUPT,
    IST_STACK,
    LOWER,
    NARROW_STACK,
    NT,
    RF,
    RING0_STACK,
    SPARE,
    STACK,
    TASK,
    TF,
    TRAP,
    TSS,
    TSS16,
    VM,
    WIDTH,
    Kernel,
    handler,
)
from insn.machine import CODE64, MMIO
from vmmkit.insn import (
    BudgetSpent,
    Done,
    Fault,
    Read,
    Segment,
    TripleFault,
    Unsupported,
    UnsupportedReason,
    Write,
)

UD, DF, TS, NP, SS, GP, PF, MODES = 6, 8, 10, 11, 12, 13, 14, ("real", "pm16", "pm32", "long")
UD2, INT30 = "0f0b", "cd30"
EXT = 1


@pytest.mark.parametrize("mode", [*MODES, "compat"])
def test_a_fault_goes_to_its_handler(engine, mode):
    """The frame ends with flags, CS and RIP; the fault's image of RF is set where there is one."""
    guest = Kernel(engine, mode, UD2, {"rflags": IF | TF | 2})
    cs, size = guest.state.cs.selector, WIDTH[mode]
    guest.state.rflags &= ~TF
    if mode in {"pm16", "pm32"}:
        guest.gate(UD, 6 if mode == "pm16" else INTERRUPT)
    assert guest.step() == Done(handler(UD), 0)
    flags = IF | 2 | (RF if size > 2 else 0)
    assert guest.frame(3) == [CODE, cs, flags]
    assert guest.state.rflags == 2
    assert guest.state.retired == 1


@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize(("kind", "kept"), [(INTERRUPT, 0), (TRAP, IF)])
def test_gates_and_flags(engine, mode, kind, kept):
    """TF, NT and RF go, IF by the kind of the gate, AC and IOPL stay."""
    flags = 2 | IF | NT | AC | 0x3000 | 0xD5
    guest = Kernel(engine, mode, UD2, {"rflags": flags})
    guest.gate(UD, kind)
    guest.step()
    assert guest.state.rflags == 2 | AC | 0x3000 | 0xD5 | kept
    assert guest.frame(3)[2] == flags | RF


ERRORS = [
    ("8ed8", {"rax": 0x200}, GP, 0x200),  # mov ds, ax: beyond the GDT
    ("8ed8", {"rax": 0x78}, GP, 0x78),
    ("f6f1", {"rcx": 0}, 0, None),  # div cl
    ("0f0b", {}, UD, None),
    ("cd30", {"idtr_limit": 0x17F}, GP, 0x30 * 8 + 2),
]


@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize(("code", "registers", "vector", "error"), ERRORS)
def test_error_codes(engine, mode, code, registers, vector, error):
    guest = Kernel(engine, mode, code, registers)
    guest.step()
    assert guest.state.rip == handler(vector)
    expected = [CODE] if error is None else [error, CODE]
    assert guest.frame(len(expected)) == expected


@pytest.mark.parametrize("mode", ["pg32", "pae", "long"])
def test_a_page_fault_sets_cr2_and_pushes_its_code(engine, mode):
    guest = Kernel(engine, mode, "8903", {"rbx": 0x2345, "cr2": 0x77})
    guest.pte(0x2000, 0x2000)
    assert guest.step() == Done(handler(PF), 0)
    assert guest.state.cr2 == 0x2345
    assert guest.frame(2) == [2, CODE]


def test_without_delivery_nothing_of_it_is_seen(engine):
    guest = Kernel(engine, "long", "8903", {"rbx": 0x2345, "cr2": 0x77}, deliver=False)
    guest.pte(0x2000, 0x2000)
    assert guest.step() == Fault(PF, 2, 0x2345)
    assert (guest.state.cr2, guest.state.rip, guest.state.rsp) == (0x77, CODE, STACK)


def test_long_mode_pushes_the_stack_and_aligns_it(engine):
    guest = Kernel(engine, "long", UD2, {"rsp": STACK - 3})
    guest.step()
    assert guest.state.rsp == STACK - 16 - 40
    assert guest.frame(5) == [CODE, 8, RF | 2, STACK - 3, 16]
    assert guest.state.ss == Segment(16, 0, 0xFFFF_FFFF, 0xC093)  # the same level keeps SS


@pytest.mark.parametrize("mode", ["pm32", "long"])
def test_from_ring_3_to_ring_0(engine, mode):
    guest = Kernel(engine, mode, UD2).user()
    old = guest.state.cs.selector, guest.state.ss.selector
    guest.step()
    state = guest.state
    assert guest.frame(5) == [CODE, old[0], RF | 2, STACK, old[1]]
    assert state.rsp == RING0_STACK - 5 * WIDTH[mode]
    assert state.cs.selector == CODE0
    null = Segment(0, 0, 0, 1 << 16)
    assert state.ss == (null if mode == "long" else Segment(DATA0, 0, 0xFFFF_FFFF, 0xC093))


def test_out_of_compatibility_mode(engine):
    guest = Kernel(engine, "compat", UD2).user()
    guest.step()
    assert guest.state.mode == 64
    assert guest.frame(5) == [CODE, SPARE | 3, RF | 2, STACK, DATA3 | 3]


@pytest.mark.parametrize("ring", [0, 3])
def test_an_interrupt_stack(engine, ring):
    guest = Kernel(engine, "long", UD2)
    if ring:
        guest.user()
    guest.gate(UD, ist=1)
    guest.step()
    assert guest.state.rsp == IST_STACK - 40
    assert guest.frame(5)[3] == STACK


def test_through_a_16_bit_gate(engine):
    guest = Kernel(engine, "pm32", UD2, {"rflags": 0x1_0002 | IF})
    guest.gate(UD, 6)
    guest.step()
    assert guest.state.rsp == STACK - 6
    assert guest.frame(3, 2) == [CODE, 8, IF | 2]


def test_a_16_bit_tss(engine):
    guest = Kernel(engine, "pm32", UD2).user()
    guest.state.tr = Segment(0x50, TSS, 0x2B, TSS16)
    guest.poke(TSS + 2, 0x6700 | DATA0 << 16, 4)
    guest.step()
    assert guest.state.rsp == 0x6700 - 20
    assert guest.frame(5) == [CODE, CODE3 | 3, RF | 2, STACK, DATA3 | 3]


def test_a_narrow_stack_keeps_the_upper_half(engine):
    guest = Kernel(engine, "pm32", UD2, {"rsp": 0x1234_7000})
    guest.state.ss = Segment(NARROW_STACK, 0, 0xFFFF, 0x8093)
    guest.step()
    assert guest.state.rsp == 0x1234_6FF4


@pytest.mark.parametrize("mode", ["pm32", "long"])
def test_conforming_code_keeps_the_level(engine, mode):
    guest = Kernel(engine, mode, UD2).user()
    guest.gate(UD, selector=CONFORMING)
    guest.step()
    assert guest.state.cs.selector == CONFORMING | 3
    assert guest.state.rip == handler(UD)
    assert guest.state.ss.selector == DATA3 | 3


def test_the_descriptor_is_marked_as_accessed(engine):
    guest = Kernel(engine, "pm32", UD2)
    guest.descriptor(1, 0, 0xFFFFF, 0xC09A)
    guest.step()
    assert guest.peek(0x5000 + 8 + 5, 1) == 0x9B


# What makes the delivery of #UD fault: changes, and the vector and error code that come of it.
SPOILT = [
    ("pm32", "the table ends before", lambda g: g.set("idtr_limit", UD * 8 + 6), GP, UD * 8 + 3),
    ("long", "the table ends before", lambda g: g.set("idtr_limit", UD * 16 + 14), GP, UD * 8 + 3),
    ("pm32", "no gate", lambda g: g.gate(UD, 0x2), GP, UD * 8 + 3),
    ("pm32", "a call gate", lambda g: g.gate(UD, 0xC), GP, UD * 8 + 3),
    ("long", "a 16-bit gate", lambda g: g.gate(UD, 6), GP, UD * 8 + 3),
    ("long", "a task gate", lambda g: g.gate(UD, TASK), GP, UD * 8 + 3),
    ("pm32", "not present", lambda g: g.gate(UD, p=0), NP, UD * 8 + 3),
    ("pm32", "null code", lambda g: g.gate(UD, selector=3), GP, EXT),
    ("pm32", "code beyond the GDT", lambda g: g.gate(UD, selector=0x203), GP, 0x201),
    ("pm32", "data for code", lambda g: g.gate(UD, selector=DATA0), GP, DATA0 | EXT),
    ("pm32", "code of an outer level", lambda g: g.gate(UD, selector=CODE3), GP, CODE3 | EXT),
    ("long", "code of 32 bits", lambda g: g.gate(UD, selector=CODE16_0), GP, CODE16_0 | EXT),
    ("long", "L and D", lambda g: g.descriptor(1, 0, 0, CODE64 | 1 << 14), GP, CODE0 | EXT),
    ("pm32", "code not present", lambda g: g.descriptor(1, 0, 0, 0xC01B), NP, CODE0 | EXT),
    ("long", "not canonical", lambda g: g.gate(UD, offset=1 << 47), GP, EXT),
    ("pm32", "beyond the code", lambda g: g.descriptor(1, 0, 1, 0x409B), GP, EXT),
]


@pytest.mark.parametrize(("mode", "why", "spoil", "vector", "error"), SPOILT)
def test_faults_during_delivery(engine, mode, why, spoil, vector, error):
    """The fault comes instead: #UD is none that would make it a double fault."""
    guest = Kernel(engine, mode, UD2)
    spoil(guest)
    if "code" in why or why == "L and D":  # the handler of the fault needs a segment of its own
        guest.descriptor(SPARE // 8, 0, 0xFFFFF, CODE64 if mode == "long" else 0xC09B)
        guest.gate(vector, selector=SPARE)
    if why == "the table ends before":
        guest.state.idtr_limit = 0
        assert isinstance(guest.step(), TripleFault)
        return
    assert guest.step() == Done(handler(vector), 0), why
    assert guest.frame(2) == [error, CODE]


# What is wrong with the stack of ring 0, and the fault on the way there from ring 3.
STACKS = [
    ("no TSS", lambda g: g.set("tr", (0x50, TSS, 0x67, 1 << 16)), TS, 0x50 | EXT),
    ("a short TSS", lambda g: g.set("tr", (0x50, TSS, 8, 0x8B)), TS, 0x50 | EXT),
    ("null", lambda g: g.poke(TSS + 8, 0, 2), TS, EXT),
    ("beyond the GDT", lambda g: g.poke(TSS + 8, 0x200, 2), TS, 0x200 | EXT),
    ("of another RPL", lambda g: g.poke(TSS + 8, DATA0 | 1, 2), TS, DATA0 | EXT),
    ("of another DPL", lambda g: g.poke(TSS + 8, DATA3, 2), TS, DATA3 | EXT),
    ("code", lambda g: g.poke(TSS + 8, CODE0, 2), TS, CODE0 | EXT),
    ("not writable", lambda g: g.descriptor(2, 0, 0xFFFFF, 0xC091), TS, DATA0 | EXT),
    ("not present", lambda g: g.descriptor(2, 0, 0xFFFFF, 0xC013), SS, DATA0 | EXT),
    ("too small", lambda g: g.descriptor(2, 0, 0x5FFF, 0x4093), SS, DATA0 | EXT),
]


@pytest.mark.parametrize(("why", "spoil", "vector", "error"), STACKS)
def test_stacks_of_ring_0(engine, why, spoil, vector, error):
    """The handler of the second fault runs in ring 3, on the stack there is."""
    guest = Kernel(engine, "pm32", UD2).user()
    spoil(guest)
    guest.gate(vector, selector=CODE3)
    assert guest.step() == Done(handler(vector), 0), why
    assert guest.frame(2) == [error, CODE]


def test_the_tss_of_long_mode(engine):
    for limit, pointer, ist, vector, error in (
        (10, RING0_STACK, 0, TS, 0x51),
        (0x67, 1 << 48, 0, SS, EXT),
        (0x23, RING0_STACK, 1, TS, 0x51),
    ):
        guest = Kernel(engine, "long", UD2).user()
        guest.state.tr = Segment(0x50, TSS, limit, 0x8B)
        guest.poke(TSS + 4, pointer, 8)
        guest.gate(UD, ist=ist)
        guest.gate(vector, selector=CODE3)
        assert guest.step() == Done(handler(vector), 0)
        assert guest.frame(2) == [error, CODE]


# First fault (by instruction), what is wrong with its gate, and what is delivered at last.
COMBINED = [
    ("contributory, contributory", "8ed8", {GP: 0}, DF),
    ("page fault, contributory", "8903", {PF: 0}, DF),
    ("benign, contributory", "0f0b", {UD: 0}, NP),
    ("benign, contributory, contributory", "0f0b", {UD: 0, NP: 0}, DF),
    ("divide error, contributory", "f6f1", {0: 0}, DF),
]


@pytest.mark.parametrize(("why", "code", "gates", "vector"), COMBINED)
def test_double_faults(engine, why, code, gates, vector):
    registers = {"rax": 0x200, "rcx": 0, "rbx": 0x40_0000_0000}
    guest = Kernel(engine, "long", code, registers)
    for number in gates:
        guest.gate(number, p=0)
    assert guest.step() == Done(handler(vector), 0), why
    error = 0 if vector == DF else UD * 8 + 3
    assert guest.frame(2) == [error, CODE]
    if vector == DF:
        assert guest.frame(4)[3] & RF == 0


def test_a_contributory_fault_and_then_a_page_fault_are_handled_one_after_the_other(engine):
    guest = Kernel(engine, "long", "8ed8", {"rax": 0x200})
    guest.gate(GP, ist=1)
    guest.poke(TSS + 36, 0x2100, 8)
    guest.pte(0x2000, 0x2000)
    guest.step()
    assert (guest.state.rip, guest.state.cr2) == (handler(PF), 0x20F8)
    assert guest.frame(2) == [2, CODE]


def test_a_page_fault_in_a_page_fault_is_a_double_fault_and_moves_cr2(engine):
    guest = Kernel(engine, "long", "8903", {"rbx": 0x40_0000_0000, "rsp": 0x2100})
    guest.pte(0x2000, 0x2000)
    guest.gate(DF, ist=1)
    guest.step()
    assert (guest.state.rip, guest.state.cr2) == (handler(DF), 0x20F8)
    assert guest.frame(5) == [0, CODE, 8, 2, 0x2100]


@pytest.mark.parametrize("mode", MODES)
def test_triple_fault(engine, mode):
    guest = Kernel(engine, mode, UD2, {"idtr_limit": 0})
    before = guest.registers()
    assert guest.step() == TripleFault(CODE)
    assert guest.cpu.run(100) == TripleFault(CODE)  # nothing but a reset ends it
    assert guest.registers() == before
    guest.state.reset()
    assert not guest.cpu.event_pending


def test_a_run_goes_on_through_faults(engine):
    guest = Kernel(engine, "pm32", "0f0b9090")
    guest.poke(handler(UD), bytes.fromhex("83042402cf"))  # add dword [esp], 2; iret
    assert guest.cpu.run(4) == BudgetSpent(CODE + 3)
    assert (guest.state.retired, guest.state.rsp) == (4, STACK)


def test_a_guest_that_faults_for_ever_spends_its_budget(engine):
    guest = Kernel(engine, "long", UD2)
    guest.gate(UD, ist=1)
    guest.poke(handler(UD), bytes.fromhex(UD2))
    assert guest.cpu.run(1000) == BudgetSpent(handler(UD))
    guest = Kernel(engine, "long", UD2).user()  # #AC on the way to the handler of #AC
    guest.state.cr0 |= 1 << 18
    guest.state.rflags |= AC
    guest.state.rsp = STACK
    for vector in (UD, 17):
        guest.gate(vector, selector=CODE3)
    assert guest.cpu.run(1000) == BudgetSpent(guest.state.rip)


def test_task_gates_are_not_supported(engine):
    guest = Kernel(engine, "pm32", UD2)
    guest.gate(UD, TASK, selector=0x50)
    for _ in range(2):
        assert guest.step() == Unsupported(b"", UnsupportedReason.TASK_SWITCH, CODE)
    assert guest.cpu.event_pending


def test_a_string_instruction_that_faults_half_way(engine):
    """What was done before the fault stays; RIP is at the instruction."""
    guest = Kernel(engine, "long", "f3aa", {"rcx": 8, "rdi": 0x2FFC, "rax": 7})
    guest.pte(0x3000, 0x3000 | 1)
    guest.state.cr0 |= 1 << 16
    guest.step()
    assert (guest.state.rcx, guest.state.rdi, guest.state.cr2) == (4, 0x3000, 0x3000)
    assert guest.frame(2) == [3, CODE]


def test_everything_at_devices(engine):
    """Gate, task state and stack come out as accesses, and nothing is asked twice."""
    guest = Kernel(engine, "long", UD2).user()
    gate = guest.peek(IDT + 16 * UD, 16)
    guest.state.idtr_base = MMIO - 16 * UD
    guest.state.tr = Segment(0x50, MMIO + 0x100, 0x67, 0x8B)
    accesses, outcome = guest.finish([gate & (1 << 64) - 1, gate >> 64, 0xA040])
    assert outcome == Done(handler(UD), 0)
    assert accesses == [
        Read(MMIO, 8),
        Read(MMIO + 8, 8),
        Read(MMIO + 0x104, 8),
        Write(0xA038, 8, DATA3 | 3),
        Write(0xA030, 8, STACK),
        Write(0xA028, 8, RF | 2),
        Write(0xA020, 8, CODE3 | 3),
        Write(0xA018, 8, CODE),
    ]
    assert guest.state.rsp == 0xA018


def test_registers_move_only_at_the_end(engine):
    guest = Kernel(engine, "pm32", UD2, {"rsp": MMIO + 0x10})
    before = guest.registers()
    outcome = guest.step()
    for place in (0xC, 8, 4):
        assert (outcome.gpa, outcome.size) == (MMIO + place, 4)
        assert guest.registers() == before
        outcome = guest.step()
    assert outcome == Done(handler(UD), 0)


def test_the_other_engine_goes_on(two_engines):
    """What is in flight is in the record."""
    guest = Kernel(two_engines[0], "pm32", UD2, {"rsp": MMIO + 0x10})
    other = guest.cpu_on(two_engines[1], deliver=True)
    outcomes = [guest.step(), other.step(), guest.step(), other.step()]
    assert [type(outcome) for outcome in outcomes] == [Write, Write, Write, Done]


def test_an_abandoned_delivery_starts_anew(engine):
    guest = Kernel(engine, "pm32", UD2, {"rsp": MMIO + 0x10})
    first = guest.step()
    guest.step()
    guest.cpu.abandon()
    assert guest.cpu.event_pending
    assert guest.step() == first


def virtual_8086(engine, code, flags=0, **registers):
    guest = Kernel(engine, "pm32", code, registers)
    state = guest.state
    for number, name in enumerate(("es", "cs", "ss", "ds", "fs", "gs")):
        selector = 0 if name in {"cs", "ss"} else number
        setattr(state, name, Segment(selector, selector << 4, 0xFFFF, 0xF3))
    state.rflags = VM | 2 | flags
    return guest


@pytest.mark.parametrize("flags", [0, IF])
def test_out_of_virtual_8086_mode(engine, flags):
    guest = virtual_8086(engine, UD2, flags)
    guest.step()
    state = guest.state
    assert state.rsp == RING0_STACK - 36
    assert guest.frame(9) == [CODE, 0, VM | RF | 2 | flags, STACK, 0, 0, 3, 4, 5]
    assert state.rflags == 2
    assert state.cs.selector == CODE0
    for name in ("es", "ds", "fs", "gs"):
        assert getattr(state, name) == Segment(0, 0, 0, 1 << 16)


@pytest.mark.parametrize("selector", [CONFORMING, LOWER, CODE3])
def test_virtual_8086_mode_goes_to_ring_0_only(engine, selector):
    guest = virtual_8086(engine, UD2)
    guest.gate(UD, selector=selector)
    guest.step()
    assert guest.state.rip == handler(GP)
    assert guest.frame(1) == [selector | EXT]
