/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* New inputs from old ones: edge values where they hurt, and parts of other inputs. */
#include "fuzz.h"

#define CR0_BITS 0x80050001u
#define CR4_BITS 0x00771BFFu
#define EFER_BITS 0x00000D01u

static const uint64_t edges[] = {
    0,          1,          2,          3,          4,          7,          8,
    0xF,        0x10,       0x1F,       0x20,       0x3F,       0x40,       0x41,
    0x7F,       0x80,       0xFF,       0x100,      0x3FF,      0x400,      0x401,
    0xFFC,      0xFFD,      0xFFE,      0xFFF,      0x1000,     0x1001,     0x1FFA,
    0x2000,     0x5800,     0x6FFF,     0x7000,     0x7FF8,     0x7FFF,     0x8000,
    0x9000,     0xFFFE,     0xFFFF,     0x10000,    0x40000,    0x40007,    0x47FF8,
    0x50000,    0x50FFC,    0x51000,    0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
    1ull << 32, (1ull << 47) - 1,       1ull << 47, 1ull << 48, 0xFFFF800000000000,
    0xFFFF7FFFFFFFFFFF,     (1ull << 52) - 4096,    (1ull << 52) - 4,       1ull << 52,
    1ull << 56, 1ull << 57, 1ull << 63, (1ull << 63) - 1,       0xFFFFFFFFFFFFF000,
    0xFFFFFFFFFFFFFFF8,     0xFFFFFFFFFFFFFFFE, UINT64_MAX,
};

static const uint64_t attributes[] = {
    0xC093, 0x8093, 0xC091, 0xC097, 0x8097, 0xC095, 0xC099, 0xC09B, 0xA09B, 0x809B, 0xC0F3,
    0xC0FB, 0xA0FB, 0xC092, 0x93,   0x13,   0x4093, 0x82,   0x8B,   0x10000, 0x10093,
};

/* Of page-table entries: what is put below the address. */
static const uint64_t entry_bits[] = {
    0, 1, 3, 5, 7, 0x27, 0x67, 0x83, 0x87, 0xE7, 0x1E7, 0x2007, 0x8000000000000007, 0x7FF0000000000007,
};

static const uint8_t prefixes[] = {0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x2E, 0x36, 0x3E,
                                   0x64, 0x65, 0x48, 0x41, 0x4F, 0x0F, 0xC4, 0xC5, 0x62};

uint64_t random_word(uint64_t *state)
{
    uint64_t mixed = *state += 0x9E3779B97F4A7C15;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31;
}

size_t below(uint64_t *state, size_t bound)
{
    return (size_t)(random_word(state) % bound);
}

static uint64_t number(uint64_t *state, uint64_t old)
{
    switch (below(state, 8)) {
    case 0:
        return old ^ 1ull << below(state, 64);
    case 1:
        return old + (uint64_t)below(state, 33) - 16;
    case 2:
        return random_word(state);
    case 3:
        return random_word(state) >> below(state, 64);
    case 4:
        return PICK(edges, state) - below(state, 17);
    default:
        return PICK(edges, state);
    }
}

static uint64_t address_in(const input *in, uint64_t *state)
{
    const piece_spec *piece;
    if (!in->piece_count || !below(state, 8))
        return PICK(edges, state);
    piece = &in->pieces[below(state, in->piece_count)];
    return piece->gpa + below(state, piece->pages) * PAGE;
}

/* --- registers --------------------------------------------------------------------------------- */

static void change_gpr(input *in, const corpus *from, uint64_t *state)
{
    uint64_t *word = &in->cpu.gpr[below(state, 16)];
    (void)from;
    *word = below(state, 3) ? number(state, *word)
                            : address_in(in, state) + below(state, 3) * 0x7FC + below(state, 8);
}

static void change_control(input *in, const corpus *from, uint64_t *state)
{
    uint64_t bits = random_word(state) & random_word(state);
    (void)from;
    switch (below(state, 7)) {
    case 0:
        in->cpu.cr0 ^= bits & CR0_BITS;
        return;
    case 1:
        in->cpu.cr4 ^= bits & CR4_BITS;
        return;
    case 2:
        in->cpu.efer ^= bits & EFER_BITS;
        return;
    case 3:
        in->cpu.cr3 = address_in(in, state) | (bits & 0xFE0);
        return;
    case 4:
        in->cpu.rip = number(state, in->cpu.rip);
        return;
    case 5:
        in->cpu.features = random_word(state) | random_word(state);
        return;
    default:
        in->cpu.rflags ^= 1ull << below(state, 22);
    }
}

