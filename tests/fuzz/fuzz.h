/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A coverage-guided fuzzer of the native engine, in one process with it.
 *
 *   input.c   what an input is, and its text form     mutate.c  new inputs from old ones
 *   machine.c runs an input and checks what comes out  mutate_tables.c  descriptors, gates, requests
 *   fuzz.c    the search, and who watches it
 */
#ifndef VMMKIT_FUZZ_H
#define VMMKIT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h" /* generated: records, enumerations, the engine's functions, RECORD_FIELDS */

#include "constants.h" /* the engine's */

enum {
    MAX_PIECES = 6,
    MAX_PAGES = 8,
    MAX_SKEW = 8,
    MAX_PATCHES = 64,
    PATCH_BYTES = 64,
    MAX_EVENTS = 12,
    MAX_BUDGET = 300,
    CODE_BYTES = 16,
    CPU_WORDS = sizeof(vmmkit_cpu) / sizeof(uint64_t)
};

#define ADDRESS_SPACE ((uint64_t)1 << 52)
#define WORD(field) (offsetof(vmmkit_cpu, field) / sizeof(uint64_t))

enum { STEP, RUN, RESUME, POKE, SET, EVENT_KINDS };

/* Guest RAM; `skew` is how far its host address is from one that malloc would give. */
typedef struct {
    uint64_t gpa;
    uint64_t pages;
    uint64_t writable;
    uint64_t skew;
} piece_spec;

typedef struct {
    uint64_t gpa;
    uint64_t size;
    uint8_t bytes[PATCH_BYTES];
} patch;

/* STEP answer; RUN answer budget; RESUME answer; POKE value gpa; SET value word. */
typedef struct {
    uint64_t kind;
    uint64_t value;
    uint64_t place;
} event;

/* Everything an engine sees. The first patch is the code, which is also decoded by itself. */
typedef struct {
    vmmkit_cpu cpu;
    uint64_t piece_count, patch_count, event_count;
    uint64_t blocks; /* whether the owner takes blocks */
    uint64_t deliver; /* whether events go to the guest */
    uint64_t wide; /* whether devices take vectors at once */
    piece_spec pieces[MAX_PIECES];
    patch patches[MAX_PATCHES];
    event events[MAX_EVENTS];
} input;

typedef struct {
    const input *entries;
    size_t count;
} corpus;

int read_input(FILE *file, input *in);
void write_input(FILE *file, const input *in);
void normalize_input(input *in);

void run_input(const input *in);

/* Basic blocks from here on, more than which are a hang; and how many units of work they did. */
void allow_work(uint64_t blocks);
void end_work(uint64_t units);

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PICK(array, state) ((array)[below(state, COUNT(array))])

uint64_t random_word(uint64_t *state);
size_t below(uint64_t *state, size_t bound);
void mutate_input(input *in, const corpus *from, uint64_t *state);

/* Of one thing that the processor finds its way by. */
void change_gate(input *in, const corpus *from, uint64_t *state);
void change_descriptor(input *in, const corpus *from, uint64_t *state);
void change_task(input *in, const corpus *from, uint64_t *state);
void change_frame(input *in, const corpus *from, uint64_t *state);
void change_entry_point(input *in, const corpus *from, uint64_t *state);
void change_breakpoints(input *in, const corpus *from, uint64_t *state);
void make_request(input *in, const corpus *from, uint64_t *state);

#endif
