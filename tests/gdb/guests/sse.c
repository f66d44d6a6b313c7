/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Vector and x87 registers. */
#include "guest.h"

typedef int four_words __attribute__((vector_size(16)));

four_words left = { 1, 2, 3, 4 }, right = { 10, 20, 30, 40 };
four_words sums;

static void turn_on(void)
{
    unsigned long cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    cr4 |= 0x40600; /* OSFXSR, OSXMMEXCPT, OSXSAVE */
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    __asm__ volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
    __asm__ volatile("fninit");
}

void work(void)
{
    __asm__ volatile("fldpi");
    __asm__ volatile("movaps %0, %%xmm0\n\tmovaps %1, %%xmm1" : : "m"(left), "m"(right));
    __asm__ volatile("paddd %xmm1, %xmm0");
    __asm__ volatile("movaps %%xmm0, %0" : "=m"(sums)); /* added */
}

void guest_main(void)
{
    turn_on();
    work();
    say("done\n");
}
