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
from vmmkit.gdb._said_texts import MOST_CHARACTERS
from vmmkit.gdb.target import Stop, StopKind

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


@pytest.mark.parametrize(("address", "waits"), [(0x10, True), (0xF0010, True), (0x20, False)])
def test_a_stop_that_waits_may_have_a_linear_address(wire, address, waits):
    wire.target.registers[1] |= {"rip": 0x10, "cs_base": 0xF0000, "efer": 0}
    wire.ask(b"Z0,%x,1" % address)
    wire.send(b"vCont;c:1")
    report = wire.target.goings[0].report
    wire.interrupt()
    report([Stop(1, StopKind.SOFTWARE, address)])
    assert bool(wire.send(b"vCont;c:2")) is waits


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


def test_a_breakpoint_in_the_range_whose_condition_does_not_hold_is_passed(wire):
    wire.ask(b"Z0,1002,1;X3,220027")  # 0
    assert wire.send(b"vCont;r1000,1005:1") == []
    assert told(wire.run(6)) == (b"T05", b"1")
    assert rip(wire) == BASE + 5


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
    assert text.startswith(b"O")
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


# -- leaving, and coming back


def test_detach_takes_breakpoints_out_and_lets_everything_run(wire):
    wire.ask(b"Z0,1003,1")
    wire.ask(b"Z2,1800,4")
    assert wire.ask(b"D") == b"OK"
    assert wire.stub.finished
    assert wire.target.inserted == []
    assert wire.run(20) == []
    assert wire.target.is_running
    assert wire.target.heard == ["attached", "detached"]


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"D;2", b"E02"),
        (b"D;x", b"E01"),
        (b"D1", b"E01"),
        (b"vKill;2", b"E02"),
        (b"vKill", b"E01"),
        (b"k1", b""),
    ],
)
def test_another_process_is_not_left_or_ended(wire, packet, reply):
    assert wire.ask(packet) == reply
    assert not wire.stub.finished
    assert wire.target.heard == ["attached"]
    assert wire.ask(b"D;1") == b"OK"
    assert wire.target.heard == ["attached", "detached"]


def test_more_packets_at_once_than_may_wait_are_all_answered(wire):
    assert wire.send(*[b"qC"] * 200) == [b"QC1"] * 200


def test_kill_has_no_reply_in_read_only_mode_and_ends_nothing():
    wire = Wire(SmallTarget(2), read_only=True)
    assert wire.send(b"k") == []
    assert wire.stub.finished
    assert wire.target.heard == ["attached", "detached"]
    assert wire.target.is_running


def test_an_address_to_resume_at_is_as_the_debugger_sees_addresses():
    wire = Wire(SmallTarget(1), mode=16, linear_pc=True)
    wire.target.registers[0] |= {"cs": 0x100, "cs_base": BASE, "rip": 0, "cr0": 0}
    assert wire.ask(b"c12345") == b"E05"
    assert wire.send(b"s1004") == []
    assert wire.target.registers[0]["rip"] == 4


@pytest.mark.parametrize("prompt", [True, False])
def test_detach_while_vcpus_run_says_ok_and_nothing_else(prompt):
    wire = Wire(SmallTarget(2, prompt=prompt))
    wire.ask(b"Z0,1800,1")
    wire.send(b"vCont;c")
    assert wire.ask(b"D;1") == b"OK"
    assert wire.run(3) == []
    assert not wire.stub.leaving
    assert wire.target.inserted == []
    assert wire.target.is_running


def test_nothing_is_answered_after_a_detach(wire):
    assert wire.send(b"D", b"g", b"vCont;c") == [b"OK"]
    assert wire.target.is_running


@pytest.mark.parametrize("prompt", [True, False])
def test_a_connection_that_breaks_while_vcpus_run_leaves_nothing_behind(prompt):
    wire = Wire(SmallTarget(2, code=NOP * 8 + SPIN, prompt=prompt))
    wire.ask(b"Z0,1800,1")
    wire.send(b"vCont;c")
    wire.run()
    wire.stub.disconnect()
    assert wire.stub.leaving is not prompt
    assert wire.run(2) == []
    assert not wire.stub.leaving
    assert wire.target.inserted == []
    assert wire.target.is_running
    assert wire.target.heard == ["attached", "detached"]


