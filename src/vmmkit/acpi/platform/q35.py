# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC with fixed ACPI hardware, whose addresses are by default those of QEMU's q35."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, Unpack

import attrs

from vmmkit.acpi.arguments import instance
from vmmkit.acpi.platform.assembly import Assembly, Options, Platform
from vmmkit.acpi.platform.context import Context, contributors
from vmmkit.acpi.platform.isa import LpcBridge, MotherboardPorts, Pic, Pit, Rtc, Speaker, Uart
from vmmkit.acpi.platform.pci_host import PciHost
from vmmkit.acpi.platform.power import Reset, claim_blocks, claim_register, pm_registers
from vmmkit.acpi.platform.timers import HpetTimer
from vmmkit.acpi.platform.values import (
    Ecam,
    Range,
    Route,
    SmiCommand,
    Windows,
    optional,
    windows_of,
)
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.fadt import Fadt, FadtFlags, RegisterBlocks
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.waet import Waet
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = [
    "Q35_ECAM",
    "Q35_ISA_DEVICES",
    "Q35_RESET",
    "Q35_SMI",
    "Q35_WINDOWS",
    "q35_like",
    "q35_routing",
]

Q35_ECAM: Final = Ecam(0xB000_0000)
Q35_WINDOWS: Final = Windows(
    io=((0x0000, 0x0CF8), (0x0D00, 0xF300)),
    mem=((0xC000_0000, 0x3EC0_0000), (32 << 30, 32 << 30)),
)
Q35_SMI: Final = SmiCommand()
Q35_RESET: Final = Reset(Gas.io(0xCF9), 0x0F)
Q35_ISA_DEVICES: Final[tuple[AcpiContributor, ...]] = (
    Pic(),
    Pit(),
    Rtc(),
    Speaker(),
    Uart(),
    MotherboardPorts(),
)

_LEGACY_END = 0xCF8  # ports of ISA devices are below
_GPE_METHODS = 0x100  # their names have two digits for the number
_GPES_PER_BYTE = 4  # of a block, half of whose bytes are status and half enable


@cache
def q35_routing() -> tuple[Route, ...]:
    """Return where the chip set wires the pins of the root bus after a reset.

    Devices 25 to 29 and 31, those of the chip set itself, have GSIs 16 to 19. The pins of the
    others are spread over 20 to 23.
    """
    on_board = {25, 26, 27, 28, 29, 31}
    first = {device: device % 4 for device in range(30)} | {30: 0}
    return tuple(
        (device, pin, 16 + pin if device in on_board else 20 + (first[device] + pin) % 4)
        for device in range(32)
        for pin in range(4)
    )


