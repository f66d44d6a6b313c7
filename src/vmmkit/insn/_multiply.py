# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Products and quotients with their flags; `csrc/multiply.c` is the same.

What the SDM leaves undefined is chosen so that both engines agree: MUL and IMUL set SF and PF by
the low half of the product and clear ZF and AF; division changes no flag.
"""

from __future__ import annotations

from vmmkit.insn._flags import CF, OF, ZF, logic_flags, mask_of

__all__ = ["divide_signed", "divide_unsigned", "multiply_signed", "multiply_unsigned", "signed_of"]


def signed_of(value: int, size: int) -> int:
    """Read `size` bytes as two's complement."""
    sign = 1 << 8 * size - 1
    return (value ^ sign) - sign


def _product_flags(low: int, size: int, *, lost: bool) -> int:
    return logic_flags(low, size) & ~ZF | (CF | OF if lost else 0)


def multiply_unsigned(a: int, b: int, size: int) -> tuple[int, int, int]:
    """MUL: low half, high half, flags; CF and OF tell whether the high half is used."""
    product = a * b
    low, high = product & mask_of(size), product >> 8 * size
    return low, high, _product_flags(low, size, lost=high != 0)


def multiply_signed(a: int, b: int, size: int) -> tuple[int, int, int]:
    """IMUL: low half, high half, flags; CF and OF tell whether the low half is not enough."""
    product = signed_of(a, size) * signed_of(b, size)
    low, high = product & mask_of(size), product >> 8 * size & mask_of(size)
    return low, high, _product_flags(low, size, lost=signed_of(low, size) != product)


def divide_unsigned(high: int, low: int, divisor: int, size: int) -> tuple[int, int] | None:
    """DIV: quotient and remainder, `None` for #DE."""
    if high >= divisor:
        return None
    return divmod(high << 8 * size | low, divisor)


def divide_signed(high: int, low: int, divisor: int, size: int) -> tuple[int, int] | None:
    """IDIV: quotient rounded towards zero and remainder, `None` for #DE."""
    dividend, by = signed_of(high << 8 * size | low, 2 * size), signed_of(divisor, size)
    if not by:
        return None
    quotient, remainder = divmod(abs(dividend), abs(by))
    if (dividend < 0) != (by < 0):
        quotient = -quotient
    if dividend < 0:
        remainder = -remainder
    limit = 1 << 8 * size - 1
    if not -limit <= quotient < limit:
        return None
    return quotient & mask_of(size), remainder & mask_of(size)
