# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The configuration writes of an assignment, in the order firmware does them.

Everything goes through the host's configuration accesses, so a function is written only once it
is reachable under its new bus number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vmmkit.pci.bars import Bar
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.bus import Bus
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.spec import Command, Header

__all__ = [
    "bridges_on",
    "close_below",
    "enable_below",
    "functions_on",
    "write_bar",
    "write_window",
]

_DECODE: Final = int(Command.IO | Command.MEMORY)
_BRIDGE_ENABLE: Final = int(Command.IO | Command.MEMORY | Command.BUS_MASTER)

# A base above the limit: the window is closed.
_CLOSED: Final = (
    (Header.IO_BASE, 2, 0x00F0),
    (Header.IO_BASE_UPPER, 4, 0),
    (Header.MEMORY_BASE, 4, 0x0000_FFF0),
    (Header.PREFETCHABLE_BASE, 4, 0x0000_FFF0),
    (Header.PREFETCHABLE_BASE_UPPER, 4, 0),
    (Header.PREFETCHABLE_LIMIT_UPPER, 4, 0),
)


def functions_on(bus: Bus) -> tuple[Function, ...]:
    """Return the functions on a bus that answer: none while its link is down."""
    held = bus.bridge is not None and bus.bridge.holds_reset
    return () if held else bus.functions()


def bridges_on(bus: Bus) -> list[Bridge]:
    """Return the bridges among them."""
    return [one for one in functions_on(bus) if isinstance(one, Bridge)]


def close_below(host: HostBridge, bus: Bus, numbers: Mapping[Bridge, tuple[int, int]]) -> None:
    """Turn decode off, close windows and give out bus numbers, from the top down.

    All bridges on a bus lose their old numbers first: until then two may claim one number.
    """
    bridges = bridges_on(bus)
    for function in functions_on(bus):
        command = function.config.get(Header.COMMAND, 2)
        _write(host, function, Header.COMMAND, 2, command & ~_DECODE)
    for bridge in bridges:
        _write_numbers(host, bridge, 0, 0, 0)
        for offset, size, value in _CLOSED:
            _write(host, bridge, offset, size, value)
    for bridge in bridges:
        _write_numbers(host, bridge, bus.number, *numbers[bridge])
        close_below(host, bridge.secondary, numbers)


def _write_numbers(
    host: HostBridge, bridge: Bridge, primary: int, secondary: int, subordinate: int
) -> None:
    # The fourth byte is the latency timer, which is not ours.
    _write(host, bridge, Header.PRIMARY_BUS, 2, primary | secondary << 8)
    _write(host, bridge, Header.SUBORDINATE_BUS, 1, subordinate)


def write_bar(host: HostBridge, bar: Bar, base: int) -> None:
    """Write the address of a BAR; a ROM stays disabled."""
    _write(host, bar.function, bar.offset, 4, base & 0xFFFF_FFFF)
    if bar.declaration.width == 64:
        _write(host, bar.function, bar.offset + 4, 4, base >> 32)


def write_window(host: HostBridge, bridge: Bridge, space: str, base: int, last: int) -> None:
    """Write base and limit of a bridge window.

    Args:
        host: the host bridge.
        bridge: whose window it is.
        space: `"io"`, `"mem"` or `"prefetchable"`.
        base: first address.
        last: last address.
    """
    if space == "io":
        _write(host, bridge, Header.IO_BASE_UPPER, 4, base >> 16 | last >> 16 << 16)
        _write(host, bridge, Header.IO_BASE, 2, base >> 8 & 0xF0 | last & 0xF000)
        return
    low = base >> 16 & 0xFFF0 | last & 0xFFF0_0000
    if space == "mem":
        _write(host, bridge, Header.MEMORY_BASE, 4, low)
        return
    _write(host, bridge, Header.PREFETCHABLE_BASE_UPPER, 4, base >> 32)
    _write(host, bridge, Header.PREFETCHABLE_LIMIT_UPPER, 4, last >> 32)
    _write(host, bridge, Header.PREFETCHABLE_BASE, 4, low)


def enable_below(host: HostBridge, bus: Bus, enable: int) -> None:
    """Set Command bits, of what is below a bridge before the bridge itself."""
    for function in functions_on(bus):
        wanted = _BRIDGE_ENABLE
        if isinstance(function, Bridge):
            enable_below(host, function.secondary, enable)
        else:
            wanted = enable & ~_DECODE | enable & _spaces_of(function)
        command = function.config.get(Header.COMMAND, 2)
        if command | wanted != command:
            _write(host, function, Header.COMMAND, 2, command | wanted)


def _spaces_of(function: Function) -> int:
    """Return the Command bits of the spaces a function has BARs in."""
    bits = 0
    for bar in function.bars:
        bits |= Command.IO if bar.space == "io" else Command.MEMORY
    return int(bits)


def _write(host: HostBridge, function: Function, offset: int, size: int, value: int) -> None:
    host.config_write(function.bdf, offset, size, value)
