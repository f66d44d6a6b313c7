# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A debugger with a `KvmMachine`, before and during runs; and locked ways of a target."""

import threading
from contextlib import contextmanager
from functools import partial

import pytest

from backends.debugging import PATIENCE, Report, until
from backends.kvm.machines import BOTH_CHIPS, LONG, guest_of, start_others
from backends.kvm.test_machine import FLAG, HLT, SLEEP, STOP, await_dword, dword_at
from backends.kvm.test_machine_interrupts import until_taken
from backends.smp import CODE, ENABLE, apic, dword
from gdb.gdb_driver import Gdb, gdb_path
from vmmkit.backends import RunEnded, SoftVcpu, VcpuTarget
from vmmkit.gdb.serve import serve
from vmmkit.gdb.target import CONTINUE, STEP, BreakpointKind, Stop, StopKind
from vmmkit.insn import Halt
from vmmkit.memregion import RegionMap

COUNT = "ff05" + dword(FLAG) + "ebf8"  # inc dword [FLAG]; jmp to it
COUNT_TOO = "ff05" + dword(FLAG + 4) + "ebf8"


@pytest.fixture(params=BOTH_CHIPS)
def kind(request):
    return request.param


class Session:
    """A debugger, and a thread that runs the machine until `close`."""

    def __init__(self, guest):
        self.guest, self.target = guest, guest.machine.debug_target()
        self.outcomes, self._over = [], False
        self._owner = threading.Thread(target=self._own)

    def _own(self):
        while not self._over:
            try:
                self.outcomes.append(self.guest.machine.run())
            except Exception as error:  # noqa: BLE001 - for the test to look at
                self.outcomes.append(error)
                return

    def start(self):
        self._owner.start()

    def close(self):
        self._over = True
        while self._owner.is_alive():
            self.guest.machine.stop()
            self._owner.join(0.05)

    def attach(self):
        self.target.debugger_attached()
        return self.stop()

    def stop(self):
        report = Report()
        self.target.stop(report)
        return report.wait()

    def go(self, *stepped, only=None):
        """Resume all, or step some, or let only one go; return the report."""
        vcpus = self.target.vcpus() if only is None else only
        actions = dict.fromkeys(vcpus, CONTINUE) if not stepped else dict.fromkeys(stepped, STEP)
        report = Report()
        self.target.resume(actions, report)
        return report

    def detach(self):
        self.target.resume(dict.fromkeys(self.target.vcpus(), CONTINUE), None)
        self.target.debugger_detached()

    def state(self, number=0):
        return self.guest.state(number)


@contextmanager
def session_of(kind, *codes, started=True, **options):
    with guest_of(kind, *codes, **options) as guest:
        session = Session(guest)
        try:
            if started:
                session.start()
            yield session
        finally:
            if started:
                session.close()


def grows(guest, address=FLAG):
    before = dword_at(guest, address)
    until(lambda: dword_at(guest, address) != before)


def test_attach_while_it_runs(kind):
    with session_of(kind, COUNT) as session:
        grows(session.guest)
        assert session.attach() == []
        stood = dword_at(session.guest, FLAG)
        assert session.state().rip in (CODE, CODE + 6)
        assert dword_at(session.guest, FLAG) == stood
        session.detach()
        grows(session.guest)


def test_attach_before_the_first_run(kind):
    with guest_of(kind, COUNT) as guest:
        session = Session(guest)
        assert session.attach() == []
        session.start()
        try:
            assert session.go(0).wait() == [Stop(0, StopKind.STEP)]
            assert (session.state().rip, dword_at(guest, FLAG)) == (CODE + 6, 1)
            session.detach()
            grows(guest)
        finally:
            session.close()


def test_interrupting_again_and_again(kind):
    with session_of(kind, start_others(1) + COUNT, COUNT_TOO) as session:
        grows(session.guest, FLAG + 4)
        session.attach()
        for _ in range(20):
            running = session.go()
            assert session.stop() == []
            assert running.calls == []
        session.detach()
        grows(session.guest, FLAG + 4)
        grows(session.guest)


