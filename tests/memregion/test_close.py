# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`Region.close`: what it waits for, and what it does not."""

import threading

import pytest

from memregion.recording import Recorder
from vmmkit.errors import OverlapError, TransactionError, UnknownRegionError, UnmappedError
from vmmkit.memregion import AccessPolicy, RegionMap

PATIENCE = 20  # seconds until a test that hangs fails


class Gate:
    """A device whose accesses wait until they are let go."""

    def __init__(self):
        self.entered = threading.Event()
        self.open = threading.Event()

    def read(self, vcpu, offset, size):
        self.entered.set()
        assert self.open.wait(PATIENCE)
        return 1

    def write(self, vcpu, offset, size, value):
        self.read(vcpu, offset, size)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def run(function, *args):
    """Start a thread; return it."""
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def inside(gate, function, *args):
    """Start a thread and wait until it is inside the gate's handler."""
    thread = run(function, *args)
    assert gate.entered.wait(PATIENCE)
    return thread


ACCESSES = {
    "read": lambda port: port.read(0, 4),
    "write": lambda port: port.write(0, 4, 0),
    "split": lambda port: port.read(0, 8),
    "straddle": lambda port: port.read(0xE, 4),
    "straddle in": lambda port: port.read(0x1E, 4),
}


@pytest.mark.parametrize("access", ACCESSES.values(), ids=ACCESSES)
@pytest.mark.parametrize("warm", [False, True])
def test_close_waits_for_a_running_handler(gate, access, warm):
    mmio = RegionMap(straddle="split")
    policy = AccessPolicy(max_size=4, too_wide="split")
    region = mmio.add(0, 16, gate, policy=policy)
    other = mmio.add(16, 16, gate)
    mmio.add(32, 16, Recorder())
    closing = other if access is ACCESSES["straddle in"] else region
    port = mmio.port(None)
    if warm:
        gate.open.set()
        access(port)
        gate.open.clear()
        gate.entered.clear()
    thread = inside(gate, access, port)
    assert closing.close(timeout=0.05) is False
    assert closing not in mmio
    gate.open.set()
    thread.join(PATIENCE)
    assert closing.close(timeout=PATIENCE) is True


def test_close_returns_at_once_where_nothing_runs():
    mmio = RegionMap()
    region = mmio.add(0, 16, Recorder())
    assert region.close() is True
    assert region.close() is True
    with pytest.raises(UnmappedError):
        mmio.port(None).read(0, 4)
    with pytest.raises(UnknownRegionError):
        region.move(0x100)


def test_close_without_wait_promises_nothing(gate):
    mmio = RegionMap()
    region = mmio.add(0, 16, gate)
    thread = inside(gate, mmio.port(None).read, 0, 4)
    assert region.close(wait=False) is False
    gate.open.set()
    thread.join(PATIENCE)


def test_a_handler_in_another_region_is_not_waited_for(gate):
    """Both regions share the device, so it is the region that counts, not the handler."""
    mmio = RegionMap()
    mmio.add(0, 16, gate, name="busy")
    idle = mmio.add(16, 16, gate, name="idle")
    thread = inside(gate, mmio.port(None).read, 0, 4)
    assert idle.close(timeout=PATIENCE) is True
    gate.open.set()
    thread.join(PATIENCE)


def test_a_handler_in_the_same_place_of_another_map_is_not_waited_for(gate):
    first, second = RegionMap(), RegionMap()
    first.add(0, 16, gate)
    region = second.add(0, 16, Recorder())
    second.port(None).read(0, 4)
    thread = inside(gate, first.port(None).read, 0, 4)
    assert region.close(timeout=PATIENCE) is True
    gate.open.set()
    thread.join(PATIENCE)


def test_a_region_that_moved_meanwhile_is_still_waited_for(gate):
    mmio = RegionMap()
    region = mmio.add(0, 16, gate)
    thread = inside(gate, mmio.port(None).read, 0, 4)
    region.move(0x1000)
    assert region.close(timeout=0.05) is False
    gate.open.set()
    thread.join(PATIENCE)


