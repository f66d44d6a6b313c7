# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`SoftMachine`: turns, exact time, wiring, what comes out to its owner."""

import threading

import pytest

from backends.smp import APIC, CODE, ENABLE, HANDLERS, WAIT, Small, apic, dword, store, wrmsr
from vmmkit.backends import MachineHalted, RunEnded, SoftMachine, VcpuExit
from vmmkit.backends.msrs import MsrFile
from vmmkit.devices import ApicMessage, DeliveryMode
from vmmkit.errors import HandlerError, MachineError, OverlapError, StepError
from vmmkit.insn import (
    Feature,
    Hypercall,
    Random,
    ReadMsr,
    TripleFault,
    Unsupported,
    WriteMsr,
    available_engines,
)
from vmmkit.memregion import RegionMap

NOP, HLT, OUT, CLI, LOOP = "90", "f4", "e780", "fa", "ebfe"  # OUT 80h, EAX
INC = "40"
RDTSC = "0f31"
ENGINES = pytest.mark.parametrize("engine", available_engines())


def lapic_timer(count, vector=0x40):
    """One-shot, divisor 1."""
    return apic(0x320, vector) + apic(0x3E0, 0x0B) + apic(0x380, count)


# -- time ------------------------------------------------------------------------------------------


@ENGINES
def test_a_device_sees_the_time_of_the_instruction(engine):
    small = Small(NOP * 5 + OUT + NOP + OUT + HLT, engine=engine)
    assert small.machine.run() == MachineHalted(90)
    assert [when for _, _, when in small.written] == [50, 70]


def test_every_vcpu_counts():
    small = Small(NOP * 7 + HLT, (NOP * 2 + OUT) * 2 + HLT, quantum=3)
    start(small, 1)
    small.machine.run()
    # Three of the first, three of the second, three, three, two, one.
    assert small.written == [(1, 0, 50), (1, 0, 110)]
    assert small.machine.ticks == 8 + 7


def start(small, number):
    """Send the start-up message, and put the vCPU back to where the test wants it."""
    state = small.machine.vcpus[number].state.copy()
    small.machine.bus.deliver(
        ApicMessage(0x10, DeliveryMode.SIPI, destination=small.machine.lapics[number].apic_id)
    )
    small.machine.vcpus[number].settle()
    small.machine.vcpus[number].state.record[:] = state.record


@ENGINES
def test_a_timer_interrupts_at_its_instruction(engine):
    """ENABLE is one instruction, the timer counts from the fourth: 40 ns."""
    small = Small(ENABLE + lapic_timer(1005) + "fb" + INC * 200, engine=engine)
    small.poke(HANDLERS + 32 * 0x40, bytes.fromhex(OUT + HLT))
    small.machine.run(500)
    (_, increments, when), *_ = small.written
    # It counts from 30 ns on, so 1035; the first boundary after it is 1040, and the delivery
    # takes an instruction.
    assert when == 1050
    assert increments == 1040 // 10 - 5


def test_time_jumps_when_nobody_has_anything_to_do():
    small = Small(ENABLE + lapic_timer(3_000_000_000) + "fbf4" + OUT + CLI + HLT)
    # Armed at 30 ns; then the delivery, three instructions of the handler, and three more.
    assert small.machine.run() == MachineHalted(3_000_000_030 + 10 * (1 + 3 + 3))
    assert small.count(0x40) == 1


def test_a_jump_counts_as_an_instruction():
    """A guest that never takes its interrupts does not keep `run` for ever."""
    small = Small(ENABLE + apic(0x320, 0x2_0040) + apic(0x380, 1000) + CLI + HLT)
    assert isinstance(small.machine.run(1000), RunEnded)
    assert small.machine.ticks > 50_000
    assert small.state().retired == 5


def test_until():
    small = Small(LOOP)
    assert small.machine.run(until=12_345) == RunEnded(12_350)
    assert small.machine.run(10, until=1 << 60) == RunEnded(12_450)
    assert small.machine.run(until=10) == RunEnded(12_450)
    assert small.state().retired == 1245


