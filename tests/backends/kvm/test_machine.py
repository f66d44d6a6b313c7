# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`KvmMachine` beside `ThreadedMachine`: processors that start, runs that end, and reset."""

import threading

import pytest

from backends.kvm.machines import BOTH_CHIPS, EVERY, LONG, Guest, guest_of, start_others
from backends.smp import APIC, CODE, COUNTS, ENABLE, RAM_SIZE, apic, dword, store
from vmmkit.backends import MachineHalted, RunEnded, ThreadedMachine, VcpuExit
from vmmkit.backends.kvm import KvmMachine, allocate_ram
from vmmkit.errors import HandlerError, KvmError, KvmUnavailableError, MachineError
from vmmkit.insn import ReadMsr, TripleFault, WriteMsr

LOOP, HLT, OUT, NOP, STOP, CLI = "ebfe", "f4", "e780", "90", "e7a8", "fa"
SLEEP = CLI + HLT + "ebfd"
FLAG = 0x3_F000
ADD = "f0ff05" + dword(FLAG)  # lock inc
UNKNOWN_MSR = 0x1234
READ_UNKNOWN = "b9" + dword(UNKNOWN_MSR) + "0f32"
ENDED = (RunEnded, MachineHalted)


@pytest.fixture(params=EVERY)
def kind(request):
    return request.param


def await_dword(address, value):
    """cmp dword [address], value; jb to itself."""
    return "813d" + dword(address) + dword(value) + "72f4"


def dword_at(guest, address):
    return int.from_bytes(guest.ram[address : address + 4], "little")


# -- how runs end ----------------------------------------------------------------------------------


def test_a_run_takes_the_seconds_it_is_given(kind):
    with guest_of(kind, LOOP, SLEEP) as guest:
        before, threads = guest.machine.time, threading.active_count()
        assert isinstance(guest.machine.run(0.02), RunEnded)
        after = guest.machine.time
        assert after - before >= 20_000_000
        assert guest.machine.time == after  # it stands
        assert threading.active_count() == threads


def test_a_guest_goes_on_where_it_was(kind):
    with guest_of(kind, "40ebfd") as guest:  # inc eax; jmp to it
        guest.machine.run(0.02)
        first = guest.state().rax
        guest.machine.run(0.02)
        assert guest.state().rax > first > 0
        assert guest.state().rip in (CODE, CODE + 1)


@pytest.mark.parametrize("code", [LOOP, SLEEP, "fbf4ebfc"])
def test_somebody_stops_it(kind, code):
    """With one vCPU that spins or sleeps, and one that waits for a start-up message."""
    with guest_of(kind, code, HLT) as guest:
        timer = threading.Timer(0.02, guest.machine.stop)
        timer.start()
        assert isinstance(guest.machine.run(LONG, through_halt=True), RunEnded)
        timer.join()


def test_a_stop_ends_the_next_run_or_is_forgotten(kind):
    with guest_of(kind, STOP + "ebfc") as guest:
        guest.machine.stop()
        assert isinstance(guest.machine.run(LONG), RunEnded)
        guest.machine.stop()
        guest.machine.forget_kick()
        guest.runs_to_its_end()


def test_many_runs(kind):
    with guest_of(kind, start_others(1) + "40ebfd", LOOP) as guest:
        for _ in range(10):
            assert isinstance(guest.machine.run(0.001), RunEnded)


def test_what_a_handler_raises_reaches_the_owner(kind):
    with guest_of(kind, start_others(1) + "e790" + OUT + STOP + HLT, LOOP) as guest:
        fails = [True]

        def write(*_access):
            if fails:
                raise KeyError(fails.pop())

        guest.machine.pio.add(0x90, 4, write=write, name="moody")
        threads = threading.active_count()
        with pytest.raises(HandlerError):
            guest.machine.run(LONG)
        assert threading.active_count() == threads
        assert isinstance(guest.machine.run(LONG), RunEnded)
        assert len(guest.written) == 1


def test_a_read_that_fails_is_made_again(kind):
    with guest_of(kind, "a1" + dword(0xD000_0000) + OUT + STOP + HLT) as guest:
        answers = [KeyError("not yet"), 0x1234_5678]

        def read(*_access):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        guest.machine.mmio.add(0xD000_0000, 4, read=read, name="moody")
        with pytest.raises(HandlerError):
            guest.machine.run(LONG)
        guest.runs_to_its_end()
        assert guest.values() == [0x1234_5678]


def test_a_handler_may_not_run_the_machine(kind):
    with guest_of(kind, "e790" + HLT) as guest:
        machine = guest.machine
        machine.pio.add(0x90, 4, write=lambda *_access: machine.reset(), name="reset")
        with pytest.raises(HandlerError) as caught:
            machine.run(LONG)
        assert isinstance(caught.value.__cause__, MachineError)


