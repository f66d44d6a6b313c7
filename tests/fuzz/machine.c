/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs an input. Every buffer the engine is handed is a heap block of exactly the size it is told,
 * made once and kept, so that AddressSanitizer sees whatever reaches past it.
 */
#include "fuzz.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { CANARY = 0xA5, WIDEST = 64, EXCEPTIONS = 32 };

/*
 * Basic blocks that one instruction, element or delivery may take: several times what the longest
 * do (ENTER with 31 levels, which looks for each load in the stores before it).
 */
enum { MOST_WORK = 300000 };

typedef struct {
    vmmkit_cpu *cpu;
    vmmkit_piece *ram;
    size_t pieces;
    vmmkit_vcpu *vcpu;
    uint8_t rom[MAX_PIECES][MAX_PAGES * PAGE]; /* what the read-only pieces hold */
} machine;

static void *exactly(size_t size)
{
    void *block = malloc(size);
    REQUIRE(block);
    return block;
}

/* --- decoding ---------------------------------------------------------------------------------- */

static void check_decoded(const vmmkit_insn *insn, size_t length, int mode)
{
    REQUIRE(insn->length >= 1 && insn->length <= length);
    REQUIRE(insn->length <= VMMKIT_LIMIT_MAX_LENGTH);
    REQUIRE(insn->mode == mode);
    REQUIRE(insn->modrm >= -1 && insn->modrm <= 0xFF);
    REQUIRE(insn->segment >= -1 && insn->segment < 6);
    REQUIRE(insn->base >= -1 && insn->base <= VMMKIT_LIMIT_RIP_BASE);
    REQUIRE(insn->index >= -1 && insn->index < 32);
    REQUIRE(insn->memory_access <= 3);
    REQUIRE(insn->operand_size == 2 || insn->operand_size == 4 || insn->operand_size == 8);
    REQUIRE(insn->address_size == 2 || insn->address_size == 4 || insn->address_size == 8);
}

/* More bytes than an instruction has change nothing; fewer are too few, and nothing else. */
static void decode_prefixes_of(const uint8_t *code, int mode)
{
    static uint8_t *windows[CODE_BYTES + 1];
    vmmkit_insn insn, decided;
    int verdict = VMMKIT_DECODE_TRUNCATED;
    for (size_t length = 0; length <= CODE_BYTES; length++) {
        int failure;
        if (!windows[length])
            windows[length] = exactly(length);
        memcpy(windows[length], code, length);
        failure = vmmkit_decode(windows[length], length, mode, &insn);
        REQUIRE(failure >= VMMKIT_DECODE_OK && failure <= VMMKIT_DECODE_UNKNOWN);
        if (failure == VMMKIT_DECODE_OK)
            check_decoded(&insn, length, mode);
        REQUIRE(verdict == VMMKIT_DECODE_TRUNCATED || verdict == failure);
        if (verdict == VMMKIT_DECODE_OK)
            REQUIRE(!memcmp(&insn, &decided, sizeof insn));
        if (verdict == VMMKIT_DECODE_TRUNCATED && failure == VMMKIT_DECODE_OK)
            REQUIRE(insn.length == length);
        verdict = failure;
        decided = insn;
    }
    REQUIRE(verdict != VMMKIT_DECODE_TRUNCATED);
}

static void decode_code(const input *in)
{
    uint8_t code[CODE_BYTES] = {0};
    size_t size = in->patches[0].size < CODE_BYTES ? in->patches[0].size : CODE_BYTES;
    memcpy(code, in->patches[0].bytes, size);
    for (int mode = 16; mode <= 64; mode *= 2)
        decode_prefixes_of(code, mode);
}

/* --- memory ------------------------------------------------------------------------------------ */

static uint8_t *host_of(size_t number, const piece_spec *piece)
{
    static uint8_t *blocks[MAX_PIECES][MAX_PAGES + 1][MAX_SKEW];
    uint8_t **block = &blocks[number][piece->pages][piece->skew];
    if (!*block)
        *block = exactly(piece->skew + piece->pages * PAGE);
    memset(*block, CANARY, piece->skew);
    memset(*block + piece->skew, 0, piece->pages * PAGE);
    return *block + piece->skew;
}

