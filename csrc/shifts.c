/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_shifts.py. */

typedef struct {
    uint64_t result;
    unsigned flags;
    unsigned mask;
} shifted;

static inline unsigned shift_count(uint64_t count, unsigned size)
{
    return (unsigned)count & (size == 8 ? 0x3F : 0x1F);
}

static inline shifted rotated(uint64_t result, unsigned carry, unsigned overflow)
{
    return (shifted){result, carry | overflow << 11, CF | OF};
}

static inline shifted rol(uint64_t value, unsigned count, unsigned size)
{
    unsigned bits = 8 * size, turn = count % bits;
    uint64_t result = turn ? (value << turn | value >> (bits - turn)) & mask_of(size) : value;
    unsigned carry = (unsigned)result & 1;
    return rotated(result, carry, carry ^ sign_of(result, size));
}

static inline shifted ror(uint64_t value, unsigned count, unsigned size)
{
    unsigned bits = 8 * size, turn = count % bits;
    uint64_t result = turn ? (value >> turn | value << (bits - turn)) & mask_of(size) : value;
    unsigned carry = sign_of(result, size);
    return rotated(result, carry, carry ^ (unsigned)(result >> (bits - 2) & 1));
}

/* Value and carry together do not fit 64 bits when the size is 8: one bit a turn. */
static inline shifted rcl(uint64_t value, unsigned count, unsigned carry, unsigned size)
{
    for (unsigned turn = count % (8 * size + 1); turn; turn--) {
        unsigned top = sign_of(value, size);
        value = (value << 1 | carry) & mask_of(size);
        carry = top;
    }
    return rotated(value, carry, carry ^ sign_of(value, size));
}

static inline shifted rcr(uint64_t value, unsigned count, unsigned carry, unsigned size)
{
    for (unsigned turn = count % (8 * size + 1); turn; turn--) {
        unsigned low = (unsigned)value & 1;
        value = value >> 1 | (uint64_t)carry << (8 * size - 1);
        carry = low;
    }
    return rotated(value, carry, sign_of(value, size) ^ (unsigned)(value >> (8 * size - 2) & 1));
}

static inline shifted shift_result(uint64_t result, unsigned size, uint64_t carry,
                                   unsigned overflow)
{
    unsigned flags = logic_flags(result, size) | (unsigned)carry | overflow << 11;
    return (shifted){result, flags, STATUS};
}

static inline shifted shl(uint64_t value, unsigned count, unsigned size)
{
    uint64_t result = value << count & mask_of(size);
    unsigned bits = 8 * size;
    unsigned carry = count <= bits ? (unsigned)(value >> (bits - count) & 1) : 0;
    return shift_result(result, size, carry, carry ^ sign_of(result, size));
}

static inline shifted shr(uint64_t value, unsigned count, unsigned size)
{
    return shift_result(value >> count, size, value >> (count - 1) & 1, sign_of(value, size));
}

/* Counts below 64 only. */
static inline uint64_t shift_signed(uint64_t value, unsigned count)
{
    uint64_t fill = 0 - (value >> 63);
    return value >> count | fill << (63 - count) << 1;
}

static inline shifted sar(uint64_t value, unsigned count, unsigned size)
{
    uint64_t sign = (uint64_t)1 << (8 * size - 1), extended = (value ^ sign) - sign;
    uint64_t result = shift_signed(extended, count) & mask_of(size);
    return shift_result(result, size, shift_signed(extended, count - 1) & 1, 0);
}

static inline shifted shld(uint64_t value, uint64_t filler, unsigned count, unsigned size)
{
    unsigned bits = 8 * size;
    uint64_t before = value, result;
    if (count > bits) {
        value = filler;
        filler = before;
        count -= bits;
    }
    result = (value << count | filler >> (bits - count)) & mask_of(size);
    return shift_result(result, size, value >> (bits - count) & 1, sign_of(result ^ before, size));
}

static inline shifted shrd(uint64_t value, uint64_t filler, unsigned count, unsigned size)
{
    unsigned bits = 8 * size;
    uint64_t before = value, result;
    if (count > bits) {
        value = filler;
        filler = before;
        count -= bits;
    }
    result = (value >> count | filler << (bits - count)) & mask_of(size);
    return shift_result(result, size, value >> (count - 1) & 1, sign_of(result ^ before, size));
}

static inline shifted shift(unsigned op, uint64_t value, unsigned count, unsigned carry,
                            unsigned size)
{
    if (!count)
        return (shifted){value, 0, 0};
    switch (op) {
    case VMMKIT_OP_ROL:
        return rol(value, count, size);
    case VMMKIT_OP_ROR:
        return ror(value, count, size);
    case VMMKIT_OP_RCL:
        return rcl(value, count, carry, size);
    case VMMKIT_OP_RCR:
        return rcr(value, count, carry, size);
    case VMMKIT_OP_SHL:
        return shl(value, count, size);
    case VMMKIT_OP_SHR:
        return shr(value, count, size);
    default:
        return sar(value, count, size);
    }
}

static inline shifted double_shift(unsigned op, uint64_t value, uint64_t filler, unsigned count,
                                   unsigned size)
{
    if (!count)
        return (shifted){value, 0, 0};
    return op == VMMKIT_OP_SHLD ? shld(value, filler, count, size)
                                : shrd(value, filler, count, size);
}
