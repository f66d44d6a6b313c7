/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "apic.h"

#include "acpi_tables.h"
#include "layout.h"

enum { MSR_APIC_BASE = 0x1b, APIC_ENABLED = 0x800 };
enum {
    ID = 0x20, PRIORITY = 0x80, END_OF_INTERRUPT = 0xb0, SPURIOUS = 0xf0, COMMAND = 0x300,
    COMMAND_HIGH = 0x310, SOFTWARE_ENABLED = 0x100, SEND_PENDING = 0x1000,
};
enum { SELECT = 0, WINDOW = 0x10, VERSION = 1, FIRST_ENTRY = 0x10 };
enum { PATIENCE = 100000 };

/* Looked up once: reading the MSR each time would cost an exit on some machines. */
static uintptr_t apic_page;

void apic_begin(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE);
    if (!(base & APIC_ENABLED))
        write_msr(MSR_APIC_BASE, base | APIC_ENABLED);
    apic_page = base & 0xffffff000;
    write32(apic_page + PRIORITY, 0);
    write32(apic_page + SPURIOUS, SOFTWARE_ENABLED | SPURIOUS_VECTOR);
}

uint32_t apic_id(void)
{
    return read32(apic_page + ID) >> 24;
}

void apic_end_of_interrupt(void)
{
    write32(apic_page + END_OF_INTERRUPT, 0);
}

bool apic_send(uint32_t destination, uint32_t command)
{
    write32(apic_page + COMMAND_HIGH, destination << 24);
    write32(apic_page + COMMAND, command);
    for (uint32_t i = 0; i < PATIENCE; i++)
        if (!(read32(apic_page + COMMAND) & SEND_PENDING))
            return true;
    return false;
}

static uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t index)
{
    write32(ioapic->address + SELECT, index);
    return read32(ioapic->address + WINDOW);
}

static void ioapic_write(const struct ioapic *ioapic, uint32_t index, uint32_t value)
{
    write32(ioapic->address + SELECT, index);
    write32(ioapic->address + WINDOW, value);
}

bool ioapic_find(struct ioapic *found)
{
    const uint8_t *entry = madt_next(MADT_IOAPIC, NULL);
    if (!entry)
        return false;
    found->address = load32(entry + 4);
    found->first_gsi = load32(entry + 8);
    found->pins = (ioapic_read(found, VERSION) >> 16 & 0xff) + 1;
    return true;
}

void ioapic_route_level(const struct ioapic *ioapic, uint32_t pin, uint8_t vector)
{
    uint32_t entry = vector ? IOAPIC_LEVEL | vector : IOAPIC_MASKED;
    ioapic_write(ioapic, FIRST_ENTRY + 2 * pin, IOAPIC_MASKED);
    ioapic_write(ioapic, FIRST_ENTRY + 2 * pin + 1, apic_id() << 24);
    ioapic_write(ioapic, FIRST_ENTRY + 2 * pin, entry);
}

uint32_t ioapic_entry(const struct ioapic *ioapic, uint32_t pin)
{
    return ioapic_read(ioapic, FIRST_ENTRY + 2 * pin);
}
