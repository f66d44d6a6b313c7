/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging.h"

extern uint64_t page_root[];

uint8_t page_frames[PAGES][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t pointers[512] __attribute__((aligned(PAGE_BYTES)));
static uint64_t directory[512] __attribute__((aligned(PAGE_BYTES)));
static volatile uint64_t table[512] __attribute__((aligned(PAGE_BYTES)));
static uint64_t cr0, cr4;

void paging_begin(void)
{
    const uint64_t flags = PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
    page_root[PAGES_ADDRESS >> 39] = (uint64_t)pointers | flags;
    page_root[RESERVED_ADDRESS >> 39] = (uint64_t)pointers | flags | PAGE_SIZE_BIT;
    pointers[0] = (uint64_t)directory | flags;
    directory[0] = (uint64_t)table | flags;
}

void map_page(uint32_t page, uint32_t frame, uint64_t flags)
{
    table[page] = (uint64_t)page_frames[frame] | flags;
    __asm__ volatile("invlpg (%0)" : : "r"(page_address(page)) : "memory");
}

uint64_t page_entry(uint32_t page)
{
    return table[page];
}

void change_controls(uint32_t clear_cr0, uint32_t set_cr4)
{
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    if (clear_cr0)
        __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 & ~(uint64_t)clear_cr0) : "memory");
    if (set_cr4)
        __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | set_cr4) : "memory");
}

void restore_controls(void)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}
