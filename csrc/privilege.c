/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_privilege.py. */

#define FEATURE_BIT(name) ((uint64_t)1 << VMMKIT_FEATURE_##name)
#define LOW_32 0xFFFFFFFFu

static int check_cpl0(context *c)
{
    return c->cpl ? fault(c, GP, 0, 0) : 0;
}

static int check_protected(context *c)
{
    return c->real ? fault(c, UD, 0, 0) : 0;
}

static int check_umip(context *c)
{
    return c->cpl && c->cpu->cr4 & CR4_UMIP ? fault(c, GP, 0, 0) : 0;
}

static uint64_t edx_eax(const context *c)
{
    return c->cpu->gpr[RDX] << 32 | (c->cpu->gpr[RAX] & LOW_32);
}

static void set_edx_eax(context *c, uint64_t value)
{
    write_register(c, RAX, 4, value & LOW_32);
    write_register(c, RDX, 4, value >> 32);
}
