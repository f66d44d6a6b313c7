# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Control and debug registers, XCR0 and PKRU at CPL 0 (SDM vol. 2B, MOV; vol. 3A)."""

import pytest

from insn.machine import (
    CODE64,
    CR0_PE,
    CR0_PG,
    CR4_LA57,
    CR4_PAE,
    CR4_PKE,
    DATA,
    EFER_LMA,
    EFER_LME,
    EFER_NXE,
    GP,
    MMIO,
    PDPT_PAE,
    PML4,
    UD,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Feature, Read, Segment

DB = 1
RESET, ET, NW, CD, TS = 0x6000_0010, 0x10, 1 << 29, 1 << 30, 8
DE, PGE, PCIDE, OSXSAVE, UMIP = 1 << 3, 1 << 7, 1 << 17, 1 << 18, 1 << 11
LONG_CR0 = RESET | CR0_PG | CR0_PE
LONG_EFER = EFER_LME | EFER_LMA
TO_CR0, TO_CR2, TO_CR3, TO_CR4, TO_CR8 = "0f22c0", "0f22d0", "0f22d8", "0f22e0", "440f22c0"


@pytest.mark.parametrize(
    ("mode", "code", "name", "value", "read"),
    [
        ("real", "0f20c1", "cr0", RESET, RESET),
        ("pm16", "0f20d1", "cr2", 0x1234_5678_9ABC, 0x5678_9ABC),
        ("pm32", "0f20d9", "cr3", 0x1018, 0x1018),
        ("pm32", "660f20e1", "cr4", 0x10, 0x10),  # 66 changes nothing
        ("long", "0f20d1", "cr2", 0xFFFF_8000_0000_1234, 0xFFFF_8000_0000_1234),
        ("long", "0f20e1", "cr4", CR4_PAE, CR4_PAE),
        ("long", "440f20c1", "cr8", 9, 9),
        ("compat", "0f20d1", "cr2", 1 << 63 | 7, 7),
        ("long", "0f2011", "cr2", 5, 5),  # ModRM.mod counts as 3
    ],
)
def test_reads(engine, mode, code, name, value, read):
    check_case(engine, mode, code, {name: value, "rcx": (1 << 64) - 1}, {"rcx": read})


@pytest.mark.parametrize("code", ["0f20c8", "0f20e8", "0f22c8", "0f22f8", "440f22c8"])
def test_other_numbers_are_undefined(engine, code):
    check_fault(Machine(engine, "long", code), UD)


@pytest.mark.parametrize(
    ("mode", "value", "cr0"),
    [
        ("real", RESET | CR0_PE, RESET | CR0_PE),
        ("real", 0, ET),  # ET cannot be cleared
        ("pm32", CR0_PE | 0x1FFA_FFC0, CR0_PE | ET),  # undefined bits are ignored
        ("pm32", CR0_PE | CD, CR0_PE | ET | CD),
        ("pm32", 0, ET),
        ("long", LONG_CR0 | 0x5_002E, LONG_CR0 | 0x5_002E),
        ("long", CR0_PG | CR0_PE, CR0_PG | CR0_PE | ET),
    ],
)
def test_cr0(engine, mode, value, cr0):
    check_case(engine, mode, TO_CR0, {"rax": value}, {"cr0": cr0})


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        ("pm32", CR0_PG),  # paging without protection
        ("real", CR0_PG),
        ("pm32", CR0_PE | NW),  # write-through without a cache
        ("long", LONG_CR0 | 1 << 32),
        ("long", LONG_CR0 | 1 << 63),
        ("long", RESET | CR0_PE),  # IA-32e mode is left from compatibility mode only
        ("compat", RESET | CR0_PG),
    ],
)
def test_cr0_that_is_refused(engine, mode, value):
    check_fault(Machine(engine, mode, TO_CR0, {"rax": value}), GP)


def activation(engine, **registers):
    """A machine that is about to set CR0.PG with EFER.LME."""
    ready = {"cr4": CR4_PAE, "cr3": PML4, "efer": EFER_LME, "rax": RESET | CR0_PG | CR0_PE}
    return Machine(engine, "pm32", TO_CR0 + "0f20c1", ready | registers)


def test_paging_with_lme_starts_ia_32e_mode(engine):
    machine = activation(engine)
    assert isinstance(machine.step(), Done)
    assert (machine.state.cr0, machine.state.efer) == (LONG_CR0, LONG_EFER)
    assert machine.state.mode == 32  # CS.L is clear: compatibility mode
    assert isinstance(machine.step(), Done)
    assert machine.state.rcx == LONG_CR0