def test_until_in_a_halt():
    small = Small(ENABLE + lapic_timer(1_000_000) + "fbf4" + LOOP)
    assert small.machine.run(until=500_000) == RunEnded(500_000)
    assert small.count(0x40) == 0
    assert small.machine.run(until=2_000_000) == RunEnded(2_000_000)
    assert small.count(0x40) == 1


def test_a_write_moves_a_deadline_nearer():
    """The second one-shot is armed while the first one is far away."""
    far, near = lapic_timer(1_000_000, 0x40), lapic_timer(100, 0x41)
    small = Small(ENABLE + far + near + "fb" + LOOP)
    small.machine.run(1000)
    assert (small.count(0x40), small.count(0x41)) == (0, 1)


class Alarm:
    """A device with a deadline, 75 ns after each write."""

    def __init__(self):
        self.machine, self.when, self.rang = None, None, []

    def write(self, _vcpu, _offset, _size, _value):
        self.when = self.machine.time + 75

    def deadline(self):
        return self.when

    def advance(self):
        if self.when is not None and self.when <= self.machine.time:
            self.rang.append(self.machine.time)
            self.when = None


def test_a_device_of_the_owner():
    alarm, small = Alarm(), Small(NOP * 3 + "e790" + LOOP)
    alarm.machine = small.machine
    small.machine.pio.add(0x90, 4, small.machine.timed(alarm), name="alarm")
    small.machine.run(100)
    assert alarm.rang == [110]


@ENGINES
def test_the_time_stamp_counter_follows_time(engine):
    """Also in HLT, and on a vCPU that did not run; WRMSR keeps an offset."""
    code = wrmsr(0x10, 5 << 32) + ENABLE + lapic_timer(1_000_000) + "fbf4" + RDTSC + OUT + HLT
    small = Small(code, engine=engine)
    small.machine.run()
    (_, low, when), *_ = small.written
    assert low == when // 10 - 1 - 3
    assert small.state().rdx == 5
    assert small.machine.lapics[0].tsc == (5 << 32) + small.machine.ticks - 3
    assert small.state().tsc == small.machine.lapics[0].tsc


def test_writing_the_time_stamp_counter_brings_its_deadline():
    armed = apic(0x320, 0x4_0040) + wrmsr(0x6E0, 1 << 40)
    small = Small(ENABLE + armed + "fb" + NOP * 10 + wrmsr(0x10, (1 << 40) - 2) + NOP * 9 + HLT)
    small.machine.run(200)
    assert small.count(0x40) == 1
    assert small.machine.lapics[0].read_msr(0x6E0) == 0


@pytest.mark.parametrize("rate", [0, 3, 1 << 40, 1.5, None])
def test_rates_that_are_none(rate):
    with pytest.raises(MachineError):
        SoftMachine(instructions_per_second=rate)


def test_another_rate():
    small = Small(OUT + OUT + HLT, instructions_per_second=1_000_000, timer_hz=24_000_000)
    assert small.machine.run() == MachineHalted(3000)
    assert [when for _, _, when in small.written] == [0, 1000]
    cpuid = small.machine.vcpus[0]._cpuid
    assert cpuid(small.state(), 0x15, 0) == (24, 1, 24_000_000, 0)
    assert cpuid(small.state(), 0x16, 0) == (1, 1, 24, 0)


# -- turns -----------------------------------------------------------------------------------------


def test_turns():
    small = Small(LOOP, LOOP, LOOP, quantum=10)
    for number in (1, 2):
        start(small, number)
    turns = []
    small.machine.on_turn = lambda vcpu, rip: turns.append((vcpu, rip))
    small.machine.run(65)
    assert turns == [(n % 3, CODE + 0x1000 * (n % 3)) for n in range(6)]
    assert [small.state(n).retired for n in range(3)] == [25, 20, 20]
    small.machine.run(10)
    assert [small.state(n).retired for n in range(3)] == [30, 25, 20]


