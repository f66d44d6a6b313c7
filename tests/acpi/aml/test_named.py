# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Named objects: names, numbers and what may be named."""

import pytest

from vmmkit.acpi.aml.create_field import CreateBitField, CreateField
from vmmkit.acpi.aml.data import Buffer
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
from vmmkit.acpi.aml.names import name_bytes
from vmmkit.acpi.aml.node import Path
from vmmkit.acpi.aml.operators import Add
from vmmkit.acpi.aml.places import Arg
from vmmkit.acpi.aml.statements import Return
from vmmkit.errors import AmlValueError

MAKERS = {
    "Alias": lambda name: Alias("FOO", name),
    "CreateBitField": lambda name: CreateBitField(Arg(0), 0, name),
    "CreateField": lambda name: CreateField(Arg(0), 0, 1, name),
    "DataTableRegion": lambda name: DataTableRegion(name, "ABCD"),
    "Device": Device,
    "Event": Event,
    "External": External,
    "Method": lambda name: Method(name, 0),
    "Mutex": Mutex,
    "Name": lambda name: Name(name, 0),
    "OperationRegion": lambda name: OperationRegion(name, RegionSpace.SystemIo, 0, 1),
    "PowerResource": lambda name: PowerResource(name, 0, 0),
    "Processor": lambda name: Processor(name, 0),
    "ThermalZone": ThermalZone,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_names_of_new_objects(make):
    for name in ("A", "_STA", "^FOO", "\\_SB.PCI0", "\\FOO.BAR.BAZ", Path("FOO")):
        path = name if isinstance(name, Path) else Path(name)
        assert path.encoded in make(name).encoded
    for wrong in ("\\", "^^", ""):
        with pytest.raises(AmlValueError, match="does not name a new object"):
            make(wrong)
    for wrong in ("foo", "ABCDE", "1ABC", "A..B", "A.", ".A", "\\^A", "A^B", "A B", "Ä", "A\n"):
        with pytest.raises(AmlValueError, match="is no legal name"):
            make(wrong)
    for wrong in (5, None, b"FOO", Arg(0)):
        with pytest.raises(AmlValueError, match="a name is a str"):
            make(wrong)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("\\", "5c00"),
        ("^", "5e00"),
        ("", "00"),
        ("A", "415f5f5f"),
        ("^^A.B", "5e5e2e415f5f5f425f5f5f"),
        ("\\A.B.C", "5c2f03415f5f5f425f5f5f435f5f5f"),
        (".".join("A" * 255), "2fff" + "415f5f5f" * 255),
    ],
)
def test_names(name, encoded):
    assert name_bytes(name).hex() == encoded
    assert Scope(name).args[0].text == name


def test_too_many_segments():
    with pytest.raises(AmlValueError, match="256 segments; 255 is the limit"):
        Device(".".join("A" * 256))


@pytest.mark.parametrize("count", [-1, 8, "1", None, 1.0, Return()])
def test_argument_count(count):
    with pytest.raises(AmlValueError, match="argument count of FOO is a number from 0 to 7"):
        Method("FOO", count)


@pytest.mark.parametrize("level", [-1, 16, None])
def test_sync_level(level):
    with pytest.raises(AmlValueError, match="sync level of FOO is a number from 0 to 15"):
        Method("FOO", 0, sync_level=level)
    with pytest.raises(AmlValueError, match="sync level of FOO is a number from 0 to 15"):
        Mutex("FOO", level)


def test_external():
    for kind in (-1, 17, "DeviceObj"):
        with pytest.raises(AmlValueError, match="kind of FOO"):
            External("FOO", kind)
    with pytest.raises(AmlValueError, match="argument count of FOO"):
        External("FOO", ObjectKind.Method, 8)
    assert External("FOO", ObjectKind.Method, 3).encoded[-2:] == b"\x08\x03"


@pytest.mark.parametrize("space", [-1, 0x0C, 0x7E, 0x100, "SystemMemory", None, [0]])
def test_no_region_space(space):
    with pytest.raises(AmlValueError, match="there is no region space"):
        OperationRegion("FOO", space, 0, 1)


@pytest.mark.parametrize("space", [*RegionSpace, 0x80, 0xFF])
def test_region_spaces(space):
    region = OperationRegion("FOO", space, Arg(0), 1)
    assert region.args[1:] == (int(space), Arg(0), OperationRegion("FOO", 0, 0, 1).args[3])
    assert type(region.args[1]) is int


@pytest.mark.parametrize("value", [Path("BAR"), Add(1, 2), Arg(0), Device("BAR")])
def test_a_name_is_a_value(value):
    with pytest.raises(AmlValueError, match="no constant, string, buffer or package"):
        Name("FOO", value)


def test_numbers_out_of_range():
    with pytest.raises(AmlValueError, match="Processor takes a number from 0 to 0xff"):
        Processor("FOO", 256)
    with pytest.raises(AmlValueError, match="Processor takes a number from 0 to 0xffffffff"):
        Processor("FOO", 1, 1 << 32)
    with pytest.raises(AmlValueError, match="PowerResource takes a number from 0 to 0xffff"):
        PowerResource("FOO", 0, 1 << 16)


def test_arguments_in_the_order_of_the_bytes():
    method = Method("FOO", 2, Return(Arg(0)), serialized=True, sync_level=3)
    assert method.args == (Path("FOO"), 0x3A, (Return(Arg(0)),))
    assert Name("FOO", b"abc").args == (Path("FOO"), Buffer(b"abc"))
    assert list(Device("FOO", Name("BAR", 1)).children()) == [Path("FOO"), Name("BAR", 1)]
