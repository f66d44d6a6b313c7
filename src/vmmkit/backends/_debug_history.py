# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The history of a `SoftMachine`: checkpoints, and what ran between them.

Theory of operation
-------------------
A machine on virtual time takes the same way again from the same state, and where its runs are cut
does not matter. So a history is a stack of checkpoints, and for each of them the *segments* up to
the next one: who was paused, what was stepped, and until when. Any state in between is reached
again by taking a checkpoint back and going through its segments.

Going back is for good: what was later is dropped, and whoever goes forward then makes new history.
That is why one copy of the RAM will do, that of the newest checkpoint, with the pages that the one
before it had otherwise (`RamCopy`).

An instruction of a vCPU is found by the number that it has retired: as many instructions of all
vCPUs as it lacks never lead past it, and a breakpoint at every address stops the vCPU just before
its next one, however long it waits for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import attrs

from vmmkit.backends._debug_ram_copy import PAGE, RamCopy
from vmmkit.backends._debug_replay import Diverged, Replay, Segment
from vmmkit.backends._machine_snapshot import MachineSnapshot
from vmmkit.backends.soft_machine import SoftMachine
from vmmkit.insn import WORD, BreakKind, Breakpoint, CpuState, DebugExit

__all__ = ["Checkpointed", "History"]

ANYWHERE: Final = Breakpoint(BreakKind.EXECUTE, 0, (1 << 64) - 1)
NEAR: Final = 256  # instructions to step back over without going through the whole interval again
SEGMENT_COST: Final = 100  # so that many short segments do not pile up
PENDING: Final = WORD["log_pending"]
CODE_GIVEN: Final = WORD["code_given"]
# What exits, accesses and fetches leave in a record, on which nothing depends between instructions.
LEFT_OVERS: Final = (
    *range(WORD["exit_address"], WORD["vector"]),
    *range(WORD["wide_value"], WORD["wide_value"] + 8),
)
OVERHEAD: Final = 2048  # bytes of a checkpoint beside records and pages, about

Judge = Callable[[int, DebugExit], object]
"""Called with the vCPU and what it hit; returns what counts, or `None`."""


class Checkpointed(Protocol):
    """A device of the owner's whose state belongs to the history."""

    def snapshot(self) -> Any:
        """Return the state."""
        ...

    def restore(self, snapshot: Any, /) -> None:
        """Take a state back."""
        ...


@attrs.frozen
class End:
    """How an interval ended, to be compared with the end of a replay."""

    machine: MachineSnapshot
    pages: tuple[int, ...]  #: that changed in it
    digest: int


@attrs.define(eq=False)
class Checkpoint:
    """A state, and what leads from it to the next."""

    machine: MachineSnapshot
    devices: tuple[Any, ...]
    retired: tuple[int, ...]  #: by vCPU
    segments: list[Segment] = attrs.field(factory=list)
    undo: dict[int, bytes] = attrs.field(factory=dict)
    """Pages as they are here, which are other ones at the next checkpoint."""
    end: End | None = None
    """`None` where nobody knows: something from outside came, or it was cut off."""

    @property
    def time(self) -> int:
        """Virtual time in nanoseconds."""
        return self.machine.time


