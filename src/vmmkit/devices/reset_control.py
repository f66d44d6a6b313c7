# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The reset control register of a PC, port CF9H.

It lies within the four ports of PCI's address register, which is reached by accesses of four bytes
only: all others are not for PCI. So the window is CF8H-CFBH and the register its second byte, as
`vmmkit.pci.cf8.ConfigPorts.other` and a map without PCI have it.

Source: the data sheets of Intel's I/O Controller Hubs, "RST_CNT - Reset Control Register".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

import attrs

from vmmkit.devices._byte_window import ByteWindow
from vmmkit.devices._fields import is_callable

__all__ = ["ResetControl", "ResetRequest"]

_SIZE: Final = 4
_REGISTER: Final = 1
_SYSTEM: Final = 0x02
_TRIGGER: Final = 0x04
_FULL: Final = 0x08
_KEPT: Final = _SYSTEM | _TRIGGER | _FULL


class ResetRequest(Enum):
    """What the guest asks for."""

    PROCESSOR = "processor"  #: INIT of the processors; devices stay as they are
    SYSTEM = "system"  #: a reset of processors and devices
    POWER_CYCLE = "power cycle"  #: the same by turning power off and on


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class ResetControl(ByteWindow):
    """The register, in a window of `size` ports from CF8H on.

    Args:
        request: called with what the guest asks for, when RST_CPU goes from 0 to 1.

    Raises:
        DeviceError: an argument that cannot be called.

    Bytes of the window beside the register read as ones and drop writes. Guest input never raises.
    """

    request: Callable[[ResetRequest], object] = attrs.field(validator=is_callable)
    _value: int = attrs.field(default=0, init=False)

    @property
    def size(self) -> int:
        """Bytes of the window."""
        return _SIZE

    def reset(self) -> None:
        """Clear the register."""
        self._value = 0

    def __repr__(self) -> str:
        """Show the register, for debuggers."""
        return f"<ResetControl {self._value:02x}>"

    def _read_byte(self, offset: int) -> int:
        return self._value if offset == _REGISTER else 0xFF

    def _write_byte(self, offset: int, value: int) -> None:
        if offset != _REGISTER:
            return
        rises = value & ~self._value & _TRIGGER
        self._value = value & _KEPT
        if rises:
            self.request(_REQUESTS[value & (_SYSTEM | _FULL)])


_REQUESTS: Final = {
    0: ResetRequest.PROCESSOR,
    _FULL: ResetRequest.PROCESSOR,
    _SYSTEM: ResetRequest.SYSTEM,
    _SYSTEM | _FULL: ResetRequest.POWER_CYCLE,
}
