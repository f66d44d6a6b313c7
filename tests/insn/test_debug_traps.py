# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Single step and breakpoints (SDM vol. 3B, "Debug, Branch Profile... Features")."""

import pytest

from insn.kernel import CODE, IF, RF, STACK, TF, Kernel, handler
from insn.machine import DATA
from vmmkit.insn import BudgetSpent, Done, Fault, Halt, PortIn

DB = 1
DR6, BS = 0xFFFF_0FF0, 1 << 14
EXECUTE, WRITE, PORT, ACCESS = range(4)
LEN = {1: 0, 2: 1, 4: 3, 8: 2}
MODES = ("real", "pm32", "long")


def breakpoint_on(kind, size=1, number=0, *, locally=True):
    """DR7 with one breakpoint enabled."""
    enable = (1 if locally else 2) << 2 * number
    return 0x400 | enable | (kind | LEN[size] << 2) << 16 + 4 * number


@pytest.mark.parametrize("mode", MODES)
def test_single_step(engine, mode):
    """The trap comes after the instruction; the handler runs without TF."""
    guest = Kernel(engine, mode, "4090" if mode != "long" else "9090", {"rflags": 2 | TF})
    assert guest.step() == Done(CODE + 1, 0)
    assert guest.step() == Done(handler(DB), 0)
    assert guest.frame(3)[0] == CODE + 1
    assert guest.frame(3)[2] & (TF | RF) == TF
    assert guest.state.dr6 == DR6 | BS
    assert not guest.state.rflags & TF
    assert guest.step() == Done(handler(DB) + 1, 0)


def test_without_delivery_there_is_no_trap(engine):
    guest = Kernel(engine, "pm32", "9090", {"rflags": 2 | TF}, deliver=False)
    assert guest.cpu.run(2) == BudgetSpent(CODE + 2)


def test_a_faulting_instruction_is_not_stepped(engine):
    guest = Kernel(engine, "pm32", "0f0b", {"rflags": 2 | TF})
    assert guest.step() == Done(handler(6), 0)
    assert guest.step() == Done(handler(6) + 1, 0)
    assert guest.state.dr6 == DR6


def test_popf_takes_effect_after_the_next_instruction(engine):
    guest = Kernel(engine, "pm32", "9d9090")
    guest.poke(STACK, TF | 2, 4)
    assert [guest.step().rip for _ in range(3)] == [CODE + 1, CODE + 2, handler(DB)]
    guest = Kernel(engine, "pm32", "9d9090", {"rflags": 2 | TF})  # and TF counts that was set
    guest.poke(STACK, 2, 4)
    assert [guest.step().rip for _ in range(2)] == [CODE + 1, handler(DB)]


def test_iret_that_sets_tf(engine):
    guest = Kernel(engine, "pm32", "cf")
    for number, value in enumerate([DATA, 8, TF | 2]):
        guest.poke(STACK + 4 * number, value, 4)
    guest.poke(DATA, b"\x90\x90")
    assert [guest.step().rip for _ in range(3)] == [DATA, DATA + 1, handler(DB)]


def test_a_load_of_ss_is_stepped_with_the_next_instruction(engine):
    guest = Kernel(engine, "pm32", "8ed09090", {"rflags": 2 | TF, "rax": 0x10})
    steps = [guest.step().rip for _ in range(3)]
    assert steps == [CODE + 2, CODE + 3, handler(DB)]


def test_each_element_of_a_string_is_stepped(engine):
    guest = Kernel(engine, "pm32", "f3aa90", {"rflags": 2 | TF, "rcx": 2, "rdi": DATA})
    guest.poke(handler(DB), b"\xcf")
    rips = [guest.step().rip for _ in range(6)]
    assert rips == [CODE, handler(DB), CODE, CODE + 2, handler(DB), CODE + 2]
    assert guest.state.rcx == 0


def test_rf_is_pushed_set_between_the_elements(engine):
    guest = Kernel(engine, "pm32", "f3aa90", {"rflags": 2 | TF, "rcx": 2, "rdi": DATA})
    guest.step()
    guest.step()
    assert guest.frame(3) == [CODE, 8, 2 | TF | RF]


def test_halt_does_not_wait_with_a_trap_pending(engine):
    guest = Kernel(engine, "pm32", "f4", {"rflags": 2 | TF})
    assert guest.cpu.run(2) == BudgetSpent(handler(DB))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("locally", [False, True])
def test_a_code_breakpoint_is_a_fault(engine, mode, locally):
    dr7 = breakpoint_on(EXECUTE, number=2, locally=locally)
    guest = Kernel(engine, mode, "9090", {"dr2": CODE + 1, "dr7": dr7})
    assert guest.step() == Done(CODE + 1, 0)
    assert guest.step() == Done(handler(DB), 0)
    assert guest.state.dr6 == DR6 | 4
    assert guest.frame(3)[0] == CODE + 1
    assert guest.frame(3)[2] & RF == 0


