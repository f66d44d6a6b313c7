/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* A heap sort of 32-bit numbers and of records that are compared by a key; scale: how many. */
#include "guest.h"

#define LIMIT 2048

struct record {
    int16_t key;
    uint8_t tag;
    uint32_t payload;
} __attribute__((packed));

static uint32_t numbers[LIMIT];
static struct record records[LIMIT];

static int number_less(const void *left, const void *right)
{
    return *(const uint32_t *)left < *(const uint32_t *)right;
}

static int record_less(const void *left, const void *right)
{
    const struct record *one = left, *other = right;
    if (one->key != other->key)
        return one->key < other->key;
    return one->tag < other->tag || (one->tag == other->tag && one->payload < other->payload);
}

static void exchange(uint8_t *one, uint8_t *other, uint32_t size)
{
    while (size--) {
        uint8_t kept = *one;
        *one++ = *other;
        *other++ = kept;
    }
}

static void sift(uint8_t *base, uint32_t root, uint32_t count, uint32_t size,
                 int (*less)(const void *, const void *))
{
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count && less(base + child * size, base + (child + 1) * size))
            child++;
        if (!less(base + root * size, base + child * size))
            return;
        exchange(base + root * size, base + child * size, size);
        root = child;
    }
}

static void sort(void *start, uint32_t count, uint32_t size,
                 int (*less)(const void *, const void *))
{
    uint8_t *base = start;
    for (uint32_t root = count / 2; root-- > 0;)
        sift(base, root, count, size, less);
    while (count-- > 1) {
        exchange(base, base + count * size, size);
        sift(base, 0, count, size, less);
    }
}

void program(void)
{
    uint32_t count = RESULT->scale < LIMIT ? RESULT->scale : LIMIT;
    uint32_t seed = 7, mixed = 0, unsorted = 0;
    for (uint32_t place = 0; place < count; place++) {
        uint32_t random = next_random(&seed);
        numbers[place] = random;
        records[place] = (struct record){(int16_t)(random % 19 - 9), random >> 28, random * 3};
    }
    sort(numbers, count, sizeof *numbers, number_less);
    sort(records, count, sizeof *records, record_less);
    for (uint32_t place = 0; place < count; place++) {
        mixed = mixed * 31 + numbers[place] + (uint32_t)records[place].key + records[place].payload;
        unsorted += place && (number_less(&numbers[place], &numbers[place - 1]) ||
                              record_less(&records[place], &records[place - 1]));
    }
    put_result(unsorted);
    put_result(mixed);
    for (uint32_t place = 0; place < count; place += count / 16 + 1) {
        put_result(numbers[place]);
        put_result((uint32_t)records[place].key);
    }
    print("%u numbers, %u in the wrong place, from %u to %u, keys %d to %d, %x\n", count, unsorted,
          numbers[0], numbers[count - 1], records[0].key, records[count - 1].key, mixed);
}
