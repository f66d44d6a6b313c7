# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""Read AML: bytes become the nodes they were made of, and nothing is lost.

A call of a method does not say how many arguments follow; the method does, wherever it is
declared. So blocks are read twice: an outline for the declarations, then everything.

Nothing here recurses: what is open is kept in a list of frames, one for each opcode whose arguments
are being read.

ACPI Specification, "AML Grammar Definition".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from vmmkit.acpi.aml import (
    blocks,
    create_field,
    data,
    fields,
    named,
    operators,
    places,
    references,
    statements,
)
from vmmkit.acpi.aml.bytecode import CONNECTION, Cursor
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.field_units import Connection
from vmmkit.acpi.aml.namespace import DECLARED_NAME, FIELDS, SCOPES, Namespace
from vmmkit.acpi.aml.node import CLASSES, Data, Expression, Node, Path, Place, RawAml
from vmmkit.acpi.aml.opcodes import Opcode
from vmmkit.acpi.arguments import elements, octets
from vmmkit.errors import AmlParseError, AmlValueError

__all__ = ["MAX_BLOCKS", "MAX_DEPTH", "read", "read_all"]

# Classes enter `CLASSES` as their modules are imported.
_REGISTERED: Final = (
    blocks,
    create_field,
    data,
    fields,
    named,
    operators,
    places,
    references,
    statements,
)

#: How deep opcodes without a package length may lie within each other.
MAX_DEPTH: Final = 256

#: How deep opcodes of any kind may lie within each other: each ElseIf lies in the one before it.
MAX_BLOCKS: Final = 4096

# Every node has its bytes, so that those within a package are kept again for the package. How many
# bytes all nodes may take: these, and so many for each byte read.
_FREE_BYTES: Final = 1 << 24
_BYTES_A_BYTE: Final = 32

_LISTS: Final = frozenset("LEF")
_KINDS: Final[dict[str, tuple[type[Node], str]]] = {
    "T": (Expression, "a value"),
    "E": (Expression, "a value"),
    "S": (Place, "a place"),
    "t": (Place, "a place"),
    "L": (Node, "a term"),
    "C": (data.Buffer, "a name or a buffer"),
}

_BLOCK: Final = Opcode("block", b"", "L", package=True)
_MAX_ARGUMENTS: Final = 7
_CALLS: Final = tuple(Opcode("call", b"", "T" * count) for count in range(_MAX_ARGUMENTS + 1))
_CONNECTION: Final = Opcode("Connection", bytes((CONNECTION,)), "C")

# Their place is the object of that name, never what a method of that name returns.
_NO_CALLS: Final = frozenset({"RefOf", "CondRefOf", "ObjectType", "CopyObject"})

# Those that declare something when they have been read; the others before their list is.
_DECLARING: Final = (DECLARED_NAME.keys() | FIELDS) - SCOPES

# What has no effect in a list of terms, and is no term by the grammar ("Term Objects Encoding").
_NO_TERMS: Final = (Data, Path, places.Local, places.Arg)

# Of these the outline needs no more than the length.
_OPAQUE: Final = frozenset({"Buffer", "Package", "VarPackage"})
_SKIPPED: Final = RawAml(b"")


class _Frame:
    """An opcode whose arguments are being read.

    Attributes:
        start: offset of its first byte.
        limit: offset of the first byte that is not its own, or not its package's.
        args: those read so far.
        sink: where the next node goes: the arguments, or the list at their end.
        path: of a call, the method's name.
        loose: how many opcodes without a package length are open up to this one.
    """

    __slots__ = ("args", "limit", "loose", "opcode", "path", "scope", "sink", "start")

    def __init__(self, opcode: Opcode, start: int, limit: int, scope: Namespace) -> None:
        self.opcode = opcode
        self.start = start
        self.limit = limit
        self.scope = scope
        self.args: list[Any] = []
        self.sink = self.args
        self.path: Path | None = None
        self.loose = 0


