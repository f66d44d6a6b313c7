# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How a machine runs: one run at a time, and runs on the host's time with a thread for each vCPU.

Threads exist while `run` does: it starts them, keeps the timers meanwhile, and ends them before it
returns, so that the owner never meets a running vCPU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Lock, RLock, Thread
from time import monotonic_ns
from typing import Final

from vmmkit.backends._machine_outcomes import MachineHalted, MachineOutcome, RunEnded, VcpuExit
from vmmkit.backends._machine_time import NEVER, Agenda
from vmmkit.errors import MachineError

__all__ = ["HostTimeRuns", "OneRun"]

GIGAHERTZ: Final = 1_000_000_000
SHORTEST_WAIT: Final = 20e-6  # so that a timer without rest leaves the lock to the vCPUs
KICK_AGAIN: Final = 0.1  # seconds that a vCPU may take to notice that its run is over
# Seconds; a longer wait is several. Python runs signal handlers between instructions of the main
# thread only: a signal that another thread has got, or that comes just before the wait, waits too.
LONGEST_WAIT: Final = 0.1


class OneRun:
    """What may not run twice at once."""

    _guard: AbstractContextManager[object]
    _runs = False

    def _check_stopped(self) -> None:
        if self._runs:
            raise MachineError("the machine runs: end that first, and do this after `run`")

    @contextmanager
    def _one_run(self) -> Iterator[None]:
        with self._guard:
            self._check_stopped()
            self._runs = True
        try:
            yield
        finally:
            self._runs = False


class _Wake:
    """An event to be set while any lock is held, also in a signal handler: `Event` takes one."""

    def __init__(self) -> None:
        self._closed = Lock()
        self._closed.acquire()

    def set(self) -> None:
        with suppress(RuntimeError):  # it is set
            self._closed.release()

    def clear(self) -> None:
        self._closed.acquire(blocking=False)

    def wait_and_clear(self, seconds: float) -> None:
        self._closed.acquire(timeout=seconds)


class HostTimeRuns(OneRun, ABC):
    """A machine with a thread for each vCPU, on the host's time.

    Attributes:
        lock: held while a vCPU does anything but execute guest code; reentrant.
    """

    _agenda: Agenda

    def __init__(self, vcpus: int) -> None:
        """Make a machine that stands at time zero; `vcpus` is the number of threads."""
        self.lock = RLock()
        self._guard = self.lock
        self._threads = vcpus
        self._elapsed = 0  # ns until the present run
        self._began: int | None = None  # the host's time when virtual time was zero
        self._changed = _Wake()  # for the thread of `run`
        self._ending = self._stopped = False
        self._exits: deque[VcpuExit] = deque()
        self._errors: list[BaseException] = []

    # -- what machines differ in -----------------------------------------------------------------

    @abstractmethod
    def _work_until_end(self, index: int) -> VcpuExit | None:
        """Run a vCPU on its own thread until `_ending`, or until it needs the owner."""

    @abstractmethod
    def _end_work(self) -> None:
        """Have every vCPU look at `_ending`; called with `lock` held."""

    def _time_goes_on(self) -> None:
        """A run begins; called with `lock` held."""

    def _time_stands(self) -> None:
        """A run has ended."""

    def _all_wait(self) -> bool:
        """Whether every vCPU waits for what only a timer or another thread can do."""
        return False

    # -- for the owner ---------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """Virtual time in nanoseconds: the host's, while a run is in progress."""
        return self._elapsed if self._began is None else monotonic_ns() - self._began

    def stop(self) -> None:
        """End the run in progress, or else the next one; for any thread.

        It takes no lock, so whoever calls it may hold any, and may be a signal handler.

        A run that ends by itself just before leaves the call to the next run, which ends at once.
        An owner whose loop asks for something else than the outcome, as for a flag that was set
        before `stop`, loses nothing by that; another calls `forget_kick` before it runs again.
        """
        self._stopped = True
        self._changed.set()

    def forget_kick(self) -> None:
        """Have a `stop` that no run has noticed end none."""
        self._stopped = False

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

    def take_exits(self) -> list[VcpuExit]:
        """Take the exits that came with the one `run` has returned, in place of its next calls."""
        taken = [*self._exits]
        self._exits.clear()
        return taken

    # -- running ---------------------------------------------------------------------------------

    def _run(self, seconds: float | None, through_halt: bool) -> MachineOutcome:
        threads = [
            Thread(target=self._work, args=(index,), name=f"vcpu {index}")
            for index in range(self._threads)
        ]
        with self.lock:
            self._begin()
        try:
            for thread in threads:
                thread.start()
            outcome = self._keep_time(seconds, through_halt)
        finally:
            self._end(threads)
        if self._errors:
            raise self._errors[0]
        return outcome or self._exits.popleft()

    def _begin(self) -> None:
        self._began = monotonic_ns() - self._elapsed
        self._ending = False
        self._errors.clear()
        self._agenda.forget()
        self._time_goes_on()

    def _end(self, threads: list[Thread]) -> None:
        """Have all vCPUs stop, and time too."""
        with self.lock:
            self._ending, self._stopped = True, False
            self._end_work()
        for thread in threads:
            self._await(thread)
        self._stop_time()

    def _await(self, thread: Thread) -> None:
        """Wait for the end of a thread; a step of a debugger's may take several kicks."""
        while thread.is_alive():
            thread.join(KICK_AGAIN)
            if thread.is_alive():
                with self.lock:
                    self._end_work()

    def _stop_time(self) -> None:
        self._elapsed, self._began = self.time, None
        self._time_stands()

    def _keep_time(self, seconds: float | None, through_halt: bool) -> MachineOutcome | None:
        """Keep the timers until the run ends; `None` says that an exit or an error ended it."""
        end = NEVER if seconds is None else self.time + int(seconds * GIGAHERTZ)
        while True:
            with self.lock:
                self._changed.clear()
                if self._exits or self._errors:
                    return None
                now = self.time
                self._agenda.advance(now)
                if self._stopped or now >= end:
                    return RunEnded(now)
                if self._agenda.earliest == NEVER and not through_halt and self._all_wait():
                    return MachineHalted(now)
                wait = (min(end, self._agenda.earliest) - now) / GIGAHERTZ
            self._changed.wait_and_clear(max(SHORTEST_WAIT, min(wait, LONGEST_WAIT)))

    def _work(self, index: int) -> None:
        """Run a vCPU until the run ends, and tell the thread of `run` how."""
        try:
            found = self._work_until_end(index)
        except BaseException as error:  # noqa: BLE001 - it is raised where `run` was called
            with self.lock:
                self._errors.append(error)
                self._changed.set()
            return
        if found is not None:
            with self.lock:
                self._exits.append(found)
                self._changed.set()

    def _changed_now(self) -> None:
        """Have the thread of `run` look at deadlines again."""
        self._changed.set()
