/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC (in its page, not as MSRs) and the I/O APIC. */
#pragma once

#include "machine.h"

enum { APIC_INIT = 0x500, APIC_STARTUP = 0x600, APIC_ASSERT = 0x4000 };

/* Turn the local APIC of this processor on. */
void apic_begin(void);

uint32_t apic_id(void);
void apic_end_of_interrupt(void);

/* Send `command` (delivery mode and vector) to an APIC ID; false if it is not accepted. */
bool apic_send(uint32_t destination, uint32_t command);

/* The I/O APIC of the MADT: its address, its first GSI, and its number of pins. */
struct ioapic {
    uintptr_t address;
    uint32_t first_gsi, pins;
};

bool ioapic_find(struct ioapic *found);

/* Route a pin to this processor as level-triggered, or mask it with vector 0. */
void ioapic_route_level(const struct ioapic *ioapic, uint32_t pin, uint8_t vector);

/* Low half of a pin's entry. */
uint32_t ioapic_entry(const struct ioapic *ioapic, uint32_t pin);

enum { IOAPIC_MASKED = 1 << 16, IOAPIC_LEVEL = 1 << 15, IOAPIC_REMOTE_IRR = 1 << 14 };
