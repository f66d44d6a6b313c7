# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Callers' mistakes: each is named where it is made, by an error of this block."""

from __future__ import annotations

import pytest

from vmmkit.acpi import acpidump, frozen, linker
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.reader import read, read_all
from vmmkit.acpi.aml.resources import (
    Dma,
    GpioInt,
    Interrupt,
    Irq,
    RawDescriptor,
    Resources,
    VendorLong,
    parse_resources,
)
from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.platform import (
    Cpu,
    Ecam,
    LpcBridge,
    MemoryRange,
    MotherboardPorts,
    Numa,
    Processors,
    Tpm,
    Windows,
    generation_id_blob,
    q35_like,
    reduced,
)
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables import (
    Dbg2,
    Facs,
    Fadt,
    Gas,
    Hpet,
    IoApic,
    LocalApic,
    Madt,
    Mcfg,
    McfgAllocation,
    ProcessorHierarchyNode,
    Raw,
    RawEntry,
    RegisterBlock,
    RegisterBlocks,
    Slit,
    Xsdt,
    from_bytes,
    split,
)
from vmmkit.acpi.validate.validator import validate
from vmmkit.errors import AcpiError

NAN = float("nan")
HUGE = 1 << 60  # as a number of bytes, more than there are


class Odd:
    """Something that nothing here is made for."""

    def __repr__(self):
        return "an odd thing"


ODD = Odd()

