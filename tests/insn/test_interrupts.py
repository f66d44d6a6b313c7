# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the owner delivers: interrupts, the window for them, NMIs, injected events."""

import threading

import pytest

from insn.kernel import CODE, CODE3, IF, RF, STACK, TF, Kernel, handler
from insn.machine import MMIO
from vmmkit.errors import StepError
from vmmkit.insn import (
    BudgetSpent,
    CpuState,
    Done,
    EventKind,
    Halt,
    InterruptWindow,
    TripleFault,
    Write,
)

DB, NMI, UD, NP, GP, PF, DF = 1, 2, 6, 11, 13, 14, 8
MODES = ("real", "pm32", "long")


@pytest.mark.parametrize("mode", MODES)
def test_an_interrupt_is_taken_between_instructions(engine, mode):
    guest = Kernel(engine, mode, "9090", {"rflags": 2 | IF})
    guest.step()
    guest.cpu.request_interrupt(0x40)
    assert guest.step() == Done(handler(0x40), 0)
    assert guest.frame(3) == [CODE + 1, guest.state.cs.selector, 2 | IF]
    assert guest.state.rflags == 2
    assert guest.step() == Done(handler(0x40) + 1, 0)  # once


def test_it_waits_for_if(engine):
    guest = Kernel(engine, "pm32", "90fb9090")
    guest.cpu.request_interrupt(0x40)
    assert not guest.cpu.interrupt_window
    rips = [guest.step().rip for _ in range(4)]
    assert rips == [CODE + 1, CODE + 2, CODE + 3, handler(0x40)]  # and for STI's shadow


@pytest.mark.parametrize(("code", "length"), [("8ed090", 2), ("1790", 1)])
def test_it_waits_for_the_shadow_of_ss(engine, code, length):
    guest = Kernel(engine, "pm32", code, {"rax": 0x10, "rflags": 2 | IF, (STACK, 4): 0x10})
    guest.step()
    guest.cpu.request_interrupt(0x40)
    guest.cpu.nmi()
    assert guest.step() == Done(CODE + length + 1, 0)
    assert guest.step() == Done(handler(NMI), 0)


def test_a_second_request_takes_the_place_of_the_first(engine):
    guest = Kernel(engine, "pm32", "90", {"rflags": 2 | IF})
    guest.cpu.request_interrupt(0x40)
    guest.cpu.request_interrupt(0x41)
    assert guest.step() == Done(handler(0x41), 0)


def test_it_ends_a_wait(engine):
    guest = Kernel(engine, "pm32", "f490", {"rflags": 2 | IF})
    assert guest.step() == Halt(CODE + 1)
    guest.cpu.request_interrupt(0x40)
    assert guest.step() == Done(handler(0x40), 0)
    assert guest.frame(1) == [CODE + 1]


def test_sti_and_hlt_do_not_miss_it(engine):
    guest = Kernel(engine, "pm32", "fbf4")
    guest.cpu.request_interrupt(0x40)
    assert guest.cpu.run(3) == BudgetSpent(handler(0x40))
    assert guest.frame(1) == [CODE + 2]


def test_it_waits_for_the_device_access(engine):
    guest = Kernel(engine, "pm32", "890390", {"rbx": MMIO, "rflags": 2 | IF})
    assert guest.step() == Write(MMIO, 4, 0)
    guest.cpu.request_interrupt(0x40)
    assert guest.step() == Done(CODE + 2, 0)
    assert guest.step() == Done(handler(0x40), 0)


def test_it_interrupts_a_repeated_instruction(engine):
    """RIP is at the instruction, RF is pushed set."""
    guest = Kernel(engine, "pm32", "f3aa", {"rcx": 5000, "rdi": 0x1_0000, "rflags": 2 | IF})
    guest.step()
    guest.cpu.request_interrupt(0x40)
    assert guest.step() == Done(handler(0x40), 0)
    assert guest.frame(3) == [CODE, 8, 2 | IF | RF]
    guest.poke(handler(0x40), b"\xcf")
    guest.cpu.run(6000)
    assert guest.state.rcx == 0


