/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The 64-bit stage. */
#include "guest.h"

unsigned long powers[4];

unsigned long shift(unsigned long n)
{
    unsigned long power = 1UL << (n * 10);
    return power;
}

void long_main(void)
{
    say("L");
    for (unsigned long i = 0; i < 4; i++)
        powers[i] = shift(i + 1);
}
