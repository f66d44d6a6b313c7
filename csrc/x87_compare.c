/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_x87_compare.py. */

enum { C0 = 0x100, C2 = 0x400, C3 = 0x4000, CONDITION = C0 | C2 | C3 };

/* FXAM, by kind of number. */
static const uint16_t classes[] = {C3, C3 | C2, C2, C2 | C0, C0, C0, 0};

/* What the register forms of a comparison do. */
typedef struct {
    int quiet, flags, integer;
    unsigned pops;
} comparison;

static comparison comparison_of(unsigned op)
{
    switch (op) {
    case VMMKIT_OP_FCOMP:
        return (comparison){0, 0, 0, 1};
    case VMMKIT_OP_FCOMPP:
        return (comparison){0, 0, 0, 2};
    case VMMKIT_OP_FUCOM:
        return (comparison){1, 0, 0, 0};
    case VMMKIT_OP_FUCOMP:
        return (comparison){1, 0, 0, 1};
    case VMMKIT_OP_FUCOMPP:
        return (comparison){1, 0, 0, 2};
    case VMMKIT_OP_FICOM:
        return (comparison){0, 0, 1, 0};
    case VMMKIT_OP_FICOMP:
        return (comparison){0, 0, 1, 1};
    case VMMKIT_OP_FCOMI:
        return (comparison){0, 1, 0, 0};
    case VMMKIT_OP_FCOMIP:
        return (comparison){0, 1, 0, 1};
    case VMMKIT_OP_FUCOMI:
        return (comparison){1, 1, 0, 0};
    case VMMKIT_OP_FUCOMIP:
        return (comparison){1, 1, 0, 1};
    default: /* FCOM */
        return (comparison){0, 0, 0, 0};
    }
}

static void set_codes(context *c, unsigned codes)
{
    c->cpu->x87_status = (c->cpu->x87_status & ~(uint64_t)CONDITION) | codes;
}

static void set_order(context *c, int found, int in_flags)
{
    if (in_flags)
        set_status(c, found == UNORDERED ? ZF | PF | CF : found < 0 ? CF : found ? 0 : ZF, STATUS);
    else
        set_codes(c, found == UNORDERED ? CONDITION : found < 0 ? C0 : found ? 0 : C3);
}

static int load_other(context *c, int integer, extended_real *value, unsigned *flags, int *empty)
{
    unsigned size = operand_bytes(c, 0);
    memory_real number;
    *flags = 0;
    *empty = 0;
    if (c->insn->modrm >= 0xC0) {
        *value = read_x87(c, x87_index(c));
        *empty = is_empty(c, x87_index(c));
        return 0;
    }
    TRY(load_x87(c, size, &number));
    *value = integer ? from_integer(number, size) : from_real(number, size, flags);
    return 0;
}

static int compare_x87(context *c, unsigned op)
{
    comparison how = comparison_of(op);
    unsigned flags, raised;
    int empty, kept_back, found = UNORDERED;
    extended_real value;
    TRY(load_other(c, how.integer, &value, &flags, &empty));
    if (empty || is_empty(c, 0)) {
        flags = STACK_FAULT_FLAGS;
    } else {
        found = order(read_x87(c, 0), value, how.quiet, &raised);
        flags = raised | (flags & (found == UNORDERED ? IE : IE | DENORMAL_OPERAND));
    }
    kept_back = is_kept_back(c, flags);
    finish_x87(c, flags);
    if (kept_back)
        return 0;
    set_order(c, found, how.flags);
    while (how.pops--)
        pop_x87(c);
    return 0;
}

static int test_x87(context *c)
{
    unsigned flags = STACK_FAULT_FLAGS;
    int kept_back, found = UNORDERED;
    if (!is_empty(c, 0))
        found = order(read_x87(c, 0), (extended_real){0, 0}, 0, &flags);
    kept_back = is_kept_back(c, flags);
    finish_x87(c, flags);
    if (!kept_back)
        set_order(c, found, 0);
    return 0;
}

static int examine_x87(context *c)
{
    extended_real value = read_x87(c, 0);
    unsigned codes = is_empty(c, 0) ? C3 | C0 : classes[kind_of(value)];
    finish_x87(c, value.exponent >> 15 ? C1 : 0);
    set_codes(c, codes);
    return 0;
}

static int move_by_condition(context *c, unsigned flag, int negated)
{
    unsigned number = x87_index(c);
    int empty = is_empty(c, 0) || is_empty(c, number);
    extended_real value = empty ? indefinite : read_x87(c, number);
    unsigned flags = empty ? STACK_FAULT_FLAGS : 0;
    int moves = empty || ((c->cpu->rflags & flag) != 0) != negated;
    int kept_back = is_kept_back(c, flags);
    finish_x87(c, empty ? flags : (unsigned)c->cpu->x87_status & C1);
    if (moves && !kept_back)
        write_x87(c, 0, value);
    return 0;
}

static NOINLINE int execute_x87_comparison(context *c, unsigned op)
{
    TRY(check_x87(c, 1));
    switch (op) {
    case VMMKIT_OP_FTST:
        return test_x87(c);
    case VMMKIT_OP_FXAM:
        return examine_x87(c);
    case VMMKIT_OP_FCMOVB:
        return move_by_condition(c, CF, 0);
    case VMMKIT_OP_FCMOVE:
        return move_by_condition(c, ZF, 0);
    case VMMKIT_OP_FCMOVBE:
        return move_by_condition(c, CF | ZF, 0);
    case VMMKIT_OP_FCMOVU:
        return move_by_condition(c, PF, 0);
    case VMMKIT_OP_FCMOVNB:
        return move_by_condition(c, CF, 1);
    case VMMKIT_OP_FCMOVNE:
        return move_by_condition(c, ZF, 1);
    case VMMKIT_OP_FCMOVNBE:
        return move_by_condition(c, CF | ZF, 1);
    case VMMKIT_OP_FCMOVNU:
        return move_by_condition(c, PF, 1);
    default:
        return compare_x87(c, op);
    }
}
