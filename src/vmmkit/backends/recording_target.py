# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debugging a `SoftMachine` backwards.

`RecordingTarget` is a `MachineTarget` that remembers what the machine did, while a debugger is
attached or after `record`. `reverse-stepi`, `reverse-continue` and their like then go back by
taking an earlier state and running forward again from there.

Going forward from the past is running: it makes new history, and what was recorded after that
point is forgotten.

What comes from outside of the machine is not recorded. A debugger's writes, what the owner does
about exits, and what it changes between two calls of `run` as far as registers and the machine's
devices show it, begin a new checkpoint, and the history before stays. Anything else that is not a
matter of the machine's own state, such as a line raised by another thread or a device that reads
a file, leads a replay astray. That is noticed at the next checkpoint at the latest, and ends the
way back there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from vmmkit.backends._debug_control import Seat
from vmmkit.backends._debug_history import Checkpointed, History
from vmmkit.backends._debug_replay import Cancelled, Diverged, Segment
from vmmkit.backends._machine_outcomes import MachineOutcome, RunEnded, VcpuExit
from vmmkit.backends._machine_vcpu import MachineVcpu
from vmmkit.backends.machine_target import Limits, MachineTarget
from vmmkit.backends.soft_machine import DEFAULT_INSTRUCTIONS, SoftMachine
from vmmkit.errors import MachineError
from vmmkit.gdb.target import CONTINUE, Action, Report, Stop, StopKind
from vmmkit.insn import DebugExit, ExitKind

__all__ = ["DEFAULT_INTERVALS", "DEFAULT_LIMIT", "RecordingTarget"]

DEFAULT_INTERVALS: Final[Mapping[str, int]] = {"native": 1_000_000, "pure": 10_000}
"""Instructions between two checkpoints, by engine."""
DEFAULT_LIMIT: Final = 1 << 29
"""Bytes that a history has beside one copy of RAM, unless told otherwise."""

Journey = Callable[[], list[Stop]]


