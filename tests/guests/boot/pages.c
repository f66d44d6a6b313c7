/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Page tables: what the stage before has made, and a table for FAR_AWAY. */
#include "kernel.h"

#define TABLE(number) ((volatile uint64_t *)(TABLES + PAGE * (number##ul)))
#define POINTERS TABLE(18)
#define FIRST TABLE(20) /* of the first 2 MiB */
#define DIRECTORY TABLE(21)
#define TABLE_FAR_AWAY TABLE(22)

volatile uint64_t *entry_of(uint64_t linear)
{
    return (linear >= FAR_AWAY ? TABLE_FAR_AWAY : FIRST) + (linear >> 12 & 511);
}

void map(uint64_t linear, uint64_t entry)
{
    *entry_of(linear) = entry;
    __asm__ volatile("invlpg (%0)" : : "r"(linear) : "memory");
}

void show_user_pages(void)
{
    zero((void *)DIRECTORY, 2 * PAGE);
    POINTERS[1] = (uint64_t)DIRECTORY | P | W | U;
    DIRECTORY[0] = (uint64_t)TABLE_FAR_AWAY | P | W | U;
    for (uint64_t page = (uint64_t)user_start; page < (uint64_t)user_end; page += PAGE)
        map(page, page | P | W | U);
}
