# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints whose conditions do not hold: what the guest does is what it does without them."""

import pytest

from backends.debugging import Guest, Report, until
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind
from vmmkit.insn import available_engines

SOFTWARE, HARDWARE = BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE
STOPS = {SOFTWARE: StopKind.SOFTWARE, HARDWARE: StopKind.HARDWARE}
COUNTER = bytes.fromhex("48ffc0 48ffc3 ebf8")  # again: inc rax; inc rbx; jmp again
STORES = bytes.fromhex("890425 00600000 ebf7")  # again: mov [6000h], eax; jmp again
TRAPS = bytes.fromhex("48ffc0 cc 48ffc3 ebf7")  # again: inc rax; int3; inc rbx; jmp again
HALTS = bytes.fromhex("48ffc0 f4 ebfa")  # again: inc rax; hlt; jmp again
INT3_GATE = 0x5000 + 16 * 3
HANDLER = bytes.fromhex("49ffc0 48cf")  # inc r8; iretq


@pytest.fixture(params=["vcpus", "soft", "threads"])
def kind(request):
    return request.param


@pytest.fixture(params=[SOFTWARE, HARDWARE])
def inserted(request):
    return request.param


@pytest.fixture(params=available_engines())
def engine(request):
    return request.param


def test_what_counts_is_asked_once(kind, engine, inserted):
    guest = Guest(kind, engine, {0x1000: COUNTER})
    state = guest.vcpus[0].state
    with guest.debugged():
        guest.target.insert_breakpoint(inserted, 0, 0x1003, 1)
        for last in (20, 35):
            running = guest.start(counts=lambda _stop, last=last: state.rax == last)
            assert running.wait() == [Stop(0, STOPS[inserted], 0x1003)]
            assert (state.rax, state.rbx) == (last, last - 1)
        assert len(running.asked) == 15


def test_every_vcpu_passes_by(kind, engine, inserted):
    guest = Guest(kind, engine, {0x1000: COUNTER}, (0x1000, 0x1000))
    with guest.debugged():
        guest.target.insert_breakpoint(inserted, 0, 0x1003, 1)
        running = guest.start(counts=lambda _stop: False)
        until(lambda: {stop.vcpu for stop in running.asked} == {0, 1})
        guest.gets_on(40)
        ending = Report(lambda _stop: False)
        guest.target.stop(ending)
        assert ending.wait() == []
        for vcpu in guest.vcpus:
            assert vcpu.state.rax - vcpu.state.rbx in {0, 1}
        assert running.calls == []


def test_a_watchpoint_at_an_instruction_that_is_passed(kind, engine, inserted):
    guest = Guest(kind, engine, {0x1000: STORES})
    with guest.debugged():
        guest.vcpus[0].state.rip = 0x1007
        guest.target.insert_breakpoint(inserted, 0, 0x1000, 1)
        guest.target.insert_breakpoint(BreakpointKind.WRITE, 0, 0x6000, 4)
        for _ in range(2):
            running = guest.start(counts=lambda stop: stop.kind is StopKind.WRITE)
            assert running.wait() == [Stop(0, StopKind.WRITE, 0x6000)]
            assert guest.vcpus[0].state.rip == 0x1007


def test_the_guest_s_own_int3_is_executed(kind, engine, inserted):
    guest = Guest(kind, engine, {0x1000: TRAPS, 0x3000: HANDLER})
    state = guest.vcpus[0].state
    gate = 0x3000 | 8 << 16 | 0x8E00 << 32
    guest.ram[INT3_GATE : INT3_GATE + 8] = gate.to_bytes(8, "little")
    descriptors = (0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
    guest.ram[0x5800:0x5818] = b"".join(one.to_bytes(8, "little") for one in descriptors)
    state.idtr_base, state.idtr_limit, state.gdtr_base, state.gdtr_limit = 0x5000, 0x7FF, 0x5800, 23
    with guest.debugged():
        guest.target.insert_breakpoint(inserted, 0, 0x1003, 1)
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1004, 1)
        running = guest.start(counts=lambda stop: stop.address == 0x1004 and state.rax == 5)
        assert running.wait() == [Stop(0, StopKind.SOFTWARE, 0x1004)]
        assert (state.rax, state.rbx, state.r8) == (5, 4, 5)


@pytest.mark.parametrize("kind", ["soft", "threads"])
def test_a_halt_is_passed_into(kind, engine, inserted):
    guest = Guest(kind, engine, {0x1000: HALTS})
    state = guest.vcpus[0].state
    with guest.debugged():
        guest.target.insert_breakpoint(inserted, 0, 0x1003, 1)
        running = guest.start(counts=lambda _stop: False)
        until(lambda: state.halted)
        assert guest.stop() == []
        assert (state.rip, state.rax, len(running.asked)) == (0x1004, 1, 1)


def test_time_is_that_without_a_breakpoint(engine, inserted):
    found = []
    for address in (0x1003, 0x7000):
        guest = Guest("soft", engine, {0x1000: COUNTER}, (0x1000, 0x1000), quantum=7)
        guest.target.debugger_attached()
        assert guest.stop() == []
        guest.target.insert_breakpoint(inserted, 0, address, 1)
        guest.start(counts=lambda _stop: False)
        guest.target.run(200)
        states = [(vcpu.state.rip, vcpu.state.rax) for vcpu in guest.vcpus]
        found.append((guest.machine.ticks, states))
    assert found[0] == found[1]
    assert found[0][0] == 200
