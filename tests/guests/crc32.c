/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CRC-32 by table and bit by bit, and CRC-32C, for which a processor may have an instruction. The
 * scale is the number of blocks of 256 bytes.
 */
#include "guest.h"

#define BLOCK 256
#define CRC32_REFLECTED 0xedb88320u
#define CRC32C_REFLECTED 0x82f63b78u

static uint32_t table[256];
static uint8_t block[BLOCK];

static uint32_t shift_byte(uint32_t crc, uint32_t polynomial)
{
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    return crc;
}

static uint32_t by_bits(uint32_t crc, const uint8_t *data, size_t size, uint32_t polynomial)
{
    while (size--)
        crc = shift_byte(crc ^ *data++, polynomial);
    return crc;
}

static uint32_t by_table(uint32_t crc, const uint8_t *data, size_t size)
{
    while (size--)
        crc = crc >> 8 ^ table[(crc ^ *data++) & 0xff];
    return crc;
}

#ifdef __CRC32__
static uint32_t castagnoli(uint32_t crc, const uint8_t *data, size_t size)
{
    /* The ends in smaller pieces, so that every width has its turn. */
    crc = __builtin_ia32_crc32qi(crc, *data++);
    crc = __builtin_ia32_crc32hi(crc, *(const uint16_t *)data);
    data += 2;
    crc = __builtin_ia32_crc32si(crc, *(const uint32_t *)data);
    data += 4;
    size -= 7;
#ifdef __x86_64__
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, data += 8)
        wide = __builtin_ia32_crc32di(wide, *(const uint64_t *)data);
    crc = (uint32_t)wide;
#endif
    while (size--)
        crc = __builtin_ia32_crc32qi(crc, *data++);
    return crc;
}
#else
static uint32_t castagnoli(uint32_t crc, const uint8_t *data, size_t size)
{
    return by_bits(crc, data, size, CRC32C_REFLECTED);
}
#endif

void program(void)
{
    uint32_t seed = 0x12345678, tabled = ~0u, bitwise = ~0u, other = ~0u;
    for (uint32_t byte = 0; byte < 256; byte++)
        table[byte] = shift_byte(byte, CRC32_REFLECTED);
    for (uint32_t round = 0; round < RESULT->scale; round++) {
        for (int place = 0; place < BLOCK; place++)
            block[place] = (uint8_t)next_random(&seed);
        tabled = by_table(tabled, block, BLOCK);
        bitwise = by_bits(bitwise, block, BLOCK, CRC32_REFLECTED);
        other = castagnoli(other, block, BLOCK);
    }
    put_result(~tabled);
    put_result(~bitwise);
    put_result(~other);
    print("crc32 of %u bytes: %08x %s, crc32c %08x\n", RESULT->scale * BLOCK, ~tabled,
          tabled == bitwise ? "twice" : "but bit by bit another", ~other);
}
