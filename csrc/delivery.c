/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_delivery.py. */

enum { IDT = 2, EXT = 1, DR6_BS = 1 << 14, TYPE_TRAP = 1, MOST_PUSHED = 10 };

typedef struct {
    unsigned selector;
    uint64_t offset;
    unsigned size; /* bytes of a slot: 2, 4 or 8 */
    unsigned stack; /* IST number, else 0 */
    int is_trap;
} idt_gate;

/* What to deliver: rip and flags are pushed, and the error code if there is one. */
typedef struct {
    unsigned vector;
    uint64_t rip;
    uint64_t flags;
    uint64_t error;
    int has_error;
    int software;
} delivery;

static int idt_entry(context *c, unsigned vector, int software, idt_gate *out)
{
    int long_mode = in_long_mode(c), narrow, wide;
    unsigned size = long_mode ? 16 : 8, error = vector * 8 + IDT, kind;
    uint64_t address = c->cpu->idtr_base + vector * size, low, high;
    if (vector * size + size - 1 > c->cpu->idtr_limit)
        return fault(c, GP, error, 0);
    TRY(system_load(c, address, 8, &low));
    kind = (unsigned)(low >> 40) & 0x1F;
    wide = kind == 14 || kind == 15;
    narrow = kind == 6 || kind == 7;
    if (!wide && (long_mode || !(narrow || kind == TASK_GATE)))
        return fault(c, GP, error, 0);
    if (software && (low >> 45 & 3) < c->cpl)
        return fault(c, GP, error, 0);
    if (!(low >> 47 & 1))
        return fault(c, NP, error, 0);
    if (kind == TASK_GATE)
        return unsupported(c, VMMKIT_UNSUPPORTED_TASK_SWITCH, c->cpu->rip);
    out->selector = (unsigned)(low >> 16) & 0xFFFF;
    out->offset = (low & 0xFFFF) | (narrow ? 0 : low >> 48 << 16);
    out->size = narrow ? 2 : 4;
    out->stack = 0;
    out->is_trap = (kind & TYPE_TRAP) != 0;
    if (!long_mode)
        return 0;
    TRY(system_load(c, address + 8, 8, &high));
    out->offset |= high << 32;
    out->size = 8;
    out->stack = (unsigned)(low >> 32) & 7;
    return 0;
}

static int handler_code(context *c, unsigned selector, far_segment *out)
{
    TRY(read_segment(c, selector, GP, out));
    TRY(check_long_code(c, out));
    if (c->cpu->rflags & RFLAGS_VM && (is_conforming(out) || dpl_of(out)))
        return fault(c, GP, selector & 0xFFFC, 0);
    return check_code(c, out, 0, c->cpl);
}

static int handler_stack(context *c, unsigned level, unsigned interrupt_stack, far_stack *out)
{
    far_stack other;
    if (level < c->cpl) {
        TRY(inner_stack(c, level, interrupt_stack, out));
    } else {
        current_stack(c, out);
        if (interrupt_stack) {
            TRY(inner_stack(c, level, interrupt_stack, &other));
            out->pointer = other.pointer;
        }
    }
    if (in_long_mode(c)) {
        out->pointer &= ~(uint64_t)15;
        out->wide = 1;
    }
    return 0;
}

static unsigned fill_frame(context *c, const delivery *what, int switches, uint64_t *frame)
{
    static const uint8_t data[4] = {GS, FS, DS, ES};
    unsigned count = 0;
    if (what->flags & RFLAGS_VM)
        for (unsigned i = 0; i < 4; i++)
            frame[count++] = segment_words(c, data[i])[SELECTOR];
    if (switches || in_long_mode(c)) {
        frame[count++] = segment_words(c, SS)[SELECTOR];
        frame[count++] = c->cpu->gpr[RSP];
    }
    frame[count++] = what->flags;
    frame[count++] = segment_words(c, CS)[SELECTOR];
    frame[count++] = what->rip;
    if (what->has_error)
        frame[count++] = what->error;
    return count;
}

static void leave_virtual_8086(context *c)
{
    static const uint8_t data[4] = {GS, FS, DS, ES};
    for (unsigned i = 0; i < 4; i++)
        set_segment(c, data[i], 0, 0, 0, ATTR_UNUSABLE);
}

static int through_idt(context *c, const delivery *what)
{
    uint64_t frame[MOST_PUSHED], change;
    unsigned level, count;
    int switches;
    idt_gate gate;
    far_segment code;
    far_stack stack;
    far_stores stores;
    TRY(idt_entry(c, what->vector, what->software, &gate));
    TRY(handler_code(c, gate.selector, &code));
    level = is_conforming(&code) ? c->cpl : dpl_of(&code);
    switches = level < c->cpl;
    count = fill_frame(c, what, switches, frame);
    TRY(handler_stack(c, level, gate.stack, &stack));
    c->cpl = level;
    if (gate.size == 8)
        c->mode = 64;
    TRY(push_frame(c, &stack, frame, count, gate.size, &stores));
    TRY(check_offset(c, &code, gate.offset));
    TRY(add_accessed(c, &code, &stores));
    if (switches)
        TRY(add_accessed(c, &stack.segment, &stores));
    TRY(store_frame(c, stores.store, stores.count));
    change = 0 - (uint64_t)(gate.size * count);
    if (switches)
        commit_stack(c, &stack, change);
    else
        move_pointer(c, &stack, change);
    if (what->flags & RFLAGS_VM)
        leave_virtual_8086(c);
    commit_code(c, &code, level, gate.offset);
    c->cpu->rflags &= ~(uint64_t)(TF | NT | RF | RFLAGS_VM | (gate.is_trap ? 0 : IF));
    return 0;
}

