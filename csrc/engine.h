/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The native engine. Each C file mirrors one Python file of src/vmmkit/insn, with the same
 * functions in the same order; the Python side carries the explanations and the citations.
 *
 *   decode_prefix.c  _decode_prefix.py  decode_checks.c  _decode_checks.py
 *   decode.c     _decode.py      flags.c    _flags.py     memory.c   _memory.py
 *   page_modes.c _page_modes.py  paging.c   _paging.py    segments.c _segments.py
 *   lock.c       _lock.py        execute.c  _execute.py   stack.c    _stack.py
 *   control.c    _control.py     string_runs.c _string_runs.py  string.c _string.py
 *   shifts.c     _shifts.py      multiply.c _multiply.py  bits.c     _bits.py
 *   arithmetic.c _arithmetic.py  bit_instructions.c  _bit_instructions.py
 *   flag_moves.c _flag_moves.py  decimal.c  _decimal.py   exchange.c _exchange.py
 *   transfer.c   _transfer.py    hints.c    _hints.py     privilege.c _privilege.py
 *   control_registers.c  _control_registers.py   descriptors.c  _descriptors.py
 *   syscalls.c   _syscalls.py    msr.c      _msr.py       system.c   _system.py
 *   breakpoints.c _breakpoints.py  far_segments.c _far_segments.py
 *   far.c        _far.py         iret.c     _iret.py      delivery.c _delivery.py
 *   events.c     _events.py
 *   vector_operands.c  _vector_operands.py  vector_lanes.c  _vector_lanes.py
 *   vector_strings.c  _vector_strings.py  vector_gather.c  _vector_gather.py
 *   vector_sources.c  _vector_sources.py  vector_select.c  _vector_select.py
 *   vector_parts.c  _vector_parts.py  vector.c  _vector.py  opmask.c  _opmask.py
 *   vector_state.c  _vector_state.py  direct_stores.c  _direct_stores.py
 *   x87_formats.c  _x87_formats.py  x87_stack.c  _x87_stack.py
 *   x87_moves.c  _x87_moves.py   x87_compare.c  _x87_compare.py
 *   x87_environment.c  _x87_environment.py
 *   x87.c        _x87.py         xcr0.c     _xcr0.py
 *   answers.c    _answers.py     dispatch.c _pure.py      run.c      _pure.py
 *
 * tlb.c and code_cache.c mirror nothing: they remember, in a buffer of the caller, what the pure
 * engine works out each time, and nobody can tell the difference.
 *
 * Rules: everything works on buffers of the caller; no other state between calls, no callback, no
 * inline assembly; unsigned arithmetic. Where Python raises Stop, a function here returns the
 * exit kind, and its callers return it at once (TRY); 0 means go on.
 */
#ifndef VMMKIT_ENGINE_H
#define VMMKIT_ENGINE_H

#include "constants.h"

#define LARGEST_BUDGET (((uint64_t)1 << 63) - 1)
#define NO_RAM UINT64_MAX

#if defined(__GNUC__)
#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define ATOMIC_LOAD(pointer) __atomic_load_n(pointer, __ATOMIC_RELAXED)
#define ATOMIC_STORE(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELAXED)
#define ATOMIC_SWAP(pointer, old, value)                                                           \
    __atomic_compare_exchange_n(pointer, old, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
#define COMPARE_AND_SWAP(pointer, old, new) __sync_bool_compare_and_swap(pointer, old, new)
#define FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#else
#define NOINLINE
#define ALWAYS_INLINE inline
#define LIKELY(condition) (condition)
#define UNLIKELY(condition) (condition)
#define ATOMIC_LOAD(pointer) (*(pointer))
#define ATOMIC_STORE(pointer, value) (*(pointer) = (value))
#define ATOMIC_SWAP(pointer, old, value) (*(pointer) == *(old) && (*(pointer) = (value), 1))
#define COMPARE_AND_SWAP(pointer, old, new) (*(pointer) == (old) && (*(pointer) = (new), 1))
#define FENCE() ((void)0)
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "guest RAM is little-endian, and this engine reads it as the host does; use VMMKIT_NATIVE=0"
#endif

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int stop_ = (call);                                                                        \
        if (UNLIKELY(stop_))                                                                       \
            return stop_;                                                                          \
    } while (0)

/* A batch of a repeated instruction is used up; differs from every exit kind. */
#define BATCH_USED (-1)
/* A page-table entry changed under its walk, which starts anew. */
#define ENTRY_CHANGED (-2)
/* RAM changed under a locked instruction or a descriptor, and the instruction starts anew. */
#define RACE_LOST (-3)
/* The next instruction is to be executed. */
#define BEGUN (-4)

enum { INTENT_WRITE = 1, INTENT_FETCH = 2, INTENT_SYSTEM = 4 };

