# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Targets that report what is no stop, whose vCPUs come and go, and the debugger all the same."""

import pytest

from gdb.small_target import BASE, NOP, SPIN, SmallTarget
from gdb.wire import Wire
from vmmkit.gdb.target import Stop, StopKind


class Reporting(SmallTarget):
    """Reports what `says` has, each time it is resumed, before that returns."""

    def __init__(self, *arguments, says, **settings):
        super().__init__(*arguments, **settings)
        self.says = list(says)

    def resume(self, actions, report):
        if report is not None:
            for stops in self.says.pop(0):
                report(stops)


def head(reply):
    return reply.partition(b"core:")[0]


def appear(target, *vcpus):
    target.names = sorted({*target.names, *vcpus})
    for vcpu in vcpus:
        target.registers[vcpu] = target._at_reset()


@pytest.mark.parametrize(
    "stops",
    [
        [Stop("0")],
        [Stop(99)],
        [Stop(-1)],
        [Stop(0, StopKind.SIGNAL, signal="11")],
        [Stop(0, StopKind.SIGNAL, message=3)],
        [Stop(0, StopKind.WRITE, "1000")],
        [Stop(0, StopKind.WRITE, -1)],
        [Stop(0, StopKind.WRITE, 1 << 64)],
    ],
)
def test_a_stop_that_cannot_be_ends_the_run_and_nothing_else(stops):
    wire = Wire(Reporting(says=[[stops]]))
    assert head(*wire.send(b"vCont;c")) == b"T05thread:1;"
    assert wire.ask(b"qC") == b"QC1"


@pytest.mark.parametrize(
    "stops",
    [
        [1],
        [None],
        ["stop"],
        [(0, StopKind.STEP)],
        [Stop(0, "step")],
        ["?", Stop(1, StopKind.SIGNAL, signal=11)],
    ],
)
def test_what_is_no_stop_is_the_targets_mistake(stops):
    wire = Wire(Reporting(says=[[stops], [[]]]))
    assert wire.ask(b"vCont;c") == b"E09"
    assert wire.ask(b"qC") == b"QC1"
    assert head(*wire.send(b"vCont;c")) == b"T05thread:1;"


def test_a_report_given_twice_is_told_twice_at_most():
    again = [Stop(0, StopKind.SIGNAL, signal=11)]
    wire = Wire(Reporting(says=[[again] * 5, [[]]]))
    replies = [wire.send(b"vCont;c") for _ in range(3)]
    assert [head(reply) for (reply,) in replies] == [
        b"T0bthread:1;",
        b"T0bthread:1;",
        b"T05thread:1;",
    ]


@pytest.mark.parametrize("resume", [b"vCont;c:2", b"vCont;s:2"])
def test_the_end_answers_every_resume(resume):
    wire = Wire(Reporting(says=[[[Stop(0, StopKind.EXITED, signal=3)]]]))
    assert wire.send(resume) == [b"W03"]


def test_the_end_that_was_reported_late_answers_every_resume():
    wire = Wire(Reporting(says=[[[], [Stop(0, StopKind.EXITED, signal=3)]]]))
    assert head(*wire.send(b"vCont;c:2")) == b"T05thread:2;"
    assert wire.send(b"vCont;c:2") == [b"W03"]


def test_the_end_goes_first_in_non_stop_mode():
    end, signal = Stop(0, StopKind.EXITED, signal=3), Stop(1, StopKind.SIGNAL)
    wire = Wire(Reporting(says=[[[signal, end]]]))
    assert wire.ask(b"QNonStop:1") == b"OK"
    assert wire.ask(b"vCont;c:2") == b"OK"
    assert wire.notices == [b"Stop:W03"]


def test_a_vcpu_that_goes_takes_its_stop_along():
    wire = Wire(SmallTarget(3, code=NOP * 8 + SPIN), announced=[b"swbreak"])
    assert wire.ask(b"Z0,1002,1") == b"OK"
    assert wire.send(b"vCont;c") == []
    assert len(wire.run(3)) == 1
    wire.target.names = [0]
    del wire.target.registers[1], wire.target.registers[2]
    assert wire.send(b"vCont;c") == []
    assert len(wire.interrupt()) == 1


@pytest.mark.parametrize("packet", [b"c", b"s"])
def test_a_vcpu_that_is_gone_cannot_be_resumed(packet):
    wire = Wire(SmallTarget(2))
    assert wire.ask(b"Hc2") == b"OK"
    wire.target.names = [0]
    assert wire.ask(packet) == b"E02"


def test_a_vcpu_that_has_come_is_told_with_its_own_stop():
    wire = Wire(Reporting(1, says=[[[Stop(1, StopKind.SIGNAL, signal=11)]]]))
    appear(wire.target, 1)
    assert head(*wire.send(b"vCont;c")) == b"T0bthread:2;"


def test_vcpus_that_have_come_are_told_one_by_one_and_then_the_stop():
    wire = Wire(SmallTarget(1))
    assert wire.ask(b"QThreadEvents:1") == b"OK"
    assert wire.send(b"vCont;c") == []
    appear(wire.target, 1, 2)
    assert wire.interrupt() == [b"T05create:;thread:2;"]
    assert wire.ask(b"qC") == b"QC2"
    assert wire.send(b"vCont;c") == [b"T05create:;thread:3;"]
    assert wire.ask(b"qC") == b"QC3"
    assert head(*wire.send(b"vCont;c")) == b"T02thread:1;"
    assert wire.ask(b"qC") == b"QC1"


def test_registers_that_cannot_be_read_do_not_bar_the_way():
    wire = Wire(SmallTarget(2, code=NOP * 8 + SPIN), announced=[b"swbreak"])
    assert wire.ask(b"Z0,1002,1") == b"OK"
    assert wire.send(b"vCont;c") == []
    assert head(*wire.run(3)) == b"T05swbreak:;thread:1;"
    wire.target.failures["read_registers"] = OSError("broken")
    assert wire.send(b"vCont;c") == [b"T05swbreak:;thread:2;core:1;"]
    del wire.target.failures["read_registers"]
    assert wire.send(b"vCont;c") == []
    assert wire.target.registers[0]["rip"] == BASE + 2


def test_modes_are_left_with_everything_that_was_still_to_be_told():
    wire = Wire(SmallTarget(2, code=NOP * 8 + SPIN))
    for rounds in (1, 2):
        assert wire.ask(b"QNonStop:1") == b"OK"
        assert wire.ask(b"vCont;s:1;s:2") == b"OK"
        wire.run()
        assert [head(notice) for notice in wire.notices] == [b"Stop:T05thread:1;"], rounds
        wire.notices.clear()
        assert wire.ask(b"QNonStop:0") == b"OK"


class Explaining(Reporting):
    """Says of each vCPU that it was asked to stop."""

    def stop(self, report):
        report([Stop(1), Stop(0)])


def test_who_reports_that_it_was_asked_to_stop_says_nothing_new():
    """The signal is that of Ctrl-C, and not the one that a `Stop` has by itself."""
    wire = Wire(Explaining(says=[[]]))
    assert wire.send(b"vCont;c") == []
    assert head(*wire.interrupt()) == b"T02thread:1;"
