# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Field lists: units, offsets, access, connections."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.acpi.aml.data import Buffer
from vmmkit.acpi.aml.field_units import (
    Access,
    AccessAs,
    AccessAttribute,
    Connection,
    NamedField,
    Offset,
    Reserved,
    units,
)
from vmmkit.acpi.aml.fields import BankField, Field, IndexField, Lock, Update
from vmmkit.acpi.aml.node import Path
from vmmkit.acpi.aml.resources import GpioIo, Io
from vmmkit.errors import AmlValueError

BYTE = (Access.Byte, Lock.NoLock, Update.Preserve)
KINDS = {
    "Field": lambda *elements: Field("REG0", *BYTE, *elements),
    "IndexField": lambda *elements: IndexField("IDX0", "DAT0", *BYTE, *elements),
    "BankField": lambda *elements: BankField("REG0", "BNK0", 1, *BYTE, *elements),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@every_kind
def test_elements(make):
    node = make(("A", 8), Offset(4), ("B", 1), Reserved(7), NamedField("C", 2))
    assert node.args[-1] == (
        NamedField("A", 8),
        Reserved(24),
        NamedField("B", 1),
        Reserved(7),
        NamedField("C", 2),
    )


@every_kind
def test_names_are_unique(make):
    with pytest.raises(AmlValueError, match="has two fields A_"):
        make(("A", 8), ("B", 8), ("A_", 8))


@every_kind
def test_offsets_do_not_go_back(make):
    with pytest.raises(AmlValueError, match=r"Offset\(0x2\) in .* lies before bit 0x11"):
        make(("A", 17), Offset(2))


@every_kind
def test_no_element(make):
    for wrong in (5, "A", ("A",), ("A", 1, 2), None, Path("A"), ["A", 1]):
        with pytest.raises(AmlValueError, match="holds"):
            make(wrong)


@every_kind
def test_names_are_one_segment(make):
    for wrong in ("\\A", "^A", "^^^", "A.B", ""):
        with pytest.raises(AmlValueError, match="one segment"):
            make((wrong, 8))
    for wrong in ("a", 5, None):
        with pytest.raises(AmlValueError):
            make((wrong, 8))


@pytest.mark.parametrize("bits", [-1, 1 << 28, "8", None, 1.0])
def test_no_width(bits):
    with pytest.raises(AmlValueError, match=r"field A takes 0 to 2\*\*28 - 1 bits"):
        NamedField("A", bits)
    with pytest.raises(AmlValueError, match=r"Reserved takes 0 to 2\*\*28 - 1 bits"):
        Reserved(bits)


def test_offset_beyond_any_width():
    with pytest.raises(AmlValueError, match="Reserved takes"):
        Field("REG0", *BYTE, Offset(1 << 28))
    for wrong in (-1, "1", None):
        with pytest.raises(AmlValueError, match="Offset takes a number of bytes"):
            Offset(wrong)


@pytest.mark.parametrize(
    ("access", "lock", "update", "flags"),
    [
        (Access.Any, Lock.NoLock, Update.Preserve, 0x00),
        (Access.QWord, Lock.Lock, Update.WriteAsOnes, 0x34),
        (Access.Buffer, Lock.NoLock, Update.WriteAsZeros, 0x45),
        (3, 1, 2, 0x53),
    ],
)
def test_flags(access, lock, update, flags):
    assert Field("REG0", access, lock, update).args[1] == flags


@pytest.mark.parametrize(
    ("access", "lock", "update", "message"),
    [
        (6, 0, 0, "access of a Field of REG0 is none of Access: 6; Any"),
        (0, 2, 0, "lock of a Field of REG0 is none of Lock: 2"),
        (0, 0, 3, "update of a Field of REG0 is none of Update: 3"),
        ("Byte", 0, 0, "access of a Field of REG0 is none of Access: 'Byte'"),
        (None, 0, 0, "is none of Access: None"),
        (0, Update.WriteAsOnes, 0, "lock of a Field of REG0 is none of Lock: <Update.WriteAsOnes"),
        (0, 0, Lock.Lock, "update of a Field of REG0 is none of Update: <Lock.Lock: 1>"),
    ],
)
def test_no_flags(access, lock, update, message):
    with pytest.raises(AmlValueError, match=message):
        Field("REG0", access, lock, update)


def test_access_as():
    assert AccessAs(Access.Word).encoded == b"\1\2\0"
    assert AccessAs(Access.Buffer, AccessAttribute.Block).encoded == b"\1\5\x0a"
    assert AccessAs(Access.Buffer, AccessAttribute.RawBytes, 16).encoded == b"\3\5\x0e\x10"
    assert AccessAs(Access.Buffer, AccessAttribute.Bytes, 0).args == (5, 0x0B, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        (6,),
        (Access.Byte, 256),
        (Access.Byte, -1),
        (Access.Byte, "x"),
        (Access.Byte, [1]),
        (Access.Buffer, AccessAttribute.Bytes),
        (Access.Buffer, AccessAttribute.Bytes, 256),
        (Access.Buffer, AccessAttribute.Word, 2),
    ],
)
def test_no_access_as(arguments):
    with pytest.raises(AmlValueError, match="AccessAs"):
        AccessAs(*arguments)


def test_connection():
    pins = GpioIo([1], "\\_SB.GPIO")
    for source in (pins, pins.to_bytes(), Buffer(pins.to_bytes())):
        assert Connection(source).encoded == b"\2" + Buffer(pins.to_bytes()).encoded
    assert Connection("\\_SB.FOO") == Connection(Path("\\_SB.FOO"))
    assert Connection(Io(0, 8)).args == (Buffer(Io(0, 8).to_bytes()),)
    for wrong in (5, None, Reserved(8), [1], GpioIo):
        with pytest.raises(AmlValueError, match="Connection takes a name or a descriptor"):
            Connection(wrong)


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 20))
@settings(max_examples=50)
def test_offsets_lead_where_they_say(widths, gap):
    elements = [(f"F{number:03}", width) for number, width in enumerate(widths)]
    position = -(-sum(widths) // 8) + gap
    listed = units("a Field", [*elements, Offset(position)])
    assert sum(unit.bits for unit in listed) == 8 * position
