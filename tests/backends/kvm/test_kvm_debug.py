# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints, steps and held interrupts on a KVM vCPU, by hand and with a real gdb."""

import struct
from contextlib import ExitStack
from threading import Thread

import pytest

from backends.kvm.small_guest import CODE, DATA, DEVICE, HANDLERS
from gdb.debug_session import line_of
from gdb.gdb_driver import Gdb, gdb_path
from gdb.guest_machine import CONSOLE, PAGE, RAM, Registers
from gdb.guest_machine import DEVICE as GDB_DEVICE
from gdb.guests.build import HIGHER_HALF, LOWEST_RAM, build
from vmmkit.backends.kvm import KvmVm, allocate_ram
from vmmkit.backends.kvm._debug import debug_registers
from vmmkit.backends.kvm._debug_probe import has_data_breakpoints
from vmmkit.backends.kvm._spec import EXIT_DEBUG, RUN_UNION
from vmmkit.backends.kvm.vcpu import KvmVcpu
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.errors import StateError
from vmmkit.gdb.serve import serve
from vmmkit.insn import (
    BreakKind,
    Breakpoint,
    BudgetSpent,
    DebugExit,
    Done,
    Fault,
    Halt,
    PageAccess,
    Translation,
)
from vmmkit.memregion import RegionMap

EXECUTE, WRITE, READ, ACCESS = BreakKind.EXECUTE, BreakKind.WRITE, BreakKind.READ, BreakKind.ACCESS
NOPS = "90" * 6 + "f4"
POPCNTS = "f30fb803" * 6 + "f4"  # popcnt eax, [rbx]
IF = 0x200
CR4_PCE = TF = 0x100


def at(address, last=None, kind=EXECUTE):
    """A breakpoint."""
    return Breakpoint(kind, address, address if last is None else last)


# -- the registers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "places"),
    [
        (at(0x10), [(0, 0x10, 1)]),
        (at(0x10, 0x13, WRITE), [(1, 0x10, 4)]),
        (at(0x10, 0x17, ACCESS), [(3, 0x10, 8)]),
        (at(0x11, 0x14, WRITE), [(1, 0x11, 1), (1, 0x12, 2), (1, 0x14, 1)]),
        (at(0x14, 0x1B, WRITE), [(1, 0x14, 4), (1, 0x18, 4)]),
        (at(0x10, 0x11), [(0, 0x10, 1), (0, 0x11, 1)]),
        (at(0x10, 0x10, EXECUTE | WRITE), [(0, 0x10, 1), (1, 0x10, 1)]),
    ],
    ids=str,
)
def test_ranges_become_aligned_pieces(found, places):
    assert [tuple(one)[1:] for one in debug_registers([found])] == places


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([at(n) for n in range(5)], "4 debug registers, and 5"),
        ([at(0, 63, WRITE)], "more than 4"),
        ([at(1, 15, WRITE), at(32)], "and 5 are wanted"),
        ([at(0x10, kind=READ)], "loads without stores"),
        ([at(0x80, kind=BreakKind.PORT)], "I/O ports"),
    ],
    ids=["five", "long", "odd", "loads", "ports"],
)
def test_what_debug_registers_cannot_do_is_refused(wanted, message):
    with pytest.raises(StateError, match=message):
        debug_registers(wanted)


# -- on a vCPU ------------------------------------------------------------------------------------


@pytest.mark.kvm
def test_steps(guest):
    machine = guest(NOPS)
    retired = machine.vcpu.state.retired
    for number in range(1, 4):
        assert machine.run(1) == BudgetSpent(CODE + number)
    assert machine.vcpu.state.retired == retired + 3
    assert not machine.vcpu.state.rflags & 0x100
    assert isinstance(machine.run(), Halt)


@pytest.mark.kvm
@pytest.mark.parametrize(
    ("code", "lengths"),
    [
        ("8803" + "9090f4", (2, 1, 1)),
        ("8a03" + "9090f4", (2, 1, 1)),
        ("0003" + "9090f4", (2, 1, 1)),
        ("e680" + "9090f4", (2, 1, 1)),
        ("e480" + "9090f4", (2, 1, 1)),
        ("8803" * 3 + "f4", (2, 2, 2)),
    ],
    ids=["store", "load", "add", "out", "in", "stores"],
)
def test_a_step_over_a_device_access_goes_no_further(guest, code, lengths):
    machine = guest(code)
    machine.vcpu.state.rbx = DEVICE
    place = CODE
    for length in lengths:
        place += length
        machine.run(1)
        assert machine.vcpu.state.rip == place


