# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Calls read back with the arguments that the method takes, wherever it is declared."""

import pytest

from acpi.aml.trees import shape
from vmmkit.acpi.aml.blocks import If
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import Package
from vmmkit.acpi.aml.named import Alias, Device, External, Method, Name, ObjectKind, Scope
from vmmkit.acpi.aml.node import CLASSES, Path, RawAml
from vmmkit.acpi.aml.operators import Add, Store
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.reader import read, read_all
from vmmkit.acpi.aml.statements import Return
from vmmkit.errors import AmlParseError

RefOf, SizeOf = CLASSES["RefOf"], CLASSES["SizeOf"]
TWO = Method("MTH2", 2, Return(Arg(0)))


def caller(*nodes):
    return Method("CALL", 0, *nodes)


def uses(name):
    """Return a method in which another takes two arguments."""
    return caller(Return(Add(Call(name, 1, 2), 3, Local(0))))


CASES = {
    "declared before": (TWO, uses("MTH2")),
    "declared after": (uses("MTH2"), TWO),
    "a scope above": (Device("DEV0", Device("DEV1", uses("MTH2"))), TWO),
    "the nearest above": (
        TWO,
        Device("DEV0", Name("MTH2", 1), caller(Return(Add(Path("MTH2"), 1, Local(0))))),
    ),
    "absolute": (Device("DEV0", TWO, Device("DEV1", uses("\\DEV0.MTH2"))),),
    "by the parent": (Device("DEV0", TWO, Device("DEV1", uses("^^MTH2"))),),
    "relative": (Device("DEV0", TWO), Scope("\\", Method("NONE", 0)), uses("^DEV0.MTH2")),
    "several segments are not searched": (
        Device("DEV0", TWO),
        Device("DEV1", caller(Store(Path("DEV0.MTH2"), Local(0)))),
    ),
    "in a scope opened elsewhere": (
        Device("DEV0", uses("MTH2")),
        Scope("\\DEV0", TWO),
    ),
    "through an alias": (Alias("MTH2", "ALIA"), uses("ALIA"), TWO),
    "through two aliases": (Alias("ALI2", "ALIA"), Alias("MTH2", "ALI2"), uses("ALIA"), TWO),
    "external": (External("\\_SB.MTH2", ObjectKind.Method, 2), uses("\\_SB.MTH2")),
    "external, as iasl writes it": (
        If(0, External("\\_SB.MTH2", ObjectKind.Method, 2)),
        uses("\\_SB.MTH2"),
    ),
    "a definition counts more than External": (
        External("MTH2", ObjectKind.Method, 1),
        uses("MTH2"),
        TWO,
    ),
    "declared in If": (If(1, TWO), uses("MTH2")),
    "declared in a method": (caller(TWO, Store(Call("MTH2", 1, 2), Local(0))),),
    "predefined": (caller(If(Call("_OSI", "Linux"), Return(1))),),
    "a call in a call": (TWO, caller(Return(Call("MTH2", Call("MTH2", 1, 2), 3)))),
    "a call as a place": (TWO, caller(Store(1, Call("MTH2", 1, 2)), Return(1))),
    "a call whose size is asked": (TWO, caller(Return(SizeOf(Call("MTH2", 1, 2))))),
    "a reference is no call": (TWO, caller(Store(RefOf(Path("MTH2")), Local(0)))),
    "a package holds references": (TWO, Name("PKG0", Package(Path("MTH2"), 1))),
    "a target is a name": (TWO, caller(Add(1, 2, Path("MTH2")), Return(1))),
}


@pytest.mark.parametrize("nodes", CASES.values(), ids=CASES)
def test_calls(nodes):
    found = read(b"".join(node.encoded for node in nodes))
    assert shape(found) == shape(nodes)


def test_methods_of_other_tables_are_told():
    content = uses("\\_SB.MTH2").encoded
    assert shape(read(content, methods={"\\_SB.MTH2": 2})) == shape((uses("\\_SB.MTH2"),))
    with pytest.raises(AmlParseError, match="ByteConst where a place belongs"):
        read(content)
    (kept,) = read(content, lenient=True)
    assert isinstance(kept.args[2][-1], RawAml)


def test_arguments_that_can_be_nothing_else_tell_how_many_there_are():
    nodes = (
        Name("INT0", 1),
        caller(Call("\\_SB.UNKN", Arg(0), Path("INT0")), Return(Call("\\_SB.UNKN", 1, 2))),
        Device("DEV0", Method("MTHD", 0, Call("UNKO", 1), Call("UNKO", Add(1, 2)), Return(1))),
    )
    assert shape(read(b"".join(node.encoded for node in nodes))) == shape(nodes)


def test_guessed_arguments_that_lead_nowhere_are_forgotten():
    nodes = caller(Call("UNKN"), Local(0), Return(Path("UNKN")))
    assert shape(read(nodes.encoded)) == shape((nodes,))
    assert shape(read(nodes.encoded, lenient=True)) == shape((nodes,))


def test_guessed_arguments_help_where_other_calls_cannot_be_read():
    nodes = caller(Store(Call("UNKN", 1, 2), Local(0)), Return(1)), caller(Call("UNKN", 1, 2))
    content = b"".join(node.encoded for node in nodes)
    with pytest.raises(AmlParseError):
        read(content)
    assert shape(read(content, lenient=True)) == shape(nodes)


def test_tables_read_together_know_each_others_methods():
    dsdt = Scope("\\_SB", Device("DEV0", TWO)), uses("\\_SB.DEV1.MTH3")
    ssdt = Scope("\\_SB", Device("DEV1", Method("MTH3", 2), uses("\\_SB.DEV0.MTH2")))
    first, second = read_all([b"".join(node.encoded for node in dsdt), ssdt.encoded])
    assert shape(first) == shape(dsdt)
    assert shape(second) == shape((ssdt,))


def test_a_ring_of_aliases_is_no_method():
    nodes = (Alias("AAAA", "BBBB"), Alias("BBBB", "AAAA"), caller(Return(Path("AAAA"))))
    assert shape(read(b"".join(node.encoded for node in nodes))) == shape(nodes)
