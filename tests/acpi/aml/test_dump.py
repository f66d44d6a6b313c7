# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""AML as text, term by term. That it compiles is the matter of test_dump_iasl.py."""

import uuid

import pytest

from vmmkit.acpi.aml.blocks import Else, ElseIf, If, While
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import (
    Address,
    Buffer,
    EisaId,
    Ones,
    Package,
    QWordConst,
    ToUUID,
    Unicode,
    VarPackage,
    WordConst,
)
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.field_units import AccessAs, Connection, Offset, Reserved
from vmmkit.acpi.aml.fields import BankField, Field, IndexField
from vmmkit.acpi.aml.named import (
    Alias,
    Device,
    External,
    Method,
    Name,
    ObjectKind,
    OperationRegion,
    PowerResource,
    Processor,
    RegionSpace,
    Scope,
)
from vmmkit.acpi.aml.node import CLASSES, Path, RawAml
from vmmkit.acpi.aml.operators import Add, Divide, LEqual, Store
from vmmkit.acpi.aml.places import Arg, Debug, Local
from vmmkit.acpi.aml.references import Match, MatchOperator
from vmmkit.acpi.aml.resources import Io, IrqNoFlags, Resources, StartDependentFn
from vmmkit.acpi.aml.statements import Break, Return, Timer
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt
from vmmkit.acpi.tables.madt import Madt
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import AmlValueError

IDENTITY = uuid.UUID("33db4d5b-1ff7-401c-9657-7441c03dd766")

ONE_LINE = {
    "numbers": (
        Name("AAAA", [0, 1, 2, WordConst(5)]),
        "Name (AAAA, Package (0x04) {Zero, One, 0x02, 0x0005})",
    ),
    "large numbers": (Name("AAAA", QWordConst(10)), "Name (AAAA, 0x000000000000000A)"),
    "ones": (Return(Ones), "Return (Ones)"),
    "strings": (Name("AAAA", 'a"\\\n\x01'), 'Name (AAAA, "a\\"\\\\\\n\\x01")'),
    "buffers": (Name("AAAA", b"\x01\xff"), "Name (AAAA, Buffer (0x02) {0x01, 0xFF})"),
    "empty buffers": (Name("AAAA", Buffer(size=16)), "Name (AAAA, Buffer (0x10) {})"),
    "empty packages": (Name("AAAA", []), "Name (AAAA, Package (0x00) {})"),
    "names in packages": (
        Name("AAAA", Package(Path("\\_SB"), "x", count=3)),
        'Name (AAAA, Package (0x03) {\\_SB, "x"})',
    ),
    "packages of any size": (
        Return(VarPackage(1, count=Arg(0))),
        "Return (Package (Arg0) {One})",
    ),
    "UUIDs": (Name("AAAA", ToUUID(IDENTITY)), f'Name (AAAA, ToUUID ("{IDENTITY}"))'),
    "EISA ids": (Name("_HID", EisaId("PNP0A08")), 'Name (_HID, EisaId ("PNP0A08"))'),
    "several EISA ids": (
        Name("_CID", [EisaId("PNP0A03"), "ACPI0001", 5]),
        'Name (_CID, Package (0x03) {EisaId ("PNP0A03"), "ACPI0001", 0x05})',
    ),
    "texts": (Name("_STR", Unicode('a"b')), 'Name (_STR, Unicode ("a\\"b"))'),
    "no texts": (Name("_STR", b"a\x00b"), "Name (_STR, Buffer (0x03) {0x61, 0x00, 0x62})"),
    "no EISA ids": (Name("_HID", 0x1000_0000), "Name (_HID, 0x10000000)"),
    "keywords as names": (Store(Path("ADD"), Path("_SB")), "Store (ADD_, _SB)"),
    "a name of fill": (Name("_", 1), "Name (____, One)"),
    "targets": (Add(Arg(0), 1, Local(0)), "Add (Arg0, One, Local0)"),
    "no target": (Add(Arg(0), 1), "Add (Arg0, One)"),
    "the second target": (Divide(Arg(0), 2, None, Local(0)), "Divide (Arg0, 0x02, , Local0)"),
    "calls": (Call("\\_SB.MTH2", 1, Call("MTH0")), "\\_SB.MTH2 (One, MTH0 ())"),
    "no operands": (Store(Timer, Debug), "Store (Timer, Debug)"),
    "methods": (
        Method("AAAA", 2, serialized=True, sync_level=3),
        "Method (AAAA, 2, Serialized, 0x03) {}",
    ),
    "aliases": (Alias("AAAA", "BBBB"), "Alias (AAAA, BBBB)"),
    "externals": (
        External("\\AAAA", ObjectKind.Method, 2),
        "External (\\AAAA, MethodObj, UnknownObj, {UnknownObj, UnknownObj})",
    ),
    "external devices": (External("AAAA", ObjectKind.Device), "External (AAAA, DeviceObj)"),
    "processors": (Processor("CPU0", 1, 0x410, 6), "Processor (CPU0, 0x01, 0x00000410, 0x06) {}"),
    "power": (PowerResource("PWR0", 1, 2), "PowerResource (PWR0, 0x01, 0x0002) {}"),
    "regions": (
        OperationRegion("REG0", RegionSpace.PciConfig, 0x60, 4),
        "OperationRegion (REG0, PCI_Config, 0x60, 0x04)",
    ),
    "regions of a maker": (
        OperationRegion("REG0", 0x80, 0, 4),
        "OperationRegion (REG0, 0x80, Zero, 0x04)",
    ),
    "matches": (
        Match(Path("PKG0"), MatchOperator.MEQ, 5, MatchOperator.MTR, 0, 1),
        "Match (PKG0, MEQ, 0x05, MTR, Zero, One)",
    ),
    "what was not read": (RawAml(b"\x17\x18"), "/* 2 bytes not read: 17 18 */"),
    "addresses": (
        Name("AAAA", Address(Blob(b"", "*/ x"), addend=4)),
        "Name (AAAA, 0x00000000 /* address of * / x + 0x4 */)",
    ),
    "bytes that only look like a template": (
        Name("AAAA", b"\x78\x79\x00"),
        "Name (AAAA, Buffer (0x03) {0x78, 0x79, 0x00})",
    ),
}


