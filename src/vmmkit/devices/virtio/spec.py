# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Constants of "Virtual I/O Device (VIRTIO) Version 1.2"; each group names its section."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

__all__ = [
    "BlkFeature",
    "BlkRequest",
    "BlkStatus",
    "CapabilityType",
    "ConsoleFeature",
    "Descriptor",
    "DeviceType",
    "EventFlags",
    "Feature",
    "Isr",
    "NetFeature",
    "NetStatus",
    "Status",
]


class Status(IntFlag):
    """Virtio 1.2 "Device Status Field"."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    DEVICE_NEEDS_RESET = 64
    FAILED = 128


class Feature(IntFlag):
    """Virtio 1.2 "Reserved Feature Bits": those that every device of this package deals with."""

    INDIRECT_DESC = 1 << 28
    EVENT_IDX = 1 << 29
    VERSION_1 = 1 << 32
    ACCESS_PLATFORM = 1 << 33
    RING_PACKED = 1 << 34
    RING_RESET = 1 << 40


class Descriptor(IntFlag):
    """Virtio 1.2 "The Virtqueue Descriptor Table" and "Packed Virtqueues", "Descriptor Ring"."""

    NEXT = 1
    WRITE = 2
    INDIRECT = 4
    AVAIL = 1 << 7
    USED = 1 << 15


AVAIL_NO_INTERRUPT: Final = 1
"""Virtio 1.2 "The Virtqueue Available Ring"."""


class EventFlags(IntEnum):
    """Virtio 1.2 "Event Suppression Structure Format"."""

    ENABLE = 0
    DISABLE = 1
    DESCRIPTOR = 2


MAX_QUEUE_SIZE: Final = 32768
"""Virtio 1.2 "Virtqueues" of either layout: the largest Queue Size."""


class DeviceType(IntEnum):
    """Virtio 1.2 "Device Types"."""

    NET = 1
    BLK = 2
    CONSOLE = 3
    RNG = 4


VENDOR_ID: Final = 0x1AF4
"""Virtio 1.2 "PCI Device Discovery"."""
FIRST_DEVICE_ID: Final = 0x1040
"""Virtio 1.2 "PCI Device Discovery": plus the device type."""
NO_VECTOR: Final = 0xFFFF
"""Virtio 1.2 "MSI-X Vector Configuration": VIRTIO_MSI_NO_VECTOR."""


class CapabilityType(IntEnum):
    """Virtio 1.2 "Virtio Structure PCI Capabilities"."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4
    PCI = 5


class Isr(IntFlag):
    """Virtio 1.2 "ISR status capability"."""

    QUEUE = 1
    CONFIGURATION = 2


class BlkFeature(IntFlag):
    """Virtio 1.2 "Block Device", "Feature bits"."""

    SIZE_MAX = 1 << 1
    SEG_MAX = 1 << 2
    RO = 1 << 5
    BLK_SIZE = 1 << 6
    FLUSH = 1 << 9
    TOPOLOGY = 1 << 10
    MQ = 1 << 12
    DISCARD = 1 << 13
    WRITE_ZEROES = 1 << 14


class BlkRequest(IntEnum):
    """Virtio 1.2 "Block Device", "Device Operation": request types."""

    IN = 0
    OUT = 1
    FLUSH = 4
    GET_ID = 8
    DISCARD = 11
    WRITE_ZEROES = 13


class BlkStatus(IntEnum):
    """Virtio 1.2 "Block Device", "Device Operation": the last byte of a request."""

    OK = 0
    IOERR = 1
    UNSUPP = 2


class NetFeature(IntFlag):
    """Virtio 1.2 "Network Device", "Feature bits"."""

    MTU = 1 << 3
    MAC = 1 << 5
    MRG_RXBUF = 1 << 15
    STATUS = 1 << 16


class NetStatus(IntFlag):
    """Virtio 1.2 "Network Device", "Device configuration layout"."""

    LINK_UP = 1


class ConsoleFeature(IntFlag):
    """Virtio 1.2 "Console Device", "Feature bits"."""

    SIZE = 1 << 0
    EMERG_WRITE = 1 << 2
