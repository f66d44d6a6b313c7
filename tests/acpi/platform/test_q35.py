# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC with fixed ACPI hardware: what its tables and its namespace say, value by value."""

import pytest

from acpi.platform_view import View
from vmmkit.acpi.aml.resources import (
    BusNumber,
    DWordMemory,
    Io,
    IrqNoFlags,
    Memory32Fixed,
    QWordMemory,
    WordIo,
)
from vmmkit.acpi.layout import E820Type
from vmmkit.acpi.platform.power import Reset
from vmmkit.acpi.platform.q35 import q35_like, q35_routing
from vmmkit.acpi.platform.timers import HpetTimer
from vmmkit.acpi.platform.values import Ecam, SmiCommand, Windows
from vmmkit.acpi.tables.fadt import BootArchFlags, FadtFlags, RegisterBlock, RegisterBlocks
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.madt import (
    InterruptSourceOverride,
    IoApic,
    LocalApic,
    LocalApicNmi,
    MadtFlags,
    MpsIntiFlags,
    Polarity,
    TriggerMode,
)
from vmmkit.acpi.tables.mcfg import McfgAllocation
from vmmkit.acpi.tables.spec import Spec
from vmmkit.acpi.tables.table import Raw

HIGH_LEVEL = MpsIntiFlags.of(Polarity.ACTIVE_HIGH, TriggerMode.LEVEL)
LOW_LEVEL = MpsIntiFlags.of(Polarity.ACTIVE_LOW, TriggerMode.LEVEL)


@pytest.fixture(scope="module")
def view():
    return View(q35_like(cpus=2))


def test_tables(view):
    assert list(view.bytes) == [
        *("RSDP", "XSDT", "RSDT", "FACP", "DSDT", "APIC", "MCFG", "HPET", "WAET", "FACS")
    ]


def test_madt(view):
    madt = view.tables["APIC"]
    assert madt.local_apic_address == 0xFEE0_0000
    assert madt.flags == MadtFlags.PCAT_COMPAT
    assert madt.entries == (
        LocalApic(0, 0),
        LocalApic(1, 1),
        LocalApicNmi(0xFF, 1),
        IoApic(0, 0xFEC0_0000, 0),
        InterruptSourceOverride(0, 2, MpsIntiFlags.of()),
        InterruptSourceOverride(9, 9, HIGH_LEVEL),
    )


def test_fadt(view):
    fadt = view.tables["FACP"]
    assert (fadt.revision, fadt.minor_version, view.tables["APIC"].revision) == (6, 5, 6)
    assert fadt.sci_int == 9
    assert (fadt.smi_cmd, fadt.acpi_enable, fadt.acpi_disable) == (0xB2, 2, 3)
    blocks = (fadt.pm1a_evt_blk, fadt.pm1a_cnt_blk, fadt.pm_tmr_blk, fadt.gpe0_blk)
    assert blocks == (0x600, 0x604, 0x608, 0x620)
    assert (fadt.pm1_evt_len, fadt.pm1_cnt_len, fadt.pm_tmr_len, fadt.gpe0_blk_len) == (4, 2, 4, 16)
    assert (fadt.reset_reg, fadt.reset_value) == (Gas.io(0xCF9), 0x0F)
    assert fadt.flags == (
        FadtFlags.WBINVD | FadtFlags.PROC_C1 | FadtFlags.SLP_BUTTON | FadtFlags.RESET_REG_SUP
    )
    assert fadt.iapc_boot_arch == BootArchFlags.LEGACY_DEVICES
    assert fadt.century == 0x32


def test_mcfg_its_reservations_and_the_memory_map_are_one_range(view):
    assert view.tables["MCFG"].allocations == (McfgAllocation(0xB000_0000, 0, 0, 255),)
    assert view.resources("\\_SB.MRES") == [Memory32Fixed(0xB000_0000, 0x1000_0000)]
    entries = q35_like().e820()
    assert entries == ((0xB000_0000, 0x1000_0000, E820Type.RESERVED),)


def test_hpet(view):
    assert view.tables["HPET"].base_address.address == 0xFED0_0000
    assert view.resources("\\_SB.HPET") == [Memory32Fixed(0xFED0_0000, 0x400, writeable=False)]


