# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every field of every structure, given what it cannot hold: a typed error, or whole bytes."""

import runpy
from pathlib import Path

import attrs
import pytest

from vmmkit.acpi.tables.bert import Bert, GenericErrorStatusBlock
from vmmkit.acpi.tables.bgrt import Bgrt
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.madt import LocalApic, Madt
from vmmkit.acpi.tables.reading import from_bytes
from vmmkit.acpi.tables.root import Xsdt
from vmmkit.errors import AcpiError, TableValueError

USER = runpy.run_path(str(Path(__file__).parents[1] / "typing" / "acpi_tables.py"))
TABLES = [*USER["TABLES"], USER["RSDP"], USER["FACS"]]
WRONG = [
    *[None, "x", 5, -1, 1 << 70, 1.5, True, int, object()],
    *[[], [5], [None], ["x"], [(1, 2)], [[1]], {}, (1, 2, 3), b"", b"abc", b"x" * 300],
    *[LocalApic(0, 0), Gas(), Madt()],
]


def records_of(value, found):
    """Collect one record of each class that a value holds, itself among them."""
    if isinstance(value, (tuple, list)):
        for part in value:
            records_of(part, found)
        return found
    of_ours = type(value).__module__.startswith("vmmkit.acpi.tables") and attrs.has(type(value))
    if of_ours and type(value) not in found:
        found[type(value)] = value
        for field in attrs.fields(type(value)):
            records_of(getattr(value, field.name), found)
    return found


RECORDS = list(records_of([*TABLES, USER["BLOCKS"]], {}).values())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_of_the_user_read_back(table):
    again = from_bytes(table.to_bytes())
    assert type(again) is type(table)
    assert again.to_bytes() == table.to_bytes()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_wrong_kind_is_a_typed_error(record):
    for field in attrs.fields(type(record)):
        for wrong in WRONG if field.init else ():
            try:
                made = attrs.evolve(record, **{field.alias: wrong})
            except AcpiError:
                continue
            assert isinstance(getattr(made, "to_bytes", bytes)(), bytes)
            assert repr(made)


@pytest.mark.parametrize("wrong", [Gas(), LocalApic(0, 0), GenericErrorStatusBlock()], ids=repr)
@pytest.mark.parametrize("table", [lambda target: Xsdt([target]), Bgrt, lambda t: Bert(0, t)])
def test_only_what_can_be_placed_is_pointed_at(table, wrong):
    with pytest.raises(TableValueError):
        table(wrong)
