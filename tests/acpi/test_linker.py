# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Loader scripts: what they say, that they give what placing gives, and malformed ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.table_sets import PointingTable, minimal, table_sets
from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.linker import (
    LOADER_FILE,
    RSDP_FILE,
    TABLES_FILE,
    AddChecksum,
    AddPointer,
    Allocate,
    WritePointer,
    Zone,
    apply,
    encode,
    parse,
)
from vmmkit.acpi.relocation import Blob
from vmmkit.errors import LinkerError

BASE = 0x7FF0_0000
RSDP = 0xF_0000


def fixed(addresses):
    return lambda name, size, alignment, zone: addresses[name]


def low(name, size, alignment, zone):
    return RSDP if zone == Zone.FSEG else BASE


# --- bytes ----------------------------------------------------------------------------------

RECORDS = [
    (Allocate("etc/a", 64, Zone.FSEG), (1, 4), b"etc/a\0", (4, b"\x40\0\0\0\x02")),
    (Allocate("a" * 55, 1), (1, 4), b"a" * 55 + b"\0", (60, b"\x01\0\0\0\x01")),
    (AddPointer("f", "t", 0x1234, 8), (2, 4), b"f\0", (116, b"\x34\x12\0\0\x08")),
    (
        AddChecksum("f", 9, 0, 0x100),
        (3, 4),
        b"f\0",
        (60, b"\x09\0\0\0\0\0\0\0\0\x01\0\0"),
    ),
    (
        WritePointer("f", "t", 1, 40, 8),
        (4, 4),
        b"f\0",
        (116, b"\x01\0\0\0\x28\0\0\0\x08"),
    ),
]


@pytest.mark.parametrize("row", RECORDS, ids=lambda row: type(row[0]).__name__)
def test_a_command_is_a_record_of_128_bytes(row):
    command, (number, _), name, (offset, rest) = row
    record = encode([command])
    assert len(record) == 128
    assert record[:4] == number.to_bytes(4, "little")
    assert record[4:].startswith(name)
    if offset > 4:
        assert record[offset : offset + len(rest)] == rest
        assert not any(record[offset + len(rest) :])
    assert parse(record) == (command,)


def test_padding_is_passed_over():
    script = encode([Allocate("a", 1)]) + bytes(128 * 3) + encode([AddChecksum("a", 0, 0, 1)])
    assert [type(one) for one in parse(script)] == [Allocate, AddChecksum]


@pytest.mark.parametrize(
    "command",
    [
        Allocate("", 1),
        Allocate("a" * 56, 1),
        Allocate("nö", 1),
        Allocate("a\0b", 1),
        Allocate("a", 1 << 32),
        Allocate("a", -1),
        AddPointer("a", "b", 0, 256),
        Allocate("a", "b"),
    ],
)
def test_commands_that_fit_no_record_are_refused(command):
    with pytest.raises(LinkerError):
        encode([command])


# --- the script of a set --------------------------------------------------------------------


def test_the_script_of_a_set():
    tables = minimal()
    genid = Blob(bytes(4096), "etc/vmgenid_guid", 4096, address_file="etc/vmgenid_addr")
    tables.add(genid)
    script = tables.linker_script()
    assert set(script.files) == {
        *(RSDP_FILE, TABLES_FILE, LOADER_FILE, "etc/vmgenid_guid", "etc/vmgenid_addr")
    }
    assert script.written == ("etc/vmgenid_addr",)
    assert script.commands == parse(script.loader)
    assert script.commands[:3] == (
        Allocate(RSDP_FILE, 16, Zone.FSEG),
        Allocate(TABLES_FILE, 64),
        Allocate("etc/vmgenid_guid", 4096),
    )
    kinds = [type(one) for one in script.commands]
    assert kinds == sorted(kinds, key=[Allocate, AddPointer, AddChecksum, WritePointer].index)
    assert script.commands[-1] == WritePointer("etc/vmgenid_addr", "etc/vmgenid_guid", 0, 0, 8)


def test_checksum_bytes_are_zero_until_firmware_sets_them():
    # SeaBIOS subtracts the sum from the byte, OVMF replaces the byte: both are right only then.
    script = minimal().linker_script()
    for command in script.commands:
        if isinstance(command, AddChecksum):
            assert script.files[command.file][command.offset] == 0


def test_what_was_written_back_is_the_address():
    tables = TableSet()
    for number in range(2):
        tables.add(Blob(b"x", f"b{number}", address_file="back", address_offset=8 * number))
    script = tables.linker_script()
    assert script.files["back"] == bytes(16)
    addresses = {RSDP_FILE: RSDP, TABLES_FILE: BASE, "b0": 0x1_2345_6780, "b1": 0x2000}
    linked = apply(script.files, script.loader, fixed(addresses))
    back = linked.written["back"]
    assert back == (0x1_2345_6780).to_bytes(8, "little") + (0x2000).to_bytes(8, "little")
    assert [piece[2] for piece in linked.pieces()] == ["b1", RSDP_FILE, TABLES_FILE, "b0"]


