/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks, ports, and traps that checks wait for, in 32 and in 64-bit code.
 */
#ifndef CHECK_H
#define CHECK_H

#include "layout.h"

#include <stdint.h>

#define NOTHING 0xffff /* no trap */
#define PAGE 4096

enum vector {
    DIVIDE, DEBUG, NMI, BREAKPOINT, OVERFLOW, BOUND, UNDEFINED, NO_DEVICE, DOUBLE,
    INVALID_TSS = 10, NOT_PRESENT, STACK, PROTECTION, PAGE_FAULT, ALIGNMENT = 17,
};

/* What `TRY` has caught. */
struct seen {
    uintptr_t vector, error, address, ip;
};
extern volatile struct seen seen;
extern volatile uintptr_t resume_at, tried;

/* One more check, which names itself if it fails. */
void check(int passed, const char *name);
void say(const char *text);
/* Say that a group of checks is done. */
void subject(const char *name);
/* Say how it went, and stop the machine. */
void verdict(void) __attribute__((noreturn));

/* The last TRY faulted with `vector` and `error` at its instruction. */
void faulted(enum vector vector, uintptr_t error, const char *name);
/* It trapped behind its instruction. */
void trapped(enum vector vector, const char *name);
/* Nothing happened. */
void went_through(const char *name);
/* It was a page fault with this address. */
void page_faulted(uintptr_t address, uintptr_t error, const char *name);

/* Execute an instruction that may trap; its operands follow. It may use rAX. */
#ifdef __x86_64__
#define MOVE "movq"
#define ACCUMULATOR "rax"
#else
#define MOVE "movl"
#define ACCUMULATOR "eax"
#endif
#define TRY(instruction, ...)                                                                      \
    do {                                                                                           \
        seen.vector = NOTHING;                                                                     \
        __asm__ volatile(MOVE " $9f, resume_at\n\t" MOVE " $8f, tried\n8:\t" instruction           \
                              "\n9:\t" MOVE " $0, resume_at"                                       \
                         :                                                                         \
                         : __VA_ARGS__                                                             \
                         : "memory", "cc", ACCUMULATOR);                                           \
    } while (0)

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void zero(void *start, uintptr_t bytes)
{
    uintptr_t count = bytes / 4;
    __asm__ volatile("rep stosl" : "+D"(start), "+c"(count) : "a"(0) : "memory");
}

#define READ_CONTROL(number)                                                                       \
    ({                                                                                             \
        uintptr_t value_;                                                                          \
        __asm__ volatile("mov %%cr" #number ", %0" : "=r"(value_));                                \
        value_;                                                                                    \
    })
#define WRITE_CONTROL(number, value)                                                               \
    __asm__ volatile("mov %0, %%cr" #number : : "r"((uintptr_t)(value)) : "memory")

static inline uint64_t read_msr(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(index));
}

struct leaf {
    uint32_t a, b, c, d;
};

static inline struct leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct leaf out;
    __asm__ volatile("cpuid"
                     : "=a"(out.a), "=b"(out.b), "=c"(out.c), "=d"(out.d)
                     : "a"(leaf), "c"(subleaf));
    return out;
}

#endif
