# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Both machines where two things meet: INIT and what is in flight, a run in a run, times."""

import pytest

from backends.smp import APIC, ENABLE, Small
from vmmkit.backends import MachineHalted, RunEnded, SoftMachine, ThreadedMachine, VcpuExit
from vmmkit.devices import ApicMessage, DeliveryMode
from vmmkit.errors import HandlerError, MachineError
from vmmkit.insn import WORD, Hypercall, ReadMsr, available_engines

ENGINES = pytest.mark.parametrize("engine", available_engines())
MACHINES = pytest.mark.parametrize("machine", [SoftMachine, ThreadedMachine])
LOOP, HLT, NOP, STI, ASK, HYPERCALL = "ebfe", "f4", "90", "fb", "e7a8", "0f01c1"
TPR, NMI_PENDING = WORD["tpr"], WORD["nmi_pending"]


def send(small, mode, vector=0, to=0):
    return small.machine.bus.deliver(ApicMessage(vector, mode, destination=to))


def handler(small, write):
    """Let OUT to port A8h call a function."""
    small.machine.pio.add(0xA8, 4, write=lambda *_access: write(), name="handler")


# -- interrupts ------------------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("code", [LOOP, HLT + LOOP], ids=["loop", "hlt"])
def test_a_priority_that_was_lowered_before_anybody_asked(engine, code):
    """As when another thread reads the old priority, and the guest does not write it again."""
    small = Small(ENABLE + STI + NOP + code, engine=engine)
    words = small.state().words
    words[TPR] = 0xF0
    small.machine.run(3)
    send(small, DeliveryMode.FIXED, 0x50)
    assert small.state().tpr_threshold == 5
    words[TPR] = 0
    small.machine.run(100)
    assert small.count(0x50) == 1
    assert small.state().tpr_threshold == 0


@pytest.mark.parametrize(("first", "second"), [("INIT", "NMI"), ("NMI", "INIT")])
def test_init_takes_an_nmi_before_it_but_not_after_it(first, second):
    small = Small(LOOP, LOOP)
    for mode in (first, second):
        send(small, DeliveryMode[mode], to=1)
    small.machine.run(10)
    assert small.state(1).words[NMI_PENDING] == (second == "NMI")


def init(small):
    send(small, DeliveryMode.INIT, to=1)
    send(small, DeliveryMode.SIPI, 0x11, to=1)


def abandon(small):
    small.machine.vcpus[1].abandon()
    small.state(1).enter_real_mode(0, 0x1100)


@pytest.mark.parametrize("forget", [init, abandon])
def test_a_question_to_the_owner_that_is_taken_back(forget):
    small = Small(HLT, None, vcpus=2, unknown_msrs="exit")
    small.poke(0x1_0000, bytes.fromhex("b93412" + "0f32"))  # mov cx, 1234h; rdmsr
    small.poke(0x1_1000, bytes.fromhex(ASK + HLT))
    fails = [True]

    def write():
        if fails:
            raise KeyError(fails.pop())

    handler(small, write)
    send(small, DeliveryMode.SIPI, 0x10, to=1)
    assert small.machine.run() == VcpuExit(1, ReadMsr(0x1234))
    forget(small)
    with pytest.raises(HandlerError):
        small.machine.run()
    assert isinstance(small.machine.run(), MachineHalted)  # the access was tried again


@MACHINES
def test_an_owner_answers_for_a_handler_that_raised(machine):
    small = Small("e5a8" + "e780" + HLT, machine=machine)

    def read(*_access):
        raise KeyError

    small.machine.pio.add(0xA8, 4, read=read, name="broken")
    with pytest.raises(HandlerError):
        small.machine.run()
    small.machine.vcpus[0].complete(0x1234)
    assert isinstance(small.machine.run(), MachineHalted)
    assert small.written[0][:2] == (0, 0x1234)


