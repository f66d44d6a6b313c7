# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A hardware-reduced machine, whose addresses are by default those of QEMU's microvm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Unpack

from vmmkit.acpi.arguments import instance
from vmmkit.acpi.platform.assembly import Assembly, Options, Platform
from vmmkit.acpi.platform.context import Context, contributors
from vmmkit.acpi.platform.isa import Uart
from vmmkit.acpi.platform.pci_host import PciHost
from vmmkit.acpi.platform.power import (
    PowerButton,
    Reset,
    SleepRegisters,
    claim_blocks,
    claim_register,
)
from vmmkit.acpi.platform.values import (
    Ecam,
    Range,
    Route,
    Windows,
    optional,
    routes,
)
from vmmkit.acpi.tables.fadt import BootArchFlags, Fadt, RegisterBlocks
from vmmkit.acpi.tables.gas import Gas
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = [
    "REDUCED_DEVICES",
    "REDUCED_EVENT_SELECTOR",
    "REDUCED_POWER_BUTTON",
    "REDUCED_RESET",
    "REDUCED_SLEEP",
    "reduced",
]

REDUCED_DEVICES: Final[tuple[AcpiContributor, ...]] = (Uart(),)
REDUCED_EVENT_SELECTOR: Final = 0xFEA0_0000
REDUCED_POWER_BUTTON: Final = PowerButton(gsi=9, select=2)
REDUCED_SLEEP: Final = SleepRegisters(Gas.mem(0xFEA0_0200, 8), Gas.mem(0xFEA0_0201, 8))
REDUCED_RESET: Final = Reset(Gas.mem(0xFEA0_0202, 8), 0x42)

_NO_BLOCKS: Final = RegisterBlocks()
_FIRST_REDUCED: Final = 5  # revision of the FADT


def reduced(
    *,
    windows: Windows | Mapping[str, Iterable[Range]] | None = None,
    routing: Iterable[Route] = (),
    ecam: Ecam | None = None,
    config_ports: bool = False,
    pci_devices: Iterable[AcpiContributor] = (),
    devices: Iterable[AcpiContributor] = REDUCED_DEVICES,
    power_button: PowerButton | None = REDUCED_POWER_BUTTON,
    event_selector: int | None = REDUCED_EVENT_SELECTOR,
    sleep: SleepRegisters | None = REDUCED_SLEEP,
    s5: int | None = 5,
    reset: Reset | None = REDUCED_RESET,
    power_registers: RegisterBlocks = _NO_BLOCKS,
    **options: Unpack[Options],
) -> Platform:
    r"""Describe a machine without fixed ACPI registers.

    There is no SCI, no PM timer and no FACS; events come as interrupts of the generic event device,
    and sleep and reset are a register each. Linux is at home on it. Windows has no driver for the
    generic event device, so its power button does nothing there.

    Args:
        windows: of a PCI host bridge, `Windows` or `{"io": [(base, size)], "mem": [...]}`; `None`:
            there is no such bridge.
        routing: `(device, pin, gsi)` of the root bus.
        ecam: window of PCI configuration space.
        config_ports: the host bridge has the ports CF8H to CFFH.
        pci_devices: contributors to the scope of the host bridge.
        devices: contributors to `\_SB`.
        power_button: a device; `None`: there is none.
        event_selector: see `EventDevice`.
        sleep: registers to turn the machine off; `None`: it cannot.
        s5: sleep type to turn the machine off; `None`: it cannot.
        reset: how a system restarts the machine; `None`: not by ACPI.
        power_registers: fixed registers for systems that look at them all the same.
        options: `cpus`, `numa`, `spec` and others; see `Options`.

    Raises:
        PlatformError: values that contradict each other; the text names the parts.
        AcpiError: a value that its table or device cannot hold.
    """
    optional("sleep", sleep, SleepRegisters)
    optional("reset", reset, Reset)
    instance("power_registers", power_registers, RegisterBlocks, PlatformError)
    board = Assembly(reduced=True, event_selector=event_selector, **options)
    if board.spec.value.fadt_revision < _FIRST_REDUCED:
        raise PlatformError(f"hardware-reduced machines begin with ACPI 5.0, not {board.spec.name}")
    _claim_registers(board.context, sleep, reset, power_registers)
    parts = [*contributors(devices)]
    if windows is not None:
        host = PciHost(
            windows,
            routing,
            ecam,
            config_ports=config_ports,
            osc_control=board.osc_control,
            proximity_domain=board.host_bridge_domain,
            children=pci_devices,
        )
        parts.insert(0, host)
    elif ecam is not None or any(True for _ in (*routes(routing), *contributors(pci_devices))):
        raise PlatformError("ecam, routing or PCI devices are given, but no windows of a PCI host")
    if power_button is not None:
        parts.append(power_button)
    dsdt = board.dsdt(parts, s5)
    if "century" not in board.context.fadt_fields:  # which the clock sets
        board.context.fadt(iapc_boot_arch=BootArchFlags.CMOS_RTC_NOT_PRESENT)
    fields = board.fadt_fields(reset) | _sleep_fields(sleep)
    fadt = Fadt.hardware_reduced(dsdt, blocks=power_registers, **fields)
    return board.platform(fadt, dsdt)


def _claim_registers(
    context: Context, sleep: SleepRegisters | None, reset: Reset | None, blocks: RegisterBlocks
) -> None:
    if sleep is not None:
        claim_register(context, "the sleep control register", sleep.control)
        claim_register(context, "the sleep status register", sleep.status)
    if reset is not None:
        claim_register(context, "the reset register", reset.register)
    claim_blocks(context, blocks)


def _sleep_fields(sleep: SleepRegisters | None) -> dict[str, Any]:
    if sleep is None:
        return {}
    return {"sleep_control_reg": sleep.control, "sleep_status_reg": sleep.status}
