# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A device class as somebody writes it: read by the type checker, never run.

A line that must be refused carries the refusal's code; the checker fails on an ignore that
nothing needs, so what must not fit is checked as firmly as what must.
"""

from collections.abc import Callable
from typing import Any

from vmmkit.devices.edu import Edu
from vmmkit.pci.bars import Bar, IoBar, MemBar, Rom
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.config import ResetKind
from vmmkit.pci.describe import c_header, reference
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Field, Reg, RegArray, Row
from vmmkit.pci.state import State
from vmmkit.pci.trace import RegisterAccess


class Timer(PciDevice):
    """Everything that can be declared."""

    vendor_id, device_id, revision, class_code = 0x1234, 1, 2, 0x080300
    intx = "A"
    msi = Msi()
    msix = Msix(vectors=4)
    regs = MemBar(0, 4096, width=64)
    ports = IoBar(2, 16)
    rom = Rom(b"\x55\xaa")
    control = Reg(0x00)
    enable = control.field(0)
    rate = control.field((7, 4), "rw", reset=3)
    status = Reg(0x04, "w1c")
    count = RegArray(0x10, 4, "ro", size=8)
    armed = count.field(63)
    command = Reg(0x00, "wo", bar=ports, size=1, widths={1})
    log = State[list[int]]([])
    seed = State(1)

    @control.on_write
    def _control(self, old: int, new: int) -> None:
        self.status |= 1
        self.rate += new - old
        self.count[2] = ~new
        self.seed = self.status & self.rate
        self.log.append(self.count[1])
        self.irq(1).set_level(self.enable != 0)

    @status.on_read
    def _status(self) -> int:
        return self.seed

    @count.on_read
    def _count(self, index: int) -> int:
        return self.armed[index]

    @enable.on_write
    def _enable(self, old: int, new: int) -> None:
        self.dma.write(self.seed, bytes(4))

    @status.on_write  # type: ignore[type-var]
    def _without_old(self, new: int) -> None: ...

    def read(self, vcpu: Any, bar: int, offset: int, size: int) -> int:
        return (self.regs.address or 0) + self.rom.size

    def on_reset(self, kind: ResetKind) -> None:
        self.seed = "text"  # type: ignore[assignment]
        self.control = "text"  # type: ignore[assignment]


class FastTimer(Timer):
    """A subclass that hooks a register of its base."""

    @Timer.control.on_write
    def _fast(self, old: int, new: int) -> None:
        self.count = [1, 2, 3, 4]


def use(access: RegisterAccess) -> str:
    return ", ".join(access.registers)


timer = FastTimer(name="timer")
value: int = timer.control
row: Row = timer.count
seed: int = timer.seed
live: Bar = timer.regs
declared_bar: MemBar = Timer.regs
declared_register: Reg = Timer.control
declared_field: Field = Timer.enable
page: str = reference(Timer) + c_header(FastTimer)
timer.trace(use)
timer.trace(None)
steps: list[Callable[[], None]] = []
edu = Edu(defer=steps.append)
