# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ASL of operation regions and field lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from vmmkit.acpi.aml.dump_data import comment, descriptor_text, hexadecimal, name
from vmmkit.acpi.aml.dump_layout import Piece, commas, lines
from vmmkit.acpi.aml.field_units import AccessAs, Connection, NamedField, Reserved
from vmmkit.acpi.aml.node import Node, Path

__all__ = ["FIELDS"]

_SPACES: Final = (
    "SystemMemory",
    "SystemIO",
    "PCI_Config",
    "EmbeddedControl",
    "SMBus",
    "SystemCMOS",
    "PciBarTarget",
    "IPMI",
    "GeneralPurposeIo",
    "GenericSerialBus",
    "PCC",
    "PlatformRtMechanism",
)
_FIXED_HARDWARE: Final = 0x7F  # beyond the others
_ACCESSES: Final = ("AnyAcc", "ByteAcc", "WordAcc", "DWordAcc", "QWordAcc", "BufferAcc")
_UPDATES: Final = ("Preserve", "WriteAsOnes", "WriteAsZeros")
_ATTRIBUTES: Final = {
    0x02: "AttribQuick",
    0x04: "AttribSendReceive",
    0x06: "AttribByte",
    0x08: "AttribWord",
    0x0A: "AttribBlock",
    0x0B: "AttribBytes",
    0x0C: "AttribProcessCall",
    0x0D: "AttribBlockProcessCall",
    0x0E: "AttribRawBytes",
    0x0F: "AttribRawProcessBytes",
}


def _word(words: Sequence[str], value: int) -> str:
    """Return the keyword of a value; the first, and the value as a comment, where it has none."""
    if value < len(words):
        return words[value]
    return f"{words[0]} {comment(hexadecimal(value))}"


def _region(node: Node) -> Sequence[Piece]:
    path, space, offset, length = node.args
    word = _SPACES[space] if space < len(_SPACES) else hexadecimal(space)
    if space == _FIXED_HARDWARE:
        word = "FFixedHW"
    return ["OperationRegion (", *commas([[path], [word], [offset], [length]]), ")"]


def _field(node: Node) -> Sequence[Piece]:
    *before, flags, units = node.args
    words = [
        _word(_ACCESSES, flags & 0xF),
        "Lock" if flags & 0x10 else "NoLock",
        _word(_UPDATES, flags >> 5 & 3),
    ]
    head: list[Piece] = [node.OPCODE.name, " (", *commas([each] for each in (*before, *words)), ")"]
    return head + lines(_units(units), ",")


def _units(units: Sequence[Node]) -> list[Sequence[Piece]]:
    """Return what each unit of a field list is in ASL."""
    done: list[Sequence[Piece]] = []
    position = 0
    for unit in units:
        position += getattr(unit, "bits", 0)
        make = _UNITS.get(type(unit))
        done.append(make(unit, position) if make is not None else [unit])
    return done


def _named(unit: Node, _position: int) -> Sequence[Piece]:
    text, bits = unit.args
    return [f"{name(text)}, {bits}"]


def _reserved(unit: Node, position: int) -> Sequence[Piece]:
    """Return bits without a name: where they end, if that is at a byte."""
    (bits,) = unit.args
    return [f", {bits}" if position % 8 or not bits else f"Offset ({hexadecimal(position // 8)})"]


def _access(unit: Node, _position: int) -> Sequence[Piece]:
    access, attribute, length = unit.args
    word = _ATTRIBUTES.get(attribute, hexadecimal(attribute))
    more = "" if length is None else f" ({hexadecimal(length)})"
    return [f"AccessAs ({_word(_ACCESSES, access & 0xF)}, {word}{more})"]


def _connection(unit: Node, _position: int) -> Sequence[Piece]:
    (source,) = unit.args
    if isinstance(source, Path):
        return ["Connection (", source, ")"]
    text = descriptor_text(source.args[1])
    return ["Connection (", source if text is None else text, ")"]


_UNITS: Final[dict[type[Node], Callable[[Any, int], Sequence[Piece]]]] = {
    NamedField: _named,
    Reserved: _reserved,
    AccessAs: _access,
    Connection: _connection,
}

#: What makes the pieces of a node, by the name of its opcode.
FIELDS: Final[dict[str, Callable[[Node], Sequence[Piece]]]] = {
    "OperationRegion": _region,
    "Field": _field,
    "IndexField": _field,
    "BankField": _field,
}
