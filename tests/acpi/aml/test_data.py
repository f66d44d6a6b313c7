# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Constants, strings, buffers, packages, and how plain Python values become them."""

import enum
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.acpi.aml.data import (
    Address,
    Buffer,
    ByteConst,
    DWordConst,
    EisaId,
    One,
    Ones,
    Package,
    QWordConst,
    String,
    ToUUID,
    Unicode,
    VarPackage,
    WordConst,
    Zero,
)
from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Path, RawAml, data, operand, term
from vmmkit.acpi.aml.operators import Add
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.relocation import Blob, Relocation
from vmmkit.errors import AmlValueError

LARGEST = (1 << 64) - 1


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 0x1234


@given(st.integers(0, LARGEST))
@settings(max_examples=100)
def test_numbers_take_the_fewest_bytes(value):
    node = term(value)
    sizes = {0: 1, 1: 1, LARGEST: 1}
    size = sizes.get(value, 1 + next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size))
    assert len(node) == size
    assert node.value == value
    if size > 1:
        assert node.encoded[1:] == value.to_bytes(size - 1, "little")


@pytest.mark.parametrize(
    ("value", "node"),
    [
        (0, Zero),
        (1, One),
        (LARGEST, Ones),
        (False, Zero),
        (True, One),
        (2, ByteConst(2)),
        (Colour.RED, One),
        (Colour.BLUE, WordConst(0x1234)),
        ("text", String("text")),
        (b"\1\2", Buffer(b"\1\2")),
        (bytearray(b"\1\2"), Buffer(b"\1\2")),
        ([1, 2], Package(1, 2)),
        ((1, "a"), Package(1, "a")),
        ([0] * 255, Package(*[0] * 255)),
        ([0] * 256, VarPackage(*[0] * 256)),
        (uuid.UUID(int=5), ToUUID("00000000-0000-0000-0000-000000000005")),
    ],
)
def test_plain_values(value, node):
    assert term(value) == node
    assert type(term(value)) is type(node)


def test_a_node_stays_itself():
    node = Add(1, 2)
    assert term(node) is node


@pytest.mark.parametrize("value", [-1, 1 << 64, 1.5, None, object(), {}, "\x80", "a\0b"])
def test_no_value_of_aml(value):
    with pytest.raises(AmlValueError):
        term(value)


def test_numbers_too_long_to_print():
    for make in (term, ByteConst, Arg, Package, EisaId, lambda long: Package(count=long)):
        with pytest.raises(AmlValueError, match="20001 bits"):
            make(1 << 20000)


def test_nested_lists():
    nested = []
    for _ in range(5000):
        nested = [nested]
    assert len(term(nested)) > 5000
    assert term([[1, [2]], (3,)]) == Package(Package(1, Package(2)), Package(3))
    assert term([nested, nested]).args[0] == 2


def test_a_list_in_itself():
    inner = [1]
    outer = [inner]
    inner.append(outer)
    with pytest.raises(AmlValueError, match="itself"):
        term(outer)


@pytest.mark.parametrize(
    ("kind", "size"), [(ByteConst, 1), (WordConst, 2), (DWordConst, 4), (QWordConst, 8)]
)
def test_constants_of_one_width(kind, size):
    assert kind(0).encoded[1:] == bytes(size)
    assert kind((1 << 8 * size) - 1).encoded[1:] == b"\xff" * size
    for wrong in (1 << 8 * size, -1, "1", None):
        with pytest.raises(AmlValueError, match=kind.__name__):
            kind(wrong)


@pytest.mark.parametrize(
    "text", ["PNP0A0", "PNP0A080", "pnp0A08", "PN10A08", "PNP0a08", "PNP0G08", "", "ACPI0007", 5]
)
def test_no_eisa_id(text):
    with pytest.raises(AmlValueError, match="EISA"):
        EisaId(text)


@given(st.from_regex("[A-Z]{3}[0-9A-F]{4}", fullmatch=True))
@settings(max_examples=50)
def test_eisa_ids_can_be_read_back(text):
    packed = int.from_bytes(EisaId(text).value.to_bytes(4, "little"), "big")
    letters = "".join(chr(0x40 + (packed >> shift & 0x1F)) for shift in (26, 21, 16))
    assert f"{letters}{packed & 0xFFFF:04X}" == text


def test_buffers():
    assert Buffer(b"abc").args == (ByteConst(3), b"abc")
    assert Buffer(b"abc", Local(0)).encoded == b"\x11\x05\x60abc"
    with pytest.raises(AmlValueError, match="a buffer of 2 bytes cannot hold 3"):
        Buffer(b"abc", 2)
    with pytest.raises(AmlValueError, match="bytes"):
        Buffer(5)
    with pytest.raises(AmlValueError, match="yields no value"):
        Buffer(b"", Return())


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", 5, None])
def test_no_unicode(text):
    with pytest.raises(AmlValueError):
        Unicode(text)


def test_unicode_beyond_16_bits():
    assert Unicode("\U0001f600").args[1] == b"\x3d\xd8\x00\xde\0\0"


@pytest.mark.parametrize("text", ["", "33db4d5b", 5, None])
def test_no_uuid(text):
    with pytest.raises(AmlValueError, match="UUID"):
        ToUUID(text)


@pytest.mark.parametrize("element", [Arg(0), Add(1, 2), Return(), Device("DEV0")])
def test_packages_hold_values_and_names(element):
    for kind in (Package, VarPackage):
        with pytest.raises(AmlValueError, match="package"):
            kind(element)


@pytest.mark.parametrize("count", [0, 256, -1, "1", Local(0)])
def test_count_of_a_package(count):
    with pytest.raises(AmlValueError, match="package"):
        Package(1, count=count)


def test_too_many_elements():
    with pytest.raises(AmlValueError, match="255"):
        Package(*range(256))
    with pytest.raises(AmlValueError, match="299 elements, 300 given"):
        VarPackage(*range(300), count=299)


def test_where_only_a_value_may_stand():
    for value in (Add(1, 2), Path("FOO"), Arg(0)):
        assert operand(value) is value
        with pytest.raises(AmlValueError, match="no constant"):
            data(value)
    for value in (Zero, Address(Blob(b"")), RawAml(b"\1")):
        assert data(value) is value
    with pytest.raises(AmlValueError, match="yields no value"):
        operand(Device("DEV0"))


@pytest.mark.parametrize("size", [4, 8])
def test_address_of_a_table(size):
    blob = Blob(b"12345678")
    node = Name("ADDR", Address(blob, size, addend=4))
    assert node.encoded[6:] == bytes(size)
    assert node.relocations == (Relocation(6, size, blob, addend=4),)


def test_address_of_another_size():
    with pytest.raises(AmlValueError, match="4 or 8 bytes"):
        Address(Blob(b""), 2)
