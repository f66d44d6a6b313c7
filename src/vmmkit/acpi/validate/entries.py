# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Sub-structures of tables: where they are, and whether their lengths are possible.

ACPI Specification, the sections on MADT, SRAT, HMAT, PPTT and VIOT; Intel Virtualization Technology
for Directed I/O and AMD I/O Virtualization Technology Specification for DMAR and IVRS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["Entry", "are_whole", "check", "entries"]


class _Format(NamedTuple):
    """Sub-structures of one table.

    Attributes:
        start: offset of the first; a negative number: of the field that says it.
        type_size: bytes of their type, at their start.
        length_offset: of their length, from their start.
        length_size: bytes.
        lengths: bytes of each type; a negative number: so many at least.
        code: of the finding where a length is not possible.
    """

    start: int
    type_size: int
    length_offset: int
    length_size: int
    lengths: dict[int, int]
    code: str = "TABLE-ENTRY-LENGTH"

    def first(self, table: TableBytes) -> int:
        """Return where the first one is; tables can say it in a field of 16 bits."""
        return self.start if self.start > 0 else table.number(-self.start, 2)


class Entry(NamedTuple):
    """A sub-structure: its type, offset and bytes."""

    type: int
    offset: int
    data: bytes

    def number(self, offset: int, size: int) -> int:
        """Return a little-endian number, of which bytes beyond the end are zero."""
        return int.from_bytes(self.data[offset : offset + size], "little")


_MADT: Final = {
    0: 8,  # Processor Local APIC
    1: 12,  # I/O APIC
    2: 10,  # Interrupt Source Override
    3: 8,  # NMI Source
    4: 6,  # Local APIC NMI
    5: 12,  # Local APIC Address Override
    6: 16,  # I/O SAPIC
    7: -17,  # Local SAPIC
    8: 16,  # Platform Interrupt Sources
    9: 16,  # Processor Local x2APIC
    10: 12,  # Local x2APIC NMI
    11: -40,  # GICC
    12: 24,  # GICD
    13: 24,  # GIC MSI Frame
    14: 16,  # GICR
    15: 20,  # GIC ITS
    16: -16,  # Multiprocessor Wakeup
    17: 15,  # CORE_PIC
    18: 23,  # LIO_PIC
    19: 21,  # HT_PIC
    20: 13,  # EIO_PIC
    21: 19,  # MSI_PIC
    22: 17,  # BIO_PIC
    23: 15,  # LPC_PIC
    24: -20,  # RINTC
    25: 16,  # IMSIC
    26: 36,  # APLIC
    27: 36,  # PLIC
}
_SRAT: Final = {0: 16, 1: 40, 2: 24, 3: 18, 4: 12, 5: 32, 6: 32, 7: 20}
_DMAR: Final = {0: -16, 1: -24, 2: -8, 3: 20, 4: -8, 5: -8, 6: -8}
_IVRS: Final = {0x10: -24, 0x11: -40, 0x40: -40, 0x20: 32, 0x21: 32, 0x22: 32}

_FORMATS: Final = {
    "APIC": _Format(44, 1, 1, 1, _MADT, "MADT-ENTRY-LENGTH"),
    "SRAT": _Format(48, 1, 1, 1, _SRAT, "SRAT-ENTRY-LENGTH"),
    "DMAR": _Format(48, 2, 2, 2, _DMAR, "DMAR-ENTRY-LENGTH"),
    "IVRS": _Format(48, 1, 2, 2, _IVRS),
    "HMAT": _Format(40, 2, 4, 4, {0: 40, 1: -32, 2: -32}),
    "VIOT": _Format(-38, 1, 2, 2, {1: 24, 2: 16, 3: 16, 4: 16}),
    "PPTT": _Format(36, 1, 1, 1, {0: -20, 1: -24, 2: 30}),
}


def entries(table: TableBytes) -> list[Entry]:
    """Return the sub-structures of a table up to the first that is impossible."""
    return [found for found in _walk(table) if isinstance(found, Entry)]


def are_whole(table: TableBytes) -> bool:
    """Return whether all sub-structures could be read, so that one not there is not there."""
    return all(found.code == "TABLE-ENTRY-TYPE" for found in _check(table))


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with lengths and types of sub-structures."""
    for table in subject.tables:
        if table.signature in _FORMATS:
            yield from _check(table)


def _walk(table: TableBytes) -> Iterator[Entry | int]:
    """Yield sub-structures, and the offset of one that is impossible."""
    form = _FORMATS[table.signature]
    offset, limit = form.first(table), table.size
    header = form.length_offset + form.length_size
    while offset < limit:
        length = table.number(offset + form.length_offset, form.length_size)
        if length < header or offset + length > limit:
            yield offset
            return
        kind = table.number(offset, form.type_size)
        yield Entry(kind, offset, table.data[offset : offset + length])
        offset += length


def _check(table: TableBytes) -> Iterator[Finding]:
    form = _FORMATS[table.signature]
    for found in _walk(table):
        if isinstance(found, int):
            length = table.number(found + form.length_offset, form.length_size)
            kind = table.number(found, form.type_size)
            message = f"type {kind} has length {length}, and {table.size - found} bytes are left"
            yield table.finding(form.code, found, message)
            return
        wanted, given = form.lengths.get(found.type), len(found.data)
        if wanted is None:
            message = f"type {found.type:#x} of {given} bytes"
            yield table.finding("TABLE-ENTRY-TYPE", found.offset, message)
        elif given != wanted if wanted >= 0 else given < -wanted:
            least = "at least " if wanted < 0 else ""
            message = f"type {found.type} has {given} bytes, not {least}{abs(wanted)}"
            yield table.finding(form.code, found.offset, message)