def test_exits_that_come_at_once_are_all_told(kind):
    ready = ADD + await_dword(FLAG, 3) + READ_UNKNOWN + OUT + SLEEP
    code = start_others(1, 2)
    with guest_of(kind, code + ready, ready, ready, unknown_msrs="exit") as guest:
        found = []
        while len(found) < 3:
            outcome = guest.machine.run(LONG)
            assert isinstance(outcome, VcpuExit)
            found += [outcome, *guest.machine.take_exits()]
            for exit_ in found:
                assert exit_.outcome == ReadMsr(UNKNOWN_MSR)
            guest.machine.vcpus[outcome.vcpu].complete(outcome.vcpu)
            for other in found[found.index(outcome) + 1 :]:
                guest.machine.vcpus[other.vcpu].complete(other.vcpu)
        assert sorted(one.vcpu for one in found) == [0, 1, 2]
        assert isinstance(guest.machine.run(0.2), ENDED)
        assert sorted(guest.values()) == [0, 1, 2]


def test_an_msr_nobody_knows_may_be_refused(kind):
    with guest_of(kind, READ_UNKNOWN + LOOP, unknown_msrs="exit") as guest:
        guest.poke(0x4000 + 32 * 13, bytes.fromhex(STOP + HLT))  # the handler of #GP
        assert guest.machine.run(LONG) == VcpuExit(0, ReadMsr(UNKNOWN_MSR))
        guest.machine.vcpus[0].refuse()
        guest.runs_to_its_end()


def test_an_msr_is_written(kind):
    write = "b9" + dword(UNKNOWN_MSR) + "31d2b8" + dword(7) + "0f30" + STOP + HLT
    with guest_of(kind, write, unknown_msrs="exit") as guest:
        assert guest.machine.run(LONG) == VcpuExit(0, WriteMsr(UNKNOWN_MSR, 7))
        guest.runs_to_its_end()


def test_a_triple_fault_names_its_vcpu(kind):
    fault = "0f011d" + dword(FLAG + 0x100) + "0f0b"  # lidt of zeros; ud2
    with guest_of(kind, start_others(1) + LOOP, fault) as guest:
        outcome = guest.machine.run(LONG)
        assert (outcome.vcpu, type(outcome.outcome)) == (1, TripleFault)


# -- processors ------------------------------------------------------------------------------------


def test_all_run(kind):
    count = ADD * 50
    wait = await_dword(FLAG, 150) + STOP + HLT
    with guest_of(kind, start_others(1, 2) + count + wait, *[count + SLEEP] * 2) as guest:
        guest.runs_to_its_end()
        assert dword_at(guest, FLAG) == 150


def test_each_has_its_number(kind):
    """In its local APIC and in CPUID, with APIC IDs of the owner's choice."""
    show = (
        "a1" + dword(APIC + 0x20) + OUT
        + "b801000000 0fa2 89d8" + OUT
        + "b80b000000 31c9 0fa2 89d0" + OUT
        + ADD
    )  # fmt: skip
    ids = (0, 2, 5)
    codes = [start_others(2, 5) + show + await_dword(FLAG, 3) + STOP + HLT] + [show + SLEEP] * 2
    with guest_of(kind, *codes, vcpus=ids) as guest:
        for number in (2, 5):
            guest.poke(CODE + 0x1000 * number, bytes.fromhex(show + SLEEP))
        guest.runs_to_its_end()
        for index, apic_id in enumerate(ids):
            lapic, identity, topology = guest.values(index)
            assert (lapic >> 24, identity >> 24, topology) == (apic_id, apic_id, apic_id)


def test_others_wait_for_a_start_up_message(kind):
    with guest_of(kind, LOOP, STOP) as guest:
        assert isinstance(guest.machine.run(0.05), RunEnded)
        assert guest.machine.time >= 50_000_000


def test_init_stops_a_processor(kind):
    code = start_others(1) + await_dword(FLAG, 1) + apic(0x310, 1 << 24) + apic(0x300, 0x4500)
    with guest_of(kind, code + STOP + LOOP, ADD + LOOP) as guest:
        guest.runs_to_its_end()
        guest.machine.run(0.02)
        rip = guest.state(1).rip
        guest.machine.run(0.02)
        assert guest.state(1).rip == rip != CODE + 0x1000 + 7


def test_accesses_name_their_vcpu(kind):
    say = "b8" + dword(9) + OUT + ADD
    with guest_of(
        kind, start_others(1) + say + await_dword(FLAG, 2) + STOP + HLT, say + SLEEP
    ) as guest:
        guest.runs_to_its_end()
        assert sorted(index for index, _, _ in guest.written) == [0, 1]


# -- reset -----------------------------------------------------------------------------------------


def restart(guest, code):
    """Let the first vCPU begin again."""
    guest.start(0, code)


