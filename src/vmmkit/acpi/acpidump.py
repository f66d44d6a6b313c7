# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The text format of ACPICA's acpidump, in which people send each other the tables of a machine.

Each table is a line with its signature and address, lines of 16 bytes in hexadecimal and as text,
and an empty line::

    SSDT @ 0x000000007FF00270
        0000: 53 53 44 54 24 00 00 00 01 7E 56 4D 4D 4B 49 54  SSDT$....~VMMKIT
        0010: 56 4D 4D 4B 49 54 20 20 01 00 00 00 56 4D 4D 4B  VMMKIT  ....VMMK
        0020: 01 00 00 00                                      ....

acpixtract takes such a text apart into files, and iasl reads those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from vmmkit.acpi.arguments import instance
from vmmkit.acpi.placement import Piece
from vmmkit.acpi.tables.rsdp import RSDP_SIGNATURE
from vmmkit.errors import TableParseError

__all__ = ["hex_lines", "is_table", "parse", "write"]

_RSDP = "RSD PTR"  # as it is written; elsewhere it is called RSDP
_HEAD = re.compile(rf"(\S{{4}}|{_RSDP}) ?@ ?0x([0-9A-Fa-f]{{1,16}})\s*$")
_LINE = re.compile(r"\s*([0-9A-Fa-f]{1,8}):((?: [0-9A-Fa-f]{2}){1,16})(?=\s|$)")
_UNPRINTABLE = re.compile(r"[^ -~]")
_PER_LINE = 16


def is_table(data: bytes) -> bool:
    """Return whether bytes have the form of a table: a signature, and a length that is theirs."""
    if data.startswith(RSDP_SIGNATURE):
        return len(data) in (20, 36)
    signature = data[:4]
    printable = signature.isascii() and signature.decode("latin-1").isprintable()
    return printable and len(data) >= 8 and int.from_bytes(data[4:8], "little") == len(data)


def write(pieces: Iterable[tuple[int, bytes, str]]) -> str:
    """Return the text of tables with their addresses, such as the pieces of a placement.

    What is no table is left out: the format has no place for it.
    """
    return "".join([_table(gpa, data) for gpa, data, _name in pieces if is_table(data)])


def _table(gpa: int, data: bytes) -> str:
    signature = data[: 8 if data.startswith(RSDP_SIGNATURE) else 4].decode("latin-1").rstrip()
    return "\n".join([f"{signature} @ 0x{gpa:016X}", *hex_lines(data), "", ""])


def hex_lines(data: bytes, start: int = 0) -> Iterator[str]:
    """Yield bytes as numbers and text, 16 in a line; the first has the offset `start`."""
    for offset in range(0, len(data), _PER_LINE):
        row = data[offset : offset + _PER_LINE]
        number = f"{start + offset:04X}".rjust(8)
        text = _UNPRINTABLE.sub(".", row.decode("latin-1"))
        yield f"{number}: {row.hex(' ').upper():<{3 * _PER_LINE}} {text}"


def parse(text: str) -> tuple[Piece, ...]:
    """Return the tables in a text, each with its address, and its signature as name.

    `Placement(parse(text), rsdp, ())` is a memory with these tables, whose method `read` is what
    `TableSet.from_memory` wants. Lines that belong to no table are passed over. The bytes are not
    looked at: a table may be anything, of any length.

    Raises:
        TableParseError: a line whose offset is not that of the bytes so far: lines are missing.
    """
    found = []
    instance("the text of acpidump", text, str)
    gpa, name, content = 0, "", None
    for number, line in enumerate(text.splitlines(), 1):
        row = _LINE.match(line) if content is not None else None
        if row is not None and content is not None:
            _check_offset(row[1], content, name, number)
            content += bytes.fromhex(row[2])
            continue
        if content:
            found.append(Piece(gpa, bytes(content), name))
        head = _HEAD.match(line)
        content = None if head is None else bytearray()
        if head is not None:
            name = "RSDP" if head[1] == _RSDP else head[1]
            gpa = int(head[2], 16)
    if content:
        found.append(Piece(gpa, bytes(content), name))
    return tuple(found)


def _check_offset(digits: str, content: bytearray, name: str, number: int) -> None:
    if int(digits, 16) != len(content):
        raise TableParseError(
            f"line {number}: {name} goes on at offset 0x{digits}, after {len(content):#x} bytes",
            name,
            len(content),
        )
