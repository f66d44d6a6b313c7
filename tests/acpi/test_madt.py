# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupt controllers and processors."""

import copy
import pickle

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits, check_truncation, with_length
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.entry import RawEntry
from vmmkit.acpi.tables.madt import (
    InterruptSourceOverride,
    IoApic,
    LapicFlags,
    LocalApic,
    LocalApicAddressOverride,
    LocalApicNmi,
    LocalX2Apic,
    LocalX2ApicNmi,
    Madt,
    MadtEntry,
    MadtFlags,
    MpsIntiFlags,
    MultiprocessorWakeup,
    NmiSource,
    Polarity,
    TriggerMode,
)
from vmmkit.errors import TableParseError, TableValueError

LEVEL_LOW = MpsIntiFlags.of(Polarity.ACTIVE_LOW, TriggerMode.LEVEL)
ENTRIES = [
    (LocalApic(1, 2), "00 08 01 02 01000000"),
    (LocalApic(3, 4, LapicFlags.ONLINE_CAPABLE), "00 08 03 04 02000000"),
    (IoApic(5), "01 0c 05 00 0000c0fe 00000000"),
    (IoApic(6, 0xFEC1_0000, 24), "01 0c 06 00 0000c1fe 18000000"),
    (InterruptSourceOverride(0, 2), "02 0a 00 00 02000000 0000"),
    (InterruptSourceOverride(9, 9, LEVEL_LOW), "02 0a 00 09 09000000 0f00"),
    (NmiSource(7, flags=MpsIntiFlags.of(1, 1)), "03 08 0500 07000000"),
    (LocalApicNmi(), "04 06 ff 0000 01"),
    (LocalApicNmi(4, 0, flags=LEVEL_LOW), "04 06 04 0f00 00"),
    (LocalApicAddressOverride(0x1_FEE0_0000), "05 0c 0000 0000e0fe01000000"),
    (LocalX2Apic(0x1234, 0x5678), "09 10 0000 34120000 01000000 78560000"),
    (LocalX2ApicNmi(), "0a 0c 0000 ffffffff 01 000000"),
    (MultiprocessorWakeup(0x7FFF_F000), "10 10 0000 00000000 00f0ff7f00000000"),
    (
        MultiprocessorWakeup(0x7FFF_F000, reset_vector=0xFFFF_FFF0),
        "10 18 0100 00000000 00f0ff7f00000000 f0ffffff00000000",
    ),
]
# What iasl of 2020 knows: all but the wake-up structure, which came with ACPI 6.4.
MADT = Madt([entry for entry, _ in ENTRIES[:-2]])


@pytest.mark.parametrize(("entry", "expected"), ENTRIES)
def test_entries(entry, expected):
    assert entry.to_bytes() == bytes.fromhex(expected)
    assert Madt.from_bytes(Madt([entry]).to_bytes()).entries == (entry,)


def test_bytes():
    data = bytes.fromhex(
        "41504943 34000000 06 91 564d4d4b4954 564d4d4b49542020 01000000 564d4d4b 01000000"
        "0000e0fe 01000000 0008010201000000"
    )
    assert sum(data) % 256 == 0
    assert Madt([LocalApic(1, 2)]).to_bytes() == data
    assert Madt.from_bytes(data) == Madt([LocalApic(1, 2)])


def test_iasl_makes_the_same():
    shown = assert_roundtrip(MADT.to_bytes())
    assert shown.values("Subtable Type") == [entry.TYPE for entry, _ in ENTRIES[:-2]]


@pytest.mark.parametrize("entry", [entry for entry, _ in ENTRIES])
def test_limits(entry):
    names = [field.name for field in type(entry).layout().fields]
    check_limits(type(entry), **{name: getattr(entry, name) for name in names})


def test_limits_of_the_table():
    check_limits(Madt)


def test_flags_of_an_input():
    assert (LEVEL_LOW, LEVEL_LOW.polarity, LEVEL_LOW.trigger_mode) == (
        0xF,
        Polarity.ACTIVE_LOW,
        TriggerMode.LEVEL,
    )
    assert repr(LEVEL_LOW) == (
        "<MpsIntiFlags 0xf: <Polarity.ACTIVE_LOW: 3>, <TriggerMode.LEVEL: 3>>"
    )
    assert (MpsIntiFlags(0xA).polarity, MpsIntiFlags(0xA).trigger_mode) == (2, 2)
    read = Madt.from_bytes(Madt([InterruptSourceOverride(9, 9, 0xD)]).to_bytes()).entries[0].flags
    assert (read.polarity, read.trigger_mode) == (Polarity.ACTIVE_HIGH, TriggerMode.LEVEL)


