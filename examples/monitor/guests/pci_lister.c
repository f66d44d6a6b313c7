/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists the functions behind the host bridge and their BARs, by both ways into configuration space,
   and uses the devices that it knows: QEMU's teaching device, and virtio's entropy device. */
#include "pci_lister.h"

#include "apic.h"
#include "report.h"

enum { EDU_IDS = 0x11e81234, RNG_IDS = 0x10441af4, RNG_TRANSITIONAL_IDS = 0x10051af4 };
enum { PATIENCE = 1000000, CONFIG_BYTES = 256 };

bool await_count(const volatile uint32_t *counter, uint32_t count)
{
    for (uint32_t i = 0; i < PATIENCE && *counter < count; i++)
        wait_cycle();
    return *counter == count;
}

static void print_bars(const struct function *function)
{
    for (uint32_t i = 0; i < BARS; i++) {
        const struct bar *bar = &function->bars[i];
        if (!bar->size)
            continue;
        bool is_io = bar->flags & BAR_IS_IO, is_64 = !is_io && bar->flags & BAR_IS_64;
        print("  BAR %u: %s%s, %lx bytes at %lx\n", i, is_io ? "ports" : "memory",
              is_64 ? " (64 bits)" : "", bar->size, bar->address);
    }
}

static void check_function(struct function *function)
{
    uint32_t bdf = function->bdf, differ = 0;
    for (uint32_t offset = 0; offset < CONFIG_BYTES; offset += 4)
        differ += pci_read_by_ports(bdf, offset) != pci_read_by_ecam(bdf, offset);
    check(!differ, "function", "%02x:%02x.%u %04x:%04x class %06x", bdf >> 8, bdf >> 3 & 31,
          bdf & 7, function->ids & 0xffff, function->ids >> 16, pci_read(bdf, PCI_CLASS) >> 8);
    bool good = pci_size_bars(function);
    print_bars(function);
    check(good, "bars", "are powers of two, aligned, and as before");
}

/* What one way does not find, the other should not. */
static bool same_holes(void)
{
    uint32_t differ = 0;
    for (uint32_t bdf = 0; bdf < 256; bdf += 8)
        differ += pci_read_by_ports(bdf, PCI_IDS) != pci_read_by_ecam(bdf, PCI_IDS);
    return !differ;
}

void guest_main(void)
{
    apic_begin();
    bool has_ecam = pci_find_ecam();
    if (!check(has_ecam, "ecam", "%s", has_ecam ? "is in the MCFG" : "is missing"))
        return;
    pci_scan();
    check(function_count > 0 && same_holes(), "scan", "%u functions", function_count);
    for (uint32_t i = 0; i < function_count; i++)
        check_function(&functions[i]);
    struct function *edu = pci_find(EDU_IDS), *rng = pci_find(RNG_IDS);
    if (!rng)
        rng = pci_find(RNG_TRANSITIONAL_IDS);
    if (edu)
        try_edu(edu);
    if (rng)
        try_virtio_rng(rng);
}
