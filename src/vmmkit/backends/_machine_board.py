# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The board of a PC: processors, interrupt controllers, timers and clock, wired to each other.

What runs the processors, and by which clock, is `soft_machine` and `soft_threads`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from vmmkit.backends._machine_cpuid import MachineCpuid
from vmmkit.backends._machine_run import OneRun
from vmmkit.backends._machine_snapshot import MachineSnapshot, check_machine_snapshot
from vmmkit.backends._machine_time import Agenda, Timed, TimedWindow
from vmmkit.backends._machine_vcpu import MachineVcpu, Ways
from vmmkit.backends._machine_windows import LapicWindows
from vmmkit.backends.msrs import MsrFile, MsrSource
from vmmkit.devices import ApicBus, IoApic, Lapic, Mc146818, PicPair, Pit8254, Port61
from vmmkit.errors import MachineError
from vmmkit.insn import Cpu
from vmmkit.insn.cpuid import CpuidModel, CpuidSource
from vmmkit.memregion import RegionMap, all_ones
from vmmkit.protocols import InterruptLine

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Ram = Iterable[tuple[int, Buffer]]

__all__ = ["Board", "BoardOptions", "memory_map", "port_map"]

IOAPIC_PAGE: Final = 0xFEC0_0000
TIMER_GSI: Final = 2  # where the interrupt source override of PCs puts IRQ 0
RTC_GSI: Final = 8
ISA_IRQS: Final = 16
NOBODY: Final = (0,)  # GSIs that are no IRQ of the 8259A though they are below 16
GIGAHERTZ: Final = 1_000_000_000

# SVR: enabled, vector FFH; LINT0: ExtINT; LINT1: NMI (MultiProcessor Specification 1.4, "Virtual
# Wire Mode").
VIRTUAL_WIRE: Final = ((0xF0, 0x1FF), (0x350, 0x700), (0x360, 0x400))


@attrs.define
class BoardOptions:
    """What both machines are made of; they document it."""

    vcpus: int | Sequence[int] = 1
    engine: str | None = None
    cpuid: Sequence[CpuidSource] | None = None
    msrs: Sequence[MsrSource] | None = None
    unknown_msrs: Literal["fault", "exit"] = "fault"
    mmio: RegionMap | None = None
    pio: RegionMap | None = None
    timer_hz: int = GIGAHERTZ
    start: datetime = attrs.field(factory=lambda: datetime(2000, 1, 1))  # noqa: DTZ001 - as RTCs do

    def __attrs_post_init__(self) -> None:
        """Refuse what does not fit together."""
        ids = self.apic_ids
        if not ids or len(set(ids)) != len(ids):
            raise MachineError(f"vcpus is {self.vcpus!r}; a number or APIC IDs are possible")
        for name in ("cpuid", "msrs"):
            given = getattr(self, name)
            if given is not None and len(given) != len(ids):
                raise MachineError(f"{name} has {len(given)} sources for {len(ids)} vCPUs")
        if self.unknown_msrs not in ("fault", "exit"):
            raise MachineError(f"unknown_msrs is 'fault' or 'exit', not {self.unknown_msrs!r}")

    @property
    def apic_ids(self) -> tuple[int, ...]:
        """APIC IDs by vCPU."""
        return tuple(range(self.vcpus)) if isinstance(self.vcpus, int) else tuple(self.vcpus)

    def cpuid_source(self, index: int, lapic: Lapic) -> CpuidSource:
        """Return what answers CPUID on a vCPU."""
        if self.cpuid is not None:
            return self.cpuid[index]
        ids = self.apic_ids
        bits = max(ids).bit_length()
        model = CpuidModel(apic_id=lapic.apic_id, processors=len(ids), package_bits=bits)
        return MachineCpuid(model, lapic)


