# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Run control: who runs, who stands, and what the debugger is owed.

Theory of operation
-------------------
A `Run` is a set of vCPUs that were resumed together and stop together: all that the debugger named
in all-stop mode, one each in non-stop mode. It is the report that the target is given, so a
report always belongs to a run. What a target reports on any thread is put into a queue and looked
at on the stub's own thread, by `settle`:

- the report of a run that is over is late: its stops wait for the next resume;
- stops whose conditions do not hold, and steps inside a range, let the run go on unseen;
- of the others one is told, always the same for the same set; the rest wait, each for a resume
  that concerns its vCPU, and are then told without running anything.

So each resume is answered once. `Held` replies are the same for stops that the debugger must learn
something else before: it is told that first, resumes, and gets the stop it was owed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from vmmkit.gdb._worth_telling import checked, sound, still_holds, worth_telling
from vmmkit.gdb.packets.table import PacketError
from vmmkit.gdb.spec import ErrorCode, Signal
from vmmkit.gdb.stop_reply import exec_reply, stop_reply
from vmmkit.gdb.target import CONTINUE, Action, ActionKind, Stop, StopKind

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["Run", "RunControl"]

MOST_REPORTS: Final = 32  # looked at before the wire is looked at again
Ranges = Mapping[int, tuple[int, int]]
"""First and one-past-last address of the code that a vCPU is to step through."""


class Run:
    """Vcpus that go and stop together, and the report of it."""

    __slots__ = ("_control", "actions", "again", "asked", "counted", "ranges", "signal")

    def __init__(
        self,
        control: RunControl,
        actions: Mapping[int, Action],
        again: Callable[[Run], object],
        ranges: Ranges | None = None,
    ) -> None:
        """Prepare a run; `again` starts it, and does so once more if a stop was none."""
        self._control = control
        self.actions = dict(actions)
        self.again = again
        self.ranges = dict(ranges or {})
        self.asked = False
        self.signal = Signal.INT  # what a stop is told as that was asked for
        self.counted: set[Stop] = set()

    def __call__(self, stops: Iterable[Stop] = (), /) -> None:
        """Report; on any thread."""
        self._control.arrived(self, checked(stops))

    def counts(self, stop: Stop, /) -> bool:
        """Whether a stop is to be reported; on any thread."""
        if not self._control.stub.breakpoints.counts(stop):
            return False
        self.counted.add(stop)
        return True


