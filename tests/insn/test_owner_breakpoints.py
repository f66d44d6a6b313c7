# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints of the owner: what hits them, when they come out, and what the guest sees of it."""

import copy
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.guests import guest
from insn.kernel import CODE, IF, RF, STACK, TF, Kernel, handler
from insn.machine import DATA, MMIO, Machine
from insn.test_engines_agree import ASKS, GOES_ON, answer_to, twin
from vmmkit.errors import StateError
from vmmkit.insn import (
    BREAKPOINT_SLOTS,
    BreakKind,
    Breakpoint,
    BudgetSpent,
    Cpuid,
    CpuState,
    DebugExit,
    Done,
    ExitKind,
    Fault,
    Halt,
    InterruptWindow,
    PortIn,
    PortOut,
    Read,
    Segment,
    Write,
)

EXECUTE, WRITE, READ, PORT, ACCESS = (
    *(BreakKind.EXECUTE, BreakKind.WRITE, BreakKind.READ, BreakKind.PORT, BreakKind.ACCESS),
)
MODES = ("real", "pm16", "pm32", "compat", "long")
DELIVERS = pytest.mark.parametrize("deliver", [False, True])
NMI, BP = 2, 3
OF_THE_GUEST = 0x401  # DR7: breakpoint 0, of execution


def at(first, last=None, kind=EXECUTE):
    return Breakpoint(kind, first, first if last is None else last)


def debugged(engine, mode, code, *breakpoints, registers=None, deliver=True, int3=False):
    made = Kernel(engine, mode, code, registers, deliver=deliver)
    made.cpu.set_breakpoints(breakpoints, int3=int3)
    return made


# -- EXECUTE ---------------------------------------------------------------------------------------


@DELIVERS
@pytest.mark.parametrize("mode", MODES)
def test_execute_comes_before_the_instruction(engine, mode, deliver):
    made = debugged(engine, mode, "9090" + "f4", at(CODE + 1), deliver=deliver)
    hit = DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)
    assert made.cpu.run(10) == hit
    assert made.state.retired == 1
    assert not made.cpu.awaits_answer
    assert made.cpu.run(10) == hit  # until it is skipped
    assert made.cpu.step() == hit
    assert made.state.retired == 1
    made.cpu.skip_breakpoint()
    assert made.cpu.run(10) == Halt(CODE + 3)


def test_the_first_byte_counts_and_none_after_it(engine):
    made = debugged(engine, "pm32", "b800000000" + "f4", at(CODE + 1, CODE + 4))
    assert made.cpu.run(10) == Halt(CODE + 6)


def test_a_range_may_have_any_length(engine):
    made = debugged(engine, "long", "909090", at(CODE + 1, (1 << 64) - 1), at(0, CODE - 1))
    assert made.cpu.run(10) == DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)


@pytest.mark.parametrize(("base", "linear"), [(0x1000, 0x2000), (0xFFFF_F000, 0)])
def test_the_base_of_cs_counts_and_the_sum_is_cut(engine, base, linear):
    made = debugged(engine, "pm32", "90", at(linear))
    made.state.cs = made.state.cs._replace(base=base)
    assert made.cpu.run(10) == DebugExit(CODE, EXECUTE, 0, linear)


def test_the_base_of_cs_is_none_in_64_bit_mode(engine):
    made = debugged(engine, "long", "90", at(CODE))
    made.state.cs = made.state.cs._replace(base=0x1000)
    assert made.cpu.run(10) == DebugExit(CODE, EXECUTE, 0, CODE)


def test_the_lowest_slot_is_told(engine):
    slots = at(CODE + 9), at(CODE), at(CODE)
    made = debugged(engine, "pm32", "90", *slots)
    assert made.cpu.run(10) == DebugExit(CODE, EXECUTE, 1, CODE)


def test_all_slots_count(engine):
    slots = [at(CODE + 100 + number) for number in range(BREAKPOINT_SLOTS - 1)]
    made = debugged(engine, "pm32", "9090", *slots, at(CODE + 1))
    assert made.cpu.run(10) == DebugExit(CODE + 1, EXECUTE, BREAKPOINT_SLOTS - 1, CODE + 1)


