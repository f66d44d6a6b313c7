# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Symbolic pointers: what tables say about addresses before there are any.

A table refers to another by the object itself. Its bytes then hold zero at that place, and a
`Relocation` says that the address of the other belongs there. `vmmkit.acpi.layout` resolves them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import attrs

from vmmkit.errors import TableValueError

__all__ = [
    "Addressable",
    "Blob",
    "Checksum",
    "Pointer",
    "Relocation",
    "octets",
    "shown_bytes",
    "shown_target",
]


class Addressable(Protocol):
    """What can be placed in guest memory and pointed at: tables and `Blob`."""

    @property
    def name(self) -> str:
        """What errors and maps call it."""
        ...

    @property
    def alignment(self) -> int:
        """The power of two that its address must be a multiple of, in bytes."""
        ...

    def to_bytes(self) -> bytes:
        """Return its bytes, with zero where addresses belong."""
        ...

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where addresses of others belong."""
        ...

    def checksums(self) -> tuple[Checksum, ...]:
        """Return which bytes make sums zero, in the order they are to be set."""
        ...


def octets(value: Any, field: str = "a field of bytes", table: str | None = None) -> bytes:
    """Return the content of a field that holds any number of bytes.

    Args:
        value: `bytes`, or another buffer.
        field: name, for errors.
        table: signature, for errors, where the class is one table's.

    Raises:
        TableValueError: it is no buffer. (Of a number, `bytes` would make that many zeros.)
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TableValueError(f"{field} takes bytes, not {value!r:.80}", table)


_SHOWN = 64


def shown_bytes(content: bytes) -> str:
    """Return a text for `repr`: the content, or where there is much of it, how much."""
    return repr(content) if len(content) <= _SHOWN else f"<{len(content)} bytes>"


def shown_target(target: Any) -> str:
    """Return a text for `repr` that does not lead from one table to all others."""
    return f"<{target.name}>" if hasattr(target, "name") else repr(target)


#: An address, or what will have one.
Pointer: TypeAlias = int | Addressable


class Relocation(NamedTuple):
    """The address of `target` (plus `addend`) belongs at `offset`, little endian.

    Attributes:
        offset: bytes from the start of whoever holds the pointer.
        size: bytes the pointer takes, 1, 2, 4 or 8.
        target: whose address.
        optional: zero is as good where the address does not fit, as in the 32-bit twin of a
            64-bit field.
        addend: bytes into the target.
    """

    offset: int
    size: int
    target: Addressable
    optional: bool = False
    addend: int = 0


class Checksum(NamedTuple):
    """The byte at `offset` makes the bytes from `start`, `length` of them, sum up to zero.

    ACPI Specification, Root System Description Pointer and System Description Table Header.
    """

    offset: int
    start: int
    length: int


@attrs.frozen(eq=False)
class Blob:
    """Bytes without a table header that tables point at: an image, a log area, a generation id.

    Args:
        data: its content.
        name: for errors, maps, and as its file name in a loader script; up to 55 characters
            there.
        alignment: bytes, a power of two.
        address_file: where firmware that places it by a loader script writes the address back,
            so that the owner learns it (WRITE_POINTER); `None`: nowhere.
        address_offset: bytes into that file.
    """

    data: bytes = attrs.field(converter=octets, repr=shown_bytes)
    name: str = "blob"
    alignment: int = 16
    address_file: str | None = None
    address_offset: int = 0

    def __attrs_post_init__(self) -> None:
        """Check the alignment.

        Raises:
            TableValueError: it is no power of two.
        """
        value = self.alignment
        if not isinstance(value, int) or value < 1 or value & (value - 1):
            raise TableValueError(f"alignment {value!r} of {self.name} is no power of two")

    def to_bytes(self) -> bytes:
        """Return its content."""
        return self.data

    def relocations(self) -> tuple[Relocation, ...]:
        """Return nothing: bytes without structure point nowhere."""
        return ()

    def checksums(self) -> tuple[Checksum, ...]:
        """Return nothing."""
        return ()
