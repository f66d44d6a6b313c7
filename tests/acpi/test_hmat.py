# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""HMAT: latency, bandwidth and memory side caches."""

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
from vmmkit.acpi.tables.entry import RawEntry
from vmmkit.acpi.tables.hmat import (
    CacheAssociativity,
    CacheWritePolicy,
    Hmat,
    HmatEntry,
    LocalityDataType,
    LocalityFlags,
    MemoryHierarchy,
    MemoryProximityDomainAttributes,
    MemoryProximityDomainFlags,
    MemorySideCacheInformation,
    SystemLocalityLatencyAndBandwidthInformation,
    cache_attributes,
)
from vmmkit.errors import TableValueError

DOMAIN = MemoryProximityDomainAttributes(1, 2)
MATRIX = SystemLocalityLatencyAndBandwidthInformation(
    [0, 1],
    [0, 1, 2],
    [[10, 20, 30], [40, 50, 0xFFFF]],
    data_type=LocalityDataType.READ_LATENCY,
    entry_base_unit=1000,
    flags=MemoryHierarchy.FIRST_LEVEL_MEMORY_SIDE_CACHE | LocalityFlags.MINIMUM_TRANSFER_SIZE,
    minimum_transfer_size=64,
)
CACHE = MemorySideCacheInformation(
    2,
    1 << 30,
    cache_attributes(
        total_cache_levels=1,
        cache_level=1,
        cache_associativity=CacheAssociativity.DIRECT_MAPPED,
        write_policy=CacheWritePolicy.WRITE_BACK,
        cache_line_size=64,
    ),
    [0x1100, 0x1101],
)
ENTRIES = [
    (
        DOMAIN,
        """0000 0000 28000000  0100 0000  01000000 02000000
        00000000 0000000000000000 0000000000000000""",
    ),
    (
        MATRIX,
        """0100 0000 40000000  11 01 40 00  02000000 03000000 00000000 E803000000000000
        00000000 01000000  00000000 01000000 02000000
        0A00 1400 1E00  2800 3200 FFFF""",
    ),
    (
        CACHE,
        """0200 0000 24000000  02000000 00000000 0000004000000000
        11114000  0000 0200  0011 0111""",
    ),
]
SAMPLE = Hmat([DOMAIN, MATRIX, CACHE])


@pytest.mark.parametrize(("entry", "text"), ENTRIES, ids=lambda case: type(case).__name__)
def test_bytes_are_those_of_the_specification(entry, text):
    assert entry.to_bytes() == hexed(text)
    assert body(Hmat([entry])) == bytes(4) + hexed(text)
    assert Hmat.from_bytes(Hmat([entry]).to_bytes()) == Hmat([entry])


@pytest.mark.parametrize("entry", [DOMAIN, MATRIX, CACHE])
def test_limits_of_fields(entry):
    check_limits(entry)


def test_matrix_is_rows_of_targets():
    assert MATRIX.entries == ((10, 20, 30), (40, 50, 0xFFFF))
    assert MATRIX.number_of_initiator_proximity_domains == 2
    assert MATRIX.number_of_target_proximity_domains == 3


@pytest.mark.parametrize(
    ("initiators", "targets", "entries", "message"),
    [
        ([0], [0], [[1, 2]], "entries"),
        ([0], [0], [], "entries"),
        ([0], [0, 1], [[1]], "entries"),
        ([0, 1], [0], [[1], []], "entries"),
        ([0], [0], [[0x10000]], "entries"),
        ([0], [0], [[-1]], "entries"),
        ([0], [0], [["x"]], "entries"),
        ([1 << 32], [0], [[1]], "initiator_proximity_domains"),
        ([0], [-1], [[1]], "target_proximity_domains"),
    ],
)
def test_bad_matrix_is_refused(initiators, targets, entries, message):
    with pytest.raises(TableValueError, match=message):
        SystemLocalityLatencyAndBandwidthInformation(
            initiators, targets, entries, data_type=0, entry_base_unit=1
        )


@pytest.mark.parametrize("handle", [-1, 0x10000, None])
def test_bad_smbios_handle_is_refused(handle):
    with pytest.raises(TableValueError, match="smbios_handles"):
        MemorySideCacheInformation(0, 0, 0, [handle])


def test_too_many_smbios_handles_are_refused():
    with pytest.raises(TableValueError, match="number_of_smbios_handles"):
        MemorySideCacheInformation(0, 0, 0, [0] * 0x10000)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("total_cache_levels", 15),
        ("cache_level", 15),
        ("cache_associativity", 15),
        ("write_policy", 15),
        ("cache_line_size", 0xFFFF),
    ],
)
def test_limits_of_cache_attributes(name, limit):
    zero = {"total_cache_levels": 0, "cache_level": 0}
    assert cache_attributes(**{**zero, name: limit}).bit_count() == limit.bit_length()
    for value in (limit + 1, -1):
        with pytest.raises(TableValueError, match=name):
            cache_attributes(**{**zero, name: value})


def test_flag_of_a_domain_without_initiator():
    entry = MemoryProximityDomainAttributes(0, 2, flags=MemoryProximityDomainFlags(0))
    assert entry.to_bytes()[8:10] == b"\0\0"


def test_counts_beyond_the_entry_leave_it_raw():
    content = bytearray(body(SAMPLE))
    content[4 + 40 + 12 : 4 + 40 + 16] = b"\xff\xff\xff\xff"  # initiators of the matrix
    table = Hmat.from_bytes(table_bytes("HMAT", bytes(content), 2))
    assert isinstance(table.entries[1], RawEntry)
    assert table.entries[1].family is HmatEntry.FAMILY


def test_large_matrix_reads_back():
    size = 400
    rows = [[(i * j) & 0xFFFF for j in range(size)] for i in range(size)]
    entry = SystemLocalityLatencyAndBandwidthInformation(
        range(size), range(size), rows, data_type=LocalityDataType(3), entry_base_unit=1
    )
    assert Hmat.from_bytes(Hmat([entry]).to_bytes()).entries == (entry,)


def test_iasl_reads_and_recompiles_it():
    acpica.assert_roundtrip(SAMPLE.to_bytes())


def test_damage_is_read_or_refused():
    check_damage(Hmat, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Hmat, table_bytes("HMAT", content))


@settings(max_examples=30)
@given(st.integers(0, 4), st.integers(0, 4), st.data())
def test_any_matrix_reads_back(rows, columns, data):
    value = st.integers(0, 0xFFFF)
    row = st.lists(value, min_size=columns, max_size=columns)
    entry = SystemLocalityLatencyAndBandwidthInformation(
        range(rows),
        range(columns),
        data.draw(st.lists(row, min_size=rows, max_size=rows)),
        data_type=LocalityDataType.ACCESS_BANDWIDTH,
        entry_base_unit=1,
    )
    assert Hmat.from_bytes(Hmat([entry]).to_bytes()).entries == (entry,)