class RunControl:
    """Who runs and who stands.

    Attributes:
        stub: whose run control it is.
        last: the stop that was told last, or is the state after attaching.
        non_stop: whether vCPUs stop one by one.
    """

    def __init__(self, stub: Stub) -> None:
        """Begin with nothing running."""
        self.stub = stub
        self.non_stop = False
        self.last: Stop | None = None
        self._inbox: deque[tuple[Run, tuple[Stop, ...]]] = deque()
        self._runs: dict[int, Run] = {}
        self._events: list[Stop] = []
        self._held: deque[tuple[Stop, Callable[[Stop], object]]] = deque()
        self._owed = False
        self._known: frozenset[int] = frozenset()
        self.thread_events = False
        self._notices: deque[Stop] = deque()
        self._noticed = False
        self._asked_why = False
        self._left = False

    # -- what is running -------------------------------------------------------------------------

    @property
    def any_running(self) -> bool:
        """Whether a vCPU runs."""
        return bool(self._runs)

    def is_running(self, vcpu: int) -> bool:
        """Whether this vCPU runs."""
        return vcpu in self._runs

    def _begin(self, run: Run) -> None:
        self._runs.update(dict.fromkeys(run.actions, run))
        self.stub.forget_registers()
        try:
            run.again(run)
        except BaseException:
            self._end(run)
            raise

    def _end(self, run: Run) -> None:
        for vcpu in [vcpu for vcpu, of in self._runs.items() if of is run]:
            del self._runs[vcpu]

    # -- the debugger's wishes -------------------------------------------------------------------

    def attach(self) -> None:
        """Stop everything; no reply is owed for it."""
        target, vcpus = self.stub.target, self.stub.vcpus()
        run = Run(self, dict.fromkeys(vcpus, CONTINUE), target.stop)
        run.asked, run.signal = True, Signal.TRAP
        self._known = frozenset(vcpus)
        self._begin(run)

    @property
    def awaited(self) -> bool:
        """Whether the debugger waits for a stop reply, and shows what it is told meanwhile."""
        return self._owed and not self.non_stop

    def leave(self) -> None:
        """Ask all that runs to stop, on the way out: nobody waits for the stops any more."""
        self._owed, self._left = False, True
        self.interrupt()

    def interrupt(self) -> None:
        """Obey Ctrl-C; there is nothing to obey while everything stands."""
        for run in dict.fromkeys(self._runs.values()):
            self._ask(run, Signal.INT)

    def _ask(self, run: Run, signal: Signal) -> None:
        if run.asked:
            return
        run.asked, run.signal = True, signal
        try:
            self._ask_target(run)
        except BaseException:
            run.asked = False  # and may be asked again
            raise

    def _ask_target(self, run: Run) -> None:
        target = self.stub.target
        if self.non_stop:
            for vcpu in run.actions:
                target.stop_vcpu(vcpu, run)
        else:
            target.stop(run)

    def resume(self, actions: Mapping[int, Action], ranges: Ranges | None = None) -> None:
        """Let vCPUs go in all-stop mode; the stop reply follows, now or later.

        Raises:
            PacketError: a vCPU runs already.
        """
        self._start(actions, lambda run: self.stub.target.resume(run.actions, run), ranges)

    def go_back(self, vcpu: int, *, step: bool) -> None:
        """Let everything go backwards, or one vCPU by an instruction."""
        target = self.stub.target

        def again(run: Run) -> None:
            if step:
                target.reverse_step(vcpu, run)
            else:
                target.reverse_continue(run)

        self._start(dict.fromkeys(self.stub.vcpus(), CONTINUE), again)

    def _start(
        self,
        actions: Mapping[int, Action],
        again: Callable[[Run], object],
        ranges: Ranges | None = None,
    ) -> None:
        if self._runs:
            raise PacketError(ErrorCode.RUNNING, "the vCPUs run already")
        if self._held:
            stop, tell = self._held.popleft()
            tell(stop)
            return
        self._events = [stop for stop in self._events if still_holds(self.stub, stop)]
        due = [stop for stop in self._events if self._concerns(stop, actions)]
        if due:
            self._first_tell_of_changes(self._choose(due))
            return
        self._owed = True
        try:
            self._begin(Run(self, actions, again, ranges))
        except BaseException:
            self._owed = False
            raise

    def forget_stops(self) -> None:
        """Forget why vCPUs stand that stand elsewhere now."""
        self._events.clear()
        if self.last is not None:
            self.last = Stop(self.last.vcpu, StopKind.ASKED, signal=Signal.TRAP)

    # -- the target's reports --------------------------------------------------------------------

    def arrived(self, run: Run, stops: tuple[Stop, ...]) -> None:
        """Take a report, on any thread."""
        self._inbox.append((run, stops))
        self.stub.woken()

    @property
    def unsettled(self) -> bool:
        """Whether there are reports that nobody has looked at."""
        return bool(self._inbox)

    def settle(self) -> None:
        """Look at what has been reported: some of it, since each look may start another run."""
        for _ in range(MOST_REPORTS):
            if not self._inbox:
                return
            run, reported = self._inbox.popleft()
            # Who says that it stopped because it was asked to says what is known already.
            stops = [s for s in sound(self.stub, run, reported) if s.kind is not StopKind.ASKED]
            if run not in self._runs.values():
                self._events.extend(stop for stop in stops if stop not in self._events)
            else:
                self._settle(run, stops)

    def _settle(self, run: Run, stops: list[Stop]) -> None:
        self._end(run)
        self.stub.forget_registers()
        looked_at = (worth_telling(self.stub, run, stop) for stop in stops)
        wanted = [stop for stop in looked_at if stop is not None]
        if stops and not wanted and not run.asked:
            run.counted.clear()
            failed = self._goes_on(run)
            if failed is None:
                return
            wanted = [failed]
        if self.non_stop:
            self._notice(run, wanted)
        else:
            self._events.extend(wanted)
            self._stood(run)

    def _goes_on(self, run: Run) -> Stop | None:
        """Start a run once more; return the stop that it is if the target cannot."""
        try:
            self._begin(run)
        except Exception as error:  # noqa: BLE001 - a target's own, which the debugger is told
            message = f"the target cannot go on: {error}"
            return Stop(min(run.actions), StopKind.SIGNAL, signal=Signal.ABRT, message=message)
        return None

    def _stood(self, run: Run) -> None:
        """All stand: tell one stop, if the debugger waits for it."""
        candidates = [stop for stop in self._events if self._concerns(stop, run.actions)]
        if candidates:
            stop = self._choose(candidates, run)
        else:
            signal = run.signal if run.asked else Signal.TRAP
            vcpu = self.stub.selected if self.stub.selected in run.actions else min(run.actions)
            stop = Stop(vcpu, StopKind.ASKED, signal=signal)
        if self._owed:
            self._owed = False
            self._first_tell_of_changes(stop)
        else:
            self.last, self.stub.selected = stop, stop.vcpu

    def _concerns(self, stop: Stop, actions: Mapping[int, Action]) -> bool:
        """Whether a stop answers a resume: of a vCPU that went, or came meanwhile, or the end."""
        went = stop.vcpu in actions or stop.vcpu not in self._known
        return went or stop.kind is StopKind.EXITED

    def _choose(self, stops: Iterable[Stop], run: Run | None = None) -> Stop:
        """Take the stop that is told: the end, a step that was asked for, then by vCPU."""

        def order(stop: Stop) -> tuple[bool, bool, int, str]:
            action = run.actions.get(stop.vcpu) if run is not None else None
            stepped = action is not None and action.kind is ActionKind.STEP
            return (stop.kind is not StopKind.EXITED, not stepped, stop.vcpu, stop.kind.value)

        chosen = min(stops, key=order)
        self._events.remove(chosen)
        return chosen

    def _first_tell_of_changes(self, stop: Stop) -> None:
        """Tell a stop; before it what the debugger must know to understand it."""
        stub = self.stub
        if stop.kind is not StopKind.EXITED:
            self._tell_new_threads(stop)
            must_switch = partial(stub.must_switch, stop.vcpu)
            if not self._held and stub.attempt(must_switch, False):
                self._held.append((stop, self._tell))
                self.last, stub.selected = stop, stop.vcpu
                stub.forget_breakpoints()
                stub.session.reply(exec_reply(stub, stop.vcpu))
        if not self._held:
            self._tell(stop)

    def _tell_new_threads(self, stop: Stop) -> None:
        """Tell the first of the vCPUs that are new; with the next resume comes the next of them."""
        known = self._known
        now = frozenset(self.stub.attempt(self.stub.vcpus, list(known)))
        if self.thread_events and now - known:
            new = min(now - known)
            self._known = (known & now) | {new}
            self._held.append((stop, self._first_tell_of_changes))
            # The debugger takes the thread that it is told of for the one that is selected.
            self.last, self.stub.selected = stop, new
            name = self.stub.threads.format(new)
            self.stub.session.reply(b"T%02xcreate:;thread:%s;" % (Signal.TRAP, name))
        else:
            self._known = now

    def _tell(self, stop: Stop) -> None:
        stub = self.stub
        self.last = stop
        if stop.kind is StopKind.EXITED:
            stub.finished = True
        else:
            stub.selected = stop.vcpu
        stub.show_what_was_said()
        if stop.message:
            stub.show(stop.message + "\n")
        stub.session.reply(stop_reply(stub, stop))

    # -- the machine's end -----------------------------------------------------------------------

    def exited(self, status: int) -> None:
        """Tell the debugger that the machine is gone, if it waits."""
        self._runs.clear()
        end = Stop(0, StopKind.EXITED, signal=status)
        if self.non_stop:
            self._tell_soon(end)
        elif self._owed:
            self._owed = False
            self._tell(end)

    # -- non-stop mode ---------------------------------------------------------------------------

    def choose(self, *, non_stop: bool) -> None:
        """Choose between all-stop and non-stop mode; nobody is owed what was still to be told."""
        self.non_stop = non_stop
        self._notices.clear()
        self._noticed = self._asked_why = False

    def resume_each(self, actions: Mapping[int, Action]) -> None:
        """Let vCPUs go one by one; those that run already go on."""
        for vcpu, action in actions.items():
            self._resume_one(vcpu, action, {})

    def step_through(self, vcpu: int, action: Action, first: int, beyond: int) -> None:
        """As `resume_each` for one vCPU that steps through a range."""
        self._resume_one(vcpu, action, {vcpu: (first, beyond)})

    def _resume_one(self, vcpu: int, action: Action, ranges: Ranges) -> None:
        if vcpu in self._runs:
            return
        self._events = [stop for stop in self._events if still_holds(self.stub, stop)]
        due = [stop for stop in self._events if stop.vcpu == vcpu]
        if due:
            self._tell_soon(self._choose(due))
            return
        if self.last is not None and self.last.vcpu == vcpu:
            self.last = None
        target = self.stub.target
        again: Callable[[Run], object] = lambda run: target.resume(run.actions, run)  # noqa: E731
        self._begin(Run(self, {vcpu: action}, again, ranges))

    def stop_each(self, vcpus: Iterable[int]) -> None:
        """Stop vCPUs one by one; they are told with signal 0."""
        for vcpu in vcpus:
            if vcpu in self._runs:
                self._ask(self._runs[vcpu], Signal.NONE)

    def _notice(self, run: Run, stops: list[Stop]) -> None:
        """Tell of a vCPU that stands, in a notification or after those before it."""
        vcpu = min(run.actions)
        self._events.extend(stops)
        asked = Stop(vcpu, StopKind.ASKED, signal=run.signal)
        self._tell_soon(self._choose(stops, run) if stops else asked)

    def _tell_soon(self, stop: Stop) -> None:
        """Notify, or wait for the debugger to ask with vStopped.

        One that resumes a vCPU before it has asked loses the stop of before, so that there are
        never more of them than vCPUs.
        """
        if self._left:
            return
        told = [self._notices.popleft()] if self._noticed else []
        waiting = [other for other in self._notices if other.vcpu != stop.vcpu]
        self._notices = deque((*told, *waiting, stop))
        if not self._noticed:
            self._noticed = True
            self.stub.session.notify(b"Stop:" + stop_reply(self.stub, stop))

    def first_stop(self) -> bytes:
        """Answer `?` in non-stop mode: the first vCPU that stands; vStopped gives the others."""
        stood = [vcpu for vcpu in self.stub.vcpus() if vcpu not in self._runs]
        told = {stop.vcpu: stop for stop in (self.last, *self._notices) if stop is not None}
        asked = [Stop(vcpu, StopKind.ASKED, signal=Signal.NONE) for vcpu in stood]
        self._notices = deque(told.get(stop.vcpu, stop) for stop in asked)
        self._noticed = self._asked_why = bool(self._notices)
        return stop_reply(self.stub, self._notices[0]) if self._notices else b"OK"

    def next_stop(self) -> bytes | None:
        """Answer vStopped: the last one is known now, here is the next.

        GDB 13 ends with an internal error when it finds several vCPUs stopped as it connects. So
        `?` is answered with one only, and a notification follows about the others.
        """
        if self._noticed:
            with suppress(IndexError):
                self._notices.popleft()
        self._noticed = bool(self._notices)
        asked_why, self._asked_why = self._asked_why, False
        if not self._notices:
            return b"OK"
        reply = stop_reply(self.stub, self._notices[0])
        if not asked_why:
            return reply
        self.stub.session.reply(b"OK")
        self.stub.session.notify(b"Stop:" + reply)
        return None
