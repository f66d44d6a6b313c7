/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_stack.py. */

enum {
    TF = 1 << 8,
    RFLAGS_IOPL = 3 << 12,
    NT = 1 << 14,
    RF = 1 << 16,
    AC = 1 << 18,
    ID = 1 << 21,
    DEEPEST_LEVEL = 31
};

static inline unsigned iopl(const context *c)
{
    return (unsigned)(c->cpu->rflags >> 12) & 3;
}

static inline int segment_number(const context *c)
{
    return c->insn->opcode >> 3 & 7;
}

static inline uint64_t move_stack(context *c, uint64_t change)
{
    uint64_t old = c->cpu->gpr[RSP], mask = stack_mask(c);
    return (old & ~mask) | ((old + change) & mask);
}

static inline int push_span(context *c, unsigned reserved, unsigned written, span *where)
{
    uint64_t pointer = move_stack(c, 0 - (uint64_t)reserved) & stack_mask(c);
    return locate(c, SS, pointer, written, 1, where);
}

static inline int push_value(context *c, uint64_t value, unsigned written)
{
    unsigned size = c->insn->operand_size;
    span where;
    TRY(push_span(c, size, written, &where));
    TRY(store(c, &where, value & mask_of(written)));
    c->cpu->gpr[RSP] = move_stack(c, 0 - (uint64_t)size);
    return 0;
}

static inline int execute_push(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t value;
    target where;
    span stack;
    if (c->row->kinds[0] == VMMKIT_KIND_F)
        return push_value(c, segment_words(c, segment_number(c))[SELECTOR] & 0xFFFF,
                          size == 4 ? 2 : size);
    if (c->row->kinds[0] == VMMKIT_KIND_I)
        return push_value(c, (uint64_t)c->insn->immediate, size);
    TRY(locate_target(c, 0, &where));
    TRY(push_span(c, size, size, &stack));
    TRY(read_target(c, &where, size, &value));
    TRY(store(c, &stack, value));
    c->cpu->gpr[RSP] = move_stack(c, 0 - (uint64_t)size);
    return 0;
}

static inline int pop_span(context *c, span *where)
{
    uint64_t pointer = c->cpu->gpr[RSP] & stack_mask(c);
    return locate(c, SS, pointer, c->insn->operand_size, 0, where);
}

static inline int pop_target(context *c, uint64_t pointer, target *where)
{
    if (c->insn->modrm >= 0 && c->insn->modrm < 0xC0) {
        where->reg = -1;
        return locate(c, c->insn->segment, effective_address(c, &pointer), c->insn->operand_size, 1,
                      &where->memory);
    }
    return locate_target(c, 0, where);
}

static inline int execute_pop(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t pointer = move_stack(c, size), value;
    target where;
    span stack;
    TRY(pop_span(c, &stack));
    if (c->row->kinds[0] == VMMKIT_KIND_F) {
        int segment = segment_number(c);
        TRY(load(c, &stack, &value));
        TRY(load_segment(c, segment, (unsigned)value & 0xFFFF));
        c->cpu->gpr[RSP] = pointer;
        if (segment == SS)
            c->shadow = SHADOW_MOV_SS;
        return 0;
    }
    TRY(pop_target(c, pointer, &where));
    TRY(load(c, &stack, &value));
    if (where.reg < 0)
        TRY(store(c, &where.memory, value));
    c->cpu->gpr[RSP] = pointer;
    if (where.reg >= 0)
        write_register(c, (unsigned)where.reg, size, value);
    return 0;
}

typedef struct {
    span where;
    uint64_t value;
} stack_store;

static int store_frame(context *c, const stack_store *frame, unsigned count)
{
    for (int in_ram = 0; in_ram < 2; in_ram++)
        for (unsigned i = 0; i < count; i++)
            TRY(store_some(c, &frame[i].where, frame[i].value, in_ram));
    return 0;
}

static NOINLINE int execute_pusha(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t pointer = c->cpu->gpr[RSP] & stack_mask(c);
    stack_store frame[8];
    if (c->real && pointer & 1 && pointer >= 7 && pointer <= 15)
        return fault(c, GP, 0, 0);
    for (unsigned i = 0; i < 8; i++) {
        TRY(push_span(c, size * (i + 1), size, &frame[i].where));
        frame[i].value = read_register(c, i, size);
    }
    TRY(store_frame(c, frame, 8));
    c->cpu->gpr[RSP] = move_stack(c, 0 - (uint64_t)(8 * size));
    return 0;
}

static int stack_slot(context *c, unsigned number, uint64_t offset, span *where)
{
    uint64_t pointer = (c->cpu->gpr[number] + offset) & stack_mask(c);
    return locate(c, SS, pointer, c->insn->operand_size, 0, where);
}

