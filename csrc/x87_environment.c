/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_x87_environment.py. */

enum { TAG_SPECIAL = 2, TAG_EMPTY = 3, OPCODE_BITS = 0x7FF, X87_REGISTER = 10, X87_WORDS = 7 };

static uint64_t full_tag(const context *c)
{
    const vmmkit_cpu *cpu = c->cpu;
    uint64_t found = 0;
    for (unsigned number = 0; number < 8; number++) {
        uint64_t tag = TAG_EMPTY;
        if (cpu->x87_tag >> number & 1) {
            extended_real value = {cpu->x87[2 * number], cpu->x87[2 * number + 1] & 0xFFFF};
            unsigned kind = kind_of(value);
            tag = kind == X87_NORMAL ? 0 : kind == X87_ZERO ? 1 : TAG_SPECIAL;
        }
        found |= tag << 2 * number;
    }
    return found;
}

static void find_pointers(const context *c, int wide, uint64_t *fields)
{
    const vmmkit_cpu *cpu = c->cpu;
    uint64_t opcode = cpu->x87_opcode & OPCODE_BITS, reserved = wide ? 0xFFFF0000u : 0;
    uint64_t code = cpu->x87_cs & 0xFFFF, data = cpu->x87_ds & 0xFFFF;
    uint64_t ip = (code << 4) + cpu->x87_ip, dp = (data << 4) + cpu->x87_dp;
    if (!c->real) {
        fields[0] = cpu->x87_ip;
        fields[1] = code | (wide ? opcode << 16 : 0);
        fields[2] = cpu->x87_dp;
        fields[3] = data | reserved;
        return;
    }
    fields[0] = (ip & 0xFFFF) | reserved;
    fields[1] = (ip >> 16 & 0xFFFF) << 12 | opcode;
    fields[2] = (dp & 0xFFFF) | reserved;
    fields[3] = (dp >> 16 & 0xFFFF) << 12;
}

static void put_environment(const context *c, unsigned size, area *image)
{
    uint64_t reserved = size == 4 ? 0xFFFF0000u : 0;
    uint64_t fields[X87_WORDS] = {(c->cpu->x87_control & 0xFFFF) | reserved,
                                  (c->cpu->x87_status & 0xFFFF) | reserved,
                                  full_tag(c) | reserved};
    find_pointers(c, size == 4, fields + 3);
    for (unsigned place = 0; place < X87_WORDS; place++)
        memcpy(image->bytes + size * place, &fields[place], size);
}

static void take_pointers(context *c, const uint64_t *fields, int wide)
{
    vmmkit_cpu *cpu = c->cpu;
    if (!c->real) {
        cpu->x87_ip = fields[0];
        cpu->x87_cs = fields[1] & 0xFFFF;
        cpu->x87_dp = fields[2];
        cpu->x87_ds = fields[3] & 0xFFFF;
        if (wide)
            cpu->x87_opcode = fields[1] >> 16 & OPCODE_BITS;
        return;
    }
    cpu->x87_ip = (fields[0] & 0xFFFF) | (fields[1] >> 12 & 0xFFFF) << 16;
    cpu->x87_dp = (fields[2] & 0xFFFF) | (fields[3] >> 12 & 0xFFFF) << 16;
    cpu->x87_cs = cpu->x87_ds = 0;
    cpu->x87_opcode = fields[1] & OPCODE_BITS;
}

static void take_environment(context *c, const uint8_t *raw, unsigned size)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t fields[X87_WORDS] = {0};
    for (unsigned place = 0; place < X87_WORDS; place++)
        memcpy(&fields[place], raw + size * place, size);
    cpu->x87_control = (fields[0] & X87_CONTROL_BITS) | X87_CONTROL_ONE;
    cpu->x87_status = summarized(fields[1] & 0xFFFF, cpu->x87_control);
    cpu->x87_tag = 0;
    for (unsigned number = 0; number < 8; number++)
        if ((fields[2] >> 2 * number & 3) != TAG_EMPTY)
            cpu->x87_tag |= (uint64_t)1 << number;
    take_pointers(c, fields + 3, size == 4);
}

static int store_environment(context *c)
{
    unsigned size = operand_bytes(c, 0);
    area image = {.count = 0};
    span where;
    TRY(locate_x87(c, size, 1, &where));
    put_environment(c, size / X87_WORDS, &image);
    add_part(&image, 0, size);
    TRY(store_area(c, &where, &image));
    c->cpu->x87_control |= X87_EXCEPTIONS;
    c->cpu->x87_status = summarized(c->cpu->x87_status, c->cpu->x87_control);
    return 0;
}

static int load_environment(context *c)
{
    unsigned size = operand_bytes(c, 0);
    uint8_t raw[28];
    span where;
    TRY(locate_x87(c, size, 0, &where));
    TRY(load_part(c, &where, 0, size, raw));
    take_environment(c, raw, size / X87_WORDS);
    return 0;
}

static int save_x87(context *c)
{
    unsigned size = operand_bytes(c, 0), place = size - 8 * X87_REGISTER;
    area image = {.count = 0};
    span where;
    TRY(locate_x87(c, size, 1, &where));
    put_environment(c, place / X87_WORDS, &image);
    for (unsigned number = 0; number < 8; number++, place += X87_REGISTER)
        memcpy(image.bytes + place, &c->cpu->x87[2 * physical(c, number)], X87_REGISTER);
    add_part(&image, 0, size);
    TRY(store_area(c, &where, &image));
    initialize_x87(c->cpu);
    return 0;
}

static int restore_x87(context *c)
{
    unsigned size = operand_bytes(c, 0), place = size - 8 * X87_REGISTER;
    uint8_t raw[108];
    span where;
    TRY(locate_x87(c, size, 0, &where));
    TRY(load_part(c, &where, 0, size, raw));
    take_environment(c, raw, place / X87_WORDS);
    for (unsigned number = 0; number < 8; number++, place += X87_REGISTER) {
        uint64_t *words = &c->cpu->x87[2 * physical(c, number)];
        words[1] = 0;
        memcpy(words, raw + place, X87_REGISTER);
    }
    return 0;
}

static NOINLINE int execute_x87_environment(context *c, unsigned op)
{
    TRY(check_x87(c, op == VMMKIT_OP_FLDENV || op == VMMKIT_OP_FRSTOR));
    switch (op) {
    case VMMKIT_OP_FNSTENV:
        return store_environment(c);
    case VMMKIT_OP_FLDENV:
        return load_environment(c);
    case VMMKIT_OP_FNSAVE:
        return save_x87(c);
    default:
        return restore_x87(c);
    }
}
