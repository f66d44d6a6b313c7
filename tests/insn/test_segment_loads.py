# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MOV and POP to segment registers: descriptor checks and their exact error codes.

SDM vol. 2B, MOV, "Protected Mode Exceptions"; vol. 3A, "Segment Descriptors".
"""

import pytest

from insn.machine import (
    DATA,
    GDT,
    GP,
    MMIO,
    NP,
    PAGE_FAULT,
    SS_FAULT,
    STACK,
    UD,
    UNUSABLE,
    VM,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Cpu, Done, Read, Segment, Write

TO_DS, TO_ES, TO_SS, TO_FS, TO_GS = "8ed8", "8ec0", "8ed0", "8ee0", "8ee8"
DATA_RW, DATA_RO, CODE_RX, CODE_XO, CODE_CONF = 0xC093, 0xC091, 0xC09B, 0xC099, 0xC09F


def with_descriptor(engine, mode, code, selector, attributes, base=0x1234_5678, limit=0xFFFFF):
    machine = Machine(engine, mode, code, {"rax": selector})
    machine.descriptor(selector >> 3, base, limit, attributes)
    return machine


@pytest.mark.parametrize("mode", ["pm16", "pm32", "compat", "long"])
@pytest.mark.parametrize(
    ("code", "name"),
    [(TO_DS, "ds"), (TO_ES, "es"), (TO_FS, "fs"), (TO_GS, "gs"), (TO_SS, "ss")],
)
def test_a_good_descriptor_fills_the_hidden_part(engine, mode, code, name):
    machine = with_descriptor(engine, mode, code, 0x18, DATA_RW)
    assert machine.step() == Done(0x1002, 2 if name == "ss" else 0)
    assert getattr(machine.state, name) == Segment(0x18, 0x1234_5678, 0xFFFF_FFFF, DATA_RW)


def test_granularity_and_base(engine):
    machine = with_descriptor(engine, "pm32", TO_DS, 0x18, 0x0093, 0xFEDC_BA98, 0x1_2345)
    machine.step()
    assert machine.state.ds == Segment(0x18, 0xFEDC_BA98, 0x1_2345, 0x0093)
    machine = with_descriptor(engine, "pm32", TO_DS, 0x18, 0x8093, 0, 0x1_2345)
    machine.step()
    assert machine.state.ds == Segment(0x18, 0, 0x1234_5FFF, 0x8093)


@pytest.mark.parametrize("attributes", [DATA_RW, DATA_RO, CODE_RX, CODE_CONF])
def test_the_accessed_bit_is_written_back(engine, attributes):
    machine = with_descriptor(engine, "pm32", TO_DS, 0x18, attributes & ~1)
    machine.step()
    assert machine.state.ds.attributes == attributes | 1
    assert machine.peek(GDT + 0x18 + 5, 1) == attributes & 0xFF | 1


# code, selector, ring, attributes, vector, error
REFUSED = [
    # beyond the table
    (TO_DS, 0x80, 0, DATA_RW, GP, 0x80),
    (TO_DS, 0xFFF8, 0, DATA_RW, GP, 0xFFF8),
    (TO_SS, 0x80, 0, DATA_RW, GP, 0x80),
    # types
    (TO_DS, 0x18, 0, CODE_XO, GP, 0x18),  # execute-only
    (TO_DS, 0x18, 0, 0x0082, GP, 0x18),  # an LDT
    (TO_DS, 0x18, 0, 0x008B, GP, 0x18),  # a TSS
    (TO_SS, 0x18, 0, DATA_RO, GP, 0x18),
    (TO_SS, 0x18, 0, CODE_RX, GP, 0x18),
    (TO_SS, 0x18, 0, 0x0082, GP, 0x18),
    # privilege: DPL must not be below CPL or RPL
    (TO_DS, 0x1B, 0, DATA_RW, GP, 0x18),
    (TO_DS, 0x1B, 3, DATA_RW, GP, 0x18),
    (TO_DS, 0x18, 3, DATA_RW, GP, 0x18),
    (TO_DS, 0x1B, 3, CODE_RX, GP, 0x18),
    (TO_SS, 0x1B, 0, DATA_RW, GP, 0x18),
    (TO_SS, 0x18, 0, DATA_RW | 0x60, GP, 0x18),
    (TO_SS, 0x18, 3, DATA_RW | 0x60, GP, 0x18),
    (TO_SS, 0x1B, 3, DATA_RW, GP, 0x18),
    # present is looked at last
    (TO_DS, 0x18, 0, DATA_RW & ~0x80, NP, 0x18),
    (TO_DS, 0x18, 0, CODE_XO & ~0x80, GP, 0x18),
    (TO_SS, 0x18, 0, DATA_RW & ~0x80, SS_FAULT, 0x18),
    (TO_SS, 0x1B, 0, DATA_RW & ~0x80, GP, 0x18),
]


@pytest.mark.parametrize(("code", "selector", "ring", "attributes", "vector", "error"), REFUSED)
@pytest.mark.parametrize("mode", ["pm32", "long"])
def test_refused(engine, mode, code, selector, ring, attributes, vector, error):
    machine = with_descriptor(engine, mode, code, selector & 0x7F, attributes)
    machine.state.rax = selector
    if ring:
        machine.ring3()
    check_fault(machine, vector, error)


ACCEPTED = [
    (TO_DS, 0x1B, 3, DATA_RW | 0x60),
    (TO_DS, 0x18, 3, DATA_RW | 0x60),
    (TO_DS, 0x1B, 0, DATA_RW | 0x60),
    (TO_DS, 0x1B, 3, CODE_CONF),  # conforming code has no DPL check
    (TO_SS, 0x1B, 3, DATA_RW | 0x60),
]


@pytest.mark.parametrize(("code", "selector", "ring", "attributes"), ACCEPTED)
def test_accepted(engine, code, selector, ring, attributes):
    machine = with_descriptor(engine, "pm32", code, selector, attributes)
    if ring:
        machine.ring3()
    assert isinstance(machine.step(), Done)


@pytest.mark.parametrize("selector", [0, 1, 2, 3])
def test_null_selectors(engine, selector):
    machine = Machine(engine, "pm32", TO_DS, {"rax": selector})
    assert isinstance(machine.step(), Done)
    assert machine.state.ds == Segment(selector, 0, 0, UNUSABLE)
    check_fault(Machine(engine, "pm32", TO_SS, {"rax": selector}), GP)
    check_fault(Machine(engine, "compat", TO_SS, {"rax": selector}), GP)
    if selector:
        check_fault(Machine(engine, "long", TO_SS, {"rax": selector}), GP)


def test_null_ss_in_64_bit_mode(engine):
    """Allowed below ring 3 when RPL is CPL, and the CPL survives it."""
    machine = Machine(engine, "long", TO_SS + "f4", {"rax": 0})
    assert machine.step() == Done(0x1002, 2)
    assert machine.state.ss.selector == 0
    assert machine.state.ss.attributes & UNUSABLE
    assert type(machine.step()).__name__ == "Halt"  # still ring 0
    machine = Machine(engine, "long", TO_SS, {"rax": 3}).ring3()
    check_fault(machine, GP)


def test_a_null_segment_cannot_be_used(engine):
    machine = Machine(engine, "pm32", TO_DS + "8b03", {"rax": 0, "rbx": DATA})
    machine.step()
    check_fault(machine, GP)


def test_a_null_segment_is_no_obstacle_in_64_bit_mode(engine):
    machine = Machine(engine, "long", TO_DS + "8b03", {"rax": 0, "rbx": DATA, (DATA, 4): 5})
    machine.step()
    machine.step()
    assert machine.state.rax == 5


def test_the_local_table(engine):
    machine = Machine(engine, "pm32", TO_DS, {"rax": 0x1C})
    machine.descriptor(3, 0x1000, 0xFFFF, DATA_RW)
    machine.state.gdtr_limit = 0
    machine.state.ldtr = Segment(0x30, GDT, 0x7F, 0x82)
    assert isinstance(machine.step(), Done)
    assert machine.state.ds.selector == 0x1C
    machine = Machine(engine, "pm32", TO_DS, {"rax": 0x1C})
    machine.state.ldtr = Segment(0, 0, 0xFFFF, UNUSABLE)
    check_fault(machine, GP, 0x1C)
    machine = Machine(engine, "pm32", TO_DS, {"rax": 0x1C})
    machine.state.ldtr = Segment(0x30, GDT, 0x1E, 0x82)  # one byte short
    check_fault(machine, GP, 0x1C)


def test_cs_cannot_be_loaded(engine):
    for mode in ("real", "pm32", "long"):
        check_fault(Machine(engine, mode, "8ec8"), UD)
        check_fault(Machine(engine, mode, "8ef0"), UD)  # 6 and 7 name no segment
        check_fault(Machine(engine, mode, "8cf8"), UD)


def test_real_mode_loads_the_base_alone(engine):
    """Limit and attributes stay, which is what "unreal mode" lives on."""
    machine = Machine(engine, "real", TO_DS, {"rax": 0x1234})
    machine.state.ds = Segment(0, 0, 0xFFFF_FFFF, DATA_RW)
    assert isinstance(machine.step(), Done)
    assert machine.state.ds == Segment(0x1234, 0x1_2340, 0xFFFF_FFFF, DATA_RW)
    machine = Machine(engine, "pm16", TO_DS, {"rax": 0x1234, "rflags": 2 | VM})
    assert isinstance(machine.step(), Done)
    assert machine.state.ds.base == 0x1_2340


def test_mov_ss_shadows(engine):
    machine = Machine(engine, "real", TO_SS + "90" + "17" + "90", {"rax": 0})
    assert [machine.step().interrupt_shadow for _ in range(4)] == [2, 0, 2, 0]


def test_pop_segment(engine):
    machine = with_descriptor(engine, "pm32", "1f", 0x18, DATA_RW)
    machine.poke(STACK, 0xFFFF_0018, 4)
    assert isinstance(machine.step(), Done)
    assert (machine.state.ds.selector, machine.state.rsp) == (0x18, STACK + 4)
    machine = with_descriptor(engine, "long", "0fa1", 0x18, DATA_RW)
    machine.poke(STACK, 0x18, 8)
    machine.step()
    assert (machine.state.fs.selector, machine.state.rsp) == (0x18, STACK + 8)
    machine = with_descriptor(engine, "pm32", "07", 0x18, DATA_RW & ~0x80)
    machine.poke(STACK, 0x18, 4)
    check_fault(machine, NP, 0x18)


def test_mov_from_segment(engine):
    ds = Segment(0x23, 0, 0xFFFF_FFFF, DATA_RW)
    ones = (1 << 64) - 1
    for mode, code, rax in (
        ("long", "8cd8", 0x23),
        ("long", "668cd8", ones & ~0xFFFF | 0x23),
        ("long", "488cd8", 0x23),
        ("pm32", "8cd8", 0x23),
    ):
        check_case(
            engine, mode, code, {"rax": ones if mode == "long" else 1, "ds": ds}, {"rax": rax}
        )
    for code in ("8c1b", "488c1b", "668c1b"):  # always two bytes to memory
        before = {"rbx": DATA, (DATA, 8): ones, "ds": ds}
        check_case(engine, "long", code, before, {(DATA, 2): 0x23})
    check_case(
        engine, "long", "8c1b", {"rbx": MMIO, "ds": ds}, {}, None, [], [Write(MMIO, 2, 0x23)]
    )


def test_descriptor_reads_are_supervisor_reads(engine):
    machine = with_descriptor(engine, "long", TO_DS, 0x1B, DATA_RW | 0x60).ring3()
    machine.pte(GDT, GDT | 3)
    assert isinstance(machine.step(), Done)
    machine = with_descriptor(engine, "long", TO_DS, 0x1B, DATA_RW | 0x60).ring3()
    machine.pte(GDT, 0)
    check_fault(machine, PAGE_FAULT, 0, GDT + 0x18)


def test_the_accessed_bit_needs_a_writable_page(engine):
    machine = with_descriptor(engine, "long", TO_DS, 0x18, DATA_RW & ~1)
    machine.state.cr0 |= 1 << 16
    machine.pte(GDT, GDT | 1)
    check_fault(machine, PAGE_FAULT, 3, GDT + 0x18 + 5)
    machine.descriptor(3, 0, 0xFFFFF, DATA_RW)
    assert isinstance(machine.step(), Done)


def test_selector_from_a_device_is_read_once(engine):
    machine = with_descriptor(engine, "long", "8e1b", 0x18, DATA_RW)
    machine.state.rbx = MMIO
    accesses, outcome = machine.finish([0x18])
    assert (accesses, outcome) == ([Read(MMIO, 2)], Done(0x1002, 0))
    assert machine.state.ds.selector == 0x18


def test_a_table_in_a_device(engine):
    machine = Machine(engine, "pm32", TO_DS, {"rax": 8, "gdtr_base": MMIO, "gdtr_limit": 0xFF})
    accesses, _ = machine.finish([0x00CF_9200_0000_FFFF])
    assert accesses == [Read(MMIO + 8, 8), Write(MMIO + 13, 1, 0x93)]
    assert machine.state.ds == Segment(8, 0, 0xFFFF_FFFF, DATA_RW)


@pytest.mark.parametrize("mode", ["pm32", "compat"])
def test_descriptors_that_cross_a_page_use_the_table_s_own_width(engine, mode):
    """In compatibility mode the GDT may lie above 4 GiB, and stays there across a page."""
    base = 0x2FFC - 8 if mode == "pm32" else 0x1_0000_2FFC - 8
    machine = Machine(engine, mode, TO_DS, {"rax": 8, "gdtr_base": base, "gdtr_limit": 0xFF})
    machine.poke(0x2FFC, 0x00CF_9300_0000_FFFF, 8)
    if mode == "compat":
        pdpt = 0x41000
        machine.poke(pdpt + 8 * 4, 0x42003, 8)  # 4 GiB shows the first GiB again
        machine.poke(pdpt, 0x42003, 8)
    assert isinstance(machine.step(), Done)
    assert machine.state.ds == Segment(8, 0, 0xFFFF_FFFF, DATA_RW)


def test_tables_at_the_top_of_the_address_space_wrap(engine):
    cpu = Cpu([(0, bytearray(4096)), (0xFFFF_F000, bytearray(4096))], engine=engine)
    cpu.state.enter_protected_mode(0xFFFF_F000)
    cpu.state.gdtr_base, cpu.state.gdtr_limit = 0xFFFF_FFFC - 8, 0xFF
    cpu.state.rax = 8
    # fetched from the top page: mov ds, ax is not there, so write it through a second view
    top = bytearray(4096)
    top[:2] = bytes.fromhex("8ed8")
    top[0xFFC:] = (0xFFFF).to_bytes(4, "little")
    bottom = bytearray(4096)
    bottom[:4] = (0x00CF_9300).to_bytes(4, "little")
    cpu = Cpu([(0, bottom), (0xFFFF_F000, top)], engine=engine, state=cpu.state)
    assert isinstance(cpu.step(), Done)
    assert cpu.state.ds == Segment(8, 0, 0xFFFF_FFFF, DATA_RW)