def test_host_bridge(view):
    assert view.devices("PNP0A08") == ["\\_SB.PCI0"]
    for name, value in (("_SEG", 0), ("_BBN", 0), ("_UID", 0), ("_CID", 0x030A_D041)):
        assert view.value(f"\\_SB.PCI0.{name}") == value
    assert view.resources("\\_SB.PCI0") == [
        BusNumber(0, 255),
        Io(0xCF8, 8),
        WordIo(0, 0xCF7),
        WordIo(0xD00, 0xFFFF),
        DWordMemory(0xA_0000, 0xB_FFFF),
        DWordMemory(0xC000_0000, 0xFEBF_FFFF),
        QWordMemory(0x8_0000_0000, 0xF_FFFF_FFFF),
    ]


def test_routing_of_the_chip_set(view):
    rows = view.value("\\_SB.PCI0._PRT")
    assert len(rows) == 128
    assert rows[:5] == [
        [0xFFFF, 0, 0, 20],
        [0xFFFF, 1, 0, 21],
        [0xFFFF, 2, 0, 22],
        [0xFFFF, 3, 0, 23],
        [0x1_FFFF, 0, 0, 21],
    ]
    by_pin = {(address >> 16, pin): gsi for address, pin, _source, gsi in rows}
    assert [by_pin[31, pin] for pin in range(4)] == [16, 17, 18, 19]
    assert [by_pin[30, pin] for pin in range(4)] == [20, 21, 22, 23]
    assert [by_pin[24, pin] for pin in range(4)] == [20, 21, 22, 23]


def test_isa_devices(view):
    assert view.value("\\_SB.PCI0.ISA._ADR") == 0x1F_0000
    assert view.resources("\\_SB.PCI0.ISA.COM1") == [Io(0x3F8, 8), IrqNoFlags(4)]
    assert view.resources("\\_SB.PCI0.ISA.RTC") == [Io(0x70, 2), IrqNoFlags(8)]
    assert view.resources("\\_SB.PCI0.ISA.TIMR") == [Io(0x40, 4), IrqNoFlags(0)]
    assert view.resources("\\_SB.PCI0.ISA.PIC") == [Io(0x20, 2), Io(0xA0, 2), IrqNoFlags(2)]
    assert view.resources("\\_SB.PCI0.ISA.SPKR") == [Io(0x61, 1)]
    assert view.resources("\\_SB.PCI0.ISA.MBIO") == [Io(0x80, 1), Io(0x92, 1), Io(0x4D0, 2)]


def test_soft_off(view):
    assert view.value("\\_S5") == [0, 0, 0, 0]


def test_every_address_can_be_another():
    view = View(
        q35_like(
            ecam=Ecam(0xE000_0000, last_bus=63),
            windows={"io": [(0x1000, 0xF000)], "mem": [(0xD000_0000, 0x1000_0000)]},
            routing=[(3, 0, 11)],
            pm_base=0xB000,
            sci=10,
            smi=None,
            reset=None,
            s5=5,
            hpet=HpetTimer(0xFED0_4000, minimum_clock_tick=100),
            local_apic=0xFEE1_0000,
            waet=False,
            vga=False,
            fadt={"flags": FadtFlags.TMR_VAL_EXT, "preferred_pm_profile": 4},
            oem_id="OWN",
        )
    )
    fadt = view.tables["FACP"]
    assert (fadt.pm1a_evt_blk, fadt.sci_int, fadt.smi_cmd, fadt.reset_reg) == (0xB000, 10, 0, Gas())
    assert fadt.flags & FadtFlags.TMR_VAL_EXT
    assert not fadt.flags & FadtFlags.RESET_REG_SUP
    assert fadt.preferred_pm_profile == 4
    assert fadt.iapc_boot_arch == BootArchFlags.LEGACY_DEVICES | BootArchFlags.VGA_NOT_PRESENT
    assert view.tables["APIC"].local_apic_address == 0xFEE1_0000
    assert view.tables["HPET"].base_address.address == 0xFED0_4000
    assert view.tables["HPET"].minimum_clock_tick == 100
    assert view.tables["MCFG"].allocations == (McfgAllocation(0xE000_0000, 0, 0, 63),)
    assert view.value("\\_S5")[0] == 5
    assert view.value("\\_SB.PCI0._PRT") == [[0x3_FFFF, 0, 0, 11]]
    assert view.resources("\\_SB.PCI0") == [
        BusNumber(0, 63),
        Io(0xCF8, 8),
        WordIo(0, 0xCF7),
        WordIo(0x1000, 0xFFFF),
        DWordMemory(0xD000_0000, 0xDFFF_FFFF),
    ]
    assert "WAET" not in view.bytes
    assert {table.oem_id for name, table in view.tables.items() if name != "FACS"} == {"OWN   "}


