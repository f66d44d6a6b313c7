# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Table sets read back from guest memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.table_sets import minimal, table_sets
from vmmkit.acpi.layout import TableSet, find_rsdp
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.root import Xsdt
from vmmkit.acpi.tables.rsdp import Rsdp
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import AcpiError, PlacementError, TableParseError

BASE = 0x7FF0_0000
ELSEWHERE = 0x1234_5000


class Memory:
    """Bytes at addresses."""

    def __init__(self, pieces):
        self.bytes = {gpa + n: byte for gpa, data, _name in pieces for n, byte in enumerate(data)}

    def read(self, gpa, size):
        return bytes(self.bytes.get(gpa + n, 0xFF) for n in range(size))


def of(*tables):
    """Return a memory of tables at addresses, and an RSDP at 0 for the first of them."""
    rsdp = Rsdp(tables[0][0]).to_bytes()
    pieces = [(gpa, table.to_bytes(), "") for gpa, table in tables]
    return Memory([(0, rsdp, "RSDP"), *pieces])


@pytest.mark.parametrize(
    "options",
    [{}, {"rsdt": False}, {"xsdt": False}, {"oem_id": "ACME", "oem_revision": 9}],
    ids=str,
)
def test_a_set_read_back_is_placed_elsewhere_as_the_first(options):
    tables = minimal(**options)
    placement = tables.place(BASE)
    again = TableSet.from_memory(placement.read, placement.rsdp)
    assert [table.signature for table in again] == [table.signature for table in tables]
    there, expected = again.place(ELSEWHERE), tables.place(ELSEWHERE)
    assert [piece[:2] for piece in there.pieces] == [piece[:2] for piece in expected.pieces]
    assert there.e820 == expected.e820


def test_what_is_no_fadt_of_ours_is_followed_all_the_same():
    dsdt = Raw("DSDT", b"aml")
    table = Fadt(x_dsdt=dsdt, dsdt=dsdt, x_firmware_ctrl=Facs(7))
    strange = Raw("FACP", table.to_bytes()[36:] + b"more", revision=6)
    place = [relocation for relocation in table.relocations() if relocation.size == 8]
    body = bytearray(strange.body)
    for one in place:
        address = 0x3000 if one.target is dsdt else 0x4000
        body[one.offset - 36 : one.offset - 28] = address.to_bytes(8, "little")
    strange = Raw("FACP", body, revision=6)
    memory = of((0x1000, Xsdt([0x2000])), (0x2000, strange), (0x3000, dsdt), (0x4000, Facs(7)))
    again = TableSet.from_memory(memory.read, 0)
    placement = again.place(BASE)
    fadt = placement.piece("FACP")
    assert int.from_bytes(fadt.data[140:148], "little") == placement.piece("DSDT").gpa
    assert int.from_bytes(fadt.data[132:140], "little") == placement.piece("FACS").gpa
    assert fadt.data[-4:] == b"more"
    high = again.place(1 << 32, facs=0x4000).piece("FACP")
    assert high.data[36:44] == bytes(8)


def test_the_64_bit_pointer_counts_where_both_are_given():
    fadt = Fadt(dsdt=0x5000, x_dsdt=0x3000)
    memory = of((0x1000, Xsdt([0x2000])), (0x2000, fadt), (0x3000, Raw("DSDT", b"\xa3")))
    placement = TableSet.from_memory(memory.read, 0).place(BASE)
    data = placement.piece("FACP").data
    assert int.from_bytes(data[140:148], "little") == placement.piece("DSDT").gpa
    assert int.from_bytes(data[40:44], "little") == 0x5000  # what it leads to is not known


def test_entries_of_zero_and_repeated_ones_are_passed_over():
    memory = of((0x1000, Xsdt([0, 0x2000, 0x2000])), (0x2000, Raw("SSDT", b"aml")))
    assert len(TableSet.from_memory(memory.read, 0)) == 1


def rsdp_only(rsdp):
    return Memory([(0, rsdp.to_bytes(), "RSDP")])


REFUSED = {
    "RSDP wanted": lambda: Memory([]),
    "leads to no root table, at 0x0": lambda: rsdp_only(Rsdp()),
    "leads to no root table, at 0x1000": lambda: of((0x1000, Raw("SSDT"))),
    "has length 35": lambda: of((0x1000, Xsdt([0x2000])), (0x2000, Short())),
    "more than 67108864 bytes of tables": lambda: rsdp_only(Rsdp(0x1000)),
    "at 0x2000: SSDT has checksum": lambda: of((0x1000, Xsdt([0x2000])), (0x2000, Broken())),
}


class Short:
    @staticmethod
    def to_bytes():
        return b"SSDT\x23\0\0\0" + bytes(28)


class Broken:
    @staticmethod
    def to_bytes():
        return Raw("SSDT", b"a").to_bytes()[:-1] + b"b"


@pytest.mark.parametrize("message", REFUSED)
def test_memory_without_tables_is_refused(message):
    with pytest.raises(TableParseError, match=message):
        TableSet.from_memory(REFUSED[message]().read, 0)


def test_memory_that_ends_is_refused():
    placement = minimal().place(BASE)
    with pytest.raises(TableParseError, match="RSDP at 0x10: 0 of 20 bytes could be read"):
        TableSet.from_memory(lambda gpa, size: b"", 0x10)
    with pytest.raises(PlacementError):  # what reading raises comes through
        TableSet.from_memory(placement.read, BASE + 4)


RSDP = Rsdp(0x1000).to_bytes()
BAD_RSDP = RSDP[:-1] + b"\1"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], None),
        ([(0xE_0000, RSDP)], 0xE_0000),
        ([(0xF_FFD0, RSDP)], 0xF_FFD0),
        ([(0xF_FFF0, RSDP)], None),  # it leads out of the area
        ([(0xF_FFE0, Rsdp(revision=0).to_bytes())], 0xF_FFE0),
        ([(0xF_0008, RSDP)], None),
        ([(0xE_0000, BAD_RSDP), (0xF_0000, RSDP)], 0xF_0000),
        ([(0xF_0000, RSDP), (0xE_1000, RSDP)], 0xE_1000),
        ([(0x40E, b"\xc0\x9f"), (0x9_FC00, RSDP), (0xE_0000, RSDP)], 0x9_FC00),
        ([(0x40E, b"\xc0\x9f"), (0xA_0000, RSDP)], None),
    ],
)
def test_the_rsdp_is_found_where_systems_search(pieces, expected):
    memory = {gpa + n: byte for gpa, data in pieces for n, byte in enumerate(data)}
    assert (
        find_rsdp(lambda gpa, size: bytes(memory.get(gpa + n, 0) for n in range(size))) == expected
    )


@settings(max_examples=60, deadline=None)
@given(table_sets(), st.data())
def test_damaged_memory_is_read_or_refused(tables, data):
    placement = tables.place(BASE)
    memory = Memory(placement.pieces)
    for _ in range(data.draw(st.integers(0, 3))):
        gpa, content, _name = data.draw(st.sampled_from(placement.pieces))
        memory.bytes[gpa + data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255)
        )
    try:
        TableSet.from_memory(memory.read, placement.rsdp)
    except AcpiError:
        return
