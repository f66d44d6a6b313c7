# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The state of the processor at a guest's first instruction."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from attrs import field, frozen

from vmmkit.errors import ImagePlacementError
from vmmkit.loader._memory import IDENTITY_SPACE, PAGE

if TYPE_CHECKING:
    from vmmkit.loader._plan import Plan

__all__ = ["REACH", "StartableState", "Startup", "long_mode", "protected_mode", "real_mode"]

CODE: Final = 0x10  # Documentation/arch/x86/boot.rst, "64-bit Boot Protocol": __BOOT_CS
DATA: Final = 0x18  # __BOOT_DS
# Hidden parts as in SDM vol. 3C, "Guest Register State".
ATTRIBUTES: Final = {32: 0xC09B, 64: 0xA09B}
DATA_ATTRIBUTES: Final = 0xC093
LDT_ATTRIBUTES: Final = 0x82
TSS_BUSY: Final = 0x8B
# SDM vol. 3A, "Segment Descriptors": the same segments as the processor would load them.
CODE_DESCRIPTOR: Final = {32: 0x00CF_9B00_0000_FFFF, 64: 0x00AF_9B00_0000_FFFF}
DATA_DESCRIPTOR: Final = 0x00CF_9300_0000_FFFF
CR0: Final = {16: 0x10, 32: 0x11, 64: 0x8000_0011}  # ET, PE, PG
CR4: Final = {16: 0, 32: 0, 64: 0x20}  # PAE
EFER: Final = {16: 0, 32: 0, 64: 0x500}  # LME, LMA
REACH: Final = {16: 0xF_FFFF, 32: 0xFFFF_FFFF, 64: IDENTITY_SPACE - 1}
RFLAGS: Final = 0x2  # IF, DF, TF and VM clear
VECTOR_TABLE_LIMIT: Final = 0x3FF  # of real-address mode
GENERAL: Final = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *(f"r{number}" for number in range(8, 16)),
)
DATA_SEGMENTS: Final = ("es", "ss", "ds", "fs", "gs")
PRESENT_WRITABLE: Final = 0x3
LARGE: Final = 0x80
GIB: Final = 1 << 30
ENTRIES: Final = 512  # of a paging structure
PAGING_TABLE: Final = struct.Struct("<512Q")


class StartableState(Protocol):
    """What `Boot.start` wants of the registers of a vCPU: `vmmkit.insn.CpuState` has it all.

    Beside these methods it sets attributes named as registers: `rax` to `r15`, `rflags`,
    `cr0`, `cr4`, `efer`, `gdtr_base`, `gdtr_limit`, `idtr_base`, `idtr_limit`, and with
    `(selector, base, limit, attributes)` the segments `cs`, `ss`, `ds`, `es`, `fs`, `gs`,
    `tr` and `ldtr`.
    """

    def enter_real_mode(self, ip: int, selector: int = 0) -> None:
        """Prepare 16-bit real-address mode at `selector`:`ip`."""

    def enter_protected_mode(self, eip: int) -> None:
        """Prepare 32-bit protected mode without paging."""

    def enter_long_mode(self, rip: int, cr3: int) -> None:
        """Prepare 64-bit mode with 4-level paging."""


