# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts of `KvmMachine`, with chips in KVM and beside it, as `ThreadedMachine` has them."""

import threading
from time import sleep

import pytest

from backends.kvm.machines import BOTH_CHIPS, EVERY, LONG, ends_at_delivery, guest_of, start_others
from backends.kvm.test_machine import FLAG, HLT, LOOP, NOP, OUT, SLEEP, STOP, await_dword
from backends.smp import APIC, COUNTS, ENABLE, HANDLERS, apic, dword, store, wrmsr
from vmmkit.errors import DeviceError, OverlapError

STI, CLI = "fb", "fa"
IOAPIC = 0xFEC0_0000
LEVEL, MASKED, LOGICAL = 1 << 15, 1 << 16, 1 << 11
# ICW1-4 of both 8259A, vectors 30H and 38H, automatic EOI.
PIC = (
    "b011e620 b030e621 b004e621 b003e621" + "b011e6a0 b038e6a1 b002e6a1 b003e6a1"
)  # fmt: skip
TWO_MS = 2386  # of the 8254


@pytest.fixture(params=EVERY)
def kind(request):
    return request.param


def repeats(kind):
    """Whether a level may be sent once more than it should be."""
    return kind != "threads" and ends_at_delivery()


def out8(port, value):
    return f"b0{value:02x}e6{port:02x}"


def redirect(pin, low, destination=0):
    """Write a redirection entry of the I/O APIC, its high half first."""
    return "".join(
        store(IOAPIC, 0x10 + 2 * pin + half) + store(IOAPIC + 0x10, value)
        for half, value in ((1, destination << 24), (0, low))
    )


def until_taken(vector, count):
    """sti; hlt; until the vector has come so often."""
    return "fbf4" + "833d" + dword(COUNTS + 4 * vector) + f"{count:02x}" + "72f5" + CLI


def spin_until_taken(vector, count):
    """sti; and nothing but guest code until the vector has come so often."""
    return "fb" + await_dword(COUNTS + 4 * vector, count) + CLI


def ipi(command, destination):
    """Write both halves of the ICR."""
    return apic(0x310, destination << 24) + apic(0x300, command)


def pit(count, mode=0x34):
    return out8(0x43, mode) + out8(0x40, count & 0xFF) + out8(0x40, count >> 8)


# -- timers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [until_taken, spin_until_taken])
def test_the_8254_by_the_8259a(kind, wait):
    code = PIC + out8(0x21, 0xFE) + out8(0xA1, 0xFF) + pit(TWO_MS) + wait(0x30, 3)
    with guest_of(kind, code + STOP + HLT) as guest:
        guest.machine.virtual_wire()
        guest.runs_to_its_end()
        assert guest.count(0x30) >= 3
        assert guest.machine.time >= 4_000_000


@pytest.mark.parametrize("wait", [until_taken, spin_until_taken])
def test_the_8254_by_the_io_apic(kind, wait):
    """Its pin is 2, not 0."""
    code = ENABLE + redirect(0, 0x50) + redirect(2, 0x52) + pit(TWO_MS) + wait(0x52, 3)
    with guest_of(kind, code + STOP + HLT) as guest:
        guest.runs_to_its_end()
        assert (guest.count(0x50), guest.count(0x52) >= 3) == (0, True)


@pytest.mark.parametrize("wait", [until_taken, spin_until_taken])
def test_the_local_apics(kind, wait):
    timer = apic(0x320, 0x2_0040) + apic(0x3E0, 0x0B) + apic(0x380, 2_000_000)
    with guest_of(kind, ENABLE + timer + wait(0x40, 3) + STOP + HLT) as guest:
        guest.runs_to_its_end()
        assert guest.machine.time >= 6_000_000


def test_a_time_stamp_deadline(kind):
    now = "0f31 0500001000 83d200 b9e0060000 0f30"  # rdtsc; + 1 Mi; wrmsr
    with guest_of(
        kind, ENABLE + apic(0x320, 0x4_0040) + now + until_taken(0x40, 1) + STOP + HLT
    ) as guest:
        guest.runs_to_its_end()


