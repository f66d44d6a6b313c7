# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A serial port on PCI: a 16550A behind eight I/O ports, with INTA.

The port is `vmmkit.devices.uart16550.Uart16550`; this module gives it a BAR, a pin and a lock. The
class code says "16550-compatible serial controller" (PCI Code and ID Assignment Specification,
"Simple Communication Controllers"), by which drivers find it whatever its IDs are. Those are of
QEMU's `pci-serial`.

Several vCPUs may reach the port at once, and characters arrive from yet another thread, so one
lock is held around all of them, and so while `transmit` and `ready` are called: they may call back
into the port, but not wait for another thread that does. The pin changes when the lock is free
again.
"""

from __future__ import annotations

from collections.abc import Callable

from vmmkit.devices.uart16550 import LineError, OutputLine, Uart16550, UartSnapshot
from vmmkit.pci.bars import IoBar
from vmmkit.pci.config import ResetKind
from vmmkit.pci.device import PciDevice
from vmmkit.pci.state import DeviceSnapshot, State

__all__ = ["PciUart"]


def _drop(_value: object, /) -> None:
    """Be a line that ends in the air."""


class PciUart(PciDevice):
    """One serial port.

    Args:
        transmit: called with each character (0-255) that the guest sends.
        drive_outputs: called with all `OutputLine`s when one changed.
        ready: called when there is more room for input than before, see `Uart16550`.
        name: for maps, errors and traces.

    Attributes:
        uart: the 16550A, for all that this class has no method for. Hold `lock` around its use.
        lock: the port's lock; it is re-entrant.
    """

    vendor_id, device_id, revision, class_code = 0x1B36, 0x0002, 0x01, 0x070002
    subsystem_vendor_id, subsystem_id = 0x1AF4, 0x1100
    intx = "A"
    ports = IoBar(0, 8)
    saved_uart = State(UartSnapshot(), doc="The port, as it was when a snapshot was taken last.")

    def __init__(
        self,
        transmit: Callable[[int], object] = _drop,
        drive_outputs: Callable[[OutputLine], object] = _drop,
        *,
        ready: Callable[[], object] | None = None,
        name: str = "",
    ) -> None:
        """Put a 16550A after a reset behind the BAR."""
        super().__init__(name=name)
        self.uart = Uart16550(
            transmit=transmit,
            interrupt=self.irq().set_level,
            drive_outputs=drive_outputs,
            ready=ready,
        )

    def read(self, vcpu: object, _bar: int, offset: int, size: int, /) -> int:
        """Read registers of the port, as a guest does."""
        with self.lock:
            return self.uart.read(vcpu, offset, size)

    def write(self, vcpu: object, _bar: int, offset: int, size: int, value: int, /) -> None:
        """Write registers of the port, as a guest does."""
        with self.lock:
            self.uart.write(vcpu, offset, size, value)

    def receive(
        self,
        data: bytes | bytearray | memoryview,
        *,
        errors: LineError | int = 0,
        force: bool = False,
    ) -> int:
        """Let characters arrive; see `Uart16550.receive`, whose arguments and result these are."""
        with self.lock:
            return self.uart.receive(data, errors=errors, force=force)

    def on_reset(self, _kind: ResetKind) -> None:
        """Pulse the port's MR pin."""
        with self.lock:
            self.uart.reset()

    def snapshot(self) -> DeviceSnapshot:
        """Return all state of function and port; neither runs meanwhile."""
        self.saved_uart = self.uart.snapshot()
        return super().snapshot()

    def on_restore(self) -> None:
        """Bring the port in step with a restored snapshot."""
        with self.lock:
            self.uart.restore(self.saved_uart)