class _Reader(Cursor):
    """One pass over a block.

    Args:
        content: the block.
        namespace: where declarations are found, and entered.
        lenient: keep what cannot be read as `RawAml`.
        outline: leave out the lists of methods, buffers and packages.

    Attributes:
        guesses: how many arguments methods that are not declared seem to take, by path.
        failed: something was kept as `RawAml`.
    """

    def __init__(
        self, content: bytes, namespace: Namespace, *, lenient: bool, outline: bool
    ) -> None:
        super().__init__(content)
        self._lenient = lenient
        self._outline = outline
        self._term = 0  # where the last term or unit begins
        self._root = _Frame(_BLOCK, 0, len(content), namespace)
        self._frames = [self._root]
        self._room = _FREE_BYTES + _BYTES_A_BYTE * len(content)
        self.guesses: dict[str, int] = {}
        self.failed = False

    def run(self) -> tuple[Node, ...]:
        """Read the block."""
        frames = self._frames
        while frames:
            try:
                while frames:
                    self._advance(frames[-1])
            except AmlParseError:
                if not self._lenient:
                    raise
                self.failed = True
                self._recover()
        nodes: tuple[Node, ...] = self._root.args[0]
        return nodes

    def _advance(self, frame: _Frame) -> None:
        """Read the next argument of a frame, or close it."""
        index = len(frame.args)
        if index == len(frame.opcode.args):
            self._close(frame)
            return
        letter = frame.opcode.args[index]
        scalar = self.SCALARS.get(letter)
        if scalar is not None:
            frame.args.append(scalar(self, frame.limit))
        elif letter in _LISTS:
            self._element(frame, letter)
        else:
            self._begin(frame, letter)

    def _element(self, frame: _Frame, letter: str) -> None:
        """Read the next element of the list at the end of a frame."""
        if frame.sink is frame.args:
            self._open_list(frame)
        read_one = self._unit if letter == "F" else self._begin
        while self.position < frame.limit:
            read_one(frame, letter)
            if self._frames[-1] is not frame:
                return
        frame.args.append(tuple(frame.sink))

    def _open_list(self, frame: _Frame) -> None:
        name = frame.opcode.name
        if name in SCOPES:
            if name != "Scope":
                frame.scope.declare_node(name, tuple(frame.args))
            scope = frame.scope.reach(frame.args[0].text)
            if scope is None:
                raise self.error("a scope deeper than a name can be long", frame.start)
            frame.scope = scope
        if name == "Method" and self._outline:
            self.position = frame.limit
        frame.sink = []

    def _begin(self, frame: _Frame, letter: str) -> None:
        """Read a term, or its beginning."""
        self._term = start = self.position
        if start >= frame.limit:
            raise self.error(f"{frame.opcode.name} ends before its arguments do", start)
        if letter == "t" and self.content[start] == 0:
            self.position = start + 1
            frame.args.append(None)
        elif self.at_name(start) or (letter == "S" and self.content[start] == 0):
            self._named(frame, letter)
        else:
            self._opcode(frame, letter, start)

    def _opcode(self, frame: _Frame, letter: str, start: int) -> None:
        opcode = self.opcode(frame.limit)
        kind, wanted = _KINDS[letter]
        made = CLASSES[opcode.name]
        if not issubclass(made, kind):
            raise self.error(f"{opcode.name} where {wanted} belongs", start)
        scalar = self.SCALARS.get(opcode.args)
        if not opcode.args:
            frame.sink.append(made.as_read((), opcode.code))
        elif scalar is not None and opcode.args != "N":
            value = scalar(self, frame.limit)
            self._keep((self.position - start) * frame.loose, start)
            frame.sink.append(made.as_read((value,), self.content[start : self.position]))
        elif opcode.package:
            last = self.package(frame.limit, start)
            if self._outline and opcode.name in _OPAQUE:
                self.position = last
                frame.sink.append(_SKIPPED)
            else:
                self._push(_Frame(opcode, start, last, frame.scope))
        else:
            self._push(_Frame(opcode, start, frame.limit, frame.scope))

    def _push(self, frame: _Frame) -> None:
        outer = self._frames[-1].loose + 1
        limit = MAX_DEPTH if outer > MAX_DEPTH else MAX_BLOCKS
        if outer > limit or len(self._frames) > limit:
            raise self.error(f"more than {limit} opcodes within each other", frame.start)
        if frame.opcode.package:
            self._keep((frame.limit - frame.start) * outer, frame.start)
        else:
            frame.loose = outer
        self._frames.append(frame)

    def _keep(self, size: int, start: int) -> None:
        """Count bytes that nodes take."""
        self._room -= size
        if self._room < 0:
            raise self.error("blocks within each other that take too much memory", start)

    def _named(self, frame: _Frame, letter: str) -> None:
        """Read a name, and begin the call where it is that of a method."""
        start = self.position
        path = self.name(frame.limit)
        count = None
        if letter not in "EC" and not (letter == "S" and frame.opcode.name in _NO_CALLS):
            count = frame.scope.method_arguments(path.text)
        if letter == "L" and count is None and frame.scope.find(path.text) is None:
            count = 0
        if letter in "LT" and count == 0:
            frame.sink.append(Call.as_read((path, ()), path.encoded))
        elif count and letter != "t":
            call = _Frame(_CALLS[count], start, frame.limit, frame.scope)
            call.path = path
            self._push(call)
        else:
            frame.sink.append(path)

    def _unit(self, frame: _Frame, _letter: str) -> None:
        """Read a unit of a field list."""
        self._term = start = self.position
        if self.content[start] != CONNECTION:
            frame.sink.append(self.unit(frame.limit))
            return
        self.position = start + 1
        self._push(_Frame(_CONNECTION, start, frame.limit, frame.scope))

    def _close(self, frame: _Frame) -> None:
        """Make the node of a frame and hand it to the frame around."""
        self._frames.pop()
        if frame.opcode.args.endswith("L"):
            self._guess(frame)
        if not self._frames:
            return
        outer = self._frames[-1]
        args = tuple(frame.args)
        encoded = self.content[frame.start : self.position]
        name = frame.opcode.name
        if frame.path is not None:
            outer.sink.append(Call.as_read((frame.path, args), encoded))
        elif frame.opcode is _CONNECTION:
            outer.sink.append(Connection.as_read(args, encoded))
        else:
            if name in _DECLARING:
                outer.scope.declare_node(name, args)
            outer.sink.append(CLASSES[name].as_read(args, encoded))

    def _guess(self, frame: _Frame) -> None:
        """Note which unknown methods of a list are followed by what only an argument can be."""
        called: Path | None = None
        count = 0
        for node in frame.args[-1]:
            if called is not None and isinstance(node, _NO_TERMS) and count < _MAX_ARGUMENTS:
                count += 1
                path = frame.scope.elsewhere(called.text)
                self.guesses[path] = max(count, self.guesses.get(path, 0))
                continue
            called, count = None, 0
            if isinstance(node, Call) and frame.scope.find(node.args[0].text) is None:
                called = node.args[0]

    def _recover(self) -> None:
        """Keep the smallest package around the failure, or what is left of its list, as it is."""
        frames, start = self._frames, self._term
        while True:
            frame = frames[-1]
            if frame.sink is not frame.args:
                frame.sink.append(RawAml(self.content[start : frame.limit]))
                break
            frames.pop()
            if frame.opcode.package:
                raw = RawAml(self.content[frame.start : frame.limit])
                frames[-1].sink.append(raw)
                break
            start = frame.start
        self.position = frame.limit


