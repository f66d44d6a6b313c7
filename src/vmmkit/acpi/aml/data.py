# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Constants, strings, buffers and packages.

ACPI Specification, AML Grammar Definition, "Data Objects Encoding".
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from vmmkit.acpi.aml.node import (
    CLASSES,
    Expression,
    Node,
    coerces,
    term,
    terms,
)
from vmmkit.acpi.relocation import Addressable, Relocation
from vmmkit.errors import AmlValueError

__all__ = [
    "Address",
    "Buffer",
    "ByteConst",
    "DWordConst",
    "EisaId",
    "One",
    "Ones",
    "Package",
    "QWordConst",
    "String",
    "ToUUID",
    "Unicode",
    "VarPackage",
    "WordConst",
    "Zero",
    "integer",
]

_ONES = (1 << 64) - 1
_EISA_ID = re.compile("[A-Z]{3}[0-9A-F]{4}")


class _Constant(Expression):
    """A constant that is its opcode alone."""

    __slots__ = ()


class _Zero(_Constant, opcode="Zero"):
    __slots__ = ()


class _One(_Constant, opcode="One"):
    __slots__ = ()


class _Ones(_Constant, opcode="Ones"):
    __slots__ = ()


class ByteConst(Expression, opcode="ByteConst"):
    """A constant of one byte, whatever its value; a plain `int` takes the fewest."""

    __slots__ = ()


class WordConst(Expression, opcode="WordConst"):
    """A constant of two bytes."""

    __slots__ = ()


class DWordConst(Expression, opcode="DWordConst"):
    """A constant of four bytes."""

    __slots__ = ()


class QWordConst(Expression, opcode="QWordConst"):
    """A constant of eight bytes."""

    __slots__ = ()


Zero, One, Ones = _Zero(), _One(), _Ones()

_SMALL: dict[int, Node] = {0: Zero, 1: One, _ONES: Ones}
_SMALL.update({value: ByteConst(value) for value in range(2, 0x100)})


@coerces(int)
def integer(value: int) -> Node:
    """Return the shortest constant for a number from 0 to 2**64 - 1.

    2**64 - 1 is `Ones`, which is 32 bits wide in a table of revision 1.

    Raises:
        AmlValueError: out of range.
    """
    small = _SMALL.get(value)
    if small is not None:
        return small
    if not 0 <= value <= _ONES:
        raise AmlValueError(f"AML integers go from 0 to 2**64 - 1: {value}")
    kind = WordConst if value < 1 << 16 else DWordConst if value < 1 << 32 else QWordConst
    return kind(int(value))


@coerces(str)
class String(Expression, opcode="String"):
    """A string of ASCII characters.

    Args:
        text: without NUL.

    Raises:
        AmlValueError: other characters.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Encode the text."""
        super().__init__(text)


@coerces(bytes)
@coerces(bytearray)
class Buffer(Expression, opcode="Buffer"):
    """A buffer.

    Args:
        content: the bytes it begins with.
        size: bytes, a number or a term; that of the content where none is given.

    Raises:
        AmlValueError: a number that is less than the content.
    """

    __slots__ = ()

    def __init__(self, content: bytes = b"", size: Any = None) -> None:
        """Encode size and content."""
        content = bytes(content)
        if isinstance(size, int) and size < len(content):
            raise AmlValueError(f"a buffer of {size} bytes cannot hold {len(content)}")
        super().__init__(term(len(content) if size is None else size), content)


@coerces(list)
@coerces(tuple)
def _package(elements: Any) -> Node:
    return Package(*elements) if len(elements) <= 0xFF else VarPackage(*elements)


