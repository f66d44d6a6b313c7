# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC of software vCPUs on one thread and on virtual time.

Theory of operation
-------------------
Time is a number of ticks, one for each instruction that any vCPU completes. The vCPUs take turns;
while one runs, the time is what it was at the beginning of the slice and the instructions since,
so a device that is accessed in mid-slice reads the clock exactly, at no cost in the engine.

A slice is bounded by the turn, by the budget of `run` and by the nearest deadline. What may move
that deadline, or wakes another vCPU while this one is alone, kicks the running vCPU: the slice
ends at the next instruction boundary and a new one is measured. Nothing of that depends on the
host, and neither does whose turn it is on how `run` was cut into pieces: what is left of a turn is
state of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from vmmkit.backends._machine_board import Board, BoardOptions
from vmmkit.backends._machine_debugged import DebuggedMachine
from vmmkit.backends._machine_outcomes import MachineHalted, MachineOutcome, RunEnded, VcpuExit
from vmmkit.backends._machine_snapshot import MachineSnapshot, VcpuSnapshot
from vmmkit.backends._machine_time import NEVER, TimedWindow
from vmmkit.backends._machine_vcpu import MachineVcpu
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import MachineError
from vmmkit.insn import WORD, ExitKind
from vmmkit.insn.cpuid import CpuidSource
from vmmkit.memregion import RegionMap

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "DEFAULT_INSTRUCTIONS",
    "DEFAULT_QUANTUM",
    "DEFAULT_RATE",
    "MachineHalted",
    "MachineOutcome",
    "MachineSnapshot",
    "MachineVcpu",
    "RunEnded",
    "SoftMachine",
    "TimedWindow",
    "VcpuExit",
    "VcpuSnapshot",
]

DEFAULT_INSTRUCTIONS: Final = 1_000_000
"""Instructions that one `run` executes at most, unless told otherwise."""
DEFAULT_QUANTUM: Final = 1000
"""Instructions of a turn."""
DEFAULT_RATE: Final = 100_000_000
"""Instructions per second of virtual time."""

NANOSECONDS: Final = 1_000_000_000
ALL_ONES: Final = (1 << 64) - 1
LONGEST: Final = 1 << 62  # instructions in one slice
RETIRED: Final = WORD["retired"]
RIP: Final = WORD["rip"]
BUDGET: Final = int(ExitKind.BUDGET)
HALT: Final = int(ExitKind.HALT)


