/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What both processors of the SMP guest see, with names for debuggers. */
#pragma once

#include "layout.h"
#include "machine.h"

/* Where each processor is. */
enum stage { STAGE_OFF, STAGE_STARTED, STAGE_COUNTING, STAGE_COUNTED, STAGE_HALTED, STAGE_WOKEN };

struct progress {
    uint32_t apic_id;
    enum stage stage;
    uint32_t increments;   /* done so far */
    uint32_t interrupts;   /* messages from the other one */
    uint64_t time_stamp;
    uint64_t private_word; /* as read at PRIVATE_ADDRESS */
};

extern volatile struct progress progress[PROCESSORS];
extern volatile uint64_t shared_counter;
extern volatile uint64_t inner_calls;

/* Each processor has a page of its own here. */
#define PRIVATE_ADDRESS 0x8000000000ul
extern volatile uint64_t private_pages[PROCESSORS][512];

/* Nested calls: outer calls middle, that calls inner, which calls itself `depth` times.
   Returns 1 + 2 + ... + depth + processor. */
uint64_t outer(uint32_t processor, int depth);

/* Add one to `shared_counter`, under a lock. */
void count_one(void);
