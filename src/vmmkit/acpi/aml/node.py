# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of AML: what a definition block is made of.

A node knows its bytes from the moment it is made. Mistakes so show where they are made, nothing is
encoded twice, and no depth of nesting is too deep. Nodes do not change; one may stand in several
places.

Which arguments a node takes, and how they are written, is the row of its opcode in `opcodes.py`.
The classes add constructors fit for people.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, cast

from vmmkit.acpi.aml.encoding import encode, encode_list, framed, package_length
from vmmkit.acpi.aml.names import name_bytes
from vmmkit.acpi.aml.opcodes import BY_NAME, Opcode
from vmmkit.acpi.relocation import Relocation
from vmmkit.errors import AmlValueError

__all__ = [
    "CLASSES",
    "Data",
    "Expression",
    "Node",
    "Path",
    "Place",
    "RawAml",
    "Value",
    "coerces",
    "data",
    "encode_list",
    "new_path",
    "operand",
    "package_length",
    "path",
    "place",
    "target",
    "term",
    "terms",
]

#: The class for each opcode, by its name. Filled by the classes as they are made.
CLASSES: dict[str, type[Node]] = {}

#: What `term` makes a node of.
Value: TypeAlias = "Node | int | str | bytes | bytearray | uuid.UUID | list[Any] | tuple[Any, ...]"

# Characters of a text or of bytes that the `repr` of a node shows.
_SHOWN = 40

_COERCIONS: dict[type, Callable[[Any], Node]] = {}


