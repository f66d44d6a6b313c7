# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What reaches the processors of a machine: local APICs, priorities, INIT, SIPI, NMI, the PIC."""

import pytest

from backends.smp import APIC, CODE, ENABLE, HANDLERS, WAIT, Small, apic, dword, store, wrmsr
from backends.test_machine import CLI, HLT, INC, LOOP, NOP, OUT, start
from vmmkit.backends import MachineHalted, SoftMachine
from vmmkit.devices import ApicMessage, DeliveryMode
from vmmkit.insn import available_engines

ENGINES = pytest.mark.parametrize("engine", available_engines())
STI = "fb"
X2APIC_ON = wrmsr(0x1B, 0xFEE0_0D00)
READ_ID = "b9" + dword(0x802) + "0f32" + OUT


def ipi(command, destination):
    """Write both halves of the ICR."""
    return apic(0x310, destination << 24) + apic(0x300, command)


# -- local APICs -----------------------------------------------------------------------------------


def test_each_vcpu_sees_its_own():
    code = "a1" + dword(APIC + 0x20) + OUT + HLT
    small = Small(code, code, code, vcpus=[0, 3, 9])
    for number in (1, 2):
        start(small, number)
    small.machine.run()
    assert [(vcpu, value >> 24) for vcpu, value, _ in small.written] == [(0, 0), (1, 3), (2, 9)]


def test_a_page_moves_for_one_vcpu():
    moved = wrmsr(0x1B, 0xD000_0800)
    read = "".join("a1" + dword(base + 0x30) + OUT for base in (0xD000_0000, APIC))
    small = Small(moved + read + HLT, read + HLT)
    start(small, 1)
    small.machine.run()
    found = sorted((vcpu, value == 0xFFFF_FFFF) for vcpu, value, _ in small.written)
    assert found == [(0, False), (0, True), (1, False), (1, True)]
    names = [region.name for region in small.machine.mmio if region.name.startswith("lapic")]
    assert names == ["lapic 0xd0000000", "lapic 0xfee00000"]


def test_a_page_on_top_of_another_device():
    """The I/O APIC stays, the local APIC cannot be reached until it moves on."""
    moved = wrmsr(0x1B, 0xFEC0_0900)
    version = store(0xFEC0_0000, 1) + "a1" + dword(0xFEC0_0010) + OUT
    back = wrmsr(0x1B, 0xFEE0_0900) + "a1" + dword(APIC + 0x30) + OUT
    small = Small(moved + version + back + HLT)
    assert isinstance(small.machine.run(), MachineHalted)
    assert [value & 0xFF for _, value, _ in small.written] == [0x20, 0x14]


def test_x2apic_mode_has_no_page():
    small = Small(X2APIC_ON + READ_ID + "a1" + dword(APIC + 0x20) + OUT + HLT, vcpus=[7])
    small.machine.run()
    assert [value for _, value, _ in small.written] == [7, 0xFFFF_FFFF]
    assert small.machine.mmio.find(APIC) is None


def test_illegal_msr_accesses_are_faults():
    small = Small("b9" + dword(0x802) + "0f32" + HLT)  # not in x2APIC mode
    small.poke(HANDLERS + 32 * 13, bytes.fromhex(OUT + HLT))
    small.machine.run()
    assert len(small.written) == 1


def test_cpuid_knows_its_processor():
    code = "b801000000" + "0fa2" + "89d8" + OUT + "89d0" + OUT + "89c8" + OUT
    disabled = wrmsr(0x1B, 0xFEE0_0000) + "b801000000" + "0fa2" + "89d0" + OUT
    small = Small(code + disabled + HLT, code + HLT, vcpus=[0, 5])
    start(small, 1)
    small.machine.run()
    first = [value for vcpu, value, _ in small.written if vcpu == 0]
    second = [value for vcpu, value, _ in small.written if vcpu == 1]
    assert (first[0] >> 24, second[0] >> 24) == (0, 5)
    assert (first[1] >> 9 & 1, first[3] >> 9 & 1) == (1, 0)
    assert first[2] >> 21 & 1
    assert first[2] >> 24 & 1


def test_topology():
    machine = SoftMachine(vcpus=[0, 300])
    for leaf in (0xB, 0x1F):
        cpuid = machine.vcpus[1]._cpuid
        assert cpuid(machine.vcpus[1].state, leaf, 1)[3] == 300
        assert cpuid(machine.vcpus[1].state, leaf, 1)[0] == 9  # bits of 300
    assert machine.vcpus[1]._cpuid(machine.vcpus[1].state, 0, 0)[0] == 0x1F
    assert machine.vcpus[1]._cpuid(machine.vcpus[1].state, 1, 0)[1] >> 24 == 300 & 0xFF