def test_rf_and_tf_have_no_part_in_it(engine):
    made = debugged(engine, "pm32", "9090", at(CODE), registers={"rflags": 2 | RF | TF})
    assert made.cpu.run(10) == DebugExit(CODE, EXECUTE, 0, CODE)
    assert made.state.rflags == 2 | RF | TF
    made.cpu.skip_breakpoint()
    assert [made.step().rip for _ in range(2)] == [CODE + 1, handler(1)]


def test_it_is_not_lost_behind_a_load_of_ss(engine):
    made = debugged(engine, "pm32", "8ed090", at(CODE + 2), registers={"rax": 0x10})
    assert made.cpu.run(10) == DebugExit(CODE + 2, EXECUTE, 0, CODE + 2)
    assert made.state.interrupt_shadow == 2
    made.cpu.skip_breakpoint()
    assert made.step() == Done(CODE + 3, 0)


def test_the_budget_ends_before_it(engine):
    made = debugged(engine, "pm32", "9090", at(CODE + 1))
    assert made.cpu.run(1) == BudgetSpent(CODE + 1)
    assert made.cpu.run(1) == DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)


def test_every_element_of_a_repeated_instruction_hits(engine):
    registers = {"rcx": 3, "rdi": DATA}
    made = debugged(engine, "pm32", "f3aa90", at(CODE), registers=registers)
    counts = []
    for _ in range(4):
        outcome = made.cpu.run(100)
        counts.append((made.state.rcx, made.state.retired))
        made.cpu.skip_breakpoint()
        if outcome != DebugExit(CODE, EXECUTE, 0, CODE):
            break
    assert counts[:3] == [(3, 0), (2, 1), (1, 2)]
    assert counts[3][0] == 0


def test_elsewhere_a_repeated_instruction_goes_on_in_batches(engine):
    registers = {"rcx": 100, "rdi": DATA}
    made = debugged(engine, "pm32", "f3aa90", at(CODE + 2), registers=registers)
    assert made.step() == Done(CODE + 2, 0)
    assert made.state.rcx == 0


def test_it_comes_before_the_guests_own(engine):
    registers = {"dr0": CODE, "dr7": OF_THE_GUEST}
    made = debugged(engine, "pm32", "90", at(CODE), registers=registers)
    dr6 = made.state.dr6
    assert made.cpu.run(1) == DebugExit(CODE, EXECUTE, 0, CODE)
    assert made.state.dr6 == dr6
    made.cpu.skip_breakpoint()
    assert made.step() == Done(handler(1), 0)
    assert made.state.dr6 & 15 == 1


@pytest.mark.parametrize("waiting", ["interrupt", "nmi", "event"])
def test_what_is_pending_is_delivered_first(engine, waiting):
    made = debugged(engine, "pm32", "90f4", at(CODE), registers={"rflags": 2 | IF})
    vector = {"interrupt": 0x30, "nmi": NMI, "event": 0x31}[waiting]
    made.poke(handler(vector), b"\xcf")
    if waiting == "interrupt":
        made.cpu.request_interrupt(vector)
    elif waiting == "nmi":
        made.cpu.nmi()
    else:
        made.cpu.inject(vector)
    assert made.step() == Done(handler(vector), 0)
    assert made.cpu.run(100) == DebugExit(CODE, EXECUTE, 0, CODE)
    assert made.state.retired == 2  # the delivery and IRET


def test_the_window_comes_first(engine):
    made = debugged(engine, "pm32", "90", at(CODE), registers={"rflags": 2 | IF})
    made.cpu.request_interrupt_window()
    assert made.cpu.run(9) == InterruptWindow(CODE)
    assert made.cpu.run(9) == DebugExit(CODE, EXECUTE, 0, CODE)


def test_the_pending_trap_of_the_guest_comes_first(engine):
    made = debugged(engine, "pm32", "9090", at(CODE + 1), registers={"rflags": 2 | TF})
    made.poke(handler(1), b"\xcf")
    assert [made.step().rip for _ in range(3)] == [CODE + 1, handler(1), CODE + 1]
    assert made.step() == DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)


def test_a_handler_can_have_one(engine):
    made = debugged(engine, "pm32", "0f0b", at(handler(6)))
    assert made.cpu.run(9) == DebugExit(handler(6), EXECUTE, 0, handler(6))
    assert made.state.retired == 1


