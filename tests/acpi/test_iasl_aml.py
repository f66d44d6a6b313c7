# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every AML node has the bytes that iasl gives the same ASL, written by hand, with -oa."""

import functools
import uuid

import pytest

from acpi.acpica import definition_block
from vmmkit.acpi.aml.blocks import Else, ElseIf, If, While
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import (
    Buffer,
    ByteConst,
    EisaId,
    Package,
    ToUUID,
    Unicode,
)
from vmmkit.acpi.aml.named import Device, Method, Name, Scope
from vmmkit.acpi.aml.node import CLASSES, Path
from vmmkit.acpi.aml.opcodes import BY_NAME
from vmmkit.acpi.aml.places import Arg, Debug, Local
from vmmkit.acpi.aml.statements import Return

HEADER_SIZE = 36

# What the cases name.
PRELUDE = """
    Mutex (MTX0, 0x00)
    Event (EVT0)
    Name (INT0, 0x1234)
    Name (BUF0, Buffer (0x20) {})
    Name (PKG0, Package (0x02) {})
    OperationRegion (REG0, SystemMemory, 0x1000, 0x0100)
    Field (REG0, DWordAcc, NoLock, Preserve) {IDX0, 32, DAT0, 32, BNK0, 32}
    Device (DEV0) {Name (_ADR, Zero)}
    Method (FUN0, 0, NotSerialized) {Return (One)}
    Method (FUN2, 2, NotSerialized) {Return (Arg0)}
"""

A0, A1, A2, L0, L1 = Arg(0), Arg(1), Arg(2), Local(0), Local(1)

# -- operators: class by its ASL name, arguments, ASL -------------------------------------------

WITH_TARGET = [
    *("Add", "Subtract", "Multiply", "ShiftLeft", "ShiftRight", "And", "NAnd", "Or", "NOr", "XOr"),
    *("Mod", "Concatenate", "ConcatenateResTemplate", "Index", "ToString"),
]
UNARY_WITH_TARGET = [
    *("Not", "FindSetLeftBit", "FindSetRightBit", "ToBuffer", "ToDecimalString", "ToHexString"),
    *("ToInteger", "FromBCD", "ToBCD"),
]
COMPARISONS = [
    *("LEqual", "LNotEqual", "LGreater", "LLess", "LGreaterEqual", "LLessEqual", "LAnd", "LOr")
]

# In expressions of Return.
OPERATORS = [
    *((name, (A0, 0x12, L0), f"{name} (Arg0, 0x12, Local0)") for name in WITH_TARGET),
    *((name, (A0, A1), f"{name} (Arg0, Arg1)") for name in WITH_TARGET),
    *((name, (A0, L0), f"{name} (Arg0, Local0)") for name in UNARY_WITH_TARGET),
    *((name, (A0,), f"{name} (Arg0)") for name in UNARY_WITH_TARGET),
    *((name, (A0, 0x1234), f"{name} (Arg0, 0x1234)") for name in COMPARISONS),
    ("LNot", (A0,), "LNot (Arg0)"),
    ("Divide", (A0, 3, L0, L1), "Divide (Arg0, 0x03, Local0, Local1)"),
    ("Divide", (A0, 3, None, L1), "Divide (Arg0, 0x03, , Local1)"),
    ("Divide", (A0, 3), "Divide (Arg0, 0x03)"),
    ("Increment", (L0,), "Increment (Local0)"),
    ("Decrement", (L0,), "Decrement (Local0)"),
    ("Increment", ("INT0",), "Increment (INT0)"),
    ("Store", (A0, L0), "Store (Arg0, Local0)"),
    ("Store", (A0, "INT0"), "Store (Arg0, INT0)"),
    ("Store", (A0, Path("INT0")), "Store (Arg0, INT0)"),
    ("CopyObject", (A0, L0), "CopyObject (Arg0, Local0)"),
    ("RefOf", (L0,), "RefOf (Local0)"),
    ("DerefOf", (L0,), "DerefOf (Local0)"),
    ("CondRefOf", (Path("INT0"),), "CondRefOf (INT0)"),
    ("CondRefOf", (Path("INT0"), L0), "CondRefOf (INT0, Local0)"),
    ("SizeOf", (Path("BUF0"),), "SizeOf (BUF0)"),
    ("ObjectType", (Path("BUF0"),), "ObjectType (BUF0)"),
    ("Mid", (A0, 1, 2, L0), "Mid (Arg0, One, 0x02, Local0)"),
    ("Mid", (A0, 1, 2), "Mid (Arg0, One, 0x02)"),
    ("ToString", (A0,), "ToString (Arg0)"),
    ("Acquire", ("MTX0", 0xFFFF), "Acquire (MTX0, 0xFFFF)"),
    ("Acquire", ("MTX0", 5), "Acquire (MTX0, 0x0005)"),
    ("Wait", ("EVT0", 0x1000), "Wait (EVT0, 0x1000)"),
    ("Timer", (), "Timer"),
    ("Revision", (), "Revision"),
    (
        "LoadTable",
        ("OEM1", "MYOEM", "TABLE1", "\\_SB", "MYD", A0),
        'LoadTable ("OEM1", "MYOEM", "TABLE1", "\\\\_SB", "MYD", Arg0)',
    ),
    ("LoadTable", ("OEM1", "MYOEM", "TABLE1"), 'LoadTable ("OEM1", "MYOEM", "TABLE1")'),
]


