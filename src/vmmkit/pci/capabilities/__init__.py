# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Capabilities: frozen values that a `ConfigSpace` places and chains."""

from vmmkit.pci.capabilities.aer import Aer, AerRegister
from vmmkit.pci.capabilities.base import Capability, ExtendedCapability
from vmmkit.pci.capabilities.express import ExpressRegister, PciExpress, Slot
from vmmkit.pci.capabilities.extended import Acs, Ari, Dsn, Ltr
from vmmkit.pci.capabilities.msi import Msi, MsiView
from vmmkit.pci.capabilities.msix import Msix, MsixView
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.capabilities.raw import (
    RawCapability,
    RawExtended,
    SubsystemId,
    VendorSpecific,
)
from vmmkit.pci.capabilities.sriov import SrIov, SrIovRegister, VfBar

__all__ = [
    "Acs",
    "Aer",
    "AerRegister",
    "Ari",
    "Capability",
    "Dsn",
    "ExpressRegister",
    "ExtendedCapability",
    "Ltr",
    "Msi",
    "MsiView",
    "Msix",
    "MsixView",
    "PciExpress",
    "PowerManagement",
    "RawCapability",
    "RawExtended",
    "Slot",
    "SrIov",
    "SrIovRegister",
    "SubsystemId",
    "VendorSpecific",
    "VfBar",
]
