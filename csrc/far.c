/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_far.py. */

enum { CALL_GATE_16 = 4, TASK_GATE = 5, CALL_GATE = 12 };

typedef struct {
    unsigned selector;
    uint64_t offset;
    unsigned size; /* bytes of a slot: 2, 4 or 8 */
    unsigned parameters;
} call_gate;

/* Derives mode and CPL afresh from the registers when a transfer is over or stops. */
static inline int transferred(context *c, int kind)
{
    begin_mode(c);
    return kind;
}

static int far_pointer(context *c, uint64_t *offset, unsigned *selector)
{
    span where[2];
    uint64_t value;
    if (c->insn->modrm < 0) {
        *offset = (uint64_t)c->insn->immediate & mask_of(c->insn->operand_size);
        *selector = c->insn->second_immediate;
        return 0;
    }
    TRY(locate_two(c, 2, where));
    TRY(load(c, &where[0], offset));
    TRY(load(c, &where[1], &value));
    *selector = (unsigned)value;
    return 0;
}

static int check_direct(context *c, const far_segment *code)
{
    if (!is_conforming(code) && (code->selector & 3) > c->cpl)
        return fault(c, GP, (unsigned)code->selector & 0xFFFC, 0);
    return check_code(c, code, c->cpl, c->cpl);
}

static int check_long_code(context *c, const far_segment *code)
{
    int bad = in_long_mode(c) && (code->attributes & (ATTR_L | ATTR_DB)) != ATTR_L;
    return bad ? fault(c, GP, (unsigned)code->selector & 0xFFFC, 0) : 0;
}

static int is_task(unsigned kind)
{
    return kind == 1 || kind == TASK_GATE || kind == 9;
}

static int open_gate(context *c, const far_segment *found, call_gate *out)
{
    unsigned kind = (unsigned)found->attributes & 0x1F, error = (unsigned)found->selector & 0xFFFC;
    unsigned rpl = (unsigned)found->selector & 3;
    int long_mode = in_long_mode(c);
    int known = kind == CALL_GATE || (!long_mode && (kind == CALL_GATE_16 || is_task(kind)));
    uint64_t descriptor = found->descriptor, address, upper;
    if (!known || dpl_of(found) < (c->cpl > rpl ? c->cpl : rpl))
        return fault(c, GP, error, 0);
    if (!(found->attributes & ATTR_P))
        return fault(c, NP, error, 0);
    if (is_task(kind))
        return unsupported(c, VMMKIT_UNSUPPORTED_TASK_SWITCH, c->cpu->rip);
    out->selector = (unsigned)(descriptor >> 16) & 0xFFFF;
    out->offset = (descriptor & 0xFFFF) | (kind == CALL_GATE ? descriptor >> 48 << 16 : 0);
    out->parameters = (unsigned)(descriptor >> 32) & 0x1F;
    out->size = kind == CALL_GATE ? 4 : 2;
    if (!long_mode)
        return 0;
    TRY(descriptor_address(c, (unsigned)found->selector, GP, 16, &address));
    TRY(system_load(c, address + 8, 8, &upper));
    if (upper >> 40 & 0x1F)
        return fault(c, GP, error, 0);
    out->offset |= upper << 32;
    out->size = 8;
    out->parameters = 0;
    return 0;
}

static int jump_far(context *c)
{
    uint64_t offset;
    unsigned selector;
    call_gate gate;
    far_segment code;
    far_stores stores;
    stores.count = 0;
    TRY(far_pointer(c, &offset, &selector));
    if (c->real) {
        TRY(check_real_offset(c, offset));
        load_real_code(c, selector, offset);
        return 0;
    }
    TRY(read_segment(c, selector, GP, &code));
    if (is_code(&code)) {
        TRY(check_direct(c, &code));
    } else {
        TRY(open_gate(c, &code, &gate));
        TRY(read_segment(c, gate.selector, GP, &code));
        offset = gate.offset;
        TRY(check_long_code(c, &code));
        TRY(check_code(c, &code, c->cpl, c->cpl));
    }
    TRY(check_offset(c, &code, offset));
    TRY(add_accessed(c, &code, &stores));
    TRY(store_frame(c, stores.store, stores.count));
    commit_code(c, &code, c->cpl, offset);
    return 0;
}

static int call_same(context *c, const far_segment *code, const far_stack *stack, uint64_t offset,
                     unsigned size)
{
    uint64_t values[2] = {segment_words(c, CS)[SELECTOR], c->next_rip};
    far_stores stores;
    TRY(push_frame(c, stack, values, 2, size, &stores));
    TRY(check_offset(c, code, offset));
    TRY(add_accessed(c, code, &stores));
    TRY(store_frame(c, stores.store, stores.count));
    move_pointer(c, stack, 0 - (uint64_t)(2 * size));
    commit_code(c, code, c->cpl, offset);
    return 0;
}

