/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_far_segments.py. */

enum { TYPE_WIDE = 8, MOST_STORES = 40 };

/* A segment as its descriptor says; address is the linear address of that. */
typedef struct {
    uint64_t selector;
    uint64_t base;
    uint64_t limit;
    uint64_t attributes;
    uint64_t address;
    uint64_t descriptor;
} far_segment;

/* A stack to push to or pop from, and the error code of its #SS. */
typedef struct {
    far_segment segment;
    uint64_t pointer;
    int wide;
    unsigned error;
} far_stack;

/* A call gate with 31 parameters stores the most: these, four values, two descriptors. */
typedef struct {
    stack_store store[MOST_STORES];
    unsigned count;
} far_stores;

static inline unsigned dpl_of(const far_segment *segment)
{
    return (unsigned)(segment->attributes >> 5) & 3;
}

static inline int is_conforming(const far_segment *segment)
{
    return (segment->attributes & TYPE_EXPAND_DOWN) != 0;
}

static inline uint64_t far_stack_mask(const far_stack *stack)
{
    if (stack->wide)
        return UINT64_MAX;
    return stack->segment.attributes & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu;
}

static inline int in_long_mode(const context *c)
{
    return (c->cpu->efer & EFER_LMA) != 0;
}

static int read_segment(context *c, unsigned selector, unsigned vector, far_segment *out)
{
    if (!(selector & 0xFFFC))
        return fault(c, vector, 0, 0);
    TRY(descriptor_address(c, selector, vector, 8, &out->address));
    TRY(system_load(c, out->address, 8, &out->descriptor));
    out->selector = selector;
    unpack(out->descriptor, &out->base, &out->limit, &out->attributes);
    return 0;
}

static inline int is_code(const far_segment *segment)
{
    return (segment->attributes & (ATTR_S | TYPE_CODE)) == (ATTR_S | TYPE_CODE);
}

static inline int is_wide(const context *c, const far_segment *segment)
{
    return in_long_mode(c) && segment->attributes & ATTR_L;
}

static int check_code(context *c, const far_segment *segment, unsigned lowest, unsigned highest)
{
    unsigned error = (unsigned)segment->selector & 0xFFFC, dpl = dpl_of(segment);
    uint64_t both = ATTR_L | ATTR_DB;
    int ambiguous = in_long_mode(c) && (segment->attributes & both) == both;
    if (!is_code(segment) || ambiguous || dpl > highest)
        return fault(c, GP, error, 0);
    if (dpl < lowest && !is_conforming(segment))
        return fault(c, GP, error, 0);
    return segment->attributes & ATTR_P ? 0 : fault(c, NP, error, 0);
}

static int check_offset(context *c, const far_segment *segment, uint64_t offset)
{
    int bad = is_wide(c, segment) ? !is_canonical(c, offset) : offset > segment->limit;
    return bad ? fault(c, GP, 0, 0) : 0;
}

/* The store that marks a descriptor as accessed; mark_accessed of segments.c stores at once. */
static int add_accessed(context *c, const far_segment *segment, far_stores *stores)
{
    stack_store *store = &stores->store[stores->count];
    if (segment->attributes & (TYPE_ACCESSED | ATTR_UNUSABLE))
        return 0;
    TRY(locate_linear(c, segment->address + 5, 1, INTENT_SYSTEM | INTENT_WRITE, &store->where));
    store->value = (segment->attributes & 0xFF) | TYPE_ACCESSED;
    stores->count++;
    return 0;
}

static void current_stack(context *c, far_stack *out)
{
    const uint64_t *words = segment_words(c, SS);
    out->segment = (far_segment){words[SELECTOR], words[BASE], words[LIMIT],
                                 words[ATTRIBUTES], 0, 0};
    out->pointer = c->cpu->gpr[RSP];
    out->wide = c->mode == 64;
    out->error = 0;
}

static int tss_stack(context *c, unsigned level, unsigned interrupt_stack, unsigned *selector,
                     uint64_t *pointer)
{
    const uint64_t *words = segment_words(c, TR);
    unsigned size = words[ATTRIBUTES] & TYPE_WIDE ? 4 : 2;
    unsigned offset = 2 * size * level + size, last = size + 1;
    uint64_t value;
    if (in_long_mode(c)) {
        offset = interrupt_stack ? 28 + 8 * interrupt_stack : 4 + 8 * level;
        size = 8;
        last = 7;
    }
    if (words[ATTRIBUTES] & ATTR_UNUSABLE || (uint64_t)offset + last > words[LIMIT])
        return fault(c, TS, (unsigned)words[SELECTOR] & 0xFFFC, 0);
    TRY(system_load(c, words[BASE] + offset, size, pointer));
    *selector = level;
    if (size == 8)
        return 0;
    TRY(system_load(c, words[BASE] + offset + size, 2, &value));
    *selector = (unsigned)value;
    return 0;
}

static int check_stack(context *c, const far_segment *segment, unsigned level, unsigned vector)
{
    unsigned error = (unsigned)segment->selector & 0xFFFC;
    int writable = (segment->attributes & (ATTR_S | TYPE_CODE | TYPE_WRITABLE)) ==
                   (ATTR_S | TYPE_WRITABLE);
    if ((segment->selector & 3) != level || dpl_of(segment) != level || !writable)
        return fault(c, vector, error, 0);
    return segment->attributes & ATTR_P ? 0 : fault(c, STACK_FAULT, error, 0);
}

