# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""iasl reads SRAT, SLIT, HMAT and PPTT without complaint, and sees the values put in."""

import pytest

from acpi.acpica import assert_roundtrip
from vmmkit.acpi.tables import hmat, pptt
from vmmkit.acpi.tables.hmat import (
    CacheAssociativity,
    CacheWritePolicy,
    Hmat,
    LocalityDataType,
    MemoryHierarchy,
    MemoryProximityDomainAttributes,
    MemorySideCacheInformation,
    SystemLocalityLatencyAndBandwidthInformation,
)
from vmmkit.acpi.tables.pptt import (
    CacheType,
    CacheTypeStructure,
    IdStructure,
    Pptt,
    ProcessorFlags,
    ProcessorHierarchyNode,
)
from vmmkit.acpi.tables.slit import UNREACHABLE, Slit
from vmmkit.acpi.tables.srat import (
    AffinityFlags,
    GenericInitiatorAffinity,
    GiccAffinity,
    GicItsAffinity,
    MemoryAffinity,
    MemoryAffinityFlags,
    PciDeviceHandle,
    ProcessorLocalApicAffinity,
    ProcessorLocalX2ApicAffinity,
    Srat,
)

HOT = MemoryAffinityFlags.ENABLED | MemoryAffinityFlags.HOT_PLUGGABLE
MATRIX = {"entry_base_unit": 100, "data_type": LocalityDataType.ACCESS_LATENCY}


def topology(revision, **more):
    """Return a package of two cores, with caches of their own and one together."""
    package = ProcessorHierarchyNode(flags=ProcessorFlags.PHYSICAL_PACKAGE, **more)
    shared = CacheTypeStructure(
        size=1 << 20, number_of_sets=1024, associativity=16, line_size=64, cache_id=None
    )
    own = [
        CacheTypeStructure(
            next_level_of_cache=shared,
            size=1 << 15,
            number_of_sets=64,
            associativity=8,
            attributes=pptt.cache_attributes(CacheType.DATA),
            line_size=64,
            cache_id=None,
        )
        for _ in range(2)
    ]
    flags = ProcessorFlags.NODE_IS_A_LEAF | ProcessorFlags.ACPI_PROCESSOR_ID_VALID
    cores = [
        ProcessorHierarchyNode(package, [cache], flags=flags, acpi_processor_id=number)
        for number, cache in enumerate(own)
    ]
    return Pptt([package, shared, *own, *cores], revision=revision)


TABLES = {
    "Srat, empty": Srat(),
    "Srat": Srat(
        [
            ProcessorLocalApicAffinity(0, 0),
            ProcessorLocalApicAffinity(0x1234_5678, 3, clock_domain=7, local_sapic_eid=9),
            ProcessorLocalX2ApicAffinity(2, 0x1234),
            ProcessorLocalX2ApicAffinity(3, 5, AffinityFlags(0), clock_domain=0x9999),
            MemoryAffinity(0, 0, 0xA_0000),
            MemoryAffinity(1, 0x1_0000_0000, 0x2_0000_0000, HOT),
            GiccAffinity(4, 5, clock_domain=6),
            GicItsAffinity(7, 8),
            GenericInitiatorAffinity(9, PciDeviceHandle(1, 2, 0x18)),
        ]
    ),
    "Slit, one": Slit([[10]]),
    "Slit, two": Slit([[10, 20], [21, 10]]),
    "Slit, many": Slit.uniform(17, 31),
    "Slit, unreachable": Slit([[10, UNREACHABLE, 20], [254, 10, 11], [30, 40, 10]]),
    "Hmat, empty": Hmat(),
    "Hmat, domain": Hmat([MemoryProximityDomainAttributes(1, 2)]),
    "Hmat, matrix": Hmat(
        [
            SystemLocalityLatencyAndBandwidthInformation(
                [0, 1],
                [2, 3, 4],
                [[10, 20, 30], [40, 0, 0xFFFF]],
                flags=MemoryHierarchy.FIRST_LEVEL_MEMORY_SIDE_CACHE,
                **MATRIX,
            )
        ]
    ),
    "Hmat, matrix of one": Hmat(
        [
            SystemLocalityLatencyAndBandwidthInformation(
                [0], [0], [[5]], data_type=LocalityDataType.WRITE_BANDWIDTH, entry_base_unit=1 << 40
            )
        ]
    ),
    "Hmat, cache": Hmat(
        [
            MemorySideCacheInformation(
                1,
                1 << 34,
                hmat.cache_attributes(
                    total_cache_levels=2,
                    cache_level=1,
                    cache_associativity=CacheAssociativity.DIRECT_MAPPED,
                    write_policy=CacheWritePolicy.WRITE_BACK,
                    cache_line_size=64,
                ),
                [0x1100, 0x1101, 0x1102],
            ),
            MemorySideCacheInformation(2, 1 << 30, 0),
        ]
    ),
    "Pptt, empty": Pptt(),
    "Pptt, revision 1": topology(1),
    "Pptt, revision 2": topology(2),
    "Pptt, id": Pptt([IdStructure(0x1234_5678)], revision=1),
}


