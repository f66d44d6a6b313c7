# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What happens when the debugger and the guest, or its owner, do something at the same time."""

import struct

import pytest

from backends.debugging import Guest, Report, until
from vmmkit.backends import RunEnded
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.errors import TargetError
from vmmkit.gdb.target import CONTINUE, STEP, BreakpointKind, Stop, StopKind
from vmmkit.memregion import RegionMap

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


# -- turns, budgets and devices --------------------------------------------------------------------


@pytest.mark.parametrize("counts", [True, False])
def test_a_breakpoint_in_a_loop_leaves_the_others_their_turns(counts):
    guest = Guest("soft", None, {0x1000: SPIN, 0x2000: STORE}, (0x1000, 0x2000), quantum=20)
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1000, 1)
        if counts:
            for _ in range(50):
                assert guest.go() == [Stop(0, StopKind.SOFTWARE, 0x1000)]
        else:
            guest.start(counts=lambda _stop: False)
            guest.gets_on(100)
            guest.stop()
        assert guest.vcpus[1].state.retired >= 20


def test_a_debugger_who_looks_does_not_change_what_a_budget_is():
    def guest_with_timer():
        guest = Guest("soft", None, {0x1000: SLEEP, 0x3000: STORE})
        lapic = guest.machine.lapics[0]
        for register, value in ((0xF0, 0x1FF), (0x320, 0x2_0400 | 0x40), (0x3E0, 0xB)):
            lapic.write(None, register, 4, value)
        struct.pack_into("<2Q", guest.ram, 0xA000, 0, 0x00AF_9B00_0000_FFFF)
        struct.pack_into("<HHBBHQ", guest.ram, 0x9000 + 32, 0x4000, 8, 0, 0x8E, 0, 0)
        guest.ram[0x4000:0x4002] = bytes.fromhex("48cf")  # iretq, of the NMI
        state = guest.vcpus[0].state
        state.idtr_base, state.idtr_limit = 0x9000, 0x7FF
        state.gdtr_base, state.gdtr_limit = 0xA000, 15
        lapic.write(None, 0x380, 4, 100_000)
        return guest

    plain = guest_with_timer()
    plain.target.run(60)
    looked_at = guest_with_timer()
    looked_at.target.debugger_attached()
    first = Report()
    looked_at.target.stop(first)
    with looked_at.owned(60, ends=lambda _outcome: True) as outcomes:
        first.wait()
        for _ in range(20):
            looked_at.start()
            looked_at.stop()
        looked_at.start()
        until(lambda: outcomes)
    assert looked_at.machine.time == plain.machine.time
    assert looked_at.vcpus[0].state == plain.vcpus[0].state


def test_devices_are_accessed_under_the_machines_lock():
    space, held = RegionMap(address_bits=52), []
    guest = Guest("threads", "pure", {0x1000: SPIN}, mmio=space)
    lock = guest.machine.lock

    def read(*_access):
        held.append(lock._is_owned())
        return 7

    space.add(0x1000_0000, 0x1000, read=read, write=read)
    guest.target.stop(Report())
    guest.target.physical = True
    assert guest.target.read_memory(0, 0x1000_0000, 4) == b"\7\0\0\0"
    guest.target.write_memory(0, 0x1000_0000, bytes(4))
    assert held == [True, True]


def test_devices_of_a_machine_without_lock_wait_for_it_to_stand():
    space = RegionMap(address_bits=52)
    guest = Guest("soft", "pure", {0x1000: SPIN, 0x2000: SPIN}, (0x1000, 0x2000), mmio=space)
    space.add(0x1000_0000, 0x1000, read=lambda *_access: 7, write=lambda *_access: None)
    with guest.debugged():
        guest.target.physical = True
        report = guest.start({1: CONTINUE})
        assert guest.target.read_memory(0, 0x1000_0000, 4) == b""
        with pytest.raises(TargetError):
            guest.target.write_memory(0, 0x1000_0000, bytes(4))
        guest.target.stop_vcpu(1, report)
        report.wait()
        assert guest.target.read_memory(0, 0x1000_0000, 4) == b"\7\0\0\0"


# -- vCPUs that cannot be given the bytes of an instruction ----------------------------------------


class WithoutLatch:
    """A vCPU over whose INT3 nothing can be stepped but by taking it away."""

    def __init__(self, vcpu):
        self._vcpu = vcpu

    def __getattr__(self, name):
        if name in {"latch", "awaits_answer"}:
            raise AttributeError(name)
        return getattr(self._vcpu, name)


def lifting_guest(vcpus):
    guest = Guest("vcpus", None, {0x1000: STORE}, (0x1000,) * vcpus)
    plain = [WithoutLatch(vcpu) for vcpu in guest.vcpus]
    guest.target = VcpuTarget(plain, ram=[(0, guest.ram)])
    return guest


def test_a_breakpoint_that_is_removed_while_it_is_lifted_does_not_come_back(monkeypatch):
    guest = lifting_guest(1)
    target = guest.target
    target.stop(Report())
    target.insert_breakpoint(SOFTWARE, 0, 0x1000, 1)

    def meanwhile(_seat):
        assert guest.ram[0x1000] == STORE[0]
        target._breakpoints.rearm()  # another vCPU has stopped: the byte is not overwritten
        assert guest.ram[0x1000] == STORE[0]
        target.write_memory(0, 0x1000, b"\x90")
        assert guest.ram[0x1000] == 0x90
        target.remove_breakpoint(SOFTWARE, 0, 0x1000, 1)

    monkeypatch.setattr(target, "_execute_one", meanwhile)
    target._step(target._control.seats[0], hold=True)
    assert guest.ram[0x1000] == 0x90


def test_vcpus_that_step_over_a_breakpoint_at_once_wait_for_each_other():
    guest = lifting_guest(3)
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1000, 1)
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x100B, 1)
        for _ in range(6):
            guest.start(counts=lambda _stop: False)
            guest.gets_on(2)
            guest.stop()
    assert guest.ram[0x1000 : 0x1000 + len(STORE)] == STORE


def test_a_stop_while_a_breakpoint_is_stepped_over_is_not_lost(kind, monkeypatch):
    """The step takes the kick; what follows it must not run on."""
    guest = Guest(kind, "pure", {0x1000: STORE})
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        assert guest.go() == [Stop(0, StopKind.SOFTWARE, 0x1003)]
        guest.target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x3000, 1)  # elsewhere
        execute_one, second = guest.target._execute_one, Report()

        def stop_meanwhile(seat):
            monkeypatch.undo()
            guest.target.stop(second)
            return execute_one(seat)

        monkeypatch.setattr(guest.target, "_execute_one", stop_meanwhile)
        guest.start()
        assert second.wait() == []
