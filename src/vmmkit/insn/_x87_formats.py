# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Numbers of the x87 unit and what they become in memory; `csrc/x87_formats.c` is the same.

SDM vol. 1, "x87 FPU Data Types" and "x87 FPU Floating-Point Exception Conditions". What a
conversion raises is told in bits of the status word: exceptions, and C1 where a magnitude was
rounded up.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.insn._flags import mask_of

__all__ = [
    "C1",
    "DE",
    "IE",
    "INDEFINITE",
    "OE",
    "UE",
    "Extended",
    "from_decimal",
    "from_integer",
    "from_real",
    "indefinite_decimal",
    "indefinite_integer",
    "indefinite_real",
    "kind_of",
    "order",
    "to_decimal",
    "to_integer",
    "to_real",
]

IE, DE, OE, UE, PE, C1 = 1, 2, 8, 0x10, 0x20, 0x200
ZERO, DENORMAL, NORMAL, INFINITY, QUIET, SIGNALING, UNSUPPORTED = range(7)

INTEGER_BIT: Final = 1 << 63
QUIET_BIT: Final = 1 << 62
SIGN: Final = 0x8000
LARGEST: Final = 0x7FFF  # exponent of infinities and NaNs
BIAS: Final = 16383
NEAREST, DOWN, UP, TRUNCATE = range(4)
GONE: Final = 66  # shifting so far leaves no more than that there was something
LARGEST_DECIMAL: Final = 10**18 - 1


class Extended(NamedTuple):
    """A number of 80 bits."""

    significand: int  #: 64 bits, the integer bit included
    exponent: int  #: 15 bits, biased; the sign above them


class Real(NamedTuple):
    """A format in memory."""

    precision: int  #: bits of the significand, the integer bit included
    top: int  #: the exponent of infinities and NaNs; half of it is the bias


REALS: Final = {4: Real(24, 0xFF), 8: Real(53, 0x7FF)}
INDEFINITE: Final = Extended(INTEGER_BIT | QUIET_BIT, SIGN | LARGEST)


def kind_of(value: Extended) -> int:
    """What sort of number this is."""
    exponent = value.exponent & LARGEST
    if not exponent:
        return DENORMAL if value.significand else ZERO
    if not value.significand & INTEGER_BIT:
        return UNSUPPORTED
    if exponent != LARGEST:
        return NORMAL
    if value.significand == INTEGER_BIT:
        return INFINITY
    return QUIET if value.significand & QUIET_BIT else SIGNALING


def _rounded(significand: int, drop: int, negative: int, mode: int) -> tuple[int, int]:
    """Drop low bits of a magnitude; what that raises."""
    drop = min(drop, GONE)
    kept = significand >> drop
    rest = significand - (kept << drop)
    if not rest:
        return kept, 0
    half = 1 << drop - 1
    if mode == NEAREST:
        up = rest > half or (rest == half and bool(kept & 1))
    else:
        up = mode == (DOWN if negative else UP)
    return kept + up, PE | (C1 if up else 0)


def indefinite_real(size: int) -> int:
    """The NaN that an invalid operation stores in `size` bytes."""
    if size == 10:
        return INDEFINITE.exponent << 64 | INDEFINITE.significand
    precision, top = REALS[size]
    return 1 << 8 * size - 1 | top << precision - 1 | 1 << precision - 2


def from_real(number: int, size: int) -> tuple[Extended, int]:
    """Convert `size` bytes: exact, but signaling NaNs become quiet."""
    if size == 10:
        return Extended(number & mask_of(8), number >> 64), 0
    precision, top = REALS[size]
    sign = SIGN if number >> 8 * size - 1 else 0
    exponent = number >> precision - 1 & top
    significand = number << 64 - precision & INTEGER_BIT - 1
    if exponent == top:
        signals = significand and not significand & QUIET_BIT
        quiet = QUIET_BIT if significand else 0
        return Extended(INTEGER_BIT | quiet | significand, sign | LARGEST), IE if signals else 0
    exponent += BIAS - (top >> 1)
    if number >> precision - 1 & top:
        return Extended(INTEGER_BIT | significand, sign | exponent), 0
    if not significand:
        return Extended(0, sign), 0
    shift = 64 - significand.bit_length()
    return Extended(significand << shift, sign | exponent + 1 - shift), DE


def to_real(value: Extended, size: int, control: int) -> tuple[int, int]:
    """Round to `size` bytes as the control word has it."""
    if size == 10:
        return value.exponent << 64 | value.significand, 0
    precision, top = REALS[size]
    sign, kind = value.exponent >> 15 << 8 * size - 1, kind_of(value)
    if kind == UNSUPPORTED:
        return indefinite_real(size), IE
    if kind == ZERO:
        return sign, 0
    if kind in {DENORMAL, NORMAL}:
        number, flags = _finite(value, REALS[size], control)
        return sign | number, flags
    quiet = QUIET_BIT if kind == SIGNALING else 0
    fraction = (value.significand & ~INTEGER_BIT | quiet) >> 64 - precision
    return sign | top << precision - 1 | fraction, IE if kind == SIGNALING else 0


