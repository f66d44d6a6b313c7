# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Resource templates: their items, and whether they are possible.

ACPI Specification, Resource Data Types for ACPI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.objects import Object, text_of
from vmmkit.acpi.validate.subject import Subject

__all__ = ["BUS", "INTERRUPT", "IO", "MEMORY", "Item", "Window", "check", "items", "windows"]

#: Resource types of address space descriptors.
MEMORY: Final = 0
IO: Final = 1
BUS: Final = 2

INTERRUPT: Final = 0x89
_END: Final = 0x78
_IO_PORT: Final = 0x40
_MEMORY32: Final = 0x85
_MEMORY32_FIXED: Final = 0x86
_EXTENDED: Final = 0x8B
_TEMPLATES: Final = frozenset({"_CRS", "_PRS"})

#: Width of the numbers of address space descriptors, and where they begin.
_SPACES: Final = {0x88: (2, 3), 0x87: (4, 3), 0x8A: (8, 3), _EXTENDED: (8, 5)}

#: Bytes of the body of an item, at least, by its tag (without the length of small items).
_LEAST: Final = {
    0x20: 2,
    0x28: 2,
    0x30: 0,
    0x38: 0,
    _IO_PORT: 7,
    0x48: 3,
    0x50: 5,
    0x70: 1,
    _END: 1,
    0x81: 9,
    0x82: 12,
    0x84: 0,
    _MEMORY32: 17,
    _MEMORY32_FIXED: 9,
    0x87: 23,
    0x88: 13,
    INTERRUPT: 2,
    0x8A: 43,
    _EXTENDED: 53,
    0x8C: 20,
    0x8D: 17,
    0x8E: 9,
    0x8F: 15,
    0x90: 9,
    0x91: 15,
    0x92: 9,
    0x93: 8,
}


class Item(NamedTuple):
    """An item: its tag, its offset in the template, bytes before its body, its body."""

    tag: int
    offset: int
    header: int
    body: bytes


class Window(NamedTuple):
    """A range of addresses that an item speaks of.

    Attributes:
        kind: MEMORY, IO or BUS.
        first: least address.
        last: greatest address.
        length: as the item says it.
        producer: a bridge lets it through, rather than using it.
        fixed: both ends are fixed.
        offset: in the template.
    """

    kind: int
    first: int
    last: int
    length: int
    producer: bool
    fixed: bool
    offset: int


def items(content: bytes) -> list[Item]:
    """Return the items of a template, up to the end tag or the first that is impossible."""
    return [found for found in _walk(content) if isinstance(found, Item)]


def windows(content: bytes) -> list[Window]:
    """Return the ranges of memory, ports and buses in a template."""
    found = []
    for item in items(content):
        window = _window(item)
        if window is not None:
            found.append(window)
    return found


def _walk(content: bytes) -> Iterator[Item | int]:
    """Yield items, at last the offset of an impossible one, or of the end without an end tag."""
    offset = 0
    while offset < len(content):
        first = content[offset]
        if first & 0x80:
            tag, header = first, 3
            length = int.from_bytes(content[offset + 1 : offset + 3], "little")
        else:
            tag, header, length = first & 0x78, 1, first & 7
        after = offset + header + length
        if after > len(content) or length < _LEAST.get(tag, 0):
            break
        yield Item(tag, offset, header, content[offset + header : after])
        if tag == _END:
            return
        offset = after
    yield offset


def _window(item: Item) -> Window | None:
    body = item.body
    if item.tag in _SPACES:
        width, start = _SPACES[item.tag]
        low, high, _translation, length = [
            int.from_bytes(body[at : at + width], "little")
            for at in range(start + width, start + 5 * width, width)
        ]
        fixed = body[1] >> 2 & 3 == 3
        return Window(body[0], low, high, length, not body[1] & 1, fixed, item.offset)
    if item.tag == _MEMORY32_FIXED:
        base, length = (int.from_bytes(body[at : at + 4], "little") for at in (1, 5))
        last = base + max(length, 1) - 1
        return Window(MEMORY, base, last, length, producer=False, fixed=True, offset=item.offset)
    if item.tag == _IO_PORT:
        base, length = int.from_bytes(body[1:3], "little"), body[6]
        last = base + max(length, 1) - 1
        return Window(IO, base, last, length, producer=False, fixed=True, offset=item.offset)
    return None


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with the templates that AML holds as constants."""
    for path, found in subject.objects.declared.items():
        if not path or path[-1] not in _TEMPLATES:
            continue
        content = found[0].value
        if isinstance(content, bytes):
            start = found[0].offset + len(found[0].node.encoded) - len(content)
            yield from _template(found[0], text_of(path), content, start)


def _template(declared: Object, path: str, content: bytes, start: int) -> Iterator[Finding]:
    table = declared.table
    offset = 0
    for item in _walk(content):
        if isinstance(item, int):
            yield table.finding(*_unended(path, content, item, start))
            return
        offset = item.offset + item.header + len(item.body)
        yield from _range(declared, path, item, start)
    if content[offset - 1] and sum(content[:offset]) & 0xFF:
        message = f"{path} adds up to {sum(content[:offset]) & 0xFF:#04x}, not 0"
        yield table.finding("CRS-CHECKSUM", start + offset - 1, message)
    if any(content[offset:]):
        message = f"{path} has {len(content) - offset} bytes after the end tag"
        yield table.finding("CRS-TRAILING-BYTES", start + offset, message)


def _unended(path: str, content: bytes, at: int, start: int) -> tuple[str, int, str]:
    """Return the finding for a template that stops before an end tag."""
    if at >= len(content):
        return "CRS-NO-END-TAG", start + at, f"{path} has no end tag"
    message = f"{path} has an item {content[at]:#04x} that is too short or leads beyond its end"
    return "CRS-ITEM-LENGTH", start + at, message


def _range(declared: Object, path: str, item: Item, start: int) -> Iterator[Finding]:
    window = _window(item)
    if window is None or item.tag not in _SPACES:
        return
    if not window.length and (not window.fixed or window.first == window.last):
        return  # not there, or written by a method before it is used
    text = f"{window.first:#x}-{window.last:#x} with length {window.length:#x} in {path}"
    if window.first > window.last:
        yield declared.table.finding("CRS-WINDOW-REVERSED", start + window.offset, text)
        return
    size = window.last - window.first + 1
    if window.length != size if window.fixed else window.length > size:
        message = f"{text}, where it should be {size:#x}"
        yield declared.table.finding("CRS-WINDOW-LENGTH", start + window.offset, message)
