# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reading tables of any kind, and bytes that are none."""

import copy
import pickle
import struct

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.records import with_length
from vmmkit.acpi.tables import reading
from vmmkit.acpi.tables.dbg2 import Dbg2, DebugDevice
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt
from vmmkit.acpi.tables.error_source import HardwareErrorNotification
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.fadt import FADT_LENGTHS, Fadt
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.hest import (
    GenericHardwareErrorSource,
    Hest,
    Ia32NonMaskableInterrupt,
)
from vmmkit.acpi.tables.hpet import Hpet
from vmmkit.acpi.tables.madt import IoApic, LocalApic, Madt
from vmmkit.acpi.tables.mcfg import Mcfg, McfgAllocation
from vmmkit.acpi.tables.root import Rsdt, Xsdt
from vmmkit.acpi.tables.rsdp import Rsdp
from vmmkit.acpi.tables.spcr import Spcr
from vmmkit.acpi.tables.table import Raw
from vmmkit.acpi.tables.waet import Waet
from vmmkit.errors import AcpiError, TableParseError, TableValueError

TABLES = [
    Rsdp(0x1000, rsdt_address=0x2000),
    Rsdp(revision=0, rsdt_address=0x2000),
    Rsdt([1, 2, 3]),
    Xsdt([1, 2, 3]),
    *[Fadt(revision=revision, sci_int=9) for revision in FADT_LENGTHS],
    Facs(),
    Madt([LocalApic(0, 0), LocalApic(1, 1), IoApic(2)]),
    Mcfg([McfgAllocation(0xB000_0000)]),
    Hpet(),
    Spcr(Gas.io(0x3F8)),
    Spcr(Gas.io(0x3F8), revision=4),
    Dbg2([DebugDevice(0x8000, 0, [(Gas.io(0x3F8), 8)])]),
    Waet(),
    Dsdt(bytes.fromhex("08 54535430 01")),
    Ssdt(b"\xa3"),
    Ssdt(),
    Raw("OEM1", b"anything"),
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_reads_back_as_its_class(table):
    again = reading.from_bytes(table.to_bytes())
    assert again == table
    assert type(again) is type(table)


def test_what_a_class_cannot_hold_is_raw():
    data = with_length(Fadt().to_bytes(), 244)  # says revision 6
    table = reading.from_bytes(data)
    assert isinstance(table, Raw)
    assert (table.signature, table.to_bytes()) == ("FACP", data)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_wrong_checksum(table):
    if not table.checksums():
        return
    data = bytearray(table.to_bytes())
    for place in table.checksums():
        data[place.offset] ^= 0x55
    with pytest.raises(TableParseError, match="checksum"):
        reading.from_bytes(bytes(data))
    assert reading.from_bytes(bytes(data), verify=False) == table


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_truncated_tables_are_refused(table, verify):
    data = table.to_bytes()
    for size in range(len(data)):
        with pytest.raises(TableParseError) as caught:
            reading.from_bytes(data[:size], verify=verify)
        assert caught.value.table is not None
        assert caught.value.offset is not None


def settle(data):
    """Give bytes a right length and checksum, so that more than the header is looked at."""
    return with_length(bytearray(data), len(data)) if len(data) >= 36 else bytes(data)


def outcome(read, *arguments, **options):
    """Return what reading gives, or the error that says why these bytes are no table."""
    try:
        return read(*arguments, **options)
    except AcpiError as error:
        return error


def is_located(error):
    """Whether an error says in which table and where."""
    return isinstance(error, AcpiError) and error.table is not None and type(error.offset) is int


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(reading.CLASSES)), st.binary(max_size=200))
def test_any_bytes_behind_any_signature(signature, body):
    data = settle(signature.encode() + bytes(4) + body)
    table = outcome(reading.from_bytes, data)
    assert is_located(table) if len(data) < 36 else table.to_bytes() == data


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(TABLES), st.data())
def test_damaged_tables(table, data):
    content = bytearray(table.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    for candidate in (bytes(content), settle(content)):
        again = outcome(reading.from_bytes, candidate)
        assert is_located(again) or again.to_bytes() == candidate


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120), st.booleans())
def test_any_bytes(data, verify):
    assert is_located(outcome(reading.from_bytes, data, verify=verify)) or data[36:]


