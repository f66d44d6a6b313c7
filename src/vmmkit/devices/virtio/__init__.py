# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Virtio devices over the modern PCI transport, on split and packed rings.

`VirtioRng`, `VirtioConsole`, `VirtioBlk` and `VirtioNet` are PCI functions, to be attached to a
bus. `VirtioPci` is what they have in common, for devices of your own.
"""

from vmmkit.devices.virtio.blk import VirtioBlk
from vmmkit.devices.virtio.chain import Buffers, Chain, MalformedRingError
from vmmkit.devices.virtio.console import VirtioConsole
from vmmkit.devices.virtio.disk import BufferDisk, Disk, FileDisk
from vmmkit.devices.virtio.net import VirtioNet
from vmmkit.devices.virtio.pci_transport import DEVICE_CONFIG, VirtioPci
from vmmkit.devices.virtio.queue import VirtQueue
from vmmkit.devices.virtio.rng import VirtioRng

__all__ = [
    "VirtioRng",
    "VirtioConsole",
    "VirtioBlk",
    "Disk",
    "FileDisk",
    "BufferDisk",
    "VirtioNet",
    "VirtioPci",
    "DEVICE_CONFIG",
    "VirtQueue",
    "Chain",
    "Buffers",
    "MalformedRingError",
]
