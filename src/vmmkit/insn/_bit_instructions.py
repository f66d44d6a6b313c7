# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bit test, bit scan, bit count, BMI, BSWAP and CRC32; `csrc/bit_instructions.c` is the same.

What the SDM leaves undefined: BT, BTS, BTR, BTC change CF alone, BSF and BSR change ZF alone and
leave the destination when the source is zero, TZCNT and LZCNT change CF and ZF alone, and the BMI
instructions set PF by the result and clear AF.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn import _bits
from vmmkit.insn._execute import (
    WRITTEN,
    Handler,
    I,
    Target,
    effective_address,
    operand_bytes,
    read_target,
    set_status,
    target,
    value_of,
    write_target,
)
from vmmkit.insn._flags import CF, STATUS, ZF, mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._multiply import signed_of
from vmmkit.insn._segments import locate

__all__ = ["BIT_INSTRUCTIONS"]

One = Callable[[int, int], tuple[int, int]]
Two = Callable[[int, int, int], tuple[int, int]]


def _bit_target(context: Context, offset: int) -> Target:
    """Operand 0 of BT and the like; in memory a register's offset reaches beyond the operand.

    The offset is signed and moves the address by whole operands (SDM vol. 2A, BT).
    """
    size = context.operand_size
    if context.modrm >= 0xC0 or context.row.kinds[1] == I:
        return target(context, 0)
    moved = effective_address(context) + signed_of(offset, size) // (8 * size) * size
    write = bool(context.row.access & WRITTEN)
    wrapped = moved & mask_of(context.address_size)
    return locate(context, context.segment, wrapped, size, write=write)


def _bit_test(change: Callable[[int, int], int] | None) -> Handler:
    def execute(context: Context) -> None:
        size = context.operand_size
        offset = value_of(context, 1, size)
        where = _bit_target(context, offset)
        value = read_target(context, where, size)
        bit = 1 << offset % (8 * size)
        if change is not None:
            write_target(context, where, size, change(value, bit))
        set_status(context, CF if value & bit else 0, CF)

    return execute


def _scan(number: Callable[[int], int]) -> Handler:
    def execute(context: Context) -> None:
        size = context.operand_size
        value = value_of(context, 1, size)
        if value:
            write_target(context, target(context, 0), size, number(value))
        set_status(context, 0 if value else ZF, ZF)

    return execute


def _of_one(operation: One, mask: int) -> Handler:
    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        result, flags = operation(value_of(context, 1, size), size)
        write_target(context, target(context, 0), size, result)
        set_status(context, flags, mask)

    return execute


def _of_two(operation: Two, mask: int) -> Handler:
    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        first, second = value_of(context, 1, size), value_of(context, 2, size)
        result, flags = operation(first, second, size)
        write_target(context, target(context, 0), size, result)
        set_status(context, flags, mask)

    return execute


def _bswap(context: Context) -> None:
    size, where = context.operand_size, target(context, 0)
    write_target(context, where, size, _bits.byte_swap(read_target(context, where, size), size))


def _crc32(context: Context) -> None:
    size = operand_bytes(context, 1)
    value = value_of(context, 1, size)
    where = target(context, 0)
    crc = _bits.crc32c(read_target(context, where, 4), value, size)
    write_target(context, where, operand_bytes(context, 0), crc)


BIT_INSTRUCTIONS: Final[dict[str, Handler]] = {
    "BT": _bit_test(None),
    "BTS": _bit_test(lambda value, bit: value | bit),
    "BTR": _bit_test(lambda value, bit: value & ~bit),
    "BTC": _bit_test(lambda value, bit: value ^ bit),
    "BSF": _scan(_bits.lowest_bit),
    "BSR": _scan(_bits.highest_bit),
    "TZCNT": _of_one(_bits.count_trailing, CF | ZF),
    "LZCNT": _of_one(_bits.count_leading, CF | ZF),
    "POPCNT": _of_one(_bits.population, STATUS),
    "BLSR": _of_one(_bits.lowest_reset, STATUS),
    "BLSMSK": _of_one(_bits.lowest_mask, STATUS),
    "BLSI": _of_one(_bits.lowest_isolated, STATUS),
    "ANDN": _of_two(_bits.and_not, STATUS),
    "BEXTR": _of_two(_bits.bit_field, STATUS),
    "BZHI": _of_two(_bits.zero_high, STATUS),
    "PDEP": _of_two(_bits.deposit, 0),
    "PEXT": _of_two(_bits.extract, 0),
    "RORX": _of_two(_bits.rotate_right, 0),
    "SARX": _of_two(_bits.shift_right_signed, 0),
    "SHLX": _of_two(_bits.shift_left, 0),
    "SHRX": _of_two(_bits.shift_right, 0),
    "BSWAP": _bswap,
    "CRC32": _crc32,
}
