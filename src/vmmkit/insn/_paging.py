# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linear to guest-physical addresses; `csrc/paging.c` is the same.

No paging, and 4- and 5-level paging with 4 KiB, 2 MiB and 1 GiB pages (SDM vol. 3A, "4-Level Paging
and 5-Level Paging"): present, R/W with CR0.WP, U/S, execute-disable with EFER.NXE, PS where it is
reserved. SMEP, SMAP, protection keys and the accessed and dirty bits are not modelled yet; 32-bit
and PAE paging are answered as unsupported, never guessed.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._memory import PAGE, Context, Span, Stop
from vmmkit.insn._record import PAGE_CAPACITY, WORD

__all__ = ["locate_linear", "translate"]

PAGE_FAULT: Final = 14
PAGE_GPA: Final = WORD["page_gpa"]
PAGE_ORDINAL: Final = WORD["page_ordinal"]

CR0_WP: Final = 1 << 16
CR0_PG: Final = 1 << 31
CR4_LA57: Final = 1 << 12
EFER_LMA: Final = 1 << 10
EFER_NXE: Final = 1 << 11

ENTRY_P: Final = 1 << 0
ENTRY_RW: Final = 1 << 1
ENTRY_US: Final = 1 << 2
ENTRY_PS: Final = 1 << 7
ENTRY_XD: Final = 1 << 63
ENTRY_ADDRESS: Final = 0x000F_FFFF_FFFF_F000

# Page-fault error code (SDM vol. 3A, "Interrupt 14 - Page-Fault Exception (#PF)").
ERROR_P: Final = 1
ERROR_W: Final = 2
ERROR_U: Final = 4
ERROR_RSVD: Final = 8
ERROR_I: Final = 16

# Bits that must be 0 in an entry with PS, by level: a PDE maps 2 MiB, a PDPTE 1 GiB, and their
# address bits above PAT (bit 12) are reserved; higher up PS itself is (SDM vol. 3A, "4-Level Paging
# and 5-Level Paging", the tables of entry formats).
LARGE_RESERVED: Final = (0, 0, 0x1F_E000, 0x3FFF_E000, ENTRY_PS, ENTRY_PS)

# The kinds of access, as bits.
INTENT_WRITE: Final = 1
INTENT_FETCH: Final = 2
INTENT_SYSTEM: Final = 4  # descriptor tables and the like: supervisor whatever the CPL


class _Walk:
    """The intent of one walk and the fault it would raise."""

    __slots__ = ("context", "error", "fetch", "linear", "nxe", "user", "write")

    def __init__(self, context: Context, linear: int, intent: int) -> None:
        self.context = context
        self.linear = linear
        self.write = bool(intent & INTENT_WRITE)
        self.fetch = bool(intent & INTENT_FETCH)
        self.user = context.cpl == 3 and not intent & INTENT_SYSTEM
        self.nxe = bool(context.words[WORD["efer"]] & EFER_NXE)
        self.error = (ERROR_W if self.write else 0) | (ERROR_U if self.user else 0)
        if self.fetch and self.nxe:
            self.error |= ERROR_I

    def fault(self, error: int) -> Stop:
        """The page fault with what this walk adds to its error code."""
        return self.context.fault(PAGE_FAULT, self.error | error, self.linear)

    def check(self, entry: int, level: int) -> None:
        """Present and reserved bits of one entry."""
        if not entry & ENTRY_P:
            raise self.fault(0)
        large = entry & ENTRY_PS and level > 1
        reserved = LARGE_RESERVED[level] if large else 0
        if entry & (reserved | (0 if self.nxe else ENTRY_XD)):
            raise self.fault(ERROR_P | ERROR_RSVD)

    def check_rights(self, all_of: int, any_of: int) -> None:
        """Rights are the AND of R/W and U/S and the OR of XD over all levels."""
        wp = self.context.words[WORD["cr0"]] & CR0_WP
        denied = (
            (self.user and not all_of & ENTRY_US)
            or (self.write and not all_of & ENTRY_RW and (self.user or wp))
            or (self.fetch and any_of & ENTRY_XD)
        )
        if denied:
            raise self.fault(ERROR_P)


def _walk(context: Context, linear: int, intent: int) -> int:
    walk = _Walk(context, linear, intent)
    words = context.words
    table = words[WORD["cr3"]] & ENTRY_ADDRESS
    level = 5 if words[WORD["cr4"]] & CR4_LA57 else 4
    all_of, any_of = ENTRY_RW | ENTRY_US, 0
    while True:
        shift = 12 + 9 * (level - 1)
        entry = context.load_physical(table + (linear >> shift & 511) * 8, 8)
        walk.check(entry, level)
        all_of, any_of = all_of & entry, any_of | entry
        table = entry & ENTRY_ADDRESS
        if level == 1 or entry & ENTRY_PS:
            break
        level -= 1
    walk.check_rights(all_of, any_of)
    offset = (1 << shift) - 1
    return table & ~offset | linear & offset


def _logged_walk(context: Context, linear: int, intent: int) -> int:
    """The n-th translation of an instruction stays what it was when first made."""
    words, page = context.words, context.pages
    if page < context.pages_known and page < PAGE_CAPACITY:
        context.ordinal = words[PAGE_ORDINAL + page]
        gpa = words[PAGE_GPA + page] & ~(PAGE - 1) | linear & PAGE - 1
    else:
        gpa = _walk(context, linear, intent)
        if page < PAGE_CAPACITY:
            words[PAGE_GPA + page] = gpa
            words[PAGE_ORDINAL + page] = context.ordinal
    context.pages = page + 1
    return gpa


def translate(context: Context, linear: int, intent: int) -> int:
    """Return the guest-physical address of `linear`."""
    words = context.words
    if not words[WORD["cr0"]] & CR0_PG:
        return linear
    if not words[WORD["efer"]] & EFER_LMA:
        raise context.unsupported("PAGING_MODE", linear)
    return _logged_walk(context, linear, intent)


def locate_linear(context: Context, linear: int, size: int, intent: int) -> Span:
    """Turn `size` bytes at `linear` into fragments; both pages are checked first."""
    write = bool(intent & INTENT_WRITE)
    # The bases of system tables are 64 bits wide in compatibility mode too.
    wide = context.mode == 64 or (intent & INTENT_SYSTEM and context.words[WORD["efer"]] & EFER_LMA)
    wrap = (1 << 64 if wide else 1 << 32) - 1
    linear &= wrap
    first = min(size, PAGE - (linear & PAGE - 1))
    gpa = translate(context, linear, intent)
    if first == size:
        return (context.fragment(gpa, size, write=write),)
    rest = translate(context, linear + first & wrap, intent)
    return (
        context.fragment(gpa, first, write=write),
        context.fragment(rest, size - first, write=write),
    )