def test_an_access_that_has_not_chosen_yet_is_waited_for():
    """It may have found the region before that left, and call it any moment."""
    mmio = RegionMap()
    region = mmio.add(0, 16, Recorder())
    entered = threading.Event()

    class Address(int):
        """Lets the test know that the port's table has been asked."""

        def __hash__(self):
            entered.set()
            return super().__hash__()

    outcome = []

    def access():
        with pytest.raises(UnmappedError):
            port.read(Address(0), 4)
        outcome.append("unmapped")

    port = mmio.port(None)
    port.write(0, 4, 0)
    port.read(4, 4)
    with mmio._ledger.lookup:  # holds the other thread inside the miss path
        thread = run(access)
        assert entered.wait(PATIENCE)
        assert region.close(timeout=0.1) is False
    thread.join(PATIENCE)
    assert outcome == ["unmapped"]
    assert region.close(timeout=PATIENCE) is True


def test_an_outer_access_is_waited_for(gate):
    """A handler that reads another region is still running itself."""
    mmio = RegionMap()
    port = mmio.port(None)
    mmio.add(0, 16, gate)
    outer = mmio.add(16, 16, read=lambda vcpu, offset, size: port.read(0, 4))
    thread = inside(gate, port.read, 16, 4)
    assert outer.close(timeout=0.05) is False
    gate.open.set()
    thread.join(PATIENCE)
    assert outer.close(timeout=PATIENCE) is True


def test_a_handler_may_close_its_own_region():
    mmio = RegionMap()
    regions = []

    def write(vcpu, offset, size, value):
        regions.append(region.close())

    region = mmio.add(0, 16, write=write)
    port = mmio.port(None)
    port.write(0, 4, 0)
    assert regions == [True]
    with pytest.raises(UnmappedError):
        port.write(0, 4, 0)


def test_waiting_holds_no_lock(gate):
    """While one thread waits in close, the map is used and changed by others."""
    mmio = RegionMap()
    region = mmio.add(0, 16, gate)
    port = mmio.port(None)
    reader = inside(gate, port.read, 0, 4)
    closer = run(region.close)
    mmio.add(0x100, 16, Recorder())
    assert port.read(0x104, 4) == 4
    assert closer.is_alive()
    gate.open.set()
    closer.join(PATIENCE)
    reader.join(PATIENCE)
    assert not closer.is_alive()


def test_an_instrumented_port_is_waited_for(gate):
    mmio = RegionMap()
    region = mmio.add(0, 16, gate)
    thread = inside(gate, mmio.port(None, instruments=[lambda record: None]).read, 0, 4)
    assert region.close(timeout=0.05) is False
    gate.open.set()
    thread.join(PATIENCE)


def test_a_thread_inside_a_generator_is_seen(gate):
    """The stack of a thread that accesses the map from a generator is walked to its root."""
    mmio = RegionMap()
    region = mmio.add(0, 16, gate)
    port = mmio.port(None)

    def accesses():
        while True:
            yield port.read(0, 4)

    thread = inside(gate, lambda: next(accesses()))
    assert region.close(timeout=0.05) is False
    gate.open.set()
    thread.join(PATIENCE)


def test_a_thread_that_begins_in_a_generator_delays_nothing_for_long():
    mmio = RegionMap()
    region = mmio.add(0, 16, Recorder())
    leave = threading.Event()

    def body():
        leave.wait(PATIENCE)
        yield

    threads = [run(body().__next__) for _ in range(2)]
    assert region.close(timeout=PATIENCE) is True
    leave.set()
    for thread in threads:
        thread.join(PATIENCE)


def test_close_in_a_transaction_waits_for_nothing_or_is_refused():
    mmio = RegionMap()
    region = mmio.add(0, 16, Recorder())
    with mmio.transaction():
        with pytest.raises(TransactionError, match="close"):
            region.close()
        assert region.close(wait=False) is False
        assert region in mmio
    assert region not in mmio


def test_a_closed_address_is_free_again():
    mmio = RegionMap()
    region = mmio.add(0, 16, Recorder())
    with pytest.raises(OverlapError):
        mmio.add(0, 16, Recorder())
    region.close()
    mmio.add(0, 16, Recorder())


def test_a_fallback_closes_as_well(gate):
    mmio = RegionMap()
    hole = mmio.add_fallback(0, 16, gate)
    thread = inside(gate, mmio.port(None).read, 0, 4)
    assert hole.close(timeout=0.05) is False
    gate.open.set()
    thread.join(PATIENCE)
    assert hole.close(timeout=PATIENCE) is True
    assert mmio.fallbacks == ()
