/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader tells: the start info of the PVH boot ABI, version 1. */
#pragma once

#include "machine.h"

enum { START_MAGIC = 0x336ec578, MEMORY_RAM = 1 };

struct start_information {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, command_line, rsdp, memory_map;
    uint32_t memory_map_entries, reserved;
};

struct memory_map_entry {
    uint64_t base, size;
    uint32_t type, reserved;
};

/* What the loader handed over. */
const struct start_information *boot_information(void);

/* The command line; "" if there is none. */
const char *command_line(void);

/* Whether a word is in the command line. */
bool command_word(const char *word);

/* N of "name=N" in the command line, decimal, or `otherwise`. */
uint64_t command_number(const char *name, uint64_t otherwise);

/* The guest itself, in a file of its own. */
void guest_main(void);