class Node:
    """A piece of AML.

    Attributes:
        args: in the order of the opcode's row: nodes, `None` for a target left out, numbers,
            texts, or a tuple for the list at the end.
        encoded: its bytes, zero where addresses of others belong.
        relocations: where they belong, from the start of its bytes.
    """

    __slots__ = ("args", "encoded", "relocations")

    args: tuple[Any, ...]
    encoded: bytes
    relocations: tuple[Relocation, ...]

    OPCODE: ClassVar[Opcode]
    # The code, where nothing but nodes and targets follows it; else nothing.
    _PLAIN: ClassVar[bytes] = b""

    def __init_subclass__(cls, *, opcode: str | None = None, **arguments: Any) -> None:
        """Enter the class as that of an opcode, where it says one."""
        super().__init_subclass__(**arguments)
        if opcode is not None:
            row = BY_NAME[opcode]
            cls.OPCODE = row
            plain = not row.package and not set(row.args) - set("NTSt")
            cls._PLAIN = row.code if plain else b""
            CLASSES[opcode] = cls

    def __init__(self, *args: Any) -> None:
        """Encode arguments that are nodes, numbers, texts or tuples already."""
        self.args = args
        code = self._PLAIN
        if code:
            parts = [code]
            for arg in args:
                if arg is None:
                    parts.append(b"\0")
                elif arg.relocations:
                    break
                else:
                    parts.append(arg.encoded)
            else:
                self.encoded = b"".join(parts)
                self.relocations = ()
                return
        self.encoded, self.relocations = encode(self.OPCODE, args)

    def _enclose(self, fixed: bytes, nodes: tuple[Node, ...]) -> None:
        """Encode a code, a package length, bytes without relocations, and nodes."""
        for node in nodes:
            if node.relocations:
                self.encoded, self.relocations = encode(self.OPCODE, self.args)
                return
        self.encoded = framed(self.OPCODE.code, [fixed, *[node.encoded for node in nodes]])
        self.relocations = ()

    @classmethod
    def as_read(cls, args: tuple[Any, ...], encoded: bytes) -> Self:
        """Make a node of bytes that were read, which need not be the shortest that say it."""
        node = cls.__new__(cls)
        node.args = args
        node.encoded = encoded
        node.relocations = ()
        return node

    def to_bytes(self) -> bytes:
        """Return its bytes, with zero where addresses of others belong."""
        return self.encoded

    def __len__(self) -> int:
        """Return how many bytes it has."""
        return len(self.encoded)

    def __repr__(self) -> str:
        """Return the class and its arguments, of nodes below it no more than the class."""
        if not self.args:
            return self.OPCODE.name
        shown = ", ".join([_shown(arg) for arg in self.args])
        return f"{type(self).__name__}({shown})"

    def __bool__(self) -> bool:
        """Refuse to be a condition, which in Python would be decided before the guest runs.

        Raises:
            TypeError: always; use `If` and `While`, `LAnd` and `LOr`.
        """
        raise TypeError("a node has no truth value; use If, While, LAnd, LOr or LNot")

    def __eq__(self, other: object) -> bool:
        """Compare bytes and what is pointed at: nodes are what they encode to."""
        if not isinstance(other, Node):
            return NotImplemented
        return self.encoded == other.encoded and self.relocations == other.relocations

    def __hash__(self) -> int:
        """Hash the bytes."""
        return hash(self.encoded)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy without encoding anew."""
        return _restore, (type(self), self.args, self.encoded, self.relocations)

    def children(self) -> Iterator[Node]:
        """Yield the nodes directly below it, in order."""
        for arg in self.args:
            if isinstance(arg, Node):
                yield arg
            elif isinstance(arg, tuple):
                yield from (each for each in arg if isinstance(each, Node))


def _shown(arg: Any) -> str:
    """Return what an argument looks like in the `repr` of its node: a few characters."""
    if isinstance(arg, Path):
        return _shown(arg.text)
    if isinstance(arg, Node):
        return (
            repr(arg)
            if not any(isinstance(below, (Node, tuple)) for below in arg.args)
            else (f"{type(arg).__name__}(...)")
        )
    if isinstance(arg, tuple):
        return "..." if arg else "()"
    if isinstance(arg, (str, bytes)) and len(arg) > _SHOWN:
        return f"{arg[:_SHOWN]!r}..."
    return hex(arg) if type(arg) is int and arg > 9 else f"{arg!r:.80}"


def _restore(
    kind: type[Node], args: tuple[Any, ...], encoded: bytes, relocations: tuple[Relocation, ...]
) -> Node:
    node = kind.as_read(args, encoded)
    node.relocations = relocations
    return node


def _expression(name: str, *args: Any) -> Expression:
    """Return what the class of this opcode makes; it is looked up late, for it is defined later."""
    return cast("Expression", CLASSES[name](*args))


def _binary(name: str) -> Callable[[Expression, Value], Expression]:
    def apply(left: Expression, right: Value) -> Expression:
        return _expression(name, left, right)

    return apply


def _reflected(name: str) -> Callable[[Expression, Value], Expression]:
    def apply(right: Expression, left: Value) -> Expression:
        return _expression(name, left, right)

    return apply


class Expression(Node):
    """A node that yields a value, and so takes Python's operators.

    `+ - * % & | ^ << >> ~` are the ASL operators of the same sign, `//` is `Divide` and yields the
    quotient. The guest computes in 64 bits, or in 32 where the definition block's revision is 1.

    `==` and `<` compare nodes, as everywhere in Python; use `eq`, `ne`, `lt`, `le`, `gt`, `ge`.
    """

    __slots__ = ()

    __add__ = _binary("Add")
    __sub__ = _binary("Subtract")
    __mul__ = _binary("Multiply")
    __floordiv__ = _binary("Divide")
    __mod__ = _binary("Mod")
    __and__ = _binary("And")
    __or__ = _binary("Or")
    __xor__ = _binary("XOr")
    __lshift__ = _binary("ShiftLeft")
    __rshift__ = _binary("ShiftRight")
    __radd__ = _reflected("Add")
    __rsub__ = _reflected("Subtract")
    __rmul__ = _reflected("Multiply")
    __rfloordiv__ = _reflected("Divide")
    __rmod__ = _reflected("Mod")
    __rand__ = _reflected("And")
    __ror__ = _reflected("Or")
    __rxor__ = _reflected("XOr")
    __rlshift__ = _reflected("ShiftLeft")
    __rrshift__ = _reflected("ShiftRight")

    def __invert__(self) -> Expression:
        """Return `Not(self)`."""
        return _expression("Not", self)

    def eq(self, other: Value) -> Expression:
        """Return `LEqual(self, other)`."""
        return _expression("LEqual", self, other)

    def ne(self, other: Value) -> Expression:
        """Return `LNotEqual(self, other)`."""
        return _expression("LNotEqual", self, other)

    def lt(self, other: Value) -> Expression:
        """Return `LLess(self, other)`."""
        return _expression("LLess", self, other)

    def le(self, other: Value) -> Expression:
        """Return `LLessEqual(self, other)`."""
        return _expression("LLessEqual", self, other)

    def gt(self, other: Value) -> Expression:
        """Return `LGreater(self, other)`."""
        return _expression("LGreater", self, other)

    def ge(self, other: Value) -> Expression:
        """Return `LGreaterEqual(self, other)`."""
        return _expression("LGreaterEqual", self, other)


class Data(Expression):
    """A node that is a value as it stands, and may so be that of a `Name` (DataRefObject)."""

    __slots__ = ()


class Place(Expression):
    """A node that a value can be stored in, or that denotes an object (SuperName)."""

    __slots__ = ()

    def set(self, value: Value) -> Expression:
        """Return `Store(value, self)`."""
        return _expression("Store", value, self)


class Path(Place):
    r"""A name in a place where a value may stand: `Path("\\_SB.PCI0")`.

    Where only a name can stand, such as the first argument of `Device`, a plain `str` will do.

    Args:
        text: see `names.name_bytes`.

    Raises:
        AmlValueError: no legal name.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Check and encode the name."""
        if not isinstance(text, str):
            raise AmlValueError(f"a name is a str, not {text!r:.80}")
        self.args = (text,)
        self.encoded = name_bytes(text)
        self.relocations = ()

    @property
    def text(self) -> str:
        """The name as it was written."""
        name: str = self.args[0]
        return name


class RawAml(Place, Data):
    """Bytes of AML that are taken as they are.

    Args:
        content: one or more whole terms.
    """

    __slots__ = ()

    def __init__(self, content: bytes) -> None:
        """Keep the bytes."""
        self.args = (bytes(content),)
        self.encoded = bytes(content)
        self.relocations = ()


@lru_cache(maxsize=4096)
def _path(text: str) -> Path:
    return Path(text)


def path(name: str | Path) -> Path:
    """Return a name, of which a `str` may be given.

    Raises:
        AmlValueError: no legal name.
    """
    if type(name) is str:
        return _path(name)
    return name if isinstance(name, Path) else Path(name)


def new_path(name: str | Path) -> Path:
    r"""Return the name of an object that is about to be made.

    Raises:
        AmlValueError: no legal name, or one without a segment (`\`, `^`), which names what is
            there already.
    """
    named = path(name)
    if not named.encoded[-1]:
        raise AmlValueError(f"{named.text!r} does not name a new object")
    return named


def operand(value: Any) -> Expression:
    """Return a node that yields a value.

    Raises:
        AmlValueError: a node that yields none, such as a `Device`.
    """
    node = term(value)
    if not isinstance(node, Expression):
        raise AmlValueError(f"{node!r} yields no value")
    return node


def data(value: Any) -> Data:
    """Return a node that is a value as it stands.

    Raises:
        AmlValueError: a node that has to be evaluated, or a name.
    """
    node = term(value)
    if not isinstance(node, Data):
        raise AmlValueError(f"{node!r} is no constant, string, buffer or package")
    return node


def place(value: Any) -> Place:
    """Return a node that denotes an object; a `str` is a name here.

    Raises:
        AmlValueError: a constant, or another node that denotes none.
    """
    if isinstance(value, str):
        return path(value)
    if not isinstance(value, Place):
        raise AmlValueError(
            f"{value!r:.80} is no place; a name, LocalX, ArgX, Debug or a reference is"
        )
    return value


def target(value: Any) -> Place | None:
    """Return where a result goes, or `None`: nowhere but to whoever evaluates the expression."""
    return None if value is None else place(value)


_Make = TypeVar("_Make", bound=Callable[[Any], Node])


def coerces(kind: type) -> Callable[[_Make], _Make]:
    """Register what makes a node of a plain value of this type (decorator)."""

    def register(make: _Make) -> _Make:
        _COERCIONS[kind] = make
        return make

    return register


def term(value: Any) -> Node:
    """Return a node for a value: itself if it is one, else by its type.

    `int` becomes the shortest constant, `bool` `One` or `Zero`, `str` a string, `bytes` a buffer,
    `list` and `tuple` a package, `uuid.UUID` the buffer that ToUUID makes.

    Raises:
        AmlValueError: a value of another type, or out of range.
    """
    if isinstance(value, Node):
        return value
    make = _COERCIONS.get(type(value))
    if make is None:
        make = next((_COERCIONS[kind] for kind in type(value).__mro__ if kind in _COERCIONS), None)
    if make is None:
        raise AmlValueError(f"AML has no value for {value!r:.80} of type {type(value).__name__}")
    return make(value)


def terms(values: Iterable[Any]) -> tuple[Node, ...]:
    """Return nodes for values."""
    return tuple([term(value) for value in values])
