/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_system.py, and the tables of the files it calls. */

enum { ONE_ADDRESS, ONE_CONTEXT, LAST_TYPE = 3, PCID_BITS = 12, MWAIT_HINTS = 1 };

static int read_invpcid(context *c, uint64_t *pcid, uint64_t *linear)
{
    uint64_t offset = effective_address(c, NULL);
    uint64_t following = (offset + 8) & mask_of(c->insn->address_size);
    span low, high;
    TRY(locate(c, c->insn->segment, offset, 8, 0, &low));
    TRY(locate(c, c->insn->segment, following, 8, 0, &high));
    TRY(load(c, &low, pcid));
    return load(c, &high, linear);
}

static int execute_invpcid(context *c)
{
    uint64_t kind = read_register(c, modrm_reg(c), operand_bytes(c, 0)), pcid, linear;
    TRY(check_cpl0(c));
    TRY(read_invpcid(c, &pcid, &linear));
    if (kind > LAST_TYPE || pcid >> PCID_BITS)
        return fault(c, GP, 0, 0);
    if (kind <= ONE_CONTEXT && pcid && !(c->cpu->cr4 & CR4_PCIDE))
        return fault(c, GP, 0, 0);
    if (kind == ONE_ADDRESS && !is_canonical(c, linear))
        return fault(c, GP, 0, 0);
    distrust(c);
    return 0;
}

static int check_supervisor(context *c)
{
    return c->cpl ? fault(c, UD, 0, 0) : 0;
}

static int check_extensions(context *c, uint64_t known)
{
    TRY(check_supervisor(c));
    return read_register(c, RCX, c->mode == 64 ? 8 : 4) & ~known ? fault(c, GP, 0, 0) : 0;
}

static int execute_monitor(context *c)
{
    uint64_t offset = c->cpu->gpr[RAX] & mask_of(c->insn->address_size);
    span where;
    TRY(check_extensions(c, 0));
    return locate(c, c->insn->segment >= 0 ? c->insn->segment : DS, offset, 1, 0, &where);
}

static int execute_mwait(context *c)
{
    return check_extensions(c, MWAIT_HINTS);
}

static int execute_set_ac(context *c, uint64_t ac)
{
    TRY(check_supervisor(c));
    c->cpu->rflags = (c->cpu->rflags & ~(uint64_t)RFLAGS_AC) | ac;
    return 0;
}

static int execute_model_specific(context *c, unsigned op)
{
    switch (op) {
    case VMMKIT_OP_RDMSR:
        return execute_rdmsr(c);
    case VMMKIT_OP_WRMSR:
        return execute_wrmsr(c);
    case VMMKIT_OP_RDTSC:
        return execute_rdtsc(c);
    case VMMKIT_OP_RDTSCP:
        return execute_rdtscp(c);
    case VMMKIT_OP_RDPID:
        return execute_rdpid(c);
    case VMMKIT_OP_RDPMC:
        return execute_rdpmc(c);
    case VMMKIT_OP_CPUID:
        return execute_cpuid(c);
    case VMMKIT_OP_RDRAND:
        return execute_random(c, 0);
    case VMMKIT_OP_RDSEED:
        return execute_random(c, 1);
    default:
        return execute_hint(c, op);
    }
}

static int execute_fast_call(context *c, unsigned op)
{
    switch (op) {
    case VMMKIT_OP_SYSCALL:
        return execute_syscall(c);
    case VMMKIT_OP_SYSRET:
        return execute_sysret(c);
    case VMMKIT_OP_SYSENTER:
        return execute_sysenter(c);
    case VMMKIT_OP_SYSEXIT:
        return execute_sysexit(c);
    case VMMKIT_OP_SWAPGS:
        return execute_swapgs(c);
    case VMMKIT_OP_RDFSBASE:
        return execute_read_base(c, FS);
    case VMMKIT_OP_RDGSBASE:
        return execute_read_base(c, GS);
    case VMMKIT_OP_WRFSBASE:
        return execute_write_base(c, FS);
    case VMMKIT_OP_WRGSBASE:
        return execute_write_base(c, GS);
    default:
        return execute_model_specific(c, op);
    }
}

static int execute_descriptor(context *c, unsigned op)
{
    vmmkit_cpu *cpu = c->cpu;
    switch (op) {
    case VMMKIT_OP_SGDT:
        return execute_store_table(c, cpu->gdtr_base, cpu->gdtr_limit);
    case VMMKIT_OP_SIDT:
        return execute_store_table(c, cpu->idtr_base, cpu->idtr_limit);
    case VMMKIT_OP_LGDT:
        return execute_load_table(c, &cpu->gdtr_base, &cpu->gdtr_limit);
    case VMMKIT_OP_LIDT:
        return execute_load_table(c, &cpu->idtr_base, &cpu->idtr_limit);
    case VMMKIT_OP_SLDT:
        return execute_store_selector(c, LDTR);
    case VMMKIT_OP_STR:
        return execute_store_selector(c, TR);
    case VMMKIT_OP_LLDT:
        return execute_lldt(c);
    case VMMKIT_OP_LTR:
        return execute_ltr(c);
    case VMMKIT_OP_LAR:
        return execute_lar(c);
    case VMMKIT_OP_LSL:
        return execute_lsl(c);
    case VMMKIT_OP_VERR:
        return execute_verify(c, 0);
    case VMMKIT_OP_VERW:
        return execute_verify(c, 1);
    default:
        return execute_fast_call(c, op);
    }
}

static int execute_control_register(context *c, unsigned op)
{
    switch (op) {
    case VMMKIT_OP_MOVFROMCR:
        return execute_mov_from_cr(c);
    case VMMKIT_OP_MOVTOCR:
        return execute_mov_to_cr(c);
    case VMMKIT_OP_MOVFROMDR:
        return execute_mov_from_dr(c);
    case VMMKIT_OP_MOVTODR:
        return execute_mov_to_dr(c);
    case VMMKIT_OP_CLTS:
        return execute_clts(c);
    case VMMKIT_OP_LMSW:
        return execute_lmsw(c);
    case VMMKIT_OP_SMSW:
        return execute_smsw(c);
    case VMMKIT_OP_RDPKRU:
        return execute_rdpkru(c);
    case VMMKIT_OP_WRPKRU:
        return execute_wrpkru(c);
    default:
        return execute_descriptor(c, op);
    }
}

static NOINLINE int execute_system(context *c, unsigned op)
{
    switch (op) {
    case VMMKIT_OP_INVLPG:
        TRY(check_cpl0(c));
        distrust(c);
        return 0;
    case VMMKIT_OP_INVD:
    case VMMKIT_OP_WBINVD:
    case VMMKIT_OP_WBNOINVD:
        return check_cpl0(c);
    case VMMKIT_OP_SERIALIZE:
        FENCE();
        return 0;
    case VMMKIT_OP_VMCALL:
    case VMMKIT_OP_VMMCALL:
        return VMMKIT_EXIT_HYPERCALL;
    case VMMKIT_OP_INVPCID:
        return execute_invpcid(c);
    case VMMKIT_OP_MONITOR:
        return execute_monitor(c);
    case VMMKIT_OP_MWAIT:
        return execute_mwait(c);
    case VMMKIT_OP_STAC:
        return execute_set_ac(c, RFLAGS_AC);
    case VMMKIT_OP_CLAC:
        return execute_set_ac(c, 0);
    default:
        return execute_control_register(c, op);
    }
}
