/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_decimal.py. */

static inline int execute_unpacked(context *c, unsigned op)
{
    unsigned value = (unsigned)read_register(c, RAX, 2);
    int carries = (value & 0xF) > 9 || c->cpu->rflags & AF;
    if (carries)
        value += op == VMMKIT_OP_AAA ? 0x106u : 0u - 0x106u;
    value &= 0xFF0F;
    write_register(c, RAX, 2, value);
    set_status(c, logic_flags(value & 0xFF, 1) | (carries ? AF | CF : 0u), STATUS);
    return 0;
}

static inline int execute_packed(context *c, unsigned op)
{
    unsigned old = (unsigned)read_register(c, RAX, 1), value = old;
    unsigned before = (unsigned)c->cpu->rflags, flags = before & CF;
    int adds = op == VMMKIT_OP_DAA;
    if ((old & 0xF) > 9 || before & AF) {
        value += adds ? 6u : 0u - 6u;
        flags |= AF | (value > 0xFF ? CF : 0u);
    }
    if (old > 0x99 || before & CF) {
        value += adds ? 0x60u : 0u - 0x60u;
        flags |= CF;
    }
    value &= 0xFF;
    write_register(c, RAX, 1, value);
    set_status(c, logic_flags(value, 1) | flags, STATUS);
    return 0;
}

static inline int execute_aam(context *c)
{
    unsigned base = (unsigned)c->insn->immediate & 0xFF;
    unsigned value = (unsigned)read_register(c, RAX, 1);
    if (!base)
        return fault(c, DE, 0, 0);
    write_register(c, RAX, 2, (uint64_t)(value / base) << 8 | value % base);
    set_status(c, logic_flags(value % base, 1), STATUS);
    return 0;
}

static inline int execute_aad(context *c)
{
    unsigned value = (unsigned)read_register(c, RAX, 2);
    unsigned low = (value + (value >> 8) * ((unsigned)c->insn->immediate & 0xFF)) & 0xFF;
    write_register(c, RAX, 2, low);
    set_status(c, logic_flags(low, 1), STATUS);
    return 0;
}

static inline int execute_salc(context *c)
{
    write_register(c, RAX, 1, c->cpu->rflags & CF ? 0xFF : 0);
    return 0;
}
