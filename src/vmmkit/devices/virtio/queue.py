# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A virtqueue as a device sees it: whatever its ring, chains to take and to give back.

Threads: a queue has a lock of its own, held while chains of it are worked on, the device's
handler included. Handlers may therefore work on *another* queue of any device as long as the
order is the same everywhere (this package: out of a queue that transmits, into one that
receives). Interrupts are signalled when the lock is free again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Final, TypeVar

import attrs

from vmmkit.devices.virtio.chain import Chain, GuestMemory, MalformedRingError
from vmmkit.devices.virtio.packed_ring import PackedRing
from vmmkit.devices.virtio.spec import MAX_QUEUE_SIZE, NO_VECTOR, Feature
from vmmkit.devices.virtio.split_ring import SplitRing
from vmmkit.errors import DeviceError, PciSnapshotError

__all__ = ["QueueOwner", "QueueSnapshot", "Take", "VirtQueue", "make_queues"]

Ring = SplitRing | PackedRing
Handler = Callable[[Chain], int]
Take = Callable[[], Chain | None]
"""Takes the next chain, `None` where there is none."""
Filled = Sequence[tuple[Chain, int]]
"""Chains and the bytes written to each."""
_T = TypeVar("_T")

_INDIRECT: Final = int(Feature.INDIRECT_DESC)
_EVENT_IDX: Final = int(Feature.EVENT_IDX)
_PACKED: Final = int(Feature.RING_PACKED)


class QueueOwner:
    """What a queue asks of its device; `VirtioPci` fits."""

    def queue_memory(self) -> GuestMemory | None:
        """Return guest memory, or `None` while the device may not work on queues."""
        raise NotImplementedError

    def queue_used(self, queue: VirtQueue) -> None:
        """Notify the driver that chains of a queue were given back."""
        raise NotImplementedError

    def queue_broken(self, queue: VirtQueue, reason: str) -> None:
        """Stop, since the driver broke the rules of a ring; the queue's lock is held."""
        raise NotImplementedError

    def queue_failed(self, _queue: VirtQueue) -> None:
        """Notify the driver that the device has stopped."""
        raise NotImplementedError


@attrs.frozen
class QueueSnapshot:
    """All state of a `VirtQueue`; integers only."""

    size: int
    vector: int
    areas: tuple[int, int, int]
    ring: tuple[int, ...] | None  #: `None` while not enabled


