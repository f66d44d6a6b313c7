# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Placing table sets: addresses, pointers, checksums, and what is refused."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.table_sets import PointingTable, minimal, table_sets
from vmmkit.acpi.layout import E820Type, TableSet
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.madt import Madt
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import PlacementError, TableValueError

BASE = 0x7FF0_0000
FOUR_GIB = 1 << 32


def number(data, offset, size):
    return int.from_bytes(data[offset : offset + size], "little")


def names(placement):
    return [piece.name for piece in placement.pieces]


def listed(placement, root="XSDT"):
    data = placement.piece(root).data
    size = 8 if root == "XSDT" else 4
    addresses = [number(data, offset, size) for offset in range(36, len(data), size)]
    by_address = {piece.gpa: piece.name for piece in placement.pieces}
    return [by_address[address] for address in addresses]


def test_a_set_lies_in_one_block_and_every_pointer_leads_where_it_should():
    placement = minimal().place(BASE)
    assert names(placement) == [
        *("RSDP", "XSDT", "RSDT", "FACP", "DSDT", "APIC", "SSDT", "SSDT#2", "FACS")
    ]
    assert placement.rsdp == BASE
    rsdp, fadt = placement.piece("RSDP").data, placement.piece("FACP").data
    gpa = {piece.name: piece.gpa for piece in placement.pieces}
    assert number(rsdp, 16, 4) == gpa["RSDT"]
    assert number(rsdp, 24, 8) == gpa["XSDT"]
    assert number(fadt, 36, 4) == number(fadt, 132, 8) == gpa["FACS"]
    assert number(fadt, 40, 4) == number(fadt, 140, 8) == gpa["DSDT"]
    assert listed(placement) == listed(placement, "RSDT") == ["FACP", "APIC", "SSDT", "SSDT#2"]


def test_every_checksum_is_right():
    for gpa, data, name in minimal().place(BASE).pieces:
        if name != "FACS":
            assert sum(data) & 0xFF == 0, hex(gpa)
        if name == "RSDP":
            assert sum(data[:20]) & 0xFF == 0


def test_each_kind_of_memory_has_pages_of_its_own():
    tables = minimal()
    tables.add(Blob(bytes(5000), "log"))
    placement = tables.place(BASE)
    assert placement.e820 == (
        (BASE, 0x1000, E820Type.ACPI),
        (BASE + 0x1000, 0x1000, E820Type.NVS),
        (BASE + 0x2000, 0x2000, E820Type.RESERVED),
    )
    assert placement.piece("FACS").gpa == BASE + 0x1000
    assert placement.e820[1].last == BASE + 0x1FFF


def test_a_granule_of_one_puts_everything_close_together():
    placement = minimal().place(0xF_2400, granule=1)
    gaps = [after.gpa - before.last for before, after in itertools.pairwise(placement.pieces)]
    assert max(gaps) <= 64
    assert placement.e820 == ()  # the firmware's area is the monitor's to report


def test_rsdp_and_facs_can_lie_elsewhere():
    placement = minimal().place(5 * FOUR_GIB, rsdp=0xE_0000, facs=0x1000)
    assert placement.rsdp == 0xE_0000
    assert placement.piece("FACS").gpa == 0x1000
    assert names(placement)[:3] == ["FACS", "RSDP", "XSDT"]
    assert "RSDT" not in names(placement)
    fadt = placement.piece("FACP").data
    assert number(fadt, 36, 4) == number(fadt, 132, 8) == 0x1000
    assert number(fadt, 40, 4) == 0  # what lies above 4 GiB has its 64-bit field only
    assert number(fadt, 140, 8) == placement.piece("DSDT").gpa
    assert placement.e820 == (
        (0x1000, 0x1000, E820Type.NVS),
        (5 * FOUR_GIB, 0x1000, E820Type.ACPI),
    )


