/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_state.py. */

enum { MXCSR_MASK = 0xFFFF, MXCSR_RESET = 0x1F80, X87_CONTROL_INIT = 0x37F };
enum { X87_CONTROL_BITS = 0x1F3F, X87_CONTROL_ONE = 0x40 };
enum { X87_EXCEPTIONS = 0x3F, X87_SUMMARY = 0x8080 };
enum { LEGACY_SIZE = 512, HEADER = 512, AREA = 576, LARGEST_AREA = 2752 };
enum { X87_BIT = 1, SSE_BIT = 2, AVX_BIT = 4, EXTENDED = 5, MOST_PARTS = 24, MOST_RUNS = 32 };
#define COMPACTED ((uint64_t)1 << 63)
#define COMPACTING ((uint64_t)1 << VMMKIT_FEATURE_XSAVEC | (uint64_t)1 << VMMKIT_FEATURE_XSAVES)

/* Bit of XCR0, offset in the standard format, size. */
static const struct {
    unsigned bit, offset, size;
} components[EXTENDED] = {
    {2, 576, 256}, {5, 1088, 64}, {6, 1152, 512}, {7, 1664, 1024}, {9, 2688, 8},
};

/* An area, and which parts of it are to be stored. */
typedef struct {
    uint8_t bytes[LARGEST_AREA];
    unsigned offset[MOST_PARTS], size[MOST_PARTS], count;
} area;

static void add_part(area *image, unsigned offset, unsigned size)
{
    image->offset[image->count] = offset;
    image->size[image->count++] = size;
}

static void sub_span(const span *where, unsigned offset, unsigned size, span *out)
{
    unsigned place = 0;
    out->count = 0;
    for (unsigned i = 0; i < where->count; i++) {
        const fragment *part = &where->part[i];
        unsigned first = offset > place ? offset : place, stop = place + part->size;
        if (stop > offset + size)
            stop = offset + size;
        if (first < stop) {
            uint8_t *host = part->host ? part->host + (first - place) : NULL;
            out->part[out->count++] = (fragment){part->gpa + first - place, host, stop - first};
        }
        place += part->size;
    }
}

static int load_part(context *c, const span *where, unsigned offset, unsigned size, uint8_t *out)
{
    span cut;
    sub_span(where, offset, size, &cut);
    for (unsigned i = 0; i < cut.count; i++) {
        fragment part = fragment_at(c, cut.part[i].gpa, cut.part[i].size, 0);
        if (part.host)
            copy_from_host(part.host, part.size, out);
        else
            TRY(device_load_wide(c, part.gpa, part.size, out));
        out += part.size;
    }
    return 0;
}

static int store_some_parts(context *c, const span *where, const area *image, int in_ram)
{
    for (unsigned number = 0; number < image->count; number++) {
        const uint8_t *bytes = image->bytes + image->offset[number];
        span cut;
        sub_span(where, image->offset[number], image->size[number], &cut);
        for (unsigned i = 0; i < cut.count; i++) {
            const fragment *part = &cut.part[i];
            if (in_ram && part->host)
                copy_to_host(part->host, part->size, bytes);
            else if (!in_ram && !part->host)
                TRY(device_store_wide(c, part->gpa, part->size, bytes));
            bytes += part->size;
        }
    }
    return 0;
}

static int store_area(context *c, const span *where, const area *image)
{
    TRY(store_some_parts(c, where, image, 0));
    return store_some_parts(c, where, image, 1);
}

static int locate_area(context *c, unsigned size, unsigned alignment, int write, span *where)
{
    uint64_t offset = effective_address(c, NULL), linear;
    TRY(linear_address(c, c->insn->segment, offset, size, write, &linear));
    TRY(check_aligned(c, c->insn->segment, offset, alignment));
    return locate_data(c, linear, size, write, where);
}

static unsigned vector_registers(const context *c)
{
    return c->mode == 64 ? 16 : 8;
}

static void initialize_x87(vmmkit_cpu *cpu)
{
    cpu->x87_control = X87_CONTROL_INIT;
    cpu->x87_status = cpu->x87_tag = cpu->x87_opcode = 0;
    cpu->x87_ip = cpu->x87_cs = cpu->x87_dp = cpu->x87_ds = 0;
}

static uint64_t summarized(uint64_t status, uint64_t control)
{
    uint64_t pending = status & ~control & X87_EXCEPTIONS;
    return (status & ~(uint64_t)X87_SUMMARY) | (pending ? X87_SUMMARY : 0);
}

static uint64_t x87_pointer(const context *c, uint64_t pointer, uint64_t selector)
{
    if (c->insn->rex & VMMKIT_REX_W)
        return pointer;
    return (pointer & mask_of(4)) | (selector & 0xFFFF) << 32;
}

