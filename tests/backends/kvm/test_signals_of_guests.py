# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Doorbells that a running guest rings, and interrupts that it takes: lines, messages, irqfds."""

import os
import select

import pytest

from backends.kvm.real_mode import (
    HLT,
    OUT,
    REPORT,
    SECONDS,
    STI,
    WAIT,
    guest,
    handler,
    segment,
    store,
    to_port,
)
from vmmkit.backends.kvm import Chip, ChipRoute, MsiRoute
from vmmkit.insn import Halt, PortOut, Write

pytestmark = pytest.mark.kvm

BELL, BELLS = 0xD0000, segment(0xD000)
PORT = 0x90
IRQ = 5
PIC_BASE, IRQ_BASE, AUTO_EOI, MASK = 0x20, 5, 10, 2  # the last three in struct kvm_pic_state
APIC_ADDRESS, APIC_ENABLED = 0xFEE0_0000, 0x1FF
SPURIOUS = 0xF0  # the local APIC's register with its enable bit
VECTOR = 0x41
IRET = "cf"


def readable(*descriptors, seconds=0):
    return select.select(descriptors, [], [], seconds)[0]


def outcomes(vcpu, limit=50):
    """Run to the HLT; what came out before it."""
    found = []
    while len(found) < limit and not isinstance(outcome := vcpu.run(), Halt):
        found.append(outcome)
    return found


def report(value):
    return f"b0{value:02x}" + OUT


def reported(value):
    return PortOut(REPORT, 1, value)


def set_up_pic(vm, *, level=False):
    """Vectors from 20h, nothing masked; ended by delivery, or levels ended by the guest."""
    state = bytearray(vm.get_irqchip(Chip.PIC_MASTER))
    state[IRQ_BASE], state[MASK], state[AUTO_EOI] = PIC_BASE, 0, not level
    vm.set_irqchip(Chip.PIC_MASTER, bytes(state))


def enable_apic(vcpu):
    """Switch the local APIC on, as software does by its register of spurious interrupts."""
    registers = bytearray(vcpu.get_lapic())
    registers[SPURIOUS : SPURIOUS + 4] = APIC_ENABLED.to_bytes(4, "little")
    vcpu.set_lapic(bytes(registers))


# -- doorbells ------------------------------------------------------------------------------------


#: Size and value of the doorbell; what it tells of, and what leaves, of the writes below.
WRITES = [(1, 7), (2, 7), (4, 7), (1, 8), (2, 8), (4, 8), (4, 0x1234_5678)]
BELL_CASES = {
    "a size": (4, None, {2, 5, 6}),
    "one byte": (1, None, {0, 3}),
    "two bytes": (2, None, {1, 4}),
    "a value": (2, 8, {4}),
    "a value of a byte": (1, 7, {0}),
    "a wide value": (4, 0x1234_5678, {6}),
    "zero": (4, 0, set()),
    "any size": (0, None, set(range(7))),
}


@pytest.mark.parametrize("pio", [False, True], ids=["memory", "port"])
@pytest.mark.parametrize("case", BELL_CASES)
def test_which_writes_ring(case, pio):
    size, value, ringing = BELL_CASES[case]
    writes = [
        to_port(PORT, data, width) if pio else store(0, data, width) for width, data in WRITES
    ]
    left = [
        PortOut(PORT, width, data) if pio else Write(BELL, width, data)
        for number, (width, data) in enumerate(WRITES)
        if number not in ringing
    ]
    with guest(BELLS + "".join(writes) + HLT) as (vm, vcpu, _):
        bell = vm.ioeventfd(PORT if pio else BELL, size, value, pio=pio)
        assert outcomes(vcpu) == left
        assert bell.take() == len(ringing)
        assert bell.take() == 0


def test_a_guest_rings_without_an_exit():
    """A thousand times, and the loop ends in the first exit there is."""
    loop = "b9e803" + store(0, 1, 4) + "e2" + f"{256 - 11:02x}"  # mov cx, 1000; ...; loop
    with guest(BELLS + loop + HLT) as (vm, vcpu, _):
        bell = vm.ioeventfd(BELL, 4)
        assert readable(bell) == []
        assert isinstance(vcpu.run(), Halt)
        assert readable(bell) == [bell]
        assert bell.take() == 1000
        assert readable(bell) == []


def test_doorbells_side_by_side():
    """One for each queue, told apart by the value, and the address beside them."""
    writes = [store(0, value, 2) for value in (0, 1, 1, 2, 3)] + [store(4, 9, 2)]
    with guest(BELLS + "".join(writes) + HLT) as (vm, vcpu, _):
        bells = [vm.ioeventfd(BELL, 2, value) for value in range(3)]
        assert outcomes(vcpu) == [Write(BELL, 2, 3), Write(BELL + 4, 2, 9)]
        assert [bell.take() for bell in bells] == [1, 2, 1]


def test_a_closed_doorbell_rings_no_more():
    with guest(BELLS + store(0, 1, 4) + store(0, 2, 4) + store(0, 3, 4) + HLT) as (vm, vcpu, _):
        bell = vm.ioeventfd(BELL, 4)
        bell.close()
        bell.close()
        assert vcpu.run() == Write(BELL, 4, 1)
        with vm.ioeventfd(BELL, 4) as again:
            assert isinstance(vcpu.run(), Halt)
            assert again.take() == 2


# -- interrupts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("irq", [1, 4, 7])
def test_a_line_reaches_the_guest(irq):
    with guest(report(1) + STI + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + irq, report(irq) + IRET)
        set_up_pic(vm)
        line = vm.line(irq)
        assert line.gsi == irq
        assert repr(line) == f"<GsiLine {irq}>"
        assert vcpu.run() == reported(1)
        for _ in range(3):
            line(True)
            line(False)
            assert vcpu.run() == reported(irq)


