# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The page walk for debuggers and monitors: it looks and touches nothing.

It is the walk of `_page_modes`, over a context of its own, for both engines: no accessed or dirty
bit is set, no register or log word is written, and an instruction in flight does not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from vmmkit.errors import StepError
from vmmkit.insn._memory import Context, RamPiece
from vmmkit.insn._outcomes import Fault, Read
from vmmkit.insn._page_modes import (
    EFER,
    EFER_LMA,
    ENTRY_RW,
    ENTRY_US,
    ENTRY_XD,
    INTENT_FETCH,
    INTENT_WRITE,
    Walk,
    WalkFault,
    paging_is_on,
)
from vmmkit.insn._paging import PAGE_FAULT
from vmmkit.insn._segments import GP, begin_mode, is_canonical

__all__ = ["PageAccess", "PageEntry", "Translation", "translate_only"]


class PageAccess(Enum):
    """What a translation is for: the rights it needs."""

    READ = 0  #: a load
    WRITE = INTENT_WRITE  #: a store
    FETCH = INTENT_FETCH  #: an instruction fetch


class PageEntry(NamedTuple):
    """A page-table entry that a translation went through."""

    gpa: int
    size: int
    """4 bytes with 32-bit paging, else 8."""
    value: int


class Translation(NamedTuple):
    """Where a linear address leads, and what the page tables allow there."""

    gpa: int
    """Guest-physical address of the byte."""
    page_size: int
    """Bytes: 4 KiB, 2 MiB, 4 MiB or 1 GiB; 4 KiB without paging."""
    writable: bool
    """R/W is set at every level; without CR0.WP the supervisor needs no permission to write."""
    user: bool
    """U/S is set at every level."""
    executable: bool
    """XD is clear at every level."""
    entries: tuple[PageEntry, ...]
    """The entries on the way, from the root; none without paging."""


class _OutsideRam(Exception):  # noqa: N818 - ends a walk, never seen outside
    """An entry that nobody here can read."""

    def __init__(self, gpa: int, size: int) -> None:
        super().__init__(gpa, size)
        self.where = Read(gpa, size)


def _entry_loader(
    context: Context, read: Callable[[int, int], int] | None
) -> Callable[[int, int], int]:
    """Load entries from RAM, and through `read` from elsewhere."""

    def load(gpa: int, size: int) -> int:
        piece = context.piece_at(gpa, size)
        if piece is not None:
            offset = gpa - piece.gpa
            return int.from_bytes(piece.view[offset : offset + size], "little")
        if read is None:
            raise _OutsideRam(gpa, size)
        value = read(gpa, size)
        if not isinstance(value, int):
            message = f"the page-table entry at {gpa:#x} was read as {value!r}, not as an integer"
            raise StepError(message)
        return value & (1 << 8 * size) - 1

    return load


def _intent_of(access: PageAccess | None) -> int:
    if access is None:
        return 0
    if isinstance(access, PageAccess):
        return access.value
    message = f"an access is a PageAccess or None, not {access!r}"
    raise StepError(message)


def _result(walk: Walk, gpa: int) -> Translation:
    size = walk.mode.entry_size
    return Translation(
        gpa,
        1 << walk.shift,
        bool(walk.all_of & ENTRY_RW),
        bool(walk.all_of & ENTRY_US),
        not walk.any_of & ENTRY_XD,
        tuple(PageEntry(place, size, value) for place, value in walk.entries),
    )


def translate_only(
    words: memoryview,
    ram: tuple[RamPiece, ...],
    linear: int,
    access: PageAccess | None,
    user: bool | None,
    read: Callable[[int, int], int] | None,
) -> Translation | Fault | Read:
    """`Cpu.translate` on a record and RAM."""
    intent = _intent_of(access)
    context = Context(words, ram)
    begin_mode(context)
    long_mode = words[EFER] & EFER_LMA
    linear &= (1 << 64 if long_mode else 1 << 32) - 1
    if long_mode and not is_canonical(context, linear):
        return Fault(GP, 0, 0)
    if not paging_is_on(words):
        return Translation(linear, 4096, writable=True, user=True, executable=True, entries=())
    walk = Walk(words, linear, intent, user=context.cpl == 3 if user is None else user)
    try:
        gpa = walk.to_page(_entry_loader(context, read))
        if access is not None:
            walk.check_rights()
    except WalkFault as fault:
        return Fault(PAGE_FAULT, fault.error, linear)
    except _OutsideRam as entry:
        return entry.where
    return _result(walk, gpa)