def test_a_connection_that_breaks_while_all_stand(wire):
    wire.ask(b"Z0,1003,1")
    wire.stub.disconnect()
    assert not wire.stub.leaving
    assert (wire.target.inserted, wire.target.is_running) == ([], True)
    wire.stub.disconnect()
    assert wire.target.heard == ["attached", "detached"]


def test_a_debugger_comes_before_the_last_one_is_gone():
    wire = Wire(SmallTarget(2, prompt=False))
    wire.ask(b"Z0,1800,1")
    wire.ask(b"Qqemu.sstep=1")
    wire.send(b"vCont;c")
    wire.stub.disconnect()
    wire.stub.attach()
    assert wire.send(b"QStartNoAckMode", b"?") == []
    replies = wire.run()
    assert (replies[0], reason(replies[1])) == (b"OK", b"T05")
    assert wire.target.inserted == []
    assert not wire.target.is_running
    assert wire.target.heard == ["attached"]


def test_a_debugger_that_comes_again_begins_anew():
    wire = Wire(SmallTarget(2), announced=[b"multiprocess", b"swbreak"])
    for packet in (b"Hgp1.2", b"QThreadEvents:1", b"QNonStop:1", b"QListThreadsInStopReply"):
        assert wire.ask(packet) == b"OK"
    wire.stub.disconnect()
    wire.attach()
    assert wire.ask(b"qC") == b"QC1"
    assert wire.stub.run.non_stop is False
    assert told([wire.ask(b"?")]) == (b"T05", b"1")


@pytest.mark.parametrize("prompt", [True, False])
def test_attaching_to_a_machine_that_runs_stops_it(prompt):
    target = SmallTarget(2, running=True, prompt=prompt)
    wire = Wire(target, attach=False)
    wire.stub.attach()
    first = wire.send(b"QStartNoAckMode", b"?")
    assert told((first + wire.run())[1:]) == (b"T05", b"1")
    assert not target.is_running


def test_a_target_that_fails_at_everything_is_survived(wire):
    for method in ("stop", "resume", "remove_breakpoint", "debugger_attached", "debugger_detached"):
        wire.target.failures[method] = RuntimeError(method)
    wire.ask(b"Z0,1003,1")
    assert wire.ask(b"vCont;c") == b"E09"
    wire.target.failures["vcpus"] = RuntimeError("vcpus")
    wire.stub.disconnect()
    wire.stub.attach()
    assert wire.send(b"QStartNoAckMode", b"?", b"qfThreadInfo", b"g")[0] == b"OK"
    wire.target.failures.clear()
    wire.stub.disconnect()
    wire.attach()
    assert wire.ask(b"?").startswith(b"T05thread:1;")


# -- the end that the debugger wants


def test_kill_ends_a_machine_that_can_be_ended(wire):
    assert wire.ask(b"vKill;1") == b"OK"
    assert wire.target.heard == ["attached", "kill", "detached"]
    assert not wire.target.is_running
    assert wire.stub.finished


def test_kill_detaches_from_a_machine_that_cannot_be_ended():
    wire = Wire(SmallTarget(lacks=["kill"]))
    assert wire.send(b"k") == []
    assert wire.stub.finished
    assert wire.target.is_running


@pytest.mark.parametrize("reset", [b"R00", b"qRcmd," + b"reset".hex().encode()])
def test_a_reset_takes_the_stops_of_before_along(reset):
    wire = Wire(SmallTarget(2, code=TRAP + SPIN))
    wire.send(b"vCont;c")
    assert [reply[:1] for reply in wire.run()] == [b"O", b"T"]
    wire.send(reset)
    assert told([wire.ask(b"?")]) == (b"T05", b"1")
    assert wire.send(b"vCont;c:2") == []
    assert wire.target.is_running


def test_a_restart_resets_and_has_no_reply(wire):
    wire.send(b"vCont;s:1")
    wire.run()
    assert wire.send(b"R00") == []
    assert rip(wire) == BASE
    wire.send(b"vCont;c")
    assert wire.send(b"R00") == []
    assert wire.target.heard == ["attached", "reset"]
    wire.interrupt()
    wire.target.failures["reset"] = RuntimeError("no")
    assert wire.send(b"R00") == []


