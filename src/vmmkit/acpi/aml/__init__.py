# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""AML as nodes: what a DSDT is made of, written and read back.

Nodes know their bytes from the moment they are made. `dump` prints them as ASL, `read` makes them
of bytes, and `resources` has the descriptors of `_CRS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.acpi.aml.blocks import (
        Else,
        ElseIf,
        If,
        While,
    )
    from vmmkit.acpi.aml.calls import (
        Call,
    )
    from vmmkit.acpi.aml.create_field import (
        CreateBitField,
        CreateByteField,
        CreateDWordField,
        CreateField,
        CreateQWordField,
        CreateWordField,
    )
    from vmmkit.acpi.aml.data import (
        Address,
        Buffer,
        ByteConst,
        DWordConst,
        EisaId,
        Integer,
        One,
        Ones,
        Package,
        QWordConst,
        Revision,
        String,
        ToUUID,
        Unicode,
        VarPackage,
        WordConst,
        Zero,
    )
    from vmmkit.acpi.aml.dump import (
        dump,
    )
    from vmmkit.acpi.aml.field_units import (
        Access,
        AccessAs,
        AccessAttribute,
        Connection,
        FieldElement,
        NamedField,
        Offset,
        Reserved,
        Unit,
    )
    from vmmkit.acpi.aml.fields import (
        BankField,
        Field,
        IndexField,
        Lock,
        Update,
    )
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
    from vmmkit.acpi.aml.namespace import (
        Namespace,
        walk,
    )
    from vmmkit.acpi.aml.node import (
        Expression,
        Node,
        Path,
        RawAml,
        term,
    )
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
    from vmmkit.acpi.aml.physical import (
        ConnectorType,
        HorizontalPosition,
        Location,
        Panel,
        Pld,
        Shape,
        Upc,
        VerticalPosition,
    )
    from vmmkit.acpi.aml.places import (
        Arg,
        Debug,
        Local,
    )
    from vmmkit.acpi.aml.reader import (
        read,
        read_all,
    )
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
    from vmmkit.acpi.aml.resources import (
        AddressRange,
        AddressSpace,
        BusNumber,
        Cacheable,
        Descriptor,
        Dma,
        DmaTransfer,
        DmaType,
        DWordIo,
        DWordMemory,
        DWordSpace,
        EndDependentFn,
        ExtendedIo,
        ExtendedMemory,
        ExtendedSpace,
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
        Parity,
        PinPull,
        Polarity,
        QWordIo,
        QWordMemory,
        QWordSpace,
        RawDescriptor,
        Register,
        Resources,
        Sharing,
        StartDependentFn,
        StartDependentFnNoPri,
        StopBits,
        Trigger,
        UartSerialBus,
        VendorLong,
        VendorShort,
        WordIo,
        WordSpace,
        parse_resources,
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
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "blocks": "Else ElseIf If While",
            "calls": "Call",
            "create_field": (
                "CreateBitField CreateByteField CreateDWordField CreateField CreateQWordField "
                "CreateWordField"
            ),
            "data": (
                "Address Buffer ByteConst DWordConst EisaId Integer One Ones Package QWordConst "
                "Revision String ToUUID Unicode VarPackage WordConst Zero"
            ),
            "dump": "dump",
            "field_units": (
                "Access AccessAs AccessAttribute Connection FieldElement NamedField Offset "
                "Reserved Unit"
            ),
            "fields": "BankField Field IndexField Lock Update",
            "named": (
                "Alias DataTableRegion Device Event External Method Mutex Name ObjectKind "
                "OperationRegion PowerResource Processor RegionSpace Scope ThermalZone"
            ),
            "namespace": "Namespace walk",
            "node": "Expression Node Path RawAml term",
            "operators": (
                "Add And Concatenate ConcatenateResTemplate CopyObject Divide FindSetLeftBit "
                "FindSetRightBit FromBCD LAnd LEqual LGreater LGreaterEqual LLess LLessEqual LNot "
                "LNotEqual LOr Mid Mod Multiply NAnd NOr Not Or ShiftLeft ShiftRight Store "
                "Subtract ToBCD ToBuffer ToDecimalString ToHexString ToInteger ToString XOr"
            ),
            "physical": (
                "ConnectorType HorizontalPosition Location Panel Pld Shape Upc VerticalPosition"
            ),
            "places": "Arg Debug Local",
            "reader": "read read_all",
            "references": (
                "CondRefOf Decrement DerefOf Increment Index Load LoadTable Match MatchOperator "
                "ObjectType RefOf SizeOf Unload"
            ),
            "resources": (
                "AddressRange AddressSpace BusNumber Cacheable Descriptor Dma DmaTransfer DmaType "
                "DWordIo DWordMemory DWordSpace EndDependentFn ExtendedIo ExtendedMemory "
                "ExtendedSpace FixedDma FixedIo FlowControl GpioInt GpioIo Interrupt Io "
                "IoRestriction Irq IrqNoFlags Memory24 Memory32 Memory32Fixed Parity "
                "parse_resources PinPull Polarity QWordIo QWordMemory QWordSpace RawDescriptor "
                "Register Resources Sharing StartDependentFn StartDependentFnNoPri StopBits "
                "Trigger UartSerialBus VendorLong VendorShort WordIo WordSpace"
            ),
            "statements": (
                "Acquire Break BreakPoint Continue Fatal Noop Notify Release Reset Return Signal "
                "Sleep Stall Timer Wait"
            ),
        },
    )

__all__ = [
    "Expression", "Node", "Path", "RawAml", "term", "Address", "Buffer", "ByteConst",
    "DWordConst", "EisaId", "Integer", "One", "Ones", "Package", "QWordConst", "Revision",
    "String", "ToUUID", "Unicode", "VarPackage", "WordConst", "Zero", "Arg", "Debug", "Local",
    "Alias", "DataTableRegion", "Device", "Event", "External", "Method", "Mutex", "Name",
    "ObjectKind", "OperationRegion", "PowerResource", "Processor", "RegionSpace", "Scope",
    "ThermalZone", "BankField", "Field", "IndexField", "Lock", "Update", "Access", "AccessAs",
    "AccessAttribute", "Connection", "FieldElement", "NamedField", "Offset", "Reserved",
    "Unit", "CreateBitField", "CreateByteField", "CreateDWordField", "CreateField",
    "CreateQWordField", "CreateWordField", "Else", "ElseIf", "If", "While", "Acquire",
    "Break", "BreakPoint", "Continue", "Fatal", "Noop", "Notify", "Release", "Reset",
    "Return", "Signal", "Sleep", "Stall", "Timer", "Wait", "Add", "And", "Concatenate",
    "ConcatenateResTemplate", "CopyObject", "Divide", "FindSetLeftBit", "FindSetRightBit",
    "FromBCD", "LAnd", "LEqual", "LGreater", "LGreaterEqual", "LLess", "LLessEqual", "LNot",
    "LNotEqual", "LOr", "Mid", "Mod", "Multiply", "NAnd", "NOr", "Not", "Or", "ShiftLeft",
    "ShiftRight", "Store", "Subtract", "ToBCD", "ToBuffer", "ToDecimalString", "ToHexString",
    "ToInteger", "ToString", "XOr", "CondRefOf", "Decrement", "DerefOf", "Increment", "Index",
    "Load", "LoadTable", "Match", "MatchOperator", "ObjectType", "RefOf", "SizeOf", "Unload",
    "Call", "Resources", "Descriptor", "parse_resources", "RawDescriptor", "Irq",
    "IrqNoFlags", "Dma", "FixedDma", "Io", "FixedIo", "StartDependentFn",
    "StartDependentFnNoPri", "EndDependentFn", "VendorShort", "VendorLong", "Memory24",
    "Memory32", "Memory32Fixed", "Register", "AddressSpace", "BusNumber", "WordIo", "DWordIo",
    "QWordIo", "ExtendedIo", "DWordMemory", "QWordMemory", "ExtendedMemory", "WordSpace",
    "DWordSpace", "QWordSpace", "ExtendedSpace", "Interrupt", "GpioInt", "GpioIo",
    "UartSerialBus", "Trigger", "Polarity", "Sharing", "DmaType", "DmaTransfer", "Cacheable",
    "AddressRange", "PinPull", "IoRestriction", "StopBits", "Parity", "FlowControl", "Pld",
    "Upc", "Location", "Panel", "VerticalPosition", "HorizontalPosition", "Shape",
    "ConnectorType", "read", "read_all", "Namespace", "walk", "dump",
]  # fmt: skip
