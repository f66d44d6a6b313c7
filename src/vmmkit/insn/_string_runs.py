# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Several elements of MOVS, STOS, INS and OUTS at once; `csrc/string_runs.c` is the same.

Elements that lie in one page, in one segment and within the address size pass the checks that the
first of them has passed, and go to the same place. Such a run is done in one go where it stays in
RAM and, going upwards, is offered to the caller as a block where one side is a device. The result
is that of one element after the other, overlaps included.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.insn._execute import RFLAGS, read_register
from vmmkit.insn._flags import DF, mask_of
from vmmkit.insn._memory import (
    BLOCK_READ,
    BLOCK_WRITE,
    PAGE,
    RAM_LOCK,
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

__all__ = ["Side", "fill_run", "locate_side", "move_run", "offer_port"]

EXPAND_DOWN: Final = ATTR_S | TYPE_EXPAND_DOWN


class Side(NamedTuple):
    """One memory side of a string instruction at its present element."""

    span: Span
    run: int
    """Elements from here on that may be done at once, 0 when the element stays alone."""


def _segment_bounds(context: Context, segment: int) -> tuple[int, int]:
    """The lowest and the highest offset that a segment and the address size allow."""
    last = mask_of(context.address_size)
    if context.mode == 64:
        return 0, last
    start = SEGMENT + 4 * segment
    attributes, limit = context.words[start + ATTRIBUTES], context.words[start + LIMIT]
    if attributes & (EXPAND_DOWN | TYPE_CODE) == EXPAND_DOWN:
        return limit + 1, min(last, 0xFFFF_FFFF if attributes & ATTR_DB else 0xFFFF)
    return 0, min(last, limit)


def _room(context: Context, segment: int, offset: int, gpa: int, size: int) -> int:
    """Elements from here on, in the direction of DF, that one page and segment hold."""
    first, last = _segment_bounds(context, segment)
    if context.words[RFLAGS] & DF:
        return min(gpa & PAGE - 1, offset - first) // size + 1
    return min(PAGE - (gpa & PAGE - 1), last - offset + 1) // size


def locate_side(
    context: Context, segment: int, register: int, size: int, *, write: bool, most: int
) -> Side:
    """Check and translate the present element, and see how many more, up to `most`, are like it."""
    offset = read_register(context, register, context.address_size)
    span = locate(context, segment, offset, size, write=write)
    if most < 2 or len(span) > 1:
        return Side(span, 0)
    return Side(span, min(most, _room(context, segment, offset, span[0].gpa, size)))


def _copy(source: memoryview, target: memoryview, size: int, *, down: bool) -> None:
    """Copy element by element, so that an overlap repeats what has just been written."""
    starts = range(0, len(source), size)
    for start in reversed(starts) if down else starts:
        target[start : start + size] = bytes(source[start : start + size])


def _run_bytes(context: Context, piece: RamPiece, gpa: int, size: int, count: int) -> memoryview:
    """The bytes of a run whose present element is at `gpa`."""
    start = gpa - piece.gpa
    if context.words[RFLAGS] & DF:
        start -= size * (count - 1)
    return piece.view[start : start + size * count]


def move_run(context: Context, source: Side, target: Side, size: int, count: int) -> bool:
    """Move a run of `count` elements within RAM; or offer it; `False` if it was not done."""
    from_, to = source.span[0], target.span[0]
    if from_.piece is None or to.piece is None:
        _offer_move(context, from_, to, size, count)
        return False
    read = _run_bytes(context, from_.piece, from_.gpa, size, count)
    written = _run_bytes(context, to.piece, to.gpa, size, count)
    with RAM_LOCK:
        if from_.piece is to.piece and abs(from_.gpa - to.gpa) >= size * count:
            written[:] = read
        else:  # an overlap, or perhaps one: two pieces may be the same memory
            _copy(read, written, size, down=bool(context.words[RFLAGS] & DF))
    return True


def _offer_move(context: Context, from_: Fragment, to: Fragment, size: int, count: int) -> None:
    """Offer what has one side in RAM; a page of ROM may be both sides, and what it holds differ."""
    if from_.gpa // PAGE == to.gpa // PAGE:
        return
    if from_.piece is not None:
        context.offer_block(BLOCK_WRITE, to.gpa, from_.gpa, size, count)
    elif to.piece is not None:
        context.offer_block(BLOCK_READ, from_.gpa, to.gpa, size, count)


def fill_run(context: Context, target: Side, value: int, size: int) -> bool:
    """Store `value` all over a run in RAM; or offer it; `False` if it was not done."""
    gpa, _, piece = target.span[0]
    if piece is None:
        context.offer_block(BLOCK_WRITE, gpa, NO_RAM, size, target.run)
        return False
    written = _run_bytes(context, piece, gpa, size, target.run)
    with RAM_LOCK:
        written[:] = value.to_bytes(size, "little") * target.run
    return True


def offer_port(context: Context, kind: int, port: int, ram: Side, size: int) -> None:
    """Offer a run between a port and RAM."""
    gpa, _, piece = ram.span[0]
    if ram.run > 1 and piece is not None:
        context.offer_block(kind, port, gpa, size, ram.run)
