# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""RSDT and XSDT: the lists of all other tables.

ACPI Specification, Root System Description Table (RSDT) and Extended System Description Table
(XSDT).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import attrs

from vmmkit.acpi.relocation import Pointer, Relocation, shown_target
from vmmkit.acpi.structure import address_or_zero, structure
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import HEADER_SIZE, Table
from vmmkit.errors import TableValueError

__all__ = ["RootTable", "Rsdt", "Xsdt"]


@structure
class RootTable(Table):
    """A header and a list of tables, each as an object or an address.

    Args:
        entries: tables; the FADT first, by custom. The DSDT and the FACS are not among them.

    Raises:
        TableValueError: an address that the entries' size cannot hold.
    """

    entries: Sequence[Pointer] = attrs.field(
        default=(),
        converter=tuple_of(None, "entries", object),
        repr=lambda entries: f"({', '.join(map(shown_target, entries))})",
    )

    ENTRY_SIZE: ClassVar[int] = 0  # in bytes

    def _tail(self) -> bytes:
        return b"".join([self._entry(number) for number in range(len(self.entries))])

    def _entry(self, number: int) -> bytes:
        size = self.ENTRY_SIZE
        try:
            return address_or_zero(self.entries[number]).to_bytes(size, "little")
        except (OverflowError, TypeError):
            raise TableValueError(
                f"{self.signature}.entries[{number}] has {size} bytes and cannot hold "
                f"{self.entries[number]!r:.200}",
                self.signature,
                HEADER_SIZE + number * size,
            ) from None

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where addresses of tables belong."""
        size = self.ENTRY_SIZE
        return tuple(
            Relocation(HEADER_SIZE + number * size, size, entry)
            for number, entry in enumerate(self.entries)
            if not isinstance(entry, int)
        )

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        size = cls.ENTRY_SIZE
        past = len(data) - (len(data) - rest) % size
        entries = [
            int.from_bytes(data[offset : offset + size], "little")
            for offset in range(rest, past, size)
        ]
        return cls(entries, **fields, trailing=data[past:])


@structure
class Rsdt(RootTable):
    """The Root System Description Table: addresses of 32 bits."""

    SIGNATURE = "RSDT"
    ENTRY_SIZE = 4


@structure
class Xsdt(RootTable):
    """The Extended System Description Table: addresses of 64 bits."""

    SIGNATURE = "XSDT"
    ENTRY_SIZE = 8
