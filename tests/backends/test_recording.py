# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Going back: a machine is again what it was, and breakpoints are found again."""

import random
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from backends.debugging import Report
from backends.smp import CODE, ENABLE, Small, apic, dword
from backends.test_soft_breakpoints import wake
from engine_parameters import quick_engines
from vmmkit.backends import ThreadedMachine
from vmmkit.backends.recording_target import RecordingTarget
from vmmkit.errors import MachineError
from vmmkit.gdb.target import CONTINUE, STEP, BreakpointKind, Stop, StopKind
from vmmkit.insn import WORD

ENGINES = pytest.mark.parametrize("engine", quick_engines())
VECTOR = 0x40
TIMER = apic(0x320, 0x2_0000 | VECTOR) + apic(0x3E0, 0x0B) + apic(0x380, 300)
OUT, INC, LOOP, HLT, NOP = "e780", "40", "ebfe", "f4", "90"


def processor(vcpu):
    """A vCPU's state, without what the last accesses and the last fetch have left."""
    state = vcpu.state.copy()
    for word in range(WORD["exit_address"], WORD["vector"]):
        state.words[word] = 0
    return state


def state_of(small):
    """What a machine is: its turn left out, which may have been given on or not."""
    machine = small.machine
    snapshot = machine.snapshot()
    return (
        machine.time,
        [processor(vcpu) for vcpu in machine.vcpus],
        snapshot.lapics,
        snapshot.pit,
        snapshot.pic,
        bytes(small.ram),
    )


class Debugger:
    """A debugger of a target whose owner is on another thread."""

    def __init__(self, target):
        self.target = target

    def go(self, *actions, counts=lambda _stop: True):
        report = Report(counts)
        self.target.resume(dict(actions), report)
        return report.wait()

    def all_go(self, counts=lambda _stop: True):
        return self.go(*((vcpu, CONTINUE) for vcpu in self.target.vcpus()), counts=counts)

    def step(self, vcpu=0):
        return self.go((vcpu, STEP))

    def back(self, vcpu=0):
        report = Report()
        self.target.reverse_step(vcpu, report)
        return report.wait()

    def back_to_hit(self, counts=lambda _stop: True):
        report = Report(counts)
        self.target.reverse_continue(report)
        return report.wait()


def stop(target):
    report = Report()
    target.stop(report)
    return report.wait()


@contextmanager
def debugging(target):
    """A debugger that has attached to a target, whose owner is on another thread."""
    over = []

    def own():
        while not over:
            target.run()

    target.debugger_attached()
    stop(target)
    thread = Thread(target=own)
    thread.start()
    try:
        yield Debugger(target)
    finally:
        over.append(True)
        target.resume(dict.fromkeys(target.vcpus(), CONTINUE), None)
        target.debugger_detached()
        while thread.is_alive():
            target.end_run()
            thread.join(0.05)


def busy(engine):
    """Two vCPUs, and a timer that interrupts the first."""
    first = ENABLE + TIMER + "fb" + (INC + OUT) * 30 + LOOP
    small = Small(first, (INC + OUT) * 40 + LOOP, quantum=7, engine=engine)
    wake(small, 1)
    return small


@ENGINES
def test_steps_and_back(engine):
    small = busy(engine)
    with debugging(RecordingTarget(small.machine, interval=20)) as debugger:
        rng = random.Random(1)
        states = []
        for _ in range(120):
            vcpu = rng.randrange(2)
            states.append((vcpu, state_of(small)))
            assert debugger.step(vcpu)[0].kind is StopKind.STEP
        for vcpu, state in reversed(states):
            assert debugger.back(vcpu)[0].kind is StopKind.STEP
            assert state_of(small) == state
        assert debugger.back()[0].kind is StopKind.HISTORY


def break_at(debugger, address, kind=BreakpointKind.SOFTWARE, size=1):
    debugger.target.insert_breakpoint(kind, 0, address, size)


def run_to(debugger, address):
    break_at(debugger, address)
    assert [stop.kind for stop in debugger.all_go()] == [StopKind.SOFTWARE]
    clear_at(debugger, address)


def clear_at(debugger, address, kind=BreakpointKind.SOFTWARE, size=1):
    debugger.target.remove_breakpoint(kind, 0, address, size)


PERIODIC = apic(0x320, 0x2_0000 | VECTOR) + apic(0x3E0, 0x0B) + apic(0x380, 700)