def _outline(content: bytes, namespace: Namespace) -> None:
    """Enter what a block declares into a namespace."""
    _Reader(content, namespace, lenient=True, outline=True).run()


def read_all(
    contents: Iterable[bytes], *, lenient: bool = False, methods: Mapping[str, int] | None = None
) -> list[tuple[Node, ...]]:
    """Read the AML of several definition blocks that share a namespace.

    Args:
        contents: AML without table headers: that of the DSDT, then of the SSDTs.
        lenient: as in `read`.
        methods: as in `read`.

    Returns:
        The nodes of each.

    Raises:
        AmlParseError: as in `read`; `offset` is that in the block that fails.
    """
    copies = [
        octets("AML", one, AmlValueError) for one in elements("contents", contents, AmlValueError)
    ]
    namespace = Namespace()
    for path, argument_count in (methods or {}).items():
        namespace.declare(path, argument_count, external=True)
    for content in copies:
        _outline(content, namespace)
    readers = [_Reader(content, namespace, lenient=lenient, outline=False) for content in copies]
    found = [reader.run() for reader in readers]
    guesses = {path: count for reader in readers for path, count in reader.guesses.items()}
    if not guesses:
        return found
    for path, argument_count in guesses.items():
        namespace.declare(path, argument_count, external=True)
    # A guess may help what could not be read, but must not harm what could.
    lenient = any(reader.failed for reader in readers)
    readers = [_Reader(content, namespace, lenient=lenient, outline=False) for content in copies]
    try:
        return [reader.run() for reader in readers]
    except AmlParseError:
        return found


def read(
    content: bytes, *, lenient: bool = False, methods: Mapping[str, int] | None = None
) -> tuple[Node, ...]:
    r"""Read the AML of a definition block.

    The bytes of the nodes, one after the other, are those given, whether or not they are the
    shortest that say the same.

    Args:
        content: AML without a table header.
        lenient: what cannot be read becomes `RawAml`: what is left of the smallest list around
            the failure, or the smallest package around it where no list is being read.
        methods: how many arguments methods of other tables take, by path
            (`{r"\_SB.PCI0.PCNT": 2}`). A method that is neither declared here nor known takes as
            many as follow a call of it that can be nothing else (numbers, ArgX, LocalX and the like
            where a statement should begin), or none.

    Raises:
        AmlParseError: bytes that are no AML, at `offset`; never where `lenient`.
    """
    return read_all([content], lenient=lenient, methods=methods)[0]
