# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Valid machines, placed, whose bytes can be spoilt one at a time."""

from __future__ import annotations

from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.placement import E820Entry, E820Type, Piece, Placement
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Cpu, MemoryRange, Numa
from vmmkit.acpi.tables.dbg2 import Dbg2, DebugDevice, PortType, SerialSubtype
from vmmkit.acpi.tables.dmar import DeviceScope, DeviceScopeType, Dmar, Drhd, DrhdFlags
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.pptt import CacheTypeStructure, Pptt, ProcessorHierarchyNode
from vmmkit.acpi.tables.spcr import SerialSubtype as ConsoleType
from vmmkit.acpi.tables.spcr import Spcr
from vmmkit.acpi.tables.table import Raw

BASE = 0x7000_0000
ELSEWHERE = 0x7100_0000  # where what has grown goes


def full_platform():
    """Return a PC with every table that is judged, one kind of problem short of nothing."""
    scope = DeviceScope(DeviceScopeType.IOAPIC, [(31, 0)], enumeration_id=0)
    cache = CacheTypeStructure(size=1 << 20)
    package = ProcessorHierarchyNode(acpi_processor_id=0)
    core = ProcessorHierarchyNode(package, acpi_processor_id=1, private_resources=[cache])
    return q35_like(
        cpus=[Cpu(number, number, proximity_domain=number % 2) for number in range(4)],
        numa=Numa(
            (MemoryRange(0, 1 << 28, 0), MemoryRange(1 << 28, 1 << 28, 1)), ((10, 20), (20, 10))
        ),
        tables=[
            Dmar(
                [
                    Drhd(0xFED9_1000, device_scopes=[scope]),
                    Drhd(0xFED9_0000, flags=DrhdFlags.INCLUDE_PCI_ALL),
                ]
            ),
            Dbg2([DebugDevice(PortType.SERIAL, SerialSubtype.FULL_16550, [(Gas.io(0x3F8), 8)])]),
            Spcr(
                Gas.io(0x3F8),
                revision=4,
                interface_type=ConsoleType.GAS_16550,
                namespace_string="\\_SB.PCI0.ISA.COM1",
            ),
            Pptt([package, cache, core]),
        ],
    )


def reduced_platform():
    """Return the hardware-reduced preset."""
    return reduced(cpus=2)


class Board:
    """A placed platform.

    Args:
        platform: with its tables.
        ssdts: nodes of further tables, a list each.
    """

    def __init__(self, platform, ssdts=()):
        tables = platform.table_set()
        for nodes in ssdts:
            tables.add(Raw("SSDT", b"".join([each.to_bytes() for each in nodes]), revision=2))
        placement = tables.place(BASE)
        self.rsdp = placement.rsdp
        self.e820 = [*platform.e820(), *placement.e820]
        self.data = {piece.name: bytearray(piece.data) for piece in placement.pieces}
        self.places = {piece.name: piece.gpa for piece in placement.pieces}

    def mend(self, name):
        """Make the checksum right, over the bytes that the length field says."""
        data = self.data[name]
        if name == "RSDP":
            data[8] = data[32] = 0
            data[8] = -sum(data[:20]) & 0xFF
            data[32] = -sum(data) & 0xFF
        elif name != "FACS":
            length = int.from_bytes(data[4:8], "little")
            data[9] = 0
            data[9] = -sum(data[:length]) & 0xFF

    def put(self, name, offset, value, size=1):
        """Write a number."""
        self.data[name][offset : offset + size] = value.to_bytes(size, "little")
        self.mend(name)

    def number(self, name, offset, size):
        return int.from_bytes(self.data[name][offset : offset + size], "little")

    def find(self, name, pattern):
        """Return the offset of bytes that are there once."""
        assert self.data[name].count(pattern) == 1, (name, pattern)
        return self.data[name].index(pattern)

    def replace(self, name, old, new):
        """Replace bytes that are there once with as many others."""
        assert len(old) == len(new)
        at = self.find(name, old)
        self.data[name][at : at + len(new)] = new
        self.mend(name)

    def resize(self, name, content, *, mend_length=True):
        """Give a table other bytes after its length, elsewhere in memory."""
        self.data[name] = bytearray(content)
        if mend_length:
            self.data[name][4:8] = len(content).to_bytes(4, "little")
        self.mend(name)
        self.move(name, ELSEWHERE)

    def move(self, name, address):
        """Move a table, and let the root tables, and the FADT, point there."""
        old = self.places[name]
        for other, size in (
            ("XSDT", 8),
            ("RSDT", 4),
            ("FACP", 4),
            ("FACP", 8),
            ("RSDP", 4),
            ("RSDP", 8),
        ):
            data = self.data[other]
            before, after = old.to_bytes(size, "little"), address.to_bytes(8, "little")[:size]
            if before in data:
                at = data.index(before)
                data[at : at + size] = after
                self.mend(other)
        self.places[name] = address
        length = (len(self.data[name]) + 0xFFF) & ~0xFFF
        self.e820.append(E820Entry(address & ~0xFFF, length, E820Type.ACPI))

    def remove(self, name):
        """Take a table out of memory; pointers to it stay."""
        del self.data[name], self.places[name]

    def entry(self, name, kind, start=44, number=0):
        """Return the offset of a sub-structure of a type."""
        data, at = self.data[name], start
        while True:
            if data[at] == kind:
                if not number:
                    return at
                number -= 1
            at += data[at + 1] or len(data)

    def placement(self):
        pieces = [Piece(self.places[name], bytes(data), name) for name, data in self.data.items()]
        return Placement(tuple(sorted(pieces)), self.rsdp, tuple(sorted(self.e820)))


def with_ssdt(*nodes: Node) -> Board:
    """Return a valid PC with one more table of AML."""
    return Board(full_platform(), [nodes])
