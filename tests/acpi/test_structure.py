# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Records: they compare, hash and show themselves without code of their own."""

import pytest

from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.structure import Structure
from vmmkit.acpi.tables import madt, reading, srat
from vmmkit.acpi.tables.bgrt import Bgrt
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.madt import LocalApic, Madt, MultiprocessorWakeup
from vmmkit.acpi.tables.reference import ReferringEntry, ReferringTable
from vmmkit.acpi.tables.slit import Slit

MAKERS = {
    "entry": lambda number: LocalApic(1, number),
    "structure": lambda number: Gas.io(number, 8),
    "list of entries": lambda number: Madt([LocalApic(0, 0), LocalApic(1, number)]),
    "rows": lambda number: Slit([[10, 20 + number], [20 + number, 10]]),
    "header": lambda number: Madt(oem_revision=number),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_records_compare_by_value(make):
    assert make(3) == make(3)
    assert hash(make(3)) == hash(make(3))
    assert make(3) != make(4)


def test_records_of_two_classes_are_not_equal():
    assert Gas.io(1, 8) != Gas.io(1, 8).to_bytes()
    assert madt.LocalApicNmi() != madt.LocalX2ApicNmi()


def test_records_that_point_elsewhere_are_not_equal():
    one, other = Blob(b"1"), Blob(b"1")
    assert MultiprocessorWakeup(one) == MultiprocessorWakeup(one)
    assert MultiprocessorWakeup(one) != MultiprocessorWakeup(other)
    assert Madt([MultiprocessorWakeup(one)]) != Madt([MultiprocessorWakeup(other)])
    assert Bgrt(one) != Bgrt(other) != Bgrt(0)


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_no_class_has_generated_comparison():
    """A base class with code of attrs' would compare its own fields only, not its subclasses'."""
    assert {reading.CLASSES["APIC"], srat.Srat} <= set(subclasses(Structure))
    for kind in subclasses(Structure):
        if not issubclass(kind, (ReferringEntry, ReferringTable)):
            assert (kind.__eq__, kind.__hash__) == (Structure.__eq__, Structure.__hash__), kind


def test_shown_as_its_constructor():
    shown = repr(LocalApic(1, 2))
    assert shown == (
        "LocalApic(trailing=b'', acpi_processor_uid=1, apic_id=2, flags=<LapicFlags.ENABLED: 1>)"
    )