static void change_segment(input *in, const corpus *from, uint64_t *state)
{
    uint64_t *words = &in->cpu.segment[4 * below(state, 8)];
    size_t place = below(state, 4);
    (void)from;
    words[place] = place == 3 && below(state, 4) ? PICK(attributes, state)
                                                 : number(state, words[place]);
}

static void change_word(input *in, const corpus *from, uint64_t *state)
{
    uint64_t *word = &((uint64_t *)&in->cpu)[below(state, WORD(log_value))];
    (void)from;
    *word = number(state, *word);
}

/* What an instruction in flight has left, or would have us believe. */
static void forge_flight(input *in, const corpus *from, uint64_t *state)
{
    uint64_t *words = (uint64_t *)&in->cpu;
    size_t first = WORD(exit_address);
    (void)from;
    if (below(state, 3)) {
        in->cpu.code_rip = in->cpu.rip;
        in->cpu.code_mode = 16u << below(state, 3);
        in->cpu.log_pending = below(state, VMMKIT_EXIT_STALE + 2);
    }
    for (size_t times = below(state, 5); times; times--)
        words[first + below(state, CPU_WORDS - first)] = number(state, 0);
    in->cpu.log_count = below(state, 2) ? below(state, 66) : number(state, 0);
    if (below(state, 2))
        in->cpu.page_ordinal[below(state, 4)] = number(state, 0);
    if (below(state, 2))
        in->cpu.block_ram = address_in(in, state);
    in->cpu.page_count = below(state, 2) ? below(state, 18) : number(state, 0);
    if (below(state, 2))
        in->cpu.exit_size = number(state, 0);
    if (below(state, 2)) {
        in->cpu.code_length = below(state, 17);
        in->cpu.code_given = below(state, 2);
        memcpy(in->cpu.code, in->patches[0].bytes, sizeof in->cpu.code);
    }
}

static void land_honestly(input *in, const corpus *from, uint64_t *state)
{
    size_t first = WORD(log_pending);
    (void)from;
    (void)state;
    memset((uint64_t *)&in->cpu + first, 0, (CPU_WORDS - first) * sizeof(uint64_t));
}

/* --- code and memory --------------------------------------------------------------------------- */

static patch *code_of(input *in)
{
    if (!in->patch_count)
        in->patch_count = 1;
    if (!in->patches[0].size)
        in->patches[0].size = 1;
    return &in->patches[0];
}

static void change_code(input *in, const corpus *from, uint64_t *state)
{
    patch *code = code_of(in);
    uint8_t *byte = &code->bytes[below(state, code->size < 8 ? code->size : 8)];
    (void)from;
    switch (below(state, 4)) {
    case 0:
        *byte ^= (uint8_t)(1u << below(state, 8));
        return;
    case 1:
        *byte = (uint8_t)random_word(state);
        return;
    case 2:
        *byte = (uint8_t)PICK(edges, state);
        return;
    default:
        *byte = PICK(prefixes, state);
    }
}

static void insert_prefix(input *in, const corpus *from, uint64_t *state)
{
    patch *code = code_of(in);
    (void)from;
    memmove(code->bytes + 1, code->bytes, PATCH_BYTES - 1);
    code->bytes[0] = PICK(prefixes, state);
    code->size += code->size < PATCH_BYTES;
}

static void take_code(input *in, const corpus *from, uint64_t *state)
{
    const patch *code = from->entries[below(state, from->count)].patches;
    patch *mine = code_of(in);
    mine->size = code->size;
    memcpy(mine->bytes, code->bytes, PATCH_BYTES);
}

/* The end of RAM, of a page or of the address space is where fetches go wrong. */
static void move_code(input *in, const corpus *from, uint64_t *state)
{
    uint64_t place = address_in(in, state) + PAGE * below(state, 2) - below(state, 16);
    (void)from;
    code_of(in)->gpa = place;
    in->cpu.rip = place - (below(state, 4) ? in->cpu.segment[4] : 0);
}

static patch *some_patch(input *in, uint64_t *state)
{
    if (in->patch_count < 2 || (in->patch_count < MAX_PATCHES && !below(state, 4))) {
        patch *made = (code_of(in), &in->patches[in->patch_count++]);
        *made = (patch){address_in(in, state) + 8 * below(state, 4), 8, {0}};
        return made;
    }
    return &in->patches[1 + below(state, in->patch_count - 1)];
}

