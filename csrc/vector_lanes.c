/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_lanes.py. */

static inline uint64_t lane_at(const vector *value, unsigned lane, unsigned place)
{
    switch (lane) {
    case 1:
        return value->b[place];
    case 2:
        return value->w[place];
    case 4:
        return value->d[place];
    default:
        return value->q[place];
    }
}

static inline void set_lane(vector *value, unsigned lane, unsigned place, uint64_t number)
{
    switch (lane) {
    case 1:
        value->b[place] = (uint8_t)number;
        return;
    case 2:
        value->w[place] = (uint16_t)number;
        return;
    case 4:
        value->d[place] = (uint32_t)number;
        return;
    default:
        value->q[place] = number;
    }
}

static uint64_t signs_of(const vector *value, unsigned lane, unsigned width)
{
    uint64_t signs = 0;
    for (unsigned place = 0; place < width / lane; place++)
        signs |= (lane_at(value, lane, place) >> (8 * lane - 1) & 1) << place;
    return signs;
}

/* A lane of `bits` as a two's complement number of 64. */
static inline uint64_t extended(uint64_t value, unsigned bits)
{
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return (value ^ sign) - sign;
}

/* Orders signed numbers of 64 bits as unsigned ones. */
static inline uint64_t ordered(uint64_t value, unsigned bits)
{
    return extended(value, bits) ^ (uint64_t)1 << 63;
}

/* `value` is a signed number of 64 bits. */
static uint64_t saturated(uint64_t value, unsigned bits)
{
    uint64_t largest = ((uint64_t)1 << (bits - 1)) - 1;
    if (value >> 63)
        return value < ~largest ? ~largest : value;
    return value > largest ? largest : value;
}

static uint64_t saturated_unsigned(uint64_t value, unsigned bits)
{
    uint64_t largest = ((uint64_t)1 << bits) - 1;
    if (value >> 63)
        return 0;
    return value > largest ? largest : value;
}

static uint64_t multiply_add(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    for (unsigned at = 0; at < 32; at += 16)
        sum += extended(a >> at & 0xFFFF, 16) * extended(b >> at & 0xFFFF, 16);
    return sum;
}

static uint64_t multiply_add_bytes(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    for (unsigned at = 0; at < 16; at += 8)
        sum += (a >> at & 0xFF) * extended(b >> at & 0xFF, 8);
    return saturated(sum, 16);
}

static uint64_t sum_differences(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    for (unsigned at = 0; at < 64; at += 8) {
        uint64_t x = a >> at & 0xFF, y = b >> at & 0xFF;
        sum += x > y ? x - y : y - x;
    }
    return sum;
}

static uint64_t shifted_signed(uint64_t a, uint64_t b, unsigned bits)
{
    unsigned count = b < bits ? (unsigned)b : bits - 1;
    uint64_t value = extended(a, bits), fill = value >> 63 ? UINT64_MAX : 0;
    return count ? value >> count | fill << (64 - count) : value;
}

static uint64_t rotate_left(uint64_t a, uint64_t b, unsigned bits)
{
    unsigned count = (unsigned)b & (bits - 1);
    return count ? a << count | a >> (bits - count) : a;
}

static uint64_t compared_lane(unsigned function, uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t x = ordered(a, bits), y = ordered(b, bits);
    switch (function) {
    case VMMKIT_VECTOR_MINIMUM_SIGNED:
        return x < y ? a : b;
    case VMMKIT_VECTOR_MAXIMUM_SIGNED:
        return x > y ? a : b;
    case VMMKIT_VECTOR_MINIMUM_UNSIGNED:
        return a < b ? a : b;
    case VMMKIT_VECTOR_MAXIMUM_UNSIGNED:
        return a > b ? a : b;
    case VMMKIT_VECTOR_EQUAL:
        return a == b ? UINT64_MAX : 0;
    default: /* GREATER */
        return x > y ? UINT64_MAX : 0;
    }
}

