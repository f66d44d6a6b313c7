/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_select.py. */

enum { LANE_LESS = 1, LANE_EQUAL = 2, LANE_GREATER = 4, BLOCK = 16 };

/* By the predicate of VPCMP: which orders it is true for. */
static const uint8_t predicates[8] = {2, 1, 3, 0, 5, 6, 4, 7};

static int load_two(context *c, const sources *from, vector *a, vector *b)
{
    TRY(load_source(c, from, from->width, touched(from), b));
    read_first(c, from, a);
    return 0;
}

static int vector_compare(context *c, const sources *from)
{
    unsigned bits = 8 * from->lane, true_for = predicates[immediate_byte(c) & 7];
    int signs = from->operation->function == VMMKIT_VECTOR_COMPARE_SIGNED;
    vector a, b, result = {.q = {0}};
    TRY(load_two(c, from, &a, &b));
    for (unsigned place = 0; place < from->width / from->lane; place++) {
        uint64_t x = lane_at(&a, from->lane, place), y = lane_at(&b, from->lane, place);
        if (signs) {
            x = ordered(x, bits);
            y = ordered(y, bits);
        }
        set_lane(&result, from->lane, place,
                 true_for & (x < y ? LANE_LESS : x == y ? LANE_EQUAL : LANE_GREATER));
    }
    return write_mask_result(c, from, &result);
}

static int vector_choose(context *c, const sources *from)
{
    uint64_t through = suppressed(from);
    vector a = {.q = {0}}, b;
    TRY(load_source(c, from, from->width, through, &b));
    if (!(c->insn->mask & VMMKIT_MASK_Z))
        read_first(c, from, &a);
    for (unsigned place = 0; place < from->width; place++)
        if (!(through >> place & 1))
            b.b[place] = a.b[place];
    write_register_operand(c, 0, from->width, &b);
    return 0;
}

static int vector_blend_by_signs(context *c, sources *from)
{
    int named = c->row->kinds[3] == VMMKIT_KIND_L;
    vector a, b, mask = {.q = {0}};
    from->last = named ? 2 : 1;
    if (named)
        read_register_operand(c, 3, from->width, &mask);
    else
        memcpy(&mask, c->cpu->vector, BLOCK);
    TRY(load_two(c, from, &a, &b));
    for (unsigned place = 0; place < from->width / from->lane; place++)
        if (lane_at(&mask, from->lane, place) >> (8 * from->lane - 1))
            set_lane(&a, from->lane, place, lane_at(&b, from->lane, place));
    return write_result(c, from, &a);
}

static int vector_ternary(context *c, const sources *from)
{
    unsigned imm = immediate_byte(c);
    vector high, middle, low, result = {.q = {0}};
    TRY(load_two(c, from, &middle, &low));
    read_register_operand(c, 0, from->width, &high);
    for (unsigned word = 0; word < from->width / 8; word++)
        for (unsigned number = 0; number < 8; number++) {
            uint64_t term = number & 4 ? high.q[word] : ~high.q[word];
            term &= number & 2 ? middle.q[word] : ~middle.q[word];
            term &= number & 1 ? low.q[word] : ~low.q[word];
            result.q[word] |= imm >> number & 1 ? term : 0;
        }
    return write_result(c, from, &result);
}

static int vector_align_lanes(context *c, const sources *from)
{
    unsigned count = from->width / from->lane, shift = immediate_byte(c) & (count - 1);
    vector a, b, result = {.q = {0}};
    TRY(load_two(c, from, &a, &b));
    for (unsigned place = 0; place < count; place++) {
        unsigned at = place + shift;
        const vector *source = at < count ? &b : &a;
        set_lane(&result, from->lane, place, lane_at(source, from->lane, at & (count - 1)));
    }
    return write_result(c, from, &result);
}