BLOBS_REFUSED = {
    "two of a name": ([Blob(b"x", "a"), Blob(b"y", "a")], "there is a file a already"),
    "no room for the name": ([Blob(b"x", "a" * 56)], "no file name"),
    "empty": ([Blob(b"", "a")], "is empty"),
    "a file of ours": ([Blob(b"x", TABLES_FILE)], "there is a file etc/acpi/tables already"),
    "written and read": (
        [Blob(b"x", "a", address_file=RSDP_FILE)],
        "etc/acpi/rsdp is a file to read",
    ),
    "beyond the target": (
        [PointingTable("OEM1", [(8, Blob(b"x", "a"), 1, False)])],
        "OEM1: no pointer of 8 bytes at offset 36 to offset 0x1 of a",
    ),
    "before the target": (
        [PointingTable("OEM1", [(8, Blob(b"x", "a"), -1, False)])],
        "to offset -0x1 of a",
    ),
}


@pytest.mark.parametrize("case", BLOBS_REFUSED)
def test_sets_that_no_script_can_load_are_refused(case):
    members, message = BLOBS_REFUSED[case]
    with pytest.raises(LinkerError, match=message):
        TableSet(members).linker_script()


@settings(max_examples=80, deadline=None)
@given(table_sets(), st.integers(0, 0xFFFF))
def test_carrying_out_the_script_gives_what_placing_gives(tables, offset):
    base = BASE + 0x1000 * offset  # below 4 GiB, as firmware allocates
    if base >= (1 << 32) - 0x10_0000:
        base = BASE
    script = tables.linker_script()
    assert script.commands == parse(script.loader)
    # Only the FACS may lie at another distance from the tables in memory than in their file.
    facs = script.files[TABLES_FILE].rfind(b"FACS\x40\0\0\0")
    placement = tables.place(base, rsdp=RSDP, facs=base + facs if facs >= 0 else None)
    addresses = {piece.name: piece.gpa for piece in placement.pieces}
    addresses |= {RSDP_FILE: RSDP, TABLES_FILE: base}
    linked = apply(script.files, script.loader, fixed(addresses))
    memory = linked.pieces()
    for gpa, data, name in placement.pieces:
        start, content, _file = next(one for one in memory if one[0] <= gpa < one[0] + len(one[1]))
        assert content[gpa - start : gpa - start + len(data)] == data, name
    for member in tables.members():
        if isinstance(member.target, Blob) and member.target.address_file is not None:
            at = member.target.address_offset
            back = linked.written[member.target.address_file][at : at + 8]
            assert int.from_bytes(back, "little") == addresses[member.name]


def test_many_tables_are_linked_in_linear_time():
    # With a quadratic step, this takes minutes.
    tables = TableSet([PointingTable("SSDT", []) for _ in range(4096)])
    script = tables.linker_script()
    linked = apply(script.files, script.loader, low)
    assert linked.contents[TABLES_FILE] != script.files[TABLES_FILE]


# --- scripts that cannot be carried out -----------------------------------------------------

FILES = {"a": bytes(16), "b": bytes(16), "big": bytes(8) + b"\xff" * 8, "empty": b""}
HERE = {"a": 0x1000, "b": 0x2000, "big": 0x3000, "empty": 0x4000}
BOTH = (Allocate("a", 1), Allocate("b", 1))

