# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The interrupt controllers and the interval timer of a `KvmMachine`: KVM's own, or those here.

Theory of operation
-------------------
Local APICs are KVM's in either case. With `KernelChips` so are the pair of 8259A, the I/O APIC and
the 8254: a line is an ioctl, and nothing of theirs leaves the kernel. With `SplitChips` they are
the models of `vmmkit.devices`, and three things cross the border:

* What the I/O APIC sends is a `KVM_SIGNAL_MSI`.
* EOIs of level-triggered vectors come back as exits. KVM intercepts the vectors that its routing
  table names for the pins of the I/O APIC, so that table follows the redirection entries, and does
  so before a message is sent.
* The 8259A's INTR kicks the vCPUs. Each one that can take an interrupt, which says also that its
  LINT0 lets ExtINT through, is given the vector by `KVM_INTERRUPT`.

A message that no local APIC accepts is tried again after a while: KVM does not tell when a local
APIC begins to accept. And as long as an EOI is waited for the vCPUs are looked at from time to
time: nested KVM may keep the exit for an EOI back from a vCPU that has gone to HLT right after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from vmmkit.backends._machine_time import Agenda, TimedWindow
from vmmkit.backends.kvm._routing import PC_ROUTES, ChipRoute, MsiRoute
from vmmkit.backends.kvm._spec import Chip, MpState
from vmmkit.backends.kvm.vm import KvmVm
from vmmkit.devices import ApicMessage, IoApic, PicPair, Pit8254, Port61
from vmmkit.errors import DeviceError
from vmmkit.memregion import RegionMap, all_ones
from vmmkit.protocols import InterruptLine

__all__ = ["KernelChips", "SplitChips"]

IOAPIC_PAGE: Final = 0xFEC0_0000
IOAPIC_BYTES: Final = 0x100
LAPIC_PAGE: Final = 0xFEE0_0000
PINS: Final = 24
ISA_IRQS: Final = 16
TIMER_GSI: Final = 2  # where the interrupt source override of PCs puts IRQ 0
TIMER_IRQ: Final = 0
# KVM's timer drives GSI 0 of the kernel, which is IRQ 0 and pin 2; pin 0 has what is left.
KERNEL_GSI: Final = {TIMER_GSI: TIMER_IRQ, TIMER_IRQ: TIMER_GSI}
# Ports that the kernel answers: nothing that is placed there would ever be asked.
KERNEL_PORTS: Final = (
    (0x20, 2, "pic master"),
    (0x40, 4, "pit"),
    (0x61, 1, "port 61h"),
    (0xA0, 2, "pic slave"),
    (0x4D0, 2, "elcr"),
)

# Redirection entries, and MSI: SDM vol. 3 "Message Address Register Format" and "Message Data
# Register Format".
LOW: Final = 0x7FF  # vector and delivery mode
LOGICAL: Final = 1 << 11
LEVEL: Final = 1 << 15
LEVEL_CAPABLE: Final = (0, 1)  # fixed, lowest priority
MSI_LOGICAL: Final = 1 << 2
MSI_REDIRECTABLE: Final = 1 << 3
MSI_ASSERT: Final = 1 << 14
RETRY_NS: Final = 1_000_000
REMOTE_IRR: Final = 1 << 14
IN_SERVICE, TRIGGER_MODE, REQUESTED = 0x100, 0x180, 0x200  # of a local APIC, 32 vectors in 16 bytes


class Interruptible(Protocol):
    """A vCPU that is given interrupts of the 8259A. Caller: `SplitChips`."""

    @property
    def interrupt_window(self) -> bool:
        """Whether an external interrupt could be delivered now."""
        ...

    def request_interrupt(self, vector: int, /) -> None:
        """Have an external interrupt delivered."""
        ...

    def request_interrupt_window(self) -> None:
        """Have the run end when the guest can take an interrupt."""
        ...

    @property
    def mp_state(self) -> MpState:
        """Whether it halts."""
        ...

    def get_lapic(self) -> bytes:
        """Return the registers of the local APIC."""
        ...


def check_gsi(gsi: int) -> int:
    """Return a global system interrupt, or raise `DeviceError` if no I/O APIC has it."""
    if not isinstance(gsi, int) or not 0 <= gsi < PINS:
        raise DeviceError(f"GSIs are 0 to {PINS - 1}, not {gsi!r}")
    return gsi


