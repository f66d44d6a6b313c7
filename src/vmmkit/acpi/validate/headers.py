# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Headers, checksums, root tables, and where tables lie.

ACPI Specification, ACPI System Description Tables: "Root System Description Pointer (RSDP)",
"System Description Table Header", "Root System Description Table (RSDT)", "Extended System
Description Table (XSDT)".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.subject import HEADER_SIZE, RSDP, Subject, TableBytes, finding

__all__ = ["MINIMUM_SIZES", "check"]

_RSDP_V1: Final = 20
_RSDP_V2: Final = 36
_LEGAL: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_!#$ ")
_WITHOUT_HEADER: Final = frozenset({RSDP, "FACS", "S3PT"})

#: Bytes that a table has at least: its header and fixed fields.
MINIMUM_SIZES: Final = {
    "APIC": 44,
    "BERT": 48,
    "BGRT": 56,
    "DBG2": 44,
    "DMAR": 48,
    "FACP": 116,
    "HEST": 40,
    "HMAT": 40,
    "HPET": 56,
    "IVRS": 48,
    "MCFG": 44,
    "PPTT": 36,
    "SLIT": 44,
    "SPCR": 80,
    "SRAT": 48,
    "TPM2": 52,
    "VIOT": 48,
    "WAET": 40,
}

