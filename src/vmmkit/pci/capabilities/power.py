# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Power management: D-states, and which ways lead from one to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import ConfigWrite, Effect
from vmmkit.pci.capabilities.base import Capability, items, with_flags, within
from vmmkit.pci.spec import CapabilityId

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["PowerManagement"]

# PCI Bus Power Management Interface Specification 1.2, "Power Management Capabilities" and
# "Power Management Control/Status".
_CAPABILITIES: Final = 2
_CONTROL: Final = 4
_BRIDGE_AND_DATA: Final = 6
_VERSION: Final = 3
_PME_STATES: Final = ("D0", "D1", "D2", "D3hot", "D3cold")
_STATE: Final = 0x0003
_NO_SOFT_RESET: Final = 0x0008
_PME_ENABLE: Final = 0x0100
_PME_STATUS: Final = 0x8000
_CHANGED: Final = int(Effect.POWER | Effect.DECODE | Effect.INTERRUPT)


def _check_pme(capability: PowerManagement, _attribute: object, states: tuple[str, ...]) -> None:
    supported = {"D0", "D3hot", "D3cold"} | capability.supported_names
    wrong = [state for state in states if not isinstance(state, str) or state not in supported]
    if wrong:
        raise ConfigSpaceError(f"PowerManagement: no PME from {', '.join(map(str, wrong))}")


@attrs.frozen(kw_only=True, field_transformer=with_flags)
class PowerManagement(Capability):
    """The power management capability.

    A write to PowerState is ignored where the specification knows no such way: to a state that
    is not supported, and from a deeper state to a lighter one other than D0.

    Args:
        d1: whether the function has D1.
        d2: whether it has D2.
        no_soft_reset: whether it keeps its state from D3hot to D0; if not, that way resets it.
        pme: states that it can signal PME from: "D0", "D1", "D2", "D3hot", "D3cold".
        aux_current: the Aux_Current field, 0-7.

    Raises:
        ConfigSpaceError: PME from a state that the function does not have.
    """

    cap_id: ClassVar[int] = CapabilityId.POWER_MANAGEMENT

    d1: bool = False
    d2: bool = False
    no_soft_reset: bool = True
    pme: tuple[str, ...] = attrs.field(default=(), converter=items, validator=_check_pme)
    aux_current: int = attrs.field(default=0, validator=within(0, 7))

    @property
    def size(self) -> int:
        """Bytes."""
        return 8

    @property
    def supported_names(self) -> set[str]:
        """The optional states that the function has."""
        return {name for name, has in (("D1", self.d1), ("D2", self.d2)) if has}

    @property
    def states(self) -> frozenset[int]:
        """The D-states that a guest may choose."""
        return frozenset({0, 3} | ({1} if self.d1 else set()) | ({2} if self.d2 else set()))

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out PMC, PMCSR and the bytes behind them."""
        signals = sum(1 << _PME_STATES.index(state) for state in set(self.pme))
        can = _VERSION | self.aux_current << 6 | self.d1 << 9 | self.d2 << 10 | signals << 11
        config.define(offset + _CAPABILITIES, 2, value=can, name="PM.Capabilities")
        # "Power Management Control/Status": PME context lasts where it can wake from D3cold.
        wakes = _PME_ENABLE | _PME_STATUS if signals else 0
        config.define(
            offset + _CONTROL,
            2,
            value=_NO_SOFT_RESET if self.no_soft_reset else 0,
            rw=_STATE | wakes & _PME_ENABLE,
            w1c=wakes & _PME_STATUS,
            sticky=wakes if "D3cold" in self.pme else 0,
            held=wakes,
            name="PM.Control/Status",
        )
        config.define(offset + _BRIDGE_AND_DATA, 2, name="PM.Bridge Extensions and Data")
        config.on_write(offset + _CONTROL, 1, self._state_written)

    def _state_written(self, config: ConfigSpace, write: ConfigWrite) -> int:
        """Take back a change that is no legal transition."""
        old, new = write.old & _STATE, write.new & _STATE
        if old == new:
            return 0
        if new in self.states and (new == 0 or new > old):
            return _CHANGED
        config.amend(write.offset, 1, on=old, off=_STATE)
        return 0
