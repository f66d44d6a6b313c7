# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The contributors that come with the library, one by one."""

import uuid

import pytest

from acpi import acpica
from acpi.platform_view import View
from vmmkit.acpi.aml.resources import Io, IrqNoFlags, Memory32Fixed
from vmmkit.acpi.layout import E820Type
from vmmkit.acpi.linker import apply
from vmmkit.acpi.platform.generation_id import (
    GENERATION_ID_OFFSET,
    GenerationId,
    generation_id_blob,
)
from vmmkit.acpi.platform.isa import LpcBridge, MotherboardPorts, Ps2Keyboard, Ps2Mouse, Uart
from vmmkit.acpi.platform.power import PowerButton, Reset, SleepRegisters, pm_registers, soft_off
from vmmkit.acpi.platform.q35 import Q35_ISA_DEVICES, q35_like
from vmmkit.acpi.platform.qemu import FwCfg, Pvpanic
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.timers import HpetTimer
from vmmkit.acpi.platform.tpm import Tpm
from vmmkit.acpi.platform.values import SmiCommand
from vmmkit.acpi.platform.virtio_mmio import VirtioMmio
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.dbg2 import PortType, SerialSubtype
from vmmkit.acpi.tables.fadt import BootArchFlags, RegisterBlock
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.spcr import BaudRate, InterruptType
from vmmkit.acpi.tables.tpm2 import StartMethod
from vmmkit.errors import PlatformError

GUID = uuid.UUID("324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87")


def test_console():
    view = View(q35_like(isa_devices=[Uart(console=True, baud_rate=9600)]))
    spcr = view.tables["SPCR"]
    assert spcr.base_address == Gas.io(0x3F8, 8)
    assert spcr.interrupt_type == InterruptType.PC_AT_8259 | InterruptType.IO_APIC
    assert (spcr.irq, spcr.global_system_interrupt) == (4, 4)
    assert spcr.configured_baud_rate == BaudRate.B9600


def test_console_without_8259():
    spcr = View(reduced(devices=[Uart(0x2F8, 17, console=True)])).tables["SPCR"]
    assert spcr.interrupt_type == InterruptType.IO_APIC
    assert (spcr.irq, spcr.global_system_interrupt) == (0, 17)


def test_debug_port():
    view = View(q35_like(isa_devices=[Uart(), Uart(0x2F8, 3, debug=True)]))
    (device,) = view.tables["DBG2"].devices
    assert (device.port_type, device.port_subtype) == (PortType.SERIAL, SerialSubtype.FULL_16550)
    assert device.registers == ((Gas.io(0x2F8, 8), 8),)
    assert device.namespace_string == "\\_SB.PCI0.ISA.COM2"


def test_keyboard_and_mouse():
    view = View(q35_like(isa_devices=[*Q35_ISA_DEVICES, Ps2Keyboard(), Ps2Mouse()]))
    assert view.resources("\\_SB.PCI0.ISA.KBD") == [Io(0x60, 1), Io(0x64, 1), IrqNoFlags(1)]
    assert view.resources("\\_SB.PCI0.ISA.MOU") == [IrqNoFlags(12)]
    assert view.tables["FACP"].iapc_boot_arch & BootArchFlags.PC_8042


def test_bridge_elsewhere():
    bridge = LpcBridge([Uart()], device=1, function=2, name="LPC")
    view = View(q35_like(isa_devices=(), pci_devices=[bridge]))
    assert view.value("\\_SB.PCI0.LPC._ADR") == 0x1_0002
    assert view.resources("\\_SB.PCI0.LPC.COM1") == [Io(0x3F8, 8), IrqNoFlags(4)]


def test_firmware_configuration():
    view = View(q35_like(devices=[FwCfg()]))
    assert view.devices("QEMU0002") == ["\\_SB.FWCF"]
    assert view.value("\\_SB.FWCF._STA") == 0x0B
    assert view.resources("\\_SB.FWCF") == [Io(0x510, 12)]
    assert View(q35_like(devices=[FwCfg(0x600 - 2, dma=False)])).resources("\\_SB.FWCF") == [
        Io(0x5FE, 2)
    ]


def test_pvpanic():
    platform = q35_like(isa_devices=[Pvpanic()], routing=())
    assert View(platform).resources("\\_SB.PCI0.ISA.PEVT") == [Io(0x505, 1)]
    commands = ["execute \\_SB.PCI0.ISA.PEVT.WRPT 1", "execute \\_SB.PCI0.ISA.PEVT.RDPT"]
    acpica.acpiexec(commands, platform.dsdt.to_bytes())


def test_generation_id_in_place():
    platform = q35_like(devices=[GenerationId(generation_id_blob(GUID), gpe=5)])
    placement = platform.table_set().place(0x7000_0000)
    page = placement.piece("etc/vmgenid_guid")
    assert page.gpa % 0x1000 == 0
    assert page.data[GENERATION_ID_OFFSET:][:16] == GUID.bytes_le
    kinds = {entry.type for entry in placement.e820 if entry.base <= page.gpa <= entry.last}
    assert kinds == {E820Type.RESERVED}
    view = View(platform)
    assert view.value("\\_SB.VGEN.ADDR") == [page.gpa + GENERATION_ID_OFFSET, 0]
    assert view.value("\\_SB.VGEN._CID") == view.value("\\_SB.VGEN._DDN") == "VM_Gen_Counter"
    assert "\\_GPE._E05" in view.paths


