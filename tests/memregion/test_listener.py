# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What listeners hear, when, and in which order."""

# ruff: noqa: PT012 - the body of a transaction is several statements

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memregion.recording import Journal, Recorder, Slots
from vmmkit.errors import OverlapError
from vmmkit.memregion import RegionMap


@pytest.fixture
def mmio():
    return RegionMap()


@pytest.fixture
def journal(mmio):
    journal = Journal()
    mmio.subscribe(journal)
    return journal


def test_single_changes(mmio, journal):
    region = mmio.add(0, 16, Recorder(), name="a")
    region.move(16)
    region.disable()
    region.move(32)
    region.enable()
    region.enable()
    region.close()
    assert journal.heard == [
        ("added", "a", 0),
        ("moved", "a", 0, 16),
        ("removed", "a"),
        ("added", "a", 32),
        ("removed", "a"),
    ]


def test_a_commit_is_told_as_its_net_difference(mmio, journal):
    gone = mmio.add(0x00, 16, Recorder(), name="gone")
    moved = mmio.add(0x10, 16, Recorder(), name="moved")
    still = mmio.add(0x20, 16, Recorder(), name="still")
    journal.heard.clear()
    with mmio.transaction():
        mmio.add(0x00, 16, Recorder(), name="come")
        brief = mmio.add(0x500, 16, Recorder(), name="brief")
        mmio.remove(gone)
        moved.move(0x100)
        still.move(0x200)
        still.move(0x20)
        mmio.remove(brief)
        assert journal.heard == []
    assert journal.heard == [
        ("removed", "gone"),
        ("moved", "moved", 0x10, 0x100),
        ("added", "come", 0),
    ]


def test_a_swap_is_told_without_overlap(mmio, journal):
    left, right = mmio.add(0, 16, Recorder(), name="l"), mmio.add(16, 16, Recorder(), name="r")
    journal.heard.clear()
    with mmio.transaction():
        left.move(16)
        right.move(0)
    assert journal.heard == [
        ("removed", "l"),
        ("removed", "r"),
        ("added", "r", 0),
        ("added", "l", 16),
    ]


def test_nothing_is_told_of_what_did_not_happen(mmio, journal):
    region = mmio.add(0, 16, Recorder())
    journal.heard.clear()
    with pytest.raises(OverlapError):
        mmio.add(8, 16, Recorder())
    with pytest.raises(KeyError), mmio.transaction():
        region.move(64)
        raise KeyError
    with mmio.transaction():
        pass
    assert journal.heard == []


def test_fallbacks_are_not_told(mmio, journal):
    mmio.add_fallback(0, 16).close()
    assert journal.heard == []


def test_buffers_are_visible(mmio):
    memory = bytearray(16)
    seen = []

    class Listener(Journal):
        def region_added(self, region):
            seen.append((region.kind, region.buffer))

    mmio.subscribe(Listener())
    mmio.add_ram(0, memory)
    mmio.add_rom(16, b"rom")
    mmio.add(32, 16, Recorder())
    assert [kind for kind, _ in seen] == ["ram", "rom", "device"]
    assert seen[0][1].obj is memory
    assert bytes(seen[1][1]) == b"rom"
    assert seen[2][1] is None


def test_replay(mmio):
    mmio.add(16, 16, Recorder(), name="b")
    mmio.add(0, 16, Recorder(), name="a")
    mmio.add(32, 16, Recorder(), name="c", enabled=False)
    journal = Journal()
    mmio.subscribe(journal, replay=True)
    assert journal.heard == [("added", "a", 0), ("added", "b", 16)]


def test_unsubscribe(mmio, journal):
    mmio.unsubscribe(journal)
    mmio.unsubscribe(journal)
    mmio.add(0, 16, Recorder())
    assert journal.heard == []


def test_a_listener_may_access_and_change_the_map(mmio, journal):
    port = mmio.port(None)
    answers = []

    class Follower(Journal):
        def region_added(self, region):
            answers.append(port.read(region.base + 4, 4))
            if region.name == "first":
                mmio.add(0x100, 16, Recorder(), name="second")
                answers.append(port.read(0x108, 4))

    last = Journal()
    mmio.subscribe(Follower())
    mmio.subscribe(last)
    mmio.add(0, 16, Recorder(), name="first")
    assert answers == [4, 8, 4]
    # Both hear of the commits in their order, though the second began inside the first's news.
    assert journal.heard == last.heard == [("added", "first", 0), ("added", "second", 0x100)]


class Failing(Journal):
    def region_added(self, region):
        super().region_added(region)
        raise ValueError(region.name)


def test_a_listener_that_raises_undoes_nothing(mmio):
    failing, after = Failing(), Journal()
    mmio.subscribe(failing)
    mmio.subscribe(after)
    with pytest.raises(ValueError, match="a") as caught:
        mmio.add(0, 16, Recorder(), name="a")
    assert "the change stands" in caught.value.__notes__[0]
    assert mmio.find(0).name == "a"
    assert after.heard == [("added", "a", 0)]
    mmio._check()
    mmio.find(0).close()


def test_several_that_raise(mmio):
    mmio.subscribe(Failing())
    mmio.subscribe(Failing())
    with pytest.raises(ExceptionGroup) as caught:
        mmio.add(0, 16, Recorder(), name="a")
    assert len(caught.value.exceptions) == 2
    assert len(mmio) == 1


SIZE = 8


@given(st.data())
def test_slots_never_overlap(data):
    """Any commit, followed literally by a hypervisor's slots, passes through legal states."""
    mmio = RegionMap(address_bits=10)
    slots = Slots()
    mmio.subscribe(slots)
    places = st.integers(0, 24)
    regions = [
        mmio.add(0, data.draw(st.sampled_from([SIZE, 2 * SIZE])), Recorder(), enabled=False)
        for _ in range(6)
    ]
    for _ in range(4):
        try:
            with mmio.transaction():
                for region in regions:
                    region.move(SIZE * data.draw(places))
                    region.enable() if data.draw(st.booleans()) else region.disable()
        except OverlapError:
            pass
        assert slots.slots == {region: (region.base, region.size) for region in mmio}