class Package(Expression, opcode="Package"):
    """A package of up to 255 values and names; a plain list that is longer becomes a `VarPackage`.

    Args:
        elements: values, or `Path` for a reference to a named object.
        count: elements it has, those not given being uninitialized.

    Raises:
        AmlValueError: more than 255 elements, or a count below their number.
    """

    __slots__ = ()

    def __init__(self, *elements: Any, count: int | None = None) -> None:
        """Encode count and elements."""
        nodes = tuple([term(element) for element in elements])
        if count is None:
            count = len(nodes)
        if not len(nodes) <= count <= 0xFF:
            raise AmlValueError(
                f"a package of {count} elements, {len(nodes)} given; 255 is the limit of Package, "
                "VarPackage takes more"
            )
        super().__init__(count, nodes)


class VarPackage(Expression, opcode="VarPackage"):
    """A package whose number of elements is a term, or more than 255.

    Args:
        elements: as in `Package`.
        count: elements it has, a number or a term; their number where none is given.
    """

    __slots__ = ()

    def __init__(self, *elements: Any, count: Any = None) -> None:
        """Encode count and elements."""
        if isinstance(count, int) and count < len(elements):
            raise AmlValueError(f"a package of {count} elements, {len(elements)} given")
        super().__init__(term(len(elements) if count is None else count), terms(elements))


@coerces(uuid.UUID)
class ToUUID(Buffer):
    """The buffer of 16 bytes that ASL's ToUUID makes.

    Args:
        value: a UUID, or its text.

    Raises:
        AmlValueError: no UUID.
    """

    __slots__ = ()

    def __init__(self, value: uuid.UUID | str) -> None:
        """Encode the UUID, its first three parts little endian."""
        try:
            parsed = value if isinstance(value, uuid.UUID) else uuid.UUID(value)
        except (ValueError, AttributeError, TypeError):
            raise AmlValueError(f"no UUID: {value!r}") from None
        super().__init__(parsed.bytes_le)


class Unicode(Buffer):
    """The buffer that ASL's Unicode makes of a string: UTF-16, little endian, with a NUL.

    Args:
        text: any characters but NUL.

    Raises:
        AmlValueError: a NUL within, or half of a surrogate pair.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Encode the text."""
        try:
            content = text.encode("utf-16-le")
        except (UnicodeEncodeError, AttributeError):
            raise AmlValueError(f"no Unicode text: {text!r}") from None
        if "\0" in text:
            raise AmlValueError(f"a Unicode string ends at the first NUL: {text!r}")
        super().__init__(content + b"\0\0")


class EisaId(DWordConst):
    """A device identification of seven characters in four bytes, as `_HID` and `_CID` take it.

    ACPI Specification, ASL Operator Reference, "EISAID (EISA ID String To Integer Conversion
    Macro)".

    Args:
        text: three capital letters and four hexadecimal digits, such as `PNP0A08`. A longer
            ACPI identification (`ACPI0007`, `QEMU0002`) is a plain string instead.

    Raises:
        AmlValueError: no such identification.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Pack five bits a letter and four a digit, the first letter foremost."""
        if not isinstance(text, str) or not _EISA_ID.fullmatch(text):
            raise AmlValueError(
                f"an EISA id is three of A-Z and four hexadecimal digits, not {text!r}"
            )
        first, second, third = (ord(letter) - 0x40 for letter in text[:3])
        packed = (first << 10 | second << 5 | third) << 16 | int(text[3:], 16)
        super().__init__(int.from_bytes(packed.to_bytes(4, "big"), "little"))


class Address(Expression):
    """The address of a table or `Blob`, as a constant that is filled in when it is known.

    Args:
        target: whose address.
        size: 4 or 8 bytes.
        addend: bytes into the target.

    Raises:
        AmlValueError: another size.
    """

    __slots__ = ()

    def __init__(self, target: Addressable, size: int = 4, addend: int = 0) -> None:
        """Encode zero and remember the place."""
        if size not in {4, 8}:
            raise AmlValueError(f"an address in AML has 4 or 8 bytes, not {size}")
        constant = CLASSES["DWordConst" if size == 4 else "QWordConst"](0)
        self.args = (target, size, addend)
        self.encoded = constant.encoded
        self.relocations = (Relocation(1, size, target, addend=addend),)
