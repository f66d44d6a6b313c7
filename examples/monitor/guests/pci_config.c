/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_config.h"

#include "acpi_tables.h"

enum { ADDRESS_PORT = 0xcf8, DATA_PORT = 0xcfc, ENABLE = 1u << 31, MOST_CAPABILITIES = 48 };

static uintptr_t ecam;

bool pci_find_ecam(void)
{
    const struct mcfg *mcfg = acpi_find("MCFG");
    if (mcfg && mcfg->entries[0].segment == 0 && mcfg->entries[0].first_bus == 0)
        ecam = mcfg->entries[0].base;
    return ecam != 0;
}

uint32_t pci_read_by_ports(uint32_t bdf, uint32_t offset)
{
    out32(ADDRESS_PORT, ENABLE | bdf << 8 | (offset & 0xfc));
    return in32(DATA_PORT);
}

uint32_t pci_read_by_ecam(uint32_t bdf, uint32_t offset)
{
    return read32(ecam + (bdf << 12 | (offset & 0xffc)));
}

void pci_write(uint32_t bdf, uint32_t offset, uint32_t value)
{
    out32(ADDRESS_PORT, ENABLE | bdf << 8 | (offset & 0xfc));
    out32(DATA_PORT, value);
}

void pci_command(uint32_t bdf, uint32_t bits, bool on)
{
    uint32_t command = pci_read(bdf, PCI_COMMAND) & 0xffff; /* zeros clear nothing in Status */
    pci_write(bdf, PCI_COMMAND, on ? command | bits : command & ~bits);
}

uint32_t pci_capability(uint32_t bdf, uint8_t id, uint32_t after)
{
    if (!(pci_read(bdf, PCI_COMMAND) & STATUS_CAPABILITIES))
        return 0;
    uint32_t at = after ? pci_read(bdf, after) >> 8 : pci_read(bdf, PCI_CAPABILITIES);
    for (uint32_t i = 0; i < MOST_CAPABILITIES && (at & 0xfc); i++) {
        uint32_t head = pci_read(bdf, at &= 0xfc);
        if ((head & 0xff) == id)
            return at;
        at = head >> 8;
    }
    return 0;
}