@pytest.mark.parametrize(
    "registers",
    [
        {"cr4": 0},
        {"cs": Segment(8, 0, 0xFFFF_FFFF, CODE64)},
        {"tr": Segment(0x28, 0, 0xFFFF, 0x81)},
        {"tr": Segment(0x28, 0, 0xFFFF, 0x83)},
    ],
    ids=["no PAE", "CS.L", "16-bit TSS", "busy 16-bit TSS"],
)
def test_ia_32e_mode_that_cannot_start(engine, registers):
    check_fault(activation(engine, **registers), GP)


def test_ia_32e_mode_is_left_by_clearing_paging(engine):
    check_case(
        engine,
        "compat",
        TO_CR0,
        {"rax": RESET | CR0_PE},
        {"cr0": RESET | CR0_PE, "efer": EFER_LME},
    )
    busy = {"rax": RESET | CR0_PE, "cr4": CR4_PAE | PCIDE}
    check_fault(Machine(engine, "compat", TO_CR0, busy), GP)


@pytest.mark.parametrize("code", [TO_CR0, TO_CR3, TO_CR4])
@pytest.mark.parametrize("bit", [1, 2, 5, 8, 36, 51, 52, 62, 63])
def test_pae_loads_pdptes_and_refuses_reserved_bits(engine, code, bit):
    value = {TO_CR0: RESET | CR0_PE | CR0_PG, TO_CR3: PDPT_PAE, TO_CR4: CR4_PAE | PGE}[code]
    before = {"rax": value, "maxphyaddr": 36}
    if code == TO_CR0:
        before |= {"cr0": RESET | CR0_PE}
    name = {TO_CR0: "cr0", TO_CR3: "cr3", TO_CR4: "cr4"}[code]
    check_case(engine, "pae", code, before, {name: value})
    absent = before | {(PDPT_PAE + 24, 8): 1 << bit}
    check_case(engine, "pae", code, absent, {name: value})
    check_fault(Machine(engine, "pae", code, before | {(PDPT_PAE + 24, 8): 1 << bit | 1}), GP)


def test_pdptes_stay_loaded_where_nothing_asks_for_them(engine):
    bad = {(PDPT_PAE + 24, 8): 0x101 | 1 << 63}
    check_case(engine, "pae", TO_CR0, bad | {"rax": LONG_CR0 | TS}, {"cr0": LONG_CR0 | TS})
    check_case(engine, "pae", TO_CR4, bad | {"rax": CR4_PAE | DE}, {"cr4": CR4_PAE | DE})


def test_pdptes_at_a_device_are_read_once(engine):
    machine = Machine(engine, "pae", TO_CR3, {"rax": MMIO})
    accesses, outcome = machine.finish([0, 1, 0, 1])
    assert accesses == [Read(MMIO + 8 * number, 8) for number in range(4)]
    assert isinstance(outcome, Done)
    assert machine.state.cr3 == MMIO
    machine = Machine(engine, "pae", TO_CR3, {"rax": MMIO})
    before = machine.registers()
    assert machine.finish([0, 1, 0, 3])[1] == (GP, 0, 0)
    assert machine.registers() == before


def test_cr2_takes_anything(engine):
    check_case(engine, "long", TO_CR2, {"rax": 1 << 63}, {"cr2": 1 << 63})


@pytest.mark.parametrize(
    ("value", "width", "cr4", "cr3"),
    [
        (PML4 | 0x18, 52, CR4_PAE, PML4 | 0x18),
        (1 << 51, 52, CR4_PAE, 1 << 51),
        (1 << 35, 36, CR4_PAE, 1 << 35),
        (1 << 36, 36, CR4_PAE, None),
        (1 << 52, 52, CR4_PAE, None),
        (1 << 63 | PML4, 52, CR4_PAE, None),
        (1 << 63 | PML4 | 5, 52, CR4_PAE | PCIDE, PML4 | 5),  # no flush, and not stored
        (1 << 62 | PML4, 52, CR4_PAE | PCIDE, None),
    ],
)
def test_cr3(engine, value, width, cr4, cr3):
    before = {"rax": value, "maxphyaddr": width, "cr4": cr4}
    if cr3 is None:
        check_fault(Machine(engine, "long", TO_CR3, before), GP)
    else:
        check_case(engine, "long", TO_CR3, before, {"cr3": cr3})


