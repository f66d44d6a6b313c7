# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The address map of a machine: who answers at which address.

A `RegionMap` is one address space, guest-physical memory or I/O ports. Devices, RAM and ROM are
*regions* in it: ranges that never overlap. Behind them may lie *fallback* ranges, which answer
where no region does, such as the hole that PCI devices are mapped into. Each vCPU looks at the
map through a *port* of its own::

    mmio = RegionMap(address_bits=52, name="mmio")
    mmio.add(0xFEC0_0000, 0x1000, ioapic, name="ioapic")
    mmio.add_fallback(0xC000_0000, 0x4000_0000, all_ones, name="pci hole")
    port = mmio.port(vcpu)
    value = port.read(0xFEC0_0010, 4)       # calls ioapic.read(vcpu, 0x10, 4)

How an access finds its handler:

1. The port's own table, keyed by size and exact address. Most accesses end here, without a lock.
2. On a miss, under the map's lock: the ordered tree of regions, then that of the fallbacks. The
   access is judged by the flags and the policy of the region found, and what comes out, good
   for every later access of that size to that address, goes into the table. An access that a
   fallback answers goes into no table, so that no entry can ever hide a region placed later.
3. Nothing there: `UnmappedError`, which no other failure shares.

How the map changes: `add`, `remove`, `move`, `enable` and `disable` state what is wanted, and a
commit brings it about. Outside of a transaction each is its own commit; inside, all of them
are one, and only the final state is judged, so that two regions can trade places. A commit
changes both trees and empties every port's tables under the lock, or it raises and changes
nothing. Then, with the lock free again, listeners hear the difference.

Three locks' worth of rules, with two locks:

- `_writers` (held by a change from its first look at the map until its listeners have returned,
  and through a whole transaction) makes changes one after the other. Reentrant.
- `_lookup` (held for the moments in which trees and tables change, and by a miss) is innermost:
  no handler, listener or other foreign code ever runs under it.
- Handlers run under no lock of the map. A handler may read and write through any port, add,
  move and remove regions, its own included.

What this module does not know: instructions, PCI, threads' identities as vCPUs, endianness (an
access is an integer; the lowest address holds its lowest byte), and what a vCPU is: any object
serves, and handlers receive it as it was given to `port`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import RLock, get_ident
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from vmmkit._region import IMMUTABLE, READ, WRITE, Kind, Region, RegionFlags
from vmmkit._region_access import READING, WRITING, Direction, Resolver, Straddle
from vmmkit._region_picture import draw_svg, draw_tree
from vmmkit._region_policy import (
    MASKS,
    AccessPolicy,
    AllOnes,
    all_ones,
    ignore_write,
    read_buffer,
    write_buffer,
)
from vmmkit._region_port import TABLE_LIMIT, Entry, Table, bind_read, bind_write, quiesce
from vmmkit._region_trace import (
    AccessRecord,
    BreakOn,
    Counters,
    Instrument,
    TraceRing,
    instrument_read,
    instrument_write,
)
from vmmkit._region_tree import RangeTree
from vmmkit.errors import (
    AccessAddressError,
    AccessSizeError,
    ImmutableRegionError,
    RegionConfigError,
    RegionRangeError,
    TransactionError,
    UnknownRegionError,
)
from vmmkit.protocols import MapListener, ReadHandler, WriteHandler

__all__ = [
    "READ",
    "WRITE",
    "IMMUTABLE",
    "RegionFlags",
    "RegionMap",
    "Region",
    "Port",
    "Transaction",
    "AccessPolicy",
    "AllOnes",
    "all_ones",
    "AccessRecord",
    "Instrument",
    "TraceRing",
    "Counters",
    "BreakOn",
]  # fmt: skip

#: Sizes that only a region whose policy allows them takes.
VECTOR_SIZES = (16, 32, 64)

_DEFAULT_POLICY = AccessPolicy()
_MEMORY_POLICY = AccessPolicy(max_size=64)

#: What a change asks of a region: its base and whether it is to answer; `None`: to leave.
Wish = tuple[int, bool] | None


class RegionMap:
    """One address space.

    Iteration, `len` and `in` speak of the regions that answer: enabled ones, no fallbacks. They,
    `find`, `conflicts` and the pictures show the committed state, also inside a transaction.

    Args:
        address_bits: width of an address: 16 for x86 I/O ports, 52 or 64 for memory.
        name: what errors and pictures call this space.
        access_sizes: sizes, in bytes, that accesses may have. 16, 32 and 64 need not be named:
            they are for the regions whose policy's `max_size` allows them.
        straddle: what happens to an access whose bytes have more than one owner. `"raise"`: a
            `StraddleError`. `"ones"`: it reads as ones or is dropped, as a whole. `"split"`: it
            is cut at the borders into naturally aligned accesses, made in address order.

    Raises:
        RegionConfigError: an argument outside of these.
    """

    def __init__(
        self,
        *,
        address_bits: int = 64,
        name: str = "memory",
        access_sizes: Iterable[int] = (1, 2, 4, 8),
        straddle: Straddle = "raise",
    ) -> None:
        """Start with an empty space."""
        sizes = tuple(access_sizes)
        if not 1 <= address_bits <= 128:
            raise RegionConfigError(f"address_bits is from 1 to 128, not {address_bits}")
        if not sizes or not MASKS.keys() >= set(sizes):
            raise RegionConfigError(f"access_sizes are among {[*MASKS]}, not {sizes}")
        if straddle not in ("raise", "ones", "split"):
            raise RegionConfigError(f"straddle is 'raise', 'ones' or 'split', not {straddle!r}")
        self.name = name
        self.address_bits = address_bits
        self._limit = 1 << address_bits
        self._sizes = dict.fromkeys(sorted({*sizes, *VECTOR_SIZES}))
        self._regions: RangeTree[Region] = RangeTree(self._limit)
        self._fallbacks: RangeTree[Region] = RangeTree(self._limit)
        self._disabled: dict[Region, None] = {}
        self._resolver = Resolver(self._regions, self._fallbacks, straddle)
        self._ports: WeakSet[Port] = WeakSet()
        self._warm = False  # whether a port's table holds anything
        self._lookup = RLock()
        self._writers = RLock()
        self._wishes: dict[Region, Wish] | None = None  # of the open transaction
        self._listeners: list[MapListener] = []
        self._news: deque[_Event] = deque()
        self._telling = False
