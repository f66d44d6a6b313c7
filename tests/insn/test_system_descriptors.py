# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Descriptor-table registers, LDTR and TR, and the probes LAR, LSL, VERR, VERW (SDM vol. 2)."""

import pytest

from insn.machine import (
    DATA,
    GDT,
    GP,
    MMIO,
    NP,
    PAGE_FAULT,
    UD,
    UNUSABLE,
    VM,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Read, Segment, Write

ALL = (1 << 64) - 1
TABLES = {
    "gdt": ("gdtr_base", "gdtr_limit", "0f0103", "0f0113"),
    "idt": ("idtr_base", "idtr_limit", "0f010b", "0f011b"),
}
BASE, LIMIT = 0x1234_5678, 0xABCD


@pytest.mark.parametrize("names", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize(
    ("mode", "prefix", "size", "loaded"),
    [
        ("pm32", "", 4, BASE),
        ("pm32", "66", 4, BASE & 0xFF_FFFF),  # stored whole, loaded without the highest byte
        ("pm16", "66", 4, BASE),
        ("compat", "", 4, BASE),
        ("long", "", 8, BASE | 0xFFFF_8000 << 32),
        ("long", "66", 8, BASE | 0xFFFF_8000 << 32),
    ],
)
def test_tables(engine, names, mode, prefix, size, loaded):
    base_name, limit_name, store, load = names
    base = loaded | BASE
    address = "67" if mode == "pm16" else ""
    before = {"rbx": DATA, (DATA + 2, 8): ALL, base_name: base, limit_name: LIMIT}
    after = {(DATA, 2): LIMIT, (DATA + 2, size): base}
    check_case(engine, mode, address + prefix + store, before, after)
    before = {"rbx": DATA, (DATA, 2): LIMIT, (DATA + 2, 8): base}
    check_case(
        engine, mode, address + prefix + load, before, {base_name: loaded, limit_name: LIMIT}
    )


def test_real_mode_loads_tables_with_24_bits(engine):
    before = {"rbx": DATA, (DATA, 2): 0x7F, (DATA + 2, 4): 0x8123_4567}
    after = {"gdtr_base": 0x23_4567, "gdtr_limit": 0x7F}
    check_case(engine, "real", "0f0117", before, after)
    check_case(engine, "real", "660f0117", before, after | {"gdtr_base": 0x8123_4567})


def test_a_base_that_is_not_canonical(engine):
    before = {"rbx": DATA, (DATA + 2, 8): 1 << 47}
    for code in ("0f0113", "0f011b"):
        check_fault(Machine(engine, "long", code, before), GP)
        check_fault(Machine(engine, "long", code, {"rbx": DATA}).ring3(), GP)


def test_tables_at_a_device_are_two_accesses(engine):
    before = {"rbx": MMIO, "gdtr_base": BASE, "gdtr_limit": LIMIT}
    accesses = (Write(MMIO, 2, LIMIT), Write(MMIO + 2, 8, BASE))
    check_case(engine, "long", "0f0103", before, {}, accesses=accesses)
    after = {"gdtr_base": 0x1000, "gdtr_limit": 0x7F}
    check_case(
        *(engine, "long", "0f0113", {"rbx": MMIO}, after),
        answers=(0x7F, 0x1000),
        accesses=(Read(MMIO, 2), Read(MMIO + 2, 8)),
    )


def test_a_store_is_checked_whole_before_its_first_byte(engine):
    machine = Machine(engine, "long", "0f0103", {"rbx": DATA + 0xFFC})
    machine.pte(DATA + 0x1000, 0)
    check_fault(machine, PAGE_FAULT, 2, DATA + 0x1000)


@pytest.mark.parametrize(("digit", "name"), [(0, "ldtr"), (1, "tr")])
def test_sldt_and_str(engine, digit, name):
    register, memory = f"0f00{0xC0 | digit << 3:02x}", f"0f00{0x03 | digit << 3:02x}"
    before = {name: Segment(0x28, 0, 0xFF, 0x82), "rax": ALL, "rbx": DATA, (DATA, 8): ALL}
    check_case(engine, "pm32", register, before, {"rax": 0x28})
    check_case(engine, "pm32", "66" + register, before, {"rax": ALL & ~0xFFFF | 0x28})
    check_case(engine, "long", "48" + register, before, {"rax": 0x28})
    check_case(engine, "long", "48" + memory, before, {(DATA, 2): 0x28})


@pytest.mark.parametrize(
    "code", [*(f"0f00{0xC0 | n << 3:02x}" for n in range(6)), "0f02c1", "0f03c1"]
)
def test_selectors_mean_nothing_in_real_and_virtual_mode(engine, code):
    check_fault(Machine(engine, "real", code), UD)
    check_fault(Machine(engine, "pm16", code, {"rflags": VM | 2}), UD)


def with_descriptors(engine, mode, code, registers=None):
    """A machine whose GDT has one of each kind of what these instructions look at."""
    machine = Machine(engine, mode, code, registers)
    for index, (base, limit, attributes) in DESCRIPTORS.items():
        machine.descriptor(index, base, limit, attributes)
    for index, upper in UPPER.items():
        machine.poke(GDT + 8 * index + 8, upper, 8)
    return machine


LDT, LDT_ABSENT, TSS, TSS_16, TSS_ABSENT, TSS_BUSY, ODD_UPPER, ODD_BASE = 1, 3, 5, 7, 8, 10, 11, 13
DESCRIPTORS = {
    LDT: (DATA, 0x37, 0x82),
    LDT_ABSENT: (DATA, 0x37, 0x02),
    TSS: (0x8123_4567, 0x12345, 0x8089),
    TSS_16: (DATA, 0x2B, 0x81),
    TSS_ABSENT: (DATA, 0x67, 0x09),
    TSS_BUSY: (DATA, 0x67, 0x8B),
    ODD_UPPER: (DATA, 0x67, 0x89),
    ODD_BASE: (DATA, 0x67, 0x89),
}
UPPER = {LDT: 0, LDT_ABSENT: 0, TSS: 0xFFFF_8000, ODD_UPPER: 1 << 40, ODD_BASE: 1 << 31}
LLDT, LTR = "0f00d0", "0f00d8"


def loaded(engine, mode, code, selector):
    """Step and return the machine."""
    machine = with_descriptors(engine, mode, code, {"rax": selector})
    assert isinstance(machine.step(), Done)
    return machine


@pytest.mark.parametrize("mode", ["pm16", "pm32", "compat", "long"])
def test_lldt(engine, mode):
    machine = loaded(engine, mode, LLDT, LDT << 3 | 3)
    assert machine.state.ldtr == Segment(LDT << 3 | 3, DATA, 0x37, 0x82)
    for selector in range(4):
        machine = loaded(engine, mode, LLDT, selector)
        assert machine.state.ldtr == Segment(selector, 0, 0, UNUSABLE)


@pytest.mark.parametrize(
    ("mode", "base"),
    [
        *(("pm16", 0x8123_4567), ("pm32", 0x8123_4567)),
        *(("compat", 0xFFFF_8000_8123_4567), ("long", 0xFFFF_8000_8123_4567)),
    ],
)
def test_ltr_marks_the_descriptor_as_busy(engine, mode, base):
    machine = loaded(engine, mode, LTR, TSS << 3)
    assert machine.state.tr == Segment(TSS << 3, base, 0x1234_5FFF, 0x808B)
    assert machine.peek(GDT + 8 * TSS + 5, 1) == 0x8B
    machine.state.rip -= 3
    check_fault(machine, GP, TSS << 3)  # it is busy now


def test_a_16_bit_tss_is_of_legacy_mode(engine):
    machine = loaded(engine, "pm32", LTR, TSS_16 << 3)
    assert machine.state.tr == Segment(TSS_16 << 3, DATA, 0x2B, 0x83)
    check_fault(with_descriptors(engine, "compat", LTR, {"rax": TSS_16 << 3}), GP, TSS_16 << 3)


@pytest.mark.parametrize(
    ("code", "mode", "selector", "vector", "error"),
    [
        (LTR, "pm32", 0, GP, 0),
        (LTR, "pm32", 3, GP, 0),
        (LTR, "pm32", TSS << 3 | 4, GP, TSS << 3 | 4),  # in the LDT
        (LTR, "pm32", 0x7B | 0x80, GP, 0xF8),  # beyond the limit
        (LTR, "pm32", LDT << 3, GP, LDT << 3),
        (LTR, "pm32", TSS_BUSY << 3 | 3, GP, TSS_BUSY << 3),
        (LTR, "pm32", TSS_ABSENT << 3, NP, TSS_ABSENT << 3),
        (LTR, "long", ODD_UPPER << 3, GP, ODD_UPPER << 3),
        (LTR, "long", ODD_BASE << 3, GP, ODD_BASE << 3),
        (LTR, "long", 0x78, GP, 0x78),  # its second half is beyond the limit
        (LLDT, "pm32", TSS << 3, GP, TSS << 3),
        (LLDT, "pm32", LDT << 3 | 4, GP, LDT << 3 | 4),
        (LLDT, "long", LDT_ABSENT << 3, NP, LDT_ABSENT << 3),
        (LLDT, "pm32", 0x80, GP, 0x80),
    ],
)
def test_loads_that_are_refused(engine, code, mode, selector, vector, error):
    check_fault(with_descriptors(engine, mode, code, {"rax": selector}), vector, error)


@pytest.mark.parametrize("code", [LLDT, LTR])
def test_loads_are_privileged(engine, code):
    for mode in ("pm32", "long"):
        check_fault(with_descriptors(engine, mode, code, {"rax": 8}).ring3(), GP)


def test_a_tss_descriptor_that_cannot_be_written(engine):
    machine = with_descriptors(engine, "long", LTR, {"rax": TSS << 3, "cr0": 0xE001_0011})
    machine.pte(GDT, GDT | P)
    check_fault(machine, PAGE_FAULT, 3, GDT + 8 * TSS)


def test_a_tss_descriptor_at_a_device(engine):
    machine = Machine(engine, "pm32", LTR, {"rax": 8, "gdtr_base": MMIO, "gdtr_limit": 0xF})
    descriptor = 0x0000_8900_2000_0067
    accesses, outcome = machine.finish([descriptor])
    assert accesses == [Read(MMIO + 8, 8), Write(MMIO + 8, 8, descriptor | 2 << 40)]
    assert isinstance(outcome, Done)


# What probes see: index, access rights, and by mode and CPL whether LAR and LSL find it.
SEGMENT_KINDS = {
    1: 0xC093,  # data
    2: 0xC091,  # read-only data
    3: 0xC09B,  # code
    4: 0xC099,  # execute-only code
    5: 0xC09F,  # conforming code
    6: 0xC0F3,  # data for ring 3
    7: 0x0013,  # data, not present
}
SYSTEM_TYPES = range(16)
LAR_LEGACY, LAR_LONG = {1, 2, 3, 4, 5, 9, 11, 12}, {2, 9, 11, 12}
LSL_LEGACY, LSL_LONG = {1, 2, 3, 9, 11}, {2, 9, 11}
ZF, FLAGS = 0x40, 0x897


def probe(engine, mode, code, attributes, selector, *, cpl=0):
    """Execute with the descriptor at index 1; return ZF and ECX."""
    machine = Machine(engine, mode, code, {"rax": selector, "rcx": ALL, "rflags": FLAGS})
    machine.descriptor(1, DATA, 0x54321, attributes)
    if cpl:
        machine.ring3()
    before = machine.registers()
    assert isinstance(machine.step(), Done)
    after = machine.registers()
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"rip", "rflags", "rcx"}
    assert after["rflags"] & ~ZF == FLAGS
    return bool(after["rflags"] & ZF), after["rcx"]


LAR, LSL, VERR, VERW = "0f02c8", "0f03c8", "0f00e0", "0f00e8"


@pytest.mark.parametrize("mode", ["pm32", "compat", "long"])
@pytest.mark.parametrize("kind", SYSTEM_TYPES)
def test_probes_of_system_descriptors(engine, mode, kind):
    rights = 0x8080 | kind
    lar, lsl = (LAR_LEGACY, LSL_LEGACY) if mode == "pm32" else (LAR_LONG, LSL_LONG)
    assert probe(engine, mode, LAR, rights, 8) == (
        (True, 0x85_8000 | kind << 8) if kind in lar else (False, ALL)
    )
    assert probe(engine, mode, LSL, rights, 8) == (
        (True, 0x5432_1FFF) if kind in lsl else (False, ALL)
    )
    for code in (VERR, VERW):
        assert probe(engine, mode, code, rights, 8) == (False, ALL)


@pytest.mark.parametrize("rights", SEGMENT_KINDS.values())
def test_probes_of_segments(engine, rights):
    readable = not rights & 8 or rights & 2
    writable = rights & 10 == 2
    conforming = rights & 12 == 12
    for cpl, rpl in ((0, 0), (0, 3), (3, 0), (3, 3)):
        visible = conforming or (rights >> 5 & 3) >= max(cpl, rpl)
        limit = 0x5432_1FFF if rights & 0x8000 else 0x54321
        access = (rights & 0xFF) << 8 | (rights >> 12) << 20 | 5 << 16
        for code, found, value in (
            (LAR, visible, access),
            (LSL, visible, limit),
            (VERR, visible and readable, ALL),
            (VERW, visible and writable, ALL),
        ):
            expected = (bool(found), value if found else ALL)
            assert probe(engine, "pm32", code, rights, 8 | rpl, cpl=cpl) == expected


@pytest.mark.parametrize("code", [LAR, LSL, VERR, VERW])
@pytest.mark.parametrize("selector", [0, 3, 0xC, 0x80, 0xFFFF])
def test_probes_of_nothing_do_not_fault(engine, code, selector):
    """Null, in an LDT that is not there, beyond the limit."""
    machine = Machine(engine, "pm32", code, {"rax": selector, "rcx": ALL, "rflags": FLAGS | ZF})
    machine.descriptor(1, DATA, 0, 0xC093)
    machine.state.ldtr = Segment(0, 0, 0xFFFF, UNUSABLE)
    assert isinstance(machine.step(), Done)
    assert (machine.state.rcx, machine.state.rflags) == (ALL, FLAGS)


def test_probes_take_16_bits_of_a_register_and_of_memory(engine):
    assert probe(engine, "pm32", "66" + LAR, 0xC093, 8) == (True, ALL & ~0xFFFF | 0x9300)
    assert probe(engine, "pm32", "66" + LSL, 0xC093, 8) == (True, ALL & ~0xFFFF | 0x1FFF)
    assert probe(engine, "long", "48" + LSL, 0xC093, 0xFFFF_0008) == (True, 0x5432_1FFF)
    before = {"rbx": MMIO, "rcx": 0, "rflags": 2}
    machine = Machine(engine, "pm32", "0f030b", before)
    machine.descriptor(1, DATA, 0x10, 0x93)
    accesses, outcome = machine.finish([8])
    assert accesses == [Read(MMIO, 2)]
    assert isinstance(outcome, Done)
    assert machine.state.rcx == 0x10


def test_a_probe_can_page_fault(engine):
    machine = Machine(engine, "long", LAR, {"rax": 8})
    machine.descriptor(1, DATA, 0, 0xC093)
    machine.pte(GDT, 0)
    check_fault(machine, PAGE_FAULT, 0, GDT + 8)
