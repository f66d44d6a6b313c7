# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a machine did, and doing it again from the same state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from vmmkit.backends._machine_outcomes import MachineHalted, MachineOutcome, VcpuExit
from vmmkit.backends.soft_machine import SoftMachine
from vmmkit.insn import DebugExit

__all__ = ["Cancelled", "Diverged", "Replay", "Segment"]


class Cancelled(Exception):  # noqa: N818 - no error
    """Somebody wants a replay to end."""


class Diverged(Exception):  # noqa: N818 - the guest's, not the caller's
    """A replay took another way than what it replays."""


@attrs.frozen
class Segment:
    """Something that ran: all that are not paused, or steps of one vCPU."""

    vcpu: int | None  #: whose steps, or `None` for a run
    paused: tuple[bool, ...]
    held: tuple[bool, ...]  #: by vCPU, whether its interrupts wait
    end: int  #: virtual time in ns
    steps: int = 0

    def joins(self, before: Segment) -> bool:
        """Whether it is more of what was before."""
        return attrs.evolve(self, end=0, steps=0) == attrs.evolve(before, end=0, steps=0)


class Replay:
    """Goes through the segments of a checkpoint, whose state the machine has at first."""

    def __init__(
        self, machine: SoftMachine, segments: Sequence[Segment], cancelled: Callable[[], bool]
    ) -> None:
        """Begin at the first one."""
        self._machine, self._segments, self._cancelled = machine, tuple(segments), cancelled
        self._index = self._done = 0

    @property
    def finished(self) -> bool:
        """Whether all is replayed; segments that are over are left behind."""
        while self._index < len(self._segments) and self._over(self._segments[self._index]):
            self._index, self._done = self._index + 1, 0
        return self._index == len(self._segments)

    def _over(self, segment: Segment) -> bool:
        if segment.vcpu is None:
            return self._machine.time >= segment.end
        return self._done == segment.steps

    def go(self, until: int | None = None, most: int | None = None) -> VcpuExit | None:
        """Go on in one segment, to `until` or for `most` instructions; return a `DebugExit`.

        Raises:
            Cancelled: it was wanted to end.
            Diverged: the machine does something else.
        """
        segment = self._segments[self._index]
        for vcpu, paused, held in zip(
            self._machine.vcpus, segment.paused, segment.held, strict=True
        ):
            vcpu.paused = paused
            vcpu.hold_interrupts(held)
        try:
            outcome = self._execute(segment, until, most)
        except Exception as error:
            raise Diverged(f"a device raises {error!r}") from error
        if self._cancelled():
            raise Cancelled
        if isinstance(outcome, VcpuExit):
            if isinstance(outcome.outcome, DebugExit):
                return outcome
            if segment.vcpu is None and self._machine.time < segment.end:
                raise Diverged(f"there was no {outcome.outcome}")
        return None

    def _execute(self, segment: Segment, until: int | None, most: int | None) -> MachineOutcome:
        machine = self._machine
        before = machine.time
        if segment.vcpu is None:
            goal = segment.end if until is None else min(until, segment.end)
            outcome = machine.run(most, until=goal)
            if isinstance(outcome, MachineHalted) and machine.time < goal:
                raise Diverged("every vCPU waits")
            return outcome
        outcome = machine.step(segment.vcpu)
        hit = isinstance(outcome, VcpuExit) and isinstance(outcome.outcome, DebugExit)
        if not hit or machine.time > before:
            self._done += 1
        return outcome

    def go_to(self, time: int) -> None:
        """Go on until a time; no breakpoints may be set."""
        while self._machine.time < time and not self.finished:
            self.go(time)

    def cut(self) -> tuple[list[Segment], list[Segment]]:
        """Return what has been replayed, and what is left."""
        if self.finished:
            return list(self._segments), []
        done, left = list(self._segments[: self._index]), list(self._segments[self._index :])
        now, steps = self._machine.time, left[0].steps
        if self._done or left[0].vcpu is None:
            done.append(attrs.evolve(left[0], end=now, steps=self._done))
            left[0] = attrs.evolve(left[0], steps=steps - self._done)
        return done, left