def _finite(value: Extended, real: Real, control: int) -> tuple[int, int]:
    """Magnitude in a format, tininess judged after rounding."""
    precision, top = real
    negative, mode = value.exponent & SIGN, control >> 10 & 3
    exponent = max(value.exponent & LARGEST, 1) - BIAS + (top >> 1)
    kept, flags = _rounded(value.significand, 64 - precision, negative, mode)
    if exponent + (kept >> precision) <= 0:
        kept, flags = _rounded(value.significand, 65 - precision - exponent, negative, mode)
        if not control & UE:
            return kept, UE
        return kept, flags | (UE if flags else 0)
    number = (exponent - 1 << precision - 1) + kept
    infinity = top << precision - 1
    if number < infinity:
        return number, flags
    if not control & OE:
        return infinity, OE
    if mode in {NEAREST, DOWN if negative else UP}:
        return infinity, OE | PE | C1
    return infinity - 1, OE | PE


def indefinite_integer(size: int) -> int:
    """The integer that an invalid operation stores in `size` bytes."""
    return 1 << 8 * size - 1


def from_integer(number: int, size: int) -> tuple[Extended, int]:
    """Convert a two's complement number of `size` bytes."""
    negative = number >> 8 * size - 1
    return _normalized(-number & mask_of(size) if negative else number, SIGN if negative else 0), 0


def _normalized(magnitude: int, sign: int) -> Extended:
    if not magnitude:
        return Extended(0, sign)
    shift = 64 - magnitude.bit_length()
    return Extended(magnitude << shift, sign | BIAS + 63 - shift)


def _magnitude(value: Extended, mode: int) -> tuple[int, int]:
    """Round to an integer; IE for what is no number, or has more than 64 bits."""
    exponent, kind = (value.exponent & LARGEST) - BIAS, kind_of(value)
    if kind in {INFINITY, QUIET, SIGNALING, UNSUPPORTED} or exponent > 63:
        return 0, IE
    return _rounded(value.significand, 63 - exponent, value.exponent & SIGN, mode)


def to_integer(value: Extended, size: int, control: int) -> tuple[int, int]:
    """Round to a two's complement number of `size` bytes as the control word has it."""
    magnitude, flags = _magnitude(value, control >> 10 & 3)
    negative = value.exponent >> 15
    if flags & IE or magnitude > indefinite_integer(size) - 1 + negative:
        return indefinite_integer(size), IE
    return (-magnitude if negative else magnitude) & mask_of(size), flags


def indefinite_decimal(_size: int) -> int:
    """The packed decimal that an invalid operation stores."""
    return 0xFFFF_C000 << 48


def from_decimal(number: int, _size: int) -> tuple[Extended, int]:
    """Convert 18 packed decimal digits and a sign."""
    magnitude = 0
    for place in reversed(range(18)):
        magnitude = 10 * magnitude + (number >> 4 * place & 15)
    return _normalized(magnitude, SIGN if number >> 79 & 1 else 0), 0


def to_decimal(value: Extended, size: int, control: int) -> tuple[int, int]:
    """Round to 18 packed decimal digits and a sign as the control word has it."""
    magnitude, flags = _magnitude(value, control >> 10 & 3)
    if flags & IE or magnitude > LARGEST_DECIMAL:
        return indefinite_decimal(size), IE
    number = value.exponent >> 15 << 79
    for place in range(18):
        magnitude, digit = divmod(magnitude, 10)
        number |= digit << 4 * place
    return number, flags


def _ordered(value: Extended) -> int:
    """An integer for each number, in their order."""
    magnitude = max(value.exponent & LARGEST, 1) << 64 | value.significand
    if not value.significand:
        return 0
    return -magnitude if value.exponent & SIGN else magnitude


def order(a: Extended, b: Extended, *, quiet: bool) -> tuple[int | None, int]:
    """-1, 0 or 1 for less, equal and greater, `None` for unordered; and what that raises.

    `quiet` lets quiet NaNs pass without an exception.
    """
    kinds = {kind_of(a), kind_of(b)}
    if kinds & {QUIET, SIGNALING, UNSUPPORTED}:
        return None, IE if kinds & {SIGNALING, UNSUPPORTED} or not quiet else 0
    x, y = _ordered(a), _ordered(b)
    return (x > y) - (x < y), DE if DENORMAL in kinds else 0