@pytest.mark.kvm
def test_steps_in_ring_3(guest):
    machine = guest("90" + "8803" + "0fa2" + "90", cpl=3)
    machine.vcpu.state.rbx = DATA
    places = []
    for _ in range(4):
        assert isinstance(machine.run(1), BudgetSpent)
        places.append(machine.vcpu.state.rip - CODE)
    assert places == [1, 3, 5, 6]


@pytest.mark.kvm
@pytest.mark.parametrize("code", ["0f01d9", "0f33", "0fa2"])
def test_a_step_in_ring_3_does_what_a_run_does(guest, code):
    """VMMCALL, RDPMC and CPUID: they are for a hypervisor to answer."""
    ends = []
    for steps in (0, 1):
        machine = guest(code + "f4", cpl=3)
        state = machine.vcpu.state
        state.rax, state.rcx, state.cr4 = 5, 0, state.cr4 | CR4_PCE
        for _ in range(steps):
            machine.run(1)
        assert isinstance(machine.run(), Halt)
        state, frame = machine.vcpu.state, machine.frame()
        ends.append((state.rip, state.rax, frame[:2], frame[3] & TF))
    assert ends[0] == ends[1]


@pytest.mark.kvm
def test_a_step_in_ring_3_into_a_fault_goes_to_its_handler(guest):
    machine = guest("9090f4", cpl=3)
    machine.pte(DATA, 0)
    machine.poke(CODE + 1, bytes.fromhex("8a03"))
    machine.vcpu.state.rbx = DATA
    assert machine.run(1) == BudgetSpent(CODE + 1)
    machine.run(1)
    assert machine.vcpu.state.rip in {HANDLERS + 16 * 14, HANDLERS + 16 * 14 + 1}
    assert machine.vcpu.state.cr2 == DATA


@pytest.mark.kvm
def test_breakpoints_on_instructions(guest):
    machine = guest(NOPS)
    machine.vcpu.set_breakpoints([at(CODE + 4), at(CODE + 2)])
    assert machine.run() == DebugExit(CODE + 2, EXECUTE, 1, CODE + 2)
    assert machine.run() == DebugExit(CODE + 2, EXECUTE, 1, CODE + 2)
    machine.vcpu.skip_breakpoint()
    assert machine.run() == DebugExit(CODE + 4, EXECUTE, 0, CODE + 4)
    machine.vcpu.skip_breakpoint()
    assert machine.run(1) == BudgetSpent(CODE + 5)
    assert machine.vcpu.breakpoints == (at(CODE + 4), at(CODE + 2))
    machine.vcpu.set_breakpoints()
    assert machine.run() == Halt(CODE + 7)


@pytest.mark.kvm
def test_too_many_leave_those_before(guest):
    machine = guest(NOPS)
    machine.vcpu.set_breakpoints([at(CODE + 3)])
    with pytest.raises(StateError, match="debug registers"):
        machine.vcpu.set_breakpoints([at(CODE + n) for n in range(5)])
    assert isinstance(machine.run(), DebugExit)
    assert machine.vcpu.breakpoint_slots == 4


@pytest.mark.kvm
def test_the_guests_debug_registers_are_its_own(guest):
    machine = guest(NOPS)
    state = machine.vcpu.state
    state.dr0, state.dr7 = 0x1234_5678, 0x402
    machine.vcpu.set_breakpoints([at(CODE + 2)])
    assert isinstance(machine.run(), DebugExit)
    assert (state.dr0, state.dr7) == (0x1234_5678, 0x402)
    machine.vcpu.set_breakpoints()
    assert isinstance(machine.run(), Halt)
    assert machine.vcpu.state.dr0 == 0x1234_5678


@pytest.mark.kvm
def test_a_hit_of_the_guests_is_not_the_owners(guest):
    """While the owner's breakpoints are passed over, DR0 is the guest's."""
    machine = guest(NOPS)
    machine.vcpu.set_breakpoints([at(CODE)])
    assert isinstance(machine.run(), DebugExit)
    debug = machine.vcpu._guest_debug
    assert debug.hit(1, CODE, 0xFFFF_0FF1, CODE) == DebugExit(CODE, EXECUTE, 0, CODE)
    assert debug.of_guest(0xFFFF_4FF1) == 0x4000
    machine.vcpu.skip_breakpoint()
    machine.run(1)
    assert debug.hit(1, CODE + 1, 0xFFFF_4FF1, CODE + 1) is None
    assert debug.of_guest(0xFFFF_4FF1) == 0x4001


