# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`python -m vmmkit.acpi validate`: what is wrong with tables."""

from __future__ import annotations

import argparse

from vmmkit.acpi._output import write_line
from vmmkit.acpi._table_input import tables_of
from vmmkit.acpi.validate.finding import Severity
from vmmkit.acpi.validate.validator import validate


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "validate",
        help="say what is wrong with tables",
        description="Judge the tables of all files together, as those of one machine, and print "
        "what is wrong, with what it does to a guest. The exit status is 1 where something is an "
        "error, or could not be read.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="as those of dump; a machine's tables, all or some"
    )
    parser.add_argument(
        "--smbios",
        action="store_true",
        help="the guest has SMBIOS with a date from 2010 on, which Linux wants for some tables",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings, and return the exit status."""
    tables = []
    status = 0
    for found in tables_of(options.files):
        if found.error is not None:
            write_line(f"{found.origin}: {found.error}")
            status = 1
        if found.data:
            tables.append(found.data)
    for finding in validate(tables, smbios=options.smbios):
        write_line(str(finding))
        if finding.severity == Severity.ERROR:
            status = 1
    return status
