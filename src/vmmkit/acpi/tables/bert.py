# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BERT: what went wrong before the machine was started again.

ACPI Specification 6.5, Boot Error Source, and Generic Error Data for what the region holds.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Any, Self

import attrs

from vmmkit.acpi.arguments import instance
from vmmkit.acpi.relocation import Blob, Pointer, octets
from vmmkit.acpi.structure import KEY, Codec, Structure, guid, pointer, raw, structure, u8, u16, u32
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "Bert",
    "BlockStatus",
    "ErrorSeverity",
    "GenericErrorDataEntry",
    "GenericErrorDataFlags",
    "GenericErrorStatusBlock",
    "ValidationBits",
]


class BlockStatus(IntFlag):
    """Of a generic error status block; bits 13:4 are the number of data entries."""

    UNCORRECTABLE_ERROR_VALID = 1
    CORRECTABLE_ERROR_VALID = 2
    MULTIPLE_UNCORRECTABLE_ERRORS = 4
    MULTIPLE_CORRECTABLE_ERRORS = 8


_COUNT_SHIFT = 4
_COUNT_MASK = 0x3FF
_WITH_TIMESTAMP = 0x300
_LENGTH_OFFSET = 24


class ErrorSeverity(IntEnum):
    """How bad it is."""

    RECOVERABLE = 0
    FATAL = 1
    CORRECTED = 2
    NONE = 3


class ValidationBits(IntFlag):
    """Which fields of a generic error data entry are valid."""

    FRU_ID = 1
    FRU_STRING = 2
    TIMESTAMP = 4


class GenericErrorDataFlags(IntFlag):
    """Of a generic error data entry, as those of a section descriptor in UEFI."""

    PRIMARY = 1
    CONTAINMENT_WARNING = 2
    RESET = 4
    ERROR_THRESHOLD_EXCEEDED = 8
    RESOURCE_NOT_ACCESSIBLE = 16
    LATENT_ERROR = 32