def test_the_clock(kind):
    """Its periodic interrupt, level 8, acknowledged by reading register C."""
    handler = "50" + "ff05" + dword(COUNTS + 4 * 0x58) + "b00ce670 e471" + apic(0xB0, 0) + "58cf"
    code = ENABLE + redirect(8, 0x58) + out8(0x70, 0x0A) + out8(0x71, 0x26)
    code += out8(0x70, 0x0B) + out8(0x71, 0x42) + until_taken(0x58, 3)
    with guest_of(kind, code + STOP + HLT) as guest:
        guest.poke(HANDLERS + 32 * 0x58, bytes.fromhex(handler))
        guest.runs_to_its_end()


# -- lines -----------------------------------------------------------------------------------------


def level_device(guest, gsi, vector, times):
    """A device at ports 90h (wants service) and 91h (has been served) on a line."""
    line, served = guest.machine.line(gsi), []

    def serve(*_access):
        served.append(guest.machine.time)
        if len(served) % times == 0:
            line(False)

    guest.machine.pio.add(0x90, 1, write=lambda *_access: line(True), name="asks")
    guest.machine.pio.add(0x91, 1, write=serve, name="serve")
    handler = "ff05" + dword(COUNTS + 4 * vector) + "e691" + apic(0xB0, 0) + "cf"
    guest.poke(HANDLERS + 32 * vector, bytes.fromhex(handler))
    return served


@pytest.mark.parametrize("wait", [until_taken, spin_until_taken])
def test_a_level_is_sent_until_it_falls(kind, wait):
    """Each EOI sends it again; and once it has fallen the pin can be used again."""
    code = ENABLE + redirect(20, LEVEL | 0x55) + "e690" + wait(0x55, 3) + STI + NOP * 20 + CLI
    again = "e690" + wait(0x55, 6) + STI + NOP * 20 + CLI
    with guest_of(kind, code + OUT + again + STOP + HLT) as guest:
        served = level_device(guest, 20, 0x55, 3)
        guest.runs_to_its_end()
        assert guest.count(0x55) == len(served)
        assert len(served) == 6 or repeats(kind)


def test_a_level_that_waits_for_its_mask(kind):
    masked = ENABLE + redirect(20, LEVEL | MASKED | 0x55) + "e690" + STI + NOP * 20 + OUT
    with guest_of(
        kind, masked + redirect(20, LEVEL | 0x55) + spin_until_taken(0x55, 1) + STOP + HLT
    ) as guest:
        level_device(guest, 20, 0x55, 1)
        guest.runs_to_its_end()
        assert len(guest.written) == 1
        assert guest.count(0x55) == 1 or repeats(kind)


@pytest.mark.parametrize("kind", [EVERY[0], BOTH_CHIPS[1]])
def test_a_level_before_the_local_apic_is_enabled(kind):
    """Nobody accepts the message at first; it is not lost, but by KVM's own I/O APIC."""
    code = redirect(20, LEVEL | 0x55) + "e690" + NOP * 10 + ENABLE + until_taken(0x55, 1)
    with guest_of(kind, code + STOP + HLT) as guest:
        level_device(guest, 20, 0x55, 1)
        guest.runs_to_its_end()
        assert guest.count(0x55) == 1 or repeats(kind)


def test_two_levels_with_one_vector(kind):
    """One falls with the first interrupt, the other with the second."""
    code = ENABLE + redirect(20, LEVEL | 0x55) + redirect(21, LEVEL | 0x55)
    code += "e690" + spin_until_taken(0x55, 2) + STOP + HLT
    with guest_of(kind, code) as guest:
        lines = [guest.machine.line(gsi) for gsi in (20, 21)]
        high = [*lines]
        for port, name, write in (
            (0x90, "asks", lambda *_access: [line(True) for line in lines]),
            (0x91, "served", lambda *_access: high and high.pop(0)(False)),
        ):
            guest.machine.pio.add(port, 1, write=write, name=name)
        handler = "ff05" + dword(COUNTS + 4 * 0x55) + "e691" + apic(0xB0, 0) + "cf"
        guest.poke(HANDLERS + 32 * 0x55, bytes.fromhex(handler))
        guest.runs_to_its_end()
        assert high == []


