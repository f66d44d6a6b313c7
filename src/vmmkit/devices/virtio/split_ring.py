# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The split ring: descriptor table, available ring, used ring (virtio 1.2 "Split Virtqueues")."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from threading import Lock
from typing import Final

from vmmkit.devices.virtio.chain import (
    Chain,
    ChainBuilder,
    GuestMemory,
    MalformedRingError,
    index_cells,
    ring_view,
)
from vmmkit.devices.virtio.spec import AVAIL_NO_INTERRUPT, MAX_QUEUE_SIZE, Descriptor

__all__ = ["SplitRing"]

_DESCRIPTOR: Final = Struct("<QIHH")
_U16: Final = Struct("<H")
_USED: Final = Struct("<II")
_INDIRECT: Final = int(Descriptor.INDIRECT)
_NEXT: Final = int(Descriptor.NEXT)
_WRITE: Final = int(Descriptor.WRITE)

MAX_INDIRECT: Final = 1024
"""Longest indirect table taken. Drivers stay below the Queue Size; a device bounds its work."""


class SplitRing:
    """The device's side of a split ring.

    Args:
        size: Queue Size.
        areas: addresses of descriptor table, available ring and used ring.
        indirect: indirect descriptors were negotiated.
        event_index: VIRTIO_F_EVENT_IDX was negotiated.

    Raises:
        MalformedRingError: a size or an alignment that virtio does not allow.

    `open` comes before everything else and `close` after it: views of guest RAM are not held
    longer, since a map may change. Callers serialise.
    """

    alignments = (16, 2, 4)  #: of the three areas, virtio 1.2 "Split Virtqueues"

    __slots__ = (
        "_areas",
        "_avail",
        "_cells",
        "_descriptors",
        "_event_index",
        "_fence",
        "_indirect",
        "_mask",
        "_memory",
        "_seen",
        "_signalled",
        "_used",
        "next_avail",
        "next_used",
        "size",
    )

    def __init__(
        self, size: int, areas: Sequence[int], *, indirect: bool, event_index: bool
    ) -> None:
        """Start with both rings empty."""
        if size & size - 1 or not 0 < size <= MAX_QUEUE_SIZE:
            raise MalformedRingError(f"a split ring of {size} elements")
        check_alignment(areas, self.alignments)
        self.size = size
        self._mask = size - 1
        self._areas = tuple(areas)
        self._indirect = indirect
        self._event_index = event_index
        self._fence = Lock()
        self.next_avail = 0
        self.next_used = 0
        self._seen = 0
        self._signalled = 0

    # -- state ---------------------------------------------------------------------------------

    @property
    def state(self) -> tuple[int, ...]:
        """Where the device is in its rings, for snapshots and to take back a `pop`."""
        return self.next_avail, self.next_used, self._signalled

    @state.setter
    def state(self, state: tuple[int, ...]) -> None:
        """Go on where another ring was; `MalformedRingError` if no ring can be there."""
        if any(not 0 <= index <= 0xFFFF for index in state):
            raise MalformedRingError(f"no state of a split ring: {state}")
        self.next_avail, self.next_used, self._signalled = state
        self._seen = self.next_avail

    def open(self, memory: GuestMemory) -> None:
        """Find the areas in guest memory.

        Raises:
            MalformedRingError: one is not in one piece of RAM.
        """
        table, avail, used = self._areas
        areas = (
            ring_view(memory, table, self.size * 16, "descriptor table"),
            ring_view(memory, avail, self.size * 2 + 6, "available ring"),
            ring_view(memory, used, self.size * 8 + 6, "used ring"),
        )
        self._memory = memory
        self._descriptors, self._avail, self._used = areas
        self._cells = index_cells(self._used)

    def close(self) -> None:
        """Let go of guest memory."""
        del self._memory, self._descriptors, self._avail, self._cells, self._used

    # -- taking --------------------------------------------------------------------------------

    def refresh(self) -> int:
        """Look how many chains are available, and ask to be notified of the next one.

        Returns:
            Chains, at most the Queue Size: whoever adds one after this call has to notify.

        Raises:
            MalformedRingError: more chains than elements.
        """
        index: int = _U16.unpack_from(self._avail, 2)[0]
        if self._event_index:
            index = self._ask_from(index)
        count = index - self.next_avail & 0xFFFF
        if count > self.size:
            raise MalformedRingError(f"{count} chains available in {self.size} elements")
        self._seen = index
        return count

    def _ask_from(self, index: int) -> int:
        """Ask for a notification of the next chain; return the available index after that.

        An honest index only grows, so it stands still after at most a ring full of steps.
        """
        for _ in range(self.size):
            self._cells[2 + self.size * 4] = index
            self._barrier()
            again: int = _U16.unpack_from(self._avail, 2)[0]
            if again == index:
                break
            index = again
        return index

    def _barrier(self) -> None:
        """Order a store before a later load, which x86 does not by itself; an atomic does."""
        with self._fence:
            pass

    def pop(self) -> Chain | None:
        """Take the next chain, `None` if there is none.

        Raises:
            MalformedRingError: the chain leaves its table, loops, or mixes directions.
        """
        if self.next_avail == self._seen and not self.refresh():
            return None
        (head,) = _U16.unpack_from(self._avail, 4 + 2 * (self.next_avail & self._mask))
        self.next_avail = self.next_avail + 1 & 0xFFFF
        found = ChainBuilder()
        self._walk(found, self._descriptors, self.size, head)
        return Chain(self._memory, head, 1, found.readable, found.writable)

    def _walk(self, found: ChainBuilder, table: memoryview, size: int, index: int) -> None:
        """Follow a chain through a table of `size` descriptors; it ends within `size` steps."""
        for _ in range(size):
            if index >= size:
                raise MalformedRingError(f"descriptor {index} of {size}")
            address, length, flags, following = _DESCRIPTOR.unpack_from(table, index * 16)
            if flags & _INDIRECT:
                if flags & _NEXT or table is not self._descriptors or not self._indirect:
                    raise MalformedRingError(f"descriptor {index} may not be indirect")
                inner = indirect_table(self._memory, address, length)
                self._walk(found, inner, length // 16, 0)
                return
            found.add(address, length, flags & _WRITE)
            if not flags & _NEXT:
                return
            index = following
        raise MalformedRingError(f"a chain longer than its table of {size}")

    # -- giving back ---------------------------------------------------------------------------

    def push(self, chain: Chain, written: int) -> None:
        """Give a chain back, with how many bytes the device wrote to it."""
        at = 4 + 8 * (self.next_used & self._mask)
        _USED.pack_into(self._used, at, chain.id, written)
        self.next_used = self.next_used + 1 & 0xFFFF
        self._cells[1] = self.next_used

    def push_all(self, done: Sequence[tuple[Chain, int]]) -> None:
        """Give several chains back, which the driver sees all at once."""
        for chain, written in done:
            at = 4 + 8 * (self.next_used & self._mask)
            _USED.pack_into(self._used, at, chain.id, written)
            self.next_used = self.next_used + 1 & 0xFFFF
        self._cells[1] = self.next_used

    def interrupt_wanted(self) -> bool:
        """Whether the driver wants to hear of what was given back since the last call.

        Virtio 1.2 "Used Buffer Notification Suppression".
        """
        old, new = self._signalled, self.next_used
        if old == new:
            return False
        self._signalled = new
        self._barrier()
        if self._event_index:
            (event,) = _U16.unpack_from(self._avail, 4 + 2 * self.size)
            return bool(new - event - 1 & 0xFFFF < new - old & 0xFFFF)
        return not _U16.unpack_from(self._avail, 0)[0] & AVAIL_NO_INTERRUPT


def check_alignment(areas: Sequence[int], alignments: Sequence[int]) -> None:
    """Refuse areas that are not aligned as virtio demands.

    Raises:
        MalformedRingError: one is not.
    """
    for address, alignment in zip(areas, alignments, strict=True):
        if address % alignment:
            raise MalformedRingError(f"ring area at {address:#x} is not aligned to {alignment}")


def indirect_table(memory: GuestMemory, address: int, size: int) -> memoryview:
    """Return an indirect table (virtio 1.2 "Indirect Descriptors", of either layout).

    Raises:
        MalformedRingError: no whole number of descriptors, too many, or not in RAM.
    """
    if not 0 < size <= MAX_INDIRECT * 16 or size % 16:
        raise MalformedRingError(f"an indirect table of {size} bytes")
    return ring_view(memory, address, size, "indirect table")