/* The owner's way to RAM, ROM included; what is not there is left out. */
static void write_ram(const machine *m, uint64_t gpa, const uint8_t *bytes, size_t size)
{
    for (size_t byte = 0; byte < size; byte++)
        for (size_t i = 0; i < m->pieces; i++) {
            const vmmkit_piece *piece = &m->ram[i];
            if (gpa + byte >= piece->gpa && gpa + byte <= piece->last)
                piece->host[gpa + byte - piece->gpa] = bytes[byte];
        }
}

static void keep_rom(machine *m)
{
    for (size_t i = 0; i < m->pieces; i++)
        if (!m->ram[i].writable)
            memcpy(m->rom[i], m->ram[i].host, m->ram[i].last - m->ram[i].gpa + 1);
}

static void check_memory(const machine *m, const input *in)
{
    for (size_t i = 0; i < m->pieces; i++) {
        const vmmkit_piece *piece = &m->ram[i];
        for (size_t before = 1; before <= in->pieces[i].skew; before++)
            REQUIRE(piece->host[0 - before] == CANARY);
        REQUIRE(piece->writable || !memcmp(m->rom[i], piece->host, piece->last - piece->gpa + 1));
    }
}

static machine *build_machine(const input *in)
{
    static machine m;
    static vmmkit_piece *rams[MAX_PIECES + 1];
    static vmmkit_cpu *cpu;
    static vmmkit_vcpu *vcpu;
    static void *caches; /* what other inputs left there must not matter */
    if (!cpu) {
        cpu = exactly(sizeof *cpu);
        vcpu = exactly(sizeof *vcpu);
        caches = memset(exactly(vmmkit_caches_size()), 0, vmmkit_caches_size());
        for (size_t count = 0; count <= MAX_PIECES; count++)
            rams[count] = exactly(count * sizeof *rams[count]);
    }
    m.cpu = cpu;
    m.ram = rams[in->piece_count];
    m.pieces = in->piece_count;
    m.vcpu = vcpu;
    *cpu = in->cpu;
    *vcpu = (vmmkit_vcpu){cpu, m.ram, m.pieces, in->blocks, in->deliver, in->wide, caches};
    for (size_t i = 0; i < m.pieces; i++) {
        const piece_spec *piece = &in->pieces[i];
        m.ram[i] = (vmmkit_piece){piece->gpa, piece->gpa + piece->pages * PAGE - 1,
                                  host_of(i, piece), piece->writable};
    }
    for (size_t i = 0; i < in->patch_count; i++)
        write_ram(&m, in->patches[i].gpa, in->patches[i].bytes, in->patches[i].size);
    keep_rom(&m);
    return &m;
}

/* --- outcomes ---------------------------------------------------------------------------------- */

static int is_ram(const machine *m, uint64_t gpa, int writable)
{
    for (size_t i = 0; i < m->pieces; i++)
        if (gpa >= m->ram[i].gpa && gpa <= m->ram[i].last)
            return !writable || m->ram[i].writable;
    return 0;
}

static int is_size(uint64_t size, uint64_t largest)
{
    return size && size <= largest && !(size & (size - 1));
}

static int fits(uint64_t value, uint64_t size)
{
    return size >= 8 || !(value >> 8 * size);
}

static int is_block(int kind)
{
    return kind >= VMMKIT_EXIT_BLOCK_READ && kind <= VMMKIT_EXIT_PORT_BLOCK_OUT;
}

static int is_access(int kind)
{
    return (kind >= VMMKIT_EXIT_READ && kind <= VMMKIT_EXIT_PORT_OUT) || is_block(kind);
}

/* What only the owner knows: MSRs, counters, CPUID, random numbers. */
static int is_question(int kind)
{
    return kind >= VMMKIT_EXIT_READ_MSR && kind <= VMMKIT_EXIT_WRITE_MSR;
}

static int is_port(int kind)
{
    return kind == VMMKIT_EXIT_PORT_IN || kind == VMMKIT_EXIT_PORT_OUT ||
           kind == VMMKIT_EXIT_PORT_BLOCK_IN || kind == VMMKIT_EXIT_PORT_BLOCK_OUT;
}

static int is_write(int kind)
{
    return kind == VMMKIT_EXIT_WRITE || kind == VMMKIT_EXIT_PORT_OUT ||
           kind == VMMKIT_EXIT_BLOCK_WRITE || kind == VMMKIT_EXIT_PORT_BLOCK_OUT;
}

