# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Constants, strings, buffers and packages.

ACPI Specification, AML Grammar Definition, "Data Objects Encoding".
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from vmmkit.acpi.aml.encoding import framed, shown
from vmmkit.acpi.aml.node import Data, Node, Path, Value, coerces, operand, term
from vmmkit.acpi.relocation import Addressable, Relocation
from vmmkit.errors import AmlValueError

__all__ = [
    "Address",
    "Buffer",
    "ByteConst",
    "DWordConst",
    "EisaId",
    "Integer",
    "One",
    "Ones",
    "Package",
    "QWordConst",
    "Revision",
    "String",
    "ToUUID",
    "Unicode",
    "VarPackage",
    "WordConst",
    "Zero",
    "integer",
]

_BYTES = tuple(bytes((value,)) for value in range(0x100))
_EISA_ID = re.compile("[A-Z]{3}[0-9A-F]{4}")


class Integer(Data):
    """A constant number. A plain `int` becomes the shortest of them."""

    __slots__ = ()

    # The code, and how many bytes follow it.
    _CODE: ClassVar[bytes] = b""
    _SIZE: ClassVar[int] = 0

    def __init__(self, value: int) -> None:
        """Encode the number."""
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * self._SIZE:
            name = self.OPCODE.name
            raise AmlValueError(f"{name} holds {self._SIZE} bytes, not {shown(value)}")
        self.encoded = self._CODE + value.to_bytes(self._SIZE, "little")
        self.args = (value,)
        self.relocations = ()

    def _brief(self) -> str:
        return hex(self.value) if self.value > 9 else str(self.value)

    @property
    def value(self) -> int:
        """The number; 2**64 - 1 for Ones."""
        value: int = self.args[0]
        return value


class ByteConst(Integer, opcode="ByteConst"):
    """A constant of one byte, whatever its value."""

    __slots__ = ()

    _CODE, _SIZE = b"\x0a", 1


class WordConst(Integer, opcode="WordConst"):
    """A constant of two bytes."""

    __slots__ = ()

    _CODE, _SIZE = b"\x0b", 2


class DWordConst(Integer, opcode="DWordConst"):
    """A constant of four bytes."""

    __slots__ = ()

    _CODE, _SIZE = b"\x0c", 4


class QWordConst(Integer, opcode="QWordConst"):
    """A constant of eight bytes."""

    __slots__ = ()

    _CODE, _SIZE = b"\x0e", 8


class _Constant(Integer):
    """A constant that is its opcode alone."""

    __slots__ = ()

    _VALUE: ClassVar[int] = 0

    def __init__(self) -> None:
        """Encode the opcode."""
        self.args = ()
        self.encoded = self.OPCODE.code
        self.relocations = ()

    @property
    def value(self) -> int:
        """The number."""
        return self._VALUE


class _Zero(_Constant, opcode="Zero"):
    __slots__ = ()


class _One(_Constant, opcode="One"):
    __slots__ = ()

    _VALUE = 1


class _Ones(_Constant, opcode="Ones"):
    __slots__ = ()

    _VALUE = (1 << 64) - 1


class _Revision(Data, opcode="Revision"):
    __slots__ = ()


#: The number 0.
Zero = _Zero()
#: The number 1.
One = _One()
#: All bits set: 64 of them, or 32 where the definition block's revision is 1.
Ones = _Ones()
#: The version of the AML that the guest's interpreter understands.
Revision = _Revision()

_SMALL: dict[int, Integer] = {0: Zero, 1: One, Ones.value: Ones}
_SMALL.update({value: ByteConst(value) for value in range(2, 0x100)})


