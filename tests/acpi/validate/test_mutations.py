# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Each code of `validate`: bytes of a valid machine are spoilt, and it says so, and no more."""

from __future__ import annotations

import pytest

from acpi.validate.mutation import Board, full_platform, reduced_platform, with_ssdt
from vmmkit.acpi.aml.data import EisaId
from vmmkit.acpi.aml.named import Device, Method, Name, Scope
from vmmkit.acpi.aml.node import Path, RawAml
from vmmkit.acpi.aml.resources import (
    BusNumber,
    DWordMemory,
    Interrupt,
    Io,
    RawDescriptor,
    Resources,
    WordIo,
)
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.layout import E820Entry, E820Type
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Cpu, Ecam, IoApicRange
from vmmkit.acpi.tables.madt import LocalApic
from vmmkit.acpi.tables.spec import Spec
from vmmkit.acpi.tables.srat import ProcessorLocalApicAffinity
from vmmkit.acpi.tables.viot import PciRange, Viot, VirtioIommuPci
from vmmkit.acpi.validate.codes import RULES
from vmmkit.acpi.validate.validator import validate

PC, REDUCED = full_platform(), reduced_platform()
MIXED = reduced(cpus=[Cpu(0, 0), Cpu(300, 1)])
NO_S5 = q35_like(s5=None)
OLD = q35_like(spec=Spec.V4_0)
TWO = reduced(io_apics=[IoApicRange(), IoApicRange(0xFEC1_0000, 24, io_apic_id=1)])
IOMMU = VirtioIommuPci(8)
VIRTUAL = reduced(tables=[Viot([IOMMU, PciRange(IOMMU)])])
LOCAL_APIC, IO_APIC, OVERRIDE = 0, 1, 2


def put(name, offset, value, size=1, platform=PC):
    """Return a mutation that writes a number into a table."""

    def spoil():
        board = Board(platform)
        board.put(name, offset, value, size)
        return board

    return spoil


def entry(name, kind, at, value, size=1, *, start=44, number=0):
    """Return a mutation that writes into a sub-structure of a type."""

    def spoil():
        board = Board(PC)
        board.put(name, board.entry(name, kind, start, number) + at, value, size)
        return board

    return spoil


def resized(name, change, *, mend_length=True, platform=PC):
    """Return a mutation that gives a table other bytes."""

    def spoil():
        board = Board(platform)
        board.resize(name, change(bytes(board.data[name])), mend_length=mend_length)
        return board

    return spoil


def edited(change, platform=PC, ssdt=None):
    """Return a mutation that does anything to a board."""

    def spoil():
        board = Board(platform, [] if ssdt is None else [[ssdt]])
        change(board)
        return board

    return spoil


def raw(name, offset, value, size=1, platform=PC):
    """Return a mutation that leaves the checksum wrong."""

    def spoil():
        board = Board(platform)
        board.data[name][offset : offset + size] = value.to_bytes(size, "little")
        return board

    return spoil


def aml(*nodes):
    """Return a mutation that adds a table with AML."""
    return lambda: with_ssdt(Scope("\\_SB", *nodes))


def replaced(old, new, name="DSDT"):
    """Return a mutation that replaces bytes that are there once."""
    return edited(lambda board: board.replace(name, bytes.fromhex(old), bytes.fromhex(new)))


def device(name, *nodes, hid="PNP0501", uid=77):
    return Device(name, Name("_HID", EisaId(hid)), Name("_UID", uid), *nodes)


def host(*descriptors, bus=None, uid=9):
    """Return a second host bridge, of a segment of its own."""
    buses = [BusNumber(0, 255)] if bus is None else bus
    return device(
        "PCI9",
        Name("_SEG", 9),
        Name("_BBN", 0),
        Name("_CRS", Resources(*buses, *descriptors)),
        hid="PNP0A03",
        uid=uid,
    )


def crs(content):
    """Return a device whose resources are these bytes."""
    return device("DEV0", Name("_CRS", content))


def second_copy(board):
    board.data["HPET#2"] = bytearray(board.data["HPET"])
    board.places["HPET#2"] = 0x7100_0000
    board.e820.append(E820Entry(0x7100_0000, 0x1000, E820Type.ACPI))


def forget_madt(board):
    board.remove("APIC")
    shrink_roots(board, 1)


