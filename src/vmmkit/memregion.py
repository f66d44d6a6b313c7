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

Locks, of which there are two, and their order:

- The writers' lock (held by a change from its first look at the map until its listeners have
  returned, and through a whole transaction) makes changes one after the other. Reentrant.
- The lookup lock (held for the moments in which trees and tables change, and by a miss) is
  innermost: no handler, listener or other foreign code ever runs under it.
- Handlers run under no lock of the map. A handler may read and write through any port, add,
  move and remove regions, its own included.

What this module does not know: instructions, PCI, threads' identities as vCPUs, endianness (an
access is an integer; the lowest address holds its lowest byte), and what a vCPU is: any object
serves, and handlers receive it as it was given to `port`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import attrs

from vmmkit._region import (
    AS_HANDLED,
    FLAGS_OF,
    IMMUTABLE,
    READ,
    WRITE,
    Kind,
    Region,
    RegionFlags,
    permitted,
)
from vmmkit._region_access import Port, Resolver, Straddle
from vmmkit._region_changes import Changeable
from vmmkit._region_commit import Ledger, Transaction
from vmmkit._region_handlers import (
    AllOnes,
    Handlers,
    LoggedOnes,
    all_ones,
    bytes_of,
    handlers_of,
    logged_ones,
    read_buffer,
    write_buffer,
)
from vmmkit._region_policy import MASKS, AccessPolicy, Verdict
from vmmkit._region_trace import AccessRecord, BreakOn, Counters, Instrument, TraceRing, instrument
from vmmkit.errors import AccessAddressError, RegionConfigError
from vmmkit.protocols import ReadHandler, WriteHandler

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
    "LoggedOnes",
    "logged_ones",
    "AccessRecord",
    "Instrument",
    "TraceRing",
    "Counters",
    "BreakOn",
]  # fmt: skip

#: Sizes that only a region whose policy allows them takes.
VECTOR_SIZES = (16, 32, 64)

#: What `add_rom` calls the policy's verdict on writes.
_ROM_WRITES: dict[str, Verdict] = {"ignore": "ones", "raise": "raise", "log": "log"}

ALL_FLAGS = READ | WRITE | IMMUTABLE

_DEFAULT_POLICY = AccessPolicy()
_MEMORY_POLICY = AccessPolicy(max_size=64)


