# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables with the standard header: the base of nearly all, and `Raw` for any other.

ACPI Specification, System Description Table Header.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar, Self
from zlib import adler32

import attrs

from vmmkit.acpi.relocation import Checksum, Relocation, octets, shown_bytes
from vmmkit.acpi.structure import KEY, Codec, Structure, structure, text, u32
from vmmkit.acpi.tables.entry import Entry, Family, RawEntry, joined_relocations, parse_entries
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.errors import AcpiError, TableParseError, TableValueError

__all__ = ["CHECKSUM_OFFSET", "HEADER_SIZE", "EntryTable", "Raw", "Table", "checksum"]

HEADER_SIZE = 36
CHECKSUM_OFFSET = 9
_START = struct.Struct("<4sI")  # signature, length; the declared fields begin after them


def checksum(data: bytes | bytearray) -> int:
    """Return the byte that makes the sum zero, of `data` that holds zero in its place."""
    return -byte_sum(data) & 0xFF


def byte_sum(data: bytes | bytearray) -> int:
    """Return the sum of bytes, which tables of many processors have thousands of.

    The low half of Adler-32 is one more than the sum, modulo 65521: more than 256 bytes can reach.
    """
    view = memoryview(data)
    parts = [adler32(view[start : start + 256]) & 0xFFFF for start in range(0, len(view), 256)]
    return sum(parts) - len(parts)


@structure
class Table(Structure):
    """A table with the standard header. Signature, length and checksum are made, not given.

    Args:
        revision: of the table's layout; that of the class where none is given.
        oem_id: up to 6 characters.
        oem_table_id: up to 8 characters.
        oem_revision: 32 bits.
        creator_id: up to 4 characters: which program made the table.
        creator_revision: 32 bits.
        trailing: bytes after the last known field, kept as they are.
    """

    # The checksum follows the revision; it is written last.
    revision: int = attrs.field(
        default=attrs.Factory(lambda table: table.REVISION, takes_self=True),
        kw_only=True,
        metadata={KEY: Codec("Bx")},
    )
    oem_id: str = text(6, default="VMMKIT", kw_only=True)
    oem_table_id: str = text(8, default="VMMKIT", kw_only=True)
    oem_revision: int = u32(default=1, kw_only=True)
    creator_id: str = text(4, default="VMMK", kw_only=True)
    creator_revision: int = u32(default=1, kw_only=True)
    trailing: bytes = attrs.field(
        default=b"", kw_only=True, converter=lambda value: octets(value, "trailing")
    )

    SIGNATURE: ClassVar[str] = ""
    REVISION: ClassVar[int] = 1  # where the caller gives none

    @classmethod
    def fields_base(cls) -> int:
        """Return the bytes of signature and length."""
        return _START.size

    @property
    def signature(self) -> str:
        """Four characters that say what table this is."""
        return self.SIGNATURE

    @property
    def name(self) -> str:
        """What errors and maps call it: its signature."""
        return self.signature

    @property
    def alignment(self) -> int:
        """Bytes; the specification asks for none, and programs like 16."""
        return 16

    def _encode(self) -> bytes:
        fixed = self._layout.pack(self)[: self._fixed_size() - _START.size]
        body = fixed + self._tail() + self.trailing
        length = _START.size + len(body)
        if length >> 32:
            raise TableValueError(f"{self.signature} has {length} bytes, beyond 4 GiB", self.name)
        content = bytearray(_START.pack(self.signature.encode("latin-1"), length) + body)
        content[CHECKSUM_OFFSET] = checksum(content)
        return bytes(content)

    def _fixed_size(self) -> int:
        """Return the bytes from the start of the table to its last fixed field.

        Tables whose revisions differ in length cut their fields here.
        """
        return _START.size + self._layout.size

    def _tail(self) -> bytes:
        """Return what follows the fixed fields, in tables that have such."""
        return b""

    def checksums(self) -> tuple[Checksum, ...]:
        """Return the one of the header, over the whole table."""
        return (Checksum(CHECKSUM_OFFSET, 0, len(self._encoded)),)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a table that `data` holds and nothing else.

        The checksum is checked. `to_bytes()` of what comes back are the same bytes; where that
        cannot be, for bytes that contradict the specification, this raises.

        Raises:
            TableParseError: another signature, a length that is not that of `data`, a wrong
                checksum, or content that the table cannot have.
        """
        data = octets(data, "data")
        check_header(data, cls.SIGNATURE)
        name = data[:4].decode("latin-1")
        try:
            table = cls._from_fields(data)
        except AcpiError as error:
            raise TableParseError(f"{name}: {error}", name, error.offset or 0) from None
        _check_same(table.to_bytes(), data, name)
        return table

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a table; the same as `from_bytes`."""
        return cls.from_bytes(data)

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        """Read fixed fields and tail of checked bytes; subclasses with a tail extend this."""
        fields, rest = cls._fixed(data)
        return cls(**fields, trailing=data[rest:])

    @classmethod
    def _fixed(cls, data: bytes) -> tuple[dict[str, Any], int]:
        """Return the fixed fields and the offset of what follows them."""
        size = _START.size + cls._layout.size
        if len(data) < size:
            raise TableParseError(
                f"{cls.SIGNATURE} has {len(data)} bytes, fewer than the {size} of its fixed fields",
                cls.SIGNATURE,
                len(data),
            )
        return cls._layout.unpack(data[_START.size : size]), size


