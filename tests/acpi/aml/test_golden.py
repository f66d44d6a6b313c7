# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The bytes of each operator, as iasl -oa (20200925) gave them for the ASL beside them.

That compiler writes a plain 0 or 1 in two bytes and `Zero` or `One` in one. Plain numbers here are
Zero and One, as its own disassembler says; so no case has a literal 0 or 1.
"""

import pytest

from vmmkit.acpi.aml import encoding
from vmmkit.acpi.aml.blocks import Else, ElseIf, If, While
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.create_field import (
    CreateBitField,
    CreateByteField,
    CreateDWordField,
    CreateField,
    CreateQWordField,
    CreateWordField,
)
from vmmkit.acpi.aml.data import (
    Buffer,
    EisaId,
    Package,
    QWordConst,
    Revision,
    String,
    ToUUID,
    Unicode,
    VarPackage,
    Zero,
)
from vmmkit.acpi.aml.field_units import (
    Access,
    AccessAs,
    AccessAttribute,
    Connection,
    Offset,
    Reserved,
)
from vmmkit.acpi.aml.fields import BankField, Field, IndexField, Lock, Update
from vmmkit.acpi.aml.named import (
    Alias,
    DataTableRegion,
    Device,
    Event,
    External,
    Method,
    Mutex,
    Name,
    ObjectKind,
    OperationRegion,
    PowerResource,
    Processor,
    RegionSpace,
    Scope,
    ThermalZone,
)
from vmmkit.acpi.aml.node import CLASSES, Path
from vmmkit.acpi.aml.opcodes import OPCODES
from vmmkit.acpi.aml.operators import (
    Add,
    And,
    Concatenate,
    ConcatenateResTemplate,
    CopyObject,
    Divide,
    FindSetLeftBit,
    FindSetRightBit,
    FromBCD,
    LAnd,
    LEqual,
    LGreater,
    LGreaterEqual,
    LLess,
    LLessEqual,
    LNot,
    LNotEqual,
    LOr,
    Mid,
    Mod,
    Multiply,
    NAnd,
    NOr,
    Not,
    Or,
    ShiftLeft,
    ShiftRight,
    Store,
    Subtract,
    ToBCD,
    ToBuffer,
    ToDecimalString,
    ToHexString,
    ToInteger,
    ToString,
    XOr,
)
from vmmkit.acpi.aml.places import Arg, Debug, Local
from vmmkit.acpi.aml.references import (
    CondRefOf,
    Decrement,
    DerefOf,
    Increment,
    Index,
    Load,
    LoadTable,
    Match,
    MatchOperator,
    ObjectType,
    RefOf,
    SizeOf,
    Unload,
)
from vmmkit.acpi.aml.statements import (
    Acquire,
    Break,
    BreakPoint,
    Continue,
    Fatal,
    Noop,
    Notify,
    Release,
    Reset,
    Return,
    Signal,
    Sleep,
    Stall,
    Timer,
    Wait,
)

A0, L1 = Arg(0), Local(1)
UUID = "33db4d5b-1ff7-401c-9657-7441c03dd766"

STATEMENTS = [
    ("Return", Return(), "a400"),
    ("Return (Arg6)", Return(Arg(6)), "a46e"),
    ("Return (Revision)", Return(Revision), "a45b30"),
    ("Return (Timer)", Return(Timer), "a45b33"),
    ("Noop", Noop, "a3"),
    ("BreakPoint", BreakPoint, "cc"),
    ("Acquire (MTX0, 0xFFFF)", Acquire("MTX0"), "5b234d545830ffff"),
    ("Release (MTX0)", Release("MTX0"), "5b274d545830"),
    ("Wait (EVT0, 100)", Wait("EVT0", 100), "5b25455654300a64"),
    ("Signal (EVT0)", Signal("EVT0"), "5b2445565430"),
    ("Reset (EVT0)", Reset("EVT0"), "5b2645565430"),
    ("Notify (DEV0, 0x80)", Notify("DEV0", 0x80), "86444556300a80"),
    ("Sleep (100)", Sleep(100), "5b220a64"),
    ("Stall (10)", Stall(10), "5b210a0a"),
    ("Fatal (1, 2, 3)", Fatal(1, 2, 3), "5b3201020000000a03"),
    ("Load (BUF0, Local0)", Load("BUF0", Local(0)), "5b204255463060"),
    ("Unload (Arg0)", Unload(A0), "5b2a68"),
    ("While (Arg0) { Break Continue }", While(A0, Break, Continue), "a20468a59f"),
    ("Store (M002 (4, 2, 3), Local1)", L1.set(Call("M002", 4, 2, 3)), "704d3030320a040a020a0361"),
    ("Store (3, Debug)", Store(3, Debug), "700a035b31"),
    ("Store (3, Index (Arg0, 2))", Index(A0, 2).set(3), "700a0388680a0200"),
    ("Store (3, DerefOf (Arg0))", DerefOf(A0).set(3), "700a038368"),
    ("CreateField (Arg0, 3, 5, CF00)", CreateField(A0, 3, 5, "CF00"), "5b13680a030a0543463030"),
    ("CreateBitField (Arg0, 3, CF01)", CreateBitField(A0, 3, "CF01"), "8d680a0343463031"),
    ("CreateByteField (Arg0, 3, CF02)", CreateByteField(A0, 3, "CF02"), "8c680a0343463032"),
    ("CreateWordField (Arg0, 3, CF03)", CreateWordField(A0, 3, "CF03"), "8b680a0343463033"),
    ("CreateDWordField (Arg0, 3, CF04)", CreateDWordField(A0, 3, "CF04"), "8a680a0343463034"),
    ("CreateQWordField (Arg0, 3, CF05)", CreateQWordField(A0, 3, "CF05"), "8f680a0343463035"),
]

EXPRESSIONS = [
    ("Divide (Arg0, 3)", Divide(A0, 3), "78680a030000"),
    ("Divide (Arg0, 3, Local1)", Divide(A0, 3, L1), "78680a036100"),
    ("Divide (Arg0, 3, , Local2)", Divide(A0, 3, None, Local(2)), "78680a030062"),
    ("Divide (Arg0, 3, Local1, Local2)", Divide(A0, 3, L1, Local(2)), "78680a036162"),
    ("Add (Arg0, 3, Local1)", Add(A0, 3, L1), "72680a0361"),
    ("Subtract (Arg0, 3, Local1)", Subtract(A0, 3, L1), "74680a0361"),
    ("Multiply (Arg0, 3, Local1)", Multiply(A0, 3, L1), "77680a0361"),
    ("Mod (Arg0, 3, Local1)", Mod(A0, 3, L1), "85680a0361"),
    ("ShiftLeft (Arg0, 3, Local1)", ShiftLeft(A0, 3, L1), "79680a0361"),
    ("ShiftRight (Arg0, 3, Local1)", ShiftRight(A0, 3, L1), "7a680a0361"),
    ("And (Arg0, 3, Local1)", And(A0, 3, L1), "7b680a0361"),
    ("NAnd (Arg0, 3, Local1)", NAnd(A0, 3, L1), "7c680a0361"),
    ("Or (Arg0, 3, Local1)", Or(A0, 3, L1), "7d680a0361"),
    ("NOr (Arg0, 3, Local1)", NOr(A0, 3, L1), "7e680a0361"),
    ("XOr (Arg0, 3, Local1)", XOr(A0, 3, L1), "7f680a0361"),
    ("Not (Arg0, Local1)", Not(A0, L1), "806861"),
    ("FindSetLeftBit (Arg0, Local1)", FindSetLeftBit(A0, L1), "816861"),
    ("FindSetRightBit (Arg0, Local1)", FindSetRightBit(A0, L1), "826861"),
    ("FromBCD (Arg0, Local1)", FromBCD(A0, L1), "5b286861"),
    ("ToBCD (Arg0, Local1)", ToBCD(A0, L1), "5b296861"),
    ("LEqual (Arg0, 2)", LEqual(A0, 2), "93680a02"),
    ("LNotEqual (Arg0, 2)", LNotEqual(A0, 2), "9293680a02"),
    ("LLess (Arg0, 2)", LLess(A0, 2), "95680a02"),
    ("LLessEqual (Arg0, 2)", LLessEqual(A0, 2), "9294680a02"),
    ("LGreater (Arg0, 2)", LGreater(A0, 2), "94680a02"),
    ("LGreaterEqual (Arg0, 2)", LGreaterEqual(A0, 2), "9295680a02"),
    ("LAnd (Arg0, 2)", LAnd(A0, 2), "90680a02"),
    ("LOr (Arg0, 2)", LOr(A0, 2), "91680a02"),
    ("LNot (Arg0)", LNot(A0), "9268"),
    ("LNot (LEqual (Arg0, 2))", LNot(LEqual(A0, 2)), "9293680a02"),
    ("Increment (Arg0)", Increment(A0), "7568"),
    ("Decrement (Arg0)", Decrement(A0), "7668"),
    ("SizeOf (Arg0)", SizeOf(A0), "8768"),
    ("ObjectType (Arg0)", ObjectType(A0), "8e68"),
    ("RefOf (Arg0)", RefOf(A0), "7168"),
    ("DerefOf (Index (Arg0, 2))", DerefOf(Index(A0, 2)), "8388680a0200"),
    ("Index (Arg0, 2, Local1)", Index(A0, 2, L1), "88680a0261"),
    ("CondRefOf (INT0)", CondRefOf("INT0"), "5b12494e543000"),
    ("CondRefOf (INT0, Local1)", CondRefOf("INT0", L1), "5b12494e543061"),
    ("CopyObject (Arg0, Local1)", CopyObject(A0, L1), "9d6861"),
    ("Concatenate (Arg0, 2, Local1)", Concatenate(A0, 2, L1), "73680a0261"),
    (
        "ConcatenateResTemplate (Arg0, Arg1, Local1)",
        ConcatenateResTemplate(A0, Arg(1), L1),
        "84686961",
    ),
    ("Mid (Arg0, 2, 3)", Mid(A0, 2, 3), "9e680a020a0300"),
    ("Mid (Arg0, 2, 3, Local1)", Mid(A0, 2, 3, L1), "9e680a020a0361"),
    ("ToString (Arg0)", ToString(A0), "9c68ff00"),
    ("ToString (Arg0, , Local1)", ToString(A0, None, L1), "9c68ff61"),
    ("ToString (Arg0, 3, Local1)", ToString(A0, 3, L1), "9c680a0361"),
    ("ToBuffer (Arg0, Local1)", ToBuffer(A0, L1), "966861"),
    ("ToInteger (Arg0, Local1)", ToInteger(A0, L1), "996861"),
    ("ToHexString (Arg0, Local1)", ToHexString(A0, L1), "986861"),
    ("ToDecimalString (Arg0, Local1)", ToDecimalString(A0, L1), "976861"),
    (
        "Match (PKG0, MLT, 2, MGE, 3, 4)",
        Match(Path("PKG0"), MatchOperator.MLT, 2, MatchOperator.MGE, 3, 4),
        "89504b4730030a02040a030a04",
    ),
    (
        'LoadTable ("OEM1", "MYOEM", "TABLE1")',
        LoadTable("OEM1", "MYOEM", "TABLE1"),
        "5b1f0d4f454d31000d4d594f454d000d5441424c4531000d000d0000",
    ),
    (
        'LoadTable ("OEM1", "MYOEM", "TABLE1", "\\\\_SB.PCI0", "MYD", 7)',
        LoadTable("OEM1", "MYOEM", "TABLE1", "\\_SB.PCI0", "MYD", 7),
        "5b1f0d4f454d31000d4d594f454d000d5441424c4531000d5c5f53422e50434930000d4d5944000a07",
    ),
    ("Buffer (Arg0) {}", Buffer(size=A0), "110268"),
    ("Buffer (Add (4, 2)) {9}", Buffer(b"\x09", Add(4, 2)), "1108720a040a020009"),
    ("Package (Arg0) {9}", VarPackage(9, count=A0), "1304680a09"),
    ("Package () {INT0}", Package(Path("INT0")), "120601494e5430"),
]

VALUES = [
    ('EisaId ("PNP0000")', EisaId("PNP0000"), "0b41d0"),
    ('EisaId ("PNP0A08")', EisaId("PNP0A08"), "0c41d00a08"),
    ("Zero", 0, "00"),
    ("One", 1, "01"),
    ("Ones", (1 << 64) - 1, "ff"),
    ("0xFFFFFFFFFFFFFFFF", QWordConst((1 << 64) - 1), "0effffffffffffffff"),
    ("0xFF", 0xFF, "0aff"),
    ("0x100", 0x100, "0b0001"),
    ("0x10000", 0x10000, "0c00000100"),
    ("0x100000000", 0x1_0000_0000, "0e0000000001000000"),
    ("Buffer (4) {}", Buffer(size=4), "11030a04"),
    ("Buffer (10) {2, 3}", Buffer(b"\x02\x03", 10), "11050a0a0203"),
    ("Package () {}", [], "120200"),
    ("Package (3) {5}", Package(5, count=3), "1204030a05"),
    ("Package (300) {5}", VarPackage(5, count=300), "13060b2c010a05"),
    (r'"a\n\"\\\x41\t"', 'a\n"\\A\t', "0d610a225c410900"),
    ('Unicode ("Hi")', Unicode("Hi"), "11090a06480069000000"),
    (f'ToUUID ("{UUID}")', ToUUID(UUID), "11130a105b4ddb33f71f1c4096577441c03dd766"),
    (
        'Package () {INT0, \\_SB, "x", Package () {9}, Buffer () {9, 9}}',
        [Path("INT0"), Path("\\_SB"), "x", [9], b"\x09\x09"],
        "121905494e54305c5f53425f0d78001204010a0911050a020909",
    ),
]

IF = If(A0, Noop)
BLOCKS = [
    (
        (
            "If (Arg0) {Noop} ElseIf (Arg1) {Stall (2)} ElseIf (Arg2) {Stall (3)} "
            "Else {Stall (4)} Noop"
        ),
        [IF, ElseIf(Arg(1), Stall(2)), ElseIf(Arg(2), Stall(3)), Else(Stall(4)), Noop],
        "a00368a3a117a006695b210a02a10ea0066a5b210a03a1055b210a04a3",
    ),
    (
        "If (Arg0) {Noop} ElseIf (Arg1) {Stall (2)} Noop",
        [IF, ElseIf(Arg(1), Stall(2)), Noop],
        "a00368a3a108a006695b210a02a3",
    ),
]

OBJECTS = [
    (
        "OperationRegion (REG0, SystemMemory, 0xFED00000, 0x1000)",
        OperationRegion("REG0", RegionSpace.SystemMemory, 0xFED0_0000, 0x1000),
        "5b8052454730000c0000d0fe0b0010",
    ),
    (
        "OperationRegion (REG0, FFixedHW, 2, 0x1000)",
        OperationRegion("REG0", RegionSpace.FixedHardware, 2, 0x1000),
        "5b80524547307f0a020b0010",
    ),
    (
        "OperationRegion (REG0, 0x80, 2, 0x1000)",
        OperationRegion("REG0", 0x80, 2, 0x1000),
        "5b8052454730800a020b0010",
    ),
    (
        "Processor (CPU0, 1, 0x1234, 6) {}",
        Processor("CPU0", 1, 0x1234, 6),
        "5b830b43505530013412000006",
    ),
    (
        "PowerResource (PWR0, 2, 0x1122) {}",
        PowerResource("PWR0", 2, 0x1122),
        "5b840850575230022211",
    ),
    ("ThermalZone (TZ00) {}", ThermalZone("TZ00"), "5b8505545a3030"),
    ("Alias (INT0, NALI)", Alias("INT0", "NALI"), "06494e54304e414c49"),
    ("Scope (\\) {Name (NROO, 2)}", Scope("\\", Name("NROO", 2)), "100a5c00084e524f4f0a02"),
    ("Scope (^) {Name (NROO, 2)}", Scope("^", Name("NROO", 2)), "100a5e00084e524f4f0a02"),
    (
        "Method (M000, 7, Serialized, 15) {}",
        Method("M000", 7, serialized=True, sync_level=15),
        "14064d303030ff",
    ),
    ("Method (M000, 2) {}", Method("M000", 2), "14064d30303002"),
    ("Method (M000, 0, Serialized) {}", Method("M000", 0, serialized=True), "14064d30303008"),
    ("Mutex (MTX1, 3)", Mutex("MTX1", 3), "5b014d54583103"),
    ("Event (EVT1)", Event("EVT1"), "5b0245565431"),
    (
        "External (\\_SB.EXT1, DeviceObj)",
        External("\\_SB.EXT1", ObjectKind.Device),
        "155c2e5f53425f455854310600",
    ),
    (
        'Device (\\_SB.AB.C) {Name (_HID, "ACPI0007")}',
        Device("\\_SB.AB.C", Name("_HID", "ACPI0007")),
        "5b821f5c2f035f53425f41425f5f435f5f5f085f4849440d414350493030303700",
    ),
    (
        'DataTableRegion (DTR0, "OEM1", "ABCDEF", "")',
        DataTableRegion("DTR0", "OEM1", "ABCDEF"),
        "5b88445452300d4f454d31000d414243444546000d00",
    ),
]

FIELDS = [
    (
        (
            "Field (REG0, DWordAcc, Lock, WriteAsOnes) {F000, 8, Offset (4), F001, 63, , 64, "
            "F002, 64, F003, 0, Offset (0x100), F004, 4095, F005, 4096, AccessAs (ByteAcc, 0), "
            "F006, 8, AccessAs (WordAcc), AccessAs (DWordAcc, 0x12), F007, 1, Offset (0x600)}"
        ),
        Field(
            *("REG0", Access.DWord, Lock.Lock, Update.WriteAsOnes),
            *(("F000", 8), Offset(4), ("F001", 63), Reserved(64), ("F002", 64), ("F003", 0)),
            *(Offset(0x100), ("F004", 4095), ("F005", 4096), AccessAs(Access.Byte), ("F006", 8)),
            *(AccessAs(Access.Word), AccessAs(Access.DWord, 0x12), ("F007", 1), Offset(0x600)),
        ),
        (
            "5b814904524547303346303030080018463030314f0300400446303032400446303033000041724630"
            "30348fff0046303035800001010100463030360801020001031246303037010048"
            "7f"
        ),
    ),
    (
        "Field (REG0, AnyAcc, NoLock, Preserve) {Offset (0), F010, 8, Offset (1), F011, 8}",
        Field("REG0", 0, 0, 0, Offset(0), ("F010", 8), Offset(1), ("F011", 8)),
        "5b81145245473000000046303130080000463031310" + "8",
    ),
    ("Field (REG0, AnyAcc, NoLock, Preserve) {}", Field("REG0", 0, 0, 0), "5b81065245473000"),
    (
        (
            "Field (RSMB, BufferAcc, NoLock, Preserve) {AccessAs (BufferAcc, AttribQuick), "
            "S000, 8, AccessAs (BufferAcc, AttribBytes (5)), S001, 8, "
            "AccessAs (BufferAcc, AttribRawProcessBytes (17)), S003, 8}"
        ),
        Field(
            *("RSMB", Access.Buffer, Lock.NoLock, Update.Preserve),
            *(AccessAs(Access.Buffer, AccessAttribute.Quick), ("S000", 8)),
            *(AccessAs(Access.Buffer, AccessAttribute.Bytes, 5), ("S001", 8)),
            *(AccessAs(Access.Buffer, AccessAttribute.RawProcessBytes, 17), ("S003", 8)),
        ),
        "5b812052534d42050105025330303008" + "03050b05" + "5330303108" + "03050f11" + "5330303308",
    ),
    (
        "Field (RGPI, ByteAcc, NoLock, Preserve) {Connection (GCON), G000, 1}",
        Field("RGPI", Access.Byte, 0, 0, Connection("GCON"), ("G000", 1)),
        "5b811052475049010247434f4e4730303001",
    ),
    (
        "IndexField (F000, F001, ByteAcc, NoLock, Preserve) {I000, 8, Offset (2), I001, 8}",
        IndexField("F000", "F001", Access.Byte, 0, 0, ("I000", 8), Offset(2), ("I001", 8)),
        "5b86164630303046303031014930303008000849303031" + "08",
    ),
    (
        "BankField (REG0, F000, 3, ByteAcc, NoLock, Preserve) {B000, 8, Offset (2), B001, 8}",
        BankField("REG0", "F000", 3, Access.Byte, 0, 0, ("B000", 8), Offset(2), ("B001", 8)),
        "5b871852454730463030300a03014230303008000842303031" + "08",
    ),
]

NODES = [*STATEMENTS, *EXPRESSIONS, *OBJECTS, *FIELDS]


def ids(cases):
    return [case[0] for case in cases]


@pytest.mark.parametrize(("asl", "node", "expected"), NODES, ids=ids(NODES))
def test_bytes_of_a_node(asl, node, expected):
    assert node.to_bytes().hex() == expected
    assert len(node) == len(expected) // 2
    assert node.relocations == ()


@pytest.mark.parametrize(("asl", "value", "expected"), VALUES, ids=ids(VALUES))
def test_bytes_of_a_value(asl, value, expected):
    assert Name("N000", value).to_bytes().hex() == "084e303030" + expected


@pytest.mark.parametrize(("asl", "nodes", "expected"), BLOCKS, ids=ids(BLOCKS))
def test_bytes_of_a_list(asl, nodes, expected):
    method = Method("M000", 3, *nodes)
    assert method.to_bytes().hex() == f"14{6 + len(expected) // 2:02x}4d30303003" + expected


def below(node):
    yield node
    for child in node.children():
        yield from below(child)


def test_fast_encoders_agree_with_the_row_of_the_opcode():
    for _asl, top, _expected in NODES:
        for node in below(top):
            if hasattr(node, "OPCODE"):
                assert (node.encoded, node.relocations) == encoding.encode(node.OPCODE, node.args)


def test_every_opcode_has_a_class():
    assert [row.name for row in OPCODES if row.name not in CLASSES] == []
    assert all(CLASSES[row.name].OPCODE is row for row in OPCODES)


def test_constants_are_no_strings():
    assert String("A").encoded != Path("A").encoded
    assert Zero.encoded == b"\0"