def sleepy(engine, *, quantum=50):
    """Two vCPUs, the first of which sleeps until its timer rings, and again."""
    work = "b914000000" + "ff0500e00300" + INC + "e2f7"
    first = ENABLE + PERIODIC + "fbf4" + work + "ebee"
    second = "b958020000" + "ff0504e00300" + INC + "e2f7" + LOOP
    small = Small(first, second, quantum=quantum, engine=engine)
    wake(small, 1)
    return small


@ENGINES
@pytest.mark.parametrize("interval", [30, 1000])
@pytest.mark.parametrize("make", [busy, sleepy])
def test_back_through_what_ran(engine, interval, make):
    """Against a machine that runs up to the same time: interrupts, sleep, turns of two vCPUs."""
    small = make(engine)
    rng, vcpu = random.Random(2), 0
    end = CODE + 0x1000 + (14 if make is sleepy else 120)
    with debugging(RecordingTarget(small.machine, interval=interval)) as debugger:
        run_to(debugger, end)
        assert small.count(VECTOR) > 0
        twin = make(engine)
        for _ in range(50):
            vcpu ^= rng.randrange(8) == 0
            retired = small.state(vcpu).retired
            assert debugger.back(vcpu) == [Stop(vcpu, StopKind.STEP)]
            if small.machine.time < twin.machine.time:
                twin = make(engine)
            twin.machine.run(until=small.machine.time)
            assert state_of(small) == state_of(twin)
            assert small.state(vcpu).retired == retired - 1
            twin.machine.run(until=small.machine.time + 10)
            assert twin.state(vcpu).retired == retired


@ENGINES
def test_the_same_hits_backwards(engine):
    """Two vCPUs at breakpoints of all kinds."""
    small = sleepy(engine)
    places = [
        *((BreakpointKind.SOFTWARE, CODE + 0x1000 + 5, 1), (BreakpointKind.SOFTWARE, CODE + 40, 1)),
        (BreakpointKind.HARDWARE, CODE + 54, 1),
        (BreakpointKind.WRITE, 0x3E000, 4),
    ]
    with debugging(RecordingTarget(small.machine, interval=100)) as debugger:
        for kind, address, size in places:
            break_at(debugger, address, kind, size)
        hits = []
        while small.machine.time < 8000:
            (stop,) = debugger.all_go()
            watched = stop.kind is StopKind.WRITE
            hits.append((small.machine.time - 10 * watched, stop))
        assert {stop.kind for _, stop in hits} == {
            StopKind.SOFTWARE,
            StopKind.HARDWARE,
            StopKind.WRITE,
        }
        assert {stop.vcpu for _, stop in hits} == {0, 1}
        now = small.machine.time
        for time, stop in reversed(hits):
            if time < now:
                assert debugger.back_to_hit() == [stop]
                assert small.machine.time == time
        assert [stop.kind for stop in debugger.back_to_hit()] == [StopKind.HISTORY]
        assert small.machine.time == 0
        assert debugger.all_go() == [hits[0][1]]


def counting(engine=None, **arguments):
    """A loop that counts in memory; the store is at CODE, its successor at CODE + 6."""
    return Small("ff0500e00300" + "ebf8", engine=engine, **arguments)


def counted(small):
    return int.from_bytes(small.ram[0x3E000:0x3E004], "little")


@ENGINES
def test_a_watchpoint_stops_before_the_write(engine):
    small = counting(engine)
    with debugging(RecordingTarget(small.machine, interval=7)) as debugger:
        for _ in range(40):
            debugger.step()
        break_at(debugger, 0x3E000, BreakpointKind.WRITE, 4)
        for left in range(19, -1, -1):
            assert debugger.back_to_hit() == [Stop(0, StopKind.WRITE, 0x3E000)]
            assert (counted(small), small.state().rip) == (left, CODE)
        assert debugger.all_go() == [Stop(0, StopKind.WRITE, 0x3E000)]
        assert (counted(small), small.state().rip) == (1, CODE + 6)


def test_conditions_count_backwards():
    small = counting()
    with debugging(RecordingTarget(small.machine, interval=100)) as debugger:
        for _ in range(400):
            debugger.step()
        break_at(debugger, CODE + 6)
        assert debugger.back_to_hit(lambda _stop: counted(small) == 30)[0].address == CODE + 6
        assert (counted(small), small.machine.time) == (30, 590)
        assert small.ram[CODE + 6] == 0xCC
        assert debugger.target.read_memory(0, CODE + 6, 1) == b"\xeb"