/* One decode in progress. */
typedef struct {
    const uint8_t *code;
    size_t length;
    size_t position;
    const row *row;
    vmmkit_insn *out;
    int prefix; /* mandatory prefix of VEX or EVEX, else -1 */
    unsigned vector_length; /* 0 for 128 bits, 1 for 256, 2 for 512 */
} decoder;

/* A part of an access within one page; host is NULL for a device. */
typedef struct {
    uint64_t gpa;
    uint8_t *host;
    unsigned size;
} fragment;

typedef struct {
    fragment part[2];
    unsigned count;
} span;

/* A vector register, lowest byte first. */
typedef union {
    uint8_t b[64];
    uint16_t w[32];
    uint32_t d[16];
    uint64_t q[8];
} vector;

/* The located part of a memory operand, from its first enabled byte to the last. */
typedef struct {
    span at;
    uint64_t enabled; /* a bit for each byte of the operand */
    unsigned first;
    unsigned elements; /* what #AC asks of its address; 1 for nothing */
} wide_span;

enum { TLB_ENTRIES = 2048, TABLE_BUCKETS = 512, BUCKET = 8, CODE_ENTRIES = 8192 };
enum { TLB_READ, TLB_WRITE, TLB_FETCH, TLB_KINDS };

/* A translation of one epoch, to a whole page of RAM. */
typedef struct {
    uint64_t key; /* linear address of the page, and who asks */
    uint64_t epoch;
    uint64_t gpa;
    uint8_t *host;
} tlb_entry;

/* An instruction as vmmkit_decode found it. */
typedef struct {
    uint64_t code[2]; /* its bytes, zeros, and the mode as the last byte */
    vmmkit_insn insn;
    uint16_t sizes[4]; /* of its operands in bytes, by their types */
    int8_t registers[4]; /* their numbers, -1 for memory and what is no general register */
    uint8_t plain; /* whether it leaves calm as it is */
} decoded;

/* What the caller keeps between calls without knowing what it is; starts as zeros. */
typedef struct {
    uint64_t epoch;
    tlb_entry tlb[TLB_KINDS][TLB_ENTRIES];
    const uint8_t *tables[TABLE_BUCKETS][BUCKET]; /* pages that entries of a walk were read from */
    decoded code[CODE_ENTRIES];
} caches;

/* The registers that decide what a walk finds, beside CPL and RFLAGS. */
typedef struct {
    uint64_t cr0, cr3, cr4, efer, pkru, maxphyaddr;
} walk_inputs;

/* A breakpoint of the owner that an instruction has hit. */
typedef struct {
    unsigned slot; /* 1 more than its number, 0 for none */
    uint64_t kind;
    uint64_t address;
} slot_hit;

/* One vCPU while instructions run. */
typedef struct {
    vmmkit_cpu *cpu;
    const vmmkit_piece *ram;
    size_t pieces;
    int blocks; /* whether the caller takes blocks */
    int deliver; /* whether exceptions and interrupts go to the guest */
    int wide; /* whether devices take vectors at once */
    int in_flight; /* whether the instruction to go on with is one that has begun */
    caches *known; /* NULL where there are none */
    caches *tlb; /* the same, or NULL where translations are not to be remembered */
    uint64_t epoch;
    walk_inputs inputs; /* of this epoch */
    int distrusted; /* whether translations are not to be remembered until the next instruction */
    int calm; /* whether the next instruction begins as this one did */
    int paging;
    int flat; /* whether find_flat may answer */
    uint64_t code_start; /* RIP at the start of the page of code_host, and bytes from there where */
    uint64_t code_room; /* an instruction may begin that is fetched like the one before */
    uint64_t code_gpa;
    const uint8_t *code_host;
    const vmmkit_insn *insn;
    const decoded *found; /* what insn is part of */
    decoded own; /* what found points at if that is not in a cache */
    const row *row;
    uint64_t next_rip;
    uint64_t ordinal;
    uint64_t batch;
    uint64_t elements;
    uint64_t pages; /* translations made by this run of the instruction */
    uint64_t pages_known; /* of which so many were made by an earlier run */
    uint64_t loaded; /* by read_target, from memory: what a locked store expects to find */
    unsigned locked;
    uint8_t code[16];
    unsigned code_length;
    unsigned shadow;
    uint64_t debug; /* bits of DR6 for the trap after the instruction */
    unsigned watched; /* which breakpoints are to be looked for, see breakpoints.c */
    slot_hit hit; /* by what it has accessed so far */
    int keeps_rf;
    unsigned cpl;
    unsigned canonical_bits;
    int mode;
    int real;
    int checks_alignment;
} context;

/* A register number, or located memory. */
typedef struct {
    span memory;
    int reg; /* -1 for memory */
} target;

static inline uint64_t mask_of(unsigned size)
{
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

#endif
