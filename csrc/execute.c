/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_execute.py. */

static inline uint64_t read_register(const context *c, unsigned number, unsigned size)
{
    if (size == 1 && number >= 4 && number <= 7 && !(c->insn->prefixes & VMMKIT_PREFIX_REX))
        return c->cpu->gpr[number - 4] >> 8 & 0xFF;
    return c->cpu->gpr[number] & mask_of(size);
}

static inline void write_register(context *c, unsigned number, unsigned size, uint64_t value)
{
    uint64_t *gpr = c->cpu->gpr;
    if (LIKELY(size >= 4))
        gpr[number] = value;
    else if (size == 2)
        gpr[number] = (gpr[number] & ~(uint64_t)0xFFFF) | value;
    else if (number >= 4 && number <= 7 && !(c->insn->prefixes & VMMKIT_PREFIX_REX))
        gpr[number - 4] = (gpr[number - 4] & ~(uint64_t)0xFF00) | value << 8;
    else
        gpr[number] = (gpr[number] & ~(uint64_t)0xFF) | value;
}

static inline void set_status(context *c, unsigned flags, unsigned mask)
{
    c->cpu->rflags = (c->cpu->rflags & ~(uint64_t)mask) | (flags & mask);
}

/* stack_pointer stands in for rSP unless it is NULL. */
static inline uint64_t effective_address(const context *c, const uint64_t *stack_pointer)
{
    const vmmkit_insn *insn = c->insn;
    uint64_t offset = (uint64_t)insn->displacement;
    if (insn->base == RSP && stack_pointer)
        offset += *stack_pointer;
    else if (insn->base == RIP_BASE)
        offset += c->next_rip;
    else if (insn->base >= 0)
        offset += c->cpu->gpr[insn->base];
    if (insn->index >= 0)
        offset += c->cpu->gpr[insn->index] * insn->scale;
    return offset & mask_of(insn->address_size);
}

static inline unsigned operand_bytes(const context *c, int place)
{
    return c->found->sizes[place];
}

static inline unsigned reg_of(const vmmkit_insn *insn)
{
    return ((unsigned)insn->modrm >> 3 & 7) | (insn->rex & 4u) << 1;
}

static inline unsigned rm_of(const vmmkit_insn *insn)
{
    return ((unsigned)insn->modrm & 7) | (insn->rex & 1u) << 3;
}

static inline unsigned modrm_reg(const context *c)
{
    return reg_of(c->insn);
}

static inline unsigned modrm_rm(const context *c)
{
    return rm_of(c->insn);
}

/* A general register, or -1. */
static int operand_register(const vmmkit_insn *insn, unsigned kind)
{
    switch (kind) {
    case VMMKIT_KIND_G:
        return (int)reg_of(insn);
    case VMMKIT_KIND_Z:
        return (insn->opcode & 7) | (insn->rex & 1) << 3;
    case VMMKIT_KIND_A:
        return RAX;
    case VMMKIT_KIND_B:
        return insn->vvvv;
    case VMMKIT_KIND_E:
        return insn->modrm >= 0xC0 ? (int)rm_of(insn) : -1;
    default:
        return -1;
    }
}

/* Works out what does not change between two executions of an instruction. */
static void describe_operands(decoded *entry, const row *row)
{
    for (unsigned place = 0; place < 4; place++) {
        entry->sizes[place] = type_sizes[entry->insn.operand_size][row->types[place]];
        entry->registers[place] = (int8_t)operand_register(&entry->insn, row->kinds[place]);
    }
}

static NOINLINE int locate_memory(context *c, int place, span *where)
{
    return locate(c, c->insn->segment, effective_address(c, NULL), operand_bytes(c, place),
                  c->row->access & WRITTEN, where);
}

static ALWAYS_INLINE int locate_target(context *c, int place, target *where)
{
    where->reg = c->found->registers[place];
    return LIKELY(where->reg >= 0) ? 0 : locate_memory(c, place, &where->memory);
}

static inline int read_target(context *c, const target *where, unsigned size, uint64_t *value)
{
    if (where->reg < 0) {
        TRY(load(c, &where->memory, value));
        c->loaded = *value;
        return 0;
    }
    *value = read_register(c, (unsigned)where->reg, size);
    return 0;
}

