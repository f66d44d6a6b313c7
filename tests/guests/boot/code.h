/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine code that is written, moved and remapped while it runs. HERE is where it is executed: it
 * and the page behind it lead to frames that do not lie side by side.
 */
#ifndef CODE_H
#define CODE_H

#include "kernel.h"

#define HERE (FAR_AWAY + 0x10000)
#define NEXT (HERE + PAGE)
#define FIRST_FRAME (SPARE + 0x4000ul)
#define SECOND_FRAME (SPARE + 0x8000ul)
#define OTHER_FRAME (SPARE + 0xc000ul)

typedef uint32_t routine(uint64_t argument, uint64_t another);

/* Bytes of code, without a terminator, to an address. */
#define PUT(place, code) put(place, code, sizeof code - 1)
static inline void put(uint64_t place, const char *code, uint64_t size)
{
    for (uint64_t number = 0; number < size; number++)
        ((volatile char *)place)[number] = code[number];
}

static inline uint32_t run(uint64_t place, uint64_t argument, uint64_t another)
{
    __asm__ volatile("" : : : "memory");
    return ((routine *)place)(argument, another);
}

#define RETURN(number) "\xb8" number "\0\0\0\xc3" /* mov $number, %eax; ret */

void self_modifying(void);
void crossing(void);
void remapping(void);
#endif
