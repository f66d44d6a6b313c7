# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""SRAT: proximity domains."""

import attrs
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
from vmmkit.acpi.tables.srat import (
    AcpiDeviceHandle,
    AffinityFlags,
    GenericFlags,
    GenericInitiatorAffinity,
    GenericPortAffinity,
    GiccAffinity,
    GicItsAffinity,
    MemoryAffinity,
    MemoryAffinityFlags,
    PciDeviceHandle,
    ProcessorLocalApicAffinity,
    ProcessorLocalX2ApicAffinity,
    RawDeviceHandle,
    RintcAffinity,
    Srat,
    SratEntry,
)
from vmmkit.errors import TableValueError

HID = AcpiDeviceHandle("ACPI0016", 5)
PCI = PciDeviceHandle(0x1234, 0xC0, 0xF9)

# Each with its bytes, from the specification's tables of offsets.
ENTRIES = [
    (
        ProcessorLocalApicAffinity(0xA1B2C3D4, 7, local_sapic_eid=9, clock_domain=0x01020304),
        "00 10 D4 07 01000000 09 C3B2A1 04030201",
    ),
    (
        MemoryAffinity(1, 0x1_0000_0000, 0x8000_0000, MemoryAffinityFlags(3)),
        "01 28 01000000 0000 0000000001000000 0000008000000000 00000000 03000000 0000000000000000",
    ),
    (
        ProcessorLocalX2ApicAffinity(2, 0x100, AffinityFlags(0), clock_domain=8),
        "02 18 0000 02000000 00010000 00000000 08000000 00000000",
    ),
    (GiccAffinity(3, 4), "03 12 03000000 04000000 01000000 00000000"),
    (GicItsAffinity(3, 0x11), "04 0C 03000000 0000 11000000"),
    (
        GenericInitiatorAffinity(6, PCI, GenericFlags(3)),
        "05 20 00 01 06000000 3412 C0 F9 000000000000000000000000 03000000 00000000",
    ),
    (
        GenericPortAffinity(7, HID),
        "06 20 00 00 07000000 4143504930303136 05000000 00000000 01000000 00000000",
    ),
    (RintcAffinity(8, 9), "07 14 0000 08000000 09000000 01000000 00000000"),
]
SAMPLE = Srat([entry for entry, _text in ENTRIES])


@pytest.mark.parametrize(("entry", "text"), ENTRIES, ids=lambda case: type(case).__name__)
def test_bytes_are_those_of_the_specification(entry, text):
    assert entry.to_bytes() == hexed(text)
    assert body(Srat([entry])) == hexed("01000000 0000000000000000") + hexed(text)
    assert Srat.from_bytes(Srat([entry]).to_bytes()) == Srat([entry])


def test_all_entries_read_back_together():
    assert Srat.from_bytes(SAMPLE.to_bytes()) == SAMPLE
    assert SAMPLE.revision == 3


@pytest.mark.parametrize(("entry", "_text"), ENTRIES, ids=lambda case: type(case).__name__)
def test_limits_of_fields(entry, _text):
    check_limits(entry, apart={"proximity_domain"} if entry.TYPE == 0 else ())


@pytest.mark.parametrize("handle", [HID, PCI])
def test_limits_of_device_handles(handle):
    check_limits(handle)


@pytest.mark.parametrize("domain", [0, 0xFF, 0x100, 0xFFFF_FFFF])
def test_split_proximity_domain_is_one_value(domain):
    entry = ProcessorLocalApicAffinity(domain, 1)
    assert entry.to_bytes()[2] == domain & 0xFF
    assert entry.to_bytes()[9:12] == (domain >> 8).to_bytes(3, "little")
    assert Srat.from_bytes(Srat([entry]).to_bytes()).entries[0].proximity_domain == domain


@pytest.mark.parametrize("domain", [-1, 1 << 32, "1", None])
def test_split_proximity_domain_has_limits(domain):
    with pytest.raises(TableValueError, match="proximity_domain"):
        ProcessorLocalApicAffinity(domain, 1)


def test_short_hid_is_filled_up():
    assert AcpiDeviceHandle("PNP0A03").to_bytes()[:8] == b"PNP0A03\0"


def test_device_handle_of_a_reserved_type_is_kept():
    handle = RawDeviceHandle(2, bytes(range(16)))
    table = Srat([GenericInitiatorAffinity(1, handle)])
    assert Srat.from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize(
    "handle", [RawDeviceHandle(256, bytes(16)), RawDeviceHandle(2, bytes(15)), b"", None]
)
def test_device_handle_must_be_one(handle):
    with pytest.raises(TableValueError, match="device_handle"):
        GenericInitiatorAffinity(1, handle)


def test_unknown_and_odd_entries_are_kept():
    content = hexed("01000000 0000000000000000") + hexed("63 03 AA  00 04 0000  FF")
    table = Srat.from_bytes(table_bytes("SRAT", content))
    assert table.entries == (
        RawEntry(SratEntry.FAMILY, 0x63, b"\xaa"),
        RawEntry(SratEntry.FAMILY, 0, b"\0\0"),
    )
    assert table.trailing == b"\xff"


def test_longer_entry_keeps_its_trailing_bytes():
    entry = attrs.evolve(ENTRIES[3][0], trailing=b"\x55")
    assert entry.to_bytes()[1] == 19
    assert Srat.from_bytes(Srat([entry]).to_bytes()).entries == (entry,)


def test_iasl_reads_and_recompiles_it():
    # This version drops the bit ARCHITECTURAL_TRANSACTIONS of generic initiators.
    known = [entry for entry, _text in ENTRIES[:5]] + [GenericInitiatorAffinity(6, PCI)]
    taken_apart = acpica.assert_roundtrip(Srat(known).to_bytes())
    assert taken_apart.values("Proximity Domain High(24)") == [0xA1B2C3]


def test_iasl_of_2020_knows_no_generic_port():
    found = acpica.disassemble(Srat([ENTRIES[6][0]]).to_bytes()).complaints()
    assert any("Unknown SRAT subtable type" in line for line in found)


def test_damage_is_read_or_refused():
    check_damage(Srat, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Srat, table_bytes("SRAT", content))


@settings(max_examples=30)
@given(st.lists(st.sampled_from([entry for entry, _text in ENTRIES]), max_size=12))
def test_any_list_reads_back(entries):
    assert Srat.from_bytes(Srat(entries).to_bytes()) == Srat(entries)