static uint64_t multiplied_lane(unsigned function, uint64_t a, uint64_t b)
{
    uint64_t product = extended(a, 16) * extended(b, 16);
    switch (function) {
    case VMMKIT_VECTOR_MULTIPLY_LOW:
        return a * b;
    case VMMKIT_VECTOR_MULTIPLY_HIGH_SIGNED:
        return product >> 16;
    case VMMKIT_VECTOR_MULTIPLY_HIGH_UNSIGNED:
        return a * b >> 16;
    case VMMKIT_VECTOR_MULTIPLY_ROUNDED:
        return ((product >> 14) + 1) >> 1;
    case VMMKIT_VECTOR_MULTIPLY_EVEN_SIGNED:
        return extended(a & 0xFFFFFFFFu, 32) * extended(b & 0xFFFFFFFFu, 32);
    case VMMKIT_VECTOR_MULTIPLY_EVEN_UNSIGNED:
        return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
    case VMMKIT_VECTOR_MULTIPLY_ADD:
        return multiply_add(a, b);
    case VMMKIT_VECTOR_MULTIPLY_ADD_BYTES:
        return multiply_add_bytes(a, b);
    default: /* SUM_DIFFERENCES */
        return sum_differences(a, b);
    }
}

static uint64_t shifted_lane(unsigned function, uint64_t a, uint64_t b, unsigned bits)
{
    switch (function) {
    case VMMKIT_VECTOR_SHIFT_LEFT:
        return b < bits ? a << b : 0;
    case VMMKIT_VECTOR_SHIFT_RIGHT:
        return b < bits ? a >> b : 0;
    case VMMKIT_VECTOR_SHIFT_SIGNED:
        return shifted_signed(a, b, bits);
    case VMMKIT_VECTOR_ROTATE_LEFT:
        return rotate_left(a, b, bits);
    default: /* ROTATE_RIGHT */
        return rotate_left(a, 0 - b, bits);
    }
}

/* What is not in the table of its caller; every function of the family LANES is somewhere. */
static uint64_t other_lane(unsigned function, uint64_t a, uint64_t b, unsigned bits)
{
    if (function >= VMMKIT_VECTOR_SHIFT_LEFT)
        return shifted_lane(function, a, b, bits);
    if (function >= VMMKIT_VECTOR_MULTIPLY_LOW && function <= VMMKIT_VECTOR_SUM_DIFFERENCES)
        return multiplied_lane(function, a, b);
    return compared_lane(function, a, b, bits);
}

/* Bits above the lane are the caller's to drop. */
static inline uint64_t lane_result(unsigned function, uint64_t a, uint64_t b, unsigned bits)
{
    switch (function) {
    case VMMKIT_VECTOR_ADD:
        return a + b;
    case VMMKIT_VECTOR_SUBTRACT:
        return a - b;
    case VMMKIT_VECTOR_ADD_SIGNED:
        return saturated(extended(a, bits) + extended(b, bits), bits);
    case VMMKIT_VECTOR_ADD_UNSIGNED:
        return saturated_unsigned(a + b, bits);
    case VMMKIT_VECTOR_SUBTRACT_SIGNED:
        return saturated(extended(a, bits) - extended(b, bits), bits);
    case VMMKIT_VECTOR_SUBTRACT_UNSIGNED:
        return a > b ? a - b : 0;
    case VMMKIT_VECTOR_AVERAGE:
        return (a + b + 1) >> 1;
    case VMMKIT_VECTOR_AND:
        return a & b;
    case VMMKIT_VECTOR_AND_NOT:
        return ~a & b;
    case VMMKIT_VECTOR_OR:
        return a | b;
    case VMMKIT_VECTOR_XOR:
        return a ^ b;
    case VMMKIT_VECTOR_COMMON:
        return a & b;
    case VMMKIT_VECTOR_NOTHING_COMMON:
        return !(a & b);
    case VMMKIT_VECTOR_SIGN:
        return b ? extended(b, bits) >> 63 ? 0 - a : a : 0;
    case VMMKIT_VECTOR_ABSOLUTE:
        return extended(b, bits) >> 63 ? 0 - b : b;
    default:
        return other_lane(function, a, b, bits);
    }
}

/* The block of 16 bytes, or less, that lanes come from. */
typedef struct {
    vector a, b;
    unsigned lane, count, number, imm;
} block;

static uint64_t packed_lane(unsigned function, const block *from, unsigned place)
{
    unsigned half = from->count / 2, bits = 8 * from->lane;
    const vector *source = place >= half ? &from->b : &from->a;
    unsigned at = place >= half ? place - half : place;
    uint64_t value = extended(lane_at(source, 2 * from->lane, at), 2 * bits);
    if (function == VMMKIT_VECTOR_PACK_SIGNED)
        return saturated(value, bits);
    return saturated_unsigned(value, bits);
}

