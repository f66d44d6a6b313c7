# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Table sets of any shape, for tests of placing and linking."""

from __future__ import annotations

from hypothesis import strategies as st

from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.relocation import Blob, Checksum, Relocation
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.madt import LocalApic, Madt
from vmmkit.acpi.tables.table import Raw


class PointingTable:
    """A table with pointers of any size anywhere, to anything."""

    alignment = 16

    def __init__(self, signature, pointers, alignment=16):
        self.signature = self.name = signature
        self.alignment = alignment
        self._places = []
        offset = 36
        for size, target, addend, optional in pointers:
            self._places.append(Relocation(offset, size, target, optional, addend))
            offset += size
        self._data = Raw(signature, bytes(offset - 36)).to_bytes()

    def to_bytes(self):
        return self._data

    def relocations(self):
        return tuple(self._places)

    def checksums(self):
        return (Checksum(9, 0, len(self._data)),)


def minimal(facs=True, **options) -> TableSet:
    """Return a FADT with DSDT and perhaps FACS, a MADT and two SSDTs."""
    dsdt = Raw("DSDT", bytes(range(100)))
    pointers = {"dsdt": dsdt, "x_dsdt": dsdt}
    if facs:
        control = Facs(0x1234_5678)
        pointers |= {"firmware_ctrl": control, "x_firmware_ctrl": control}
    madt = Madt([LocalApic(0, 0), LocalApic(1, 1)])
    tables = [madt, Raw("SSDT", b"one"), Fadt(**pointers), Raw("SSDT", b"another")]
    return TableSet(tables, **options)


@st.composite
def table_sets(draw) -> TableSet:
    """Draw a set with tables and blobs that point at each other."""
    blobs = [
        Blob(
            draw(st.binary(min_size=1, max_size=100)),
            f"etc/blob{number}",
            alignment=draw(st.sampled_from([1, 16, 64, 4096])),
            address_file=draw(st.sampled_from([None, "etc/address"])),
            address_offset=8 * number,
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    targets = [*blobs, *minimal(facs=draw(st.booleans()))]
    tables = [target for target in targets if getattr(target, "signature", None) == "FACP"]
    for _ in range(draw(st.integers(0, 4))):
        pointers = [
            (draw(st.sampled_from([4, 8])), target, draw(st.integers(0, size - 1)), False)
            for target in draw(st.lists(st.sampled_from(targets), max_size=4))
            if (size := len(target.to_bytes()))
        ]
        alignment = draw(st.sampled_from([1, 16, 256]))
        targets.append(PointingTable("OEMX", pointers, alignment))
        tables.append(targets[-1])
    rsdt = draw(st.sampled_from([None, True, False]))
    return TableSet([*tables, *blobs], rsdt=rsdt, xsdt=rsdt is False or draw(st.booleans()))
