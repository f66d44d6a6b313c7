# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The enhanced configuration access mechanism: 4 KiB of memory for each function of a segment.

Source: PCI Express Base Specification, "PCI Express Enhanced Configuration Access Mechanism".

Accesses of 1 to 8 bytes at any alignment have a result. One that lies in the pages of two functions
is made as two, the lower one first. Absent functions read as ones and drop writes, as do bytes
beyond the 256 of a conventional function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vmmkit.pci.function import Function

__all__ = ["Ecam"]

_PAGE: Final = 0x1000


class Ecam:
    """The window, as a device for an address map of memory.

    Args:
        functions: who answers, by bus, device and function as 16 bits.
        write_config: takes writes as (bdf, offset, size, value).
        first_bus: bus number of the first MiB.
        last_bus: bus number of the last one.

    Attributes:
        size: of the window, in bytes.
    """

    def __init__(
        self,
        functions: Mapping[int, Function],
        write_config: Callable[[int, int, int, int], object],
        first_bus: int = 0,
        last_bus: int = 255,
    ) -> None:
        """Serve the buses given."""
        self.size = last_bus - first_bus + 1 << 20
        self._first = first_bus << 8
        self._function = functions.get
        self._write_config = write_config

    def read(self, vcpu: Any, offset: int, size: int) -> int:
        """Answer a read; `offset` counts from the start of the window."""
        register = offset & 0xFFF
        if register + size > _PAGE:
            return self._read_across(vcpu, offset, size)
        function = self._function(self._first + (offset >> 12))
        if function is None:
            return (1 << 8 * size) - 1
        return function.config.read(register, size)

    def write(self, vcpu: Any, offset: int, size: int, value: int) -> None:
        """Take a write; `offset` counts from the start of the window."""
        register = offset & 0xFFF
        within = min(size, _PAGE - register)
        self._write_config(self._first + (offset >> 12), register, within, value)
        if within < size:
            self.write(vcpu, offset + within, size - within, value >> 8 * within)

    def _read_across(self, vcpu: Any, offset: int, size: int) -> int:
        within = _PAGE - (offset & 0xFFF)
        low = self.read(vcpu, offset, within)
        return low | self.read(vcpu, offset + within, size - within) << 8 * within
