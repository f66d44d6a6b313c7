# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`python -m vmmkit.acpi dump`: tables, readable."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from vmmkit.acpi._output import write_line
from vmmkit.acpi._table_input import Found, tables_of
from vmmkit.acpi._table_text import heading, table_lines
from vmmkit.acpi.acpidump import hex_lines
from vmmkit.acpi.tables.reading import CLASSES, AnyTable, from_bytes
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import AcpiError

_ERROR = "error: "


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "dump",
        help="print tables and their AML",
        description="Print every field of tables by name, and AML as ASL-like text. What is wrong "
        "is said where it is found; the exit status is then 1.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="binary tables, one or several in a file; text of acpidump; a folder of such, "
        "as /sys/firmware/acpi/tables (of a folder with files *.aml, only these); - for standard "
        "input",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print them, and return the exit status."""
    status = 0
    for found in tables_of(options.files):
        write_line(f"{found.origin}: {heading(found.data)}" if found.data else f"{found.origin}:")
        for line in _lines(found):
            if line.startswith(_ERROR):
                status = 1
            write_line(f"    {line}".rstrip())
        write_line("")
    return status


def _lines(found: Found) -> Iterator[str]:
    error, table = found.error, None
    if error is None:
        table, error = _read(found.data)
    if error is not None:
        yield f"{_ERROR}{error}"
    yield from hex_lines(found.data) if table is None else table_lines(table)


def _read(data: bytes) -> tuple[AnyTable | None, str | None]:
    """Return the table, if there is one, and what is wrong, if anything is."""
    try:
        table = from_bytes(data)
    except AcpiError as error:
        problem = str(error)
    else:
        return table, _contradiction(table, data)
    try:
        return from_bytes(data, verify=False), problem
    except AcpiError:
        return None, problem


def _contradiction(table: AnyTable, data: bytes) -> str | None:
    """Return why a table could be read as bytes only, though there is a class for it."""
    kind = CLASSES.get(table.signature)
    if kind is None or not isinstance(table, Raw):
        return None
    try:
        kind.from_bytes(data)
    except AcpiError as error:
        return str(error)
    return None
