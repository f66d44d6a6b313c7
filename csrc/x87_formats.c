/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_x87_formats.py. */

enum { IE = 1, DENORMAL_OPERAND = 2, OE = 8, UE = 0x10, PE = 0x20, C1 = 0x200 };
enum { X87_ZERO, X87_DENORMAL, X87_NORMAL, X87_INFINITY, X87_QUIET, X87_SIGNALING, X87_UNSUPPORTED };
enum { X87_SIGN = 0x8000, LARGEST_EXPONENT = 0x7FFF, X87_BIAS = 16383 };
enum { NEAREST, DOWN, UP, TRUNCATE };
#define INTEGER_BIT ((uint64_t)1 << 63)
#define QUIET_BIT ((uint64_t)1 << 62)
#define LARGEST_DECIMAL UINT64_C(999999999999999999)

/* A number of 80 bits. */
typedef struct {
    uint64_t significand;
    uint64_t exponent; /* the sign in bit 15 */
} extended_real;

/* A number as it is in memory: up to 10 bytes, `high` being the last two. */
typedef struct {
    uint64_t low, high;
} memory_real;

/* A format in memory: bits of the significand, and the exponent of infinities and NaNs. */
typedef struct {
    unsigned precision;
    uint64_t top;
} real_format;

static const extended_real indefinite = {INTEGER_BIT | QUIET_BIT, X87_SIGN | LARGEST_EXPONENT};

static unsigned kind_of(extended_real value)
{
    uint64_t exponent = value.exponent & LARGEST_EXPONENT;
    if (!exponent)
        return value.significand ? X87_DENORMAL : X87_ZERO;
    if (!(value.significand & INTEGER_BIT))
        return X87_UNSUPPORTED;
    if (exponent != LARGEST_EXPONENT)
        return X87_NORMAL;
    if (value.significand == INTEGER_BIT)
        return X87_INFINITY;
    return value.significand & QUIET_BIT ? X87_QUIET : X87_SIGNALING;
}

static uint64_t rounded(uint64_t significand, uint64_t drop, int negative, unsigned mode,
                        unsigned *flags)
{
    uint64_t kept, rest, half;
    int up;
    *flags = 0;
    if (!drop)
        return significand;
    if (drop > 64) {
        kept = 0;
        rest = significand != 0;
        half = 2;
    } else {
        kept = drop == 64 ? 0 : significand >> drop;
        rest = drop == 64 ? significand : significand & (((uint64_t)1 << drop) - 1);
        half = (uint64_t)1 << (drop - 1);
    }
    if (!rest)
        return kept;
    if (mode == NEAREST)
        up = rest > half || (rest == half && kept & 1);
    else
        up = mode == (negative ? DOWN : UP);
    *flags = PE | (up ? C1 : 0);
    return kept + (unsigned)up;
}

static real_format format_of(unsigned size)
{
    return size == 4 ? (real_format){24, 0xFF} : (real_format){53, 0x7FF};
}

static memory_real indefinite_real(unsigned size)
{
    real_format real = format_of(size);
    uint64_t number = (real.top << 1 | 1) << (real.precision - 2);
    if (size == 10)
        return (memory_real){indefinite.significand, indefinite.exponent};
    return (memory_real){number | (uint64_t)1 << (8 * size - 1), 0};
}

static unsigned leading_zeros(uint64_t number)
{
    unsigned count = 0;
    while (!(number & INTEGER_BIT)) {
        number <<= 1;
        count++;
    }
    return count;
}

static extended_real from_real(memory_real number, unsigned size, unsigned *flags)
{
    real_format real = format_of(size);
    uint64_t sign, exponent, significand, biased;
    *flags = 0;
    if (size == 10)
        return (extended_real){number.low, number.high};
    sign = number.low >> (8 * size - 1) ? X87_SIGN : 0;
    exponent = number.low >> (real.precision - 1) & real.top;
    significand = number.low << (64 - real.precision) & ~INTEGER_BIT;
    if (exponent == real.top) {
        *flags = significand && !(significand & QUIET_BIT) ? IE : 0;
        significand |= significand ? QUIET_BIT : 0;
        return (extended_real){INTEGER_BIT | significand, sign | LARGEST_EXPONENT};
    }
    biased = exponent + X87_BIAS - (real.top >> 1);
    if (exponent)
        return (extended_real){INTEGER_BIT | significand, sign | biased};
    if (!significand)
        return (extended_real){0, sign};
    *flags = DENORMAL_OPERAND;
    exponent = leading_zeros(significand);
    return (extended_real){significand << exponent, sign | (biased + 1 - exponent)};
}

/* `least` is the exponent that is 1 in the format. */
static uint64_t finite_real(extended_real value, real_format real, unsigned control,
                            unsigned *flags)
{
    int negative = (value.exponent & X87_SIGN) != 0;
    unsigned mode = control >> 10 & 3;
    uint64_t exponent = value.exponent & LARGEST_EXPONENT, number, kept;
    uint64_t infinity = real.top << (real.precision - 1), least = X87_BIAS - (real.top >> 1) + 1;
    exponent = exponent ? exponent : 1;
    kept = rounded(value.significand, 64 - real.precision, negative, mode, flags);
    if (exponent + (kept >> real.precision) < least) {
        uint64_t drop = 64 - real.precision + (least - exponent);
        kept = rounded(value.significand, drop, negative, mode, flags);
        *flags = !(control & UE) ? UE : *flags ? *flags | UE : 0;
        return kept;
    }
    number = ((exponent - least) << (real.precision - 1)) + kept;
    if (exponent + (kept >> real.precision) - least < real.top && number < infinity)
        return number;
    *flags = OE;
    if (!(control & OE))
        return infinity;
    if (mode != NEAREST && mode != (negative ? DOWN : UP)) {
        *flags |= PE;
        return infinity - 1;
    }
    *flags |= PE | C1;
    return infinity;
}

