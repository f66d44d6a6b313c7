/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_operands.py. */

enum { VEX_EVEX = VMMKIT_PREFIX_VEX | VMMKIT_PREFIX_EVEX };
enum { AS_VECTOR = 1, AS_MMX = 2, AS_MASK = 4, AS_GENERAL = 8, IN_REG = 16, IN_VVVV = 32, AS_MEMORY = 64 };

/* Which register file a kind of operand is in, and where its number stands. */
static const uint8_t operand_files[256] = {
    [VMMKIT_KIND_V] = AS_VECTOR | IN_REG,
    [VMMKIT_KIND_W] = AS_VECTOR | AS_MEMORY,
    [VMMKIT_KIND_U] = AS_VECTOR,
    [VMMKIT_KIND_H] = AS_VECTOR | IN_VVVV,
    [VMMKIT_KIND_L] = AS_VECTOR,
    [VMMKIT_KIND_P] = AS_MMX | IN_REG,
    [VMMKIT_KIND_Q] = AS_MMX | AS_MEMORY,
    [VMMKIT_KIND_N] = AS_MMX,
    [VMMKIT_KIND_K] = AS_MASK | IN_REG,
    [VMMKIT_KIND_k] = AS_MASK | AS_MEMORY,
    [VMMKIT_KIND_h] = AS_MASK | IN_VVVV,
    [VMMKIT_KIND_E] = AS_GENERAL | AS_MEMORY,
    [VMMKIT_KIND_G] = AS_GENERAL | IN_REG,
    [VMMKIT_KIND_R] = AS_GENERAL,
    [VMMKIT_KIND_M] = AS_MEMORY,
};

static inline unsigned operand_file(const context *c, unsigned place)
{
    return operand_files[c->row->kinds[place]];
}

/* The register files that any operand is in. */
static inline unsigned all_files(const context *c)
{
    return operand_file(c, 0) | operand_file(c, 1) | operand_file(c, 2) | operand_file(c, 3);
}

static inline uint64_t bytes_up_to(unsigned size)
{
    return size >= 64 ? UINT64_MAX : ((uint64_t)1 << size) - 1;
}

/* Without CR0.NE nothing is raised, as if IGNNE# were asserted. */
static inline int is_x87_pending(const vmmkit_cpu *cpu)
{
    return cpu->x87_status & X87_ES && cpu->cr0 & CR0_NE;
}

/* MOVQ2DQ and MOVDQ2Q have both an MMX and an XMM register, and both of their conditions. */
static int check_state(context *c, int opmask, int mmx, int sse)
{
    const vmmkit_cpu *cpu = c->cpu;
    if (c->insn->prefixes & VEX_EVEX) {
        uint64_t needed = opmask || c->insn->prefixes & VMMKIT_PREFIX_EVEX ? XCR0_AVX512 : XCR0_AVX;
        if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & needed) != needed)
            return fault(c, UD, 0, 0);
    } else if (cpu->cr0 & CR0_EM || (sse && !(cpu->cr4 & CR4_OSFXSR))) {
        return fault(c, UD, 0, 0);
    }
    if (cpu->cr0 & CR0_TS)
        return fault(c, NM, 0, 0);
    return mmx && is_x87_pending(cpu) ? fault(c, MF, 0, 0) : 0;
}

static int has_whole_vectors(const context *c)
{
    for (unsigned place = 0; place < 4; place++)
        if (c->row->types[place] == VMMKIT_TYPE_VECTOR || c->row->types[place] == VMMKIT_TYPE_HALF)
            return 1;
    return 0;
}

static int check_features(context *c, const vector_operation *operation)
{
    uint64_t needed = 0;
    if (c->insn->prefixes & VMMKIT_PREFIX_EVEX) {
        if (operation->lane < 4)
            needed |= (uint64_t)1 << VMMKIT_FEATURE_AVX512BW;
        if (c->insn->vector_length < 64 && has_whole_vectors(c))
            needed |= (uint64_t)1 << VMMKIT_FEATURE_AVX512VL;
    } else if (c->insn->vector_length == 32 && operation->avx2) {
        needed = (uint64_t)1 << VMMKIT_FEATURE_AVX2;
    } else if (operation->function == VMMKIT_VECTOR_BROADCAST && c->insn->modrm >= 0xC0) {
        needed = (uint64_t)1 << VMMKIT_FEATURE_AVX2;
    }
    return (c->cpu->features & needed) != needed ? fault(c, UD, 0, 0) : 0;
}

