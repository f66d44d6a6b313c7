# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The INTx pin of a function, and the Interrupt Status bit that tells of it.

Source: PCI Local Bus Specification 3.0, "Device Status" (Interrupt Status) and "Device Control"
(Interrupt Disable). The bit shows the function's wish, also where Interrupt Disable keeps the pin
low.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.pci._outbox import Outbox
from vmmkit.pci.config import ConfigSpace

__all__ = ["Pin", "Sink"]

_INTERRUPT_DISABLE: Final = 1 << 10
_STATUS_LOW: Final = 0x06  # the byte of Status that has the bit; no guest can write it
_INTERRUPT_STATUS: Final = 1 << 3

Sink = Callable[[bool], object]
"""Takes the level of a pin."""


class Pin:
    """One pin. The lock of its `Interrupts` is held around all methods."""

    __slots__ = ("_config", "_level", "_outbox", "is_open", "sink")

    def __init__(self, config: ConfigSpace, outbox: Outbox, sink: Sink) -> None:
        """Start low."""
        self._config, self._outbox, self.sink = config, outbox, sink
        self._level = False  # as told last
        self.is_open = False

    def refresh(self, *, running: bool) -> None:
        """Look at Interrupt Disable again."""
        self.is_open = running and not self._config.command & _INTERRUPT_DISABLE

    def pulse(self) -> None:
        """Go up and down, if the pin is open."""
        if self.is_open:
            self._outbox.put((self.sink, (True,)))
            self._outbox.put((self.sink, (False,)))

    def drive(self, asserted: bool) -> None:
        """Show what the function wants, and put the pin there if it is open."""
        self._show_status(asserted)
        level = asserted and self.is_open
        if level != self._level:
            self._level = level
            self._outbox.put((self.sink, (level,)))

    def _show_status(self, asserted: bool) -> None:
        shown = bool(self._config.get(_STATUS_LOW, 1) & _INTERRUPT_STATUS)
        if asserted and not shown:
            self._config.amend(_STATUS_LOW, 1, on=_INTERRUPT_STATUS)
        elif shown and not asserted:
            self._config.amend(_STATUS_LOW, 1, off=_INTERRUPT_STATUS)

    def lead_to(self, sink: Sink) -> None:
        """Take the pin from one line to another."""
        if self._level:
            self._outbox.put((self.sink, (False,)))
            self._outbox.put((sink, (True,)))
        self.sink = sink
