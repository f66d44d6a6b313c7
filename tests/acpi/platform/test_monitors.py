# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Machines of other monitors, described with their own addresses: what the presets must allow."""

import uuid

import pytest

from acpi import acpica
from acpi.platform_view import View
from vmmkit.acpi.aml.resources import BusNumber, Interrupt, Memory32Fixed, Trigger
from vmmkit.acpi.platform.generation_id import GenerationId, generation_id_blob
from vmmkit.acpi.platform.isa import LpcBridge, Ps2Keyboard, Rtc, Uart
from vmmkit.acpi.platform.pci_host import PciHost
from vmmkit.acpi.platform.pirq_links import PirqLinks
from vmmkit.acpi.platform.power import PowerButton, Reset, SleepRegisters
from vmmkit.acpi.platform.q35 import Q35_ISA_DEVICES, q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.tpm import Tpm
from vmmkit.acpi.platform.values import Cpu, Ecam, MemoryRange, Numa, SmiCommand
from vmmkit.acpi.platform.virtio_mmio import VirtioMmio
from vmmkit.acpi.tables.fadt import BootArchFlags, FadtFlags, RegisterBlock, RegisterBlocks
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.madt import InterruptSourceOverride, LocalX2Apic
from vmmkit.acpi.tables.mcfg import McfgAllocation
from vmmkit.acpi.validate.validator import validate

TIB = 1 << 40
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def of_two_segments():
    """Reduced hardware, two PCI segments with a window each, x2APICs only, a TPM, two nodes."""
    second = PciHost(
        {"mem": [(0xE000_0000, 0x400_0000), (2 * TIB, TIB)]},
        [(device, 0, 20 + device % 4) for device in range(32)],
        Ecam(0xE810_0000, segment=1, last_bus=0),
        name="PCI1",
        config_ports=False,
        proximity_domain=1,
    )
    return reduced(
        cpus=[Cpu(0), Cpu(1, proximity_domain=1)],
        x2apic="always",
        numa=Numa([MemoryRange(0, 1 << 30), MemoryRange(1 << 32, 1 << 30, 1)]),
        windows={"io": [(0, 0xCF8), (0xD00, 0xF300)], "mem": [(0xC000_0000, 1 << 28), (TIB, TIB)]},
        routing=[(device, 0, 16 + device % 4) for device in range(32)],
        ecam=Ecam(0xE800_0000, last_bus=0),
        config_ports=True,
        devices=[second, Uart(), Rtc(), Tpm(0xFED4_0000)],
        power_button=PowerButton(gsi=5),
        event_selector=None,
        sleep=SleepRegisters(Gas.io(0x600), Gas.io(0x600 + 1)),
        reset=Reset(Gas.io(0x602), 1),
        power_registers=RegisterBlocks(pm_tmr=RegisterBlock.io(0x608, 4)),
    )


def of_micro_machines():
    """Reduced hardware without PCI: devices on MMIO with edges, a keyboard controller."""
    page = generation_id_blob(GUID)
    return reduced(
        cpus=4,
        devices=[
            GenerationId(page, gsi=6),
            Uart(),
            Ps2Keyboard(),
            *[VirtioMmio(0xC000_1000 + 0x1000 * n, 7 + n, 0x1000, level=False) for n in range(8)],
        ],
        power_button=None,
        event_selector=None,
        sleep=None,
        s5=None,
        reset=None,
    )


def of_a_pc_with_links():
    """Registers at 400H, two general-purpose bytes, commands A0H and A1H, links for the 8259s."""
    links = PirqLinks(interrupts=(3, 5, 6, 10, 11, 12, 15))
    isa = [device for device in Q35_ISA_DEVICES if not isinstance(device, Uart)]
    routing = [(device, pin, 16 + (device + pin) % 8) for device in range(32) for pin in range(4)]
    return q35_like(
        cpus=2,
        ecam=Ecam(0xE000_0000),
        windows={
            "io": [(0, 0xCF8), (0xD00, 0x1300), (0x2000, 0x80)],
            "mem": [(0xC000_0000, 1 << 29)],
        },
        routing=routing,
        pic_routing=links.routing(routing),
        power_registers=RegisterBlocks(
            RegisterBlock.io(0x400, 4),
            RegisterBlock.io(0x404, 2),
            pm_tmr=RegisterBlock.io(0x408, 4),
            gpe0=RegisterBlock.io(0x40C, 2),
        ),
        smi=SmiCommand(0xB2, 0xA0, 0xA1),
        reset=Reset(Gas.io(0xCF9), 6),
        s5=5,
        vga=False,
        isa_devices=[*isa, Uart(console=True), links],
        devices=[GenerationId(generation_id_blob(GUID), gpe=5)],
        fadt={"flags": FadtFlags.TMR_VAL_EXT | FadtFlags.HEADLESS},
    )


