# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Codes about tables as such, root tables, memory, FADT and FACS."""

from __future__ import annotations

from typing import Final

from vmmkit.acpi.validate.finding import Rule, Severity

_NOTE, _WARNING, _ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR
_STOPS: Final = "Systems stop reading the table here, or leave all of it out."
_PM_BLOCK: Final = (
    "ACPICA: «Invalid length for FADT/…, using default …», but not for GPE blocks; systems that "
    "take the length read and write wrong registers: no power button, no way to power off."
)

TABLE_RULES: Final[dict[str, Rule]] = {
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
        "Linux goes by the length, and fields after the end are zero, such as sleep and reset "
        "registers; other systems go by the revision, and read what follows the table.",
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
        "ACPICA: «Required FADT field … has zero address and/or length»; no power button, no "
        "poweroff.",
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
}
