# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Run control of targets: who runs, who stands, and what is reported."""

from threading import Event

import pytest

from backends.debugging import Guest, Report, until
from vmmkit.backends import MachineHalted, SoftMachine, SoftVcpu
from vmmkit.backends.machine_target import MachineTarget
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.errors import MachineError, TargetError
from vmmkit.gdb.target import CONTINUE, STEP, BreakpointKind, Stop, StopKind
from vmmkit.insn import Halt, Hypercall, ReadMsr, TripleFault, available_engines
from vmmkit.memregion import RegionMap

SOFTWARE, HARDWARE = BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE
KINDS = ("vcpus", "soft", "threads")
# 1000: inc rax; 1003: inc rbx; 1006: jmp 1000
COUNTER = bytes.fromhex("48ffc0 48ffc3 ebf8")
SPIN = bytes.fromhex("ebfe")
# 2000: cmp byte [0x6000], 0; je 2000; inc rcx; jmp $
AWAIT_FLAG = bytes.fromhex("803c250060000000 74f6 48ffc1 ebfe")
# 3000: mov byte [0x6000], 1; jmp $
SET_FLAG = bytes.fromhex("c604250060000001 ebfe")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=available_engines())
def guest(kind, request):
    return Guest(kind, request.param, {0x1000: COUNTER})


def of_steps(*vcpus):
    return [Stop(vcpu, StopKind.STEP) for vcpu in vcpus]


# -- one vCPU --------------------------------------------------------------------------------------


def test_a_stop_is_reported_once_and_holds(guest):
    with guest.debugged():
        state = guest.vcpus[0].state
        running = guest.start()
        assert guest.stop() == []
        retired = state.retired
        assert running.calls == []
        assert guest.stop() == []  # all stand already
        assert state.retired == retired


def test_a_step_is_one_instruction(guest):
    with guest.debugged():
        state = guest.vcpus[0].state
        for rip in (0x1003, 0x1006, 0x1000, 0x1003):
            assert guest.step() == of_steps(0)
            assert state.rip == rip
        assert (state.rax, state.rbx) == (2, 1)


def test_without_a_debugger_outcomes_are_the_owners(kind):
    guest = Guest(kind, "pure", {0x1000: bytes.fromhex("90f4")})
    outcome = guest.target.run()
    assert outcome == Halt(0x1002) if kind == "vcpus" else isinstance(outcome, MachineHalted)


def test_the_owner_gets_a_halt_with_a_debugger_too():
    guest = Guest("vcpus", "pure", {0x1000: bytes.fromhex("90f4 90f4")})
    with guest.debugged(ends=lambda outcome: outcome == Halt(0x1004)) as outcomes:
        report = guest.start()
        while Halt(0x1004) not in outcomes:
            assert report.calls == []
        assert guest.stop() == []


@pytest.mark.parametrize("machine", ["soft", "threads"])
def test_a_halted_machine_waits_for_its_debugger(machine):
    guest = Guest(machine, "pure", {0x1000: bytes.fromhex("f4ebfd")})
    with guest.debugged() as outcomes:
        guest.start()
        until(lambda: bool(guest.vcpus[0].state.halted))
        assert guest.stop() == []
        assert outcomes == []
        assert guest.step() == of_steps(0)  # nothing wakes it
        assert guest.vcpus[0].state.rip == 0x1001


def test_stepping_a_halt_is_told_and_given_to_the_owner_later():
    guest = Guest("vcpus", "pure", {0x1000: bytes.fromhex("f490f4")})
    with guest.debugged(ends=lambda outcome: outcome == Halt(0x1003)) as outcomes:
        assert guest.step() == of_steps(0)
        assert outcomes == []
        guest.start()
        until(lambda: Halt(0x1003) in outcomes)
        assert Halt(0x1001) in outcomes


def test_a_step_that_the_owner_must_help_with_ends_when_he_has():
    code = bytes.fromhex("0f32 90")  # rdmsr; nop
    guest = Guest("vcpus", "pure", {0x1000: code})
    vcpu = guest.vcpus[0]
    vcpu.state.rcx = 0x1234

    def answer(outcome):
        if isinstance(outcome, ReadMsr):
            vcpu.complete(0x77)
        return False

    with guest.debugged(ends=answer):
        assert guest.step() == of_steps(0)
        assert (vcpu.state.rip, vcpu.state.rax) == (0x1002, 0x77)


def test_a_triple_fault_is_shown_before_the_owner_gets_it(kind):
    guest = Guest(kind, "pure", {0x1000: bytes.fromhex("0f0b")})  # ud2 without an IDT

    def is_end(outcome):
        return isinstance(getattr(outcome, "outcome", outcome), TripleFault)

    with guest.debugged(ends=is_end) as outcomes:
        (stop,) = guest.go()
        assert (stop.kind, stop.signal) == (StopKind.SIGNAL, 11)
        assert "triple fault" in stop.message
        assert outcomes == []
        guest.start()
        until(lambda: bool(outcomes and is_end(outcomes[-1])))


