/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_control_registers.py. */

#define CR0_TS 8u
#define CR0_ET 0x10u
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_DEFINED 0xE005003Fu
#define CR0_RELOADS (CR0_PG | CR0_CD | CR0_NW)
#define LMSW_BITS 0xFu
#define NO_FLUSH ((uint64_t)1 << 63)
#define CR4_RELOADS (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define CR4_ALWAYS 0x1FFu
#define DR6_BD 0x2000u

enum { CR8_HIGHEST = 15 };

static const struct {
    uint64_t feature;
    uint32_t bits;
} cr4_of_features[] = {
    {FEATURE_BIT(FXSR), CR4_OSFXSR},
    {FEATURE_BIT(SSE), 1u << 10},
    {FEATURE_BIT(UMIP), CR4_UMIP},
    {FEATURE_BIT(LA57), CR4_LA57},
    {FEATURE_BIT(FSGSBASE), CR4_FSGSBASE},
    {FEATURE_BIT(PCID), CR4_PCIDE},
    {FEATURE_BIT(XSAVE), CR4_OSXSAVE},
    {FEATURE_BIT(SMEP), CR4_SMEP},
    {FEATURE_BIT(SMAP), CR4_SMAP},
    {FEATURE_BIT(PKU), CR4_PKE},
};

static int check_pdptes(context *c, uint64_t cr3)
{
    uint64_t reserved = PDPTE_RESERVED | bits_from(physical_bits(c->cpu));
    uint64_t table = cr3 & page_modes[MODE_PAE].root;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t entry;
        TRY(load_physical(c, table + 8 * i, 8, &entry));
        if (entry & ENTRY_P && entry & reserved)
            return fault(c, GP, 0, 0);
    }
    return 0;
}

static int may_activate(context *c)
{
    uint64_t cs = segment_words(c, CS)[ATTRIBUTES];
    uint64_t tss = segment_words(c, TR)[ATTRIBUTES] & (ATTR_S | 15);
    return c->cpu->cr4 & CR4_PAE && !(cs & ATTR_L) && tss != 1 && tss != 3;
}

static int efer_with(context *c, uint64_t cr0, uint64_t *efer)
{
    uint64_t changed = cr0 ^ c->cpu->cr0;
    *efer = c->cpu->efer;
    if (changed & cr0 & CR0_PG && *efer & EFER_LME) {
        if (!may_activate(c))
            return fault(c, GP, 0, 0);
        *efer |= EFER_LMA;
    } else if (changed & ~cr0 & CR0_PG) {
        if (c->mode == 64 || c->cpu->cr4 & CR4_PCIDE)
            return fault(c, GP, 0, 0);
        *efer &= ~(uint64_t)EFER_LMA;
    }
    return 0;
}

static int set_cr0(context *c, uint64_t value)
{
    uint64_t efer;
    int pae;
    if (value >> 32 || (value & (CR0_PG | CR0_PE)) == CR0_PG ||
        (value & (CR0_NW | CR0_CD)) == CR0_NW)
        return fault(c, GP, 0, 0);
    value = (value & CR0_DEFINED) | CR0_ET;
    TRY(efer_with(c, value, &efer));
    pae = value & CR0_PG && c->cpu->cr4 & CR4_PAE && !(efer & EFER_LMA);
    if (pae && (value ^ c->cpu->cr0) & CR0_RELOADS)
        TRY(check_pdptes(c, c->cpu->cr3));
    c->cpu->cr0 = value;
    c->cpu->efer = efer;
    return 0;
}

static int set_cr3(context *c, uint64_t value)
{
    const vmmkit_cpu *cpu = c->cpu;
    if (cpu->cr4 & CR4_PCIDE)
        value &= ~NO_FLUSH;
    if (value >> physical_bits(cpu))
        return fault(c, GP, 0, 0);
    if (cpu->cr0 & CR0_PG && cpu->cr4 & CR4_PAE && !(cpu->efer & EFER_LMA))
        TRY(check_pdptes(c, value));
    c->cpu->cr3 = value;
    distrust(c);
    return 0;
}

static uint64_t cr4_allowed(uint64_t features)
{
    uint64_t allowed = CR4_ALWAYS;
    for (size_t i = 0; i < sizeof cr4_of_features / sizeof *cr4_of_features; i++)
        if (features & cr4_of_features[i].feature)
            allowed |= cr4_of_features[i].bits;
    return allowed;
}

