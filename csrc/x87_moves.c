/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_x87_moves.py. */

enum { TO_ZERO = 3 << 10 };

static unsigned x87_index(const context *c)
{
    return (unsigned)c->insn->modrm & 7;
}

static int push_result(context *c, extended_real value, unsigned flags)
{
    int kept_back;
    if (flags != STACK_FAULT_FLAGS && !is_empty(c, 7)) {
        value = indefinite;
        flags = STACK_FAULT_FLAGS | C1;
    }
    kept_back = is_kept_back(c, flags & ~(unsigned)DENORMAL_OPERAND);
    finish_x87(c, flags);
    if (!kept_back)
        push_x87(c, value);
    return 0;
}

static int load_number(context *c, unsigned op)
{
    unsigned size = operand_bytes(c, 0), flags = 0;
    extended_real value;
    memory_real number;
    TRY(load_x87(c, size, &number));
    if (op == VMMKIT_OP_FLD)
        value = from_real(number, size, &flags);
    else
        value = op == VMMKIT_OP_FILD ? from_integer(number, size) : from_decimal(number);
    return push_result(c, value, flags);
}

static int load_register(context *c)
{
    int empty = is_empty(c, x87_index(c));
    extended_real value = empty ? indefinite : read_x87(c, x87_index(c));
    return push_result(c, value, empty ? STACK_FAULT_FLAGS : 0);
}

static extended_real constant(unsigned op, int nearest, int up)
{
    switch (op) {
    case VMMKIT_OP_FLD1:
        return (extended_real){INTEGER_BIT, 0x3FFF};
    case VMMKIT_OP_FLDL2T:
        return (extended_real){UINT64_C(0xD49A784BCD1B8AFE) + (unsigned)up, 0x4000};
    case VMMKIT_OP_FLDL2E:
        return (extended_real){UINT64_C(0xB8AA3B295C17F0BB) + (unsigned)nearest, 0x3FFF};
    case VMMKIT_OP_FLDPI:
        return (extended_real){UINT64_C(0xC90FDAA22168C234) + (unsigned)nearest, 0x4000};
    case VMMKIT_OP_FLDLG2:
        return (extended_real){UINT64_C(0x9A209A84FBCFF798) + (unsigned)nearest, 0x3FFD};
    case VMMKIT_OP_FLDLN2:
        return (extended_real){UINT64_C(0xB17217F7D1CF79AB) + (unsigned)nearest, 0x3FFE};
    default: /* FLDZ */
        return (extended_real){0, 0};
    }
}

static int load_constant(context *c, unsigned op)
{
    unsigned mode = (unsigned)(c->cpu->x87_control >> 10 & 3);
    return push_result(c, constant(op, mode == NEAREST || mode == UP, mode == UP), 0);
}

static memory_real indefinite_number(unsigned op, unsigned size)
{
    if (op == VMMKIT_OP_FST || op == VMMKIT_OP_FSTP)
        return indefinite_real(size);
    if (op == VMMKIT_OP_FBSTP)
        return indefinite_decimal();
    return (memory_real){indefinite_integer(size), 0};
}

static memory_real encoded(unsigned op, extended_real value, unsigned size, unsigned control,
                           unsigned *flags)
{
    if (op == VMMKIT_OP_FST || op == VMMKIT_OP_FSTP)
        return to_real(value, size, control, flags);
    if (op == VMMKIT_OP_FBSTP)
        return to_decimal(value, control, flags);
    return to_integer(value, size, control, flags);
}

