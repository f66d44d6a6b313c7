/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA-256 (FIPS 180-4) of "abc" and of `scale` blocks. */
#include "guest.h"

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

struct hash {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
};

static uint32_t rotate(uint32_t value, int count)
{
    return value >> count | value << (32 - count);
}

static uint32_t big_endian(const uint8_t *bytes)
{
    uint32_t value;
    __builtin_memcpy(&value, bytes, sizeof value);
    return __builtin_bswap32(value);
}

static void expand(uint32_t words[64], const uint8_t *block)
{
    for (int place = 0; place < 16; place++)
        words[place] = big_endian(block + 4 * place);
    for (int place = 16; place < 64; place++) {
        uint32_t old = words[place - 15], late = words[place - 2];
        words[place] = words[place - 16] + words[place - 7] +
                       (rotate(old, 7) ^ rotate(old, 18) ^ old >> 3) +
                       (rotate(late, 17) ^ rotate(late, 19) ^ late >> 10);
    }
}

static void compress(struct hash *hash)
{
    uint32_t words[64], s[8];
    expand(words, hash->block);
    for (int place = 0; place < 8; place++)
        s[place] = hash->state[place];
    for (int place = 0; place < 64; place++) {
        uint32_t first = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                         ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[place] + words[place];
        uint32_t second = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                          ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int to = 7; to > 0; to--)
            s[to] = s[to - 1];
        s[4] += first;
        s[0] = first + second;
    }
    for (int place = 0; place < 8; place++)
        hash->state[place] += s[place];
}

static void begin(struct hash *hash)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (int place = 0; place < 8; place++)
        hash->state[place] = initial[place];
    hash->length = 0;
}

static void add(struct hash *hash, const uint8_t *data, uint32_t size)
{
    while (size--) {
        hash->block[hash->length++ & 63] = *data++;
        if (!(hash->length & 63))
            compress(hash);
    }
}

static void end(struct hash *hash)
{
    uint64_t bits = hash->length * 8;
    static const uint8_t marks[2] = {0x80, 0};
    uint8_t length[8];
    add(hash, marks, 1);
    while ((hash->length & 63) != 56)
        add(hash, marks + 1, 1);
    for (int place = 0; place < 8; place++)
        length[place] = (uint8_t)(bits >> (56 - 8 * place));
    add(hash, length, 8);
}

static void show(struct hash *hash, const char *name)
{
    end(hash);
    print("%-8s ", name);
    for (int place = 0; place < 8; place++) {
        put_result(hash->state[place]);
        print("%08x", hash->state[place]);
    }
    print("\n");
}

static struct hash hash;

void program(void)
{
    uint8_t data[64];
    uint32_t seed = 99;
    begin(&hash);
    add(&hash, (const uint8_t *)"abc", 3);
    show(&hash, "abc");
    begin(&hash);
    for (uint32_t round = 0; round < RESULT->scale; round++) {
        for (int place = 0; place < 64; place++)
            data[place] = (uint8_t)(next_random(&seed) >> 11);
        add(&hash, data, sizeof data);
    }
    show(&hash, "random");
}
