# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""32-bit and PAE paging, and what all modes have in common: formats, reserved bits, fetching.

SDM vol. 3A, "32-Bit Paging", "PAE Paging", and "4-Level Paging and 5-Level Paging".
`test_paging.py` has the rights and the error codes of 4 and 5 levels.
"""

import pytest

from insn.machine import (
    CODE,
    CR0_WP,
    CR4_PSE,
    DATA,
    EFER_NXE,
    MARKED,
    MMIO,
    PAGE_FAULT,
    PAGED,
    PD,
    PD32,
    PDPT,
    PDPT_PAE,
    PML4,
    PS,
    PT,
    PT32,
    RW,
    US,
    XD,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.errors import StateError
from vmmkit.insn import WORD, CpuState, Done, Read, Segment, Write

LOAD, STORE = "8b03", "8903"
PRESENT, WRITE, USER, RSVD, FETCH = 1, 2, 4, 8, 16
ALL = P | RW | US | MARKED


@pytest.mark.parametrize("mode", PAGED)
def test_each_mode_reaches_its_pages(engine, mode):
    check_case(engine, mode, LOAD, {"rbx": DATA + 4, (DATA + 4, 4): 5}, {"rax": 5})
    check_case(engine, mode, STORE, {"rbx": DATA, "rax": 7}, {(DATA, 4): 7})
    machine = Machine(engine, mode, LOAD, {"rbx": DATA})
    machine.pte(DATA, MMIO | P)
    assert machine.step() == Read(MMIO, 4)


@pytest.mark.parametrize("mode", PAGED)
@pytest.mark.parametrize(
    ("code", "entry", "ring", "wp", "error"),
    [
        (LOAD, 0, 0, False, 0),
        (LOAD, 0, 3, False, USER),
        (STORE, 0, 3, False, WRITE | USER),
        (LOAD, P, 3, False, PRESENT | USER),
        (STORE, P | US, 3, False, PRESENT | WRITE | USER),
        (STORE, P | US, 0, True, PRESENT | WRITE),
        (STORE, P | US, 0, False, None),
        (STORE, P | RW | US, 3, True, None),
        (LOAD, P, 0, True, None),
    ],
)
def test_rights_in_each_mode(engine, mode, code, entry, ring, wp, error):
    machine = Machine(engine, mode, code, {"rbx": DATA})
    if ring:
        machine.ring3()
    machine.state.cr0 |= CR0_WP if wp else 0
    machine.pte(DATA, DATA | entry)
    if error is None:
        assert isinstance(machine.step(), Done)
    else:
        check_fault(machine, PAGE_FAULT, error, DATA)


@pytest.mark.parametrize("mode", ["pg32", "pae"])
@pytest.mark.parametrize("removed", [RW, US])
def test_the_upper_level_takes_rights_away(engine, mode, removed):
    """Fetching goes by way of the same entry, so the data is what the supervisor's WP judges."""
    machine = Machine(engine, mode, STORE, {"rbx": DATA})
    table = PD32 if mode == "pg32" else PD
    machine.poke(table, machine.peek(table, 4) & ~removed, 4)
    if removed == US:
        check_fault(machine.ring3(), PAGE_FAULT, PRESENT | USER, CODE)
    else:
        machine.state.cr0 |= CR0_WP
        check_fault(machine, PAGE_FAULT, PRESENT | WRITE, DATA)


@pytest.mark.parametrize("missing", [PDPT_PAE, PD, PT + 8 * (CODE >> 12)])
def test_pae_levels_must_be_present(engine, missing):
    machine = Machine(engine, "pae", "90")
    machine.poke(missing, machine.peek(missing, 8) & ~P, 8)
    check_fault(machine, PAGE_FAULT, 0, CODE)