def message_words(message: ApicMessage) -> tuple[int, int]:
    """Return the address and the data of the MSI that a message of the I/O APIC is."""
    address = LAPIC_PAGE | (message.destination & 0xFF) << 12
    address |= MSI_LOGICAL if message.logical else 0
    address |= MSI_REDIRECTABLE if message.redirectable else 0
    data = message.vector | message.delivery_mode << 8 | MSI_ASSERT
    return address, data | (LEVEL if message.level else 0)


def level_routes(entries: Sequence[int]) -> tuple[MsiRoute, ...]:
    """Return what KVM has to know of redirection entries: those whose EOI is waited for."""
    return tuple(
        MsiRoute(
            pin,
            LAPIC_PAGE | entry >> 56 << 12 | (MSI_LOGICAL if entry & LOGICAL else 0),
            entry & LOW | MSI_ASSERT | LEVEL,
        )
        for pin, entry in enumerate(entries)
        if entry & LEVEL and entry >> 8 & 7 in LEVEL_CAPABLE and entry & 0xFF
    )


class KernelChips:
    """8259A, I/O APIC and 8254 in KVM.

    Args:
        vm: has them.
    """

    pic = ioapic = pit = port61 = None

    def __init__(self, vm: KvmVm) -> None:
        """Wire them as in a PC."""
        self._vm = vm
        self._levels: dict[int, bool] = {}
        vm.set_routing([*PC_ROUTES, ChipRoute(KERNEL_GSI[TIMER_IRQ], Chip.IOAPIC, TIMER_IRQ)])
        self._fresh = [(chip, vm.get_irqchip(chip)) for chip in Chip]
        self._fresh_pit = vm.get_pit()

    def place(self, mmio: RegionMap, pio: RegionMap, _agenda: Agenda) -> None:
        """Keep everything else away from where KVM answers."""
        mmio.add(IOAPIC_PAGE, IOAPIC_BYTES, all_ones, name="ioapic of KVM")
        for base, size, name in KERNEL_PORTS:
            pio.add(base, size, all_ones, name=f"{name} of KVM")

    def line(self, gsi: int) -> InterruptLine:
        """Return the line of a GSI, for any thread."""
        drive = self._vm.line(KERNEL_GSI.get(check_gsi(gsi), gsi))
        levels = self._levels

        def driven(level: bool, /) -> None:
            levels[gsi] = level
            drive(level)

        return driven

    def offer(self, _vcpu: Interruptible) -> None:
        """Do nothing: the 8259A is at the local APICs in the kernel."""

    def end_of_interrupt(self, _vector: int) -> None:
        """Do nothing: the I/O APIC hears it in the kernel."""

    def reset(self) -> None:
        """Go to the state after power-up; the lines are as they are driven."""
        self._vm.set_pit(self._fresh_pit)  # first: no tick of before is to come after the others
        for chip, state in self._fresh:
            self._vm.set_irqchip(chip, state)
        for gsi, level in self._levels.items():
            self._vm.line(KERNEL_GSI.get(gsi, gsi))(level)


