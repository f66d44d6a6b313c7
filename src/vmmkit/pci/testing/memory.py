# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The RAM of a test host, where drivers put what devices fetch."""

from __future__ import annotations

from mmap import mmap
from typing import Final

from vmmkit.errors import AllocationError

__all__ = ["HostMemory"]

_PAGE: Final = 0x1000


class HostMemory:
    """RAM from address 0 on.

    Args:
        size: bytes, at least two pages. The first page is not given out by `alloc`, so that no
            buffer is at address 0.

    Attributes:
        buffer: all of it; an index is an address.
    """

    def __init__(self, size: int) -> None:
        """Start with zeros."""
        self.buffer = memoryview(mmap(-1, size))  # pages that nobody touches cost nothing
        self._next = _PAGE

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.buffer)

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes; what lies beyond the RAM is missing."""
        return bytes(self.buffer[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes."""
        self.buffer[address : address + len(data)] = data

    def read_int(self, address: int, size: int) -> int:
        """Return `size` bytes as a little-endian integer."""
        return int.from_bytes(self.read(address, size), "little")

    def write_int(self, address: int, size: int, value: int) -> None:
        """Store an integer in `size` bytes, little-endian."""
        self.write(address, value.to_bytes(size, "little"))

    def alloc(self, size: int, *, align: int = 16, data: bytes = b"") -> int:
        """Reserve a buffer; there is no way to give it back.

        Args:
            size: bytes; at least what `data` has.
            align: of its address, a power of two.
            data: what it begins with.

        Returns:
            Its address.

        Raises:
            AllocationError: the RAM is used up.
        """
        size = max(size, len(data))
        address = self._next + align - 1 & -align
        if address + size > len(self.buffer):
            raise AllocationError(f"no room for a DMA buffer of {size:#x}", (("buffer", size),))
        self._next = address + size
        self.write(address, data)
        return address
