/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What the PCI guest does with devices that it knows. */
#pragma once

#include "pci_scan.h"

/* The teaching device: registers, a BAR that moves, DMA, MSI, INTx. */
void try_edu(struct function *function);

/* Virtio's entropy device: a queue, and MSI-X. */
void try_virtio_rng(struct function *function);

/* Wait until a handler has counted to `count`; false if it has not in time. */
bool await_count(const volatile uint32_t *counter, uint32_t count);
