# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The command `python -m vmmkit.acpi`: print tables, build those of a preset, judge them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from vmmkit.acpi import _command_build, _command_dump, _command_validate
from vmmkit.errors import AcpiError

__all__ = ["main"]

_COMMANDS = (_command_dump, _command_build, _command_validate)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m vmmkit.acpi",
        description="Print ACPI tables, make those of a virtual machine, and say what is wrong "
        "with them. The exit status is 0, 1 where something is wrong with tables or files, or 2 "
        "for arguments that are not understood.",
        epilog="COMMAND --help tells more.",
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status: 1 where something was wrong with the tables.

    Args:
        arguments: those of the command line; `None`: the program's own.
    """
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has gone, as `head` does; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (AcpiError, OSError) as error:
        sys.stderr.write(f"vmmkit.acpi: {error}\n")
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
