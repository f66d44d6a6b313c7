# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Two ways for tables to get into the guest, and what it must then see.

`InMemory` lays the tables out itself: QEMU's loader device puts them in RAM, and the kernel is told
where the RSDP is. `Scripted` hands QEMU's firmware the three files of the linker script; SeaBIOS
chooses the addresses and executes the script, and the kernel finds the RSDP by itself.

Both know the SHA-1 of every table as the guest must show it in /sys/firmware/acpi/tables.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from vmmkit.acpi.linker import apply
from vmmkit.acpi.platform.context import Platform

from linux.report import Report

BASE = 0x1000_0000  # in RAM, away from kernel, initial RAM disk and what firmware uses
TABLES, RSDP, LOADER = "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"

# How the kernel writes a range into its memory map (memmap=), by E820 type: reserved, ACPI data.
_MEMMAP = {2: "$", 3: "#"}
_UNLISTED = {b"RSD ", b"RSDT", b"XSDT"}  # the kernel shows no files of these


class Handover(Protocol):
    """One way into the guest."""

    name: str

    def options(self, folder: Path) -> list[str]:
        """Return QEMU's options; files may be written into the folder."""

    def parameters(self) -> list[str]:
        """Return what the kernel's command line needs."""

    def expected(self, report: Report) -> dict[str, str]:
        """Return the SHA-1 of each table by the name that the kernel gives it."""


def digests(tables: Iterable[bytes]) -> dict[str, str]:
    """Return the SHA-1 of tables by the names that the kernel makes of their signatures."""
    listed = [table for table in tables if table[:4] not in _UNLISTED]
    total = Counter(table[:4] for table in listed)
    seen: Counter[bytes] = Counter()
    found = {}
    for table in listed:
        signature = table[:4]
        seen[signature] += 1
        number = str(seen[signature]) if total[signature] > 1 else ""
        found[signature.decode() + number] = hashlib.sha1(table).hexdigest()
    return found


class InMemory:
    """Tables at an address of our choice; what the platform reserves goes into the memory map."""

    name = "in memory"

    def __init__(self, platform: Platform, *, hide_e820: bool = False) -> None:
        self.placement = platform.table_set().place(BASE)
        self.e820 = [*self.placement.e820, *(() if hide_e820 else platform.e820())]

    def options(self, folder: Path) -> list[str]:
        base, data = self.placement.image()
        file = folder / "acpi.bin"
        file.write_bytes(data)
        return ["-device", f"loader,file={file},addr={base:#x},force-raw=on"]

    def parameters(self) -> list[str]:
        ranges = [f"memmap={size:#x}{_MEMMAP[kind]}{base:#x}" for base, size, kind in self.e820]
        return [f"acpi_rsdp={self.placement.rsdp:#x}", *ranges]

    def expected(self, report: Report) -> dict[str, str]:
        return digests(bytes(data) for _, data, *_ in self.placement.pieces)


class Scripted:
    """Tables that firmware places and links."""

    name = "by fw_cfg"

    def __init__(self, platform: Platform) -> None:
        self.table_set = platform.table_set()
        self.files: Mapping[str, bytes] = self.table_set.linker_script().files

    def options(self, folder: Path) -> list[str]:
        options = []
        for name, data in self.files.items():
            file = folder / name.replace("/", "-")
            file.write_bytes(data)
            options += ["-fw_cfg", f"name={name},file={file}"]
        return options

    def parameters(self) -> list[str]:
        return []

    def expected(self, report: Report) -> dict[str, str]:
        """Execute the script as firmware did: at the addresses that the kernel found."""
        addresses = {TABLES: self.address_of_tables(report), RSDP: logged(report, "RSDP")}
        placed = apply(self.files, LOADER, lambda name, *_: addresses[name])
        pieces = self.table_set.place(addresses[TABLES]).pieces
        return digests(bytes(data) for _, data, *_ in pieces)

    def address_of_tables(self, report: Report) -> int:
        """Return where firmware put the file of tables, from where the kernel found the DSDT."""
        tables = self.files[TABLES]
        offsets = [found.start() for found in re.finditer(b"DSDT", tables)]
        address = logged(report, "DSDT")
        return address - offsets[0]


def logged(report: Report, signature: str) -> int:
    """Return the address of a table from the kernel's log."""
    (line,) = report.lines(rf"ACPI: {signature} 0x")
    return int(re.search(rf"{signature} (0x\w+)", line)[1], 16)
