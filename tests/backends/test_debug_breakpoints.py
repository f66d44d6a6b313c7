# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints and watchpoints of a debugger in targets."""

import struct
from threading import Thread

import pytest

from backends.debugging import ROOT, Guest, Report, until
from vmmkit.backends import SoftVcpu
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.errors import TargetError
from vmmkit.gdb.target import CONTINUE, STEP, BreakpointKind, Stop, StopKind
from vmmkit.insn import available_engines
from vmmkit.memregion import RegionMap

SOFTWARE, HARDWARE = BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE
KINDS = ("vcpus", "soft", "threads")
INT3 = 0xCC
# 1000: inc rax; 1003: inc rbx; 1006: jmp 1000
COUNTER = bytes.fromhex("48ffc0 48ffc3 ebf8")
# 1000: mov [0x6000], eax; inc eax; mov ebx, [0x6008]; jmp 1000
STORES = bytes.fromhex("8904250060 0000 ffc0 8b1c250860 0000 ebee")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=available_engines())
def engine(request):
    return request.param


@pytest.fixture
def guest(kind, engine):
    return Guest(kind, engine, {0x1000: COUNTER})


# -- INT3 in RAM -----------------------------------------------------------------------------------


def test_a_breakpoint_set_where_the_guest_has_run_stops_it(guest):
    with guest.debugged():
        guest.start()
        until(lambda: guest.vcpus[0].state.rax >= 1000)
        guest.stop()
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        for _ in range(3):
            before = guest.vcpus[0].state.rax
            (stop,) = guest.go()
            assert stop == Stop(0, StopKind.SOFTWARE, 0x1003)
            assert guest.vcpus[0].state.rip == 0x1003
            assert guest.vcpus[0].state.rax - before <= 1
        guest.target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        before = guest.vcpus[0].state.rbx
        guest.start()
        until(lambda: guest.vcpus[0].state.rbx >= before + 1000)
        assert guest.stop() == []


def test_the_guest_is_shown_as_it_was(guest):
    with guest.debugged():
        target = guest.target
        target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        assert guest.ram[0x1003] == INT3
        assert target.read_memory(0, 0x1000, 8) == COUNTER
        target.write_memory(0, 0x1002, b"\x11\x22")
        assert guest.ram[0x1002:0x1004] == bytes([0x11, INT3])
        assert target.read_memory(0, 0x1002, 2) == b"\x11\x22"
        target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        assert guest.ram[0x1002:0x1004] == b"\x11\x22"


def test_writes_through_another_address_keep_the_breakpoint(guest):
    # 0x20_0000 leads to 0 too
    struct.pack_into("<Q", guest.ram, ROOT + 0x2008, 0x83)
    with guest.debugged():
        target = guest.target
        target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        target.insert_breakpoint(SOFTWARE, 0, 0x20_1003, 1)
        target.write_memory(0, 0x20_1003, b"\x90")
        assert guest.ram[0x1003] == INT3
        assert target.read_memory(0, 0x1003, 1) == b"\x90"
        target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        assert guest.ram[0x1003] == INT3
        target.remove_breakpoint(SOFTWARE, 0, 0x20_1003, 1)
        assert guest.ram[0x1003] == 0x90


def test_the_same_breakpoint_twice_is_one(guest):
    with guest.debugged():
        target = guest.target
        for _ in range(2):
            target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        assert guest.ram[0x1003] == COUNTER[3]
        with pytest.raises(TargetError, match="no such breakpoint"):
            target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)


def test_what_the_guest_has_overwritten_stays_when_it_is_removed(guest):
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        guest.ram[0x1003] = 0x77
        assert guest.target.read_memory(0, 0x1003, 1) == b"\x77"
        guest.target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        assert guest.ram[0x1003] == 0x77


def test_removal_does_not_ask_the_page_tables(guest):
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        struct.pack_into("<Q", guest.ram, ROOT, 0)
        guest.target.remove_breakpoint(SOFTWARE, 0, 0x1003, 1)
        assert guest.ram[0x1003] == COUNTER[3]