def test_generation_id_by_a_loader_script():
    """Firmware chooses the address, patches the DSDT, and writes it back."""
    platform = q35_like(devices=[GenerationId(generation_id_blob(GUID), gpe=5)])
    script = platform.table_set().linker_script()
    assert script.written == ("etc/vmgenid_addr",)
    addresses = {"etc/acpi/rsdp": 0xF_0000, "etc/acpi/tables": 0x7000_0000}
    chosen = addresses | {"etc/vmgenid_guid": 0x6FFF_F000}
    linked = apply(script.files, script.loader, lambda name, *_place: chosen[name])
    assert linked.written["etc/vmgenid_addr"][:8] == (0x6FFF_F000).to_bytes(8, "little")
    assert (0x6FFF_F028).to_bytes(4, "little") in linked.contents["etc/acpi/tables"]


def test_tpm():
    view = View(q35_like(devices=[Tpm(log=Blob(bytes(0x10000), "etc/tpm/log"))]))
    tpm2 = view.tables["TPM2"]
    assert tpm2.start_method == StartMethod.CRB
    assert tpm2.address_of_control_area == 0xFED4_0040
    assert tpm2.log_area.minimum_length == 0x10000
    assert tpm2.log_area.start_address == view.placement.piece("etc/tpm/log").gpa
    assert view.resources("\\_SB.TPM") == [Memory32Fixed(0xFED4_0000, 0x5000)]


def test_tpm_with_registers():
    tpm2 = View(q35_like(devices=[Tpm(crb=False)])).tables["TPM2"]
    assert (tpm2.start_method, tpm2.address_of_control_area) == (StartMethod.MMIO, 0)


def test_second_hpet_has_a_number():
    first, second = HpetTimer(), HpetTimer(0xFED0_1000, name="HPT1")
    platform = q35_like(hpet=first, devices=[second])
    assert [table.hpet_number for table in platform.tables if table.name == "HPET"] == [0, 1]


@pytest.mark.parametrize(
    ("gpes", "size"), [({}, 16), ({"gpes": 0}, 0), ({"gpes": 8}, 2), ({"gpes": 384}, 96)]
)
def test_fixed_registers_from_one_base(gpes, size):
    blocks = pm_registers(0x600, **gpes)
    fixed = (RegisterBlock.io(0x600, 4), RegisterBlock.io(0x604, 2), RegisterBlock.io(0x608, 4))
    assert (blocks.pm1a_evt, blocks.pm1a_cnt, blocks.pm_tmr) == fixed
    assert blocks.gpe0 == (RegisterBlock.io(0x620, size) if size else None)
    assert q35_like(power_registers=blocks).validate() == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reset(Gas.io(0xCF9, 16)), "a register of 8 bits is wanted"),
        (lambda: Reset(Gas()), "a register of 8 bits is wanted"),
        (lambda: Reset(0xCF9), "a register of 8 bits is wanted (Gas.io or Gas.mem), not 3321"),
        (lambda: Reset(Gas.io(0xCF9), 256), "the value that resets is 0x100"),
        (lambda: SleepRegisters(Gas.io(1), Gas.mem(1, 32)), "a register of 8 bits is wanted"),
        (lambda: pm_registers(0x601), "management registers is 0x601, not a multiple of 0x80"),
        (lambda: pm_registers(0), "management registers is 0x0, not a multiple of 0x80"),
        (lambda: pm_registers(0x10000), "management registers is 0x10000, not a number from 0"),
        (lambda: pm_registers(0x600, gpes=12), "12 general-purpose events are not a multiple"),
        (lambda: pm_registers(0x600, gpes=392), "general-purpose events is 0x188, not a number"),
        (lambda: pm_registers(0x600, gpes=None), "general-purpose events is None, not a number"),
        (lambda: soft_off(8), "the sleep type of S5 is 0x8"),
        (lambda: SmiCommand(0), "the SMI command port is 0, which says that there is none"),
        (lambda: SmiCommand(0x10000), "the SMI command port is 0x10000"),
        (lambda: SmiCommand(acpi_enable=256), "the command that enables ACPI is 0x100"),
        (lambda: MotherboardPorts([(0x80, 0)]), "a range of the motherboard has 0x0 from 0x80"),
        (lambda: q35_like(isa_devices=[Uart(0xFFFF)]), "COM1 has 0x8 from 0xffff on"),
        (lambda: q35_like(isa_devices=[Uart(interrupt=24)]), "COM1 has GSI 24; the I/O APICs"),
        (
            lambda: q35_like(isa_devices=[Uart(console=True, baud_rate=300)]),
            "a console has 9600, 19200, 57600, 115200 baud, not 300",
        ),
        (lambda: q35_like(pci_devices=[LpcBridge([], 32)]), "the device of ISA is 0x20, not"),
        (lambda: q35_like(hpet=HpetTimer(1 << 32)), "the address of the HPET is 0x100000000"),
        (lambda: q35_like(devices=[Tpm(0xFFFF_F000)]), "the registers of the TPM has 0x5000 from"),
        (lambda: reduced(devices=[VirtioMmio(1 << 32, 16)]), "the registers of VR00 is"),
        (lambda: reduced(devices=[VirtioMmio(0x1000, 99)]), "VR00 has GSI 99; the I/O APICs have"),
        (
            lambda: reduced(devices=[VirtioMmio(0xFEB0_0000, 16), VirtioMmio(0xFEB0_0100, 17)]),
            "VR01 at 0xfeb00100 to 0xfeb002ff and VR00 at 0xfeb00000 to 0xfeb001ff overlap",
        ),
        (lambda: reduced(devices=[PowerButton(gsi=20)]), "two objects \\_SB.PWRB: of PowerButton"),
    ],
)
def test_errors(make, message):
    with pytest.raises(PlatformError) as caught:
        make()
    assert message in str(caught.value)