def test_a_machine_can_be_reset(kind):
    """And what ran before runs again: others wait, and are started."""
    code = ENABLE + start_others(1) + await_dword(FLAG, 1) + STOP + HLT
    with guest_of(kind, code, ADD + SLEEP) as guest:
        for _ in range(3):
            guest.runs_to_its_end()
            assert dword_at(guest, FLAG) == 1
            time = guest.machine.time
            guest.machine.reset()
            assert guest.machine.time == time
            state = guest.state()
            assert (state.rip, state.cs.base, state.cr0) == (0xFFF0, 0xFFFF_0000, 0x6000_0010)
            assert guest.state(1).rip == 0xFFF0
            guest.poke(FLAG, bytes(4))
            restart(guest, code)


def test_reset_reaches_every_controller(kind):
    """What a guest changes reads as after power-up again."""
    select, window = 0xFEC0_0000, 0xFEC0_0010
    change = (
        ENABLE + apic(0x80, 0x20) + apic(0x350, 0x10700) + apic(0x320, 0x20040)
        + apic(0x3E0, 0x0B) + apic(0x380, 100_000_000)
        + store(select, 0x10 + 2 * 9) + store(window, 0x55)
        + "b034e643 b000e640 b000e640" + "b0fde621"
    )  # fmt: skip
    look = "".join("a1" + dword(APIC + at) + OUT for at in (0xF0, 0x80, 0x350, 0x320, 0x380, 0x390))
    look += store(select, 0x10 + 2 * 9) + "a1" + dword(window) + OUT
    look += "31c0e421" + OUT + STOP + HLT
    with guest_of(kind, look) as guest:
        guest.runs_to_its_end()
        fresh = guest.values()
        guest.written.clear()
        restart(guest, change + look)
        guest.runs_to_its_end()
        assert guest.values() != fresh
        guest.written.clear()
        guest.machine.reset()
        restart(guest, look)
        guest.runs_to_its_end()
        assert guest.values() == fresh


def test_a_timer_of_before_is_quiet_after_a_reset(kind):
    timer = ENABLE + apic(0x320, 0x20040) + apic(0x3E0, 0x0B) + apic(0x380, 1_000_000)
    wait = "fbf4" + "833d" + dword(COUNTS + 4 * 0x40) + "0372f5" + STOP + HLT
    with guest_of(kind, timer + wait) as guest:
        guest.runs_to_its_end()
        guest.machine.reset()
        taken = guest.count(0x40)
        restart(guest, ENABLE + "fb" + LOOP)
        guest.machine.run(0.05)
        assert guest.count(0x40) == taken >= 3


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("irqchip", BOTH_CHIPS)
def test_ram_that_has_no_slot(irqchip):
    for gpa, buffer in (
        (0x800, allocate_ram(0x1000)),
        (0, bytearray(0x1800)),
        (0, memoryview(allocate_ram(0x2000))[0x800:0x1800]),
    ):
        with pytest.raises(MachineError, match="whole pages"):
            KvmMachine([(gpa, buffer)], irqchip=irqchip)


@pytest.mark.parametrize("irqchip", BOTH_CHIPS)
def test_a_machine_that_is_closed(irqchip):
    guest = Guest(irqchip, LOOP)
    guest.machine.run(0.005)
    guest.close()
    guest.close()
    with pytest.raises(KvmError):
        guest.machine.run(0.005)
    assert len(guest.ram) == RAM_SIZE


def test_a_machine_runs_once_at_a_time(kind):
    with guest_of(kind, "e790" + HLT) as guest:
        errors = []

        def again(*_access):
            try:
                guest.machine.run(0.001)
            except MachineError as error:
                errors.append(error)
            guest.machine.stop()

        guest.machine.pio.add(0x90, 4, write=again, name="again")
        assert isinstance(guest.machine.run(LONG), ENDED)
        assert len(errors) == 1


@pytest.mark.parametrize("irqchip", BOTH_CHIPS)
def test_arguments_that_do_not_fit(irqchip):
    for wrong in ({"vcpus": 0}, {"vcpus": [1, 1]}, {"unknown_msrs": "ignore"}, {"msrs": []}):
        with pytest.raises(MachineError):
            KvmMachine(irqchip=irqchip, **wrong)
    with pytest.raises(MachineError):
        KvmMachine(irqchip="none")


def test_a_device_that_is_not_there(tmp_path):
    with pytest.raises(KvmUnavailableError, match="ENOENT"):
        KvmMachine(path=str(tmp_path / "kvm"))


def test_the_surface_is_that_of_a_machine_with_threads():
    own = {"snapshot", "restore", "step", "bus", "lapics", "vcpus"}
    public = {name for name in dir(ThreadedMachine) if not name.startswith("_")}
    assert public - own <= set(dir(KvmMachine))