def test_a_level_to_another_processor(kind):
    """By a logical destination, changed while the line is high."""
    other = ENABLE + apic(0xE0, 0xFFFF_FFFF) + apic(0xD0, 2 << 24) + "f0ff05" + dword(FLAG)
    code = ENABLE + apic(0xE0, 0xFFFF_FFFF) + apic(0xD0, 1 << 24) + start_others(1)
    code += await_dword(FLAG, 1) + redirect(20, LEVEL | LOGICAL | 0x55, 2) + "e690"
    with guest_of(
        kind, code + await_dword(COUNTS + 4 * 0x55, 3) + STOP + HLT, other + "fbf4ebfc"
    ) as guest:
        served = level_device(guest, 20, 0x55, 3)
        guest.runs_to_its_end()
        assert len(served) == 3 or repeats(kind)


@pytest.mark.parametrize("wait", [until_taken, spin_until_taken])
def test_a_line_from_another_thread(kind, wait):
    with guest_of(kind, ENABLE + redirect(20, 0x55) + wait(0x55, 2) + STOP + HLT) as guest:
        line, over = guest.machine.line(20), []

        def drive():
            while not over:
                line(True)
                sleep(0.001)
                line(False)

        driver = threading.Thread(target=drive, daemon=True)
        driver.start()
        try:
            guest.runs_to_its_end()
        finally:
            over.append(True)
            driver.join(LONG)
        assert guest.count(0x55) >= 2


def test_an_isa_line_by_both_ways(kind):
    """IRQ 5 by the 8259A, then pin 5 of the I/O APIC."""
    code = PIC + out8(0x21, 0xDF) + out8(0xA1, 0xFF) + "e690" + until_taken(0x35, 1)
    code += out8(0x21, 0xFF) + redirect(5, 0x45) + "e690" + until_taken(0x45, 1)
    with guest_of(kind, code + STOP + HLT) as guest:
        guest.machine.virtual_wire()
        line = guest.machine.line(5)

        def pulse(*_access):
            line(True)
            line(False) if guest.count(0x35) else None

        guest.machine.pio.add(0x90, 1, write=pulse, name="asks")
        handler = "ff05" + dword(COUNTS + 4 * 0x35) + "e691" + "cf"
        guest.poke(HANDLERS + 32 * 0x35, bytes.fromhex(handler))
        guest.machine.pio.add(0x91, 1, write=lambda *_access: line(False), name="served")
        guest.runs_to_its_end()
        assert (guest.count(0x35), guest.count(0x45)) == (1, 1)


def test_pin_0_is_a_pin_of_its_own(kind):
    code = (
        ENABLE + redirect(0, 0x50) + redirect(2, 0x52) + "e690" + until_taken(0x50, 1) + STOP + HLT
    )
    with guest_of(kind, code + HLT) as guest:
        line = guest.machine.line(0)
        guest.machine.pio.add(0x90, 1, write=lambda *_access: line(True), name="asks")
        guest.runs_to_its_end()
        assert guest.count(0x52) == 0


@pytest.mark.parametrize("gsi", [-1, 24, "5"])
def test_lines_that_are_not_there(kind, gsi):
    with guest_of(kind, HLT) as guest, pytest.raises(DeviceError):
        guest.machine.line(gsi)


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [until_taken, spin_until_taken])
def test_messages_from_another_thread(kind, wait):
    """To a vCPU that sleeps, and to one that never leaves guest code."""
    with guest_of(kind, ENABLE + wait(0x41, 3) + STOP + HLT) as guest:
        over = []

        def send():
            while not over:
                assert guest.machine.msi(APIC, 0x41)
                sleep(0.001)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            guest.runs_to_its_end()
        finally:
            over.append(True)
            sender.join(LONG)


