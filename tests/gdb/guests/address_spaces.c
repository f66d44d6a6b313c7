/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Processors that see something of their own at one address. Each spins for ever. */
#include "guest.h"

#define PRIVATE ((volatile unsigned long *)0xffffffffa0000000)

volatile unsigned long rounds[3];

static void turn(unsigned long number)
{
    rounds[number]++;
    PRIVATE[1] = rounds[number]; /* in a turn */
}

static void wait_zero(unsigned long number)
{
    for (;;) {
        turn(number);
        PRIVATE[2]++;
    }
}

static void wait_one(unsigned long number)
{
    for (;;) {
        turn(number);
        PRIVATE[2]++;
    }
}

static void wait_two(unsigned long number)
{
    for (;;) {
        turn(number);
        PRIVATE[2]++;
    }
}

void guest_main(unsigned long number)
{
    static void (*const wait[])(unsigned long) = { wait_zero, wait_one, wait_two };
    PRIVATE[0] = 0x1000 + number;
    wait[number](number);
}
