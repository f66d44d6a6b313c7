/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_page_modes.py. */

#define ENTRY_P 1u
#define ENTRY_RW 2u
#define ENTRY_US 4u
#define ENTRY_A 0x20u
#define ENTRY_D 0x40u
#define ENTRY_PS 0x80u
#define ENTRY_XD ((uint64_t)1 << 63)
#define ENTRY_ADDRESS 0x000FFFFFFFFFF000u
#define ENTRY_62_52 0x7FF0000000000000u
#define PDPTE_RESERVED (ENTRY_XD | 0x1E6u)
#define PDPTE_GRANTS (ENTRY_RW | ENTRY_US | ENTRY_A)
#define PSE_HIGH 0x1FE000u
#define PSE_RESERVED 0x3FE000u

enum { LEAST_PHYSICAL = 32, MOST_PHYSICAL = 52, PSE_PHYSICAL = 40, PSE_HIGH_SHIFT = 19 };
enum { KEY_SHIFT = 59, MOST_LEVELS = 5 };
enum { ERROR_P = 1, ERROR_W = 2, ERROR_U = 4, ERROR_RSVD = 8, ERROR_I = 16, ERROR_PK = 32 };

enum { MODE_32, MODE_PAE, MODE_4, MODE_5 };
static const struct {
    unsigned levels, entry_size, index_bits;
    uint64_t root;
} page_modes[] = {
    {2, 4, 10, 0xFFFFF000u},
    {3, 8, 9, 0xFFFFFFE0u},
    {4, 8, 9, ENTRY_ADDRESS},
    {5, 8, 9, ENTRY_ADDRESS},
};
static const uint64_t large_reserved[6] = {0, 0, 0x1FE000, 0x3FFFE000, ENTRY_PS, ENTRY_PS};

typedef struct {
    const vmmkit_cpu *cpu;
    uint64_t linear, reserved, all_of, any_of, last;
    uint64_t entry[MOST_LEVELS], entry_gpa[MOST_LEVELS];
    const uint8_t *page[MOST_LEVELS]; /* of each entry, NULL for a device */
    unsigned intent, error, entries;
    int mode, user;
} walk;

static inline int current_page_mode(const vmmkit_cpu *cpu)
{
    if (LIKELY(cpu->efer & EFER_LMA))
        return cpu->cr4 & CR4_LA57 ? MODE_5 : MODE_4;
    return cpu->cr4 & CR4_PAE ? MODE_PAE : MODE_32;
}

static inline unsigned physical_bits(const vmmkit_cpu *cpu)
{
    if (cpu->maxphyaddr < LEAST_PHYSICAL)
        return LEAST_PHYSICAL;
    return cpu->maxphyaddr > MOST_PHYSICAL ? MOST_PHYSICAL : (unsigned)cpu->maxphyaddr;
}

static inline uint64_t bits_from(unsigned bit)
{
    return 0 - ((uint64_t)1 << bit);
}

static inline uint64_t reserved_always(const vmmkit_cpu *cpu, int mode)
{
    uint64_t reserved = ENTRY_ADDRESS & bits_from(physical_bits(cpu));
    if (mode == MODE_32)
        return 0;
    if (mode == MODE_PAE)
        reserved |= ENTRY_62_52;
    return cpu->efer & EFER_NXE ? reserved : reserved | ENTRY_XD;
}

static uint64_t reserved_in_large(const walk *w, unsigned level)
{
    unsigned physical = physical_bits(w->cpu);
    if (w->mode != MODE_32)
        return large_reserved[level];
    if (physical > PSE_PHYSICAL)
        physical = PSE_PHYSICAL;
    return PSE_RESERVED & bits_from(physical - PSE_HIGH_SHIFT);
}

static inline unsigned walk_error(const vmmkit_cpu *cpu, unsigned intent, int user)
{
    unsigned error = (intent & INTENT_WRITE ? ERROR_W : 0u) | (user ? ERROR_U : 0u);
    int nxe = cpu->cr4 & CR4_PAE && cpu->efer & EFER_NXE;
    if (intent & INTENT_FETCH && (cpu->cr4 & CR4_SMEP || nxe))
        error |= ERROR_I;
    return error;
}

static inline void begin_walk(walk *w, const vmmkit_cpu *cpu, uint64_t linear, unsigned intent,
                              int user)
{
    w->cpu = cpu;
    w->linear = linear;
    w->intent = intent;
    w->user = user;
    w->mode = current_page_mode(cpu);
    w->reserved = reserved_always(cpu, w->mode);
    w->error = walk_error(cpu, intent, user);
}

static int walk_fault(context *c, const walk *w, unsigned error)
{
    return fault(c, PAGE_FAULT, w->error | error, w->linear);
}

static inline int has_large_pages(const walk *w, int mode)
{
    return mode != MODE_32 || w->cpu->cr4 & CR4_PSE;
}

