/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The second stage: 32-bit code. Segments, traps, and tasks in ring 3. */
#ifndef PROTECTED_H
#define PROTECTED_H

#define CODE0 0x08
#define DATA0 0x10
#define CODE3 0x1b
#define DATA3 0x23
#define TASK 0x28
#define GATE 0x33
#define ABSENT 0x38
#define CODE64 0x40
#define SMALL 0x48
#define CODE1 0x51
#define GATE1 0x5b
#define PAST 0x1f8
#define SYSENTER_VECTOR 0x100 /* in the frame of a task that has executed SYSENTER */
#define SYSTEM_CALL 0x80
#define FRAME_BYTES 76 /* of a frame but for the segments that only virtual-8086 mode pushes */
#define FRAME_FLAGS 64
#define FRAME_CS 60

#ifndef __ASSEMBLER__
#include "check.h"

/* A task's registers, in the order that a trap pushes them, last first. */
struct frame {
    uint32_t edi, esi, ebp, unused, ebx, edx, ecx, eax;
    uint32_t gs, fs, es, ds;
    uint32_t vector, error;
    uint32_t eip, cs, eflags, esp, ss;
    uint32_t v86_es, v86_ds, v86_fs, v86_gs;
};

struct task_state {
    uint32_t link, esp0, ss0, esp1, ss1, rest[20];
    uint16_t trap, map;
    uint8_t bits[33]; /* ports 0 to 255, and the byte of ones after them */
} __attribute__((packed));

extern struct task_state task_state;
extern uint64_t gdt[16];
extern char user_start[], user_end[];

/* Run a task until it traps; its frame is then up to date. */
void run_user(struct frame *frame);
/* The same, entered by SYSEXIT. */
void run_user_sysexit(struct frame *frame);
void sysenter_entry(void);
void set_gate(unsigned vector, int present, unsigned ring);

void faults(void);
void tasks(void);
void paging(void);
void long_mode(void) __attribute__((noreturn));

/* protected_user.S */
extern char user_stack[], user_call[], user_halt[], user_ports[], user_gate[], user_loop[];
extern char user_inner_gate[], user_sysenter[], user_interrupt[], user_read[], user_jump[];
extern char v86_code[], v86_interrupts[];
#endif
#endif