@pytest.mark.parametrize("name", TABLES)
def test_table_survives(name):
    assert_roundtrip(TABLES[name].to_bytes())


# -- what iasl sees -------------------------------------------------------------------------


def seen(name):
    """Return names and values behind the header, without reserved fields and bits of flags."""
    return [
        (field.name, field.value)
        for field in assert_roundtrip(TABLES[name].to_bytes()).fields
        if field.size is not None
        and field.offset >= 36
        and not field.name.startswith(("Reserved", "Length"))
    ]


FLAGS = "Flags (decoded below)"


def apic(low, high, apic_id, eid, clock):
    return [
        ("Subtable Type", 0),
        ("Proximity Domain Low(8)", low),
        ("Apic ID", apic_id),
        (FLAGS, 1),
        ("Local Sapic EID", eid),
        ("Proximity Domain High(24)", high),
        ("Clock Domain", clock),
    ]


def x2apic(domain, apic_id, flags, clock):
    return [
        ("Subtable Type", 2),
        ("Proximity Domain", domain),
        ("Apic ID", apic_id),
        (FLAGS, flags),
        ("Clock Domain", clock),
    ]


def memory(domain, base, length, flags):
    return [
        ("Subtable Type", 1),
        ("Proximity Domain", domain),
        ("Base Address", base),
        ("Address Length", length),
        (FLAGS, flags),
    ]


def test_values_of_the_srat():
    assert seen("Srat") == [
        ("Table Revision", 1),
        *apic(0, 0, 0, 0, 0),
        *apic(0x78, 0x123456, 3, 9, 7),
        *x2apic(2, 0x1234, 1, 0),
        *x2apic(3, 5, 0, 0x9999),
        *memory(0, 0, 0xA_0000, 1),
        *memory(1, 0x1_0000_0000, 0x2_0000_0000, 3),
        *[("Subtable Type", 3), ("Proximity Domain", 4), ("Acpi Processor UID", 5)],
        *[(FLAGS, 1), ("Clock Domain", 6)],
        *[("Subtable Type", 4), ("Proximity Domain", 7), ("ITS ID", 8)],
        *[("Subtable Type", 5), ("Device Handle Type", 1), ("Proximity Domain", 9)],
        # Of the handle's bytes only the first is compared.
        *[("Device Handle", 1), (FLAGS, 1)],
    ]


def test_distances_of_the_slit():
    fields = assert_roundtrip(TABLES["Slit, unreachable"].to_bytes()).fields
    rows = [field.text for field in fields if field.name.startswith("Locality ")]
    assert rows == ["0A FF 14", "FE 0A 0B", "1E 28 0A"]


def test_values_of_a_matrix():
    assert seen("Hmat, matrix") == [
        ("Structure Type", 1),
        (FLAGS, 1),
        ("Data Type", 0),
        ("Initiator Proximity Domains #", 2),
        ("Target Proximity Domains #", 3),
        ("Entry Base Unit", 100),
        *(("Initiator Proximity Domain List", domain) for domain in (0, 1)),
        *(("Target Proximity Domain List", domain) for domain in (2, 3, 4)),
        *(("Entry", value) for value in (10, 20, 30, 40, 0, 0xFFFF)),
    ]


def test_values_of_a_memory_side_cache():
    fields = assert_roundtrip(TABLES["Hmat, cache"].to_bytes()).fields
    bits = [(field.name, field.value) for field in fields if field.size is None][:5]
    assert bits == [
        ("Total Cache Levels", 2),
        ("Cache Level", 1),
        ("Cache Associativity", 1),
        ("Write Policy", 1),
        ("Cache Line Size", 64),
    ]


def test_references_of_the_pptt():
    text = assert_roundtrip(TABLES["Pptt, revision 2"].to_bytes())
    package, shared, *own = [
        field.offset for field in text.fields if field.name == "Subtable Type"
    ][:4]
    assert text.values("Parent") == [0, package, package]
    assert text.values("Next Level of Cache") == [0, shared, shared]
    assert text.values("Private Resource") == own
