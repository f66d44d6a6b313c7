# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC of software vCPUs with one thread each, on the host's time.

Theory of operation
-------------------
One lock, `lock`, is around everything but guest code: devices, local APICs, the address maps'
handlers, and the marks that say who sleeps. A vCPU's thread takes it for each exit. Threads exist
while `run` does: it starts them, keeps the timers meanwhile, and ends them before it returns, so
that the owner never meets a running vCPU.

An interrupt for a vCPU is a word in its record, which its engine looks at before each instruction;
a vCPU in HLT sleeps on a condition of its own. The end of a run, an INIT, and a request that only
the task priority holds back kick the engine: the last, since the priority that the other thread
saw may be an old one.

The native engine lets go of Python's lock while it runs, so vCPUs run at the same time; locked
instructions are atomic among them (`docs/insn.md`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from threading import Condition, RLock, Thread
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Literal

from vmmkit.backends._machine_board import GIGAHERTZ, Board, BoardOptions
from vmmkit.backends._machine_outcomes import MachineHalted, MachineOutcome, RunEnded, VcpuExit
from vmmkit.backends._machine_snapshot import MachineSnapshot
from vmmkit.backends._machine_time import NEVER
from vmmkit.backends._machine_vcpu import MachineVcpu, Ways
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
SHORTEST_WAIT: Final = 20e-6  # so that a timer without rest leaves the lock to the vCPUs
LONGEST_WAIT: Final = 3600.0  # seconds; a longer one is several
BUDGET: Final = int(ExitKind.BUDGET)
HALT: Final = int(ExitKind.HALT)


class ThreadedMachine(Board):
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
        self.lock = RLock()
        self._elapsed = 0  # ns until the present run
        self._began: int | None = None  # the host's time when virtual time was zero
        self._changed = Condition(self.lock)  # for the thread of `run`
        self._ending = self._stopped = False
        self._asleep: set[int] = set()
        self._exits: deque[VcpuExit] = deque()
        self._errors: list[BaseException] = []
        options = BoardOptions(
            vcpus, engine, cpuid, msrs, unknown_msrs, mmio, pio, timer_hz, start
        )  # fmt: skip
        self._woken = [Condition(self.lock) for _ in options.apic_ids]
        super().__init__(
            ram,
            options,
            tsc_hz=GIGAHERTZ,
            guard=self.lock,
            attend=self._attend,
            moved=self._changed_now,
        )

    @property
    def time(self) -> int:
        """Virtual time in nanoseconds: the host's, while a run is in progress."""
        return self._elapsed if self._began is None else monotonic_ns() - self._began

    # -- the lock ------------------------------------------------------------------------------

    def _ways(self, vcpu: MachineVcpu) -> Ways:
        read, write, port_in, port_out = super()._ways(vcpu)
        return (
            self._locked_read(read),
            self._locked_write(write),
            self._locked_read(port_in),
            self._locked_write(port_out),
        )

    def _locked_read(self, read: Callable[[int, int], int]) -> Callable[[int, int], int]:
        lock = self.lock

        def locked(address: int, size: int) -> int:
            with lock:
                return read(address, size)

        return locked

    def _locked_write(
        self, write: Callable[[int, int, int], object]
    ) -> Callable[[int, int, int], object]:
        lock = self.lock

        def locked(address: int, size: int, value: int) -> object:
            with lock:
                return write(address, size, value)

        return locked

    def line(self, gsi: int) -> InterruptLine:
        """Return the interrupt line of a global system interrupt, for any thread.

        As `SoftMachine.line`; the callable takes `lock`.
        """
        drive, lock = super().line(gsi), self.lock

        def locked(level: bool, /) -> None:
            with lock:
                drive(level)

        return locked

    # -- waking --------------------------------------------------------------------------------

    def _changed_now(self) -> None:
        with self.lock:
            self._changed.notify()

    def _attend(self, vcpu: MachineVcpu) -> None:
        with self.lock:
            if vcpu.state.tpr_threshold:
                vcpu.kick()
            if vcpu.index in self._asleep:
                self._woken[vcpu.index].notify()

    def stop(self) -> None:
        """End the run in progress, or else the next one; for any thread."""
        with self.lock:
            self._stopped = True
            self._changed.notify()

    def forget_kick(self) -> None:
        """Have a `stop` that no run has noticed end none."""
        with self.lock:
            self._stopped = False

    # -- running -------------------------------------------------------------------------------

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
        with self._one_run():
            return self._exits.popleft() if self._exits else self._run(seconds, through_halt)

    def _run(self, seconds: float | None, through_halt: bool) -> MachineOutcome:
        threads = [
            Thread(target=self._work, args=(vcpu,), name=f"vcpu {vcpu.index}")
            for vcpu in self.vcpus
        ]
        with self.lock:
            self._begin()
        try:
            for thread in threads:
                thread.start()
            with self.lock:
                outcome = self._keep_time(seconds, through_halt)
        finally:
            self._end(threads)
        if self._errors:
            raise self._errors[0]
        return outcome or self._exits.popleft()

    def _begin(self) -> None:
        self._began = monotonic_ns() - self._elapsed
        self._ending = False
        self._asleep.clear()
        self._errors.clear()
        self._agenda.forget()
        self._tell_time()

    def _end(self, threads: list[Thread]) -> None:
        """Have all vCPUs stop, and time too."""
        with self.lock:
            self._ending, self._stopped = True, False
            for vcpu, woken in zip(self.vcpus, self._woken, strict=True):
                vcpu.kick()
                woken.notify()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        self._stop_time()

    def _stop_time(self) -> None:
        self._elapsed, self._began = self.time, None
        self._tell_time(forwards=True)

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

    def _keep_time(self, seconds: float | None, through_halt: bool) -> MachineOutcome | None:
        """Keep the timers until the run ends; `None` says that an exit or an error ended it."""
        end = NEVER if seconds is None else self.time + int(seconds * GIGAHERTZ)
        while not (self._exits or self._errors):
            now = self.time
            self._agenda.advance(now)
            if self._stopped or now >= end:
                return RunEnded(now)
            if self._agenda.earliest == NEVER and not through_halt and self._all_wait():
                return MachineHalted(now)
            wait = (min(end, self._agenda.earliest) - now) / GIGAHERTZ
            self._changed.wait(max(SHORTEST_WAIT, min(wait, LONGEST_WAIT)))
        return None

    def _all_wait(self) -> bool:
        """Whether every vCPU sleeps and none is about to wake."""
        asleep = len(self._asleep) == len(self.vcpus)
        return asleep and not any(vcpu.settle() for vcpu in self.vcpus)

    def take_exits(self) -> list[VcpuExit]:
        """Take the exits that came with the one `run` has returned, in place of its next calls."""
        taken = [*self._exits]
        self._exits.clear()
        return taken

    # -- the threads of vCPUs --------------------------------------------------------------------

    def _work(self, vcpu: MachineVcpu) -> None:
        """Run a vCPU until the run ends."""
        try:
            while self._ready(vcpu):
                kind = vcpu.turn(SLICE)
                if kind not in (BUDGET, HALT):
                    self._report(VcpuExit(vcpu.index, vcpu.outcome(kind)))
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where `run` was called
            with self.lock:
                self._errors.append(error)
                self._changed.notify()

    def _ready(self, vcpu: MachineVcpu) -> bool:
        """Wait until there is something to execute; return false when the run ends."""
        with self.lock:
            while not self._ending and not vcpu.settle():
                self._asleep.add(vcpu.index)
                self._changed.notify()
                self._woken[vcpu.index].wait()
                self._asleep.discard(vcpu.index)
            vcpu.set_time(vcpu.lapic.tsc, forwards=True)
            return not self._ending

    def _report(self, found: VcpuExit) -> None:
        with self.lock:
            self._exits.append(found)
            self._changed.notify()

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
