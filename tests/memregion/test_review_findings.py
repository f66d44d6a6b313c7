# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes that a hostile review found in the address map, each with what failed before."""

import copy
import gc
import pickle
import sys
import threading
import time

import pytest

from vmmkit.errors import (
    AccessAddressError,
    BusError,
    DecodeError,
    DecodeReason,
    HandlerError,
    OverlapError,
    RegionConfigError,
    TransactionError,
    UnmappedError,
)
from vmmkit.memregion import AccessPolicy, RegionFlags, RegionMap, all_ones


@pytest.fixture
def mmio():
    return RegionMap(name="mmio")


@pytest.fixture
def tiny_switch_interval():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.stress
def test_a_fallback_that_moves_is_told_offsets_of_one_place_or_the_other(
    mmio, tiny_switch_interval
):
    """The offset was once reckoned from the base after the move."""
    seen, stop = set(), threading.Event()
    fallback = mmio.add_fallback(0x1000, 0x1000, read=lambda _vcpu, at, _size: seen.add(at) or 0)

    def hammer(read):
        while not stop.is_set():
            try:
                read(0x1800, 1)
            except UnmappedError:
                continue

    readers = [threading.Thread(target=hammer, args=(mmio.port(n).read,)) for n in range(2)]
    for reader in readers:
        reader.start()
    finish = time.monotonic() + 1.5
    while time.monotonic() < finish:
        fallback.move(0x100000)
        fallback.move(0x1000)
    stop.set()
    for reader in readers:
        reader.join()
    assert seen == {0x800}


class Cycle:
    """Garbage whose finalizer changes the map."""

    def __init__(self, region):
        self.myself, self.region = self, region

    def __del__(self):
        self.region.close(wait=False)


@pytest.mark.parametrize("threshold", range(1, 120, 7))
def test_a_finalizer_inside_a_commit_waits_for_its_end(threshold):
    """The collector may run at any allocation of a commit, and finalizers may change the map."""
    gc.freeze()  # what other tests have left is not what is collected here
    gc.disable()
    space = RegionMap()
    for number in range(3):
        Cycle(space.add(number * 16, 8, all_ones, name=f"garbage {number}"))
    before = gc.get_threshold()
    try:
        with space.transaction():
            for number in range(40):
                space.add(0x2000 + number * 16, 8, all_ones, name=str(number))
            gc.set_threshold(gc.get_count()[0] + threshold, 1000, 1000)
            gc.enable()
    finally:
        gc.set_threshold(*before)
        gc.enable()
    gc.collect()
    gc.unfreeze()
    space._check()
    assert len(space) == 40


class Interrupting(int):
    """A base address whose comparison is interrupted after a while, as Ctrl-C would."""

    patience = 0

    def _wait(self):
        Interrupting.patience -= 1
        if Interrupting.patience == 0:
            raise KeyboardInterrupt

    def __lt__(self, other):
        self._wait()
        return int(self) < int(other)

    def __gt__(self, other):
        self._wait()
        return int(self) > int(other)

    __hash__ = int.__hash__


@pytest.mark.parametrize("patience", range(1, 40, 3))
def test_an_interrupted_commit_is_undone(mmio, patience):
    regions = [mmio.add(number * 0x100, 8, all_ones, name=str(number)) for number in range(20)]
    bases = [region.base for region in regions]
    Interrupting.patience = patience
    try:
        with mmio.transaction():
            for region in regions[::2]:
                region.move(Interrupting(region.base + 0x10_0000))
    except KeyboardInterrupt:
        assert [region.base for region in regions] == bases
    Interrupting.patience = 0
    mmio._check()
    assert len(mmio) == 20
    assert [*mmio] == sorted(regions, key=lambda region: int(region.base))


def test_fallbacks_are_not_copied_for_the_first_miss_after_a_change(mmio):
    for number in range(400):
        mmio.add_fallback(number * 0x100, 0x80)
    region = mmio.add(0, 8, all_ones)
    region.move(0x10)
    mmio.port(None).read(0x10, 1)
    assert mmio._resolver._index is None


