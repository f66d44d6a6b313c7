/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_paging.py. */

#define ENTRY_P 1u
#define ENTRY_RW 2u
#define ENTRY_US 4u
#define ENTRY_PS 0x80u
#define ENTRY_XD ((uint64_t)1 << 63)
#define ENTRY_ADDRESS 0x000FFFFFFFFFF000u

enum { ERROR_P = 1, ERROR_W = 2, ERROR_U = 4, ERROR_RSVD = 8, ERROR_I = 16 };
static const uint64_t large_reserved[6] = {0, 0, 0x1FE000, 0x3FFFE000, ENTRY_PS, ENTRY_PS};

typedef struct {
    context *c;
    uint64_t linear;
    unsigned error;
    int write, fetch, user, nxe;
} walk;

static inline walk begin_walk(context *c, uint64_t linear, unsigned intent)
{
    walk w = {c, linear, 0, 0, 0, 0, 0};
    w.write = (intent & INTENT_WRITE) != 0;
    w.fetch = (intent & INTENT_FETCH) != 0;
    w.user = c->cpl == 3 && !(intent & INTENT_SYSTEM);
    w.nxe = (c->cpu->efer & EFER_NXE) != 0;
    w.error = (w.write ? ERROR_W : 0u) | (w.user ? ERROR_U : 0u);
    if (w.fetch && w.nxe)
        w.error |= ERROR_I;
    return w;
}

static int walk_fault(const walk *w, unsigned error)
{
    return fault(w->c, PAGE_FAULT, w->error | error, w->linear);
}

static inline int check_entry(const walk *w, uint64_t entry, int level)
{
    uint64_t reserved = 0;
    if (!(entry & ENTRY_P))
        return walk_fault(w, 0);
    if (entry & ENTRY_PS && level > 1)
        reserved = large_reserved[level];
    if (entry & (reserved | (w->nxe ? 0 : ENTRY_XD)))
        return walk_fault(w, ERROR_P | ERROR_RSVD);
    return 0;
}

static inline int check_rights(const walk *w, uint64_t all_of, uint64_t any_of)
{
    int wp = (w->c->cpu->cr0 & CR0_WP) != 0;
    int denied = (w->user && !(all_of & ENTRY_US)) ||
                 (w->write && !(all_of & ENTRY_RW) && (w->user || wp)) ||
                 (w->fetch && any_of & ENTRY_XD);
    return denied ? walk_fault(w, ERROR_P) : 0;
}

static NOINLINE int walk_tables(context *c, uint64_t linear, unsigned intent, uint64_t *gpa)
{
    walk w = begin_walk(c, linear, intent);
    uint64_t table = c->cpu->cr3 & ENTRY_ADDRESS, all_of = ENTRY_RW | ENTRY_US, any_of = 0, offset;
    int level = c->cpu->cr4 & CR4_LA57 ? 5 : 4;
    unsigned shift;
    for (;;) {
        uint64_t entry;
        shift = 12 + 9 * (unsigned)(level - 1);
        TRY(load_physical(c, table + (linear >> shift & 511) * 8, 8, &entry));
        TRY(check_entry(&w, entry, level));
        all_of &= entry;
        any_of |= entry;
        table = entry & ENTRY_ADDRESS;
        if (level == 1 || entry & ENTRY_PS)
            break;
        level--;
    }
    TRY(check_rights(&w, all_of, any_of));
    offset = ((uint64_t)1 << shift) - 1;
    *gpa = (table & ~offset) | (linear & offset);
    return 0;
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
    if (!(c->cpu->efer & EFER_LMA))
        return unsupported(c, VMMKIT_UNSUPPORTED_PAGING_MODE, linear);
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
