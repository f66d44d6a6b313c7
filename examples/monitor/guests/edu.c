/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The teaching device of QEMU. Where its INTx leads is said by _PRT, for which it takes an
   interpreter of AML. So the guest does what drivers did before ACPI: it lets the device interrupt,
   with every pin of the I/O APIC that PCI may use routed to a vector of its own, and sees which one
   comes. */
#include "apic.h"
#include "pci_lister.h"
#include "report.h"
#include "traps.h"

enum {
    IDENTIFICATION = 0x00, LIVENESS = 0x04, FACTORIAL = 0x08, STATUS = 0x20, CAUSES = 0x24,
    RAISE = 0x60, ACKNOWLEDGE = 0x64, DMA_SOURCE = 0x80, DMA_DESTINATION = 0x88, DMA_COUNT = 0x90,
    DMA_COMMAND = 0x98, BUFFER = 0x40000,
};
enum { COMPUTING = 1, RAISE_WHEN_DONE = 0x80, DMA_START = 1, DMA_TO_RAM = 2, DMA_RAISE = 4 };
enum { CAUSE_FACTORIAL = 1, CAUSE_OWN = 2, CAUSE_DMA = 0x100, EDU_ID = 0x010000ed };
enum { MSI_VECTOR = 0x48, PIN_VECTOR = 0x50, FIRST_PIN = 16, PINS = 8, PATIENCE = 5000000 };
enum { DMA_BYTES = 256, A_WHILE = 200, TIMES = 3, MOST_STRAYS = 100 };

static uintptr_t registers;
static struct ioapic ioapic;
static volatile uint32_t interrupts, causes, last_vector, strays;
static volatile uint32_t leave; /* interrupts that shall not be acknowledged at the device */
static uint8_t sent[DMA_BYTES], received[DMA_BYTES];

static uint32_t edu_read(uint32_t offset)
{
    return read32(registers + offset);
}

static void edu_write(uint32_t offset, uint32_t value)
{
    write32(registers + offset, value);
}

/* The read makes sure that the write has arrived before what comes next, an end of interrupt. */
static void acknowledge(uint32_t now)
{
    edu_write(ACKNOWLEDGE, now);
    edu_read(CAUSES);
}

static bool await_clear(uint32_t offset, uint32_t bit)
{
    for (uint32_t i = 0; i < PATIENCE && edu_read(offset) & bit; i++)
        wait_cycle();
    return !(edu_read(offset) & bit);
}

static void forget_interrupts(void)
{
    interrupts = causes = last_vector = leave = 0;
}

/* An interrupt without a cause: a late one, or another device's, whose line may stay up. */
static void take_stray(uint32_t vector)
{
    if (++strays >= MOST_STRAYS)
        ioapic_route_level(&ioapic, vector - PIN_VECTOR + FIRST_PIN, 0);
}

static void take_cause(uint32_t vector, uint32_t now)
{
    last_vector = vector;
    if (++interrupts > leave) {
        causes |= now;
        acknowledge(now);
    }
}

static void take_interrupt(struct trap_frame *frame)
{
    uint32_t now = edu_read(CAUSES);
    if (now)
        take_cause((uint32_t)frame->vector, now);
    else
        take_stray((uint32_t)frame->vector);
    apic_end_of_interrupt();
}

static void take_message(struct trap_frame *frame)
{
    uint32_t now = edu_read(CAUSES);
    last_vector = (uint32_t)frame->vector;
    causes |= now;
    interrupts++;
    acknowledge(now);
    apic_end_of_interrupt();
}

static void check_registers(void)
{
    check(edu_read(IDENTIFICATION) == EDU_ID, "edu-identification", "%08x",
          edu_read(IDENTIFICATION));
    edu_write(LIVENESS, 0x12345678);
    check(edu_read(LIVENESS) == ~0x12345678u, "edu-liveness", "%08x", edu_read(LIVENESS));
    edu_write(STATUS, 0);
    edu_write(FACTORIAL, 10);
    bool done = await_clear(STATUS, COMPUTING);
    check(done && edu_read(FACTORIAL) == 3628800, "edu-factorial", "10! is %u",
          edu_read(FACTORIAL));
}

static void check_move(struct function *function)
{
    struct bar *bar = &function->bars[0];
    if (function->bdf >> 8) {
        print("edu: behind a bridge, whose window may have no other place\n");
        return;
    }
    uint64_t old = bar->address, place = pci_free_place(bar);
    if (!check(place != 0, "edu-free-place", "%lx", place))
        return;
    pci_command(function->bdf, COMMAND_MEMORY, false);
    check(read32(old) != EDU_ID, "edu-not-decoding", "%lx reads %08x", old, read32(old));
    pci_write(function->bdf, PCI_BAR0, (uint32_t)place);
    pci_command(function->bdf, COMMAND_MEMORY, true);
    bar->address = registers = place;
    check(read32(place) == EDU_ID && read32(old) != EDU_ID, "edu-moved",
          "from %lx, which reads %08x, to %lx", old, read32(old), place);
    edu_write(LIVENESS, 0);
    check(edu_read(LIVENESS) == ~0u, "edu-alive", "at the new place");
}

static void start_dma(uint64_t source, uint64_t destination, uint32_t command)
{
    edu_write(DMA_SOURCE, (uint32_t)source);
    edu_write(DMA_DESTINATION, (uint32_t)destination);
    edu_write(DMA_COUNT, DMA_BYTES);
    edu_write(DMA_COMMAND, command | DMA_START);
}

