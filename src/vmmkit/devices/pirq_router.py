# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The PIRQ router of a PC's LPC bridge: PCI interrupt pins to ISA IRQs.

Theory of operation: the router
-------------------------------
Eight lines, PIRQA to PIRQH, carry the interrupt pins of the root bus. Each is wired to an input of
the I/O APIC; there the line arrives whatever the registers say. A register for each line tells
which ISA IRQ, and so which input of the 8259As, it drives beside that:

====  ============================================
bits  meaning
====  ============================================
3-0   the IRQ: 3-7, 9-12, 14 or 15
6-4   reserved, zero
7     set: the line reaches no IRQ; so after reset
====  ============================================

They are at 60H-63H for PIRQA-PIRQD and at 68H-6BH for PIRQE-PIRQH. A value with another IRQ is kept
and reaches none. Several lines may share an IRQ, which is high while one of them is; the guest
programs such IRQs as level-triggered in the ELCR.

The lines may change in any thread. What they lead to is called in order and with no lock held.

Source: the data sheets of Intel's I/O Controller Hubs, "PIRQ[n]_ROUT - PIRQ[A,B,C,D] Routing
Control Register" and its twin for E-H, in "LPC Interface Bridge Registers".
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from vmmkit.errors import DeviceError
from vmmkit.pci.config import ResetKind
from vmmkit.pci.device import PciDevice
from vmmkit.pci.intx import IntxWire, IntxWires

__all__ = ["PirqRouter"]

#: Where the registers of PIRQA to PIRQH are.
REGISTERS: Final = (0x60, 0x61, 0x62, 0x63, 0x68, 0x69, 0x6A, 0x6B)
ALLOWED_IRQS: Final = frozenset((3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15))

_DISABLED: Final = 0x80
_IRQ: Final = 0x0F


def _drop(_line: int, _level: bool) -> None:
    """Be a line that ends in the air."""


class PirqRouter(PciDevice):
    """The LPC bridge of an ICH10, as far as it routes interrupts.

    Args:
        set_irq: called with an ISA IRQ and its new level.
        set_gsi: called with a GSI and its new level: the way on to the I/O APIC.
        first_gsi: the GSI that PIRQA is; PIRQB is the next one, and so on.
        name: for maps, errors and traces.

    Raises:
        DeviceError: a negative GSI.

    Hand the method `drive_gsi` to the `HostBridge` as `set_gsi`, with
    `IntxRouting.swizzled(first_gsi)` as its routing.
    """

    vendor_id, device_id, revision, class_code = 0x8086, 0x3A18, 0x00, 0x060100
    subsystem_vendor_id, subsystem_id = 0x1AF4, 0x1100

    def __init__(
        self,
        set_irq: Callable[[int, bool], object] = _drop,
        set_gsi: Callable[[int, bool], object] = _drop,
        *,
        first_gsi: int = 16,
        name: str = "",
    ) -> None:
        """Route no line to an IRQ."""
        if first_gsi < 0:
            raise DeviceError(f"PirqRouter: no GSI {first_gsi}")
        super().__init__(name=name)
        for link, offset in enumerate(REGISTERS):
            register = f"PIRQ{chr(ord('A') + link)}"
            self.config.define(offset, 1, value=_DISABLED, rw=_DISABLED | _IRQ, name=register)
        self.set_gsi = set_gsi
        self.first_gsi = first_gsi
        self._lock = threading.Lock()
        self._irqs = IntxWires(set_irq)
        self._levels = [False] * len(REGISTERS)
        self._wires: list[IntxWire | None] = [None] * len(REGISTERS)

    def drive_gsi(self, gsi: int, level: bool) -> None:
        """Take the level of a GSI: hand it on, and drive the line that it is, if it is one."""
        self.set_gsi(gsi, level)
        link = gsi - self.first_gsi
        if 0 <= link < len(REGISTERS):
            self.drive_link(link, level)

    def drive_link(self, link: int, level: bool) -> None:
        """Drive PIRQA (0) to PIRQH (7), without the I/O APIC.

        Raises:
            DeviceError: no such line.
        """
        _check_link(link)
        with self._lock:
            self._levels[link] = bool(level)
            self._route(link)
        self._irqs.deliver()

    def irq_of(self, link: int) -> int | None:
        """Return the ISA IRQ that a line drives, `None` for none.

        Raises:
            DeviceError: no such line.
        """
        _check_link(link)
        value = self.config.get(REGISTERS[link], 1)
        return value if value in ALLOWED_IRQS else None  # with bit 7 set it is none of them

    def _route(self, link: int) -> None:
        """Let a line drive what its register says, and nothing else; the lock is held."""
        irq, wire = self.irq_of(link), self._wires[link]
        if wire is not None and wire.gsi != irq:
            self._irqs.note(wire, level=False)
            wire = None
        if wire is None and irq is not None:
            wire = IntxWire(self._irqs, irq)
        if wire is not None:
            self._irqs.note(wire, self._levels[link])
        self._wires[link] = wire

    def _route_all(self) -> None:
        with self._lock:
            for link in range(len(REGISTERS)):
                self._route(link)
        self._irqs.deliver()

    def on_config_write(self, offset: int, size: int, _value: int) -> None:
        """Look at the registers again after a write that reaches one."""
        if offset <= REGISTERS[-1] and offset + size > REGISTERS[0]:
            self._route_all()

    def on_reset(self, _kind: ResetKind) -> None:
        """Take all lines off their IRQs; their levels are not the router's."""
        self._route_all()

    def on_restore(self) -> None:
        """Route as the restored registers say."""
        self._route_all()


def _check_link(link: int) -> None:
    if not 0 <= link < len(REGISTERS):
        raise DeviceError(f"PirqRouter: no line {link!r}: there are PIRQA (0) to PIRQH (7)")
