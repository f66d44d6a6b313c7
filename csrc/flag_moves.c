/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_flag_moves.py. */

enum { IN_AH = SF | ZF | AF | PF | CF };

static inline int execute_setcc(context *c)
{
    target where;
    TRY(locate_target(c, 0, &where));
    return write_target(c, &where, 1, (uint64_t)condition(c->insn->opcode & 15, c->cpu->rflags));
}

static inline int execute_cmovcc(context *c)
{
    unsigned size = c->insn->operand_size, reg = modrm_reg(c);
    uint64_t value;
    TRY(value_of(c, 1, size, &value));
    if (!condition(c->insn->opcode & 15, c->cpu->rflags))
        value = read_register(c, reg, size);
    write_register(c, reg, size, value);
    return 0;
}

static inline int check_lahf(context *c)
{
    if (c->mode == 64 && !(c->cpu->features >> VMMKIT_FEATURE_LAHF64 & 1))
        return fault(c, UD, 0, 0);
    return 0;
}

static inline int execute_lahf(context *c)
{
    uint64_t flags = (c->cpu->rflags & IN_AH) | 2;
    TRY(check_lahf(c));
    c->cpu->gpr[RAX] = (c->cpu->gpr[RAX] & ~(uint64_t)0xFF00) | flags << 8;
    return 0;
}

static inline int execute_sahf(context *c)
{
    TRY(check_lahf(c));
    set_status(c, (unsigned)(c->cpu->gpr[RAX] >> 8), IN_AH);
    return 0;
}
