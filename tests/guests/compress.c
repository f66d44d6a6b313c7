/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LZ77 over a hash of three bytes, its tokens in a canonical Huffman code, and back again. Each
 * token is a symbol (a byte, or 256 + length - 3 with a distance of 11 bits after it). The scale is
 * the number of pieces of 128 bytes; they go into blocks of twelve.
 */
#include "guest.h"

#define PIECE 128
#define INPUT (12 * PIECE)
#define PACKED 3072
#define HASHES 512
#define SHORTEST 3
#define LONGEST 34
#define DISTANCE_BITS 11
#define SYMBOLS (256 + LONGEST - SHORTEST + 2)
#define END (SYMBOLS - 1)
#define DEEPEST 15

struct bits {
    uint8_t *at;
    uint32_t held, count;
};

static uint32_t input_size;
static uint8_t input[INPUT], packed[PACKED], output[INPUT];
static uint16_t heads[HASHES], symbols[INPUT + 1], distances[INPUT + 1];
static uint32_t weights[2 * SYMBOLS];
static uint16_t parents[2 * SYMBOLS], heap[SYMBOLS], codes[SYMBOLS], ordered[SYMBOLS];
static uint8_t lengths[SYMBOLS];

/* Words and runs, so that there is something to find. */
static void make_input(uint32_t *seed)
{
    static const char words[8][9] = {"register", "page", "fault", " of the ", "exit", ", ", "\n", "0x"};
    uint32_t at = 0;
    while (at < input_size) {
        uint32_t random = next_random(seed);
        if (random & 0x700) {
            for (const char *word = words[random & 7]; *word && at < input_size; word++)
                input[at++] = (uint8_t)*word;
        } else {
            for (uint32_t run = random >> 27; run-- && at < input_size;)
                input[at++] = (uint8_t)(random >> 16);
        }
    }
}

static uint32_t hash_of(const uint8_t *at)
{
    uint32_t three = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
    return three * 2654435761u >> 23;
}

static uint32_t match_length(const uint8_t *old, const uint8_t *now, uint32_t limit)
{
    uint32_t length = 0;
    while (length < limit && old[length] == now[length])
        length++;
    return length;
}

/* Split the input into symbols and distances; return how many. */
static uint32_t find_tokens(void)
{
    uint32_t count = 0, at = 0;
    __builtin_memset(heads, 0xff, sizeof heads);
    while (at < input_size) {
        uint32_t length = 0, left = input_size - at, distance = 0;
        if (left >= SHORTEST) {
            uint32_t hash = hash_of(input + at), old = heads[hash];
            heads[hash] = (uint16_t)at;
            if (old != 0xffff) {
                distance = at - old;
                length = match_length(input + old, input + at, left < LONGEST ? left : LONGEST);
            }
        }
        int found = length >= SHORTEST;
        symbols[count] = (uint16_t)(found ? 256 + length - SHORTEST : input[at]);
        distances[count++] = (uint16_t)distance;
        at += found ? length : 1;
    }
    symbols[count++] = END;
    return count;
}

static void sink(uint32_t root, uint32_t count)
{
    uint16_t moved = heap[root];
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count)
            break;
        if (child + 1 < count && weights[heap[child + 1]] < weights[heap[child]])
            child++;
        if (weights[moved] <= weights[heap[child]])
            break;
        heap[root] = heap[child];
        root = child;
    }
    heap[root] = moved;
}

/* Join the two lightest trees until one is left; the nodes count up, so parents come later. */
static uint32_t join_trees(void)
{
    uint32_t count = 0, node = SYMBOLS;
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++)
        if (weights[symbol])
            heap[count++] = (uint16_t)symbol;
    for (uint32_t root = count / 2; root-- > 0;)
        sink(root, count);
    while (count > 1) {
        uint16_t light = heap[0];
        heap[0] = heap[--count];
        sink(0, count);
        weights[node] = weights[light] + weights[heap[0]];
        parents[light] = parents[heap[0]] = (uint16_t)node;
        heap[0] = (uint16_t)node++;
        sink(0, count);
    }
    return node - 1;
}

/* Code lengths; where a code would be too long the weights are levelled and all is done again. */
static void measure(void)
{
    uint32_t deepest;
    do {
        static uint8_t depths[2 * SYMBOLS];
        uint32_t root = join_trees();
        depths[root] = 0;
        for (uint32_t node = root; node-- > SYMBOLS;)
            depths[node] = depths[parents[node]] + 1;
        deepest = 0;
        for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++) {
            lengths[symbol] = weights[symbol] ? depths[parents[symbol]] + 1 : 0;
            deepest = lengths[symbol] > deepest ? lengths[symbol] : deepest;
            weights[symbol] = weights[symbol] ? weights[symbol] / 2 + 1 : 0;
        }
    } while (deepest > DEEPEST);
}