# -- read-only


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"P0=0000000000000001", b"E07"),
        (b"M1000,1:90", b"E07"),
        (b"X1000,1:a", b"E07"),
        (b"Z0,1000,1", b"E07"),
        (b"Z2,1000,1", b"E07"),
        (b"bs", b"E07"),
        (b"bc", b"E07"),
        (b"vKill;1", b"E07"),
        (b"c1004", b"E07"),
        (b"G" + b"0" * 20, b"E07"),
    ],
)
def test_a_read_only_stub_refuses_what_changes_the_guest(packet, reply):
    wire = Wire(SmallTarget(), read_only=True)
    before = wire.target.read_registers(0), bytes(wire.target.ram)
    assert wire.ask(packet) == reply
    assert (wire.target.read_registers(0), bytes(wire.target.ram)) == before
    assert wire.target.heard == ["attached"]


def test_a_read_only_stub_runs_and_steps():
    wire = Wire(SmallTarget(code=NOP * 4), read_only=True)
    assert wire.send(b"vCont;s:1") == []
    assert told(wire.run()) == (b"T05", b"1")
    assert wire.send(b"R00") == []
    assert rip(wire) == SECOND


# -- modes


def test_a_stop_in_another_mode_is_told_after_the_debugger_has_read_of_it():
    wire = Wire(SmallTarget(1, code=NOP * 8), announced=[b"exec-events"], exec_file="/k")
    wire.ask(b"g")
    wire.send(b"vCont;s")
    wire.target.modes[0] = 32
    assert told(wire.run()) == (b"T05exec:;", b"1")
    assert b"<architecture>i386<" in wire.ask(b"qXfer:features:read:target.xml:0,ffff")
    assert told(wire.send(b"vCont;c")) == (b"T05", b"1")
    assert not wire.target.is_running
    assert wire.send(b"vCont;s") == []
    assert told(wire.run()) == (b"T05", b"1")


def test_ctrl_c_and_a_new_breakpoint_between_two_modes_change_nothing():
    wire = Wire(SmallTarget(1, code=NOP * 8), announced=[b"exec-events"])
    wire.ask(b"qXfer:features:read:target.xml:0,1")
    wire.target.modes[0] = 32
    wire.send(b"vCont;s")
    assert wire.run() == [b"T05exec:;thread:1;core:0;"]
    assert wire.interrupt() == []
    assert wire.ask(b"Z0,1006,1") == b"OK"
    assert told(wire.send(b"vCont;c")) == (b"T05", b"1")
    assert wire.run(3) == []
    assert wire.send(b"vCont;s") == []
    (again,) = wire.run()
    assert again.startswith(b"T05exec:;"), "it has not read what it was told to read"


def test_breakpoints_go_when_another_mode_is_told():
    """To GDB they went with the program of before; it inserts them anew, with other addresses."""
    wire = Wire(SmallTarget(1, code=NOP * 8), announced=[b"exec-events"])
    wire.ask(b"qXfer:features:read:target.xml:0,1")
    for packet in (b"Z0,1006,1", b"Z0,ffff800000001006,1", b"Z1,ffff800000001006,1"):
        assert wire.ask(packet) == b"OK"
    wire.target.modes[0] = 32
    wire.send(b"vCont;s")
    assert wire.run() == [b"T05exec:;thread:1;core:0;"]
    assert wire.target.inserted == []
    wire.ask(b"qXfer:features:read:target.xml:0,1")
    assert wire.ask(b"Z0,1006,1") == b"OK"
    assert told(wire.send(b"vCont;c")) == (b"T05", b"1")
    assert [address for _kind, address, _size in wire.target.inserted] == [BASE + 6]


def test_leaving_between_two_modes_lets_everything_go():
    wire = Wire(SmallTarget(1, code=NOP * 8), announced=[b"exec-events"])
    wire.ask(b"qXfer:features:read:target.xml:0,1")
    wire.ask(b"Z0,1006,1")
    wire.target.modes[0] = 32
    wire.send(b"vCont;s")
    assert wire.run() == [b"T05exec:;thread:1;core:0;"]
    assert wire.send(b"D") == [b"OK"]
    assert wire.target.inserted == []
    assert wire.target.is_running


def test_a_stop_that_waits_is_told_in_its_own_mode():
    wire = Wire(SmallTarget(2, code=NOP * 8), announced=[b"exec-events", b"swbreak"])
    wire.ask(b"g")
    wire.target.modes[1] = 16
    assert both_at(wire, THIRD) == (b"T05swbreak:;", b"1")
    assert told(wire.send(b"vCont;c")) == (b"T05exec:;", b"2")
    assert b"<architecture>i8086<" in wire.ask(b"qXfer:features:read:target.xml:0,ffff")
    assert told(wire.send(b"vCont;c")) == (b"T05swbreak:;", b"2")