@pytest.mark.parametrize("quantum", [0, -1, "1"])
def test_quanta_that_are_none(quantum):
    with pytest.raises(MachineError):
        SoftMachine(quantum=quantum)


@pytest.mark.parametrize("instructions", [0, -1, 1.5])
def test_runs_that_are_none(instructions):
    with pytest.raises(MachineError):
        Small(LOOP).machine.run(instructions)


def test_a_kick_ends_a_run():
    small = Small(LOOP)
    timer = threading.Timer(0.02, small.machine.kick)
    timer.start()
    assert isinstance(small.machine.run(1 << 40), RunEnded)
    timer.join()
    assert isinstance(small.machine.run(100), RunEnded)
    assert small.state().retired > 100


# -- what comes out --------------------------------------------------------------------------------


def test_a_hypercall_comes_out_and_the_turn_goes_on():
    small = Small("0f01c1" + OUT + HLT)
    assert small.machine.run() == VcpuExit(0, Hypercall(CODE + 3))
    small.state().rax = 77
    assert small.machine.run() == MachineHalted(30)
    assert small.written == [(0, 77, 10)]


def test_a_triple_fault_stays_until_a_reset():
    small = Small("0f0b")
    small.state().idtr_limit = 0
    for _ in range(2):
        assert small.machine.run() == VcpuExit(0, TripleFault(CODE))
    small.machine.reset()
    state = small.state()
    signature = small.machine.vcpus[0]._cpuid(state, 1, 0)[0]
    assert (state.rip, state.cs.base, state.rdx) == (0xFFF0, 0xFFFF_0000, signature)


def test_what_is_not_executed():
    assert isinstance(Small("d8c0").machine.run().outcome, Unsupported)  # FADD


def test_code_that_is_not_there():
    small = Small("e9" + dword(0x1000_0000))
    assert isinstance(small.machine.run().outcome, Unsupported)


def test_a_random_number_is_the_owners():
    small = Small("0fc7f0" + OUT + HLT)
    small.state().features |= Feature.RDRAND
    assert small.machine.run() == VcpuExit(0, Random(4, 0))
    with pytest.raises(StepError):
        small.machine.run()
    small.machine.vcpus[0].complete(99)
    small.machine.run()
    assert small.written[0][1] == 99


def test_an_unknown_msr_is_a_fault():
    small = Small("b9" + dword(0x1234) + "0f32" + OUT + HLT)
    assert isinstance(small.machine.run(), MachineHalted | VcpuExit)
    assert small.count(13) >= 1
    assert small.written == []


@ENGINES
def test_an_unknown_msr_is_the_owners(engine):
    code = "b9" + dword(0x1234) + "0f32" + OUT + "0f30" + OUT + "0f32" + HLT
    small = Small(code, unknown_msrs="exit", engine=engine)
    vcpu = small.machine.vcpus[0]
    assert small.machine.run() == VcpuExit(0, ReadMsr(0x1234))
    vcpu.complete(2 << 32 | 3)
    assert small.machine.run() == VcpuExit(0, WriteMsr(0x1234, 2 << 32 | 3))
    assert small.machine.run() == VcpuExit(0, ReadMsr(0x1234))
    assert [value for _, value, _ in small.written] == [3, 3]
    vcpu.refuse()
    small.machine.run(3)
    assert small.count(13) == 1


def test_msrs_of_the_owner():
    files = [MsrFile(), MsrFile()]
    files[0].values[0x1234] = 55
    small = Small("b9" + dword(0x1234) + "0f32" + OUT + HLT, None, msrs=files)
    small.machine.run()
    assert small.written[0][1] == 55
    with pytest.raises(MachineError):
        SoftMachine(msrs=files)


def test_a_handler_that_raises():
    small = Small(NOP + "e7a8" + OUT + HLT)
    fails = [True]

    def write(_vcpu, _offset, _size, _value):
        if fails:
            raise KeyError(fails.pop())

    small.machine.pio.add(0xA8, 4, write=write, name="moody")
    with pytest.raises(HandlerError):
        small.machine.run()
    assert small.machine.time == 10
    assert small.machine.run() == MachineHalted(40)
    assert small.written == [(0, 0, 20)]


