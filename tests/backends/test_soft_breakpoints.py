# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a debugger has of a software vCPU and of machines: breakpoints, pausing, single steps."""

import pickle

import pytest

from backends.smp import CODE, ENABLE, WAIT, Small, apic, dword, registers, store, wrmsr
from vmmkit.backends import (
    MachineHalted,
    RunEnded,
    SoftMachine,
    SoftVcpu,
    ThreadedMachine,
    VcpuExit,
)
from vmmkit.devices import ApicMessage, DeliveryMode
from vmmkit.errors import HandlerError, MachineError, StateError, StepError
from vmmkit.insn import (
    BreakKind,
    Breakpoint,
    BudgetSpent,
    DebugExit,
    Done,
    Fault,
    Halt,
    Hypercall,
    PageAccess,
    PortOut,
    Read,
    ReadMsr,
    Translation,
    available_engines,
)
from vmmkit.memregion import RegionMap

ENGINES = pytest.mark.parametrize("engine", available_engines())
MACHINES = pytest.mark.parametrize("machine", [SoftMachine, ThreadedMachine])
NOP, HLT, OUT, LOOP, INC, HYPERCALL = "90", "f4", "e780", "ebfe", "40", "0f01c1"
EXECUTE, WRITE, PORT = BreakKind.EXECUTE, BreakKind.WRITE, BreakKind.PORT
VECTOR = 0x40
SECONDS = 60  # nothing here takes them


def at(first, kind=EXECUTE):
    return Breakpoint(kind, first, first)


def hit(rip, cause=EXECUTE, address=None):
    return DebugExit(rip, cause, 0, rip if address is None else address)


# -- one vCPU --------------------------------------------------------------------------------------


