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
    if (LIKELY(wanted == VMMKIT_LIMIT_MAX_LENGTH)) {
        memcpy(c->code, host, VMMKIT_LIMIT_MAX_LENGTH);
        keep_code_page(c, rip, linear, gpa, host);
    } else {
        memcpy(c->code + c->code_length, host, wanted);
    }
    c->code_length += wanted;
    return 0;
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
        return unknown(c);
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
static NOINLINE int fetch_anew(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    int failure;
    c->pages = 0;
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
    if (!c->calm) /* else finished() does, where it shows */
        cpu->code_length = c->code_length;
    return failure ? refusal(c, failure) : 0;
}

static inline int fetch(context *c)
{
    return LIKELY(find_code(c)) ? 0 : fetch_anew(c);
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
    c->own = *c->found;
    describe_operands(&c->own, c->row);
    use_entry(c, &c->own);
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
    if (kind == VMMKIT_EXIT_FAULT || kind == VMMKIT_EXIT_UNSUPPORTED || kind == VMMKIT_EXIT_DEBUG)
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
    c->calm = 0;
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
    c->watched = watches(c) ? WATCH_GUEST : 0;
    if (c->debug || c->watched)
        c->batch = 1;
}

/* Commits what every instruction commits at its end, or at the end of a batch. */
static inline int completed(context *c, int kind)
{
    vmmkit_cpu *cpu = c->cpu;
    cpu->log_count = cpu->page_count = cpu->code_length = cpu->code_given = 0;
    cpu->interrupt_shadow = c->shadow;
    cpu->debug_control &= ~(uint64_t)VMMKIT_DEBUG_SKIP;
    if (UNLIKELY(c->deliver))
        after_instruction(c, kind != BATCH_USED);
    else if (UNLIKELY(cpu->rflags & RF && kind != BATCH_USED && !c->keeps_rf))
        cpu->rflags &= ~(uint64_t)RF;
    if (UNLIKELY(kind == BATCH_USED))
        return c->hit.slot ? report_hit(c) : VMMKIT_EXIT_DONE;
    cpu->rip = c->next_rip;
    cpu->retired++;
    if (UNLIKELY(c->hit.slot && !kind))
        return report_hit(c);
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

/* What began an instruction in this way lets the next ones begin without another look at it. */
static inline int is_calm(const context *c)
{
    const vmmkit_cpu *cpu = c->cpu;
    uint64_t due = cpu->debug_pending | cpu->interrupt_shadow | (cpu->rflags & RF) | c->debug |
                   cpu->debug_count | (cpu->debug_control & VMMKIT_DEBUG_SKIP);
    uint64_t begun = cpu->log_count | cpu->page_count | cpu->code_length | cpu->code_given |
                     cpu->block_answer | cpu->batch;
    return !(due | begun) && !c->watched && !c->checks_alignment;
}

static inline uint64_t batch_size(const vmmkit_cpu *cpu, uint64_t left)
{
    if (cpu->batch)
        return cpu->batch;
    /* elements of a repeated instruction, and a look at the kick */
    return left > VMMKIT_LIMIT_RUN_BATCH ? VMMKIT_LIMIT_RUN_BATCH : left;
}

static inline void begin_instruction(context *c, uint64_t left, int resumes)
{
    c->ordinal = 0;
    c->pages_known = c->cpu->page_count;
    c->elements = 1;
    c->batch = batch_size(c->cpu, left);
    c->shadow = 0;
    c->debug = 0;
    c->keeps_rf = 0;
    c->watched = c->hit.slot = 0;
    begin_mode(c);
    if (c->deliver)
        begin_traps(c);
    if (UNLIKELY(c->cpu->debug_count))
        begin_watching(c, linear_rip(c));
    c->flat = c->mode == 64 && c->tlb && !(c->watched & WATCHES_DATA) && !c->checks_alignment;
    c->calm = !resumes && is_calm(c);
}

/* Chooses the event before the next instruction; its kind, or 0 to execute that. */
static NOINLINE int attended(context *c)
{
    int kind = c->deliver ? before_instruction(c) : code_stop(c);
    if (kind)
        return kind;
    return c->cpu->event ? delivered(c, begin_delivery(c)) : 0;
}

/* Ends the run, delivers an event, or begins the next instruction. */
static NOINLINE int between(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t left = cpu->limit - cpu->retired; /* both counters may wrap */
    int kind, resumes = c->in_flight, kicked = ATOMIC_LOAD(&cpu->kick) && !cpu->batch;
    c->in_flight = c->calm = 0;
    if (UNLIKELY(left - 1 >= LARGEST_BUDGET || kicked)) { /* a step is no run */
        if (!resumes) {
            if (left - 1 < LARGEST_BUDGET) /* else a slice of a longer run may end */
                cpu->kick = 0;
            return VMMKIT_EXIT_BUDGET;
        }
        left = 1;
    }
    renew_trust(c);
    if (UNLIKELY(cpu->event))
        return delivered(c, continue_delivery(c));
    if (UNLIKELY(!resumes && (cpu->debug_count || (c->deliver && needs_attention(c))))) {
        kind = attended(c);
        if (kind)
            return kind;
    }
    begin_instruction(c, left, resumes);
    return BEGUN;
}

/* Whether between() is due; what else it looks at does not change in calm. */
static inline int is_due(const context *c)
{
    const vmmkit_cpu *cpu = c->cpu;
    uint64_t requests = ATOMIC_LOAD(&cpu->kick) | ATOMIC_LOAD(&cpu->nmi_pending) |
                        ATOMIC_LOAD(&cpu->interrupt_request) | ATOMIC_LOAD(&cpu->window_request);
    return !c->calm || requests || cpu->retired == cpu->limit;
}

/* Executes what was fetched: one instruction, or one batch of a repeated one. */
static ALWAYS_INLINE int execute_one(context *c, int begun_in_calm)
{
    vmmkit_cpu *cpu = c->cpu;
    int kind;
    c->row = &rows[c->insn->row];
    c->next_rip = (cpu->rip + c->insn->length) & mask_of(c->mode == 64 ? 8 : 4);
    c->locked = c->insn->prefixes & VMMKIT_PREFIX_LOCK;
    if (UNLIKELY(!c->found->plain && begun_in_calm)) {
        c->calm = 0;
        c->batch = batch_size(cpu, cpu->limit - cpu->retired);
    }
    kind = visible(c);
    if (LIKELY(!kind)) {
        do
            kind = execute(c);
        while (UNLIKELY(kind == RACE_LOST && start_over(c)));
    }
    return kind;
}

/* Commits an instruction that was not plain, or keeps what one that stopped needs to go on. */
static NOINLINE int finished(context *c, int kind)
{
    c->calm = 0;
    if (!c->cpu->code_length)
        c->cpu->code_length = c->code_length;
    if (UNLIKELY(kind > 0 && !is_completion(kind)))
        return stopped_or_raised(c, kind);
    return completed(c, kind);
}

static NOINLINE int refused(context *c, int kind)
{
    c->calm = 0;
    return stopped_or_raised(c, kind);
}

static int run_on(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    int kind, calm;
    for (;;) {
        if (UNLIKELY(is_due(c))) {
            kind = between(c);
            if (kind == VMMKIT_EXIT_DONE)
                continue;
            if (kind != BEGUN)
                return kind;
        }
        calm = c->calm;
        kind = fetch(c);
        if (UNLIKELY(kind)) {
            kind = refused(c, kind);
        } else {
            kind = execute_one(c, calm);
            if (LIKELY(!kind && c->calm)) {
                cpu->rip = c->next_rip;
                cpu->retired++;
                continue;
            }
            kind = finished(c, kind);
        }
        if (kind != VMMKIT_EXIT_DONE)
            return kind;
    }
}

static int run_to_limit(const vmmkit_vcpu *vcpu, uint64_t answer)
{
    vmmkit_cpu *cpu = vcpu->cpu;
    int single = cpu->batch || cpu->limit - cpu->retired == 1;
    context c;
    c.cpu = cpu; /* the rest is set by every instruction */
    c.ram = vcpu->ram;
    c.pieces = vcpu->pieces;
    c.blocks = vcpu->blocks != 0;
    c.deliver = vcpu->deliver != 0;
    c.wide = vcpu->wide != 0;
    c.in_flight = cpu->log_pending != 0; /* goes on whatever the limit */
    c.calm = 0;
    use_entry(&c, &c.own);
    c.known = vcpu->caches;
    begin_tlb(&c, single ? NULL : c.known);
    TRY(begin_run(&c, answer));
    return run_on(&c);
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

/* Bytes of vmmkit_vcpu.caches, which begin as zeros and belong to one vCPU. */
size_t vmmkit_caches_size(void)
{
    return sizeof(caches);
}

const char *vmmkit_digest(void)
{
    return digest_text;
}