def test_what_a_device_raises_in_a_step_is_the_owners(kind):
    pio = RegionMap(address_bits=16, name="pio")

    class Broken:
        def write(self, vcpu, offset, size, value):
            raise ValueError("broken")

    pio.add(0x99, 1, Broken(), name="broken")
    guest = Guest(kind, "pure", {0x1000: bytes.fromhex("e699")}, pio=pio)
    with guest.debugged() as outcomes:
        (stop,) = guest.step()
        assert stop.kind is StopKind.SIGNAL
        assert "broken" in stop.message
        assert outcomes == []
        guest.start()
        until(lambda: bool(outcomes and isinstance(outcomes[-1], Exception)))
        assert "broken" in str(outcomes[-1])


def test_hypercalls_go_to_the_owner_while_debugging():
    guest = Guest("vcpus", "pure", {0x1000: bytes.fromhex("0f01c1 ebfb")})
    with guest.debugged() as outcomes:
        guest.start()
        until(lambda: Hypercall in map(type, outcomes))
        assert guest.stop() == []


def test_end_run_reaches_a_parked_owner(kind):
    guest = Guest(kind, "pure", {0x1000: COUNTER})
    with guest.debugged() as outcomes:
        guest.target.end_run()
        until(lambda: bool(outcomes))
        assert guest.vcpus[0].state.retired == 0


def test_one_owner_at_a_time(kind):
    guest = Guest(kind, "pure", {0x1000: COUNTER})
    with guest.debugged():
        until(lambda: guest.target._control.drivers[0].inside)
        with pytest.raises(MachineError):
            guest.target.run()


def test_vcpus_that_do_not_exist(guest):
    with pytest.raises(TargetError):
        guest.target.read_registers(1)
    with pytest.raises(TargetError):
        guest.target.resume({7: CONTINUE}, Report())
    with pytest.raises(TargetError):
        VcpuTarget([])


def test_limits_of_a_machine_count_what_ran_before_a_stop():
    guest = Guest("soft", "pure", {0x1000: COUNTER})
    target, ends = guest.target, Event()
    target.debugger_attached()
    first = Report()
    target.stop(first)

    def done(_outcome):
        ends.set()
        return True

    target.run_default = target.run
    target.run = lambda: target.run_default(300)
    with guest.owned(ends=done):
        first.wait()
        target.insert_breakpoint(SOFTWARE, 0, 0x1006, 1)
        for _ in range(10):
            guest.go()
        target.remove_breakpoint(SOFTWARE, 0, 0x1006, 1)
        guest.start()
        assert ends.wait(20)
        assert guest.vcpus[0].state.retired == 300


def test_reset_starts_at_the_reset_vector():
    guest = Guest("soft", "pure", {0x1000: COUNTER})
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        guest.go()
        guest.target.reset()
        assert guest.vcpus[0].state.rip == 0xFFF0
        assert guest.ram[0x1003] == 0xCC
    assert guest.ram[0x1003] == COUNTER[3]


def test_a_target_of_vcpus_resets_if_the_owner_can():
    vcpu = SoftVcpu([(0, bytearray(4096))])
    assert VcpuTarget([vcpu]).reset is None
    target = VcpuTarget([vcpu], reset=vcpu.state.reset)
    vcpu.state.rip = 1
    target.reset()
    assert vcpu.state.rip == 0xFFF0


# -- several vCPUs ---------------------------------------------------------------------------------


def pair(kind, engine=None):
    return Guest(kind, engine, {0x1000: COUNTER, 0x4000: COUNTER}, starts=(0x1000, 0x4000))


def test_only_those_named_run(kind):
    guest = pair(kind)
    with guest.debugged():
        running = guest.start({1: CONTINUE})
        until(lambda: bool(guest.vcpus[1].state.rax))
        assert guest.stop() == []
        assert running.calls == []
        assert guest.vcpus[0].state.retired == 0


def test_a_step_lets_the_others_run_along(kind):
    guest = Guest(kind, None, {0x2000: AWAIT_FLAG, 0x3000: SET_FLAG}, starts=(0x2000, 0x3000))
    with guest.debugged():
        for _ in range(100_000):
            stops = guest.go({0: STEP, 1: CONTINUE})
            assert stops == of_steps(0)
            if guest.vcpus[0].state.rcx:
                break
        assert guest.vcpus[0].state.rcx == 1


def test_two_steps_are_told_together(kind):
    guest = pair(kind)
    with guest.debugged():
        assert sorted(guest.go({0: STEP, 1: STEP})) == of_steps(0, 1)
        assert [vcpu.state.rax for vcpu in guest.vcpus] == [1, 1]


