/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_x87_stack.py. */

enum { STACK_FAULT_FLAGS = IE | 0x40 };

static int check_x87(context *c, int waits)
{
    if (c->cpu->cr0 & (CR0_EM | CR0_TS))
        return fault(c, NM, 0, 0);
    return waits && is_x87_pending(c->cpu) ? fault(c, MF, 0, 0) : 0;
}

/* What #AC asks of an address, by size. */
static unsigned x87_alignment(unsigned size)
{
    switch (size) {
    case 2:
    case 14:
    case 94:
        return 1;
    case 8:
    case 10:
        return 7;
    default:
        return 3;
    }
}

static int locate_x87(context *c, unsigned size, int write, span *where)
{
    uint64_t offset = effective_address(c, NULL), linear;
    int checks = c->checks_alignment, stop;
    c->checks_alignment = 0;
    stop = linear_address(c, c->insn->segment, offset, size, write, &linear);
    c->checks_alignment = checks;
    TRY(stop);
    if (checks && linear & x87_alignment(size))
        return fault(c, ALIGNMENT, 0, 0);
    return locate_data(c, linear, size, write, where);
}

static int load_x87(context *c, unsigned size, memory_real *number)
{
    wide_span where = {.enabled = bytes_up_to(size)};
    vector value;
    TRY(locate_x87(c, size, 0, &where.at));
    TRY(load_span(c, &where, &value));
    number->low = value.q[0];
    number->high = value.q[1];
    return 0;
}

static int store_x87(context *c, const span *at, unsigned size, memory_real number)
{
    wide_span where = {.at = *at, .enabled = bytes_up_to(size)};
    vector value = {.q = {number.low, number.high}};
    return store_span(c, &where, &value);
}

static unsigned x87_top(const context *c)
{
    return (unsigned)(c->cpu->x87_status >> 11 & 7);
}

static unsigned physical(const context *c, unsigned number)
{
    return (x87_top(c) + number) & 7;
}

static int is_empty(const context *c, unsigned number)
{
    return !(c->cpu->x87_tag >> physical(c, number) & 1);
}

static extended_real read_x87(const context *c, unsigned number)
{
    const uint64_t *words = &c->cpu->x87[2 * physical(c, number)];
    return (extended_real){words[0], words[1] & 0xFFFF};
}

static void write_x87(context *c, unsigned number, extended_real value)
{
    unsigned place = physical(c, number);
    c->cpu->x87[2 * place] = value.significand;
    c->cpu->x87[2 * place + 1] = value.exponent;
    c->cpu->x87_tag |= (uint64_t)1 << place;
}

static void move_top(context *c, unsigned step)
{
    uint64_t top = physical(c, step);
    c->cpu->x87_status = (c->cpu->x87_status & ~(uint64_t)X87_TOP) | top << 11;
}

static void push_x87(context *c, extended_real value)
{
    move_top(c, 7);
    write_x87(c, 0, value);
}

static void pop_x87(context *c)
{
    c->cpu->x87_tag &= ~((uint64_t)1 << x87_top(c));
    move_top(c, 1);
}

static int is_kept_back(const context *c, unsigned flags)
{
    return (flags & ~c->cpu->x87_control & (IE | DENORMAL_OPERAND | OE | UE)) != 0;
}

static void finish_x87(context *c, unsigned flags)
{
    vmmkit_cpu *cpu = c->cpu;
    cpu->x87_status = summarized((cpu->x87_status & ~(uint64_t)C1) | flags, cpu->x87_control);
    cpu->x87_ip = cpu->rip;
    cpu->x87_cs = segment_words(c, CS)[SELECTOR] & 0xFFFF;
    cpu->x87_opcode = (c->insn->opcode & 7u) << 8 | (unsigned)c->insn->modrm;
    if (c->insn->modrm < 0xC0) {
        cpu->x87_dp = effective_address(c, NULL);
        cpu->x87_ds = segment_words(c, c->insn->segment)[SELECTOR] & 0xFFFF;
    }
}