@DELIVERS
def test_an_instruction_in_flight_does_not_hit_again(engine, deliver):
    made = debugged(engine, "pm32", "8b0390", registers={"rbx": MMIO}, deliver=deliver)
    assert made.cpu.run(9) == Read(MMIO, 4)
    made.cpu.set_breakpoints([at(CODE)])
    assert made.cpu.run(1, 5) == BudgetSpent(CODE + 2)
    assert made.state.rax == 5
    made.state.rip = CODE
    assert made.cpu.run(9) == DebugExit(CODE, EXECUTE, 0, CODE)
    made.cpu.skip_breakpoint()
    assert made.cpu.run(9) == Read(MMIO, 4)
    assert made.cpu.run(1, 6) == BudgetSpent(CODE + 2)
    assert made.state.rax == 6


def test_what_was_latched_stays(engine):
    made = debugged(engine, "pm32", "f4", at(CODE))
    made.cpu.latch(b"\x90")
    assert made.cpu.run(9) == DebugExit(CODE, EXECUTE, 0, CODE)
    made.cpu.skip_breakpoint()
    assert made.cpu.run(1) == BudgetSpent(CODE + 1)


def test_code_that_is_not_there_hits_before_its_fault(engine):
    made = debugged(engine, "long", "90", at(0x8000_0000))
    made.state.rip = 0x8000_0000
    assert made.cpu.run(9) == DebugExit(0x8000_0000, EXECUTE, 0, 0x8000_0000)


# -- INT3 ------------------------------------------------------------------------------------------


@DELIVERS
@pytest.mark.parametrize("mode", MODES)
def test_int3_comes_out(engine, mode, deliver):
    made = debugged(engine, mode, "90cc", deliver=deliver, int3=True)
    before = bytes(made.low)
    hit = DebugExit(CODE + 1, 0, 0, CODE + 1)
    assert [made.cpu.run(9), made.cpu.run(9), made.step()] == [hit] * 3
    assert made.state.retired == 1
    assert bytes(made.low) == before
    assert not made.cpu.awaits_answer


def test_int3_is_the_guests_where_it_is_skipped_or_not_wanted(engine):
    for int3 in (False, True):
        made = debugged(engine, "pm32", "cc", int3=int3)
        made.cpu.skip_breakpoint()
        assert made.step() == Done(handler(BP), 0)
        assert made.frame(1) == [CODE + 1]


@pytest.mark.parametrize("code", ["cd03", "f1", "ce"])
def test_other_software_interrupts_are_the_guests(engine, code):
    made = debugged(engine, "pm32", code, int3=True, registers={"rflags": 0x802})
    assert isinstance(made.step(), Done)


def test_int3_has_the_address_of_its_prefix(engine):
    made = debugged(engine, "pm32", "66cc", int3=True)
    assert made.cpu.run(9) == DebugExit(CODE, 0, 0, CODE)


def test_a_locked_int3_is_undefined(engine):
    made = debugged(engine, "pm32", "f0cc", int3=True, deliver=False)
    assert made.step() == Fault(6, 0, 0)


def test_the_address_of_int3_is_linear(engine):
    made = debugged(engine, "pm32", "90", int3=True)
    made.poke(0x2000, b"\xcc")
    made.state.cs = Segment(8, 0x1000, 0xFFFF_FFFF, made.state.cs.attributes)
    assert made.cpu.run(9) == DebugExit(CODE, 0, 0, 0x2000)


def test_the_original_bytes_are_latched(engine):
    """How a debugger goes over an INT3 that it has put into memory."""
    made = debugged(engine, "pm32", "ccc00000" + "00" + "f4", int3=True)
    assert made.cpu.run(9) == DebugExit(CODE, 0, 0, CODE)
    made.cpu.latch(bytes.fromhex("b878563412"))
    assert made.cpu.run(9) == Halt(CODE + 6)
    assert made.state.rax == 0x12345678


def test_a_slot_at_int3_comes_first(engine):
    made = debugged(engine, "pm32", "cc", at(CODE), int3=True)
    assert made.cpu.run(9) == DebugExit(CODE, EXECUTE, 0, CODE)


def test_int3_in_a_hot_loop(engine):
    """After many instructions without one."""
    made = debugged(engine, "pm32", "e2fe" + "cc", int3=True, registers={"rcx": 1000})
    assert made.cpu.run(5000) == DebugExit(CODE + 2, 0, 0, CODE + 2)
    assert made.state.retired == 1000


# -- data ------------------------------------------------------------------------------------------

