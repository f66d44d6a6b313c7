# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The string comparisons of SSE4.2; `csrc/vector_strings.c` is the same.

SDM vol. 1, "Streaming SIMD Extensions 4.2", and vol. 2, "Imm8 Control Byte Operation for
PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from vmmkit.insn._execute import set_status
from vmmkit.insn._flags import CF, OF, SF, ZF, mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._record import PREFIX_BITS, REX_BITS
from vmmkit.insn._vector_lanes import signed, split
from vmmkit.insn._vector_operands import (
    VECTOR,
    bits_of_bytes,
    load_operand,
    names_memory,
    read_register_operand,
    spread,
)
from vmmkit.insn.optable import VECTOR_FUNCTIONS, VectorOperation

__all__ = ["STRINGS"]

RAX, RCX, RDX = 0, 1, 2
SIZE: Final = 16
VEX: Final = PREFIX_BITS["VEX"]
W: Final = REX_BITS["W"]
WORDS, SIGNED, NEGATED, MASKED, HIGHEST, EXPANDED = 1, 2, 0x10, 0x20, 0x40, 0x40


class String(NamedTuple):
    """Elements, and how many of them count."""

    elements: Sequence[int]
    length: int


def _any(a: String, b: String, place: int) -> bool:
    return place < b.length and b.elements[place] in a.elements[: a.length]


def _ranges(a: String, b: String, place: int) -> bool:
    pairs = range(0, a.length - 1, 2)
    found = b.elements[place]
    return place < b.length and any(a.elements[at] <= found <= a.elements[at + 1] for at in pairs)


def _each(a: String, b: String, place: int) -> bool:
    if place < a.length and place < b.length:
        return a.elements[place] == b.elements[place]
    return place >= a.length and place >= b.length


def _ordered(a: String, b: String, place: int) -> bool:
    end = min(a.length, len(b.elements) - place)
    return all(
        place + at < b.length and a.elements[at] == b.elements[place + at] for at in range(end)
    )


AGGREGATIONS: Final[tuple[Callable[[String, String, int], bool], ...]] = (
    _any,
    _ranges,
    _each,
    _ordered,
)


def _explicit_length(context: Context, number: int, count: int) -> int:
    size = 8 if context.rex & W and context.mode == 64 else 4
    return min(abs(signed(context.words[number] & mask_of(size), 8 * size)), count)


def _string(context: Context, raw: int, control: int, register: int | None) -> String:
    """Elements of 16 bytes; the length is in a register, or ends before the first zero."""
    lane = 2 if control & WORDS else 1
    elements = list(split(raw, lane, SIZE))
    count = len(elements)
    if register is not None:
        length = _explicit_length(context, register, count)
    else:
        length = elements.index(0) if 0 in elements else count
    if control & SIGNED:
        elements = [signed(number, 8 * lane) for number in elements]
    return String(elements, length)


def _compared(a: String, b: String, control: int) -> int:
    """A bit for each element of the second string."""
    count = len(b.elements)
    aggregate = AGGREGATIONS[control >> 2 & 3]
    found = sum(aggregate(a, b, place) << place for place in range(count))
    if control & NEGATED:
        found ^= (1 << (b.length if control & MASKED else count)) - 1
    return found


def _write_index(context: Context, found: int, count: int, control: int) -> None:
    index = count
    if found:
        index = (found if control & HIGHEST else found & -found).bit_length() - 1
    context.words[RCX] = index


def _write_mask(context: Context, found: int, count: int, control: int) -> None:
    if control & EXPANDED:
        found = spread(spread(found, SIZE // count), 8)
    last = 8 if context.prefixes & VEX else 2
    for word in range(last):
        context.words[VECTOR + word] = found >> 64 * word & mask_of(8)


def _compare_strings(context: Context, operation: VectorOperation) -> None:
    function, control = VECTOR_FUNCTIONS[operation.function], context.immediate & 0xFF
    explicit = function.startswith("EXPLICIT")
    if names_memory(context, 1):
        second = load_operand(context, operation, bits_of_bytes(SIZE))
    else:
        second = read_register_operand(context, 1, SIZE)
    first = read_register_operand(context, 0, SIZE)
    a = _string(context, first, control, RAX if explicit else None)
    b = _string(context, second, control, RDX if explicit else None)
    found, count = _compared(a, b, control), len(a.elements)
    commit = _write_index if function.endswith("INDEX") else _write_mask
    commit(context, found, count, control)
    flags = (CF if found else 0) | (OF if found & 1 else 0)
    flags |= (ZF if b.length < count else 0) | (SF if a.length < count else 0)
    set_status(context, flags)


STRINGS: Final = dict.fromkeys(
    ("EXPLICIT_INDEX", "EXPLICIT_MASK", "IMPLICIT_INDEX", "IMPLICIT_MASK"), _compare_strings
)