@pytest.mark.parametrize(("node", "text"), ONE_LINE.values(), ids=ONE_LINE)
def test_terms_of_one_line(node, text):
    assert dump(node) == text + "\n"


SEVERAL_LINES = {
    "blocks": (
        Device("DEV0", Name("_UID", 1), Scope("^AAAA")),
        """
Device (DEV0)
{
    Name (_UID, One)
    Scope (^AAAA) {}
}
""",
    ),
    "conditions": (
        Method(
            "AAAA",
            1,
            If(LEqual(Arg(0), 1), Return(1)),
            ElseIf(Arg(0), Return(2)),
            Else(Return(3)),
            While(1, Break),
        ),
        """
Method (AAAA, 1, NotSerialized)
{
    If (LEqual (Arg0, One))
    {
        Return (One)
    }
    ElseIf (Arg0)
    {
        Return (0x02)
    }
    Else
    {
        Return (0x03)
    }
    While (One)
    {
        Break
    }
}
""",
    ),
    "fields": (
        Field(
            "REG0",
            1,
            1,
            2,
            ("ADD", 1),
            Reserved(3),
            Offset(2),
            AccessAs(5, 0x0B, 4),
            ("FLD1", 12),
            Reserved(0),
            Connection("BUF0"),
            ("FLD2", 4),
        ),
        """
Field (REG0, ByteAcc, Lock, WriteAsZeros)
{
    ADD_, 1,
    , 3,
    Offset (0x02),
    AccessAs (BufferAcc, AttribBytes (0x04)),
    FLD1, 12,
    , 0,
    Connection (BUF0),
    FLD2, 4
}
""",
    ),
    "fields behind fields": (
        Scope(
            "\\",
            IndexField("IDX0", "DAT0", 1, 0, 0, ("AAAA", 8)),
            BankField("REG0", "IDX0", 3, 0, 0, 0, ("BBBB", 8)),
        ),
        """
Scope (\\)
{
    IndexField (IDX0, DAT0, ByteAcc, NoLock, Preserve)
    {
        AAAA, 8
    }
    BankField (REG0, IDX0, 0x03, AnyAcc, NoLock, Preserve)
    {
        BBBB, 8
    }
}
""",
    ),
    "packages of packages": (
        Name("AAAA", [[1, 2], [3, 4]]),
        """
Name (AAAA, Package (0x02)
{
    Package (0x02) {One, 0x02},
    Package (0x02) {0x03, 0x04}
})
""",
    ),
    "long buffers": (
        Name("AAAA", bytes(18)),
        """
Name (AAAA, Buffer (0x12)
{
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00
})
""",
    ),
    "resources": (
        Name(
            "_PRS",
            Resources(StartDependentFn(0, 1), IrqNoFlags(4), StartDependentFn(1, 1), Io(0x3F8, 8)),
        ),
        """
Name (_PRS, ResourceTemplate ()
{
    StartDependentFn (0, 1)
    {
        IRQNoFlags () {4}
    }
    StartDependentFn (1, 1)
    {
        IO (Decode16, 0x3F8, 0x3F8, 0x01, 0x08, )
    }
})
""",
    ),
}


