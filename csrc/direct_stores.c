/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_direct_stores.py. */

enum { DIRECT_SIZE = 64 };

static NOINLINE int execute_movdir64b(context *c)
{
    uint64_t source = effective_address(c, NULL), linear;
    uint64_t offset = read_register(c, modrm_reg(c), c->insn->address_size);
    wide_span from = {.enabled = UINT64_MAX}, to = {.enabled = UINT64_MAX};
    vector value;
    TRY(locate(c, c->insn->segment, source, DIRECT_SIZE, 0, &from.at));
    TRY(check_aligned(c, ES, offset, DIRECT_SIZE));
    TRY(linear_address(c, ES, offset, DIRECT_SIZE, 1, &linear));
    TRY(locate_data(c, linear, DIRECT_SIZE, 1, &to.at));
    TRY(load_span(c, &from, &value));
    return store_span(c, &to, &value);
}
