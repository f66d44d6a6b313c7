# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables of AML."""

import attrs
import pytest

from acpi.acpica import assert_roundtrip, definition_block
from acpi.records import check_truncation
from vmmkit.acpi.aml.data import Address
from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import RawAml
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt
from vmmkit.errors import AcpiError, TableValueError

# Name (TST0, 0x1234)
RAW = bytes.fromhex("08 54535430 0b3412")


def test_bytes():
    dsdt = Dsdt(RAW, Name("TST1", 1))
    assert dsdt.to_bytes()[:9] == b"DSDT" + (36 + 14).to_bytes(4, "little") + b"\2"
    assert dsdt.to_bytes()[36:] == RAW + bytes.fromhex("08 54535431 01")
    assert sum(dsdt.to_bytes()) % 256 == 0
    assert dsdt.terms == (RawAml(RAW), Name("TST1", 1))


@pytest.mark.parametrize("kind", [Dsdt, Ssdt])
def test_iasl_makes_the_same(kind):
    table = kind(Device("DEV0", Name("_UID", 5)), Name("TST0", 0x1234), oem_table_id="TEST")
    assert_roundtrip(table.to_bytes())


def test_reads_what_iasl_compiled():
    data = definition_block("Device (DEV0) { Name (_UID, 5) }")
    table = Dsdt.from_bytes(data)
    assert table.to_bytes() == data
    assert Dsdt(Device("DEV0", Name("_UID", 5))).to_bytes()[36:] == data[36:]


def test_addresses_in_aml_are_relocated_from_the_start_of_the_table():
    area, other = Blob(b"x", "area"), Blob(b"y", "other")
    table = Ssdt(RAW, Name("ADR0", Address(area)), Device("DEV0", Name("ADR1", Address(other))))
    places = table.relocations()
    assert [place.target for place in places] == [area, other]
    for place in places:
        # A constant's prefix is right before it.
        assert table.to_bytes()[place.offset - 1] in (0x0C, 0x0E)
    assert places[0].offset == 36 + len(RAW) + 6
    assert Dsdt(RAW).relocations() == ()


def test_ssdts_are_told_apart():
    first, second = Ssdt(oem_table_id="CPUS"), Ssdt(oem_table_id="PCI")
    assert (first.name, second.name, Dsdt().name) == ("SSDT CPUS", "SSDT PCI", "DSDT")
    assert first != second
    assert first is not Ssdt(oem_table_id="CPUS")


@pytest.mark.parametrize("revision", [1, 2])
def test_revision(revision):
    assert Dsdt(RAW, revision=revision).to_bytes()[8] == revision


@pytest.mark.parametrize("term", [5, "TST0", None, [RAW]])
def test_only_terms(term):
    with pytest.raises(TableValueError, match="nodes and raw AML"):
        Dsdt(RAW, term)


@pytest.mark.parametrize(
    ("header", "name"), [({"oem_id": "SEVENTH"}, "oem_id"), ({"revision": 256}, "revision")]
)
def test_header_that_does_not_fit(header, name):
    with pytest.raises(AcpiError, match=rf"Dsdt\.{name}"):
        Dsdt(**header)


def test_trailing_bytes():
    table = Dsdt(RAW, trailing=b"\0\0")
    assert table.to_bytes()[36:] == RAW + b"\0\0"
    assert Dsdt.from_bytes(table.to_bytes()).to_bytes() == table.to_bytes()


def test_truncation():
    check_truncation(Dsdt(RAW))


@pytest.mark.parametrize("kind", [Dsdt, Ssdt])
def test_a_changed_copy(kind):
    block = kind(Name("FOO", 1), revision=1, oem_table_id="ONE")
    assert attrs.evolve(block, oem_revision=7) == kind(
        Name("FOO", 1), revision=1, oem_table_id="ONE", oem_revision=7
    )
    assert attrs.evolve(block, terms=[Name("BAR", 2)]).terms == (Name("BAR", 2),)
    both = kind(Name("A", 1), terms=[b"\x08B___\x01"])
    assert both.to_bytes()[36:] == b"\x08A___\x01\x08B___\x01"
