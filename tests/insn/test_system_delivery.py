# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""System instructions while exceptions go to the guest."""

import pytest

from insn.kernel import CODE, HANDLERS, TF, Kernel, handler
from vmmkit.insn import Done, Hypercall, ReadMsr, Segment, WriteMsr

DB, UD, GP = 1, 6, 13
SCE, GD, BD, BS = 1, 1 << 13, 1 << 13, 1 << 14
DR6 = 0xFFFF_0FF0
KERNEL, USER = 0x08, 0x23
SYSCALL, SYSRETQ = "0f05", "480f07"
OUTSIDE = 0x1234  # an MSR that the engine does not hold


def caller(engine, code, **registers):
    """A long-mode guest with SYSCALL enabled, whose entry is the handler of vector 0x40."""
    guest = Kernel(engine, "long", code, {"star": USER << 48 | KERNEL << 32, **registers})
    guest.state.efer |= SCE
    guest.state.lstar = handler(0x40)
    return guest


@pytest.mark.parametrize(
    ("mask", "second"), [(TF, handler(0x40) + 1), (0, handler(DB))], ids=["masked", "not masked"]
)
def test_single_step_into_a_system_call_goes_by_the_mask(engine, mask, second):
    guest = caller(engine, SYSCALL, rflags=2 | TF, sfmask=mask).user()
    assert guest.step() == Done(handler(0x40), 0)
    assert guest.step() == Done(second, 0)
    assert guest.state.r11 == 2 | TF


@pytest.mark.parametrize(
    ("flags", "before", "second"),
    [(TF, 0, handler(DB)), (0, TF, HANDLERS + 1), (0, 0, HANDLERS + 1)],
)
def test_single_step_out_of_a_system_call_goes_by_the_new_flags(engine, flags, before, second):
    """The trap comes before the first instruction of the user's."""
    guest = caller(engine, SYSRETQ, rcx=HANDLERS, r11=2 | flags, rflags=2 | before)
    assert guest.step() == Done(HANDLERS, 0)
    assert guest.step() == Done(second, 0)
    assert bool(guest.state.dr6 & BS) == bool(flags)


def test_general_detect(engine):
    """MOV DR faults with DR7.GD; the handler runs without GD, and may use the registers."""
    guest = Kernel(engine, "pm32", "0f21c0", {"dr7": 0x400 | GD})
    guest.poke(handler(DB), bytes.fromhex("0f21f8"))
    assert guest.step() == Done(handler(DB), 0)
    assert guest.frame(1) == [CODE]
    assert (guest.state.dr6, guest.state.dr7) == (DR6 | BD, 0x400)
    assert guest.step() == Done(handler(DB) + 3, 0)
    assert guest.state.rax == 0x400


def test_data_breakpoint_set_by_the_guest(engine):
    guest = Kernel(engine, "pm32", "0f23c8 0f23fa 8801", {"rax": 0x7000, "rcx": 0x7000})
    guest.state.rdx = 0x400 | 1 << 2 | 1 << 20  # write of one byte by DR1
    assert [guest.step().rip for _ in range(4)] == [CODE + 3, CODE + 6, CODE + 8, handler(DB)]
    assert guest.state.dr6 == DR6 | 2


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("0f32", ReadMsr(OUTSIDE)), ("0f30", WriteMsr(OUTSIDE, 0))],
)
def test_a_refused_msr_access_is_delivered_and_refuses_nothing_else(engine, code, outcome):
    guest = Kernel(engine, "pm32", code, {"rcx": OUTSIDE})
    guest.poke(handler(GP), bytes.fromhex("0f32"))
    assert guest.step() == outcome
    guest.cpu.refuse()
    assert guest.step() == Done(handler(GP), 0)
    assert guest.frame(2) == [0, CODE]
    assert guest.step() == ReadMsr(OUTSIDE)
    assert guest.cpu.step(7) == Done(handler(GP) + 2, 0)
    assert guest.state.rax == 7


def test_a_hypercall_that_is_stepped_traps_after_it(engine):
    guest = Kernel(engine, "pm32", "0f01c1", {"rflags": 2 | TF})
    assert guest.step() == Hypercall(CODE + 3)
    assert guest.step() == Done(handler(DB), 0)
    assert guest.frame(1) == [CODE + 3]


def test_tables_loaded_by_the_guest_are_those_used(engine):
    guest = Kernel(engine, "pm32", "0f011d00700000 0f0b")
    guest.poke(0x7000, 0x7FF, 2)
    guest.poke(0x7002, guest.state.idtr_base, 4)
    guest.state.idtr_base, guest.state.idtr_limit = 0, 0
    assert guest.step() == Done(CODE + 7, 0)
    assert guest.step() == Done(handler(UD), 0)


def test_ltr_gives_the_stack_of_the_next_event(engine):
    guest = Kernel(engine, "pm32", "0f00d8")
    guest.descriptor(10, guest.state.tr.base, 0x67, 0x89)
    guest.state.tr, guest.state.rax = Segment(0, 0, 0, 1 << 16), 0x50
    assert guest.step() == Done(CODE + 3, 0)
    guest.user()
    guest.cpu.inject(0x41)
    assert guest.step() == Done(handler(0x41), 0)
    assert guest.state.rsp == 0x6800 - 5 * 4
