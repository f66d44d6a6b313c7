/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_breakpoints.py. */

/* Bits of a set of R/W fields of DR7. */
enum { ON_EXECUTE = 1, ON_WRITE = 2, ON_PORT = 4, ON_ACCESS = 8 };

static NOINLINE unsigned matches(const context *c, unsigned kinds, uint64_t address, unsigned size)
{
    static const uint8_t lengths[4] = {1, 2, 8, 4};
    uint64_t control = c->cpu->dr[7];
    unsigned bits = 0;
    for (unsigned number = 0; number < 4; number++) {
        unsigned length = lengths[control >> (18 + 4 * number) & 3];
        uint64_t first = c->cpu->dr[number] & ~(uint64_t)(length - 1);
        if (!(control >> (2 * number) & 3) || !(kinds >> (control >> (16 + 4 * number) & 3) & 1))
            continue;
        /* first < address + size && address < first + length, where nothing wraps */
        if (first < address ? address - first < length : first - address < size)
            bits |= 1u << number;
    }
    return bits;
}

static inline void watch(context *c, uint64_t linear, unsigned size, int write)
{
    c->debug |= matches(c, write ? ON_WRITE | ON_ACCESS : ON_ACCESS, linear, size);
}

static inline void watch_port(context *c, unsigned port, unsigned size)
{
    if (c->cpu->cr4 & CR4_DE)
        c->debug |= matches(c, ON_PORT, port, size);
}

static inline unsigned code_breakpoints(const context *c, uint64_t linear)
{
    return matches(c, ON_EXECUTE, linear, 1);
}
