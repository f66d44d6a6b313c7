# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The text format of acpidump, judged by acpidump and acpixtract."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.acpica import acpixtract, call
from acpi.table_sets import minimal, table_sets
from vmmkit.acpi.acpidump import parse, write
from vmmkit.acpi.layout import Piece
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import TableParseError

BASE = 0x7FF0_0000
RSDP_TEXT = """\
RSD PTR @ 0x000000007FF00000
    0000: 52 53 44 20 50 54 52 20 75 56 4D 4D 4B 49 54 02  RSD PTR uVMMKIT.
"""


def test_acpixtract_gives_the_same_tables_back():
    placement = minimal().place(BASE)
    found = acpixtract(write(placement.pieces))
    assert sorted(found) == [
        *("apic", "dsdt", "facp", "facs", "rsdp", "rsdt", "ssdt1", "ssdt2", "xsdt")
    ]
    names = {"ssdt1": "SSDT", "ssdt2": "SSDT#2"}
    for name, data in found.items():
        assert data == placement.piece(names.get(name, name.upper())).data


@pytest.mark.parametrize("size", [0, 1, 16, 255, 70_000])
def test_acpidump_writes_the_same_text(size, tmp_path):
    table = Raw("SSDT", bytes(n & 0xFF for n in range(size))).to_bytes()
    (tmp_path / "t.dat").write_bytes(table)
    text = write([(0, table, "SSDT")])
    assert call(str(tmp_path), "acpidump", "-f", "t.dat") == text
    assert parse(text) == (Piece(0, table, "SSDT"),)


@settings(max_examples=25, deadline=None)
@given(table_sets())
def test_text_and_back(tables):
    pieces = tables.place(BASE).pieces
    expected = [(gpa, data) for gpa, data, name in pieces if not name.startswith("etc/blob")]
    assert [piece[:2] for piece in parse(write(pieces))] == expected


def test_what_is_no_table_is_left_out():
    blob = Blob(bytes(100), "log")
    pieces = minimal().place(BASE).pieces
    assert write([*pieces, (0, blob.data, "log"), (0, b"\x80SDT\x08\0\0\0", "")]) == write(pieces)
    assert write([]) == ""


def test_the_texts_of_other_programs_are_read():
    text = (
        "some words first\r\n\r\n"
        "FACP @ 0x7FF0\r\n"
        "  0000: 46 41 43 50 14 00 00 00 01 02 03 04 05 06 07 08  41 43 50\r\n"
        "  0010: 41 42 43 44                                      ABCD\r\n"
        "APIC @ 0xdeadbeef\n"
        "  0000: 41\n"
        "and more"
    )
    head = b"FACP\x14\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08"
    assert parse(text) == (Piece(0x7FF0, head + b"ABCD", "FACP"), Piece(0xDEADBEEF, b"A", "APIC"))


def test_missing_lines_are_an_error():
    (rsdp,) = parse(RSDP_TEXT)
    assert rsdp == Piece(BASE, b"RSD PTR uVMMKIT\x02", "RSDP")
    text = RSDP_TEXT + "    0020: 00\n"
    with pytest.raises(TableParseError, match="line 3: RSDP goes on at offset 0x0020, after 0x10"):
        parse(text)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["APIC @ 0x1", "RSD PTR @ 0xF", "  0000: 41 42", "  0010: 00", "", " ", "zz", "0000:"]
        )
        | st.text(max_size=20)
    ).map("\n".join)
)
def test_any_text_is_read_or_refused(text):
    try:
        found = parse(text)
    except TableParseError:
        return
    assert all(piece.data for piece in found)
