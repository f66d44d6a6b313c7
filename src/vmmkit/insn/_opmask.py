# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions on opmask registers; `csrc/opmask.c` is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import RFLAGS
from vmmkit.insn._flags import CF, STATUS, ZF
from vmmkit.insn._memory import Context
from vmmkit.insn._vector_operands import (
    bits_of,
    bits_of_bytes,
    load_operand,
    names_memory,
    read_register_operand,
    store_operand,
    write_register_operand,
)
from vmmkit.insn.optable import VectorOperation

__all__ = ["OPMASKS"]

Opmask = Callable[[Context, VectorOperation], None]


def _move(context: Context, operation: VectorOperation) -> None:
    size = operation.lane
    if names_memory(context, 1):
        value = load_operand(context, operation, bits_of_bytes(size))
    else:
        value = read_register_operand(context, 1, size)
    if names_memory(context, 0):
        store_operand(context, operation, size, bits_of_bytes(size), value)
    else:
        write_register_operand(context, 0, 8, value)


def _unary(compute: Callable[[int, int], int]) -> Opmask:
    """A function of the source and the immediate."""

    def execute(context: Context, operation: VectorOperation) -> None:
        size = operation.lane
        value = compute(read_register_operand(context, 1, size), context.immediate & 0xFF)
        write_register_operand(context, 0, 8, value & bits_of(size))

    return execute


def _binary(compute: Callable[[int, int], int]) -> Opmask:
    def execute(context: Context, operation: VectorOperation) -> None:
        size = operation.lane
        a, b = (read_register_operand(context, place, size) for place in (1, 2))
        write_register_operand(context, 0, 8, compute(a, b) & bits_of(size))

    return execute


def _unpack(context: Context, operation: VectorOperation) -> None:
    a, b = (read_register_operand(context, place, operation.lane) for place in (1, 2))
    write_register_operand(context, 0, 8, a << 8 * operation.lane | b)


def _set_flags(context: Context, *, zero: bool, carry: bool) -> None:
    flags = (ZF if zero else 0) | (CF if carry else 0)
    context.words[RFLAGS] = context.words[RFLAGS] & ~STATUS | flags


def _or_test(context: Context, operation: VectorOperation) -> None:
    a, b = (read_register_operand(context, place, operation.lane) for place in (0, 1))
    _set_flags(context, zero=not a | b, carry=a | b == bits_of(operation.lane))


def _test(context: Context, operation: VectorOperation) -> None:
    a, b = (read_register_operand(context, place, operation.lane) for place in (0, 1))
    _set_flags(context, zero=not a & b, carry=not ~a & b)


OPMASKS: Final[dict[str, Opmask]] = {
    "MASK_MOVE": _move,
    "MASK_NOT": _unary(lambda a, _: ~a),
    "MASK_SHIFT_LEFT": _unary(lambda a, count: a << count),
    "MASK_SHIFT_RIGHT": _unary(lambda a, count: a >> count),
    "MASK_AND": _binary(lambda a, b: a & b),
    "MASK_AND_NOT": _binary(lambda a, b: ~a & b),
    "MASK_OR": _binary(lambda a, b: a | b),
    "MASK_XOR": _binary(lambda a, b: a ^ b),
    "MASK_XNOR": _binary(lambda a, b: ~(a ^ b)),
    "MASK_ADD": _binary(lambda a, b: a + b),
    "MASK_UNPACK": _unpack,
    "MASK_OR_TEST": _or_test,
    "MASK_TEST": _test,
}
