# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""INT n, INT3, INTO and INT1 (SDM vol. 2A), which need no `deliver`."""

import pytest

from insn.kernel import CODE, CODE3, DATA3, IDT, IF, STACK, TF, VM, WIDTH, Kernel, handler
from insn.machine import MMIO, TSS
from insn.test_delivery import virtual_8086
from vmmkit.insn import Done, Fault, Read, Segment, Unsupported

BP, OVERFLOW, NP, GP, OF, UD = 3, 4, 11, 13, 0x800, 6
VIF, VIP, IOPL = 1 << 19, 1 << 20, 3 << 12
FORMS = [("cd30", 0x30), ("cd03", 3), ("cc", BP), ("ce", OVERFLOW), ("f1", 1)]


@pytest.mark.parametrize("deliver", [False, True])
@pytest.mark.parametrize("mode", ["real", "pm32", "long", "compat"])
@pytest.mark.parametrize(("code", "vector"), FORMS)
def test_they_push_the_address_behind(engine, mode, deliver, code, vector):
    guest = Kernel(engine, mode, code, {"rflags": 2 | IF | OF}, deliver=deliver)
    cs = guest.state.cs.selector
    if mode == "long" and code == "ce":
        return  # no instruction there
    assert guest.step() == Done(handler(vector), 0)
    assert guest.frame(3) == [CODE + len(code) // 2, cs, 2 | IF | OF]
    assert guest.state.rflags == 2 | OF
    assert guest.state.rsp % (1 << 32) in {STACK - 3 * WIDTH[mode], STACK - 40}


def test_into_without_overflow_does_nothing(engine):
    guest = Kernel(engine, "pm32", "ce")
    assert guest.step() == Done(CODE + 1, 0)
    assert guest.state.rsp == STACK


# From ring 3: the gate's DPL counts, except for INT1.
PRIVILEGED = [
    ("cd30", 0x30, Fault(GP, 0x30 * 8 + 2, 0)),
    ("cc", 3, Fault(GP, 3 * 8 + 2, 0)),
    ("f1", 1, None),
]


@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize(("code", "vector", "fault"), PRIVILEGED)
def test_the_dpl_of_the_gate(engine, mode, code, vector, fault):
    guest = Kernel(engine, mode, code, deliver=False).user()
    expected = fault or Done(handler(vector), 0)
    assert guest.step() == expected
    guest = Kernel(engine, mode, code, deliver=False).user()
    guest.gate(vector, dpl=3)
    assert guest.step() == Done(handler(vector), 0)
    assert guest.frame(5) == [CODE + len(code) // 2, CODE3 | 3, 2, STACK, DATA3 | 3]


def test_error_codes_are_not_external_but_for_int1(engine):
    for code, vector, error in (("cd30", 0x30, 0x182), ("cc", 3, 0x1A), ("f1", 1, 0x0B)):
        guest = Kernel(engine, "pm32", code, deliver=False)
        guest.gate(vector, p=0)
        assert guest.step() == Fault(NP, error, 0)
        assert (guest.state.rip, guest.state.rsp) == (CODE, STACK)


def test_a_fault_of_theirs_is_delivered_with_rip_at_the_instruction(engine):
    guest = Kernel(engine, "pm32", "cd30").user()
    assert guest.step() == Done(handler(GP), 0)
    assert guest.frame(2) == [0x182, CODE]


def test_gate_at_a_device(engine):
    guest = Kernel(engine, "pm32", "cd30", deliver=False)
    guest.state.idtr_base = MMIO - 8 * 0x30
    accesses, outcome = guest.finish([guest.peek(IDT + 8 * 0x30, 8)])
    assert (accesses, outcome) == ([Read(MMIO, 8)], Done(handler(0x30), 0))


def test_no_single_step_trap_in_the_handler(engine):
    guest = Kernel(engine, "pm32", "cd30", {"rflags": 2 | TF})
    guest.step()
    assert guest.step() == Done(handler(0x30) + 1, 0)
    assert guest.frame(3)[2] == 2 | TF


def test_task_gates(engine):
    guest = Kernel(engine, "pm32", "cd30", deliver=False)
    guest.gate(0x30, 5)
    assert isinstance(guest.step(), Unsupported)


@pytest.mark.parametrize(("code", "allowed"), [("cd30", False), ("cc", True), ("f1", True)])
def test_virtual_8086_mode_and_iopl(engine, code, allowed):
    guest = virtual_8086(engine, code)
    for vector in (1, 3, 0x30):
        guest.gate(vector, dpl=3)
    guest.step()
    assert (guest.state.rip != handler(GP)) == allowed
    guest = virtual_8086(engine, "cd30", IOPL)
    guest.gate(0x30, dpl=3)
    guest.step()
    assert guest.state.rip == handler(0x30)


# IOPL, VIF before; flags in the frame, and VIF and IF after.
REDIRECTED = [
    (0, 0, 2 | IOPL, 0),
    (0, VIF, 2 | IOPL | IF, 0),
    (IOPL, 0, 2 | IOPL, 0),
    (IOPL, IF, 2 | IOPL | IF, 0),
]


@pytest.mark.parametrize(("iopl", "flags", "pushed", "after"), REDIRECTED)
def test_redirection_in_virtual_8086_mode(engine, iopl, flags, pushed, after):
    """A clear bit in the redirection bitmap: the program's own table at 0."""
    guest = virtual_8086(engine, "cd30", iopl | flags, cr4=1)
    guest.state.tr = Segment(0x50, TSS, 0x100, 0x8B)
    guest.poke(TSS + 102, 0x88, 2)
    guest.poke(4 * 0x30, 0x0123_4560, 4)
    assert guest.step() == Done(0x4560, 0)
    state = guest.state
    assert (state.cs.selector, state.cs.base) == (0x123, 0x1230)
    assert guest.frame(3, 2) == [CODE + 2, 0, pushed]
    assert state.rflags & (VM | IF | VIF | IOPL) == VM | after | iopl
    guest = virtual_8086(engine, "cd30", iopl | flags, cr4=1)
    guest.state.tr = Segment(0x50, TSS, 0x100, 0x8B)
    guest.poke(TSS + 102, 0x88, 2)
    guest.poke(TSS + 0x88 - 32 + 6, 1, 1)
    guest.gate(0x30, dpl=3)
    guest.step()
    assert guest.state.rip == (handler(0x30) if iopl else handler(GP))
