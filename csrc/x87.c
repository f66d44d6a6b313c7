/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_x87.py. */

enum { CLEARED_EXCEPTIONS = 0x80FF };

static int store_control(context *c)
{
    span where;
    TRY(locate(c, c->insn->segment, effective_address(c, NULL), 2, 1, &where));
    return store(c, &where, c->cpu->x87_control & 0xFFFF);
}

static int store_status(context *c)
{
    target where;
    TRY(locate_target(c, 0, &where));
    return write_target(c, &where, 2, c->cpu->x87_status & 0xFFFF);
}

static int load_control(context *c)
{
    uint64_t value;
    span where;
    TRY(locate(c, c->insn->segment, effective_address(c, NULL), 2, 0, &where));
    TRY(load(c, &where, &value));
    c->cpu->x87_control = (value & X87_CONTROL_BITS) | X87_CONTROL_ONE;
    c->cpu->x87_status = summarized(c->cpu->x87_status, c->cpu->x87_control);
    return 0;
}

static int wait_for_x87(context *c)
{
    if ((c->cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        return fault(c, NM, 0, 0);
    return is_x87_pending(c->cpu) ? fault(c, MF, 0, 0) : 0;
}

static int change_x87(context *c, unsigned op)
{
    switch (op) {
    case VMMKIT_OP_FNINIT:
        initialize_x87(c->cpu);
        return 0;
    case VMMKIT_OP_FNCLEX:
        c->cpu->x87_status &= ~(uint64_t)CLEARED_EXCEPTIONS;
        return 0;
    case VMMKIT_OP_FNSTCW:
        return store_control(c);
    case VMMKIT_OP_FNSTSW:
        return store_status(c);
    case VMMKIT_OP_FLDCW:
        return load_control(c);
    case VMMKIT_OP_EMMS:
        enter_mmx(c);
        c->cpu->x87_tag = 0;
        return 0;
    case VMMKIT_OP_FNOP: /* no control instruction: it moves the instruction pointer */
        finish_x87(c, (unsigned)c->cpu->x87_status & C1);
        return 0;
    default: /* FNENI, FNDISI, FNSETPM */
        return 0;
    }
}

static NOINLINE int execute_x87(context *c, unsigned op)
{
    int waits = op == VMMKIT_OP_FLDCW || op == VMMKIT_OP_FNOP || op == VMMKIT_OP_EMMS;
    if (op == VMMKIT_OP_FWAIT)
        return wait_for_x87(c);
    if (op == VMMKIT_OP_EMMS && c->cpu->cr0 & CR0_EM)
        return fault(c, UD, 0, 0);
    TRY(check_x87(c, waits));
    return change_x87(c, op);
}
