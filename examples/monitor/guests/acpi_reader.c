/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks the ACPI tables from the RSDP on, and checks them.

   With "off" in the command line it turns the machine off as the last step, with "reset" it
   restarts it: by the registers that the FADT and the DSDT tell. */
#include "acpi_tables.h"
#include "apic.h"
#include "boot.h"
#include "pci_config.h"
#include "report.h"

enum { PM1_SCI_ENABLED = 1, SLEEP_TYPE_SHIFT = 10, SLEEP_ENABLE = 1 << 13 };
enum { NAME_OP = 0x08, PACKAGE_OP = 0x12, BYTE_PREFIX = 0x0a, WORD_PREFIX = 0x0b };
enum { SPACE_IO = 1, PATIENCE = 1000000, MIB = 1 << 20 };

static void check_rsdp(const struct rsdp *rsdp)
{
    check(acpi_is(rsdp->signature, "RSD PTR "), "rsdp-signature", "at %lx", (uintptr_t)rsdp);
    check(!acpi_sum(rsdp, RSDP_FIRST_BYTES), "rsdp-checksum", "revision %u", rsdp->revision);
    if (rsdp->revision >= 2)
        check(!acpi_sum(rsdp, rsdp->length), "rsdp-extended-checksum", "%u bytes", rsdp->length);
}

static bool check_table(const struct acpi_header *table)
{
    char name[5] = {table->signature[0], table->signature[1], table->signature[2],
                    table->signature[3], 0};
    bool good = table->length >= sizeof *table && table->length < MIB &&
                !acpi_sum(table, table->length);
    return check(good, "table", "%s at %lx, %u bytes, revision %u", name, (uintptr_t)table,
                 table->length, table->revision);
}

static bool check_tables(void)
{
    bool good = check_table(acpi_root());
    for (uint32_t i = 0; i < acpi_count(); i++)
        good = check_table(acpi_table(i)) && good;
    return good;
}

static bool same_by_both_ways(const struct mcfg_entry *entry)
{
    uint32_t differ = 0;
    for (uint32_t device = 0; device < 32; device++)
        for (uint32_t offset = 0; offset < 16; offset += 4) {
            uint32_t at = device << 15;
            differ += read32(entry->base + (at | offset)) != pci_read_by_ports(at >> 12, offset);
        }
    return !differ;
}

static void check_mcfg(void)
{
    const struct mcfg *mcfg = acpi_find("MCFG");
    if (!check(mcfg != NULL, "mcfg", "is %s", mcfg ? "there" : "missing"))
        return;
    size_t count = (mcfg->header.length - sizeof *mcfg) / sizeof *mcfg->entries;
    for (size_t i = 0; i < count; i++) {
        const struct mcfg_entry *entry = &mcfg->entries[i];
        bool sane = entry->base % MIB == 0 && entry->first_bus <= entry->last_bus;
        check(sane, "mcfg-entry", "base %lx segment %u buses %u-%u", entry->base, entry->segment,
              entry->first_bus, entry->last_bus);
        if (sane && entry->segment == 0 && entry->first_bus == 0)
            check(same_by_both_ways(entry), "mcfg-ecam", "reads what CF8h reads");
    }
}

static void check_madt(void)
{
    const struct madt *madt = acpi_find("APIC");
    if (!check(madt != NULL, "madt", "is %s", madt ? "there" : "missing"))
        return;
    uint32_t processors = 0;
    bool found_self = false;
    for (const uint8_t *at = NULL; (at = madt_next(MADT_LAPIC, at));) {
        processors += load32(at + 4) & MADT_ENABLED;
        found_self = found_self || at[3] == apic_id();
    }
    check(processors && found_self, "madt-processors", "%u, among them APIC ID %u", processors,
          apic_id());
    struct ioapic ioapic = {0};
    bool found = ioapic_find(&ioapic);
    check(found && ioapic.pins >= 24 && ioapic.pins <= 240, "madt-ioapic",
          "at %lx, GSIs %u-%u", ioapic.address, ioapic.first_gsi,
          ioapic.first_gsi + ioapic.pins - 1);
    for (const uint8_t *at = NULL; (at = madt_next(MADT_OVERRIDE, at));)
        check(load32(at + 4) < ioapic.first_gsi + ioapic.pins, "madt-override",
              "IRQ %u is GSI %u, flags %x", at[3], load32(at + 4), at[8] | at[9] << 8);
}

static const struct acpi_header *dsdt_of(const struct fadt *fadt)
{
    bool wide = fadt->header.length >= sizeof *fadt && fadt->x_dsdt;
    return (const struct acpi_header *)(uintptr_t)(wide ? fadt->x_dsdt : fadt->dsdt);
}