def test_rf_lets_the_instruction_go_and_ends_with_it(engine):
    registers = {"dr0": CODE, "dr7": breakpoint_on(EXECUTE), "rflags": 2 | RF}
    guest = Kernel(engine, "pm32", "9090", registers)
    assert guest.step() == Done(CODE + 1, 0)
    assert guest.state.rflags == 2
    guest.state.rip = CODE
    assert guest.step() == Done(handler(DB), 0)


def test_iret_brings_rf_for_one_instruction(engine):
    guest = Kernel(engine, "pm32", "cf", {"dr0": DATA, "dr7": breakpoint_on(EXECUTE)})
    for number, value in enumerate([DATA, 8, RF | 2]):
        guest.poke(STACK + 4 * number, value, 4)
    guest.poke(DATA, b"\x90\xeb\xfd")
    rips = [guest.step().rip for _ in range(4)]
    assert rips == [DATA, DATA + 1, DATA, handler(DB)]


def test_a_fault_restarts_untrapped(engine):
    """The handler's frame has RF set, so the breakpoint at the instruction is not hit again."""
    registers = {"dr0": CODE, "dr7": breakpoint_on(EXECUTE), "rflags": 2 | RF}
    guest = Kernel(engine, "pm32", "0f0b", registers)
    guest.step()
    assert guest.frame(3)[2] == RF | 2


def test_a_code_breakpoint_behind_a_load_of_ss_is_lost(engine):
    registers = {"dr0": CODE + 2, "dr7": breakpoint_on(EXECUTE), "rax": 0x10}
    guest = Kernel(engine, "pm32", "8ed09090", registers)
    assert guest.cpu.run(3) == BudgetSpent(CODE + 4)


def test_the_base_of_cs_counts(engine):
    guest = Kernel(engine, "pm32", "9090", {"dr0": 0x2000, "dr7": breakpoint_on(EXECUTE)})
    guest.state.cs = guest.state.cs._replace(base=0x1000)
    assert guest.step() == Done(handler(DB), 0)


# (code, registers, kind, size, address offset from DATA, hit)
TOUCHES = [
    ("8903", WRITE, 4, 0, True),
    ("8903", WRITE, 1, 3, True),
    ("8903", WRITE, 1, 4, False),
    ("8903", ACCESS, 4, 0, True),
    ("8b03", ACCESS, 4, 0, True),
    ("8b03", WRITE, 4, 0, False),
    ("8b03", EXECUTE, 1, 0, False),
    ("8b03", ACCESS, 2, 4, False),
    ("8a03", ACCESS, 8, 7, True),  # the address is aligned to the length
    ("0103", WRITE, 4, 0, True),
    ("8b4301", ACCESS, 1, 4, True),
    ("8b4301", ACCESS, 1, 0, False),
    ("8d03", ACCESS, 4, 0, False),
]


@pytest.mark.parametrize("mode", ["pm32", "long"])
@pytest.mark.parametrize(("code", "kind", "size", "offset", "hit"), TOUCHES)
def test_data_breakpoints(engine, mode, code, kind, size, offset, hit):
    registers = {"rbx": DATA, "dr3": DATA + offset, "dr7": breakpoint_on(kind, size, 3)}
    guest = Kernel(engine, mode, code + "90", registers)
    length = len(code) // 2
    assert guest.step() == Done(CODE + length, 0)
    guest.step()
    assert (guest.state.rip == handler(DB)) == hit
    assert guest.state.dr6 == (DR6 | 8 if hit else DR6)
    if hit:
        assert guest.frame(1) == [CODE + length]


def test_a_data_breakpoint_on_the_stack(engine):
    guest = Kernel(engine, "pm32", "50", {"dr0": STACK - 4, "dr7": breakpoint_on(WRITE, 4)})
    guest.step()
    assert guest.step() == Done(handler(DB), 0)


def test_a_data_breakpoint_ends_a_string_after_the_element(engine):
    registers = {"rcx": 8, "rdi": DATA, "dr0": DATA + 2, "dr7": breakpoint_on(WRITE)}
    guest = Kernel(engine, "pm32", "f3aa", registers)
    guest.cpu.run(4)
    assert (guest.state.rip, guest.state.rcx) == (handler(DB), 5)


def test_a_data_breakpoint_of_a_load_of_ss_waits(engine):
    registers = {"rbx": DATA, (DATA, 2): 0x10, "dr0": DATA, "dr7": breakpoint_on(ACCESS, 2)}
    guest = Kernel(engine, "pm32", "8e1390", registers)
    assert [guest.step().rip for _ in range(3)] == [CODE + 2, CODE + 3, handler(DB)]


