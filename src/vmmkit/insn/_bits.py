# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bit scans, bit counts, bit fields and CRC32: results and flags; `csrc/bits.c` is the same.

Most functions take one or two operands, cut to `size` bytes, and the size, and return the result
and the status flags; which of the flags an instruction sets is said where it is executed.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._flags import CF, ZF, logic_flags, mask_of
from vmmkit.insn._multiply import signed_of
from vmmkit.insn._shifts import shift_count

__all__ = [
    "and_not",
    "bit_field",
    "byte_swap",
    "count_leading",
    "count_trailing",
    "crc32c",
    "deposit",
    "extract",
    "highest_bit",
    "lowest_bit",
    "lowest_isolated",
    "lowest_mask",
    "lowest_reset",
    "population",
    "rotate_right",
    "shift_left",
    "shift_right",
    "shift_right_signed",
    "zero_high",
]

CRC32C: Final = 0x82F6_3B78  # SDM vol. 2A, CRC32: polynomial 11EDC6F41h, reflected


def lowest_bit(value: int) -> int:
    """Number of the lowest one of a value that is not zero."""
    return (value & -value).bit_length() - 1


def highest_bit(value: int) -> int:
    """Number of the highest one of a value that is not zero."""
    return value.bit_length() - 1


def _counted(result: int, *, empty: bool) -> tuple[int, int]:
    return result, (CF if empty else 0) | (0 if result else ZF)


def count_trailing(value: int, size: int) -> tuple[int, int]:
    """TZCNT: CF for a source of zero, ZF for a result of zero."""
    return _counted(lowest_bit(value) if value else 8 * size, empty=not value)


def count_leading(value: int, size: int) -> tuple[int, int]:
    """LZCNT: CF for a source of zero, ZF for a result of zero."""
    return _counted(8 * size - value.bit_length(), empty=not value)


def population(value: int, _size: int) -> tuple[int, int]:
    """POPCNT: ZF for a source of zero, the other flags clear."""
    return value.bit_count(), 0 if value else ZF


def byte_swap(value: int, size: int) -> int:
    """BSWAP; of 2 bytes, which the SDM leaves undefined, it is zero as processors have it."""
    return int.from_bytes(value.to_bytes(size, "little"), "big") if size > 2 else 0


def and_not(inverted: int, value: int, size: int) -> tuple[int, int]:
    """ANDN: the first operand is the inverted one."""
    result = ~inverted & value
    return result, logic_flags(result, size)


def bit_field(value: int, control: int, size: int) -> tuple[int, int]:
    """BEXTR: `control` has the first bit in its low byte, the length in the byte above."""
    length = control >> 8 & 0xFF
    result = value >> (control & 0xFF) & (1 << length) - 1
    return result, logic_flags(result, size)


def zero_high(value: int, control: int, size: int) -> tuple[int, int]:
    """BZHI: keep the bits below `control`; CF tells that this is all of them."""
    first = control & 0xFF
    result = value & (1 << first) - 1
    return result, logic_flags(result, size) | (CF if first >= 8 * size else 0)


def lowest_reset(value: int, size: int) -> tuple[int, int]:
    """BLSR: clear the lowest one; CF for a source of zero."""
    result = value & value - 1
    return result, logic_flags(result, size) | (0 if value else CF)


def lowest_mask(value: int, size: int) -> tuple[int, int]:
    """BLSMSK: ones up to the lowest one; CF for a source of zero; never zero itself."""
    result = (value ^ value - 1) & mask_of(size)
    return result, logic_flags(result, size) | (0 if value else CF)


def lowest_isolated(value: int, size: int) -> tuple[int, int]:
    """BLSI: the lowest one alone; CF for a source that is not zero."""
    result = value & -value
    return result, logic_flags(result, size) | (CF if value else 0)


def deposit(value: int, mask: int, _size: int) -> tuple[int, int]:
    """PDEP: the low bits of `value` go where `mask` has ones."""
    result = 0
    while mask:
        lowest = mask & -mask
        if value & 1:
            result |= lowest
        value >>= 1
        mask ^= lowest
    return result, 0


def extract(value: int, mask: int, _size: int) -> tuple[int, int]:
    """PEXT: the bits of `value` where `mask` has ones go to the low end."""
    result, place = 0, 1
    while mask:
        lowest = mask & -mask
        if value & lowest:
            result |= place
        place <<= 1
        mask ^= lowest
    return result, 0


def rotate_right(value: int, count: int, size: int) -> tuple[int, int]:
    """RORX."""
    turn = shift_count(count, size)
    return (value >> turn | value << (8 * size - turn)) & mask_of(size), 0


def shift_left(value: int, count: int, size: int) -> tuple[int, int]:
    """SHLX."""
    return value << shift_count(count, size) & mask_of(size), 0


def shift_right(value: int, count: int, size: int) -> tuple[int, int]:
    """SHRX."""
    return value >> shift_count(count, size), 0


def shift_right_signed(value: int, count: int, size: int) -> tuple[int, int]:
    """SARX."""
    return signed_of(value, size) >> shift_count(count, size) & mask_of(size), 0


def crc32c(crc: int, value: int, size: int) -> int:
    """CRC32 of `size` bytes on top of `crc`."""
    crc ^= value & 0xFFFF_FFFF
    rest = value >> 32
    for bit in range(8 * size):
        if bit == 32:
            crc ^= rest
        crc = crc >> 1 ^ (CRC32C if crc & 1 else 0)
    return crc
