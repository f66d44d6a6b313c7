# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""The namespace: which object a name means, and what a list of nodes declares.

A name of a single segment is looked for in the scope it stands in, then in those around it. A name
of several segments, or with a prefix, means the one place that it says. ACPI Specification,
"ACPI Namespace".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, TypeAlias

from vmmkit.acpi.aml.names import MAX_SEGMENTS
from vmmkit.acpi.aml.node import Node, Path

__all__ = [
    "DECLARED_NAME",
    "FIELDS",
    "PREDEFINED",
    "SCOPES",
    "Namespace",
    "absolute",
    "opcode_name",
    "split_name",
    "walk",
]

#: Which argument is the name that an opcode declares.
DECLARED_NAME: Final = {
    "Alias": 1,
    "Name": 0,
    "Method": 0,
    "External": 0,
    "Mutex": 0,
    "Event": 0,
    "OperationRegion": 0,
    "Device": 0,
    "Processor": 0,
    "PowerResource": 0,
    "ThermalZone": 0,
    "DataTableRegion": 0,
    "CreateField": 3,
    "CreateDWordField": 2,
    "CreateWordField": 2,
    "CreateByteField": 2,
    "CreateBitField": 2,
    "CreateQWordField": 2,
}

#: Opcodes whose list stands in the scope that their first argument names.
SCOPES: Final = frozenset(
    {"Scope", "Device", "Method", "Processor", "PowerResource", "ThermalZone"}
)

# Opcodes with a list of terms that are there without a method being run, and those that declare
# no object.
_OPEN: Final = SCOPES - {"Method"} | {"If", "Else", "While"}
_NO_OBJECTS: Final = frozenset({"Scope", "External"})

#: Opcodes with a list of field units.
FIELDS: Final = frozenset({"Field", "IndexField", "BankField"})

#: Objects that are there before any table, by path; the arguments where it is a method. ACPI
#: Specification, "Predefined Root Namespaces" and "Predefined Object Names".
PREDEFINED: Final[dict[str, int | None]] = {
    **dict.fromkeys(("_SB", "_GPE", "_PR", "_TZ", "_SI", "_GL", "_OS", "_REV")),
    "_OSI": 1,
}

_METHOD_OBJECT: Final = 8  # ObjectType of External
_MAX_ARGUMENTS: Final = 7
_MAX_ALIASES: Final = 8  # from one to the next; a ring of them leads nowhere


@lru_cache(maxsize=4096)
def split_name(text: str) -> tuple[str, tuple[str, ...]]:
    r"""Return prefix (`\`, `^` once or more, or nothing) and segments, without their fill."""
    rest = text.lstrip("\\^")
    segments = tuple(part.rstrip("_") or "_" for part in rest.split(".")) if rest else ()
    return text[: len(text) - len(rest)], segments