# -- priorities ------------------------------------------------------------------------------------


@ENGINES
def test_lowering_the_priority_lets_an_interrupt_through_at_once(engine):
    """64-bit mode is the kernel's business; here TPR is the page's."""
    code = ENABLE + STI + apic(0x80, 0x50) + ipi(0x4_4041, 0) + NOP * 3 + OUT
    small = Small(code + apic(0x80, 0x30) + INC * 3 + OUT + HLT, engine=engine)
    small.poke(HANDLERS + 32 * 0x41, bytes.fromhex(OUT + apic(0xB0, 0) + "cf"))
    small.machine.run()
    assert [value for _, value, _ in small.written] == [0, 0, 3]


def test_the_priority_is_one_register():
    small = Small(apic(0x80, 0x57) + HLT)
    small.machine.run()
    assert (small.state().tpr, small.state().cr8, small.machine.lapics[0].cr8) == (0x57, 5, 5)
    small.state().cr8 = 9
    port = small.machine.mmio.port(small.machine.vcpus[0])
    assert port.read(APIC + 0x80, 4) == 0x90


def test_raising_the_priority_withdraws_a_request():
    """The interrupt waits for IF, the guest raises TPR, sets IF, and lowers TPR again."""
    code = ENABLE + CLI + ipi(0x4_4041, 0) + apic(0x80, 0xF0) + STI + NOP * 5 + OUT
    small = Small(code + apic(0x80, 0) + NOP + OUT + HLT)
    small.poke(HANDLERS + 32 * 0x41, bytes.fromhex("ba07000000" + apic(0xB0, 0) + "42cf"))
    small.machine.run()
    (_, _, before), (_, _, after) = small.written
    assert after - before == 10 * (1 + 1 + 1 + 4 + 1)
    assert small.state().rdx == 8


# -- messages between processors -------------------------------------------------------------------


@ENGINES
def test_init_and_start_up(engine):
    small = Small(ipi(0xC500, 1) + ipi(0x0609, 1) + HLT, engine=engine, vcpus=2)
    small.poke(0x9000, bytes.fromhex("8cc8" + "e780" + "f4"))  # mov ax, cs; out 80h, ax; hlt
    state = small.machine.vcpus[1].state
    state.rbx, state.xcr0, state.pat, state.cr3, state.lstar = 5, 7, 0, 0x1000, 9
    small.machine.run()
    assert small.written[0][:2] == (1, 0x900)
    assert (state.cs.selector, state.cs.base, state.rip) == (0x900, 0x9000, 5)
    assert (state.rbx, state.cr3, state.xcr0, state.lstar) == (0, 0, 7, 9)
    assert state.cr0 == 0x6000_0010
    assert state.rdx == 0x0006_06A0


def test_a_start_up_message_to_who_runs_is_lost():
    small = Small(ipi(0x0609, 0) + OUT + HLT)
    small.machine.run()
    assert len(small.written) == 1


def test_init_to_oneself_ends_at_the_next_instruction():
    """The bootstrap processor does not wait: it goes to the reset vector."""
    small = Small(INC + ipi(0x4_4500, 0) + INC * 5)
    state = small.state()
    small.machine.run(4)
    assert state.rip == 0xFFF0
    assert state.rax == 0
    assert state.cs.base == 0xFFFF_0000


def test_init_stops_a_running_processor():
    small = Small(ENABLE + NOP * 50 + ipi(0xC500, 1) + HLT, INC * 10 + LOOP, quantum=20)
    start(small, 1)
    assert isinstance(small.machine.run(), MachineHalted)
    assert small.machine.lapics[1].waits_for_sipi
    assert small.state(1).rax == 0
    assert small.state(1).retired == 40


def test_nmi_wakes_whatever_if_says():
    small = Small(ENABLE + CLI + HLT + OUT + HLT, ipi(0x0400, 0) + HLT)
    start(small, 1)
    small.machine.run()
    assert small.count(2) == 1
    assert len(small.written) == 1


def test_an_interrupt_does_not_wake_without_if():
    small = Small(ENABLE + CLI + HLT + OUT + HLT, ipi(0x0041, 0) + HLT)
    start(small, 1)
    assert isinstance(small.machine.run(), MachineHalted)
    assert small.written == []
    assert small.machine.lapics[0].pending() == 0x41


