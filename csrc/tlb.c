/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations that need no walk; no part of what an engine shows.
 *
 * An entry says what a walk would find now. It holds within one epoch, and a new one begins
 *   - with each call of the engine: between calls the owner may change anything;
 *   - when a register that a walk looks at has changed, and at INVLPG, INVPCID and MOV to CR3;
 *   - when this vCPU stores to a page that entries of a walk were read from (its "tables").
 * Who asks, CPL and RFLAGS.AC, is part of the key. Translations to devices, and those by entries
 * that are not in RAM, are not kept: their walks show.
 *
 * A store is noticed when it is located, which is before it is made. So from there to the end of
 * the instruction nothing is remembered, and the same from a walk that reads a page for the first
 * time: an operand in that page may have been located before. What other processors store is
 * noticed at the next epoch.
 */

enum { KEY_USER = 1, KEY_SYSTEM = 2, KEY_AC = 4, AC_TO_KEY = 16 };

static inline void begin_epoch(context *c)
{
    c->epoch = ++c->tlb->epoch;
    c->code_room = 0;
}

/* Forgets all translations, and remembers none until the next instruction. */
static NOINLINE void distrust(context *c)
{
    c->calm = 0;
    if (!c->tlb)
        return;
    c->distrusted = 1;
    begin_epoch(c);
}

static inline walk_inputs current_inputs(const vmmkit_cpu *cpu)
{
    return (walk_inputs){cpu->cr0, cpu->cr3, cpu->cr4, cpu->efer, cpu->pkru, cpu->maxphyaddr};
}

static inline int same_inputs(const walk_inputs *a, const vmmkit_cpu *cpu)
{
    return !((a->cr0 ^ cpu->cr0) | (a->cr3 ^ cpu->cr3) | (a->cr4 ^ cpu->cr4) |
             (a->efer ^ cpu->efer) | (a->pkru ^ cpu->pkru) | (a->maxphyaddr ^ cpu->maxphyaddr));
}

static void begin_tlb(context *c, caches *known)
{
    c->tlb = known;
    c->distrusted = 0;
    c->code_room = 0;
    if (!known)
        return;
    c->inputs = current_inputs(c->cpu);
    begin_epoch(c);
}

/* Between two instructions. */
static inline void renew_trust(context *c)
{
    c->code_room = 0;
    c->distrusted = 0;
    if (c->tlb && UNLIKELY(!same_inputs(&c->inputs, c->cpu))) {
        c->inputs = current_inputs(c->cpu);
        begin_epoch(c);
    }
}

/* Only what decides together with the registers of walk_inputs; more in a key does no harm. */
static inline uint64_t tlb_key(const context *c, uint64_t linear, unsigned intent)
{
    return (linear & ~(uint64_t)(PAGE - 1)) | (c->cpl == 3 ? KEY_USER : 0) |
           (intent & INTENT_SYSTEM ? KEY_SYSTEM : 0) | (c->cpu->rflags >> AC_TO_KEY & KEY_AC);
}

static inline unsigned tlb_kind(unsigned intent)
{
    if (intent & INTENT_WRITE)
        return TLB_WRITE;
    return intent & INTENT_FETCH ? TLB_FETCH : TLB_READ;
}

static inline tlb_entry *tlb_slot(const context *c, uint64_t linear, unsigned intent)
{
    return &c->tlb->tlb[tlb_kind(intent)][linear / PAGE % TLB_ENTRIES];
}

/* NULL where a walk is due. */
static inline const tlb_entry *remembered(const context *c, uint64_t linear, unsigned intent)
{
    const tlb_entry *entry;
    if (UNLIKELY(!c->tlb))
        return NULL;
    entry = tlb_slot(c, linear, intent);
    return LIKELY(entry->key == tlb_key(c, linear, intent) && entry->epoch == c->epoch) ? entry
                                                                                        : NULL;
}

static inline const uint8_t **table_bucket(const context *c, const uint8_t *page)
{
    uint64_t number = (uint64_t)((uintptr_t)page / PAGE);
    return c->tlb->tables[(number ^ number / TABLE_BUCKETS) % TABLE_BUCKETS];
}

/* Where the page stands in its bucket, or BUCKET. */
static inline unsigned table_place(const uint8_t *const *bucket, const uint8_t *page)
{
    unsigned place = 0;
    while (place < BUCKET && bucket[place] != page)
        place++;
    return place;
}

/* Pages go by their host address, so one that has two guest-physical addresses is one page. */
static NOINLINE void add_table(context *c, const uint8_t *page)
{
    const uint8_t **bucket = table_bucket(c, page);
    unsigned place = table_place(bucket, page);
    if (LIKELY(place < BUCKET))
        return;
    distrust(c);
    place = table_place(bucket, NULL);
    if (place == BUCKET) {
        memset(c->tlb->tables, 0, sizeof c->tlb->tables);
        place = 0;
    }
    bucket[place] = page;
}

/* A store to this page is about to come. */
static NOINLINE void note_store(context *c, const uint8_t *page)
{
    const uint8_t **bucket = table_bucket(c, page);
    unsigned place = table_place(bucket, page);
    if (place == BUCKET)
        return;
    bucket[place] = NULL;
    distrust(c);
}
