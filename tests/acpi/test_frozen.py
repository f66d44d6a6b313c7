# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Frozen table sets, and the versions that a monitor keeps."""

import json

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.table_sets import minimal, table_sets
from vmmkit.acpi.frozen import FrozenTables, Versions, digest, freeze
from vmmkit.acpi.layout import E820Entry, E820Type, Piece, TableSet
from vmmkit.acpi.tables.madt import LocalApic, Madt
from vmmkit.errors import PlatformError, TableParseError

BASE = 0x7FF0_0000


def build_v0(cpus):
    return TableSet([Madt([LocalApic(n, n) for n in range(cpus)])]).place(BASE)


def build_v1(cpus):
    return TableSet([Madt([LocalApic(n, n) for n in range(cpus)], flags=0)]).place(BASE)


VERSIONS = Versions({"v0": build_v0, "v1": build_v1})


def test_what_was_frozen_is_the_same_until_it_changes():
    frozen = freeze(minimal().place(BASE), "v0")
    assert frozen.verify(minimal().place(BASE)) == ()
    assert frozen.digest == digest(minimal().place(BASE))


@settings(max_examples=25, deadline=None)
@given(table_sets())
def test_text_and_back(tables):
    frozen = freeze(tables.place(BASE), "some name")
    text = frozen.to_text()
    assert max(map(len, text.splitlines())) < 110
    assert FrozenTables.from_text(text) == frozen


def changed(placement, name, **fields):
    pieces = [
        piece._replace(**fields) if piece.name == name else piece for piece in placement.pieces
    ]
    return attrs.evolve(placement, pieces=tuple(pieces))


def without(placement, name):
    return attrs.evolve(
        placement, pieces=tuple(piece for piece in placement.pieces if piece.name != name)
    )


PLACEMENT = minimal().place(BASE)
MADT = PLACEMENT.piece("APIC").data
CHANGES = {
    "a byte": (
        changed(PLACEMENT, "APIC", data=MADT[:50] + b"\x77" + MADT[51:]),
        ("APIC", 50, "v0: APIC had 60 bytes and has 60; at offset 0x32 were 00 00 00 08"),
    ),
    "longer": (
        changed(PLACEMENT, "APIC", data=MADT + b"\x77"),
        ("APIC", 60, "had 60 bytes and has 61; at offset 0x3c were none and are 77"),
    ),
    "shorter": (
        changed(PLACEMENT, "APIC", data=MADT[:-1]),
        ("APIC", 59, "at offset 0x3b were 00 and are none"),
    ),
    "moved": (
        changed(PLACEMENT, "APIC", gpa=0x1000),
        ("APIC", None, f"v0: APIC was at {PLACEMENT.piece('APIC').gpa:#x} and is at 0x1000"),
    ),
    "missing": (without(PLACEMENT, "APIC"), ("APIC", None, "v0: APIC is missing")),
    "new": (
        attrs.evolve(PLACEMENT, pieces=(*PLACEMENT.pieces, Piece(0, b"", "NEW"))),
        ("NEW", None, "v0: NEW is new"),
    ),
    "rsdp": (
        attrs.evolve(PLACEMENT, rsdp=0xE_0000),
        (None, None, "v0: the RSDP's address was 0x7ff00000 and is 0xe0000"),
    ),
    "e820": (
        attrs.evolve(PLACEMENT, e820=(E820Entry(0, 0x1000, E820Type.NVS),)),
        (None, None, "+0x1000 NVS and is 0x0+0x1000 NVS"),
    ),
    "e820 empty": (attrs.evolve(PLACEMENT, e820=()), (None, None, "and is empty")),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_named(case):
    other, (table, offset, message) = CHANGES[case]
    frozen = freeze(PLACEMENT, "v0")
    (difference,) = frozen.verify(other)
    assert difference.table == table
    assert difference.offset == offset
    assert message in str(difference)
    assert digest(other) != frozen.digest


def edited(**changes):
    return json.dumps(json.loads(freeze(PLACEMENT, "v0").to_text()) | changes)


TEXTS_REFUSED = {
    "empty": "",
    "no object": "[]",
    "nothing in it": "{}",
    "deep": "[" * 100_000,
    "number as name": edited(name=1),
    "format": edited(format="vmmkit-acpi-tables-2"),
    "digest": edited(digest="0"),
    "changed": edited(rsdp=0),
    "negative": edited(rsdp=-1),
    "no number": edited(rsdp="0"),
    "e820": edited(e820=[[0, 1]]),
    "e820 type": edited(e820=[[0, 1, 9]]),
    "pieces": edited(pieces=1),
    "base64": edited(pieces=[{"name": "a", "gpa": 0, "data": ["a"]}]),
    "not base64": edited(pieces=[{"name": "a", "gpa": 0, "data": ["é==="]}]),
    "data": edited(pieces=[{"name": "a", "gpa": 0, "data": [1]}]),
}


@pytest.mark.parametrize("case", TEXTS_REFUSED)
def test_other_texts_are_refused(case):
    with pytest.raises(TableParseError, match="frozen tables"):
        FrozenTables.from_text(TEXTS_REFUSED[case])


@settings(max_examples=50, deadline=None)
@given(st.text() | st.binary().map(repr))
def test_any_text_is_refused_alike(text):
    with pytest.raises(TableParseError):
        FrozenTables.from_text(text)


# --- versions -------------------------------------------------------------------------------


def test_new_guests_get_the_default():
    assert VERSIONS.names == ("v0", "v1")
    assert VERSIONS.default == "v1"
    assert VERSIONS.build(None, cpus=2) == build_v1(2)
    assert Versions({"v0": build_v0, "v1": build_v1}, default="v0").build(None, 2) == build_v0(2)


def test_a_guest_keeps_its_version_when_it_migrates():
    old = Versions({"v0": build_v0})
    stamp = old.stamp(None, old.build(None, 2))
    assert stamp.startswith("v0 sha256:")
    assert VERSIONS.restore(stamp, 2) == build_v0(2)


VERSIONS_REFUSED = {
    "no versions of tables": lambda: Versions({}),
    "no version 'v2' of the tables; there are v0$": lambda: Versions({"v0": build_v0}, "v2"),
    "no version 'v2' of the tables; there are v0, v1": lambda: VERSIONS.build("v2", 1),
    "'v0' is no stamp": lambda: VERSIONS.restore("v0", 1),
    "None is no stamp": lambda: VERSIONS.restore(None, 1),
    "no version '' of": lambda: VERSIONS.restore(" sha256:00", 1),
    "and the guest came with": lambda: VERSIONS.restore(VERSIONS.stamp("v0", build_v0(1)), 2),
}


@pytest.mark.parametrize("message", VERSIONS_REFUSED)
def test_versions_that_cannot_be_are_refused(message):
    with pytest.raises(PlatformError, match=message):
        VERSIONS_REFUSED[message]()