static void add_x87(const context *c, area *image)
{
    const vmmkit_cpu *cpu = c->cpu;
    uint64_t head[3] = {(cpu->x87_control & 0xFFFF) | (cpu->x87_status & 0xFFFF) << 16 |
                            (cpu->x87_tag & 0xFF) << 32 | (cpu->x87_opcode & 0x7FF) << 48,
                        x87_pointer(c, cpu->x87_ip, cpu->x87_cs),
                        x87_pointer(c, cpu->x87_dp, cpu->x87_ds)};
    unsigned top = (unsigned)(cpu->x87_status >> 11 & 7);
    memcpy(image->bytes, head, sizeof head);
    add_part(image, 0, 24);
    for (unsigned number = 0; number < 8; number++) {
        uint8_t *out = image->bytes + 32 + 16 * number;
        memset(out, 0, 16);
        memcpy(out, &cpu->x87[2 * ((top + number) & 7)], 10);
        add_part(image, 32 + 16 * number, 16);
    }
}

static void take_pointer(const context *c, const uint8_t *raw, uint64_t *pointer,
                         uint64_t *selector)
{
    int wide = (c->insn->rex & VMMKIT_REX_W) != 0;
    uint64_t value = load_host(raw, 8);
    *pointer = wide ? value : value & mask_of(4);
    *selector = wide ? 0 : value >> 32 & 0xFFFF;
}

static void take_x87(context *c, const uint8_t *raw)
{
    vmmkit_cpu *cpu = c->cpu;
    unsigned top;
    cpu->x87_control = (load_host(raw, 2) & X87_CONTROL_BITS) | X87_CONTROL_ONE;
    cpu->x87_status = summarized(load_host(raw + 2, 2), cpu->x87_control);
    cpu->x87_tag = raw[4];
    cpu->x87_opcode = load_host(raw + 6, 2) & 0x7FF;
    take_pointer(c, raw + 8, &cpu->x87_ip, &cpu->x87_cs);
    take_pointer(c, raw + 16, &cpu->x87_dp, &cpu->x87_ds);
    top = (unsigned)(cpu->x87_status >> 11 & 7);
    for (unsigned number = 0; number < 8; number++) {
        uint64_t *target = &cpu->x87[2 * ((top + number) & 7)];
        target[0] = load_host(raw + 32 + 16 * number, 8);
        target[1] = load_host(raw + 40 + 16 * number, 2);
    }
}

static void add_mxcsr(const context *c, area *image)
{
    uint64_t both = (c->cpu->mxcsr & mask_of(4)) | (uint64_t)MXCSR_MASK << 32;
    memcpy(image->bytes + 24, &both, 8);
    add_part(image, 24, 8);
}

/* Runs of words in the record that are a component, or XMM (bit 1); words in each and how many. */
typedef struct {
    uint64_t *words[MOST_RUNS];
    unsigned step, count;
} component_words;

static void find_component(context *c, unsigned bit, component_words *out)
{
    unsigned first = bit == 7 ? 16 : 0, skip = bit == 2 ? 2 : bit == 6 ? 4 : 0;
    out->count = bit == 7 ? (c->mode == 64 ? 16 : 0) : vector_registers(c);
    out->step = bit == 6 ? 4 : bit == 7 ? 8 : 2;
    if (bit == 5 || bit == 9) {
        out->count = 1;
        out->step = bit == 5 ? 8 : 1;
        out->words[0] = bit == 5 ? c->cpu->opmask : &c->cpu->pkru;
        return;
    }
    for (unsigned number = 0; number < out->count; number++)
        out->words[number] = &c->cpu->vector[8 * (first + number) + skip];
}

static void add_component(context *c, unsigned bit, unsigned offset, area *image)
{
    component_words from;
    find_component(c, bit, &from);
    for (unsigned number = 0; number < from.count; number++)
        memcpy(image->bytes + offset + 8 * from.step * number, from.words[number], 8 * from.step);
    add_part(image, offset, 8 * from.step * from.count);
}

/* NULL for the initial values. */
static void take_component(context *c, unsigned bit, const uint8_t *raw)
{
    component_words to;
    find_component(c, bit, &to);
    for (unsigned number = 0; number < to.count; number++) {
        memset(to.words[number], 0, 8 * to.step);
        if (raw)
            memcpy(to.words[number], raw + 8 * to.step * number, 8 * to.step);
    }
    if (bit == 9)
        c->cpu->pkru &= mask_of(4);
}

static int component_in_use(context *c, unsigned bit)
{
    component_words from;
    find_component(c, bit, &from);
    for (unsigned number = 0; number < from.count; number++)
        for (unsigned word = 0; word < from.step; word++)
            if (from.words[number][word])
                return 1;
    return 0;
}

