# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Gathers: every lane from an address of its own; `csrc/vector_gather.c` is the same.

SDM vol. 2C, VGATHERDPS/VGATHERDPD and VPGATHERDD/VPGATHERQD. Lanes are loaded from the lowest on,
and a lane that is done is marked so in the mask. A fault leaves what was done before it, so that
the instruction goes on from there. Debug traps that are due when lanes have been loaded come in
place of the fault, which returns when the instruction does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import BUDGET, FAULT, Context, Stop
from vmmkit.insn._segments import locate
from vmmkit.insn._vector_lanes import join, signed, split
from vmmkit.insn._vector_operands import (
    EVEX,
    OPMASK,
    VECTOR,
    bits_of,
    bits_of_bytes,
    operand_size,
    read_register_operand,
    write_register_operand,
)
from vmmkit.insn.optable import VectorOperation

__all__ = ["GATHER"]

WHOLE: Final = 64


def _offset(context: Context, index: int) -> int:
    """Effective address of a lane."""
    offset = context.displacement + index * context.scale
    if context.reg_base >= 0:
        offset += context.words[context.reg_base]
    return offset & mask_of(context.address_size)


def _indices(context: Context) -> list[int]:
    start, size = VECTOR + 8 * context.index, context.row.index_size
    raw = int.from_bytes(context.words[start : start + 8].tobytes(), "little")
    return [signed(number, 8 * size) for number in split(raw, size, WHOLE)]


def _mask(context: Context, lane: int, width: int) -> int:
    """A bit for each lane that is to be loaded."""
    lanes = bits_of_bytes(width // lane)
    if context.prefixes & EVEX:
        return context.words[OPMASK + (context.mask & 7)] & lanes
    signs = split(read_register_operand(context, 2, width), lane, width)
    return sum(number >> 8 * lane - 1 << place for place, number in enumerate(signs))


def _commit(context: Context, lanes: Sequence[int], lane: int, done: int) -> None:
    """Write what was loaded, and clear the mask of the lanes that were passed.

    Only a gather that is complete clears what lies above.
    """
    width, complete = len(lanes) * lane, done == len(lanes)
    keeps = 0 if complete else -1
    rest = read_register_operand(context, 0, WHOLE) & ~bits_of(width) & keeps
    write_register_operand(context, 0, WHOLE, rest | join(lanes, lane))
    if context.prefixes & EVEX:
        context.words[OPMASK + (context.mask & 7)] &= ~bits_of_bytes(done) & keeps
    else:
        rest = read_register_operand(context, 2, WHOLE) & ~bits_of(done * lane) & keeps
        write_register_operand(context, 2, WHOLE, rest)


def _gather(context: Context, operation: VectorOperation) -> int | None:
    lane, width = operation.lane, operand_size(context, 0)
    lanes = list(split(read_register_operand(context, 0, width), lane, width))
    wanted, indices, place = _mask(context, lane, width), _indices(context), 0
    due, hit = 0, (0, 0, 0)  # debug traps and breakpoints of lanes that have been loaded
    try:
        for place in range(width // lane):
            if wanted >> place & 1:
                offset = _offset(context, indices[place])
                span = locate(context, context.segment, offset, lane, write=False)
                lanes[place] = context.load(span)
                due = context.debug
                hit = context.hit, context.hit_kind, context.hit_address
    except Stop as stop:
        if stop.kind == FAULT:
            _commit(context, lanes, lane, place)
            context.debug = due
            context.hit, context.hit_kind, context.hit_address = hit
            if due or context.hit:
                return BUDGET
        raise
    _commit(context, lanes, lane, len(lanes))
    return None


GATHER: Final = {"GATHER": _gather}
