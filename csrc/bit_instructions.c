/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_bit_instructions.py. */

static inline int locate_bit(context *c, uint64_t offset, target *where)
{
    unsigned size = c->insn->operand_size, operand_shift = size == 8 ? 6 : size == 4 ? 5 : 4;
    uint64_t moved;
    if (c->insn->modrm >= 0xC0 || c->row->kinds[1] == VMMKIT_KIND_I)
        return locate_target(c, 0, where);
    moved = effective_address(c, NULL) +
            shift_signed(sign_extended(offset, size), operand_shift) * size;
    where->reg = -1;
    return locate(c, c->insn->segment, moved & mask_of(c->insn->address_size), size,
                  c->row->access & WRITTEN, &where->memory);
}

static inline uint64_t changed_bit(unsigned op, uint64_t value, uint64_t bit)
{
    switch (op) {
    case VMMKIT_OP_BTS:
        return value | bit;
    case VMMKIT_OP_BTR:
        return value & ~bit;
    default:
        return value ^ bit;
    }
}

static inline int execute_bit_test(context *c, unsigned op)
{
    unsigned size = c->insn->operand_size;
    uint64_t offset, value, bit;
    target where;
    TRY(value_of(c, 1, size, &offset));
    TRY(locate_bit(c, offset, &where));
    TRY(read_target(c, &where, size, &value));
    bit = (uint64_t)1 << (offset % (8 * size));
    if (op != VMMKIT_OP_BT)
        TRY(write_target(c, &where, size, changed_bit(op, value, bit)));
    set_status(c, value & bit ? CF : 0, CF);
    return 0;
}

static inline int execute_scan(context *c, unsigned op)
{
    unsigned size = c->insn->operand_size;
    uint64_t value;
    TRY(value_of(c, 1, size, &value));
    if (value)
        write_register(c, modrm_reg(c), size,
                       op == VMMKIT_OP_BSF ? lowest_bit(value) : highest_bit(value));
    set_status(c, value ? 0 : ZF, ZF);
    return 0;
}

static inline outcome bits_of_one(unsigned op, uint64_t value, unsigned size)
{
    switch (op) {
    case VMMKIT_OP_TZCNT:
        return count_trailing(value, size);
    case VMMKIT_OP_LZCNT:
        return count_leading(value, size);
    case VMMKIT_OP_POPCNT:
        return population(value);
    case VMMKIT_OP_BLSR:
        return lowest_reset(value, size);
    case VMMKIT_OP_BLSMSK:
        return lowest_mask(value, size);
    default:
        return lowest_isolated(value, size);
    }
}

static inline int execute_of_one(context *c, unsigned op, unsigned mask)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value;
    target where;
    outcome out;
    TRY(value_of(c, 1, size, &value));
    TRY(locate_target(c, 0, &where));
    out = bits_of_one(op, value, size);
    TRY(write_target(c, &where, size, out.result));
    set_status(c, out.flags, mask);
    return 0;
}

static inline outcome bits_of_two(unsigned op, uint64_t first, uint64_t second, unsigned size)
{
    switch (op) {
    case VMMKIT_OP_ANDN:
        return logic(~first & second, size);
    case VMMKIT_OP_BEXTR:
        return bit_field(first, second, size);
    case VMMKIT_OP_BZHI:
        return zero_high(first, second, size);
    case VMMKIT_OP_PDEP:
        return (outcome){deposit(first, second), 0};
    case VMMKIT_OP_PEXT:
        return (outcome){extract(first, second), 0};
    case VMMKIT_OP_RORX:
        return (outcome){rotate_right(first, second, size), 0};
    case VMMKIT_OP_SARX:
        return (outcome){shift_right_signed(first, second, size), 0};
    case VMMKIT_OP_SHLX:
        return (outcome){shift_left(first, second, size), 0};
    default:
        return (outcome){shift_right(first, second, size), 0};
    }
}

static inline int execute_of_two(context *c, unsigned op, unsigned mask)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t first, second;
    target where;
    outcome out;
    TRY(value_of(c, 1, size, &first));
    TRY(value_of(c, 2, size, &second));
    TRY(locate_target(c, 0, &where));
    out = bits_of_two(op, first, second, size);
    TRY(write_target(c, &where, size, out.result));
    set_status(c, out.flags, mask);
    return 0;
}

static inline int execute_bswap(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t value;
    target where;
    TRY(locate_target(c, 0, &where));
    TRY(read_target(c, &where, size, &value));
    return write_target(c, &where, size, byte_swap(value, size));
}

static inline int execute_crc32(context *c)
{
    unsigned size = operand_bytes(c, 1), reg = modrm_reg(c);
    uint64_t value;
    TRY(value_of(c, 1, size, &value));
    value = crc32c(read_register(c, reg, 4), value, size);
    write_register(c, reg, operand_bytes(c, 0), value);
    return 0;
}