class SplitChips:
    """8259A, I/O APIC and 8254 of `vmmkit.devices`; everything under the machine's lock.

    Args:
        vm: has the local APICs.
        clock: virtual time in ns.
        kick: kicks all vCPUs.

    Attributes:
        pic: the pair of 8259A.
        ioapic: the I/O APIC.
        pit: the 8254.
        port61: the port beside it.
    """

    def __init__(self, vm: KvmVm, clock: Callable[[], int], kick: Callable[[], object]) -> None:
        """Wire them as in a PC."""
        self._vm, self._clock, self._kick = vm, clock, kick
        self._routes: tuple[MsiRoute, ...] = ()
        self._retry_at: int | None = None
        self._retry_moved: Callable[[], object] = lambda: None
        self.pic = PicPair(self._drive_int)
        self.ioapic = IoApic(self._send)
        self.pit = Pit8254(clock, self.line(TIMER_GSI))
        self.port61 = Port61(self.pit)

    def place(self, mmio: RegionMap, pio: RegionMap, agenda: Agenda) -> None:
        """Put the windows where PCs have them."""
        mmio.add(IOAPIC_PAGE, self.ioapic.size, self, name="ioapic")
        moved = agenda.add(self.pit)
        self._retry_moved = agenda.add(self)
        devices: tuple[tuple[int, Any, str], ...] = (
            (0x20, self.pic.master, "pic master"),
            (0x40, TimedWindow(self.pit, moved, reads=False), "pit"),
            (0x61, TimedWindow(self.port61, moved, reads=False), "port 61h"),
            (0xA0, self.pic.slave, "pic slave"),
            (0x4D0, self.pic.elcr, "elcr"),
        )
        sizes = {base: size for base, size, _ in KERNEL_PORTS}
        for base, device, name in devices:
            pio.add(base, sizes[base], device, name=name)

    # -- the I/O APIC's window -------------------------------------------------------------------

    def read(self, vcpu: object, offset: int, size: int, /) -> int:
        """Read a register of the I/O APIC."""
        return self.ioapic.read(vcpu, offset, size)

    def write(self, vcpu: object, offset: int, size: int, value: int, /) -> None:
        """Write a register of the I/O APIC."""
        self.ioapic.write(vcpu, offset, size, value)
        self._follow_entries()

    def _follow_entries(self) -> None:
        routes = level_routes(self.ioapic.snapshot().entries)
        if routes != self._routes:
            others = [route for route in self._vm.routes if route.gsi >= PINS]
            self._vm.set_routing([*routes, *others])
            self._routes = routes

    # -- interrupts --------------------------------------------------------------------------------

    def line(self, gsi: int) -> InterruptLine:
        """Return the line of a GSI, to be driven under the machine's lock."""
        pin = self.ioapic.line(check_gsi(gsi))
        if gsi >= ISA_IRQS or gsi == TIMER_IRQ:
            return pin
        irq = self.pic.line(TIMER_IRQ if gsi == TIMER_GSI else gsi)

        def drive(level: bool, /) -> None:
            irq(level)
            pin(level)

        return drive

    def _send(self, message: ApicMessage) -> int:
        self._follow_entries()
        accepted = self._vm.msi(*message_words(message))
        if message.level or not accepted:
            self._look_again()
        return int(accepted)

    def _look_again(self) -> None:
        self._retry_at = self._clock() + RETRY_NS
        self._retry_moved()

    def deadline(self) -> int | None:
        """Return when to look again at what no local APIC has accepted, or has not ended."""
        return self._retry_at

    def advance(self) -> None:
        """Try again what nobody accepted, and have vCPUs come for what is not ended."""
        if self._retry_at is not None and self._retry_at <= self._clock():
            self._retry_at = None
            self.ioapic.retry()
            if self._awaited():
                self._look_again()
                self._kick()

    def _awaited(self) -> set[int]:
        """Return the vectors whose EOI the I/O APIC waits for."""
        entries = self.ioapic.snapshot().entries
        return {entry & 0xFF for entry in entries if entry & REMOTE_IRR}

    def _end_what_is_over(self, vcpu: Interruptible) -> None:
        """End the level-triggered interrupts that a vCPU in HLT has had and has no more."""
        registers = vcpu.get_lapic()
        for vector in self._awaited():
            had, serves, has = (
                registers[base + (vector >> 5) * 16 + (vector >> 3 & 3)] >> (vector & 7) & 1
                for base in (TRIGGER_MODE, IN_SERVICE, REQUESTED)
            )
            if had and not (serves or has):
                self.ioapic.end_of_interrupt(vector)

    def end_of_interrupt(self, vector: int) -> None:
        """Tell the I/O APIC that a local APIC has ended a level-triggered interrupt."""
        self.ioapic.end_of_interrupt(vector)

    def _drive_int(self, level: bool, /) -> None:
        if level:
            self._kick()

    def offer(self, vcpu: Interruptible) -> None:
        """Give a vCPU that stands the interrupt of the 8259A, now or when it can take one."""
        if self._retry_at is not None and vcpu.mp_state is MpState.HALTED:
            self._end_what_is_over(vcpu)
        if not self.pic.interrupting:
            return
        if vcpu.interrupt_window:
            vcpu.request_interrupt(self.pic.acknowledge())
        else:
            vcpu.request_interrupt_window()

    def reset(self) -> None:
        """Go to the state after power-up; the lines are as they are driven."""
        for device in (self.ioapic, self.pic, self.pit, self.port61):
            device.reset()
        self._retry_at = None
        self._follow_entries()
