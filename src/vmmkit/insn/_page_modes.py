# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Paging modes: the formats of their entries, and the rights of a walk; `csrc/page_modes.c`.

SDM vol. 3A, "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging", "Access Rights"
and "Protection Keys". A `Walk` reads entries through a function of its caller and changes nothing,
so the engine and the read-only `Cpu.translate` are the same walk.

PAE: a processor loads the four PDPTEs into registers at MOV CR3, and raises #GP there for a
reserved bit. Here that is checked by `_control_registers`, and they are read again at each walk,
where a reserved bit is a page fault with RSVD, as on AMD processors under nested paging (AMD64 APM
vol. 2, "Legacy PAE Mode" of a nested-paging guest).
Not modelled: processors without PSE-36, PAT or 1 GiB pages, supervisor protection keys
(CR4.PKS), and shadow-stack pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from vmmkit.insn._record import WORD

__all__ = ["PAGE_MODES", "PageMode", "Walk", "WalkFault", "paging_is_on", "physical_bits"]

CR0: Final = WORD["cr0"]
CR3: Final = WORD["cr3"]
CR4: Final = WORD["cr4"]
EFER: Final = WORD["efer"]
RFLAGS: Final = WORD["rflags"]
PKRU: Final = WORD["pkru"]
MAXPHYADDR: Final = WORD["maxphyaddr"]

CR0_WP: Final = 1 << 16
CR0_PG: Final = 1 << 31
CR4_PSE: Final = 1 << 4
CR4_PAE: Final = 1 << 5
CR4_LA57: Final = 1 << 12
CR4_SMEP: Final = 1 << 20
CR4_SMAP: Final = 1 << 21
CR4_PKE: Final = 1 << 22
EFER_LMA: Final = 1 << 10
EFER_NXE: Final = 1 << 11
RFLAGS_AC: Final = 1 << 18

LEAST_PHYSICAL, MOST_PHYSICAL = 32, 52  # widths of a physical address, in bits

ENTRY_P: Final = 1 << 0
ENTRY_RW: Final = 1 << 1
ENTRY_US: Final = 1 << 2
ENTRY_A: Final = 1 << 5
ENTRY_D: Final = 1 << 6
ENTRY_PS: Final = 1 << 7
ENTRY_XD: Final = 1 << 63
ENTRY_ADDRESS: Final = 0x000F_FFFF_FFFF_F000
ENTRY_62_52: Final = 0x7FF0_0000_0000_0000  # reserved in PAE entries
KEY_SHIFT: Final = 59

# Page-fault error code (SDM vol. 3A, "Interrupt 14 - Page-Fault Exception (#PF)").
ERROR_P: Final = 1
ERROR_W: Final = 2
ERROR_U: Final = 4
ERROR_RSVD: Final = 8
ERROR_I: Final = 16
ERROR_PK: Final = 32

# The kinds of access, as bits.
INTENT_WRITE: Final = 1
INTENT_FETCH: Final = 2
INTENT_SYSTEM: Final = 4  # descriptor tables and the like: supervisor whatever the CPL


class PageMode(NamedTuple):
    """How a paging mode cuts a linear address."""

    levels: int
    entry_size: int
    """Bytes."""
    index_bits: int
    root: int
    """The bits of CR3 that are the address of the first table."""


PAGE_MODES: Final = (
    PageMode(2, 4, 10, 0xFFFF_F000),
    PageMode(3, 8, 9, 0xFFFF_FFE0),
    PageMode(4, 8, 9, ENTRY_ADDRESS),
    PageMode(5, 8, 9, ENTRY_ADDRESS),
)
MODE_32, MODE_PAE, MODE_4, MODE_5 = PAGE_MODES

# Bits that must be 0 in an 8-byte entry with PS, by level: a PDE maps 2 MiB, a PDPTE 1 GiB, and
# their address bits above PAT (bit 12) are reserved; higher up PS itself is.
LARGE_RESERVED: Final = (0, 0, 0x1F_E000, 0x3FFF_E000, ENTRY_PS, ENTRY_PS)
PDPTE_RESERVED: Final = ENTRY_XD | 0x1E6  # PAE: bits 63, 8:5 and 2:1
# What a PAE PDPTE has no bits for: it grants everything, and is never marked.
PDPTE_GRANTS: Final = ENTRY_RW | ENTRY_US | ENTRY_A

