# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What software finds out about functions by configuration accesses alone.

Nothing here looks into the objects of `vmmkit.pci`: it sees what a guest sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from vmmkit.pci.spec import (
    FIRST_CAPABILITY,
    FIRST_EXTENDED_CAPABILITY,
    Command,
    Header,
    HeaderType,
    Status,
)
from vmmkit.pci.testing.access import ConfigAccess, ConfigRegisters

__all__ = [
    "BarRegister",
    "Scanned",
    "bar_registers",
    "capabilities",
    "extended_capabilities",
    "functions_on",
    "read_bar",
    "scan",
]

_DECODE: Final = int(Command.IO | Command.MEMORY)
_ABSENT: Final = 0xFFFF
_MULTIFUNCTION: Final = 0x80
_ROM_INDEX: Final = 6
_LONGEST_LIST: Final = 48  # as many capabilities as there are dwords for them
_LONGEST_EXTENDED_LIST: Final = 960


@attrs.frozen
class BarRegister:
    """A BAR as sizing finds it.

    Attributes:
        index: 0-5, 6 for the expansion ROM.
        offset: of its register.
        size: bytes.
        kind: `"io"`, `"mem32"`, `"mem64"` or `"rom"`.
        prefetchable: the bit of that name.
    """

    index: int
    offset: int
    size: int
    kind: str
    prefetchable: bool = False


@attrs.frozen
class Scanned:
    """A function that a scan found.

    Attributes:
        bdf: bus << 8 | device << 3 | function.
        vendor_id: 16 bits.
        device_id: 16 bits.
        class_code: 24 bits: class, subclass, programming interface.
        is_bridge: whether its header is of type 1.
        multifunction: bit 7 of its header type.
        secondary: bus number behind a bridge, 0 for others and where none is set.
        subordinate: greatest bus number behind a bridge.
        capabilities: pairs of ID and offset, in the order of the list.
        extended_capabilities: likewise.
    """

    bdf: int
    vendor_id: int
    device_id: int
    class_code: int
    is_bridge: bool
    multifunction: bool
    secondary: int
    subordinate: int
    capabilities: tuple[tuple[int, int], ...]
    extended_capabilities: tuple[tuple[int, int], ...]


def functions_on(access: ConfigAccess, bus: int) -> Iterator[int]:
    """Probe one bus; yield the `bdf` of each function that answers.

    Functions 1-7 of a device are asked only where function 0 says that there are several.
    """
    for device in range(bus << 8, bus + 1 << 8, 8):
        if access.read(device, Header.VENDOR_ID, 2) == _ABSENT:
            continue
        yield device
        if access.read(device, Header.HEADER_TYPE, 1) & _MULTIFUNCTION:
            for bdf in range(device + 1, device + 8):
                if access.read(bdf, Header.VENDOR_ID, 2) != _ABSENT:
                    yield bdf


def scan(access: ConfigAccess, bus: int = 0) -> Iterator[Scanned]:
    """Yield what is on a bus, and behind each bridge on it that has bus numbers; writes nothing."""
    for bdf in functions_on(access, bus):
        found = examine(access, bdf)
        yield found
        if found.secondary > bus:
            yield from scan(access, found.secondary)


def examine(access: ConfigAccess, bdf: int) -> Scanned:
    """Read what identifies one function."""
    config = ConfigRegisters(access, bdf)
    header_type = config.read8(Header.HEADER_TYPE)
    is_bridge = header_type & 0x7F == HeaderType.TYPE1
    return Scanned(
        bdf,
        config.read16(Header.VENDOR_ID),
        config.read16(Header.DEVICE_ID),
        config.read32(Header.REVISION_ID) >> 8,
        is_bridge,
        bool(header_type & _MULTIFUNCTION),
        config.read8(Header.SECONDARY_BUS) if is_bridge else 0,
        config.read8(Header.SUBORDINATE_BUS) if is_bridge else 0,
        tuple(capabilities(config)),
        tuple(extended_capabilities(config)),
    )


def capabilities(config: ConfigRegisters) -> Iterator[tuple[int, int]]:
    """Walk the list of capabilities; yield ID and offset of each."""
    if not config.read16(Header.STATUS) & Status.CAPABILITIES:
        return
    offset = config.read8(Header.CAPABILITIES_POINTER) & ~3
    for _ in range(_LONGEST_LIST):
        if offset < FIRST_CAPABILITY:
            return
        identity = config.read16(offset)
        yield identity & 0xFF, offset
        offset = identity >> 8 & ~3


def extended_capabilities(config: ConfigRegisters) -> Iterator[tuple[int, int]]:
    """Walk the list of extended capabilities; yield ID and offset of each."""
    offset = FIRST_EXTENDED_CAPABILITY
    for _ in range(_LONGEST_EXTENDED_LIST):
        header = config.read32(offset)
        if offset < FIRST_EXTENDED_CAPABILITY or header in (0, 0xFFFF_FFFF):
            return
        if header & 0xFFFF:  # an ID of zero only links to the next
            yield header & 0xFFFF, offset
        offset = header >> 20 & ~3


def bar_registers(config: ConfigRegisters) -> tuple[BarRegister, ...]:
    """Size all BARs: write ones, see which bits stay, put the old value back.

    Decoding is off meanwhile.
    """
    is_bridge = config.read8(Header.HEADER_TYPE) & 0x7F == HeaderType.TYPE1
    command = config.read16(Header.COMMAND)
    config.write16(Header.COMMAND, command & ~_DECODE)
    found = []
    index, count = 0, 2 if is_bridge else 6
    while index < count:
        bar = _size_bar(config, index)
        if bar is not None:
            found.append(bar)
        index += 2 if bar is not None and bar.kind == "mem64" else 1
    rom = _size_rom(config, int(Header.BRIDGE_ROM_BAR if is_bridge else Header.ROM_BAR))
    config.write16(Header.COMMAND, command)
    return (*found, *rom)


def _probe(config: ConfigRegisters, offset: int, ones: int) -> int:
    """Return the bits of a register that can be written."""
    before = config.read32(offset)
    config.write32(offset, ones)
    found = config.read32(offset)
    config.write32(offset, before)
    return found


def _size_bar(config: ConfigRegisters, index: int) -> BarRegister | None:
    offset = Header.BAR0 + 4 * index
    low = _probe(config, offset, 0xFFFF_FFFF)
    if low & 1:
        writable = low & ~3 | 0xFFFF_0000  # the upper half need not be there
        return BarRegister(index, offset, writable & -writable, "io")
    kind = "mem64" if low & 6 == 4 else "mem32"
    writable = low & ~0xF
    if kind == "mem64":
        writable |= _probe(config, offset + 4, 0xFFFF_FFFF) << 32
    if not writable:
        return None
    return BarRegister(index, offset, writable & -writable, kind, bool(low & 8))


def _size_rom(config: ConfigRegisters, offset: int) -> Iterator[BarRegister]:
    writable = _probe(config, offset, 0xFFFF_F800) & 0xFFFF_F800
    if writable:
        yield BarRegister(_ROM_INDEX, offset, writable & -writable, "rom")


def read_bar(config: ConfigRegisters, bar: BarRegister) -> int:
    """Return the address that is in a BAR."""
    low = config.read32(bar.offset) & {"io": ~3, "rom": ~0x7FF}.get(bar.kind, ~0xF)
    return low | config.read32(bar.offset + 4) << 32 if bar.kind == "mem64" else low
