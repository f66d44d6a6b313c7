/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The third stage: 64-bit code with its own tables, traps on stacks of their own, and tasks. */
#ifndef KERNEL_H
#define KERNEL_H

#include "layout.h"

#define CODE0 0x08
#define DATA0 0x10
#define CODE3_32 0x1b
#define DATA3 0x23
#define CODE3 0x2b
#define DATA3_SYSEXIT 0x33 /* what SYSEXIT loads into SS */
#define TASK 0x38          /* two entries */
#define ABSENT 0x48
#define GATE 0x50  /* two entries */
#define LOCAL 0x60 /* two entries */
#define PAST 0x1f8
#define SYSCALL_VECTOR 0x100 /* in the frame of a task that has executed SYSCALL */
#define SYSENTER_VECTOR 0x101
#define SYSTEM_CALL 0x80
#define DEVICE_STACK_VECTOR 0x81
#define FRAME_BYTES 176
#define FRAME_CS 144

#ifndef __ASSEMBLER__
#include "check.h"

#define P 1ul
#define W 2ul
#define U 4ul
#define A 0x20ul
#define D 0x40ul
#define NX (1ul << 63)
#define FAR_AWAY 0x40000000ul    /* 2 MiB where pages come and go */
#define DEMAND (FAR_AWAY + 0x100000) /* 16 pages that the page fault handler maps when asked */
#define DEMAND_PAGES 16ul

/* A task's registers, in the order that a trap pushes them, last first. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
} __attribute__((aligned(16)));

struct task_state {
    uint32_t reserved;
    uint64_t rsp[3], reserved2, ist[7];
    uint16_t rest[5], map;
} __attribute__((packed));
extern struct task_state task_state;
extern char user_start[], user_end[];

/* kernel_entry.S: run a task until it traps; its frame is then up to date. */
void run_user(struct frame *frame);
void run_user_sysret(struct frame *frame);
void run_user_sysexit(struct frame *frame);
void run_user_sysret_narrow(struct frame *frame); /* to 32-bit code */
void run_user_sysexit_narrow(struct frame *frame);
void syscall_entry(void);
void sysenter_entry(void);
/* Execute INT3 with another RSP; the trap may end on a stack of the IST. */
void breakpoint_on_stack(uint64_t stack);

/* kernel.c: handlers of ring 0 return whether the trap was theirs. */
typedef int handler(struct frame *frame);
extern handler *handlers[256];
void set_gate(unsigned vector, int present, unsigned ring, unsigned stack);
void set_trap_gate(unsigned vector);
/* A frame that enters ring 3. */
struct frame task(const char *entry);

/* pages.c */
volatile uint64_t *entry_of(uint64_t linear);
void map(uint64_t linear, uint64_t entry);
/* Give ring 3 the pages of its code and data. */
void show_user_pages(void);

void faults(void);
void paging(void);
void breakpoints(void);
void interrupts(void);
void tasks(void);
void system_calls(void);
void descriptors(void);
void privileges(void);
void processor(void);

extern char user_stack[], user_counter[], user_wide_counter[], user_fork[], user_store[],
    user_syscall[], user_sysenter[], user_narrow[], user_segments[],
    user_misaligned[], user_table[], user_jump[];
#endif
#endif