# PSE-36: a 4 MiB page's address has its bits 39:32 in bits 20:13 of the PDE; bit 21 is reserved.
PSE_HIGH: Final = 0x1F_E000
PSE_HIGH_SHIFT: Final = 19
PSE_RESERVED: Final = 0x3F_E000
PSE_PHYSICAL: Final = 40


class WalkFault(Exception):  # noqa: N818 - what the processor calls it
    """A page fault; `error` is its error code."""

    def __init__(self, error: int) -> None:
        """Carry the error code."""
        super().__init__(error)
        self.error = error


def paging_is_on(words: memoryview) -> bool:
    """CR0.PG."""
    return bool(words[CR0] & CR0_PG)


def _page_mode(words: memoryview) -> PageMode:
    """SDM vol. 3A, "Paging Modes and Control Bits"."""
    if words[EFER] & EFER_LMA:
        return MODE_5 if words[CR4] & CR4_LA57 else MODE_4
    return MODE_PAE if words[CR4] & CR4_PAE else MODE_32


def physical_bits(words: memoryview) -> int:
    """MAXPHYADDR; a record that somebody else filled may hold anything."""
    return max(LEAST_PHYSICAL, min(words[MAXPHYADDR], MOST_PHYSICAL))


def _reserved_always(words: memoryview, mode: PageMode) -> int:
    """Bits that must be 0 in every present entry."""
    if mode is MODE_32:
        return 0
    reserved = ENTRY_ADDRESS & -(1 << physical_bits(words))
    if mode is MODE_PAE:
        reserved |= ENTRY_62_52
    return reserved if words[EFER] & EFER_NXE else reserved | ENTRY_XD


def _reserved_in_large(words: memoryview, mode: PageMode, level: int) -> int:
    """Further bits that must be 0 in an entry that maps a large page."""
    if mode is not MODE_32:
        return LARGE_RESERVED[level]
    first = min(physical_bits(words), PSE_PHYSICAL) - PSE_HIGH_SHIFT
    return PSE_RESERVED & -(1 << first)


