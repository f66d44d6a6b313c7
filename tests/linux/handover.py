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
import shutil
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import attrs

from linux.report import Report
from vmmkit.acpi.layout import E820Type
from vmmkit.acpi.linker import apply
from vmmkit.acpi.platform.assembly import Platform
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.reading import from_bytes

BASE = 0x1000_0000  # in RAM, away from kernel, initial RAM disk and what firmware uses
TABLES, RSDP, LOADER = "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"

# How the kernel takes a range into its memory map (memmap=), by E820 type.
_MEMMAP = {
    E820Type.RESERVED: "memmap={size:#x}${base:#x}",
    E820Type.ACPI: "memmap={size:#x}#{base:#x}",
    E820Type.NVS: "memmap={size:#x}%{base:#x}-1+4",  # what was RAM
}
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
        ranges = [_MEMMAP[one.type].format(base=one.base, size=one.size) for one in self.e820]
        return [f"acpi_rsdp={self.placement.rsdp:#x}", *ranges]

    def expected(self, report: Report) -> dict[str, str]:
        return digests(piece.data for piece in self.placement.pieces)


class Scripted:
    """Tables that firmware places and links."""

    name = "by fw_cfg"

    def __init__(self, platform: Platform) -> None:
        self.files = platform.table_set().linker_script().files

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
        """Carry out the script as firmware did: at the addresses that the kernel found."""
        offset = next(at for at, data in tables_in(self.files[TABLES]) if data[:4] == b"DSDT")
        addresses = {RSDP: logged(report, "RSDP"), TABLES: logged(report, "DSDT") - offset}
        linked = apply(self.files, self.files[LOADER], lambda name, *_: addresses[name])
        return digests(data for _, data in tables_in(linked.contents[TABLES]))


class ScriptedUefi(Scripted):
    """As `Scripted`, by OVMF, which installs a copy of each table at a place of its own."""

    name = "by OVMF"

    def __init__(self, platform: Platform, code: Path, variables: Path) -> None:
        super().__init__(platform)
        self.code, self.variables = code, variables

    def options(self, folder: Path) -> list[str]:
        shutil.copy(self.variables, folder / "variables")
        drive = "if=pflash,format=raw,unit={},file={}"
        return [
            *("-drive", drive.format(0, self.code) + ",readonly=on"),
            *("-drive", drive.format(1, folder / "variables")),
            *super().options(folder),
        ]

    def expected(self, report: Report) -> dict[str, str]:
        """Return what the script says, with the FADT's pointers as the firmware sets them."""
        dsdt, facs = logged(report, "DSDT"), logged(report, "FACS")
        places = {"dsdt": dsdt, "x_dsdt": dsdt, "firmware_ctrl": facs}
        tables = [from_bytes(data, verify=False) for _, data in tables_in(self.files[TABLES])]
        return digests(
            (attrs.evolve(one, **places) if isinstance(one, Fadt) else one).to_bytes()
            for one in tables
        )


def tables_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of tables that lie one after the other with zeros between."""
    offset = 0
    while found := re.compile(rb"[^\0]").search(data, offset):
        offset = found.start()
        (length,) = struct.unpack_from("<I", data, offset + 4)
        yield offset, data[offset : offset + length]
        offset += length


def logged(report: Report, signature: str) -> int:
    """Return the address of a table from the kernel's log."""
    (line,) = report.lines(rf"ACPI: {signature} 0x")
    return int(re.search(rf"{signature} (0x\w+)", line)[1], 16)
