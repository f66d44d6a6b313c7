# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The configuration headers, type 0 of functions and type 1 of bridges, as tables of registers."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import Effect, RegisterFile, whole
from vmmkit.pci.spec import (
    EXTENDED_SIZE,
    STATUS_ERRORS,
    BarKind,
    BridgeControl,
    Command,
    Header,
    HeaderType,
)

__all__ = [
    "BAR_COUNTS",
    "define_bar",
    "define_bar_register",
    "define_type0",
    "define_type1",
    "rom_bar_offset",
]

BAR_COUNTS: Final = {HeaderType.TYPE0: 6, HeaderType.TYPE1: 2}
ROM_INDEX: Final = 6

_DECODE: Final = Effect.DECODE
_NUMBERS: Final = Effect.NUMBERS | Effect.DECODE
_DWORD: Final = 0xFFFF_FFFF

# "Device Control": what is left out (special cycles, fast back-to-back, stepping) reads zero.
_COMMAND_RW: Final = (
    Command.IO
    | Command.MEMORY
    | Command.BUS_MASTER
    | Command.PARITY
    | Command.SERR
    | Command.INTERRUPT_DISABLE
)
_BRIDGE_CONTROL_RW: Final = (
    BridgeControl.PARITY
    | BridgeControl.SERR
    | BridgeControl.ISA
    | BridgeControl.VGA
    | BridgeControl.VGA_16BIT
    | BridgeControl.SECONDARY_RESET
)
_CONVENTIONAL_CONTROL_RW: Final = (
    BridgeControl.MASTER_ABORT
    | BridgeControl.PRIMARY_DISCARD_TIMER
    | BridgeControl.SECONDARY_DISCARD_TIMER
    | BridgeControl.DISCARD_TIMER_SERR
)


class _Row(NamedTuple):
    """A register that every function of a kind has; arguments of `define`."""

    offset: int
    size: int
    name: str
    rw: int = 0
    w1c: int = 0
    effects: tuple[tuple[int, Effect], ...] = ()


_COMMON: Final = (
    _Row(
        Header.COMMAND,
        2,
        "Command",
        rw=_COMMAND_RW,
        effects=(
            (Command.IO | Command.MEMORY, _DECODE),
            (Command.BUS_MASTER | Command.INTERRUPT_DISABLE, Effect.INTERRUPT),
        ),
    ),
    _Row(Header.STATUS, 2, "Status", w1c=STATUS_ERRORS),
    _Row(Header.CACHE_LINE_SIZE, 1, "Cache Line Size", rw=0xFF),
    _Row(Header.BIST, 1, "BIST"),
    _Row(Header.CAPABILITIES_POINTER, 1, "Capabilities Pointer"),
    _Row(Header.INTERRUPT_LINE, 1, "Interrupt Line", rw=0xFF),
    _Row(Header.INTERRUPT_PIN, 1, "Interrupt Pin"),
)

_TYPE1: Final = (
    _Row(Header.PRIMARY_BUS, 1, "Primary Bus Number", 0xFF, effects=((0xFF, _NUMBERS),)),
    _Row(Header.SECONDARY_BUS, 1, "Secondary Bus Number", 0xFF, effects=((0xFF, _NUMBERS),)),
    _Row(Header.SUBORDINATE_BUS, 1, "Subordinate Bus Number", 0xFF, effects=((0xFF, _NUMBERS),)),
    _Row(Header.SECONDARY_STATUS, 2, "Secondary Status", w1c=STATUS_ERRORS),
    _Row(Header.MEMORY_BASE, 2, "Memory Base", 0xFFF0, effects=((0xFFF0, _DECODE),)),
    _Row(Header.MEMORY_LIMIT, 2, "Memory Limit", 0xFFF0, effects=((0xFFF0, _DECODE),)),
)
_CONTROL_EFFECTS: Final = (
    (BridgeControl.ISA | BridgeControl.VGA | BridgeControl.VGA_16BIT, _DECODE),
    (BridgeControl.SECONDARY_RESET, Effect.SECONDARY_RESET),
)


def _define_rows(space: RegisterFile, rows: tuple[_Row, ...]) -> None:
    for offset, size, name, rw, w1c, effects in rows:
        space.define(offset, size, rw=rw, w1c=w1c, effects=effects, name=name)


