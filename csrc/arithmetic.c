/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_arithmetic.py. */

static inline int execute_shift(context *c, unsigned op)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value, count;
    target where;
    shifted out;
    TRY(locate_target(c, 0, &where));
    TRY(value_of(c, 1, 1, &count));
    TRY(read_target(c, &where, size, &value));
    out = shift(op, value, shift_count(count, size), (unsigned)c->cpu->rflags & CF, size);
    TRY(write_target(c, &where, size, out.result));
    set_status(c, out.flags, out.mask);
    return 0;
}

static inline int execute_double_shift(context *c, unsigned op)
{
    unsigned size = c->insn->operand_size;
    uint64_t value, filler, count;
    target where;
    shifted out;
    TRY(locate_target(c, 0, &where));
    TRY(value_of(c, 1, size, &filler));
    TRY(value_of(c, 2, 1, &count));
    TRY(read_target(c, &where, size, &value));
    out = double_shift(op, value, filler, shift_count(count, size), size);
    TRY(write_target(c, &where, size, out.result));
    set_status(c, out.flags, out.mask);
    return 0;
}

static inline void write_pair(context *c, unsigned size, uint64_t low, uint64_t high)
{
    if (size == 1) {
        write_register(c, RAX, 2, high << 8 | low);
        return;
    }
    write_register(c, RAX, size, low);
    write_register(c, RDX, size, high);
}

static inline int execute_multiply(context *c, unsigned op)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value, other;
    product p;
    TRY(value_of(c, 0, size, &value));
    other = read_register(c, RAX, size);
    p = op == VMMKIT_OP_MUL ? multiply_unsigned(other, value, size)
                            : multiply_signed(other, value, size);
    write_pair(c, size, p.low, p.high);
    set_status(c, p.flags, STATUS);
    return 0;
}

static inline int execute_imul(context *c, unsigned op)
{
    const uint8_t *kinds = c->row->kinds;
    unsigned size = c->insn->operand_size;
    int first = kinds[2] ? 1 : 0;
    uint64_t left, right;
    product p;
    if (!kinds[1])
        return execute_multiply(c, op);
    TRY(value_of(c, first, size, &left));
    TRY(value_of(c, first + 1, size, &right));
    p = multiply_signed(left, right, size);
    write_register(c, modrm_reg(c), size, p.low);
    set_status(c, p.flags, STATUS);
    return 0;
}

static inline int execute_mulx(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value;
    product p;
    TRY(value_of(c, 2, size, &value));
    p = multiply_unsigned(read_register(c, RDX, size), value, size);
    write_register(c, c->insn->vvvv, size, p.low);
    write_register(c, modrm_reg(c), size, p.high);
    return 0;
}

static inline int execute_divide(context *c, unsigned op)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t divisor, low, high, quotient, rest;
    int defined;
    TRY(value_of(c, 0, size, &divisor));
    low = read_register(c, RAX, size);
    high = size == 1 ? read_register(c, RAX, 2) >> 8 : read_register(c, RDX, size);
    defined = op == VMMKIT_OP_DIV ? divide_unsigned(high, low, divisor, size, &quotient, &rest)
                                  : divide_signed(high, low, divisor, size, &quotient, &rest);
    if (UNLIKELY(!defined))
        return fault(c, DE, 0, 0);
    write_pair(c, size, quotient, rest);
    return 0;
}

static inline int execute_add_with(context *c, unsigned flag)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t right;
    outcome out;
    TRY(value_of(c, 1, size, &right));
    out = add(read_register(c, modrm_reg(c), size), right, (c->cpu->rflags & flag) != 0, size);
    write_register(c, modrm_reg(c), size, out.result);
    set_status(c, out.flags & CF ? flag : 0, flag);
    return 0;
}

static inline int execute_cbw(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t value = sign_extended(read_register(c, RAX, size / 2), size / 2);
    write_register(c, RAX, size, value & mask_of(size));
    return 0;
}

static inline int execute_cwd(context *c)
{
    unsigned size = c->insn->operand_size;
    unsigned negative = sign_of(read_register(c, RAX, size), size);
    write_register(c, RDX, size, negative ? mask_of(size) : 0);
    return 0;
}
