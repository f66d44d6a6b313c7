# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What stands behind a block device: a file that the owner opened, a buffer, or anything alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from vmmkit.errors import DeviceError

__all__ = ["BufferDisk", "Disk", "FileDisk"]

_CHUNK: Final = 1 << 20
_MOST_BUFFERS: Final = 1024  # IOV_MAX of Linux and of the BSDs


class Disk:
    """Storage of `size` bytes. A subclass gives `readinto` and `write`; the rest has defaults.

    Whatever fails raises `OSError`: the guest is told of an I/O error, and nobody else.

    Attributes:
        size: bytes.
    """

    size: int

    def readinto(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Fill all buffers, one after the other, from `offset`; the range lies in the disk."""
        raise NotImplementedError

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Write all buffers, one after the other, to `offset`; the range lies in the disk."""
        raise NotImplementedError

    def flush(self) -> None:
        """Return when everything written survives a loss of power."""

    def discard(self, offset: int, size: int) -> None:
        """Take notice that nobody needs these bytes any more. By default they stay."""

    def zero(self, offset: int, size: int, *, unmap: bool) -> None:
        """Make these bytes zeros; with `unmap` their storage may be given up."""
        del unmap
        zeros = memoryview(bytes(min(size, _CHUNK)))
        for at in range(0, size, _CHUNK):
            self.write(offset + at, [zeros[: size - at]])


class BufferDisk(Disk):
    """A disk in memory.

    Args:
        buffer: `bytes`, `bytearray`, `mmap` or another buffer of bytes; written only if the
            device is not read-only.
    """

    def __init__(self, buffer: Any) -> None:
        """Keep a view of the buffer."""
        self._bytes = memoryview(buffer).cast("B")
        self.size = len(self._bytes)

    def readinto(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Copy out of the buffer."""
        for buffer in buffers:
            buffer[:] = self._bytes[offset : offset + len(buffer)]
            offset += len(buffer)

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Copy into the buffer."""
        if self._bytes.readonly:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        for buffer in buffers:
            self._bytes[offset : offset + len(buffer)] = buffer
            offset += len(buffer)


class FileDisk(Disk):
    """A file or block device behind a descriptor that the owner opened, and closes.

    Args:
        fd: the descriptor.
        size: bytes; by default where the file ends.
        punch_hole: called with offset and size, gives up storage so that reads give zeros; for
            discards and for write-zeroes with `unmap`. Without it the storage stays.

    Raises:
        DeviceError: the descriptor cannot seek, and no size was given.
    """

    def __init__(
        self,
        fd: int,
        *,
        size: int | None = None,
        punch_hole: Callable[[int, int], object] | None = None,
    ) -> None:
        """Find the size."""
        self.fd = fd
        self._punch_hole = punch_hole
        try:
            self.size = os.lseek(fd, 0, os.SEEK_END) if size is None else size
        except OSError as error:
            raise DeviceError(f"FileDisk: descriptor {fd} has no end: {error}") from error

    def readinto(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Read straight into the buffers."""
        _transfer(os.preadv, self.fd, buffers, offset)

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Write straight from the buffers."""
        _transfer(os.pwritev, self.fd, buffers, offset)

    def flush(self) -> None:
        """Have the kernel write everything out."""
        os.fsync(self.fd)

    def discard(self, offset: int, size: int) -> None:
        """Punch a hole, if the owner knows how."""
        if self._punch_hole is not None:
            self._punch_hole(offset, size)

    def zero(self, offset: int, size: int, *, unmap: bool) -> None:
        """Punch a hole if that may be and the owner knows how, else write zeros."""
        if unmap and self._punch_hole is not None:
            self._punch_hole(offset, size)
        else:
            super().zero(offset, size, unmap=False)


def _transfer(
    call: Callable[[int, Any, int], int], fd: int, buffers: Sequence[memoryview], offset: int
) -> None:
    """Call until all buffers are done: the kernel may stop in the middle."""
    rest = list(buffers)
    while rest:
        count = call(fd, rest[:_MOST_BUFFERS], offset)
        if not count:
            raise OSError(errno.EIO, "the file ends before the disk does")
        offset += count
        rest = _behind(rest, count)


def _behind(buffers: list[memoryview], count: int) -> list[memoryview]:
    """Return what follows the first `count` bytes."""
    for at, buffer in enumerate(buffers):
        if count < len(buffer):
            return [buffer[count:], *buffers[at + 1 :]]
        count -= len(buffer)
    return []