@pytest.mark.parametrize(
    "settings_", [{"mode_switch": "fixed"}, {"layout": "qemu"}, {"mode": 64}, {}]
)
def test_a_debugger_that_cannot_switch_or_is_not_to_is_told_the_stop(settings_):
    announced = [b"exec-events"] if settings_ else []
    wire = Wire(SmallTarget(1, code=NOP * 8), announced=announced, **settings_)
    size = len(wire.ask(b"g"))
    wire.target.modes[0] = 32
    wire.send(b"vCont;s")
    assert told(wire.run()) == (b"T05", b"1")
    assert len(wire.ask(b"g")) == size


# -- vCPUs that come


@pytest.mark.parametrize("wanted", [True, False])
def test_a_new_vcpu_is_told_if_that_is_wanted(wire, wanted):
    assert wire.ask(b"QThreadEvents:%d" % wanted) == b"OK"
    wire.send(b"vCont;s:1")
    wire.target.names = range(3)
    wire.target.registers[2] = dict(wire.target.registers[0])
    if wanted:
        assert wire.run() == [b"T05create:;thread:3;"]
        replies = wire.send(b"vCont;c")
    else:
        replies = wire.run()
    assert told(replies) == (b"T05", b"1")
    assert wire.ask(b"qfThreadInfo") == b"m1,2,3"


def test_a_new_vcpu_and_a_new_mode_are_told_one_after_the_other():
    wire = Wire(SmallTarget(1, code=NOP * 8), announced=[b"exec-events"])
    wire.ask(b"QThreadEvents:1")
    wire.ask(b"g")
    wire.send(b"vCont;s:1")
    wire.target.names = range(2)
    wire.target.registers[1] = dict(wire.target.registers[0])
    wire.target.modes = {0: 32, 1: 32}
    assert told(wire.run()) == (b"T05create:;", b"2")
    assert told(wire.send(b"vCont;c")) == (b"T05exec:;", b"1")
    wire.ask(b"qXfer:features:read:target.xml:0,ffff")
    assert told(wire.send(b"vCont;c")) == (b"T05", b"1")
    assert not wire.target.is_running


# -- backwards


def test_backwards_by_an_instruction_and_to_a_breakpoint(wire):
    wire.send(b"vCont;c:1")
    wire.run(4)
    wire.interrupt()
    assert told(wire.send(b"bs")) == (b"T05", b"1")
    assert rip(wire) == BASE + 3
    wire.ask(b"Z0,1001,1")
    assert told(wire.send(b"bc")) == (b"T05swbreak:;", b"1")
    assert rip(wire) == BASE + 1
    wire.ask(b"z0,1001,1")
    assert told(wire.send(b"bc")) == (b"T05replaylog:begin;", b"1")


@pytest.mark.parametrize("packet", [b"bs", b"bc"])
def test_a_target_without_history_does_not_know_the_packets(packet):
    assert Wire(SmallTarget(lacks=["reverse_step"])).ask(packet) == b""


# -- non-stop mode


def test_vcpus_stop_one_by_one_and_are_told_in_notifications(non_stop):
    wire = non_stop
    wire.ask(b"Z0,1002,1")
    assert wire.ask(b"vCont;c") == b"OK"
    assert wire.run(5) == []
    assert told(wire.notices) == (b"Stop:T05swbreak:;", b"1")
    assert told([wire.ask(b"vStopped")]) == (b"T05swbreak:;", b"2")
    assert wire.ask(b"vStopped") == b"OK"
    assert wire.ask(b"vStopped") == b"OK"
    assert len(wire.notices) == 1


def test_a_vcpu_that_is_asked_to_stop_has_signal_0(non_stop):
    wire = non_stop
    assert wire.ask(b"vCont;c") == b"OK"
    assert wire.ask(b"vCont;t:2") == b"OK"
    assert told(wire.notices) == (b"Stop:T00", b"2")
    assert wire.ask(b"vStopped") == b"OK"
    assert wire.ask(b"m1000,1") == b"E08"
    assert wire.ask(b"Hg2") == b"OK"
    assert wire.ask(b"m1000,1") == b"90"
    assert wire.ask(b"Hg1") == b"OK"
    assert wire.ask(b"g") == b"E08"