@pytest.mark.parametrize(("node", "text"), SEVERAL_LINES.values(), ids=SEVERAL_LINES)
def test_terms_of_several_lines(node, text):
    assert "\n" + dump(node) == text


def test_a_table_says_what_others_have_to_define():
    table = Ssdt(
        Scope("\\_SB.PCI0", Method("AAAA", 0, Call("^BBBB", 1, Path("CCCC")))),
        Field("REG0", 0, 0, 0, ("FLD0", 8)),
        Name("PKG0", Package(Path("\\_SB"), Path("PKG0"), Path("\\DEV0"))),
        oem_table_id="TEST",
    )
    assert dump(table, indent=2) == (
        'DefinitionBlock ("", "SSDT", 0x02, "VMMKIT", "TEST    ", 0x00000001)\n'
        "{\n"
        "  External (\\_SB.PCI0, DeviceObj)\n"
        "  External (\\_SB.PCI0.BBBB, MethodObj, UnknownObj, {UnknownObj, UnknownObj})\n"
        "  External (\\CCCC, UnknownObj)\n"
        "  External (\\REG0, OpRegionObj)\n"
        "  External (\\DEV0, UnknownObj)\n"
        "  Scope (\\_SB.PCI0)\n"
        "  {\n"
        "    Method (AAAA, 0, NotSerialized)\n"
        "    {\n"
        "      ^BBBB (One, CCCC)\n"
        "    }\n"
        "  }\n"
        "  Field (REG0, AnyAcc, NoLock, Preserve)\n"
        "  {\n"
        "    FLD0, 8\n"
        "  }\n"
        "  Name (PKG0, Package (0x03) {\\_SB, PKG0, \\DEV0})\n"
        "}\n"
    )


def test_a_table_as_bytes_is_read():
    table = Raw("SSDT", Name("AAAA", 1).encoded + b"\x17", revision=2)
    assert "    Name (AAAA, One)\n    /* 1 bytes not read: 17 */\n" in dump(table)


def test_externals_of_a_compiler_are_said_once():
    text = dump(Dsdt(If(0, External("\\AAAA")), Return(Path("\\AAAA"))))
    assert text.count("External") == 1
    assert "If" not in text


def test_a_table_without_aml_is_refused():
    with pytest.raises(AmlValueError, match="APIC is a table without AML"):
        dump(Madt())


def test_no_depth_is_too_deep():
    node = Local(0)
    for _ in range(5000):
        node = CLASSES["LNot"](node)
    assert dump(node) == "LNot (" * 5000 + "Local0" + ")" * 5000 + "\n"
    node = Package(1)
    for _ in range(5000):
        node = Package(node)
    assert dump(Name("_CID", node), indent=0).count("Package (0x01)") == 5001
    node = Name("AAAA", 1)
    for _ in range(500):
        node = Device("DEV0", node)
    assert dump(Dsdt(node), indent=0).count("Device (DEV0)") == 500


def test_an_else_if_of_its_own():
    assert dump(ElseIf(Local(0), Return(1))) == "ElseIf (Local0)\n{\n    Return (One)\n}\n"
