# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""iasl compiles what `dump` prints to the bytes that it was printed from."""

import pytest
from hypothesis import given, settings

from acpi.acpica import assert_same, compile_asl, definition_block
from acpi.aml.trees import blocks
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.named import Name
from vmmkit.acpi.aml.reader import read
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt

HEADER_SIZE = 36


def recompiled(table) -> bytes:
    # -f: for iasl it is an error that a result is not used, among others.
    return compile_asl(dump(table), "-f")


def table_of(content: bytes) -> Dsdt | Ssdt:
    """Read the AML of a table that another program made."""
    kind = Dsdt if content[:4] == b"DSDT" else Ssdt
    return kind(
        *read(content[HEADER_SIZE:]),
        revision=content[8],
        oem_id="VMMKIT",
        oem_table_id="VMMKIT",
    )


DATA = r"""
    Name (AAAA, Buffer (Zero) {})
    Name (AAAB, Buffer (One) {0x01})
    Name (AAAC, Package (0x00) {})
    Name (AAAD, Package () {Zero, Package (0x02) {0x01}, "x\x01\"\\\n", Ones, 0x1122334455667788})
    Name (AAAE, Buffer (0x0A) {0x01, 0x02})
    Name (AAAF, ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
    Name (AAAG, Package (0x012C) {0x01})
    Name (AAAH, Package () {\_SB, AAAA, \_GPE})
    Name (AAAI, Unicode ("ab"))
    Name (ADD_, 0x05)
    Name (OR__, 0x0005)
    Name (____, Revision)
    Device (DEV0) { Name (_HID, EisaId ("PNP0A08")) Name (_CID, Package () {EisaId ("PNP0A03")})
        Name (_STR, Unicode ("a\"\x01b")) }
"""

RESOURCES = r"""
    Name (EMPT, ResourceTemplate () {})
    Name (_CRS, ResourceTemplate ()
    {
        StartDependentFn (1, 2) {IRQNoFlags () {4} IO (Decode16, 0x3F8, 0x3F8, 1, 8)}
        StartDependentFnNoPri () {IRQ (Level, ActiveLow, Shared) {3, 4}}
        EndDependentFn ()
        DMA (Compatibility, NotBusMaster, Transfer8_16) {1}
        FixedIO (0x3F0, 2)
        VendorShort () {1, 2, 3}
        Memory24 (ReadOnly, 0x1000, 0x2000, 0x10, 0x20)
        Memory32 (ReadWrite, 0x1000, 0x2000, 0x10, 0x20)
        Memory32Fixed (ReadWrite, 0xFED00000, 0x400)
        WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
        WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0xCF7, 0, 0xCF8)
        DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
            0, 0xC0000000, 0xFEBFFFFF, 0, 0x3EC00000)
        QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Prefetchable, ReadWrite,
            0, 0x100000000, 0x1FFFFFFFF, 0, 0x100000000, 1, "\\_SB.LNKA")
        Interrupt (ResourceConsumer, Level, ActiveLow, Shared) {9, 10}
        Register (SystemIO, 8, 0, 0x0CF9, 1)
        GpioInt (Edge, ActiveHigh, Exclusive, PullUp, 0, "\\_SB.GPIO") {1}
        UartSerialBusV2 (115200, DataBitsEight, StopBitsOne, 0, LittleEndian, ParityTypeNone,
            FlowControlNone, 32, 32, "\\_SB.UART", 0, ResourceConsumer, , Exclusive)
    })
"""

OBJECTS = r"""
    Name (BUF0, Buffer (0x10) {})
    OperationRegion (REG0, 0x80, 0x00, 0x10)
    OperationRegion (REG1, SystemIO, 0x00, 0x40)
    OperationRegion (REG2, GenericSerialBus, 0x00, 0x10)
    Field (REG1, ByteAcc, NoLock, Preserve)
    {
        FLA0, 1, , 7, Offset (0x03), IDX0, 8, AccessAs (WordAcc, 0x10), DAT0, 8,
        Offset (0x08), FLA9, 70, , 0, FLAA, 63
    }
    Field (REG2, BufferAcc, Lock, WriteAsOnes)
    {
        Connection (UartSerialBusV2 (115200, DataBitsEight, StopBitsOne, 0, LittleEndian,
            ParityTypeNone, FlowControlNone, 32, 32, "\\_SB.UART", 0, ResourceConsumer, ,
            Exclusive)),
        Connection (BUF0), AccessAs (BufferAcc, AttribBytes (0x05)), FLA3, 8,
        AccessAs (BufferAcc, AttribQuick), FLA4, 8
    }
    Field (REG0, QWordAcc, NoLock, WriteAsZeros) {FLA5, 1}
    IndexField (IDX0, DAT0, ByteAcc, NoLock, Preserve) {FLA6, 8}
    BankField (REG1, IDX0, 0x01, ByteAcc, NoLock, Preserve) {FLA7, 8}
    Mutex (MUTX, 0x05)
    Event (EVNT)
    DataTableRegion (DREG, "ABCD", "", "")
    Alias (BUF0, ALIA)
    Processor (CPU0, 0x01, 0x00000410, 0x06) {}
    PowerResource (PWR0, 0x00, 0x0000) {Method (_STA) {Return (One)}}
    ThermalZone (THRM) {}
    Device (DEV0) {Name (^AAAA, 1)}
    If (One) {Name (BBBB, 1)} ElseIf (Zero) {Name (CCCC, 1)} Else {Name (DDDD, 1)}
"""

