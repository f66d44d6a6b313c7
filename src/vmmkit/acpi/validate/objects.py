# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The objects that AML declares, and all its nodes with their offsets.

The reader keeps what it cannot parse as it is, so that the rest can be judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Generic, NamedTuple, TypeVar

from vmmkit.acpi.aml.data import Integer
from vmmkit.acpi.aml.namespace import DECLARED_NAME, FIELDS, SCOPES, absolute, opcode_name
from vmmkit.acpi.aml.node import Node, RawAml
from vmmkit.acpi.aml.reader import read, read_all
from vmmkit.errors import AmlParseError

__all__ = ["Fault", "Mode", "Object", "Objects", "Visit", "hardware_id", "text_of"]

_Table = TypeVar("_Table")
_SIZES: Final = {"B": 1, "W": 2, "D": 4, "Q": 8}
_CONDITIONAL: Final = frozenset({"If", "Else", "While"})
_NO_OBJECT: Final = frozenset({"External"})


class Mode:
    """When the list is run that a node stands in."""

    LOAD: Final = 0  #: as the table is loaded
    MAYBE: Final = 1  #: then, under a condition
    CALL: Final = 2  #: when a method is called


class Visit(NamedTuple):
    """A node at its place.

    Attributes:
        offset: bytes from the start of the table.
        node: which is there.
        scope: segments of the scope that it stands in.
        mode: of `Mode`.
        listed: it is a term of a list, not an argument.
    """

    offset: int
    node: Any
    scope: tuple[str, ...]
    mode: int
    listed: bool


class Object(NamedTuple):
    """A declared object.

    Attributes:
        table: which declares it.
        offset: bytes from the start of the table.
        kind: name of the opcode; `FieldUnit` for those of a field list.
        node: which declares it.
        conditional: only under a condition.
    """

    table: Any
    offset: int
    kind: str
    node: Any
    conditional: bool

    @property
    def constant(self) -> Any:
        """The node of its value: that of a `Name`, or of a method that returns it and no more."""
        if self.kind == "Name":
            return self.node.args[1]
        if self.kind == "Method":
            statements = self.node.args[2]
            if len(statements) == 1 and opcode_name(statements[0]) == "Return":
                return statements[0].args[0]
        return None

    @property
    def value(self) -> Any:
        """An int, str, bytes or list; `None` where it has to be evaluated."""
        constant = self.constant
        return None if constant is None else value_of(constant)

    @property
    def value_offset(self) -> int:
        """Offset of the constant, with which the object ends."""
        return self.offset + len(self.node.encoded) - len(self.constant.encoded)


class Fault(NamedTuple):
    """AML that could not be read: the table, where it fails, and why."""

    table: Any
    offset: int
    message: str


class Objects(Generic[_Table]):
    """What definition blocks declare.

    Args:
        blocks: each table with its AML, the DSDT first.
        header: bytes before the AML.

    Attributes:
        declared: all declarations by path, in order.
        faults: what could not be read; where there are any, more may be declared than is known.
    """

    def __init__(self, blocks: list[tuple[_Table, bytes]], header: int) -> None:
        """Read the blocks and collect declarations."""
        self._header = header
        self._blocks = blocks
        self._lists = read_all([content for _table, content in blocks], lenient=True)
        self.declared: dict[tuple[str, ...], list[Object]] = {}
        self.members: dict[tuple[str, ...], dict[str, Object]] = {}
        self.faults: list[Fault] = []
        for number in range(len(blocks)):
            self._collect(number)

    @property
    def whole(self) -> bool:
        """Whether all could be read."""
        return not self.faults

    def visits(self) -> Iterator[tuple[_Table, Visit]]:
        """Yield all nodes with their table, those above before those below."""
        for (table, _content), nodes in zip(self._blocks, self._lists, strict=True):
            for visit in _visits(nodes, self._header):
                yield table, visit

    def devices(self) -> Iterator[tuple[tuple[str, ...], Object]]:
        """Yield devices and their paths."""
        for path, found in self.declared.items():
            if found[0].kind == "Device":
                yield path, found[0]

    def of(self, path: tuple[str, ...], name: str) -> Object | None:
        """Return an object directly below a path."""
        return self.members.get(path, {}).get(name)

    def ids(self, path: tuple[str, ...]) -> set[str]:
        """Return `_HID` and `_CID` of a device, as far as they are constants."""
        found: set[str] = set()
        for name in ("_HID", "_CID"):
            member = self.of(path, name)
            value = member.value if member is not None else None
            values = value if isinstance(value, list) else [value]
            found.update(each for each in map(hardware_id, values) if each is not None)
        return found

    def _collect(self, number: int) -> None:
        table, content = self._blocks[number]
        raw = None
        for visit in _visits(self._lists[number], self._header):
            if type(visit.node) is RawAml:
                raw = visit.offset if raw is None else raw
            elif visit.mode != Mode.CALL:
                self._declare(table, visit)
        if raw is not None:
            self.faults.append(self._fault(table, content, number, raw))

    def _fault(self, table: _Table, content: bytes, number: int, raw: int) -> Fault:
        """Return where exactly a block fails, which only a strict reading says."""
        first = not self.faults and number == 0
        try:
            if first:
                read_all([each for _table, each in self._blocks])
            else:
                read(content)
        except AmlParseError as error:
            return Fault(table, self._header + (error.offset or 0), str(error))
        return Fault(table, raw, "AML that cannot be read")

    def _declare(self, table: _Table, visit: Visit) -> None:
        node, kind = visit.node, opcode_name(visit.node)
        conditional = visit.mode == Mode.MAYBE
        if kind in DECLARED_NAME and kind not in _NO_OBJECT:
            name = node.args[DECLARED_NAME[kind]].text
            found = Object(table, visit.offset, kind, node, conditional)
            self._enter(absolute(visit.scope, name), found)
        elif kind in FIELDS:
            offset = visit.offset + len(node.encoded) - _length("F", node.args[-1])
            for unit in node.args[-1]:
                if unit.args and isinstance(unit.args[0], str):
                    found = Object(table, offset, "FieldUnit", unit, conditional)
                    self._enter(absolute(visit.scope, unit.args[0]), found)
                offset += len(unit.encoded)

    def _enter(self, path: tuple[str, ...], found: Object) -> None:
        self.declared.setdefault(path, []).append(found)
        if path:
            self.members.setdefault(path[:-1], {}).setdefault(path[-1], found)


