# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ASL of data: names, numbers, strings, buffers, resource templates, packages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from vmmkit.acpi.aml.data import Buffer, EisaId, Unicode
from vmmkit.acpi.aml.dump_layout import IN, LINE, OUT, Piece, commas, lines
from vmmkit.acpi.aml.namespace import opcode_name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.aml.resources import (
    Descriptor,
    EndDependentFn,
    StartDependentFn,
    StartDependentFnNoPri,
    parse_resources,
)
from vmmkit.errors import AmlParseError, AmlValueError

__all__ = [
    "DATA",
    "address",
    "comment",
    "descriptor_text",
    "eisa_value",
    "hexadecimal",
    "name",
    "string",
]

# ASL keywords that are no longer than a segment without its fill. (Those of four letters are not
# to be told from names by any means.)
_KEYWORDS: Final = frozenset(
    {
        *("ADD", "AND", "DMA", "FOR", "IF", "IO", "IRQ", "LOR", "MID", "MOD", "NOR", "NOT"),
        *("MEQ", "MGE", "MGT", "MLE", "MLT", "MTR", "ONE", "OR", "PCC", "XOR"),
    }
)

_ESCAPES: Final = str.maketrans(
    {
        '"': '\\"',
        "\\": "\\\\",
        "\n": "\\n",
        **{code: f"\\x{code:02X}" for code in (*range(1, 0x20), *range(0x7F, 0x100)) if code != 10},
    }
)

_BYTES_A_LINE: Final = 16
_MAX_INLINE: Final = 8
_DESCRIPTOR_END: Final = b"\x79\x00"


def name(text: str) -> str:
    """Return a name; filled up where it would be a keyword otherwise."""
    if text in _KEYWORDS or text == "_":
        return text.ljust(4, "_")
    return text or "Zero"


def string(text: str) -> str:
    """Return a string in quotation marks."""
    return f'"{text.translate(_ESCAPES)}"'


def comment(text: str) -> str:
    """Return a comment."""
    return f"/* {text.replace('*/', '* /')} */"


def hexadecimal(value: int, size: int = 1) -> str:
    """Return a number with all digits of its size in bytes."""
    return f"{value:#0{2 * size + 2}X}".replace("X", "x")


def _number(size: int) -> Callable[[Node], Sequence[Piece]]:
    return lambda node: [hexadecimal(node.args[0], size)]


def eisa_value(node: Node) -> Sequence[Piece]:
    """Return the value of `_HID` or `_CID`, numbers as the EISA ids that they are."""
    if opcode_name(node) == "Package":
        count, elements = node.args
        return _package(hexadecimal(count), [_eisa_id(each) for each in elements])
    return _eisa_id(node)


def _eisa_id(node: Node) -> Sequence[Piece]:
    text = _eisa_text(node.args[0]) if opcode_name(node) == "DWordConst" else None
    return [node] if text is None else [f"EisaId ({string(text)})"]


def _eisa_text(value: int) -> str | None:
    packed = int.from_bytes(value.to_bytes(4, "little"), "big")
    letters = "".join([chr(0x40 + (packed >> shift & 0x1F)) for shift in (26, 21, 16)])
    text = f"{letters}{packed & 0xFFFF:04X}"
    try:
        return text if EisaId(text).args[0] == value else None
    except AmlValueError:
        return None


def unicode_value(node: Node) -> Sequence[Piece]:
    """Return the value of `_STR`, a buffer as the text that it holds."""
    if opcode_name(node) != "Buffer":
        return [node]
    text = node.args[1].decode("utf-16-le", "replace")[:-1]
    if not text.isascii() or "\0" in text or node.encoded != Unicode(text).encoded:
        return [node]
    return [f"Unicode ({string(text)})"]


def _is_small(element: Sequence[Piece]) -> bool:
    """Say whether an element of a package is a name or a number."""
    return len(element) == 1 and not (
        isinstance(element[0], Node)
        and opcode_name(element[0]) in {"Buffer", "Package", "VarPackage"}
    )


def _package(count: Piece, elements: list[Sequence[Piece]]) -> list[Piece]:
    head: list[Piece] = ["Package (", count, ")"]
    if len(elements) <= _MAX_INLINE and all(map(_is_small, elements)):
        return [*head, " {", *commas(elements), "}"]
    return head + lines(elements, ",")


def _fixed_package(node: Node) -> Sequence[Piece]:
    return _package(hexadecimal(node.args[0]), [[each] for each in node.args[1]])


def _var_package(node: Node) -> Sequence[Piece]:
    return _package(node.args[0], [[each] for each in node.args[1]])


def _buffer(node: Node) -> Sequence[Piece]:
    size, content = node.args
    if node.encoded == Buffer(content).encoded:
        special = _template(content) or _uuid(content)
        if special:
            return special
    head: list[Piece] = ["Buffer (", size, ")"]
    rows = [
        ", ".join([f"0x{byte:02X}" for byte in content[at : at + _BYTES_A_LINE]])
        for at in range(0, len(content), _BYTES_A_LINE)
    ]
    if len(rows) <= 1:
        return [*head, " {", *rows, "}"]
    return head + lines([[row] for row in rows], ",")


def _uuid(content: bytes) -> list[Piece]:
    """Return ToUUID for bytes that look like one: RFC 4122's variant, and a version it defines."""
    if len(content) != 16 or content[8] >> 6 != 2 or not 1 <= content[7] >> 4 <= 5:
        return []
    return [f'ToUUID ("{uuid.UUID(bytes_le=content)}")']


def _template(content: bytes) -> list[Piece]:
    """Return ResourceTemplate for a list of items that all have a macro."""
    if len(content) <= len(_DESCRIPTOR_END) or not content.endswith(_DESCRIPTOR_END):
        return []
    try:
        items = parse_resources(content)
    except AmlParseError:
        return []
    if not all(item.has_asl for item in items):
        return []
    return ["ResourceTemplate ()", LINE, "{", IN, *_items(items), OUT, LINE, "}"]


def _items(items: Iterable[Descriptor]) -> Iterator[Piece]:
    """Yield macros, those of an alternative in its braces."""
    alternative = False
    for item in items:
        starts = isinstance(item, (StartDependentFn, StartDependentFnNoPri))
        if alternative and (starts or isinstance(item, EndDependentFn)):
            yield from (OUT, LINE, "}")
        yield from (LINE, item.asl())
        if starts:
            yield from (LINE, "{", IN)
        alternative = starts or (alternative and not isinstance(item, EndDependentFn))
    if alternative:
        yield from (OUT, LINE, "}")


def descriptor_text(content: bytes) -> str | None:
    """Return the macro of a single resource item without an end tag, if it has one."""
    try:
        items = parse_resources(content + _DESCRIPTOR_END)
    except AmlParseError:
        return None
    if len(items) != 1 or not items[0].has_asl:
        return None
    return items[0].asl()


def address(node: Node) -> Sequence[Piece]:
    """Return the pieces of an `Address`."""
    target, size, addend = node.args
    place = f"address of {target.name}" + (f" + {addend:#x}" if addend else "")
    return [f"{hexadecimal(0, size)} {comment(place)}"]


#: What makes the pieces of a node of data, by the name of its opcode.
DATA: Final[dict[str, Callable[[Node], Sequence[Piece]]]] = {
    "ByteConst": _number(1),
    "WordConst": _number(2),
    "DWordConst": _number(4),
    "QWordConst": _number(8),
    "String": lambda node: [string(node.args[0])],
    "Buffer": _buffer,
    "Package": _fixed_package,
    "VarPackage": _var_package,
}
