/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_direct_stores.py. */

enum { DIRECT_SIZE = 64 };

#define PASID_VALID ((uint64_t)1 << 31)
#define PASID_NUMBER 0xFFFFFu
#define RESERVED_BITS 0x7FF00000u

static int locate_direct(context *c, wide_span *from, wide_span *to)
{
    uint64_t source = effective_address(c, NULL), linear;
    uint64_t offset = read_register(c, modrm_reg(c), c->insn->address_size);
    *from = *to = (wide_span){.enabled = UINT64_MAX};
    TRY(locate(c, c->insn->segment, source, DIRECT_SIZE, 0, &from->at));
    TRY(check_aligned(c, ES, offset, DIRECT_SIZE));
    TRY(linear_address(c, ES, offset, DIRECT_SIZE, 1, &linear));
    return locate_data(c, linear, DIRECT_SIZE, 1, &to->at);
}

static NOINLINE int execute_movdir64b(context *c)
{
    wide_span from, to;
    vector value;
    TRY(locate_direct(c, &from, &to));
    TRY(load_span(c, &from, &value));
    return store_span(c, &to, &value);
}

static int enqueue(context *c, const fragment *destination, vector *command, int *taken)
{
    *taken = 0;
    if (destination->host)
        return 0;
    TRY(access_wide(c, VMMKIT_EXIT_ENQUEUE, destination->gpa, DIRECT_SIZE, command->b));
    *taken = !c->cpu->refused;
    c->cpu->refused = 0;
    return 0;
}

static NOINLINE int execute_enqcmd(context *c, int supervisor)
{
    uint64_t pasid = c->cpu->pasid;
    wide_span from, to;
    vector command;
    int taken;
    if (supervisor)
        TRY(check_cpl0(c));
    else if (!(pasid & PASID_VALID))
        return fault(c, GP, 0, 0);
    TRY(locate_direct(c, &from, &to));
    TRY(load_span(c, &from, &command));
    if (supervisor && command.d[0] & RESERVED_BITS)
        return fault(c, GP, 0, 0);
    if (!supervisor)
        command.d[0] = (uint32_t)pasid & PASID_NUMBER;
    TRY(enqueue(c, &to.at.part[0], &command, &taken));
    set_status(c, taken ? 0 : ZF, STATUS);
    return 0;
}
