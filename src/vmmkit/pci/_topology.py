# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is plugged in where, as values, for pictures.

Guests change registers while somebody draws. So a picture begins with one look at everything,
under the host's lock, and is drawn from that alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import attrs

from vmmkit.pci.bridge import Bridge
from vmmkit.pci.decode import Range
from vmmkit.pci.spec import Command, Header

if TYPE_CHECKING:
    from vmmkit.pci.bars import Bar
    from vmmkit.pci.bus import Bus
    from vmmkit.pci.function import Function
    from vmmkit.pci.host_bridge import HostBridge

__all__ = [
    "ShownBar",
    "ShownBus",
    "ShownFunction",
    "ShownHost",
    "ShownWindow",
    "address_text",
    "look_at",
    "range_text",
    "size_text",
    "visible",
]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@attrs.frozen
class ShownBar:
    """A BAR.

    Attributes:
        name: of the BAR alone.
        kind: `"io"`, `"mem32"`, `"mem64"` or `"rom"`.
        notes: `"ram"`, `"pref"`: what else there is to say.
        size: bytes.
        base: where it decodes, or `None`.
        blocker: what is in the way, `""` where nothing is.
    """

    name: str
    kind: str
    notes: tuple[str, ...]
    size: int
    base: int | None
    blocker: str

    @property
    def state(self) -> str:
        """Whether it answers, in words."""
        if self.base is None:
            return "off"
        return f"blocked by {self.blocker}" if self.blocker else "live"


@attrs.frozen
class ShownWindow:
    """A window of a bridge, from `first` to `last` inclusive; `space` is io, mem or pref."""

    space: str
    first: int
    last: int


@attrs.frozen
class ShownFunction:
    """A function.

    Attributes:
        devfn: device number times 8 plus function number.
        place: `"03.0"`: device and function.
        address: `"00:03.0"`, with the bus number as the guest sees it.
        ids: `"1234:11e8"`.
        name: what its owner calls it.
        interrupts: how interrupts leave it, in words.
        power: `""`, or the D-state where it is not D0.
        bars: its BARs.
        windows: of a bridge, those that let something through.
        behind: the bus behind a bridge.
        subordinate: the greatest bus number behind it.
    """

    place: str
    address: str
    ids: str
    name: str
    interrupts: str
    power: str
    bars: tuple[ShownBar, ...]
    windows: tuple[ShownWindow, ...] = ()
    behind: ShownBus | None = None
    subordinate: int = 0


@attrs.frozen
class ShownBus:
    """A bus: its number, whether config accesses get there, and the functions on it."""

    number: int
    reachable: bool
    functions: tuple[ShownFunction, ...]

    def below(self) -> Iterator[ShownFunction]:
        """Yield the functions on it and behind it, in the order of pictures."""
        for function in self.functions:
            yield function
            if function.behind is not None:
                yield from function.behind.below()


@attrs.frozen
class ShownHost:
    """A host bridge and all below."""

    name: str
    segment: int
    first_bus: int
    last_bus: int
    bus: ShownBus

    @property
    def summary(self) -> str:
        """What this is, in one line."""
        count = sum(1 for _ in self.bus.below())
        return (
            f"segment {self.segment}, buses {self.first_bus:02x}-{self.last_bus:02x}, "
            f"{count} function{'s' if count != 1 else ''}"
        )


def look_at(host: HostBridge) -> ShownHost:
    """Note what is there now."""
    with host.changing():
        reachable = {id(bus) for bus in host.buses()}
        bus = _bus(host, host.bus, reachable)
    return ShownHost(visible(host.name), host.segment, host.first_bus, host.last_bus, bus)


def _bus(host: HostBridge, bus: Bus, reachable: set[int]) -> ShownBus:
    functions = tuple(_function(host, one, reachable) for one in bus.functions())
    return ShownBus(bus.number, id(bus) in reachable, functions)


def _function(host: HostBridge, function: Function, reachable: set[int]) -> ShownFunction:
    config = function.config
    place = f"{function.devfn >> 3:02x}.{function.devfn & 7}"
    shown = ShownFunction(
        place=place,
        address=f"{function.bdf >> 8:02x}:{place}",
        ids=f"{config.get(Header.VENDOR_ID, 2):04x}:{config.get(Header.DEVICE_ID, 2):04x}",
        name=visible(function.name),
        interrupts=_interrupts(host, function),
        power=f"D{config.power_state}" if config.power_state else "",
        bars=tuple(_bar(bar) for bar in function.bars),
    )
    if not isinstance(function, Bridge):
        return shown
    return attrs.evolve(
        shown,
        windows=tuple(_windows(function)),
        behind=_bus(host, function.secondary, reachable),
        subordinate=function.subordinate_number,
    )


def _bar(bar: Bar) -> ShownBar:
    kind, _, prefetchable = bar.declaration.kind.value.partition(" ")
    notes = {"pref": prefetchable, "ram": bar.buffer is not None and kind != "rom"}
    return ShownBar(
        visible(bar.name),
        kind,
        tuple(note for note, holds in notes.items() if holds),
        bar.size,
        bar.address,
        visible(bar.conflict),
    )


def _windows(bridge: Bridge) -> Iterator[ShownWindow]:
    command = bridge.config.get(Header.COMMAND, 2)
    windows: tuple[tuple[str, int, Range | None], ...] = (
        ("io", Command.IO, bridge.io_window),
        ("mem", Command.MEMORY, bridge.memory_window),
        ("pref", Command.MEMORY, bridge.prefetchable_window),
    )
    for space, enable, window in windows:
        if window is not None and command & enable:
            yield ShownWindow(space, *window)


def _interrupts(host: HostBridge, function: Function) -> str:
    """Say how interrupts leave a function now."""
    interrupts, config = function.interrupts, function.config
    if interrupts.mode == "msix" and interrupts.table is not None:
        return f"MSI-X {interrupts.table.vectors}"
    if interrupts.mode == "msi" and config.msi is not None:
        return f"MSI {config.msi.vectors_enabled}"
    return _pin(host, function) if interrupts.mode == "intx" else ""


def _pin(host: HostBridge, function: Function) -> str:
    gsi = host.wiring.gsi_of(function)
    return f"INT{function.intx}" + ("" if gsi is None else f" to GSI {gsi}")


# -- words ---------------------------------------------------------------------------------------


def visible(name: str) -> str:
    """Write what is not printable as `repr` does, so it is legal in XML and moves no cursor."""
    if name.isprintable():
        return name
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in name)


def size_text(size: int) -> str:
    """Write a number of bytes in the largest unit that divides it, or to one decimal."""
    unit = min((size.bit_length() - 1) // 10, len(_UNITS) - 1)
    scaled = size / (1 << 10 * unit)
    return f"{scaled:.{0 if scaled == int(scaled) else 1}f} {_UNITS[unit]}"


def address_text(address: int, digits: int) -> str:
    """Write an address in hexadecimal, in groups of four digits, at least `digits` of them."""
    return f"{address:0{digits + (digits - 1) // 4}_x}"


def range_text(first: int, last: int, *, ports: bool = False) -> str:
    """Write a range of ports or addresses."""
    digits = 4 if ports else 8
    return f"{address_text(first, digits)}-{address_text(last, digits)}"
