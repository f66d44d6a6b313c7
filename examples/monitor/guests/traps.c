/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "traps.h"

#include "report.h"

enum { STUB_BYTES = 16, INTERRUPT_GATE = 0x8e, TASK_PRESENT = 0x89 };
enum { PIC_MASTER = 0x21, PIC_SLAVE = 0xa1 };

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, kind;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern uint64_t gdt[];
extern uint8_t trap_stubs[];
void trap(struct trap_frame *frame);

struct task_state task_states[PROCESSORS];
static struct gate idt[VECTORS];
static trap_handler handlers[VECTORS];

void trap_gate(uint8_t vector, uint32_t privilege, uint32_t ist)
{
    uint64_t stub = (uint64_t)trap_stubs + vector * STUB_BYTES;
    idt[vector] = (struct gate){
        .offset_low = (uint16_t)stub,
        .selector = CODE0,
        .ist = (uint8_t)ist,
        .kind = (uint8_t)(INTERRUPT_GATE | privilege << 5),
        .offset_middle = (uint16_t)(stub >> 16),
        .offset_high = (uint32_t)(stub >> 32),
    };
}

void traps_begin(void)
{
    out8(PIC_MASTER, 0xff); /* firmware leaves the timer's interrupt on, at an exception's vector */
    out8(PIC_SLAVE, 0xff);
    for (uint32_t vector = 0; vector < VECTORS; vector++)
        trap_gate((uint8_t)vector, 0, 0);
}

void traps_load(uint32_t processor)
{
    struct table_pointer pointer = {sizeof idt - 1, (uint64_t)idt};
    uint64_t base = (uint64_t)&task_states[processor], limit = sizeof(struct task_state) - 1;
    uint64_t *descriptor = &gdt[TASK0 / 8 + 2 * processor];
    task_states[processor].io_map = sizeof(struct task_state);
    descriptor[0] = limit | (base & 0xffffff) << 16 | (uint64_t)TASK_PRESENT << 40 |
                    (base >> 24 & 0xff) << 56;
    descriptor[1] = base >> 32;
    __asm__ volatile("lidt %0" : : "m"(pointer));
    __asm__ volatile("ltr %w0" : : "r"(TASK0 + 16 * processor));
}

void trap_handle(uint8_t vector, trap_handler handler)
{
    handlers[vector] = handler;
}

void trap(struct trap_frame *frame)
{
    if (handlers[frame->vector]) {
        handlers[frame->vector](frame);
        return;
    }
    check(false, "trap", "vector %lu error %lx rip %lx cr2 %lx rsp %lx", frame->vector,
          frame->error, frame->rip, read_cr2(), frame->rsp);
    finish();
}