def test_window(engine):
    guest = Kernel(engine, "pm32", "fb909090")
    assert not guest.cpu.interrupt_window
    guest.cpu.request_interrupt_window()
    assert guest.cpu.run(10) == InterruptWindow(CODE + 2)
    assert guest.cpu.interrupt_window
    guest.cpu.request_interrupt(0x40)
    assert guest.step() == Done(handler(0x40), 0)
    assert not guest.cpu.interrupt_window


def test_a_window_that_is_open(engine):
    guest = Kernel(engine, "pm32", "90", {"rflags": 2 | IF})
    guest.cpu.request_interrupt_window()
    assert guest.step() == InterruptWindow(CODE)
    assert guest.step() == Done(CODE + 1, 0)


@pytest.mark.parametrize("mode", MODES)
def test_nmi_blocks_the_next_until_iret(engine, mode):
    guest = Kernel(engine, mode, "9090")
    guest.poke(handler(NMI), b"\x90" + (b"\x48\xcf" if mode == "long" else b"\xcf"))
    guest.cpu.nmi()
    assert guest.step() == Done(handler(NMI), 0)
    assert guest.state.nmi_blocked == 1
    guest.cpu.nmi()
    assert guest.step() == Done(handler(NMI) + 1, 0)
    assert guest.step() == Done(CODE, 0)
    assert guest.state.nmi_blocked == 0
    assert guest.step() == Done(handler(NMI), 0)


def test_priority(engine):
    """Traps of the last instruction, and the code breakpoint with them; NMI, interrupt."""
    registers = {"rflags": 2 | TF | IF, "dr0": CODE + 1, "dr7": 0x401}
    guest = Kernel(engine, "pm32", "9090", registers)
    for vector in (DB, NMI, 0x40):
        guest.gate(vector, 0xF)  # trap gates leave IF
        guest.poke(handler(vector), b"\xcf")
    guest.step()
    guest.state.rflags &= ~TF
    guest.cpu.request_interrupt(0x40)
    guest.cpu.nmi()
    first = guest.step().rip
    assert first == handler(DB)
    assert guest.state.dr6 & 0x400F == 0x4001
    assert guest.step().rip == handler(NMI)
    assert guest.step().rip == handler(0x40)


INJECTED = [
    ("exception", {"vector": UD}, RF, []),
    ("with a code", {"vector": GP, "error_code": 0x18}, RF, [0x18]),
    ("#DB", {"vector": DB, "address": 1}, 0, []),
    ("#DF", {"vector": DF, "error_code": 0}, 0, [0]),
    ("interrupt", {"vector": 0x40}, 0, []),
    ("NMI", {"vector": NMI}, 0, []),
    ("INT n", {"vector": 0x30, "kind": EventKind.SOFTWARE_INTERRUPT}, 0, []),
]


@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize(("why", "event", "rf", "codes"), INJECTED)
def test_injected_events(engine, mode, why, event, rf, codes):
    """They ask for nobody's leave: IF is clear."""
    guest = Kernel(engine, mode, "90")
    guest.cpu.inject(**event)
    assert guest.cpu.event_pending
    assert guest.step() == Done(handler(event["vector"]), 0), why
    assert guest.frame(3 + len(codes)) == [*codes, CODE, 8, 2 | rf]
    assert guest.state.nmi_blocked == (why == "NMI")


def test_injected_page_fault(engine):
    guest = Kernel(engine, "long", "90")
    guest.cpu.inject(PF, 6, address=0x1234)
    guest.step()
    assert (guest.state.cr2, guest.frame(2)) == (0x1234, [6, CODE])


def test_real_mode_pushes_no_error_code(engine):
    guest = Kernel(engine, "real", "90")
    guest.cpu.inject(GP, 0x18)
    guest.step()
    assert guest.frame(3) == [CODE, 0, 2]


