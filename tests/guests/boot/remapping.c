/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that change under the code in them, and rights that change without a page. Until INVLPG a
 * processor may use either translation, so there both are right.
 */
#include "code.h"

#define FIRST (FIRST_FRAME | P | W)
#define OTHER (OTHER_FRAME | P | W)

static void routines(void)
{
    PUT(FIRST_FRAME, RETURN("\x01"));
    PUT(OTHER_FRAME, RETURN("\x02"));
    map(HERE, FIRST);
}

static void between_calls(void)
{
    routines();
    for (unsigned turn = 0; turn < 4; turn++) {
        uint32_t wanted = turn & 1 ? 1 : 2;
        check(run(HERE, 0, 0) == 3 - wanted, "before");
        *entry_of(HERE) = wanted == 1 ? FIRST : OTHER;
        uint32_t found = run(HERE, 0, 0);
        check(found == 1 || found == 2, "without INVLPG");
        if (turn & 2)
            WRITE_CONTROL(3, READ_CONTROL(3));
        else
            __asm__ volatile("invlpg (%0)" : : "r"(HERE) : "memory");
        check(run(HERE, 0, 0) == wanted, "after INVLPG or MOV CR3");
    }
}

/* mov %rsi, (%rdi); flush; mov $number, %eax; ret: it runs on the page that it replaces. */
#define REPLACE(flush, number) "\x48\x89\x37" flush RETURN(number)
#define INVLPG "\x0f\x01\x3d\xf6\xff\xff\xff" /* invlpg -10(%rip) */
#define MOV_CR3 "\x0f\x20\xd8\x0f\x22\xd8"    /* mov %cr3, %rax; mov %rax, %cr3 */

/* INVLPG may come from the page that is not there any more. */
static int gone(uint64_t ip)
{
    return ip == HERE + 3 || ip == HERE + 10;
}

static void under_itself(void)
{
    PUT(FIRST_FRAME, REPLACE(INVLPG, "\x01"));
    PUT(OTHER_FRAME, REPLACE(INVLPG, "\x02"));
    map(HERE, FIRST);
    check(run(HERE, (uint64_t)entry_of(HERE), OTHER) == 2, "code that replaces its page");
    check(run(HERE, (uint64_t)entry_of(HERE), FIRST) == 1, "and back");
    PUT(FIRST_FRAME, REPLACE(MOV_CR3, "\x03"));
    PUT(OTHER_FRAME, REPLACE(MOV_CR3, "\x04"));
    check(run(HERE, (uint64_t)entry_of(HERE), OTHER) == 4, "by MOV CR3");
    PUT(FIRST_FRAME, REPLACE("", "\x05"));
    PUT(OTHER_FRAME, REPLACE("", "\x06"));
    uint32_t found = run(HERE, (uint64_t)entry_of(HERE), FIRST);
    check(found == 5 || found == 6, "without a flush");
    PUT(FIRST_FRAME, REPLACE(INVLPG, "\x01"));
    map(HERE, FIRST);
    TRY("call *%0", "r"(HERE), "D"(entry_of(HERE)), "S"(0ul));
    check(seen.vector == PAGE_FAULT && seen.error == 0x10, "code that takes its page away");
    check(seen.ip == seen.address && gone(seen.ip), "INVLPG or what follows it");
    __asm__ volatile("pop %%rax" : : : "rax", "memory");
    map(HERE, FIRST);
    TRY("call *%0", "r"(HERE), "D"(entry_of(HERE)), "S"(FIRST | NX));
    check(seen.vector == PAGE_FAULT && seen.error == 0x11 && gone(seen.ip), "or makes it data");
    __asm__ volatile("pop %%rax" : : : "rax", "memory");
}

/* Code runs from one page into the next, which it has replaced. */
static void ahead_of_itself(void)
{
    map(HERE, FIRST);
    map(NEXT, SECOND_FRAME | P | W);
    PUT(FIRST_FRAME + PAGE - 10, "\x48\x89\x37\x0f\x01\x3d\0\0\0\0"); /* invlpg 0(%rip) */
    PUT(SECOND_FRAME, RETURN("\x11"));
    PUT(OTHER_FRAME, RETURN("\x12"));
    for (unsigned turn = 0; turn < 4; turn++) {
        uint64_t entry = turn & 1 ? SECOND_FRAME | P | W : OTHER;
        uint32_t found = run(NEXT - 10, (uint64_t)entry_of(NEXT), entry);
        check(found == (turn & 1 ? 0x11 : 0x12), "the page ahead");
    }
}

