# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions that KVM refuses on devices: completed, faulting, trapped, interrupted.

Nothing here depends on who executes an instruction, but for the counts: a kernel that refuses less
gives the same registers, accesses and exceptions.
"""

from contextlib import closing

import pytest

from backends.kvm.small_guest import CODE, DATA, DEVICE, HANDLERS, SmallGuest
from vmmkit.backends.kvm._spec import EXIT_INTERNAL, RUN_UNION, InternalError
from vmmkit.errors import BusError, KvmError, StepError
from vmmkit.insn import DebugExit, Done, Halt, Read, Unsupported, UnsupportedReason, Write

pytestmark = pytest.mark.kvm

LOAD_YMM, STORE_YMM = "c5fe6f03", "c5fe7f03"  # vmovdqu ymm0, [rbx]; vmovdqu [rbx], ymm0
POPCNT, CMPXCHG16B, ADDPS = "f30fb803", "480fc70b", "0f5803"  # of or with [rbx]
ABSENT, READ_ONLY = 0, 0x65
TF, RF = 0x100, 0x10000


@pytest.fixture(params=[0, 3], ids="ring {}".format)
def cpl(request):
    return request.param


def quarters(first, kind, *values):
    """Accesses of 8 bytes each at a device."""
    if kind is Read:
        return [Read(DEVICE + first + 8 * n, 8) for n in range(4)]
    return [Write(DEVICE + first + 8 * n, 8, value) for n, value in enumerate(values)]


def test_a_load_is_completed_with_what_the_device_answers(guest, cpl):
    machine = guest(LOAD_YMM + "f4", cpl=cpl)
    machine.vcpu.state.rbx = DEVICE + 0x40
    found = machine.exits([0x11, 0x22, 0x33, 0x44])
    assert found[:-1] == quarters(0x40, Read)
    assert isinstance(found[-1], Halt)
    words = 0x11 | 0x22 << 64 | 0x33 << 128 | 0x44 << 192
    assert machine.vcpu.state.ymm[0] == words
    assert machine.vcpu.emulated["VMOVDQU"] == 1


def test_a_store_is_completed(guest, cpl):
    machine = guest(STORE_YMM + "f4", cpl=cpl)
    machine.vcpu.state.rbx, machine.vcpu.state.ymm[0] = DEVICE, 1 | 2 << 64 | 3 << 128 | 4 << 192
    assert machine.exits()[:-1] == quarters(0, Write, 1, 2, 3, 4)


def test_ports_serve_it_in_run_through(guest, cpl):
    machine = guest(POPCNT + "c5fe7f4320" + "f4", cpl=cpl)
    machine.vcpu.state.rbx = DEVICE
    machine.device.octets[:4] = bytes.fromhex("ff00ff01")
    assert isinstance(machine.run(), Halt)
    assert machine.vcpu.state.rax == 17
    assert machine.device.accesses == [
        ("read", 0, 4),
        *(("write", 0x20 + 8 * n, 8, 0) for n in range(4)),
    ]


@pytest.mark.parametrize("equal", [True, False])
def test_both_halves_are_compared_and_written(guest, cpl, equal):
    """The kernel reads them, too, before it gives up, and nobody can tell what it has read."""
    machine = guest(CMPXCHG16B + "f4", cpl=cpl)
    state = machine.vcpu.state
    state.rax, state.rdx, state.rbx, state.rcx = 5 + (not equal), 6, DEVICE, 8
    found = machine.exits([5, 6] * 2)
    reads = [one for one in found if isinstance(one, Read)]
    assert reads in (
        [Read(DEVICE, 8), Read(DEVICE + 8, 8)],
        [Read(DEVICE, 8), Read(DEVICE + 8, 8)] * 2,
    )
    low, high = (DEVICE, 8) if equal else (5, 6)
    assert found[len(reads) : -1] == [Write(DEVICE, 8, low), Write(DEVICE + 8, 8, high)]
    assert (machine.vcpu.state.rax, machine.vcpu.state.rdx) == (5, 6)


def test_a_loop_reads_the_device_each_time(guest, cpl):
    machine = guest("b903000000" + POPCNT + "ffc975f8" + "f4", cpl=cpl)  # three times
    machine.vcpu.state.rbx = DEVICE
    found = machine.exits([1, 3, 7])
    assert found[:-1] == [Read(DEVICE, 4)] * 3
    assert machine.vcpu.state.rax == 3
    assert machine.vcpu.emulated["POPCNT"] == 3


@pytest.mark.parametrize(
    ("code", "entry", "error"),
    [(LOAD_YMM, ABSENT, 0), (STORE_YMM, ABSENT, 2), (STORE_YMM, READ_ONLY, 3)],
    ids=["load, no page", "store, no page", "store, read-only"],
)
def test_page_faults_are_the_guests(guest, cpl, code, entry, error):
    machine = guest(code + "f4", cpl=cpl)
    machine.vcpu.state.cr0 |= 1 << 16  # WP
    machine.vcpu.state.rbx = DATA + 0xFF0  # the end of a page
    machine.pte(DATA + 0x1000, entry)
    assert machine.run() == Halt(HANDLERS + 16 * 14 + 1)
    pushed = machine.frame()
    assert pushed[:2] == [error | (4 if cpl else 0), CODE]
    assert pushed[3] & RF
    assert machine.vcpu.state.cr2 == DATA + 0x1000
    assert machine.device.accesses == []


def test_a_fault_after_the_kernel_refused_touches_no_device(guest, cpl):
    """Half of the operand is the device's, half lies in a page that is not there."""
    machine = guest(STORE_YMM + "f4", cpl=cpl)
    machine.pte(DATA, DEVICE | 0x67)
    machine.pte(DATA + 0x1000, ABSENT)
    machine.vcpu.state.rbx = DATA + 0xFF0
    assert machine.run() == Halt(HANDLERS + 16 * 14 + 1)
    assert machine.device.accesses == []
    assert machine.vcpu.state.cr2 == DATA + 0x1000


