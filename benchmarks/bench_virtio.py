# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a virtio disk costs: reads of 4 KiB from the notification to the interrupt.

Run with `pytest benchmarks/bench_virtio.py -o python_files='bench_*.py'`. A notification goes
through the port of an address map to the BAR, the queue hands out indirect chains, the disk is a
buffer, and the interrupt is an MSI-X message. Each read has its own buffer of guest RAM.

The driver prepares its descriptors before anything is measured. What is left of it inside: it
offers a batch, by the available index or by copying descriptors into the packed ring.
"""

import struct

import pytest

from devices.virtio.driver import Board, Driver
from vmmkit.devices.virtio.blk import VirtioBlk
from vmmkit.devices.virtio.disk import BufferDisk

ROUNDS = 20
SIZE = 256
READS = 2_048
BLOCK = 4096

GROUP = "virtio-blk: reads of 4 KiB"


def tables(driver):
    """Lay out a read for each element of the ring; return address and length of its table."""
    sectors = BLOCK // 512
    for slot in range(SIZE):
        header = driver.buffer(struct.pack("<IIQ", 0, 0, slot * sectors))
        address = driver.ram.alloc(BLOCK, BLOCK)
        pieces = [(*header, 0), (address, BLOCK, 2), (*driver.buffer(1), 2)]
        yield driver.rings[0].table(
            pieces, lambda at, place, size, flags: (place, size, flags | (at < 2), at + 1)
        )


def split(driver, batch):
    """Return what offers the next batch on a split ring."""
    ring, ram = driver.rings[0], driver.ram
    for slot, (address, size) in enumerate(tables(driver)):
        ring.put_descriptor(slot, address, size, 4)
        ram.put("H", ring.avail + 4 + 2 * slot, slot)
    index = memoryview(ram.bytes)[ring.avail + 2 :][:2].cast("H")

    def offer():
        index[0] = index[0] + batch & 0xFFFF

    return offer


def packed(driver, batch):
    """Return what offers the next batch on a packed ring, whose descriptors the device changes."""
    ring = driver.rings[0]
    places = list(tables(driver))
    laps = [
        b"".join(
            struct.pack("<QIHH", address, size, slot, flags)
            for slot, (address, size) in enumerate(places)
        )
        for flags in (0x0084, 0x8004)
    ]
    descriptors = memoryview(driver.ram.bytes)[ring.descriptors :][: 16 * SIZE]
    first, lap, step = 0, 0, 16 * batch

    def offer():
        nonlocal first, lap
        descriptors[first : first + step] = laps[lap][first : first + step]
        first += step
        if first == 16 * SIZE:
            first, lap = 0, lap ^ 1

    return offer


OFFER = {"split": split, "packed": packed}


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("kind", OFFER)
def test_read(benchmark, kind, batch):
    board = Board(VirtioBlk(BufferDisk(bytearray(SIZE * BLOCK))))
    driver = Driver(board, ring=kind, indirect=True).start(size=SIZE)
    offer = OFFER[kind](driver, batch)
    write, place, messages = driver.port.write, driver.rings[0].notify, board.messages

    def run():
        for _ in range(READS // batch):
            offer()
            write(place, 2, 0)

    run()
    assert (board.device.fault, len(messages)) == (None, READS // batch)
    benchmark.group = GROUP
    benchmark.pedantic(run, setup=messages.clear, rounds=ROUNDS, warmup_rounds=1)
    assert board.device.fault is None
    label = f"{kind} ring, {batch} per notification"
    benchmark.extra_info.update(label=label, operations=READS, rate=True)
