# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Virtio devices that are not on a bus.

Virtual I/O Device (VIRTIO) Specification, Virtio Over MMIO; LNRO0005 is the hardware id that Linux
has for them.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.aml.resources import Memory32Fixed, Resources
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.events import gsi_descriptor
from vmmkit.acpi.platform.values import FOUR_GIB, checked_range

__all__ = ["VirtioMmio"]


@attrs.frozen
class VirtioMmio:
    r"""The registers of one device; a contributor to `\_SB`.

    Args:
        base: address, below 4 GiB.
        gsi: its interrupt.
        size: bytes.
        level: the interrupt is level triggered.
        name: of its device; VR00 to VRFF in order by default.
    """

    base: int
    gsi: int
    size: int = 0x200
    level: bool = attrs.field(default=True, kw_only=True)
    name: str | None = attrs.field(default=None, kw_only=True)

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device."""
        unit = context.unique_id("LNRO0005")
        name = self.name or f"VR{unit:02X}"
        checked_range(f"the registers of {name}", (self.base, self.size), FOUR_GIB)
        context.claim_memory(name, self.base, self.size)
        context.claim_interrupt(name, self.gsi, level=self.level)
        interrupt = gsi_descriptor(self.gsi, level=self.level)
        crs = Resources(Memory32Fixed(self.base, self.size), interrupt)
        yield Device(name, Name("_HID", "LNRO0005"), Name("_UID", unit), Name("_CRS", crs))