def test_several_tables_in_a_file():
    pieces = [table.to_bytes() for table in TABLES]
    assert reading.split(b"".join(pieces)) == pieces
    assert reading.split(b"".join(piece + bytes(13) for piece in pieces)) == pieces
    assert reading.split(b"") == reading.split(bytes(100)) == []


@pytest.mark.parametrize(
    "rest",
    [
        b"x",
        b"OEM1" + struct.pack("<I", 35) + bytes(40),
        b"OEM1" + b"\xff" * 40,
        b"RSD PTR 12345678",
    ],
)
def test_no_table_in_a_file(rest):
    first = Waet().to_bytes()
    with pytest.raises(TableParseError, match="offset 44 ") as caught:
        reading.split(first + bytes(4) + rest)
    assert caught.value.offset == 44


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_split_of_any_bytes(data):
    pieces = outcome(reading.split, data)
    if not is_located(pieces):
        assert b"".join(pieces).replace(b"\0", b"") == data.replace(b"\0", b"")


def test_many_zeros_are_passed_over_at_once():
    size = 1 << 24
    assert reading.split(bytes(size) + Waet().to_bytes() + bytes(size)) == [Waet().to_bytes()]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_parse_is_from_bytes(table):
    data = table.to_bytes()
    assert type(table).parse(data) == table
    for wrong in (b"", data[:19], data[:-1], data[8:]):
        with pytest.raises(TableParseError):
            type(table).parse(wrong)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_copies(table):
    for again in (
        copy.copy(table),
        copy.deepcopy(table),
        pickle.loads(pickle.dumps(table)),
        attrs.evolve(table),
    ):
        assert (again, again.to_bytes()) == (table, table.to_bytes())
        assert hash(again) == hash(table)


NOTIFIED = GenericHardwareErrorSource(1, Gas(), HardwareErrorNotification(0), 1)


@pytest.mark.parametrize(
    ("table", "at", "content", "offset"),
    [
        (Mcfg([McfgAllocation(0), McfgAllocation(0)]), 44 + 16 + 10, b"\x09\x03", 44 + 16 + 11),
        (Hest([Ia32NonMaskableInterrupt(0), NOTIFIED]), 40 + 20 + 33, b"\x05", 40 + 20 + 1),
        (Dbg2([DebugDevice(0x8000, 0)] * 2), 44 + 24 + 22, b"\xe9", 44 + 24),
    ],
    ids=["MCFG", "HEST", "DBG2"],
)
def test_offset_of_an_error_counts_from_the_start_of_the_table(table, at, content, offset):
    data = bytearray(table.to_bytes())
    data[at : at + len(content)] = content
    data = with_length(data, len(data))
    with pytest.raises(TableParseError) as caught:
        type(table).from_bytes(data)
    assert (caught.value.table, caught.value.offset) == (table.name, offset)
    assert isinstance(reading.from_bytes(data), Raw)


def test_changed_copies():
    dsdt = Dsdt(b"\xa3")
    assert attrs.evolve(dsdt, oem_id="OTHER") == Dsdt(b"\xa3", oem_id="OTHER")
    assert attrs.evolve(dsdt, terms=[]) == Dsdt()
    assert attrs.evolve(Hpet(), hpet_number=1) == Hpet(hpet_number=1)


def test_repr_of_a_table_does_not_show_all_it_points_at():
    other = Raw("OEM1", bytes(100_000))
    xsdt = Xsdt([Fadt(dsdt=Dsdt(b"\xa3" * 1000)), other, 0x1000])
    assert "entries=(<FACP>, <OEM1>, 4096)" in repr(xsdt)
    assert "xsdt_address=<XSDT>" in repr(Rsdp(xsdt))
    assert "dsdt=<DSDT>" in repr(xsdt.entries[0])
    assert "body=<100000 bytes>" in repr(other)
    with pytest.raises(TableValueError) as caught:
        Fadt(sci_int=other.body)
    assert len(str(caught.value)) < 400