def _check(name: str, value: int, last: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= last:
        raise ConfigSpaceError(f"{name} is 0 to {last:#x}, not {value!r}")
    return value


def _define_common(
    space: RegisterFile,
    layout: HeaderType,
    *,
    vendor_id: int,
    device_id: int,
    revision: int,
    class_code: int,
) -> None:
    ids = _check("vendor_id", vendor_id, 0xFFFF), _check("device_id", device_id, 0xFFFF)
    space.define(Header.VENDOR_ID, 2, value=ids[0], name="Vendor ID")
    space.define(Header.DEVICE_ID, 2, value=ids[1], name="Device ID")
    revision = _check("revision", revision, 0xFF)
    space.define(Header.REVISION_ID, 1, value=revision, name="Revision ID")
    code = _check("class_code", class_code, 0xFF_FFFF)
    parts = ("Programming Interface", "Sub-Class", "Base Class")
    for at, name in enumerate(parts):
        byte = code >> 8 * at & 0xFF
        space.define(Header.CLASS_CODE + at, 1, value=byte, name=name)
    space.define(Header.HEADER_TYPE, 1, value=layout, name="Header Type")
    _define_rows(space, _COMMON)
    # PCI Express wires the latency timers to zero.
    timer = 0xFF if space.size != EXTENDED_SIZE else 0
    space.define(Header.LATENCY_TIMER, 1, rw=timer, name="Latency Timer")


def define_type0(
    space: RegisterFile, *, subsystem_vendor_id: int, subsystem_id: int, **ids: int
) -> None:
    """Lay out a type 0 header; BARs come with `define_bar`.

    PCI Local Bus Specification 3.0, "Configuration Space Organization".

    Raises:
        ConfigSpaceError: a value that does not fit its register.
    """
    _define_common(space, HeaderType.TYPE0, **ids)
    vendor = _check("subsystem_vendor_id", subsystem_vendor_id, 0xFFFF)
    space.define(Header.SUBSYSTEM_VENDOR_ID, 2, value=vendor, name="Subsystem Vendor ID")
    subsystem = _check("subsystem_id", subsystem_id, 0xFFFF)
    space.define(Header.SUBSYSTEM_ID, 2, value=subsystem, name="Subsystem ID")


def define_type1(space: RegisterFile, *, io_bits: int, prefetchable_bits: int, **ids: int) -> None:
    """Lay out a type 1 header.

    PCI-to-PCI Bridge Architecture Specification 1.2, "PCI-to-PCI Bridge PCI Configuration Space
    Header Format".

    Raises:
        ConfigSpaceError: a value that does not fit its register.
    """
    _define_common(space, HeaderType.TYPE1, **ids)
    _define_rows(space, _TYPE1)
    _define_io_window(space, io_bits)
    _define_prefetchable_window(space, prefetchable_bits)
    express = space.size == EXTENDED_SIZE
    timer = 0 if express else 0xFF
    space.define(Header.SECONDARY_LATENCY_TIMER, 1, rw=timer, name="Secondary Latency Timer")
    space.define(
        Header.BRIDGE_CONTROL,
        2,
        rw=_BRIDGE_CONTROL_RW | (0 if express else _CONVENTIONAL_CONTROL_RW),
        w1c=0 if express else BridgeControl.DISCARD_TIMER_STATUS,
        effects=_CONTROL_EFFECTS,
        name="Bridge Control",
    )


def _define_io_window(space: RegisterFile, bits: int) -> None:
    """Lay out base and limit, whose low bits tell the width: 0 for 16 bits, 1 for 32."""
    if whole("io_bits", bits) not in (0, 16, 32):
        raise ConfigSpaceError(f"io_bits is 0, 16 or 32, not {bits!r}")
    low = {"value": int(bits == 32), "rw": 0xF0 if bits else 0}
    upper = 0xFFFF if bits == 32 else 0
    lows: dict[str, Any] = {**low, "effects": ((0xF0, _DECODE),)}
    uppers: dict[str, Any] = {"rw": upper, "effects": ((upper, _DECODE),)}
    space.define(Header.IO_BASE, 1, name="I/O Base", **lows)
    space.define(Header.IO_LIMIT, 1, name="I/O Limit", **lows)
    space.define(Header.IO_BASE_UPPER, 2, name="I/O Base Upper 16 Bits", **uppers)
    space.define(Header.IO_LIMIT_UPPER, 2, name="I/O Limit Upper 16 Bits", **uppers)


def _define_prefetchable_window(space: RegisterFile, bits: int) -> None:
    """Lay out base and limit, whose low bits tell the width: 0 for 32 bits, 1 for 64."""
    if whole("prefetchable_bits", bits) not in (0, 32, 64):
        raise ConfigSpaceError(f"prefetchable_bits is 0, 32 or 64, not {bits!r}")
    low = {"value": int(bits == 64), "rw": 0xFFF0 if bits else 0}
    upper = _DWORD if bits == 64 else 0
    lows: dict[str, Any] = {**low, "effects": ((0xFFF0, _DECODE),)}
    uppers: dict[str, Any] = {"rw": upper, "effects": ((upper, _DECODE),)}
    name = "Prefetchable"
    space.define(Header.PREFETCHABLE_BASE, 2, name=f"{name} Memory Base", **lows)
    space.define(Header.PREFETCHABLE_LIMIT, 2, name=f"{name} Memory Limit", **lows)
    space.define(Header.PREFETCHABLE_BASE_UPPER, 4, name=f"{name} Base Upper 32 Bits", **uppers)
    space.define(Header.PREFETCHABLE_LIMIT_UPPER, 4, name=f"{name} Limit Upper 32 Bits", **uppers)


# Type bits, smallest and largest size. PCI Local Bus Specification 3.0, "Base Addresses".
_BAR_LIMITS: Final = {
    BarKind.IO: (0x1, 4, 0x100),
    BarKind.MEM32: (0x0, 16, 1 << 31),
    BarKind.MEM32_PREFETCHABLE: (0x8, 16, 1 << 31),
    BarKind.MEM64: (0x4, 16, 1 << 63),
    BarKind.MEM64_PREFETCHABLE: (0xC, 16, 1 << 63),
    BarKind.ROM: (0x0, 0x800, 1 << 24),
}
_ROM_ENABLE: Final = 1
_WIDE: Final = frozenset({BarKind.MEM64, BarKind.MEM64_PREFETCHABLE})


def rom_bar_offset(layout: HeaderType) -> int:
    """Return where a header type has its expansion ROM base address."""
    return Header.ROM_BAR if layout is HeaderType.TYPE0 else Header.BRIDGE_ROM_BAR


def define_bar_register(
    space: RegisterFile, offset: int, kind: BarKind, size: int, name: str
) -> None:
    """Lay out a base address register anywhere in a space, two dwords for a 64-bit one.

    Raises:
        ConfigSpaceError: a size it cannot have, or bytes that are taken.
    """
    bits, least, most = _BAR_LIMITS[kind]
    if not least <= whole(f"{name}: the size", size) <= most or size & size - 1:
        limits = f"a power of two from {least:#x} to {most:#x}"
        raise ConfigSpaceError(f"{name}: the size of a {kind.value} BAR is {limits}, not {size!r}")
    mask = -size & (1 << 64) - 1
    low = mask & _DWORD | (_ROM_ENABLE if kind is BarKind.ROM else 0)
    effects = ((_DWORD, _DECODE),)
    space.define(offset, 4, value=bits, rw=low, effects=effects, name=name)
    if kind in _WIDE:
        upper = f"{name} (upper half)"
        space.define(offset + 4, 4, rw=mask >> 32, effects=effects, name=upper)


def define_bar(
    space: RegisterFile, layout: HeaderType, index: int, kind: BarKind, size: int
) -> None:
    """Lay out a base address register of the header.

    Raises:
        ConfigSpaceError: no such BAR, a size it cannot have, or its register is taken.
    """
    if not isinstance(kind, BarKind):
        raise ConfigSpaceError(f"BAR {whole('BAR index', index)}: {kind!r} is no BarKind")
    rom = kind is BarKind.ROM
    whole("BAR index", index)
    fits = index == ROM_INDEX if rom else 0 <= index < BAR_COUNTS[layout] - (kind in _WIDE)
    if not fits:
        raise ConfigSpaceError(f"no {kind.value} BAR {index} in a {layout.name} header")
    offset = rom_bar_offset(layout) if rom else Header.BAR0 + 4 * index
    define_bar_register(space, offset, kind, size, "ROM BAR" if rom else f"BAR {index}")