static int vector_shuffle_blocks(context *c, const sources *from)
{
    unsigned count = from->width / BLOCK, step = count / 2;
    vector a, b, result = {.q = {0}};
    TRY(load_two(c, from, &a, &b));
    for (unsigned place = 0; place < count; place++) {
        unsigned at = immediate_byte(c) >> step * place & (count - 1);
        memcpy(result.b + BLOCK * place, (place >= step ? b.b : a.b) + BLOCK * at, BLOCK);
    }
    return write_result(c, from, &result);
}

static int vector_permute_halves(context *c, const sources *from)
{
    vector a, b, result = {.q = {0}};
    TRY(load_two(c, from, &a, &b));
    for (unsigned half = 0; half < 2; half++) {
        unsigned control = immediate_byte(c) >> 4 * half;
        const uint8_t *source = (control & 2 ? b.b : a.b) + BLOCK * (control & 1);
        if (!(control & 8))
            memcpy(result.b + BLOCK * half, source, BLOCK);
    }
    return write_result(c, from, &result);
}

static int vector_permute_in_blocks(context *c, const sources *from)
{
    unsigned lane = from->lane, count = BLOCK / lane, imm = immediate_byte(c);
    vector a, b, result = {.q = {0}};
    TRY(load_two(c, from, &a, &b));
    for (unsigned place = 0; place < from->width / lane; place++) {
        unsigned control = (unsigned)lane_at(&b, lane, place);
        unsigned chosen = count == 4 ? control : control >> 1;
        if (has_immediate(c))
            chosen = count == 4 ? imm >> 2 * (place & 3) : imm >> place;
        chosen = (place & ~(count - 1)) + (chosen & (count - 1));
        set_lane(&result, lane, place, lane_at(has_immediate(c) ? &b : &a, lane, chosen));
    }
    return write_result(c, from, &result);
}

static int vector_permute_two(context *c, const sources *from)
{
    unsigned lane = from->lane, count = from->width / lane;
    int swapped = from->operation->function == VMMKIT_VECTOR_PERMUTE_BY_DESTINATION;
    vector a, b, old, result = {.q = {0}};
    TRY(load_two(c, from, &a, &b));
    read_register_operand(c, 0, from->width, &old);
    for (unsigned place = 0; place < count; place++) {
        unsigned at = (unsigned)lane_at(swapped ? &old : &a, lane, place) & (2 * count - 1);
        const vector *table = at >= count ? &b : swapped ? &a : &old;
        set_lane(&result, lane, place, lane_at(table, lane, at & (count - 1)));
    }
    return write_result(c, from, &result);
}

static int vector_insert_float(context *c, const sources *from)
{
    int memory = names_memory(c, from->last);
    unsigned imm = immediate_byte(c);
    vector a, b;
    TRY(load_source(c, from, memory ? 4 : BLOCK, bytes_up_to(4), &b));
    read_first(c, from, &a);
    a.d[imm >> 4 & 3] = b.d[memory ? 0 : imm >> 6];
    for (unsigned place = 0; place < 4; place++)
        if (imm >> place & 1)
            a.d[place] = 0;
    return write_result(c, from, &a);
}

static int vector_minimum_position(context *c, const sources *from)
{
    unsigned least = 0;
    vector b, result = {.q = {0}};
    TRY(load_source(c, from, BLOCK, bytes_up_to(BLOCK), &b));
    for (unsigned place = 1; place < 8; place++)
        if (b.w[place] < b.w[least])
            least = place;
    result.d[0] = b.w[least] | least << 16;
    return write_result(c, from, &result);
}

static uint64_t narrowed(unsigned function, uint64_t number, unsigned wide, unsigned narrow)
{
    if (function == VMMKIT_VECTOR_NARROW_SIGNED)
        return saturated(extended(number, 8 * wide), 8 * narrow);
    if (function == VMMKIT_VECTOR_NARROW_UNSIGNED && number > mask_of(narrow))
        return mask_of(narrow);
    return number;
}