@pytest.mark.parametrize("bit", [1, 2, 5, 6, 7, 8, 52, 62, 63])
@pytest.mark.parametrize("nxe", [False, True])
def test_pae_pdptes_have_reserved_bits_where_others_have_rights(engine, bit, nxe):
    machine = Machine(engine, "pae", "90")
    machine.state.efer |= EFER_NXE if nxe else 0
    machine.poke(PDPT_PAE, PD | P | 1 << bit, 8)
    check_fault(machine, PAGE_FAULT, PRESENT | RSVD | (FETCH if nxe else 0), CODE)


@pytest.mark.parametrize("bit", [3, 4, 9, 10, 11])
def test_pae_pdptes_have_ignored_bits_too(engine, bit):
    machine = Machine(engine, "pae", "90")
    machine.poke(PDPT_PAE, PD | P | 1 << bit, 8)
    assert isinstance(machine.step(), Done)


@pytest.mark.parametrize(("number", "linear"), [(1, 0x4000_0000), (2, 0x8000_0000), (3, 3 << 30)])
def test_pae_has_four_pdptes_in_a_table_of_32_bytes(engine, number, linear):
    """The table of this machine is aligned to 32 bytes only; bits 4:0 of CR3 are no address."""
    machine = Machine(engine, "pae", LOAD, {"rbx": linear | 0x1F_FFFC, "cr3": PDPT_PAE | 0x1F})
    machine.poke(PDPT_PAE + 8 * number, 0x4_5000 | P, 8)
    machine.poke(0x4_5000, 1 << 40 | ALL | PS, 8)
    assert machine.step() == Read(1 << 40 | 0x1F_FFFC, 4)


def test_pae_pdptes_are_read_at_each_walk(engine):
    """A processor would have loaded them at MOV CR3; the module says so."""
    machine = Machine(engine, "pae", "9090")
    machine.step()
    machine.poke(PDPT_PAE, 0, 8)
    check_fault(machine, PAGE_FAULT, 0, CODE + 1)


# mode, entry (gpa, size), bits, linear address that fails
RESERVED_BITS = [
    ("pae", (PD, 8), [52, 59, 62]),
    ("pae", (PT + 8 * (CODE >> 12), 8), [52, 59, 62]),
    ("long", (PML4, 8), [7]),
    ("long", (PDPT, 8), []),
]


@pytest.mark.parametrize("maxphyaddr", [32, 36, 46, 52])
@pytest.mark.parametrize(("mode", "place", "bits"), RESERVED_BITS)
def test_reserved_bits_follow_the_physical_address_width(engine, mode, place, bits, maxphyaddr):
    for bit in [*bits, *range(maxphyaddr, 52)]:
        machine = Machine(engine, mode, "90", {"maxphyaddr": maxphyaddr})
        machine.poke(place[0], machine.peek(*place) | 1 << bit, 8)
        check_fault(machine, PAGE_FAULT, PRESENT | RSVD, CODE)


@pytest.mark.parametrize("maxphyaddr", [32, 40, 51])
def test_address_bits_within_the_width_are_address(engine, maxphyaddr):
    machine = Machine(engine, "long", LOAD, {"rbx": DATA, "maxphyaddr": maxphyaddr})
    machine.pte(DATA, 1 << maxphyaddr - 1 | P)
    assert machine.step() == Read(1 << maxphyaddr - 1, 4)


@pytest.mark.parametrize("bit", [52, 58, 59, 62])
def test_bits_62_to_52_are_ignored_with_4_levels(engine, bit):
    machine = Machine(engine, "long", "90")
    machine.poke(PDPT, machine.peek(PDPT, 8) | 1 << bit, 8)
    machine.poke(PT + 8, machine.peek(PT + 8, 8) | 1 << bit, 8)
    assert isinstance(machine.step(), Done)


@pytest.mark.parametrize("bit", range(13, 21))
def test_2_mib_pages_reserve_their_low_address_bits(engine, bit):
    for mode in ("pae", "long"):
        machine = Machine(engine, mode, "90")
        machine.poke(PD, ALL | PS | 1 << bit, 8)
        check_fault(machine, PAGE_FAULT, PRESENT | RSVD, CODE)


