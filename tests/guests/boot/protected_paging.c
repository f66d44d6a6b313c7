/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* 32-bit paging, PAE paging, and the tables of the next stage. */
#include "protected.h"

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define LARGE 0x80u
#define PAGES 512u                   /* 2 MiB, all there is */
#define FAR_AWAY 0x400000u           /* where pages come and go: the second table's */
#define TABLE(number) (TABLES + PAGE * (number))

void to_long_mode(uint32_t cr3, uint32_t cr4) __attribute__((noreturn));

static uint32_t rights(uint32_t page)
{
    uint32_t address = page * PAGE;
    int user = address >= (uint32_t)user_start && address < (uint32_t)user_end;
    return P | W | (user || address == SPARE ? U : 0);
}

/* Demands on a page whose entry is at `entry`, of either size of entries. */
static void demands(volatile uint32_t *entry)
{
    *entry = 0;
    TRY("movl (%0), %%eax", "r"(FAR_AWAY + 12));
    page_faulted(FAR_AWAY + 12, 0, "a read where nothing is");
    TRY("movl %%eax, (%0)", "r"(FAR_AWAY - 2));
    page_faulted(FAR_AWAY, 2, "a write whose second half is on no page");
    *entry = SPARE | P;
    *(volatile uint32_t *)SPARE = 0xcafe;
    check(*(volatile uint32_t *)FAR_AWAY == 0xcafe && (*entry & (A | D)) == A, "a page, accessed");
    TRY("incl (%0)", "r"(FAR_AWAY));
    page_faulted(FAR_AWAY, 3, "a write to a read-only page");
    *entry |= W;
    __asm__ volatile("invlpg (%0)" : : "r"(FAR_AWAY));
    TRY("incl (%0)", "r"(FAR_AWAY));
    went_through("a write");
    check((*entry & (A | D)) == (A | D) && *(uint32_t *)SPARE == 0xcaff, "a page, dirty");
    struct frame frame = {
        .es = DATA3, .ds = DATA3, .eip = (uint32_t)user_read, .cs = CODE3, .eflags = 2,
        .esp = (uint32_t)user_stack, .ss = DATA3, .ebx = FAR_AWAY, .ecx = FAR_AWAY,
    };
    run_user(&frame);
    check(frame.vector == PAGE_FAULT && frame.error == 5, "a user's read of a supervisor's page");
    check(READ_CONTROL(2) == FAR_AWAY, "CR2");
    *entry = SPARE | P | U;
    __asm__ volatile("invlpg (%0)" : : "r"(FAR_AWAY));
    run_user(&frame);
    check(frame.vector == PAGE_FAULT && frame.error == 7, "a user's write to a read-only page");
    *entry |= W;
    __asm__ volatile("invlpg (%0)" : : "r"(FAR_AWAY));
    run_user(&frame);
    check(frame.vector == SYSTEM_CALL && frame.eax == 0xcaff, "a user's page");
    *entry = 0;
    __asm__ volatile("invlpg (%0)" : : "r"(FAR_AWAY));
    frame.eip = (uint32_t)user_jump;
    run_user(&frame);
    check(frame.vector == PAGE_FAULT && frame.eip == FAR_AWAY, "a fetch where nothing is");
    check((frame.error & ~0x10u) == 4, "its error code");
}

static void turn_on(uint32_t cr3)
{
    WRITE_CONTROL(3, cr3);
    WRITE_CONTROL(0, READ_CONTROL(0) | CR0_PG | CR0_WP);
}

static void classic(void)
{
    uint32_t *directory = (uint32_t *)TABLE(0), *table = (uint32_t *)TABLE(1);
    zero(directory, 3 * PAGE);
    for (uint32_t page = 0; page < 2 * PAGES; page++)
        table[page] = page * PAGE | (page < PAGES ? rights(page) : P | W);
    directory[0] = TABLE(1) | P | W | U;
    directory[1] = TABLE(2) | P | W | U;
    directory[DEVICE >> 22] = (DEVICE & 0xffc00000) | P | W | LARGE;
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_PSE);
    turn_on((uint32_t)directory);
    demands((uint32_t *)TABLE(2));
    *(volatile uint32_t *)DEVICE = 0x11223344;
    check(*(volatile uint16_t *)(DEVICE + 2) == 0x1122, "a device through a 4 MiB page");
    subject("32-bit paging");
    tasks();
    WRITE_CONTROL(0, READ_CONTROL(0) & ~CR0_PG);
}

static void extended(void)
{
    uint64_t *pointers = (uint64_t *)TABLE(3), *directory = (uint64_t *)TABLE(4);
    uint64_t *device = (uint64_t *)TABLE(6), *table = (uint64_t *)TABLE(7);
    zero(pointers, 6 * PAGE);
    pointers[0] = TABLE(4) | P;
    pointers[3] = TABLE(6) | P;
    directory[0] = TABLE(7) | P | W | U;
    directory[1] = 0x200000 | P | W | LARGE;
    directory[2] = TABLE(8) | P | W | U;
    device[DEVICE >> 21 & 511] = (DEVICE & 0xffe00000) | P | W | LARGE;
    for (uint32_t page = 0; page < PAGES; page++)
        table[page] = page * PAGE | rights(page);
    WRITE_CONTROL(4, READ_CONTROL(4) | CR4_PAE);
    write_msr(EFER, EFER_NXE);
    turn_on((uint32_t)pointers);
    demands((uint32_t *)TABLE(8));
    uint64_t *entry = (uint64_t *)TABLE(8);
    *entry = (uint64_t)1 << 63 | SPARE | P | W;
    *(volatile uint8_t *)SPARE = 0xc3;
    TRY("call *%0", "r"(FAR_AWAY));
    check(seen.vector == PAGE_FAULT && seen.error == 0x11 && seen.ip == FAR_AWAY, "execute disable");
    __asm__ volatile("pop %%eax" : : : "eax", "memory"); /* the return address of that call */
    *entry &= ~((uint64_t)1 << 63);
    __asm__ volatile("invlpg (%0)" : : "r"(FAR_AWAY));
    TRY("call *%0", "r"(FAR_AWAY));
    went_through("a page that can be executed");
    *entry |= (uint64_t)1 << 62;
    *entry |= (uint64_t)1 << 51;
    __asm__ volatile("invlpg (%0)" : : "r"(FAR_AWAY));
    check(*(volatile uint32_t *)(DEVICE) == 0x11223344, "a device through a 2 MiB page");
    subject("PAE paging");
    tasks();
}

void paging(void)
{
    classic();
    extended();
}

/* Four or five levels, as CPUID has it: the first 2 MiB by pages, and the device. */
void long_mode(void)
{
    uint64_t *top = (uint64_t *)TABLE(16), *pointers = (uint64_t *)TABLE(18);
    uint64_t *directory = (uint64_t *)TABLE(19), *table = (uint64_t *)TABLE(20);
    zero(top, 5 * PAGE);
    top[0] = TABLE(17) | P | W | U;
    *(uint64_t *)TABLE(17) = TABLE(18) | P | W | U;
    pointers[0] = TABLE(19) | P | W | U;
    pointers[3] = 0xc0000000 | P | W | LARGE;
    directory[0] = TABLE(20) | P | W | U;
    for (uint32_t page = 0; page < PAGES; page++)
        table[page] = page * PAGE | P | W;
    int five = cpuid(7, 0).c >> 16 & 1;
    to_long_mode(five ? TABLE(16) : TABLE(17), CR4_PAE | (five ? CR4_LA57 : 0));
}