@structure
class GenericErrorDataEntry(Structure):
    """One error, with data as its section type in the UEFI specification defines.

    ACPI Specification 6.5, Generic Error Data; revision 0x300 of the entry.

    Args:
        section_type: what `data` is.
        data: the section; UEFI Specification, Common Platform Error Record.
        error_severity: see `ErrorSeverity`.
        validation_bits: see `ValidationBits`.
        flags: see `GenericErrorDataFlags`.
        fru_id: of the part to be replaced.
        fru_text: NUL-terminated, 20 bytes.
        timestamp: binary coded decimals, 8 bytes.
    """

    section_type: uuid.UUID = guid()
    data: bytes = attrs.field(
        default=b"", converter=lambda value: octets(value, "GenericErrorDataEntry.data", "BERT")
    )
    error_severity: ErrorSeverity = u32(
        default=ErrorSeverity.RECOVERABLE, kw_only=True, enum=ErrorSeverity
    )
    revision: int = u16(default=0x300, kw_only=True)
    validation_bits: ValidationBits = u8(
        default=ValidationBits(0), kw_only=True, enum=ValidationBits
    )
    flags: GenericErrorDataFlags = u8(
        default=GenericErrorDataFlags(0), kw_only=True, enum=GenericErrorDataFlags
    )
    error_data_length: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda entry: len(entry.data), takes_self=True),
        metadata={KEY: Codec("I")},
    )
    fru_id: uuid.UUID = guid(default=uuid.UUID(int=0), kw_only=True)
    fru_text: bytes = raw(20, default=bytes(20), kw_only=True)
    timestamp: bytes = raw(8, default=bytes(8), kw_only=True)

    def _encode(self) -> bytes:
        instance("GenericErrorDataEntry.revision", self.revision, int)
        if self.revision < _WITH_TIMESTAMP:
            raise TableValueError(
                f"GenericErrorDataEntry.revision {self.revision:#x} has another layout than "
                f"{_WITH_TIMESTAMP:#x}",
                "BERT",
                20,
            )
        return super()._encode() + self.data

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make an entry of exactly its bytes.

        Raises:
            TableParseError: too few or too many, or a revision with another layout.
        """
        size = cls._layout.size
        if len(data) < size:
            raise TableParseError(f"{cls.__name__} has {size} bytes or more", "BERT", len(data))
        fields = cls._layout.unpack(data)
        if fields["revision"] < _WITH_TIMESTAMP or fields.pop("error_data_length") + size != len(
            data
        ):
            raise TableParseError(
                f"{cls.__name__}: another revision or length than that of {len(data)} bytes",
                "BERT",
                20,
            )
        return cls(**fields, data=data[size:])

    @classmethod
    def length_at(cls, data: bytes, offset: int) -> int:
        """Return the bytes of the entry that begins at an offset, without checking them."""
        length = data[offset + _LENGTH_OFFSET : offset + _LENGTH_OFFSET + 4]
        return cls._layout.size + int.from_bytes(length, "little")


_STATUS_SIZE = 20


@structure
class GenericErrorStatusBlock(Structure):
    """The content of a boot error region, or of the region of a generic hardware error source.

    ACPI Specification 6.5, Generic Error Data, Generic Error Status Block.

    Args:
        entries: errors, up to 1023.
        raw_data: follows them as it is.
        block_status: see `BlockStatus`; the number of entries is added to it.
        error_severity: of the worst.

    Raises:
        TableValueError: too many entries.
    """

    entries: Sequence[GenericErrorDataEntry] = attrs.field(
        default=(),
        converter=tuple_of("BERT", "GenericErrorStatusBlock.entries", GenericErrorDataEntry),
    )
    raw_data: bytes = attrs.field(
        default=b"",
        converter=lambda value: octets(value, "GenericErrorStatusBlock.raw_data", "BERT"),
    )
    block_status: BlockStatus = u32(default=BlockStatus(0), kw_only=True, enum=BlockStatus)
    raw_data_offset: int = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda block: _STATUS_SIZE + block.data_size if block.raw_data else 0, takes_self=True
        ),
        metadata={KEY: Codec("I")},
    )
    raw_data_length: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda block: len(block.raw_data), takes_self=True),
        metadata={KEY: Codec("I")},
    )
    data_length: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda block: block.data_size, takes_self=True),
        metadata={KEY: Codec("I")},
    )
    error_severity: ErrorSeverity = u32(
        default=ErrorSeverity.NONE, kw_only=True, enum=ErrorSeverity
    )

    @property
    def data_size(self) -> int:
        """Bytes of the entries."""
        return sum(len(entry.to_bytes()) for entry in self.entries)

    def _encode(self) -> bytes:
        content = bytearray(super()._encode())
        count = len(self.entries)
        if count > _COUNT_MASK or self.block_status & _COUNT_MASK << _COUNT_SHIFT:
            raise TableValueError(
                f"GenericErrorStatusBlock.block_status: {count} entries, of up to {_COUNT_MASK}, "
                f"beside {self.block_status!r}",
                "BERT",
                0,
            )
        status = int.from_bytes(content[:4], "little") | count << _COUNT_SHIFT
        content[:4] = status.to_bytes(4, "little")
        return b"".join([content, *(entry.to_bytes() for entry in self.entries), self.raw_data])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make a block of exactly its bytes.

        Raises:
            TableParseError: too few or too many, or raw data that does not follow the entries.
        """
        if len(data) < _STATUS_SIZE:
            raise TableParseError(f"{cls.__name__} has {_STATUS_SIZE} bytes or more", "BERT", 0)
        fields = cls._layout.unpack(data)
        count = fields["block_status"] >> _COUNT_SHIFT & _COUNT_MASK
        entries = []
        offset = _STATUS_SIZE
        for _ in range(count):
            last = offset + GenericErrorDataEntry.length_at(data, offset)
            entries.append(GenericErrorDataEntry.parse(data[offset:last]))
            offset = last
        status = BlockStatus(fields["block_status"] & ~(_COUNT_MASK << _COUNT_SHIFT))
        severity = fields["error_severity"]
        made = cls(entries, data[offset:], block_status=status, error_severity=severity)
        if made.to_bytes() != data:
            raise TableParseError(f"{cls.__name__}: raw data do not follow the entries", "BERT", 4)
        return made


@structure
class Bert(Table):
    """The Boot Error Record Table, ACPI Specification 6.5, Boot Error Source.

    Args:
        boot_error_region_length: bytes, 20 or more.
        boot_error_region: an address, or a `Blob` of at least that many bytes.

    Raises:
        TableValueError: the blob is smaller.
    """

    SIGNATURE = "BERT"

    boot_error_region_length: int = u32()
    boot_error_region: Pointer = pointer(8)

    @classmethod
    def of(cls, region: Blob | GenericErrorStatusBlock, **header: Any) -> Self:
        """Return a table for a region whose content is known.

        Args:
            region: the region, or what it holds.
            header: other fields of `Table`.
        """
        if not isinstance(region, Blob):
            region = Blob(region.to_bytes(), "boot error region", alignment=8)
        return cls(len(region.data), region, **header)

    def _tail(self) -> bytes:
        region = self.boot_error_region
        if not isinstance(region, int) and len(region.to_bytes()) < self.boot_error_region_length:
            raise TableValueError(
                f"Bert.boot_error_region_length is {self.boot_error_region_length}, and "
                f"{region.name} has only {len(region.to_bytes())} bytes",
                "BERT",
                36,
            )
        return b""
