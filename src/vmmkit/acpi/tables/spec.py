# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which revisions of the tables belong to which version of the ACPI Specification.

The FADT says the version that a machine follows, and systems expect the other tables of that
version. Such a preset keeps them together::

    fadt = Fadt.full_hardware(dsdt, facs, blocks, **Spec.V6_5.fadt)
    madt = Madt(entries, **Spec.V6_5.madt)
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypedDict

__all__ = ["FacsVersion", "FadtVersion", "Revisions", "Spec", "TableRevision"]


class TableRevision(TypedDict):
    """Keywords that give a table its revision."""

    revision: int


class FadtVersion(TypedDict):
    """Keywords that give a FADT its version."""

    revision: int
    minor_version: int


class FacsVersion(TypedDict):
    """Keywords that give a FACS its version."""

    version: int


class Revisions(NamedTuple):
    """Revisions of the tables of one version of the specification.

    Attributes:
        fadt_revision: the major version.
        fadt_minor_version: the minor version.
        madt_revision: of the MADT.
        definition_block_revision: of DSDT and SSDTs; below 2, AML computes in 32 bits.
        facs_version: of the FACS.
    """

    fadt_revision: int
    fadt_minor_version: int
    madt_revision: int
    definition_block_revision: int = 2
    facs_version: int = 2


class Spec(Enum):
    """Versions of the ACPI Specification. Their values are `Revisions`.

    The MADT of ACPI 6.0 is that of its Errata A; as first published it had revision 3.
    """

    V3_0 = Revisions(4, 0, 2, facs_version=1)
    V4_0 = Revisions(4, 0, 3)
    V5_0 = Revisions(5, 0, 3)
    V5_1 = Revisions(5, 1, 3)
    V6_0 = Revisions(6, 0, 4)
    V6_1 = Revisions(6, 1, 4)
    V6_2 = Revisions(6, 2, 4)
    V6_3 = Revisions(6, 3, 5)
    V6_4 = Revisions(6, 4, 5)
    V6_5 = Revisions(6, 5, 6)
    V6_6 = Revisions(6, 6, 7)

    @property
    def fadt(self) -> FadtVersion:
        """Keywords for a `Fadt`."""
        of = self.value
        return {"revision": of.fadt_revision, "minor_version": of.fadt_minor_version}

    @property
    def madt(self) -> TableRevision:
        """Keywords for a `Madt`."""
        return {"revision": self.value.madt_revision}

    @property
    def definition_block(self) -> TableRevision:
        """Keywords for a `Dsdt` or an `Ssdt`."""
        return {"revision": self.value.definition_block_revision}

    @property
    def facs(self) -> FacsVersion:
        """Keywords for a `Facs`."""
        return {"version": self.value.facs_version}
