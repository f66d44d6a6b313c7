/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_pure.py. */

/* The answer to a device access of more than 8 bytes: a word for every 8 of them. */
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

static NOINLINE int delivered(context *c, int kind)
{
    int over = kind == VMMKIT_EXIT_DONE || kind == VMMKIT_EXIT_TRIPLE_FAULT;
    return over ? kind : stopped(c, kind);
}

static NOINLINE int stopped_or_raised(context *c, int kind)
{
    if (kind != VMMKIT_EXIT_FAULT || !c->deliver)
        return stopped(c, kind);
    raise_fault(c);
    return delivered(c, begin_delivery(c));
}

static NOINLINE void begin_traps(context *c)
{
    c->debug = c->cpu->rflags & TF ? DR6_BS : 0;
    c->watched = watches(c);
    if (c->debug || c->watched)
        c->batch = 1;
}

/* Commits what every instruction commits at its end, or at the end of a batch. */
static inline int completed(context *c, int kind)
{
    vmmkit_cpu *cpu = c->cpu;
    cpu->log_count = cpu->page_count = cpu->code_length = cpu->code_given = 0;
    cpu->interrupt_shadow = c->shadow;
    if (UNLIKELY(c->deliver))
        after_instruction(c, kind != BATCH_USED);
    else if (UNLIKELY(cpu->rflags & RF && kind != BATCH_USED && !c->keeps_rf))
        cpu->rflags &= ~(uint64_t)RF;
    if (UNLIKELY(kind == BATCH_USED))
        return VMMKIT_EXIT_DONE;
    cpu->rip = c->next_rip;
    cpu->retired++;
    if (UNLIKELY(kind == VMMKIT_EXIT_HALT && c->deliver && wakes(c)))
        return VMMKIT_EXIT_DONE;
    return kind ? kind : VMMKIT_EXIT_DONE;
}

/* Whether the instruction that comes out so is complete. */
static inline int is_completion(int kind)
{
    return kind == VMMKIT_EXIT_HALT || kind == VMMKIT_EXIT_HYPERCALL ||
           kind == VMMKIT_EXIT_TPR_BELOW_THRESHOLD;
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
    c->debug = 0;
    c->keeps_rf = c->watched = 0;
    begin_mode(c);
    if (UNLIKELY(c->deliver))
        begin_traps(c);
    kind = fetch(c);
    if (UNLIKELY(kind))
        return stopped_or_raised(c, kind);
    c->row = &rows[c->insn.row];
    c->next_rip = (cpu->rip + c->insn.length) & mask_of(c->mode == 64 ? 8 : 4);
    c->locked = c->insn.prefixes & VMMKIT_PREFIX_LOCK;
    kind = visible(c);
    if (LIKELY(!kind)) {
        do
            kind = execute(c);
        while (UNLIKELY(kind == RACE_LOST && start_over(c)));
    }
    if (UNLIKELY(kind > 0 && !is_completion(kind)))
        return stopped_or_raised(c, kind);
    return completed(c, kind);
}

/* Chooses the event before the next instruction; its kind, or 0 to execute that. */
static NOINLINE int attended(context *c)
{
    int kind = before_instruction(c);
    if (kind)
        return kind;
    return c->cpu->event ? delivered(c, begin_delivery(c)) : 0;
}

/* Delivers an event, or executes one instruction or one batch of a repeated one. */
static inline int next(context *c, uint64_t batch, int resumes)
{
    if (UNLIKELY(c->cpu->event))
        return delivered(c, continue_delivery(c));
    if (UNLIKELY(c->deliver && !resumes && needs_attention(c))) {
        int kind = attended(c);
        if (kind)
            return kind;
    }
    return one(c, batch);
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
    c.deliver = vcpu->deliver != 0;
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
        if (left > VMMKIT_LIMIT_RUN_BATCH)
            left = VMMKIT_LIMIT_RUN_BATCH; /* elements of a repeated one, and a look at the kick */
        kind = next(&c, cpu->batch ? cpu->batch : left, in_flight);
        in_flight = 0;
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