def test_close_that_waits_is_refused_in_a_listener(mmio):
    """It would wait for handlers that wait for the listener."""
    outcome = []

    class Listener:
        def region_added(self, region):
            with pytest.raises(TransactionError, match="listener"):
                region.close()
            outcome.append(region.close(wait=False))

        def region_removed(self, region):
            outcome.append(region)

        def region_moved(self, region, old_base):
            raise AssertionError

    mmio.subscribe(Listener())
    region = mmio.add(0, 8, all_ones)
    assert outcome == [False, region]


def test_closing_twice_is_allowed_in_a_transaction(mmio):
    region = mmio.add(0, 8, all_ones)
    with mmio.transaction():
        assert not region.close(wait=False)
        assert not region.close(wait=False)
    with mmio.transaction():
        assert not region.close(wait=False)
    assert len(mmio) == 0


class Silent:
    region_added = None


CONFIGURATIONS = [
    lambda _mmio: RegionMap(address_bits=16.0),
    lambda _mmio: RegionMap(address_bits="16"),
    lambda _mmio: RegionMap(access_sizes=5),
    lambda _mmio: RegionMap(access_sizes=[[1]]),
    lambda mmio: mmio.add(0, 8, all_ones, flags="r"),
    lambda mmio: mmio.add(0, 8, all_ones, flags=RegionFlags(8)),
    lambda mmio: mmio.add(0, 8, all_ones, policy=None),
    lambda mmio: mmio.add(0, 8, all_ones, name=None),
    lambda mmio: mmio.add_rom(0, b"rom", on_write=[]),
    lambda mmio: mmio.subscribe(None),
    lambda mmio: mmio.subscribe(Silent()),
    lambda mmio: mmio.add(0, 8, all_ones).close(timeout="x"),
]


@pytest.mark.parametrize("configure", CONFIGURATIONS)
def test_arguments_of_another_kind_are_refused_and_change_nothing(mmio, configure):
    held = mmio.add(0x1000, 8, all_ones)
    with pytest.raises(RegionConfigError):
        configure(mmio)
    mmio._check()
    assert held in mmio


@pytest.mark.parametrize("address", ["x", None, 1.5])
def test_find_wants_an_address(mmio, address):
    with pytest.raises(AccessAddressError):
        mmio.find(address)


ERRORS = [
    UnmappedError("nothing", 4, 8),
    BusError("refused", 4, 8, "uart"),
    OverlapError("both", "a", "b"),
    DecodeError("bytes", DecodeReason.INVALID, b"\x0f\x0b"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_pickle_and_copy(error, copied):
    twin = copied(error)
    assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


def test_a_refusal_does_not_show_the_miss_of_a_table(mmio):
    with pytest.raises(UnmappedError) as refused:
        mmio.port(None).read(0x1000, 4)
    assert refused.value.__suppress_context__
    assert refused.value.__cause__ is None


def test_a_handler_that_reads_itself_is_told_once(mmio):
    port = mmio.port(None)
    mmio.add(0, 8, read=lambda _vcpu, offset, size: port.read(offset, size), name="loop")
    with pytest.raises(HandlerError) as failed:
        port.read(0, 4)
    assert len(str(failed.value)) < 400
    assert isinstance(failed.value.__cause__, RecursionError)


def test_text_of_errors_survives_addresses_that_equal_integers(mmio):
    mmio.add(0, 64, read=lambda *_: 1 // 0, write=lambda *_: None, name="bad")
    port = mmio.port(None)
    with pytest.raises(HandlerError, match="at 0x10"):
        port.read(16.0, 4)
    with pytest.raises(TypeError, match="at 0x10"):
        port.write(16.0, 4, "x")


def test_a_transaction_that_is_kept_keeps_no_region(mmio):
    with mmio.transaction() as kept:
        mmio.add(0, 8, all_ones, policy=AccessPolicy())
    assert not kept._wishes
