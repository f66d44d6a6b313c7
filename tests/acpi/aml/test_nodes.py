# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What all nodes have in common: equality, text, relocations, depth."""

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.acpi.aml import encoding
from vmmkit.acpi.aml.blocks import Else, ElseIf, If, While
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import Address, Buffer, Package, VarPackage, Zero
from vmmkit.acpi.aml.encoding import encode_list, package_length
from vmmkit.acpi.aml.fields import BankField
from vmmkit.acpi.aml.named import Device, Method, Name, OperationRegion, Scope
from vmmkit.acpi.aml.node import Path, RawAml
from vmmkit.acpi.aml.operators import Add, Store
from vmmkit.acpi.aml.places import Arg, Debug, Local
from vmmkit.acpi.aml.references import DerefOf, Index
from vmmkit.acpi.aml.statements import Break, Noop, Return
from vmmkit.acpi.relocation import Blob
from vmmkit.errors import AmlValueError

DEPTH = 1500
BLOB = Blob(bytes(1000), name="target")


def test_nodes_are_equal_if_their_bytes_are():
    assert Name("FOO", 1) == Name("FOO_", True)
    assert Name("FOO", 1) != Name("FOO", 2)
    assert hash(Name("FOO", 1)) == hash(Name("FOO_", 1))
    assert Name("FOO", 1) != b"\x08FOO_\x01"
    assert Address(Blob(b"")) != Address(Blob(b""))


def test_a_node_is_no_condition():
    with pytest.raises(TypeError, match="use If"):
        bool(Local(0).eq(1))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Device("PCI0", Name("_UID", 3)), "Device('PCI0', ...)"),
        (Name("_UID", 0x1234), "Name('_UID', 0x1234)"),
        (Name("_HID", "ACPI0007"), "Name('_HID', String('ACPI0007'))"),
        (Add(Add(1, 2), Arg(0)), "Add(Add(...), Arg0, None)"),
        (Store(Zero, Debug), "Store(0, Debug)"),
        (Call("FOO", 1), "Call('FOO', ...)"),
        (Name("FOO", Address(BLOB)), "Name('FOO', Address('target', 4, 0))"),
        (Path("\\_SB"), "Path('\\\\_SB')"),
        (Method("FOO", 1), "Method('FOO', 1, ())"),
        (Break, "Break"),
        (Package(1, 2), "Package(2, ...)"),
        (RawAml(b"\xa3"), "RawAml(b'\\xa3')"),
    ],
)
def test_text(node, text):
    assert repr(node) == text


@pytest.mark.parametrize(
    "node",
    [
        Buffer(bytes(1 << 20)),
        Name("FOO", "x" * 100000),
        Path(".".join(["ABCD"] * 255)),
        Package(*range(255)),
        RawAml(bytes(100000)),
    ],
)
def test_text_is_short(node):
    assert len(repr(node)) < 250


# -- depth ----


def sums():
    node = Local(0)
    for _ in range(DEPTH):
        node = Add(node, 1)
    return node


def packages():
    node = Package()
    for _ in range(DEPTH):
        node = Package(node)
    return node


def devices():
    node = Device("DEV0")
    for _ in range(DEPTH):
        node = Device("DEV0", node)
    return node


def branches():
    listed = [If(Arg(0), Noop), *(ElseIf(Arg(0).eq(number), Noop) for number in range(DEPTH))]
    return Method("FOO", 1, *listed, Else(Noop))


@pytest.mark.parametrize("make", [sums, packages, devices, branches])
def test_no_depth_is_too_deep(make):
    node = make()
    assert len(node) > DEPTH
    repr(node)
    assert hash(node) == hash(make())
    for again in (pickle.loads(pickle.dumps(node)), copy.deepcopy(node)):
        assert again == node
        assert type(again) is type(node)
        assert again.args == node.args


def test_copies_keep_what_is_shared():
    blob = Blob(b"")
    node = Scope("\\", Name("FOO", Address(blob)), Name("BAR", Address(blob)))
    again = copy.deepcopy([blob, node])
    assert {place.target for place in again[1].relocations} == {again[0]}


def test_locals_stay_the_same_object():
    assert pickle.loads(pickle.dumps(Local(3))) is Local(3)
    assert Local(3) is Local(3)


# -- relocations, in every kind of node that may hold one ----

PARTS = st.sampled_from([Zero, Arg(0), Path("\\_SB.FOO"), Address(BLOB), Address(BLOB, 8)])