def test_going_forward_from_the_past_is_new_history():
    small = counting()
    with debugging(RecordingTarget(small.machine, interval=10)) as debugger:
        for _ in range(50):
            debugger.step()
        for _ in range(20):
            debugger.back()
        assert counted(small) == 15
        debugger.target.write_memory(0, 0x3E000, (1000).to_bytes(4, "little"))
        debugger.target.write_registers(0, {"rbx": 5})
        for _ in range(6):
            debugger.step()
        assert (counted(small), small.state().rbx) == (1003, 5)
        for _ in range(6):
            debugger.back()
        assert (counted(small), small.state().rbx) == (1000, 5)
        debugger.back()
        assert (counted(small), small.state().rbx) == (15, 0)
        assert debugger.target.read_registers(0)["rip"] == CODE + 6


class Counter:
    """A device that counts its reads, and tells the world of them."""

    def __init__(self):
        self.reads, self.told, self.target = 0, [], None

    def read(self, _vcpu, _offset, _size):
        self.reads += 1
        if not self.target.replaying:
            self.told.append(self.reads)
        return self.reads

    def snapshot(self):
        return self.reads

    def restore(self, snapshot):
        self.reads = snapshot


def with_device(*, known):
    """A loop that reads a device into EBX; and whether the target knows of its state."""
    small = Small("8b1d00000510" + "ebf8")
    device = Counter()
    small.machine.mmio.add(0x1005_0000 & ~0xFFF, 0x1000, device, name="counter")
    devices = [device] if known else []
    device.target = RecordingTarget(small.machine, interval=20, devices=devices)
    return small, device


def test_a_device_goes_back_too():
    small, device = with_device(known=True)
    with debugging(device.target) as debugger:
        for _ in range(60):
            debugger.step()
        for _ in range(21):
            debugger.back()
        assert (small.state().rbx, device.reads) == (20, 20)
        assert device.told == list(range(1, 31))
        debugger.step()
        debugger.step()
        assert (small.state().rbx, device.told[-1]) == (21, 21)


def test_a_replay_that_goes_astray_is_noticed():
    small, device = with_device(known=False)
    with debugging(device.target) as debugger:
        for _ in range(60):
            debugger.step()
        break_at(debugger, CODE + 0x100)
        (stop,) = debugger.back_to_hit()
        assert stop.kind is StopKind.HISTORY
        assert "registers or devices" in stop.message
        assert small.machine.time == 400


def test_memory_that_goes_astray_is_noticed():
    small = counting()
    small.machine.pio.add(0x90, 4, write=lambda *_: small.poke(0x3F000, b"".join(secrets)))
    secrets = [b"a"]
    small.start(0, "e790" + "43" + "ebfb")
    with debugging(RecordingTarget(small.machine, interval=20)) as debugger:
        for _ in range(50):
            debugger.step()
        secrets.append(b"b")
        break_at(debugger, CODE + 0x100)
        (stop,) = debugger.back_to_hit()
        assert stop.message.endswith("memory is not what it was.")


def test_the_oldest_is_dropped():
    small = counting()
    target = RecordingTarget(small.machine, interval=20, limit=100_000)
    with debugging(target) as debugger:
        for _ in range(800):
            debugger.step()
        assert debugger.back_to_hit() == [Stop(0, StopKind.HISTORY)]
        assert 0 < small.machine.time < 8000
        assert not small.machine.ticks % 20
        assert counted(small) == small.machine.ticks // 2


def test_a_stop_ends_a_long_way_back():
    small = counting()
    arrived = Event()
    with debugging(RecordingTarget(small.machine, interval=1000)) as debugger:
        break_at(debugger, CODE + 0x100)
        report = Report()
        debugger.target.resume({0: CONTINUE}, report)
        while small.machine.time < 1_000_000:
            pass
        assert stop(debugger.target) == []
        present = small.machine.time
        break_at(debugger, CODE)

        def counts(_stop):
            arrived.set()
            return False

        debugger.target.reverse_continue(Report(counts))
        assert arrived.wait(20)
        assert stop(debugger.target) == []
        assert 0 < small.machine.time <= present
        assert counted(small) == (small.machine.ticks + 1) // 2
        clear_at(debugger, CODE)
        assert debugger.step() == [Stop(0, StopKind.STEP)]
        assert debugger.back() == [Stop(0, StopKind.STEP)]


