# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The pages of local APICs in an address map that all vCPUs share.

Most of the time all pages are one address, where each vCPU sees its own. A guest may move or
disable them one by one, so there is a region for each address that some page has.
"""

from __future__ import annotations

from typing import Any, Final

from vmmkit.backends._machine_vcpu import MachineVcpu
from vmmkit.errors import OverlapError, RegionRangeError
from vmmkit.memregion import Region, RegionMap

__all__ = ["LapicWindows"]

PAGE: Final = 4096
# SVR, LVT timer, initial count and divisor: writes that may move the timer's deadline.
TIMER_REGISTERS: Final = frozenset({0xF0, 0x320, 0x380, 0x3E0})


class LapicWindow:
    """What answers at one address: the local APIC of the vCPU that asks, if it is there."""

    def __init__(self, page: int) -> None:
        """Remember where this is."""
        self._page = page

    def read(self, vcpu: Any, offset: int, size: int, /) -> int:
        """Read a register; all ones for who has no local APIC here."""
        if getattr(vcpu, "page", None) != self._page:
            return (1 << 8 * size) - 1
        value: int = vcpu.lapic.read(vcpu, offset, size)
        return value

    def write(self, vcpu: Any, offset: int, size: int, value: int, /) -> None:
        """Write a register."""
        if getattr(vcpu, "page", None) == self._page and not vcpu.ends_by_init:
            vcpu.lapic.write(vcpu, offset, size, value)
            if offset in TIMER_REGISTERS:
                vcpu.timer_moved()


class LapicWindows:
    """All of them.

    Args:
        mmio: the map to place them in.
    """

    def __init__(self, mmio: RegionMap) -> None:
        """Start without pages."""
        self._mmio = mmio
        self._regions: dict[int, Region] = {}
        self._pages: dict[int, int] = {}  # by vCPU

    def move(self, vcpu: MachineVcpu, page: int | None) -> None:
        """Let a vCPU's page be at `page`, or nowhere."""
        vcpu.page = page
        self._pages.pop(vcpu.index, None)
        if page is not None:
            self._pages[vcpu.index] = page
        used = set(self._pages.values())
        for gone in self._regions.keys() - used:
            self._mmio.remove(self._regions.pop(gone))
        for new in used - self._regions.keys():
            self._place(new)

    def _place(self, page: int) -> None:
        """Place a page, unless another region is there already or the map ends before it."""
        window = LapicWindow(page)
        try:
            self._regions[page] = self._mmio.add(page, PAGE, window, name=f"lapic {page:#x}")
        except (OverlapError, RegionRangeError):
            return
