/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtio's entropy device over PCI: one split queue with a buffer in it, and MSI-X. */
#include "apic.h"
#include "pci_lister.h"
#include "report.h"
#include "traps.h"

enum { COMMON = 1, NOTIFY = 2, VECTOR = 0x4c, QUEUE_SIZE = 4, DESCRIPTOR_WRITE = 2, PATIENCE = 1000000 };
/* Offsets in the common configuration. */
enum {
    DEVICE_SELECT = 0x00, DEVICE_FEATURES = 0x04, GUEST_SELECT = 0x08, GUEST_FEATURES = 0x0c,
    CONFIG_VECTOR = 0x10, DEVICE_STATUS = 0x14, QUEUE_SELECT = 0x16, QUEUE_LENGTH = 0x18,
    QUEUE_VECTOR = 0x1a, QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY = 0x1e, QUEUE_DESCRIPTORS = 0x20,
    QUEUE_AVAILABLE = 0x28, QUEUE_USED = 0x30,
};
enum { STATUS_FOUND = 1, STATUS_DRIVER = 2, STATUS_RUNNING = 4, STATUS_FEATURES = 8 };
enum { VERSION_1 = 1, NO_VECTOR = 0xffff }; /* feature bit 32: bit 0 of the second word */
enum { MSIX_ENABLE = 1u << 31, ENTRY_CONTROL = 12, ENTRY_MASKED = 1 };

struct descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags, next;
};

static volatile struct descriptor descriptors[QUEUE_SIZE] __attribute__((aligned(16)));
static volatile struct {
    uint16_t flags, index, ring[QUEUE_SIZE];
} available __attribute__((aligned(2)));
static volatile struct {
    uint16_t flags, index;
    struct {
        uint32_t id, size;
    } ring[QUEUE_SIZE];
} used __attribute__((aligned(4)));
static volatile uint8_t random_bytes[64];

static uintptr_t common, doorbell, table, pending;
static uint32_t multiplier;
static volatile uint32_t messages;

static void take_message(struct trap_frame *frame)
{
    (void)frame;
    messages++;
    apic_end_of_interrupt();
}

/* Where a capability's structure is: its BAR and offset, in two dwords of the capability. */
static uintptr_t structure(const struct function *function, uint32_t bar, uint32_t offset)
{
    return bar < BARS ? function->bars[bar].address + offset : 0;
}

static bool find_structures(const struct function *function)
{
    uint32_t bdf = function->bdf;
    for (uint32_t at = 0; (at = pci_capability(bdf, CAP_VENDOR, at));) {
        uint32_t kind = pci_read(bdf, at) >> 24, bar = pci_read(bdf, at + 4) & 0xff;
        uintptr_t place = structure(function, bar, pci_read(bdf, at + 8));
        if (kind == COMMON)
            common = place;
        if (kind == NOTIFY) {
            doorbell = place;
            multiplier = pci_read(bdf, at + 16);
        }
    }
    uint32_t at = pci_capability(bdf, CAP_MSIX, 0);
    uint32_t where = pci_read(bdf, at + 4), bits = pci_read(bdf, at + 8);
    table = structure(function, where & 7, where & ~7u);
    pending = structure(function, bits & 7, bits & ~7u);
    return common && doorbell && at;
}

static void enable_vector(uint32_t bdf)
{
    uint32_t at = pci_capability(bdf, CAP_MSIX, 0);
    trap_handle(VECTOR, take_message);
    pci_write(bdf, at, pci_read(bdf, at) | MSIX_ENABLE);
    write32(table + 0, 0xfee00000 | apic_id() << 12);
    write32(table + 4, 0);
    write32(table + 8, VECTOR);
    write32(table + ENTRY_CONTROL, 0);
}

static void write_address(uint32_t offset, const volatile void *at)
{
    write32(common + offset, (uint32_t)(uintptr_t)at);
    write32(common + offset + 4, 0);
}

static bool agree(void)
{
    write8(common + DEVICE_STATUS, 0);
    write8(common + DEVICE_STATUS, STATUS_FOUND);
    write8(common + DEVICE_STATUS, STATUS_FOUND | STATUS_DRIVER);
    write32(common + DEVICE_SELECT, 1);
    uint32_t offered = read32(common + DEVICE_FEATURES);
    write32(common + GUEST_SELECT, 0);
    write32(common + GUEST_FEATURES, 0);
    write32(common + GUEST_SELECT, 1);
    write32(common + GUEST_FEATURES, VERSION_1);
    write8(common + DEVICE_STATUS, STATUS_FOUND | STATUS_DRIVER | STATUS_FEATURES);
    return offered & VERSION_1 && read8(common + DEVICE_STATUS) & STATUS_FEATURES;
}

static bool start_queue(void)
{
    write16(common + CONFIG_VECTOR, NO_VECTOR);
    write16(common + QUEUE_SELECT, 0);
    write16(common + QUEUE_LENGTH, QUEUE_SIZE);
    write16(common + QUEUE_VECTOR, 0);
    write_address(QUEUE_DESCRIPTORS, descriptors);
    write_address(QUEUE_AVAILABLE, &available);
    write_address(QUEUE_USED, &used);
    write16(common + QUEUE_ENABLE, 1);
    doorbell += (uintptr_t)read16(common + QUEUE_NOTIFY) * multiplier;
    uint8_t status = STATUS_FOUND | STATUS_DRIVER | STATUS_FEATURES | STATUS_RUNNING;
    write8(common + DEVICE_STATUS, status);
    return read16(common + QUEUE_VECTOR) == 0 && read8(common + DEVICE_STATUS) == status;
}

/* Offer a buffer. */
static void ask(void)
{
    descriptors[0].address = (uint64_t)random_bytes;
    descriptors[0].size = sizeof random_bytes;
    descriptors[0].flags = DESCRIPTOR_WRITE;
    available.ring[available.index % QUEUE_SIZE] = 0;
    available.index = (uint16_t)(available.index + 1);
    write16(doorbell, 0);
}

static void check_masked(void)
{
    write32(table + ENTRY_CONTROL, ENTRY_MASKED);
    ask();
    for (uint32_t i = 0; i < PATIENCE && !(read32(pending) & 1); i++)
        wait_cycle();
    check(messages == 1 && read32(pending) & 1, "virtio-masked", "pending %x", read32(pending));
    write32(table + ENTRY_CONTROL, 0);
    check(await_count(&messages, 2) && !(read32(pending) & 1), "virtio-unmasked", "came");
}

void try_virtio_rng(struct function *function)
{
    pci_command(function->bdf, COMMAND_MEMORY | COMMAND_MASTER, true);
    bool found = find_structures(function);
    if (!check(found, "virtio-structures", "common %lx, doorbell %lx, MSI-X table %lx", common,
               doorbell, table))
        return;
    bool good = agree();
    check(good, "virtio-features", "status %x", read8(common + DEVICE_STATUS));
    enable_vector(function->bdf);
    good = start_queue();
    check(good, "virtio-queue", "of %u", read16(common + QUEUE_LENGTH));
    enable_interrupts();
    ask();
    good = await_count(&messages, 1);
    check(good, "virtio-msix", "%u message", messages);
    check(used.index == 1 && used.ring[0].size, "virtio-bytes", "%u random bytes",
          used.ring[0].size);
    check_masked();
    disable_interrupts();
}
