/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_decode_checks.py. */

static inline unsigned effective_length(const decoder *d)
{
    return d->out->mask & VMMKIT_MASK_B && d->out->modrm >= 0xC0 ? 2 : d->vector_length;
}

static inline unsigned reg_number(const decoder *d)
{
    const vmmkit_insn *out = d->out;
    return ((unsigned)out->modrm >> 3 & 7) | (out->rex & 4u) << 1 |
           (out->rex & VMMKIT_REX_R4 ? 16 : 0);
}

static inline unsigned rm_number(const decoder *d)
{
    const vmmkit_insn *out = d->out;
    unsigned rm = ((unsigned)out->modrm & 7) | (out->rex & 1u) << 3;
    if (out->prefixes & VMMKIT_PREFIX_EVEX)
        return rm | (out->rex & 2u) << 3;
    return rm | (out->rex & VMMKIT_REX_B4 ? 16 : 0);
}

/* CR0, CR2, CR3, CR4 and CR8. */
#define CONTROL_REGISTERS 0x11Du

static inline int kind_refuses(const decoder *d, unsigned kind)
{
    unsigned reg = kind == VMMKIT_KIND_S ? reg_number(d) & 7 : reg_number(d);
    return reg >= reg_limits[kind] || (d->out->modrm >= 0xC0 && rm_number(d) >= rm_limits[kind]) ||
           d->out->vvvv >= vvvv_limits[kind] ||
           (kind == VMMKIT_KIND_C && !(CONTROL_REGISTERS >> reg & 1));
}

static NOINLINE int check_registers(const decoder *d)
{
    for (int place = 0; place < 4 && d->row->kinds[place]; place++)
        if (kind_refuses(d, d->row->kinds[place]))
            return VMMKIT_DECODE_INVALID;
    if (d->row->kinds[0] == VMMKIT_KIND_S && (reg_number(d) & 7) == CS)
        return VMMKIT_DECODE_INVALID;
    return d->out->prefixes & ((d->row->flags & VMMKIT_FLAG_NO66 ? VMMKIT_PREFIX_OPERAND_SIZE : 0) |
                               (d->row->flags & VMMKIT_FLAG_NOREX2 ? VMMKIT_PREFIX_REX2 : 0))
               ? VMMKIT_DECODE_INVALID
               : 0;
}

static int check_evex(const decoder *d)
{
    unsigned flags = d->row->flags, mask = d->out->mask;
    int memory = d->out->modrm < 0xC0, opmask = mask & 7, zeroing = mask & VMMKIT_MASK_Z;
    int allowed = memory ? d->row->broadcast : (flags & VMMKIT_FLAG_SAE) != 0;
    int refused = (mask & VMMKIT_MASK_B && !allowed) || effective_length(d) == 3 ||
                  (opmask && !(flags & VMMKIT_FLAG_MASKING)) ||
                  (!opmask && flags & VMMKIT_FLAG_MASKED) ||
                  (zeroing && !(flags & VMMKIT_FLAG_ZEROING && opmask)) ||
                  (zeroing && memory && d->row->memory == 0) ||
                  (d->row->kinds[0] == VMMKIT_KIND_G && d->out->rex & VMMKIT_REX_R4);
    if (!refused && mask & VMMKIT_MASK_B && !memory)
        d->out->mask |= (uint8_t)(d->vector_length << 5);
    return refused ? VMMKIT_DECODE_INVALID : 0;
}

static int unique(const decoder *d)
{
    const vmmkit_insn *out = d->out;
    unsigned reg = reg_number(d);
    unsigned source = out->modrm >= 0xC0 ? rm_number(d) : (unsigned)out->index;
    int has_vvvv = d->row->flags & VMMKIT_FLAG_VVVV;
    if (reg == source || (has_vvvv && reg == out->vvvv))
        return 0;
    return out->prefixes & VMMKIT_PREFIX_EVEX || !has_vvvv || out->vvvv != source;
}

static NOINLINE int check_vector(decoder *d)
{
    vmmkit_insn *out = d->out;
    unsigned flags = d->row->flags;
    unsigned spare = flags & VMMKIT_FLAG_VSIB ? out->vvvv & 15 : out->vvvv;
    if (!(flags & VMMKIT_FLAG_VVVV) && spare)
        return VMMKIT_DECODE_INVALID;
    if (out->mode != 64) {
        if (out->vvvv & 16)
            return VMMKIT_DECODE_INVALID;
        out->vvvv &= 7;
    }
    if (out->prefixes & VMMKIT_PREFIX_EVEX)
        TRY(check_evex(d));
    if (flags & VMMKIT_FLAG_UNIQ && !unique(d))
        return VMMKIT_DECODE_INVALID;
    out->vector_length = (uint8_t)(16u << effective_length(d));
    return 0;
}
