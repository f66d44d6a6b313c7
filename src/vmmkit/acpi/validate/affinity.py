# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Proximity domains: SRAT and SLIT.

ACPI Specification, "System Resource Affinity Table (SRAT)" and "System Locality Information Table
(SLIT)".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from vmmkit.acpi.validate.entries import Entry, are_whole, entries
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.memory import Span, overlaps
from vmmkit.acpi.validate.processors import cpus
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["check"]

_LOCAL_APIC: Final = 0
_MEMORY: Final = 1
_X2APIC: Final = 2
_ENABLED: Final = 1
_FLAGS: Final = {_LOCAL_APIC: 4, _MEMORY: 28, _X2APIC: 12}
_MATRIX: Final = 44
_LOCAL: Final = 10


class _Member(NamedTuple):
    """What belongs to a domain: APIC id or address, and its entry."""

    domain: int
    value: int
    entry: Entry


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with proximity domains."""
    srat, slit = subject.first("SRAT"), subject.first("SLIT")
    members = []
    if srat is not None:
        members = [_member(entry) for entry in entries(srat) if _is_enabled(entry)]
        yield from _processors(subject, srat, members)
        yield from _memory(srat, members)
    if slit is not None:
        yield from _slit(slit, members)


def _is_enabled(entry: Entry) -> bool:
    return entry.type in _FLAGS and bool(entry.number(_FLAGS[entry.type], 4) & _ENABLED)


def _member(entry: Entry) -> _Member:
    if entry.type == _LOCAL_APIC:
        domain = entry.number(2, 1) | entry.number(9, 3) << 8
        return _Member(domain, entry.number(3, 1), entry)
    if entry.type == _MEMORY:
        return _Member(entry.number(2, 4), entry.number(8, 8), entry)
    return _Member(entry.number(4, 4), entry.number(8, 4), entry)


def _processors(subject: Subject, srat: TableBytes, members: list[_Member]) -> Iterator[Finding]:
    madt = subject.first("APIC")
    if madt is not None and not are_whole(madt):
        madt = None
    known = None if madt is None else {cpu.apic_id for cpu in cpus(madt)}
    seen: set[int] = set()
    for _domain, apic_id, entry in members:
        if entry.type == _MEMORY:
            continue
        if apic_id in seen:
            message = f"APIC id {apic_id} has an entry already"
            yield srat.finding("SRAT-DUPLICATE-CPU", entry.offset, message)
        seen.add(apic_id)
        if known and apic_id not in known:
            message = f"APIC id {apic_id} is not in the MADT"
            yield srat.finding("SRAT-CPU-UNKNOWN", entry.offset, message)
    if madt is None or not seen or not are_whole(srat):
        return
    for cpu in cpus(madt):
        if cpu.flags & _ENABLED and cpu.apic_id not in seen:
            message = f"the processor with APIC id {cpu.apic_id} has no entry in the SRAT"
            yield madt.finding("SRAT-CPU-MISSING", cpu.offset, message)


def _memory(srat: TableBytes, members: list[_Member]) -> Iterator[Finding]:
    spans = []
    for domain, base, entry in members:
        length = entry.number(16, 8)
        if entry.type != _MEMORY:
            continue
        if not length or base + length > 1 << 64:
            message = f"{length:#x} bytes at {base:#x} of domain {domain}"
            yield srat.finding("SRAT-MEMORY-RANGE", entry.offset, message)
        else:
            spans.append(Span(base, base + length - 1, f"domain {domain}", entry.offset))
    for one, two in overlaps(spans):
        yield srat.finding("SRAT-MEMORY-OVERLAP", two.offset, f"{two} overlaps {one}")


def _slit(slit: TableBytes, members: list[_Member]) -> Iterator[Finding]:
    count = slit.number(36, 8)
    given = slit.size - _MATRIX
    if count * count != given or not count:
        message = f"{count} localities take {count * count} bytes, and there are {given}"
        yield slit.finding("SLIT-SHAPE", 36, message)
        return
    matrix = slit.data[_MATRIX : slit.size]
    for row in range(count):
        offset = _MATRIX + row * (count + 1)
        if matrix[row * (count + 1)] != _LOCAL:
            message = f"the distance from locality {row} to itself is {slit.data[offset]}"
            yield slit.finding("SLIT-DIAGONAL", offset, message)
    small = next((at for at, one in enumerate(matrix) if one <= _LOCAL and at % (count + 1)), None)
    if small is not None:
        message = f"the distance from {small // count} to {small % count} is {matrix[small]}"
        yield slit.finding("SLIT-DISTANCE", _MATRIX + small, message)
    turned = b"".join([matrix[row::count] for row in range(count)])
    if turned != matrix:
        at = next(
            at for at, (one, two) in enumerate(zip(matrix, turned, strict=True)) if one != two
        )
        message = f"there and back differ: {matrix[at]} and {turned[at]}"
        yield slit.finding("SLIT-ASYMMETRIC", _MATRIX + at, message)
    greatest = max([member.domain for member in members], default=0)
    if greatest >= count:
        message = f"{count} localities, and the SRAT has domain {greatest}"
        yield slit.finding("SLIT-TOO-SMALL", 36, message)