/* Elements of one page of RAM, or of rAX. */
static void check_block(const machine *m, int kind)
{
    const vmmkit_cpu *cpu = m->cpu;
    REQUIRE(m->vcpu->blocks);
    REQUIRE(cpu->exit_value > 1 && cpu->exit_size * cpu->exit_value <= PAGE);
    if (cpu->block_ram == UINT64_MAX) {
        REQUIRE(kind == VMMKIT_EXIT_BLOCK_WRITE);
        return;
    }
    for (uint64_t byte = 0; byte < cpu->exit_size * cpu->exit_value; byte++)
        REQUIRE(is_ram(m, cpu->block_ram + byte, !is_write(kind)));
}

/* A command of ENQCMD comes whole to every owner. */
static uint64_t largest(const machine *m, int kind)
{
    int whole = m->vcpu->wide || m->cpu->log_pending == VMMKIT_EXIT_ENQUEUE;
    if (is_port(kind))
        return 4;
    return whole && !is_block(kind) ? WIDEST : 8;
}

static void check_access(const machine *m, int kind)
{
    const vmmkit_cpu *cpu = m->cpu;
    int block = is_block(kind), port = is_port(kind), writes = is_write(kind);
    uint64_t count = block ? cpu->exit_value : 1;
    REQUIRE(cpu->log_pending == (uint64_t)kind ||
            (kind == VMMKIT_EXIT_WRITE && cpu->log_pending == VMMKIT_EXIT_ENQUEUE));
    REQUIRE(is_size(cpu->exit_size, largest(m, kind)));
    if (block)
        check_block(m, kind);
    else if (cpu->exit_size <= 8)
        REQUIRE(fits(cpu->exit_value, writes ? cpu->exit_size : 0));
    if (port)
        REQUIRE(cpu->exit_address <= 0xFFFF);
    else
        for (uint64_t byte = 0; byte < cpu->exit_size * count; byte++)
            REQUIRE(!is_ram(m, cpu->exit_address + byte, writes));
}

/* A slot of that kind, and that it may have been the owner's INT3. */
static void check_breakpoint(const vmmkit_cpu *cpu)
{
    uint64_t slot = cpu->exit_size;
    if (!cpu->exit_value) {
        REQUIRE(cpu->debug_control & VMMKIT_DEBUG_INT3 && !slot);
        return;
    }
    REQUIRE(slot < cpu->debug_count && slot < VMMKIT_LIMIT_DEBUG_SLOTS);
    REQUIRE((cpu->exit_value & cpu->debug_kind[slot]) == cpu->exit_value);
    REQUIRE(cpu->exit_address >= cpu->debug_first[slot]);
}

static void check_kind(const machine *m, int kind)
{
    const vmmkit_cpu *cpu = m->cpu;
    REQUIRE(kind >= VMMKIT_EXIT_BUDGET && kind <= VMMKIT_EXIT_DEBUG && kind != VMMKIT_EXIT_DONE);
    if (is_access(kind)) {
        check_access(m, kind);
        return;
    }
    if (is_question(kind)) {
        REQUIRE(cpu->log_pending == (uint64_t)kind && cpu->exit_address <= UINT32_MAX);
        return;
    }
    REQUIRE(!cpu->log_pending || kind == VMMKIT_EXIT_STALE);
    if (kind == VMMKIT_EXIT_FAULT) {
        REQUIRE(!m->vcpu->deliver);
        REQUIRE(cpu->exit_address < EXCEPTIONS && cpu->exit_size <= 0xFFFF);
        REQUIRE(cpu->exit_address == PAGE_FAULT || cpu->exit_address == DB || !cpu->exit_value);
    } else if (kind == VMMKIT_EXIT_UNSUPPORTED) {
        REQUIRE(cpu->exit_value <= VMMKIT_UNSUPPORTED_TASK_SWITCH);
        REQUIRE(cpu->exit_size <= VMMKIT_LIMIT_MAX_LENGTH);
    } else if (kind == VMMKIT_EXIT_DEBUG) {
        check_breakpoint(cpu);
    }
}

/* A step that did not complete its instruction shows no more of it than whole elements. */
static void check_unchanged(const vmmkit_cpu *before, const vmmkit_cpu *after)
{
    const uint64_t *old = (const uint64_t *)before, *new = (const uint64_t *)after;
    int elements = before->retired != after->retired;
    for (size_t word = 0; word <= WORD(interrupt_shadow); word++) {
        int moves = word == WORD(gpr) + RCX || word == WORD(gpr) + RSI ||
                    word == WORD(gpr) + RDI || word == WORD(gpr) + RAX || word == WORD(rflags);
        REQUIRE(old[word] == new[word] || (elements && moves));
    }
}