def test_a_loader_overwrites_breakpoints_and_they_come_back(guest):
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x2003, 1)
        guest.ram[0x2000:0x2008] = COUNTER
        guest.step()
        assert guest.ram[0x2003] == INT3
        assert guest.target.read_memory(0, 0x2000, 8) == COUNTER
        guest.target.write_registers(0, {"rip": 0x2000})
        assert guest.go() == [Stop(0, StopKind.SOFTWARE, 0x2003)]


def test_a_breakpoint_waits_for_its_page(guest):
    with guest.debugged():
        target, far = guest.target, 0x4000_0000
        target.insert_breakpoint(SOFTWARE, 0, far + 0x1003, 1)
        assert INT3 not in guest.ram[0x1000:0x1008]
        struct.pack_into("<Q", guest.ram, ROOT + 0x1008, 0x83)  # 1 GiB page: all of RAM again
        target.write_registers(0, {"rip": far + 0x1000})
        assert guest.go() == [Stop(0, StopKind.SOFTWARE, far + 0x1003)]
        assert guest.ram[0x1003] == INT3  # found a place at last
        assert guest.go() == [Stop(0, StopKind.SOFTWARE, far + 0x1003)]
        target.remove_breakpoint(SOFTWARE, 0, far + 0x1003, 1)
        assert guest.ram[0x1003] == COUNTER[3]


def test_a_breakpoint_without_slot_is_pending(guest):
    with guest.debugged():
        target, far = guest.target, 0x4000_0000
        for number in range(16):
            target.insert_breakpoint(HARDWARE, 0, 0x9000 + number, 1)
        target.insert_breakpoint(SOFTWARE, 0, far + 0x1003, 1)
        struct.pack_into("<Q", guest.ram, ROOT + 0x1008, 0x83)
        guest.step()  # tried again at each stop
        assert guest.ram[0x1003] == INT3


def test_rom_has_slots():
    rom = COUNTER + bytes(4096 - len(COUNTER))
    vcpu = SoftVcpu([(0, bytearray(4096)), (4096, rom)], deliver=True)
    vcpu.state.enter_protected_mode(0x1000)
    target = VcpuTarget([vcpu], ram=[(0, bytearray(4096)), (4096, rom)])
    target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
    assert len(vcpu.breakpoints) == 1
    target.debugger_detached()
    assert vcpu.breakpoints == ()


def test_the_guests_own_int3_is_the_guests(kind, engine):
    # 1000: int3; 1001: inc rax; 1004: jmp 1000; the handler at 3000: inc rbx; iretq
    guest = Guest(
        kind,
        engine,
        {0x1000: bytes.fromhex("cc 48ffc0 ebfa"), 0x3000: bytes.fromhex("48ffc3 48cf")},
    )
    gate = 0x3000 | 8 << 16 | 0x8E00 << 32
    struct.pack_into("<Q", guest.ram, 0x5030, gate)
    struct.pack_into("<2Q", guest.ram, 0x5800, 0, 0x00AF_9B00_0000_FFFF)
    state = guest.vcpus[0].state
    state.idtr_base, state.idtr_limit, state.gdtr_base, state.gdtr_limit = 0x5000, 0xFFF, 0x5800, 15
    struct.pack_into("<Q", guest.ram, 0x5810, 0x00CF_9300_0000_FFFF)
    state.gdtr_limit = 23
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1001, 1)
        for count in (1, 2, 3):
            assert guest.go() == [Stop(0, StopKind.SOFTWARE, 0x1001)]
            assert (state.rbx, state.rax) == (count, count - 1)
        # One on top of it is told, then the guest has its own again.
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1000, 1)
        assert guest.go() == [Stop(0, StopKind.SOFTWARE, 0x1000)]
        assert guest.step() == [Stop(0, StopKind.STEP)]
        assert state.rip == 0x3000


