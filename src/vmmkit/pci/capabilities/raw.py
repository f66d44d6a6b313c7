# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Capabilities of plain bytes: vendor specific, subsystem ids, and whatever else one needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci.capabilities.base import Capability, ExtendedCapability, octets, within
from vmmkit.pci.spec import CONVENTIONAL_SIZE, EXTENDED_SIZE, CapabilityId

if TYPE_CHECKING:
    from vmmkit.pci._registers import RegisterFile
    from vmmkit.pci.config import ConfigSpace

__all__ = ["RawCapability", "RawExtended", "SubsystemId", "VendorSpecific"]

_VENDOR_LENGTH: Final = 2
_VENDOR_DATA: Final = 3
_STANDARD_ROOM: Final = CONVENTIONAL_SIZE - 0x40
_EXTENDED_ROOM: Final = EXTENDED_SIZE - CONVENTIONAL_SIZE


def _define_bytes(space: RegisterFile, offset: int, data: bytes, rw: bytes, w1c: bytes) -> None:
    for at, value in enumerate(data):
        writable = rw[at] if rw else 0
        clears = w1c[at] if w1c else 0
        space.define(offset + at, 1, value=value, rw=writable, w1c=clears)


def _check_masks(name: str, data: bytes, masks: tuple[bytes, ...], room: int) -> None:
    if len(data) > room:
        raise ConfigSpaceError(f"{name}: {len(data)} bytes of data, there is room for {room}")
    for mask in masks:
        if mask and len(mask) != len(data):
            raise ConfigSpaceError(f"{name}: a mask of {len(mask)} bytes for {len(data)} of data")


@attrs.frozen
class VendorSpecific(Capability):
    """A vendor specific capability. PCI Local Bus Specification 3.0, "Capability IDs".

    Args:
        data: what follows the length byte, up to 189 bytes.
        rw: mask of writable bits, as long as the data; empty for none.

    Raises:
        ConfigSpaceError: too long, or a mask of another length.
    """

    cap_id: ClassVar[int] = CapabilityId.VENDOR_SPECIFIC
    repeats: ClassVar[bool] = True

    data: bytes = attrs.field(converter=octets)
    rw: bytes = attrs.field(default=b"", converter=octets, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Compare lengths."""
        _check_masks("VendorSpecific", self.data, (self.rw,), _STANDARD_ROOM - _VENDOR_DATA)

    @property
    def size(self) -> int:
        """Bytes."""
        return _VENDOR_DATA + len(self.data)

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out length and data."""
        config.define(offset + _VENDOR_LENGTH, 1, value=self.size, name=f"Vendor@{offset:02x}.Size")
        _define_bytes(config, offset + _VENDOR_DATA, self.data, self.rw, b"")


@attrs.frozen
class SubsystemId(Capability):
    """Subsystem ids of a bridge, whose header has no room for them.

    PCI Code and ID Assignment Specification, "Capability IDs": PCI Bridge Subsystem Vendor ID.

    Args:
        vendor_id: 16 bits.
        subsystem_id: 16 bits.

    Raises:
        ConfigSpaceError: out of range.
    """

    cap_id: ClassVar[int] = CapabilityId.SUBSYSTEM_ID

    vendor_id: int = attrs.field(validator=within(0, 0xFFFF))
    subsystem_id: int = attrs.field(validator=within(0, 0xFFFF))

    @property
    def size(self) -> int:
        """Bytes."""
        return 8

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out both ids."""
        config.define(offset + 4, 2, value=self.vendor_id, name="SSID.Subsystem Vendor ID")
        config.define(offset + 6, 2, value=self.subsystem_id, name="SSID.Subsystem ID")


@attrs.frozen
class RawCapability(Capability):
    """Any capability, byte by byte.

    Args:
        capability_id: 8 bits.
        data: what follows the two bytes of the header.
        rw: mask of writable bits, as long as the data; empty for none.
        w1c: mask of bits that are cleared by writing ones; empty for none.

    Raises:
        ConfigSpaceError: too long, or a mask of another length.
    """

    cap_id: ClassVar[int] = 0
    repeats: ClassVar[bool] = True

    capability_id: int = attrs.field(validator=within(0, 0xFF))
    data: bytes = attrs.field(converter=octets)
    rw: bytes = attrs.field(default=b"", converter=octets, kw_only=True)
    w1c: bytes = attrs.field(default=b"", converter=octets, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Compare lengths."""
        _check_masks("RawCapability", self.data, (self.rw, self.w1c), _STANDARD_ROOM - 2)

    @property
    def identity(self) -> int:
        """The ID in the header."""
        return self.capability_id

    @property
    def size(self) -> int:
        """Bytes."""
        return 2 + len(self.data)

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out the data."""
        _define_bytes(config, offset + 2, self.data, self.rw, self.w1c)


@attrs.frozen
class RawExtended(ExtendedCapability):
    """Any extended capability, byte by byte.

    Args:
        capability_id: 16 bits.
        data: what follows the four bytes of the header.
        revision: the version in the header, 0-15.
        rw: mask of writable bits, as long as the data; empty for none.
        w1c: mask of bits that are cleared by writing ones; empty for none.

    Raises:
        ConfigSpaceError: too long, or a mask of another length.
    """

    cap_id: ClassVar[int] = 0
    repeats: ClassVar[bool] = True

    capability_id: int = attrs.field(validator=within(0, 0xFFFF))
    data: bytes = attrs.field(converter=octets)
    revision: int = attrs.field(default=1, validator=within(0, 15), kw_only=True)
    rw: bytes = attrs.field(default=b"", converter=octets, kw_only=True)
    w1c: bytes = attrs.field(default=b"", converter=octets, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Compare lengths."""
        _check_masks("RawExtended", self.data, (self.rw, self.w1c), _EXTENDED_ROOM - 4)

    @property
    def identity(self) -> int:
        """The ID in the header."""
        return self.capability_id

    @property
    def size(self) -> int:
        """Bytes."""
        return 4 + len(self.data)

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out the data."""
        _define_bytes(config, offset + 4, self.data, self.rw, self.w1c)
