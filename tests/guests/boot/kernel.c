/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel.h"

#define FLAT_CODE 0x00af9b000000ffffull
#define FLAT_CODE32 0x00cf9b000000ffffull
#define FLAT_DATA 0x00cf93000000ffffull
#define RING3 0x0000600000000000ull

uint64_t gdt[16], idt[512];
struct task_state task_state;
handler *handlers[256];
extern char stubs[];
void load_tables(void);
void kernel(void);
void run_all(void);
void trap(struct frame *frame);

static void write_gate(unsigned vector, uint64_t attributes)
{
    uint64_t offset = (uint64_t)(stubs + 16 * vector);
    idt[2 * vector] = (offset & 0xffff) | CODE0 << 16 | attributes << 32 | offset >> 16 << 48;
    idt[2 * vector + 1] = offset >> 32;
}

void set_gate(unsigned vector, int present, unsigned ring, unsigned stack)
{
    write_gate(vector, 0x0e00u | (uint64_t)present << 15 | ring << 13 | stack);
}

void set_trap_gate(unsigned vector)
{
    write_gate(vector, 0x8f00);
}

static void build_tables(void)
{
    uint64_t base = (uint64_t)&task_state;
    gdt[CODE0 / 8] = FLAT_CODE;
    gdt[DATA0 / 8] = FLAT_DATA;
    gdt[CODE3_32 / 8] = FLAT_CODE32 | RING3;
    gdt[DATA3 / 8] = FLAT_DATA | RING3;
    gdt[CODE3 / 8] = FLAT_CODE | RING3;
    gdt[DATA3_SYSEXIT / 8] = FLAT_DATA | RING3;
    gdt[TASK / 8] = 103 | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[TASK / 8 + 1] = base >> 32;
    gdt[ABSENT / 8] = FLAT_DATA & ~(1ull << 47);
    for (unsigned vector = 0; vector < 256; vector++)
        set_gate(vector, 1, vector == BREAKPOINT || vector == SYSTEM_CALL ? 3 : 0, 0);
    task_state.map = 104;
}

/* Of a trap in ring 0. */
void trap(struct frame *frame)
{
    if (handlers[frame->vector] && handlers[frame->vector](frame))
        return;
    if (!resume_at) {
        say("FAILED by an unexpected trap in 64-bit code\n");
        check(0, "trap");
        verdict();
    }
    seen.vector = frame->vector;
    seen.error = frame->error;
    seen.address = READ_CONTROL(2);
    seen.ip = frame->rip;
    frame->rip = resume_at;
    resume_at = 0;
}

struct frame task(const char *entry)
{
    struct frame frame = {
        .rip = (uint64_t)entry, .cs = CODE3, .rflags = 2,
        .rsp = (uint64_t)user_stack, .ss = DATA3,
    };
    return frame;
}

void kernel(void)
{
    build_tables();
    load_tables();
    show_user_pages();
    run_all();
    verdict();
}
