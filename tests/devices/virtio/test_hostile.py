# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guests that write anything anywhere: nothing raises, work is bounded, a reset heals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.virtio.driver import NEEDS_RESET, Board, Driver
from devices.virtio.rings import SplitDriver
from vmmkit.devices.virtio.blk import VirtioBlk
from vmmkit.devices.virtio.console import VirtioConsole
from vmmkit.devices.virtio.disk import BufferDisk
from vmmkit.devices.virtio.net import VirtioNet
from vmmkit.devices.virtio.rng import VirtioRng

DEVICES = {
    "rng": lambda: VirtioRng(bytes),
    "console": lambda: VirtioConsole(lambda data: None, size=(80, 25)),
    "blk": lambda: VirtioBlk(BufferDisk(bytearray(4096))),
    "net": lambda: VirtioNet(lambda frame: None, b"\2\0\0\0\0\1"),
}

edges = st.sampled_from([0, 1, 2, 3, 4, 7, 8, 0x0F, 0x7F, 0x80, 0xFF, 0x8000, 0xFFFF])
values = st.one_of(edges, st.integers(0, 0xFFFF_FFFF), st.just(0x10_0000))
widths = st.sampled_from([1, 2, 4, 8])
places = st.one_of(
    st.integers(0, 0x40),
    st.integers(0x1000, 0x1003),
    st.integers(0x2000, 0x2048),
    st.integers(0x3000, 0x3010),
    st.integers(0, 0x3FF8),
)
descriptors = st.tuples(
    st.sampled_from([0x10_0000, 0x10_0080, 0x30_0000, 0xC000_4000, 0xFFFF_FFFF_FFFF_FFF0]),
    st.sampled_from([0, 1, 16, 17, 64, 0x1000, 0x10_0000, 0xFFFF_FFFF]),
    st.sampled_from([0, 0, 1, 2, 2, 3, 4, 5, 6]),
    st.integers(0, 8),
)
steps = st.one_of(
    st.tuples(st.just("chain"), st.integers(0, 1), st.just(0), st.lists(descriptors, max_size=4)),
    st.tuples(st.just("write"), places, widths, values),
    st.tuples(st.just("read"), places, widths, values),
    st.tuples(st.just("config"), st.integers(0, 0xB0), st.sampled_from([1, 2, 4]), values),
    st.tuples(st.just("ring"), st.integers(0, 0x180), widths, values),
    st.tuples(st.just("notify"), st.integers(0, 1), st.just(2), values),
    st.tuples(st.just("restart"), st.just(0), st.just(0), values),
    st.tuples(st.just("outside"), st.just(0), st.just(0), values),
)


def outside(device):
    """Whatever the owner may have for the guest."""
    if isinstance(device, VirtioNet):
        device.receive(bytes(100))
        device.set_link(not device.link_up)
    elif isinstance(device, VirtioConsole):
        device.receive(b"input")
        device.resize(1, 1)
    device.service()


def take(driver, step):
    board = driver.board
    kind, place, width, value = step
    if kind == "chain":
        poke(driver, place, value)
        return
    value &= (1 << 8 * width) - 1
    if kind == "write":
        driver.port.write(driver.common + min(place, 0x4000 - width), width, value)
    elif kind == "read":
        driver.port.read(driver.common + min(place, 0x4000 - width), width)
    elif kind == "config" and not 0x10 <= place < 0x28:
        board.config_write(place, width, value)
        board.config_write(0x04, 2, 0x0006)
    elif kind == "ring":
        driver.ram.write(0x10_0000 + place, value.to_bytes(width, "little"))
    elif kind == "notify":
        driver.port.write(driver.notify_base + 4 * place, 2, place)
    elif kind == "restart":
        restart(driver)
    else:
        outside(board.device)


def poke(driver, index, chain):
    """Write descriptors from slot 0 on, whatever they are, offer them, and notify."""
    ring = driver.rings.get(index)
    if ring is None:
        return
    for slot, (address, size, flags, following) in enumerate(chain):
        if isinstance(ring, SplitDriver):
            ring.put_descriptor(slot, address, size, flags, following)
        else:
            at = ring.descriptors + 16 * ((ring.next + slot) % ring.size)
            offered = 0x80 if ring.wrap else 0x8000
            driver.ram.put("QIHH", at, address, size, following, flags | offered)
    if isinstance(ring, SplitDriver):
        ring.offer(chain[0][3] if chain else 0)
    driver.notify(index)


def restart(driver):
    driver.ram.next = 0x10_0000
    driver.ram.write(0x10_0000, bytes(0x2000))
    power = next(at for at, identity in driver.board.capabilities() if identity == 1)
    driver.board.config_write(power + 4, 2, 0)
    driver.board.config_write(0x04, 2, 0x0006)
    driver.board.messages.clear()
    driver.start(size=8)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(DEVICES)),
    st.sampled_from(["split", "packed"]),
    st.booleans(),
    st.lists(steps, max_size=40),
)
def test_no_guest_raises_and_a_restart_heals(name, ring, indirect, sequence):
    board = Board(DEVICES[name]())
    driver = Driver(board, ring=ring, indirect=indirect)
    restart(driver)
    for step in sequence:
        take(driver, step)
    board.host.reset()
    board.enumerate()
    restart(driver)
    assert board.device.fault is None
    index = len(driver.rings) - 1
    driver.offer(index, [driver.buffer(64)], [driver.buffer(64)] * (name in ("rng", "blk")), "x")
    assert [token for token, _ in driver.rings[index].collect()] == ["x"]
    board.host._check()


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("ring", ["split", "packed"])
def test_a_ring_full_of_the_longest_chains_ends(name, ring):
    """Work of one notification is bounded by Queue Size times the longest table."""
    board = Board(DEVICES[name]())
    driver = Driver(board, ring=ring, indirect=True).start(size=4)
    index = len(driver.rings) - 1
    writable = name in ("rng", "blk")
    place = [(0x40_0000, 0x1000)] * 1024
    for token in range(4):
        halves = (place[:512], place[512:]) if writable else (place, [])
        assert driver.rings[index].add(*halves, token)
    driver.notify(index)
    assert [token for token, _ in driver.rings[index].collect()] == [0, 1, 2, 3]
    driver.rings[index].add(place, place, 4)
    driver.notify(index)
    assert driver.get("device_status") & NEEDS_RESET
