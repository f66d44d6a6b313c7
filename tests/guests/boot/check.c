/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "check.h"

volatile struct seen seen;
volatile uintptr_t resume_at, tried;

extern volatile uint32_t checks, failures; /* CHECKS and FAILURES; boot.ld knows */

void say(const char *text)
{
    uintptr_t length = 0;
    while (text[length])
        length++;
    __asm__ volatile("rep outsb"
                     : "+S"(text), "+c"(length)
                     : "d"(CONSOLE_PORT)
                     : "memory");
}

static void say_number(uint32_t value)
{
    char digits[12], *at = digits + 11;
    *at = 0;
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    say(at);
}

void check(int passed, const char *name)
{
    checks++;
    if (passed)
        return;
    failures++;
    say("FAILED ");
    say(name);
    say("\n");
}

void subject(const char *name)
{
    say(name);
    say("\n");
}

void verdict(void)
{
    say_number(checks);
    say(" checks, ");
    say_number(failures);
    say(" failed\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

void faulted(enum vector vector, uintptr_t error, const char *name)
{
    int right = seen.vector == vector && seen.error == error && seen.ip == tried;
    check(right, name);
    if (right)
        return;
    say_number((uint32_t)seen.vector);
    say(" error ");
    say_number((uint32_t)seen.error);
    say(seen.ip == tried ? "\n" : " elsewhere\n");
}

void trapped(enum vector vector, const char *name)
{
    check(seen.vector == vector && seen.ip > tried, name);
}

void went_through(const char *name)
{
    check(seen.vector == NOTHING, name);
}

void page_faulted(uintptr_t address, uintptr_t error, const char *name)
{
    faulted(PAGE_FAULT, error, name);
    check(seen.address == address, name);
}