@pytest.mark.kvm
@pytest.mark.parametrize(
    ("dr6", "ends"),
    [(0xFFFF_4FF0, True), (0xFFFF_4FF1, True), (0xFFFF_0FF1, False), (0xFFFF_4FF2, True)],
    ids=["step", "step and hit", "hit", "step, not enabled"],
)
def test_a_step_leaves_the_guest_its_breakpoints(guest, dr6, ends):
    """Not every kernel tells of them while it steps: here is what it would tell."""
    machine = guest(NOPS)
    machine.run(1)
    machine.vcpu.state.dr7 = 0x402
    EXIT_DEBUG.pack_into(machine.vcpu._page.octets, RUN_UNION, 1, CODE + 1, dr6, 0x402)
    outcome = machine.vcpu._debug_exit()
    assert outcome == (Done(CODE + 1, 0) if ends else None)
    assert machine.vcpu.event_pending == bool(dr6 & 1)
    assert machine.vcpu.state.dr6 & 1 == dr6 & 1
    machine.run()
    assert machine.vcpu.state.rip == (HANDLERS + 16 + 1 if dr6 & 1 else CODE + 7)


@pytest.mark.kvm
def test_data_breakpoints_are_hit_or_refused(guest):
    machine = guest("8803" + NOPS)
    machine.vcpu.state.rbx = DATA
    wanted = [at(DATA, DATA + 3, WRITE)]
    if has_data_breakpoints():
        machine.vcpu.set_breakpoints(wanted)
        assert machine.run() == DebugExit(CODE + 2, WRITE, 0, DATA)
    else:
        with pytest.raises(StateError, match="never reports a hit"):
            machine.vcpu.set_breakpoints(wanted)
        assert machine.vcpu.breakpoints == ()


@pytest.mark.kvm
def test_int3_of_the_owner(guest):
    machine = guest("90cc90f4")
    machine.vcpu.set_breakpoints(int3=True)
    assert machine.run() == DebugExit(CODE + 1, 0, 0, CODE + 1)
    machine.poke(CODE + 1, b"\x90")
    assert machine.run() == Halt(CODE + 4)


@pytest.mark.kvm
def test_an_int3_that_is_skipped_is_the_guests(guest):
    machine = guest("90cc90f4")
    machine.vcpu.set_breakpoints(int3=True)
    assert isinstance(machine.run(), DebugExit)
    machine.vcpu.skip_breakpoint()
    assert machine.run() == Halt(HANDLERS + 16 * 3 + 1)


@pytest.mark.kvm
def test_held_interrupts_wait(guest):
    machine = guest(NOPS)
    machine.gate(0x20, HANDLERS)
    state = machine.vcpu.state
    state.idtr_limit, state.rflags = 0x20F, 2 | IF
    machine.vcpu.hold_interrupts(True)
    assert machine.vcpu.interrupts_held
    machine.vcpu.request_interrupt(0x20)
    assert machine.run(1) == BudgetSpent(CODE + 1)
    assert machine.run(1) == BudgetSpent(CODE + 2)
    machine.vcpu.hold_interrupts(False)
    assert machine.run() == Halt(HANDLERS + 1)


@pytest.mark.kvm
@pytest.mark.parametrize("cpl", [0, 3])
@pytest.mark.parametrize("code", [NOPS, POPCNTS], ids=["plain", "refused"])
@pytest.mark.parametrize("nmi", [False, True])
def test_an_interrupt_comes_before_the_instruction_that_is_stepped(guest, code, cpl, nmi):
    """Whoever executes the instructions."""
    machine = guest(code, cpl=cpl)
    machine.gate(0x20, HANDLERS)
    state = machine.vcpu.state
    state.idtr_limit, state.rflags, state.rbx = 0x20F, 2 | IF, DEVICE
    machine.run(1)
    if nmi:
        machine.vcpu.nmi()
    else:
        machine.vcpu.request_interrupt(0x20)
    machine.run(1)
    assert machine.vcpu.state.rip == HANDLERS + (16 * 2 if nmi else 0) + 1