def test_a_step_while_others_hold(kind):
    with session_of(kind, start_others(1) + COUNT, COUNT_TOO) as session:
        grows(session.guest, FLAG + 4)
        session.attach()
        stood = dword_at(session.guest, FLAG), dword_at(session.guest, FLAG + 4)
        seen = set()
        for _ in range(4):
            assert session.go(1).wait() == [Stop(1, StopKind.STEP)]
            seen.add(session.state(1).rip)
        assert seen == {CODE + 0x1000, CODE + 0x1006}
        assert dword_at(session.guest, FLAG) == stood[0]
        assert dword_at(session.guest, FLAG + 4) == stood[1] + 2
        session.detach()


def test_one_goes_while_another_holds(kind):
    with session_of(kind, start_others(1) + COUNT, COUNT_TOO) as session:
        grows(session.guest, FLAG + 4)
        session.attach()
        stood = dword_at(session.guest, FLAG)
        session.go(only=[1])
        grows(session.guest, FLAG + 4)
        assert dword_at(session.guest, FLAG) == stood
        session.stop()
        session.detach()


def test_a_breakpoint(kind):
    with session_of(kind, COUNT) as session:
        grows(session.guest)
        session.attach()
        session.target.insert_breakpoint(BreakpointKind.HARDWARE, 0, CODE + 6, 1)
        for _ in range(3):
            before = dword_at(session.guest, FLAG)
            stops = session.go().wait()
            assert [(stop.vcpu, stop.kind) for stop in stops] == [(0, StopKind.HARDWARE)]
            assert session.state().rip == CODE + 6
        assert dword_at(session.guest, FLAG) == before + 1
        session.target.remove_breakpoint(BreakpointKind.HARDWARE, 0, CODE + 6, 1)
        session.detach()
        grows(session.guest)


@pytest.mark.parametrize("code", [SLEEP, "fbf4ebfc"])
def test_those_who_wait_stop_too(kind, code):
    """One in HLT, and one that nobody has started."""
    with session_of(kind, code, HLT) as session:
        assert session.attach() == []
        session.go()
        assert session.stop() == []
        session.detach()


@pytest.mark.parametrize("number", [0, 1])
def test_a_step_of_one_who_waits(kind, number):
    with session_of(kind, SLEEP, HLT) as session:
        session.attach()
        report = session.go(number)
        session.stop()
        assert report.calls in ([], [[Stop(number, StopKind.STEP)]])
        session.detach()


def test_a_run_ends_though_a_debugger_has_stopped_it(kind):
    with guest_of(kind, COUNT, HLT) as guest:
        session = Session(guest)
        session.attach()
        assert isinstance(guest.machine.run(0.02), RunEnded)
        assert dword_at(guest, FLAG) == 0
        session.detach()
        assert isinstance(guest.machine.run(0.02), RunEnded)
        assert dword_at(guest, FLAG) > 0


@pytest.mark.parametrize("number", [0, 1])
def test_a_run_ends_though_one_who_waits_is_stepped(kind, number):
    with guest_of(kind, SLEEP, HLT) as guest:
        session = Session(guest)
        guest.machine.run(0.02)
        session.attach()
        report = session.go(number)
        assert isinstance(guest.machine.run(0.05), RunEnded)
        assert report.calls in ([], [[Stop(number, StopKind.STEP)]])
        session.detach()


def test_a_fatal_exit_is_the_debuggers_first(kind):
    fault = "0f011d" + dword(FLAG + 0x100) + "0f0b"  # lidt of zeros; ud2
    with session_of(kind, fault) as session:
        session.target.debugger_attached()
        until(lambda: session.outcomes)  # without an order nobody is asked
        session.stop()
        session.detach()


def test_memory_and_registers_by_the_target(kind):
    with session_of(kind, ENABLE + COUNT) as session:
        grows(session.guest)
        session.attach()
        assert session.target.read_memory(0, CODE, 4) == session.guest.ram[CODE : CODE + 4]
        session.target.write_memory(0, FLAG, bytes(4))
        assert dword_at(session.guest, FLAG) == 0
        session.target.write_registers(0, {"rbx": 0x1234})
        session.go(0).wait()
        assert session.state().rbx == 0x1234
        session.detach()


def test_a_reset_by_the_debugger(kind):
    with session_of(kind, start_others(1) + COUNT, COUNT_TOO) as session:
        grows(session.guest, FLAG + 4)
        session.attach()
        session.target.reset()
        assert [session.state(n).rip for n in (0, 1)] == [0xFFF0, 0xFFF0]
        session.guest.start(0, COUNT)
        session.go()
        grows(session.guest)
        stood = dword_at(session.guest, FLAG + 4)
        session.stop()
        assert dword_at(session.guest, FLAG + 4) == stood
        session.detach()