SCRIPTS_REFUSED = {
    "no file": ([Allocate("c", 1)], "there is no file c"),
    "alignment": ([Allocate("a", 3)], "no power of two"),
    "zone 0": ([Allocate("a", 1, 0)], "no such zone"),
    "zone 3": ([Allocate("a", 1, 3)], "no such zone"),
    "twice": ([Allocate("a", 1), Allocate("a", 1)], "used before"),
    "misaligned": ([Allocate("a", 0x2000)], "16 bytes cannot be at 0x1000"),
    "pointer in no file": ([Allocate("b", 1), AddPointer("a", "b", 0, 8)], "a has not been alloc"),
    "pointer to no file": ([Allocate("a", 1), AddPointer("a", "b", 0, 8)], "b has not been alloc"),
    "pointer size": ([*BOTH, AddPointer("a", "b", 0, 3)], "no pointer of 3 bytes"),
    "pointer beyond": ([*BOTH, AddPointer("a", "b", 9, 8)], "at offset 9 of 16"),
    "pointer far beyond": ([*BOTH, AddPointer("a", "b", 0xFFFF_FFFF, 8)], "at offset 4294967295"),
    "pointer cannot hold": ([*BOTH, AddPointer("a", "b", 0, 1)], "cannot hold 0x2000"),
    "pointer leads beyond": (
        [Allocate("a", 1), Allocate("big", 1), AddPointer("big", "a", 8, 8)],
        "leads to offset 0xffffffffffffffff of 16",
    ),
    "pointer to nothing": (
        [Allocate("a", 1), Allocate("empty", 1), AddPointer("a", "empty", 0, 8)],
        "of 0 bytes",
    ),
    "sum of no file": ([AddChecksum("a", 0, 0, 1)], "not been allocated"),
    "sum beyond": ([Allocate("a", 1), AddChecksum("a", 16, 0, 1)], "has 16 bytes"),
    "sum of beyond": ([Allocate("a", 1), AddChecksum("a", 0, 8, 9)], "has 16 bytes"),
    "sum far beyond": ([Allocate("a", 1), AddChecksum("a", 0, 0xFFFF_FFFF, 2)], "has 16 bytes"),
    "written is allocated": ([*BOTH, WritePointer("a", "b", 0, 0, 8)], "to write is in memory"),
    "written is missing": ([Allocate("a", 1), WritePointer("c", "a", 0, 0, 8)], "no file c"),
    "written beyond": ([Allocate("a", 1), WritePointer("b", "a", 9, 0, 8)], "at offset 9 of 16"),
    "written target": ([WritePointer("b", "a", 0, 0, 8)], "a has not been allocated"),
    "written offset": ([Allocate("a", 1), WritePointer("b", "a", 0, 16, 8)], "has 16 bytes"),
    "written cannot hold": ([Allocate("a", 1), WritePointer("b", "a", 0, 0, 1)], "cannot hold"),
    "allocated is written": (
        [Allocate("a", 1), WritePointer("b", "a", 0, 0, 8), Allocate("b", 1)],
        "used before",
    ),
}


@pytest.mark.parametrize("case", SCRIPTS_REFUSED)
def test_scripts_that_cannot_be_carried_out_are_refused(case):
    commands, message = SCRIPTS_REFUSED[case]
    with pytest.raises(LinkerError, match=message):
        apply(FILES, encode(commands), fixed(HERE))


def test_files_may_touch_but_not_overlap():
    apply(FILES, encode(BOTH), fixed({"a": 0x1FF0, "b": 0x2000}))
    apply(FILES, encode(BOTH), fixed({"a": 0x2010, "b": 0x2000}))
    with pytest.raises(LinkerError, match="a of 16 bytes at 0x1ff1 lies over b at 0x2000"):
        apply(FILES, encode(BOTH), fixed({"a": 0x1FF1, "b": 0x2000}))


@pytest.mark.parametrize("address", [-0x10, (1 << 64) - 8, 0x2008])
def test_addresses_that_no_file_can_have_are_refused(address):
    with pytest.raises(LinkerError):
        apply(FILES, encode(BOTH), fixed(HERE | {"a": address}))


def test_scripts_of_other_bytes_are_refused():
    for script, message in (
        (bytes(127), "not made of records of 128"),
        (b"\x05" + bytes(127), "unknown command 0x5 at offset 0"),
        (b"\x01\0\0\0" + b"a" * 124, "no file name in the command at offset 0"),
        (bytes(128) + b"\x01" + bytes(127), "no file name in the command at offset 128"),
        (b"\x01\0\0\0\xff" + bytes(123), "no file name"),
    ):
        with pytest.raises(LinkerError, match=message):
            parse(script)


names = st.sampled_from([b"a", b"b", b"big", b"empty", b"c", b"", b"\xff"])
numbers = st.sampled_from([0, 1, 2, 3, 4, 8, 9, 15, 16, 64, 0x1000, 0xFFFF_FFFF])


@st.composite
def records(draw):
    """Draw a record that is nearly right."""
    fields = [draw(numbers).to_bytes(4, "little") for _ in range(4)]
    kind = draw(st.integers(0, 5)).to_bytes(4, "little")
    second = draw(names).ljust(56, b"\0") if draw(st.booleans()) else b""
    return (kind + draw(names).ljust(56, b"\0") + second + b"".join(fields)).ljust(128, b"\0")[:128]


@settings(max_examples=150, deadline=None)
@given(st.lists(records(), max_size=8).map(b"".join) | st.binary(max_size=300), st.booleans())
def test_any_script_is_carried_out_or_refused(script, allocated):
    start = encode([Allocate(name, 1) for name in ("a", "b", "big")]) if allocated else b""
    try:
        linked = apply(FILES, start + script, fixed(HERE))
    except LinkerError:
        return
    for name, content in linked.contents.items():
        assert len(content) == len(FILES[name])
