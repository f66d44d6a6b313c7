# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Vector instructions that choose, permute or narrow whole vectors; `csrc/vector_select.c` too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._record import MASK_BITS
from vmmkit.insn._vector_lanes import join, saturated, saturated_unsigned, signed, split
from vmmkit.insn._vector_operands import (
    VECTOR,
    L,
    bits_of,
    bits_of_bytes,
    enabled_lanes,
    names_memory,
    operand_size,
    read_register_operand,
    spread,
    store_operand,
    write_register_operand,
)
from vmmkit.insn._vector_sources import Sources
from vmmkit.insn.optable import KINDS, VECTOR_FUNCTIONS

__all__ = ["SELECT"]

I: Final = KINDS.index("I")  # noqa: E741
LESS, EQUAL, GREATER = 1, 2, 4
# By the predicate of VPCMP: which orders it is true for.
PREDICATES: Final = (EQUAL, LESS, LESS | EQUAL, 0, LESS | GREATER, EQUAL | GREATER, GREATER, 7)
BLOCK: Final = 16


def _function(sources: Sources) -> str:
    return VECTOR_FUNCTIONS[sources.operation.function]


def _immediate(sources: Sources) -> int:
    return sources.context.immediate & 0xFF


def _two(sources: Sources, lane: int = 0) -> tuple[memoryview, memoryview]:
    """Lanes of the first source, and of the last one as far as it is touched."""
    lane, width = lane or sources.lane, sources.width
    b = split(sources.load(width, sources.touched()), lane, width)
    return split(sources.first(), lane, width), b


def _compare(sources: Sources) -> None:
    a, b = _two(sources)
    bits, true_for = 8 * sources.lane, PREDICATES[_immediate(sources) & 7]
    flip = 1 << bits - 1 if _function(sources) == "COMPARE_SIGNED" else 0
    found = []
    for number, other in zip(a, b, strict=True):
        x, y = number ^ flip, other ^ flip
        found.append(true_for & (LESS if x < y else EQUAL if x == y else GREATER))
    sources.write_mask(found)


def _choose(sources: Sources) -> None:
    """VPBLENDM: what the opmask turns off comes from the first source."""
    context, width = sources.context, sources.width
    through = spread(sources.suppressed(), 8)
    b = sources.load(width, sources.suppressed())
    rest = 0 if context.mask & MASK_BITS["Z"] else sources.first()
    write_register_operand(context, 0, width, b & through | rest & ~through)


def _blend_by_signs(sources: Sources) -> None:
    """By the signs of a fourth operand, or without VEX of XMM0."""
    context, width, lane = sources.context, sources.width, sources.lane
    named = L in context.row.kinds
    sources.last = 2 if named else 1
    if named:
        mask = read_register_operand(context, 3, width)
    else:
        mask = int.from_bytes(context.words[VECTOR : VECTOR + 2].tobytes(), "little")
    a, b = _two(sources)
    signs = [number >> 8 * lane - 1 for number in split(mask, lane, width)]
    sources.write(join([y if sign else x for x, y, sign in zip(a, b, signs, strict=True)], lane))


def _ternary(sources: Sources) -> None:
    """A table of eight results: the destination's bit is the index's highest."""
    width, imm = sources.width, _immediate(sources)
    low = sources.load(width, sources.touched())
    high, middle = read_register_operand(sources.context, 0, width), sources.first()
    result = 0
    for number in range(8):
        if imm >> number & 1:
            term = high if number & 4 else ~high
            term &= middle if number & 2 else ~middle
            result |= term & (low if number & 1 else ~low)
    sources.write(result & bits_of(width))


def _align_lanes(sources: Sources) -> None:
    a, b = _two(sources)
    shift = _immediate(sources) & len(a) - 1
    sources.write(join([*b, *a][shift : shift + len(a)], sources.lane))


