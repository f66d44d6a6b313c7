/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Page faults: every kind of error code, demand paging, and who may reach what. */
#include "kernel.h"

#define WORD(address) (*(volatile uint64_t *)(address))

static unsigned demanded;

/* Maps a page of the region that is paged on demand, and has the instruction tried again. */
static int page_fault(struct frame *frame)
{
    uint64_t address = READ_CONTROL(2);
    if (address < DEMAND || address >= DEMAND + DEMAND_PAGES * PAGE || frame->error & P)
        return 0;
    demanded++;
    map(address & ~(PAGE - 1ul), (SPARE + (address & (DEMAND_PAGES * PAGE - PAGE))) | P | W);
    return 1;
}

static void on_demand(void)
{
    handlers[PAGE_FAULT] = page_fault;
    uint64_t bytes = 4 * PAGE, fill = 0x5a;
    void *to = (void *)(DEMAND + 100);
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(fill) : "memory");
    check(demanded == 5 && WORD(DEMAND + 4 * PAGE) == 0x5a5a5a5a5a5a5a5a, "STOSB over five pages");
    WORD(DEMAND + 6 * PAGE - 4) = 0x1122334455667788;
    check(demanded == 7 && WORD(DEMAND + 6 * PAGE - 4) == 0x1122334455667788, "a store across two");
    uint64_t from = DEMAND + 8 * PAGE - 4, into = DEMAND + 10 * PAGE - 4;
    __asm__ volatile("movsq" : "+S"(from), "+D"(into) : : "memory");
    check(demanded == 11 && from == DEMAND + 8 * PAGE + 4, "MOVSQ from two pages to two pages");
    __asm__ volatile("push %0; pop (%1)" : : "r"(0x77ul), "r"(DEMAND + 12 * PAGE) : "memory");
    check(demanded == 12 && WORD(DEMAND + 12 * PAGE) == 0x77, "POP to a page on demand");
}

static void supervisor(void)
{
    map(FAR_AWAY, 0);
    TRY("mov (%0), %%rax", "r"(FAR_AWAY + 8));
    page_faulted(FAR_AWAY + 8, 0, "a read where nothing is");
    TRY("mov %%rax, (%0)", "r"(FAR_AWAY - 3 + PAGE));
    page_faulted(FAR_AWAY - 3 + PAGE, 2, "a write where nothing is");
    map(FAR_AWAY, SPARE | P);
    TRY("lock incq (%0)", "r"(FAR_AWAY));
    page_faulted(FAR_AWAY, 3, "a write to a read-only page");
    check((*entry_of(FAR_AWAY) & (A | D)) == 0, "what faults is not marked");
    WRITE_CONTROL(0, READ_CONTROL(0) & ~CR0_WP);
    TRY("lock incq (%0)", "r"(FAR_AWAY));
    went_through("without WP");
    WRITE_CONTROL(0, READ_CONTROL(0) | CR0_WP);
    check((*entry_of(FAR_AWAY) & (A | D)) == (A | D), "accessed and dirty");
    map(FAR_AWAY, SPARE | P | W | NX);
    TRY("call *%0", "r"(FAR_AWAY));
    check(seen.vector == PAGE_FAULT && seen.error == 0x11 && seen.ip == FAR_AWAY, "NX");
    __asm__ volatile("pop %%rax" : : : "rax", "memory");
    write_msr(EFER, read_msr(EFER) & ~(uint64_t)EFER_NXE);
    TRY("mov (%0), %%rax", "r"(FAR_AWAY));
    page_faulted(FAR_AWAY, 9, "NX is reserved without NXE");
    write_msr(EFER, read_msr(EFER) | EFER_NXE);
    TRY("mov (%0), %%rax", "r"(FAR_AWAY + (1ul << 45)));
    page_faulted(FAR_AWAY + (1ul << 45), 0, "an upper level that is not present");
}

/* How a store of ring 3 to the first word of a page ends. */
static uint64_t user_error(const char *entry, uint64_t rights)
{
    map(FAR_AWAY, SPARE | rights);
    struct frame frame = task(entry);
    frame.rbx = FAR_AWAY;
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL || READ_CONTROL(2) == FAR_AWAY, "CR2 of ring 3");
    return frame.vector == PAGE_FAULT ? frame.error : NOTHING;
}

static void user(void)
{
    check(user_error(user_table, 0) == 4, "a user's read where nothing is");
    check(user_error(user_table, P | W) == 5, "a user's read of a supervisor's page");
    check(user_error(user_table, P | U) == 7, "a user's write to a read-only page");
    check(user_error(user_table, P | U | W) == NOTHING, "a user's page");
    check(user_error(user_jump, 0) == 0x14, "a user's fetch where nothing is");
    check(user_error(user_jump, P | U | NX) == 0x15, "a user's fetch of data");
    check(user_error(user_jump, P) == 0x15, "a user's fetch of a supervisor's code");
}

static void supervisor_mode(void)
{
    struct leaf leaf = cpuid(7, 0);
    map(FAR_AWAY, SPARE | P | W | U);
    *(volatile uint8_t *)FAR_AWAY = 0xc3;
    if (leaf.b >> 7 & 1) {
        WRITE_CONTROL(4, READ_CONTROL(4) | CR4_SMEP);
        TRY("call *%0", "r"(FAR_AWAY));
        check(seen.vector == PAGE_FAULT && seen.error == 0x11 && seen.ip == FAR_AWAY, "SMEP");
        __asm__ volatile("pop %%rax" : : : "rax", "memory");
    }
    if (leaf.b >> 20 & 1) {
        WRITE_CONTROL(4, READ_CONTROL(4) | CR4_SMAP);
        TRY("mov (%0), %%rax", "r"(FAR_AWAY));
        page_faulted(FAR_AWAY, 1, "SMAP");
        TRY("stac; mov %%rax, (%0); clac", "r"(FAR_AWAY));
        went_through("STAC lifts SMAP");
        TRY("clac; mov %%rax, (%0)", "r"(FAR_AWAY));
        check(seen.vector == PAGE_FAULT && seen.error == 3, "CLAC brings it back");
    }
    WRITE_CONTROL(4, READ_CONTROL(4) & ~(CR4_SMEP | CR4_SMAP));
    TRY("mov (%0), %%rax", "r"(FAR_AWAY));
    went_through("without SMAP");
}

/* Key 5 allows reads alone. */
static void keys(void)
{
    if (!(cpuid(7, 0).c >> 3 & 1))
        return;
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_PKE);
    __asm__ volatile("wrpkru" : : "a"(2 << 10), "c"(0), "d"(0));
    check(user_error(user_table, P | U | W | 5ul << 59) == 0x27, "a protection key");
    check(user_error(user_table, P | U | W | 4ul << 59) == NOTHING, "another key");
    WRITE_CONTROL(4, READ_CONTROL(4) & ~CR4_PKE);
    check(user_error(user_table, P | U | W | 5ul << 59) == NOTHING, "keys are off");
}

void paging(void)
{
    on_demand();
    supervisor();
    user();
    supervisor_mode();
    keys();
}
