/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Says who runs it, and what the loader told. */
#include "boot.h"
#include "report.h"

enum { HYPERVISOR_BIT = 1u << 31, HYPERVISOR_LEAF = 0x40000000 };

static const uint32_t no_name[] = {0x656d616e, 0x7373656c, 0}; /* "nameless" */

static void print_name(const char *what, const uint32_t *registers)
{
    char name[13] = {0};
    for (uint32_t i = 0; i < 12; i++) {
        char letter = (char)(registers[i / 4] >> 8 * (i % 4));
        name[i] = letter == 0 || (letter >= ' ' && letter <= '~') ? letter : '.';
    }
    print("%s: %s\n", what, name);
}

static void print_processor(void)
{
    struct cpuid first = cpuid(0);
    uint32_t vendor[] = {first.ebx, first.edx, first.ecx};
    print_name("processor", vendor);
    if (cpuid(1).ecx & HYPERVISOR_BIT) {
        struct cpuid leaf = cpuid(HYPERVISOR_LEAF);
        uint32_t name[] = {leaf.ebx, leaf.ecx, leaf.edx};
        print_name("hypervisor", leaf.eax >= HYPERVISOR_LEAF ? name : no_name);
    }
}

static void print_memory(const struct start_information *boot)
{
    const struct memory_map_entry *map = (const void *)(uintptr_t)boot->memory_map;
    uint64_t ram = 0;
    for (uint32_t i = 0; i < boot->memory_map_entries; i++) {
        print("memory %010lx-%010lx type %u\n", map[i].base, map[i].base + map[i].size - 1,
              map[i].type);
        ram += map[i].type == MEMORY_RAM ? map[i].size : 0;
    }
    check(ram >> 20 >= 1, "memory", "%u entries, %lu KiB of RAM", boot->memory_map_entries,
          ram >> 10);
}

void guest_main(void)
{
    const struct start_information *boot = boot_information();
    print("Hello from a guest of 64 bits\n");
    print_processor();
    check(boot->magic == START_MAGIC, "start-info", "version %u at %lx", boot->version,
          (uintptr_t)boot);
    print("command line: '%s', modules: %u\n", command_line(), boot->module_count);
    print_memory(boot);
}
