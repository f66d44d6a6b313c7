/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Code that writes code: the next instruction, itself, through another address, by any store. */
#include "code.h"

#define PLACE (HERE + 0x100)
#define ALIAS (FIRST_FRAME + 0x100)

static volatile unsigned ticks;

static void next_instruction(void)
{
    for (uint32_t number = 1; number < 6; number++) {
        uint32_t found;
        __asm__ volatile("movb %1, 1f + 1; 1: mov $0x55, %%al; movzbl %%al, %0"
                         : "=r"(found) : "q"((uint8_t)number) : "rax", "memory");
        check(found == number, "the next instruction");
    }
    /* mov $1, %eax; mov %sil, -4(%rip): the immediate just executed; jumped to once more */
    PUT(PLACE, "\xb8\x01\0\0\0\xff\xcf\x78\x09\x40\x88\x35\xf1\xff\xff\xff\xeb\xee\xc3");
    check(run(PLACE, 2, 7) == 7, "an instruction executed before");
    /* movb $0xc3, -7(%rip): a store over itself that completes, and is a RET the next time */
    PUT(PLACE, "\xc6\x05\xf9\xff\xff\xff\xc3\xb8\x01\0\0\0\xc3");
    check(run(PLACE, 0, 0) == 1, "an instruction over itself");
    check(*(volatile uint8_t *)PLACE == 0xc3, "what it has become");
}

/* A routine that is rewritten between calls, here or through another address. */
static void between_calls(void)
{
    PUT(PLACE, RETURN("\x01"));
    for (uint32_t number = 0; number < 8; number++) {
        uint64_t by = number & 1 ? ALIAS : PLACE;
        *(volatile uint8_t *)(by + 1) = (uint8_t)number;
        check(run(PLACE, 0, 0) == number, "a routine that is rewritten");
    }
    static const char first[] = RETURN("\x21"), second[] = RETURN("\x43");
    for (uint32_t number = 0; number < 4; number++) {
        const char *from = number & 1 ? second : first;
        void *to = (void *)(number & 2 ? ALIAS : PLACE);
        uint64_t count = sizeof first;
        __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
        check(run(PLACE, 0, 0) == (number & 1 ? 0x43 : 0x21), "a routine that is copied");
    }
}

/* Stores of other kinds than MOV. */
static void other_stores(void)
{
    PUT(PLACE, RETURN("\x01"));
    check(run(PLACE, 0, 0) == 1, "a routine");
    __asm__ volatile("lock addb $4, (%0)" : : "r"(PLACE + 1) : "memory");
    check(run(PLACE, 0, 0) == 5, "LOCK ADD");
    uint8_t number = 9;
    __asm__ volatile("xchg %0, (%1)" : "+q"(number) : "r"(PLACE + 1) : "memory");
    check(run(PLACE, 0, 0) == 9 && number == 5, "XCHG");
    uint64_t code = *(volatile uint64_t *)PLACE + 0x200;
    __asm__ volatile("mov %%rsp, %%rax; lea 8(%0), %%rsp; push %1; mov %%rax, %%rsp"
                     : : "r"(PLACE), "r"(code) : "rax", "memory");
    check(run(PLACE, 0, 0) == 11, "PUSH");
    __asm__ volatile("movq %0, %%xmm0; movups %%xmm0, (%1)" : : "r"(code + 0x100), "r"(PLACE)
                     : "memory");
    check(run(PLACE, 0, 0) == 12, "MOVUPS");
    uint32_t old = (uint32_t)code + 0x100;
    __asm__ volatile("lock cmpxchg %1, (%2)" : "+a"(old) : "r"((uint32_t)code + 0x300), "r"(PLACE)
                     : "memory");
    check(run(PLACE, 0, 0) == 14, "CMPXCHG");
    __asm__ volatile("btsw $3, %0" : "+m"(*(uint16_t *)(PLACE + 2)) : : "memory");
    check(run(PLACE, 0, 0) == 14 + 0x800, "BTS");
}

/* The stack of an interrupt lies on the routine: what is pushed becomes code. */
static void by_delivery(void)
{
    PUT(PLACE, RETURN("\x01"));
    check(run(PLACE, 0, 0) == 1, "a routine");
    breakpoint_on_stack(PLACE + 0x40);
    check(seen.vector == BREAKPOINT, "an interrupt on the stack in code");
    volatile uint64_t *top = (volatile uint64_t *)(PLACE + 0x38);
    check(top[0] == DATA0 && top[-1] == PLACE + 0x40, "the frame lies there");
    PUT(PLACE, RETURN("\x02"));
    check(run(PLACE, 0, 0) == 2, "the routine again");
}

/* Ends the loop that it has interrupted, by NOPs. */
static int tick(struct frame *frame)
{
    (void)frame;
    if (++ticks == 2)
        PUT(ALIAS, "\x90\x90");
    return 1;
}

static void endless_loop(void)
{
    handlers[TIMER_VECTOR] = tick;
    PUT(PLACE, "\xeb\xfe" RETURN("\x33"));
    out32(TIMER_PORT, 300);
    __asm__ volatile("sti");
    uint32_t found = run(PLACE, 0, 0);
    __asm__ volatile("cli");
    out32(TIMER_PORT, 0);
    check(found == 0x33 && ticks >= 2, "a loop that an interrupt ends");
}

void self_modifying(void)
{
    map((uint64_t)PLACE & ~(PAGE - 1ul), FIRST_FRAME | P | W);
    next_instruction();
    between_calls();
    other_stores();
    by_delivery();
    endless_loop();
}
