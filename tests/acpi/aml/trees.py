# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random AML: trees of nodes of every opcode.

A block begins with `PRELUDE`, which declares what the trees name and call. Names drawn elsewhere
never begin with F or M, so that no name is by chance that of a method.
"""

from __future__ import annotations

from hypothesis import strategies as st

from vmmkit.acpi.aml import blocks as block_nodes
from vmmkit.acpi.aml import (
    create_field,
    data,
    field_units,
    fields,
    named,
    operators,
    references,
    statements,
)
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.namespace import opcode_name
from vmmkit.acpi.aml.node import CLASSES, Expression, Node, Path, Place
from vmmkit.acpi.aml.opcodes import OPCODES
from vmmkit.acpi.aml.places import Arg, Debug, Local
from vmmkit.acpi.aml.resources import Interrupt, Io, Memory32Fixed, Resources, WordIo

NAMES = ("INT0", "BUF0", "PKG0", "\\INT0", "^INT0", "\\DEV0.ADR0")
METHODS = {"MTH0": 0, "MTH1": 1, "\\MTH2": 2, "\\DEV0.MTH3": 3}

PRELUDE = (
    named.Name("INT0", 1),
    named.Name("BUF0", bytes(8)),
    named.Name("PKG0", [1, 2]),
    named.Mutex("MTX0"),
    named.Event("EVT0"),
    named.OperationRegion("REG0", named.RegionSpace.SystemIo, 0x100, 0x10),
    fields.Field("REG0", 1, 0, 0, ("IDX0", 8), ("DAT0", 8)),
    *(
        named.Method(name, count, statements.Return(0))
        for name, count in METHODS.items()
        if "." not in name
    ),
    named.Device("DEV0", named.Name("ADR0", 0), named.Method("MTH3", 3, statements.Return(0))),
)

# Whose operands are no plain values and places, or that are no expressions for iasl.
_OTHERS = {
    *("Buffer", "Package", "VarPackage", "String", "Match", "LoadTable", "Load", "Acquire", "Wait"),
    *("RefOf", "CondRefOf", "ObjectType", "CopyObject", "ConcatenateResTemplate", "SizeOf"),
}
_OPERATORS = [
    row
    for row in OPCODES
    if row.args
    and set(row.args) <= set("TSt")
    and row.name not in _OTHERS
    and issubclass(CLASSES[row.name], Expression)
]

numbers = st.one_of(
    st.sampled_from([0, 1, 2, 0xFF, 0x100, 0xFFFF, 0x1_0000, 0xFFFF_FFFF, 1 << 32, (1 << 64) - 1]),
    st.integers(0, (1 << 64) - 1),
)
strings = st.text(st.characters(min_codepoint=1, max_codepoint=0x7F), max_size=12)
templates = st.lists(
    st.sampled_from(
        [Io(0x3F8, 8), Memory32Fixed(0xFED0_0000, 0x400), Interrupt(9), WordIo(0, 0xCF7)]
    ),
    max_size=3,
).map(lambda items: Resources(*items))
paths = st.sampled_from(NAMES).map(Path)
locals_and_args = st.one_of(st.integers(0, 7).map(Local), st.integers(0, 6).map(Arg))
simple_places = st.one_of(locals_and_args, paths)

leaves = st.one_of(
    numbers.map(data.integer),
    strings.map(data.String),
    st.binary(max_size=20).map(data.Buffer),
    st.uuids().map(data.ToUUID),
    templates,
    simple_places,
    st.sampled_from([data.Revision, statements.Timer]),
)


def _operator(row, values, places):
    letters = {"T": values, "S": places, "t": st.none() | places}
    return st.tuples(*[letters[letter] for letter in row.args]).map(
        lambda args: CLASSES[row.name](*args)
    )


def _calls(values):
    return st.sampled_from(sorted(METHODS)).flatmap(
        lambda name: st.tuples(*[values] * METHODS[name]).map(lambda args: Call(name, *args))
    )


def _packages(counts):
    elements = st.lists(st.one_of(numbers, strings, paths, st.binary(max_size=4)), max_size=10)
    return st.one_of(
        elements.map(lambda listed: data.Package(*listed)),
        elements.map(lambda listed: data.Package(data.Package(*listed), 1)),
        st.tuples(counts, elements).map(lambda pair: data.VarPackage(*pair[1], count=pair[0])),
    )


def _extended(values):
    places = st.one_of(simple_places, st.just(Debug))
    match = references.Match
    return st.one_of(
        st.sampled_from(_OPERATORS).flatmap(lambda row: _operator(row, values, places)),
        _calls(values),
        _packages(simple_places),
        st.tuples(values, st.binary(max_size=9)).map(lambda pair: data.Buffer(pair[1], pair[0])),
        st.tuples(values, st.integers(0, 5), values, st.integers(0, 5), values, values).map(
            lambda args: match(*args)
        ),
        st.integers(0, 0xFFFF).map(lambda time: statements.Acquire("MTX0", time)),
        values.map(lambda time: statements.Wait("EVT0", time)),
        simple_places.map(references.CondRefOf),
        simple_places.map(references.SizeOf),
        paths.map(references.ObjectType),
        simple_places.map(references.RefOf),
        st.tuples(values, simple_places).map(lambda pair: operators.CopyObject(*pair)),
    )


#: Nodes that yield a value.
expressions = st.recursive(leaves, _extended, max_leaves=4)

_effects = st.one_of(
    st.tuples(expressions, simple_places).map(lambda pair: operators.Store(*pair)),
    _calls(expressions),
    expressions.map(statements.Return),
    expressions.map(lambda value: statements.Notify("DEV0", value)),
    st.sampled_from([statements.Noop, statements.BreakPoint]),
    simple_places.map(references.Increment),
    expressions.map(statements.Sleep),
    st.just(statements.Release("MTX0")),
    st.tuples(st.integers(0, 255), st.integers(0, (1 << 32) - 1), expressions).map(
        lambda args: statements.Fatal(*args)
    ),
    expressions.map(lambda value: create_field.CreateField(Path("BUF0"), value, 4, "TMP0")),
)


def _flow(inner):
    body = st.lists(inner, max_size=3)
    branch = st.tuples(expressions, body)
    return st.one_of(
        st.tuples(branch, st.sampled_from([statements.Break, statements.Continue])).map(
            lambda both: [block_nodes.While(both[0][0], *_flat(both[0][1]), both[1])]
        ),
        st.tuples(branch, body).map(
            lambda both: [
                block_nodes.If(both[0][0], *_flat(both[0][1])),
                block_nodes.Else(*_flat(both[1])),
            ]
        ),
        branch.map(lambda pair: [block_nodes.If(pair[0], *_flat(pair[1]))]),
    )


def _flat(groups):
    return [node for group in groups for node in group]


#: What a method runs: lists of statements.
bodies = st.lists(
    st.recursive(_effects.map(lambda node: [node]), _flow, max_leaves=3), max_size=3
).map(_flat)

_units = st.one_of(
    st.integers(0, 0x2000).map(field_units.Reserved),
    st.builds(field_units.AccessAs, st.integers(0, 4), st.integers(0x20, 0x3F)),
    st.builds(lambda length: field_units.AccessAs(5, 0x0B, length), st.integers(1, 255)),
    st.just(field_units.Connection("BUF0")),
)


def _field_list(number, listed):
    """Return the units, with a named one after each."""
    return [
        each
        for index, unit in enumerate(listed)
        for each in (unit, (f"U{number:02X}{index}", index + 1))
    ]


_VALUES = st.one_of(
    numbers,
    strings,
    st.binary(max_size=40),
    templates,
    st.uuids(),
    _packages(paths),
)

_OBJECTS = (
    lambda name: _VALUES.map(lambda value: named.Name(name, value)),
    lambda name: st.tuples(st.integers(0, 7), bodies, st.booleans(), st.integers(0, 15)).map(
        lambda args: named.Method(
            "F" + name[1:], args[0], *args[1], serialized=args[2], sync_level=args[3]
        )
    ),
    lambda name: st.integers(0, 15).map(lambda level: named.Mutex(name, level)),
    lambda name: st.just(named.Event(name)),
    lambda name: st.just(named.Alias("INT0", name)),
    lambda name: st.tuples(st.integers(0, 10) | st.integers(0x80, 0xFF), numbers, numbers).map(
        lambda args: named.OperationRegion(name, *args)
    ),
    lambda name: st.just(named.DataTableRegion(name, "ABCD", "", "")),
    lambda name: st.lists(_units, min_size=1, max_size=4).map(
        lambda units: fields.Field("REG0", 5, 1, 2, *_field_list(int(name[1:], 16), units))
    ),
    lambda name: st.just(fields.IndexField("IDX0", "DAT0", 1, 0, 0, ("U" + name[1:], 8))),
    lambda name: numbers.map(
        lambda value: fields.BankField("REG0", "IDX0", value, 1, 0, 0, ("U" + name[1:], 8))
    ),
    lambda name: st.integers(0, 255).map(
        lambda number: named.Processor(name, number, 0x410, 6, named.Name("_STA", 15))
    ),
    lambda name: st.integers(0, 0xFFFF).map(lambda order: named.PowerResource(name, 1, order)),
    lambda name: st.just(named.ThermalZone(name, named.Name("_TMP", 3000))),
    lambda name: _VALUES.map(lambda value: named.Device(name, named.Name("_UID", value))),
    lambda name: _VALUES.map(lambda value: named.Scope("DEV0", named.Name(name, value))),
)


@st.composite
def blocks(draw) -> tuple[Node, ...]:
    """Draw the terms of a definition block, every object in it with a name of its own."""
    kinds = draw(st.lists(st.sampled_from(_OBJECTS), max_size=6))
    return (*PRELUDE, *(draw(kind(f"N{index:03X}")) for index, kind in enumerate(kinds)))


def shape(node: object) -> object:
    """Return what a node is made of: opcodes and arguments, all the way down."""
    if isinstance(node, tuple):
        return tuple(map(shape, node))
    if not isinstance(node, Node):
        return node
    if isinstance(node, Call) and not node.args[1]:
        return shape(node.args[0])
    kind = opcode_name(node) or type(node).__name__
    return kind, shape(node.args) if not isinstance(node, Place) or node.args else ()
