# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Operators on objects: references, elements, other tables.

ACPI Specification, ASL Operator Reference.
"""

from __future__ import annotations

from enum import IntEnum

from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.aml.node import Expression, Node, Path, Place, Value, operand, path, place, target
from vmmkit.errors import AmlValueError

__all__ = [
    "CondRefOf",
    "Decrement",
    "DerefOf",
    "Increment",
    "Index",
    "Load",
    "LoadTable",
    "Match",
    "MatchOperator",
    "ObjectType",
    "RefOf",
    "SizeOf",
    "Unload",
]


class _OfPlace(Expression):
    """An operator on one place.

    Args:
        subject: a name, LocalX, ArgX, or a reference.

    Raises:
        AmlValueError: no place.
    """

    __slots__ = ()

    def __init__(self, subject: Place | str) -> None:
        """Encode the place."""
        super().__init__(place(subject))


class Increment(_OfPlace, opcode="Increment"):
    """Add one to a place, and yield the sum ("Increment (Integer Increment)")."""

    __slots__ = ()


class Decrement(_OfPlace, opcode="Decrement"):
    """Take one from a place, and yield the rest ("Decrement (Integer Decrement)")."""

    __slots__ = ()


class SizeOf(_OfPlace, opcode="SizeOf"):
    """How many bytes or elements an object has ("SizeOf (Get Data Object Size)")."""

    __slots__ = ()


class ObjectType(_OfPlace, opcode="ObjectType"):
    """What an object is, an `ObjectKind` ("ObjectType (Get Object Type)")."""

    __slots__ = ()


class RefOf(Place, opcode="RefOf"):
    """A reference to an object ("RefOf (Create Object Reference)").

    Args:
        subject: a name, LocalX, ArgX, or a reference.

    Raises:
        AmlValueError: no place.
    """

    __slots__ = ()

    def __init__(self, subject: Place | str) -> None:
        """Encode the place."""
        super().__init__(place(subject))


class CondRefOf(Expression, opcode="CondRefOf"):
    """Whether an object exists, and a reference to it.

    "CondRefOf (Create Object Reference Conditionally)": yields Ones where it exists, else Zero.

    Args:
        subject: its name, or a LocalX or ArgX.
        result: where the reference goes, or `None`.

    Raises:
        AmlValueError: no place.
    """

    __slots__ = ()

    def __init__(self, subject: Place | str, result: Place | str | None = None) -> None:
        """Encode place and target."""
        super().__init__(place(subject), target(result))


class DerefOf(Place, opcode="DerefOf"):
    """What a reference refers to ("DerefOf (Dereference an Object Reference)").

    Args:
        reference: a reference, or a string that is the name of an object.

    Raises:
        AmlValueError: a node that yields no value.
    """

    __slots__ = ()

    def __init__(self, reference: Value) -> None:
        """Encode the reference."""
        super().__init__(operand(reference))


class Index(Place, opcode="Index"):
    """A reference to an element ("Index (Indexed Reference To Member Object)").

    It can be stored to; `DerefOf` reads it.

    Args:
        source: a package, buffer or string.
        index: of the element or byte, from 0.
        result: where the reference goes, or `None`.

    Raises:
        AmlValueError: an operand that yields no value, or a target that is no place.
    """

    __slots__ = ()

    def __init__(self, source: Value, index: Value, result: Place | str | None = None) -> None:
        """Encode operands and target."""
        super().__init__(operand(source), operand(index), target(result))


class MatchOperator(IntEnum):
    """How `Match` compares an element, which comes first, with a number."""

    #: Always.
    MTR = 0
    #: Equal.
    MEQ = 1
    #: Less or equal.
    MLE = 2
    #: Less.
    MLT = 3
    #: Greater or equal.
    MGE = 4
    #: Greater.
    MGT = 5


class Match(Expression, opcode="Match"):
    """The first element of a package that meets two conditions, else Ones.

    "Match (Find Object Match)".

    Args:
        package: what is searched.
        first: how an element compares, a `MatchOperator`.
        first_operand: with what.
        second: how it compares as well.
        second_operand: with what.
        start: index of the element where the search begins.

    Raises:
        AmlValueError: another operator, or an operand that yields no value.
    """

    __slots__ = ()

    def __init__(
        self,
        package: Value,
        first: MatchOperator,
        first_operand: Value,
        second: MatchOperator,
        second_operand: Value,
        start: Value = 0,
    ) -> None:
        """Encode operators and operands."""
        for operator in (first, second):
            if operator not in _MATCH_OPERATORS:
                raise AmlValueError(
                    f"{shown(operator)} is no operator of Match: MTR (0) to MGT (5)"
                )
        super().__init__(
            operand(package),
            int(first),
            operand(first_operand),
            int(second),
            operand(second_operand),
            operand(start),
        )


_MATCH_OPERATORS = tuple(MatchOperator)


class Load(Expression, opcode="Load"):
    """Load a definition block, and yield whether it went well ("Load (Load Definition Block)").

    Older versions of the specification need the result, and make it a handle for `Unload`.

    Args:
        source: name of an operation region, field or buffer that holds the table.
        result: where the result goes, or `None`.

    Raises:
        AmlValueError: no legal name, or a target that is no place.
    """

    __slots__ = ()

    def __init__(self, source: str | Path, result: Place | str | None = None) -> None:
        """Encode name and target."""
        super().__init__(path(source), target(result))


class Unload(Node, opcode="Unload"):
    """Unload what `Load` gave a handle for. The specification has withdrawn it.

    Args:
        handle: the place that holds it.

    Raises:
        AmlValueError: no place.
    """

    __slots__ = ()

    def __init__(self, handle: Place | str) -> None:
        """Encode the place."""
        super().__init__(place(handle))


class LoadTable(Expression, opcode="LoadTable"):
    """Load a definition block that the XSDT lists ("LoadTable (Load Definition Block From XSDT)").

    Args:
        signature: of the table.
        oem_id: of the table; an empty string is any.
        oem_table_id: of the table; an empty string is any.
        root_path: the scope it goes to; an empty string is the root.
        parameter_path: an object that is set once it is loaded; an empty string is none.
        parameter_data: what it is set to.

    Raises:
        AmlValueError: an operand that yields no value.
    """

    __slots__ = ()

    def __init__(
        self,
        signature: Value,
        oem_id: Value,
        oem_table_id: Value,
        root_path: Value = "",
        parameter_path: Value = "",
        parameter_data: Value = 0,
    ) -> None:
        """Encode all six."""
        values = (signature, oem_id, oem_table_id, root_path, parameter_path, parameter_data)
        super().__init__(*[operand(value) for value in values])