@pytest.mark.kvm
def test_instructions_that_are_executed_here_do_not_put_an_interrupt_off(guest):
    machine = guest(POPCNTS)
    machine.gate(0x20, HANDLERS)
    state = machine.vcpu.state
    state.idtr_limit, state.rflags, state.rbx = 0x20F, 2 | IF, DEVICE

    def read(*_access):
        machine.vcpu.request_interrupt(0x20)
        return 1

    machine.mmio.remove(machine.mmio.find(DEVICE))
    machine.mmio.add(DEVICE, 0x1000, read=read)
    assert machine.run() == Halt(HANDLERS + 1)
    assert machine.frame()[0] == CODE + 4


@pytest.mark.kvm
def test_translate(guest):
    machine = guest(NOPS)
    found = machine.vcpu.translate(DEVICE + 0x123)
    assert isinstance(found, Translation)
    assert (found.gpa, found.page_size) == (DEVICE + 0x123, 2 << 20)
    machine.pte(DATA, 0x65)
    machine.vcpu.state.cr0 |= 1 << 16
    assert machine.vcpu.translate(DATA, PageAccess.WRITE) == Fault(14, 3, DATA)


# -- a real gdb ----------------------------------------------------------------------------------


class Bare:
    """One KVM vCPU with a guest of `gdb/guests`, its maps and a thread that runs it."""

    def __init__(self, program):
        self.ram = allocate_ram(RAM)
        self.ram[program.gpa : program.gpa + len(program.image)] = program.image
        self.console, self.registers = "", Registers()
        self.mmio, self.pio = RegionMap(), RegionMap(address_bits=16)
        self.mmio.add_ram(0, self.ram, name="ram")
        self.mmio.add(GDB_DEVICE, PAGE, self.registers, name="device")
        self.pio.add(CONSOLE, 1, write=self._say, name="console")
        self.vm = KvmVm()
        self.vm.attach(self.mmio)
        self.vcpu = KvmVcpu(self.vm)
        tables = program.symbols["pml4_0"] - HIGHER_HALF + LOWEST_RAM
        self._map_devices_small(tables + 0x1000)
        self.vcpu.state.enter_long_mode(program.symbols["_start"], tables)
        self.target = VcpuTarget([self.vcpu], ram=[(0, self.ram)], mmio=self.mmio, pio=self.pio)

    def _map_devices_small(self, pdpt):
        """Map the gigabyte of the devices by pages of 2 MiB: not every KVM has those of 1 GiB."""
        table = RAM - 0x1000
        entries = [0xC000_0000 + (number << 21) | 0x83 for number in range(512)]
        struct.pack_into("<512Q", self.ram, table, *entries)
        struct.pack_into("<Q", self.ram, pdpt + 8 * 511, table | 3)

    def _say(self, _vcpu, _offset, _size, value):
        self.console += chr(value)

    def run(self):
        while isinstance(self.target.run(0), BudgetSpent):
            pass

    def close(self):
        self.vcpu.close()
        self.vm.close()


@pytest.mark.kvm
def test_a_real_gdb(require_tool, tmp_path):
    gdb_path()
    for tool in ("gcc", "ld", "nm", "objcopy"):
        require_tool(tool)
    kernel = build(tmp_path, "kernel")
    socket = tmp_path / "socket"
    with ExitStack() as stack:
        bare = Bare(kernel)
        stack.callback(bare.close)
        stack.enter_context(serve(bare.target, f"unix:{socket}", wait=True))
        thread = Thread(target=bare.run, name="guest")
        thread.start()
        stack.callback(thread.join, 20)
        commands = (
            f"file {kernel.elf}",
            f"target remote {socket}",
            f"break kernel.c:{line_of('kernel.c', 'in the loop')} if i == 30",
            "continue",
            "print counter",
            "print/x $cr3",
            "hbreak use_device",
            "continue",
            "set can-use-hw-watchpoints 0",
            "watch version",
            "continue",
            "next",
            "print/x version",
            "x/wx 0xfffffffffeb00000",
            "set var small = 0x77",
            "print/x small",
            "print $rdi = 5",
            "backtrace",
            "delete",
            "detach",
        )
        run = Gdb(tmp_path, commands).result()
    assert run.replies[4] == f"$1 = {sum(range(30))}\n"
    assert "use_device" in run.replies[7]
    assert "New value = 1447383635" in run.replies[10]
    assert "0x56455253" in run.replies[12]
    assert "0x56455253" in run.replies[13]
    assert "0x77" in run.replies[15]
    assert "= 5" in run.replies[16]
    assert "guest_main ()" in run.replies[17]
    assert bare.console == "begin\nend\n"
    assert ("write", 4, 4, 7) in bare.registers.accesses
