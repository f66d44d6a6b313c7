# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is written reads back equal, whatever its encoding; what is no AML is refused or kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.aml.trees import blocks, shape
from vmmkit.acpi.aml.blocks import Else, ElseIf, If
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import Buffer
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.encoding import package_length
from vmmkit.acpi.aml.named import Device, Method, Name, Scope
from vmmkit.acpi.aml.node import CLASSES, Path, RawAml
from vmmkit.acpi.aml.opcodes import OPCODES
from vmmkit.acpi.aml.operators import Add
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.reader import MAX_DEPTH, read
from vmmkit.acpi.aml.statements import Return
from vmmkit.errors import AmlParseError


def encoded(nodes) -> bytes:
    return b"".join(node.encoded for node in nodes)


def test_every_opcode_has_a_class():
    assert [row.name for row in OPCODES if row.name not in CLASSES] == []


@settings(max_examples=40)
@given(blocks())
def test_what_is_written_reads_back(nodes):
    found = read(encoded(nodes))
    assert found == nodes
    assert shape(found) == shape(nodes)


UNUSUAL = {
    "a package length of two bytes for 4": "10 44 00 5c 00",
    "a package length of four bytes": "10 c6 00 00 00 5c 00",
    "one as a byte": "08 41 41 41 41 0a 01",
    "one in eight bytes": "08 41 41 41 41 0e 01 00 00 00 00 00 00 00",
    "a name of one segment with a count": "08 2f 01 41 41 41 41 00",
    "a name of two segments with a count": "08 2f 02 41 41 41 41 42 42 42 42 00",
    "a parent of the root": "08 5e 5e 41 41 41 41 00",
    "a buffer larger than what it says": "08 41 41 41 41 11 05 0a 01 ff ff",
    "a package with fewer elements than it says": "08 41 41 41 41 12 03 05 00",
    "a field of 5 bits in two bytes": "5b 81 0c 41 41 41 41 00 42 42 42 42 45 00",
    "a string that is not ASCII": "08 41 41 41 41 0d e9 00",
    "constants as statements": "14 08 41 41 41 41 00 00 01",
    "a method with reserved flags": "14 06 41 41 41 41 ff",
    "not less and not equal": "14 0c 41 41 41 41 00 a4 92 92 95 68 69",
    "nothing": "",
}


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_encodings_lose_nothing(text):
    content = bytes.fromhex(text)
    assert encoded(read(content)) == content


REFUSED = {
    "an unknown opcode": ("08 41 41 41 41 00 17", 6, "no opcode begins with 17"),
    "an unknown extended opcode": ("5b ff", 0, "no opcode begins with 5b ff"),
    "half an extended opcode": ("5b", 0, "no opcode begins with 5b"),
    "a name that is none": ("08 61 41 41 41 00", 1, "is no name"),
    "a digit first": ("08 31 41 41 41 00", 1, "is no name"),
    "a cut name": ("08 41 41", 1, "4 bytes wanted, 2 left"),
    "a name of too few segments": ("08 2f 03 41 41 41 41", 3, "12 bytes wanted, 4 left"),
    "a name without value": ("08 41 41 41 41", 5, "Name ends before its arguments do"),
    "a cut number": ("08 41 41 41 41 0c 01 02", 6, "4 bytes wanted, 2 left"),
    "a string without an end": ("08 41 41 41 41 0d 41", 6, "a string without an end"),
    "a package beyond the block": ("10 07 5c 00", 0, "a package of 7 bytes, 4 too many"),
    "a package beyond the one around": ("10 08 5c 00 10 07 5c 00 a3 a3 a3", 4, "3 too many"),
    "a package within its length": ("10 40 00 5c 00", 0, "fewer than its length takes"),
    "a cut package length": ("10 c0 00", 2, "3 bytes wanted, 1 left"),
    "a package that ends in its name": ("10 04 41 41 41 41", 2, "4 bytes wanted, 3 left"),
    "a device as value": ("08 41 41 41 41 5b 82 05 42 42 42 42", 5, "Device where a value belongs"),
    "a constant as target": ("70 00 0a 05", 2, "ByteConst where a place belongs"),
    "no unit of a field": ("5b 81 07 41 41 41 41 00 07", 8, "4 bytes wanted, 1 left"),
    "a field with no name": ("5b 81 0b 41 41 41 41 00 07 41 41 41 01", 8, "begins with 07 41"),
    "a connection to a number": ("5b 81 08 41 41 41 41 00 02 01", 9, "a name or a buffer belongs"),
}


