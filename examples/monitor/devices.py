# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The PCI devices that --device adds, as a table."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from vmmkit.devices.edu import Edu
from vmmkit.devices.pci_uart import PciUart
from vmmkit.devices.virtio import FileDisk, VirtioBlk, VirtioConsole, VirtioRng
from vmmkit.errors import DeviceError
from vmmkit.pci import PciDevice

ON_OR_OFF = {"on": True, "off": False}
SECTOR = 512
Settings = Mapping[str, str]


class Surroundings(NamedTuple):
    """What devices are given besides their options."""

    transmit: Callable[[bytes], object]
    stack: ExitStack


class Kind(NamedTuple):
    """How a device is made, and which options it takes."""

    make: Callable[[Settings, Surroundings], PciDevice]
    options: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()


def virtio_blk(settings: Settings, surroundings: Surroundings) -> PciDevice:
    path, read_only = settings["file"], ON_OR_OFF.get(settings.get("readonly", "off"))
    if read_only is None:
        raise DeviceError(f"virtio-blk: readonly is on or off, not {settings['readonly']!r}")
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise DeviceError(f"virtio-blk: {path!r} is neither a file nor a block device")
    fd = os.open(path, os.O_RDONLY if read_only else os.O_RDWR)
    surroundings.stack.callback(os.close, fd)
    disk = FileDisk(fd)
    if disk.size < SECTOR:
        raise DeviceError(f"virtio-blk: {path!r} has {disk.size} bytes, less than a sector")
    return VirtioBlk(disk, read_only=read_only, serial=settings.get("serial", ""))


def pci_uart(_settings: Settings, surroundings: Surroundings) -> PciDevice:
    return PciUart(lambda character: surroundings.transmit(bytes((character,))))


KINDS = {
    "edu": Kind(lambda _settings, _surroundings: Edu()),
    "virtio-blk": Kind(virtio_blk, frozenset({"file", "readonly", "serial"}), frozenset({"file"})),
    "virtio-rng": Kind(lambda _settings, _surroundings: VirtioRng()),
    "virtio-console": Kind(lambda _settings, surroundings: VirtioConsole(surroundings.transmit)),
    "pci-uart": Kind(pci_uart),
}