static int copy_parameters(context *c, const far_stack *old, const call_gate *gate, unsigned level,
                           far_stores *stores)
{
    unsigned caller = c->cpl, count = gate->parameters;
    uint64_t values[MOST_STORES];
    c->cpl = level;
    TRY(pop_frame(c, old, count, gate->size, 0, values));
    c->cpl = caller;
    for (unsigned i = 0; i < count; i++)
        stores->store[2 + i].value = values[count - 1 - i];
    return 0;
}

static int call_inner(context *c, const far_segment *code, const call_gate *gate)
{
    unsigned level = dpl_of(code), caller = c->cpl, count = 4 + gate->parameters;
    uint64_t frame[MOST_STORES] = {0};
    far_stack old, stack;
    far_stores stores;
    current_stack(c, &old);
    TRY(inner_stack(c, level, 0, &stack));
    c->cpl = level;
    if (gate->size == 8)
        c->mode = 64;
    frame[0] = old.segment.selector;
    frame[1] = old.pointer;
    frame[count - 2] = segment_words(c, CS)[SELECTOR];
    frame[count - 1] = c->next_rip;
    TRY(push_frame(c, &stack, frame, count, gate->size, &stores));
    TRY(check_offset(c, code, gate->offset));
    if (gate->parameters)
        TRY(copy_parameters(c, &old, gate, caller, &stores));
    TRY(add_accessed(c, code, &stores));
    TRY(add_accessed(c, &stack.segment, &stores));
    TRY(store_frame(c, stores.store, stores.count));
    commit_stack(c, &stack, 0 - (uint64_t)(gate->size * count));
    commit_code(c, code, level, gate->offset);
    return 0;
}

static int call_through(context *c, const far_segment *found)
{
    call_gate gate;
    far_segment code;
    far_stack stack;
    TRY(open_gate(c, found, &gate));
    TRY(read_segment(c, gate.selector, GP, &code));
    TRY(check_long_code(c, &code));
    TRY(check_code(c, &code, 0, c->cpl));
    if (!is_conforming(&code) && dpl_of(&code) < c->cpl)
        return call_inner(c, &code, &gate);
    current_stack(c, &stack);
    if (gate.size == 8) {
        c->mode = 64;
        stack.wide = 1;
    }
    return call_same(c, &code, &stack, gate.offset, gate.size);
}

static int call_far(context *c)
{
    unsigned selector, size = c->insn->operand_size;
    uint64_t offset;
    far_stack stack;
    far_segment code;
    TRY(far_pointer(c, &offset, &selector));
    current_stack(c, &stack);
    if (c->real) {
        uint64_t values[2] = {segment_words(c, CS)[SELECTOR], c->next_rip};
        far_stores stores;
        TRY(push_frame(c, &stack, values, 2, size, &stores));
        TRY(check_real_offset(c, offset));
        TRY(store_frame(c, stores.store, 2));
        move_pointer(c, &stack, 0 - (uint64_t)(2 * size));
        load_real_code(c, selector, offset);
        return 0;
    }
    TRY(read_segment(c, selector, GP, &code));
    if (!is_code(&code))
        return call_through(c, &code);
    TRY(check_direct(c, &code));
    return call_same(c, &code, &stack, offset, size);
}

static int return_real_far(context *c, const far_stack *old, const uint64_t *popped, unsigned moved)
{
    TRY(check_real_offset(c, popped[0]));
    move_pointer(c, old, moved);
    load_real_code(c, (unsigned)popped[1] & 0xFFFF, popped[0]);
    return 0;
}

static int return_far(context *c)
{
    unsigned size = c->insn->operand_size, released = (unsigned)c->insn->immediate & 0xFFFF;
    unsigned selector, level;
    uint64_t popped[2], outer[2];
    far_stack old, stack;
    far_segment code;
    far_stores stores;
    stores.count = 0;
    current_stack(c, &old);
    TRY(pop_frame(c, &old, 2, size, 0, popped));
    if (c->real)
        return return_real_far(c, &old, popped, 2 * size + released);
    selector = (unsigned)popped[1] & 0xFFFF;
    level = selector & 3;
    TRY(returned_code(c, selector, &code));
    if (level > c->cpl) {
        TRY(pop_frame(c, &old, 2, size, 2 * size + released, outer));
        TRY(returned_stack(c, &code, (unsigned)outer[1] & 0xFFFF, outer[0], &stack));
    }
    TRY(check_offset(c, &code, popped[0]));
    TRY(add_accessed(c, &code, &stores));
    if (level > c->cpl)
        TRY(add_accessed(c, &stack.segment, &stores));
    TRY(store_frame(c, stores.store, stores.count));
    if (level > c->cpl) {
        commit_stack(c, &stack, released);
        drop_data_segments(c, level);
    } else {
        move_pointer(c, &old, 2 * size + released);
    }
    commit_code(c, &code, level, popped[0]);
    return 0;
}

static NOINLINE int execute_jmpf(context *c)
{
    return transferred(c, jump_far(c));
}

static NOINLINE int execute_callf(context *c)
{
    return transferred(c, call_far(c));
}

static NOINLINE int execute_retf(context *c)
{
    return transferred(c, return_far(c));
}
