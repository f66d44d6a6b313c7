/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_decode.py. */

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

static inline unsigned mandatory_prefix(const decoder *d)
{
    unsigned prefixes = d->out->prefixes;
    if (UNLIKELY(d->prefix >= 0))
        return (unsigned)d->prefix;
    if (prefixes & (VMMKIT_PREFIX_REP | VMMKIT_PREFIX_REPNE))
        return prefixes & VMMKIT_PREFIX_REP ? 2 : 3;
    return (prefixes & VMMKIT_PREFIX_OPERAND_SIZE) != 0;
}

static inline int selection(decoder *d, unsigned selector, unsigned *value)
{
    vmmkit_insn *out = d->out;
    switch (selector) {
    case VMMKIT_SELECT_MODE64:
        *value = out->mode == 64;
        return 0;
    case VMMKIT_SELECT_REXB:
        *value = (out->rex & (VMMKIT_REX_B | VMMKIT_REX_B4)) != 0;
        return 0;
    case VMMKIT_SELECT_PREFIX:
        *value = mandatory_prefix(d);
        return 0;
    case VMMKIT_SELECT_W:
        *value = out->rex >> 3 & 1;
        return 0;
    case VMMKIT_SELECT_LENGTH:
        if (out->prefixes & VMMKIT_PREFIX_VEX) {
            *value = d->vector_length;
            return 0;
        }
        break;
    default:
        break;
    }
    TRY(take_modrm(d));
    switch (selector) {
    case VMMKIT_SELECT_REG:
        *value = (unsigned)out->modrm >> 3 & 7;
        return 0;
    case VMMKIT_SELECT_MOD3:
        *value = out->modrm >= 0xC0;
        return 0;
    case VMMKIT_SELECT_RM:
        *value = (unsigned)out->modrm & 7;
        return 0;
    default:
        *value = effective_length(d);
        return 0;
    }
}

