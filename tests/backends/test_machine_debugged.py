# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`debug_target` of machines of software vCPUs, whose owner goes on calling `run` and `stop`."""

import signal
from threading import Thread, Timer, get_ident

import pytest

from backends.debugging import PATIENCE, Report, until
from vmmkit.backends import MachineHalted, MachineTarget, RunEnded, SoftMachine, ThreadedMachine
from vmmkit.errors import MachineError
from vmmkit.gdb.options import Capabilities
from vmmkit.gdb.target import CONTINUE, STEP, Stop, StopKind
from vmmkit.insn import available_engines
from vmmkit.memregion import RegionMap, all_ones

COUNT = bytes.fromhex("40 ebfd")  # inc ax; jmp to it
HALT = bytes.fromhex("fa f4")  # cli; hlt
TELL = bytes.fromhex("e6f4 ebfe")  # out F4h, al; jmp to itself
LONG = {SoftMachine: {"until": 1 << 62}, ThreadedMachine: {"through_halt": True}}


@pytest.fixture(params=LONG)
def kind(request):
    return request.param


@pytest.fixture(params=available_engines())
def engine(request):
    return request.param


def machine_of(kind, engine, code):
    ram = bytearray(0x2000)
    ram[0x1000 : 0x1000 + len(code)] = code
    pio = RegionMap(address_bits=16, name="pio")
    pio.add_fallback(0, 1 << 16, all_ones)
    machine = kind([(0, ram)], engine=engine, pio=pio)
    machine.pio.add(0xF4, 1, write=lambda *_access: machine.stop(), name="exit")
    machine.vcpus[0].state.enter_real_mode(ip=0x1000)
    return machine


class Owner(Thread):
    """One run of the machine on a thread."""

    def __init__(self, machine):
        super().__init__()
        self.machine, self.outcome = machine, None
        self.start()

    def run(self):
        self.outcome = self.machine.run(**LONG[type(self.machine)])

    def await_end(self):
        self.join(PATIENCE)
        if self.is_alive():
            self.machine.stop()
            raise AssertionError("the run has not ended")
        return self.outcome


@pytest.fixture
def machine(kind, engine):
    return machine_of(kind, engine, COUNT)


def attach(target):
    target.debugger_attached()
    report = Report()
    target.stop(report)
    assert report.wait() == []


def go(target, action):
    report = Report()
    target.resume({0: action}, report)
    return report


def detach(target):
    target.resume({0: CONTINUE}, None)
    target.debugger_detached()


def counts(machine):
    state = machine.vcpus[0].state
    before = state.retired
    until(lambda: state.retired > before + 10)


def test_a_debugger_comes_and_goes_while_one_run_lasts(machine):
    target = machine.debug_target()
    owner = Owner(machine)
    for _ in range(2):
        counts(machine)
        attach(target)
        assert go(target, STEP).wait() == [Stop(0, StopKind.STEP)]
        running = go(target, CONTINUE)
        counts(machine)
        assert running.calls == []
        detach(target)
    counts(machine)
    assert owner.is_alive()
    machine.stop()
    assert isinstance(owner.await_end(), RunEnded)


def test_stop_ends_a_run_whose_machine_the_debugger_has_stopped(machine):
    target = machine.debug_target()
    owner = Owner(machine)
    attach(target)
    assert owner.is_alive()
    machine.stop()
    assert isinstance(owner.await_end(), RunEnded)
    detach(target)


@pytest.mark.parametrize("attached", [False, True])
def test_a_device_stops_the_run(kind, engine, attached):
    machine = machine_of(kind, engine, TELL)
    target = machine.debug_target()
    if attached:
        target.debugger_attached()
    owner = Owner(machine)
    assert isinstance(owner.await_end(), RunEnded)
    assert machine.vcpus[0].state.rip == 0x1002


def test_without_a_debugger_outcomes_are_the_machines(kind, engine):
    machine = machine_of(kind, engine, HALT)
    plain = machine_of(kind, engine, HALT)
    machine.debug_target()
    for one in (machine, plain):
        assert isinstance(one.run(), MachineHalted)


def test_limits_are_the_machines(engine):
    machine = machine_of(SoftMachine, engine, COUNT)
    machine.debug_target()
    assert machine.run(7) == RunEnded(70)
    assert machine.run(instructions=7) == RunEnded(140)
    assert machine.run(until=200) == RunEnded(200)
    with pytest.raises(MachineError, match="at least 1 instruction"):
        machine.run(0)


@pytest.mark.parametrize("debugged", [False, True])
def test_a_stop_between_runs_is_the_next_ones(machine, debugged):
    if debugged:
        machine.debug_target()
    machine.stop()
    assert isinstance(machine.run(**LONG[type(machine)]), RunEnded)
    machine.stop()
    machine.forget_kick()
    owner = Owner(machine)
    counts(machine)
    assert owner.is_alive()
    machine.stop()
    owner.await_end()


def test_there_is_one_target(machine):
    target = machine.debug_target()
    assert isinstance(target, MachineTarget)
    assert machine.debug_target() is target
    owner = Owner(machine)
    counts(machine)
    assert machine.debug_target() is target
    machine.stop()
    owner.await_end()


def test_the_first_call_is_refused_while_the_machine_runs(machine):
    owner = Owner(machine)
    counts(machine)
    with pytest.raises(MachineError, match="the machine runs"):
        machine.debug_target()
    machine.stop()
    owner.await_end()


def test_kill_is_what_the_owner_says(machine):
    killed = []
    target = machine.debug_target()
    assert not Capabilities.of(target).killer
    machine.debug_target(kill=lambda: killed.append(1))
    machine.debug_target()
    assert Capabilities.of(target).killer
    target.kill()
    assert killed == [1]


def test_stop_needs_no_lock(engine):
    """A thread may call it while another holds the lock and waits for it."""
    for debugged in (False, True):
        machine = machine_of(ThreadedMachine, engine, COUNT)
        if debugged:
            machine.debug_target()
        owner = Owner(machine)
        counts(machine)
        with machine.lock:
            caller = Thread(target=machine.stop)
            caller.start()
            caller.join(PATIENCE)
            assert not caller.is_alive()
        owner.await_end()


def test_a_signal_handler_may_stop(engine):
    machine = machine_of(ThreadedMachine, engine, COUNT)
    before = signal.signal(signal.SIGALRM, lambda *_: machine.stop())
    try:
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            assert isinstance(machine.run(through_halt=True), RunEnded)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_stop_though_another_thread_has_got_the_signal(engine):
    """Nothing interrupts the main thread's wait then, and Python runs handlers there only."""
    machine = machine_of(ThreadedMachine, engine, COUNT)
    before = signal.signal(signal.SIGALRM, lambda *_: machine.stop())
    other = Timer(0.05, lambda: signal.pthread_kill(get_ident(), signal.SIGALRM))
    try:
        other.start()
        assert isinstance(machine.run(PATIENCE, through_halt=True), RunEnded)
        assert machine.time < PATIENCE * 1e9  # it was not the end of its time
    finally:
        other.join()
        signal.signal(signal.SIGALRM, before)
