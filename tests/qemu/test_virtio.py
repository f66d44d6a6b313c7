# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The driver of the virtio tests against QEMU's devices: does it drive what others made?"""

from __future__ import annotations

import os
import random
import struct

import pytest

from devices.virtio.driver import (
    ACKNOWLEDGE,
    COMMON,
    DRIVER,
    DRIVER_OK,
    FEATURES_OK,
    Board,
    Driver,
)
from qemu.board import PatientDriver, QemuBoard
from vmmkit.devices.virtio.rng import VirtioRng

pytestmark = pytest.mark.qemu

MODERN = "disable-legacy=on,packed=on,addr=4"
WAYS = [
    pytest.param(
        {"ring": ring, "indirect": indirect, "event_index": event},
        interrupts,
        id=f"{ring}{'-indirect' * indirect}{'-event' * event}-{interrupts}",
    )
    for ring in ("split", "packed")
    for indirect, event in ((False, False), (True, True))
    for interrupts in ("msix", "intx")
]
SECTOR = 512
READ, WRITE, FLUSH, GET_ID = 0, 1, 4, 8


@pytest.fixture
def start(start_qemu):
    def start(ways, interrupts, *options, queues=None):
        board = QemuBoard(start_qemu(*options))
        driver = PatientDriver(board, **ways)
        return driver.start(interrupts=interrupts, size=queues)

    return start


def queue_interrupt(interrupts, queue):
    return [queue + 1] if interrupts == "msix" else ["queue"]


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
def test_rng(start, ways, interrupts):
    driver = start(ways, interrupts, "-device", f"virtio-rng-pci,{MODERN}", queues=8)
    seen = set()
    for _ in range(20):
        [data] = driver.request(0, [], [48])
        assert driver.interrupts() == queue_interrupt(interrupts, 0)
        seen.add(data)
    assert len(seen) == 20


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(os.urandom(64 * SECTOR))
    return path


def blk_options(path):
    drive = f"if=none,id=disk,file={path},format=raw"
    device = f"virtio-blk-pci,drive=disk,serial=vmmkit,{MODERN}"
    return "-drive", drive, "-device", device


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
def test_blk(start, disk, ways, interrupts):
    driver = start(ways, interrupts, *blk_options(disk), queues=64)
    before = disk.read_bytes()
    assert driver.config("Q", 0) == 64
    pick = random.Random(1)
    for _ in range(15):
        sector, count = pick.randrange(60), pick.randrange(1, 4)
        header = struct.pack("<IIQ", READ, 0, sector)
        data, status = driver.request(0, [header], [count * SECTOR, 1])
        assert driver.interrupts() == queue_interrupt(interrupts, 0)
        assert (data, status) == (before[sector * SECTOR :][: count * SECTOR], b"\0")
        new = pick.randbytes(count * SECTOR)
        header = struct.pack("<IIQ", WRITE, 0, sector)
        assert driver.request(0, [header, new], [1]) == [b"\0"]
        assert driver.interrupts() == queue_interrupt(interrupts, 0)
        before = before[: sector * SECTOR] + new + before[(sector + count) * SECTOR :]
    assert driver.request(0, [struct.pack("<IIQ", FLUSH, 0, 0)], [1]) == [b"\0"]
    identity, status = driver.request(0, [struct.pack("<IIQ", GET_ID, 0, 0)], [20, 1])
    assert (identity.rstrip(b"\0"), status) == (b"vmmkit", b"\0")
    assert disk.read_bytes() == before


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
def test_console(start, tmp_path, ways, interrupts):
    printed = tmp_path / "printed"
    driver = start(
        *(ways, interrupts, "-chardev", f"file,id=out,path={printed}"),
        *("-device", f"virtio-serial-pci,{MODERN}", "-device", "virtconsole,chardev=out"),
        queues=16,
    )
    for turn in range(10):
        driver.request(1, [b"turn ", b"%d\n" % turn])
        assert driver.interrupts() == queue_interrupt(interrupts, 1)
    assert printed.read_bytes() == b"".join(b"turn %d\n" % turn for turn in range(10))


NET_HEADER = bytes(12)


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
def test_net(start, tmp_path, ways, interrupts):
    """A hub with two devices' worth of us: what QEMU's card sends is dumped to a file."""
    dump = tmp_path / "frames.pcap"
    driver = start(
        *(ways, interrupts, "-netdev", "hubport,id=card,hubid=0"),
        *("-object", f"filter-dump,id=dump,netdev=card,file={dump}"),
        *("-device", f"virtio-net-pci,netdev=card,mac=52:54:00:12:ab:01,{MODERN}"),
        queues=64,
    )
    frames = [bytes([number]) * 60 for number in range(10)]
    for frame in frames:
        driver.request(1, [NET_HEADER, frame])
        assert driver.interrupts() == queue_interrupt(interrupts, 1)
    found = dump.read_bytes()
    assert all(frame in found for frame in frames)