static int vector_narrow(context *c, sources *from)
{
    unsigned length = c->insn->vector_length, size = operand_size(c, 0);
    unsigned lane = from->lane, narrow = size * lane / length;
    vector value, result = {.q = {0}};
    read_register_operand(c, 1, length, &value);
    for (unsigned place = 0; place < length / lane; place++)
        set_lane(&result, narrow, place,
                 narrowed(from->operation->function, lane_at(&value, lane, place), lane, narrow));
    from->enabled = enabled_lanes(c, length / lane);
    if (names_memory(c, 0))
        return store_operand(c, from->operation, size, spread(from->enabled, narrow), &result);
    from->lane = narrow;
    return write_result(c, from, &result);
}

static int vector_from_mask(context *c, const sources *from)
{
    vector mask, result = {.q = {0}};
    read_register_operand(c, 1, 8, &mask);
    for (unsigned place = 0; place < from->width / from->lane; place++)
        if (mask.q[0] >> place & 1)
            set_lane(&result, from->lane, place, UINT64_MAX);
    return write_result(c, from, &result);
}

static int vector_compress(context *c, const sources *from)
{
    unsigned lane = from->lane, width = from->width, size = 0;
    vector value, result = {.q = {0}};
    read_register_operand(c, 1, width, &value);
    if (!names_memory(c, 0) && c->insn->mask & 7 && !(c->insn->mask & VMMKIT_MASK_Z))
        read_register_operand(c, 0, width, &result);
    for (unsigned place = 0; place < width / lane; place++)
        if (from->enabled >> place & 1) {
            memcpy(result.b + size, value.b + lane * place, lane);
            size += lane;
        }
    if (names_memory(c, 0))
        return store_operand(c, from->operation, width, bytes_up_to(size), &result);
    write_register_operand(c, 0, width, &result);
    return 0;
}

static int vector_expand(context *c, const sources *from)
{
    unsigned lane = from->lane, size = 0;
    vector value, result = {.q = {0}};
    for (unsigned place = 0; place < from->width / lane; place++)
        size += from->enabled >> place & 1 ? lane : 0;
    TRY(load_source(c, from, from->width, bytes_up_to(size), &value));
    size = 0;
    for (unsigned place = 0; place < from->width / lane; place++)
        if (from->enabled >> place & 1) {
            memcpy(result.b + lane * place, value.b + size, lane);
            size += lane;
        }
    return write_result(c, from, &result);
}

static int vector_select(context *c, sources *from)
{
    switch (from->operation->function) {
    case VMMKIT_VECTOR_COMPARE_SIGNED:
    case VMMKIT_VECTOR_COMPARE_UNSIGNED:
        return vector_compare(c, from);
    case VMMKIT_VECTOR_CHOOSE:
        return vector_choose(c, from);
    case VMMKIT_VECTOR_BLEND_BY_SIGNS:
        return vector_blend_by_signs(c, from);
    case VMMKIT_VECTOR_TERNARY:
        return vector_ternary(c, from);
    case VMMKIT_VECTOR_ALIGN_LANES:
        return vector_align_lanes(c, from);
    case VMMKIT_VECTOR_SHUFFLE_BLOCKS:
        return vector_shuffle_blocks(c, from);
    case VMMKIT_VECTOR_PERMUTE_HALVES:
        return vector_permute_halves(c, from);
    case VMMKIT_VECTOR_PERMUTE_IN_BLOCKS:
        return vector_permute_in_blocks(c, from);
    case VMMKIT_VECTOR_PERMUTE_BY_DESTINATION:
    case VMMKIT_VECTOR_PERMUTE_BY_SOURCE:
        return vector_permute_two(c, from);
    case VMMKIT_VECTOR_INSERT_FLOAT:
        return vector_insert_float(c, from);
    case VMMKIT_VECTOR_MINIMUM_POSITION:
        return vector_minimum_position(c, from);
    case VMMKIT_VECTOR_FROM_MASK:
        return vector_from_mask(c, from);
    case VMMKIT_VECTOR_COMPRESS:
        return vector_compress(c, from);
    case VMMKIT_VECTOR_EXPAND:
        return vector_expand(c, from);
    default: /* NARROW and its kin */
        return vector_narrow(c, from);
    }
}