def q35_like(
    *,
    ecam: Ecam | None = Q35_ECAM,
    windows: Windows | Mapping[str, Iterable[Range]] = Q35_WINDOWS,
    routing: Iterable[Route] | None = None,
    express: bool = True,
    pic_routing: Iterable[Route] = (),
    pm_base: int = 0x600,
    power_registers: RegisterBlocks | None = None,
    sci: int = 9,
    smi: SmiCommand | None = Q35_SMI,
    reset: Reset | None = Q35_RESET,
    s5: int | None = 0,
    hpet: bool | HpetTimer = True,
    isa_devices: Iterable[AcpiContributor] = Q35_ISA_DEVICES,
    pci_devices: Iterable[AcpiContributor] = (),
    devices: Iterable[AcpiContributor] = (),
    event_selector: int | None = None,
    waet: bool = True,
    **options: Unpack[Options],
) -> Platform:
    r"""Describe a PC: PCI Express, an LPC bridge, fixed ACPI registers, the SCI.

    All that is said twice in the tables comes from one value here. With its defaults the result is
    what a guest on QEMU's q35 needs, after firmware that set the base of the power management
    registers to 600H.

    Args:
        ecam: window of PCI configuration space; `None`: there is none.
        windows: of the host bridge, `Windows` or `{"io": [(base, size)], "mem": [...]}`. Where
            there are ISA devices and no I/O window begins below CF8H, ports 0 to CF7H are added,
            because those devices are behind the same bridge.
        routing: `(device, pin, gsi)` of the root bus; `None`: `q35_routing()`. A link device can
            stand in place of a GSI; see `PciHost`.
        express: the root bus is PCI Express; see `PciHost`.
        pic_routing: `(device, pin, interrupt)` for systems that use the 8259s; see `PciHost`.
        pm_base: first port of the power management registers, a multiple of 80H.
        power_registers: where they are, if not as `pm_registers(pm_base)` says; a machine without
            general-purpose events says `pm_registers(pm_base, gpes=0)`.
        sci: the GSI of ACPI, level triggered.
        smi: how a system asks for ACPI mode; `None`: it is on from the start.
        reset: how a system restarts the machine; `None`: not by ACPI.
        s5: sleep type to turn the machine off; `None`: it cannot.
        hpet: whether there is an HPET at its usual address; or one elsewhere.
        isa_devices: contributors to the scope of the LPC bridge; empty: there is no such bridge.
        pci_devices: contributors to the scope of the host bridge.
        devices: contributors to `\_SB`.
        event_selector: see `EventDevice`.
        waet: say that one read of the PM timer is enough.
        options: `cpus`, `numa`, `spec` and others; see `Options`.

    Raises:
        PlatformError: values that contradict each other; the text names the parts.
        AcpiError: a value that its table or device cannot hold.
    """
    blocks = pm_registers(pm_base) if power_registers is None else power_registers
    selector = event_selector
    instance("power_registers", blocks, RegisterBlocks, PlatformError)
    optional("smi", smi, SmiCommand)
    optional("reset", reset, Reset)
    board = Assembly(reduced=False, gpes=_gpes(blocks), event_selector=selector, **options)
    _claim_fixed_hardware(board.context, blocks, sci, smi)
    isa = contributors(isa_devices)
    if reset is not None:
        claim_register(board.context, "the reset register", reset.register)
    host = PciHost(
        board.host_windows(_with_legacy_ports(windows) if isa else windows),
        q35_routing() if routing is None else routing,
        ecam,
        express=express,
        pic_routing=pic_routing,
        osc_control=board.osc_control,
        proximity_domain=board.host_bridge_domain,
        children=[*([LpcBridge(isa)] if isa else []), *contributors(pci_devices)],
    )
    timers = [HpetTimer()] if hpet is True else [hpet] if hpet else []
    dsdt = board.dsdt([host, *timers, *contributors(devices)], s5)
    facs = Facs(version=board.spec.value.facs_version)
    fields = board.fadt_fields(reset) | _smi_fields(smi)
    # With 8259s, SCI_INT is their interrupt, and an override says the GSI.
    sci_int = board.context.interrupts.source_of(sci)
    fadt = Fadt.full_hardware(dsdt, facs, blocks, sci_int=sci_int, **fields)
    return board.platform(fadt, dsdt, [Waet(**board.context.header)] if waet else [])


def _gpes(blocks: RegisterBlocks) -> frozenset[int]:
    """Return the numbers of the general-purpose events that the blocks have and methods can."""
    found: set[int] = set()
    for first, block in ((0, blocks.gpe0), (blocks.gpe1_base, blocks.gpe1)):
        if block is not None:
            found |= {*range(first, first + block.length * _GPES_PER_BYTE)}
    return frozenset(found & {*range(_GPE_METHODS)})


def _claim_fixed_hardware(
    context: Context, blocks: RegisterBlocks, sci: int, smi: SmiCommand | None
) -> None:
    claim_blocks(context, blocks)
    context.claim_interrupt("the SCI", sci, level=True)
    context.fadt(flags=FadtFlags.SLP_BUTTON)
    if smi is not None:
        context.claim_ports("the SMI command port", smi.port, 1)


def _smi_fields(smi: SmiCommand | None) -> dict[str, Any]:
    if smi is None:
        return {}
    return {
        "smi_cmd": smi.port,
        "acpi_enable": smi.acpi_enable,
        "acpi_disable": smi.acpi_disable,
    }


def _with_legacy_ports(windows: Windows | Mapping[str, Iterable[Range]]) -> Windows:
    """Add the ports of ISA devices, where no window has them."""
    windows = windows_of(windows)
    if any(base < _LEGACY_END for base, _size in windows.io):
        return windows
    return attrs.evolve(windows, io=((0, _LEGACY_END), *windows.io))