static inline int is_pdpte(int mode, unsigned level)
{
    return level == 3 && mode == MODE_PAE;
}

static ALWAYS_INLINE int check_entry(context *c, const walk *w, int mode, uint64_t entry,
                                     unsigned level, int large)
{
    uint64_t reserved = w->reserved;
    if (UNLIKELY(!(entry & ENTRY_P)))
        return walk_fault(c, w, 0);
    if (is_pdpte(mode, level))
        reserved |= PDPTE_RESERVED;
    else if (large)
        reserved |= reserved_in_large(w, level);
    return UNLIKELY(entry & reserved) ? walk_fault(c, w, ERROR_P | ERROR_RSVD) : 0;
}

/* `mode` is w->mode, as a constant: the compiler makes one walk of this for each mode. */
static ALWAYS_INLINE int walk_levels(context *c, walk *w, int mode, uint64_t *gpa)
{
    const unsigned size = page_modes[mode].entry_size, bits = page_modes[mode].index_bits;
    const uint64_t last_index = ((uint64_t)1 << bits) - 1;
    uint64_t table = w->cpu->cr3 & page_modes[mode].root, linear = w->linear, entry, offset;
    uint64_t all_of = ENTRY_RW | ENTRY_US | ENTRY_A, any_of = 0;
    unsigned level = page_modes[mode].levels, entries = 0, shift;
    int large;
    for (;;) {
        uint64_t place;
        shift = 12 + bits * (level - 1);
        place = table + (linear >> shift & last_index) * size;
        TRY(load_entry(c, place, size, &entry, &w->page[entries]));
        w->entry_gpa[entries] = place;
        w->entry[entries++] = entry;
        large = level > 1 && entry & ENTRY_PS && has_large_pages(w, mode);
        TRY(check_entry(c, w, mode, entry, level, large));
        all_of &= entry | (is_pdpte(mode, level) ? PDPTE_GRANTS : 0);
        any_of |= entry;
        if (large || level == 1)
            break;
        table = entry & ENTRY_ADDRESS;
        level--;
    }
    w->last = entry;
    w->all_of = all_of;
    w->any_of = any_of;
    w->entries = entries;
    offset = ((uint64_t)1 << shift) - 1;
    *gpa = (entry & ENTRY_ADDRESS & ~offset) | (linear & offset);
    if (large && mode == MODE_32)
        *gpa |= (entry & PSE_HIGH) << PSE_HIGH_SHIFT;
    return 0;
}

static inline int walk_to_page(context *c, walk *w, uint64_t *gpa)
{
    switch (w->mode) {
    case MODE_32:
        return walk_levels(c, w, MODE_32, gpa);
    case MODE_PAE:
        return walk_levels(c, w, MODE_PAE, gpa);
    case MODE_4:
        return walk_levels(c, w, MODE_4, gpa);
    default:
        return walk_levels(c, w, MODE_5, gpa);
    }
}

static inline int is_strict(const walk *w)
{
    return w->user || w->cpu->cr0 & CR0_WP;
}

static inline int supervisor_is_kept_out(const walk *w)
{
    uint64_t cr4 = w->cpu->cr4;
    if (w->intent & INTENT_FETCH)
        return (cr4 & CR4_SMEP) != 0;
    return cr4 & CR4_SMAP && (w->intent & INTENT_SYSTEM || !(w->cpu->rflags & RFLAGS_AC));
}

static inline int rights_deny(const walk *w)
{
    int user_page = (w->all_of & ENTRY_US) != 0;
    if (w->user && !user_page)
        return 1;
    if (!w->user && user_page && supervisor_is_kept_out(w))
        return 1;
    if (w->intent & INTENT_WRITE)
        return !(w->all_of & ENTRY_RW) && is_strict(w);
    return w->intent & INTENT_FETCH && w->any_of & ENTRY_XD;
}

static inline int key_denies(const walk *w)
{
    uint64_t rights;
    if (LIKELY(!(w->cpu->cr4 & CR4_PKE)) || w->intent & INTENT_FETCH || !(w->all_of & ENTRY_US))
        return 0;
    if (page_modes[w->mode].levels < page_modes[MODE_4].levels)
        return 0;
    rights = w->cpu->pkru >> 2 * (w->last >> KEY_SHIFT & 15);
    return rights & 1 || (rights & 2 && w->intent & INTENT_WRITE && is_strict(w));
}

static inline int check_rights(context *c, const walk *w)
{
    int keyed = key_denies(w);
    if (UNLIKELY(keyed || rights_deny(w)))
        return walk_fault(c, w, ERROR_P | (keyed ? ERROR_PK : 0));
    return 0;
}

static inline int needs_marks(const walk *w)
{
    uint64_t dirty = w->intent & INTENT_WRITE ? ENTRY_D : 0;
    return !(w->all_of & ENTRY_A) || (w->last & dirty) != dirty;
}
