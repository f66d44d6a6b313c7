/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest program may use. Each program defines `program`; it prints, and appends numbers to
 * its result. The same sources are a guest (console.c writes to a UART, start.S enters, and there
 * is no C library) and a program of the host (host.c). Only types of fixed width, so that 16, 32
 * and 64-bit guests and the host come to the same numbers.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

#define RESULT_ADDRESS 0xe000
#define RESULT_WORDS 252

/* The scale is given by whoever starts the program; the rest is the program's. */
struct result {
    uint32_t scale;
    uint32_t finished;
    uint32_t count;
    uint32_t reserved;
    uint32_t words[RESULT_WORDS];
};

#ifdef HOST
extern struct result host_result;
#define RESULT (&host_result)
#else
#define RESULT ((struct result *)RESULT_ADDRESS)
#endif

void program(void);

/* console.c */
void put_character(char character);

/* print.c: %d %i %u %x %X %c %s %% with -, 0, width, * and precision (%s only), and %ll. */
int format(char *out, size_t size, const char *text, ...) __attribute__((format(printf, 3, 4)));
void print(const char *text, ...) __attribute__((format(printf, 1, 2)));
void put_result(uint32_t value);
void put_result64(uint64_t value);

/* A generator of test data: xorshift, any seed but 0. */
static inline uint32_t next_random(uint32_t *state)
{
    uint32_t value = *state;
    value ^= value << 13;
    value ^= value >> 17;
    value ^= value << 5;
    return *state = value;
}

#endif
