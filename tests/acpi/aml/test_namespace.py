# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a definition block declares, and where in it."""

from vmmkit.acpi.aml.blocks import Else, If
from vmmkit.acpi.aml.create_field import CreateDWordField
from vmmkit.acpi.aml.field_units import Reserved
from vmmkit.acpi.aml.fields import Field
from vmmkit.acpi.aml.named import (
    Alias,
    Device,
    External,
    Method,
    Name,
    OperationRegion,
    Processor,
    Scope,
)
from vmmkit.acpi.aml.namespace import walk
from vmmkit.acpi.aml.places import Arg
from vmmkit.acpi.aml.reader import read
from vmmkit.acpi.aml.statements import Return

NODES = (
    External("\\_SB.PCI1"),
    Scope(
        "\\_SB",
        Device(
            "PCI0",
            Name("_HID", "ACPI0001"),
            OperationRegion("REG0", 1, 0x100, 0x10),
            Field("REG0", 1, 0, 0, ("FLD0", 3), Reserved(5), ("FLD1", 8)),
            Name("^SIDE", 1),
            Method("_CRS", 0, Name("TEMP", 1), CreateDWordField(Arg(0), 0, "CDW1"), Return(0)),
        ),
    ),
    If(1, Name("YES", 1)),
    Else(Name("NO", 1)),
    Processor("\\_PR.CPU0", 0, 0, 0, Name("_UID", 7)),
    Alias("\\_SB.PCI0._HID", "ALIA"),
)
CONTENT = b"".join(node.encoded for node in NODES)

PATHS = [
    *("\\_SB.PCI0", "\\_SB.PCI0._HID", "\\_SB.PCI0.REG0", "\\_SB.PCI0.FLD0", "\\_SB.PCI0.FLD1"),
    *("\\_SB.SIDE", "\\_SB.PCI0._CRS", "\\YES", "\\NO", "\\_PR.CPU0", "\\_PR.CPU0._UID", "\\ALIA"),
]


def test_walk_yields_objects_and_their_places():
    found = list(walk(read(CONTENT)))
    assert [path for path, _, _ in found] == PATHS
    for _, offset, node in found:
        assert CONTENT[offset : offset + len(node)] == node.encoded


def test_walk_takes_nodes_that_were_written():
    assert [path for path, _, _ in walk(NODES)] == PATHS


def test_walk_goes_as_deep_as_nodes_are_nested():
    node = Name("AAAA", 1)
    for _ in range(2000):
        node = Device("DEV0", node)
    paths = [path for path, _, _ in walk([node])]
    assert len(paths) == 2001
    assert paths[-1] == "\\" + "DEV0." * 2000 + "AAAA"
