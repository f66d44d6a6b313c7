# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a driver hands over: a chain of buffers in guest memory, some to be read, some written.

A device may not rely on how a driver cuts a request into buffers (virtio 1.2 "Message Framing").
So a chain is two byte strings to it, `readable` and `writable`, each a `Buffers`; where they lie
is seen through views of guest RAM, with no copy.
"""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["Buffers", "Chain", "GuestMemory", "MalformedRingError"]

_PAGE: Final = 0x1000
_MAX_VIEW: Final = 1 << 30  # what `Dma` takes for one transfer
_ADDRESSES: Final = 1 << 64


class GuestMemory(Protocol):
    """What virtqueues ask of memory; `vmmkit.pci.dma.Dma` fits."""

    def view(self, address: int, size: int, /) -> memoryview | None:
        """Return writable RAM that lies in one piece, or `None`."""
        ...


class MalformedRingError(Exception):
    """A driver broke the rules of its ring. It never leaves the package: see `VirtQueue`."""


class Buffers:
    """A byte string scattered over guest memory.

    Args:
        memory: where it lies.
        pieces: (address, size in bytes) in order.
    """

    __slots__ = ("memory", "pieces", "size")

    def __init__(self, memory: GuestMemory, pieces: list[tuple[int, int]]) -> None:
        """Add up the sizes; no memory is touched."""
        self.memory = memory
        self.pieces = pieces
        self.size = sum([size for _, size in pieces])

    def views(self, offset: int = 0, size: int | None = None) -> list[memoryview]:
        """Return RAM behind `size` bytes from `offset`, or behind all from there, in order.

        What lies beyond the end is left out. The views are valid until the chain is given back.

        Raises:
            MalformedRingError: a part is no RAM. Handlers let it pass.
        """
        left = self.size - offset if size is None else min(size, self.size - offset)
        found: list[memoryview] = []
        for address, length in self.pieces:
            if left <= 0:
                break
            if offset >= length:
                offset -= length
                continue
            take = min(length - offset, left)
            view = self.memory.view(address + offset, take) if take <= _MAX_VIEW else None
            if view is None:
                _find(self.memory, address + offset, take, found)
            else:
                found.append(view)
            left -= take
            offset = 0
        return found

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Return a copy of `size` bytes from `offset`, or of all from there; may be shorter."""
        return b"".join(self.views(offset, size))

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> int:
        """Store `data` at `offset`; return how many bytes had room."""
        done = 0
        for view in self.views(offset, len(data)):
            view[:] = data[done : done + len(view)]
            done += len(view)
        return done


def _find(memory: GuestMemory, address: int, size: int, found: list[memoryview]) -> None:
    """Append views of a range, which may lie in several pieces of RAM.

    Halving costs the logarithm of the size for each seam, and stops at the first page that is no
    RAM: a length of 4 GiB costs a hostile driver more than it costs the device.
    """
    view = memory.view(address, size) if size <= _MAX_VIEW else None
    if view is not None:
        found.append(view)
        return
    page = address & -_PAGE
    if page + _PAGE >= address + size:
        raise MalformedRingError(f"no RAM at {address:#x}")
    seam = page + max((address + size - page) // 2 & -_PAGE, _PAGE)
    _find(memory, address, seam - address, found)
    _find(memory, seam, address + size - seam, found)


class Chain:
    """One element of a virtqueue.

    Attributes:
        id: what the driver knows it by: head index or buffer ID.
        slots: elements of the descriptor ring it takes.
        readable: what the driver wrote for the device.
        writable: what the device may write.
    """

    __slots__ = ("id", "readable", "slots", "writable")

    def __init__(
        self,
        memory: GuestMemory,
        identity: int,
        slots: int,
        readable: list[tuple[int, int]],
        writable: list[tuple[int, int]],
    ) -> None:
        """Take the pieces in the order of the chain."""
        self.id = identity
        self.slots = slots
        self.readable = Buffers(memory, readable)
        self.writable = Buffers(memory, writable)


class ChainBuilder:
    """Sorts descriptors into the two halves of a chain, and checks each."""

    __slots__ = ("readable", "writable")

    def __init__(self) -> None:
        """Begin with no descriptor."""
        self.readable: list[tuple[int, int]] = []
        self.writable: list[tuple[int, int]] = []

    def add(self, address: int, size: int, writable: int) -> None:
        """Take a descriptor; those to be written come last (virtio 1.2 "Message Framing")."""
        if address + size > _ADDRESSES:
            raise MalformedRingError(f"buffer at {address:#x} wraps")
        if writable:
            self.writable.append((address, size))
        elif self.writable:
            raise MalformedRingError(f"readable buffer at {address:#x} after a writable one")
        else:
            self.readable.append((address, size))


def index_cells(ring: memoryview) -> memoryview:
    """Return a part of a ring as 16-bit cells, for what the driver looks at while it changes.

    A store to a cell is one store. `Struct.pack_into` fills with zeros first, which a driver on
    another processor takes for an index or for flags. Hosts are little-endian, as the rings are.
    """
    return ring.cast("H")


def ring_view(memory: GuestMemory, address: int, size: int, what: str) -> memoryview:
    """Return a part of a ring, which has to lie in RAM in one piece.

    Raises:
        MalformedRingError: it does not.
    """
    view = memory.view(address, size) if address + size <= _ADDRESSES else None
    if view is None:
        raise MalformedRingError(f"{what} at {address:#x} is not in one piece of RAM")
    return view
