# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Kicks of a vCPU in KVM: before, during and after a run, from many threads, on many threads."""

import errno
import os
import signal
import threading
import time
import warnings

import pytest

from backends.kvm.pairs import CODE, SECONDS, image, kvm_vcpu, start
from vmmkit.backends.kvm import KvmVcpu, KvmVm
from vmmkit.backends.kvm._kick import DEFAULT_KICK_SIGNAL
from vmmkit.backends.kvm._spec import MpState
from vmmkit.errors import KvmError, StepError
from vmmkit.insn import BudgetSpent, Halt, PortOut

pytestmark = pytest.mark.kvm

SPIN = bytes.fromhex("ebfe")
COUNT = bytes.fromhex("6640 ebfc")  # inc eax; jmp
CHATTER = bytes.fromhex("e620 ebfc")  # out 20h, al; jmp


class Started(threading.Thread):
    """A thread that keeps what its function returned or raised."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self._function, self.result, self.error = function, None, None
        self.start()

    def run(self):
        try:
            self.result = self._function()
        except (AssertionError, KvmError, StepError) as error:
            self.error = error

    def value(self):
        self.join(SECONDS)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return self.result


@pytest.fixture
def spinning():
    with kvm_vcpu(image(SPIN)) as (vcpu, _, _):
        start(vcpu.state, 16)
        yield vcpu


def test_a_kick_ends_a_run(spinning):
    runner = Started(spinning.run)
    time.sleep(0.05)
    spinning.kick()
    assert runner.value() == BudgetSpent(CODE)


def test_a_kick_before_a_run_ends_it_and_no_other(spinning):
    spinning.kick()
    spinning.kick()
    assert spinning.run() == BudgetSpent(CODE)
    runner = Started(spinning.run)
    time.sleep(0.05)
    assert runner.is_alive()
    spinning.kick()
    assert runner.value() == BudgetSpent(CODE)


def test_a_kick_while_the_vcpu_is_stopped_ends_the_next_run():
    with kvm_vcpu(image(CHATTER)) as (vcpu, _, _):
        start(vcpu.state, 16)
        for _ in range(10):
            assert isinstance(vcpu.run(), PortOut)
            vcpu.kick()
            assert vcpu.run() == BudgetSpent(CODE + 2)  # past the OUT, which is complete


class Ports:
    """Ports that count."""

    def __init__(self, kick=None):
        self.count, self.kick = 0, kick

    def write(self, *_):
        self.count += 1
        if self.kick and not self.count % 10:
            self.kick()


def test_a_handler_may_kick_its_own_vcpu():
    with kvm_vcpu(image(CHATTER)) as (vcpu, _, _):
        start(vcpu.state, 16)
        ports = Ports(vcpu.kick)
        ports.read = None
        for turn in range(1, 5):
            assert vcpu.run_through(ports, ports) == BudgetSpent(CODE + 2)
            assert ports.count == 10 * turn


def test_one_vcpu_runs_on_many_threads_in_turn(spinning):
    for _ in range(20):
        runner = Started(spinning.run)
        time.sleep(0.002)
        spinning.kick()
        assert runner.value() == BudgetSpent(CODE)
    spinning.kick()
    assert spinning.run() == BudgetSpent(CODE)


def test_storms_of_kicks_neither_get_lost_nor_pile_up():
    with kvm_vcpu(image(CHATTER)) as (vcpu, _, _):
        start(vcpu.state, 16)
        ports, stop = Ports(), threading.Event()
        ports.read = None

        def kicker():
            while not stop.is_set():
                vcpu.kick()
                time.sleep(0)

        def runner():
            for _ in range(100):
                assert isinstance(vcpu.run_through(ports, ports), BudgetSpent)

        storm = [Started(kicker) for _ in range(2)]
        running = Started(runner)
        running.value()
        stop.set()
        for each in storm:
            each.value()
        vcpu.kick()
        assert isinstance(vcpu.run(), BudgetSpent)
        assert isinstance(vcpu.run(), PortOut)  # and nothing is left of the storm
        assert DEFAULT_KICK_SIGNAL not in signal.sigpending()


def test_every_kick_ends_one_run():
    with kvm_vcpu(image(SPIN)) as (vcpu, _, _):
        start(vcpu.state, 16)
        turns, ended = 100, threading.Semaphore(0)

        def runner():
            for _ in range(turns):
                assert vcpu.run() == BudgetSpent(CODE)
                ended.release()

        running = Started(runner)
        for _ in range(turns):
            vcpu.kick()
            assert ended.acquire(timeout=SECONDS)
        running.value()


def test_other_threads_run_while_the_guest_does(spinning):
    runner = Started(spinning.run)
    began = time.monotonic()
    count = 0
    while count < 10_000:
        count += 1
    assert time.monotonic() - began < SECONDS / 2
    assert runner.is_alive()
    spinning.kick()
    runner.value()


def test_a_second_runner_is_refused(spinning):
    runner = Started(spinning.run)
    time.sleep(0.05)
    with pytest.raises(StepError, match="runs already"):
        spinning.run()
    spinning.kick()
    assert runner.value() == BudgetSpent(CODE)


def test_signals_of_others_end_no_run(spinning):
    seen = []

    def note(*_):
        seen.append(1)
        if len(seen) > 2:
            spinning.kick()

    before = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        assert spinning.run() == BudgetSpent(CODE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) >= 3


def test_an_exception_of_a_signal_handler_comes_out(spinning):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            spinning.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    spinning.kick()
    assert spinning.run() == BudgetSpent(CODE)


def test_interrupts_from_another_thread_reach_a_running_guest():
    ram = image(bytes.fromhex("fb ebfe"))  # sti; jmp self
    ram[4 * 0x40 : 4 * 0x40 + 4] = (0x2000).to_bytes(4, "little")
    ram[4 * 2 : 4 * 2 + 4] = (0x3000).to_bytes(4, "little")
    ram[0x2000] = ram[0x3000] = 0xF4
    with kvm_vcpu(ram) as (vcpu, _, _):
        for ask, end in ((lambda: vcpu.request_interrupt(0x40), 0x2001), (vcpu.nmi, 0x3001)):
            start(vcpu.state, 16)
            runner = Started(vcpu.run)
            time.sleep(0.03)
            ask()
            assert runner.value() == Halt(end)


def test_a_vcpu_does_not_run_in_a_fork(spinning):
    with warnings.catch_warnings():  # that there are other threads: the child needs none
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        status = 1
        try:
            spinning.kick()
            spinning.run()
        except KvmError as error:
            status = 0 if error.errno == errno.EIO and "forks" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    runner = Started(spinning.run)
    time.sleep(0.02)
    spinning.kick()
    assert runner.value() == BudgetSpent(CODE)


def test_a_vcpu_that_waits_for_its_start_can_be_kicked():
    with KvmVm("split") as vm, KvmVcpu(vm, 0), KvmVcpu(vm, 1) as second:
        assert second.mp_state == MpState.UNINITIALIZED
        for _ in range(3):
            runner = Started(second.run)
            time.sleep(0.02)
            assert runner.is_alive()
            second.kick()
            assert isinstance(runner.value(), BudgetSpent)
        assert len(second.get_lapic()) == 1024


@pytest.fixture
def own_mask():
    """What this thread has blocked, restored at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.sigtimedwait({signal.SIGUSR1}, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.usefixtures("own_mask")
def test_a_signal_that_is_blocked_between_runs_stays_out_of_the_next():
    with kvm_vcpu(image(CHATTER)) as (vcpu, _, _):
        start(vcpu.state, 16)
        assert isinstance(vcpu.run(), PortOut)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert isinstance(vcpu.run(), PortOut)
        assert signal.SIGUSR1 in signal.sigpending()


@pytest.mark.usefixtures("own_mask")
def test_a_kick_is_blocked_again_where_the_program_unblocked_it(spinning):
    spinning.kick()
    spinning.run()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {DEFAULT_KICK_SIGNAL})
    kicker = threading.Timer(0.02, spinning.kick)
    kicker.start()
    assert spinning.run() == BudgetSpent(CODE)
    kicker.join()


def test_a_signal_handler_may_kick_whatever_the_vcpu_s_thread_is_at():
    with kvm_vcpu(image(CHATTER)) as (vcpu, _, _):
        start(vcpu.state, 16)
        with vcpu._kicker.lock:  # as where a handler comes while a run begins or ends
            vcpu.kick()
        assert vcpu.run() == BudgetSpent(CODE)
        before = signal.signal(signal.SIGALRM, lambda *_: vcpu.kick())
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            ports = Ports()
            ports.read = None
            for _ in range(100):
                assert isinstance(vcpu.run_through(ports, ports), BudgetSpent)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def test_a_vcpu_that_runs_cannot_be_closed(spinning):
    runner = Started(spinning.run)
    time.sleep(0.05)
    with pytest.raises(StepError, match="kick it, and close it"):
        spinning.close()
    spinning.kick()
    assert runner.value() == BudgetSpent(CODE)
    spinning.close()
    with pytest.raises(KvmError, match="EBADF"):
        spinning.kick()
