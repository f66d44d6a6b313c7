# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Many changes, one commit."""

# ruff: noqa: PT012 - the body of a transaction is several statements

import threading

import pytest

from memregion.recording import Recorder
from vmmkit.errors import (
    ImmutableRegionError,
    OverlapError,
    TransactionError,
    UnknownRegionError,
    UnmappedError,
)
from vmmkit.memregion import IMMUTABLE, RegionMap


@pytest.fixture
def mmio():
    return RegionMap()


def state(mmio):
    return [(region.name, region.base) for region in mmio]


def test_a_swap(mmio):
    left = mmio.add(0, 16, Recorder(), name="left")
    right = mmio.add(16, 16, Recorder(), name="right")
    port = mmio.port(None)
    port.read(0, 4)
    with mmio.transaction():
        left.move(16)
        right.move(0)
    assert state(mmio) == [("right", 0), ("left", 16)]
    mmio._check()


def test_a_rotation_of_many(mmio):
    regions = [mmio.add(16 * n, 16, Recorder(), name=str(n)) for n in range(100)]
    with mmio.transaction():
        for n, region in enumerate(regions):
            region.move(16 * ((n + 37) % 100))
    assert [region.base for region in regions] == [16 * ((n + 37) % 100) for n in range(100)]
    mmio._check()


def test_until_the_end_nothing_has_happened(mmio):
    old = mmio.add(0, 16, Recorder(), name="old")
    port = mmio.port(None)
    with mmio.transaction():
        new = mmio.add(32, 16, Recorder(), name="new")
        old.move(64)
        assert not new.enabled
        assert old.base == 0
        assert state(mmio) == [("old", 0)]
        assert port.read(4, 4) == 4
        with pytest.raises(UnmappedError):
            port.read(32, 4)
    assert state(mmio) == [("new", 32), ("old", 64)]


def test_an_exception_undoes_all(mmio):
    kept = mmio.add(0, 16, Recorder(), name="kept")
    resting = mmio.add(0, 16, Recorder(), name="resting", enabled=False)
    hole = mmio.add_fallback(0, 0x1000)
    with pytest.raises(KeyError, match="stop"), mmio.transaction():
        mmio.remove(kept)
        resting.move(32)
        resting.enable()
        mmio.remove_fallback(hole)
        new = mmio.add(64, 16, Recorder())
        raise KeyError("stop")
    assert state(mmio) == [("kept", 0)]
    assert mmio.fallbacks == (hole,)
    assert mmio.disabled == (resting,)
    assert resting.base == 0
    with pytest.raises(UnknownRegionError):
        mmio.remove(new)
    mmio._check()


def test_an_overlap_at_the_end_undoes_all(mmio):
    first = mmio.add(0, 16, Recorder(), name="first")
    mmio.add(32, 16, Recorder(), name="second")
    hole = mmio.add_fallback(0, 0x1000, name="hole")
    port = mmio.port(None)
    with (
        pytest.raises(OverlapError, match=r"'first' .0x28, 0x37. overlaps 'second'"),
        mmio.transaction(),
    ):
        first.move(40)
        mmio.add(0x100, 16, Recorder())
    with pytest.raises(OverlapError, match="hole"), mmio.transaction():
        first.move(0x200)
        mmio.add_fallback(0xFFF, 2)
    assert state(mmio) == [("first", 0), ("second", 32)]
    assert mmio.fallbacks == (hole,)
    assert port.read(4, 4) == 4
    mmio._check()


def test_overlaps_on_the_way_do_not_count(mmio):
    first = mmio.add(0, 16, Recorder(), name="first")
    with mmio.transaction():
        second = mmio.add(8, 16, Recorder(), name="second")
        second.move(4)
        mmio.remove(first)
    assert state(mmio) == [("second", 4)]


@pytest.mark.parametrize("count", [2, 50])
def test_newcomers_are_judged_among_themselves(mmio, count):
    mmio.add(0x10000, 16, Recorder())
    with pytest.raises(OverlapError, match="twin"), mmio.transaction():
        for n in range(count):
            mmio.add(16 * n, 16, Recorder(), name=f"n{n}")
        mmio.add(0, 16, Recorder(), name="twin")
    assert len(mmio) == 1
    mmio._check()


