# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The teaching device of QEMU, `edu`: an inverter, factorials, interrupts and DMA.

Theory of operation: the teaching device
----------------------------------------
The device computes and transfers at once, within the write that asks for it, and never is busy. An
owner who wants a busy device hands over `defer`: it gets what remains to be done as a callable, and
until it calls that the guest sees the computing bit or the start bit set. The device has no thread
and no clock of its own.

What is deferred may be done in any thread, while vCPUs access registers. So what it changes beside
the interrupt status lies in no register that guests write meanwhile, and the interrupt status
changes together with the level, under the device's lock.

Interrupts are MSI where the guest enabled it, else INTA. The pin is up as long as the interrupt
status is not zero; of messages there is one each time that an interrupt is raised.

Source: "EDU device" of QEMU's documentation ("System Emulation Guest Hardware Specifications"),
cited as "EDU device". It leaves open what `docs/devices/edu.md` lists.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Final

from vmmkit.pci.bars import MemBar
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg
from vmmkit.pci.state import State

__all__ = ["Edu"]

_BUFFER: Final = 0x4_0000
_BUFFER_SIZE: Final = 4096
_FACTORIAL_DONE: Final = 0x001
_DMA_DONE: Final = 0x100
_DMA_BITS: Final = 28
#: From here on the low 32 bits of a factorial are zero: it has 32 even factors or more.
_ZERO_FACTORIAL: Final = 34

Step = Callable[[], None]


def _at_once(step: Step) -> None:
    step()


class Edu(PciDevice):
    """QEMU's teaching device.

    Args:
        defer: called with each computation and transfer that the guest starts; calls it, then or
            later, from any thread. By default all is done at once.
        dma_mask: address bits that DMA has; 28 in the original.
        name: for maps, errors and traces.
    """

    vendor_id, device_id, revision, class_code = 0x1234, 0x11E8, 0x10, 0x00FF00
    subsystem_vendor_id, subsystem_id = 0x1AF4, 0x1100
    intx = "A"
    msi = Msi(maskable=False)

    regs = MemBar(0, 1 << 20)
    identification = Reg(0x00, "ro", reset=0x0100_00ED, widths={4}, doc="Major, minor, 00EDh.")
    liveness = Reg(0x04, widths={4}, doc="Reads as the inverse of what was written.")
    factorial = Reg(0x08, widths={4}, doc="The factorial of what was written, 32 bits of it.")
    status = Reg(0x20, "ro", widths={4})
    computing = status.field(0, doc="A factorial is being computed.")
    raise_after_factorial = status.field(7, "rw", doc="Raise interrupt 1 when it is done.")
    interrupt_status = Reg(0x24, "ro", widths={4}, doc="What raised interrupts.")
    interrupt_raise = Reg(0x60, "wo", widths={4}, doc="Bits to set in the interrupt status.")
    interrupt_acknowledge = Reg(0x64, "wo", widths={4}, doc="Bits to clear there.")
    dma_source = Reg(0x80, size=8, widths={4, 8}, doc="Address; the device's buffer is at 40000h.")
    dma_destination = Reg(0x88, size=8, widths={4, 8}, doc="Address, likewise.")
    dma_count = Reg(0x90, size=8, widths={4, 8}, doc="Bytes.")
    dma_command = Reg(0x98, size=8, widths={4, 8})
    start = dma_command.field(0, doc="Start; reads as one until the transfer is done.")
    to_ram = dma_command.field(1, doc="From the buffer to RAM, else from RAM to the buffer.")
    raise_after_dma = dma_command.field(2, doc="Raise interrupt 100h when it is done.")

    buffer = State(bytearray(_BUFFER_SIZE))
    is_computing = State(False)

    def __init__(
        self,
        *,
        defer: Callable[[Step], object] = _at_once,
        dma_mask: int = (1 << _DMA_BITS) - 1,
        name: str = "",
    ) -> None:
        """Make a device in the state after power-on."""
        super().__init__(name=name)
        self.defer = defer
        self.dma_mask = dma_mask

    @liveness.on_write
    def _invert(self, _old: int, new: int) -> None:
        self.liveness = ~new

    # -- factorials ------------------------------------------------------------------------------

    @status.on_read
    def _status(self) -> int:
        return self.status | self.is_computing

    @factorial.on_write
    def _begin_factorial(self, old: int, _new: int) -> None:
        if self.is_computing:
            self.factorial = old
            return
        self.is_computing = True
        self.defer(self._finish_factorial)

    def _finish_factorial(self) -> None:
        if not self.is_computing:
            return  # a reset came first
        self.factorial = factorial(min(self.factorial, _ZERO_FACTORIAL))
        self.is_computing = False
        if self.raise_after_factorial:
            self._interrupt(_FACTORIAL_DONE)

    # -- interrupts ------------------------------------------------------------------------------

    @interrupt_raise.on_write
    def _raise(self, _old: int, new: int) -> None:
        self._interrupt(new)

    def _interrupt(self, causes: int) -> None:
        irq = self.irq()
        with self.lock:
            self.interrupt_status |= causes
            if irq.level:
                irq.pulse()  # the pin is up already, but of messages each raise sends one
            else:
                irq.set_level(self.interrupt_status != 0)

    @interrupt_acknowledge.on_write
    def _acknowledge(self, _old: int, new: int) -> None:
        with self.lock:
            self.interrupt_status &= ~new
            self.irq().set_level(self.interrupt_status != 0)

    # -- DMA -------------------------------------------------------------------------------------

    @dma_source.on_write
    def _keep_source(self, old: int, _new: int) -> None:
        if self.start:
            self.dma_source = old

    @dma_destination.on_write
    def _keep_destination(self, old: int, _new: int) -> None:
        if self.start:
            self.dma_destination = old

    @dma_count.on_write
    def _keep_count(self, old: int, _new: int) -> None:
        if self.start:
            self.dma_count = old

    @dma_command.on_write
    def _begin_transfer(self, old: int, new: int) -> None:
        if old & 1:
            self.dma_command = old
        elif new & 1:
            self.defer(self._finish_transfer)

    def _finish_transfer(self) -> None:
        if not self.start:
            return  # a reset came first
        if self.to_ram:
            self._from_buffer(self.dma_source - _BUFFER, self.dma_destination, self.dma_count)
        else:
            self._to_buffer(self.dma_source, self.dma_destination - _BUFFER, self.dma_count)
        self.start = 0
        if self.raise_after_dma:
            self._interrupt(_DMA_DONE)

    def _from_buffer(self, at: int, address: int, count: int) -> None:
        if 0 <= at <= _BUFFER_SIZE - count:
            self.dma.write(address & self.dma_mask, bytes(self.buffer[at : at + count]))

    def _to_buffer(self, address: int, at: int, count: int) -> None:
        if 0 <= at <= _BUFFER_SIZE - count:
            self.buffer[at : at + count] = self.dma.read(address & self.dma_mask, count)

    def on_restore(self) -> None:
        """Begin again what was under way."""
        if self.is_computing:
            self.defer(self._finish_factorial)
        if self.start:
            self.defer(self._finish_transfer)
