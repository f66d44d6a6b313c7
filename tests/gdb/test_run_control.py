# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who runs, who stands, and that a debugger hears of it once: the rules of run control."""

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from gdb.small_target import (
    BASE,
    COUNT,
    EXIT,
    LOAD,
    NOP,
    SPIN,
    STORE,
    TRAP,
    SmallTarget,
    ThreadedTarget,
)
from gdb.wire import Wire, frame

from vmmkit.errors import TargetError
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.stub import Stub
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind

RACES = 20
SECOND = BASE + 1
THIRD = BASE + 2


def reason(reply):
    """Return what a stop reply says before the thread."""
    return reply.partition(b"thread:")[0]


def thread(reply):
    return reply.partition(b"thread:")[2].partition(b";")[0]


def told(replies):
    """Return reason and thread of the one stop reply that there must be."""
    assert len(replies) == 1, replies
    return reason(replies[0]), thread(replies[0])


def rip(wire, vcpu=0):
    return wire.target.registers[vcpu]["rip"]


@pytest.fixture
def wire():
    return Wire(SmallTarget(2, code=NOP * 8 + SPIN), announced=[b"swbreak", b"hwbreak"])


@pytest.fixture
def non_stop():
    wire = Wire(SmallTarget(2, code=NOP * 8 + SPIN), announced=[b"swbreak"])
    assert wire.ask(b"QNonStop:1") == b"OK"
    return wire


# -- one stop reply for each resume


@pytest.mark.parametrize("resume", [b"c", b"vCont;c", b"C05", b"vCont;c:1;c:2"])
def test_a_resume_is_answered_when_something_stops(wire, resume):
    assert wire.ask(b"Z0,1003,1") == b"OK"
    assert wire.send(resume) == []
    assert wire.run(2) == []
    assert told(wire.run(2)) == (b"T05swbreak:;", b"1")
    assert wire.run(5) == []
    assert not wire.target.is_running


@pytest.mark.parametrize(
    ("packet", "stepped"), [(b"s", [0]), (b"vCont;s:1", [0]), (b"vCont;s:2", [1]), (b"S05", [0])]
)
def test_a_step_is_one_instruction_of_one_vcpu(wire, packet, stepped):
    assert wire.send(packet) == []
    reply = told(wire.run(5))
    assert reply == (b"T05", b"%d" % (stepped[0] + 1))
    assert [v for v in (0, 1) if rip(wire, v) == SECOND] == stepped


def test_a_step_at_an_address_begins_there(wire):
    assert wire.send(b"s1004") == []
    assert told(wire.run()) == (b"T05", b"1")
    assert rip(wire) == BASE + 5


def test_one_vcpu_steps_while_the_others_run(wire):
    assert wire.send(b"vCont;s:2;c") == []
    assert told(wire.run(5)) == (b"T05", b"2")
    assert [rip(wire, vcpu) for vcpu in (0, 1)] == [SECOND, SECOND]


def test_asking_why_does_not_resume(wire):
    first = wire.ask(b"?")
    assert [wire.ask(b"?") for _ in range(3)] == [first] * 3
    assert not wire.target.is_running
    wire.send(b"vCont;c:1")
    assert wire.ask(b"?") == b"E08"
    stopped = wire.interrupt()
    assert [wire.ask(b"?")] == stopped


def test_a_second_resume_while_vcpus_run_is_refused(wire):
    assert wire.send(b"vCont;c:1") == []
    assert wire.ask(b"vCont;c:2") == b"E08"
    assert wire.ask(b"c") == b"E08"
    assert told(wire.interrupt()) == (b"T02", b"1")


# -- Ctrl-C


def test_ctrl_c_while_all_stand_is_ignored(wire):
    assert wire.interrupt() == []
    assert wire.send(b"vCont;c") == []
    assert wire.run(20) == []
    assert told(wire.interrupt()) == (b"T02", b"1")
    assert wire.interrupt() == []


def test_a_resume_and_ctrl_c_in_one_segment_are_answered_once(wire):
    assert told(wire.raw(frame(b"vCont;c") + b"\x03")) == (b"T02", b"1")
    assert told(wire.raw(frame(b"vCont;c") + b"\x03\x03" + frame(b"qC"))[:1]) == (b"T02", b"1")


def test_ctrl_c_while_vcpus_are_on_their_way_is_told_once():
    wire = Wire(SmallTarget(2, prompt=False))
    assert wire.send(b"vCont;c") == []
    assert wire.interrupt() == []
    assert wire.interrupt() == []
    assert told(wire.run()) == (b"T02", b"1")
    assert wire.run(3) == []


def test_a_breakpoint_on_the_way_to_a_stop_is_told_in_its_place():
    wire = Wire(SmallTarget(2, code=NOP * 8, prompt=False), announced=[b"swbreak"])
    wire.ask(b"Z0,1001,1")
    assert wire.send(b"vCont;c:2") == []
    wire.target.run()
    assert wire.interrupt() == []
    assert told(wire.run()) == (b"T05swbreak:;", b"2")
    assert wire.send(b"vCont;c") == []