static int x87_in_use(const vmmkit_cpu *cpu)
{
    uint64_t set = cpu->x87_control ^ X87_CONTROL_INIT;
    set |= cpu->x87_status | cpu->x87_tag | cpu->x87_opcode | cpu->x87_ip | cpu->x87_cs;
    set |= cpu->x87_dp | cpu->x87_ds;
    for (unsigned word = 0; word < 16; word++)
        set |= cpu->x87[word];
    return set != 0;
}

static uint64_t in_use(context *c)
{
    uint64_t found = (uint64_t)x87_in_use(c->cpu) | (uint64_t)component_in_use(c, 1) << 1;
    for (unsigned i = 0; i < EXTENDED; i++)
        found |= (uint64_t)component_in_use(c, components[i].bit) << components[i].bit;
    return found;
}

static int execute_ldmxcsr(context *c)
{
    uint64_t value;
    span where;
    TRY(check_state(c, 0, 0, 1));
    TRY(locate(c, c->insn->segment, effective_address(c, NULL), 4, 0, &where));
    TRY(load(c, &where, &value));
    if (value & ~(uint64_t)MXCSR_MASK)
        return fault(c, GP, 0, 0);
    c->cpu->mxcsr = value;
    return 0;
}

static int execute_stmxcsr(context *c)
{
    span where;
    TRY(check_state(c, 0, 0, 1));
    TRY(locate(c, c->insn->segment, effective_address(c, NULL), 4, 1, &where));
    return store(c, &where, c->cpu->mxcsr & mask_of(4));
}

static int check_fxsave(context *c)
{
    return c->cpu->cr0 & (CR0_EM | CR0_TS) ? fault(c, NM, 0, 0) : 0;
}

static int execute_fxsave(context *c)
{
    area image;
    span where;
    image.count = 0;
    TRY(check_fxsave(c));
    TRY(locate_area(c, LEGACY_SIZE, 16, 1, &where));
    add_x87(c, &image);
    add_mxcsr(c, &image);
    add_component(c, 1, 160, &image);
    return store_area(c, &where, &image);
}

static int checked_mxcsr(context *c, const uint8_t *raw, uint64_t *mxcsr)
{
    *mxcsr = load_host(raw, 4);
    return *mxcsr & ~(uint64_t)MXCSR_MASK ? fault(c, GP, 0, 0) : 0;
}

static int execute_fxrstor(context *c)
{
    uint8_t raw[LEGACY_SIZE];
    uint64_t mxcsr;
    span where;
    TRY(check_fxsave(c));
    TRY(locate_area(c, LEGACY_SIZE, 16, 0, &where));
    TRY(load_part(c, &where, 0, 160 + 16 * vector_registers(c), raw));
    TRY(checked_mxcsr(c, raw + 24, &mxcsr));
    c->cpu->mxcsr = mxcsr;
    take_x87(c, raw);
    take_component(c, 1, raw + 160);
    return 0;
}

static int check_xsave(context *c, int supervisor, uint64_t *asked)
{
    const vmmkit_cpu *cpu = c->cpu;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        return fault(c, UD, 0, 0);
    if (cpu->cr0 & CR0_TS)
        return fault(c, NM, 0, 0);
    if (supervisor && c->cpl)
        return fault(c, GP, 0, 0);
    *asked = cpu->gpr[RDX] << 32 | (cpu->gpr[RAX] & mask_of(4));
    *asked &= cpu->xcr0 | (supervisor ? cpu->xss : 0);
    return 0;
}

/* Offset of each extended component, 0 for what is not there; returns the size of the area. */
static unsigned find_places(uint64_t present, int compacted, unsigned *places)
{
    unsigned end = AREA;
    for (unsigned i = 0; i < EXTENDED; i++) {
        places[i] = 0;
        if (!(present >> components[i].bit & 1))
            continue;
        places[i] = compacted ? end : components[i].offset;
        end = places[i] + components[i].size;
    }
    return end;
}

static void fill_xsave(context *c, uint64_t asked, uint64_t saved, int compacted,
                       const unsigned *places, area *image)
{
    uint64_t with_mxcsr = compacted ? saved & SSE_BIT : asked & (SSE_BIT | AVX_BIT);
    if (saved & X87_BIT)
        add_x87(c, image);
    if (with_mxcsr)
        add_mxcsr(c, image);
    if (saved & SSE_BIT)
        add_component(c, 1, 160, image);
    for (unsigned i = 0; i < EXTENDED; i++)
        if (places[i] && saved >> components[i].bit & 1)
            add_component(c, components[i].bit, places[i], image);
}

