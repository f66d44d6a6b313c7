/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loops over arrays of integers, written plainly: with SSE2, AVX2 or AVX-512 gcc makes vector code
 * of them, at -O2 for some and at -O3 for most. The scale is the number of rounds.
 */
#include "guest.h"

#define COUNT 83 /* neither aligned nor a multiple of anything */
#define SIDE 8

static uint8_t bytes[COUNT + 5], others[COUNT + 5], out[2 * COUNT];
static int16_t shorts[COUNT], more_shorts[COUNT];
static int32_t words[COUNT], more_words[COUNT];
static uint64_t longs[COUNT];

static void fill(uint32_t *seed)
{
    for (int i = 0; i < COUNT; i++) {
        uint32_t value = next_random(seed);
        bytes[i] = (uint8_t)value;
        others[i] = (uint8_t)(value >> 8);
        shorts[i] = (int16_t)(value >> 3);
        more_shorts[i] = (int16_t)(value >> 11);
        words[i] = (int32_t)next_random(seed);
        more_words[i] = (int32_t)next_random(seed);
        longs[i] = (uint64_t)next_random(seed) << 32 | value;
    }
}

static uint32_t sums(void)
{
    uint32_t of_bytes = 0, of_words = 0, differences = 0;
    int32_t of_shorts = 0, products = 0;
    uint64_t of_longs = 0;
    for (int i = 0; i < COUNT; i++)
        of_bytes += bytes[i];
    for (int i = 0; i < COUNT; i++)
        of_shorts += shorts[i];
    for (int i = 0; i < COUNT; i++)
        of_words += (uint32_t)words[i];
    for (int i = 0; i < COUNT; i++)
        of_longs += longs[i];
    for (int i = 0; i < COUNT; i++)
        products += shorts[i] * (more_shorts[i] >> 4);
    for (int i = 0; i < COUNT; i++) {
        int difference = bytes[i] - others[i];
        differences += (uint32_t)(difference < 0 ? -difference : difference);
    }
    return of_bytes + 3 * (uint32_t)of_shorts + 5 * of_words + 7 * (uint32_t)(of_longs >> 17) +
           11 * (uint32_t)products + 13 * differences;
}

static uint8_t saturated(int value)
{
    return (uint8_t)(value > 255 ? 255 : value < 0 ? 0 : value);
}

static void saturations(void)
{
    for (int i = 0; i < COUNT; i++)
        out[i] = saturated(bytes[i] + others[i]);
    for (int i = 0; i < COUNT; i++)
        out[i] = (uint8_t)(out[i] - (bytes[i] > others[i] ? others[i] : bytes[i]));
    for (int i = 0; i < COUNT; i++)
        out[COUNT + i] = saturated(shorts[i]);
    for (int i = 0; i < COUNT; i++)
        out[i] = (uint8_t)((out[i] + bytes[i] + 1) >> 1);
}

static uint32_t searches(void)
{
    uint32_t matches = 0, characters = 0, letters = 0, least = ~0u;
    int32_t most = INT32_MIN;
    for (int i = 0; i < COUNT; i++)
        matches += bytes[i] == 0x41 || others[i] == 0x42;
    for (int i = 0; i < COUNT; i++)
        characters += (bytes[i] & 0xc0) != 0x80; /* of UTF-8 */
    for (int i = 0; i < COUNT; i++)
        letters += (uint8_t)((bytes[i] | 0x20) - 'a') < 26;
    for (int i = 0; i < COUNT; i++)
        least = (uint32_t)words[i] < least ? (uint32_t)words[i] : least;
    for (int i = 0; i < COUNT; i++)
        most = more_words[i] > most ? more_words[i] : most;
    return matches + (characters << 8) + (letters << 16) + least + (uint32_t)most;
}

/* Columns of four lanes of words, by a network of five comparators; then bytes by transposition. */
static void compare(int32_t *low, int32_t *high, int count)
{
    for (int i = 0; i < count; i++) {
        int32_t a = low[i], b = high[i];
        low[i] = a < b ? a : b;
        high[i] = a < b ? b : a;
    }
}

static void networks(void)
{
    enum { QUARTER = COUNT / 4 };
    static const uint8_t pairs[][2] = {{0, 1}, {2, 3}, {0, 2}, {1, 3}, {1, 2}};
    for (int i = 0; i < 5; i++)
        compare(words + pairs[i][0] * QUARTER, words + pairs[i][1] * QUARTER, QUARTER);
    for (int i = 0; i < COUNT; i++)
        others[i] = bytes[COUNT - 1 - i];
}