def test_a_pending_breakpoint_is_taken_in_the_handler_of_int(engine):
    """MOV SS and INT: the trap comes at the first instruction of the handler."""
    registers = {"rbx": DATA, (DATA, 2): 0x10, "dr0": DATA, "dr7": breakpoint_on(ACCESS, 2)}
    guest = Kernel(engine, "pm32", "8e13cd30", registers)
    assert [guest.step().rip for _ in range(3)] == [CODE + 2, handler(0x30), handler(DB)]
    assert guest.frame(1) == [handler(0x30)]


@pytest.mark.parametrize(("cr4", "hit"), [(0, False), (8, True)])
def test_port_breakpoints(engine, cr4, hit):
    registers = {"dr0": 0x80, "dr7": breakpoint_on(PORT, 2), "cr4": cr4}
    guest = Kernel(engine, "pm32", "e48190", registers)
    assert guest.step() == PortIn(0x81, 1)
    assert guest.step(0) == Done(CODE + 2, 0)
    guest.step()
    assert (guest.state.rip == handler(DB)) == hit


def test_step_and_breakpoint_at_once(engine):
    registers = {"rbx": DATA, "dr0": DATA, "dr7": breakpoint_on(WRITE), "rflags": 2 | TF}
    guest = Kernel(engine, "pm32", "8803", registers)
    guest.step()
    guest.step()
    assert guest.state.dr6 == DR6 | BS | 1


def test_old_breakpoints_leave_dr6(engine):
    guest = Kernel(engine, "pm32", "90", {"rflags": 2 | TF, "dr6": DR6 | 0xF})
    guest.step()
    guest.step()
    assert guest.state.dr6 == DR6 | BS


def test_delivery_clears_general_detect(engine):
    guest = Kernel(engine, "pm32", "90", {"rflags": 2 | TF, "dr7": 0x2400})
    guest.step()
    guest.step()
    assert guest.state.dr7 == 0x400


def test_icebp(engine):
    guest = Kernel(engine, "pm32", "f1", {"rflags": 2 | IF})
    assert guest.step() == Done(handler(DB), 0)
    assert guest.frame(3) == [CODE + 1, 8, 2 | IF]
    assert guest.state.dr6 == DR6


def test_rf_ends_without_delivery_too(engine):
    guest = Kernel(engine, "pm32", "90", {"rflags": 2 | RF}, deliver=False)
    guest.step()
    assert guest.state.rflags == 2
    guest = Kernel(engine, "pm32", "0f0b", {"rflags": 2 | RF}, deliver=False)
    assert guest.step() == Fault(6, 0, 0)
    assert guest.state.rflags == 2 | RF


def test_hlt_without_a_trap_waits(engine):
    assert Kernel(engine, "pm32", "f4").step() == Halt(CODE + 1)


WIDE_ACCESSES = {
    "MOVUPS": ("0f1103", WRITE),
    "MOVDQA load": ("660f6f03", ACCESS),
    "VMOVUPS of 32 bytes": ("c5fc1103", WRITE),
    "VMOVDQU8 of 64 bytes": ("62f17f487f03", WRITE),
    "PXOR": ("660fef03", ACCESS),
    "MASKMOVDQU": ("660ff7c1", WRITE),
    "FXSAVE": ("0fae03", WRITE),
    "FXRSTOR": ("0fae0b", ACCESS),
    "XSAVE": ("0fae23", WRITE),
    "MOVDIR64B": ("660f38f81b", WRITE),
    "CMPXCHG16B": ("480fc70b", WRITE),
}


@pytest.mark.parametrize(("code", "kind"), WIDE_ACCESSES.values(), ids=WIDE_ACCESSES)
def test_breakpoints_in_wide_accesses(engine, code, kind):
    """On the ninth byte; what ends before it is no hit."""
    for place, hits in ((DATA + 8, True), (DATA - 1, False)):
        guest = Kernel(engine, "long", code, {"rbx": DATA, "rdi": DATA, "zmm1": (1 << 128) - 1})
        guest.poke(DATA + 24, 0x1F80, 4)
        guest.state.dr0, guest.state.dr7 = place, breakpoint_on(kind)
        after = CODE + len(guest.code)
        assert guest.step() == Done(after, 0)
        assert guest.step() == Done(handler(DB) if hits else after + 2, 0)  # 00 00 is an ADD
        assert guest.state.dr6 == DR6 | hits


def test_breakpoints_on_lanes_that_are_off(engine):
    guest = Kernel(engine, "long", "62f17f097f03", {"rbx": DATA, "k1": 0x00F0})  # vmovdqu8 {k1}
    guest.state.dr0, guest.state.dr7 = DATA + 8, breakpoint_on(WRITE, 4)
    guest.step()
    assert guest.step() == Done(CODE + 8, 0)
    guest = Kernel(engine, "long", "62f17f097f03", {"rbx": DATA, "k1": 0x01F0})
    guest.state.dr0, guest.state.dr7 = DATA + 8, breakpoint_on(WRITE, 4)
    guest.step()
    assert guest.step() == Done(handler(DB), 0)
