# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The elements of a field list.

ACPI Specification, AML Grammar Definition, "Named Objects Encoding" (FieldElement); ASL Operator
Reference, "Field (Declare Field Objects)".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Protocol, TypeAlias

from vmmkit.acpi.aml.data import Buffer
from vmmkit.acpi.aml.encoding import package_length, shown
from vmmkit.acpi.aml.node import Node, Path, path
from vmmkit.errors import AmlValueError

__all__ = [
    "Access",
    "AccessAs",
    "AccessAttribute",
    "Connection",
    "FieldElement",
    "NamedField",
    "Offset",
    "Reserved",
    "Unit",
    "checked",
    "units",
]


class Access(IntEnum):
    """How wide the guest's accesses to a field are ("Field (Declare Field Objects)")."""

    Any = 0
    Byte = 1
    Word = 2
    DWord = 3
    QWord = 4
    Buffer = 5


class AccessAttribute(IntEnum):
    """The protocol of a transfer on a serial bus ("AccessAs (Change Field Unit Access)").

    `Bytes`, `RawBytes` and `RawProcessBytes` take a length.
    """

    Quick = 0x02
    SendReceive = 0x04
    Byte = 0x06
    Word = 0x08
    Block = 0x0A
    Bytes = 0x0B
    ProcessCall = 0x0C
    BlockProcessCall = 0x0D
    RawBytes = 0x0E
    RawProcessBytes = 0x0F


_WITH_LENGTH = frozenset(
    {AccessAttribute.Bytes, AccessAttribute.RawBytes, AccessAttribute.RawProcessBytes}
)
_MAX_BITS = (1 << 28) - 1


def checked(kind: type[IntEnum], what: str, value: int) -> int:
    """Return a value of an enumeration as a number.

    Raises:
        AmlValueError: it has no such value, or it is a member of another enumeration.
    """
    other = isinstance(value, IntEnum) and not isinstance(value, kind)
    if other or not isinstance(value, int) or value not in tuple(kind):
        allowed = ", ".join(f"{member.name} ({member:#x})" for member in kind)
        raise AmlValueError(f"{what} is none of {kind.__name__}: {shown(value)}; {allowed}")
    return int(value)


def _width(what: str, bits: int) -> bytes:
    if not isinstance(bits, int) or not 0 <= bits <= _MAX_BITS:
        raise AmlValueError(f"{what} takes 0 to 2**28 - 1 bits, not {shown(bits)}")
    return package_length(bits, counts_itself=False)


class Unit(Node):
    """An element of a field list, as it is in AML."""

    __slots__ = ()

    @property
    def bits(self) -> int:
        """How many bits it takes."""
        return 0


class _Bits(Unit):
    """An element that takes bits, the last of its `args`."""

    __slots__ = ()

    @property
    def bits(self) -> int:
        """How many bits it takes."""
        bits: int = self.args[-1]
        return bits


class NamedField(_Bits):
    """A named field; a pair `(name, bits)` in a field list is the same.

    Its `args` are the name as a text, and the bits.

    Args:
        name: one segment.
        bits: 0 to 2**28 - 1.

    Raises:
        AmlValueError: no such name, or bits out of range.
    """

    __slots__ = ()

    def __init__(self, name: str, bits: int) -> None:
        """Encode name and width."""
        encoded = path(name).encoded
        if len(encoded) != 4 or not encoded[-1]:
            raise AmlValueError(f"the name of a field is one segment, not {shown(name)}")
        self.args = (name, bits)
        self.encoded = encoded + _width(f"field {name}", bits)
        self.relocations = ()


class Reserved(_Bits):
    """Bits without a name.

    Args:
        bits: 0 to 2**28 - 1.

    Raises:
        AmlValueError: bits out of range.
    """

    __slots__ = ()

    def __init__(self, bits: int) -> None:
        """Encode the width."""
        self.args = (bits,)
        self.encoded = b"\x00" + _width("Reserved", bits)
        self.relocations = ()