static inline int find_row(decoder *d, unsigned map, unsigned opcode)
{
    unsigned cell = cells[map * 256 + opcode];
    d->out->opcode = (uint8_t)opcode;
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

static inline int take_escaped(decoder *d)
{
    unsigned byte;
    TRY(take_byte(d, &byte));
    if (byte != 0x38 && byte != 0x3A)
        return find_row(d, VMMKIT_MAP_LEGACY_0F, byte);
    {
        unsigned map = byte == 0x38 ? VMMKIT_MAP_LEGACY_0F38 : VMMKIT_MAP_LEGACY_0F3A;
        TRY(take_byte(d, &byte));
        return find_row(d, map, byte);
    }
}

static NOINLINE int use_vector(decoder *d, unsigned kind, vector_prefix found)
{
    unsigned opcode;
    if (found.map < 0)
        return VMMKIT_DECODE_UNKNOWN;
    d->out->prefixes |= (uint16_t)kind;
    d->out->rex = found.rex;
    d->out->vvvv = found.vvvv;
    d->out->mask = found.mask;
    d->prefix = found.prefix;
    d->vector_length = found.length;
    TRY(take_byte(d, &opcode));
    return find_row(d, (unsigned)found.map, opcode);
}

static NOINLINE int take_vector(decoder *d, unsigned byte)
{
    const unsigned refused = VMMKIT_PREFIX_LOCK | VMMKIT_PREFIX_REP | VMMKIT_PREFIX_REPNE |
                             VMMKIT_PREFIX_OPERAND_SIZE | VMMKIT_PREFIX_REX;
    unsigned first, second, third;
    int mode = d->out->mode;
    if (d->out->prefixes & refused)
        return VMMKIT_DECODE_INVALID;
    TRY(take_byte(d, &first));
    if (byte == 0xC5)
        return use_vector(d, VMMKIT_PREFIX_VEX, vex2(first, mode));
    TRY(take_byte(d, &second));
    if (byte == 0xC4)
        return use_vector(d, VMMKIT_PREFIX_VEX, vex3(first, second, mode));
    TRY(take_byte(d, &third));
    return use_vector(d, VMMKIT_PREFIX_EVEX, evex(first, second, third, mode));
}

static NOINLINE int take_rex2(decoder *d)
{
    static const uint8_t prefixes[] = {0x0F, 0x26, 0x2E, 0x36, 0x3E, 0x62, 0x64, 0x65,
                                       0x66, 0x67, 0xC4, 0xC5, 0xD5, 0xF0, 0xF2, 0xF3};
    unsigned payload, opcode, map;
    if (d->out->prefixes & VMMKIT_PREFIX_REX)
        return VMMKIT_DECODE_INVALID;
    TRY(take_byte(d, &payload));
    d->out->prefixes |= VMMKIT_PREFIX_REX2;
    d->out->rex = (uint16_t)(0x40 | (payload & 15) | (payload & 0x70) << 4);
    map = payload >> 7;
    TRY(take_byte(d, &opcode));
    if (rex2_refused[map] >> (opcode >> 4) & 1 ||
        (!map && memchr(prefixes, (int)opcode, sizeof prefixes)))
        return VMMKIT_DECODE_INVALID;
    return find_row(d, map, opcode);
}

/* Outside 64-bit mode LES, LDS and BOUND exist with memory operands only. */
static inline int vector_follows(const decoder *d, int *follows)
{
    *follows = 1;
    if (d->out->mode == 64)
        return 0;
    if (d->position >= d->length)
        return d->length < VMMKIT_LIMIT_MAX_LENGTH ? VMMKIT_DECODE_TRUNCATED
                                                   : VMMKIT_DECODE_TOO_LONG;
    *follows = d->code[d->position] >= 0xC0;
    return 0;
}

static inline int take_opcode(decoder *d, unsigned byte)
{
    int follows;
    switch (byte) {
    case 0x0F:
        return take_escaped(d);
    case 0x62:
    case 0xC4:
    case 0xC5:
        TRY(vector_follows(d, &follows));
        return follows ? take_vector(d, byte) : find_row(d, 0, byte);
    case 0xD5:
        return d->out->mode == 64 ? take_rex2(d) : find_row(d, 0, byte);
    default:
        return find_row(d, 0, byte);
    }
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

static inline unsigned memory_bytes(const decoder *d)
{
    unsigned type = d->row->memory_type;
    unsigned size = type_sizes[d->out->operand_size][type];
    if (UNLIKELY(d->out->mask & VMMKIT_MASK_B))
        return d->row->broadcast;
    return size ? size : vector_sizes[d->vector_length % 3][type];
}

static inline unsigned take_index(decoder *d, unsigned sib)
{
    vmmkit_insn *out = d->out;
    unsigned index = (sib >> 3 & 7) | (out->rex & 2u) << 2 | (out->rex & VMMKIT_REX_X4 ? 16 : 0);
    int vector = d->row->flags & VMMKIT_FLAG_VSIB;
    if (vector && out->prefixes & VMMKIT_PREFIX_EVEX)
        index |= out->vvvv & 16;
    if (index != 4 || vector) {
        out->index = (int8_t)index;
        out->scale = (uint8_t)(1u << (sib >> 6));
    }
    return sib & 7;
}

static inline int take_address_32(decoder *d)
{
    static const uint8_t sizes[3] = {0, 1, 4};
    vmmkit_insn *out = d->out;
    unsigned mod = (unsigned)out->modrm >> 6, rm = (unsigned)out->modrm & 7;
    unsigned high = (out->rex & 1u) << 3 | (out->rex & VMMKIT_REX_B4 ? 16 : 0);
    unsigned size = sizes[mod], base = rm | high;
    if (rm == 4) {
        unsigned sib;
        TRY(take_byte(d, &sib));
        base = take_index(d, sib) | high;
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

static inline int take_address(decoder *d)
{
    vmmkit_insn *out = d->out;
    if (UNLIKELY(d->row->flags & (VMMKIT_FLAG_VSIB | VMMKIT_FLAG_SIBMEM)) &&
        ((out->modrm & 7) != 4 || out->address_size == 2))
        return VMMKIT_DECODE_INVALID;
    TRY(out->address_size == 2 ? take_address_16(d) : take_address_32(d));
    if (UNLIKELY(out->prefixes & VMMKIT_PREFIX_EVEX) && out->modrm >> 6 == 1)
        out->displacement *= d->row->disp8 ? d->row->disp8 : memory_bytes(d);
    return 0;
}

static inline int take_moffs(decoder *d)
{
    vmmkit_insn *out = d->out;
    TRY(take(d, out->address_size, &out->displacement));
    out->displacement &= (int64_t)mask_of(out->address_size);
    if (out->segment < 0)
        out->segment = DS;
    return 0;
}

static inline int take_operands(decoder *d)
{
    vmmkit_insn *out = d->out;
    const row *row = d->row;
    const uint16_t *sizes = type_sizes[out->operand_size];
    if (row->flags & VMMKIT_FLAG_MODRM) {
        TRY(take_modrm(d));
        if (UNLIKELY(row->flags & VMMKIT_FLAG_ANYMOD))
            out->modrm |= 0xC0;
        if (out->modrm < 0xC0)
            TRY(take_address(d));
    } else if (row->memory < 4) {
        TRY(take_moffs(d));
    }
    if (row->immediates[0])
        TRY(take(d, sizes[row->immediates[0]], &out->immediate));
    if (UNLIKELY(row->immediates[1])) {
        int64_t second;
        TRY(take(d, sizes[row->immediates[1]], &second));
        out->second_immediate = (uint16_t)second;
    }
    return 0;
}

static inline int in_memory(const decoder *d)
{
    if (d->row->flags & VMMKIT_FLAG_MODRM)
        return d->out->modrm < 0xC0;
    return d->row->memory < 4;
}

static inline int finish(decoder *d)
{
    vmmkit_insn *out = d->out;
    const row *row = d->row;
    int memory = in_memory(d);
    if (memory && row->access) {
        out->memory_access = row->access;
        out->memory_size = (uint16_t)memory_bytes(d);
    }
    if (row->op == VMMKIT_OP_INVALID)
        return VMMKIT_DECODE_INVALID;
    if (out->prefixes & VMMKIT_PREFIX_LOCK &&
        !(row->flags & VMMKIT_FLAG_LOCK && out->memory_access & WRITTEN))
        return VMMKIT_DECODE_INVALID;
    if (UNLIKELY(out->prefixes & (VMMKIT_PREFIX_VEX | VMMKIT_PREFIX_EVEX)))
        TRY(check_vector(d));
    if (row->flags & VMMKIT_FLAG_LIMITED)
        TRY(check_registers(d));
    if (!memory && !(row->flags & VMMKIT_FLAG_SEG))
        out->segment = -1;
    out->length = (uint8_t)d->position;
    return 0;
}

int vmmkit_decode(const uint8_t *code, size_t length, int mode, vmmkit_insn *out)
{
    size_t window = length < VMMKIT_LIMIT_MAX_LENGTH ? length : VMMKIT_LIMIT_MAX_LENGTH;
    decoder d = {code, window, 0, rows, out, -1, 0};
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
