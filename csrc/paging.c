/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_paging.py. */

static NOINLINE int mark_entries(context *c, const walk *w)
{
    unsigned first = w->mode == MODE_PAE;
    for (unsigned i = first; i < w->entries; i++) {
        uint64_t entry = w->entry[i], marked = entry | ENTRY_A;
        if (i == w->entries - 1 && w->intent & INTENT_WRITE)
            marked |= ENTRY_D;
        if (marked != entry)
            TRY(mark_physical(c, w->entry_gpa[i], page_modes[w->mode].entry_size, entry, marked));
    }
    return 0;
}

static inline int is_canonical(const context *c, uint64_t linear)
{
    uint64_t high = linear >> (c->canonical_bits - 1);
    return high == 0 || high == ((uint64_t)1 << (65 - c->canonical_bits)) - 1;
}

/* Keeps a translation that the same walk would find once more; one that marks an entry of the
 * PAE tables may have spoilt a pointer to them, whose accessed bit must be 0. */
static NOINLINE void remember(context *c, const walk *w, uint64_t gpa, int marked)
{
    const vmmkit_piece *piece = piece_at(c, gpa & ~(uint64_t)(PAGE - 1), PAGE);
    tlb_entry *entry = tlb_slot(c, w->linear, w->intent);
    if (w->mode >= MODE_4 && !is_canonical(c, w->linear))
        return;
    for (unsigned i = 0; i < w->entries; i++)
        if (!w->page[i])
            return;
    for (unsigned i = 0; i < w->entries; i++)
        add_table(c, w->page[i]);
    if (marked && w->mode == MODE_PAE)
        distrust(c);
    if (c->distrusted || !piece || (w->intent & INTENT_WRITE && !piece->writable))
        return;
    gpa &= ~(uint64_t)(PAGE - 1);
    entry->key = tlb_key(c, w->linear, w->intent);
    entry->epoch = c->epoch;
    entry->gpa = gpa;
    entry->host = piece->host + (gpa - piece->gpa);
}

static NOINLINE int walk_tables(context *c, uint64_t linear, unsigned intent, uint64_t *gpa)
{
    int user = c->cpl == 3 && !(intent & INTENT_SYSTEM), stop;
    uint64_t ordinal = c->ordinal;
    walk w;
    do {
        c->ordinal = ordinal;
        begin_walk(&w, c->cpu, linear, intent, user);
        TRY(walk_to_page(c, &w, gpa));
        TRY(check_rights(c, &w));
        stop = UNLIKELY(needs_marks(&w)) ? mark_entries(c, &w) : 0;
    } while (UNLIKELY(stop == ENTRY_CHANGED));
    if (c->tlb && !stop)
        remember(c, &w, *gpa, needs_marks(&w));
    return stop;
}

static inline void log_page(context *c, uint64_t gpa)
{
    uint64_t page = c->pages++;
    if (page < VMMKIT_LIMIT_PAGE_CAPACITY) {
        c->cpu->page_gpa[page] = gpa;
        c->cpu->page_ordinal[page] = c->ordinal;
    }
}

/* The n-th translation of an instruction stays what it was when the instruction first made it. */
static inline int logged_walk(context *c, uint64_t linear, unsigned intent, uint64_t *gpa)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t page = c->pages;
    const tlb_entry *entry;
    if (UNLIKELY(page < c->pages_known && page < VMMKIT_LIMIT_PAGE_CAPACITY)) {
        *gpa = (cpu->page_gpa[page] & ~(uint64_t)(PAGE - 1)) | (linear & (PAGE - 1));
        c->ordinal = cpu->page_ordinal[page];
        c->pages++;
        return 0;
    }
    entry = remembered(c, linear, intent);
    if (LIKELY(entry))
        *gpa = entry->gpa | (linear & (PAGE - 1));
    else
        TRY(walk_tables(c, linear, intent, gpa));
    log_page(c, *gpa);
    return 0;
}

static inline int translate(context *c, uint64_t linear, unsigned intent, uint64_t *gpa)
{
    *gpa = linear;
    if (LIKELY(!(c->cpu->cr0 & CR0_PG)))
        return 0;
    return logged_walk(c, linear, intent, gpa);
}

/* What translate and fragment_at would find, from memory. */
static inline int find_page(context *c, uint64_t linear, unsigned intent, fragment *out)
{
    const tlb_entry *entry;
    unsigned place = linear & (PAGE - 1);
    if (!c->paging || UNLIKELY(c->pages < c->pages_known))
        return 0;
    entry = remembered(c, linear, intent);
    if (UNLIKELY(!entry))
        return 0;
    out->gpa = entry->gpa | place;
    out->host = entry->host + place;
    log_page(c, out->gpa);
    return 1;
}

static inline int locate_linear(context *c, uint64_t linear, unsigned size, unsigned intent,
                                span *where)
{
    int write = (intent & INTENT_WRITE) != 0;
    int wide = c->mode == 64 || (intent & INTENT_SYSTEM && c->cpu->efer & EFER_LMA);
    uint64_t wrap = mask_of(wide ? 8 : 4), gpa, rest;
    unsigned room = PAGE - (unsigned)(linear & (PAGE - 1));
    unsigned first = size < room ? size : room;
    linear &= wrap;
    if (LIKELY(first == size && find_page(c, linear, intent, &where->part[0]))) {
        where->part[0].size = size;
        where->count = 1;
        return 0;
    }
    TRY(translate(c, linear, intent, &gpa));
    where->count = 1;
    if (LIKELY(first == size)) {
        where->part[0] = fragment_at(c, gpa, size, write);
        return 0;
    }
    TRY(translate(c, (linear + first) & wrap, intent, &rest));
    where->count = 2;
    where->part[0] = fragment_at(c, gpa, first, write);
    where->part[1] = fragment_at(c, rest, size - first, write);
    return 0;
}