CR4_BITS = {
    9: Feature.FXSR,
    10: Feature.SSE,
    11: Feature.UMIP,
    16: Feature.FSGSBASE,
    17: Feature.PCID,
    18: Feature.XSAVE,
    20: Feature.SMEP,
    21: Feature.SMAP,
    22: Feature.PKU,
}


@pytest.mark.parametrize("bit", range(64))
def test_cr4_bits_follow_features(engine, bit):
    value = CR4_PAE | 1 << bit
    before = {"rax": value, "cr3": PML4}
    feature = CR4_BITS.get(bit)
    if feature is None and bit > 8:
        check_fault(Machine(engine, "long", TO_CR4, before), GP)  # LA57: not in IA-32e mode
        return
    check_case(engine, "long", TO_CR4, before, {"cr4": value})
    if feature is not None:
        hidden = before | {"features": (1 << 64) - 1 & ~feature}
        check_fault(Machine(engine, "long", TO_CR4, hidden), GP)


def test_cr4_and_the_mode(engine):
    check_fault(Machine(engine, "long", TO_CR4, {"rax": 0}), GP)  # PAE stays set
    check_fault(Machine(engine, "compat", TO_CR4, {"rax": CR4_PAE | CR4_LA57}), GP)
    check_case(engine, "pm32", TO_CR4, {"rax": CR4_PAE | CR4_LA57}, {"cr4": CR4_PAE | CR4_LA57})
    check_fault(Machine(engine, "pm32", TO_CR4, {"rax": CR4_PAE | PCIDE}), GP)
    used = {"rax": CR4_PAE | PCIDE, "cr3": PML4 | 8}
    check_fault(Machine(engine, "long", TO_CR4, used), GP)
    kept = used | {"cr4": CR4_PAE | PCIDE}
    check_case(engine, "long", TO_CR4, kept, {})


def test_cr8_is_a_priority(engine):
    check_case(engine, "long", TO_CR8, {"rax": 15}, {"cr8": 15})
    for value in (16, 1 << 63):
        check_fault(Machine(engine, "long", TO_CR8, {"rax": value}), GP)


def to_dr(number, rex=""):
    """MOV to a debug register from RAX."""
    return f"{rex}0f23{0xC0 | number << 3:02x}"


@pytest.mark.parametrize(
    ("number", "name", "value", "stored"),
    [
        *((n, f"dr{n}", 1 << 63 | n, 1 << 63 | n) for n in range(4)),
        (6, "dr6", 0, 0xFFFF_0FF0),
        (6, "dr6", 0xFFFF_FFFF, 0xFFFF_EFFF),
        (7, "dr7", 0, 0x400),
        (7, "dr7", 0xFFFF_DFFF, 0xFFFF_07FF),
        (4, "dr6", 3, 0xFFFF_0FF3),
        (5, "dr7", 3, 0x403),
    ],
)
def test_debug_registers(engine, number, name, value, stored):
    check_case(engine, "long", to_dr(number), {"rax": value}, {name: stored})
    before = {name: stored, "rax": 0}
    check_case(engine, "long", f"0f21{0xC0 | number << 3:02x}", before, {"rax": stored})


def test_debug_registers_that_are_refused(engine):
    for number in (6, 7):
        check_fault(Machine(engine, "long", to_dr(number), {"rax": 1 << 32}), GP)
    for number in (4, 5):
        check_fault(Machine(engine, "pm32", to_dr(number), {"cr4": DE}), UD)
    check_fault(Machine(engine, "long", to_dr(0, "44")), UD)  # DR8
    for code in ("0f21c0", to_dr(7)):
        check_fault(Machine(engine, "pm32", code, {"dr7": 0x2400}), DB, 0, 0x2000)


def test_clts(engine):
    check_case(engine, "real", "0f06", {"cr0": RESET | TS}, {"cr0": RESET})


@pytest.mark.parametrize(
    ("mode", "value", "cr0"),
    [
        ("real", 0xFFFF, RESET | 0xF),
        ("real", 0xFFF0, RESET),
        ("pm32", 0, RESET | CR0_PE),  # PE cannot be cleared
        ("long", 0xA, LONG_CR0 | 0xA),
    ],
)
def test_lmsw(engine, mode, value, cr0):
    check_case(engine, mode, "0f01f0", {"rax": value}, {"cr0": cr0})
    memory = {"rbx": DATA, (DATA, 2): value}
    code = "0f0137" if mode == "real" else "0f0133"
    check_case(engine, mode, code, memory, {"cr0": cr0})


