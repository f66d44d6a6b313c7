/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_strings.py. */

enum { STRING_SIZE = 16, STRING_WORDS = 1, STRING_SIGNED = 2 };
enum { STRING_NEGATED = 0x10, STRING_MASKED = 0x20, STRING_HIGHEST = 0x40 };

/* Elements, so that unsigned comparison orders them, and how many of them count. */
typedef struct {
    uint64_t elements[STRING_SIZE];
    unsigned length, count;
} string_of_elements;

static int matches_any(const string_of_elements *a, const string_of_elements *b, unsigned place)
{
    if (place >= b->length)
        return 0;
    for (unsigned at = 0; at < a->length; at++)
        if (a->elements[at] == b->elements[place])
            return 1;
    return 0;
}

static int matches_range(const string_of_elements *a, const string_of_elements *b, unsigned place)
{
    uint64_t found = b->elements[place];
    if (place >= b->length)
        return 0;
    for (unsigned at = 0; at + 1 < a->length; at += 2)
        if (a->elements[at] <= found && found <= a->elements[at + 1])
            return 1;
    return 0;
}

static int matches_each(const string_of_elements *a, const string_of_elements *b, unsigned place)
{
    if (place < a->length && place < b->length)
        return a->elements[place] == b->elements[place];
    return place >= a->length && place >= b->length;
}

static int matches_ordered(const string_of_elements *a, const string_of_elements *b,
                           unsigned place)
{
    unsigned room = b->count - place, end = a->length < room ? a->length : room;
    for (unsigned at = 0; at < end; at++)
        if (place + at >= b->length || a->elements[at] != b->elements[place + at])
            return 0;
    return 1;
}

static int aggregated(unsigned how, const string_of_elements *a, const string_of_elements *b,
                      unsigned place)
{
    switch (how) {
    case 0:
        return matches_any(a, b, place);
    case 1:
        return matches_range(a, b, place);
    case 2:
        return matches_each(a, b, place);
    default:
        return matches_ordered(a, b, place);
    }
}

static unsigned explicit_length(const context *c, unsigned number, unsigned count)
{
    unsigned size = c->insn->rex & VMMKIT_REX_W && c->mode == 64 ? 8 : 4;
    uint64_t value = extended(c->cpu->gpr[number] & mask_of(size), 8 * size);
    if (value >> 63)
        value = 0 - value;
    return value < count ? (unsigned)value : count;
}

static void take_string(const context *c, const vector *raw, int explicit, unsigned number,
                        string_of_elements *out)
{
    unsigned control = immediate_byte(c), lane = control & STRING_WORDS ? 2 : 1;
    out->count = STRING_SIZE / lane;
    out->length = out->count;
    for (unsigned place = out->count; place-- > 0;) {
        uint64_t element = lane_at(raw, lane, place);
        if (!explicit && !element)
            out->length = place;
        out->elements[place] = control & STRING_SIGNED ? ordered(element, 8 * lane) : element;
    }
    if (explicit)
        out->length = explicit_length(c, number, out->count);
}

static unsigned compared_strings(const string_of_elements *a, const string_of_elements *b,
                                 unsigned control)
{
    unsigned found = 0;
    for (unsigned place = 0; place < b->count; place++)
        found |= (unsigned)aggregated(control >> 2 & 3, a, b, place) << place;
    if (control & STRING_NEGATED)
        found ^= (1u << (control & STRING_MASKED ? b->length : b->count)) - 1;
    return found;
}

static void write_string_index(context *c, unsigned found, unsigned count)
{
    unsigned highest = immediate_byte(c) & STRING_HIGHEST, index = count;
    for (unsigned place = 0; place < count; place++)
        if (found >> place & 1 && (highest || index == count))
            index = place;
    c->cpu->gpr[RCX] = index;
}

static void write_string_mask(context *c, unsigned found, unsigned count)
{
    uint64_t bytes = spread(found, STRING_SIZE / count);
    vector result = {.q = {found}};
    if (immediate_byte(c) & STRING_HIGHEST)
        for (unsigned place = 0; place < STRING_SIZE; place++)
            result.b[place] = bytes >> place & 1 ? 0xFF : 0;
    memcpy(c->cpu->vector, &result, c->insn->prefixes & VMMKIT_PREFIX_VEX ? 64 : STRING_SIZE);
}

static int compare_strings(context *c, const vector_operation *operation)
{
    unsigned function = operation->function, found, flags;
    int explicit = function == VMMKIT_VECTOR_EXPLICIT_INDEX ||
                   function == VMMKIT_VECTOR_EXPLICIT_MASK;
    string_of_elements a, b;
    vector raw;
    if (names_memory(c, 1))
        TRY(load_operand(c, operation, bytes_up_to(STRING_SIZE), &raw));
    else
        read_register_operand(c, 1, STRING_SIZE, &raw);
    take_string(c, &raw, explicit, RDX, &b);
    read_register_operand(c, 0, STRING_SIZE, &raw);
    take_string(c, &raw, explicit, RAX, &a);
    found = compared_strings(&a, &b, immediate_byte(c));
    if (function == VMMKIT_VECTOR_EXPLICIT_INDEX || function == VMMKIT_VECTOR_IMPLICIT_INDEX)
        write_string_index(c, found, a.count);
    else
        write_string_mask(c, found, a.count);
    flags = (found ? CF : 0) | (found & 1 ? OF : 0);
    flags |= (b.length < b.count ? ZF : 0) | (a.length < a.count ? SF : 0);
    set_status(c, flags, STATUS);
    return 0;
}
