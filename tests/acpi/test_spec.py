# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Revisions that belong together."""

import pytest

from vmmkit.acpi.tables.definition_block import Dsdt
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.madt import Madt
from vmmkit.acpi.tables.spec import Spec


@pytest.mark.parametrize(
    ("spec", "fadt", "minor", "length", "madt"),
    [
        (Spec.V3_0, 4, 0, 244, 2),
        (Spec.V4_0, 4, 0, 244, 3),
        (Spec.V5_0, 5, 0, 268, 3),
        (Spec.V5_1, 5, 1, 268, 3),
        (Spec.V6_0, 6, 0, 276, 4),
        (Spec.V6_2, 6, 2, 276, 4),
        (Spec.V6_3, 6, 3, 276, 5),
        (Spec.V6_4, 6, 4, 276, 5),
        (Spec.V6_5, 6, 5, 276, 6),
        (Spec.V6_6, 6, 6, 276, 7),
    ],
)
def test_tables_of_a_version(spec, fadt, minor, length, madt):
    table = Fadt(**spec.fadt)
    assert (table.revision, table.minor_version, len(table.to_bytes())) == (fadt, minor, length)
    assert Madt(**spec.madt).revision == madt


def test_defaults_are_those_of_one_version():
    spec = Spec.V6_5
    assert Fadt(**spec.fadt) == Fadt()
    assert Madt(**spec.madt) == Madt()
    assert Dsdt(**spec.definition_block) == Dsdt()
    assert Facs(**spec.facs) == Facs()


def test_old_facs():
    assert Facs(**Spec.V3_0.facs).version == 1