def test_why_in_non_stop_mode_lists_all_that_stand(non_stop):
    """All but the first in a notification, as GDB 13 takes one stop only when it connects."""
    wire = non_stop
    assert told([wire.ask(b"?")]) == (b"T05", b"1")
    assert wire.ask(b"vStopped") == b"OK"
    assert told([wire.notices.pop()]) == (b"Stop:T00", b"2")
    assert wire.ask(b"vStopped") == b"OK"
    wire.ask(b"vCont;c:1")
    assert told([wire.ask(b"?")]) == (b"T00", b"2")
    assert wire.ask(b"vStopped") == b"OK"
    wire.ask(b"vCont;c")
    assert wire.ask(b"?") == b"OK"
    assert wire.notices == []


def test_why_does_not_tell_what_was_before_the_last_resume(wire):
    wire.ask(b"Z0,1001,1")
    wire.send(b"vCont;c:1")
    assert told(wire.run(3)) == (b"T05swbreak:;", b"1")
    wire.ask(b"QNonStop:1")
    assert told([wire.ask(b"?")]) == (b"T05swbreak:;", b"1")
    wire.ask(b"vCont;c:1")
    wire.ask(b"vCont;t:1")
    wire.send(*[b"vStopped"] * 5)  # until there is nothing new
    assert told([wire.ask(b"?")]) == (b"T00", b"1")


def test_ctrl_c_in_non_stop_mode_stops_all(non_stop):
    wire = non_stop
    wire.ask(b"vCont;c")
    assert wire.ask(b"vCtrlC") == b"OK"
    assert [notice[:9] for notice in wire.notices] == [b"Stop:T02t"]
    assert wire.ask(b"vStopped").startswith(b"T02")
    assert wire.ask(b"vStopped") == b"OK"
    assert not wire.target.is_running


def test_steps_that_nobody_asks_about_pile_up_nowhere(non_stop):
    wire = non_stop
    for _ in range(50):
        assert wire.ask(b"vCont;s:2") == b"OK"
        wire.run()
    assert len(wire.notices) == 1
    assert told([wire.ask(b"vStopped")]) == (b"T05", b"2")
    assert wire.ask(b"vStopped") == b"OK"


def test_a_second_stop_of_a_vcpu_is_told_when_it_is_resumed(non_stop):
    wire = non_stop
    wire.ask(b"Z0,1000,1")
    wire.ask(b"vCont;c:1")
    report = wire.target.goings[0].report
    report([Stop(0, StopKind.SIGNAL, signal=11), Stop(0, StopKind.SOFTWARE, BASE)])
    wire.target.goings.clear()
    assert wire.pump() == []
    assert wire.ask(b"vStopped") == b"OK"
    assert wire.ask(b"vCont;c:1") == b"OK"
    assert [reason(notice) for notice in wire.notices] == [b"Stop:T0b", b"Stop:T05swbreak:;"]
    assert not wire.target.is_running


def test_the_end_is_a_notification_in_non_stop_mode(non_stop):
    non_stop.ask(b"vCont;c")
    assert non_stop.taken(non_stop.stub.exited(2)) == []
    assert non_stop.notices == [b"Stop:W02"]


def test_non_stop_mode_is_left_only_while_all_stand(non_stop):
    non_stop.ask(b"vCont;c:1")
    assert non_stop.ask(b"QNonStop:0") == b"E08"
    non_stop.ask(b"vCont;t")
    assert non_stop.ask(b"QNonStop:0") == b"OK"
    assert non_stop.ask(b"QNonStop:2") == b"E01"
    assert non_stop.ask(b"bs").startswith(b"T") is True


def test_backwards_is_refused_in_non_stop_mode(non_stop):
    assert non_stop.ask(b"bs") == b"E0a"


def test_a_target_whose_vcpus_stop_together_has_no_non_stop_mode():
    wire = Wire(SmallTarget(lacks=["stop_vcpu"]))
    assert wire.ask(b"QNonStop:1") == b"E0a"
    assert wire.ask(b"QNonStop:0") == b"OK"
    assert wire.ask(b"vStopped") == b""


# -- who looks


