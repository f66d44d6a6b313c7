# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linear to guest-physical addresses for the engine; `csrc/paging.c` is the same.

`_page_modes` walks and judges. Here the walk gets its entries, its faults are delivered, and the
accessed and dirty bits are set, once a translation has succeeded, by compare-and-swap: an entry
that somebody else changed meanwhile starts the walk anew. Entries outside of RAM are read and
marked through the replay log like any device; entries in read-only RAM are not marked.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._memory import PAGE, Context, Span
from vmmkit.insn._page_modes import (
    EFER,
    EFER_LMA,
    INTENT_SYSTEM,
    INTENT_WRITE,
    Walk,
    WalkFault,
    paging_is_on,
)
from vmmkit.insn._record import PAGE_CAPACITY, WORD

__all__ = ["locate_linear", "translate"]

PAGE_FAULT: Final = 14
PAGE_GPA: Final = WORD["page_gpa"]
PAGE_ORDINAL: Final = WORD["page_ordinal"]


def _mark(context: Context, walk: Walk) -> bool:
    """Set accessed and dirty bits; `False` when an entry was changed by somebody else."""
    size = walk.mode.entry_size
    return all(
        context.mark_physical(gpa, size, entry, marked) for gpa, entry, marked in walk.marks()
    )


def _walk(context: Context, linear: int, intent: int) -> int:
    user = context.cpl == 3 and not intent & INTENT_SYSTEM
    ordinal = context.ordinal
    while True:
        context.ordinal = ordinal  # device entries stay what they were when read first
        walk = Walk(context.words, linear, intent, user=user)
        try:
            gpa = walk.to_page(context.load_physical)
            walk.check_rights()
        except WalkFault as fault:
            raise context.fault(PAGE_FAULT, fault.error, linear) from None
        if _mark(context, walk):
            return gpa


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
    if not paging_is_on(context.words):
        return linear
    return _logged_walk(context, linear, intent)


def locate_linear(context: Context, linear: int, size: int, intent: int) -> Span:
    """Turn `size` bytes at `linear` into fragments; both pages are checked first."""
    write = bool(intent & INTENT_WRITE)
    # The bases of system tables are 64 bits wide in compatibility mode too.
    wide = context.mode == 64 or (intent & INTENT_SYSTEM and context.words[EFER] & EFER_LMA)
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
