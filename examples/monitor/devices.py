# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The PCI devices that --device adds, as a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple

from vmmkit.devices.edu import Edu
from vmmkit.devices.pci_uart import PciUart
from vmmkit.devices.virtio import FileDisk, VirtioBlk, VirtioConsole, VirtioRng
from vmmkit.pci import PciDevice

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
    read_only = settings.get("readonly", "off") == "on"
    fd = os.open(settings["file"], os.O_RDONLY if read_only else os.O_RDWR)
    surroundings.stack.callback(os.close, fd)
    return VirtioBlk(FileDisk(fd), read_only=read_only, serial=settings.get("serial", ""))


def pci_uart(_settings: Settings, surroundings: Surroundings) -> PciDevice:
    return PciUart(lambda character: surroundings.transmit(bytes((character,))))


KINDS = {
    "edu": Kind(lambda _settings, _surroundings: Edu()),
    "virtio-blk": Kind(virtio_blk, frozenset({"file", "readonly", "serial"}), frozenset({"file"})),
    "virtio-rng": Kind(lambda _settings, _surroundings: VirtioRng()),
    "virtio-console": Kind(lambda _settings, surroundings: VirtioConsole(surroundings.transmit)),
    "pci-uart": Kind(pci_uart),
}
