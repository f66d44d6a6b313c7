# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Places without a name: the variables of a running method, its arguments, and Debug.

ACPI Specification, AML Grammar Definition, "Arg Objects Encoding", "Local Objects Encoding" and
"Debug Objects Encoding".
"""

from __future__ import annotations

from types import new_class
from typing import Any, ClassVar, Self

from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.aml.node import CLASSES, Node, Place
from vmmkit.errors import AmlValueError

__all__ = ["Arg", "Debug", "Local"]


class _Numbered(Place):
    """One of several places that differ by their number; there is one object of each."""

    __slots__ = ()

    KIND: ClassVar[str]
    COUNT: ClassVar[int]
    FIRST: ClassVar[int]
    ALL: ClassVar[tuple[Any, ...]]

    def __new__(cls, number: int) -> Self:
        """Return the one of this number."""
        if not isinstance(number, int) or not 0 <= number < cls.COUNT:
            raise AmlValueError(f"{cls.KIND} goes from 0 to {cls.COUNT - 1}, not {shown(number)}")
        found: Self = cls.ALL[number]
        return found

    def __init__(self, _number: int) -> None:
        """Leave it as it is."""

    @classmethod
    def as_read(cls, _args: tuple[Any, ...], encoded: bytes) -> Self:
        """Return the one that these bytes say."""
        found: Self = cls.ALL[encoded[0] - cls.FIRST]
        return found

    @property
    def number(self) -> int:
        """Which one."""
        return self.encoded[0] - self.FIRST


def _instances(kind: type[_Numbered]) -> tuple[Node, ...]:
    """Make the class of each opcode of this kind, and its only object."""
    made = []
    for number in range(kind.COUNT):
        name = f"{kind.KIND}{number}"
        new_class(name, (kind,), {"opcode": name}, lambda space: space.update(__slots__=()))
        node = object.__new__(CLASSES[name])
        node.args, node.encoded, node.relocations = (), node.OPCODE.code, ()
        made.append(node)
    return tuple(made)


class Local(_Numbered):
    """A variable of the running method, without a value when it begins.

    Args:
        number: 0 to 7.

    Raises:
        AmlValueError: another number.
    """

    __slots__ = ()

    KIND = "Local"
    COUNT = 8
    FIRST = 0x60


class Arg(_Numbered):
    """An argument of the running method.

    Args:
        number: 0 to 6.

    Raises:
        AmlValueError: another number.
    """

    __slots__ = ()

    KIND = "Arg"
    COUNT = 7
    FIRST = 0x68


Local.ALL = _instances(Local)
Arg.ALL = _instances(Arg)


class _Debug(Place, opcode="Debug"):
    """What is stored here goes to the interpreter's log."""

    __slots__ = ()


#: What is stored here goes to the interpreter's log, if it keeps one.
Debug = _Debug()
