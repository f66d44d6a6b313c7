# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Statements: terms that a method runs and that yield nothing.

ACPI Specification, ASL Operator Reference.
"""

from __future__ import annotations

from vmmkit.acpi.aml.node import Node, Value, operand

__all__ = ["Return"]


class Return(Node, opcode="Return"):
    """End the method with a value ("Return (Return from Method Execution)").

    Args:
        value: what the caller gets; zero where none is given.

    Raises:
        AmlValueError: a node that yields no value.
    """

    __slots__ = ()

    def __init__(self, value: Value = 0) -> None:
        """Encode the value."""
        super().__init__(operand(value))