def vcpu_with(code, engine, **arguments):
    ram = bytearray(0x4000)
    ram[: len(code) // 2] = bytes.fromhex(code)
    vcpu = SoftVcpu([(0, ram)], engine=engine, **arguments)
    vcpu.state.enter_protected_mode(0)
    return vcpu


@ENGINES
def test_run_and_step_come_to_a_breakpoint(engine):
    vcpu = vcpu_with(NOP * 2 + HLT, engine)
    vcpu.set_breakpoints([at(1)])
    assert vcpu.breakpoints == (at(1),)
    assert vcpu.run() == hit(1)
    assert vcpu.step() == hit(1)
    vcpu.skip_breakpoint()
    assert vcpu.step() == Done(2, 0)
    with pytest.raises(StateError):
        vcpu.set_breakpoints([Breakpoint(EXECUTE, 1, 0)])
    assert vcpu.breakpoints == (at(1),)


@ENGINES
def test_run_through_comes_to_a_breakpoint(engine):
    vcpu = vcpu_with(OUT + NOP + "cc" + HLT, engine)
    pio, mmio = RegionMap(address_bits=16), RegionMap()
    pio.add(0x80, 4, write=lambda *_access: None)
    ports = mmio.port(vcpu), pio.port(vcpu)
    vcpu.set_breakpoints([at(2), at(0x83, PORT)], int3=True)
    assert vcpu.run_through(*ports) == DebugExit(2, PORT, 1, 0x83)
    assert vcpu.run_through(*ports) == hit(2)
    vcpu.skip_breakpoint()
    assert vcpu.run_through(*ports) == hit(3, 0)
    vcpu.latch(b"\x90")
    assert vcpu.run_through(*ports) == Halt(5)


@ENGINES
def test_cpuid_does_not_end_it(engine):
    """The exits that a vCPU answers itself go on with the same breakpoints."""
    vcpu = vcpu_with("0fa2" + NOP + HLT, engine)
    vcpu.set_breakpoints([at(0), at(3)])
    assert vcpu.run() == hit(0)
    vcpu.skip_breakpoint()
    assert vcpu.run() == DebugExit(3, EXECUTE, 1, 3)


@ENGINES
def test_an_access_in_flight_is_completed_first(engine):
    vcpu = vcpu_with(OUT + NOP, engine)
    assert vcpu.run() == PortOut(0x80, 4, 0)
    vcpu.set_breakpoints([at(0), at(2)])
    assert vcpu.run() == DebugExit(2, EXECUTE, 1, 2)


@ENGINES
def test_interrupts_are_held(engine):
    vcpu = vcpu_with(NOP * 9, engine, deliver=True)
    vcpu.nmi()
    vcpu.hold_interrupts(True)
    assert vcpu.interrupts_held
    assert vcpu.run(5) == BudgetSpent(5)
    vcpu.hold_interrupts(False)
    assert not vcpu.interrupts_held


@ENGINES
def test_translate(engine):
    vcpu = vcpu_with(NOP, engine)
    assert isinstance(vcpu.translate(0x2345), Translation)
    assert vcpu.translate(0x2345, None, user=False).gpa == 0x2345
    vcpu.state.enter_long_mode(0, 0x1000)
    assert vcpu.translate(0x5000, PageAccess.WRITE) == Fault(14, 2, 0x5000)
    vcpu.state.cr3 = 0x8000
    assert vcpu.translate(0x5000) == Read(0x8000, 8)
    assert vcpu.translate(0x5000, read=lambda _gpa, _size: 0) == Fault(14, 0, 0x5000)


# -- machines: breakpoints -------------------------------------------------------------------------


def small_of(machine, *codes, **arguments):
    """A machine whose vCPUs all run."""
    small = Small(*codes, machine=machine, **arguments)
    for number in range(1, len(codes)):
        wake(small, number)
    return small


def wake(small, number):
    """Send the start-up message, and put the vCPU back to where the test wants it."""
    record = bytes(small.state(number).record)
    message = ApicMessage(0x10, DeliveryMode.SIPI, destination=number)
    small.machine.bus.deliver(message)
    small.machine.vcpus[number].settle()
    small.state(number).record[:] = record


@ENGINES
@MACHINES
def test_a_machine_tells_who_hit(engine, machine):
    small = small_of(machine, LOOP, NOP * 3 + HLT, engine=engine)
    second = small.machine.vcpus[1]
    second.set_breakpoints([at(CODE + 0x1002)])
    assert small.machine.run() == VcpuExit(1, hit(CODE + 0x1002))
    second.skip_breakpoint()
    second.set_breakpoints([at(CODE + 0x1002), at(CODE + 0x1003)])
    assert small.machine.run() == VcpuExit(1, DebugExit(CODE + 0x1003, EXECUTE, 1, CODE + 0x1003))


@MACHINES
def test_data_ports_and_int3(machine):
    code = store(0x3F000, 5) + OUT + "cc" + HLT
    small = Small(code, machine=machine)
    vcpu = small.machine.vcpus[0]
    vcpu.set_breakpoints([at(0x3F003, WRITE), at(0x80, PORT)], int3=True)
    assert small.machine.run() == VcpuExit(0, hit(CODE + 10, WRITE, 0x3F003))
    assert small.machine.run() == VcpuExit(0, DebugExit(CODE + 12, PORT, 1, 0x80))
    assert len(small.written) == 1
    assert small.machine.run() == VcpuExit(0, hit(CODE + 12, 0))
    vcpu.latch(bytes.fromhex(HYPERCALL))
    assert small.machine.run() == VcpuExit(0, Hypercall(CODE + 15))


def timer(count):
    return apic(0x320, 0x2_0000 | VECTOR) + apic(0x3E0, 0x0B) + apic(0x380, count)


def busy(engine):
    """Two vCPUs, and a timer that interrupts the first."""
    first = ENABLE + timer(300) + "fb" + (INC + OUT) * 30 + LOOP
    return small_of(SoftMachine, first, (INC + OUT) * 40 + LOOP, quantum=7, engine=engine)


def end_of(small):
    return small.written, small.machine.time, registers(small.machine)


@ENGINES
def test_a_debugger_does_not_change_the_run(engine):
    """Breakpoints that are hit and gone over leave turns and times as they are."""
    plain, debugged = busy(engine), busy(engine)
    plain.machine.run(until=10_000)
    for vcpu, places in zip(debugged.machine.vcpus, ((50, 53), (48, 51)), strict=True):
        vcpu.set_breakpoints([at(CODE + 0x1000 * vcpu.index + place) for place in places])
    hits = 0
    while isinstance(outcome := debugged.machine.run(until=10_000), VcpuExit):
        debugged.machine.vcpus[outcome.vcpu].skip_breakpoint()
        hits += 1
    assert hits == 4
    assert end_of(debugged) == end_of(plain)
    assert [s.count(VECTOR) > 0 for s in (plain, debugged)] == [True, True]


def held(small):
    """Send an NMI, and hold it."""
    small.machine.bus.deliver(ApicMessage(0, DeliveryMode.NMI, destination=0))
    small.machine.vcpus[0].hold_interrupts(True)
    return small


@MACHINES
def test_what_is_held_does_not_wake(machine):
    small = held(Small(HLT + LOOP, machine=machine))
    for _ in range(2):
        assert isinstance(small.machine.run(), MachineHalted)
        assert not small.machine.vcpus[0].settle()
    assert small.count(2) == 0
    small.machine.vcpus[0].hold_interrupts(False)
    assert small.machine.vcpus[0].settle()
    small.machine.step(0)
    small.machine.step(0)
    assert small.count(2) == 1


@MACHINES
def test_held_interrupts_of_the_local_apic(machine):
    small = Small(ENABLE + "fbf4" + LOOP, machine=machine)
    vcpu = small.machine.vcpus[0]
    vcpu.hold_interrupts(True)
    assert isinstance(small.machine.run(), MachineHalted)
    small.machine.bus.deliver(ApicMessage(VECTOR, destination=0))
    assert isinstance(small.machine.run(), MachineHalted)
    assert small.count(VECTOR) == 0
    vcpu.hold_interrupts(False)
    vcpu.set_breakpoints([at(CODE + 12)])
    assert small.machine.run() == VcpuExit(0, hit(CODE + 12))
    assert small.count(VECTOR) == 1


@MACHINES
def test_snapshots_have_no_breakpoints(machine):
    small = Small(NOP * 20 + HLT, machine=machine)
    vcpu = small.machine.vcpus[0]
    plain = small.machine.snapshot()
    vcpu.set_breakpoints([at(CODE + 3)], int3=True)
    debugged = small.machine.snapshot()
    assert debugged.vcpus == plain.vcpus
    vcpu.set_breakpoints([at(CODE + 5)])
    vcpu.hold_interrupts(True)
    for snapshot in (plain, pickle.loads(pickle.dumps(debugged))):
        assert small.machine.run() == VcpuExit(0, hit(CODE + 5))
        small.machine.restore(snapshot)
        assert vcpu.breakpoints == (at(CODE + 5),)
        assert vcpu.interrupts_held
        assert vcpu.state.rip == CODE


@MACHINES
def test_a_reset_keeps_what_is_the_debuggers(machine):
    small = Small(NOP, machine=machine)
    vcpu = small.machine.vcpus[0]
    vcpu.set_breakpoints([at(CODE)])
    vcpu.paused = True
    small.machine.reset()
    assert vcpu.breakpoints == (at(CODE),)
    assert vcpu.paused


def test_an_init_keeps_the_breakpoints():
    small = Small(NOP)
    vcpu = small.machine.vcpus[0]
    vcpu.set_breakpoints([at(0xFFFF_FFF0)])
    small.machine.bus.deliver(ApicMessage(0, DeliveryMode.INIT, destination=0))
    assert small.machine.run() == VcpuExit(0, hit(0xFFF0, address=0xFFFF_FFF0))


# -- pausing ---------------------------------------------------------------------------------------


@MACHINES
def test_a_paused_vcpu_does_not_run(machine):
    small = small_of(machine, LOOP, NOP * 500 + HYPERCALL)
    small.machine.vcpus[0].paused = True
    before = small.machine.time
    assert isinstance(small.machine.run(), VcpuExit)
    assert small.state(0).retired == 0
    assert small.machine.time > before
    small.machine.vcpus[0].paused = False
    small.machine.step(0)
    assert small.state(0).retired == 1


def test_the_others_have_all_the_turns():
    small = small_of(SoftMachine, LOOP, LOOP, quantum=10)
    small.machine.vcpus[0].paused = True
    small.machine.run(100)
    assert [small.state(n).retired for n in range(2)] == [0, 100]
    assert small.state(0).tsc == 100  # its clock goes on


@MACHINES
def test_all_paused_is_like_all_halted(machine):
    small = small_of(machine, LOOP, HLT)
    small.machine.vcpus[0].paused = True
    assert isinstance(small.machine.run(), MachineHalted)


def test_time_jumps_to_deadlines_while_all_are_paused():
    small = Small(ENABLE + timer(3_000_000) + "fb" + LOOP)
    small.machine.run(10)
    small.machine.vcpus[0].paused = True
    assert small.machine.run(3) == RunEnded(small.machine.time)
    assert small.machine.time > 3_000_000
    assert small.count(VECTOR) == 0
    small.machine.vcpus[0].paused = False
    small.machine.run(10)
    assert small.count(VECTOR) == 1


@MACHINES
def test_messages_wait_for_a_paused_vcpu(machine):
    small = Small(LOOP, HLT, machine=machine)
    second = small.machine.vcpus[1]
    second.paused = True
    for mode, vector in ((DeliveryMode.INIT, 0), (DeliveryMode.SIPI, CODE >> 12)):
        small.machine.bus.deliver(ApicMessage(vector, mode, destination=1))
    assert not second.settle()
    assert second.state.rip == CODE + 0x1000
    assert second.settle(though_paused=True)
    assert (second.state.rip, second.state.cs.base) == (0, CODE)


def test_a_breakpoint_of_a_paused_vcpu_waits():
    small = small_of(SoftMachine, NOP * 50 + LOOP, NOP * 9 + HLT)
    first = small.machine.vcpus[0]
    first.set_breakpoints([at(CODE + 5)])
    first.paused = True
    assert isinstance(small.machine.run(100), MachineHalted)
    first.paused = False
    assert small.machine.run(100) == VcpuExit(0, hit(CODE + 5))


# -- single steps ----------------------------------------------------------------------------------


@ENGINES
def test_steps_make_a_run(engine):
    """One vCPU: the same instructions at the same times, interrupts included."""
    code = ENABLE + timer(1000) + "fb" + (INC + OUT) * 60 + "f3ab" + LOOP
    plain, stepped = Small(code, engine=engine), Small(code, engine=engine)
    for small in (plain, stepped):
        small.state().rcx, small.state().rdi = 5, 0x3E000
    plain.machine.run(150)
    for number in range(150):
        assert stepped.machine.step(0) == RunEnded(10 * (number + 1))
    assert stepped.written == plain.written
    assert stepped.state() == plain.state()
    assert stepped.count(VECTOR) == 1


@MACHINES
def test_a_step_is_of_the_vcpu_that_is_named(machine):
    small = small_of(machine, NOP * 9, NOP * 9)
    for vcpu in small.machine.vcpus:
        vcpu.paused = True
    for number in (1, 1, 0, 1):
        assert isinstance(small.machine.step(number), RunEnded)
    assert [small.state(n).retired for n in range(2)] == [1, 3]


def test_the_turn_stays():
    small = small_of(SoftMachine, LOOP, LOOP, quantum=10)
    small.machine.run(14)
    small.machine.step(0)
    small.machine.run(6)
    assert [small.state(n).retired for n in range(2)] == [11, 10]
    assert small.machine.ticks == 21


@MACHINES
def test_a_step_does_one_element(machine):
    small = Small("f3aa" + HLT, machine=machine)
    small.state().rcx, small.state().rdi = 3, 0x3E000
    counts = [(small.machine.step(0), small.state().rcx)[1] for _ in range(3)]
    assert counts == [2, 1, 0]


@MACHINES
def test_a_step_delivers_one_event(machine):
    small = Small(ENABLE + "fb" + NOP * 9, machine=machine)
    for _ in range(3):
        small.machine.step(0)
    small.machine.bus.deliver(ApicMessage(VECTOR, destination=0))
    small.machine.step(0)
    assert (small.state().retired, small.count(VECTOR)) == (4, 0)
    assert small.state().rip != CODE + 12
    small.machine.step(0)
    assert small.count(VECTOR) == 1


@MACHINES
def test_who_sleeps_is_not_stepped(machine):
    small = Small(HLT + NOP * 5, NOP, machine=machine)
    assert isinstance(small.machine.step(0), RunEnded)
    retired = small.state().retired
    before = small.machine.time
    assert isinstance(small.machine.step(0), MachineHalted)
    assert isinstance(small.machine.step(1), MachineHalted)  # it waits for SIPI
    assert [small.state(n).retired for n in range(2)] == [retired, 0]
    if machine is SoftMachine:
        assert small.machine.time == before
    small.machine.bus.deliver(ApicMessage(0, DeliveryMode.NMI, destination=0))
    assert isinstance(small.machine.step(0), RunEnded)


@MACHINES
def test_what_a_step_comes_to(machine):
    code = HYPERCALL + NOP + "b9" + dword(0x1234) + "0f32" + NOP * 2
    small = Small(code, machine=machine, unknown_msrs="exit")
    vcpu = small.machine.vcpus[0]
    assert small.machine.step(0) == VcpuExit(0, Hypercall(CODE + 3))
    vcpu.set_breakpoints([at(CODE + 3)])
    assert small.machine.step(0) == VcpuExit(0, hit(CODE + 3))
    vcpu.skip_breakpoint()
    small.machine.step(0)
    small.machine.step(0)
    assert small.machine.step(0) == VcpuExit(0, ReadMsr(0x1234))
    with pytest.raises(StepError):
        small.machine.step(0)
    vcpu.complete(7)
    assert isinstance(small.machine.step(0), RunEnded)
    assert (small.state().rax, small.state().rip) == (7, CODE + 11)


@MACHINES
def test_a_kick_does_not_take_the_step(machine):
    small = Small(NOP * 9, machine=machine)
    small.machine.vcpus[0].kick()
    if machine is SoftMachine:
        small.machine.kick()
    small.machine.step(0)
    assert small.state().retired == 1


@MACHINES
def test_a_step_over_a_device_that_raises(machine):
    small = Small("e7a8" + NOP, machine=machine)
    fails = [True]

    def write(_vcpu, _offset, _size, _value):
        if fails:
            raise KeyError(fails.pop())

    small.machine.pio.add(0xA8, 4, write=write, name="moody")
    with pytest.raises(HandlerError):
        small.machine.step(0)
    assert small.state().retired == 0
    assert isinstance(small.machine.step(0), RunEnded)
    assert small.state().rip == CODE + 2


@MACHINES
@pytest.mark.parametrize("index", [-1, 1, None, "0"])
def test_who_is_not_there_is_not_stepped(machine, index):
    with pytest.raises(MachineError):
        Small(NOP, machine=machine).machine.step(index)


@MACHINES
def test_a_machine_that_runs_is_not_stepped(machine):
    small = Small(OUT + HLT, machine=machine)
    refused = []

    def write(*_access):
        with pytest.raises(MachineError):
            small.machine.step(0)
        refused.append(True)

    small.machine.pio.add(0xA8, 4, write=write, name="reentrant")
    small.ram[CODE + 1] = 0xA8
    small.machine.run()
    assert refused == [True]


def test_a_deadline_is_served_before_the_step():
    small = Small(ENABLE + timer(1) + "fb" + NOP * 9)
    for _ in range(5):
        small.machine.step(0)
    small.machine.step(0)  # in the shadow of STI
    small.machine.step(0)
    small.machine.step(0)
    assert small.count(VECTOR) == 1


def test_the_timer_register_kicks_whoever_is_stepped():
    """What moves a deadline ends the slice of the vCPU that runs, though it has no turn."""
    small = small_of(SoftMachine, LOOP, ENABLE + timer(50) + "fb" + NOP * 200)
    for _ in range(150):
        small.machine.step(1)
    assert small.count(VECTOR) > 1
    assert small.state(0).retired == 0


def test_exits_that_have_not_been_returned():
    """Two vCPUs come to an exit in one run; the step of the second returns its own."""
    small = small_of(ThreadedMachine, HYPERCALL + LOOP, HYPERCALL + LOOP)
    machine = small.machine
    first = machine.run(SECONDS)
    other = 1 - first.vcpu
    outcome = machine.step(other)
    assert outcome == VcpuExit(other, Hypercall(CODE + 0x1000 * other + 3))
    assert isinstance(machine.step(other), RunEnded)
    assert isinstance(machine.run(0.01), RunEnded)


def test_waiting_and_stepping():
    """A vCPU that is stepped to HLT, woken by an interrupt, and stepped on."""
    small = Small(ENABLE + WAIT)
    outcomes = [small.machine.step(0) for _ in range(4)]
    assert [type(outcome) for outcome in outcomes] == [RunEnded] * 3 + [MachineHalted]
    small.machine.bus.deliver(ApicMessage(VECTOR, destination=0))
    for _ in range(3):
        small.machine.step(0)
    assert small.count(VECTOR) == 1


def test_the_time_stamp_counter_is_the_steps():
    small = Small(wrmsr(0x10, 1000) + "0f31" + NOP)
    for _ in range(5):
        small.machine.step(0)
    assert small.state().rax == 1001