/* Codes of one length follow each other in the order of the symbols. */
static void assign_codes(uint16_t first[DEEPEST + 2], uint16_t counts[DEEPEST + 2])
{
    uint16_t next[DEEPEST + 2], places[DEEPEST + 2], code = 0, place = 0;
    __builtin_memset(counts, 0, sizeof(uint16_t) * (DEEPEST + 2));
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++)
        counts[lengths[symbol]]++;
    counts[0] = 0;
    for (uint32_t length = 1; length <= DEEPEST; length++) {
        code = (uint16_t)((code + counts[length - 1]) << 1);
        first[length] = next[length] = code;
        places[length] = place;
        place += counts[length];
    }
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++) {
        uint32_t length = lengths[symbol];
        if (length) {
            codes[symbol] = next[length]++;
            ordered[places[length]++] = (uint16_t)symbol;
        }
    }
}

static void put_bits(struct bits *bits, uint32_t value, uint32_t count)
{
    bits->held |= value << bits->count;
    bits->count += count;
    while (bits->count >= 8) {
        *bits->at++ = (uint8_t)bits->held;
        bits->held >>= 8;
        bits->count -= 8;
    }
}

static uint32_t get_bits(struct bits *bits, uint32_t count)
{
    while (bits->count < count) {
        bits->held |= (uint32_t)*bits->at++ << bits->count;
        bits->count += 8;
    }
    uint32_t value = bits->held & ((1u << count) - 1);
    bits->held >>= count;
    bits->count -= count;
    return value;
}

static uint32_t encode(uint32_t count)
{
    struct bits bits = {packed, 0, 0};
    for (uint32_t place = 0; place < count; place++) {
        uint32_t symbol = symbols[place];
        for (uint32_t bit = lengths[symbol]; bit-- > 0;)
            put_bits(&bits, codes[symbol] >> bit & 1, 1);
        if (symbol >= 256 && symbol != END)
            put_bits(&bits, distances[place], DISTANCE_BITS);
    }
    put_bits(&bits, 0, 7);
    return (uint32_t)(bits.at - packed);
}

static uint32_t get_symbol(struct bits *bits, const uint16_t *first, const uint16_t *counts)
{
    uint32_t code = 0, place = 0;
    for (uint32_t length = 1; length <= DEEPEST; length++) {
        code = code << 1 | get_bits(bits, 1);
        if (code - first[length] < counts[length])
            return ordered[place + code - first[length]];
        place += counts[length];
    }
    return END;
}

static uint32_t decode(const uint16_t *first, const uint16_t *counts)
{
    struct bits bits = {packed, 0, 0};
    uint32_t at = 0, symbol;
    while ((symbol = get_symbol(&bits, first, counts)) != END && at < input_size) {
        if (symbol < 256) {
            output[at++] = (uint8_t)symbol;
            continue;
        }
        uint32_t distance = get_bits(&bits, DISTANCE_BITS);
        for (uint32_t left = symbol - 256 + SHORTEST; left-- && at < input_size; at++)
            output[at] = output[at - distance];
    }
    return at;
}

static void pack_and_restore(void)
{
    uint16_t first[DEEPEST + 2], counts[DEEPEST + 2];
    uint32_t count = find_tokens(), mixed = 0;
    __builtin_memset(weights, 0, sizeof weights);
    for (uint32_t place = 0; place < count; place++)
        weights[symbols[place]]++;
    measure();
    assign_codes(first, counts);
    uint32_t size = encode(count);
    uint32_t restored = decode(first, counts);
    int same = restored == input_size && !__builtin_memcmp(input, output, input_size);
    for (uint32_t place = 0; place < size; place++)
        mixed = mixed * 131 + packed[place];
    put_result(size);
    put_result(mixed);
    put_result((uint32_t)same);
    print("%u bytes, %u tokens, %u packed, %08x, %s\n", input_size, count, size, mixed,
          same ? "restored" : "LOST");
}

void program(void)
{
    uint32_t seed = 2026;
    for (uint32_t left = RESULT->scale * PIECE; left; left -= input_size) {
        input_size = left < INPUT ? left : INPUT;
        make_input(&seed);
        pack_and_restore();
    }
}
