# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a port answers: widths, edges, bad sizes and addresses, handlers that misbehave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memregion.recording import Recorder, Registers
from vmmkit.errors import (
    AccessAddressError,
    AccessSizeError,
    AccessValueError,
    BusError,
    HandlerError,
    StraddleError,
    UnmappedError,
)
from vmmkit.memregion import AccessPolicy, RegionMap


@pytest.fixture
def mmio():
    return RegionMap(name="mmio")


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("answer", [-1, 1 << 200, 0x1_2345_6789_ABCD_EF01, True, 0])
def test_results_are_masked_to_the_width(mmio, size, answer):
    mmio.add(0, 16, read=lambda vcpu, offset, width: answer)
    port = mmio.port(None)
    for _ in range(2):  # once by a miss, once by a hit
        assert port.read(0, size) == answer & (1 << 8 * size) - 1


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("value", [-1, 1 << 200, 0xABCD_EF01_2345_6789, True])
def test_values_are_masked_to_the_width(mmio, size, value):
    device = Recorder()
    mmio.add(0, 16, device)
    port = mmio.port(None)
    port.write(0, size, value)
    port.write(0, size, value)
    assert [entry[4] for entry in device.log] == [value & (1 << 8 * size) - 1] * 2


@pytest.mark.parametrize("size", [3, 0, -1, 9, 5, 128, "4", None, 4.5, [4], 1 << 70])
def test_bad_sizes(mmio, size):
    device = Recorder()
    mmio.add(0, 64, device)
    port = mmio.port(None)
    port.read(8, 4)
    for attempt in (lambda: port.read(8, size), lambda: port.write(8, size, 0)):
        with pytest.raises(AccessSizeError, match="mmio"):
            attempt()
    assert len(device.log) == 1
    mmio._check()


@pytest.mark.parametrize(
    "address", [-1, -8, 1 << 64, 1 << 200, "16", None, 16.5, [16], float("nan"), float("inf"), b"1"]
)
def test_bad_addresses(mmio, address):
    device = Recorder()
    mmio.add(0, 64, device)
    port = mmio.port(None)
    port.read(16, 4)
    for attempt in (lambda: port.read(address, 4), lambda: port.write(address, 4, 0)):
        with pytest.raises(AccessAddressError):
            attempt()
    assert len(device.log) == 1
    mmio._check()


def test_bad_accesses_leave_no_entry(mmio):
    mmio.add(0, 64, Recorder())
    port = mmio.port(None)
    for address, size in [(-1, 4), (8, 3), (100, 4), (62, 4), (8, 16)]:
        with pytest.raises((AccessAddressError, AccessSizeError, UnmappedError, StraddleError)):
            port.read(address, size)
    assert not any(cell for _, table in port.tables() for cell in table.values())


@pytest.mark.parametrize("warm", [False, True])
def test_numbers_count_by_value_whatever_a_table_holds(mmio, warm):
    mmio.add(0, 64, Recorder())
    port = mmio.port(None)
    if warm:
        port.read(8, 4)
        port.read(1, 1)
    assert port.read(8.0, 4) == 8
    assert port.read(True, True) == 1


@pytest.mark.parametrize("value", [None, "1", 1.5, [1], b"1"])
def test_a_value_that_is_no_integer(mmio, value):
    device = Recorder()
    mmio.add(0, 64, device)
    with pytest.raises(AccessValueError, match="0x8"):
        mmio.port(None).write(8, 4, value)
    assert device.log == []


@pytest.mark.parametrize("answer", [None, "1", 1.5, b"1", [1], {1}])
def test_an_answer_that_is_no_integer(mmio, answer):
    mmio.add(0x1000, 64, read=lambda vcpu, offset, size: answer, name="garbage")
    with pytest.raises(HandlerError, match=r"'garbage' .*read of 4 bytes at 0x1008") as caught:
        mmio.port(None).read(0x1008, 4)
    assert (caught.value.address, caught.value.size, caught.value.region) == (0x1008, 4, "garbage")


@pytest.mark.parametrize(
    "error", [KeyError(1), TypeError("x"), ValueError("x"), UnmappedError("", 0, 1)]
)
def test_what_a_handler_raises_is_wrapped(mmio, error):
    """In particular a KeyError or TypeError is no miss: the handler runs once."""
    calls = []

    def read(vcpu, offset, size):
        calls.append("read")
        raise error

    def write(vcpu, offset, size, value):
        calls.append("write")
        raise error

    mmio.add(0, 64, read=read, write=write, name="broken")
    port = mmio.port(None)
    for _ in range(2):
        with pytest.raises(HandlerError, match="broken") as caught:
            port.read(0, 4)
        assert caught.value.__cause__ is error
        with pytest.raises(HandlerError, match="broken") as caught:
            port.write(0, 4, 0)
        assert caught.value.__cause__ is error
    assert calls == ["read", "write"] * 2