def test_the_guests_debug_registers_are_left_alone(guest):
    with guest.debugged():
        state = guest.vcpus[0].state
        before = state.dr0, state.dr6, state.dr7, state.rflags & 0x100
        guest.target.insert_breakpoint(HARDWARE, 0, 0x1003, 1)
        guest.go()
        guest.step()
        assert (state.dr0, state.dr6, state.dr7, state.rflags & 0x100) == before


# -- conditions ------------------------------------------------------------------------------------


def test_a_condition_is_asked_before_anything_stops(guest):
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        state = guest.vcpus[0].state
        running = guest.start(counts=lambda _stop: state.rax == 30)
        assert running.wait() == [Stop(0, StopKind.SOFTWARE, 0x1003)]
        assert state.rax == 30
        assert len(running.asked) == 30


# -- slots -----------------------------------------------------------------------------------------


def test_hardware_breakpoints(guest):
    with guest.debugged():
        guest.target.insert_breakpoint(HARDWARE, 0, 0x1006, 1)
        for count in (1, 2, 3):
            assert guest.go() == [Stop(0, StopKind.HARDWARE, 0x1006)]
            assert guest.vcpus[0].state.rax == count
        assert guest.ram[0x1000:0x1008] == COUNTER


def test_there_are_sixteen_slots(guest):
    with guest.debugged():
        for number in range(16):
            guest.target.insert_breakpoint(BreakpointKind.WRITE, 0, 0x9000 + 64 * number, 64)
        with pytest.raises(TargetError, match="16"):
            guest.target.insert_breakpoint(HARDWARE, 0, 0x1003, 1)
        guest.target.remove_breakpoint(BreakpointKind.WRITE, 0, 0x9000, 64)
        guest.target.insert_breakpoint(HARDWARE, 0, 0x1003, 1)
        assert guest.go() == [Stop(0, StopKind.HARDWARE, 0x1003)]


def test_slots_of_a_vcpu_that_has_fewer():
    class Narrow(SoftVcpu):
        breakpoint_slots = 4

    vcpu = Narrow([(0, bytearray(4096))])
    target = VcpuTarget([vcpu], ram=[])
    for number in range(4):
        target.insert_breakpoint(HARDWARE, 0, number, 1)
    with pytest.raises(TargetError, match="4"):
        target.insert_breakpoint(HARDWARE, 0, 9, 1)


@pytest.mark.parametrize(
    ("watch", "address", "size", "found", "rip"),
    [
        (BreakpointKind.WRITE, 0x6000, 4, Stop(0, StopKind.WRITE, 0x6000), 0x1007),
        (BreakpointKind.WRITE, 0x6003, 100, Stop(0, StopKind.WRITE, 0x6003), 0x1007),
        (BreakpointKind.READ, 0x6008, 1, Stop(0, StopKind.READ, 0x6008), 0x1010),
        (BreakpointKind.ACCESS, 0x6001, 2, Stop(0, StopKind.ACCESS, 0x6001), 0x1007),
    ],
)
def test_watchpoints_stop_after_the_access(kind, engine, watch, address, size, found, rip):
    guest = Guest(kind, engine, {0x1000: STORES})
    with guest.debugged():
        guest.target.insert_breakpoint(watch, 0, address, size)
        for _ in range(2):
            assert guest.go() == [found]
            assert guest.vcpus[0].state.rip == rip


def test_a_watchpoint_counts_while_a_breakpoint_is_stepped_over(kind, engine):
    guest = Guest(kind, engine, {0x1000: STORES})
    for breakpoint_ in (SOFTWARE, HARDWARE):
        guest.vcpus[0].state.rip = 0x1007
        with guest.debugged():
            guest.target.insert_breakpoint(breakpoint_, 0, 0x1000, 1)
            guest.target.insert_breakpoint(BreakpointKind.WRITE, 0, 0x6000, 4)
            assert guest.go()[0].address == 0x1000
            assert guest.go() == [Stop(0, StopKind.WRITE, 0x6000)]
            assert guest.go()[0].address == 0x1000
            assert guest.step() == [Stop(0, StopKind.WRITE, 0x6000)]


