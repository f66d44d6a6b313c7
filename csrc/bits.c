/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_bits.py. */

#define CRC32C 0x82F63B78u

static inline unsigned highest_bit(uint64_t value)
{
    unsigned number = 0;
    for (unsigned half = 32; half; half /= 2)
        if (value >> half) {
            value >>= half;
            number += half;
        }
    return number;
}

static inline unsigned lowest_bit(uint64_t value)
{
    return highest_bit(value & (0 - value));
}

static inline outcome counted(unsigned result, int empty)
{
    return (outcome){result, (empty ? CF : 0u) | (result ? 0u : ZF)};
}

static inline outcome count_trailing(uint64_t value, unsigned size)
{
    return counted(value ? lowest_bit(value) : 8 * size, !value);
}

static inline outcome count_leading(uint64_t value, unsigned size)
{
    return counted(value ? 8 * size - 1 - highest_bit(value) : 8 * size, !value);
}

static inline outcome population(uint64_t value)
{
    unsigned ones = 0;
    for (uint64_t rest = value; rest; rest &= rest - 1)
        ones++;
    return (outcome){ones, value ? 0 : ZF};
}

static inline uint64_t byte_swap(uint64_t value, unsigned size)
{
    uint64_t swapped = 0;
    if (size <= 2)
        return 0;
    for (unsigned byte = 0; byte < size; byte++)
        swapped = swapped << 8 | (value >> (8 * byte) & 0xFF);
    return swapped;
}

/* The low ones of which there are `count`; 64 and more are all. */
static inline uint64_t low_ones(unsigned count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : UINT64_MAX;
}

static inline outcome bit_field(uint64_t value, uint64_t control, unsigned size)
{
    unsigned first = (unsigned)control & 0xFF;
    uint64_t shifted_down = first < 64 ? value >> first : 0;
    return logic(shifted_down & low_ones((unsigned)(control >> 8) & 0xFF), size);
}

static inline outcome zero_high(uint64_t value, uint64_t control, unsigned size)
{
    unsigned first = (unsigned)control & 0xFF;
    outcome out = logic(value & low_ones(first), size);
    out.flags |= first >= 8 * size ? CF : 0;
    return out;
}

static inline outcome lowest_reset(uint64_t value, unsigned size)
{
    outcome out = logic(value & (value - 1), size);
    out.flags |= value ? 0 : CF;
    return out;
}

static inline outcome lowest_mask(uint64_t value, unsigned size)
{
    outcome out = logic((value ^ (value - 1)) & mask_of(size), size);
    out.flags |= value ? 0 : CF;
    return out;
}

static inline outcome lowest_isolated(uint64_t value, unsigned size)
{
    outcome out = logic(value & (0 - value), size);
    out.flags |= value ? CF : 0;
    return out;
}

static inline uint64_t deposit(uint64_t value, uint64_t mask)
{
    uint64_t result = 0;
    for (; mask; mask &= mask - 1, value >>= 1)
        if (value & 1)
            result |= mask & (0 - mask);
    return result;
}

static inline uint64_t extract(uint64_t value, uint64_t mask)
{
    uint64_t result = 0;
    for (uint64_t place = 1; mask; mask &= mask - 1, place <<= 1)
        if (value & mask & (0 - mask))
            result |= place;
    return result;
}

static inline uint64_t rotate_right(uint64_t value, uint64_t count, unsigned size)
{
    return ror(value, shift_count(count, size), size).result;
}

static inline uint64_t shift_left(uint64_t value, uint64_t count, unsigned size)
{
    return value << shift_count(count, size) & mask_of(size);
}

static inline uint64_t shift_right(uint64_t value, uint64_t count, unsigned size)
{
    return value >> shift_count(count, size);
}

static inline uint64_t shift_right_signed(uint64_t value, uint64_t count, unsigned size)
{
    return shift_signed(sign_extended(value, size), shift_count(count, size)) & mask_of(size);
}

static NOINLINE uint64_t crc32c(uint64_t crc, uint64_t value, unsigned size)
{
    crc ^= value & 0xFFFFFFFFu;
    for (unsigned bit = 0; bit < 8 * size; bit++) {
        if (bit == 32)
            crc ^= value >> 32;
        crc = crc >> 1 ^ (crc & 1 ? CRC32C : 0);
    }
    return crc;
}
