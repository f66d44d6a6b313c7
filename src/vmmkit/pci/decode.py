# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What functions decode: pure functions of config spaces, and who wins where ranges overlap.

Theory of operation: decoding
-----------------------------
A BAR *claims* a range when everything lets it decode: the enable bit of its kind in the Command
register, for a ROM its own enable bit as well, D-state D0, an address the policy allows, and
every bridge upstream, whose window must hold the range as a whole. A claim is *live* when nothing
that goes before it is in the way; else it is not live as a whole, until that ends. `Claims`
answers who is live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import attrs

from vmmkit.pci._claims import Claim, Claims, Key
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.header import rom_bar_offset
from vmmkit.pci.spec import BridgeControl, Command, Header

__all__ = [
    "CLOSED",
    "OPEN",
    "Claim",
    "Claims",
    "DecodePolicy",
    "Forwarding",
    "Key",
    "Range",
    "bar_offset",
    "decoded_base",
    "forwarding",
    "passes",
    "root_forwarding",
]

Range = tuple[int, int]
"""First and last address, both inclusive."""

_ROM_INDEX: Final = 6
# Plain integers: an operation on an IntFlag costs ten times as much.
_IO_ENABLE, _MEMORY_ENABLE = int(Command.IO), int(Command.MEMORY)
_ISA, _VGA, _VGA_16BIT = map(int, (BridgeControl.ISA, BridgeControl.VGA, BridgeControl.VGA_16BIT))

_TOP_OF_32_BITS: Final = 0xFFFF_FFFF
_IO_LAST: Final = 0xFFFF
_VGA_MEMORY: Final = (0xA_0000, 0xB_FFFF)
_VGA_IO: Final = ((0x3B0, 0x3BB), (0x3C0, 0x3DF))
_VGA_10_BITS: Final = 0x3FF


class Forwarding(NamedTuple):
    """What a bridge lets through to its secondary side.

    Attributes:
        io: ranges of ports; with `isa`, only what is in the first quarter of each KiB.
        memory: ranges of addresses.
        vga_io: ranges of ports to which `isa` does not apply, as far as `vga_bits` tell.
        isa: the ISA Enable bit.
        vga_bits: mask of the address bits that count for `vga_io`; the others make aliases.
    """

    io: tuple[Range, ...]
    memory: tuple[Range, ...]
    vga_io: tuple[Range, ...] = ()
    isa: bool = False
    vga_bits: int = _IO_LAST


#: Everything passes.
OPEN: Final = Forwarding(((0, _IO_LAST),), ((0, (1 << 64) - 1),))
#: Nothing passes.
CLOSED: Final = Forwarding((), ())


@attrs.frozen
class DecodePolicy:
    """What a host bridge says of addresses that some machines decode and others do not.

    Args:
        decode_zero: whether a BAR whose address is zero decodes. On a PC it is not assigned.
        physical_bits: width of a memory address; BARs beyond do not decode.
    """

    decode_zero: bool = False
    physical_bits: int = 52

    def allows(self, is_io: bool, base: int, size: int) -> bool:
        """Tell whether a range may decode at all.

        Ports have 16 bits. Memory that ends with the last byte below 4 GiB never decodes: this is
        where a sizing pattern points while decoding is on, and where a PC keeps its reset vector.
        """
        last = base + size - 1
        if is_io:
            return last <= _IO_LAST and (base != 0 or self.decode_zero)
        if last == _TOP_OF_32_BITS or last >> self.physical_bits:
            return False
        return base != 0 or self.decode_zero


def bar_offset(config: ConfigSpace, index: int) -> int:
    """Return where a BAR's register is: BAR 0-5, or 6 for the expansion ROM."""
    if index == _ROM_INDEX:
        return rom_bar_offset(config.header_type)
    return Header.BAR0 + 4 * index


def decoded_base(
    config: ConfigSpace, offset: int, space: str, width: int, size: int, policy: DecodePolicy
) -> int | None:
    """Return where a BAR claims addresses as far as its own function says, or `None`.

    Args:
        config: the function's.
        offset: of the BAR's register.
        space: `"io"`, `"memory"` or `"rom"`.
        width: 32, or 64 for a BAR of two registers.
        size: bytes, a power of two.
        policy: which addresses count.
    """
    enable = _IO_ENABLE if space == "io" else _MEMORY_ENABLE
    if not config.command & enable or config.power_state:
        return None
    value = config.get(offset, 4)
    if space == "rom" and not value & 1:
        return None
    if width == 64:
        value |= config.get(offset + 4, 4) << 32
    base = value & -size
    return base if policy.allows(space == "io", base, size) else None