static NOINLINE int execute_xsave(context *c, int optimized, int compacted, int supervisor)
{
    uint64_t asked, used, header, found = 0, format;
    unsigned places[EXTENDED], size;
    area image;
    span where;
    image.count = 0;
    TRY(check_xsave(c, supervisor, &asked));
    size = find_places(asked, compacted, places);
    TRY(locate_area(c, size, 64, 1, &where));
    used = in_use(c);
    if (compacted && c->cpu->mxcsr != MXCSR_RESET)
        used |= SSE_BIT;
    if (!compacted)
        TRY(load_part(c, &where, HEADER, 8, (uint8_t *)&found));
    header = (asked & used) | (found & ~asked);
    memcpy(image.bytes + HEADER, &header, 8);
    add_part(&image, HEADER, 8);
    format = asked | COMPACTED;
    memcpy(image.bytes + HEADER + 8, &format, 8);
    if (compacted)
        add_part(&image, HEADER + 8, 8);
    fill_xsave(c, asked, optimized ? asked & used : asked, compacted, places, &image);
    return store_area(c, &where, &image);
}

static int checked_header(context *c, const uint8_t *raw, int supervisor, uint64_t *present,
                          uint64_t *format)
{
    uint64_t allowed = c->cpu->xcr0 | (supervisor ? c->cpu->xss : 0), bad, compacted;
    *present = load_host(raw, 8);
    *format = load_host(raw + 8, 8);
    compacted = *format & COMPACTED && c->cpu->features & COMPACTING;
    if (compacted)
        bad = (*format & ~COMPACTED & ~allowed) | (*present & ~*format);
    else
        bad = *format | (*present & ~allowed) | (uint64_t)supervisor;
    bad |= *present & COMPACTED;
    for (unsigned at = 16; at < (compacted ? 64 : 24); at++)
        bad |= raw[at];
    return bad ? fault(c, GP, 0, 0) : 0;
}

/* What is asked for and there; the rest becomes initial. */
static void restore(context *c, uint64_t asked, uint64_t present, const uint8_t *bytes,
                    const unsigned *places)
{
    if (asked & X87_BIT && present & X87_BIT) {
        take_x87(c, bytes);
    } else if (asked & X87_BIT) {
        initialize_x87(c->cpu);
        memset(c->cpu->x87, 0, sizeof c->cpu->x87);
    }
    for (unsigned i = 0; i < EXTENDED; i++)
        if (asked >> components[i].bit & 1)
            take_component(c, components[i].bit,
                           present >> components[i].bit & 1 ? bytes + places[i] : NULL);
    if (asked & SSE_BIT)
        take_component(c, 1, present & SSE_BIT ? bytes + 160 : NULL);
}

static unsigned wanted_size(uint64_t asked, const unsigned *places)
{
    unsigned size = AREA;
    for (unsigned i = 0; i < EXTENDED; i++)
        if (places[i] && asked >> components[i].bit & 1 && places[i] + components[i].size > size)
            size = places[i] + components[i].size;
    return size;
}

static int load_components(context *c, const span *where, uint64_t wanted, const unsigned *places,
                           uint8_t *bytes)
{
    for (unsigned i = 0; i < EXTENDED; i++)
        if (places[i] && wanted >> components[i].bit & 1)
            TRY(load_part(c, where, places[i], components[i].size, bytes + places[i]));
    return wanted & (X87_BIT | SSE_BIT) ? load_part(c, where, 0, 416, bytes) : 0;
}

static NOINLINE int execute_xrstor(context *c, int supervisor)
{
    uint64_t asked, present, format, mxcsr, compacted;
    unsigned places[EXTENDED];
    uint8_t bytes[LARGEST_AREA];
    span where;
    TRY(check_xsave(c, supervisor, &asked));
    TRY(locate_area(c, AREA, 64, 0, &where));
    TRY(load_part(c, &where, HEADER, 64, bytes));
    TRY(checked_header(c, bytes, supervisor, &present, &format));
    compacted = (format & COMPACTED) != 0;
    find_places(compacted ? format : asked, compacted != 0, places);
    TRY(locate_area(c, wanted_size(asked, places), 64, 0, &where));
    mxcsr = asked & SSE_BIT ? MXCSR_RESET : c->cpu->mxcsr;
    if (compacted ? asked & present & SSE_BIT : asked & (SSE_BIT | AVX_BIT)) {
        TRY(load_part(c, &where, 24, 4, bytes));
        TRY(checked_mxcsr(c, bytes, &mxcsr));
    }
    TRY(load_components(c, &where, asked & present, places, bytes));
    restore(c, asked, present, bytes, places);
    c->cpu->mxcsr = mxcsr;
    return 0;
}
