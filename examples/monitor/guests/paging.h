/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Sixteen pages of 4 KiB whose entries a guest may set as it likes, and frames for them. */
#pragma once

#include "layout.h"
#include "machine.h"

#define PAGES_ADDRESS 0x8000000000ul
#define RESERVED_ADDRESS 0x10000000000ul /* its entry has a reserved bit set */
#define PAGE_NX (1ul << 63)

enum { PAGES = 16, PAGE_BYTES = 4096 };

extern uint8_t page_frames[PAGES][PAGE_BYTES];

void paging_begin(void);
void map_page(uint32_t page, uint32_t frame, uint64_t flags);
uint64_t page_entry(uint32_t page);

static inline uint64_t page_address(uint32_t page)
{
    return PAGES_ADDRESS + page * (uint64_t)PAGE_BYTES;
}

/* Clear bits of CR0 and set bits of CR4, until restore_controls(). */
void change_controls(uint32_t clear_cr0, uint32_t set_cr4);
void restore_controls(void);