static uint64_t shuffled_lane(unsigned function, const block *from, unsigned place)
{
    unsigned two = from->imm >> (2 * place & 7) & 3, half = from->count / 2;
    const vector *source = place >= half ? &from->b : &from->a;
    switch (function) {
    case VMMKIT_VECTOR_SHUFFLE:
        return lane_at(&from->b, from->lane, two);
    case VMMKIT_VECTOR_SHUFFLE_LOW:
        return lane_at(&from->b, from->lane, place < 4 ? two : place);
    case VMMKIT_VECTOR_SHUFFLE_HIGH:
        return lane_at(&from->b, from->lane, place < 4 ? place : 4 + two);
    case VMMKIT_VECTOR_SHUFFLE_TWO:
        if (from->count == 2)
            two = from->imm >> (2 * from->number + place) & 1;
        return lane_at(source, from->lane, two);
    default: /* SHUFFLE_BYTES */
        if (from->b.b[place] & 0x80)
            return 0;
        return from->a.b[from->b.b[place] & (from->count - 1)];
    }
}

static uint64_t aligned_lane(const block *from, unsigned place)
{
    unsigned at = from->imm + place;
    if (at < from->count)
        return from->b.b[at];
    return at < 2 * from->count ? from->a.b[at - from->count] : 0;
}

static uint64_t paired_lane(unsigned function, const block *from, unsigned place)
{
    unsigned half = from->count / 2, bits = 8 * from->lane;
    const vector *source = place >= half ? &from->b : &from->a;
    unsigned at = place >= half ? place - half : place;
    uint64_t x = extended(lane_at(source, from->lane, 2 * at), bits);
    uint64_t y = extended(lane_at(source, from->lane, 2 * at + 1), bits);
    switch (function) {
    case VMMKIT_VECTOR_ADD_PAIRS:
        return x + y;
    case VMMKIT_VECTOR_ADD_PAIRS_SIGNED:
        return saturated(x + y, bits);
    case VMMKIT_VECTOR_SUBTRACT_PAIRS:
        return x - y;
    default: /* SUBTRACT_PAIRS_SIGNED */
        return saturated(x - y, bits);
    }
}

static uint64_t sum_of_block(const block *from, unsigned place)
{
    unsigned control = from->imm >> 3 * from->number, sum = 0;
    const uint8_t *a = from->a.b + (control & 4) + place, *b = from->b.b + 4 * (control & 3);
    for (unsigned at = 0; at < 4; at++)
        sum += a[at] > b[at] ? (unsigned)(a[at] - b[at]) : (unsigned)(b[at] - a[at]);
    return sum;
}

static uint64_t block_lane(unsigned function, const block *from, unsigned place)
{
    unsigned high = (from->count + place) / 2, bit = from->number * from->count + place;
    switch (function) {
    case VMMKIT_VECTOR_UNPACK_LOW:
        return lane_at(place & 1 ? &from->b : &from->a, from->lane, place / 2);
    case VMMKIT_VECTOR_UNPACK_HIGH:
        return lane_at(place & 1 ? &from->b : &from->a, from->lane, high);
    case VMMKIT_VECTOR_ALIGN:
        return aligned_lane(from, place);
    case VMMKIT_VECTOR_BYTES_LEFT:
        return place >= from->imm ? from->b.b[place - from->imm] : 0;
    case VMMKIT_VECTOR_BYTES_RIGHT:
        return place + from->imm < 16 ? from->b.b[place + from->imm] : 0;
    case VMMKIT_VECTOR_PACK_SIGNED:
    case VMMKIT_VECTOR_PACK_UNSIGNED:
        return packed_lane(function, from, place);
    case VMMKIT_VECTOR_DUPLICATE_LOW:
        return lane_at(&from->b, from->lane, place & ~1u);
    case VMMKIT_VECTOR_DUPLICATE_HIGH:
        return lane_at(&from->b, from->lane, place | 1);
    case VMMKIT_VECTOR_BLEND:
        return lane_at(from->imm >> (bit & 7) & 1 ? &from->b : &from->a, from->lane, place);
    case VMMKIT_VECTOR_ADD_PAIRS:
    case VMMKIT_VECTOR_ADD_PAIRS_SIGNED:
    case VMMKIT_VECTOR_SUBTRACT_PAIRS:
    case VMMKIT_VECTOR_SUBTRACT_PAIRS_SIGNED:
        return paired_lane(function, from, place);
    case VMMKIT_VECTOR_SUM_BLOCKS:
        return sum_of_block(from, place);
    default:
        return shuffled_lane(function, from, place);
    }
}
