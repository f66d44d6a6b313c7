# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Access policies, against a model that handles one byte at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memregion.recording import Recorder, Registers
from vmmkit.errors import AccessSizeError, DeniedError, RegionConfigError
from vmmkit.memregion import READ, WRITE, AccessPolicy, RegionMap

BASE = 0x1003  # policies speak of offsets, so the base may be odd


def place(device, policy, **more):
    mmio = RegionMap()
    mmio.add(BASE, 64, device, policy=policy, name="device", **more)
    return mmio, mmio.port(None)


@pytest.mark.parametrize(
    ("policy", "offset", "size", "accesses"),
    [
        ({"max_size": 4, "too_wide": "split"}, 8, 8, [(8, 4), (12, 4)]),
        ({"max_size": 4, "too_wide": "split"}, 6, 8, [(6, 4), (10, 4)]),
        ({"max_size": 1, "too_wide": "split"}, 5, 4, [(5, 1), (6, 1), (7, 1), (8, 1)]),
        (
            {"max_size": 4, "too_wide": "split", "aligned": True},
            6,
            8,
            [(6, 2), (8, 4), (12, 2)],
        ),
        ({"aligned": True, "misaligned": "split"}, 1, 4, [(1, 1), (2, 2), (4, 1)]),
        ({"aligned": True, "misaligned": "split"}, 2, 8, [(2, 2), (4, 4), (8, 2)]),
        ({"aligned": True, "misaligned": "split"}, 8, 8, [(8, 8)]),
        ({"max_size": 8, "too_wide": "split"}, 0, 32, [(0, 8), (8, 8), (16, 8), (24, 8)]),
    ],
)
def test_splitting(policy, offset, size, accesses):
    device = Recorder()
    _, port = place(device, AccessPolicy(**policy))
    expected = 0
    for at, width in accesses:
        expected |= (at & (1 << 8 * width) - 1) << 8 * (at - offset)
    for _ in range(2):
        device.log.clear()
        assert port.read(BASE + offset, size) == expected
        assert [entry[2:] for entry in device.log] == accesses
    device.log.clear()
    value = int.from_bytes(bytes(range(1, size + 1)), "little")
    port.write(BASE + offset, size, value)
    assert [entry[2:4] for entry in device.log] == accesses
    for _, _, at, width, part in device.log:
        assert part == value >> 8 * (at - offset) & (1 << 8 * width) - 1


@pytest.mark.parametrize(
    ("policy", "flags", "offset", "size", "error"),
    [
        ({"max_size": 4}, READ | WRITE, 0, 8, AccessSizeError),
        ({"min_size": 4}, READ | WRITE, 0, 2, AccessSizeError),
        ({"aligned": True}, READ | WRITE, 2, 4, DeniedError),
        ({}, READ | WRITE, 0, 16, AccessSizeError),
        # Splitting would need an access narrower than the device takes.
        (
            {"min_size": 2, "aligned": True, "misaligned": "split"},
            READ | WRITE,
            1,
            4,
            AccessSizeError,
        ),
    ],
)
def test_refusals_name_the_access_and_the_region(policy, flags, offset, size, error):
    device = Recorder()
    mmio, port = place(device, AccessPolicy(**policy), flags=flags)
    for attempt in (
        lambda: port.read(BASE + offset, size),
        lambda: port.write(BASE + offset, size, 0),
    ):
        with pytest.raises(
            error, match=rf"{size} bytes at {BASE + offset:#x} .*'device'"
        ) as caught:
            attempt()
        assert caught.value.region == "device"
    assert device.log == []
    mmio._check()


@pytest.mark.parametrize(
    ("policy", "flags", "offset", "size"),
    [
        ({"max_size": 4, "too_wide": "ones"}, READ | WRITE, 0, 8),
        ({"min_size": 4, "too_narrow": "ones"}, READ | WRITE, 0, 2),
        ({"aligned": True, "misaligned": "ones"}, READ | WRITE, 2, 4),
        ({"too_wide": "ones"}, READ | WRITE, 0, 16),
        (
            {"min_size": 2, "aligned": True, "misaligned": "split", "too_narrow": "ones"},
            READ | WRITE,
            1,
            4,
        ),
    ],
)
def test_open_bus(policy, flags, offset, size):
    device = Recorder()
    _, port = place(device, AccessPolicy(**policy), flags=flags)
    for _ in range(2):
        assert port.read(BASE + offset, size) == (1 << 8 * size) - 1
        port.write(BASE + offset, size, 5)
    assert device.log == []


@pytest.mark.parametrize("flags", [READ, WRITE])
def test_denied(flags):
    device = Recorder()
    _, port = place(device, AccessPolicy(denied="ones"), flags=flags)
    port.write(BASE, 4, 5)
    assert port.read(BASE, 4) == (0 if flags == READ else 0xFFFF_FFFF)
    assert [entry[0] for entry in device.log] == ["read" if flags == READ else "write"]
    _, port = place(device, AccessPolicy(), flags=flags)
    with pytest.raises(DeniedError, match="not permitted"):
        port.write(BASE, 4, 5) if flags == READ else port.read(BASE, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_size": 0},
        {"max_size": 3},
        {"max_size": 128},
        {"min_size": 8, "max_size": 4},
        {"too_wide": "wrap"},
        {"too_narrow": "split"},
        {"misaligned": ""},
        {"denied": "split"},
    ],
)
def test_policies_that_will_not_do(arguments):
    with pytest.raises(RegionConfigError):
        AccessPolicy(**arguments)


def test_policies_are_values():
    assert AccessPolicy(max_size=4) == AccessPolicy(max_size=4)
    assert len({AccessPolicy(), AccessPolicy(), AccessPolicy(aligned=True)}) == 2


@given(
    max_size=st.sampled_from([1, 2, 4, 8, 16]),
    aligned=st.booleans(),
    offset=st.integers(0, 48),
    size=st.sampled_from([1, 2, 4, 8, 16]),
    value=st.integers(0, (1 << 128) - 1),
)
def test_a_split_access_moves_the_same_bytes(max_size, aligned, offset, size, value):
    policy = AccessPolicy(max_size=max_size, aligned=aligned, too_wide="split", misaligned="split")
    device = Registers(64)
    _, port = place(device, policy)
    port.write(BASE + offset, size, value)
    expected = bytearray(64)
    expected[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    assert device.data == expected
    assert port.read(BASE + offset, size) == value & (1 << 8 * size) - 1


def test_only_accesses_that_ask_for_it_pay():
    """An access that complies goes straight to the device's own handler."""
    device = Recorder()
    policy = AccessPolicy(max_size=4, aligned=True, too_wide="split", misaligned="split")
    _, port = place(device, policy)
    port.read(BASE + 4, 4)
    (_, reads), _ = port.tables()
    handler, where, _, _ = reads[4][BASE + 4]
    assert handler == device.read
    assert where == 4
