# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Moves of a part of a vector, and what looks at whole ones; `csrc/vector_parts.c` is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import RFLAGS
from vmmkit.insn._flags import CF, STATUS, ZF, mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._record import MASK_BITS
from vmmkit.insn._segments import DS
from vmmkit.insn._vector_gather import GATHER
from vmmkit.insn._vector_lanes import split
from vmmkit.insn._vector_operands import (
    VECTOR,
    bits_of,
    bits_of_bytes,
    enabled_lanes,
    load_operand,
    locate_bytes,
    names_memory,
    operand_size,
    read_register_operand,
    spread,
    store_operand,
    store_span,
    write_register_operand,
)
from vmmkit.insn._vector_strings import STRINGS
from vmmkit.insn.optable import KINDS, VECTOR_FUNCTIONS, VectorOperation

__all__ = ["PARTS"]

NONE: Final = KINDS.index(" ")
RDI: Final = 7

Part = Callable[[Context, VectorOperation], int | None]


def _last(context: Context) -> int:
    return max(place for place in range(4) if context.row.kinds[place] != NONE)


def _base(context: Context) -> int:
    """What the written part goes into: an operand of its own, or the destination."""
    return read_register_operand(context, 1 if _last(context) > 1 else 0, 16)


def _scalar(context: Context, operation: VectorOperation) -> None:
    """MOVSS, MOVSD: a load clears the rest, a move between registers takes it from a register."""
    lane, last = operation.lane, _last(context)
    through = enabled_lanes(context, 1)
    enabled = bits_of_bytes(lane) if through else 0
    if names_memory(context, 0):
        value = read_register_operand(context, last, lane)
        store_operand(context, operation, lane, enabled, value)
        return
    rest = 0
    if names_memory(context, last):
        value = load_operand(context, operation, enabled)
    else:
        value, rest = read_register_operand(context, last, lane), _base(context)
    if not through:
        zeroing = context.mask & MASK_BITS["Z"]
        value = 0 if zeroing else read_register_operand(context, 0, lane)
    write_register_operand(context, 0, 16, rest & ~bits_of(lane) | value)


def _half(high: int) -> Part:
    """MOVLPS, MOVHPS and the like: one half to or from memory."""
    shift = 64 * high

    def execute(context: Context, operation: VectorOperation) -> None:
        if names_memory(context, 0):
            value = read_register_operand(context, 1, 16) >> shift & mask_of(8)
            store_operand(context, operation, 8, 0xFF, value)
            return
        value = load_operand(context, operation, 0xFF)
        rest = _base(context) & ~(mask_of(8) << shift)
        write_register_operand(context, 0, 16, rest | value << shift)

    return execute


def _high_to_low(context: Context, _operation: VectorOperation) -> None:
    value = read_register_operand(context, _last(context), 16) >> 64
    write_register_operand(context, 0, 16, _base(context) & ~mask_of(8) | value)


def _low_to_high(context: Context, _operation: VectorOperation) -> None:
    value = read_register_operand(context, _last(context), 8)
    write_register_operand(context, 0, 16, _base(context) & mask_of(8) | value << 64)


def _signs(value: int, lane: int, width: int) -> int:
    """A bit for the sign of every lane."""
    lanes = split(value, lane, width)
    return sum(number >> 8 * lane - 1 << place for place, number in enumerate(lanes))


def _masked(context: Context, operation: VectorOperation) -> None:
    """VMASKMOVPS and the like: the signs of vvvv's lanes say which are moved; never #AC."""
    width = context.vector_length
    context.checks_alignment = False
    mask = read_register_operand(context, 1, width)
    enabled = spread(_signs(mask, operation.lane, width), operation.lane)
    if names_memory(context, 0):
        value = read_register_operand(context, 2, width)
        store_operand(context, operation, width, enabled, value)
        return
    value = load_operand(context, operation, enabled) & spread(enabled, 8)
    write_register_operand(context, 0, width, value)


def _masked_bytes(context: Context, _operation: VectorOperation) -> None:
    """MASKMOVDQU: bytes whose mask has its top bit set go to DS:rDI; all are checked."""
    width = operand_size(context, 0)
    value = read_register_operand(context, 0, width)
    enabled = _signs(read_register_operand(context, 1, width), 1, width)
    offset = context.words[RDI] & mask_of(context.address_size)
    segment = context.segment if context.segment >= 0 else DS
    every = bits_of_bytes(width)
    span, first = locate_bytes(context, (segment, offset), every, 1, write=True)
    store_span(context, span, enabled, first, value)


def _test(context: Context, operation: VectorOperation) -> None:
    """PTEST: ZF for nothing in common, CF for nothing outside of the first source."""
    lane, width = operation.lane, operand_size(context, 0)
    if names_memory(context, 1):
        b = load_operand(context, operation, bits_of_bytes(width))
    else:
        b = read_register_operand(context, 1, width)
    a = read_register_operand(context, 0, width)
    if VECTOR_FUNCTIONS[operation.function] == "TEST_SIGNS":
        b &= sum(1 << 8 * at - 1 for at in range(lane, width + 1, lane))
    flags = (0 if a & b else ZF) | (0 if ~a & b else CF)
    context.words[RFLAGS] = context.words[RFLAGS] & ~STATUS | flags


def _zero(first: int) -> Part:
    """VZEROUPPER, VZEROALL: registers 0 to 15, in 64-bit mode; else 0 to 7."""

    def execute(context: Context, _operation: VectorOperation) -> None:
        for number in range(16 if context.mode == 64 else 8):
            start = VECTOR + 8 * number
            for word in range(first, 8):
                context.words[start + word] = 0

    return execute


PARTS: Final[dict[str, Part]] = {
    "SCALAR": _scalar,
    "LOW_HALF": _half(0),
    "HIGH_HALF": _half(1),
    "HIGH_TO_LOW": _high_to_low,
    "LOW_TO_HIGH": _low_to_high,
    "MASKED": _masked,
    "MASKED_BYTES": _masked_bytes,
    "TEST": _test,
    "TEST_SIGNS": _test,
    "ZERO_UPPER": _zero(2),
    "ZERO_ALL": _zero(0),
    **STRINGS,
    **GATHER,
}