def make(name, arguments):
    """Return the node of an ASL name; those without arguments exist once."""
    return CLASSES[name](*arguments) if arguments else CLASSES[name].as_read((), BY_NAME[name].code)


# -- whole expressions ----------------------------------------------------------------------

EXPRESSIONS = [
    (A0 & 0x1D, "And (Arg0, 0x1D)"),
    (0x1D - A0, "Subtract (0x1D, Arg0)"),
    (A0 // 8, "Divide (Arg0, 0x08)"),
    ((A0 + 1) << (L0 % A1), "ShiftLeft (Add (Arg0, One), Mod (Local0, Arg1))"),
    (~A0 | A1 ^ 0x100, "Or (Not (Arg0), XOr (Arg1, 0x0100))"),
    (A0 * 2 >> 3, "ShiftRight (Multiply (Arg0, 0x02), 0x03)"),
    (A0.eq(0), "LEqual (Arg0, Zero)"),
    (A0.ne(A1), "LNotEqual (Arg0, Arg1)"),
    (A0.lt(A1), "LLess (Arg0, Arg1)"),
    (A0.le(A1), "LLessEqual (Arg0, Arg1)"),
    (A0.gt(A1), "LGreater (Arg0, Arg1)"),
    (A0.ge(A1), "LGreaterEqual (Arg0, Arg1)"),
    (L0.set(A0), "Store (Arg0, Local0)"),
    (Call("FUN0"), "FUN0 ()"),
    (Call("\\FUN2", A0, 2), "\\FUN2 (Arg0, 0x02)"),
    (Call("FUN2", Call("FUN0"), Call("FUN2", 1, 0)), "FUN2 (FUN0 (), FUN2 (One, Zero))"),
    (Path("INT0"), "INT0"),
    (Path("\\DEV0._ADR"), "\\DEV0._ADR"),
]

# -- values ---------------------------------------------------------------------------------

UUID = "33db4d5b-1ff7-401c-9657-7441c03dd766"
VALUES = [
    (0, "Zero"),
    (1, "One"),
    (True, "One"),
    (False, "Zero"),
    (2, "0x02"),
    (0xFF, "0xFF"),
    (0x100, "0x0100"),
    (0xFFFF, "0xFFFF"),
    (0x1_0000, "0x00010000"),
    (0xFFFF_FFFF, "0xFFFFFFFF"),
    (0x1_0000_0000, "0x0000000100000000"),
    ((1 << 64) - 2, "0xFFFFFFFFFFFFFFFE"),
    ((1 << 64) - 1, "Ones"),
    (ByteConst(0), "0x00"),
    ("", '""'),
    ("some text, \"'\\", '"some text, \\"\'\\\\"'),
    ("\x01\x7f\n", '"\\x01\\x7F\\n"'),
    (b"", "Buffer (Zero) {}"),
    (b"\1\2\3", "Buffer (0x03) {0x01, 0x02, 0x03}"),
    (Buffer(size=0x100), "Buffer (0x0100) {}"),
    (Buffer(b"\1", 4), "Buffer (0x04) {0x01}"),
    (Buffer(b"ab\0"), 'Buffer (0x03) {"ab"}'),
    ([], "Package (0x00) {}"),
    ([1, "a", b"\5", [2]], 'Package (0x04) {One, "a", Buffer (One) {0x05}, Package (0x01) {0x02}}'),
    (Package(1, count=3), "Package (0x03) {One}"),
    (Package(Path("INT0"), Path("\\DEV0")), "Package (0x02) {INT0, \\DEV0}"),
    ([0xFFFF, 0, 0x10, 0], "Package (0x04) {0xFFFF, Zero, 0x10, Zero}"),
    (
        list(range(2, 0x101)),
        f"Package (0xFF) {{{', '.join(f'0x{n:02X}' for n in range(2, 0x101))}}}",
    ),
    ([2] * 0x100, f"Package (0x0100) {{{', '.join(['0x02'] * 0x100)}}}"),
    (uuid.UUID(UUID), f'ToUUID ("{UUID}")'),
    (ToUUID(UUID), f'ToUUID ("{UUID}")'),
    (Unicode("abc"), 'Unicode ("abc")'),
    (Unicode(""), 'Unicode ("")'),
    *(
        (EisaId(text), f'EisaId ("{text}")')
        for text in ("PNP0A08", "ZZZFFFF", "AAA0001", "PNP0C0F")
    ),
]

# -- statements -----------------------------------------------------------------------------

SET = L0.set(1)
SET_ASL = "Store (One, Local0)"
STATEMENTS = [
    ([Return()], "Return (Zero)"),
    ([Return("text")], 'Return ("text")'),
    ([If(A0, SET)], f"If (Arg0) {{{SET_ASL}}}"),
    ([If(A0)], "If (Arg0) {}"),
    ([If(A0, SET), Else(SET, SET)], f"If (Arg0) {{{SET_ASL}}} Else {{{SET_ASL} {SET_ASL}}}"),
    (
        [If(A0), ElseIf(A1, SET), ElseIf(A2), Else(SET)],
        f"If (Arg0) {{}} ElseIf (Arg1) {{{SET_ASL}}} ElseIf (Arg2) {{}} Else {{{SET_ASL}}}",
    ),
    ([If(A0, If(A1, SET), Else(SET))], f"If (Arg0) {{If (Arg1) {{{SET_ASL}}} Else {{{SET_ASL}}}}}"),
    (
        [While(L0.lt(4), If(A0, make("Break", ())), make("Continue", ()))],
        "While (LLess (Local0, 0x04)) {If (Arg0) {Break} Continue}",
    ),
    ([make("Noop", ())], "Noop"),
    ([make("BreakPoint", ())], "BreakPoint"),
    ([make("Notify", ("DEV0", 0x80))], "Notify (DEV0, 0x80)"),
    ([make("Notify", (A0, A1))], "Notify (Arg0, Arg1)"),
    ([make("Sleep", (100,))], "Sleep (0x64)"),
    ([make("Stall", (5,))], "Stall (0x05)"),
    ([make("Signal", ("EVT0",))], "Signal (EVT0)"),
    ([make("Reset", ("EVT0",))], "Reset (EVT0)"),
    ([make("Release", ("MTX0",))], "Release (MTX0)"),
    ([make("Unload", (L0,))], "Unload (Local0)"),
    ([make("Load", ("BUF0", L0))], "Load (BUF0, Local0)"),
    ([make("Fatal", (1, 0x1234, A0))], "Fatal (0x01, 0x00001234, Arg0)"),
    ([Debug.set(A0)], "Store (Arg0, Debug)"),
    ([make("Store", (A0, make("Index", (Path("PKG0"), 1))))], "Store (Arg0, Index (PKG0, One))"),
    ([make("CreateField", (A0, 1, 2, "CFLD"))], "CreateField (Arg0, One, 0x02, CFLD)"),
    *(
        ([make(name, (A0, 4, "CFLD"))], f"{name} (Arg0, 0x04, CFLD)")
        for name in (
            "CreateBitField",
            "CreateByteField",
            "CreateWordField",
            "CreateDWordField",
            "CreateQWordField",
        )
    ),
    ([Call("FUN2", A0, 2)], "FUN2 (Arg0, 0x02)"),
    *(
        (
            [Return(make("Match", (Path("PKG0"), one, A0, other, A1, 0)))],
            f"Return (Match (PKG0, {one_asl}, Arg0, {other_asl}, Arg1, Zero))",
        )
        for one, one_asl, other, other_asl in [
            (0, "MTR", 1, "MEQ"),
            (2, "MLE", 3, "MLT"),
            (4, "MGE", 5, "MGT"),
        ]
    ),
]

# -- objects --------------------------------------------------------------------------------

OBJECTS = [
    ([Name("A", 0)], "Name (A, Zero)"),
    ([Name("\\ABCD", 0)], "Name (\\ABCD, Zero)"),
    ([Name("\\DEV0.ABCD", 0)], "Name (\\DEV0.ABCD, Zero)"),
    (
        [Device("PCI0", Name("^ABCD", 0), Device("A", Name("^^BCDE", 0)))],
        "Device (PCI0) {Name (^ABCD, Zero) Device (A) {Name (^^BCDE, Zero)}}",
    ),
    ([Scope("\\")], "Scope (\\) {}"),
    ([Scope("\\_SB")], "Scope (\\_SB) {}"),
    ([Scope("_SB", Scope("^DEV0"))], "Scope (_SB) {Scope (^DEV0) {}}"),
    (
        [Device("A", Device("B", Device("C"))), Name("A.B.C.ABCD", 1), Name("\\A.B.C.BCDE", 1)],
        "Device (A) {Device (B) {Device (C) {}}} Name (A.B.C.ABCD, One) Name (\\A.B.C.BCDE, One)",
    ),
    *(
        (
            [Method("FUNA", count, serialized=serial, sync_level=level)],
            f"Method (FUNA, {count}, {'Serialized' if serial else 'NotSerialized'}, {level}) {{}}",
        )
        for count, serial, level in [(0, 0, 0), (7, 0, 0), (3, 1, 0), (0, 1, 15)]
    ),
    ([make("Alias", ("INT0", "INTA"))], "Alias (INT0, INTA)"),
    ([make("Mutex", ("MTX1", 0))], "Mutex (MTX1, 0x00)"),
    ([make("Mutex", ("MTX1", 15))], "Mutex (MTX1, 0x0F)"),
    ([make("Event", ("EVT1",))], "Event (EVT1)"),
]


# -- long packages --------------------------------------------------------------------------

# Where the encoding of a package length takes one byte more, and one before and behind. The Scope
# has a name of 4 characters, and the string an opcode, a name, a prefix and a NUL around it.
LIMITS = [
    limit - count - len("_SB_") - len("\x08ABCD\x0d\0") + step
    for count, limit in [(1, 0x3F), (2, 0xFFF), (3, 0xF_FFFF)]
    for step in (-1, 0, 1)
]
# iasl takes no string literal longer than this.
LONGEST = 4000


def scope_of_strings(size):
    """Return a Scope whose content is that of one string of some size, and its ASL."""
    names = [f"A{number:03X}" for number in range(size // LONGEST + 1)]
    overhead = len("\x08ABCD\x0d\0")
    sizes = [LONGEST - overhead] * (len(names) - 1)
    sizes.append(size - sum(length + overhead for length in sizes))
    strings = [(name, "x" * length) for name, length in zip(names, sizes, strict=True)]
    texts = " ".join(f'Name ({name}, "{text}")' for name, text in strings)
    return Scope("_SB", *(Name(name, text) for name, text in strings)), f"Scope (_SB) {{{texts}}}"


# -- how they are compared ------------------------------------------------------------------

METHOD = "Method (TEST, 7, Serialized) {{Store (Zero, Local0) Store (Zero, Local1) {}}}"


def in_method(asl, *statements):
    """Return a case whose statements stand in a method where Local0 and Local1 have values."""
    method = Method("TEST", 7, L0.set(0), L1.set(0), *statements, serialized=True)
    return pytest.param([method], METHOD.format(asl), id=asl[:60])


def yielding(asl, expression):
    return in_method(f"Return ({asl})", Return(expression))


def at_root(asl, *nodes):
    return pytest.param(nodes, asl, id=asl[:60])


CASES = [
    *(yielding(asl, make(name, given)) for name, given, asl in OPERATORS),
    *(yielding(asl, node) for node, asl in EXPRESSIONS),
    *(in_method(asl, *nodes) for nodes, asl in STATEMENTS),
    *(at_root(f"Name (NAM0, {asl})", Name("NAM0", value)) for value, asl in VALUES),
    *(at_root(asl, *nodes) for nodes, asl in OBJECTS),
    *(at_root(asl, node) for node, asl in map(scope_of_strings, LIMITS)),
]


@functools.cache
def prelude():
    return definition_block(PRELUDE)[HEADER_SIZE:]


@pytest.mark.parametrize(("nodes", "asl"), CASES)
def test_bytes_are_those_of_iasl(nodes, asl):
    theirs = definition_block(PRELUDE + asl)[HEADER_SIZE:]
    assert theirs.startswith(prelude())
    ours = b"".join(node.to_bytes() for node in nodes)
    assert ours.hex(" ") == theirs.removeprefix(prelude()).hex(" ")


def opcodes_in(nodes):
    for node in nodes:
        if hasattr(node, "OPCODE"):
            yield node.OPCODE.name
        yield from opcodes_in(node.children())


def test_every_opcode_has_a_case():
    assert BY_NAME.keys() - {name for case in CASES for name in opcodes_in(case.values[0])} == set()
