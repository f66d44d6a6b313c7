/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of ring 0 in 32-bit code, and their error codes. */
#include "protected.h"

static void instructions(void)
{
    static const int32_t bounds[2] = {-3, 3};
    TRY("ud2", "r"(0));
    faulted(UNDEFINED, 0, "#UD");
    TRY("xor %%eax, %%eax; div %%eax", "r"(0));
    check(seen.vector == DIVIDE, "#DE");
    TRY("bound %0, (%1)", "r"(4), "r"(bounds));
    faulted(BOUND, 0, "#BR");
    TRY("bound %0, (%1)", "r"(-3), "r"(bounds));
    went_through("BOUND within");
    TRY("int3", "r"(0));
    trapped(BREAKPOINT, "INT3");
    TRY("movb $0x7f, %%al; incb %%al; into", "r"(0));
    trapped(OVERFLOW, "INTO");
    TRY("int $0x55", "r"(0));
    trapped(0x55, "INT n");
    TRY(".byte 0xf0, 0x90", "r"(0));
    faulted(UNDEFINED, 0, "LOCK NOP");
}

static void selectors(void)
{
    TRY("mov %0, %%ds", "r"(PAST));
    faulted(PROTECTION, PAST, "a selector past the table");
    TRY("mov %0, %%es", "r"(ABSENT));
    faulted(NOT_PRESENT, ABSENT, "a segment that is not present");
    TRY("mov %0, %%ss", "r"(ABSENT));
    faulted(STACK, ABSENT, "a stack that is not present");
    TRY("mov %0, %%ss", "r"(DATA3));
    faulted(PROTECTION, DATA3 & ~3, "a stack of another ring");
    TRY("mov %0, %%ss", "r"(0));
    faulted(PROTECTION, 0, "a null stack");
    TRY("mov %0, %%ds", "r"(TASK));
    faulted(PROTECTION, TASK, "a system segment in DS");
    TRY("ltr %w0", "r"(TASK));
    faulted(PROTECTION, TASK, "a busy TSS");
    TRY("lldt %w0", "r"(DATA0));
    faulted(PROTECTION, DATA0, "an LDT that is none");
    TRY("ljmp %0, $0", "i"(DATA0));
    faulted(PROTECTION, DATA0, "a jump to data");
    TRY("mov %0, %%es; movl %%es:0xfd, %%eax", "r"(SMALL));
    check(seen.vector == PROTECTION && seen.error == 0, "past a limit");
    TRY("mov %0, %%es; movl %%es:0xfc, %%eax", "r"(SMALL));
    went_through("up to a limit");
    __asm__ volatile("mov %0, %%es" : : "r"(DATA0));
}

static void gates(void)
{
    set_gate(0x66, 0, 0);
    TRY("int $0x66", "r"(0));
    faulted(NOT_PRESENT, 0x66 * 8 + 2, "a gate that is not present");
    /* A return to an outer ring whose stack is not of that ring. */
    TRY("pushl %0; pushl $0; pushl %1; pushl $0; lret", "i"(DATA0), "i"(CODE3));
    check(seen.vector == PROTECTION && seen.error == DATA0, "a return to a wrong stack");
    __asm__ volatile("add $16, %esp");
    /* NT asks for a task that is linked; there is none. */
    uint32_t mine;
    __asm__ volatile("pushf; pop %0" : "=r"(mine));
    check(!(mine & 0x4200), "NT and IF are clear");
}

static void control(void)
{
    TRY("mov %0, %%cr0", "r"(0x80000000));
    faulted(PROTECTION, 0, "PG without PE");
    TRY("mov %0, %%cr4", "r"(0x80000000));
    faulted(PROTECTION, 0, "a reserved bit of CR4");
    TRY("mov %0, %%ecx; rdmsr", "i"(0x12345678), "m"(seen));
    check(seen.vector == PROTECTION && seen.error == 0, "an unknown MSR");
    WRITE_CONTROL(0, READ_CONTROL(0) | CR0_TS);
    TRY("fnop", "r"(0));
    faulted(NO_DEVICE, 0, "the x87 unit with TS");
    __asm__ volatile("clts");
    uint16_t word;
    __asm__ volatile("smsw %0" : "=r"(word));
    check((word & 0xf) == (READ_CONTROL(0) & 0xf) && !(word & CR0_TS), "SMSW after CLTS");
}

void faults(void)
{
    instructions();
    selectors();
    gates();
    control();
}
