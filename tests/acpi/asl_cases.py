# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of every kind, and ASL written by hand that says the same."""

import uuid

import pytest

from vmmkit.acpi.aml import create_field, operators, references  # noqa: F401 - they fill CLASSES
from vmmkit.acpi.aml.blocks import Else, ElseIf, If, While
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import (
    Buffer,
    ByteConst,
    DWordConst,
    EisaId,
    Package,
    QWordConst,
    ToUUID,
    Unicode,
    VarPackage,
    WordConst,
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
    DataTableRegion,
    Device,
    Method,
    Name,
    OperationRegion,
    PowerResource,
    Processor,
    RegionSpace,
    Scope,
    ThermalZone,
)
from vmmkit.acpi.aml.node import CLASSES, Path
from vmmkit.acpi.aml.opcodes import BY_NAME
from vmmkit.acpi.aml.places import Arg, Debug, Local
from vmmkit.acpi.aml.resources import (
    AddressRange,
    BusNumber,
    Cacheable,
    Dma,
    DmaTransfer,
    DmaType,
    DWordIo,
    DWordMemory,
    EndDependentFn,
    ExtendedMemory,
    FixedDma,
    FixedIo,
    FlowControl,
    GpioInt,
    GpioIo,
    Interrupt,
    Io,
    IoRestriction,
    Irq,
    IrqNoFlags,
    Memory24,
    Memory32,
    Memory32Fixed,
    PinPull,
    Polarity,
    QWordIo,
    QWordMemory,
    QWordSpace,
    Register,
    Resources,
    Sharing,
    StartDependentFn,
    StartDependentFnNoPri,
    Trigger,
    UartSerialBus,
    VendorLong,
    VendorShort,
    WordIo,
    WordSpace,
)
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
    ("CopyObject", (Call("FUN2", A0, 2), L0), "CopyObject (FUN2 (Arg0, 0x02), Local0)"),
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
    (Arg(3) + Arg(4) + Arg(5) + Arg(6), "Add (Add (Add (Arg3, Arg4), Arg5), Arg6)"),
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
    (WordConst(0x1234), "0x1234"),
    (DWordConst(0x12345678), "0x12345678"),
    (QWordConst(0x123456789), "0x123456789"),
    (VarPackage(*[3] * 0x100), f"Package (0x0100) {{{', '.join(['0x03'] * 0x100)}}}"),
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
    *(([Local(number).set(A0)], f"Store (Arg0, Local{number})") for number in range(8)),
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
    ([Processor("CPU0", 1, 0x410, 6)], "Processor (CPU0, 0x01, 0x00000410, 0x06) {}"),
    (
        [Processor("CPU0", 255, 0, 0, Name("ABCD", 1))],
        "Processor (CPU0, 0xFF, 0x00000000, 0x00) {Name (ABCD, One)}",
    ),
    (
        [PowerResource("PWR0", 2, 0x1234, Name("ABCD", 1))],
        "PowerResource (PWR0, 0x02, 0x1234) {Name (ABCD, One)}",
    ),
    ([ThermalZone("THM0", Name("ABCD", 1))], "ThermalZone (THM0) {Name (ABCD, One)}"),
    *(
        (
            [OperationRegion("REGA", space, 0x1000, 0x100)],
            f"OperationRegion (REGA, {asl}, 0x1000, 0x0100)",
        )
        for space, asl in [
            (RegionSpace.SystemMemory, "SystemMemory"),
            (RegionSpace.SystemIo, "SystemIO"),
            (RegionSpace.PciConfig, "PCI_Config"),
            (RegionSpace.EmbeddedControl, "EmbeddedControl"),
            (RegionSpace.SmBus, "SMBus"),
            (RegionSpace.SystemCmos, "SystemCMOS"),
            (RegionSpace.PciBarTarget, "PciBarTarget"),
            (RegionSpace.Ipmi, "IPMI"),
            (RegionSpace.GeneralPurposeIo, "GeneralPurposeIo"),
            (RegionSpace.GenericSerialBus, "GenericSerialBus"),
            (RegionSpace.Pcc, "PCC"),
            (RegionSpace.PlatformRtMechanism, "PlatformRtMechanism"),
            (RegionSpace.FixedHardware, "FFixedHW"),
            (0x80, "0x80"),
        ]
    ),
    ([DataTableRegion("REGA", "TPM2")], 'DataTableRegion (REGA, "TPM2", "", "")'),
    (
        [DataTableRegion("REGA", "TPM2", "OEM", "TAB")],
        'DataTableRegion (REGA, "TPM2", "OEM", "TAB")',
    ),
    *(
        (
            [Field("REG0", access, lock, update, ("FLDA", 8))],
            f"Field (REG0, {access.name}Acc, {lock.name}, {update.name}) {{FLDA, 8}}",
        )
        for access, lock, update in [
            (Access.Any, Lock.NoLock, Update.Preserve),
            (Access.Byte, Lock.Lock, Update.WriteAsOnes),
            (Access.Word, Lock.NoLock, Update.WriteAsZeros),
            (Access.DWord, Lock.Lock, Update.Preserve),
            (Access.QWord, Lock.NoLock, Update.WriteAsOnes),
        ]
    ),
    (
        [
            OperationRegion("REGA", RegionSpace.SystemMemory, 0, 0x100000),
            Field(
                *("REGA", Access.Byte, Lock.NoLock, Update.Preserve),
                *(("FA", 1), Reserved(7), ("FB", 63), ("FC", 64), Offset(0x20), ("FD", 1)),
                *(Offset(0x21), ("FE", 5000), Offset(0x10000), ("FF", 1 << 20)),
            ),
        ],
        (
            "OperationRegion (REGA, SystemMemory, Zero, 0x00100000)"
            "Field (REGA, ByteAcc, NoLock, Preserve) {FA, 1, , 7, FB, 63, FC, 64, Offset (0x20),"
            " FD, 1, Offset (0x21), FE, 5000, Offset (0x10000), FF, 1048576}"
        ),
    ),
    (
        [
            OperationRegion("GSB0", RegionSpace.GenericSerialBus, 0, 0x100),
            Field(
                *("GSB0", Access.Buffer, Lock.NoLock, Update.Preserve),
                *(Connection("BUF0"), AccessAs(Access.Buffer, AccessAttribute.Word), ("FA", 8)),
                *(AccessAs(Access.Buffer, AccessAttribute.Bytes, 0x10), ("FB", 8)),
                *(AccessAs(Access.Buffer, AccessAttribute.Block), ("FC", 8)),
                *(AccessAs(Access.Byte), ("FD", 8)),
            ),
        ],
        (
            "OperationRegion (GSB0, GenericSerialBus, Zero, 0x0100)"
            "Field (GSB0, BufferAcc, NoLock, Preserve) {Connection (BUF0),"
            " AccessAs (BufferAcc, AttribWord), FA, 8, AccessAs (BufferAcc, AttribBytes (0x10)),"
            " FB, 8, AccessAs (BufferAcc, AttribBlock), FC, 8, AccessAs (ByteAcc, 0x00), FD, 8}"
        ),
    ),
    (
        [
            OperationRegion("GPO0", RegionSpace.GeneralPurposeIo, 0, 4),
            Field(
                *("GPO0", Access.Byte, Lock.NoLock, Update.Preserve),
                *(Connection(GpioIo(5, "\\_SB.GPI0", pull=PinPull.UP)), ("FA", 1)),
            ),
        ],
        (
            "OperationRegion (GPO0, GeneralPurposeIo, Zero, 0x04)"
            "Field (GPO0, ByteAcc, NoLock, Preserve) {Connection (GpioIo (Exclusive, PullUp, 0, 0,"
            ' IoRestrictionNone, "\\\\_SB.GPI0") {5}), FA, 1}'
        ),
    ),
    (
        [
            IndexField(
                *("IDX0", "DAT0", Access.Byte, Lock.NoLock, Update.WriteAsOnes),
                *(("FA", 8), Offset(4), ("FB", 8)),
            )
        ],
        "IndexField (IDX0, DAT0, ByteAcc, NoLock, WriteAsOnes) {FA, 8, Offset (0x04), FB, 8}",
    ),
    (
        [
            BankField(
                *("REG0", "BNK0", 5, Access.Byte, Lock.NoLock, Update.Preserve),
                *(Offset(0x10), ("FA", 8)),
            )
        ],
        "BankField (REG0, BNK0, 0x05, ByteAcc, NoLock, Preserve) {Offset (0x10), FA, 8}",
    ),
]