static int check_vector_state(context *c, const vector_operation *operation)
{
    unsigned files = all_files(c), mmx = files & AS_MMX;
    TRY(check_features(c, operation));
    return check_state(c, (files & AS_MASK) != 0, mmx != 0, !mmx || files & AS_VECTOR);
}

static inline unsigned operand_size(const context *c, unsigned place)
{
    unsigned type = c->row->types[place], size = type_sizes[c->insn->operand_size][type];
    return size ? size : vector_sizes[c->insn->vector_length >> 5][type];
}

static inline int names_memory(const context *c, unsigned place)
{
    return c->insn->modrm >= 0 && c->insn->modrm < 0xC0 && operand_file(c, place) & AS_MEMORY;
}

static unsigned immediate_byte(const context *c)
{
    return (unsigned)c->insn->immediate & 0xFF;
}

static unsigned register_number(const context *c, unsigned place)
{
    const vmmkit_insn *insn = c->insn;
    unsigned file = operand_file(c, place), number;
    if (file & IN_VVVV)
        return insn->vvvv;
    if (c->row->kinds[place] == VMMKIT_KIND_L)
        return (unsigned)(insn->immediate >> 4) & (c->mode == 64 ? 15 : 7);
    if (file & IN_REG) {
        number = modrm_reg(c) | (insn->rex & VMMKIT_REX_R4 ? 16 : 0);
    } else {
        number = modrm_rm(c);
        if (insn->prefixes & VMMKIT_PREFIX_EVEX && file & AS_VECTOR)
            number |= (insn->rex & 2u) << 3;
    }
    return file & (AS_MMX | AS_MASK) ? number & 7 : number;
}

static void read_register_operand(const context *c, unsigned place, unsigned size, vector *out)
{
    unsigned file = operand_file(c, place), number = register_number(c, place);
    const vmmkit_cpu *cpu = c->cpu;
    memset(out, 0, sizeof *out);
    if (file & AS_VECTOR)
        memcpy(out, &cpu->vector[8 * number], size);
    else if (file & AS_MMX)
        memcpy(out, &cpu->x87[2 * number], size < 8 ? size : 8);
    else if (file & AS_MASK)
        memcpy(out, &cpu->opmask[number], size < 8 ? size : 8);
    else
        memcpy(out, &cpu->gpr[number], size < 8 ? size : 8);
}

static void write_register_operand(context *c, unsigned place, unsigned size, const vector *value)
{
    unsigned file = operand_file(c, place), number = register_number(c, place);
    vmmkit_cpu *cpu = c->cpu;
    if (file & AS_VECTOR) {
        unsigned whole = c->insn->prefixes & VEX_EVEX ? 64 : size;
        memset(&cpu->vector[8 * number], 0, whole);
        memcpy(&cpu->vector[8 * number], value, size);
    } else if (file & AS_MMX) {
        cpu->x87[2 * number] = value->q[0];
        cpu->x87[2 * number + 1] = 0xFFFF;
    } else if (file & AS_MASK) {
        cpu->opmask[number] = value->q[0];
    } else {
        write_register(c, number, size < 4 ? 4 : size, value->q[0]);
    }
}

static void enter_mmx(context *c)
{
    c->cpu->x87_tag = 0xFF;
    c->cpu->x87_status &= ~(uint64_t)X87_TOP;
}

static uint64_t spread(uint64_t lanes, unsigned lane)
{
    uint64_t found = 0;
    if (lane == 1)
        return lanes;
    for (unsigned place = 0; place < 64 / lane; place++)
        if (lanes >> place & 1)
            found |= bytes_up_to(lane) << (place * lane);
    return found;
}

