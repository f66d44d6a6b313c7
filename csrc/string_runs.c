/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_string_runs.py. */

/* One memory side of a string instruction; run is how many elements may be done at once, or 0. */
typedef struct {
    span where;
    uint64_t run;
} side;

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline void segment_bounds(context *c, int segment, uint64_t *first, uint64_t *last)
{
    const uint64_t *words = segment_words(c, segment);
    uint64_t attributes = words[ATTRIBUTES];
    *first = 0;
    *last = mask_of(c->insn->address_size);
    if (LIKELY(c->mode == 64))
        return;
    if ((attributes & (ATTR_S | TYPE_CODE | TYPE_EXPAND_DOWN)) == (ATTR_S | TYPE_EXPAND_DOWN)) {
        *first = words[LIMIT] + 1;
        *last = least(*last, attributes & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu);
    } else {
        *last = least(*last, words[LIMIT]);
    }
}

/* The checks that the present element has passed put it within the bounds. */
static inline uint64_t room(context *c, int segment, uint64_t offset, uint64_t gpa, unsigned size)
{
    uint64_t first, last, below = gpa & (PAGE - 1), above = PAGE - below;
    segment_bounds(c, segment, &first, &last);
    if (c->cpu->rflags & DF)
        return least(below, offset - first) / size + 1;
    return (last - offset < above ? last - offset + 1 : above) / size;
}

static inline int locate_side(context *c, int segment, unsigned number, unsigned size, int write,
                              uint64_t most, side *out)
{
    uint64_t offset = read_register(c, number, c->insn->address_size);
    TRY(locate(c, segment, offset, size, write, &out->where));
    out->run = 0;
    if (most < 2 || out->where.count > 1)
        return 0;
    out->run = least(most, room(c, segment, offset, out->where.part[0].gpa, size));
    return 0;
}

/* Element by element, so that an overlap repeats what has just been written. */
static inline void copy_elements(uint8_t *to, const uint8_t *from, unsigned size, uint64_t count,
                                 int down)
{
    if (down)
        for (uint64_t i = 0; i < count; i++)
            store_host(to - i * size, size, load_host(from - i * size, size));
    else
        for (uint64_t i = 0; i < count; i++)
            store_host(to + i * size, size, load_host(from + i * size, size));
}

static inline void fill_elements(uint8_t *to, uint64_t value, unsigned size, uint64_t count,
                                 int down)
{
    if (down)
        to -= (count - 1) * size;
    for (uint64_t i = 0; i < count; i++)
        store_host(to + i * size, size, value);
}

/* The loops once for each size: the size is then known inside. */
#define EACH_SIZE(loop, to, what, size, count, down)                                               \
    do {                                                                                           \
        if (size == 1)                                                                             \
            loop(to, what, 1, count, down);                                                        \
        else if (size == 2)                                                                        \
            loop(to, what, 2, count, down);                                                        \
        else if (size == 4)                                                                        \
            loop(to, what, 4, count, down);                                                        \
        else                                                                                       \
            loop(to, what, 8, count, down);                                                        \
    } while (0)

static inline int offer_move(context *c, const fragment *from, const fragment *to, unsigned size,
                             uint64_t count)
{
    if (from->gpa / PAGE == to->gpa / PAGE)
        return 0;
    if (from->host)
        return offer_block(c, VMMKIT_EXIT_BLOCK_WRITE, to->gpa, from->gpa, size, count);
    if (to->host)
        return offer_block(c, VMMKIT_EXIT_BLOCK_READ, from->gpa, to->gpa, size, count);
    return 0;
}

static NOINLINE int move_run(context *c, const side *source, const side *target, unsigned size,
                             uint64_t count, uint64_t *done)
{
    const fragment *from = &source->where.part[0], *to = &target->where.part[0];
    if (!from->host || !to->host)
        return offer_move(c, from, to, size, count);
    EACH_SIZE(copy_elements, to->host, from->host, size, count, (c->cpu->rflags & DF) != 0);
    *done = count;
    return 0;
}

static NOINLINE int fill_run(context *c, const side *target, uint64_t value, unsigned size,
                             uint64_t *done)
{
    const fragment *to = &target->where.part[0];
    if (!to->host)
        return offer_block(c, VMMKIT_EXIT_BLOCK_WRITE, to->gpa, NO_RAM, size, target->run);
    EACH_SIZE(fill_elements, to->host, value, size, target->run, (c->cpu->rflags & DF) != 0);
    *done = target->run;
    return 0;
}

static inline int offer_port(context *c, int kind, unsigned port, const side *ram, unsigned size)
{
    const fragment *part = &ram->where.part[0];
    return ram->run > 1 && part->host ? offer_block(c, kind, port, part->gpa, size, ram->run) : 0;
}
