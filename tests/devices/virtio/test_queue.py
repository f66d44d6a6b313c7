# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Virtqueues against the driver's side of both rings, with no transport between them."""

import mmap
import random
import struct
import subprocess
import sys

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.virtio.rings import RINGS, Ram
from vmmkit.devices.virtio import packed_ring
from vmmkit.devices.virtio.queue import VirtQueue
from vmmkit.devices.virtio.split_ring import SplitRing

PACKED, INDIRECT, EVENT = 1 << 34, 1 << 28, 1 << 29
KINDS = [
    pytest.param(kind, indirect, event, id=f"{kind}{'-indirect' * indirect}{'-event' * event}")
    for kind in RINGS
    for indirect in (False, True)
    for event in (False, True)
]


class Owner:
    """A device that is nothing but queues."""

    def __init__(self, ram):
        self.ram = ram
        self.running = True
        self.used = 0
        self.failed = 0
        self.broken = []

    def queue_memory(self):
        return self.ram if self.running and not self.broken else None

    def queue_used(self, queue):
        self.used += 1

    def queue_broken(self, queue, reason):
        self.broken.append(reason)

    def queue_failed(self, queue):
        self.failed += 1


class Bench:
    """One queue and its driver, which agree on kind and features."""

    def __init__(self, kind="split", indirect=False, event=False, size=8, seams=()):
        self.ram = Ram(seams=seams)
        self.owner = Owner(self.ram)
        self.driver = RINGS[kind](self.ram, size, indirect=indirect, event_index=event)
        self.queue = VirtQueue(self.owner, 0, 64)
        self.queue.size = size
        self.queue.areas = list(self.driver.areas)
        self.features = (kind == "packed") * PACKED | indirect * INDIRECT | event * EVENT
        self.queue.enable(self.features)

    def buffer(self, data_or_size):
        data = bytes(data_or_size)
        address = self.ram.alloc(len(data), 1)
        self.ram.write(address, data)
        return address, len(data)


def upper(chain):
    """Answer with the request in capitals."""
    return chain.writable.write(0, chain.readable.read().upper())


@pytest.mark.parametrize(("kind", "indirect", "event"), KINDS)
def test_round_trips_wrap_around(kind, indirect, event):
    bench = Bench(kind, indirect, event, size=4)
    for turn in range(100):
        question = bench.buffer(b"turn %d" % turn)
        answer = bench.buffer(10)
        assert bench.driver.add([question], [answer], turn)
        bench.queue.process(upper)
        assert bench.driver.collect() == [(turn, question[1])]
        assert bench.ram.read(answer[0], question[1]) == b"TURN %d" % turn
    assert bench.owner.broken == []


@pytest.mark.parametrize(("kind", "indirect", "event"), KINDS)
def test_a_full_ring_is_handled_in_order_by_one_call(kind, indirect, event):
    bench = Bench(kind, indirect, event, size=8)
    count = 0
    while bench.driver.add([bench.buffer(b"a"), bench.buffer(b"b")], [], count):
        count += 1
    assert count == (8 if indirect else 4)
    seen = []
    bench.queue.process(lambda chain: seen.append(chain.readable.read()) or 0)
    assert seen == [b"ab"] * count
    assert bench.driver.collect() == [(token, 0) for token in range(count)]


@pytest.mark.parametrize(("kind", "indirect", "event"), KINDS)
def test_interrupts_that_nobody_wants_are_not_sent(kind, indirect, event):
    bench = Bench(kind, indirect, event)
    bench.driver.interrupts(False)
    bench.driver.add([bench.buffer(b"x")])
    bench.queue.process(upper)
    assert bench.owner.used == 0
    bench.driver.collect()
    bench.driver.interrupts(True)
    bench.driver.add([bench.buffer(b"x")])
    bench.queue.process(upper)
    assert bench.owner.used == 1