static void change_entry(input *in, const corpus *from, uint64_t *state)
{
    patch *found = some_patch(in, state);
    size_t place = found->size > 8 ? below(state, found->size / 8) * 8 : 0;
    uint64_t value = (address_in(in, state) & ~(uint64_t)(PAGE - 1)) | PICK(entry_bits, state);
    (void)from;
    found->size = found->size < 8 ? 8 : found->size;
    memcpy(found->bytes + place, &value, sizeof value);
}

static void change_byte(input *in, const corpus *from, uint64_t *state)
{
    patch *found = some_patch(in, state);
    (void)from;
    if (found->size)
        found->bytes[below(state, found->size)] ^= (uint8_t)(1u << below(state, 8));
    if (!below(state, 4))
        found->gpa = address_in(in, state) + 8 * below(state, 512);
}

static void change_piece(input *in, const corpus *from, uint64_t *state)
{
    piece_spec *piece;
    (void)from;
    if (in->piece_count < MAX_PIECES && !below(state, 4))
        in->pieces[in->piece_count++] = (piece_spec){number(state, 0), 1, below(state, 2), 0};
    if (!in->piece_count)
        return;
    piece = &in->pieces[below(state, in->piece_count)];
    switch (below(state, 8)) {
    case 0:
        piece->gpa = PICK(edges, state);
        return;
    case 1:
        *piece = in->pieces[--in->piece_count];
        return;
    case 2:
        piece->pages = 1 + below(state, MAX_PAGES);
        return;
    case 3:
        piece->writable = !piece->writable;
        return;
    default:
        piece->skew = below(state, MAX_SKEW);
    }
}

/* --- events ------------------------------------------------------------------------------------ */

static void change_event(input *in, const corpus *from, uint64_t *state)
{
    event *made;
    (void)from;
    if (in->event_count < MAX_EVENTS && below(state, 2))
        in->events[in->event_count++] = (event){STEP, 0, 0};
    if (!in->event_count)
        return;
    made = &in->events[below(state, in->event_count)];
    made->value = number(state, made->value);
    switch (below(state, 8)) {
    case 0:
        *made = (event){RUN, made->value, 1 + below(state, below(state, 8) ? 40 : MAX_BUDGET)};
        return;
    case 1:
        made->kind = RESUME;
        return;
    case 2:
        *made = (event){POKE, address_in(in, state) | PICK(entry_bits, state),
                        in->patches[below(state, MAX_PATCHES)].gpa + 8 * below(state, 8)};
        return;
    case 3:
        *made = (event){SET, made->value, below(state, CPU_WORDS)};
        return;
    default:
        made->kind = STEP;
    }
}

static void change_blocks(input *in, const corpus *from, uint64_t *state)
{
    (void)from;
    in->blocks = below(state, 2);
    in->deliver = below(state, 2);
    in->wide = below(state, 2);
    in->cpu.gpr[1] = below(state, 600); /* rCX */
}

static void splice(input *in, const corpus *from, uint64_t *state)
{
    const input *other = &from->entries[below(state, from->count)];
    switch (below(state, 4)) {
    case 0:
        memcpy(in->cpu.gpr, other->cpu.gpr, sizeof in->cpu.gpr);
        return;
    case 1:
        in->event_count = other->event_count;
        memcpy(in->events, other->events, sizeof in->events);
        return;
    case 2:
        in->piece_count = other->piece_count;
        memcpy(in->pieces, other->pieces, sizeof in->pieces);
        return;
    default:
        in->cpu = other->cpu;
    }
}

static void (*const mutations[])(input *, const corpus *, uint64_t *) = {
    change_gpr,   change_gpr,   change_gpr,  change_control, change_control, change_segment,
    change_word,  forge_flight, land_honestly, change_code,  change_code,    change_code,
    insert_prefix, take_code,   take_code,   move_code,      change_entry,   change_entry,
    change_byte, change_blocks, change_piece, change_event, change_event,  splice,
    change_gate, change_descriptor, change_descriptor, change_task, change_frame, change_entry_point,
    make_request, make_request, change_breakpoints,
};

void mutate_input(input *in, const corpus *from, uint64_t *state)
{
    for (size_t times = 1 + below(state, 1u << below(state, 4)); times; times--)
        PICK(mutations, state)(in, from, state);
    normalize_input(in);
}