class RecordingTarget(MachineTarget):
    """A `SoftMachine` that can be debugged backwards too.

    Args:
        machine: the machine; its owner calls `run` of the target instead of the machine's.
        devices: objects in the owner's maps whose state belongs to the machine's; each has
            `snapshot()` and `restore(snapshot)`.
        interval: ticks of virtual time between two checkpoints; `DEFAULT_INTERVALS` if not given.
        limit: bytes that checkpoints may take, most of which are pages of RAM that changed. The
            oldest are dropped beyond that. One copy of all RAM comes on top.

    Attributes:
        replaying: whether what the machine does now is a repetition, so that handlers of the owner
            should keep to themselves what they tell the world.

    Raises:
        MachineError: no `SoftMachine`, or an interval or a limit below 1.
    """

    def __init__(
        self,
        machine: SoftMachine,
        *,
        devices: Iterable[Checkpointed] = (),
        interval: int | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> None:
        """Look at what the machine is made of; record nothing yet."""
        if not isinstance(machine, SoftMachine):
            message = f"{type(machine).__name__} cannot be recorded: it does not repeat itself"
            raise MachineError(message)
        super().__init__(machine)
        if interval is None:
            interval = DEFAULT_INTERVALS[machine.vcpus[0].engine]
        if interval < 1 or limit < 1:
            message = f"interval and limit are at least 1, not {interval!r} and {limit!r}"
            raise MachineError(message)
        self._soft, self._interval = machine, interval
        self._history = History(machine, tuple(devices), limit=limit, cancelled=self._cancelled)
        self._recording = self._forgetting = False
        self._due = 0  # virtual time of the next checkpoint
        self._journey: Journey | None = None
        self._left_at: object = None
        self.replaying = False

    # -- for the owner ---------------------------------------------------------------------------

    def record(self) -> None:
        """Begin to record, with or without a debugger, between two calls of `run`.

        The recording ends when a debugger detaches.
        """
        if not self._recording:
            self._recording = self._forgetting = True

    def note_change(self) -> None:
        """Say that RAM, or a device of the owner's, was changed from outside between two runs.

        It is the state so changed that a way back then leads through.
        """
        self._history.touched = True

    def run(self, *limits: Any, **options: Any) -> MachineOutcome:
        """As `MachineTarget.run`."""
        if self._history.exists and self._left_at != self._soft.snapshot():
            self._history.touched = True
        self._left_at = None
        outcome = super().run(*limits, **options)
        if self._history.exists and not isinstance(outcome, VcpuExit):
            self._left_at = self._soft.snapshot()
        return outcome

    # -- recording -------------------------------------------------------------------------------

    def _forget_if_due(self) -> None:
        """Drop the history of a recording that is over, on the thread that uses it."""
        if self._forgetting:
            self._forgetting = False
            self._history.clear()

    def _begin(self) -> None:
        self._forget_if_due()
        if not self._history.exists or self._history.touched:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._breakpoints.lift()
        try:
            self._history.checkpoint()
        finally:
            self._breakpoints.reinstate()
        self._postpone()

    def _postpone(self) -> None:
        self._due = self._soft.time + self._interval * self._soft.tick

    def _checkpoint_if_worth_it(self) -> None:
        """Begin another interval, unless the guest has slept for the most of this one."""
        if self._history.executed < self._interval // 2:
            self._postpone()
        else:
            self._checkpoint()

    def _segment(self, vcpu: int | None) -> Callable[[], None]:
        """Return what is to be called when something has run."""
        vcpus, before = self._soft.vcpus, self._soft.time
        paused = tuple(one.paused for one in vcpus)
        held = tuple(one.interrupts_held for one in vcpus)

        def ended() -> None:
            steps = 0 if vcpu is None else 1
            if steps or self._soft.time > before:
                self._history.log(Segment(vcpu, paused, held, self._soft.time, steps))

        return ended

    def _at_breakpoint(self, _seat: Seat, _vcpu: MachineVcpu) -> int:
        """End the run at every hit, so that history has all that happens between two runs."""
        return int(ExitKind.DEBUG)

    def _run_machine(self, *limits: Any, **options: Any) -> MachineOutcome:
        """Run in pieces, with a checkpoint between two."""
        if not self._recording:
            return super()._run_machine(*limits, **options)
        self._begin()
        until: int | None = options.get("until")
        left: int | None = limits[0] if limits else options.get("instructions")
        if left is None and until is None:
            left = DEFAULT_INSTRUCTIONS
        while True:
            start, due = self._soft.ticks, self._due
            outcome = self._run_piece(left, due if until is None else min(due, until))
            left = None if left is None else left - (self._soft.ticks - start)
            if not isinstance(outcome, RunEnded) or self._soft.time < due:
                return outcome
            self._checkpoint_if_worth_it()
            if (left is not None and left <= 0) or (until is not None and due >= until):
                return outcome

    def _run_piece(self, instructions: int | None, until: int) -> MachineOutcome:
        ended = self._segment(None)
        try:
            return self._soft._run_directly(instructions, until=until)  # noqa: SLF001 - as there
        except BaseException:
            self._history.touched = True
            raise
        finally:
            ended()

    def _step_machine(self, index: int) -> MachineOutcome:
        if not self._recording:
            return super()._step_machine(index)
        self._begin()
        if self._soft.time >= self._due:
            self._checkpoint_if_worth_it()
        before, ended = self._soft.time, self._segment(index)
        try:
            outcome = self._soft.step(index)
        except BaseException:
            self._history.touched = True
            raise
        hit = isinstance(outcome, VcpuExit) and isinstance(outcome.outcome, DebugExit)
        if not hit or self._soft.time > before:
            ended()
        return outcome

    # -- what comes from outside -----------------------------------------------------------------

    def write_registers(self, vcpu: int, values: Mapping[str, int], /) -> None:
        """As `RegisterWriter.write_registers`."""
        self._history.touched = True
        super().write_registers(vcpu, values)

    def write_memory(self, vcpu: int, address: int, data: bytes, /) -> None:
        """As `MemoryWriter.write_memory`."""
        self._history.touched = True
        super().write_memory(vcpu, address, data)

    def reset(self) -> None:
        """As `Resetter.reset`; the history begins anew."""
        super().reset()
        self._forgetting = True

    def debugger_attached(self) -> None:
        """As `AttachListener.debugger_attached`; the recording begins."""
        super().debugger_attached()
        self.record()

    def debugger_detached(self) -> None:
        """As `AttachListener.debugger_detached`; the recording ends."""
        self._recording, self._forgetting = False, True
        super().debugger_detached()

    # -- going back ------------------------------------------------------------------------------

    def resume(self, actions: Mapping[int, Action], report: Report | None, /) -> None:
        """As `Target.resume`."""
        self._journey = None
        super().resume(actions, report)

    def reverse_step(self, vcpu: int, report: Report, /) -> None:
        """As `Reverser.reverse_step`: to before the last thing that `vcpu` did.

        That is an instruction, an element of a repeated one, or the delivery of an event; what
        other vCPUs did after it is undone too.
        """
        index = self._control.seat(vcpu).index

        def journey() -> list[Stop]:
            found = self._history.back_one(index)
            return [Stop(index, StopKind.STEP if found else StopKind.HISTORY)]

        self._set_out(journey, report)

    def reverse_continue(self, report: Report, /) -> None:
        """As `Reverser.reverse_continue`: to before the last instruction that hit something.

        That is the one at a breakpoint, or the one whose access a watchpoint watches.
        """

        def journey() -> list[Stop]:
            found = self._history.back_to_hit(self._judge, self._armed)
            return list({stop.vcpu: stop for stop in found}.values()) or [Stop(0, StopKind.HISTORY)]

        self._set_out(journey, report)

    def _set_out(self, journey: Journey, report: Report) -> None:
        for seat in self._control.seats:
            seat.stop = None
        self._journey = journey
        super().resume(dict.fromkeys(self.vcpus(), CONTINUE), report)

    def _obey(self, limits: Limits) -> MachineOutcome | None:
        journey, self._journey = self._journey, None
        if not self._recording:
            self._forget_if_due()
        if journey is None:
            return super()._obey(limits)
        stops = self._travel(journey)
        self._driver.held.clear()
        for seat in self._control.seats:
            seat.told_at = None
        for stop in stops:
            self._tell(self._control.seats[stop.vcpu], stop)
        return None

    def _cancelled(self) -> bool:
        return not self._driver.has_orders or self._driver.released

    def _travel(self, journey: Journey) -> list[Stop]:
        """Go back, on the owner's thread; return the stops."""
        history = self._history
        if self._forgetting or not history.exists:
            return [Stop(0, StopKind.HISTORY)]
        with self._replaying():
            try:
                return journey()
            except Cancelled:
                history.to_newest()
                self._stale = True  # the kick may be left
                return []
            except Diverged as found:
                history.to_newest()
                message = f"The way back ends here: when repeated, {found}."
                return [Stop(0, StopKind.HISTORY, message=message)]

    @contextmanager
    def _replaying(self) -> Iterator[None]:
        """Have nobody but the machine take part: no breakpoints, nobody who looks at accesses."""
        vcpus = self._soft.vcpus
        self._breakpoints.suspend()
        self.replaying = True
        for vcpu, plain in zip(vcpus, self._plain, strict=True):
            vcpu.ways = plain
        try:
            yield
        finally:
            self.replaying = False
            self._watching = None
            for vcpu in vcpus:
                vcpu.paused = False
                vcpu.hold_interrupts(False)
            self._memory.forget()
            self._breakpoints.reinstate()
            self._postpone()

    @contextmanager
    def _armed(self) -> Iterator[None]:
        self._breakpoints.reinstate()
        try:
            yield
        finally:
            self._breakpoints.suspend()

    def _judge(self, vcpu: int, hit: DebugExit) -> Stop | None:
        """Look at a hit, and have the vCPU go on; return it if it counts."""
        self._memory.forget()
        stop = self._breakpoints.stop_for(vcpu, hit)
        group = self._control.seats[vcpu].group
        counts = stop is not None and group is not None and group.report.counts(stop)
        if not hit.cause & ~1:
            self._breakpoints.pass_over(vcpu)
        return stop if counts else None