def test_what_is_to_be_avoided_is_gone_around():
    avoid = [(BASE + 0x100, 0x200), (BASE + 0x180, 0x40), (BASE + 0x1000, 0x1000)]
    placement = minimal().place(BASE, avoid=avoid)
    for gpa, data, name in placement.pieces:
        for start, size in avoid:
            assert gpa + len(data) <= start or gpa >= start + size, name
    for entry in placement.e820:
        for start, size in avoid:
            assert entry.last < start or entry.base >= start + size, entry
    assert placement.piece("FACS").gpa == BASE + 0x2000


def test_the_rsdt_decides_itself():
    border = FOUR_GIB - 0x100
    low = minimal(facs=False)
    assert "RSDT" in names(low.place(BASE))
    assert "RSDT" not in names(low.place(border))
    assert "RSDT" not in names(minimal(rsdt=False).place(BASE))


def test_acpi_1_has_an_rsdt_only():
    placement = minimal(xsdt=False).place(BASE)
    rsdp = placement.piece("RSDP").data
    assert len(rsdp) == 20
    assert rsdp[15] == 0
    assert "XSDT" not in names(placement)
    assert listed(placement, "RSDT")[0] == "FACP"


def test_an_image_is_all_pieces_in_one_block():
    placement = minimal().place(BASE + 8)
    base, block = placement.image()
    assert base == BASE + 16
    for gpa, data, _name in placement.pieces:
        assert block[gpa - base : gpa - base + len(data)] == data
    with pytest.raises(PlacementError, match="far apart"):
        minimal().place(BASE, rsdp=0xE_0000).image()


def test_a_placement_reads_its_pieces():
    placement = minimal().place(BASE)
    gpa, data, name = placement.pieces[3]
    assert placement.read(gpa + 1, 8) == data[1:9]
    assert placement.piece(name).data == data
    for address, size in ((BASE - 1, 1), (gpa, len(data) + 1), (0, 1), (gpa, -1)):
        with pytest.raises(PlacementError):
            placement.read(address, size)
    with pytest.raises(PlacementError, match="no MCFG among RSDP, XSDT"):
        placement.piece("MCFG")


def test_oem_fields_are_those_of_the_made_tables():
    placement = minimal(
        oem_id="ACME", oem_table_id="ROADRUN", oem_revision=7, creator_id="W", creator_revision=8
    ).place(BASE)
    assert placement.piece("RSDP").data[9:15] == b"ACME  "
    for name in ("XSDT", "RSDT"):
        assert placement.piece(name).data[10:36] == (b"ACME  ROADRUN \x07\0\0\0W   \x08\0\0\0")


# --- the set --------------------------------------------------------------------------------


def test_a_set_is_an_ordered_collection():
    tables = minimal()
    assert [table.name for table in tables] == ["FACP", "FACS", "DSDT", "APIC", "SSDT", "SSDT"]
    assert len(tables) == 6
    assert len(tables.find("SSDT")) == 2
    assert tables.find("MCFG") == ()
    mcfg = tables.add(Raw("MCFG"), "ecam")
    assert tables.find("MCFG") == (mcfg,)
    assert tables.listed()[-1] is mcfg
    assert "ecam" in names(tables.place(BASE))


def test_names_are_given_once():
    tables = TableSet()
    for name in ("SSDT#2", None, None, "XSDT", "SSDT#2"):
        tables.add(Raw("SSDT"), name)
    found = [member.name for member in tables.members()]
    assert found == ["SSDT#2", "SSDT", "SSDT#3", "XSDT#2", "SSDT#2#2"]


def test_targets_of_targets_come_along():
    blob = Blob(b"text", "text")
    inner = PointingTable("OEM1", [(8, blob, 1, False)])
    outer = PointingTable("OEM2", [(8, inner, 0, False)])
    placement = TableSet([outer]).place(BASE)
    assert names(placement) == ["RSDP", "XSDT", "RSDT", "OEM2", "OEM1", "text"]
    assert listed(placement) == ["OEM2"]  # only what was added is listed
    held = number(placement.piece("OEM1").data, 36, 8)
    assert held == placement.piece("text").gpa + 1