def test_what_is_no_message(kind):
    with guest_of(kind, ENABLE + STI + STOP + HLT) as guest:
        for address in (0xFED0_0000, 0xFEF0_0000, 1 << 32 | APIC):
            assert not guest.machine.msi(address, 0x41)
        assert guest.machine.msi(APIC | 9 << 12, 0x41)  # nobody is there
        guest.runs_to_its_end()
        assert guest.count(0x41) == 0


def test_messages_between_processors(kind):
    """There and back, to a vCPU that sleeps and one that spins."""
    other = ENABLE + "f0ff05" + dword(FLAG) + until_taken(0x41, 1) + ipi(0x4042, 0) + SLEEP
    code = ENABLE + start_others(1) + await_dword(FLAG, 1) + ipi(0x4041, 1)
    with guest_of(kind, code + spin_until_taken(0x42, 1) + STOP + HLT, other) as guest:
        guest.runs_to_its_end()
        assert (guest.count(0x41), guest.count(0x42)) == (1, 1)


def test_a_message_to_all_others(kind):
    other = ENABLE + "f0ff05" + dword(FLAG) + "fb" + LOOP
    code = ENABLE + start_others(1, 2) + await_dword(FLAG, 2) + ipi(0xC_4041, 0)
    wait = await_dword(COUNTS + 4 * 0x41, 2) + STOP + HLT
    with guest_of(kind, code + wait, other, other) as guest:
        for number in range(0x41, 0x42):
            handler = "f0ff05" + dword(COUNTS + 4 * number) + apic(0xB0, 0) + "cf"
            guest.poke(HANDLERS + 32 * number, bytes.fromhex(handler))
        guest.runs_to_its_end()
        assert guest.count(0x41) == 2


def test_a_non_maskable_message(kind):
    other = ENABLE + "f0ff05" + dword(FLAG) + CLI + LOOP
    code = ENABLE + start_others(1) + await_dword(FLAG, 1) + ipi(0x4400, 1)
    with guest_of(kind, code + await_dword(COUNTS + 8, 1) + STOP + HLT, other) as guest:
        guest.runs_to_its_end()
        assert guest.count(2) == 1


def test_the_wide_mode_of_local_apics(kind):
    """x2APIC: an IPI to itself by the MSR."""
    code = wrmsr(0x1B, 0xFEE0_0D00) + wrmsr(0x80F, 0x1FF) + wrmsr(0x83F, 0x41) + "fb"
    code += await_dword(COUNTS + 4 * 0x41, 1) + STOP + HLT
    with guest_of(kind, code) as guest:
        handler = "ff05" + dword(COUNTS + 4 * 0x41) + "cf"
        guest.poke(HANDLERS + 32 * 0x41, bytes.fromhex(handler))
        guest.runs_to_its_end()


# -- beside KVM ------------------------------------------------------------------------------------


@pytest.mark.parametrize("irqchip", BOTH_CHIPS[:1])
def test_where_kvm_answers_nothing_else_can_be_placed(irqchip):
    with guest_of(irqchip, HLT) as guest:
        for port in (0x20, 0x43, 0x61, 0xA1, 0x4D1):
            with pytest.raises(OverlapError):
                guest.machine.pio.add(port, 1, write=lambda *_access: None, name="mine")
        with pytest.raises(OverlapError):
            guest.machine.mmio.add(IOAPIC, 4, read=lambda *_access: 0, name="mine")


@pytest.mark.parametrize("irqchip", BOTH_CHIPS)
def test_which_chips_are_here(irqchip):
    with guest_of(irqchip, HLT) as guest:
        machine = guest.machine
        here = [chip is not None for chip in (machine.pic, machine.ioapic, machine.pit)]
        assert here == [irqchip == "split"] * 3