@pytest.mark.parametrize("others", [0, 1, 100])
def test_the_newcomer_is_named_first(mmio, others):
    """Whichever way overlap is judged, and whichever of the two lies lower."""
    mmio.add(0x108, 16, Recorder(), name="old")
    for n in range(others):
        mmio.add(0x1000 + 16 * n, 16, Recorder())
    for base in (0x100, 0x108, 0x110):
        with pytest.raises(OverlapError) as caught, mmio.transaction():
            mmio.add(base, 16, Recorder(), name="new")
            mmio.add(0x800, 16, Recorder())
        assert (caught.value.region.name, caught.value.other.name) == ("new", "old")


def test_added_and_removed_at_once(mmio):
    with mmio.transaction():
        region = mmio.add(0, 16, Recorder())
        mmio.remove(region)
        with pytest.raises(UnknownRegionError):
            region.move(32)
    assert len(mmio) == 0
    assert not region.enabled


def test_rules_hold_inside(mmio):
    pinned = mmio.add(0, 16, Recorder(), flags=IMMUTABLE)
    with mmio.transaction(), pytest.raises(ImmutableRegionError):
        pinned.move(32)
    assert pinned.base == 0


def test_an_inner_transaction_is_part_of_the_outer(mmio):
    left = mmio.add(0, 16, Recorder(), name="left")
    right = mmio.add(16, 16, Recorder(), name="right")
    with mmio.transaction():
        with mmio.transaction():
            left.move(16)
        assert left.base == 0
        right.move(0)
    assert state(mmio) == [("right", 0), ("left", 16)]


def test_a_failed_inner_transaction_undoes_itself_only(mmio):
    left = mmio.add(0, 16, Recorder(), name="left")
    with mmio.transaction():
        left.move(32)
        with pytest.raises(KeyError), mmio.transaction():
            left.move(64)
            mmio.add(128, 16, Recorder())
            raise KeyError
        mmio.add(0, 16, Recorder(), name="new")
    assert state(mmio) == [("new", 0), ("left", 32)]


def test_a_failed_outer_transaction_undoes_the_inner(mmio):
    with pytest.raises(KeyError), mmio.transaction():
        with mmio.transaction():
            mmio.add(0, 16, Recorder())
        raise KeyError
    assert len(mmio) == 0


def test_other_threads_wait_with_changes_but_not_with_accesses(mmio):
    mmio.add(0, 16, Recorder(), name="first")
    port, read = mmio.port(None), []
    reader = threading.Thread(target=lambda: read.append(port.read(4, 4)))
    writer = threading.Thread(target=lambda: mmio.add(32, 16, Recorder(), name="other"))
    with mmio.transaction():
        mmio.add(16, 16, Recorder(), name="second")
        reader.start()
        writer.start()
        reader.join(20)
        assert read == [4]
        writer.join(0.05)
        assert writer.is_alive()
    writer.join(20)
    assert [name for name, _ in state(mmio)] == ["first", "second", "other"]


def test_a_transaction_is_good_for_once(mmio):
    transaction = mmio.transaction()
    with transaction:
        pass
    with pytest.raises(TransactionError), transaction:
        pass


def test_a_transaction_ends_in_its_thread(mmio):
    errors = []

    def end():
        try:
            transaction.__exit__(None, None, None)
        except TransactionError as error:
            errors.append(error)

    transaction = mmio.transaction()
    with transaction:
        thread = threading.Thread(target=end)
        thread.start()
        thread.join(20)
    assert len(errors) == 1
    with pytest.raises(TransactionError):
        transaction.__exit__(None, None, None)


def test_transactions_end_innermost_first(mmio):
    outer, inner = mmio.transaction(), mmio.transaction()
    with outer:
        inner.__enter__()
        with pytest.raises(TransactionError, match="innermost"):
            outer.__exit__(None, None, None)
        inner.__exit__(None, None, None)


def test_changes_made_by_a_handler_inside_a_transaction_belong_to_it(mmio):
    region = mmio.add(0, 16, write=lambda vcpu, offset, size, value: region.move(value))
    with mmio.transaction():
        mmio.port(None).write(0, 4, 64)
        assert region.base == 0
    assert region.base == 64