class AccessAs(Unit):
    """Another width and protocol for the fields from here on.

    "AccessAs (Change Field Unit Access)". Its `args` are access, attribute and length, the last
    `None` where there is none.

    Args:
        access: an `Access`.
        attribute: 0 to 255, for serial buses an `AccessAttribute`.
        length: bytes of a transfer, 0 to 255, with `Bytes`, `RawBytes` and `RawProcessBytes`.

    Raises:
        AmlValueError: a number out of range, or a length missing or not wanted.
    """

    __slots__ = ()

    def __init__(self, access: int, attribute: int = 0, length: int | None = None) -> None:
        """Encode access, attribute and length."""
        width = checked(Access, "access of AccessAs", access)
        for what, value in (("attribute", attribute), ("length", 0 if length is None else length)):
            if not isinstance(value, int) or not 0 <= value <= 0xFF:
                raise AmlValueError(f"{what} of AccessAs goes from 0 to 255, not {shown(value)}")
        if (attribute in _WITH_LENGTH) != (length is not None):
            raise AmlValueError(
                f"AccessAs takes a length with Bytes, RawBytes and RawProcessBytes, and only with "
                f"them, not {shown(attribute)} with {shown(length)}"
            )
        self.args = (width, int(attribute), length)
        form = (1, width, attribute) if length is None else (3, width, attribute, length)
        self.encoded = bytes(form)
        self.relocations = ()


class _Descriptor(Protocol):
    """A resource descriptor."""

    def to_bytes(self) -> bytes: ...


class Connection(Unit):
    """The pins or the bus that the fields from here on are reached by.

    "Connection (Declare Field Connection Attributes)".

    Args:
        source: name of an object that is a resource template, or a GPIO or serial bus descriptor,
            itself or as bytes or `Buffer`.

    Raises:
        AmlValueError: no legal name, or none of these.
    """

    __slots__ = ()

    def __init__(self, source: str | Node | bytes | _Descriptor) -> None:
        """Encode name or descriptor."""
        node: Node
        if isinstance(source, (str, Path)):
            node = path(source)
        elif isinstance(source, Node):
            node = source
        else:
            node = Buffer(source if isinstance(source, bytes) else _descriptor(source))
        if not isinstance(node, (Path, Buffer)):
            raise AmlValueError(f"Connection takes a name or a descriptor, not {node!r}")
        self.args = (node,)
        self.encoded = b"\x02" + node.encoded
        self.relocations = ()


def _descriptor(source: object) -> bytes:
    to_bytes = getattr(source, "to_bytes", None)
    if to_bytes is None or isinstance(source, (int, type)):
        raise AmlValueError(f"Connection takes a name or a descriptor, not {shown(source)}")
    content: bytes = to_bytes()
    return content


class Offset:
    """A place in a field list: what follows begins this many bytes from the start of the region.

    It becomes the `Reserved` that leads there, of 0 bits if need be ("Offset (Change Current Field
    Unit Offset)").

    Args:
        position: bytes.

    Raises:
        AmlValueError: no such number.
    """

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        """Keep the place."""
        if not isinstance(position, int) or not 0 <= position < 1 << 64:
            raise AmlValueError(f"Offset takes a number of bytes, not {shown(position)}")
        self.position = position

    def __repr__(self) -> str:
        """Return what makes it."""
        return f"Offset({self.position:#x})"


#: What a field list may be made of.
FieldElement: TypeAlias = Unit | Offset | tuple[str, int]


def units(owner: str, elements: Iterable[Any]) -> tuple[Unit, ...]:
    """Return a field list: pairs made named fields, and each `Offset` the bits up to it.

    Args:
        owner: what errors call the list.
        elements: as in `fields.Field`.

    Raises:
        AmlValueError: a name twice, an offset that is passed already, or no such element.
    """
    listed: list[Unit] = []
    position = 0
    names: set[bytes] = set()
    for element in elements:
        unit = _unit(owner, element, position)
        if isinstance(unit, NamedField):
            segment = unit.encoded[:4]
            if segment in names:
                raise AmlValueError(f"{owner} has two fields {unit.args[0]}")
            names.add(segment)
        position += unit.bits
        listed.append(unit)
    return tuple(listed)


def _unit(owner: str, element: Any, position: int) -> Unit:
    if isinstance(element, Unit):
        return element
    if isinstance(element, Offset):
        ahead = 8 * element.position - position
        if ahead < 0:
            raise AmlValueError(f"{element!r} in {owner} lies before bit {position:#x}")
        return Reserved(ahead)
    if isinstance(element, tuple) and len(element) == 2:
        return NamedField(*element)
    raise AmlValueError(f"{owner} holds (name, bits), Reserved, Offset, ..., not {shown(element)}")
