# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of AML: what a definition block is made of.

The kinds of nodes, and how plain values become nodes. See `base.py` for what all of them have.

Which arguments a node takes, and how they are written, is the row of its opcode in `opcodes.py`.
The classes add constructors fit for people.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, cast

from vmmkit.acpi.aml.base import CLASSES, Node
from vmmkit.acpi.aml.encoding import encode_list, package_length, shown
from vmmkit.acpi.aml.names import name_bytes
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
    "condition",
    "data",
    "encode_list",
    "new_path",
    "operand",
    "package_length",
    "path",
    "place",
    "target",
    "term",
]

#: What `term` makes a node of.
Value: TypeAlias = "Node | int | str | bytes | bytearray | uuid.UUID | list[Any] | tuple[Any, ...]"

_COERCIONS: dict[type, Callable[[Any], Node]] = {}


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

    `==` compares the nodes themselves, as everywhere in Python. What the guest is to compare is
    said by `eq`, `ne`, `lt`, `le`, `gt` and `ge`; `If`, `While`, `LAnd`, `LOr` and `LNot` refuse
    the `bool` that `==` yields.
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
            raise AmlValueError(f"a name is a str, not {shown(text)}")
        self.args = (text,)
        self.encoded = name_bytes(text)
        self.relocations = ()

    def _brief(self) -> str:
        return shown(self.text)

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
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise AmlValueError(f"raw AML is bytes, not {shown(content)}")
        self.args = (bytes(content),)
        self.encoded = bytes(content)
        self.relocations = ()


@lru_cache(maxsize=8192)  # more than the names of 4096 processors, which are made in turns
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
        raise AmlValueError(f"{shown(named.text)} does not name a new object")
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


def condition(value: Any) -> Expression:
    """Return a node whose value the guest decides by.

    Raises:
        AmlValueError: a node that yields no value, or a `bool`: that is what Python makes of
            `==` and `!=` between nodes, long before the guest runs.
    """
    if isinstance(value, bool):
        raise AmlValueError(
            f"{value} is decided already: compare nodes by eq, ne, ..., and write One or Zero "
            "for what is always so"
        )
    return operand(value)


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
            f"{shown(value)} is no place; a name, LocalX, ArgX, Debug or a reference is"
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
        raise AmlValueError(f"AML has no value for {shown(value)} of type {type(value).__name__}")
    return make(value)
