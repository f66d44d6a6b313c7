# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Shifts and rotates: results and status flags; `csrc/shifts.c` is the same.

Each function takes the value, the count already masked to 5 or 6 bits (SDM vol. 2B,
"SAL/SAR/SHL/SHR - Shift"), the carry flag and the size in bytes, and returns the result, the flags,
and the mask of flags it sets; a masked count of zero sets none. What the SDM leaves undefined is
chosen so that both engines agree: OF for counts above 1 follows the formula for 1, AF is clear, CF
of a SHL or SHR beyond the operand's width is clear, and SHLD and SHRD of 2 bytes by more than 16
bring in the second operand, then the first, as Intel's processors do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._flags import CF, OF, STATUS, logic_flags, mask_of

__all__ = ["DOUBLE", "SHIFTS", "double_shift", "shift", "shift_count"]

# (value, count, carry flag, size), or (value, filler, count, size), to (result, flags, mask); the
# count is not zero
Operation = Callable[[int, int, int, int], tuple[int, int, int]]

CARRY_OVERFLOW: Final = CF | OF


def shift_count(count: int, size: int) -> int:
    """The bits of a count that count."""
    return count & (0x3F if size == 8 else 0x1F)


def _top(value: int, size: int) -> int:
    return value >> (8 * size - 1) & 1


def _rotated(result: int, carry: int, overflow: int) -> tuple[int, int, int]:
    return result, carry | (OF if overflow else 0), CARRY_OVERFLOW


def _rol(value: int, count: int, _carry: int, size: int) -> tuple[int, int, int]:
    """Rotate left; CF is the lowest bit of the result."""
    bits = 8 * size
    turn = count % bits
    result = (value << turn | value >> (bits - turn)) & mask_of(size)
    carry = result & 1
    return _rotated(result, carry, carry ^ _top(result, size))


def _ror(value: int, count: int, _carry: int, size: int) -> tuple[int, int, int]:
    """Rotate right; CF is the highest bit of the result."""
    bits = 8 * size
    turn = count % bits
    result = (value >> turn | value << (bits - turn)) & mask_of(size)
    carry = _top(result, size)
    return _rotated(result, carry, carry ^ result >> (bits - 2) & 1)


def _rcl(value: int, count: int, carry: int, size: int) -> tuple[int, int, int]:
    """Rotate left through CF: a rotate of size * 8 + 1 bits."""
    bits = 8 * size + 1
    turn = count % bits
    whole = carry << (bits - 1) | value
    whole = (whole << turn | whole >> (bits - turn)) & (1 << bits) - 1
    result, carry = whole & mask_of(size), whole >> (bits - 1)
    return _rotated(result, carry, carry ^ _top(result, size))


def _rcr(value: int, count: int, carry: int, size: int) -> tuple[int, int, int]:
    """Rotate right through CF."""
    bits = 8 * size + 1
    turn = count % bits
    whole = carry << (bits - 1) | value
    whole = (whole >> turn | whole << (bits - turn)) & (1 << bits) - 1
    result, carry = whole & mask_of(size), whole >> (bits - 1)
    return _rotated(result, carry, _top(result, size) ^ result >> (bits - 3) & 1)


def _shifted(result: int, size: int, carry: int, overflow: int) -> tuple[int, int, int]:
    return result, logic_flags(result, size) | carry | (OF if overflow else 0), STATUS


def _shl(value: int, count: int, _carry: int, size: int) -> tuple[int, int, int]:
    whole = value << count
    result = whole & mask_of(size)
    carry = whole >> 8 * size & 1
    return _shifted(result, size, carry, carry ^ _top(result, size))


def _shr(value: int, count: int, _carry: int, size: int) -> tuple[int, int, int]:
    return _shifted(value >> count, size, value >> (count - 1) & 1, _top(value, size))


def _sar(value: int, count: int, _carry: int, size: int) -> tuple[int, int, int]:
    signed = value - (_top(value, size) << 8 * size)
    return _shifted(signed >> count & mask_of(size), size, signed >> (count - 1) & 1, 0)


def _shld(value: int, filler: int, count: int, size: int) -> tuple[int, int, int]:
    """SHLD; a count beyond a 16-bit operand's width goes on with the filler, then the value."""
    bits, before = 8 * size, value
    if count > bits:
        value, filler, count = filler, value, count - bits
    result = (value << count | filler >> (bits - count)) & mask_of(size)
    return _shifted(result, size, value >> (bits - count) & 1, _top(result ^ before, size))


def _shrd(value: int, filler: int, count: int, size: int) -> tuple[int, int, int]:
    """SHRD; counts beyond a 16-bit operand's width as in SHLD."""
    bits, before = 8 * size, value
    if count > bits:
        value, filler, count = filler, value, count - bits
    result = (value >> count | filler << (bits - count)) & mask_of(size)
    return _shifted(result, size, value >> (count - 1) & 1, _top(result ^ before, size))


def shift(mnemonic: str, value: int, count: int, carry: int, size: int) -> tuple[int, int, int]:
    """Shift or rotate; a count of zero changes nothing, the flags included."""
    return SHIFTS[mnemonic](value, count, carry, size) if count else (value, 0, 0)


def double_shift(
    mnemonic: str, value: int, filler: int, count: int, size: int
) -> tuple[int, int, int]:
    """SHLD and SHRD: the bits that come in are those of `filler`."""
    return DOUBLE[mnemonic](value, filler, count, size) if count else (value, 0, 0)


SHIFTS: Final[dict[str, Operation]] = {
    "ROL": _rol,
    "ROR": _ror,
    "RCL": _rcl,
    "RCR": _rcr,
    "SHL": _shl,
    "SHR": _shr,
    "SAR": _sar,
}
DOUBLE: Final[dict[str, Operation]] = {"SHLD": _shld, "SHRD": _shrd}
