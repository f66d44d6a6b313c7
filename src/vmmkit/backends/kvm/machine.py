# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC of KVM's vCPUs with one thread each.

Theory of operation
-------------------
Each vCPU has a thread while `run` lasts, which is in KVM_RUN but for exits; then it holds `lock`
while a handler runs, and nothing else. The thread of `run` keeps the timers that are not KVM's and
waits for the end. Local APICs are KVM's, and so are HLT, and waiting for a start-up message: such a
vCPU is in KVM_RUN too. A kick brings it out, wherever it is.

Every vCPU runs by `VcpuTarget.run`, so that a debugger may come at any time; without one that is
the vCPU's `run_through`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from vmmkit.backends._machine_board import BoardOptions, memory_map, port_map
from vmmkit.backends._machine_outcomes import VcpuExit
from vmmkit.backends._machine_run import HostTimeRuns
from vmmkit.backends._machine_time import Agenda, Timed, TimedWindow
from vmmkit.backends.kvm._chips import KernelChips, SplitChips
from vmmkit.backends.kvm._closing import Closing
from vmmkit.backends.kvm._cpuid import vcpu_table
from vmmkit.backends.kvm._power_up import PowerUp
from vmmkit.backends.kvm._spec import KVM_SET_BOOT_CPU_ID, Cap
from vmmkit.backends.kvm.vcpu import KvmVcpu
from vmmkit.backends.kvm.vm import CpuidEntry, KvmVm
from vmmkit.backends.msrs import MsrSource
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.devices import Mc146818
from vmmkit.errors import MachineError
from vmmkit.insn import BudgetSpent, Halt, InterruptWindow
from vmmkit.memregion import RegionMap
from vmmkit.protocols import InterruptLine

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["KvmMachine"]

RTC_GSI: Final = 8
APIC_ADDRESSES: Final = 0xFEE  # address bits 20 and up of interrupt messages
IDENTITY: Final = 1  # leaf of CPUID
TSC_DEADLINE: Final = 1 << 24  # of its ECX
GOES_ON: Final = (BudgetSpent, Halt, InterruptWindow)
DEVICE: Final = "/dev/kvm"
Irqchip = Literal["kernel", "split"]


