/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_multiply.py; C11 has no 128-bit integers, which come from halves. */

typedef struct {
    uint64_t low, high;
    unsigned flags;
} product;

static inline uint64_t sign_extended(uint64_t value, unsigned size)
{
    uint64_t sign = (uint64_t)1 << (8 * size - 1);
    return (value ^ sign) - sign;
}

/* 64 by 64 bits to 128. */
static inline product wide_multiply(uint64_t a, uint64_t b)
{
    uint64_t a0 = a & 0xFFFFFFFFu, a1 = a >> 32, b0 = b & 0xFFFFFFFFu, b1 = b >> 32;
    uint64_t low = a0 * b0, cross = a1 * b0 + (low >> 32);
    uint64_t middle = a0 * b1 + (cross & 0xFFFFFFFFu);
    uint64_t high = a1 * b1 + (cross >> 32) + (middle >> 32);
    return (product){middle << 32 | (low & 0xFFFFFFFFu), high, 0};
}

static inline unsigned product_flags(uint64_t low, unsigned size, int lost)
{
    return (logic_flags(low, size) & ~(unsigned)ZF) | (lost ? CF | OF : 0u);
}

static inline product multiply_unsigned(uint64_t a, uint64_t b, unsigned size)
{
    product p = wide_multiply(a, b);
    if (size < 8) {
        p.high = p.low >> (8 * size);
        p.low &= mask_of(size);
    }
    p.flags = product_flags(p.low, size, p.high != 0);
    return p;
}

static inline product multiply_signed(uint64_t a, uint64_t b, unsigned size)
{
    uint64_t x = sign_extended(a, size), y = sign_extended(b, size);
    product p = wide_multiply(x, y);
    p.high -= (x >> 63 ? y : 0) + (y >> 63 ? x : 0);
    if (size < 8) {
        p.high = p.low >> (8 * size) & mask_of(size);
        p.low &= mask_of(size);
    }
    p.flags = product_flags(p.low, size, p.high != (sign_of(p.low, size) ? mask_of(size) : 0));
    return p;
}

/* 128 by 64 bits, one bit of the quotient a turn; high is below the divisor. */
static NOINLINE uint64_t wide_divide(uint64_t high, uint64_t low, uint64_t divisor, uint64_t *rest)
{
    for (int bit = 0; bit < 64; bit++) {
        uint64_t top = high >> 63;
        high = high << 1 | low >> 63;
        low <<= 1;
        if (top || high >= divisor) {
            high -= divisor;
            low |= 1;
        }
    }
    *rest = high;
    return low;
}

/* These two return 0 for #DE. */
static inline int divide_unsigned(uint64_t high, uint64_t low, uint64_t divisor, unsigned size,
                                  uint64_t *quotient, uint64_t *rest)
{
    uint64_t dividend;
    if (high >= divisor)
        return 0;
    if (size == 8 && high) {
        *quotient = wide_divide(high, low, divisor, rest);
        return 1;
    }
    dividend = size == 8 ? low : high << (8 * size) | low;
    *quotient = dividend / divisor;
    *rest = dividend % divisor;
    return 1;
}

static inline int divide_signed(uint64_t high, uint64_t low, uint64_t divisor, unsigned size,
                                uint64_t *quotient, uint64_t *rest)
{
    unsigned negative = sign_of(high, size), inverted = negative ^ sign_of(divisor, size);
    uint64_t mask = mask_of(size), limit = (uint64_t)1 << (8 * size - 1);
    if (negative) {
        low = (0 - low) & mask;
        high = (~high + !low) & mask;
    }
    if (sign_of(divisor, size))
        divisor = (0 - divisor) & mask;
    if (!divide_unsigned(high, low, divisor, size, quotient, rest) || *quotient > limit - !inverted)
        return 0;
    if (inverted)
        *quotient = (0 - *quotient) & mask;
    if (negative)
        *rest = (0 - *rest) & mask;
    return 1;
}