def test_a_debugger_in_the_middle_of_interrupts(kind):
    """The local APIC's timer goes on by itself; all that it asked for comes."""
    timer = apic(0x320, 0x2_0040) + apic(0x3E0, 0x0B) + apic(0x380, 1_000_000)
    with guest_of(kind, ENABLE + timer + until_taken(0x40, 40) + STOP + HLT) as guest:
        session = Session(guest)
        ended = []
        owner = threading.Thread(target=lambda: ended.append(guest.machine.run(LONG)))
        owner.start()
        try:
            session.attach()
            while not ended and guest.count(0x40) < 40:
                session.go()
                session.stop()
            session.detach()
        finally:
            owner.join(PATIENCE)
        assert isinstance(ended[0], RunEnded)


def test_a_real_gdb(kind, tmp_path):
    """Attach to two vCPUs that run, step one, break, interrupt, and leave."""
    gdb_path()
    socket = tmp_path / "socket"
    with session_of(kind, start_others(1) + COUNT, COUNT_TOO) as session:
        grows(session.guest, FLAG + 4)
        with serve(session.target, f"unix:{socket}"):
            gdb = Gdb(
                tmp_path,
                (
                    f"target remote {socket}",
                    "info threads",
                    "set scheduler-locking on",
                    "thread 2",
                    "stepi 4",
                    "print/x $pc",
                    "set scheduler-locking off",
                    f"hbreak *{CODE + 0x1006:#x}",
                    "continue",
                    "print/x $pc",
                    f"x/wx {FLAG:#x}",
                    "delete",
                    "continue",
                    "detach",
                ),
            )
            gdb.await_packet("vCont;c", 2)
            grows(session.guest)
            gdb.interrupt()
            run = gdb.result()
        grows(session.guest)
        grows(session.guest, FLAG + 4)
    assert run.replies[1].count("Thread ") >= 2
    assert run.replies[5].split()[-1] in (hex(CODE + 0x1000), hex(CODE + 0x1006))
    assert run.replies[9].split()[-1] == hex(CODE + 0x1006)
    assert "SIGINT" in run.replies[12]


# -- locked ways of a target -----------------------------------------------------------------------


def test_handlers_of_a_target_run_under_its_lock():
    lock, held = threading.RLock(), []

    def note(*_access):
        probe = threading.Thread(
            target=lambda: held.append(not lock.acquire(blocking=False) or lock.release())
        )
        probe.start()
        probe.join(PATIENCE)
        return 0

    ram = bytearray(4096)
    ram[:11] = bytes.fromhex("e480 e680 a00020 a20020 f4")
    pio, mmio = RegionMap(address_bits=16), RegionMap()
    pio.add(0x80, 1, read=note, write=note, name="port")
    mmio.add(0x2000, 0x1000, read=note, write=note, name="device")
    vcpu = SoftVcpu([(0, ram)])
    vcpu.state.enter_real_mode(ip=0)
    target = VcpuTarget([vcpu], ram=[(0, ram)], mmio=mmio, pio=pio, guard=lock)
    assert target.run(0) == Halt(11)
    target.read_memory(0, 0x2000, 1)
    assert held == [True] * 5


def test_nobody_is_left_waiting(kind):
    """Stops of the owner's and of a debugger's at once."""
    with guest_of(kind, start_others(1) + await_dword(FLAG, 1) + COUNT, COUNT) as guest:
        session, machine = Session(guest), guest.machine
        session.start()
        over = []

        def disturb(action):
            while not over:
                action()

        threads = [threading.Thread(target=partial(disturb, machine.stop))]
        try:
            for thread in threads:
                thread.start()
            session.attach()
            for _ in range(10):
                session.go()
                session.stop()
            session.detach()
        finally:
            over.append(True)
            for thread in threads:
                thread.join(PATIENCE)
            session.close()
        assert all(isinstance(one, RunEnded) for one in session.outcomes)


def test_kill_is_what_the_owner_says(kind):
    killed = []
    with guest_of(kind, COUNT) as guest:
        target = guest.machine.debug_target()
        assert target.kill is None
        assert guest.machine.debug_target(kill=lambda: killed.append(1)) is target
        guest.machine.debug_target()
        target.kill()
    assert killed == [1]
