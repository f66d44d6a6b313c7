/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_memory.py. */

static NOINLINE void fill_exit(context *c, uint64_t address, uint64_t size, uint64_t value)
{
    c->cpu->exit_address = address;
    c->cpu->exit_size = size;
    c->cpu->exit_value = value;
}

static inline int fault(context *c, unsigned vector, unsigned error, uint64_t address)
{
    fill_exit(c, vector, error, address);
    return VMMKIT_EXIT_FAULT;
}

static inline int unsupported(context *c, unsigned reason, uint64_t address)
{
    fill_exit(c, address, 0, reason);
    return VMMKIT_EXIT_UNSUPPORTED;
}

/* What comes next is a new instruction, element or phase: its accesses count from zero. */
static inline void forget_accesses(context *c)
{
    c->cpu->log_count = c->cpu->block_answer = c->ordinal = 0;
    c->pages = c->pages_known = 0;
}

static inline const vmmkit_piece *piece_at(const context *c, uint64_t gpa, unsigned size)
{
    for (size_t i = 0; i < c->pieces; i++) {
        const vmmkit_piece *piece = &c->ram[i];
        if (gpa >= piece->gpa && gpa <= piece->last && piece->last - gpa >= size - 1)
            return piece;
    }
    return NULL;
}

static NOINLINE int device(context *c, int kind, uint64_t address, unsigned size, uint64_t *value)
{
    uint64_t ordinal = c->ordinal++;
    if (ordinal < c->cpu->log_count) {
        *value = c->cpu->log_value[ordinal % VMMKIT_LIMIT_LOG_CAPACITY];
        return 0;
    }
    if (ordinal >= VMMKIT_LIMIT_LOG_CAPACITY)
        return unsupported(c, VMMKIT_UNSUPPORTED_TOO_MANY_ACCESSES, address);
    c->cpu->log_pending = (uint64_t)kind;
    fill_exit(c, address, size, *value);
    return kind;
}

static inline int offer_block(context *c, int kind, uint64_t address, uint64_t ram, unsigned size,
                              uint64_t count)
{
    if (!c->blocks || c->cpu->rflags & DF)
        return 0;
    c->cpu->block_ram = ram;
    c->cpu->log_pending = (uint64_t)kind;
    fill_exit(c, address, size, count);
    return kind;
}

/*
 * Naturally aligned accesses are single copies, as on the processor, whatever else runs meanwhile
 * (SDM vol. 3A, "Guaranteed Atomic Operations"); others may tear.
 */
#define LOAD_AS(type)                                                                              \
    do {                                                                                           \
        type copy_;                                                                                \
        if (LIKELY((uintptr_t)host % sizeof copy_ == 0))                                           \
            copy_ = ATOMIC_LOAD((const type *)(const void *)host);                                 \
        else                                                                                       \
            memcpy(&copy_, host, sizeof copy_);                                                    \
        return copy_;                                                                              \
    } while (0)

#define STORE_AS(type)                                                                             \
    do {                                                                                           \
        type copy_ = (type)value;                                                                  \
        if (LIKELY((uintptr_t)host % sizeof copy_ == 0))                                           \
            ATOMIC_STORE((type *)(void *)host, copy_);                                             \
        else                                                                                       \
            memcpy(host, &copy_, sizeof copy_);                                                    \
        return;                                                                                    \
    } while (0)

/* Sizes 1, 2, 4 and 8, or less than 8 for a part of an access that crosses a page. */
static inline uint64_t load_host(const uint8_t *host, unsigned size)
{
    uint64_t value = 0;
    switch (size) {
    case 1:
        return host[0];
    case 2:
        LOAD_AS(uint16_t);
    case 4:
        LOAD_AS(uint32_t);
    case 8:
        LOAD_AS(uint64_t);
    default:
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)host[i] << (8 * i);
        return value;
    }
}