def shrink_roots(board, number):
    """Take an entry out of both root tables, which then are elsewhere."""
    for root, size in (("XSDT", 8), ("RSDT", 4)):
        data = bytearray(board.data[root])
        del data[36 + number * size : 36 + (number + 1) * size]
        board.data[root] = data
        board.data[root][4:8] = len(data).to_bytes(4, "little")
        board.mend(root)


def empty_roots(board):
    for name in ("XSDT", "RSDT"):
        board.data[name] = board.data[name][:36]
        board.data[name][4:8] = (36).to_bytes(4, "little")
        board.mend(name)


def first_checksum(board):
    """Spoil the sum of the first 20 bytes, and keep that of all."""
    for at, step in ((8, 1), (32, -1)):
        board.data["RSDP"][at] = board.data["RSDP"][at] + step & 0xFF


def other_entry(board):
    """Let the RSDT list a second copy of a table in place of the first."""
    second_copy(board)
    data = board.data["HPET#2"]
    data[:4] = b"OEM1"
    board.mend("HPET#2")
    board.put("RSDT", len(board.data["RSDT"]) - 4, 0x7100_0000, 4)


def two_facs(board):
    board.put("FACP", 132, board.places["FACS"], 8)
    board.put("FACP", 36, 0x1240, 4)


def null_entry(board):
    for root, size in (("XSDT", 8), ("RSDT", 4)):
        board.put(root, len(board.data[root]) - size, 0, size)


def double_entry(board):
    for root, size in (("XSDT", 8), ("RSDT", 4)):
        data = board.data[root]
        data[-size:] = data[36 : 36 + size]
        board.mend(root)


def lost_entry(board):
    for root, size in (("XSDT", 8), ("RSDT", 4)):
        board.put(root, len(board.data[root]) - size, 0x7200_0000, size)


def facs_moved(address):
    def change(board):
        board.move("FACS", address)
        for offset, size in ((36, 4), (132, 8)):
            board.put("FACP", offset, address if address >> 8 * size == 0 else 0, size)

    return change


def facs_without_pointer(board):
    board.put("FACP", 36, 0, 4)
    board.put("FACP", 132, 0, 8)


def no_dsdt_pointer(board):
    board.put("FACP", 40, 0, 4)
    board.put("FACP", 140, 0, 8)


def no_pm1(board):
    board.put("FACP", 56, 0, 4)
    board.put("FACP", 148 + 4, 0, 8)


def no_enabled_cpu(board):
    for number in range(4):
        board.put("APIC", board.entry("APIC", LOCAL_APIC, number=number) + 4, 2, 4)


def without_ioapic(board):
    at = board.entry("APIC", IO_APIC)
    board.put("APIC", at, 5)  # as long, and without meaning


def package_length(step):
    """Return a change of the package length of the last scope of the DSDT."""

    def change(board):
        name = board.find("DSDT", b"\\_SB_")
        data = board.data["DSDT"]
        size = next(size for size in (2, 3) if data[name - size] >> 6 == size - 1)
        at = name - size
        assert data[at - 1] == 0x10
        length = (data[at] & 0xF | int.from_bytes(data[at + 1 : name], "little") << 4) + step
        data[at] = data[at] & 0xC0 | length & 0xF
        data[at + 1 : name] = (length >> 4).to_bytes(size - 1, "little")
        board.mend("DSDT")

    return edited(change)


def reserved_ecam(size):
    """Return a machine whose motherboard device has less memory than ECAM takes."""

    def change(board):
        board.e820 = [each for each in board.e820 if each.base != 0xB000_0000]
        at = board.find("DSDT", bytes.fromhex("8609000100 0000b0 00000010".replace(" ", "")))
        board.put("DSDT", at + 8, size, 4)

    return edited(change)


def affinity(apic_id):
    return ProcessorLocalApicAffinity(0, apic_id).to_bytes()


def two_allocations(content):
    return content + (0xB000_0000).to_bytes(8, "little") + bytes([0, 0, 0x80, 0xFF, 0, 0, 0, 0])


def ecam_high():
    return Board(q35_like(ecam=Ecam(0x10_0000_0000), smbios=True))


