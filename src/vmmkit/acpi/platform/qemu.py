# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Devices that QEMU defined and that other monitors have as well.

QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device" and "PVPANIC DEVICE".
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from vmmkit.acpi.aml.field_units import Access
from vmmkit.acpi.aml.fields import Field, Lock, Update
from vmmkit.acpi.aml.named import Device, Method, Name, OperationRegion, RegionSpace
from vmmkit.acpi.aml.node import Node, Path
from vmmkit.acpi.aml.operators import Store
from vmmkit.acpi.aml.places import Arg
from vmmkit.acpi.aml.resources import Io, Resources
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.platform.context import Context

__all__ = ["FwCfg", "Pvpanic"]

_PRESENT_HIDDEN = 0x0B  # _STA: present, enabled, functioning, not shown to the user


@attrs.frozen
class FwCfg:
    r"""The firmware configuration device.

    A contributor to the scope of the host bridge whose windows have its ports, else to `\_SB`.

    Args:
        port: of its selector; the data register follows.
        dma: it has its DMA registers, 4 ports after the selector.
    """

    port: int = 0x510
    dma: bool = True

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device."""
        size = 12 if self.dma else 2
        context.claim_ports("FWCF", self.port, size)
        yield Device(
            "FWCF",
            Name("_HID", "QEMU0002"),
            Name("_STA", _PRESENT_HIDDEN),
            Name("_CRS", Resources(Io(self.port, size))),
        )


@attrs.frozen
class Pvpanic:
    """A port that a guest writes when it panics; a contributor to the scope of the LPC bridge.

    Args:
        port: of one byte.
    """

    port: int = 0x505

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device, with the methods that read (RDPT) and write (WRPT) the port."""
        context.claim_ports("PEVT", self.port, 1)
        yield Device(
            "PEVT",
            Name("_HID", "QEMU0001"),
            Name("_CRS", Resources(Io(self.port, 1))),
            OperationRegion("PEOR", RegionSpace.SystemIo, self.port, 1),
            Field("PEOR", Access.Byte, Lock.NoLock, Update.Preserve, ("PEPT", 8)),
            Name("_STA", 0xF),
            Method("RDPT", 0, Return(Path("PEPT"))),
            Method("WRPT", 1, Store(Arg(0), Path("PEPT"))),
        )
