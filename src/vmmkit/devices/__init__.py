# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Device models, written against the library's public interfaces only.

A device gets `(vcpu, offset, size)` from a region map's port, answers with an integer, and drives
its pins through callables; it knows neither its address nor the processor.

PCI devices are in modules of their own, which are not loaded with this one, so that who needs a
serial port gets no PCI: `hostbridge`, `pirq_router`, `edu`, `pci_uart` and the package `virtio`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.devices.acpi_pm import PM_TIMER_HZ, AcpiPm, AcpiPmSnapshot, Pm1Event
    from vmmkit.devices.apic_bus import ApicBus
    from vmmkit.devices.ioapic import IoApic, IoApicSnapshot
    from vmmkit.devices.lapic import (
        EXTINT,
        ApicFault,
        ApicMessage,
        DeliveryMode,
        Lapic,
        LapicSnapshot,
        LocalInterrupt,
        Shorthand,
    )
    from vmmkit.devices.pic8259 import (
        Elcr,
        Pic8259,
        PicLine,
        PicPair,
        PicPairSnapshot,
        PicSnapshot,
    )
    from vmmkit.devices.pit8254 import (
        CounterSnapshot,
        Pit8254,
        PitSnapshot,
        Port61,
        Port61Snapshot,
    )
    from vmmkit.devices.reset_control import ResetControl, ResetRequest
    from vmmkit.devices.rtc_mc146818 import Mc146818, RtcSnapshot
    from vmmkit.devices.uart16550 import (
        CharacterTimeout,
        LineError,
        LineFormat,
        ModemInput,
        OutputLine,
        Uart16550,
        UartSnapshot,
    )
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "acpi_pm": "AcpiPm AcpiPmSnapshot PM_TIMER_HZ Pm1Event",
            "apic_bus": "ApicBus",
            "ioapic": "IoApic IoApicSnapshot",
            "lapic": (
                "ApicFault ApicMessage DeliveryMode EXTINT Lapic LapicSnapshot LocalInterrupt "
                "Shorthand"
            ),
            "pic8259": "Elcr Pic8259 PicLine PicPair PicPairSnapshot PicSnapshot",
            "pit8254": "CounterSnapshot Pit8254 PitSnapshot Port61 Port61Snapshot",
            "reset_control": "ResetControl ResetRequest",
            "rtc_mc146818": "Mc146818 RtcSnapshot",
            "uart16550": (
                "CharacterTimeout LineError LineFormat ModemInput OutputLine Uart16550 UartSnapshot"
            ),
        },
    )

__all__ = [
    "PM_TIMER_HZ",
    "AcpiPm",
    "AcpiPmSnapshot",
    "Pm1Event",
    "EXTINT",
    "ApicBus",
    "ApicFault",
    "ApicMessage",
    "DeliveryMode",
    "IoApic",
    "IoApicSnapshot",
    "Lapic",
    "LapicSnapshot",
    "LocalInterrupt",
    "Shorthand",
    "CharacterTimeout",
    "LineError",
    "LineFormat",
    "ModemInput",
    "OutputLine",
    "Uart16550",
    "UartSnapshot",
    "Elcr",
    "Pic8259",
    "PicLine",
    "PicPair",
    "PicPairSnapshot",
    "PicSnapshot",
    "CounterSnapshot",
    "Pit8254",
    "PitSnapshot",
    "Port61",
    "Port61Snapshot",
    "ResetControl",
    "ResetRequest",
    "Mc146818",
    "RtcSnapshot",
]