class SoftMachine(DebuggedMachine, Board):
    """A PC whose vCPUs take turns on the caller's thread.

    Args:
        ram: `(gpa, buffer)` pieces, as for `vmmkit.insn.Cpu`; every vCPU sees them.
        vcpus: how many, or their APIC IDs; the first one is the bootstrap processor.
        engine: `"native"`, `"pure"`, or `None` for the preferred one.
        cpuid: answers CPUID, a source for each vCPU; without it a `CpuidModel` each with its APIC
            ID, and with the bits of the local APIC.
        msrs: MSRs that neither the engine nor the local APIC holds, a source for each vCPU;
            without it an `MsrFile` each.
        unknown_msrs: what becomes of those that the source does not have: `"fault"`, #GP(0), or
            `"exit"`, a `ReadMsr` or `WriteMsr` for the owner.
        mmio: the guest-physical address map to put windows into; without it a new one, with the
            RAM.
        pio: the same for I/O ports.
        timer_hz: rate of the local APICs' timers at divisor 1.
        start: what the real-time clock shows at time zero.
        instructions_per_second: of virtual time, a divisor of 10**9; the rate of the time-stamp
            counters too.
        quantum: instructions of a turn, at least 1.

    Raises:
        MachineError: arguments that do not fit together.
        GuestMemoryError, EngineError: as `vmmkit.insn.Cpu`.
        OverlapError: a window's place in `mmio` or `pio` is taken.
        DeviceError: an APIC ID or a rate out of range.
    """

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
        timer_hz: int = NANOSECONDS,
        start: datetime = datetime(2000, 1, 1),  # noqa: DTZ001 - what an RTC shows has no zone
        instructions_per_second: int = DEFAULT_RATE,
        quantum: int = DEFAULT_QUANTUM,
    ) -> None:
        """Wire the machine."""
        self._tick = _tick_of(instructions_per_second)
        if not isinstance(quantum, int) or quantum < 1:
            raise MachineError(f"a quantum is at least 1 instruction, not {quantum!r}")
        self._quantum = quantum
        self._ticks = 0
        self._skipped = 0  # of these in jumps, but for one each
        self._running: memoryview | None = None  # the words of the vCPU that runs
        self._origin = 0  # what they counted when time was zero
        self._turn, self._left, self._alone = 0, quantum, False
        self._kicked = False
        self.on_turn: Callable[[int, int], object] | None = None
        """Called with vCPU and RIP when a turn ends."""
        options = BoardOptions(
            vcpus, engine, cpuid, msrs, unknown_msrs, mmio, pio, timer_hz, start
        )  # fmt: skip
        super().__init__(
            ram,
            options,
            tsc_hz=instructions_per_second,
            guard=nullcontext(),
            attend=self._attend,
            moved=self._measure_anew,
        )

    # -- time ----------------------------------------------------------------------------------

    @property
    def ticks(self) -> int:
        """Instructions' times since the machine was made."""
        return self.time // self._tick

    @property
    def spent(self) -> int:
        """Instructions and jumps of time so far, between two runs; see `instructions` of `run`."""
        return self._ticks - self._skipped

    @property
    def tick(self) -> int:
        """Nanoseconds of virtual time that an instruction takes."""
        return self._tick

    @property
    def time(self) -> int:
        """Virtual time in nanoseconds."""
        running = self._running
        if running is None:
            return self._ticks * self._tick
        return (running[RETIRED] - self._origin & ALL_ONES) * self._tick

    def _ticks_until(self, time: int) -> int:
        return -((self._ticks * self._tick - time) // self._tick)

    def _measure_anew(self) -> None:
        """End the slice at the next instruction boundary."""
        if self._running is not None:
            self.vcpus[self._turn].kick()

    def _attend(self, vcpu: MachineVcpu) -> None:
        """Let a vCPU that may have woken take part."""
        if self._alone and vcpu.index != self._turn:
            self._measure_anew()

    # -- running -------------------------------------------------------------------------------

    def run(self, instructions: int | None = None, *, until: int | None = None) -> MachineOutcome:
        """Run until the owner is needed.

        Args:
            instructions: of all vCPUs together, at least 1; `DEFAULT_INSTRUCTIONS` if neither this
                nor `until` is given. A jump of time counts as one.
            until: virtual time in ns.

        Raises:
            MachineError: no such budget or time, or the machine runs already.
            StepError: the last exit wants an answer.
            RegionError: a device's, see `vmmkit.backends.SoftVcpu.run_through`.
        """
        return self._run_by_target(instructions, until=until)

    def _run_directly(
        self, instructions: int | None = None, *, until: int | None = None
    ) -> MachineOutcome:
        budget = _budget(instructions, until)
        with self._one_run():
            self._begin()
            try:
                return self._run(budget, NEVER if until is None else until)
            finally:
                self._tell_time()

    def _run(self, budget: int, end: int) -> MachineOutcome:
        while budget > 0 and not self._kicked and self._ticks_until(end) > 0:
            self._agenda.advance(self._ticks * self._tick)
            vcpu = self._next()
            before = self._ticks
            if vcpu is None:
                if self._agenda.earliest >= NEVER:
                    return MachineHalted(self.time)
                jump = max(1, self._ticks_until(min(self._agenda.earliest, end)))
                self._ticks += jump
                self._skipped += jump - 1
                budget -= 1
                continue
            kind = self._slice(vcpu, min(budget, self._ticks_until(end)))
            budget -= self._ticks - before
            if kind not in (BUDGET, HALT):
                return VcpuExit(vcpu.index, vcpu.outcome(kind))
        self._kicked = False
        self._agenda.advance(self._ticks * self._tick)
        return RunEnded(self.time)

    def step(self, index: int) -> MachineOutcome:
        """Execute one instruction of a vCPU, be it paused and whosever turn it is.

        Or deliver one event to it, or execute one element of a repeated instruction. Deadlines and
        time are those of `run`; whose turn it is stays as it is, and the instruction is one of this
        turn's if the turn is this vCPU's.

        Args:
            index: the vCPU's number.

        Returns:
            `RunEnded`, `VcpuExit`, or `MachineHalted`, with no time passed, where the vCPU is in
            HLT or waits for a start-up message and nothing wakes it now.

        Raises:
            MachineError: there is no such vCPU, or the machine runs already.
            StepError, RegionError: as `run`.
        """
        vcpu = self._vcpu(index)
        with self._one_run():
            self._begin()
            try:
                return self._step(vcpu)
            finally:
                self._tell_time()

    def _step(self, vcpu: MachineVcpu) -> MachineOutcome:
        self._agenda.advance(self._ticks * self._tick)
        if not vcpu.settle(though_paused=True):
            return MachineHalted(self.time)
        whose, before = self._turn, self._ticks
        takes_turn = whose == vcpu.index and any(
            other.settle() for other in self.vcpus if other is not vcpu
        )
        self._turn, self._alone = vcpu.index, True
        try:
            kind = self._slice(vcpu, 1, by_element=True)
        finally:
            self._turn = whose
            if takes_turn:
                self._left = max(self._left - (self._ticks - before), 0)
        if kind not in (BUDGET, HALT):
            return VcpuExit(vcpu.index, vcpu.outcome(kind))
        self._agenda.advance(self._ticks * self._tick)
        return RunEnded(self.time)

    def kick(self) -> None:
        """As `stop`."""
        self.stop()

    def _stop_directly(self) -> None:
        self._kicked = True
        for vcpu in self.vcpus:
            vcpu.kick()

    def _forget_stop_directly(self) -> None:
        self._kicked = False

    def _begin(self) -> None:
        """Look at what the owner may have changed."""
        self._running = None
        self._agenda.forget()
        self._tell_time()

    def _next(self) -> MachineVcpu | None:
        """Choose the vCPU that runs: whose turn it is, or the next that has something to do.

        INIT and SIPI take effect here.
        """
        ready = [vcpu.settle() for vcpu in self.vcpus]
        able = sum(ready)
        self._alone = able == 1
        if not able:
            return None
        if not (ready[self._turn] and (self._left or self._alone)):
            self._end_turn()
            while not ready[self._turn]:
                self._turn = (self._turn + 1) % len(ready)
        return self.vcpus[self._turn]

    def _end_turn(self) -> None:
        vcpu = self.vcpus[self._turn]
        if self.on_turn is not None:
            self.on_turn(self._turn, vcpu.state.rip)
        self._turn = (self._turn + 1) % len(self.vcpus)
        self._left = self._quantum

    def _slice(self, vcpu: MachineVcpu, budget: int, *, by_element: bool = False) -> int:
        """Run a vCPU until the next deadline at most; return the exit's kind."""
        length = min(budget, LONGEST, max(1, self._ticks_until(self._agenda.earliest)))
        if not self._alone:
            length = min(length, self._left)
        words = vcpu.state.words
        start = words[RETIRED]
        vcpu.set_time(vcpu.lapic.tsc)
        self._origin, self._running = start - self._ticks, words
        try:
            kind = vcpu.turn(length, by_element=by_element)
        finally:
            self._running = None
            done = words[RETIRED] - start & ALL_ONES
            self._ticks += done
            if not self._alone:
                self._left = max(self._left - done, 0)
        return kind

    # -- state ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset every processor and device of the machine; RAM and time stay.

        Raises:
            MachineError: the machine runs.
        """
        super().reset()
        self._turn, self._left = 0, self._quantum

    def snapshot(self) -> MachineSnapshot:
        """Return everything but RAM and the owner's devices, between two runs.

        Raises:
            MachineError: the machine runs.
        """
        return self._snapshot(self._turn, self._left)

    def restore(self, snapshot: MachineSnapshot) -> None:
        """Take the state of `snapshot`, of a machine with as many vCPUs and the same rates.

        Raises:
            MachineError: no snapshot, or that of another machine, or the machine runs.
            DeviceError: a device cannot have the state in it.
        """
        state = self._check(snapshot)
        self._ticks, self._running = -(-state.time // self._tick), None
        self._restore(state)
        self._turn, self._left = state.turn, state.left


def _tick_of(rate: Any) -> int:
    """Return the nanoseconds of an instruction."""
    if not isinstance(rate, int) or rate < 1 or NANOSECONDS % rate:
        raise MachineError(f"instructions_per_second is a divisor of 10**9, not {rate!r}")
    return NANOSECONDS // rate


def _budget(instructions: int | None, until: int | None) -> int:
    if until is not None and not isinstance(until, int):
        raise MachineError(f"until is a time in nanoseconds, not {until!r}")
    if instructions is None:
        return DEFAULT_INSTRUCTIONS if until is None else NEVER
    if not isinstance(instructions, int) or instructions < 1:
        raise MachineError(f"a run is at least 1 instruction, not {instructions!r}")
    return instructions