@coerces(int)
def integer(value: int) -> Integer:
    """Return the shortest constant for a number from 0 to 2**64 - 1.

    2**64 - 1 is `Ones`, which is 32 bits wide in a table of revision 1.

    Raises:
        AmlValueError: out of range.
    """
    if not isinstance(value, int):
        raise AmlValueError(f"AML has no value for {shown(value)} of type {type(value).__name__}")
    small = _SMALL.get(value)
    if small is not None:
        return small
    if not 0 <= value < 1 << 64:
        raise AmlValueError(f"AML integers go from 0 to 2**64 - 1, not {shown(value)}")
    kind = WordConst if value < 1 << 16 else DWordConst if value < 1 << 32 else QWordConst
    return kind(int(value))


@coerces(str)
class String(Data, opcode="String"):
    """A string of ASCII characters.

    Args:
        text: without NUL.

    Raises:
        AmlValueError: other characters.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Encode the text."""
        if not isinstance(text, str) or not text.isascii() or "\0" in text:
            raise AmlValueError(f"a string is ASCII characters without NUL, not {shown(text)}")
        self.args = (text,)
        self.encoded = b"\x0d" + text.encode("ascii") + b"\0"
        self.relocations = ()


@coerces(bytes)
@coerces(bytearray)
class Buffer(Data, opcode="Buffer"):
    """A buffer.

    Args:
        content: the bytes it begins with.
        size: bytes, a number or a term; that of the content where none is given.

    Raises:
        AmlValueError: a number that is less than the content.
    """

    __slots__ = ()

    def __init__(self, content: bytes = b"", size: Value | None = None) -> None:
        """Encode size and content."""
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise AmlValueError(f"a buffer holds bytes, not {shown(content)}")
        content = bytes(content)
        if isinstance(size, int) and size < len(content):
            raise AmlValueError(f"a buffer of {size} bytes cannot hold {len(content)}")
        counted = operand(len(content) if size is None else size)
        self.args = (counted, content)
        if counted.relocations:
            super().__init__(*self.args)
        else:
            self.encoded = framed(self.OPCODE.code, [counted.encoded, content])
            self.relocations = ()


@coerces(list)
@coerces(tuple)
def _package(elements: Any) -> Node:
    return _package_of(_elements(elements))


def _package_of(nodes: tuple[Node, ...]) -> Node:
    """Return the package of these elements, made already."""
    count = len(nodes)
    if count > 0xFF:
        return VarPackage(*nodes)
    package = Package.__new__(Package)
    package.args = (count, nodes)
    package._enclose(_BYTES[count], nodes)  # noqa: SLF001 - as its constructor does
    return package


def _elements(values: Sequence[Any]) -> tuple[Node, ...]:
    """Return the nodes of a package's elements, lists in it become packages, however deep."""
    nodes: list[Node] = []
    rest = iter(values)
    around: list[tuple[Iterator[Any], list[Node], int]] = []
    unfinished = {id(values)}
    while True:
        for value in rest:
            if type(value) is int:
                # Most are small numbers.
                node: Node | None = _SMALL.get(value)
                nodes.append(integer(value) if node is None else node)
            elif isinstance(value, _ELEMENT):
                nodes.append(value)
            elif not isinstance(value, (list, tuple)):
                nodes.append(_element(value))
            elif id(value) in unfinished:
                raise AmlValueError("a package cannot contain itself")
            else:
                unfinished.add(id(value))
                around.append((rest, nodes, id(value)))
                rest, nodes = iter(value), []
                break
        else:
            if not around:
                return tuple(nodes)
            package = _package_of(tuple(nodes))
            rest, nodes, finished = around.pop()
            unfinished.remove(finished)
            nodes.append(package)


def _element(value: Any) -> Node:
    """Return the node of a value as it stands, or of a name."""
    node = term(value)
    if not isinstance(node, _ELEMENT):
        raise AmlValueError(f"a package holds values and names, not {node!r}")
    return node


_ELEMENT = (Data, Path)