def test_who_is_not_there_reads_as_ones():
    code = "a1" + dword(0xD000_0000) + OUT + "e5a8" + OUT + "e51f" + OUT + HLT
    small = Small(code)
    small.machine.run()
    values = [value for _, value, _ in small.written]
    assert values[:2] == [0xFFFF_FFFF] * 2
    assert values[2] & 0xFF == 0xFF  # 1Fh has nobody, 20h the 8259A


def test_maps_of_the_owner():
    mmio, pio = RegionMap(name="mine"), RegionMap(address_bits=16)
    machine = SoftMachine(mmio=mmio, pio=pio)
    assert machine.mmio is mmio
    assert [region.name for region in mmio] == ["ioapic", "lapic 0xfee00000"]
    assert mmio.port("debugger").read(0xD000_0000, 4) == 0xFFFF_FFFF
    assert mmio.port("debugger").read(APIC + 0x30, 4) == 0xFFFF_FFFF
    assert mmio.port(machine.vcpus[0]).read(APIC + 0x30, 4) & 0xFF == 0x14
    with pytest.raises(OverlapError):
        SoftMachine(mmio=mmio)


@pytest.mark.parametrize("vcpus", [0, -1, (), (1, 1)])
def test_vcpus_that_are_none(vcpus):
    with pytest.raises(MachineError):
        SoftMachine(vcpus=vcpus)


@pytest.mark.parametrize("wrong", [{"unknown_msrs": "no"}, {"cpuid": []}, {"msrs": []}])
def test_arguments_that_do_not_fit(wrong):
    with pytest.raises(MachineError):
        SoftMachine(**wrong)


def test_snapshots_of_other_machines():
    with pytest.raises(MachineError):
        SoftMachine().restore(SoftMachine(vcpus=2).snapshot())
    with pytest.raises(MachineError):
        SoftMachine().restore(b"")


def test_ram_that_is_rom():
    rom = bytes.fromhex(store(0x10_0000, 5) + "a1" + dword(0x10_0000) + OUT + HLT).ljust(4096)
    small = Small()
    machine = SoftMachine([(0, small.ram), (0x10_0000, rom)])
    machine.pio.add(0x80, 4, write=lambda _v, _o, _s, value: small.written.append(value))
    machine.vcpus[0].state.enter_protected_mode(eip=0x10_0000)
    assert isinstance(machine.run(), MachineHalted)
    assert small.written == [int.from_bytes(rom[:4], "little")]


def test_waiting_needs_no_quanta():
    small = Small(ENABLE + WAIT, ENABLE + WAIT)
    start(small, 1)
    assert isinstance(small.machine.run(), MachineHalted)
    small.machine.bus.msi(0xFEEF_F000, 0x41)
    assert isinstance(small.machine.run(), MachineHalted)
    assert small.count(0x41) == 2


@pytest.mark.parametrize("slice_", [1, 7, 100])
def test_the_end_of_a_run_does_not_show_where_it_was_cut(slice_):
    codes = HLT, LOOP  # one that waits, and one that does not
    whole, cut = Small(*codes), Small(*codes)
    for small in (whole, cut):
        start(small, 1)
    whole.machine.run(instructions=700)
    for _ in range(700 // slice_):
        cut.machine.run(instructions=slice_)
    assert cut.machine.time == whole.machine.time
    assert cut.machine.snapshot() == whole.machine.snapshot()
    for one, other in zip(whole.machine.vcpus, cut.machine.vcpus, strict=True):
        assert one.state == other.state
        assert one.state.tsc == whole.machine.ticks


def test_what_a_machine_looks_like():
    machine = SoftMachine(vcpus=2)
    assert repr(machine) == "<SoftMachine vCPUs 2; time 0>"
    state = machine.vcpus[0].state
    assert repr(machine.vcpus[0]) == f"<MachineVcpu {machine.vcpus[0].engine} {state!r}>"
    assert "record" not in repr(machine.snapshot())
