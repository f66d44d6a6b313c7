/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Single step, and breakpoints of the debug registers. */
#include "kernel.h"

#define DR6_ONES 0xffff0ff0ul
#define RF (1ul << 16)
#define ENABLED(number) (1ul << (2 * (number) + 1))
#define EXECUTE 0ul
#define WRITE 1ul
#define PORT 2ul
#define READ_WRITE 3ul
#define KIND(number, kind, bytes) ((kind | (bytes - 1ul) << 2) << (16 + 4 * (number)))
#define SET_DEBUG(number, value)                                                                   \
    __asm__ volatile("mov %0, %%dr" #number : : "r"((uint64_t)(value)) : "memory")

static volatile struct {
    unsigned hits;
    uint64_t dr6, rip, rflags;
} debug;
static volatile uint64_t watched[2] __attribute__((aligned(16)));

static int debug_exception(struct frame *frame)
{
    debug.hits++;
    __asm__ volatile("mov %%dr6, %0" : "=r"(debug.dr6));
    SET_DEBUG(6, DR6_ONES);
    debug.rip = frame->rip;
    debug.rflags = frame->rflags;
    frame->rflags |= RF;
    return 1;
}

/* `hits` exceptions since the last time, the last with these bits of DR6. */
static void hit(unsigned hits, uint64_t bits, const char *name)
{
    check(debug.hits == hits && (!hits || debug.dr6 == (DR6_ONES | bits)), name);
    debug.hits = 0;
}

/* TF is set for an instruction, and for three that clear it again. */
#define STEPPED(instruction, ...)                                                                  \
    __asm__ volatile("pushf; orl $0x100, (%%rsp); popf; " instruction                              \
                     "; pushf; andl $~0x100, (%%rsp); popf"                                        \
                     : : __VA_ARGS__ : "memory", "cc", "rcx", "rdi")

static int nothing(struct frame *frame)
{
    (void)frame;
    return 1;
}

static void single_step(void)
{
    STEPPED("nop; nop; nop", "r"(0));
    hit(6, 0x4000, "single step");
    STEPPED("mov %0, %%ss; nop", "r"(DATA0));
    hit(4, 0x4000, "no trap after MOV SS");
    STEPPED("mov $3, %%ecx; mov %0, %%rdi; rep stosb", "r"(watched));
    hit(8, 0x4000, "a trap after each element");
    handlers[0x72] = nothing;
    STEPPED("int $0x72; nop", "r"(0));
    hit(4, 0x4000, "neither in a handler nor after its IRET");
    STEPPED("hlt; nop", "r"(0)); /* the trap wakes it up */
    hit(5, 0x4000, "HLT");
    __asm__ volatile(".byte 0xf1");
    hit(1, 0, "INT1");
}

static void execution(void)
{
    uint64_t place;
    __asm__ volatile("lea 1f(%%rip), %0; mov %0, %%dr0; mov %1, %%dr7; nop; 1: nop; nop"
                     : "=&r"(place) : "r"(ENABLED(0) | KIND(0, EXECUTE, 1)) : "memory");
    SET_DEBUG(7, 0x400);
    check(debug.rip == place && !(debug.rflags & RF), "a breakpoint is a fault, with RF clear");
    hit(1, 1, "a breakpoint of execution");
}

static void data(void)
{
    SET_DEBUG(1, &watched[0]);
    SET_DEBUG(2, (uint64_t)&watched[1] + 2);
    SET_DEBUG(7, ENABLED(1) | KIND(1, WRITE, 4) | ENABLED(2) | KIND(2, READ_WRITE, 2));
    (void)watched[0];
    hit(0, 0, "reads are not watched");
    *(volatile uint8_t *)((uint64_t)&watched[0] + 3) = 1;
    hit(1, 2, "a write within what is watched");
    *(volatile uint8_t *)((uint64_t)&watched[0] + 4) = 1;
    hit(0, 0, "a write beside it");
    (void)watched[1];
    hit(1, 4, "a read that covers it");
    __asm__ volatile("movups %%xmm0, (%0)" : : "r"(watched) : "memory");
    hit(1, 6, "a store that covers both");
    uint64_t count = 16;
    void *to = (void *)watched;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory");
    hit(6, 4, "each element of STOSB that is watched");
    SET_DEBUG(1, watched);
    SET_DEBUG(7, ENABLED(1) | (WRITE | 2ul << 2) << 20); /* a length of 2 is 8 bytes */
    *(volatile uint8_t *)((uint64_t)&watched[0] + 7) = 1;
    hit(1, 2, "a breakpoint of 8 bytes");
    SET_DEBUG(0, DEVICE + 8);
    SET_DEBUG(7, ENABLED(0) | KIND(0, READ_WRITE, 4));
    (void)*(volatile uint32_t *)(DEVICE + 8);
    hit(1, 1, "a read of a device");
    __asm__ volatile("lock incl (%0)" : : "r"(DEVICE + 8ul) : "memory");
    hit(1, 1, "a device, read and written");
    __asm__ volatile("movups %%xmm0, (%0)" : : "r"(DEVICE + 0ul) : "memory");
    hit(1, 1, "a wide write to a device");
    SET_DEBUG(7, 0x400);
}

static void ports(void)
{
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_DE);
    SET_DEBUG(3, LATCH_PORT);
    SET_DEBUG(7, ENABLED(3) | KIND(3, PORT, 1));
    out8(LATCH_PORT, 7);
    hit(1, 8, "OUT to a port that is watched");
    check(in8(LATCH_PORT) == 7, "the latch");
    hit(1, 8, "IN from it");
    *(volatile uint8_t *)DEVICE = 7;
    hit(0, 0, "memory is not a port");
    TRY("mov %%dr4, %%rax", "r"(0));
    faulted(UNDEFINED, 0, "DR4 with DE");
    SET_DEBUG(7, 1 << 13);
    __asm__ volatile("mov %%dr0, %%rax" : : : "rax"); /* the exception has cleared GD */
    hit(1, 1 << 13, "general detect");
    SET_DEBUG(7, 0x400);
    WRITE_CONTROL(4, READ_CONTROL(4) & ~CR4_DE);
}

void breakpoints(void)
{
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_OSFXSR | CR4_OSXMMEXCPT);
    handlers[DEBUG] = debug_exception;
    debug.hits = 0;
    single_step();
    execution();
    data();
    ports();
    handlers[DEBUG] = 0;
}