class VirtQueue:
    """One virtqueue.

    Args:
        owner: the device.
        index: number of the queue.
        max_size: largest Queue Size, a power of two.

    Attributes:
        size: Queue Size; the driver may make it smaller before it enables the queue.
        vector: MSI-X vector, or `NO_VECTOR`.
        areas: addresses of descriptor area, driver area and device area.
        lock: held while chains are worked on.
    """

    __slots__ = (
        "_failed",
        "_ring",
        "_used",
        "_working",
        "areas",
        "index",
        "lock",
        "max_size",
        "owner",
        "size",
        "vector",
    )

    def __init__(self, owner: QueueOwner, index: int, max_size: int) -> None:
        """Start disabled."""
        self.owner = owner
        self.index = index
        self.max_size = max_size
        self.lock = RLock()
        self._ring: Ring | None = None
        self._working = False  # a handler of this thread is at work: the lock lets it in again
        self.reset()

    # -- what a transport does -----------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        """Whether the driver has enabled the queue."""
        return self._ring is not None

    def reset(self) -> None:
        """Forget the ring; work of another thread on this queue ends first."""
        with self.lock:
            self._ring = None
            self._used = self._failed = False  # what the driver was to be told
            self.size = self.max_size
            self.vector = NO_VECTOR
            self.areas = [0, 0, 0]

    def enable(self, features: int) -> None:
        """Build the ring that `features` and the registers describe; again does nothing."""
        with self.lock:
            if self._ring is None:
                try:
                    self._ring = self._build(self.size, self.areas, features)
                except MalformedRingError as error:
                    self._break(error)
        self._report()

    def _build(self, size: int, areas: Sequence[int], features: int) -> Ring:
        if size > self.max_size:
            raise MalformedRingError(f"{size} elements in a queue of up to {self.max_size}")
        kind = PackedRing if features & _PACKED else SplitRing
        indirect, event_index = bool(features & _INDIRECT), bool(features & _EVENT_IDX)
        return kind(size, areas, indirect=indirect, event_index=event_index)

    def snapshot(self) -> QueueSnapshot:
        """Return all state."""
        with self.lock:
            ring = None if self._ring is None else self._ring.state
            first, second, third = self.areas
            return QueueSnapshot(self.size, self.vector, (first, second, third), ring)

    def restore(self, snapshot: QueueSnapshot, features: int) -> None:
        """Take the state of a snapshot; `features` are those that the driver accepted.

        Raises:
            PciSnapshotError: it is of no such queue; nothing changed then.
        """
        ring = self.check(snapshot, features)
        with self.lock:
            self.size, self.vector = snapshot.size, snapshot.vector
            self.areas = list(snapshot.areas)
            self._ring = ring

    def check(self, snapshot: QueueSnapshot, features: int) -> Ring | None:
        """Return the ring that a snapshot describes, `None` for a queue that is not enabled.

        Raises:
            PciSnapshotError: it is of no such queue.
        """
        if snapshot.ring is None:
            return None
        try:
            ring = self._build(snapshot.size, snapshot.areas, features)
            ring.state = snapshot.ring
        except (MalformedRingError, ValueError) as error:
            raise PciSnapshotError(f"queue {self.index}: {error}") from error
        return ring

    # -- what a device does --------------------------------------------------------------------

    def process(self, handler: Handler) -> None:
        """Hand each available chain to `handler`, which returns how many bytes it wrote.

        What becomes available after the beginning is left to the notification that it comes
        with, so a call handles at most as many chains as the queue has elements. If the handler
        raises, its chain is given back with nothing written, and the exception passes.
        """
        self._with_ring(lambda ring: self._drain(ring, handler), None)

    def _drain(self, ring: Ring, handler: Handler) -> None:
        for _ in range(ring.refresh()):
            chain = ring.pop()
            if chain is None:
                return
            written = 0
            try:
                written = handler(chain)
            except MalformedRingError:
                raise
            except Exception:
                self._give_back(ring, chain, 0)
                raise
            if not self._give_back(ring, chain, written):
                return

    def _give_back(self, ring: Ring, chain: Chain, written: int) -> bool:
        """Push, unless the handler itself reset the queue; tell whether the ring still stands."""
        if self._ring is ring:
            ring.push(chain, min(written, 0xFFFF_FFFF))
        return self._ring is ring

    def deliver(self, fill: Callable[[Take], Filled]) -> bool:
        """Fill chains from outside, all of which the driver sees at once.

        Args:
            fill: called with a function that takes the next chain, `None` where there is none;
                returns pairs of a chain and the bytes written to it, or nothing to put all
                chains back.

        Returns:
            Whether anything was delivered.
        """
        return self._with_ring(lambda ring: self._fill(ring, fill), False)

    def _fill(self, ring: Ring, fill: Callable[[Take], Filled]) -> bool:
        before, left = ring.state, ring.size

        def take() -> Chain | None:
            """Take a chain; the driver may add more meanwhile, but not more than fit the ring."""
            nonlocal left
            chain = ring.pop()
            if chain is not None:
                left -= chain.slots
                if left < 0:
                    raise MalformedRingError(f"more chains than {ring.size} elements hold")
            return chain

        done = fill(take)
        if not done:
            ring.state = before
            return False
        ring.push_all(done)
        return True

    def _with_ring(self, work: Callable[[Ring], _T], otherwise: _T) -> _T:
        """Run `work` on the open ring; `otherwise` where there is none or it is malformed."""
        try:
            with self.lock:
                ring, memory = self._ring, self.owner.queue_memory()
                if ring is None or memory is None or self._working:
                    return otherwise
                return self._work(ring, memory, work, otherwise)
        finally:
            self._report()

    def _work(
        self, ring: Ring, memory: GuestMemory, work: Callable[[Ring], _T], otherwise: _T
    ) -> _T:
        self._working = True
        try:
            ring.open(memory)
            try:
                return work(ring)
            finally:
                self._used |= ring.interrupt_wanted()
                ring.close()
        except MalformedRingError as error:
            self._break(error)
            return otherwise
        finally:
            self._working = False

    def _break(self, error: MalformedRingError) -> None:
        """Stop the device while the lock is held, so that no reset comes before it and is lost."""
        self._failed = True
        self.owner.queue_broken(self, str(error))

    def _report(self) -> None:
        """Tell the owner what happened, now that the lock is free.

        Another thread may take the news over; in either case it is told after it happened.
        """
        if self._failed:
            self._failed = False
            self.owner.queue_failed(self)
        if self._used:
            self._used = False
            self.owner.queue_used(self)


def make_queues(owner: QueueOwner, sizes: Sequence[int], *, most: int) -> tuple[VirtQueue, ...]:
    """Return the queues of a device.

    Args:
        owner: the device.
        sizes: largest size of each queue.
        most: how many queues can be notified.

    Raises:
        DeviceError: more queues than that, or a size that is no power of two up to 32768.
    """
    kind = type(owner).__name__
    if len(sizes) > most:
        raise DeviceError(f"{kind}: {len(sizes)} queues, and only {most} can be notified")
    for size in sizes:
        if not 0 < size <= MAX_QUEUE_SIZE or size & size - 1:
            raise DeviceError(f"{kind}: a queue of {size} is no power of two up to 32768")
    return tuple(VirtQueue(owner, index, size) for index, size in enumerate(sizes))
