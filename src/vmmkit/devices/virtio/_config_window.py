# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The way to a virtio function's structures for those who reach config space only.

Firmware uses it before it has placed BARs. Virtio 1.2 "PCI configuration access capability".
"""

from __future__ import annotations

from typing import Final

from vmmkit.devices.virtio.capability import VirtioWindow
from vmmkit.pci.bars import MemBar
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.device import PciDevice

__all__ = ["BAR", "ConfigWindow"]

BAR: Final = 4
"""Index of the one BAR with registers."""
_SIZE: Final = 0x4000
_DATA: Final = 16


class ConfigWindow(PciDevice):
    """A function whose registers are in one BAR, with a window to them in config space.

    Args:
        name: for maps, errors and pictures.
    """

    registers = MemBar(BAR, _SIZE, width=64, prefetchable=True)
    window_capability = VirtioWindow()

    def __init__(self, *, name: str = "") -> None:
        """Answer reads of the window's data."""
        super().__init__(name=name)
        offset = self.config.offset_of(VirtioWindow)
        assert offset is not None
        self._window = offset
        self.config.on_read(offset + _DATA, self._read_window)

    def _window_place(self) -> tuple[int, int] | None:
        """Return offset and size of what the window shows, `None` where it shows nothing.

        Lengths are 1, 2 and 4, and offsets multiples of them.
        """
        get, at = self.config.get, self._window
        bar, offset, size = get(at + 4, 1), get(at + 8, 4), get(at + 12, 4)
        if bar != BAR or size not in (1, 2, 4) or offset % size or offset >= _SIZE:
            return None
        return offset, size

    def _read_window(self, _config: ConfigSpace, _offset: int, _stored: int) -> int:
        place, read = self._window_place(), self.bar(BAR).declaration.read
        return 0xFFFF_FFFF if place is None or read is None else read(None, *place)

    def on_config_write(self, offset: int, size: int, value: int) -> None:
        """Pass writes of the window's data on."""
        del value
        place, data = self._window_place(), self._window + _DATA
        write = self.bar(BAR).declaration.write
        if place is not None and write is not None and offset < data + 4 and offset + size > data:
            write(None, *place, self.config.get(data, 4) & (1 << 8 * place[1]) - 1)
