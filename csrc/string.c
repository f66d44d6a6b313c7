/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_string.py. */

static inline void advance(context *c, unsigned number, unsigned size)
{
    unsigned width = c->insn.address_size;
    uint64_t change = c->cpu->rflags & DF ? 0 - (uint64_t)size : size;
    write_register(c, number, width, (read_register(c, number, width) + change) & mask_of(width));
}

static inline int movs(context *c)
{
    unsigned size = operand_bytes(c, 0), width = c->insn.address_size;
    int segment = c->insn.segment >= 0 ? c->insn.segment : DS;
    span source, target;
    uint64_t value;
    TRY(locate(c, segment, read_register(c, RSI, width), size, 0, &source));
    TRY(locate(c, ES, read_register(c, RDI, width), size, 1, &target));
    TRY(load(c, &source, &value));
    TRY(store(c, &target, value));
    advance(c, RSI, size);
    advance(c, RDI, size);
    return 0;
}

static inline int stos(context *c)
{
    unsigned size = operand_bytes(c, 0), width = c->insn.address_size;
    span target;
    TRY(locate(c, ES, read_register(c, RDI, width), size, 1, &target));
    TRY(store(c, &target, read_register(c, RAX, size)));
    advance(c, RDI, size);
    return 0;
}

static inline int element(context *c)
{
    return c->row->op == VMMKIT_OP_MOVS ? movs(c) : stos(c);
}

static NOINLINE int execute_string(context *c)
{
    unsigned width = c->insn.address_size;
    uint64_t count;
    if (!(c->insn.prefixes & (VMMKIT_PREFIX_REP | VMMKIT_PREFIX_REPNE)))
        return element(c);
    count = read_register(c, RCX, width);
    while (count) {
        TRY(element(c));
        write_register(c, RCX, width, --count);
        forget_accesses(c);
        if (!count)
            break;
        c->cpu->retired++;
        if (++c->elements > c->batch)
            return BATCH_USED;
    }
    return 0;
}
