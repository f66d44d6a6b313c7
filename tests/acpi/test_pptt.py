# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PPTT: processors and caches that refer to each other."""

import copy
import pickle

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
from vmmkit.acpi.tables.pptt import (
    AllocationType,
    CacheFlags,
    CacheType,
    CacheTypeStructure,
    IdStructure,
    Pptt,
    PpttEntry,
    ProcessorFlags,
    ProcessorHierarchyNode,
    WritePolicy,
    cache_attributes,
)
from vmmkit.errors import TableParseError, TableValueError

LEAF = ProcessorFlags.ACPI_PROCESSOR_ID_VALID | ProcessorFlags.NODE_IS_A_LEAF


def machine():
    """Return the entries of a package with two cores, L1 caches of their own, and one L2."""
    l2 = CacheTypeStructure(
        size=1 << 20,
        number_of_sets=1024,
        associativity=16,
        attributes=cache_attributes(CacheType.UNIFIED),
        line_size=64,
        cache_id=1,
    )
    package = ProcessorHierarchyNode(flags=ProcessorFlags.PHYSICAL_PACKAGE)
    entries = [package, l2]
    for number in range(2):
        l1d = CacheTypeStructure(next_level_of_cache=l2, size=32768, cache_id=2 * number + 2)
        l1i = CacheTypeStructure(next_level_of_cache=l2, size=32768, cache_id=2 * number + 3)
        core = ProcessorHierarchyNode(package, [l1d, l1i], acpi_processor_id=number, flags=LEAF)
        entries += [l1d, l1i, core]
    return entries


SAMPLE = Pptt(machine())

# Offsets: package 36 (20 bytes), L2 56 (28), L1D 84 (28), L1I 112 (28), core 140 (28); 168, ...
GOLDEN = """
    00 14 0000 01000000 00000000 00000000 00000000
    01 1C 0000 FF000000 00000000 00001000 00040000 10 0A 4000 01000000
    01 1C 0000 FF000000 38000000 00800000 00000000 00 00 0000 02000000
    01 1C 0000 FF000000 38000000 00800000 00000000 00 00 0000 03000000
    00 1C 0000 0A000000 24000000 00000000 02000000 54000000 70000000
    01 1C 0000 FF000000 38000000 00800000 00000000 00 00 0000 04000000
    01 1C 0000 FF000000 38000000 00800000 00000000 00 00 0000 05000000
    00 1C 0000 0A000000 24000000 01000000 02000000 A8000000 C4000000
"""


def test_bytes_are_those_of_the_specification():
    assert body(SAMPLE) == hexed(GOLDEN)
    assert SAMPLE.revision == 3


def test_id_structure_has_its_bytes():
    entry = IdStructure(0x31303142, 1, 2, 3, 4, 5)
    assert entry.to_bytes() == hexed(
        "02 1E 0000 42313031 0100000000000000 0200000000000000 0300 0400 0500"
    )
    core = ProcessorHierarchyNode(private_resources=[entry])
    assert body(Pptt([core, entry]))[20:24] == hexed("3C000000")


def test_cache_of_revision_1_and_2_has_no_id():
    assert len(CacheTypeStructure(cache_id=None).to_bytes()) == 24
    table = Pptt([CacheTypeStructure(cache_id=None)], revision=1)
    assert Pptt.from_bytes(table.to_bytes()).entries[0].cache_id is None


def test_cache_of_revision_3_has_room_for_an_id_and_says_whether_there_is_one():
    assert CacheTypeStructure().to_bytes() == hexed("01 1C 0000 7F000000" + "00" * 20)
    with_id = CacheTypeStructure(cache_id=7)
    assert with_id.flags == CacheFlags(0x7F) | CacheFlags.CACHE_ID_VALID
    assert with_id.to_bytes()[-4:] == hexed("07000000")
    assert CacheTypeStructure(cache_id=7, flags=CacheFlags(0)).flags == 0


def test_reading_makes_the_objects_again():
    table = Pptt.from_bytes(SAMPLE.to_bytes())
    package, l2, l1d, l1i, core, *_more = table.entries
    assert core.parent is package
    assert core.private_resources == (l1d, l1i)
    assert l1d.next_level_of_cache is l2
    assert package.parent == 0
    assert table == SAMPLE
    assert hash(table) == hash(SAMPLE)
    assert table != Pptt(table.entries[:1])
    assert table != "PPTT"