def test_a_report_outside_of_a_call_wakes_the_shell_even_on_its_own_thread(wire):
    wire.ask(b"Z0,1001,1")
    wire.send(b"vCont;c")
    assert wire.woken.empty()
    wire.target.run(2)
    assert not wire.woken.empty()
    assert told(wire.pump())[0] == b"T05swbreak:;"


def test_a_report_within_a_call_is_looked_at_at_once(wire):
    wire.send(b"vCont;c")
    assert wire.interrupt()
    assert wire.woken.empty()


# -- text for the user


def text_of(reply):
    assert reply.startswith(b"O")
    return bytes.fromhex(reply[1:].decode()).decode()


def say_elsewhere(wire, text):
    thread_ = threading.Thread(target=wire.stub.say, args=(text,))
    thread_.start()
    thread_.join()


def test_what_is_said_while_vcpus_run_is_shown_at_once(wire):
    wire.send(b"vCont;c")
    say_elsewhere(wire, "hello\n")
    assert not wire.woken.empty()
    assert [text_of(reply) for reply in wire.pump()] == ["hello\n"]


def test_what_is_said_while_nobody_listens_waits(wire):
    say_elsewhere(wire, "early\n")
    assert wire.pump() == []
    assert wire.ask(b"qC") == b"QC1"
    text, *none = wire.send(b"vCont;c")
    assert (text_of(text), none) == ("early\n", [])
    say_elsewhere(wire, "late\n")
    text, stop = wire.interrupt()
    assert (text_of(text), reason(stop)) == ("late\n", b"T02")


def test_what_is_said_without_end_is_bounded(wire):
    for number in range(5000):
        wire.stub.say(f"{number}\n")
    texts = wire.send(b"vCont;c")
    assert len(texts) <= MOST_CHARACTERS // 64
    assert text_of(texts[-1]) == "4999\n"


def test_long_texts_are_bounded_by_their_size(wire):
    for _ in range(64):
        wire.stub.say("x" * 0x10000)
    texts = wire.send(b"vCont;c")
    assert sum(len(text_of(text)) for text in texts) <= MOST_CHARACTERS
    wire.interrupt()
    wire.stub.say("y" * 2 * MOST_CHARACTERS)
    texts = wire.send(b"vCont;c")
    assert sum(len(text_of(text)) for text in texts) == MOST_CHARACTERS - 64


# -- long operations


@pytest.fixture
def searching():
    """A stub in the middle of looking through 1 MiB for what is not there."""
    wire = Wire(SmallTarget(1, size=1 << 20))
    assert wire.taken(wire.stub.receive(frame(b"qSearch:memory:1000;fffff;zzzz"))) == []
    assert wire.stub.busy
    return wire


def test_packets_wait_for_a_long_operation(searching):
    stub = searching.stub
    assert searching.taken(stub.receive(frame(b"qC"))) == []
    data = b""
    while stub.busy:
        data += stub.work()
    assert searching.taken(data) == [b"0", b"QC1"]


def test_ctrl_c_ends_a_long_operation(searching):
    assert searching.taken(searching.stub.receive(b"\x03")) == [b"E0d"]
    assert not searching.stub.busy
    assert searching.ask(b"qC") == b"QC1"


def test_a_long_operation_ends_with_its_debugger(searching):
    searching.stub.disconnect()
    assert not searching.stub.busy
    assert not searching.stub.leaving


def test_a_target_that_fails_in_a_long_operation_is_an_error(searching):
    searching.target.failures["read_memory"] = RuntimeError("no")
    assert searching.raw(b"") == [b"E09"]


# -- on threads


@pytest.mark.parametrize("vcpus", [1, 4])
def test_ctrl_c_races_with_a_breakpoint_and_one_stop_is_told(vcpus):
    with ThreadedTarget(vcpus, code=NOP * 6 + SPIN) as target:
        wire = Wire(target, announced=[b"swbreak"])
        wire.ask(b"Z0,1004,1")
        for _ in range(RACES):
            for values in target.registers.values():
                values["rip"] = BASE
            wire.stub.forget_registers()
            replies = wire.raw(frame(b"vCont;c") + b"\x03")
            replies = replies or wire.wait()
            assert reason(replies[0]) in {b"T02", b"T05swbreak:;"}
            assert len(replies) == 1
            assert wire.interrupt() == []
        wire.stub.disconnect()
        while wire.stub.leaving:
            wire.woken.get(timeout=10)
            wire.stub.pump()
        assert target.inserted == []


