# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A vCPU of Linux KVM, with the exits of a `SoftVcpu`.

>>> from vmmkit.backends.kvm import KvmVcpu, KvmVm, allocate_ram
>>> from vmmkit.memregion import RegionMap
>>> ram, mmio = allocate_ram(4096), RegionMap()
>>> _ = mmio.add_ram(0, ram)
>>> ram[:5] = bytes.fromhex("b041 e680 f4")  # mov al, 'A'; out 80h, al; hlt
>>> with KvmVm() as vm, KvmVcpu(vm) as vcpu:  # doctest: +SKIP
...     vm.attach(mmio)
...     vcpu.state.enter_real_mode(ip=0)
...     print(vcpu.run(), vcpu.run())
PortOut(port=128, size=1, value=65) Halt(rip=5)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from vmmkit.backends.kvm._access import MASKS
from vmmkit.backends.kvm._closing import Closing
from vmmkit.backends.kvm._cpuid import vcpu_table
from vmmkit.backends.kvm._debug import DebugSide
from vmmkit.backends.kvm._ioctl import kernel_ioctl
from vmmkit.backends.kvm._kick import DEFAULT_KICK_SIGNAL
from vmmkit.backends.kvm._spec import (
    KVM_GET_LAPIC,
    KVM_SET_LAPIC,
    LAPIC_SIZE,
    Exit,
    MpState,
)
from vmmkit.backends.kvm._vcpu_core import DEVICES, REASON, RUN_NUMBER
from vmmkit.backends.kvm.vm import CpuidEntry, KvmVm
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import MachineError, StepError
from vmmkit.insn import BudgetSpent, CpuState, Done, Outcome
from vmmkit.protocols import AccessPort

__all__ = ["KvmVcpu"]

DEFAULT_BUDGET: Final = 1_000_000
PORTS: Final = 1 << 16
REAL_TIME: Final = range(34, 65)  # those that glibc leaves to programs

MMIO, IO = int(Exit.MMIO), int(Exit.IO)
# Word numbers of struct kvm_run, as integers of 1, 2, 4 and 8 bytes.
GPA, DATA, LENGTH, IS_WRITE = 32 // 8, 40 // 8, 48 // 4, 52
IS_OUT, SIZE, PORT, COUNT, PLACE = 32, 33, 34 // 2, 36 // 4, 40 // 8