static int push_real_frame(context *c, uint64_t entry, uint64_t rip, uint64_t flags)
{
    uint64_t frame[3] = {flags, segment_words(c, CS)[SELECTOR], rip}, offset = entry & 0xFFFF;
    far_stack stack;
    far_stores stores;
    current_stack(c, &stack);
    TRY(push_frame(c, &stack, frame, 3, 2, &stores));
    TRY(check_real_offset(c, offset));
    TRY(store_frame(c, stores.store, 3));
    move_pointer(c, &stack, 0 - (uint64_t)6);
    load_real_code(c, (unsigned)(entry >> 16), offset);
    return 0;
}

static int through_ivt(context *c, const delivery *what)
{
    uint64_t entry;
    if (4 * what->vector + 3 > c->cpu->idtr_limit)
        return fault(c, GP, what->vector * 8 + IDT, 0);
    TRY(system_load(c, c->cpu->idtr_base + 4 * what->vector, 4, &entry));
    TRY(push_real_frame(c, entry, what->rip, what->flags));
    c->cpu->rflags &= ~(uint64_t)(IF | TF | AC | RF);
    return 0;
}

static int deliver(context *c, const delivery *what)
{
    if (c->real && !(c->cpu->rflags & RFLAGS_VM))
        TRY(through_ivt(c, what));
    else
        TRY(through_idt(c, what));
    c->shadow = 0;
    return 0;
}

static void add_external(context *c)
{
    if (c->cpu->exit_address >= TS && c->cpu->exit_address <= GP)
        c->cpu->exit_size |= EXT;
}

static int interrupt(context *c, unsigned vector, int software)
{
    delivery what = {vector, c->next_rip, c->cpu->rflags & ~(uint64_t)RF, 0, 0, software};
    TRY(deliver(c, &what));
    c->debug &= ~(uint64_t)DR6_BS;
    return 0;
}

static int is_redirected(context *c, unsigned vector, int *redirected)
{
    const uint64_t *words = segment_words(c, TR);
    uint64_t offset, bits;
    *redirected = 0;
    if (!(c->cpu->cr4 & CR4_VME))
        return 0;
    if (words[ATTRIBUTES] & ATTR_UNUSABLE || words[LIMIT] < TSS_IO_BASE + 1)
        return fault(c, GP, 0, 0);
    TRY(system_load(c, words[BASE] + TSS_IO_BASE, 2, &offset));
    offset += vector / 8;
    if (offset < 32 || offset - 32 > words[LIMIT])
        return fault(c, GP, 0, 0);
    TRY(system_load(c, words[BASE] + offset - 32, 1, &bits));
    *redirected = !(bits >> (vector & 7) & 1);
    return 0;
}

static int interrupt_8086(context *c, unsigned vector)
{
    uint64_t flags = c->cpu->rflags & ~(uint64_t)RF, cleared = IF | TF, entry;
    if (iopl(c) < 3) {
        flags = (flags & ~(uint64_t)IF) | RFLAGS_IOPL | (flags & VIF ? IF : 0);
        cleared = VIF | TF;
    }
    TRY(system_load(c, 4 * vector, 4, &entry));
    TRY(push_real_frame(c, entry, c->next_rip, flags));
    c->cpu->rflags &= ~(cleared | RF);
    c->debug &= ~(uint64_t)DR6_BS;
    return 0;
}

static int interrupt_number(context *c)
{
    unsigned vector = (unsigned)c->insn->immediate & 0xFF;
    int redirected;
    if (c->cpu->rflags & RFLAGS_VM) {
        TRY(is_redirected(c, vector, &redirected));
        if (redirected)
            return interrupt_8086(c, vector);
        if (iopl(c) < 3)
            return fault(c, GP, 0, 0);
    }
    return interrupt(c, vector, 1);
}

static NOINLINE int execute_int(context *c)
{
    return transferred(c, interrupt_number(c));
}

static NOINLINE int execute_int3(context *c)
{
    TRY(stop_at_int3(c, linear_rip(c)));
    return transferred(c, interrupt(c, BP, 1));
}

static NOINLINE int execute_into(context *c)
{
    return c->cpu->rflags & OF ? transferred(c, interrupt(c, OVERFLOW, 1)) : 0;
}

static NOINLINE int execute_int1(context *c)
{
    int kind = transferred(c, interrupt(c, DB, 0));
    if (kind == VMMKIT_EXIT_FAULT)
        add_external(c);
    return kind;
}