def test_vcpus_on_threads_stop_one_by_one():
    with ThreadedTarget(3, code=SPIN) as target:
        wire = Wire(target)
        wire.ask(b"QNonStop:1")
        wire.ask(b"vCont;c")
        wire.ask(b"vCont;t")
        if not wire.notices:
            wire.wait()
        stopped = {thread(wire.notices[0])}
        while len(stopped) < 3:
            wire.pump()
            reply = wire.ask(b"vStopped")
            if reply == b"OK":
                wire.notices.clear()
                wire.wait()
                reply = wire.notices[0]
            stopped.add(thread(reply))
        assert stopped == {b"1", b"2", b"3"}


# -- anything at any time

PACKETS = st.sampled_from(
    [
        *(b"?", b"g", b"qC", b"Hg1", b"Hg2", b"Hg0", b"Hc1", b"Hc-1", b"Hg9", b"m1000,4", b"T1"),
        *(b"vCont?", b"qfThreadInfo", b"qsThreadInfo", b"QThreadEvents:1", b"QNonStop:1"),
        *(b"QNonStop:0", b"Z0,1002,1", b"z0,1002,1", b"Z1,1004,1", b"Z2,1800,4", b"z2,1800,4"),
        *(b"P0=0100000000000000", b"vStopped", b"qRcmd,72656773", b"jThreadsInfo", b"vCtrlC"),
        *(b"qXfer:threads:read::0,40", b"qSupported:swbreak+;exec-events+", b"!", b"p10", b"\xff"),
    ]
)
RESUMES = st.sampled_from(
    [b"c", b"s", b"vCont;c", b"vCont;s:1;c", b"vCont;c:2", b"vCont;r1000,1004:1", b"bs", b"bc"]
)


class Debugging(RuleBasedStateMachine):
    """A debugger that does what it likes: each packet has its reply, each resume its stop."""

    def __init__(self):
        super().__init__()
        target = SmallTarget(3, code=NOP * 4 + COUNT + STORE + LOAD + SPIN, size=0x1000)
        for values in target.registers.values():
            values |= {"rdi": 0x1802, "rsi": 0x1802}
        self.wire = Wire(target, announced=[b"swbreak", b"exec-events"])
        self.owed = 0

    @property
    def non_stop(self):
        return self.wire.stub.run.non_stop

    def take(self, replies, expected):
        stops = [reply for reply in replies if not reply.startswith(b"O") or reply == b"OK"]
        extra = len(stops) - expected
        assert 0 <= extra <= self.owed, replies
        self.owed -= extra

    @rule(packet=PACKETS)
    def ask(self, packet):
        self.take(self.wire.send(packet), 1)

    @rule(packet=RESUMES)
    def resume(self, packet):
        busy = self.wire.stub.run.any_running
        if self.non_stop or busy:
            self.take(self.wire.send(packet), 1)
        else:
            self.owed += 1
            self.take(self.wire.send(packet), 0)
            assert self.owed == bool(self.wire.stub.run.any_running)

    @rule(rounds=st.integers(1, 5))
    def execute(self, rounds):
        self.take(self.wire.run(rounds), 0)

    @rule()
    def interrupt(self):
        self.take(self.wire.interrupt(), 0)
        assert self.owed == 0

    @precondition(lambda self: not self.wire.stub.run.any_running)
    @rule(vcpu=st.integers(0, 2), mode=st.sampled_from([16, 32, 64]))
    def change_mode(self, vcpu, mode):
        self.wire.target.modes[vcpu] = mode

    @rule(method=st.sampled_from(["resume", "read_registers", "mode", "describe_vcpu"]))
    def fail(self, method):
        self.wire.target.failures[method] = RuntimeError(method)

    @rule()
    def recover(self):
        self.wire.target.failures.clear()

    @rule()
    def come_again(self):
        self.wire.stub.disconnect()
        assert self.wire.target.inserted == []
        self.wire.target.failures.clear()
        self.wire.target.goings = self.wire.target.goings[:1]
        self.wire.attach([b"swbreak", b"exec-events"])
        self.owed = 0

    @invariant()
    def queues_are_bounded(self):
        run = self.wire.stub.run
        assert len(run._notices) <= 4
        assert len(run._events) <= 12
        assert len(run._held) <= 1
        self.wire.notices.clear()


Debugging.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestDebugging = Debugging.TestCase
