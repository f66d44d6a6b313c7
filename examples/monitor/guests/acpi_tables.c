/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "acpi_tables.h"

#include "boot.h"

enum { BIOS_FIRST = 0xe0000, BIOS_LIMIT = 0x100000, RSDP_STEP = 16, MADT_HEAD = 44 };

uint8_t acpi_sum(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint8_t sum = 0;
    while (size--)
        sum = (uint8_t)(sum + *at++);
    return sum;
}

bool acpi_is(const char *text, const char *letters)
{
    while (*letters)
        if (*text++ != *letters++)
            return false;
    return true;
}

const struct rsdp *acpi_rsdp(void)
{
    uintptr_t at = (uintptr_t)boot_information()->rsdp;
    if (at)
        return (const struct rsdp *)at;
    for (at = BIOS_FIRST; at < BIOS_LIMIT; at += RSDP_STEP)
        if (acpi_is((const char *)at, "RSD PTR ") && !acpi_sum((const void *)at, RSDP_FIRST_BYTES))
            return (const struct rsdp *)at;
    return NULL;
}

static bool has_xsdt(const struct rsdp *rsdp)
{
    return rsdp->revision >= 2 && rsdp->xsdt;
}

const struct acpi_header *acpi_root(void)
{
    const struct rsdp *rsdp = acpi_rsdp();
    if (!rsdp)
        return NULL;
    return (const struct acpi_header *)(uintptr_t)(has_xsdt(rsdp) ? rsdp->xsdt : rsdp->rsdt);
}

static uint32_t pointer_bytes(void)
{
    return has_xsdt(acpi_rsdp()) ? 8 : 4;
}

uint32_t acpi_count(void)
{
    const struct acpi_header *root = acpi_root();
    return root ? (root->length - (uint32_t)sizeof *root) / pointer_bytes() : 0;
}

const struct acpi_header *acpi_table(uint32_t index)
{
    const uint8_t *at = (const uint8_t *)(acpi_root() + 1) + index * pointer_bytes();
    uint64_t address = load32(at);
    if (pointer_bytes() == 8)
        address |= (uint64_t)load32(at + 4) << 32;
    return (const struct acpi_header *)(uintptr_t)address;
}

const void *acpi_find(const char *signature)
{
    for (uint32_t i = 0; i < acpi_count(); i++)
        if (acpi_is(acpi_table(i)->signature, signature))
            return acpi_table(i);
    return NULL;
}

const uint8_t *madt_next(uint8_t kind, const uint8_t *after)
{
    const uint8_t *madt = acpi_find("APIC");
    if (!madt)
        return NULL;
    const uint8_t *limit = madt + ((const struct acpi_header *)madt)->length;
    const uint8_t *at = after ? after + after[1] : madt + MADT_HEAD;
    while (at + 2 <= limit && at[1] >= 2 && at[0] != kind)
        at += at[1];
    return at + 2 <= limit && at[1] >= 2 ? at : NULL;
}
