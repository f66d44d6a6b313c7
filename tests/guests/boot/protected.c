/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "protected.h"

uint64_t gdt[16], idt[256];
struct task_state task_state;
extern char stubs[], gate_entry[];
void load_tables(void);
void protected(void);
void trap(struct frame *frame);

static uint64_t segment(uint32_t base, uint32_t limit, uint64_t attributes)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | attributes << 40 |
           (uint64_t)(limit >> 16) << 48 | (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(uint16_t selector, const char *target, uint32_t attributes)
{
    uint32_t offset = (uint32_t)target;
    return (offset & 0xffff) | (uint32_t)selector << 16 | (uint64_t)attributes << 32 |
           (uint64_t)(offset >> 16) << 48;
}

void set_gate(unsigned vector, int present, unsigned ring)
{
    uint32_t attributes = 0x0e00 | (uint32_t)present << 15 | ring << 13;
    idt[vector] = gate(CODE0, stubs + 16 * vector, attributes);
}

static void build_tables(void)
{
    gdt[CODE0 / 8] = segment(0, 0xfffff, 0xc09b);
    gdt[DATA0 / 8] = segment(0, 0xfffff, 0xc093);
    gdt[CODE3 / 8] = segment(0, 0xfffff, 0xc0fb);
    gdt[DATA3 / 8] = segment(0, 0xfffff, 0xc0f3);
    gdt[TASK / 8] = segment((uint32_t)&task_state, sizeof task_state - 1, 0x89);
    gdt[GATE / 8] = gate(CODE0, gate_entry, 0xec02);
    gdt[CODE1 / 8] = segment(0, 0xfffff, 0xc0bb);
    gdt[GATE1 / 8] = gate(CODE1, gate_entry, 0xec00);
    gdt[ABSENT / 8] = segment(0, 0xfffff, 0xc013);
    gdt[CODE64 / 8] = segment(0, 0xfffff, 0xa09b);
    gdt[SMALL / 8] = segment(SPARE, 0xff, 0x4093);
    for (unsigned vector = 0; vector < 256; vector++)
        set_gate(vector, 1, 0);
    set_gate(BREAKPOINT, 1, 3);
    set_gate(OVERFLOW, 1, 3);
    set_gate(SYSTEM_CALL, 1, 3);
    task_state.ss0 = DATA0;
    task_state.ss1 = DATA0; /* of the wrong ring */
    task_state.map = 104;
    for (unsigned number = 0; number < sizeof task_state.bits; number++)
        task_state.bits[number] = 0xff;
    task_state.bits[LATCH_PORT / 8] &= (uint8_t)~(1 << LATCH_PORT % 8);
}

/* Of a trap in ring 0. */
void trap(struct frame *frame)
{
    if (!resume_at) {
        say("FAILED by an unexpected trap in 32-bit code\n");
        check(0, "trap");
        verdict();
    }
    seen.vector = frame->vector;
    seen.error = frame->error;
    seen.address = READ_CONTROL(2);
    seen.ip = frame->eip;
    frame->eip = resume_at;
    resume_at = 0;
}

void protected(void)
{
    build_tables();
    load_tables();
    check(gdt[TASK / 8] >> 41 & 1, "LTR marks the TSS as busy");
    faults();
    subject("32-bit protected mode");
    tasks();
    subject("ring 3 and virtual-8086 mode");
    paging();
    long_mode();
}
