/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_control.py. */

enum { TSS_IO_BASE = 102 };

static inline int branch(context *c, uint64_t destination)
{
    destination &= mask_of(c->insn->operand_size);
    TRY(check_branch(c, destination));
    c->next_rip = destination;
    return 0;
}

static inline int jump_relative(context *c)
{
    return branch(c, c->next_rip + (uint64_t)c->insn->immediate);
}

static inline int execute_jcc(context *c)
{
    return condition(c->insn->opcode & 15, c->cpu->rflags) ? jump_relative(c) : 0;
}

static inline int execute_jmp(context *c)
{
    uint64_t value;
    if (c->insn->modrm < 0)
        return jump_relative(c);
    TRY(value_of(c, 0, c->insn->operand_size, &value));
    return branch(c, value);
}

static inline int execute_call(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t value = (c->next_rip + (uint64_t)c->insn->immediate) & mask_of(size);
    int indirect = c->insn->modrm >= 0;
    target where;
    span stack;
    if (indirect)
        TRY(locate_target(c, 0, &where));
    TRY(push_span(c, size, size, &stack));
    if (indirect)
        TRY(read_target(c, &where, size, &value));
    TRY(check_branch(c, value));
    TRY(store(c, &stack, c->next_rip & mask_of(size)));
    c->cpu->gpr[RSP] = move_stack(c, 0 - (uint64_t)size);
    c->next_rip = value;
    return 0;
}

static inline int execute_ret(context *c)
{
    uint64_t value;
    span stack;
    TRY(pop_span(c, &stack));
    TRY(load(c, &stack, &value));
    TRY(check_branch(c, value));
    c->cpu->gpr[RSP] = move_stack(c, c->insn->operand_size + ((uint64_t)c->insn->immediate & 0xFFFF));
    c->next_rip = value;
    return 0;
}

static inline int execute_loop(context *c, unsigned op)
{
    unsigned size = c->insn->address_size;
    uint64_t count = (read_register(c, RCX, size) - 1) & mask_of(size);
    int zero = (c->cpu->rflags & ZF) != 0;
    if (count && (op == VMMKIT_OP_LOOP || zero == (op == VMMKIT_OP_LOOPE)))
        TRY(jump_relative(c));
    write_register(c, RCX, size, count);
    return 0;
}

static inline int execute_jcxz(context *c)
{
    return read_register(c, RCX, c->insn->address_size) ? 0 : jump_relative(c);
}

static NOINLINE int check_bitmap(context *c, unsigned port, unsigned size)
{
    const uint64_t *words = segment_words(c, TR);
    uint64_t type = words[ATTRIBUTES] & 15, map_base, offset, bits;
    if ((type != 9 && type != 11) || words[LIMIT] < TSS_IO_BASE + 1)
        return fault(c, GP, 0, 0);
    TRY(system_load(c, words[BASE] + TSS_IO_BASE, 2, &map_base));
    offset = map_base + port / 8;
    if (offset + 1 > words[LIMIT])
        return fault(c, GP, 0, 0);
    TRY(system_load(c, words[BASE] + offset, 2, &bits));
    return bits >> (port & 7) & ((1u << size) - 1) ? fault(c, GP, 0, 0) : 0;
}

static inline int check_port(context *c, unsigned port, unsigned size)
{
    if (UNLIKELY(c->watched))
        watch_port(c, port, size);
    if (!(c->cpu->cr0 & CR0_PE) || (c->cpl <= iopl(c) && !(c->cpu->rflags & RFLAGS_VM)))
        return 0;
    return check_bitmap(c, port, size);
}

static inline unsigned port_number(const context *c, int place)
{
    if (c->row->kinds[place] == VMMKIT_KIND_D)
        return (unsigned)c->cpu->gpr[RDX] & 0xFFFF;
    return (unsigned)c->insn->immediate & 0xFF;
}

static inline int execute_in(context *c)
{
    unsigned size = operand_bytes(c, 0), port = port_number(c, 1);
    uint64_t value = 0;
    TRY(check_port(c, port, size));
    TRY(device(c, VMMKIT_EXIT_PORT_IN, port, size, &value));
    write_register(c, RAX, size, value);
    return 0;
}

static inline int execute_out(context *c)
{
    unsigned size = operand_bytes(c, 1), port = port_number(c, 0);
    uint64_t value = read_register(c, RAX, size);
    TRY(check_port(c, port, size));
    return device(c, VMMKIT_EXIT_PORT_OUT, port, size, &value);
}

static inline int execute_hlt(context *c)
{
    return c->cpl ? fault(c, GP, 0, 0) : VMMKIT_EXIT_HALT;
}

static inline int interrupt_flag(context *c, uint64_t *flag)
{
    uint64_t extension = c->cpu->rflags & RFLAGS_VM ? CR4_VME : CR4_PVI;
    *flag = IF;
    if (c->cpl <= iopl(c))
        return 0;
    *flag = VIF;
    return c->cpl == 3 && c->cpu->cr4 & extension ? 0 : fault(c, GP, 0, 0);
}

static inline int execute_cli(context *c)
{
    uint64_t flag;
    TRY(interrupt_flag(c, &flag));
    c->cpu->rflags &= ~flag;
    return 0;
}

static inline int execute_sti(context *c)
{
    uint64_t flag;
    TRY(interrupt_flag(c, &flag));
    if (flag == VIF && c->cpu->rflags & VIP)
        return fault(c, GP, 0, 0);
    if (flag == IF && !(c->cpu->rflags & IF))
        c->shadow = SHADOW_STI;
    c->cpu->rflags |= flag;
    return 0;
}

static inline int execute_flag(context *c, unsigned cleared, unsigned toggled)
{
    c->cpu->rflags = (c->cpu->rflags & ~(uint64_t)cleared) ^ toggled;
    return 0;
}
