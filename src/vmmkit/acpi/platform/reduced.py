# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A hardware-reduced machine, whose addresses are by default those of QEMU's microvm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from vmmkit.acpi.platform.assembly import LOCAL_APIC, Assembly, Platform, header_of
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.events import EventDevice
from vmmkit.acpi.platform.isa import Uart
from vmmkit.acpi.platform.pci_host import OSC_CONTROL, PciHost
from vmmkit.acpi.platform.power import (
    PowerButton,
    Reset,
    SleepRegisters,
    claim_blocks,
    claim_register,
)
from vmmkit.acpi.platform.processors import Processors, X2ApicPolicy
from vmmkit.acpi.platform.values import (
    Cpu,
    Ecam,
    IoApicRange,
    Numa,
    Range,
    Route,
    Windows,
)
from vmmkit.acpi.relocation import Addressable
from vmmkit.acpi.tables.fadt import BootArchFlags, Fadt, FadtFlags, RegisterBlocks
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.madt import MadtFlags
from vmmkit.acpi.tables.spec import Spec
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = [
    "REDUCED_EVENT_SELECTOR",
    "REDUCED_POWER_BUTTON",
    "REDUCED_RESET",
    "REDUCED_SLEEP",
    "reduced",
]

REDUCED_EVENT_SELECTOR: Final = 0xFEA0_0000
REDUCED_POWER_BUTTON: Final = PowerButton(9, select=2)
REDUCED_SLEEP: Final = SleepRegisters(Gas.mem(0xFEA0_0200, 8), Gas.mem(0xFEA0_0201, 8))
REDUCED_RESET: Final = Reset(Gas.mem(0xFEA0_0202, 8), 0x42)

_NO_BLOCKS: Final = RegisterBlocks()