def test_smi_is_ignored():
    small = Small(ENABLE + ipi(0x4_4200, 0) + OUT + HLT)
    assert isinstance(small.machine.run(), MachineHalted)
    assert len(small.written) == 1


def test_an_interrupt_ends_being_alone():
    """The other one wakes in the middle of a slice that nothing else would have ended."""
    small = Small(ENABLE + NOP * 150 + ipi(0x0041, 1) + LOOP, ENABLE + WAIT, quantum=100)
    start(small, 1)
    small.machine.run(1000)
    assert small.count(0x41) == 1


def test_an_msi():
    small = Small(ENABLE + WAIT)
    small.machine.run()
    assert small.machine.bus.msi(0xFEE0_0000, 0x55)
    assert isinstance(small.machine.run(), MachineHalted)
    assert small.count(0x55) == 1


@ENGINES
def test_an_interrupt_ends_a_repetition(engine):
    """REP OUTSB to a device that interrupts at its third byte."""
    small = Small(ENABLE + STI + "b910000000" + "be00f00000" + "ba90000000" + "f36e" + HLT)
    taken = []

    def write(vcpu, _offset, _size, _value):
        taken.append(vcpu.state.rcx)
        if len(taken) == 3:
            small.machine.bus.msi(0xFEE0_0000, 0x41)

    small.machine.pio.add(0x90, 1, write=write, name="device")
    small.poke(HANDLERS + 32 * 0x41, bytes.fromhex("89cb" + apic(0xB0, 0) + "cf"))  # mov ebx, ecx
    small.machine.run()
    assert small.state().rbx == 13
    assert len(taken) == 16


# -- lines -----------------------------------------------------------------------------------------


@ENGINES
def test_the_pic_interrupts_through_lint0(engine):
    small = Small(STI + LOOP, engine=engine)
    small.machine.virtual_wire()
    pic = small.machine.pic
    for port, value in ((0, 0x11), (1, 0x30), (1, 4), (1, 1), (1, 0)):
        pic.master.write(None, port, 1, value)
    line = small.machine.line(4)
    line(True)
    small.machine.run(100)
    assert small.count(0x34) == 1
    assert small.machine.vcpus[0].lapic.registers()["ISR"] == 0


@pytest.mark.parametrize(("gsi", "irq"), [(1, 1), (2, 0), (3, 3), (8, 8), (15, 15)])
def test_lines_below_16_go_to_both(gsi, irq):
    machine = SoftMachine()
    machine.line(gsi)(True)
    master, slave = machine.pic.master.snapshot().lines, machine.pic.slave.snapshot().lines
    assert machine.ioapic.snapshot().lines == 1 << gsi
    assert (master & ~4 | slave << 8) == 1 << irq


@pytest.mark.parametrize("gsi", [0, 16, 23])
def test_the_others_to_the_ioapic_only(gsi):
    machine = SoftMachine()
    machine.line(gsi)(True)
    assert machine.ioapic.snapshot().lines == 1 << gsi
    assert machine.pic.master.snapshot().lines == machine.pic.slave.snapshot().lines == 0


def test_a_reset_is_complete():
    small = Small(ENABLE + X2APIC_ON + LOOP)
    small.machine.run(50)
    small.machine.reset()
    fresh = SoftMachine()
    ours, theirs = small.machine.snapshot(), fresh.snapshot()
    assert ours.time == 500
    assert (ours.vcpus, ours.ioapic, ours.pic) == (theirs.vcpus, theirs.ioapic, theirs.pic)
    assert small.machine.lapics[0].tsc == 0
    assert small.machine.lapics[0].page == APIC
    assert small.machine.mmio.find(APIC) is not None


def test_a_message_from_outside_wakes_who_sleeps():
    small = Small(ENABLE + WAIT)
    small.machine.run()
    for _ in range(3):
        small.machine.lapics[0].accept(ApicMessage(0x41, DeliveryMode.FIXED))
        assert isinstance(small.machine.run(), MachineHalted)
    assert small.count(0x41) == 3
    assert CODE < small.state().rip < CODE + 0x20


def test_messages_of_devices():
    small = Small(ENABLE + STI + HLT)
    small.machine.run()
    assert small.machine.msi(APIC, 0x41)
    assert not small.machine.msi(0xFED0_0000, 0x42)
    small.machine.run()
    assert (small.count(0x41), small.count(0x42)) == (1, 0)