def check_header(data: bytes, signature: str) -> None:
    """Check signature, length and checksum of a whole table.

    Raises:
        TableParseError: one of them is wrong.
    """
    name = data[:4].decode("latin-1")
    if len(data) < HEADER_SIZE:
        raise TableParseError(
            f"{signature or repr(name)}: {len(data)} bytes are no header of {HEADER_SIZE}",
            signature or name,
            len(data),
        )
    _, length = _START.unpack_from(data)
    if signature and name != signature:
        raise TableParseError(f"{signature} wanted, {name!r} found", signature, 0)
    if length != len(data):
        raise TableParseError(f"{name} says it has {length} bytes, not {len(data)}", name, 4)
    total = byte_sum(data)
    if total & 0xFF:
        right = (data[CHECKSUM_OFFSET] - total) & 0xFF
        raise TableParseError(
            f"{name} has checksum {data[CHECKSUM_OFFSET]:#04x}, not {right:#04x}",
            name,
            CHECKSUM_OFFSET,
        )


def moved(error: AcpiError, table: str, offset: int) -> TableParseError:
    """Return the error of a structure that begins at an offset as one of its table."""
    return TableParseError(str(error), table, offset + (error.offset or 0))


def _check_same(again: bytes, data: bytes, signature: str) -> None:
    """Check that a table's bytes are those it was read from.

    Raises:
        TableParseError: at the first byte that differs.
    """
    if again == data:
        return
    pairs = enumerate(zip(again, data, strict=False))
    offset = next((at for at, (one, other) in pairs if one != other), min(len(again), len(data)))
    raise TableParseError(f"{signature} does not read back at offset {offset}", signature, offset)


@structure
class EntryTable(Table):
    """A table that ends with a list of sub-structures of one `FAMILY`.

    Args:
        entries: sub-structures, `RawEntry` for those that no class is for.

    Raises:
        TableValueError: an entry that is no sub-structure, or one of another table.
    """

    entries: Sequence[Entry | RawEntry] = attrs.field(
        default=(), converter=tuple_of(None, "entries", Entry, RawEntry)
    )

    FAMILY: ClassVar[Family]

    def _tail(self) -> bytes:
        for number, entry in enumerate(self.entries):
            if entry.family is not self.FAMILY:
                raise TableValueError(
                    f"{self.name}.entries[{number}] is a {type(entry).__name__} of the "
                    f"{entry.family.table}",
                    self.name,
                )
        return b"".join([entry.to_bytes() for entry in self.entries])

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where addresses of others belong."""
        return self._layout.relocations(self) + joined_relocations(self.entries, self._fixed_size())

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        entries, trailing = parse_entries(cls.FAMILY, data, rest)
        return cls(entries, **fields, trailing=trailing)


@structure
class Raw(Table):
    """Any table, as its header and bytes.

    Args:
        signature: 4 characters.
        body: what follows the header.
    """

    _signature: str = attrs.field(alias="signature")
    body: bytes = attrs.field(
        default=b"", converter=lambda value: octets(value, "Raw.body"), repr=shown_bytes
    )

    @property
    def signature(self) -> str:
        """Four characters that say what table this is."""
        return self._signature

    def _encode(self) -> bytes:
        named = isinstance(self.signature, str) and self.signature.isascii()
        if not named or len(self.signature) != 4:
            raise TableValueError(f"{self.signature!r} is no signature of 4 characters")
        return super()._encode()

    def _tail(self) -> bytes:
        return self.body

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        return cls(data[:4].decode("latin-1"), data[rest:], **fields)