static void marks(void)
{
    routines();
    for (unsigned turn = 0; turn < 3; turn++) {
        map(HERE, FIRST);
        run(HERE, 0, 0);
        check((*entry_of(HERE) & (A | D)) == A, "a fetch marks its page");
        *(volatile uint64_t *)(HERE + 64) = turn;
        check((*entry_of(HERE) & (A | D)) == (A | D), "a store marks it");
    }
}

/* What a processor remembers of a page must not outlive the register that decides. */
static void rights(void)
{
    routines();
    for (unsigned turn = 0; turn < 2; turn++) {
        map(HERE, FIRST_FRAME | P);
        TRY("incl 64(%0)", "r"(HERE));
        check(seen.vector == PAGE_FAULT && seen.error == 3, "WP");
        WRITE_CONTROL(0, READ_CONTROL(0) & ~CR0_WP);
        TRY("incl 64(%0)", "r"(HERE));
        went_through("WP is clear");
        WRITE_CONTROL(0, READ_CONTROL(0) | CR0_WP);
        TRY("incl 64(%0)", "r"(HERE));
        check(seen.vector == PAGE_FAULT && seen.error == 3, "WP again");
    }
    if ((cpuid(7, 0).b & (1 << 7 | 1 << 20)) != (1 << 7 | 1 << 20))
        return;
    map(HERE, FIRST | U);
    for (unsigned turn = 0; turn < 2; turn++) {
        check(run(HERE, 0, 0) == 1, "a user's page, in ring 0");
        WRITE_CONTROL(4, READ_CONTROL(4) | CR4_SMEP | CR4_SMAP);
        TRY("call *%0", "r"(HERE));
        check(seen.vector == PAGE_FAULT && seen.error == 0x11, "SMEP");
        __asm__ volatile("pop %%rax" : : : "rax", "memory");
        TRY("stac; mov (%0), %%rax; clac; mov (%0), %%rax", "r"(HERE));
        check(seen.vector == PAGE_FAULT && seen.error == 1, "CLAC");
        WRITE_CONTROL(4, READ_CONTROL(4) & ~(CR4_SMEP | CR4_SMAP));
    }
}

/* Ring 0 has just been where ring 3 may not go. */
static void rings(void)
{
    map(HERE, FIRST);
    check(run(HERE, 0, 0) == 1, "ring 0");
    struct frame frame = task(user_jump);
    frame.rbx = HERE;
    run_user(&frame);
    check(frame.vector == PAGE_FAULT && frame.error == 0x15 && frame.rip == HERE, "ring 3");
    map(HERE, FIRST | U);
    PUT(HERE, "\xcd\x80");
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL && frame.rip == HERE + 2, "a user's page");
    map(HERE, FIRST);
}

/* One more level of memory under 2 MiB: a large page, and the table that takes its place. */
static void sizes(void)
{
    volatile uint64_t *directory = (volatile uint64_t *)(TABLES + 21ul * PAGE);
    uint64_t large = FAR_AWAY + 0x400000;
    zero((void *)OTHER_FRAME, PAGE);
    directory[2] = 0x0 | P | W | 0x80;
    check(*(volatile uint8_t *)(large + FIRST_FRAME) == *(volatile uint8_t *)FIRST_FRAME, "2 MiB");
    PUT(FIRST_FRAME, RETURN("\x21"));
    check(run(large + FIRST_FRAME, 0, 0) == 0x21, "code in it");
    ((volatile uint64_t *)OTHER_FRAME)[FIRST_FRAME / PAGE] = SECOND_FRAME | P | W;
    PUT(SECOND_FRAME, RETURN("\x22"));
    directory[2] = OTHER;
    WRITE_CONTROL(3, READ_CONTROL(3));
    check(run(large + FIRST_FRAME, 0, 0) == 0x22, "a table in its place");
    directory[2] = 0;
    WRITE_CONTROL(3, READ_CONTROL(3));
    TRY("mov (%0), %%rax", "r"(large + FIRST_FRAME));
    page_faulted(large + FIRST_FRAME, 0, "nothing in its place");
}

void remapping(void)
{
    between_calls();
    under_itself();
    ahead_of_itself();
    marks();
    rights();
    rings();
    sizes();
}