def reduced(
    *,
    cpus: int | Iterable[Cpu] = 1,
    windows: Windows | Mapping[str, Iterable[Range]] | None = None,
    routing: Iterable[Route] = (),
    ecam: Ecam | None = None,
    config_ports: bool = False,
    sleep: SleepRegisters | None = REDUCED_SLEEP,
    s5: int | None = 5,
    reset: Reset | None = REDUCED_RESET,
    power_button: PowerButton | None = REDUCED_POWER_BUTTON,
    event_selector: int | None = REDUCED_EVENT_SELECTOR,
    devices: Iterable[AcpiContributor] = (Uart(),),
    pci_devices: Iterable[AcpiContributor] = (),
    io_apics: Iterable[IoApicRange] = (IoApicRange(),),
    redirected: Mapping[int, int] | None = None,
    local_apic: int = LOCAL_APIC,
    x2apic: X2ApicPolicy = "auto",
    numa: Numa | None = None,
    osc_control: int | None = OSC_CONTROL,
    power_registers: RegisterBlocks = _NO_BLOCKS,
    vga: bool = False,
    smbios: bool = False,
    spec: Spec = Spec.V6_5,
    fadt: Mapping[str, Any] | None = None,
    tables: Iterable[Addressable] = (),
    oem_id: str = "VMMKIT",
    oem_table_id: str = "VMMKIT",
    oem_revision: int = 1,
) -> Platform:
    r"""Describe a machine without fixed ACPI registers.

    There is no SCI, no PM timer and no FACS; events come as interrupts of the generic event device,
    and sleep and reset are a register each. Linux is at home on it. Windows has no driver for the
    generic event device, so its power button does nothing there.

    Args:
        cpus: how many processors, with ids from 0 on; or a `Cpu` each.
        windows: of a PCI host bridge, `Windows` or `{"io": [(base, size)], "mem": [...]}`; `None`:
            there is no such bridge.
        routing: `(device, pin, gsi)` of the root bus.
        ecam: window of PCI configuration space.
        config_ports: the host bridge has the ports CF8H to CFFH.
        sleep: registers to turn the machine off; `None`: it cannot.
        s5: sleep type to turn the machine off; `None`: it cannot.
        reset: how a system restarts the machine; `None`: not by ACPI.
        power_button: a device; `None`: there is none.
        event_selector: see `EventDevice`.
        devices: contributors to `\_SB`.
        pci_devices: contributors to the scope of the host bridge.
        io_apics: with their GSIs.
        redirected: GSI by ISA interrupt, for those that are not the same number.
        local_apic: address of every processor's local APIC.
        x2apic: which MADT entries processors get; see `X2ApicPolicy`.
        numa: proximity domains of memory, for SRAT and SLIT.
        osc_control: what a system may control of PCI Express; see `PciHost`.
        power_registers: fixed registers for systems that look at them all the same.
        vga: there may be a VGA adapter.
        smbios: the guest has SMBIOS with a BIOS date from 2010 on, which Linux wants to see before
            it takes an ECAM window above 4 GiB.
        spec: version of the ACPI Specification that the tables follow, 5.0 or later.
        fadt: further fields of the FADT, by name; bits of flags are added to the others.
        tables: further tables.
        oem_id: of all tables, up to 6 characters.
        oem_table_id: of all tables, up to 8 characters.
        oem_revision: of all tables, 32 bits.

    Raises:
        PlatformError: values that contradict each other; the text names the parts.
        AcpiError: a value that its table or device cannot hold.
    """
    if spec.value.fadt_revision < _FIRST_REDUCED:
        raise PlatformError(f"ACPI {spec.name} has no hardware-reduced machines; 5.0 is the first")
    io_apics = tuple(io_apics)
    context = Context(
        spec=spec,
        reduced=True,
        header=header_of(oem_id, oem_table_id, oem_revision),
        io_apics=io_apics,
        redirected=redirected or {},
        event_selector=event_selector is not None,
    )
    processors = Processors(cpus, x2apic, numa)
    board = Assembly(context, processors, io_apics, local_apic, MadtFlags(0))
    _claim_registers(context, sleep, reset, power_registers)
    contributors: list[AcpiContributor] = [*devices]
    if windows is not None:
        host = PciHost(
            windows,
            routing,
            ecam,
            config_ports=config_ports,
            osc_control=osc_control,
            children=pci_devices,
        )
        contributors.insert(0, host)
    elif ecam is not None or tuple(routing) or tuple(pci_devices):
        raise PlatformError("ecam, routing or PCI devices are given, but no windows of a PCI host")
    if power_button is not None:
        contributors.append(power_button)
    dsdt = board.dsdt(contributors, events=EventDevice(event_selector), s5=s5)
    board.check_ecams(smbios=smbios)
    fields = _fadt_fields(board, vga, reset, fadt or {})
    registers = _sleep_fields(sleep)
    table = Fadt.hardware_reduced(dsdt, blocks=power_registers, **registers, **fields)
    return board.platform(table, dsdt, tables)


_FIRST_REDUCED: Final = 5  # revision of the FADT


def _claim_registers(
    context: Context, sleep: SleepRegisters | None, reset: Reset | None, blocks: RegisterBlocks
) -> None:
    if sleep is not None:
        claim_register(context, "the sleep control register", sleep.control)
        claim_register(context, "the sleep status register", sleep.status)
    if reset is not None:
        claim_register(context, "the reset register", reset.register)
    claim_blocks(context, blocks)


def _sleep_fields(sleep: SleepRegisters | None) -> dict[str, Gas]:
    if sleep is None:
        return {}
    return {"sleep_control_reg": sleep.control, "sleep_status_reg": sleep.status}


def _fadt_fields(
    board: Assembly, vga: bool, reset: Reset | None, more: Mapping[str, Any]
) -> dict[str, Any]:
    flags = FadtFlags.WBINVD | FadtFlags.PROC_C1
    if board.needs_physical_destinations:
        flags |= FadtFlags.FORCE_APIC_PHYSICAL_DESTINATION_MODE
    boot = BootArchFlags(0) if vga else BootArchFlags.VGA_NOT_PRESENT
    if "century" not in board.context.fadt_fields:  # which the clock sets
        boot |= BootArchFlags.CMOS_RTC_NOT_PRESENT
    board.context.fadt(flags=flags, iapc_boot_arch=boot)
    return board.fadt_fields(reset, more)