class KvmVcpu(DebugSide, Closing):
    """One vCPU of a virtual machine.

    Exits are the outcomes of `vmmkit.insn`: `Read`, `Write`, `PortIn`, `PortOut`, `Halt` (not with
    a local APIC in KVM, where the vCPU waits inside), `TripleFault`, `InterruptWindow`,
    `TprBelowThreshold`, `ReadMsr`, `WriteMsr`, `DebugExit`, `Unsupported` and `BudgetSpent`.
    Exceptions go to the guest; CPUID, hypercalls, random numbers and performance counters are the
    kernel's. After `Read`, `PortIn` and `ReadMsr` call `complete` before running on.

    A vCPU belongs to one thread at a time, now to this and later to another. While the guest runs,
    other Python threads do too. It ends with `close`, or with the last reference to it, and
    belongs to the process that made it, as its virtual machine does.

    Args:
        vm: the virtual machine.
        index: of the vCPU, from 0.
        apic_id: its local APIC ID as CPUID tells it; the index without it, which is what a local
            APIC in KVM has.
        cpuid: the table that CPUID answers from, where the APIC ID alone is filled in. Without it
            all that KVM has, for a machine of `processors`.
        processors: how many the machine has, for CPUID without a table.
        msrs: answers RDMSR and WRMSR of MSRs that the kernel does not know.
        unknown_msrs: without `msrs`, whether these are `"fault"`, #GP, or `"exit"`, `ReadMsr` and
            `WriteMsr`.
        kick_signal: a real-time signal that nobody else uses.

    Attributes:
        vm: as given.
        index: as given.
        cpuid: what CPUID answers here; for the `cpuid` of a `SoftVcpu` to go on with this guest.
        ioapic_eoi: called with the vector when the guest ends a level-triggered interrupt of an
            I/O APIC of the owner's, where KVM has the local APICs alone.

    Raises:
        KvmError: the kernel refuses the vCPU, or its CPUID.
        MachineError: an argument that makes no sense.
    """

    def __init__(
        self,
        vm: KvmVm,
        index: int = 0,
        *,
        apic_id: int | None = None,
        cpuid: Iterable[CpuidEntry] | None = None,
        processors: int = 1,
        msrs: MsrSource | None = None,
        unknown_msrs: Literal["fault", "exit"] = "fault",
        kick_signal: int = DEFAULT_KICK_SIGNAL,
    ) -> None:
        """Make the vCPU."""
        if unknown_msrs not in ("fault", "exit"):
            raise MachineError(f"unknown_msrs is 'fault' or 'exit', not {unknown_msrs!r}")
        if kick_signal not in REAL_TIME:
            raise MachineError(f"kick_signal is a real-time signal, 34 to 64, not {kick_signal!r}")
        own = index if apic_id is None else apic_id
        table = vcpu_table(
            vm.cpuid if cpuid is None else cpuid, own, processors if cpuid is None else None
        )
        super().__init__(vm, index, table, msrs, unknown_msrs, kick_signal)

    def __repr__(self) -> str:
        """Show which it is."""
        closed = " closed" if self._handle.fd < 0 else ""
        return f"<{type(self).__name__} {self.index}{closed} of {self.vm!r}>"

    # -- registers -----------------------------------------------------------------------------

    @property
    def state(self) -> CpuState:
        """The registers, live: fetched from the kernel at the first look after a run.

        What the owner changes goes to the kernel before the next run. Change them only while
        `awaits_answer` is false, and look at `state` anew after each run.

        Raises:
            StepError: the vCPU runs on another thread.
            KvmError: it is closed.
        """
        return self._look()

    @property
    def mp_state(self) -> MpState:
        """What the vCPU does, where the local APIC is in KVM: run, halt, wait for start-up."""
        self._check_stands("mp_state")
        return self._transfer.mp_state

    @mp_state.setter
    def mp_state(self, value: MpState) -> None:
        self._check_stands("mp_state")
        self._transfer.mp_state = value

    @property
    def waits_for_sipi(self) -> bool:
        """Whether nothing is executed before a start-up message comes; to be asked between runs."""
        return self.vm.irqchip != "none" and self.mp_state in (
            MpState.UNINITIALIZED,
            MpState.INIT_RECEIVED,
        )

    def get_lapic(self) -> bytes:
        """Return the registers of the local APIC in KVM (KVM_GET_LAPIC), 1024 bytes.

        Raises:
            MachineError: KVM has no local APICs here.
            StepError: the vCPU runs on another thread.
        """
        self._needs_lapic("get_lapic")
        raw = bytearray(LAPIC_SIZE)
        self._handle.call(KVM_GET_LAPIC, raw)
        return bytes(raw)

    def set_lapic(self, registers: bytes) -> None:
        """Set the registers of the local APIC in KVM (KVM_SET_LAPIC).

        Raises:
            MachineError: KVM has no local APICs here, or these are not 1024 bytes.
            StepError: the vCPU runs on another thread.
        """
        self._needs_lapic("set_lapic")
        if len(registers) != LAPIC_SIZE:
            raise MachineError(f"a local APIC has {LAPIC_SIZE} bytes, not {len(registers)}")
        self._handle.call(KVM_SET_LAPIC, bytes(registers))

    def _needs_lapic(self, what: str) -> None:
        self._check_stands(what)
        if self.vm.irqchip == "none":
            raise MachineError(f"{what} needs irqchip='kernel' or 'split', this is 'none'")

    # -- running -------------------------------------------------------------------------------

    @property
    def awaits_answer(self) -> bool:
        """Whether an instruction is in flight: the last exit was a device or MSR access.

        `step` completes it and executes nothing else.
        """
        return bool(self._access.kind)

    def complete(self, value: int) -> None:
        """Answer the `Read`, `PortIn` or `ReadMsr` that the last run returned.

        Args:
            value: the value read; bits above the size asked for are dropped.

        Raises:
            StepError: no read awaits an answer, or `value` is no integer.
        """
        if not (self._access.reads and self._access.left):
            raise StepError(f"no read awaits completion, yet {value!r} was given")
        if not isinstance(value, int):
            raise StepError(f"a read is completed with an integer, not {value!r}")
        self._answer = value

    def refuse(self) -> None:
        """Refuse the `ReadMsr` or `WriteMsr` in flight: #GP(0).

        Raises:
            StepError: nothing is in flight that can be refused.
        """
        if not self._access.of_msr:
            raise StepError("only an MSR access can be refused")
        self._access.refuse()

    def run(self, budget: int = DEFAULT_BUDGET) -> Outcome:
        """Run until an exit.

        Args:
            budget: 1 for a single step; else the run ends by an exit or a kick alone.

        Raises:
            StepError: the last exit was a read and nobody completed it; registers were changed
                while an instruction was in flight; or a budget below 1.
            KvmError: the kernel refuses to run the vCPU, or its registers; or it is closed.
        """
        self._check_budget(budget)
        if budget == 1:
            return _spent(self.step())
        if self._guest_debug.skips and not isinstance(outcome := self.step(), Done):
            return outcome
        following = self._settle()
        if following is not None:
            return following
        self._kicker.enter()
        try:
            self._arm(False)
            return self._until_exit()
        finally:
            self._kicker.leave()

    def step(self) -> Outcome:
        """Complete the instruction in flight, or execute one.

        Returns:
            `Done`, or another exit; `BudgetSpent` where a kick came first.

        Raises:
            StepError, KvmError: as `run`.
        """
        self._check_open("step")
        in_flight = bool(self._access.kind)
        following = self._settle()
        if following is not None:
            return following
        self._kicker.enter()
        try:
            return self._complete_in_kernel() if in_flight else self._single_step()
        finally:
            self._kicker.leave()

    def run_through(
        self, mmio: AccessPort, pio: AccessPort, budget: int = DEFAULT_BUDGET
    ) -> Outcome:
        """Run, doing device accesses through ports, until an exit that no port can serve.

        An access that the last exit left undone is done first: a read that was not completed, or
        one that a port refused by raising.

        Args:
            mmio: port of the guest-physical address map.
            pio: port of the I/O port map.
            budget: as for `run`.

        Returns:
            Any outcome but `Read`, `Write`, `PortIn` and `PortOut`.

        Raises:
            StepError, KvmError: as `run`.
            RegionError: whatever a port raises. The access is still in flight: call `run_through`
                to try it once more, or `complete` a read, or `run` on past a write.
        """
        self._check_budget(budget)
        following = self._serve_undone(mmio, pio)
        if following is None and (budget == 1 or self._guest_debug.skips):
            outcome = self._step_through(mmio, pio)
            if budget == 1 or self._guest_debug.skips or not isinstance(outcome, BudgetSpent):
                return outcome
        following = following or self._settle()
        if following is not None:
            return following
        self._kicker.enter()
        try:
            self._arm(False)
            self._transfer.begin_run(sync=False)
            return self._loop(mmio, pio)
        except BaseException:
            reason = self._exit_reason()
            if not self._access.kind and reason in DEVICES:
                self._access.take(reason)
                self._refused = True
            raise
        finally:
            self._kicker.leave()

    def _loop(self, mmio: AccessPort, pio: AccessPort) -> Outcome:
        """Run through ports: the hot loop, ordered by how often a reason comes."""
        page, fd, by_size = self._page, self._fd, self._page.by_size
        octets, halves, longs, quads = page.octets, page.halves, page.longs, page.quads
        read, write, read_port, write_port = mmio.read, mmio.write, pio.read, pio.write
        while True:
            if self._attention:
                self._prepare_served()
                self._transfer.begin_run(sync=False)
            try:
                kernel_ioctl(fd, RUN_NUMBER)
                reason = longs[REASON]
            except OSError as error:
                reason = self._not_run(error)
            if reason == MMIO:
                size = longs[LENGTH]
                if size not in MASKS:
                    self._serve(mmio, pio)
                elif octets[IS_WRITE]:
                    write(quads[GPA], size, quads[DATA] & MASKS[size])
                else:
                    quads[DATA] = read(quads[GPA], size)
            elif reason == IO:
                size, number = octets[SIZE], halves[PORT]
                if longs[COUNT] != 1 or number + size > PORTS:
                    self._serve(mmio, pio)
                elif octets[IS_OUT]:
                    write_port(number, size, by_size[size][quads[PLACE] // size])
                else:
                    by_size[size][quads[PLACE] // size] = read_port(number, size)
            else:
                outcome = self._serve_emulation(mmio, pio, self._handle_exit(reason))
                if outcome is not None:
                    return outcome

    def _serve(self, mmio: AccessPort, pio: AccessPort) -> None:
        """Do an access of several pieces."""
        self._access.take(self._exit_reason())
        self._serve_left(mmio, pio)
        self._access.kind = 0

    def _step_through(self, mmio: AccessPort, pio: AccessPort) -> Outcome:
        """Execute one instruction with its accesses."""
        while True:
            outcome = self.step()
            if not self._access.kind or self._access.of_msr:
                return _spent(outcome)
            self._serve_left(mmio, pio)

    def _serve_undone(self, mmio: AccessPort, pio: AccessPort) -> Outcome | None:
        """Do what is left of the access in flight, unless the owner has seen and done it.

        Returns:
            What the instruction has ended with, where that is the owner's.
        """
        access = self._access
        if not access.kind or access.of_msr:
            return None
        if self._answer is not None or not (access.reads or self._refused):
            following = self._settle()
            if following is not None and not self._access.kind:
                return following
        self._serve_left(mmio, pio)
        return None

    def _serve_left(self, mmio: AccessPort, pio: AccessPort) -> None:
        """Do what is left of the access in flight."""
        self._refused = True  # unless the next line comes to its end
        self._access.serve(mmio, pio)
        self._refused = False

    def _settle(self) -> Outcome | None:
        """Do with the access in flight what the owner has said; return the next piece of it."""
        access, answer = self._access, self._answer
        if not access.kind:
            return None
        if access is self._kernels and self._transfer.changed:
            raise self._changed_in_flight()
        if access.left:
            if access.reads and answer is None:
                wanted = access.outcome()
                raise StepError(f"{wanted} awaits its value: `complete` it")
            access.done(answer or 0)
            self._answer, self._refused = None, False
            if access.left:
                return access.outcome()
        access.kind = 0
        return self._go_on()

    def kick(self) -> None:
        """End the run in progress, or else the next one, at an instruction boundary.

        For any thread; the run returns `BudgetSpent`. An instruction that waits for a device is
        completed first.
        """
        self._check_open("kick")
        self._kicker.kick()

    # -- end -----------------------------------------------------------------------------------

    def _check_budget(self, budget: int) -> None:
        if not isinstance(budget, int) or budget < 1:
            raise StepError(f"a budget is 1 or more instructions, not {budget!r}")
        self._check_open("KVM_RUN")

    def close(self) -> None:
        """Give the vCPU back; again is nothing.

        Raises:
            StepError: it runs.
        """
        if self._handle.fd >= 0:
            self._kicker.close()
            self._let_go()

    def _let_go(self) -> None:
        self._second.release()
        self._page.close()

    def __del__(self) -> None:
        """Close what was forgotten."""
        if hasattr(self, "_second") and self._handle.fd >= 0:
            self._handle.close()
            self._let_go()


def _spent(outcome: Outcome) -> Outcome:
    """Make what a step has done the end of a budget of one instruction."""
    return BudgetSpent(outcome.rip) if isinstance(outcome, Done) else outcome