def test_entries_read_can_be_put_into_another_table():
    entries = Pptt.from_bytes(SAMPLE.to_bytes()).entries
    moved = Pptt([IdStructure(1), *entries])
    assert moved.entries[5].parent is moved.entries[1]
    assert body(moved)[30 + 104 + 8 :][:4] == (36 + 30).to_bytes(4, "little")


def test_references_may_lead_forward():
    entries = list(reversed(machine()))
    table = Pptt.from_bytes(Pptt(entries).to_bytes())
    assert table == Pptt(entries)
    assert table.entries[0].parent is table.entries[-1]


def test_reference_may_be_an_offset():
    core = ProcessorHierarchyNode(36, [80])
    table = Pptt([ProcessorHierarchyNode(), core, CacheTypeStructure()])
    assert body(table)[28:32] == hexed("24000000")
    assert table.entries[1].parent == 36


def test_two_equal_caches_are_two():
    one, other = CacheTypeStructure(size=1), CacheTypeStructure(size=1)
    assert one != other
    core = ProcessorHierarchyNode(private_resources=[other])
    assert body(Pptt([one, other, core]))[-4:] == (36 + 28).to_bytes(4, "little")


@pytest.mark.parametrize("again", [copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_copies_refer_to_each_other(again):
    table = again(SAMPLE)
    assert table == SAMPLE
    assert table.entries[4].parent is table.entries[0]
    assert table.entries[0] is not SAMPLE.entries[0]


def test_repr_does_not_follow_references():
    core = SAMPLE.entries[-1]
    assert "<ProcessorHierarchyNode>" in repr(core)
    assert len(repr(SAMPLE)) < 3000


PACKAGE, CACHE = ProcessorHierarchyNode(), CacheTypeStructure()
BAD = {
    "parent not listed": ([ProcessorHierarchyNode(PACKAGE)], r"parent refers to a Processor"),
    "resource not listed": (
        [ProcessorHierarchyNode(private_resources=[CACHE])],
        "private_resources refers to a CacheType",
    ),
    "next level not listed": (
        [CacheTypeStructure(next_level_of_cache=CACHE)],
        "next_level_of_cache",
    ),
    "parent is a cache": ([CACHE, ProcessorHierarchyNode(CACHE)], r"parent .* type \[0\]"),
    "resource is a processor": (
        [PACKAGE, ProcessorHierarchyNode(private_resources=[PACKAGE])],
        r"private_resources .* type \[1, 2\]",
    ),
    "next level is a processor": (
        [PACKAGE, CacheTypeStructure(next_level_of_cache=PACKAGE)],
        "next_level_of_cache",
    ),
    "offset of nothing": ([ProcessorHierarchyNode(37)], "parent refers to offset 37"),
    "offset of itself": ([ProcessorHierarchyNode(36)], "offset 36 refers to itself"),
    "circle": ([ProcessorHierarchyNode(56), ProcessorHierarchyNode(36)], "itself"),
    "listed twice": ([PACKAGE, PACKAGE], "entry 1 is listed twice"),
}


@pytest.mark.parametrize(("entries", "message"), BAD.values(), ids=BAD)
def test_bad_reference_is_refused(entries, message):
    with pytest.raises(TableValueError, match=message) as caught:
        Pptt(entries)
    assert caught.value.table == "PPTT"
    assert caught.value.offset is not None


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("parent", ProcessorHierarchyNode),
        ("private_resources", lambda value: ProcessorHierarchyNode(private_resources=[value])),
        ("next_level_of_cache", lambda value: CacheTypeStructure(next_level_of_cache=value)),
    ],
)
@pytest.mark.parametrize("value", [-1, 1 << 32, "package", None])
def test_what_is_no_reference_is_refused(name, make, value):
    with pytest.raises(TableValueError, match=name):
        make(value)


@pytest.mark.parametrize("entry", [PACKAGE, CACHE, IdStructure(0)])
def test_limits_of_fields(entry):
    check_limits(entry, apart={"parent", "next_level_of_cache"})


@pytest.mark.parametrize("value", [-1, 1 << 32, "x"])
def test_limits_of_cache_id(value):
    assert CacheTypeStructure(cache_id=0xFFFF_FFFF).to_bytes()[-4:] == b"\xff" * 4
    with pytest.raises(TableValueError, match="cache_id"):
        CacheTypeStructure(cache_id=value)