class Board(OneRun, ABC):
    """Processors and devices of a machine.

    Attributes:
        vcpus: the processors, by number.
        ram: the `(gpa, buffer)` pieces that they all see.
        lapics: their local APICs.
        ioapic: the I/O APIC, of 24 pins.
        bus: carries messages between the APICs.
        pic: the pair of 8259A.
        pit: the 8254.
        port61: the port beside it.
        rtc: the clock and CMOS RAM.
        mmio: the guest-physical address map.
        pio: the map of I/O ports.
    """

    vcpus: tuple[MachineVcpu, ...]
    lapics: tuple[Lapic, ...]
    _host_time = False

    def __init__(
        self,
        ram: Ram,
        options: BoardOptions,
        *,
        tsc_hz: int,
        guard: AbstractContextManager[object],
        attend: Callable[[MachineVcpu], object],
        moved: Callable[[], object],
    ) -> None:
        """Wire the machine.

        Args:
            ram: as the machine's.
            options: as the machine's.
            tsc_hz: rate of the time-stamp counters.
            guard: held while a vCPU does anything but execute guest code.
            attend: called when something waits for a vCPU that may sleep or run.
            moved: called when a deadline may have moved.
        """
        self.ram = pieces = tuple(ram)
        Cpu(pieces, engine=options.engine)  # refuses what is no RAM, before any map is changed
        self.lapics = ()
        self._guard = guard
        self._clock = lambda: self.time
        self._agenda = Agenda(moved)
        self.mmio, self.pio = memory_map(options.mmio, pieces), port_map(options.pio)
        self.bus = ApicBus()
        self.pic = PicPair(self._drive_lint0)
        self.ioapic = IoApic(self.bus.deliver)
        self.bus.attach_ioapic(self.ioapic)
        self.pit = Pit8254(self._clock, self._wire(TIMER_GSI))
        self.port61 = Port61(self.pit)
        self.rtc = Mc146818(self._clock, options.start, self._wire(RTC_GSI))
        self._place()
        self._windows = LapicWindows(self.mmio)
        self._make_processors(pieces, options, tsc_hz, guard, attend)

    @property
    @abstractmethod
    def time(self) -> int:
        """Virtual time in nanoseconds."""

    def _make_processors(
        self,
        ram: tuple[tuple[int, Buffer], ...],
        options: BoardOptions,
        tsc_hz: int,
        guard: AbstractContextManager[object],
        attend: Callable[[MachineVcpu], object],
    ) -> None:
        ids = options.apic_ids
        files: Sequence[MsrSource] = options.msrs or [MsrFile() for _ in ids]
        self._msrs = files
        self.vcpus = tuple(
            MachineVcpu(
                index,
                ram,
                engine=options.engine,
                msrs=files[index],
                unknown_msrs_exit=options.unknown_msrs == "exit",
                guard=guard,
                host_time=self._host_time,
            )
            for index in range(len(ids))
        )
        self.lapics = tuple(
            self._lapic(vcpu, ids[vcpu.index], options.timer_hz, tsc_hz) for vcpu in self.vcpus
        )
        for vcpu, lapic in zip(self.vcpus, self.lapics, strict=True):
            vcpu.attend = attend
            vcpu.timer_moved = self._agenda.add(lapic)
            cpuid = options.cpuid_source(vcpu.index, lapic)
            vcpu.connect(lapic, cpuid, self._ways(vcpu))
            self.bus.attach(lapic)
            self._windows.move(vcpu, lapic.page)

    def _ways(self, vcpu: MachineVcpu) -> Ways:
        """Return a vCPU's ways into the address maps."""
        mmio, pio = self.mmio.port(vcpu), self.pio.port(vcpu)
        return mmio.read, mmio.write, pio.read, pio.write

    def _lapic(self, vcpu: MachineVcpu, apic_id: int, timer_hz: int, tsc_hz: int) -> Lapic:
        return Lapic(
            apic_id,
            self._clock,
            send=self.bus.deliver,
            broadcast_eoi=self.bus.broadcast_eoi,
            reconfigured=self.bus.retry,
            interrupt=vcpu.interrupt,
            threshold=vcpu.threshold,
            task_priority=vcpu.task_priority,
            nmi=vcpu.take_nmi,
            init=partial(self._init, vcpu),
            sipi=vcpu.take_start_up,
            pic_acknowledge=self.pic.acknowledge,
            relocate=partial(self._relocate, vcpu),
            bsp=vcpu.index == 0,
            timer_hz=timer_hz,
            tsc_hz=tsc_hz,
        )

    def _init(self, vcpu: MachineVcpu) -> None:
        vcpu.take_init()
        vcpu.timer_moved()

    def _relocate(self, vcpu: MachineVcpu, page: int | None) -> None:
        self._windows.move(vcpu, page)

    def _place(self) -> None:
        """Put the windows where PCs have them."""
        self.mmio.add(IOAPIC_PAGE, self.ioapic.size, self.ioapic, name="ioapic")
        pit_moved, rtc_moved = self._agenda.add(self.pit), self._agenda.add(self.rtc)
        for base, device, window, name in (
            (0x20, self.pic.master, None, "pic master"),
            (0x40, self.pit, TimedWindow(self.pit, pit_moved, reads=False), "pit"),
            (0x61, self.port61, TimedWindow(self.port61, pit_moved, reads=False), "port 61h"),
            (0x70, self.rtc, TimedWindow(self.rtc, rtc_moved), "rtc"),
            (0xA0, self.pic.slave, None, "pic slave"),
            (0x4D0, self.pic.elcr, None, "elcr"),
        ):
            self.pio.add(base, device.size, window or device, name=name)

    # -- interrupts ----------------------------------------------------------------------------

    def _drive_lint0(self, level: bool) -> None:
        for lapic in self.lapics:
            lapic.lint0(level)

    def _wire(self, gsi: int) -> InterruptLine:
        """Return the line of a GSI without any guard."""
        pin = self.ioapic.line(gsi)
        if gsi >= ISA_IRQS or gsi in NOBODY:
            return pin
        irq = self.pic.line(0 if gsi == TIMER_GSI else gsi)

        def drive(level: bool, /) -> None:
            irq(level)
            pin(level)

        return drive

    def line(self, gsi: int) -> InterruptLine:
        """Return the interrupt line of a global system interrupt, 0 to 23.

        Below 16 it drives the 8259A as well; GSI 2 is the timer's, IRQ 0 there.

        Raises:
            DeviceError: there is no such line.
        """
        return self._wire(gsi)

    def msi(self, address: int, data: int) -> bool:
        """Deliver the memory write of a device with MSI or MSI-X.

        Args:
            address: 64 bits; FEE00000-FEEFFFFF are messages, others memory.
            data: the 32 bits that are written.

        Returns:
            Whether it was a message; one that nobody accepts is lost, as on hardware.
        """
        return self.bus.msi(address, data)

    def virtual_wire(self) -> None:
        """Do what firmware does for the bootstrap processor: let the 8259A interrupt it.

        The local APIC is enabled with the spurious vector FFH, LINT0 is ExtINT and LINT1 NMI.
        """
        for offset, value in VIRTUAL_WIRE:
            self.lapics[0].write(None, offset, 4, value)

    # -- time ----------------------------------------------------------------------------------

    def timed(self, device: Any) -> TimedWindow:
        """Attend to a device with `deadline` and `advance`.

        Returns:
            What is to be placed in an address map instead of the device: its accesses tell the
            machine that the deadline may have moved.
        """
        checked: Timed = device
        return TimedWindow(device, self._agenda.add(checked))

    def _vcpu(self, index: int) -> MachineVcpu:
        if not isinstance(index, int) or not 0 <= index < len(self.vcpus):
            raise MachineError(f"vCPUs are 0 to {len(self.vcpus) - 1}, not {index!r}")
        return self.vcpus[index]

    def _tell_time(self, *, forwards: bool = False) -> None:
        """Let all time-stamp counters show the time, those of vCPUs that wait too."""
        for vcpu in self.vcpus:
            vcpu.set_time(vcpu.lapic.tsc, forwards=forwards)

    # -- state ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset every processor and device of the machine; RAM and time stay.

        Raises:
            MachineError: the machine runs.
        """
        self._check_stopped()
        for vcpu, lapic in zip(self.vcpus, self.lapics, strict=True):
            vcpu.power_up()
            lapic.reset()
            lapic.set_tsc(0)
        for device in (self.ioapic, self.pic, self.pit, self.port61, self.rtc):
            device.reset()
        for vcpu in self.vcpus:
            vcpu.power_up()
        self._agenda.forget()

    def _snapshot(self, turn: int, left: int) -> MachineSnapshot:
        self._check_stopped()
        return MachineSnapshot(
            time=self.time,
            turn=turn,
            left=left,
            vcpus=tuple(vcpu.snapshot() for vcpu in self.vcpus),
            lapics=tuple(lapic.snapshot() for lapic in self.lapics),
            ioapic=self.ioapic.snapshot(),
            pic=self.pic.snapshot(),
            pit=self.pit.snapshot(),
            port61=self.port61.snapshot(),
            rtc=self.rtc.snapshot(),
            msrs=tuple(
                tuple(source.values.items()) if isinstance(source, MsrFile) else None
                for source in self._msrs
            ),
        )

    def _restore(self, snapshot: MachineSnapshot) -> None:
        """Take a state back; the clock shows its time already."""
        self.pit.restore(snapshot.pit)
        self.port61.restore(snapshot.port61)
        self.rtc.restore(snapshot.rtc)
        self.pic.restore(snapshot.pic)
        self.ioapic.restore(snapshot.ioapic)
        for lapic, state in zip(self.lapics, snapshot.lapics, strict=True):
            lapic.restore(state)
        for vcpu, processor in zip(self.vcpus, snapshot.vcpus, strict=True):
            vcpu.restore(processor)
        for source, values in zip(self._msrs, snapshot.msrs, strict=True):
            if isinstance(source, MsrFile) and values is not None:
                source.values = dict(values)
        self._agenda.forget()

    def __repr__(self) -> str:
        """Show how many vCPUs there are, and the time."""
        return f"<{type(self).__name__} vCPUs {len(self.vcpus)}; time {self.time}>"

    def _check(self, snapshot: object) -> MachineSnapshot:
        self._check_stopped()
        return check_machine_snapshot(snapshot, len(self.vcpus))


def memory_map(given: RegionMap | None, ram: tuple[tuple[int, Any], ...]) -> RegionMap:
    """Return the owner's map, or one with the RAM in it; with a fallback in either."""
    memory = given
    if memory is None:
        memory = RegionMap(address_bits=52, name="mmio", straddle="split")
        for gpa, buffer in ram:
            place = memory.add_rom if memoryview(buffer).readonly else memory.add_ram
            place(gpa, buffer, name="ram")
    return _with_fallback(memory)


def port_map(given: RegionMap | None) -> RegionMap:
    """Return the owner's map of ports, or a new one; with a fallback in either."""
    if given is not None:
        return _with_fallback(given)
    return _with_fallback(RegionMap(address_bits=16, name="pio", straddle="split"))


def _with_fallback(space: RegionMap) -> RegionMap:
    if not space.fallbacks:
        space.add_fallback(0, 1 << space.address_bits, all_ones, name="nobody")
    return space
