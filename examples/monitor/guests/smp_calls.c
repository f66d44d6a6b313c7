/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions that debuggers stop in: built so that each has a frame, and variables can be seen. */
#include "smp.h"

volatile uint64_t inner_calls;
volatile uint64_t shared_counter;
static volatile uint8_t counter_lock;

static __attribute__((noinline)) uint64_t inner(int depth)
{
    uint64_t below = depth > 0 ? inner(depth - 1) : 0;
    inner_calls = inner_calls + 1;
    return below + (uint64_t)depth;
}

static __attribute__((noinline)) uint64_t middle(uint32_t processor, int depth)
{
    uint64_t sum = inner(depth);
    return sum + processor;
}

__attribute__((noinline)) uint64_t outer(uint32_t processor, int depth)
{
    uint64_t result = middle(processor, depth);
    return result;
}

void count_one(void)
{
    while (__atomic_exchange_n(&counter_lock, 1, __ATOMIC_ACQUIRE))
        while (counter_lock)
            pause();
    shared_counter = shared_counter + 1;
    __atomic_store_n(&counter_lock, 0, __ATOMIC_RELEASE);
}
