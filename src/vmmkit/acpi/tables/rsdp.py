# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""RSDP: where the search for tables begins.

ACPI Specification, Root System Description Pointer (RSDP).
"""

from __future__ import annotations

from typing import Any, Self

import attrs

from vmmkit.acpi.relocation import Checksum, Pointer, Relocation
from vmmkit.acpi.structure import KEY, Codec, Structure, pointer, structure, text, u8
from vmmkit.acpi.tables.table import checksum
from vmmkit.errors import TableParseError, TableValueError

__all__ = ["RSDP_SIGNATURE", "Rsdp"]

RSDP_SIGNATURE = b"RSD PTR "
_CHECKSUM_OFFSET = 8
_OEM_ID_OFFSET = 9
_REVISION_OFFSET = 15
_LENGTH_OFFSET = 20
_EXTENDED_CHECKSUM_OFFSET = 32
_SIZE = 36
_SIZE_1 = 20  # of revision 0; also what the first checksum covers in every revision


def _pack_reserved(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != 3:
        raise TypeError
    return value


@structure
class Rsdp(Structure):
    """The Root System Description Pointer. Signature, length and checksums are made, not given.

    Args:
        xsdt_address: the XSDT, or its address; from revision 2 on.
        rsdt_address: the RSDT, or its address; 0 where there is none.
        oem_id: up to 6 characters.
        revision: 0 or 1: the 20 bytes of ACPI 1.0; from 2 on: the 36 bytes of later versions.
        reserved: the last three bytes.

    Raises:
        TableValueError: a value that its field cannot hold, or an XSDT in revision 0 or 1.
    """

    oem_id: str = text(6, default="VMMKIT", kw_only=True)
    revision: int = u8(default=2, kw_only=True)
    rsdt_address: Pointer = pointer(4, default=0, kw_only=True)
    length: int = attrs.field(
        init=False, eq=False, repr=False, default=_SIZE, metadata={KEY: Codec("I")}
    )
    xsdt_address: Pointer = pointer(8, default=0)
    # The extended checksum comes before it; it is written last.
    reserved: bytes = attrs.field(
        default=bytes(3), kw_only=True, metadata={KEY: Codec("x3s", _pack_reserved)}
    )

    @classmethod
    def fields_base(cls) -> int:
        """Return the bytes of signature and checksum."""
        return _OEM_ID_OFFSET

    @property
    def signature(self) -> str:
        """Eight characters."""
        return RSDP_SIGNATURE.decode()

    @property
    def name(self) -> str:
        """What errors and maps call it."""
        return "RSDP"

    @property
    def alignment(self) -> int:
        """16 bytes: the steps in which systems search for it."""
        return 16

    def _encode(self) -> bytes:
        content = bytearray(RSDP_SIGNATURE + bytes(1) + self._layout.pack(self))
        if self.revision < 2:
            self._check_old()
            del content[_SIZE_1:]
        for place in self._checksums(len(content)):
            covered = content[place.start : place.start + place.length]
            content[place.offset] = checksum(covered)
        return bytes(content)

    def _check_old(self) -> None:
        if self.xsdt_address != 0 or any(self.reserved):
            raise TableValueError(
                f"RSDP of revision {self.revision} has no xsdt_address and reserved bytes",
                self.name,
                _LENGTH_OFFSET,
            )

    @staticmethod
    def _checksums(size: int) -> tuple[Checksum, ...]:
        first = Checksum(_CHECKSUM_OFFSET, 0, _SIZE_1)
        if size == _SIZE_1:
            return (first,)
        return (first, Checksum(_EXTENDED_CHECKSUM_OFFSET, 0, size))

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where RSDT and XSDT belong; the RSDT may be left out where there is an XSDT."""
        found = super().relocations()
        return tuple(place._replace(optional=place.size == 4 and len(found) > 1) for place in found)

    def checksums(self) -> tuple[Checksum, ...]:
        """Return that of the first 20 bytes, and from revision 2 on that of all of them."""
        return self._checksums(len(self._encoded))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one; the same as `from_bytes`."""
        return cls.from_bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read an RSDP that `data` holds and nothing else; both checksums are checked.

        Raises:
            TableParseError: another signature, too few or too many bytes, a wrong checksum.
        """
        data = bytes(data)
        if not data.startswith(RSDP_SIGNATURE):
            raise TableParseError(f"RSDP wanted, {data[:8]!r} found", "RSDP", 0)
        old = len(data) > _REVISION_OFFSET and data[_REVISION_OFFSET] < 2
        size = _SIZE_1 if old else _SIZE
        if len(data) != size or not (old or _length(data) == size):
            raise TableParseError(
                f"RSDP has {size} bytes, not {len(data)}, and says so in its length",
                "RSDP",
                min(len(data), _LENGTH_OFFSET),
            )
        fields = cls._layout.unpack(data[_OEM_ID_OFFSET:].ljust(_SIZE - _OEM_ID_OFFSET, b"\0"))
        del fields["length"]
        found = cls(**fields)
        _check_sums(found, data)
        return found


def _length(data: bytes) -> int:
    return int.from_bytes(data[_LENGTH_OFFSET : _LENGTH_OFFSET + 4], "little")


def _check_sums(found: Rsdp, data: bytes) -> None:
    right = found.to_bytes()
    for place in found.checksums():
        if data[place.offset] != right[place.offset]:
            raise TableParseError(
                f"RSDP has checksum {data[place.offset]:#04x} at offset {place.offset}, "
                f"not {right[place.offset]:#04x}",
                "RSDP",
                place.offset,
            )
