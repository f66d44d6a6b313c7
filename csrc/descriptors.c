/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_descriptors.py. */

#define BASE_24 0xFFFFFFu
#define CONFORMING (ATTR_S | TYPE_CODE | TYPE_EXPAND_DOWN)
#define LAR_MASK 0x00FFFF00u

enum { TYPE_BUSY = 2 };

/* Sets of system descriptor types, outside of IA-32e mode and in it. */
static const unsigned available_tss[2] = {1 << 1 | 1 << 9, 1 << 9};
static const unsigned ldt_types[2] = {1 << 2, 1 << 2};
static const unsigned lar_types[2] = {0x1A3E, 0x1A04};
static const unsigned lsl_types[2] = {0x0A0E, 0x0A04};
static const unsigned no_types[2] = {0, 0};

typedef struct {
    uint64_t address, value, base, limit, attributes;
    span read;
} system_descriptor;

static int locate_table(context *c, int write, span *limit, span *base)
{
    uint64_t offset = effective_address(c, NULL);
    uint64_t following = (offset + 2) & mask_of(c->insn->address_size);
    TRY(locate(c, c->insn->segment, offset, 2, write, limit));
    return locate(c, c->insn->segment, following, c->mode == 64 ? 8 : 4, write, base);
}

static int execute_store_table(context *c, uint64_t base, uint64_t limit)
{
    span where, behind;
    TRY(check_umip(c));
    TRY(locate_table(c, 1, &where, &behind));
    base &= mask_of(c->mode == 64 ? 8 : 4);
    limit &= 0xFFFF;
    TRY(store_some(c, &where, limit, 0));
    TRY(store_some(c, &behind, base, 0));
    TRY(store_some(c, &where, limit, 1));
    return store_some(c, &behind, base, 1);
}

static int execute_load_table(context *c, uint64_t *base, uint64_t *limit)
{
    uint64_t size, start;
    span where, behind;
    TRY(check_cpl0(c));
    TRY(locate_table(c, 0, &where, &behind));
    TRY(load(c, &where, &size));
    TRY(load(c, &behind, &start));
    if (c->insn->operand_size == 2)
        start &= BASE_24;
    if (c->mode == 64 && !is_canonical(c, start))
        return fault(c, GP, 0, 0);
    *limit = size;
    *base = start;
    return 0;
}

static int execute_store_selector(context *c, int segment)
{
    unsigned size = c->insn->modrm >= 0xC0 ? c->insn->operand_size : 2;
    target where;
    TRY(check_protected(c));
    TRY(check_umip(c));
    TRY(locate_target(c, 0, &where));
    return write_target(c, &where, size, segment_words(c, segment)[SELECTOR] & 0xFFFF);
}

static int in_ia32e(const context *c)
{
    return (c->cpu->efer & EFER_LMA) != 0;
}

static int check_system(context *c, unsigned error, const unsigned *types, uint64_t upper,
                        const system_descriptor *found)
{
    uint64_t attributes = found->attributes;
    if (attributes & ATTR_S || !(types[in_ia32e(c)] >> (attributes & 15) & 1))
        return fault(c, GP, error, 0);
    if (!(attributes & ATTR_P))
        return fault(c, NP, error, 0);
    if (upper >> 40 & 0x1F || !is_canonical(c, found->base))
        return fault(c, GP, error, 0);
    return 0;
}

static int load_system(context *c, unsigned selector, const unsigned *types,
                       system_descriptor *found)
{
    unsigned error = selector & 0xFFFC;
    int wide = in_ia32e(c);
    uint64_t upper = 0;
    if (selector & 4 || (wide && (selector & 0xFFF8) + 15 > c->cpu->gdtr_limit))
        return fault(c, GP, error, 0);
    TRY(descriptor_address(c, selector, GP, 8, &found->address));
    TRY(locate_system(c, found->address, 8, &found->read));
    TRY(load(c, &found->read, &found->value));
    if (wide)
        TRY(system_load(c, found->address + 8, 8, &upper));
    unpack(found->value, &found->base, &found->limit, &found->attributes);
    found->base |= upper << 32;
    return check_system(c, error, types, upper, found);
}