@pytest.mark.parametrize("kind", RINGS)
def test_an_interrupt_comes_when_the_event_index_is_passed(kind):
    bench = Bench(kind, event=True, size=5 if kind == "packed" else 8)
    sent = []
    for _turn in range(40):
        bench.driver.interrupts(True, after=3)
        for _ in range(3):
            bench.driver.add([bench.buffer(b"x")])
            bench.queue.process(upper)
            sent.append(bench.owner.used)
        bench.driver.collect()
        bench.owner.used = 0
    assert sent == [0, 0, 1] * 40


@pytest.mark.parametrize("kind", RINGS)
def test_notifications_are_asked_for_from_the_next_chain_on(kind):
    bench = Bench(kind, event=True)
    for _ in range(20):
        bench.driver.add([bench.buffer(b"x")])
        assert bench.driver.kick_wanted()
        bench.queue.process(upper)
        bench.driver.collect()


@pytest.mark.parametrize(("kind", "indirect", "event"), KINDS)
def test_deliver_shows_all_chains_at_once_or_none(kind, indirect, event):
    bench = Bench(kind, indirect, event)
    for token in range(3):
        bench.driver.add([], [bench.buffer(4)], token)

    def fill(count):
        def take(pop):
            chains = [pop() for _ in range(count)]
            assert bench.driver.collect() == []
            return [] if None in chains else [(chain, 4) for chain in chains]

        return take

    assert not bench.queue.deliver(fill(4))
    assert bench.driver.collect() == []
    assert bench.queue.deliver(fill(2))
    assert bench.driver.collect() == [(0, 4), (1, 4)]
    assert bench.queue.deliver(fill(1))
    assert bench.driver.collect() == [(2, 4)]
    assert bench.owner.broken == []


def test_the_first_of_several_packed_chains_becomes_used_last(monkeypatch):
    bench, order = Bench("packed"), []

    class Cells:
        def __init__(self, ring):
            self.cells = ring.cast("H")

        def __setitem__(self, cell, value):
            order.append(divmod(cell, 8))
            self.cells[cell] = value

    for token in range(3):
        bench.driver.add([], [bench.buffer(4)], token)
    monkeypatch.setattr(packed_ring, "index_cells", Cells)
    assert bench.queue.deliver(lambda take: [(chain, 4) for chain in iter(take, None)])
    assert order == [(2, 7), (1, 7), (0, 7)]
    assert bench.driver.collect() == [(0, 4), (1, 4), (2, 4)]


@pytest.mark.parametrize(("kind", "indirect", "event"), KINDS)
def test_snapshot_and_restore_in_the_midst(kind, indirect, event):
    bench = Bench(kind, indirect, event, size=4)
    for turn in range(50):
        bench.driver.add([bench.buffer(b"x")], [bench.buffer(1)], turn)
        other = VirtQueue(bench.owner, 0, 64)
        other.restore(bench.queue.snapshot(), bench.features)
        bench.queue = other
        bench.queue.process(upper)
        assert bench.driver.collect() == [(turn, 1)]


@pytest.mark.parametrize("event", [False, True])
def test_the_indices_of_a_split_ring_wrap_at_16_bits(event):
    bench = Bench("split", event=event)
    near = 0xFFFD
    state = attrs.evolve(bench.queue.snapshot(), ring=(near, near, near))
    bench.queue.restore(state, bench.features)
    for area in bench.driver.areas[1:]:
        bench.ram.put("H", area + 2, near)
    bench.driver.available = bench.driver.kicked = bench.driver.seen = near
    bench.driver.interrupts(True)
    for turn in range(8):
        bench.driver.add([bench.buffer(b"x")], [bench.buffer(1)], turn)
        assert bench.driver.kick_wanted() or turn == 0
        bench.queue.process(upper)
        assert bench.driver.collect() == [(turn, 1)]
        assert bench.owner.used == turn + 1
        assert not bench.queue.deliver(lambda take: [(chain, 0) for chain in iter(take, None)])