def test_4_mib_pages(engine):
    machine = Machine(engine, "pg32", LOAD, {"rbx": 0xC07F_FFFC})
    machine.poke(PD32 + 4 * 0x301, 0x8040_0000 | ALL | PS | 1 << 12, 4)
    assert machine.step() == Read(0x807F_FFFC, 4)


@pytest.mark.parametrize("bit", range(13, 21))
def test_pse_36_puts_the_high_address_bits_into_the_middle(engine, bit):
    machine = Machine(engine, "pg32", LOAD, {"rbx": 0xC000_0010})
    machine.poke(PD32 + 4 * 0x300, 0x4000_0000 | ALL | PS | 1 << bit, 4)
    assert machine.step() == Read(0x4000_0010 | 1 << bit + 19, 4)


@pytest.mark.parametrize(
    ("maxphyaddr", "reserved"), [(52, 21), (40, 21), (39, 20), (36, 17), (32, 13)]
)
def test_pse_36_reserves_what_the_width_leaves_over(engine, maxphyaddr, reserved):
    for bit in range(13, 22):
        registers = {"rbx": 0xC000_0000, "maxphyaddr": maxphyaddr}
        machine = Machine(engine, "pg32", LOAD, registers)
        machine.poke(PD32 + 4 * 0x300, ALL | PS | 1 << bit, 4)
        if bit >= reserved:
            check_fault(machine, PAGE_FAULT, PRESENT | RSVD, 0xC000_0000)
        else:
            assert machine.step() == Read(1 << bit + 19, 4)


def test_without_pse_the_bit_means_nothing(engine):
    machine = Machine(engine, "pg32", LOAD, {"rbx": DATA, (DATA, 4): 5})
    machine.state.cr4 &= ~CR4_PSE
    machine.poke(PD32, PT32 | ALL | PS, 4)
    assert isinstance(machine.step(), Done)
    assert machine.state.rax == 5


def test_32_bit_entries_have_no_execute_disable(engine):
    """NXE matters to entries of 8 bytes only, and the error code says nothing of fetches."""
    machine = Machine(engine, "pg32", "90")
    machine.state.efer |= EFER_NXE
    assert isinstance(machine.step(), Done)
    machine.pte(CODE, 0)
    machine.state.rip = CODE
    check_fault(machine, PAGE_FAULT, 0, CODE)


def test_execute_disable_in_pae(engine):
    machine = Machine(engine, "pae", "90")
    machine.pte(CODE, CODE | P | XD)
    check_fault(machine, PAGE_FAULT, PRESENT | RSVD, CODE)
    machine.state.efer |= EFER_NXE
    check_fault(machine, PAGE_FAULT, PRESENT | FETCH, CODE)


@pytest.mark.parametrize("mode", PAGED)
def test_a_crossing_operand_faults_on_the_page_it_needs(engine, mode):
    machine = Machine(engine, mode, STORE, {"rbx": DATA + 0xFFE, "rax": 0x4433_2211})
    machine.pte(DATA + 0x1000, 0)
    check_fault(machine, PAGE_FAULT, WRITE, DATA + 0x1000)
    machine.pte(DATA, 0)
    check_fault(machine, PAGE_FAULT, WRITE, DATA + 0xFFE)
    machine.pte(DATA, DATA | ALL)
    machine.pte(DATA + 0x1000, MMIO | ALL)
    assert machine.finish()[0] == [Write(MMIO, 2, 0x4433)]
    assert machine.peek(DATA + 0xFFE, 2) == 0x2211


@pytest.mark.parametrize("mode", PAGED)
def test_the_next_page_is_fetched_only_if_its_bytes_are_needed(engine, mode):
    machine = Machine(engine, mode)
    machine.poke(CODE + 0xFFE, bytes.fromhex("89d8"))  # mov eax, ebx
    machine.state.rip = CODE + 0xFFE
    machine.pte(CODE + 0x1000, 0)
    assert machine.step() == Done(CODE + 0x1000, 0)
    machine.poke(CODE + 0xFFE, bytes.fromhex("81c3"))  # add ebx, imm32
    machine.state.rip = CODE + 0xFFE
    check_fault(machine, PAGE_FAULT, 0, CODE + 0x1000)


