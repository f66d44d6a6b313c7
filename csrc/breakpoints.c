/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_breakpoints.py. */

/* Bits of context.watched: what is to be looked for. */
enum { WATCH_GUEST = 1, WATCH_DATA = 2, WATCH_PORTS = 4, WATCHES_DATA = WATCH_GUEST | WATCH_DATA };

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

static inline unsigned slots_in_use(const context *c)
{
    uint64_t count = c->cpu->debug_count;
    return count < VMMKIT_LIMIT_DEBUG_SLOTS ? (unsigned)count : VMMKIT_LIMIT_DEBUG_SLOTS;
}

static NOINLINE void note_hit(context *c, uint64_t kinds, uint64_t address, unsigned size)
{
    const vmmkit_cpu *cpu = c->cpu;
    unsigned slots = c->hit.slot ? c->hit.slot - 1 : slots_in_use(c);
    for (unsigned number = 0; number < slots; number++) {
        uint64_t kind = cpu->debug_kind[number] & kinds, first = cpu->debug_first[number];
        if (!kind || (first > address ? first - address >= size : address > cpu->debug_last[number]))
            continue;
        c->hit.slot = number + 1;
        c->hit.kind = kind;
        c->hit.address = first > address ? first : address;
        return;
    }
}

static NOINLINE void watch(context *c, uint64_t linear, unsigned size, int write)
{
    uint64_t kinds = write ? VMMKIT_BREAK_WRITE : VMMKIT_BREAK_READ;
    if (c->watched & WATCH_GUEST)
        c->debug |= matches(c, write ? ON_WRITE | ON_ACCESS : ON_ACCESS, linear, size);
    if (c->row->access == (READABLE | WRITTEN))
        kinds |= VMMKIT_BREAK_READ;
    if (c->watched & WATCH_DATA)
        note_hit(c, kinds, linear, size);
}

static NOINLINE void watch_port(context *c, unsigned port, unsigned size)
{
    if (c->watched & WATCH_GUEST && c->cpu->cr4 & CR4_DE)
        c->debug |= matches(c, ON_PORT, port, size);
    if (c->watched & WATCH_PORTS)
        note_hit(c, VMMKIT_BREAK_PORT, port, size);
}

static inline unsigned code_breakpoints(const context *c, uint64_t linear)
{
    return matches(c, ON_EXECUTE, linear, 1);
}

static inline int skips(const context *c)
{
    return (c->cpu->debug_control & VMMKIT_DEBUG_SKIP) != 0;
}

static NOINLINE int stops_at(context *c, uint64_t linear)
{
    c->hit.slot = 0;
    if (!skips(c))
        note_hit(c, VMMKIT_BREAK_EXECUTE, linear, 1);
    return c->hit.slot != 0;
}

static NOINLINE void begin_watching(context *c, uint64_t linear)
{
    uint64_t kinds = 0;
    for (unsigned number = 0; number < slots_in_use(c); number++)
        kinds |= c->cpu->debug_kind[number];
    note_hit(c, VMMKIT_BREAK_EXECUTE, linear, 1);
    if (c->hit.slot || kinds & ~(uint64_t)VMMKIT_BREAK_EXECUTE)
        c->batch = 1;
    c->hit.slot = 0;
    if (skips(c))
        return;
    if (kinds & (VMMKIT_BREAK_READ | VMMKIT_BREAK_WRITE))
        c->watched |= WATCH_DATA;
    if (kinds & VMMKIT_BREAK_PORT)
        c->watched |= WATCH_PORTS;
}

static NOINLINE int stop_for(context *c, uint64_t kind, uint64_t slot, uint64_t address)
{
    c->cpu->exit_address = address;
    c->cpu->exit_size = slot;
    c->cpu->exit_value = kind;
    return VMMKIT_EXIT_DEBUG;
}

static int report_hit(context *c)
{
    return stop_for(c, c->hit.kind, c->hit.slot - 1, c->hit.address);
}

static NOINLINE int stop_at_int3(context *c, uint64_t linear)
{
    int wanted = c->cpu->debug_control & VMMKIT_DEBUG_INT3 && !skips(c);
    return wanted ? stop_for(c, 0, 0, linear) : 0;
}
