# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The forms that operators on values share: how many operands, and a target or none."""

from __future__ import annotations

from vmmkit.acpi.aml.node import Expression, Place, Value, condition, operand, place, target

__all__ = ["Binary", "Comparison", "Logical", "Move", "Unary"]


class Binary(Expression):
    """An operator of two operands, whose result goes to a target as well.

    Args:
        left: the first operand.
        right: the second one.
        result: where the result goes, or `None`.

    Raises:
        AmlValueError: an operand that yields no value, or a target that is no place.
    """

    __slots__ = ()

    def __init__(self, left: Value, right: Value, result: Place | str | None = None) -> None:
        """Encode operands and target."""
        super().__init__(operand(left), operand(right), target(result))


class Unary(Expression):
    """An operator of one operand, whose result goes to a target as well.

    Args:
        value: the operand.
        result: where the result goes, or `None`.

    Raises:
        AmlValueError: an operand that yields no value, or a target that is no place.
    """

    __slots__ = ()

    def __init__(self, value: Value, result: Place | str | None = None) -> None:
        """Encode operand and target."""
        super().__init__(operand(value), target(result))


class Comparison(Expression):
    """An operator of two operands that yields Ones where it holds, else Zero.

    Args:
        left: the first operand.
        right: the second one.

    Raises:
        AmlValueError: an operand that yields no value.
    """

    __slots__ = ()

    def __init__(self, left: Value, right: Value) -> None:
        """Encode the operands."""
        super().__init__(operand(left), operand(right))


class Move(Expression):
    """An operator that puts a value into a place.

    Args:
        value: what is put there, and yielded.
        destination: a name, LocalX, ArgX, `Debug`, or a reference.

    Raises:
        AmlValueError: a value that is none, or a destination that is no place.
    """

    __slots__ = ()

    def __init__(self, value: Value, destination: Place | str) -> None:
        """Encode value and place."""
        super().__init__(operand(value), place(destination))


class Logical(Expression):
    """An operator of two conditions that yields Ones where it holds, else Zero.

    Args:
        left: the first condition.
        right: the second one.

    Raises:
        AmlValueError: an operand that yields no value, or is a `bool`.
    """

    __slots__ = ()

    def __init__(self, left: Value, right: Value) -> None:
        """Encode the operands."""
        super().__init__(condition(left), condition(right))
