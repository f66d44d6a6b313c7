# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables of one device each, and those that refer to offsets in themselves.

IA-PC HPET Specification; Microsoft's specifications of the Serial Port Console Redirection table
and the Debug Port Table 2; Intel Virtualization Technology for Directed I/O; ACPI Specification,
"Processor Properties Topology Table (PPTT)".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vmmkit.acpi.validate.entries import Entry, entries
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["check"]

_GAS: Final = 12
_SPCR_NAMESPACE: Final = 4  # from this revision on
_DBG2_DEVICE: Final = 22
_IOAPIC_SCOPE: Final = 3
_SCOPES: Final = {0: 16, 1: 24, 2: 8, 5: 8, 6: 8}  # where they begin in a remapping structure
_INCLUDE_PCI_ALL: Final = 1
_PPTT_LINKS: Final = {0: 8, 1: 8}  # parent of a processor, next level of a cache
_MADT_IO_APIC: Final = 1


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with these tables."""
    for signature, judge in _JUDGES.items():
        for table in subject.all(signature):
            yield from judge(subject, table)


def _hpet(_subject: Subject, table: TableBytes) -> Iterator[Finding]:
    space, address = table.number(40, 1), table.number(44, 8)
    if space:
        message = f"address space {space}, not memory"
        yield table.finding("HPET-SPACE", 40, message)
    if not address:
        yield table.finding("HPET-ADDRESS", 44, "address 0")


def _spcr(_subject: Subject, table: TableBytes) -> Iterator[Finding]:
    if not table.number(44, 8):
        yield table.finding("SPCR-ADDRESS", 44, "the port has address 0, so there is no console")
    if table.number(8, 1) < _SPCR_NAMESPACE:
        return
    length, offset = table.number(84, 2), table.number(86, 2)
    if offset < 88 or offset + length > table.size or not length:
        message = f"a name of {length} bytes at {offset}, of {table.size} bytes of the table"
        yield table.finding("SPCR-NAME", 84, message)


def _dbg2(_subject: Subject, table: TableBytes) -> Iterator[Finding]:
    offset, count = table.number(36, 4), table.number(40, 4)
    for number in range(count):
        length = table.number(offset + 1, 2)
        if offset < 44 or length < _DBG2_DEVICE or offset + length > table.size:
            message = f"device {number} of {count}: {length} bytes at offset {offset}"
            yield table.finding("DBG2-DEVICE", min(offset, table.size), message)
            return
        yield from _dbg2_device(table, offset, length)
        offset += length


def _dbg2_device(table: TableBytes, offset: int, length: int) -> Iterator[Finding]:
    registers = table.number(offset + 3, 1)
    parts = [
        (table.number(offset + 6, 2), table.number(offset + 4, 2), "name"),
        (table.number(offset + 10, 2), table.number(offset + 8, 2), "OEM data"),
        (table.number(offset + 18, 2), registers * _GAS, "addresses"),
        (table.number(offset + 20, 2), registers * 4, "sizes"),
    ]
    for at, size, what in parts:
        if size and (at < _DBG2_DEVICE or at + size > length):
            message = f"{what}: {size} bytes at {at}, of {length} bytes of the device"
            yield table.finding("DBG2-DEVICE", offset, message)
            return


def _dmar(subject: Subject, table: TableBytes) -> Iterator[Finding]:
    found = entries(table)
    madt = subject.first("APIC")
    chips = set()
    if madt is not None:
        chips = {one.number(2, 1) for one in entries(madt) if one.type == _MADT_IO_APIC}
    bases: dict[int, int] = {}
    catch_all: dict[int, int] = {}
    for entry in found:
        if entry.type in _SCOPES:
            yield from _scopes(table, entry, chips)
        if entry.type:
            continue
        base, segment = entry.number(8, 8), entry.number(6, 2)
        if not base or base % 0x1000:
            yield table.finding("DMAR-ADDRESS", entry.offset + 8, f"registers at {base:#x}")
        elif bases.setdefault(base, entry.offset) != entry.offset:
            message = f"registers at {base:#x}, as those of the unit at {bases[base]:#x}"
            yield table.finding("DMAR-DUPLICATE-UNIT", entry.offset + 8, message)
        if segment in catch_all:
            message = f"a unit of segment {segment} after the one for all its other devices"
            yield table.finding("DMAR-ORDER", entry.offset, message)
        if entry.number(4, 1) & _INCLUDE_PCI_ALL:
            catch_all[segment] = entry.offset


def _scopes(table: TableBytes, entry: Entry, chips: set[int]) -> Iterator[Finding]:
    at = _SCOPES[entry.type]
    while at < len(entry.data):
        length = entry.number(at + 1, 1)
        if length < 8 or length % 2 or at + length > len(entry.data):
            message = f"a device scope of {length} bytes, with {len(entry.data) - at} left"
            yield table.finding("DMAR-SCOPE", entry.offset + at, message)
            return
        number = entry.number(at + 4, 1)
        if entry.number(at, 1) == _IOAPIC_SCOPE and chips and number not in chips:
            message = f"I/O APIC {number} is not in the MADT"
            yield table.finding("DMAR-IOAPIC", entry.offset + at + 4, message)
        at += length


def _pptt(_subject: Subject, table: TableBytes) -> Iterator[Finding]:
    found = entries(table)
    kinds = {entry.offset: entry.type for entry in found}
    for entry in found:
        links = []
        if entry.type in _PPTT_LINKS:
            links.append((_PPTT_LINKS[entry.type], entry.type))
        if entry.type == 0:
            count = min(entry.number(16, 4), (len(entry.data) - 20) // 4)
            links += [(20 + 4 * number, -1) for number in range(count)]
        for at, kind in links:
            target = entry.number(at, 4)
            if target and (target not in kinds or (kind >= 0 and kinds[target] != kind)):
                message = f"offset {target:#x} is that of no such structure"
                yield table.finding("PPTT-REFERENCE", entry.offset + at, message)


_JUDGES: Final = {"HPET": _hpet, "SPCR": _spcr, "DBG2": _dbg2, "DMAR": _dmar, "PPTT": _pptt}