def absolute(scope: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return the segments from the root of a name that is declared in a scope."""
    prefix, segments = split_name(text)
    if prefix == "\\":
        return segments
    return scope[: max(0, len(scope) - len(prefix))] + segments


class Namespace:
    """An object of the namespace, and those below it.

    Attributes:
        parent: the object around it; `None` for the root.
        segment: its name in there.
        depth: segments of its path.
        children: the objects below it, by segment.
        declared: an object is declared here. False where only its name was seen in a path.
        external: it is declared by `External`, for another table has it.
        argument_count: of a method; `None` for all else.
        alias: the name, in the scope of its parent, of the object that it is another name of.
        methods: the last segments of all paths to methods, shared by the whole namespace.
    """

    __slots__ = (
        "alias",
        "children",
        "methods",
        "argument_count",
        "declared",
        "depth",
        "external",
        "parent",
        "segment",
    )

    def __init__(self, parent: Namespace | None = None, segment: str = "") -> None:
        """Make the root, with what is predefined, or an object that is not declared yet."""
        self.parent = parent
        self.segment = segment
        self.declared = False
        self.external = False
        self.argument_count: int | None = None
        self.alias: str | None = None
        self.children: dict[str, Namespace] = {}
        if parent is not None:
            self.depth: int = parent.depth + 1
            self.methods: set[str] = parent.methods
            return
        self.depth = 0
        self.methods = set()
        for name, argument_count in PREDEFINED.items():
            self.declare(name, argument_count)

    def reach(self, text: str) -> Namespace | None:
        """Return the object that a name in this scope means where it is declared or opened.

        It is made where there is none. `None` for one that lies deeper than a name can be long.
        """
        prefix, segments = split_name(text)
        here = self._from(prefix)
        if here.depth + len(segments) > MAX_SEGMENTS:
            return None
        for segment in segments:
            below = here.children.get(segment)
            if below is None:
                below = here.children[segment] = Namespace(here, segment)
            here = below
        return here

    def path(self) -> tuple[str, ...]:
        """Return the segments that lead here from the root."""
        here, segments = self, []
        while here.parent is not None:
            segments.append(here.segment)
            here = here.parent
        return tuple(reversed(segments))

    def elsewhere(self, text: str) -> str:
        """Return the path that an object most likely has which a name in this scope does not find.

        That of a single segment may lie in any scope around this; the root is taken.
        """
        prefix, segments = split_name(text)
        if prefix or len(segments) != 1:
            segments = self._from(prefix).path() + segments
        return _text(segments)

    def declare(
        self,
        text: str,
        argument_count: int | None = None,
        *,
        external: bool = False,
        alias: str | None = None,
    ) -> None:
        """Declare an object. The first declaration counts, but any counts more than `External`.

        What lies deeper than a name can be long is not declared, since no name means it.

        Args:
            text: its name, as it is written in this scope.
            argument_count: of a method.
            external: another table declares it.
            alias: the other name of the same object.
        """
        found = self.reach(text)
        if found is None:
            return
        if not found.declared or (found.external and not external):
            found.declared, found.external = True, external
            found.argument_count, found.alias = argument_count, alias
            if argument_count is not None or alias is not None:
                self.methods.update(split_name(text)[1][-1:])

    def find(self, text: str) -> Namespace | None:
        """Return the object that a name used in this scope means, `None` where there is none."""
        prefix, segments = split_name(text)
        here: Namespace | None
        if prefix or len(segments) != 1:
            here = self._from(prefix)
            for segment in segments:
                here = here.children.get(segment) if here is not None else None
            return here
        here = self
        while here is not None:
            found = here.children.get(segments[0])
            if found is not None:
                return found
            here = here.parent
        return None

    def method_arguments(self, text: str) -> int | None:
        """Return how many arguments the method takes that a name means; `None` if it is none."""
        segments = split_name(text)[1]
        if not segments or segments[-1] not in self.methods:
            return None
        scope: Namespace | None = self
        for _ in range(_MAX_ALIASES):
            found = scope.find(text) if scope is not None else None
            if found is None or found.alias is None:
                return None if found is None else found.argument_count
            scope, text = found.parent, found.alias
        return None

    def _from(self, prefix: str) -> Namespace:
        """Return the object that a prefix leads to; no parent is above the root."""
        here = self
        for _ in range(self.depth if prefix == "\\" else min(len(prefix), self.depth)):
            assert here.parent is not None
            here = here.parent
        return here

    def declare_node(self, name: str, args: tuple[object, ...]) -> None:
        """Declare what an opcode declares, `name` with these arguments, in this scope."""
        if name in FIELDS:
            units = args[-1]
            assert isinstance(units, tuple)
            for unit in units:
                if isinstance(unit.args[0], str):
                    self.declare(unit.args[0])
        elif name in DECLARED_NAME:
            declared = args[DECLARED_NAME[name]]
            assert isinstance(declared, Path)
            self._declare_as(name, declared.text, args)

    def _declare_as(self, name: str, text: str, args: tuple[object, ...]) -> None:
        if name == "Method":
            assert isinstance(args[1], int)
            self.declare(text, args[1] & _MAX_ARGUMENTS)
        elif name == "Alias":
            assert isinstance(args[0], Path)
            self.declare(text, alias=args[0].text)
        elif name == "External":
            assert isinstance(args[2], int)
            count = min(args[2], _MAX_ARGUMENTS) if args[1] == _METHOD_OBJECT else None
            self.declare(text, count, external=True)
        else:
            self.declare(text)


# The scope of a list, and what of the list is left: offsets and nodes.
_Level: TypeAlias = tuple[tuple[str, ...], Iterator[tuple[int, Node]]]


def opcode_name(node: Node) -> str:
    """Return the name of a node's opcode, nothing for a node that has none."""
    opcode = getattr(node, "OPCODE", None)
    return opcode.name if opcode is not None else ""


def walk(nodes: Iterable[Node]) -> Iterator[tuple[str, int, Node]]:
    r"""Yield the named objects that a list of terms declares, in order, those in `If` as well.

    What a method declares when it runs is left out, and so are `Scope` and `External`.

    Args:
        nodes: the terms of a definition block.

    Yields:
        The path from the root, such as `\_SB.PCI0._CRS`; bytes from the start of the first term
        to the object; and its node: for a field of a region the unit of the field list.
    """
    stack: list[_Level] = [((), _placed(0, tuple(nodes)))]
    while stack:
        scope, remaining = stack[-1]
        offset, node = next(remaining, (0, None))
        if node is None:
            stack.pop()
            continue
        name = opcode_name(node)
        inner = scope
        if name in DECLARED_NAME or name == "Scope":
            inner = absolute(scope, node.args[DECLARED_NAME.get(name, 0)].text)
            if name not in _NO_OBJECTS:
                yield _text(inner), offset, node
        elif name in FIELDS:
            yield from _fields(scope, offset, node)
        if name in _OPEN:
            stack.append((inner, _placed(offset + _list_offset(node), node.args[-1])))


def _fields(scope: tuple[str, ...], offset: int, node: Node) -> Iterator[tuple[str, int, Node]]:
    """Yield the named units of a field list."""
    for at, unit in _placed(offset + _list_offset(node), node.args[-1]):
        if isinstance(unit.args[0], str):
            yield _text(absolute(scope, unit.args[0])), at, unit


def _placed(offset: int, nodes: tuple[Node, ...]) -> Iterator[tuple[int, Node]]:
    """Yield nodes that follow each other, with where each begins."""
    for node in nodes:
        yield offset, node
        offset += len(node.encoded)


def _list_offset(node: Node) -> int:
    """Return where the list at the end of a node begins."""
    return len(node.encoded) - sum([len(each.encoded) for each in node.args[-1]])


def _text(segments: tuple[str, ...]) -> str:
    return "\\" + ".".join(segments)