# (code at CPL 0 with RBX at DATA, size of the access, its kinds)
TOUCHES = [
    ("8903", 4, WRITE),
    ("8b03", 4, READ),
    ("0103", 4, ACCESS),
    ("8703", 4, ACCESS),
    ("f00fb10b", 4, ACCESS),
    ("0fab03", 4, ACCESS),
    ("3903", 4, READ),
    ("ff33", 4, READ),
    ("0f1103", 16, WRITE),
    ("0f1003", 16, READ),
    ("dd13", 8, WRITE),
]
SLOTS = [(0, 0), (3, 3), (2, 90), (-50, 0), (-1, -1), (16, 99)]


@DELIVERS
@pytest.mark.parametrize(("code", "size", "kinds"), TOUCHES)
@pytest.mark.parametrize("place", SLOTS)
@pytest.mark.parametrize("kind", [WRITE, READ, ACCESS, EXECUTE | WRITE, PORT])
def test_data(engine, deliver, code, size, kinds, place, kind):
    first, last = DATA + place[0], DATA + place[1]
    made = Kernel(engine, "pm32", code + "90", {"rbx": DATA}, deliver=deliver)
    made.state.cr4 |= 1 << 9
    made.state.x87_control, made.state.x87_tag = 0x37F, 0
    made.cpu.set_breakpoints([at(first, last, kind)])
    cause = kind & kinds if first < DATA + size and last >= DATA else 0
    end = CODE + len(code) // 2
    expected = DebugExit(end, cause, 0, max(first, DATA)) if cause else BudgetSpent(end)
    assert made.cpu.run(1) == expected
    assert (made.state.rip, made.state.retired) == (end, 1)
    assert made.cpu.run(1) == BudgetSpent(end + 1)


def test_the_lowest_slot_of_all_accesses(engine):
    """MOVS reads at RSI first, yet slot 0 is for what it writes."""
    registers = {"rsi": DATA, "rdi": DATA + 0x100}
    slots = at(DATA + 0x103, kind=WRITE), at(DATA, kind=READ)
    made = debugged(engine, "pm32", "a590", *slots, registers=registers)
    assert made.cpu.run(9) == DebugExit(CODE + 1, WRITE, 0, DATA + 0x103)


def test_the_stack_counts(engine):
    made = debugged(engine, "pm32", "5090", at(STACK - 4, STACK - 1, WRITE))
    assert made.cpu.run(9) == DebugExit(CODE + 1, WRITE, 0, STACK - 4)


def test_the_stack_of_a_delivery_does_not(engine):
    made = debugged(engine, "pm32", "0f0b", at(0, (1 << 64) - 1, ACCESS))
    assert made.step() == Done(handler(6), 0)


def test_a_faulting_instruction_hits_nothing(engine):
    made = debugged(engine, "pm32", "a5", at(DATA, kind=READ), registers={"rsi": DATA})
    made.state.es = made.state.es._replace(limit=0)
    made.state.rdi = DATA
    assert made.step() == Done(handler(13), 0)


def test_masked_lanes_are_not_touched(engine):
    """VMASKMOVPS stores its first lane alone."""
    made = Kernel(engine, "long", "c4e2712e1390", {"rbx": DATA}, deliver=False)
    made.state.cr4 |= 3 << 9 | 1 << 18
    made.state.xcr0 = 7
    made.state.xmm[1] = 1 << 31
    made.cpu.set_breakpoints([at(DATA + 4, DATA + 15, WRITE)])
    made.cpu.run(1)
    assert made.state.rip == CODE + 5
    made.state.rip = CODE
    made.cpu.set_breakpoints([at(DATA + 3, DATA + 15, WRITE)])
    assert made.cpu.run(1) == DebugExit(CODE + 5, WRITE, 0, DATA + 3)


@pytest.mark.parametrize(("place", "hits"), [(4, True), (0x6000_0000 - DATA, False)])
def test_a_gather_that_faults_tells_of_the_lanes_it_has_loaded(engine, place, hits):
    """They are not loaded again; that which faults hits nothing."""
    sign, far = 1 << 31, (0x6000_0000 - DATA) // 4  # not mapped
    lanes = {"zmm1": far << 32 | 1, "zmm2": sign << 32 | sign, "rbx": DATA}
    machine = Machine(engine, "long", "c4e26990048b", lanes)  # vpgatherdd
    machine.poke(DATA + 4, 7, 4)
    machine.cpu.set_breakpoints([at(DATA + place, kind=READ)])
    if hits:
        assert machine.step() == DebugExit(CODE, READ, 0, DATA + 4)
        assert machine.state.xmm[2] == sign << 32
    assert machine.step() == Fault(14, 0, 0x6000_0000)
    assert machine.state.xmm[0] & 0xFFFF_FFFF == 7


