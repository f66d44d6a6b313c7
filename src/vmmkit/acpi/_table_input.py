# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables for the commands: from binary files, texts of acpidump, folders and standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vmmkit.acpi import acpidump
from vmmkit.acpi.tables.reading import split
from vmmkit.errors import AcpiError

STANDARD_INPUT = "-"
_GZIP = b"\x1f\x8b"


class Found(NamedTuple):
    """Bytes that should be a table.

    Attributes:
        origin: file, and address or offset where there is one.
        data: the bytes, of a table or of what is none.
        error: why what is there is no table, or why nothing could be read; `None`: as far as can
            be said without looking inside, it is one.
    """

    origin: str
    data: bytes
    error: str | None = None


def tables_of(names: Iterable[str]) -> Iterator[Found]:
    """Yield what files hold; of a folder, all its tables, and those in its folder `dynamic`.

    Linux has tables that were loaded later in such a folder of /sys/firmware/acpi/tables.
    """
    for name in names:
        files = _files(name)
        if not files:
            yield Found(name, b"", "the folder has no files")
        for path in files:
            try:
                data = sys.stdin.buffer.read() if path is None else path.read_bytes()
            except OSError as error:
                yield Found(str(path), b"", error.strerror or str(error))
                continue
            yield from _split(STANDARD_INPUT if path is None else str(path), data)


def _files(name: str) -> list[Path | None]:
    """Return a file; of a folder those that end in .aml, or where none does, all.

    What `build` writes has the same tables in other files as well, and iasl leaves listings.
    """
    if name == STANDARD_INPUT:
        return [None]
    path = Path(name)
    if not path.is_dir():
        return [path]
    folders = [path, path / "dynamic"]
    files = [
        file
        for folder in folders
        if folder.is_dir()
        for file in sorted(folder.iterdir())
        if not file.is_dir()
    ]
    return [file for file in files if file.suffix == ".aml"] or [*files]


def _split(origin: str, data: bytes) -> Iterator[Found]:
    if not data:
        yield Found(origin, data, "the file is empty")
        return
    if data.startswith(_GZIP):
        yield Found(origin, b"", "the file is compressed with gzip")
        return
    try:
        pieces = acpidump.parse(data.decode("ascii"))
    except UnicodeDecodeError:
        pieces = ()
    except AcpiError as error:
        yield Found(origin, b"", str(error))
        return
    if pieces:
        yield from (Found(f"{origin} at {piece.gpa:#x}", piece.data) for piece in pieces)
        return
    yield from _split_binary(origin, data)


def _split_binary(origin: str, data: bytes) -> Iterator[Found]:
    error = None
    try:
        tables = split(data)
    except AcpiError as problem:
        # What is before the bytes at fault is still good.
        error, offset = str(problem), problem.offset or 0
        tables = split(data[:offset])
        rest = data[offset:]
    alone = len(tables) == 1 and error is None
    for number, table in enumerate(tables, 1):
        yield Found(origin if alone else f"{origin}, table {number}", table)
    if error is not None:
        yield Found(origin if not tables else f"{origin}, the rest", rest, error)
