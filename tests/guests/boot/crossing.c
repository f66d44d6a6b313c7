/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that begin in one page and end in another, at every byte of them. */
#include "code.h"

struct example {
    const char *code;
    uint32_t length, result; /* of the first instruction; behind it is RET */
};

/* Each brings its result in EAX; the first argument is 0x1000. */
static const struct example examples[] = {
    {"\x89\xf8\xc3", 2, 0x1000},                                           /* mov %edi, %eax */
    {"\xb8\x78\x56\x34\x12\xc3", 5, 0x12345678},                           /* mov $, %eax */
    {"\x48\xb8\x11\x22\x33\x44\x55\x66\x77\x88\xc3", 10, 0x44332211},      /* movabs $, %rax */
    {"\x8d\x84\x3f\x08\x07\x06\x05\xc3", 7, 0x05062708},                   /* lea d(%rdi,%rdi) */
    {"\x69\xc7\x03\x00\x00\x00\xc3", 6, 0x3000},                           /* imul $3, %edi, %eax */
    {"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x48\x89\xf8\xc3", 15, 0x1000},
    {"\xc4\xe2\x40\xf2\xc7\xc3", 5, 0},                                    /* andn %edi, %edi, %eax */
};
#define EXAMPLES (sizeof examples / sizeof *examples)

static void every_byte(void)
{
    for (uint32_t number = 0; number < EXAMPLES; number++) {
        const struct example *example = &examples[number];
        for (uint32_t first = 0; first <= example->length; first++) {
            uint64_t start = NEXT - first;
            put(start, example->code, example->length + 1);
            check(run(start, 0x1000, 0) == example->result, "an instruction across pages");
        }
    }
}

/* The second page comes when it is asked for. */
static void on_demand(void)
{
    const struct example *example = &examples[1];
    for (uint32_t first = 1; first < example->length; first++) {
        uint64_t start = NEXT - first;
        put(start, example->code, example->length + 1);
        map(NEXT, 0);
        TRY("call *%0", "r"(start));
        check(seen.vector == PAGE_FAULT && seen.error == 0x10, "the second page is not there");
        check(seen.ip == start && seen.address == NEXT, "the instruction and the page");
        __asm__ volatile("pop %%rax" : : : "rax", "memory");
        map(NEXT, SECOND_FRAME | P | W | NX);
        TRY("call *%0", "r"(start));
        check(seen.vector == PAGE_FAULT && seen.error == 0x11, "the second page is data");
        __asm__ volatile("pop %%rax" : : : "rax", "memory");
        map(NEXT, SECOND_FRAME | P | W);
        check(run(start, 0, 0) == example->result, "and with it");
    }
}

static void up_to_the_end(void)
{
    map(NEXT, 0);
    PUT(NEXT - 6, RETURN("\x07"));
    check(run(NEXT - 6, 0, 0) == 7, "nothing is fetched behind a RET");
    PUT(NEXT - 5, "\xb8\x08\0\0\0");
    TRY("call *%0", "r"(NEXT - 5));
    check(seen.vector == PAGE_FAULT && seen.ip == NEXT && seen.address == NEXT, "the next page");
    __asm__ volatile("pop %%rax" : : : "rax", "memory");
    PUT(NEXT - 2, "\x0f\x0b");
    TRY("call *%0", "r"(NEXT - 2));
    check(seen.vector == UNDEFINED && seen.ip == NEXT - 2, "#UD at the end of a page");
    __asm__ volatile("pop %%rax" : : : "rax", "memory");
    map(NEXT, SECOND_FRAME | P | W);
}

/* The half in the second page is rewritten, through either address. */
static void rewritten(void)
{
    put(NEXT - 2, examples[1].code, 6);
    check(run(NEXT - 2, 0, 0) == 0x12345678, "before");
    *(volatile uint8_t *)NEXT = 0x99;
    check(run(NEXT - 2, 0, 0) == 0x12349978, "the second half");
    *(volatile uint8_t *)(SECOND_FRAME + 2) = 0x77;
    check(run(NEXT - 2, 0, 0) == 0x77349978, "the second half, through another address");
    *(volatile uint8_t *)(FIRST_FRAME + PAGE - 1) = 0x11;
    check(run(NEXT - 2, 0, 0) == 0x77349911, "the first half");
    put(OTHER_FRAME, (const char *)SECOND_FRAME, 16);
    *(volatile uint8_t *)OTHER_FRAME = 0xaa;
    map(NEXT, OTHER_FRAME | P | W);
    check(run(NEXT - 2, 0, 0) == 0x7734aa11, "another second page");
    map(NEXT, SECOND_FRAME | P | W);
    check(run(NEXT - 2, 0, 0) == 0x77349911, "the second page again");
}

void crossing(void)
{
    every_byte();
    on_demand();
    up_to_the_end();
    rewritten();
}
