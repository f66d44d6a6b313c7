# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who may execute system instructions, and those that do little else than checking that."""

import pytest

from insn.machine import (
    AC,
    CODE,
    CR4_PAE,
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    UD,
    VM,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Feature, Hypercall, Read

ALL = (1 << 64) - 1
PCIDE = 1 << 17
INVPCID = "660f388203"  # invpcid eax, [ebx]

# #GP(0) above CPL 0, with the vector that virtual-8086 mode gives.
PRIVILEGED = {
    "mov to cr0": "0f22c0",
    "mov from cr4": "0f20e0",
    "mov to dr0": "0f23c0",
    "mov from dr7": "0f21f8",
    "clts": "0f06",
    "lmsw": "0f01f0",
    "lgdt": "0f0113",
    "lidt": "0f011b",
    "invlpg": "0f013b",
    "invd": "0f08",
    "wbinvd": "0f09",
    "wbnoinvd": "f30f09",
    "invpcid": INVPCID,
    "rdmsr": "0f32",
    "wrmsr": "0f30",
    "sysexit": "0f35",
}


@pytest.mark.parametrize("code", PRIVILEGED.values(), ids=PRIVILEGED)
def test_privileged(engine, code):
    registers = {"rbx": DATA, "sysenter_cs": 8}
    for mode in ("pm16", "pm32", "compat", "long"):
        check_fault(Machine(engine, mode, code, registers).ring3(), GP)
    check_fault(Machine(engine, "pm16", code, registers | {"rflags": VM | 2}), GP)


SUPERVISOR = {"stac": "0f01cb", "clac": "0f01ca", "monitor": "0f01c8", "mwait": "0f01c9"}


@pytest.mark.parametrize("code", SUPERVISOR.values(), ids=SUPERVISOR)
def test_undefined_above_cpl_0(engine, code):
    for mode in ("pm32", "long"):
        check_fault(Machine(engine, mode, code, {"rax": DATA}).ring3(), UD)
    check_fault(Machine(engine, "pm16", code, {"rflags": VM | 2}), UD)


NOTHING = ["0f013b", "0f08", "0f09", "f30f09", "0f01e8"]


@pytest.mark.parametrize("code", NOTHING)
@pytest.mark.parametrize("mode", ["real", "pm16", "pm32", "compat", "long"])
def test_nothing_to_invalidate(engine, mode, code):
    check_case(engine, mode, code, {"rbx": 1 << 47, "rflags": 0x8D7}, {})


FEATURES = [
    ("0f01e8", Feature.SERIALIZE),
    (INVPCID, Feature.INVPCID),
    ("0f01cb", Feature.SMAP),
    ("0f01c8", Feature.MONITOR),
    ("0f01d0", Feature.XSAVE),
    ("0f01ee", Feature.PKU),
]


@pytest.mark.parametrize(("code", "feature"), FEATURES)
def test_features(engine, code, feature):
    check_fault(Machine(engine, "long", code, {"rbx": DATA, "features": ALL & ~feature}), UD)


def test_wbnoinvd_without_its_feature_is_wbinvd(engine):
    before = {"features": ALL & ~Feature.WBNOINVD}
    check_case(engine, "long", "f30f09", before, {})


def descriptor(pcid, linear=0):
    """The operand of INVPCID and the register that points at it."""
    return {"rbx": DATA, (DATA, 8): pcid, (DATA + 8, 8): linear}


@pytest.mark.parametrize(
    ("kind", "pcid", "linear", "cr4", "faults"),
    [
        *((kind, 0, 0, 0, False) for kind in range(4)),
        (4, 0, 0, 0, True),
        (1 << 32, 0, 0, 0, True),
        (0, 0xFFF, 0, PCIDE, False),
        (0, 0xFFF, 0, 0, True),
        (1, 1, 0, 0, True),
        (2, 0xFFF, 0, 0, False),
        (3, 1 << 12, 0, 0, True),
        (0, 0, 1 << 47, 0, True),
        (1, 0, 1 << 47, 0, False),
    ],
)
def test_invpcid(engine, kind, pcid, linear, cr4, faults):
    before = descriptor(pcid, linear) | {"rax": kind, "cr4": CR4_PAE | cr4}
    if faults:
        check_fault(Machine(engine, "long", INVPCID, before), GP)
    else:
        check_case(engine, "long", INVPCID, before, {})


def test_invpcid_reads_its_operand(engine):
    check_fault(Machine(engine, "long", INVPCID, {"rbx": 1 << 47}), GP)
    machine = Machine(engine, "long", INVPCID, {"rbx": DATA + 0xFF8})
    machine.pte(DATA + 0x1000, 0)
    check_fault(machine, PAGE_FAULT, 0, DATA + 0x1000)
    accesses = (Read(MMIO, 8), Read(MMIO + 8, 8))
    check_case(engine, "long", INVPCID, {"rbx": MMIO}, {}, answers=(0, 0), accesses=accesses)


def test_monitor_checks_its_address_like_a_load(engine):
    check_case(engine, "long", "0f01c8", {"rax": DATA}, {})
    check_case(engine, "long", "0f01c8", {"rax": MMIO}, {})
    check_fault(Machine(engine, "long", "0f01c8", {"rax": 1 << 47}), GP)
    check_fault(Machine(engine, "long", "0f01c8", {"rax": DATA, "rcx": 1}), GP)
    check_fault(Machine(engine, "long", "360f01c8", {"rax": 1 << 47}), GP)  # SS is ignored
    check_fault(
        Machine(engine, "pm16", "360f01c8", {"rax": 0xFFFF, "ss": (16, 0, 9, 0x93)}), SS_FAULT
    )
    machine = Machine(engine, "long", "0f01c8", {"rax": DATA})
    machine.pte(DATA, 0)
    check_fault(machine, PAGE_FAULT, 0, DATA)


def test_mwait_does_not_wait(engine):
    check_case(engine, "long", "0f01c9", {"rcx": 1, "rax": 0xF0}, {})
    check_case(engine, "compat", "0f01c9", {"rcx": 1 << 32 | 1, "rax": 0xF0}, {})
    check_fault(Machine(engine, "long", "0f01c9", {"rcx": 2}), GP)


@pytest.mark.parametrize("mode", ["real", "pm32", "long"])
def test_stac_and_clac(engine, mode):
    check_case(engine, mode, "0f01cb", {"rflags": 0x8D7}, {"rflags": AC | 0x8D7})
    check_case(engine, mode, "0f01ca", {"rflags": AC | 0x8D7}, {"rflags": 0x8D7})


@pytest.mark.parametrize("code", ["0f01c1", "0f01d9"])
def test_a_hypercall_is_done_when_it_comes_out(engine, code):
    for mode in ("real", "pm32", "long"):
        machine = Machine(engine, mode, code + "90", {"rax": 5})
        before = machine.registers()
        assert machine.step() == Hypercall(CODE + 3)
        assert machine.registers() == before | {"rip": CODE + 3}
        assert not machine.cpu.awaits_answer
        assert machine.step() == Done(CODE + 4, 0)
        assert machine.state.retired == 2
    assert Machine(engine, "long", code).ring3().step() == Hypercall(CODE + 3)


def test_a_hypercall_ends_a_run(engine):
    machine = Machine(engine, "long", "90" + "0f01c1" + "90")
    assert machine.cpu.run(10) == Hypercall(CODE + 4)
    assert machine.state.retired == 2


@pytest.mark.parametrize(
    "code", [*PRIVILEGED.values(), *SUPERVISOR.values(), "0fa2", "0f31", "0f01d0"]
)
def test_none_takes_lock(engine, code):
    check_fault(Machine(engine, "long", "f0" + code, {"rbx": DATA}), UD)
