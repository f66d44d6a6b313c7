/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_segments.py. */

static inline uint64_t *segment_words(context *c, int segment)
{
    return &c->cpu->segment[4 * segment];
}

static inline void begin_mode(context *c)
{
    uint64_t cs = segment_words(c, CS)[ATTRIBUTES];
    int virtual_86 = (c->cpu->rflags & RFLAGS_VM) != 0;
    int protected = (c->cpu->cr0 & CR0_PE) != 0;
    c->real = !protected || virtual_86;
    c->cpl = (unsigned)(segment_words(c, SS)[ATTRIBUTES] >> 5 & 3);
    if (c->real)
        c->cpl = protected ? 3 : 0;
    c->checks_alignment =
        c->cpl == 3 && c->cpu->cr0 & CR0_AM && c->cpu->rflags & RFLAGS_AC;
    c->paging = (c->cpu->cr0 & CR0_PG) != 0;
    c->flat = 0;
    c->canonical_bits = c->cpu->cr4 & CR4_LA57 ? 57 : 48;
    if (c->cpu->efer & EFER_LMA && cs & ATTR_L && !c->real)
        c->mode = 64;
    else
        c->mode = cs & ATTR_DB && !virtual_86 ? 32 : 16;
}

static int segment_fault(context *c, int segment)
{
    return fault(c, segment == SS ? STACK_FAULT : GP, 0, 0);
}

static inline int in_limit(uint64_t attributes, uint64_t limit, uint64_t offset, uint64_t last)
{
    int expand_down = (attributes & (TYPE_CODE | TYPE_EXPAND_DOWN)) == TYPE_EXPAND_DOWN;
    if (expand_down && attributes & ATTR_S)
        return limit < offset && last <= (attributes & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu);
    return last <= limit;
}

static inline int check_type(context *c, uint64_t attributes, int segment, int write)
{
    int code = (attributes & TYPE_CODE) != 0;
    int writable = (attributes & TYPE_WRITABLE) != 0; /* of code: readable */
    if (attributes & ATTR_UNUSABLE)
        return segment_fault(c, segment);
    if (write ? code || !writable : code && !writable)
        return fault(c, GP, 0, 0);
    return 0;
}

static const uint8_t alignment_masks[17] = {[2] = 1, [4] = 3, [6] = 3, [8] = 7, [10] = 3, [16] = 15};

static NOINLINE int check_alignment(context *c, uint64_t linear, unsigned size)
{
    return size <= 16 && linear & alignment_masks[size] ? fault(c, ALIGNMENT, 0, 0) : 0;
}

static inline int within_limit(context *c, int segment, uint64_t offset, unsigned size,
                               uint64_t *linear)
{
    const uint64_t *words = segment_words(c, segment);
    if (UNLIKELY(!in_limit(words[ATTRIBUTES], words[LIMIT], offset, offset + size - 1)))
        return segment_fault(c, segment);
    *linear = (words[BASE] + offset) & 0xFFFFFFFFu;
    return UNLIKELY(c->checks_alignment) ? check_alignment(c, *linear, size) : 0;
}

static inline int linear_address(context *c, int segment, uint64_t offset, unsigned size, int write,
                                 uint64_t *linear)
{
    const uint64_t *words = segment_words(c, segment);
    if (LIKELY(c->mode == 64)) {
        uint64_t base = segment == FS || segment == GS ? words[BASE] : 0;
        *linear = offset + base;
        if (UNLIKELY(!is_canonical(c, *linear) || !is_canonical(c, *linear + size - 1)))
            return segment_fault(c, segment);
        return UNLIKELY(c->checks_alignment) ? check_alignment(c, *linear, size) : 0;
    }
    if (!c->real)
        TRY(check_type(c, words[ATTRIBUTES], segment, write));
    return within_limit(c, segment, offset, size, linear);
}

