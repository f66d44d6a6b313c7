/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_exchange.py. */

static inline int execute_xadd(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t left, right;
    target where, source;
    outcome out;
    TRY(locate_target(c, 0, &where));
    TRY(locate_target(c, 1, &source));
    TRY(read_target(c, &where, size, &left));
    TRY(read_target(c, &source, size, &right));
    out = add(left, right, 0, size);
    if (where.reg < 0)
        TRY(write_target(c, &where, size, out.result));
    write_register(c, (unsigned)source.reg, size, left);
    if (where.reg >= 0)
        write_register(c, (unsigned)where.reg, size, out.result);
    set_status(c, out.flags, STATUS);
    return 0;
}

static inline int execute_cmpxchg(context *c)
{
    unsigned size = operand_bytes(c, 0), flags;
    uint64_t found, desired;
    target where, source;
    TRY(locate_target(c, 0, &where));
    TRY(locate_target(c, 1, &source));
    TRY(read_target(c, &where, size, &found));
    TRY(read_target(c, &source, size, &desired));
    flags = subtract(read_register(c, RAX, size), found, 0, size).flags;
    if (flags & ZF || where.reg < 0)
        TRY(write_target(c, &where, size, flags & ZF ? desired : found));
    if (!(flags & ZF))
        write_register(c, RAX, size, found);
    set_status(c, flags, STATUS);
    return 0;
}

static inline uint64_t pair_flags(const context *c, int equal)
{
    return (c->cpu->rflags & ~(uint64_t)ZF) | (equal ? ZF : 0);
}

static int cmpxchg8b(context *c)
{
    uint64_t *gpr = c->cpu->gpr, low = mask_of(4), desired = gpr[RCX] << 32 | (gpr[RBX] & low);
    uint64_t found;
    target where;
    int equal;
    TRY(locate_target(c, 0, &where));
    TRY(read_target(c, &where, 8, &found));
    equal = found == (gpr[RDX] << 32 | (gpr[RAX] & low));
    TRY(write_target(c, &where, 8, equal ? desired : found));
    if (!equal) {
        gpr[RAX] = found & low;
        gpr[RDX] = found >> 32;
    }
    c->cpu->rflags = pair_flags(c, equal);
    return 0;
}

static int locate_16(context *c, span *halves)
{
    uint64_t linear;
    span whole;
    uint8_t *host;
    TRY(linear_address(c, c->insn->segment, effective_address(c, NULL), 1, 1, &linear));
    if (linear & 15)
        return fault(c, GP, 0, 0);
    TRY(locate_data(c, linear, 16, 1, &whole));
    host = whole.part[0].host;
    for (unsigned i = 0; i < 2; i++) {
        halves[i].count = 1;
        halves[i].part[0] = (fragment){whole.part[0].gpa + 8 * i, host ? host + 8 * i : NULL, 8};
    }
    return 0;
}

static NOINLINE int cmpxchg16b(context *c)
{
    uint64_t *gpr = c->cpu->gpr, found[2], desired[2] = {gpr[RBX], gpr[RCX]};
    span halves[2];
    int equal;
    TRY(locate_16(c, halves));
    TRY(load(c, &halves[0], &found[0]));
    TRY(load(c, &halves[1], &found[1]));
    equal = found[0] == gpr[RAX] && found[1] == gpr[RDX];
    TRY(store_wide(c, halves, found, equal ? desired : found));
    if (!equal) {
        gpr[RAX] = found[0];
        gpr[RDX] = found[1];
    }
    c->cpu->rflags = pair_flags(c, equal);
    return 0;
}

static inline int execute_cmpxchg8b(context *c)
{
    int wide = c->insn->operand_size == 8;
    if (!(c->cpu->features >> (wide ? VMMKIT_FEATURE_CX16 : VMMKIT_FEATURE_CX8) & 1))
        return fault(c, UD, 0, 0);
    return wide ? cmpxchg16b(c) : cmpxchg8b(c);
}