@pytest.mark.parametrize(("text", "offset", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_aml_is_refused(text, offset, message):
    content = bytes.fromhex(text)
    with pytest.raises(AmlParseError, match=message) as caught:
        read(content)
    assert caught.value.offset == offset
    assert encoded(read(content, lenient=True)) == content


def test_the_smallest_package_around_a_failure_is_kept_raw():
    broken = RawAml(bytes.fromhex("11 06 0d 41 41 41 41"))
    nodes = (
        Device("DEV0", Name("AAAA", broken), Name("BBBB", 1)),
        Method("MTH0", 0, If(Arg(0), Return(1), RawAml(b"\x17\x17")), Else(Return(2))),
        Name("CCCC", 1),
    )
    content = encoded(nodes)
    with pytest.raises(AmlParseError):
        read(content)
    assert shape(read(content, lenient=True)) == shape(nodes)


def test_what_is_left_of_a_list_is_kept_raw():
    content = encoded([Name("AAAA", 1)]) + b"\x17" + encoded([Name("BBBB", 1)])
    assert read(content, lenient=True) == (Name("AAAA", 1), RawAml(content[6:]))


def test_a_package_that_fails_before_its_list_is_kept_raw():
    content = bytes.fromhex("5b 82 05 61 61 61 61 a3")
    assert read(content, lenient=True) == (RawAml(content[:-1]), CLASSES["Noop"]())


def failure(content):
    """Return the error that bytes cause, None where they are read, and without loss."""
    try:
        nodes = read(content)
    except AmlParseError as error:
        return error
    assert encoded(nodes) == content
    return None


def assert_parses_or_raises(content):
    error = failure(content)
    assert error is None or 0 <= error.offset <= len(content)


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise(content):
    assert_parses_or_raises(content)
    assert encoded(read(content, lenient=True)) == content


@settings(max_examples=60)
@given(blocks(), st.data())
def test_damaged_aml_parses_or_raises(nodes, drawn):
    content = bytearray(encoded(nodes))
    for _ in range(drawn.draw(st.integers(1, 4))):
        place = drawn.draw(st.integers(0, len(content) - 1))
        length = drawn.draw(st.integers(0, 3))
        content[place : place + length] = drawn.draw(st.binary(max_size=3))
    content = bytes(content)
    assert encoded(read(content, lenient=True)) == content
    assert_parses_or_raises(content)


def nested(depth):
    node = Local(0)
    for _ in range(depth):
        node = CLASSES["LNot"](node)
    return Return(node).encoded


def test_depth_has_a_limit():
    assert encoded(read(nested(MAX_DEPTH - 1))) == nested(MAX_DEPTH - 1)
    with pytest.raises(AmlParseError, match="more than 256 opcodes within each other"):
        read(nested(MAX_DEPTH))


SIZE = 100_000
HUGE = {
    "operators": b"\x92" * SIZE,
    "parents": b"^" * SIZE,
    "packages": b"\x10\xcf\xff\x00\x00" * (SIZE // 5),
    "names": b"ABCD" * (SIZE // 4),
    "numbers": b"\0" * SIZE,
    "strings": b"\x0d" * SIZE,
    "segments": b"\x2f\xff" + b"ABCD" * (SIZE // 4),
    "nested scopes": b"".join(
        b"\x10" + bytes((0xC0 | size & 0xF,)) + (size >> 4).to_bytes(3, "little") + b"\x2f\xff"
        b"ABCD" * 255
        for size in range(SIZE, 0, -1026)
    ),
    "calls": encoded([Method("ABCD", 7)]) + b"ABCD" * (SIZE // 4),
    "aliases": b"\x06ABCDBCDE\x06BCDEABCD" + b"ABCD" * (SIZE // 4),
}


@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE)
def test_huge_inputs_end(content):
    assert encoded(read(content, lenient=True)) == content


def test_scopes_go_no_deeper_than_names():
    content = b""
    for _ in range(20):
        content = Scope(".".join(["ABCD"] * 20), RawAml(content)).encoded
    with pytest.raises(AmlParseError, match="a scope deeper than a name can be long"):
        read(content)
    assert encoded(read(content, lenient=True)) == content


def test_read_nodes_can_be_used_to_write():
    (method,) = read(Method("MTH0", 2, Return(Add(Arg(0), Arg(1)))).encoded)
    again = Device("DEV0", method, Name("AAAA", Buffer(b"1")))
    assert again == Device(
        "DEV0", Method("MTH0", 2, Return(Add(Arg(0), Arg(1)))), Name("AAAA", b"1")
    )
    assert isinstance(method, Method)
    assert isinstance(read(Call("MTH0").encoded)[0], Call)
    assert isinstance(read(Return(Path("INT0")).encoded)[0].args[0], Path)


@pytest.mark.parametrize(
    "opcode",
    [b"\x10", b"\x92"],
    ids=["scopes", "operators"],
)
def test_memory_is_bounded_however_blocks_lie_within_each_other(opcode):
    content = b"\x0d" + b"A" * 500_000 + b"\0"
    for _ in range(250):
        inner = b"ABCD" + content
        content = opcode + (package_length(len(inner)) + inner if opcode == b"\x10" else content)
    with pytest.raises(AmlParseError, match="too much memory, at offset") as caught:
        read(content)
    assert 0 < caught.value.offset < len(content)
    nodes = read(content, lenient=True)
    assert b"".join(node.encoded for node in nodes) == content


def test_a_long_chain_of_else_if_reads_back():
    chain = [ElseIf(Arg(0).eq(number), Return(number)) for number in range(1000)]
    content = Method("AAAA", 1, If(Arg(0), Return(0)), *chain).encoded
    (node,) = read(content)
    assert node.encoded == content
    assert dump(node).count("ElseIf") == 1000
