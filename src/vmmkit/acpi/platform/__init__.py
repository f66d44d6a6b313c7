# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whole platforms: `q35_like` with fixed ACPI hardware, `reduced` without, and their parts.

A preset makes all tables of a machine from plain values, so that they agree with each other. Its
parts, and the devices of others, contribute through `vmmkit.protocols.AcpiContributor`.
"""

from vmmkit.acpi.platform.assembly import (
    Options,
    Platform,
)
from vmmkit.acpi.platform.context import (
    Context,
)
from vmmkit.acpi.platform.events import (
    EventDevice,
    EventSource,
)
from vmmkit.acpi.platform.generation_id import (
    GENERATION_ID_OFFSET,
    GenerationId,
    generation_id_blob,
)
from vmmkit.acpi.platform.isa import (
    LpcBridge,
    MotherboardPorts,
    Pic,
    Pit,
    Ps2Keyboard,
    Ps2Mouse,
    Rtc,
    Speaker,
    Uart,
)
from vmmkit.acpi.platform.pci_host import (
    OSC_CONTROL,
    PciHost,
    Reservations,
)
from vmmkit.acpi.platform.pirq_links import (
    PirqLinks,
)
from vmmkit.acpi.platform.power import (
    PowerButton,
    Reset,
    SleepRegisters,
    pm_registers,
)
from vmmkit.acpi.platform.processors import (
    Processors,
    X2ApicPolicy,
)
from vmmkit.acpi.platform.q35 import (
    Q35_ECAM,
    Q35_ISA_DEVICES,
    Q35_RESET,
    Q35_SMI,
    Q35_WINDOWS,
    q35_like,
    q35_routing,
)
from vmmkit.acpi.platform.qemu import (
    FwCfg,
    Pvpanic,
)
from vmmkit.acpi.platform.reduced import (
    REDUCED_DEVICES,
    REDUCED_EVENT_SELECTOR,
    REDUCED_POWER_BUTTON,
    REDUCED_RESET,
    REDUCED_SLEEP,
    reduced,
)
from vmmkit.acpi.platform.timers import (
    HpetTimer,
)
from vmmkit.acpi.platform.tpm import (
    Tpm,
)
from vmmkit.acpi.platform.values import (
    Cpu,
    Ecam,
    IoApicRange,
    MemoryRange,
    Numa,
    Range,
    Route,
    SmiCommand,
    Windows,
)
from vmmkit.acpi.platform.virtio_mmio import (
    VirtioMmio,
)

__all__ = [
    "Q35_ECAM",
    "Q35_ISA_DEVICES",
    "Q35_RESET",
    "Q35_SMI",
    "Q35_WINDOWS",
    "q35_like",
    "q35_routing",
    "REDUCED_DEVICES",
    "REDUCED_EVENT_SELECTOR",
    "REDUCED_POWER_BUTTON",
    "REDUCED_RESET",
    "REDUCED_SLEEP",
    "reduced",
    "Options",
    "Platform",
    "Cpu",
    "Ecam",
    "IoApicRange",
    "MemoryRange",
    "Numa",
    "Range",
    "Route",
    "SmiCommand",
    "Windows",
    "Context",
    "Processors",
    "X2ApicPolicy",
    "OSC_CONTROL",
    "PciHost",
    "Reservations",
    "PowerButton",
    "Reset",
    "SleepRegisters",
    "pm_registers",
    "HpetTimer",
    "EventDevice",
    "EventSource",
    "LpcBridge",
    "MotherboardPorts",
    "Pic",
    "Pit",
    "Ps2Keyboard",
    "Ps2Mouse",
    "Rtc",
    "Speaker",
    "Uart",
    "PirqLinks",
    "VirtioMmio",
    "FwCfg",
    "Pvpanic",
    "GENERATION_ID_OFFSET",
    "GenerationId",
    "generation_id_blob",
    "Tpm",
]
