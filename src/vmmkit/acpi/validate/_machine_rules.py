# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Codes about processors, interrupts, proximity domains and PCI."""

from __future__ import annotations

from typing import Final

from vmmkit.acpi.validate.finding import Rule, Severity

_NOTE, _WARNING, _ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR
_NO_MADT: Final = (
    "Linux, where it is too short: «Invalid BIOS MADT, disabling ACPI»; it runs on one CPU and "
    "cannot power off."
)

MACHINE_RULES: Final[dict[str, Rule]] = {
    # -- MADT, processors, interrupts ----
    "MADT-REVISION": Rule(
        _WARNING,
        "a revision that does not go with that of the FADT",
        "Test suites complain, and systems may not expect newer entries.",
    ),
    "MADT-ENTRY-LENGTH": Rule(
        _ERROR, "an entry is too short, of wrong length, or leads beyond the table", _NO_MADT
    ),
    "MADT-NO-CPU": Rule(
        _ERROR, "no enabled processor", "Linux finds no CPU but that which it runs on."
    ),
    "MADT-DUPLICATE-APIC-ID": Rule(
        _ERROR, "two processors with one APIC id", "One of them never starts, without a message."
    ),
    "MADT-DUPLICATE-UID": Rule(
        _ERROR,
        "two processors with one UID",
        "Their devices, idle and performance states, and hot plug go to the wrong one.",
    ),
    "MADT-APIC-ID-255": Rule(
        _ERROR,
        "a local APIC with id FFH, which is the broadcast address",
        "Linux ignores the processor.",
    ),
    "MADT-X2APIC-SMALL-ID": Rule(
        _WARNING,
        "x2APIC entries with ids below 255 beside entries for local APICs",
        "Newer Linux ignores such entries where there are entries for local APICs too.",
    ),
    "MADT-NO-IOAPIC": Rule(
        _WARNING,
        "no I/O APIC",
        "Devices have no interrupts but MSI, or those of the 8259 PIC.",
    ),
    "MADT-IOAPIC-CONFLICT": Rule(
        _ERROR,
        "two I/O APICs with one id, address or first GSI",
        "The system drops one of them, and its interrupts never come.",
    ),
    "MADT-IOAPIC-ADDRESS": Rule(
        _ERROR,
        "an I/O APIC at address 0, or at one that is not aligned",
        "The system drops it, and its interrupts never come.",
    ),
    "MADT-LAPIC-ADDRESS": Rule(
        _WARNING,
        "local APICs at address 0, or not on a page",
        "Systems that do not use x2APIC mode read and write elsewhere.",
    ),
    "MADT-OVERRIDE-SOURCE": Rule(
        _ERROR,
        "an override of something that is no ISA interrupt",
        "Systems ignore the override.",
    ),
    "MADT-OVERRIDE-FLAGS": Rule(
        _ERROR,
        "an override with a reserved polarity or trigger mode",
        "The interrupt is set up wrongly: it is lost, or never ends.",
    ),
    "MADT-DUPLICATE-OVERRIDE": Rule(
        _ERROR,
        "two overrides of one interrupt, or to one GSI",
        "One of both interrupts never comes.",
    ),
    "MADT-CPU-WITHOUT-DEVICE": Rule(
        _WARNING,
        "some processors have a device, this one has none",
        "No idle or performance states and no hot plug for it.",
    ),
    "CPU-NOT-IN-MADT": Rule(
        _WARNING,
        "the device of a processor has a UID that no entry of the MADT has",
        "The device is that of no CPU: Linux leaves it out, and hot plug does not work.",
    ),
    "CPU-DUPLICATE-UID": Rule(
        _ERROR,
        "two devices of processors with one UID",
        "Both are taken for the same CPU.",
    ),
    "GSI-OUT-OF-RANGE": Rule(
        _ERROR, "an interrupt that no I/O APIC has", "The interrupt never comes."
    ),
    "GSI-BEYOND-24": Rule(
        _WARNING,
        "an interrupt beyond the 24 inputs that an I/O APIC usually has",
        "The interrupt never comes, unless the I/O APIC has more inputs; the tables do not say.",
    ),
    "PRT-ROW": Rule(
        _ERROR,
        "a malformed row of _PRT",
        "Linux: «can't derive routing for PCI INT A»: the device has the interrupt of its "
        "configuration space, or none.",
    ),
    "PRT-DUPLICATE": Rule(
        _ERROR, "two rows of _PRT for one pin", "Systems take one of them, mostly the first."
    ),
    # -- proximity domains ----
    "SRAT-ENTRY-LENGTH": Rule(
        _ERROR,
        "an entry is too short, of wrong length, or leads beyond the table",
        "Linux leaves out the table: one NUMA node.",
    ),
    "SRAT-DUPLICATE-CPU": Rule(
        _ERROR, "two entries for one processor", "The last one counts, or the first."
    ),
    "SRAT-CPU-UNKNOWN": Rule(
        _WARNING, "an entry for a processor that the MADT does not have", "It has no effect."
    ),
    "SRAT-CPU-MISSING": Rule(
        _WARNING,
        "a processor without an entry",
        "It is put into the first node, whatever memory it is near.",
    ),
    "SRAT-MEMORY-RANGE": Rule(
        _ERROR,
        "memory of no bytes, or beyond the address space, that is enabled",
        "Linux ignores the range, and then all of the table if memory of the guest is in no other.",
    ),
    "SRAT-MEMORY-OVERLAP": Rule(
        _ERROR,
        "two ranges of memory overlap",
        "Linux leaves out the table if they are of two domains: one NUMA node.",
    ),
    "SLIT-SHAPE": Rule(
        _ERROR,
        "the matrix is not as large as its number of localities",
        "The guest reads distances beyond the table, or leaves it out.",
    ),
    "SLIT-DIAGONAL": Rule(
        _ERROR,
        "the distance of a locality to itself is not 10",
        "Linux leaves out the table: all nodes are equally far.",
    ),
    "SLIT-DISTANCE": Rule(
        _ERROR,
        "a distance to another locality that is not above 10",
        "Linux leaves out the table: all nodes are equally far.",
    ),
    "SLIT-ASYMMETRIC": Rule(
        _NOTE, "there and back differ", "It is legal; systems may take one of both for either."
    ),
    "SLIT-TOO-SMALL": Rule(
        _ERROR,
        "a domain of the SRAT has no row",
        "Distances of that domain are unknown.",
    ),
    # -- PCI ----
    "MCFG-LENGTH": Rule(
        _ERROR,
        "no whole number of allocations, or none",
        "Linux: «not using MMCONFIG»: configuration space of 256 instead of 4096 bytes.",
    ),
    "MCFG-BUS-RANGE": Rule(
        _ERROR,
        "the first bus is above the last",
        "The allocation is dropped: configuration space of 256 instead of 4096 bytes.",
    ),
    "MCFG-ADDRESS": Rule(
        _ERROR,
        "an address of zero, or one that is no multiple of 1 MiB",
        "Configuration space is read from elsewhere, or is 256 instead of 4096 bytes.",
    ),
    "MCFG-OVERLAP": Rule(
        _ERROR,
        "two allocations have the same buses of a segment, or the same memory",
        "One of them is dropped, or two functions answer to one address.",
    ),
    "MCFG-PART-OF-BRIDGE": Rule(
        _WARNING,
        "ECAM does not have all buses of its host bridge",
        "Linux: «only partially covers this bridge»: functions on the other buses have 256 bytes "
        "of configuration space.",
    ),
    "ECAM-ABOVE-4G": Rule(
        _WARNING,
        "ECAM beyond 4 GiB",
        "Linux accepts it only with a BIOS date from 2010 on, which SMBIOS says; else it is "
        "ignored, and configuration space has 256 bytes.",
    ),
    "ECAM-NOT-RESERVED": Rule(
        _ERROR,
        "neither a PNP0C01 or PNP0C02 device nor the memory map has the window",
        "Linux: «not reserved in ACPI motherboard resources», «not using MMCONFIG»: configuration "
        "space of 256 instead of 4096 bytes, «can't access extended PCI configuration space».",
    ),
    "ECAM-PARTLY-RESERVED": Rule(
        _ERROR,
        "only a part of the window is reserved",
        "Linux: «size reduced!», «only partially covers this bridge»: buses beyond have 256 bytes "
        "of configuration space.",
    ),
    "ECAM-IN-HOST-BRIDGE": Rule(
        _ERROR,
        "the window is in _CRS of a host bridge",
        "Systems put BARs there, which then answer in place of configuration space, or refuse "
        "the window.",
    ),
    "HOST-BUS-NUMBER": Rule(
        _WARNING,
        "_BBN is not the first bus of _CRS",
        "Systems take one of both; with the wrong one no device is found.",
    ),
}
