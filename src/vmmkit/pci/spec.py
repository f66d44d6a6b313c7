# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Constants of the configuration space, with the documents and titles they come from.

Offsets are in bytes: of header registers from the start of the space, of capability registers
from the start of the capability.
"""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag
from typing import Final

__all__ = [
    "CONVENTIONAL_SIZE",
    "EXTENDED_SIZE",
    "FIRST_CAPABILITY",
    "FIRST_EXTENDED_CAPABILITY",
    "STATUS_ERRORS",
    "BarKind",
    "BridgeControl",
    "CapabilityId",
    "Command",
    "ExtendedCapabilityId",
    "Header",
    "HeaderType",
    "PortType",
    "SlotControl",
    "SlotStatus",
    "Status",
]

# PCI Local Bus Specification 3.0, "Configuration Space Organization"; PCI Express Base
# Specification, "PCI Express Configuration Space Layout".
CONVENTIONAL_SIZE: Final = 0x100
EXTENDED_SIZE: Final = 0x1000
FIRST_CAPABILITY: Final = 0x40
FIRST_EXTENDED_CAPABILITY: Final = 0x100


class Header(IntEnum):
    """Registers of the configuration header.

    PCI Local Bus Specification 3.0, "Configuration Space Organization"; PCI-to-PCI Bridge
    Architecture Specification 1.2, "PCI-to-PCI Bridge PCI Configuration Space Header Format".
    """

    VENDOR_ID = 0x00
    DEVICE_ID = 0x02
    COMMAND = 0x04
    STATUS = 0x06
    REVISION_ID = 0x08
    CLASS_CODE = 0x09
    CACHE_LINE_SIZE = 0x0C
    LATENCY_TIMER = 0x0D
    HEADER_TYPE = 0x0E
    BIST = 0x0F
    BAR0 = 0x10
    SUBSYSTEM_VENDOR_ID = 0x2C
    SUBSYSTEM_ID = 0x2E
    ROM_BAR = 0x30
    CAPABILITIES_POINTER = 0x34
    INTERRUPT_LINE = 0x3C
    INTERRUPT_PIN = 0x3D
    # Type 1 only:
    PRIMARY_BUS = 0x18
    SECONDARY_BUS = 0x19
    SUBORDINATE_BUS = 0x1A
    SECONDARY_LATENCY_TIMER = 0x1B
    IO_BASE = 0x1C
    IO_LIMIT = 0x1D
    SECONDARY_STATUS = 0x1E
    MEMORY_BASE = 0x20
    MEMORY_LIMIT = 0x22
    PREFETCHABLE_BASE = 0x24
    PREFETCHABLE_LIMIT = 0x26
    PREFETCHABLE_BASE_UPPER = 0x28
    PREFETCHABLE_LIMIT_UPPER = 0x2C
    IO_BASE_UPPER = 0x30
    IO_LIMIT_UPPER = 0x32
    BRIDGE_ROM_BAR = 0x38
    BRIDGE_CONTROL = 0x3E


class HeaderType(IntEnum):
    """Layout in bits 0-6 of the Header Type register."""

    TYPE0 = 0
    TYPE1 = 1


class Command(IntFlag):
    """Bits of the Command register. PCI Local Bus Specification 3.0, "Device Control"."""

    IO = 0x001
    MEMORY = 0x002
    BUS_MASTER = 0x004
    SPECIAL_CYCLES = 0x008
    WRITE_AND_INVALIDATE = 0x010
    VGA_SNOOP = 0x020
    PARITY = 0x040
    SERR = 0x100
    FAST_BACK_TO_BACK = 0x200
    INTERRUPT_DISABLE = 0x400


class Status(IntFlag):
    """Bits of the Status register. PCI Local Bus Specification 3.0, "Device Status"."""

    INTERRUPT = 0x0008
    CAPABILITIES = 0x0010
    MHZ66 = 0x0020
    FAST_BACK_TO_BACK = 0x0080
    MASTER_PARITY_ERROR = 0x0100
    SIGNALED_TARGET_ABORT = 0x0800
    RECEIVED_TARGET_ABORT = 0x1000
    RECEIVED_MASTER_ABORT = 0x2000
    SIGNALED_SYSTEM_ERROR = 0x4000
    DETECTED_PARITY_ERROR = 0x8000


STATUS_ERRORS: Final = 0xF900  #: the Status bits that a guest clears by writing ones


class BridgeControl(IntFlag):
    """Bits of the Bridge Control register.

    PCI-to-PCI Bridge Architecture Specification 1.2, "Bridge Control Register".
    """

    PARITY = 0x001
    SERR = 0x002
    ISA = 0x004
    VGA = 0x008
    VGA_16BIT = 0x010
    MASTER_ABORT = 0x020
    SECONDARY_RESET = 0x040
    FAST_BACK_TO_BACK = 0x080
    PRIMARY_DISCARD_TIMER = 0x100
    SECONDARY_DISCARD_TIMER = 0x200
    DISCARD_TIMER_STATUS = 0x400
    DISCARD_TIMER_SERR = 0x800


class BarKind(Enum):
    """What a base address register decodes.

    PCI Local Bus Specification 3.0, "Base Addresses".
    """

    IO = "io"
    MEM32 = "mem32"
    MEM32_PREFETCHABLE = "mem32 prefetchable"
    MEM64 = "mem64"
    MEM64_PREFETCHABLE = "mem64 prefetchable"
    ROM = "rom"


class CapabilityId(IntEnum):
    """Capability IDs. PCI Code and ID Assignment Specification, "Capability IDs"."""

    POWER_MANAGEMENT = 0x01
    MSI = 0x05
    VENDOR_SPECIFIC = 0x09
    SUBSYSTEM_ID = 0x0D
    PCI_EXPRESS = 0x10
    MSIX = 0x11


class ExtendedCapabilityId(IntEnum):
    """Extended ones. PCI Code and ID Assignment Specification, "Extended Capability IDs"."""

    NULL = 0x0000
    AER = 0x0001
    DSN = 0x0003
    VENDOR_SPECIFIC = 0x000B
    ACS = 0x000D
    ARI = 0x000E
    SRIOV = 0x0010
    LTR = 0x0018


class PortType(IntEnum):
    """Device/Port Type. PCI Express Base Specification, "PCI Express Capabilities Register"."""

    ENDPOINT = 0x0
    LEGACY_ENDPOINT = 0x1
    ROOT_PORT = 0x4
    SWITCH_UPSTREAM = 0x5
    SWITCH_DOWNSTREAM = 0x6
    PCIE_TO_PCI_BRIDGE = 0x7
    INTEGRATED_ENDPOINT = 0x9


class SlotControl(IntFlag):
    """Bits of the Slot Control register. PCI Express Base Specification, same title."""

    ATTENTION_BUTTON_ENABLE = 0x0001
    POWER_FAULT_ENABLE = 0x0002
    MRL_SENSOR_ENABLE = 0x0004
    PRESENCE_ENABLE = 0x0008
    COMMAND_COMPLETED_ENABLE = 0x0010
    HOT_PLUG_INTERRUPT_ENABLE = 0x0020
    ATTENTION_INDICATOR = 0x00C0  #: field: 1 on, 2 blink, 3 off
    POWER_INDICATOR = 0x0300  #: field: 1 on, 2 blink, 3 off
    POWER_OFF = 0x0400
    INTERLOCK = 0x0800
    LINK_STATE_ENABLE = 0x1000


class SlotStatus(IntFlag):
    """Bits of the Slot Status register. PCI Express Base Specification, same title."""

    ATTENTION_BUTTON = 0x0001
    POWER_FAULT = 0x0002
    MRL_CHANGED = 0x0004
    PRESENCE_CHANGED = 0x0008
    COMMAND_COMPLETED = 0x0010
    MRL_OPEN = 0x0020
    PRESENCE = 0x0040
    INTERLOCK = 0x0080
    LINK_STATE_CHANGED = 0x0100
