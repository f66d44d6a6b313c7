# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Capabilities: frozen values that a `ConfigSpace` places and chains."""

from vmmkit.pci.capabilities.base import Capability, ExtendedCapability
from vmmkit.pci.capabilities.express import ExpressRegister, PciExpress, Slot
from vmmkit.pci.capabilities.msi import Msi, MsiView
from vmmkit.pci.capabilities.msix import Msix, MsixView
from vmmkit.pci.capabilities.power import PowerManagement

__all__ = [
    "Capability",
    "ExpressRegister",
    "ExtendedCapability",
    "Msi",
    "MsiView",
    "Msix",
    "MsixView",
    "PciExpress",
    "PowerManagement",
    "Slot",
]