def _visits(nodes: tuple[Node, ...], start: int) -> Iterator[Visit]:
    """Yield nodes of a block, those above before those below, in order."""
    waiting = list(_placed(start, nodes, (), Mode.LOAD, listed=True))[::-1]
    while waiting:
        visit = waiting.pop()
        yield visit
        waiting.extend(list(_below(visit))[::-1])


def _placed(
    offset: int, nodes: tuple[Any, ...], scope: tuple[str, ...], mode: int, *, listed: bool
) -> Iterator[Visit]:
    for node in nodes:
        yield Visit(offset, node, scope, mode, listed)
        offset += len(node.encoded)


def _below(visit: Visit) -> Iterator[Visit]:
    """Yield the nodes directly below one."""
    node = visit.node
    opcode = getattr(node, "OPCODE", None)
    if opcode is None:
        if node.args and isinstance(node.args[-1], tuple):  # a call
            start = visit.offset + len(node.encoded) - _length("L", node.args[-1])
            yield from _placed(start, node.args[-1], visit.scope, visit.mode, listed=False)
        return
    lengths = [_length(letter, arg) for letter, arg in zip(opcode.args, node.args, strict=False)]
    offset = visit.offset + len(node.encoded) - sum(lengths)
    inner, mode = _inside(visit, opcode.name)
    for letter, arg, length in zip(opcode.args, node.args, lengths, strict=False):
        if letter in "LE":
            listed = letter == "L"
            yield from _placed(offset, arg, inner, mode, listed=listed)
        elif isinstance(arg, Node) and letter != "N":
            yield Visit(offset, arg, visit.scope, visit.mode, listed=False)
        offset += length


def _inside(visit: Visit, name: str) -> tuple[tuple[str, ...], int]:
    """Return scope and mode of the list at the end of a node."""
    scope, mode = visit.scope, visit.mode
    if name in SCOPES:
        scope = absolute(scope, visit.node.args[0].text)
    if name == "Method":
        mode = Mode.CALL
    elif name in _CONDITIONAL:
        mode = max(mode, Mode.MAYBE)
    return scope, mode


def _length(letter: str, arg: Any) -> int:
    """Return how many bytes an argument has."""
    if letter in _SIZES:
        return _SIZES[letter]
    if isinstance(arg, tuple):
        return sum([len(each.encoded) for each in arg])
    if isinstance(arg, (str, bytes)):
        return len(arg) + (letter == "Z")
    return 1 if arg is None else len(arg.encoded)


def value_of(node: Any) -> Any:
    """Return the Python value of a constant: int, str, bytes, list; `None` for all else.

    Packages within a package are left out, however deep they are.
    """
    kind = opcode_name(node)
    if isinstance(node, Integer):
        return node.value
    if kind == "String":
        return node.args[0]
    if kind == "Buffer":
        return node.args[1]
    if kind == "Package":
        return [value_of(each) for each in node.args[1] if opcode_name(each) != "Package"]
    return None


def hardware_id(value: Any) -> str | None:
    """Return a hardware id as text: `PNP0A08` for its compressed number as well."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int):
        return None
    swapped = int.from_bytes((value & 0xFFFF_FFFF).to_bytes(4, "little"), "big")
    letters = "".join([chr(0x40 + (swapped >> shift & 0x1F)) for shift in (26, 21, 16)])
    return f"{letters}{swapped & 0xFFFF:04X}"


def text_of(path: tuple[str, ...]) -> str:
    """Return a path as it is written."""
    return "\\" + ".".join(path)
