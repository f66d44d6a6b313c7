/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_pure.py. */

/* The answer to a device access of more than 8 bytes: a word for every 8 of them. */
static NOINLINE void take_wide_answer(vmmkit_cpu *cpu, int reads)
{
    uint64_t size = cpu->exit_size < 64 ? cpu->exit_size : 64;
    for (unsigned word = 0; word < size / 8; word++) {
        uint64_t slot = cpu->log_count++ % VMMKIT_LIMIT_LOG_CAPACITY;
        cpu->log_value[slot] = reads ? cpu->wide_value[word] : 0;
    }
}

/* The size is one of the engine's own unless somebody else wrote the record. */
static inline void take_answer(vmmkit_cpu *cpu, uint64_t answer)
{
    uint64_t pending = cpu->log_pending, size = cpu->exit_size;
    int reads = pending == VMMKIT_EXIT_READ || pending == VMMKIT_EXIT_PORT_IN;
    uint64_t slot = cpu->log_count % VMMKIT_LIMIT_LOG_CAPACITY;
    if (UNLIKELY(pending >= VMMKIT_EXIT_BLOCK_READ && pending < VMMKIT_EXIT_STALE)) {
        cpu->block_answer = (answer < cpu->exit_value ? answer : cpu->exit_value) + 1;
        cpu->log_pending = 0;
        return;
    }
    cpu->log_pending = 0;
    if (UNLIKELY(size > 8)) {
        take_wide_answer(cpu, reads);
        return;
    }
    cpu->log_value[slot] = reads ? answer & mask_of((unsigned)size) : 0;
    cpu->log_count++;
}

static inline int fetch_page(context *c, uint64_t rip, unsigned wanted)
{
    uint64_t linear = rip, gpa;
    unsigned room;
    const vmmkit_piece *piece;
    const uint8_t *host;
    if (LIKELY(c->mode == 64)) {
        if (UNLIKELY(!is_canonical(c, linear)))
            return fault(c, GP, 0, 0);
    } else {
        const uint64_t *cs = segment_words(c, CS);
        if (UNLIKELY(rip > cs[LIMIT]))
            return fault(c, GP, 0, 0);
        if (UNLIKELY(cs[LIMIT] - rip < wanted - 1))
            wanted = (unsigned)(cs[LIMIT] - rip) + 1;
        linear = (cs[BASE] + rip) & 0xFFFFFFFFu;
    }
    room = PAGE - (unsigned)(linear & (PAGE - 1));
    if (wanted > room)
        wanted = room;
    TRY(translate(c, linear, INTENT_FETCH, &gpa));
    piece = piece_at(c, gpa, wanted);
    if (UNLIKELY(!piece))
        return unsupported(c, VMMKIT_UNSUPPORTED_NO_CODE, gpa);
    host = piece->host + (gpa - piece->gpa);
    if (LIKELY(wanted == VMMKIT_LIMIT_MAX_LENGTH))
        memcpy(c->code, host, VMMKIT_LIMIT_MAX_LENGTH);
    else
        memcpy(c->code + c->code_length, host, wanted);
    c->code_length += wanted;
    return 0;
}

static inline int decode_here(context *c)
{
    return vmmkit_decode(c->code, c->code_length, c->mode, &c->insn);
}

static int starts_vector(const context *c)
{
    static const uint8_t prefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65,
                                       0x66, 0x67, 0xF0, 0xF2, 0xF3};
    unsigned i = 0;
    while (i < c->code_length && memchr(prefixes, c->code[i], sizeof prefixes))
        i++;
    return i < c->code_length && (c->code[i] == 0x62 || (c->code[i] & 0xFE) == 0xC4);
}

static NOINLINE int refusal(context *c, int failure)
{
    if (failure == VMMKIT_DECODE_UNKNOWN && !(c->real && starts_vector(c)))
        return unsupported(c, VMMKIT_UNSUPPORTED_OPCODE, c->cpu->rip);
    return fault(c, failure == VMMKIT_DECODE_TOO_LONG ? GP : UD, 0, 0);
}

static NOINLINE int fetch_rest(context *c, int *failure)
{
    uint64_t wrap = mask_of(c->mode == 64 ? 8 : 4);
    while (*failure == VMMKIT_DECODE_TRUNCATED && c->code_length < VMMKIT_LIMIT_MAX_LENGTH) {
        uint64_t rip = (c->cpu->rip + c->code_length) & wrap;
        TRY(fetch_page(c, rip, VMMKIT_LIMIT_MAX_LENGTH - c->code_length));
        *failure = decode_here(c);
    }
    return 0;
}

static NOINLINE int take_latched(context *c)
{
    for (unsigned i = 0; i < c->code_length; i++)
        c->code[i] = (uint8_t)(c->cpu->code[i / 8] >> (8 * (i % 8)));
    return decode_here(c);
}

/* Fills c->code and c->insn: what was latched for the instruction, and the rest from memory. */
static inline int fetch(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    int failure;
    c->code_length = (unsigned)cpu->code_length & VMMKIT_LIMIT_MAX_LENGTH;
    if (UNLIKELY(c->code_length)) {
        failure = take_latched(c);
        if (failure != VMMKIT_DECODE_TRUNCATED)
            return failure ? refusal(c, failure) : 0;
    } else {
        TRY(fetch_page(c, cpu->rip, VMMKIT_LIMIT_MAX_LENGTH));
        failure = decode_here(c);
    }
    if (UNLIKELY(failure == VMMKIT_DECODE_TRUNCATED))
        TRY(fetch_rest(c, &failure));
    /* The answers so far were for the page tables on the way to the code. */
    forget_accesses(c);
    cpu->code_length = c->code_length;
    return failure ? refusal(c, failure) : 0;
}