static int flushed_address(context *c, int segment, uint64_t offset, uint64_t *linear)
{
    int unusable = (segment_words(c, segment)[ATTRIBUTES] & ATTR_UNUSABLE) != 0;
    if (c->mode == 64 || c->real || unusable)
        return linear_address(c, segment, offset, 1, 0, linear);
    return within_limit(c, segment, offset, 1, linear);
}

/* Linear address of the instruction. */
static uint64_t linear_rip(context *c)
{
    uint64_t rip = c->cpu->rip;
    return c->mode == 64 ? rip : (segment_words(c, CS)[BASE] + rip) & 0xFFFFFFFFu;
}

/* Of an instruction's own data, which breakpoints may watch. */
static inline int locate_data(context *c, uint64_t linear, unsigned size, int write, span *where)
{
    if (UNLIKELY(c->watched & WATCHES_DATA))
        watch(c, linear, size, write);
    return locate_linear(c, linear, size, write ? INTENT_WRITE : 0, where);
}

/* What locate would find for an operand within a page that is remembered, and canonical then. */
static ALWAYS_INLINE int find_flat(context *c, int segment, uint64_t offset, unsigned size,
                                   int write, span *where)
{
    if (!c->flat || segment == FS || segment == GS || (offset & (PAGE - 1)) > PAGE - size)
        return 0;
    where->count = 1;
    where->part[0].size = size;
    return find_page(c, offset, write ? INTENT_WRITE : 0, &where->part[0]);
}

static inline int locate(context *c, int segment, uint64_t offset, unsigned size, int write,
                         span *where)
{
    uint64_t linear;
    if (LIKELY(find_flat(c, segment, offset, size, write, where)))
        return 0;
    TRY(linear_address(c, segment, offset, size, write, &linear));
    return locate_data(c, linear, size, write, where);
}

static inline uint64_t stack_mask(context *c)
{
    if (c->mode == 64)
        return UINT64_MAX;
    return segment_words(c, SS)[ATTRIBUTES] & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu;
}

static inline int check_branch(context *c, uint64_t target)
{
    int bad = c->mode == 64 ? !is_canonical(c, target) : target > segment_words(c, CS)[LIMIT];
    return UNLIKELY(bad) ? fault(c, GP, 0, 0) : 0;
}

static void set_segment(context *c, int segment, uint64_t selector, uint64_t base, uint64_t limit,
                        uint64_t attributes)
{
    uint64_t *words = segment_words(c, segment);
    words[SELECTOR] = selector;
    words[BASE] = base;
    words[LIMIT] = limit;
    words[ATTRIBUTES] = attributes;
}

static int load_null(context *c, int segment, unsigned selector)
{
    if (segment == SS) {
        if (c->mode != 64 || c->cpl == 3 || (selector & 3) != c->cpl)
            return fault(c, GP, 0, 0);
        set_segment(c, SS, selector, 0, 0, ATTR_UNUSABLE | c->cpl << 5);
        return 0;
    }
    set_segment(c, segment, selector, 0, 0, ATTR_UNUSABLE);
    return 0;
}

/* Whether there is one. */
static int find_descriptor(context *c, unsigned selector, unsigned size, uint64_t *address)
{
    uint64_t base = c->cpu->gdtr_base, limit = c->cpu->gdtr_limit;
    if (selector & 4) {
        const uint64_t *words = segment_words(c, LDTR);
        if (words[ATTRIBUTES] & ATTR_UNUSABLE)
            return 0;
        base = words[BASE];
        limit = words[LIMIT];
    }
    if ((selector & 0xFFF8) + size - 1 > limit)
        return 0;
    *address = (base + (selector & 0xFFF8)) & mask_of(c->cpu->efer & EFER_LMA ? 8 : 4);
    return 1;
}

static int descriptor_address(context *c, unsigned selector, unsigned vector, unsigned size,
                              uint64_t *address)
{
    int found = find_descriptor(c, selector, size, address);
    return found ? 0 : fault(c, vector, selector & 0xFFFC, 0);
}

