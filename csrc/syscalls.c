/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_syscalls.py. */

#define EFER_SCE 1u
#define RFLAGS_SYSRET 0x3C7FD7u
#define FLAT_LIMIT 0xFFFFFFFFu

enum { R11 = 11, RFLAGS_ALWAYS = 2, RFLAGS_RF = 1 << 16 };
enum { CODE_32 = 0xC09B, CODE_64 = 0xA09B, DATA_32 = 0xC093 };

static void set_flat(context *c, uint64_t code, uint64_t stack, unsigned attributes, unsigned ring)
{
    unsigned dpl = ring << 5;
    set_segment(c, CS, (code & 0xFFFC) | ring, 0, FLAT_LIMIT, attributes | dpl);
    set_segment(c, SS, (stack & 0xFFFC) | ring, 0, FLAT_LIMIT, DATA_32 | dpl);
}

static void set_flags_and_trap(context *c, uint64_t flags)
{
    c->cpu->rflags = flags | RFLAGS_ALWAYS;
    c->debug = (c->debug & ~(uint64_t)DR6_BS) | (flags & TF ? DR6_BS : 0);
}

static int check_syscall(context *c)
{
    return c->mode != 64 || !(c->cpu->efer & EFER_SCE) ? fault(c, UD, 0, 0) : 0;
}

static int execute_syscall(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t selector = cpu->star >> 32, flags = cpu->rflags & ~(uint64_t)RFLAGS_RF;
    TRY(check_syscall(c));
    cpu->gpr[RCX] = c->next_rip;
    cpu->gpr[R11] = flags;
    set_flags_and_trap(c, flags & ~cpu->sfmask);
    set_flat(c, selector & 0xFFFC, (selector & 0xFFFC) + 8, CODE_64, 0);
    c->next_rip = cpu->lstar;
    return 0;
}

static int execute_sysret(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t selector = cpu->star >> 48;
    int wide = c->insn->operand_size == 8;
    TRY(check_syscall(c));
    TRY(check_cpl0(c));
    if (wide && !is_canonical(c, cpu->gpr[RCX]))
        return fault(c, GP, 0, 0);
    set_flags_and_trap(c, cpu->gpr[R11] & RFLAGS_SYSRET);
    set_flat(c, wide ? selector + 16 : selector, selector + 8, wide ? CODE_64 : CODE_32, 3);
    c->next_rip = cpu->gpr[RCX] & mask_of(wide ? 8 : 4);
    return 0;
}

static int check_sysenter(context *c)
{
    return !(c->cpu->cr0 & CR0_PE) || !(c->cpu->sysenter_cs & 0xFFFC) ? fault(c, GP, 0, 0) : 0;
}

static int execute_sysenter(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t selector = cpu->sysenter_cs & 0xFFFC;
    int long_mode = (cpu->efer & EFER_LMA) != 0;
    TRY(check_sysenter(c));
    cpu->rflags &= ~(uint64_t)(RFLAGS_VM | IF | RFLAGS_RF);
    set_flat(c, selector, selector + 8, long_mode ? CODE_64 : CODE_32, 0);
    cpu->gpr[RSP] = cpu->sysenter_esp & mask_of(long_mode ? 8 : 4);
    c->next_rip = cpu->sysenter_eip & mask_of(long_mode ? 8 : 4);
    return 0;
}

static int execute_sysexit(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t selector = cpu->sysenter_cs & 0xFFFC;
    int wide = c->insn->operand_size == 8;
    TRY(check_sysenter(c));
    TRY(check_cpl0(c));
    if (wide && !(is_canonical(c, cpu->gpr[RCX]) && is_canonical(c, cpu->gpr[RDX])))
        return fault(c, GP, 0, 0);
    selector += wide ? 32 : 16;
    set_flat(c, selector, selector + 8, wide ? CODE_64 : CODE_32, 3);
    cpu->gpr[RSP] = cpu->gpr[RCX] & mask_of(wide ? 8 : 4);
    c->next_rip = cpu->gpr[RDX] & mask_of(wide ? 8 : 4);
    return 0;
}

static int execute_swapgs(context *c)
{
    uint64_t *base = &segment_words(c, GS)[BASE], old = *base;
    TRY(check_cpl0(c));
    *base = c->cpu->kernel_gs_base;
    c->cpu->kernel_gs_base = old;
    return 0;
}

static int check_fsgsbase(context *c)
{
    return c->cpu->cr4 & CR4_FSGSBASE ? 0 : fault(c, UD, 0, 0);
}

static int execute_read_base(context *c, int segment)
{
    unsigned size = operand_bytes(c, 0);
    TRY(check_fsgsbase(c));
    write_register(c, modrm_rm(c), size, segment_words(c, segment)[BASE] & mask_of(size));
    return 0;
}

static int execute_write_base(context *c, int segment)
{
    uint64_t value = read_register(c, modrm_rm(c), operand_bytes(c, 0));
    TRY(check_fsgsbase(c));
    if (!is_canonical(c, value))
        return fault(c, GP, 0, 0);
    segment_words(c, segment)[BASE] = value;
    return 0;
}
