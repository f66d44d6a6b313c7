/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of src/vmmkit/insn/_lock.py: locked stores.
 *
 * A locked instruction loads, computes, and stores by compare-and-swap against what it loaded. When
 * the RAM has changed meanwhile it starts over; nothing of it has been committed. Operands within
 * an aligned 8-byte word are atomic; those that cross one, and those at a device, are a read and a
 * write. So is everything locked where the compiler has no compare-and-swap.
 */

static int swap_aligned(uint8_t *host, unsigned size, uint64_t expected, uint64_t desired)
{
    switch (size) {
    case 1:
        return COMPARE_AND_SWAP(host, (uint8_t)expected, (uint8_t)desired);
    case 2:
        return COMPARE_AND_SWAP((uint16_t *)(void *)host, (uint16_t)expected, (uint16_t)desired);
    case 4:
        return COMPARE_AND_SWAP((uint32_t *)(void *)host, (uint32_t)expected, (uint32_t)desired);
    default:
        return COMPARE_AND_SWAP((uint64_t *)(void *)host, expected, desired);
    }
}

/* A misaligned operand: its word is swapped as a whole, and its neighbours must not change either. */
static int swap_within(uint8_t *host, unsigned size, uint64_t expected, uint64_t desired)
{
    unsigned place = (unsigned)((uintptr_t)host & 7);
    uint64_t *word = (uint64_t *)(void *)(host - place);
    uint64_t lanes = mask_of(size) << (8 * place), found = ATOMIC_LOAD(word);
    if ((found & lanes) >> (8 * place) != expected)
        return 0;
    return COMPARE_AND_SWAP(word, found, (found & ~lanes) | desired << (8 * place));
}

static NOINLINE int store_locked(context *c, const span *where, uint64_t value)
{
    const fragment *part = &where->part[0];
    uintptr_t host = (uintptr_t)part->host;
    int swapped;
    if (where->count != 1 || !host) {
        FENCE();
        return store(c, where, value);
    }
    if (host % part->size == 0) {
        swapped = swap_aligned(part->host, part->size, c->loaded, value);
    } else if ((host & 7) + part->size <= 8 && (host & 7) == (part->gpa & 7)) {
        swapped = swap_within(part->host, part->size, c->loaded, value);
    } else {
        TRY(store(c, where, value));
        FENCE();
        return 0;
    }
    return swapped ? 0 : RACE_LOST;
}

#if defined(__GNUC__) && defined(__x86_64__)
__extension__ typedef unsigned __int128 wide;

/* Every x86-64 processor with SSE4.2 has CMPXCHG16B, and all compilers know the name SSE4.2. */
static inline int can_swap_wide(void)
{
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("cx16"))) static int swap_wide(uint8_t *host, const uint64_t *expected,
                                                     const uint64_t *desired)
{
    wide old = (wide)expected[1] << 64 | expected[0], new = (wide)desired[1] << 64 | desired[0];
    return __sync_bool_compare_and_swap((wide *)(void *)host, old, new);
}
#else
static inline int can_swap_wide(void)
{
    return 0;
}

static int swap_wide(uint8_t *host, const uint64_t *expected, const uint64_t *desired)
{
    (void)host;
    (void)expected;
    (void)desired;
    return 0;
}
#endif

/* The two halves of a 16-byte operand; elsewhere than on x86-64 each is stored by itself. */
static NOINLINE int store_wide(context *c, const span *halves, const uint64_t *expected,
                               const uint64_t *desired)
{
    uint8_t *host = halves[0].part[0].host;
    if (c->locked && host && (uintptr_t)host % 16 == 0 && can_swap_wide())
        return swap_wide(host, expected, desired) ? 0 : RACE_LOST;
    TRY(store(c, &halves[0], desired[0]));
    return store(c, &halves[1], desired[1]);
}
