# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC of software vCPUs with one thread each, on the host's time.

Theory of operation
-------------------
One lock, `lock`, is around everything but guest code: devices, local APICs, the address maps'
handlers, and the marks that say who sleeps. A vCPU's thread takes it for each exit.

An interrupt for a vCPU is a word in its record, which its engine looks at before each instruction;
a vCPU in HLT sleeps on a condition of its own. The end of a run, an INIT, and a request that only
the task priority holds back kick the engine: the last, since the priority that the other thread
saw may be an old one.

The native engine lets go of Python's lock while it runs, so vCPUs run at the same time; locked
instructions are atomic among them (`docs/insn.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from threading import Condition
from typing import TYPE_CHECKING, Final, Literal

from vmmkit.backends._machine_board import GIGAHERTZ, Board, BoardOptions
from vmmkit.backends._machine_debugged import DebuggedMachine
from vmmkit.backends._machine_outcomes import MachineHalted, MachineOutcome, RunEnded, VcpuExit
from vmmkit.backends._machine_run import HostTimeRuns
from vmmkit.backends._machine_snapshot import MachineSnapshot
from vmmkit.backends._machine_vcpu import MachineVcpu, Ways
from vmmkit.backends._machine_ways import locked_read, locked_write
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import MachineError
from vmmkit.insn import ExitKind
from vmmkit.insn.cpuid import CpuidSource
from vmmkit.memregion import RegionMap
from vmmkit.protocols import InterruptLine

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ThreadedMachine"]

SLICE: Final = 20_000  # instructions between two looks at the host's time
BUDGET: Final = int(ExitKind.BUDGET)
HALT: Final = int(ExitKind.HALT)


class ThreadedMachine(DebuggedMachine, HostTimeRuns, Board):
    """A PC with a thread for each vCPU.

    Args:
        ram: `(gpa, buffer)` pieces, as for `vmmkit.insn.Cpu`; every vCPU sees them.
        vcpus: how many, or their APIC IDs; the first one is the bootstrap processor.
        engine: `"native"`, `"pure"`, or `None` for the preferred one.
        cpuid: as for `SoftMachine`.
        msrs: as for `SoftMachine`.
        unknown_msrs: as for `SoftMachine`.
        mmio: as for `SoftMachine`; handlers run under `lock`.
        pio: as for `SoftMachine`; handlers run under `lock`.
        timer_hz: rate of the local APICs' timers at divisor 1.
        start: what the real-time clock shows at time zero.

    Attributes:
        lock: held while a vCPU does anything but execute guest code; reentrant.

    Raises:
        MachineError, GuestMemoryError, EngineError, OverlapError, DeviceError: as `SoftMachine`.
    """

    _host_time = True

    def __init__(
        self,
        ram: Iterable[tuple[int, Buffer]] = (),
        *,
        vcpus: int | Sequence[int] = 1,
        engine: str | None = None,
        cpuid: Sequence[CpuidSource] | None = None,
        msrs: Sequence[MsrSource] | None = None,
        unknown_msrs: Literal["fault", "exit"] = "fault",
        mmio: RegionMap | None = None,
        pio: RegionMap | None = None,
        timer_hz: int = GIGAHERTZ,
        start: datetime = datetime(2000, 1, 1),  # noqa: DTZ001 - what an RTC shows has no zone
    ) -> None:
        """Wire the machine."""
        self._asleep: set[int] = set()
        options = BoardOptions(
            vcpus, engine, cpuid, msrs, unknown_msrs, mmio, pio, timer_hz, start
        )  # fmt: skip
        HostTimeRuns.__init__(self, len(options.apic_ids))
        self._woken = [Condition(self.lock) for _ in options.apic_ids]
        Board.__init__(
            self,
            ram,
            options,
            tsc_hz=GIGAHERTZ,
            guard=self.lock,
            attend=self._attend,
            moved=self._changed_now,
        )

    # -- the lock ------------------------------------------------------------------------------

    def _ways(self, vcpu: MachineVcpu) -> Ways:
        lock, (read, write, port_in, port_out) = self.lock, super()._ways(vcpu)
        return (
            locked_read(lock, read),
            locked_write(lock, write),
            locked_read(lock, port_in),
            locked_write(lock, port_out),
        )

    def line(self, gsi: int) -> InterruptLine:
        """Return the interrupt line of a global system interrupt, for any thread.

        As `SoftMachine.line`; the callable takes `lock`.
        """
        drive, lock = super().line(gsi), self.lock

        def locked(level: bool, /) -> None:
            with lock:
                drive(level)

        return locked

    def msi(self, address: int, data: int) -> bool:
        """Deliver a device's message, for any thread; as `SoftMachine.msi`, under `lock`."""
        with self.lock:
            return super().msi(address, data)

    # -- waking --------------------------------------------------------------------------------

    def _attend(self, vcpu: MachineVcpu) -> None:
        with self.lock:
            if vcpu.state.tpr_threshold:
                vcpu.kick()
            if vcpu.index in self._asleep:
                self._woken[vcpu.index].notify()

    # -- running -------------------------------------------------------------------------------

    _run_directly = HostTimeRuns.run
    _stop_directly = HostTimeRuns.stop
    _forget_stop_directly = HostTimeRuns.forget_kick

    def run(self, seconds: float | None = None, *, through_halt: bool = False) -> MachineOutcome:
        """Run all vCPUs until one needs the owner.

        Args:
            seconds: of the host's time at most; `None` for as long as it takes.
            through_halt: whether to wait for interrupts from other threads, instead of returning
                `MachineHalted`, when all vCPUs wait and no timer will wake one.

        Returns:
            The outcome; of several that come at once the others are those of the next calls.

        Raises:
            MachineError: the machine runs already.
            StepError: an exit before wants an answer.
            Exception: whatever a handler raised in a vCPU's thread.
        """
        return self._run_by_target(seconds, through_halt=through_halt)

    def _time_goes_on(self) -> None:
        self._asleep.clear()
        self._tell_time()

    def _time_stands(self) -> None:
        self._tell_time(forwards=True)

    def _end_work(self) -> None:
        for vcpu, woken in zip(self.vcpus, self._woken, strict=True):
            vcpu.kick()
            woken.notify()

    def step(self, index: int) -> MachineOutcome:
        """Execute one instruction of a vCPU on the caller's thread, be it paused.

        Or deliver one event to it, or execute one element of a repeated instruction. The other
        vCPUs do not run meanwhile; time goes on.

        Args:
            index: the vCPU's number.

        Returns:
            `RunEnded`, `VcpuExit`, or `MachineHalted`, with nothing executed, where the vCPU is in
            HLT or waits for a start-up message and nothing wakes it now. An exit of this vCPU that
            `run` has not returned yet is returned first, with nothing executed.

        Raises:
            MachineError: there is no such vCPU, or the machine runs already.
            StepError: an exit before wants an answer.
            Exception: whatever a handler raises.
        """
        vcpu = self._vcpu(index)
        with self._one_run():
            for found in self._exits:
                if found.vcpu == index:
                    self._exits.remove(found)
                    return found
            with self.lock:
                self._begin()
            try:
                return self._step(vcpu)
            finally:
                self._stop_time()

    def _step(self, vcpu: MachineVcpu) -> MachineOutcome:
        with self.lock:
            self._agenda.advance(self.time)
            if not vcpu.settle(though_paused=True):
                return MachineHalted(self.time)
            vcpu.set_time(vcpu.lapic.tsc, forwards=True)
        kind = vcpu.turn(1, by_element=True)
        if kind not in (BUDGET, HALT):
            return VcpuExit(vcpu.index, vcpu.outcome(kind))
        with self.lock:
            self._agenda.advance(self.time)
            return RunEnded(self.time)

    def _all_wait(self) -> bool:
        """Whether every vCPU sleeps and none is about to wake."""
        asleep = len(self._asleep) == len(self.vcpus)
        return asleep and not any(vcpu.settle() for vcpu in self.vcpus)

    # -- the threads of vCPUs --------------------------------------------------------------------

    def _work_until_end(self, index: int) -> VcpuExit | None:
        vcpu = self.vcpus[index]
        while self._ready(vcpu):
            kind = vcpu.turn(SLICE)
            if kind not in (BUDGET, HALT):
                return VcpuExit(index, vcpu.outcome(kind))
        return None

    def _ready(self, vcpu: MachineVcpu) -> bool:
        """Wait until there is something to execute; return false when the run ends."""
        with self.lock:
            while not self._ending and not vcpu.settle():
                self._asleep.add(vcpu.index)
                self._changed.set()
                self._woken[vcpu.index].wait()
                self._asleep.discard(vcpu.index)
            vcpu.set_time(vcpu.lapic.tsc, forwards=True)
            return not self._ending

    # -- state ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset every processor and device of the machine; RAM and time stay.

        Exits that `run` has not returned yet are gone.

        Raises:
            MachineError: the machine runs.
        """
        super().reset()
        self._exits.clear()

    def snapshot(self) -> MachineSnapshot:
        """Return everything but RAM and the owner's devices, between two runs.

        Raises:
            MachineError: exits of the last run have not been returned yet, or the machine runs.
        """
        if self._exits:
            raise MachineError(f"{self._exits[0]} and others wait: run again before a snapshot")
        return self._snapshot(0, 0)

    def restore(self, snapshot: MachineSnapshot) -> None:
        """Take the state of `snapshot`, of a machine with as many vCPUs, between two runs.

        Raises:
            MachineError: no snapshot, or that of another machine, or the machine runs.
            DeviceError: a device cannot have the state in it.
        """
        state = self._check(snapshot)
        self._elapsed = state.time
        self._exits.clear()
        self._restore(state)