def test_a_bus_error_passes_unchanged(mmio):
    error = BusError("parity", 4, 4)

    def read(vcpu, offset, size):
        raise error

    mmio.add(0, 64, read=read)
    with pytest.raises(BusError) as caught:
        mmio.port(None).read(4, 4)
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_programs_passes_unchanged(mmio, error):
    def access(*args):
        raise error

    mmio.add(0, 64, read=access, write=access)
    port = mmio.port(None)
    with pytest.raises(error):
        port.read(0, 4)
    with pytest.raises(error):
        port.write(0, 4, 0)


def test_a_handler_with_too_few_parameters_is_reported(mmio):
    mmio.add(0, 64, read=lambda: 0)
    with pytest.raises(HandlerError, match="TypeError"):
        mmio.port(None).read(0, 4)


def test_trusted_answers_pass_as_they_are(mmio):
    answer = object()
    mmio.add(0, 64, read=lambda vcpu, offset, size: answer, trusted=True)
    port = mmio.port(None)
    assert port.read(0, 4) is answer
    assert port.read(0, 4) is answer


def test_absolute_handlers_see_addresses(mmio):
    device = Recorder()
    mmio.add(0x1000, 64, device, absolute=True)
    port = mmio.port(None)
    assert port.read(0x1008, 4) == port.read(0x1008, 4) == 0x1008
    port.write(0x103C, 4, 5)
    assert device.log[-1] == ("write", None, 0x103C, 4, 5)


def test_nested_accesses(mmio):
    """An access made by a handler goes its own way, and its failure is the handler's."""
    port = mmio.port(None)
    mmio.add(0, 64, Registers(64))
    mmio.add(0x100, 64, read=lambda vcpu, offset, size: port.read(offset, size))
    port.write(8, 4, 77)
    assert port.read(0x108, 4) == 77
    mmio.add(0x200, 64, read=lambda vcpu, offset, size: port.read(0x1000, 4), name="outer")
    with pytest.raises(HandlerError, match="outer") as caught:
        port.read(0x200, 4)
    assert isinstance(caught.value.__cause__, UnmappedError)


@given(
    edges=st.lists(st.integers(0, 60), min_size=2, max_size=8, unique=True).map(sorted),
    address=st.integers(0, 63),
    size=st.sampled_from([1, 2, 4, 8]),
)
def test_every_byte_has_one_owner(edges, address, size):
    """Regions of any size at any place, against a table with one entry a byte."""
    mmio = RegionMap(address_bits=6)
    owners = [None] * 64
    for base, stop in zip(edges[::2], edges[1::2], strict=False):
        mmio.add(base, stop - base, read=lambda vcpu, at, width, base=base: base + at)
        owners[base:stop] = [base] * (stop - base)
    port = mmio.port(None)
    if address + size > 64:
        expected = AccessAddressError
    elif len(touched := set(owners[address : address + size])) > 1:
        expected = StraddleError
    else:
        expected = UnmappedError if touched == {None} else None
    for _ in range(2):
        if expected is None:
            assert port.read(address, size) == address
        else:
            with pytest.raises(expected):
                port.read(address, size)
    mmio._check()


def test_a_full_table_starts_again(monkeypatch, mmio):
    monkeypatch.setattr("vmmkit._region_access.TABLE_LIMIT", 16)
    mmio.add(0, 64, Recorder())
    port = mmio.port(None)
    for address in range(40):
        assert port.read(address, 1) == address
        assert port.read(address, 1) == address
    (_, reads), _ = port.tables()
    assert 0 < len(reads[1]) <= 16
    mmio._check()


def test_functions_taken_from_a_port_keep_it_alive(mmio):
    region = mmio.add(0, 64, Recorder())
    read = mmio.port(None).read
    assert read(4, 4) == 4
    mmio.remove(region)
    with pytest.raises(UnmappedError):
        read(4, 4)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_vector_sizes_are_for_regions_that_ask(mmio, size):
    mmio.add(0, 64, Registers(64), name="plain")
    mmio.add(64, 64, Registers(64), policy=AccessPolicy(max_size=size))
    port = mmio.port(None)
    with pytest.raises(AccessSizeError, match="plain"):
        port.read(0, size)
    value = int.from_bytes(bytes(range(size)), "little")
    port.write(64, size, value)
    assert port.read(64, size) == port.read(64, size) == value
