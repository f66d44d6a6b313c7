# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory slots that follow an address map, and the log of pages the guest wrote.

A slot lets the guest reach a buffer of this process without an exit. Each RAM or ROM region that
KVM can take has one; the others are served by exits. KVM can take a region whose base, size and
buffer are whole pages. The buffer of a slot stays exported until the slot is gone, so that the
guest never reaches memory that is something else by now.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from operator import itemgetter
from threading import RLock
from typing import Final, NamedTuple

import attrs

from vmmkit.backends.kvm._ioctl import Handle, HostBuffer
from vmmkit.backends.kvm._spec import (
    DIRTY_LOG,
    KVM_GET_DIRTY_LOG,
    KVM_SET_USER_MEMORY_REGION,
    PAGE_SIZE,
    USER_MEMORY_REGION,
    Mem,
)
from vmmkit.errors import KvmError, MachineError
from vmmkit.memregion import READ, WRITE, Region

__all__ = ["MemorySlot", "Slots"]

SET: Final = KVM_SET_USER_MEMORY_REGION


class MemorySlot(NamedTuple):
    """Guest memory that is reached without an exit.

    Attributes:
        gpa: first guest-physical address.
        size: bytes.
        readonly: whether writes leave the guest.
    """

    gpa: int
    size: int
    readonly: bool


@attrs.define(eq=False)
class _Slot:
    """One slot as KVM has it."""

    number: int
    gpa: int
    size: int
    flags: Mem
    host: HostBuffer


