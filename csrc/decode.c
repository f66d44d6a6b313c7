/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_decode.py. */

typedef struct {
    const uint8_t *code;
    size_t length;
    size_t position;
    const row *row;
    vmmkit_insn *out;
} decoder;

static const int8_t address_16[8][3] = {
    {3, 6, 3}, {3, 7, 3}, {5, 6, 2}, {5, 7, 2}, {6, -1, 3}, {7, -1, 3}, {5, -1, 2}, {3, -1, 3},
};

static inline int take(decoder *d, unsigned size, int64_t *value)
{
    size_t following = d->position + size;
    uint64_t raw = 0;
    if (UNLIKELY(following > d->length))
        return d->length < VMMKIT_LIMIT_MAX_LENGTH ? VMMKIT_DECODE_TRUNCATED
                                                   : VMMKIT_DECODE_TOO_LONG;
    for (unsigned i = 0; i < size; i++)
        raw |= (uint64_t)d->code[d->position + i] << (8 * i);
    if (size && size < 8 && raw >> (8 * size - 1))
        raw |= ~mask_of(size);
    d->position = following;
    memcpy(value, &raw, sizeof raw);
    return 0;
}

static inline int take_byte(decoder *d, unsigned *byte)
{
    if (UNLIKELY(d->position >= d->length))
        return d->length < VMMKIT_LIMIT_MAX_LENGTH ? VMMKIT_DECODE_TRUNCATED
                                                   : VMMKIT_DECODE_TOO_LONG;
    *byte = d->code[d->position++];
    return 0;
}

/* Returns whether byte is a legacy prefix, and applies it. */
static inline int legacy_prefix(vmmkit_insn *out, unsigned byte)
{
    switch (byte) {
    case 0x66:
        out->prefixes |= VMMKIT_PREFIX_OPERAND_SIZE;
        return 1;
    case 0x67:
        out->prefixes |= VMMKIT_PREFIX_ADDRESS_SIZE;
        return 1;
    case 0xF0:
        out->prefixes |= VMMKIT_PREFIX_LOCK;
        return 1;
    case 0xF2:
        out->prefixes = (uint16_t)((out->prefixes & ~VMMKIT_PREFIX_REP) | VMMKIT_PREFIX_REPNE);
        return 1;
    case 0xF3:
        out->prefixes = (uint16_t)((out->prefixes & ~VMMKIT_PREFIX_REPNE) | VMMKIT_PREFIX_REP);
        return 1;
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
    case 0x64:
    case 0x65:
        if (out->mode != 64 || byte >= 0x64) {
            out->segment = (int8_t)(byte >= 0x64 ? byte - 0x60 : (byte >> 3) & 3);
            out->prefixes |= VMMKIT_PREFIX_SEGMENT;
        }
        return 1;
    default:
        return 0;
    }
}

static inline int take_prefixes(decoder *d, unsigned *byte)
{
    vmmkit_insn *out = d->out;
    for (;;) {
        TRY(take_byte(d, byte));
        if (legacy_prefix(out, *byte)) {
            out->rex = 0;
        } else if (out->mode == 64 && (*byte & 0xF0) == 0x40) {
            out->rex = (uint8_t)*byte;
        } else {
            break;
        }
    }
    if (out->rex)
        out->prefixes |= VMMKIT_PREFIX_REX;
    return 0;
}

static inline int take_modrm(decoder *d)
{
    unsigned byte;
    if (d->out->modrm >= 0)
        return 0;
    TRY(take_byte(d, &byte));
    d->out->modrm = (int16_t)byte;
    return 0;
}

static inline int selection(decoder *d, unsigned selector, unsigned *value)
{
    vmmkit_insn *out = d->out;
    switch (selector) {
    case VMMKIT_SELECT_MODE64:
        *value = out->mode == 64;
        return 0;
    case VMMKIT_SELECT_REXB:
        *value = out->rex & 1;
        return 0;
    case VMMKIT_SELECT_PREFIX:
        if (out->prefixes & (VMMKIT_PREFIX_REP | VMMKIT_PREFIX_REPNE))
            *value = out->prefixes & VMMKIT_PREFIX_REP ? 2 : 3;
        else
            *value = (out->prefixes & VMMKIT_PREFIX_OPERAND_SIZE) != 0;
        return 0;
    default:
        TRY(take_modrm(d));
        *value = selector == VMMKIT_SELECT_REG ? (unsigned)out->modrm >> 3 & 7 : out->modrm >= 0xC0;
        return 0;
    }
}

static inline int take_opcode(decoder *d, unsigned byte)
{
    unsigned root = byte, cell;
    if (byte == 0x0F) {
        TRY(take_byte(d, &byte));
        root = 256 + byte;
    }
    d->out->opcode = (uint8_t)byte;
    cell = cells[root];
    while (cell & VMMKIT_CELL_SPLIT) {
        const uint16_t *split = splits[cell & (VMMKIT_CELL_SPLIT - 1)];
        unsigned value;
        TRY(selection(d, split[0], &value));
        cell = cells[split[1] + value];
    }
    if (cell == VMMKIT_CELL_UNKNOWN)
        return VMMKIT_DECODE_UNKNOWN;
    if (cell == VMMKIT_CELL_INVALID)
        return VMMKIT_DECODE_INVALID;
    d->out->row = (uint16_t)cell;
    d->row = &rows[cell];
    return 0;
}