def test_without_a_debugger_before():
    """A recording that began earlier is there for the debugger, and ends with it."""
    small = counting()
    target = RecordingTarget(small.machine, interval=30)
    target.record()
    for _ in range(10):
        target.run(10)
    small.machine.vcpus[0].state.rbx = 7
    target.run(10)
    with debugging(target) as debugger:
        for _ in range(11):
            debugger.back()
        assert (small.machine.ticks, small.state().rbx) == (99, 0)
    assert not target.replaying
    target.run(10)
    with debugging(target) as debugger:
        assert debugger.back() == [Stop(0, StopKind.HISTORY)]


def test_what_cannot_be_recorded():
    with pytest.raises(MachineError):
        RecordingTarget(Small(LOOP, machine=ThreadedMachine).machine)
    machine = counting().machine
    for wrong in ({"interval": 0}, {"limit": 0}):
        with pytest.raises(MachineError):
            RecordingTarget(machine, **wrong)


MENU = (
    *(INC, "43", "0fa2", "0f31", "5058", "cd50", OUT, "0f0b", "f390", "fb", "fa", "fbf4", "6bc007"),
    *("ff0500e00300", "8705" + dword(0x3E004), "0fc70d" + dword(0x3E010)),
    *("b905000000bf00f00300be00e00300" + copy for copy in ("f3aa", "f3a4")),
)


def random_program(rng, engine):
    """A loop of anything: interrupts, an exception, repeated instructions, sleep, a timer."""
    body = "".join(rng.choice(MENU) for _ in range(60))
    jump = "e9" + dword(-(len(body) // 2 + 5))
    small = Small(ENABLE + PERIODIC + "fb" + body + jump, engine=engine)
    skip = "83042402" + "cf"  # add dword [esp], 2; iret: past the UD2
    small.poke(0x4000 + 32 * 6, bytes.fromhex(skip))
    return small


@ENGINES
@pytest.mark.parametrize("seed", range(4))
def test_random_programs(engine, seed):
    """Whatever brought the machine forward: steps, runs to breakpoints, writes of a debugger."""
    rng = random.Random(seed)
    small = random_program(rng, engine)
    target = RecordingTarget(small.machine, interval=rng.choice((10, 60, 1000)))
    with debugging(target) as debugger:
        states = {}
        for _ in range(60):
            states[small.machine.time] = state_of(small)
            target.hold_interrupts_while_stepping = rng.randrange(2) == 0
            kind = rng.randrange(8)
            if kind == 0:
                target.write_registers(0, {"rbx": rng.randrange(100)})
                states[small.machine.time] = state_of(small)
                debugger.step()
            elif kind == 1 and CODE + 50 < small.state().rip < CODE + 0x1000:
                address = small.state().rip
                debugger.step()
                run_to(debugger, address)
            else:
                debugger.step()
        compared = 0
        while debugger.back() == [Stop(0, StopKind.STEP)]:
            if small.machine.time in states:
                assert state_of(small) == states.pop(small.machine.time)
                compared += 1
        assert small.machine.time == 0
        assert compared > 30


def test_back_from_a_triple_fault():
    small = Small(INC * 3 + "0f0b")
    small.state().idtr_limit = 0
    with debugging(RecordingTarget(small.machine)) as debugger:
        (stop,) = debugger.all_go()
        assert "triple fault" in stop.message
        assert debugger.back() == [Stop(0, StopKind.STEP)]
        assert (small.state().rax, small.state().rip) == (2, CODE + 2)
        (again,) = debugger.all_go()
        assert again == stop


def test_a_long_way_back_by_steps():
    """More than what is gone through again for each step."""
    small = counting()
    with debugging(RecordingTarget(small.machine)) as debugger:
        small.state().rcx = 3000
        small.poke(CODE, bytes.fromhex("ff0500e00300" + "e2f8" + HLT))
        run_to(debugger, CODE + 8)
        for number in range(1200):
            assert counted(small) == 3000 - number // 2
            debugger.back()
        assert (counted(small), small.state().rcx) == (2400, 600)
