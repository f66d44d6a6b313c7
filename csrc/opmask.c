/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_opmask.py. */

static uint64_t read_opmask(const context *c, unsigned place, unsigned size)
{
    vector value;
    read_register_operand(c, place, size, &value);
    return value.q[0];
}

static int write_opmask(context *c, uint64_t number)
{
    vector value = {.q = {number}};
    write_register_operand(c, 0, 8, &value);
    return 0;
}

static int move_opmask(context *c, const vector_operation *operation)
{
    unsigned size = operation->lane;
    vector value;
    if (names_memory(c, 1))
        TRY(load_operand(c, operation, bytes_up_to(size), &value));
    else
        read_register_operand(c, 1, size, &value);
    if (names_memory(c, 0))
        return store_operand(c, operation, size, bytes_up_to(size), &value);
    return write_opmask(c, value.q[0]);
}

static uint64_t opmask_of_one(unsigned function, uint64_t a, unsigned count)
{
    if (function == VMMKIT_VECTOR_MASK_NOT)
        return ~a;
    if (count > 63)
        return 0;
    return function == VMMKIT_VECTOR_MASK_SHIFT_LEFT ? a << count : a >> count;
}

static uint64_t opmask_of_two(unsigned function, uint64_t a, uint64_t b)
{
    switch (function) {
    case VMMKIT_VECTOR_MASK_AND:
        return a & b;
    case VMMKIT_VECTOR_MASK_AND_NOT:
        return ~a & b;
    case VMMKIT_VECTOR_MASK_OR:
        return a | b;
    case VMMKIT_VECTOR_MASK_XOR:
        return a ^ b;
    case VMMKIT_VECTOR_MASK_XNOR:
        return ~(a ^ b);
    default: /* ADD */
        return a + b;
    }
}

static int test_opmasks(context *c, const vector_operation *operation)
{
    unsigned size = operation->lane;
    uint64_t a = read_opmask(c, 0, size), b = read_opmask(c, 1, size);
    int zero = !(a & b), carry = !(~a & b);
    if (operation->function == VMMKIT_VECTOR_MASK_OR_TEST) {
        zero = !(a | b);
        carry = (a | b) == mask_of(size);
    }
    set_status(c, (zero ? ZF : 0) | (carry ? CF : 0), STATUS);
    return 0;
}

static int execute_opmask(context *c, const vector_operation *operation)
{
    unsigned size = operation->lane, function = operation->function;
    uint64_t a, b;
    switch (function) {
    case VMMKIT_VECTOR_MASK_MOVE:
        return move_opmask(c, operation);
    case VMMKIT_VECTOR_MASK_OR_TEST:
    case VMMKIT_VECTOR_MASK_TEST:
        return test_opmasks(c, operation);
    case VMMKIT_VECTOR_MASK_NOT:
    case VMMKIT_VECTOR_MASK_SHIFT_LEFT:
    case VMMKIT_VECTOR_MASK_SHIFT_RIGHT:
        a = opmask_of_one(function, read_opmask(c, 1, size), (unsigned)c->insn->immediate & 0xFF);
        return write_opmask(c, a & mask_of(size));
    default:
        a = read_opmask(c, 1, size);
        b = read_opmask(c, 2, size);
        if (function == VMMKIT_VECTOR_MASK_UNPACK)
            return write_opmask(c, a << (8 * size) | b);
        return write_opmask(c, opmask_of_two(function, a, b) & mask_of(size));
    }
}
