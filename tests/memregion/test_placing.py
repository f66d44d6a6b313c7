# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Placing, finding, moving and removing regions, and what is refused."""

import pytest

from memregion.recording import Recorder
from vmmkit.errors import (
    DeniedError,
    OverlapError,
    RegionConfigError,
    RegionRangeError,
    UnknownRegionError,
    UnmappedError,
)
from vmmkit.memregion import IMMUTABLE, READ, WRITE, Region, RegionMap


@pytest.fixture
def mmio():
    return RegionMap(name="mmio")


def test_a_handle_tells_what_it_is(mmio):
    region = mmio.add(0x1000, 0x20, Recorder(), name="uart")
    assert (region.base, region.size, region.last) == (0x1000, 0x20, 0x101F)
    assert (region.name, region.kind, region.flags) == ("uart", "device", READ | WRITE)
    assert region.enabled
    assert region.buffer is None
    assert repr(region) == "<Region 'uart' [0x1000, 0x101f] device READ|WRITE>"
    region.disable()
    assert repr(region).endswith("READ|WRITE disabled>")
    region.close()
    assert repr(region).endswith("READ|WRITE closed>")


def test_handles_are_compared_by_identity(mmio):
    device = Recorder()
    first, second = mmio.add(0, 16, device), mmio.add(16, 16, device)
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize(("base", "size"), [(1.0, 4), ("0", 4), (0, "4"), (None, 4), (0, None)])
def test_ranges_are_integers(mmio, base, size):
    with pytest.raises(RegionRangeError):
        mmio.add(base, size, Recorder())
    with pytest.raises(RegionRangeError):
        mmio.conflicts(base, size)


def test_adjacent_regions_do_not_overlap(mmio):
    for base in (0x100, 0x108, 0xF8):
        mmio.add(base, 8, Recorder(), name=hex(base))
    assert [region.name for region in mmio] == ["0xf8", "0x100", "0x108"]
    assert mmio.find(0xFF).name == "0xf8"
    assert mmio.find(0x110) is None


def test_find_conflicts_and_membership(mmio):
    regions = [mmio.add(base, 0x10, Recorder()) for base in (0x10, 0x30, 0x50)]
    assert mmio.conflicts(0x1F, 0x12) == regions[:2]
    assert mmio.conflicts(0, 0x1000) == regions
    assert mmio.conflicts(0x20, 0x10) == []
    assert mmio.conflicts(0x38, 1) == [regions[1]]
    assert [mmio.find(address) for address in (0xF, 0x10, 0x1F, 0x20, -1, 1 << 64)] == [
        None,
        regions[0],
        regions[0],
        None,
        None,
        None,
    ]
    assert all(region in mmio for region in regions)
    assert "region" not in mmio
    assert regions[0] not in RegionMap()
    assert len(mmio) == 3


def test_iteration_is_of_the_map_as_it_was(mmio):
    for base in (0, 16, 32):
        mmio.add(base, 16, Recorder())
    for region in mmio:
        mmio.remove(region)
    assert len(mmio) == 0


def test_move_keeps_the_handle(mmio):
    region = mmio.add(0, 16, Recorder())
    port = mmio.port(None)
    assert port.read(4, 4) == 4
    region.move(0x1000)
    assert port.read(0x1004, 4) == 4
    with pytest.raises(UnmappedError):
        port.read(4, 4)


@pytest.mark.parametrize("base", [8, -8 + 64, 0, 15])
def test_move_over_its_own_range(mmio, base):
    region = mmio.add(8, 16, Recorder())
    region.move(base)
    assert mmio.find(base) is region
    assert len(mmio) == 1
    mmio._check()


def test_a_refused_move_changes_nothing(mmio):
    region = mmio.add(0, 16, Recorder(), name="mover")
    mmio.add(0x100, 16, Recorder(), name="owner")
    port = mmio.port(None)
    with pytest.raises(OverlapError, match=r"'mover' \[0xf8, 0x107\] overlaps 'owner' \[0x100"):
        region.move(0xF8)
    with pytest.raises(RegionRangeError):
        region.move((1 << 64) - 15)
    with pytest.raises(RegionRangeError):
        region.move(-1)
    assert port.read(4, 4) == 4
    assert region.base == 0
    mmio._check()