static memory_real to_real(extended_real value, unsigned size, unsigned control, unsigned *flags)
{
    real_format real = format_of(size);
    unsigned kind = kind_of(value);
    uint64_t sign, fraction;
    *flags = 0;
    if (size == 10)
        return (memory_real){value.significand, value.exponent};
    sign = value.exponent >> 15 << (8 * size - 1);
    if (kind == X87_UNSUPPORTED) {
        *flags = IE;
        return indefinite_real(size);
    }
    if (kind == X87_ZERO)
        return (memory_real){sign, 0};
    if (kind == X87_DENORMAL || kind == X87_NORMAL)
        return (memory_real){sign | finite_real(value, real, control, flags), 0};
    *flags = kind == X87_SIGNALING ? IE : 0;
    fraction = (value.significand & ~INTEGER_BIT) | (kind == X87_SIGNALING ? QUIET_BIT : 0);
    fraction >>= 64 - real.precision;
    return (memory_real){sign | real.top << (real.precision - 1) | fraction, 0};
}

static uint64_t indefinite_integer(unsigned size)
{
    return (uint64_t)1 << (8 * size - 1);
}

static extended_real normalized(uint64_t magnitude, uint64_t sign)
{
    unsigned shift;
    if (!magnitude)
        return (extended_real){0, sign};
    shift = leading_zeros(magnitude);
    return (extended_real){magnitude << shift, sign | (X87_BIAS + 63 - shift)};
}

static extended_real from_integer(memory_real number, unsigned size)
{
    if (number.low >> (8 * size - 1))
        return normalized((0 - number.low) & mask_of(size), X87_SIGN);
    return normalized(number.low, 0);
}

static uint64_t magnitude_of(extended_real value, unsigned mode, unsigned *flags)
{
    uint64_t exponent = value.exponent & LARGEST_EXPONENT;
    unsigned kind = kind_of(value);
    if (kind >= X87_INFINITY || exponent > X87_BIAS + 63) {
        *flags = IE;
        return 0;
    }
    return rounded(value.significand, X87_BIAS + 63 - exponent, (value.exponent & X87_SIGN) != 0,
                   mode, flags);
}

static memory_real to_integer(extended_real value, unsigned size, unsigned control,
                              unsigned *flags)
{
    uint64_t magnitude = magnitude_of(value, control >> 10 & 3, flags);
    uint64_t negative = value.exponent >> 15;
    if (*flags & IE || magnitude > indefinite_integer(size) - 1 + negative) {
        *flags = IE;
        return (memory_real){indefinite_integer(size), 0};
    }
    return (memory_real){(negative ? 0 - magnitude : magnitude) & mask_of(size), 0};
}

static memory_real indefinite_decimal(void)
{
    return (memory_real){(uint64_t)0xC000 << 48, 0xFFFF};
}

static extended_real from_decimal(memory_real number)
{
    uint64_t magnitude = number.high >> 4 & 15;
    magnitude = 10 * magnitude + (number.high & 15);
    for (unsigned place = 16; place-- > 0;)
        magnitude = 10 * magnitude + (number.low >> 4 * place & 15);
    return normalized(magnitude, number.high & X87_SIGN);
}

static memory_real to_decimal(extended_real value, unsigned control, unsigned *flags)
{
    uint64_t magnitude = magnitude_of(value, control >> 10 & 3, flags);
    memory_real number = {0, value.exponent & X87_SIGN};
    if (*flags & IE || magnitude > LARGEST_DECIMAL) {
        *flags = IE;
        return indefinite_decimal();
    }
    for (unsigned place = 0; place < 16; place++, magnitude /= 10)
        number.low |= magnitude % 10 << 4 * place;
    number.high |= magnitude % 10 | magnitude / 10 << 4;
    return number;
}

/* -1, 0 or 1 by magnitude. */
static int magnitude_order(extended_real a, extended_real b)
{
    uint64_t x = a.exponent & LARGEST_EXPONENT, y = b.exponent & LARGEST_EXPONENT;
    x = x ? x : 1;
    y = y ? y : 1;
    if (!a.significand || !b.significand)
        return (a.significand != 0) - (b.significand != 0);
    if (x != y)
        return x < y ? -1 : 1;
    return (a.significand > b.significand) - (a.significand < b.significand);
}

enum { UNORDERED = 2 };

static int order(extended_real a, extended_real b, int quiet, unsigned *flags)
{
    unsigned x = kind_of(a), y = kind_of(b);
    int negative = (a.exponent & X87_SIGN) != 0;
    if (x > X87_INFINITY || y > X87_INFINITY) {
        *flags = x > X87_QUIET || y > X87_QUIET || !quiet ? IE : 0;
        return UNORDERED;
    }
    *flags = x == X87_DENORMAL || y == X87_DENORMAL ? DENORMAL_OPERAND : 0;
    if (!a.significand && !b.significand)
        return 0;
    if (a.significand && b.significand && (a.exponent ^ b.exponent) & X87_SIGN)
        return negative ? -1 : 1;
    if (!a.significand)
        negative = (b.exponent & X87_SIGN) != 0;
    return negative ? -magnitude_order(a, b) : magnitude_order(a, b);
}
