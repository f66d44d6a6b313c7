/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that has breakpoints of its own: INT3, a debug register, and single steps by TF. */
#include "guest.h"

volatile unsigned breakpoints, debug_traps;
volatile unsigned long dr6;
volatile unsigned watched;

__attribute__((interrupt)) static void on_breakpoint(struct frame *frame)
{
    (void)frame;
    breakpoints++; /* #BP */
}

__attribute__((interrupt)) static void on_debug(struct frame *frame)
{
    unsigned long status;
    __asm__ volatile("mov %%dr6, %0" : "=r"(status));
    dr6 |= status;
    __asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0UL));
    frame->rflags &= ~0x100UL;
    debug_traps++; /* #DB */
}

static void watch_by_debug_register(void)
{
    __asm__ volatile("mov %0, %%dr0" : : "r"(&watched));
    __asm__ volatile("mov %0, %%dr7" : : "r"(0xd0002UL)); /* four bytes, on writes */
    watched = 1;
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400UL));
}

static void step_once(void)
{
    __asm__ volatile("pushf\n\torl $0x100, (%rsp)\n\tpopf\n\tnop");
}

void guest_main(void)
{
    set_up_vectors();
    set_vector(1, on_debug);
    set_vector(3, on_breakpoint);
    __asm__ volatile("int3");
    watch_by_debug_register();
    step_once();
    say("trapped\n"); /* after all */
}
