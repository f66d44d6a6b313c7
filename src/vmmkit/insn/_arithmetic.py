# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Shifts, multiplication, division, sign extension; `csrc/arithmetic.c` is the same.

A shift of a memory operand by zero still reads and writes it: it faults as a write does, and a
device sees both accesses. Registers are written after every check, the low half before the high
one, so that MULX with one destination named twice holds the high half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import (
    RFLAGS,
    Handler,
    operand_bytes,
    read_register,
    read_target,
    set_status,
    target,
    value_of,
    write_register,
    write_target,
)
from vmmkit.insn._flags import CF, OF, add, mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._multiply import (
    divide_signed,
    divide_unsigned,
    multiply_signed,
    multiply_unsigned,
    signed_of,
)
from vmmkit.insn._shifts import DOUBLE, SHIFTS, double_shift, shift, shift_count

__all__ = ["ARITHMETIC"]

RAX, RDX = 0, 2
DE: Final = 0

Multiplication = Callable[[int, int, int], tuple[int, int, int]]
Division = Callable[[int, int, int, int], tuple[int, int] | None]


def _shift(mnemonic: str) -> Handler:
    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        where = target(context, 0)
        count = shift_count(value_of(context, 1, 1), size)
        value = read_target(context, where, size)
        result, flags, mask = shift(mnemonic, value, count, context.words[RFLAGS] & CF, size)
        write_target(context, where, size, result)
        set_status(context, flags, mask)

    return execute


def _double_shift(mnemonic: str) -> Handler:
    def execute(context: Context) -> None:
        size = context.operand_size
        where = target(context, 0)
        filler = value_of(context, 1, size)
        count = shift_count(value_of(context, 2, 1), size)
        value = read_target(context, where, size)
        result, flags, mask = double_shift(mnemonic, value, filler, count, size)
        write_target(context, where, size, result)
        set_status(context, flags, mask)

    return execute


def _write_pair(context: Context, size: int, low: int, high: int) -> None:
    """Write AX, DX:AX, EDX:EAX or RDX:RAX."""
    if size == 1:
        write_register(context, RAX, 2, high << 8 | low)
        return
    write_register(context, RAX, size, low)
    write_register(context, RDX, size, high)


def _multiply(operation: Multiplication) -> Handler:
    """The form of one operand: the accumulator is the other."""

    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        value = value_of(context, 0, size)
        low, high, flags = operation(read_register(context, RAX, size), value, size)
        _write_pair(context, size, low, high)
        set_status(context, flags)

    return execute


_multiply_accumulator: Final = _multiply(multiply_signed)


def _imul(context: Context) -> None:
    kinds, size = context.row.kinds, context.operand_size
    if not kinds[1]:
        _multiply_accumulator(context)
        return
    first = 1 if kinds[2] else 0  # of two operands, the destination is the first factor
    left, right = value_of(context, first, size), value_of(context, first + 1, size)
    low, _, flags = multiply_signed(left, right, size)
    write_target(context, target(context, 0), size, low)
    set_status(context, flags)


def _mulx(context: Context) -> None:
    size = operand_bytes(context, 0)
    value = value_of(context, 2, size)
    low, high, _ = multiply_unsigned(read_register(context, RDX, size), value, size)
    write_target(context, target(context, 1), size, low)
    write_target(context, target(context, 0), size, high)


def _divide(operation: Division) -> Handler:
    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        divisor = value_of(context, 0, size)
        dividend = read_register(context, RAX, max(size, 2))
        low, high = dividend & mask_of(size), dividend >> 8
        if size > 1:
            high = read_register(context, RDX, size)
        quotient = operation(high, low, divisor, size)
        if quotient is None:
            raise context.fault(DE)
        _write_pair(context, size, *quotient)

    return execute


def _add_with(flag: int) -> Handler:
    """ADCX and ADOX: a carry chain in one flag, the others kept."""

    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        where = target(context, 0)
        right = value_of(context, 1, size)
        carry = 1 if context.words[RFLAGS] & flag else 0
        result, flags = add(read_target(context, where, size), right, carry, size)
        write_target(context, where, size, result)
        set_status(context, flag if flags & CF else 0, flag)

    return execute


def _cbw(context: Context) -> None:
    size = context.operand_size
    value = read_register(context, RAX, size // 2)
    write_register(context, RAX, size, signed_of(value, size // 2) & mask_of(size))


def _cwd(context: Context) -> None:
    size = context.operand_size
    negative = read_register(context, RAX, size) >> (8 * size - 1)
    write_register(context, RDX, size, mask_of(size) if negative else 0)


ARITHMETIC: Final[dict[str, Handler]] = {
    **{mnemonic: _shift(mnemonic) for mnemonic in SHIFTS},
    **{mnemonic: _double_shift(mnemonic) for mnemonic in DOUBLE},
    "MUL": _multiply(multiply_unsigned),
    "IMUL": _imul,
    "MULX": _mulx,
    "DIV": _divide(divide_unsigned),
    "IDIV": _divide(divide_signed),
    "ADCX": _add_with(CF),
    "ADOX": _add_with(OF),
    "CBW": _cbw,
    "CWD": _cwd,
}
