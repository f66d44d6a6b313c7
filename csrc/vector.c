/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector.py. */

static int vector_lanes(context *c, const sources *from)
{
    unsigned lane = from->lane;
    vector a, b, result = {.q = {0}};
    TRY(load_source(c, from, from->width, touched(from), &b));
    read_first(c, from, &a);
    for (unsigned place = 0; place < from->width / lane; place++)
        set_lane(&result, lane, place,
                 lane_result(from->operation->function, lane_at(&a, lane, place),
                             lane_at(&b, lane, place), 8 * lane));
    if (operand_file(c, 0) & AS_MASK)
        return write_mask_result(c, from, &result);
    return write_result(c, from, &result);
}

static int vector_counts(context *c, const sources *from)
{
    unsigned lane = from->lane, size = operand_size(c, from->last);
    unsigned function =
        from->operation->function - VMMKIT_VECTOR_SHIFT_ALL_LEFT + VMMKIT_VECTOR_SHIFT_LEFT;
    uint64_t count = (uint64_t)c->insn->immediate & 0xFF;
    vector value, result = {.q = {0}};
    if (has_immediate(c)) {
        TRY(load_source(c, from, from->width, suppressed(from), &value));
    } else {
        TRY(load_source(c, from, size, bytes_up_to(size), &value));
        count = value.q[0];
        read_first(c, from, &value);
    }
    for (unsigned place = 0; place < from->width / lane; place++)
        set_lane(&result, lane, place,
                 lane_result(function, lane_at(&value, lane, place), count, 8 * lane));
    return write_result(c, from, &result);
}

static int vector_blocks(context *c, const sources *from)
{
    unsigned lane = from->lane, size = operand_size(c, from->last);
    unsigned step = from->width < 16 ? from->width : 16;
    block one = {.lane = lane, .count = step / lane, .imm = (unsigned)c->insn->immediate & 0xFF};
    vector a, b, result = {.q = {0}};
    size = size && size < from->width ? size : from->width;
    TRY(load_source(c, from, size, bytes_up_to(size), &b));
    read_first(c, from, &a);
    for (unsigned at = 0; at < from->width; at += step, one.number++) {
        memcpy(&one.a, a.b + at, step);
        memcpy(&one.b, b.b + at, step);
        for (unsigned place = 0; place < one.count; place++)
            set_lane(&result, lane, at / lane + place,
                     block_lane(from->operation->function, &one, place));
    }
    return write_result(c, from, &result);
}

static void cut(vector *value, unsigned size)
{
    memset(value->b + size, 0, sizeof *value - size);
}

static int vector_move(context *c, sources *from)
{
    unsigned size = operand_size(c, 1);
    uint64_t enabled;
    vector value;
    size = size < from->width ? size : from->width;
    enabled = c->insn->mask & 7 ? suppressed(from) : bytes_up_to(size);
    TRY(load_source(c, from, size, enabled, &value));
    cut(&value, size);
    if (names_memory(c, 0))
        return store_operand(c, from->operation, size, enabled, &value);
    if (!(operand_file(c, 0) & (AS_MMX | AS_GENERAL)) && from->width < 16)
        from->width = 16;
    return write_result(c, from, &value);
}

static int vector_broadcast(context *c, const sources *from)
{
    unsigned size = operand_file(c, 1) & AS_GENERAL ? from->lane : operand_size(c, 1);
    unsigned lanes = size > from->lane ? size / from->lane : 1;
    uint64_t needed = from->enabled;
    vector value, result = {.q = {0}};
    for (unsigned at = lanes; at < from->width / from->lane; at += lanes)
        needed |= from->enabled >> at;
    TRY(load_source(c, from, size, spread(needed, from->lane) & bytes_up_to(size), &value));
    for (unsigned at = 0; at < from->width; at += size)
        memcpy(result.b + at, value.b, size);
    return write_result(c, from, &result);
}

static int vector_extend(context *c, const sources *from)
{
    unsigned size = operand_size(c, 1), narrow = size * from->lane / from->width;
    int signs = from->operation->function == VMMKIT_VECTOR_EXTEND_SIGNED;
    vector value, result = {.q = {0}};
    TRY(load_source(c, from, size, spread(from->enabled, narrow), &value));
    for (unsigned place = 0; place < from->width / from->lane; place++) {
        uint64_t number = lane_at(&value, narrow, place);
        set_lane(&result, from->lane, place, signs ? extended(number, 8 * narrow) : number);
    }
    return write_result(c, from, &result);
}