MISTAKES = [
    # -- bytes ----
    (lambda: from_bytes(None), "None"),
    (lambda: from_bytes("APIC"), "APIC"),
    (lambda: from_bytes(HUGE), str(HUGE)),
    (lambda: from_bytes(36), "36"),
    (lambda: split(5), "5"),
    (lambda: split([1, 2]), r"\[1, 2\]"),
    (lambda: Madt.from_bytes(None), "None"),
    (lambda: Raw("OEM1", 5), "5"),
    (lambda: Raw("OEM1", HUGE), str(HUGE)),
    (lambda: Raw("OEM1", "text"), "text"),
    (lambda: Raw(None), "None"),
    (lambda: Raw("TOOLONG"), "TOOLONG"),
    (lambda: Hpet(trailing=-1), "trailing.*-1"),
    (lambda: LocalApic(0, 0, trailing=NAN), "nan"),
    (lambda: Blob(100), "100"),
    (lambda: Blob(b"", alignment=None), "None"),
    (lambda: Blob(b"", alignment=3), "3"),
    (lambda: VendorLong(7), "7"),
    (lambda: RawDescriptor(0x84, "text"), "text"),
    (lambda: RawDescriptor(None, b"").to_bytes(), "None"),
    (lambda: parse_resources("text"), "text"),
    (lambda: parse_resources(None), "None"),
    (lambda: read(None), "None"),
    (lambda: read("\\_SB_"), "_SB_"),
    (lambda: read(HUGE, lenient=True), str(HUGE)),
    (lambda: read_all(b"\0\1"), "contents"),
    (lambda: linker.parse(128), "128"),
    (lambda: linker.apply({}, None, max), "None"),
    (lambda: linker.encode(None), "None"),
    (lambda: linker.encode([ODD]), "command 0.*an odd thing"),
    (lambda: acpidump.parse(b"APIC @ 0x0"), "APIC"),
    # -- lists and what is in them ----
    (lambda: Madt(None), "None"),
    (lambda: Madt("x"), "x"),
    (lambda: Madt([LocalApic(0, 0), 5]), r"entries\[1\].*5"),
    (lambda: Madt([LocalApic]), r"entries\[0\].*LocalApic"),
    (lambda: RawEntry("APIC", 1, b""), "APIC"),
    (lambda: Mcfg([0xB000_0000]), r"allocations\[0\]"),
    (lambda: Mcfg(McfgAllocation(0xB000_0000)), "McfgAllocation"),
    (lambda: Xsdt(5), "5"),
    (lambda: Dbg2([None]), r"devices\[0\].*None"),
    (lambda: Slit(None), "None"),
    (lambda: ProcessorHierarchyNode(private_resources=None), "None"),
    (lambda: TableSet(None), "None"),
    (lambda: TableSet().place("0x1000"), "base.*0x1000"),
    (lambda: TableSet().place(4096.0), "base.*4096"),
    (lambda: TableSet().place(0x1000, limit="1M"), "limit.*1M"),
    (lambda: TableSet().place(0x1000, rsdp="E0000"), "rsdp.*E0000"),
    (lambda: TableSet().place(0x1000, facs=1.5), "facs.*1.5"),
    (lambda: TableSet().place(0x1000, granule="4K"), "granule.*4K"),
    (lambda: TableSet().place(0x1000, avoid=5), "avoid.*5"),
    (lambda: TableSet().place(0x1000, avoid=[5]), "range to avoid.*5"),
    (lambda: TableSet().place(0x1000, avoid=[(0, "1M")]), "range to avoid.*1M"),
    (lambda: TableSet().place(0x1000, avoid=[(1, 2, 3)]), "range to avoid.*3"),
    (lambda: Fadt.hardware_reduced(0x1000, flags=None), "flags.*None"),
    (lambda: TableSet([None]), "None"),
    (lambda: TableSet([Madt]), "Madt"),
    (lambda: TableSet([5]), "5"),
    (lambda: TableSet().add("APIC"), "APIC"),
    (lambda: dump(None), "None"),
    (lambda: dump(Facs()), "FACS|Facs"),
    (lambda: dump([5]), "5"),
    (lambda: dump("Name(FOO, 1)"), "Name"),
    (lambda: Resources(5), "5"),
    (lambda: Irq(None), "None"),
    (lambda: Irq({"a", 1}), "a"),
    (lambda: Irq(16), "16"),
    (lambda: Dma([8]), "8"),
    (lambda: Interrupt(None), "None"),
    (lambda: Interrupt(1 << 32).to_bytes(), "0x100000000|4294967296"),
    (lambda: Interrupt(1, source_index=256).to_bytes(), "256"),
    (lambda: Interrupt(1, source_index=-1).to_bytes(), "-1"),
    (lambda: Interrupt(1, source=5).to_bytes(), "5"),
    (lambda: GpioInt(None, "\\_SB.GPIO"), "None"),
    # -- numbers ----
    (lambda: LocalApic(-1, 0), "-1"),
    (lambda: LocalApic(256, 0), "256"),
    (lambda: LocalApic("0", 0), "0"),
    (lambda: IoApic(0, 1.5), "1.5"),
    (lambda: IoApic(0, NAN), "nan"),
    (lambda: Gas.io(-1), "-0x1"),
    (lambda: Gas.mem(1 << 64, 8), str(1 << 64)),
    (lambda: Fadt(revision={}), r"\{\}"),
    (lambda: Fadt(revision=9), "9"),
    (lambda: RegisterBlock(1, None, 4), "RegisterBlock.*None"),
    (lambda: RegisterBlock(1, 0x600, "4"), "RegisterBlock.*'4'"),
    (lambda: RegisterBlock(1, NAN, 4), "nan"),
    (lambda: RegisterBlocks(pm1a_evt=0x600), "pm1a_evt.*1536"),
    # -- platforms ----
    (lambda: q35_like(cpus=0), "0"),
    (lambda: q35_like(cpus=-1), "-1"),
    (lambda: q35_like(cpus=None), "None"),
    (lambda: q35_like(cpus=1.5), "1.5"),
    (lambda: q35_like(cpus=[0]), "0"),
    (lambda: q35_like(cpus=[Cpu(0, 0), Cpu(0, 1)]), "APIC id 0"),
    (lambda: q35_like(x2apic={}), r"\{\}"),
    (lambda: Processors(1, x2apic=True), "True"),
    (lambda: q35_like(ecam=0xB000_0000), "2952790016|0xb0000000"),
    (lambda: Ecam(0xB010_0000), "0xb0100000"),
    (lambda: Ecam(0xB000_0000, first_bus=9, last_bus=8), "bus"),
    (lambda: q35_like(windows=5), "5"),
    (lambda: q35_like(windows={"memory": []}), "memory"),
    (lambda: Windows(io=None), "None"),
    (lambda: Windows(mem=[(None, 1)]), "None"),
    (lambda: Windows(mem=[5]), "5"),
    (lambda: Windows(mem=[(0, 0)]), "memory window"),
    (lambda: q35_like(routing=1.5), "1.5"),
    (lambda: q35_like(routing=[(32, 0, 16)]), "0x20"),
    (lambda: q35_like(routing=[(0, 4, 16)]), "4"),
    (lambda: q35_like(routing=[(0, 0)]), r"\(0, 0\)"),
    (lambda: q35_like(smi=0xB2), "smi.*178"),
    (lambda: q35_like(reset="x"), "reset.*x"),
    (lambda: q35_like(power_registers=0x600), "power_registers.*1536"),
    (lambda: q35_like(isa_devices=None), "None"),
    (lambda: q35_like(pci_devices=5), "5"),
    (lambda: q35_like(devices=[ODD]), "an odd thing"),
    (lambda: q35_like(s5=8), "8"),
    (lambda: q35_like(hpet="yes"), "yes"),
    (lambda: q35_like(spec="6.5"), "6.5"),
    (lambda: q35_like(io_apics=5), "5"),
    (lambda: q35_like(io_apics=[0xFEC0_0000]), "4273995776"),
    (lambda: q35_like(numa=[MemoryRange(0, 1 << 30, 0)]), "numa"),
    (lambda: q35_like(redirected=[(0, 2)]), "redirected"),
    (lambda: q35_like(fadt=["flags"]), "fadt"),
    (lambda: q35_like(fadt={"flag": 1}), "flag"),
    (lambda: q35_like(devices=[Tpm(log=5)]), "log.*5"),
    (lambda: q35_like(tables=5), "5"),
    (lambda: q35_like(oem_id="TOOLONG"), "TOOLONG"),
    (lambda: q35_like(oem_revision=1 << 32), "4294967296|0x100000000"),
    (lambda: reduced(devices=None), "None"),
    (lambda: reduced(routing=None), "None"),
    (lambda: reduced(sleep=0xFEA0_0200), "sleep"),
    (lambda: reduced(reset=ODD), "reset.*an odd thing"),
    (lambda: reduced(power_registers=None), "power_registers.*None"),
    (lambda: LpcBridge(None), "None"),
    (lambda: MotherboardPorts(ports=5), "5"),
    (lambda: MotherboardPorts(ports=[5]), "5"),
    (lambda: Numa(None), "None"),
    (lambda: Numa([5]), "5"),
    (lambda: Numa([MemoryRange(0, 1 << 30, 0)], 5), "5"),
    (lambda: Numa([MemoryRange(0, 1 << 30, 0)], [10]), "10"),
    (lambda: generation_id_blob(bytes(16)), "generation id"),
    (lambda: frozen.Versions(5), "5"),
    (lambda: frozen.Versions({}), "no versions"),
    (lambda: validate(None), "None"),
    (lambda: validate([ODD]), "an odd thing"),
    (lambda: validate([Madt]), "Madt"),
]


