# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""iasl reads every table without complaint, sees the values put in, and compiles it back."""

import attrs
import pytest

from acpi.acpica import assert_roundtrip
from vmmkit.acpi.tables.dbg2 import Dbg2, DebugDevice, PortType, SerialSubtype, UsbSubtype
from vmmkit.acpi.tables.facs import Facs, FacsFlags, FacsGlobalLock, FacsOspmFlags
from vmmkit.acpi.tables.fadt import Fadt, FadtFlags, RegisterBlock, RegisterBlocks
from vmmkit.acpi.tables.gas import AccessSize, Gas
from vmmkit.acpi.tables.hpet import Hpet, PageProtection, event_timer_block_id
from vmmkit.acpi.tables.madt import (
    InterruptSourceOverride,
    IoApic,
    LapicFlags,
    LocalApic,
    LocalApicAddressOverride,
    LocalApicNmi,
    LocalX2Apic,
    LocalX2ApicNmi,
    Madt,
    MpsIntiFlags,
    NmiSource,
    Polarity,
    TriggerMode,
)
from vmmkit.acpi.tables.mcfg import Mcfg, McfgAllocation
from vmmkit.acpi.tables.root import Rsdt, Xsdt
from vmmkit.acpi.tables.rsdp import Rsdp
from vmmkit.acpi.tables.spcr import BaudRate, FlowControl, InterruptType, Spcr, TerminalType
from vmmkit.acpi.tables.spec import Spec
from vmmkit.acpi.tables.waet import Waet

PORT = Gas.io(0x3F8)
BLOCKS = RegisterBlocks(
    RegisterBlock.io(0x600, 4),
    RegisterBlock.io(0x604, 2),
    pm2_cnt=RegisterBlock.io(0x620, 1),
    pm_tmr=RegisterBlock.io(0x608, 4),
    gpe0=RegisterBlock.io(0x628, 8),
    gpe1=RegisterBlock.io(0x680, 4),
    gpe1_base=0x20,
)
WIRING = MpsIntiFlags.of(Polarity.ACTIVE_LOW, TriggerMode.LEVEL)

