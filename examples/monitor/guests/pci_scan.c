/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_scan.h"

#include "acpi_tables.h"
#include "apic.h"
#include "report.h"

#define HOLE_FIRST 0xc0000000ul
#define HOLE_LIMIT 0xfec00000ul /* where the I/O APIC is */

enum { MULTIFUNCTION = 0x80, TYPE_MASK = 0x7f, BRIDGE = 1 };
enum { MSI_ENABLE = 1 << 16, MSI_IS_64 = 1 << 23 };

struct function functions[MOST_FUNCTIONS];
uint32_t function_count;
static uint32_t not_restored; /* BARs that did not take their old value back */

static void scan_bus(uint32_t bus);

static void add_function(uint32_t bdf, uint32_t type)
{
    if (function_count == MOST_FUNCTIONS)
        return;
    struct function *one = &functions[function_count++];
    *one = (struct function){bdf, pci_read(bdf, PCI_IDS), (type & TYPE_MASK) == BRIDGE, {{0}}};
    uint32_t below = one->is_bridge ? pci_read(bdf, PCI_BUSES) >> 8 & 0xff : 0;
    if (below > bdf >> 8)
        scan_bus(below);
}

static void scan_bus(uint32_t bus)
{
    for (uint32_t device = 0; device < 32; device++) {
        uint32_t count = 1;
        for (uint32_t index = 0; index < count; index++) {
            uint32_t bdf = bus << 8 | device << 3 | index;
            if (pci_read(bdf, PCI_IDS) == ~0u)
                continue;
            uint32_t type = pci_read(bdf, PCI_HEADER_TYPE) >> 16 & 0xff;
            if (type & MULTIFUNCTION)
                count = 8;
            add_function(bdf, type);
        }
    }
}

void pci_scan(void)
{
    function_count = 0;
    scan_bus(0);
}

static uint32_t bar_mask(uint32_t bdf, uint32_t offset)
{
    uint32_t before = pci_read(bdf, offset);
    pci_write(bdf, offset, ~0u);
    uint32_t mask = pci_read(bdf, offset);
    pci_write(bdf, offset, before);
    not_restored += pci_read(bdf, offset) != before;
    return mask;
}

/* Size BAR `index`; return how many registers it takes. */
static uint32_t size_bar(struct function *function, uint32_t index)
{
    uint32_t bdf = function->bdf, offset = PCI_BAR0 + 4 * index;
    uint32_t low = pci_read(bdf, offset), mask = bar_mask(bdf, offset);
    uint32_t attributes = low & BAR_IS_IO ? 3 : 15;
    struct bar *bar = &function->bars[index];
    *bar = (struct bar){low & ~attributes, mask & ~attributes, low & attributes};
    if (low & BAR_IS_IO || !(low & BAR_IS_64)) {
        uint64_t above = low & BAR_IS_IO ? ~0xfffful : ~0xfffffffful;
        bar->size = bar->size ? -(above | bar->size) : 0;
        return 1;
    }
    bar->address |= (uint64_t)pci_read(bdf, offset + 4) << 32;
    bar->size = -((uint64_t)bar_mask(bdf, offset + 4) << 32 | bar->size);
    return 2;
}

bool pci_size_bars(struct function *function)
{
    uint32_t command = pci_read(function->bdf, PCI_COMMAND) & 0xffff;
    bool good = true;
    not_restored = 0;
    pci_command(function->bdf, COMMAND_IO | COMMAND_MEMORY, false);
    for (uint32_t i = 0; i < (function->is_bridge ? 2 : BARS);) {
        uint32_t next = i + size_bar(function, i);
        const struct bar *bar = &function->bars[i];
        good = good && !(bar->size & (bar->size - 1)) && !(bar->address & (bar->size - 1));
        i = next;
    }
    pci_command(function->bdf, command, true);
    return good && !not_restored;
}

struct function *pci_find(uint32_t ids)
{
    for (uint32_t i = 0; i < function_count; i++)
        if (functions[i].ids == ids)
            return &functions[i];
    return NULL;
}

static bool overlap(uint64_t first, uint64_t size, uint64_t other, uint64_t other_size)
{
    return first < other + other_size && other < first + size;
}

static bool is_free(uint64_t place, uint64_t size)
{
    const struct mcfg *mcfg = acpi_find("MCFG");
    if (place < HOLE_FIRST || place + size > HOLE_LIMIT)
        return false;
    if (mcfg && overlap(place, size, mcfg->entries[0].base, 256ul << 20))
        return false;
    for (uint32_t i = 0; i < function_count * BARS; i++) {
        const struct bar *bar = &functions[i / BARS].bars[i % BARS];
        if (!(bar->flags & BAR_IS_IO) && overlap(place, size, bar->address, bar->size))
            return false;
    }
    return true;
}

uint64_t pci_free_place(const struct bar *bar)
{
    for (uint64_t step = bar->size; step < HOLE_LIMIT - HOLE_FIRST; step += bar->size) {
        if (is_free(bar->address + step, bar->size))
            return bar->address + step;
        if (is_free(bar->address - step, bar->size))
            return bar->address - step;
    }
    return 0;
}

bool pci_enable_msi(uint32_t bdf, uint8_t vector)
{
    uint32_t at = pci_capability(bdf, CAP_MSI, 0);
    if (!at)
        return false;
    uint32_t head = pci_read(bdf, at);
    pci_write(bdf, at + 4, 0xfee00000 | apic_id() << 12);
    if (head & MSI_IS_64)
        pci_write(bdf, at + 8, 0);
    pci_write(bdf, at + (head & MSI_IS_64 ? 12 : 8), vector);
    pci_write(bdf, at, head | MSI_ENABLE);
    return pci_read(bdf, at) & MSI_ENABLE;
}

void pci_disable_msi(uint32_t bdf)
{
    uint32_t at = pci_capability(bdf, CAP_MSI, 0);
    if (at)
        pci_write(bdf, at, pci_read(bdf, at) & ~(uint32_t)MSI_ENABLE);
}
