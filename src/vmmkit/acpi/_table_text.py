# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables as text for people: every field by its name, with offset, size and value."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import Any

import attrs

from vmmkit.acpi.acpidump import hex_lines
from vmmkit.acpi.aml.dump import SIGNATURES, dump
from vmmkit.acpi.structure import KEY, Structure
from vmmkit.acpi.tables.entry import RawEntry
from vmmkit.acpi.tables.reading import AnyTable
from vmmkit.acpi.tables.table import CHECKSUM_OFFSET, HEADER_SIZE, Table

_INDENT = "    "
_SHORT = 16  # bytes that are shown in a line of their field
_PER_ROW = 16  # numbers
_NAME_WIDTH = 30


def table_lines(table: AnyTable) -> Iterator[str]:
    """Yield the lines of a table without its heading; AML as ASL."""
    if isinstance(table, Table) and table.signature in SIGNATURES:
        yield from dump(table).splitlines()
    else:
        yield from _record(table, 0, "")


def heading(data: bytes) -> str:
    """Return what the header of a table says, or what can be seen of one."""
    if data.startswith(b"RSD PTR "):
        return f"RSDP: {len(data)} bytes"
    name = data[:4].decode("latin-1")
    if not (name.isascii() and name.isprintable()):
        return f"{len(data)} bytes"
    if len(data) < HEADER_SIZE or name == "FACS":
        return f"{name}: {len(data)} bytes"
    oem_id, oem_table_id, creator = (
        data[start:last].decode("latin-1").rstrip(" \0")
        for start, last in ((10, 16), (16, 24), (28, 32))
    )
    oem_revision, creator_revision = (
        int.from_bytes(data[start : start + 4], "little") for start in (24, 32)
    )
    return (
        f"{name}: {len(data)} bytes, revision {data[8]}, checksum {data[CHECKSUM_OFFSET]:#04x}, "
        f"OEM {oem_id!r} {oem_table_id!r} {oem_revision:#x}, "
        f"creator {creator!r} {creator_revision:#x}"
    )


def _place(offset: int, size: int) -> str:
    return f"[{offset:04X} {size:4}]"


def _record(record: Any, base: int, indent: str) -> Iterator[str]:
    """Yield the fields of a structure that begins `base` bytes into its table."""
    content: bytes = record.to_bytes()
    fields = record.layout().fields if isinstance(record, Structure) else ()
    header = HEADER_SIZE if isinstance(record, Table) else 0
    for field in fields:
        if header <= field.offset and field.offset + field.size <= len(content):
            place = _place(base + field.offset, field.size)
            value = getattr(record, field.name)
            yield from _field(place, field.name, value, base + field.offset, indent)
    position = max((field.offset + field.size for field in fields), default=0)
    for attribute in sorted(attrs.fields(type(record)), key=lambda one: one.name == "trailing"):
        name = attribute.name
        if not name.startswith("_") and KEY not in attribute.metadata:
            yield from _tail(
                name, getattr(record, name), content[position:], base + position, indent
            )


def _field(place: str, name: str, value: Any, offset: int, indent: str) -> Iterator[str]:
    if isinstance(value, Structure):
        yield f"{indent}{place} {name}"
        yield from _record(value, offset, indent + _INDENT)
    else:
        yield f"{indent}{place} {name:<{_NAME_WIDTH}} {_shown(value)}".rstrip()


def _tail(name: str, value: Any, content: bytes, base: int, indent: str) -> Iterator[str]:
    """Yield what follows the fixed fields: sub-structures, numbers, texts."""
    if value is None or value in (b"", ()):
        return
    if isinstance(value, tuple) and all(map(_is_member, value)):
        yield from _members(value, content, base, indent)
    elif isinstance(value, bytes) and len(value) > _SHORT:
        yield f"{indent}{name}: {len(value)} bytes"
        start = max(content.rfind(value), 0)
        yield from (indent + line for line in hex_lines(value, base + start))
    else:
        yield from _rows(name, value, indent)


def _is_member(value: Any) -> bool:
    return hasattr(value, "to_bytes") and not isinstance(value, int)


def _members(members: tuple[Any, ...], content: bytes, base: int, indent: str) -> Iterator[str]:
    position = 0
    for member in members:
        data = member.to_bytes()
        position = max(content.find(data, position), position)
        place = _place(base + position, len(data))
        if isinstance(member, RawEntry):
            yield f"{indent}{place} of unknown type {member.type:#x}"
            yield from (indent + line for line in hex_lines(data, base + position))
        else:
            yield f"{indent}{place} {type(member).__name__}"
            yield from _record(member, base + position, indent + _INDENT)
        position += len(data)


def _rows(name: str, value: Any, indent: str) -> Iterator[str]:
    if not isinstance(value, tuple):
        yield f"{indent}{'':11} {name:<{_NAME_WIDTH}} {_shown(value)}"
        return
    yield f"{indent}{'':11} {name}"
    if any(isinstance(one, (tuple, bytes)) for one in value):
        rows = [" ".join(_shown(cell) for cell in row) for row in value]
    else:
        cells = [_shown(one) for one in value]
        rows = [" ".join(cells[at : at + _PER_ROW]) for at in range(0, len(cells), _PER_ROW)]
    yield from (f"{indent}{'':11}   {row}" for row in rows)


def _shown(value: Any) -> str:
    """Return a value of a field as text."""
    if isinstance(value, (IntFlag, IntEnum)):
        return f"{int(value):#x} {value.name or 'none'}"
    if isinstance(value, int):
        return f"{value:#x}"
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, Structure):
        fields = value.layout().fields
        return ", ".join(f"{one.name} {_shown(getattr(value, one.name))}" for one in fields)
    return repr(value) if isinstance(value, str) else str(value)
