# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Windows of byte-wide registers, as ISA devices have them."""

from __future__ import annotations

import abc

__all__ = ["ByteWindow"]


class ByteWindow(abc.ABC):
    """Turns accesses of any size into accesses of bytes, lowest address first.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`. Bytes beyond the window read all ones
    and drop writes.
    """

    __slots__ = ()

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Bytes of the register window."""

    @abc.abstractmethod
    def _read_byte(self, offset: int) -> int:
        """Answer a read at `offset`, which is within the window."""

    @abc.abstractmethod
    def _write_byte(self, offset: int, value: int) -> None:
        """Take a byte at `offset`, which is within the window."""

    def read(self, _vcpu: object, offset: int, size: int, /) -> int:
        """Return the `size` bytes at `offset`, little-endian."""
        value = 0
        for lane in range(size):
            inside = 0 <= offset + lane < self.size
            value |= (self._read_byte(offset + lane) if inside else 0xFF) << 8 * lane
        return value

    def write(self, _vcpu: object, offset: int, size: int, value: int, /) -> None:
        """Write the `size` low bytes of `value` at `offset`."""
        for lane in range(size):
            if 0 <= offset + lane < self.size:
                self._write_byte(offset + lane, value >> 8 * lane & 0xFF)