class KvmMachine(HostTimeRuns, Closing):
    """A PC of KVM's vCPUs.

    A monitor that is written for `ThreadedMachine` runs on it. `run` never returns
    `MachineHalted`: who waits, and for which timer, only KVM knows.

    Args:
        ram: `(gpa, buffer)` pieces of whole pages, as `vmmkit.backends.kvm.allocate_ram` makes
            them; to be given where the machine makes the map of memory.
        vcpus: how many, or their APIC IDs, 0 to 254; the first one is the bootstrap processor.
        irqchip: `"kernel"`: KVM has all interrupt controllers, and the 8254 with port 61h.
            `"split"`: KVM has the local APICs, `vmmkit.devices` the others.
        mmio: the guest-physical address map; handlers run under `lock`. Without it one with the
            RAM in it.
        pio: the map of I/O ports, likewise.
        cpuid: the CPUID table of any vCPU; the leaves that tell vCPUs apart are adapted. Without
            it what KVM offers.
        msrs: one source for each vCPU of the MSRs that KVM does not have; without it those are
            unknown.
        unknown_msrs: what other MSRs do: `"fault"` (#GP), or `"exit"`: they are the owner's.
        start: what the real-time clock shows at time zero.
        path: the device.

    Attributes:
        lock: held while a handler runs; reentrant.
        vm: the virtual machine.
        irqchip: as given.
        vcpus: the processors, by number.
        ram: `(gpa, buffer)` pieces that all see.
        mmio: the guest-physical address map.
        pio: the map of I/O ports.
        rtc: the clock and CMOS RAM.
        pic: the pair of 8259A, or `None` where it is KVM's.
        ioapic: the I/O APIC, or `None`.
        pit: the 8254, or `None`.
        port61: the port beside it, or `None`.

    Raises:
        KvmUnavailableError: no KVM, or none that may be used.
        KvmError: the kernel refuses a machine like this.
        MachineError: arguments that do not fit together, or RAM that is not of whole pages.
        OverlapError: something in the maps is where the machine's devices are.
    """

    vcpus: tuple[KvmVcpu, ...] = ()

    def __init__(
        self,
        ram: Iterable[tuple[int, Buffer]] = (),
        *,
        vcpus: int | Sequence[int] = 1,
        irqchip: Irqchip = "kernel",
        mmio: RegionMap | None = None,
        pio: RegionMap | None = None,
        cpuid: Sequence[CpuidEntry] | None = None,
        msrs: Sequence[MsrSource] | None = None,
        unknown_msrs: Literal["fault", "exit"] = "fault",
        start: datetime = datetime(2000, 1, 1),  # noqa: DTZ001 - what an RTC shows has no zone
        path: str = DEVICE,
    ) -> None:
        """Wire the machine."""
        if irqchip not in ("kernel", "split"):
            raise MachineError(f"irqchip is 'kernel' or 'split', not {irqchip!r}")
        options = BoardOptions(vcpus, msrs=msrs, unknown_msrs=unknown_msrs)
        HostTimeRuns.__init__(self, len(options.apic_ids))
        self._agenda = Agenda(self._changed_now)
        self.irqchip = irqchip
        pieces = tuple(ram)
        self.mmio, self.pio = memory_map(mmio, pieces), port_map(pio)
        self.vm = KvmVm(irqchip=irqchip, path=path)
        try:
            self._wire(pieces, options, cpuid, start)
        except BaseException:
            self.close()
            raise

    def _wire(
        self,
        pieces: tuple[tuple[int, Any], ...],
        options: BoardOptions,
        cpuid: Sequence[CpuidEntry] | None,
        start: datetime,
    ) -> None:
        vm = self.vm
        vm.attach(self.mmio)
        _check_slots(vm, pieces)
        self.ram = pieces or vm.ram
        self._chips: KernelChips | SplitChips
        if self.irqchip == "kernel":
            self._chips = KernelChips(vm)
        else:
            self._chips = SplitChips(vm, lambda: self.time, self._kick_all)
        self.pic, self.ioapic = self._chips.pic, self._chips.ioapic
        self.pit, self.port61 = self._chips.pit, self._chips.port61
        self._chips.place(self.mmio, self.pio, self._agenda)
        self.rtc = Mc146818(lambda: self.time, start, self.line(RTC_GSI))
        self.pio.add(0x70, self.rtc.size, self.timed(self.rtc), name="rtc")
        self._make_processors(options, vm.cpuid if cpuid is None else cpuid)

    def _make_processors(self, options: BoardOptions, cpuid: Sequence[CpuidEntry]) -> None:
        ids = options.apic_ids
        table = _with_deadline(cpuid) if self.vm.capability(Cap.TSC_DEADLINE_TIMER) else cpuid
        if ids[0]:
            self.vm.call(KVM_SET_BOOT_CPU_ID, ids[0])
        for index, apic_id in enumerate(ids):
            vcpu = KvmVcpu(  # its number in KVM is that of its APIC
                self.vm,
                apic_id,
                cpuid=vcpu_table(table, apic_id, max(ids) + 1),
                msrs=None if options.msrs is None else options.msrs[index],
                unknown_msrs=options.unknown_msrs,
            )
            self.vcpus = (*self.vcpus, vcpu)
            vcpu.index = index
            vcpu.ioapic_eoi = self._end_of_interrupt
        self._power_up = [PowerUp(vcpu) for vcpu in self.vcpus]
        self._target = VcpuTarget(
            self.vcpus,
            ram=self.ram,
            mmio=self.mmio,
            pio=self.pio,
            reset=self._reset,
            guard=self.lock,
        )

    # -- interrupts ------------------------------------------------------------------------------

    def line(self, gsi: int) -> InterruptLine:
        """Return the interrupt line of a global system interrupt, 0 to 23, for any thread.

        Below 16 it drives the 8259A as well; GSI 2 is the timer's, IRQ 0 there.

        Raises:
            DeviceError: there is no such line.
        """
        drive, lock = self._chips.line(gsi), self.lock

        def locked(level: bool, /) -> None:
            with lock:
                drive(level)

        return locked

    def msi(self, address: int, data: int) -> bool:
        """Deliver the memory write of a device with MSI or MSI-X, for any thread.

        Args:
            address: 64 bits; FEE00000-FEEFFFFF are messages, others memory.
            data: the 32 bits that are written.

        Returns:
            Whether it was a message; one that nobody accepts is lost, as on hardware.
        """
        if address >> 20 != APIC_ADDRESSES:
            return False
        self.vm.msi(address, data)
        return True

    def virtual_wire(self) -> None:
        """Do what firmware does for the bootstrap processor: let the 8259A interrupt it.

        The local APIC is enabled with the spurious vector FFH, LINT0 is ExtINT and LINT1 NMI.

        Raises:
            StepError: that processor runs on another thread.
        """
        self._power_up[0].virtual_wire()

    def _end_of_interrupt(self, vector: int) -> None:
        with self.lock:
            self._chips.end_of_interrupt(vector)

    def _kick_all(self) -> None:
        for vcpu in self.vcpus:
            vcpu.kick()

    # -- for the owner ---------------------------------------------------------------------------

    def timed(self, device: Any) -> TimedWindow:
        """Attend to a device with `deadline` and `advance`.

        Returns:
            What is to be placed in an address map instead of the device: its accesses tell the
            machine that the deadline may have moved.
        """
        checked: Timed = device
        return TimedWindow(device, self._agenda.add(checked))

    def debug_target(self, *, kill: Callable[[], object] | None = None) -> VcpuTarget:
        """Return the machine as a target, for `vmmkit.gdb.serve`; always the same.

        A debugger may come and go between runs and while one lasts; vCPUs that it has stopped do
        not end the run. Time goes on for them.

        Args:
            kill: what the debugger's `kill` calls; `None` leaves that as it is.
        """
        if kill is not None:
            self._target.kill = kill
        return self._target

    def reset(self) -> None:
        """Reset every processor and device of the machine; RAM and time stay.

        Exits that `run` has not returned yet are gone.

        Raises:
            MachineError: the machine runs.
        """
        self._check_stopped()
        self._reset()
        self._exits.clear()

    def _reset(self) -> None:
        """Reset while all vCPUs stand."""
        with self.lock:
            for one in self._power_up:
                one.restore()
            self._chips.reset()
            self.rtc.reset()
            self._agenda.forget()
            self._changed_now()

    def close(self) -> None:
        """Give everything of the kernel's back; again is nothing.

        Raises:
            MachineError: the machine runs.
        """
        self._check_stopped()
        for vcpu in self.vcpus:
            vcpu.close()
        self.vm.close()

    def __repr__(self) -> str:
        """Show how many vCPUs there are, and the time."""
        return f"<KvmMachine {self.irqchip} vCPUs {len(self.vcpus)}; time {self.time}>"

    # -- the threads of vCPUs --------------------------------------------------------------------

    def _work_until_end(self, index: int) -> VcpuExit | None:
        vcpu, target, offer = self.vcpus[index], self._target, self._chips.offer
        while True:
            with self.lock:
                if self._ending:
                    return None
                offer(vcpu)
            outcome = target.run(index)
            if not isinstance(outcome, GOES_ON):
                return VcpuExit(index, outcome)

    def _end_work(self) -> None:
        for vcpu in self.vcpus:
            self._target.end_run(vcpu.index)
            vcpu.kick()


def _with_deadline(cpuid: Iterable[CpuidEntry]) -> list[CpuidEntry]:
    """Add what KVM's local APICs can do and KVM_GET_SUPPORTED_CPUID does not tell."""
    return [
        attrs.evolve(entry, ecx=entry.ecx | TSC_DEADLINE) if entry.function == IDENTITY else entry
        for entry in cpuid
    ]


def _check_slots(vm: KvmVm, pieces: Iterable[tuple[int, Any]]) -> None:
    """Refuse RAM that the guest could not execute code in."""
    slots = {(slot.gpa, slot.size) for slot in vm.slots}
    for gpa, buffer in pieces:
        size = memoryview(buffer).nbytes
        if (gpa, size) not in slots:
            raise MachineError(
                f"RAM at {gpa:#x}, {size:#x} bytes, is not of whole pages: its address, its size "
                "and its buffer have to be aligned, as those of `allocate_ram` are"
            )