def test_a_line_of_a_halted_guest():
    """HLT waits inside KVM, and the interrupt wakes it."""
    with guest(STI + HLT + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + 3, report(3) + IRET)
        set_up_pic(vm)
        vm.line(3)(True)
        assert vcpu.run() == reported(3)


@pytest.mark.parametrize("irqchip", ["split", "kernel"])
def test_a_message_reaches_the_guest(irqchip):
    with guest(STI + HLT + WAIT, irqchip=irqchip) as (vm, vcpu, ram):
        handler(ram, VECTOR, report(9) + IRET)
        enable_apic(vcpu)
        assert vm.msi(APIC_ADDRESS, VECTOR) is True
        assert vcpu.run() == reported(9)


@pytest.mark.parametrize("irqchip", ["split", "kernel"])
def test_a_message_that_nobody_takes(irqchip):
    with guest(HLT, irqchip=irqchip) as (vm, vcpu, _):
        enable_apic(vcpu)
        assert vm.msi(APIC_ADDRESS | 7 << 12, VECTOR) is False  # no APIC 7
        assert vm.msi(0x1000, VECTOR) is False  # not an address of interrupts
        assert vm.msi(APIC_ADDRESS | 1 << 40, VECTOR) is False


@pytest.mark.parametrize("irqchip", ["split", "kernel"])
def test_a_route_to_a_message(irqchip):
    with guest(STI + HLT + WAIT, irqchip=irqchip) as (vm, vcpu, ram):
        handler(ram, VECTOR, report(10) + IRET)
        enable_apic(vcpu)
        vm.set_routing([MsiRoute(30, APIC_ADDRESS, VECTOR)])
        vm.line(30)(True)
        assert vcpu.run() == reported(10)


def test_a_route_to_another_pin():
    with guest(STI + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + 6, report(6) + IRET)
        set_up_pic(vm)
        vm.set_routing([ChipRoute(40, Chip.PIC_MASTER, 6)])
        vm.line(6)(True)  # has no wire any more
        vm.line(40)(True)
        assert vcpu.run() == reported(6)


def test_a_pulse_interrupts_the_guest():
    with guest(STI + HLT + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + IRQ, report(1) + IRET)
        set_up_pic(vm)
        wire = vm.irqfd(IRQ)
        for _ in range(3):
            wire.pulse()
            assert vcpu.run() == reported(1)


def test_whoever_has_the_descriptor_interrupts():
    """Another process, for example: here a copy of the descriptor does."""
    with guest(STI + HLT + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + IRQ, report(2) + IRET)
        set_up_pic(vm)
        copy = os.dup(vm.irqfd(IRQ).fileno())
        os.write(copy, (1).to_bytes(8, "little"))
        os.close(copy)
        assert vcpu.run() == reported(2)


@pytest.mark.parametrize("irqchip", ["split", "kernel"])
def test_a_pulse_sends_a_message(irqchip):
    with guest(STI + HLT + WAIT, irqchip=irqchip) as (vm, vcpu, ram):
        handler(ram, VECTOR, report(3) + IRET)
        enable_apic(vcpu)
        vm.set_routing([MsiRoute(24, APIC_ADDRESS, VECTOR)])
        vm.irqfd(24).pulse()
        assert vcpu.run() == reported(3)


def test_a_doorbell_that_interrupts():
    """The guest rings, and a loop of ours answers with an interrupt: no exit in between."""
    code = STI + BELLS + store(0, 1, 4) + report(1) + WAIT
    with guest(code, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + IRQ, report(2) + IRET)
        set_up_pic(vm)
        bell, wire = vm.ioeventfd(BELL, 4), vm.irqfd(IRQ)
        assert vcpu.run() == reported(1)
        assert readable(bell, seconds=SECONDS) == [bell]
        assert bell.take() == 1
        wire.pulse()
        assert vcpu.run() == reported(2)


def test_a_level_until_the_guest_ends_the_interrupt():
    """It is lowered at the end of interrupt, and comes again only if it is wanted again."""
    end = "b020e620" + report(2)  # mov al, 20h; out 20h, al
    with guest(STI + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + IRQ, report(1) + end + IRET)
        set_up_pic(vm, level=True)
        wire = vm.irqfd(IRQ, resample=True)
        for _ in range(2):
            wire.pulse()
            assert vcpu.run() == reported(1)
            assert wire.take_resampled() == 0
            assert vcpu.run() == reported(2)
            assert readable(wire.resampled, seconds=SECONDS) == [wire.resampled]
            assert wire.take_resampled() == 1
        assert wire.take_resampled() == 0


def test_a_closed_descriptor_interrupts_no_more():
    with guest(STI + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + IRQ, report(1) + IRET)
        handler(ram, PIC_BASE + 6, report(6) + IRET)
        set_up_pic(vm)
        wire = vm.irqfd(IRQ)
        copy = os.dup(wire.fileno())
        wire.close()
        os.eventfd_write(copy, 1)
        os.close(copy)
        vm.irqfd(6).pulse()
        assert vcpu.run() == reported(6)


def test_several_descriptors_of_one_interrupt():
    with guest(STI + HLT + WAIT, irqchip="kernel", pit=False) as (vm, vcpu, ram):
        handler(ram, PIC_BASE + IRQ, report(1) + IRET)
        set_up_pic(vm)
        for wire in (vm.irqfd(IRQ), vm.irqfd(IRQ)):
            wire.pulse()
            assert vcpu.run() == reported(1)