def forwarding(
    config: ConfigSpace, io: Range | None, memory: Range | None, prefetchable: Range | None
) -> Forwarding:
    """Return what a bridge in D0 lets through (PCI-to-PCI Bridge, "Address Decoding").

    Args:
        config: the bridge's; its Command and Bridge Control registers decide.
        io: its I/O window, or `None`.
        memory: its memory window, or `None`.
        prefetchable: its prefetchable window, or `None`.
    """
    command = config.command
    control = config.get(Header.BRIDGE_CONTROL, 2)
    vga_memory, vga_io = (_VGA_MEMORY, _VGA_IO) if control & _VGA else (None, ())
    vga_bits = _IO_LAST if control & _VGA_16BIT else _VGA_10_BITS
    if not command & _MEMORY_ENABLE:
        memory = prefetchable = vga_memory = None
    if not command & _IO_ENABLE:
        io, vga_io = None, ()
    windows = (one for one in (memory, prefetchable, vga_memory) if one is not None)
    ports = () if io is None else (io,)
    return Forwarding(ports, tuple(windows), vga_io, bool(control & _ISA), vga_bits)


def root_forwarding(windows: Mapping[str, Iterable[tuple[int, int]]] | None) -> Forwarding:
    """Return what a root bus gets to see.

    Args:
        windows: `(base, size)` of what is let through, by `"io"` and `"mem"`; everything of a kind
            that is not named, or of both for `None`.
    """
    given = {
        kind: tuple((base, base + size - 1) for base, size in ranges)
        for kind, ranges in (windows or {}).items()
    }
    return Forwarding(given.get("io", OPEN.io), given.get("mem", OPEN.memory))


def io_window(config: ConfigSpace) -> Range | None:
    """Return the ports of a bridge's I/O window, or `None` where base exceeds limit."""
    low = config.get(Header.IO_BASE, 2)
    base, last = (low & 0xF0) << 8, (low >> 8 & 0xF0) << 8 | 0xFFF
    if low & 0x0F == 1:
        upper = config.get(Header.IO_BASE_UPPER, 4)
        base, last = base | (upper & 0xFFFF) << 16, last | (upper >> 16) << 16
    return (base, last) if base <= last else None


def memory_window(config: ConfigSpace) -> Range | None:
    """Return the addresses of a bridge's memory window, or `None` where base exceeds limit."""
    return _window(config.get(Header.MEMORY_BASE, 4))


def prefetchable_window(config: ConfigSpace) -> Range | None:
    """Return the addresses of a bridge's prefetchable window, or `None`."""
    low = config.get(Header.PREFETCHABLE_BASE, 4)
    if low & 0x0F != 1:
        return _window(low)
    base, last = (
        config.get(Header.PREFETCHABLE_BASE_UPPER, 4),
        config.get(Header.PREFETCHABLE_LIMIT_UPPER, 4),
    )
    return _window(low, base << 32, last << 32)


def _window(low: int, base_upper: int = 0, last_upper: int = 0) -> Range | None:
    base = base_upper | (low & 0xFFF0) << 16
    last = last_upper | (low >> 16 & 0xFFF0) << 16 | 0xF_FFFF
    return (base, last) if base <= last else None


def passes(gates: Iterable[Forwarding], is_io: bool, base: int, size: int) -> bool:
    """Tell whether a range is forwarded as a whole by every bridge on the way.

    A range of memory has to lie within one window; two that adjoin do not count as one.
    """
    last = base + size - 1
    for gate in gates:
        if is_io:
            if not _passes_io(gate, base, last):
                return False
        elif not _within(gate.memory, base, last):
            return False
    return True


def _passes_io(gate: Forwarding, base: int, last: int) -> bool:
    # A BAR has at most 256 ports and is aligned, so it is in one quarter of a KiB.
    if gate.vga_io and _within(gate.vga_io, base & gate.vga_bits, last & gate.vga_bits):
        return True
    return not (gate.isa and base & 0x300) and _within(gate.io, base, last)


def _within(windows: Iterable[Range], base: int, last: int) -> bool:
    for first, end in windows:  # noqa: SIM110 - a generator costs three times as much
        if first <= base and last <= end:
            return True
    return False