def of_a_conventional_pc():
    """No PCI Express: the bridge to ISA is device 1, four links carry the pins in both modes."""
    links = PirqLinks((0x60, 0x61, 0x62, 0x63))
    wires = [(device, pin, (device + pin + 3) % 4) for device in range(32) for pin in range(4)]
    return q35_like(
        ecam=None,
        express=False,
        windows={"io": [(0, 0xCF8), (0xD00, 0xF300)], "mem": [(0xE000_0000, 0x1EC0_0000)]},
        routing=links.routing(wires, first_gsi=0),
        isa_devices=(),
        pci_devices=[LpcBridge([*Q35_ISA_DEVICES, links], device=1)],
        power_registers=RegisterBlocks(
            RegisterBlock.io(0x600, 4),
            RegisterBlock.io(0x604, 2),
            pm_tmr=RegisterBlock.io(0x608, 4),
            gpe0=RegisterBlock.io(0xAFE0, 4),
        ),
        smi=SmiCommand(0xB2, 0xF1, 0xF0),
    )


# The micro machine ends when its keyboard controller is told to reset, which no table says.
ENDLESS = {"S5-MISSING", "FADT-NO-RESET", "FADT-NO-SLEEP-REGISTERS"}
MACHINES = [of_two_segments, of_micro_machines, of_a_pc_with_links, of_a_conventional_pc]


@pytest.mark.parametrize("make", MACHINES)
def test_interpreter_takes_it(make):
    platform = make()
    codes = {finding.code for finding in validate(platform)}
    assert codes <= (ENDLESS if make is of_micro_machines else set())
    placed = View(platform).bytes
    output = acpica.acpiexec(["namespace"], placed["DSDT"])
    assert "Error" not in output
    assert acpica.disassemble(placed["DSDT"]).resource_templates


def test_two_segments():
    view = View(of_two_segments())
    assert view.tables["MCFG"].allocations == (
        McfgAllocation(0xE800_0000, 0, 0, 0),
        McfgAllocation(0xE810_0000, 1, 0, 0),
    )
    assert [view.value(f"\\_SB.PCI{number}._PXM") for number in (0, 1)] == [0, 1]
    assert len(view.entries(LocalX2Apic)) == 2
    assert view.tables["FACP"].pm_tmr_blk == 0x608
    assert not view.tables["FACP"].iapc_boot_arch & BootArchFlags.CMOS_RTC_NOT_PRESENT
    assert view.resources("\\_SB.PCI1")[0] == BusNumber(0, 0)


def test_micro_machine():
    view = View(of_micro_machines())
    assert view.tables["FACP"].iapc_boot_arch & BootArchFlags.PC_8042
    assert view.resources("\\_SB.VR07") == [
        Memory32Fixed(0xC000_8000, 0x1000),
        Interrupt(14, Trigger.EDGE),
    ]
    assert "\\_S5" not in view.paths


def test_pc_with_links():
    view = View(of_a_pc_with_links())
    fadt = view.tables["FACP"]
    assert (fadt.pm1a_evt_blk, fadt.gpe0_blk, fadt.gpe0_blk_len) == (0x400, 0x40C, 2)
    wanted = FadtFlags.TMR_VAL_EXT | FadtFlags.RESET_REG_SUP
    assert fadt.flags & wanted == wanted
    assert len(view.devices("PNP0C0F")) == 8
    assert view.value("\\_SB.PCI0.PRTP")[4][2] == "\\_SB.PCI0.ISA.LNKB"


def test_conventional_pc():
    view = View(of_a_conventional_pc())
    assert view.devices("PNP0A03") == ["\\_SB.PCI0"]
    assert {"\\_SB.PCI0._CID", "\\_SB.PCI0._OSC", "\\_PIC"}.isdisjoint(view.paths)
    rows = view.value("\\_SB.PCI0._PRT")
    assert rows[4 * 3] == [0x3_FFFF, 0, "\\_SB.PCI0.ISA.LNKC", 0]
    assert view.value("\\_SB.PCI0.ISA._ADR") == 0x1_0000
    overrides = [one.source for one in view.entries(InterruptSourceOverride)]
    assert overrides == [0, 5, 9, 10, 11]
