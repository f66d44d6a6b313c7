/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that fault. Each ends at `probe_resume` with `probe_stack`, by itself or by a
   handler. What a probe does for its argument is in probes.S. */
#pragma once

#include "machine.h"

typedef void (*probe_function)(uint64_t argument);

extern uint64_t probe_resume, probe_stack;
void probe_read(uint64_t address);
void probe_write(uint64_t address);
void probe_execute(uint64_t address);
void probe_selector(uint64_t selector);
void probe_undefined(uint64_t unused);
void probe_divide(uint64_t divisor);
void probe_breakpoint(uint64_t unused);
void probe_push(uint64_t stack);
/* Run `STEPS` instructions with the trap flag. */
void probe_steps(uint64_t unused);

enum { STEPS = 6 };

/* Code for ring 3, to be copied; and what is in it. Most end with INT USER_VECTOR. */
extern uint8_t user_code[], user_code_limit[];
extern uint8_t user_value[], user_system_call[], user_read[], user_write[], user_jump[];
extern uint8_t user_cli[], user_out[], user_interrupt[], user_breakpoint[];

/* Go to ring 3 with RDI; come back by return_from_user, at which a handler points a frame. */
void run_user(uint64_t rip, uint64_t rsp, uint64_t rdi);
extern uint8_t return_from_user[];
extern uint64_t kernel_stack;
void system_call_entry(void);
uint64_t system_call(uint64_t argument);
