/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the first sector of a virtio block device, prints its first line, and writes it in capitals
   to the second sector. Polled, with one request at a time. */
#include "pci_scan.h"
#include "report.h"

enum { BLK_IDS = 0x10421af4, COMMON = 1, NOTIFY = 2, DEVICE = 4, QUEUE_SIZE = 4, PATIENCE = 1000000 };
/* Offsets in the common configuration. */
enum {
    GUEST_SELECT = 0x08, GUEST_FEATURES = 0x0c, DEVICE_STATUS = 0x14, QUEUE_SELECT = 0x16,
    QUEUE_LENGTH = 0x18, QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY = 0x1e, QUEUE_DESCRIPTORS = 0x20,
    QUEUE_AVAILABLE = 0x28, QUEUE_USED = 0x30,
};
enum { FOUND = 1, DRIVER = 2, RUNNING = 4, FEATURES = 8, VERSION_1 = 1 };
enum { NEXT = 1, WRITE = 2, READ_SECTOR = 0, WRITE_SECTOR = 1, UNTOUCHED = 0xff, SECTOR = 512 };

static volatile struct {
    uint64_t address;
    uint32_t size;
    uint16_t flags, next;
} descriptors[QUEUE_SIZE] __attribute__((aligned(16)));
static volatile struct {
    uint16_t flags, index, ring[QUEUE_SIZE];
} available __attribute__((aligned(2)));
static volatile struct {
    uint16_t flags, index;
    uint32_t ring[2 * QUEUE_SIZE];
} used __attribute__((aligned(4)));
static volatile struct {
    uint32_t type, reserved;
    uint64_t sector;
} header;
static volatile uint8_t sector[SECTOR], status;
static uintptr_t structures[DEVICE + 1], doorbell;

static bool find_structures(const struct function *function)
{
    uint32_t multiplier = 0;
    for (uint32_t at = 0; (at = pci_capability(function->bdf, CAP_VENDOR, at));) {
        uint32_t kind = pci_read(function->bdf, at) >> 24, bar = pci_read(function->bdf, at + 4) & 7;
        if (kind > DEVICE || structures[kind] || bar >= BARS)
            continue;
        structures[kind] = function->bars[bar].address + pci_read(function->bdf, at + 8);
        if (kind == NOTIFY)
            multiplier = pci_read(function->bdf, at + 16);
    }
    write16(structures[COMMON] + QUEUE_SELECT, 0);
    doorbell = structures[NOTIFY] +
               (uintptr_t)read16(structures[COMMON] + QUEUE_NOTIFY) * multiplier;
    return structures[COMMON] && structures[NOTIFY] && structures[DEVICE];
}

static void write_address(uint32_t offset, const volatile void *at)
{
    write32(structures[COMMON] + offset, (uint32_t)(uintptr_t)at);
    write32(structures[COMMON] + offset + 4, 0);
}

static bool start(void)
{
    uintptr_t common = structures[COMMON];
    write8(common + DEVICE_STATUS, 0);
    write8(common + DEVICE_STATUS, FOUND | DRIVER);
    write32(common + GUEST_SELECT, 1);
    write32(common + GUEST_FEATURES, VERSION_1);
    write8(common + DEVICE_STATUS, FOUND | DRIVER | FEATURES);
    write16(common + QUEUE_LENGTH, QUEUE_SIZE);
    write_address(QUEUE_DESCRIPTORS, descriptors);
    write_address(QUEUE_AVAILABLE, &available);
    write_address(QUEUE_USED, &used);
    write16(common + QUEUE_ENABLE, 1);
    write8(common + DEVICE_STATUS, FOUND | DRIVER | FEATURES | RUNNING);
    return read8(common + DEVICE_STATUS) == (FOUND | DRIVER | FEATURES | RUNNING);
}

static void describe(uint32_t number, const volatile void *at, uint32_t size, uint16_t flags)
{
    descriptors[number].address = (uint64_t)at;
    descriptors[number].size = size;
    descriptors[number].flags = flags;
    descriptors[number].next = (uint16_t)(number + 1);
}

static bool transfer(uint32_t type, uint64_t number)
{
    uint16_t before = used.index;
    header.type = type;
    header.sector = number;
    status = UNTOUCHED;
    describe(0, &header, sizeof header, NEXT);
    describe(1, sector, SECTOR, type == READ_SECTOR ? NEXT | WRITE : NEXT);
    describe(2, &status, 1, WRITE);
    available.ring[available.index % QUEUE_SIZE] = 0;
    available.index = (uint16_t)(available.index + 1);
    write16(doorbell, 0);
    for (uint32_t i = 0; i < PATIENCE && used.index == before; i++)
        pause();
    return used.index != before && !status;
}

void guest_main(void)
{
    pci_scan();
    struct function *disk = pci_find(BLK_IDS);
    if (!check(disk, "disk", "%s", disk ? "is there" : "is missing") || !pci_size_bars(disk))
        return;
    pci_command(disk->bdf, COMMAND_MEMORY | COMMAND_MASTER, true);
    if (!check(find_structures(disk), "structures", "%s", "common, notify, device"))
        return;
    bool running = start();
    check(running, "driver", "%u sectors", read32(structures[DEVICE]));
    bool good = transfer(READ_SECTOR, 0);
    check(good, "read", "status %u", status);
    print("the disk says: ");
    for (uint32_t i = 0; i < SECTOR && sector[i] >= ' '; i++) {
        print("%c", sector[i]);
        if (sector[i] >= 'a' && sector[i] <= 'z')
            sector[i] = (uint8_t)(sector[i] - 'a' + 'A');
    }
    print("\n");
    good = transfer(WRITE_SECTOR, 1);
    check(good, "write", "status %u", status);
}