static uint32_t matrices(void)
{
    static int32_t product[SIDE][SIDE];
    uint32_t sum = 0;
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            product[row][column] = 0;
    for (int row = 0; row < SIDE; row++)
        for (int inner = 0; inner < SIDE; inner++)
            for (int column = 0; column < SIDE; column++)
                product[row][column] += (words[SIDE * row + inner] >> 18) *
                                        (more_words[SIDE * inner + column] >> 18);
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            sum = sum * 31 + (uint32_t)product[row][column];
    return sum;
}

static uint8_t digit(uint32_t value)
{
    int offset = value < 26 ? 'A' : value < 52 ? 'a' - 26 : value < 62 ? '0' - 52 : '+' - 62;
    return (uint8_t)(value == 63 ? '/' : (int)value + offset);
}

static void base64(void)
{
    for (int i = 0; i < COUNT / 3; i++) {
        uint32_t three = (uint32_t)bytes[3 * i] << 16 | bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
        for (int place = 0; place < 4; place++)
            out[4 * i + place] = digit(three >> (18 - 6 * place) & 63);
    }
}

static uint32_t adler32(const uint8_t *data, int count)
{
    uint32_t low = 1, high = 0;
    for (int i = 0; i < count; i++) {
        low += data[i];
        high += low;
    }
    return (high % 65521) << 16 | low % 65521;
}

/* Eight generators side by side, and shifts by what they bring. */
static uint32_t streams(void)
{
    uint32_t state[8], sum = 0;
    for (int lane = 0; lane < 8; lane++)
        state[lane] = (uint32_t)words[lane] | 1;
    for (int turn = 0; turn < 20; turn++)
        for (int lane = 0; lane < 8; lane++) {
            state[lane] ^= state[lane] << 13;
            state[lane] ^= state[lane] >> 17;
            state[lane] ^= state[lane] << 5;
            out[8 * turn + lane] ^= (uint8_t)state[lane];
        }
    for (int i = 0; i < COUNT; i++)
        more_words[i] = (int32_t)((uint32_t)words[i] << (more_words[i] & 31)) >> (words[i] & 7);
    for (int i = 0; i < COUNT; i++)
        longs[i] = (longs[i] << 9 | longs[i] >> 55) ^ ~longs[COUNT - 1 - i];
    for (int lane = 0; lane < 8; lane++)
        sum ^= state[lane];
    return sum;
}

/* Widths that change: what unpacks, packs and extends. */
static void conversions(void)
{
    for (int i = 0; i < COUNT; i++)
        shorts[i] = (int16_t)(bytes[i] * 3 - (int8_t)others[i]);
    for (int i = 0; i < COUNT; i++)
        words[i] += shorts[i] * 5;
    for (int i = 0; i < COUNT; i++)
        longs[i] += (uint64_t)(int64_t)words[i];
    for (int i = 0; i < COUNT; i++)
        bytes[i] = (uint8_t)(longs[i] >> 8);
    for (int i = 0; i < COUNT; i++)
        more_shorts[i] = (int16_t)((uint32_t)words[i] * 0x9e3779b1u >> 16);
    for (int i = 0; i < COUNT / 2; i++) { /* pairs change places */
        uint8_t first = others[2 * i];
        others[2 * i] = others[2 * i + 1];
        others[2 * i + 1] = first;
    }
}

static void one_round(uint32_t *seed)
{
    uint32_t found[6];
    fill(seed);
    found[0] = sums();
    saturations();
    found[1] = searches();
    found[2] = matrices();
    networks();
    base64();
    found[3] = adler32(out, 2 * COUNT);
    found[4] = streams();
    conversions();
    found[5] = sums() + adler32(others, COUNT) + adler32((const uint8_t *)words, sizeof words);
    for (int i = 0; i < 6; i++)
        print("%08x%s", found[i], i < 5 ? " " : "\n");
    for (int i = 0; i < 6; i++)
        put_result(found[i]);
}

void program(void)
{
    uint32_t seed = 0x1234567;
    for (uint32_t turn = 0; turn < RESULT->scale; turn++)
        one_round(&seed);
}
