/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions that debuggers stop in: built so that each has a frame, and its variables are in it. */
#include "smp.h"

#pragma GCC optimize("O0")

volatile uint64_t inner_calls;

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
