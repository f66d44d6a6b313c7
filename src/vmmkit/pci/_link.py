# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The link below a root port or switch downstream port.

Whether it is up is kept in one place, the Data Link Layer Link Active bit, so a config space tells
all there is to know. Sources: PCI Express Base Specification, "Link Control Register", "Link
Status Register".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmmkit.pci.capabilities import ExpressRegister
from vmmkit.pci.config import ConfigWrite, Effect, ResetKind
from vmmkit.pci.spec import BridgeControl, Header

if TYPE_CHECKING:
    from vmmkit.pci._registers import RegisterFile
    from vmmkit.pci.ports import DownstreamPort

__all__ = ["LINK_CHANGED", "Link"]

_LINK_DISABLE: Final = 0x0010
_LINK_ACTIVE: Final = 0x2000
_CHANGING: Final = 0xE000  # Link Status: the link's state, and bandwidth changes
_SECONDARY_RESET: Final = int(BridgeControl.SECONDARY_RESET)

#: What a link that goes up or down has for effects.
LINK_CHANGED: Final = int(Effect.SECONDARY_RESET | Effect.NUMBERS | Effect.DECODE)


class Link:
    """The link below a downstream port: up while something is there to answer.

    Args:
        port: whose link it is.
        express: offset of the PCI Express capability.
    """

    def __init__(self, port: DownstreamPort, express: int) -> None:
        """Watch the registers that hold a link down."""
        self.port = port
        self._config = port.config
        self._status_at = express + ExpressRegister.LINK_STATUS
        self._control_at = express + ExpressRegister.LINK_CONTROL
        self._config.on_write(self._control_at, 2, self._held_or_let_go)
        self._config.on_write(Header.BRIDGE_CONTROL, 2, self._held_or_let_go)

    @property
    def up(self) -> bool:
        """Whether what is below answers: Data Link Layer Link Active."""
        return bool(self._config.get(self._status_at, 2) & _LINK_ACTIVE)

    @property
    def reset_below(self) -> ResetKind:
        """How what is below is reset when the link goes down."""
        return ResetKind.BUS

    def presence_changed(self) -> int:
        """Hear that functions came or went, and return effects; the host's lock is held.

        A reset of the port does not change what is below it, so the reset value follows.
        """
        self._preset()
        return self._update()

    def was_reset(self) -> None:
        """Hear that the port was reset; registers have their reset values."""

    @property
    def _populated(self) -> bool:
        return bool(self.port.secondary.functions())

    def _held_or_let_go(self, _config: RegisterFile, _written: ConfigWrite) -> int:
        return self._update()

    def _update(self) -> int:
        """Bring the link up or down as the registers have it; return the effects."""
        wanted = self._can_be_up()
        if wanted == self.up:
            return 0
        status = self._config.get(self._status_at, 2)
        self._config.set(self._status_at, 2, status ^ _LINK_ACTIVE)
        self._went_up_or_down()
        return LINK_CHANGED

    def _can_be_up(self) -> bool:
        held = self._config.get(self._control_at, 2) & _LINK_DISABLE
        held |= self._config.get(Header.BRIDGE_CONTROL, 2) & _SECONDARY_RESET
        return self._populated and not held

    def _went_up_or_down(self) -> None:
        """Note the event; without a slot there is nothing to note it in."""

    def _preset(self) -> None:
        """Choose what a reset leaves: the link is up again where it can be."""
        fixed = self._config.get(self._status_at, 2) & ~_CHANGING
        active = self._comes_up_after_reset() * _LINK_ACTIVE
        self._config.preset(self._status_at, 2, fixed | active, now=False)

    def _comes_up_after_reset(self) -> bool:
        return self._populated