static NOINLINE int execute_popa(context *c)
{
    unsigned size = c->insn->operand_size;
    stack_store frame[8];
    for (unsigned i = 8; i-- > 0;)
        TRY(stack_slot(c, RSP, (7 - i) * size, &frame[i].where));
    for (unsigned i = 8; i-- > 0;)
        if (i != RSP)
            TRY(load(c, &frame[i].where, &frame[i].value));
    c->cpu->gpr[RSP] = move_stack(c, 8 * size);
    for (unsigned i = 0; i < 8; i++)
        if (i != RSP)
            write_register(c, i, size, frame[i].value);
    return 0;
}

static inline int check_virtual(context *c, int *virtual)
{
    *virtual = c->cpu->rflags & RFLAGS_VM && iopl(c) != 3;
    if (*virtual && (c->insn->operand_size != 2 || !(c->cpu->cr4 & CR4_VME)))
        return fault(c, GP, 0, 0);
    return 0;
}

static inline int execute_pushf(context *c)
{
    uint64_t flags = c->cpu->rflags;
    int virtual;
    TRY(check_virtual(c, &virtual));
    if (virtual)
        flags = (flags & ~(uint64_t)IF) | RFLAGS_IOPL | (flags & VIF ? IF : 0);
    return push_value(c, flags & ~(uint64_t)(RF | RFLAGS_VM), c->insn->operand_size);
}

static inline uint64_t popf_mask(const context *c)
{
    uint64_t mask = STATUS | TF | DF | NT;
    if (c->insn->operand_size > 2)
        mask |= AC | ID;
    if (c->cpl == 0)
        mask |= RFLAGS_IOPL;
    if (c->cpl <= iopl(c))
        mask |= IF;
    return mask;
}

static inline int execute_popf(context *c)
{
    uint64_t value, mask = popf_mask(c), flags = c->cpu->rflags;
    int virtual;
    span where;
    TRY(check_virtual(c, &virtual));
    TRY(pop_span(c, &where));
    TRY(load(c, &where, &value));
    if (virtual) {
        if (value & TF || (value & IF && flags & VIP))
            return fault(c, GP, 0, 0);
        mask |= VIF;
        value |= value & IF ? VIF : 0;
    }
    c->cpu->rflags = (flags & ~(mask | RF)) | (value & mask);
    c->cpu->gpr[RSP] = move_stack(c, c->insn->operand_size);
    return 0;
}

static uint64_t byte_address(const span *where, unsigned number)
{
    unsigned first = where->part[0].size;
    return number < first ? where->part[0].gpa + number : where->part[1].gpa + (number - first);
}

/* A loaded value, with the bytes that earlier stores of the frame put there. */
static uint64_t seen_through(const stack_store *frame, unsigned count, const span *where,
                             unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++) {
        uint64_t gpa = byte_address(where, i), lane = (uint64_t)0xFF << (8 * i);
        for (unsigned slot = 0; slot < count; slot++)
            for (unsigned j = 0; j < size; j++)
                if (byte_address(&frame[slot].where, j) == gpa)
                    value = (value & ~lane) | (frame[slot].value >> (8 * j) & 0xFF) << (8 * i);
    }
    return value;
}

static int locate_frame(context *c, unsigned level, stack_store *frame, span *display)
{
    unsigned size = c->insn->operand_size;
    TRY(push_span(c, size, size, &frame[0].where));
    for (unsigned i = 1; i < level; i++) {
        TRY(stack_slot(c, RBP, 0 - (uint64_t)(i * size), &display[i]));
        TRY(push_span(c, (i + 1) * size, size, &frame[i].where));
    }
    return level ? push_span(c, (level + 1) * size, size, &frame[level].where) : 0;
}

static NOINLINE int execute_enter(context *c)
{
    unsigned size = c->insn->operand_size, level = c->insn->second_immediate & DEEPEST_LEVEL;
    unsigned count = level ? level + 1 : 1;
    unsigned reserved = count * size + ((unsigned)c->insn->immediate & 0xFFFF);
    uint64_t frame_pointer = move_stack(c, 0 - (uint64_t)size);
    stack_store frame[DEEPEST_LEVEL + 1];
    span display[DEEPEST_LEVEL + 1], top;
    TRY(locate_frame(c, level, frame, display));
    TRY(push_span(c, reserved, size, &top));
    frame[0].value = c->cpu->gpr[RBP] & mask_of(size);
    for (unsigned i = 1; i < level; i++) {
        uint64_t value;
        TRY(load(c, &display[i], &value));
        frame[i].value = seen_through(frame, i, &display[i], size, value);
    }
    if (level)
        frame[level].value = frame_pointer & mask_of(size);
    TRY(store_frame(c, frame, count));
    c->cpu->gpr[RSP] = move_stack(c, 0 - (uint64_t)reserved);
    write_register(c, RBP, size, frame_pointer & mask_of(size));
    return 0;
}

static inline int execute_leave(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t mask = stack_mask(c), *gpr = c->cpu->gpr, value;
    span where;
    TRY(stack_slot(c, RBP, 0, &where));
    TRY(load(c, &where, &value));
    gpr[RSP] = (gpr[RSP] & ~mask) | ((gpr[RBP] + size) & mask);
    write_register(c, RBP, size, value);
    return 0;
}
