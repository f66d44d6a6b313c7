/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Tasks of ring 3 that take turns by the timer, with vector registers of their own; and fork. */
#include "kernel.h"

#define TASKS 3
#define QUANTUM 250 /* instructions */
#define WRITE 1
#define EXIT 2
#define FORK 3
#define AREA 1024

struct process {
    struct frame frame;
    uint8_t vectors[AREA] __attribute__((aligned(64)));
    unsigned runs, switches, wrote;
};
static struct process processes[TASKS];
static char wrote[64];
static unsigned length, alive;
static int wide;

/* FXSAVE where there is no XSAVE, or for the sake of it. */
static void save(uint8_t *area)
{
    if (wide)
        __asm__ volatile("xsave (%0)" : : "r"(area), "a"(7), "d"(0) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void restore(const uint8_t *area)
{
    if (wide)
        __asm__ volatile("xrstor (%0)" : : "r"(area), "a"(7), "d"(0) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static struct process *start(const char *entry)
{
    struct process *process = &processes[alive];
    zero(process, sizeof *process);
    process->frame = task(entry);
    process->frame.rsp -= 256 * alive;
    process->frame.rflags |= FLAG_IF;
    process->runs = 1;
    alive++;
    __asm__ volatile("fninit");
    save(process->vectors);
    return process;
}

/* The child goes on from the same place, on a stack of its own with the same on it. */
static void fork(struct process *parent)
{
    struct process *child = start(user_fork);
    uint64_t top = (uint64_t)user_stack - 256 * (uint64_t)(parent - processes);
    uint64_t distance = parent->frame.rsp - top;
    child->frame = parent->frame;
    child->frame.rsp = (uint64_t)user_stack - 256 * (uint64_t)(child - processes) + distance;
    for (int number = 0; number < 8; number++)
        ((uint64_t *)child->frame.rsp)[number] = ((uint64_t *)parent->frame.rsp)[number];
    child->frame.rax = 0;
    parent->frame.rax = (uint64_t)(child - processes);
}

static void system_call(struct process *process)
{
    switch (process->frame.rax) {
    case WRITE:
        if (length < sizeof wrote)
            wrote[length++] = (char)process->frame.rdi;
        process->wrote++;
        break;
    case EXIT:
        process->runs = 0;
        break;
    case FORK:
        fork(process);
        break;
    default:
        check(0, "a system call that there is not");
        process->runs = 0;
    }
}

/* Runs all, in turn, to their ends. */
static void schedule(void)
{
    unsigned running = alive, turn = 0;
    while (running) {
        struct process *process = &processes[turn++ % TASKS];
        if (!process->runs)
            continue;
        restore(process->vectors);
        do {
            run_user(&process->frame);
            if (process->frame.vector == SYSTEM_CALL)
                system_call(process);
        } while (process->frame.vector == SYSTEM_CALL && process->runs);
        save(process->vectors);
        if (process->frame.vector == TIMER_VECTOR)
            process->switches++;
        else if (process->runs)
            process->runs = 0, check(0, "a task that faults");
        running = 0;
        for (int number = 0; number < TASKS; number++)
            running += processes[number].runs;
    }
}

static void reset(void)
{
    zero(processes, sizeof processes);
    alive = length = 0;
}

/* Tasks that count in registers of all kinds, and compare. */
static void counters(const char *entry)
{
    reset();
    for (uint64_t number = 0; number < TASKS; number++)
        start(entry)->frame.rsi = number + 1;
    out32(TIMER_PORT, QUANTUM);
    schedule();
    out32(TIMER_PORT, 0);
    for (unsigned number = 0; number < TASKS; number++) {
        struct process *process = &processes[number];
        check(process->frame.rcx == 100 * (number + 1), "a task that has counted");
        check(process->frame.rdi == 'y' && process->wrote == 1, "its vectors agree");
        check(process->switches > 1, "it was interrupted");
    }
}

void tasks(void)
{
    counters(user_counter);
    if (cpuid(1, 0).c >> 28 & 1) {
        wide = 1;
        counters(user_wide_counter);
        wide = 0;
    }
    reset();
    start(user_fork);
    out32(TIMER_PORT, QUANTUM);
    schedule();
    out32(TIMER_PORT, 0);
    check(alive == 2 && length == 2 && wrote[0] + wrote[1] == 'p' + 'c', "parent and child");
    check(processes[0].frame.rbx == 0x55 && processes[1].frame.rbx == 0x55, "both have the stack");
}
