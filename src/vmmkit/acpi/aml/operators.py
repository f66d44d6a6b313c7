# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Operators on values: storing, arithmetic, bits, comparisons, conversions.

ACPI Specification, ASL Operator Reference. Numbers are 64 bits wide, or 32 where the definition
block's revision is 1, and what does not fit is cut off. Strings and buffers are turned into numbers
where one is needed, which is better not relied on. Where an operator takes a target, the result is
stored there as well as yielded.
"""

from __future__ import annotations

from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.aml.node import (
    Expression,
    Path,
    Place,
    RawAml,
    Value,
    condition,
    operand,
    target,
)
from vmmkit.acpi.aml.operator_forms import Binary, Comparison, Logical, Move, Unary
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.errors import AmlValueError

__all__ = [
    "Add",
    "And",
    "Concatenate",
    "ConcatenateResTemplate",
    "CopyObject",
    "Divide",
    "FindSetLeftBit",
    "FindSetRightBit",
    "FromBCD",
    "LAnd",
    "LEqual",
    "LGreater",
    "LGreaterEqual",
    "LLess",
    "LLessEqual",
    "LNot",
    "LNotEqual",
    "LOr",
    "Mid",
    "Mod",
    "Multiply",
    "NAnd",
    "NOr",
    "Not",
    "Or",
    "ShiftLeft",
    "ShiftRight",
    "Store",
    "Subtract",
    "ToBCD",
    "ToBuffer",
    "ToDecimalString",
    "ToHexString",
    "ToInteger",
    "ToString",
    "XOr",
]


class Store(Move, opcode="Store"):
    """Put a value into a place, made the type of what is there ("Store (Store an Object)").

    A local variable takes any type; so does what `RefOf` in it refers to.
    """

    __slots__ = ()


class CopyObject(Move, opcode="CopyObject"):
    """Put a value into a place, type and all ("CopyObject (Copy and Store Object)").

    Args:
        value: what is put there, and yielded.
        destination: a name, LocalX or ArgX.

    Raises:
        AmlValueError: a value that is none, or another destination.
    """

    __slots__ = ()

    def __init__(self, value: Value, destination: Place | str) -> None:
        """Encode value and place."""
        if not isinstance(destination, (str, Path, Local, Arg, RawAml)):
            raise AmlValueError(
                f"CopyObject copies to a name, LocalX or ArgX, not {shown(destination)}"
            )
        super().__init__(value, destination)


# -- arithmetic ----


class Add(Binary, opcode="Add"):
    """The sum ("Add (Integer Add)")."""

    __slots__ = ()


class Subtract(Binary, opcode="Subtract"):
    """The first less the second ("Subtract (Integer Subtract)")."""

    __slots__ = ()


class Multiply(Binary, opcode="Multiply"):
    """The product ("Multiply (Integer Multiply)")."""

    __slots__ = ()


class Divide(Expression, opcode="Divide"):
    """The quotient, and the remainder as well ("Divide (Integer Divide)").

    To divide by zero is a fatal error in the guest.

    Args:
        dividend: what is divided.
        divisor: by what.
        remainder: where the remainder goes, or `None`.
        quotient: where the quotient goes, or `None`.

    Raises:
        AmlValueError: an operand that yields no value, or a target that is no place.
    """

    __slots__ = ()

    def __init__(
        self,
        dividend: Value,
        divisor: Value,
        remainder: Place | str | None = None,
        quotient: Place | str | None = None,
    ) -> None:
        """Encode operands and targets."""
        super().__init__(operand(dividend), operand(divisor), target(remainder), target(quotient))


class Mod(Binary, opcode="Mod"):
    """The remainder of the first by the second, which must not be 0 ("Mod (Integer Modulo)")."""

    __slots__ = ()


# -- bits ----


class And(Binary, opcode="And"):
    """The bits set in both ("And (Integer Bitwise And)")."""

    __slots__ = ()


class NAnd(Binary, opcode="NAnd"):
    """The bits not set in both ("NAnd (Integer Bitwise Nand)")."""

    __slots__ = ()


class Or(Binary, opcode="Or"):
    """The bits set in either ("Or (Integer Bitwise Or)")."""

    __slots__ = ()


class NOr(Binary, opcode="NOr"):
    """The bits set in neither ("NOr (Integer Bitwise Nor)")."""

    __slots__ = ()


class XOr(Binary, opcode="XOr"):
    """The bits set in one of both ("XOr (Integer Bitwise Xor)")."""

    __slots__ = ()


class Not(Unary, opcode="Not"):
    """The bits not set ("Not (Integer Bitwise Not)")."""

    __slots__ = ()


class ShiftLeft(Binary, opcode="ShiftLeft"):
    """The first, moved up by as many bits as the second says ("ShiftLeft (Integer Shift Left)")."""

    __slots__ = ()


class ShiftRight(Binary, opcode="ShiftRight"):
    """The first, moved down by as many bits ("ShiftRight (Integer Shift Right)")."""

    __slots__ = ()


class FindSetLeftBit(Unary, opcode="FindSetLeftBit"):
    """The highest bit set, counted from 1, or 0 ("FindSetLeftBit (Find First Set Left Bit)")."""

    __slots__ = ()


class FindSetRightBit(Unary, opcode="FindSetRightBit"):
    """The lowest bit set, counted from 1, or 0 ("FindSetRightBit (Find First Set Right Bit)")."""

    __slots__ = ()


# -- comparisons ----


class LAnd(Logical, opcode="LAnd"):
    """Whether neither is zero ("LAnd (Logical And)"). Both are evaluated."""

    __slots__ = ()


class LOr(Logical, opcode="LOr"):
    """Whether one is not zero ("LOr (Logical Or)"). Both are evaluated."""

    __slots__ = ()


class LNot(Expression, opcode="LNot"):
    """Whether it is zero ("LNot (Logical Not)").

    Args:
        value: the operand.

    Raises:
        AmlValueError: an operand that yields no value, or is a `bool`.
    """

    __slots__ = ()

    def __init__(self, value: Value) -> None:
        """Encode the operand."""
        super().__init__(condition(value))


class LEqual(Comparison, opcode="LEqual"):
    """Whether both are equal ("LEqual (Logical Equal)")."""

    __slots__ = ()


class LNotEqual(Comparison, opcode="LNotEqual"):
    """Whether they differ ("LNotEqual (Logical Not Equal)")."""

    __slots__ = ()


class LLess(Comparison, opcode="LLess"):
    """Whether the first is less ("LLess (Logical Less)")."""

    __slots__ = ()


class LLessEqual(Comparison, opcode="LLessEqual"):
    """Whether the first is not greater ("LLessEqual (Logical Less Than Or Equal)")."""

    __slots__ = ()


class LGreater(Comparison, opcode="LGreater"):
    """Whether the first is greater ("LGreater (Logical Greater)")."""

    __slots__ = ()


class LGreaterEqual(Comparison, opcode="LGreaterEqual"):
    """Whether the first is not less ("LGreaterEqual (Logical Greater Than Or Equal)")."""

    __slots__ = ()


# -- strings, buffers, conversions ----


class Concatenate(Binary, opcode="Concatenate"):
    """Both, one after the other ("Concatenate (Concatenate Data)").

    The first says whether a string or a buffer comes of it; numbers make a buffer.
    """

    __slots__ = ()


class ConcatenateResTemplate(Binary, opcode="ConcatenateResTemplate"):
    """Two resource templates made one.

    "ConcatenateResTemplate (Concatenate Resource Templates)": the end tag of the first is left out,
    and that of the second computed anew.
    """

    __slots__ = ()


class Mid(Expression, opcode="Mid"):
    """A part of a buffer or string ("Mid (Extract Portion of Buffer or String)").

    Args:
        source: the buffer or string.
        index: of the first byte.
        length: bytes; fewer where the source ends before.
        result: where the part goes, or `None`.

    Raises:
        AmlValueError: an operand that yields no value, or a target that is no place.
    """

    __slots__ = ()

    def __init__(
        self, source: Value, index: Value, length: Value, result: Place | str | None = None
    ) -> None:
        """Encode operands and target."""
        super().__init__(operand(source), operand(index), operand(length), target(result))


class ToBuffer(Unary, opcode="ToBuffer"):
    """A number, string or buffer as a buffer ("ToBuffer (Convert Data to Buffer)")."""

    __slots__ = ()


class ToDecimalString(Unary, opcode="ToDecimalString"):
    """Decimal digits ("ToDecimalString (Convert Data to Decimal String)")."""

    __slots__ = ()


class ToHexString(Unary, opcode="ToHexString"):
    """Hexadecimal digits ("ToHexString (Convert Data to Hexadecimal String)")."""

    __slots__ = ()


class ToInteger(Unary, opcode="ToInteger"):
    """A number out of a string or buffer ("ToInteger (Convert Data to Integer)")."""

    __slots__ = ()


class ToString(Expression, opcode="ToString"):
    """The characters in a buffer, up to a zero byte ("ToString (Convert Buffer To String)").

    Args:
        source: the buffer.
        length: characters at the most; `None`: as many as there are.
        result: where the string goes, or `None`.

    Raises:
        AmlValueError: an operand that yields no value, or a target that is no place.
    """

    __slots__ = ()

    def __init__(
        self, source: Value, length: Value | None = None, result: Place | str | None = None
    ) -> None:
        """Encode operands and target; no length is Ones."""
        limit = (1 << 64) - 1 if length is None else length
        super().__init__(operand(source), operand(limit), target(result))


class FromBCD(Unary, opcode="FromBCD"):
    """The number that binary coded decimal says ("FromBCD (Convert BCD To Integer)")."""

    __slots__ = ()


class ToBCD(Unary, opcode="ToBCD"):
    """A number as binary coded decimal ("ToBCD (Convert Integer to BCD)")."""

    __slots__ = ()
