/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_msr.py. */

#define CR4_TSD 4u
#define CR4_PCE 0x100u

enum { MSR_TSC = 0x10 };
enum { ANY_VALUE, CANONICAL, NARROW, MEMORY_TYPES, SUPERVISOR_COMPONENTS, EFER_BITS, PASID_BITS };

/* The word of an MSR that the record holds, and which values WRMSR may give it; else NULL. */
static uint64_t *held_msr(context *c, uint32_t index, int *accepts)
{
    vmmkit_cpu *cpu = c->cpu;
    *accepts = CANONICAL;
    switch (index) {
    case 0x174:
        *accepts = ANY_VALUE;
        return &cpu->sysenter_cs;
    case 0x175:
        return &cpu->sysenter_esp;
    case 0x176:
        return &cpu->sysenter_eip;
    case 0x277:
        *accepts = MEMORY_TYPES;
        return &cpu->pat;
    case 0xD93:
        *accepts = PASID_BITS;
        return &cpu->pasid;
    case 0xDA0:
        *accepts = SUPERVISOR_COMPONENTS;
        return &cpu->xss;
    case 0xC0000080:
        *accepts = EFER_BITS;
        return &cpu->efer;
    case 0xC0000081:
        *accepts = ANY_VALUE;
        return &cpu->star;
    case 0xC0000082:
        return &cpu->lstar;
    case 0xC0000083:
        return &cpu->cstar;
    case 0xC0000084:
        *accepts = NARROW;
        return &cpu->sfmask;
    case 0xC0000100:
        return &segment_words(c, FS)[BASE];
    case 0xC0000101:
        return &segment_words(c, GS)[BASE];
    case 0xC0000102:
        return &cpu->kernel_gs_base;
    case 0xC0000103:
        *accepts = NARROW;
        return &cpu->tsc_aux;
    default:
        return NULL;
    }
}

static int are_memory_types(uint64_t value)
{
    for (; value; value >>= 8)
        if ((value & 0xFF) > 7 || (value & 0xFF) == 2 || (value & 0xFF) == 3)
            return 0;
    return 1;
}

static uint64_t time_stamp(const vmmkit_cpu *cpu)
{
    return cpu->retired + cpu->tsc_offset;
}

static int ask(context *c, int kind, uint64_t index, uint64_t *value)
{
    TRY(device(c, kind, index, 0, value));
    if (!c->cpu->refused)
        return 0;
    c->cpu->refused = 0;
    return fault(c, GP, 0, 0);
}

static int execute_rdmsr(context *c)
{
    uint32_t index = (uint32_t)c->cpu->gpr[RCX];
    uint64_t value = 0;
    const uint64_t *held;
    int accepts;
    TRY(check_cpl0(c));
    held = held_msr(c, index, &accepts);
    if (index == MSR_TSC)
        value = time_stamp(c->cpu);
    else if (held)
        value = *held;
    else
        TRY(ask(c, VMMKIT_EXIT_READ_MSR, index, &value));
    set_edx_eax(c, value);
    return 0;
}

static int is_efer(const vmmkit_cpu *cpu, uint64_t value)
{
    uint64_t allowed = EFER_LMA;
    if (cpu->features & FEATURE_BIT(SYSCALL))
        allowed |= EFER_SCE;
    if (cpu->features & FEATURE_BIT(LM))
        allowed |= EFER_LME;
    if (cpu->features & FEATURE_BIT(NX))
        allowed |= EFER_NXE;
    return !(value & ~allowed || (cpu->cr0 & CR0_PG && (value ^ cpu->efer) & EFER_LME));
}

static int is_acceptable(const context *c, int accepts, uint64_t value)
{
    switch (accepts) {
    case CANONICAL:
        return is_canonical(c, value);
    case NARROW:
        return value <= LOW_32;
    case MEMORY_TYPES:
        return are_memory_types(value);
    case SUPERVISOR_COMPONENTS:
        return c->cpu->features & FEATURE_BIT(XSAVES) && !value;
    case PASID_BITS:
        return c->cpu->features & FEATURE_BIT(ENQCMD) && !(value & ~(uint64_t)0x800FFFFFu);
    case EFER_BITS:
        return is_efer(c->cpu, value);
    default:
        return 1;
    }
}

static int execute_wrmsr(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint32_t index = (uint32_t)cpu->gpr[RCX];
    uint64_t value = edx_eax(c), *held;
    int accepts;
    TRY(check_cpl0(c));
    if (index == MSR_TSC && !cpu->tsc_write_exits) {
        cpu->tsc_offset = value - cpu->retired;
        return 0;
    }
    held = held_msr(c, index, &accepts);
    if (!held)
        return ask(c, VMMKIT_EXIT_WRITE_MSR, index, &value);
    if (!is_acceptable(c, accepts, value))
        return fault(c, GP, 0, 0);
    if (accepts == EFER_BITS)
        value = (value & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA);
    *held = value;
    return 0;
}

static int execute_rdtsc(context *c)
{
    if (c->cpl && c->cpu->cr4 & CR4_TSD)
        return fault(c, GP, 0, 0);
    set_edx_eax(c, time_stamp(c->cpu));
    return 0;
}

static int execute_rdtscp(context *c)
{
    TRY(execute_rdtsc(c));
    c->cpu->gpr[RCX] = c->cpu->tsc_aux & LOW_32;
    return 0;
}

static int execute_rdpid(context *c)
{
    unsigned size = operand_bytes(c, 0);
    write_register(c, modrm_rm(c), size, c->cpu->tsc_aux & mask_of(size));
    return 0;
}

static int execute_rdpmc(context *c)
{
    uint64_t value = 0;
    if (c->cpl && !(c->cpu->cr4 & CR4_PCE))
        return fault(c, GP, 0, 0);
    TRY(ask(c, VMMKIT_EXIT_READ_PMC, c->cpu->gpr[RCX] & LOW_32, &value));
    set_edx_eax(c, value);
    return 0;
}

/* The leaf is the exit's address, the subleaf its size. */
static int execute_cpuid(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t low = 0, high = cpu->answer_high;
    TRY(device(c, VMMKIT_EXIT_CPUID, cpu->gpr[RAX] & LOW_32, (unsigned)cpu->gpr[RCX], &low));
    cpu->gpr[RAX] = low & LOW_32;
    cpu->gpr[RBX] = low >> 32;
    cpu->gpr[RCX] = high & LOW_32;
    cpu->gpr[RDX] = high >> 32;
    return 0;
}

static int execute_random(context *c, uint64_t seed)
{
    unsigned size = c->insn->operand_size;
    uint64_t value = seed;
    int refused;
    TRY(device(c, VMMKIT_EXIT_RANDOM, 0, size, &value));
    refused = c->cpu->refused != 0;
    c->cpu->refused = 0;
    write_register(c, modrm_rm(c), size, refused ? 0 : value & mask_of(size));
    set_status(c, refused ? 0 : CF, STATUS);
    return 0;
}