static inline int write_target(context *c, const target *where, unsigned size, uint64_t value)
{
    if (where->reg < 0) {
        if (UNLIKELY(c->locked))
            return store_locked(c, &where->memory, value);
        return store(c, &where->memory, value);
    }
    write_register(c, (unsigned)where->reg, size, value);
    return 0;
}

static inline int value_of(context *c, int place, unsigned size, uint64_t *value)
{
    target where;
    switch (c->row->kinds[place]) {
    case VMMKIT_KIND_I:
        *value = (uint64_t)c->insn->immediate & mask_of(size);
        return 0;
    case VMMKIT_KIND_1:
        *value = 1;
        return 0;
    case VMMKIT_KIND_c:
        *value = c->cpu->gpr[RCX] & 0xFF;
        return 0;
    default:
        TRY(locate_target(c, place, &where));
        return read_target(c, &where, size, value);
    }
}

static inline int execute_binary(context *c, unsigned op)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t left, right;
    target where;
    outcome out;
    TRY(locate_target(c, 0, &where));
    TRY(value_of(c, 1, size, &right));
    TRY(read_target(c, &where, size, &left));
    out = binary(op, left, right, (unsigned)c->cpu->rflags & CF, size);
    if (op != VMMKIT_OP_CMP && op != VMMKIT_OP_TEST)
        TRY(write_target(c, &where, size, out.result));
    set_status(c, out.flags, STATUS);
    return 0;
}

static inline outcome unary(unsigned op, uint64_t value, unsigned size)
{
    switch (op) {
    case VMMKIT_OP_INC:
        return add(value, 1, 0, size);
    case VMMKIT_OP_DEC:
        return subtract(value, 1, 0, size);
    case VMMKIT_OP_NEG:
        return subtract(0, value, 0, size);
    default:
        return (outcome){value ^ mask_of(size), 0};
    }
}

static inline int execute_unary(context *c, unsigned op, unsigned mask)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value;
    target where;
    outcome out;
    TRY(locate_target(c, 0, &where));
    TRY(read_target(c, &where, size, &value));
    out = unary(op, value, size);
    TRY(write_target(c, &where, size, out.result));
    set_status(c, out.flags, mask);
    return 0;
}

static inline int execute_mov(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t value;
    target where;
    TRY(locate_target(c, 0, &where));
    TRY(value_of(c, 1, size, &value));
    return write_target(c, &where, size, value);
}

static inline int execute_movzx(context *c)
{
    uint64_t value;
    TRY(value_of(c, 1, operand_bytes(c, 1), &value));
    write_register(c, modrm_reg(c), c->insn->operand_size, value);
    return 0;
}

static inline int execute_movsx(context *c)
{
    unsigned size = operand_bytes(c, 1);
    uint64_t value, sign = (uint64_t)1 << (8 * size - 1);
    TRY(value_of(c, 1, size, &value));
    value = ((value ^ sign) - sign) & mask_of(c->insn->operand_size);
    write_register(c, modrm_reg(c), c->insn->operand_size, value);
    return 0;
}

static inline int execute_mov_from_segment(context *c)
{
    uint64_t selector = segment_words(c, c->insn->modrm >> 3 & 7)[SELECTOR] & 0xFFFF;
    unsigned size = c->insn->modrm >= 0xC0 ? c->insn->operand_size : 2;
    target where;
    TRY(locate_target(c, 0, &where));
    return write_target(c, &where, size, selector);
}

static inline int execute_mov_to_segment(context *c)
{
    int segment = c->insn->modrm >> 3 & 7;
    uint64_t selector;
    TRY(value_of(c, 1, 2, &selector));
    TRY(load_segment(c, segment, (unsigned)selector));
    if (segment == SS)
        c->shadow = SHADOW_MOV_SS;
    return 0;
}

static inline int execute_lea(context *c)
{
    uint64_t value = effective_address(c, NULL) & mask_of(c->insn->operand_size);
    write_register(c, modrm_reg(c), c->insn->operand_size, value);
    return 0;
}

static inline int execute_xchg(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint64_t first, second;
    target where, other;
    TRY(locate_target(c, 0, &where));
    TRY(locate_target(c, 1, &other));
    c->locked = where.reg < 0;
    TRY(read_target(c, &where, size, &first));
    TRY(read_target(c, &other, size, &second));
    TRY(write_target(c, &where, size, second));
    return write_target(c, &other, size, first);
}