class History:
    """What a machine did.

    Args:
        machine: the machine; whoever runs it calls `log`.
        devices: of the owner's.
        limit: bytes that checkpoints may have, a copy of RAM apart; the oldest are dropped.
        cancelled: asked while something is replayed.

    Attributes:
        touched: whether something from outside has come since the machine last ran.
    """

    def __init__(
        self,
        machine: SoftMachine,
        devices: Sequence[Checkpointed],
        *,
        limit: int,
        cancelled: Callable[[], bool],
    ) -> None:
        """Begin with no history; the first checkpoint begins it."""
        self._machine, self._devices = machine, tuple(devices)
        self._limit, self._cancelled = limit, cancelled
        self._ram: RamCopy | None = None
        self._checkpoints: list[Checkpoint] = []
        self._used = 0
        self.touched = False

    def clear(self) -> None:
        """Forget everything."""
        self._ram, self._used, self.touched = None, 0, False
        self._checkpoints.clear()

    @property
    def exists(self) -> bool:
        """Whether there is a checkpoint."""
        return bool(self._checkpoints)

    @property
    def executed(self) -> int:
        """Instructions since the newest checkpoint, and what goes for them in memory."""
        newest = self._checkpoints[-1]
        retired = sum(vcpu.state.retired for vcpu in self._machine.vcpus)
        return retired - sum(newest.retired) + SEGMENT_COST * len(newest.segments)

    # -- going forward ---------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Begin another interval; breakpoints may not be in RAM."""
        snapshot = self._machine.snapshot()
        if self._ram is None:
            self._ram = RamCopy(buffer for _, buffer in self._machine.ram)
        else:
            last = self._checkpoints[-1]
            last.undo = self._ram.take()
            pages = tuple(last.undo)
            last.end = None if self.touched else End(snapshot, pages, self._ram.digest(pages))
            self._used += len(pages) * PAGE
        self._checkpoints.append(
            Checkpoint(
                snapshot,
                tuple(device.snapshot() for device in self._devices),
                tuple(vcpu.state.retired for vcpu in self._machine.vcpus),
            )
        )
        self.touched = False
        self._used += self._size(self._checkpoints[-1])
        self._drop_oldest()

    @staticmethod
    def _size(checkpoint: Checkpoint) -> int:
        records = sum(len(vcpu.record) for vcpu in checkpoint.machine.vcpus)
        return OVERHEAD * len(checkpoint.machine.vcpus) + records

    def _drop_oldest(self) -> None:
        while self._used > self._limit and len(self._checkpoints) > 1:
            oldest = self._checkpoints.pop(0)
            self._used -= self._size(oldest) + len(oldest.undo) * PAGE

    def log(self, segment: Segment) -> None:
        """Remember what ran since the last call, or the last checkpoint."""
        segments = self._checkpoints[-1].segments
        if segments and segment.joins(segments[-1]):
            steps = segments[-1].steps + segment.steps
            segments[-1] = attrs.evolve(segment, steps=steps)
        else:
            segments.append(segment)

    # -- going back ------------------------------------------------------------------------------

    def rewind(self, number: int) -> None:
        """Go back to a checkpoint, and forget those after it, but not what led from it."""
        assert self._ram is not None
        while len(self._checkpoints) > number + 1:
            gone = self._checkpoints.pop()
            last = self._checkpoints[-1]
            self._ram.undo(last.undo)
            self._used -= self._size(gone) + len(last.undo) * PAGE
            last.undo = {}
        self._ram.put_back()
        here = self._checkpoints[-1]
        # Devices may look at the clock when they are restored, and drive lines of the machine's.
        self._machine.restore(here.machine)
        for device, state in zip(self._devices, here.devices, strict=True):
            device.restore(state)
        self._machine.restore(here.machine)
        self.touched = False

    def _replay(self) -> Replay:
        return Replay(self._machine, self._checkpoints[-1].segments, self._cancelled)

    def arrive(self, replay: Replay) -> None:
        """Make the state that a replay has come to the present."""
        newest = self._checkpoints[-1]
        newest.segments, newest.end = replay.cut()[0], None

    def go_to(self, time: int) -> None:
        """Go to a time since the newest checkpoint, whose state the machine has."""
        replay = self._replay()
        replay.go_to(time)
        self.arrive(replay)

    def to_start(self) -> None:
        """Go back to where the history begins."""
        self.rewind(0)
        self.arrive(self._replay())

    def to_newest(self) -> None:
        """Go back to the newest checkpoint."""
        self.rewind(len(self._checkpoints) - 1)
        self.arrive(self._replay())

    def _check_end(self, replay: Replay) -> None:
        """Compare the end of an interval with what it was.

        Raises:
            Diverged: something is not the same.
        """
        end = self._checkpoints[-1].end
        if end is None or not replay.finished:
            return
        assert self._ram is not None
        if not _same(self._machine.snapshot(), end.machine):
            raise Diverged("registers or devices are not what they were")
        if self._ram.digest(end.pages) != end.digest:
            raise Diverged("memory is not what it was")

    # -- to the last hit -------------------------------------------------------------------------

    def back_to_hit(self, judge: Judge, armed: Callable[[], AbstractContextManager[object]]) -> Any:
        """Go back to before the last hit that counts; to the start if there is none.

        Args:
            judge: decides about hits.
            armed: a context in which breakpoints are in force.

        Returns:
            What `judge` returned for the hits at that place, empty if there is none.
        """
        if self.touched or self._checkpoints[-1].segments:
            self.checkpoint()  # so that the last interval is compared with the present
        for number in reversed(range(len(self._checkpoints))):
            self.rewind(number)
            if self._checkpoints[number].segments:
                time, found = self._last_hit(judge, armed)
                if found:
                    self.rewind(number)
                    self.go_to(time)
                    return found
        self.to_start()
        return []

    def _last_hit(
        self, judge: Judge, armed: Callable[[], AbstractContextManager[object]]
    ) -> tuple[int, list[object]]:
        """Go through an interval; return when the last hit was, and what it is."""
        replay, machine, last = self._replay(), self._machine, 0
        found: list[object] = []
        with armed():
            while not replay.finished:
                outcome = replay.go()
                if outcome is None:
                    continue
                hit: DebugExit = outcome.outcome  # type: ignore[assignment]
                time = machine.time
                if hit.cause & ~BreakKind.EXECUTE:  # it is after the instruction
                    time -= machine.tick
                counts = judge(outcome.vcpu, hit)
                if counts is not None:
                    found = [*found, counts] if found and time == last else [counts]
                    last = time
        self._check_end(replay)
        return last, found

    # -- to the last instruction -----------------------------------------------------------------

    def back_one(self, vcpu: int) -> bool:
        """Go back to before the last instruction of a vCPU; false if the history has none."""
        wanted = self._retired(vcpu)
        number = len(self._checkpoints) - 1
        while number >= 0 and self._checkpoints[number].retired[vcpu] >= wanted:
            number -= 1
        if number < 0:
            self.to_start()
            return False
        self.rewind(number)
        replay = self._approach(self._replay(), vcpu, wanted)
        before = self._machine.time
        if self._retired(vcpu) < wanted:
            self._go_to_next(replay, vcpu)
        if self._retired(vcpu) >= wanted:  # it was an event, which no breakpoint is before
            before = self._last_before(vcpu, wanted, before, self._machine.time)
            self.rewind(len(self._checkpoints) - 1)
            self.go_to(before)
        else:
            self.arrive(replay)
        return True

    def _retired(self, vcpu: int) -> int:
        return self._machine.vcpus[vcpu].state.retired

    def _approach(self, replay: Replay, vcpu: int, wanted: int) -> Replay:
        """Replay until a vCPU lacks one instruction of what it has retired by then."""
        while (lacks := wanted - self._retired(vcpu)) > 1:
            far = lacks > 2 * NEAR
            self._require(replay)
            replay.go(most=lacks - NEAR if far else lacks - 1)
            if wanted - self._retired(vcpu) == lacks:
                self._go_to_next(replay, vcpu)
            if far and wanted - self._retired(vcpu) <= 2 * NEAR:
                replay = self._divide(replay)
        return replay

    @staticmethod
    def _require(replay: Replay) -> None:
        if replay.finished:
            raise Diverged("an instruction is missing")

    def _go_to_next(self, replay: Replay, vcpu: int) -> None:
        """Replay until a vCPU is about to execute an instruction, or to the end."""
        chosen = self._machine.vcpus[vcpu]
        chosen.set_breakpoints([ANYWHERE])
        try:
            while not replay.finished and replay.go() is None:
                pass
        finally:
            chosen.set_breakpoints()

    def _divide(self, replay: Replay) -> Replay:
        """Make another checkpoint where a replay is, so that the next steps back are short."""
        newest = self._checkpoints[-1]
        newest.segments, left = replay.cut()
        self.checkpoint()
        self._checkpoints[-1].segments = left
        return self._replay()

    def _last_before(self, vcpu: int, wanted: int, before: int, after: int) -> int:
        """Return the last time at which a vCPU had not retired so many."""
        tick = self._machine.tick
        while after - before > tick:
            middle = before + (after - before) // tick // 2 * tick
            self.rewind(len(self._checkpoints) - 1)
            self._replay().go_to(middle)
            if self._retired(vcpu) < wanted:
                before = middle
            else:
                after = middle
        return before


def _same(one: MachineSnapshot, other: MachineSnapshot) -> bool:
    """Whether two snapshots are one state; a turn that is over may have been given on or not."""
    plain = [attrs.evolve(of, turn=0, left=0, vcpus=()) for of in (one, other)]
    return plain[0] == plain[1] and all(
        attrs.evolve(mine, record=b"") == attrs.evolve(its, record=b"")
        and _state_of(mine.record) == _state_of(its.record)
        for mine, its in zip(one.vcpus, other.vcpus, strict=True)
    )


def _state_of(record: bytes) -> CpuState:
    """Return a state without what is left over, unless an instruction is in flight."""
    state = CpuState()
    state.take_record(record)
    if not (state.words[PENDING] or state.words[CODE_GIVEN]):
        for word in LEFT_OVERS:
            state.words[word] = 0
    return state
