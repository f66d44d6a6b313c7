# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A platform as a guest finds it: placed, its tables read back, its objects by their path."""

from __future__ import annotations

from typing import Any

from vmmkit.acpi.aml.data import EisaId
from vmmkit.acpi.aml.namespace import walk
from vmmkit.acpi.aml.reader import read
from vmmkit.acpi.aml.resources import parse_resources
from vmmkit.acpi.tables.reading import from_bytes

BASE = 0x7000_0000


def plain(node) -> Any:
    """Return the Python value of a constant, string, buffer, package or name."""
    if hasattr(node, "value"):
        return node.value
    kind = node.OPCODE.name if hasattr(node, "OPCODE") else ""
    if kind == "Buffer":
        return node.args[1]
    if kind in {"Package", "VarPackage"}:
        return [plain(element) for element in node.args[1]]
    return node.args[0]


class View:
    """The bytes of a placed platform, read by the library's readers."""

    def __init__(self, platform):
        self.placement = platform.table_set().place(BASE)
        self.bytes = {piece.name: piece.data for piece in self.placement.pieces}
        self.tables = {
            name: from_bytes(data)
            for name, data in self.bytes.items()
            if not name.startswith(("etc/", "blob"))
        }
        listed = list(walk(read(self.bytes["DSDT"][36:])))
        self.paths = [path for path, _offset, _node in listed]
        self.objects = {path: node for path, _offset, node in listed}

    def value(self, path):
        """Return the value of a `Name`."""
        return plain(self.objects[path].args[1])

    def resources(self, device):
        """Return the descriptors of `_CRS`."""
        return list(parse_resources(self.value(f"{device}._CRS")))

    def devices(self, hardware_id):
        """Return the paths of the devices with this `_HID`, in order."""
        wanted = {hardware_id}
        if len(hardware_id) == 7:
            wanted.add(EisaId(hardware_id).value)
        hids = [path for path in self.paths if path.endswith("._HID")]
        return [path.removesuffix("._HID") for path in hids if self.value(path) in wanted]

    def entries(self, kind):
        """Return the MADT's entries of a class."""
        return [entry for entry in self.tables["APIC"].entries if isinstance(entry, kind)]