def test_general_protection_has_its_error_code(guest):
    machine = guest(LOAD_YMM + "f4")
    machine.vcpu.state.rbx = 1 << 47
    assert machine.run() == Halt(HANDLERS + 16 * 13 + 1)
    assert machine.frame()[:2] == [0, CODE]


def test_an_instruction_that_nobody_executes_is_the_owners(guest, cpl):
    machine = guest(ADDPS + "f4", cpl=cpl)
    machine.vcpu.state.rbx = DEVICE
    found = machine.exits()[-1]
    assert isinstance(found, Unsupported)
    assert found.code.startswith(bytes.fromhex(ADDPS))
    assert found.reason is UnsupportedReason.OPCODE
    assert machine.vcpu.state.rip == CODE
    assert not machine.vcpu.emulated


def test_the_guests_single_step_traps_after_it(guest):
    machine = guest(POPCNT + "90f4")
    machine.vcpu.state.rbx, machine.vcpu.state.rflags = DEVICE, 2 | TF
    assert machine.run() == Halt(HANDLERS + 16 * 1 + 1)
    state = machine.vcpu.state
    assert machine.ram[state.rsp : state.rsp + 8] == (CODE + 4).to_bytes(8, "little")
    assert state.dr6 >> 14 & 1
    assert machine.device.accesses == [("read", 0, 4)]


def test_an_event_that_the_kernel_cannot_deliver_comes_before_the_instruction(guest):
    """A refusal may be about it; the bytes are those of the instruction that it interrupts."""
    machine = guest(POPCNT + "90f4")
    machine.vcpu.state.rbx, machine.vcpu.state.rflags = DEVICE, 2 | TF
    machine.vcpu.inject(6)
    assert machine.vcpu._not_emulated(bytes.fromhex(POPCNT)) is None
    assert machine.vcpu.state.rip == HANDLERS + 16 * 6
    assert not machine.vcpu.event_pending
    assert machine.run() == Halt(HANDLERS + 16 * 6 + 1)
    assert machine.frame()[1:2] == [8]
    assert machine.device.accesses == []


def gives_up(vcpu, suberror, *data):
    """Have the kernel seem to have ended KVM_RUN so: this one never does."""
    words = (*data, *(0,) * (16 - len(data)))
    EXIT_INTERNAL.pack_into(vcpu._page.octets, RUN_UNION, suberror, len(data), *words)
    return vcpu._internal_error()


@pytest.mark.parametrize("suberror", [InternalError.SIMUL_EX, InternalError.DELIVERY_EV])
def test_an_event_whose_delivery_the_kernel_reports_is_delivered(guest, suberror):
    machine = guest("90f4")
    machine.vcpu.inject(6)
    assert gives_up(machine.vcpu, suberror, 0x8000_0306, 49, 0, DEVICE) is None
    assert machine.vcpu.state.rip == HANDLERS + 16 * 6
    assert not machine.vcpu.event_pending
    assert machine.run() == Halt(HANDLERS + 16 * 6 + 1)
    assert machine.frame()[0] == CODE


def test_an_error_of_the_kernels_own_is_told(guest):
    machine = guest("90f4")
    with pytest.raises(KvmError, match=r"at 0x1000: internal error 4 .*data \[0x4d, 0x1\]"):
        gives_up(machine.vcpu, InternalError.UNEXPECTED_EXIT_REASON, 77, 1)


def test_the_interrupt_shadow_lasts_for_it_and_no_longer(guest):
    machine = guest("fb" + POPCNT + "9090f4")
    machine.vcpu.state.rbx = DEVICE
    shadows = []
    for _ in range(2):
        machine.run(1)
        shadows.append(machine.vcpu.state.interrupt_shadow)
    assert shadows == [1, 0]