TABLES = {
    "Rsdp": Rsdp(0x1_2345_6780, rsdt_address=0x1234, oem_id="ABC"),
    "Rsdp without RSDT": Rsdp(0x7FFF_0000),
    "Rsdt": Rsdt([0x1000, 0xFFFF_F000]),
    "Rsdt, empty": Rsdt(),
    "Xsdt": Xsdt([0x1000, 0x1_0000_0000]),
    "Facs": Facs(0x1234),
    "Facs, all": Facs(
        1,
        firmware_waking_vector=2,
        global_lock=FacsGlobalLock.OWNED,
        flags=FacsFlags.S4BIOS_F | FacsFlags.WAKE_64BIT_SUPPORTED_F,
        x_firmware_waking_vector=1 << 40,
        ospm_flags=FacsOspmFlags.WAKE_64BIT_F,
    ),
    "Facs, version 1": Facs(version=1),
    "Fadt, reduced": Fadt.hardware_reduced(0x7000_0000),
    "Fadt, reduced, all": Fadt.hardware_reduced(
        0x7000_0000,
        sleep_control_reg=Gas.mem(0xFEA0_0200, 8),
        sleep_status_reg=Gas.mem(0xFEA0_0201, 8),
        reset_reg=Gas.mem(0xFEA0_0202, 8),
        reset_value=0x42,
    ),
    **{
        f"Fadt, {spec.name}": Fadt.full_hardware(0x7000_0000, 0x7001_0000, BLOCKS, **spec.fadt)
        for spec in Spec
    },
    "Fadt, revision 3": Fadt.full_hardware(0x7000_0000, 0x7001_0000, BLOCKS, revision=3),
    "Fadt, reset": Fadt.full_hardware(
        0x7000_0000, 0x7001_0000, BLOCKS, reset_reg=Gas.io(0xCF9), reset_value=0xF
    ),
    "Fadt, registers in memory": Fadt.full_hardware(
        0x7000_0000,
        0x7001_0000,
        RegisterBlocks(RegisterBlock.mem(0xFED0_0000, 4), RegisterBlock.mem(0xFED0_0010, 2)),
    ),
    **{f"Madt, {spec.name}": Madt([LocalApic(0, 0)], **spec.madt) for spec in Spec},
    "Madt, empty": Madt(),
    "Madt, all": Madt(
        [
            LocalApic(0, 1),
            LocalApic(2, 3, LapicFlags.ONLINE_CAPABLE),
            IoApic(4, 0xFEC0_0000, 0),
            IoApic(5, 0xFEC1_0000, 24),
            InterruptSourceOverride(0, 2),
            InterruptSourceOverride(9, 9, WIRING),
            NmiSource(5, flags=WIRING),
            LocalApicNmi(),
            LocalApicNmi(6, 0, flags=WIRING),
            LocalApicAddressOverride(0x1_FEE0_0000),
            LocalX2Apic(0x1234, 0x5678),
            LocalX2ApicNmi(),
            LocalX2ApicNmi(0x1234, 0, flags=WIRING),
        ]
    ),
    "Mcfg": Mcfg([McfgAllocation(0xE000_0000)]),
    "Mcfg, several": Mcfg(
        [McfgAllocation(0xE000_0000, 0, 0, 127), McfgAllocation(0x1_0000_0000, 0xFFFF, 16, 255)]
    ),
    "Hpet": Hpet(),
    "Hpet, all": Hpet(
        Gas.mem(0xFED0_0000, 64, AccessSize.UNDEFINED),
        event_timer_block_id=event_timer_block_id(vendor=0x1234, comparators=32, revision=5),
        hpet_number=1,
        minimum_clock_tick=0x1234,
        page_protection=PageProtection.PROTECTED_4K,
    ),
    **{f"Spcr, revision {revision}": Spcr(PORT, revision=revision) for revision in (1, 2)},
    "Spcr, all": Spcr(
        Gas.mem(0xFE00_0000, 32),
        interface_type=SerialSubtype.ARM_PL011,
        interrupt_type=InterruptType.PC_AT_8259 | InterruptType.IO_APIC,
        irq=4,
        global_system_interrupt=0x20,
        configured_baud_rate=BaudRate.B115200,
        flow_control=FlowControl.RTS_CTS,
        terminal_type=TerminalType.ANSI,
        pci_device_id=0x1234,
        pci_vendor_id=0x5678,
        pci_bus_number=1,
        pci_device_number=2,
        pci_function_number=3,
        pci_segment=4,
    ),
    "Dbg2, empty": Dbg2(),
    "Dbg2": Dbg2([DebugDevice(PortType.SERIAL, SerialSubtype.FULL_16550, [(PORT, 8)])]),
    "Dbg2, several": Dbg2(
        [
            DebugDevice(
                PortType.SERIAL,
                SerialSubtype.SUBSET_16550,
                [(Gas.io(0x2F8), 8), (Gas.mem(0xFE00_0000), 0x1000)],
                namespace_string="\\_SB.COM2",
            ),
            DebugDevice(PortType.USB, UsbSubtype.XHCI, oem_data=b"\1\2\3\4"),
            DebugDevice(PortType.NET, 0x8086, [(Gas.mem(0xFE00_0000), 0x1000)]),
        ]
    ),
    "Waet": Waet(),
    "Waet, all": Waet(3),
}


# This iasl takes the hypervisor's identity for a part of revision 5; ACPI 6.0 brought it with
# revision 6. The bytes it compiles are right.
TERMINATES = r"ACPI table terminates in the middle of a data structure"
TOLERATED = {"Fadt, V5_0": [TERMINATES], "Fadt, V5_1": [TERMINATES]}


@pytest.mark.parametrize("name", TABLES)
def test_table_survives(name):
    assert_roundtrip(TABLES[name].to_bytes(), tolerate=TOLERATED.get(name, ()))


# -- what iasl sees -------------------------------------------------------------------------


def seen(table):
    """Return names and values of the fields behind the header, without their bits."""
    return [
        (field.name, field.value)
        for field in assert_roundtrip(table.to_bytes()).fields
        if field.size is not None and field.offset >= 36 and "Generic Address" not in field.text
    ]


def gas(register):
    return [
        ("Space ID", register.address_space_id),
        ("Bit Width", register.register_bit_width),
        ("Bit Offset", register.register_bit_offset),
        ("Encoded Access Width", register.access_size),
        ("Address", register.address),
    ]


