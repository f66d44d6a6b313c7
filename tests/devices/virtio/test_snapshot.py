# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Devices that are saved in the midst of work, and go on in another place."""

import pickle

import attrs
import pytest

from devices.virtio.driver import NEEDS_RESET, Board, Driver
from vmmkit.devices.virtio.console import VirtioConsole
from vmmkit.devices.virtio.rng import VirtioRng
from vmmkit.errors import PciSnapshotError


def moved(driver, make):
    """Save a driver's board, build another one, and go on there."""
    state = pickle.loads(pickle.dumps(driver.board.host.snapshot()))
    board = Board(make(), enumerate_now=False)
    board.ram.bytes[:] = driver.ram.bytes
    board.ram.next, board.bars = driver.ram.next, driver.board.bars
    board.host.restore(state)
    driver.board, driver.port = board, board.port
    for ring in driver.rings.values():
        ring.ram = board.ram
    driver.ram = board.ram
    return driver


@pytest.mark.parametrize("ring", ["split", "packed"])
@pytest.mark.parametrize("event_index", [False, True])
@pytest.mark.parametrize("interrupts", ["msix", "intx"])
def test_a_device_goes_on_elsewhere(ring, event_index, interrupts):
    make = lambda: VirtioConsole(lambda data: None, size=(80, 25))  # noqa: E731
    driver = Driver(Board(make()), ring=ring, event_index=event_index)
    driver.start(interrupts=interrupts, size=4)
    for turn in range(30):
        driver.request(1, [b"out"])
        assert driver.interrupts() == ([2] if interrupts == "msix" else ["queue"])
        driver.offer(0, [], [driver.buffer(8)], turn)
        moved(driver, make)
        assert driver.board.device.receive(b"in") == 2
        assert driver.rings[0].collect() == [(turn, 2)]
        assert driver.interrupts() == ([1] if interrupts == "msix" else ["queue"])
        assert driver.config("H", 0) == 80


def test_interrupts_that_wait_are_saved():
    driver = Driver(Board(VirtioRng())).start()
    driver.mask(1, True)
    driver.request(0, [], [4])
    moved(driver, VirtioRng)
    assert driver.interrupts() == []
    driver.mask(1, False)
    assert driver.interrupts() == [1]


def test_a_pin_that_is_high_is_saved():
    driver = Driver(Board(VirtioRng())).start(interrupts="intx")
    driver.request(0, [], [4])
    moved(driver, VirtioRng)
    assert driver.interrupts() == ["queue"]


def test_a_fault_is_saved():
    driver = Driver(Board(VirtioRng())).start()
    driver.offer(0, [], [(0xDEAD_0000_0000, 1)])
    moved(driver, VirtioRng)
    assert driver.get("device_status") & NEEDS_RESET
    driver.start()
    assert len(driver.request(0, [], [4])[0]) == 4


def test_queues_that_wait_for_service_are_saved():
    driver = Driver(Board(VirtioRng())).start()
    driver.board.device.deferred = lambda: None
    driver.offer(0, [], [driver.buffer(4)], "x")
    moved(driver, VirtioRng)
    assert driver.rings[0].collect() == []
    assert driver.board.device.service()
    assert driver.rings[0].collect() == [("x", 4)]


@pytest.mark.parametrize("ring", ["split", "packed"])
@pytest.mark.parametrize("wrong", [{"size": 65}, {"ring": (1 << 16,) * 5}, {"ring": (0,)}])
def test_states_that_no_queue_has_are_refused(ring, wrong):
    driver = Driver(Board(VirtioRng()), ring=ring).start(size=4)
    device = driver.board.device
    state = device.snapshot()
    [queue] = state.values["queue_states"]
    values = dict(state.values, queue_states=(attrs.evolve(queue, **wrong),))
    with pytest.raises(PciSnapshotError, match="queue 0"):
        device.restore(attrs.evolve(state, values=values))
    assert len(driver.request(0, [], [4])[0]) == 4