@DELIVERS
def test_each_element_is_complete(engine, deliver):
    registers = {"rcx": 3, "rdi": DATA, "rax": 0x55}
    made = debugged(
        engine, "pm32", "f3aa90", at(DATA + 1, kind=WRITE), registers=registers, deliver=deliver
    )
    assert made.cpu.run(9) == DebugExit(CODE, WRITE, 0, DATA + 1)
    assert (made.state.rcx, made.state.rdi, made.state.retired) == (1, DATA + 2, 2)
    assert made.peek(DATA, 4) == 0x5555
    assert made.cpu.run(1) == BudgetSpent(CODE + 2)


def test_the_last_element_is_the_whole(engine):
    registers = {"rcx": 1, "rdi": DATA}
    made = debugged(engine, "pm32", "f3aa90", at(DATA, kind=WRITE), registers=registers)
    assert made.cpu.run(9) == DebugExit(CODE + 2, WRITE, 0, DATA)


@DELIVERS
def test_devices_are_watched_too(engine, deliver):
    made = debugged(
        engine, "pm32", "0103", at(MMIO, kind=READ), registers={"rbx": MMIO}, deliver=deliver
    )
    assert made.cpu.run(9) == Read(MMIO, 4)
    assert made.cpu.run(9, 1) == Write(MMIO, 4, 1)
    assert made.cpu.run(9) == DebugExit(CODE + 2, READ, 0, MMIO)
    assert made.state.retired == 1


def test_the_guests_trap_comes_after_it(engine):
    registers = {"rbx": DATA, "dr0": DATA, "dr7": 0x401 | 13 << 16}
    made = debugged(engine, "pm32", "890390", at(DATA, kind=WRITE), registers=registers)
    dr6 = made.state.dr6
    assert made.cpu.run(9) == DebugExit(CODE + 2, WRITE, 0, DATA)
    assert made.state.dr6 == dr6
    assert made.step() == Done(handler(1), 0)
    assert made.state.dr6 & 15 == 1


def test_single_step_of_the_guest_comes_after_it(engine):
    registers = {"rbx": DATA, "rflags": 2 | TF}
    made = debugged(engine, "pm32", "890390", at(DATA, kind=WRITE), registers=registers)
    assert made.cpu.run(9) == DebugExit(CODE + 2, WRITE, 0, DATA)
    assert made.step() == Done(handler(1), 0)


def test_skip_is_for_data_too(engine):
    made = debugged(engine, "pm32", "89038903", at(DATA, kind=WRITE), registers={"rbx": DATA})
    made.cpu.skip_breakpoint()
    assert made.cpu.run(9) == DebugExit(CODE + 4, WRITE, 0, DATA)


# -- ports -----------------------------------------------------------------------------------------


@DELIVERS
@pytest.mark.parametrize(("first", "last", "hit"), [(0x80, 0x80, 0x80), (0x82, 0x90, 0x82)])
def test_ports(engine, deliver, first, last, hit):
    """CR4.DE has no part in it."""
    made = debugged(engine, "pm32", "e580e780", at(first, last, PORT), deliver=deliver)
    assert made.cpu.run(9) == PortIn(0x80, 4)
    assert made.cpu.run(9, 7) == DebugExit(CODE + 2, PORT, 0, hit)
    assert made.state.rax == 7
    assert made.cpu.run(9) == PortOut(0x80, 4, 7)
    assert made.cpu.run(9) == DebugExit(CODE + 4, PORT, 0, hit)


@pytest.mark.parametrize(("first", "last"), [(0x7F, 0x7F), (0x84, 0xFFFF)])
def test_other_ports(engine, first, last):
    made = debugged(engine, "pm32", "e78090", at(first, last, PORT))
    assert made.cpu.run(9) == PortOut(0x80, 4, 0)
    assert made.cpu.run(1) == BudgetSpent(CODE + 2)


