# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PCI-to-PCI bridge: a function with a bus behind it, which sees what its windows let through.

Source: PCI-to-PCI Bridge Architecture Specification 1.2, cited as "PCI-to-PCI Bridge" with the
title of the section.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from vmmkit.errors import TopologyError
from vmmkit.pci.bars import Declaration
from vmmkit.pci.bus import Bus
from vmmkit.pci.config import ConfigSpace, Effect, ResetKind
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
from vmmkit.pci.spec import BridgeControl, Header, HeaderType

__all__ = ["Bridge"]

# A plain integer: an operation on an IntFlag costs ten times as much.
_INTERRUPT: Final = int(Effect.INTERRUPT | Effect.POWER)
# Resets that do not reach what is behind, which would look by itself.
_ALONE: Final = (ResetKind.FUNCTION, ResetKind.D3)
_SECONDARY_RESET: Final = int(BridgeControl.SECONDARY_RESET)


class Bridge(Function):
    """A function of type 1 with its secondary bus.

    Args:
        config: its config space, type 1.
        bars: BARs 0 and 1, and the expansion ROM.
        link: whether the secondary side is a PCI Express link, where only device 0 is.
        options: as for `Function`.

    Raises:
        TopologyError: the config space is not of type 1.

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
        super().__init__(config, bars, **options)
        if config.header_type is not HeaderType.TYPE1:
            raise TopologyError(f"{self.name}: a bridge has a config space of type 1")
        self.secondary = Bus(self, link=link)
        self._has_io = _is_writable(config, Header.IO_BASE)
        self._has_prefetchable = _is_writable(config, Header.PREFETCHABLE_BASE)

    @property
    def secondary_number(self) -> int:
        """Number of the bus behind it, as the guest has set it; 0: not yet."""
        return self.config.get(Header.SECONDARY_BUS, 1)

    @property
    def subordinate_number(self) -> int:
        """Greatest bus number behind it, as the guest has set it."""
        return self.config.get(Header.SUBORDINATE_BUS, 1)

    @property
    def holds_reset(self) -> bool:
        """Whether the guest holds everything behind it in reset (Secondary Bus Reset)."""
        return bool(self.config.get(Header.BRIDGE_CONTROL, 2) & _SECONDARY_RESET)

    @property
    def reset_below(self) -> ResetKind:
        """How that resets what is behind it."""
        return ResetKind.BUS

    def secondary_changed(self) -> int:
        """Hear that functions came or went on the bus behind it; the host's lock is held.

        Returns:
            `Effect` bits of what that changed in its registers.
        """
        return 0

    def on_effects(self, effects: int) -> None:
        """Have messages from behind leave that its Bus Master bit or D-state held back."""
        super().on_effects(effects)
        if effects & _INTERRUPT:
            self._look_behind()

    def finish_reset(self, kind: ResetKind) -> None:
        """Reset what is not config space; messages from behind do not pass any more."""
        super().finish_reset(kind)
        if kind in _ALONE:
            self._look_behind()

    def _look_behind(self) -> None:
        for function in self.secondary.below():
            function.interrupts.config_changed()

    @property
    def forwards_config(self) -> bool:
        """Whether config accesses get to the bus behind it."""
        return not self.holds_reset and not self.config.power_state

    @property
    def forwarding(self) -> Forwarding:
        """What it lets through to the bus behind it."""
        if self.holds_reset or self.config.power_state:
            return CLOSED
        windows = self.io_window, self.memory_window, self.prefetchable_window
        return forwarding(self.config, *windows)

    @property
    def io_window(self) -> Range | None:
        """First and last port of the I/O window; `None` if there is none or base exceeds limit."""
        return io_window(self.config) if self._has_io else None

    @property
    def memory_window(self) -> Range | None:
        """First and last address of the memory window; `None` where base exceeds limit."""
        return memory_window(self.config)

    @property
    def prefetchable_window(self) -> Range | None:
        """First and last address of the prefetchable window; `None` likewise."""
        return prefetchable_window(self.config) if self._has_prefetchable else None


def _is_writable(config: ConfigSpace, offset: int) -> bool:
    """Try whether a window's base can be set: one that is not there reads as zero for ever."""
    before = config.get(offset, 1)
    config.write(offset, 1, ~before)
    after = config.get(offset, 1)
    config.set(offset, 1, before)
    return after != before