def test_values_of_the_fadt():
    blocks = {
        "x_pm1a_evt_blk": Gas.io(0x601, 32, AccessSize.WORD),
        "x_pm1b_evt_blk": Gas.io(0x602, 32, AccessSize.WORD),
        "x_pm1a_cnt_blk": Gas.io(0x603, 16),
        "x_pm1b_cnt_blk": Gas.io(0x604, 16),
        "x_pm2_cnt_blk": Gas.io(0x605, 8),
        "x_pm_tmr_blk": Gas.io(0x606, 32),
        "x_gpe0_blk": Gas.io(0x607, 128, AccessSize.BYTE),
        "x_gpe1_blk": Gas.io(0x608, 64, AccessSize.BYTE),
        "sleep_control_reg": Gas.mem(0x1_0000_0609, 8),
        "sleep_status_reg": Gas.mem(0x1_0000_060A, 8),
    }
    reset = Gas(1, 8, 0, AccessSize.BYTE, 0xCF9)
    table = Fadt(
        firmware_ctrl=0x1001,
        dsdt=0x1002,
        preferred_pm_profile=3,
        sci_int=0x104,
        smi_cmd=0xB2,
        acpi_enable=5,
        acpi_disable=6,
        s4bios_req=7,
        pstate_cnt=8,
        **{name[2:]: blocks[name].address for name in blocks if name.startswith("x_")},
        pm1_evt_len=4,
        pm1_cnt_len=2,
        pm2_cnt_len=1,
        pm_tmr_len=4,
        gpe0_blk_len=16,
        gpe1_blk_len=8,
        gpe1_base=0x40,
        cst_cnt=9,
        p_lvl2_lat=0x10A,
        p_lvl3_lat=0x10B,
        flush_size=0x10C,
        flush_stride=0x10D,
        duty_offset=0xE,
        duty_width=0xF,
        day_alrm=0x10,
        mon_alrm=0x11,
        century=0x32,
        iapc_boot_arch=3,
        flags=FadtFlags.WBINVD | FadtFlags.RESET_REG_SUP,
        reset_reg=reset,
        reset_value=0xE,
        arm_boot_arch=1,
        minor_version=5,
        x_firmware_ctrl=0x1_0000_1001,
        x_dsdt=0x1002,
        **blocks,
        hypervisor_vendor_identity=0x4D4D56,
    )
    x_blocks = [
        *("PM1A Event Block", "PM1B Event Block", "PM1A Control Block", "PM1B Control Block"),
        *("PM2 Control Block", "PM Timer Block", "GPE0 Block", "GPE1 Block"),
    ]
    expected = [
        ("FACS Address", 0x1001),
        ("DSDT Address", 0x1002),
        ("Model", 0),
        ("PM Profile", 3),
        ("SCI Interrupt", 0x104),
        ("SMI Command Port", 0xB2),
        ("ACPI Enable Value", 5),
        ("ACPI Disable Value", 6),
        ("S4BIOS Command", 7),
        ("P-State Control", 8),
        *((f"{name} Address", 0x601 + number) for number, name in enumerate(x_blocks)),
        ("PM1 Event Block Length", 4),
        ("PM1 Control Block Length", 2),
        ("PM2 Control Block Length", 1),
        ("PM Timer Block Length", 4),
        ("GPE0 Block Length", 16),
        ("GPE1 Block Length", 8),
        ("GPE1 Base Offset", 0x40),
        ("_CST Support", 9),
        ("C2 Latency", 0x10A),
        ("C3 Latency", 0x10B),
        ("CPU Cache Size", 0x10C),
        ("Cache Flush Stride", 0x10D),
        ("Duty Cycle Offset", 0xE),
        ("Duty Cycle Width", 0xF),
        ("RTC Day Alarm Index", 0x10),
        ("RTC Month Alarm Index", 0x11),
        ("RTC Century Index", 0x32),
        ("Boot Flags (decoded below)", 3),
        ("Reserved", 0),
        ("Flags (decoded below)", 0x401),
        *gas(reset),
        ("Value to cause reset", 0xE),
        ("ARM Flags (decoded below)", 1),
        ("FADT Minor Revision", 5),
        ("FACS Address", 0x1_0000_1001),
        ("DSDT Address", 0x1002),
        *(row for register in blocks.values() for row in gas(register)),
        ("Hypervisor ID", 0x4D4D56),
    ]
    assert seen(table) == expected


FADT_BITS = """
    WBINVD instruction is operational (V1)
    WBINVD flushes all caches (V1)
    All CPUs support C1 (V1)
    C2 works on MP system (V1)
    Control Method Power Button (V1)
    Control Method Sleep Button (V1)
    RTC wake not in fixed reg space (V1)
    RTC can wake system from S4 (V1)
    32-bit PM Timer (V1)
    Docking Supported (V1)
    Reset Register Supported (V2)
    Sealed Case (V3)
    Headless - No Video (V3)
    Use native instr after SLP_TYPx (V3)
    PCIEXP_WAK Bits Supported (V4)
    Use Platform Timer (V4)
    RTC_STS valid on S4 wake (V4)
    Remote Power-on capable (V4)
    Use APIC Cluster Model (V4)
    Use APIC Physical Destination Mode (V4)
    Hardware Reduced (V5)
    Low Power S0 Idle (V5)
""".strip().splitlines()
FLAGS_OFFSET = 112


