# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Unit tests for PCI devices, without a guest: a host that plays firmware and driver.

::

    host = Host()
    edu = host.plug(Edu())              # found, sized, placed, enabled
    edu.enable_msi()
    edu.bar(0).write32(0x60, 1)
    assert edu.take_interrupts() == [0]

The host sees devices as a guest does: by accesses to configuration registers, memory and ports.
It is the one part of `vmmkit.pci` that uses `vmmkit.memregion`; nothing in `vmmkit.pci` uses it.
"""

from vmmkit.pci.testing._dump import dump
from vmmkit.pci.testing.access import ConfigAccess, ConfigRegisters
from vmmkit.pci.testing.driver import BarWindow, Driver
from vmmkit.pci.testing.firmware import Firmware
from vmmkit.pci.testing.host import Host
from vmmkit.pci.testing.interrupts import CollectedInterrupts, Interrupt, MsiVectors, MsixVectors
from vmmkit.pci.testing.memory import HostMemory
from vmmkit.pci.testing.scan import BarRegister, Scanned, scan

__all__ = [
    "BarRegister",
    "BarWindow",
    "CollectedInterrupts",
    "ConfigAccess",
    "ConfigRegisters",
    "Driver",
    "Firmware",
    "Host",
    "HostMemory",
    "Interrupt",
    "MsiVectors",
    "MsixVectors",
    "Scanned",
    "dump",
    "scan",
]
