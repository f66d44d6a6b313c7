# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Buffer fields: named windows into a buffer.

ACPI Specification, ASL Operator Reference. Reading the name yields the bits at that place of the
buffer, and storing to it changes them.
"""

from __future__ import annotations

from vmmkit.acpi.aml.node import Node, Path, Value, new_path, operand

__all__ = [
    "CreateBitField",
    "CreateByteField",
    "CreateDWordField",
    "CreateField",
    "CreateQWordField",
    "CreateWordField",
]


class _CreateField(Node):
    """A window of a set width.

    Args:
        source: the buffer.
        index: where the window begins, in bytes, or in bits for `CreateBitField`.
        name: of the field.

    Raises:
        AmlValueError: no legal name, or an argument that yields no value.
    """

    __slots__ = ()

    def __init__(self, source: Value, index: Value, name: str | Path) -> None:
        """Encode buffer, index and name."""
        super().__init__(operand(source), operand(index), new_path(name))


class CreateBitField(_CreateField, opcode="CreateBitField"):
    """A window of one bit, at a bit index ("CreateBitField (Create 1-Bit Buffer Field)")."""

    __slots__ = ()


class CreateByteField(_CreateField, opcode="CreateByteField"):
    """A window of 1 byte, at a byte index ("CreateByteField (Create 8-Bit Buffer Field)")."""

    __slots__ = ()


class CreateWordField(_CreateField, opcode="CreateWordField"):
    """A window of 2 bytes, at a byte index ("CreateWordField (Create 16-Bit Buffer Field)")."""

    __slots__ = ()


class CreateDWordField(_CreateField, opcode="CreateDWordField"):
    """A window of 4 bytes, at a byte index ("CreateDWordField (Create 32-Bit Buffer Field)")."""

    __slots__ = ()


class CreateQWordField(_CreateField, opcode="CreateQWordField"):
    """A window of 8 bytes, at a byte index ("CreateQWordField (Create 64-Bit Buffer Field)")."""

    __slots__ = ()


class CreateField(Node, opcode="CreateField"):
    """A window of any width ("CreateField (Create Arbitrary Length Buffer Field)").

    Reading it yields a buffer, however narrow it is; `ToInteger` makes a number of that.

    Args:
        source: the buffer.
        bit_index: where the window begins.
        bits: how wide it is, not 0.
        name: of the field.

    Raises:
        AmlValueError: no legal name, or an argument that yields no value.
    """

    __slots__ = ()

    def __init__(self, source: Value, bit_index: Value, bits: Value, name: str | Path) -> None:
        """Encode buffer, index, width and name."""
        super().__init__(operand(source), operand(bit_index), operand(bits), new_path(name))
