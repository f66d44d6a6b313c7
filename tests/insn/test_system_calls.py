# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, FS and GS bases (SDM vol. 2B), Intel's rules."""

import pytest

from insn.machine import CODE, CR4_PAE, EFER_LMA, EFER_LME, GP, UD, VM, Machine, check_fault
from vmmkit.insn import Done, Feature, Segment

SCE, RF, IF, FSGSBASE = 1, 1 << 16, 1 << 9, 1 << 16
LONG_EFER = EFER_LME | EFER_LMA
KERNEL, USER = 0x10, 0x23
STAR = USER << 48 | KERNEL << 32
HIGH, LOW_END = 0xFFFF_8000_0000_1000, (1 << 47) - 1
NOT_CANONICAL = 1 << 47
FLAT = 0xFFFF_FFFF
SYSCALL, SYSRET, SYSRETQ = "0f05", "0f07", "480f07"
SYSENTER, SYSEXIT, SYSEXITQ = "0f34", "0f35", "480f35"


def flat(selector, attributes):
    """A segment as these instructions load it."""
    return Segment(selector, 0, FLAT, attributes | (selector & 3) << 5)


def step(machine):
    """Execute one instruction; return what it changed."""
    before = machine.registers()
    assert isinstance(machine.step(), Done)
    after = machine.registers()
    return {name: after[name] for name in after if after[name] != before[name]}


def test_syscall(engine):
    registers = {"star": STAR, "lstar": HIGH, "sfmask": 0x4_0600, "rflags": 0x4_0ED7}
    machine = Machine(engine, "long", SYSCALL, registers | {"efer": LONG_EFER | SCE}).ring3()
    assert step(machine) == {
        "rcx": CODE + 2,
        "r11": 0x4_0ED7,
        "rip": HIGH,
        "rflags": 0x8D7,
        "cs": flat(KERNEL, 0xA09B),
        "ss": flat(KERNEL + 8, 0xC093),
    }


def test_syscall_clears_rpl_and_keeps_the_flag_that_is_always_set(engine):
    registers = {"star": 0x13 << 32, "sfmask": 0xFFFF_FFFF, "efer": LONG_EFER | SCE}
    machine = Machine(engine, "long", SYSCALL, registers | {"rflags": RF | 2})
    changed = step(machine)
    assert (changed["r11"], changed["rflags"]) == (2, 2)
    assert machine.state.cs.selector == 0x10


@pytest.mark.parametrize(
    ("code", "rip", "cs"),
    [
        (SYSRET, 0x9ABC_DEF0, flat(USER, 0xC09B)),
        (SYSRETQ, 0x1234_9ABC_DEF0, flat(USER + 16, 0xA09B)),
    ],
)
def test_sysret(engine, code, rip, cs):
    registers = {"star": STAR, "rcx": 0x1234_9ABC_DEF0, "r11": (1 << 64) - 1}
    machine = Machine(engine, "long", code, registers | {"efer": LONG_EFER | SCE})
    assert step(machine) == {
        "rip": rip,
        "rflags": 0x3C_7FD7,
        "cs": cs,
        "ss": flat(USER + 8, 0xC093),
    }
    assert machine.state.mode == (64 if code == SYSRETQ else 32)


def test_sysret_to_what_is_not_canonical_faults_in_the_kernel(engine):
    registers = {"star": STAR, "rcx": NOT_CANONICAL, "efer": LONG_EFER | SCE}
    check_fault(Machine(engine, "long", SYSRETQ, registers), GP)


@pytest.mark.parametrize("code", [SYSCALL, SYSRET])
def test_syscall_and_sysret_where_they_are_undefined(engine, code):
    for mode in ("real", "pm16", "pm32"):
        check_fault(Machine(engine, mode, code, {"efer": SCE}), UD)
    check_fault(Machine(engine, "compat", code, {"efer": LONG_EFER | SCE}), UD)
    check_fault(Machine(engine, "long", code), UD)  # without EFER.SCE
    check_fault(Machine(engine, "long", code).ring3(), UD)
    hidden = {"features": (1 << 64) - 1 & ~Feature.SYSCALL, "efer": LONG_EFER | SCE}
    check_fault(Machine(engine, "long", code, hidden), UD)


def test_sysret_is_privileged(engine):
    registers = {"star": STAR, "efer": LONG_EFER | SCE}
    check_fault(Machine(engine, "long", SYSRETQ, registers).ring3(), GP)


ENTRY = {"sysenter_cs": 0x11, "sysenter_esp": HIGH + 8, "sysenter_eip": HIGH + 16}