static int vector_permute(context *c, const sources *from)
{
    unsigned lane = from->lane, count = from->width / lane;
    vector a, b, result = {.q = {0}};
    TRY(load_source(c, from, from->width, bytes_up_to(from->width), &b));
    read_first(c, from, &a);
    for (unsigned place = 0; place < count; place++) {
        unsigned at = (unsigned)lane_at(&a, lane, place) & (count - 1);
        if (has_immediate(c))
            at = (place & ~3u) | ((unsigned)c->insn->immediate >> 2 * (place & 3) & 3);
        set_lane(&result, lane, place, lane_at(&b, lane, at));
    }
    return write_result(c, from, &result);
}

static int vector_insert(context *c, const sources *from)
{
    unsigned size = operand_size(c, from->last);
    unsigned at = size * ((unsigned)c->insn->immediate & (from->width / size - 1));
    vector a, value;
    TRY(load_source(c, from, size, bytes_up_to(size), &value));
    read_first(c, from, &a);
    memcpy(a.b + at, value.b, size);
    return write_result(c, from, &a);
}

static int vector_extract(context *c, const sources *from)
{
    unsigned kind = c->row->kinds[0], width = operand_size(c, 1), size = from->lane;
    vector value, part = {.q = {0}};
    if (kind == VMMKIT_KIND_E || kind == VMMKIT_KIND_W)
        size = operand_size(c, 0);
    read_register_operand(c, 1, width, &value);
    memcpy(&part, value.b + size * ((unsigned)c->insn->immediate & (width / size - 1)), size);
    if (names_memory(c, 0)) {
        uint64_t enabled = c->insn->mask & 7 ? suppressed(from) : bytes_up_to(size);
        return store_part(c, from->operation, size, enabled, &part);
    }
    return write_result(c, from, &part);
}

static int vector_sign_mask(context *c, const sources *from)
{
    unsigned width = operand_size(c, 1);
    vector value, bits = {.q = {0}};
    read_register_operand(c, 1, width, &value);
    bits.q[0] = signs_of(&value, from->lane, width);
    write_register_operand(c, 0, 8, &bits);
    return 0;
}

static int vector_whole(context *c, sources *from)
{
    switch (from->operation->function) {
    case VMMKIT_VECTOR_MOVE:
        return vector_move(c, from);
    case VMMKIT_VECTOR_BROADCAST:
        return vector_broadcast(c, from);
    case VMMKIT_VECTOR_EXTEND_SIGNED:
    case VMMKIT_VECTOR_EXTEND_ZERO:
        return vector_extend(c, from);
    case VMMKIT_VECTOR_PERMUTE:
        return vector_permute(c, from);
    case VMMKIT_VECTOR_INSERT:
        return vector_insert(c, from);
    case VMMKIT_VECTOR_EXTRACT:
        return vector_extract(c, from);
    case VMMKIT_VECTOR_SIGN_MASK:
        return vector_sign_mask(c, from);
    default:
        return vector_select(c, from);
    }
}

static int vector_result(context *c, const vector_operation *operation)
{
    sources from;
    if (operation->family == VMMKIT_FAMILY_PARTS)
        return vector_part(c, operation);
    if (operation->family == VMMKIT_FAMILY_OPMASKS)
        return execute_opmask(c, operation);
    find_sources(c, operation, &from);
    switch (operation->family) {
    case VMMKIT_FAMILY_LANES:
        return vector_lanes(c, &from);
    case VMMKIT_FAMILY_COUNTS:
        return vector_counts(c, &from);
    case VMMKIT_FAMILY_BLOCKS:
        return vector_blocks(c, &from);
    default:
        return vector_whole(c, &from);
    }
}

static NOINLINE int execute_vector(context *c)
{
    const vector_operation *operation = &vector_operations[c->row->op];
    TRY(check_vector_state(c, operation));
    TRY(vector_result(c, operation));
    if (all_files(c) & AS_MMX)
        enter_mmx(c);
    return 0;
}
