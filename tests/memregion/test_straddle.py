# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Accesses whose bytes have more than one owner."""

import pytest

from memregion.recording import Recorder, Registers
from vmmkit.errors import AccessSizeError, StraddleError, UnmappedError
from vmmkit.memregion import AccessPolicy, RegionMap


def build(straddle):
    mmio = RegionMap(straddle=straddle)
    left, right = Registers(8), Registers(8)
    left.data[:] = bytes(range(0x10, 0x18))
    right.data[:] = bytes(range(0x20, 0x28))
    mmio.add(0x100, 8, left, name="left")
    mmio.add(0x108, 8, right, name="right")
    return mmio, mmio.port(None), left, right


@pytest.mark.parametrize(
    ("address", "size", "names"),
    [
        (0x106, 4, ["'left' [0x100, 0x107]", "'right' [0x108, 0x10f]"]),
        (0x10E, 4, ["'right'", "no region from 0x110"]),
        (0xFE, 4, ["no region from 0xfe", "'left'"]),
    ],
)
def test_raise_names_all_owners(address, size, names):
    _, port, left, _ = build("raise")
    before = bytes(left.data)
    for attempt in (lambda: port.read(address, size), lambda: port.write(address, size, 0)):
        with pytest.raises(StraddleError) as caught:
            attempt()
        assert all(name in str(caught.value) for name in names)
        assert (caught.value.address, caught.value.size) == (address, size)
    assert left.data == before


def test_split_goes_to_each_owner():
    mmio, port, left, right = build("split")
    for _ in range(2):
        assert port.read(0x106, 4) == 0x21201716
        assert port.read(0x101, 8) == int.from_bytes(bytes(range(0x11, 0x18)) + b"\x20", "little")
    port.write(0x106, 4, 0xAABBCCDD)
    assert left.data[6:] == b"\xdd\xcc"
    assert right.data[:2] == b"\xbb\xaa"
    mmio._check()


def test_split_pieces_are_natural_and_ascend():
    mmio = RegionMap(straddle="split")
    device = Recorder()
    mmio.add(0x101, 7, device, absolute=True)
    mmio.add(0x108, 8, device, absolute=True)
    mmio.port(None).write(0x103, 8, 0)
    assert [entry[2:4] for entry in device.log] == [(0x103, 1), (0x104, 4), (0x108, 2), (0x10A, 1)]


def test_split_is_all_or_nothing():
    mmio = RegionMap(straddle="split")
    device = Recorder()
    mmio.add(0x100, 8, device)
    mmio.add(0x108, 8, device, policy=AccessPolicy(min_size=4), name="wide")
    mmio.add(0x200, 8, device)
    port = mmio.port(None)
    with pytest.raises(AccessSizeError, match="wide"):
        port.write(0x106, 4, 0)
    with pytest.raises(UnmappedError) as caught:
        port.write(0x206, 4, 0)
    assert (caught.value.address, caught.value.size) == (0x208, 2)
    with pytest.raises(UnmappedError):
        port.read(0xFF, 2)
    assert device.log == []


def test_ones_answers_for_the_whole():
    mmio, port, left, right = build("ones")
    before = bytes(left.data + right.data)
    for _ in range(2):
        assert port.read(0x106, 4) == 0xFFFF_FFFF
        port.write(0x106, 4, 0)
    assert left.data + right.data == before
    mmio._check()


@pytest.mark.parametrize("straddle", ["raise", "ones", "split"])
def test_nobody_at_all_is_unmapped(straddle):
    mmio = RegionMap(straddle=straddle)
    mmio.add_fallback(0x100, 8)
    with pytest.raises(UnmappedError):
        mmio.port(None).read(0x10, 8)


def test_into_a_fallback_is_never_kept():
    mmio = RegionMap(straddle="split")
    mmio.add(0x100, 8, Registers(8))
    mmio.add_fallback(0x104, 0x100)
    port = mmio.port(None)
    assert port.read(0x106, 4) == 0xFFFF_0000
    assert not any(cell for _, table in port.tables() for cell in table.values())
    mmio.add(0x108, 8, Registers(8))
    assert port.read(0x106, 4) == 0


def test_over_a_region_inside_a_fallback():
    mmio = RegionMap(straddle="split")
    mmio.add_fallback(0x100, 0x100)
    mmio.add(0x103, 2, Registers(2))
    assert mmio.port(None).read(0x100, 8) == 0xFFFF_FF00_00FF_FFFF


def test_across_three_regions():
    mmio = RegionMap(straddle="split")
    for base in (1, 2, 3):
        mmio.add(base, 1, read=lambda vcpu, offset, size, base=base: base)
    port = mmio.port(None)
    with pytest.raises(UnmappedError):
        port.read(0, 4)
    mmio.add(4, 1, read=lambda vcpu, offset, size: 4)
    assert port.read(1, 4) == 0x04030201
