# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Handlers: those the user hands over, and those the library brings itself.

A read handler is called with (vCPU, offset or address, size) and returns an integer; a write
handler is called with the value besides. A device is looked up for its two methods once, when
it is placed.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Sequence
from typing import Any

from vmmkit._region_policy import MASKS, Piece
from vmmkit.errors import RegionConfigError
from vmmkit.protocols import ReadHandler, WriteHandler

__all__ = [
    "AllOnes",
    "Handlers",
    "LoggedOnes",
    "all_ones",
    "bytes_of",
    "handlers_of",
    "logged_ones",
]

LOG = logging.getLogger("vmmkit.memregion")

#: The read and the write handler of a region; `None` where it has none.
Handlers = tuple[ReadHandler | None, WriteHandler | None]


def handlers_of(device: Any, read: ReadHandler | None, write: WriteHandler | None) -> Handlers:
    """Take the handlers of a device, or the two callables.

    Raises:
        RegionConfigError: neither, both, or something that cannot be called.
    """
    if device is not None:
        if read is not None or write is not None:
            raise RegionConfigError("give a device, or read and write, not both")
        read, write = getattr(device, "read", None), getattr(device, "write", None)
    if read is None and write is None:
        raise RegionConfigError(f"no handler: {device!r} has neither read nor write")
    for handler in (read, write):
        if handler is not None and not callable(handler):
            raise RegionConfigError(f"a handler is callable, {handler!r} is not")
    return read, write


def bytes_of(buffer: Any, *, writable: bool) -> memoryview:
    """View a buffer as a flat row of bytes.

    Raises:
        RegionConfigError: no buffer, not contiguous, or read-only where that will not do.
    """
    try:
        view = memoryview(buffer).cast("B")
    except (TypeError, ValueError, BufferError) as error:
        raise RegionConfigError(f"no contiguous buffer of bytes: {error}") from error
    if writable and view.readonly:
        raise RegionConfigError(f"RAM needs a writable buffer, {type(buffer).__name__} is not")
    return view


# -- handlers for what no device answers --------------------------------------------------------


def read_ones(_vcpu: object, _where: int, size: int, /) -> int:
    """Answer as an open bus does: all bits set."""
    return MASKS[size]


def ignore_write(_vcpu: object, _where: int, _size: int, _value: int, /) -> None:
    """Drop a write."""


def read_logged(text: str) -> Callable[[Any, int, int], int]:
    """Compile a read handler that answers ones and says so each time."""

    def read(_vcpu: object, _where: int, size: int, /) -> int:
        LOG.warning("%s; reads as ones", text)
        return MASKS[size]

    return read


def write_logged(text: str) -> Callable[[Any, int, int, int], None]:
    """Compile a write handler that drops the value and says so each time."""

    def write(_vcpu: object, _where: int, _size: int, value: int, /) -> None:
        LOG.warning("%s; %#x is dropped", text, value)

    return write


class AllOnes:
    """A device that reads as all ones and drops writes: the PCI hole, an empty slot."""

    __slots__ = ()

    def read(self, _vcpu: object, _offset: int, size: int, /) -> int:
        """Return `size` bytes of ones."""
        return MASKS[size]

    def write(self, _vcpu: object, _offset: int, _size: int, _value: int, /) -> None:
        """Drop the value."""


#: A ready `AllOnes`, for `RegionMap.add_fallback`.
all_ones = AllOnes()


class LoggedOnes(AllOnes):
    """As `AllOnes`, with a warning to the logger `vmmkit.memregion` for each access.

    Place it with `absolute=True` to have addresses in the log instead of offsets.
    """

    __slots__ = ()

    def read(self, _vcpu: object, address: int, size: int, /) -> int:
        """Return `size` bytes of ones."""
        LOG.warning("read of %d bytes at %#x: nobody there; reads as ones", size, address)
        return MASKS[size]

    def write(self, _vcpu: object, address: int, size: int, value: int, /) -> None:
        """Drop the value."""
        LOG.warning("write of %d bytes at %#x: nobody there; %#x is dropped", size, address, value)


#: A ready `LoggedOnes`.
logged_ones = LoggedOnes()


# -- accesses made of several -------------------------------------------------------------------


def read_pieces(pieces: Sequence[Piece]) -> Callable[[Any, int, int], int]:
    """Compile pieces into one read handler; the lowest address gives the lowest bits."""

    def read(vcpu: Any, _where: int, _size: int, /) -> int:
        value = 0
        for handler, where, size, mask, shift in pieces:
            value |= (handler(vcpu, where, size) & mask) << shift
        return value

    return read


def write_pieces(pieces: Sequence[Piece]) -> Callable[[Any, int, int, int], None]:
    """Compile pieces into one write handler, which writes in ascending address order."""

    def write(vcpu: Any, _where: int, _size: int, value: int, /) -> None:
        for handler, where, size, mask, shift in pieces:
            handler(vcpu, where, size, value >> shift & mask)

    return write


# -- RAM and ROM --------------------------------------------------------------------------------

_SCALARS = {
    size: struct.Struct("<" + code) for size, code in zip((1, 2, 4, 8), "BHIQ", strict=True)
}


def read_buffer(view: memoryview) -> Callable[[Any, int, int], int]:
    """Compile a read handler for a buffer of bytes; little-endian, any alignment."""
    unpackers = {size: scalar.unpack_from for size, scalar in _SCALARS.items()}

    def read(_vcpu: object, offset: int, size: int, /) -> int:
        if size in unpackers:
            value: int = unpackers[size](view, offset)[0]
            return value
        return int.from_bytes(view[offset : offset + size], "little")

    return read


def write_buffer(view: memoryview) -> Callable[[Any, int, int, int], None]:
    """Compile a write handler for a writable buffer of bytes; little-endian, any alignment."""

    def write(_vcpu: object, offset: int, size: int, value: int, /) -> None:
        view[offset : offset + size] = value.to_bytes(size, "little")

    return write
