# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Exchanges that add or compare; `csrc/exchange.c` is the same.

A comparison that fails writes the old value back: the destination needs write permission, and a
device is written, whatever the result (SDM vol. 2A, CMPXCHG and CMPXCHG8B/CMPXCHG16B).
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import (
    RFLAGS,
    Handler,
    effective_address,
    operand_bytes,
    read_register,
    read_target,
    set_status,
    target,
    write_register,
    write_target,
)
from vmmkit.insn._flags import ZF, add, mask_of, subtract
from vmmkit.insn._memory import Context, Fragment, Span
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import GP, UD, linear_address, locate, locate_data
from vmmkit.insn.optable import FEATURES

__all__ = ["EXCHANGE"]

RAX, RCX, RDX, RBX = range(4)
CX8, CX16 = (1 << list(FEATURES).index(name) for name in ("CX8", "CX16"))


def _xadd(context: Context) -> None:
    size = operand_bytes(context, 0)
    where, source = target(context, 0), target(context, 1)
    left, right = read_target(context, where, size), read_target(context, source, size)
    result, flags = add(left, right, 0, size)
    if isinstance(where, int):
        write_target(context, source, size, left)  # the sum prevails where both are one register
        write_target(context, where, size, result)
    else:
        write_target(context, where, size, result)
        write_target(context, source, size, left)
    set_status(context, flags)


def _cmpxchg(context: Context) -> None:
    size = operand_bytes(context, 0)
    where, source = target(context, 0), target(context, 1)
    found = read_target(context, where, size)
    accumulator = read_register(context, RAX, size)
    flags = subtract(accumulator, found, 0, size)[1]
    if flags & ZF:
        write_target(context, where, size, read_target(context, source, size))
    else:
        if not isinstance(where, int):  # processors leave a register's upper half as it was
            write_target(context, where, size, found)
        write_register(context, RAX, size, found)
    set_status(context, flags)


def _locate_16(context: Context) -> Span:
    """The operand of CMPXCHG16B, aligned, as two halves: no device takes 16 bytes at once."""
    offset = effective_address(context)
    # Aligned bytes are canonical together; misaligned ones are #GP, never #AC.
    linear = linear_address(context, context.segment, offset, 1, write=True)
    if linear & 15:
        raise context.fault(GP)
    ((gpa, _, piece),) = locate_data(context, linear, 16, write=True)
    return Fragment(gpa, 8, piece), Fragment(gpa + 8, 8, piece)


def _locate_pair(context: Context) -> Span:
    wide = context.operand_size == 8
    if not context.words[WORD["features"]] & (CX16 if wide else CX8):
        raise context.fault(UD)
    if not wide:
        return locate(context, context.segment, effective_address(context), 8, write=True)
    return _locate_16(context)


def _cmpxchg8b(context: Context) -> None:
    """CMPXCHG8B, and CMPXCHG16B with REX.W: no flag but ZF changes."""
    size, words = operand_bytes(context, 0) // 2, context.words
    span = _locate_pair(context)
    found = context.load(span)
    low, high = found & mask_of(size), found >> 8 * size
    if (low, high) == (words[RAX] & mask_of(size), words[RDX] & mask_of(size)):
        desired = words[RBX] & mask_of(size) | (words[RCX] & mask_of(size)) << 8 * size
        context.store(span, desired)
        words[RFLAGS] |= ZF
        return
    context.store(span, found)
    words[RAX], words[RDX] = low, high
    words[RFLAGS] &= ~ZF


EXCHANGE: Final[dict[str, Handler]] = {
    "XADD": _xadd,
    "CMPXCHG": _cmpxchg,
    "CMPXCHG8B": _cmpxchg8b,
}
