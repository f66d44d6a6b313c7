# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Several elements of MOVS, STOS, INS and OUTS at once; `csrc/string_runs.c` is the same.

Elements that lie in one page, in one segment and within the address size pass the checks that the
first of them has passed, and go to the same place. Such a run, upwards, is done in one go where it
stays in RAM, and is offered to the caller as a block where one side is a device. The result is that
of one element after the other, overlaps included.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.insn._execute import read_register
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import (
    BLOCK_READ,
    BLOCK_WRITE,
    PAGE,
    Context,
    Fragment,
    RamPiece,
    Span,
)
from vmmkit.insn._record import NO_RAM
from vmmkit.insn._segments import (
    ATTR_DB,
    ATTR_S,
    ATTRIBUTES,
    LIMIT,
    SEGMENT,
    TYPE_CODE,
    TYPE_EXPAND_DOWN,
    locate,
)

__all__ = ["Side", "fill_run", "locate_side", "move_run", "run_length"]

EXPAND_DOWN: Final = ATTR_S | TYPE_EXPAND_DOWN


class Side(NamedTuple):
    """One memory side of a string instruction at its present element."""

    span: Span
    room: int
    """Elements from here upwards that one page and segment hold; 0 if the element crosses."""


def _last_offset(context: Context, segment: int) -> int:
    """The highest offset that a segment and the address size allow."""
    last = mask_of(context.address_size)
    if context.mode == 64:
        return last
    start = SEGMENT + 4 * segment
    attributes = context.words[start + ATTRIBUTES]
    if attributes & (EXPAND_DOWN | TYPE_CODE) == EXPAND_DOWN:
        return min(last, 0xFFFF_FFFF if attributes & ATTR_DB else 0xFFFF)
    return min(last, context.words[start + LIMIT])


def locate_side(context: Context, segment: int, register: int, size: int, *, write: bool) -> Side:
    """Check and translate the present element, and see how many more are like it."""
    offset = read_register(context, register, context.address_size)
    span = locate(context, segment, offset, size, write=write)
    if len(span) > 1:
        return Side(span, 0)
    in_page = PAGE - (span[0].gpa & PAGE - 1)
    in_segment = _last_offset(context, segment) - offset + 1
    return Side(span, min(in_page, in_segment) // size)


def run_length(most: int, *sides: Side) -> int:
    """Elements to do at once, 0 when the element stays alone."""
    count = min(most, *(side.room for side in sides))
    return count if count > 1 else 0


def _copy(source: memoryview, target: memoryview, size: int) -> None:
    """Copy element by element, so that an overlap repeats what has just been written."""
    for start in range(0, len(source), size):
        target[start : start + size] = bytes(source[start : start + size])


def _bytes_at(piece: RamPiece, gpa: int, length: int) -> memoryview:
    return piece.view[gpa - piece.gpa : gpa - piece.gpa + length]


def move_run(context: Context, source: Side, target: Side, size: int, count: int) -> bool:
    """Move a run of `count` elements within RAM; or offer it; `False` if it was not done."""
    from_, to = source.span[0], target.span[0]
    if from_.piece is None or to.piece is None:
        _offer_move(context, from_, to, size, count)
        return False
    read = _bytes_at(from_.piece, from_.gpa, size * count)
    written = _bytes_at(to.piece, to.gpa, size * count)
    if from_.piece is to.piece and not from_.gpa < to.gpa < from_.gpa + size * count:
        written[:] = read
    else:  # an overlap, or perhaps one: two pieces may be the same memory
        _copy(read, written, size)
    return True


def _offer_move(context: Context, from_: Fragment, to: Fragment, size: int, count: int) -> None:
    """Offer what has one side in RAM; a page of ROM may be both sides, and what it holds differ."""
    if from_.gpa // PAGE == to.gpa // PAGE:
        return
    if from_.piece is not None:
        context.offer_block(BLOCK_WRITE, to.gpa, from_.gpa, size, count)
    elif to.piece is not None:
        context.offer_block(BLOCK_READ, from_.gpa, to.gpa, size, count)


def fill_run(context: Context, target: Side, value: int, size: int, count: int) -> bool:
    """Store `value` `count` times in RAM; or offer it; `False` if it was not done."""
    gpa, _, piece = target.span[0]
    if piece is None:
        context.offer_block(BLOCK_WRITE, gpa, NO_RAM, size, count)
        return False
    _bytes_at(piece, gpa, size * count)[:] = value.to_bytes(size, "little") * count
    return True
