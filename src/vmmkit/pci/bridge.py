# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PCI-to-PCI bridge: a function with a bus behind it, which sees what its windows let through.

Source: PCI-to-PCI Bridge Architecture Specification 1.2, cited as "PCI-to-PCI Bridge" with the
title of the section.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from vmmkit.errors import DeclarationError
from vmmkit.pci.bars import Declaration
from vmmkit.pci.bus import Bus
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.decode import (
    CLOSED,
    Forwarding,
    Range,
    forwarding,
    io_window,
    memory_window,
    prefetchable_window,
)
from vmmkit.pci.function import Function

__all__ = ["Bridge"]

_HEADER_TYPE: Final = 0x0E
_SECONDARY, _SUBORDINATE = 0x19, 0x1A
_BRIDGE_CONTROL: Final = 0x3E
_SECONDARY_BUS_RESET: Final = 1 << 6


class Bridge(Function):
    """A function of type 1 with its secondary bus.

    Args:
        config: its config space, type 1.
        bars: BARs 0 and 1, and the expansion ROM.
        link: whether the secondary side is a PCI Express link, where only device 0 is.
        options: as for `Function`.

    Raises:
        DeclarationError: the config space is not of type 1, or a BAR beyond 1.

    Attributes:
        secondary: the bus behind it.
    """

    def __init__(
        self,
        config: ConfigSpace,
        bars: Iterable[Declaration] = (),
        *,
        link: bool = False,
        **options: Any,
    ) -> None:
        """Start with an empty bus behind it."""
        bars = tuple(bars)
        super().__init__(config, bars, **options)
        if config.get(_HEADER_TYPE, 1) & 0x7F != 1:
            raise DeclarationError(f"{self.name}: a bridge's config space is of type 1")
        for declaration in bars:
            if 1 < declaration.index + declaration.registers - 1 < 6:
                raise DeclarationError(f"{self.name}: a bridge has BARs 0 and 1 only")
        self.secondary = Bus(self, link=link)

    @property
    def secondary_number(self) -> int:
        """Number of the bus behind it, as the guest has set it; 0: not yet."""
        return self.config.get(_SECONDARY, 1)

    @property
    def subordinate_number(self) -> int:
        """Greatest bus number behind it, as the guest has set it."""
        return self.config.get(_SUBORDINATE, 1)

    @property
    def holds_reset(self) -> bool:
        """Whether the guest holds everything behind it in reset (Secondary Bus Reset)."""
        return bool(self.config.get(_BRIDGE_CONTROL, 2) & _SECONDARY_BUS_RESET)

    @property
    def forwards_config(self) -> bool:
        """Whether config accesses get to the bus behind it."""
        return not self.holds_reset and not self.config.power_state

    @property
    def forwarding(self) -> Forwarding:
        """What it lets through to the bus behind it."""
        return CLOSED if self.holds_reset else forwarding(self.config)

    @property
    def io_window(self) -> Range | None:
        """First and last port of the I/O window; `None` where base exceeds limit."""
        return io_window(self.config)

    @property
    def memory_window(self) -> Range | None:
        """First and last address of the memory window; `None` where base exceeds limit."""
        return memory_window(self.config)

    @property
    def prefetchable_window(self) -> Range | None:
        """First and last address of the prefetchable window; `None` likewise."""
        return prefetchable_window(self.config)