# -- steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [True, False])
def test_interrupts_wait_during_a_step(engine, held):
    guest = Guest("vcpus", engine, {0x1000: COUNTER, 0x3000: bytes.fromhex("48cf")})
    vcpu = guest.vcpus[0]
    struct.pack_into("<Q", guest.ram, 0x5000 + 16 * 0x40, 0x3000 | 8 << 16 | 0x8E00 << 32)
    struct.pack_into("<3Q", guest.ram, 0x5800, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
    state = vcpu.state
    state.idtr_base, state.idtr_limit, state.gdtr_base, state.gdtr_limit = 0x5000, 0x7FF, 0x5800, 23
    state.rflags |= 0x200
    with guest.debugged():
        guest.target.hold_interrupts_while_stepping = held
        vcpu.request_interrupt(0x40)
        assert guest.step() == [Stop(0, StopKind.STEP)]
        assert state.rip == (0x1003 if held else 0x3000)


def test_steps_over_breakpoints(guest):
    with guest.debugged():
        for address in (0x1000, 0x1003, 0x1006):
            guest.target.insert_breakpoint(SOFTWARE, 0, address, 1)
        guest.target.insert_breakpoint(HARDWARE, 0, 0x1003, 1)
        for rip in (0x1003, 0x1006, 0x1000):
            assert guest.step() == [Stop(0, StopKind.STEP)]
            assert guest.vcpus[0].state.rip == rip


def test_another_vcpu_meets_the_breakpoint_meanwhile(kind):
    guest = Guest(kind, None, {0x1000: COUNTER}, starts=(0x1000, 0x1000))
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        told = [0, 0]
        while not all(told):
            for stop in guest.go():
                assert stop == Stop(stop.vcpu, StopKind.SOFTWARE, 0x1003)
                told[stop.vcpu] += 1
        for vcpu, times in zip(guest.vcpus, told, strict=True):  # its turn may end just before
            assert 0 <= vcpu.state.rax - times <= 1


class WithoutLatch:
    """A vCPU that cannot be given the bytes of an instruction."""

    def __init__(self, vcpu):
        self._vcpu = vcpu

    def __getattr__(self, name):
        if name in {"latch", "awaits_answer"}:
            raise AttributeError(name)
        return getattr(self._vcpu, name)


def test_vcpus_without_latch_step_over_alone():
    guest = Guest("vcpus", None, {0x1000: COUNTER}, starts=(0x1000, 0x1000))
    guest.target = VcpuTarget([WithoutLatch(vcpu) for vcpu in guest.vcpus], ram=[(0, guest.ram)])
    with guest.debugged():
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        told = [0, 0]
        for _ in range(50):
            for stop in guest.go():
                told[stop.vcpu] += 1
        assert guest.ram[0x1003] == INT3
        # Not one pass went by while the other vCPU stepped over.
        for vcpu, times in zip(guest.vcpus, told, strict=True):  # its turn may end just before
            assert 0 <= vcpu.state.rax - times <= 1
        report = Report()
        guest.target.resume({0: STEP, 1: CONTINUE}, report)
        assert report.wait()


# -- what the guest makes of the place -------------------------------------------------------------


def test_a_page_that_is_used_for_something_else_is_left_alone(guest):
    table, page, address = 0x9_0000, 0x10_0000, 0x20_0010
    with guest.debugged():
        struct.pack_into("<Q", guest.ram, ROOT + 0x2008, table | 3)
        struct.pack_into("<Q", guest.ram, table, page | 3)
        guest.target.insert_breakpoint(SOFTWARE, 0, address, 1)
        assert guest.ram[page + 0x10] == INT3
        struct.pack_into("<Q", guest.ram, table, 0)
        guest.ram[page + 0x10] = 0x77  # data now
        guest.step()
        assert guest.ram[page + 0x10] == 0x77
        struct.pack_into("<Q", guest.ram, table, (page + 0x1000) | 3)
        guest.step()
        assert guest.ram[page + 0x1010] == INT3  # where the code is by now
        guest.target.remove_breakpoint(SOFTWARE, 0, address, 1)
        assert (guest.ram[page + 0x10], guest.ram[page + 0x1010]) == (0x77, 0)


def seen_twice():
    """A buffer at 0 and at 1 MiB, and read-only at 2 MiB."""
    ram = bytearray(0x1_0000)
    ram[0x2000:0x2008] = COUNTER
    pieces = [(0, ram), (0x10_0000, ram), (0x20_0000, memoryview(ram).toreadonly())]
    vcpu = SoftVcpu(pieces, deliver=True)
    vcpu.state.enter_protected_mode(0x10_2000)
    return ram, vcpu, VcpuTarget([vcpu], ram=pieces)


@pytest.mark.parametrize("order", [(0x2003, 0x10_2003), (0x10_2003, 0x2003)])
def test_a_byte_seen_at_two_addresses_is_one(order):
    ram, _, target = seen_twice()
    target.stop(Report())
    for address in order:
        target.insert_breakpoint(SOFTWARE, 0, address, 1)
    for base in (0x2000, 0x10_2000, 0x20_2000):
        assert target.read_memory(0, base, 8) == COUNTER
    target.write_memory(0, 0x10_2003, b"\x90")
    assert (target.read_memory(0, 0x2003, 1), ram[0x2003]) == (b"\x90", INT3)
    target.remove_breakpoint(SOFTWARE, 0, order[0], 1)
    assert ram[0x2003] == INT3
    target.remove_breakpoint(SOFTWARE, 0, order[1], 1)
    assert ram[0x2003] == 0x90


def test_a_breakpoint_is_hit_at_the_other_address_too():
    _, vcpu, target = seen_twice()
    target.debugger_attached()
    target.stop(Report())
    target.insert_breakpoint(SOFTWARE, 0, 0x2003, 1)
    report = Report()
    target.resume({0: CONTINUE}, report)
    owner = Thread(target=target.run)
    owner.start()
    assert report.wait() == [Stop(0, StopKind.SOFTWARE, 0x10_2003)]
    assert vcpu.state.rip == 0x10_2003
    target.resume({0: CONTINUE}, None)
    target.debugger_detached()
    while owner.is_alive():
        target.end_run()
        owner.join(0.01)


def test_a_window_that_moves_away_is_restored():
    space, buffer = RegionMap(address_bits=52), bytearray(0x1000)
    window = space.add_ram(0x10_0000, buffer, name="bar")
    ram = bytearray(0x1_0000)
    vcpu = SoftVcpu([(0, ram)], deliver=True)
    vcpu.state.enter_protected_mode(0x1000)
    target = VcpuTarget([vcpu], ram=[(0, ram)], mmio=space)
    target.stop(Report())
    target.insert_breakpoint(SOFTWARE, 0, 0x10_0004, 1)
    assert buffer[4] == INT3
    space.move(window, 0x30_0000)
    assert target.read_memory(0, 0x30_0004, 1) == b"\0"
    space.disable(window)
    target.debugger_detached()
    assert buffer[4] == 0


def test_slots_have_no_physical_addresses(guest):
    with guest.debugged():
        guest.target.physical = True
        with pytest.raises(TargetError, match="virtual"):
            guest.target.insert_breakpoint(BreakpointKind.WRITE, 0, 0x6000, 4)
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x1003, 1)
        guest.target.insert_breakpoint(SOFTWARE, 0, 0x7000_0000, 1)  # pending
        guest.target.physical = False
        struct.pack_into("<Q", guest.ram, ROOT + 0x1008, 0x83)  # 1 GiB page: all of RAM again
        assert guest.go() == [Stop(0, StopKind.SOFTWARE, 0x1003)]
        assert all(vcpu.breakpoints == () for vcpu in guest.vcpus)
