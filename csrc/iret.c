/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_iret.py. */

enum { IRET_ALWAYS = STATUS | TF | DF | NT, VIRTUAL_8086 = 0xF3 };

static void load_flags(context *c, uint64_t image, uint64_t mask)
{
    c->cpu->rflags = (c->cpu->rflags & ~(mask | RF)) | (image & mask);
    c->keeps_rf = 1;
}

static inline uint64_t wide_flags(const context *c)
{
    return c->insn->operand_size > 2 ? RF | AC | ID : 0;
}

static uint64_t protected_mask(const context *c)
{
    uint64_t mask = IRET_ALWAYS | wide_flags(c);
    if (c->cpl <= iopl(c))
        mask |= IF;
    if (c->cpl == 0)
        mask |= RFLAGS_IOPL | (c->insn->operand_size > 2 ? VIF | VIP : 0);
    return mask;
}

static int return_real(context *c)
{
    unsigned size = c->insn->operand_size;
    int virtual = (c->cpu->rflags & RFLAGS_VM) != 0, extended = virtual && iopl(c) < 3;
    uint64_t popped[3], image, mask = IRET_ALWAYS | IF | wide_flags(c);
    far_stack old;
    current_stack(c, &old);
    if (extended && (size != 2 || !(c->cpu->cr4 & CR4_VME)))
        return fault(c, GP, 0, 0);
    TRY(pop_frame(c, &old, 3, size, 0, popped));
    TRY(check_real_offset(c, popped[0]));
    image = popped[2];
    if (!virtual)
        mask |= RFLAGS_IOPL;
    if (extended) {
        if (image & TF || (image & IF && c->cpu->rflags & VIP))
            return fault(c, GP, 0, 0);
        mask = (mask & ~(uint64_t)IF) | VIF;
        image = (image & ~(uint64_t)VIF) | (image & IF ? VIF : 0);
    }
    move_pointer(c, &old, 3 * size);
    load_real_code(c, (unsigned)popped[1] & 0xFFFF, popped[0]);
    load_flags(c, image, mask);
    return 0;
}

static int return_to_virtual_8086(context *c, const far_stack *old, const uint64_t *popped)
{
    static const uint8_t loaded[5] = {SS, ES, DS, FS, GS};
    uint64_t values[6], code = popped[1] & 0xFFFF;
    TRY(pop_frame(c, old, 6, 4, 12, values));
    if (popped[0] > 0xFFFF)
        return fault(c, GP, 0, 0);
    set_segment(c, CS, code, code << 4, 0xFFFF, VIRTUAL_8086);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t selector = values[i + 1] & 0xFFFF;
        set_segment(c, loaded[i], selector, selector << 4, 0xFFFF, VIRTUAL_8086);
    }
    c->cpu->gpr[RSP] = values[0];
    c->next_rip = popped[0];
    load_flags(c, popped[2],
               IRET_ALWAYS | RF | AC | ID | IF | RFLAGS_IOPL | VIF | VIP | RFLAGS_VM);
    return 0;
}

static int return_protected(context *c)
{
    unsigned size = c->insn->operand_size, selector, level;
    int switches, outer, legacy = !in_long_mode(c) && size == 4;
    uint64_t popped[3], stack_words[2], mask = protected_mask(c);
    far_stack old, stack;
    far_segment code;
    far_stores stores;
    stores.count = 0;
    current_stack(c, &old);
    TRY(pop_frame(c, &old, 3, size, 0, popped));
    if (popped[2] & RFLAGS_VM && c->cpl == 0 && legacy)
        return return_to_virtual_8086(c, &old, popped);
    selector = (unsigned)popped[1] & 0xFFFF;
    level = selector & 3;
    TRY(returned_code(c, selector, &code));
    outer = level > c->cpl;
    switches = outer || c->mode == 64;
    if (switches) {
        TRY(pop_frame(c, &old, 2, size, 3 * size, stack_words));
        TRY(returned_stack(c, &code, (unsigned)stack_words[1] & 0xFFFF, stack_words[0], &stack));
    }
    TRY(check_offset(c, &code, popped[0]));
    TRY(add_accessed(c, &code, &stores));
    if (switches)
        TRY(add_accessed(c, &stack.segment, &stores));
    TRY(store_frame(c, stores.store, stores.count));
    if (switches)
        commit_stack(c, &stack, 0);
    else
        move_pointer(c, &old, 3 * size);
    if (outer)
        drop_data_segments(c, level);
    commit_code(c, &code, level, popped[0]);
    load_flags(c, popped[2], mask);
    return 0;
}

static int return_from_interrupt(context *c)
{
    if (c->real)
        return transferred(c, return_real(c));
    if (!(c->cpu->rflags & NT))
        return transferred(c, return_protected(c));
    if (in_long_mode(c))
        return fault(c, GP, 0, 0);
    return unsupported(c, VMMKIT_UNSUPPORTED_TASK_SWITCH, c->cpu->rip);
}

/* NMIs are unblocked even by an IRET that faults. */
static NOINLINE int execute_iret(context *c)
{
    int kind = return_from_interrupt(c);
    if (!kind || kind == VMMKIT_EXIT_FAULT)
        c->cpu->nmi_blocked = 0;
    return kind;
}