def test_level_triggered_interrupts_of_isa_numbers_are_overridden():
    """The SCI is active high; shared with PCI, whose pins are active low, it is as they are."""
    view = View(q35_like(sci=9, routing=[(1, 0, 9), (1, 1, 11), (1, 2, 20)]))
    assert view.entries(InterruptSourceOverride) == [
        InterruptSourceOverride(0, 2, MpsIntiFlags.of()),
        InterruptSourceOverride(9, 9, LOW_LEVEL),
        InterruptSourceOverride(11, 11, LOW_LEVEL),
    ]


def test_redirected_isa_interrupt_is_known_to_its_device():
    view = View(q35_like(redirected={0: 2, 9: 20}, sci=20, routing=()))
    assert view.entries(InterruptSourceOverride) == [
        InterruptSourceOverride(0, 2, MpsIntiFlags.of()),
        InterruptSourceOverride(9, 20, HIGH_LEVEL),
    ]
    assert view.tables["FACP"].sci_int == 9


def test_without_isa_devices_windows_are_as_given():
    windows = Windows(io=[(0x2000, 0x100)])
    view = View(q35_like(isa_devices=(), windows=windows, hpet=False, vga=False))
    assert view.resources("\\_SB.PCI0") == [BusNumber(0, 255), Io(0xCF8, 8), WordIo(0x2000, 0x20FF)]
    assert not any("ISA" in path for path in view.paths)
    flags = BootArchFlags.VGA_NOT_PRESENT | BootArchFlags.CMOS_RTC_NOT_PRESENT
    assert view.tables["FACP"].iapc_boot_arch == flags
    assert view.tables["FACP"].century == 0
    assert "HPET" not in view.bytes


def test_power_registers_anywhere():
    blocks = RegisterBlocks(
        RegisterBlock.io(0x400, 4),
        RegisterBlock.io(0x404, 2),
        pm_tmr=RegisterBlock.io(0x408, 4),
    )
    fadt = View(q35_like(power_registers=blocks)).tables["FACP"]
    assert (fadt.pm1a_evt_blk, fadt.pm_tmr_blk, fadt.gpe0_blk) == (0x400, 0x408, 0)


@pytest.mark.parametrize("spec", Spec)
def test_revisions_belong_together(spec):
    view = View(q35_like(spec=spec))
    assert view.tables["FACP"].revision == spec.value.fadt_revision
    assert view.tables["APIC"].revision == spec.value.madt_revision
    assert view.tables["DSDT"].revision == spec.value.definition_block_revision
    assert view.tables["FACS"].version == spec.value.facs_version


def test_reset_register_and_command_port():
    platform = q35_like(reset=Reset(Gas.mem(0xFEF0_0000, 8), 1), smi=SmiCommand(0xB0, 5, 6))
    fadt = View(platform).tables["FACP"]
    assert (fadt.reset_reg, fadt.reset_value) == (Gas.mem(0xFEF0_0000, 8), 1)
    assert (fadt.smi_cmd, fadt.acpi_enable, fadt.acpi_disable) == (0xB0, 5, 6)


def test_further_tables_and_options_of_the_set():
    platform = q35_like(tables=[Raw("DMAR", bytes(12)), Raw("OEM1")])
    tables = platform.table_set(rsdt=False)
    assert [table.name for table in tables][-2:] == ["DMAR", "OEM1"]
    names = [piece.name for piece in tables.place(0x7000_0000).pieces]
    assert "RSDT" not in names
    assert platform.table_set().find("DSDT") == (platform.dsdt,)


def test_routing_reaches_only_inputs_of_the_io_apic():
    assert {gsi for _device, _pin, gsi in q35_routing()} == set(range(16, 24))


def test_window_for_vga_only_where_no_other_has_it():
    view = View(q35_like(windows={"mem": [(0x8_0000, 0x8_0000)]}))
    assert view.resources("\\_SB.PCI0")[-1] == DWordMemory(0x8_0000, 0xF_FFFF)
    assert DWordMemory(0xA_0000, 0xB_FFFF) not in view.resources("\\_SB.PCI0")
    view = View(q35_like(windows={"mem": [(0xC000_0000, 0x1000)]}, vga=False))
    assert DWordMemory(0xA_0000, 0xB_FFFF) not in view.resources("\\_SB.PCI0")


def test_no_clock_flag_came_with_acpi_5():
    for spec in Spec:
        fadt = View(q35_like(isa_devices=(), spec=spec)).tables["FACP"]
        absent = bool(fadt.iapc_boot_arch & BootArchFlags.CMOS_RTC_NOT_PRESENT)
        assert absent == (fadt.revision >= 5)
