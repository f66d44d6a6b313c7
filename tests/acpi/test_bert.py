# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BERT, and the error status block that its region holds."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi import acpica
from acpi.table_cases import (
    body,
    check_damage,
    check_limits,
    check_reading,
    contents,
    hexed,
    table_bytes,
)
from vmmkit.acpi.relocation import Blob, Relocation
from vmmkit.acpi.tables.bert import (
    Bert,
    BlockStatus,
    ErrorSeverity,
    GenericErrorDataEntry,
    GenericErrorDataFlags,
    GenericErrorStatusBlock,
    ValidationBits,
)
from vmmkit.errors import AcpiError, TableParseError, TableValueError

MEMORY = uuid.UUID("a5bc1114-6f64-4ede-b863-3e83ed7c83b1")
ENTRY = GenericErrorDataEntry(
    MEMORY,
    b"\xaa\xbb\xcc",
    error_severity=ErrorSeverity.FATAL,
    validation_bits=ValidationBits.FRU_STRING,
    flags=GenericErrorDataFlags.PRIMARY,
    fru_text=b"DIMM 0".ljust(20, b"\0"),
    timestamp=bytes(range(8)),
)
ENTRY_BYTES = """
    1411BCA5 646F DE4E B8633E83ED7C83B1  01000000 0003 02 01 03000000
    00000000000000000000000000000000  44494D4D2030 0000000000000000000000000000
    0001020304050607  AABBCC
"""
BLOCK = GenericErrorStatusBlock(
    [ENTRY, ENTRY],
    b"raw",
    block_status=BlockStatus.UNCORRECTABLE_ERROR_VALID,
    error_severity=ErrorSeverity.FATAL,
)
SAMPLE = Bert(0x1000, 0x7F00_0000)


def test_bytes_are_those_of_the_specification():
    assert body(SAMPLE) == hexed("00100000 0000007F00000000")
    assert Bert.from_bytes(SAMPLE.to_bytes()) == SAMPLE
    assert ENTRY.to_bytes() == hexed(ENTRY_BYTES)
    # 2 entries of 75 bytes after the 20 of the block
    head = hexed("21000000 AA000000 03000000 96000000 01000000")
    assert BLOCK.to_bytes() == head + 2 * hexed(ENTRY_BYTES) + b"raw"
    assert GenericErrorStatusBlock().to_bytes() == hexed("00000000" * 4 + "03000000")


def test_status_block_reads_back():
    for block in (BLOCK, GenericErrorStatusBlock(), GenericErrorStatusBlock([ENTRY])):
        assert GenericErrorStatusBlock.parse(block.to_bytes()) == block


def test_region_may_be_a_blob_or_its_content():
    region = Blob(BLOCK.to_bytes() + bytes(100))
    table = Bert.of(region, oem_id="X")
    assert table.boot_error_region_length == len(region.data)
    assert table.relocations() == (Relocation(40, 8, region),)
    assert table.oem_id == "X     "
    assert Bert.of(BLOCK).boot_error_region.to_bytes() == BLOCK.to_bytes()


def test_blob_must_be_as_long_as_the_region():
    with pytest.raises(TableValueError, match="boot_error_region_length"):
        Bert(21, Blob(bytes(20)))


@pytest.mark.parametrize("record", [SAMPLE, ENTRY, BLOCK])
def test_limits_of_fields(record):
    check_limits(record, apart={"boot_error_region", "block_status", "revision"})


@pytest.mark.parametrize("status", [1 << 32, -1, 0x10, "x"])
def test_limits_of_block_status(status):
    with pytest.raises(TableValueError, match="block_status"):
        GenericErrorStatusBlock(block_status=status)


def test_too_many_entries_are_refused():
    assert len(GenericErrorStatusBlock([ENTRY] * 1023).to_bytes()) == 20 + 1023 * 75
    with pytest.raises(TableValueError, match="block_status: 1024 entries"):
        GenericErrorStatusBlock([ENTRY] * 1024)


@pytest.mark.parametrize("revision", [0x201, 0x10000])
def test_revision_of_another_layout_is_refused(revision):
    with pytest.raises(TableValueError, match="revision"):
        GenericErrorDataEntry(MEMORY, revision=revision)
    data = bytearray(ENTRY.to_bytes())
    data[20:22] = b"\x01\x02"
    with pytest.raises(TableParseError):
        GenericErrorDataEntry.parse(bytes(data))


def test_entry_and_block_must_be_whole():
    for kind, data in ((GenericErrorDataEntry, ENTRY), (GenericErrorStatusBlock, BLOCK)):
        whole = data.to_bytes()
        for size in range(len(whole)):
            with pytest.raises(TableParseError):
                kind.parse(whole[:size])


@settings(max_examples=100)
@given(st.integers(0, len(BLOCK.to_bytes()) - 1), st.integers(0, 255))
def test_damaged_block_is_read_or_refused(at, value):
    data = bytearray(BLOCK.to_bytes())
    data[at] = value
    try:
        block = GenericErrorStatusBlock.parse(bytes(data))
    except AcpiError:
        return
    assert block.to_bytes() == data


def test_iasl_reads_and_recompiles_it():
    acpica.assert_roundtrip(SAMPLE.to_bytes())


def test_damage_is_read_or_refused():
    check_damage(Bert, SAMPLE.to_bytes())


@settings(max_examples=30)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Bert, table_bytes("BERT", content))