static int set_cr4(context *c, uint64_t value)
{
    const vmmkit_cpu *cpu = c->cpu;
    uint64_t changed = value ^ cpu->cr4;
    int long_mode = (cpu->efer & EFER_LMA) != 0;
    if (value & ~cr4_allowed(cpu->features))
        return fault(c, GP, 0, 0);
    if (long_mode && (changed & CR4_LA57 || !(value & CR4_PAE)))
        return fault(c, GP, 0, 0);
    if (changed & value & CR4_PCIDE && (!long_mode || cpu->cr3 & 0xFFF))
        return fault(c, GP, 0, 0);
    if (cpu->cr0 & CR0_PG && value & CR4_PAE && !long_mode && changed & CR4_RELOADS)
        TRY(check_pdptes(c, cpu->cr3));
    c->cpu->cr4 = value;
    return 0;
}

static int set_cr8(context *c, uint64_t value)
{
    if (value > CR8_HIGHEST)
        return fault(c, GP, 0, 0);
    c->cpu->tpr = value << 4;
    if (value < ATOMIC_LOAD(&c->cpu->tpr_threshold))
        return VMMKIT_EXIT_TPR_BELOW_THRESHOLD;
    return 0;
}

static uint64_t control_register(const vmmkit_cpu *cpu, unsigned number)
{
    switch (number) {
    case 0:
        return cpu->cr0;
    case 2:
        return cpu->cr2;
    case 3:
        return cpu->cr3;
    case 4:
        return cpu->cr4;
    default:
        return cpu->tpr >> 4 & CR8_HIGHEST;
    }
}

static int execute_mov_from_cr(context *c)
{
    unsigned size = operand_bytes(c, 0);
    TRY(check_cpl0(c));
    write_register(c, modrm_rm(c), size, control_register(c->cpu, modrm_reg(c)) & mask_of(size));
    return 0;
}

static int execute_mov_to_cr(context *c)
{
    uint64_t value;
    TRY(check_cpl0(c));
    value = read_register(c, modrm_rm(c), operand_bytes(c, 1));
    switch (modrm_reg(c)) {
    case 0:
        return set_cr0(c, value);
    case 2:
        c->cpu->cr2 = value;
        return 0;
    case 3:
        return set_cr3(c, value);
    case 4:
        return set_cr4(c, value);
    default:
        return set_cr8(c, value);
    }
}

static int debug_register(context *c, unsigned *number)
{
    *number = modrm_reg(c) & 7;
    if (*number == 4 || *number == 5) {
        if (c->cpu->cr4 & CR4_DE)
            return fault(c, UD, 0, 0);
        *number += 2;
    }
    TRY(check_cpl0(c));
    return c->cpu->dr[7] & DR7_GD ? fault(c, DB, 0, DR6_BD) : 0;
}

static int execute_mov_from_dr(context *c)
{
    unsigned size = operand_bytes(c, 0), number;
    TRY(debug_register(c, &number));
    write_register(c, modrm_rm(c), size, c->cpu->dr[number] & mask_of(size));
    return 0;
}

static int execute_mov_to_dr(context *c)
{
    unsigned number;
    uint64_t value;
    TRY(debug_register(c, &number));
    value = read_register(c, modrm_rm(c), operand_bytes(c, 1));
    if (number >= 6) {
        if (value >> 32)
            return fault(c, GP, 0, 0);
        value = number == 6 ? (value & 0xE00F) | 0xFFFF0FF0 : (value & 0xFFFF23FF) | 0x400;
    }
    c->cpu->dr[number] = value;
    return 0;
}

static int execute_clts(context *c)
{
    TRY(check_cpl0(c));
    c->cpu->cr0 &= ~(uint64_t)CR0_TS;
    return 0;
}

static int execute_lmsw(context *c)
{
    uint64_t value;
    TRY(check_cpl0(c));
    TRY(value_of(c, 0, 2, &value));
    c->cpu->cr0 = (c->cpu->cr0 & ~(uint64_t)(LMSW_BITS & ~CR0_PE)) | (value & LMSW_BITS);
    return 0;
}

static int execute_smsw(context *c)
{
    unsigned size = c->insn->modrm >= 0xC0 ? c->insn->operand_size : 2;
    target where;
    TRY(check_umip(c));
    TRY(locate_target(c, 0, &where));
    return write_target(c, &where, size, c->cpu->cr0 & mask_of(size));
}

static int check_pkru(context *c)
{
    if (!(c->cpu->cr4 & CR4_PKE))
        return fault(c, UD, 0, 0);
    return c->cpu->gpr[RCX] & LOW_32 ? fault(c, GP, 0, 0) : 0;
}

static int execute_rdpkru(context *c)
{
    TRY(check_pkru(c));
    set_edx_eax(c, c->cpu->pkru & LOW_32);
    return 0;
}

static int execute_wrpkru(context *c)
{
    TRY(check_pkru(c));
    if (c->cpu->gpr[RDX] & LOW_32)
        return fault(c, GP, 0, 0);
    c->cpu->pkru = c->cpu->gpr[RAX] & LOW_32;
    return 0;
}
