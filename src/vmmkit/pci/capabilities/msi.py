# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Message signaled interrupts: MSI."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.pci._registers import ConfigWrite, Effect
from vmmkit.pci.capabilities.base import Capability, one_of, with_flags
from vmmkit.pci.spec import CapabilityId

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["Msi", "MsiView"]

# PCI Local Bus Specification 3.0, "MSI Capability Structure" and "Message Control for MSI".
_CONTROL: Final = 2
_ADDRESS: Final = 4
_ADDRESS_UPPER: Final = 8
_ENABLE: Final = 0x0001
_CAPABLE_SHIFT: Final = 1
_ENABLED_SHIFT: Final = 4
_ENABLED: Final = 0x0070
_64BIT: Final = 0x0080
_MASKABLE: Final = 0x0100
_DWORD: Final = 0xFFFF_FFFF


@attrs.frozen(field_transformer=with_flags)
class Msi(Capability):
    """The MSI capability.

    Multiple Message Enable holds what the guest writes, but never more than the function offers:
    larger values, the reserved ones among them, are stored as the number offered.

    Args:
        vectors: 1, 2, 4, 8, 16 or 32.
        address64: whether the message address has 64 bits.
        maskable: whether vectors can be masked one by one.

    Raises:
        ConfigSpaceError: another number of vectors.
    """

    cap_id: ClassVar[int] = CapabilityId.MSI

    vectors: int = attrs.field(default=1, validator=one_of(1, 2, 4, 8, 16, 32))
    address64: bool = attrs.field(default=True, kw_only=True)
    maskable: bool = attrs.field(default=True, kw_only=True)

    @property
    def size(self) -> int:
        """Bytes: 10 to 24."""
        return (self.mask_offset + 8) if self.maskable else self.data_offset + 2

    @property
    def data_offset(self) -> int:
        """Where the message data is."""
        return 12 if self.address64 else 8

    @property
    def mask_offset(self) -> int:
        """Where the mask bits are, the pending bits behind them, if the function has them."""
        return self.data_offset + 4

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out control, address, data, and mask and pending bits."""
        changed = Effect.INTERRUPT
        capable = self.vectors.bit_length() - 1
        config.define(
            offset + _CONTROL,
            2,
            value=capable << _CAPABLE_SHIFT | self.address64 << 7 | self.maskable << 8,
            rw=_ENABLE | _ENABLED,
            effects=((_ENABLE | _ENABLED, changed),),
            name="MSI.Control",
        )
        config.on_write(offset + _CONTROL, 2, self._control_written)
        for at, size, rw, name in self._words():
            effects = ((rw, changed),) if rw else ()
            config.define(offset + at, size, rw=rw, effects=effects, name=name)

    def _words(self) -> list[tuple[int, int, int, str]]:
        """Return (offset, size, writable bits, name) of what follows the control word."""
        words = [(_ADDRESS, 4, 0xFFFF_FFFC, "MSI.Address")]
        if self.address64:
            words.append((_ADDRESS_UPPER, 4, _DWORD, "MSI.Address Upper"))
        words.append((self.data_offset, 2, 0xFFFF, "MSI.Data"))
        if self.maskable:
            words.append((self.mask_offset, 4, (1 << self.vectors) - 1, "MSI.Mask"))
            words.append((self.mask_offset + 4, 4, 0, "MSI.Pending"))
        return words

    def _control_written(self, config: ConfigSpace, write: ConfigWrite) -> int:
        """Limit Multiple Message Enable to what the function offers."""
        offered = self.vectors.bit_length() - 1
        if write.new >> 16 + _ENABLED_SHIFT & 7 > offered:
            config.amend(write.offset + 2, 2, on=offered << _ENABLED_SHIFT, off=_ENABLED)
        return 0


class MsiView:
    """The MSI registers of a space as they are now.

    Args:
        config: the space.
        offset: of the capability.
    """

    __slots__ = ("_config", "_data", "_mask", "_wide", "maskable", "offset")

    def __init__(self, config: ConfigSpace, offset: int) -> None:
        """Find the registers from the fixed bits of the control word."""
        self._config = config
        self.offset = offset
        control = config.get(offset + _CONTROL, 2)
        self._wide = bool(control & _64BIT)
        self.maskable = bool(control & _MASKABLE)
        self._data = offset + (12 if self._wide else 8)
        self._mask = self._data + 4

    @property
    def enabled(self) -> bool:
        """Whether the guest enabled MSI."""
        return bool(self._config.get(self.offset + _CONTROL, 2) & _ENABLE)

    @property
    def vectors(self) -> int:
        """How many vectors the function offers."""
        return 1 << (self._config.get(self.offset + _CONTROL, 2) >> _CAPABLE_SHIFT & 7)

    @property
    def vectors_enabled(self) -> int:
        """How many vectors the guest granted: 1 to 32."""
        return 1 << (self._config.get(self.offset + _CONTROL, 2) >> _ENABLED_SHIFT & 7)

    @property
    def address(self) -> int:
        """The message address, 32 or 64 bits."""
        config, at = self._config, self.offset + _ADDRESS
        upper = config.get(at + 4, 4) << 32 if self._wide else 0
        return upper | config.get(at, 4)

    @property
    def data(self) -> int:
        """The message data as written; the low bits are replaced by the vector's number."""
        return self._config.get(self._data, 2)

    @property
    def mask(self) -> int:
        """A bit for each vector that is masked; zero where vectors cannot be masked."""
        return self._config.get(self._mask, 4) if self.maskable else 0

    @property
    def pending(self) -> int:
        """A bit for each vector that waits; zero where the function has no such register."""
        return self._config.get(self._mask + 4, 4) if self.maskable else 0

    @pending.setter
    def pending(self, bits: int) -> None:
        if self.maskable:
            self._config.set(self._mask + 4, 4, bits)
