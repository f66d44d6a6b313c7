# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The answers of the guest's `init.sh` as objects, in the words of Linux's own files."""

from __future__ import annotations

import re
from typing import NamedTuple

_INTERRUPT = r" *(\d+): +((?:\d+ +)+)(\S+)(?: +(\d+-\S+))? +(.*)"  # the 8259s have no source


class Interrupt(NamedTuple):
    """One line of /proc/interrupts."""

    irq: int
    count: int  # on all processors
    chip: str  # "IO-APIC"
    source: str | None  # "20-fasteoi": the number at the chip and the way of handling
    actions: str  # "virtio0, virtio1"


class Resource(NamedTuple):
    """An address range of a function: a BAR, a ROM or a bridge's window."""

    first: int
    last: int
    flags: int  # as in Linux's include/linux/ioport.h

    @property
    def is_memory(self) -> bool:
        return bool(self.flags & 0x200)


class Function(NamedTuple):
    """A PCI function as sysfs shows it."""

    bdf: str
    config_size: int
    irq: int
    extended: int | None  # the dword at offset 100h, the first extended capability
    resources: tuple[Resource, ...]


class LogLine(NamedTuple):
    """One line of the kernel's log."""

    level: int  # 0 emergency ... 3 error, 4 warning ... 7 debug
    text: str

    def __str__(self) -> str:
        return f"<{self.level}> {self.text}"


class Report:
    """The answers of one guest."""

    def __init__(self, console: str) -> None:
        self.sections = {
            match[1]: match[2].strip("\n")
            for match in re.finditer(
                r"^@begin (.+)$\n((?:.*\n)*?)@end \1$", console.replace("\r", ""), re.MULTILINE
            )
        }
        self.complete = "@report complete" in console
        self.log = [
            LogLine(int(match[1]) & 7, match[2])
            for match in re.finditer(r"^<(\d+)>\[ *[\d.]+\] (.*)$", self["log"], re.MULTILINE)
        ]

    def __getitem__(self, section: str) -> str:
        return self.sections.get(section, "")

    def lines(self, pattern: str) -> list[str]:
        """Return the lines of the kernel's log in which a pattern is found."""
        return [line.text for line in self.log if re.search(pattern, line.text)]

    @property
    def apic_ids(self) -> list[int]:
        """The APIC id of each processor that is up."""
        return [
            int(found) for found in re.findall(r"^apicid\s*: (\d+)$", self["cpus"], re.MULTILINE)
        ]

    @property
    def tables(self) -> dict[str, str]:
        """SHA-1 by the name that the kernel gives: the signature, numbered if there are more."""
        pairs = (line.split() for line in self["tables"].splitlines())
        return {path.rpartition("/")[2]: digest for digest, path in pairs}

    @property
    def uids(self) -> dict[str, str]:
        """The _UID of each device of the namespace that has one, by name, as "ACPI0007:00"."""
        rows = (line.split() for line in self["acpi_devices"].splitlines())
        return {row[0]: row[2] for row in rows if len(row) > 2}

    @property
    def virtio(self) -> dict[str, str]:
        """The name of each virtio device by what it is on, as "0000:00:03.0" or "LNRO0005:00"."""
        paths = (line.split("/") for line in self["virtio"].splitlines())
        return {path[-2]: path[-1] for path in paths}

    def interrupts(self, section: str = "interrupts") -> dict[int, Interrupt]:
        """Return the numbered interrupts of one reading, by number."""
        found = {}
        for line in self[section].splitlines()[1:]:
            if match := re.match(_INTERRUPT, line):
                irq, counts = int(match[1]), sum(map(int, match[2].split()))
                found[irq] = Interrupt(irq, counts, match[3], match[4], match[5])
        return found

    @property
    def functions(self) -> dict[str, Function]:
        """The PCI functions by address, as "0000:00:03.0"."""
        found = {}
        for block in re.split(r"^function ", self["pci"], flags=re.MULTILINE)[1:]:
            head, *rows = block.splitlines()
            bdf, size, irq, *extended = head.split()
            ranges = (Resource(*(int(word, 16) for word in row.split())) for row in rows)
            found[bdf] = Function(
                bdf,
                int(size),
                int(irq),
                int(extended[0], 16) if extended else None,
                tuple(one for one in ranges if one.flags),
            )
        return found