WINDOW = "000000c0ffffbffe00000000"  # ends of q35's window below 4 GiB, and its translation
REVERSED = "00 0d 00 00000000 00000080 00000070 00000000 00100000"
NO_LENGTH = "00 0d 00 00000000 00000080 00100080 00000000 00000000"
RAM = 0x7000_0000

MUTATIONS = [
    # -- all tables ----
    ("TABLE-CHECKSUM", raw("MCFG", 9, 0)),
    ("TABLE-LENGTH", put("WAET", 4, 0x400, 4)),
    ("TABLE-LENGTH", put("WAET", 4, 30, 4)),
    ("TABLE-TRAILING-BYTES", resized("HPET", lambda old: old + b"\1" * 24, mend_length=False)),
    ("TABLE-TOO-SHORT", resized("HPET", lambda old: old[:52])),
    ("TABLE-NO-HEADER", edited(lambda board: board.data.update(WAET=bytearray(b"WAET" * 3)))),
    ("TABLE-SIGNATURE", put("WAET", 0, 0x7F)),
    ("TABLE-DUPLICATE", edited(second_copy)),
    ("TABLE-MISSING", edited(forget_madt)),
    ("TABLE-ENTRY-TYPE", entry("APIC", 4, 0, 0x70)),
    ("TABLE-ENTRY-LENGTH", put("PPTT", 36 + 1, 0xFF)),
    ("TABLE-ENTRY-LENGTH", put("VIOT", 48 + 2, 23, platform=VIRTUAL)),
    # -- root tables ----
    ("RSDP-CHECKSUM", edited(first_checksum)),
    ("RSDP-EXTENDED-CHECKSUM", raw("RSDP", 33, 1)),
    ("RSDP-LENGTH", put("RSDP", 20, 99, 4)),
    ("RSDP-NO-ROOT", edited(lambda b: (b.put("RSDP", 16, 0, 4), b.put("RSDP", 24, 0, 8)))),
    ("RSDP-POINTER", put("RSDP", 24, 0x7200_0000, 8)),
    ("RSDP-ALIGNMENT", edited(lambda board: board.places.update(RSDP=0xF_0008))),
    ("ROOT-LENGTH", resized("RSDT", lambda old: old + b"\0\0")),
    ("ROOT-EMPTY", edited(empty_roots)),
    ("ROOT-NULL-ENTRY", edited(null_entry)),
    ("ROOT-DUPLICATE-ENTRY", edited(double_entry)),
    ("ROOT-ENTRY-TARGET", edited(lost_entry)),
    ("ROOT-DISAGREE", edited(other_entry)),
    # -- memory ----
    ("MEMORY-OVERLAP", edited(lambda board: board.move("SLIT", board.places["FACP"] + 8))),
    ("MEMORY-NOT-RESERVED", edited(lambda board: board.places.update(RSDP=0x100_0000))),
    (
        "E820-CONTRADICTION",
        edited(lambda board: board.e820.append(E820Entry(RAM, 0x1000, E820Type.RAM))),
    ),
    # -- FADT and FACS ----
    ("FADT-LENGTH", resized("FACP", lambda old: old[:268])),
    ("FADT-DSDT-MISMATCH", put("FACP", 40, 0x1234, 4)),
    ("FADT-FACS-MISMATCH", edited(two_facs)),
    ("FADT-POINTER", edited(lambda b: (b.put("FACP", 40, 0x99, 4), b.put("FACP", 140, 0x99, 8)))),
    ("FADT-NO-DSDT", edited(no_dsdt_pointer)),
    ("FADT-NO-FACS", edited(facs_without_pointer)),
    ("FADT-NO-PM1", edited(no_pm1)),
    ("FADT-BLOCK-LENGTH", put("FACP", 88, 2)),
    ("FADT-BLOCK-LENGTH", put("FACP", 89, 1)),
    ("FADT-BLOCK-LENGTH", put("FACP", 91, 3)),
    ("FADT-BLOCK-WIDTH", put("FACP", 149, 16)),
    ("FADT-BLOCK-MISMATCH", put("FACP", 64, 0x704, 4)),
    (
        "FADT-NO-RESET",
        edited(lambda b: b.put("FACP", 112, b.number("FACP", 112, 4) & ~0x400, 4)),
    ),
    ("FADT-RESET-ADDRESS", put("FACP", 120, 0, 8)),
    ("FADT-RESET-WIDTH", put("FACP", 117, 16)),
    ("FADT-RESET-SPACE", put("FACP", 116, 3)),
    ("FADT-NO-SLEEP-REGISTERS", put("FACP", 248, 0, 8, REDUCED)),
    ("FADT-SLEEP-UNUSED", put("FACP", 248, 0x600, 8)),
    ("FADT-REDUCED-REVISION", put("FACP", 112, 1 << 20 | 1 << 10, 4, OLD)),
    ("FACS-LENGTH", put("FACS", 4, 60, 4)),
    ("FACS-ALIGNMENT", edited(facs_moved(0x7100_0010))),
    ("FACS-ABOVE-4G", edited(facs_moved(0x1_0000_0000))),
    # -- MADT, processors, interrupts ----
    ("MADT-REVISION", put("APIC", 8, 1)),
    ("MADT-ENTRY-LENGTH", entry("APIC", LOCAL_APIC, 1, 0)),
    ("MADT-ENTRY-LENGTH", entry("APIC", 4, 1, 10)),
    ("MADT-NO-CPU", edited(no_enabled_cpu)),
    ("MADT-DUPLICATE-APIC-ID", put("APIC", 44 + 8 + 3, 0, platform=REDUCED)),
    ("MADT-APIC-ID-255", put("APIC", 44 + 8 + 3, 255, platform=REDUCED)),
    ("MADT-X2APIC-SMALL-ID", put("APIC", 44 + 8 + 4, 7, 4, MIXED)),
    (
        "MADT-CPU-WITHOUT-DEVICE",
        resized("APIC", lambda old: old + LocalApic(9, 9).to_bytes(), platform=REDUCED),
    ),
    ("MADT-IOAPIC-CONFLICT", edited(lambda b: b.put("APIC", len(b.data["APIC"]) - 10, 0), TWO)),
    (
        "MADT-DUPLICATE-UID",
        resized("APIC", lambda old: old + LocalApic(1, 9).to_bytes(), platform=REDUCED),
    ),
    ("MADT-NO-IOAPIC", edited(without_ioapic)),
    ("MADT-IOAPIC-ADDRESS", entry("APIC", IO_APIC, 4, 0, 4)),
    ("MADT-LAPIC-ADDRESS", put("APIC", 36, 0, 4)),
    ("MADT-OVERRIDE-SOURCE", entry("APIC", OVERRIDE, 2, 1)),
    ("MADT-OVERRIDE-FLAGS", entry("APIC", OVERRIDE, 8, 2, 2)),
    ("MADT-DUPLICATE-OVERRIDE", entry("APIC", OVERRIDE, 4, 9, 4)),
    (
        "CPU-NOT-IN-MADT",
        aml(Device("C900", Name("_HID", "ACPI0007"), Name("_UID", 9))),
    ),
    (
        "CPU-DUPLICATE-UID",
        aml(Device("C900", Name("_HID", "ACPI0007"), Name("_UID", 1))),
    ),
    ("GSI-BEYOND-24", entry("APIC", OVERRIDE, 4, 24, 4)),
    ("GSI-OUT-OF-RANGE", entry("APIC", OVERRIDE, 4, 240, 4)),
    ("GSI-OUT-OF-RANGE", aml(crs(Resources(Interrupt(1000))))),
    ("GSI-BEYOND-24", aml(device("DEV0", Name("_PRT", [[0xFFFF, 0, 0, 30]])))),
    ("PRT-ROW", aml(device("DEV0", Name("_PRT", [[0xFFFF, 4, 0, 20]])))),
    ("PRT-ROW", aml(device("DEV0", Name("_PRT", [[0x1FFFE, 1, 0, 20]])))),
    ("PRT-ROW", aml(device("DEV0", Name("_PRT", [[0x1FFFF, 1, 20]])))),
    ("PRT-ROW", aml(device("DEV0", Name("_PRT", [20])))),
    ("PRT-ROW", aml(device("DEV0", Name("_PRT", [[0x20_FFFF, 1, 0, 20]])))),
    ("PRT-ROW", aml(device("DEV0", Name("_PRT", [[Path("\\GSI_"), 4, 0, Path("\\GSI_")]])))),
    (
        "PRT-DUPLICATE",
        aml(device("DEV0", Name("_PRT", [[0xFFFF, 1, 0, 20], [0xFFFF, 1, 0, 21]]))),
    ),
    # -- proximity domains ----
    ("SRAT-ENTRY-LENGTH", entry("SRAT", 0, 1, 1, start=48)),
    ("SRAT-CPU-UNKNOWN", resized("SRAT", lambda old: old + affinity(9))),
    ("SRAT-DUPLICATE-CPU", resized("SRAT", lambda old: old + affinity(1))),
    ("SRAT-MEMORY-RANGE", entry("SRAT", 1, 16, 0, 8, start=48)),
    ("SRAT-MEMORY-OVERLAP", entry("SRAT", 1, 16, 1 << 29, 8, start=48)),
    ("SLIT-SHAPE", put("SLIT", 36, 3, 8)),
    ("SLIT-DIAGONAL", put("SLIT", 44, 11)),
    ("SLIT-DISTANCE", edited(lambda b: (b.put("SLIT", 45, 10), b.put("SLIT", 46, 10)))),
    ("SLIT-ASYMMETRIC", put("SLIT", 45, 30)),
    ("SLIT-TOO-SMALL", edited(lambda b: b.put("SRAT", b.entry("SRAT", 1, 48) + 2, 5, 4))),
    ("SRAT-CPU-MISSING", entry("SRAT", 0, 4, 0, 4, start=48)),
    # -- PCI ----
    ("MCFG-LENGTH", resized("MCFG", lambda old: old + b"\0\0\0\0")),
    ("MCFG-BUS-RANGE", edited(lambda b: (b.put("MCFG", 54, 9), b.put("MCFG", 55, 8)))),
    ("MCFG-ADDRESS", put("MCFG", 44, 0, 8)),
    ("MCFG-OVERLAP", resized("MCFG", two_allocations)),
    ("MCFG-PART-OF-BRIDGE", put("MCFG", 55, 0x7F)),
    ("ECAM-ABOVE-4G", ecam_high),
    ("ECAM-NOT-RESERVED", reserved_ecam(8 << 20)),
    ("ECAM-PARTLY-RESERVED", reserved_ecam(16 << 20)),
    ("ECAM-IN-HOST-BRIDGE", aml(host(DWordMemory(0xAF00_0000, 0xB0FF_FFFF, consumer=True)))),
    ("HOST-BUS-NUMBER", aml(host(bus=[BusNumber(1, 255)]))),
    # -- resources ----
    ("CRS-NO-BUS-RANGE", aml(host(bus=[]))),
    ("CRS-NO-END-TAG", aml(crs(Io(0x3F8, 8).to_bytes()))),
    ("CRS-ITEM-LENGTH", aml(crs(b"\x86\x09\x00\x01\x00"))),
    ("CRS-ITEM-LENGTH", aml(crs(b"\x46" + bytes(6) + b"\x79\x00"))),
    ("CRS-TRAILING-BYTES", aml(crs(b"\x79\x00\x01"))),
    ("CRS-CHECKSUM", aml(crs(b"\x22\x10\x00\x79\x01"))),
    ("CRS-WINDOW-LENGTH", replaced(WINDOW + "0000c03e", WINDOW + "0100c03e")),
    ("CRS-WINDOW-LENGTH", aml(host(RawDescriptor(0x87, bytes.fromhex(NO_LENGTH))))),
    (
        "CRS-WINDOW-REVERSED",
        aml(host(RawDescriptor(0x87, bytes.fromhex(REVERSED)))),
    ),
    ("CRS-WINDOW-OVERLAP", aml(host(DWordMemory(0xD000_0000, 0xD0FF_FFFF)))),
    ("CRS-WINDOW-OVERLAP", aml(host(WordIo(0x1000, 0x1FFF)))),
    (
        "CRS-WINDOW-TAKEN",
        edited(
            lambda board: board.e820.append(
                E820Entry(0xC000_0000, 0x1000, E820Type.RESERVED),
            )
        ),
    ),
    # -- AML ----
    ("AML-PACKAGE-LENGTH", package_length(1)),
    ("AML-PACKAGE-LENGTH", package_length(-1)),
    ("AML-PACKAGE-LENGTH", aml(RawAml(b"\x5b\x82\x3f" + b"DEVX"))),
    ("AML-BAD-OPCODE", aml(RawAml(b"\x02\x02\x02\x02"))),
    ("AML-BAD-NAME", aml(RawAml(b"\x08_B!X\x00"))),
    ("AML-BAD-NAME", aml(RawAml(b"\x5b\x82\x05AbCD"))),
    ("AML-STRAY-DATA", aml(RawAml(b"\x00"))),
    ("AML-BUFFER-SIZE", aml(Name("BUFX", RawAml(b"\x11\x06\x0a\x01\x01\x02\x03")))),
    ("AML-PACKAGE-COUNT", aml(Name("PKGX", RawAml(b"\x12\x04\x01\x00\x00")))),
    ("AML-DUPLICATE-NAME", aml(Name("DUPX", 1), Name("DUPX", 2))),
    ("AML-DUPLICATE-NAME", aml(Device("C000"))),
    ("AML-SCOPE-UNKNOWN", lambda: with_ssdt(Scope("\\_SB.PCI7", Name("NAMX", 1)))),
    (
        "AML-INTEGER-WIDTH",
        edited(lambda b: b.put("DSDT", 8, 1), ssdt=Name("BIGX", 1 << 32)),
    ),
    ("DEVICE-NO-ID", aml(Device("DEV0", Method("_STA", 0, Return(15))))),
    ("DEVICE-TWO-IDS", aml(device("DEV0", Name("_ADR", 1)))),
    ("DEVICE-BAD-ID", aml(Device("DEV0", Name("_HID", "*PNP0501")))),
    ("DEVICE-BAD-ID", aml(Device("DEV0", Name("_HID", 5)))),
    ("DEVICE-DUPLICATE-UID", aml(device("DEV0"), device("DEV1"))),
    ("S5-MISSING", replaced("085c5f53355f", "085c5f53375f")),
    ("S5-FORMAT", replaced("085c5f53355f12060400000000", "085c5f53355f1206040a090000")),
    ("S5-FORMAT", lambda: Board(NO_S5, [[Name("\\_S5", 5)]])),
    ("S5-FORMAT", lambda: Board(NO_S5, [[Name("\\_S5", [5, 9, 0, 0])]])),
    ("S5-FORMAT", lambda: Board(NO_S5, [[Name("\\_S5", [0x0905])]])),
    ("S5-SINGLE", lambda: Board(NO_S5, [[Name("\\_S5", [0x0505])]])),
    ("S5-SINGLE", lambda: Board(NO_S5, [[Name("\\_S5", [5])]])),
    # -- other tables ----
    ("HPET-SPACE", put("HPET", 40, 1)),
    ("HPET-ADDRESS", put("HPET", 44, 0, 8)),
    ("SPCR-ADDRESS", put("SPCR", 44, 0, 8)),
    ("SPCR-NAME", put("SPCR", 84, 500, 2)),
    ("DBG2-DEVICE", put("DBG2", 40, 2, 4)),
    ("DBG2-DEVICE", put("DBG2", 44 + 18, 200, 2)),
    ("DMAR-ENTRY-LENGTH", put("DMAR", 48 + 2, 3, 2)),
    ("DMAR-SCOPE", put("DMAR", 48 + 16 + 1, 7)),
    ("DMAR-IOAPIC", put("DMAR", 48 + 16 + 4, 5)),
    ("DMAR-ADDRESS", put("DMAR", 48 + 8, 0x10, 8)),
    ("DMAR-DUPLICATE-UNIT", put("DMAR", 48 + 8, 0xFED9_0000, 8)),
    ("DMAR-ORDER", put("DMAR", 48 + 4, 1)),
    ("PPTT-REFERENCE", put("PPTT", 36 + 8, 0x99, 4)),
]


def codes(board):
    return sorted({finding.code for finding in validate(board.placement())})


@pytest.mark.parametrize(
    ("code", "spoil"), MUTATIONS, ids=[f"{row[0]}-{at}" for at, row in enumerate(MUTATIONS)]
)
def test_a_fault_is_found_and_nothing_else(code, spoil):
    assert codes(spoil()) == [code]


def test_every_code_has_a_mutation():
    assert set(RULES) - {row[0] for row in MUTATIONS} == set()