def holders(inner):
    listed = st.lists(st.builds(Return, inner), max_size=3)
    return st.one_of(
        st.builds(Add, inner, inner),
        st.builds(lambda one, two: Index(one, two, Local(0)), inner, inner),
        st.builds(DerefOf, inner),
        st.builds(lambda arguments: Call("FOO", *arguments), st.lists(inner, max_size=3)),
        st.builds(lambda size: Buffer(b"abc", size), inner),
        st.builds(
            lambda count, values: VarPackage(*values, count=count),
            inner,
            st.lists(
                st.sampled_from([5, "text", Address(BLOB), Package(Address(BLOB, 8), 70000)]),
                max_size=30,
            ),
        ),
        listed.map(lambda nodes: RawAml(If(1, *nodes).encoded)),
    )


EXPRESSIONS = st.recursive(PARTS, holders, max_leaves=12)
STATEMENTS = st.one_of(
    st.builds(Return, EXPRESSIONS),
    st.builds(lambda value: Store(value, "FOO"), EXPRESSIONS),
    st.builds(lambda one, two: OperationRegion("FOO", 0, one, two), EXPRESSIONS, EXPRESSIONS),
    st.builds(lambda one: BankField("FOO", "BAR", one, 0, 0, 0, ("BAZ", 3)), EXPRESSIONS),
)


def blocks(inner):
    listed = st.lists(inner, max_size=4)
    return st.one_of(
        st.builds(lambda test, nodes: If(test, *nodes), EXPRESSIONS, listed),
        st.builds(lambda test, nodes: While(test, *nodes), EXPRESSIONS, listed),
        listed.map(lambda nodes: Device("DEV0", *nodes)),
        listed.map(lambda nodes: Scope("\\", *nodes)),
        listed.map(lambda nodes: Method("FOO", 2, *nodes)),
    )


def below(node):
    yield node
    for child in node.children():
        yield from below(child)


@given(st.recursive(STATEMENTS, blocks, max_leaves=12))
@settings(max_examples=150, deadline=None)
def test_relocations_point_at_their_constants(top):
    for node in below(top):
        if hasattr(node, "OPCODE"):
            assert (node.encoded, node.relocations) == encoding.encode(node.OPCODE, node.args)
        for place in node.relocations:
            codes = {4: 0x0C, 8: 0x0E}
            assert node.encoded[place.offset - 1] == codes[place.size]
            assert node.encoded[place.offset : place.offset + place.size] == bytes(place.size)
    addresses = [node for node in below(top) if isinstance(node, Address)]
    assert len(top.relocations) == len(addresses)
    assert [place.size for place in top.relocations] == [node.args[1] for node in addresses]


# -- the generic encoder, which readers and tools rely on ----


def test_wrong_arguments():
    with pytest.raises(AmlValueError, match="Name takes 2 arguments, not 1"):
        encoding.encode(Name.OPCODE, (Path("FOO"),))
    with pytest.raises(AmlValueError, match="Name takes a node here, not 5"):
        encoding.encode(Name.OPCODE, (Path("FOO"), 5))
    with pytest.raises(AmlValueError, match="Method takes a number from 0 to 0xff here, not 256"):
        encoding.encode(Method.OPCODE, (Path("FOO"), 256, ()))
    with pytest.raises(AmlValueError, match="Method takes a list of nodes"):
        encoding.encode(Method.OPCODE, (Path("FOO"), 0, (5,)))


@pytest.mark.parametrize(
    ("size", "encoded"),
    [
        (0, "01"),
        (0x3E, "3f"),
        (0x3F, "4104"),
        (0xFFD, "4fff"),
        (0xFFE, "810001"),
        (0xF_FFFC, "8fffff"),
        (0xF_FFFD, "c1000001"),
        (0xFFF_FFFB, "cfffffff"),
    ],
)
def test_package_lengths(size, encoded):
    assert package_length(size).hex() == encoded


# iasl chooses the number of bytes as if they counted themselves.
@pytest.mark.parametrize(
    ("bits", "encoded"),
    [
        (0, "00"),
        (62, "3e"),
        (63, "4f03"),
        (4093, "4dff"),
        (4094, "8eff00"),
        (0xF_FFFC, "8cffff"),
        (0xF_FFFD, "cdffff00"),
        (0xFFF_FFFF, "cfffffff"),
    ],
)
def test_widths(bits, encoded):
    assert package_length(bits, counts_itself=False).hex() == encoded


def test_too_long():
    with pytest.raises(AmlValueError, match="0xfffffff"):
        package_length(0xFFF_FFFC)
    with pytest.raises(AmlValueError, match="0xfffffff"):
        package_length(1 << 28, counts_itself=False)


def test_lists():
    encoded, relocations = encode_list([Noop, Name("FOO", Address(BLOB))])
    assert encoded.hex() == "a308464f4f5f0c00000000"
    assert [place.offset for place in relocations] == [7]


@pytest.mark.parametrize("name", ["", "\\", "^^"])
def test_a_call_names_a_method(name):
    with pytest.raises(AmlValueError, match="does not name a method"):
        Call(name, 1)
