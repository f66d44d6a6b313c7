# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The packed ring: one ring of descriptors for both sides (virtio 1.2 "Packed Virtqueues")."""

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
from vmmkit.devices.virtio.spec import MAX_QUEUE_SIZE, Descriptor, EventFlags
from vmmkit.devices.virtio.split_ring import check_alignment, indirect_table

__all__ = ["PackedRing"]

_DESCRIPTOR: Final = Struct("<QIHH")
_USED: Final = Struct("<IH")
_U16: Final = Struct("<H")
_EVENT: Final = Struct("<HH")
_INDIRECT: Final = int(Descriptor.INDIRECT)
_NEXT: Final = int(Descriptor.NEXT)
_WRITE: Final = int(Descriptor.WRITE)
_BOTH: Final = int(Descriptor.AVAIL | Descriptor.USED)
_AVAIL: Final = int(Descriptor.AVAIL)
_USED_BIT: Final = int(Descriptor.USED)


class PackedRing:
    """The device's side of a packed ring.

    Args:
        size: Queue Size, any up to 32768.
        areas: addresses of descriptor ring, driver and device event suppression structures.
        indirect: indirect descriptors were negotiated.
        event_index: VIRTIO_F_EVENT_IDX was negotiated.

    Raises:
        MalformedRingError: a size or an alignment that virtio does not allow.

    The device never suppresses notifications: whoever adds a chain notifies. See `SplitRing` for
    `open` and `close`. Callers serialise.
    """

    alignments = (16, 4, 4)  #: of the three areas, virtio 1.2 "Packed Virtqueues"

    __slots__ = (
        "_areas",
        "_avail_wrap",
        "_cells",
        "_descriptors",
        "_device_events",
        "_driver_events",
        "_event_index",
        "_fence",
        "_indirect",
        "_memory",
        "_unsignalled",
        "_used_wrap",
        "next_avail",
        "next_used",
        "size",
    )

    def __init__(
        self, size: int, areas: Sequence[int], *, indirect: bool, event_index: bool
    ) -> None:
        """Start at slot 0 with both wrap counters set."""
        if not 0 < size <= MAX_QUEUE_SIZE:
            raise MalformedRingError(f"a packed ring of {size} elements")
        check_alignment(areas, self.alignments)
        self.size = size
        self._areas = tuple(areas)
        self._indirect = indirect
        self._event_index = event_index
        self._fence = Lock()
        self.next_avail = 0
        self.next_used = 0
        self._avail_wrap = 1
        self._used_wrap = 1
        self._unsignalled = 0

    # -- state ---------------------------------------------------------------------------------

    @property
    def state(self) -> tuple[int, ...]:
        """Where the device is in its ring, for snapshots and to take back a `pop`."""
        return (
            self.next_avail,
            self._avail_wrap,
            self.next_used,
            self._used_wrap,
            self._unsignalled,
        )

    @state.setter
    def state(self, state: tuple[int, ...]) -> None:
        """Go on where another ring was; `MalformedRingError` if no ring can be there."""
        avail, avail_wrap, used, used_wrap, unsignalled = state
        if not (
            0 <= avail < self.size and 0 <= used < self.size and avail_wrap | used_wrap in (0, 1)
        ):
            raise MalformedRingError(f"no state of a packed ring: {state}")
        self.next_avail, self._avail_wrap = avail, avail_wrap
        self.next_used, self._used_wrap = used, used_wrap
        self._unsignalled = unsignalled

    def open(self, memory: GuestMemory) -> None:
        """Find the areas in guest memory.

        Raises:
            MalformedRingError: one is not in one piece of RAM.
        """
        ring, driver, device = self._areas
        areas = (
            ring_view(memory, ring, self.size * 16, "descriptor ring"),
            ring_view(memory, driver, 4, "driver event suppression"),
            ring_view(memory, device, 4, "device event suppression"),
        )
        self._memory = memory
        self._descriptors, self._driver_events, events = areas
        self._cells = index_cells(self._descriptors)
        self._device_events = index_cells(events)

    def close(self) -> None:
        """Let go of guest memory."""
        del self._memory, self._cells, self._descriptors
        del self._driver_events, self._device_events

    # -- taking --------------------------------------------------------------------------------

    def refresh(self) -> int:
        """Enable notifications; return how many chains there may be.

        Virtio 1.2 "Event Suppression Structure Format": the flags of the device's structure.
        """
        self._device_events[1] = EventFlags.ENABLE
        with self._fence:  # the store before the loads of `pop`, which x86 does not promise
            return self.size

    def pop(self) -> Chain | None:
        """Take the next chain, `None` if there is none.

        Raises:
            MalformedRingError: the chain is longer than the ring, or mixes directions.
        """
        (flags,) = _U16.unpack_from(self._descriptors, self.next_avail * 16 + 14)
        if flags & _BOTH != (_AVAIL if self._avail_wrap else _USED_BIT):
            return None
        found = ChainBuilder()
        identity, slots = self._walk(found)
        self.next_avail += slots
        if self.next_avail >= self.size:
            self.next_avail -= self.size
            self._avail_wrap ^= 1
        return Chain(self._memory, identity, slots, found.readable, found.writable)

    def _walk(self, found: ChainBuilder) -> tuple[int, int]:
        """Collect a chain from `next_avail` on; return its buffer ID and number of slots."""
        table, at = self._descriptors, self.next_avail
        for slots in range(1, self.size + 1):
            address, length, identity, flags = _DESCRIPTOR.unpack_from(table, at * 16)
            if flags & _INDIRECT:
                if flags & _NEXT or slots > 1 or not self._indirect:
                    raise MalformedRingError(f"descriptor {at} may not be indirect")
                self._collect(found, indirect_table(self._memory, address, length))
                return identity, slots
            found.add(address, length, flags & _WRITE)
            if not flags & _NEXT:
                return identity, slots
            at = at + 1 if at + 1 < self.size else 0
        raise MalformedRingError(f"a chain longer than its ring of {self.size}")

    def _collect(self, found: ChainBuilder, table: memoryview) -> None:
        """Take all descriptors of an indirect table: only WRITE counts in their flags."""
        for address, length, _, flags in _DESCRIPTOR.iter_unpack(table):
            if flags & _INDIRECT:
                raise MalformedRingError("an indirect table within another")
            found.add(address, length, flags & _WRITE)

    # -- giving back ---------------------------------------------------------------------------

    def push(self, chain: Chain, written: int) -> None:
        """Give a chain back, with how many bytes the device wrote to it."""
        cell, flags = self._place(chain, written)
        self._cells[cell] = flags

    def push_all(self, done: Sequence[tuple[Chain, int]]) -> None:
        """Give several chains back, which the driver sees all at once: the first one last."""
        places = [self._place(chain, written) for chain, written in done]
        for cell, flags in reversed(places):
            self._cells[cell] = flags

    def _place(self, chain: Chain, written: int) -> tuple[int, int]:
        """Fill in a used descriptor but for its flags; return their cell and what they are."""
        at = self.next_used * 16
        _USED.pack_into(self._descriptors, at + 8, written, chain.id)
        flags = (_BOTH if self._used_wrap else 0) | (_WRITE if written else 0)
        self.next_used += chain.slots
        self._unsignalled += chain.slots
        if self.next_used >= self.size:
            self.next_used -= self.size
            self._used_wrap ^= 1
        return at // 2 + 7, flags

    def interrupt_wanted(self) -> bool:
        """Whether the driver wants to hear of what was given back since the last call.

        Virtio 1.2 "Driver and Device Event Suppression".
        """
        moved, self._unsignalled = self._unsignalled, 0
        if not moved:
            return False
        with self._fence:
            position, flags = _EVENT.unpack_from(self._driver_events)
        if flags & 3 != EventFlags.DESCRIPTOR or not self._event_index:
            return bool(flags & 3 != EventFlags.DISABLE)
        event = position & 0x7FFF
        if position >> 15 != self._used_wrap:
            event -= self.size
        return bool(self.next_used - event - 1 & 0xFFFF < moved)
