/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_string.py. An element leaves *done as it is when it did just one. */

static inline int string_source(context *c, unsigned size, uint64_t most, side *out)
{
    int segment = c->insn->segment >= 0 ? c->insn->segment : DS;
    return locate_side(c, segment, RSI, size, 0, most, out);
}

static inline int string_target(context *c, unsigned size, int write, uint64_t most, side *out)
{
    return locate_side(c, ES, RDI, size, write, most, out);
}

static inline int movs(context *c, uint64_t most, uint64_t *done)
{
    unsigned size = operand_bytes(c, 0);
    side source, target;
    uint64_t value, count;
    TRY(string_source(c, size, most, &source));
    TRY(string_target(c, size, 1, most, &target));
    count = least(source.run, target.run);
    if (count > 1) {
        TRY(move_run(c, &source, &target, size, count, done));
        if (*done > 1)
            return 0;
    }
    TRY(load(c, &source.where, &value));
    return store(c, &target.where, value);
}

static inline int stos(context *c, uint64_t most, uint64_t *done)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value = read_register(c, RAX, size);
    side target;
    TRY(string_target(c, size, 1, most, &target));
    if (target.run > 1) {
        TRY(fill_run(c, &target, value, size, done));
        if (*done > 1)
            return 0;
    }
    return store(c, &target.where, value);
}

static inline int lods(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value;
    side source;
    TRY(string_source(c, size, 1, &source));
    TRY(load(c, &source.where, &value));
    write_register(c, RAX, size, value);
    return 0;
}

static inline int cmps(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t left, right;
    side source, target;
    TRY(string_target(c, size, 0, 1, &target));
    TRY(string_source(c, size, 1, &source));
    TRY(load(c, &target.where, &right));
    TRY(load(c, &source.where, &left));
    set_status(c, subtract(left, right, 0, size).flags, STATUS);
    return 0;
}

static inline int scas(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t right;
    side target;
    TRY(string_target(c, size, 0, 1, &target));
    TRY(load(c, &target.where, &right));
    set_status(c, subtract(read_register(c, RAX, size), right, 0, size).flags, STATUS);
    return 0;
}

static inline int checked_port(context *c, unsigned size, unsigned *port)
{
    *port = (unsigned)c->cpu->gpr[RDX] & 0xFFFF;
    return check_port(c, *port, size);
}

static inline int ins(context *c, uint64_t most)
{
    unsigned size = operand_bytes(c, 0), port;
    uint64_t value = 0;
    side target;
    TRY(checked_port(c, size, &port));
    TRY(string_target(c, size, 1, most, &target));
    TRY(offer_port(c, VMMKIT_EXIT_PORT_BLOCK_IN, port, &target, size));
    TRY(device(c, VMMKIT_EXIT_PORT_IN, port, size, &value));
    return store(c, &target.where, value);
}

static inline int outs(context *c, uint64_t most)
{
    unsigned size = operand_bytes(c, 1), port;
    uint64_t value;
    side source;
    TRY(checked_port(c, size, &port));
    TRY(string_source(c, size, most, &source));
    TRY(offer_port(c, VMMKIT_EXIT_PORT_BLOCK_OUT, port, &source, size));
    TRY(load(c, &source.where, &value));
    return device(c, VMMKIT_EXIT_PORT_OUT, port, size, &value);
}

static inline int element(context *c, uint64_t most, uint64_t *done)
{
    *done = 1;
    switch (c->row->op) {
    case VMMKIT_OP_MOVS:
        return movs(c, most, done);
    case VMMKIT_OP_STOS:
        return stos(c, most, done);
    case VMMKIT_OP_LODS:
        return lods(c);
    case VMMKIT_OP_CMPS:
        return cmps(c);
    case VMMKIT_OP_SCAS:
        return scas(c);
    case VMMKIT_OP_INS:
        return ins(c, most);
    default:
        return outs(c, most);
    }
}

static inline void move_on(context *c, uint64_t count)
{
    unsigned width = c->insn->address_size;
    for (int place = 0; place < 2; place++) {
        unsigned kind = c->row->kinds[place], number = kind == VMMKIT_KIND_X ? RSI : RDI;
        uint64_t change = operand_bytes(c, place) * count;
        if (kind != VMMKIT_KIND_X && kind != VMMKIT_KIND_Y)
            continue;
        if (c->cpu->rflags & DF)
            change = 0 - change;
        change += read_register(c, number, width);
        write_register(c, number, width, change & mask_of(width));
    }
}

static inline uint64_t longest(const context *c, uint64_t count)
{
    return c->cpu->block_answer || c->cpu->log_count ? 1 : least(count, c->batch - c->elements + 1);
}

static inline int ended(const context *c)
{
    if (c->row->op != VMMKIT_OP_CMPS && c->row->op != VMMKIT_OP_SCAS)
        return 0;
    return !(c->cpu->rflags & ZF) == !(c->insn->prefixes & VMMKIT_PREFIX_REPNE);
}

static NOINLINE int check_unused_port(context *c)
{
    unsigned op = c->row->op, port;
    if (op != VMMKIT_OP_INS && op != VMMKIT_OP_OUTS)
        return 0;
    TRY(checked_port(c, operand_bytes(c, op == VMMKIT_OP_OUTS), &port));
    c->hit.slot = 0; /* nothing is accessed */
    return 0;
}

static NOINLINE int execute_string(context *c)
{
    unsigned width = c->insn->address_size;
    uint64_t count, done, last = 0;
    if (!(c->insn->prefixes & (VMMKIT_PREFIX_REP | VMMKIT_PREFIX_REPNE))) {
        TRY(element(c, 1, &done));
        move_on(c, done);
        return 0;
    }
    count = read_register(c, RCX, width);
    if (!count)
        return check_unused_port(c);
    while (count && !last) {
        done = c->cpu->block_answer ? least(c->cpu->block_answer - 1, count) : 0;
        if (!done)
            TRY(element(c, longest(c, count), &done));
        move_on(c, done);
        count -= done;
        write_register(c, RCX, width, count);
        forget_accesses(c);
        last = !count || ended(c);
        c->cpu->retired += done - last;
        c->elements += done;
        if (!last && c->elements > c->batch)
            return BATCH_USED;
    }
    return 0;
}
