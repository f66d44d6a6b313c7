# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The high precision event timer.

IA-PC HPET (High Precision Event Timers) Specification 1.0a, The ACPI 2.0 HPET Description Table.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from vmmkit.acpi.aml.data import EisaId
from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.aml.resources import Memory32Fixed, Resources
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.values import FOUR_GIB, number
from vmmkit.acpi.tables.gas import AccessSize, Gas
from vmmkit.acpi.tables.hpet import Hpet, event_timer_block_id

__all__ = ["HpetTimer"]

_SIZE = 0x400


@attrs.frozen
class HpetTimer:
    r"""An HPET with its table; a contributor to `\_SB`.

    Args:
        address: of its registers, below 4 GiB.
        block_id: low half of its General Capabilities register.
        minimum_clock_tick: see `Hpet`.
        name: of its device.
    """

    address: int = 0xFED0_0000
    block_id: int = attrs.field(factory=event_timer_block_id)
    minimum_clock_tick: int = 0
    name: str = "HPET"

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; add its table."""
        unit = context.unique_id("PNP0103")
        number("the address of the HPET", self.address, FOUR_GIB)
        context.claim_memory(f"the timer {self.name}", self.address, _SIZE)
        table = Hpet(
            Gas.mem(self.address, 64, AccessSize.UNDEFINED),
            event_timer_block_id=self.block_id,
            hpet_number=unit,
            minimum_clock_tick=self.minimum_clock_tick,
            **context.header,
        )
        context.add_table(table)
        yield Device(
            self.name,
            Name("_HID", EisaId("PNP0103")),
            Name("_UID", unit),
            Name("_CRS", Resources(Memory32Fixed(self.address, _SIZE, writeable=False))),
        )