# This iasl knows no flags beyond those of ACPI 5.
@pytest.mark.parametrize("flag", [flag for flag in FadtFlags if flag < 1 << 22])
def test_flags_of_the_fadt(flag):
    table = attrs.evolve(TABLES["Fadt, V6_5"], flags=flag)
    bits = [
        field
        for field in assert_roundtrip(table.to_bytes()).fields
        if field.offset == FLAGS_OFFSET and field.size is None
    ]
    assert [field.name for field in bits] == [line.strip() for line in FADT_BITS]
    assert sum(field.value << number for number, field in enumerate(bits)) == flag


def entry(kind, length, *rows):
    return [("Subtable Type", kind), ("Length", length), *rows]


def test_values_of_the_madt():
    flags = "Flags (decoded below)"
    expected = [
        ("Local Apic Address", 0xFEE0_0000),
        (flags, 1),
        *entry(0, 8, ("Processor ID", 0), ("Local Apic ID", 1), (flags, 1)),
        *entry(0, 8, ("Processor ID", 2), ("Local Apic ID", 3), (flags, 2)),
        *entry(
            *(1, 12, ("I/O Apic ID", 4), ("Reserved", 0)),
            *(("Address", 0xFEC0_0000), ("Interrupt", 0)),
        ),
        *entry(
            *(1, 12, ("I/O Apic ID", 5), ("Reserved", 0)),
            *(("Address", 0xFEC1_0000), ("Interrupt", 24)),
        ),
        *entry(2, 10, ("Bus", 0), ("Source", 0), ("Interrupt", 2), (flags, 0)),
        *entry(2, 10, ("Bus", 0), ("Source", 9), ("Interrupt", 9), (flags, 0xF)),
        *entry(3, 8, (flags, 0xF), ("Interrupt", 5)),
        *entry(4, 6, ("Processor ID", 0xFF), (flags, 0), ("Interrupt Input LINT", 1)),
        *entry(4, 6, ("Processor ID", 6), (flags, 0xF), ("Interrupt Input LINT", 0)),
        *entry(5, 12, ("Reserved", 0), ("APIC Address", 0x1_FEE0_0000)),
        *entry(
            *(9, 16, ("Reserved", 0), ("Processor x2Apic ID", 0x1234)),
            *((flags, 1), ("Processor UID", 0x5678)),
        ),
        *entry(
            *(10, 12, (flags, 0), ("Processor UID", 0xFFFF_FFFF)),
            *(("Interrupt Input LINT", 1), ("Reserved", 0)),
        ),
        *entry(
            *(10, 12, (flags, 0xF), ("Processor UID", 0x1234)),
            *(("Interrupt Input LINT", 0), ("Reserved", 0)),
        ),
    ]
    assert seen(TABLES["Madt, all"]) == expected


def test_values_of_the_mcfg():
    assert seen(TABLES["Mcfg, several"]) == [
        ("Reserved", 0),
        ("Base Address", 0xE000_0000),
        ("Segment Group Number", 0),
        ("Start Bus Number", 0),
        ("End Bus Number", 127),
        ("Reserved", 0),
        ("Base Address", 0x1_0000_0000),
        ("Segment Group Number", 0xFFFF),
        ("Start Bus Number", 16),
        ("End Bus Number", 255),
        ("Reserved", 0),
    ]


def test_values_of_the_hpet():
    assert seen(TABLES["Hpet, all"]) == [
        ("Hardware Block ID", 0x1234_BF05),
        *gas(Gas.mem(0xFED0_0000, 64, AccessSize.UNDEFINED)),
        ("Sequence Number", 1),
        ("Minimum Clock Ticks", 0x1234),
        ("Flags (decoded below)", 1),
    ]


def test_values_of_the_spcr():
    assert seen(TABLES["Spcr, all"]) == [
        ("Interface Type", 3),
        ("Reserved", 0),
        *gas(Gas.mem(0xFE00_0000, 32)),
        ("Interrupt Type", 3),
        ("PCAT-compatible IRQ", 4),
        ("Interrupt", 0x20),
        ("Baud Rate", 7),
        ("Parity", 0),
        ("Stop Bits", 1),
        ("Flow Control", 2),
        ("Terminal Type", 3),
        ("Reserved", 0),
        ("PCI Device ID", 0x1234),
        ("PCI Vendor ID", 0x5678),
        ("PCI Bus", 1),
        ("PCI Device", 2),
        ("PCI Function", 3),
        ("PCI Flags", 0),
        ("PCI Segment", 4),
        ("Reserved", 0),
    ]