#: Tables of which a machine has one.
_SINGLE: Final = frozenset(MINIMUM_SIZES) | {
    *("DSDT", "ECDT", "FACS", "MSCT", "PCCT", "RSDT", "XSDT", "TCPA", "WSMT"),
    RSDP,
}


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with headers and root tables."""
    for table in subject.tables:
        if table.signature not in _WITHOUT_HEADER:
            yield from _header(table)
    for table in subject.all(RSDP):
        yield from _rsdp(subject, table)
    for table in [*subject.all("XSDT"), *subject.all("RSDT")]:
        yield from _root(subject, table)
    yield from _roots_agree(subject)
    yield from _counts(subject)


def _header(table: TableBytes) -> Iterator[Finding]:
    given = len(table.data)
    if given < HEADER_SIZE:
        yield table.finding("TABLE-NO-HEADER", 0, f"{given} bytes, fewer than {HEADER_SIZE}")
        return
    if not _LEGAL.issuperset(table.data[:4]):
        yield table.finding("TABLE-SIGNATURE", 0, f"signature {table.data[:4]!r}")
    stated = table.number(4, 4)
    if stated > given or stated < HEADER_SIZE:
        yield table.finding("TABLE-LENGTH", 4, f"length {stated:#x}, of {given:#x} bytes given")
        return
    if stated < given:
        message = f"{given - stated} bytes after the {stated:#x} of the length field"
        yield table.finding("TABLE-TRAILING-BYTES", 4, message)
    total = sum(table.data[:stated]) & 0xFF
    if total:
        found = table.data[9]
        message = f"checksum {found:#04x}, should be {(found - total) & 0xFF:#04x}"
        yield table.finding("TABLE-CHECKSUM", 9, message)
    least = MINIMUM_SIZES.get(table.signature, HEADER_SIZE)
    if stated < least:
        yield table.finding("TABLE-TOO-SHORT", 4, f"{stated} bytes, of {least} at least")


def _rsdp(subject: Subject, table: TableBytes) -> Iterator[Finding]:
    data, given = table.data, len(table.data)
    revision = table.number(15, 1)
    wanted = _RSDP_V2 if revision >= 2 else _RSDP_V1
    if given < wanted or (revision >= 2 and not _RSDP_V2 <= table.number(20, 4) <= given):
        stated = table.number(20, 4)
        message = f"revision {revision}, {given} bytes given, length field {stated}"
        yield table.finding("RSDP-LENGTH", 20, message)
        return
    if sum(data[:_RSDP_V1]) & 0xFF:
        message = f"the first 20 bytes add up to {sum(data[:_RSDP_V1]) & 0xFF:#04x}, not 0"
        yield table.finding("RSDP-CHECKSUM", 8, message)
    if revision >= 2 and (total := sum(data[: table.number(20, 4)]) & 0xFF):
        message = f"all bytes add up to {total:#04x}, not 0"
        yield table.finding("RSDP-EXTENDED-CHECKSUM", 32, message)
    if table.gpa is not None and table.gpa % 16:
        yield table.finding("RSDP-ALIGNMENT", 0, f"at {table.gpa:#x}, no multiple of 16")
    yield from _rsdp_pointers(subject, table, revision)


def _rsdp_pointers(subject: Subject, table: TableBytes, revision: int) -> Iterator[Finding]:
    rsdt = table.number(16, 4)
    xsdt = table.number(24, 8) if revision >= 2 else 0
    if not rsdt and not xsdt:
        yield table.finding("RSDP-NO-ROOT", 16, "neither the address of an RSDT nor of an XSDT")
    if not subject.placed:
        return
    for offset, address, signature in ((16, rsdt, "RSDT"), (24, xsdt, "XSDT")):
        target = subject.by_address.get(address)
        if address and (target is None or target.signature != signature):
            there = "no table" if target is None else target.name
            message = f"the {signature} should be at {address:#x}, where {there} is"
            yield table.finding("RSDP-POINTER", offset, message)


def _entries(table: TableBytes) -> list[int]:
    size = 8 if table.signature == "XSDT" else 4
    last = table.size - size
    return [table.number(offset, size) for offset in range(HEADER_SIZE, last + 1, size)]


def _root(subject: Subject, table: TableBytes) -> Iterator[Finding]:
    size = 8 if table.signature == "XSDT" else 4
    if (table.size - HEADER_SIZE) % size:
        message = f"{table.size - HEADER_SIZE} bytes of entries, no multiple of {size}"
        yield table.finding("ROOT-LENGTH", 4, message)
    entries = _entries(table)
    if not entries:
        yield table.finding("ROOT-EMPTY", 4, "no entries")
    seen: set[int] = set()
    for number, address in enumerate(entries):
        offset = HEADER_SIZE + number * size
        if not address:
            yield table.finding("ROOT-NULL-ENTRY", offset, f"entry {number} is zero")
            continue
        if address in seen:
            message = f"entry {number} is {address:#x}, as one before it"
            yield table.finding("ROOT-DUPLICATE-ENTRY", offset, message)
        seen.add(address)
        if subject.placed:
            yield from _root_target(subject, table, offset, address)


def _root_target(
    subject: Subject, table: TableBytes, offset: int, address: int
) -> Iterator[Finding]:
    target = subject.by_address.get(address)
    if target is None:
        yield table.finding("ROOT-ENTRY-TARGET", offset, f"no table is at {address:#x}")
    elif target.signature in {"DSDT", "FACS", "RSDT", "XSDT", RSDP}:
        message = f"{target.name} at {address:#x} is listed, which no root table lists"
        yield table.finding("ROOT-ENTRY-TARGET", offset, message)


def _roots_agree(subject: Subject) -> Iterator[Finding]:
    xsdt, rsdt = subject.first("XSDT"), subject.first("RSDT")
    if xsdt is None or rsdt is None:
        return
    wide, narrow = sorted(_entries(xsdt)), sorted(_entries(rsdt))
    if wide == narrow:
        return
    pairs = enumerate(zip(wide, narrow, strict=False))
    number = next((at for at, (one, two) in pairs if one != two), min(len(wide), len(narrow)))
    shown = [f"{each[number]:#x}" if number < len(each) else "missing" for each in (wide, narrow)]
    message = f"entry {number} is {shown[0]} in the XSDT, {shown[1]} in the RSDT"
    yield rsdt.finding("ROOT-DISAGREE", HEADER_SIZE + 4 * number, message)


def _counts(subject: Subject) -> Iterator[Finding]:
    for signature, tables in subject.by_signature.items():
        if signature not in _SINGLE:
            continue
        for table in tables[1:]:
            yield table.finding("TABLE-DUPLICATE", 0, f"there is a {signature} already")
    if subject.complete:
        for signature in ("FACP", "DSDT", "APIC"):
            if not subject.all(signature):
                yield finding("TABLE-MISSING", signature, 0, f"there is no {signature}")