def test_an_access_in_flight_leaves_the_local_apic_as_init_does():
    small = Small(ENABLE + LOOP)
    lapic, port = small.machine.lapics[0], small.machine.mmio.port(small.machine.vcpus[0])
    seen = []

    def write(vcpu, offset, size, value):
        send(small, DeliveryMode.INIT)
        port.write(APIC + 0xF0, 4, 0x1FF)
        seen.append(lapic.registers()["SVR"])

    small.machine.pio.add(0xA8, 4, write=write, name="init meanwhile")
    small.start(0, ASK + LOOP)
    small.machine.run(1)
    assert seen == [0xFF]
    small.machine.vcpus[0].settle()
    port.write(APIC + 0xF0, 4, 0x1FF)
    assert lapic.registers()["SVR"] == 0x1FF


# -- one run at a time -----------------------------------------------------------------------------


@MACHINES
@pytest.mark.parametrize("what", ["run", "reset", "snapshot", "restore"])
def test_what_is_for_between_two_runs(machine, what):
    small = Small(NOP + ASK + HLT, machine=machine)
    between = {"restore": [small.machine.snapshot()]}
    refused = []

    def write():
        with pytest.raises(MachineError, match="the machine runs"):
            getattr(small.machine, what)(*between.get(what, ()))
        refused.append(small.state().rip)

    handler(small, write)
    assert isinstance(small.machine.run(), MachineHalted)
    assert len(refused) == 1
    small.machine.reset()


def test_a_guest_that_resets_itself():
    small = Small(NOP + ASK + LOOP)
    handler(small, small.machine.kick)
    assert small.machine.run() == RunEnded(20)
    small.machine.reset()
    assert (small.state().rip, small.machine.time) == (0xFFF0, 20)


def test_a_reset_forgets_exits():
    small = Small(HYPERCALL + LOOP, HYPERCALL + LOOP, machine=ThreadedMachine)
    send(small, DeliveryMode.SIPI, 8, to=1)
    small.machine.vcpus[1].settle()
    small.start(1, HYPERCALL + LOOP)
    found = small.machine.run()
    assert isinstance(found, VcpuExit)
    assert isinstance(found.outcome, Hypercall)
    small.machine.reset()
    for number in range(2):
        small.start(number, LOOP)
    assert isinstance(small.machine.run(0.001), RunEnded)


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [15.5, "soon"])
def test_times_that_are_none(until):
    with pytest.raises(MachineError):
        Small(HLT).machine.run(until=until)


@pytest.mark.parametrize("step", [1000, 500, 7])
def test_time_stamp_counters_of_who_waits(step):
    small = Small(LOOP, HLT)
    while small.machine.ticks < 1000:
        small.machine.run(min(step, 1000 - small.machine.ticks))
        assert [small.state(number).tsc for number in range(2)] == [small.machine.ticks] * 2


def test_time_stamp_counters_between_runs_of_threads():
    small = Small(LOOP, LOOP, machine=ThreadedMachine)
    small.machine.run(0.01)
    for number in range(2):
        assert small.state(number).tsc >= 10_000_000


def test_a_time_stamp_counter_that_wraps():
    vcpu = Small(HLT).machine.vcpus[0]
    vcpu.set_time((1 << 64) - 5)
    vcpu.set_time(3, forwards=True)
    assert vcpu.state.tsc == 3
    vcpu.set_time((1 << 64) - 2, forwards=True)
    assert vcpu.state.tsc == 3


@pytest.mark.parametrize("count", [256, 300])
def test_more_processors_than_eight_bits_number(count):
    small = Small(HLT, vcpus=count, quantum=1)
    last = small.machine.vcpus[count - 1]
    message = ApicMessage(8, DeliveryMode.SIPI, destination=count - 1, wide=True)
    assert small.machine.bus.deliver(message) == 1
    small.poke(0x8000, bytes.fromhex(HLT))
    assert isinstance(small.machine.run(), MachineHalted)
    assert (last.state.cs.selector, last.state.rip, last.state.halted) == (0x800, 1, 1)