@frozen
class Startup:
    """Where and how a guest starts.

    Every general register that `registers` does not name is 0; interrupts are off, the direction
    flag is clear. In the modes 32 and 64 the segments are flat, CS is 10h and the others 18h, the
    GDT holds both; LDTR is 0 and the IDT is empty. CR0 has PE and ET set, in mode 64 also PG.
    """

    mode: int
    """16 (real-address mode), 32 (protected mode without paging) or 64."""
    entry: int
    """Linear address of the first instruction."""
    registers: Mapping[str, int] = field(factory=dict)
    """General registers by name that the protocol gives a meaning."""
    gdt: int = 0
    """Where the GDT lies (modes 32 and 64)."""
    cr3: int = 0
    """Where the page tables lie (mode 64)."""

    def apply(self, state: StartableState) -> None:
        """Set the registers of `state`; those not mentioned (debug, vector, MSRs) stay."""
        self._enter(state)
        values: dict[str, object] = dict.fromkeys(GENERAL, 0)
        values |= {"rflags": RFLAGS, "cr0": CR0[self.mode], "cr4": CR4[self.mode]}
        values |= {"efer": EFER[self.mode], "idtr_base": 0, "idtr_limit": 0}
        values |= {"ldtr": (0, 0, 0xFFFF, LDT_ATTRIBUTES), "tr": (0, 0, 0x67, TSS_BUSY)}
        values |= self._tables()
        values |= self.registers
        for name, value in values.items():
            setattr(state, name, value)

    def _enter(self, state: StartableState) -> None:
        if self.mode == 64:
            state.enter_long_mode(self.entry, self.cr3)
        elif self.mode == 32:
            state.enter_protected_mode(self.entry)
        else:
            selector = 0 if self.entry < 0x1_0000 else self.entry >> 4
            state.enter_real_mode(self.entry - (selector << 4), selector)

    def _tables(self) -> dict[str, object]:
        if self.mode == 16:
            return {"idtr_limit": VECTOR_TABLE_LIMIT}
        flat = (DATA, 0, 0xFFFF_FFFF, DATA_ATTRIBUTES)
        return {
            "gdtr_base": self.gdt,
            "gdtr_limit": DATA + 7,
            "cs": (CODE, 0, 0xFFFF_FFFF, ATTRIBUTES[self.mode]),
            **dict.fromkeys(DATA_SEGMENTS, flat),
        }


def real_mode(entry: int) -> Startup:
    """Return a start in real-address mode, at 0:`entry` if that is below 64 KiB."""
    return Startup(16, _reached(16, entry))


def protected_mode(plan: Plan, entry: int, **registers: int) -> Startup:
    """Place a GDT and return a start in 32-bit protected mode."""
    return Startup(32, _reached(32, entry), registers, gdt=_place_gdt(plan, 32))


def long_mode(plan: Plan, entry: int, **registers: int) -> Startup:
    """Place a GDT and page tables that map what is placed; return a start in 64-bit mode.

    Call it last: the first 4 GiB are mapped one to one, and each GiB that holds a claimed byte.
    """
    gdt = _place_gdt(plan, 64)
    return Startup(64, _reached(64, entry), registers, gdt=gdt, cr3=_place_page_tables(plan))


def _reached(mode: int, entry: int) -> int:
    if not 0 <= entry <= REACH[mode]:
        raise ImagePlacementError(f"mode {mode} cannot start there", entry, 1, "entry")
    return entry


def _place_gdt(plan: Plan, mode: int) -> int:
    table = struct.pack("<4Q", 0, 0, CODE_DESCRIPTOR[mode], DATA_DESCRIPTOR)
    return plan.place("GDT", table, alignment=8)


def _place_page_tables(plan: Plan) -> int:
    """Place tables with pages of 2 MiB (every processor with 64-bit mode has them)."""
    wanted = set(range(4))
    for one in plan.layout:
        wanted.update(range(one.gpa // GIB, one.last // GIB + 1))
    gibs = sorted(wanted)
    upper = sorted({number // ENTRIES for number in gibs})
    size = PAGE * (1 + len(upper) + len(gibs))
    cr3 = plan.reserve("page tables", size, alignment=PAGE)
    first_directory = cr3 + PAGE * (1 + len(upper))
    directories = {number: first_directory + PAGE * i for i, number in enumerate(gibs)}
    rows: dict[int, dict[int, int]] = {number: {} for number in upper}
    for gib, gpa in directories.items():
        rows[gib // ENTRIES][gib % ENTRIES] = gpa
    tables = [_table({number: cr3 + PAGE * (1 + i) for i, number in enumerate(upper)})]
    tables += [_table(row) for row in rows.values()]
    tables += [_large_pages(number * GIB) for number in gibs]
    plan.fill(cr3, b"".join(tables))
    return cr3


def _table(below: Mapping[int, int]) -> bytes:
    """Return a paging structure with entries for other structures, by number."""
    entries = [0] * ENTRIES
    for number, gpa in below.items():
        entries[number] = gpa | PRESENT_WRITABLE
    return PAGING_TABLE.pack(*entries)


def _large_pages(base: int) -> bytes:
    """Return a page directory that maps 1 GiB at `base` one to one."""
    flags = PRESENT_WRITABLE | LARGE
    return PAGING_TABLE.pack(*(base | number << 21 | flags for number in range(ENTRIES)))