class Walk:
    """One walk: what the registers ask of it, then the entries on its way.

    Args:
        words: the vCPU record.
        linear: within the width of the mode's linear addresses.
        intent: `INTENT_` bits.
        user: whether the access has user rights; never with `INTENT_SYSTEM`.
    """

    __slots__ = (
        "all_of",
        "any_of",
        "entries",
        "error",
        "intent",
        "linear",
        "mode",
        "reserved",
        "shift",
        "user",
        "words",
    )

    def __init__(self, words: memoryview, linear: int, intent: int, *, user: bool) -> None:
        """Read the registers; no entry yet."""
        self.words = words
        self.linear = linear
        self.intent = intent
        self.user = user
        self.mode = _page_mode(words)
        self.reserved = _reserved_always(words, self.mode)
        self.error = self._error()
        self.entries: list[tuple[int, int]] = []
        self.all_of, self.any_of = ENTRY_RW | ENTRY_US | ENTRY_A, 0
        self.shift = 0

    def _error(self) -> int:
        """The part of the error code that tells what the access is."""
        cr4, nxe = self.words[CR4], self.words[EFER] & EFER_NXE
        error = ERROR_W if self.intent & INTENT_WRITE else 0
        if self.user:
            error |= ERROR_U
        if self.intent & INTENT_FETCH and (cr4 & CR4_SMEP or (cr4 & CR4_PAE and nxe)):
            error |= ERROR_I
        return error

    def to_page(self, load: Callable[[int, int], int]) -> int:
        """Walk down to the page and return the guest-physical address.

        `load(gpa, size)` reads an entry. Raises `WalkFault` for an entry that is not present or has
        a reserved bit set; `entries` then ends with it.
        """
        mode, linear = self.mode, self.linear
        table, level = self.words[CR3] & mode.root, mode.levels
        while True:
            self.shift = shift = 12 + mode.index_bits * (level - 1)
            index = linear >> shift & (1 << mode.index_bits) - 1
            gpa = table + index * mode.entry_size
            entry = load(gpa, mode.entry_size)
            self.entries.append((gpa, entry))
            large = level > 1 and bool(entry & ENTRY_PS) and self._has_large_pages()
            self._check(entry, level, large=large)
            # Rights are the AND of R/W and U/S and the OR of XD over all levels.
            self.all_of &= entry | (PDPTE_GRANTS if self._is_pdpte(level) else 0)
            self.any_of |= entry
            if large or level == 1:
                break
            table, level = entry & ENTRY_ADDRESS, level - 1
        offset = (1 << shift) - 1
        gpa = entry & ENTRY_ADDRESS & ~offset | linear & offset
        if large and mode is MODE_32:
            gpa |= (entry & PSE_HIGH) << PSE_HIGH_SHIFT
        return gpa

    def _has_large_pages(self) -> bool:
        return self.mode is not MODE_32 or bool(self.words[CR4] & CR4_PSE)

    def _check(self, entry: int, level: int, *, large: bool) -> None:
        """Present and reserved bits of one entry."""
        if not entry & ENTRY_P:
            raise WalkFault(self.error)
        reserved = self.reserved
        if self._is_pdpte(level):
            reserved |= PDPTE_RESERVED
        elif large:
            reserved |= _reserved_in_large(self.words, self.mode, level)
        if entry & reserved:
            raise WalkFault(self.error | ERROR_P | ERROR_RSVD)

    def _is_pdpte(self, level: int) -> bool:
        """Whether `level` is that of the four PAE entries with few bits."""
        return self.mode is MODE_PAE and level == 3

    def check_rights(self) -> None:
        """Raise `WalkFault` unless the entries allow the access."""
        keyed = self._key_denies()
        if keyed or self._rights_deny():
            raise WalkFault(self.error | ERROR_P | (ERROR_PK if keyed else 0))

    def _is_strict(self) -> bool:
        """Whether the access needs write permission in order to write."""
        return self.user or bool(self.words[CR0] & CR0_WP)

    def _rights_deny(self) -> bool:
        user_page = self.all_of & ENTRY_US
        if self.user and not user_page:
            return True
        if not self.user and user_page and self._supervisor_is_kept_out():
            return True
        if self.intent & INTENT_WRITE:
            return not self.all_of & ENTRY_RW and self._is_strict()
        return bool(self.intent & INTENT_FETCH and self.any_of & ENTRY_XD)

    def _supervisor_is_kept_out(self) -> bool:
        """SMEP for fetches; SMAP for data, lifted by AC for explicit accesses only."""
        cr4 = self.words[CR4]
        if self.intent & INTENT_FETCH:
            return bool(cr4 & CR4_SMEP)
        lifted = self.words[RFLAGS] & RFLAGS_AC and not self.intent & INTENT_SYSTEM
        return bool(cr4 & CR4_SMAP and not lifted)

    def _key_denies(self) -> bool:
        """Protection keys: data accesses to user pages, with 4 and 5 levels."""
        words = self.words
        if not words[CR4] & CR4_PKE or self.intent & INTENT_FETCH or not self.all_of & ENTRY_US:
            return False
        if self.mode.levels < MODE_4.levels:
            return False
        rights = words[PKRU] >> 2 * (self.entries[-1][1] >> KEY_SHIFT & 15)
        write_disabled = rights & 2 and self.intent & INTENT_WRITE and self._is_strict()
        return bool(rights & 1 or write_disabled)

    def marks(self) -> list[tuple[int, int, int]]:
        """Accessed and dirty bits to be set: `(gpa, entry, marked entry)`, root first.

        SDM vol. 3A, "Accessed and Dirty Flags": A in every entry used, D in the one that maps the
        page when it is written; PAE PDPTEs have neither.
        """
        dirty = ENTRY_D if self.intent & INTENT_WRITE else 0
        last = self.entries[-1][1]
        if self.all_of & ENTRY_A and last & dirty == dirty:
            return []
        marked = [(gpa, entry, entry | ENTRY_A) for gpa, entry in self.entries]
        gpa, entry, _ = marked[-1]
        marked[-1] = gpa, entry, entry | ENTRY_A | dirty
        if self.mode is MODE_PAE:
            del marked[0]
        return [mark for mark in marked if mark[1] != mark[2]]