static uint64_t enabled_lanes(const context *c, unsigned count)
{
    unsigned opmask = c->insn->mask & 7;
    return bytes_up_to(count) & (opmask ? c->cpu->opmask[opmask] : UINT64_MAX);
}

/* Length of the run of enabled bytes that begins at `place`, 0 if that one is not. */
static unsigned run_length(uint64_t enabled, unsigned place, unsigned stop)
{
    unsigned end = place;
    while (end < stop && enabled >> end & 1)
        end++;
    return end - place;
}

static unsigned alignment_of(const context *c, const vector_operation *operation, unsigned size)
{
    if (operation->alignment == 1)
        return size;
    return !(c->insn->prefixes & VEX_EVEX) && size == 16 && !operation->alignment ? 16 : 1;
}

static int check_aligned(context *c, int segment, uint64_t offset, unsigned alignment)
{
    int based = c->mode != 64 || segment == FS || segment == GS;
    uint64_t base = based ? segment_words(c, segment)[BASE] : 0;
    return (base + offset) & (alignment - 1) ? fault(c, GP, 0, 0) : 0;
}

static void watch_lanes(context *c, uint64_t linear, unsigned size, uint64_t enabled, int write)
{
    unsigned place = 0;
    while (place < size) {
        unsigned length = run_length(enabled, place, size);
        if (length)
            watch(c, linear + place, length, write);
        place += length ? length : 1;
    }
}

static int locate_two_pages(context *c, uint64_t linear, unsigned size, uint64_t enabled,
                            int write, span *where)
{
    unsigned intent = write ? INTENT_WRITE : 0, skipped = 0;
    unsigned room = PAGE - (unsigned)(linear & (PAGE - 1));
    span rest;
    while (!(enabled >> (room + skipped) & 1))
        skipped++;
    TRY(locate_linear(c, linear, room, intent, where));
    TRY(locate_linear(c, linear + room + skipped, 1, intent, &rest));
    where->part[1] = fragment_at(c, rest.part[0].gpa - skipped, size - room, write);
    where->count = 2;
    return 0;
}

static int locate_bytes(context *c, int segment, uint64_t offset, uint64_t enabled,
                        unsigned alignment, int write, wide_span *where)
{
    unsigned first = 0, size = 64;
    uint64_t linear;
    where->at.count = where->first = 0;
    where->enabled = enabled;
    if (!enabled)
        return 0;
    TRY(check_aligned(c, segment, offset, alignment));
    while (!(enabled >> first & 1))
        first++;
    while (!(enabled >> (size - 1) & 1))
        size--;
    size -= first;
    where->first = first;
    TRY(linear_address(c, segment, offset + first, size, write, &linear));
    if ((linear - first) & (where->elements - 1))
        return fault(c, ALIGNMENT, 0, 0);
    if (UNLIKELY(c->watched & WATCHES_DATA))
        watch_lanes(c, linear, size, enabled >> first, write);
    if (LIKELY((linear & (PAGE - 1)) <= PAGE - size))
        return locate_linear(c, linear, size, write ? INTENT_WRITE : 0, &where->at);
    return locate_two_pages(c, linear, size, enabled >> first, write, &where->at);
}

static unsigned element_of(const context *c, const vector_operation *operation)
{
    unsigned function = operation->function;
    int by_register = operation->family == VMMKIT_FAMILY_COUNTS && !c->row->immediates[0];
    if (!(c->insn->mask & 7) || !operation->suppresses || by_register)
        return 0;
    if (c->insn->mask & VMMKIT_MASK_B)
        return c->insn->memory_size;
    if (function == VMMKIT_VECTOR_EXTEND_SIGNED || function == VMMKIT_VECTOR_EXTEND_ZERO ||
        (function >= VMMKIT_VECTOR_NARROW && function <= VMMKIT_VECTOR_NARROW_UNSIGNED))
        return c->insn->memory_size * operation->lane / c->insn->vector_length;
    return operation->lane;
}

