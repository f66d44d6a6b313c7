/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_sources.py. */

typedef struct {
    const vector_operation *operation;
    unsigned lane, last, width;
    uint64_t enabled;
} sources;

static int has_immediate(const context *c)
{
    return c->row->immediates[0] != 0;
}

static void find_sources(const context *c, const vector_operation *operation, sources *from)
{
    from->operation = operation;
    from->lane = operation->lane;
    from->last = 3;
    while (c->row->kinds[from->last] == VMMKIT_KIND_NONE ||
           c->row->kinds[from->last] == VMMKIT_KIND_I)
        from->last--;
    from->width = operand_size(c, operand_file(c, 0) & AS_MASK ? 1 : 0);
    from->enabled = enabled_lanes(c, from->width > from->lane ? from->width / from->lane : 1);
}

static int load_source(context *c, const sources *from, unsigned size, uint64_t enabled,
                       vector *out)
{
    if (names_memory(c, from->last))
        return load_operand(c, from->operation, enabled, out);
    read_register_operand(c, from->last, size, out);
    return 0;
}

static void read_first(const context *c, const sources *from, vector *out)
{
    read_register_operand(c, from->last > 1 ? 1 : 0, from->width, out);
}

static uint64_t suppressed(const sources *from)
{
    return spread(from->enabled, from->lane);
}

static uint64_t touched(const sources *from)
{
    return from->operation->suppresses ? suppressed(from) : bytes_up_to(from->width);
}

static int write_result(context *c, const sources *from, vector *result)
{
    if (c->insn->mask & 7) {
        uint64_t through = suppressed(from);
        vector old = {.q = {0}};
        if (!(c->insn->mask & VMMKIT_MASK_Z))
            read_register_operand(c, 0, from->width, &old);
        for (unsigned place = 0; place < 64; place++)
            if (!(through >> place & 1))
                result->b[place] = old.b[place];
    }
    write_register_operand(c, 0, from->width, result);
    return 0;
}

static int write_mask_result(context *c, const sources *from, const vector *result)
{
    vector bits = {.q = {0}};
    for (unsigned place = 0; place < from->width / from->lane; place++)
        if (lane_at(result, from->lane, place))
            bits.q[0] |= (uint64_t)1 << place;
    bits.q[0] &= from->enabled;
    write_register_operand(c, 0, 8, &bits);
    return 0;
}
