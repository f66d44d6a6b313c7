/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer arithmetic of every width: division by variables, wide products, rotates, counts of bits,
 * conditional moves, overflow checks. With -mbmi, -mbmi2, -mlzcnt, -mpopcnt, -madx and -mmovbe gcc
 * takes other instructions for the same numbers. The scale is the number of rounds.
 */
#include "guest.h"

static uint64_t next_random64(uint32_t *seed)
{
    uint64_t high = next_random(seed);
    uint64_t value = high << 32 | next_random(seed);
    return value >> (next_random(seed) & 63);
}

static uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum << 7 | sum >> 57) ^ value;
}

static uint64_t divisions(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    uint8_t a8 = (uint8_t)a, b8 = (uint8_t)b | 1;
    uint16_t a16 = (uint16_t)a, b16 = (uint16_t)b | 1;
    uint32_t a32 = (uint32_t)a, b32 = (uint32_t)b | 1;
    sum = mix(sum, a8 / b8 + 3 * (a8 % b8));
    sum = mix(sum, a16 / b16 + 3u * (a16 % b16));
    sum = mix(sum, a32 / b32 + 3 * (a32 % b32));
    sum = mix(sum, a / (b | 1) + 3 * (a % (b | 1)));
    sum = mix(sum, (uint64_t)((int8_t)a8 / ((int8_t)b8 | 3) + (int16_t)a16 / ((int16_t)b16 | 2)));
    sum = mix(sum, (uint64_t)((int32_t)(a32 >> 1) / ((int32_t)b32 | 4)));
    sum = mix(sum, (uint64_t)((int64_t)(a >> 1) / ((int64_t)b | 8)));
    return mix(sum, (uint64_t)((int64_t)(a >> 1) % ((int32_t)b32 | 16)) + a / 1000003 + a32 / 10);
}

/* The high half of the product of two 64-bit numbers. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    return (uint64_t)((unsigned __int128)a * b >> 64);
#else
    uint64_t low = (a & 0xffffffff) * (b & 0xffffffff);
    uint64_t one = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    uint64_t other = (a & 0xffffffff) * (b >> 32) + (one & 0xffffffff);
    return (a >> 32) * (b >> 32) + (one >> 32) + (other >> 32);
#endif
}

static uint64_t products(uint64_t a, uint64_t b)
{
    uint64_t sum = mix(a * b, high_product(a, b));
    uint32_t product;
    uint64_t wide;
    sum = mix(sum, (uint64_t)((int64_t)(int32_t)a * (int32_t)b));
    sum = mix(sum, (uint64_t)((int16_t)a * (int16_t)b + (uint8_t)a * (uint8_t)b));
    sum += (uint64_t)__builtin_mul_overflow((uint32_t)a, (uint32_t)b, &product) << 9;
    sum += (uint64_t)__builtin_add_overflow(a, b, &wide) << 17;
    sum = mix(sum, wide + product);
    sum += (uint64_t)__builtin_sub_overflow((int64_t)a, (int64_t)b, (int64_t *)&wide) << 25;
    return mix(sum, wide);
}

static uint64_t rotations(uint64_t a, uint64_t b)
{
    uint32_t count = b & 63, a32 = (uint32_t)a;
    uint16_t a16 = (uint16_t)a;
    uint64_t sum = a << count | a >> (-count & 63);
    sum = mix(sum, a32 >> (count & 31) | a32 << (-count & 31));
    sum = mix(sum, (uint16_t)(a16 << (count & 15) | a16 >> (-count & 15)));
    sum = mix(sum, (uint64_t)((int64_t)a >> count) + (a32 >> 5 | a32 << 27));
    sum = mix(sum, (a << 13 | b >> 51) + (a >> 9 ^ b << 55));
    sum = mix(sum, __builtin_bswap64(a) ^ __builtin_bswap32(a32) ^ __builtin_bswap16(a16));
    return sum;
}

static uint64_t bit_counts(uint64_t a, uint64_t b)
{
    uint32_t a32 = (uint32_t)a | 1u << 31;
    uint64_t sum = (uint64_t)__builtin_popcountll(a) << 8 | (uint64_t)__builtin_popcount((uint32_t)b);
    sum = mix(sum, (uint64_t)__builtin_clzll(a | 1) << 8 | (uint64_t)__builtin_ctzll(a | 1ull << 63));
    sum = mix(sum, (uint64_t)__builtin_clz((uint32_t)b | 1) << 8 | (uint64_t)__builtin_ctz(a32));
    sum = mix(sum, (uint64_t)__builtin_ffsll((int64_t)b));
    sum = mix(sum, (a & -a) + (a ^ (a - 1)) + (a & (a - 1)) + (~a & b));
    sum = mix(sum, (a & ((1ull << (b & 63)) - 1)) + (b >> 5 & 0x7ff));
    return sum;
}

/* What BMI1 and BMI2 have an instruction each for: gather and scatter bits by a mask, cut a field. */
#if defined __BMI__ && defined __BMI2__
#define gather __builtin_ia32_pext_si
#define scatter __builtin_ia32_pdep_si
#define lowest __builtin_ia32_bzhi_si
#define field __builtin_ia32_bextr_u32
#else
static uint32_t gather(uint32_t value, uint32_t mask)
{
    uint32_t found = 0, to = 1;
    for (; mask; mask &= mask - 1, to <<= 1)
        found |= value & mask & -mask ? to : 0;
    return found;
}

