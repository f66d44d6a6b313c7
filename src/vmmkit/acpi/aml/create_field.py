# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fields of buffers: named windows into a buffer that a method works on.

ACPI Specification, ASL Operator Reference.
"""

from __future__ import annotations

from vmmkit.acpi.aml.node import Node, Path, Value, operand, path

__all__ = ["CreateDWordField"]


class _CreateField(Node):
    """A window of a set width at an index into a buffer."""

    __slots__ = ()

    def __init__(self, source: Value, index: Value, name: str | Path) -> None:
        """Encode buffer, index and name."""
        super().__init__(operand(source), operand(index), path(name))


class CreateDWordField(_CreateField, opcode="CreateDWordField"):
    """Name 4 bytes from a byte index on."""

    __slots__ = ()