def test_tables_may_point_at_each_other_in_a_circle():
    table = PointingTable("OEM1", [])
    loop = PointingTable("OEM2", [(8, table, 0, False)])
    table.__init__("OEM1", [(8, loop, 0, False)])
    placement = TableSet([table]).place(BASE)
    one, other = placement.piece("OEM1"), placement.piece("OEM2")
    assert number(one.data, 36, 8) == other.gpa
    assert number(other.data, 36, 8) == one.gpa


MADT = Madt([])
SETS_REFUSED = {
    "APIC is in this set already": lambda: TableSet([MADT, MADT]),
    "2 tables APIC": lambda: TableSet([MADT, Madt([])]),
    "2 tables DSDT": lambda: TableSet([Fadt(x_dsdt=Raw("DSDT")), Raw("DSDT")]).members(),
    "2 tables FACS": lambda: TableSet([Fadt(firmware_ctrl=Facs(), x_firmware_ctrl=Facs())]).place(
        BASE
    ),
    "no FADT of this set points at the DSDT": lambda: TableSet([Raw("DSDT")]).place(BASE),
    "no FADT of this set points at the FACS": lambda: TableSet([Fadt(), Facs()]).place(BASE),
    "XSDT is made by the set": lambda: TableSet([Raw("XSDT")]),
    "an XSDT, an RSDT, or both": lambda: TableSet(xsdt=False, rsdt=False),
    "oem_id at offset 10 has 6 bytes": lambda: TableSet(oem_id="TOOLONG"),
}


@pytest.mark.parametrize("message", SETS_REFUSED)
def test_sets_that_cannot_be_are_refused(message):
    with pytest.raises(TableValueError, match=message):
        SETS_REFUSED[message]()


PLACES_REFUSED = {
    "limit": ({"base": BASE, "limit": BASE + 0x200}, r"DSDT of 136 bytes does not fit below 0x7ff"),
    "facs beyond limit": ({"base": BASE, "limit": BASE + 0x1000}, "FACS of 64 bytes does not fit"),
    "wrap": (
        {"base": (1 << 64) - 0x80, "facs": 0x1000},
        "FACP of 276 bytes does not fit below",
    ),
    "facs": ({"base": FOUR_GIB}, "FACS of 64 bytes at 0x100001000-0x10000103f must be below 4"),
    "facs given": ({"base": BASE, "facs": FOUR_GIB}, "must be below 4 GiB"),
    "facs aligned": ({"base": BASE, "facs": 0x1020}, r"0x1020-0x105f: it wants a multiple of 64"),
    "rsdp aligned": ({"base": BASE, "rsdp": 0xE_0008}, "RSDP of 36 bytes cannot be at 0xe0008"),
    "rsdp taken": (
        {"base": BASE, "rsdp": 0xE_0000, "avoid": [(0xE_0020, 1)]},
        "a range to avoid at 0xe0020-0xe0020 lies over RSDP at 0xe0000-0xe0023",
    ),
    "both": ({"base": BASE, "rsdp": 0xE_0020, "facs": 0xE_0000}, "RSDP at .* lies over FACS"),
    "rsdp negative": ({"base": BASE, "rsdp": -16}, "no range of addresses"),
    "avoid empty": ({"base": BASE, "avoid": [(0, 0)]}, "no range of addresses"),
    "avoid beyond": ({"base": BASE, "avoid": [(1, 1 << 64)]}, "no range of addresses"),
    "all avoided": ({"base": 0, "avoid": [(0, 1 << 64)]}, "does not fit"),
    "base negative": ({"base": -1}, "no addresses from -0x1"),
    "base at limit": ({"base": BASE, "limit": BASE}, "no addresses from 0x7ff00000"),
    "limit beyond": ({"base": BASE, "limit": 1 << 65}, "no addresses"),
    "granule": ({"base": BASE, "granule": 3}, "granule 3 is no power of two"),
}


@pytest.mark.parametrize("case", PLACES_REFUSED)
def test_places_that_cannot_be_are_refused(case):
    arguments, message = PLACES_REFUSED[case]
    with pytest.raises(PlacementError, match=message):
        minimal().place(**arguments)


