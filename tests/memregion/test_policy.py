# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Access policies, against a model that handles one byte at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memregion.recording import Recorder, Registers
from vmmkit.errors import AccessSizeError, DeniedError, RegionConfigError
from vmmkit.memregion import READ, WRITE, AccessPolicy, RegionMap, logged_ones

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


@pytest.mark.parametrize(
    ("policy", "flags", "offset", "size", "words"),
    [
        (AccessPolicy(denied="log"), WRITE, 0, 4, "is not permitted in"),
        (AccessPolicy(max_size=4, too_wide="log"), READ, 0, 8, "is wider than"),
        (AccessPolicy(min_size=4, too_narrow="log"), READ, 0, 1, "is narrower than"),
        (AccessPolicy(aligned=True, misaligned="log"), READ, 2, 4, "is misaligned in"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_log_answers_ones_and_warns_every_time(caplog, policy, flags, offset, size, words):
    space = RegionMap()
    handlers = {"read": lambda *_: 0, "write": lambda *_: None}
    space.add(0x1000, 0x100, **handlers, flags=flags, policy=policy, name="quiet")
    read = space.port(None).read
    for _ in range(2):
        assert read(0x1000 + offset, size) == (1 << 8 * size) - 1
    assert len(caplog.records) == 2
    assert f"read of {size} bytes at {0x1000 + offset:#x} {words}" in caplog.text
    assert "'quiet' [0x1000, 0x10ff]; reads as ones" in caplog.text


def test_log_drops_writes_with_their_value(caplog):
    space = RegionMap()
    space.add_rom(0x1000, bytes(16), on_write="log", name="rom")
    space.add_fallback(0x2000, 0x1000, logged_ones, absolute=True)
    port = space.port(None)
    port.write(0x1004, 4, 0xABCD)
    port.write(0x2004, 2, 0x1234)
    assert port.read(0x2008, 1) == 0xFF
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "write of 4 bytes at 0x1004 is not permitted in 'rom'" in caplog.text
    assert "0xabcd is dropped" in caplog.text
    assert "write of 2 bytes at 0x2004: nobody there; 0x1234 is dropped" in caplog.text
    assert "read of 1 bytes at 0x2008: nobody there; reads as ones" in caplog.text
