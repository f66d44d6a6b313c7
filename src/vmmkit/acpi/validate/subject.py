# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is judged: bytes of tables, where they are, and what is known of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

import attrs

from vmmkit.acpi.placement import E820Entry
from vmmkit.acpi.validate.codes import RULES
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.objects import Objects

__all__ = ["DEFINITION_BLOCKS", "HEADER_SIZE", "RSDP", "Subject", "TableBytes", "named"]

HEADER_SIZE: Final = 36
RSDP: Final = "RSD PTR "
#: Signatures of tables that hold AML; there is one DSDT, and it comes first.
DEFINITION_BLOCKS: Final = ("DSDT", "SSDT", "PSDT")


@attrs.frozen(eq=False)
class TableBytes:
    """A table as a guest finds it.

    Attributes:
        name: for findings; the signature, and a number where there are several.
        data: all bytes that were given.
        gpa: their address, if it is known.
    """

    name: str
    data: bytes
    gpa: int | None = None

    @property
    def signature(self) -> str:
        """The first four characters; eight for the RSDP."""
        return signature_of(self.data)

    @property
    def size(self) -> int:
        """Bytes that are both given and part of the table."""
        given = len(self.data)
        if given < HEADER_SIZE or self.signature == RSDP:
            return given
        stated = self.number(4, 4)
        return min(given, stated) if stated >= HEADER_SIZE else given

    def number(self, offset: int, size: int) -> int:
        """Return a little-endian number, of which bytes beyond the end are zero."""
        return int.from_bytes(self.data[offset : offset + size], "little")

    def finding(self, code: str, offset: int, message: str) -> Finding:
        """Return a finding about this table."""
        return finding(code, self.name, offset, message)


def finding(code: str, table: str, offset: int, message: str) -> Finding:
    """Return a finding with severity and consequence of its code."""
    rule = RULES[code]
    return Finding(code, rule.severity, table, offset, message, rule.consequence)


def signature_of(data: bytes) -> str:
    """Return the signature, without what no text should hold."""
    length = 8 if data.startswith(b"RSD PTR ") else 4
    text = data[:length].decode("latin-1")
    return "".join([char if " " <= char <= "~" else "?" for char in text])


def named(pieces: Iterable[tuple[bytes, int | None]]) -> tuple[TableBytes, ...]:
    """Return tables, those of a signature that occurs several times with numbers."""
    counts: dict[str, int] = {}
    found = []
    for data, gpa in pieces:
        signature = signature_of(data).strip() or "?"
        label = "RSDP" if signature == RSDP.strip() else signature
        count = counts[label] = counts.get(label, 0) + 1
        found.append(TableBytes(label if count == 1 else f"{label}#{count}", data, gpa))
    return tuple(found)


@attrs.define(eq=False, slots=False)
class Subject:
    """The tables of one machine.

    Attributes:
        tables: all of them, in order.
        complete: none is missing, so that one that is not there is a finding.
        memory: what the memory map says, as far as it is known; `None`: nothing is known.
        smbios: the guest has SMBIOS with a BIOS date from 2010 on.
        inputs: of each I/O APIC by its id, where that is known.
        other: placed ranges that are no tables: `(name, address, size)`.
    """

    tables: tuple[TableBytes, ...]
    complete: bool = False
    memory: tuple[E820Entry, ...] | None = None
    smbios: bool = False
    inputs: Mapping[int, int] = attrs.field(factory=dict)
    other: tuple[tuple[str, int, int], ...] = ()

    @cached_property
    def by_signature(self) -> dict[str, list[TableBytes]]:
        """Tables of each signature, in order."""
        found: dict[str, list[TableBytes]] = {}
        for table in self.tables:
            found.setdefault(table.signature, []).append(table)
        return found

    @cached_property
    def by_address(self) -> dict[int, TableBytes]:
        """Tables by their address, where that is known."""
        return {table.gpa: table for table in self.tables if table.gpa is not None}

    def all(self, signature: str) -> list[TableBytes]:
        """Return all tables with a signature."""
        return self.by_signature.get(signature, [])

    def first(self, signature: str) -> TableBytes | None:
        """Return the first table with a signature."""
        found = self.all(signature)
        return found[0] if found else None

    @cached_property
    def placed(self) -> bool:
        """Whether addresses are known."""
        return bool(self.by_address)

    @cached_property
    def definition_blocks(self) -> list[TableBytes]:
        """Tables with AML."""
        return [table for kind in DEFINITION_BLOCKS for table in self.all(kind)]

    @cached_property
    def objects(self) -> Objects[Any]:
        """What the AML of all tables declares."""
        blocks = self.definition_blocks
        contents = [table.data[HEADER_SIZE : table.size] for table in blocks]
        return Objects(list(zip(blocks, contents, strict=True)), HEADER_SIZE)
