# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The function that stands for the host bridge, at 00.0 of a root bus.

It has no BAR, no pin and no behaviour: firmware and operating systems look for it to tell that
there is a bus, and some read a chipset from its IDs. What a host bridge does is in
`vmmkit.pci.host_bridge`.
"""

from __future__ import annotations

from vmmkit.pci.device import PciDevice

__all__ = ["PciHostBridge"]


class PciHostBridge(PciDevice):
    """A host bridge's config space.

    The IDs are those of QEMU's generic PCI Express host bridge. For another chipset derive a class
    with other ones.
    """

    vendor_id, device_id, revision, class_code = 0x1B36, 0x0008, 0x00, 0x060000
    subsystem_vendor_id, subsystem_id = 0x1AF4, 0x1100
