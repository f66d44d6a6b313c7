# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The configuration registers that are compared, by header type and capability."""

from __future__ import annotations

from typing import NamedTuple

from vmmkit.pci.testing import ConfigRegisters
from vmmkit.pci.testing.scan import capabilities, extended_capabilities

HEADER = {
    "Command": (0x04, 2),
    "Status": (0x06, 2),
    "Cache Line Size": (0x0C, 1),
    "Latency Timer": (0x0D, 1),
    "Header Type": (0x0E, 1),
    "BIST": (0x0F, 1),
    "Interrupt Line": (0x3C, 1),
}
TYPE0 = {
    "BAR 0": (0x10, 4),
    "BAR 1": (0x14, 4),
    "BAR 2": (0x18, 4),
    "BAR 3": (0x1C, 4),
    "BAR 4": (0x20, 4),
    "BAR 5": (0x24, 4),
    "CardBus CIS": (0x28, 4),
    "ROM BAR": (0x30, 4),
    "Reserved 35h": (0x35, 1),
    "Reserved 36h": (0x36, 2),
    "Reserved 38h": (0x38, 4),
    "Min_Gnt": (0x3E, 1),
    "Max_Lat": (0x3F, 1),
}
TYPE1 = {
    "BAR 0": (0x10, 4),
    "BAR 1": (0x14, 4),
    "Primary Bus": (0x18, 1),
    "Secondary Bus": (0x19, 1),
    "Subordinate Bus": (0x1A, 1),
    "Secondary Latency": (0x1B, 1),
    "I/O Base": (0x1C, 1),
    "I/O Limit": (0x1D, 1),
    "Secondary Status": (0x1E, 2),
    "Memory Base": (0x20, 2),
    "Memory Limit": (0x22, 2),
    "Prefetchable Base": (0x24, 2),
    "Prefetchable Limit": (0x26, 2),
    "Prefetchable Base Upper": (0x28, 4),
    "Prefetchable Limit Upper": (0x2C, 4),
    "I/O Base Upper": (0x30, 2),
    "I/O Limit Upper": (0x32, 2),
    "Reserved 35h": (0x35, 1),
    "Reserved 36h": (0x36, 2),
    "ROM BAR": (0x38, 4),
    "Bridge Control": (0x3E, 2),
}
POWER = {"PMC": (2, 2), "PMCSR": (4, 2), "PM Bridge": (6, 1), "PM Data": (7, 1)}
MSIX = {"MSI-X Control": (2, 2), "MSI-X Table": (4, 4), "MSI-X PBA": (8, 4)}
EXPRESS = {
    "PCIe Capabilities": (0x02, 2),
    "Device Capabilities": (0x04, 4),
    "Device Control": (0x08, 2),
    "Device Status": (0x0A, 2),
    "Link Capabilities": (0x0C, 4),
    "Link Control": (0x10, 2),
    "Link Status": (0x12, 2),
    "Slot Capabilities": (0x14, 4),
    "Slot Control": (0x18, 2),
    "Slot Status": (0x1A, 2),
    "Root Control": (0x1C, 2),
    "Root Capabilities": (0x1E, 2),
    "Root Status": (0x20, 4),
    "Device Capabilities 2": (0x24, 4),
    "Device Control 2": (0x28, 2),
    "Device Status 2": (0x2A, 2),
    "Link Capabilities 2": (0x2C, 4),
    "Link Control 2": (0x30, 2),
    "Link Status 2": (0x32, 2),
    "Slot Capabilities 2": (0x34, 4),
    "Slot Control 2": (0x38, 2),
    "Slot Status 2": (0x3A, 2),
}
SUBSYSTEM = {"Reserved SSVID": (2, 2), "SSVID": (4, 2), "SSID": (6, 2)}
AER = {
    "Uncorrectable Status": (0x04, 4),
    "Uncorrectable Mask": (0x08, 4),
    "Uncorrectable Severity": (0x0C, 4),
    "Correctable Status": (0x10, 4),
    "Correctable Mask": (0x14, 4),
    "AER Control": (0x18, 4),
    "Header Log 0": (0x1C, 4),
    "Header Log 3": (0x28, 4),
    "Root Error Command": (0x2C, 4),
    "Root Error Status": (0x30, 4),
    "Error Source": (0x34, 4),
}
ACS = {"ACS Capability": (4, 2), "ACS Control": (6, 2)}


def msi(control: int) -> dict[str, tuple[int, int]]:
    """Lay out an MSI capability by its control word."""
    wide, maskable = control >> 7 & 1, control >> 8 & 1
    found = {"MSI Control": (2, 2), "MSI Address": (4, 4)}
    if wide:
        found["MSI Address Upper"] = (8, 4)
    data = 12 if wide else 8
    found["MSI Data"] = (data, 2)
    if maskable:
        found |= {"MSI Mask": (data + 4, 4), "MSI Pending": (data + 8, 4)}
    return found


_STANDARD = {0x01: POWER, 0x0D: SUBSYSTEM, 0x10: EXPRESS, 0x11: MSIX}
_EXTENDED = {0x01: AER, 0x0D: ACS}


class Register(NamedTuple):
    name: str
    offset: int
    size: int


def registers_of(config: ConfigRegisters) -> dict[str, Register]:
    """Find the registers of a function that this file knows, by name."""
    groups = [(0, HEADER), (0, TYPE1 if config.read8(0x0E) & 0x7F else TYPE0)]
    for cap_id, at in capabilities(config):
        if cap_id == 0x05:
            groups.append((at, msi(config.read16(at + 2))))
        else:
            groups.append((at, _STANDARD.get(cap_id, {})))
    for cap_id, at in extended_capabilities(config):
        groups.append((at, _EXTENDED.get(cap_id, {})))
    return {
        name: Register(name, at + offset, size)
        for at, group in groups
        for name, (offset, size) in group.items()
    }
