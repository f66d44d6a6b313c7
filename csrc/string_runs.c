/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_string_runs.py. */

/* One memory side of a string instruction; room is 0 for an element that crosses a page. */
typedef struct {
    span where;
    uint64_t room;
} side;

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t last_offset(context *c, int segment)
{
    const uint64_t *words = segment_words(c, segment);
    uint64_t last = mask_of(c->insn.address_size), attributes = words[ATTRIBUTES];
    if (LIKELY(c->mode == 64))
        return last;
    if ((attributes & (ATTR_S | TYPE_CODE | TYPE_EXPAND_DOWN)) == (ATTR_S | TYPE_EXPAND_DOWN))
        return least(last, attributes & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu);
    return least(last, words[LIMIT]);
}

static inline int locate_side(context *c, int segment, unsigned number, unsigned size, int write,
                              side *out)
{
    uint64_t offset = read_register(c, number, c->insn.address_size), in_page, behind;
    TRY(locate(c, segment, offset, size, write, &out->where));
    out->room = 0;
    if (UNLIKELY(out->where.count > 1))
        return 0;
    in_page = PAGE - (out->where.part[0].gpa & (PAGE - 1));
    behind = last_offset(c, segment) - offset; /* the element's own checks make it positive */
    out->room = (behind < in_page ? behind + 1 : in_page) / size;
    return 0;
}

/* Element by element, so that an overlap repeats what has just been written. */
static inline void copy_elements(uint8_t *to, const uint8_t *from, unsigned size, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        store_host(to + i * size, size, load_host(from + i * size, size));
}

static inline void fill_elements(uint8_t *to, uint64_t value, unsigned size, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        store_host(to + i * size, size, value);
}

/* The loops once for each size: the size is then known inside. */
#define EACH_SIZE(loop, to, what, size, count)                                                     \
    do {                                                                                           \
        if (size == 1)                                                                             \
            loop(to, what, 1, count);                                                              \
        else if (size == 2)                                                                        \
            loop(to, what, 2, count);                                                              \
        else if (size == 4)                                                                        \
            loop(to, what, 4, count);                                                              \
        else                                                                                       \
            loop(to, what, 8, count);                                                              \
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
    EACH_SIZE(copy_elements, to->host, from->host, size, count);
    *done = count;
    return 0;
}

static NOINLINE int fill_run(context *c, const side *target, uint64_t value, unsigned size,
                             uint64_t count, uint64_t *done)
{
    const fragment *to = &target->where.part[0];
    if (!to->host)
        return offer_block(c, VMMKIT_EXIT_BLOCK_WRITE, to->gpa, NO_RAM, size, count);
    EACH_SIZE(fill_elements, to->host, value, size, count);
    *done = count;
    return 0;
}
