# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PCI and PCI Express: config spaces, buses, and devices that authors declare.

Three layers, each of use alone:

* `ConfigSpace` and its capabilities: registers, and what a guest's write to them means.
* `HostBridge`, `Bus` and `Function`: who answers to which config access and address, with BARs
  that call back, interrupts and DMA.
* `PciDevice`: devices declared as classes.

`vmmkit.pci.testing` has a host for tests of devices; nothing here imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.pci.allocation import RangeAllocator
    from vmmkit.pci.assignment import Assignment, HotplugReserve, Placement, assign, assign_below
    from vmmkit.pci.bars import Bar, IoBar, MemBar, Rom
    from vmmkit.pci.bridge import Bridge
    from vmmkit.pci.bus import Bus
    from vmmkit.pci.capabilities import (
        Acs,
        Aer,
        Ari,
        Capability,
        Dsn,
        ExtendedCapability,
        Ltr,
        Msi,
        MsiView,
        Msix,
        MsixView,
        PciExpress,
        PowerManagement,
        RawCapability,
        RawExtended,
        Slot,
        SrIov,
        SubsystemId,
        VendorSpecific,
        VfBar,
    )
    from vmmkit.pci.cf8 import ConfigPorts
    from vmmkit.pci.config import (
        ConfigSnapshot,
        ConfigSpace,
        ConfigWrite,
        Effect,
        ReadHook,
        ResetKind,
        WriteHook,
    )
    from vmmkit.pci.decode import DecodePolicy
    from vmmkit.pci.describe import c_header, reference
    from vmmkit.pci.device import PciDevice
    from vmmkit.pci.dma import Dma
    from vmmkit.pci.dump import dump, format_bdf
    from vmmkit.pci.ecam import Ecam
    from vmmkit.pci.function import Function, FunctionSnapshot
    from vmmkit.pci.host_bridge import HostBridge, HostSnapshot
    from vmmkit.pci.hotplug import HotplugSlot
    from vmmkit.pci.interrupts import Interrupts, InterruptsSnapshot, Irq, Message, Mode
    from vmmkit.pci.intx import IntxRouting, IntxWire, IntxWires
    from vmmkit.pci.msix_table import MsixTable
    from vmmkit.pci.ports import (
        DownstreamPort,
        PciBridge,
        RootPort,
        SwitchDownstream,
        SwitchUpstream,
        switch,
    )
    from vmmkit.pci.registers import Reg, RegArray
    from vmmkit.pci.spec import BarKind, CapabilityId, ExtendedCapabilityId, PortType
    from vmmkit.pci.state import DeviceSnapshot, State
    from vmmkit.pci.trace import RegisterAccess, TraceSink
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "allocation": "RangeAllocator",
            "assignment": "assign assign_below Assignment HotplugReserve Placement",
            "bars": "Bar IoBar MemBar Rom",
            "bridge": "Bridge",
            "bus": "Bus",
            "capabilities": (
                "Acs Aer Ari Capability Dsn ExtendedCapability Ltr Msi MsiView Msix MsixView "
                "PciExpress PowerManagement RawCapability RawExtended Slot SrIov SubsystemId "
                "VendorSpecific VfBar"
            ),
            "cf8": "ConfigPorts",
            "config": "ConfigSnapshot ConfigSpace ConfigWrite Effect ReadHook ResetKind WriteHook",
            "decode": "DecodePolicy",
            "describe": "c_header reference",
            "device": "PciDevice",
            "dma": "Dma",
            "dump": "dump format_bdf",
            "ecam": "Ecam",
            "function": "Function FunctionSnapshot",
            "host_bridge": "HostBridge HostSnapshot",
            "hotplug": "HotplugSlot",
            "interrupts": "Interrupts InterruptsSnapshot Irq Message Mode",
            "intx": "IntxRouting IntxWire IntxWires",
            "msix_table": "MsixTable",
            "ports": "DownstreamPort PciBridge RootPort switch SwitchDownstream SwitchUpstream",
            "registers": "Reg RegArray",
            "spec": "BarKind CapabilityId ExtendedCapabilityId PortType",
            "state": "DeviceSnapshot State",
            "trace": "RegisterAccess TraceSink",
        },
    )

__all__ = [
    # Devices
    "PciDevice",
    "Reg",
    "RegArray",
    "State",
    "DeviceSnapshot",
    "MemBar",
    "IoBar",
    "Rom",
    "Bar",
    "reference",
    "c_header",
    "RegisterAccess",
    "TraceSink",
    # Capabilities
    "PowerManagement",
    "Msi",
    "Msix",
    "PciExpress",
    "Slot",
    "VendorSpecific",
    "SubsystemId",
    "RawCapability",
    "Aer",
    "Acs",
    "Dsn",
    "Ltr",
    "Ari",
    "SrIov",
    "VfBar",
    "RawExtended",
    "Capability",
    "ExtendedCapability",
    "MsiView",
    "MsixView",
    # Functions, interrupts, DMA
    "Function",
    "FunctionSnapshot",
    "Interrupts",
    "Irq",
    "Message",
    "Mode",
    "InterruptsSnapshot",
    "MsixTable",
    "Dma",
    # Buses
    "HostBridge",
    "HostSnapshot",
    "Bus",
    "Bridge",
    "PciBridge",
    "RootPort",
    "SwitchUpstream",
    "SwitchDownstream",
    "switch",
    "DownstreamPort",
    "HotplugSlot",
    "ConfigPorts",
    "Ecam",
    "IntxRouting",
    "IntxWires",
    "IntxWire",
    "DecodePolicy",
    # Addresses
    "RangeAllocator",
    "assign",
    "assign_below",
    "Assignment",
    "Placement",
    "HotplugReserve",
    # Config spaces
    "ConfigSpace",
    "ConfigSnapshot",
    "ConfigWrite",
    "Effect",
    "ResetKind",
    "ReadHook",
    "WriteHook",
    "BarKind",
    "CapabilityId",
    "ExtendedCapabilityId",
    "PortType",
    "dump",
    "format_bdf",
]
