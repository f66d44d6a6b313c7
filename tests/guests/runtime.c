/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What gcc calls in a program without a C library: memory functions, and 64-bit arithmetic
 * where the registers have 32 bits.
 */
#include "guest.h"

void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    void *to = destination;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(count) : : "memory");
    return destination;
}

void *memmove(void *destination, const void *source, size_t count)
{
    char *to = destination;
    const char *from = source;
    if ((uintptr_t)to - (uintptr_t)from >= count)
        return memcpy(destination, source, count);
    to += count - 1;
    from += count - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return destination;
}

void *memset(void *destination, int value, size_t count)
{
    void *to = destination;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
    return destination;
}

int memcmp(const void *left, const void *right, size_t count)
{
    const uint8_t *one = left, *other = right;
    uint8_t equal = 1;
    if (count)
        __asm__ volatile("repe cmpsb; sete %3"
                         : "+S"(one), "+D"(other), "+c"(count), "=qm"(equal)
                         :
                         : "memory", "cc");
    return equal ? 0 : one[-1] - other[-1];
}

#ifndef __x86_64__
/* The quotient fits in 32 bits because the high half is below the divisor. */
static uint32_t divide_step(uint32_t *high, uint32_t low, uint32_t divisor)
{
    uint32_t quotient;
    __asm__("divl %4" : "=a"(quotient), "=d"(*high) : "0"(low), "1"(*high), "rm"(divisor) : "cc");
    return quotient;
}

/* By shifting and subtracting, from the bit where the two have equally many. */
static uint64_t divide_wide(uint64_t dividend, uint64_t divisor, uint64_t *remainder)
{
    uint64_t quotient = 0;
    for (int bit = dividend < divisor ? -1 : __builtin_clzll(divisor) - __builtin_clzll(dividend);
         bit >= 0; bit--) {
        if (dividend >= divisor << bit) {
            dividend -= divisor << bit;
            quotient |= 1ull << bit;
        }
    }
    *remainder = dividend;
    return quotient;
}

/* The names of the functions from here on are the ABI's. */
uint64_t __udivmoddi4(uint64_t dividend, uint64_t divisor, uint64_t *remainder)
{
    uint64_t rest;
    if (divisor >> 32) {
        uint64_t quotient = divide_wide(dividend, divisor, &rest);
        if (remainder)
            *remainder = rest;
        return quotient;
    }
    uint32_t over = 0;
    uint32_t high = divide_step(&over, (uint32_t)(dividend >> 32), (uint32_t)divisor);
    uint32_t low = divide_step(&over, (uint32_t)dividend, (uint32_t)divisor);
    if (remainder)
        *remainder = over;
    return (uint64_t)high << 32 | low;
}

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor)
{
    return __udivmoddi4(dividend, divisor, NULL);
}

uint64_t __umoddi3(uint64_t dividend, uint64_t divisor)
{
    uint64_t remainder;
    __udivmoddi4(dividend, divisor, &remainder);
    return remainder;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

int64_t __divmoddi4(int64_t dividend, int64_t divisor, int64_t *remainder)
{
    uint64_t rest;
    uint64_t quotient = __udivmoddi4(magnitude(dividend), magnitude(divisor), &rest);
    *remainder = (int64_t)(dividend < 0 ? -rest : rest);
    return (int64_t)((dividend < 0) != (divisor < 0) ? -quotient : quotient);
}

int64_t __divdi3(int64_t dividend, int64_t divisor)
{
    int64_t remainder;
    return __divmoddi4(dividend, divisor, &remainder);
}

int64_t __moddi3(int64_t dividend, int64_t divisor)
{
    int64_t remainder;
    __divmoddi4(dividend, divisor, &remainder);
    return remainder;
}

int __ctzdi2(uint64_t value)
{
    uint32_t low = (uint32_t)value;
    return low ? __builtin_ctz(low) : 32 + __builtin_ctz((uint32_t)(value >> 32));
}

int __clzdi2(uint64_t value)
{
    uint32_t high = (uint32_t)(value >> 32);
    return high ? __builtin_clz(high) : 32 + __builtin_clz((uint32_t)value);
}

int __ffsdi2(uint64_t value)
{
    return value ? __ctzdi2(value) + 1 : 0;
}
#endif

/* Only where the compiler was told of no instruction for it. */
int __popcountdi2(uint64_t value)
{
    int count = 0;
    for (; value; value &= value - 1)
        count++;
    return count;
}

int __popcountsi2(uint32_t value)
{
    return __popcountdi2(value);
}
