# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A hardware-reduced machine: what its tables and its namespace say, value by value."""

import pytest

from acpi.platform_view import View
from vmmkit.acpi.aml.resources import (
    BusNumber,
    DWordIo,
    DWordMemory,
    Interrupt,
    Io,
    IrqNoFlags,
    Memory32Fixed,
    Sharing,
    Trigger,
)
from vmmkit.acpi.platform.isa import Rtc, Uart
from vmmkit.acpi.platform.power import PowerButton, Reset, SleepRegisters
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Ecam, IoApicRange
from vmmkit.acpi.platform.virtio_mmio import VirtioMmio
from vmmkit.acpi.tables.fadt import BootArchFlags, FadtFlags, RegisterBlock, RegisterBlocks
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.madt import (
    InterruptSourceOverride,
    IoApic,
    LocalApic,
    LocalApicNmi,
    MadtFlags,
)
from vmmkit.acpi.tables.spec import Spec
from vmmkit.errors import PlatformError


def test_default():
    view = View(reduced())
    assert list(view.bytes) == ["RSDP", "XSDT", "RSDT", "FACP", "DSDT", "APIC"]
    madt, fadt = view.tables["APIC"], view.tables["FACP"]
    assert madt.flags == MadtFlags(0)
    assert madt.entries == (LocalApic(0, 0), LocalApicNmi(), IoApic(0, 0xFEC0_0000, 0))
    assert fadt.flags == (
        FadtFlags.HW_REDUCED_ACPI
        | FadtFlags.PWR_BUTTON
        | FadtFlags.SLP_BUTTON
        | FadtFlags.RESET_REG_SUP
        | FadtFlags.WBINVD
        | FadtFlags.PROC_C1
    )
    assert fadt.iapc_boot_arch == (
        BootArchFlags.VGA_NOT_PRESENT | BootArchFlags.CMOS_RTC_NOT_PRESENT
    )
    assert fadt.sleep_control_reg == Gas.mem(0xFEA0_0200, 8)
    assert fadt.sleep_status_reg == Gas.mem(0xFEA0_0201, 8)
    assert (fadt.reset_reg, fadt.reset_value) == (Gas.mem(0xFEA0_0202, 8), 0x42)
    assert (fadt.sci_int, fadt.pm1a_evt_blk, fadt.x_firmware_ctrl) == (0, 0, 0)
    assert view.value("\\_S5") == [5, 0, 0, 0]
    assert view.resources("\\_SB.COM1") == [Io(0x3F8, 8), IrqNoFlags(4)]
    assert view.resources("\\_SB.GED") == [Interrupt(9, Trigger.EDGE)]
    assert view.devices("PNP0C0C") == ["\\_SB.PWRB"]
    assert not any("PCI0" in path for path in view.paths)


def test_pci_host():
    platform = reduced(
        windows={"io": [(0, 0x1_0000)], "mem": [(0xC000_0000, 0x2000_0000)]},
        routing=[(1, 0, 16), (1, 1, 17)],
        ecam=Ecam(0xE000_0000),
    )
    view = View(platform)
    # The length of all ports does not fit into the words of a WordIO.
    assert view.resources("\\_SB.PCI0") == [
        BusNumber(0, 255),
        DWordIo(0, 0xFFFF),
        DWordMemory(0xC000_0000, 0xDFFF_FFFF),
    ]
    assert view.value("\\_SB.PCI0._PRT") == [[0x1_FFFF, 0, 0, 16], [0x1_FFFF, 1, 0, 17]]
    assert view.resources("\\_SB.MRES") == [Memory32Fixed(0xE000_0000, 0x1000_0000)]
    assert "MCFG" in view.bytes


def test_virtio_without_a_bus():
    devices = [VirtioMmio(0xFEB0_0000 + 0x200 * unit, 24 + unit) for unit in range(3)]
    io_apics = [IoApicRange(), IoApicRange(0xFEC1_0000, 24, io_apic_id=1)]
    view = View(reduced(devices=devices, io_apics=io_apics))
    assert view.devices("LNRO0005") == ["\\_SB.VR00", "\\_SB.VR01", "\\_SB.VR02"]
    assert [view.value(f"\\_SB.VR0{unit}._UID") for unit in range(3)] == [0, 1, 2]
    assert view.resources("\\_SB.VR02") == [
        Memory32Fixed(0xFEB0_0400, 0x200),
        Interrupt(26, sharing=Sharing.SHARED),
    ]
    assert view.entries(IoApic) == [IoApic(0, 0xFEC0_0000, 0), IoApic(1, 0xFEC1_0000, 24)]


def test_own_sleep_reset_and_button():
    view = View(
        reduced(
            sleep=SleepRegisters(Gas.io(0x600), Gas.io(0x601)),
            reset=Reset(Gas.io(0x602), 1),
            power_button=PowerButton(gsi=5, level=True),
            event_selector=None,
            devices=[Uart(0x2F8, 20), Rtc()],
            s5=None,
        )
    )
    fadt = view.tables["FACP"]
    assert (fadt.sleep_control_reg, fadt.sleep_status_reg) == (Gas.io(0x600), Gas.io(0x601))
    assert (fadt.reset_reg, fadt.reset_value) == (Gas.io(0x602), 1)
    assert view.resources("\\_SB.GED") == [Interrupt(5, sharing=Sharing.SHARED)]
    assert view.resources("\\_SB.COM1") == [Io(0x2F8, 8), Interrupt(20, Trigger.EDGE)]
    assert fadt.iapc_boot_arch == BootArchFlags.VGA_NOT_PRESENT
    assert fadt.century == 0x32
    assert "\\_S5" not in view.paths
    overrides = view.entries(InterruptSourceOverride)
    assert [(one.source, one.flags.trigger_mode) for one in overrides] == [(5, 3)]


def test_nothing_but_processors():
    view = View(reduced(devices=(), power_button=None, sleep=None, reset=None, s5=None))
    assert view.paths == ["\\_SB.C000", "\\_SB.C000._HID", "\\_SB.C000._UID"]
    assert not view.tables["FACP"].flags & FadtFlags.RESET_REG_SUP


def test_fixed_registers_for_systems_that_look_at_them():
    blocks = RegisterBlocks(RegisterBlock.io(0x600, 4), RegisterBlock.io(0x604, 2))
    fadt = View(reduced(power_registers=blocks)).tables["FACP"]
    assert fadt.flags & FadtFlags.HW_REDUCED_ACPI
    assert fadt.x_pm1a_evt_blk.address == 0x600


@pytest.mark.parametrize(
    "more",
    [
        {"ecam": Ecam(0xE000_0000)},
        {"routing": [(0, 0, 16)]},
        {"pci_devices": [Rtc()]},
    ],
)
def test_pci_needs_windows(more):
    with pytest.raises(PlatformError, match="no windows of a PCI host"):
        reduced(**more)


def test_needs_a_specification_that_has_it():
    with pytest.raises(PlatformError, match=r"begin with ACPI 5\.0, not V4_0"):
        reduced(spec=Spec.V4_0)
    assert View(reduced(spec=Spec.V5_0)).tables["FACP"].revision == 5
