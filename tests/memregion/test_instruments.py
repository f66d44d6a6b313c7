# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Ports that are watched."""

import json

import pytest

from memregion.recording import Recorder
from vmmkit.errors import AccessAddressError, HandlerError, UnmappedError
from vmmkit.memregion import AccessRecord, BreakOn, Counters, RegionMap, TraceRing


@pytest.fixture
def mmio():
    mmio = RegionMap()
    mmio.add(0x1000, 16, Recorder(), name="uart")
    mmio.add_fallback(0x2000, 16)
    return mmio


def test_a_sink_gets_a_record_of_every_access(mmio):
    records = []
    port = mmio.port("cpu0", instruments=[records.append])
    assert port.read(0x1004, 4) == 4
    port.write(0x1008, 2, 7)
    assert port.read(0x2000, 1) == 0xFF
    with pytest.raises(UnmappedError):
        port.read(0x3000, 8)
    assert [record[:6] for record in records] == [
        ("cpu0", False, 0x1004, 4, 4, "uart"),
        ("cpu0", True, 0x1008, 2, 7, "uart"),
        ("cpu0", False, 0x2000, 1, 0xFF, None),
        ("cpu0", False, 0x3000, 8, None, None),
    ]
    assert all(isinstance(record, AccessRecord) and record.duration >= 0 for record in records)
    assert [type(record.error) for record in records] == [type(None)] * 3 + [UnmappedError]


def test_records_read_well(mmio):
    lines = []
    port = mmio.port("cpu0", instruments=[lambda record: lines.append(str(record))])
    port.write(0x1008, 2, 7)
    with pytest.raises(UnmappedError):
        port.read(0x3000, 8)
    assert lines == ["write 2 @ 0x1008 uart = 0x7", "read  8 @ 0x3000 - = - UnmappedError"]


def test_a_plain_port_has_no_trace_of_instruments(mmio):
    plain, watched = mmio.port(None), mmio.port(None, instruments=[Counters()])
    assert plain.read.__code__ is not watched.read.__code__
    assert plain.read.__code__ is mmio.port(1).read.__code__


@pytest.mark.parametrize("address", ["x", -1, None])
def test_bad_addresses_are_recorded_as_they_came(mmio, address):
    records = []
    with pytest.raises(AccessAddressError):
        mmio.port(None, instruments=[records.append]).read(address, 4)
    assert records[0].address == address


def test_a_ring_keeps_the_last(mmio):
    ring = TraceRing(capacity=3)
    port = mmio.port(None, instruments=[ring])
    for offset in range(5):
        port.read(0x1000 + offset, 1)
    assert [record.address for record in ring] == [0x1002, 0x1003, 0x1004]
    assert (len(ring), ring.dropped) == (3, 2)


def test_a_trace_opens_in_perfetto(mmio):
    ring = TraceRing()
    for vcpu in (0, 1):
        port = mmio.port(vcpu, instruments=[ring])
        port.read(0x1000, 4)
        port.write(0x2000, 4, 255)
        with pytest.raises(UnmappedError):
            port.read(0x3000, 4)
    trace = json.loads(ring.to_chrome_json())
    events = trace["traceEvents"]
    names = [event["args"]["name"] for event in events if event["ph"] == "M"]
    assert names == ["vCPU 0", "vCPU 1"]
    complete = [event for event in events if event["ph"] == "X"]
    assert [event["tid"] for event in complete] == [0, 0, 0, 1, 1, 1]
    assert [event["name"] for event in complete[:3]] == [
        "read uart",
        "write unclaimed",
        "read unclaimed",
    ]
    assert complete[1]["args"] == {"address": "0x2000", "size": 4, "value": "0xff"}
    assert "no region" in complete[2]["args"]["error"]
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in complete)


def test_a_strange_trace_still_is_json(mmio):
    ring = TraceRing()
    port = mmio.port(None, instruments=[ring])
    with pytest.raises(AccessAddressError):
        port.read("x", 4)
    assert json.loads(ring.to_chrome_json())["traceEvents"][1]["args"]["address"] == "'x'"


def test_tracks_are_named_as_asked_for(mmio):
    ring = TraceRing()
    mmio.port("boot", instruments=[ring]).read(0x1000, 1)
    track, _access = json.loads(ring.to_chrome_json(name=str.upper))["traceEvents"]
    assert track["args"] == {"name": "BOOT"}


def test_instruments_of_a_map_watch_all_its_ports():
    ring, counters, own = TraceRing(), Counters(), Counters()
    mmio = RegionMap(instruments=[ring, counters])
    mmio.add(0x1000, 16, Recorder(), name="uart")
    first, second = mmio.port("cpu0"), mmio.port("cpu1", instruments=[own])
    first.write(0x1000, 1, 0)
    second.read(0x1000, 4)
    assert [record.vcpu for record in ring] == ["cpu0", "cpu1"]
    assert counters["uart"] == (1, 1, 4, 1, 0)
    assert own["uart"] == (1, 0, 4, 0, 0)


def test_counters(mmio):
    counters = Counters()
    ports = [mmio.port(vcpu, instruments=[counters]) for vcpu in range(2)]
    for port in ports:
        port.read(0x1000, 4)
        port.read(0x1000, 8)
        port.write(0x1000, 2, 0)
        port.read(0x2000, 1)
    with pytest.raises(UnmappedError):
        ports[0].read(0x3000, 1)
    assert counters["uart"] == (4, 2, 24, 4, 0)
    assert counters[None] == (2, 0, 2, 0, 1)
    assert counters["nobody"] == (0, 0, 0, 0, 0)
    assert list(counters) == ["uart", None]


@pytest.mark.parametrize(
    ("address", "size", "hit"),
    [
        (0x1004, 4, True),
        (0x1000, 8, True),
        (0x1000, 4, False),
        (0x1007, 1, True),
        (0x1008, 1, False),
    ],
)
def test_break_on_a_range(mmio, address, size, hit):
    seen = []
    breaker = BreakOn(0x1004, 0x1007, action=lambda *access: seen.append(access))
    port = mmio.port("cpu", instruments=[breaker])
    port.read(address, size)
    port.write(address, size, 5)
    assert breaker.hits == 2 * hit
    if hit:
        assert seen == [("cpu", False, address, size, None), ("cpu", True, address, size, 5)]


@pytest.mark.parametrize(("way", "hits"), [({"reads": False}, 1), ({"writes": False}, 1), ({}, 2)])
def test_break_on_one_direction(mmio, way, hits):
    breaker = BreakOn(0x1000, action=lambda *access: None, **way)
    port = mmio.port(None, instruments=[breaker])
    port.read(0x1000, 1)
    port.write(0x1000, 1, 0)
    assert breaker.hits == hits


def test_break_before_the_access(mmio):
    device = mmio.find(0x1000)

    def stop(*access):
        raise StopIteration

    port = mmio.port(None, instruments=[BreakOn(0x1000, action=stop)])
    with pytest.raises(StopIteration):
        port.write(0x1000, 4, 0)
    assert device.enabled


def test_break_calls_the_debugger(mmio, monkeypatch):
    calls = []
    monkeypatch.setattr("sys.breakpointhook", lambda: calls.append(1))
    mmio.port(None, instruments=[BreakOn(0x1000)]).read(0x1000, 4)
    assert calls == [1]


def test_failures_pass_through(mmio):
    mmio.add(0x4000, 16, read=lambda vcpu, offset, size: None)
    counters = Counters()
    with pytest.raises(HandlerError):
        mmio.port(None, instruments=[counters]).read(0x4000, 4)
    assert counters[""].errors == 1
