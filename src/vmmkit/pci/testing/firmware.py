# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Firmware in a hundred lines: it numbers buses, gives out addresses, opens bridge windows.

It works by configuration accesses alone and in one pass, depth first. Each kind of address is
given out upwards and never taken back. A bridge's window begins where the next address is, rounded
up, and ends where the next address is when everything behind it was served.
"""

from __future__ import annotations

from typing import Final

import attrs

from vmmkit.errors import AllocationError
from vmmkit.pci.spec import Command, Header, HeaderType
from vmmkit.pci.testing.access import ConfigAccess, ConfigRegisters
from vmmkit.pci.testing.scan import BarRegister, bar_registers, functions_on

__all__ = ["Firmware"]

_DECODE: Final = int(Command.IO | Command.MEMORY)
_LARGE: Final = 128 << 20  # 64-bit BARs up to this go below 4 GiB, where every driver copes
_GRANULARITY: Final = {"io": 0x1000, "memory": 0x10_0000, "prefetchable": 0x10_0000}


@attrs.define
class _Pool:
    """Addresses of one kind, given out upwards."""

    name: str
    next: int
    end: int

    def take(self, size: int, owner: str) -> int:
        base = self.next + size - 1 & -size
        if base + size > self.end:
            raise AllocationError(f"no {self.name} left for {owner} ({size:#x})", ((owner, size),))
        self.next = base + size
        return base


class Firmware:
    """Assigns what a guest's firmware assigns.

    Args:
        access: the way to configuration registers.
        first_bus: number of the root bus.
        last_bus: greatest bus number to give out.
        io: first port to give out and the one after the last.
        memory: addresses below 4 GiB, likewise.
        prefetchable: addresses for large 64-bit BARs, likewise.
    """

    def __init__(
        self,
        access: ConfigAccess,
        *,
        first_bus: int = 0,
        last_bus: int = 255,
        io: tuple[int, int] = (0x1000, 0x1_0000),
        memory: tuple[int, int] = (0xC000_0000, 0xE000_0000),
        prefetchable: tuple[int, int] = (1 << 36, 1 << 40),
    ) -> None:
        """Give out nothing yet."""
        self._access = access
        self._first_bus, self._last_bus = first_bus, last_bus
        self._ranges = {"io": io, "memory": memory, "prefetchable": prefetchable}
        self._restart()

    def _restart(self) -> None:
        self._latest_bus = self._first_bus
        self._pools = {name: _Pool(name, *ends) for name, ends in self._ranges.items()}

    def run(self) -> None:
        """Assign everything anew, from the root bus on; afterwards all of it decodes.

        Raises:
            AllocationError: something finds no room.
        """
        self._restart()
        self._serve_bus(self._first_bus)

    def place(self, bdf: int) -> None:
        """Give addresses to a function on the root bus that came late; it does not decode yet.

        Raises:
            AllocationError: it finds no room.
        """
        self._place_all([bdf])

    def _serve_bus(self, bus: int) -> None:
        found = [ConfigRegisters(self._access, bdf) for bdf in functions_on(self._access, bus)]
        bridges = [config for config in found if _is_bridge(config)]
        for config in found:
            config.update(Header.COMMAND, 2, clear=_DECODE)
        for bridge in bridges:  # all of them first: what they hold may clash with new numbers
            bridge.update(Header.PRIMARY_BUS, 4, clear=0xFF_FFFF)
            _close_windows(bridge)
        self._place_all([config.bdf for config in found])
        for bridge in bridges:
            self._serve_bridge(bridge, bus)
        for config in found:
            config.update(Header.COMMAND, 2, ones=_DECODE | Command.BUS_MASTER)

    def _serve_bridge(self, bridge: ConfigRegisters, bus: int) -> None:
        """Number what is behind a bridge, serve it, and open the windows around it."""
        if self._latest_bus == self._last_bus:
            raise AllocationError(f"no bus number left for bridge {bridge.bdf:#06x}", ())
        self._latest_bus = secondary = self._latest_bus + 1
        bridge.write16(Header.PRIMARY_BUS, bus | secondary << 8)
        bridge.write8(Header.SUBORDINATE_BUS, self._last_bus)
        before = {name: pool.next for name, pool in self._pools.items()}
        for name, pool in self._pools.items():
            pool.next = _round_up(pool.next, _GRANULARITY[name])
        starts = {name: pool.next for name, pool in self._pools.items()}
        self._serve_bus(secondary)
        bridge.write8(Header.SUBORDINATE_BUS, self._latest_bus)
        for name, pool in self._pools.items():
            if pool.next == starts[name]:
                pool.next = before[name]  # nothing behind it; the window stays closed
            else:
                pool.next = _round_up(pool.next, _GRANULARITY[name])
                _OPEN_WINDOW[name](bridge, starts[name], pool.next - 1)

    def _place_all(self, bdfs: list[int]) -> None:
        """Give addresses to the BARs of these functions, the largest first."""
        found = [
            (bar, config)
            for config in (ConfigRegisters(self._access, bdf) for bdf in bdfs)
            for bar in bar_registers(config)
        ]
        for bar, config in sorted(found, key=lambda one: -one[0].size):
            at_root = config.bdf >> 8 == self._first_bus
            pool = self._pools[_pool_of(bar, at_root=at_root)]
            owner = f"BAR {bar.index} of {config.bdf >> 8:02x}:{config.bdf >> 3 & 31:02x}"
            base = pool.take(bar.size, f"{owner}.{config.bdf & 7}")
            config.write32(bar.offset, base & 0xFFFF_FFFF)
            if bar.kind == "mem64":
                config.write32(bar.offset + 4, base >> 32)


def _is_bridge(config: ConfigRegisters) -> bool:
    return config.read8(Header.HEADER_TYPE) & 0x7F == HeaderType.TYPE1


def _round_up(address: int, step: int) -> int:
    return address + step - 1 & -step


def _pool_of(bar: BarRegister, *, at_root: bool) -> str:
    """Choose the addresses for a BAR; behind a bridge only the prefetchable window has 64 bits."""
    if bar.kind == "io":
        return "io"
    large = bar.kind == "mem64" and bar.size > _LARGE and (at_root or bar.prefetchable)
    return "prefetchable" if large else "memory"


# -- bridge windows: PCI-to-PCI Bridge Architecture Specification 1.2, chapter of the registers ----


def _close_windows(bridge: ConfigRegisters) -> None:
    """Put every base above its limit."""
    _open_io(bridge, 0xF000, 0x0FFF)
    _open_memory(bridge, 0xFFF0_0000, 0x000F_FFFF)
    _open_prefetchable(bridge, 0xFFF0_0000, 0x000F_FFFF)


def _open_io(bridge: ConfigRegisters, base: int, last: int) -> None:
    bridge.write32(Header.IO_BASE_UPPER, base >> 16 | last >> 16 << 16)
    bridge.write16(Header.IO_BASE, base >> 8 & 0xF0 | last & 0xF000)


def _open_memory(bridge: ConfigRegisters, base: int, last: int) -> None:
    bridge.write32(Header.MEMORY_BASE, base >> 16 & 0xFFF0 | last & 0xFFF0_0000)


def _open_prefetchable(bridge: ConfigRegisters, base: int, last: int) -> None:
    bridge.write32(Header.PREFETCHABLE_BASE_UPPER, base >> 32)
    bridge.write32(Header.PREFETCHABLE_LIMIT_UPPER, last >> 32)
    bridge.write32(Header.PREFETCHABLE_BASE, base >> 16 & 0xFFF0 | last & 0xFFF0_0000)


_OPEN_WINDOW: Final = {
    "io": _open_io,
    "memory": _open_memory,
    "prefetchable": _open_prefetchable,
}
