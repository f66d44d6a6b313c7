# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What leaves a function: messages, the level of its pin, DMA; and where that leads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from vmmkit.pci.function import Function
from vmmkit.pci.intx import IntxRouting, IntxWires, pin_number, swizzle_up

__all__ = ["Wiring"]


@attrs.frozen(eq=False)
class Wiring:
    """The far end of what functions of one segment send.

    Args:
        routing: which GSI the pins on the root bus reach.
        wires: the lines of the GSIs.
        send_msi: takes address, data and the sender's bdf.
        memory: what DMA reaches; something without ports is not reached.
    """

    routing: IntxRouting
    wires: IntxWires
    send_msi: Callable[[int, int, int], object]
    memory: Any

    def connect(self, function: Function) -> None:
        """Give an attached function its way out; its wires hear of it by `interrupts.deliver`."""

        def send(address: int, data: int) -> None:
            self.send_msi(address, data, function.bdf)

        upstream = tuple(bridge.config for bridge in _bridges_above(function))
        function.interrupts.rewire(send, self.wires.wire(self.gsi_of(function)), upstream)
        if hasattr(self.memory, "port"):
            function.dma.connect(self.memory, function, upstream)

    def disconnect(self, function: Function) -> None:
        """Take it away again; likewise."""
        function.interrupts.rewire()
        function.dma.disconnect()

    def gsi_of(self, function: Function) -> int | None:
        """Follow a function's pin to the root bus, and from there to a GSI, if it leads to one."""
        if function.intx is None or function.bus is None:
            return None
        *behind, top = [devfn >> 3 for devfn in (function.devfn, *reversed(function.bus.path))]
        return self.routing.gsi(top, swizzle_up(pin_number(function.intx), behind))


def _bridges_above(function: Function) -> Iterator[Function]:
    """Yield the bridges between a function and the root bus, from the nearest on."""
    bus = function.bus
    while bus is not None and bus.bridge is not None:
        yield bus.bridge
        bus = bus.bridge.bus
