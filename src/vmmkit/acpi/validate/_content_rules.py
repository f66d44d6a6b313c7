# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Codes about resources, AML, devices, and tables of one device."""

from __future__ import annotations

from typing import Final

from vmmkit.acpi.validate.finding import Rule, Severity

_NOTE, _WARNING, _ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR
_STOPS: Final = "Systems stop reading the table here, or leave all of it out."
_AML_LOST: Final = (
    "ACPICA stops loading the table here («AE_AML_PACKAGE_LIMIT», or nothing is said): devices "
    "behind it are missing."
)

CONTENT_RULES: Final[dict[str, Rule]] = {
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
        "a value where a statement belongs, as a package length that is too short leaves it",
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