def test_repeated_port_instructions(engine):
    registers = {"rcx": 2, "rsi": DATA, "rdx": 0x80}
    made = debugged(engine, "pm32", "f36e90", at(0x80, kind=PORT), registers=registers)
    outcomes = [made.cpu.run(9) for _ in range(4)]
    assert outcomes[1::2] == [DebugExit(rip, PORT, 0, 0x80) for rip in (CODE, CODE + 2)]
    assert {type(outcome) for outcome in outcomes[::2]} == {PortOut}


def test_no_elements_hit_no_port(engine):
    registers = {"rcx": 0, "rsi": DATA, "rdx": 0x80}
    made = debugged(engine, "pm32", "f36e90", at(0x80, kind=PORT), registers=registers)
    assert made.cpu.run(1) == BudgetSpent(CODE + 2)


# -- skipping --------------------------------------------------------------------------------------


def test_skip_ends_with_one_instruction(engine):
    made = debugged(engine, "pm32", "9090", at(CODE, CODE + 9))
    made.cpu.skip_breakpoint()
    assert made.cpu.run(9) == DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)
    assert made.cpu.run(9) == DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)


def test_skip_without_slots_ends_as_well(engine):
    made = debugged(engine, "pm32", "90cc", int3=True)
    made.cpu.skip_breakpoint()
    assert made.cpu.run(9) == DebugExit(CODE + 1, 0, 0, CODE + 1)


def test_skip_ends_with_a_delivery(engine):
    """So a handler's own breakpoint counts, whether the instruction faults or is interrupted."""
    made = debugged(engine, "pm32", "0f0b", at(CODE), at(handler(6)))
    assert made.cpu.run(9).slot == 0
    made.cpu.skip_breakpoint()
    assert made.cpu.run(9) == DebugExit(handler(6), EXECUTE, 1, handler(6))


def test_skip_lasts_while_the_instruction_is_in_flight(engine):
    made = debugged(engine, "pm32", "0103", at(CODE), registers={"rbx": MMIO})
    made.cpu.skip_breakpoint()
    assert made.cpu.run(9) == Read(MMIO, 4)
    assert made.cpu.run(9, 1) == Write(MMIO, 4, 1)
    assert made.cpu.run(1) == BudgetSpent(CODE + 2)


# -- holding ---------------------------------------------------------------------------------------


def interrupted(engine, code, *waiting):
    made = Kernel(engine, "pm32", code, {"rflags": 2 | IF})
    if "nmi" in waiting:
        made.cpu.nmi()
    if "interrupt" in waiting:
        made.cpu.request_interrupt(0x30)
    if "window" in waiting:
        made.cpu.request_interrupt_window()
    made.cpu.hold_interrupts(True)
    return made


def test_held_interrupts_wait(engine):
    made = interrupted(engine, "90" * 50, "nmi", "interrupt", "window")
    assert made.cpu.interrupts_held
    assert not made.cpu.interrupt_window
    assert made.cpu.run(20) == BudgetSpent(CODE + 20)
    made.cpu.hold_interrupts(False)
    assert not made.cpu.interrupts_held
    assert made.step() == Done(handler(NMI), 0)
    made.state.rflags |= IF
    assert made.step() == Done(handler(0x30), 0)
    made.state.rflags |= IF
    assert made.cpu.run(1) == InterruptWindow(handler(0x30))


def test_exceptions_and_injected_events_are_not_held(engine):
    made = interrupted(engine, "0f0b", "nmi")
    assert made.step() == Done(handler(6), 0)
    made.cpu.inject(0x31)
    assert made.step() == Done(handler(0x31), 0)


def test_traps_of_the_guest_are_not_held(engine):
    made = interrupted(engine, "9090", "interrupt")
    made.state.rflags |= TF
    assert [made.step().rip for _ in range(2)] == [CODE + 1, handler(1)]


@pytest.mark.parametrize("waiting", ["nmi", "interrupt"])
def test_a_halted_processor_sleeps_on(engine, waiting):
    made = interrupted(engine, "f490", waiting)
    assert made.cpu.run(9) == Halt(CODE + 1)
    made.cpu.hold_interrupts(False)
    assert made.step() == Done(handler(NMI if waiting == "nmi" else 0x30), 0)
    awake = interrupted(engine, "f490", waiting)
    awake.cpu.hold_interrupts(False)
    assert awake.cpu.run(2).rip == handler(NMI if waiting == "nmi" else 0x30) + 1


# -- the methods -----------------------------------------------------------------------------------