class Slots:
    """The slots of one virtual machine; a listener of its address map.

    Args:
        vm: makes the calls.
        limit: how many slots KVM gives a virtual machine.
    """

    def __init__(self, vm: Handle, limit: int) -> None:
        """Start with none."""
        self._vm = vm
        self._limit = limit
        self._lock = RLock()
        self._slots: dict[Region, _Slot] = {}
        self._numbers = 0  # that were ever used; a slot that was not deleted keeps its own
        self._free: list[int] = []
        self._dirty: dict[Region, set[int]] = {}  # offsets told by slots that are gone
        self._ram: dict[Region, tuple[int, memoryview]] = {}
        self._shown: tuple[tuple[int, memoryview], ...] | None = ()

    # -- what the map tells ---------------------------------------------------------------------

    def region_added(self, region: Region, /) -> None:
        """Give it a slot where it can have one.

        Raises:
            KvmError: the kernel refuses, or there are no more slots; it is served by exits.
        """
        with self._lock:
            self._note_ram(region)
            if self._vm.fd >= 0 and _fits(region):
                self._insert(region)

    def region_removed(self, region: Region, /) -> None:
        """Take its slot away."""
        with self._lock:
            self._shown = None
            self._ram.pop(region, None)
            if region in self._slots:
                self._delete(region)

    def region_moved(self, region: Region, _old_base: int, /) -> None:
        """Move its slot along, or make or delete it, as the new base allows."""
        with self._lock:
            self._note_ram(region)
            slot = self._slots.get(region)
            if slot is None or region.base % PAGE_SIZE:
                self.region_removed(region)
                self.region_added(region)
            else:
                self._move(region, slot)

    # -- what the owner asks --------------------------------------------------------------------

    def __iter__(self) -> Iterator[MemorySlot]:
        """Yield a `MemorySlot` for each slot, in address order."""
        with self._lock:
            slots = sorted(self._slots.values(), key=lambda slot: slot.gpa)
            return iter([MemorySlot(s.gpa, s.size, bool(s.flags & Mem.READONLY)) for s in slots])

    def log(self, region: Region, on: bool) -> None:
        """Switch the log of one region; switching it off forgets what it holds."""
        if region.buffer is None:
            raise MachineError(f"{region.describe()} has no memory that is written")
        with self._lock:
            slot = self._slots.get(region)
            if slot is not None and bool(slot.flags & Mem.LOG_DIRTY_PAGES) is not bool(on):
                self._change(slot, slot.gpa, slot.flags ^ Mem.LOG_DIRTY_PAGES)
            if on and region not in self._dirty:
                self._dirty[region] = set()
            elif not on:
                self._dirty.pop(region, None)

    def take_dirty(self, region: Region) -> tuple[int, ...]:
        """Return the pages written since the last look, as addresses of where they are now."""
        with self._lock:
            if region not in self._dirty:
                raise MachineError(f"the writes to {region.describe()} are not logged")
            self._harvest(region)
            taken, self._dirty[region] = self._dirty[region], set()
            return tuple(region.base + offset for offset in sorted(taken))

    def clear(self, *, forget: bool = False) -> None:
        """Delete all slots, so that no vCPU reaches a buffer any more.

        Args:
            forget: let go of the buffers without a word to KVM, as a fork of the process that
                made the machine must.
        """
        with self._lock:
            self._dirty.clear()
            self._ram.clear()
            self._shown = ()
            for region in [*self._slots]:
                if forget:
                    self._slots.pop(region).host.release()
                else:
                    self._delete(region)

    # -- what KVM is told ---------------------------------------------------------------------

    def _insert(self, region: Region) -> None:
        number = self._free.pop() if self._free else self._new_number(region)
        flags = Mem(0) if _writable(region) else Mem.READONLY
        if region in self._dirty:
            flags |= Mem.LOG_DIRTY_PAGES
        slot = _Slot(number, region.base, region.size, flags, HostBuffer(_buffer(region)))
        try:
            self._set(slot)
        except KvmError:
            self._free.append(number)
            slot.host.release()
            raise
        self._slots[region] = slot

    def _new_number(self, region: Region) -> int:
        if self._numbers >= self._limit:
            message = f"no memory slot for {region.describe()}: KVM has {self._limit}"
            raise KvmError(f"{SET.name}: {message}", SET.name, errno.ENOSPC)
        self._numbers += 1
        return self._numbers - 1

    def _move(self, region: Region, slot: _Slot) -> None:
        self._harvest(region)
        try:
            self._change(slot, region.base, slot.flags)
        except KvmError:
            self._delete(region)  # KVM has it at its old place, where it must not stay
            raise

    def _change(self, slot: _Slot, gpa: int, flags: Mem) -> None:
        """Change what KVM lets be changed of a slot."""
        self._set(attrs.evolve(slot, gpa=gpa, flags=flags))
        slot.gpa, slot.flags = gpa, flags

    def _delete(self, region: Region) -> None:
        self._harvest(region)
        slot = self._slots.pop(region)
        self._set(attrs.evolve(slot, size=0))
        self._free.append(slot.number)
        slot.host.release()

    def _set(self, slot: _Slot) -> None:
        raw = USER_MEMORY_REGION.pack(
            slot.number, slot.flags, slot.gpa, slot.size, slot.host.address
        )
        self._vm.call(SET, raw, f"slot {slot.number}, {slot.size:#x} bytes at {slot.gpa:#x}")

    def _harvest(self, region: Region) -> None:
        """Take over what KVM has logged for a region."""
        slot = self._slots.get(region)
        if slot is None or region not in self._dirty:
            return
        words = bytearray(-(-slot.size // (64 * PAGE_SIZE)) * 8)
        host = HostBuffer(words)
        request = DIRTY_LOG.pack(slot.number, host.address)
        self._vm.call(KVM_GET_DIRTY_LOG, request, f"slot {slot.number}")
        host.release()
        self._dirty[region].update(page * PAGE_SIZE for page in _bits(words))

    # -- what other emulators are told -----------------------------------------------------------

    @property
    def ram(self) -> tuple[tuple[int, memoryview], ...]:
        """RAM and ROM as `vmmkit.insn` takes them; the same tuple until the map changes."""
        shown = self._shown
        if shown is None:
            with self._lock:
                pieces = sorted(self._ram.values(), key=itemgetter(0))
                shown = self._shown = tuple(pieces)
        return shown

    def _note_ram(self, region: Region) -> None:
        if _has_pages(region):
            buffer = _buffer(region)
            self._ram[region] = region.base, buffer if _writable(region) else buffer.toreadonly()
        else:
            self._ram.pop(region, None)
        self._shown = None


def _writable(region: Region) -> bool:
    """Tell whether the guest may write the buffer itself."""
    return region.kind == "ram" and bool(region.flags & WRITE)


def _odd(*numbers: int) -> bool:
    """Tell whether one of these is no multiple of a page."""
    return any(number % PAGE_SIZE for number in numbers)


def _has_pages(region: Region) -> bool:
    """Tell whether a region is memory that may be read, of whole pages for the guest."""
    return bool(region.buffer is not None and region.flags & READ) and not _odd(
        region.base, region.size
    )


def _fits(region: Region) -> bool:
    """Tell whether KVM can take a region as a slot: whole pages that may be read."""
    if not _has_pages(region):
        return False
    host = HostBuffer(_buffer(region))
    aligned = not _odd(host.address)
    host.release()
    return aligned


def _buffer(region: Region) -> memoryview:
    """Return the buffer of RAM or ROM."""
    assert region.buffer is not None, region
    return region.buffer


def _bits(words: bytearray) -> list[int]:
    """List the bits that are set, little end first."""
    written = ((place, byte) for place, byte in enumerate(words) if byte)
    return [place * 8 + bit for place, byte in written for bit in range(8) if byte >> bit & 1]
