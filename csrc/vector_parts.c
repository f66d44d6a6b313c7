/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_parts.py. */

static unsigned last_operand(const context *c)
{
    unsigned last = 3;
    while (c->row->kinds[last] == VMMKIT_KIND_NONE)
        last--;
    return last;
}

static void read_base(const context *c, vector *out)
{
    read_register_operand(c, last_operand(c) > 1 ? 1 : 0, 16, out);
}

static int move_scalar(context *c, const vector_operation *operation)
{
    unsigned lane = operation->lane, last = last_operand(c);
    int through = enabled_lanes(c, 1) != 0;
    uint64_t enabled = through ? bytes_up_to(lane) : 0;
    vector value, rest = {.q = {0}};
    if (names_memory(c, 0)) {
        read_register_operand(c, last, lane, &value);
        return store_operand(c, operation, lane, enabled, &value);
    }
    if (names_memory(c, last)) {
        TRY(load_operand(c, operation, enabled, &value));
    } else {
        read_register_operand(c, last, lane, &value);
        read_base(c, &rest);
    }
    if (!through) {
        if (c->insn->mask & VMMKIT_MASK_Z)
            memset(&value, 0, sizeof value);
        else
            read_register_operand(c, 0, lane, &value);
    }
    memcpy(&rest, &value, lane);
    write_register_operand(c, 0, 16, &rest);
    return 0;
}

static int move_half(context *c, const vector_operation *operation, unsigned high)
{
    vector value, base;
    if (names_memory(c, 0)) {
        read_register_operand(c, 1, 16, &value);
        value.q[0] = value.q[high];
        return store_operand(c, operation, 8, 0xFF, &value);
    }
    TRY(load_operand(c, operation, 0xFF, &value));
    read_base(c, &base);
    base.q[high] = value.q[0];
    write_register_operand(c, 0, 16, &base);
    return 0;
}

static int move_across(context *c, unsigned to_high)
{
    vector value, base;
    read_register_operand(c, last_operand(c), 16, &value);
    read_base(c, &base);
    base.q[to_high] = value.q[!to_high];
    write_register_operand(c, 0, 16, &base);
    return 0;
}

static int move_masked(context *c, const vector_operation *operation)
{
    unsigned width = c->insn->vector_length;
    uint64_t enabled;
    vector value;
    c->checks_alignment = 0;
    read_register_operand(c, 1, width, &value);
    enabled = spread(signs_of(&value, operation->lane, width), operation->lane);
    if (names_memory(c, 0)) {
        read_register_operand(c, 2, width, &value);
        return store_operand(c, operation, width, enabled, &value);
    }
    TRY(load_operand(c, operation, enabled, &value));
    for (unsigned place = 0; place < width; place++)
        if (!(enabled >> place & 1))
            value.b[place] = 0;
    write_register_operand(c, 0, width, &value);
    return 0;
}

static int move_masked_bytes(context *c)
{
    unsigned width = operand_size(c, 0);
    int segment = c->insn->segment >= 0 ? c->insn->segment : DS;
    uint64_t offset = c->cpu->gpr[RDI] & mask_of(c->insn->address_size);
    vector value, mask;
    wide_span where = {.elements = 1};
    read_register_operand(c, 0, width, &value);
    read_register_operand(c, 1, width, &mask);
    TRY(locate_bytes(c, segment, offset, bytes_up_to(width), 1, 1, &where));
    where.enabled = signs_of(&mask, 1, width);
    return store_span(c, &where, &value);
}

static int test_vector(context *c, const vector_operation *operation)
{
    unsigned width = operand_size(c, 0);
    uint64_t common = 0, outside = 0;
    vector a, b;
    if (names_memory(c, 1))
        TRY(load_operand(c, operation, bytes_up_to(width), &b));
    else
        read_register_operand(c, 1, width, &b);
    read_register_operand(c, 0, width, &a);
    for (unsigned word = 0; word < width / 8; word++) {
        if (operation->function == VMMKIT_VECTOR_TEST_SIGNS)
            b.q[word] &= operation->lane == 4 ? UINT64_C(0x8000000080000000) : (uint64_t)1 << 63;
        common |= a.q[word] & b.q[word];
        outside |= ~a.q[word] & b.q[word];
    }
    set_status(c, (common ? 0 : ZF) | (outside ? 0 : CF), STATUS);
    return 0;
}

static int zero_registers(context *c, unsigned first)
{
    for (unsigned number = 0; number < (c->mode == 64 ? 16 : 8); number++)
        memset(&c->cpu->vector[8 * number + first], 0, 8 * (8 - first));
    return 0;
}

static int vector_part(context *c, const vector_operation *operation)
{
    switch (operation->function) {
    case VMMKIT_VECTOR_SCALAR:
        return move_scalar(c, operation);
    case VMMKIT_VECTOR_LOW_HALF:
        return move_half(c, operation, 0);
    case VMMKIT_VECTOR_HIGH_HALF:
        return move_half(c, operation, 1);
    case VMMKIT_VECTOR_HIGH_TO_LOW:
        return move_across(c, 0);
    case VMMKIT_VECTOR_LOW_TO_HIGH:
        return move_across(c, 1);
    case VMMKIT_VECTOR_MASKED:
        return move_masked(c, operation);
    case VMMKIT_VECTOR_MASKED_BYTES:
        return move_masked_bytes(c);
    case VMMKIT_VECTOR_TEST:
    case VMMKIT_VECTOR_TEST_SIGNS:
        return test_vector(c, operation);
    case VMMKIT_VECTOR_EXPLICIT_INDEX:
    case VMMKIT_VECTOR_EXPLICIT_MASK:
    case VMMKIT_VECTOR_IMPLICIT_INDEX:
    case VMMKIT_VECTOR_IMPLICIT_MASK:
        return compare_strings(c, operation);
    case VMMKIT_VECTOR_GATHER:
        return gather(c, operation);
    case VMMKIT_VECTOR_ZERO_UPPER:
        return zero_registers(c, 2);
    default: /* ZERO_ALL */
        return zero_registers(c, 0);
    }
}
