# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Pins, bridges and shared lines."""

import sys
import threading
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmmkit.errors import TopologyError
from vmmkit.pci.intx import IntxRouting, IntxWires, pin_number, swizzle, swizzle_up


@pytest.mark.parametrize(("letter", "number"), [("A", 0), ("B", 1), ("C", 2), ("D", 3)])
def test_pin_number(letter, number):
    assert pin_number(letter) == number


@pytest.mark.parametrize("pin", ["E", "a", "", "AB", None, 0])
def test_no_such_pin(pin):
    with pytest.raises(TopologyError, match="interrupt pin"):
        pin_number(pin)


# PCI-to-PCI Bridge Architecture Specification, "Interrupt Routing": the table of device numbers
# and pins behind the bridge, and the pin of the bridge.
BRIDGE_TABLE = {
    **{(device, pin): pin for device in (0, 4, 8, 12, 16, 20, 24, 28) for pin in range(4)},
    **{(device, pin): (1, 2, 3, 0)[pin] for device in (1, 5, 9, 13, 17, 21) for pin in range(4)},
    **{(device, pin): (2, 3, 0, 1)[pin] for device in (2, 6, 10, 14, 18, 22) for pin in range(4)},
    **{(device, pin): (3, 0, 1, 2)[pin] for device in (3, 7, 11, 15, 19, 31) for pin in range(4)},
}


@pytest.mark.parametrize(("device", "pin"), BRIDGE_TABLE)
def test_bridges_swap_pins(device, pin):
    assert swizzle(pin, device) == BRIDGE_TABLE[device, pin]


@given(st.integers(0, 3), st.lists(st.integers(0, 31), max_size=6))
def test_several_bridges_swap_one_after_the_other(pin, devices):
    arrived = pin
    for device in devices:
        arrived = swizzle(arrived, device)
    assert swizzle_up(pin, devices) == arrived


def test_swizzled_routing_spreads_devices_and_pins():
    routing = IntxRouting.swizzled()
    assert [routing.gsi(0, pin) for pin in range(4)] == [16, 17, 18, 19]
    assert [routing.gsi(31, pin) for pin in range(4)] == [23, 16, 17, 18]
    assert {routing.gsi(device, 0) for device in range(32)} == set(range(16, 24))


def test_entries_are_what_a_prt_lists():
    routing = IntxRouting.swizzled(first_gsi=24, links=4)
    entries = routing.entries()
    assert len(entries) == 128
    assert entries[:5] == ((0, 0, 24), (0, 1, 25), (0, 2, 26), (0, 3, 27), (1, 0, 25))
    assert all(routing.gsi(device, pin) == gsi for device, pin, gsi in entries)


def test_routing_by_hand_and_pins_that_reach_nothing():
    routing = IntxRouting({(1, 0): 11})
    assert (routing.gsi(1, 0), routing.gsi(1, 1)) == (11, None)
    assert routing.entries() == ((1, 0, 11),)


@pytest.mark.parametrize("gsis", [{(32, 0): 1}, {(0, 4): 1}, {(-1, 0): 1}, {(0, 0): -1}])
def test_routing_out_of_range(gsis):
    with pytest.raises(TopologyError, match="no routing"):
        IntxRouting(gsis)


def test_routing_without_links():
    with pytest.raises(TopologyError, match="0 links"):
        IntxRouting.swizzled(links=0)


# -- wired-OR ----------------------------------------------------------------------------------


def make_wires():
    heard = []
    return IntxWires(lambda gsi, level: heard.append((gsi, level))), heard


def test_a_line_is_high_while_somebody_drives_it():
    wires, heard = make_wires()
    first, second = wires.wire(16), wires.wire(16)
    first(True)
    second(True)
    second(True)
    assert (heard, wires.drivers(16)) == ([(16, True)], 2)
    first(False)
    first(False)
    assert (heard, wires.drivers(16)) == ([(16, True)], 1)
    second(False)
    assert (heard, wires.drivers(16)) == ([(16, True), (16, False)], 0)


def test_lines_are_apart():
    wires, heard = make_wires()
    wires.wire(16)(True)
    wires.wire(17)(True)
    assert heard == [(16, True), (17, True)]
    assert wires.levels() == {16: True, 17: True}


def test_a_wire_in_the_air():
    wires, heard = make_wires()
    wires.wire(None)(True)
    assert (heard, wires.levels()) == ([], {})


def test_the_line_may_be_driven_from_what_it_drives():
    order = []
    wires = IntxWires(lambda gsi, level: (order.append((gsi, level)), other(level)))
    source, other = wires.wire(16), wires.wire(17)
    source(True)
    assert order == [(16, True), (17, True)]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_a_line_is_the_or_of_its_sources(drives):
    wires, heard = make_wires()
    sources = [wires.wire(16 + number % 2) for number in range(6)]
    levels = [False] * 6
    expected = []
    for number, level in drives:
        before = any(levels[number % 2 :: 2])
        levels[number] = level
        after = any(levels[number % 2 :: 2])
        if before != after:
            expected.append((16 + number % 2, after))
        sources[number](level)
        assert heard == expected


@pytest.mark.stress
def test_threads_on_one_line():
    wires, heard = make_wires()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def drive(seed):
        rng, wire = Random(seed), wires.wire(16)
        for _ in range(3000):
            wire(rng.random() < 0.5)
        wire(False)

    try:
        threads = [threading.Thread(target=drive, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wires.drivers(16) == 0
    assert heard == [(16, bool(place % 2 == 0)) for place in range(len(heard))]
    assert len(heard) % 2 == 0