static void check_dma(void)
{
    uint32_t differ = 0;
    for (uint32_t i = 0; i < DMA_BYTES; i++)
        sent[i] = (uint8_t)(7 * i + 3);
    start_dma((uint64_t)sent, BUFFER, 0);
    check(await_clear(DMA_COMMAND, DMA_START), "edu-dma", "from RAM");
    start_dma(BUFFER, (uint64_t)received, DMA_TO_RAM);
    check(await_clear(DMA_COMMAND, DMA_START), "edu-dma", "to RAM");
    for (uint32_t i = 0; i < DMA_BYTES; i++)
        differ += ((volatile uint8_t *)received)[i] != sent[i];
    check(!differ, "edu-dma-bytes", "%u of %u differ", differ, DMA_BYTES);
}

static void check_messages(uint32_t bdf)
{
    if (!check(pci_enable_msi(bdf, MSI_VECTOR), "edu-msi", "vector %x", MSI_VECTOR))
        return;
    trap_handle(MSI_VECTOR, take_message);
    forget_interrupts();
    edu_write(RAISE, CAUSE_OWN);
    bool came = await_count(&interrupts, 1);
    check(came && causes == CAUSE_OWN, "edu-msi-raise", "causes %x", causes);
    edu_write(STATUS, RAISE_WHEN_DONE);
    edu_write(FACTORIAL, 5);
    came = await_count(&interrupts, 2);
    check(came && causes == (CAUSE_OWN | CAUSE_FACTORIAL), "edu-msi-factorial",
          "causes %x, 5! is %u", causes, edu_read(FACTORIAL));
    edu_write(STATUS, 0);
    start_dma((uint64_t)sent, BUFFER, DMA_RAISE);
    came = await_clear(DMA_COMMAND, DMA_START) && await_count(&interrupts, 3);
    check(came && causes & CAUSE_DMA, "edu-msi-dma", "causes %x", causes);
    pci_disable_msi(bdf);
}

static uint32_t find_pin(void)
{
    for (uint32_t pin = FIRST_PIN; pin < FIRST_PIN + PINS; pin++) {
        trap_handle((uint8_t)(PIN_VECTOR + pin - FIRST_PIN), take_interrupt);
        ioapic_route_level(&ioapic, pin, (uint8_t)(PIN_VECTOR + pin - FIRST_PIN));
    }
    forget_interrupts();
    edu_write(RAISE, CAUSE_OWN);
    bool came = await_count(&interrupts, 1);
    uint32_t pin = last_vector - PIN_VECTOR + FIRST_PIN;
    if (!check(came, "edu-intx", "%u interrupt, strays %u", interrupts, strays))
        return 0;
    uint32_t entry = ioapic_entry(&ioapic, pin);
    check(!(entry & IOAPIC_REMOTE_IRR), "edu-intx-eoi", "reached pin %u: %08x", pin, entry);
    return pin;
}

/* The pin stays up until the device is acknowledged: each EOI before that brings it again. */
static void check_level(void)
{
    forget_interrupts();
    leave = TIMES - 1;
    edu_write(RAISE, CAUSE_OWN);
    bool came = await_count(&interrupts, TIMES);
    check(came, "edu-intx-level", "%u interrupts of %u", interrupts, TIMES);
    for (uint32_t i = 0; i < A_WHILE; i++)
        wait_cycle();
    check(interrupts == TIMES, "edu-intx-end", "no more of them, strays %u", strays);
}

static void check_disable(uint32_t bdf)
{
    forget_interrupts();
    pci_command(bdf, COMMAND_NO_INTX, true);
    edu_write(RAISE, CAUSE_OWN);
    for (uint32_t i = 0; i < A_WHILE; i++)
        wait_cycle();
    check(!interrupts && pci_read(bdf, PCI_COMMAND) & STATUS_INTX, "edu-intx-disable",
          "waits, status %04x", pci_read(bdf, PCI_COMMAND) >> 16);
    pci_command(bdf, COMMAND_NO_INTX, false);
    check(await_count(&interrupts, 1) && !(pci_read(bdf, PCI_COMMAND) & STATUS_INTX),
          "edu-intx-enable", "came");
}

static void check_pin(uint32_t bdf)
{
    bool found = ioapic_find(&ioapic);
    if (!check(found && ioapic.pins >= FIRST_PIN + PINS, "edu-ioapic", "%u pins", ioapic.pins))
        return;
    uint32_t pin = find_pin(), wire = pci_read(bdf, PCI_INTERRUPT);
    print("edu: INT%c, interrupt line %u, GSI %u\n", (int)('A' - 1 + (wire >> 8 & 7)),
          wire & 0xff, ioapic.first_gsi + pin);
    if (pin) {
        check_level();
        check_disable(bdf);
    }
    for (pin = FIRST_PIN; pin < FIRST_PIN + PINS; pin++)
        ioapic_route_level(&ioapic, pin, 0);
}

void try_edu(struct function *function)
{
    registers = function->bars[0].address;
    pci_command(function->bdf, COMMAND_MEMORY | COMMAND_MASTER, true);
    check_registers();
    check_move(function);
    check_dma();
    enable_interrupts();
    check_messages(function->bdf);
    check_pin(function->bdf);
    disable_interrupts();
}