def test_the_set_is_replaced(engine):
    made = debugged(engine, "pm32", "90cc", at(CODE), at(DATA, kind=READ), int3=True)
    assert made.cpu.breakpoints == (at(CODE), Breakpoint(READ, DATA, DATA))
    made.cpu.set_breakpoints(iter([at(CODE + 1)]))
    assert made.cpu.breakpoints == (at(CODE + 1),)
    assert made.cpu.run(9) == DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)
    made.cpu.set_breakpoints()
    assert made.cpu.breakpoints == ()
    assert made.cpu.run(1) == BudgetSpent(handler(BP))


def test_setting_keeps_what_is_held_and_skipped(engine):
    made = Kernel(engine, "pm32", "9090")
    made.cpu.hold_interrupts(True)
    made.cpu.skip_breakpoint()
    made.cpu.set_breakpoints([at(CODE, CODE + 1)], int3=True)
    assert made.cpu.run(9) == DebugExit(CODE + 1, EXECUTE, 0, CODE + 1)
    assert made.cpu.interrupts_held


WRONG = [
    Breakpoint(0, 0, 0),
    Breakpoint(16, 0, 0),
    Breakpoint(-1, 0, 0),
    Breakpoint("EXECUTE", 0, 0),
    Breakpoint(EXECUTE, 1, 0),
    Breakpoint(EXECUTE, -1, 0),
    Breakpoint(EXECUTE, 0, 1 << 64),
    Breakpoint(EXECUTE, 0, None),
]


@pytest.mark.parametrize("wrong", [*([item] for item in WRONG), [at(0)] * 17], ids=str)
def test_what_is_no_breakpoint_changes_nothing(engine, wrong):
    made = debugged(engine, "pm32", "90", at(CODE), int3=True)
    before = bytes(made.state.record)
    with pytest.raises(StateError):
        made.cpu.set_breakpoints([at(CODE + 1), *wrong])
    assert bytes(made.state.record) == before


def test_reset_and_init_of_the_guest_keep_them(engine):
    made = debugged(engine, "pm32", "90", at(0xFFFF_FFF0), int3=True)
    made.cpu.hold_interrupts(True)
    for reset in (made.state.reset, made.state.init):
        reset()
        assert made.cpu.breakpoints == (at(0xFFFF_FFF0),)
        assert made.cpu.interrupts_held
        assert made.cpu.run(9) == DebugExit(0xFFF0, EXECUTE, 0, 0xFFFF_FFF0)


def test_copies_carry_them(engine):
    made = debugged(engine, "pm32", "90", at(CODE), int3=True)
    for twin_state in (
        made.state.copy(),
        copy.deepcopy(made.state),
        pickle.loads(pickle.dumps(made.state)),
    ):
        assert twin_state.record == made.state.record


def test_states_are_equal_whoever_debugs(engine):
    made = debugged(engine, "pm32", "90", at(CODE), int3=True)
    other = Kernel(engine, "pm32", "90")
    assert made.state == other.state


def test_a_record_without_the_breakpoints(engine):
    made = debugged(engine, "pm32", "90", at(CODE))
    state = CpuState()
    state.rax = 5
    made.state.take_record(state.record)
    assert made.state.rax == 5
    assert made.cpu.breakpoints == (at(CODE),)
    with pytest.raises(StateError):
        made.state.take_record(bytes(8))


def test_the_exit_has_a_kind(engine):
    made = debugged(engine, "pm32", "90", at(CODE))
    assert made.cpu.enter(9, 0) == ExitKind.DEBUG
    assert made.cpu.outcome(ExitKind.DEBUG) == DebugExit(CODE, EXECUTE, 0, CODE)


def test_long_runs_tell_of_it(engine):
    """The budget is more than one slice of the engine."""
    made = debugged(engine, "pm32", "90cc", int3=True)
    assert made.cpu.run(1 << 40) == DebugExit(CODE + 1, 0, 0, CODE + 1)


# -- both engines ----------------------------------------------------------------------------------

PIECES = (
    *("90", "8903", "8b03", "0103", "50", "58", "f3aa", "f3a4", "a5", "cc", "cd30", "e580", "e780"),
    *("0f0b", "9c", "9d", "fb", "8ed8", "8ed1", "ebfe", "e2fe", "f4", "f36e", "6c", "0f1103"),
    *("c3", "cf", "0fb14304", "8703", "e8fdffffff", "ff33", "8f03", "c8040001", "f1"),
)
NEAR = (CODE, CODE + 1, CODE + 2, CODE + 5, DATA, DATA + 1, DATA + 3, STACK - 8, MMIO, 0x80, 0)
ADDRESSES = st.one_of(st.sampled_from(NEAR), st.integers(0, (1 << 64) - 1))


