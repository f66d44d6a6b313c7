# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""LLDB's own packets about machine, process and threads."""

import json

import pytest

from gdb.small_target import BASE, NOP, STORE, TRAP, SmallTarget
from gdb.wire import Wire
from vmmkit.gdb.codec import unescape


def fields(reply):
    return dict(item.split(":") for item in reply.decode().split(";")[:-1])


def threads(wire):
    return json.loads(unescape(wire.ask(b"jThreadsInfo")))


@pytest.mark.parametrize(
    ("mode", "triple", "size"),
    [
        (64, "x86_64-unknown-unknown", "8"),
        (32, "i386-unknown-unknown", "4"),
        (16, "i386-unknown-unknown", "4"),
    ],
)
def test_host_and_process_are_those_of_the_mode(mode, triple, size):
    wire = Wire(SmallTarget(), mode=mode)
    architecture = {"triple": triple.encode().hex(), "endian": "little", "ptrsize": size}
    after = {"watchpoint_exceptions_received": "after"}
    assert fields(wire.ask(b"qHostInfo")) == architecture | after
    assert fields(wire.ask(b"qProcessInfo")) == {"pid": "1"} | architecture


@pytest.mark.parametrize(
    ("insert", "code", "expected"),
    [
        (b"Z0,1002,1", NOP * 4, {"reason": "breakpoint", "signal": 5}),
        (b"Z1,1002,1", NOP * 4, {"reason": "breakpoint", "signal": 5}),
        (b"Z2,1800,4", STORE, {"reason": "watchpoint", "signal": 5, "description": "6146"}),
        (b"qC", TRAP, {"reason": "signal", "signal": 4}),
    ],
)
def test_the_vcpu_that_stopped_says_why(insert, code, expected):
    wire = Wire(SmallTarget(2, code=code))
    wire.target.registers[0]["rdi"] = 0x1802
    wire.ask(insert)
    wire.send(b"vCont;c:1")
    assert wire.run(3)
    first, second = threads(wire)
    assert {key: first[key] for key in expected} == expected
    assert (first["tid"], first["name"]) == (1, "vCPU 0")
    assert (second["tid"], second["reason"]) == (2, "none")
    assert "signal" not in second


def test_a_step_is_a_trace():
    wire = Wire(SmallTarget(1))
    wire.send(b"s")
    wire.run()
    assert threads(wire)[0]["reason"] == "trace"


@pytest.mark.parametrize(("mode", "numbers"), [(64, {"6", "7", "16"}), (32, {"4", "5", "8"})])
def test_threads_come_with_the_registers_asked_for_next(mode, numbers):
    wire = Wire(SmallTarget(2), mode=mode)
    for thread in threads(wire):
        assert thread["registers"].keys() == numbers
        for number, value in thread["registers"].items():
            assert wire.ask(b"p%x" % int(number)) == value.encode()
    assert (
        f"{BASE:08x}"
        in bytes.fromhex(threads(wire)[0]["registers"][max(numbers, key=int)])[::-1].hex()
    )


def test_threads_that_run_are_not_told_of():
    wire = Wire(SmallTarget())
    wire.send(b"vCont;c")
    assert wire.ask(b"jThreadsInfo") == b"E08"


def test_more_threads_than_a_packet_holds_are_an_error():
    wire = Wire(SmallTarget(20), packet_size=0x400)
    assert wire.ask(b"jThreadsInfo") == b"E0c"


def test_stop_replies_list_threads_when_asked_to():
    wire = Wire(SmallTarget(3))
    assert b"threads:" not in wire.ask(b"?")
    assert wire.ask(b"QListThreadsInStopReply") == b"OK"
    assert b";threads:1,2,3;" in wire.ask(b"?")


def test_a_packet_names_its_thread_when_agreed():
    wire = Wire(SmallTarget(2))
    wire.target.registers[1]["rax"] = 7
    assert wire.ask(b"QThreadSuffixSupported") == b"OK"
    assert wire.ask(b"p0;thread:2;") == b"0700000000000000"


def test_a_walk_over_memory_comes_to_an_end():
    """LLDB goes on at the end of each region until that is 2**64-1."""
    wire = Wire(SmallTarget(1))
    address, walk = 0, []
    while address != (1 << 64) - 1:
        walk.append(address)
        assert len(walk) < 8
        fields = dict(
            pair.split(b":")
            for pair in wire.ask(b"qMemoryRegionInfo:%x" % address).split(b";")[:-1]
        )
        address = int(fields[b"start"], 16) + int(fields[b"size"], 16)
    assert walk == [0, 0x1000, 0x2000]


def test_registers_are_named_by_two_digits():
    reply = Wire(SmallTarget(1)).ask(b"?")
    assert b";06:0000000000000000;07:" in reply
