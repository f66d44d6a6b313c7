/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_transfer.py. */

static inline uint64_t byte_swapped(uint64_t value, unsigned size)
{
    uint64_t swapped = 0;
    for (unsigned i = 0; i < size; i++)
        swapped = swapped << 8 | (value >> (8 * i) & 0xFF);
    return swapped;
}

static inline int execute_movbe(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value;
    target where;
    TRY(locate_target(c, 0, &where));
    TRY(value_of(c, 1, size, &value));
    return write_target(c, &where, size, byte_swapped(value, size));
}

static inline int execute_xlat(context *c)
{
    unsigned size = c->insn->address_size;
    uint64_t offset = (c->cpu->gpr[RBX] + (c->cpu->gpr[RAX] & 0xFF)) & mask_of(size), value;
    span where;
    TRY(locate(c, c->insn->segment >= 0 ? c->insn->segment : DS, offset, 1, 0, &where));
    TRY(load(c, &where, &value));
    write_register(c, RAX, 1, value);
    return 0;
}

static int locate_two(context *c, unsigned second_size, span *where)
{
    unsigned size = c->insn->operand_size;
    uint64_t offset = effective_address(c, NULL);
    uint64_t following = (offset + size) & mask_of(c->insn->address_size);
    TRY(locate(c, c->insn->segment, offset, size, 0, &where[0]));
    return locate(c, c->insn->segment, following, second_size, 0, &where[1]);
}

static NOINLINE int execute_load_far_pointer(context *c, int segment)
{
    uint64_t offset, selector;
    span where[2];
    TRY(locate_two(c, 2, where));
    TRY(load(c, &where[0], &offset));
    TRY(load(c, &where[1], &selector));
    TRY(load_segment(c, segment, (unsigned)selector));
    write_register(c, modrm_reg(c), c->insn->operand_size, offset);
    return 0;
}

/* Orders signed numbers as unsigned ones. */
static inline uint64_t biased(uint64_t value, unsigned size)
{
    return value ^ (uint64_t)1 << (8 * size - 1);
}

static NOINLINE int execute_bound(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t lower, upper, value = biased(read_register(c, modrm_reg(c), size), size);
    span where[2];
    TRY(locate_two(c, size, where));
    TRY(load(c, &where[0], &lower));
    TRY(load(c, &where[1], &upper));
    if (value < biased(lower, size) || value > biased(upper, size))
        return fault(c, BR, 0, 0);
    return 0;
}

static NOINLINE int execute_arpl(context *c)
{
    uint64_t selector, rpl;
    target where;
    if (c->real)
        return fault(c, UD, 0, 0);
    TRY(locate_target(c, 0, &where));
    TRY(read_target(c, &where, 2, &selector));
    rpl = c->cpu->gpr[modrm_reg(c)] & 3;
    if ((selector & 3) >= rpl) {
        c->cpu->rflags &= ~(uint64_t)ZF;
        return 0;
    }
    TRY(write_target(c, &where, 2, (selector & ~(uint64_t)3) | rpl));
    c->cpu->rflags |= ZF;
    return 0;
}
