/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and interrupts: the IDT, a task state segment for each processor, handlers in C. */
#pragma once

#include "layout.h"
#include "machine.h"

enum { TRAP_DE = 0, TRAP_DB = 1, TRAP_BP = 3, TRAP_UD = 6, TRAP_GP = 13, TRAP_PF = 14 };

/* What the stubs in vectors.S leave on the stack; a handler may change it. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

typedef void (*trap_handler)(struct trap_frame *frame);

struct task_state {
    uint32_t reserved;
    uint64_t rsp[3];
    uint64_t reserved_too;
    uint64_t ist[7];
    uint64_t reserved_last;
    uint16_t last_reserved, io_map;
} __attribute__((packed));

extern struct task_state task_states[PROCESSORS];

/* Mask both 8259A; make the IDT, all gates for the supervisor only, without a stack of their own.
   Once. */
void traps_begin(void);

/* Load the IDT and the task register. On each processor. */
void traps_load(uint32_t processor);

/* Call `handler` for a vector; without one a trap ends the guest with a FAIL line. */
void trap_handle(uint8_t vector, trap_handler handler);

/* Let ring `privilege` and inner ones use a vector by INT, on IST stack `ist` (0: none). */
void trap_gate(uint8_t vector, uint32_t privilege, uint32_t ist);