def test_a_step_is_one_instruction_whoever_executes_it(guest):
    machine = guest(LOAD_YMM + POPCNT + "90f4")
    machine.vcpu.state.rbx = DEVICE
    places = []
    for _ in range(3):
        machine.run(1)
        places.append(machine.vcpu.state.rip)
    assert places == [CODE + 4, CODE + 8, CODE + 9]


@pytest.mark.parametrize("stops", [False, True])
def test_a_step_counts_one_instruction(guest, cpl, stops):
    machine = guest(LOAD_YMM + POPCNT + "90f4", cpl=cpl)
    machine.vcpu.state.rbx = DEVICE
    counts = []
    for _ in range(3):
        if stops:
            while isinstance(machine.vcpu.step(), Read):
                machine.vcpu.complete(0)
        else:
            machine.run(1)
        counts.append(machine.vcpu.state.retired)
    assert counts == [1, 2, 3]


def test_breakpoints_count_for_it(guest):
    machine = guest("cc" + LOAD_YMM + "f4")
    machine.vcpu.set_breakpoints(int3=True)
    assert machine.run() == DebugExit(CODE, 0, 0, CODE)
    assert machine.run() == DebugExit(CODE, 0, 0, CODE)
    machine.poke(CODE, b"\x90")
    assert isinstance(machine.run(), Halt)


def test_a_guests_own_int3_goes_to_the_guest(guest, cpl):
    machine = guest("ccf4", cpl=cpl)
    assert machine.run() == Halt(HANDLERS + 16 * 3 + 1)
    rsp = machine.vcpu.state.rsp
    assert machine.ram[rsp : rsp + 8] == (CODE + 1).to_bytes(8, "little")


def test_a_port_that_raises_is_tried_once_more(guest, cpl):
    machine = guest(STORE_YMM + "f4", cpl=cpl)
    machine.vcpu.state.rbx, machine.vcpu.state.ymm[0] = DEVICE, 1 | 2 << 64 | 3 << 128 | 4 << 192
    write, failures = machine.device.write, [BusError("not now", DEVICE + 8, 8)] * 2

    def refuse_twice(vcpu, offset, size, value, /):
        if offset == 8 and failures:
            raise failures.pop()
        write(vcpu, offset, size, value)

    machine.mmio.remove(machine.mmio.find(DEVICE))
    machine.mmio.add(DEVICE, 0x1000, write=refuse_twice)
    for _ in range(2):
        with pytest.raises(BusError):
            machine.run()
        assert machine.vcpu.awaits_answer
    assert isinstance(machine.run(), Halt)
    assert machine.device.accesses == [("write", 8 * n, 8, n + 1) for n in range(4)]


def test_run_and_run_through_take_turns(guest):
    machine = guest(LOAD_YMM + "f4")
    machine.vcpu.state.rbx = DEVICE
    machine.device.octets[16] = 7
    assert machine.vcpu.run() == Read(DEVICE, 8)
    with pytest.raises(StepError, match="complete"):
        machine.vcpu.run()
    machine.vcpu.complete(1)
    assert machine.vcpu.run() == Read(DEVICE + 8, 8)
    assert isinstance(machine.run(), Halt)
    assert machine.vcpu.state.ymm[0] == 1 | 7 << 128
    assert machine.device.accesses == [("read", 8, 8), ("read", 16, 8), ("read", 24, 8)]


def test_a_step_completes_what_is_in_flight_and_no_more(guest):
    machine = guest(POPCNT + "90f4")
    machine.vcpu.state.rbx = DEVICE
    assert machine.vcpu.run() == Read(DEVICE, 4)
    machine.vcpu.complete(3)
    assert machine.vcpu.step() == Done(CODE + 4, 0)
    assert machine.vcpu.state.rax == 2


def test_time_does_not_stand_still(guest):
    """The guest's time-stamp counter is the kernel's, whoever executes the instructions."""
    machine = guest("0f3189c7" + POPCNT * 20 + "0f3129f8" + "f4")  # rdtsc before and after
    machine.vcpu.state.rbx = DEVICE
    assert isinstance(machine.run(), Halt)
    assert machine.vcpu.state.rax & 0xFFFF_FFFF > 1000


def test_ram_that_comes_later_is_found(guest):
    machine = guest(POPCNT + "f4")
    window = bytearray(0x1000)
    machine.mmio.add_ram(DEVICE + 0x10_0000, window, name="more")
    machine.vcpu.state.rbx = DEVICE + 0x10_0000
    window[:4] = b"\x0f\x00\x00\x00"
    assert isinstance(machine.run(), Halt)
    assert machine.vcpu.state.rax == 4


def test_closing_lets_go_of_ram():
    machine = SmallGuest(LOAD_YMM + "f4")
    with closing(machine):
        machine.vcpu.state.rbx = DATA
        assert isinstance(machine.run(), Halt)
    machine.mmio.remove(machine.mmio.find(0))
    machine.ram.close()
