# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Any argument that does not fit is an AmlValueError with a short text, whatever it is."""

import uuid

import pytest

from vmmkit.acpi.aml.blocks import Else, ElseIf, If, While
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.create_field import CreateByteField, CreateField
from vmmkit.acpi.aml.data import (
    Address,
    Buffer,
    ByteConst,
    EisaId,
    Package,
    QWordConst,
    String,
    ToUUID,
    Unicode,
    VarPackage,
    Zero,
    integer,
)
from vmmkit.acpi.aml.field_units import AccessAs, Connection, NamedField, Offset, Reserved
from vmmkit.acpi.aml.fields import BankField, Field, IndexField
from vmmkit.acpi.aml.named import (
    Alias,
    DataTableRegion,
    Device,
    Event,
    External,
    Method,
    Mutex,
    Name,
    OperationRegion,
    PowerResource,
    Processor,
    Scope,
    ThermalZone,
)
from vmmkit.acpi.aml.node import Path, RawAml, term
from vmmkit.acpi.aml.operators import (
    Add,
    CopyObject,
    Divide,
    LEqual,
    LNot,
    Mid,
    Not,
    Store,
    ToString,
)
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.references import (
    CondRefOf,
    DerefOf,
    Increment,
    Index,
    Load,
    LoadTable,
    Match,
    RefOf,
    Unload,
)
from vmmkit.acpi.aml.statements import (
    Acquire,
    Break,
    Fatal,
    Notify,
    Release,
    Return,
    Sleep,
    Wait,
)
from vmmkit.acpi.relocation import Blob
from vmmkit.errors import AmlValueError

# What each takes, so that one argument after the other can be replaced.
FITTING = {
    AccessAs: (5, 0x0B, 5),
    Acquire: ("FOO", 1),
    Add: (1, 2, "FOO"),
    Address: (Blob(b""), 4),
    Alias: ("FOO", "BAR"),
    Arg: (1,),
    BankField: ("FOO", "BAR", 1, 0, 0, 0, ("BAZ", 8)),
    Buffer: (b"abc", 5),
    ByteConst: (1,),
    Call: ("FOO", 1),
    CondRefOf: ("FOO", Local(0)),
    Connection: ("FOO",),
    CopyObject: (1, "FOO"),
    CreateByteField: (Local(0), 1, "FOO"),
    CreateField: (Local(0), 1, 2, "FOO"),
    DataTableRegion: ("FOO", "A", "B", "C"),
    DerefOf: (Local(0),),
    Device: ("FOO", Break),
    Divide: (1, 2, "FOO", "BAR"),
    EisaId: ("PNP0A08",),
    Else: (Break,),
    ElseIf: (1, Break),
    Event: ("FOO",),
    External: ("FOO", 8, 1),
    Fatal: (1, 2, 3),
    Field: ("FOO", 1, 1, 1, ("BAR", 8), Offset(4)),
    If: (1, Break),
    Increment: ("FOO",),
    Index: ("text", 1, "FOO"),
    IndexField: ("FOO", "BAR", 1, 1, 1, ("BAZ", 8)),
    LEqual: (1, 2),
    LNot: (1,),
    Load: ("FOO", Local(0)),
    LoadTable: ("A", "B", "C", "D", "E", 1),
    Local: (1,),
    Match: (Path("FOO"), 1, 2, 3, 4, 5),
    Method: ("FOO", 1, Return(1)),
    Mid: ("text", 1, 2, "FOO"),
    Mutex: ("FOO", 1),
    Name: ("FOO", 1),
    NamedField: ("FOO", 8),
    Not: (1, "FOO"),
    Notify: ("FOO", 1),
    Offset: (1,),
    OperationRegion: ("FOO", 0, 1, 2),
    Package: (1, "text"),
    Path: ("FOO",),
    PowerResource: ("FOO", 1, 2, Return(1)),
    Processor: ("FOO", 1, 2, 6, Return(1)),
    QWordConst: (1,),
    RawAml: (b"",),
    RefOf: ("FOO",),
    Release: ("FOO",),
    Reserved: (8,),
    Return: (1,),
    Scope: ("FOO", Return(1)),
    Sleep: (1,),
    Store: (1, "FOO"),
    String: ("text",),
    ThermalZone: ("FOO", Return(1)),
    ToString: (b"", 1, "FOO"),
    ToUUID: (str(uuid.UUID(int=1)),),
    Unicode: ("text",),
    Unload: ("FOO",),
    VarPackage: (1, "text"),
    Wait: ("FOO", 1),
    While: (1, Break),
    integer: (1,),
    term: (1,),
}


def deep_list():
    nested = []
    for _ in range(2000):
        nested = [nested]
    return nested


ODD = [
    *(0, 1, -1, 5, 6, 255, 256, 1 << 16, 1 << 28, 1 << 32, 1 << 64, 10**5000, True),
    *(None, 1.5, float("nan"), 1j, ..., NotImplemented, object(), int, Device, len, slice(1)),
    *("", "FOO", "\\", "^", "foo", "FOO\n", "A" * 10000, ".".join("A" * 300), "\ud800", "\0"),
    *(b"", bytes(300), bytearray(b"1"), memoryview(b"12"), uuid.UUID(int=1)),
    *([], [1, "a"], deep_list(), (), ("FOO", 1), ("FOO", 1, 2), {}, {1: 2}, set(), range(3)),
    *(Zero, Local(0), Path("FOO"), Path("\\"), RawAml(b"\xa3"), Break, Else(), Return()),
    *(Device("FOO"), Reserved(3), Offset(1), Package(1), Blob(b"")),
]


def outcome(make, *arguments):
    try:
        return repr(make(*arguments))
    except AmlValueError as error:
        return f"AmlValueError: {error}"


@pytest.mark.parametrize("make", FITTING, ids=lambda make: make.__name__)
def test_arguments_that_do_not_fit(make):
    fitting = FITTING[make]
    repr(make(*fitting))
    for position in range(len(fitting)):
        said = [outcome(make, *fitting[:position], odd, *fitting[position + 1 :]) for odd in ODD]
        assert max(map(len, said)) < 500
        assert sum(text.startswith("AmlValueError") for text in said) > 5