class Package(Data, opcode="Package"):
    """A package of up to 255 values and names; a plain list that is longer becomes a `VarPackage`.

    ACPI Specification, ASL Operator Reference, "Package (Declare Package Object)". The guest takes
    a name in it for the object of that name, when it needs it.

    Args:
        elements: values, or `Path` for a reference to a named object.
        count: elements it has, those not given being uninitialized.

    Raises:
        AmlValueError: more than 255 elements, a count below their number, or an element that would
            have to be evaluated.
    """

    __slots__ = ()

    def __init__(self, *elements: Value, count: int | None = None) -> None:
        """Encode count and elements."""
        nodes = _elements(elements)
        if count is None:
            count = len(nodes)
        if not isinstance(count, int) or not len(nodes) <= count <= 0xFF:
            raise AmlValueError(
                f"a package of {shown(count)} elements, {len(nodes)} given; 255 is the limit of "
                "Package, VarPackage takes more"
            )
        self.args = (count, nodes)
        self._enclose(_BYTES[count], nodes)


class VarPackage(Data, opcode="VarPackage"):
    """A package whose number of elements is a term, or more than 255.

    Args:
        elements: as in `Package`.
        count: elements it has, a number or a term; their number where none is given.

    Raises:
        AmlValueError: a count below the number of elements, one that yields no value, or an
            element that would have to be evaluated.
    """

    __slots__ = ()

    def __init__(self, *elements: Value, count: Value | None = None) -> None:
        """Encode count and elements."""
        if isinstance(count, int) and count < len(elements):
            raise AmlValueError(f"a package of {count} elements, {len(elements)} given")
        counted = operand(len(elements) if count is None else count)
        nodes = _elements(elements)
        self.args = (counted, nodes)
        self._enclose(b"", (counted, *nodes))


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
            raise AmlValueError(f"no UUID: {shown(value)}") from None
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
            raise AmlValueError(f"no Unicode text: {shown(text)}") from None
        if "\0" in text:
            raise AmlValueError(f"a Unicode string ends at the first NUL: {shown(text)}")
        super().__init__(content + b"\0\0")


def EisaId(text: str) -> Integer:  # noqa: N802 - an operator of ASL, written as the others are
    """Return a device identification of seven characters as the number that `_HID` and `_CID` take.

    ACPI Specification, ASL Operator Reference, "EISAID (EISA ID String To Integer Conversion
    Macro)". Like any number it takes the fewest bytes: two for `PNP0000`, four for most.

    Args:
        text: three capital letters and four hexadecimal digits, such as `PNP0A08`. A longer
            ACPI identification (`ACPI0007`) is a plain string instead.

    Raises:
        AmlValueError: no such identification.
    """
    if not isinstance(text, str) or not _EISA_ID.fullmatch(text):
        raise AmlValueError(
            f"an EISA id is three of A-Z and four of 0-9 and A-F, not {shown(text)}"
        )
    first, second, third = (ord(letter) - 0x40 for letter in text[:3])
    packed = (first << 10 | second << 5 | third) << 16 | int(text[3:], 16)
    return integer(int.from_bytes(packed.to_bytes(4, "big"), "little"))


class Address(Data):
    """The address of a table or `Blob`, as a constant that is filled in when it is known.

    Args:
        target: whose address.
        size: 4 or 8 bytes.
        addend: bytes into the target.

    Raises:
        AmlValueError: another size, or something that has no address.
    """

    __slots__ = ()

    def __init__(self, target: Addressable, size: int = 4, addend: int = 0) -> None:
        """Encode zero and remember the place."""
        if not callable(getattr(target, "checksums", None)):
            raise AmlValueError(f"an Address is that of a table or Blob, not {shown(target)}")
        if size not in (4, 8):
            raise AmlValueError(f"an address in AML has 4 or 8 bytes, not {shown(size)}")
        constant = DWordConst(0) if size == 4 else QWordConst(0)
        self.args = (target, size, addend)
        self.encoded = constant.encoded
        self.relocations = (Relocation(1, size, target, addend=addend),)

    def __repr__(self) -> str:
        """Return whose address it is."""
        target, size, addend = self.args
        return f"Address({shown(target.name)}, {size}, {addend})"

    def _brief(self) -> str:
        return repr(self)