def test_too_many_resources_for_the_length_are_refused():
    assert len(ProcessorHierarchyNode(private_resources=[0] * 58).to_bytes()) == 252
    with pytest.raises(TableValueError, match="type 0 and 256 bytes"):
        ProcessorHierarchyNode(private_resources=[0] * 59)


def test_cache_attributes_are_three_fields():
    assert cache_attributes(CacheType.INSTRUCTION, allocation_type=AllocationType(0)) == 0b00100
    assert cache_attributes(CacheType.UNIFIED, write_policy=WritePolicy.WRITE_THROUGH) == 0b11010
    assert CacheFlags(0x7F) not in CacheFlags(0x80)


READ_BAD = {
    "self": "00 14 0000 00000000 24000000 00000000 00000000",
    "circle": "00 14 0000 00000000 38000000 00000000 00000000"
    "00 14 0000 00000000 24000000 00000000 00000000",
    "into an entry": "00 14 0000 00000000 25000000 00000000 00000000",
    "beyond": "00 14 0000 00000000 FFFFFFFF 00000000 00000000",
    "length 0": "00 00 0000",
    "length 1": "00 01 0000",
}


@pytest.mark.parametrize("text", READ_BAD.values(), ids=READ_BAD)
def test_bad_bytes_are_refused(text):
    with pytest.raises(TableParseError) as caught:
        Pptt.from_bytes(table_bytes("PPTT", hexed(text)))
    assert caught.value.offset is not None


def test_resource_count_beyond_the_entry_leaves_it_raw():
    text = "00 14 0000 00000000 00000000 00000000 FFFFFFFF"
    table = Pptt.from_bytes(table_bytes("PPTT", hexed(text)))
    assert isinstance(table.entries[0], RawEntry)
    assert table.entries[0].family is PpttEntry.FAMILY


def test_unknown_structure_may_be_referred_to_by_none():
    raw = RawEntry(PpttEntry.FAMILY, 9, b"\1\2")
    with pytest.raises(TableValueError, match="private_resources"):
        Pptt([raw, ProcessorHierarchyNode(private_resources=[raw])])
    assert Pptt.from_bytes(Pptt([raw]).to_bytes()).entries == (raw,)


def test_deep_hierarchy_reads_back():
    entries = [ProcessorHierarchyNode()]
    for _ in range(5000):
        entries.append(ProcessorHierarchyNode(entries[-1]))
    for order in (entries, entries[::-1]):
        table = Pptt(order)
        again = Pptt.from_bytes(table.to_bytes())
        assert again == table
        assert repr(again)


def test_wide_hierarchy_reads_back():
    package = ProcessorHierarchyNode()
    table = Pptt([package, *(ProcessorHierarchyNode(package) for _ in range(5000))])
    assert Pptt.from_bytes(table.to_bytes()) == table


def test_iasl_reads_and_recompiles_it():
    # This version knows no cache id.
    entries = [attrs.evolve(CACHE, size=1, cache_id=None), PACKAGE, IdStructure(7)]
    entries.append(ProcessorHierarchyNode(PACKAGE, [entries[0], entries[2]], flags=LEAF))
    entries.append(CacheTypeStructure(next_level_of_cache=entries[0], line_size=64, cache_id=None))
    taken_apart = acpica.assert_roundtrip(Pptt(entries, revision=1).to_bytes())
    assert taken_apart.values("Private Resource") == [36, 80]
    assert taken_apart.values("Next Level of Cache") == [0, 36]


def test_damage_is_read_or_refused():
    check_damage(Pptt, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Pptt, table_bytes("PPTT", content))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=12), st.randoms())
def test_any_hierarchy_reads_back(plan, random):
    entries = []
    for is_cache, choice in plan:
        kind = CacheTypeStructure if is_cache else ProcessorHierarchyNode
        same = [entry for entry in entries if isinstance(entry, kind)]
        target = same[choice % len(same)] if same else 0
        caches = [entry for entry in entries if isinstance(entry, CacheTypeStructure)][:3]
        if is_cache:
            entries.append(CacheTypeStructure(next_level_of_cache=target))
        else:
            entries.append(ProcessorHierarchyNode(target, caches))
    random.shuffle(entries)
    table = Pptt(entries)
    again = Pptt.from_bytes(table.to_bytes())
    assert again == table
    for one, other in zip(table.entries, again.entries, strict=True):
        if isinstance(one, ProcessorHierarchyNode) and one.parent != 0:
            assert again.entries.index(other.parent) == entries.index(one.parent)
