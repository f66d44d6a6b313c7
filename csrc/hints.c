/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_hints.py. */

static inline int flush_line(context *c)
{
    uint64_t linear;
    span where;
    TRY(flushed_address(c, c->insn->segment, effective_address(c, NULL), &linear));
    return locate_linear(c, linear, 1, 0, &where);
}

static NOINLINE int execute_hint(context *c, unsigned op)
{
    switch (op) {
    case VMMKIT_OP_LFENCE:
    case VMMKIT_OP_MFENCE:
    case VMMKIT_OP_SFENCE:
        FENCE();
        return 0;
    case VMMKIT_OP_PREFETCH:
    case VMMKIT_OP_PREFETCHW:
    case VMMKIT_OP_PREFETCHNTA:
    case VMMKIT_OP_PREFETCHT0:
    case VMMKIT_OP_PREFETCHT1:
    case VMMKIT_OP_PREFETCHT2:
    case VMMKIT_OP_PREFETCHWT1:
    case VMMKIT_OP_PREFETCHIT0:
    case VMMKIT_OP_PREFETCHIT1:
    case VMMKIT_OP_CLDEMOTE:
    case VMMKIT_OP_ENDBR32:
    case VMMKIT_OP_ENDBR64:
    case VMMKIT_OP_RDSSP:
        return 0;
    case VMMKIT_OP_CLFLUSH:
    case VMMKIT_OP_CLFLUSHOPT:
    case VMMKIT_OP_CLWB:
        return flush_line(c);
    case VMMKIT_OP_UD0:
    case VMMKIT_OP_UD1:
    case VMMKIT_OP_UD2:
        return fault(c, UD, 0, 0);
    default:
        return unsupported(c, VMMKIT_UNSUPPORTED_OPCODE, c->cpu->rip);
    }
}