def test_a_disabled_region_claims_nothing(mmio):
    region = mmio.add(0, 16, Recorder(), name="bar", enabled=False)
    assert mmio.disabled == (region,)
    assert region not in mmio
    with pytest.raises(UnmappedError):
        mmio.port(None).read(0, 4)
    other = mmio.add(8, 16, Recorder())
    with pytest.raises(OverlapError, match="bar"):
        region.enable()
    assert not region.enabled
    region.move(0x100)
    region.enable()
    assert mmio.port(None).read(0x104, 4) == 4
    region.disable()
    region.disable()
    other.close()
    region.move(0)
    region.enable()
    region.enable()
    assert list(mmio) == [region]
    assert mmio.disabled == ()
    mmio._check()


def test_a_disabled_region_can_be_removed(mmio):
    region = mmio.add(0, 16, Recorder(), enabled=False)
    mmio.remove(region)
    assert mmio.disabled == ()
    with pytest.raises(UnknownRegionError):
        region.enable()


def test_an_immutable_region_may_be_enabled(mmio):
    region = mmio.add(0, 16, Recorder(), flags=IMMUTABLE, enabled=False)
    region.enable()
    assert region in mmio


def test_foreign_and_closed_handles(mmio):
    other = RegionMap().add(0, 16, Recorder())
    closed = mmio.add(0, 16, Recorder())
    closed.close()
    for handle in (other, closed, None, 5):
        for operation in (mmio.remove, mmio.enable, mmio.disable, lambda h: mmio.move(h, 0)):
            with pytest.raises(UnknownRegionError):
                operation(handle)


class ReadOnly:
    def read(self, vcpu, offset, size):
        return 5


class WriteOnly:
    def write(self, vcpu, offset, size, value):
        pass


@pytest.mark.parametrize(
    ("handlers", "flags"),
    [
        ({"device": Recorder()}, READ | WRITE),
        ({"device": ReadOnly()}, READ),
        ({"device": WriteOnly()}, WRITE),
        ({"read": ReadOnly().read}, READ),
        ({"write": WriteOnly().write}, WRITE),
        ({"read": ReadOnly().read, "write": WriteOnly().write}, READ | WRITE),
    ],
)
def test_flags_follow_the_handlers(mmio, handlers, flags):
    device = handlers.pop("device", None)
    region = mmio.add(0, 16, device, **handlers)
    assert region.flags == flags
    port = mmio.port(None)
    for flag, attempt in ((READ, lambda: port.read(0, 4)), (WRITE, lambda: port.write(0, 4, 0))):
        if flags & flag:
            attempt()
        else:
            with pytest.raises(DeniedError):
                attempt()


@pytest.mark.parametrize(
    ("flags", "result"),
    [
        (READ, READ),
        (WRITE, WRITE),
        (IMMUTABLE, READ | WRITE | IMMUTABLE),
        (READ | IMMUTABLE, READ | IMMUTABLE),
    ],
)
def test_flags_given(mmio, flags, result):
    assert mmio.add(0, 16, Recorder(), flags=flags).flags == result


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"read": 5},
        {"write": "write"},
        {"read": ReadOnly().read, "flags": WRITE},
        {"read": ReadOnly().read, "flags": READ | WRITE},
    ],
)
def test_handlers_that_will_not_do(mmio, arguments):
    with pytest.raises(RegionConfigError):
        mmio.add(0, 16, **arguments)
    assert len(mmio) == 0


@pytest.mark.parametrize("device", [object(), 5, "text"])
def test_devices_that_will_not_do(mmio, device):
    with pytest.raises(RegionConfigError):
        mmio.add(0, 16, device)
    with pytest.raises(RegionConfigError):
        mmio.add(0, 16, Recorder(), read=ReadOnly().read)


@pytest.mark.parametrize(
    "arguments",
    [
        {"address_bits": 0},
        {"address_bits": 129},
        {"access_sizes": ()},
        {"access_sizes": (3,)},
        {"access_sizes": (1, 128)},
        {"straddle": "wrap"},
    ],
)
def test_maps_that_will_not_do(arguments):
    with pytest.raises(RegionConfigError):
        RegionMap(**arguments)


def test_regions_are_made_by_maps(mmio):
    assert isinstance(mmio.add(0, 16, Recorder()), Region)
    with pytest.raises(AttributeError):
        mmio.find(0).base = 5
