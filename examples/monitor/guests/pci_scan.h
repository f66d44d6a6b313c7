/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Every function behind the host bridge, and its BARs. */
#pragma once

#include "pci_config.h"

enum { MOST_FUNCTIONS = 32, BARS = 6 };

struct bar {
    uint64_t address, size; /* size 0: there is none */
    uint32_t flags;         /* the low four bits */
};

struct function {
    uint32_t bdf, ids;
    bool is_bridge;
    struct bar bars[BARS];
};

extern struct function functions[MOST_FUNCTIONS];
extern uint32_t function_count;

/* Find all functions, on bus 0 and behind bridges that have bus numbers. */
void pci_scan(void);

/* Find out the BARs of a function; its decoding is off meanwhile. False: some BAR is odd. */
bool pci_size_bars(struct function *function);

/* The function with these IDs (vendor in the low half), NULL without. */
struct function *pci_find(uint32_t ids);

/* A place of a memory BAR's size that no BAR and no ECAM window has, 0 without. */
uint64_t pci_free_place(const struct bar *bar);

/* Have a function send MSI to this processor; false without the capability. */
bool pci_enable_msi(uint32_t bdf, uint8_t vector);
void pci_disable_msi(uint32_t bdf);
