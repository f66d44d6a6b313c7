/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_flags.py. */

typedef struct {
    uint64_t result;
    unsigned flags;
} outcome;

static inline unsigned sign_of(uint64_t value, unsigned size)
{
    return (unsigned)(value >> (8 * size - 1) & 1);
}

static inline unsigned logic_flags(uint64_t result, unsigned size)
{
    unsigned low = (unsigned)result & 0xFF;
    unsigned folded = low ^ low >> 4;
    unsigned parity = 0x9669u >> (folded & 15) & 1; /* bit n: n has an even number of ones */
    return (parity ? PF : 0) | (result ? 0 : ZF) | (sign_of(result, size) ? SF : 0);
}

static inline outcome add(uint64_t a, uint64_t b, unsigned carry, unsigned size)
{
    uint64_t result = (a + b + carry) & mask_of(size);
    unsigned carries = carry ? result <= a : result < a;
    unsigned overflow = sign_of((a ^ result) & (b ^ result), size);
    unsigned adjust = (unsigned)(a ^ b ^ result) & AF;
    return (outcome){result, logic_flags(result, size) | carries | adjust | overflow << 11};
}

static inline outcome subtract(uint64_t a, uint64_t b, unsigned borrow, unsigned size)
{
    uint64_t result = (a - b - borrow) & mask_of(size);
    unsigned carries = borrow ? a <= b : a < b;
    unsigned overflow = sign_of((a ^ b) & (a ^ result), size);
    unsigned adjust = (unsigned)(a ^ b ^ result) & AF;
    return (outcome){result, logic_flags(result, size) | carries | adjust | overflow << 11};
}

static inline outcome logic(uint64_t result, unsigned size)
{
    return (outcome){result, logic_flags(result, size)};
}

/* CMP and TEST give a result like SUB and AND; the caller drops it. */
static inline outcome binary(unsigned op, uint64_t a, uint64_t b, unsigned carry, unsigned size)
{
    switch (op) {
    case VMMKIT_OP_ADD:
        return add(a, b, 0, size);
    case VMMKIT_OP_OR:
        return logic(a | b, size);
    case VMMKIT_OP_ADC:
        return add(a, b, carry, size);
    case VMMKIT_OP_SBB:
        return subtract(a, b, carry, size);
    case VMMKIT_OP_AND:
    case VMMKIT_OP_TEST:
        return logic(a & b, size);
    case VMMKIT_OP_XOR:
        return logic(a ^ b, size);
    default:
        return subtract(a, b, 0, size);
    }
}

static inline int condition(unsigned code, uint64_t flags)
{
    int sign_differs = !(flags & SF) != !(flags & OF);
    int holds;
    switch (code >> 1) {
    case 0:
        holds = (flags & OF) != 0;
        break;
    case 1:
        holds = (flags & CF) != 0;
        break;
    case 2:
        holds = (flags & ZF) != 0;
        break;
    case 3:
        holds = (flags & (CF | ZF)) != 0;
        break;
    case 4:
        holds = (flags & SF) != 0;
        break;
    case 5:
        holds = (flags & PF) != 0;
        break;
    case 6:
        holds = sign_differs;
        break;
    default:
        holds = sign_differs || flags & ZF;
        break;
    }
    return holds != (int)(code & 1);
}
