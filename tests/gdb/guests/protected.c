/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The 32-bit stage. */
#include "guest.h"

int results[4];

int square(int n)
{
    int product = n * n;
    return product;
}

void protected_main(void)
{
    say("P");
    for (int i = 0; i < 4; i++)
        results[i] = square(i + 1);
}
