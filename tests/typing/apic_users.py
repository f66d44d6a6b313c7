# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The APICs against the interfaces they are plugged into: read by the type checker, never run."""

from vmmkit.devices import ApicBus, ApicFault, ApicMessage, IoApic, Lapic, Uart16550
from vmmkit.devices.apic_bus import MessageReceiver, MessageSource
from vmmkit.protocols import InterruptLine, MmioDevice

bus = ApicBus()
lapic = Lapic(
    0,
    lambda: 0,
    send=bus.deliver,
    broadcast_eoi=bus.broadcast_eoi,
    reconfigured=bus.retry,
    interrupt=lambda level: None,
    sipi=lambda vector: vector << 12,
)
ioapic = IoApic(bus.deliver)

receiver: MessageReceiver = lapic
source: MessageSource = ioapic
windows: list[MmioDevice] = [lapic, ioapic]
lines: list[InterruptLine] = [lapic.lint0, lapic.lint1, ioapic.line(0), bus.line(0)]

bus.attach(lapic)
bus.attach_ioapic(ioapic)
bus.attach(ioapic)  # type: ignore[arg-type]
Uart16550(print, bus.line(4))

answer: int | ApicFault = lapic.read_msr(0x1B)
number: int = lapic.read_msr(0x1B)  # type: ignore[assignment]
fault: ApicFault | None = lapic.write_msr(0x1B, 0)
page: int | None = lapic.page
accepted: bool = lapic.accept(ApicMessage(0x41))
