# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Configuration mechanism #1: an address port at CF8H, a data port at CFCH.

Source: PCI Local Bus Specification 3.0, "Software Generation of Configuration Transactions".

* A dword at CF8H goes to the latch, whose bits 30-24 and 1-0 read as zero, whatever was written.
* Any other access within CF8H-CFBH goes to `other`: a PC's reset control register is at CF9H. One
  that goes on to CFCH is made as two accesses, as a processor makes it.
* An access that starts at CFCH-CFFH goes to config space, if bit 31 of the latch is set: to the
  latched dword plus the low two bits of the port, as far as the range of ports goes.
* With bit 31 clear there are ones, and writes are dropped.

The latch is one per instance. It is one integer, stored and loaded in one step, so a vCPU that
races with another one sees one latch or the other. Guests take a lock over the pair of accesses,
as they must on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vmmkit.pci._bar_pieces import Handlers, ignore_write, read_ones
from vmmkit.pci.function import Function
from vmmkit.protocols import MmioDevice

__all__ = ["ConfigPorts"]

_SIZE: Final = 8
_DATA: Final = 4  # where the data port begins
_ENABLE: Final = 0x8000_0000
_KEPT: Final = 0x80FF_FFFC


class ConfigPorts:
    """The eight ports, as a device for an address map of ports.

    Args:
        functions: who answers, by bus, device and function as 16 bits.
        write_config: takes writes as (bdf, offset, size, value).

    Attributes:
        latch: what was written to CF8H last.
        other: a device with `read` and `write` for what is no config access in CF8H-CFBH; the
            offsets it hears count from CF8H.
        size: how many ports: 8.
    """

    size: Final = _SIZE

    def __init__(
        self,
        functions: Mapping[int, Function],
        write_config: Callable[[int, int, int, int], object],
    ) -> None:
        """Start with the latch clear."""
        self.latch = 0
        self.other: MmioDevice = Handlers(read_ones, ignore_write)
        self._function = functions.get
        self._write_config = write_config

    def read(self, vcpu: Any, offset: int, size: int) -> int:
        """Answer a read of ports; `offset` counts from CF8H."""
        if offset < 4:
            if offset == 0 and size == 4:
                return self.latch
            if offset + size > _DATA:
                low = _DATA - offset
                high = self.read(vcpu, _DATA, size - low)
                return self.read(vcpu, offset, low) | high << 8 * low
            return self.other.read(vcpu, offset, size)
        latch = self.latch
        within = min(size, _SIZE - offset)
        missing = (1 << 8 * size) - (1 << 8 * within)
        if not latch & _ENABLE:
            return missing | (1 << 8 * within) - 1
        function = self._function(latch >> 8 & 0xFFFF)
        if function is None:
            return missing | (1 << 8 * within) - 1
        return missing | function.config.read((latch & 0xFC) + (offset & 3), within)

    def write(self, vcpu: Any, offset: int, size: int, value: int) -> None:
        """Take a write to ports; `offset` counts from CF8H."""
        if offset >= 4:
            latch = self.latch
            if latch & _ENABLE:
                place = (latch & 0xFC) + (offset & 3)
                self._write_config(latch >> 8 & 0xFFFF, place, min(size, _SIZE - offset), value)
        elif offset == 0 and size == 4:
            self.latch = value & _KEPT
        elif offset + size > _DATA:
            low = _DATA - offset
            self.write(vcpu, offset, low, value & (1 << 8 * low) - 1)
            self.write(vcpu, _DATA, size - low, value >> 8 * low)
        else:
            self.other.write(vcpu, offset, size, value)

    def reset(self) -> None:
        """Clear the latch."""
        self.latch = 0