static const struct acpi_header *facs_of(const struct fadt *fadt)
{
    bool wide = fadt->header.length >= sizeof *fadt && fadt->x_facs;
    return (const struct acpi_header *)(uintptr_t)(wide ? fadt->x_facs : fadt->facs);
}

/* Take a package's length: its first byte says how many follow. */
static const uint8_t *behind_length(const uint8_t *at)
{
    return at + 1 + (*at >> 6);
}

/* Return the first element of the package that is named _S5_, -1 without. */
static int sleep_type(const struct acpi_header *dsdt)
{
    const uint8_t *at = (const uint8_t *)(dsdt + 1);
    const uint8_t *limit = (const uint8_t *)dsdt + dsdt->length - 8;
    for (; at < limit; at++) {
        if (!acpi_is((const char *)at, "_S5_") || at[4] != PACKAGE_OP)
            continue;
        if (at[-1] != NAME_OP && !(at[-1] == '\\' && at[-2] == NAME_OP))
            continue;
        const uint8_t *element = behind_length(at + 5) + 1;
        if (*element == BYTE_PREFIX || *element == WORD_PREFIX)
            return element[1];
        return *element <= 1 ? *element : -1; /* ZeroOp, OneOp */
    }
    return -1;
}

static const struct fadt *check_fadt(void)
{
    const struct fadt *fadt = acpi_find("FACP");
    if (!check(fadt != NULL, "fadt", "is %s", fadt ? "there" : "missing"))
        return NULL;
    const struct acpi_header *dsdt = dsdt_of(fadt), *facs = facs_of(fadt);
    check(acpi_is(dsdt->signature, "DSDT") && check_table(dsdt), "fadt-dsdt", "at %lx",
          (uintptr_t)dsdt);
    check(facs && acpi_is(facs->signature, "FACS") && facs->length >= 64, "fadt-facs", "at %lx",
          (uintptr_t)facs);
    check(fadt->pm1a_control && fadt->pm1_control_bytes == 2, "fadt-pm1",
          "events %x control %x, SCI %u", fadt->pm1a_event, fadt->pm1a_control, fadt->sci);
    check(sleep_type(dsdt) >= 0, "dsdt-s5", "sleep type %d", sleep_type(dsdt));
    return fadt;
}

/* Let the firmware's interface hand over, where there is one. */
static bool acpi_mode(const struct fadt *fadt)
{
    uint16_t control = (uint16_t)fadt->pm1a_control;
    if (!(in16(control) & PM1_SCI_ENABLED) && fadt->smi_command)
        out8((uint16_t)fadt->smi_command, fadt->acpi_enable);
    for (uint32_t i = 0; i < PATIENCE && !(in16(control) & PM1_SCI_ENABLED); i++)
        wait_cycle();
    return in16(control) & PM1_SCI_ENABLED;
}

static void turn_off(const struct fadt *fadt)
{
    bool good = acpi_mode(fadt);
    check(good, "acpi-mode", "control reads %x", in16((uint16_t)fadt->pm1a_control));
    uint32_t value = (uint32_t)sleep_type(dsdt_of(fadt)) << SLEEP_TYPE_SHIFT | SLEEP_ENABLE;
    print("off by %x to port %x\n%s\n", value, fadt->pm1a_control, verdict());
    out16((uint16_t)fadt->pm1a_control, (uint16_t)value);
}

static void reset(const struct fadt *fadt)
{
    bool has_register = fadt->flags & FADT_RESET_SUPPORTED && fadt->reset.space == SPACE_IO;
    if (!check(has_register, "reset-register", "%s", has_register ? "is a port" : "is missing"))
        return;
    print("reset by %x to port %lx\n%s\n", fadt->reset_value, fadt->reset.address, verdict());
    out8((uint16_t)fadt->reset.address, fadt->reset_value);
}

/* Nothing should come after a request that ends the machine. */
static void end_as_asked(const struct fadt *fadt)
{
    bool asked = command_word("off") || command_word("reset");
    if (command_word("off"))
        turn_off(fadt);
    if (command_word("reset"))
        reset(fadt);
    for (uint32_t i = 0; asked && i < PATIENCE; i++)
        wait_cycle();
    if (asked)
        check(false, "end", "the machine is still on");
}

void guest_main(void)
{
    const struct rsdp *rsdp = acpi_rsdp();
    if (!check(rsdp != NULL, "rsdp", "the loader said %lx", boot_information()->rsdp))
        return;
    check_rsdp(rsdp);
    apic_begin();
    if (!check_tables())
        return;
    check_mcfg();
    check_madt();
    const struct fadt *fadt = check_fadt();
    if (fadt)
        end_as_asked(fadt);
}
