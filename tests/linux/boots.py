# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest to start, and a guest that ran."""

from __future__ import annotations

from typing import NamedTuple

from linux.boards import RAM, Board
from linux.guest import Outcome
from linux.handover import Handover
from linux.report import Report


class Boot(NamedTuple):
    """One guest to start: how many processors, what it is told, and how it is to end."""

    name: str
    cpus: int
    ending: str
    scripted: bool = False
    uefi: bool = False  # it is OVMF that carries out the script, not SeaBIOS
    pic: bool = False  # the kernel does without I/O APICs: interrupts by link devices and 8259s
    button: bool = False
    msi: bool = False  # instead of INTx
    hide_e820: bool = False  # the kernel is told of RAM only, not of what firmware reserved
    nodes: int = 1  # of NUMA, each a processor package, with equal parts of processors and RAM

    def parameters(self) -> list[str]:
        """Return the part of the kernel's command line; init.sh reads the first two."""
        own = [f"ending={self.ending}", f"button={'yes' if self.button else 'no'}"]
        own += [] if self.msi else ["pci=nomsi"]
        own += ["noapic"] if self.pic else []
        ram = ["memmap=exactmap", "memmap=639K@0", f"memmap={RAM - 1}M@1M"]
        return own + ram if self.hide_e820 else own


class Booted(NamedTuple):
    """A guest that ran to its end."""

    boot: Boot
    board: Board
    handover: Handover
    outcome: Outcome
    report: Report
