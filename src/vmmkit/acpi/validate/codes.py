# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""All codes of findings: how much they matter, what they say, and what they do to a guest.

What is quoted are messages of Linux 6.1, or of ACPICA where that is said.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.acpi.validate.finding import Severity

__all__ = ["RULES", "Rule"]

_NOTE, _WARNING, _ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR


class Rule(NamedTuple):
    """What a code stands for.

    Attributes:
        severity: of all its findings.
        says: what is wrong.
        consequence: what a guest does.
    """

    severity: Severity
    says: str
    consequence: str


_NO_MADT: Final = (
    "Linux: «Invalid BIOS MADT, disabling ACPI»; it runs on one CPU and cannot power off."
)
_STOPS: Final = "Systems stop reading the table here, or leave all of it out."
_AML_LOST: Final = (
    "ACPICA stops loading the table here («AE_AML_PACKAGE_LIMIT», or nothing is said): devices "
    "behind it are missing."
)
_PM_BLOCK: Final = (
    "The guest reads and writes wrong registers: no power button, no way to power off, or a timer "
    "that fails its «consistency check»."
)

RULES: Final[dict[str, Rule]] = {
    # -- all tables ----
    "TABLE-NO-HEADER": Rule(
        _ERROR,
        "fewer bytes than a table's header",
        "There is no table: systems read whatever follows in memory as one.",
    ),
    "TABLE-SIGNATURE": Rule(
        _ERROR, "characters that no signature has", "Systems do not find the table."
    ),
    "TABLE-LENGTH": Rule(
        _ERROR,
        "the length field leads beyond the bytes given, or is less than a header",
        "The guest reads beyond the table; its checksum is wrong, and what follows is taken for "
        "entries.",
    ),
    "TABLE-TRAILING-BYTES": Rule(
        _WARNING,
        "bytes after the length field's",
        "The guest does not see the bytes: it maps and sums what the length field says.",
    ),
    "TABLE-CHECKSUM": Rule(
        _ERROR,
        "the bytes do not add up to 0",
        "Linux warns only («Incorrect checksum in table»); other systems may leave the table out.",
    ),
    "TABLE-TOO-SHORT": Rule(
        _ERROR,
        "fewer bytes than the fixed fields of this table",
        "The guest reads fields from what follows the table, or leaves it out.",
    ),
    "TABLE-DUPLICATE": Rule(
        _ERROR,
        "a second table of which there is one only",
        "Systems take one of them, mostly the first.",
    ),
    "TABLE-MISSING": Rule(
        _ERROR,
        "no FADT, DSDT or MADT",
        "Without FADT and DSDT there is no ACPI; without MADT, Linux says «SMP disabled» and uses "
        "one CPU with the 8259 PIC.",
    ),
    "TABLE-ENTRY-LENGTH": Rule(
        _ERROR,
        "a sub-structure is too short, not as long as its type wants, or leads beyond the table",
        _STOPS,
    ),
    "TABLE-ENTRY-TYPE": Rule(
        _NOTE, "a sub-structure of a type that is not known", "Systems pass over it."
    ),
    # -- root tables ----
    "RSDP-LENGTH": Rule(
        _ERROR,
        "fewer bytes than its revision has, or a length field that does not fit",
        "Firmware and systems that search for it do not accept it.",
    ),
    "RSDP-CHECKSUM": Rule(
        _ERROR,
        "the first 20 bytes do not add up to 0",
        "Linux does not check it where it was told the address; a search passes over it, and the "
        "guest has no ACPI.",
    ),
    "RSDP-EXTENDED-CHECKSUM": Rule(
        _ERROR,
        "all bytes do not add up to 0",
        "Linux does not check it where it was told the address; a search passes over it, and the "
        "guest has no ACPI.",
    ),
    "RSDP-ALIGNMENT": Rule(
        _WARNING,
        "an address that is no multiple of 16",
        "A search in steps of 16 bytes does not find it.",
    ),
    "RSDP-NO-ROOT": Rule(_ERROR, "neither RSDT nor XSDT", "The guest has no ACPI."),
    "RSDP-POINTER": Rule(
        _ERROR, "RSDT or XSDT is not where it says", "The guest has no ACPI, or that of elsewhere."
    ),
    "ROOT-LENGTH": Rule(
        _ERROR,
        "the entries are no whole number of addresses",
        "The last one is left out, or read beyond the table.",
    ),
    "ROOT-EMPTY": Rule(_ERROR, "no entries", "The guest refuses the table and has no ACPI."),
    "ROOT-NULL-ENTRY": Rule(
        _WARNING, "an entry of zero", "Linux passes over it; other systems may stop there."
    ),
    "ROOT-DUPLICATE-ENTRY": Rule(
        _ERROR,
        "the same address twice",
        "The table is loaded twice or not at all; AML fails as all its names exist already.",
    ),
    "ROOT-ENTRY-TARGET": Rule(
        _ERROR,
        "no table at the address, or one that root tables do not list",
        "The guest reads what is there as a table, or drops the entry.",
    ),
    "ROOT-DISAGREE": Rule(
        _ERROR,
        "XSDT and RSDT list different tables",
        "Systems that take the RSDT see another machine than those that take the XSDT.",
    ),
    # -- memory ----
    "MEMORY-OVERLAP": Rule(
        _ERROR, "two pieces share memory", "One of them is overwritten before the guest runs."
    ),
    "MEMORY-NOT-RESERVED": Rule(
        _WARNING,
        "a table in memory that the memory map does not keep from use",
        "Linux reserves tables as it finds them; other systems, and a kernel started by kexec, "
        "may write there first.",
    ),
    "E820-CONTRADICTION": Rule(
        _ERROR,
        "two ranges of different types overlap",
        "Linux takes the greater type number; other systems may use reserved memory.",
    ),
    # -- FADT and FACS ----
    "FADT-LENGTH": Rule(
        _ERROR,
        "a length that is not that of its revision",
        "Linux: «Invalid length for FADT», and converts what there is; fields after the end are "
        "zero, such as sleep and reset registers.",
    ),
    "FADT-DSDT-MISMATCH": Rule(
        _ERROR,
        "DSDT and X_DSDT differ",
        "Linux: «32/64X DSDT address mismatch», and takes the 64-bit one; others the other.",
    ),
    "FADT-FACS-MISMATCH": Rule(
        _ERROR,
        "FIRMWARE_CTRL and X_FIRMWARE_CTRL differ",
        "Systems disagree where the global lock and the waking vector are.",
    ),
    "FADT-POINTER": Rule(
        _ERROR, "DSDT or FACS is not where it says", "The guest has no AML, or no FACS."
    ),
    "FADT-NO-DSDT": Rule(_ERROR, "no address of a DSDT", "The guest has no devices and no ACPI."),
    "FADT-NO-FACS": Rule(
        _ERROR,
        "full hardware without FACS",
        "There is no global lock and no waking vector; systems may refuse ACPI mode.",
    ),
    "FADT-NO-PM1": Rule(
        _ERROR,
        "full hardware without PM1a event or control block",
        "ACPICA: «Required field … has zero address and/or length»; no power button, no poweroff.",
    ),
    "FADT-BLOCK-LENGTH": Rule(_ERROR, "a register block of impossible length", _PM_BLOCK),
    "FADT-BLOCK-WIDTH": Rule(
        _ERROR,
        "the width of an X_ block is not eight times the length of the block",
        "Linux: «32/64X length mismatch», and takes one of them; others take the other.",
    ),
    "FADT-BLOCK-MISMATCH": Rule(
        _ERROR,
        "a block and its X_ block are at different addresses",
        "Linux: «32/64X address mismatch», and takes the 64-bit one; others take the other.",
    ),
    "FADT-NO-RESET": Rule(
        _WARNING,
        "RESET_REG_SUP is not set",
        "A reboot is not done by ACPI: Linux tries the keyboard controller and a triple fault.",
    ),
    "FADT-RESET-ADDRESS": Rule(
        _ERROR,
        "RESET_REG_SUP is set, and the register has address 0",
        "A reboot is not done by ACPI: Linux tries the keyboard controller and a triple fault.",
    ),
    "FADT-RESET-WIDTH": Rule(
        _ERROR,
        "a reset register of other than 8 bits",
        "Linux writes 8 bits to a port whatever it says; other systems may ignore the register.",
    ),
    "FADT-RESET-SPACE": Rule(
        _ERROR,
        "a reset register in a space that it cannot be in",
        "Systems ignore it, and a reboot hangs or takes other ways.",
    ),
    "FADT-NO-SLEEP-REGISTERS": Rule(
        _WARNING,
        "hardware-reduced without sleep control and status registers",
        "Linux needs both to power off: else «System halted», and the machine never ends.",
    ),
    "FADT-SLEEP-UNUSED": Rule(
        _NOTE,
        "sleep registers on full hardware",
        "Systems use the PM1 control block, not these registers.",
    ),
    "FADT-REDUCED-REVISION": Rule(
        _ERROR,
        "HW_REDUCED_ACPI in a revision that does not have it",
        "Systems take the machine for full hardware and use registers that are not there.",
    ),
    "FACS-LENGTH": Rule(_ERROR, "fewer than 64 bytes", "Systems do without FACS, or do not boot."),
    "FACS-ALIGNMENT": Rule(
        _ERROR,
        "an address that is no multiple of 64",
        "The global lock may cross a cache line; systems may do without FACS.",
    ),
    "FACS-ABOVE-4G": Rule(
        _WARNING,
        "an address beyond 4 GiB",
        "Windows uses the 32-bit pointer and does not find it.",
    ),
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
        _ERROR,
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
        "Linux leaves out the table: one NUMA node.",
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
    # -- resources ----
    "CRS-NO-BUS-RANGE": Rule(
        _ERROR,
        "a host bridge without a range of buses",
        "Linux: «no secondary bus range in _CRS», and takes all buses from _BBN on.",
    ),
    "CRS-NO-END-TAG": Rule(
        _ERROR,
        "a template without end tag",
        "ACPICA: «AE_AML_NO_RESOURCE_END_TAG» or «AE_AML_BAD_RESOURCE_LENGTH»: all of the "
        "resources are lost; Linux: «no secondary bus range in _CRS».",
    ),
    "CRS-ITEM-LENGTH": Rule(
        _ERROR,
        "an item that is shorter than its type wants, or leads beyond the template",
        "ACPICA refuses the template: all of the resources are lost.",
    ),
    "CRS-TRAILING-BYTES": Rule(
        _WARNING, "bytes after the end tag", "Systems do not see what comes after it."
    ),
    "CRS-CHECKSUM": Rule(
        _WARNING,
        "a checksum in the end tag that is neither 0 nor right",
        "Systems may refuse the template: all of the resources are lost.",
    ),
    "CRS-WINDOW-LENGTH": Rule(
        _ERROR,
        "the length of a range is not that from its first to its last address",
        "Linux takes the ends; systems that take the length place BARs elsewhere, or refuse it.",
    ),
    "CRS-WINDOW-REVERSED": Rule(
        _ERROR,
        "the first address of a range is above the last",
        "Linux ignores it: «can't claim; no compatible bridge window».",
    ),
    "CRS-WINDOW-OVERLAP": Rule(
        _ERROR,
        "two ranges of host bridges overlap",
        "Systems drop or clip one of them; BARs may answer at one address.",
    ),
    "CRS-WINDOW-TAKEN": Rule(
        _ERROR,
        "memory of a host bridge that the memory map or a table has as well",
        "Linux clips the window: «can't claim; no compatible bridge window», and moves BARs; or "
        "BARs hide the tables.",
    ),
    # -- AML ----
    "AML-PACKAGE-LENGTH": Rule(
        _ERROR,
        "an object is cut off by the package around it, or a package leads beyond that around it",
        _AML_LOST,
    ),
    "AML-BAD-OPCODE": Rule(_ERROR, "bytes that are no opcode", _AML_LOST),
    "AML-BAD-NAME": Rule(
        _ERROR,
        "a name with an illegal character",
        "ACPICA: «Invalid character(s) in name», and repairs it so that nothing finds it; others "
        "stop loading the table.",
    ),
    "AML-STRAY-DATA": Rule(
        _ERROR,
        "a constant where a statement belongs, as a package length too short by some leaves it",
        _AML_LOST,
    ),
    "AML-BUFFER-SIZE": Rule(
        _WARNING,
        "a buffer holds more bytes than its size",
        "ACPICA makes it larger; others cut it off, and a resource template loses its end.",
    ),
    "AML-PACKAGE-COUNT": Rule(
        _WARNING, "a package holds more elements than its number", "Those too many are dropped."
    ),
    "AML-DUPLICATE-NAME": Rule(
        _ERROR,
        "a name is declared twice",
        "ACPICA: «AE_ALREADY_EXISTS»: the second is left out, or with it all of its table.",
    ),
    "AML-SCOPE-UNKNOWN": Rule(
        _ERROR,
        "a Scope of something that is declared nowhere",
        "ACPICA: «AE_NOT_FOUND»: what is in it is left out, or all of its table.",
    ),
    "AML-INTEGER-WIDTH": Rule(
        _WARNING,
        "a constant of more than 32 bits where the DSDT has revision 1",
        "All integers have 32 bits, and the rest is cut off: addresses above 4 GiB are wrong.",
    ),
    "DEVICE-NO-ID": Rule(
        _WARNING, "a device with neither _HID nor _ADR", "No driver is found for it."
    ),
    "DEVICE-TWO-IDS": Rule(
        _WARNING,
        "a device with both _HID and _ADR",
        "Systems take it for a device of its parent bus, or for one of its own.",
    ),
    "DEVICE-BAD-ID": Rule(
        _WARNING, "a hardware id that is none", "No driver is found for it; Windows may stop."
    ),
    "DEVICE-DUPLICATE-UID": Rule(
        _WARNING,
        "two devices with one _HID and one _UID",
        "Windows cannot tell them apart and may stop; Linux confuses what it keeps by id.",
    ),
    "S5-MISSING": Rule(
        _WARNING,
        r"\_S5 is not declared",
        "Linux: «System halted»: the guest cannot power off, and the machine never ends.",
    ),
    "S5-FORMAT": Rule(
        _ERROR,
        r"\_S5 is no package of sleep types",
        "Linux: «System halted»: the guest cannot power off, and the machine never ends.",
    ),
    "S5-SINGLE": Rule(
        _NOTE, r"\_S5 has one element", "It is legal, and not every system accepts it."
    ),
    # -- other tables ----
    "HPET-SPACE": Rule(
        _ERROR, "registers that are not in memory", "Linux ignores the HPET and uses another clock."
    ),
    "HPET-ADDRESS": Rule(
        _ERROR, "registers at address 0", "Linux ignores the HPET and uses another clock."
    ),
    "SPCR-ADDRESS": Rule(_NOTE, "a console at address 0", "There is no console by this table."),
    "SPCR-NAME": Rule(
        _ERROR, "the name of the device leads beyond the table", "The console may be ignored."
    ),
    "DBG2-DEVICE": Rule(
        _ERROR, "a device, or a part of it, leads beyond the table or the device", _STOPS
    ),
    "DMAR-ENTRY-LENGTH": Rule(
        _ERROR,
        "a structure is too short, or leads beyond the table",
        "Linux does not use the IOMMU.",
    ),
    "DMAR-SCOPE": Rule(
        _ERROR,
        "a device scope that is too short, odd, or leads beyond its structure",
        "Devices are behind the wrong unit, or the IOMMU is not used.",
    ),
    "DMAR-IOAPIC": Rule(
        _ERROR,
        "a device scope of an I/O APIC that the MADT does not have",
        "Interrupt remapping, and with it x2APIC mode, stay off.",
    ),
    "DMAR-ADDRESS": Rule(
        _ERROR,
        "a unit at address 0, or not on a page",
        "Linux does not use the IOMMU.",
    ),
    "DMAR-DUPLICATE-UNIT": Rule(
        _ERROR, "two units with the same registers", "Linux does not use the IOMMU."
    ),
    "DMAR-ORDER": Rule(
        _ERROR,
        "a unit after that for all other devices of its segment",
        "Its devices are taken for those of the other unit.",
    ),
    "PPTT-REFERENCE": Rule(
        _ERROR,
        "an offset that leads to no structure, or to one of another kind",
        "The system leaves out caches, or all of the topology.",
    ),
}
