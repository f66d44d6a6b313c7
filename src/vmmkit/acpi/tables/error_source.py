# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the error sources of the HEST have in common.

ACPI Specification 6.5, ACPI Error Source. Error sources have no length field: their type says how
long they are, and a table cannot be read beyond one of a type that is not known.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Self

import attrs

from vmmkit.acpi.relocation import octets
from vmmkit.acpi.structure import KEY, Codec, Structure, structure, u8, u16, u32
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "KNOWN_SOURCES",
    "ErrorSource",
    "ErrorSourceFlags",
    "HardwareErrorNotification",
    "NotificationType",
    "UnreadSources",
    "piece",
]


class ErrorSourceFlags(IntFlag):
    """Of an error source."""

    FIRMWARE_FIRST = 1
    GLOBAL = 2  #: of PCI Express: the settings are for all devices of that kind
    GHES_ASSIST = 4  #: of machine checks


class NotificationType(IntEnum):
    """How software learns of an error."""

    POLLED = 0
    EXTERNAL_INTERRUPT = 1
    LOCAL_INTERRUPT = 2
    SCI = 3
    NMI = 4
    CMCI = 5
    MCE = 6
    GPIO_SIGNAL = 7
    ARMV8_SEA = 8
    ARMV8_SEI = 9
    EXTERNAL_INTERRUPT_GSIV = 10
    SOFTWARE_DELEGATED_EXCEPTION = 11


_NOTIFICATION_SIZE = 28


@structure
class HardwareErrorNotification(Structure):
    """How software learns of an error.

    ACPI Specification 6.5, Hardware Error Notification.

    Args:
        type: see `NotificationType`.
        vector: the interrupt, or the event number.
        poll_interval: milliseconds, for `POLLED`.
        configuration_write_enable: bits for the fields that software may change.
    """

    type: NotificationType = u8(enum=NotificationType)
    length: int = u8(default=_NOTIFICATION_SIZE, kw_only=True)
    configuration_write_enable: int = u16(default=0, kw_only=True)
    poll_interval: int = u32(default=0, kw_only=True)
    vector: int = u32(default=0)
    switch_to_polling_threshold_value: int = u32(default=0, kw_only=True)
    switch_to_polling_threshold_window: int = u32(default=0, kw_only=True)
    error_threshold_value: int = u32(default=0, kw_only=True)
    error_threshold_window: int = u32(default=0, kw_only=True)

    def _encode(self) -> bytes:
        if self.length != _NOTIFICATION_SIZE:
            raise TableValueError(
                f"HardwareErrorNotification.length is {_NOTIFICATION_SIZE}, not {self.length}",
                "HEST",
                1,
            )
        return super()._encode()


#: The class of each type of error source.
KNOWN_SOURCES: dict[int, type[ErrorSource]] = {}


@structure
class ErrorSource(Structure):
    """What all error sources begin with.

    Args:
        source_id: unique in the table.
    """

    type: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda source: source.TYPE, takes_self=True),
        metadata={KEY: Codec("H")},
    )
    source_id: int = u16()

    TYPE: ClassVar[int]
    COUNT: ClassVar[int] = 1

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Enter the class into the types that can be read."""
        super().__init_subclass__(**arguments)
        if "TYPE" in cls.__dict__:
            KNOWN_SOURCES[cls.TYPE] = cls

    @classmethod
    def read(cls, data: bytes, offset: int) -> tuple[Self, int]:
        """Return a source, and the offset behind it.

        Raises:
            TableParseError: there are fewer bytes than it has.
        """
        last = offset + cls._layout.size
        return cls(**cls._unpacked(data, offset)), last

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make a source of exactly its bytes.

        Raises:
            TableParseError: too few, too many, or those of another type.
        """
        source, last = cls.read(data, 0)
        if last != len(data):
            raise TableParseError(f"{cls.__name__} has {last} bytes, not {len(data)}", "HEST", last)
        return source

    @classmethod
    def _unpacked(cls, data: bytes, offset: int) -> dict[str, Any]:
        fields = cls._layout.unpack(piece(data, offset, offset + cls._layout.size))
        if fields.pop("type") != cls.TYPE:
            raise TableParseError(f"{cls.__name__} has type {cls.TYPE}", "HEST", offset)
        return fields


def piece(data: bytes, offset: int, last: int) -> bytes:
    """Return the bytes from `offset` to before `last`.

    Raises:
        TableParseError: there are fewer.
    """
    if last > len(data):
        raise TableParseError(
            f"HEST: error source at offset {offset} is cut off after {len(data) - offset} of "
            f"{last - offset} bytes",
            "HEST",
            offset,
        )
    return data[offset:last]


@attrs.frozen
class UnreadSources:
    """Error sources from the first of an unknown type on.

    Args:
        COUNT: how many.
        content: bytes of all of them.
    """

    COUNT: int = attrs.field(alias="count")
    content: bytes = attrs.field(converter=octets)

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return self.content