static inline void store_host(uint8_t *host, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        host[0] = (uint8_t)value;
        return;
    case 2:
        STORE_AS(uint16_t);
    case 4:
        STORE_AS(uint32_t);
    case 8:
        STORE_AS(uint64_t);
    default:
        for (unsigned i = 0; i < size; i++)
            host[i] = (uint8_t)(value >> (8 * i));
    }
}

/* Size of the next piece of a device access; only a page crossing makes odd sizes to cut. */
static inline unsigned piece_size(uint64_t gpa, unsigned size, unsigned whole)
{
    unsigned piece = size > 8 ? 8 : 4;
    if (whole == 1 || whole == 2 || whole == 4)
        return whole;
    if (whole % 8 == 0)
        return 8;
    while (piece > size || gpa % piece)
        piece /= 2;
    return piece;
}

static NOINLINE int device_load(context *c, uint64_t gpa, unsigned size, uint64_t *value)
{
    unsigned done = 0;
    *value = 0;
    while (done < size) {
        uint64_t part = 0;
        unsigned piece = piece_size(gpa + done, size - done, size);
        TRY(device(c, VMMKIT_EXIT_READ, gpa + done, piece, &part));
        *value |= part << (8 * done);
        done += piece;
    }
    return 0;
}

static NOINLINE int device_store(context *c, uint64_t gpa, unsigned size, uint64_t value)
{
    unsigned done = 0;
    while (done < size) {
        unsigned piece = piece_size(gpa + done, size - done, size);
        uint64_t part = value >> (8 * done) & mask_of(piece);
        TRY(device(c, VMMKIT_EXIT_WRITE, gpa + done, piece, &part));
        done += piece;
    }
    return 0;
}

/* A device access of 16, 32 or 64 bytes at once: as many ordinals as it has words. */
static int access_wide(context *c, int kind, uint64_t gpa, unsigned size, uint8_t *bytes)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t ordinal = c->ordinal;
    c->ordinal += size / 8;
    if (c->ordinal > VMMKIT_LIMIT_LOG_CAPACITY)
        return unsupported(c, VMMKIT_UNSUPPORTED_TOO_MANY_ACCESSES, gpa);
    if (ordinal < cpu->log_count) {
        memcpy(bytes, &cpu->log_value[ordinal], size);
        return 0;
    }
    memcpy(cpu->wide_value, bytes, size);
    cpu->log_pending = (uint64_t)kind;
    fill_exit(c, gpa, size, cpu->wide_value[0]);
    return kind == VMMKIT_EXIT_ENQUEUE ? VMMKIT_EXIT_WRITE : kind;
}

static inline int goes_whole(const context *c, unsigned size)
{
    return c->wide && (size == 16 || size == 32 || size == 64);
}

/* Any number of bytes, at once where devices take that. */
static NOINLINE int device_load_wide(context *c, uint64_t gpa, unsigned size, uint8_t *out)
{
    uint8_t bytes[64] = {0};
    unsigned piece;
    if (goes_whole(c, size)) {
        TRY(access_wide(c, VMMKIT_EXIT_READ, gpa, size, bytes));
        memcpy(out, bytes, size);
        return 0;
    }
    for (unsigned done = 0; done < size; done += piece) {
        uint64_t part = 0;
        piece = piece_size(gpa + done, size - done, size);
        TRY(device(c, VMMKIT_EXIT_READ, gpa + done, piece, &part));
        memcpy(out + done, &part, piece);
    }
    return 0;
}

static NOINLINE int device_store_wide(context *c, uint64_t gpa, unsigned size,
                                      const uint8_t *bytes)
{
    unsigned piece;
    if (goes_whole(c, size)) {
        uint8_t copy[64];
        memcpy(copy, bytes, size);
        return access_wide(c, VMMKIT_EXIT_WRITE, gpa, size, copy);
    }
    for (unsigned done = 0; done < size; done += piece) {
        uint64_t part = 0;
        piece = piece_size(gpa + done, size - done, size);
        memcpy(&part, bytes + done, piece);
        TRY(device(c, VMMKIT_EXIT_WRITE, gpa + done, piece, &part));
    }
    return 0;
}