static uint32_t scatter(uint32_t value, uint32_t mask)
{
    uint32_t found = 0;
    for (; mask; mask &= mask - 1, value >>= 1)
        found |= value & 1 ? mask & -mask : 0;
    return found;
}

static uint32_t lowest(uint32_t value, uint32_t count)
{
    count &= 0xff;
    return count < 32 ? value & ((1u << count) - 1) : value;
}

static uint32_t field(uint32_t value, uint32_t control)
{
    uint32_t start = control & 0xff;
    return lowest(start < 32 ? value >> start : 0, control >> 8);
}
#endif

static uint64_t bit_fields(uint64_t a, uint64_t b)
{
    uint32_t value = (uint32_t)a, other = (uint32_t)b;
    uint64_t sum = (uint64_t)gather(value, other) << 32 | scatter(value, other);
    return mix(sum, (uint64_t)lowest(value, other & 63) << 32 | field(value, other & 0x1f3f));
}

static uint64_t atomics(uint64_t a, uint64_t b)
{
    static uint64_t pair;
    static uint32_t word;
    static uint16_t half;
    static uint8_t byte;
    uint64_t sum = __sync_fetch_and_add(&word, (uint32_t)a);
    sum = mix(sum, __atomic_exchange_n(&half, (uint16_t)b, __ATOMIC_SEQ_CST));
    sum = mix(sum, __sync_fetch_and_xor(&byte, (uint8_t)a));
    sum = mix(sum, __sync_val_compare_and_swap(&pair, pair ^ (b & 1), a));
    sum = mix(sum, __sync_bool_compare_and_swap(&word, word + (a & 1), (uint32_t)b));
    __sync_fetch_and_or(&word, (uint32_t)b);
    __sync_sub_and_fetch(&half, (uint16_t)a);
    return mix(sum, pair + word + half + byte);
}

static uint64_t choices(uint64_t a, uint64_t b)
{
    uint64_t larger = a > b ? a : b;
    int64_t smaller = (int64_t)a < (int64_t)b ? (int64_t)a : (int64_t)b;
    uint64_t sum = mix(larger, (uint64_t)smaller);
    sum += (a == b) + 2u * (a < b) + 4u * ((int32_t)a < (int32_t)b) + 8u * ((int8_t)a > (int8_t)b);
    switch (b & 7) { /* a jump table */
    case 0: return sum + a;
    case 1: return sum - a;
    case 2: return sum ^ b;
    case 3: return ~sum;
    case 4: return -sum;
    case 5: return sum * 5;
    case 6: return sum | (a & 0xff00);
    default: return sum & ~b;
    }
}

/* Store and load through a struct of odd layout: bit fields, bytes, words, big-endian numbers. */
static uint64_t memory(uint64_t a, uint64_t b)
{
    static volatile struct {
        uint8_t byte;
        uint16_t word;
        uint32_t small : 5, wide : 19, rest : 8;
        int8_t sign;
        uint64_t both;
    } __attribute__((packed)) place;
    static uint8_t bytes[16];
    uint64_t swapped = __builtin_bswap64(b);
    place.byte += (uint8_t)a;
    place.word ^= (uint16_t)b;
    place.small = a & 31;
    place.wide += (uint32_t)b & 0x7ffff;
    place.rest = (uint8_t)(a >> 8);
    place.sign = (int8_t)b;
    place.both -= a;
    __builtin_memcpy(bytes + (a & 7), &swapped, sizeof swapped);
    __builtin_memcpy(&swapped, bytes + (b & 7), sizeof swapped);
    return place.byte + (place.word << 3) + place.small * place.wide + place.rest +
           (uint64_t)(int64_t)place.sign + place.both + __builtin_bswap64(swapped);
}

void program(void)
{
    static uint64_t (*const groups[])(uint64_t, uint64_t) = {
        divisions, products, rotations, bit_counts, bit_fields, atomics, choices, memory,
    };
    static const char *const names[] = {
        "divisions", "products", "rotations", "bit counts",
        "bit fields", "atomics", "choices", "memory",
    };
    for (uint32_t group = 0; group < sizeof groups / sizeof *groups; group++) {
        uint32_t seed = 0xc0ffee;
        uint64_t sum = group;
        for (uint32_t round = 0; round < RESULT->scale; round++) {
            uint64_t a = next_random64(&seed), b = next_random64(&seed);
            sum = mix(sum, groups[group](a, b));
        }
        put_result64(sum);
        print("%-12s %016llx\n", names[group], (unsigned long long)sum);
    }
}
