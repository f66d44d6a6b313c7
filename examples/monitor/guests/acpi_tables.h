/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The way from the RSDP to each ACPI table. */
#pragma once

#include "machine.h"

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt, length;
    uint64_t xsdt;
    uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

enum { RSDP_FIRST_BYTES = 20 };

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
} __attribute__((packed));

struct mcfg_entry {
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved;
} __attribute__((packed));

struct mcfg {
    struct acpi_header header;
    uint64_t reserved;
    struct mcfg_entry entries[];
} __attribute__((packed));

struct madt {
    struct acpi_header header;
    uint32_t lapic, flags;
    uint8_t entries[];
} __attribute__((packed));

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_ENABLED = 1 };

struct generic_address {
    uint8_t space, bits, offset, access;
    uint64_t address;
} __attribute__((packed));

struct fadt {
    struct acpi_header header;
    uint32_t facs, dsdt;
    uint8_t reserved, profile;
    uint16_t sci;
    uint32_t smi_command;
    uint8_t acpi_enable, acpi_disable, s4_request, pstate_control;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
    uint32_t gpe0, gpe1;
    uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes;
    uint8_t gpe0_bytes, gpe1_bytes, gpe1_base, cstate_control;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_flags;
    uint8_t reserved_too;
    uint32_t flags;
    struct generic_address reset;
    uint8_t reset_value;
    uint16_t arm_flags;
    uint8_t minor;
    uint64_t x_facs, x_dsdt;
} __attribute__((packed));

enum { FADT_RESET_SUPPORTED = 1 << 10 };

/* Sum of bytes, 0 for what has a right checksum. */
uint8_t acpi_sum(const void *bytes, size_t size);

/* Whether `text` has these letters at its start. */
bool acpi_is(const char *text, const char *letters);

/* The RSDP: what the loader says, else the one in the BIOS area; NULL without. */
const struct rsdp *acpi_rsdp(void);

/* The root table (XSDT where there is one, else RSDT) and its size. */
const struct acpi_header *acpi_root(void);
uint32_t acpi_count(void);

/* Table number `index` of the root table. */
const struct acpi_header *acpi_table(uint32_t index);

/* The first table with a signature that the root table names, NULL without. */
const void *acpi_find(const char *signature);

/* Entry of a kind in the MADT behind `after` (NULL: the first one), NULL without. */
const uint8_t *madt_next(uint8_t kind, const uint8_t *after);

static inline uint32_t load32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}