@pytest.mark.parametrize(("mistake", "text"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named(mistake, text):
    with pytest.raises(AcpiError, match=text):
        mistake()


def test_what_is_like_bytes_is_taken_for_bytes():
    table = Madt([LocalApic(0, 0)])
    data = table.to_bytes()
    for form in (bytearray(data), memoryview(data)):
        assert from_bytes(form) == table
        assert split(form) == [data]
    content = bytearray(b"abc")
    raw = Raw("OEM1", content)
    content[0] = 0
    assert raw.body == b"abc"


def test_generators_and_sets_are_taken_for_lists():
    assert Madt(LocalApic(0, 0) for _ in range(1)) == Madt([LocalApic(0, 0)])
    assert Irq({5, 3}) == Irq([3, 5])
    assert q35_like(cpus=iter([Cpu(0, 0)])).validate() == []
    assert q35_like(routing=iter([(0, 0, 16)])).validate() == []


@pytest.mark.parametrize(
    ("script", "offset"),
    [(bytes(130), 128), (bytes(128) + b"\x09".ljust(128, b"\0"), 128), (b"\x01".ljust(128), 0)],
)
def test_a_malformed_script_is_located(script, offset):
    with pytest.raises(AcpiError) as caught:
        linker.parse(script)
    assert (caught.value.table, caught.value.offset) == (linker.LOADER_FILE, offset)