@st.composite
def slots(draw):
    first, last = sorted((draw(ADDRESSES), draw(ADDRESSES)))
    return Breakpoint(draw(st.integers(1, 15)), first, draw(st.sampled_from((first, last))))


@st.composite
def calls(draw):
    """What the owner does between runs, and how long the run is."""
    return (
        draw(st.sampled_from(("", "", "skip", "hold", "free", "nmi", "interrupt", "window"))),
        draw(st.sampled_from((0, 0, 1, 2, 5, 100))),
    )


def do(cpu, what):
    if what == "skip":
        cpu.skip_breakpoint()
    elif what in {"hold", "free"}:
        cpu.hold_interrupts(what == "hold")
    elif what == "nmi":
        cpu.nmi()
    elif what == "interrupt":
        cpu.request_interrupt(0x30)
    elif what == "window":
        cpu.request_interrupt_window()


@given(
    code=st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
    mode=st.sampled_from(("real", "pm32", "long")),
    registers=st.fixed_dictionaries(
        {
            "rbx": st.sampled_from((DATA, DATA + 1, MMIO)),
            "rcx": st.integers(0, 3),
            "rdx": st.just(0x80),
            "rdi": st.sampled_from((DATA, MMIO - 2)),
            "rsi": st.just(DATA + 1),
            "rflags": st.sampled_from((2, 2 | IF, 2 | IF | TF, 2 | RF)),
            "dr0": st.sampled_from((CODE + 1, DATA)),
            "dr7": st.sampled_from((0x400, 0x401, 0x401 | 0xF << 16)),
        }
    ),
    given_slots=st.lists(slots(), max_size=4),
    int3=st.booleans(),
    deliver=st.booleans(),
    script=st.lists(calls(), min_size=1, max_size=8),
)
def test_engines_agree(two_engines, code, mode, registers, given_slots, int3, deliver, script):
    pair = [
        debugged(
            *(engine, mode, code, *given_slots),
            registers=registers,
            int3=int3,
            deliver=deliver,
        )
        for engine in two_engines
    ]
    answer = None
    for what, budget in script:
        for made in pair:
            if deliver or what not in {"nmi", "interrupt", "window"}:
                do(made.cpu, what)
        outcomes = [
            made.cpu.run(budget, answer) if budget else made.cpu.step(answer) for made in pair
        ]
        assert outcomes[0] == outcomes[1]
        assert pair[0].state.record == pair[1].state.record
        assert pair[0].low == pair[1].low
        answer = 5 if isinstance(outcomes[0], Read | PortIn) else None


@given(rng=st.randoms(use_true_random=False), given_slots=st.lists(slots(), max_size=3))
def test_engines_agree_on_any_guest(two_engines, rng, given_slots):
    agree(rng, two_engines, given_slots)


@pytest.mark.slow
def test_engines_agree_on_many_guests(two_engines):
    for number in range(1500):
        rng = random.Random(f"debugged/{number}")
        start = [Breakpoint(rng.randrange(1, 16), 0, (1 << 64) - 1) for _ in range(2)]
        agree(rng, two_engines, start)


def agree(rng, engines, given_slots):
    start: Machine = guest(rng)
    pair = [twin(start, engine) for engine in engines]
    for machine in pair:
        machine.cpu.set_breakpoints(given_slots, int3=True)
    answer, skip = None, False
    for _ in range(12):
        if skip:
            for machine in pair:
                machine.cpu.skip_breakpoint()
        budget = rng.choice((0, 1, 40))
        outcomes = [
            machine.cpu.run(budget, answer) if budget else machine.cpu.step(answer)
            for machine in pair
        ]
        assert outcomes[0] == outcomes[1]
        assert pair[0].state.record == pair[1].state.record
        if not isinstance(outcomes[0], GOES_ON | ASKS | Cpuid | DebugExit | BudgetSpent):
            break
        skip = isinstance(outcomes[0], DebugExit)
        answer = answer_to(rng, outcomes[0], [machine.cpu for machine in pair])
    assert (pair[0].low, pair[0].high) == (pair[1].low, pair[1].high)
