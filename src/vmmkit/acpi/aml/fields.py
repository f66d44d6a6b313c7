# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fields: the registers of an operation region, bit by bit.

ACPI Specification, ASL Operator Reference, "Field (Declare Field Objects)"; AML Grammar
Definition, "Named Objects Encoding" (FieldElement).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, TypeAlias

from vmmkit.acpi.aml.names import name_bytes
from vmmkit.acpi.aml.node import Node, Path, package_length, path
from vmmkit.errors import AmlValueError

__all__ = ["Access", "Field", "Lock", "NamedField", "Offset", "Reserved", "Update"]


class Access(IntEnum):
    """How wide the accesses to a field are ("Field (Declare Field Objects)")."""

    Any = 0
    Byte = 1
    Word = 2
    DWord = 3
    QWord = 4
    Buffer = 5


class Lock(IntEnum):
    """Whether each access to a field takes the global lock."""

    NoLock = 0
    Lock = 1


class Update(IntEnum):
    """What a write puts into the bits of an access that are no part of the field."""

    Preserve = 0
    WriteAsOnes = 1
    WriteAsZeros = 2


class Unit(Node):
    """An element of a field list."""

    __slots__ = ()

    @property
    def bits(self) -> int:
        """How many bits it takes."""
        return 0


class NamedField(Unit):
    """A named field of some bits; a pair `(name, bits)` in a field list is the same.

    `args` is the name as a text, and the bits.

    Args:
        name: one segment.
        bits: 0 to 2**28 - 1.
    """

    __slots__ = ()

    def __init__(self, name: str, bits: int) -> None:
        """Encode name and width."""
        encoded = name_bytes(name)
        if len(encoded) != 4:
            raise AmlValueError(f"a field's name is one segment, not {name!r}")
        self.args = (name, bits)
        self.encoded = encoded + _width(name, bits)
        self.relocations = ()

    @property
    def bits(self) -> int:
        """How many bits it takes."""
        bits: int = self.args[1]
        return bits


class Reserved(Unit):
    """Bits without a name.

    Args:
        bits: 0 to 2**28 - 1.
    """

    __slots__ = ()

    def __init__(self, bits: int) -> None:
        """Encode the width."""
        self.args = (bits,)
        self.encoded = b"\0" + _width("Reserved", bits)
        self.relocations = ()

    @property
    def bits(self) -> int:
        """How many bits it takes."""
        bits: int = self.args[0]
        return bits


class Offset:
    """A place in a field list: what follows begins this many bytes from the region's start.

    It becomes the `Reserved` that leads there.

    Args:
        position: bytes.
    """

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        """Keep the place."""
        self.position = position


FieldElement: TypeAlias = Unit | Offset | tuple[str, int]


def _width(name: str, bits: int) -> bytes:
    if not isinstance(bits, int) or not 0 <= bits < 1 << 28:
        raise AmlValueError(f"{name} takes 0 to 2**28 - 1 bits, not {bits!r}")
    return package_length(bits, counts_itself=False)


def units(owner: str, elements: Iterable[Any]) -> tuple[Unit, ...]:
    """Return a field list: pairs made named fields, and each `Offset` the bits up to it.

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
                raise AmlValueError(f"two fields {unit.args[0]} in {owner}")
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
            raise AmlValueError(
                f"Offset({element.position:#x}) in {owner} lies behind bit {position:#x}"
            )
        return Reserved(ahead)
    if isinstance(element, tuple) and len(element) == 2:
        return NamedField(*element)
    raise AmlValueError(f"{owner} holds (name, bits), Reserved, Offset, ..., not {element!r}")


class Field(Node, opcode="Field"):
    """Name the registers of an operation region ("Field (Declare Field Objects)").

    Args:
        region: name of the operation region.
        access: how wide accesses are.
        lock: whether they take the global lock.
        update: what becomes of the bits around a field.
        elements: `(name, bits)`, `Reserved(bits)`, `Offset(bytes)`.

    Raises:
        AmlValueError: no legal name, a name twice, or an offset that is passed already.
    """

    __slots__ = ()

    def __init__(
        self,
        region: str | Path,
        access: Access,
        lock: Lock,
        update: Update,
        *elements: FieldElement,
    ) -> None:
        """Encode the field list."""
        owner = f"Field of {region}"
        super().__init__(path(region), access | lock << 4 | update << 5, units(owner, elements))