static int locate_operand(context *c, const vector_operation *operation, uint64_t enabled,
                          int write, wide_span *where)
{
    unsigned alignment = alignment_of(c, operation, c->insn->memory_size);
    unsigned element = element_of(c, operation);
    uint64_t offset = effective_address(c, NULL);
    where->elements = 1;
    if (element) {
        where->elements = c->checks_alignment ? element : 1;
        c->checks_alignment = 0;
    }
    return locate_bytes(c, c->insn->segment, offset, enabled, alignment, write, where);
}

static void copy_from_host(const uint8_t *host, unsigned size, uint8_t *out)
{
    for (unsigned at = 0; at < size; at += 8) {
        unsigned part = size - at < 8 ? size - at : 8;
        uint64_t value = load_host(host + at, part);
        memcpy(out + at, &value, part);
    }
}

static void copy_to_host(uint8_t *host, unsigned size, const uint8_t *bytes)
{
    for (unsigned at = 0; at < size; at += 8) {
        unsigned part = size - at < 8 ? size - at : 8;
        uint64_t value = 0;
        memcpy(&value, bytes + at, part);
        store_host(host + at, part, value);
    }
}

static int load_device_runs(context *c, const fragment *part, unsigned place, uint64_t enabled,
                            uint8_t *out)
{
    for (unsigned at = place; at < place + part->size;) {
        unsigned run = run_length(enabled, at, place + part->size);
        if (run)
            TRY(device_load_wide(c, part->gpa + at - place, run, out + at));
        at += run ? run : 1;
    }
    return 0;
}

static int load_span(context *c, const wide_span *where, vector *out)
{
    unsigned place = where->first;
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < where->at.count; i++) {
        const fragment *part = &where->at.part[i];
        fragment readable = *part;
        if (!part->host)
            readable = fragment_at(c, part->gpa, part->size, 0);
        if (readable.host)
            copy_from_host(readable.host, part->size, out->b + place);
        else
            TRY(load_device_runs(c, part, place, where->enabled, out->b));
        place += part->size;
    }
    return 0;
}

/* The fragments in RAM, or those at devices. */
static int store_runs(context *c, const wide_span *where, const vector *value, int in_ram)
{
    unsigned place = where->first;
    for (unsigned i = 0; i < where->at.count; i++) {
        const fragment *part = &where->at.part[i];
        unsigned stop = place + part->size, start = place, run;
        for (; place < stop; place += run ? run : 1) {
            run = run_length(where->enabled, place, stop);
            if (!run || in_ram != (part->host != NULL))
                continue;
            if (in_ram)
                copy_to_host(part->host + place - start, run, value->b + place);
            else
                TRY(device_store_wide(c, part->gpa + place - start, run, value->b + place));
        }
    }
    return 0;
}

static int store_span(context *c, const wide_span *where, const vector *value)
{
    TRY(store_runs(c, where, value, 0));
    return store_runs(c, where, value, 1);
}

static int load_operand(context *c, const vector_operation *operation, uint64_t enabled,
                        vector *out)
{
    unsigned size = c->insn->memory_size;
    wide_span where;
    if (c->insn->mask & VMMKIT_MASK_B)
        enabled = enabled ? bytes_up_to(size) : 0;
    TRY(locate_operand(c, operation, enabled, 0, &where));
    TRY(load_span(c, &where, out));
    if (c->insn->mask & VMMKIT_MASK_B)
        for (unsigned at = size; at < c->insn->vector_length; at += size)
            memcpy(out->b + at, out->b, size);
    return 0;
}

static int store_part(context *c, const vector_operation *operation, unsigned size,
                      uint64_t enabled, const vector *value)
{
    uint64_t offset = effective_address(c, NULL);
    unsigned alignment = alignment_of(c, operation, size);
    wide_span where = {.elements = 1};
    TRY(locate_bytes(c, c->insn->segment, offset, bytes_up_to(size), alignment, 1, &where));
    where.enabled = enabled;
    return store_span(c, &where, value);
}

static int store_operand(context *c, const vector_operation *operation, unsigned size,
                         uint64_t enabled, const vector *value)
{
    wide_span where;
    TRY(locate_operand(c, operation, enabled & bytes_up_to(size), 1, &where));
    return store_span(c, &where, value);
}