@pytest.mark.parametrize(("kind", "indirect", "event"), KINDS)
def test_nothing_to_do_is_no_interrupt(kind, indirect, event):
    bench = Bench(kind, indirect, event)
    bench.driver.add([bench.buffer(b"x")])
    for _ in range(3):
        bench.queue.process(upper)
    assert bench.owner.used == 1


@pytest.mark.parametrize("kind", RINGS)
def test_a_restored_queue_with_nothing_available_delivers_nothing(kind):
    bench = Bench(kind)
    for token in range(3):
        bench.driver.add([], [bench.buffer(1)], token)
        bench.queue.process(upper)
        bench.driver.collect()
    bench.queue.restore(bench.queue.snapshot(), bench.features)
    assert not bench.queue.deliver(lambda take: [(chain, 0) for chain in iter(take, None)])
    assert bench.owner.broken == []


@pytest.mark.parametrize("kind", RINGS)
def test_a_handler_does_not_enter_its_own_queue(kind):
    bench = Bench(kind)
    for token in range(3):
        bench.driver.add([bench.buffer(b"x")], [bench.buffer(1)], token)

    def nosy(chain):
        bench.queue.process(upper)
        assert not bench.queue.deliver(lambda take: [(take(), 0)])
        return upper(chain)

    bench.queue.process(nosy)
    assert bench.driver.collect() == [(0, 1), (1, 1), (2, 1)]


def test_buffers_may_lie_across_seams_of_ram():
    seams = (0x10_8000, 0x10_9000, 0x10_B000)
    bench = Bench(seams=seams)
    bench.ram.next = 0x10_7F01
    data = random.Random(1).randbytes(0x6000)
    question, answer = bench.buffer(data), bench.buffer(0)
    bench.driver.add([question], [(0x11_0000, len(data))])
    got = []
    bench.queue.process(lambda chain: got.append(chain.readable.read()) or 0)
    assert got == [data]
    assert answer[1] == 0


# -- what a hostile driver may write -------------------------------------------------------------


def split(**corruption):
    bench = Bench("split", indirect=corruption.pop("indirect", False))
    bench.driver.put_descriptor(0, 0x11_0000, 16)
    for slot, fields in corruption.get("table", {}).items():
        bench.driver.put_descriptor(slot, *fields)
    if "inner" in corruption:
        for at, fields in enumerate(corruption["inner"]):
            bench.ram.put("QIHH", 0x12_0000 + 16 * at, *fields)
    bench.driver.offer(corruption.get("head", 0))
    if "index" in corruption:
        bench.ram.put("H", bench.driver.avail + 2, corruption["index"])
    return bench


N, W, T = 1, 2, 4  # next, write, indirect table
MALFORMED_SPLIT = {
    "a head out of the table": {"head": 8},
    "a successor out of the table": {"table": {0: (0x11_0000, 1, N, 8)}},
    "a chain that loops": {"table": {0: (0x11_0000, 1, N, 1), 1: (0x11_0000, 1, N, 0)}},
    "a descriptor that follows itself": {"table": {0: (0x11_0000, 1, N, 0)}},
    "readable after writable": {"table": {0: (0x11_0000, 1, N | W, 1), 1: (0x11_0000, 1, 0, 0)}},
    "an available index that jumps": {"index": 9},
    "an available index that goes back": {"index": 0xFFFF},
    "a buffer that wraps": {"table": {0: ((1 << 64) - 1, 2, 0, 0)}},
    "a buffer that is no RAM": {"table": {0: (0xDEAD_0000_0000, 16, 0, 0)}},
    "a buffer of 4 GiB": {"table": {0: (0x11_0000, 0xFFFF_FFFF, 0, 0)}},
    "indirect though not negotiated": {"table": {0: (0x12_0000, 16, T, 0)}},
    "indirect and next": {"indirect": True, "table": {0: (0x12_0000, 16, T | N, 0)}},
    "a table of no whole descriptors": {"indirect": True, "table": {0: (0x12_0000, 17, T, 0)}},
    "an empty table": {"indirect": True, "table": {0: (0x12_0000, 0, T, 0)}},
    "a table of 4 GiB": {"indirect": True, "table": {0: (0x12_0000, 0xFFFF_FFF0, T, 0)}},
    "a table that is no RAM": {"indirect": True, "table": {0: (0xDEAD_0000_0000, 16, T, 0)}},
    "a table that wraps": {"indirect": True, "table": {0: ((1 << 64) - 16, 32, T, 0)}},
    "a table in a table": {
        "indirect": True,
        "table": {0: (0x12_0000, 16, T, 0)},
        "inner": [(0x12_0000, 16, T, 0)],
    },
    "a table that loops": {
        "indirect": True,
        "table": {0: (0x12_0000, 32, T, 0)},
        "inner": [(0x11_0000, 1, N, 1), (0x11_0000, 1, N, 0)],
    },
    "a table left by its chain": {
        "indirect": True,
        "table": {0: (0x12_0000, 16, T, 0)},
        "inner": [(0x11_0000, 1, N, 1)],
    },
}