# -- resources ------------------------------------------------------------------------------

LOW, SHARED = {"polarity": Polarity.ACTIVE_LOW}, {"sharing": Sharing.SHARED}
RESOURCES = [
    (Irq([5, 9], Trigger.LEVEL, **LOW, **SHARED), "IRQ (Level, ActiveLow, Shared) {5, 9}"),
    (Irq(1, Trigger.EDGE, Polarity.ACTIVE_HIGH), "IRQ (Edge, ActiveHigh, Exclusive) {1}"),
    (
        Irq(15, Trigger.LEVEL, **LOW, sharing=Sharing.WAKE),
        "IRQ (Level, ActiveLow, ExclusiveAndWake) {15}",
    ),
    (IrqNoFlags(3), "IRQNoFlags () {3}"),
    (Dma([1, 2]), "DMA (Compatibility, NotBusMaster, Transfer8) {1, 2}"),
    (
        Dma(4, DmaType.TYPE_F, bus_master=True, transfer=DmaTransfer.TRANSFER16),
        "DMA (TypeF, BusMaster, Transfer16) {4}",
    ),
    (FixedDma(0x10, 2, 2), "FixedDMA (0x10, 0x02, Width32bit)"),
    (Io(0x3F8, 8), "IO (Decode16, 0x3F8, 0x3F8, 0x01, 0x08)"),
    (Io(0x60, 1, 0x64, 4, decode16=False), "IO (Decode10, 0x60, 0x64, 0x04, 0x01)"),
    (FixedIo(0x3F8, 8), "FixedIO (0x3F8, 0x08)"),
    (VendorShort(b"\1\2\3"), "VendorShort () {1, 2, 3}"),
    (VendorLong(b"\1\2\3"), "VendorLong () {1, 2, 3}"),
    (Memory24(0x1000, 0x2000, 0x10, 0x20), "Memory24 (ReadWrite, 0x1000, 0x2000, 0x10, 0x20)"),
    (
        Memory32(0x1000_0000, 0x2000_0000, 0x1000, 0x2000, writeable=False),
        "Memory32 (ReadOnly, 0x10000000, 0x20000000, 0x1000, 0x2000)",
    ),
    (Memory32Fixed(0xFED0_0000, 0x400), "Memory32Fixed (ReadWrite, 0xFED00000, 0x400)"),
    (
        Memory32Fixed(0xFED0_0000, 0x400, writeable=False),
        "Memory32Fixed (ReadOnly, 0xFED00000, 0x400)",
    ),
    (
        BusNumber(0, 0xFF),
        "WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)",
    ),
    (
        WordIo(0xD00, 0xFFFF),
        (
            "WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,"
            " 0, 0xD00, 0xFFFF, 0, 0xF300)"
        ),
    ),
    (
        WordSpace(0xC0, 0xD00, 0xFFFF, consumer=True, type_flags=0x12),
        (
            "WordSpace (0xC0, ResourceConsumer, PosDecode, MinFixed, MaxFixed, 0x12,"
            " 0, 0xD00, 0xFFFF, 0, 0xF300)"
        ),
    ),
    (
        DWordIo(0xD00, 0xFFFF, consumer=True, subtractive=True, range_type=2),
        (
            "DWordIO (ResourceConsumer, MinFixed, MaxFixed, SubDecode, ISAOnlyRanges,"
            " 0, 0xD00, 0xFFFF, 0, 0xF300)"
        ),
    ),
    (
        DWordIo(0, 0xFFFF, translation=0xF000_0000, translates=True, sparse=True),
        (
            "DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,"
            " 0, 0, 0xFFFF, 0xF0000000, 0x10000, , , , TypeTranslation, SparseTranslation)"
        ),
    ),
    (
        DWordMemory(0xC000_0000, 0xDFFF_FFFF),
        (
            "DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,"
            " 0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)"
        ),
    ),
    (
        DWordMemory(
            *(0xC000_0000, 0xDFFF_FFFF),
            cacheable=Cacheable.CACHEABLE,
            writeable=False,
            source_index=5,
            source="\\_SB.DEV0",
            range_type=AddressRange.ACPI,
        ),
        (
            "DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadOnly,"
            ' 0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000, 0x05, "\\\\_SB.DEV0", , AddressRangeACPI,'
            " TypeStatic)"
        ),
    ),
    (
        DWordMemory(0, 0xFFFF, range_type=AddressRange.RESERVED, translates=True, consumer=True),
        (
            "DWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,"
            " 0, 0, 0xFFFF, 0, 0x10000, , , , AddressRangeReserved, TypeTranslation)"
        ),
    ),
    (
        QWordIo(0, 0xFFF, range_type=1),
        (
            "QWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, NonISAOnlyRanges,"
            " 0, 0, 0xFFF, 0, 0x1000)"
        ),
    ),
    (
        QWordMemory(0x1_0000_0000, 0x1_FFFF_FFFF, cacheable=Cacheable.PREFETCHABLE),
        (
            "QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Prefetchable, ReadWrite,"
            " 0, 0x100000000, 0x1FFFFFFFF, 0, 0x100000000)"
        ),
    ),
    (
        QWordSpace(0xC1, 0x1000, 0x1FFF),
        (
            "QWordSpace (0xC1, ResourceProducer, PosDecode, MinFixed, MaxFixed, 0,"
            " 0, 0x1000, 0x1FFF, 0, 0x1000)"
        ),
    ),
    (
        ExtendedMemory(0x1_0000_0000, 0x1_FFFF_FFFF, attribute=0x8000),
        (
            "ExtendedMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,"
            " ReadWrite, 0, 0x100000000, 0x1FFFFFFFF, 0, 0x100000000, 0x8000)"
        ),
    ),
    (Interrupt(16), "Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {16}"),
    (
        Interrupt([16, 17], Trigger.EDGE, Polarity.ACTIVE_LOW, Sharing.SHARED),
        "Interrupt (ResourceConsumer, Edge, ActiveLow, Shared) {16, 17}",
    ),
    (
        Interrupt(
            *(16, Trigger.LEVEL, Polarity.ACTIVE_LOW, Sharing.SHARED | Sharing.WAKE),
            consumer=False,
            source_index=1,
            source="\\_SB.DEV0",
        ),
        'Interrupt (ResourceProducer, Level, ActiveLow, SharedAndWake, 1, "\\\\_SB.DEV0") {16}',
    ),
    (Register(0, 64, 0, 0x1000, 3), "Register (SystemMemory, 64, 0, 0x1000, 3)"),
    (Register(0x7F, 8, 4, 0x10), "Register (FFixedHW, 8, 4, 0x10)"),
    (
        GpioInt(
            *(3, "\\_SB.GPI0"),
            trigger=Trigger.EDGE,
            polarity=Polarity.ACTIVE_HIGH,
            pull=PinPull.UP,
            debounce=0x1234,
        ),
        (
            'GpioInt (Edge, ActiveHigh, Exclusive, PullUp, 0x1234, "\\\\_SB.GPI0", 0,'
            " ResourceConsumer) {3}"
        ),
    ),
    (
        GpioIo(
            *(5, "\\_SB.GPI0"),
            pull=PinPull.DOWN,
            drive=0x10,
            restriction=IoRestriction.OUTPUT_ONLY,
        ),
        (
            'GpioIo (Exclusive, PullDown, 0, 0x10, IoRestrictionOutputOnly, "\\\\_SB.GPI0", 0,'
            " ResourceConsumer) {5}"
        ),
    ),
    (
        UartSerialBus(
            *(115200, "\\_SB.URT0"),
            lines=0xC0,
            flow_control=FlowControl.HARDWARE,
            receive_fifo=0x10,
            transmit_fifo=0x20,
        ),
        (
            "UartSerialBusV2 (115200, DataBitsEight, StopBitsOne, 0xC0, LittleEndian,"
            " ParityTypeNone, FlowControlHardware, 0x10, 0x20,"
            ' "\\\\_SB.URT0", 0, ResourceConsumer, , Exclusive)'
        ),
    ),
]
DEPENDENT = Resources(
    StartDependentFn(1, 2),
    IrqNoFlags(3),
    StartDependentFnNoPri(),
    IrqNoFlags(4),
    EndDependentFn(),
)
DEPENDENT_ASL = (
    "ResourceTemplate () {StartDependentFn (1, 2) {IRQNoFlags () {3}}"
    " StartDependentFnNoPri () {IRQNoFlags () {4}} EndDependentFn ()}"
)


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
    *(
        at_root(f"Name (NAM0, ResourceTemplate () {{{asl}}})", Name("NAM0", Resources(descriptor)))
        for descriptor, asl in RESOURCES
    ),
    at_root(f"Name (NAM0, {DEPENDENT_ASL})", Name("NAM0", DEPENDENT)),
]