def _shuffle_blocks(sources: Sources) -> None:
    """Blocks of 16 bytes, the lower half from the first source."""
    a, b = _two(sources, 8)
    count, imm = sources.width // BLOCK, _immediate(sources)
    step = count // 2
    result: list[int] = []
    for place in range(count):
        at = 2 * (imm >> step * place & count - 1)
        result += (b if place >= count // 2 else a)[at : at + 2]
    sources.write(join(result, 8))


def _permute_halves(sources: Sources) -> None:
    a, b = _two(sources, 8)
    halves = [a[:2], a[2:], b[:2], b[2:]]
    result: list[int] = []
    for place in (0, 4):
        control = _immediate(sources) >> place
        result += [0, 0] if control & 8 else halves[control & 3]
    sources.write(join(result, 8))


def _permute_in_blocks(sources: Sources) -> None:
    """VPERMILPS and VPERMILPD: by an immediate, or by the lanes of the last source."""
    a, b = _two(sources)
    count, imm = BLOCK // sources.lane, _immediate(sources)
    result = []
    for place, control in enumerate(b):
        chosen = control if count == 4 else control >> 1
        if I in sources.context.row.kinds:
            chosen = imm >> 2 * (place & 3) if count == 4 else imm >> place
        result.append((place & -count) + (chosen & count - 1))
    data = b if I in sources.context.row.kinds else a
    sources.write(join([data[at] for at in result], sources.lane))


def _permute_two(sources: Sources) -> None:
    """VPERMI2 has the indices in the destination, VPERMT2 in the first source."""
    a, b = _two(sources)
    old = read_register_operand(sources.context, 0, sources.width)
    table, indices = split(old, sources.lane, sources.width), a
    if _function(sources) == "PERMUTE_BY_DESTINATION":
        table, indices = a, table
    both, last = [*table, *b], 2 * len(a) - 1
    sources.write(join([both[number & last] for number in indices], sources.lane))


def _insert_float(sources: Sources) -> None:
    """INSERTPS: one lane of the source to any place, then zeros where the immediate has ones."""
    context, imm = sources.context, _immediate(sources)
    if names_memory(context, sources.last):
        value = sources.load(4, bits_of_bytes(4))
    else:
        value = sources.load(BLOCK, 0) >> 32 * (imm >> 6)
    lanes = list(split(sources.first(), 4, BLOCK))
    lanes[imm >> 4 & 3] = value & bits_of(4)
    kept = [0 if imm >> place & 1 else number for place, number in enumerate(lanes)]
    sources.write(join(kept, 4))


def _minimum_position(sources: Sources) -> None:
    lanes = list(split(sources.load(BLOCK, bits_of_bytes(BLOCK)), 2, BLOCK))
    least = min(lanes)
    sources.write(least | lanes.index(least) << 16)


def _narrow(sources: Sources) -> None:
    """The low part of every lane, or the nearest number that it can be."""
    context, lane, function = sources.context, sources.lane, _function(sources)
    length, size = context.vector_length, operand_size(context, 0)
    narrow = size * lane // length
    lanes = list(split(read_register_operand(context, 1, length), lane, length))
    if function == "NARROW_SIGNED":
        lanes = [saturated(signed(number, 8 * lane), 8 * narrow) for number in lanes]
    elif function == "NARROW_UNSIGNED":
        lanes = [saturated_unsigned(number, 8 * narrow) for number in lanes]
    value = join([number & bits_of(narrow) for number in lanes], narrow)
    sources.enabled = enabled_lanes(context, length // lane)
    if names_memory(context, 0):
        store_operand(context, sources.operation, size, spread(sources.enabled, narrow), value)
        return
    sources.lane = narrow
    sources.write(value)


def _from_mask(sources: Sources) -> None:
    mask = read_register_operand(sources.context, 1, 8)
    lanes = sources.width // sources.lane
    sources.write(spread(spread(mask & bits_of_bytes(lanes), sources.lane), 8))


def _compress(sources: Sources) -> None:
    """Lanes that the opmask lets through, one beside the other."""
    context, lane, width = sources.context, sources.lane, sources.width
    lanes = split(read_register_operand(context, 1, width), lane, width)
    chosen = [number for place, number in enumerate(lanes) if sources.enabled >> place & 1]
    size, value = len(chosen) * lane, join(chosen, lane)
    if names_memory(context, 0):
        store_operand(context, sources.operation, width, bits_of_bytes(size), value)
        return
    rest = 0
    if context.mask & 7 and not context.mask & MASK_BITS["Z"]:
        rest = read_register_operand(context, 0, width) & ~bits_of(size)
    write_register_operand(context, 0, width, rest | value)


def _expand(sources: Sources) -> None:
    """Lanes that lie one beside the other go to where the opmask lets them."""
    lane, width = sources.lane, sources.width
    touched = bits_of_bytes(sources.enabled.bit_count() * lane)
    lanes = iter(split(sources.load(width, touched), lane, width))
    places = range(width // lane)
    sources.write(
        join([next(lanes) if sources.enabled >> place & 1 else 0 for place in places], lane)
    )


SELECT: Final[dict[str, Callable[[Sources], None]]] = {
    "COMPARE_SIGNED": _compare,
    "COMPARE_UNSIGNED": _compare,
    "CHOOSE": _choose,
    "BLEND_BY_SIGNS": _blend_by_signs,
    "TERNARY": _ternary,
    "ALIGN_LANES": _align_lanes,
    "SHUFFLE_BLOCKS": _shuffle_blocks,
    "PERMUTE_HALVES": _permute_halves,
    "PERMUTE_IN_BLOCKS": _permute_in_blocks,
    "PERMUTE_BY_DESTINATION": _permute_two,
    "PERMUTE_BY_SOURCE": _permute_two,
    "INSERT_FLOAT": _insert_float,
    "MINIMUM_POSITION": _minimum_position,
    "NARROW": _narrow,
    "NARROW_SIGNED": _narrow,
    "NARROW_UNSIGNED": _narrow,
    "FROM_MASK": _from_mask,
    "COMPRESS": _compress,
    "EXPAND": _expand,
}