static int store_number(context *c, unsigned op)
{
    unsigned size = operand_bytes(c, 0), flags = STACK_FAULT_FLAGS;
    unsigned control = (unsigned)c->cpu->x87_control | (op == VMMKIT_OP_FISTTP ? TO_ZERO : 0);
    int kept_back, pops = op != VMMKIT_OP_FST && op != VMMKIT_OP_FIST;
    memory_real number = indefinite_number(op, size);
    span where;
    TRY(locate_x87(c, size, 1, &where));
    if (!is_empty(c, 0))
        number = encoded(op, read_x87(c, 0), size, control, &flags);
    kept_back = is_kept_back(c, flags);
    if (!kept_back)
        TRY(store_x87(c, &where, size, number));
    finish_x87(c, flags);
    if (pops && !kept_back)
        pop_x87(c);
    return 0;
}

static int store_register(context *c, unsigned op)
{
    int empty = is_empty(c, 0), checks = op != VMMKIT_OP_FSTPNCE;
    extended_real value = empty ? indefinite : read_x87(c, 0);
    unsigned flags = empty && checks ? STACK_FAULT_FLAGS : 0;
    int kept_back = is_kept_back(c, flags);
    finish_x87(c, flags);
    if (!kept_back && (checks || !empty))
        write_x87(c, x87_index(c), value);
    if (op != VMMKIT_OP_FST && !kept_back)
        pop_x87(c);
    return 0;
}

static int exchange_registers(context *c)
{
    unsigned other = x87_index(c);
    extended_real a = is_empty(c, 0) ? indefinite : read_x87(c, 0);
    extended_real b = is_empty(c, other) ? indefinite : read_x87(c, other);
    unsigned flags = is_empty(c, 0) || is_empty(c, other) ? STACK_FAULT_FLAGS : 0;
    int kept_back = is_kept_back(c, flags);
    finish_x87(c, flags);
    if (!kept_back) {
        write_x87(c, other, a);
        write_x87(c, 0, b);
    }
    return 0;
}

static int change_sign(context *c, unsigned op)
{
    int empty = is_empty(c, 0), kept_back;
    extended_real value = empty ? indefinite : read_x87(c, 0);
    unsigned flags = empty ? STACK_FAULT_FLAGS : 0;
    if (!empty && op == VMMKIT_OP_FCHS)
        value.exponent ^= X87_SIGN;
    else if (!empty)
        value.exponent &= LARGEST_EXPONENT;
    kept_back = is_kept_back(c, flags);
    finish_x87(c, flags);
    if (!kept_back)
        write_x87(c, 0, value);
    return 0;
}

static int free_register(context *c, unsigned op)
{
    c->cpu->x87_tag &= ~((uint64_t)1 << physical(c, x87_index(c)));
    finish_x87(c, 0);
    if (op == VMMKIT_OP_FFREEP)
        pop_x87(c);
    return 0;
}

static int turn_stack(context *c, unsigned step)
{
    finish_x87(c, 0);
    move_top(c, step);
    return 0;
}

static NOINLINE int execute_x87_move(context *c, unsigned op)
{
    int memory = c->insn->modrm < 0xC0;
    TRY(check_x87(c, 1));
    switch (op) {
    case VMMKIT_OP_FLD:
    case VMMKIT_OP_FILD:
    case VMMKIT_OP_FBLD:
        return memory ? load_number(c, op) : load_register(c);
    case VMMKIT_OP_FST:
    case VMMKIT_OP_FSTP:
    case VMMKIT_OP_FSTPNCE:
    case VMMKIT_OP_FIST:
    case VMMKIT_OP_FISTP:
    case VMMKIT_OP_FISTTP:
    case VMMKIT_OP_FBSTP:
        return memory ? store_number(c, op) : store_register(c, op);
    case VMMKIT_OP_FXCH:
        return exchange_registers(c);
    case VMMKIT_OP_FCHS:
    case VMMKIT_OP_FABS:
        return change_sign(c, op);
    case VMMKIT_OP_FFREE:
    case VMMKIT_OP_FFREEP:
        return free_register(c, op);
    case VMMKIT_OP_FINCSTP:
        return turn_stack(c, 1);
    case VMMKIT_OP_FDECSTP:
        return turn_stack(c, 7);
    default:
        return load_constant(c, op);
    }
}
