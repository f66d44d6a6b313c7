# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ASL of terms: the operators in their functional form.

Most operators are written by the row of their opcode. Those that ASL writes differently have an
entry in `_SPECIAL`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from vmmkit.acpi.aml.blocks import ElseIf
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import Address
from vmmkit.acpi.aml.dump_data import (
    DATA,
    address,
    comment,
    eisa_value,
    hexadecimal,
    name,
    unicode_value,
)
from vmmkit.acpi.aml.dump_fields import FIELDS
from vmmkit.acpi.aml.dump_layout import LINE, Piece, block, commas
from vmmkit.acpi.aml.namespace import opcode_name
from vmmkit.acpi.aml.node import Node, Path

__all__ = ["expand"]

_SIZES: Final = {"B": 1, "W": 2, "D": 4, "Q": 8}
# Objects whose value has a macro of its own.
_VALUES: Final = {"_HID": eisa_value, "_CID": eisa_value, "_STR": unicode_value}
_MATCHES: Final = ("MTR", "MEQ", "MLE", "MLT", "MGE", "MGT")
_OBJECTS: Final = (
    "UnknownObj",
    "IntObj",
    "StrObj",
    "BuffObj",
    "PkgObj",
    "FieldUnitObj",
    "DeviceObj",
    "EventObj",
    "MethodObj",
    "MutexObj",
    "OpRegionObj",
    "PowerResObj",
    "ProcessorObj",
    "ThermalZoneObj",
    "BuffFieldObj",
    "DDBHandleObj",
)


def expand(node: Node) -> Sequence[Piece]:
    """Return the pieces of a node."""
    if isinstance(node, Path):
        return [name(node.text)]
    if isinstance(node, Call):
        path, arguments = node.args
        return [path, " (", *commas([each] for each in arguments), ")"]
    if isinstance(node, Address):
        return address(node)
    if isinstance(node, ElseIf):
        return _else_if(node.condition)
    name_of_opcode = opcode_name(node)
    if not name_of_opcode:
        return [comment(f"{len(node.encoded)} bytes not read: {node.encoded.hex(' ')}")]
    make = _SPECIAL.get(name_of_opcode)
    return make(node) if make is not None else _by_row(node)


def _by_row(node: Node) -> Sequence[Piece]:
    """Return keyword, arguments in parentheses, and the list where there is one."""
    opcode = node.OPCODE
    if not opcode.args:
        return [opcode.name]
    listed = opcode.args.endswith("L")
    plain = opcode.args[:-1] if listed else opcode.args
    groups = [_argument(*pair) for pair in zip(plain, node.args, strict=False)]
    while groups and not groups[-1]:
        groups.pop()
    head = [opcode.name, " (", *_separated(groups), ")"] if groups else [opcode.name]
    return head + block(node.args[-1]) if listed else head


def _separated(groups: list[list[Piece]]) -> list[Piece]:
    """Return groups with commas between them, also around those that are empty."""
    pieces: list[Piece] = []
    for index, group in enumerate(groups):
        pieces.extend([", "] if index else [])
        pieces.extend(group)
    return pieces


def _argument(letter: str, value: Any) -> list[Piece]:
    if value is None:
        return []
    size = _SIZES.get(letter)
    return [hexadecimal(value, size)] if size is not None else [value]


def _name(node: Node) -> Sequence[Piece]:
    path, value = node.args
    make = _VALUES.get(path.text)
    return ["Name (", path, ", ", *(make(value) if make is not None else [value]), ")"]


def _method(node: Node) -> Sequence[Piece]:
    path, flags, listed = node.args
    words = f", {flags & 7}, {'Serialized' if flags & 8 else 'NotSerialized'}"
    level = f", {hexadecimal(flags >> 4)}" if flags >> 4 else ""
    return ["Method (", path, f"{words}{level})", *block(listed)]


def _else(node: Node) -> Sequence[Piece]:
    """Return Else, or ElseIf where all that it holds is an If, and maybe what continues that."""
    (listed,) = node.args
    if [opcode_name(each) for each in listed] not in (["If"], ["If", "Else"]):
        return ["Else", *block(listed)]
    rest: list[Piece] = [LINE, listed[1]] if len(listed) == 2 else []
    return [*_else_if(listed[0]), *rest]


def _else_if(condition: Node) -> list[Piece]:
    predicate, listed = condition.args
    return ["ElseIf (", predicate, ")", *block(listed)]


def _external(node: Node) -> Sequence[Piece]:
    path, kind, argument_count = node.args
    return external(path.text, kind, argument_count)


def external(text: str, kind: int, argument_count: int) -> list[Piece]:
    """Return an External, with as many parameters as a method has arguments."""
    word = _OBJECTS[kind] if kind < len(_OBJECTS) else _OBJECTS[0]
    parameters = ", ".join([_OBJECTS[0]] * argument_count if word == "MethodObj" else [])
    more = f", {_OBJECTS[0]}, {{{parameters}}}" if parameters else ""
    return [f"External ({name(text)}, {word}{more})"]


def _match(node: Node) -> Sequence[Piece]:
    package, first, left, second, right, start = node.args
    words = [_match_word(operator) for operator in (first, second)]
    return ["Match (", *commas([[package], [words[0]], [left], [words[1]], [right], [start]]), ")"]


def _match_word(operator: int) -> str:
    return _MATCHES[operator] if operator < len(_MATCHES) else hexadecimal(operator)


_SPECIAL: Final[dict[str, Callable[[Node], Sequence[Piece]]]] = {
    **DATA,
    **FIELDS,
    "Name": _name,
    "Method": _method,
    "Else": _else,
    "External": _external,
    "Match": _match,
}
