/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The timer, NMI, shadows, gates, and stacks of the IST. */
#include "kernel.h"

static char stacks[3][512] __attribute__((aligned(16)));
static volatile unsigned ticks, nmis, nested;
static volatile uint64_t seen_flags, seen_frame;

static uint64_t flags(void)
{
    uint64_t value;
    __asm__ volatile("pushf; pop %0" : "=r"(value));
    return value;
}

static int tick(struct frame *frame)
{
    (void)frame;
    ticks++;
    return 1;
}

static int note(struct frame *frame)
{
    seen_flags = flags();
    seen_frame = (uint64_t)frame;
    return 1;
}

/* The second NMI is raised in the handler of the first. */
static int nmi(struct frame *frame)
{
    seen_frame = (uint64_t)frame;
    unsigned before = ++nmis;
    if (nmis == 1) {
        out8(NMI_PORT, 1);
        __asm__ volatile("nop; nop");
        nested = nmis != before;
    }
    return 1;
}

static void gates(void)
{
    handlers[0x70] = handlers[0x71] = note;
    set_trap_gate(0x71);
    __asm__ volatile("sti; int $0x70" : : : "memory");
    check(!(seen_flags & FLAG_IF), "an interrupt gate clears IF");
    check(flags() & FLAG_IF, "IRET sets it again");
    __asm__ volatile("int $0x71" : : : "memory");
    check(seen_flags & FLAG_IF, "a trap gate leaves IF");
    __asm__ volatile("cli; sub $3, %%rsp; int $0x70; add $3, %%rsp" : : : "memory");
    check(seen_frame % 16 == 0, "the stack is aligned");
}

static void timer(void)
{
    handlers[TIMER_VECTOR] = tick;
    out32(TIMER_PORT, 100);
    for (volatile unsigned wait = 0; wait < 30; wait++)
        ;
    check(ticks == 0, "CLI holds an interrupt back");
    __asm__ volatile("sti; cli" : : : "memory");
    check(ticks == 0, "nothing comes between STI and CLI");
    __asm__ volatile("sti; mov %0, %%ss; cli" : : "r"(DATA0) : "memory");
    check(ticks == 0, "nor behind MOV SS");
    __asm__ volatile("sti; nop; cli" : : : "memory");
    check(ticks == 1, "an interrupt that has waited");
    for (unsigned turn = 0; turn < 3; turn++) {
        unsigned before = ticks;
        __asm__ volatile("sti; hlt; cli" : : : "memory");
        check(ticks == before + 1, "HLT wakes up");
    }
    out32(TIMER_PORT, 0); /* and what may have been raised by then */
    __asm__ volatile("sti; nop; cli");
}

static void unmaskable(void)
{
    task_state.ist[1] = (uint64_t)stacks[2];
    set_gate(NMI, 1, 0, 2);
    handlers[NMI] = nmi;
    out8(NMI_PORT, 1);
    __asm__ volatile("nop" : : : "memory");
    check(nmis == 2 && !nested, "an NMI in the handler of another waits for its IRET");
    check(seen_frame == (uint64_t)stacks[2] - sizeof(struct frame), "an NMI on its own stack");
}

static void double_faults(void)
{
    task_state.ist[0] = (uint64_t)stacks[1];
    set_gate(DOUBLE, 1, 0, 1);
    set_gate(PROTECTION, 0, 0, 0);
    TRY("mov %0, %%ds", "r"(PAST));
    faulted(DOUBLE, 0, "#GP without its gate");
    set_gate(PROTECTION, 1, 0, 0);
    set_gate(PAGE_FAULT, 0, 0, 0);
    TRY("mov (%0), %%rax", "r"(FAR_AWAY + 0x80000));
    faulted(DOUBLE, 0, "#PF without its gate");
    check(READ_CONTROL(2) == FAR_AWAY + 0x80000, "CR2 after a double fault");
    set_gate(PAGE_FAULT, 1, 0, 0);
    set_gate(UNDEFINED, 0, 0, 0);
    TRY("ud2", "r"(0));
    faulted(NOT_PRESENT, UNDEFINED * 8 + 3, "#UD without its gate is #NP");
    set_gate(UNDEFINED, 1, 0, 0);
    breakpoint_on_stack(FAR_AWAY + 0x80000);
    check(seen.vector == DOUBLE && seen.error == 0, "a stack that is not there");
    check(READ_CONTROL(2) == FAR_AWAY + 0x80000 - 8, "CR2 is below it");
    breakpoint_on_stack(1ul << 60);
    check(seen.vector == DOUBLE && seen.error == 0, "a stack that is not canonical");
    set_gate(BREAKPOINT, 1, 3, 1);
    breakpoint_on_stack(1ul << 60);
    check(seen.vector == BREAKPOINT, "INT3 on a stack of the IST");
    set_gate(BREAKPOINT, 1, 3, 0);
}

/* Pushes what an interrupt pushes, and IRET pops it, through a device. */
static void device_stack(void)
{
    task_state.ist[2] = DEVICE + 0x800;
    set_gate(DEVICE_STACK_VECTOR, 1, 0, 3);
    handlers[DEVICE_STACK_VECTOR] = note;
    uint64_t sum = 1;
    __asm__ volatile("mov $0x1234, %%r12d; int %1; mov %%r12, %0"
                     : "=r"(sum) : "i"(DEVICE_STACK_VECTOR) : "r12", "memory");
    check(sum == 0x1234, "a stack in a device");
    check(seen_frame == DEVICE + 0x800 - sizeof(struct frame), "where it is");
    check(((struct frame *)seen_frame)->r12 == 0x1234, "what lies on it");
    set_gate(UNDEFINED, 1, 0, 3);
    TRY("ud2", "r"(0));
    faulted(UNDEFINED, 0, "an exception on it");
    set_gate(UNDEFINED, 1, 0, 0);
    set_gate(TIMER_VECTOR, 1, 0, 3);
    unsigned before = ticks;
    out32(TIMER_PORT, 1);
    out32(TIMER_PORT, 0);
    __asm__ volatile("sti; nop; cli" : : : "memory");
    check(ticks == before + 1, "an interrupt on it");
    set_gate(TIMER_VECTOR, 1, 0, 0);
}

void interrupts(void)
{
    gates();
    timer();
    unmaskable();
    double_faults();
    device_stack();
}