METHODS = r"""
    External (\_SB.EXT0, MethodObj, UnknownObj, {IntObj, IntObj, IntObj})
    External (\EXT1, IntObj)
    External (\DEV1, DeviceObj)
    Name (PKG0, Package () {1, 2})
    Name (BUF0, Buffer (0x10) {})
    Mutex (MUTX, 0x00)
    Event (EVNT)
    Scope (\DEV1) {Name (AAAA, 1)}
    Method (MTH0, 3, Serialized, 2)
    {
        Noop
        BreakPoint
        While (One) {If (Arg0) {Break} Else {If (Arg1) {Continue}}}
        Store (Match (PKG0, MEQ, 0x01, MTR, Zero, Zero), Local0)
        Divide (Arg0, Arg1, , Local1)
        Divide (Arg0, Arg1, Local1, )
        Store (Divide (Arg0, Arg1), Local1)
        Local0 = ((Arg0 + Arg1) * 5) % 3
        Local0 = ~(Arg0 ^ (Arg1 << 3) | Arg2 >> 2)
        Acquire (MUTX, 0xFFFF)
        Release (MUTX)
        Wait (EVNT, 0x10)
        Signal (EVNT)
        Reset (EVNT)
        Fatal (0x01, 0x00000002, Arg0)
        Stall (0x01)
        Sleep (0x01)
        Notify (\DEV1, 0x80)
        Store (Timer, Local0)
        CreateField (BUF0, 0x00, 0x08, FLD0)
        CreateBitField (BUF0, 0x00, FLD1)
        CreateByteField (BUF0, 0x00, FLD2)
        CreateWordField (BUF0, 0x00, FLD3)
        CreateDWordField (BUF0, 0x00, FLD4)
        CreateQWordField (BUF0, 0x00, FLD5)
        Store (LoadTable ("OEM1", "OEM", "OEMTABLE", "", "", Arg0), Local5)
        Unload (Local5)
        Store (Mid (Arg0, 0x01, 0x02), Local0)
        ToString (Arg0, Ones, Local0)
        Store (ToString (Arg0, 0x05), Local0)
        ConcatenateResTemplate (BUF0, BUF0, Local0)
        FromBCD (Arg0, Local0)
        If (((Arg0 != Arg1) && (Arg0 <= 3)) || !(Arg1 >= Arg2)) {Local0++}
        CondRefOf (PKG0, Local0)
        CopyObject (PKG0, Local0)
        Store (ObjectType (PKG0), Local0)
        Store (SizeOf (PKG0), Local0)
        Store (Arg0, Debug)
        Store (DerefOf (Index (PKG0, 0x00)), Index (Arg1, 0x01))
        Store (RefOf (MTH0), Local0)
        Store (\_SB.EXT0 (1, MTH1 (), \EXT1), Local0)
        MTH1 ()
        If (_OSI ("Linux")) {Return (Package (Arg0) {0x01})}
        Return (Buffer (Arg0) {0x01})
    }
    Method (MTH1) {Return}
"""


@pytest.mark.parametrize(
    "text", [DATA, RESOURCES, OBJECTS, METHODS], ids=["data", "resources", "objects", "methods"]
)
def test_what_iasl_compiled(text):
    table = definition_block(text, signature="SSDT")
    assert_same(table, recompiled(table_of(table)))


def test_nothing_of_what_iasl_compiled_is_left_unread():
    table = definition_block(METHODS, signature="SSDT")
    text = dump(table_of(table))
    assert "not read" not in text
    assert "\\_SB.EXT0 (0x01, MTH1 (), \\EXT1)" in text


@settings(max_examples=12)
@given(blocks())
def test_random_trees(nodes):
    table = Dsdt(*nodes)
    assert_same(table.to_bytes(), recompiled(table))


ZEROS = " 00" * 8 + " 01" + " 00" * 7 + " 02 00 00 00"
ODD_ITEMS = {
    "no range of ports": "88 0d 00 01 0c 00 00 00 00 00 01 00 00 00 02 00",
    "reserved flags of ports": "88 0d 00 01 0c ff 00 00 00 00 01 00 00 00 02 00",
    "reserved flags of memory": "87 17 00 00 0c ff"
    + " 00" * 8
    + " 01"
    + " 00" * 7
    + " 02 00 00 00",
    "reserved general flags": "87 17 00 00 fc 01" + ZEROS,
    "flags of bus numbers": "88 0d 00 02 0c 07 00 00 00 00 01 00 00 00 02 00",
    "bus numbers in 32 bits": "87 17 00 02 0c 07" + ZEROS,
    "a register of space 0BH": "82 0c 00 0b 01 02 04 03 00 00 00 00 00 00 00",
    "a register of space 0CH": "82 0c 00 0c 01 02 04 03 00 00 00 00 00 00 00",
    "a register of space 80H": "82 0c 00 80 01 02 04 03 00 00 00 00 00 00 00",
    "a quoted source": "89 09 00 01 01 04 00 00 00 00 22 00",
    "no pins": "8c 16 00 01 00 01 00 01 00 00 00 00 00 00 17 00 00 17 00 19 00 00 00 41 00",
}


def test_items_that_macros_cannot_say_are_compiled_to_the_same_bytes():
    names = [f"A{number:03d}" for number in range(len(ODD_ITEMS))]
    items = [bytes.fromhex(text) + b"\x79\0" for text in ODD_ITEMS.values()]
    table = Dsdt(*[Name(*pair) for pair in zip(names, items, strict=True)], oem_table_id="VMMKIT")
    assert recompiled(table)[HEADER_SIZE:] == table.to_bytes()[HEADER_SIZE:]
    assert dump(table).count("ResourceTemplate") == 3