class RegionMap(Changeable):
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
        instruments: what watches every port of the map, whoever makes it; see `port`.

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
        instruments: Sequence[Instrument] = (),
    ) -> None:
        """Start with an empty space."""
        try:
            sizes = tuple(access_sizes)
            known_sizes = MASKS.keys() >= set(sizes)
        except TypeError as error:
            raise RegionConfigError(f"access_sizes are sizes, not {access_sizes!r}") from error
        if not isinstance(address_bits, int) or not 1 <= address_bits <= 128:
            raise RegionConfigError(f"address_bits is from 1 to 128, not {address_bits}")
        if not sizes or not known_sizes:
            raise RegionConfigError(f"access_sizes are among {[*MASKS]}, not {sizes}")
        if straddle not in ("raise", "ones", "split"):
            raise RegionConfigError(f"straddle is 'raise', 'ones' or 'split', not {straddle!r}")
        self.name = name
        self.address_bits = address_bits
        self._instruments = (*instruments,)
        self._limit = 1 << address_bits
        self._ledger = Ledger(name, self._limit, self._forget)
        known = {*sizes, *VECTOR_SIZES}
        self._resolver = Resolver(name, self._limit, known, straddle, self._ledger)

    def _forget(self) -> None:
        self._resolver.forget()

    # -- placing ------------------------------------------------------------------------------

    def add(
        self,
        base: int,
        size: int,
        handler: Any = None,
        /,
        *,
        read: ReadHandler | None = None,
        write: WriteHandler | None = None,
        name: str = "",
        flags: RegionFlags = AS_HANDLED,
        policy: AccessPolicy = _DEFAULT_POLICY,
        absolute: bool = False,
        trusted: bool = False,
        enabled: bool = True,
    ) -> Region:
        """Place a device.

        Args:
            base: first address.
            size: length in bytes, at least 1.
            handler: a device with `read(vcpu, offset, size)`, `write(vcpu, offset, size, value)`
                or both. They are looked up now, once.
            read: instead of a device, the callable for reads.
            write: instead of a device, the callable for writes.
            name: for errors, traces and pictures.
            flags: READ and WRITE say what ports may do; where neither is given, what there are
                handlers for. IMMUTABLE forbids to remove, move or disable the region.
            policy: which accesses the region takes, and what becomes of the others.
            absolute: tell handlers absolute addresses instead of offsets from `base`.
            trusted: the read handler promises an integer that fits the access. It is passed on
                as it is: no mask, and no `HandlerError` if it is something else.
            enabled: whether it answers at once.

        Returns:
            The region's handle.

        Raises:
            RegionRangeError: an empty or negative range, or one beyond the address space.
            OverlapError: another region claims one of these addresses. Outside of transactions
                it is raised here, inside by their end.
            RegionConfigError: no handler, both kinds of handlers, or WRITE without a handler.
        """
        handlers = handlers_of(handler, read, write)
        region = self._make(base, size, name, "device", flags, policy, handlers)
        region.absolute, region.trusted = absolute, trusted
        return self._place(region, enabled)

    def add_ram(
        self,
        base: int,
        buffer: Any,
        /,
        *,
        name: str = "",
        flags: RegionFlags = AS_HANDLED,
        policy: AccessPolicy = _MEMORY_POLICY,
        enabled: bool = True,
    ) -> Region:
        """Place RAM: a region as long as `buffer`, read and written there.

        Args:
            base: first address.
            buffer: a writable contiguous buffer; it is not copied, and cannot be resized while
                the region's handle lives.
            name: for errors, traces and pictures.
            flags: as for `add`.
            policy: as for `add`; the default takes every size.
            enabled: whether it answers at once.

        Raises:
            RegionConfigError: a read-only or non-contiguous buffer, or no buffer at all.
            RegionRangeError, OverlapError: as `add`.
        """
        view = bytes_of(buffer, writable=True)
        handlers = read_buffer(view), write_buffer(view)
        region = self._make(base, len(view), name, "ram", flags, policy, handlers)
        region.buffer = view
        return self._place(region, enabled)

    def add_rom(
        self,
        base: int,
        buffer: Any,
        /,
        *,
        on_write: WriteHandler | Literal["ignore", "raise", "log"] = "ignore",
        name: str = "",
        policy: AccessPolicy = _MEMORY_POLICY,
        flags: RegionFlags = AS_HANDLED,
        enabled: bool = True,
    ) -> Region:
        """Place ROM: a region as long as `buffer`, read from there.

        Args:
            base: first address.
            buffer: a contiguous buffer, not copied. Its owner may change it.
            on_write: what writes do: `"ignore"` drops them, `"log"` does so with a warning to the
                logger `vmmkit.memregion`, `"raise"` raises `DeniedError`, a
                callable takes them, as the command register of a flash chip does.
            name: for errors, traces and pictures.
            policy: as for `add`; the default takes every size.
            flags: as for `add`.
            enabled: whether it answers at once.

        Raises:
            RegionConfigError: no contiguous buffer, or another word for `on_write`.
            RegionRangeError, OverlapError: as `add`.
        """
        view = bytes_of(buffer, writable=False)
        handlers: Handlers = read_buffer(view), None
        if callable(on_write):
            handlers = handlers[0], on_write
        elif isinstance(on_write, str) and on_write in _ROM_WRITES:
            policy = attrs.evolve(policy, denied=_ROM_WRITES[on_write])
        else:
            raise RegionConfigError(f"on_write is {[*_ROM_WRITES]} or callable: {on_write!r}")
        region = self._make(base, len(view), name, "rom", flags, policy, handlers)
        region.buffer = view
        return self._place(region, enabled)

    def add_fallback(
        self,
        base: int,
        size: int,
        handler: Any = None,
        /,
        *,
        read: ReadHandler | None = None,
        write: WriteHandler | None = None,
        name: str = "",
        flags: RegionFlags = AS_HANDLED,
        policy: AccessPolicy = _MEMORY_POLICY,
        absolute: bool = False,
        enabled: bool = True,
    ) -> Region:
        """Place a range that answers where no region does.

        Fallbacks may overlap regions, which go first, but not each other. Nothing they answer
        is kept in a port's table. Listeners do not hear of them.

        Args:
            base: first address.
            size: length in bytes.
            handler: as for `add`; where no handler of any kind is given, `all_ones`.
            read: as for `add`.
            write: as for `add`.
            name: for errors, traces and pictures.
            flags: as for `add`.
            policy: as for `add`; the default takes every size.
            absolute: as for `add`.
            enabled: whether it answers at once.

        Raises:
            OverlapError: another fallback claims one of these addresses.
            RegionRangeError, RegionConfigError: as `add`.
        """
        if handler is None and read is None and write is None:
            handler = all_ones
        handlers = handlers_of(handler, read, write)
        region = self._make(base, size, name, "fallback", flags, policy, handlers)
        region.absolute = absolute
        return self._place(region, enabled)

    def _make(
        self,
        base: int,
        size: int,
        name: str,
        kind: Kind,
        flags: RegionFlags,
        policy: AccessPolicy,
        handlers: Handlers,
    ) -> Region:
        read, write = handlers
        if not isinstance(name, str) or not isinstance(policy, AccessPolicy):
            raise RegionConfigError(f"name {name!r} or policy {policy!r} is of another type")
        if not isinstance(flags, RegionFlags) or int(flags) & ~int(ALL_FLAGS):
            raise RegionConfigError(f"{name!r}: flags are RegionFlags, not {flags!r}")
        self._check_range(base, size, name)
        if flags is AS_HANDLED:
            flags = FLAGS_OF[read is not None, write is not None]
        else:
            flags, read, write = permitted(flags, read, write)
        free_sizes = policy.free_sizes & self._resolver.sizes
        return Region(self, base, size, name, kind, flags, policy, free_sizes, read, write)

    # -- looking ------------------------------------------------------------------------------

    def find(self, address: int, /) -> Region | None:
        """Return the region that answers at `address`; fallbacks do not count.

        Raises:
            AccessAddressError: no integer.
        """
        if not isinstance(address, int):
            raise AccessAddressError(f"{address!r} is no address", address, 1)
        if not 0 <= address < self._limit:
            return None
        with self._ledger.lookup:
            return self._ledger.regions.span(address)[0]

    def conflicts(self, base: int, size: int, /) -> list[Region]:
        """List the regions that share an address with this range, in address order.

        Raises:
            RegionRangeError: no range of this space.
        """
        self._check_range(base, size, "conflicts")
        with self._ledger.lookup:
            return self._ledger.regions.touching(base, size)

    def __iter__(self) -> Iterator[Region]:
        """Yield the regions that answer, in address order, as they are now."""
        with self._ledger.lookup:
            return iter(self._ledger.regions)

    def __len__(self) -> int:
        """Count the regions that answer."""
        return len(self._ledger.regions)

    def __contains__(self, region: object) -> bool:
        """Tell whether this is a region, no fallback, that answers in this map."""
        return (
            isinstance(region, Region)
            and region._map is self
            and region.enabled
            and region.kind != "fallback"
        )

    @property
    def fallbacks(self) -> tuple[Region, ...]:
        """The fallbacks that answer, in address order."""
        with self._ledger.lookup:
            return tuple(self._ledger.fallbacks)

    @property
    def disabled(self) -> tuple[Region, ...]:
        """The regions and fallbacks that are held but do not answer, in address order."""
        with self._ledger.lookup:
            return tuple(sorted(self._ledger.disabled, key=lambda region: region.base))

    def tree(self) -> str:
        """Draw the map as text, one line per range."""
        from vmmkit._region_picture import draw_tree  # noqa: PLC0415 - see `to_svg`

        return draw_tree(self)

    def to_svg(self) -> str:
        """Draw the map as an SVG picture."""
        from vmmkit._region_picture import draw_svg  # noqa: PLC0415 - urllib comes with XML

        return draw_svg(self)

    # -- accessing ----------------------------------------------------------------------------

    def port(self, vcpu: object, /, *, instruments: Sequence[Instrument] = ()) -> Port:
        """Make a port: the way in for one vCPU.

        Args:
            vcpu: any object; handlers receive it unchanged. Nothing is done with it.
            instruments: what watches this port, besides those of the map: trace rings, counters,
                break points, or any callable that takes an `AccessRecord`. Without any of them
                none of their code is on the way.
        """
        port = self._resolver.new_port(vcpu)
        watching = (*self._instruments, *instruments)
        if watching:
            instrument(port, self.find, watching)
        return port

    def _check(self) -> None:
        """Assert everything that always holds of a map between two changes."""
        with self._ledger.lookup:
            self._ledger.check()
            self._resolver.check()
