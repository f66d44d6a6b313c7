# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fields: the registers of an operation region, bit by bit.

ACPI Specification, ASL Operator Reference; AML Grammar Definition, "Named Objects Encoding".
"""

from __future__ import annotations

from enum import IntEnum

from vmmkit.acpi.aml.field_units import Access, FieldElement, checked, units
from vmmkit.acpi.aml.node import Node, Path, Value, operand, path

__all__ = [
    "BankField",
    "Field",
    "IndexField",
    "Lock",
    "Update",
]


class Lock(IntEnum):
    """Whether each access to a field takes the global lock."""

    NoLock = 0
    Lock = 1


class Update(IntEnum):
    """What a write puts into those bits of an access that are no part of the field."""

    Preserve = 0
    WriteAsOnes = 1
    WriteAsZeros = 2


def _flags(owner: str, access: int, lock: int, update: int) -> int:
    """Return the byte FieldFlags."""
    return (
        checked(Access, f"access of {owner}", access)
        | checked(Lock, f"lock of {owner}", lock) << 4
        | checked(Update, f"update of {owner}", update) << 5
    )


class Field(Node, opcode="Field"):
    """Names for the bits of a region ("Field (Declare Field Objects)").

    Args:
        region: name of the operation region.
        access: how wide the guest's accesses are, an `Access`.
        lock: whether they take the global lock, a `Lock`.
        update: what becomes of the bits around a field, an `Update`.
        elements: in the order of the bits: `(name, bits)`, `Reserved(bits)`, `Offset(bytes)`,
            `AccessAs(...)`, `Connection(...)`.

    Raises:
        AmlValueError: no legal name, a name twice, an offset that is passed already, or a keyword
            that is none.
    """

    __slots__ = ()

    def __init__(
        self, region: str | Path, access: int, lock: int, update: int, *elements: FieldElement
    ) -> None:
        """Encode flags and field list."""
        of = path(region)
        owner = f"a Field of {of.text}"
        super().__init__(of, _flags(owner, access, lock, update), units(owner, elements))


class IndexField(Node, opcode="IndexField"):
    """Names for registers behind an index and a data register.

    "IndexField (Declare Index/Data Fields)": the guest writes the byte offset to the one and then
    reads or writes the other.

    Args:
        index: name of the field that takes the offset.
        data: name of the field that is the register then.
        access: how wide the guest's accesses are, an `Access`.
        lock: whether they take the global lock, a `Lock`.
        update: what becomes of the bits around a field, an `Update`.
        elements: as in `Field`.

    Raises:
        AmlValueError: as in `Field`.
    """

    __slots__ = ()

    def __init__(
        self,
        index: str | Path,
        data: str | Path,
        access: int,
        lock: int,
        update: int,
        *elements: FieldElement,
    ) -> None:
        """Encode names, flags and field list."""
        first = path(index)
        owner = f"an IndexField of {first.text}"
        flags = _flags(owner, access, lock, update)
        super().__init__(first, path(data), flags, units(owner, elements))


class BankField(Node, opcode="BankField"):
    """Names for registers in one of several banks ("BankField (Declare Bank/Data Field)").

    The guest writes the bank's number to a field before each access.

    Args:
        region: name of the operation region that shows the bank.
        bank: name of the field that selects it.
        value: number of the bank.
        access: how wide the guest's accesses are, an `Access`.
        lock: whether they take the global lock, a `Lock`.
        update: what becomes of the bits around a field, an `Update`.
        elements: as in `Field`.

    Raises:
        AmlValueError: as in `Field`.
    """

    __slots__ = ()

    def __init__(
        self,
        region: str | Path,
        bank: str | Path,
        value: Value,
        access: int,
        lock: int,
        update: int,
        *elements: FieldElement,
    ) -> None:
        """Encode names, number, flags and field list."""
        of = path(region)
        owner = f"a BankField of {of.text}"
        flags = _flags(owner, access, lock, update)
        super().__init__(of, path(bank), operand(value), flags, units(owner, elements))
