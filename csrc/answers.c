/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_answers.py. */

static NOINLINE void take_wide_answer(vmmkit_cpu *cpu, int reads)
{
    uint64_t size = cpu->exit_size < 64 ? cpu->exit_size : 64;
    for (unsigned number = 0; number < size / 8; number++) {
        uint64_t slot = cpu->log_count % VMMKIT_LIMIT_LOG_CAPACITY;
        cpu->log_value[slot] = reads ? cpu->wide_value[number] : 0;
        cpu->log_count++;
    }
}

/* The size is one of the engine's own unless somebody else wrote the record. */
static inline void take_answer(vmmkit_cpu *cpu, uint64_t answer)
{
    uint64_t pending = cpu->log_pending, size = cpu->exit_size;
    uint64_t slot = cpu->log_count % VMMKIT_LIMIT_LOG_CAPACITY;
    cpu->log_pending = 0;
    if (UNLIKELY(pending >= VMMKIT_EXIT_BLOCK_READ && pending <= VMMKIT_EXIT_PORT_BLOCK_OUT)) {
        cpu->block_answer = (answer < cpu->exit_value ? answer : cpu->exit_value) + 1;
        return;
    }
    if (UNLIKELY(size > 8 && (pending == VMMKIT_EXIT_READ || pending == VMMKIT_EXIT_WRITE ||
                              pending == VMMKIT_EXIT_ENQUEUE))) {
        take_wide_answer(cpu, pending == VMMKIT_EXIT_READ);
        return;
    }
    if (pending >= VMMKIT_EXIT_READ_MSR && pending < VMMKIT_EXIT_WRITE_MSR)
        size = 8;
    else if (pending != VMMKIT_EXIT_READ && pending != VMMKIT_EXIT_PORT_IN)
        size = 0;
    cpu->log_value[slot] = answer & mask_of(size < 8 ? (unsigned)size : 8);
    cpu->log_count++;
}

/* Takes the answer for the instruction in flight, or forgets what is left of an abandoned one. */
static inline int begin_run(context *c, uint64_t answer)
{
    vmmkit_cpu *cpu = c->cpu;
    int moved;
    if (!cpu->log_pending) {
        cpu->log_count = cpu->page_count = cpu->block_answer = cpu->refused = 0;
        if (LIKELY(!cpu->code_given)) {
            cpu->code_length = 0;
            return 0;
        }
    }
    begin_mode(c);
    moved = cpu->code_rip != cpu->rip || cpu->code_mode != (uint64_t)c->mode;
    if (!cpu->log_pending) {
        if (moved)
            cpu->code_length = cpu->code_given = 0;
        return 0;
    }
    if (moved)
        return VMMKIT_EXIT_STALE;
    take_answer(cpu, answer);
    return 0;
}
