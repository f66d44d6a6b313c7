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

static NOINLINE int walk_tables(context *c, uint64_t linear, unsigned intent, uint64_t *gpa)
{
    int user = c->cpl == 3 && !(intent & INTENT_SYSTEM), stop;
    uint64_t ordinal = c->ordinal;
    do {
        walk w;
        c->ordinal = ordinal;
        begin_walk(&w, c->cpu, linear, intent, user);
        TRY(walk_to_page(c, &w, gpa));
        TRY(check_rights(c, &w));
        stop = UNLIKELY(needs_marks(&w)) ? mark_entries(c, &w) : 0;
    } while (UNLIKELY(stop == ENTRY_CHANGED));
    return stop;
}

/* The n-th translation of an instruction stays what it was when the instruction first made it. */
static inline int logged_walk(context *c, uint64_t linear, unsigned intent, uint64_t *gpa)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t page = c->pages;
    if (UNLIKELY(page < c->pages_known && page < VMMKIT_LIMIT_PAGE_CAPACITY)) {
        *gpa = (cpu->page_gpa[page] & ~(uint64_t)(PAGE - 1)) | (linear & (PAGE - 1));
        c->ordinal = cpu->page_ordinal[page];
        c->pages++;
        return 0;
    }
    TRY(walk_tables(c, linear, intent, gpa));
    c->pages++;
    if (page < VMMKIT_LIMIT_PAGE_CAPACITY) {
        cpu->page_gpa[page] = *gpa;
        cpu->page_ordinal[page] = c->ordinal;
    }
    return 0;
}

static inline int translate(context *c, uint64_t linear, unsigned intent, uint64_t *gpa)
{
    *gpa = linear;
    if (LIKELY(!(c->cpu->cr0 & CR0_PG)))
        return 0;
    return logged_walk(c, linear, intent, gpa);
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
