# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`ThreadedMachine`: a thread for each vCPU, the host's time, one lock."""

import pickle
import threading
from time import sleep

import pytest

from backends.smp import APIC, CODE, ENABLE, WAIT, Small, apic, dword
from vmmkit.backends import MachineHalted, RunEnded, ThreadedMachine, VcpuExit
from vmmkit.devices import ApicMessage, DeliveryMode
from vmmkit.errors import HandlerError, MachineError, StepError
from vmmkit.insn import Hypercall, TripleFault, available_engines

ENGINES = pytest.mark.parametrize("engine", available_engines())
LOOP, HLT, OUT, NOP, STOP = "ebfe", "f4", "e780", "90", "e7a8"
HYPERCALL = "0f01c1"
ADD = "f0ff05" + dword(0x3F000)  # lock inc
LONG = 60  # seconds: nothing here takes them


def threaded(*codes, **arguments):
    """A machine whose vCPUs all run."""
    small = Small(*codes, machine=ThreadedMachine, **arguments)
    for number in range(1, len(codes)):
        state = small.state(number).copy()
        message = ApicMessage(0x10, DeliveryMode.SIPI, destination=number)
        small.machine.bus.deliver(message)
        small.machine.vcpus[number].settle()
        small.state(number).record[:] = state.record
    stop = small.machine.stop
    small.machine.pio.add(0xA8, 4, write=lambda *_access: stop(), name="stop")
    return small


@ENGINES
def test_all_run(engine):
    count = ADD * 50 + HLT
    small = threaded(count, count, count, engine=engine)
    assert isinstance(small.machine.run(LONG), MachineHalted)
    assert int.from_bytes(small.ram[0x3F000:0x3F004], "little") == 150


def test_a_run_takes_the_seconds_it_is_given():
    small = threaded(LOOP, LOOP)
    before = small.machine.time
    threads = threading.active_count()
    assert isinstance(small.machine.run(0.02), RunEnded)
    after = small.machine.time
    assert after - before >= 20_000_000
    assert small.machine.time == after  # it stands
    assert threading.active_count() == threads


def test_somebody_stops_it():
    small = threaded(LOOP, WAIT)
    timer = threading.Timer(0.02, small.machine.stop)
    timer.start()
    assert isinstance(small.machine.run(LONG), RunEnded)
    timer.join()
    small.machine.stop()
    assert isinstance(small.machine.run(LONG), RunEnded)


def test_a_handler_stops_it():
    small = threaded(NOP + STOP + LOOP, LOOP)
    assert isinstance(small.machine.run(LONG), RunEnded)


def test_what_a_handler_raises_reaches_the_owner():
    small = threaded("e790" + HLT, LOOP)
    fails = [True]

    def write(*_access):
        if fails:
            raise KeyError(fails.pop())

    small.machine.pio.add(0x90, 4, write=write, name="moody")
    threads = threading.active_count()
    with pytest.raises(HandlerError):
        small.machine.run(LONG)
    assert threading.active_count() == threads
    assert isinstance(small.machine.run(0.01), RunEnded)
    assert small.state().halted


def test_exits_that_come_at_once_are_all_told():
    small = threaded(HYPERCALL + HLT, HYPERCALL + HLT, HYPERCALL + HLT)
    found = [small.machine.run(LONG) for _ in range(3)]
    expected = [VcpuExit(n, Hypercall(CODE + 0x1000 * n + 3)) for n in range(3)]
    assert sorted(found) == expected
    assert isinstance(small.machine.run(LONG), MachineHalted)


def test_a_snapshot_waits_for_exits():
    small = threaded(HLT, HLT)
    small.machine._exits.append(VcpuExit(0, Hypercall(0)))
    with pytest.raises(MachineError):
        small.machine.snapshot()


def test_an_exit_that_wants_an_answer():
    small = threaded("b9" + dword(0x1234) + "0f32" + OUT + HLT, unknown_msrs="exit")
    small.machine.run(LONG)
    with pytest.raises(StepError):
        small.machine.run(LONG)
    small.machine.vcpus[0].complete(5)
    assert isinstance(small.machine.run(LONG), MachineHalted)
    assert small.written[0][1] == 5


def test_a_triple_fault_names_its_vcpu():
    small = threaded(LOOP, "0f0b")
    small.state(1).idtr_limit = 0
    assert small.machine.run(LONG) == VcpuExit(1, TripleFault(CODE + 0x1000))


@ENGINES
def test_a_timer_wakes_who_sleeps(engine):
    timer = apic(0x320, 0x40) + apic(0x3E0, 0x0B) + apic(0x380, 2_000_000)
    small = threaded(ENABLE + timer + WAIT, HLT, engine=engine)
    assert isinstance(small.machine.run(LONG), MachineHalted)
    assert small.count(0x40) == 1
    assert small.machine.time >= 2_000_000


def test_interrupts_reach_who_never_leaves_guest_code():
    watch = "833d" + dword(0x3000 + 4 * 0x41) + "0074f7"  # cmp dword [count], 0; je to itself
    small = threaded(ENABLE + watch + STOP + HLT, ENABLE + "fb" + LOOP)

    def send():
        while small.count(0x41) == 0:  # until the guest has enabled its local APIC
            assert small.machine.msi(APIC | 1 << 12, 0x41)
            sleep(0.01)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    assert isinstance(small.machine.run(LONG), RunEnded)
    sender.join(LONG)
    assert small.count(0x41) >= 1


def test_a_line_from_another_thread():
    enough = "833d" + dword(0x3000 + 4 * 0x55) + "0272f5"  # cmp dword [count], 2; jb to sti
    small = threaded(ENABLE + "fbf4" + enough + STOP + HLT)
    small.machine.ioapic.write(None, 0, 4, 0x10 + 2 * 20)
    small.machine.ioapic.write(None, 0x10, 4, 0x55)
    line = small.machine.line(20)

    def drive():
        for taken in (1, 2):
            line(True)
            while small.count(0x55) < taken:
                sleep(0.001)
            line(False)

    driver = threading.Thread(target=drive, daemon=True)
    driver.start()
    assert isinstance(small.machine.run(LONG, through_halt=True), RunEnded)
    driver.join(LONG)
    assert small.count(0x55) == 2


def test_a_time_stamp_counter_never_goes_back():
    """Between slices and in them; the guest keeps the greatest difference that is negative."""
    code = "0f31" + "89c6" + "0f31" + "39f0" + "73f8" + OUT + HLT  # rdtsc, esi, again, jae
    small = threaded(code)
    assert isinstance(small.machine.run(0.05), RunEnded)
    assert small.written == []


def test_init_reaches_a_running_processor():
    small = threaded(ENABLE + apic(0x310, 1 << 24) + apic(0x300, 0xC500) + HLT, LOOP)
    assert isinstance(small.machine.run(LONG), MachineHalted)
    assert small.machine.lapics[1].waits_for_sipi


def test_a_machine_moves():
    small = threaded(LOOP, LOOP)
    small.machine.run(0.005)
    saved = pickle.loads(pickle.dumps(small.machine.snapshot()))
    other = threaded(LOOP, LOOP)
    other.machine.restore(saved)
    assert other.machine.time == small.machine.time
    retired = other.state().retired
    other.machine.run(0.005)
    assert other.state().retired > retired
    other.machine.reset()
    assert other.state(1).rip == 0xFFF0
