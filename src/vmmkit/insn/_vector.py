# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Vector instructions: sources, function, masked result; `csrc/vector.c` is the same.

What is computed stands in `opcodes.vector_operations` by mnemonic; what it is computed from, in the
operands of the opcode table's rows. Two operands mean that the destination is the first source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import Handler
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._opmask import OPMASKS
from vmmkit.insn._record import PREFIX_BITS
from vmmkit.insn._vector_lanes import BLOCKS, LANES, join, split
from vmmkit.insn._vector_operands import (
    GENERAL,
    MASKS,
    MMX,
    bits_of,
    bits_of_bytes,
    check_vector,
    enter_mmx,
    names_memory,
    operand_size,
    read_register_operand,
    spread,
    store_operand,
    store_part,
    write_register_operand,
)
from vmmkit.insn._vector_parts import PARTS
from vmmkit.insn._vector_select import SELECT
from vmmkit.insn._vector_sources import Sources
from vmmkit.insn.optable import (
    KINDS,
    OPS,
    VECTOR_FAMILIES,
    VECTOR_FUNCTIONS,
    VECTOR_OPERATIONS,
    VectorOperation,
)

__all__ = ["VECTOR"]

EVEX: Final = PREFIX_BITS["EVEX"]
NONE, I = KINDS.index(" "), KINDS.index("I")  # noqa: E741
E, W = KINDS.index("E"), KINDS.index("W")


def _lanes(sources: Sources) -> None:
    operation, width, lane = sources.operation, sources.width, sources.lane
    function, bits = LANES[VECTOR_FUNCTIONS[operation.function]], 8 * lane
    b = split(sources.load(width, sources.touched()), lane, width)
    a = split(sources.first(), lane, width)
    result = [function(x, y, bits) for x, y in zip(a, b, strict=True)]
    if sources.context.row.kinds[0] in MASKS:
        sources.write_mask(result)
    else:
        sources.write(join(result, lane))


COUNTED: Final = {
    "SHIFT_ALL_LEFT": "SHIFT_LEFT",
    "SHIFT_ALL_RIGHT": "SHIFT_RIGHT",
    "SHIFT_ALL_SIGNED": "SHIFT_SIGNED",
    "ROTATE_ALL_LEFT": "ROTATE_LEFT",
    "ROTATE_ALL_RIGHT": "ROTATE_RIGHT",
}


def _counts(sources: Sources) -> None:
    """One count for all lanes: an immediate, or the low 64 bits of the last source."""
    context, width, lane = sources.context, sources.width, sources.lane
    function = LANES[COUNTED[VECTOR_FUNCTIONS[sources.operation.function]]]
    if I in context.row.kinds:
        count = context.immediate & 0xFF
        value = sources.load(width, sources.suppressed())
    else:
        size = operand_size(context, sources.last)
        count = sources.load(size, bits_of_bytes(size)) & mask_of(8)
        value = sources.first()
    result = [function(number, count, 8 * lane) for number in split(value, lane, width)]
    sources.write(join(result, lane))


