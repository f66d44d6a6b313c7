# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The vendor capabilities that say where a virtio function's structures are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.devices.virtio.spec import CapabilityType
from vmmkit.pci.capabilities.base import Capability

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["VirtioCapability", "VirtioNotify", "VirtioWindow"]

_LENGTH: Final = 16
_DWORD: Final = 0xFFFF_FFFF


@attrs.frozen
class VirtioCapability(Capability):
    """Where one structure is (virtio 1.2 "Virtio Structure PCI Capabilities").

    Args:
        structure: which one.
        bar: index of the BAR.
        offset: of the structure in it, in bytes.
        length: of the structure, in bytes.
    """

    cap_id: ClassVar[int] = 0x09
    repeats: ClassVar[bool] = True

    structure: CapabilityType
    bar: int
    offset: int
    length: int

    @property
    def size(self) -> int:
        """Bytes."""
        return _LENGTH

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out its length, the structure's type and where that is."""
        config.define(offset + 2, 2, value=self.size | int(self.structure) << 8)
        config.define(offset + 4, 4, value=self.bar)
        config.define(offset + 8, 4, value=self.offset)
        config.define(offset + 12, 4, value=self.length)


@attrs.frozen
class VirtioNotify(VirtioCapability):
    """Where notifications go (virtio 1.2 "Notification structure layout").

    Args:
        multiplier: bytes between the notification addresses of two queues.
    """

    multiplier: int = 4

    @property
    def size(self) -> int:
        """Bytes."""
        return _LENGTH + 4

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out the multiplier behind what every structure has."""
        super().define(config, offset)
        config.define(offset + _LENGTH, 4, value=self.multiplier)


@attrs.frozen
class VirtioWindow(VirtioCapability):
    """A window through config space to the BARs (virtio 1.2 "PCI configuration access capability").

    The driver writes BAR, offset and length; the data behind them is the device's to answer.
    """

    structure: CapabilityType = CapabilityType.PCI
    bar: int = 0
    offset: int = 0
    length: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return _LENGTH + 4

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out the registers, which all are the driver's."""
        config.define(offset + 2, 2, value=self.size | int(self.structure) << 8)
        config.define(offset + 4, 4, rw=0xFF)
        config.define(offset + 8, 4, rw=_DWORD)
        config.define(offset + 12, 4, rw=_DWORD)
        config.define(offset + _LENGTH, 4, rw=_DWORD)