def test_two_vcpus_at_breakpoints_at_once(kind):
    guest = pair(kind)
    with guest.debugged():
        for address in (0x1003, 0x4003):
            guest.target.insert_breakpoint(SOFTWARE, 0, address, 1)
        told = {0: 0, 1: 0}
        for _ in range(40):
            stops = guest.go()
            assert stops
            for stop in stops:
                assert stop.kind is StopKind.SOFTWARE
                assert stop.address == (0x1003, 0x4003)[stop.vcpu]
                assert guest.vcpus[stop.vcpu].state.rip == stop.address
                told[stop.vcpu] += 1
                # No pass through the loop goes untold.
                assert guest.vcpus[stop.vcpu].state.rax == told[stop.vcpu]


def test_a_breakpoint_removed_while_its_stop_is_pending(kind):
    guest = pair(kind)
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        running = guest.start()
        assert running.wait()[0].vcpu == 0
        guest.target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        before = guest.vcpus[0].state.rbx
        again = guest.start()
        until(lambda: guest.vcpus[0].state.rbx >= before + 10)
        guest.stop()
        assert again.calls == []
    assert guest.ram[0x1003] == COUNTER[3]


def test_a_stop_racing_with_a_breakpoint_is_told_once(kind):
    guest = pair(kind)
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        hits = 0
        for _ in range(50):
            running, asked = Report(), Report()
            guest.target.resume({0: CONTINUE, 1: CONTINUE}, running)
            guest.target.stop(asked)
            # Whichever came first: a report that was replaced is not called any more.
            stops = asked.wait()
            assert len(running.calls) in (0, 1)
            hits += len(stops) + sum(map(len, running.calls))
        assert guest.vcpus[0].state.rax in (hits, hits + 1)


def test_resume_before_a_stop_has_stood(kind):
    guest = pair(kind)
    with guest.debugged():
        for _ in range(50):
            guest.start()
            dropped, last = Report(), Report()
            guest.target.stop(dropped)
            guest.target.resume({0: CONTINUE, 1: STEP}, last)
            assert last.wait() == of_steps(1)
            assert dropped.calls in ([], [[]])


def test_stop_while_a_step_is_in_flight():
    guest = pair("vcpus")
    with guest.debugged():
        for _ in range(50):
            before = guest.vcpus[0].state.retired
            stepping = guest.start({0: STEP, 1: CONTINUE})
            asked = Report()
            guest.target.stop(asked)
            stops = asked.wait() + [stop for call in stepping.calls for stop in call]
            done = guest.vcpus[0].state.retired - before
            assert stops == of_steps(0) * done
            assert done <= 1


def test_a_client_gone_while_stepping(kind):
    guest = pair(kind)
    with guest.debugged() as outcomes:
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        guest.start({0: STEP, 1: CONTINUE})
        guest.stop()
        guest.target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        guest.target.resume({0: CONTINUE, 1: CONTINUE}, None)
        guest.target.debugger_detached()
        outcomes.clear()
        before = [vcpu.state.rax for vcpu in guest.vcpus]
        until(
            lambda: (
                not (
                    any(
                        vcpu.state.rax < then + 10
                        for vcpu, then in zip(guest.vcpus, before, strict=True)
                    )
                )
            )
        )
        assert guest.ram[0x1000:0x1008] == COUNTER


def test_detaching_with_breakpoints_leaves_none_behind(kind):
    guest = pair(kind)
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        guest.target.insert_breakpoint(HARDWARE, 0, 0x4003, 1)
        guest.go()
        guest.target.resume({0: CONTINUE, 1: CONTINUE}, None)
        assert guest.ram[0x1000:0x1008] == COUNTER
        before = [vcpu.state.rax for vcpu in guest.vcpus]
        until(
            lambda: (
                not (
                    any(
                        vcpu.state.rax < then + 10
                        for vcpu, then in zip(guest.vcpus, before, strict=True)
                    )
                )
            )
        )
        assert guest.stop() == []


def test_vcpus_stop_one_by_one(kind):
    guest = pair(kind)
    with guest.debugged():
        reports = [guest.start({0: CONTINUE}), guest.start({1: CONTINUE})]
        until(lambda: all(vcpu.state.rax for vcpu in guest.vcpus))
        stopped = Report()
        guest.target.stop_vcpu(0, stopped)
        assert stopped.wait() == []
        stood, before = guest.vcpus[0].state.retired, guest.vcpus[1].state.rax
        until(lambda: guest.vcpus[1].state.rax >= before + 10)
        assert guest.vcpus[0].state.retired == stood
        assert guest.step(0) == of_steps(0)  # while the other one runs
        assert guest.vcpus[0].state.retired == stood + 1
        assert reports[1].calls == []
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x4003, 1)  # under a vCPU that runs
        assert reports[1].wait()[0] == Stop(1, StopKind.SOFTWARE, 0x4003)
        assert reports[0].calls == []


def test_machines_go_on_as_they_would_have():
    def states(stops):
        machine = SoftMachine([(0, ram := bytearray(1 << 20))], engine=None)
        ram[0x1000:0x1008] = COUNTER
        machine.vcpus[0].state.enter_protected_mode(0x1000)
        target = MachineTarget(machine)
        if stops:
            target.debugger_attached()
        return target.run(1000), machine.vcpus[0].state

    assert states(stops=False) == states(stops=True)
