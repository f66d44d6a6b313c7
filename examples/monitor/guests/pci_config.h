/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration space, by the ports at CF8h and by ECAM. `bdf` is bus, device and function. */
#pragma once

#include "machine.h"

enum {
    PCI_IDS = 0x00, PCI_COMMAND = 0x04, PCI_CLASS = 0x08, PCI_HEADER_TYPE = 0x0c, PCI_BAR0 = 0x10,
    PCI_BUSES = 0x18, PCI_CAPABILITIES = 0x34, PCI_INTERRUPT = 0x3c,
};
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_INTX = 1 << 10 };
enum { STATUS_INTX = 1 << 19, STATUS_CAPABILITIES = 1 << 20, CAP_MSI = 5, CAP_VENDOR = 9 };
enum { CAP_MSIX = 0x11, BAR_IS_IO = 1, BAR_IS_64 = 4 };

uint32_t pci_read_by_ports(uint32_t bdf, uint32_t offset);
uint32_t pci_read_by_ecam(uint32_t bdf, uint32_t offset);
void pci_write(uint32_t bdf, uint32_t offset, uint32_t value);
static inline uint32_t pci_read(uint32_t bdf, uint32_t offset)
{
    return pci_read_by_ports(bdf, offset);
}

/* Find the ECAM window of segment 0 in the MCFG; false without. */
bool pci_find_ecam(void);

/* Set `bits` of the Command register to `on`, leave Status alone. */
void pci_command(uint32_t bdf, uint32_t bits, bool on);

/* Offset of a capability behind `after` (0: the first one), 0 without. */
uint32_t pci_capability(uint32_t bdf, uint8_t id, uint32_t after);