static int execute_lldt(context *c)
{
    system_descriptor found;
    uint64_t selector;
    TRY(check_protected(c));
    TRY(check_cpl0(c));
    TRY(value_of(c, 0, 2, &selector));
    if (!(selector & 0xFFFC)) {
        set_segment(c, LDTR, selector, 0, 0, ATTR_UNUSABLE);
        return 0;
    }
    TRY(load_system(c, (unsigned)selector, ldt_types, &found));
    set_segment(c, LDTR, selector, found.base, found.limit, found.attributes);
    return 0;
}

static int is_same_ram(const span *first, const span *second)
{
    for (unsigned i = 0; i < first->count; i++)
        if (!first->part[i].host || first->part[i].host != second->part[i].host)
            return 0;
    return 1;
}

static int mark_busy(context *c, const system_descriptor *found)
{
    uint64_t busy = found->value | (uint64_t)TYPE_BUSY << 40, now;
    span where;
    TRY(locate_linear(c, found->address, 8, INTENT_SYSTEM | INTENT_WRITE, &where));
    if (!is_same_ram(&where, &found->read))
        return store(c, &where, busy);
    TRY(load(c, &where, &now));
    c->loaded = found->value;
    return now == found->value ? store_locked(c, &where, busy) : RACE_LOST;
}

static int execute_ltr(context *c)
{
    system_descriptor found;
    uint64_t selector;
    TRY(check_protected(c));
    TRY(check_cpl0(c));
    TRY(value_of(c, 0, 2, &selector));
    if (!(selector & 0xFFFC))
        return fault(c, GP, 0, 0);
    TRY(load_system(c, (unsigned)selector, available_tss, &found));
    TRY(mark_busy(c, &found));
    set_segment(c, TR, selector, found.base, found.limit, found.attributes | TYPE_BUSY);
    return 0;
}

static int probe(context *c, int place, const unsigned *types, uint64_t *descriptor, int *found)
{
    uint64_t selector, address;
    unsigned rights, dpl;
    *found = 0;
    *descriptor = 0;
    TRY(check_protected(c));
    TRY(value_of(c, place, 2, &selector));
    if (!(selector & 0xFFFC) || !find_descriptor(c, (unsigned)selector, 8, &address))
        return 0;
    TRY(system_load(c, address, 8, descriptor));
    rights = (unsigned)(*descriptor >> 40) & 0xFF;
    dpl = rights >> 5 & 3;
    if (!(rights & ATTR_S) && !(types[in_ia32e(c)] >> (rights & 15) & 1))
        return 0;
    *found = (dpl >= c->cpl && dpl >= (selector & 3)) || (rights & CONFORMING) == CONFORMING;
    return 0;
}

static void set_zf(context *c, int found)
{
    set_status(c, found ? ZF : 0, ZF);
}

static int execute_lar(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t descriptor;
    int found;
    TRY(probe(c, 1, lar_types, &descriptor, &found));
    if (found)
        write_register(c, modrm_reg(c), size, descriptor >> 32 & LAR_MASK & mask_of(size));
    set_zf(c, found);
    return 0;
}

static int execute_lsl(context *c)
{
    unsigned size = c->insn->operand_size;
    uint64_t descriptor, base, limit, attributes;
    int found;
    TRY(probe(c, 1, lsl_types, &descriptor, &found));
    unpack(descriptor, &base, &limit, &attributes);
    if (found)
        write_register(c, modrm_reg(c), size, limit & mask_of(size));
    set_zf(c, found);
    return 0;
}

static int execute_verify(context *c, int write)
{
    uint64_t descriptor;
    unsigned rights;
    int found, data;
    TRY(probe(c, 0, no_types, &descriptor, &found));
    rights = (unsigned)(descriptor >> 40) & 0xFF;
    data = !(rights & TYPE_CODE);
    if (write)
        found = found && data && rights & TYPE_WRITABLE;
    else
        found = found && (data || rights & TYPE_WRITABLE);
    set_zf(c, found);
    return 0;
}