@pytest.mark.parametrize(
    ("mode", "code", "after"),
    [
        ("pm32", "0f01e0", {"rax": RESET | CR0_PE}),
        ("pm32", "660f01e0", {"rax": 0xFFFF_FFFF_FFFF_0011}),
        ("long", "480f01e0", {"rax": LONG_CR0}),
        ("long", "0f0123", {(DATA, 2): 0x11}),
    ],
)
def test_smsw(engine, mode, code, after):
    check_case(engine, mode, code, {"rax": (1 << 64) - 1, "rbx": DATA}, after)


@pytest.mark.parametrize("code", ["0f01e0", "0f00c0", "0f00c8", "0f0103", "0f010b"])
def test_umip(engine, code):
    """SMSW, SLDT, STR, SGDT, SIDT: hidden from CPL 3 only."""
    for cr4, cpl3 in ((0, False), (UMIP, False), (0, True)):
        machine = Machine(engine, "pm32", code, {"cr4": cr4, "rbx": DATA})
        if cpl3:
            machine.ring3()
        assert isinstance(machine.step(), Done)
    check_fault(Machine(engine, "pm32", code, {"cr4": UMIP, "rbx": DATA}).ring3(), GP)


XGETBV, XSETBV = "0f01d0", "0f01d1"
X = {"cr4": CR4_PAE | OSXSAVE}


def test_xgetbv(engine):
    before = X | {"xcr0": 7 | 1 << 40, "rax": (1 << 64) - 1, "rcx": 1 << 32}
    check_case(engine, "long", XGETBV, before, {"rax": 7, "rdx": 1 << 8})
    check_fault(Machine(engine, "long", XGETBV, X | {"rcx": 2}), GP)
    check_fault(Machine(engine, "long", XGETBV, {"cr4": CR4_PAE}), UD)


def test_xgetbv_of_what_is_in_use(engine):
    """ECX 1: components of XCR0 that do not have their initial values."""
    before = X | {"xcr0": 0x2E7, "rcx": 1, "pkru": 4, "x87_tag": 0, "x87_control": 0x37F}
    check_case(engine, "long", XGETBV, before, {"rax": 0x200, "rdx": 0})
    check_case(engine, "long", XGETBV, before | {"xcr0": 7}, {"rax": 0, "rdx": 0})
    hidden = before | {"features": (1 << 64) - 1 & ~Feature.XSAVEC}
    check_fault(Machine(engine, "long", XGETBV, hidden), GP)


@pytest.mark.parametrize("value", [1, 3, 7, 0xE7, 0x201, 0x2E7])
def test_xsetbv(engine, value):
    check_case(engine, "long", XSETBV, X | {"rax": value}, {"xcr0": value})


@pytest.mark.parametrize("value", [0, 2, 5, 0x27, 0xE3, 0x19, 0x401, 1 << 63 | 1])
def test_xcr0_that_is_refused(engine, value):
    before = X | {"rax": value & 0xFFFF_FFFF, "rdx": value >> 32}
    check_fault(Machine(engine, "long", XSETBV, before), GP)


def test_xsetbv_and_what_surrounds_it(engine):
    check_fault(Machine(engine, "long", XSETBV, {"rax": 1, "cr4": CR4_PAE}), UD)
    check_fault(Machine(engine, "long", XSETBV, X | {"rax": 1, "rcx": 1}), GP)
    check_fault(Machine(engine, "long", XSETBV, X | {"rax": 1}).ring3(), GP)
    for value, feature in ((0x201, Feature.PKU), (7, Feature.AVX), (0xE7, Feature.AVX512F)):
        hidden = X | {"rax": value, "features": (1 << 64) - 1 & ~feature}
        check_fault(Machine(engine, "long", XSETBV, hidden), GP)


def test_pkru(engine):
    on = {"cr4": CR4_PAE | CR4_PKE}
    before = on | {"pkru": 0x1234_5678, "rdx": 9}
    check_case(engine, "long", "0f01ee", before, {"rax": 0x1234_5678, "rdx": 0})
    before = on | {"rax": 1 << 32 | 0x55}
    check_case(engine, "long", "0f01ef", before, {"pkru": 0x55})
    for code in ("0f01ee", "0f01ef"):
        check_fault(Machine(engine, "long", code), UD)
        check_fault(Machine(engine, "long", code, on | {"rcx": 1}), GP)
    check_fault(Machine(engine, "long", "0f01ef", on | {"rdx": 1}), GP)


def test_nothing_else_touches_efer(engine):
    before = {"efer": LONG_EFER | EFER_NXE, "rax": LONG_CR0 | TS}
    check_case(engine, "long", TO_CR0, before, {"cr0": LONG_CR0 | TS})
