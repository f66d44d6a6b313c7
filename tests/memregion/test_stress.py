# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Threads against each other, with a switch interval at which races show."""

import sys
import threading
from itertools import count
from random import Random
from time import monotonic

import pytest

from vmmkit.errors import HandlerError, UnmappedError
from vmmkit.memregion import AccessPolicy, RegionMap

pytestmark = pytest.mark.stress

SECONDS = 1.5


@pytest.fixture
def eager_switching():
    """Let threads take turns every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Guarded:
    """A device that must not be running once it was declared gone."""

    def __init__(self):
        self.gone = False
        self.late = 0

    def read(self, vcpu, offset, size):
        self.late += self.gone
        for _ in self.steps():
            self.late += self.gone
        return offset

    def write(self, vcpu, offset, size, value):
        self.read(vcpu, offset, size)

    def steps(self):
        yield from range(3)


def hammer(stop, access, failures):
    """Make accesses until told to stop; nothing but UnmappedError may come back."""
    rng = Random(threading.get_ident())
    while not stop.is_set():
        try:
            access(rng)
        except UnmappedError:
            pass
        except BaseException as error:
            failures.append(error)
            raise


def run_against(accesses, change):
    """Run readers against one writer for a while; return the number of the writer's turns."""
    stop, failures = threading.Event(), []
    readers = [
        threading.Thread(target=hammer, args=(stop, access, failures), daemon=True)
        for access in accesses
    ]
    for reader in readers:
        reader.start()
    turns, deadline = count(), monotonic() + SECONDS
    try:
        while monotonic() < deadline:
            change()
            next(turns)
    finally:
        stop.set()
        for reader in readers:
            reader.join(20)
    assert failures == []
    assert not any(reader.is_alive() for reader in readers)
    return next(turns)


@pytest.mark.parametrize("straddle", ["raise", "split"])
def test_no_handler_runs_after_close(eager_switching, straddle):
    """Close must be exact: no activation starts or goes on after it returned."""
    mmio = RegionMap(straddle=straddle)
    policy = AccessPolicy(max_size=4, too_wide="split")
    mmio.add(0x2000, 0x1000, Guarded(), policy=policy)
    shared = mmio.port("shared")
    own = mmio.port("own")
    width = 4 if straddle == "raise" else 16

    def read(rng):
        shared.read(
            0x1000 + 4 * rng.randrange(width) + 0xFC0,
            rng.choice((4, 8)) if straddle == "split" else 4,
        )

    def write(rng):
        own.write(0x1000 + 4 * rng.randrange(width), 4, 1)

    closed = []

    def change():
        device = Guarded()
        region = mmio.add(0x1000, 0x1000, device, policy=policy)
        for _ in range(20):
            pass
        assert region.close() is True
        device.gone = True
        closed.append(device)

    turns = run_against([read, write, read], change)
    assert turns > 20
    assert sum(device.late for device in closed) == 0
    mmio._check()


def test_readers_see_one_commit_or_the_other(eager_switching):
    """Two regions trade places without end; a read answers one of the two, never nothing."""
    mmio = RegionMap()
    left = mmio.add(0, 16, read=lambda vcpu, offset, size: 1)
    right = mmio.add(16, 16, read=lambda vcpu, offset, size: 2)
    port = mmio.port(None)
    seen = set()

    def read(rng):
        try:
            seen.add(port.read(rng.randrange(8) * 4, 4))
        except UnmappedError as error:
            raise AssertionError("saw a map between two commits") from error

    def change():
        with mmio.transaction():
            first, second = left.base, right.base
            left.move(second)
            right.move(first)

    assert run_against([read, read], change) > 20
    assert seen == {1, 2}
    mmio._check()


def test_many_writers_and_readers(eager_switching):
    """Writers own disjoint ranges; every answer names the range it came from."""
    mmio = RegionMap()
    ports = [mmio.port(vcpu) for vcpu in range(3)]

    def access(rng):
        number = rng.randrange(8)
        assert ports[rng.randrange(3)].read(number * 0x100 + 8, 4) == number * 0x100 + 8

    stop, failures = threading.Event(), []

    def churn(number):
        base = number * 0x100
        try:
            while not stop.is_set():
                region = mmio.add(base, 16, read=lambda vcpu, offset, size: base + offset)
                region.disable()
                region.enable()
                mmio.remove(region)
        except BaseException as error:
            failures.append(error)
            raise

    writers = [threading.Thread(target=churn, args=(n,), daemon=True) for n in range(3)]
    for writer in writers:
        writer.start()
    run_against([access, access], mmio._check)
    stop.set()
    for writer in writers:
        writer.join(20)
    assert failures == []
    mmio._check()
    assert len(mmio) == 0


def test_handlers_move_their_own_regions(eager_switching):
    """A handler moves the region it serves, from several vCPUs, while others read."""
    mmio = RegionMap()
    places = (0, 0x100, 0x200)

    def write(vcpu, offset, size, value):
        region.move(places[value % 3])

    region = mmio.add(0, 16, write=write, read=lambda vcpu, offset, size: offset)
    ports = [mmio.port(vcpu) for vcpu in range(3)]

    def access(rng):
        port = ports[rng.randrange(3)]
        assert port.read(places[rng.randrange(3)] + 4, 4) == 4
        port.write(places[rng.randrange(3)], 4, rng.randrange(3))

    run_against([access, access, access], mmio._check)
    assert len(mmio) == 1


def test_a_failing_handler_is_reported_in_every_thread(eager_switching):
    mmio = RegionMap()

    def read(vcpu, offset, size):
        raise KeyError(offset)

    mmio.add(0, 16, read=read)
    port = mmio.port(None)

    def access(rng):
        with pytest.raises(HandlerError):
            port.read(4 * rng.randrange(4), 4)

    run_against([access, access], mmio._check)
