# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random block requests, several at a time, against a bytearray."""

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from devices.virtio.driver import Board, Driver
from vmmkit.devices.virtio.blk import VirtioBlk
from vmmkit.devices.virtio.disk import BufferDisk

IN, OUT, FLUSH, WRITE_ZEROES = 0, 1, 4, 13
F_FLUSH, F_ZEROES = 1 << 9, 1 << 14
SECTORS = 32

requests = st.tuples(
    st.sampled_from([IN, IN, OUT, OUT, WRITE_ZEROES, FLUSH]),
    st.integers(0, SECTORS + 1),  # first sector; some requests leave the disk
    st.integers(1, 6),  # sectors
    st.lists(st.integers(1, 3071), max_size=3),  # where the data is cut
    st.integers(0, 255),  # a byte to fill writes with
)


class Model:
    """What a disk is."""

    def __init__(self):
        self.bytes = bytearray(SECTORS * 512)

    def do(self, kind, sector, sectors, fill):
        """Return (status, data read)."""
        place = slice(512 * sector, 512 * (sector + sectors))
        if kind == FLUSH:
            return 0, b""
        if sector + sectors > SECTORS:
            return 1, None if kind == IN else b""
        if kind == IN:
            return 0, bytes(self.bytes[place])
        self.bytes[place] = bytes([fill if kind == OUT else 0]) * (512 * sectors)
        return 0, b""


def cut(size, cuts):
    """Yield the lengths of the pieces that `cuts` make of `size` bytes."""
    edges = sorted({0, size, *(at for at in cuts if at < size)})
    return [after - before for before, after in pairwise(edges)]


def buffers(driver, kind, sector, sectors, cuts, fill):
    """Return what a request reads and where it writes."""
    head = struct.pack("<IIQ", kind, 0, 0 if kind in (FLUSH, WRITE_ZEROES) else sector)
    readable, writable = [driver.buffer(head)], []
    if kind == OUT:
        readable += [driver.buffer(bytes([fill]) * size) for size in cut(512 * sectors, cuts)]
    elif kind == WRITE_ZEROES:
        readable.append(driver.buffer(struct.pack("<QII", sector, sectors, 0)))
    elif kind == IN:
        writable += [driver.buffer(size) for size in cut(512 * sectors, cuts)]
    return readable, [*writable, driver.buffer(b"\xff")]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["split", "packed"]),
    st.booleans(),
    st.booleans(),
    st.lists(st.lists(requests, min_size=1, max_size=5), max_size=12),
)
def test_blk_is_a_bytearray(ring, indirect, event_index, batches):
    model, device = Model(), VirtioBlk(BufferDisk(bytearray(SECTORS * 512)))
    driver = Driver(
        Board(device),
        ring=ring,
        features=F_FLUSH | F_ZEROES,
        indirect=indirect,
        event_index=event_index,
    ).start(size=32)
    heap = driver.ram.next
    for batch in batches:
        driver.ram.next = heap
        places = []
        for token, (kind, sector, sectors, cuts, fill) in enumerate(batch):
            readable, writable = buffers(driver, kind, sector, sectors, cuts, fill)
            places.append(writable)
            assert driver.rings[0].add(readable, writable, token)
        driver.notify(0)
        done = dict(driver.rings[0].collect())
        for token, (kind, sector, sectors, _, fill) in enumerate(batch):
            status, data = model.do(kind, sector, sectors, fill)
            *rooms, (status_place, _) = places[token]
            assert driver.ram.read(status_place, 1)[0] == status
            assert done[token] == sum(size for _, size in places[token])
            if data is not None:
                assert b"".join(driver.ram.read(*room) for room in rooms) == data
    assert bytes(device.disk._bytes) == model.bytes
    assert device.fault is None
