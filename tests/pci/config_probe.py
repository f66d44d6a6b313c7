# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a guest finds out about registers by trying, and the spaces that tests try it on."""

from typing import NamedTuple

from vmmkit.pci.capabilities import Capability
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.spec import EXTENDED_SIZE, HeaderType

VENDOR, DEVICE, CLASS = 0x1234, 0x11E8, 0x00FF00


class Bits(NamedTuple):
    """What the bits of a register do: masks, and the value after power-up."""

    value: int = 0
    rw: int = 0
    w1c: int = 0
    sticky: int = 0


def endpoint(*capabilities: Capability, size: int = EXTENDED_SIZE) -> ConfigSpace:
    """Return a space with a type 0 header."""
    config = ConfigSpace.type0(vendor_id=VENDOR, device_id=DEVICE, class_code=CLASS, size=size)
    for capability in capabilities:
        config.add(capability)
    return config


def bridge(*capabilities: Capability, **options: int) -> ConfigSpace:
    """Return a space with a type 1 header."""
    config = ConfigSpace.type1(vendor_id=VENDOR, device_id=DEVICE, **options)
    for capability in capabilities:
        config.add(capability)
    return config


def space(layout: HeaderType, *capabilities: Capability) -> ConfigSpace:
    """Return a space with either header."""
    return endpoint(*capabilities) if layout is HeaderType.TYPE0 else bridge(*capabilities)


def probe(config: ConfigSpace, offset: int, size: int) -> Bits:
    """Find out, from a fresh space, what the bits of a register do; leaves it written."""
    ones = (1 << 8 * size) - 1
    value = config.get(offset, size)
    config.write(offset, size, 0)
    low = config.get(offset, size)
    config.write(offset, size, ones)
    high = config.get(offset, size)
    config.set(offset, size, ones)
    config.write(offset, size, ones)
    w1c = ones & ~config.get(offset, size)
    config.set(offset, size, ones)
    config.reset(ResetKind.BUS)
    zeros_kept = config.get(offset, size) & ~value
    config.set(offset, size, 0)
    config.reset(ResetKind.BUS)
    ones_kept = value & ~config.get(offset, size)
    return Bits(value, low ^ high, w1c, zeros_kept | ones_kept)
