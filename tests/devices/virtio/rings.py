# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The driver's side of split and packed rings, in guest RAM.

Written from virtio 1.2 "Split Virtqueues" and "Packed Virtqueues", and from nothing that the
device's side uses, so that a wrong constant does not agree with itself.
"""

import struct


class Ram:
    """Guest RAM with a bump allocator, and a `view` such as `Dma` has."""

    def __init__(self, base=0x10_0000, size=1 << 20, seams=()):
        self.base = base
        self.bytes = bytearray(size)
        self.seams = seams  # addresses that no view may cross
        self.next = base

    def alloc(self, size, align=16):
        address = (self.next + align - 1) & -align
        self.next = address + size
        assert self.next <= self.base + len(self.bytes)
        return address

    def view(self, address, size):
        first = address - self.base
        if not 0 <= first <= first + size <= len(self.bytes):
            return None
        if any(address < seam < address + size for seam in self.seams):
            return None
        return memoryview(self.bytes)[first : first + size]

    def read(self, address, size):
        return bytes(self.bytes[address - self.base :][:size])

    def write(self, address, data):
        first = address - self.base
        self.bytes[first : first + len(data)] = data
        return True

    def get(self, code, address):
        return struct.unpack_from("<" + code, self.bytes, address - self.base)[0]

    def put(self, code, address, *values):
        struct.pack_into("<" + code, self.bytes, address - self.base, *values)


def needs_event(event, new, old):
    return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF


class DriverRing:
    """What both layouts share: buffers in, tokens out."""

    def __init__(self, ram, size, *, indirect=False, event_index=False):
        self.ram, self.size = ram, size
        self.indirect, self.event_index = indirect, event_index
        self.tokens = {}
        self.lay_out()

    def table(self, pieces, make):
        """Write an indirect table; return its address and length."""
        address = self.ram.alloc(16 * len(pieces))
        for at, piece in enumerate(pieces):
            self.ram.put("QIHH", address + 16 * at, *make(at, *piece))
        return address, 16 * len(pieces)

    def pieces(self, readable, writable):
        return [(*piece, 0) for piece in readable] + [(*piece, 2) for piece in writable]


class SplitDriver(DriverRing):
    def lay_out(self):
        size = self.size
        self.descriptors = self.ram.alloc(16 * size, 16)
        self.avail = self.ram.alloc(6 + 2 * size, 2)
        self.used = self.ram.alloc(6 + 8 * size, 4)
        self.areas = (self.descriptors, self.avail, self.used)
        self.free = list(range(size))
        self.available = self.kicked = self.seen = 0
        self.ram.put("H", self.avail, 0)

    def add(self, readable=(), writable=(), token=None):
        """Make a chain available; False if there is no room."""
        pieces = self.pieces(readable, writable)
        if self.indirect:
            last = len(pieces) - 1
            address, length = self.table(
                pieces,
                lambda at, addr, size, flag: (
                    addr,
                    size,
                    flag | (at < last),
                    (at < last) * (at + 1),
                ),
            )
            pieces = [(address, length, 4)]
        if len(pieces) > len(self.free):
            return False
        slots = [self.free.pop() for _ in pieces]
        for slot, following, (address, size, flags) in zip(
            slots, [*slots[1:], None], pieces, strict=True
        ):
            more = following is not None
            self.put_descriptor(slot, address, size, flags | more, following or 0)
        self.tokens[slots[0]] = (token, slots)
        self.offer(slots[0])
        return True

    def put_descriptor(self, slot, address, size, flags=0, following=0):
        self.ram.put("QIHH", self.descriptors + 16 * slot, address, size, flags, following)

    def offer(self, head):
        self.ram.put("H", self.avail + 4 + 2 * (self.available % self.size), head)
        self.available = (self.available + 1) & 0xFFFF
        self.ram.put("H", self.avail + 2, self.available)

    def kick_wanted(self):
        old, self.kicked = self.kicked, self.available
        if self.event_index:
            return needs_event(
                self.ram.get("H", self.used + 4 + 8 * self.size), self.available, old
            )
        return not self.ram.get("H", self.used) & 1

    def collect(self):
        """Return (token, bytes written) of each chain given back since the last call."""
        done = []
        while self.seen != self.ram.get("H", self.used + 2):
            at = self.used + 4 + 8 * (self.seen % self.size)
            token, slots = self.tokens.pop(self.ram.get("I", at))
            self.free += slots
            done.append((token, self.ram.get("I", at + 4)))
            self.seen = (self.seen + 1) & 0xFFFF
        if self.event_index:
            self.interrupts(True)
        return done

    def interrupts(self, wanted, after=1):
        """Ask for an interrupt after `after` more chains, or for none."""
        if self.event_index:
            distance = after - 1 if wanted else -1
            self.ram.put("H", self.avail + 4 + 2 * self.size, (self.seen + distance) & 0xFFFF)
        else:
            self.ram.put("H", self.avail, 0 if wanted else 1)


class PackedDriver(DriverRing):
    def lay_out(self):
        self.descriptors = self.ram.alloc(16 * self.size, 16)
        self.driver_events = self.ram.alloc(4, 4)
        self.device_events = self.ram.alloc(4, 4)
        self.areas = (self.descriptors, self.driver_events, self.device_events)
        self.next = self.seen = 0
        self.wrap = self.seen_wrap = 1
        self.room = self.size
        self.identity = 0

    def add(self, readable=(), writable=(), token=None):
        pieces = self.pieces(readable, writable)
        if self.indirect:
            address, length = self.table(pieces, lambda at, addr, size, flag: (addr, size, 7, flag))
            pieces = [(address, length, 4)]
        if len(pieces) > self.room:
            return False
        while self.identity in self.tokens:
            self.identity = (self.identity + 1) & 0xFFFF
        self.tokens[self.identity] = (token, len(pieces))
        head, head_flags = self.next, None
        for at, (address, size, write) in enumerate(pieces):
            flags = write | (at < len(pieces) - 1) | (0x80 if self.wrap else 0x8000)
            slot = self.descriptors + 16 * self.next
            self.ram.put("QIH", slot, address, size, self.identity)
            if head_flags is None:
                head_flags = flags
            else:
                self.ram.put("H", slot + 14, flags)
            self.next += 1
            if self.next == self.size:
                self.next, self.wrap = 0, self.wrap ^ 1
        self.ram.put("H", self.descriptors + 16 * head + 14, head_flags)
        self.room -= len(pieces)
        self.identity = (self.identity + 1) & 0xFFFF
        return True

    def kick_wanted(self):
        return self.ram.get("H", self.device_events + 2) != 1

    def collect(self):
        done = []
        while True:
            slot = self.descriptors + 16 * self.seen
            flags = self.ram.get("H", slot + 14)
            if (flags >> 7 & 1, flags >> 15) != (self.seen_wrap, self.seen_wrap):
                return done
            token, slots = self.tokens.pop(self.ram.get("H", slot + 12))
            done.append((token, self.ram.get("I", slot + 8)))
            self.room += slots
            self.seen += slots
            if self.seen >= self.size:
                self.seen, self.seen_wrap = self.seen - self.size, self.seen_wrap ^ 1

    def interrupts(self, wanted, after=1):
        """As `SplitDriver.interrupts`; `after` counts slots of the ring here."""
        if not self.event_index or not wanted:
            self.ram.put("HH", self.driver_events, 0, 0 if wanted else 1)
            return
        slot, wrap = self.seen + after - 1, self.seen_wrap
        if slot >= self.size:
            slot, wrap = slot - self.size, wrap ^ 1
        self.ram.put("HH", self.driver_events, slot | wrap << 15, 2)


RINGS = {"split": SplitDriver, "packed": PackedDriver}