@pytest.mark.parametrize("what", MALFORMED_SPLIT)
def test_a_malformed_split_ring_breaks_the_device(what):
    bench = split(**MALFORMED_SPLIT[what])
    bench.queue.process(upper)
    assert len(bench.owner.broken) == 1
    assert bench.ram.get("H", bench.driver.used + 2) == 0
    bench.queue.process(upper)
    assert len(bench.owner.broken) == 1


A = 0x80
MALFORMED_PACKED = {
    "a chain longer than the ring": [(0x11_0000, 1, 0, A | N)] * 8,
    "readable after writable": [(0x11_0000, 1, 0, A | N | W), (0x11_0000, 1, 0, A)],
    "indirect though not negotiated": [(0x12_0000, 16, 0, A | T)],
    "a buffer that is no RAM": [(0xDEAD_0000_0000, 16, 0, A)],
    "a buffer of 4 GiB": [(0x11_0000, 0xFFFF_FFFF, 0, A)],
    "a buffer that wraps": [((1 << 64) - 1, 2, 0, A)],
}
MALFORMED_PACKED_INDIRECT = {
    "indirect and next": [(0x12_0000, 16, 0, A | T | N)],
    "indirect after direct": [(0x11_0000, 1, 0, A | N), (0x12_0000, 16, 0, A | T)],
    "a table of no whole descriptors": [(0x12_0000, 17, 0, A | T)],
    "an empty table": [(0x12_0000, 0, 0, A | T)],
    "a table of 4 GiB": [(0x12_0000, 0xFFFF_FFF0, 0, A | T)],
    "a table in a table": [(0x12_0000, 32, 0, A | T)],
}


@pytest.mark.parametrize(
    ("indirect", "descriptors"),
    [
        pytest.param(indirect, descriptors, id=what)
        for indirect, table in ((False, MALFORMED_PACKED), (True, MALFORMED_PACKED_INDIRECT))
        for what, descriptors in table.items()
    ],
)
def test_a_malformed_packed_ring_breaks_the_device(indirect, descriptors):
    bench = Bench("packed", indirect=indirect)
    bench.ram.put("QIHH", 0x12_0010, 0x12_0000, 16, 0, T)
    for at, fields in enumerate(descriptors):
        bench.ram.put("QIHH", bench.driver.descriptors + 16 * at, *fields)
    bench.queue.process(upper)
    assert len(bench.owner.broken) == 1