static int check_descriptor(context *c, int segment, unsigned selector, uint64_t rights)
{
    unsigned error = selector & 0xFFFC, dpl = (unsigned)(rights >> 5) & 3, rpl = selector & 3;
    int data = (rights & (ATTR_S | TYPE_CODE | TYPE_WRITABLE)) == (ATTR_S | TYPE_WRITABLE);
    int readable = rights & ATTR_S && (!(rights & TYPE_CODE) || rights & TYPE_WRITABLE);
    int conforming =
        (rights & (TYPE_CODE | TYPE_EXPAND_DOWN)) == (TYPE_CODE | TYPE_EXPAND_DOWN);
    if (segment == SS) {
        if (!data || rpl != c->cpl || dpl != c->cpl)
            return fault(c, GP, error, 0);
        return rights & ATTR_P ? 0 : fault(c, STACK_FAULT, error, 0);
    }
    if (!readable || (!conforming && (rpl > dpl || c->cpl > dpl)))
        return fault(c, GP, error, 0);
    return rights & ATTR_P ? 0 : fault(c, NP, error, 0);
}

static int locate_system(context *c, uint64_t linear, unsigned size, span *where)
{
    if (c->cpu->efer & EFER_LMA &&
        (!is_canonical(c, linear) || !is_canonical(c, linear + size - 1)))
        return fault(c, GP, 0, 0);
    return locate_linear(c, linear, size, INTENT_SYSTEM, where);
}

static int system_load(context *c, uint64_t linear, unsigned size, uint64_t *value)
{
    span where;
    TRY(locate_system(c, linear, size, &where));
    return load(c, &where, value);
}

static inline const uint8_t *host_of_byte(const span *where, unsigned place)
{
    const fragment *part = &where->part[place >= where->part[0].size];
    if (place >= where->part[0].size)
        place -= where->part[0].size;
    return part->host ? part->host + place : NULL;
}

/* Only where the mark goes to what was read can a difference be a lost race: page tables that
 * change, or lie at a device, may lead to another page this time. */
static int mark_accessed(context *c, const span *read, uint64_t address, uint64_t attributes)
{
    uint8_t rights = (uint8_t)attributes, marked = rights | TYPE_ACCESSED;
    span where;
    if (attributes & TYPE_ACCESSED)
        return 0;
    TRY(locate_linear(c, address + 5, 1, INTENT_SYSTEM | INTENT_WRITE, &where));
    if (!where.part[0].host || where.part[0].host != host_of_byte(read, 5))
        return store(c, &where, marked);
    return COMPARE_AND_SWAP(where.part[0].host, rights, marked) ? 0 : RACE_LOST;
}

static void unpack(uint64_t descriptor, uint64_t *base, uint64_t *limit, uint64_t *attributes)
{
    *base = (descriptor >> 16 & 0xFFFFFF) | descriptor >> 56 << 24;
    *limit = (descriptor & 0xFFFF) | (descriptor >> 32 & 0xF0000);
    *attributes = descriptor >> 40 & 0xF0FF;
    if (*attributes & ATTR_G)
        *limit = *limit << 12 | 0xFFF;
}

static NOINLINE int load_segment(context *c, int segment, unsigned selector)
{
    uint64_t address, descriptor, base, limit, attributes;
    span read;
    if (c->real) {
        segment_words(c, segment)[SELECTOR] = selector;
        segment_words(c, segment)[BASE] = (uint64_t)selector << 4;
        return 0;
    }
    if (!(selector & 0xFFFC))
        return load_null(c, segment, selector);
    TRY(descriptor_address(c, selector, GP, 8, &address));
    TRY(locate_system(c, address, 8, &read));
    TRY(load(c, &read, &descriptor));
    unpack(descriptor, &base, &limit, &attributes);
    TRY(check_descriptor(c, segment, selector, attributes));
    TRY(mark_accessed(c, &read, address, attributes));
    set_segment(c, segment, selector, base, limit, attributes | TYPE_ACCESSED);
    return 0;
}
