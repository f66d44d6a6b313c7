# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Operators: terms that yield a value.

ACPI Specification, ASL Operator Reference.
"""

from __future__ import annotations

from vmmkit.acpi.aml.node import Expression, Place, Value, operand, place, target

__all__ = ["And", "LEqual", "Or", "Store"]


class _Binary(Expression):
    """An operator of two operands, whose result goes to a target as well."""

    __slots__ = ()

    def __init__(self, left: Value, right: Value, result: Place | str | None = None) -> None:
        """Encode operands and target."""
        super().__init__(operand(left), operand(right), target(result))


class _Comparison(Expression):
    """An operator of two operands that yields Ones where it holds, else Zero."""

    __slots__ = ()

    def __init__(self, left: Value, right: Value) -> None:
        """Encode the operands."""
        super().__init__(operand(left), operand(right))


class And(_Binary, opcode="And"):
    """Bits set in both ("And (Integer Bitwise And)")."""

    __slots__ = ()


class Or(_Binary, opcode="Or"):
    """Bits set in either ("Or (Integer Bitwise Or)")."""

    __slots__ = ()


class LEqual(_Comparison, opcode="LEqual"):
    """Whether both are equal ("LEqual (Logical Equal)")."""

    __slots__ = ()


class Store(Expression, opcode="Store"):
    """Put a value into a place, and yield it ("Store (Store an Object)")."""

    __slots__ = ()

    def __init__(self, value: Value, destination: Place | str) -> None:
        """Encode value and place."""
        super().__init__(operand(value), place(destination))
