# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The driver of the virtio tests against QEMU's devices: does it drive what others made?"""

from __future__ import annotations

import os
import random
import socket
import struct
import time

import pytest

from devices.virtio.driver import COMMON, VERSION_1, Board, Driver
from qemu.board import PATIENCE, PatientDriver, QemuBoard
from vmmkit.devices.virtio.rng import VirtioRng
from vmmkit.pci.capabilities import Msix

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
    device = f"virtio-serial-pci,max_ports=1,vectors=8,{MODERN}"
    driver = start(
        *(ways, interrupts, "-chardev", f"file,id=out,path={printed}"),
        *("-device", device, "-device", "virtconsole,chardev=out"),
        queues=16,
    )
    for turn in range(10):
        driver.request(1, [b"turn ", b"%d\n" % turn])
        # QEMU's control queues, which nobody asked for, interrupt besides.
        assert set(driver.interrupts()) >= set(queue_interrupt(interrupts, 1))
    assert printed.read_bytes() == b"".join(b"turn %d\n" % turn for turn in range(10))


NET_HEADER = bytes(12)


@pytest.fixture
def wire(tmp_path):
    """Return a socket at the other end of the card's wire, and QEMU's options for it."""
    ends = [str(tmp_path / name) for name in ("near", "far")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as far:
        far.bind(ends[1])
        far.settimeout(PATIENCE)
        local, remote = (
            f"{side}.type=unix,{side}.path={path}"
            for side, path in zip(("local", "remote"), ends, strict=True)
        )
        card = f"virtio-net-pci,netdev=card,mac=52:54:00:12:ab:01,{MODERN}"
        options = "-netdev", f"dgram,id=card,{local},{remote}", "-device", card
        yield far, ends[0], options


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
def test_net(start, wire, ways, interrupts):
    far, near, options = wire
    driver = start(ways, interrupts, *options, queues=64)
    for number in range(10):
        frame = bytes.fromhex("52540012ab01 525400000002 88b5") + bytes([number]) * 50
        driver.request(1, [NET_HEADER, frame])
        assert driver.interrupts() == queue_interrupt(interrupts, 1)
        assert far.recv(2000) == frame
        room, size = driver.buffer(200)
        driver.offer(0, [], [(room, size)], number)
        far.sendto(frame, near)
        [(token, written)] = driver.rings[0].collect()
        assert (token, driver.ram.read(room, written)[12:]) == (number, frame)
        assert driver.interrupts() == queue_interrupt(interrupts, 0)


# -- the same register accesses on both ------------------------------------------------------------

# Fields whose values are the device's choice, or that QEMU has otherwise.
NOT_COMPARED = {
    "device_feature": "other features are offered",
    "queue_reset": "one of them",
    "config_generation": "may count as it likes",
}


@pytest.fixture
def drivers(start_qemu):
    """Return a driver of QEMU's entropy device and one of ours, both of 8 descriptors."""

    class SmallRng(VirtioRng):
        queue_sizes = (8,)
        msix = Msix(vectors=2)

    other = QemuBoard(start_qemu("-device", f"virtio-rng-pci,{MODERN}"))
    return PatientDriver(other), Driver(Board(SmallRng()))


def a_common_write(pick):
    field = pick.choice([name for name in COMMON if name not in NOT_COMPARED])
    values = {
        "device_status": (0, 0, 1, 3, 3, 11, 11, 15, 128),
        "queue_select": (0, 0, 0, 1, 2, 1023),
        "queue_enable": (1,),
        "queue_size": (1, 2, 4, 8),
        "driver_feature_select": (0, 1, 1, 2),
        "driver_feature": (0, 1, 1),
        "device_feature_select": (0, 1, 2),
    }.get(field)
    if field.endswith("vector"):
        values = (0, 1, 2, 0xFFFF)
    if values:
        return field, pick.choice(values)
    return field, pick.randrange(0x100, 0x1000) << 12  # a page of RAM, where all is zero


def may(driver, field, value):
    """Whether virtio 1.2 allows a driver to write this now; the rest is left to devices."""
    features_ok, enabled = driver.get("device_status") & 8, driver.get("queue_enable")
    if field == "queue_enable":
        return bool(features_ok and not enabled and driver.get("queue_size"))
    if field in ("queue_size", "queue_desc", "queue_driver", "queue_device"):
        return not enabled and driver.get("queue_select") == 0
    if field == "queue_msix_vector":
        return driver.get("queue_size") != 0
    if field == "driver_feature":
        return not features_ok
    return True


def forget_selection(driver):
    """Set what our reset sets to zero, and QEMU's leaves; virtio 1.2 does not say."""
    driver.accept(0)
    for name in ("driver_feature_select", "device_feature_select", "queue_select"):
        driver.set(name, 0)


def test_common_configuration(drivers):
    """Random writes of the common structure, as far as a driver may do them."""
    pick = random.Random(6)
    for step in range(2000):
        field, value = a_common_write(pick)
        if not may(drivers[1], field, value):
            continue
        if field == "device_status" and value:
            value |= drivers[1].get(field)  # drivers take no bit back
        for driver in drivers:
            if field == "device_status" and value & 8 and not driver.get(field) & 8:
                driver.accept(VERSION_1)  # without it ours refuses, QEMU's does not: both may
            driver.set(field, value)
            if field == "device_status" and not value:
                forget_selection(driver)
        exists = drivers[1].get("queue_size")
        for name in COMMON:
            if name not in NOT_COMPARED and (exists or name != "queue_notify_off"):
                theirs, ours = (driver.get(name) for driver in drivers)
                assert ours == theirs, (step, field, hex(value), name)


def started(drivers):
    for driver in drivers:
        driver.start(size=8)
    return drivers


def ask(driver):
    """Have a request done, and do not look for its interrupt."""
    address, size = driver.buffer(16)
    driver.offer(0, [], [(address, size)], "x")
    [(token, written)] = driver.rings[0].collect()
    assert (token, written) == ("x", size)


def arrived(driver):
    return sorted(set(Driver.interrupts(driver)))


def pending(driver):
    place = driver.board.config_read(driver.msix + 8, 4)
    return driver.port.read(driver.board.bars[place & 7] + (place & ~7), 8)


def settled(driver, want):
    """Return what arrived, with time for a device that takes it."""
    end = time.monotonic() + PATIENCE
    while (found := arrived(driver)) != want and time.monotonic() < end:
        pass
    return found


def control(driver, value):
    driver.board.config_write(driver.msix + 2, 2, value)


def test_masked_vectors_are_pending(drivers):
    for driver in started(drivers):
        for masks in ((1, 0x8000), (0, 0xC000), (1, 0xC000)):
            driver.mask(1, masks[0])
            control(driver, masks[1])
            ask(driver)
            end = time.monotonic() + PATIENCE
            while pending(driver) != 2:
                assert time.monotonic() < end
            assert arrived(driver) == []
            driver.mask(1, 0)
            control(driver, 0x8000)
            assert settled(driver, [1]) == [1]
            assert pending(driver) == 0


def test_random_masks(drivers):
    """Mask, unmask, ask, in any order: the same messages and pending bits on both."""
    pick = random.Random(8)
    started(drivers)
    function, vector, waiting = 0, 0, False
    for step in range(150):
        kind = pick.randrange(4)
        if kind == 0:
            function = pick.randrange(2)
            for driver in drivers:
                control(driver, 0x8000 | function << 14)
        elif kind == 1:
            vector = pick.randrange(2)
            for driver in drivers:
                driver.mask(1, vector)
        else:
            waiting = True
            for driver in drivers:
                ask(driver)
        expected = [1] if waiting and not function and not vector else []
        waiting = waiting and not expected
        for driver in reversed(drivers):
            assert settled(driver, expected) == expected, step
            end = time.monotonic() + PATIENCE
            while pending(driver) != 2 * waiting:
                assert time.monotonic() < end, step