def test_vctrlc_is_as_good_as_the_byte(wire):
    wire.send(b"vCont;c")
    ok, *stop = wire.send(b"vCtrlC")
    assert (ok, told(stop)) == (b"OK", (b"T02", b"1"))


# -- several stops at once


def both_at(wire, address):
    """Have both vCPUs at a breakpoint at the same time; return what is told."""
    assert wire.ask(b"Z0,%x,1" % address) == b"OK"
    assert wire.send(b"vCont;c") == []
    return told(wire.run(10))


def test_of_two_at_breakpoints_the_lower_is_told_and_the_other_next(wire):
    assert both_at(wire, THIRD) == (b"T05swbreak:;", b"1")
    assert told(wire.send(b"vCont;c")) == (b"T05swbreak:;", b"2")
    assert [rip(wire, vcpu) for vcpu in (0, 1)] == [THIRD, THIRD]
    assert wire.send(b"vCont;c") == []
    assert wire.target.is_running


def test_a_stop_that_waits_is_dropped_with_its_breakpoint(wire):
    both_at(wire, THIRD)
    assert wire.ask(b"z0,%x,1" % THIRD) == b"OK"
    assert wire.send(b"vCont;c") == []
    assert wire.target.is_running


def test_a_stop_that_waits_is_dropped_when_its_vcpu_was_moved(wire):
    both_at(wire, THIRD)
    wire.target.registers[1]["rip"] = BASE + 5
    assert wire.send(b"vCont;c") == []
    assert wire.target.is_running


def test_a_stop_that_waits_is_not_told_when_another_vcpu_is_resumed(wire):
    both_at(wire, THIRD)
    assert wire.send(b"vCont;s:1") == []
    assert told(wire.run()) == (b"T05", b"1")
    assert told(wire.send(b"vCont;c")) == (b"T05swbreak:;", b"2")


def test_a_step_goes_before_other_stops(wire):
    wire.target.registers[0]["rip"] = BASE
    wire.target.registers[1]["rip"] = BASE + 4
    wire.ask(b"Z0,1001,1")
    wire.send(b"vCont;c:1")
    wire.target.run()  # vCPU 0 is before the breakpoint now
    wire.interrupt()
    wire.target.registers[0]["rip"] = BASE
    assert wire.send(b"vCont;s:2;c:1") == []
    assert told(wire.run())[1] == b"2"


def test_reports_of_a_run_that_is_over_wait_for_the_next(wire):
    reports = []
    resume = wire.target.resume

    def remember(actions, report):
        reports.append(report)
        resume(actions, report)

    wire.target.resume = remember
    wire.send(b"vCont;c")
    wire.interrupt()
    reports[0]([Stop(1, StopKind.SIGNAL, signal=11)])
    assert wire.pump() == []
    assert told(wire.send(b"vCont;c")) == (b"T0b", b"2")
    assert not wire.target.is_running
    assert wire.send(b"vCont;c") == []
    assert wire.target.is_running


# -- who is meant


def test_vcpus_that_are_not_named_keep_still(wire):
    assert wire.send(b"vCont;c:2") == []
    wire.run(3)
    assert [rip(wire, vcpu) for vcpu in (0, 1)] == [BASE, BASE + 3]
    assert told(wire.interrupt()) == (b"T02", b"2")


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (b"vCont;c:9", b"E02"),
        (b"vCont;q", b"E01"),
        (b"vCont", b"E01"),
        (b"vCont;", b"E01"),
        (b"vCont;c:", b"E01"),
        (b"vCont;c:p2.1", b"E02"),
        (b"vCont;r1000", b"E01"),
        (b"Cxx", b"E01"),
        (b"sxyz", b"E01"),
    ],
)
def test_what_cannot_be_resumed_is_an_error(wire, packet, error):
    assert wire.ask(packet) == error
    assert not wire.target.is_running


def test_hc_says_whom_the_old_packets_mean(wire):
    assert wire.ask(b"Hc2") == b"OK"
    wire.send(b"c")
    wire.run(3)
    assert [rip(wire, vcpu) for vcpu in (0, 1)] == [BASE, BASE + 3]
    wire.interrupt()
    assert wire.ask(b"Hc-1") == b"OK"
    wire.send(b"c")
    wire.run(2)
    assert [rip(wire, vcpu) for vcpu in (0, 1)] == [BASE + 2, BASE + 5]


@pytest.mark.parametrize("packet", [b"s", b"S05", b"vCont;s:1", b"vCont;r1000,1008:1"])
def test_a_target_that_cannot_step_refuses_to(packet):
    wire = Wire(SmallTarget(lacks=["can_step"]))
    assert wire.ask(b"vCont?") == b"vCont;c;C;t"
    assert wire.ask(packet) == b"E0a"
    assert not wire.target.is_running


# -- steps through a range


def test_steps_in_a_range_are_not_told(wire):
    assert wire.send(b"vCont;r1000,1005:1") == []
    assert wire.run(4) == []
    assert told(wire.run(4)) == (b"T05", b"1")
    assert rip(wire) == BASE + 5