/* The row itself, or what a processor without its feature makes of it. */
static inline int visible(context *c)
{
    unsigned feature = c->row->feature;
    if (LIKELY(feature == VMMKIT_LIMIT_NO_FEATURE) || c->cpu->features >> feature & 1)
        return 0;
    if (!c->row->without)
        return fault(c, UD, 0, 0);
    c->row = &rows[c->row->without];
    return 0;
}

static NOINLINE int stopped(context *c, int kind)
{
    vmmkit_cpu *cpu = c->cpu;
    cpu->code[0] = cpu->code[1] = 0;
    for (unsigned i = 0; i < c->code_length; i++)
        cpu->code[i / 8] |= (uint64_t)c->code[i] << (8 * (i % 8));
    if (kind == VMMKIT_EXIT_UNSUPPORTED)
        cpu->exit_size = c->code_length;
    if (kind == VMMKIT_EXIT_FAULT || kind == VMMKIT_EXIT_UNSUPPORTED)
        cpu->log_count = cpu->page_count = cpu->code_length = cpu->code_given = 0;
    else
        cpu->page_count = c->pages;
    cpu->code_rip = cpu->rip;
    cpu->code_mode = (uint64_t)c->mode;
    return kind;
}

/* After a locked instruction has lost a race: what it has learned from outside stays as it is. */
static int start_over(context *c)
{
    c->ordinal = 0;
    c->pages_known = c->pages;
    c->pages = 0;
    return 1;
}

/* One instruction, or one batch of a repeated one. */
static inline int one(context *c, uint64_t batch)
{
    vmmkit_cpu *cpu = c->cpu;
    int kind;
    c->ordinal = c->pages = 0;
    c->pages_known = cpu->page_count;
    c->elements = 1;
    c->batch = batch;
    c->shadow = 0;
    begin_mode(c);
    kind = fetch(c);
    if (UNLIKELY(kind))
        return stopped(c, kind);
    c->row = &rows[c->insn.row];
    c->next_rip = (cpu->rip + c->insn.length) & mask_of(c->mode == 64 ? 8 : 4);
    c->locked = c->insn.prefixes & VMMKIT_PREFIX_LOCK;
    kind = visible(c);
    if (LIKELY(!kind)) {
        do
            kind = execute(c);
        while (UNLIKELY(kind == RACE_LOST && start_over(c)));
    }
    if (UNLIKELY(kind > 0 && kind != VMMKIT_EXIT_HALT))
        return stopped(c, kind);
    cpu->log_count = cpu->page_count = cpu->code_length = cpu->code_given = 0;
    cpu->interrupt_shadow = c->shadow;
    if (UNLIKELY(kind == BATCH_USED))
        return VMMKIT_EXIT_DONE;
    cpu->rip = c->next_rip;
    cpu->retired++;
    return kind ? kind : VMMKIT_EXIT_DONE;
}

/* Takes the answer for the instruction in flight, or forgets what is left of an abandoned one. */
static inline int begin_run(context *c, uint64_t answer)
{
    vmmkit_cpu *cpu = c->cpu;
    int moved;
    begin_mode(c);
    moved = cpu->code_rip != cpu->rip || cpu->code_mode != (uint64_t)c->mode;
    if (!cpu->log_pending) {
        cpu->log_count = cpu->page_count = cpu->block_answer = 0;
        if (moved || !cpu->code_given)
            cpu->code_length = cpu->code_given = 0;
        return 0;
    }
    if (moved)
        return VMMKIT_EXIT_STALE;
    take_answer(cpu, answer);
    return 0;
}

static int run_to_limit(const vmmkit_vcpu *vcpu, uint64_t answer)
{
    vmmkit_cpu *cpu = vcpu->cpu;
    int in_flight = cpu->log_pending != 0; /* goes on whatever the limit */
    context c;
    c.cpu = cpu; /* the rest is set by every instruction */
    c.ram = vcpu->ram;
    c.pieces = vcpu->pieces;
    c.blocks = vcpu->blocks != 0;
    c.wide = vcpu->wide != 0;
    TRY(begin_run(&c, answer));
    for (;;) {
        uint64_t left = cpu->limit - cpu->retired; /* both counters may wrap */
        int kind, kicked = ATOMIC_LOAD(&cpu->kick) && !cpu->batch; /* a step is no run */
        if (UNLIKELY(left - 1 >= LARGEST_BUDGET || kicked)) {
            if (!in_flight) {
                if (!cpu->batch)
                    cpu->kick = 0;
                return VMMKIT_EXIT_BUDGET;
            }
            left = 1;
        }
        in_flight = 0;
        if (left > VMMKIT_LIMIT_RUN_BATCH)
            left = VMMKIT_LIMIT_RUN_BATCH; /* elements of a repeated one, and a look at the kick */
        kind = one(&c, cpu->batch ? cpu->batch : left);
        if (kind != VMMKIT_EXIT_DONE)
            return kind;
    }
}

int vmmkit_step(const vmmkit_vcpu *vcpu, uint64_t answer)
{
    vcpu->cpu->limit = vcpu->cpu->retired + 1;
    vcpu->cpu->batch = VMMKIT_LIMIT_STEP_BATCH;
    return run_to_limit(vcpu, answer);
}

int vmmkit_run(const vmmkit_vcpu *vcpu, uint64_t budget, uint64_t answer)
{
    vcpu->cpu->limit = vcpu->cpu->retired + budget;
    vcpu->cpu->batch = 0;
    return run_to_limit(vcpu, answer);
}

int vmmkit_resume(const vmmkit_vcpu *vcpu, uint64_t answer)
{
    return run_to_limit(vcpu, answer);
}

const char *vmmkit_digest(void)
{
    return digest_text;
}
