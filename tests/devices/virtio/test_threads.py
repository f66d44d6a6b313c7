# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Threads against each other: vCPUs that notify, workers that serve, drivers that reset."""

import struct
import threading

import pytest

from devices.virtio.driver import Board, Driver
from vmmkit.devices.virtio.blk import VirtioBlk
from vmmkit.devices.virtio.disk import BufferDisk
from vmmkit.devices.virtio.net import VirtioNet

pytestmark = pytest.mark.stress
HEADER = bytes(12)


def run(*targets):
    """Run each in a thread of its own; fail if one raises or does not come back."""
    failures = []

    def guarded(target):
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - the main thread tells of it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(target,), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def test_two_interfaces_that_send_to_each_other_do_not_lock_up():
    boards = [Board(VirtioNet(print, bytes([2, 0, 0, 0, 0, at]))) for at in (0, 1)]
    drivers = [Driver(board, event_index=True).start() for board in boards]
    devices = [board.device for board in boards]
    arrived = [0, 0]

    def deliver(to):
        def transmit(frame):
            arrived[to] += devices[to].receive(frame)

        return transmit

    devices[0].transmit, devices[1].transmit = deliver(1), deliver(0)
    for driver in drivers:
        for _ in range(200):
            driver.offer(0, [], [driver.buffer(128)])

    def send(driver):
        for turn in range(200):
            driver.request(1, [HEADER + bytes([turn]) * 60])

    run(*(lambda driver=driver: send(driver) for driver in drivers))
    assert arrived == [200, 200]
    for driver in drivers:
        assert len(driver.rings[0].collect()) == 200


@pytest.mark.parametrize("ring", ["split", "packed"])
@pytest.mark.parametrize("event_index", [False, True])
def test_no_request_is_lost_between_a_driver_and_a_worker(ring, event_index):
    board = Board(VirtioBlk(BufferDisk(bytearray(1 << 16))))
    driver = Driver(board, ring=ring, event_index=event_index).start(size=8)
    device, wake, over = board.device, threading.Semaphore(0), threading.Event()
    device.deferred = wake.release
    header, status = driver.buffer(struct.pack("<IIQ", 0, 0, 1)), driver.buffer(1)
    data = driver.buffer(512)

    def work():
        while not over.is_set():
            if wake.acquire(timeout=0.1):
                device.service()

    def drive():
        done = sent = 0
        while done < 300:
            while sent < 300 and driver.rings[0].add([header], [data, status], sent):
                sent += 1
                if driver.rings[0].kick_wanted():
                    driver.notify(0)
            done += len(driver.rings[0].collect())
        over.set()

    run(work, drive)
    assert device.fault is None


def test_the_generation_is_not_read_while_the_configuration_changes():
    """A driver that reads half of the capacity before a change and half after it has to notice."""
    read, readers = [], []

    class Slow(VirtioBlk):
        def configure(self):
            super().configure()
            for reader in readers:
                reader.start()
                reader.join(0.1)

    driver = Driver(Board(Slow(BufferDisk(bytearray(512))))).start()
    before = driver.get("config_generation")
    readers.append(
        threading.Thread(target=lambda: read.append(driver.get("config_generation")), daemon=True)
    )
    driver.board.device.resized()
    readers[0].join(30)
    assert read == [before + 1]


def test_a_reset_waits_for_what_is_being_served():
    entered, leave, order = threading.Event(), threading.Event(), []

    class Slow(BufferDisk):
        def readinto(self, offset, buffers):
            entered.set()
            assert leave.wait(30)
            super().readinto(offset, buffers)
            order.append("served")

    driver = Driver(Board(VirtioBlk(Slow(bytearray(512))))).start()
    driver.rings[0].add(
        [driver.buffer(struct.pack("<IIQ", 0, 0, 0))], [driver.buffer(512), driver.buffer(1)]
    )

    def reset():
        assert entered.wait(30)
        threading.Timer(0.05, leave.set).start()
        driver.set("device_status", 0)
        order.append("reset")

    run(lambda: driver.notify(0), reset)
    assert order == ["served", "reset"]
    assert driver.get("device_status") == 0
    assert driver.interrupts() == []