@pytest.mark.parametrize("pair", [(4, 0), (0, 4), (-1, 0)])
def test_no_such_flags(pair):
    with pytest.raises(TableValueError, match="MpsIntiFlags"):
        MpsIntiFlags.of(*pair)


def test_numbers_read_as_names():
    madt = Madt.from_bytes(Madt([LocalApic(0, 0)]).to_bytes())
    assert madt.flags is MadtFlags.PCAT_COMPAT
    assert madt.entries[0].flags is LapicFlags.ENABLED


def test_mailbox_can_be_an_object():
    mailbox = Blob(bytes(4096), "mailbox", alignment=4096)
    madt = Madt([LocalApic(0, 0), MultiprocessorWakeup(mailbox)])
    assert [tuple(place) for place in madt.relocations()] == [(44 + 8 + 8, 8, mailbox, False, 0)]


@pytest.mark.parametrize(
    "content",
    [
        "0b 50" + "00" * 78,  # a GIC CPU interface
        "0e 10" + "01" * 14,
        "80 02",
        "00 07 0000000000",  # a processor, one byte short
        "ff ff" + "55" * 253,
    ],
)
def test_unknown_entries_are_kept(content):
    data = bytes.fromhex(content)
    madt = Madt([LocalApic(0, 0), RawEntry(MadtEntry.FAMILY, data[0], data[2:])])
    assert madt.to_bytes()[52:] == data
    assert Madt.from_bytes(madt.to_bytes()) == madt


def test_longer_entries_keep_their_rest():
    # As if a later version of the specification had added a field.
    entry = MultiprocessorWakeup(0x1000, reset_vector=1, trailing=bytes(range(8)))
    assert entry.to_bytes()[1] == 32
    assert Madt.from_bytes(Madt([entry]).to_bytes()).entries == (entry,)


@pytest.mark.parametrize(
    ("content", "offset"),
    [("00 00", 44), ("00 01", 44), ("00 09 00 00 01000000", 44), ("04 06 ff 0000 01 01 ff 00", 50)],
)
def test_impossible_lengths_are_refused(content, offset):
    data = Madt().to_bytes() + bytes.fromhex(content)
    with pytest.raises(TableParseError, match=f"at offset {offset} has length") as caught:
        Madt.from_bytes(with_length(data, len(data)))
    assert (caught.value.table, caught.value.offset) == ("APIC", offset)


def test_too_long_entry_is_refused():
    with pytest.raises(TableValueError, match="type 0 and 256 bytes"):
        LocalApic(0, 0, trailing=bytes(248))


def test_truncation():
    check_truncation(MADT)


@pytest.mark.parametrize("entry", [entry for entry, _ in ENTRIES], ids=repr)
def test_entry_is_made_of_its_bytes(entry):
    data = entry.to_bytes()
    assert type(entry).parse(data) == entry
    assert MadtEntry.parse(data) == entry
    for wrong in (b"", data[:1], data[:-1], data + b"\0", b"\x63" + data[1:]):
        with pytest.raises(TableParseError, match="APIC") as caught:
            type(entry).parse(wrong)
        assert (caught.value.table, caught.value.offset) == ("APIC", 0)


def test_entry_with_more_than_is_known_is_made_of_its_bytes():
    entry = MultiprocessorWakeup(0x1000, reset_vector=0, trailing=bytes(7))
    assert MultiprocessorWakeup.parse(entry.to_bytes()) == entry
    short = MultiprocessorWakeup(0x1000, trailing=bytes(7))
    assert MultiprocessorWakeup.parse(short.to_bytes()) == short


@pytest.mark.parametrize("wrong", [-1, 1 << 64, "1"])
def test_reset_vector_has_eight_bytes(wrong):
    assert MultiprocessorWakeup(0, reset_vector=(1 << 64) - 1).to_bytes()[16:] == b"\xff" * 8
    with pytest.raises(TableValueError, match="reset_vector") as caught:
        MultiprocessorWakeup(0, reset_vector=wrong)
    assert caught.value.offset == 16


def test_entry_of_another_type_is_none():
    with pytest.raises(TableParseError, match="no IoApic"):
        IoApic.parse(LocalApic(0, 0).to_bytes())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_copies_of_what_no_class_is_for(again):
    table = Madt([RawEntry(MadtEntry.FAMILY, 0x63, b"ab"), LocalApic(0, 0)])
    copied = again(table)
    assert copied == table
    assert copied.entries[0].family is MadtEntry.FAMILY
    assert Madt(copied.entries) == table
    assert repr(copied.entries[0]) == "RawEntry(family=<Family APIC>, type=99, body=b'ab')"
