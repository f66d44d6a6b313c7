/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Counts for ever, interrupted by the local APIC's timer all the time. */
#include "guest.h"

#define TIMER 0x40

volatile unsigned long ticks, turns;
volatile int leave;

static void write_apic(unsigned offset, unsigned value)
{
    *(volatile unsigned *)(LOCAL_APIC + offset) = value;
}

__attribute__((interrupt)) static void timer(struct frame *frame)
{
    (void)frame;
    ticks++; /* a tick */
    write_apic(0xb0, 0);
}

void spin(void)
{
    while (!leave) {
        turns++; /* first */
        turns++; /* second */
        turns++; /* third */
    }
}

void guest_main(void)
{
    set_up_vectors();
    set_vector(TIMER, timer);
    write_apic(0xf0, 0x1ff);
    write_apic(0x3e0, 0xb);             /* the timer counts undivided */
    write_apic(0x320, 0x20000 + TIMER); /* over and over */
    write_apic(0x380, 2000);            /* 200 instructions */
    __asm__ volatile("sti");
    spin();
    __asm__ volatile("cli");
    say("left\n");
}
