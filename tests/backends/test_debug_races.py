# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What happens when the debugger and the guest, or its owner, do something at the same time."""

import pytest

from backends.debugging import Guest, Report, until
from vmmkit.backends import RunEnded
from vmmkit.gdb.target import CONTINUE, STEP, BreakpointKind, Stop, StopKind

SOFTWARE, WRITE = BreakpointKind.SOFTWARE, BreakpointKind.WRITE
KINDS = ("vcpus", "soft", "threads")
# 1000: inc rax; 1003: mov [0x5000], rax; 100b: jmp 1000
STORE = bytes.fromhex("48ffc0 4889042500500000 ebf3")
SPIN = bytes.fromhex("ebfe")
# 2000: hlt; jmp 2000
SLEEP = bytes.fromhex("f4 ebfd")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_a_stop_found_while_the_debugger_leaves_keeps_nobody(kind, monkeypatch):
    guest = Guest(kind, "pure", {0x1000: STORE})
    with guest.debugged():
        guest.target.insert_breakpoint(WRITE, 0, 0x5000, 8)
        judge = guest.target._hit

        def leave_meanwhile(seat, found):
            stop = judge(seat, found)
            guest.target.resume({0: CONTINUE}, None)
            guest.target.debugger_detached()
            return stop

        monkeypatch.setattr(guest.target, "_hit", leave_meanwhile)
        guest.start()
        until(lambda: not guest.target._breakpoints)
        guest.gets_on()


@pytest.mark.parametrize("kind", ["soft", "threads"])
def test_a_stop_in_stepping_over_does_not_end_the_owners_run(kind):
    guest = Guest(kind, "pure", {0x1000: STORE})
    with guest.debugged() as outcomes:
        guest.target.insert_breakpoint(WRITE, 0, 0x5000, 8)
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        for _ in range(4):
            assert guest.go() == [Stop(0, StopKind.SOFTWARE, 0x1003)]
            assert guest.go() == [Stop(0, StopKind.WRITE, 0x5000)]
        assert outcomes == []


def test_a_step_of_one_does_not_jump_to_the_timer_of_another():
    guest = Guest("soft", "pure", {0x1000: b"\x90" * 9, 0x2000: SLEEP}, (0x1000, 0x2000))
    lapic, machine = guest.machine.lapics[1], guest.machine
    for register, value in ((0xF0, 0x1FF), (0x320, 0x40), (0x3E0, 0xB), (0x380, 10**8)):
        lapic.write(None, register, 4, value)
    with guest.debugged():
        guest.step(1)
        before = machine.ticks
        for _ in range(3):
            guest.go({0: STEP, 1: CONTINUE})
        assert machine.ticks == before + 3
        assert guest.go({0: CONTINUE, 1: STEP}) == [Stop(1, StopKind.STEP)]
        assert machine.ticks == before + 4
        guest.step(1)
        assert machine.ticks > before + 10**6  # nobody else is to run


def test_an_owner_who_is_interrupted_while_waiting_can_run_again(kind, monkeypatch):
    guest = Guest(kind, "pure", {0x1000: SPIN})
    guest.target.stop(Report())
    driver = guest.target._control.drivers[0]

    def interrupt():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(driver, "wake", type("Wake", (), {"wait": staticmethod(interrupt)})())
        with pytest.raises(KeyboardInterrupt):
            guest.target.run()
    assert not driver.parked  # or else the debugger would step it beside its owner
    with guest.owned():
        assert guest.step() == [Stop(0, StopKind.STEP)]


@pytest.mark.parametrize("kind", ["soft", "threads"])
def test_the_owner_ends_the_run_long_after_a_stop_of_the_debuggers(kind):
    guest = Guest(kind, "pure", {0x1000: STORE})
    machine = guest.machine
    with guest.debugged(ends=lambda _outcome: True) as outcomes:
        guest.start()
        guest.gets_on()
        guest.stop()
        guest.start()
        guest.gets_on()
        assert outcomes == []
        (machine.kick if kind == "soft" else machine.stop)()
        until(lambda: outcomes)
        assert isinstance(outcomes[0], RunEnded)