@pytest.mark.parametrize(
    ("kind", "size", "areas"),
    [
        ("split", 6, (0x10_0000, 0x10_1000, 0x10_2000)),
        ("split", 0, (0x10_0000, 0x10_1000, 0x10_2000)),
        ("split", 128, (0x10_0000, 0x10_1000, 0x10_2000)),
        ("split", 8, (0x10_0008, 0x10_1000, 0x10_2000)),
        ("split", 8, (0x10_0000, 0x10_1001, 0x10_2000)),
        ("split", 8, (0x10_0000, 0x10_1000, 0x10_2002)),
        ("packed", 0, (0x10_0000, 0x10_1000, 0x10_2000)),
        ("packed", 65, (0x10_0000, 0x10_1000, 0x10_2000)),
        ("packed", 8, (0x10_0000, 0x10_1002, 0x10_2000)),
        ("packed", 8, (0x10_0000, 0x10_1000, 0x10_2002)),
    ],
)
def test_a_ring_described_wrongly_is_not_enabled(kind, size, areas):
    owner = Owner(Ram())
    queue = VirtQueue(owner, 0, 64)
    queue.size, queue.areas = size, list(areas)
    queue.enable((kind == "packed") * PACKED)
    assert (len(owner.broken), queue.enabled) == (1, False)


@pytest.mark.parametrize("kind", RINGS)
@pytest.mark.parametrize("missing", range(3))
def test_a_ring_that_is_no_ram_breaks_the_device(kind, missing):
    owner = Owner(Ram())
    queue = VirtQueue(owner, 0, 64)
    queue.areas = [0x10_0000, 0x10_1000, 0x10_2000]
    queue.areas[missing] = 0xFFFF_FFFF_FFFF_FFF0
    queue.enable((kind == "packed") * PACKED)
    queue.process(upper)
    assert len(owner.broken) == 1


@pytest.mark.parametrize("kind", RINGS)
def test_a_handler_that_raises_gives_its_chain_back(kind):
    bench = Bench(kind)
    bench.driver.add([bench.buffer(b"x")], [bench.buffer(1)], "a")

    def fail(chain):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.queue.process(fail)
    assert bench.driver.collect() == [("a", 0)]
    assert bench.owner.used == 1
    bench.driver.add([bench.buffer(b"x")], [bench.buffer(1)], "b")
    bench.queue.process(upper)
    assert bench.driver.collect() == [("b", 1)]


@pytest.mark.parametrize("kind", RINGS)
def test_deliver_takes_no_more_chains_than_there_are_elements(kind):
    """A driver on another processor can add empty chains for ever, and nothing is given back."""
    bench, taken = Bench(kind, size=4), []

    def fill(take):
        while take() is not None:
            taken.append(1)
            assert len(taken) <= 4
            offer_again(bench.driver)
        return ()

    offer_again(bench.driver)
    assert not bench.queue.deliver(fill)
    assert len(taken) == 4
    assert ["4 elements" in reason for reason in bench.owner.broken] == [True]


def offer_again(driver):
    """Offer an empty buffer, whether there is room or not."""
    driver.free = list(range(driver.size))
    driver.room, driver.tokens = driver.size, {}
    assert driver.add([], [(0x11_0000, 0)])


class Hurried:
    """A lock; what another thread does as soon as it is free is done then."""

    def __init__(self, lock, at_once):
        self.lock, self.at_once = lock, at_once

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()
        at_once, self.at_once = self.at_once, lambda: None
        at_once()


@pytest.mark.parametrize("kind", RINGS)
def test_a_ring_is_broken_before_another_thread_may_reset_it(kind):
    """Otherwise the reset is forgotten, and the driver finds a device that needs another one."""
    bench = Bench(kind)
    bench.driver.add([(0xDEAD_0000_0000, 1)])
    seen = []
    bench.queue.lock = Hurried(bench.queue.lock, lambda: seen.extend(bench.owner.broken))
    bench.queue.process(upper)
    assert seen == bench.owner.broken
    assert (len(seen), bench.owner.failed) == (1, 1)


WATCHER = """
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as ram:
    used = memoryview(ram).cast("H")
    at, zeros = int(sys.argv[2]) // 2, 0
    print("watching", flush=True)
    while used[at] != 0xFFFF:
        zeros += not used[at]
    print(zeros)
    used.release()
"""