def test_a_breakpoint_in_the_range_is_told(wire):
    wire.ask(b"Z0,1002,1")
    wire.send(b"vCont;r1000,1005:1")
    assert told(wire.run(4)) == (b"T05swbreak:;", b"1")


def test_ctrl_c_ends_steps_through_a_range():
    wire = Wire(SmallTarget())
    wire.send(b"vCont;r1000,1005:1")
    assert wire.run(50) == []
    assert told(wire.interrupt()) == (b"T02", b"1")


@pytest.mark.parametrize("asks", [True, False])
def test_a_condition_that_does_not_hold_lets_all_go_on(asks):
    target = SmallTarget(1, code=COUNT * 8 + SPIN, asks=asks)
    wire = Wire(target)
    reads_rax_and_compares = bytes.fromhex("260000" + "2203" + "13" + "27")  # rax == 3
    condition = b"X%x,%s" % (len(reads_rax_and_compares), reads_rax_and_compares.hex().encode())
    for address in range(BASE, BASE + 8):
        assert wire.ask(b"Z0,%x,1;%s" % (address, condition)) == b"OK"
    assert wire.send(b"vCont;c") == []
    replies = []
    for _ in range(10):
        replies += wire.run()
    assert told(replies)[1] == b"1"
    assert rip(wire) == BASE + 3


# -- watchpoints, signals, and the end


@pytest.mark.parametrize(
    ("packet", "code", "word"),
    [
        (b"Z2,1800,4", STORE, b"watch:1802;"),
        (b"Z3,1800,4", LOAD, b"rwatch:1802;"),
        (b"Z4,1800,4", LOAD, b"awatch:1802;"),
    ],
)
def test_a_watchpoint_is_told_with_the_address(packet, code, word):
    wire = Wire(SmallTarget(1, code=code + SPIN))
    wire.target.registers[0] |= {"rdi": 0x1802, "rsi": 0x1802}
    assert wire.ask(packet) == b"OK"
    wire.send(b"vCont;c")
    assert told(wire.run(5)) == (b"T05" + word, b"1")


def test_a_signal_of_the_target_is_told_with_its_message():
    wire = Wire(SmallTarget(1, code=TRAP))
    wire.send(b"vCont;c")
    text, *stop = wire.run()
    assert bytes.fromhex(text[1:].decode()) == b"a trap\n"
    assert told(stop) == (b"T04", b"1")


def test_the_end_of_the_machine_goes_before_everything():
    wire = Wire(SmallTarget(2, code=EXIT), announced=[b"multiprocess"])
    wire.target.registers[0] |= {"rip": SECOND}
    wire.target.registers[1] |= {"rax": 7}
    wire.send(b"vCont;s:p1.1;c:p1.2")
    assert wire.run() == [b"W07;process:1"]
    assert wire.stub.finished


def test_the_owner_says_that_the_machine_has_ended(wire):
    wire.send(b"vCont;c")
    assert wire.taken(wire.stub.exited(3)) == [b"W03"]
    assert wire.stub.finished


# -- a target that fails


@pytest.mark.parametrize("failure", [TargetError("no"), RuntimeError("broken"), KeyError(3)])
@pytest.mark.parametrize("packet", [b"vCont;c", b"c", b"s", b"vCont;r1000,1004:1"])
def test_a_target_that_cannot_resume_is_answered_with_an_error(wire, failure, packet):
    wire.target.failures["resume"] = failure
    assert wire.ask(packet) == b"E09"
    assert wire.ask(b"?").startswith(b"T05")
    wire.target.failures.clear()
    assert wire.send(packet) == []
    assert wire.target.is_running


def test_a_target_that_cannot_go_on_is_a_stop(wire):
    wire.send(b"vCont;r1000,1005:1")
    wire.target.failures["resume"] = TargetError("no")
    text, *stop = wire.run()
    assert b"no" in bytes.fromhex(text[1:].decode())
    assert told(stop) == (b"T06", b"1")


def test_a_target_that_cannot_stop_goes_on_and_may_be_asked_again(wire):
    wire.send(b"vCont;c")
    wire.target.failures["stop"] = RuntimeError("busy")
    assert wire.interrupt() == []
    assert wire.target.is_running
    wire.target.failures.clear()
    assert told(wire.interrupt()) == (b"T02", b"1")


def test_registers_that_cannot_be_read_do_not_hide_a_stop(wire):
    wire.ask(b"Z0,1002,1")
    wire.send(b"vCont;c")
    wire.target.failures["read_registers"] = RuntimeError("gone")
    assert told(wire.run(5)) == (b"T05swbreak:;", b"1")
    assert wire.ask(b"g") == b"E09"
    assert told([wire.ask(b"?")]) == (b"T05swbreak:;", b"1")
    wire.target.failures.clear()
    assert len(wire.ask(b"g")) > 100


def test_a_mode_that_cannot_be_read_does_not_hide_a_stop():
    wire = Wire(SmallTarget(1), announced=[b"exec-events"])
    wire.ask(b"g")
    wire.send(b"vCont;s")
    wire.target.failures["mode"] = RuntimeError("gone")
    assert told(wire.run()) == (b"T05", b"1")