# How faults combine by the kind of what is injected, whose gate is not present.
KINDS = [
    (GP, None, DF, 0),
    (0x40, None, NP, 0x203),
    (NMI, None, NP, 0x13),
    (0x30, EventKind.SOFTWARE_INTERRUPT, NP, 0x182),
    (3, EventKind.SOFTWARE_EXCEPTION, NP, 0x1A),
    (1, EventKind.ICEBP, NP, 0x0B),
]


@pytest.mark.parametrize(("vector", "kind", "delivered", "error"), KINDS)
def test_faults_while_they_are_delivered(engine, vector, kind, delivered, error):
    guest = Kernel(engine, "long", "90")
    guest.gate(vector, p=0)
    guest.cpu.inject(vector, 0 if vector == GP else None, kind=kind)
    assert guest.step() == Done(handler(delivered), 0)
    assert guest.frame(2) == [error, CODE]


def test_only_software_is_held_to_the_dpl(engine):
    guest = Kernel(engine, "pm32", "90").user()
    guest.cpu.inject(0x40)
    guest.step()
    assert guest.state.rip == handler(0x40)
    guest = Kernel(engine, "pm32", "90").user()
    guest.cpu.inject(0x40, kind=EventKind.SOFTWARE_INTERRUPT)
    guest.step()
    assert (guest.state.rip, guest.frame(3)) == (handler(GP), [0x202, CODE, CODE3 | 3])


def test_it_is_in_the_state(engine):
    """A copy of the state takes what waits along."""
    guest = Kernel(engine, "pm32", "90", {"rflags": 2 | IF})
    guest.cpu.request_interrupt(0x40)
    guest.state = guest.state.copy()
    guest.cpu = guest.cpu_on(engine, deliver=True)
    assert guest.step() == Done(handler(0x40), 0)


def test_a_triple_fault_of_an_injected_double_fault(engine):
    guest = Kernel(engine, "pm32", "90", {"idtr_limit": 0})
    guest.cpu.inject(DF, 0)
    assert guest.step() == TripleFault(CODE)


def test_another_thread_ends_a_loop(engine):
    guest = Kernel(engine, "long", "ebfe", {"rflags": 2 | IF})
    guest.poke(handler(0x40), b"\xf4")
    timer = threading.Timer(0.02, guest.cpu.request_interrupt, [0x40])
    timer.start()
    assert guest.cpu.run(1 << 40) == Halt(handler(0x40) + 1)
    timer.join()


MISTAKES = [
    (lambda cpu: cpu.inject(256), "0 to 255"),
    (lambda cpu: cpu.inject(-1), "0 to 255"),
    (lambda cpu: cpu.request_interrupt("3"), "0 to 255"),
    (lambda cpu: cpu.inject(13, 1 << 32), "32 bits"),
    (lambda cpu: cpu.inject(14, 0, address=1 << 64), "64 bits"),
    (lambda cpu: cpu.inject(14, 0, kind=3), "EventKind"),
    (lambda cpu: (cpu.inject(13), cpu.inject(14)), "in flight"),
]


@pytest.mark.parametrize(("call", "words"), MISTAKES)
def test_mistakes(engine, call, words):
    with pytest.raises(StepError, match=words):
        call(Kernel(engine, "pm32", "90").cpu)


def test_without_delivery(engine):
    cpu = Kernel(engine, "pm32", "90", deliver=False).cpu
    for call in (
        lambda: cpu.inject(13),
        lambda: cpu.request_interrupt(0x40),
        cpu.request_interrupt_window,
        cpu.nmi,
    ):
        with pytest.raises(StepError, match="deliver=True"):
            call()


def test_no_injection_into_an_instruction_in_flight(engine):
    guest = Kernel(engine, "pm32", "8903", {"rbx": MMIO})
    guest.step()
    with pytest.raises(StepError, match="in flight"):
        guest.cpu.inject(13)


def test_reset_forgets(engine):
    guest = Kernel(engine, "pm32", "90")
    guest.cpu.nmi()
    guest.cpu.inject(13)
    guest.state.reset()
    assert guest.state.record == CpuState().record