def test_an_rsdt_that_was_asked_for_must_reach():
    with pytest.raises(PlacementError, match="cannot point at the RSDT of 52 bytes at 0x1000000"):
        minimal(rsdt=True).place(FOUR_GIB, facs=0x1000)
    with pytest.raises(PlacementError, match="the RSDT cannot list SSDT of 39 bytes at 0x10000"):
        minimal(rsdt=True).place(FOUR_GIB - 0x280, facs=0x1000)


def test_a_pointer_that_cannot_reach_is_refused_unless_it_is_optional():
    blob = Blob(b"x", "far")
    tables = TableSet([PointingTable("OEM1", [(4, blob, 0, False)])])
    with pytest.raises(PlacementError, match=r"OEM1: .* offset 36 cannot reach far of 1 bytes at"):
        tables.place(FOUR_GIB)
    tables = TableSet([PointingTable("OEM1", [(4, blob, 0, True)])])
    assert number(tables.place(FOUR_GIB).piece("OEM1").data, 36, 4) == 0


@pytest.mark.parametrize(("offset", "size"), [(-9, 4), (33, 4), (36, 1), (0, 0)])
def test_a_pointer_outside_of_its_table_is_refused(offset, size):
    table = PointingTable("OEM1", [])
    table.__init__("OEM1", [(8, Blob(b"x"), 0, False)])
    place = table.relocations()[0]
    table.relocations = lambda: (place._replace(offset=offset + 8, size=size),)
    with pytest.raises(PlacementError, match="OEM1 of 44 bytes has no room for a pointer"):
        TableSet([table]).place(BASE)


def test_many_tables_are_placed_in_linear_time():
    # With a quadratic step, this takes minutes.
    tables = TableSet([Raw("SSDT", b"%d" % index) for index in range(4096)])
    avoid = [(BASE + 0x200 * index, 16) for index in range(4096)]
    placement = tables.place(BASE, avoid=avoid)
    assert len(placement.pieces) == 4099
    assert listed(placement)[-1] == "SSDT#4096"


# --- invariants -----------------------------------------------------------------------------

ranges = st.lists(st.tuples(st.integers(BASE, BASE + 0x3000), st.integers(1, 0x400)), max_size=5)


@settings(max_examples=60, deadline=None)
@given(table_sets(), st.integers(0, 0x100), ranges, st.sampled_from([1, 16, 0x1000]))
def test_placements_hold_together(tables, offset, avoid, granule):
    placement = tables.place(BASE + offset, avoid=avoid, granule=granule)
    members = {member.name: member.target for member in tables.members()}
    gpas = {
        id(members[piece.name]): piece.gpa for piece in placement.pieces if piece.name in members
    }
    for before, after in itertools.pairwise(placement.pieces):
        assert before.last < after.gpa
    for gpa, data, name in placement.pieces:
        assert all(gpa + len(data) <= start or start + size <= gpa for start, size in avoid)
        covering = [
            one for one in placement.e820 if one.base <= gpa <= gpa + len(data) - 1 <= one.last
        ]
        assert len(covering) == 1
        if name in members:
            target = members[name]
            assert gpa % target.alignment == 0
            for place in target.relocations():
                value = number(data, place.offset, place.size)
                assert value == gpas[id(place.target)] + place.addend
            for one in target.checksums():
                assert sum(data[one.start : one.start + one.length]) & 0xFF == 0
    for before, after in itertools.pairwise(placement.e820):
        assert before.last < after.base
    for entry in placement.e820:
        assert all(entry.last < start or start + size <= entry.base for start, size in avoid)
    assert tables.place(BASE + offset, avoid=avoid, granule=granule) == placement


def test_errors_say_which_table():
    with pytest.raises(PlacementError) as caught:
        minimal().place(BASE, limit=BASE + 0x200)
    assert caught.value.table == "DSDT"
    assert re.search("0x7ff00", str(caught.value))


@pytest.mark.parametrize("given", [b"SSDT", 5, None])
def test_what_is_no_table_is_refused(given):
    with pytest.raises(TableValueError, match=r"no table: .*; from_bytes makes one of bytes"):
        TableSet([given])
