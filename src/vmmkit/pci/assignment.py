# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bus numbers, BARs and bridge windows as firmware gives them out, for guests that bring none.

Theory of operation: assignment
-------------------------------
`assign` plans first and writes last, so a tree that does not fit is left as it was:

1. Bus numbers go depth-first. A hot-plug slot keeps some for bridges that may come.
2. From the leaves up, the contents of each bus are laid out largest first as the windows of its
   bridge: I/O in steps of 4 KiB, memory and prefetchable memory in steps of 1 MiB (PCI-to-PCI
   Bridge Architecture Specification, "I/O Base Register and I/O Limit Register", "Memory Base
   Register and Memory Limit Register"). A hot-plug slot gets windows of the reserved sizes even
   if it is empty.
3. What is on the root bus, windows among it, gets addresses largest first out of the ranges the
   caller names.
4. The result is written through configuration space: decode off, numbers, BARs, windows, and at
   last the Command bits asked for.

Below a bridge only 64-bit prefetchable BARs may lie above 4 GiB, since the other memory window has
32 bits. On the root bus every 64-bit BAR may. Up to `small_64bit` bytes they are put below 4 GiB
all the same, for drivers that expect it.

`assign_below` does the same for what came behind one port, inside the numbers and windows that the
port has: the part that an operating system plays at hotplug.

A host is not obliged to any of this: as it comes up every function decodes nothing, which is what
firmware expects that does its own assignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from vmmkit.errors import TopologyError
from vmmkit.pci._assignment_layout import Item, Space, Spot, pack, place
from vmmkit.pci._assignment_writes import (
    bridges_on,
    close_below,
    enable_below,
    functions_on,
    write_bar,
    write_window,
)
from vmmkit.pci._hotplug_reserve import HotplugReserve
from vmmkit.pci.allocation import RangeAllocator
from vmmkit.pci.bars import Bar, MemBar
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.bus import Bus
from vmmkit.pci.decode import OPEN, io_window, memory_window, prefetchable_window
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.ports import DownstreamPort, PciBridge
from vmmkit.pci.spec import Command, Header

__all__ = ["Assignment", "HotplugReserve", "Placement", "assign", "assign_below"]

_4_GIB: Final = 1 << 32
_SMALL_64BIT: Final = 128 << 20
_DECODE: Final = int(Command.IO | Command.MEMORY)
_GRANULARITY: Final = {Space.IO: 0x1000, Space.MEM: 0x10_0000, Space.PREFETCHABLE: 0x10_0000}

Windows = Iterable[tuple[int, int]]
"""Pairs of base and size."""


@attrs.frozen
class Placement:
    """Addresses that a BAR or bridge window was given.

    Attributes:
        name: of the function and the BAR or window.
        function: whose it is.
        space: `"io"`, `"mem"` or `"prefetchable"`; of a BAR, what it was counted among.
        base: first address.
        size: bytes.
    """

    name: str
    function: Function
    space: str
    base: int
    size: int


@attrs.frozen
class Assignment:
    """What was given out.

    Attributes:
        placements: BARs and windows, by address within each space.
        buses: each bridge with its secondary and subordinate bus number.
    """

    placements: tuple[Placement, ...]
    buses: tuple[tuple[Bridge, int, int], ...]


@attrs.frozen
class _Rules:
    """The caller's choices."""

    small_64bit: int
    reserve: HotplugReserve
    enable: int

    def reserve_of(self, bridge: Bridge) -> HotplugReserve | None:
        """Return what to keep free below a bridge: its own wish, or the rule for slots."""
        own = bridge.reserve if isinstance(bridge, (PciBridge, DownstreamPort)) else None
        if own is not None or not isinstance(bridge, DownstreamPort) or bridge.slot is None:
            return own
        return self.reserve if bridge.slot.features.hot_plug else None


def assign(
    host: HostBridge,
    *,
    io: Windows = (),
    mem: Windows = (),
    mem64: Windows = (),
    small_64bit: int = _SMALL_64BIT,
    reserve: HotplugReserve | None = None,
    enable: int = _DECODE,
) -> Assignment:
    """Number all buses of a host, and give addresses to all BARs and bridge windows.

    Args:
        host: the host bridge.
        io: ports to give out, as pairs of base and size.
        mem: memory below 4 GiB.
        mem64: memory for 64-bit BARs, above 4 GiB or below.
        small_64bit: bytes up to which a 64-bit BAR goes to `mem` all the same.
        reserve: what each hot-plug slot keeps free unless its port says so itself.
        enable: bits of the Command register to set: IO and MEMORY are set where a function has
            such BARs, others everywhere; bridges get IO, MEMORY and BUS_MASTER if this is not 0.

    Without any of `io`, `mem` and `mem64`, the host's own `windows` are used, cut at 4 GiB.

    Raises:
        AllocationError: something found no room. The error names everything that did not, with
            its size, and no register was written.
    """
    given = tuple(io), tuple(mem), tuple(mem64)
    windows: dict[Space, Windows] = dict(zip(Space, given, strict=True))
    if not any(given):
        windows = _windows_of(host)
    rules = _Rules(small_64bit, reserve or HotplugReserve(), enable)
    return _assign(host, host.bus, host.bus.number, host.last_bus, windows, rules)


def assign_below(
    bridge: Bridge,
    *,
    small_64bit: int = _SMALL_64BIT,
    reserve: HotplugReserve | None = None,
    enable: int = _DECODE,
) -> Assignment:
    """Number and place everything below one bridge, within the numbers and windows it has.

    Whatever was assigned below it is assigned anew. Arguments are those of `assign`.

    Raises:
        AllocationError: something found no room; no register was written.
        TopologyError: the bridge belongs to no host.
    """
    config = bridge.config
    ranges = (io_window(config), memory_window(config), prefetchable_window(config))
    windows: dict[Space, Windows] = {
        space: [_window(*found)] if found else ()
        for space, found in zip(Space, ranges, strict=True)
    }
    if bridge.host is None:
        raise TopologyError(f"{bridge.name}: a bridge that belongs to no host")
    rules = _Rules(small_64bit, reserve or HotplugReserve(), enable)
    first, last = (config.get(at, 1) for at in (Header.SECONDARY_BUS, Header.SUBORDINATE_BUS))
    return _assign(bridge.host, bridge.secondary, first, last, windows, rules)


def _windows_of(host: HostBridge) -> dict[Space, Windows]:
    """Return the windows a host bridge was made with, memory cut at 4 GiB.

    A kind of which it lets everything through says nothing of where there is room.
    """
    gate = host.bus.gates[0]
    io = () if gate.io == OPEN.io else tuple(_window(*one) for one in gate.io)
    low, high = [], []
    for first, last in () if gate.memory == OPEN.memory else gate.memory:
        if first < _4_GIB:
            low.append(_window(first, min(last, _4_GIB - 1)))
        if last >= _4_GIB:
            high.append(_window(max(first, _4_GIB), last))
    return {Space.IO: io, Space.MEM: low, Space.PREFETCHABLE: high}


def _window(first: int, last: int) -> tuple[int, int]:
    return first, last - first + 1


def _assign(
    host: HostBridge,
    bus: Bus,
    first: int,
    last: int,
    windows: dict[Space, Windows],
    rules: _Rules,
) -> Assignment:
    """Plan, then write."""
    numbers: dict[Bridge, tuple[int, int]] = {}
    _number(bus, first, rules, numbers)
    unplaced = [
        (f"{bridge.name} bus numbers", subordinate - secondary + 1)
        for bridge, (secondary, subordinate) in numbers.items()
        if subordinate > last
    ]
    items = list(_items_of(bus, rules, unplaced, below_bridge=bus.bridge is not None))
    ranges = {space: _allocator(space, windows[space]) for space in Space}
    spots = place(items, ranges, unplaced)
    _write(host, bus, numbers, spots, rules)
    return Assignment(
        tuple(_placements(spots)), tuple((one, *pair) for one, pair in numbers.items())
    )


def _allocator(space: Space, windows: Windows) -> RangeAllocator:
    ranges = RangeAllocator(windows, name=space.value)
    if any(base == 0 for base, _ in ranges.free_ranges()):
        ranges.allocate_at(0, 1)  # a BAR whose address is zero counts as not assigned
    return ranges


# -- planning ------------------------------------------------------------------------------------


def _number(bus: Bus, number: int, rules: _Rules, numbers: dict[Bridge, tuple[int, int]]) -> int:
    """Number everything below a bus; return the last number used."""
    last = number
    for bridge in bridges_on(bus):
        secondary = last + 1
        numbers[bridge] = (secondary, secondary)
        last = _number(bridge.secondary, secondary, rules, numbers)
        reserve = rules.reserve_of(bridge)
        last = max(last, secondary + (reserve.buses if reserve else 0))
        numbers[bridge] = (secondary, last)
    return last


def _items_of(
    bus: Bus, rules: _Rules, unplaced: list[tuple[str, int]], *, below_bridge: bool
) -> Iterable[Item]:
    """Yield what the functions on a bus need."""
    for function in functions_on(bus):
        for bar in function.bars:
            yield _bar_item(bar, rules, below_bridge=below_bridge)
        if isinstance(function, Bridge):
            yield from _window_items(function, rules, unplaced)


def _bar_item(bar: Bar, rules: _Rules, *, below_bridge: bool) -> Item:
    wanted = bar.declaration
    space = Space.IO if bar.space == "io" else Space.MEM
    if isinstance(wanted, MemBar) and wanted.width == 64 and wanted.size > rules.small_64bit:
        space = Space.MEM if below_bridge and not wanted.prefetchable else Space.PREFETCHABLE
    return Item(str(bar), bar.size, bar.size, space, (bar.function, bar))


def _window_items(bridge: Bridge, rules: _Rules, unplaced: list[tuple[str, int]]) -> Iterable[Item]:
    """Yield the windows of a bridge with everything below it inside."""
    inside = list(_items_of(bridge.secondary, rules, unplaced, below_bridge=True))
    reserve = rules.reserve_of(bridge) or HotplugReserve(io=0, mem=0, prefetchable=0)
    places = {space: _window_space(bridge, space) for space in Space}
    for space, outer in places.items():
        wanted = [item for item in inside if _within(item.space, places) is space]
        if outer is None:
            unplaced += [named for item in wanted for named in item.named()]
            continue
        window = pack(
            f"{bridge.name} {space.value} window",
            wanted,
            outer,
            granularity=_GRANULARITY[space],
            reserve=getattr(reserve, space.value),
            target=(bridge, space),
        )
        if window is not None:
            yield window


def _within(space: Space, places: dict[Space, Space | None]) -> Space:
    """Return the window that contents go to: prefetchable ones take the other where they must."""
    if space is Space.PREFETCHABLE and places[space] is None:
        return Space.MEM
    return space


_WINDOW_BASE: Final = {
    Space.IO: (Header.IO_BASE, 0xF0F0),
    Space.MEM: (Header.MEMORY_BASE, 0xFFF0),
    Space.PREFETCHABLE: (Header.PREFETCHABLE_BASE, 0xFFF0),
}


def _window_space(bridge: Bridge, space: Space) -> Space | None:
    """Return where a bridge's window may be, `None` if the bridge has no such window.

    A register that is not implemented stays zero whatever is written to it (PCI-to-PCI Bridge
    Architecture Specification, "Prefetchable Memory Base Register and Prefetchable Memory Limit
    Register"). What it held is put back; as nothing decodes in between, no one sees it.
    """
    config, (offset, ones) = bridge.config, _WINDOW_BASE[space]
    before = config.get(offset, 2)
    config.write(offset, 2, ones)
    found = config.get(offset, 2)
    config.write(offset, 2, before)
    if not found:
        return None
    return Space.MEM if space is Space.PREFETCHABLE and found & 0xF != 1 else space


# -- writing -------------------------------------------------------------------------------------


def _write(
    host: HostBridge,
    bus: Bus,
    numbers: dict[Bridge, tuple[int, int]],
    spots: list[Spot],
    rules: _Rules,
) -> None:
    close_below(host, bus, numbers)
    for spot in spots:
        owner, what = spot.item.target
        if isinstance(what, Space):
            write_window(host, owner, what.value, spot.base, spot.base + spot.item.size - 1)
        else:
            write_bar(host, what, spot.base)
    if rules.enable:
        enable_below(host, bus, rules.enable)


def _placements(spots: Iterable[Spot]) -> list[Placement]:
    found = []
    for spot in spots:
        owner, what = spot.item.target
        space = (what if isinstance(what, Space) else spot.item.space).value
        found.append(Placement(spot.item.name, owner, space, spot.base, spot.item.size))
    return sorted(found, key=lambda one: (one.space, one.base, -one.size))