def _blocks(sources: Sources) -> None:
    """Every block of 16 bytes, or 8 of an MMX register, by itself."""
    context, width, lane = sources.context, sources.width, sources.lane
    function = BLOCKS[VECTOR_FUNCTIONS[sources.operation.function]]
    size = min(width, operand_size(context, sources.last)) or width
    b = split(sources.load(size, bits_of_bytes(size)), lane, width)
    a, imm = split(sources.first(), lane, width), context.immediate & 0xFF
    count = min(width, 16) // lane
    result = [
        function(a[at : at + count], b[at : at + count], imm, place, at // count)
        for at in range(0, width // lane, count)
        for place in range(count)
    ]
    sources.write(join(result, lane))


def _move(sources: Sources) -> None:
    """The narrower of source and destination counts; a register is cleared above it."""
    context, operation = sources.context, sources.operation
    size = min(sources.width, operand_size(context, 1))
    enabled = sources.suppressed() if context.mask & 7 else bits_of_bytes(size)
    value = sources.load(size, enabled) & bits_of(size)
    if names_memory(context, 0):
        store_operand(context, operation, size, enabled, value)
        return
    if context.row.kinds[0] not in MMX and context.row.kinds[0] not in GENERAL:
        sources.width = max(16, sources.width)
    sources.write(value)


def _broadcast(sources: Sources) -> None:
    size = operand_size(sources.context, 1)
    if sources.context.row.kinds[1] in GENERAL:
        size = sources.lane
    lanes = max(1, size // sources.lane)
    needed = sources.enabled
    for at in range(lanes, sources.width // sources.lane, lanes):
        needed |= sources.enabled >> at
    enabled = spread(needed, sources.lane) & bits_of_bytes(size)
    value = sources.load(size, enabled) & bits_of(size)
    sources.write(value * sum(1 << 8 * at for at in range(0, sources.width, size)))


def _extend(sources: Sources) -> None:
    """Lanes of a narrower source, sign-extended or zero-extended."""
    lane, width = sources.lane, sources.width
    size = operand_size(sources.context, 1)
    narrow = size * lane // width
    value = sources.load(size, spread(sources.enabled, narrow))
    bits, signs = 8 * narrow, VECTOR_FUNCTIONS[sources.operation.function] == "EXTEND_SIGNED"
    sign = 1 << bits - 1 if signs else 0
    lanes = split(value, narrow, size)
    sources.write(join([(number ^ sign) - sign & bits_of(lane) for number in lanes], lane))


def _permute(sources: Sources) -> None:
    """By an immediate within 32 bytes, or by the lanes of the first source in the whole."""
    context, width, lane = sources.context, sources.width, sources.lane
    b = split(sources.load(width, bits_of_bytes(width)), lane, width)
    if I in context.row.kinds:
        imm = context.immediate
        chosen = [at & ~3 | imm >> 2 * (at & 3) & 3 for at in range(len(b))]
    else:
        chosen = [number & len(b) - 1 for number in split(sources.first(), lane, width)]
    sources.write(join([b[at] for at in chosen], lane))


def _insert(sources: Sources) -> None:
    context, width = sources.context, sources.width
    size = operand_size(context, sources.last)
    value = sources.load(size, bits_of_bytes(size)) & bits_of(size)
    a = read_register_operand(context, 1 if sources.last > 1 else 0, width)
    at = 8 * size * (context.immediate & width // size - 1)
    sources.write(a & ~(bits_of(size) << at) | value << at)


def _extract(sources: Sources) -> None:
    context, operation = sources.context, sources.operation
    kind = context.row.kinds[0]
    size = operand_size(context, 0) if kind in (E, W) else sources.lane
    width = operand_size(context, 1)
    value = read_register_operand(context, 1, width)
    value = value >> 8 * size * (context.immediate & width // size - 1) & bits_of(size)
    if names_memory(context, 0):
        enabled = sources.suppressed() if context.mask & 7 else bits_of_bytes(size)
        store_part(context, operation, size, enabled, value)
    else:
        sources.write(value)


def _sign_mask(sources: Sources) -> None:
    context, lane = sources.context, sources.lane
    width = operand_size(context, 1)
    lanes = split(read_register_operand(context, 1, width), lane, width)
    bits = sum(number >> 8 * lane - 1 << place for place, number in enumerate(lanes))
    write_register_operand(context, 0, 8, bits)


WHOLE: Final[dict[str, Callable[[Sources], None]]] = {
    "MOVE": _move,
    "BROADCAST": _broadcast,
    "EXTEND_SIGNED": _extend,
    "EXTEND_ZERO": _extend,
    "PERMUTE": _permute,
    "INSERT": _insert,
    "EXTRACT": _extract,
    "SIGN_MASK": _sign_mask,
    **SELECT,
}
FAMILY: Final[dict[str, Callable[[Sources], None]]] = {
    "LANES": _lanes,
    "COUNTS": _counts,
    "BLOCKS": _blocks,
}


def _handler(operation: VectorOperation) -> Handler:
    name = VECTOR_FUNCTIONS[operation.function]
    compute = FAMILY.get(VECTOR_FAMILIES[operation.family]) or WHOLE.get(name)

    def execute(context: Context) -> int | None:
        check_vector(context, operation)
        kind = None
        if compute is not None:
            compute(Sources(context, operation))
        elif name in PARTS:
            kind = PARTS[name](context, operation)
        else:
            OPMASKS[name](context, operation)
        if not MMX.isdisjoint(context.row.kinds):
            enter_mmx(context)
        return kind

    return execute


VECTOR: Final[dict[str, Handler]] = {
    OPS[number]: _handler(operation)
    for number, operation in enumerate(VECTOR_OPERATIONS)
    if operation.family
}