def test_a_driver_on_another_processor_sees_no_index_that_was_not_stored(tmp_path):
    """The watcher is a process, since threads of one do not see half of what another one does."""
    path = tmp_path / "ram"
    path.write_bytes(bytes(1 << 20))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        ram = Ram()
        ram.bytes = shared
        driver = RINGS["split"](ram, 4)
        ring = SplitRing(4, driver.areas, indirect=False, event_index=False)
        driver.add([], [(0x11_0000, 4)])
        ring.open(ram)
        chain = ring.pop()
        ring.push(chain, 4)
        command = [sys.executable, "-c", WATCHER, path, str(driver.used + 2 - ram.base)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as watcher:
            assert watcher.stdout.readline() == b"watching\n"
            for _ in range(0xFFFE):
                ring.push(chain, 4)
            assert watcher.stdout.read() == b"0\n"
        ring.close()


@pytest.mark.parametrize("kind", RINGS)
def test_a_handler_may_reset_its_queue(kind):
    bench = Bench(kind)
    for token in range(3):
        bench.driver.add([bench.buffer(b"x")], [], token)
    calls = []
    bench.queue.process(lambda chain: calls.append(bench.queue.reset()) or 0)
    assert (len(calls), bench.driver.collect(), bench.owner.broken) == (1, [], [])


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(RINGS)),
    st.booleans(),
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([0x10_0000, 0x10_0010, 0x11_0000, 0xFFFF_FFFF_FFFF_FFF0, 0]),
            st.sampled_from([0, 1, 16, 32, 48, 0x1_0000, 0xFFFF_FFF0]),
            st.integers(0, 9),
            st.integers(0, 9),
        ),
        max_size=8,
    ),
    st.binary(max_size=64),
    st.integers(0, 0xFFFF),
)
def test_any_ring_memory_ends_in_bounded_work(kind, indirect, event, table, avail, index):
    bench = Bench(kind, indirect, event)
    for at, (address, size, low, high) in enumerate(table):
        flags = (low | (A if high & 1 else 0), high) if kind == "packed" else (low, high)
        words = (high, flags[0]) if kind == "packed" else flags
        bench.ram.put("QIHH", bench.driver.descriptors + 16 * at, address, size, *words)
    bench.ram.write(bench.driver.areas[1], avail)
    if kind == "split":
        bench.ram.put("H", bench.driver.avail + 2, index)
    handled = []

    def handler(chain):
        handled.append(chain)
        chain.writable.write(0, chain.readable.read(0, 64))
        return min(chain.writable.size, 64)

    bench.queue.process(handler)
    assert len(handled) <= bench.queue.size


def test_one_buffer_at_a_time_is_enough_for_a_driver_that_knows_only_bytes():
    """A chain written out by hand, so that the driver above is no judge of its own."""
    bench = Bench("split", size=2)
    table, avail, used = bench.driver.areas
    bench.ram.write(0x11_0000, b"hi")
    bench.ram.write(table, struct.pack("<QIHHQIHH", 0x11_0000, 2, 1, 1, 0x11_0100, 4, 2, 0))
    bench.ram.write(avail, struct.pack("<HHH", 0, 1, 0))
    bench.queue.process(upper)
    assert bench.ram.read(used, 12) == struct.pack("<HHII", 0, 1, 0, 2)
    assert bench.ram.read(0x11_0100, 4) == b"HI\0\0"


def test_a_packed_chain_written_out_by_hand():
    bench = Bench("packed", size=2)
    bench.ram.write(0x11_0000, b"hi")
    ring = struct.pack("<QIHHQIHH", 0x11_0000, 2, 0, 0x81, 0x11_0100, 4, 7, 0x82)
    bench.ram.write(bench.driver.descriptors, ring)
    bench.queue.process(upper)
    assert bench.ram.read(bench.driver.descriptors + 8, 8) == struct.pack("<IHH", 2, 7, 0x8082)
    assert bench.ram.read(0x11_0100, 4) == b"HI\0\0"