static inline int load_physical(context *c, uint64_t gpa, unsigned size, uint64_t *value)
{
    const vmmkit_piece *piece = piece_at(c, gpa, size);
    if (UNLIKELY(!piece))
        return device_load(c, gpa, size, value);
    *value = load_host(piece->host + (gpa - piece->gpa), size);
    return 0;
}

/* The same for an entry of a page table; *page is where its page is in the host, if it is RAM. */
static inline int load_entry(context *c, uint64_t gpa, unsigned size, uint64_t *entry,
                             const uint8_t **page)
{
    const vmmkit_piece *piece = piece_at(c, gpa, size);
    *page = NULL;
    if (UNLIKELY(!piece))
        return device_load(c, gpa, size, entry);
    *page = piece->host + (gpa - piece->gpa) - gpa % PAGE;
    *entry = load_host(piece->host + (gpa - piece->gpa), size);
    return 0;
}

/* The memory of an entry need not be aligned in the host; then it is not atomic either. */
static inline int swap_entry(uint8_t *host, unsigned size, uint64_t entry, uint64_t marked)
{
    uint32_t narrow = (uint32_t)entry;
    if (UNLIKELY((uintptr_t)host % size)) {
        if (load_host(host, size) != entry)
            return 0;
        host[0] = (uint8_t)marked;
        return 1;
    }
    if (size == 8)
        return ATOMIC_SWAP((uint64_t *)(void *)host, &entry, marked);
    return ATOMIC_SWAP((uint32_t *)(void *)host, &narrow, (uint32_t)marked);
}

static NOINLINE int mark_physical(context *c, uint64_t gpa, unsigned size, uint64_t entry,
                                  uint64_t marked)
{
    const vmmkit_piece *piece = piece_at(c, gpa, size);
    if (!piece)
        return device_store(c, gpa, size, marked);
    if (!piece->writable)
        return 0;
    return swap_entry(piece->host + (gpa - piece->gpa), size, entry, marked) ? 0 : ENTRY_CHANGED;
}

static inline int load_fragment(context *c, const fragment *part, uint64_t *value)
{
    if (UNLIKELY(!part->host)) /* a device, or ROM that was located for writing */
        return load_physical(c, part->gpa, part->size, value);
    *value = load_host(part->host, part->size);
    return 0;
}

static inline int load(context *c, const span *where, uint64_t *value)
{
    uint64_t high;
    TRY(load_fragment(c, &where->part[0], value));
    if (LIKELY(where->count == 1))
        return 0;
    TRY(load_fragment(c, &where->part[1], &high));
    *value |= high << (8 * where->part[0].size);
    return 0;
}

/* The fragments of a store that lie in RAM, or those at devices. */
static int store_some(context *c, const span *where, uint64_t value, int in_ram)
{
    unsigned shift = 0;
    for (unsigned i = 0; i < where->count; i++) {
        const fragment *part = &where->part[i];
        uint64_t bytes = value >> shift & mask_of(part->size);
        if (in_ram && part->host)
            store_host(part->host, part->size, bytes);
        else if (!in_ram && !part->host)
            TRY(device_store(c, part->gpa, part->size, bytes));
        shift += 8 * part->size;
    }
    return 0;
}

static NOINLINE int store_parts(context *c, const span *where, uint64_t value)
{
    TRY(store_some(c, where, value, 0));
    return store_some(c, where, value, 1);
}

static inline int store(context *c, const span *where, uint64_t value)
{
    const fragment *part = &where->part[0];
    if (UNLIKELY(where->count != 1 || !part->host))
        return store_parts(c, where, value);
    store_host(part->host, part->size, value);
    return 0;
}

static inline fragment fragment_at(context *c, uint64_t gpa, unsigned size, int write)
{
    const vmmkit_piece *piece = piece_at(c, gpa, size);
    uint8_t *host;
    if (!piece || (write && !piece->writable))
        return (fragment){gpa, NULL, size};
    host = piece->host + (gpa - piece->gpa);
    if (write && c->tlb)
        note_store(c, host - gpa % PAGE);
    return (fragment){gpa, host, size};
}