static inline void set_sizes(decoder *d)
{
    vmmkit_insn *out = d->out;
    int wide = out->prefixes & VMMKIT_PREFIX_OPERAND_SIZE;
    int other = out->prefixes & VMMKIT_PREFIX_ADDRESS_SIZE;
    if (out->mode == 64) {
        out->address_size = other ? 4 : 8;
        if (d->row->flags & VMMKIT_FLAG_F64 || out->rex & 8)
            out->operand_size = 8;
        else
            out->operand_size = wide ? 2 : d->row->flags & VMMKIT_FLAG_D64 ? 8 : 4;
    } else {
        uint8_t normal = out->mode == 32 ? 4 : 2;
        uint8_t swapped = out->mode == 32 ? 2 : 4;
        out->operand_size = wide ? swapped : normal;
        out->address_size = other ? swapped : normal;
    }
}

static inline int take_address_16(decoder *d)
{
    static const uint8_t sizes[3] = {0, 1, 2};
    vmmkit_insn *out = d->out;
    unsigned mod = (unsigned)out->modrm >> 6, rm = (unsigned)out->modrm & 7;
    int segment = address_16[rm][2];
    unsigned size = sizes[mod];
    out->base = address_16[rm][0];
    out->index = address_16[rm][1];
    out->scale = out->index >= 0;
    if (mod == 0 && rm == 6) {
        out->base = -1;
        segment = DS;
        size = 2;
        out->index = -1;
        out->scale = 0;
    }
    TRY(take(d, size, &out->displacement));
    if (out->segment < 0)
        out->segment = (int8_t)segment;
    return 0;
}

static inline int take_address_32(decoder *d)
{
    static const uint8_t sizes[3] = {0, 1, 4};
    vmmkit_insn *out = d->out;
    unsigned mod = (unsigned)out->modrm >> 6, rm = (unsigned)out->modrm & 7;
    unsigned size = sizes[mod], base = rm | (out->rex & 1u) << 3;
    if (rm == 4) {
        unsigned sib, index;
        TRY(take_byte(d, &sib));
        index = (sib >> 3 & 7) | (out->rex & 2u) << 2;
        if (index != 4) {
            out->index = (int8_t)index;
            out->scale = (uint8_t)(1u << (sib >> 6));
        }
        base = (sib & 7) | (out->rex & 1u) << 3;
    }
    out->base = (int8_t)base;
    if (mod == 0 && (base & 7) == 5) {
        out->base = rm == 5 && out->mode == 64 ? RIP_BASE : -1;
        size = 4;
    }
    TRY(take(d, size, &out->displacement));
    if (out->segment < 0)
        out->segment = out->base == RSP || out->base == RBP ? SS : DS;
    return 0;
}

static inline int take_operands(decoder *d)
{
    vmmkit_insn *out = d->out;
    const uint8_t *sizes = type_sizes[out->operand_size];
    if (d->row->modrm) {
        TRY(take_modrm(d));
        if (out->modrm < 0xC0)
            TRY(out->address_size == 2 ? take_address_16(d) : take_address_32(d));
    }
    for (int place = 0; place < 3; place++) {
        unsigned kind = d->row->kinds[place];
        if (!kind)
            break;
        if (kind == VMMKIT_KIND_I || kind == VMMKIT_KIND_J) {
            TRY(take(d, sizes[d->row->types[place]], &out->immediate));
        } else if (kind == VMMKIT_KIND_O) {
            TRY(take(d, out->address_size, &out->displacement));
            out->displacement &= (int64_t)mask_of(out->address_size);
            if (out->segment < 0)
                out->segment = DS;
        } else if (kind == VMMKIT_KIND_S && (out->modrm >> 3 & 7) > 5) {
            return VMMKIT_DECODE_INVALID;
        }
    }
    return 0;
}

static inline int in_memory(const decoder *d)
{
    const row *row = d->row;
    if (row->modrm)
        return d->out->modrm >= 0 && d->out->modrm < 0xC0;
    return row->kinds[0] == VMMKIT_KIND_O || row->kinds[1] == VMMKIT_KIND_O;
}

static inline void memory_operand(decoder *d)
{
    const row *row = d->row;
    unsigned wanted = row->modrm ? VMMKIT_KIND_E : VMMKIT_KIND_O;
    unsigned place = row->kinds[0] == wanted ? 0 : row->kinds[1] == wanted ? 1 : 2;
    if (!row->access || !in_memory(d))
        return;
    d->out->memory_access = row->access;
    d->out->memory_size = type_sizes[d->out->operand_size][row->types[place]];
}

static inline int finish(decoder *d)
{
    vmmkit_insn *out = d->out;
    const row *row = d->row;
    memory_operand(d);
    if (row->op == VMMKIT_OP_INVALID)
        return VMMKIT_DECODE_INVALID;
    if (out->prefixes & VMMKIT_PREFIX_LOCK &&
        !(row->flags & VMMKIT_FLAG_LOCK && out->memory_access & WRITTEN))
        return VMMKIT_DECODE_INVALID;
    if (row->kinds[0] == VMMKIT_KIND_S && (out->modrm >> 3 & 7) == 1)
        return VMMKIT_DECODE_INVALID;
    if (!in_memory(d) && row->kinds[0] != VMMKIT_KIND_X && row->kinds[1] != VMMKIT_KIND_X)
        out->segment = -1;
    out->length = (uint8_t)d->position;
    return 0;
}

int vmmkit_decode(const uint8_t *code, size_t length, int mode, vmmkit_insn *out)
{
    size_t window = length < VMMKIT_LIMIT_MAX_LENGTH ? length : VMMKIT_LIMIT_MAX_LENGTH;
    decoder d = {code, window, 0, rows, out};
    unsigned byte;
    memset(out, 0, sizeof *out);
    out->modrm = -1;
    out->segment = out->base = out->index = -1;
    out->mode = (uint8_t)mode;
    TRY(take_prefixes(&d, &byte));
    TRY(take_opcode(&d, byte));
    set_sizes(&d);
    TRY(take_operands(&d));
    return finish(&d);
}