/* What the owner may write at any time, or while an event or instruction is not in flight. */
static int is_owners(size_t word)
{
    return word <= WORD(debug_pending) || word == WORD(event) || word == WORD(event_error) ||
           word == WORD(kick) || word == WORD(answer_high) || word == WORD(refused) ||
           word >= WORD(debug_control);
}

/* An input whose record is the engine's own work; a forged one may count as it likes. */
static int is_honest(const input *in)
{
    const uint64_t *words = (const uint64_t *)&in->cpu;
    for (size_t word = WORD(log_pending); word < WORD(vector); word++)
        if (words[word])
            return 0;
    for (size_t i = 0; i < in->event_count; i++)
        if (in->events[i].kind == SET && !is_owners(in->events[i].place))
            return 0;
    return 1;
}

/* What a device has read for a block, as many elements as the answer says. */
static void fill_block(const machine *m, uint64_t answer)
{
    const vmmkit_cpu *cpu = m->cpu;
    uint64_t size = cpu->exit_size & 15, done = answer < cpu->exit_value ? answer : cpu->exit_value;
    uint8_t byte = (uint8_t)answer;
    if (cpu->log_pending != VMMKIT_EXIT_BLOCK_READ && cpu->log_pending != VMMKIT_EXIT_PORT_BLOCK_IN)
        return;
    for (uint64_t place = 0; place < size * done && place < PAGE; place++)
        if (is_ram(m, cpu->block_ram + place, 1))
            write_ram(m, cpu->block_ram + place, &byte, 1);
}

/* Instructions, elements and deliveries that a call may do before it must return. */
static uint64_t allowed(const machine *m, const event *made, int begun)
{
    const vmmkit_cpu *cpu = m->cpu;
    if (made->kind == RUN)
        return made->place + 1;
    if (made->kind == RESUME && begun && !cpu->batch)
        return cpu->limit - cpu->retired < MAX_BUDGET ? MAX_BUDGET : 2;
    return VMMKIT_LIMIT_STEP_BATCH + 1;
}

static int call_engine(const machine *m, const event *made, int begun)
{
    fill_block(m, made->value);
    allow_work(MOST_WORK * allowed(m, made, begun));
    if (made->kind == RUN)
        return vmmkit_run(m->vcpu, made->place, made->value);
    if (made->kind == RESUME && begun)
        return vmmkit_resume(m->vcpu, made->value);
    return vmmkit_step(m->vcpu, made->value);
}

static void check_call(const machine *m, const input *in, const vmmkit_cpu *before, int kind,
                       int step)
{
    check_kind(m, kind);
    check_memory(m, in);
    int delivers = in->deliver || before->event;
    int trapped = kind == VMMKIT_EXIT_DEBUG && before->retired != m->cpu->retired;
    if (step && !delivers && !trapped && kind != VMMKIT_EXIT_BUDGET && kind != VMMKIT_EXIT_HALT &&
        kind != VMMKIT_EXIT_HYPERCALL && kind != VMMKIT_EXIT_TPR_BELOW_THRESHOLD)
        check_unchanged(before, m->cpu);
    if (is_honest(in)) {
        REQUIRE(m->cpu->log_count <= VMMKIT_LIMIT_LOG_CAPACITY);
        REQUIRE(m->cpu->code_length <= VMMKIT_LIMIT_MAX_LENGTH);
    }
}

void run_input(const input *in)
{
    machine *m = build_machine(in);
    int begun = 0, kind = VMMKIT_EXIT_BUDGET;
    decode_code(in);
    for (size_t i = 0; i < in->event_count; i++) {
        const event *made = &in->events[i];
        vmmkit_cpu before = *m->cpu;
        if (made->kind == POKE) {
            write_ram(m, made->place, (const uint8_t *)&made->value, sizeof made->value);
            keep_rom(m);
        } else if (made->kind == SET) {
            ((uint64_t *)m->cpu)[made->place] = made->value;
        } else {
            kind = call_engine(m, made, begun);
            end_work(m->cpu->retired - before.retired);
            begun = 1;
            check_call(m, in, &before, kind, made->kind == STEP);
        }
        if (kind == VMMKIT_EXIT_FAULT || kind == VMMKIT_EXIT_UNSUPPORTED ||
            kind == VMMKIT_EXIT_STALE)
            return;
    }
}