static inline far_segment null_stack(unsigned level)
{
    return (far_segment){level, 0, 0, ATTR_UNUSABLE | level << 5, 0, 0};
}

static int inner_stack(context *c, unsigned level, unsigned interrupt_stack, far_stack *out)
{
    unsigned selector;
    TRY(tss_stack(c, level, interrupt_stack, &selector, &out->pointer));
    out->wide = in_long_mode(c);
    out->error = 0;
    out->segment = null_stack(level);
    if (out->wide)
        return 0;
    out->error = selector & 0xFFFC;
    TRY(read_segment(c, selector, TS, &out->segment));
    return check_stack(c, &out->segment, level, TS);
}

static int returned_code(context *c, unsigned selector, far_segment *out)
{
    unsigned level = selector & 3;
    TRY(read_segment(c, selector, GP, out));
    if (level < c->cpl)
        return fault(c, GP, selector & 0xFFFC, 0);
    return check_code(c, out, level, level);
}

static int returned_stack(context *c, const far_segment *code, unsigned selector, uint64_t pointer,
                          far_stack *out)
{
    unsigned level = (unsigned)code->selector & 3;
    out->pointer = pointer;
    out->wide = is_wide(c, code);
    out->error = 0;
    if (!(selector & 0xFFFC) && out->wide && level != 3 && (selector & 3) == level) {
        out->segment = null_stack(level);
        return 0;
    }
    TRY(read_segment(c, selector, GP, &out->segment));
    return check_stack(c, &out->segment, level, GP);
}

static int slot(context *c, const far_stack *stack, uint64_t offset, unsigned size, int write,
                span *where)
{
    const far_segment *segment = &stack->segment;
    uint64_t linear = (stack->pointer + offset) & far_stack_mask(stack), last = linear + size - 1;
    if (stack->wide) {
        if (!is_canonical(c, linear) || !is_canonical(c, last))
            return fault(c, STACK_FAULT, stack->error, 0);
    } else {
        if (!c->real)
            TRY(check_type(c, segment->attributes, SS, write));
        if (!in_limit(segment->attributes, segment->limit, linear, last))
            return fault(c, STACK_FAULT, stack->error, 0);
        linear = (segment->base + linear) & 0xFFFFFFFFu;
    }
    if (c->cpl == 3 && c->checks_alignment)
        TRY(check_alignment(c, linear, size));
    return locate_data(c, linear, size, write, where);
}

static void commit_code(context *c, const far_segment *segment, unsigned level, uint64_t offset)
{
    set_segment(c, CS, (segment->selector & ~(uint64_t)3) | level, segment->base, segment->limit,
                segment->attributes | TYPE_ACCESSED);
    c->next_rip = offset;
}

static void move_pointer(context *c, const far_stack *stack, uint64_t change)
{
    uint64_t mask = far_stack_mask(stack), *rsp = &c->cpu->gpr[RSP];
    uint64_t kept = mask == 0xFFFF ? ~mask : 0;
    *rsp = (*rsp & kept) | ((stack->pointer + change) & mask);
}

static void commit_stack(context *c, const far_stack *stack, uint64_t change)
{
    const far_segment *segment = &stack->segment;
    uint64_t accessed = segment->attributes & ATTR_UNUSABLE ? 0 : TYPE_ACCESSED;
    set_segment(c, SS, segment->selector, segment->base, segment->limit,
                segment->attributes | accessed);
    move_pointer(c, stack, change);
}

static int push_frame(context *c, const far_stack *stack, const uint64_t *values, unsigned count,
                      unsigned size, far_stores *stores)
{
    for (unsigned i = 0; i < count; i++) {
        stack_store *store = &stores->store[i];
        TRY(slot(c, stack, 0 - (uint64_t)size * (i + 1), size, 1, &store->where));
        store->value = values[i] & mask_of(size);
    }
    stores->count = count;
    return 0;
}

/* At most MOST_STORES values. */
static int pop_frame(context *c, const far_stack *stack, unsigned count, unsigned size,
                     unsigned skip, uint64_t *values)
{
    span where[MOST_STORES];
    for (unsigned i = 0; i < count; i++)
        TRY(slot(c, stack, skip + (uint64_t)size * i, size, 0, &where[i]));
    for (unsigned i = 0; i < count; i++)
        TRY(load(c, &where[i], &values[i]));
    return 0;
}

static void drop_data_segments(context *c, unsigned level)
{
    static const uint8_t dropped[4] = {ES, FS, GS, DS};
    for (unsigned i = 0; i < 4; i++) {
        uint64_t attributes = segment_words(c, dropped[i])[ATTRIBUTES];
        int conforming = attributes & TYPE_CODE && attributes & TYPE_EXPAND_DOWN;
        if (!(attributes & ATTR_UNUSABLE) && !conforming && (attributes >> 5 & 3) < level)
            set_segment(c, dropped[i], 0, 0, 0, ATTR_UNUSABLE);
    }
}

static void load_real_code(context *c, unsigned selector, uint64_t offset)
{
    segment_words(c, CS)[SELECTOR] = selector;
    segment_words(c, CS)[BASE] = (uint64_t)selector << 4;
    c->next_rip = offset;
}

static int check_real_offset(context *c, uint64_t offset)
{
    return offset > segment_words(c, CS)[LIMIT] ? fault(c, GP, 0, 0) : 0;
}
