# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Byte-swapped moves, table look-up, far pointers, bounds, RPLs; `csrc/transfer.c` is the same."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import (
    MOVES,
    RFLAGS,
    Handler,
    effective_address,
    operand_bytes,
    read_register,
    read_target,
    target,
    value_of,
    write_register,
    write_target,
)
from vmmkit.insn._flags import ZF, mask_of
from vmmkit.insn._memory import Context, Span
from vmmkit.insn._segments import DS, ES, FS, GS, SS, UD, load_segment, locate

__all__ = ["TRANSFER", "locate_two"]

RAX, RBX = 0, 3
BR: Final = 5


def _movbe(context: Context) -> None:
    size = operand_bytes(context, 0)
    where = target(context, 0)
    value = value_of(context, 1, size)
    write_target(context, where, size, int.from_bytes(value.to_bytes(size, "little"), "big"))


def _xlat(context: Context) -> None:
    size = context.address_size
    offset = read_register(context, RBX, size) + (context.words[RAX] & 0xFF) & mask_of(size)
    segment = context.segment if context.segment >= 0 else DS
    value = context.load(locate(context, segment, offset, 1, write=False))
    write_register(context, RAX, 1, value)


def locate_two(context: Context, second_size: int) -> tuple[Span, Span]:
    """An operand-sized value in memory and the one behind it; the offset wraps between them."""
    size, offset = context.operand_size, effective_address(context)
    following = offset + size & mask_of(context.address_size)
    first = locate(context, context.segment, offset, size, write=False)
    return first, locate(context, context.segment, following, second_size, write=False)


def _load_far_pointer(segment: int) -> Handler:
    """The pointer is read whole; then the descriptor is checked. LSS leaves no interrupt shadow."""

    def execute(context: Context) -> None:
        first, second = locate_two(context, 2)
        offset, selector = context.load(first), context.load(second)
        load_segment(context, segment, selector)
        write_target(context, target(context, 0), context.operand_size, offset)

    return execute


def _signed(value: int, size: int) -> int:
    sign = 1 << 8 * size - 1
    return (value ^ sign) - sign


def _bound(context: Context) -> None:
    size = context.operand_size
    first, second = locate_two(context, size)
    lower, upper = _signed(context.load(first), size), _signed(context.load(second), size)
    if not lower <= _signed(value_of(context, 0, size), size) <= upper:
        raise context.fault(BR)


def _arpl(context: Context) -> None:
    if context.real:
        raise context.fault(UD)
    where = target(context, 0)
    selector, rpl = read_target(context, where, 2), value_of(context, 1, 2) & 3
    if selector & 3 >= rpl:
        context.words[RFLAGS] &= ~ZF
        return
    write_target(context, where, 2, selector & ~3 | rpl)
    context.words[RFLAGS] |= ZF


TRANSFER: Final[dict[str, Handler]] = {
    "MOVBE": _movbe,
    "MOVNTI": MOVES["MOV"],
    "XLAT": _xlat,
    "LES": _load_far_pointer(ES),
    "LSS": _load_far_pointer(SS),
    "LDS": _load_far_pointer(DS),
    "LFS": _load_far_pointer(FS),
    "LGS": _load_far_pointer(GS),
    "BOUND": _bound,
    "ARPL": _arpl,
}