@pytest.mark.parametrize("mode", PAGED)
def test_code_may_cross_into_a_page_elsewhere(engine, mode):
    machine = Machine(engine, mode)
    machine.poke(CODE + 0xFFE, bytes.fromhex("b878"))  # mov eax, imm32
    machine.poke(0x1_5000, bytes.fromhex("563412"))
    machine.pte(CODE + 0x1000, 0x1_5000 | P | RW | US)
    machine.state.rip = CODE + 0xFFE
    assert machine.step() == Done(CODE + 0x1003, 0)
    assert machine.state.rax == 0x1234_5678


@pytest.mark.parametrize("mode", ["pg32", "pae"])
def test_linear_addresses_wrap_at_4_gib(engine, mode):
    """The second half of the operand is at linear address 0, not beyond the tables."""
    machine = Machine(engine, mode, LOAD, {"rbx": 0xEFFF_FFFE, (DATA, 4): 0xBBAA})
    machine.state.ds = Segment(0x10, 0x1000_0000, 0xFFFF_FFFF, 0xC093)
    if mode == "pg32":
        machine.poke(PD32 + 4 * 1023, 0x4_5000 | ALL, 4)
        machine.poke(0x4_5000 + 4 * 1023, MMIO | ALL, 4)
    else:
        machine.poke(PDPT_PAE + 24, 0x4_5000 | P, 8)
        machine.poke(0x4_5000 + 8 * 511, 0x4_6000 | ALL, 8)
        machine.poke(0x4_6000 + 8 * 511, MMIO | ALL, 8)
    machine.pte(0, DATA | ALL)
    accesses, outcome = machine.finish([0xDDCC])
    assert accesses == [Read(MMIO + 0xFFE, 2)]
    assert isinstance(outcome, Done)
    assert machine.state.rax == 0xBBAA_DDCC


def test_virtual_8086_mode_is_paged(engine):
    machine = Machine(engine, "pg32", "8b07", {"rbx": 0})
    for name in ("es", "cs", "ss", "ds", "fs", "gs"):
        setattr(machine.state, name, Segment(0x200, DATA, 0xFFFF, 0xF3))
    machine.state.cs = Segment(0, 0, 0xFFFF, 0xF3)
    machine.state.rflags |= 1 << 17
    machine.pte(DATA, DATA | P)
    check_fault(machine, PAGE_FAULT, PRESENT | USER, DATA)
    machine.pte(DATA, MMIO | P | US)
    assert machine.step() == Read(MMIO, 2)


@pytest.mark.parametrize("value", [31, 53, -1, 1 << 64, None, 40.0])
def test_the_physical_width_has_a_range(value):
    state = CpuState()
    with pytest.raises(StateError, match="maxphyaddr"):
        state.maxphyaddr = value
    assert state.maxphyaddr == 52


def test_a_new_state_has_the_largest_width_and_a_reset_forgets_the_rights_of_keys():
    state = CpuState()
    assert (state.maxphyaddr, state.pkru) == (52, 0)
    state.maxphyaddr, state.pkru = 39, 5
    state.reset()
    assert (state.maxphyaddr, state.pkru) == (39, 0)


@pytest.mark.parametrize(("raw", "like"), [(0, 32), (31, 32), (64, 52), (1 << 63, 52)])
def test_a_width_out_of_range_in_the_record_does_no_harm(engine, raw, like):
    outcomes = []
    for width in (raw, like):
        machine = Machine(engine, "long", LOAD, {"rbx": DATA})
        machine.state.words[WORD["maxphyaddr"]] = width
        machine.pte(DATA, 1 << 40 | P)
        outcomes.append(machine.step())
    assert outcomes[0] == outcomes[1]
