# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The MSI-X table and pending bit array, as windows in BARs that no device model ever sees.

PCI Local Bus Specification 3.0, "MSI-X Table" and "Pending Bit Array (PBA)". Software is told to
use aligned accesses of four or eight bytes and that all else is undefined. Here all else has a
result too: every access is cut into the byte lanes of dwords, and the lanes that were written
change. Reserved bits read zero, the pending bits cannot be written, and what lies beyond the end
reads as ones.

A write costs a lock, a store, and a look at whether that entry has something pending: guests of
old mask and unmask around every single interrupt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from vmmkit.pci.config import ResetKind

__all__ = ["MsixTable", "PendingBits"]

ENTRY_SIZE: Final = 16
VECTOR_CONTROL: Final = 3  # dword of an entry
MASKED: Final = 1

#: Bits of the dwords of an entry that can be written: address (aligned), its upper half, data,
#: vector control.
_WRITABLE: Final = (0xFFFF_FFFC, 0xFFFF_FFFF, 0xFFFF_FFFF, MASKED)
_DWORD: Final = 0xFFFF_FFFF


class _Owner(Protocol):
    """Whose table it is. `Interrupts` fits."""

    lock: threading.Lock

    def entry_changed(self, entry: int, /) -> None:
        """Look at an entry again; the lock is held."""
        ...

    def deliver(self) -> None:
        """Send what that brought forth; the lock is not held."""
        ...

    def pending_word(self, index: int, /) -> int:
        """Return 64 pending bits; the lock is held."""
        ...


class PendingBits:
    """The pending bit array: reads only."""

    __slots__ = ("_owner", "size")

    def __init__(self, owner: _Owner, vectors: int) -> None:
        """Make the array of so many vectors."""
        self._owner = owner
        self.size = 8 * ((vectors + 63) // 64)

    def read(self, _vcpu: object, offset: int, size: int, /) -> int:
        """Return `size` bytes at `offset`; ones beyond the end."""
        first = offset >> 3
        value = 0
        with self._owner.lock:
            for index in range(first, (offset + size + 7) >> 3):
                inside = 0 <= index < self.size >> 3
                word = self._owner.pending_word(index) if inside else (1 << 64) - 1
                value |= word << 64 * (index - first)
        return value >> 8 * (offset & 7) & (1 << 8 * size) - 1

    def write(self, _vcpu: object, _offset: int, _size: int, _value: int, /) -> None:
        """Drop the write."""


class MsixTable:
    """The table of one function; made by its `Interrupts`.

    Args:
        owner: hears of changes.
        vectors: entries, 1-2048.
        table: BAR index and offset of the table.
        pba: BAR index and offset of the pending bit array.

    Attributes:
        size: bytes of the table.
        pba: the window of the pending bits.
    """

    __slots__ = ("_deliver", "_dwords", "_entry_changed", "_lock", "_places", "pba", "size")

    def __init__(
        self, owner: _Owner, vectors: int, table: tuple[int, int], pba: tuple[int, int]
    ) -> None:
        """Start with all entries masked."""
        self.size = vectors * ENTRY_SIZE
        self.pba = PendingBits(owner, vectors)
        self._places = ((*table, self), (*pba, self.pba))
        self._lock = owner.lock
        self._entry_changed: Callable[[int], None] = owner.entry_changed
        self._deliver: Callable[[], None] = owner.deliver
        self._dwords: list[int] = []
        self.reset(ResetKind.POWER)

    @property
    def vectors(self) -> int:
        """How many entries it has."""
        return self.size // ENTRY_SIZE

    def pieces(self, bar: int) -> list[tuple[int, int, MsixTable | PendingBits]]:
        """List what of BAR `bar` is served here, as `(offset, size, device)`."""
        return [
            (offset, device.size, device) for index, offset, device in self._places if index == bar
        ]

    # -- the guest's side ------------------------------------------------------------------------

    def read(self, _vcpu: object, offset: int, size: int, /) -> int:
        """Return `size` bytes at `offset`; ones beyond the end."""
        if size == 4 and not offset & 3 and 0 <= offset < self.size:
            return self._dwords[offset >> 2]
        first = offset >> 2
        value = 0
        with self._lock:
            for index in range(first, (offset + size + 3) >> 2):
                inside = 0 <= index < len(self._dwords)
                value |= (self._dwords[index] if inside else _DWORD) << 32 * (index - first)
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write(self, _vcpu: object, offset: int, size: int, value: int, /) -> None:
        """Write `size` bytes at `offset`; an entry that is unmasked so sends what it has pending.

        All bytes are stored before an entry is looked at.
        """
        if size == 4 and not offset & 3 and 0 <= offset < self.size:
            index = offset >> 2
            with self._lock:
                self._dwords[index] = value & _WRITABLE[index & 3]
                self._entry_changed(index >> 2)
        else:
            with self._lock:
                for entry in self._store_lanes(offset, size, value):
                    self._entry_changed(entry)
        self._deliver()

    def _store_lanes(self, offset: int, size: int, value: int) -> Iterable[int]:
        """Store the bytes that were written; return the entries they belong to."""
        shift = 8 * (offset & 3)
        lanes = (1 << 8 * size) - 1 << shift
        value <<= shift
        entries = {}
        for index in range(offset >> 2, (offset + size + 3) >> 2):
            writable = lanes & _DWORD & _WRITABLE[index & 3]
            if 0 <= index < len(self._dwords):
                self._dwords[index] = self._dwords[index] & ~writable | value & writable
                entries[index >> 2] = True
            lanes >>= 32
            value >>= 32
        return entries

    # -- the owner's side, with its lock held ----------------------------------------------------

    def masked(self, entry: int) -> int:
        """Return whether an entry is masked, as 0 or 1."""
        return self._dwords[entry << 2 | VECTOR_CONTROL] & MASKED

    def message(self, entry: int) -> tuple[int, int]:
        """Return address and data of an entry."""
        at = entry << 2
        dwords = self._dwords
        return dwords[at] | dwords[at + 1] << 32, dwords[at + 2]

    def reset(self, _kind: ResetKind) -> None:
        """Mask all entries and clear them, whatever the kind of reset."""
        self._dwords = [0, 0, 0, MASKED] * self.vectors

    def snapshot(self) -> tuple[int, ...]:
        """Return all dwords."""
        return tuple(self._dwords)

    def accepts(self, dwords: object) -> bool:
        """Tell whether `dwords` is what `snapshot` of such a table can return."""
        return (
            isinstance(dwords, tuple)
            and len(dwords) == len(self._dwords)
            and all(
                isinstance(dword, int) and not dword & ~_WRITABLE[index & 3]
                for index, dword in enumerate(dwords)
            )
        )

    def restore(self, dwords: tuple[int, ...]) -> None:
        """Take what `snapshot` returned."""
        self._dwords = list(dwords)