@pytest.mark.parametrize("mode", ["pm16", "pm32", "compat", "long"])
def test_sysenter(engine, mode):
    wide = mode in {"compat", "long"}
    machine = Machine(engine, mode, SYSENTER, ENTRY | {"rflags": IF | RF | 0x43}).ring3()
    mask = (1 << 64) - 1 if wide else FLAT
    assert step(machine) == {
        "rsp": HIGH + 8 & mask,
        "rip": HIGH + 16 & mask,
        "rflags": 0x43,
        "cs": flat(0x10, 0xA09B if wide else 0xC09B),
        "ss": flat(0x18, 0xC093),
    }


def test_sysenter_from_virtual_8086_mode(engine):
    machine = Machine(engine, "pm16", SYSENTER, ENTRY | {"rflags": VM | IF | 2})
    assert isinstance(machine.step(), Done)
    assert (machine.state.rflags, machine.state.mode) == (2, 32)


@pytest.mark.parametrize(
    ("mode", "code", "cs", "mask"),
    [
        ("pm32", SYSEXIT, flat(0x23, 0xC09B), FLAT),
        ("compat", SYSEXIT, flat(0x23, 0xC09B), FLAT),
        ("long", SYSEXIT, flat(0x23, 0xC09B), FLAT),
        ("long", SYSEXITQ, flat(0x33, 0xA09B), (1 << 64) - 1),
    ],
)
def test_sysexit(engine, mode, code, cs, mask):
    registers = ENTRY | {"rcx": HIGH + 1, "rdx": HIGH + 2, "rflags": 0x202}
    machine = Machine(engine, mode, code, registers)
    assert step(machine) == {
        "rsp": HIGH + 1 & mask,
        "rip": HIGH + 2 & mask,
        "cs": cs,
        "ss": flat(cs.selector + 8, 0xC093),
    }


def test_sysenter_and_sysexit_that_are_refused(engine):
    for code in (SYSENTER, SYSEXIT):
        check_fault(Machine(engine, "real", code, ENTRY), GP)
        check_fault(Machine(engine, "long", code, {"sysenter_cs": 3}), GP)
        hidden = ENTRY | {"features": (1 << 64) - 1 & ~Feature.SEP}
        check_fault(Machine(engine, "long", code, hidden), UD)
    check_fault(Machine(engine, "long", SYSEXIT, ENTRY).ring3(), GP)
    for name in ("rcx", "rdx"):
        check_fault(Machine(engine, "long", SYSEXITQ, ENTRY | {name: NOT_CANONICAL}), GP)


def test_swapgs(engine):
    registers = {"gs": Segment(3, 0x1234, 9, 0xC0F3), "kernel_gs_base": HIGH}
    machine = Machine(engine, "long", "0f01f8", registers)
    assert step(machine) == {
        "rip": CODE + 3,
        "gs": Segment(3, HIGH, 9, 0xC0F3),
        "kernel_gs_base": 0x1234,
    }
    check_fault(Machine(engine, "long", "0f01f8", registers).ring3(), GP)
    check_fault(Machine(engine, "compat", "0f01f8"), UD)


BASES = {"fs": ("f30faec1", "f3480faec1", "f30faed1", "f3480faed1")}
BASES["gs"] = ("f30faec9", "f3480faec9", "f30faed9", "f3480faed9")
ON = {"cr4": CR4_PAE | FSGSBASE}


@pytest.mark.parametrize(("name", "codes"), BASES.items())
def test_fs_and_gs_bases(engine, name, codes):
    narrow, wide, write_narrow, write_wide = codes
    segment = Segment(0x2B, HIGH, 5, 0xC0F3)
    for code, value in ((narrow, HIGH & FLAT), (wide, HIGH)):
        changed = step(Machine(engine, "long", code, ON | {name: segment}).ring3())
        assert changed["rcx"] == value
        assert set(changed) == {"rip", "rcx"}
    for code, value in ((write_narrow, HIGH & FLAT), (write_wide, HIGH)):
        changed = step(Machine(engine, "long", code, ON | {"rcx": HIGH}).ring3())
        assert changed[name].base == value
        assert set(changed) == {"rip", name}
    check_fault(Machine(engine, "long", write_wide, ON | {"rcx": NOT_CANONICAL}), GP)
    for code in codes:
        check_fault(Machine(engine, "long", code), UD)
        hidden = ON | {"features": (1 << 64) - 1 & ~Feature.FSGSBASE}
        check_fault(Machine(engine, "long", code, hidden), UD)
    check_fault(Machine(engine, "compat", narrow, ON), UD)
