# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Field lists mean in acpiexec what a model of the region's bytes says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.acpica import evaluate_all
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.create_field import CreateDWordField, CreateField, CreateWordField
from vmmkit.acpi.aml.data import Buffer
from vmmkit.acpi.aml.field_units import Access, AccessAs, NamedField, Offset, Reserved
from vmmkit.acpi.aml.fields import BankField, Field, IndexField, Lock, Update
from vmmkit.acpi.aml.named import Method, Name, OperationRegion, RegionSpace
from vmmkit.acpi.aml.node import Path
from vmmkit.acpi.aml.operators import Store, ToInteger
from vmmkit.acpi.aml.places import Local
from vmmkit.acpi.aml.references import DerefOf, Index
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.tables.definition_block import Dsdt

SIZE = 64
BYTES = tuple(f"B{index:03X}" for index in range(SIZE))
WIDTHS = {Access.Byte: 8, Access.Word: 16, Access.DWord: 32, Access.QWord: 64}


def write(content, start, bits, value, access, update):
    """Return the region after a store: whole accesses, around the field what the update says."""
    width = WIDTHS[access]
    low, high = start // width * width, -(-(start + bits) // width) * width
    before = int.from_bytes(content, "little")
    span = (1 << high) - (1 << low)
    mask = ((1 << bits) - 1) << start
    around = {Update.Preserve: before, Update.WriteAsOnes: span, Update.WriteAsZeros: 0}[update]
    after = before & ~span | around & span & ~mask | value << start & mask
    return after.to_bytes(SIZE, "little")


elements = st.lists(st.tuples(st.booleans(), st.integers(1, 64)), min_size=1, max_size=7)


@settings(max_examples=12, deadline=None)
@given(
    elements=elements,
    access=st.sampled_from(list(WIDTHS)),
    update=st.sampled_from(Update),
    values=st.lists(st.integers(0, (1 << 64) - 1), min_size=7, max_size=7),
)
def test_stores_change_what_the_model_says(elements, access, update, values):
    units, stores, position, content = [], [], 0, bytes(range(1, SIZE + 1))
    fields = {}
    for number, (is_named, bits) in enumerate(elements):
        name = f"F{number:03X}"
        units.append(NamedField(name, bits) if is_named else Reserved(bits))
        if is_named:
            stores.append(Store(values[number], name))
            content = write(content, position, bits, values[number], access, update)
            fields[name] = (position, bits)
        position += bits
    whole = int.from_bytes(content, "little")
    table = Dsdt(
        OperationRegion("REG0", RegionSpace.SystemMemory, 0x10_0000, SIZE),
        Field("REG0", Access.Byte, Lock.NoLock, Update.Preserve, *[(name, 8) for name in BYTES]),
        Field("REG0", access, Lock.NoLock, update, *units),
        Method("FILL", 0, *[Store(index + 1, name) for index, name in enumerate(BYTES)], *stores),
        *[Method(f"G{name[1:]}", 0, Call("FILL"), Return(Path(name))) for name in fields],
        *[Method(f"H{name[1:]}", 0, Call("FILL"), Return(Path(name))) for name in BYTES],
    ).to_bytes()
    paths = [f"\\G{name[1:]}" for name in fields] + [f"\\H{name[1:]}" for name in BYTES]
    found = [whole >> start & (1 << bits) - 1 for start, bits in fields.values()]
    assert evaluate_all(table, paths) == found + list(content)


def test_offsets_banks_and_indexes():
    byte = (Access.Byte, Lock.NoLock, Update.Preserve)
    table = Dsdt(
        OperationRegion("REG0", RegionSpace.SystemMemory, 0x10_0000, 0x100),
        Field("REG0", *byte, ("LOW0", 4), Offset(3), ("BYT3", 8), AccessAs(2), ("WRD4", 16)),
        Field("REG0", *byte, Offset(0x10), ("IDX0", 8), ("DAT0", 8), ("BNK0", 8)),
        Field("REG0", Access.DWord, Lock.NoLock, Update.Preserve, ("ALL0", 64)),
        IndexField("IDX0", "DAT0", *byte, Offset(0x42), ("FAR0", 8)),
        BankField("REG0", "BNK0", 5, *byte, Offset(0x20), ("INB5", 8)),
        Method(
            "RUN0",
            0,
            Store(0x1234_5678_9ABC_DEF0, "ALL0"),
            Store(7, "LOW0"),
            Store(0x55, "FAR0"),
            Store(0x66, "INB5"),
        ),
        *[Method(f"G{name[1:]}", 0, Call("RUN0"), Return(Path(name))) for name in READ],
    ).to_bytes()
    assert evaluate_all(table, [f"\\G{name[1:]}" for name in READ]) == list(READ.values())


READ = {
    "LOW0": 7,
    "BYT3": 0x9A,
    "WRD4": 0x5678,
    "ALL0": 0x1234_5678_9ABC_DEF7,
    "IDX0": 0x42,
    "DAT0": 0x55,
    "BNK0": 5,
    "INB5": 0x66,
}


@pytest.mark.parametrize("start", [0, 3, 8, 13])
def test_windows_of_a_buffer(start):
    content = bytes(range(0xF0, 0xF8))
    whole = int.from_bytes(content, "little")
    table = Dsdt(
        Name("BUF0", Buffer(content)),
        CreateField(Path("BUF0"), start, 11, "WIN0"),
        CreateWordField(Path("BUF0"), 1, "WIN1"),
        CreateDWordField(Path("BUF0"), 2, "WIN2"),
        Method("GET0", 0, Return(ToInteger(Path("WIN0")))),
        Method("GET1", 0, Return(Path("WIN1"))),
        Method("GET2", 0, Return(Path("WIN2"))),
        Method("PUT0", 0, Store(0x2AA, "WIN0"), Return(DerefOf(Index(Path("BUF0"), start // 8)))),
        Method("KEEP", 0, Store(Path("WIN2"), Local(0)), Return(Local(0))),
    ).to_bytes()
    mask = ((1 << 11) - 1) << start
    put = (whole & ~mask | 0x2AA << start).to_bytes(8, "little")[start // 8]
    window = whole >> start & 0x7FF
    assert evaluate_all(table, ["\\GET0", "\\GET1", "\\GET2", "\\KEEP", "\\PUT0"]) == [
        window,
        whole >> 8 & 0xFFFF,
        whole >> 16 & 0xFFFF_FFFF,
        whole >> 16 & 0xFFFF_FFFF,
        put,
    ]
