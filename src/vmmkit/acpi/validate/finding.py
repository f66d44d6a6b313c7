# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What `validate` reports."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import attrs

__all__ = ["Finding", "Rule", "Severity"]


class Severity(IntEnum):
    """How much a finding matters."""

    NOTE = 0  #: legal, and worth a look
    WARNING = 1  #: something does not work, or works on some systems only
    ERROR = 2  #: against the specification, or systems ignore the part, or the whole table


class Rule(NamedTuple):
    """What a code stands for.

    Attributes:
        severity: of all its findings.
        says: what is wrong.
        consequence: what a guest does.
    """

    severity: Severity
    says: str
    consequence: str


@attrs.frozen
class Finding:
    """Something that is wrong, or looks so.

    Attributes:
        code: stable text that says what it is, such as `MADT-DUPLICATE-APIC-ID`.
        severity: of this code.
        table: the signature, with a number where there are several (`SSDT#2`); `E820` for the
            memory map.
        offset: bytes from the start of the table.
        message: what was found, with the values.
        consequence: what it does to a guest.
    """

    code: str
    severity: Severity
    table: str
    offset: int
    message: str
    consequence: str

    def __str__(self) -> str:
        """Return it in two lines."""
        return (
            f"{self.severity.name} {self.code}: {self.table} at {self.offset:#x}: {self.message}\n"
            f"    {self.consequence}"
        )
